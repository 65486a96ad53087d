/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Types that use every kind, for tests.
 */
#ifndef KURIER_TESTS_SHOP_H
#define KURIER_TESTS_SHOP_H

#include <kurier/typed.h>

#define COLOUR(F, S)                                                                                                   \
    F(S, red)                                                                                                          \
    F(S, dark_green, .json = "dark-green")                                                                             \
    F(S, other)
KUR_ENUM(colour, COLOUR);

#define ORDER_LINE(F, S)                                                                                               \
    F(S, STRING, sku, .min_length = 1, .max_length = 8)                                                                \
    F(S, INT32, quantity, .default_text = "1", .min = "1", .max = "999")                                               \
    F(S, DECIMAL(12, 2), price, .default_text = "0.00", .min = "0")
KUR_RECORD(order_line, ORDER_LINE);

#define ORDER_CREATED(F, S)                                                                                            \
    F(S, STRING, order_id, .flags = KUR_KEY, .min_length = 1)                                                          \
    F(S, TIMESTAMP, placed_at)                                                                                         \
    F(S, LIST(RECORD(order_line)), lines, .min_length = 1)                                                             \
    F(S, OPTIONAL(STRING), coupon)
KUR_EVENT(order_created, "shop.order.created", 1, ORDER_CREATED);

/* Every kind, and containers in containers. */
#define KINDS(F, S)                                                                                                    \
    F(S, STRING, text)                                                                                                 \
    F(S, BYTES, raw)                                                                                                   \
    F(S, BOOL, yes)                                                                                                    \
    F(S, INT32, small)                                                                                                 \
    F(S, INT64, large)                                                                                                 \
    F(S, FLOAT, narrow)                                                                                                \
    F(S, DOUBLE, wide)                                                                                                 \
    F(S, TIMESTAMP, at)                                                                                                \
    F(S, DATE, day)                                                                                                    \
    F(S, DECIMAL(18, 4), amount)                                                                                       \
    F(S, UUID, id)                                                                                                     \
    F(S, ENUM(colour), shade)                                                                                          \
    F(S, OPTIONAL(INT64), maybe)                                                                                       \
    F(S, LIST(STRING), words)                                                                                          \
    F(S, LIST(LIST(INT32)), grid)                                                                                      \
    F(S, MAP(DOUBLE), weights)                                                                                         \
    F(S, MAP(LIST(BOOL)), flags)                                                                                       \
    F(S, OPTIONAL(RECORD(order_line)), gift)                                                                           \
    F(S, LIST(OPTIONAL(DATE)), days)                                                                                   \
    F(S, OPTIONAL(FIXED(4)), mark)
KUR_RECORD(kinds, KINDS);

/* Names on the wire, defaults of every kind that has them, and nothing unknown. */
#define SETTINGS(F, S)                                                                                                 \
    F(S, STRING, display_name, .default_text = "none \"yet\"")                                                         \
    F(S, BOOL, is_on, .default_text = "true")                                                                          \
    F(S, DOUBLE, share_of_all, .default_text = "0.5", .min = "0", .max = "1")                                          \
    F(S, DATE, first_day, .default_text = "2026-01-31")                                                                \
    F(S, ENUM(colour), shade, .default_text = "dark-green")                                                            \
    F(S, LIST(STRING), all_tags, .default_text = "[]", .json = "tags")                                                 \
    F(S, INT64, serial_number, .default_text = "-9223372036854775808", .flags = KUR_KEY)
KUR_RECORD(settings, SETTINGS);

/* A record that holds its own kind. */
#define TREE(F, S)                                                                                                     \
    F(S, INT32, value)                                                                                                 \
    F(S, LIST(RECORD(tree)), children, .default_text = "[]")
KUR_RECORD(tree, TREE);

#endif
