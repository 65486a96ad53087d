/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a static member that comes back. Within its session the broker gives it what it had, and asks nobody to
 * divide anew, whatever it wants to read by now, and whatever partitions have come meanwhile: a topic that nobody had
 * been given would be read by nobody, until the group divides for another reason. So with the first assignment it is
 * found out, once in a consumer's life, whether the group has divided what is subscribed to. Signs that it has not:
 *  - something is given that is not subscribed to: it is not read;
 *  - nobody has been given a partition;
 *  - the assignor is range, and of two topics with as many partitions this member has not been given the same numbers.
 *    That the others read a topic in its place is no loss, but a topic and its companions belong together.
 * The last one can be wrong, where members read different topics for good; it costs two rebalances.
 *
 * The group divides anew when a member joins it with another subscription than the broker has noted of it. That one has
 * noted the present one already: so first a subscription that differs in the topic at fault, and with the assignment
 * that comes of it the right one. Where it is the only one, the same subscription again: its new partitions were not
 * seen because the group's leader had been away, and who comes back in its place is the leader, at whose joining the
 * group always divides anew.
 *
 * Where the broker divides (KIP-848), it sees to all this itself. The embedded broker knows no static members, and is
 * not asked: librdkafka uses what it has freed when a broker cannot describe groups (2.0.2).
 */
#include <string.h>

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"
#include "kafka/embedded_broker.h"

enum {
    AGAIN_MS = 1000
};

static void ask(kur_consumer *consumer, int delay_ms)
{
    kur__comeback_done(consumer);
    consumer->comeback_ask = kur__ask_start(consumer, KUR__ASK_TOPICS, delay_ms,
                                            rd_kafka_topic_partition_list_copy(consumer->subscribed), NULL);
}

/* ---- Another subscription for a moment ---- */

static void subscribe(kur_consumer *consumer, const rd_kafka_topic_partition_list_t *topics)
{
    kur_error error = {0};
    rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->rk, topics);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    kur__error_of_kafka(&error, code, "subscribe");
    kur__consumer_fail(consumer, &error);
}

/* The group divides anew because of this topic, which is left out, or added when it is not subscribed to. */
static void divide_anew(kur_consumer *consumer, const char *topic)
{
    rd_kafka_topic_partition_list_t *other = rd_kafka_topic_partition_list_copy(consumer->subscribed);
    bool is_subscribed = kur__subscription_has(consumer, topic);
    if (!is_subscribed)
        rd_kafka_topic_partition_list_add(other, topic, RD_KAFKA_PARTITION_UA);
    else if (other->cnt > 1)
        rd_kafka_topic_partition_list_del(other, topic, RD_KAFKA_PARTITION_UA);
    kur__log_print(kur__client_log(consumer->client), KUR_LOG_INFO,
                   "group %s: this static member is back, and has been given %s of %s than the group would give it "
                   "now: it has to divide anew",
                   consumer->group, is_subscribed ? "other partitions" : "more", topic);
    consumer->comeback = KUR__COMEBACK_OTHER;
    subscribe(consumer, other);
    rd_kafka_topic_partition_list_destroy(other);
}

/* ---- What is told ---- */

/* Takes out what is not subscribed to; the last such, or nothing, is returned in librdkafka's memory. */
static rd_kafka_topic_partition_list_t *take_unwanted(kur_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *unwanted = rd_kafka_topic_partition_list_new(0);
    for (int i = consumer->incoming->cnt - 1; i >= 0; i--) {
        const rd_kafka_topic_partition_t *one = &consumer->incoming->elems[i];
        if (kur__subscription_has(consumer, one->topic))
            continue;
        rd_kafka_topic_partition_list_add(unwanted, one->topic, one->partition);
        rd_kafka_topic_partition_list_del_by_idx(consumer->incoming, i);
    }
    return unwanted;
}

void kur__comeback_assigned(kur_consumer *consumer)
{
    if (!consumer->is_given_anew || consumer->comeback == KUR__COMEBACK_NONE || consumer->incoming == NULL ||
        consumer->subscribed == NULL)
        return;
    consumer->is_given_anew = false;
    rd_kafka_topic_partition_list_t *unwanted = take_unwanted(consumer);
    if (consumer->comeback == KUR__COMEBACK_OTHER) {
        consumer->comeback = KUR__COMEBACK_DONE;
        subscribe(consumer, consumer->subscribed);
    } else if (consumer->comeback == KUR__COMEBACK_DUE && unwanted->cnt > 0) {
        divide_anew(consumer, unwanted->elems[0].topic);
    } else if (consumer->comeback == KUR__COMEBACK_DUE) {
        ask(consumer, 0);
    }
    rd_kafka_topic_partition_list_destroy(unwanted);
}

void kur__comeback_subscribed(kur_consumer *consumer)
{
    consumer->comeback_ask = 0;
    if (consumer->comeback == KUR__COMEBACK_OTHER) /* the group divides for this one */
        consumer->comeback = KUR__COMEBACK_DONE;
}

/* Partitions of what is subscribed to; the offset of each is how many its topic has. */
static rd_kafka_topic_partition_list_t *list_seen(const kur_consumer *consumer,
                                                  const struct rd_kafka_metadata *metadata)
{
    rd_kafka_topic_partition_list_t *seen = rd_kafka_topic_partition_list_new(0);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        for (int p = 0; p < topic->partition_cnt && kur__subscription_has(consumer, topic->topic); p++)
            rd_kafka_topic_partition_list_add(seen, topic->topic, topic->partitions[p].id)->offset =
                topic->partition_cnt;
    }
    rd_kafka_topic_partition_list_sort(seen, NULL, NULL);
    return seen;
}

static void ask_group(kur_consumer *consumer)
{
    char why[256];
    const char *group = consumer->group;
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(consumer->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_AdminOptions_set_request_timeout(options, KUR__REQUEST_MS_MAX, why, sizeof why); /* consumer_start.c */
    rd_kafka_AdminOptions_set_opaque(options, (void *)(uintptr_t)consumer->comeback_ask);
    rd_kafka_DescribeConsumerGroups(consumer->rk, &group, 1, options, consumer->answers);
    rd_kafka_AdminOptions_destroy(options);
}

void kur__comeback_take_topics(kur_consumer *consumer, const kur__ask *made)
{
    if (consumer->comeback_ask == 0 || consumer->comeback_ask != made->number || consumer->closed)
        return;
    const char *cluster = kur_consumer_cluster_id(consumer);
    if (made->code != RD_KAFKA_RESP_ERR_NO_ERROR || cluster == NULL) {
        ask(consumer, AGAIN_MS);
    } else if (kur__embedded_broker_has_id(cluster)) {
        consumer->comeback = KUR__COMEBACK_NONE;
        kur__log_print(kur__client_log(consumer->client), KUR_LOG_DEBUG,
                       "group %s: the embedded broker knows no static members", consumer->group);
    } else {
        consumer->comeback_seen = list_seen(consumer, made->metadata);
        ask_group(consumer);
    }
}

/* What its members have, sorted. */
static rd_kafka_topic_partition_list_t *list_given(const rd_kafka_ConsumerGroupDescription_t *group)
{
    rd_kafka_topic_partition_list_t *given = rd_kafka_topic_partition_list_new(0);
    for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(group); i++) {
        const rd_kafka_MemberAssignment_t *assignment =
            rd_kafka_MemberDescription_assignment(rd_kafka_ConsumerGroupDescription_member(group, i));
        const rd_kafka_topic_partition_list_t *list =
            assignment != NULL ? rd_kafka_MemberAssignment_partitions(assignment) : NULL;
        for (int p = 0; list != NULL && p < list->cnt; p++)
            rd_kafka_topic_partition_list_add(given, list->elems[p].topic, list->elems[p].partition);
    }
    rd_kafka_topic_partition_list_sort(given, NULL, NULL);
    return given;
}

static int compare(const rd_kafka_topic_partition_t *one, const rd_kafka_topic_partition_t *other)
{
    int order = strcmp(one->topic, other->topic);
    return order != 0 ? order : (one->partition > other->partition) - (one->partition < other->partition);
}

/* The topic of the first partition that is in a list and not in another, both sorted; NULL: none. */
static const char *find_missing(const rd_kafka_topic_partition_list_t *seen,
                                const rd_kafka_topic_partition_list_t *given)
{
    int at = 0;
    for (int i = 0; i < seen->cnt; i++) {
        while (at < given->cnt && compare(&given->elems[at], &seen->elems[i]) < 0)
            at++;
        if (at == given->cnt || compare(&given->elems[at], &seen->elems[i]) != 0)
            return seen->elems[i].topic;
    }
    return NULL;
}

static bool has(const kur_consumer *consumer, const rd_kafka_topic_partition_t *one)
{
    const kur__partition *at = kur__table_find(consumer, one->topic, one->partition);
    return at != NULL && at->stage != KUR__AWAY && at->is_group_given;
}

/* Of two topics, as lists of the same number of partitions, the one of which a number is not here though the other's
 * is; NULL: none. */
static const char *find_odd(const kur_consumer *consumer, const rd_kafka_topic_partition_t *one,
                            const rd_kafka_topic_partition_t *other)
{
    for (int64_t p = 0; p < one->offset; p++)
        if (has(consumer, &one[p]) != has(consumer, &other[p]))
            return has(consumer, &one[p]) ? other->topic : one->topic;
    return NULL;
}

/* A topic of which others numbers are here than of another one; NULL: none. Each is compared with the first one that
 * has as many partitions. */
static const char *find_uneven(const kur_consumer *consumer, const rd_kafka_topic_partition_list_t *seen)
{
    const char *odd = NULL;
    for (int64_t i = 0; odd == NULL && i < seen->cnt; i += seen->elems[i].offset) {
        int64_t first = 0;
        while (seen->elems[first].offset != seen->elems[i].offset)
            first += seen->elems[first].offset;
        odd = find_odd(consumer, &seen->elems[first], &seen->elems[i]);
    }
    return odd;
}

static void judge(kur_consumer *consumer, const rd_kafka_ConsumerGroupDescription_t *group)
{
    rd_kafka_topic_partition_list_t *given = list_given(group);
    const char *assignor = rd_kafka_ConsumerGroupDescription_partition_assignor(group);
    const char *topic = find_missing(consumer->comeback_seen, given);
    if (topic == NULL && assignor != NULL && strcmp(assignor, "range") == 0)
        topic = find_uneven(consumer, consumer->comeback_seen);
    if (topic != NULL) {
        divide_anew(consumer, topic);
    } else {
        consumer->comeback = KUR__COMEBACK_DONE;
        kur__log_print(kur__client_log(consumer->client), KUR_LOG_DEBUG,
                       "group %s: everything that is read has been given to somebody", consumer->group);
    }
    rd_kafka_topic_partition_list_destroy(given);
}

void kur__comeback_take_group(kur_consumer *consumer, rd_kafka_event_t *event)
{
    size_t count = 0;
    if (consumer->closed || consumer->comeback_ask == 0 ||
        consumer->comeback_ask != (uint64_t)(uintptr_t)rd_kafka_event_opaque(event))
        return;
    const rd_kafka_DescribeConsumerGroups_result_t *result = rd_kafka_event_DescribeConsumerGroups_result(event);
    const rd_kafka_ConsumerGroupDescription_t **groups =
        result != NULL ? rd_kafka_DescribeConsumerGroups_result_groups(result, &count) : NULL;
    const rd_kafka_error_t *refused = count == 1 ? rd_kafka_ConsumerGroupDescription_error(groups[0]) : NULL;
    rd_kafka_resp_err_t code = refused != NULL ? rd_kafka_error_code(refused) : rd_kafka_event_error(event);
    consumer->comeback_ask = 0;
    if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) /* to read it is the right to describe it, with Kafka */
        consumer->comeback = KUR__COMEBACK_DONE;
    else if (code != RD_KAFKA_RESP_ERR_NO_ERROR || count != 1)
        ask(consumer, AGAIN_MS);
    else if (rd_kafka_ConsumerGroupDescription_state(groups[0]) == RD_KAFKA_CONSUMER_GROUP_STATE_STABLE)
        judge(consumer, groups[0]);
    /* Else the group is dividing anew anyway, and the assignment that comes of it asks again. */
}

void kur__comeback_done(kur_consumer *consumer)
{
    if (consumer->comeback_seen != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->comeback_seen);
    consumer->comeback_seen = NULL;
}
