/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What happens in the shop. These lists are all that the services know of each other.
 *
 *   topic orders      order.created       by order       read by email, inventory, fraud, shipping, analytics
 *   topic inventory   inventory.reserved  by inventory   read by shipping, order
 *                     inventory.rejected  by inventory   read by shipping, analytics, order
 */
#ifndef KURIER_SHOP_EVENTS_H
#define KURIER_SHOP_EVENTS_H

#include <kurier/typed.h>

/* An article, how many of it, and what they cost together. */
#define ORDER_LINE(F, S)                                                                                               \
    F(S, STRING, sku, .min_length = 1, .max_length = 64)                                                               \
    F(S, INT32, quantity, .default_text = "1", .min = "1", .max = "10000")                                             \
    F(S, DECIMAL(12, 2), amount, .min = "0")
KUR_RECORD(order_line, ORDER_LINE);

/* What POST /orders takes. `placed_at` is for orders that were placed elsewhere, or long ago. */
#define ORDER_REQUEST(F, S)                                                                                            \
    F(S, STRING, customer, .min_length = 1, .max_length = 200)                                                         \
    F(S, STRING, email, .min_length = 3, .max_length = 254)                                                            \
    F(S, LIST(RECORD(order_line)), lines, .min_length = 1, .max_length = 100)                                          \
    F(S, OPTIONAL(TIMESTAMP), placed_at)
KUR_RECORD(order_request, ORDER_REQUEST);

#define ORDER_CREATED(F, S)                                                                                            \
    F(S, STRING, order_id, .flags = KUR_KEY, .min_length = 1, .max_length = 64)                                        \
    F(S, TIMESTAMP, placed_at)                                                                                         \
    F(S, STRING, customer, .min_length = 1, .max_length = 200)                                                         \
    F(S, STRING, email, .min_length = 3, .max_length = 254)                                                            \
    F(S, LIST(RECORD(order_line)), lines, .min_length = 1, .max_length = 100)                                          \
    F(S, DECIMAL(16, 2), total, .min = "0")
KUR_EVENT(order_created, "shop.order.created", 1, ORDER_CREATED);

#define INVENTORY_RESERVED(F, S)                                                                                       \
    F(S, STRING, order_id, .flags = KUR_KEY, .min_length = 1, .max_length = 64)                                        \
    F(S, INT64, articles)
KUR_EVENT(inventory_reserved, "shop.inventory.reserved", 1, INVENTORY_RESERVED);

/* `sku` is the first article of which there was not enough. */
#define INVENTORY_REJECTED(F, S)                                                                                       \
    F(S, STRING, order_id, .flags = KUR_KEY, .min_length = 1, .max_length = 64)                                        \
    F(S, STRING, sku)
KUR_EVENT(inventory_rejected, "shop.inventory.rejected", 1, INVENTORY_REJECTED);

/*
 * What GET /orders/{id} says: how far the order has come, as far as the order service has heard. `unknown`: it may or
 * may not have been taken; `completed`: all the work was done before the answer.
 */
#define ORDER_STATE(F, S)                                                                                              \
    F(S, unknown)                                                                                                      \
    F(S, accepted)                                                                                                     \
    F(S, reserved)                                                                                                     \
    F(S, rejected)                                                                                                     \
    F(S, completed)
KUR_ENUM(order_state, ORDER_STATE);

#define ORDER_VIEW(F, S)                                                                                               \
    F(S, ENUM(order_state), state)                                                                                     \
    F(S, RECORD(order_created), order)
KUR_RECORD(order_view, ORDER_VIEW);

/* What POST /orders answers. */
#define ORDER_RECEIPT(F, S)                                                                                            \
    F(S, STRING, order_id)                                                                                             \
    F(S, ENUM(order_state), state)
KUR_RECORD(order_receipt, ORDER_RECEIPT);

#endif
