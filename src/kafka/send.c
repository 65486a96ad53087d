/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Sending a record: checked, its headers made, handed to librdkafka; and the form that waits for the result.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <stdio.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/message.h"
#include "kafka/producer.h"
#include "kafka/topic.h"
#include <kurier/sys/options.h>

enum {
    WAIT_SLICE_MS = 200 /* between looks at whether log-ins are refused */
};

static void add_headers(rd_kafka_headers_t *headers, const kur_header *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rd_kafka_header_add(headers, from[i].name, -1, from[i].value.data, (ssize_t)from[i].value.size);
}

static rd_kafka_headers_t *make_headers(const kur_message *message, const kur__header_parts *parts)
{
    size_t count = message->header_count + (parts != NULL ? parts->envelope_count + parts->extension_count : 0);
    if (count == 0)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(count);
    if (parts != NULL) {
        add_headers(headers, parts->envelope, parts->envelope_count);
        for (size_t i = 0; i < parts->extension_count; i++) {
            kur__extension_header name;
            kur__extension_name(name, parts->extensions[i].name);
            rd_kafka_header_add(headers, name, -1, parts->extensions[i].value.data,
                                (ssize_t)parts->extensions[i].value.size);
        }
    }
    add_headers(headers, message->headers, message->header_count);
    return headers;
}

static rd_kafka_resp_err_t produce(kur_producer *producer, rd_kafka_topic_t *topic, const kur_message *message,
                                   rd_kafka_headers_t *headers, struct kur__slot *slot)
{
    /* librdkafka takes a NULL value for a null one, and any pointer with size 0 for an empty one. */
    int32_t partition = message->partition == 0 ? RD_KAFKA_PARTITION_UA : message->partition - 1;
    int64_t timestamp_ms = message->timestamp_us / 1000;
    /* The form without a list of arguments, which is that much faster, can do neither headers nor a time. */
    if (headers == NULL && timestamp_ms == 0)
        return rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, (void *)message->value.data, message->value.size,
                                message->key.data, message->key.size, slot) == 0
                   ? RD_KAFKA_RESP_ERR_NO_ERROR
                   : rd_kafka_last_error();
    if (headers == NULL)
        return rd_kafka_producev(producer->rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY((void *)message->key.data, message->key.size),
                                 RD_KAFKA_V_VALUE((void *)message->value.data, message->value.size),
                                 RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_OPAQUE(slot), RD_KAFKA_V_END);
    return rd_kafka_producev(
        producer->rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY((void *)message->key.data, message->key.size),
        RD_KAFKA_V_VALUE((void *)message->value.data, message->value.size), RD_KAFKA_V_TIMESTAMP(timestamp_ms),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(slot), RD_KAFKA_V_END);
}

/* Produces; while the queue is full, waits for room as long as it may. Counted before, for the report can come first.
 */
static rd_kafka_resp_err_t produce_waiting(kur_producer *producer, rd_kafka_topic_t *topic, const kur_message *message,
                                           rd_kafka_headers_t *headers, struct kur__slot *slot)
{
    atomic_fetch_add_explicit(&producer->accepted, 1, memory_order_relaxed);
    rd_kafka_resp_err_t code = produce(producer, topic, message, headers, slot);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && producer->queue_wait_ms > 0 && producer->has_thread &&
        !kur__producer_is_own_thread(producer)) {
        struct timespec deadline = kur_deadline_after(producer->queue_wait_ms);
        while (!kur__deadline_is_over(&deadline)) {
            /* Noted before the attempt, so that room made after it is not slept through. */
            size_t decided = atomic_load(&producer->decided);
            code = produce(producer, topic, message, headers, slot);
            if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                break;
            kur__producer_wait(producer, decided, &deadline);
        }
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        atomic_fetch_sub_explicit(&producer->accepted, 1, memory_order_relaxed);
    return code;
}

static kur_status refused(kur_producer *producer, const kur_message *message, rd_kafka_resp_err_t code,
                          kur_error *error)
{
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        char what[300];
        snprintf(what, sizeof what, "%s: the queue is full with %zu records", message->topic,
                 kur_producer_pending(producer));
        kur__connection_timeout(&producer->connection, error, what);
        if (error != NULL) {
            error->code = KUR_ERROR_QUEUE_FULL;
            error->retriable = true;
            error->kafka_code = (int32_t)code;
        }
        return KUR_ERROR_QUEUE_FULL;
    }
    if (code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__FENCED) {
        char why[256] = "";
        rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(producer->rk, why, sizeof why);
        kur_status status = kur__status_of_kafka(fatal);
        const char *missing = kur__refusal_of_right(fatal);
        if (status != KUR_ERROR_FENCED && status != KUR_ERROR_AUTHORIZATION)
            status = KUR_ERROR_FATAL;
        kur_error_set(error, status, "%s: %s%s%s", message->topic, why[0] != '\0' ? why : rd_kafka_err2str(code),
                      missing != NULL ? ": " : "", missing != NULL ? missing : "");
        if (error != NULL)
            error->fatal = true;
        return status;
    }
    if (code == RD_KAFKA_RESP_ERR__STATE && producer->transaction != NULL)
        return kur__transaction_refusal(producer, error);
    return kur__error_of_kafka(error, code, "%s", message->topic);
}

static kur_status send_to(kur_producer *producer, rd_kafka_topic_t *topic, const kur_message *message,
                          const kur__header_parts *parts, kur_error *error)
{
    struct kur__slot *slot = NULL;
    if (message->on_result != NULL) {
        slot = kur__slot_take(producer);
        if (slot == NULL)
            return kur__error_no_memory(error);
        slot->callback = message->on_result;
        slot->user = message->user;
    }
    rd_kafka_headers_t *headers = make_headers(message, parts);
    rd_kafka_resp_err_t code = produce_waiting(producer, topic, message, headers, slot);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return KUR_OK;
    if (headers != NULL)
        rd_kafka_headers_destroy(headers); /* ours again when producev fails */
    if (slot != NULL)
        kur__slot_return(producer, slot);
    return refused(producer, message, code, error);
}

kur_status kur__producer_send(kur_producer *producer, const kur_message *message, const kur__header_parts *parts,
                              kur_error *error)
{
    rd_kafka_topic_t *topic = kur__topics_find(&producer->topics, message->topic);
    bool is_kept = topic != NULL;
    if (atomic_load_explicit(&producer->closing, memory_order_relaxed))
        return kur_error_set(error, KUR_ERROR_CLOSED, "the producer is being freed");
    kur_status status = kur__message_check(message, topic != NULL, error);
    if (status == KUR_OK && topic == NULL)
        status = kur__topics_add(&producer->topics, producer->rk, message->topic, &topic, &is_kept, error);
    if (status != KUR_OK)
        return status;
    status = send_to(producer, topic, message, parts, error);
    if (!is_kept)
        rd_kafka_topic_destroy(topic);
    return status;
}

kur_status kur_producer_send(kur_producer *producer, const kur_message *given, kur_error *error)
{
    kur_message message;
    if (producer == NULL || given == NULL)
        return kur_error_null(error, producer == NULL ? "producer" : "message");
    if (given->size == sizeof message) /* compiled with these headers: no copy is needed */
        return kur__producer_send(producer, given, NULL, error);
    kur_status status = kur_options_take(&message, sizeof message, given, "kur_message", error);
    return status == KUR_OK ? kur__producer_send(producer, &message, NULL, error) : status;
}

/* ---- Waiting for a result ---- */

/* Shared by who waits and the report, whichever is last: the wait can be over before the report comes. */
struct wait {
    pthread_mutex_t lock; /* guards all of this */
    pthread_cond_t done;
    int references;
    bool has_result;
    kur_result result;
};

static void wait_release(struct wait *wait)
{
    pthread_mutex_lock(&wait->lock);
    bool last = --wait->references == 0;
    pthread_mutex_unlock(&wait->lock);
    if (!last)
        return;
    pthread_cond_destroy(&wait->done);
    pthread_mutex_destroy(&wait->lock);
    kur_free(wait);
}

static void on_waited_result(const kur_result *result, void *user)
{
    struct wait *wait = user;
    pthread_mutex_lock(&wait->lock);
    wait->result = *result;
    wait->result.topic = NULL;
    wait->has_result = true;
    pthread_cond_signal(&wait->done);
    pthread_mutex_unlock(&wait->lock);
    wait_release(wait);
}

static bool wait_has_result(kur_producer *producer, struct wait *wait, const struct timespec *deadline)
{
    int64_t since = kur_clock_monotonic_us();
    pthread_mutex_lock(&wait->lock);
    while (!wait->has_result && !kur__deadline_is_over(deadline) &&
           !kur__connection_is_refused(&producer->connection, since)) {
        if (producer->has_thread) {
            struct timespec slice = kur_deadline_after(WAIT_SLICE_MS);
            pthread_cond_timedwait(&wait->done, &wait->lock,
                                   kur__deadline_is_before(deadline, &slice) ? deadline : &slice);
        } else {
            pthread_mutex_unlock(&wait->lock);
            kur__producer_serve(producer, 10);
            pthread_mutex_lock(&wait->lock);
        }
    }
    bool has = wait->has_result;
    pthread_mutex_unlock(&wait->lock);
    return has;
}

static kur_status take_result(kur_producer *producer, struct wait *wait, int timeout_ms, kur_result *result,
                              kur_error *error)
{
    struct timespec deadline = kur_deadline_after(timeout_ms);
    if (!wait_has_result(producer, wait, &deadline)) {
        char what[80];
        snprintf(what, sizeof what, "no result%s: the record may still be delivered",
                 kur__deadline_is_over(&deadline) ? " in time" : "");
        kur_error made;
        kur_status why = kur__connection_timeout(&producer->connection, &made, what);
        kur_error_set(error, KUR_ERROR_UNKNOWN_OUTCOME, "%s", made.message);
        if (error != NULL && why == KUR_ERROR_AUTHENTICATION)
            error->kafka_code = RD_KAFKA_RESP_ERR__AUTHENTICATION;
        return KUR_ERROR_UNKNOWN_OUTCOME;
    }
    if (result != NULL)
        kur_options_give(result, &wait->result, sizeof wait->result);
    if (wait->result.error.code != KUR_OK && error != NULL)
        *error = wait->result.error;
    return wait->result.error.code;
}

kur_status kur__producer_send_wait(kur_producer *producer, const kur_message *message, const kur__header_parts *parts,
                                   int timeout_ms, kur_result *result, kur_error *error)
{
    if (message->on_result != NULL || timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".on_result is set, or timeout_ms is negative");
    if (kur__producer_is_own_thread(producer))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "waiting for a result in a callback would wait for itself");
    struct wait *wait = kur_calloc(1, sizeof *wait);
    if (wait == NULL)
        return kur__error_no_memory(error);
    pthread_mutex_init(&wait->lock, NULL);
    kur_condition_init(&wait->done);
    wait->references = 2;
    kur_message waiting = *message;
    waiting.on_result = on_waited_result;
    waiting.user = wait;
    kur_status status = kur__producer_send(producer, &waiting, parts, error);
    if (status == KUR_OK)
        status = take_result(producer, wait, timeout_ms, result, error);
    else
        wait_release(wait); /* no report will come */
    wait_release(wait);
    return status;
}

kur_status kur_producer_send_wait(kur_producer *producer, const kur_message *given, int timeout_ms, kur_result *result,
                                  kur_error *error)
{
    kur_message message;
    if (producer == NULL || given == NULL)
        return kur_error_null(error, producer == NULL ? "producer" : "message");
    kur_status status = kur_options_take(&message, sizeof message, given, "kur_message", error);
    return status == KUR_OK ? kur__producer_send_wait(producer, &message, NULL, timeout_ms, result, error) : status;
}
