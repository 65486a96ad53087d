/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the listener's life. Made, it is options and handlers; start makes consumer, machine, workers and the
 * control thread, in this order; the control thread ends first, by itself, then the workers, who may still be in
 * handlers, then what was left is taken in, and consumer and producer go last. Only kur_listener_free joins threads.
 */
#include <errno.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/sys/thread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "listener/keeper.h"
#include "listener/topics.h"

enum {
    AHEAD_SHARE = 32,
    AHEAD_MIN_KBYTES = 1024,
    FREE_MS = 5000, /* for what is left when nobody has stopped it before */
    POLLED = 1024
};

/* ---- Made ---- */

static bool copy_text(char **to, const char *from)
{
    *to = kur_strdup(from);
    return from == NULL || *to != NULL;
}

static kur_status copy_texts(kur_listener *listener, const kur_listener_options *options, kur_error *error)
{
    size_t count = 0;
    const char *group = options->audience == KUR_BROADCAST ? "(broadcast)" : options->group; /* for messages */
    bool ok = copy_text(&listener->group, group) && copy_text(&listener->pattern, options->pattern) &&
              copy_text(&listener->exclude, options->exclude) &&
              copy_text(&listener->instance, options->group_instance_id);
    while (options->pattern == NULL && options->topics[count] != NULL)
        count++;
    if (ok && count > 0) {
        listener->topics = kur_calloc(count + 1, sizeof *listener->topics);
        ok = listener->topics != NULL;
        for (size_t i = 0; i < count && ok; i++)
            ok = copy_text(&listener->topics[i], options->topics[i]);
    }
    return ok ? KUR_OK : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
}

/* The consumer comes with the listener, so that its mistakes come with kur_listener_new; it joins nothing yet. */
static kur_status make_consumer(kur_listener *listener, kur_error *error)
{
    const kur_listener_options *options = &listener->options;
    /* Of each partition, and there may be many. */
    int ahead_kbytes =
        options->hold_kbytes / AHEAD_SHARE > AHEAD_MIN_KBYTES ? options->hold_kbytes / AHEAD_SHARE : AHEAD_MIN_KBYTES;
    listener->consumer = kur_consumer_new(
        listener->client,
        &KUR_CONSUMER_OPTIONS(.audience = options->audience, .group = options->group, .start = options->start,
                              .start_at_us = options->start_at_us, .session_timeout_ms = options->session_timeout_ms,
                              .max_poll_interval_ms = options->max_poll_interval_ms, .on_rebalance = kur__on_rebalance,
                              .user = listener, .on_gap = kur__on_gap, .group_instance_id = listener->instance,
                              .assignor = options->assignor, .protocol = options->protocol,
                              .fetch_ahead_kbytes = ahead_kbytes, .room = kur__room,
                              .companions = listener->tiers != NULL ? kur__companions : NULL),
        error);
    return listener->consumer != NULL ? KUR_OK : KUR_ERROR_CONFIG;
}

static kur_status set_up(kur_listener *listener, kur_error *error)
{
    kur__machine_options *decisions = &listener->decisions;
    kur_listener_options *options = &listener->options;
    decisions->order = options->order;
    decisions->hold_records = (size_t)options->hold_records;
    decisions->hold_bytes = options->hold_kbytes * INT64_C(1024);
    decisions->text_limit = KUR__LEDGER_TEXT_MAX;
    decisions->commits_nothing = options->audience == KUR_BROADCAST;
    decisions->commit_interval_us = options->commit_interval_ms * INT64_C(1000);
    decisions->commit_again_us = 60 * INT64_C(1000000);
    decisions->commit_records = 10000;
    decisions->exactly_once = options->guarantee == KUR_EXACTLY_ONCE;
    if (decisions->exactly_once && options->hold_records < 2 * decisions->commit_records)
        decisions->commit_records = options->hold_records / 2 + 1; /* what settles is held until it is committed */
    decisions->has_dead_letters = listener->tiers != NULL && listener->tiers->has_dead_letters;
    if (listener->tiers != NULL) {
        decisions->window_records = (size_t)listener->tiers->options.window_records;
        decisions->window_bytes = listener->tiers->options.window_kbytes * INT64_C(1024);
        decisions->origins_most = decisions->window_records * 2;
    }
    decisions->effect_delay_us = 100 * 1000;
    decisions->effect_delay_max_us = 10 * INT64_C(1000000);
    kur_uuid seed;
    kur_status status = kur_uuid_new(&seed, error);
    if (status != KUR_OK)
        return status;
    memcpy(&decisions->seed, seed.bytes + 8, sizeof decisions->seed);
    kur_uuid_format(&seed, listener->writer);
    int interval_ms = options->max_poll_interval_ms > 0 ? options->max_poll_interval_ms : 300000;
    listener->poll_ms = interval_ms / 3 < 1000 ? interval_ms / 3 : 1000;
    status = kur__machine_init(&listener->machine, decisions, error);
    listener->arena = kur_arena_new();
    listener->polled_capacity = POLLED;
    listener->polled = kur_calloc(POLLED, sizeof(*listener->polled));
    if (status == KUR_OK && (listener->arena == NULL || listener->polled == NULL))
        status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
    return status;
}

static kur_status open_descriptors(kur_listener *listener, kur_error *error)
{
    listener->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    listener->run_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    listener->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    listener->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (listener->wake_fd < 0 || listener->run_fd < 0 || listener->ready_fd < 0 || listener->epoll_fd < 0)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no descriptor for the listener: %s", strerror(errno));
    return kur__control_watch(listener, listener->wake_fd, error);
}

kur_listener *kur_listener_new(kur_client *client, const kur_listener_options *given, kur_error *error)
{
    kur_listener_options options;
    if (client == NULL) {
        kur_error_null(error, "client");
        return NULL;
    }
    if (given == NULL) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "options is NULL: .group and .topics are needed");
        return NULL;
    }
    if (kur_options_take(&options, sizeof options, given, "kur_listener_options", error) != KUR_OK ||
        kur__listener_options_check(&options, error) != KUR_OK)
        return NULL;
    kur_listener *listener = kur_calloc(1, sizeof *listener);
    if (listener == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
        return NULL;
    }
    listener->wake_fd = listener->run_fd = listener->ready_fd = listener->epoll_fd = -1;
    listener->client = kur_client_ref(client);
    listener->options = options;
    atomic_init(&listener->stop_by_us, INT64_MAX);
    atomic_init(&listener->leave_us, 500 * 1000);
    pthread_mutex_init(&listener->lock, NULL);
    pthread_mutex_init(&listener->idle_lock, NULL);
    pthread_cond_init(&listener->idle, NULL);
    kur_condition_init(&listener->changed);
    kur_status status = kur__listener_take_policy(listener, options.retry, error);
    if (status == KUR_OK)
        status = copy_texts(listener, &options, error);
    if (status == KUR_OK)
        status = kur__tiers_new(listener, &options, listener->decisions.mode != KUR_RETRY_IN_PLACE || options.allow_due,
                                listener->decisions.keep_order, error);
    if (status == KUR_OK)
        status = kur__retries_new(listener, error);
    if (status == KUR_OK)
        status = set_up(listener, error);
    if (status == KUR_OK)
        status = open_descriptors(listener, error);
    if (status == KUR_OK)
        status = make_consumer(listener, error);
    if (status == KUR_OK && options.guarantee == KUR_EXACTLY_ONCE)
        status = kur__exactly_new(listener, error);
    listener->options.group = listener->group; /* what was the caller's is not looked at again */
    listener->options.topics = NULL;
    listener->options.retry = NULL;
    listener->options.retry_topics = NULL;
    if (status == KUR_OK)
        return listener;
    kur_listener_free(listener);
    return NULL;
}

/* ---- Handlers ---- */

kur_status kur__listener_refuse(kur_listener *listener, kur_status status, const char *what)
{
    if (listener->registration.code == KUR_OK)
        kur_error_set(&listener->registration, status, "%s", what);
    return status;
}

/* It may end meanwhile, on its own thread. */
static bool is_new(kur_listener *listener)
{
    pthread_mutex_lock(&listener->lock);
    bool is_new = listener->state == KUR__NEW;
    pthread_mutex_unlock(&listener->lock);
    return is_new;
}

static kur_status register_typed(kur_listener *listener, const struct kur__handler *handler)
{
    if (listener == NULL)
        return KUR_ERROR_INVALID_ARGUMENT;
    bool is_whole = handler->type != NULL && handler->function != NULL &&
                    (handler->invoke != NULL || handler->invoke_batch != NULL);
    if (!is_whole)
        return kur__listener_refuse(listener, KUR_ERROR_INVALID_ARGUMENT, "a handler is NULL");
    if (!is_new(listener))
        return kur__listener_refuse(listener, KUR_ERROR_INVALID_STATE, "a handler was registered after the start");
    if (listener->handler_count == KUR__HANDLERS)
        return kur__listener_refuse(listener, KUR_ERROR_TOO_LARGE, "more than 64 handlers");
    for (int i = 0; i < listener->handler_count; i++)
        if (listener->handlers[i].type == handler->type)
            return kur__listener_refuse(listener, KUR_ERROR_INVALID_STATE, "two handlers for one type");
    listener->handlers[listener->handler_count++] = *handler;
    listener->is_batched |= handler->invoke_batch != NULL;
    return KUR_OK;
}

kur_status kur_listener_on(kur_listener *listener, const kur_type *type, kur_handler_invoke *invoke,
                           kur_function *handler, void *user)
{
    return register_typed(listener,
                          &(struct kur__handler){.type = type, .invoke = invoke, .function = handler, .user = user});
}

kur_status kur_listener_on_type_batch(kur_listener *listener, const kur_type *type, kur_batch_invoke *invoke,
                                      kur_function *handler, void *user)
{
    return register_typed(
        listener, &(struct kur__handler){.type = type, .invoke_batch = invoke, .function = handler, .user = user});
}

static kur_status register_record(kur_listener *listener, struct kur__record_handler *to,
                                  const struct kur__record_handler *handler)
{
    if (handler->function == NULL && handler->batch == NULL)
        return kur__listener_refuse(listener, KUR_ERROR_INVALID_ARGUMENT, "a handler is NULL");
    if (!is_new(listener) || to->function != NULL || to->batch != NULL)
        return kur__listener_refuse(listener, KUR_ERROR_INVALID_STATE,
                                    "a handler was registered twice, or after the start");
    *to = *handler;
    listener->is_batched |= handler->batch != NULL;
    return KUR_OK;
}

kur_status kur_listener_on_record(kur_listener *listener, kur_record_handler *handler, void *user)
{
    return listener != NULL
               ? register_record(listener, &listener->on_record, &(struct kur__record_handler){handler, NULL, user})
               : KUR_ERROR_INVALID_ARGUMENT;
}

kur_status kur_listener_on_batch(kur_listener *listener, kur_batch_handler *handler, void *user)
{
    return listener != NULL
               ? register_record(listener, &listener->on_record, &(struct kur__record_handler){NULL, handler, user})
               : KUR_ERROR_INVALID_ARGUMENT;
}

kur_status kur_listener_on_tombstone(kur_listener *listener, kur_record_handler *handler, void *user)
{
    return listener != NULL
               ? register_record(listener, &listener->on_tombstone, &(struct kur__record_handler){handler, NULL, user})
               : KUR_ERROR_INVALID_ARGUMENT;
}

/* ---- Start ---- */

static kur_status start_control(kur_listener *listener, kur_error *error)
{
    int failed = kur_thread_start(&listener->control, kur__control_run, listener);
    if (failed != 0)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no thread for the listener: %s", strerror(failed));
    pthread_mutex_lock(&listener->lock);
    listener->has_control = true;
    pthread_mutex_unlock(&listener->lock);
    return KUR_OK;
}

kur_status kur_listener_start(kur_listener *listener, kur_error *error)
{
    if (listener == NULL)
        return kur_error_null(error, "listener");
    if (listener->registration.code != KUR_OK) {
        if (error != NULL)
            *error = listener->registration;
        return listener->registration.code;
    }
    pthread_mutex_lock(&listener->lock);
    bool is_new = listener->state == KUR__NEW;
    if (is_new)
        listener->state = KUR__STARTED;
    pthread_mutex_unlock(&listener->lock);
    if (!is_new)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "the listener was started before");
    if (listener->is_batched && listener->keeper != NULL)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED, "a listener of batches cannot have an inbox");
    if (listener->handler_count == 0 && listener->on_record.function == NULL && listener->on_record.batch == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "the listener has no handler");
    kur_status status =
        listener->pattern != NULL
            ? kur_consumer_subscribe_pattern(listener->consumer, listener->pattern, listener->exclude, error)
            : kur_consumer_subscribe(listener->consumer, (const char *const *)listener->topics, error);
    if (status == KUR_OK)
        status = kur__control_watch(listener, kur_consumer_fd(listener->consumer, error), error);
    if (status == KUR_OK && listener->exactly != NULL)
        status = kur__exactly_start(listener, error);
    if (status == KUR_OK)
        status = kur__tiers_start(listener, error);
    if (status == KUR_OK)
        status = kur__workers_start(listener, error);
    if (status == KUR_OK)
        status = start_control(listener, error);
    return status;
}

void kur__listener_wake_run(kur_listener *listener)
{
    static const uint64_t one = 1;
    ssize_t written = write(listener->run_fd, &one, sizeof one);
    (void)written;
}

void kur_listener_request_stop(kur_listener *listener)
{
    if (listener == NULL)
        return;
    int saved = errno;
    atomic_store(&listener->stop_requested, true);
    kur__control_wake(listener);
    kur__listener_wake_run(listener);
    errno = saved;
}

static void free_list(char **texts)
{
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
        kur_free(texts[i]);
    kur_free(texts);
}

void kur_listener_free(kur_listener *listener)
{
    if (listener == NULL)
        return;
    if (kur__thread_is_of(listener)) { /* it would wait for itself, and its caller goes on in what is freed */
        kur_client_log(
            listener->client, KUR_LOG_ERROR,
            "group %s: kur_listener_free in a handler or callback of the listener: it stops, and is not freed",
            listener->group);
        kur_listener_request_stop(listener);
        return;
    }
    if (listener->has_control) {
        bool is_stopped = atomic_load(&listener->stop_by_us) != INT64_MAX;
        atomic_store(&listener->stop_by_us, kur_clock_monotonic_us() + (is_stopped ? 0 : FREE_MS * INT64_C(1000)));
        atomic_store(&listener->is_freed, true);
        kur_listener_request_stop(listener);
        pthread_join(listener->control, NULL);
    }
    kur__tiers_stop(listener);
    if (listener->workers != NULL)
        kur__workers_stop(listener);
    kur__exactly_free(listener);
    kur__ends_free(listener);
    if (listener->keeper != NULL) {
        listener->keeper->ended(listener->keeper->user);
        listener->keeper_has_ended = true; /* answers may come yet, up to the producer's end */
    }
    if (listener->consumer != NULL) {
        kur__control_clear(listener);
        kur_producer_free(listener->producer);
        kur__control_clear(listener); /* results that came with its end */
        kur_consumer_free(listener->consumer);
    }
    kur__machine_done(&listener->machine);
    kur__requests_free(listener->requests);
    kur__requests_free(listener->sought);
    kur__broadcast_done(listener);
    kur_free(listener->look);
    const int descriptors[] = {listener->wake_fd, listener->run_fd, listener->ready_fd, listener->epoll_fd};
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    free_list(listener->topics);
    free_list(listener->fatal);
    free_list(listener->retriable);
    kur__tiers_free(listener);
    kur__retries_free(listener);
    kur_free(listener->group);
    kur_free(listener->pattern);
    kur_free(listener->exclude);
    kur_free(listener->instance);
    kur_free(listener->polled);
    kur_arena_free(listener->arena);
    pthread_cond_destroy(&listener->changed);
    pthread_cond_destroy(&listener->idle);
    pthread_mutex_destroy(&listener->idle_lock);
    pthread_mutex_destroy(&listener->lock);
    kur_client_unref(listener->client);
    kur_free(listener);
}
