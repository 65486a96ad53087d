/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Pause, resume and seek write in the table what is wanted; the polling thread makes it so between two polls, for
 * before librdkafka 2.1 a batch poll loses records when another thread does it meanwhile. Traps on the way:
 *
 * - Resuming what is not paused rewinds: librdkafka's flag is known here, and is never taken back twice.
 * - The flag outlives an assignment: it is taken back before each, and a paused partition is left out of the new one
 * until it is resumed.
 * - After an error of auto.offset.reset a partition is dead for librdkafka: it needs a new assignment, not a seek.
 *
 * With the range and round-robin assignors librdkafka takes whole assignments only, in which every partition starts
 * again at the position that is given: what was fetched ahead of it is fetched twice, and nothing else happens.
 *
 * With .room a pause is nothing of librdkafka's, but where there will be no room for long: see consumer_queues.c.
 */
#include <inttypes.h>

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"
#include "kafka/topic.h"

enum {
    SEEK_MS = 1000
};

/* ---- What callers want ---- */

static kur_status check(const kur_consumer *consumer, const char *topic, int32_t partition, kur_error *error)
{
    if (consumer == NULL || topic == NULL)
        return kur_error_null(error, consumer == NULL ? "consumer" : "topic");
    if (!kur__topic_is_valid(topic) || partition < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "topic or partition is not valid");
    return KUR_OK;
}

static kur_status not_assigned(const char *topic, int32_t partition, kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_UNKNOWN_TOPIC, "%s [%" PRId32 "] is not assigned", topic, partition);
}

static kur_status want_pause(kur_consumer *consumer, const char *topic, int32_t partition, bool pause, kur_error *error)
{
    kur_status status = check(consumer, topic, partition, error);
    if (status != KUR_OK)
        return status;
    pthread_mutex_lock(&consumer->lock);
    kur__partition *entry = kur__table_find(consumer, topic, partition);
    bool is_there = entry != NULL && entry->stage != KUR__AWAY;
    /* One that is away can be let go of, too. */
    if (is_there || (entry != NULL && !pause))
        entry->is_paused = pause;
    pthread_mutex_unlock(&consumer->lock);
    if (!is_there)
        return not_assigned(topic, partition, error);
    kur__consumer_wake(consumer);
    return KUR_OK;
}

kur_status kur_consumer_pause(kur_consumer *consumer, const char *topic, int32_t partition, kur_error *error)
{
    return want_pause(consumer, topic, partition, true, error);
}

kur_status kur_consumer_resume(kur_consumer *consumer, const char *topic, int32_t partition, kur_error *error)
{
    return want_pause(consumer, topic, partition, false, error);
}

static kur_status want_seek(kur_consumer *consumer, const char *topic, int32_t partition, int64_t target,
                            int64_t time_ms, kur_error *error)
{
    pthread_mutex_lock(&consumer->lock);
    kur__partition *entry = kur__table_find(consumer, topic, partition);
    bool is_there = entry != NULL && entry->stage != KUR__AWAY;
    if (is_there) {
        entry->is_seek_new = true;
        entry->seek_target = target;
        entry->seek_time_ms = time_ms;
    }
    pthread_mutex_unlock(&consumer->lock);
    if (!is_there)
        return not_assigned(topic, partition, error);
    kur__consumer_wake(consumer);
    return KUR_OK;
}

kur_status kur_consumer_seek(kur_consumer *consumer, const char *topic, int32_t partition, int64_t offset,
                             kur_error *error)
{
    kur_status status = check(consumer, topic, partition, error);
    if (status != KUR_OK)
        return status;
    if (offset < 0 && offset != KUR_OFFSET_BEGINNING && offset != KUR_OFFSET_END && offset != KUR_OFFSET_COMMITTED)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "offset is negative and none of KUR_OFFSET_…");
    return want_seek(consumer, topic, partition, offset, 0, error);
}

kur_status kur_consumer_seek_time(kur_consumer *consumer, const char *topic, int32_t partition, int64_t timestamp_us,
                                  kur_error *error)
{
    kur_status status = check(consumer, topic, partition, error);
    if (status != KUR_OK)
        return status;
    if (timestamp_us < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timestamp_us is negative");
    /* Kafka keeps milliseconds: the first one that is not before the time. */
    int64_t time_ms = timestamp_us / 1000 + (timestamp_us % 1000 != 0);
    return want_seek(consumer, topic, partition, KUR__TARGET_TIME, time_ms, error);
}

void kur__flow_take_seeks(kur_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next) {
        if (!at->is_seek_new || at->stage == KUR__AWAY)
            continue;
        kur__partition_clear(at);
        at->leader_epoch = 0;
        at->commits = 0;
        at->epoch = ++consumer->last_epoch;
        at->target = at->seek_target;
        at->target_time_ms = at->seek_time_ms;
        if (at->stage != KUR__ASSIGNED)
            at->is_committed = false;
        consumer->is_busy = true;
        if (at->target < 0) {
            at->stage = at->stage == KUR__FOUND ? KUR__STARTING : at->stage;
            continue;
        }
        at->target = KUR__TARGET_NONE;
        kur__partition_set_next(consumer, at, at->seek_target);
        at->guard = at->guard > at->seek_target ? at->seek_target : at->guard;
        at->asked = at->asked > at->seek_target ? at->seek_target : at->asked;
        at->is_seek_due = at->stage == KUR__ASSIGNED;
        at->stage = at->stage == KUR__STARTING ? KUR__FOUND : at->stage;
    }
    pthread_mutex_unlock(&consumer->lock);
}

/* ---- What librdkafka is told ---- */

static void report(kur_consumer *consumer, rd_kafka_resp_err_t code, const char *what)
{
    kur_error error;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    kur__error_of_kafka(&error, code, "group %s: %s", consumer->group, what);
    kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING, "%s", error.message);
    kur__consumer_fail(consumer, &error);
}

static void report_error(kur_consumer *consumer, rd_kafka_error_t *error, const char *what)
{
    report(consumer, error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR, what);
    rd_kafka_error_destroy(error);
}

/* Whether librdkafka is to be told of a pause: what has a queue of its own is just not read. */
static bool is_paused(const kur__partition *at)
{
    return at->is_paused && at->queue == NULL;
}

static bool is_wanted(const kur__partition *at)
{
    return at->stage == KUR__ASSIGNED && !at->is_stopped && at->target == KUR__TARGET_NONE && !is_paused(at);
}

static void set_pauses(kur_consumer *consumer, const rd_kafka_topic_partition_list_t *list, bool pause)
{
    if (list->cnt == 0)
        return;
    if (pause)
        report(consumer, rd_kafka_pause_partitions(consumer->rk, (rd_kafka_topic_partition_list_t *)(uintptr_t)list),
               "pause");
    else
        report(consumer, rd_kafka_resume_partitions(consumer->rk, (rd_kafka_topic_partition_list_t *)(uintptr_t)list),
               "resume");
}

static void sync_pauses(kur_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *pause = rd_kafka_topic_partition_list_new(0);
    rd_kafka_topic_partition_list_t *resume = rd_kafka_topic_partition_list_new(0);
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next) {
        bool wanted = is_paused(at) || at->is_stopped || at->has_no_room_soon;
        if (!at->is_fetching || at->needs_restart || wanted == at->is_pause_set)
            continue;
        kur__partition_add(at, wanted ? pause : resume);
        at->is_pause_set = wanted;
        at->is_seek_due |= !wanted && at->is_thrown_away;
    }
    set_pauses(consumer, pause, true);
    set_pauses(consumer, resume, false);
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->is_pause_set && at->has_no_room_soon && !at->is_thrown_away) {
            kur__queue_drain(at);
            at->is_thrown_away = true;
        }
    rd_kafka_topic_partition_list_destroy(pause);
    rd_kafka_topic_partition_list_destroy(resume);
}

void kur__flow_clear_pauses(kur_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->is_pause_set) {
            kur__partition_add(at, list);
            at->is_pause_set = false;
        }
    set_pauses(consumer, list, false);
    rd_kafka_topic_partition_list_destroy(list);
}

void kur__flow_forget(kur_consumer *consumer)
{
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        kur__partition_forget(at);
}

static void add_with_start(kur_consumer *consumer, kur__partition *at, rd_kafka_topic_partition_list_t *list)
{
    int64_t offset = kur__partition_position(consumer, at);
    rd_kafka_topic_partition_t *one = kur__partition_add(at, list);
    one->offset = offset;
    /* The epoch belongs to the start alone. */
    if (!at->is_fetching && at->is_committed && at->is_fresh)
        kur__leader_epoch_set(one, at->leader_epoch);
    kur__partition_set_next(consumer, at, offset);
    kur__partition_forget(at);
    at->is_fetching = true;
    at->is_seek_due = false;
    kur__queue_open(consumer, at);
}

static void assign_all(kur_consumer *consumer)
{
    kur__flow_clear_pauses(consumer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next) {
        if (is_wanted(at)) {
            add_with_start(consumer, at, list);
        } else if (at->is_fetching) {
            if (at->target == KUR__TARGET_NONE && !at->is_stopped)
                kur__partition_set_next(consumer, at, kur__partition_position(consumer, at));
            kur__partition_forget(at);
            at->is_seek_due = false;
        }
    }
    report(consumer, rd_kafka_assign(consumer->rk, list), "assign");
    rd_kafka_topic_partition_list_destroy(list);
}

static void assign_some(kur_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *out = rd_kafka_topic_partition_list_new(0);
    rd_kafka_topic_partition_list_t *in = rd_kafka_topic_partition_list_new(0);
    rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_new(0);
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next) {
        if (!is_wanted(at) || (at->is_fetching && !at->needs_restart))
            continue;
        if (at->is_fetching)
            kur__partition_add(at, out);
        if (at->is_pause_set)
            kur__partition_add(at, paused);
        add_with_start(consumer, at, in);
    }
    set_pauses(consumer, paused, false);
    if (out->cnt > 0)
        report_error(consumer, rd_kafka_incremental_unassign(consumer->rk, out), "unassign");
    report_error(consumer, rd_kafka_incremental_assign(consumer->rk, in), "assign");
    rd_kafka_topic_partition_list_destroy(out);
    rd_kafka_topic_partition_list_destroy(in);
    rd_kafka_topic_partition_list_destroy(paused);
}

static void sync_assignment(kur_consumer *consumer)
{
    bool is_due = false;
    for (kur__partition *at = consumer->table; at != NULL && !is_due; at = at->hh.next)
        is_due = is_wanted(at) && (!at->is_fetching || at->needs_restart);
    /* What is lost is told by a callback that is on its way. */
    if (!is_due || consumer->closed || (!consumer->is_manual && rd_kafka_assignment_lost(consumer->rk)))
        return;
    if (consumer->is_manual || consumer->is_cooperative)
        assign_some(consumer);
    else
        assign_all(consumer);
}

/* librdkafka's main thread answers at once; one that is still being stopped refuses, and is asked again. */
static void sync_seeks(kur_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next) {
        if (!at->is_fetching && at->is_seek_due)
            at->is_seek_due = false; /* it will start there */
        if (at->is_seek_due && !at->needs_restart)
            kur__partition_add(at, list)->offset = atomic_load(&at->next);
    }
    if (list->cnt > 0) {
        rd_kafka_error_t *failed = rd_kafka_seek_partitions(consumer->rk, list, SEEK_MS);
        for (int i = 0; i < list->cnt; i++) {
            const rd_kafka_topic_partition_t *one = &list->elems[i];
            kur__partition *at = kur__table_find(consumer, one->topic, one->partition);
            if (one->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                at->is_seek_due = at->is_thrown_away = false;
                kur__partition_set_next(consumer, at, one->offset);
            } else if (at->is_thrown_away && one->err == RD_KAFKA_RESP_ERR__STATE) {
                at->needs_restart = true; /* what librdkafka had to say of it was thrown away */
            }
            consumer->is_busy |= at->is_seek_due;
        }
        rd_kafka_error_destroy(failed);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

void kur__flow_sync(kur_consumer *consumer)
{
    sync_pauses(consumer);
    sync_assignment(consumer);
    sync_seeks(consumer);
}
