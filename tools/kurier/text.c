/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <kurier/time.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"

void text_need(kur_status status)
{
    if (status == KUR_OK)
        return;
    fputs("kurier: out of memory\n", stderr);
    exit(EXIT_FAILED);
}

void text_put(kur_buffer *to, const char *text)
{
    text_need(kur_buffer_append(to, text, strlen(text)));
}

int32_t text_character(kur_bytes bytes, size_t *size)
{
    const uint8_t *at = bytes.data;
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    *size = 1;
    if (length > bytes.size || !kur_bytes_is_utf8(kur_bytes_of(at, length)))
        return -1;
    int32_t character = length == 1 ? at[0] : at[0] & (0xff >> (length + 1));
    for (size_t i = 1; i < length; i++)
        character = character << 6 | (at[i] & 0x3f);
    *size = length;
    return character;
}

bool text_is_sign(int32_t c)
{
    return c >= 0x20 && !(c >= 0x7f && c <= 0x9f) && c != 0xad && c != 0x61c && !(c >= 0x200b && c <= 0x200f) &&
           !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2060 && c <= 0x206f) && c != 0xfeff &&
           !(c >= 0xfff9 && c <= 0xfffb) && !(c >= 0xe0000 && c <= 0xe0fff);
}

size_t text_width(kur_bytes text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.size; i++)
        width += (((const uint8_t *)text.data)[i] & 0xc0) != 0x80;
    return width;
}

void text_cut(kur_buffer *text, size_t width)
{
    if (text_width(kur_bytes_of(text->data, text->size)) <= width)
        return;
    size_t at = 0;
    for (size_t left = width; at < text->size; at++)
        if (((unsigned char)text->data[at] & 0xc0) != 0x80 && left-- == 1)
            break;
    text->size = at;
    text_put(text, "…");
}

static void put_order(kur_buffer *to, int32_t character, uint8_t byte)
{
    if (character == '\n')
        text_put(to, "\\n");
    else if (character == '\t')
        text_put(to, "\\t");
    else if (character == '\r')
        text_put(to, "\\r");
    else if (character < 0x80)
        text_need(kur_buffer_print(to, "\\x%02x", byte));
    else
        text_need(kur_buffer_print(to, character < 0x10000 ? "\\u%04" PRIx32 : "\\U%08" PRIx32, (uint32_t)character));
}

void text_safe(kur_buffer *to, kur_bytes text, bool keeps_lines)
{
    const uint8_t *at = text.data, *end = at != NULL ? at + text.size : NULL;
    while (at < end) {
        size_t size;
        int32_t character = text_character(kur_bytes_of(at, (size_t)(end - at)), &size);
        if (text_is_sign(character) || (keeps_lines && (character == '\n' || character == '\t')))
            text_need(kur_buffer_append(to, at, size));
        else
            put_order(to, character, *at);
        at += size;
    }
}

/* ---- Times ---- */

void text_time(kur_buffer *to, int64_t time_us)
{
    char text[KUR_TIME_TEXT_SIZE];
    if (time_us < 0 || kur_time_format(time_us, text) < 19) {
        text_put(to, "-");
        return;
    }
    text[10] = ' ';
    text[19] = '\0';
    text_put(to, text);
}

void text_duration(kur_buffer *to, int64_t duration_us)
{
    int64_t seconds = duration_us / 1000000;
    if (duration_us < 0)
        text_put(to, "-");
    else if (seconds < 60)
        text_need(kur_buffer_print(to, "%" PRId64 "s", seconds));
    else if (seconds < 3600)
        text_need(kur_buffer_print(to, "%" PRId64 "m %" PRId64 "s", seconds / 60, seconds % 60));
    else if (seconds < 86400)
        text_need(kur_buffer_print(to, "%" PRId64 "h %" PRId64 "m", seconds / 3600, seconds / 60 % 60));
    else
        text_need(kur_buffer_print(to, "%" PRId64 "d %" PRId64 "h", seconds / 86400, seconds / 3600 % 24));
}

bool text_read_number(const char *text, int64_t least, int64_t most, int64_t *number)
{
    char *end;
    errno = 0;
    long long value = text != NULL && text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : -1;
    if (value < 0 || *end != '\0' || errno != 0 || value < least || value > most)
        return false;
    *number = value;
    return true;
}

bool text_read_duration(const char *text, int64_t *duration_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char *end;
    errno = 0;
    long long value = text != NULL && text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : -1;
    if (value <= 0 || errno != 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0 && value <= INT64_MAX / 1000 / units[i].ms) {
            *duration_ms = value * units[i].ms;
            return true;
        }
    return false;
}
