/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: subscriptions, and assignments by hand. Patterns are resolved here, from the metadata of all topics,
 * and not by librdkafka, which cannot leave topics out: a service that subscribed to `orders.*` would read its own
 * retry topics and dead letters as if they were orders.
 */
#include <inttypes.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/topic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"
#include "kafka/topic.h"
#include <kurier/sys/options.h>

enum {
    AGAIN_MS = 1000,
    PATTERN_SIZE_MAX = 1000,
    ROUTE_SIZE_MAX = 32,
    POSITIONS_MAX = 100000
};

/* ---- Names ---- */

static kur_status check_open(const kur_consumer *consumer, kur_error *error)
{
    if (consumer->closed)
        return kur_error_set(error, KUR_ERROR_CLOSED, "the consumer is closed");
    return KUR_OK;
}

static kur_status check_group(const kur_consumer *consumer, kur_error *error)
{
    if (consumer->is_manual && consumer->pattern != NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "there is a subscription: kur_consumer_unsubscribe first");
    if (consumer->is_manual)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "partitions are assigned by hand: kur_consumer_unsubscribe first");
    return check_open(consumer, error);
}

void kur__subscription_set(kur_consumer *consumer, rd_kafka_topic_partition_list_t *topics)
{
    if (consumer->subscribed != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->subscribed);
    consumer->subscribed = topics;
    kur__comeback_subscribed(consumer);
}

bool kur__subscription_has(const kur_consumer *consumer, const char *topic)
{
    return consumer->subscribed != NULL &&
           rd_kafka_topic_partition_list_find(consumer->subscribed, topic, RD_KAFKA_PARTITION_UA) != NULL;
}

/* Topics with their companions, which it takes over. */
static kur_status subscribe_list(kur_consumer *consumer, const rd_kafka_topic_partition_list_t *topics,
                                 rd_kafka_topic_partition_list_t *companions, kur_error *error)
{
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_copy(topics);
    for (int i = 0; companions != NULL && i < companions->cnt; i++)
        if (rd_kafka_topic_partition_list_find(all, companions->elems[i].topic, RD_KAFKA_PARTITION_UA) == NULL)
            rd_kafka_topic_partition_list_add(all, companions->elems[i].topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->rk, all);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_topic_partition_list_destroy(all);
        if (companions != NULL)
            rd_kafka_topic_partition_list_destroy(companions);
        return kur__error_of_kafka(error, code, "subscribe");
    }
    kur__subscription_set(consumer, all);
    kur__companions_set(consumer, companions);
    return KUR_OK;
}

kur_status kur_consumer_subscribe(kur_consumer *consumer, const char *const *topics, kur_error *error)
{
    if (consumer == NULL || topics == NULL)
        return kur_error_null(error, consumer == NULL ? "consumer" : "topics");
    size_t count = 0;
    for (; topics[count] != NULL; count++)
        if (!kur__topic_is_valid(topics[count]))
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                 "topics[%zu] is not 1 to 249 characters of A-Z a-z 0-9 . _ -: \"%.40s\"", count,
                                 topics[count]);
    if (count == 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "topics is empty");
    kur_status status = check_group(consumer, error);
    if (status != KUR_OK)
        return status;
    if (consumer->audience == KUR_BROADCAST)
        return kur__broadcast_subscribe(consumer, topics, error);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count), *companions = NULL;
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    status = kur__companions_ask(consumer, list, false, &companions, error);
    if (status == KUR_OK)
        status = subscribe_list(consumer, list, companions, error);
    rd_kafka_topic_partition_list_destroy(list);
    if (status == KUR_OK) {
        kur__missing_clear(consumer);
        kur__pattern_free(consumer->pattern);
        consumer->pattern = NULL;
    }
    return status;
}

/* ---- Patterns ---- */

void kur__pattern_free(kur__pattern *pattern)
{
    if (pattern == NULL)
        return;
    if (pattern->has_include)
        regfree(&pattern->include);
    if (pattern->has_exclude)
        regfree(&pattern->exclude);
    rd_kafka_topic_partition_list_destroy(pattern->topics);
    kur_free(pattern);
}

static kur_status compile(regex_t *regex, const char *text, const char *name, kur_error *error)
{
    char why[200];
    if (text[0] == '\0' || strnlen(text, PATTERN_SIZE_MAX + 1) > PATTERN_SIZE_MAX ||
        !kur_bytes_is_utf8(kur_bytes_text(text)))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is empty, longer than %d bytes or not UTF-8", name,
                             PATTERN_SIZE_MAX);
    int code = regcomp(regex, text, REG_EXTENDED);
    if (code == 0)
        return KUR_OK;
    if (code == REG_ESPACE)
        return kur__error_no_memory(error);
    regerror(code, regex, why, sizeof why);
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s: %s", name, why);
}

kur_status kur_topic_pattern_check(const char *pattern, const char *name, kur_error *error)
{
    regex_t regex;
    if (pattern == NULL || name == NULL)
        return kur_error_null(error, pattern == NULL ? "pattern" : "name");
    kur_status status = compile(&regex, pattern, name, error);
    if (status == KUR_OK)
        regfree(&regex);
    return status;
}

static bool matches_whole(const regex_t *regex, const char *name)
{
    regmatch_t match;
    return regexec(regex, name, 1, &match, 0) == 0 && match.rm_so == 0 && (size_t)match.rm_eo == strlen(name);
}

/* "….dlq-" and 1 to 32 of a-z 0-9 -: dead letters of a route. */
static bool is_dead_letter_route(const char *name)
{
    static const char mark[] = ".dlq-";
    const char *dot = strrchr(name, '.');
    if (dot == NULL || strncmp(dot, mark, sizeof mark - 1) != 0)
        return false;
    const char *suffix = dot + sizeof mark - 1;
    size_t size = strlen(suffix);
    return size > 0 && size <= ROUTE_SIZE_MAX && strspn(suffix, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

/* Kafka's own topics, and what this library puts aside for a group. */
static bool is_reserved(const char *name)
{
    static const char *const endings[] = {".retry-short", ".retry-medium", ".retry-long", ".retry-ordered", ".dlq"};
    size_t size = strlen(name);
    if (strncmp(name, "__", 2) == 0)
        return true;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i]);
        if (size >= ending && strcmp(name + size - ending, endings[i]) == 0)
            return true;
    }
    return is_dead_letter_route(name);
}

kur_status kur_consumer_subscribe_pattern(kur_consumer *consumer, const char *pattern, const char *exclude,
                                          kur_error *error)
{
    if (consumer == NULL || pattern == NULL)
        return kur_error_null(error, consumer == NULL ? "consumer" : "pattern");
    kur_status status = check_group(consumer, error);
    if (status != KUR_OK)
        return status;
    kur__pattern *made = kur_calloc(1, sizeof *made);
    if (made == NULL)
        return kur__error_no_memory(error);
    status = compile(&made->include, pattern, "pattern", error);
    if (status != KUR_OK) {
        kur_free(made);
        return status;
    }
    made->has_include = true;
    made->topics = rd_kafka_topic_partition_list_new(0);
    if (exclude != NULL) {
        status = compile(&made->exclude, exclude, "exclude", error);
        made->has_exclude = status == KUR_OK;
    }
    if (status == KUR_OK) {
        made->ask = kur__ask_start(consumer, KUR__ASK_TOPICS, 0, NULL, NULL);
        if (made->ask == 0)
            status = kur__consumer_take_failure(consumer, error);
    }
    if (status != KUR_OK) {
        kur__pattern_free(made);
        return status;
    }
    kur__pattern_free(consumer->pattern);
    consumer->pattern = made;
    consumer->is_manual = consumer->audience == KUR_BROADCAST;
    consumer->has_told_all = false;
    return KUR_OK;
}

bool kur__pattern_matches(const kur__pattern *pattern, const char *name)
{
    return !is_reserved(name) && matches_whole(&pattern->include, name) &&
           !(pattern->has_exclude && matches_whole(&pattern->exclude, name));
}

static bool is_same(const rd_kafka_topic_partition_list_t *a, const rd_kafka_topic_partition_list_t *b)
{
    bool same = a->cnt == b->cnt;
    for (int i = 0; same && i < a->cnt; i++)
        same = strcmp(a->elems[i].topic, b->elems[i].topic) == 0;
    return same;
}

static void resolve(kur_consumer *consumer, kur__pattern *pattern, const struct rd_kafka_metadata *metadata)
{
    kur_error error = {0};
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(0), *companions = NULL;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const char *name = metadata->topics[i].topic;
        if (kur__pattern_matches(pattern, name))
            rd_kafka_topic_partition_list_add(topics, name, RD_KAFKA_PARTITION_UA);
    }
    kur_status status = kur__companions_ask(consumer, topics, true, &companions, &error);
    rd_kafka_topic_partition_list_sort(topics, NULL, NULL);
    bool same = is_same(topics, pattern->topics) &&
                (companions == NULL || consumer->companions == NULL || is_same(companions, consumer->companions));
    if (status == KUR_OK && same && (topics->cnt == 0 || consumer->subscribed != NULL)) {
        rd_kafka_topic_partition_list_destroy(topics);
        if (companions != NULL)
            rd_kafka_topic_partition_list_destroy(companions);
        return;
    }
    if (status == KUR_OK && topics->cnt > 0) {
        status = subscribe_list(consumer, topics, companions, &error);
    } else if (status == KUR_OK) {
        rd_kafka_unsubscribe(consumer->rk);
        kur__subscription_set(consumer, NULL);
        kur__companions_set(consumer, companions);
    }
    if (status == KUR_OK) {
        kur__log_print(kur__client_log(consumer->client), KUR_LOG_INFO, "group %s: %d topics match", consumer->group,
                       topics->cnt);
        rd_kafka_topic_partition_list_destroy(pattern->topics);
        pattern->topics = topics;
        return;
    }
    rd_kafka_topic_partition_list_destroy(topics);
    kur__consumer_fail(consumer, &error);
}

void kur__pattern_take_topics(kur_consumer *consumer, const kur__ask *ask)
{
    kur__pattern *pattern = consumer->pattern;
    if (pattern == NULL || pattern->ask != ask->number || consumer->closed)
        return;
    bool is_settled = ask->code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (is_settled && consumer->audience == KUR_BROADCAST)
        is_settled = kur__broadcast_take_topics(consumer, ask->metadata);
    else if (ask->code == RD_KAFKA_RESP_ERR_NO_ERROR)
        resolve(consumer, pattern, ask->metadata);
    else
        kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING, "group %s: the list of topics: %s",
                       consumer->group, rd_kafka_err2str(ask->code));
    int delay_ms = is_settled && consumer->refresh_ms > 0 ? consumer->refresh_ms : AGAIN_MS;
    pattern->ask =
        kur__ask_start(consumer, KUR__ASK_TOPICS, delay_ms,
                       pattern->has_include ? NULL : rd_kafka_topic_partition_list_copy(pattern->topics), NULL);
}

/* ---- By hand ---- */

static void leave_all(kur_consumer *consumer)
{
    kur__flow_clear_pauses(consumer);
    rd_kafka_assign(consumer->rk, NULL);
    kur__partition *at, *next;
    kur__flow_forget(consumer);
    HASH_ITER (hh, consumer->table, at, next)
        kur__table_leave(consumer, at);
}

kur_status kur_consumer_unsubscribe(kur_consumer *consumer, kur_error *error)
{
    if (consumer == NULL)
        return kur_error_null(error, "consumer");
    kur_status status = check_open(consumer, error);
    if (status != KUR_OK)
        return status;
    kur__pattern_free(consumer->pattern);
    consumer->pattern = NULL;
    kur__missing_clear(consumer);
    kur__companions_set(consumer, NULL);
    if (consumer->is_manual)
        leave_all(consumer);
    else
        rd_kafka_unsubscribe(consumer->rk);
    kur__subscription_set(consumer, NULL);
    consumer->is_manual = false;
    return KUR_OK;
}

static kur_status check_assignment(const kur_position *positions, size_t count, kur_error *error)
{
    for (size_t i = 0; i < count; i++) {
        kur_position position;
        kur_status status =
            kur_options_take(&position, sizeof position, kur_options_at(positions, i), "kur_position", error);
        if (status != KUR_OK) {
            kur__error_prefix(error, "positions[%zu]: ", i);
            return status;
        }
        bool is_place = position.offset >= 0 || position.offset == KUR_OFFSET_BEGINNING ||
                        position.offset == KUR_OFFSET_END || position.offset == KUR_OFFSET_COMMITTED;
        if (!kur__topic_is_valid(position.topic) || position.partition < 0 || !is_place || position.leader_epoch < 0)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                 "positions[%zu]: topic, partition, offset or leader_epoch is not valid", i);
    }
    return KUR_OK;
}

/* All entries first, so that nothing has changed when memory is out; new ones stand there unassigned until then. */
static kur_status make_entries(kur_consumer *consumer, const kur_position *positions, size_t count, kur_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const kur_position *position = kur_options_at(positions, i);
        if (kur__table_get(consumer, position->topic, position->partition) == NULL)
            return kur__error_no_memory(error);
    }
    return KUR_OK;
}

static void begin_at(kur_consumer *consumer, const kur_position *position)
{
    kur__partition *at = kur__table_find(consumer, position->topic, position->partition);
    at->is_listed = true;
    at->is_group_given = false;
    if (at->stage != KUR__AWAY && position->offset >= 0 && position->offset == kur__partition_position(consumer, at))
        return;
    at->needs_restart = atomic_load(&at->is_fetching);
    kur__partition_begin(consumer, at, position->offset < 0 ? position->offset : KUR__TARGET_NONE);
    if (position->offset < 0)
        return;
    at->leader_epoch = position->size >= offsetof(kur_position, end) ? position->leader_epoch : 0;
    at->stage = KUR__FOUND;
    kur__partition_set_next(consumer, at, position->offset);
}

static void drop_others(kur_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *out = rd_kafka_topic_partition_list_new(0);
    rd_kafka_topic_partition_list_t *paused = rd_kafka_topic_partition_list_new(0);
    kur__partition *at, *next;
    HASH_ITER (hh, consumer->table, at, next) {
        if (at->is_listed)
            continue;
        if (at->is_pause_set)
            kur__partition_add(at, paused);
        if (at->is_fetching)
            kur__partition_add(at, out);
        kur__table_leave(consumer, at);
    }
    if (paused->cnt > 0)
        rd_kafka_resume_partitions(consumer->rk, paused);
    if (out->cnt > 0)
        rd_kafka_error_destroy(rd_kafka_incremental_unassign(consumer->rk, out));
    rd_kafka_topic_partition_list_destroy(paused);
    rd_kafka_topic_partition_list_destroy(out);
}

/* What the group gave and has not taken back yet. */
static bool has_group_given(const kur_consumer *consumer)
{
    for (const kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->is_group_given && at->stage != KUR__AWAY)
            return true;
    return false;
}

kur_status kur_consumer_assign(kur_consumer *consumer, const kur_position *positions, size_t count, kur_error *error)
{
    if (consumer == NULL || (positions == NULL && count > 0))
        return kur_error_null(error, consumer == NULL ? "consumer" : "positions");
    if (count > POSITIONS_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "count is above %d", POSITIONS_MAX);
    kur_status status = check_assignment(positions, count, error);
    if (status == KUR_OK)
        status = check_open(consumer, error);
    if (status != KUR_OK)
        return status;
    if (consumer->subscribed != NULL || consumer->pattern != NULL || has_group_given(consumer))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "there is a subscription: kur_consumer_unsubscribe first, and poll until it has gone");
    status = make_entries(consumer, positions, count, error);
    if (status != KUR_OK)
        return status;
    consumer->is_manual = true;
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        at->is_listed = false;
    for (size_t i = 0; i < count; i++)
        begin_at(consumer, kur_options_at(positions, i));
    drop_others(consumer);
    return KUR_OK;
}
