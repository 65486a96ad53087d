/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What others may ask of a running listener: to pause, to go on elsewhere, how it is, and, without workers of its own,
 * to run its handlers.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <string.h>
#include <unistd.h>

#include "listener/shell.h"

static kur_status set_pause(kur_listener *listener, bool paused, kur_error *error)
{
    if (listener == NULL)
        return kur_error_null(error, "listener");
    atomic_store(&listener->pause_requested, paused);
    kur__control_wake(listener);
    return KUR_OK;
}

kur_status kur_listener_pause(kur_listener *listener, kur_error *error)
{
    return set_pause(listener, true, error);
}

kur_status kur_listener_resume(kur_listener *listener, kur_error *error)
{
    return set_pause(listener, false, error);
}

void kur__requests_free(struct kur__request *request)
{
    while (request != NULL) {
        struct kur__request *next = request->next;
        kur_free(request);
        request = next;
    }
}

kur_status kur_listener_seek(kur_listener *listener, const char *topic, int32_t partition, int64_t offset,
                             kur_error *error)
{
    if (listener == NULL)
        return kur_error_null(error, "listener");
    if (topic == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "topic is NULL");
    if (partition < 0 || (offset < 0 && offset != KUR_OFFSET_BEGINNING && offset != KUR_OFFSET_END))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "partition or offset is not valid");
    size_t size = strlen(topic) + 1;
    struct kur__request *request = kur_malloc(sizeof *request + size);
    if (request == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a seek");
    *request = (struct kur__request){.offset = offset, .partition = partition};
    memcpy(request->topic, topic, size);
    pthread_mutex_lock(&listener->lock);
    struct kur__request **at = &listener->requests;
    while (*at != NULL)
        at = &(*at)->next;
    *at = request;
    pthread_mutex_unlock(&listener->lock);
    kur__control_wake(listener);
    return KUR_OK;
}

kur_status kur_listener_health_get(kur_listener *listener, kur_listener_health *health, kur_error *error)
{
    if (listener == NULL)
        return kur_error_null(error, "listener");
    if (health == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "health is NULL");
    if (health->size < sizeof(size_t))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "health.size is not set: use KUR_LISTENER_HEALTH()");
    pthread_mutex_lock(&listener->lock);
    kur_listener_health now = {.size = health->size < sizeof now ? health->size : sizeof now,
                               .is_running = listener->has_control && listener->state == KUR__STARTED,
                               .status = listener->failed.code};
    bool has_workers = listener->has_control;
    pthread_mutex_unlock(&listener->lock);
    int64_t oldest_us = kur__tickets_oldest_us(listener);
    for (int i = 0; has_workers && i < listener->worker_count; i++) {
        int64_t since_us = atomic_load_explicit(&listener->workers[i].since_us, memory_order_relaxed);
        if (since_us != 0 && (oldest_us == 0 || since_us < oldest_us))
            oldest_us = since_us;
    }
    now.assigned = (int)atomic_load(&listener->assigned);
    now.held = atomic_load(&listener->held);
    now.held_bytes = atomic_load(&listener->held_bytes);
    now.running = (int)atomic_load(&listener->running);
    now.oldest_ms = oldest_us > 0 ? (kur_clock_monotonic_us() - oldest_us) / 1000 : 0;
    now.handled = atomic_load(&listener->handled);
    now.finished = atomic_load(&listener->finished);
    now.retried = atomic_load(&listener->retried);
    now.rejected = atomic_load(&listener->rejected_count);
    now.unknown = atomic_load(&listener->unknown);
    now.gaps = atomic_load(&listener->gaps);
    now.stale = atomic_load(&listener->stale);
    now.untold = atomic_load(&listener->untold);
    now.is_caught_up = atomic_load(&listener->is_caught_up);
    now.rebalances = atomic_load(&listener->rebalances);
    now.lost = atomic_load(&listener->lost);
    memcpy(health, &now, now.size);
    return KUR_OK;
}

/* ---- In the caller's loop ---- */

int kur_listener_fd(const kur_listener *listener)
{
    return listener != NULL && listener->options.dispatch == KUR_DISPATCH_CALLER ? listener->ready_fd : -1;
}

kur_status kur_listener_dispatch(kur_listener *listener, int most, int *count, kur_error *error)
{
    if (listener == NULL)
        return kur_error_null(error, "listener");
    if (listener->options.dispatch != KUR_DISPATCH_CALLER || listener->workers == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "this listener has workers, or was not started");
    if (most < 1)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "most is not 1 or more");
    uint64_t value;
    ssize_t got = read(listener->ready_fd, &value, sizeof value);
    (void)got;
    struct kur__worker *worker = &listener->workers[0];
    kur__work *work;
    int ran = 0;
    for (; ran < most && (work = kur__ring_claim(&listener->ring)) != NULL; ran++)
        kur__worker_run(worker, work);
    kur__worker_flush(worker);
    if (ran == most && kur__ring_size(&listener->ring) > 0)
        kur__workers_wake(listener, 1); /* readable again: there is more */
    if (count != NULL)
        *count = ran;
    pthread_mutex_lock(&listener->lock);
    kur_error failed = listener->failed;
    pthread_mutex_unlock(&listener->lock);
    if (failed.code != KUR_OK && error != NULL)
        *error = failed;
    return failed.code;
}
