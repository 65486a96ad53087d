/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A listener's own topics: those in which records wait for their next attempt, and its dead letters. topics.c knows
 * their names, topics_spec.c how they should be; topics_start.c makes or checks them, on a thread of its own, for as
 * long as some are not there.
 */
#ifndef KURIER_PATTERNS_LISTENER_TOPICS_H
#define KURIER_PATTERNS_LISTENER_TOPICS_H

#include "listener/shell.h"

enum {
    KUR__TIERS = KUR_TIER_DEAD + 1
};

/* What is known of one of its own topics. Any thread. */
struct kur__there {
    atomic_bool is_there;        /* what is not there yet is not to be written to */
    _Atomic int32_t fewer;       /* partitions from that number on are not there */
    _Atomic int64_t fewer_by_us; /* until it is tried again, for topics grow; of the monotonic clock */
};

/* A topic that is listened to, with what belongs to it; there as long as the listener is. */
struct kur__family {
    struct kur__family *next;
    const char *names[KUR__TIERS]; /* the topic itself first; NULL: there are no dead letters in a topic */
    const char *const *routes;     /* dead letters by route, in the order of the options */
    const char *const *retries;    /* retry topics that are made, each once; ends with NULL */
    const char *const *read;       /* those of them that are read with it; likewise */
    const char **companions;       /* these, and others that are there; the control thread's, once that runs */
    const char *const *dead;       /* topics of dead letters, each once; likewise */
    atomic_bool is_ready;          /* all of them are there, and as they are to be, or that has been told */
    struct kur__there *there;      /* tiers, then routes */
};

/* A topic that matches a pattern and can have no topics of its own. */
struct kur__refused {
    struct kur__refused *next;
    char topic[];
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
    const struct kur__family *seen; /* the one that was found last; likewise */
    atomic_bool has_others;         /* that are to be read, and are not yet */
    atomic_bool has_news;           /* a family has become ready: what waits to be forwarded can be */
    struct kur__refused *refused;   /* the control thread's */
    /* New ones come in front, made by one thread; any thread walks them. */
    _Atomic(struct kur__family *) first;

    /* ---- topics_start.c ---- */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards the sleep */
    pthread_cond_t changed;
    bool is_changed;
    atomic_bool ends;
    kur_admin *admin;
    kur_arena *answers;
    int question_ms; /* the time that one is given */
    _Atomic int64_t next_tell_us;
};

/* ---- What the listener asks and tells them: topics.c, topics_start.c ---- */

/* The names of its own topics, when it has such; on failure what was made is kur__tiers_free's. */
kur_status kur__tiers_new(kur_listener *listener, const kur_listener_options *options, bool is_by_topic,
                          bool keeps_order, kur_error *error);
void kur__tiers_free(kur_listener *listener);
/*
 * The name of a topic's tier; of dead letters of a cause (or NULL) by its route. NULL: the topic is not one that is
 * listened to, or there is no such topic. Valid as long as the listener; the control thread.
 */
const char *kur__topics_name(const kur_listener *listener, const char *main_topic, kur_tier tier, const char *cause);
/* What is known of that topic; NULL until it has been seen. Before, it must not be written to: a broker may make a
 * topic of its own kind of it. Likewise. */
struct kur__there *kur__topics_there(const kur_listener *listener, const char *main_topic, kur_tier tier,
                                     const char *cause);
/* The topic and tier that a topic belongs to, the topic itself to KUR_TIER_MAIN; false: none. Likewise. */
bool kur__topics_of(const kur_listener *listener, const char *topic, const char **main_topic, kur_tier *tier);
/* Makes or checks its own topics, and what is missing is waited for; stop waits for the thread. */
kur_status kur__tiers_start(kur_listener *listener, kur_error *error);
void kur__tiers_stop(kur_listener *listener);
/* The consumer's kur_companions_callback. */
kur_status kur__companions(kur_consumer *consumer, const char *topic, const char *const **companions, void *user,
                           kur_error *error);
/* Reads retry topics that have been found; the control thread. */
void kur__topics_serve(kur_listener *listener);
/* Forwards what waited for topics that are there now; likewise. */
void kur__topics_hear(kur_listener *listener, int64_t now_us);

/* ---- topics.c ---- */

/* The topic's family; NULL: it is not listened to. The control thread. */
const struct kur__family *kur__tiers_find(struct kur__tiers *tiers, const char *topic);
/* A topic that is listened to from now on, with the names of what is its own. */
kur_status kur__tiers_add(struct kur__tiers *tiers, const char *topic, const struct kur__family **added,
                          kur_error *error);

/* ---- topics_spec.c ---- */

/* How a family's topics should be, by how the topic is that they belong to; how many they are. */
size_t kur__tiers_specify(const struct kur__tiers *tiers, const struct kur__family *family,
                          const kur_topic_view *source, kur_topic_spec *specs);
/* Whether somebody should know of it. */
bool kur__tiers_matters(const struct kur__tiers *tiers, const kur_topic_difference *difference);
/* Appends the command that makes a topic; a difference with what mends it. */
kur_status kur__tiers_print_creation(const kur_topic_spec *spec, kur_buffer *line);
kur_status kur__tiers_print_mending(const kur_topic_difference *difference, kur_buffer *line);

#endif
