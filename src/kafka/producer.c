/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Threads. With KUR_DISPATCH_THREAD one thread serves librdkafka and runs all callbacks. It also flushes, on request,
 * for rd_kafka_flush runs callbacks on the thread that calls it; who flushes or waits for room sleeps on `changed`.
 * With KUR_DISPATCH_CALLER there is no thread, and only kur_producer_dispatch and those who wait for a result serve
 * reports.
 *
 * End. Flush with a deadline, take no more, purge, serve the reports of what was purged, stop the thread, destroy.
 */
#include "kafka/producer.h"

#include <errno.h>
#include <kurier/librdkafka.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/client.h"
#include <kurier/sys/options.h>

enum {
    SERVE_MS = 100,
    PAUSE_MS = 20,
    FREE_FLUSH_MS = 5000,
    FREE_PURGE_MS = 2000,
    CHECK_SLICE_MS = 1000
};

/*
 * No wake-up is lost: who waits counts itself before it looks, and who has decided something looks for waiters after
 * it.
 */
void kur__producer_wait(kur_producer *producer, size_t seen, const struct timespec *deadline)
{
    struct timespec until = kur_deadline_after(50);
    if (kur__deadline_is_before(deadline, &until))
        until = *deadline;
    atomic_fetch_add(&producer->waiters, 1);
    pthread_mutex_lock(&producer->lock);
    while (atomic_load(&producer->decided) == seen && !kur__deadline_is_over(&until))
        pthread_cond_timedwait(&producer->changed, &producer->lock, &until);
    pthread_mutex_unlock(&producer->lock);
    atomic_fetch_sub(&producer->waiters, 1);
}

static void tell_waiters(kur_producer *producer)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&producer->waiters) == 0)
        return;
    pthread_mutex_lock(&producer->lock);
    pthread_cond_broadcast(&producer->changed);
    pthread_mutex_unlock(&producer->lock);
}

void kur__producer_serve(kur_producer *producer, int timeout_ms)
{
    if (atomic_load(&producer->flushes) > 0)
        rd_kafka_flush(producer->rk, timeout_ms);
    else
        rd_kafka_poll(producer->rk, timeout_ms);
    kur__connection_serve(&producer->connection, producer->rk);
    tell_waiters(producer);
}

/* ---- Errands: what others ask the producer's own thread to do ---- */

struct kur__errand {
    void (*function)(void *user);
    void *user;
    bool is_done; /* guarded by the producer's lock */
};

static void run_errand(kur_producer *producer)
{
    struct kur__errand *errand = atomic_exchange(&producer->errand, NULL);
    if (errand == NULL)
        return;
    errand->function(errand->user);
    pthread_mutex_lock(&producer->lock);
    errand->is_done = true;
    pthread_cond_broadcast(&producer->changed);
    pthread_mutex_unlock(&producer->lock);
}

static void *run_thread(void *user)
{
    kur_producer *producer = user;
    while (!atomic_load(&producer->stopping)) {
        kur__producer_serve(producer, SERVE_MS);
        run_errand(producer);
    }
    return NULL;
}

/* ---- New and free ---- */

/* 0 leaves what the client's properties say, else the default that the client sets beneath them. */
static kur_status set_number(rd_kafka_conf_t *conf, const char *option, const char *property, int given, int none,
                             kur_error *error)
{
    if (given == 0)
        return KUR_OK;
    if (given < 0 && (given != KUR_NONE || none < 0))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s: %d is not valid", option, given);
    char value[16], why[256];
    snprintf(value, sizeof value, "%d", given == KUR_NONE ? none : given);
    if (rd_kafka_conf_set(conf, property, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        return kur_error_set(error, KUR_ERROR_CONFIG, "%s: %s", option, why);
    return KUR_OK;
}

static kur_status configure(rd_kafka_conf_t *conf, const kur_producer_options *options, kur_error *error)
{
    const struct {
        const char *option, *property;
        int given, none;
    } numbers[] = {
        {".queue_records", "queue.buffering.max.messages", options->queue_records, -1},
        {".queue_kbytes", "queue.buffering.max.kbytes", options->queue_kbytes, -1},
        {".linger_ms", "linger.ms", options->linger_ms, 0},
        {".delivery_timeout_ms", "message.timeout.ms", options->delivery_timeout_ms, 0},
        {".record_bytes", "message.max.bytes", (int)options->record_bytes, -1},
        {".batch_bytes", "batch.size", options->batch_bytes, -1},
    };
    kur_status status = KUR_OK;
    if (options->record_bytes < 0 || options->record_bytes > INT32_MAX)
        status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".record_bytes is not valid");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && status == KUR_OK; i++)
        status = set_number(conf, numbers[i].option, numbers[i].property, numbers[i].given, numbers[i].none, error);
    char why[256];
    if (status == KUR_OK && options->compression != NULL &&
        rd_kafka_conf_set(conf, "compression.type", options->compression, why, sizeof why) != RD_KAFKA_CONF_OK)
        status = kur_error_set(error, KUR_ERROR_CONFIG, ".compression: %s", why);
    if (status == KUR_OK && options->gapless &&
        rd_kafka_conf_set(conf, "enable.gapless.guarantee", "true", why, sizeof why) != RD_KAFKA_CONF_OK)
        status = kur_error_set(error, KUR_ERROR_CONFIG, ".gapless: %s", why);
    return status;
}

static kur_status start_thread(kur_producer *producer, kur_error *error)
{
    int failed = kur_thread_start(&producer->thread, run_thread, producer);
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
    if (status == KUR_OK)
        status = kur__transaction_configure(producer->transaction, kur__client_config(producer->client), conf, error);
    if (status != KUR_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, kur__producer_on_report);
    producer->rk = kur__connection_open(&producer->connection, kur__client_log(producer->client),
                                        kur__client_security(producer->client), RD_KAFKA_PRODUCER, conf, error);
    if (producer->rk == NULL)
        return KUR_ERROR_CONFIG;
    return producer->dispatch == KUR_DISPATCH_THREAD ? start_thread(producer, error) : open_descriptor(producer, error);
}

static kur_producer *producer_new(kur_client *client, bool owns_client, const kur_producer_options *given,
                                  kur_error *error)
{
    kur_producer_options options;
    if (client == NULL) {
        kur_error_null(error, "client");
        return NULL;
    }
    if (kur_options_take(&options, sizeof options, given, "kur_producer_options", error) != KUR_OK)
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
    producer->queue_wait_ms = options.queue_wait_ms == 0          ? 1000
                              : options.queue_wait_ms == KUR_NONE ? 0
                                                                  : options.queue_wait_ms;
    producer->fd = -1;
    pthread_mutex_init(&producer->lock, NULL);
    pthread_mutex_init(&producer->slots_lock, NULL);
    kur_condition_init(&producer->changed);
    if (kur__transaction_new(&options, &producer->transaction, error) == KUR_OK &&
        start(producer, &options, error) == KUR_OK)
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

bool kur__producer_is_own_thread(const kur_producer *producer)
{
    return producer->has_thread && pthread_equal(producer->thread, pthread_self());
}

/* The thread sees at once what it is asked for, and not only when its poll is over. */
static void wake_thread(kur_producer *producer)
{
    if (!producer->has_thread)
        return;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(producer->rk);
    rd_kafka_queue_yield(queue);
    rd_kafka_queue_destroy(queue);
}

void kur__producer_run_serving(kur_producer *producer, void (*function)(void *user), void *user)
{
    if (!producer->has_thread) {
        function(user);
        return;
    }
    struct kur__errand errand = {.function = function, .user = user};
    atomic_store(&producer->errand, &errand);
    wake_thread(producer);
    pthread_mutex_lock(&producer->lock);
    while (!errand.is_done)
        pthread_cond_wait(&producer->changed, &producer->lock);
    pthread_mutex_unlock(&producer->lock);
}

void kur__producer_pause(kur_producer *producer)
{
    if (producer->has_thread)
        poll(NULL, 0, PAUSE_MS);
    else
        kur__producer_serve(producer, PAUSE_MS);
}

/* Serves reports, or lets the thread do it, until none is due, the time is over or the log-in is refused. */
static bool wait_until_empty(kur_producer *producer, int timeout_ms)
{
    struct timespec deadline = kur_deadline_after(timeout_ms);
    int64_t since = kur_clock_monotonic_us();
    wake_thread(producer);
    while (!kur__deadline_is_over(&deadline) && !kur__connection_is_refused(&producer->connection, since)) {
        size_t decided = atomic_load(&producer->decided);
        if (kur_producer_pending(producer) == 0)
            return true;
        if (producer->has_thread)
            kur__producer_wait(producer, decided, &deadline);
        else
            kur__producer_serve(producer, timeout_ms < 50 ? timeout_ms : 50);
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
        int flush_ms = kur__transaction_end(producer, FREE_FLUSH_MS);
        atomic_fetch_add(&producer->flushes, 1);
        if (!wait_until_empty(producer, flush_ms)) {
            /* Or a callback that sends again what failed would go on for ever, and the last would have no result. */
            atomic_store(&producer->closing, true);
            rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
            wait_until_empty(producer, FREE_PURGE_MS);
        }
        given_up = atomic_load(&producer->undelivered) - before + kur_producer_pending(producer);
    }
    if (producer->has_thread) {
        atomic_store(&producer->stopping, true);
        wake_thread(producer);
        pthread_join(producer->thread, NULL);
    }
    if (producer->rk != NULL) {
        kur__topics_done(&producer->topics);
        rd_kafka_destroy(producer->rk);
        kur__connection_done(&producer->connection);
    }
    if (given_up > 0)
        kur__log_print(kur__client_log(producer->client), KUR_LOG_ERROR,
                       "the producer ends with %zu records not delivered", given_up);
    if (producer->fd >= 0)
        close(producer->fd);
    kur__slots_free(producer);
    kur__transaction_free(producer->transaction);
    pthread_cond_destroy(&producer->changed);
    pthread_mutex_destroy(&producer->slots_lock);
    pthread_mutex_destroy(&producer->lock);
    if (producer->owns_client)
        kur_client_unref(producer->client);
    kur_free(producer);
    return given_up;
}

kur_status kur_producer_flush(kur_producer *producer, int timeout_ms, kur_error *error)
{
    if (producer == NULL)
        return kur_error_null(error, "producer");
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    if (kur__producer_is_own_thread(producer))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "flushing in a callback would wait for itself");
    atomic_fetch_add(&producer->flushes, 1);
    bool empty = wait_until_empty(producer, timeout_ms);
    atomic_fetch_sub(&producer->flushes, 1);
    if (empty)
        return KUR_OK;
    char what[80];
    snprintf(what, sizeof what, "flush: %zu records left", kur_producer_pending(producer));
    return kur__connection_timeout(&producer->connection, error, what);
}

kur_status kur__producer_check(kur_producer *producer, int timeout_ms, kur_error *error)
{
    struct timespec deadline = kur_deadline_after(timeout_ms);
    int64_t since = kur_clock_monotonic_us();
    if (kur__producer_is_own_thread(producer))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "waiting for a broker in a callback would wait for itself");
    for (;;) {
        /* From the brokers, not from memory: they may have gone since. */
        const struct rd_kafka_metadata *metadata = NULL;
        int left = kur__deadline_left_ms(&deadline);
        rd_kafka_resp_err_t code =
            rd_kafka_metadata(producer->rk, 0, NULL, &metadata, left < CHECK_SLICE_MS ? left : CHECK_SLICE_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
            kur__connection_heard(&producer->connection);
            return KUR_OK;
        }
        if (left <= 0 || kur__connection_is_refused(&producer->connection, since))
            return kur__connection_timeout(&producer->connection, error, "no answer from Kafka");
    }
}

/* ---- Dispatch by the caller ---- */

int kur_producer_fd(const kur_producer *producer)
{
    return producer != NULL ? producer->fd : -1;
}

kur_status kur_producer_dispatch(kur_producer *producer, int timeout_ms, size_t *count, kur_error *error)
{
    if (producer == NULL)
        return kur_error_null(error, "producer");
    if (producer->dispatch != KUR_DISPATCH_CALLER)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "this producer has a thread that dispatches");
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    uint64_t events;
    size_t before = atomic_load(&producer->decided);
    /* Before polling: it becomes readable only when the queue goes from empty to not empty. */
    ssize_t got = read(producer->fd, &events, sizeof events);
    (void)got;
    kur__producer_serve(producer, timeout_ms);
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
