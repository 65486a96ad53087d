/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Order: takes orders by HTTP and tells the world of them. 202 Accepted means that the order stands in this service's
 * database, and its event with it: one transaction, both or neither. No broker is asked; a relay sends what was
 * committed, now or when Kafka is there again. What the others make of it comes back as events, for GET /orders/{id}.
 */
#include <kurier/sys/clock.h>
#include <stdlib.h>

#include "orders.h"
#include "schemas.h"
#include "store.h"

struct shop {
    const struct service *service;
    struct store *store;
    kur_outbox *outbox;
};

/* `state` is an enum order_state: a digit. */
static const char table[] =
    "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, state INTEGER NOT NULL, content TEXT NOT NULL)";

/* Both or neither. First what the event's key stands for, then the event: that keeps the order of a key's events. */
static kur_status take(struct shop *shop, const struct order_created *order, kur_error *error)
{
    kur_buffer json = {0};
    const char state[] = {'0' + order_state_accepted, '\0'};
    void *transaction = store_begin(shop->store, error);
    if (transaction != NULL && order_created_to_json(order, &json, error) == KUR_OK &&
        store_run(shop->store, transaction, "INSERT INTO orders VALUES ($1, $2, $3)",
                  (const char *[]){order->order_id, state, json.data, NULL}, error) == KUR_OK)
        order_created_outbox(shop->outbox, transaction, order, NULL, error);
    if (store_end(shop->store, transaction, error) == KUR_OK)
        kur_outbox_committed(shop->outbox);
    kur_buffer_done(&json);
    return error->code;
}

static void post_order(const struct http_request *request, struct http_answer *answer, void *user)
{
    struct shop *shop = user;
    struct order_created order;
    kur_error error = {0};
    if (!orders_read(request, &order, answer))
        return;
    int64_t begun_us = kur_clock_monotonic_us();
    if (take(shop, &order, &error) == KUR_OK) {
        orders_receipt(answer, 202, order.order_id, order_state_accepted);
        service_say(shop->service, order.order_id, "%s: accepted in %.1f ms", order.customer,
                    (double)(kur_clock_monotonic_us() - begun_us) / 1000);
        return;
    }
    service_say(shop->service, order.order_id, "not taken: %s", error.message);
    if (error.code == KUR_ERROR_UNKNOWN_OUTCOME) { /* the connection broke in COMMIT */
        orders_receipt(answer, 504, order.order_id, order_state_unknown);
        http_problem(answer, 504, "taken or not, see /orders/%s: %s", order.order_id, error.message);
        return;
    }
    answer->retry_after_s = 2;
    http_problem(answer, 503, "not taken, try again: %s", error.message);
}

static void get_order(const struct http_request *request, struct http_answer *answer, void *user)
{
    struct shop *shop = user;
    const char *row[2] = {NULL, "0"};
    kur_error error = {0};
    if (store_query(shop->store, "SELECT content, state FROM orders WHERE id = $1",
                    (const char *[]){request->rest, NULL}, request->arena, row, &error) == KUR_OK)
        orders_view(request, (enum order_state)atoi(row[1]), row[0], answer);
    else
        http_problem(answer, 503, "%s", error.message);
}

/* Forward and never back: twice is as once, so that this needs no inbox. */
static kur_outcome advance(struct shop *shop, kur_delivery *delivery, const char *order_id, enum order_state to)
{
    kur_error error = {0};
    const char state[] = {(char)('0' + to), '\0'};
    if (store_query(shop->store, "UPDATE orders SET state = $2 WHERE id = $1 AND state < $2",
                    (const char *[]){order_id, state, NULL}, NULL, NULL, &error) == KUR_OK)
        return KUR_DONE;
    return kur_retry(delivery, "order.database", "%s", error.message);
}

static kur_outcome on_reserved(kur_delivery *delivery, const struct inventory_reserved *reserved, void *user)
{
    return advance(user, delivery, reserved->order_id, order_state_reserved);
}

static kur_outcome on_rejected(kur_delivery *delivery, const struct inventory_rejected *rejected, void *user)
{
    return advance(user, delivery, rejected->order_id, order_state_rejected);
}

/* HTTP on threads of its own, the relay on one, the listener on this one, until SIGTERM. */
static void serve(struct shop *shop, kur_client *client, kur_relay *relay, const char *port, kur_error *error)
{
    const struct http_route routes[] = {{"POST", "/orders", post_order}, {"GET", "/orders/", get_order}, {0}};
    const char *group = shop->service->group, *topics[] = {"inventory", NULL};
    kur_listener *listener = kur_listener_new(client, &KUR_LISTENER_OPTIONS(.group = group, .topics = topics), error);
    inventory_reserved_on(listener, on_reserved, shop);
    inventory_rejected_on(listener, on_rejected, shop);
    http_server *http = NULL;
    if (listener != NULL && kur_relay_start(relay, error) == KUR_OK)
        http = http_start(&(struct http_options){port, "port", .threads = true, routes, shop}, error);
    if (http != NULL) {
        service_say(shop->service, "", "takes orders at %s/orders", http_url(http));
        kur_listener_run(listener, error);
    }
    http_stop(http);
    kur_listener_free(listener);
}

int main(int argc, char **argv)
{
    const char *port = "8080", *file = "orders.db", *postgres = NULL, *often = "at-least-once";
    const struct service_flag flags[] = {
        {"port", "[HOST:]PORT", "where it takes orders; port 0 is any free one (default: 8080)", &port},
        {"database", "FILE", "where the orders are kept, in SQLite (default: orders.db)", &file},
        {"postgres", "CONNINFO", "keep them in PostgreSQL instead: \"host=… dbname=…\"", &postgres},
        {"guarantee", "WORD", "events are sent at-least-once (default) or exactly-once", &often},
        {0}};
    const struct service_event events[] = {{"orders", order_created_schema}, {0}};
    struct service service = {.name = "order",
                              .purpose = "Takes orders by POST /orders.",
                              .flags = flags,
                              .events = events,
                              .kind = SERVICE_FRONT};
    kur_guarantee guarantee;
    if (!service_begin(&service, argc, argv) || !service_guarantee(&service, often, &guarantee))
        return service.status;
    kur_error error = {0};
    struct shop shop = {.service = &service, .store = store_open(file, postgres, table, &error)};
    kur_client *client = service_client(&service, &error);
    kur_database_migrate(store_database(shop.store), 0, &error);
    shop.outbox = kur_outbox_new(client, store_database(shop.store), NULL, &error);
    /* When this is killed, the next one waits so long. Brokers refuse less than 6 s of exactly-once. */
    kur_relay *relay = kur_relay_new(shop.outbox, &KUR_RELAY_OPTIONS(.guarantee = guarantee, .lease_ms = 6000), &error);
    if (relay != NULL)
        serve(&shop, client, relay, port, &error);
    kur_relay_free(relay);
    kur_outbox_free(shop.outbox);
    kur_client_unref(client);
    store_close(shop.store);
    return service_end(&service, error.code, &error);
}
