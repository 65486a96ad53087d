/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: one pass over the bytes by their schema, into text. A few bytes can be much text, by the names of
 * fields that take no bytes: the text is bounded too.
 */
#include <kurier/sys/base64.h>
#include <kurier/time.h>
#include <math.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/time.h"
#include "event/avro_bytes.h"
#include "event/avro_decimal.h"
#include "event/json.h"

enum {
    TEXT_MAX = 256 * 1024 * 1024
};

typedef struct shower {
    kur__avro_bytes bytes;
    kur_buffer *json;
    size_t before; /* what the buffer held */
} shower;

static kur_status show(shower *s, const kur__node *node, const kur__path *path, size_t depth);

static kur_status put(shower *s, const char *text)
{
    return kur__buffer_put(s->json, text, strlen(text)) == KUR_OK ? KUR_OK : kur__error_no_memory(s->bytes.error);
}

static kur_status put_string(shower *s, const char *text, size_t size)
{
    return kur__json_write_string(s->json, text, size) == KUR_OK ? KUR_OK : kur__error_no_memory(s->bytes.error);
}

/* ---- Plain values ---- */

static kur_status show_long(shower *s, const kur__node *node, const kur__path *path)
{
    int64_t number, time_us;
    char text[KUR_TIME_TEXT_SIZE];
    bool is_int = node->kind == KUR__SCHEMA_INT;
    if (is_int ? !kur__avro_take_int(&s->bytes, &number) : !kur__avro_take_long(&s->bytes, &number))
        return kur__avro_cut(&s->bytes, path,
                             is_int ? "an int is not whole, or too large" : "a long is not whole, or too large");
    /* What has no text of its own is shown as the number that it is. */
    if (node->logical == KUR__LOGICAL_DATE && kur__date_has_text(number))
        return put_string(s, text, kur_date_format((int32_t)number, text));
    bool is_time = node->logical == KUR__LOGICAL_MICROS || node->logical == KUR__LOGICAL_MILLIS;
    if (is_time && !__builtin_mul_overflow(number, node->logical == KUR__LOGICAL_MILLIS ? 1000 : 1, &time_us) &&
        kur__time_has_text(time_us))
        return put_string(s, text, kur_time_format(time_us, text));
    return kur__int64_format(number, s->json) == KUR_OK ? KUR_OK : kur__error_no_memory(s->bytes.error);
}

static kur_status show_real(shower *s, const kur__node *node, const kur__path *path)
{
    float narrow = 0;
    double number = 0;
    bool is_float = node->kind == KUR__SCHEMA_FLOAT;
    if (is_float ? !kur__avro_take_float(&s->bytes, &narrow) : !kur__avro_take_double(&s->bytes, &number))
        return kur__avro_cut(&s->bytes, path, "a number is not whole");
    number = is_float ? (double)narrow : number;
    if (isnan(number))
        return put(s, "\"NaN\"");
    if (isinf(number))
        return put(s, number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return kur__double_format(number, is_float, s->json) == KUR_OK ? KUR_OK : kur__error_no_memory(s->bytes.error);
}

static kur_status show_decimal(shower *s, const kur__node *node, const uint8_t *twos, size_t size,
                               const kur__path *path)
{
    if (size == 0)
        return kur__error_at(s->bytes.error, KUR_ERROR_MISMATCH, path, "a decimal of no bytes");
    if (size > KUR__AVRO_DECIMAL_SIZE_MAX || node->scale < 0 || node->scale > KUR__AVRO_DECIMAL_DIGITS_MAX)
        return kur__error_at(s->bytes.error, KUR_ERROR_TOO_LARGE, path, "a decimal of %zu bytes, at most %d are shown",
                             size, KUR__AVRO_DECIMAL_SIZE_MAX);
    kur_status status = put(s, "\"");
    if (status == KUR_OK && kur__avro_decimal_format(twos, size, (size_t)node->scale, s->json) != KUR_OK)
        status = kur__error_no_memory(s->bytes.error);
    return status == KUR_OK ? put(s, "\"") : status;
}

static kur_status show_base64(shower *s, const uint8_t *data, size_t size)
{
    kur_status status = put(s, "\"");
    if (status == KUR_OK && kur_base64_write(s->json, kur_bytes_of(data, size)) != KUR_OK)
        status = kur__error_no_memory(s->bytes.error);
    return status == KUR_OK ? put(s, "\"") : status;
}

static kur_status show_bytes(shower *s, const kur__node *node, const kur__path *path)
{
    size_t size = node->length;
    bool has_size = node->kind != KUR__SCHEMA_FIXED;
    if (has_size ? !kur__avro_take_size(&s->bytes, &size) : size > kur__avro_left(&s->bytes))
        return kur__avro_cut(&s->bytes, path, "bytes or a text are not whole");
    const uint8_t *data = s->bytes.at;
    s->bytes.at += size;
    if (node->logical == KUR__LOGICAL_DECIMAL)
        return show_decimal(s, node, data, size, path);
    if (node->kind == KUR__SCHEMA_STRING) {
        if (!kur_bytes_is_utf8(kur_bytes_of(data, size)))
            return kur__error_at(s->bytes.error, KUR_ERROR_MISMATCH, path, "is not UTF-8");
        return put_string(s, (const char *)data, size);
    }
    if (node->logical == KUR__LOGICAL_UUID && size == sizeof(kur_uuid)) {
        char text[KUR_UUID_TEXT_SIZE];
        kur_uuid uuid;
        memcpy(&uuid, data, sizeof uuid);
        kur_uuid_format(&uuid, text);
        return put_string(s, text, KUR_UUID_TEXT_SIZE - 1);
    }
    return show_base64(s, data, size);
}

static kur_status show_bool(shower *s, const kur__path *path)
{
    if (kur__avro_left(&s->bytes) == 0 || *s->bytes.at > 1)
        return kur__avro_cut(&s->bytes, path, "neither true nor false");
    return put(s, *s->bytes.at++ == 1 ? "true" : "false");
}

/* ---- Containers ---- */

/* A key, and the colon behind it. */
static kur_status show_key(shower *s, const kur__path *path)
{
    size_t size;
    if (!kur__avro_take_size(&s->bytes, &size))
        return kur__avro_cut(&s->bytes, path, "a key is not whole");
    const char *key = (const char *)s->bytes.at;
    s->bytes.at += size;
    if (!kur_bytes_is_utf8(kur_bytes_of(key, size)))
        return kur__error_at(s->bytes.error, KUR_ERROR_MISMATCH, path, "is not UTF-8");
    kur_status status = put_string(s, key, size);
    return status == KUR_OK ? put(s, ":") : status;
}

static kur_status show_item(shower *s, const kur__node *node, size_t index, const kur__path *path, size_t depth)
{
    const uint8_t *before = s->bytes.at;
    kur__path at = {.up = path, .index = index};
    kur_status status = index > 0 ? put(s, ",") : KUR_OK;
    if (status == KUR_OK && node->kind == KUR__SCHEMA_MAP)
        status = show_key(s, &at);
    if (status == KUR_OK)
        status = show(s, kur__node_element(node), &at, depth);
    if (status == KUR_OK && kur__avro_is_many_empty(&s->bytes, before))
        status = kur__avro_too_empty(&s->bytes, path);
    return status;
}

static kur_status show_items(shower *s, const kur__node *node, const kur__path *path, size_t depth)
{
    bool is_map = node->kind == KUR__SCHEMA_MAP;
    size_t least = kur__avro_least(kur__node_element(node)) + is_map, index = 0;
    kur_status status = put(s, is_map ? "{" : "[");
    while (status == KUR_OK) {
        kur__avro_block block;
        status = kur__avro_take_block(&s->bytes, least, &block, path);
        if (status == KUR_OK && block.count == 0)
            return put(s, is_map ? "}" : "]");
        for (size_t i = 0; i < block.count && status == KUR_OK; i++)
            status = show_item(s, node, index++, path, depth);
        if (status == KUR_OK)
            status = kur__avro_end_block(&s->bytes, &block, path);
    }
    return status;
}

static kur_status show_record(shower *s, const kur__node *node, const kur__path *path, size_t depth)
{
    kur_status status = put(s, "{");
    for (size_t i = 0; i < node->count && status == KUR_OK; i++) {
        const uint8_t *before = s->bytes.at;
        const char *name = node->fields[i].name;
        kur__path at = {.up = path, .name = name};
        status = i > 0 ? put(s, ",") : KUR_OK;
        if (status == KUR_OK)
            status = put_string(s, name, strlen(name));
        if (status == KUR_OK)
            status = put(s, ":");
        if (status == KUR_OK)
            status = show(s, node->fields[i].node, &at, depth);
        if (status == KUR_OK && kur__avro_is_many_empty(&s->bytes, before))
            status = kur__avro_too_empty(&s->bytes, path);
    }
    return status == KUR_OK ? put(s, "}") : status;
}

static kur_status show_indexed(shower *s, const kur__node *node, const kur__path *path, size_t depth)
{
    size_t index;
    bool is_enum = node->kind == KUR__SCHEMA_ENUM;
    kur_status status = kur__avro_take_index(&s->bytes, node->count, is_enum ? "symbol" : "branch", &index, path);
    if (status != KUR_OK)
        return status;
    return is_enum ? put_string(s, node->symbols[index], strlen(node->symbols[index]))
                   : show(s, node->branches[index], path, depth);
}

static kur_status show(shower *s, const kur__node *node, const kur__path *path, size_t depth)
{
    if (s->json->size - s->before > TEXT_MAX)
        return kur__error_at(s->bytes.error, KUR_ERROR_TOO_LARGE, path, "is more than %d MiB of JSON",
                             TEXT_MAX / (1024 * 1024));
    switch (node->kind) {
    case KUR__SCHEMA_NULL:
        return put(s, "null");
    case KUR__SCHEMA_BOOLEAN:
        return show_bool(s, path);
    case KUR__SCHEMA_INT:
    case KUR__SCHEMA_LONG:
        return show_long(s, node, path);
    case KUR__SCHEMA_FLOAT:
    case KUR__SCHEMA_DOUBLE:
        return show_real(s, node, path);
    case KUR__SCHEMA_BYTES:
    case KUR__SCHEMA_STRING:
    case KUR__SCHEMA_FIXED:
        return show_bytes(s, node, path);
    case KUR__SCHEMA_ENUM:
    case KUR__SCHEMA_UNION:
        return show_indexed(s, node, path, depth);
    default:
        break;
    }
    if (depth >= KUR_DEPTH_MAX)
        return kur__avro_too_deep(&s->bytes, path);
    return node->kind == KUR__SCHEMA_RECORD ? show_record(s, node, path, depth + 1)
                                            : show_items(s, node, path, depth + 1);
}

kur_status kur_avro_to_json(const kur_schema *schema, kur_bytes data, kur_buffer *json, kur_error *error)
{
    if (schema == NULL || json == NULL)
        return kur_error_null(error, schema == NULL ? "schema" : "json");
    shower s = {.json = json, .before = json->size};
    kur_status status = kur__avro_begin(&s.bytes, data, error);
    if (status == KUR_OK)
        status = show(&s, schema->root, NULL, 0);
    if (status == KUR_OK)
        status = kur__avro_finish(&s.bytes);
    if (status != KUR_OK) {
        json->size = s.before;
        if (json->capacity > json->size)
            json->data[json->size] = '\0';
    }
    return status;
}
