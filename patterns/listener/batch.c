/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: records in batches.
 *
 * The control thread makes a batch when a worker is free for it, so that a busy time makes large ones by itself; a
 * batch is a chain of works that goes through the ring and the mailbox as its first one does. Which records may be in
 * it, and what becomes of them, is the machine's to say (order.c).
 *
 * A worker sorts what it gets by handler: each takes its own together, whatever comes between. Only what follows
 * another in its lane must not overtake it: before it is handed to another handler than the one in front of it, that
 * one is called. Once one of a lane is to come again, those behind it are not handed out any more, but for those that
 * the same call has.
 *
 * The room for a batch is made with the worker; what is decoded lives in its arena until the batch is through.
 */
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <stdarg.h>
#include <stdio.h>

#include "listener/delivery.h"

/* What waits for a handler. */
struct group {
    kur_delivery *first, *last;
    size_t count;
};

struct kur__batch {
    kur_delivery *deliveries;
    kur_delivery **handed;
    kur_outcome *outcomes;
    struct group groups[KUR__FOR_RECORD + 1];
};

struct kur__batch *kur__batch_new(size_t capacity)
{
    struct kur__batch *batch = kur_calloc(1, sizeof *batch);
    if (batch == NULL)
        return NULL;
    batch->deliveries = kur_calloc(capacity, sizeof *batch->deliveries);
    batch->handed = kur_calloc(capacity, sizeof(*batch->handed));
    batch->outcomes = kur_calloc(capacity, sizeof *batch->outcomes);
    if (batch->deliveries != NULL && batch->handed != NULL && batch->outcomes != NULL)
        return batch;
    kur__batch_free(batch);
    return NULL;
}

void kur__batch_free(struct kur__batch *batch)
{
    if (batch == NULL)
        return;
    kur_free(batch->deliveries);
    kur_free(batch->handed);
    kur_free(batch->outcomes);
    kur_free(batch);
}

/* ---- What handlers call ---- */

static bool has_outcome(const kur_delivery *delivery)
{
    return delivery->said != KUR_NO_OUTCOME || (delivery->outcome != NULL && *delivery->outcome != KUR_NO_OUTCOME);
}

kur_outcome kur_retry_all(kur_delivery *const *deliveries, size_t count, const char *cause, const char *format, ...)
{
    char reason[KUR__REASON] = "";
    va_list arguments;
    va_start(arguments, format);
    if (format != NULL)
        vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    kur_outcome outcome = KUR_RETRY;
    for (size_t i = 0; deliveries != NULL && i < count; i++)
        if (deliveries[i] != NULL && !has_outcome(deliveries[i]))
            outcome = kur_retry(deliveries[i], cause, "%s", reason);
    return outcome;
}

/* ---- One batch ---- */

/* The one in front of it in its lane, if that is in the batch: they stand side by side. */
static const kur_delivery *before(const struct kur__batch *batch, const kur_delivery *delivery)
{
    const kur_delivery *other = delivery > batch->deliveries ? delivery - 1 : NULL;
    bool is_so = other != NULL && other->lane != NULL && other->lane == delivery->lane;
    return is_so ? other : NULL;
}

static void judge(const struct kur__batch *batch, kur_delivery *delivery, kur_outcome outcome)
{
    const kur_delivery *in_front = before(batch, delivery);
    kur__delivery_judge(delivery, outcome);
    delivery->is_judged = true;
    delivery->comes_again = delivery->work->verdict.outcome == KUR_RETRY || (in_front != NULL && in_front->comes_again);
}

/* Behind one that comes again: nobody is to see it before. Whether it is so. */
static bool is_not_run(const struct kur__batch *batch, kur_delivery *delivery)
{
    const kur_delivery *in_front = before(batch, delivery);
    if (in_front == NULL || !in_front->is_judged || !in_front->comes_again)
        return false;
    delivery->work->verdict = (kur__verdict){.outcome = KUR_RETRY, .is_not_run = true};
    delivery->is_judged = delivery->comes_again = true;
    return true;
}

static kur_outcome outcome_of(const kur_delivery *delivery, kur_outcome set, kur_outcome returned)
{
    if (set != KUR_NO_OUTCOME)
        return set;
    return delivery->said != KUR_NO_OUTCOME ? delivery->said : returned;
}

/* Decodes those of a group that can be, side by side; the others have their outcome. Returns how many there are. */
static size_t decode(struct kur__batch *batch, const struct group *group, const struct kur__handler *handler,
                     char *events)
{
    size_t count = 0;
    for (kur_delivery *delivery = group->first; delivery != NULL; delivery = delivery->next) {
        kur_outcome outcome = KUR_NO_OUTCOME;
        if (is_not_run(batch, delivery))
            continue;
        if (events == NULL)
            outcome = kur_retry(delivery, "kurier.no_memory", "out of memory: events");
        if (events == NULL ||
            !kur__delivery_decode(delivery, handler->type, events + count * handler->type->size, &outcome))
            judge(batch, delivery, outcome);
        else
            batch->handed[count++] = delivery;
    }
    return count;
}

static void run_group(struct kur__batch *batch, const kur_listener *listener, int index)
{
    struct group group = batch->groups[index];
    const struct kur__handler *handler = index < KUR__HANDLERS ? &listener->handlers[index] : NULL;
    size_t count = 0;
    void *events = NULL;
    batch->groups[index] = (struct group){NULL, NULL, 0};
    if (group.first == NULL)
        return;
    if (handler != NULL) {
        events = kur_arena_alloc(group.first->worker->arena, group.count * handler->type->size);
        count = decode(batch, &group, handler, events);
    } else {
        for (kur_delivery *delivery = group.first; delivery != NULL; delivery = delivery->next)
            batch->handed[count++] = delivery;
    }
    for (size_t i = 0; i < count; i++) {
        batch->outcomes[i] = KUR_NO_OUTCOME;
        batch->handed[i]->outcome = &batch->outcomes[i];
    }
    kur_outcome returned = KUR_NO_OUTCOME;
    if (count > 0 && handler != NULL)
        returned =
            handler->invoke_batch(handler->function, batch->handed, events, batch->outcomes, count, handler->user);
    else if (count > 0)
        returned = listener->on_record.batch(batch->handed, batch->outcomes, count, listener->on_record.user);
    for (size_t i = 0; i < count; i++)
        batch->handed[i]->outcome = NULL;
    for (size_t i = 0; i < count; i++)
        judge(batch, batch->handed[i], outcome_of(batch->handed[i], batch->outcomes[i], returned));
}

static bool takes_batches(const kur_listener *listener, int handler)
{
    return handler < KUR__HANDLERS ? listener->handlers[handler].invoke_batch != NULL
                                   : handler == KUR__FOR_RECORD && listener->on_record.batch != NULL;
}

static void sort_in(struct kur__batch *batch, const kur_listener *listener, kur_delivery *delivery)
{
    kur_outcome outcome = KUR_NO_OUTCOME;
    const kur_delivery *in_front = before(batch, delivery);
    if (is_not_run(batch, delivery))
        return;
    int handler = kur__delivery_route(delivery, &outcome);
    delivery->handler = handler;
    if (in_front != NULL && !in_front->is_judged && in_front->handler != handler) {
        run_group(batch, listener, in_front->handler);
        if (is_not_run(batch, delivery))
            return;
    }
    if (handler != KUR__FOR_NOBODY && !takes_batches(listener, handler))
        outcome = kur__delivery_call(delivery, handler);
    if (handler == KUR__FOR_NOBODY || !takes_batches(listener, handler)) {
        judge(batch, delivery, outcome);
        return;
    }
    struct group *group = &batch->groups[handler];
    if (group->first == NULL)
        group->first = delivery;
    else
        group->last->next = delivery;
    group->last = delivery;
    group->count++;
}

void kur__deliver_batch(struct kur__worker *worker, kur__work *first)
{
    kur_listener *listener = worker->listener;
    struct kur__batch *batch = worker->batch;
    int64_t since_us = atomic_load_explicit(&worker->since_us, memory_order_relaxed);
    size_t count = 0;
    for (kur__work *work = first; work != NULL; work = work->mate) {
        kur_delivery *delivery = &batch->deliveries[count++];
        kur__delivery_begin(delivery, worker, work);
        work->since_us = since_us;
        delivery->is_in_batch = true;
        delivery->is_judged = delivery->comes_again = false;
        delivery->lane = work->lane;
        delivery->next = NULL;
    }
    atomic_fetch_sub_explicit(&listener->unclaimed, (int64_t)count, memory_order_relaxed);
    for (size_t i = 0; i < count; i++)
        sort_in(batch, listener, &batch->deliveries[i]);
    for (int i = 0; i <= KUR__FOR_RECORD; i++)
        run_group(batch, listener, i);
    kur_arena_reset(worker->arena);
    for (size_t i = 0; i < count; i++) {
        kur__work *work = batch->deliveries[i].work;
        /* One that comes again whatever was said of it needs its record. */
        if (work->verdict.outcome == KUR_DONE && !work->verdict.has_emits && !batch->deliveries[i].comes_again)
            kur__worker_keep_done(worker, work);
    }
}

/* ---- The control thread's side ---- */

/* Whether the next batch is to wait for more. */
static bool waits_to_fill(kur_listener *listener, int64_t now_us)
{
    size_t most = (size_t)listener->options.batch_records;
    if (listener->options.batch_ms == 0)
        return false;
    size_t count = kur__machine_count_ready(&listener->machine, now_us, most);
    if (count == 0 || count >= most || kur__machine_is_full(&listener->machine)) {
        listener->fill_by_us = 0;
        return false;
    }
    if (listener->fill_by_us == 0)
        listener->fill_by_us = now_us + listener->options.batch_ms * INT64_C(1000);
    return now_us < listener->fill_by_us;
}

uint64_t kur__batch_hand_over(kur_listener *listener, int64_t now_us)
{
    int workers = listener->options.dispatch == KUR_DISPATCH_THREAD ? listener->options.concurrency : 1;
    uint64_t put = 0;
    while (listener->batches < workers && kur__ring_size(&listener->ring) < KUR__RING) {
        if (waits_to_fill(listener, now_us))
            break;
        kur__work *first = kur__machine_take_batch(&listener->machine, now_us, (size_t)listener->options.batch_records);
        if (first == NULL)
            break;
        int64_t count = 0;
        for (const kur__work *work = first; work != NULL; work = work->mate)
            count++;
        atomic_fetch_add_explicit(&listener->unclaimed, count, memory_order_relaxed);
        kur__ring_put(&listener->ring, first);
        listener->fill_by_us = 0;
        listener->batches++;
        put++;
    }
    return put;
}
