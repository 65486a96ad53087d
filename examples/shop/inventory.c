/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Inventory: takes the goods of an order from the stock, all or none, and tells what came of it.
 *
 * An event can come twice. What came of it is kept under the event's id, in the transaction that moves the stock: the
 * second time nothing moves, and the same answer goes out.
 */
#include <inttypes.h>

#include "service.h"
#include "stock.h"

struct inventory {
    const struct service *service;
    struct stock *stock;
};

/* Held until the handler is done; acknowledged before its record counts as handled. */
static kur_status tell(kur_delivery *delivery, const char *order_id, int64_t articles, const char *missing,
                       kur_error *error)
{
    if (delivery == NULL)
        return KUR_OK; /* by HTTP the caller is told by the answer, and nobody else */
    if (missing[0] == '\0')
        return inventory_reserved_emit(delivery,
                                       &(struct inventory_reserved){.order_id = order_id, .articles = articles}, error);
    return inventory_rejected_emit(delivery, &(struct inventory_rejected){.order_id = order_id, .sku = missing}, error);
}

static kur_outcome on_order(kur_delivery *delivery, const struct order_created *order, void *user)
{
    const struct inventory *inventory = user;
    const kur_event_view *event = kur_delivery_event(delivery);
    const char *id = event != NULL ? event->id : order->order_id;
    char missing[SKU_SIZE];
    int64_t articles = 0;
    kur_error error = {0};

    service_take_time(inventory->service);
    if (stock_reserve(inventory->stock, id, order, missing, &error) != KUR_OK)
        return kur_retry(delivery, "inventory.database", "%s", error.message);
    for (size_t i = 0; i < order->lines.count; i++)
        articles += order->lines.items[i].quantity;
    if (tell(delivery, order->order_id, articles, missing, &error) != KUR_OK)
        return kur_retry(delivery, "inventory.emit", "%s", error.message);

    if (missing[0] == '\0')
        service_say(inventory->service, order->order_id, "%" PRId64 " reserved", articles);
    else
        service_say(inventory->service, order->order_id, "rejected: not enough %s", missing);
    return KUR_DONE;
}

int main(int argc, char **argv)
{
    const char *database = "inventory.db", *text = "100";
    int initial;
    const struct service_flag flags[] = {
        {"database", "FILE", "where the stock is kept (default: inventory.db)", &database},
        {"stock", "N", "how many there are of an article that is new to it (default: 100)", &text},
        {0}};
    struct service service = {
        .name = "inventory", .purpose = "Reserves the goods of each order, or rejects it.", .flags = flags};
    if (!service_begin(&service, argc, argv))
        return service.status;
    if (!service_number(&service, "stock", text, 0, 1000000000, &initial))
        return 2;
    kur_error error = {0};
    struct inventory inventory = {.service = &service, .stock = stock_open(database, initial, &error)};
    if (inventory.stock == NULL)
        return service_end(&service, error.code, &error);
    if (service.http != NULL) {
        int status = service_answer(&service, on_order, &inventory);
        stock_close(inventory.stock);
        return status;
    }

    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = service.bootstrap,
                                                            .properties_file = service.properties_file,
                                                            .source = "/services/inventory", .log = kur_log_stderr),
                                        &error);
    kur_listener *listener = kur_listener_new(
        client, &KUR_LISTENER_OPTIONS(.group = service.group, .topics = (const char *[]){"orders", NULL}), &error);
    order_created_on(listener, on_order, &inventory);
    kur_status status = kur_listener_run(listener, &error); /* until SIGTERM */

    kur_listener_free(listener);
    kur_client_unref(client);
    stock_close(inventory.stock);
    return service_end(&service, status, &error);
}
