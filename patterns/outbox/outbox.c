/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The writer's side of an outbox: an event becomes the message that a producer would send, is judged as a producer
 * would, and is put in a row by the driver, in the caller's own transaction. Nothing here waits for a relay.
 */
#include "outbox/outbox.h"

#include <errno.h>
#include <kurier/sys/error.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/message.h>
#include <kurier/sys/options.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "database/database.h"

enum {
    RECORD_BYTES = 1000000,
    RECORD_BYTES_MAX = 100000000,
    HEADERS_ON_STACK = 2048
};

/* ---- Its life ---- */

static kur_status fill_in(kur_outbox *outbox, const kur_outbox_options *given, kur_error *error)
{
    kur_outbox_options options;
    kur_status status = kur_options_take(&options, sizeof options, given, "kur_outbox_options", error);
    if (status == KUR_OK && (options.record_bytes < 0 || options.record_bytes > RECORD_BYTES_MAX))
        status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".record_bytes is not 1 to %d", RECORD_BYTES_MAX);
    if (status != KUR_OK)
        return status;
    outbox->record_bytes = options.record_bytes != 0 ? options.record_bytes : RECORD_BYTES;
    outbox->committed = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (outbox->committed < 0)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "eventfd: %s", strerror(errno));
    return kur__database_read(outbox->database, NULL, &outbox->shards, &outbox->id, error);
}

kur_outbox *kur_outbox_new(kur_client *client, kur_database *database, const kur_outbox_options *options,
                           kur_error *error)
{
    if (client == NULL || database == NULL) {
        kur_error_null(error, client == NULL ? "client" : "database");
        return NULL;
    }
    kur_outbox *outbox = kur_calloc(1, sizeof *outbox);
    if (outbox == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }
    outbox->client = client;
    outbox->database = database;
    outbox->driver = kur_database_driver(database);
    outbox->committed = -1;
    if (fill_in(outbox, options, error) == KUR_OK)
        return outbox;
    kur_outbox_free(outbox);
    return NULL;
}

void kur_outbox_free(kur_outbox *outbox)
{
    if (outbox == NULL)
        return;
    if (outbox->committed >= 0)
        close(outbox->committed);
    kur_free(outbox);
}

void kur_outbox_committed(kur_outbox *outbox)
{
    if (outbox == NULL)
        return;
    int before = errno; /* of the code that a signal has interrupted */
    uint64_t one = 1;
    ssize_t written = write(outbox->committed, &one, sizeof one);
    (void)written; /* full: it is readable all the same */
    errno = before;
}

/* ---- Adding ---- */

static kur_status check(const kur_outbox *outbox, const kur_message *message, kur_error *error)
{
    if (message->on_result != NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".on_result is set: what becomes of an event in an outbox is its relay's to know");
    if (message->timestamp_us != 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".timestamp_us is set: a record's time is when the relay sends it");
    return kur_message_check(message, outbox->record_bytes, error);
}

/* 32 random bits: those at the end of a UUID. */
static kur_status new_mark(uint32_t *mark, kur_error *error)
{
    kur_uuid uuid;
    kur_status status = kur_uuid_new(&uuid, error);
    if (status == KUR_OK)
        memcpy(mark, uuid.bytes + sizeof uuid.bytes - sizeof *mark, sizeof *mark);
    return status;
}

static kur_status add_row(kur_outbox *outbox, void *transaction, const kur_message *message, kur_error *error)
{
    char storage[HEADERS_ON_STACK];
    kur_buffer headers = kur_buffer_over(storage, sizeof storage);
    kur_outbox_row row = {.size = sizeof row,
                          .partition = message->partition,
                          .topic = message->topic,
                          .key = message->key,
                          .value = message->value};
    kur_status status = new_mark(&row.mark, error);
    if (status == KUR_OK)
        status = kur__headers_write(message->headers, message->header_count, &headers, error);
    if (status == KUR_OK) {
        row.headers = kur_bytes_of(headers.data, headers.size);
        row.shard = kur__outbox_shard(row.key, row.mark, outbox->shards);
        status = outbox->driver->outbox_add(kur_database_state(outbox->database), transaction, &row, error);
    }
    kur_buffer_done(&headers);
    return status;
}

kur_status kur_outbox_add(kur_outbox *outbox, void *transaction, const kur_message *given, kur_error *error)
{
    kur_message message;
    if (outbox == NULL || transaction == NULL || given == NULL)
        return kur_error_null(error, outbox == NULL ? "outbox" : transaction == NULL ? "transaction" : "message");
    kur_status status = kur_options_take(&message, sizeof message, given, "kur_message", error);
    message.size = sizeof message;
    if (status == KUR_OK)
        status = check(outbox, &message, error);
    if (status == KUR_OK)
        status = add_row(outbox, transaction, &message, error);
    if (status != KUR_OK || outbox->driver->outbox_warn == NULL)
        return status;
    const char *warning = outbox->driver->outbox_warn(kur_database_state(outbox->database), transaction);
    if (warning != NULL)
        kur_client_log(outbox->client, KUR_LOG_WARNING, "outbox: %s", warning);
    return KUR_OK;
}

/* ---- Publishing ---- */

static kur_arena *new_arena(kur_error *error)
{
    kur_arena *arena = kur_arena_new();
    if (arena == NULL)
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    return arena;
}

kur_status kur_outbox_publish(kur_outbox *outbox, void *transaction, const kur_type *type, const void *event,
                              const kur_publish_options *options, kur_error *error)
{
    if (outbox == NULL || transaction == NULL)
        return kur_error_null(error, outbox == NULL ? "outbox" : "transaction");
    kur_message message = KUR_MESSAGE();
    kur_arena *arena = new_arena(error);
    if (arena == NULL)
        return KUR_ERROR_NO_MEMORY;
    kur_status status = kur_message_write(outbox->client, type, event, options, arena, &message, error);
    if (status == KUR_OK)
        status = kur_outbox_add(outbox, transaction, &message, error);
    kur_arena_free(arena);
    return status;
}

kur_status kur_outbox_publish_raw(kur_outbox *outbox, void *transaction, const char *event_type, kur_bytes data,
                                  const kur_publish_options *options, kur_error *error)
{
    if (outbox == NULL || transaction == NULL)
        return kur_error_null(error, outbox == NULL ? "outbox" : "transaction");
    kur_message message = KUR_MESSAGE();
    kur_arena *arena = new_arena(error);
    if (arena == NULL)
        return KUR_ERROR_NO_MEMORY;
    kur_status status = kur_message_write_raw(outbox->client, event_type, data, options, arena, &message, error);
    if (status == KUR_OK)
        status = kur_outbox_add(outbox, transaction, &message, error);
    kur_arena_free(arena);
    return status;
}
