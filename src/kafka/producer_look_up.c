/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A producer asks for a topic. librdkafka's call serves no callbacks, which say why no broker answers; with
 * KUR_DISPATCH_CALLER they are served by who dispatches.
 */
#include <kurier/sys/producer.h>
#include <stdio.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/producer.h"

static kur_status read_answer(const struct rd_kafka_metadata *metadata, const char *name, int32_t *partitions,
                              kur_error *error)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (strcmp(topic->topic, name) != 0)
            continue;
        if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kur__error_of_kafka(error, topic->err, "topic %s", name);
        if (partitions != NULL)
            *partitions = topic->partition_cnt;
        return KUR_OK;
    }
    return kur__error_of_kafka(error, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "topic %s", name);
}

kur_status kur_producer_look_up(kur_producer *producer, const char *topic, int timeout_ms, int32_t *partitions,
                                kur_error *error)
{
    if (producer == NULL || topic == NULL)
        return kur_error_null(error, producer == NULL ? "producer" : "topic");
    if (!kur__topic_is_valid(topic) || timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "topic is not 1 to 249 characters of A-Z a-z 0-9 . _ -, or timeout_ms is negative");
    rd_kafka_topic_t *handle = kur__topics_find(&producer->topics, topic);
    bool is_kept = handle != NULL;
    kur_status status = KUR_OK;
    if (handle == NULL)
        status = kur__topics_add(&producer->topics, producer->rk, topic, &handle, &is_kept, error);
    if (status != KUR_OK)
        return status;
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(producer->rk, 0, handle, &metadata, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        kur__connection_heard(&producer->connection);
        status = read_answer(metadata, topic, partitions, error);
        rd_kafka_metadata_destroy(metadata);
    } else {
        char what[300];
        snprintf(what, sizeof what, "topic %s cannot be asked for", topic);
        status = kur__status_of_kafka(code) == KUR_ERROR_TIMEOUT || code == RD_KAFKA_RESP_ERR__TRANSPORT
                     ? kur__connection_timeout(&producer->connection, error, what)
                     : kur__error_of_kafka(error, code, "%s", what);
    }
    if (!is_kept)
        rd_kafka_topic_destroy(handle);
    return status;
}
