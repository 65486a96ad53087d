/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A type with every kind whose names Avro allows, and bytes as they are written in tests.
 */
#ifndef KURIER_TESTS_AVRO_TYPES_H
#define KURIER_TESTS_AVRO_TYPES_H

#include <kurier/avro.h>
#include <kurier/fields.h>
#include <stdlib.h>

#define TONE(F, S)                                                                                                     \
    F(S, red)                                                                                                          \
    F(S, green)                                                                                                        \
    F(S, other)
KUR_ENUM(tone, TONE);

#define PART(F, S)                                                                                                     \
    F(S, STRING, sku, .min_length = 1, .max_length = 8)                                                                \
    F(S, INT32, quantity, .default_text = "1", .min = "1", .max = "999")                                               \
    F(S, DECIMAL(12, 2), price, .default_text = "0.00", .min = "0")
KUR_RECORD(part, PART);

#define EVERY(F, S)                                                                                                    \
    F(S, STRING, text)                                                                                                 \
    F(S, BYTES, raw)                                                                                                   \
    F(S, BOOL, yes)                                                                                                    \
    F(S, INT32, small)                                                                                                 \
    F(S, INT64, large)                                                                                                 \
    F(S, FLOAT, narrow)                                                                                                \
    F(S, DOUBLE, wide)                                                                                                 \
    F(S, TIMESTAMP, at)                                                                                                \
    F(S, TIMESTAMP, at_ms, .flags = KUR_MILLIS)                                                                        \
    F(S, DATE, day)                                                                                                    \
    F(S, DECIMAL(18, 4), amount)                                                                                       \
    F(S, UUID, id)                                                                                                     \
    F(S, FIXED(4), hash)                                                                                               \
    F(S, ENUM(tone), tone)                                                                                             \
    F(S, OPTIONAL(INT64), maybe)                                                                                       \
    F(S, LIST(STRING), words)                                                                                          \
    F(S, LIST(LIST(INT32)), grid)                                                                                      \
    F(S, MAP(DOUBLE), weights)                                                                                         \
    F(S, MAP(LIST(BOOL)), flags)                                                                                       \
    F(S, OPTIONAL(RECORD(part)), gift)                                                                                 \
    F(S, LIST(OPTIONAL(DATE)), days)
KUR_RECORD(every, EVERY);

/* A record that holds its own kind. */
#define BRANCH(F, S)                                                                                                   \
    F(S, INT32, value)                                                                                                 \
    F(S, LIST(RECORD(branch)), children, .default_text = "[]")
KUR_RECORD(branch, BRANCH);

/* Bytes of hexadecimal digits, in an arena; spaces do not count. */
static inline kur_bytes bytes_of_hex(const char *hex, kur_arena *arena)
{
    uint8_t *bytes = kur_arena_alloc(arena, strlen(hex) / 2 + 1);
    size_t count = 0;
    for (; *hex != '\0'; hex++) {
        char pair[3] = {hex[0], hex[0] != ' ' ? hex[1] : '\0', '\0'};
        if (*hex == ' ')
            continue;
        bytes[count++] = (uint8_t)strtoul(pair, NULL, 16);
        hex++;
    }
    return kur_bytes_of(bytes, count);
}

#endif
