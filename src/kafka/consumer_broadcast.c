/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a consumer without a group reads all partitions of its topics. What there is of them is asked for at
 * once and then at each refresh of the metadata; partitions that were not there before are put in the table, where an
 * assignment by hand would put them, and go the way of all others.
 *
 * What is there when a topic is seen first starts where .start says, and the log's ends are asked for together with the
 * starts. What comes later starts at its beginning: its records are younger than the consumer's first look. A topic of
 * the list that was missing at first comes later, too.
 *
 * In kur__pattern.topics, `partition` is how many partitions of the topic are read, and `offset` is MISSING once the
 * topic was not there.
 */
#include <kurier/sys/memory.h>
#include <string.h>

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"

enum {
    LISTED = 0,
    MISSING = 1
};

kur_status kur__error_no_group(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_INVALID_STATE, "KUR_BROADCAST has no group: nothing is committed");
}

static rd_kafka_topic_partition_t *find(const kur__pattern *pattern, const char *topic)
{
    for (int i = 0; i < pattern->topics->cnt; i++)
        if (strcmp(pattern->topics->elems[i].topic, topic) == 0)
            return &pattern->topics->elems[i];
    return NULL;
}

static rd_kafka_topic_partition_t *add(kur__pattern *pattern, const char *topic, int state)
{
    rd_kafka_topic_partition_t *added = rd_kafka_topic_partition_list_add(pattern->topics, topic, 0);
    added->offset = state;
    return added;
}

kur_status kur__broadcast_subscribe(kur_consumer *consumer, const char *const *topics, kur_error *error)
{
    kur__pattern *made = kur_calloc(1, sizeof *made);
    if (made == NULL)
        return kur__error_no_memory(error);
    made->topics = rd_kafka_topic_partition_list_new(0);
    for (size_t i = 0; topics[i] != NULL; i++)
        if (find(made, topics[i]) == NULL)
            add(made, topics[i], LISTED);
    made->ask = kur__ask_start(consumer, KUR__ASK_TOPICS, 0, rd_kafka_topic_partition_list_copy(made->topics), NULL);
    if (made->ask == 0) {
        kur__pattern_free(made);
        return kur__consumer_take_failure(consumer, error);
    }
    consumer->pattern = made;
    consumer->is_manual = true;
    consumer->has_told_all = false;
    return KUR_OK;
}

/* Those of its partitions that are not read yet; false without memory. */
static bool read_topic(kur_consumer *consumer, rd_kafka_topic_partition_t *topic, int count)
{
    bool is_late = topic->partition > 0 || topic->offset == MISSING;
    for (; topic->partition < count; topic->partition++) {
        kur__partition *at = kur__table_get(consumer, topic->topic, topic->partition);
        if (at == NULL) {
            kur_error failed;
            kur__error_no_memory(&failed);
            kur__consumer_fail(consumer, &failed);
            return false;
        }
        kur__partition_begin(consumer, at, is_late ? KUR_OFFSET_BEGINNING : KUR_OFFSET_COMMITTED);
        at->wants_end = !consumer->has_told_all;
    }
    return true;
}

/* A topic that cannot be read; whether that is the broker's last word. */
static bool take_error(kur_consumer *consumer, rd_kafka_topic_partition_t *topic, rd_kafka_resp_err_t code)
{
    kur_error error;
    kur_status status = kur__error_of_kafka(&error, code, "topic %s", topic->topic);
    if (status == KUR_ERROR_UNKNOWN_TOPIC)
        topic->offset = MISSING;
    if (status != KUR_ERROR_UNKNOWN_TOPIC && status != KUR_ERROR_AUTHORIZATION)
        return false;
    kur__consumer_fail(consumer, &error);
    return true;
}

bool kur__broadcast_take_topics(kur_consumer *consumer, const struct rd_kafka_metadata *metadata)
{
    kur__pattern *pattern = consumer->pattern;
    bool is_settled = true;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *one = &metadata->topics[i];
        bool is_there = one->err == RD_KAFKA_RESP_ERR_NO_ERROR && one->partition_cnt > 0;
        rd_kafka_topic_partition_t *topic = find(pattern, one->topic);
        if (topic == NULL && pattern->has_include && kur__pattern_matches(pattern, one->topic))
            topic = add(pattern, one->topic, pattern->is_answered ? MISSING : LISTED);
        if (topic == NULL)
            continue;
        is_settled &=
            is_there ? read_topic(consumer, topic, one->partition_cnt) : take_error(consumer, topic, one->err);
    }
    pattern->is_answered = true;
    consumer->is_busy = true;
    return is_settled;
}

void kur__broadcast_tell_all(kur_consumer *consumer)
{
    const kur__pattern *pattern = consumer->pattern;
    if (consumer->audience != KUR_BROADCAST || consumer->has_told_all || pattern == NULL || !pattern->is_answered)
        return;
    for (int i = 0; i < pattern->topics->cnt; i++)
        if (pattern->topics->elems[i].partition == 0)
            return;
    for (const kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->stage == KUR__STARTING || at->stage == KUR__FOUND)
            return;
    consumer->has_told_all = true;
    if (consumer->on_rebalance != NULL)
        consumer->on_rebalance(consumer, KUR_ALL_ASSIGNED, NULL, 0, consumer->user);
}
