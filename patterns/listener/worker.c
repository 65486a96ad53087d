/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * The ring has one writer and many readers: a worker claims one record at a time by moving `head`, so that no record
 * waits behind a slow one in somebody's batch. The control thread puts many in before it moves `tail` once, and keeps
 * the ring full enough that fast handlers meet no empty one.
 *
 * The mailbox is a stack of works, linked by the member that they need nowhere else meanwhile; the control thread takes
 * all of it at once. Pushing costs one atomic exchange. It wakes the control thread only when that sleeps and there is
 * a reason: the ring runs low, or the handler was slow, so that no other result comes soon. The control thread looks by
 * itself every few milliseconds while something runs.
 *
 * Records of finished works are freed by the workers, many together, which is most of what a record costs after its
 * handler.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/thread.h>
#include <string.h>
#include <unistd.h>

#include "listener/crash.h"
#include "listener/shell.h"

enum {
    SLOW_US = 50 /* a handler that took longer tells at once */
};

/* ---- Ring ---- */

kur__work *kur__ring_claim(struct kur__ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    for (;;) {
        if (head == atomic_load_explicit(&ring->tail, memory_order_acquire))
            return NULL;
        kur__work *work = atomic_load_explicit(&ring->works[head & (KUR__RING - 1)], memory_order_relaxed);
        /* Only who moves the head may have it; the place is not written again before. */
        if (atomic_compare_exchange_weak_explicit(&ring->head, &head, head + 1, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return work;
    }
}

bool kur__ring_put(struct kur__ring *ring, kur__work *work)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - atomic_load_explicit(&ring->head, memory_order_acquire) >= KUR__RING)
        return false;
    atomic_store_explicit(&ring->works[tail & (KUR__RING - 1)], work, memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

uint64_t kur__ring_size(const struct kur__ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    return tail > head ? tail - head : 0;
}

void kur__workers_wake(kur_listener *listener, uint64_t count)
{
    if (listener->options.dispatch == KUR_DISPATCH_CALLER) {
        uint64_t one = 1;
        ssize_t written = write(listener->ready_fd, &one, sizeof one);
        (void)written;
        return;
    }
    /* Who is about to sleep has counted itself before it looked at the ring a last time. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&listener->idle_count, memory_order_relaxed) == 0)
        return;
    pthread_mutex_lock(&listener->idle_lock);
    if (count == 1)
        pthread_cond_signal(&listener->idle);
    else
        pthread_cond_broadcast(&listener->idle);
    pthread_mutex_unlock(&listener->idle_lock);
}

/* Fills the ring up to `depth`. */
static uint64_t hand_over_singles(kur_listener *listener, int64_t now_us)
{
    kur__work *works[256];
    uint64_t least = listener->options.dispatch == KUR_DISPATCH_THREAD ? (uint64_t)listener->options.concurrency : 64;
    uint64_t size = kur__ring_size(&listener->ring), put = 0;
    uint64_t deferred = (uint64_t)atomic_load_explicit(&listener->deferred, memory_order_relaxed);
    uint64_t bound = (uint64_t)listener->options.deferred; /* each that is handed over may be deferred too */
    if (deferred + size >= bound)
        return 0;
    if (size == 0 && listener->was_filled && listener->depth < KUR__RING / 2)
        listener->depth *= 2;
    else if (size > listener->depth / 2 && listener->depth > least)
        listener->depth /= 2;
    if (listener->depth < least)
        listener->depth = least < KUR__RING ? least : KUR__RING;
    listener->was_filled = false;
    uint64_t depth = listener->depth < bound - deferred ? listener->depth : bound - deferred;
    while (size + put < depth) {
        size_t room = (size_t)(depth - size - put), most = sizeof works / sizeof *works;
        size_t count = kur__machine_take(&listener->machine, now_us, works, room < most ? room : most);
        for (size_t i = 0; i < count; i++)
            if (!kur__ring_put(&listener->ring, works[i]))
                kur__machine_untake(&listener->machine, works[i]);
        put += count;
        listener->was_filled = size + put >= listener->depth;
        if (count < room && count < most)
            break;
    }
    return put;
}

void kur__hand_over(kur_listener *listener, int64_t now_us)
{
    if (listener->machine.is_stopping)
        return;
    uint64_t put = listener->is_batched ? kur__batch_hand_over(listener, now_us) : hand_over_singles(listener, now_us);
    if (put > 0)
        kur__workers_wake(listener, put);
}

/* ---- Mailbox ---- */

void kur__control_wake(kur_listener *listener)
{
    static const uint64_t one = 1;
    ssize_t written = write(listener->wake_fd, &one, sizeof one); /* async-signal-safe, and full is as good */
    (void)written;
}

void kur__mailbox_push(kur_listener *listener, kur__work *work, bool wakes)
{
    kur__work *top = atomic_load_explicit(&listener->mailbox, memory_order_relaxed);
    do
        work->next = top;
    while (!atomic_compare_exchange_weak_explicit(&listener->mailbox, &top, work, memory_order_acq_rel,
                                                  memory_order_relaxed));
    atomic_thread_fence(memory_order_seq_cst);
    if (wakes && atomic_load_explicit(&listener->control_sleeps, memory_order_relaxed) &&
        atomic_exchange(&listener->control_sleeps, false))
        kur__control_wake(listener);
}

/* ---- Workers ---- */

void kur__worker_flush(struct kur__worker *worker)
{
    if (worker->done_count == 0)
        return;
    kur_consumer_free_records(worker->listener->consumer, (kur_record *const *)worker->done, worker->done_count);
    worker->done_count = 0;
}

void kur__worker_keep_done(struct kur__worker *worker, kur__work *work)
{
    worker->done[worker->done_count++] = work->item;
    work->item = NULL;
    if (worker->done_count == sizeof worker->done / sizeof *worker->done)
        kur__worker_flush(worker);
}

void kur__worker_run(struct kur__worker *worker, kur__work *work)
{
    kur_listener *listener = worker->listener;
    int64_t begin_us = kur_clock_monotonic_us();
    atomic_store_explicit(&worker->since_us, begin_us, memory_order_relaxed);
    if (work->state == KUR__SETTLING) {
        kur__deliver_rejected(worker, work);
    } else if (listener->is_batched) {
        kur__deliver_batch(worker, work);
    } else {
        work->since_us = begin_us;
        if (!kur__deliver(worker, work)) { /* deferred: whoever has the ticket hands it back */
            atomic_store_explicit(&worker->since_us, 0, memory_order_relaxed);
            return;
        }
        if (work->verdict.outcome == KUR_DONE && !work->verdict.has_emits)
            kur__worker_keep_done(worker, work);
    }
    atomic_store_explicit(&worker->since_us, 0, memory_order_relaxed);
    bool is_slow = listener->is_batched || kur_clock_monotonic_us() - begin_us >= SLOW_US;
    bool runs_low = kur__ring_size(&listener->ring) <= listener->depth / 4;
    KUR__CRASH_POINT("handled");
    kur__mailbox_push(listener, work, is_slow || runs_low);
}

/* Sleeps until there is something to claim, and claims it; NULL at the end. */
static kur__work *wait_for_work(kur_listener *listener)
{
    kur__work *work = NULL;
    pthread_mutex_lock(&listener->idle_lock);
    atomic_fetch_add(&listener->idle_count, 1);
    while ((work = kur__ring_claim(&listener->ring)) == NULL && !atomic_load(&listener->workers_end))
        pthread_cond_wait(&listener->idle, &listener->idle_lock);
    atomic_fetch_sub(&listener->idle_count, 1);
    pthread_mutex_unlock(&listener->idle_lock);
    return work;
}

static kur_status start_worker(struct kur__worker *worker, kur_error *error)
{
    const kur_listener_options *options = &worker->listener->options;
    kur_error said = {0};
    kur_status status =
        options->worker_start != NULL ? options->worker_start(options->user, &worker->state, &said) : KUR_OK;
    worker->has_started = status == KUR_OK;
    if (status == KUR_OK)
        return KUR_OK;
    if (said.code == KUR_OK)
        kur_error_set(&said, status, ".worker_start has failed and said no more");
    if (error != NULL)
        *error = said;
    return said.code;
}

static void stop_worker(struct kur__worker *worker)
{
    kur__worker_flush(worker);
    if (worker->has_started && worker->listener->options.worker_stop != NULL)
        worker->listener->options.worker_stop(worker->state);
}

static void *run_worker(void *user)
{
    struct kur__worker *worker = user;
    kur_listener *listener = worker->listener;
    kur_error error = {0};
    if (start_worker(worker, &error) != KUR_OK) {
        kur__listener_fail(listener, &error);
        return NULL; /* the others take what there is until the listener has stopped */
    }
    for (;;) {
        kur__work *work = kur__ring_claim(&listener->ring);
        if (work == NULL) {
            kur__worker_flush(worker);
            work = wait_for_work(listener);
        }
        if (work == NULL)
            break;
        kur__worker_run(worker, work);
    }
    stop_worker(worker);
    return NULL;
}

kur_status kur__workers_start(kur_listener *listener, kur_error *error)
{
    bool has_threads = listener->options.dispatch == KUR_DISPATCH_THREAD;
    int count = has_threads ? listener->options.concurrency : 1;
    listener->workers = kur_calloc((size_t)count, sizeof *listener->workers);
    if (listener->workers == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: workers");
    listener->worker_count = count;
    kur_status status = KUR_OK;
    for (int i = 0; i < count && status == KUR_OK; i++) {
        struct kur__worker *worker = &listener->workers[i];
        worker->listener = listener;
        worker->arena = kur_arena_new();
        worker->batch = listener->is_batched ? kur__batch_new((size_t)listener->options.batch_records) : NULL;
        if (worker->arena == NULL || (listener->is_batched && worker->batch == NULL)) {
            status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: workers");
        } else if (has_threads) {
            int failed = kur_thread_start(&worker->thread, run_worker, worker);
            worker->has_thread = failed == 0;
            if (failed != 0)
                status = kur_error_set(error, KUR_ERROR_SYSTEM, "no thread for worker %d: %s", i, strerror(failed));
        } else {
            status = start_worker(worker, error);
        }
    }
    return status;
}

void kur__workers_stop(kur_listener *listener)
{
    pthread_mutex_lock(&listener->idle_lock);
    atomic_store(&listener->workers_end, true);
    pthread_cond_broadcast(&listener->idle);
    pthread_mutex_unlock(&listener->idle_lock);
    for (int i = 0; i < listener->worker_count; i++) {
        struct kur__worker *worker = &listener->workers[i];
        if (worker->has_thread)
            pthread_join(worker->thread, NULL);
        else if (listener->options.dispatch == KUR_DISPATCH_CALLER)
            stop_worker(worker);
        kur_arena_free(worker->arena);
        kur__batch_free(worker->batch);
    }
    kur_free(listener->workers);
    listener->workers = NULL;
    listener->worker_count = 0;
}
