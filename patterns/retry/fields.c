/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Values of retry headers, which anyone may have written: each is read within limits, in time by its size and in memory
 * by its limit.
 */
#include <kurier/sys/topic.h>
#include <kurier/time.h>
#include <string.h>

#include "retry/retry.h"

#define AHEAD_US (KUR_RETRY_DAYS_MAX * INT64_C(86400000000))

enum {
    TIME_MAX = 64 /* no instant that is well-formed and worth reading is longer */
};

void kur__retry_reader_begin(kur__retry_reader *reader, kur_arena *arena, int64_t now_us)
{
    now_us = now_us > 0 ? now_us : 0;
    *reader =
        (kur__retry_reader){.arena = arena, .latest_us = now_us < INT64_MAX - AHEAD_US ? now_us + AHEAD_US : INT64_MAX};
}

/* ---- Numbers and times ---- */

/* The digits' value, INT64_MAX when it is more; -1 when there is anything but digits. */
static int64_t read_digits(kur_bytes value)
{
    const char *digits = value.data;
    int64_t number = 0;
    if (value.size == 0)
        return -1;
    for (size_t i = 0; i < value.size; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return -1;
        int digit = digits[i] - '0';
        number = number > (INT64_MAX - digit) / 10 ? INT64_MAX : number * 10 + digit;
    }
    return number;
}

int64_t kur__retry_number(kur__retry_reader *reader, kur_bytes value, int64_t least, int64_t most, int64_t otherwise,
                          int64_t above)
{
    if (value.data == NULL)
        return otherwise;
    int64_t number = read_digits(value);
    if (number >= least && number <= most)
        return number;
    reader->is_clamped = true;
    return number > most ? above : otherwise;
}

/* -1 when it is none. */
static int64_t read_time(kur_bytes value)
{
    int64_t time_us;
    if (value.size > TIME_MAX || kur_time_parse(value.data, value.size, &time_us, NULL) != KUR_OK || time_us < 0)
        return -1;
    return time_us;
}

int64_t kur__retry_time(kur__retry_reader *reader, kur_bytes value)
{
    if (value.data == NULL)
        return 0;
    int64_t time_us = read_time(value);
    if (time_us >= 0 && time_us <= reader->latest_us)
        return time_us;
    reader->is_clamped = true;
    return time_us < 0 ? 0 : reader->latest_us;
}

int64_t kur__retry_timestamp(kur__retry_reader *reader, kur_bytes value)
{
    int64_t time_us = value.data != NULL ? read_time(value) : -1;
    reader->is_clamped = reader->is_clamped || (value.data != NULL && time_us < 0);
    return time_us;
}

/* ---- Texts ---- */

/* How much of the first `most` bytes is whole characters. */
static size_t cut(const char *text, size_t size, size_t most)
{
    if (size <= most)
        return size;
    size_t end = most;
    while (end > 0 && most - end < 3 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    return ((unsigned char)text[end] & 0xc0) == 0x80 ? most : end;
}

size_t kur__retry_clean(char *to, const char *from, size_t size, size_t most, bool *is_changed)
{
    size_t length = cut(from, size, most);
    bool is_utf8 = kur_bytes_is_utf8(kur_bytes_of(from, length));
    *is_changed = length != size || !is_utf8;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)from[i];
        bool is_control = c < 0x20 || c == 0x7f;
        to[i] = is_control ? ' ' : c >= 0x80 && !is_utf8 ? '?' : from[i];
        *is_changed = *is_changed || is_control;
    }
    to[length] = '\0';
    return length;
}

/* Keeps a text in the arena. */
static const char *keep(kur__retry_reader *reader, const char *text, size_t size)
{
    const char *kept = size > 0 ? kur_arena_copy(reader->arena, text, size) : "";
    reader->is_out_of_memory = reader->is_out_of_memory || kept == NULL;
    return kept != NULL ? kept : "";
}

const char *kur__retry_text(kur__retry_reader *reader, kur_bytes value, size_t most, bool is_strict)
{
    char text[KUR__RETRY_MESSAGE_MAX + 1];
    bool is_changed = false;
    if (value.data == NULL)
        return "";
    most = most < sizeof text ? most : sizeof text - 1;
    size_t size = kur__retry_clean(text, value.data, value.size, most, &is_changed);
    reader->is_clamped = reader->is_clamped || (is_strict && is_changed);
    return keep(reader, text, size);
}

size_t kur__retry_clean_cause(char *to, const char *from, size_t size, bool *is_changed)
{
    size_t length = size < KUR__RETRY_CAUSE_MAX ? size : KUR__RETRY_CAUSE_MAX;
    *is_changed = length != size;
    for (size_t i = 0; i < length; i++) {
        bool is_good = from[i] > ' ' && from[i] < 0x7f;
        to[i] = is_good ? from[i] : '_';
        *is_changed = *is_changed || !is_good;
    }
    to[length] = '\0';
    return length;
}

const char *kur__retry_cause(kur__retry_reader *reader, kur_bytes value)
{
    char cause[KUR__RETRY_CAUSE_MAX + 1];
    bool is_changed = false;
    if (value.data == NULL)
        return "";
    size_t size = kur__retry_clean_cause(cause, value.data, value.size, &is_changed);
    reader->is_clamped = reader->is_clamped || is_changed;
    return keep(reader, cause, size);
}

const char *kur__retry_topic_name(kur__retry_reader *reader, kur_bytes value)
{
    char name[256];
    if (value.data == NULL)
        return NULL;
    bool fits = value.size < sizeof name && memchr(value.data, '\0', value.size) == NULL;
    memcpy(name, value.data, fits ? value.size : 0);
    name[fits ? value.size : 0] = '\0';
    if (kur_topic_is_valid(name))
        return keep(reader, name, value.size);
    reader->is_clamped = true;
    return NULL;
}

bool kur__retry_is_group(kur_bytes value)
{
    return value.size > 0 && value.size <= KUR__RETRY_GROUP_MAX && memchr(value.data, '\0', value.size) == NULL &&
           kur_bytes_is_utf8(value);
}

const char *kur__retry_group(kur__retry_reader *reader, kur_bytes value)
{
    if (value.data == NULL)
        return NULL;
    if (kur__retry_is_group(value))
        return keep(reader, value.data, value.size);
    reader->is_clamped = true;
    return NULL;
}

void kur__retry_origin(kur__retry_reader *reader, kur_retry_view *view)
{
    bool is_whole = view->topic != NULL && view->partition >= 0 && view->offset >= 0;
    bool is_none = view->topic == NULL && view->partition < 0 && view->offset < 0;
    reader->is_clamped = reader->is_clamped || (!is_whole && !is_none);
    if (is_whole)
        return;
    view->topic = NULL;
    view->partition = -1;
    view->offset = -1;
    view->timestamp_us = -1;
}
