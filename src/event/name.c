/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a record is called on Kafka: its key, and an event type's name.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "event/value.h"

static kur_status append_big_endian(kur_buffer *key, uint64_t number, size_t size)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    return kur_buffer_append(key, bytes + 8 - size, size);
}

kur_status kur_type_key(const kur_type *type, const void *record, kur_buffer *key, bool *has_key, kur_error *error)
{
    kur_status status = kur__type_is_record(type, error);
    if (status != KUR_OK)
        return status;
    if (record == NULL || key == NULL || has_key == NULL)
        return kur_error_null(error, record == NULL ? "record" : key == NULL ? "key" : "has_key");
    for (size_t i = 0; i < type->field_count; i++) {
        const kur_field *field = kur__type_field(type, i);
        if ((field->flags & KUR_KEY) == 0)
            continue;
        const char *value = (const char *)record + field->offset;
        kur__path at = {.name = field->name};
        status = kur__value_check(field->type, field, value, &at, error);
        if (status != KUR_OK)
            return status;
        if (type->key_format == KUR_KEY_BE && field->type->kind == KUR_KIND_IS_INT32)
            status = append_big_endian(key, (uint64_t)KUR__LOAD(int32_t, value), 4);
        else if (type->key_format == KUR_KEY_BE && field->type->kind == KUR_KIND_IS_INT64)
            status = append_big_endian(key, (uint64_t)KUR__LOAD(int64_t, value), 8);
        else
            status = kur__value_format(field->type, value, key);
        if (status != KUR_OK)
            return kur__error_no_memory(error);
        *has_key = true;
        return KUR_OK;
    }
    *has_key = false;
    return KUR_OK;
}

kur_status kur_type_event_name(const kur_type *type, kur_buffer *name, kur_error *error)
{
    kur_status status = kur__type_is_record(type, error);
    if (status != KUR_OK)
        return status;
    if (name == NULL)
        return kur_error_null(error, "name");
    if (type->event_type == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s is not an event: it was declared by KUR_RECORD",
                             type->name);
    size_t size = strlen(type->event_type);
    if (kur_buffer_reserve(name, size + sizeof ".v4294967295") != KUR_OK)
        return kur__error_no_memory(error);
    kur__buffer_put(name, type->event_type, size);
    kur__buffer_put(name, ".v", 2);
    kur__int64_format(type->version, name);
    return KUR_OK;
}
