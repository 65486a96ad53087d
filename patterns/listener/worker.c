/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * The ring has one writer and many readers: a worker claims one record at a time by moving `head`, so that no record
 * waits behind a slow one in somebody's batch. The control thread puts many in before it moves `tail` once, and keeps
 * the ring full enough that fast handlers meet no empty one.
 *
 * How much is handed over ahead (`depth`) follows the handlers: it is doubled when the ring has run empty although it
 * had been filled, and halved when much is left: for slow handlers it is no more than there are workers, so that the
 * turns between keys and partitions are kept to the last moment. Where they are so fast that the depth is large,
 * nothing more is polled while the ring is full: what is in hands then stays in the processor's caches, and nobody
 * waits longer for it than a few milliseconds.
 *
 * Results go back through an outbox of each worker, which costs a store, and whose reader can fetch ahead what another
 * processor has written. What has no room there, deferred results, and all of them where there are many workers go to
 * the mailbox: a stack of works, linked by the member that they need nowhere else meanwhile; the control thread takes
 * all of it at once. A result wakes the control thread only when that sleeps and there is a reason: the ring runs low,
 * or the handler was slow, so that no other result comes soon. The control thread looks by itself every few
 * milliseconds while something runs.
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
    DEPTH_FAST = 256,
    SLOW_US = 50, /* a handler that took longer tells at once */
    UNTIMED = 7,  /* records of fast handlers, one after the other, at most */
    OUTBOXES = 64 /* all of them are looked at each time */
};

/* ---- Whose thread it is ---- */

static _Thread_local const kur_listener *entered;

const kur_listener *kur__thread_enter(const kur_listener *listener)
{
    const kur_listener *before = entered;
    entered = listener;
    return before;
}

bool kur__thread_is_of(const kur_listener *listener)
{
    return entered == listener;
}

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

size_t kur__ring_put_all(struct kur__ring *ring, kur__work *const *works, size_t count)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t room = KUR__RING - (tail - atomic_load_explicit(&ring->head, memory_order_acquire));
    count = count < room ? count : (size_t)room;
    for (size_t i = 0; i < count; i++)
        atomic_store_explicit(&ring->works[(tail + i) & (KUR__RING - 1)], works[i], memory_order_relaxed);
    atomic_store_explicit(&ring->tail, tail + count, memory_order_release);
    return count;
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

void kur__adapt_depth(kur_listener *listener)
{
    uint64_t least = listener->options.dispatch == KUR_DISPATCH_THREAD ? (uint64_t)listener->options.concurrency : 64;
    uint64_t size = kur__ring_size(&listener->ring);
    if (size == 0 && listener->was_filled && listener->depth < KUR__RING / 2)
        listener->depth *= 2;
    else if (size > listener->depth / 2 && listener->depth > least)
        listener->depth /= 2;
    if (listener->depth < least)
        listener->depth = least < KUR__RING ? least : KUR__RING;
    listener->was_filled = false;
}

/*
 * Fast handlers: one worker has done what there is before another has woken up, and each that goes to sleep again costs
 * more than it has done. So one is called, and the others when the control thread has nothing more to hand over and
 * sleeps, or before, if the one sleeps again.
 */
static void wake_for(kur_listener *listener, uint64_t count)
{
    bool is_fast = listener->depth >= DEPTH_FAST && listener->options.dispatch == KUR_DISPATCH_THREAD;
    if (!is_fast)
        kur__workers_wake(listener, count);
    else if (atomic_load_explicit(&listener->idle_count, memory_order_relaxed) >= listener->worker_count)
        kur__workers_wake(listener, 1);
}

/* Fills the ring up to `depth`. */
static bool hand_over_singles(kur_listener *listener, int64_t now_us)
{
    kur__work *works[256];
    uint64_t size = kur__ring_size(&listener->ring), put = 0;
    uint64_t deferred = (uint64_t)atomic_load_explicit(&listener->deferred, memory_order_relaxed);
    uint64_t bound = (uint64_t)listener->options.deferred; /* each that is handed over may be deferred too */
    if (deferred + size >= bound)
        return false;
    uint64_t depth = listener->depth < bound - deferred ? listener->depth : bound - deferred;
    while (size + put < depth) {
        size_t room = (size_t)(depth - size - put), most = sizeof works / sizeof *works;
        size_t count = kur__machine_take(&listener->machine, now_us, works, room < most ? room : most);
        size_t placed = kur__ring_put_all(&listener->ring, works, count);
        for (size_t i = count; i > placed; i--)
            kur__machine_untake(&listener->machine, works[i - 1]);
        put += placed;
        if (placed < room && placed < most)
            break;
    }
    listener->was_filled |= size + put >= depth;
    if (put > 0)
        wake_for(listener, put);
    return depth >= DEPTH_FAST && size + put >= depth;
}

bool kur__hand_over(kur_listener *listener, int64_t now_us)
{
    if (listener->machine.is_stopping)
        return false;
    if (!listener->is_batched)
        return hand_over_singles(listener, now_us);
    uint64_t put = kur__batch_hand_over(listener, now_us);
    if (put > 0)
        kur__workers_wake(listener, put);
    return false;
}

/* ---- Mailbox ---- */

void kur__control_wake(kur_listener *listener)
{
    static const uint64_t one = 1;
    ssize_t written = write(listener->wake_fd, &one, sizeof one); /* async-signal-safe, and full is as good */
    (void)written;
}

/*
 * Without the fence it costs nothing, and a control thread that is about to sleep may not have seen the result and not
 * be seen asleep: the next result wakes it then, or the worker before it sleeps itself.
 */
static void wake_sleeping_control(kur_listener *listener, bool is_certain)
{
    if (is_certain)
        atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&listener->control_sleeps, memory_order_relaxed) &&
        atomic_exchange(&listener->control_sleeps, false))
        kur__control_wake(listener);
}

void kur__mailbox_push(kur_listener *listener, kur__work *work, bool wakes)
{
    kur__work *top = atomic_load_explicit(&listener->mailbox, memory_order_relaxed);
    do
        work->next = top;
    while (!atomic_compare_exchange_weak_explicit(&listener->mailbox, &top, work, memory_order_acq_rel,
                                                  memory_order_relaxed));
    if (wakes)
        wake_sleeping_control(listener, true);
}

/* ---- Outboxes ---- */

static bool outbox_put(struct kur__outbox *outbox, kur__work *work)
{
    uint32_t tail = atomic_load_explicit(&outbox->tail, memory_order_relaxed);
    if (tail - outbox->seen_head >= KUR__OUTBOX) {
        outbox->seen_head = atomic_load_explicit(&outbox->head, memory_order_acquire);
        if (tail - outbox->seen_head >= KUR__OUTBOX)
            return false;
    }
    atomic_store_explicit(&outbox->works[tail & (KUR__OUTBOX - 1)], work, memory_order_relaxed);
    atomic_store_explicit(&outbox->tail, tail + 1, memory_order_release);
    return true;
}

static uint32_t outbox_size(const struct kur__outbox *outbox)
{
    return atomic_load_explicit(&outbox->tail, memory_order_acquire) -
           atomic_load_explicit(&outbox->head, memory_order_relaxed);
}

size_t kur__outbox_take(struct kur__outbox *outbox, kur__work **works, size_t capacity)
{
    uint32_t head = atomic_load_explicit(&outbox->head, memory_order_relaxed);
    size_t size = outbox_size(outbox), count = size < capacity ? size : capacity;
    for (size_t i = 0; i < count; i++)
        works[i] = atomic_load_explicit(&outbox->works[(head + i) & (KUR__OUTBOX - 1)], memory_order_relaxed);
    if (count > 0)
        atomic_store_explicit(&outbox->head, head + (uint32_t)count, memory_order_release);
    return count;
}

bool kur__results_wait(const kur_listener *listener)
{
    if (atomic_load(&listener->mailbox) != NULL)
        return true;
    for (int i = 0; i < listener->worker_count && listener->workers[i].outbox != NULL; i++)
        if (outbox_size(listener->workers[i].outbox) > 0)
            return true;
    return false;
}

static void give_back(struct kur__worker *worker, kur__work *work, bool is_slow, bool runs_low)
{
    if (worker->outbox == NULL || !outbox_put(worker->outbox, work))
        kur__mailbox_push(worker->listener, work, is_slow || runs_low);
    else if (is_slow || runs_low)
        wake_sleeping_control(worker->listener, is_slow);
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

/*
 * How late it is, and whether what was done since then took long. Reading the clock costs as much as a handler that
 * does little, so that for some of those one look has to do: they begin when the one before was last seen.
 */
static bool look_at_clock(struct kur__worker *worker, int64_t begin_us)
{
    const kur_listener *listener = worker->listener;
    worker->now_us = begin_us;
    if (worker->untimed > 0) {
        worker->untimed--;
        return false;
    }
    worker->now_us = kur_clock_monotonic_us();
    bool is_slow = listener->is_batched || worker->now_us - begin_us >= SLOW_US;
    worker->untimed = !is_slow && listener->depth >= DEPTH_FAST ? UNTIMED : 0;
    return is_slow;
}

void kur__worker_run(struct kur__worker *worker, kur__work *work)
{
    kur_listener *listener = worker->listener;
    int64_t begin_us = worker->now_us != 0 ? worker->now_us : kur_clock_monotonic_us();
    worker->now_us = 0;
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
    bool is_slow = look_at_clock(worker, begin_us);
    bool runs_low = kur__ring_size(&listener->ring) <= listener->depth / 4;
    KUR__CRASH_POINT("handled");
    give_back(worker, work, is_slow, runs_low);
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
    kur__thread_enter(listener);
    if (start_worker(worker, &error) != KUR_OK) {
        kur__listener_fail(listener, &error);
        return NULL; /* the others take what there is until the listener has stopped */
    }
    for (;;) {
        kur__work *work = kur__ring_claim(&listener->ring);
        if (work == NULL) {
            kur__worker_flush(worker);
            wake_sleeping_control(listener, true);
            work = wait_for_work(listener);
            worker->now_us = 0;
            worker->untimed = 0;
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
        worker->outbox = count <= OUTBOXES ? kur_calloc(1, sizeof *worker->outbox) : NULL;
        if (worker->arena == NULL || (count <= OUTBOXES && worker->outbox == NULL) ||
            (listener->is_batched && worker->batch == NULL)) {
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
        for (kur__work *work; worker->outbox != NULL && kur__outbox_take(worker->outbox, &work, 1) == 1;)
            kur__mailbox_push(listener, work, false); /* for kur__control_clear */
        kur_free(worker->outbox);
    }
    kur_free(listener->workers);
    listener->workers = NULL;
    listener->worker_count = 0;
}
