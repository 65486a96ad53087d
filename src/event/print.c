/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/error.h"
#include "event/value.h"

static kur_status print(const kur_type *type, const char *value, size_t depth, kur_buffer *text);

/* Readable, and on one line whatever is in it. */
static kur_status print_string(const char *string, kur_buffer *text)
{
    if (string == NULL)
        return kur_buffer_print(text, "NULL");
    kur_status status = kur_buffer_append(text, "\"", 1);
    bool plain = kur_bytes_is_utf8(kur_bytes_text(string));
    for (const char *c = string; *c != '\0' && status == KUR_OK; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '"' || byte == '\\')
            status = kur_buffer_print(text, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !plain))
            status = kur_buffer_print(text, "\\x%02x", byte);
        else
            status = kur_buffer_append(text, c, 1);
    }
    return status == KUR_OK ? kur_buffer_append(text, "\"", 1) : status;
}

static kur_status print_items(const kur_type *type, const char *value, size_t depth, kur_buffer *text)
{
    kur__items items = kur__items_of(value);
    bool is_map = type->kind == KUR_KIND_IS_MAP;
    size_t stride = kur__item_size(type), offset = is_map ? kur__map_value_offset(type) : 0;
    kur_status status = kur_buffer_append(text, is_map ? "{" : "[", 1);
    for (size_t i = 0; i < items.count && items.items != NULL && status == KUR_OK; i++) {
        const char *item = items.items + i * stride;
        if (i > 0)
            status = kur_buffer_append(text, ", ", 2);
        if (status == KUR_OK && is_map)
            status = print_string(KUR__LOAD(const char *, item), text);
        if (status == KUR_OK && is_map)
            status = kur_buffer_append(text, ": ", 2);
        if (status == KUR_OK)
            status = print(type->element, item + offset, depth + 1, text);
    }
    return status == KUR_OK ? kur_buffer_append(text, is_map ? "}" : "]", 1) : status;
}

static kur_status print_record(const kur_type *type, const char *value, size_t depth, kur_buffer *text)
{
    kur_status status = kur_buffer_print(text, "%s{", type->name);
    for (size_t i = 0; i < type->field_count && status == KUR_OK; i++) {
        const kur_field *field = kur__type_field(type, i);
        status = kur_buffer_print(text, "%s%s=", i > 0 ? ", " : "", field->name);
        if (status == KUR_OK)
            status = print(field->type, value + field->offset, depth + 1, text);
    }
    return status == KUR_OK ? kur_buffer_append(text, "}", 1) : status;
}

static kur_status print(const kur_type *type, const char *value, size_t depth, kur_buffer *text)
{
    if (kur__is_too_deep(type, depth))
        return KUR_ERROR_TOO_LARGE;
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_STRING:
        return print_string(KUR__LOAD(const char *, value), text);
    case KUR_KIND_IS_OPTIONAL:
        return kur__optional_has(value) ? print(type->element, value + kur__optional_offset(type), depth, text)
                                        : kur_buffer_print(text, "none");
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
        return print_items(type, value, depth, text);
    case KUR_KIND_IS_RECORD:
        return print_record(type, value, depth, text);
    case KUR_KIND_IS_ENUM:
        if (KUR__LOAD(int32_t, value) == 0)
            return kur_buffer_print(text, "unset");
        return kur__value_format(type, value, text);
    default:
        /* What has no text, such as a year 12,000, is shown as the number it is. */
        if (kur__value_check(type, NULL, value, NULL, NULL) == KUR_OK)
            return kur__value_format(type, value, text);
        if (type->kind == KUR_KIND_IS_DATE)
            return kur_buffer_print(text, "?%" PRId32, KUR__LOAD(int32_t, value));
        if (type->kind == KUR_KIND_IS_TIMESTAMP || type->kind == KUR_KIND_IS_DECIMAL)
            return kur_buffer_print(text, "?%" PRId64, KUR__LOAD(int64_t, value));
        return kur_buffer_print(text, "?");
    }
}

kur_status kur_type_print(const kur_type *type, const void *record, kur_buffer *text, kur_error *error)
{
    kur_status status = kur__type_is_record(type, error);
    if (status != KUR_OK)
        return status;
    if (record == NULL || text == NULL)
        return kur_error_null(error, record == NULL ? "record" : "text");
    size_t before = text->size;
    status = print(type, record, 0, text);
    if (status == KUR_OK)
        return KUR_OK;
    text->size = before;
    if (text->data != NULL && text->capacity > before)
        text->data[before] = '\0';
    if (status == KUR_ERROR_TOO_LARGE)
        return kur_error_set(error, status, "%s nests deeper than %d", type->name, KUR_DEPTH_MAX);
    return kur__error_no_memory(error);
}
