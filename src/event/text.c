/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Plain values as text: what JSON strings hold, what record keys are, and how defaults and bounds are written in a
 * field list.
 */
#include <float.h>
#include <inttypes.h>
#include <kurier/time.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/error.h"
#include "event/value.h"
#include <kurier/sys/base64.h>

/* ---- Numbers ---- */

bool kur__int64_parse(const char *text, size_t size, int64_t *number)
{
    size_t i = size > 0 && text[0] == '-' ? 1 : 0;
    bool negative = i == 1;
    if (i == size)
        return false;
    int64_t value = 0;
    for (; i < size; i++) {
        int digit = text[i] - '0';
        /* Counted down, for the lowest number has no positive twin. */
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value))
            return false;
    }
    if (!negative && __builtin_sub_overflow(0, value, &value))
        return false;
    *number = value;
    return true;
}

kur_status kur__double_format(double number, bool is_float, kur_buffer *text)
{
    char digits[40];
    /* "-0" would be an integer, which has no sign at zero. */
    if (number == 0 && signbit(number))
        return kur_buffer_append(text, "-0.0", 4);
    /* Any number of so many digits reads back as itself, but for those next to zero, which are kept with fewer bits. */
    bool is_subnormal = fabs(number) < (is_float ? (double)FLT_MIN : DBL_MIN);
    int first = is_subnormal ? 1 : is_float ? FLT_DIG : DBL_DIG;
    int last = is_float ? FLT_DECIMAL_DIG : DBL_DECIMAL_DIG;
    for (int precision = first; precision <= last; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, number);
        bool same = is_float ? strtof(digits, NULL) == (float)number : strtod(digits, NULL) == number;
        if (same)
            break;
    }
    /* The locale may write another sign for the point, of one or more bytes. */
    char *out = digits;
    bool in_point = false;
    for (const char *c = digits; *c != '\0'; c++) {
        bool is_point = strchr("0123456789+-eE", *c) == NULL;
        if (!is_point)
            *out++ = *c;
        else if (!in_point)
            *out++ = '.';
        in_point = is_point;
    }
    return kur__buffer_put(text, digits, (size_t)(out - digits));
}

bool kur__double_parse(const char *text, size_t size, double *number)
{
    char point[16];
    char copy[80];
    snprintf(point, sizeof point, "%.1f", 0.0);
    size_t point_size = strlen(point) - 2; /* without the zeros around it */
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        bool is_point = text[i] == '.';
        if (used + point_size + 1 >= sizeof copy || strchr("0123456789+-eE.", text[i]) == NULL || text[i] == '\0')
            return false;
        memcpy(copy + used, is_point ? point + 1 : text + i, is_point ? point_size : 1);
        used += is_point ? point_size : 1;
    }
    copy[used] = '\0';
    char *end;
    double value = strtod(copy, &end);
    if (used == 0 || *end != '\0' || !isfinite(value))
        return false;
    *number = value;
    return true;
}

/* clang-format off */
const int64_t kur__powers_of_ten[19] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000,
    1000000000000, 10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
    1000000000000000000};
/* clang-format on */

static kur_status format_decimal(const kur_type *type, int64_t unscaled, kur_buffer *text)
{
    char digits[24]; /* 19 digits, a zero before the point, the point, a sign */
    char *end = digits + sizeof digits, *start = end;
    uint64_t rest = unscaled < 0 ? 0 - (uint64_t)unscaled : (uint64_t)unscaled;
    for (int behind = type->scale; rest != 0 || behind >= 0; behind--) {
        if (behind == 0 && type->scale > 0)
            *--start = '.';
        *--start = (char)('0' + rest % 10);
        rest /= 10;
    }
    if (unscaled < 0)
        *--start = '-';
    return kur__buffer_put(text, start, (size_t)(end - start));
}

/* At most `scale` digits behind the point; fewer are filled up with zeros. */
static bool parse_decimal(const kur_type *type, const char *text, size_t size, int64_t *unscaled)
{
    char digits[64];
    size_t used = 0;
    int behind = -1;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '.' && behind < 0 && used > 0 && digits[used - 1] != '-') {
            behind = 0;
            continue;
        }
        if (used == 32 || (behind >= 0 && ++behind > type->scale))
            return false;
        digits[used++] = text[i];
    }
    if (behind == 0)
        return false;
    for (int i = behind < 0 ? 0 : behind; i < type->scale; i++)
        digits[used++] = '0';
    int64_t value;
    if (!kur__int64_parse(digits, used, &value))
        return false;
    int64_t limit = kur__powers_of_ten[type->precision];
    if (value <= -limit || value >= limit)
        return false;
    *unscaled = value;
    return true;
}

/* ---- All kinds ---- */

bool kur__kind_is_text(kur_kind kind)
{
    switch (kind) {
    case KUR_KIND_IS_BYTES:
    case KUR_KIND_IS_FIXED:
    case KUR_KIND_IS_TIMESTAMP:
    case KUR_KIND_IS_DATE:
    case KUR_KIND_IS_DECIMAL:
    case KUR_KIND_IS_UUID:
    case KUR_KIND_IS_ENUM:
        return true;
    default:
        return false;
    }
}

kur_status kur__int64_format(int64_t number, kur_buffer *text)
{
    char digits[24];
    char *end = digits + sizeof digits, *start = end;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do
        *--start = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (number < 0)
        *--start = '-';
    return kur__buffer_put(text, start, (size_t)(end - start));
}

kur_status kur__value_format(const kur_type *type, const void *value, kur_buffer *text)
{
    char storage[KUR_UUID_TEXT_SIZE > KUR_TIME_TEXT_SIZE ? KUR_UUID_TEXT_SIZE : KUR_TIME_TEXT_SIZE];
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_STRING: {
        const char *string = KUR__LOAD(const char *, value);
        return kur__buffer_put(text, string, strlen(string));
    }
    case KUR_KIND_IS_BYTES:
        return kur_base64_write(text, KUR__LOAD(kur_bytes, value));
    case KUR_KIND_IS_FIXED:
        return kur_base64_write(text, kur_bytes_of(value, type->size));
    case KUR_KIND_IS_BOOL:
        return KUR__LOAD(bool, value) ? kur__buffer_put(text, "true", 4) : kur__buffer_put(text, "false", 5);
    case KUR_KIND_IS_INT32:
        return kur__int64_format(KUR__LOAD(int32_t, value), text);
    case KUR_KIND_IS_INT64:
        return kur__int64_format(KUR__LOAD(int64_t, value), text);
    case KUR_KIND_IS_FLOAT:
        return kur__double_format(KUR__LOAD(float, value), true, text);
    case KUR_KIND_IS_DOUBLE:
        return kur__double_format(KUR__LOAD(double, value), false, text);
    case KUR_KIND_IS_TIMESTAMP:
        return kur__buffer_put(text, storage, kur_time_format(KUR__LOAD(int64_t, value), storage));
    case KUR_KIND_IS_DATE:
        return kur__buffer_put(text, storage, kur_date_format(KUR__LOAD(int32_t, value), storage));
    case KUR_KIND_IS_DECIMAL:
        return format_decimal(type, KUR__LOAD(int64_t, value), text);
    case KUR_KIND_IS_UUID:
        kur_uuid_format(value, storage);
        return kur__buffer_put(text, storage, KUR_UUID_TEXT_SIZE - 1);
    case KUR_KIND_IS_ENUM: {
        const char *symbol = kur__symbol_name(type, KUR__LOAD(int32_t, value));
        return kur__buffer_put(text, symbol, strlen(symbol));
    }
    case KUR_KIND_IS_OPTIONAL:
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
    case KUR_KIND_IS_RECORD:
        break;
    }
    return KUR_ERROR_INVALID_ARGUMENT;
}

static bool parse_symbol(const kur_type *type, const char *text, size_t size, int32_t *value)
{
    const char *wanted = text;
    for (int pass = 0; pass < 2 && wanted != NULL; pass++) {
        for (size_t i = 0; i < type->field_count; i++) {
            const char *name = kur__symbol_name(type, (int32_t)i + 1);
            /* The second pass looks for .unknown, which goes by the C name. */
            if (pass == 1 ? strcmp(kur__type_field(type, i)->name, wanted) == 0
                          : strlen(name) == size && memcmp(name, wanted, size) == 0) {
                *value = (int32_t)i + 1;
                return true;
            }
        }
        wanted = type->unknown;
    }
    return false;
}

static kur_status parse_bytes(const char *text, size_t size, kur_arena *arena, void *value, const kur__path *path,
                              kur_error *error)
{
    uint8_t *data = kur_arena_alloc(arena, kur_base64_room(size));
    kur_bytes bytes = {data, 0};
    if (data == NULL)
        return arena != NULL ? kur__error_no_memory(error)
                             : kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, "bytes have no default");
    if (!kur_base64_read(text, size, data, &bytes.size))
        return kur__error_at(error, KUR_ERROR_MISMATCH, path, "expected base64 with padding");
    memcpy(value, &bytes, sizeof bytes);
    return KUR_OK;
}

/* Exactly as many bytes as there are, which the padding tells before any is read. */
static bool parse_fixed(const kur_type *type, const char *text, size_t size, void *value)
{
    size_t padding = 0, made;
    while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
        padding++;
    return kur_base64_room(size) == type->size + padding && kur_base64_read(text, size, value, &made);
}

#define STORE(T, value, number)                                                                                        \
    do {                                                                                                               \
        T stored_ = (T)(number);                                                                                       \
        memcpy(value, &stored_, sizeof stored_);                                                                       \
    } while (0)

kur_status kur__value_parse(const kur_type *type, const char *text, size_t size, kur_arena *arena, void *value,
                            const kur__path *path, kur_error *error)
{
    int64_t integer;
    int32_t small;
    double real;
    kur_uuid uuid;
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_STRING:
        memcpy(value, &text, sizeof text);
        return KUR_OK;
    case KUR_KIND_IS_BYTES:
        return parse_bytes(text, size, arena, value, path, error);
    case KUR_KIND_IS_FIXED:
        if (arena == NULL)
            return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, "bytes have no default");
        if (!parse_fixed(type, text, size, value))
            return kur__error_at(error, KUR_ERROR_MISMATCH, path, "expected base64 of %zu bytes", type->size);
        return KUR_OK;
    case KUR_KIND_IS_BOOL:
        if (!(size == 4 && memcmp(text, "true", 4) == 0) && !(size == 5 && memcmp(text, "false", 5) == 0))
            break;
        STORE(bool, value, size == 4);
        return KUR_OK;
    case KUR_KIND_IS_INT32:
        if (!kur__int64_parse(text, size, &integer) || integer < INT32_MIN || integer > INT32_MAX)
            break;
        STORE(int32_t, value, integer);
        return KUR_OK;
    case KUR_KIND_IS_INT64:
        if (!kur__int64_parse(text, size, &integer))
            break;
        STORE(int64_t, value, integer);
        return KUR_OK;
    case KUR_KIND_IS_FLOAT:
        if (!kur__double_parse(text, size, &real) ||
            !isfinite((float)real)) /* the shortest text of FLT_MAX is above it */
            break;
        STORE(float, value, real);
        return KUR_OK;
    case KUR_KIND_IS_DOUBLE:
        if (!kur__double_parse(text, size, &real))
            break;
        STORE(double, value, real);
        return KUR_OK;
    case KUR_KIND_IS_TIMESTAMP:
        if (kur_time_parse(text, size, &integer, NULL) != KUR_OK)
            break;
        STORE(int64_t, value, integer);
        return KUR_OK;
    case KUR_KIND_IS_DATE:
        if (kur_date_parse(text, size, &small, NULL) != KUR_OK)
            break;
        STORE(int32_t, value, small);
        return KUR_OK;
    case KUR_KIND_IS_DECIMAL:
        if (!parse_decimal(type, text, size, &integer))
            return kur__error_at(error, KUR_ERROR_MISMATCH, path,
                                 "expected a decimal of at most %d digits, %d of them behind the point",
                                 (int)type->precision, (int)type->scale);
        STORE(int64_t, value, integer);
        return KUR_OK;
    case KUR_KIND_IS_UUID:
        if (kur_uuid_parse(text, size, &uuid, NULL) != KUR_OK)
            break;
        memcpy(value, &uuid, sizeof uuid);
        return KUR_OK;
    case KUR_KIND_IS_ENUM:
        if (!parse_symbol(type, text, size, &small))
            return kur__error_at(error, KUR_ERROR_MISMATCH, path, "is not a symbol of %s", type->name);
        STORE(int32_t, value, small);
        return KUR_OK;
    case KUR_KIND_IS_OPTIONAL:
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
    case KUR_KIND_IS_RECORD:
        break;
    }
    return kur__error_at(error, KUR_ERROR_MISMATCH, path, "expected %s, found another text",
                         kur__kind_text((kur_kind)type->kind));
}

kur_status kur__field_default(const kur_field *field, void *value, bool *has, const kur__path *path, kur_error *error)
{
    *has = field->default_text != NULL;
    if (!*has)
        return KUR_OK;
    const char *text = field->default_text;
    if (field->type->kind == KUR_KIND_IS_LIST || field->type->kind == KUR_KIND_IS_MAP) {
        if (strcmp(text, field->type->kind == KUR_KIND_IS_LIST ? "[]" : "{}") != 0)
            return kur__error_at(error, KUR_ERROR_MISMATCH, path, "a container's default can only be an empty one");
        memset(value, 0, field->type->size);
        return KUR_OK;
    }
    return kur__value_parse(field->type, text, strlen(text), NULL, value, path, error);
}
