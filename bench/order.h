/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The event that benches publish and read: an order with three lines.
 */
#ifndef KURIER_BENCH_ORDER_H
#define KURIER_BENCH_ORDER_H

#include <kurier/kurier.h>

#define ORDER_LINE(F, S)                                                                                               \
    F(S, STRING, sku, .min_length = 1)                                                                                 \
    F(S, INT32, quantity, .default_text = "1", .min = "1")                                                             \
    F(S, DECIMAL(12, 2), price, .min = "0")
KUR_RECORD(order_line, ORDER_LINE);

#define ORDER_CREATED(F, S)                                                                                            \
    F(S, STRING, order_id, .flags = KUR_KEY, .min_length = 1)                                                          \
    F(S, STRING, customer_id, .min_length = 1)                                                                         \
    F(S, TIMESTAMP, placed_at)                                                                                         \
    F(S, LIST(RECORD(order_line)), lines, .min_length = 1)                                                             \
    F(S, OPTIONAL(STRING), coupon)
KUR_EVENT(order_created, "shop.order.created", 1, ORDER_CREATED);

enum {
    ORDERS = 16,
    ORDER_LINES = 3
};

/* ORDERS different orders, the same at each call. */
const struct order_created *orders(void);

/* What makes the envelope's seventh ce_ header, ce_causationid; with content-type it has eight headers then. */
#define ORDER_CAUSE "0192f0c4-5a3b-7c1d-8e2f-3a4b5c6d7e8f"

#endif
