/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the transactions' thread: one call after another, each for a short time, so that the end of the
 * listener and of the transaction's time are seen. How the two threads share a set: exactly_once.c.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <kurier/sys/thread.h>
#include <poll.h>
#include <string.h>

#include "listener/crash.h"
#include "listener/exactly_once.h"

enum {
    TRANSACTION_MS = 15000, /* the broker ends one that is open for longer */
    OPEN_MS = 12000,        /* then it is given up here */
    SLICE_MS = 500,
    PAUSE_MS = 100,
    IDLE_MS = 1000
};

/* ---- Publishing ---- */

static bool is_out_of_time(const struct kur__exactly *exactly)
{
    return atomic_load(&exactly->gives_up) || atomic_load(&exactly->ends) ||
           kur_clock_monotonic_us() - exactly->begun_us >= OPEN_MS * INT64_C(1000);
}

/* Whether an event was refused for its own sake, and would be another time. */
static bool is_refusal(const kur_error *error)
{
    kur_status status = error->kafka_code != 0 ? kur_status_of_kafka(error->kafka_code) : error->code;
    return status == KUR_ERROR_TOO_LARGE || status == KUR_ERROR_UNKNOWN_TOPIC || status == KUR_ERROR_AUTHORIZATION ||
           status == KUR_ERROR_INVALID_ARGUMENT || status == KUR_ERROR_CONFIG ||
           (status == KUR_ERROR_BROKER && !error->retriable);
}

static void leave_out(struct kur__exactly *exactly, kur__work *work, const kur_error *why)
{
    work->is_left_out = true;
    work->is_too_large |= why->code == KUR_ERROR_TOO_LARGE; /* or what was in a batch with it */
    if (exactly->refusal.code == KUR_OK)
        exactly->refusal = *why;
}

static void on_result(const kur_result *result, void *user)
{
    struct kur__emit *emit = user;
    if (result->status == KUR_FAILED && is_refusal(&result->error))
        leave_out(emit->listener->exactly, emit->work, &result->error);
}

static void on_forward_result(const kur_result *result, void *user)
{
    struct kur__forward *forward = user;
    if (result->status == KUR_DELIVERED)
        kur__forward_arrived(forward);
    if (result->status != KUR_FAILED || !is_refusal(&result->error))
        return;
    kur__forward_judge(forward->listener, forward->work, &result->error);
    leave_out(forward->listener->exactly, forward->work, &result->error);
}

static kur_status publish_forward(struct kur__exactly *exactly, kur__work *work, kur_error *error)
{
    kur_status status;
    for (;;) {
        status =
            kur__forward_send(exactly->listener, exactly->producer, work, on_forward_result, exactly->arena, error);
        kur_arena_reset(exactly->arena);
        if (status != KUR_ERROR_QUEUE_FULL || is_out_of_time(exactly))
            break;
        kur_producer_dispatch(exactly->producer, PAUSE_MS, NULL, NULL);
    }
    if (status == KUR_OK || !is_refusal(error))
        return status;
    kur__forward_judge(exactly->listener, work, error);
    leave_out(exactly, work, error);
    return KUR_OK;
}

static kur_status publish_emits(struct kur__exactly *exactly, kur__work *work, kur_error *error)
{
    kur_event_view parent = KUR_EVENT_VIEW();
    const struct kur__extra *extra = work->extra;
    kur_status status = KUR_OK;
    if (extra == NULL || extra->emits == NULL)
        return KUR_OK;
    bool has_parent = kur_event_read(work->item, exactly->arena, &parent, NULL) == KUR_OK;
    for (struct kur__emit *emit = extra->emits; emit != NULL && status == KUR_OK; emit = emit->next) {
        emit->listener = exactly->listener;
        status = kur__emit_send(exactly->producer, emit, has_parent ? &parent : NULL, on_result, error);
        while (status == KUR_ERROR_QUEUE_FULL && !is_out_of_time(exactly)) {
            kur_producer_dispatch(exactly->producer, PAUSE_MS, NULL, NULL);
            status = kur__emit_send(exactly->producer, emit, has_parent ? &parent : NULL, on_result, error);
        }
    }
    kur_arena_reset(exactly->arena);
    if (status == KUR_OK || !is_refusal(error))
        return status;
    leave_out(exactly, work, error);
    return KUR_OK; /* what others have is looked at too */
}

static kur_status publish(struct kur__exactly *exactly, kur_error *error)
{
    kur_status status = KUR_OK;
    for (size_t i = 0; i < exactly->count; i++)
        for (kur__work *work = exactly->parts[i].source->in_transaction.first; work != NULL && status == KUR_OK;
             work = work->next)
            status =
                work->to != KUR_TIER_MAIN ? publish_forward(exactly, work, error) : publish_emits(exactly, work, error);
    if (status == KUR_OK && exactly->refusal.code != KUR_OK) {
        *error = exactly->refusal;
        status = error->code;
    }
    return status;
}

/* ---- The other calls ---- */

static kur_status send_offsets(struct kur__exactly *exactly, int timeout_ms, kur_error *error)
{
    return kur_transaction_send_offsets(exactly->producer, exactly->positions, exactly->count, exactly->group,
                                        timeout_ms, error);
}

static kur_status commit(struct kur__exactly *exactly, int timeout_ms, kur_error *error)
{
    return kur_transaction_commit(exactly->producer, timeout_ms, error);
}

/* The same call again, as long as that helps and there is time. */
static kur_status insist(struct kur__exactly *exactly,
                         kur_status (*call)(struct kur__exactly *exactly, int timeout_ms, kur_error *error),
                         kur_error *error)
{
    kur_status status;
    do {
        *error = (kur_error){0};
        status = call(exactly, SLICE_MS, error);
    } while ((status == KUR_ERROR_TIMEOUT || status == KUR_ERROR_AUTHENTICATION) && !is_out_of_time(exactly));
    return status;
}

kur_status kur__exactly_make_producer(struct kur__exactly *exactly, kur_error *error)
{
    /* Results come in the calls of whoever uses it. */
    exactly->producer =
        kur_producer_new(exactly->listener->client,
                         &KUR_PRODUCER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .queue_wait_ms = KUR_NONE,
                                               .record_bytes = KUR__RECORD_BYTES, .transactional_id = exactly->id,
                                               .transaction_timeout_ms = TRANSACTION_MS),
                         error);
    if (exactly->producer == NULL)
        return error->code;
    exactly->need = KUR__NEED_INIT;
    return KUR_OK;
}

kur_status kur__exactly_get_ready(struct kur__exactly *exactly, int timeout_ms, kur_error *error)
{
    kur_status status = KUR_OK;
    *error = (kur_error){0};
    switch (exactly->need) {
    case KUR__NEED_NOTHING:
        return KUR_OK;
    case KUR__NEED_PRODUCER:
        return kur__exactly_make_producer(exactly, error);
    case KUR__NEED_INIT:
        status = kur_transaction_init(exactly->producer, timeout_ms, error);
        break;
    case KUR__NEED_ABORT:
        status = kur_transaction_abort(exactly->producer, timeout_ms, error);
        if (status == KUR_ERROR_FATAL || status == KUR_ERROR_UNKNOWN_OUTCOME || status == KUR_ERROR_INVALID_STATE) {
            exactly->is_unknown |= status == KUR_ERROR_UNKNOWN_OUTCOME;
            exactly->need = KUR__NEED_REPLACE;
            return KUR_OK;
        }
        break;
    case KUR__NEED_REPLACE:
        status = kur_transaction_replace(&exactly->producer, timeout_ms, error);
        break;
    }
    if (status == KUR_OK)
        exactly->need = KUR__NEED_NOTHING;
    return status;
}

/* Waiting does not help: another has the id, or the broker will have no transactions of ours. */
static bool is_for_good(kur_status status)
{
    return status == KUR_ERROR_FENCED || status == KUR_ERROR_FATAL || status == KUR_ERROR_UNSUPPORTED ||
           status == KUR_ERROR_AUTHORIZATION || status == KUR_ERROR_AUTHENTICATION || status == KUR_ERROR_CONFIG;
}

/* False when the time was over, or with an error that is fatal. `until_ends`: not before the listener does. */
static bool prepare(struct kur__exactly *exactly, bool until_ends, kur_error *error)
{
    while (exactly->need != KUR__NEED_NOTHING) {
        kur_status status = kur__exactly_get_ready(exactly, SLICE_MS, error);
        if (status != KUR_OK && is_for_good(status)) {
            error->fatal = true;
            return false;
        }
        if (exactly->need == KUR__NEED_NOTHING)
            break;
        if (atomic_load(&exactly->ends) || (!until_ends && is_out_of_time(exactly)))
            return false;
        if (status != KUR_OK && status != KUR_ERROR_TIMEOUT)
            poll(NULL, 0, PAUSE_MS);
    }
    return true;
}

/* ---- What the group has ---- */

static bool read_committed(struct kur__exactly *exactly, kur_position *position)
{
    kur_error error = {0};
    while (!atomic_load(&exactly->ends)) {
        if (exactly->reader == NULL) /* never a member: it only asks */
            exactly->reader = kur_consumer_new(exactly->listener->client,
                                               &KUR_CONSUMER_OPTIONS(.group = exactly->listener->group), &error);
        if (exactly->reader != NULL &&
            kur_consumer_committed(exactly->reader, position, exactly->arena, SLICE_MS, &error) == KUR_OK)
            return true;
        poll(NULL, 0, PAUSE_MS);
    }
    return false;
}

static void look(struct kur__exactly *exactly)
{
    for (size_t i = 0; i < exactly->count; i++) {
        struct kur__part *part = &exactly->parts[i];
        const kur_position *sent = &exactly->positions[i];
        kur_position position = KUR_POSITION(.topic = sent->topic, .partition = sent->partition);
        if (part->source->in_transaction.first == NULL || !read_committed(exactly, &position))
            continue;
        part->is_there = position.offset == sent->offset && strcmp(position.metadata != NULL ? position.metadata : "",
                                                                   part->text != NULL ? part->text : "") == 0;
        kur_arena_reset(exactly->arena);
    }
}

/* ---- A transaction ---- */

/*
 * Refused without a word about whom: by access rights, say. Sets grow smaller with each abort; from one that cannot
 * grow smaller, each goes alone.
 */
static void suspect_all(struct kur__exactly *exactly, const kur_error *error)
{
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < exactly->count; i++)
            for (kur__work *work = exactly->parts[i].source->in_transaction.first; work != NULL; work = work->next) {
                const struct kur__extra *extra = work->extra;
                if (work->to == KUR_TIER_MAIN && (extra == NULL || extra->emits == NULL))
                    continue;
                count += pass == 0;
                if (pass == 1 && count <= exactly->count)
                    leave_out(exactly, work, error);
            }
}

/* The group tells, once nothing is open any more. */
static enum kur__exactly_outcome find_out(struct kur__exactly *exactly)
{
    kur_error why;
    if (!prepare(exactly, true, &why)) {
        exactly->error = why;
        return KUR__ABORTED;
    }
    look(exactly);
    return KUR__LOOKED;
}

/* `is_sent`: the commit was, perhaps; then whether it was undone is waited for. */
static enum kur__exactly_outcome conclude(struct kur__exactly *exactly, kur_status status, bool is_sent)
{
    kur_error ignored;
    switch (status) {
    case KUR_OK:
        return KUR__COMMITTED;
    case KUR_ERROR_FENCED:
        exactly->error.fatal = true;
        return KUR__ABORTED;
    case KUR_ERROR_UNKNOWN_OUTCOME:
        exactly->error.fatal = false; /* the producer is of no more use, but we are */
        exactly->need = KUR__NEED_REPLACE;
        return find_out(exactly);
    case KUR_ERROR_FATAL:
        exactly->error.fatal = false;
        exactly->need = KUR__NEED_REPLACE;
        break;
    default:
        exactly->need = KUR__NEED_ABORT;
        if (exactly->refusal.code == KUR_OK && status == KUR_ERROR_MUST_ABORT && is_refusal(&exactly->error) &&
            !kur__text_is_refused(&exactly->error))
            suspect_all(exactly, &exactly->error);
        break;
    }
    if (!prepare(exactly, is_sent, &ignored) && ignored.fatal)
        exactly->error = ignored;
    return exactly->is_unknown ? find_out(exactly) : KUR__ABORTED;
}

/* Whose emits may be freed from now on must not be told of them any more. */
static void await_results(struct kur__exactly *exactly)
{
    if (exactly->producer == NULL || kur_producer_pending(exactly->producer) == 0 ||
        kur_producer_flush(exactly->producer, SLICE_MS, NULL) == KUR_OK)
        return;
    kur_producer_free(exactly->producer); /* which hands them out */
    exactly->producer = NULL;
    exactly->need = KUR__NEED_PRODUCER;
}

static void transact(struct kur__exactly *exactly)
{
    kur_error *error = &exactly->error;
    exactly->begun_us = kur_clock_monotonic_us();
    exactly->outcome = KUR__ABORTED;
    exactly->is_unknown = false;
    *error = exactly->refusal = (kur_error){0};
    if (!prepare(exactly, false, error))
        return;
    exactly->begun_us = kur_clock_monotonic_us();
    kur_status status = kur_transaction_begin(exactly->producer, error);
    if (status != KUR_OK) {
        exactly->need = KUR__NEED_REPLACE;
        error->fatal = status == KUR_ERROR_FENCED;
        return;
    }
    status = publish(exactly, error);
    if (status == KUR_OK)
        status = insist(exactly, send_offsets, error);
    bool is_sent = status == KUR_OK;
    if (is_sent) {
        KUR__CRASH_POINT("offsets-sent");
        status = insist(exactly, commit, error);
    }
    if (status == KUR_OK)
        KUR__CRASH_POINT("committed");
    exactly->outcome = conclude(exactly, status, is_sent);
    await_results(exactly);
}

void *kur__exactly_run(void *user)
{
    struct kur__exactly *exactly = user;
    while (!atomic_load(&exactly->ends)) {
        pthread_mutex_lock(&exactly->lock);
        struct timespec until = kur_deadline_after(IDLE_MS);
        if (atomic_load(&exactly->stage) != KUR__SET_GIVEN && !atomic_load(&exactly->ends))
            pthread_cond_timedwait(&exactly->changed, &exactly->lock, &until);
        pthread_mutex_unlock(&exactly->lock);
        if (atomic_load(&exactly->stage) == KUR__SET_GIVEN) {
            transact(exactly);
            atomic_store(&exactly->stage, KUR__SET_OVER);
            kur__control_wake(exactly->listener);
        } else if (exactly->producer != NULL) {
            kur_producer_dispatch(exactly->producer, 0, NULL, NULL);
        }
    }
    kur_producer_free(exactly->producer);
    exactly->producer = NULL;
    kur_consumer_free(exactly->reader);
    exactly->reader = NULL;
    return NULL;
}
