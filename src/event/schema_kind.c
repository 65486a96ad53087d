/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "event/schema_parse.h"

static const char *const names[] = {
    [KUR__SCHEMA_NULL] = "null",     [KUR__SCHEMA_BOOLEAN] = "boolean", [KUR__SCHEMA_INT] = "int",
    [KUR__SCHEMA_LONG] = "long",     [KUR__SCHEMA_FLOAT] = "float",     [KUR__SCHEMA_DOUBLE] = "double",
    [KUR__SCHEMA_BYTES] = "bytes",   [KUR__SCHEMA_STRING] = "string",   [KUR__SCHEMA_FIXED] = "fixed",
    [KUR__SCHEMA_ENUM] = "enum",     [KUR__SCHEMA_ARRAY] = "array",     [KUR__SCHEMA_MAP] = "map",
    [KUR__SCHEMA_RECORD] = "record", [KUR__SCHEMA_UNION] = "union"};

const char *kur__schema_text(const json_t *json)
{
    const char *text = json_string_value(json);
    return text != NULL && strlen(text) == json_string_length(json) ? text : NULL;
}

const char *kur__node_name(const kur__node *node)
{
    return node->name != NULL ? node->name : names[node->kind];
}

static kur__schema_kind kind_of(const char *name, kur__schema_kind first, kur__schema_kind last)
{
    for (int kind = (int)first; kind <= (int)last; kind++)
        if (strcmp(names[kind], name) == 0)
            return (kur__schema_kind)kind;
    return 0;
}

kur__schema_kind kur__schema_primitive(const char *name)
{
    return kind_of(name, KUR__SCHEMA_NULL, KUR__SCHEMA_STRING);
}

kur__schema_kind kur__schema_complex(const char *name)
{
    /* An "error" is the record of a protocol that is thrown. */
    return strcmp(name, "error") == 0 ? KUR__SCHEMA_RECORD : kind_of(name, KUR__SCHEMA_FIXED, KUR__SCHEMA_RECORD);
}

/* The most digits that any number has in so many bytes, two's complement. */
static int64_t digits_in(size_t bytes)
{
    /* log10(2) = 0.30103 */
    return bytes > 0 ? (int64_t)((double)(8 * bytes - 1) * 0.30102999566398119521) : 0;
}

static bool is_decimal(const json_t *json, const kur__node *node, int64_t *precision, int64_t *scale)
{
    const json_t *digits = json_object_get(json, "precision"), *behind = json_object_get(json, "scale");
    if (!json_is_integer(digits) || (behind != NULL && !json_is_integer(behind)))
        return false;
    *precision = json_integer_value(digits);
    *scale = json_integer_value(behind);
    int64_t most = node->kind == KUR__SCHEMA_FIXED ? digits_in(node->length) : INT32_MAX;
    return *precision >= 1 && *precision <= most && *scale >= 0 && *scale <= *precision && *precision <= INT32_MAX;
}

void kur__schema_logical(const json_t *json, kur__node *node)
{
    const char *name = kur__schema_text(json_object_get(json, "logicalType"));
    int64_t precision, scale;
    if (name == NULL)
        return;
    if (strcmp(name, "date") == 0 && node->kind == KUR__SCHEMA_INT) {
        node->logical = KUR__LOGICAL_DATE;
    } else if (strcmp(name, "timestamp-millis") == 0 && node->kind == KUR__SCHEMA_LONG) {
        node->logical = KUR__LOGICAL_MILLIS;
    } else if (strcmp(name, "timestamp-micros") == 0 && node->kind == KUR__SCHEMA_LONG) {
        node->logical = KUR__LOGICAL_MICROS;
    } else if (strcmp(name, "uuid") == 0 &&
               (node->kind == KUR__SCHEMA_STRING || (node->kind == KUR__SCHEMA_FIXED && node->length == 16))) {
        node->logical = KUR__LOGICAL_UUID;
    } else if (strcmp(name, "decimal") == 0 && (node->kind == KUR__SCHEMA_BYTES || node->kind == KUR__SCHEMA_FIXED) &&
               is_decimal(json, node, &precision, &scale)) {
        node->logical = KUR__LOGICAL_DECIMAL;
        node->precision = (int32_t)precision;
        node->scale = (int32_t)scale;
    }
}
