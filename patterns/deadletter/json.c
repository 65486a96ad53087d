/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: JSON (RFC 8259) from its front, for lines of letters and the audit's values, in one pass and without a
 * tree: a line may be as long as the largest record, for which <kurier/json.h> is too small. The caller has checked
 * that the text is UTF-8. Numbers are integers; nothing else is needed here.
 */
#include <string.h>

#include "deadletter/deadletter.h"

enum {
    DEPTH_MAX = 64,
    ESCAPE_MAX = 12 /* a pair of surrogates */
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

static bool is_plain(unsigned char c, bool is_written)
{
    return c >= 0x20 && c != '"' && c != '\\' && (!is_written || c < 0x7f);
}

/* How many bytes from the front stand for themselves in a string; what is written is ASCII. Eight at a time. */
static size_t count_plain(const char *text, size_t size, bool is_written)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    size_t i = 0;
    for (uint64_t word; i + sizeof word <= size; i += sizeof word) {
        memcpy(&word, text + i, sizeof word);
        uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\', above = word | (word + ones);
        uint64_t found = ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash);
        /* Never wrongly none; a byte that is found wrongly is looked at below. */
        if (((found | (is_written ? above : 0)) & tops) != 0)
            break;
    }
    while (i < size && is_plain((unsigned char)text[i], is_written))
        i++;
    return i;
}

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

char *kur__json_unescape(kur__json *json, char *to)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (json->end - json->at < 2)
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "the text ends in a string"), NULL;
    char kind = json->at[1];
    const char *letter = kind != '\0' ? strchr(letters, kind) : NULL;
    unsigned c = letter != NULL ? (unsigned char)meant[letter - letters] : 0;
    json->at += 2;
    if (letter == NULL && kind != 'u')
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "there is no such escape"), NULL;
    if (letter == NULL && !read_escaped(json, &c))
        return NULL;
    return put_character(to, c);
}

/* No string is longer than it stands with its quotes, so that all of a text have room in one place of its size. */
bool kur__json_string(kur__json *json, kur_bytes *text)
{
    skip_space(json);
    if (json->at == json->end || *json->at != '"')
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "expected a string");
    if (json->strings == NULL && (json->strings = kur_arena_alloc(json->arena, (size_t)(json->end - json->at))) == NULL)
        return kur__json_fail(json, KUR_ERROR_NO_MEMORY, "out of memory");
    json->at++;
    for (char *start = json->strings, *to = start;;) {
        size_t plain = count_plain(json->at, (size_t)(json->end - json->at), false);
        memcpy(to, json->at, plain);
        to += plain;
        json->at += plain;
        if (json->at == json->end)
            return kur__json_fail(json, KUR_ERROR_SYNTAX, "the text ends in a string");
        if (*json->at == '"') {
            json->at++;
            *to = '\0';
            json->strings = to + 1;
            *text = kur_bytes_of(start, (size_t)(to - start));
            return true;
        }
        if (*json->at != '\\')
            return kur__json_fail(json, KUR_ERROR_SYNTAX, "a control character in a string");
        if ((to = kur__json_unescape(json, to)) == NULL)
            return false;
    }
}

static bool skip_string(kur__json *json)
{
    for (json->at++;; json->at += 2) {
        json->at += count_plain(json->at, (size_t)(json->end - json->at), false);
        if (json->at == json->end || (*json->at == '\\' && json->end - json->at < 2))
            return kur__json_fail(json, KUR_ERROR_SYNTAX, "the text ends in a string");
        if (*json->at == '"') {
            json->at++;
            return true;
        }
        if (*json->at != '\\')
            return kur__json_fail(json, KUR_ERROR_SYNTAX, "a control character in a string");
    }
}

bool kur__json_quoted(kur__json *json, kur_bytes *inside)
{
    skip_space(json);
    if (json->at == json->end || *json->at != '"')
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "expected a string");
    const char *start = json->at + 1;
    if (!skip_string(json))
        return false;
    *inside = kur_bytes_of(start, (size_t)(json->at - start) - 1);
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
    return skip_string(json);
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

static char *put_unit(char *to, unsigned unit)
{
    static const char digits[] = "0123456789abcdef";
    *to++ = '\\';
    *to++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *to++ = digits[unit >> shift & 15];
    return to;
}

static char *put_escape(char *to, unsigned c)
{
    static const char letters[] = "\"\\bfnrt", meant[] = "\"\\\b\f\n\r\t";
    const char *letter = c != 0 && c < 0x80 ? strchr(meant, (int)c) : NULL;
    if (letter != NULL) {
        *to++ = '\\';
        *to++ = letters[letter - meant];
        return to;
    }
    if (c < 0x10000)
        return put_unit(to, c);
    return put_unit(put_unit(to, 0xd7c0 + (c >> 10)), 0xdc00 + (c & 0x3ff));
}

kur_status kur__json_write(kur_buffer *to, kur_bytes text)
{
    const char *at = text.data, *end = at + text.size;
    size_t before = to->size, size;
    kur_status status = kur_buffer_reserve(to, text.size + 2);
    if (status != KUR_OK)
        return status;
    to->data[to->size++] = '"';
    for (;;) {
        size_t plain = count_plain(at, (size_t)(end - at), true);
        memcpy(to->data + to->size, at, plain);
        to->size += plain;
        at += plain;
        if (at == end)
            break;
        /* An escape, and what is left with its quote when all of that is plain. */
        status = kur_buffer_reserve(to, ESCAPE_MAX + (size_t)(end - at) + 1);
        if (status != KUR_OK) {
            to->size = before;
            to->data[before] = '\0';
            return status;
        }
        unsigned c = character_at((const uint8_t *)at, &size);
        to->size = (size_t)(put_escape(to->data + to->size, c) - to->data);
        at += size;
    }
    to->data[to->size++] = '"';
    to->data[to->size] = '\0';
    return KUR_OK;
}
