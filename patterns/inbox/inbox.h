/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Inside an inbox: what its files share. What is done, and why it is known so: docs/decisions/inbox.md.
 *
 *     the listener's workers         handle.c: enter, the handler, commit, each on a connection of the pool (pool.c)
 *     the listener's control thread  partitions.c: told of starts, logs and commits; mover.c: of forwards
 *     the inbox's own thread         mover.c: forwards are kept, positions moved, old ids forgotten
 */
#ifndef KURIER_INBOX_INBOX_H
#define KURIER_INBOX_INBOX_H

#include <kurier/driver.h>
#include <kurier/inbox.h>
#include <pthread.h>
#include <stdatomic.h>

#include "listener/delivery.h"
#include "listener/keeper.h"

enum {
    KUR__INBOX_BUCKETS = 256
};

/* What a process knows of a partition; there until the inbox is freed. */
struct kur__inbox_partition {
    struct kur__inbox_partition *next;  /* in its bucket */
    struct kur__inbox_partition *older; /* of all */
    /* All below: guarded by the inbox's lock. */
    int64_t start;     /* behind all that was finished when it was begun with; -1: not known */
    bool has_holes;    /* not all below was */
    kur_uuid log;      /* its log, as the listener knows it: see kur__inbox_join */
    kur_uuid kept;     /* and as the database shall know it */
    bool is_committed; /* the group had committed its start */
    bool is_anew;      /* its log was found to be another one, and nobody has told the database */
    bool is_between;   /* since then it has not been opened: what is committed is still the old log's */
    bool is_used;      /* somebody has joined */
    unsigned changes;  /* of what the listener has said of it */
    int64_t epoch;     /* 0: to be asked for */
    int64_t moved;     /* `next` as far as it is known */
    int64_t committed; /* by the group; -1: nothing */
    int64_t tidy_us;   /* when it is moved once more to where it is; 0: it need not be */
    int32_t number;
    char topic[];
};

/* What was registered. One of `invoke` and `function`. */
struct kur__inbox_handler {
    struct kur__inbox_handler *next;
    kur_inbox *inbox;
    kur_inbox_invoke *invoke;
    kur_function *typed;
    kur_inbox_handler *function;
    void *user;
};

struct kur_inbox {
    kur_client *client;
    kur_database *database;
    const kur_driver *driver;
    char *consumer;
    int connections; /* at most */
    int64_t move_us, note_us;
    struct kur__keeper keeper;
    struct kur__inbox_handler *handlers;

    pthread_mutex_t lock;   /* guards all below, but for atomics */
    kur_listener *listener; /* NULL: it has gone */
    struct kur__inbox_partition *partitions[KUR__INBOX_BUCKETS], *newest;

    pthread_cond_t returned; /* a connection has been */
    void **idle;             /* connections that nobody has, the last one used first */
    int idle_count, open_count;

    pthread_t thread;
    bool has_thread, has_ended, ends, is_keeping; /* the listener has, the thread is to, it has forwards in hands */
    pthread_cond_t wake, kept;                    /* it has something to do; it has no forwards in hands */
    kur__work *forwards, *last_forward;
    bool has_moves;
    void *connection; /* the thread's own */

    _Atomic int64_t not_before_us; /* no connection could be had: none is tried for so long */
    atomic_int away;               /* how often in a row */
    _Atomic int64_t next_warning_us;
    _Atomic int64_t handled, passed, rolled_back, unknown, postponed, kept_open, failures;
};

/* ---- partitions.c ---- */

/* Any thread; made when it is not there. NULL: no memory. */
struct kur__inbox_partition *kur__inbox_partition(kur_inbox *inbox, const char *topic, int32_t number);
/*
 * On a connection without a transaction: the partition's epoch, asked for when it is not known. Where the log is
 * another one than the database knows, it begins anew there first.
 */
kur_status kur__inbox_join(kur_inbox *inbox, struct kur__inbox_partition *partition, void *connection, int64_t *epoch,
                           kur_error *error);
/* This epoch is not the one in force any more. */
void kur__inbox_forget_epoch(kur_inbox *inbox, struct kur__inbox_partition *partition, int64_t epoch);
kur_inbox_place kur__inbox_place(const kur_inbox *inbox, const struct kur__inbox_partition *partition, int64_t offset,
                                 int64_t epoch);

bool kur__inbox_opened(void *user, const kur__assignment *assignment, int64_t finished_to);
bool kur__inbox_anew(void *user, const char *topic, int32_t number);
void kur__inbox_committed(void *user, const char *topic, int32_t number, int64_t offset);

/* ---- pool.c ---- */

/* Waits for one; `is_fresh`: it was made just now. */
kur_status kur__inbox_take(kur_inbox *inbox, void **connection, bool *is_fresh, kur_error *error);
/* Gives it back; one that is not good is closed, and all that nobody has with it. */
void kur__inbox_return(kur_inbox *inbox, void *connection, bool is_good);
void kur__inbox_close_idle(kur_inbox *inbox);
/* Counts a failure of the database, and says so once in a while. */
void kur__inbox_failed(kur_inbox *inbox, const kur_error *error);

/* ---- handle.c ---- */

/* As the listener calls handlers; `user` is a kur__inbox_handler. */
kur_outcome kur__inbox_run_typed(kur_function *function, kur_delivery *delivery, const void *event, void *user);
kur_outcome kur__inbox_run_record(kur_delivery *delivery, void *user);

/* ---- mover.c ---- */

void kur__inbox_forwarded(void *user, kur_listener *listener, kur__work *work);
void kur__inbox_ended(void *user);
void *kur__inbox_thread(void *user);

#endif
