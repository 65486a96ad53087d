/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Sets of places in topics, by hashes of 64 bits: two of a million are taken for one with a chance of one in thirty
 * million.
 */
#include <kurier/sys/memory.h>

#include "redrive/redrive.h"

static size_t place_of(const kur__place_set *set, uint64_t origin)
{
    size_t at = (size_t)(origin ^ origin >> 32) & (set->capacity - 1);
    while (set->places[at] != 0 && set->places[at] != origin)
        at = (at + 1) & (set->capacity - 1);
    return at;
}

static bool grow(kur__place_set *set)
{
    kur__place_set larger = {.capacity = set->capacity > 0 ? 2 * set->capacity : 64, .count = set->count};
    larger.places = kur_calloc(larger.capacity, sizeof *larger.places);
    if (larger.places == NULL)
        return false;
    for (size_t i = 0; i < set->capacity; i++)
        if (set->places[i] != 0)
            larger.places[place_of(&larger, set->places[i])] = set->places[i];
    kur_free(set->places);
    *set = larger;
    return true;
}

bool kur__place_set_has(const kur__place_set *set, uint64_t origin)
{
    return set->capacity > 0 && set->places[place_of(set, origin)] != 0;
}

bool kur__place_set_add(kur__place_set *set, uint64_t origin)
{
    if (set->count * 4 >= set->capacity * 3 && !grow(set))
        return false;
    uint64_t *place = &set->places[place_of(set, origin)];
    set->count += *place == 0;
    *place = origin;
    return true;
}

/* FNV-1a of the topic, well mixed with the rest. */
uint64_t kur__place_hash(const char *topic, int32_t partition, int64_t offset)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *topic != '\0'; topic++)
        hash = (hash ^ (uint8_t)*topic) * UINT64_C(0x100000001b3);
    hash = (hash ^ (uint32_t)partition) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 29 ^ (uint64_t)offset) * UINT64_C(0xbf58476d1ce4e5b9);
    hash ^= hash >> 32;
    return hash != 0 ? hash : 1;
}
