/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: jansson parses, behind caps of our own, and the tree is then walked by the descriptor; what the record
 * points to is copied into the arena, and the tree is gone when the call returns.
 */
#include <kurier/json.h>
#include <math.h>

#include "base/error.h"
#include "event/json.h"
#include "event/value.h"

/* ---- Parsing ---- */

/* Depth before jansson sees it, for its own limit is 2,048. Strings are skipped, with their escapes. */
static bool is_too_deep(const char *text, size_t size)
{
    size_t depth = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"')
            for (i++; i < size && text[i] != '"'; i++)
                i += text[i] == '\\';
        else if (text[i] == '{' || text[i] == '[')
            depth++;
        else if ((text[i] == '}' || text[i] == ']') && depth > 0)
            depth--;
        if (depth > KUR_DEPTH_MAX)
            return true;
    }
    return false;
}

kur_status kur__json_parse(kur_bytes json, json_t **tree, kur_error *error)
{
    if (json.data == NULL)
        return kur__error_null(error, "json");
    if (json.size > KUR_JSON_SIZE_MAX)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE, "the JSON has %zu bytes, at most %d are read", json.size,
                             KUR_JSON_SIZE_MAX);
    if (is_too_deep(json.data, json.size))
        return kur_error_set(error, KUR_ERROR_TOO_LARGE, "the JSON nests deeper than %d", KUR_DEPTH_MAX);
    json_error_t why = {0};
    json_t *parsed = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (parsed == NULL) {
        /* A parser out of memory does not always say so; a text that is wrong always has a reason. */
        if (why.text[0] == '\0' || json_error_code(&why) == json_error_out_of_memory)
            return kur__error_no_memory(error);
        const char *near = strstr(why.text, " near '");
        size_t reason = near != NULL ? (size_t)(near - why.text) : strlen(why.text);
        return kur_error_set(error, KUR_ERROR_SYNTAX, "not JSON: line %d, column %d: %.*s", why.line, why.column,
                             (int)reason, why.text);
    }
    *tree = parsed;
    return KUR_OK;
}

/* ---- Walking ---- */

/* "[{},{},…" in a megabyte can ask for gigabytes of structs: what one record may take of the arena. */
enum {
    RECORD_SIZE_MAX = 32 * 1024 * 1024
};

typedef struct reader {
    kur_arena *arena;
    size_t size_before; /* of the arena */
    kur_error *error;
} reader;

static const char *json_kind(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "list";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number with a fraction or exponent";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "?";
}

static kur_status mismatch(reader *r, const kur_type *type, const json_t *json, const kur__path *path)
{
    return kur__error_at(r->error, KUR_ERROR_MISMATCH, path, "expected %s, found %s",
                         kur__kind_text((kur_kind)type->kind), json_kind(json));
}

static kur_status read_value(reader *r, const kur_type *type, const kur_field *field, json_t *json, char *value,
                             const kur__path *path, size_t depth);

static kur_status read_absent(reader *r, const kur_field *field, char *value, const kur__path *path)
{
    bool has;
    if (field->type->kind == KUR_KIND_IS_OPTIONAL)
        return KUR_OK; /* zeroed by the caller */
    kur_status status = kur__field_default(field, value, &has, path, r->error);
    if (status == KUR_OK && !has)
        return kur__error_at(r->error, KUR_ERROR_MISMATCH, path, "is missing");
    return status;
}

static kur_status refuse_unknown(reader *r, const kur_type *type, json_t *json, const kur__path *path)
{
    const char *name;
    json_t *ignored;
    json_object_foreach (json, name, ignored) {
        bool known = false;
        char storage[KUR__NAME_MAX];
        for (size_t i = 0; i < type->field_count && !known; i++)
            known = strcmp(name, kur__field_name(type, kur__type_field(type, i), storage)) == 0;
        if (!known) {
            kur__path at = {.up = path, .name = name};
            return kur__error_at(r->error, KUR_ERROR_MISMATCH, &at, "is not a field of %s", type->name);
        }
    }
    return KUR_OK;
}

static kur_status read_record(reader *r, const kur_type *type, json_t *json, char *record, const kur__path *path,
                              size_t depth)
{
    if (!json_is_object(json))
        return mismatch(r, type, json, path);
    size_t found = 0;
    for (size_t i = 0; i < type->field_count; i++) {
        const kur_field *field = kur__type_field(type, i);
        char storage[KUR__NAME_MAX];
        json_t *member = json_object_get(json, kur__field_name(type, field, storage));
        kur__path at = {.up = path, .name = field->name};
        found += member != NULL;
        kur_status status = member != NULL
                                ? read_value(r, field->type, field, member, record + field->offset, &at, depth + 1)
                                : read_absent(r, field, record + field->offset, &at);
        if (status != KUR_OK)
            return status;
    }
    if (type->unknown_fields == KUR_UNKNOWN_FIELDS_REFUSE && found < json_object_size(json))
        return refuse_unknown(r, type, json, path);
    return KUR_OK;
}

static kur_status read_list(reader *r, const kur_type *type, json_t *json, kur__items items, const kur__path *path,
                            size_t depth)
{
    kur_status status = KUR_OK;
    size_t stride = kur__item_size(type);
    for (size_t i = 0; i < items.count && status == KUR_OK; i++) {
        kur__path at = {.up = path, .index = i};
        status = read_value(r, type->element, NULL, json_array_get(json, i), items.items + i * stride, &at, depth + 1);
    }
    return status;
}

static kur_status read_map(reader *r, const kur_type *type, json_t *json, kur__items items, const kur__path *path,
                           size_t depth)
{
    kur_status status = KUR_OK;
    size_t stride = kur__item_size(type), offset = kur__map_value_offset(type), i = 0;
    const char *key;
    json_t *member;
    json_object_foreach (json, key, member) {
        char *item = items.items + i++ * stride;
        const char *copy = kur_arena_copy(r->arena, key, strlen(key));
        if (copy == NULL)
            return kur__error_no_memory(r->error);
        memcpy(item, &copy, sizeof copy);
        kur__path at = {.up = path, .name = key, .is_key = true};
        status = read_value(r, type->element, NULL, member, item + offset, &at, depth + 1);
        if (status != KUR_OK)
            break;
    }
    return status;
}

static kur_status read_items(reader *r, const kur_type *type, json_t *json, char *value, const kur__path *path,
                             size_t depth)
{
    bool is_map = type->kind == KUR_KIND_IS_MAP;
    if (is_map ? !json_is_object(json) : !json_is_array(json))
        return mismatch(r, type, json, path);
    kur__items items = {NULL, is_map ? json_object_size(json) : json_array_size(json)};
    if (items.count == 0)
        return KUR_OK;
    size_t size;
    if (__builtin_mul_overflow(items.count, kur__item_size(type), &size) ||
        size + (kur_arena_size(r->arena) - r->size_before) > RECORD_SIZE_MAX)
        return kur__error_at(r->error, KUR_ERROR_TOO_LARGE, path, "would take more than %d MiB of memory",
                             RECORD_SIZE_MAX / (1024 * 1024));
    items.items = kur_arena_alloc(r->arena, size);
    if (items.items == NULL)
        return kur__error_no_memory(r->error);
    kur_status status =
        is_map ? read_map(r, type, json, items, path, depth) : read_list(r, type, json, items, path, depth);
    if (status == KUR_OK)
        memcpy(value, &items, sizeof items);
    return status;
}

static kur_status read_string(reader *r, const kur_type *type, json_t *json, char *value, const kur__path *path)
{
    if (!json_is_string(json))
        return mismatch(r, type, json, path);
    const char *text = json_string_value(json);
    size_t size = json_string_length(json);
    if (type->kind != KUR_KIND_IS_STRING)
        return kur__value_parse(type, text, size, r->arena, value, path, r->error);
    const char *copy = kur_arena_copy(r->arena, text, size);
    if (copy == NULL)
        return kur__error_no_memory(r->error);
    memcpy(value, &copy, sizeof copy);
    return KUR_OK;
}

static kur_status read_number(reader *r, const kur_type *type, json_t *json, char *value, const kur__path *path)
{
    bool is_real = type->kind == KUR_KIND_IS_FLOAT || type->kind == KUR_KIND_IS_DOUBLE;
    if (is_real ? !json_is_number(json) : !json_is_integer(json))
        return mismatch(r, type, json, path);
    double real = json_number_value(json);
    int64_t integer = json_integer_value(json);
    if ((type->kind == KUR_KIND_IS_INT32 && (integer < INT32_MIN || integer > INT32_MAX)) ||
        (type->kind == KUR_KIND_IS_FLOAT && !isfinite((float)real)))
        return kur__error_at(r->error, KUR_ERROR_MISMATCH, path, "is out of range");
    int32_t small = (int32_t)integer;
    float narrow = (float)real;
    const void *from = type->kind == KUR_KIND_IS_INT32   ? (const void *)&small
                       : type->kind == KUR_KIND_IS_INT64 ? (const void *)&integer
                       : type->kind == KUR_KIND_IS_FLOAT ? (const void *)&narrow
                                                         : (const void *)&real;
    memcpy(value, from, type->size);
    return KUR_OK;
}

static kur_status read_optional(reader *r, const kur_type *type, const kur_field *field, json_t *json, char *value,
                                const kur__path *path, size_t depth)
{
    if (json_is_null(json))
        return KUR_OK;
    kur_status status = read_value(r, type->element, field, json, value + kur__optional_offset(type), path, depth);
    if (status == KUR_OK)
        *(bool *)value = true;
    return status;
}

static kur_status read_value(reader *r, const kur_type *type, const kur_field *field, json_t *json, char *value,
                             const kur__path *path, size_t depth)
{
    kur_status status;
    if (kur__is_too_deep(type, depth))
        return kur__error_at(r->error, KUR_ERROR_TOO_LARGE, path, "nests deeper than %d", KUR_DEPTH_MAX);
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_RECORD:
        return read_record(r, type, json, value, path, depth);
    case KUR_KIND_IS_OPTIONAL:
        return read_optional(r, type, field, json, value, path, depth);
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
        status = read_items(r, type, json, value, path, depth);
        break;
    case KUR_KIND_IS_INT32:
    case KUR_KIND_IS_INT64:
    case KUR_KIND_IS_FLOAT:
    case KUR_KIND_IS_DOUBLE:
        status = read_number(r, type, json, value, path);
        break;
    case KUR_KIND_IS_BOOL:
        if (!json_is_boolean(json))
            return mismatch(r, type, json, path);
        *(bool *)value = json_is_true(json);
        return KUR_OK;
    default:
        status = read_string(r, type, json, value, path);
        break;
    }
    return status == KUR_OK ? kur__value_check(type, field, value, path, r->error) : status;
}

kur_status kur_json_read(const kur_type *type, kur_bytes json, kur_arena *arena, void *record, kur_error *error)
{
    kur_status status = kur__type_is_record(type, error);
    if (status != KUR_OK)
        return status;
    if (arena == NULL || record == NULL)
        return kur__error_null(error, arena == NULL ? "arena" : "record");
    json_t *tree;
    status = kur__json_parse(json, &tree, error);
    if (status != KUR_OK)
        return status;
    /* Results stay untouched on failure: read into the arena first. */
    reader r = {arena, kur_arena_size(arena), error};
    char *made = kur_arena_alloc(arena, type->size);
    status = made != NULL ? read_value(&r, type, NULL, tree, made, NULL, 0) : kur__error_no_memory(error);
    if (status == KUR_OK)
        memcpy(record, made, type->size);
    json_decref(tree);
    return status;
}
