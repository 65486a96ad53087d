/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Order: takes orders by HTTP and tells the world of them. 202 Accepted means that the order stands in Kafka: the
 * answer waits for the broker's acknowledgement, and for nobody else. What the others make of it comes back as events,
 * for GET /orders/{id}.
 */
#include <kurier/sys/clock.h>
#include <stdio.h>

#include "orders.h"
#include "service.h"

enum {
    ACKNOWLEDGED_MS = 5000,
    ANSWER_MS = 10000,
    RETRY_AFTER_S = 2
};

struct shop {
    const struct service *service;
    kur_producer *producer;
    struct orders *orders;
};

/* What the customer hears of an order that the log has not acknowledged. */
static void refuse(struct shop *shop, const char *order_id, struct http_answer *answer, const kur_error *error)
{
    service_say(shop->service, order_id, "not taken: %s", error->message);
    if (error->code == KUR_ERROR_UNKNOWN_OUTCOME) {
        orders_receipt(answer, 504, order_id, order_state_unknown);
        http_problem(answer, 504, "it may or may not have been taken, see /orders/%s: %s", order_id, error->message);
        return;
    }
    orders_forget(shop->orders, order_id);
    answer->retry_after_s = RETRY_AFTER_S;
    http_problem(answer, 503, "not taken, try again: %s", error->message);
}

static void post_order(const struct http_request *request, struct http_answer *answer, void *user)
{
    struct shop *shop = user;
    struct order_created order;
    kur_error error = {0};
    if (!orders_read(request, &order, answer))
        return;
    /* Remembered first: the inventory may be quicker than the acknowledgement. */
    if (orders_put(shop->orders, &order, &error) != KUR_OK) {
        http_problem(answer, 503, "%s", error.message);
        return;
    }
    int64_t begun_us = kur_clock_monotonic_us();
    if (order_created_publish_wait(shop->producer, &order, NULL, ANSWER_MS, NULL, &error) != KUR_OK) {
        refuse(shop, order.order_id, answer, &error);
        return;
    }
    orders_advance(shop->orders, order.order_id, order_state_accepted);
    orders_receipt(answer, 202, order.order_id, order_state_accepted);
    service_say(shop->service, order.order_id, "%s: accepted in %.1f ms", order.customer,
                (double)(kur_clock_monotonic_us() - begun_us) / 1000);
}

static void get_order(const struct http_request *request, struct http_answer *answer, void *user)
{
    struct shop *shop = user;
    orders_show(shop->orders, request, answer);
}

static kur_outcome on_reserved(kur_delivery *delivery, const struct inventory_reserved *reserved, void *user)
{
    (void)delivery;
    struct shop *shop = user;
    orders_advance(shop->orders, reserved->order_id, order_state_reserved);
    return KUR_DONE;
}

static kur_outcome on_rejected(kur_delivery *delivery, const struct inventory_rejected *rejected, void *user)
{
    (void)delivery;
    struct shop *shop = user;
    orders_advance(shop->orders, rejected->order_id, order_state_rejected);
    return KUR_DONE;
}

/* HTTP on threads of its own, the listener on this one, until SIGTERM. */
static kur_status serve(struct shop *shop, kur_client *client, const char *port, kur_error *error)
{
    const struct http_route routes[] = {{"POST", "/orders", post_order}, {"GET", "/orders/", get_order}, {0}};
    kur_listener *listener = kur_listener_new(
        client, &KUR_LISTENER_OPTIONS(.group = shop->service->group, .topics = (const char *[]){"inventory", NULL}),
        error);
    inventory_reserved_on(listener, on_reserved, shop);
    inventory_rejected_on(listener, on_rejected, shop);
    http_server *http = NULL;
    if (listener != NULL)
        http = http_start(
            &(struct http_options){.address = port, .flag = "port", .threads = true, .routes = routes, .user = shop},
            error);
    if (http != NULL) {
        service_say(shop->service, "", "takes orders at %s/orders", http_url(http));
        kur_listener_run(listener, error);
    }
    http_stop(http);
    kur_listener_free(listener);
    return error->code;
}

int main(int argc, char **argv)
{
    const char *port = "8080", *queue_text = "256";
    int queue;
    const struct service_flag flags[] = {
        {"port", "[HOST:]PORT", "where it takes orders; port 0 is any free one (default: 8080)", &port},
        {"queue", "N", "orders that may wait for Kafka before others get 503 (default: 256)", &queue_text},
        {0}};
    struct service service = {.name = "order",
                              .purpose = "Takes orders by POST /orders and publishes them.",
                              .flags = flags,
                              .kind = SERVICE_FRONT};
    if (!service_begin(&service, argc, argv))
        return service.status;
    if (!service_number(&service, "queue", queue_text, 1, 100000, &queue))
        return 2;

    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = service.bootstrap,
                                                            .properties_file = service.properties_file,
                                                            .source = "/services/order", .log = kur_log_stderr),
                                        &error);
    /* A customer waits: no lingering, no waiting for room, and an end after 5 s. */
    struct shop shop = {.service = &service, .orders = orders_new()};
    shop.producer =
        kur_producer_new(client,
                         &KUR_PRODUCER_OPTIONS(.linger_ms = KUR_NONE, .queue_wait_ms = KUR_NONE, .queue_records = queue,
                                               .delivery_timeout_ms = ACKNOWLEDGED_MS),
                         &error);
    kur_status status = error.code;
    if (shop.producer != NULL && shop.orders != NULL)
        status = serve(&shop, client, port, &error);
    kur_producer_free(shop.producer);
    orders_free(shop.orders);
    kur_client_unref(client);
    return service_end(&service, status, &error);
}
