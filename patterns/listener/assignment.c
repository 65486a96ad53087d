/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what happens to partitions, all of it on the control thread, in the consumer's callbacks.
 *
 * Assigned: a source begins at what is committed, with the ledger that was committed beside it. Revoked: nothing of the
 * partitions is run any more, what no worker has claimed comes back, what runs is waited for, for a bounded time in
 * which results and effects go on, then what is finished is committed and the sources are let go. Lost: they end
 * without a commit. A seek and a log that begins anew end a source and begin another one at once; one that has lost its
 * beginning goes on behind the gap.
 *
 * Where all partitions are revoked at each rebalance, most come back. Sources do not end there but are away until the
 * next generation is given: those that it gives back go on where they were read to, with what they hold and what runs;
 * for the others nobody waits any longer.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <string.h>

#include "listener/crash.h"
#include "listener/keeper.h"
#include "listener/topics.h"

enum {
    COMMITS_AT_ONCE = 64,
    COMMIT_MS = 5000,
    CLOSE_MS = 10000,
    CLOSE_LEAST_MS = 200,   /* for a broker that is there, when all other time was used up */
    METADATA_TOO_LARGE = 12 /* as Kafka numbers errors */
};

static int least(int64_t a, int64_t b)
{
    return (int)(a < b ? a : b);
}

/* Milliseconds until a stop has to be over. */
static int64_t left_ms(const kur_listener *listener)
{
    int64_t by_us = atomic_load(&listener->stop_by_us);
    int64_t left_us = by_us == INT64_MAX ? INT64_MAX : by_us - kur_clock_monotonic_us();
    return left_us > 0 ? left_us / 1000 : 0;
}

int kur__close_ms(const kur_listener *listener)
{
    int64_t ms = left_ms(listener);
    return least(ms > CLOSE_LEAST_MS ? ms : CLOSE_LEAST_MS, CLOSE_MS);
}

/* ---- Commits ---- */

struct round {
    kur_listener *listener;
    size_t count;
    kur__source *sources[COMMITS_AT_ONCE];
    kur_position positions[COMMITS_AT_ONCE];
    size_t text_limit; /* by which they were made */
    kur__commit commits[COMMITS_AT_ONCE];
};

bool kur__text_is_refused(const kur_error *error)
{
    return error->kafka_code == METADATA_TOO_LARGE;
}

void kur__shorten_texts(kur_listener *listener)
{
    kur__machine_text_refused(&listener->machine);
    kur_client_log(listener->client, KUR_LOG_WARNING,
                   "group %s: the broker takes less beside an offset than by default (offset.metadata.max.bytes): %zu "
                   "characters at most from now on",
                   listener->group, listener->machine.options.text_limit);
}

/*
 * What was committed stays so when the partition has gone meanwhile, as at a stop whose last round was still on its
 * way; but another source of it may be of another log.
 */
static void tell_keeper(const kur_listener *listener, const kur__source *source, int64_t offset)
{
    const kur__partition *partition = source->partition;
    if (listener->keeper != NULL && (partition->source == source || partition->source == NULL))
        listener->keeper->committed(listener->keeper->user, partition->topic, partition->number, offset);
}

static void take_answers(struct round *round, const kur_position *answers, const kur_error *error)
{
    kur_listener *listener = round->listener;
    int64_t now_us = kur_clock_monotonic_us();
    for (size_t i = 0; i < round->count; i++) {
        bool is_good = answers != NULL ? answers[i].status == KUR_OK : error->code == KUR_OK;
        if (is_good)
            tell_keeper(listener, round->sources[i], round->positions[i].offset);
        kur__machine_committed(&listener->machine, round->sources[i], is_good, now_us);
    }
    if (error != NULL && error->code != KUR_OK)
        kur_client_log(listener->client, error->code == KUR_ERROR_NOT_COMMITTED ? KUR_LOG_INFO : KUR_LOG_WARNING,
                       "group %s: not committed, and will be%s: %s", listener->group,
                       listener->is_closing ? " repeated" : "", error->message);
    if (error != NULL && error->code == KUR_ERROR_FENCED)
        kur__listener_fail(listener, error);
    if (error != NULL && kur__text_is_refused(error) && round->text_limit == listener->machine.options.text_limit)
        kur__shorten_texts(listener);
    kur_free(round);
}

static void on_commit(kur_consumer *consumer, const kur_error *error, const kur_position *positions, size_t count,
                      void *user)
{
    struct round *round = user;
    (void)consumer;
    if (error == NULL || error->code == KUR_OK)
        KUR__CRASH_POINT("commit-answered");
    take_answers(round, count == round->count ? positions : NULL, error);
}

static bool fill(struct round *round)
{
    kur_listener *listener = round->listener;
    int64_t untold = 0;
    while (round->count < COMMITS_AT_ONCE &&
           kur__machine_next_commit(&listener->machine, &round->commits[round->count])) {
        kur__commit *commit = &round->commits[round->count];
        round->sources[round->count] = commit->source;
        round->positions[round->count++] =
            KUR_POSITION(.topic = commit->source->partition->topic, .partition = commit->source->partition->number,
                         .offset = commit->offset, .metadata = commit->text[0] != '\0' ? commit->text : NULL,
                         .leader_epoch = commit->source->log.epoch);
        untold += commit->source->untold;
    }
    atomic_store_explicit(&listener->untold, untold, memory_order_relaxed);
    return round->count > 0;
}

void kur__commit_round(kur_listener *listener, kur__source *only, int timeout_ms, int64_t now_us)
{
    if (listener->exactly != NULL)
        return; /* the next transaction commits it */
    kur__machine_begin_commits(&listener->machine, only, now_us);
    for (;;) {
        struct round *round = kur_malloc(sizeof *round);
        if (round == NULL)
            return; /* the marks stay: the next round takes them */
        round->listener = listener;
        round->count = 0;
        round->text_limit = listener->machine.options.text_limit;
        if (!fill(round)) {
            kur_free(round);
            return;
        }
        kur_error error = {0};
        KUR__CRASH_POINT("commit-begun");
        if (timeout_ms > 0) {
            kur_consumer_commit(listener->consumer, round->positions, round->count, timeout_ms, &error);
            take_answers(round, NULL, &error);
        } else if (kur_consumer_commit_async(listener->consumer, round->positions, round->count, on_commit, round,
                                             &error) != KUR_OK) {
            take_answers(round, NULL, &error);
        } else {
            KUR__CRASH_POINT("commit-sent");
        }
    }
}

/* ---- Sources ---- */

/* As far as it is known. The epoch is that of what is committed: what is read later tells when it has risen. */
static kur__ledger_log log_of(kur_listener *listener, const kur_position *position)
{
    kur__ledger_log log = {.epoch = position->leader_epoch};
    const char *cluster = kur_consumer_cluster_id(listener->consumer);
    kur_uuid topic;
    if (cluster != NULL)
        log.cluster = kur__ledger_hash(cluster, strlen(cluster));
    if (kur_consumer_topic_id(listener->consumer, position->topic, position->partition, &topic))
        log.topic = kur__ledger_hash(topic.bytes, sizeof topic.bytes);
    return log;
}

static void fail_to_keep(kur_listener *listener)
{
    kur_error error;
    kur_error_set(&error, KUR_ERROR_NO_MEMORY, "out of memory: a partition of an inbox");
    kur__listener_fail(listener, &error);
}

kur__source *kur__source_open(kur_listener *listener, const kur_position *position)
{
    kur_error warning = {0}, error = {0};
    kur__source *source = NULL;
    int64_t start = position->offset;
    kur__assignment assignment = {.topic = position->topic,
                                  .partition = position->partition,
                                  .start = position->offset,
                                  .is_committed = position->is_committed,
                                  .text = position->metadata,
                                  .log = log_of(listener, position),
                                  .generation = kur_consumer_group_generation(listener->consumer)};
    if (!kur__topics_of(listener, position->topic, &assignment.home, &assignment.tier) ||
        assignment.tier == KUR_TIER_MAIN)
        assignment.home = NULL;
    if (listener->decisions.keep_order)
        assignment.end = -1;
    listener->seen_topic = NULL;
    if (kur__machine_assign(&listener->machine, &assignment, &source, &start, kur_clock_monotonic_us(), &warning,
                            &error) != KUR_OK) {
        kur__listener_fail(listener, &error);
        return NULL;
    }
    if (listener->keeper != NULL &&
        !listener->keeper->opened(listener->keeper->user, &assignment, source->finished_to)) {
        fail_to_keep(listener);
        return NULL;
    }
    if (warning.code != KUR_OK)
        kur_client_log(listener->client, KUR_LOG_WARNING,
                       "group %s: %s [%" PRId32
                       "]: %s: it starts at the offset, and what was finished above is repeated",
                       listener->group, position->topic, position->partition, warning.message);
    if (kur__source_is_reading_up(&listener->machine, source) && source->end < 0)
        kur__ends_ask(listener, source);
    /* It has come back as it went, and more was read of it than is committed. */
    if (start != position->offset)
        kur_consumer_seek(listener->consumer, position->topic, position->partition, start, NULL);
    return source;
}

kur__source *kur__source_for(kur_listener *listener, const kur_record *record)
{
    const char *topic = kur_record_topic(record);
    int32_t partition = kur_record_partition(record);
    int64_t position;
    kur__source *source = kur__machine_find(&listener->machine, topic, partition);
    if (source == NULL && !listener->is_leaving &&
        kur_consumer_position(listener->consumer, topic, partition, &position, NULL) == KUR_OK)
        source = kur__source_open(
            listener, &KUR_POSITION(.topic = topic, .partition = partition, .offset = kur_record_offset(record)));
    if (source != NULL) {
        listener->seen_topic = topic;
        listener->seen_partition = partition;
        listener->seen_source = source;
    }
    return source;
}

/* ---- What the group says ---- */

static void assigned(kur_listener *listener, const kur_position *positions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const kur_position *position = kur_options_at(positions, i);
        /* The consumer keeps a pause through rebalances; the user may have changed his mind. */
        (listener->is_paused ? kur_consumer_pause : kur_consumer_resume)(listener->consumer, position->topic,
                                                                         position->partition, NULL);
        if (position->offset >= 0)
            kur__source_open(listener, position);
        kur__broadcast_aim(listener, position);
    }
}

void kur__drop_absent(kur_listener *listener)
{
    int64_t generation = kur_consumer_group_generation(listener->consumer), position;
    if (!listener->has_away)
        return;
    listener->has_away = false;
    for (kur__source *source = listener->machine.oldest, *next; source != NULL; source = next) {
        next = source->newer;
        if (source->state != KUR__AWAY)
            continue;
        /* The next generation is not there yet, or the start of this one is still asked for. */
        if (generation == source->generation ||
            (generation == source->generation + 1 &&
             kur_consumer_position(listener->consumer, source->partition->topic, source->partition->number, &position,
                                   NULL) == KUR_OK))
            listener->has_away = true;
        else
            kur__machine_drop(&listener->machine, source);
    }
}

/* Exactly-once nothing is finished but by a commit. */
bool kur__waits_to_commit(const kur_listener *listener)
{
    for (const kur__source *source = listener->machine.oldest; source != NULL; source = source->newer)
        if (source->state == KUR__AWAY && source->is_dirty && listener->exactly == NULL)
            return true;
    return false;
}

static bool still_runs(const kur_listener *listener, const kur_position *positions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const kur_position *position = kur_options_at(positions, i);
        const kur__source *source = kur__machine_source(&listener->machine, position->topic, position->partition);
        if (source != NULL && (source->running > 0 || source->settling > 0))
            return true;
    }
    return false;
}

static void for_each(kur_listener *listener, const kur_position *positions, size_t count,
                     void (*step)(kur_listener *listener, kur__source *source))
{
    for (size_t i = 0; i < count; i++) {
        const kur_position *position = kur_options_at(positions, i);
        kur__source *source = kur__machine_source(&listener->machine, position->topic, position->partition);
        if (source != NULL)
            step(listener, source);
    }
}

static void suspend(kur_listener *listener, kur__source *source)
{
    kur__machine_suspend(&listener->machine, source);
}

static void forget_seeks(kur_listener *listener, const kur_position *positions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const kur_position *position = kur_options_at(positions, i);
        kur__seek_forget(listener, position->topic, position->partition);
    }
}

static void commit_last(kur_listener *listener, kur__source *source)
{
    kur__machine_begin_commits(&listener->machine, source, kur_clock_monotonic_us());
}

static void drop(kur_listener *listener, kur__source *source)
{
    kur__machine_drop(&listener->machine, source);
}

/* It may come back with the next generation; who knows of none, or leaves, does not wait for it. */
static void let_go(kur_listener *listener, kur__source *source)
{
    /* What becomes of a transaction that is still open is seen by who asks for the committed offset next. */
    bool is_in_transaction = listener->exactly != NULL && source->in_commit > 0;
    if (source->generation < 0 || listener->is_closing || is_in_transaction) {
        drop(listener, source);
        return;
    }
    kur__machine_leave(&listener->machine, source);
    listener->has_away = true;
}

static int64_t count_assigned(const kur_listener *listener)
{
    int64_t count = 0;
    for (const kur__source *source = listener->machine.oldest; source != NULL; source = source->newer)
        count += source->state == KUR__ACTIVE;
    return count;
}

static void revoked(kur_listener *listener, const kur_position *positions, size_t count)
{
    int64_t now_us = kur_clock_monotonic_us();
    /* Who stops has waited already, and what time is left is for the commit. */
    int64_t wait_ms = listener->is_closing ? 0 : least(listener->options.drain_ms, left_ms(listener));
    int64_t until_us = now_us + wait_ms * 1000;
    for_each(listener, positions, count, suspend);
    kur__control_untake(listener, now_us);
    kur__control_serve(listener, now_us);
    listener->is_apart = true;
    while (still_runs(listener, positions, count) && (now_us = kur_clock_monotonic_us()) < until_us) {
        kur__hand_over(listener, now_us); /* of those that stay */
        kur__control_wait(listener, least((until_us - now_us) / 1000 + 1, 20));
        kur__control_serve(listener, kur_clock_monotonic_us());
    }
    listener->is_apart = false;
    /* Without a moment for it the answer is not awaited: what is not committed is repeated. */
    int commit_ms = least(COMMIT_MS, left_ms(listener));
    if (listener->exactly != NULL && !listener->is_closing)
        kur__exactly_last(listener, commit_ms);
    else if (listener->exactly == NULL)
        for_each(listener, positions, count, commit_last);
    if (commit_ms > 0)
        kur__commit_round(listener, kur__machine_source(&listener->machine, positions->topic, positions->partition),
                          commit_ms, now_us);
    for_each(listener, positions, count, let_go);
}

void kur__on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *partitions, size_t count,
                       void *user)
{
    kur_listener *listener = user;
    (void)consumer;
    listener->seen_topic = NULL;
    if (what == KUR_ALL_ASSIGNED)
        listener->are_goals_known = true;
    if (count == 0)
        return;
    if (what != KUR_ASSIGNED && !listener->is_closing)
        atomic_fetch_add_explicit(&listener->rebalances, 1, memory_order_relaxed);
    KUR__CRASH_POINT(what == KUR_ASSIGNED ? "assigned" : what == KUR_REVOKED ? "revoked" : "lost");
    if (what != KUR_ASSIGNED)
        forget_seeks(listener, partitions, count);
    if (what == KUR_ASSIGNED)
        assigned(listener, partitions, count);
    else if (what == KUR_REVOKED)
        revoked(listener, partitions, count);
    else {
        atomic_fetch_add_explicit(&listener->lost, (int64_t)count, memory_order_relaxed);
        kur__control_untake(listener, kur_clock_monotonic_us());
        for_each(listener, partitions, count, drop);
    }
    atomic_store_explicit(&listener->assigned, count_assigned(listener), memory_order_relaxed);
}

/*
 * Of a log that has lost its beginning what is held is good, and nobody else has it any more: the source goes on, and
 * its ledger passes the gap as any other. Another log begins below what was read.
 */
static void pass_gap(kur_listener *listener, const kur_gap *gap)
{
    const kur__source *source = kur__machine_find(&listener->machine, gap->topic, gap->partition);
    if (source != NULL && gap->low > source->ledger.last)
        kur_consumer_seek(listener->consumer, gap->topic, gap->partition, gap->low, NULL);
    else
        kur__restart(listener, gap->topic, gap->partition, gap->low >= 0 ? gap->low : KUR_OFFSET_BEGINNING);
}

void kur__on_gap(kur_consumer *consumer, const kur_gap *gap, void *user)
{
    kur_listener *listener = user;
    (void)consumer;
    atomic_fetch_add_explicit(&listener->gaps, 1, memory_order_relaxed);
    kur_client_log(listener->client, KUR_LOG_WARNING, "group %s: %s", listener->group, gap->message);
    if (listener->options.on_gap != NULL)
        listener->options.on_gap(gap, listener->options.user);
    if (listener->options.gap == KUR_GAP_STOP || gap->code != KUR_ERROR_GAP) {
        kur_error error;
        kur_error_set(&error, gap->code, "%s", gap->message);
        kur__listener_fail(listener, &error);
        return;
    }
    kur__broadcast_lower(listener, gap);
    pass_gap(listener, gap);
    bool is_anew = gap->high >= 0 && gap->offset > gap->high;
    if (is_anew && listener->keeper != NULL &&
        !listener->keeper->anew(listener->keeper->user, gap->topic, gap->partition))
        fail_to_keep(listener);
}
