/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <inttypes.h>
#include <kurier/sys/base64.h>
#include <kurier/time.h>
#include <stdio.h>

#include "text.h"

static void put_string(kur_buffer *json, kur_bytes text)
{
    static const char letters[] = "\"\\bfnrt", meant[] = "\"\\\b\f\n\r\t";
    const uint8_t *at = text.data, *end = at + text.size;
    text_put(json, "\"");
    while (at < end) {
        size_t size;
        int32_t c = text_character(kur_bytes_of(at, (size_t)(end - at)), &size);
        const char *letter = c > 0 && c < 0x80 ? strchr(meant, c) : NULL;
        if (letter != NULL)
            text_need(kur_buffer_print(json, "\\%c", letters[letter - meant]));
        else if (c >= 0x20 && c < 0x7f)
            text_need(kur_buffer_append(json, at, 1));
        else if (c < 0)
            text_put(json, "\\ufffd");
        else if (c < 0x10000)
            text_need(kur_buffer_print(json, "\\u%04x", (unsigned)c));
        else
            text_need(
                kur_buffer_print(json, "\\u%04x\\u%04x", 0xd7c0 + ((unsigned)c >> 10), 0xdc00 + ((unsigned)c & 0x3ff)));
        at += size;
    }
    text_put(json, "\"");
}

static void name_it(kur_buffer *json, const char *name)
{
    if (json->size > 0 && strchr("{[", json->data[json->size - 1]) == NULL)
        text_put(json, ",");
    if (name == NULL)
        return;
    put_string(json, kur_bytes_text(name));
    text_put(json, ":");
}

void json_open(kur_buffer *json, const char *name, char bracket)
{
    if (json->size > 0)
        name_it(json, name);
    text_need(kur_buffer_append(json, &bracket, 1));
}

void json_close(kur_buffer *json, char bracket)
{
    text_need(kur_buffer_append(json, &bracket, 1));
}

void json_null(kur_buffer *json, const char *name)
{
    name_it(json, name);
    text_put(json, "null");
}

void json_text(kur_buffer *json, const char *name, const char *text)
{
    if (text == NULL) {
        json_null(json, name);
        return;
    }
    name_it(json, name);
    put_string(json, kur_bytes_text(text));
}

void json_bytes(kur_buffer *json, const char *name, kur_bytes bytes)
{
    if (bytes.data == NULL) {
        json_null(json, name);
        return;
    }
    name_it(json, name);
    if (kur_bytes_is_utf8(bytes)) {
        put_string(json, bytes);
        return;
    }
    text_put(json, "{\"base64\":\"");
    text_need(kur_base64_write(json, bytes));
    text_put(json, "\"}");
}

void json_number(kur_buffer *json, const char *name, int64_t number)
{
    name_it(json, name);
    text_need(kur_buffer_print(json, "%" PRId64, number));
}

void json_bool(kur_buffer *json, const char *name, bool value)
{
    name_it(json, name);
    text_put(json, value ? "true" : "false");
}

void json_time(kur_buffer *json, const char *name, int64_t time_us)
{
    char text[KUR_TIME_TEXT_SIZE];
    json_text(json, name, time_us >= 0 && kur_time_format(time_us, text) > 0 ? text : NULL);
}

void json_print(struct objects *objects, kur_buffer *object)
{
    if (objects->output == OUTPUT_JSON)
        fputs(objects->count == 0 ? "[" : ",\n ", stdout);
    fwrite(object->data, 1, object->size, stdout);
    if (objects->output == OUTPUT_JSONL)
        putchar('\n');
    objects->count++;
    object->size = 0;
}

void json_end(struct objects *objects)
{
    if (objects->output == OUTPUT_JSON)
        fputs(objects->count == 0 ? "[]\n" : "]\n", stdout);
}
