/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: with keep_order, how far a partition went when it was given to us. Whoever had it before may have
 * forwarded records there up to that moment, so it is asked of the broker, after the partition was given: what was
 * fetched before knows less. That waits for the broker, so it goes by a thread of its own, which is there when it is
 * needed first. It asks one partition after the other until each has an answer, and gives them to the control thread;
 * those whose source has ended meanwhile are of no use, and do no harm. As long as an end is not reached it is asked
 * for again: the log may have been cut since, and end sooner.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/thread.h>
#include <string.h>

#include "listener/shell.h"

enum {
    ASK_MS = 1000,
    PAUSE_MS = 100,
    AGAIN_US = 10 * 1000 * 1000
};

/* A question, and then its answer. */
struct end {
    struct end *next;
    uint64_t serial; /* of the source */
    int64_t end;
    int32_t partition;
    char topic[];
};

struct kur__ends {
    kur_listener *listener;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the lists */
    pthread_cond_t changed;
    struct end *asked, **last;
    struct end *answered;
    bool is_over;
    _Atomic int64_t next_warning_us;
};

/* ---- The thread ---- */

/* False: again later. */
static bool ask(struct kur__ends *ends, struct end *one)
{
    const kur_listener *listener = ends->listener;
    kur_error error = {0};
    int64_t low;
    if (kur_consumer_watermarks(listener->consumer, one->topic, one->partition, ASK_MS, &low, &one->end, &error) ==
            KUR_OK ||
        error.code == KUR_ERROR_CLOSED) /* it is closed, and nobody waits for that any more */
        return true;
    if (kur__once_in_a_while(&ends->next_warning_us))
        kur_client_log(listener->client, KUR_LOG_WARNING,
                       "group %s: %s [%" PRId32 "] waits, for its order, until its end is known: %s", listener->group,
                       one->topic, one->partition, error.message);
    return false;
}

static void put_last(struct kur__ends *ends, struct end *one)
{
    one->next = NULL;
    *ends->last = one;
    ends->last = &one->next;
}

static void *run(void *user)
{
    struct kur__ends *ends = user;
    pthread_mutex_lock(&ends->lock);
    while (!ends->is_over) {
        struct end *one = ends->asked;
        if (one == NULL) {
            pthread_cond_wait(&ends->changed, &ends->lock);
            continue;
        }
        ends->asked = one->next;
        if (ends->asked == NULL)
            ends->last = &ends->asked;
        pthread_mutex_unlock(&ends->lock);
        bool is_known = ask(ends, one);
        pthread_mutex_lock(&ends->lock);
        if (is_known) {
            one->next = ends->answered;
            ends->answered = one;
            kur__control_wake(ends->listener);
            continue;
        }
        put_last(ends, one);
        struct timespec until = kur_deadline_after(PAUSE_MS);
        if (!ends->is_over)
            pthread_cond_timedwait(&ends->changed, &ends->lock, &until);
    }
    pthread_mutex_unlock(&ends->lock);
    return NULL;
}

/* ---- The control thread ---- */

static bool make(kur_listener *listener, kur_error *error)
{
    struct kur__ends *ends = kur_calloc(1, sizeof *ends);
    if (ends == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
        return false;
    }
    ends->listener = listener;
    ends->last = &ends->asked;
    pthread_mutex_init(&ends->lock, NULL);
    kur_condition_init(&ends->changed);
    int failed = kur_thread_start(&ends->thread, run, ends);
    if (failed != 0) {
        pthread_cond_destroy(&ends->changed);
        pthread_mutex_destroy(&ends->lock);
        kur_free(ends);
        kur_error_set(error, KUR_ERROR_SYSTEM, "a thread cannot be started: %s", strerror(failed));
        return false;
    }
    listener->ends = ends;
    return true;
}

void kur__ends_ask(kur_listener *listener, const kur__source *source)
{
    kur_error error = {0};
    size_t size = strlen(source->partition->topic) + 1;
    struct end *one = kur_calloc(1, sizeof *one + size);
    if (one == NULL)
        kur_error_set(&error, KUR_ERROR_NO_MEMORY, "out of memory: a partition");
    if (one == NULL || (listener->ends == NULL && !make(listener, &error))) {
        kur_free(one);
        kur__listener_fail(listener, &error);
        return;
    }
    *one = (struct end){.serial = source->serial, .end = -1, .partition = source->partition->number};
    memcpy(one->topic, source->partition->topic, size);
    pthread_mutex_lock(&listener->ends->lock);
    put_last(listener->ends, one);
    pthread_cond_signal(&listener->ends->changed);
    pthread_mutex_unlock(&listener->ends->lock);
    listener->is_reading_up = true;
}

static void take_answers(kur_listener *listener, int64_t now_us)
{
    pthread_mutex_lock(&listener->ends->lock);
    struct end *one = listener->ends->answered, *next;
    listener->ends->answered = NULL;
    pthread_mutex_unlock(&listener->ends->lock);
    for (; one != NULL; one = next) {
        next = one->next;
        kur__source *source = kur__machine_source(&listener->machine, one->topic, one->partition);
        if (source != NULL && source->serial == one->serial && one->end >= 0 &&
            (source->end < 0 || one->end < source->end))
            kur__machine_set_end(&listener->machine, source, one->end, now_us);
        kur_free(one);
    }
}

void kur__ends_serve(kur_listener *listener, int64_t now_us)
{
    if (!listener->is_reading_up)
        return;
    take_answers(listener, now_us);
    listener->is_reading_up = false;
    bool asks_again = now_us >= listener->next_ends_us;
    if (asks_again)
        listener->next_ends_us = now_us + AGAIN_US;
    for (kur__source *source = listener->machine.oldest; source != NULL; source = source->newer) {
        int64_t position;
        const kur__partition *partition = source->partition;
        if (source->state == KUR__DEAD || !kur__source_is_reading_up(&listener->machine, source))
            continue;
        listener->is_reading_up = true;
        if (asks_again && source->end >= 0)
            kur__ends_ask(listener, source);
        /* Also where there are no records any more, or only marks of transactions. */
        if (kur_consumer_position(listener->consumer, partition->topic, partition->number, &position, NULL) == KUR_OK &&
            position > source->reached && listener->polled_next == listener->polled_count)
            kur__machine_reached(&listener->machine, source, position, now_us);
    }
}

void kur__ends_free(kur_listener *listener)
{
    struct kur__ends *ends = listener->ends;
    if (ends == NULL)
        return;
    pthread_mutex_lock(&ends->lock);
    ends->is_over = true;
    pthread_cond_signal(&ends->changed);
    pthread_mutex_unlock(&ends->lock);
    pthread_join(ends->thread, NULL);
    struct end *const lists[] = {ends->asked, ends->answered};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (struct end *one = lists[i], *next; one != NULL; one = next) {
            next = one->next;
            kur_free(one);
        }
    pthread_cond_destroy(&ends->changed);
    pthread_mutex_destroy(&ends->lock);
    kur_free(ends);
    listener->ends = NULL;
}
