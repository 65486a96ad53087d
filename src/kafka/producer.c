/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Results. Each record that is accepted has one delivery report, whose opaque is a slot {callback, user}, or NULL when nobody
 * wants to know. Slots come from chunks that are never given back before the end, so that a record costs no allocation. Senders take
 * slots from a list under `slots_lock`; the thread that serves reports puts them on an atomic stack, which a sender takes
 * over whole when its list is empty: the two sides hardly ever touch the same line.
 *
 * Threads. With KUR_DISPATCH_THREAD one thread serves librdkafka and runs all callbacks. It also flushes, on request, for
 * rd_kafka_flush runs callbacks on the thread that calls it; who flushes or waits for room sleeps on `changed`. With
 * KUR_DISPATCH_CALLER there is no thread, and only kur_producer_dispatch and those who wait for a result serve reports.
 *
 * End. Flush with a deadline, purge, serve the reports of what was purged, stop the thread, destroy.
 */
#include "kafka/producer.h"

#include <errno.h>
#include <inttypes.h>
#include <kurier/librdkafka.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/options.h"
#include "kafka/client.h"
#include "kafka/connection.h"
#include "kafka/topic.h"

enum {
    SERVE_MS = 100,
    FREE_FLUSH_MS = 5000,
    FREE_PURGE_MS = 2000,
    SLOTS_IN_CHUNK = 512,
    HEADERS_MAX = 1000,
    FAILURE_LOG_INTERVAL_US = 1000000
};

struct slot {
    kur_result_callback *callback;
    void *user;
    struct slot *next;
};

struct chunk {
    struct chunk *next;
    struct slot slots[SLOTS_IN_CHUNK];
};

struct kur_producer {
    kur_client *client;
    bool owns_client; /* whether it holds a reference */
    rd_kafka_t *rk;
    kur__connection connection;
    kur_dispatch dispatch;
    int queue_wait_ms;
    int fd;

    pthread_t thread;
    bool has_thread;
    atomic_bool stopping;
    atomic_int flushes; /* requests under way */
    atomic_int waiters; /* threads that sleep on `changed` */
    pthread_mutex_t lock; /* guards only the sleep on `changed` */
    pthread_cond_t changed;

    atomic_size_t accepted; /* records taken over */
    atomic_size_t decided;  /* of these, those whose callback has returned */
    atomic_size_t undelivered;

    pthread_mutex_t slots_lock; /* guards free_slots and chunks */
    struct slot *free_slots;
    struct chunk *chunks;
    _Atomic(struct slot *) returned_slots;

    /* Of the serving thread alone. */
    size_t unlogged_failures;
    int64_t next_failure_log_us;
};

/* ---- Time ---- */

static struct timespec deadline_after(int timeout_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static bool is_over(const struct timespec *deadline)
{
    struct timespec now = deadline_after(0);
    return !is_before(&now, deadline);
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Sleeps until something was decided, at most 50 ms, for a wake-up between look and sleep is not excluded. */
static void wait_for_change(kur_producer *producer, const struct timespec *deadline)
{
    struct timespec until = deadline_after(50);
    if (is_before(deadline, &until))
        until = *deadline;
    atomic_fetch_add(&producer->waiters, 1);
    pthread_mutex_lock(&producer->lock);
    pthread_cond_timedwait(&producer->changed, &producer->lock, &until);
    pthread_mutex_unlock(&producer->lock);
    atomic_fetch_sub(&producer->waiters, 1);
}

static void tell_waiters(kur_producer *producer)
{
    if (atomic_load(&producer->waiters) == 0)
        return;
    pthread_mutex_lock(&producer->lock);
    pthread_cond_broadcast(&producer->changed);
    pthread_mutex_unlock(&producer->lock);
}

/* ---- Slots ---- */

static struct slot *slot_take(kur_producer *producer)
{
    pthread_mutex_lock(&producer->slots_lock);
    if (producer->free_slots == NULL)
        producer->free_slots = atomic_exchange(&producer->returned_slots, NULL);
    if (producer->free_slots == NULL) {
        struct chunk *chunk = kur_malloc(sizeof *chunk);
        if (chunk != NULL) {
            chunk->next = producer->chunks;
            producer->chunks = chunk;
            for (int i = 0; i < SLOTS_IN_CHUNK; i++) {
                chunk->slots[i].next = producer->free_slots;
                producer->free_slots = &chunk->slots[i];
            }
        }
    }
    struct slot *slot = producer->free_slots;
    if (slot != NULL)
        producer->free_slots = slot->next;
    pthread_mutex_unlock(&producer->slots_lock);
    return slot;
}

static void slot_return(kur_producer *producer, struct slot *slot)
{
    struct slot *top = atomic_load_explicit(&producer->returned_slots, memory_order_relaxed);
    do
        slot->next = top;
    while (!atomic_compare_exchange_weak_explicit(&producer->returned_slots, &top, slot, memory_order_release,
                                                  memory_order_relaxed));
}

/* ---- Reports ---- */

static void describe_failure(kur_producer *producer, const rd_kafka_message_t *message, kur_result *result)
{
    bool maybe = rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED;
    kur__error_of_kafka(&result->error, message->err, "%s [%" PRId32 "]", result->topic, message->partition);
    if (message->err == RD_KAFKA_RESP_ERR__FATAL)
        result->error.fatal = true;
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

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    kur__connection *connection = opaque;
    kur_producer *producer =
        (kur_producer *)((char *)connection - offsetof(struct kur_producer, connection));
    struct slot *slot = message->_private;
    kur_result result = {.size = sizeof result,
                         .status = KUR_DELIVERED,
                         .topic = rd_kafka_topic_name(message->rkt),
                         .partition = message->partition,
                         .offset = -1,
                         .timestamp_us = -1};
    (void)rk;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        describe_failure(producer, message, &result);
        atomic_fetch_add_explicit(&producer->undelivered, 1, memory_order_relaxed);
    } else {
        rd_kafka_timestamp_type_t type;
        int64_t timestamp_ms = rd_kafka_message_timestamp(message, &type);
        result.offset = message->offset;
        result.timestamp_us = type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? timestamp_ms * 1000 : -1;
    }
    if (slot != NULL) {
        kur_result_callback *callback = slot->callback;
        void *user = slot->user;
        slot_return(producer, slot);
        callback(&result, user);
    } else if (result.status != KUR_DELIVERED) {
        log_failure(producer, &result);
    }
    atomic_fetch_add_explicit(&producer->decided, 1, memory_order_release);
}

static void serve(kur_producer *producer, int timeout_ms)
{
    if (atomic_load(&producer->flushes) > 0)
        rd_kafka_flush(producer->rk, timeout_ms);
    else
        rd_kafka_poll(producer->rk, timeout_ms);
    kur__connection_serve(&producer->connection, producer->rk);
    tell_waiters(producer);
}

static void *run_thread(void *user)
{
    kur_producer *producer = user;
    while (!atomic_load(&producer->stopping))
        serve(producer, SERVE_MS);
    return NULL;
}

/* ---- New and free ---- */

static kur_status set_number(rd_kafka_conf_t *conf, const char *name, int given, int standard, int none,
                             kur_error *error)
{
    if (given < 0 && (given != KUR_NONE || none < 0))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s: %d is not valid", name, given);
    char value[16], why[256];
    snprintf(value, sizeof value, "%d", given == 0 ? standard : given == KUR_NONE ? none : given);
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s: %s", name, why);
    return KUR_OK;
}

static kur_status configure(rd_kafka_conf_t *conf, const kur_producer_options *options, kur_error *error)
{
    const struct {
        const char *name;
        int given, standard, none;
    } numbers[] = {
        {"queue.buffering.max.messages", options->queue_records, 100000, -1},
        {"queue.buffering.max.kbytes", options->queue_kbytes, 65536, -1},
        {"linger.ms", options->linger_ms, 5, 0},
        {"message.timeout.ms", options->delivery_timeout_ms, 120000, 0},
    };
    kur_status status = KUR_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == KUR_OK; i++)
        status = set_number(conf, numbers[i].name, numbers[i].given, numbers[i].standard, numbers[i].none, error);
    char why[256];
    if (status == KUR_OK && options->compression != NULL &&
        rd_kafka_conf_set(conf, "compression.type", options->compression, why, sizeof why) != RD_KAFKA_CONF_OK)
        status = kur_error_set(error, KUR_ERROR_CONFIG, "compression: %s", why);
    return status;
}

static kur_status start_thread(kur_producer *producer, kur_error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&producer->thread, NULL, run_thread, producer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no thread for the producer: %s", strerror(failed));
    producer->has_thread = true;
    return KUR_OK;
}

static kur_status open_descriptor(kur_producer *producer, kur_error *error)
{
    static const uint64_t one = 1;
    producer->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (producer->fd < 0)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no descriptor for the producer: %s", strerror(errno));
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(producer->rk);
    rd_kafka_queue_io_event_enable(queue, producer->fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
    return KUR_OK;
}

static kur_status start(kur_producer *producer, const kur_producer_options *options, kur_error *error)
{
    rd_kafka_conf_t *conf = kur__client_conf(producer->client, RD_KAFKA_PRODUCER, error);
    if (conf == NULL)
        return KUR_ERROR_CONFIG;
    kur_status status = configure(conf, options, error);
    if (status != KUR_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    kur__connection_init(&producer->connection, kur__client_log(producer->client), conf);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    char why[256];
    producer->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (producer->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        kur__connection_done(&producer->connection);
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s", why);
    }
    return producer->dispatch == KUR_DISPATCH_THREAD ? start_thread(producer, error)
                                                     : open_descriptor(producer, error);
}

static kur_producer *producer_new(kur_client *client, bool owns_client, const kur_producer_options *given,
                                  kur_error *error)
{
    kur_producer_options options;
    if (client == NULL) {
        kur__error_null(error, "client");
        return NULL;
    }
    if (kur__options_take(&options, sizeof options, given, "kur_producer_options", error) != KUR_OK)
        return NULL;
    if ((options.dispatch != KUR_DISPATCH_THREAD && options.dispatch != KUR_DISPATCH_CALLER) ||
        options.queue_wait_ms < KUR_NONE) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".dispatch or .queue_wait_ms is not valid");
        return NULL;
    }
    kur_producer *producer = kur_calloc(1, sizeof *producer);
    if (producer == NULL) {
        kur__error_no_memory(error);
        return NULL;
    }
    producer->client = owns_client ? kur_client_ref(client) : client;
    producer->owns_client = owns_client;
    producer->dispatch = options.dispatch;
    producer->queue_wait_ms = options.queue_wait_ms == 0 ? 1000 : options.queue_wait_ms == KUR_NONE ? 0 : options.queue_wait_ms;
    producer->fd = -1;
    pthread_mutex_init(&producer->lock, NULL);
    pthread_mutex_init(&producer->slots_lock, NULL);
    init_condition(&producer->changed);
    if (start(producer, &options, error) == KUR_OK)
        return producer;
    kur_producer_free(producer);
    return NULL;
}

kur_producer *kur_producer_new(kur_client *client, const kur_producer_options *options, kur_error *error)
{
    return producer_new(client, true, options, error);
}

kur_producer *kur__producer_new_unowned(kur_client *client, const kur_producer_options *options, kur_error *error)
{
    return producer_new(client, false, options, error);
}

kur_client *kur__producer_client(const kur_producer *producer)
{
    return producer->client;
}

size_t kur_producer_pending(const kur_producer *producer)
{
    if (producer == NULL)
        return 0;
    size_t decided = atomic_load_explicit(&producer->decided, memory_order_acquire);
    return atomic_load(&producer->accepted) - decided;
}

/* Serves reports, or lets the thread do it, until none is due or the time is over. */
static bool wait_until_empty(kur_producer *producer, int timeout_ms)
{
    struct timespec deadline = deadline_after(timeout_ms);
    while (kur_producer_pending(producer) > 0 && !is_over(&deadline)) {
        if (producer->has_thread)
            wait_for_change(producer, &deadline);
        else
            serve(producer, timeout_ms < 50 ? timeout_ms : 50);
    }
    return kur_producer_pending(producer) == 0;
}

size_t kur_producer_free(kur_producer *producer)
{
    if (producer == NULL)
        return 0;
    size_t given_up = 0;
    if (producer->rk != NULL) {
        size_t before = atomic_load(&producer->undelivered);
        atomic_fetch_add(&producer->flushes, 1);
        if (!wait_until_empty(producer, FREE_FLUSH_MS)) {
            rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
            wait_until_empty(producer, FREE_PURGE_MS);
        }
        given_up = atomic_load(&producer->undelivered) - before + kur_producer_pending(producer);
    }
    if (producer->has_thread) {
        atomic_store(&producer->stopping, true);
        pthread_join(producer->thread, NULL);
    }
    if (producer->rk != NULL) {
        rd_kafka_destroy(producer->rk);
        kur__connection_done(&producer->connection);
    }
    if (given_up > 0)
        kur__log_print(kur__client_log(producer->client), KUR_LOG_ERROR, "the producer ends with %zu records not delivered",
                       given_up);
    if (producer->fd >= 0)
        close(producer->fd);
    while (producer->chunks != NULL) {
        struct chunk *next = producer->chunks->next;
        kur_free(producer->chunks);
        producer->chunks = next;
    }
    pthread_cond_destroy(&producer->changed);
    pthread_mutex_destroy(&producer->slots_lock);
    pthread_mutex_destroy(&producer->lock);
    if (producer->owns_client)
        kur_client_unref(producer->client);
    kur_free(producer);
    return given_up;
}

/* ---- Sending ---- */

static kur_status check_message(const kur_message *message, kur_error *error)
{
    if (!kur__topic_is_valid(message->topic))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".topic is not 1 to 249 characters of A-Z a-z 0-9 . _ -: \"%.40s\"",
                             message->topic != NULL ? message->topic : "NULL");
    if (message->partition < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".partition is not KUR_PARTITION(n) with n of 0 or more");
    if (message->timestamp_us < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".timestamp_us is before 1970");
    if (message->tombstone ? message->value.data != NULL : message->value.data == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             message->tombstone ? ".value is set beside .tombstone"
                                                : ".value is NULL: a null value is asked for by .tombstone");
    if ((message->key.data == NULL && message->key.size > 0) || (message->headers == NULL && message->header_count > 0) ||
        message->header_count > HEADERS_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".key or .headers is NULL but has a size, or there are more "
                                                                "than %d headers", HEADERS_MAX);
    for (size_t i = 0; i < message->header_count; i++)
        if (message->headers[i].name == NULL || message->headers[i].name[0] == '\0')
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".headers[%zu].name is empty", i);
    return KUR_OK;
}

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
            char name[64];
            snprintf(name, sizeof name, "ce_%s", parts->extensions[i].name);
            rd_kafka_header_add(headers, name, -1, parts->extensions[i].value.data,
                                (ssize_t)parts->extensions[i].value.size);
        }
    }
    add_headers(headers, message->headers, message->header_count);
    return headers;
}

static rd_kafka_resp_err_t produce(kur_producer *producer, const kur_message *message, rd_kafka_headers_t *headers,
                                   struct slot *slot)
{
    /* librdkafka takes a NULL value for a null one, and any pointer with size 0 for an empty one. */
    int32_t partition = message->partition == 0 ? RD_KAFKA_PARTITION_UA : message->partition - 1;
    int64_t timestamp_ms = message->timestamp_us / 1000;
    if (headers == NULL)
        return rd_kafka_producev(producer->rk, RD_KAFKA_V_TOPIC(message->topic), RD_KAFKA_V_PARTITION(partition),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY((void *)message->key.data, message->key.size),
                                 RD_KAFKA_V_VALUE((void *)message->value.data, message->value.size),
                                 RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_OPAQUE(slot), RD_KAFKA_V_END);
    return rd_kafka_producev(producer->rk, RD_KAFKA_V_TOPIC(message->topic), RD_KAFKA_V_PARTITION(partition),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_KEY((void *)message->key.data, message->key.size),
                             RD_KAFKA_V_VALUE((void *)message->value.data, message->value.size),
                             RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(slot),
                             RD_KAFKA_V_END);
}

static bool is_own_thread(const kur_producer *producer)
{
    return producer->has_thread && pthread_equal(producer->thread, pthread_self());
}

/* Produces; while the queue is full, waits for room as long as it may. Counted before, for the report can come first. */
static rd_kafka_resp_err_t produce_waiting(kur_producer *producer, const kur_message *message,
                                           rd_kafka_headers_t *headers, struct slot *slot)
{
    atomic_fetch_add_explicit(&producer->accepted, 1, memory_order_relaxed);
    rd_kafka_resp_err_t code = produce(producer, message, headers, slot);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && producer->queue_wait_ms > 0 && producer->has_thread &&
        !is_own_thread(producer)) {
        struct timespec deadline = deadline_after(producer->queue_wait_ms);
        while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && !is_over(&deadline)) {
            wait_for_change(producer, &deadline);
            code = produce(producer, message, headers, slot);
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
        kur_status status = kur__status_of_kafka(fatal) == KUR_ERROR_FENCED ? KUR_ERROR_FENCED : KUR_ERROR_FATAL;
        return kur_error_set(error, status, "%s: %s", message->topic, why[0] != '\0' ? why : rd_kafka_err2str(code));
    }
    return kur__error_of_kafka(error, code, "%s", message->topic);
}

kur_status kur__producer_send(kur_producer *producer, const kur_message *message, const kur__header_parts *parts,
                              kur_error *error)
{
    kur_status status = check_message(message, error);
    if (status != KUR_OK)
        return status;
    struct slot *slot = NULL;
    if (message->on_result != NULL) {
        slot = slot_take(producer);
        if (slot == NULL)
            return kur__error_no_memory(error);
        slot->callback = message->on_result;
        slot->user = message->user;
    }
    rd_kafka_headers_t *headers = make_headers(message, parts);
    rd_kafka_resp_err_t code = produce_waiting(producer, message, headers, slot);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return KUR_OK;
    if (headers != NULL)
        rd_kafka_headers_destroy(headers); /* ours again when producev fails */
    if (slot != NULL)
        slot_return(producer, slot);
    return refused(producer, message, code, error);
}

kur_status kur_producer_send(kur_producer *producer, const kur_message *given, kur_error *error)
{
    kur_message message;
    if (producer == NULL || given == NULL)
        return kur__error_null(error, producer == NULL ? "producer" : "message");
    kur_status status = kur__options_take(&message, sizeof message, given, "kur_message", error);
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
    pthread_mutex_lock(&wait->lock);
    while (!wait->has_result && !is_over(deadline)) {
        if (producer->has_thread) {
            pthread_cond_timedwait(&wait->done, &wait->lock, deadline);
        } else {
            pthread_mutex_unlock(&wait->lock);
            serve(producer, 10);
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
    struct timespec deadline = deadline_after(timeout_ms);
    if (!wait_has_result(producer, wait, &deadline)) {
        char what[80];
        snprintf(what, sizeof what, "no result within %d ms: the record may still be delivered", timeout_ms);
        kur_error made;
        kur__connection_timeout(&producer->connection, &made, what);
        return kur_error_set(error, KUR_ERROR_UNKNOWN_OUTCOME, "%s", made.message);
    }
    if (result != NULL) {
        size_t size = result->size != 0 && result->size < sizeof *result ? result->size : sizeof *result;
        memcpy(result, &wait->result, size);
        result->size = size;
    }
    if (wait->result.error.code != KUR_OK && error != NULL)
        *error = wait->result.error;
    return wait->result.error.code;
}

kur_status kur__producer_send_wait(kur_producer *producer, const kur_message *message, const kur__header_parts *parts,
                                   int timeout_ms, kur_result *result, kur_error *error)
{
    if (message->on_result != NULL || timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".on_result is set, or timeout_ms is negative");
    if (is_own_thread(producer))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "waiting for a result in a callback would wait for itself");
    struct wait *wait = kur_calloc(1, sizeof *wait);
    if (wait == NULL)
        return kur__error_no_memory(error);
    pthread_mutex_init(&wait->lock, NULL);
    init_condition(&wait->done);
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
        return kur__error_null(error, producer == NULL ? "producer" : "message");
    kur_status status = kur__options_take(&message, sizeof message, given, "kur_message", error);
    return status == KUR_OK ? kur__producer_send_wait(producer, &message, NULL, timeout_ms, result, error) : status;
}

kur_status kur_producer_flush(kur_producer *producer, int timeout_ms, kur_error *error)
{
    if (producer == NULL)
        return kur__error_null(error, "producer");
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    if (is_own_thread(producer))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "flushing in a callback would wait for itself");
    atomic_fetch_add(&producer->flushes, 1);
    bool empty = wait_until_empty(producer, timeout_ms);
    atomic_fetch_sub(&producer->flushes, 1);
    if (empty)
        return KUR_OK;
    char what[80];
    snprintf(what, sizeof what, "flush: %zu records left after %d ms", kur_producer_pending(producer), timeout_ms);
    return kur__connection_timeout(&producer->connection, error, what);
}

/* ---- Dispatch by the caller ---- */

int kur_producer_fd(const kur_producer *producer)
{
    return producer != NULL ? producer->fd : -1;
}

kur_status kur_producer_dispatch(kur_producer *producer, int timeout_ms, size_t *count, kur_error *error)
{
    if (producer == NULL)
        return kur__error_null(error, "producer");
    if (producer->dispatch != KUR_DISPATCH_CALLER)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "this producer has a thread that dispatches");
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    uint64_t events;
    size_t before = atomic_load(&producer->decided);
    /* Before polling: it becomes readable only when the queue goes from empty to not empty. */
    ssize_t got = read(producer->fd, &events, sizeof events);
    (void)got;
    serve(producer, timeout_ms);
    while (rd_kafka_poll(producer->rk, 0) > 0)
        continue;
    if (count != NULL)
        *count = atomic_load(&producer->decided) - before;
    return KUR_OK;
}

rd_kafka_t *kur_producer_librdkafka(kur_producer *producer)
{
    return producer != NULL ? producer->rk : NULL;
}
