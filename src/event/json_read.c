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

/*
 * Looked at before jansson sees it: how deep the text nests, for jansson's own limit is 2,048, and how long its longest
 * string or number is. Strings are skipped with their escapes.
 */
static void measure(const char *text, size_t size, size_t *deepest, size_t *longest)
{
    size_t depth = 0, token = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        size_t start = i + 1;
        token++;
        if (c == '"') {
            for (i++; i < size && text[i] != '"'; i++)
                i += text[i] == '\\';
            token = i - start;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c != ',' && c != ':' && c != ' ' && c != '\n' && c != '\r' && c != '\t') {
            *longest = token > *longest ? token : *longest;
            continue;
        }
        *longest = token > *longest ? token : *longest;
        *deepest = depth > *deepest ? depth : *deepest;
        token = 0;
    }
}

/*
 * jansson's lexer loses characters without a word when its buffer cannot grow. So the text is read as the second item
 * of a list whose first is a string as long as the text's longest token: the buffer grows there, or the string shows
 * that it did not, and nothing of the text can be lost.
 */
typedef struct padded {
    kur_bytes parts[5];
    size_t pad; /* the length of parts[1], which repeats its one byte */
    size_t part, offset;
} padded;

static size_t feed(void *buffer, size_t room, void *user)
{
    padded *p = user;
    size_t fed = 0;
    while (fed < room && p->part < 5) {
        bool is_pad = p->part == 1;
        kur_bytes part = p->parts[p->part];
        size_t size = (is_pad ? p->pad : part.size) - p->offset;
        size_t now = size < room - fed ? size : room - fed;
        if (is_pad)
            memset((char *)buffer + fed, 'x', now);
        else if (now > 0)
            memcpy((char *)buffer + fed, (const char *)part.data + p->offset, now);
        fed += now;
        p->offset += now;
        if (now == size) {
            p->part++;
            p->offset = 0;
        }
    }
    return fed;
}

/* Why jansson refused: it is certain of some reasons, while others may only mean that memory was out. */
static kur_status not_parsed(kur_bytes json, size_t pad, const json_error_t *why, kur_error *error)
{
    const char *reason = why->text, *near = strstr(why->text, " near '"); /* what was near is payload */
    int size = near != NULL ? (int)(near - why->text) : (int)strlen(why->text);
    switch (json_error_code(why)) {
    case json_error_null_character:
    case json_error_null_byte_in_key:
        reason = "a NUL in a text";
        size = (int)strlen(reason);
        break;
    case json_error_duplicate_key:
    case json_error_numeric_overflow:
    case json_error_invalid_utf8:
        break;
    default:
        if (kur__json_is_well_formed(json))
            return kur__error_no_memory(error);
        break;
    }
    int in_front = why->line == 1 ? (int)(pad + strlen("[\"\",")) : 0;
    int column = why->column > in_front ? why->column - in_front : 1;
    return kur_error_set(error, KUR_ERROR_SYNTAX, "not JSON: line %d, column %d: %.*s", why->line, column, size,
                         reason);
}

kur_status kur__json_parse_as(kur_bytes json, size_t around, size_t flags, json_t **tree, kur_error *error)
{
    if (json.data == NULL)
        return kur_error_null(error, "json");
    if (json.size > KUR_JSON_SIZE_MAX)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE, "the JSON has %zu bytes, at most %d are read", json.size,
                             KUR_JSON_SIZE_MAX);
    size_t deepest = 0, longest = 0;
    measure(json.data, json.size, &deepest, &longest);
    if (deepest + around > KUR_DEPTH_MAX)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE, "the JSON nests deeper than %d", KUR_DEPTH_MAX);
    padded text = {.parts = {kur_bytes_text("[\""), {0}, kur_bytes_text("\","), json, kur_bytes_text("]")},
                   .pad = longest};
    json_error_t why = {0};
    json_t *list = json_load_callback(feed, &text, JSON_REJECT_DUPLICATES | flags, &why);
    if (list == NULL)
        return not_parsed(json, longest, &why, error);
    kur_status status = KUR_OK;
    if (json_string_length(json_array_get(list, 0)) != longest)
        status = kur__error_no_memory(error);
    else if (json_array_size(list) != 2)
        status = kur_error_set(error, KUR_ERROR_SYNTAX, "not JSON: more than one value");
    else
        *tree = json_incref(json_array_get(list, 1));
    json_decref(list);
    return status;
}

kur_status kur__json_parse(kur_bytes json, size_t around, json_t **tree, kur_error *error)
{
    return kur__json_parse_as(json, around, 0, tree, error);
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

const char *kur__json_kind(const json_t *json)
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
                         kur__kind_text((kur_kind)type->kind), kur__json_kind(json));
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
        return kur_error_null(error, arena == NULL ? "arena" : "record");
    json_t *tree;
    status = kur__json_parse(json, 0, &tree, error);
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
