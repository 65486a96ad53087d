/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: transactions, on a thread of their own, for their calls wait.
 *
 *     control thread                                            the transactions' thread
 *       closes a set: works, offsets and texts, who we ─ GIVEN ─▶ begin, publish, offsets, commit
 *       are in the group; goes on with everything else            or abort, replace, look
 *       finishes the set, or puts it back ◀─────────────  OVER ── and no result is under way any more
 *
 * The set belongs to the thread from GIVEN to OVER: its works are `issued`, so that the control thread leaves them
 * alone whatever happens to their sources. Who we are in the group is taken when the set is closed: when the group
 * moves on, the broker refuses its offsets, and with them all of it.
 *
 * What calls return means what <kurier/transaction.h> says. A commit whose answer was lost is settled by a new
 * producer, and then the group tells: it has what was sent for a source that is still ours, or it was not committed.
 * Only such a source tells, for nobody else can have committed anything there; and that no two sets send the same is
 * the machine's part (transaction.c).
 *
 * An emitted event that is refused for its own sake is left out with all of its record, or it would stop everything.
 */
#include "listener/exactly_once.h"

#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/thread.h>
#include <stdio.h>
#include <string.h>

#include "listener/crash.h"

enum {
    START_MS = 10000,
    LAST_MS = 5000,
    LAST_MOST = 3 /* transactions before partitions go */
};

/* ---- A set ---- */

static bool reserve(struct kur__exactly *exactly, size_t count)
{
    if (count <= exactly->capacity)
        return true;
    kur_position *positions = kur_realloc(exactly->positions, count * sizeof *positions);
    if (positions != NULL)
        exactly->positions = positions;
    struct kur__part *parts = kur_realloc(exactly->parts, count * sizeof *parts);
    if (parts != NULL)
        exactly->parts = parts;
    if (positions == NULL || parts == NULL)
        return false;
    exactly->capacity = count;
    return true;
}

/* The offsets of the set at hand; false without memory. */
static bool fill(struct kur__exactly *exactly, kur__machine *machine)
{
    kur__commit commit;
    if (!reserve(exactly, machine->sources))
        return false;
    while (exactly->count < exactly->capacity && kur__machine_next_commit(machine, &commit)) {
        struct kur__part *part = &exactly->parts[exactly->count];
        *part = (struct kur__part){.source = commit.source};
        if (commit.text[0] != '\0' && (part->text = kur_strdup(commit.text)) == NULL)
            return false;
        exactly->positions[exactly->count++] =
            KUR_POSITION(.topic = commit.source->partition->topic, .partition = commit.source->partition->number,
                         .offset = commit.offset, .metadata = part->text, .leader_epoch = commit.source->log.epoch);
    }
    return true;
}

/*
 * Where records go that are forwarded; false when they cannot: no memory, or some have no topic yet. These are left
 * out, without a word: it is being made, and who makes it tells what is in the way.
 */
static bool prepare_forwards(kur_listener *listener)
{
    bool may_go = true;
    for (size_t i = 0; i < listener->exactly->count; i++)
        for (kur__work *work = listener->exactly->parts[i].source->in_transaction.first; work != NULL;
             work = work->next) {
            const struct kur__forward *forward =
                work->to != KUR_TIER_MAIN ? kur__forward_prepare(listener, work) : NULL;
            if (work->to != KUR_TIER_MAIN && forward == NULL)
                return false;
            work->is_left_out = forward != NULL && forward->topic == NULL;
            may_go = may_go && !work->is_left_out;
        }
    return may_go;
}

/* What waits for long would hold what was fetched with it. */
static void unpin_left_out(kur_listener *listener)
{
    for (size_t i = 0; i < listener->exactly->count; i++)
        for (kur__work *work = listener->exactly->parts[i].source->in_transaction.first; work != NULL;
             work = work->next)
            if (work->is_left_out)
                kur__record_unpin(listener, work);
}

static void clear_set(struct kur__exactly *exactly)
{
    for (size_t i = 0; i < exactly->count; i++)
        kur_free(exactly->parts[i].text);
    exactly->count = 0;
    kur_group_metadata_free(exactly->group);
    exactly->group = NULL;
}

static bool begin(kur_listener *listener, int64_t now_us)
{
    struct kur__exactly *exactly = listener->exactly;
    kur_error error = {0};
    if (!kur__machine_begin_transaction(&listener->machine, now_us))
        return false;
    bool is_filled = fill(exactly, &listener->machine) && prepare_forwards(listener);
    /* Not a member at this moment: later, or never. */
    exactly->group = is_filled ? kur_consumer_group_metadata(listener->consumer, &error) : NULL;
    if (exactly->group == NULL) {
        unpin_left_out(listener);
        clear_set(exactly);
        kur__machine_end_transaction(&listener->machine, false, now_us);
        return false;
    }
    KUR__CRASH_POINT("set-closed");
    atomic_store(&exactly->gives_up, false);
    pthread_mutex_lock(&exactly->lock);
    atomic_store(&exactly->stage, KUR__SET_GIVEN);
    pthread_cond_signal(&exactly->changed);
    pthread_mutex_unlock(&exactly->lock);
    return true;
}

/* The group, since the set was closed. */
static bool has_moved_on(const struct kur__exactly *exactly)
{
    return kur_status_of_kafka(exactly->error.kafka_code) == KUR_ERROR_NOT_COMMITTED;
}

static void tell(struct kur__exactly *exactly, bool is_committed)
{
    const kur_listener *listener = exactly->listener;
    bool is_expected = has_moved_on(exactly);
    const kur_error *error = exactly->refusal.code != KUR_OK ? &exactly->refusal : &exactly->error;
    if (error->code == KUR_OK)
        return;
    if (!is_expected && !kur__once_in_a_while(&exactly->next_warning_us))
        return;
    if (error == &exactly->refusal)
        kur_client_log(listener->client, KUR_LOG_WARNING,
                       "group %s: an emitted event, or a record that is forwarded, is refused; its record is not "
                       "finished, and it will be sent again: %s",
                       listener->group, error->message);
    else
        kur_client_log(listener->client, is_expected ? KUR_LOG_INFO : KUR_LOG_WARNING, "group %s: %s: %s",
                       listener->group,
                       is_committed ? "a transaction is committed after all"
                                    : "a transaction is aborted, and its outcomes go into the next",
                       error->message);
}

static void count_forwarded(kur_listener *listener)
{
    for (size_t i = 0; i < listener->exactly->count; i++)
        for (const kur__work *work = listener->exactly->parts[i].source->in_transaction.first; work != NULL;
             work = work->next) {
            if (work->to != KUR_TIER_MAIN) {
                kur__retries_forwarded(listener, work);
                KUR__CRASH_POINT("forward-committed");
            }
            if (work->to == KUR_TIER_DEAD)
                atomic_fetch_add_explicit(&listener->rejected_count, 1, memory_order_relaxed);
        }
}

/* On the control thread, which alone knows what is still ours. */
static bool was_committed(const struct kur__exactly *exactly)
{
    for (size_t i = 0; i < exactly->count; i++)
        if (exactly->parts[i].is_there && kur__source_is_ours(exactly->parts[i].source))
            return true;
    return false;
}

/* Takes in what became of a transaction, when it is over. */
static void take_end(kur_listener *listener, int64_t now_us)
{
    struct kur__exactly *exactly = listener->exactly;
    if (atomic_load(&exactly->stage) != KUR__SET_OVER)
        return;
    bool is_committed =
        exactly->outcome == KUR__COMMITTED || (exactly->outcome == KUR__LOOKED && was_committed(exactly));
    tell(exactly, is_committed);
    unpin_left_out(listener);
    if (is_committed)
        count_forwarded(listener);
    kur__machine_end_transaction(&listener->machine, is_committed, now_us);
    if (exactly->refusal.code == KUR_OK && kur__text_is_refused(&exactly->error))
        kur__shorten_texts(listener);
    clear_set(exactly);
    atomic_store(&exactly->stage, KUR__SET_NONE);
    if (exactly->error.fatal)
        kur__listener_fail(listener, &exactly->error);
}

void kur__exactly_serve(kur_listener *listener, int64_t now_us)
{
    struct kur__exactly *exactly = listener->exactly;
    if (exactly == NULL)
        return;
    take_end(listener, now_us);
    if (atomic_load(&exactly->stage) == KUR__SET_NONE && !exactly->error.fatal &&
        kur__machine_commit_is_due(&listener->machine, now_us))
        begin(listener, now_us);
}

static bool has_settled(const kur_listener *listener, bool all)
{
    for (const kur__source *source = listener->machine.oldest; source != NULL; source = source->newer)
        if (source->settled.first != NULL && (source->state == KUR__REVOKING || (all && kur__source_is_ours(source))))
            return true;
    return false;
}

void kur__exactly_last(kur_listener *listener, int timeout_ms)
{
    struct kur__exactly *exactly = listener->exactly;
    int64_t now_us = kur_clock_monotonic_us(), until_us = now_us + timeout_ms * INT64_C(1000);
    int64_t give_up_us = now_us + timeout_ms * INT64_C(700); /* an abort takes time too */
    int begun = 0;
    listener->is_apart = true;
    for (;; now_us = kur_clock_monotonic_us()) {
        take_end(listener, now_us);
        bool is_idle = atomic_load(&exactly->stage) == KUR__SET_NONE;
        if (is_idle &&
            (now_us >= give_up_us || exactly->error.fatal || has_moved_on(exactly) ||
             !has_settled(listener, listener->is_leaving) || begun++ == LAST_MOST || !begin(listener, now_us)))
            break;
        if (now_us >= give_up_us) /* what is not committed by now is aborted, so that the next owner need not wait */
            atomic_store(&exactly->gives_up, true);
        if (now_us >= until_us)
            break;
        kur__control_wait(listener, 20);
    }
    listener->is_apart = false;
}

void kur__exactly_close(kur_listener *listener)
{
    int64_t left_us = atomic_load(&listener->stop_by_us) - kur_clock_monotonic_us();
    int64_t most_us = LAST_MS * INT64_C(1000);
    left_us = left_us < 0 ? 0 : left_us / 2 < most_us ? left_us / 2 : most_us; /* to leave takes time too */
    if (listener->exactly != NULL)
        kur__exactly_last(listener, (int)(left_us / 1000));
}

/* ---- Life ---- */

static kur_status make_id(struct kur__exactly *exactly, kur_error *error)
{
    const kur_listener *listener = exactly->listener;
    char random[KUR_UUID_TEXT_SIZE] = "";
    const char *instance = listener->instance;
    if (instance == NULL) {
        kur_uuid id;
        kur_status status = kur_uuid_new(&id, error);
        if (status != KUR_OK)
            return status;
        kur_uuid_format(&id, random);
        instance = random;
    }
    size_t size = strlen("kurier..") + strlen(listener->group) + strlen(instance) + 1;
    exactly->id = kur_malloc(size);
    if (exactly->id == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
    snprintf(exactly->id, size, "kurier.%s.%s", listener->group, instance);
    return KUR_OK;
}

kur_status kur__exactly_new(kur_listener *listener, kur_error *error)
{
    struct kur__exactly *exactly = kur_calloc(1, sizeof *exactly);
    if (exactly == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
    listener->exactly = exactly;
    exactly->listener = listener;
    pthread_mutex_init(&exactly->lock, NULL);
    kur_condition_init(&exactly->changed);
    exactly->arena = kur_arena_new();
    kur_status status = exactly->arena != NULL ? make_id(exactly, error)
                                               : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
    return status == KUR_OK ? kur__exactly_make_producer(exactly, error) : status;
}

kur_status kur__exactly_start(kur_listener *listener, kur_error *error)
{
    struct kur__exactly *exactly = listener->exactly;
    kur_error why = {0};
    kur_status status = kur__exactly_get_ready(exactly, START_MS, &why);
    if (status != KUR_OK && status != KUR_ERROR_TIMEOUT) {
        if (error != NULL)
            *error = why;
        return status;
    }
    int failed = kur_thread_start(&exactly->thread, kur__exactly_run, exactly);
    if (failed != 0)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no thread for transactions: %s", strerror(failed));
    exactly->has_thread = true;
    return KUR_OK;
}

void kur__exactly_stop(kur_listener *listener)
{
    struct kur__exactly *exactly = listener->exactly;
    if (exactly == NULL)
        return;
    pthread_mutex_lock(&exactly->lock);
    atomic_store(&exactly->ends, true);
    pthread_cond_signal(&exactly->changed);
    pthread_mutex_unlock(&exactly->lock);
}

void kur__exactly_free(kur_listener *listener)
{
    struct kur__exactly *exactly = listener->exactly;
    if (exactly == NULL)
        return;
    kur__exactly_stop(listener);
    if (exactly->has_thread)
        pthread_join(exactly->thread, NULL);
    kur_producer_free(exactly->producer); /* when no thread was started */
    if (atomic_load(&exactly->stage) != KUR__SET_NONE)
        kur__machine_end_transaction(&listener->machine, false, kur_clock_monotonic_us());
    clear_set(exactly);
    pthread_cond_destroy(&exactly->changed);
    pthread_mutex_destroy(&exactly->lock);
    kur_arena_free(exactly->arena);
    kur_free(exactly->positions);
    kur_free(exactly->parts);
    kur_free(exactly->id);
    kur_free(exactly);
    listener->exactly = NULL;
}
