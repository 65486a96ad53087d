/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a relay's life. Its thread (relay_loop.c) is told to end by `stops` and the descriptor `wake`, which
 * stays readable from then on; it tells that it has ended by `has_ended` and `done`, likewise. Whoever waits for one of
 * them polls: nothing has to be locked in a signal handler.
 *
 * A stop gives what is under way half of its time; then the thread lets go of it. A call of the database's that hangs
 * cannot be ended from here: stop says so by its deadline, and only free waits until it has returned.
 */
#include <errno.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/thread.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "listener/signals.h"
#include "outbox/relay.h"

enum {
    RUN_STOP_MS = 30000,
    AT_ONCE_MS = 1000,
    FREE_MS = 10000
};

/* ---- New and free ---- */

static kur_status open_descriptor(int *fd, kur_error *error)
{
    *fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (*fd < 0)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no descriptor for the relay: %s", strerror(errno));
    return KUR_OK;
}

kur_relay *kur_relay_new(kur_outbox *outbox, const kur_relay_options *options, kur_error *error)
{
    if (outbox == NULL) {
        kur_error_null(error, "outbox");
        return NULL;
    }
    kur_relay *relay = kur_calloc(1, sizeof *relay);
    if (relay == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a relay");
        return NULL;
    }
    relay->outbox = outbox;
    relay->batches[0].relay = relay->batches[1].relay = relay;
    relay->wake = relay->done = -1;
    atomic_store(&relay->stop_by_us, INT64_MAX);
    pthread_mutex_init(&relay->lock, NULL);
    relay->health.depth = -1;
    kur_status status = kur__relay_options_take(&relay->options, options, outbox, error);
    if (status == KUR_OK)
        status = open_descriptor(&relay->wake, error);
    if (status == KUR_OK)
        status = open_descriptor(&relay->done, error);
    for (int i = 0; i < 2 && status == KUR_OK; i++)
        if ((relay->batches[i].arena = kur_arena_new()) == NULL)
            status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a relay");
    relay->courier =
        relay->options.guarantee == KUR_EXACTLY_ONCE ? &kur__courier_exactly_once : &kur__courier_at_least_once;
    if (status == KUR_OK)
        return relay;
    kur_relay_free(relay);
    return NULL;
}

void kur_relay_free(kur_relay *relay)
{
    if (relay == NULL)
        return;
    if (relay->is_started) {
        kur_relay_stop(relay, FREE_MS, NULL);
        pthread_join(relay->thread, NULL);
    }
    kur__batch_done(&relay->batches[0]);
    kur__batch_done(&relay->batches[1]);
    kur__relay_options_free(&relay->options);
    if (relay->wake >= 0)
        close(relay->wake);
    if (relay->done >= 0)
        close(relay->done);
    pthread_mutex_destroy(&relay->lock);
    kur_free(relay);
}

/* ---- Start, stop ---- */

kur_status kur_relay_start(kur_relay *relay, kur_error *error)
{
    if (relay == NULL)
        return kur_error_null(error, "relay");
    if (relay->is_started)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "the relay was started before");
    int failed = kur_thread_start(&relay->thread, kur__relay_run, relay);
    if (failed != 0)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no thread for the relay: %s", strerror(failed));
    relay->is_started = true;
    return KUR_OK;
}

void kur_relay_request_stop(kur_relay *relay)
{
    if (relay == NULL)
        return;
    int saved = errno;
    atomic_store(&relay->stops, true);
    eventfd_write(relay->wake, 1); /* it fails only while it is readable anyhow */
    errno = saved;
}

/* Until it has ended; whether it has. */
static bool await_end(const kur_relay *relay, int64_t until_us)
{
    struct pollfd end = {.fd = relay->done, .events = POLLIN};
    while (!atomic_load(&relay->has_ended)) {
        int64_t left_us = until_us - kur_clock_monotonic_us();
        if (left_us <= 0)
            return false;
        poll(&end, 1, (int)((left_us + 999) / 1000));
    }
    return true;
}

kur_status kur_relay_stop(kur_relay *relay, int timeout_ms, kur_error *error)
{
    if (relay == NULL)
        return kur_error_null(error, "relay");
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    if (!relay->is_started)
        return KUR_OK;
    if (pthread_equal(relay->thread, pthread_self()))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "a callback of the relay would wait for itself: kur_relay_request_stop");
    int64_t now_us = kur_clock_monotonic_us();
    atomic_store(&relay->stop_by_us, now_us + timeout_ms * INT64_C(500));
    kur_relay_request_stop(relay);
    if (!await_end(relay, now_us + timeout_ms * INT64_C(1000)))
        return kur_error_set(error, KUR_ERROR_TIMEOUT,
                             "the relay has not ended within %d ms: what it has not deleted will be sent again",
                             timeout_ms);
    if (error != NULL && relay->end.code != KUR_OK)
        *error = relay->end;
    return relay->end.code;
}

/* ---- Run ---- */

/* In a signal handler. */
static void on_signal(void *user, bool is_second)
{
    kur_relay *relay = user;
    if (is_second)
        atomic_store(&relay->stop_by_us, 0);
    kur_relay_request_stop(relay);
}

kur_status kur_relay_run(kur_relay *relay, kur_error *error)
{
    if (relay == NULL)
        return kur_error_null(error, "relay");
    struct kur__signals signals = {on_signal, relay};
    kur_status status = kur__signals_take(&signals, error);
    if (status != KUR_OK)
        return status;
    status = kur_relay_start(relay, error);
    if (status == KUR_OK) {
        struct pollfd ends[] = {{.fd = relay->wake, .events = POLLIN}, {.fd = relay->done, .events = POLLIN}};
        while (!atomic_load(&relay->stops) && !atomic_load(&relay->has_ended))
            poll(ends, 2, -1);
        status = kur_relay_stop(relay, kur__signals_seen() > 1 ? AT_ONCE_MS : RUN_STOP_MS, error);
    }
    kur__signals_give_back();
    return status;
}
