/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * auto.offset.reset is "error": where a partition starts is decided here, at each assignment, from the committed
 * offsets; what librdkafka then reports is a gap and is told, not skipped.
 *
 * The callback runs inside a poll, on its thread, and makes librdkafka yield, so that the batch in which it ran holds
 * only records fetched before; those of partitions that have gone are dropped, for their new owner gets them.
 */
#include <kurier/sys/memory.h>

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"

enum {
    COMMITTED_MS = 10000,
    COMMITTED_TRIES = 3
};

static void tell(kur_consumer *consumer, kur_rebalance what, const rd_kafka_topic_partition_list_t *partitions)
{
    kur__log_print(kur__client_log(consumer->client), KUR_LOG_INFO, "group %s: %d partitions %s", consumer->group,
                   partitions->cnt,
                   what == KUR_ASSIGNED  ? "assigned"
                   : what == KUR_REVOKED ? "revoked"
                                         : "lost");
    if (consumer->on_rebalance == NULL)
        return;
    kur_position *positions = kur_calloc((size_t)partitions->cnt + 1, sizeof *positions);
    if (positions == NULL) {
        kur_error_set(&consumer->waiting_error, KUR_ERROR_NO_MEMORY, "out of memory: a rebalance was not told");
        return;
    }
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *from = &partitions->elems[i];
        positions[i] = (kur_position){.size = sizeof *positions,
                                      .topic = from->topic,
                                      .partition = from->partition,
                                      .offset = from->offset >= 0 ? from->offset : -1};
    }
    consumer->on_rebalance(consumer, what, positions, (size_t)partitions->cnt, consumer->user);
    kur_free(positions);
}

/* Sets each partition's start: what is committed, else what .start says. */
static rd_kafka_resp_err_t find_start(kur_consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < COMMITTED_TRIES; i++) {
        code = rd_kafka_committed(consumer->rk, partitions, COMMITTED_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING, "group %s: committed offsets: %s",
                       consumer->group, rd_kafka_err2str(code));
    }
    /* Only an answer for all means that one without an offset has none. */
    for (int i = 0; i < partitions->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        rd_kafka_topic_partition_t *partition = &partitions->elems[i];
        code = partition->err;
        if (partition->offset < 0)
            partition->offset = consumer->start == KUR_START_LATEST ? RD_KAFKA_OFFSET_END : RD_KAFKA_OFFSET_BEGINNING;
    }
    return code;
}

static void assign(kur_consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *starts = rd_kafka_topic_partition_list_copy(partitions);
    rd_kafka_resp_err_t code = find_start(consumer, starts);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        /* librdkafka asks again itself; where it finds nothing it reports it, and nothing is skipped. */
        for (int i = 0; i < starts->cnt; i++)
            starts->elems[i].offset = RD_KAFKA_OFFSET_STORED;
        kur__error_of_kafka(&consumer->waiting_error, code, "group %s: committed offsets", consumer->group);
    }
    code = rd_kafka_assign(consumer->rk, starts);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        kur__error_of_kafka(&consumer->waiting_error, code, "group %s: assign", consumer->group);
    if (consumer->assigned != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->assigned);
    consumer->assigned = starts;
    tell(consumer, KUR_ASSIGNED, starts);
}

static void revoke(kur_consumer *consumer)
{
    if (consumer->assigned != NULL && consumer->assigned->cnt > 0)
        tell(consumer, rd_kafka_assignment_lost(consumer->rk) ? KUR_LOST : KUR_REVOKED, consumer->assigned);
    rd_kafka_assign(consumer->rk, NULL);
    if (consumer->assigned != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->assigned);
    consumer->assigned = NULL;
}

void kur__consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions,
                                void *opaque)
{
    kur__connection *connection = opaque;
    kur_consumer *consumer = (kur_consumer *)((char *)connection - offsetof(struct kur_consumer, connection));
    consumer->rebalanced = true;
    rd_kafka_yield(rk);
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        assign(consumer, partitions);
    else
        revoke(consumer);
    if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
        kur__error_of_kafka(&consumer->waiting_error, code, "group %s: rebalance", consumer->group);
}
