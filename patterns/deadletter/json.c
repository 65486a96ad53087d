/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: JSON (RFC 8259) from its front, for lines of letters and the audit's values, in one pass and without a
 * tree: a line may be as long as the largest record, for which <kurier/json.h> is too small. The caller has checked
 * that the text is UTF-8. Numbers are integers; nothing else is needed here.
 */
#include <inttypes.h>
#include <string.h>

#include "deadletter/deadletter.h"

enum {
    DEPTH_MAX = 64
};

bool kur__json_fail(kur__json *json, kur_status status, const char *what)
{
    if (json->status == KUR_OK)
        json->status = kur_error_set(json->error, status, "character %td: %s", json->at - json->start + 1, what);
    return false;
}

static void skip_space(kur__json *json)
{
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
        json->at++;
}

bool kur__json_take(kur__json *json, char character)
{
    skip_space(json);
    if (json->at == json->end || *json->at != character)
        return false;
    json->at++;
    return true;
}

bool kur__json_need(kur__json *json, char character)
{
    char what[] = "expected '?'";
    what[10] = character;
    return kur__json_take(json, character) || kur__json_fail(json, KUR_ERROR_SYNTAX, what);
}

bool kur__json_word(kur__json *json, const char *word)
{
    size_t size = strlen(word);
    skip_space(json);
    if ((size_t)(json->end - json->at) < size || memcmp(json->at, word, size) != 0)
        return false;
    json->at += size;
    return true;
}

bool kur__json_is_over(kur__json *json)
{
    skip_space(json);
    return json->at == json->end;
}

bool kur__json_integer(kur__json *json, int64_t *number)
{
    skip_space(json);
    const char *at = json->at;
    bool is_negative = at < json->end && *at == '-';
    uint64_t value = 0, limit = is_negative ? UINT64_C(1) << 63 : INT64_MAX;
    const char *digits = at += is_negative;
    for (; at < json->end && *at >= '0' && *at <= '9'; at++) {
        if (value > (limit - (uint64_t)(*at - '0')) / 10)
            return kur__json_fail(json, KUR_ERROR_SYNTAX, "the number is too large");
        value = value * 10 + (uint64_t)(*at - '0');
    }
    if (at == digits || (*digits == '0' && at > digits + 1) || (at < json->end && strchr(".eE", *at) != NULL))
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "expected an integer");
    json->at = at;
    *number = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* ---- Strings ---- */

static bool read_hex(kur__json *json, unsigned *number)
{
    *number = 0;
    if (json->end - json->at < 4)
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "the text ends in a string");
    for (int i = 0; i < 4; i++) {
        char c = *json->at++;
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return kur__json_fail(json, KUR_ERROR_SYNTAX, "\\u needs four hexadecimal digits");
        *number = *number << 4 | (unsigned)digit;
    }
    return true;
}

static char *put_character(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        *to++ = (char)(0x80 | (c & 0x3f));
    return to;
}

/* Behind \u; surrogates in pairs alone. */
static bool read_escaped(kur__json *json, unsigned *c)
{
    unsigned low;
    if (!read_hex(json, c))
        return false;
    if (*c < 0xd800 || *c > 0xdfff)
        return true;
    if (*c > 0xdbff || json->end - json->at < 6 || json->at[0] != '\\' || json->at[1] != 'u')
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "half of a surrogate pair");
    json->at += 2;
    if (!read_hex(json, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "half of a surrogate pair");
    *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* The place of the closing quote; NULL with an error. */
static const char *find_end(kur__json *json)
{
    for (const char *at = json->at; at < json->end; at++) {
        if (*at == '"')
            return at;
        if (*at == '\\')
            at++;
        else if ((unsigned char)*at < 0x20) {
            json->at = at;
            kur__json_fail(json, KUR_ERROR_SYNTAX, "a control character in a string");
            return NULL;
        }
    }
    kur__json_fail(json, KUR_ERROR_SYNTAX, "the text ends in a string");
    return NULL;
}

/* Behind the opening quote. No text is longer than it stands, so that `to` has the room. */
static bool decode(kur__json *json, const char *end, char *to, char **behind)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    while (json->at < end) {
        const char *escape = memchr(json->at, '\\', (size_t)(end - json->at));
        size_t plain = (size_t)((escape != NULL ? escape : end) - json->at);
        memcpy(to, json->at, plain);
        to += plain;
        json->at += plain;
        if (escape == NULL)
            break;
        char kind = *++json->at;
        const char *letter = kind != '\0' ? strchr(letters, kind) : NULL;
        unsigned c = letter != NULL ? (unsigned char)meant[letter - letters] : 0;
        json->at++;
        if (letter == NULL && kind != 'u')
            return kur__json_fail(json, KUR_ERROR_SYNTAX, "there is no such escape");
        if (letter == NULL && !read_escaped(json, &c))
            return false;
        to = put_character(to, c);
    }
    *behind = to;
    return true;
}

bool kur__json_string(kur__json *json, kur_bytes *text)
{
    skip_space(json);
    if (json->at == json->end || *json->at != '"')
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "expected a string");
    json->at++;
    const char *end = find_end(json);
    if (end == NULL)
        return false;
    char *to = kur_arena_alloc(json->arena, (size_t)(end - json->at) + 1), *behind;
    if (to == NULL)
        return kur__json_fail(json, KUR_ERROR_NO_MEMORY, "out of memory");
    if (!decode(json, end, to, &behind))
        return false;
    *behind = '\0';
    json->at = end + 1;
    *text = kur_bytes_of(to, (size_t)(behind - to));
    return true;
}

/* ---- Whatever else ---- */

bool kur__json_member(kur__json *json, bool *is_first, kur_bytes *name)
{
    if (kur__json_take(json, '}'))
        return false;
    if (!*is_first && !kur__json_need(json, ','))
        return false;
    *is_first = false;
    return kur__json_string(json, name) && kur__json_need(json, ':');
}

static bool skip_number(kur__json *json)
{
    const char *start = json->at;
    while (json->at < json->end && strchr("+-.0123456789eE", *json->at) != NULL && *json->at != '\0')
        json->at++;
    return json->at > start || kur__json_fail(json, KUR_ERROR_SYNTAX, "expected a value");
}

static bool skip_scalar(kur__json *json)
{
    if (*json->at != '"')
        return kur__json_word(json, "null") || kur__json_word(json, "true") || kur__json_word(json, "false") ||
               skip_number(json);
    json->at++;
    const char *end = find_end(json);
    if (end != NULL)
        json->at = end + 1;
    return end != NULL;
}

static bool skip_name(kur__json *json)
{
    skip_space(json);
    if (json->at == json->end || *json->at != '"')
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "expected a name");
    return skip_scalar(json) && kur__json_need(json, ':');
}

/* A stack of what is open, in place of recursion. */
bool kur__json_skip(kur__json *json)
{
    char open[DEPTH_MAX];
    int depth = 0;
    do {
        skip_space(json);
        if (json->at == json->end)
            return kur__json_fail(json, KUR_ERROR_SYNTAX, "the text ends in a value");
        bool is_open = *json->at == '{' || *json->at == '[';
        if (is_open) {
            if (depth == DEPTH_MAX)
                return kur__json_fail(json, KUR_ERROR_TOO_LARGE, "nests too deep");
            open[depth++] = *json->at++ == '{' ? '}' : ']';
        } else if (!skip_scalar(json)) {
            return false;
        }
        /* Behind a value, or behind what opens: ends, a comma, or the first member. */
        while (depth > 0 && kur__json_take(json, open[depth - 1])) {
            depth--;
            is_open = false;
        }
        if (depth > 0 && !is_open && !kur__json_need(json, ','))
            return false;
        if (depth > 0 && open[depth - 1] == '}' && !skip_name(json))
            return false;
    } while (depth > 0);
    return true;
}

/* ---- Writing ---- */

/* The character at `text`, which is UTF-8. */
static unsigned character_at(const uint8_t *text, size_t *size)
{
    unsigned c = text[0];
    *size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    c = *size == 1 ? c : c & (0xffU >> (*size + 1));
    for (size_t i = 1; i < *size; i++)
        c = c << 6 | (text[i] & 0x3fU);
    return c;
}

static kur_status write_escaped(kur_buffer *to, unsigned c)
{
    static const char letters[] = "\"\\bfnrt", meant[] = "\"\\\b\f\n\r\t";
    const char *letter = c != 0 && c < 0x80 ? strchr(meant, (int)c) : NULL;
    if (letter != NULL)
        return kur_buffer_append(to, (const char[]){'\\', letters[letter - meant]}, 2);
    if (c < 0x10000)
        return kur_buffer_print(to, "\\u%04x", c);
    return kur_buffer_print(to, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

kur_status kur__json_write(kur_buffer *to, kur_bytes text)
{
    const uint8_t *at = text.data, *end = at + text.size;
    size_t before = to->size;
    kur_status status = kur_buffer_append(to, "\"", 1);
    while (at < end && status == KUR_OK) {
        const uint8_t *plain = at;
        while (at < end && *at >= 0x20 && *at < 0x7f && *at != '"' && *at != '\\')
            at++;
        status = kur_buffer_append(to, plain, (size_t)(at - plain));
        if (at < end && status == KUR_OK) {
            size_t size;
            status = write_escaped(to, character_at(at, &size));
            at += size;
        }
    }
    if (status == KUR_OK)
        status = kur_buffer_append(to, "\"", 1);
    if (status != KUR_OK && to->data != NULL) {
        to->size = before;
        to->data[before] = '\0';
    }
    return status;
}
