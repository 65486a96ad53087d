/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: records whose keys are under retry. They are found by lane, offset and time in a table, and each lane
 * has a heap of its own in which the smallest offset is on top: one with pointers, for any of them may go at any time,
 * and thousands may belong to one key. (A pairing heap: to put one in is one comparison, to take one out costs about
 * the logarithm in the long run, whatever order they come in.)
 *
 * Memory comes in chunks and is kept until the end.
 */
#include "listener/origins.h"

#include <kurier/sys/memory.h>

enum {
    BUCKETS_MIN = 64,
    ORIGINS_IN_CHUNK = 128
};

struct kur__origin_chunk {
    struct kur__origin_chunk *next;
    kur__origin origins[ORIGINS_IN_CHUNK];
};

/* ---- The heap of a lane ---- */

static bool is_before(const kur__origin *a, const kur__origin *b)
{
    return a->offset != b->offset ? a->offset < b->offset : a->stamp_us < b->stamp_us;
}

/* Two heaps, each without siblings, are one. */
static kur__origin *meld(kur__origin *a, kur__origin *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (is_before(b, a)) {
        kur__origin *c = a;
        a = b;
        b = c;
    }
    b->sibling = a->child;
    b->previous = a;
    if (a->child != NULL)
        a->child->previous = b;
    a->child = b;
    return a;
}

/* Siblings become one heap: in pairs, then from the last pair to the first. */
static kur__origin *meld_all(kur__origin *first)
{
    kur__origin *pairs = NULL, *root = NULL;
    while (first != NULL) {
        kur__origin *a = first, *b = a->sibling;
        first = b != NULL ? b->sibling : NULL;
        a->sibling = a->previous = NULL;
        if (b != NULL)
            b->sibling = b->previous = NULL;
        kur__origin *pair = meld(a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    while (pairs != NULL) {
        kur__origin *pair = pairs;
        pairs = pair->sibling;
        pair->sibling = NULL;
        root = meld(root, pair);
    }
    return root;
}

static void take_out(kur__origin *origin)
{
    kur__lane *lane = origin->lane;
    kur__origin *rest = meld_all(origin->child), *previous = origin->previous;
    if (previous == NULL) {
        lane->origins = rest;
        return;
    }
    if (previous->child == origin)
        previous->child = origin->sibling;
    else
        previous->sibling = origin->sibling;
    if (origin->sibling != NULL)
        origin->sibling->previous = previous;
    lane->origins = meld(lane->origins, rest);
}

/* ---- The table ---- */

static size_t bucket_of(const kur__lane *lane, int64_t offset, size_t capacity)
{
    uint64_t hash = (lane->hash ^ (uint64_t)offset) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(hash >> 32) & (capacity - 1);
}

static bool grow(kur__origins *origins)
{
    size_t capacity = origins->capacity == 0 ? BUCKETS_MIN : origins->capacity * 2;
    kur__origin **buckets = kur_calloc(capacity, sizeof *buckets);
    if (buckets == NULL)
        return origins->capacity > 0; /* longer chains then, but nothing wrong */
    for (size_t i = 0; i < origins->capacity; i++)
        for (kur__origin *one = origins->buckets[i], *next; one != NULL; one = next) {
            kur__origin **bucket = &buckets[bucket_of(one->lane, one->offset, capacity)];
            next = one->next;
            one->next = *bucket;
            *bucket = one;
        }
    kur_free(origins->buckets);
    origins->buckets = buckets;
    origins->capacity = capacity;
    return true;
}

kur__origin *kur__origin_new(kur__origins *origins)
{
    if (origins->count >= origins->capacity && !grow(origins))
        return NULL;
    if (origins->free == NULL) {
        struct kur__origin_chunk *chunk = kur_malloc(sizeof *chunk);
        if (chunk == NULL)
            return NULL;
        chunk->next = origins->chunks;
        origins->chunks = chunk;
        for (int i = ORIGINS_IN_CHUNK - 1; i >= 0; i--) {
            chunk->origins[i].next = origins->free;
            origins->free = &chunk->origins[i];
        }
    }
    kur__origin *origin = origins->free;
    origins->free = origin->next;
    *origin = (kur__origin){.at = KUR__ON_ITS_WAY};
    return origin;
}

void kur__origin_free(kur__origins *origins, kur__origin *origin)
{
    if (origin->lane != NULL) {
        kur__origin **at = &origins->buckets[bucket_of(origin->lane, origin->offset, origins->capacity)];
        while (*at != origin)
            at = &(*at)->next;
        *at = origin->next;
        take_out(origin);
        origins->count--;
    }
    origin->next = origins->free;
    origins->free = origin;
}

void kur__origin_link(kur__origins *origins, kur__origin *origin, kur__lane *lane)
{
    kur__origin **bucket = &origins->buckets[bucket_of(lane, origin->offset, origins->capacity)];
    origin->lane = lane;
    origin->next = *bucket;
    *bucket = origin;
    lane->origins = meld(lane->origins, origin);
    origins->count++;
}

kur__origin *kur__origin_find(const kur__origins *origins, const kur__lane *lane, int64_t offset, int64_t stamp_us)
{
    kur__origin *origin = origins->buckets[bucket_of(lane, offset, origins->capacity)];
    while (origin != NULL && (origin->lane != lane || origin->offset != offset || origin->stamp_us != stamp_us))
        origin = origin->next;
    return origin;
}

kur__origin *kur__origin_next(const kur__origins *origins, kur__origin_walk *walk)
{
    while (walk->next == NULL && walk->bucket < origins->capacity)
        walk->next = origins->buckets[walk->bucket++];
    kur__origin *origin = walk->next;
    if (origin != NULL)
        walk->next = origin->next;
    return origin;
}

void kur__origins_done(kur__origins *origins)
{
    while (origins->chunks != NULL) {
        struct kur__origin_chunk *next = origins->chunks->next;
        kur_free(origins->chunks);
        origins->chunks = next;
    }
    kur_free(origins->buckets);
    *origins = (kur__origins){0};
}
