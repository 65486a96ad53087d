/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The consumer's insides, shared by its life and polling (consumer.c), rebalances (rebalance.c) and offsets
 * (offsets.c).
 */
#ifndef KURIER_KAFKA_CONSUMER_H
#define KURIER_KAFKA_CONSUMER_H

#include <kurier/consumer.h>
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#include "kafka/connection.h"

struct kur_consumer {
    atomic_size_t references; /* one of the owner's, one for each record held */
    kur_client *client;
    kur__connection connection;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    kur_start start;
    kur_rebalance_callback *on_rebalance;
    void *user;
    char *group;
    rd_kafka_topic_partition_list_t *assigned; /* .offset: what was last committed in this assignment */
    bool rebalanced;                           /* since the batch began */
    bool closed;
    kur_error waiting_error; /* told by the next poll */
};

/* librdkafka's rebalance callback; its opaque is the consumer's connection. */
void kur__consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions,
                                void *opaque);

/* The entry of a partition in `assigned`, or NULL. */
static inline rd_kafka_topic_partition_t *kur__consumer_find_assigned(kur_consumer *consumer, const char *topic,
                                                                      int32_t partition)
{
    return consumer->assigned != NULL ? rd_kafka_topic_partition_list_find(consumer->assigned, topic, partition) : NULL;
}

#endif
