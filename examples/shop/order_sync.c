/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Order, the other way: calls each service, one after the other, and answers 201 Created when all are done. The demo
 * compares it with order.c. It has to know all the others, is as slow as all of them together, and fails when one
 * fails.
 */
#include <kurier/sys/clock.h>
#include <stdio.h>

#include "chain.h"
#include "orders.h"
#include "service.h"

struct shop {
    const struct service *service;
    struct chain chain;
    struct orders *orders;
};

static void post_order(const struct http_request *request, struct http_answer *answer, void *user)
{
    struct shop *shop = user;
    struct order_created order;
    kur_error error = {0};
    if (!orders_read(request, &order, answer))
        return;
    int64_t begun_us = kur_clock_monotonic_us();
    if (chain_call(&shop->chain, &order, &error) != KUR_OK) {
        service_say(shop->service, order.order_id, "failed: %s", error.message);
        http_problem(answer, 502, "%s", error.message);
        return;
    }
    if (orders_put(shop->orders, &order, &error) != KUR_OK) {
        http_problem(answer, 503, "%s", error.message);
        return;
    }
    orders_advance(shop->orders, order.order_id, order_state_completed);
    orders_receipt(answer, 201, order.order_id, order_state_completed);
    service_say(shop->service, order.order_id, "%s: created in %.1f ms", order.customer,
                (double)(kur_clock_monotonic_us() - begun_us) / 1000);
}

static void get_order(const struct http_request *request, struct http_answer *answer, void *user)
{
    struct shop *shop = user;
    orders_show(shop->orders, request, answer);
}

int main(int argc, char **argv)
{
    const char *port = "8080", *urls = "";
    const struct service_flag flags[] = {
        {"port", "[HOST:]PORT", "where it takes orders; port 0 is any free one (default: 8080)", &port},
        {"call", "URL[,URL]", "the services to call, started with --http", &urls},
        {0}};
    struct service service = {.name = "order-sync",
                              .purpose = "Takes orders by POST /orders and calls each service before it answers.",
                              .flags = flags,
                              .kind = SERVICE_CALLER};
    if (!service_begin(&service, argc, argv))
        return service.status;

    kur_error error = {0};
    struct shop shop = {.service = &service, .orders = orders_new()};
    const struct http_route routes[] = {{"POST", "/orders", post_order}, {"GET", "/orders/", get_order}, {0}};
    http_server *http = NULL;
    if (chain_init(&shop.chain, urls, &error) == KUR_OK && shop.orders != NULL)
        http = http_start(
            &(struct http_options){.address = port, .flag = "port", .threads = true, .routes = routes, .user = &shop},
            &error);
    if (http != NULL) {
        service_say(&service, "", "takes orders at %s/orders", http_url(http));
        service_wait();
    }
    http_stop(http);
    orders_free(shop.orders);
    return service_end(&service, error.code, &error);
}
