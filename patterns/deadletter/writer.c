/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: everything goes by one producer, so that what is imported keeps its order in each partition. Results
 * come on the producer's thread and are counted under `lock`; the first failure is kept for a person. A full queue is
 * waited for, as long as the producer makes room.
 */
#include <inttypes.h>
#include <kurier/admin.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/sys/topic.h>
#include <pthread.h>
#include <string.h>

#include "deadletter/deadletter.h"

enum {
    TIMEOUT_DEFAULT_MS = 30000,
    SLICE_MS = 200,
    RECORD_BYTES = 1000 * 1000 * 1000 /* as large as they were: what is too large is for the broker to say */
};

struct kur_letter_writer {
    kur_client *client;
    kur_letter_writer_options options;
    kur_producer *producer;
    kur_admin *admin;
    bool has_audit;
    char *topic; /* that was last imported to, and how many partitions it has */
    int32_t partitions;
    kur_buffer key, value;
    pthread_mutex_t lock; /* of what stands below */
    kur_letter_counts counts;
    kur_error failed; /* the first that is certain; `lost` the first that is not */
    kur_error lost;
};

kur_letter_writer *kur_letter_writer_new(kur_client *client, const kur_letter_writer_options *given, kur_error *error)
{
    kur_letter_writer_options options;
    if (client == NULL) {
        kur_error_null(error, "client");
        return NULL;
    }
    if (kur_options_take(&options, sizeof options, given, "kur_letter_writer_options", error) != KUR_OK)
        return NULL;
    if (options.timeout_ms < 0) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".timeout_ms is negative");
        return NULL;
    }
    kur_letter_writer *writer = kur_calloc(1, sizeof *writer);
    if (writer == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a writer of letters");
        return NULL;
    }
    pthread_mutex_init(&writer->lock, NULL);
    writer->client = kur_client_ref(client);
    writer->options = options;
    if (options.timeout_ms == 0)
        writer->options.timeout_ms = TIMEOUT_DEFAULT_MS;
    writer->counts = KUR_LETTER_COUNTS();
    writer->producer =
        kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.queue_wait_ms = SLICE_MS, .record_bytes = RECORD_BYTES), error);
    if (writer->producer != NULL)
        writer->admin = kur_admin_new(client, error);
    if (writer->admin != NULL)
        return writer;
    kur_letter_writer_free(writer);
    return NULL;
}

void kur_letter_writer_free(kur_letter_writer *writer)
{
    if (writer == NULL)
        return;
    kur_producer_free(writer->producer);
    kur_admin_free(writer->admin);
    kur_buffer_done(&writer->key);
    kur_buffer_done(&writer->value);
    kur_free(writer->topic);
    kur_client_unref(writer->client);
    pthread_mutex_destroy(&writer->lock);
    kur_free(writer);
}

/* ---- Sending ---- */

static void on_result(const kur_result *result, void *user)
{
    kur_letter_writer *writer = user;
    bool is_certain = result->status == KUR_FAILED;
    pthread_mutex_lock(&writer->lock);
    if (result->status == KUR_DELIVERED) {
        writer->counts.written++;
    } else {
        kur_error *first = is_certain ? &writer->failed : &writer->lost;
        *(is_certain ? &writer->counts.failed : &writer->counts.unknown) += 1;
        if (first->code == KUR_OK)
            *first = result->error;
    }
    pthread_mutex_unlock(&writer->lock);
}

static kur_letter_counts counts_of(kur_letter_writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    kur_letter_counts counts = writer->counts;
    pthread_mutex_unlock(&writer->lock);
    return counts;
}

/* Between two slices: whether to go on waiting. */
static bool goes_on(kur_letter_writer *writer)
{
    kur_letter_counts counts = counts_of(writer);
    return writer->options.on_progress == NULL || writer->options.on_progress(&counts, writer->options.user);
}

static kur_status send(kur_letter_writer *writer, kur_message *message, kur_error *error)
{
    int64_t start_us = kur_clock_monotonic_us(), most_us = (int64_t)writer->options.timeout_ms * 1000;
    kur_status status;
    message->on_result = on_result;
    message->user = writer;
    while ((status = kur_producer_send(writer->producer, message, error)) == KUR_ERROR_QUEUE_FULL) {
        if (!goes_on(writer))
            return kur_error_set(error, KUR_ERROR_CANCELLED, "the writing was ended by its caller");
        if (kur_clock_monotonic_us() - start_us >= most_us)
            break;
    }
    if (status == KUR_OK) {
        pthread_mutex_lock(&writer->lock);
        writer->counts.given++;
        pthread_mutex_unlock(&writer->lock);
    }
    return status;
}

/* ---- Discards ---- */

static kur_status ensure_audit(kur_letter_writer *writer, kur_error *error)
{
    if (writer->has_audit)
        return KUR_OK;
    kur_status status = kur__audit_ensure(writer->admin, writer->options.timeout_ms, error);
    writer->has_audit = status == KUR_OK;
    return status;
}

kur_status kur_letter_writer_discard(kur_letter_writer *writer, const kur_letter *letter, const char *reason,
                                     const char *who, kur_error *error)
{
    if (writer == NULL)
        return kur_error_null(error, "writer");
    if (letter == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "letter is NULL");
    kur_status status = kur__audit_check(reason, "reason", error);
    if (status == KUR_OK)
        status = kur__audit_check(who, "who", error);
    if (status == KUR_OK)
        status = ensure_audit(writer, error);
    if (status != KUR_OK)
        return status;
    writer->key.size = writer->value.size = 0;
    status = kur__discard_write(letter, reason, who, kur_clock_now_us(), &writer->key, &writer->value);
    if (status != KUR_OK)
        return kur_error_set(error, status, "out of memory: a discard");
    kur_message message =
        KUR_MESSAGE(.topic = KUR_LETTER_AUDIT_TOPIC, .key = kur_bytes_of(writer->key.data, writer->key.size),
                    .value = kur_bytes_of(writer->value.data, writer->value.size));
    return send(writer, &message, error);
}

/* ---- Imports ---- */

/* How many partitions a topic has, asked for once while lines go to the same one. */
static kur_status ask_topic(kur_letter_writer *writer, const char *topic, kur_error *error)
{
    if (writer->topic != NULL && strcmp(writer->topic, topic) == 0)
        return KUR_OK;
    if (!kur_topic_is_valid(topic))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "\"%.60s\" is not the name of a topic", topic);
    kur_free(writer->topic);
    writer->topic = kur_strdup(topic);
    kur_arena *arena = kur_arena_new();
    kur_topic_list list = {0};
    kur_status status = writer->topic != NULL && arena != NULL
                            ? kur_admin_list_topics(writer->admin, writer->options.timeout_ms, arena, &list, error)
                            : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a topic");
    writer->partitions = 0;
    for (size_t i = 0; i < list.count; i++)
        if (strcmp(list.items[i]->name, topic) == 0)
            writer->partitions = (int32_t)list.items[i]->partition_count;
    if (status == KUR_OK && writer->partitions == 0)
        status = kur_error_set(error, KUR_ERROR_UNKNOWN_TOPIC,
                               "topic %s: not there, or hidden from this user, who then lacks WRITE on it", topic);
    if (status != KUR_OK) {
        kur_free(writer->topic);
        writer->topic = NULL;
    }
    kur_arena_free(arena);
    return status;
}

kur_status kur_letter_writer_import(kur_letter_writer *writer, const char *topic, const kur_letter_line *line,
                                    kur_error *error)
{
    if (writer == NULL)
        return kur_error_null(error, "writer");
    if (topic == NULL || line == NULL || line->size < sizeof *line)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "topic or line is NULL, or the line's size is not set");
    kur_status status = ask_topic(writer, topic, error);
    if (status != KUR_OK)
        return status;
    bool has_partition = line->partition >= 0 && line->partition < writer->partitions;
    kur_message message = KUR_MESSAGE(.topic = topic, .partition = has_partition ? KUR_PARTITION(line->partition) : 0,
                                      .tombstone = line->value.data == NULL, .key = line->key, .value = line->value,
                                      .headers = line->headers, .header_count = line->header_count, .verbatim = true,
                                      .timestamp_us = line->timestamp_ms > 0 ? line->timestamp_ms * 1000 : 0);
    return send(writer, &message, error);
}

/* ---- The end ---- */

static void wait_for_all(kur_letter_writer *writer, int timeout_ms, kur_error *error)
{
    int64_t until_us = kur_clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    int slice_ms = timeout_ms;
    do {
        if (writer->options.on_progress != NULL && slice_ms > SLICE_MS)
            slice_ms = SLICE_MS;
        if (kur_producer_flush(writer->producer, slice_ms, error) == KUR_OK)
            return;
        slice_ms = (int)((until_us - kur_clock_monotonic_us()) / 1000);
    } while (slice_ms > 0 && goes_on(writer));
}

kur_status kur_letter_writer_finish(kur_letter_writer *writer, int timeout_ms, kur_letter_counts *counts,
                                    kur_error *error)
{
    if (writer == NULL)
        return kur_error_null(error, "writer");
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    kur_error flush = {0};
    wait_for_all(writer, timeout_ms, &flush);
    pthread_mutex_lock(&writer->lock);
    kur_letter_counts now = writer->counts;
    kur_error failed = writer->failed, lost = writer->lost;
    pthread_mutex_unlock(&writer->lock);
    int64_t open = now.given - now.written - now.failed - now.unknown;
    now.unknown += open;
    if (counts != NULL)
        kur_options_give(counts, &now, sizeof now);
    if (now.unknown > 0) {
        const kur_error *why = lost.code != KUR_OK ? &lost : &flush;
        return kur_error_set(error, KUR_ERROR_UNKNOWN_OUTCOME, "of %" PRId64 " it is not known: %s", now.unknown,
                             why->message);
    }
    if (failed.code != KUR_OK && error != NULL)
        *error = failed;
    return failed.code;
}
