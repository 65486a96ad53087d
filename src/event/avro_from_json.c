/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: jansson's tree is walked by the schema. A union is tried branch by branch, and what a branch has
 * written is taken back when it does not fit; as branches nest, that can be much work for little text, so that it is
 * counted. Defaults stand in the schema in a form of their own: bytes as characters up to 255, and logical types as
 * what they are made of.
 */
#include <kurier/sys/base64.h>
#include <kurier/sys/memory.h>
#include <kurier/time.h>
#include <math.h>

#include "base/buffer.h"
#include "base/error.h"
#include "event/avro_bytes.h"
#include "event/avro_decimal.h"
#include "event/avro_plan.h"
#include "event/json.h"

enum {
    WORK_MAX = 20 * 1000 * 1000
};

typedef struct maker {
    kur_buffer *data;
    kur_error *error;
    size_t work;
    bool is_default;
} maker;

static kur_status make(maker *m, const kur__node *node, const json_t *json, const kur__path *path, size_t depth);

static kur_status put(maker *m, const void *data, size_t size)
{
    return kur__buffer_put(m->data, data, size) == KUR_OK ? KUR_OK : kur__error_no_memory(m->error);
}

static kur_status put_long(maker *m, int64_t number)
{
    char bytes[KUR__AVRO_LONG_SIZE];
    return put(m, bytes, kur__avro_long(number, bytes));
}

/* Bytes, strings and fixed: only the first two have their size in front. */
static kur_status put_sized(maker *m, const kur__node *node, const void *data, size_t size, const kur__path *path)
{
    kur_status status = KUR_OK;
    if (node->kind != KUR__SCHEMA_FIXED)
        status = put_long(m, (int64_t)size);
    else if (size != node->length)
        return kur__error_at(m->error, KUR_ERROR_MISMATCH, path, "expected %zu bytes, found %zu", node->length, size);
    return status == KUR_OK ? put(m, data, size) : status;
}

static kur_status mismatch(maker *m, const kur__node *node, const json_t *json, const kur__path *path)
{
    kur__avro_words words = kur__avro_call(node);
    return kur__error_at(m->error, KUR_ERROR_MISMATCH, path, "expected %s, found %s", words.text, kur__json_kind(json));
}

/* ---- Plain values ---- */

/* A date or a time in words; false: it is none. */
static bool parse_time(const kur__node *node, const json_t *json, int64_t *number)
{
    const char *text = json_string_value(json);
    size_t size = json_string_length(json);
    int32_t days;
    if (node->logical == KUR__LOGICAL_DATE) {
        bool is_date = kur_date_parse(text, size, &days, NULL) == KUR_OK;
        *number = is_date ? days : 0;
        return is_date;
    }
    if ((node->logical != KUR__LOGICAL_MILLIS && node->logical != KUR__LOGICAL_MICROS) ||
        kur_time_parse(text, size, number, NULL) != KUR_OK)
        return false;
    if (node->logical == KUR__LOGICAL_MILLIS)
        *number = kur__millis_below(*number);
    return true;
}

static kur_status make_long(maker *m, const kur__node *node, const json_t *json, const kur__path *path)
{
    int64_t number = json_integer_value(json);
    if (json_is_string(json) ? m->is_default || !parse_time(node, json, &number) : !json_is_integer(json))
        return mismatch(m, node, json, path);
    if (node->kind == KUR__SCHEMA_INT && number != (int32_t)number)
        return kur__error_at(m->error, KUR_ERROR_MISMATCH, path, "is out of range");
    return put_long(m, number);
}

static kur_status make_real(maker *m, const kur__node *node, const json_t *json, const kur__path *path)
{
    double number = json_number_value(json);
    if (json_is_string(json)) {
        const char *text = json_string_value(json);
        bool is_infinite = strcmp(text, "Infinity") == 0 || strcmp(text, "-Infinity") == 0;
        if (!is_infinite && strcmp(text, "NaN") != 0)
            return mismatch(m, node, json, path);
        number = !is_infinite ? (double)NAN : text[0] == '-' ? -(double)INFINITY : (double)INFINITY;
    } else if (!json_is_number(json)) {
        return mismatch(m, node, json, path);
    } else if (node->kind == KUR__SCHEMA_FLOAT && !isfinite((float)number)) {
        return kur__error_at(m->error, KUR_ERROR_MISMATCH, path, "is out of range");
    }
    float narrow = (float)number;
    uint32_t small;
    uint64_t large;
    memcpy(&small, &narrow, sizeof small);
    memcpy(&large, &number, sizeof large);
    small = htole32(small);
    large = htole64(large);
    return node->kind == KUR__SCHEMA_FLOAT ? put(m, &small, sizeof small) : put(m, &large, sizeof large);
}

/* Bytes as a schema's defaults have them: characters up to 255, of which each is a byte. */
static bool parse_characters(const char *text, size_t size, uint8_t *bytes, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 && (c > 0xc3 || i + 1 == size))
            return false;
        bytes[(*count)++] = c < 0x80 ? c : (uint8_t)(c << 6 | ((unsigned char)text[++i] & 0x3f));
    }
    return true;
}

static kur_status make_bytes(maker *m, const kur__node *node, const json_t *json, const kur__path *path)
{
    const char *text = json_string_value(json);
    size_t length = json_string_length(json), size;
    uint8_t small[64];
    uint8_t *bytes = length <= sizeof small ? small : kur_malloc(length);
    if (bytes == NULL)
        return kur__error_no_memory(m->error);
    kur_status status = KUR_OK;
    if (m->is_default ? !parse_characters(text, length, bytes, &size) : !kur_base64_read(text, length, bytes, &size))
        status = kur__error_at(m->error, KUR_ERROR_MISMATCH, path,
                               m->is_default ? "expected characters up to 255" : "expected base64 with padding");
    else
        status = put_sized(m, node, bytes, size, path);
    if (bytes != small)
        kur_free(bytes);
    return status;
}

static kur_status make_decimal(maker *m, const kur__node *node, const json_t *json, const kur__path *path)
{
    uint8_t twos[KUR__AVRO_DECIMAL_SIZE_MAX];
    size_t size;
    if (node->scale < 0 || node->precision < 0 ||
        !kur__avro_decimal_parse(json_string_value(json), json_string_length(json), (size_t)node->precision,
                                 (size_t)node->scale, twos, &size))
        return kur__error_at(m->error, KUR_ERROR_MISMATCH, path,
                             "expected a decimal of at most %d digits, %d of them behind the point",
                             (int)node->precision, (int)node->scale);
    if (node->kind == KUR__SCHEMA_FIXED) {
        /* Filled up with its sign. */
        if (size > node->length)
            return kur__error_at(m->error, KUR_ERROR_MISMATCH, path, "has too many digits for %zu bytes", node->length);
        for (size_t i = size; i < node->length; i++) {
            kur_status status = put(m, (twos[sizeof twos - size] & 0x80) != 0 ? "\xff" : "\0", 1);
            if (status != KUR_OK)
                return status;
        }
        return put(m, twos + sizeof twos - size, size);
    }
    return put_sized(m, node, twos + sizeof twos - size, size, path);
}

static kur_status make_text(maker *m, const kur__node *node, const json_t *json, const kur__path *path)
{
    if (!json_is_string(json))
        return mismatch(m, node, json, path);
    const char *text = json_string_value(json);
    size_t size = json_string_length(json);
    if (node->logical == KUR__LOGICAL_UUID && !m->is_default) {
        kur_uuid uuid;
        if (kur_uuid_parse(text, size, &uuid, NULL) != KUR_OK)
            return kur__error_at(m->error, KUR_ERROR_MISMATCH, path, "expected UUID, found another text");
        return node->kind == KUR__SCHEMA_FIXED ? put_sized(m, node, &uuid, sizeof uuid, path)
                                               : put_sized(m, node, text, size, path);
    }
    if (node->kind == KUR__SCHEMA_STRING)
        return put_sized(m, node, text, size, path);
    return node->logical == KUR__LOGICAL_DECIMAL && !m->is_default ? make_decimal(m, node, json, path)
                                                                   : make_bytes(m, node, json, path);
}

static kur_status make_symbol(maker *m, const kur__node *node, const json_t *json, const kur__path *path)
{
    if (!json_is_string(json))
        return mismatch(m, node, json, path);
    for (size_t i = 0; i < node->count; i++)
        if (strcmp(node->symbols[i], json_string_value(json)) == 0)
            return put_long(m, (int64_t)i);
    return kur__error_at(m->error, KUR_ERROR_MISMATCH, path, "is not a symbol of %.100s", node->name);
}

/* ---- Containers ---- */

static kur_status make_array(maker *m, const kur__node *node, const json_t *json, const kur__path *path, size_t depth)
{
    size_t count = json_array_size(json);
    kur_status status = json_is_array(json) ? KUR_OK : mismatch(m, node, json, path);
    if (status == KUR_OK && count > 0)
        status = put_long(m, (int64_t)count);
    for (size_t i = 0; i < count && status == KUR_OK; i++) {
        kur__path at = {.up = path, .index = i};
        status = make(m, kur__node_element(node), json_array_get(json, i), &at, depth);
    }
    return status == KUR_OK ? put_long(m, 0) : status;
}

static kur_status make_map(maker *m, const kur__node *node, const json_t *json, const kur__path *path, size_t depth)
{
    const char *key;
    json_t *member;
    size_t count = json_object_size(json);
    kur_status status = json_is_object(json) ? KUR_OK : mismatch(m, node, json, path);
    if (status == KUR_OK && count > 0)
        status = put_long(m, (int64_t)count);
    json_object_foreach ((json_t *)json, key, member) {
        kur__path at = {.up = path, .name = key, .is_key = true};
        if (status == KUR_OK)
            status = put_long(m, (int64_t)strlen(key));
        if (status == KUR_OK)
            status = put(m, key, strlen(key));
        if (status == KUR_OK)
            status = make(m, kur__node_element(node), member, &at, depth);
    }
    return status == KUR_OK ? put_long(m, 0) : status;
}

static kur_status make_default(maker *m, const kur__node_field *field, const kur__path *path, size_t depth)
{
    if (field->default_value == NULL)
        return kur__error_at(m->error, KUR_ERROR_MISMATCH, path, "is missing");
    bool was_default = m->is_default;
    m->is_default = true;
    kur_status status = make(m, field->node, field->default_value, path, depth);
    m->is_default = was_default;
    return status;
}

static kur_status refuse_unknown(maker *m, const kur__node *node, const json_t *json, const kur__path *path)
{
    const char *name;
    json_t *ignored;
    json_object_foreach ((json_t *)json, name, ignored) {
        size_t i = 0;
        while (i < node->count && strcmp(node->fields[i].name, name) != 0)
            i++;
        kur__path at = {.up = path, .name = name};
        if (i == node->count)
            return kur__error_at(m->error, KUR_ERROR_MISMATCH, &at, "is not a field of %.100s", node->name);
    }
    return KUR_OK;
}

static kur_status make_record(maker *m, const kur__node *node, const json_t *json, const kur__path *path, size_t depth)
{
    size_t found = 0;
    kur_status status = json_is_object(json) ? KUR_OK : mismatch(m, node, json, path);
    for (size_t i = 0; i < node->count && status == KUR_OK; i++) {
        const kur__node_field *field = &node->fields[i];
        const json_t *member = json_object_get(json, field->name);
        kur__path at = {.up = path, .name = field->name};
        found += member != NULL;
        status = member != NULL ? make(m, field->node, member, &at, depth) : make_default(m, field, &at, depth);
    }
    if (status == KUR_OK && found < json_object_size(json))
        status = refuse_unknown(m, node, json, path);
    return status;
}

/* ---- Unions ---- */

/* Whether a branch is one of the last to be tried: an integer is a real number only where there is no other. */
static bool is_last_choice(const kur__node *branch, const json_t *json)
{
    return json_is_integer(json) && (branch->kind == KUR__SCHEMA_FLOAT || branch->kind == KUR__SCHEMA_DOUBLE);
}

static kur_status try_branch(maker *m, const kur__node *node, size_t index, const json_t *json, const kur__path *path,
                             size_t depth)
{
    size_t before = m->data->size;
    kur_status status = put_long(m, (int64_t)index);
    if (status == KUR_OK)
        status = make(m, node->branches[index], json, path, depth);
    if (status != KUR_OK)
        m->data->size = before;
    return status;
}

static kur_status make_union(maker *m, const kur__node *node, const json_t *json, const kur__path *path, size_t depth)
{
    kur_error *error = m->error;
    bool is_optional = node->count == 2 &&
                       (node->branches[0]->kind == KUR__SCHEMA_NULL) != (node->branches[1]->kind == KUR__SCHEMA_NULL);
    /* Of one type: what is wrong in there is what is to be said. */
    if (is_optional)
        return try_branch(m, node, (node->branches[0]->kind == KUR__SCHEMA_NULL) != json_is_null(json), json, path,
                          depth);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < node->count; i++) {
            if (is_last_choice(node->branches[i], json) != (pass == 1))
                continue;
            m->error = NULL;
            kur_status status = try_branch(m, node, i, json, path, depth);
            m->error = error;
            if (status == KUR_OK)
                return KUR_OK;
            if (status == KUR_ERROR_NO_MEMORY)
                return kur__error_no_memory(error);
            if (status != KUR_ERROR_MISMATCH)
                return kur__error_at(error, status, path, "nests too deep, or has too many choices");
        }
    return kur__error_at(error, KUR_ERROR_MISMATCH, path, "fits no type of the union, found %s", kur__json_kind(json));
}

/* ---- All of them ---- */

static kur_status make_nested(maker *m, const kur__node *node, const json_t *json, const kur__path *path, size_t depth)
{
    if (depth >= KUR_DEPTH_MAX)
        return kur__error_at(m->error, KUR_ERROR_TOO_LARGE, path, "nests deeper than %d", KUR_DEPTH_MAX);
    switch (node->kind) {
    case KUR__SCHEMA_ARRAY:
        return make_array(m, node, json, path, depth + 1);
    case KUR__SCHEMA_MAP:
        return make_map(m, node, json, path, depth + 1);
    default:
        return make_record(m, node, json, path, depth + 1);
    }
}

static kur_status make(maker *m, const kur__node *node, const json_t *json, const kur__path *path, size_t depth)
{
    if (++m->work > WORK_MAX || m->data->size > KUR_AVRO_SIZE_MAX)
        return kur__error_at(m->error, KUR_ERROR_TOO_LARGE, path, "has too many choices, or defaults");
    switch (node->kind) {
    case KUR__SCHEMA_NULL:
        return json_is_null(json) ? KUR_OK : mismatch(m, node, json, path);
    case KUR__SCHEMA_BOOLEAN:
        return json_is_boolean(json) ? put(m, json_is_true(json) ? "\1" : "\0", 1) : mismatch(m, node, json, path);
    case KUR__SCHEMA_INT:
    case KUR__SCHEMA_LONG:
        return make_long(m, node, json, path);
    case KUR__SCHEMA_FLOAT:
    case KUR__SCHEMA_DOUBLE:
        return make_real(m, node, json, path);
    case KUR__SCHEMA_BYTES:
    case KUR__SCHEMA_STRING:
    case KUR__SCHEMA_FIXED:
        return make_text(m, node, json, path);
    case KUR__SCHEMA_ENUM:
        return make_symbol(m, node, json, path);
    case KUR__SCHEMA_UNION:
        return make_union(m, node, json, path, depth);
    default:
        return make_nested(m, node, json, path, depth);
    }
}

kur_status kur_avro_from_json(const kur_schema *schema, kur_bytes json, kur_buffer *data, kur_error *error)
{
    if (schema == NULL || data == NULL)
        return kur_error_null(error, schema == NULL ? "schema" : "data");
    json_t *tree;
    kur_buffer made = {0};
    kur_status status = kur__json_parse(json, 0, &tree, error);
    if (status != KUR_OK)
        return status;
    maker m = {.data = &made, .error = error};
    status = make(&m, schema->root, tree, NULL, 0);
    if (status == KUR_OK)
        status = put(&(maker){.data = data, .error = error}, made.data, made.size);
    json_decref(tree);
    kur_buffer_done(&made);
    return status;
}
