/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: stop and run, of one listener as of several. A stop tells all of them before it waits for the first, so
 * that they drain side by side within one deadline.
 *
 * kur_listeners_run takes the signals (signals.c), whose handler reaches the listeners until run returns.
 */
#include <errno.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/thread.h>
#include <poll.h>

#include "listener/shell.h"
#include "listener/signals.h"

enum {
    RUN_STOP_MS = 30000,
    AT_ONCE_MS = 1000,
    LEAVE_LEAST_MS = 500,
    LEAVE_MOST_MS = 2000
};

static kur_status check(kur_listener *const *listeners, size_t count, kur_error *error)
{
    if (listeners == NULL)
        return kur_error_null(error, "listeners");
    if (count == 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "count is 0");
    for (size_t i = 0; i < count; i++)
        if (listeners[i] == NULL)
            return kur_error_null(error, count > 1 ? "one of the listeners" : "listener");
    return KUR_OK;
}

/* ---- Stop ---- */

/* A second signal has said "at once", and that stays. */
static void begin_stop(kur_listener *listener, int timeout_ms)
{
    int64_t by_us = kur_clock_monotonic_us() + timeout_ms * INT64_C(1000);
    int64_t before = atomic_load(&listener->stop_by_us), leave_ms = timeout_ms / 4;
    leave_ms = leave_ms < LEAVE_LEAST_MS ? LEAVE_LEAST_MS : leave_ms > LEAVE_MOST_MS ? LEAVE_MOST_MS : leave_ms;
    atomic_store(&listener->leave_us, leave_ms * 1000);
    while (before != KUR__AT_ONCE && !atomic_compare_exchange_weak(&listener->stop_by_us, &before, by_us))
        continue;
    kur_listener_request_stop(listener);
}

static bool is_waited_for(kur_listener *listener)
{
    if (!listener->has_control)
        return false;
    return listener->state != KUR__ENDED ||
           (atomic_load(&listener->running) > 0 && atomic_load(&listener->stop_by_us) != KUR__AT_ONCE);
}

/* Whether it has ended; handlers may run all the same. */
static bool await_end(kur_listener *listener, const struct timespec *until, kur_error *first)
{
    int waited = 0;
    pthread_mutex_lock(&listener->lock);
    while (is_waited_for(listener) && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&listener->changed, &listener->lock, until);
    bool has_ended = !listener->has_control || listener->state == KUR__ENDED;
    if (first->code == KUR_OK)
        *first = listener->failed;
    pthread_mutex_unlock(&listener->lock);
    return has_ended;
}

kur_status kur_listeners_stop(kur_listener *const *listeners, size_t count, int timeout_ms, kur_error *error)
{
    kur_status status = check(listeners, count, error);
    if (status != KUR_OK)
        return status;
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    for (size_t i = 0; i < count; i++)
        if (kur__thread_is_of(listeners[i]))
            return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                                 "a handler or callback of the listener would wait for itself: "
                                 "kur_listener_request_stop");
    struct timespec until = kur_deadline_after(timeout_ms);
    kur_error first = {0};
    bool have_ended = true;
    int64_t running = 0;
    for (size_t i = 0; i < count; i++)
        begin_stop(listeners[i], timeout_ms);
    for (size_t i = 0; i < count; i++)
        have_ended &= await_end(listeners[i], &until, &first);
    for (size_t i = 0; i < count; i++)
        running += atomic_load(&listeners[i]->running);
    if (first.code != KUR_OK) {
        if (error != NULL)
            *error = first;
        return first.code;
    }
    if (running > 0)
        return kur_error_set(error, KUR_ERROR_TIMEOUT, "%lld handlers still run after %d ms", (long long)running,
                             timeout_ms);
    if (!have_ended)
        return kur_error_set(error, KUR_ERROR_TIMEOUT,
                             "the brokers have not answered within %d ms: what was not committed will be repeated",
                             timeout_ms);
    return KUR_OK;
}

kur_status kur_listener_stop(kur_listener *listener, int timeout_ms, kur_error *error)
{
    return kur_listeners_stop(&listener, 1, timeout_ms, error);
}

/* ---- Run ---- */

struct crew {
    kur_listener *const *listeners;
    size_t count;
    struct pollfd *ends;
};

/* In a signal handler. */
static void on_signal(void *user, bool is_second)
{
    const struct crew *crew = user;
    for (size_t i = 0; i < crew->count; i++) {
        if (is_second)
            atomic_store(&crew->listeners[i]->stop_by_us, KUR__AT_ONCE);
        kur_listener_request_stop(crew->listeners[i]);
    }
}

static bool one_ends(const struct crew *crew)
{
    for (size_t i = 0; i < crew->count; i++)
        if (atomic_load(&crew->listeners[i]->stop_requested))
            return true;
    return false;
}

/* Those that were started are stopped, whatever happens. */
static kur_status start_and_stop(const struct crew *crew, kur_error *error)
{
    size_t started = 0;
    kur_status status = KUR_OK;
    while (started < crew->count && (status = kur_listener_start(crew->listeners[started], error)) == KUR_OK)
        started++;
    if (status == KUR_OK)
        while (!one_ends(crew))
            poll(crew->ends, crew->count, -1);
    if (started == 0)
        return status;
    int timeout_ms = kur__signals_seen() > 1 ? AT_ONCE_MS : RUN_STOP_MS;
    kur_status stopped = kur_listeners_stop(crew->listeners, started, timeout_ms, status == KUR_OK ? error : NULL);
    return status == KUR_OK ? stopped : status;
}

/* Whoever stops it again waits for its handlers again. */
static void forget_hurry(const struct crew *crew)
{
    for (size_t i = 0; i < crew->count; i++) {
        int64_t at_once = KUR__AT_ONCE;
        atomic_compare_exchange_strong(&crew->listeners[i]->stop_by_us, &at_once, kur_clock_monotonic_us());
    }
}

static kur_status run_until_signal(struct crew *crew, kur_error *error)
{
    struct kur__signals signals = {on_signal, crew};
    kur_status status = kur__signals_take(&signals, error);
    if (status != KUR_OK)
        return status;
    status = start_and_stop(crew, error);
    kur__signals_give_back();
    forget_hurry(crew);
    return status;
}

kur_status kur_listeners_run(kur_listener *const *listeners, size_t count, kur_error *error)
{
    kur_status status = check(listeners, count, error);
    if (status != KUR_OK)
        return status;
    struct crew crew = {listeners, count, kur_calloc(count, sizeof *crew.ends)};
    if (crew.ends == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: listeners");
    for (size_t i = 0; i < count; i++)
        crew.ends[i] = (struct pollfd){.fd = listeners[i]->run_fd, .events = POLLIN};
    status = run_until_signal(&crew, error);
    kur_free(crew.ends);
    return status;
}

kur_status kur_listener_run(kur_listener *listener, kur_error *error)
{
    return kur_listeners_run(&listener, 1, error);
}
