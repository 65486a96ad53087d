/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: how values compare. Texts are compared byte by byte as they come out of JSON, so that nothing is copied
 * and no memory is needed, however long they are; a byte that is no UTF-8 is a byte. Numbers are decimals, as they are
 * written: 0.1 is 0.1, and a large id keeps its last digit. A pattern is matched in one pass: its first piece must
 * begin the text, each one between two stars is looked for behind the one before, the earliest place counts, and the
 * last one must end the text.
 */
#include <kurier/time.h>

#include "deadletter/deadletter.h"
#include "filter/filter.h"

enum {
    DIGITS_MAX = 19, /* of which any number fits 64 bits */
    EXPONENT_MAX = 1000000000,
    SHORT_MAX = 64
};

/* ---- Numbers ---- */

static bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* Takes digits up; `shift` is what each of them does to the exponent: 0 before the point, -1 behind it. */
static const char *read_digits(const char *at, const char *end, int shift, kur__decimal *number, int *count)
{
    for (; is_digit(at, end); at++) {
        if (*count == DIGITS_MAX) {
            number->exponent += shift + 1;
            continue;
        }
        number->digits = number->digits * 10 + (uint64_t)(*at - '0');
        number->exponent += shift;
        *count += number->digits > 0;
    }
    return at;
}

static const char *read_exponent(const char *at, const char *end, kur__decimal *number)
{
    bool is_negative = at < end && *at == '-';
    int64_t exponent = 0;
    at += at < end && (*at == '-' || *at == '+');
    if (!is_digit(at, end))
        return NULL;
    for (; is_digit(at, end); at++)
        if (exponent < EXPONENT_MAX)
            exponent = exponent * 10 + (*at - '0');
    number->exponent += is_negative ? -exponent : exponent;
    return at;
}

const char *kur__decimal_read(const char *at, const char *end, kur__decimal *number)
{
    int count = 0;
    *number = (kur__decimal){.is_negative = at < end && *at == '-'};
    at += number->is_negative;
    if (!is_digit(at, end) || (*at == '0' && is_digit(at + 1, end)))
        return NULL;
    at = read_digits(at, end, 0, number, &count);
    if (at < end && *at == '.') {
        if (!is_digit(at + 1, end))
            return NULL;
        at = read_digits(at + 1, end, -1, number, &count);
    }
    if (at < end && (*at == 'e' || *at == 'E'))
        at = read_exponent(at + 1, end, number);
    if (number->digits == 0)
        *number = (kur__decimal){0};
    return at;
}

kur__decimal kur__decimal_of(int64_t number)
{
    return (kur__decimal){.is_negative = number < 0,
                          .digits = number < 0 ? UINT64_C(0) - (uint64_t)number : (uint64_t)number};
}

static int digits_of(uint64_t number)
{
    int count = 0;
    for (; number > 0; number /= 10)
        count++;
    return count;
}

static int compare_sizes(const kur__decimal *a, const kur__decimal *b)
{
    if (a->digits == 0 || b->digits == 0)
        return (a->digits > 0) - (b->digits > 0);
    int a_count = digits_of(a->digits), b_count = digits_of(b->digits);
    int64_t a_top = a_count + a->exponent, b_top = b_count + b->exponent;
    if (a_top != b_top)
        return a_top < b_top ? -1 : 1;
    uint64_t a_digits = a->digits, b_digits = b->digits;
    for (; a_count < b_count; a_count++)
        a_digits *= 10;
    for (; b_count < a_count; b_count++)
        b_digits *= 10;
    return (a_digits > b_digits) - (a_digits < b_digits);
}

int kur__decimal_compare(const kur__decimal *a, const kur__decimal *b)
{
    if (a->is_negative != b->is_negative)
        return a->is_negative ? -1 : 1;
    return a->is_negative ? compare_sizes(b, a) : compare_sizes(a, b);
}

/* ---- Texts ---- */

/* A text as it comes out, byte by byte. */
typedef struct stream {
    const char *at, *end;
    bool has_escapes, is_broken;
    char escaped[4]; /* of a character that was escaped the bytes that are still to come */
    uint8_t next, count;
} stream;

static stream stream_of(const kur__value *value)
{
    return (stream){.at = value->text.data,
                    .end = (const char *)value->text.data + value->text.size,
                    .has_escapes = value->has_escapes};
}

/* The next byte; -1 at the end, and for what is no valid escape. */
static int take(stream *from)
{
    if (from->next < from->count)
        return (uint8_t)from->escaped[from->next++];
    if (from->at == from->end)
        return -1;
    if (*from->at != '\\' || !from->has_escapes)
        return (uint8_t)*from->at++;
    kur__json json = {.start = from->at, .at = from->at, .end = from->end};
    char *behind = kur__json_unescape(&json, from->escaped);
    if (behind == NULL) {
        from->is_broken = true;
        from->at = from->end;
        return -1;
    }
    from->at = json.at;
    from->count = (uint8_t)(behind - from->escaped);
    from->next = 1;
    return (uint8_t)from->escaped[0];
}

static bool compare_texts(const kur__value *value, const kur__value *literal, int *order)
{
    stream from = stream_of(value), to = stream_of(literal);
    int a, b;
    do {
        a = take(&from);
        b = take(&to);
    } while (a == b && a >= 0);
    *order = (a > b) - (a < b);
    return !from.is_broken;
}

/* A text that may be a time or a number, whole; 0 when it has no room, which is longer than either is written. */
static size_t copy_short(const kur__value *value, char text[SHORT_MAX])
{
    size_t size = 0;
    stream from = stream_of(value);
    for (int c; size < SHORT_MAX && (c = take(&from)) >= 0; size++)
        text[size] = (char)c;
    return size < SHORT_MAX && !from.is_broken ? size : 0;
}

static bool time_of(const kur__value *value, int64_t *us)
{
    char text[SHORT_MAX];
    size_t size = copy_short(value, text);
    return size > 0 && kur_time_parse(text, size, us, NULL) == KUR_OK;
}

kur__value kur__value_number(const kur__value *value)
{
    kur__value number = {.kind = KUR__NUMBER};
    char text[SHORT_MAX];
    size_t size = value->kind == KUR__TEXT ? copy_short(value, text) : 0;
    if (value->kind == KUR__NUMBER)
        return *value;
    if (size == 0 || kur__decimal_read(text, text + size, &number.number) != text + size)
        number.kind = KUR__NULL;
    return number;
}

bool kur__value_compare(const kur__value *value, const kur__value *literal, int *order)
{
    int64_t us = value->us;
    bool is_time = literal->kind == KUR__TIME && value->kind == KUR__TEXT;
    if (is_time ? !time_of(value, &us) : value->kind != literal->kind)
        return false;
    switch (literal->kind) {
    case KUR__TEXT:
        return compare_texts(value, literal, order);
    case KUR__NUMBER:
        *order = kur__decimal_compare(&value->number, &literal->number);
        return true;
    case KUR__BOOLEAN:
        *order = value->boolean - literal->boolean;
        return true;
    case KUR__DURATION:
    case KUR__TIME:
        *order = (us > literal->us) - (us < literal->us);
        return true;
    case KUR__NULL:
    case KUR__COMPOUND:
        break;
    }
    return false;
}

/* ---- Patterns ---- */

/* How many bytes of a piece stand at the end of what was read, with one more byte. */
static size_t advance(const kur__piece *piece, size_t length, uint8_t byte)
{
    const uint8_t *text = piece->text.data;
    if (length == piece->text.size && length > 0)
        length = piece->back[length - 1];
    while (length > 0 && text[length] != byte)
        length = piece->back[length - 1];
    return length + (length < piece->text.size && text[length] == byte);
}

/* Passes over what cannot begin the piece, many bytes at a time; behind the last star anything will do. */
static void skip(stream *from, const kur__piece *piece)
{
    size_t left = (size_t)(from->end - from->at);
    if (from->has_escapes || left == 0)
        return;
    const uint8_t *text = piece->text.data;
    const char *next = piece->text.size > 0 ? memchr(from->at, text[0], left) : NULL;
    from->at = next != NULL ? next : from->end;
}

bool kur__pattern_fits(const kur__piece *pattern, const kur__value *value)
{
    if (value->kind != KUR__TEXT)
        return false;
    stream from = stream_of(value);
    const uint8_t *beginning = pattern->text.data;
    size_t length = 0;
    int byte;
    for (size_t i = 0; i < pattern->text.size; i++)
        if (take(&from) != beginning[i])
            return false;
    const kur__piece *piece = pattern->next;
    for (;;) {
        if (length == 0)
            skip(&from, piece);
        if ((byte = take(&from)) < 0)
            break;
        length = advance(piece, length, (uint8_t)byte);
        if (length == piece->text.size && piece->next != NULL) {
            piece = piece->next;
            length = 0;
        }
    }
    return !from.is_broken && piece->next == NULL && length == piece->text.size;
}
