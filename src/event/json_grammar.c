/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Whether a text is JSON (RFC 8259), without a value being made. A parser that runs out of memory can say "not JSON" of
 * a text that is: one is tried again, the other is a dead letter, so that the difference has to be certain. Runs only
 * after a failure.
 */
#include <string.h>

#include "event/json.h"

typedef struct cursor {
    const char *at;
    const char *end;
} cursor;

static void skip_space(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool take(cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_word(cursor *c, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(c->end - c->at) < size || memcmp(c->at, word, size) != 0)
        return false;
    c->at += size;
    return true;
}

static size_t take_digits(cursor *c)
{
    const char *start = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return (size_t)(c->at - start);
}

static bool take_number(cursor *c)
{
    take(c, '-');
    const char *first = c->at;
    size_t digits = take_digits(c);
    if (digits == 0 || (digits > 1 && *first == '0'))
        return false;
    if (take(c, '.') && take_digits(c) == 0)
        return false;
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+'))
            take(c, '-');
        return take_digits(c) > 0;
    }
    return true;
}

/* The four digits behind \u, or -1. */
static int take_code(cursor *c)
{
    int code = 0;
    for (int i = 0; i < 4; i++, c->at++) {
        const char *digits = "0123456789abcdefABCDEF", *found;
        if (c->at == c->end || *c->at == '\0' || (found = strchr(digits, *c->at)) == NULL)
            return -1;
        code = code * 16 + (int)(found - digits < 16 ? found - digits : found - digits - 6);
    }
    return code;
}

static bool take_escape(cursor *c)
{
    if (c->at == c->end)
        return false;
    char kind = *c->at++;
    if (kind != 'u')
        return kind != '\0' && strchr("\"\\/bfnrt", kind) != NULL;
    int code = take_code(c);
    /* The grammar lets half a pair of surrogates pass; no parser can make a character of it. */
    if (code >= 0xd800 && code <= 0xdbff) {
        int low = take_word(c, "\\u") ? take_code(c) : -1;
        return low >= 0xdc00 && low <= 0xdfff;
    }
    return code >= 0 && (code < 0xdc00 || code > 0xdfff);
}

static bool take_string(cursor *c)
{
    if (!take(c, '"'))
        return false;
    while (c->at < c->end) {
        unsigned char next = (unsigned char)*c->at++;
        if (next == '"')
            return true;
        if (next < 0x20 || (next == '\\' && !take_escape(c)))
            return false;
    }
    return false;
}

/* Recursion is bounded: who calls has counted the brackets. */
static bool take_value(cursor *c)
{
    skip_space(c);
    if (c->at == c->end)
        return false;
    bool is_object = *c->at == '{';
    if (!is_object && *c->at != '[')
        return *c->at == '"' ? take_string(c)
                             : take_word(c, "true") || take_word(c, "false") || take_word(c, "null") || take_number(c);
    char closing = is_object ? '}' : ']';
    c->at++;
    skip_space(c);
    if (take(c, closing))
        return true;
    do {
        skip_space(c);
        if (is_object && !take_string(c))
            return false;
        skip_space(c);
        if (is_object && !take(c, ':'))
            return false;
        if (!take_value(c))
            return false;
        skip_space(c);
    } while (take(c, ','));
    return take(c, closing);
}

bool kur__json_is_well_formed(kur_bytes json)
{
    cursor c = {json.data, (const char *)json.data + json.size};
    bool whole = take_value(&c);
    skip_space(&c);
    return whole && c.at == c.end;
}
