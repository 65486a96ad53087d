/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: every function here walks a value by its descriptor, recursively. Depth is bounded by KUR_DEPTH_MAX,
 * for a record may contain a list of its own kind. The path of the place lives on the stack of the walk and is put into
 * words only when something is wrong.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <kurier/sys/memory.h>
#include <kurier/time.h>

#include "base/error.h"
#include "base/time.h"
#include "event/value.h"

/* ---- Names and paths ---- */

const char *kur__kind_text(kur_kind kind)
{
    switch (kind) {
    case KUR_KIND_IS_STRING:
        return "string";
    case KUR_KIND_IS_BYTES:
    case KUR_KIND_IS_FIXED:
        return "base64 string";
    case KUR_KIND_IS_BOOL:
        return "true or false";
    case KUR_KIND_IS_INT32:
    case KUR_KIND_IS_INT64:
        return "integer";
    case KUR_KIND_IS_FLOAT:
    case KUR_KIND_IS_DOUBLE:
        return "number";
    case KUR_KIND_IS_TIMESTAMP:
        return "time such as 2026-01-31T12:00:00Z";
    case KUR_KIND_IS_DATE:
        return "date such as 2026-01-31";
    case KUR_KIND_IS_DECIMAL:
        return "decimal in a string";
    case KUR_KIND_IS_UUID:
        return "UUID";
    case KUR_KIND_IS_ENUM:
        return "symbol";
    case KUR_KIND_IS_OPTIONAL:
        return "optional";
    case KUR_KIND_IS_LIST:
        return "list";
    case KUR_KIND_IS_MAP:
    case KUR_KIND_IS_RECORD:
        return "object";
    }
    return "?";
}

const char *kur__field_name(const kur_type *record, const kur_field *field, char storage[KUR__NAME_MAX])
{
    if (field->json != NULL)
        return field->json;
    if (record->names != KUR_CAMEL_CASE || strlen(field->name) >= KUR__NAME_MAX)
        return field->name;
    char *out = storage;
    bool upper = false;
    for (const char *c = field->name; *c != '\0'; c++) {
        if (*c == '_' && out != storage && c[1] != '\0') {
            upper = true;
            continue;
        }
        *out++ = upper && *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        upper = false;
    }
    *out = '\0';
    return storage;
}

const char *kur__symbol_name(const kur_type *type, int32_t value)
{
    if (value < 1 || (size_t)value > type->field_count)
        return "?";
    const kur_field *symbol = kur__type_field(type, (size_t)value - 1);
    return symbol->json != NULL ? symbol->json : symbol->name;
}

static void append_path(char *text, size_t size, const kur__path *path)
{
    if (path == NULL)
        return;
    append_path(text, size, path->up);
    size_t used = strlen(text);
    /* A long key must not push the reason out of the message. */
    if (path->name == NULL && path->index == KUR__ANY_ITEM)
        snprintf(text + used, size - used, "[]");
    else if (path->name == NULL)
        snprintf(text + used, size - used, "[%zu]", path->index);
    else if (path->is_key)
        snprintf(text + used, size - used, "[\"%.40s\"]", path->name);
    else
        snprintf(text + used, size - used, "%s%.64s", used > 0 ? "." : "", path->name);
}

kur_status kur__error_at(kur_error *error, kur_status status, const kur__path *path, const char *format, ...)
{
    if (error == NULL)
        return status;
    char where[256] = "";
    char what[256];
    append_path(where, sizeof where, path);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return kur_error_set(error, status, "%s%s%s", where, where[0] != '\0' ? ": " : "", what);
}

/* ---- Single values ---- */

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static kur_status check_length(const kur_field *field, size_t length, const char *unit, const kur__path *path,
                               kur_error *error)
{
    if (field == NULL)
        return KUR_OK;
    if (length < field->min_length)
        return kur__error_at(error, KUR_ERROR_CONSTRAINT, path, "must have at least %" PRIu32 " %s, has %zu",
                             field->min_length, unit, length);
    if (field->max_length != 0 && length > field->max_length)
        return kur__error_at(error, KUR_ERROR_CONSTRAINT, path, "must have at most %" PRIu32 " %s, has %zu",
                             field->max_length, unit, length);
    return KUR_OK;
}

/* A plain number of any kind, for comparing with a bound: integers exactly, reals as double. */
typedef struct number {
    bool is_real;
    int64_t integer;
    double real;
} number;

static bool load_number(const kur_type *type, const void *value, number *loaded)
{
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_INT32:
    case KUR_KIND_IS_DATE:
        *loaded = (number){.integer = KUR__LOAD(int32_t, value)};
        return true;
    case KUR_KIND_IS_INT64:
    case KUR_KIND_IS_TIMESTAMP:
    case KUR_KIND_IS_DECIMAL:
        *loaded = (number){.integer = KUR__LOAD(int64_t, value)};
        return true;
    case KUR_KIND_IS_FLOAT:
        *loaded = (number){.is_real = true, .real = (double)KUR__LOAD(float, value)};
        return true;
    case KUR_KIND_IS_DOUBLE:
        *loaded = (number){.is_real = true, .real = KUR__LOAD(double, value)};
        return true;
    default:
        return false;
    }
}

static int compare_numbers(const number *a, const number *b)
{
    if (!a->is_real)
        return (a->integer > b->integer) - (a->integer < b->integer);
    if (isnan(a->real) || isnan(b->real))
        return (isnan(a->real) != 0) - (isnan(b->real) != 0);
    return (a->real > b->real) - (a->real < b->real);
}

static kur_status check_bound(const kur_type *type, const char *bound, const number *value, int wrong_side,
                              const kur__path *path, kur_error *error)
{
    if (bound == NULL)
        return KUR_OK;
    int64_t storage = 0; /* large enough for every kind of number */
    number limit;
    if (kur__value_parse(type, bound, strlen(bound), NULL, &storage, path, NULL) != KUR_OK ||
        !load_number(type, &storage, &limit))
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, "the bound \"%s\" is not %s %s", bound,
                             wrong_side < 0 ? ".min of" : ".max of", kur__kind_text((kur_kind)type->kind));
    if (compare_numbers(value, &limit) != wrong_side)
        return KUR_OK;
    return kur__error_at(error, KUR_ERROR_CONSTRAINT, path, "must be at %s %s", wrong_side < 0 ? "least" : "most",
                         bound);
}

static kur_status check_number(const kur_type *type, const kur_field *field, const void *value, const kur__path *path,
                               kur_error *error)
{
    number loaded = {.integer = 0};
    load_number(type, value, &loaded);
    if (loaded.is_real && !isfinite(loaded.real))
        return kur__error_at(error, KUR_ERROR_MISMATCH, path, "is not a finite number");
    if ((type->kind == KUR_KIND_IS_TIMESTAMP && !kur__time_has_text(loaded.integer)) ||
        (type->kind == KUR_KIND_IS_DATE && !kur__date_has_text(loaded.integer)))
        return kur__error_at(error, KUR_ERROR_MISMATCH, path, "the year is outside 0001 to 9999");
    if (type->kind == KUR_KIND_IS_DECIMAL) {
        if (type->precision < 1 || type->precision > 18 || type->scale < 0 || type->scale > type->precision)
            return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, "DECIMAL(%d, %d) is not valid",
                                 (int)type->precision, (int)type->scale);
        int64_t limit = kur__powers_of_ten[type->precision];
        if (loaded.integer <= -limit || loaded.integer >= limit)
            return kur__error_at(error, KUR_ERROR_MISMATCH, path, "has more than %d digits", (int)type->precision);
    }
    if (field == NULL)
        return KUR_OK;
    kur_status status = check_bound(type, field->min, &loaded, -1, path, error);
    return status != KUR_OK ? status : check_bound(type, field->max, &loaded, 1, path, error);
}

static kur_status check_string(const kur_field *field, const char *text, const kur__path *path, kur_error *error)
{
    if (text == NULL)
        return kur__error_at(error, KUR_ERROR_MISMATCH, path, "is NULL");
    size_t size = strlen(text);
    if (!kur_bytes_is_utf8(kur_bytes_of(text, size)))
        return kur__error_at(error, KUR_ERROR_MISMATCH, path, "is not UTF-8");
    if (field == NULL || (field->min_length == 0 && field->max_length == 0))
        return KUR_OK;
    /* A character has one to four bytes: mostly that says enough. */
    if (size / 4 >= field->min_length && (field->max_length == 0 || size <= field->max_length))
        return KUR_OK;
    return check_length(field, count_characters(text), "characters", path, error);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of a map: all there, UTF-8, none twice. */
static kur_status check_keys(const kur_type *type, kur__items map, const kur__path *path, kur_error *error)
{
    if (map.count == 0)
        return KUR_OK;
    const char *few[32];
    const char **keys = map.count <= 32 ? few : kur_calloc(map.count, sizeof *keys);
    if (keys == NULL)
        return kur__error_no_memory(error);
    kur_status status = KUR_OK;
    size_t stride = kur__item_size(type);
    for (size_t i = 0; i < map.count && status == KUR_OK; i++) {
        keys[i] = KUR__LOAD(const char *, map.items + i * stride);
        kur__path at = {.up = path, .index = i};
        status = check_string(NULL, keys[i], &at, error);
    }
    if (status == KUR_OK)
        qsort(keys, map.count, sizeof *keys, compare_texts);
    for (size_t i = 1; i < map.count && status == KUR_OK; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            status = kur__error_at(error, KUR_ERROR_MISMATCH, path, "has the key \"%.40s\" twice", keys[i]);
    if (keys != few)
        kur_free(keys);
    return status;
}

static kur_status check_container(const kur_type *type, const kur_field *field, const void *value,
                                  const kur__path *path, kur_error *error)
{
    kur__items items = kur__items_of(value);
    if (items.count > 0 && items.items == NULL)
        return kur__error_at(error, KUR_ERROR_MISMATCH, path, "has %zu items but .items is NULL", items.count);
    kur_status status = check_length(field, items.count, "items", path, error);
    if (status == KUR_OK && type->kind == KUR_KIND_IS_MAP)
        status = check_keys(type, items, path, error);
    return status;
}

kur_status kur__value_check(const kur_type *type, const kur_field *field, const void *value, const kur__path *path,
                            kur_error *error)
{
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_STRING:
        return check_string(field, KUR__LOAD(const char *, value), path, error);
    case KUR_KIND_IS_BYTES: {
        kur_bytes bytes = KUR__LOAD(kur_bytes, value);
        if (bytes.data == NULL && bytes.size > 0)
            return kur__error_at(error, KUR_ERROR_MISMATCH, path, "has a size but .data is NULL");
        return check_length(field, bytes.size, "bytes", path, error);
    }
    case KUR_KIND_IS_BOOL:
        if (KUR__LOAD(uint8_t, value) > 1)
            return kur__error_at(error, KUR_ERROR_MISMATCH, path, "is neither true nor false");
        return KUR_OK;
    case KUR_KIND_IS_ENUM: {
        int32_t symbol = KUR__LOAD(int32_t, value);
        if (symbol < 1 || (size_t)symbol > type->field_count)
            return kur__error_at(error, KUR_ERROR_MISMATCH, path,
                                 symbol == 0 ? "is unset" : "is not a value of the enum");
        return KUR_OK;
    }
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
        return check_container(type, field, value, path, error);
    case KUR_KIND_IS_UUID:
    case KUR_KIND_IS_FIXED:
    case KUR_KIND_IS_OPTIONAL:
    case KUR_KIND_IS_RECORD:
        return KUR_OK;
    default:
        return check_number(type, field, value, path, error);
    }
}

/* ---- Whole records ---- */

static kur_status validate(const kur_type *type, const kur_field *field, const void *value, const kur__path *path,
                           size_t depth, kur_error *error)
{
    if (kur__is_too_deep(type, depth))
        return kur__error_at(error, KUR_ERROR_TOO_LARGE, path, "nests deeper than %d", KUR_DEPTH_MAX);
    kur_status status = kur__value_check(type, field, value, path, error);
    if (status != KUR_OK)
        return status;
    const char *bytes = value;
    if (type->kind == KUR_KIND_IS_OPTIONAL && kur__optional_has(bytes))
        return validate(type->element, field, bytes + kur__optional_offset(type), path, depth, error);
    if (type->kind == KUR_KIND_IS_RECORD) {
        for (size_t i = 0; i < type->field_count && status == KUR_OK; i++) {
            const kur_field *member = kur__type_field(type, i);
            kur__path at = {.up = path, .name = member->name};
            status = validate(member->type, member, bytes + member->offset, &at, depth + 1, error);
        }
    } else if (type->kind == KUR_KIND_IS_LIST || type->kind == KUR_KIND_IS_MAP) {
        kur__items items = kur__items_of(value);
        bool is_map = type->kind == KUR_KIND_IS_MAP;
        size_t stride = kur__item_size(type), offset = is_map ? kur__map_value_offset(type) : 0;
        for (size_t i = 0; i < items.count && status == KUR_OK; i++) {
            const char *item = items.items + i * stride;
            kur__path at = {
                .up = path, .name = is_map ? KUR__LOAD(const char *, item) : NULL, .index = i, .is_key = is_map};
            status = validate(type->element, NULL, item + offset, &at, depth + 1, error);
        }
    }
    return status;
}

kur_status kur_type_validate(const kur_type *type, const void *record, kur_error *error)
{
    kur_status status = kur__type_is_record(type, error);
    if (status != KUR_OK)
        return status;
    if (record == NULL)
        return kur_error_null(error, "record");
    return validate(type, NULL, record, NULL, 0, error);
}

void kur_type_init(const kur_type *type, void *record)
{
    if (kur__type_is_record(type, NULL) != KUR_OK || record == NULL)
        return;
    memset(record, 0, type->size);
    for (size_t i = 0; i < type->field_count; i++) {
        const kur_field *field = kur__type_field(type, i);
        bool has;
        if (field->type->kind == KUR_KIND_IS_RECORD)
            kur_type_init(field->type, (char *)record + field->offset);
        else
            kur__field_default(field, (char *)record + field->offset, &has, NULL, NULL);
    }
}

static int compare(const kur_type *type, const char *a, const char *b, size_t depth);

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_strings(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return (a != NULL) - (b != NULL);
    return strcmp(a, b);
}

static int compare_items(const kur_type *type, const char *a, const char *b, size_t depth)
{
    kur__items first = kur__items_of(a), second = kur__items_of(b);
    bool is_map = type->kind == KUR_KIND_IS_MAP;
    size_t stride = kur__item_size(type), offset = is_map ? kur__map_value_offset(type) : 0;
    for (size_t i = 0; i < first.count && i < second.count; i++) {
        const char *x = first.items + i * stride, *y = second.items + i * stride;
        int order = is_map ? compare_strings(KUR__LOAD(const char *, x), KUR__LOAD(const char *, y)) : 0;
        if (order == 0)
            order = compare(type->element, x + offset, y + offset, depth + 1);
        if (order != 0)
            return order;
    }
    return compare_sizes(first.count, second.count);
}

static int compare_bytes(kur_bytes a, kur_bytes b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;
    return order != 0 ? order : compare_sizes(a.size, b.size);
}

static int compare(const kur_type *type, const char *a, const char *b, size_t depth)
{
    number first, second;
    int order = 0;
    if (depth > KUR_DEPTH_MAX)
        return 0;
    if (load_number(type, a, &first) && load_number(type, b, &second))
        return compare_numbers(&first, &second);
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_STRING:
        return compare_strings(KUR__LOAD(const char *, a), KUR__LOAD(const char *, b));
    case KUR_KIND_IS_BYTES:
        return compare_bytes(KUR__LOAD(kur_bytes, a), KUR__LOAD(kur_bytes, b));
    case KUR_KIND_IS_BOOL:
        return (int)KUR__LOAD(uint8_t, a) - (int)KUR__LOAD(uint8_t, b);
    case KUR_KIND_IS_UUID:
    case KUR_KIND_IS_FIXED:
        return memcmp(a, b, type->size);
    case KUR_KIND_IS_OPTIONAL:
        if (!kur__optional_has(a) || !kur__optional_has(b))
            return (int)kur__optional_has(a) - (int)kur__optional_has(b);
        return compare(type->element, a + kur__optional_offset(type), b + kur__optional_offset(type), depth);
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
        return compare_items(type, a, b, depth);
    case KUR_KIND_IS_RECORD:
        for (size_t i = 0; i < type->field_count && order == 0; i++) {
            const kur_field *field = kur__type_field(type, i);
            order = compare(field->type, a + field->offset, b + field->offset, depth + 1);
        }
        return order;
    default: /* an enum, by its place in the list */
        return (KUR__LOAD(int32_t, a) > KUR__LOAD(int32_t, b)) - (KUR__LOAD(int32_t, a) < KUR__LOAD(int32_t, b));
    }
}

int kur_type_compare(const kur_type *type, const void *a, const void *b)
{
    if (kur__type_is_record(type, NULL) != KUR_OK || a == NULL || b == NULL)
        return (a != NULL) - (b != NULL);
    return compare(type, a, b, 0);
}
