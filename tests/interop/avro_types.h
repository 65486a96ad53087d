/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The order of the Avro suite: every kind that other clients have a value for, and the same event as a later program
 * has it, with another field, without some, with other names, wider numbers and fewer symbols.
 */
#ifndef KURIER_TESTS_INTEROP_AVRO_TYPES_H
#define KURIER_TESTS_INTEROP_AVRO_TYPES_H

#include <kurier/kurier.h>

#define GRADE(F, S)                                                                                                    \
    F(S, good)                                                                                                         \
    F(S, fair)                                                                                                         \
    F(S, other)
KUR_ENUM(grade, GRADE);

#define CUSTOMER(F, S)                                                                                                 \
    F(S, STRING, name, .doc = "as it is \"spelled\", ü too")                                                           \
    F(S, OPTIONAL(STRING), email)
KUR_RECORD(customer, CUSTOMER);

#define LINE(F, S)                                                                                                     \
    F(S, STRING, sku)                                                                                                  \
    F(S, INT32, quantity, .default_text = "1")                                                                         \
    F(S, DECIMAL(12, 2), price)                                                                                        \
    F(S, OPTIONAL(STRING), remark)
KUR_RECORD(line, LINE);

#define ORDER(F, S)                                                                                                    \
    F(S, UUID, id, .flags = KUR_KEY)                                                                                   \
    F(S, TIMESTAMP, created_at)                                                                                        \
    F(S, TIMESTAMP, packed_at, .flags = KUR_MILLIS)                                                                    \
    F(S, DATE, due)                                                                                                    \
    F(S, RECORD(customer), customer, .doc = "who pays")                                                                \
    F(S, LIST(RECORD(line)), lines)                                                                                    \
    F(S, DECIMAL(18, 4), total)                                                                                        \
    F(S, ENUM(grade), grade, .default_text = "good")                                                                   \
    F(S, OPTIONAL(DOUBLE), discount)                                                                                   \
    F(S, OPTIONAL(RECORD(customer)), gift_to)                                                                          \
    F(S, OPTIONAL(TIMESTAMP), paid_at)                                                                                 \
    F(S, MAP(INT64), counts)                                                                                           \
    F(S, MAP(LIST(STRING)), labels, .default_text = "{}")                                                              \
    F(S, LIST(LIST(INT32)), grid)                                                                                      \
    F(S, BYTES, scan)                                                                                                  \
    F(S, FIXED(4), hash)                                                                                               \
    F(S, BOOL, express)                                                                                                \
    F(S, FLOAT, weight)                                                                                                \
    F(S, DOUBLE, volume)                                                                                               \
    F(S, INT64, number)
KUR_EVENT(order, "interop.order", 1, ORDER);

#define GRADE_LATER(F, S)                                                                                              \
    F(S, good)                                                                                                         \
    F(S, other)
KUR_ENUM(grade_later, GRADE_LATER);

#define LINE_LATER(F, S)                                                                                               \
    F(S, DECIMAL(12, 2), price)                                                                                        \
    F(S, STRING, article, .aliases = "sku")                                                                            \
    F(S, INT64, quantity, .default_text = "1")                                                                         \
    F(S, STRING, unit, .default_text = "piece")
KUR_RECORD(line_later, LINE_LATER);

#define ORDER_LATER(F, S)                                                                                              \
    F(S, UUID, id, .flags = KUR_KEY)                                                                                   \
    F(S, LIST(RECORD(line_later)), lines)                                                                              \
    F(S, ENUM(grade_later), grade)                                                                                     \
    F(S, STRING, channel, .default_text = "web")                                                                       \
    F(S, OPTIONAL(INT32), points)                                                                                      \
    F(S, INT64, serial, .aliases = "count number")                                                                     \
    F(S, DECIMAL(18, 4), total)                                                                                        \
    F(S, OPTIONAL(DATE), due)                                                                                          \
    F(S, DOUBLE, weight)
KUR_EVENT(order_later, "interop.order", 1, ORDER_LATER);

#endif
