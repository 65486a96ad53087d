/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Records come in batches, are handled one after the other on the thread of kur_listener_run, and are committed batch
 * by batch: the positions behind the last record of each partition whose effect is durable. A stop, or a dead letter
 * that cannot be written, ends a batch early; what is behind comes again.
 *
 * What a handler emits is encoded at once and held until the outcome: done sends it and waits for the results, anything
 * else drops it, so that an attempt which fails leaves nothing behind. An output that is not acknowledged is sent again
 * with the same id.
 *
 * A retry waits in place, and with it everything behind it: good enough for a stand-in.
 */
#include "listener.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    BATCH = 64,
    HANDLERS_MAX = 16,
    OUTPUTS_MAX = 8,
    POLL_MS = 100,
    SEND_MS = 10000,
    DEAD_HEADERS = 8
};

struct handler {
    const kur_type *type;
    kur_handler_invoke *invoke;
    kur_function *function;
    void *user;
};

struct output {
    const kur_type *type;
    char id[KUR_UUID_TEXT_SIZE];
    kur_buffer key;
    kur_buffer data;
    bool has_key;
};

struct kur_listener {
    kur_listener_options options;
    char *group;
    kur_consumer *consumer;
    kur_producer *producer;
    kur_arena *arena; /* of the record at hand */
    struct handler handlers[HANDLERS_MAX];
    size_t handler_count;
    kur_error failed; /* the first registration that failed */
    atomic_bool stopping;
    sem_t wake; /* posted by a stop, so that a back-off ends with it */
};

struct kur_delivery {
    kur_listener *listener;
    const kur_record *record;
    kur_event_view event;
    struct output outputs[OUTPUTS_MAX];
    size_t output_count;
    int attempts;
    char cause[64];
    char reason[512];
};

KUR_PRINTF(2, 3)
static void say(kur_log_level level, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    kur_log_stderr(level, text, NULL);
}

/* ---- What handlers call ---- */

const kur_event_view *kur_delivery_event(const kur_delivery *delivery)
{
    return delivery != NULL ? &delivery->event : NULL;
}

static void note(kur_delivery *delivery, const char *cause, const char *format, va_list arguments)
{
    if (delivery == NULL)
        return;
    char text[512];
    kur_error cut; /* at a character's boundary: this becomes a header */
    vsnprintf(text, sizeof text, format, arguments);
    kur_error_set(&cut, KUR_ERROR_CANCELLED, "%s", text);
    snprintf(delivery->cause, sizeof delivery->cause, "%s", cause);
    snprintf(delivery->reason, sizeof delivery->reason, "%s", cut.message);
}

kur_outcome kur_retry(kur_delivery *delivery, const char *cause, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(delivery, cause, format, arguments);
    va_end(arguments);
    return KUR_RETRY;
}

kur_outcome kur_reject(kur_delivery *delivery, const char *cause, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(delivery, cause, format, arguments);
    va_end(arguments);
    return KUR_REJECT;
}

static void drop_outputs(kur_delivery *delivery)
{
    for (size_t i = 0; i < delivery->output_count; i++) {
        kur_buffer_done(&delivery->outputs[i].key);
        kur_buffer_done(&delivery->outputs[i].data);
    }
    delivery->output_count = 0;
}

kur_status kur_delivery_emit(kur_delivery *delivery, const kur_type *type, const void *event, kur_error *error)
{
    if (delivery == NULL || type == NULL || event == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is NULL",
                             delivery == NULL ? "delivery"
                             : type == NULL   ? "type"
                                              : "event");
    if (delivery->output_count == OUTPUTS_MAX)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE, "more than %d events emitted for one", OUTPUTS_MAX);
    struct output output = {.type = type};
    kur_uuid id;
    kur_status status = kur_uuid_new(&id, error);
    if (status == KUR_OK)
        status = kur_type_key(type, event, &output.key, &output.has_key, error);
    if (status == KUR_OK)
        status = kur_json_write(type, event, &output.data, error);
    if (status != KUR_OK) {
        kur_buffer_done(&output.key);
        kur_buffer_done(&output.data);
        return status;
    }
    kur_uuid_format(&id, output.id);
    delivery->outputs[delivery->output_count++] = output;
    return KUR_OK;
}

/* ---- Sending: true when all is acknowledged, false when a stop came first ---- */

/* Waits for an attempt's turn; false when stopped. */
static bool back_off(kur_listener *listener, int attempt)
{
    int64_t delay_ms = listener->options.delay_ms, most_ms = listener->options.delay_max_ms;
    for (int i = 1; i < attempt && delay_ms < most_ms; i++)
        delay_ms *= 2;
    delay_ms = delay_ms < most_ms ? delay_ms : most_ms;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t ns = until.tv_nsec + delay_ms * 1000000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    while (!atomic_load(&listener->stopping))
        if (sem_timedwait(&listener->wake, &until) != 0 && errno == ETIMEDOUT)
            return true;
    return false;
}

static bool send_output(kur_delivery *delivery, const struct output *output)
{
    kur_buffer type = {0};
    kur_error error = {0};
    kur_publish_options options =
        KUR_PUBLISH_OPTIONS(.topic = output->type->topic, .id = output->id, .parent = &delivery->event);
    if (output->has_key)
        options.key = kur_bytes_of(output->key.data != NULL ? output->key.data : "", output->key.size);
    bool sent = false;
    for (int attempt = 1; !sent; attempt++) {
        kur_status status = type.size > 0 ? KUR_OK : kur_type_event_name(output->type, &type, &error);
        if (status == KUR_OK)
            status = kur_producer_publish_raw_wait(delivery->listener->producer, type.data,
                                                   kur_bytes_of(output->data.data, output->data.size), &options,
                                                   SEND_MS, NULL, &error);
        sent = status == KUR_OK;
        if (!sent) {
            say(KUR_LOG_WARNING, "group %s: %s is sent again: %s", delivery->listener->group, output->type->name,
                error.message);
            if (!back_off(delivery->listener, attempt))
                break;
        }
    }
    kur_buffer_done(&type);
    return sent;
}

static bool send_outputs(kur_delivery *delivery)
{
    size_t i = 0;
    while (i < delivery->output_count && send_output(delivery, &delivery->outputs[i]))
        i++;
    return i == delivery->output_count;
}

/* Where the record came from and why it is here, behind the headers that it has. */
static kur_header *dead_headers(const kur_delivery *delivery, bool with_own, size_t *count)
{
    const kur_record *record = delivery->record;
    size_t own = with_own ? kur_record_header_count(record) : 0;
    kur_header *headers = calloc(own + DEAD_HEADERS, sizeof *headers);
    char *text = kur_arena_alloc(delivery->listener->arena, 160);
    if (headers == NULL || text == NULL) {
        free(headers);
        return NULL;
    }
    for (*count = 0; *count < own && kur_record_header(record, *count, &headers[*count]);)
        ++*count;
    char *partition = text, *offset = text + 16, *attempts = text + 48, *at = text + 64;
    snprintf(partition, 16, "%d", kur_record_partition(record));
    snprintf(offset, 32, "%lld", (long long)kur_record_offset(record));
    snprintf(attempts, 16, "%d", delivery->attempts);
    kur_time_format(kur_record_timestamp_us(record), at);
    const kur_header added[DEAD_HEADERS] = {{"kurier-dead-topic", kur_bytes_text(kur_record_topic(record))},
                                            {"kurier-dead-partition", kur_bytes_text(partition)},
                                            {"kurier-dead-offset", kur_bytes_text(offset)},
                                            {"kurier-dead-timestamp", kur_bytes_text(at)},
                                            {"kurier-dead-group", kur_bytes_text(delivery->listener->group)},
                                            {"kurier-dead-attempts", kur_bytes_text(attempts)},
                                            {"kurier-dead-cause", kur_bytes_text(delivery->cause)},
                                            {"kurier-dead-reason", kur_bytes_text(delivery->reason)}};
    memcpy(headers + *count, added, sizeof added);
    *count += DEAD_HEADERS;
    return headers;
}

/* Writes the record to the dead letters; whole, or, where that is refused, a note of where it stands. */
static kur_status bury_once(const kur_delivery *delivery, const char *topic, bool whole, kur_error *error)
{
    size_t count = 0;
    kur_header *headers = dead_headers(delivery, whole, &count);
    if (headers == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    kur_message message = KUR_MESSAGE(.topic = topic, .headers = headers, .header_count = count);
    if (whole) {
        message.key = kur_record_key(delivery->record);
        message.value = kur_record_value(delivery->record);
    }
    message.tombstone = message.value.data == NULL;
    kur_status status = kur_producer_send_wait(delivery->listener->producer, &message, SEND_MS, NULL, error);
    free(headers);
    return status;
}

static bool bury(const kur_delivery *delivery)
{
    char topic[600];
    kur_error error = {0};
    snprintf(topic, sizeof topic, "%s.%s.dlq", kur_record_topic(delivery->record), delivery->listener->group);
    bool whole = true;
    for (int attempt = 1;; attempt++) {
        kur_status status = bury_once(delivery, topic, whole, &error);
        if (status == KUR_OK)
            break;
        say(KUR_LOG_ERROR, "group %s: a dead letter cannot be written to %s, the group waits: %s",
            delivery->listener->group, topic, error.message);
        whole = whole && status != KUR_ERROR_TOO_LARGE && status != KUR_ERROR_INVALID_ARGUMENT;
        if (!back_off(delivery->listener, attempt))
            return false;
    }
    say(KUR_LOG_WARNING, "%s [%d] at offset %lld is now in %s: %s: %s", kur_record_topic(delivery->record),
        kur_record_partition(delivery->record), (long long)kur_record_offset(delivery->record), topic, delivery->cause,
        delivery->reason);
    return true;
}

/* ---- One record ---- */

static const struct handler *find_handler(const kur_listener *listener, const kur_event_view *event)
{
    for (size_t i = 0; i < listener->handler_count; i++)
        if (kur_event_is(event, listener->handlers[i].type))
            return &listener->handlers[i];
    return NULL;
}

static kur_outcome failed(kur_delivery *delivery, const char *cause, const kur_error *error)
{
    return error->retriable ? kur_retry(delivery, cause, "%s", error->message)
                            : kur_reject(delivery, cause, "%s", error->message);
}

static kur_outcome attempt(kur_delivery *delivery)
{
    kur_listener *listener = delivery->listener;
    kur_error error = {0};
    kur_arena_reset(listener->arena);
    delivery->event = KUR_EVENT_VIEW();
    if (kur_event_read(delivery->record, listener->arena, &delivery->event, &error) != KUR_OK)
        return failed(delivery, "kurier.not_an_event", &error);
    if (delivery->event.mode == KUR_EVENT_PLAIN)
        return kur_reject(delivery, "kurier.not_an_event", "there is no envelope: the type is not known");

    const struct handler *handler = find_handler(listener, &delivery->event);
    if (handler == NULL || delivery->event.data.data == NULL)
        return KUR_DONE; /* groups filter; a null value is nobody's here */
    void *event = kur_arena_alloc(listener->arena, handler->type->size);
    if (event == NULL)
        return kur_retry(delivery, "kurier.no_memory", "out of memory");
    if (kur_event_decode(&delivery->event, handler->type, listener->arena, event, &error) != KUR_OK)
        return failed(delivery, "kurier.undecodable", &error);
    kur_outcome outcome = handler->invoke(handler->function, delivery, event, handler->user);
    return outcome == KUR_NO_OUTCOME ? kur_retry(delivery, "kurier.no_outcome", "the handler gave no outcome")
                                     : outcome;
}

/* Whether the record's effect is durable; false when a stop came first. */
static bool handle(kur_listener *listener, const kur_record *record)
{
    kur_delivery delivery = {.listener = listener, .record = record};
    bool finished = false, undecided = true;
    while (undecided) {
        delivery.attempts++;
        kur_outcome outcome = attempt(&delivery);
        undecided = outcome == KUR_RETRY && delivery.attempts < listener->options.attempts;
        if (undecided) {
            say(KUR_LOG_WARNING, "group %s: attempt %d of %d: %s: %s", listener->group, delivery.attempts,
                listener->options.attempts, delivery.cause, delivery.reason);
            undecided = back_off(listener, delivery.attempts);
        } else
            finished = outcome == KUR_DONE ? send_outputs(&delivery) : bury(&delivery);
        drop_outputs(&delivery);
    }
    return finished;
}

/* ---- Batches ---- */

static void mark(kur_position *positions, size_t *count, const kur_record *record)
{
    const char *topic = kur_record_topic(record);
    int32_t partition = kur_record_partition(record);
    size_t i = 0;
    while (i < *count && (positions[i].partition != partition || strcmp(positions[i].topic, topic) != 0))
        i++;
    positions[i] = KUR_POSITION(.topic = topic, .partition = partition, .offset = kur_record_offset(record) + 1);
    if (i == *count)
        ++*count;
}

static void step(kur_listener *listener, kur_record **records, size_t count)
{
    kur_position positions[BATCH];
    size_t marked = 0;
    for (size_t i = 0; i < count && !atomic_load(&listener->stopping) && handle(listener, records[i]); i++)
        mark(positions, &marked, records[i]);
    kur_error error = {0};
    /* What is not committed comes again, here or at the partition's new owner. */
    if (marked > 0 && kur_consumer_commit(listener->consumer, positions, marked, SEND_MS, &error) != KUR_OK)
        say(KUR_LOG_WARNING, "group %s: %s", listener->group, error.message);
}

static kur_status work(kur_listener *listener, kur_error *error)
{
    while (!atomic_load(&listener->stopping)) {
        kur_record *records[BATCH];
        size_t count = 0;
        kur_error why = {0};
        kur_status status = kur_consumer_poll_batch(listener->consumer, POLL_MS, records, BATCH, &count, &why);
        if (status != KUR_OK)
            say(KUR_LOG_WARNING, "group %s: %s", listener->group, why.message);
        if (status != KUR_OK && status != KUR_ERROR_UNKNOWN_TOPIC) /* that one may come to be */
            return kur_error_set(error, status, "%s", why.message);
        step(listener, records, count);
        kur_consumer_free_records(listener->consumer, records, count);
    }
    return KUR_OK;
}

static _Atomic(kur_listener *) running; /* whom a signal stops */

static void on_signal(int number)
{
    (void)number;
    kur_listener_request_stop(atomic_load(&running));
}

kur_status kur_listener_run(kur_listener *listener, kur_error *error)
{
    if (listener == NULL) {
        if (error == NULL || error->code == KUR_OK)
            kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "listener is NULL");
        return error != NULL ? error->code : KUR_ERROR_INVALID_ARGUMENT;
    }
    if (listener->failed.code != KUR_OK) {
        if (error != NULL)
            *error = listener->failed;
        return listener->failed.code;
    }
    /* The second signal finds the default action, which ends the process. */
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND}, interrupt, terminate;
    sigset_t both, mask;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    atomic_store(&running, listener);
    sigaction(SIGINT, &stop, &interrupt);
    sigaction(SIGTERM, &stop, &terminate);
    pthread_sigmask(SIG_UNBLOCK, &both, &mask);
    kur_status status = kur_consumer_subscribe(listener->consumer, listener->options.topics, error);
    if (status == KUR_OK)
        status = work(listener, error);
    kur_consumer_close(listener->consumer, NULL);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGTERM, &terminate, NULL);
    atomic_store(&running, NULL);
    return status;
}

void kur_listener_request_stop(kur_listener *listener)
{
    if (listener == NULL)
        return;
    atomic_store(&listener->stopping, true);
    sem_post(&listener->wake);
}

/* ---- New, on, free ---- */

kur_listener *kur_listener_new(kur_client *client, const kur_listener_options *options, kur_error *error)
{
    if (client == NULL) {
        if (error == NULL || error->code == KUR_OK)
            kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "client is NULL");
        return NULL;
    }
    kur_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }
    sem_init(&listener->wake, 0, 0);
    listener->options = *options;
    listener->options.attempts = options->attempts > 0 ? options->attempts : 5;
    listener->options.delay_ms = options->delay_ms > 0 ? options->delay_ms : 200;
    listener->options.delay_max_ms = options->delay_max_ms > 0 ? options->delay_max_ms : 10000;
    listener->group = strdup(options->group != NULL ? options->group : "");
    listener->arena = kur_arena_new();
    if (listener->group == NULL || listener->arena == NULL)
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    else
        listener->consumer =
            kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = listener->group, .start = options->start), error);
    if (listener->consumer != NULL)
        listener->producer = kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.linger_ms = KUR_NONE), error);
    if (listener->producer != NULL)
        return listener;
    kur_listener_free(listener);
    return NULL;
}

kur_status kur_listener_on(kur_listener *listener, const kur_type *type, kur_handler_invoke *invoke,
                           kur_function *handler, void *user)
{
    kur_error error = {0};
    if (listener == NULL)
        return KUR_ERROR_INVALID_ARGUMENT;
    if (handler == NULL)
        kur_error_set(&error, KUR_ERROR_INVALID_ARGUMENT, "handler is NULL");
    else if (listener->handler_count == HANDLERS_MAX)
        kur_error_set(&error, KUR_ERROR_TOO_LARGE, "more than %d handlers", HANDLERS_MAX);
    else if (kur_type_check(type, &error) == KUR_OK)
        listener->handlers[listener->handler_count++] = (struct handler){type, invoke, handler, user};
    if (listener->failed.code == KUR_OK)
        listener->failed = error;
    return error.code;
}

void kur_listener_free(kur_listener *listener)
{
    if (listener == NULL)
        return;
    kur_consumer_free(listener->consumer);
    kur_producer_free(listener->producer);
    kur_arena_free(listener->arena);
    sem_destroy(&listener->wake);
    free(listener->group);
    free(listener);
}
