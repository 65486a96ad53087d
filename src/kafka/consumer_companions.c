/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Companions: topics that are read because another one is, and are somebody's own: a listener's retry topics. They are
 * subscribed to from the beginning on, there or not, for one that comes later costs a rebalance by then, and none
 * before; and nobody is told that they are missing but by the reminder. Whoever makes them says so, and they are looked
 * for at once.
 */
#include <string.h>

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"

bool kur__companions_have(const kur_consumer *consumer, const char *topic)
{
    return consumer->companions != NULL &&
           rd_kafka_topic_partition_list_find(consumer->companions, topic, RD_KAFKA_PARTITION_UA) != NULL;
}

/* A companion has the longer name: what is one of a topic that is read is asked for after that topic. */
static int compare(const void *a, const void *b, void *opaque)
{
    const char *one = ((const rd_kafka_topic_partition_t *)a)->topic;
    const char *other = ((const rd_kafka_topic_partition_t *)b)->topic;
    size_t one_size = strlen(one), other_size = strlen(other);
    (void)opaque;
    return one_size != other_size ? (one_size < other_size ? -1 : 1) : strcmp(one, other);
}

kur_status kur__companions_ask(kur_consumer *consumer, rd_kafka_topic_partition_list_t *topics, bool leaves_out,
                               rd_kafka_topic_partition_list_t **companions, kur_error *error)
{
    *companions = NULL;
    if (consumer->companions_of == NULL)
        return KUR_OK;
    kur_status status = KUR_OK;
    rd_kafka_topic_partition_list_t *made = rd_kafka_topic_partition_list_new(topics->cnt * 4);
    rd_kafka_topic_partition_list_sort(topics, compare, NULL);
    for (int i = 0; i < topics->cnt;) {
        const char *const *names = NULL;
        status = consumer->companions_of(consumer, topics->elems[i].topic, &names, consumer->user, error);
        if (status == KUR_ERROR_NO_MEMORY || (status != KUR_OK && !leaves_out))
            break;
        if (status != KUR_OK) {
            rd_kafka_topic_partition_list_del_by_idx(topics, i);
            continue;
        }
        for (; names != NULL && *names != NULL; names++)
            if (rd_kafka_topic_partition_list_find(made, *names, RD_KAFKA_PARTITION_UA) == NULL)
                rd_kafka_topic_partition_list_add(made, *names, RD_KAFKA_PARTITION_UA);
        i++;
    }
    if (status == KUR_ERROR_NO_MEMORY || (status != KUR_OK && !leaves_out)) {
        rd_kafka_topic_partition_list_destroy(made);
        return status;
    }
    *companions = made;
    return KUR_OK;
}

void kur__companions_set(kur_consumer *consumer, rd_kafka_topic_partition_list_t *companions)
{
    if (consumer->companions != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->companions);
    consumer->companions = companions;
}

bool kur__companions_take_error(kur_consumer *consumer, const char *topic, const kur_error *error)
{
    if (!kur__companions_have(consumer, topic))
        return false;
    if (error->code == KUR_ERROR_UNKNOWN_TOPIC)
        kur__missing_add(consumer, topic);
    else if (error->code == KUR_ERROR_AUTHORIZATION)
        kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING,
                       "%s: the rights Read and Describe on it are needed", error->message);
    return error->code == KUR_ERROR_UNKNOWN_TOPIC || error->code == KUR_ERROR_AUTHORIZATION;
}

kur_status kur_consumer_look_up(kur_consumer *consumer, kur_error *error)
{
    if (consumer == NULL)
        return kur_error_null(error, "consumer");
    atomic_store(&consumer->looks_up, true);
    kur__consumer_wake(consumer);
    return KUR_OK;
}

void kur__companions_look_up(kur_consumer *consumer)
{
    /* librdkafka compares what it is subscribed to with a list of all topics, whoever has asked for that. */
    if (atomic_exchange(&consumer->looks_up, false))
        kur__ask_start(consumer, KUR__ASK_TOPICS, 0, NULL, NULL);
}
