/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Deleting records; and the positions that this and the group functions take.
 */
#include "base/error.h"
#include "kafka/admin.h"
#include "kafka/partition.h"
#include "kafka/topic.h"
#include <kurier/sys/options.h>

static kur_status take_one(const kur_position *position, int64_t least, rd_kafka_topic_partition_list_t *list,
                           kur_error *error)
{
    if (!kur__topic_is_valid(position->topic) || position->partition < 0 || position->offset < least)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "topic, partition or offset is not valid");
    if (position->metadata != NULL &&
        (strnlen(position->metadata, KUR__METADATA_SIZE_MAX + 1) > KUR__METADATA_SIZE_MAX ||
         !kur_bytes_is_utf8(kur_bytes_text(position->metadata))))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "metadata is longer than %d bytes or not UTF-8",
                             KUR__METADATA_SIZE_MAX);
    if (rd_kafka_topic_partition_list_find(list, position->topic, position->partition) != NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s [%d] stands there twice", position->topic,
                             (int)position->partition);
    rd_kafka_topic_partition_t *to = rd_kafka_topic_partition_list_add(list, position->topic, position->partition);
    to->offset = position->offset;
    return kur__partition_set_metadata(to, position->metadata) ? KUR_OK : kur__error_no_memory(error);
}

kur_status kur__positions_take(const kur_position *positions, size_t count, int64_t least, const char *name,
                               rd_kafka_topic_partition_list_t **list, kur_error *error)
{
    if (count == 0 || count > KUR__ADMIN_COUNT_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "count is not 1 to %d", KUR__ADMIN_COUNT_MAX);
    if (positions->size < offsetof(kur_position, end) || positions->size > 4096)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s[0].size is not set: use KUR_POSITION()", name);
    rd_kafka_topic_partition_list_t *made = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        kur_status status = take_one(kur_options_at(positions, i), least, made, error);
        if (status != KUR_OK) {
            kur__error_prefix(error, "%s[%zu]: ", name, i);
            rd_kafka_topic_partition_list_destroy(made);
            return status;
        }
    }
    *list = made;
    return KUR_OK;
}

/* librdkafka looks for the leader of a partition that is not there until the time is over. */
static kur_status check_there(kur__admin_call *call, const rd_kafka_topic_partition_list_t *list)
{
    kur_status status = KUR_OK;
    for (int i = 0; status == KUR_OK && i < list->cnt; i++) {
        const struct rd_kafka_metadata *metadata = NULL;
        status = kur__admin_metadata(call, list->elems[i].topic, &metadata);
        if (status != KUR_OK)
            break;
        const struct rd_kafka_metadata_topic *topic = kur__metadata_find(metadata, list->elems[i].topic);
        if (topic == NULL || list->elems[i].partition >= topic->partition_cnt)
            status = kur__admin_failed(call, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, NULL, "%s [%d]",
                                       list->elems[i].topic, (int)list->elems[i].partition);
        rd_kafka_metadata_destroy(metadata);
    }
    return status;
}

static kur_status delete_records(kur__admin_call *call, const rd_kafka_topic_partition_list_t *list)
{
    kur_status status = KUR_OK;
    kur__admin_request request;
    rd_kafka_DeleteRecords_t *records = rd_kafka_DeleteRecords_new(list);
    kur__admin_request_init(call, &request);
    rd_kafka_DeleteRecords(call->handle->rk, &records, 1, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "deleting records");
    rd_kafka_DeleteRecords_destroy(records);
    if (event == NULL)
        return call->error.code;
    const rd_kafka_topic_partition_list_t *results =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
    for (int i = 0; status == KUR_OK && i < results->cnt; i++)
        if (results->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = kur__admin_failed(call, results->elems[i].err, NULL, "deleting records of %s [%d]",
                                       results->elems[i].topic, (int)results->elems[i].partition);
    rd_kafka_event_destroy(event);
    return status;
}

kur_status kur_admin_delete_records(kur_admin *admin, const kur_position *before, size_t count, int timeout_ms,
                                    kur_error *error)
{
    if (admin == NULL || before == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : "before");
    rd_kafka_topic_partition_list_t *list = NULL;
    /* An offset of -1 is librdkafka's for the end as well. */
    kur_status status = kur__positions_take(before, count, RD_KAFKA_OFFSET_END, "before", &list, error);
    if (status != KUR_OK)
        return status;
    kur__admin_call call;
    status = kur__admin_begin(&call, admin, timeout_ms, NULL);
    if (status == KUR_OK)
        status = kur__admin_needs_kafka(&call, "delete records");
    if (status == KUR_OK)
        status = check_there(&call, list);
    if (status == KUR_OK)
        do
            status = delete_records(&call, list);
        while (status != KUR_OK && kur__admin_again(&call));
    rd_kafka_topic_partition_list_destroy(list);
    return kur__admin_end(&call, status, error);
}
