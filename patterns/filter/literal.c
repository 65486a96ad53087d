/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Tokens that are values: texts, patterns, and what begins with a digit.
 */
#include <kurier/time.h>

#include "deadletter/deadletter.h"
#include "filter/filter.h"

/* ---- Texts ---- */

enum {
    STAR = 0xff /* for a star that is not escaped, in place of its byte: no byte of UTF-8 */
};

/* An escape, from its backslash on: those of JSON, quotes of either kind, and in patterns a star. */
static bool read_escape(kur__parser *parser, const char **at, const char *end, bool is_pattern, char **to)
{
    const char *start = *at;
    if (start[1] == '\'' || (start[1] == '*' && is_pattern)) {
        *(*to)++ = start[1];
        *at += 2;
        return true;
    }
    kur__json json = {.start = start, .at = start, .end = end};
    char *behind = kur__json_unescape(&json, *to);
    if (behind == NULL)
        return kur__parser_fail(parser, start, KUR_ERROR_SYNTAX,
                                "there is no such escape: expected \\\", \\\\%s, \\n or "
                                "\\u and four hexadecimal digits",
                                is_pattern ? ", \\*" : "");
    *at = json.at;
    *to = behind;
    return true;
}

/* No text is longer than it stands. */
static bool decode(kur__parser *parser, bool is_pattern, kur_bytes *text)
{
    const char *at = parser->token.text.data, *end = at + parser->token.text.size;
    char *start = kur_arena_alloc(parser->arena, parser->token.text.size + 1), *to = start;
    if (start == NULL)
        return kur__parser_no_memory(parser);
    while (at < end) {
        if (*at == '\\') {
            if (!read_escape(parser, &at, end, is_pattern, &to))
                return false;
        } else {
            *to++ = is_pattern && *at == '*' ? (char)STAR : *at;
            at++;
        }
    }
    *text = kur_bytes_of(start, (size_t)(to - start));
    return true;
}

bool kur__literal_text(kur__parser *parser, kur_bytes *text)
{
    return decode(parser, false, text);
}

/* ---- Patterns ---- */

/* As Knuth, Morris and Pratt have it. */
static kur__piece *make_piece(kur__parser *parser, const char *text, size_t size)
{
    kur__piece *piece = kur_arena_alloc(parser->arena, sizeof *piece + size * sizeof *piece->back);
    if (piece == NULL) {
        kur__parser_no_memory(parser);
        return NULL;
    }
    piece->text = kur_bytes_of(text, size);
    for (size_t i = 1, length = 0; i < size; i++) {
        while (length > 0 && text[i] != text[length])
            length = piece->back[length - 1];
        length += text[i] == text[length];
        piece->back[i] = (uint16_t)length;
    }
    return piece;
}

bool kur__literal_pattern(kur__parser *parser, const kur__piece **pattern)
{
    kur_bytes text;
    kur__piece *first = NULL, **last = &first;
    if (!decode(parser, true, &text))
        return false;
    const char *at = text.data, *end = at + text.size, *star = memchr(at, STAR, text.size);
    if (star == NULL)
        return kur__parser_fail(
            parser, parser->token.start, KUR_ERROR_SYNTAX,
            "a pattern without * fits itself alone: expected one such as \"smtp.*\" or \"*time*\", or "
            "= in place of ~");
    for (;; at = star + 1) {
        star = memchr(at, STAR, (size_t)(end - at));
        size_t size = (size_t)((star != NULL ? star : end) - at);
        /* Two stars in a row are one. */
        if (size == 0 && first != NULL && star != NULL)
            continue;
        if ((*last = make_piece(parser, at, size)) == NULL)
            return false;
        last = &(*last)->next;
        if (star == NULL)
            break;
    }
    *pattern = first;
    return true;
}

/* ---- What begins with a digit ---- */

/* 2026-11-28, alone or with a time: nothing else has a - behind four digits. */
static bool is_time(kur_bytes text)
{
    const char *at = text.data;
    return text.size > 4 && at[4] == '-' && strspn(at, "0123456789") == 4;
}

static bool read_time(kur__parser *parser, kur__value *value)
{
    kur_bytes text = parser->token.text;
    int32_t days;
    value->kind = KUR__TIME;
    if (text.size == 10 && kur_date_parse(text.data, text.size, &days, NULL) == KUR_OK)
        value->us = days * (INT64_C(86400) * 1000 * 1000);
    else if (kur_time_parse(text.data, text.size, &value->us, NULL) != KUR_OK)
        return kur__parser_wrong(parser, "expected a time such as 2026-11-28T21:30:00Z, or a date");
    return true;
}

/* False when it has no unit. */
static bool read_unit(kur_bytes text, int64_t *unit_us, size_t *digits)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"ms", 1000},
                 {"s", 1000000},
                 {"m", INT64_C(60) * 1000000},
                 {"h", INT64_C(3600) * 1000000},
                 {"d", INT64_C(86400) * 1000000}};
    *digits = strspn(text.data, "0123456789");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*digits > 0 && kur_bytes_equal(kur_bytes_of((const char *)text.data + *digits, text.size - *digits),
                                           kur_bytes_text(units[i].name))) {
            *unit_us = units[i].us;
            return true;
        }
    return false;
}

static bool read_duration(kur__parser *parser, int64_t unit_us, size_t digits, kur__value *value)
{
    const char *at = parser->token.text.data;
    int64_t number = 0;
    for (size_t i = 0; i < digits; i++) {
        number = number * 10 + (at[i] - '0');
        if (number > INT64_MAX / 10 / unit_us)
            return kur__parser_fail(parser, at, KUR_ERROR_SYNTAX, "the duration is too long");
    }
    value->kind = KUR__DURATION;
    value->us = number * unit_us;
    return true;
}

bool kur__literal_numeral(kur__parser *parser, kur__value *value)
{
    kur_bytes text = parser->token.text;
    const char *end = (const char *)text.data + text.size;
    int64_t unit_us;
    size_t digits;
    *value = (kur__value){.kind = KUR__NUMBER};
    if (is_time(text))
        return read_time(parser, value);
    if (read_unit(text, &unit_us, &digits))
        return read_duration(parser, unit_us, digits, value);
    if (kur__decimal_read(text.data, end, &value->number) != end)
        return kur__parser_wrong(parser, "expected a number such as 17 or -1.5, a duration such as 90s, or a time");
    return true;
}
