/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: which log it is that a partition's offsets are of. A topic that was deleted and made anew has the same
 * name and another id; a cluster has an id as well. Topics are asked for theirs, by librdkafka's admin request, while
 * what the group has committed is asked for; starts are told when both answers are there, and an id that cannot be
 * found out is not known: it holds nothing up. The cluster's id comes with the first metadata.
 */
#include <string.h>

#include "kafka/consumer.h"

enum {
    TOPIC_ID_MS = 5000
};

const char *kur_consumer_cluster_id(kur_consumer *consumer)
{
    if (consumer == NULL)
        return NULL;
    if (consumer->cluster_id == NULL && !consumer->closed)
        consumer->cluster_id = rd_kafka_clusterid(consumer->rk, 0); /* 0: as far as it is known */
    return consumer->cluster_id;
}

bool kur_consumer_topic_id(const kur_consumer *consumer, const char *topic, int32_t partition, kur_uuid *id)
{
    if (consumer == NULL || topic == NULL || id == NULL)
        return false;
    const kur__partition *at = kur__table_find(consumer, topic, partition);
    if (at == NULL || !at->has_topic_id)
        return false;
    *id = at->topic_id;
    return true;
}

#ifdef KUR__HAS_TOPIC_ID

/* Partitions are given topic by topic, mostly: a name that was just added is not added again. */
static size_t list_topics(const rd_kafka_topic_partition_list_t *partitions, const char **names)
{
    size_t count = 0;
    for (int i = 0; i < partitions->cnt; i++)
        if (count == 0 || strcmp(names[count - 1], partitions->elems[i].topic) != 0)
            names[count++] = partitions->elems[i].topic;
    return count;
}

void kur__log_ask(kur_consumer *consumer, rd_kafka_topic_partition_list_t *partitions, uint64_t number)
{
    char why[256];
    const char **names = kur_calloc((size_t)partitions->cnt, sizeof *names);
    if (names == NULL)
        return; /* they stay unknown */
    rd_kafka_topic_partition_list_sort(partitions, NULL, NULL);
    rd_kafka_TopicCollection_t *topics = rd_kafka_TopicCollection_of_topic_names(names, list_topics(partitions, names));
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(consumer->rk, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(options, TOPIC_ID_MS, why, sizeof why);
    rd_kafka_AdminOptions_set_opaque(options, (void *)(uintptr_t)number);
    rd_kafka_DescribeTopics(consumer->rk, topics, options, consumer->answers);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_TopicCollection_destroy(topics);
    kur_free(names);
    for (int i = 0; i < partitions->cnt; i++) {
        kur__partition *at = kur__table_find(consumer, partitions->elems[i].topic, partitions->elems[i].partition);
        at->id_ask = number;
        at->has_topic_id = false;
    }
}

static bool read_id(const rd_kafka_TopicDescription_t *topic, kur_uuid *id)
{
    const rd_kafka_Uuid_t *from = rd_kafka_TopicDescription_topic_id(topic);
    if (rd_kafka_error_code(rd_kafka_TopicDescription_error(topic)) != RD_KAFKA_RESP_ERR_NO_ERROR || from == NULL)
        return false;
    uint64_t halves[2] = {(uint64_t)rd_kafka_Uuid_most_significant_bits(from),
                          (uint64_t)rd_kafka_Uuid_least_significant_bits(from)};
    for (int i = 0; i < 16; i++)
        id->bytes[i] = (uint8_t)(halves[i / 8] >> (56 - 8 * (i % 8)));
    return (halves[0] | halves[1]) != 0; /* none is all zeros */
}

void kur__log_take(kur_consumer *consumer, rd_kafka_event_t *event)
{
    uint64_t number = (uint64_t)(uintptr_t)rd_kafka_event_opaque(event);
    size_t count = 0;
    const rd_kafka_DescribeTopics_result_t *result = rd_kafka_event_DescribeTopics_result(event);
    const rd_kafka_TopicDescription_t **topics =
        result != NULL ? rd_kafka_DescribeTopics_result_topics(result, &count) : NULL;
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next) {
        if (at->id_ask != number)
            continue;
        at->id_ask = 0;
        consumer->is_busy = true;
        for (size_t i = 0; i < count && !at->has_topic_id; i++)
            if (strcmp(rd_kafka_TopicDescription_name(topics[i]), kur__partition_topic(at)) == 0)
                at->has_topic_id = read_id(topics[i], &at->topic_id);
    }
}

#else

void kur__log_ask(kur_consumer *consumer, rd_kafka_topic_partition_list_t *partitions, uint64_t number)
{
    (void)consumer;
    (void)partitions;
    (void)number;
}

void kur__log_take(kur_consumer *consumer, rd_kafka_event_t *event)
{
    (void)consumer;
    (void)event;
}

#endif
