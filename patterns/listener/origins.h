/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Records whose keys are under retry, by where they came from: what ordered.c knows of them.
 */
#ifndef KURIER_PATTERNS_LISTENER_ORIGINS_H
#define KURIER_PATTERNS_LISTENER_ORIGINS_H

#include "listener/lane.h"

enum {
    KUR__ON_ITS_WAY = -1,
    KUR__ANYWHERE = -2 /* it is there, and nobody has said where */
};

/*
 * A record whose key is under retry, by where it came from. Each record that is held of a main partition has one from
 * its admission, which is in its lane's heap and in the table only from the start of a forward.
 */
typedef struct kur__origin {
    struct kur__origin *next;                       /* in its bucket, or among the free ones */
    struct kur__origin *child, *sibling, *previous; /* in the heap of its lane */
    kur__lane *lane;                                /* NULL: its key is not under retry for its sake */
    struct kur__work *work;                         /* on its way, or its copy that lives; NULL: that is unread */
    struct kur__work *candidates;                   /* copies that were read while it was on its way, by `next` */
    int64_t offset;                                 /* in the main partition */
    int64_t stamp_us;                               /* its timestamp there: with the offset it is known by */
    int64_t at;                                     /* where the copy that lives is, in the retry topic */
    uint64_t through; /* on its way: the serial of the retry topic's source that it is for */
    int32_t attempts;
} kur__origin;

/* The table, and a heap for each lane. */
typedef struct kur__origins {
    kur__origin **buckets; /* a power of two of them */
    size_t capacity, count;
    kur__origin *free;
    struct kur__origin_chunk *chunks;
    /* ordered.c's. */
    uint64_t serial;       /* of the source that began last */
    int64_t dropped, lost; /* copies that were finished unread, and those that never came */
} kur__origins;

/* One that is not linked; NULL: no memory. */
kur__origin *kur__origin_new(kur__origins *origins);
/* Unlinks it when it is linked. */
void kur__origin_free(kur__origins *origins, kur__origin *origin);
void kur__origin_link(kur__origins *origins, kur__origin *origin, kur__lane *lane);
kur__origin *kur__origin_find(const kur__origins *origins, const kur__lane *lane, int64_t offset, int64_t stamp_us);
/* All that are linked, each once; it may be freed meanwhile, and no other. Begins with NULL. */
typedef struct kur__origin_walk {
    size_t bucket;
    kur__origin *next;
} kur__origin_walk;
kur__origin *kur__origin_next(const kur__origins *origins, kur__origin_walk *walk);
void kur__origins_done(kur__origins *origins);

#endif
