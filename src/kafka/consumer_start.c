/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * auto.offset.reset is "error": where a partition starts is found out here, and always ends in a number. What the group
 * has committed is asked for by librdkafka's admin request, which answers on a queue while polling goes on, and
 * partition by partition: with read_committed one whose offset lies in an open transaction is an error of its own,
 * where rd_kafka_committed would hold back all. Only an answer says that nothing is committed; what fails is asked
 * again, for as long as the partition is this member's. It waits for the coordinator as long as it can: all versions of
 * librdkafka use freed memory when such a question has timed out before that broker could be reached, and it comes
 * back. What was sent and is not answered fails by socket.timeout.ms. The beginning, the end, and times are then
 * questions to the asker.
 *
 * A partition without a commit whose topic has commits in partitions before it was added to the topic later (the
 * library commits the ends at which it starts): its records have come since, so that it starts at the beginning.
 */
#include <inttypes.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "kafka/client.h"
#include "kafka/consumer.h"

enum {
    AGAIN_MS = 500
};

/* ---- Asking ---- */

static void ask_committed(kur_consumer *consumer, rd_kafka_topic_partition_list_t *list, uint64_t number)
{
    char why[256];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(consumer->rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_AdminOptions_set_request_timeout(options, KUR__REQUEST_MS_MAX, why, sizeof why);
    rd_kafka_AdminOptions_set_opaque(options, (void *)(uintptr_t)number);
    if (consumer->requires_stable)
        rd_kafka_error_destroy(rd_kafka_AdminOptions_set_require_stable_offsets(options, 1));
    rd_kafka_ListConsumerGroupOffsets_t *question = rd_kafka_ListConsumerGroupOffsets_new(consumer->group, list);
    rd_kafka_ListConsumerGroupOffsets(consumer->rk, &question, 1, options, consumer->answers);
    rd_kafka_ListConsumerGroupOffsets_destroy(question);
    rd_kafka_AdminOptions_destroy(options);
}

/* Where .start says; of a companion the beginning, for what stands there first may have committed nothing. */
static void aim_at_start(const kur_consumer *consumer, kur__partition *partition)
{
    bool is_companion = kur__companions_have(consumer, kur__partition_topic(partition));
    partition->target = is_companion                          ? KUR_OFFSET_BEGINNING
                        : consumer->start == KUR_START_LATEST ? KUR_OFFSET_END
                        : consumer->start == KUR_START_TIME   ? KUR__TARGET_TIME
                                                              : KUR_OFFSET_BEGINNING;
    partition->target_time_ms = consumer->start_ms;
}

static rd_kafka_topic_partition_list_t *ends_of(const kur_consumer *consumer,
                                                const rd_kafka_topic_partition_list_t *offsets)
{
    rd_kafka_topic_partition_list_t *ends = NULL;
    for (int i = 0; i < offsets->cnt; i++) {
        const kur__partition *at = kur__table_find(consumer, offsets->elems[i].topic, offsets->elems[i].partition);
        if (!at->wants_end)
            continue;
        if (ends == NULL)
            ends = rd_kafka_topic_partition_list_new(offsets->cnt);
        kur__partition_add(at, ends)->offset = KUR_OFFSET_END;
    }
    return ends;
}

void kur__start_ask(kur_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *committed = rd_kafka_topic_partition_list_new(0);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(0);
    uint64_t number = ++consumer->last_ask;
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next) {
        if (at->target == KUR__TARGET_NONE || at->ask != 0)
            continue;
        if (at->target == KUR_OFFSET_COMMITTED && consumer->audience == KUR_BROADCAST)
            aim_at_start(consumer, at);
        if (at->target == KUR_OFFSET_COMMITTED) {
            kur__partition_add(at, committed)->offset = RD_KAFKA_OFFSET_INVALID;
            at->ask = number;
        } else {
            kur__partition_add(at, offsets)->offset = at->target == KUR__TARGET_TIME ? at->target_time_ms : at->target;
        }
    }
    if (committed->cnt > 0) {
        ask_committed(consumer, committed, number);
        kur__log_ask(consumer, committed, number);
    }
    rd_kafka_topic_partition_list_destroy(committed);
    if (offsets->cnt == 0) {
        rd_kafka_topic_partition_list_destroy(offsets);
        return;
    }
    number = kur__ask_start(consumer, KUR__ASK_OFFSETS, 0, offsets, ends_of(consumer, offsets));
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->target != KUR__TARGET_NONE && at->ask == 0)
            at->ask = number;
    if (number == 0)
        consumer->is_busy = true;
}

/* ---- Answers ---- */

static void found(kur_consumer *consumer, kur__partition *partition, int64_t offset)
{
    partition->target = KUR__TARGET_NONE;
    partition->ask = 0;
    kur__partition_set_next(consumer, partition, offset);
    if (partition->guard > offset)
        partition->guard = offset;
    if (partition->asked > offset)
        partition->asked = offset;
    if (partition->stage == KUR__STARTING)
        partition->stage = KUR__FOUND;
    else
        partition->is_seek_due = true;
    consumer->is_busy = true;
}

/* Whether the answer has a commit for a partition of the same topic before this one. */
static bool was_added_later(const rd_kafka_topic_partition_list_t *answer, const kur__partition *partition)
{
    for (int i = 0; i < answer->cnt; i++)
        if (answer->elems[i].offset >= 0 && answer->elems[i].partition < partition->partition &&
            strcmp(answer->elems[i].topic, kur__partition_topic(partition)) == 0)
            return true;
    return false;
}

/* Whether it could be taken in: memory may be out. */
static bool take_one_committed(kur_consumer *consumer, kur__partition *partition,
                               const rd_kafka_topic_partition_list_t *answer, const rd_kafka_topic_partition_t *one)
{
    if (one->offset < 0) {
        if (was_added_later(answer, partition))
            partition->target = KUR_OFFSET_BEGINNING;
        else
            aim_at_start(consumer, partition);
        partition->commits_start = partition->target == KUR_OFFSET_END && partition->stage == KUR__STARTING;
        partition->ask = 0;
        consumer->is_busy = true;
        return true;
    }
    if (one->metadata_size > 0) {
        char *copy = kur_malloc(one->metadata_size + 1);
        if (copy == NULL)
            return false;
        memcpy(copy, one->metadata, one->metadata_size);
        copy[one->metadata_size] = '\0';
        kur_free(partition->metadata);
        partition->metadata = copy;
    }
    partition->leader_epoch = kur__leader_epoch_get(one);
    partition->is_committed = true;
    partition->guard = partition->asked = one->offset;
    found(consumer, partition, one->offset);
    return true;
}

/* Asks again for what was not answered, after a while. */
static void ask_again(kur_consumer *consumer, uint64_t number, rd_kafka_resp_err_t code, const char *what)
{
    uint64_t again = 0;
    const kur__partition *first = NULL;
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next) {
        if (at->ask != number)
            continue;
        if (first == NULL) {
            first = at;
            again = kur__ask_start(consumer, KUR__ASK_NOTHING, AGAIN_MS, NULL, NULL);
        }
        at->ask = again;
        at->is_slow = true;
    }
    if (first == NULL)
        return;
    consumer->is_busy |= again == 0;
    kur_error error;
    kur_status status = kur__error_of_kafka(&error, code, "group %s: the %s of %s [%" PRId32 "]", consumer->group, what,
                                            kur__partition_topic(first), first->partition);
    kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING, "%s; asking again", error.message);
    if (status == KUR_ERROR_AUTHORIZATION || status == KUR_ERROR_AUTHENTICATION)
        kur__consumer_fail(consumer, &error);
}

void kur__start_take_committed(kur_consumer *consumer, rd_kafka_event_t *event)
{
    uint64_t number = (uint64_t)(uintptr_t)rd_kafka_event_opaque(event);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_ListConsumerGroupOffsets_result_t *result = rd_kafka_event_ListConsumerGroupOffsets_result(event);
    const rd_kafka_topic_partition_list_t *answer = NULL;
    size_t count = 0;
    const rd_kafka_group_result_t **groups =
        result != NULL ? rd_kafka_ListConsumerGroupOffsets_result_groups(result, &count) : NULL;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && count > 0) {
        const rd_kafka_error_t *failed = rd_kafka_group_result_error(groups[0]);
        code = failed != NULL ? rd_kafka_error_code(failed) : RD_KAFKA_RESP_ERR_NO_ERROR;
        answer = rd_kafka_group_result_partitions(groups[0]);
    }
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && answer != NULL && i < answer->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &answer->elems[i];
        kur__partition *partition = kur__table_find(consumer, one->topic, one->partition);
        if (partition == NULL || partition->ask != number || one->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        if (take_one_committed(consumer, partition, answer, one))
            continue;
        kur_error error;
        kur_error_set(&error, KUR_ERROR_NO_MEMORY, "out of memory: a start is not known yet");
        kur__consumer_fail(consumer, &error);
        break;
    }
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && answer != NULL && i < answer->cnt; i++)
        code = answer->elems[i].err;
    ask_again(consumer, number, code, "committed offset");
}

/* The end that was asked for with the start; whether it is known, or not needed. */
static bool take_end(const kur__ask *ask, kur__partition *partition, rd_kafka_resp_err_t *code)
{
    if (!partition->wants_end)
        return true;
    const rd_kafka_topic_partition_t *one =
        ask->ends != NULL
            ? rd_kafka_topic_partition_list_find(ask->ends, kur__partition_topic(partition), partition->partition)
            : NULL;
    if (one == NULL || one->err != RD_KAFKA_RESP_ERR_NO_ERROR || one->offset < 0) {
        *code = one != NULL && one->err != RD_KAFKA_RESP_ERR_NO_ERROR ? one->err : RD_KAFKA_RESP_ERR__TIMED_OUT;
        return false;
    }
    partition->end = one->offset;
    partition->wants_end = false;
    return true;
}

void kur__start_take_offsets(kur_consumer *consumer, const kur__ask *ask)
{
    rd_kafka_resp_err_t code = ask->code;
    for (int i = 0; ask->code == RD_KAFKA_RESP_ERR_NO_ERROR && ask->list != NULL && i < ask->list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &ask->list->elems[i];
        kur__partition *partition = kur__table_find(consumer, one->topic, one->partition);
        if (partition == NULL || partition->ask != ask->number)
            continue;
        if (one->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = one->err;
        } else if (!take_end(ask, partition, &code)) {
            continue;                 /* asked again */
        } else if (one->offset < 0) { /* no record is so late */
            partition->target = KUR_OFFSET_END;
            partition->commits_start = consumer->start == KUR_START_TIME && consumer->audience == KUR_AUDIENCE_GROUP &&
                                       partition->stage == KUR__STARTING;
            partition->ask = 0;
            consumer->is_busy = true;
        } else {
            found(consumer, partition, one->offset);
        }
    }
    if (ask->kind == KUR__ASK_OFFSETS) {
        ask_again(consumer, ask->number, code, "start");
        return;
    }
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->ask == ask->number) { /* KUR__ASK_NOTHING: the time is over */
            at->ask = 0;
            consumer->is_busy = true;
        }
}
