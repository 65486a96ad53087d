/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <inttypes.h>
#include <stdio.h>

#include "mask.h"
#include "text.h"

/* ---- Places ---- */

void payload_place(kur_buffer *to, const char *topic, int32_t partition, int64_t offset)
{
    text_need(kur_buffer_print(to, "%s/%" PRId32 "/%" PRId64, topic, partition, offset));
}

static int refuse_place(const struct invocation *call)
{
    return command_refuse(call->noun, "which one? TOPIC/PARTITION/OFFSET, or the three as arguments");
}

int payload_read_place(const struct invocation *call, const char **topic, int32_t *partition, int64_t *offset)
{
    const char *numbers[2] = {call->arguments[1], call->arguments[2]};
    int64_t number;
    *topic = call->arguments[0];
    if (call->argument_count == 1) {
        char *text = kur_arena_copy(call->arena, call->arguments[0], strlen(call->arguments[0]));
        text_need(text != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
        *topic = text;
        for (int i = 1; i >= 0; i--) {
            char *slash = strrchr(text, '/');
            if (slash == NULL)
                return refuse_place(call);
            *slash = '\0';
            numbers[i] = slash + 1;
        }
    } else if (call->argument_count != 3) {
        return refuse_place(call);
    }
    if (!text_read_number(numbers[0], 0, INT32_MAX - 1, &number) ||
        !text_read_number(numbers[1], 0, INT64_MAX - 1, offset))
        return command_refuse(call->noun, "partition and offset are numbers from 0 on");
    *partition = (int32_t)number;
    return EXIT_DONE;
}

/* ---- Text ---- */

void payload_put(const struct invocation *call, kur_buffer *to, kur_bytes payload)
{
    if (call->unmask)
        text_need(kur_buffer_append(to, payload.data, payload.size));
    else
        mask_text(to, payload);
}

void payload_line(const struct invocation *call, kur_buffer *to, kur_bytes payload, bool is_secret)
{
    kur_buffer text = {0};
    text_put(&text, "");
    if (payload.data == NULL)
        text_put(&text, "(null)");
    else if (is_secret && !call->unmask)
        text_put(&text, MASK_TEXT);
    else if (!kur_bytes_is_utf8(payload) && !call->unmask)
        text_need(kur_buffer_print(&text, "(%zu bytes that are no text; --unmask shows them)", payload.size));
    else
        payload_put(call, &text, payload);
    text_safe(to, kur_bytes_of(text.data, text.size), false);
    kur_buffer_done(&text);
}

void payload_cut(const struct invocation *call, kur_buffer *to, kur_bytes payload, size_t most)
{
    kur_buffer text = {0};
    text_put(&text, "");
    if (payload.data != NULL)
        payload_put(call, &text, payload);
    if (text.size > most) {
        while (most > 0 && ((unsigned char)text.data[most] & 0xc0) == 0x80)
            most--;
        text.size = most;
        text_put(&text, "…");
    }
    text_safe(to, kur_bytes_of(text.data, text.size), false);
    kur_buffer_done(&text);
}

/* ---- JSON ---- */

void payload_json(const struct invocation *call, kur_buffer *json, const char *name, kur_bytes payload)
{
    kur_buffer text = {0};
    if (payload.data == NULL || call->unmask) {
        json_bytes(json, name, payload);
    } else if (!kur_bytes_is_utf8(payload)) {
        json_open(json, name, '{');
        json_number(json, "bytes", (int64_t)payload.size);
        json_close(json, '}');
    } else {
        text_put(&text, "");
        mask_text(&text, payload);
        json_bytes(json, name, kur_bytes_of(text.data, text.size));
    }
    kur_buffer_done(&text);
}

static void put_header(const struct invocation *call, kur_buffer *json, const kur_header *header)
{
    json_open(json, NULL, '[');
    json_bytes(json, NULL, kur_bytes_text(header->name));
    if (!call->unmask && header->value.data != NULL && mask_is_secret(header->name, strlen(header->name)))
        json_text(json, NULL, MASK_TEXT);
    else
        payload_json(call, json, NULL, header->value);
    json_close(json, ']');
}

void payload_headers_json(const struct invocation *call, kur_buffer *json, const kur_record *record)
{
    kur_header header;
    json_open(json, "headers", '[');
    for (size_t i = 0; kur_record_header(record, i, &header); i++)
        put_header(call, json, &header);
    json_close(json, ']');
}

void payload_header_list_json(const struct invocation *call, kur_buffer *json, const kur_header *headers, size_t count)
{
    json_open(json, "headers", '[');
    for (size_t i = 0; i < count; i++)
        put_header(call, json, &headers[i]);
    json_close(json, ']');
}

/* ---- Lines ---- */

void payload_print(const char *name, const char *text)
{
    kur_buffer safe = {0};
    if (text == NULL || text[0] == '\0')
        return;
    text_safe(&safe, kur_bytes_text(text), false);
    printf("  %-13s %s\n", name, safe.data);
    kur_buffer_done(&safe);
}

void payload_print_time(const char *name, int64_t time_us)
{
    kur_buffer text = {0};
    text_time(&text, time_us);
    if (time_us > 0)
        payload_print(name, text.data);
    kur_buffer_done(&text);
}

void payload_print_line(const struct invocation *call, const char *name, kur_bytes payload)
{
    kur_buffer text = {0};
    text_put(&text, "");
    payload_line(call, &text, payload, false);
    printf("  %-13s %s\n", name, text.data);
    kur_buffer_done(&text);
}

void payload_print_event(const kur_event_view *event)
{
    if (event == NULL)
        return;
    payload_print("event", event->type);
    payload_print("id", event->id);
    payload_print("source", event->source);
    payload_print("subject", event->subject);
    payload_print("correlation", event->correlation_id);
    payload_print("trace", event->traceparent);
}

static void print_header(const struct invocation *call, const kur_header *header)
{
    kur_buffer line = {0};
    text_safe(&line, kur_bytes_text(header->name), false);
    text_put(&line, " = ");
    payload_line(call, &line, header->value, mask_is_secret(header->name, strlen(header->name)));
    printf("    %s\n", line.data);
    kur_buffer_done(&line);
}

void payload_print_headers(const struct invocation *call, const kur_record *record)
{
    kur_header header;
    printf("  headers\n");
    for (size_t i = 0; kur_record_header(record, i, &header); i++)
        print_header(call, &header);
}

void payload_print_header_list(const struct invocation *call, const kur_header *headers, size_t count)
{
    printf("  headers\n");
    for (size_t i = 0; i < count; i++)
        print_header(call, &headers[i]);
}

void payload_print_value(const struct invocation *call, kur_bytes value)
{
    if (value.data == NULL || !kur_bytes_is_utf8(value)) {
        payload_print_line(call, "value", value);
        return;
    }
    kur_buffer text = {0}, safe = {0};
    text_put(&text, "");
    payload_put(call, &text, value);
    text_safe(&safe, kur_bytes_of(text.data, text.size), true);
    printf("  value, %zu bytes\n%s\n", value.size, safe.data != NULL ? safe.data : "");
    kur_buffer_done(&text);
    kur_buffer_done(&safe);
}
