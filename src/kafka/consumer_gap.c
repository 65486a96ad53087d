/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Gaps: a partition whose next record is not there, or cannot be read, stands still; what the log holds is asked for,
 * and then someone is told, who says by a seek where it goes on.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"

static void begin(kur_consumer *consumer, kur__partition *partition, kur_status code, int64_t offset,
                  const char *reason)
{
    kur_free(partition->gap_reason);
    partition->gap_reason = kur_strdup(reason);
    partition->gap_code = code;
    partition->gap_offset = offset;
    partition->gap_low = partition->gap_high = -1;
    partition->is_stopped = true;
    partition->has_topic_id &= code != KUR_ERROR_GAP; /* it may be another one by now */
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_new(1);
    kur__partition_add(partition, list)->offset = KUR_OFFSET_BEGINNING;
    kur__partition_add(partition, ends)->offset = KUR_OFFSET_END;
    partition->ask = kur__ask_start(consumer, KUR__ASK_RANGE, 0, list, ends);
    partition->is_gap_known = partition->ask == 0;
    consumer->is_busy = true;
}

void kur__gap_begin(kur_consumer *consumer, kur__partition *partition, kur_status code, int64_t offset,
                    const char *reason)
{
    partition->is_jump = false;
    partition->needs_restart = code == KUR_ERROR_GAP;
    begin(consumer, partition, code, offset, reason);
}

void kur__gap_begin_jump(kur_consumer *consumer, kur__partition *partition, int64_t came)
{
    char reason[100];
    snprintf(reason, sizeof reason, "offset %" PRId64 " came next: the topic was made anew", came);
    partition->is_jump = true;
    begin(consumer, partition, KUR_ERROR_GAP, atomic_load(&partition->next), reason);
}

static int64_t answered(const kur__ask *ask, const rd_kafka_topic_partition_list_t *list)
{
    if (ask->code != RD_KAFKA_RESP_ERR_NO_ERROR || list->elems[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return -1;
    return list->elems[0].offset;
}

void kur__gap_take_range(kur_consumer *consumer, const kur__ask *ask)
{
    kur__partition *partition = kur__table_find(consumer, ask->list->elems[0].topic, ask->list->elems[0].partition);
    if (partition == NULL || partition->ask != ask->number)
        return;
    partition->ask = 0;
    partition->gap_low = answered(ask, ask->list);
    partition->gap_high = answered(ask, ask->ends);
    partition->is_gap_known = true;
    consumer->is_busy = true;
    if (!partition->is_jump || partition->gap_high < partition->gap_offset)
        return;
    /* The log goes on behind the position, as it would if librdkafka had only fetched again what it had given. */
    partition->gap_code = KUR_OK;
    partition->is_jump = false;
    partition->is_stopped = false;
    partition->is_seek_due = true;
    kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING,
                   "%s [%" PRId32
                   "]: records came again, or the topic was made anew and has grown beyond offset %" PRId64
                   "; going on there",
                   kur__partition_topic(partition), partition->partition, partition->gap_offset);
}

static void tell(kur_consumer *consumer, kur__partition *partition)
{
    kur_error error;
    char range[80] = "";
    if (partition->gap_low >= 0 && partition->gap_high >= 0)
        snprintf(range, sizeof range, "; the log holds %" PRId64 " to %" PRId64, partition->gap_low,
                 partition->gap_high);
    kur_error_set(&error, partition->gap_code, "%s [%" PRId32 "] at offset %" PRId64 ": %s%s",
                  kur__partition_topic(partition), partition->partition, partition->gap_offset,
                  partition->gap_reason != NULL ? partition->gap_reason : kur_status_text(partition->gap_code), range);
    kur_gap gap = {.size = sizeof gap,
                   .topic = kur__partition_topic(partition),
                   .partition = partition->partition,
                   .code = partition->gap_code,
                   .offset = partition->gap_offset,
                   .low = partition->gap_low,
                   .high = partition->gap_high,
                   .message = error.message};
    if (consumer->on_gap == NULL && consumer->waiting_error.code != KUR_OK) {
        consumer->is_busy = true; /* one error at a time */
        return;
    }
    partition->gap_code = KUR_OK;
    if (consumer->on_gap != NULL) {
        kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING, "gap: %s", error.message);
        consumer->on_gap(consumer, &gap, consumer->user);
    } else {
        kur__consumer_fail(consumer, &error);
    }
}

void kur__gap_tell(kur_consumer *consumer)
{
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->gap_code != KUR_OK && at->is_gap_known)
            tell(consumer, at);
}
