/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Committing and asking for offsets. Only what is assigned is committed, never backwards within an assignment; the
 * answer is waited for on a queue of its own, with a deadline of ours.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/options.h"
#include "kafka/consumer.h"
#include "kafka/partition.h"
#include "kafka/topic.h"

static kur_status check_commit(kur_consumer *consumer, const kur_position *position, size_t index, kur_error *error)
{
    if (!kur__topic_is_valid(position->topic) || position->partition < 0 || position->offset < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "positions[%zu]: topic, partition or offset is not valid", index);
    if (position->metadata != NULL &&
        (strnlen(position->metadata, KUR__METADATA_SIZE_MAX + 1) > KUR__METADATA_SIZE_MAX ||
         !kur_bytes_is_utf8(kur_bytes_text(position->metadata))))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "positions[%zu]: metadata is longer than %d bytes or not UTF-8", index,
                             KUR__METADATA_SIZE_MAX);
    rd_kafka_topic_partition_t *assigned = kur__consumer_find_assigned(consumer, position->topic, position->partition);
    if (assigned == NULL)
        return kur_error_set(error, KUR_ERROR_NOT_COMMITTED, "%s [%" PRId32 "] is not assigned", position->topic,
                             position->partition);
    if (assigned->offset >= 0 && position->offset < assigned->offset)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "%s [%" PRId32 "]: %" PRId64 " is behind %" PRId64 ", where the group is already",
                             position->topic, position->partition, position->offset, assigned->offset);
    return KUR_OK;
}

static kur_status make_commit(kur_consumer *consumer, const kur_position *positions, size_t count,
                              rd_kafka_topic_partition_list_t *list, kur_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const kur_position *position = kur__options_at(positions, i);
        kur_status status = check_commit(consumer, position, i, error);
        if (status != KUR_OK)
            return status;
        rd_kafka_topic_partition_t *to = rd_kafka_topic_partition_list_add(list, position->topic, position->partition);
        to->offset = position->offset;
        if (!kur__partition_set_metadata(to, position->metadata))
            return kur__error_no_memory(error);
    }
    return KUR_OK;
}

static kur_status take_answer(kur_consumer *consumer, rd_kafka_event_t *event, kur_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *answer = rd_kafka_event_topic_partition_list(event);
    for (int i = 0; answer != NULL && i < answer->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &answer->elems[i];
        if (one->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = one->err;
            continue;
        }
        rd_kafka_topic_partition_t *assigned = kur__consumer_find_assigned(consumer, one->topic, one->partition);
        if (assigned != NULL && code == RD_KAFKA_RESP_ERR_NO_ERROR)
            assigned->offset = one->offset;
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? KUR_OK
                                              : kur__error_of_kafka(error, code, "group %s: commit", consumer->group);
}

static kur_status commit_list(kur_consumer *consumer, rd_kafka_topic_partition_list_t *list, int timeout_ms,
                              kur_error *error)
{
    rd_kafka_queue_t *answers = rd_kafka_queue_new(consumer->rk);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(consumer->rk, list, answers, NULL, NULL);
    kur_status status;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        status = kur__error_of_kafka(error, code, "group %s: commit", consumer->group);
    } else {
        rd_kafka_event_t *event = rd_kafka_queue_poll(answers, timeout_ms);
        char what[100];
        snprintf(what, sizeof what, "commit: no answer within %d ms", timeout_ms);
        status = event != NULL ? take_answer(consumer, event, error)
                               : kur__connection_timeout(&consumer->connection, error, what);
        if (event != NULL)
            rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(answers);
    return status;
}

kur_status kur_consumer_commit(kur_consumer *consumer, const kur_position *positions, size_t count, int timeout_ms,
                               kur_error *error)
{
    if (consumer == NULL || (positions == NULL && count > 0))
        return kur__error_null(error, consumer == NULL ? "consumer" : "positions");
    if (timeout_ms < 0 || count > 100000)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative or count is above 100,000");
    if (count == 0)
        return KUR_OK;
    if (positions->size < sizeof(kur_position) || positions->size > 4096)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "positions[0].size is not set: use KUR_POSITION()");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    kur_status status = make_commit(consumer, positions, count, list, error);
    if (status == KUR_OK)
        status = commit_list(consumer, list, timeout_ms, error);
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

kur_status kur_consumer_committed(kur_consumer *consumer, kur_position *position, kur_arena *arena, int timeout_ms,
                                  kur_error *error)
{
    if (consumer == NULL || position == NULL || arena == NULL)
        return kur__error_null(error, consumer == NULL ? "consumer" : position == NULL ? "position" : "arena");
    if (!kur__topic_is_valid(position->topic) || position->partition < 0 || timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "topic, partition or timeout_ms is not valid");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(list, position->topic, position->partition);
    rd_kafka_resp_err_t code = rd_kafka_committed(consumer->rk, list, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = one->err;
    kur_status status = KUR_OK;
    const char *metadata = NULL;
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
        status = kur__connection_timeout(&consumer->connection, error, "the committed offset: no answer in time");
    else if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = kur__error_of_kafka(error, code, "the committed offset");
    else if (one->metadata_size > 0) {
        metadata = kur_arena_copy(arena, one->metadata, one->metadata_size);
        status = metadata != NULL ? KUR_OK : kur__error_no_memory(error);
    }
    if (status == KUR_OK) {
        position->offset = one->offset >= 0 ? one->offset : -1;
        position->metadata = metadata;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

kur_status kur_consumer_position(kur_consumer *consumer, const char *topic, int32_t partition, int64_t *offset,
                                 kur_error *error)
{
    if (consumer == NULL || topic == NULL || offset == NULL)
        return kur__error_null(error, consumer == NULL ? "consumer" : topic == NULL ? "topic" : "offset");
    if (kur__consumer_find_assigned(consumer, topic, partition) == NULL)
        return kur_error_set(error, KUR_ERROR_UNKNOWN_TOPIC, "%s [%" PRId32 "] is not assigned", topic, partition);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(list, topic, partition);
    rd_kafka_resp_err_t code = rd_kafka_position(consumer->rk, list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        *offset = one->offset >= 0 ? one->offset : -1;
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? KUR_OK : kur__error_of_kafka(error, code, "position");
}
