/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * An admin is a librdkafka handle of its own: a consumer, for a producer makes every topic that it asks about, and a
 * consumer with isolation.level=read_uncommitted sees where a log really ends. It has a group that it never joins: all
 * versions of librdkafka (its issue 5040) end the process when a broker answers a question for a group's offsets with a
 * coordinator's error and the handle has no group. It has no thread of ours:
 * while a call waits it serves the handle, so that the reason for which no broker answers is at hand.
 *
 * All versions of librdkafka also use freed memory, and mostly end the process, when a question for a group's
 * coordinator has timed out before that broker could be reached, and it comes back. So librdkafka's time-outs lie
 * behind ours, and a handle with a question that was given up is closed before they come: further calls have a new one.
 *
 * Every function works in the same way: begin (which waits for a broker and tells the embedded one apart by its cluster
 * id), one or more requests, each tried again while what failed passes by itself, end. The error is the call's own
 * until then, for librdkafka's code in it decides whether to try again.
 */
#include "kafka/admin.h"

#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/client.h"
#include "kafka/embedded_broker.h"

enum {
    SLICE_MS = 100,          /* between two looks at the connection */
    METADATA_SLICE_MS = 500, /* librdkafka's metadata call serves no callbacks */
    PAUSE_MS = 50,
    BEHIND_MS = 60000, /* by which librdkafka's own time-outs come after ours */
    SETTLE_MS = 5000   /* in which a change comes to all brokers; mostly it takes a tenth of a second */
};

/* ---- Handles ---- */

static void close_handle(kur__admin_handle *handle)
{
    rd_kafka_destroy_flags(handle->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    kur__connection_done(&handle->connection);
    kur_free(handle);
}

/* With one user, the caller. */
static kur__admin_handle *open_handle(kur_client *client, kur_error *error)
{
    /* The last one is unknown to older versions, and refused as such. */
    static const kur_property fixed[] = {{"allow.auto.create.topics", "false"},
                                         {"isolation.level", "read_uncommitted"},
                                         {"group.id", "kurier-admin"},
                                         {"group.protocol", "classic"}};
    kur__admin_handle *handle = kur_calloc(1, sizeof *handle);
    if (handle == NULL) {
        kur__error_no_memory(error);
        return NULL;
    }
    handle->users = 1;
    rd_kafka_conf_t *conf = kur__client_conf(client, RD_KAFKA_CONSUMER, error);
    if (conf != NULL) {
        for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
            rd_kafka_conf_set(conf, fixed[i].name, fixed[i].value, NULL, 0);
        handle->rk = kur__connection_open(&handle->connection, kur__client_log(client), kur__client_security(client),
                                          RD_KAFKA_CONSUMER, conf, error);
    }
    if (handle->rk != NULL)
        return handle;
    kur_free(handle);
    return NULL;
}

static kur__admin_handle *take_handle(kur_admin *admin)
{
    pthread_mutex_lock(&admin->lock);
    kur__admin_handle *handle = admin->handle;
    if (handle != NULL)
        handle->users++;
    pthread_mutex_unlock(&admin->lock);
    return handle;
}

static void leave_handle(kur_admin *admin, kur__admin_handle *handle)
{
    pthread_mutex_lock(&admin->lock);
    bool is_last = --handle->users == 0;
    pthread_mutex_unlock(&admin->lock);
    if (is_last)
        close_handle(handle);
}

/* The one for new calls; one is made if there is none, of which another thread's comes first. */
static kur__admin_handle *take_or_open_handle(kur_admin *admin, kur_error *error)
{
    kur__admin_handle *handle = take_handle(admin);
    if (handle != NULL)
        return handle;
    handle = open_handle(admin->client, error);
    if (handle == NULL)
        return NULL;
    pthread_mutex_lock(&admin->lock);
    kur__admin_handle *other = admin->handle;
    if (other == NULL)
        admin->handle = handle;
    kur__admin_handle *taken = admin->handle;
    taken->users++;
    pthread_mutex_unlock(&admin->lock);
    if (other != NULL)
        close_handle(handle);
    return taken;
}

/* Is for no further call; closed when the last one that has it ends. */
static void give_up_handle(kur_admin *admin, kur__admin_handle *handle)
{
    pthread_mutex_lock(&admin->lock);
    bool is_held = admin->handle == handle;
    if (is_held)
        admin->handle = NULL;
    pthread_mutex_unlock(&admin->lock);
    if (is_held)
        leave_handle(admin, handle);
}

/* ---- New and free ---- */

kur_admin *kur_admin_new(kur_client *client, kur_error *error)
{
    if (client == NULL) {
        kur_error_null(error, "client");
        return NULL;
    }
    kur_admin *admin = kur_calloc(1, sizeof *admin);
    if (admin == NULL) {
        kur__error_no_memory(error);
        return NULL;
    }
    pthread_mutex_init(&admin->lock, NULL);
    admin->client = kur_client_ref(client);
    admin->handle = open_handle(client, error);
    if (admin->handle != NULL)
        return admin;
    kur_admin_free(admin);
    return NULL;
}

void kur_admin_free(kur_admin *admin)
{
    if (admin == NULL)
        return;
    if (admin->handle != NULL)
        close_handle(admin->handle);
    kur_client_unref(admin->client);
    pthread_mutex_destroy(&admin->lock);
    kur_free(admin);
}

/* ---- A call ---- */

/* Hands librdkafka's errors to the connection. Waits `wait_ms` for one. */
static void serve(kur__admin_handle *handle, int wait_ms)
{
    rd_kafka_poll(handle->rk, wait_ms);
    kur__connection_serve(&handle->connection, handle->rk);
}

static bool is_over(kur__admin_call *call)
{
    return kur__deadline_is_over(&call->deadline) ||
           kur__connection_is_refused(&call->handle->connection, call->since_us);
}

static kur_status timed_out(kur__admin_call *call, const char *what)
{
    char text[360];
    snprintf(text, sizeof text, "%s: no answer within %d ms", what, call->timeout_ms);
    return kur__connection_timeout(&call->handle->connection, &call->error, text);
}

/* Whether a broker has answered, which the cluster's id shows; which kind it is. */
static bool find_kind(kur__admin_call *call)
{
    char *id = rd_kafka_clusterid(call->handle->rk, 0);
    if (id == NULL)
        return false;
    call->is_embedded = kur__embedded_broker_has_id(id);
    rd_kafka_mem_free(call->handle->rk, id);
    return true;
}

static kur_status wait_for_broker(kur__admin_call *call)
{
    kur__admin_handle *handle = call->handle;
    while (!find_kind(call)) {
        /* Of the brokers alone: nothing is known of any topic yet. */
        const struct rd_kafka_metadata *metadata = NULL;
        int left_ms = kur__deadline_left_ms(&call->deadline);
        rd_kafka_resp_err_t code = rd_kafka_metadata(handle->rk, 0, NULL, &metadata,
                                                     left_ms < METADATA_SLICE_MS ? left_ms : METADATA_SLICE_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            rd_kafka_metadata_destroy(metadata);
        serve(handle, 0);
        if (find_kind(call))
            break;
        if (is_over(call))
            return timed_out(call, "the cluster");
        serve(handle, PAUSE_MS < left_ms ? PAUSE_MS : left_ms);
    }
    kur__connection_serve(&handle->connection, handle->rk);
    return KUR_OK;
}

kur_status kur__admin_begin(kur__admin_call *call, kur_admin *admin, int timeout_ms, kur_arena *arena)
{
    *call = (kur__admin_call){.admin = admin, .arena = arena, .timeout_ms = timeout_ms};
    if (timeout_ms < 0)
        return kur_error_set(&call->error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    call->deadline = kur_deadline_after(timeout_ms);
    call->since_us = kur_clock_monotonic_us();
    kur__admin_changed(call);
    if (arena == NULL) {
        call->arena = kur_arena_new();
        call->owns_arena = true;
        if (call->arena == NULL)
            return kur__admin_no_memory(call);
    }
    call->handle = take_or_open_handle(admin, &call->error);
    return call->handle != NULL ? wait_for_broker(call) : call->error.code;
}

kur_status kur__admin_end(kur__admin_call *call, kur_status status, kur_error *error)
{
    if (call->handle != NULL)
        leave_handle(call->admin, call->handle);
    if (call->owns_arena)
        kur_arena_free(call->arena);
    if (status != KUR_OK && error != NULL)
        *error = call->error;
    return status;
}

kur_status kur__admin_needs_kafka(kur__admin_call *call, const char *what)
{
    if (!call->is_embedded)
        return KUR_OK;
    return kur_error_set(&call->error, KUR_ERROR_UNSUPPORTED,
                         "the embedded broker cannot %s: this needs a real Kafka (script/kafka start)", what);
}

bool kur__admin_pause(kur__admin_call *call)
{
    int left_ms = kur__deadline_left_ms(&call->deadline);
    if (is_over(call))
        return false;
    serve(call->handle, left_ms < PAUSE_MS ? left_ms : PAUSE_MS);
    return true;
}

bool kur__admin_again(kur__admin_call *call)
{
    const kur_error *error = &call->error;
    /* A commit from outside that members stand against is not waited out. */
    return error->kafka_code != 0 && error->retriable && error->code != KUR_ERROR_NOT_COMMITTED &&
           kur__admin_pause(call);
}

void kur__admin_changed(kur__admin_call *call)
{
    call->settled = kur_deadline_after(SETTLE_MS);
}

bool kur__admin_settles(kur__admin_call *call)
{
    return !kur__deadline_is_over(&call->settled) && kur__admin_pause(call);
}

bool kur__admin_again_known(kur__admin_call *call)
{
    return call->error.code == KUR_ERROR_UNKNOWN_TOPIC ? kur__admin_settles(call) : kur__admin_again(call);
}

kur_status kur__admin_failed(kur__admin_call *call, rd_kafka_resp_err_t code, const char *text, const char *what, ...)
{
    char subject[300];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(subject, sizeof subject, what, arguments);
    va_end(arguments);
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
        return timed_out(call, subject);
    if (text != NULL && text[0] != '\0')
        return kur__error_of_kafka(&call->error, code, "%s: %s", subject, text);
    return kur__error_of_kafka(&call->error, code, "%s", subject);
}

kur_status kur__admin_no_memory(kur__admin_call *call)
{
    return kur__error_no_memory(&call->error);
}

/* ---- A request ---- */

void kur__admin_request_init(kur__admin_call *call, kur__admin_request *request)
{
    int left_ms = kur__deadline_left_ms(&call->deadline);
    left_ms = left_ms < 1 ? 1 : left_ms > KUR__REQUEST_MS_MAX - BEHIND_MS ? KUR__REQUEST_MS_MAX - BEHIND_MS : left_ms;
    request->queue = rd_kafka_queue_new(call->handle->rk);
    request->options = rd_kafka_AdminOptions_new(call->handle->rk, RD_KAFKA_ADMIN_OP_ANY);
    rd_kafka_AdminOptions_set_request_timeout(request->options, left_ms + BEHIND_MS, NULL, 0);
    rd_kafka_AdminOptions_set_operation_timeout(request->options, left_ms, NULL, 0);
}

rd_kafka_event_t *kur__admin_request_wait(kur__admin_call *call, kur__admin_request *request, const char *what)
{
    rd_kafka_event_t *event = NULL;
    for (bool over = false; event == NULL && !over;) {
        int left_ms = kur__deadline_left_ms(&call->deadline);
        over = is_over(call);
        event = rd_kafka_queue_poll(request->queue, left_ms < SLICE_MS ? left_ms : SLICE_MS);
        serve(call->handle, 0);
    }
    rd_kafka_queue_destroy(request->queue);
    rd_kafka_AdminOptions_destroy(request->options);
    if (event == NULL) {
        timed_out(call, what);
        give_up_handle(call->admin, call->handle);
        return NULL;
    }
    kur__connection_heard(&call->handle->connection);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return event;
    kur__admin_failed(call, code, rd_kafka_event_error_string(event), "%s", what);
    rd_kafka_event_destroy(event);
    return NULL;
}

/* ---- Views ---- */

void *kur__views_new(kur_arena *arena, size_t count, size_t size)
{
    const void **array = kur_arena_alloc(arena, (count + 1) * sizeof *array);
    char *views = kur_arena_alloc(arena, count * size);
    if (array == NULL || views == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        array[i] = views + i * size;
        memcpy(views + i * size, &size, sizeof size);
    }
    return array;
}

const char *kur__arena_text(kur_arena *arena, const char *text, bool *ok)
{
    if (text == NULL)
        return NULL;
    const char *copy = kur_arena_copy(arena, text, strlen(text));
    *ok = *ok && copy != NULL;
    return copy;
}
