/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * A poll first does what waits (answers, seeks, starts, gaps), then takes records from librdkafka's queue. What waits
 * is announced by kur__consumer_wake from whatever thread, which also ends a wait for records.
 *
 * Records come in runs of one partition: the table is looked into once a run, which is where what is no longer ours is
 * dropped and where the position is kept. A record behind the position is never given.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"

enum {
    FETCH_AHEAD = 6,     /* records: a batch is larger than the nearest cache, and is walked twice */
    POLL_SLICE_MS = 500, /* so that a long poll still warns every 10 s */
    BUSY_SLICE_MS = 20
};

/* ---- What waits ---- */

static void set_readable(kur_consumer *consumer)
{
    static const uint64_t one = 1;
    int fd = atomic_load(&consumer->fd);
    if (fd >= 0 && write(fd, &one, sizeof one) < 0)
        return; /* it is readable already */
}

void kur__consumer_wake(kur_consumer *consumer)
{
    atomic_store(&consumer->is_woken, true);
    rd_kafka_queue_yield(consumer->queue);
    set_readable(consumer);
}

void kur__consumer_fail(kur_consumer *consumer, const kur_error *error)
{
    if (consumer->waiting_error.code == KUR_OK)
        consumer->waiting_error = *error;
}

kur_status kur__consumer_take_failure(kur_consumer *consumer, kur_error *error)
{
    kur_status status = consumer->waiting_error.code;
    if (error != NULL)
        *error = consumer->waiting_error;
    consumer->waiting_error = (kur_error){0};
    return status;
}

static void take_answers(kur_consumer *consumer)
{
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(consumer->answers, 0)) != NULL) {
        switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_OFFSET_COMMIT:
            kur__commit_take(consumer, event);
            break;
        case RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT:
            kur__start_take_committed(consumer, event);
            break;
        case RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT:
            kur__comeback_take_group(consumer, event);
            break;
        default: /* there is only one other question */
            kur__log_take(consumer, event);
            break;
        }
        rd_kafka_event_destroy(event);
    }
    kur__ask *ask;
    while ((ask = kur__ask_next(consumer)) != NULL) {
        if (ask->kind == KUR__ASK_RANGE) {
            kur__gap_take_range(consumer, ask);
        } else if (ask->kind == KUR__ASK_TOPICS) {
            kur__pattern_take_topics(consumer, ask);
            kur__missing_take_topics(consumer, ask);
            kur__comeback_take_topics(consumer, ask);
        } else {
            kur__start_take_offsets(consumer, ask);
        }
        kur__ask_free(ask);
    }
}

void kur__consumer_serve(kur_consumer *consumer)
{
    bool woken = atomic_exchange(&consumer->is_woken, false);
    if (!woken && !consumer->is_busy)
        return;
    consumer->is_busy = false;
    take_answers(consumer);
    if (consumer->closed)
        return;
    kur__companions_look_up(consumer);
    kur__comeback_assigned(consumer);
    kur__rebalance_take_incoming(consumer);
    kur__flow_take_seeks(consumer);
    kur__start_ask(consumer);
    kur__rebalance_tell_found(consumer);
    kur__broadcast_tell_all(consumer);
    kur__gap_tell(consumer);
    kur__flow_take_seeks(consumer); /* those of the callbacks */
    kur__flow_sync(consumer);
}

int kur_consumer_fd(kur_consumer *consumer, kur_error *error)
{
    static const uint64_t one = 1;
    if (consumer == NULL) {
        kur_error_null(error, "consumer");
        return -1;
    }
    int fd = atomic_load(&consumer->fd);
    if (fd >= 0)
        return fd;
    fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        kur_error_set(error, KUR_ERROR_SYSTEM, "no descriptor for the consumer: %s", strerror(errno));
        return -1;
    }
    atomic_store(&consumer->fd, fd);
    rd_kafka_queue_io_event_enable(consumer->queue, fd, &one, sizeof one);
    for (const kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        kur__queue_watch(consumer, at);
    return fd;
}

static void clear_readable(const kur_consumer *consumer)
{
    uint64_t value;
    int fd = atomic_load(&consumer->fd);
    if (fd >= 0 && read(fd, &value, sizeof value) < 0)
        return; /* it was not readable */
}

/* ---- Errors ---- */

static bool is_for_the_caller(kur_status status)
{
    switch (status) {
    case KUR_ERROR_UNKNOWN_TOPIC:
    case KUR_ERROR_AUTHORIZATION:
    case KUR_ERROR_AUTHENTICATION:
    case KUR_ERROR_FENCED:
    case KUR_ERROR_FATAL:
    case KUR_ERROR_CONFIG:
        return true;
    default:
        return false;
    }
}

/* After these librdkafka goes on behind the records, which would be lost. */
static bool is_unreadable(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR__UNDERFLOW:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return true;
    default:
        return false;
    }
}

/* What is behind RD_KAFKA_RESP_ERR__FATAL. */
static rd_kafka_resp_err_t fatal_code(const kur_consumer *consumer)
{
    char text[256];
    return rd_kafka_fatal_error(consumer->rk, text, sizeof text);
}

void kur__consumer_take_error(kur_consumer *consumer, const rd_kafka_message_t *message)
{
    kur_error error;
    rd_kafka_resp_err_t code = message->err;
    /* librdkafka looks for a coordinator whether or not there is anything to coordinate. */
    if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED && consumer->audience == KUR_BROADCAST)
        return;
    if (code == RD_KAFKA_RESP_ERR__FATAL && kur_status_is_fatal(kur__status_of_kafka(fatal_code(consumer))))
        code = fatal_code(consumer);
    const char *topic = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : NULL;
    kur_status status = kur__status_of_kafka(message->err);
    kur__partition *partition = topic != NULL ? kur__table_find(consumer, topic, message->partition) : NULL;
    if (status == KUR_ERROR_GAP || (topic != NULL && message->offset >= 0 && is_unreadable(message->err))) {
        /* Of one that has gone, or is to go on elsewhere anyway, it says nothing. */
        if (partition != NULL && partition->stage == KUR__ASSIGNED && !partition->is_stopped &&
            partition->target == KUR__TARGET_NONE && !partition->is_seek_due)
            kur__gap_begin(consumer, partition, status == KUR_ERROR_GAP ? KUR_ERROR_GAP : KUR_ERROR_SYNTAX,
                           message->offset >= 0 ? message->offset : atomic_load(&partition->next),
                           rd_kafka_message_errstr(message));
        return;
    }
    if (code == RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT)
        kur__error_of_kafka(&error, code,
                            "group %s: .session_timeout_ms is not what the broker takes, which stands in its settings "
                            "group.min.session.timeout.ms and group.max.session.timeout.ms",
                            consumer->group);
    else if (topic != NULL)
        kur__error_of_kafka(&error, code, "group %s: %s [%" PRId32 "]: %s", consumer->group, topic, message->partition,
                            rd_kafka_message_errstr(message));
    else
        kur__error_of_kafka(&error, code, "group %s: %s", consumer->group, rd_kafka_message_errstr(message));
    if (topic != NULL && kur__companions_take_error(consumer, topic, &error))
        return;
    if (error.code == KUR_ERROR_UNKNOWN_TOPIC && topic != NULL)
        kur__missing_add(consumer, topic);
    if (is_for_the_caller(error.code))
        kur__consumer_fail(consumer, &error);
    else
        kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING, "%s", error.message);
}

/* ---- Records ---- */

struct run {
    const rd_kafka_topic_t *topic;
    int32_t number;
    kur__partition *partition; /* NULL: its records are not for the caller */
    int64_t next;
};

static void end_run(struct run *run)
{
    if (run->partition != NULL) {
        atomic_store_explicit(&run->partition->next, run->next, memory_order_relaxed);
        atomic_store_explicit(&run->partition->is_fresh, false, memory_order_relaxed);
    }
    run->partition = NULL;
    run->topic = NULL;
}

static void begin_run(kur_consumer *consumer, struct run *run, const rd_kafka_message_t *message)
{
    kur__partition *at = consumer->last;
    if (at == NULL || consumer->last_topic != message->rkt || at->partition != message->partition) {
        at = kur__table_find(consumer, rd_kafka_topic_name(message->rkt), message->partition);
        consumer->last = at;
        consumer->last_topic = message->rkt;
    }
    run->topic = message->rkt;
    run->number = message->partition;
    if (at == NULL || at->stage != KUR__ASSIGNED || at->is_stopped || at->target != KUR__TARGET_NONE || at->is_seek_due)
        return;
    if (message->offset < atomic_load_explicit(&at->next, memory_order_relaxed))
        kur__gap_begin_jump(consumer, at, message->offset);
    else
        run->partition = at;
}

/* Keeps the records and drops errors and what is not for the caller; returns how many are left. */
static size_t sort_out(kur_consumer *consumer, rd_kafka_message_t **messages, size_t count)
{
    struct run run = {0};
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_message_t *message = messages[i];
        if (i + FETCH_AHEAD < count)
            __builtin_prefetch(messages[i + FETCH_AHEAD]);
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            end_run(&run);
            kur__consumer_take_error(consumer, message);
        } else if (message->rkt != run.topic || message->partition != run.number) {
            end_run(&run);
            begin_run(consumer, &run, message);
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && run.partition != NULL) {
            run.next = message->offset + 1;
            messages[kept++] = message;
        } else {
            rd_kafka_message_destroy(message);
        }
    }
    end_run(&run);
    return kept;
}

/* Waits for the first, then takes what is there: librdkafka by itself would wait until the batch is full. */
static size_t take_from_one(kur_consumer *consumer, int timeout_ms, rd_kafka_message_t **messages, size_t capacity)
{
    ssize_t more = 0;
    ssize_t first = rd_kafka_consume_batch_queue(consumer->queue, timeout_ms, messages, 1);
    if (first > 0 && capacity > 1)
        more = rd_kafka_consume_batch_queue(consumer->queue, 0, messages + 1, capacity - 1);
    return (first > 0 ? 1 : 0) + (more > 0 ? (size_t)more : 0);
}

/* The one queue always has its turn: it has the group's word, and polling it keeps the membership. */
static size_t take_batch(kur_consumer *consumer, int timeout_ms, rd_kafka_message_t **messages, size_t capacity)
{
    atomic_store_explicit(&consumer->is_taking, true, memory_order_relaxed);
    if (consumer->room == NULL)
        return take_from_one(consumer, timeout_ms, messages, capacity);
    size_t taken = take_from_one(consumer, 0, messages, capacity);
    if (taken < capacity)
        taken += kur__queues_take(consumer, messages + taken, capacity - taken);
    if (taken > 0 || timeout_ms == 0 || kur_consumer_fd(consumer, NULL) < 0)
        return taken;
    /* The descriptor is readable if anything has come since it was read, at the beginning of the poll. */
    poll(&(struct pollfd){.fd = atomic_load(&consumer->fd), .events = POLLIN}, 1, timeout_ms);
    clear_readable(consumer);
    taken = take_from_one(consumer, 0, messages, capacity);
    return taken + (taken < capacity ? kur__queues_take(consumer, messages + taken, capacity - taken) : 0);
}

static bool has_work(kur_consumer *consumer)
{
    return consumer->is_busy || atomic_load_explicit(&consumer->is_woken, memory_order_relaxed);
}

static size_t poll_until(kur_consumer *consumer, int timeout_ms, rd_kafka_message_t **messages, size_t capacity)
{
    struct timespec deadline = kur_deadline_after(timeout_ms);
    int left_ms = timeout_ms;
    size_t kept = 0;
    do {
        if (has_work(consumer))
            kur__consumer_serve(consumer);
        if (consumer->waiting_error.code != KUR_OK)
            break;
        int slice_ms = consumer->is_busy ? BUSY_SLICE_MS : POLL_SLICE_MS;
        size_t got = take_batch(consumer, left_ms < slice_ms ? left_ms : slice_ms, messages, capacity);
        kur__connection_serve(&consumer->connection, consumer->rk);
        kept = sort_out(consumer, messages, got);
        atomic_store_explicit(&consumer->is_taking, false, memory_order_relaxed);
        if (kept > 0)
            kur__connection_heard(&consumer->connection);
        else if (consumer->waiting_error.code == KUR_OK)
            kur__connection_tell_refusal(&consumer->connection, consumer->group, &consumer->waiting_error);
        left_ms = kur__deadline_left_ms(&deadline);
    } while (kept == 0 && left_ms > 0);
    return kept;
}

kur_status kur_consumer_poll_batch(kur_consumer *consumer, int timeout_ms, kur_record **records, size_t capacity,
                                   size_t *count, kur_error *error)
{
    if (consumer == NULL || records == NULL || count == NULL)
        return kur_error_null(error, consumer == NULL ? "consumer" : records == NULL ? "records" : "count");
    *count = 0;
    if (timeout_ms < 0 || capacity == 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative or capacity is 0");
    if (consumer->closed)
        return kur_error_set(error, KUR_ERROR_CLOSED, "the consumer is closed");

    /* The array is the caller's, of pointers that are never looked behind but as librdkafka's messages. */
    rd_kafka_message_t **messages = (rd_kafka_message_t **)(void *)records;
    clear_readable(consumer);
    size_t kept = poll_until(consumer, timeout_ms, messages, capacity);
    if (kept > 0)
        atomic_fetch_add(&consumer->references, kept);
    bool has_failed = kept == 0 && consumer->waiting_error.code != KUR_OK;
    kur_status status = has_failed ? kur__consumer_take_failure(consumer, error) : KUR_OK;
    *count = kept;
    if (atomic_load(&consumer->fd) >= 0 && (has_work(consumer) || consumer->waiting_error.code != KUR_OK ||
                                            rd_kafka_queue_length(consumer->queue) > 0 || kur__queues_have(consumer)))
        set_readable(consumer);
    return status;
}

kur_status kur_consumer_poll(kur_consumer *consumer, int timeout_ms, kur_record **record, kur_error *error)
{
    if (record == NULL)
        return kur_error_null(error, "record");
    kur_record *one = NULL;
    size_t count = 0;
    kur_status status = kur_consumer_poll_batch(consumer, timeout_ms, &one, 1, &count, error);
    *record = status == KUR_OK && count > 0 ? one : NULL;
    return status;
}
