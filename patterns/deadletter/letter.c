/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a letter is read by the style that its topic's name suggests, and by the other one when that tells
 * nothing: letters are moved about, and what counts is what stands on them. Nothing on a letter can make this fail but
 * memory.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/options.h>
#include <string.h>

#include "deadletter/deadletter.h"

enum {
    SUFFIX_MAX = 32
};

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size > end_size && memcmp(text + size - end_size, end, end_size) == 0;
}

bool kur_letter_is_topic(const char *topic)
{
    if (topic == NULL)
        return false;
    if (ends_with(topic, ".dlq") || ends_with(topic, "-dlt"))
        return true;
    /* The last ".dlq-", behind which only what a route's suffix may have can follow. */
    const char *mark = NULL;
    for (const char *next = topic; (next = strstr(next, ".dlq-")) != NULL; next++)
        mark = next;
    if (mark == NULL || mark == topic)
        return false;
    size_t size = strlen(mark + 5);
    return size >= 1 && size <= SUFFIX_MAX && strspn(mark + 5, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

/* ---- Reading ---- */

static bool tells_nothing(const kur_retry_view *view)
{
    return view->topic == NULL && view->cause[0] == '\0';
}

static kur_status read_retry(const kur_record *record, kur_arena *arena, kur_letter *letter, kur_error *error)
{
    kur_header_style style = ends_with(kur_record_topic(record), "-dlt") ? KUR_HEADERS_SPRING : KUR_HEADERS_KURIER;
    kur_header_style other = style == KUR_HEADERS_SPRING ? KUR_HEADERS_KURIER : KUR_HEADERS_SPRING;
    int64_t now_us = kur_clock_now_us();
    kur_retry_view *view = kur_arena_alloc(arena, sizeof *view), second = KUR_RETRY_VIEW();
    if (view == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a letter");
    view->size = sizeof *view;
    kur_status status = kur_retry_read(record, style, now_us, arena, view, error);
    if (status == KUR_OK && tells_nothing(view)) {
        kur_error ignored;
        kur_status of_other = kur_retry_read(record, other, now_us, arena, &second, &ignored);
        if (of_other == KUR_ERROR_NO_MEMORY)
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a letter");
        if (of_other == KUR_OK && !tells_nothing(&second)) {
            *view = second;
            style = other;
        }
    }
    letter->retry = view;
    letter->style = style;
    return status;
}

/* An envelope that is broken is what many letters died of; it is as if there were none. */
static kur_status read_event(const kur_record *record, kur_arena *arena, kur_letter *letter, kur_error *error)
{
    kur_error ignored;
    kur_bytes id;
    kur_event_view *view = kur_arena_alloc(arena, sizeof *view);
    if (view == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a letter");
    view->size = sizeof *view;
    kur_status status = kur_event_read(record, arena, view, &ignored);
    if (status == KUR_ERROR_NO_MEMORY)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a letter's event");
    letter->type = "";
    if (status == KUR_OK && view->mode != KUR_EVENT_PLAIN) {
        letter->event = view;
        letter->type = view->type;
    } else if (kur_record_header_last(record, "__TypeId__", &id) && id.data != NULL && id.size < 1024 &&
               kur_bytes_is_utf8(id)) {
        char *text = kur_arena_copy(arena, id.data, id.size);
        if (text == NULL)
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a letter");
        for (char *at = text; *at != '\0'; at++)
            if ((unsigned char)*at < 0x20 || *at == 0x7f)
                *at = '?';
        letter->type = text;
    }
    return KUR_OK;
}

kur_status kur_letter_read(const kur_record *record, kur_arena *arena, kur_letter *letter, kur_error *error)
{
    if (record == NULL || arena == NULL || letter == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "record, arena or letter is NULL");
    kur_letter read = {.size = sizeof read,
                       .topic = kur_record_topic(record),
                       .partition = kur_record_partition(record),
                       .offset = kur_record_offset(record),
                       .timestamp_us = kur_record_timestamp_us(record),
                       .record = record};
    kur_status status = read_retry(record, arena, &read, error);
    if (status == KUR_OK)
        status = read_event(record, arena, &read, error);
    if (status != KUR_OK)
        return status;
    read.failed_us = read.retry->failed_us > 0 ? read.retry->failed_us : read.timestamp_us;
    kur_options_give(letter, &read, sizeof read);
    return KUR_OK;
}

/* ---- The hash ---- */

static void add_number(kur__sha256 *hash, uint64_t number)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    kur__sha256_add(hash, bytes, sizeof bytes);
}

static void add_bytes(kur__sha256 *hash, kur_bytes bytes)
{
    add_number(hash, bytes.data != NULL ? bytes.size : UINT64_MAX);
    if (bytes.data != NULL)
        kur__sha256_add(hash, bytes.data, bytes.size);
}

void kur_letter_hash(const kur_letter *letter, char text[65])
{
    kur__sha256 hash;
    kur_header header;
    const kur_record *record = letter->record;
    kur__sha256_init(&hash);
    add_bytes(&hash, kur_record_key(record));
    add_bytes(&hash, kur_record_value(record));
    add_number(&hash, kur_record_header_count(record));
    for (size_t i = 0; kur_record_header(record, i, &header); i++) {
        add_bytes(&hash, kur_bytes_text(header.name));
        add_bytes(&hash, header.value);
    }
    int64_t timestamp_us = kur_record_timestamp_us(record);
    add_number(&hash, (uint64_t)(timestamp_us >= 0 ? timestamp_us / 1000 : -1));
    kur__sha256_text(&hash, text);
}
