/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what is told of a record on a retry topic or among dead letters stands in headers of one name each, as
 * text that a person can read with any tool:
 *
 *     kurier-retry-attempt       3                              kurier-retry-group      email
 *     kurier-retry-due           2026-11-28T21:30:00.000001Z    kurier-retry-cause      smtp.timeout
 *     kurier-retry-first-failed  2026-11-28T21:29:00Z           kurier-retry-message    421 try again later
 *     kurier-retry-failed        2026-11-28T21:29:30Z           kurier-retry-code       mail.c:88
 *     kurier-retry-topic         orders                         kurier-retry-history    1 2026-… smtp.timeout; 2 …
 *     kurier-retry-partition     3                              kurier-retry-redriven   1
 *     kurier-retry-offset        123456                         kurier-retry-redrive-id 0192f0c1-…
 *     kurier-retry-timestamp     2026-11-28T21:28:59.123Z       kurier-retry-stub       1
 *
 * All names with that prefix are the library's: none of them is passed on, known or not, so that they never pile up and
 * a forged one never outlives a hop. `kurier-due`, by which a publisher asks for a delayed first delivery, is the
 * record's own.
 */
#include <kurier/sys/error.h>
#include <kurier/sys/options.h>
#include <kurier/sys/topic.h>
#include <string.h>

#include "retry/retry.h"

static const char prefix[] = "kurier-retry-";
static const int64_t last_us = INT64_C(253402300799999999); /* of the year 9999, the last that can be written */

enum {
    PREFIX_SIZE = sizeof prefix - 1
};

/* ---- Names ---- */

static bool is_reserved(const char *name)
{
    return strncmp(name, prefix, PREFIX_SIZE) == 0;
}

bool kur_retry_is_header(const char *name, kur_header_style style)
{
    return name != NULL && (is_reserved(name) || (style == KUR_HEADERS_SPRING && kur__spring_is_header(name)));
}

static kur__retry_part part_of(const char *name)
{
    static const char *const names[] = {
#define NAME(part, name) name,
        KUR__RETRY_PARTS(NAME)
#undef NAME
    };
    if (!is_reserved(name))
        return KUR__RETRY_PART_COUNT;
    for (size_t i = 0; i < KUR__RETRY_PART_COUNT; i++)
        if (strcmp(name + PREFIX_SIZE, names[i]) == 0)
            return (kur__retry_part)i;
    return KUR__RETRY_PART_COUNT;
}

static kur_status check_style(kur_header_style style, kur_error *error)
{
    if (style == KUR_HEADERS_KURIER || style == KUR_HEADERS_SPRING)
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%d is not a kur_header_style", (int)style);
}

/* ---- Reading ---- */

/* What Spring Kafka has headers for, too. */
static void read_common(kur__retry_reader *reader, const kur_bytes *values, kur_retry_view *view)
{
    view->attempt = (int)kur__retry_number(reader, values[KUR__RETRY_ATTEMPT], 1, KUR_RETRY_ATTEMPTS_MAX, 1,
                                           KUR_RETRY_ATTEMPTS_MAX);
    view->due_us = kur__retry_time(reader, values[KUR__RETRY_DUE]);
    view->topic = kur__retry_topic_name(reader, values[KUR__RETRY_TOPIC]);
    view->partition = (int32_t)kur__retry_number(reader, values[KUR__RETRY_PARTITION], 0, INT32_MAX, -1, -1);
    view->offset = kur__retry_number(reader, values[KUR__RETRY_OFFSET], 0, INT64_MAX - 1, -1, -1);
    view->timestamp_us = kur__retry_timestamp(reader, values[KUR__RETRY_TIMESTAMP]);
    view->group = kur__retry_group(reader, values[KUR__RETRY_GROUP]);
    view->cause = kur__retry_cause(reader, values[KUR__RETRY_CAUSE]);
    view->message = kur__retry_text(reader, values[KUR__RETRY_MESSAGE], KUR__RETRY_MESSAGE_MAX, false);
}

/* And what it has none for. */
static void read_ours(kur__retry_reader *reader, const kur_bytes *values, kur_retry_view *view)
{
    view->first_failed_us = kur__retry_time(reader, values[KUR__RETRY_FIRST_FAILED]);
    view->failed_us = kur__retry_time(reader, values[KUR__RETRY_FAILED]);
    view->code = kur__retry_text(reader, values[KUR__RETRY_CODE], KUR__RETRY_TEXT_MAX, true);
    kur__retry_history_read(reader, values[KUR__RETRY_HISTORY], view);
    view->redriven = (int)kur__retry_number(reader, values[KUR__RETRY_REDRIVEN], 0, KUR_RETRY_ATTEMPTS_MAX, 0,
                                            KUR_RETRY_ATTEMPTS_MAX);
    view->redrive_id = kur__retry_text(reader, values[KUR__RETRY_REDRIVE_ID], KUR__RETRY_TEXT_MAX, true);
    view->is_stub = kur__retry_number(reader, values[KUR__RETRY_STUB], 0, 1, 0, 1) == 1;
    view->writer = kur__retry_text(reader, values[KUR__RETRY_WRITER], KUR__RETRY_TEXT_MAX, true);
}

kur_status kur_retry_read(const kur_record *record, kur_header_style style, int64_t now_us, kur_arena *arena,
                          kur_retry_view *view, kur_error *error)
{
    if (record == NULL || arena == NULL || view == NULL)
        return kur_error_null(error, record == NULL ? "record" : arena == NULL ? "arena" : "view");
    if (view->size < sizeof(size_t))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "view.size is not set: start from KUR_RETRY_VIEW()");
    kur_status status = check_style(style, error);
    if (status != KUR_OK)
        return status;
    kur_bytes values[KUR__RETRY_PART_COUNT] = {{NULL, 0}};
    kur_header header;
    for (size_t i = 0; kur_record_header(record, i, &header); i++) {
        kur__retry_part part = part_of(header.name);
        if (part != KUR__RETRY_PART_COUNT)
            values[part] = header.value;
    }
    kur__retry_reader reader;
    kur_retry_view made = {0};
    kur__retry_reader_begin(&reader, arena, now_us);
    if (style == KUR_HEADERS_SPRING)
        kur__spring_read(&reader, record, &made);
    else
        read_common(&reader, values, &made);
    kur__retry_origin(&reader, &made);
    read_ours(&reader, values, &made);
    made.is_clamped = reader.is_clamped;
    if (reader.is_out_of_memory)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    kur_options_give(view, &made, sizeof made);
    return KUR_OK;
}

/* ---- Writing ---- */

static kur_status check(const kur_retry_view *view, kur_error *error)
{
    const char *wrong = NULL;
    if (view->topic != NULL && !kur_topic_is_valid(view->topic))
        wrong = "view.topic is not a topic's name";
    else if (view->topic != NULL && view->partition < 0)
        wrong = "view.partition is negative";
    else if (view->topic != NULL && view->offset < 0)
        wrong = "view.offset is negative";
    else if (view->group != NULL && view->group[0] != '\0' && !kur__retry_is_group(kur_bytes_text(view->group)))
        wrong = "view.group is not 1 to 32,767 bytes of UTF-8";
    return wrong == NULL ? KUR_OK : kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s", wrong);
}

static int within(int number, int least, int most)
{
    return number < least ? least : number < most ? number : most;
}

static void write_common(kur__retry_writer *writer, kur_tier tier, const kur_retry_view *view)
{
    char cause[KUR__RETRY_CAUSE_MAX + 1];
    size_t size = 0;
    bool is_changed;
    kur__retry_add_number(writer, KUR__RETRY_ATTEMPT, within(view->attempt, 1, KUR_RETRY_ATTEMPTS_MAX));
    if (tier != KUR_TIER_DEAD && view->due_us > 0)
        kur__retry_add_time(writer, KUR__RETRY_DUE, view->due_us < last_us ? view->due_us : last_us);
    if (view->topic != NULL) {
        kur__retry_add_bytes(writer, KUR__RETRY_TOPIC, kur_bytes_text(view->topic));
        kur__retry_add_number(writer, KUR__RETRY_PARTITION, view->partition);
        kur__retry_add_number(writer, KUR__RETRY_OFFSET, view->offset);
    }
    if (view->topic != NULL && view->timestamp_us >= 0)
        kur__retry_add_time(writer, KUR__RETRY_TIMESTAMP, view->timestamp_us);
    kur__retry_add_bytes(writer, KUR__RETRY_GROUP, kur_bytes_text(view->group));
    if (view->cause != NULL)
        size = kur__retry_clean_cause(cause, view->cause, strlen(view->cause), &is_changed);
    kur__retry_add_bytes(writer, KUR__RETRY_CAUSE, kur_bytes_of(cause, size));
    kur__retry_add_text(writer, KUR__RETRY_MESSAGE, view->message, KUR__RETRY_MESSAGE_MAX);
}

static void write_ours(kur__retry_writer *writer, const kur_retry_view *view, kur_bytes history)
{
    if (view->first_failed_us > 0)
        kur__retry_add_time(writer, KUR__RETRY_FIRST_FAILED, view->first_failed_us);
    if (view->failed_us > 0)
        kur__retry_add_time(writer, KUR__RETRY_FAILED, view->failed_us);
    kur__retry_add_text(writer, KUR__RETRY_CODE, view->code, KUR__RETRY_TEXT_MAX);
    kur__retry_add_bytes(writer, KUR__RETRY_HISTORY, history);
    if (view->is_stub)
        kur__retry_add_number(writer, KUR__RETRY_STUB, 1);
    kur__retry_add_text(writer, KUR__RETRY_WRITER, view->writer, KUR__RETRY_TEXT_MAX);
}

static void write_redrive(kur__retry_writer *writer, const kur_retry_view *view)
{
    if (view->redriven > 0)
        kur__retry_add_number(writer, KUR__RETRY_REDRIVEN, within(view->redriven, 0, KUR_RETRY_ATTEMPTS_MAX));
    kur__retry_add_text(writer, KUR__RETRY_REDRIVE_ID, view->redrive_id, KUR__RETRY_TEXT_MAX);
}

kur_status kur_retry_write(const kur_record *record, kur_header_style style, kur_tier tier, const kur_retry_view *view,
                           size_t max_bytes, kur_arena *arena, const kur_header **headers, size_t *count,
                           kur_error *error)
{
    const char *missing = record == NULL    ? "record"
                          : view == NULL    ? "view"
                          : arena == NULL   ? "arena"
                          : headers == NULL ? "headers"
                          : count == NULL   ? "count"
                                            : NULL;
    if (missing != NULL)
        return kur_error_null(error, missing);
    if (tier < KUR_TIER_MAIN || tier > KUR_TIER_DEAD)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%d is not a kur_tier", (int)tier);
    kur_retry_view taken;
    char history[KUR__RETRY_HISTORY_SIZE];
    size_t size = 0;
    kur_status status = check_style(style, error);
    if (status == KUR_OK)
        status = kur_options_take(&taken, sizeof taken, view, "kur_retry_view", error);
    if (status == KUR_OK)
        status = check(&taken, error);
    if (status == KUR_OK)
        status = kur__retry_history_write(&taken, history, &size, error);
    if (status != KUR_OK)
        return status;
    kur__retry_writer writer;
    kur__retry_writer_begin(&writer, arena);
    if (tier != KUR_TIER_MAIN && style == KUR_HEADERS_SPRING)
        kur__spring_write(&writer, record, tier, &taken);
    else if (tier != KUR_TIER_MAIN)
        write_common(&writer, tier, &taken);
    if (tier != KUR_TIER_MAIN)
        write_ours(&writer, &taken, kur_bytes_of(history, size));
    write_redrive(&writer, &taken);
    return kur__retry_compose(&writer, record, style, max_bytes, headers, count, error);
}
