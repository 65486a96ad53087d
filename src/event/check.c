/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Whether a descriptor says what can be meant: what the compiler cannot see in a field list.
 */
#include <inttypes.h>

#include "base/error.h"
#include "event/schema.h"
#include "event/value.h"

/* The records that are being checked, from the innermost out. */
struct above {
    const struct above *up;
    const kur_type *type;
};

static bool is_above(const struct above *above, const kur_type *type)
{
    for (; above != NULL; above = above->up)
        if (above->type == type)
            return true;
    return false;
}

static kur_status check_type(const kur_type *type, const struct above *above, const kur__path *path, kur_error *error);

static bool is_number(const kur_type *type)
{
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_INT32:
    case KUR_KIND_IS_INT64:
    case KUR_KIND_IS_FLOAT:
    case KUR_KIND_IS_DOUBLE:
    case KUR_KIND_IS_TIMESTAMP:
    case KUR_KIND_IS_DATE:
    case KUR_KIND_IS_DECIMAL:
        return true;
    default:
        return false;
    }
}

static bool has_length(const kur_type *type)
{
    return type->kind == KUR_KIND_IS_STRING || type->kind == KUR_KIND_IS_BYTES || type->kind == KUR_KIND_IS_LIST ||
           type->kind == KUR_KIND_IS_MAP;
}

static bool can_be_key(const kur_type *type)
{
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_STRING:
    case KUR_KIND_IS_INT32:
    case KUR_KIND_IS_INT64:
    case KUR_KIND_IS_DATE:
    case KUR_KIND_IS_UUID:
    case KUR_KIND_IS_ENUM:
        return true;
    default:
        return false;
    }
}

/* What is wrong with a value is here wrong with the descriptor. */
static kur_status refused(kur_error *error)
{
    if (error != NULL)
        error->code = KUR_ERROR_INVALID_ARGUMENT;
    return KUR_ERROR_INVALID_ARGUMENT;
}

static kur_status check_bounds(const kur_field *field, const kur_type *plain, const kur__path *path, kur_error *error)
{
    int64_t storage;
    const char *bounds[] = {field->max, field->min};
    for (int i = 0; i < 2; i++) {
        if (bounds[i] == NULL)
            continue;
        if (!is_number(plain))
            return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, ".min and .max are for numbers and times");
        kur_status status = kur__value_parse(plain, bounds[i], strlen(bounds[i]), NULL, &storage, path, error);
        if (status != KUR_OK)
            return refused(error);
        /* The highest value comes first, so that the lowest can be held against it. */
        status = kur__value_check(plain, i == 0 ? NULL : field, &storage, path, error);
        if (status == KUR_ERROR_CONSTRAINT)
            return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, ".min is above .max");
        if (status != KUR_OK)
            return refused(error);
    }
    if ((field->min_length != 0 || field->max_length != 0) && !has_length(plain))
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path,
                             ".min_length and .max_length are for strings, bytes, lists and maps");
    if (field->max_length != 0 && field->min_length > field->max_length)
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, ".min_length is above .max_length");
    return KUR_OK;
}

static kur_status check_default(const kur_field *field, const kur__path *path, kur_error *error)
{
    union {
        int64_t number;
        const char *text;
        kur_uuid uuid;
        kur__items items;
    } storage;
    bool has;
    if (field->default_text == NULL)
        return KUR_OK;
    if (field->type->kind == KUR_KIND_IS_OPTIONAL || field->type->kind == KUR_KIND_IS_RECORD)
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, "optionals and records have no default_text");
    kur_status status = kur__field_default(field, &storage, &has, path, error);
    if (status == KUR_OK)
        status = kur__value_check(field->type, field, &storage, path, error);
    return status == KUR_OK ? KUR_OK : refused(error);
}

static kur_status check_name(const kur_type *record, size_t index, const kur__path *path, kur_error *error)
{
    char mine[KUR__NAME_MAX], other[KUR__NAME_MAX];
    const char *name = kur__field_name(record, kur__type_field(record, index), mine);
    if (name[0] == '\0' || strlen(name) >= KUR__NAME_MAX || !kur_bytes_is_utf8(kur_bytes_text(name)))
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path,
                             "the name on the wire is empty, too long or not UTF-8");
    for (size_t i = 0; i < index; i++)
        if (strcmp(name, kur__field_name(record, kur__type_field(record, i), other)) == 0)
            return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, "two fields are called \"%s\" on the wire",
                                 name);
    return KUR_OK;
}

/* What only Avro asks for; what else it asks of names is checked where a schema is made. */
static kur_status check_aliases(const char *aliases, bool may_be_full, const kur__path *path, kur_error *error)
{
    const char *word;
    size_t size;
    while (kur__next_word(&aliases, &word, &size))
        if (may_be_full ? !kur__avro_is_full_name(word, size) : !kur__avro_is_name(word, size))
            return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path,
                                 ".aliases has \"%.*s\", which is no name that Avro allows",
                                 (int)(size < 100 ? size : 100), word);
    return KUR_OK;
}

static kur_status check_for_avro(const kur_field *field, const kur_type *plain, const kur__path *path, kur_error *error)
{
    const kur_type *innermost = plain;
    while (innermost->element != NULL)
        innermost = innermost->element;
    if ((field->flags & KUR_MILLIS) != 0 && plain->kind != KUR_KIND_IS_TIMESTAMP)
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, "KUR_MILLIS is for TIMESTAMP");
    if (field->avro_name != NULL &&
        (innermost->kind != KUR_KIND_IS_FIXED || !kur__avro_is_full_name(field->avro_name, strlen(field->avro_name))))
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path,
                             ".avro_name of a field is the full name of a FIXED");
    return check_aliases(field->aliases, false, path, error);
}

static kur_status check_names(const kur_type *type, const kur__path *path, kur_error *error)
{
    if (type->avro_name != NULL && !kur__avro_is_full_name(type->avro_name, strlen(type->avro_name)))
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, ".avro_name of %s is no name that Avro allows",
                             type->name);
    return check_aliases(type->aliases, true, path, error);
}

static kur_status check_field(const kur_type *record, const struct above *above, size_t index, const kur__path *path,
                              kur_error *error)
{
    const kur_field *field = kur__type_field(record, index);
    if (field->type == NULL || field->type->size > record->size || field->offset > record->size - field->type->size)
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, "has no type, or lies outside its struct");
    const kur_type *plain = field->type->kind == KUR_KIND_IS_OPTIONAL ? field->type->element : field->type;
    if ((field->flags & KUR_KEY) != 0 && !can_be_key(field->type))
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path,
                             "cannot be the key: only strings, integers, dates, UUIDs and enums can");
    kur_status status = check_name(record, index, path, error);
    if (status == KUR_OK)
        status = check_type(field->type, above, path, error);
    if (status == KUR_OK)
        status = check_bounds(field, plain, path, error);
    if (status == KUR_OK)
        status = check_for_avro(field, plain, path, error);
    return status == KUR_OK ? check_default(field, path, error) : status;
}

static kur_status check_record(const kur_type *type, const struct above *above, const kur__path *path, kur_error *error)
{
    struct above here = {above, type};
    kur_status status = check_names(type, path, error);
    size_t keys = 0;
    for (size_t i = 0; i < type->field_count && status == KUR_OK; i++) {
        const kur_field *field = kur__type_field(type, i);
        kur__path at = {.up = path, .name = field->name};
        keys += (field->flags & KUR_KEY) != 0;
        status = check_field(type, &here, i, &at, error);
        if (status == KUR_OK && keys > 1)
            status = kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, &at, "is the second key field: one at most");
    }
    return status;
}

static kur_status check_enum(const kur_type *type, const kur__path *path, kur_error *error)
{
    bool found = type->unknown == NULL;
    for (size_t i = 0; i < type->field_count; i++) {
        found = found || strcmp(kur__type_field(type, i)->name, type->unknown) == 0;
        for (size_t j = 0; j < i; j++)
            if (strcmp(kur__symbol_name(type, (int32_t)i + 1), kur__symbol_name(type, (int32_t)j + 1)) == 0)
                return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, "%s has the symbol \"%s\" twice",
                                     type->name, kur__symbol_name(type, (int32_t)i + 1));
    }
    if (!found)
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path, ".unknown = \"%s\" is not a symbol of %s",
                             type->unknown, type->name);
    return check_names(type, path, error);
}

/* What the macros always fill in, and what is made by hand may lack. */
static kur_status check_whole(const kur_type *type, const kur__path *path, kur_error *error)
{
    bool is_container =
        type->kind == KUR_KIND_IS_OPTIONAL || type->kind == KUR_KIND_IS_LIST || type->kind == KUR_KIND_IS_MAP;
    bool has_fields = type->kind == KUR_KIND_IS_RECORD || type->kind == KUR_KIND_IS_ENUM;
    bool whole =
        type->kind >= KUR_KIND_IS_STRING && type->kind <= KUR_KIND_IS_FIXED && type->size > 0 && type->align > 0;
    if (is_container)
        whole = whole && type->element != NULL;
    if (has_fields)
        whole = whole && type->name != NULL && type->fields != NULL && type->field_size >= sizeof(kur_field);
    for (size_t i = 0; has_fields && whole && i < type->field_count; i++)
        whole = kur__type_field(type, i)->name != NULL;
    if (whole && type->event_type != NULL)
        whole = type->event_type[0] != '\0' && type->version > 0;
    if (whole)
        return KUR_OK;
    return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path,
                         "a descriptor without kind, size, name, element, fields or event type and version");
}

static kur_status check_type(const kur_type *type, const struct above *above, const kur__path *path, kur_error *error)
{
    if (type->abi != KUR_TYPE_ABI)
        return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path,
                             "a descriptor of ABI %" PRIu32 ", this library knows %d", type->abi, KUR_TYPE_ABI);
    kur_status status = check_whole(type, path, error);
    if (status != KUR_OK)
        return status;
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_DECIMAL:
        if (type->precision < 1 || type->precision > 18 || type->scale < 0 || type->scale > type->precision)
            return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path,
                                 "DECIMAL(%d, %d): 1 to 18 digits, none to all of them behind the point",
                                 (int)type->precision, (int)type->scale);
        return KUR_OK;
    case KUR_KIND_IS_ENUM:
        return check_enum(type, path, error);
    case KUR_KIND_IS_OPTIONAL:
        if (type->element->kind == KUR_KIND_IS_OPTIONAL)
            return kur__error_at(error, KUR_ERROR_INVALID_ARGUMENT, path,
                                 "an optional of an optional: null would mean both");
        return check_type(type->element, above, path, error);
    case KUR_KIND_IS_LIST:
    case KUR_KIND_IS_MAP:
        return check_type(type->element, above, path, error);
    case KUR_KIND_IS_RECORD:
        /* A record may hold a list of its own kind: then it is being checked already, further up. */
        return is_above(above, type) ? KUR_OK : check_record(type, above, path, error);
    default:
        return KUR_OK;
    }
}

kur_status kur__type_is_record(const kur_type *type, kur_error *error)
{
    if (type == NULL)
        return kur_error_null(error, "type");
    if (type->abi != KUR_TYPE_ABI || type->kind != KUR_KIND_IS_RECORD)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "not the descriptor of a record of ABI %d: made with other headers?", KUR_TYPE_ABI);
    return KUR_OK;
}

kur_status kur_type_check(const kur_type *type, kur_error *error)
{
    if (type == NULL)
        return kur_error_null(error, "type");
    if (type->kind != KUR_KIND_IS_RECORD && type->kind != KUR_KIND_IS_ENUM)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "not the descriptor of a record, an event or an enum");
    kur_status status = check_type(type, NULL, NULL, error);
    if (status == KUR_OK && type->format > KUR_FORMAT_AVRO)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".format is not a kur_format");
    return status;
}
