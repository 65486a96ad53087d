/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A user's own types, seen from C and from C++. The names of some kinds are macros of the user's: no harm comes of it.
 */
#ifndef SHOP_H
#define SHOP_H

#define STRING "a macro of the user's"
#define UUID 7
#include <kurier/kurier.h>

#define ORDER_STATUS(F, S)                                                                                             \
    F(S, placed)                                                                                                       \
    F(S, on_hold, .json = "on-hold")                                                                                   \
    F(S, other)
KUR_ENUM(order_status, ORDER_STATUS);

#define ORDER_LINE(F, S)                                                                                               \
    F(S, STRING, sku, .min_length = 1)                                                                                 \
    F(S, INT32, quantity, .default_text = "1", .min = "1")
KUR_RECORD(order_line, ORDER_LINE);

#define ORDER_PLACED(F, S)                                                                                             \
    F(S, STRING, order_id, .flags = KUR_KEY)                                                                           \
    F(S, BYTES, receipt, .default_text = "")                                                                           \
    F(S, BOOL, gift, .default_text = "false")                                                                          \
    F(S, INT64, number, .default_text = "0")                                                                           \
    F(S, FLOAT, weight, .default_text = "0")                                                                           \
    F(S, DOUBLE, share, .default_text = "0.5")                                                                         \
    F(S, TIMESTAMP, placed_at, .default_text = "2026-01-01T00:00:00Z")                                                 \
    F(S, DATE, due, .default_text = "2026-01-02")                                                                      \
    F(S, DECIMAL(12, 2), total, .default_text = "0.00")                                                                \
    F(S, UUID, trace, .default_text = "00000000-0000-0000-0000-000000000000")                                          \
    F(S, FIXED(4), mark, .doc = "of the label", .aliases = "label")                                                    \
    F(S, ENUM(order_status), status, .default_text = "placed")                                                         \
    F(S, RECORD(order_line), first)                                                                                    \
    F(S, OPTIONAL(LIST(FIXED(16))), hashes, .avro_name = "shop.hash")                                                  \
    F(S, OPTIONAL(STRING), coupon)                                                                                     \
    F(S, LIST(RECORD(order_line)), lines, .default_text = "[]")                                                        \
    F(S, MAP(LIST(OPTIONAL(INT32))), notes, .default_text = "{}")
KUR_EVENT(order_placed, "shop.order.placed", 2, ORDER_PLACED);

/* The source file beside the main one. */
KUR_BEGIN_DECLS
const char *use_everything(void);
KUR_END_DECLS

#endif
