/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A listener's own topics: those in which records wait for their next attempt, and its dead letters. topics.c knows
 * their names.
 */
#ifndef KURIER_PATTERNS_LISTENER_TOPICS_H
#define KURIER_PATTERNS_LISTENER_TOPICS_H

#include "listener/shell.h"

enum {
    KUR__TIERS = KUR_TIER_DEAD + 1
};

/* A topic that is listened to, with what belongs to it; there as long as the listener is. */
struct kur__family {
    struct kur__family *next;
    const char *names[KUR__TIERS]; /* the topic itself first; NULL: there are no dead letters in a topic */
    const char *const *routes;     /* dead letters by route, in the order of the options */
    const char *const *read;       /* retry topics that are read with it; ends with NULL */
    const char *const *dead;       /* topics of dead letters, each once; likewise */
};

/* A name of a family's. */
struct kur__tier_name {
    struct kur__tier_name *next; /* in its bucket */
    const char *name;
    const struct kur__family *family;
    kur_tier tier;
};

struct kur__tiers {
    kur_listener *listener;
    kur_retry_topics options; /* with defaults; what they point to is in the arena */
    bool has_dead_letters;    /* in a topic */
    bool keeps_order;
    kur_arena *arena; /* the control thread's, once that runs */
    kur_buffer name;  /* likewise */
    size_t route_count;
    struct kur__tier_name **buckets; /* as many as a power of two; the control thread's */
    size_t bucket_count, name_count;
    /* New ones come in front, made by one thread; any thread walks them. */
    _Atomic(struct kur__family *) first;
};

/* A topic that is listened to from now on, with the names of what is its own. */
kur_status kur__tiers_add(struct kur__tiers *tiers, const char *topic, const struct kur__family **added,
                          kur_error *error);

#endif
