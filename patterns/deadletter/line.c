/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a letter as a line of JSON and back:
 *
 *     {"topic":"orders.email.dlq","partition":0,"offset":7,"timestamp_ms":1764365400123,"key":"17","value":"{\"id\":17}",
 *      "headers":[["ce_id","…"],["trace",null],["raw",{"base64":"AAE="}]],"letter":{…}}
 *
 * The time is a number, as Kafka keeps it, so that no year is lost; headers are pairs, so that order and repetition
 * stay. "letter" tells what the headers say, for people and for jq; nobody reads it back.
 */
#include <kurier/sys/base64.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/time.h>
#include <string.h>

#include "deadletter/deadletter.h"

/* ---- Writing ---- */

/* What has failed once stays so: the line is taken back. */
struct writer {
    kur_buffer *to;
    kur_status status;
};

static void put_part(struct writer *writer, const char *text, size_t size)
{
    if (writer->status == KUR_OK)
        writer->status = kur_buffer_append(writer->to, text, size);
}

static inline void put(struct writer *writer, const char *text)
{
    put_part(writer, text, strlen(text));
}

static void put_number(struct writer *writer, int64_t number)
{
    char digits[20], *at = digits + sizeof digits;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (number < 0)
        *--at = '-';
    put_part(writer, at, (size_t)(digits + sizeof digits - at));
}

static void put_bytes(struct writer *writer, kur_bytes bytes)
{
    if (writer->status != KUR_OK)
        return;
    if (bytes.data == NULL) {
        put(writer, "null");
    } else if (kur_bytes_is_utf8(bytes)) {
        writer->status = kur__json_write(writer->to, bytes);
    } else {
        put(writer, "{\"base64\":\"");
        if (writer->status == KUR_OK)
            writer->status = kur_base64_write(writer->to, bytes);
        put(writer, "\"}");
    }
}

/* ,"name":"text", unless there is none. */
static void put_text(struct writer *writer, const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    put(writer, ",\"");
    put(writer, name);
    put(writer, "\":");
    put_bytes(writer, kur_bytes_text(text));
}

static void put_origin(struct writer *writer, const kur_retry_view *retry)
{
    if (retry->topic == NULL)
        return;
    put(writer, ",\"origin\":{\"partition\":");
    put_number(writer, retry->partition);
    put(writer, ",\"offset\":");
    put_number(writer, retry->offset);
    put_text(writer, "topic", retry->topic);
    put(writer, "}");
}

static void put_told(struct writer *writer, const kur_letter *letter)
{
    const kur_retry_view *retry = letter->retry;
    char failed[KUR_TIME_TEXT_SIZE] = "";
    if (letter->failed_us > 0)
        kur_time_format(letter->failed_us, failed);
    put(writer, ",\"letter\":{\"attempt\":");
    put_number(writer, retry->attempt);
    put_text(writer, "cause", retry->cause);
    put_text(writer, "message", retry->message);
    put_text(writer, "code", retry->code);
    put_text(writer, "type", letter->type);
    put_text(writer, "id", letter->event != NULL ? letter->event->id : NULL);
    put_text(writer, "group", retry->group);
    put_text(writer, "failed_at", failed);
    put_origin(writer, retry);
    if (letter->is_discarded)
        put(writer, ",\"discarded\":true");
    put(writer, "}");
}

static void put_headers(struct writer *writer, const kur_record *record)
{
    kur_header header;
    put(writer, ",\"headers\":[");
    for (size_t i = 0; writer->status == KUR_OK && kur_record_header(record, i, &header); i++) {
        put(writer, i > 0 ? ",[" : "[");
        put_bytes(writer, kur_bytes_text(header.name));
        put(writer, ",");
        put_bytes(writer, header.value);
        put(writer, "]");
    }
    put(writer, "]");
}

static void put_line(struct writer *writer, const kur_letter *letter)
{
    int64_t timestamp_us = kur_record_timestamp_us(letter->record);
    put(writer, "{\"topic\":");
    put_bytes(writer, kur_bytes_text(letter->topic));
    put(writer, ",\"partition\":");
    put_number(writer, letter->partition);
    put(writer, ",\"offset\":");
    put_number(writer, letter->offset);
    if (timestamp_us >= 0) {
        put(writer, ",\"timestamp_ms\":");
        put_number(writer, timestamp_us / 1000);
    }
    put(writer, ",\"key\":");
    put_bytes(writer, kur_record_key(letter->record));
    put(writer, ",\"value\":");
    put_bytes(writer, kur_record_value(letter->record));
    put_headers(writer, letter->record);
    put_told(writer, letter);
    put(writer, "}\n");
}

kur_status kur_letter_export(const kur_letter *letter, kur_buffer *lines, kur_error *error)
{
    if (letter == NULL || lines == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "letter or lines is NULL");
    size_t before = lines->size;
    struct writer writer = {.to = lines};
    put_line(&writer, letter);
    if (writer.status == KUR_OK)
        return KUR_OK;
    if (lines->data != NULL) {
        lines->size = before;
        lines->data[before] = '\0';
    }
    return kur_error_set(error, writer.status, "out of memory: a letter as JSON");
}

/* ---- Reading ---- */

/* {"base64": "…"}, behind its brace. */
static bool read_base64(kur__json *json, kur_bytes *bytes)
{
    bool is_first = true;
    kur_bytes name, text;
    if (!kur__json_member(json, &is_first, &name))
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "expected base64");
    if (strcmp(name.data, "base64") != 0)
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "expected base64 and nothing else");
    if (!kur__json_string(json, &text) || !kur__json_need(json, '}'))
        return false;
    size_t count;
    uint8_t *data = kur_arena_alloc(json->arena, kur_base64_room(text.size) + 1);
    if (data == NULL)
        return kur__json_fail(json, KUR_ERROR_NO_MEMORY, "out of memory");
    if (!kur_base64_read(text.data, text.size, data, &count))
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "not base64");
    data[count] = '\0';
    *bytes = kur_bytes_of(data, count);
    return true;
}

static bool read_bytes(kur__json *json, kur_bytes *bytes)
{
    if (kur__json_word(json, "null")) {
        *bytes = kur_bytes_of(NULL, 0);
        return true;
    }
    return kur__json_take(json, '{') ? read_base64(json, bytes) : kur__json_string(json, bytes);
}

static bool read_header(kur__json *json, kur_header *header)
{
    kur_bytes name;
    if (!kur__json_need(json, '[') || !read_bytes(json, &name))
        return false;
    if (name.data == NULL || memchr(name.data, '\0', name.size) != NULL)
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "a header's name is null, or holds a NUL");
    header->name = name.data;
    return kur__json_need(json, ',') && read_bytes(json, &header->value) && kur__json_need(json, ']');
}

static bool read_headers(kur__json *json, kur_letter_line *line)
{
    kur_header *headers = NULL;
    size_t capacity = 0, count = 0;
    if (!kur__json_need(json, '['))
        return false;
    for (bool is_first = true; !kur__json_take(json, ']'); is_first = false, count++) {
        if (!is_first && !kur__json_need(json, ','))
            return false;
        if (count == capacity) {
            capacity = capacity > 0 ? capacity * 2 : 16;
            kur_header *more = kur_arena_alloc(json->arena, capacity * sizeof *more);
            if (more == NULL)
                return kur__json_fail(json, KUR_ERROR_NO_MEMORY, "out of memory");
            if (count > 0)
                memcpy(more, headers, count * sizeof *more);
            headers = more;
        }
        if (!read_header(json, &headers[count]))
            return false;
    }
    line->headers = headers;
    line->header_count = count;
    return true;
}

static bool read_topic(kur__json *json, kur_letter_line *line)
{
    kur_bytes text;
    if (!kur__json_string(json, &text))
        return false;
    if (text.size == 0 || text.size > 249 || memchr(text.data, '\0', text.size) != NULL)
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "not the name of a topic");
    line->topic = text.data;
    return true;
}

/* A number from 0 to `most`. */
static bool read_number(kur__json *json, int64_t most, int64_t *number)
{
    if (!kur__json_integer(json, number))
        return false;
    return (*number >= 0 && *number <= most) || kur__json_fail(json, KUR_ERROR_SYNTAX, "the number is out of range");
}

static bool read_time(kur__json *json, kur_letter_line *line)
{
    if (!kur__json_word(json, "null"))
        return read_number(json, INT64_MAX / 1000, &line->timestamp_ms);
    line->timestamp_ms = -1;
    return true;
}

/* Members in the order of their bits. */
static const char *const members[] = {"topic", "partition", "offset",  "timestamp_ms",
                                      "key",   "value",     "headers", "letter"};
enum {
    TOPIC,
    PARTITION,
    OFFSET,
    TIME,
    KEY,
    VALUE,
    HEADERS,
    TOLD,
    MEMBERS
};

static bool read_member(kur__json *json, int which, kur_letter_line *line)
{
    int64_t number;
    switch (which) {
    case TOPIC:
        return read_topic(json, line);
    case PARTITION:
        if (!read_number(json, INT32_MAX - 1, &number))
            return false;
        line->partition = (int32_t)number;
        return true;
    case OFFSET:
        return read_number(json, INT64_MAX, &line->offset);
    case TIME:
        return read_time(json, line);
    case KEY:
        return read_bytes(json, &line->key);
    case VALUE:
        return read_bytes(json, &line->value);
    case HEADERS:
        return read_headers(json, line);
    default:
        return kur__json_skip(json);
    }
}

static bool read_line(kur__json *json, kur_letter_line *line)
{
    unsigned seen = 0;
    bool is_first = true;
    kur_bytes name;
    if (!kur__json_need(json, '{'))
        return false;
    while (kur__json_member(json, &is_first, &name)) {
        int which = 0;
        while (which < MEMBERS && (strlen(members[which]) != name.size || strcmp(members[which], name.data) != 0))
            which++;
        if (which == MEMBERS)
            return kur__json_fail(json, KUR_ERROR_SYNTAX, "there is no such member in an exported letter");
        if ((seen & 1U << which) != 0)
            return kur__json_fail(json, KUR_ERROR_SYNTAX, "a member stands twice");
        seen |= 1U << which;
        if (!read_member(json, which, line))
            return false;
    }
    if (json->status != KUR_OK)
        return false;
    if (!kur__json_is_over(json))
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "something stands behind the letter");
    if ((seen & 1U << KEY) == 0 || (seen & 1U << VALUE) == 0 || (seen & 1U << HEADERS) == 0)
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "key, value or headers are missing");
    return true;
}

kur_status kur_letter_parse(kur_bytes text, kur_arena *arena, kur_letter_line *line, kur_error *error)
{
    if (text.data == NULL || arena == NULL || line == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "text, arena or line is NULL");
    if (text.size > KUR_LETTER_LINE_MAX)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE, "the line is longer than %d MiB",
                             KUR_LETTER_LINE_MAX / 1024 / 1024);
    if (!kur_bytes_is_utf8(text))
        return kur_error_set(error, KUR_ERROR_SYNTAX, "the line is not UTF-8");
    kur_letter_line read = KUR_LETTER_LINE(.timestamp_ms = -1, .partition = -1, .offset = -1);
    kur__json json = {.start = text.data,
                      .at = text.data,
                      .end = (const char *)text.data + text.size,
                      .arena = arena,
                      .error = error};
    if (!read_line(&json, &read))
        return json.status;
    kur_options_give(line, &read, sizeof read);
    return KUR_OK;
}
