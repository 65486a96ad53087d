/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Inventory: takes the goods of an order from the stock, all or none, and tells what came of it. That the order was
 * handled, what it took, and what is told of it are one transaction of the database's: an inbox opens and commits it,
 * an outbox keeps the event in it. So each order takes its goods once, and is answered once, whoever dies when.
 */
#include <inttypes.h>
#include <kurier/sqlite.h>

#include "schemas.h"
#include "stock.h"

struct inventory {
    const struct service *service;
    struct stock *stock;
    kur_inbox *inbox;
    kur_outbox *outbox;
};

static void say(const struct inventory *inventory, const struct order_created *order, int64_t articles,
                const char *missing)
{
    if (missing[0] == '\0')
        service_say(inventory->service, order->order_id, "%" PRId64 " reserved", articles);
    else
        service_say(inventory->service, order->order_id, "rejected: not enough %s", missing);
}

static int64_t count(const struct order_created *order)
{
    int64_t articles = 0;
    for (size_t i = 0; i < order->lines.count; i++)
        articles += order->lines.items[i].quantity;
    return articles;
}

static kur_status tell(const struct inventory *inventory, void *transaction, const struct order_created *order,
                       const char *missing, kur_error *error)
{
    struct inventory_reserved reserved = {.order_id = order->order_id, .articles = count(order)};
    struct inventory_rejected rejected = {.order_id = order->order_id, .sku = missing};
    if (missing[0] == '\0')
        return inventory_reserved_outbox(inventory->outbox, transaction, &reserved, NULL, error);
    return inventory_rejected_outbox(inventory->outbox, transaction, &rejected, NULL, error);
}

/* Committed when it says that it is done, else rolled back. */
static kur_outcome on_order(kur_delivery *delivery, void *transaction, const struct order_created *order, void *user)
{
    const struct inventory *inventory = user;
    char missing[SKU_SIZE];
    bool is_known = false;
    kur_error error = {0};

    service_take_time(inventory->service);
    /* A record comes here once. A producer that repeats itself makes two records with one id. */
    if (kur_inbox_note(inventory->inbox, delivery, transaction, &is_known, &error) != KUR_OK)
        return kur_retry(delivery, "inventory.database", "%s", error.message);
    if (is_known) {
        service_say(inventory->service, order->order_id, "was here before");
        return KUR_DONE;
    }
    if (stock_take(inventory->stock, transaction, order, missing, &error) != KUR_OK ||
        tell(inventory, transaction, order, missing, &error) != KUR_OK)
        return kur_retry(delivery, "inventory.database", "%s", error.message);
    say(inventory, order, count(order), missing);
    return KUR_DONE;
}

/* By HTTP the caller is told by the answer, and nobody else. */
static kur_outcome on_request(kur_delivery *delivery, const struct order_created *order, void *user)
{
    const struct inventory *inventory = user;
    char missing[SKU_SIZE];
    kur_error error = {0};
    service_take_time(inventory->service);
    if (stock_take_alone(inventory->stock, order, missing, &error) != KUR_OK)
        return kur_retry(delivery, "inventory.database", "%s", error.message);
    say(inventory, order, count(order), missing);
    return KUR_DONE;
}

/* Until SIGTERM. */
static void listen_to_orders(struct inventory *inventory, kur_database *database, kur_guarantee guarantee,
                             kur_error *error)
{
    const struct service *service = inventory->service;
    kur_client *client = service_client(service, error);
    kur_database_migrate(database, 0, error);
    inventory->outbox = kur_outbox_new(client, database, NULL, error);
    kur_relay *relay =
        kur_relay_new(inventory->outbox, &KUR_RELAY_OPTIONS(.guarantee = guarantee, .lease_ms = 6000), error);
    const char *topics[] = {"orders", NULL};
    kur_listener *listener =
        kur_listener_new(client, &KUR_LISTENER_OPTIONS(.group = service->group, .topics = topics), error);
    inventory->inbox = kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = service->group), error);
    order_created_inbox(inventory->inbox, on_order, inventory);
    if (inventory->inbox != NULL && kur_relay_start(relay, error) == KUR_OK)
        kur_listener_run(listener, error);
    kur_listener_free(listener);
    kur_inbox_free(inventory->inbox);
    kur_relay_free(relay);
    kur_outbox_free(inventory->outbox);
    kur_client_unref(client);
}

int main(int argc, char **argv)
{
    const char *file = "inventory.db", *text = "100", *often = "at-least-once";
    int initial;
    const struct service_flag flags[] = {
        {"database", "FILE", "where the stock is kept (default: inventory.db)", &file},
        {"stock", "N", "how many there are of an article that is new to it (default: 100)", &text},
        {"guarantee", "WORD", "events are sent at-least-once (default) or exactly-once", &often},
        {0}};
    const struct service_event events[] = {
        {"inventory", inventory_reserved_schema}, {"inventory", inventory_rejected_schema}, {0}};
    struct service service = {.name = "inventory",
                              .purpose = "Reserves the goods of each order, or rejects it.",
                              .flags = flags,
                              .events = events};
    kur_guarantee guarantee;
    if (!service_begin(&service, argc, argv) || !service_guarantee(&service, often, &guarantee))
        return service.status;
    if (!service_number(&service, "stock", text, 0, 1000000000, &initial))
        return 2;
    kur_error error = {0};
    struct inventory inventory = {.service = &service, .stock = stock_open(file, initial, &error)};
    if (inventory.stock == NULL)
        return service_end(&service, error.code, &error);
    if (service.http != NULL) {
        int status = service_answer(&service, on_request, &inventory);
        stock_close(inventory.stock);
        return status;
    }
    kur_database *database = kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = file), &error);
    listen_to_orders(&inventory, database, guarantee, &error);
    kur_database_free(database);
    stock_close(inventory.stock);
    return service_end(&service, error.code, &error);
}
