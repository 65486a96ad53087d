/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: looked up once for each record, so this is a table of our own: one allocation for a lane with its key,
 * none at all for keys that fit a spare one, and the hash is taken eight bytes at a time. The hash only finds the
 * bucket; lanes are the same when partition and key are, byte by byte.
 */
#include "listener/lane.h"

#include <kurier/sys/memory.h>
#include <string.h>

enum {
    BUCKETS_MIN = 256,
    SPARES_MAX = 4096,
    SPARE_KEY = 40 /* bytes of key that each lane has room for: a UUID's text and some */
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply and fold (after the idea of wyhash). */
uint64_t kur__key_hash(uint64_t seed, kur_bytes key)
{
    const unsigned char *at = key.data;
    uint64_t hash = mix(seed ^ UINT64_C(0x9e3779b97f4a7c15), key.size | 1u << 30);
    for (size_t left = key.size; left > 0;) {
        uint64_t part = 0;
        size_t size = left < sizeof part ? left : sizeof part;
        memcpy(&part, at, size);
        hash = mix(hash ^ part, UINT64_C(0xe7037ed1a0b428db));
        at += size;
        left -= size;
    }
    return hash ^ hash >> 29;
}

static void grow(kur__lanes *lanes)
{
    size_t capacity = lanes->capacity == 0 ? BUCKETS_MIN : lanes->capacity * 2;
    kur__lane **buckets = kur_calloc(capacity, sizeof *buckets);
    if (buckets == NULL)
        return; /* longer chains then, but nothing wrong */
    for (size_t i = 0; i < lanes->capacity; i++)
        for (kur__lane *lane = lanes->buckets[i], *next; lane != NULL; lane = next) {
            next = lane->next;
            lane->next = buckets[lane->hash & (capacity - 1)];
            buckets[lane->hash & (capacity - 1)] = lane;
        }
    kur_free(lanes->buckets);
    lanes->buckets = buckets;
    lanes->capacity = capacity;
}

static kur__lane *make(kur__lanes *lanes, size_t key_size)
{
    kur__lane *lane = lanes->spare;
    if (key_size > SPARE_KEY)
        return kur_malloc(sizeof *lane + key_size);
    if (lane == NULL)
        return kur_malloc(sizeof *lane + SPARE_KEY);
    lanes->spare = lane->next;
    lanes->spares--;
    return lane;
}

kur__lane *kur__lanes_get(kur__lanes *lanes, struct kur__partition *partition, kur_bytes key)
{
    if (key.size > UINT32_MAX)
        return NULL;
    uint64_t hash = kur__key_hash(lanes->seed ^ (uint64_t)(uintptr_t)partition, key);
    if (lanes->count >= lanes->capacity)
        grow(lanes);
    if (lanes->capacity == 0)
        return NULL;
    kur__lane **bucket = &lanes->buckets[hash & (lanes->capacity - 1)];
    for (kur__lane *lane = *bucket; lane != NULL; lane = lane->next)
        if (lane->hash == hash && lane->partition == partition && lane->key_size == key.size &&
            (key.size == 0 || memcmp(lane->key, key.data, key.size) == 0))
            return lane;
    kur__lane *lane = make(lanes, key.size);
    if (lane == NULL)
        return NULL;
    *lane = (kur__lane){.next = *bucket, .partition = partition, .hash = hash, .key_size = (uint32_t)key.size};
    if (key.size > 0)
        memcpy(lane->key, key.data, key.size);
    *bucket = lane;
    lanes->count++;
    return lane;
}

void kur__lanes_put(kur__lanes *lanes, kur__lane *lane)
{
    kur__lane **at = &lanes->buckets[lane->hash & (lanes->capacity - 1)];
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    lanes->count--;
    if (lane->key_size > SPARE_KEY || lanes->spares >= SPARES_MAX) {
        kur_free(lane);
        return;
    }
    lane->next = lanes->spare;
    lanes->spare = lane;
    lanes->spares++;
}

void kur__lanes_done(kur__lanes *lanes)
{
    while (lanes->spare != NULL) {
        kur__lane *next = lanes->spare->next;
        kur_free(lanes->spare);
        lanes->spare = next;
    }
    kur_free(lanes->buckets);
    *lanes = (kur__lanes){.seed = lanes->seed};
}
