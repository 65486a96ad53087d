/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: an inbox's life. It stands between a listener and its handlers from kur_inbox_new on, as the listener's
 * keeper; its thread runs until kur_inbox_free. The listener goes first: kur__inbox_ended takes it off.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/sys/thread.h>
#include <string.h>

#include "database/database.h"
#include "deadletter/deadletter.h"
#include "inbox/inbox.h"

enum {
    CONSUMER_MAX = 255,
    CONNECTIONS_MAX = 10000,
    NOTE_MAX = 255, /* of what is noted for an event; a longer one is noted by its hash */
    RESETS = 8
};

#define DAY_US INT64_C(86400000000)

/* ---- Made ---- */

static kur_status check_consumer(const char *consumer, kur_error *error)
{
    size_t size = consumer != NULL ? strnlen(consumer, CONSUMER_MAX + 1) : 0;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)consumer[i] < ' ' || consumer[i] == 0x7f)
            size = 0;
    if (size == 0 || size > CONSUMER_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "consumer is not a text of 1 to %d bytes without control characters", CONSUMER_MAX);
    return KUR_OK;
}

static kur_status check(const kur_inbox_options *options, kur_error *error)
{
    if (options->connections < 0 || options->connections > CONNECTIONS_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".connections is not 1 to %d", CONNECTIONS_MAX);
    if (options->move_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".move_ms is negative");
    if (options->note_days < 0 || options->note_days > 36500)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".note_days is not 1 to 36,500");
    return check_consumer(options->consumer, error);
}

static kur_status check_listener(kur_listener *listener, kur_error *error)
{
    if (listener->options.audience == KUR_BROADCAST)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED,
                             "a listener with KUR_BROADCAST commits nothing and cannot have an inbox");
    if (listener->options.guarantee == KUR_EXACTLY_ONCE)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED,
                             "a listener with KUR_EXACTLY_ONCE, whose outcome is a transaction of Kafka's, cannot have "
                             "an inbox");
    if (listener->is_batched)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED, "a listener of batches cannot have an inbox");
    pthread_mutex_lock(&listener->lock);
    bool is_new = listener->state == KUR__NEW;
    pthread_mutex_unlock(&listener->lock);
    if (!is_new || listener->keeper != NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "the listener %s",
                             is_new ? "has an inbox" : "was started before");
    return KUR_OK;
}

static void free_all(kur_inbox *inbox)
{
    for (struct kur__inbox_handler *next, *one = inbox->handlers; one != NULL; one = next) {
        next = one->next;
        kur_free(one);
    }
    for (struct kur__inbox_partition *older, *one = inbox->newest; one != NULL; one = older) {
        older = one->older;
        kur_free(one);
    }
    kur__inbox_close_idle(inbox);
    pthread_cond_destroy(&inbox->returned);
    pthread_cond_destroy(&inbox->wake);
    pthread_cond_destroy(&inbox->kept);
    pthread_mutex_destroy(&inbox->lock);
    kur_client_unref(inbox->client);
    kur_free(inbox->idle);
    kur_free(inbox->consumer);
    kur_free(inbox);
}

static void set_up(kur_inbox *inbox, kur_listener *listener, const kur_inbox_options *options)
{
    bool has_threads = listener->options.dispatch == KUR_DISPATCH_THREAD;
    int at_once = has_threads && !inbox->driver->one_relay ? listener->options.concurrency : 1;
    inbox->connections = options->connections != 0 ? options->connections : at_once;
    inbox->move_us = (options->move_ms != 0 ? options->move_ms : 1000) * INT64_C(1000);
    inbox->note_us = (options->note_days != 0 ? options->note_days : 7) * DAY_US;
    inbox->client = kur_client_ref(listener->client);
    inbox->keeper = (struct kur__keeper){.user = inbox,
                                         .opened = kur__inbox_opened,
                                         .anew = kur__inbox_anew,
                                         .committed = kur__inbox_committed,
                                         .forwarded = kur__inbox_forwarded,
                                         .ended = kur__inbox_ended};
    pthread_mutex_init(&inbox->lock, NULL);
    pthread_cond_init(&inbox->returned, NULL);
    pthread_cond_init(&inbox->kept, NULL);
    kur_condition_init(&inbox->wake);
}

kur_inbox *kur_inbox_new(kur_listener *listener, kur_database *database, const kur_inbox_options *given,
                         kur_error *error)
{
    kur_inbox_options options;
    if (listener == NULL || database == NULL) {
        kur_error_null(error, listener == NULL ? "listener" : "database");
        return NULL;
    }
    if (kur_options_take(&options, sizeof options, given, "kur_inbox_options", error) != KUR_OK ||
        check(&options, error) != KUR_OK || check_listener(listener, error) != KUR_OK ||
        kur__database_read(database, NULL, NULL, NULL, error) != KUR_OK)
        return NULL;
    kur_inbox *inbox = kur_calloc(1, sizeof *inbox);
    if (inbox == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: an inbox");
        return NULL;
    }
    inbox->database = database;
    inbox->driver = kur_database_driver(database);
    inbox->listener = listener;
    set_up(inbox, listener, &options);
    inbox->consumer = kur_strdup(options.consumer);
    inbox->idle = kur_calloc((size_t)inbox->connections, sizeof *inbox->idle);
    int failed = 0;
    if (inbox->consumer == NULL || inbox->idle == NULL)
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: an inbox");
    else if ((failed = kur_thread_start(&inbox->thread, kur__inbox_thread, inbox)) != 0)
        kur_error_set(error, KUR_ERROR_SYSTEM, "no thread for the inbox: %s", strerror(failed));
    else
        inbox->has_thread = true;
    if (!inbox->has_thread) {
        free_all(inbox);
        return NULL;
    }
    listener->keeper = &inbox->keeper;
    return inbox;
}

void kur_inbox_free(kur_inbox *inbox)
{
    if (inbox == NULL)
        return;
    pthread_mutex_lock(&inbox->lock);
    bool is_early = inbox->listener != NULL;
    inbox->ends = !is_early;
    pthread_cond_signal(&inbox->wake);
    pthread_mutex_unlock(&inbox->lock);
    if (is_early) { /* its handlers are the listener's, which goes on */
        kur_client_log(inbox->client, KUR_LOG_ERROR, "inbox %s: freed before its listener: it is not freed",
                       inbox->consumer);
        return;
    }
    pthread_join(inbox->thread, NULL);
    free_all(inbox);
}

/* ---- Handlers ---- */

static struct kur__inbox_handler *add(kur_inbox *inbox, const struct kur__inbox_handler *handler)
{
    struct kur__inbox_handler *made = kur_malloc(sizeof *made);
    if (made == NULL) {
        kur__listener_refuse(inbox->listener, KUR_ERROR_NO_MEMORY, "out of memory: a handler of an inbox");
        return NULL;
    }
    *made = *handler;
    made->inbox = inbox;
    made->next = inbox->handlers;
    inbox->handlers = made;
    return made;
}

kur_status kur_inbox_on(kur_inbox *inbox, const kur_type *type, kur_inbox_invoke *invoke, kur_function *handler,
                        void *user)
{
    if (inbox == NULL)
        return KUR_ERROR_INVALID_ARGUMENT;
    if (invoke == NULL || handler == NULL)
        return kur__listener_refuse(inbox->listener, KUR_ERROR_INVALID_ARGUMENT, "a handler is NULL");
    struct kur__inbox_handler *made =
        add(inbox, &(struct kur__inbox_handler){.invoke = invoke, .typed = handler, .user = user});
    return made != NULL ? kur_listener_on(inbox->listener, type, kur__inbox_run_typed, handler, made)
                        : KUR_ERROR_NO_MEMORY;
}

static kur_status add_plain(kur_inbox *inbox, kur_inbox_handler *handler, void *user,
                            kur_status (*add_to)(kur_listener *listener, kur_record_handler *handler, void *user))
{
    if (inbox == NULL)
        return KUR_ERROR_INVALID_ARGUMENT;
    if (handler == NULL)
        return kur__listener_refuse(inbox->listener, KUR_ERROR_INVALID_ARGUMENT, "a handler is NULL");
    struct kur__inbox_handler *made = add(inbox, &(struct kur__inbox_handler){.function = handler, .user = user});
    return made != NULL ? add_to(inbox->listener, kur__inbox_run_record, made) : KUR_ERROR_NO_MEMORY;
}

kur_status kur_inbox_on_record(kur_inbox *inbox, kur_inbox_handler *handler, void *user)
{
    return add_plain(inbox, handler, user, kur_listener_on_record);
}

kur_status kur_inbox_on_tombstone(kur_inbox *inbox, kur_inbox_handler *handler, void *user)
{
    return add_plain(inbox, handler, user, kur_listener_on_tombstone);
}

/* ---- In a handler ---- */

/* Ids are unique for a source. What is long, and anybody may have sent it, becomes a hash. */
static void name_event(const kur_event_view *event, char name[NOTE_MAX + 1])
{
    const char *source = event->source != NULL ? event->source : "";
    size_t source_size = strlen(source), id_size = strlen(event->id);
    if (source_size + 1 + id_size <= NOTE_MAX) {
        memcpy(name, source, source_size);
        name[source_size] = ' ';
        memcpy(name + source_size + 1, event->id, id_size + 1);
        return;
    }
    kur__sha256 hash;
    kur__sha256_init(&hash);
    kur__sha256_add(&hash, source, source_size);
    kur__sha256_add(&hash, " ", 1);
    kur__sha256_add(&hash, event->id, id_size);
    kur__sha256_text(&hash, name);
}

kur_status kur_inbox_note(kur_inbox *inbox, kur_delivery *delivery, void *transaction, bool *was_there,
                          kur_error *error)
{
    char name[NOTE_MAX + 1];
    if (inbox == NULL || delivery == NULL || transaction == NULL || was_there == NULL)
        return kur_error_null(error, inbox == NULL         ? "inbox"
                                     : delivery == NULL    ? "delivery"
                                     : transaction == NULL ? "transaction"
                                                           : "was_there");
    const kur_event_view *event = kur_delivery_event(delivery);
    if (event == NULL || event->id == NULL || event->id[0] == '\0')
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the record is no event with an id");
    name_event(event, name);
    return inbox->driver->inbox_note(transaction, inbox->consumer, name, was_there, error);
}

/* ---- From outside ---- */

kur_status kur_inbox_health_read(kur_inbox *inbox, kur_inbox_health *health, kur_error *error)
{
    if (inbox == NULL || health == NULL)
        return kur_error_null(error, inbox == NULL ? "inbox" : "health");
    if (health->size < sizeof(size_t))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "health.size is not set: use KUR_INBOX_HEALTH()");
    pthread_mutex_lock(&inbox->lock);
    int connections = inbox->open_count + (inbox->connection != NULL);
    pthread_mutex_unlock(&inbox->lock);
    kur_inbox_health now = {.handled = atomic_load(&inbox->handled),
                            .passed = atomic_load(&inbox->passed),
                            .rolled_back = atomic_load(&inbox->rolled_back),
                            .unknown = atomic_load(&inbox->unknown),
                            .postponed = atomic_load(&inbox->postponed),
                            .left_open = atomic_load(&inbox->kept_open),
                            .failures = atomic_load(&inbox->failures),
                            .connections = connections};
    kur_options_give(health, &now, sizeof now);
    return KUR_OK;
}

static kur_status reset(const kur_driver *driver, void *connection, kur_inbox_place *place, kur_error *error)
{
    kur_status status = KUR_ERROR_FENCED;
    for (int i = 0; i < RESETS && status == KUR_ERROR_FENCED; i++) {
        kur_uuid log = {{0}};
        status = driver->inbox_join(connection, place, &log, NULL, &place->epoch, error);
        if (status == KUR_OK)
            status = driver->inbox_reset(connection, place, &log, error);
    }
    return status;
}

kur_status kur_inbox_reset(kur_database *database, const char *consumer, const char *topic, int32_t partition,
                           int64_t offset, kur_error *error)
{
    void *connection = NULL;
    if (database == NULL || topic == NULL)
        return kur_error_null(error, database == NULL ? "database" : "topic");
    if (check_consumer(consumer, error) != KUR_OK)
        return KUR_ERROR_INVALID_ARGUMENT;
    if (partition < 0 || offset < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is negative",
                             partition < 0 ? "partition" : "offset");
    const kur_driver *driver = kur_database_driver(database);
    kur_status status = kur__database_read(database, NULL, NULL, NULL, error);
    if (status == KUR_OK)
        status = driver->connect(kur_database_state(database), &connection, error);
    if (status != KUR_OK)
        return status;
    kur_inbox_place place = {
        .size = sizeof place, .consumer = consumer, .topic = topic, .partition = partition, .offset = offset};
    status = reset(driver, connection, &place, error);
    driver->disconnect(connection);
    return status;
}
