/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * JSON from outside, by the types of the tests: the first byte says by which, the rest is the JSON.
 */
#include "round_trip.h"
#include "shop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const kur_type *const types[] = {&kinds_type, &order_created_type, &settings_type, &tree_type};
    if (size == 0)
        return 0;
    kur_arena *arena = kur_arena_new();
    round_trip(types[data[0] % 4], kur_bytes_of(data + 1, size - 1), arena);
    kur_arena_free(arena);
    return 0;
}
