/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Records are librdkafka's messages. Each one that is held counts as a reference to the consumer, for a handle with
 * messages outside never ends its destruction: kur_consumer_free closes, and whoever gives the last reference back
 * destroys.
 */
#include <inttypes.h>
#include <kurier/librdkafka.h>
#include <kurier/sys/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/options.h"
#include "kafka/client.h"
#include "kafka/consumer.h"
#include "kafka/record.h"
#include "kafka/topic.h"

enum {
    CLOSE_MS = 10000,
    FETCH_AHEAD = 6,    /* records: a batch is larger than the nearest cache, and is walked twice */
    POLL_SLICE_MS = 500 /* so that a long poll still warns every 10 s */
};

/* ---- New, close, free ---- */

static kur_status set_number(rd_kafka_conf_t *conf, const char *name, int number, kur_error *error)
{
    char value[16], why[256];
    snprintf(value, sizeof value, "%d", number);
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s: %s", name, why);
    return KUR_OK;
}

static int get_number(const rd_kafka_conf_t *conf, const char *name)
{
    char value[32];
    size_t size = sizeof value;
    return rd_kafka_conf_get(conf, name, value, &size) == RD_KAFKA_CONF_OK ? atoi(value) : 0;
}

/* What the options leave out is the client's properties', or librdkafka's own. */
static kur_status configure(rd_kafka_conf_t *conf, const kur_consumer_options *options, kur_error *error)
{
    char why[256];
    if (rd_kafka_conf_set(conf, "group.id", options->group, why, sizeof why) != RD_KAFKA_CONF_OK)
        return kur_error_set(error, KUR_ERROR_CONFIG, "group.id: %s", why);
    kur_status status = KUR_OK;
    if (options->session_timeout_ms != 0)
        status = set_number(conf, "session.timeout.ms", options->session_timeout_ms, error);
    if (status == KUR_OK && options->max_poll_interval_ms != 0)
        status = set_number(conf, "max.poll.interval.ms", options->max_poll_interval_ms, error);
    /* A member that is to be missed soon has to be heard of often, and may not be asked to poll sooner than that. */
    int session_ms = get_number(conf, "session.timeout.ms");
    if (status == KUR_OK && get_number(conf, "heartbeat.interval.ms") > session_ms / 3)
        status = set_number(conf, "heartbeat.interval.ms", session_ms / 3 > 0 ? session_ms / 3 : 1, error);
    if (status == KUR_OK && get_number(conf, "max.poll.interval.ms") < session_ms)
        status = set_number(conf, "max.poll.interval.ms", session_ms, error);
    return status;
}

static kur_status open_handle(kur_consumer *consumer, const kur_consumer_options *options, kur_error *error)
{
    rd_kafka_conf_t *conf = kur__client_conf(consumer->client, RD_KAFKA_CONSUMER, error);
    if (conf == NULL)
        return KUR_ERROR_CONFIG;
    kur_status status = configure(conf, options, error);
    if (status != KUR_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_rebalance_cb(conf, kur__consumer_on_rebalance);
    consumer->rk = kur__connection_open(&consumer->connection, kur__client_log(consumer->client),
                                        kur__client_security(consumer->client), RD_KAFKA_CONSUMER, conf, error);
    if (consumer->rk == NULL)
        return KUR_ERROR_CONFIG;
    rd_kafka_poll_set_consumer(consumer->rk);
    consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
    return KUR_OK;
}

static void release(kur_consumer *consumer, size_t references)
{
    if (atomic_fetch_sub(&consumer->references, references) != references)
        return;
    if (consumer->assigned != NULL)
        rd_kafka_topic_partition_list_destroy(consumer->assigned);
    if (consumer->rk != NULL) {
        rd_kafka_queue_destroy(consumer->queue);
        rd_kafka_destroy_flags(consumer->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        kur__connection_done(&consumer->connection);
    }
    kur_client_unref(consumer->client);
    kur_free(consumer->group);
    kur_free(consumer);
}

kur_consumer *kur_consumer_new(kur_client *client, const kur_consumer_options *given, kur_error *error)
{
    kur_consumer_options options;
    if (client == NULL) {
        kur__error_null(error, "client");
        return NULL;
    }
    if (kur__options_take(&options, sizeof options, given, "kur_consumer_options", error) != KUR_OK)
        return NULL;
    if (options.group == NULL || options.group[0] == '\0' || strlen(options.group) > 1000 ||
        !kur_bytes_is_utf8(kur_bytes_text(options.group))) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".group is missing, longer than 1,000 bytes or not UTF-8");
        return NULL;
    }
    if ((options.start != KUR_START_EARLIEST && options.start != KUR_START_LATEST) || options.session_timeout_ms < 0 ||
        options.max_poll_interval_ms < 0) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                      ".start, .session_timeout_ms or .max_poll_interval_ms is not valid");
        return NULL;
    }
    kur_consumer *consumer = kur_calloc(1, sizeof *consumer);
    if (consumer == NULL) {
        kur__error_no_memory(error);
        return NULL;
    }
    atomic_init(&consumer->references, 1);
    consumer->client = kur_client_ref(client);
    consumer->start = options.start;
    consumer->on_rebalance = options.on_rebalance;
    consumer->user = options.user;
    consumer->group = kur_strdup(options.group);
    kur_status status = consumer->group != NULL ? open_handle(consumer, &options, error) : kur__error_no_memory(error);
    if (status == KUR_OK)
        return consumer;
    release(consumer, 1);
    return NULL;
}

kur_status kur_consumer_close(kur_consumer *consumer, kur_error *error)
{
    if (consumer == NULL)
        return kur__error_null(error, "consumer");
    if (consumer->closed)
        return KUR_OK;
    consumer->closed = true;
    rd_kafka_error_t *failed = rd_kafka_consumer_close_queue(consumer->rk, consumer->queue);
    if (failed != NULL) {
        kur_status status = kur__error_of_kafka(error, rd_kafka_error_code(failed), "close");
        rd_kafka_error_destroy(failed);
        return status;
    }
    struct timespec deadline = kur__deadline_after(CLOSE_MS);
    while (!rd_kafka_consumer_closed(consumer->rk) && !kur__deadline_is_over(&deadline)) {
        rd_kafka_message_t *messages[64];
        ssize_t count = rd_kafka_consume_batch_queue(consumer->queue, 50, messages, 64);
        for (ssize_t i = 0; i < count; i++)
            rd_kafka_message_destroy(messages[i]);
    }
    if (rd_kafka_consumer_closed(consumer->rk))
        return KUR_OK;
    return kur__connection_timeout(&consumer->connection, error, "close: the group was not left in time");
}

void kur_consumer_free(kur_consumer *consumer)
{
    if (consumer == NULL)
        return;
    kur_consumer_close(consumer, NULL);
    release(consumer, 1);
}

/* ---- Subscription and polling ---- */

kur_status kur_consumer_subscribe(kur_consumer *consumer, const char *const *topics, kur_error *error)
{
    if (consumer == NULL || topics == NULL)
        return kur__error_null(error, consumer == NULL ? "consumer" : "topics");
    size_t count = 0;
    for (; topics[count] != NULL; count++)
        if (!kur__topic_is_valid(topics[count]))
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                 "topics[%zu] is not 1 to 249 characters of A-Z a-z 0-9 . _ -: \"%.40s\"", count,
                                 topics[count]);
    if (count == 0 || consumer->closed)
        return kur_error_set(error, count == 0 ? KUR_ERROR_INVALID_ARGUMENT : KUR_ERROR_CLOSED,
                             count == 0 ? "topics is empty" : "the consumer is closed");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(consumer->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? KUR_OK : kur__error_of_kafka(error, code, "subscribe");
}

static bool is_for_the_caller(kur_status status)
{
    switch (status) {
    case KUR_ERROR_GAP:
    case KUR_ERROR_UNKNOWN_TOPIC:
    case KUR_ERROR_AUTHORIZATION:
    case KUR_ERROR_AUTHENTICATION:
    case KUR_ERROR_FENCED:
    case KUR_ERROR_FATAL:
        return true;
    default:
        return false;
    }
}

/* A message that is an error: told to the caller, or logged when librdkafka gets over it by itself. */
static void take_error(kur_consumer *consumer, const rd_kafka_message_t *message)
{
    kur_error error;
    const char *topic = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : consumer->group;
    if (message->rkt != NULL)
        kur__error_of_kafka(&error, message->err, "group %s: %s [%" PRId32 "]: %s", consumer->group, topic,
                            message->partition, rd_kafka_message_errstr(message));
    else
        kur__error_of_kafka(&error, message->err, "group %s: %s", consumer->group, rd_kafka_message_errstr(message));
    if (error.code == KUR_ERROR_GAP) {
        kur_error_set(&error, KUR_ERROR_GAP, "%s [%" PRId32 "] at offset %" PRId64 ": %s", topic, message->partition,
                      message->offset, rd_kafka_message_errstr(message));
        error.kafka_code = (int32_t)message->err;
    }
    if (!is_for_the_caller(error.code))
        kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING, "%s", error.message);
    else if (consumer->waiting_error.code == KUR_OK)
        consumer->waiting_error = error;
}

/* Keeps the records and drops errors and what is no longer ours; returns how many are left. */
static size_t sort_out(kur_consumer *consumer, rd_kafka_message_t **messages, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_message_t *message = messages[i];
        if (i + FETCH_AHEAD < count)
            __builtin_prefetch(messages[i + FETCH_AHEAD]);
        bool keep = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (!keep)
            take_error(consumer, message);
        else if (consumer->rebalanced)
            keep = kur__consumer_find_assigned(consumer, rd_kafka_topic_name(message->rkt), message->partition) != NULL;
        if (keep)
            messages[kept++] = message;
        else
            rd_kafka_message_destroy(message);
    }
    return kept;
}

/* Waits for the first, then takes what is there: librdkafka by itself would wait until the batch is full. */
static size_t take_batch(kur_consumer *consumer, int timeout_ms, rd_kafka_message_t **messages, size_t capacity)
{
    ssize_t more = 0;
    if (rd_kafka_consume_batch_queue(consumer->queue, timeout_ms, messages, 1) < 1)
        return 0;
    if (capacity > 1)
        more = rd_kafka_consume_batch_queue(consumer->queue, 0, messages + 1, capacity - 1);
    return more > 0 ? 1 + (size_t)more : 1;
}

kur_status kur_consumer_poll_batch(kur_consumer *consumer, int timeout_ms, kur_record **records, size_t capacity,
                                   size_t *count, kur_error *error)
{
    if (consumer == NULL || records == NULL || count == NULL)
        return kur__error_null(error, consumer == NULL ? "consumer" : records == NULL ? "records" : "count");
    if (timeout_ms < 0 || capacity == 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative or capacity is 0");
    if (consumer->closed)
        return kur_error_set(error, KUR_ERROR_CLOSED, "the consumer is closed");

    size_t kept = 0;
    struct timespec deadline = kur__deadline_after(timeout_ms);
    int left_ms = timeout_ms;
    while (consumer->waiting_error.code == KUR_OK) {
        /* The array is the caller's, of pointers that are never looked behind but as librdkafka's messages. */
        rd_kafka_message_t **messages = (rd_kafka_message_t **)(void *)records;
        consumer->rebalanced = false;
        size_t got = take_batch(consumer, left_ms < POLL_SLICE_MS ? left_ms : POLL_SLICE_MS, messages, capacity);
        kur__connection_serve(&consumer->connection, consumer->rk);
        kept = sort_out(consumer, messages, got);
        if (kept > 0)
            kur__connection_heard(&consumer->connection);
        else if (consumer->waiting_error.code == KUR_OK)
            kur__connection_tell_refusal(&consumer->connection, consumer->group, &consumer->waiting_error);
        left_ms = kur__deadline_left_ms(&deadline);
        if (kept > 0 || left_ms <= 0)
            break;
    }
    atomic_fetch_add(&consumer->references, kept);
    *count = kept;
    if (kept > 0 || consumer->waiting_error.code == KUR_OK)
        return KUR_OK;
    kur_status status = consumer->waiting_error.code;
    if (error != NULL)
        *error = consumer->waiting_error;
    consumer->waiting_error = (kur_error){0};
    return status;
}

kur_status kur_consumer_poll(kur_consumer *consumer, int timeout_ms, kur_record **record, kur_error *error)
{
    if (record == NULL)
        return kur__error_null(error, "record");
    kur_record *one = NULL;
    size_t count = 0;
    kur_status status = kur_consumer_poll_batch(consumer, timeout_ms, &one, 1, &count, error);
    *record = status == KUR_OK && count > 0 ? one : NULL;
    return status;
}

void kur_consumer_free_records(kur_consumer *consumer, kur_record *const *records, size_t count)
{
    size_t freed = 0;
    if (consumer == NULL || records == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        if (i + FETCH_AHEAD < count)
            __builtin_prefetch(records[i + FETCH_AHEAD]);
        if (records[i] != NULL) {
            rd_kafka_message_destroy(kur__record_message(records[i]));
            freed++;
        }
    }
    if (freed > 0)
        release(consumer, freed);
}

rd_kafka_t *kur_consumer_librdkafka(kur_consumer *consumer)
{
    return consumer != NULL ? consumer->rk : NULL;
}
