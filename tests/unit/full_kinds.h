/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A record that has something in every field.
 */
#ifndef KURIER_TESTS_FULL_KINDS_H
#define KURIER_TESTS_FULL_KINDS_H

#include <string.h>

#include "shop.h"

/* What a valid `kinds` points to. */
struct full_kinds {
    struct kinds kinds;
    const char *words[2];
    KUR_ITEM(kinds, grid) grid[2];
    int32_t numbers[3];
    KUR_ITEM(kinds, weights) weights[2];
    KUR_ITEM(kinds, flags) flags[2];
    bool truths[2];
    KUR_ITEM(kinds, days) days[2];
};

static inline void full_kinds_fill(struct full_kinds *full)
{
    memset(full, 0, sizeof *full);
    full->words[0] = "w0";
    full->words[1] = "w1";
    memcpy(full->numbers, (int32_t[]){1, 2, 3}, sizeof full->numbers);
    full->grid[0].items = full->numbers;
    full->grid[0].count = 2;
    full->grid[1].items = full->numbers + 2;
    full->grid[1].count = 1;
    full->weights[0].key = "a";
    full->weights[0].value = 0.5;
    full->weights[1].key = "b";
    full->weights[1].value = -2;
    full->truths[0] = true;
    full->flags[0].key = "x";
    full->flags[0].value.items = full->truths;
    full->flags[0].value.count = 2;
    full->flags[1].key = "y";
    full->days[0].has = true;
    full->days[0].value = 1;

    struct kinds *kinds = &full->kinds;
    kinds->text = "text";
    kinds->raw = kur_bytes_of("\0\1\2", 3);
    kinds->yes = true;
    kinds->small = -5;
    kinds->large = INT64_MAX;
    kinds->narrow = 0.1f;
    kinds->wide = 0.1;
    kinds->at = 1500000;
    kinds->day = 31;
    kinds->amount = -12345;
    memset(kinds->id.bytes, 0xab, sizeof kinds->id.bytes);
    kinds->shade = colour_dark_green;
    kinds->maybe.has = true;
    kinds->maybe.value = 9;
    kinds->words.items = full->words;
    kinds->words.count = 2;
    kinds->grid.items = (void *)full->grid;
    kinds->grid.count = 2;
    kinds->weights.items = (void *)full->weights;
    kinds->weights.count = 2;
    kinds->flags.items = (void *)full->flags;
    kinds->flags.count = 2;
    kinds->gift.has = true;
    kinds->gift.value.sku = "s";
    kinds->gift.value.quantity = 1;
    kinds->days.items = (void *)full->days;
    kinds->days.count = 2;
    kinds->mark.has = true;
    memcpy(kinds->mark.value.data, "\0\1\2\xff", 4);
}

#endif
