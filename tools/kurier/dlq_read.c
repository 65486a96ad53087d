/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "dlq.h"
#include "interrupt.h"
#include "payload.h"
#include "text.h"

/* ---- Topics ---- */

bool dlq_is_named(const char *topic, void *user)
{
    const struct dlq *dlq = user;
    return command_is_named(&dlq->call, topic);
}

static int find_topics(struct dlq *dlq, const char ***topics)
{
    kur_error error = {0};
    kur_topic_list list;
    kur_admin *admin = kur_admin_new(dlq->call.client, &error);
    kur_status status = kur_admin_list_topics(admin, dlq->call.connection.timeout_ms, dlq->call.arena, &list, &error);
    kur_admin_free(admin);
    if (status != KUR_OK)
        return command_error(dlq->call.noun, &error);
    size_t count = 0;
    *topics = kur_arena_alloc(dlq->call.arena, (list.count + 1) * sizeof **topics);
    text_need(*topics != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < list.count; i++)
        if (kur_letter_is_topic(list.items[i]->name) && dlq_is_named(list.items[i]->name, dlq))
            (*topics)[count++] = list.items[i]->name;
    (*topics)[count] = NULL;
    if (count == 0 && dlq->call.argument_count > 0)
        return command_fail(dlq->call.noun, "no topic of dead letters is named \"%.200s\"", dlq->call.arguments[0]);
    return EXIT_DONE;
}

int dlq_topics(struct dlq *dlq, const char *const **topics)
{
    bool is_exact = dlq->call.argument_count > 0;
    for (size_t i = 0; i < dlq->call.argument_count; i++) {
        size_t size = strlen(dlq->call.arguments[i]);
        if (size == 0)
            return command_refuse(dlq->call.noun, "a topic is empty");
        is_exact &= dlq->call.arguments[i][size - 1] != '*';
    }
    if (is_exact) {
        *topics = dlq->call.arguments;
        return EXIT_DONE;
    }
    const char **found;
    int status = find_topics(dlq, &found);
    *topics = found;
    return status;
}

/* ---- Reading ---- */

static bool tell(const kur_letter_progress *progress, void *user)
{
    struct dlq *dlq = user;
    progress_tell(&dlq->progress, progress->passed, progress->total);
    return interrupt_count() == 0;
}

kur_letter_reader *dlq_read(struct dlq *dlq, const char *const *topics, int *status)
{
    kur_error error = {0};
    progress_begin(&dlq->progress, "offsets read");
    kur_letter_reader *reader = kur_letter_reader_new(
        dlq->call.client,
        &KUR_LETTER_READER_OPTIONS(.topics = topics, .filter = &dlq->filter, .with_discarded = dlq->with_discarded,
                                   .timeout_ms = dlq->call.connection.timeout_ms, .on_progress = tell, .user = dlq),
        &error);
    *status = reader != NULL                             ? EXIT_DONE
              : error.code == KUR_ERROR_INVALID_ARGUMENT ? command_refuse(dlq->call.noun, "%s", error.message)
                                                         : command_error(dlq->call.noun, &error);
    return reader;
}

const kur_letter *dlq_next(struct dlq *dlq, kur_letter_reader *reader, int *status)
{
    kur_error error = {0};
    const kur_letter *letter;
    if (interrupt_count() == 0 && kur_letter_reader_next(reader, &letter, &error) == KUR_OK)
        return letter;
    progress_end(&dlq->progress);
    if (error.code == KUR_OK || error.code == KUR_ERROR_CANCELLED) {
        kur_letter_progress progress = KUR_LETTER_PROGRESS();
        kur_letter_reader_progress(reader, &progress, NULL);
        command_note(dlq->call.noun, "stopped after %" PRId64 " of %" PRId64 " offsets", progress.passed,
                     progress.total);
        *status = EXIT_PARTIAL;
        return NULL;
    }
    *status =
        command_fail(dlq->call.noun, "%s%s", error.message,
                     error.code == KUR_ERROR_AUTHORIZATION && strstr(error.message, KUR_LETTER_AUDIT_TOPIC) != NULL
                         ? "; --discarded reads without it"
                         : "");
    return NULL;
}

int dlq_close(struct dlq *dlq, kur_letter_reader *reader, int status)
{
    kur_letter_progress progress = KUR_LETTER_PROGRESS();
    kur_letter_reader_progress(reader, &progress, NULL);
    kur_letter_reader_free(reader);
    progress_end(&dlq->progress);
    if (progress.lost > 0)
        command_note(dlq->call.noun, "%" PRId64 " offsets went by their retention while they were read", progress.lost);
    if (progress.unreadable > 0)
        command_note(dlq->call.noun, "%" PRId64 " offsets cannot be read: their bytes are damaged",
                     progress.unreadable);
    return status == EXIT_DONE && progress.lost + progress.unreadable > 0 ? EXIT_PARTIAL : status;
}

/* ---- Letters ---- */

static void put_attempts(kur_buffer *json, const kur_retry_view *retry)
{
    json_open(json, "attempts", '[');
    for (size_t i = 0; i < retry->attempt_count; i++) {
        json_open(json, NULL, '{');
        json_number(json, "attempt", retry->attempts[i]->attempt);
        json_time(json, "at", retry->attempts[i]->at_us);
        json_text(json, "cause", retry->attempts[i]->cause);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_origin(kur_buffer *json, const kur_retry_view *retry)
{
    if (retry->topic == NULL) {
        json_null(json, "origin");
        return;
    }
    json_open(json, "origin", '{');
    json_text(json, "topic", retry->topic);
    json_number(json, "partition", retry->partition);
    json_number(json, "offset", retry->offset);
    json_time(json, "timestamp", retry->timestamp_us);
    json_close(json, '}');
}

void dlq_letter_json(const struct dlq *dlq, kur_buffer *json, const kur_letter *letter, const struct decoded *decoded)
{
    const kur_retry_view *retry = letter->retry;
    json_open(json, NULL, '{');
    json_text(json, "topic", letter->topic);
    json_number(json, "partition", letter->partition);
    json_number(json, "offset", letter->offset);
    json_time(json, "timestamp", letter->timestamp_us);
    json_time(json, "failed_at", letter->failed_us);
    json_text(json, "cause", retry->cause);
    json_text(json, "code", retry->code);
    payload_json(&dlq->call, json, "message", kur_bytes_text(retry->message));
    json_number(json, "attempt", retry->attempt);
    json_text(json, "group", retry->group);
    put_origin(json, retry);
    json_text(json, "type", letter->type);
    json_text(json, "id", letter->event != NULL ? letter->event->id : NULL);
    payload_json(&dlq->call, json, "key", kur_record_key(letter->record));
    if (decoded != NULL) {
        char hash[65];
        kur_letter_hash(letter, hash);
        json_time(json, "first_failed_at", retry->first_failed_us > 0 ? retry->first_failed_us : -1);
        put_attempts(json, retry);
        json_number(json, "redriven", retry->redriven);
        json_text(json, "redrive_id", retry->redrive_id);
        json_bool(json, "stub", retry->is_stub);
        payload_headers_json(&dlq->call, json, letter->record);
        decode_put_json(&dlq->call, json, decoded);
        json_text(json, "sha256", hash);
    }
    json_close(json, '}');
}
