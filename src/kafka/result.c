/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Each record that is accepted has one delivery report, whose opaque is a slot {callback, user}, or NULL when nobody
 * wants to know. Slots come from chunks that are never given back before the end, so that a record costs no allocation.
 * Senders take slots from a list under `slots_lock`; the thread that serves reports puts them on an atomic stack, which
 * a sender takes over whole when its list is empty: the two sides hardly ever touch the same line.
 *
 * Delivered is what a broker has acknowledged, with the place that it gave it. librdkafka goes further: when a request
 * has failed and a later one of its partition is acknowledged, it calls the records of both delivered, for the broker
 * would have refused the later one if the other were not there. Brokers before Kafka 4.5 do so only where they know
 * this producer: in a partition that has just come into being, or to a leader that knows nothing of it, the first
 * request is refused ("not the leader"), the next one taken, and what was in the first is nowhere (KAFKA-15591). Such
 * a record has no offset; of it nothing is known.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <stdio.h>

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/producer.h"

enum {
    FAILURE_LOG_INTERVAL_US = 1000000
};

/* ---- Slots ---- */

struct kur__slot *kur__slot_take(kur_producer *producer)
{
    pthread_mutex_lock(&producer->slots_lock);
    if (producer->free_slots == NULL)
        producer->free_slots = atomic_exchange(&producer->returned_slots, NULL);
    if (producer->free_slots == NULL) {
        struct kur__slot_chunk *chunk = kur_malloc(sizeof *chunk);
        if (chunk != NULL) {
            chunk->next = producer->chunks;
            producer->chunks = chunk;
            for (int i = 0; i < KUR__SLOTS_IN_CHUNK; i++) {
                chunk->slots[i].next = producer->free_slots;
                producer->free_slots = &chunk->slots[i];
            }
        }
    }
    struct kur__slot *slot = producer->free_slots;
    if (slot != NULL)
        producer->free_slots = slot->next;
    pthread_mutex_unlock(&producer->slots_lock);
    return slot;
}

void kur__slot_return(kur_producer *producer, struct kur__slot *slot)
{
    struct kur__slot *top = atomic_load_explicit(&producer->returned_slots, memory_order_relaxed);
    do
        slot->next = top;
    while (!atomic_compare_exchange_weak_explicit(&producer->returned_slots, &top, slot, memory_order_release,
                                                  memory_order_relaxed));
}

void kur__slots_free(kur_producer *producer)
{
    while (producer->chunks != NULL) {
        struct kur__slot_chunk *next = producer->chunks->next;
        kur_free(producer->chunks);
        producer->chunks = next;
    }
}

/* ---- Reports ---- */

static void describe_failure(kur_producer *producer, const rd_kafka_message_t *message, kur_result *result)
{
    bool maybe = rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED;
    kur__error_of_kafka(&result->error, message->err, "%s [%" PRId32 "]", result->topic, message->partition);
    /* What was queued when the producer came to its end: for the reason of that. */
    char why[256] = "";
    rd_kafka_resp_err_t fatal =
        message->err == RD_KAFKA_RESP_ERR__FATAL || message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE
            ? rd_kafka_fatal_error(producer->rk, why, sizeof why)
            : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        const char *missing = kur__refusal_of_right(fatal);
        kur_error_set(&result->error, kur__status_of_kafka(fatal), "%s [%" PRId32 "]: %s%s%s", result->topic,
                      message->partition, why, missing != NULL ? ": " : "", missing != NULL ? missing : "");
        result->error.fatal = true;
    }
    if (kur__status_of_kafka(message->err) == KUR_ERROR_TIMEOUT) {
        char what[300];
        snprintf(what, sizeof what, "%s [%" PRId32 "]: not acknowledged in time", result->topic, message->partition);
        kur__connection_timeout(&producer->connection, &result->error, what);
    }
    result->status = maybe ? KUR_UNKNOWN : KUR_FAILED;
    if (maybe) {
        result->error.code = KUR_ERROR_UNKNOWN_OUTCOME;
        result->error.retriable = false;
    }
    result->error.kafka_code = (int32_t)message->err;
}

/* librdkafka calls it delivered, and no broker has. */
static void describe_doubt(const rd_kafka_message_t *message, kur_result *result)
{
    result->status = KUR_UNKNOWN;
    kur_error_set(&result->error, KUR_ERROR_UNKNOWN_OUTCOME,
                  "%s [%" PRId32 "]: its request failed, and only a later one was acknowledged: it may not be there",
                  result->topic, message->partition);
}

/* Somebody must hear of a record that was lost without a callback, but not a thousand times a second. */
static void log_failure(kur_producer *producer, const kur_result *result)
{
    int64_t now = kur_clock_monotonic_us();
    producer->unlogged_failures++;
    if (now < producer->next_failure_log_us)
        return;
    kur__log_print(kur__client_log(producer->client), KUR_LOG_ERROR, "%zu records not delivered, the last one: %s",
                   producer->unlogged_failures, result->error.message);
    producer->unlogged_failures = 0;
    producer->next_failure_log_us = now + FAILURE_LOG_INTERVAL_US;
}

void kur__producer_on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    kur__connection *connection = opaque;
    kur_producer *producer = (kur_producer *)((char *)connection - offsetof(struct kur_producer, connection));
    struct kur__slot *slot = message->_private;
    kur_result result; /* member by member: to clear the whole text of an error takes longer than the rest */
    result.size = sizeof result;
    result.status = KUR_DELIVERED;
    result.topic = rd_kafka_topic_name(message->rkt);
    result.partition = message->partition;
    result.offset = -1;
    result.timestamp_us = -1;
    result.error.code = KUR_OK;
    result.error.kafka_code = 0;
    result.error.retriable = result.error.fatal = false;
    result.error.message[0] = '\0';
    (void)rk;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        describe_failure(producer, message, &result);
        atomic_fetch_add_explicit(&producer->undelivered, 1, memory_order_relaxed);
        kur__transaction_note_failure(producer->transaction, message->err);
    } else if (message->offset < 0) {
        describe_doubt(message, &result);
        atomic_fetch_add_explicit(&producer->undelivered, 1, memory_order_relaxed);
        kur__transaction_note_doubt(producer->transaction);
    } else {
        rd_kafka_timestamp_type_t type;
        kur__connection_heard(connection);
        int64_t timestamp_ms = rd_kafka_message_timestamp(message, &type);
        result.offset = message->offset;
        /* The broker's word, which can be any number. */
        if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && timestamp_ms >= 0 && timestamp_ms <= INT64_MAX / 1000)
            result.timestamp_us = timestamp_ms * 1000;
    }
    if (slot != NULL) {
        kur_result_callback *callback = slot->callback;
        void *user = slot->user;
        kur__slot_return(producer, slot);
        callback(&result, user);
    } else if (result.status != KUR_DELIVERED) {
        log_failure(producer, &result);
    }
    atomic_fetch_add_explicit(&producer->decided, 1, memory_order_release);
}
