/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Retry headers of either style as anybody may have written them, and what a service may want to write of its own. The
 * input is a byte of choices, eight of the present, two of the limit, then headers until the end: a byte that chooses a
 * name or says that one follows up to a byte 0xFF, and the value, whose length is a byte (0xFF: null; 0xFE: two more
 * bytes of length). The values of the first headers are also the texts and numbers of a view that is written.
 */
#include <kurier/retry.h>
#include <kurier/sys/record.h>

#include "fuzz.h"

enum {
    HEADERS_MAX = 300,
    DEAD = 2 /* a bit of the choices */
};

#define AHEAD_US (KUR_RETRY_DAYS_MAX * INT64_C(86400000000))

static const char *const names[] = {"kurier-retry-attempt",
                                    "kurier-retry-due",
                                    "kurier-retry-first-failed",
                                    "kurier-retry-failed",
                                    "kurier-retry-topic",
                                    "kurier-retry-partition",
                                    "kurier-retry-offset",
                                    "kurier-retry-timestamp",
                                    "kurier-retry-group",
                                    "kurier-retry-cause",
                                    "kurier-retry-message",
                                    "kurier-retry-code",
                                    "kurier-retry-history",
                                    "kurier-retry-redriven",
                                    "kurier-retry-redrive-id",
                                    "kurier-retry-stub",
                                    "retry_topic-attempts",
                                    "retry_topic-backoff-timestamp",
                                    "retry_topic-original-timestamp",
                                    "kafka_original-topic",
                                    "kafka_original-partition",
                                    "kafka_original-offset",
                                    "kafka_original-timestamp",
                                    "kafka_original-timestamp-type",
                                    "kafka_dlt-original-consumer-group",
                                    "kafka_exception-fqcn",
                                    "kafka_exception-cause-fqcn",
                                    "kafka_exception-message",
                                    "kafka_key-exception-fqcn",
                                    "kafka_dlt-original-topic",
                                    "kafka_dlt-original-partition",
                                    "kafka_dlt-original-offset",
                                    "kurier-due",
                                    "ce_id"};

enum {
    NAMES = sizeof names / sizeof *names
};

static int64_t take_number(kur_bytes *input, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | take_byte(input);
    return (int64_t)value;
}

static bool take_header(kur_bytes *input, kur_arena *arena, kur_header *header)
{
    kur_bytes name;
    if (input->size == 0)
        return false;
    uint8_t choice = take_byte(input);
    if (choice < NAMES)
        header->name = names[choice];
    else if (take_text(input, arena, &name))
        header->name = name.data;
    else
        return false;
    size_t size = take_byte(input);
    if (size == 0xff) {
        header->value = kur_bytes_of(NULL, 0);
        return true;
    }
    size = size == 0xfe ? (size_t)take_number(input, 2) : size;
    size = size < input->size ? size : input->size;
    header->value = kur_bytes_of(kur_arena_copy(arena, size > 0 ? input->data : "", size), size);
    *input = kur_bytes_of((const char *)input->data + size, input->size - size);
    return true;
}

static kur_record *build(const char *topic, const kur_header *headers, size_t count)
{
    kur_record *record = kur_record_build(
        &(kur_record_parts){
            .topic = topic, .offset = 1, .timestamp_us = 1000, .headers = headers, .header_count = count},
        NULL);
    need(record != NULL);
    return record;
}

/* ---- What must hold ---- */

static void need_within(const char *text, size_t most)
{
    need(text != NULL && strlen(text) <= most);
    need_text(text, false);
}

static void need_time(int64_t time_us, int64_t now_us)
{
    need(time_us >= 0 && (now_us > INT64_MAX - AHEAD_US || time_us <= (now_us > 0 ? now_us : 0) + AHEAD_US));
}

static void need_view(const kur_retry_view *view, int64_t now_us)
{
    need(view->size == sizeof *view);
    need(view->attempt >= 1 && view->attempt <= KUR_RETRY_ATTEMPTS_MAX);
    need(view->redriven >= 0 && view->redriven <= KUR_RETRY_ATTEMPTS_MAX);
    need_time(view->due_us, now_us);
    need_time(view->first_failed_us, now_us);
    need_time(view->failed_us, now_us);
    need(view->topic != NULL ? view->partition >= 0 && view->offset >= 0 && view->timestamp_us >= -1
                             : view->partition == -1 && view->offset == -1 && view->timestamp_us == -1);
    if (view->topic != NULL)
        need_within(view->topic, 249);
    need(view->group == NULL || (view->group[0] != '\0' && kur_bytes_is_utf8(kur_bytes_text(view->group))));
    need_within(view->cause, 255);
    need(strchr(view->cause, ' ') == NULL);
    need_within(view->message, 500);
    need_within(view->code, 127);
    need_within(view->redrive_id, 127);
    need(view->attempt_count <= KUR_RETRY_HISTORY_MAX && (view->attempt_count == 0 || view->attempts != NULL));
    for (size_t i = 0; i < view->attempt_count; i++) {
        const kur_attempt_view *attempt = view->attempts[i];
        need(attempt->size == sizeof *attempt && attempt->attempt >= 1 && attempt->attempt <= KUR_RETRY_ATTEMPTS_MAX);
        need_time(attempt->at_us, now_us);
        need_within(attempt->cause, 255);
    }
}

static bool same_history(const kur_retry_view *a, const kur_retry_view *b)
{
    for (size_t i = 0; i < a->attempt_count && a->attempt_count == b->attempt_count; i++)
        if (a->attempts[i]->attempt != b->attempts[i]->attempt || a->attempts[i]->at_us != b->attempts[i]->at_us ||
            strcmp(a->attempts[i]->cause, b->attempts[i]->cause) != 0)
            return false;
    return a->attempt_count == b->attempt_count;
}

/* Two views tell the same; what may have been cut is compared only when it is there. */
static void need_same(const kur_retry_view *read, const kur_retry_view *told, bool may_be_cut)
{
    need(read->attempt == told->attempt && read->due_us == told->due_us);
    need(read->first_failed_us == told->first_failed_us && read->failed_us == told->failed_us);
    need(same_text(read->topic, told->topic) && read->partition == told->partition && read->offset == told->offset);
    need(read->timestamp_us == told->timestamp_us && same_text(read->group, told->group));
    need(same_text(read->cause, told->cause) && same_text(read->code, told->code));
    need(read->redriven == told->redriven && same_text(read->redrive_id, told->redrive_id));
    need(read->is_stub == told->is_stub || (may_be_cut && read->is_stub));
    need(same_text(read->message, told->message) || (may_be_cut && read->message[0] == '\0'));
    need(same_history(read, told) || (may_be_cut && read->attempt_count == 0));
    need(!read->is_clamped);
}

/* ---- Both ways ---- */

struct way {
    kur_header_style style;
    kur_tier tier;
    int64_t now_us;
    size_t max_bytes;
    kur_arena *arena;
};

static kur_retry_view read_view(const struct way *way, const kur_record *record)
{
    kur_error error = {0};
    kur_retry_view view = KUR_RETRY_VIEW();
    size_t before = kur_arena_size(way->arena);
    need(kur_retry_read(record, way->style, way->now_us, way->arena, &view, &error) == KUR_OK);
    need_view(&view, way->now_us);
    size_t group = view.group != NULL ? strlen(view.group) : 0;
    need(kur_arena_size(way->arena) - before <= 8192 + group);
    return view;
}

static size_t bytes_of(const kur_header *headers, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += strlen(headers[i].name) + headers[i].value.size + 10;
    return size;
}

/* A record's own headers come first, whole and in their order; `is_whole`: all of them. Returns how many there are. */
static size_t need_own(const struct way *way, const kur_record *record, const kur_header *headers, size_t count,
                       bool is_whole)
{
    kur_header own;
    size_t kept = 0;
    for (size_t i = 0; kur_record_header(record, i, &own); i++) {
        if (kur_retry_is_header(own.name, way->style))
            continue;
        bool is_there = kept < count && strcmp(headers[kept].name, own.name) == 0 &&
                        headers[kept].value.data == own.value.data && headers[kept].value.size == own.value.size;
        need(is_there || !is_whole);
        kept += is_there;
    }
    for (size_t i = kept; i < count; i++)
        need(kur_retry_is_header(headers[i].name, way->style));
    return kept;
}

/* Writes a view and reads it as whoever gets it would. False when it is not valid. */
static bool there_and_back(const struct way *way, const kur_record *record, const kur_retry_view *view,
                           size_t max_bytes, kur_retry_view *back)
{
    kur_error error = {0};
    const kur_header *headers;
    size_t count;
    kur_status status =
        kur_retry_write(record, way->style, way->tier, view, max_bytes, way->arena, &headers, &count, &error);
    if (status != KUR_OK) {
        need(status == KUR_ERROR_INVALID_ARGUMENT);
        need_error(status, &error);
        return false;
    }
    size_t own = need_own(way, record, headers, count, max_bytes == 0);
    for (size_t i = own; i < count; i++)
        for (size_t k = own; k < i; k++)
            need(strcmp(headers[i].name, headers[k].name) != 0);
    kur_record *written = build(way->tier == KUR_TIER_DEAD ? "t-dlt" : "t-retry", headers, count);
    *back = read_view(way, written);
    kur_record_free(written);
    if (max_bytes > 0 && bytes_of(headers, count) > max_bytes)
        need(own == 0 && back->message[0] == '\0' && back->attempt_count == 0);
    return true;
}

/* What a record on a retry topic becomes when it is passed on by somebody who changes nothing. */
static void pass_on(const struct way *way, const kur_record *record, const kur_retry_view *view)
{
    kur_retry_view expected = *view, back;
    if (way->style == KUR_HEADERS_SPRING && view->topic == NULL) {
        expected.topic = "t";
        expected.partition = 0;
        expected.offset = 1;
        expected.timestamp_us = 1000;
    }
    expected.due_us = way->tier == KUR_TIER_DEAD ? 0 : view->due_us;
    need(there_and_back(way, record, view, 0, &back));
    need_same(&back, &expected, false);
    need(there_and_back(way, record, view, way->max_bytes, &back));
    need_same(&back, &expected, way->max_bytes > 0);
}

/* A view that holds anything is refused, or comes back in a form that stays. */
static void tell_anything(const struct way *way, const kur_record *record, const kur_header *headers, size_t count)
{
    const char *texts[8] = {NULL};
    int64_t numbers[8] = {0};
    kur_attempt_view attempts[40];
    const kur_attempt_view *list[40];
    for (size_t i = 0; i < count && i < 8; i++) {
        kur_bytes value = headers[i].value;
        texts[i] = value.data != NULL ? value.data : NULL; /* up to a NUL */
        memcpy(&numbers[i], value.data != NULL ? value.data : "", value.size < 8 ? value.size : 8);
    }
    for (size_t i = 0; i < 40; i++) {
        attempts[i] = (kur_attempt_view){sizeof *attempts, (int)numbers[i % 8], numbers[(i + 1) % 8], texts[i % 8]};
        list[i] = &attempts[i];
    }
    kur_retry_view told =
                       KUR_RETRY_VIEW(.attempt = (int)numbers[0], .due_us = numbers[1], .first_failed_us = numbers[2],
                                      .failed_us = numbers[3], .topic = texts[0], .partition = (int32_t)numbers[4],
                                      .offset = numbers[5], .timestamp_us = numbers[6], .group = texts[1],
                                      .cause = texts[2], .message = texts[3], .code = texts[4],
                                      .attempt_count = count % 41, .attempts = list, .redriven = (int)numbers[7],
                                      .redrive_id = texts[5], .is_stub = count % 2 == 0),
                   once, twice;
    if (!there_and_back(way, record, &told, 0, &once))
        return;
    need(there_and_back(way, record, &once, 0, &twice));
    need_same(&twice, &once, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_bytes input = kur_bytes_of(data, size);
    kur_header headers[HEADERS_MAX] = {{0}};
    size_t count = 0;
    uint8_t choices = take_byte(&input);
    struct way way = {.style = choices & 1 ? KUR_HEADERS_SPRING : KUR_HEADERS_KURIER,
                      .tier = choices & DEAD ? KUR_TIER_DEAD : KUR_TIER_MEDIUM,
                      .arena = kur_arena_new()};
    way.now_us = take_number(&input, 8) / 1000 * 1000; /* Spring's due times are of milliseconds */
    way.max_bytes = (size_t)take_number(&input, 2);
    while (count < HEADERS_MAX && take_header(&input, way.arena, &headers[count]))
        count++;
    kur_record *record = build("t", headers, count);
    kur_retry_view view = read_view(&way, record);
    pass_on(&way, record, &view);
    tell_anything(&way, record, headers, count);
    kur_record_free(record);
    kur_arena_free(way.arena);
    return 0;
}
