/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Topics that are subscribed to and do not exist. librdkafka finds them when they come, and says only once that they
 * are not there; a person who reads a log tomorrow should be told as well. So the list of topics is asked for now and
 * then, for as long as one of them is missing. Companions stand in the log alone: whoever they belong to makes them.
 */
#include <kurier/sys/memory.h>
#include <string.h>

#include "kafka/client.h"
#include "kafka/consumer.h"

enum {
    REFRESHES = 3 /* of metadata, between two looks: half a minute by default */
};

static void ask(kur_consumer *consumer)
{
    int delay_ms = consumer->refresh_ms > 0 ? consumer->refresh_ms * REFRESHES : 30000;
    consumer->missing_ask = kur__ask_start(consumer, KUR__ASK_TOPICS, delay_ms, NULL, NULL);
}

void kur__missing_add(kur_consumer *consumer, const char *topic)
{
    if (consumer->subscribed == NULL)
        return;
    if (consumer->missing == NULL)
        consumer->missing = rd_kafka_topic_partition_list_new(1);
    if (rd_kafka_topic_partition_list_find(consumer->missing, topic, RD_KAFKA_PARTITION_UA) == NULL)
        rd_kafka_topic_partition_list_add(consumer->missing, topic, RD_KAFKA_PARTITION_UA);
    if (consumer->missing_ask == 0)
        ask(consumer);
}

void kur__missing_clear(kur_consumer *consumer)
{
    if (consumer->missing != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->missing);
    consumer->missing = NULL;
    consumer->missing_ask = 0;
}

static bool is_there(const struct rd_kafka_metadata *metadata, const char *topic)
{
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (strcmp(metadata->topics[i].topic, topic) == 0)
            return metadata->topics[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
    return false;
}

/* Those that are companions, or those that are not; false: there is none. */
static bool list_names(const kur_consumer *consumer, bool are_companions, char *names, size_t size)
{
    char *at = names;
    for (int i = 0; i < consumer->missing->cnt; i++) {
        const char *topic = consumer->missing->elems[i].topic;
        size_t room = size - (size_t)(at - names);
        if (kur__companions_have(consumer, topic) != are_companions)
            continue;
        if (strlen(topic) + 8 > room) { /* and a mark that there are more */
            memcpy(at, ", …", sizeof ", …");
            return true;
        }
        at = stpcpy(stpcpy(at, at > names ? ", " : ""), topic);
    }
    return at > names;
}

static void tell(kur_consumer *consumer)
{
    kur_error error;
    char names[300];
    if (list_names(consumer, true, names, sizeof names))
        kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING, "group %s: still not there: %s",
                       consumer->group, names);
    if (!list_names(consumer, false, names, sizeof names))
        return;
    kur_error_set(&error, KUR_ERROR_UNKNOWN_TOPIC, "group %s: still not there: %s", consumer->group, names);
    kur__consumer_fail(consumer, &error);
}

void kur__missing_take_topics(kur_consumer *consumer, const kur__ask *made)
{
    if (consumer->missing_ask == 0 || consumer->missing_ask != made->number || consumer->closed)
        return;
    rd_kafka_topic_partition_list_t *missing = consumer->missing;
    for (int i = missing->cnt - 1; i >= 0 && made->code == RD_KAFKA_RESP_ERR_NO_ERROR; i--)
        if (is_there(made->metadata, missing->elems[i].topic))
            rd_kafka_topic_partition_list_del_by_idx(missing, i);
    if (missing->cnt == 0) {
        kur__missing_clear(consumer);
        return;
    }
    if (made->code == RD_KAFKA_RESP_ERR_NO_ERROR)
        tell(consumer);
    ask(consumer);
}
