/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what others may ask of a running listener: to pause, and, without workers of its own, to run its
 * handlers. Whoever asks leaves word and wakes the control thread, which alone acts; nobody waits for it. To go on
 * elsewhere: seek.c. How it is: health.c.
 */
#include <kurier/sys/error.h>
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
    if (kur__thread_is_of(listener))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "not from a handler or callback of this listener");
    if (most < 1)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "most is not 1 or more");
    uint64_t value;
    ssize_t got = read(listener->ready_fd, &value, sizeof value);
    (void)got;
    struct kur__worker *worker = &listener->workers[0];
    kur__work *work;
    int ran = 0;
    const kur_listener *before = kur__thread_enter(listener);
    for (; ran < most && (work = kur__ring_claim(&listener->ring)) != NULL; ran++)
        kur__worker_run(worker, work);
    kur__thread_enter(before);
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
