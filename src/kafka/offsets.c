/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Asking for offsets: what is committed, where reading stands, what the log holds.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "kafka/consumer.h"
#include "kafka/topic.h"

/* librdkafka says -1 for "not known"; here that is 0. */
void kur__leader_epoch_set(rd_kafka_topic_partition_t *to, int32_t leader_epoch)
{
#ifdef KUR__HAS_LEADER_EPOCH
    if (leader_epoch > 0)
        rd_kafka_topic_partition_set_leader_epoch(to, leader_epoch - 1);
#else
    (void)to;
    (void)leader_epoch;
#endif
}

int32_t kur__leader_epoch_get(const rd_kafka_topic_partition_t *from)
{
#ifdef KUR__HAS_LEADER_EPOCH
    int32_t epoch = rd_kafka_topic_partition_get_leader_epoch(from);
    return epoch >= 0 ? KUR_LEADER_EPOCH(epoch) : 0;
#else
    (void)from;
    return 0;
#endif
}

kur_status kur_consumer_committed(kur_consumer *consumer, kur_position *position, kur_arena *arena, int timeout_ms,
                                  kur_error *error)
{
    if (consumer == NULL || position == NULL || arena == NULL)
        return kur_error_null(error, consumer == NULL ? "consumer" : position == NULL ? "position" : "arena");
    if (position->size < offsetof(kur_position, leader_epoch) || position->size > 4096)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "position.size is not set: use KUR_POSITION()");
    if (!kur__topic_is_valid(position->topic) || position->partition < 0 || timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "topic, partition or timeout_ms is not valid");
    if (consumer->closed)
        return kur_error_set(error, KUR_ERROR_CLOSED, "the consumer is closed");
    if (consumer->audience == KUR_BROADCAST)
        return kur__error_no_group(error);
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
        if (position->size >= offsetof(kur_position, end)) {
            position->leader_epoch = kur__leader_epoch_get(one);
            position->is_committed = one->offset >= 0;
            position->status = KUR_OK;
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

/* The position of a partition that is assigned, from any thread. */
static kur_status find_position(kur_consumer *consumer, const char *topic, int32_t partition, int64_t *offset,
                                kur_error *error)
{
    pthread_mutex_lock(&consumer->lock);
    const kur__partition *entry = kur__table_find(consumer, topic, partition);
    bool is_there = entry != NULL && entry->stage != KUR__AWAY;
    if (is_there) {
        bool is_looked_for = entry->is_seek_new || entry->target != KUR__TARGET_NONE;
        *offset = is_looked_for ? -1 : kur__partition_position(consumer, entry);
    }
    pthread_mutex_unlock(&consumer->lock);
    if (is_there)
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_UNKNOWN_TOPIC, "%s [%" PRId32 "] is not assigned", topic, partition);
}

kur_status kur_consumer_position(kur_consumer *consumer, const char *topic, int32_t partition, int64_t *offset,
                                 kur_error *error)
{
    if (consumer == NULL || topic == NULL || offset == NULL)
        return kur_error_null(error, consumer == NULL ? "consumer" : topic == NULL ? "topic" : "offset");
    return find_position(consumer, topic, partition, offset, error);
}

kur_status kur_consumer_lag(kur_consumer *consumer, const char *topic, int32_t partition, int64_t *lag,
                            kur_error *error)
{
    if (consumer == NULL || topic == NULL || lag == NULL)
        return kur_error_null(error, consumer == NULL ? "consumer" : topic == NULL ? "topic" : "lag");
    int64_t offset = -1, low = -1, high = -1;
    kur_status status = find_position(consumer, topic, partition, &offset, error);
    if (status != KUR_OK)
        return status;
    rd_kafka_resp_err_t code = rd_kafka_get_watermark_offsets(consumer->rk, topic, partition, &low, &high);
    bool is_known = code == RD_KAFKA_RESP_ERR_NO_ERROR && offset >= 0 && high >= 0;
    *lag = !is_known ? -1 : high > offset ? high - offset : 0;
    return KUR_OK;
}

kur_status kur_consumer_watermarks(kur_consumer *consumer, const char *topic, int32_t partition, int timeout_ms,
                                   int64_t *low, int64_t *high, kur_error *error)
{
    if (consumer == NULL || topic == NULL || low == NULL || high == NULL)
        return kur_error_null(error, consumer == NULL ? "consumer"
                                     : topic == NULL  ? "topic"
                                     : low == NULL    ? "low"
                                                      : "high");
    if (!kur__topic_is_valid(topic) || partition < 0 || timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "topic, partition or timeout_ms is not valid");
    if (consumer->closed)
        return kur_error_set(error, KUR_ERROR_CLOSED, "the consumer is closed");
    int64_t first, end;
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(consumer->rk, topic, partition, &first, &end, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
        return kur__connection_timeout(&consumer->connection, error, "the watermarks: no answer in time");
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kur__error_of_kafka(error, code, "the watermarks of %s [%" PRId32 "]", topic, partition);
    *low = first;
    *high = end;
    return KUR_OK;
}
