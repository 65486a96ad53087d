/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: one pass that checks each value and writes it, into one buffer, as avro_read.c reads it. Where a look
 * says that a value is right, kur__value_check is not asked; it decides, and has the words, wherever that does not.
 */
#include <kurier/avro.h>

#include "base/error.h"
#include "base/time.h"
#include "event/avro_bytes.h"

/* Where the next byte goes, and where the buffer's room ends, a NUL before its end; the buffer learns of it at the end.
 */
typedef struct writer {
    char *at, *end;
    kur_buffer *data;
    kur_error *error;
} writer;

/* Makes room for more bytes than there are. */
static kur_status grow(writer *w, size_t size)
{
    if (w->at != NULL)
        w->data->size = (size_t)(w->at - w->data->data);
    if (kur_buffer_reserve(w->data, size) != KUR_OK)
        return kur__error_no_memory(w->error);
    w->at = w->data->data + w->data->size;
    w->end = w->data->data + w->data->capacity - 1;
    return KUR_OK;
}

static inline kur_status need_room(writer *w, size_t size)
{
    return (size_t)(w->end - w->at) >= size ? KUR_OK : grow(w, size);
}

static kur_status put(writer *w, const void *data, size_t size)
{
    kur_status status = need_room(w, size);
    if (status == KUR_OK && size > 0) {
        memcpy(w->at, data, size);
        w->at += size;
    }
    return status;
}

static inline kur_status put_long(writer *w, int64_t number)
{
    kur_status status = need_room(w, KUR__AVRO_LONG_SIZE);
    if (status == KUR_OK)
        w->at += kur__avro_long(number, w->at);
    return status;
}

static kur_status put_sized(writer *w, const void *data, size_t size)
{
    kur_status status =
        size <= SIZE_MAX / 4 ? need_room(w, size + KUR__AVRO_LONG_SIZE) : kur__error_no_memory(w->error);
    if (status != KUR_OK)
        return status;
    w->at += kur__avro_long((int64_t)size, w->at);
    return put(w, data, size);
}

static kur_status write_value(writer *w, const kur_type *type, const kur_field *field, const char *value,
                              const kur__path *path, size_t depth);

static kur_status write_record(writer *w, const kur_type *type, const char *record, const kur__path *path, size_t depth)
{
    kur_status status = KUR_OK;
    kur__path at = {.up = path};
    for (size_t i = 0; i < type->field_count && status == KUR_OK; i++) {
        const kur_field *field = kur__type_field(type, i);
        at.name = field->name;
        status = write_value(w, field->type, field, record + field->offset, &at, depth + 1);
    }
    return status;
}

static kur_status too_deep(writer *w, const kur__path *path)
{
    return kur__error_at(w->error, KUR_ERROR_TOO_LARGE, path, "nests deeper than %d", KUR_DEPTH_MAX);
}

/* All items in one block, and the empty block that is the end. */
static kur_status write_items(writer *w, const kur_type *type, const char *value, const kur__path *path, size_t depth)
{
    kur__items items = kur__items_of(value);
    bool is_map = type->kind == KUR_KIND_IS_MAP;
    size_t stride = kur__item_size(type), offset = is_map ? kur__map_value_offset(type) : 0;
    kur_status status = items.count > 0 ? put_long(w, (int64_t)items.count) : KUR_OK;
    for (size_t i = 0; i < items.count && status == KUR_OK; i++) {
        const char *item = items.items + i * stride;
        const char *key = is_map ? KUR__LOAD(const char *, item) : NULL;
        kur__path at = {.up = path, .name = key, .index = i, .is_key = is_map};
        if (is_map)
            status = put_sized(w, key, strlen(key));
        if (status == KUR_OK)
            status = write_value(w, type->element, NULL, item + offset, &at, depth + 1);
    }
    return status == KUR_OK ? put_long(w, 0) : status;
}

/* The branches of ["null", T]. */
static kur_status write_optional(writer *w, const kur_type *type, const kur_field *field, const char *value,
                                 const kur__path *path, size_t depth)
{
    bool has = kur__optional_has(value);
    kur_status status = put_long(w, has);
    if (!has || status != KUR_OK)
        return status;
    return write_value(w, type->element, field, value + kur__optional_offset(type), path, depth);
}

/* ---- Plain kinds ---- */

static kur_status write_string(writer *w, const kur_type *type, const kur_field *field, const char *value,
                               const kur__path *path)
{
    const char *text = KUR__LOAD(const char *, value);
    size_t size = text != NULL ? strlen(text) : 0;
    bool is_right =
        text != NULL && kur__avro_is_plain(text, size) &&
        (field == NULL || (size >= field->min_length && (field->max_length == 0 || size <= field->max_length)));
    kur_status status = is_right ? KUR_OK : kur__value_check(type, field, value, path, w->error);
    return status == KUR_OK ? put_sized(w, text, size) : status;
}

static kur_status write_bytes(writer *w, const char *value)
{
    kur_bytes bytes = KUR__LOAD(kur_bytes, value);
    return put_sized(w, bytes.data, bytes.size);
}

/* A bound in a few digits; false: it is for kur__value_check to read. */
static inline bool is_small_bound(const kur_type *type, const char *text, int64_t *bound)
{
    bool negative = *text == '-';
    const char *digit = text + negative;
    int64_t number = 0;
    for (; *digit >= '0' && *digit <= '9' && digit < text + 10; digit++)
        number = number * 10 + (*digit - '0');
    *bound = negative ? -number : number;
    if (*digit != '\0' || digit == text + negative)
        return false;
    return type->kind != KUR_KIND_IS_DECIMAL || !__builtin_mul_overflow(*bound, kur__powers_of_ten[type->scale], bound);
}

static inline bool is_within(const kur_type *type, const kur_field *field, int64_t number)
{
    int64_t bound;
    if (field == NULL)
        return true;
    return (field->min == NULL || (is_small_bound(type, field->min, &bound) && number >= bound)) &&
           (field->max == NULL || (is_small_bound(type, field->max, &bound) && number <= bound));
}

/* Whether a whole number is right at first sight. */
static bool is_right(const kur_type *type, const kur_field *field, int64_t number)
{
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_TIMESTAMP:
        return kur__time_has_text(number) && (field == NULL || (field->min == NULL && field->max == NULL));
    case KUR_KIND_IS_DATE:
        return kur__date_has_text(number) && (field == NULL || (field->min == NULL && field->max == NULL));
    case KUR_KIND_IS_DECIMAL:
        return type->precision >= 1 && type->precision <= 18 && type->scale >= 0 && type->scale <= type->precision &&
               number > -kur__powers_of_ten[type->precision] && number < kur__powers_of_ten[type->precision] &&
               is_within(type, field, number);
    default:
        return is_within(type, field, number);
    }
}

static kur_status write_decimal(writer *w, int64_t unscaled)
{
    char twos[8];
    size_t size = kur__avro_twos(unscaled, twos);
    return put_sized(w, twos + sizeof twos - size, size);
}

/* Times before 1970 too are rounded down. */
static int64_t time_of(const kur_field *field, int64_t time_us)
{
    if (field == NULL || (field->flags & KUR_MILLIS) == 0)
        return time_us;
    return kur__millis_below(time_us);
}

static kur_status write_float(writer *w, const char *value)
{
    uint32_t bits = htole32(KUR__LOAD(uint32_t, value));
    return put(w, &bits, sizeof bits);
}

static kur_status write_double(writer *w, const char *value)
{
    uint64_t bits = htole64(KUR__LOAD(uint64_t, value));
    return put(w, &bits, sizeof bits);
}

static kur_status write_uuid(writer *w, const char *value)
{
    char text[KUR_UUID_TEXT_SIZE];
    kur_uuid uuid = KUR__LOAD(kur_uuid, value);
    kur_uuid_format(&uuid, text);
    return put_sized(w, text, KUR_UUID_TEXT_SIZE - 1);
}

static kur_status write_whole(writer *w, const kur_type *type, const kur_field *field, const char *value,
                              const kur__path *path)
{
    bool is_small = type->kind == KUR_KIND_IS_INT32 || type->kind == KUR_KIND_IS_DATE;
    int64_t number = is_small ? KUR__LOAD(int32_t, value) : KUR__LOAD(int64_t, value);
    kur_status status = is_right(type, field, number) ? KUR_OK : kur__value_check(type, field, value, path, w->error);
    if (status != KUR_OK)
        return status;
    if (type->kind == KUR_KIND_IS_DECIMAL)
        return write_decimal(w, number);
    return put_long(w, type->kind == KUR_KIND_IS_TIMESTAMP ? time_of(field, number) : number);
}

/* What has been checked. */
static kur_status write_plain(writer *w, const kur_type *type, const char *value)
{
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_BYTES:
        return write_bytes(w, value);
    case KUR_KIND_IS_BOOL:
        return put(w, value, 1);
    case KUR_KIND_IS_FLOAT:
        return write_float(w, value);
    case KUR_KIND_IS_DOUBLE:
        return write_double(w, value);
    case KUR_KIND_IS_UUID:
        return write_uuid(w, value);
    case KUR_KIND_IS_ENUM:
        return put_long(w, (int64_t)KUR__LOAD(int32_t, value) - 1);
    default:
        return put(w, value, type->size); /* a fixed */
    }
}

static kur_status write_value(writer *w, const kur_type *type, const kur_field *field, const char *value,
                              const kur__path *path, size_t depth)
{
    kur_status status;
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_STRING:
        return write_string(w, type, field, value, path);
    case KUR_KIND_IS_INT32:
    case KUR_KIND_IS_INT64:
    case KUR_KIND_IS_TIMESTAMP:
    case KUR_KIND_IS_DATE:
    case KUR_KIND_IS_DECIMAL:
        return write_whole(w, type, field, value, path);
    case KUR_KIND_IS_OPTIONAL:
        return write_optional(w, type, field, value, path, depth);
    case KUR_KIND_IS_RECORD:
        return depth < KUR_DEPTH_MAX ? write_record(w, type, value, path, depth) : too_deep(w, path);
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
        if (depth >= KUR_DEPTH_MAX)
            return too_deep(w, path);
        status = kur__value_check(type, field, value, path, w->error);
        return status == KUR_OK ? write_items(w, type, value, path, depth) : status;
    default:
        status = kur__value_check(type, field, value, path, w->error);
        return status == KUR_OK ? write_plain(w, type, value) : status;
    }
}

kur_status kur_avro_write(const kur_type *type, const void *record, kur_buffer *data, kur_error *error)
{
    kur_status status = kur__type_is_record(type, error);
    if (status != KUR_OK)
        return status;
    if (record == NULL || data == NULL)
        return kur_error_null(error, record == NULL ? "record" : "data");
    writer w = {.data = data, .error = error};
    size_t before = data->size;
    status = grow(&w, KUR__AVRO_LONG_SIZE);
    if (status == KUR_OK)
        status = write_value(&w, type, NULL, record, NULL, 0);
    data->size = status == KUR_OK ? (size_t)(w.at - data->data) : before;
    if (data->capacity > data->size)
        data->data[data->size] = '\0';
    return status;
}
