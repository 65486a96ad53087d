/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Exactly-once in the shell: what its two threads share. The control thread's part is exactly_once.c, the other one's
 * exactly_once_thread.c.
 */
#ifndef KURIER_PATTERNS_LISTENER_EXACTLY_ONCE_H
#define KURIER_PATTERNS_LISTENER_EXACTLY_ONCE_H

#include "listener/shell.h"

enum kur__exactly_stage {
    KUR__SET_NONE = 0,
    KUR__SET_GIVEN,
    KUR__SET_OVER
};

enum kur__exactly_outcome {
    KUR__ABORTED = 0,
    KUR__COMMITTED,
    KUR__LOOKED /* nobody has said, but it is known what the group has */
};

/* What has to be done before a transaction can begin. */
enum kur__exactly_need {
    KUR__NEED_NOTHING = 0,
    KUR__NEED_PRODUCER,
    KUR__NEED_INIT,
    KUR__NEED_ABORT,
    KUR__NEED_REPLACE
};

struct kur__part {
    kur__source *source;
    char *text;    /* NULL: none */
    bool is_there; /* the group has what was sent */
};

struct kur__exactly {
    kur_listener *listener;
    char *id;
    kur_producer *producer; /* the thread's, once that runs */
    kur_consumer *reader;   /* asks what the group has; made when it is needed */
    kur_arena *arena;
    enum kur__exactly_need need;
    bool is_unknown; /* an abort came too late for a commit, perhaps */
    int64_t begun_us;

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards the sleep of the thread */
    pthread_cond_t changed;
    atomic_int stage;
    atomic_bool ends, gives_up;

    /* The set: the thread's while GIVEN, else the control thread's. */
    kur_group_metadata *group;
    kur_position *positions;
    struct kur__part *parts;
    size_t count, capacity;
    enum kur__exactly_outcome outcome;
    kur_error error;   /* of the first that failed; fatal: the listener ends */
    kur_error refusal; /* of an event that was refused */
    _Atomic int64_t next_warning_us;
};

void *kur__exactly_run(void *exactly);

/* A producer; it has to be inited. */
kur_status kur__exactly_make_producer(struct kur__exactly *exactly, kur_error *error);

/* A step towards where a transaction can begin; before the thread runs, also elsewhere. */
kur_status kur__exactly_get_ready(struct kur__exactly *exactly, int timeout_ms, kur_error *error);

#endif
