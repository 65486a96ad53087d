/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Lanes: the unit of order. A lane is (partition, key), or the partition; one record of it runs at a time, or some in
 * one batch, the others wait in the order of their offsets. Lanes live with the process and not with an assignment:
 * what still runs for a partition that went and came back keeps its lane until it returns. The partitions of a topic's
 * retry topics have their lanes in the topic's own partition of that number: one key never runs twice at once.
 */
#ifndef KURIER_PATTERNS_LISTENER_LANE_H
#define KURIER_PATTERNS_LISTENER_LANE_H

#include <kurier/bytes.h>

struct kur__work;
struct kur__partition;

typedef struct kur__lane {
    struct kur__lane *next; /* in its bucket */
    struct kur__partition *partition;
    struct kur__work *current;      /* ready, parked for a retry, or running: the first of those that were taken */
    struct kur__work *first, *last; /* waiting behind it */
    struct kur__origin *origins;    /* of records under retry, the smallest: ordered.c */
    uint64_t hash;
    uint32_t taken;    /* together, and not through */
    uint32_t out;      /* of these, not returned */
    uint32_t rejected; /* nobody has taken them over yet: none of the lane runs */
    uint32_t early;    /* parked until they are due, and only then in the lane */
    uint32_t key_size;
    bool is_swept; /* in kur__lanes_sweep */
    unsigned char key[];
} kur__lane;

/* Starts as {0}. */
typedef struct kur__lanes {
    kur__lane **buckets; /* a power of two of them */
    size_t capacity, count;
    kur__lane *spare; /* a few that are free, for short keys */
    size_t spares;
    uint64_t seed; /* of the hash, so that nobody outside can choose keys that collide */
} kur__lanes;

/* Whether nothing of it is on its way: who comes is the next. */
static inline bool kur__lane_is_free(const kur__lane *lane)
{
    return lane->current == NULL && lane->rejected == 0;
}

/* Whether nothing needs it. */
static inline bool kur__lane_is_idle(const kur__lane *lane)
{
    return kur__lane_is_free(lane) && lane->early == 0 && lane->origins == NULL;
}

/* Of a key's bytes. Whoever does not know the seed cannot choose keys that collide. */
uint64_t kur__key_hash(uint64_t seed, kur_bytes key);

/* The lane of a key, made when it is not there; NULL without memory. A key of no bytes is a key. */
kur__lane *kur__lanes_get(kur__lanes *lanes, struct kur__partition *partition, kur_bytes key);

/* Gives a lane back in which nothing runs and nothing waits. */
void kur__lanes_put(kur__lanes *lanes, kur__lane *lane);

/* All lanes must have been given back. */
void kur__lanes_done(kur__lanes *lanes);

#endif
