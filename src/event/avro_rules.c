/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The rules of Avro's specification, "Schema Resolution", for one pair of types, and how a plain value that obeys them
 * becomes one of ours. What is more than Avro asks: decimals of bytes and of fixed read each other, and so do UUIDs;
 * what is less: a date is not read as a time, nor one scale as another, for the numbers would mean something else.
 */
#include <float.h>
#include <stdio.h>

#include "event/avro_plan.h"

/* ---- Words ---- */

static const char *kind_text(kur__schema_kind kind)
{
    static const char *const texts[] = {
        [KUR__SCHEMA_NULL] = "null",     [KUR__SCHEMA_BOOLEAN] = "boolean", [KUR__SCHEMA_INT] = "int",
        [KUR__SCHEMA_LONG] = "long",     [KUR__SCHEMA_FLOAT] = "float",     [KUR__SCHEMA_DOUBLE] = "double",
        [KUR__SCHEMA_BYTES] = "bytes",   [KUR__SCHEMA_STRING] = "string",   [KUR__SCHEMA_FIXED] = "fixed",
        [KUR__SCHEMA_ENUM] = "enum",     [KUR__SCHEMA_ARRAY] = "array",     [KUR__SCHEMA_MAP] = "map",
        [KUR__SCHEMA_RECORD] = "record", [KUR__SCHEMA_UNION] = "union",
    };
    return texts[kind];
}

kur__avro_words kur__avro_call(const kur__node *node)
{
    static const char *const logical[] = {
        [KUR__LOGICAL_DATE] = "date",
        [KUR__LOGICAL_MILLIS] = "timestamp-millis",
        [KUR__LOGICAL_MICROS] = "timestamp-micros",
        [KUR__LOGICAL_UUID] = "uuid",
    };
    kur__avro_words words;
    const char *kind = kind_text(node->kind);
    if (node->logical == KUR__LOGICAL_DECIMAL)
        snprintf(words.text, sizeof words.text, "decimal(%d, %d)", (int)node->precision, (int)node->scale);
    else if (node->logical != KUR__LOGICAL_NONE)
        snprintf(words.text, sizeof words.text, "%s", logical[node->logical]);
    else if (node->kind == KUR__SCHEMA_FIXED)
        snprintf(words.text, sizeof words.text, "fixed %.100s of %zu bytes", node->name, node->length);
    else if (node->name != NULL)
        snprintf(words.text, sizeof words.text, "%s %.100s", kind, node->name);
    else
        snprintf(words.text, sizeof words.text, "%s", kind);
    return words;
}

/* ---- Names ---- */

static const char *without_namespace(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL ? dot + 1 : name;
}

bool kur__avro_is_same_name(const kur__node *writer, const kur__node *reader)
{
    const char *name = without_namespace(writer->name);
    if (strcmp(name, without_namespace(reader->name)) == 0)
        return true;
    for (size_t i = 0; i < reader->alias_count; i++)
        if (strcmp(name, without_namespace(reader->aliases[i])) == 0)
            return true;
    return false;
}

static const kur__node_field *field_of(const kur__node *record, const char *name)
{
    for (size_t i = 0; i < record->count; i++)
        if (strcmp(record->fields[i].name, name) == 0)
            return &record->fields[i];
    return NULL;
}

const kur__node_field *kur__avro_find_field(const kur__node *writer, const kur__node *reader,
                                            const kur__node_field *field)
{
    const kur__node_field *found = field_of(writer, field->name);
    for (size_t i = 0; i < field->alias_count && found == NULL; i++) {
        found = field_of(writer, field->aliases[i]);
        /* A name of the reader's own is not another field's old one. */
        if (found != NULL && field_of(reader, field->aliases[i]) != NULL)
            found = NULL;
    }
    return found;
}

/* ---- Pairs of types ---- */

/* Whether one of these reads the other whatever carries them. */
static bool is_same_logical(const kur__node *writer, const kur__node *reader)
{
    return writer->logical == reader->logical &&
           (reader->logical == KUR__LOGICAL_DECIMAL || reader->logical == KUR__LOGICAL_UUID);
}

static bool is_promoted(kur__schema_kind writer, kur__schema_kind reader)
{
    switch (reader) {
    case KUR__SCHEMA_LONG:
        return writer == KUR__SCHEMA_INT;
    case KUR__SCHEMA_FLOAT:
        return writer == KUR__SCHEMA_INT || writer == KUR__SCHEMA_LONG;
    case KUR__SCHEMA_DOUBLE:
        return writer == KUR__SCHEMA_INT || writer == KUR__SCHEMA_LONG || writer == KUR__SCHEMA_FLOAT;
    case KUR__SCHEMA_STRING:
        return writer == KUR__SCHEMA_BYTES;
    case KUR__SCHEMA_BYTES:
        return writer == KUR__SCHEMA_STRING;
    default:
        return false;
    }
}

static bool is_time(kur__logical logical)
{
    return logical == KUR__LOGICAL_MILLIS || logical == KUR__LOGICAL_MICROS;
}

static kur_status refuse(const kur__node *writer, const kur__node *reader, const char *rule, const kur__path *path,
                         kur_error *error)
{
    kur__avro_words wrote = kur__avro_call(writer), reads = kur__avro_call(reader);
    return kur__error_at(error, KUR_ERROR_MISMATCH, path, "the writer's %s cannot be read as %s%s", wrote.text,
                         reads.text, rule);
}

kur_status kur__avro_match(const kur__node *writer, const kur__node *reader, const kur__path *path, kur_error *error)
{
    if (is_same_logical(writer, reader))
        return writer->scale == reader->scale ? KUR_OK : refuse(writer, reader, ": another scale", path, error);
    if (writer->kind != reader->kind && !is_promoted(writer->kind, reader->kind))
        return refuse(writer, reader, "", path, error);
    if ((writer->logical == KUR__LOGICAL_DATE && is_time(reader->logical)) ||
        (writer->logical == KUR__LOGICAL_DECIMAL && reader->logical == KUR__LOGICAL_UUID))
        return refuse(writer, reader, "", path, error);
    bool has_name = reader->name != NULL && writer->kind == reader->kind;
    if (has_name && !kur__avro_is_same_name(writer, reader))
        return refuse(writer, reader, ", whose name and aliases are others", path, error);
    if (reader->kind == KUR__SCHEMA_FIXED && writer->length != reader->length)
        return refuse(writer, reader, "", path, error);
    return KUR_OK;
}

/* ---- Plain values ---- */

static kur__avro_op op_of(const kur_type *type, const kur__node *writer)
{
    bool of_long = writer->kind == KUR__SCHEMA_INT || writer->kind == KUR__SCHEMA_LONG;
    bool of_fixed = writer->kind == KUR__SCHEMA_FIXED;
    switch ((kur_kind)type->kind) {
    case KUR_KIND_IS_STRING:
        return KUR__AVRO_STRING;
    case KUR_KIND_IS_BYTES:
        return KUR__AVRO_BYTES;
    case KUR_KIND_IS_BOOL:
        return KUR__AVRO_BOOL;
    case KUR_KIND_IS_INT32:
    case KUR_KIND_IS_DATE:
        return KUR__AVRO_INT;
    case KUR_KIND_IS_INT64:
        return KUR__AVRO_LONG;
    case KUR_KIND_IS_TIMESTAMP:
        return KUR__AVRO_TIMESTAMP;
    case KUR_KIND_IS_FLOAT:
        return of_long ? KUR__AVRO_LONG_TO_FLOAT : KUR__AVRO_FLOAT;
    case KUR_KIND_IS_DOUBLE:
        return of_long                             ? KUR__AVRO_LONG_TO_DOUBLE
               : writer->kind == KUR__SCHEMA_FLOAT ? KUR__AVRO_FLOAT_TO_DOUBLE
                                                   : KUR__AVRO_DOUBLE;
    case KUR_KIND_IS_DECIMAL:
        return of_fixed ? KUR__AVRO_DECIMAL_OF_FIXED : KUR__AVRO_DECIMAL;
    case KUR_KIND_IS_UUID:
        return of_fixed ? KUR__AVRO_FIXED : KUR__AVRO_UUID;
    default:
        return KUR__AVRO_FIXED;
    }
}

/* What a kind holds at all; a bound of the field's makes it narrower. */
static void integer_bounds(const kur_type *type, const kur_field *field, int64_t *least, int64_t *most)
{
    const char *low = field != NULL ? field->min : NULL, *high = field != NULL ? field->max : NULL;
    *least = INT64_MIN;
    *most = INT64_MAX;
    if (type->kind == KUR_KIND_IS_DECIMAL) {
        *most = kur__powers_of_ten[type->precision] - 1;
        *least = -*most;
    } else if (type->kind == KUR_KIND_IS_TIMESTAMP) {
        low = low != NULL ? low : "0001-01-01T00:00:00Z";
        high = high != NULL ? high : "9999-12-31T23:59:59.999999Z";
    } else if (type->kind == KUR_KIND_IS_DATE) {
        low = low != NULL ? low : "0001-01-01";
        high = high != NULL ? high : "9999-12-31";
    }
    for (int i = 0; i < 2; i++) {
        const char *text = i == 0 ? low : high;
        int64_t bound;
        int32_t small;
        bool is_small = type->kind == KUR_KIND_IS_DATE || type->kind == KUR_KIND_IS_INT32;
        if (text == NULL ||
            kur__value_parse(type, text, strlen(text), NULL, is_small ? (void *)&small : &bound, NULL, NULL) != KUR_OK)
            continue;
        *(i == 0 ? least : most) = is_small ? small : bound;
    }
}

static void real_bounds(const kur_type *type, const kur_field *field, double *least, double *most)
{
    bool is_float = type->kind == KUR_KIND_IS_FLOAT;
    *most = is_float ? (double)FLT_MAX : DBL_MAX;
    *least = -*most;
    for (int i = 0; i < 2 && field != NULL; i++) {
        const char *text = i == 0 ? field->min : field->max;
        float narrow;
        double wide;
        if (text == NULL ||
            kur__value_parse(type, text, strlen(text), NULL, is_float ? (void *)&narrow : &wide, NULL, NULL) != KUR_OK)
            continue;
        *(i == 0 ? least : most) = is_float ? (double)narrow : wide;
    }
}

void kur__avro_plain(kur__avro_step *step, const kur__node *writer, const kur__node *reader)
{
    const kur_type *type = step->type;
    const kur_field *field = step->field;
    kur__logical unit = writer->logical != KUR__LOGICAL_NONE ? writer->logical : reader->logical;
    step->op = op_of(type, writer);
    step->of_int = writer->kind == KUR__SCHEMA_INT;
    switch (step->op) {
    case KUR__AVRO_INT:
    case KUR__AVRO_LONG:
    case KUR__AVRO_TIMESTAMP:
    case KUR__AVRO_DECIMAL:
    case KUR__AVRO_DECIMAL_OF_FIXED:
        integer_bounds(type, field, &step->integer.least, &step->integer.most);
        step->integer.factor = unit == KUR__LOGICAL_MILLIS ? 1000 : 1;
        step->integer.size = writer->length;
        break;
    case KUR__AVRO_FLOAT:
    case KUR__AVRO_DOUBLE:
    case KUR__AVRO_LONG_TO_FLOAT:
    case KUR__AVRO_LONG_TO_DOUBLE:
    case KUR__AVRO_FLOAT_TO_DOUBLE:
        real_bounds(type, field, &step->real.least, &step->real.most);
        break;
    case KUR__AVRO_STRING:
    case KUR__AVRO_BYTES:
        step->length.least = field != NULL ? field->min_length : 0;
        step->length.most = field != NULL && field->max_length != 0 ? field->max_length : SIZE_MAX;
        break;
    default:
        step->size = type->size;
        break;
    }
}
