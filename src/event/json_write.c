/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: one pass that checks each value and writes it, into one buffer, with no tree in between.
 */
#include "event/json.h"

#include <kurier/json.h>

#include "base/buffer.h"
#include "base/error.h"
#include "event/value.h"

typedef struct writer {
    kur_buffer *json;
    kur_error *error;
} writer;

static kur_status put(writer *w, const char *text, size_t size)
{
    return kur__buffer_put(w->json, text, size) == KUR_OK ? KUR_OK : kur__error_no_memory(w->error);
}

static kur_status put_char(writer *w, char c)
{
    return kur__buffer_put_char(w->json, c) == KUR_OK ? KUR_OK : kur__error_no_memory(w->error);
}

/* Whether one of eight bytes needs an escape; never wrongly no. */
static bool word_needs_escape(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    uint64_t found = ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash);
    return (found & tops) != 0;
}

/* How many bytes from the start need no escape. */
static size_t count_plain(const char *text, size_t size)
{
    size_t i = 0;
    for (uint64_t word; i + sizeof word <= size; i += sizeof word) {
        memcpy(&word, text + i, sizeof word);
        if (word_needs_escape(word))
            break;
    }
    while (i < size && (unsigned char)text[i] >= 0x20 && text[i] != '"' && text[i] != '\\')
        i++;
    return i;
}

static kur_status put_escape(kur_buffer *json, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    static const char pairs[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    char escape[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    for (size_t i = 0; i + 1 < sizeof pairs; i += 2)
        if ((unsigned char)pairs[i] == c) {
            escape[1] = pairs[i + 1];
            return kur__buffer_put(json, escape, 2);
        }
    return kur__buffer_put(json, escape, sizeof escape);
}

kur_status kur__json_write_string(kur_buffer *json, const char *text, size_t size)
{
    kur_status status = kur__buffer_put_char(json, '"');
    while (status == KUR_OK) {
        size_t plain = count_plain(text, size);
        status = kur__buffer_put(json, text, plain);
        if (plain == size || status != KUR_OK)
            break;
        status = put_escape(json, (unsigned char)text[plain]);
        text += plain + 1;
        size -= plain + 1;
    }
    return status == KUR_OK ? kur__buffer_put_char(json, '"') : status;
}

static kur_status put_string(writer *w, const char *text)
{
    return kur__json_write_string(w->json, text, strlen(text)) == KUR_OK ? KUR_OK : kur__error_no_memory(w->error);
}

/* A name of C, in whatever case, needs no escapes. */
static kur_status put_name(writer *w, const kur_type *type, const kur_field *field)
{
    char storage[KUR__NAME_MAX];
    const char *name = kur__field_name(type, field, storage);
    if (field->json != NULL)
        return put_string(w, name);
    kur_status status = put_char(w, '"');
    if (status == KUR_OK)
        status = put(w, name, strlen(name));
    return status == KUR_OK ? put_char(w, '"') : status;
}

static kur_status write_value(writer *w, const kur_type *type, const kur_field *field, const char *value,
                              const kur__path *path, size_t depth);

static kur_status write_record(writer *w, const kur_type *type, const char *record, const kur__path *path, size_t depth)
{
    kur_status status = put_char(w, '{');
    bool first = true;
    for (size_t i = 0; i < type->field_count && status == KUR_OK; i++) {
        const kur_field *field = kur__type_field(type, i);
        const char *value = record + field->offset;
        if (field->type->kind == KUR_KIND_IS_OPTIONAL && !kur__optional_has(value))
            continue;
        kur__path at = {.up = path, .name = field->name};
        status = first ? KUR_OK : put_char(w, ',');
        first = false;
        if (status == KUR_OK)
            status = put_name(w, type, field);
        if (status == KUR_OK)
            status = put_char(w, ':');
        if (status == KUR_OK)
            status = write_value(w, field->type, field, value, &at, depth + 1);
    }
    return status == KUR_OK ? put_char(w, '}') : status;
}

static kur_status write_items(writer *w, const kur_type *type, const char *value, const kur__path *path, size_t depth)
{
    kur__items items = kur__items_of(value);
    bool is_map = type->kind == KUR_KIND_IS_MAP;
    size_t stride = kur__item_size(type), offset = is_map ? kur__map_value_offset(type) : 0;
    kur_status status = put_char(w, is_map ? '{' : '[');
    for (size_t i = 0; i < items.count && status == KUR_OK; i++) {
        const char *item = items.items + i * stride;
        const char *key = is_map ? KUR__LOAD(const char *, item) : NULL;
        kur__path at = {.up = path, .name = key, .index = i, .is_key = is_map};
        status = i == 0 ? KUR_OK : put_char(w, ',');
        if (status == KUR_OK && is_map)
            status = put_string(w, key);
        if (status == KUR_OK && is_map)
            status = put_char(w, ':');
        if (status == KUR_OK)
            status = write_value(w, type->element, NULL, item + offset, &at, depth + 1);
    }
    return status == KUR_OK ? put_char(w, is_map ? '}' : ']') : status;
}

static kur_status write_plain(writer *w, const kur_type *type, const char *value)
{
    bool quoted = kur__kind_is_text((kur_kind)type->kind);
    if (quoted && type->kind == KUR_KIND_IS_ENUM) /* a symbol's name may need escapes */
        return put_string(w, kur__symbol_name(type, KUR__LOAD(int32_t, value)));
    kur_status status = quoted ? put_char(w, '"') : KUR_OK;
    if (status == KUR_OK && kur__value_format(type, value, w->json) != KUR_OK)
        status = kur__error_no_memory(w->error);
    return status == KUR_OK && quoted ? put_char(w, '"') : status;
}

static kur_status write_value(writer *w, const kur_type *type, const kur_field *field, const char *value,
                              const kur__path *path, size_t depth)
{
    if (kur__is_too_deep(type, depth))
        return kur__error_at(w->error, KUR_ERROR_TOO_LARGE, path, "nests deeper than %d", KUR_DEPTH_MAX);
    kur_status status = kur__value_check(type, field, value, path, w->error);
    if (status != KUR_OK)
        return status;
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_STRING:
        return put_string(w, KUR__LOAD(const char *, value));
    case KUR_KIND_IS_OPTIONAL:
        return kur__optional_has(value)
                   ? write_value(w, type->element, field, value + kur__optional_offset(type), path, depth)
                   : put(w, "null", 4);
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
        return write_items(w, type, value, path, depth);
    case KUR_KIND_IS_RECORD:
        return write_record(w, type, value, path, depth);
    default:
        return write_plain(w, type, value);
    }
}

kur_status kur_json_write(const kur_type *type, const void *record, kur_buffer *json, kur_error *error)
{
    kur_status status = kur__type_is_record(type, error);
    if (status != KUR_OK)
        return status;
    if (record == NULL || json == NULL)
        return kur_error_null(error, record == NULL ? "record" : "json");
    writer w = {json, error};
    size_t before = json->size;
    status = write_value(&w, type, NULL, record, NULL, 0);
    if (status != KUR_OK) {
        json->size = before;
        if (json->capacity > before)
            json->data[before] = '\0';
    }
    return status;
}
