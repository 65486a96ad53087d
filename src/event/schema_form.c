/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The form of a schema in which two that read the same are the same text ("Parsing Canonical Form for Schemas"), and
 * its fingerprint ("Schema Fingerprints").
 */
#include "base/buffer.h"
#include "base/error.h"
#include "event/schema.h"
#include "event/value.h"
#include <kurier/sys/memory.h>

typedef struct former {
    kur_buffer *text;
    bool *written; /* by number: named types that stand in the text already */
} former;

static kur_status form(former *f, const kur__node *node, size_t depth);

static kur_status put(former *f, const char *text)
{
    return kur_buffer_append(f->text, text, strlen(text));
}

/* Names need no escapes. */
static kur_status put_string(former *f, const char *before, const char *text)
{
    return kur_buffer_print(f->text, "%s\"%s\"", before, text);
}

static kur_status form_fields(former *f, const kur__node *node, size_t depth)
{
    kur_status status = put(f, ",\"fields\":[");
    for (size_t i = 0; i < node->count && status == KUR_OK; i++) {
        status = put_string(f, i > 0 ? ",{\"name\":" : "{\"name\":", node->fields[i].name);
        if (status == KUR_OK)
            status = put(f, ",\"type\":");
        if (status == KUR_OK)
            status = form(f, node->fields[i].node, depth + 1);
        if (status == KUR_OK)
            status = put(f, "}");
    }
    return status == KUR_OK ? put(f, "]") : status;
}

static kur_status form_symbols(former *f, const kur__node *node)
{
    kur_status status = put(f, ",\"symbols\":[");
    for (size_t i = 0; i < node->count && status == KUR_OK; i++)
        status = put_string(f, i > 0 ? "," : "", node->symbols[i]);
    return status == KUR_OK ? put(f, "]") : status;
}

static kur_status form_named(former *f, const kur__node *node, size_t depth)
{
    if (f->written[node->number])
        return put_string(f, "", node->name);
    f->written[node->number] = true;
    kur_status status = put_string(f, "{\"name\":", node->name);
    if (status == KUR_OK && node->kind == KUR__SCHEMA_FIXED)
        return kur_buffer_print(f->text, ",\"type\":\"fixed\",\"size\":%zu}", node->length);
    if (status == KUR_OK)
        status = put(f, node->kind == KUR__SCHEMA_ENUM ? ",\"type\":\"enum\"" : ",\"type\":\"record\"");
    if (status == KUR_OK)
        status = node->kind == KUR__SCHEMA_ENUM ? form_symbols(f, node) : form_fields(f, node, depth);
    return status == KUR_OK ? put(f, "}") : status;
}

static kur_status form_union(former *f, const kur__node *node, size_t depth)
{
    kur_status status = put(f, "[");
    for (size_t i = 0; i < node->count && status == KUR_OK; i++) {
        status = i > 0 ? put(f, ",") : KUR_OK;
        if (status == KUR_OK)
            status = form(f, node->branches[i], depth + 1);
    }
    return status == KUR_OK ? put(f, "]") : status;
}

static kur_status form(former *f, const kur__node *node, size_t depth)
{
    kur_status status;
    if (depth >= KUR_DEPTH_MAX)
        return KUR_ERROR_TOO_LARGE;
    switch (node->kind) {
    case KUR__SCHEMA_RECORD:
    case KUR__SCHEMA_ENUM:
    case KUR__SCHEMA_FIXED:
        return form_named(f, node, depth);
    case KUR__SCHEMA_UNION:
        return form_union(f, node, depth);
    case KUR__SCHEMA_ARRAY:
    case KUR__SCHEMA_MAP:
        status = put(f, node->kind == KUR__SCHEMA_ARRAY ? "{\"type\":\"array\",\"items\":"
                                                        : "{\"type\":\"map\",\"values\":");
        if (status == KUR_OK)
            status = form(f, kur__node_element(node), depth + 1);
        return status == KUR_OK ? put(f, "}") : status;
    default:
        return put_string(f, "", kur__node_name(node));
    }
}

kur_status kur__schema_canonical(const kur__node *root, uint32_t node_count, kur_buffer *text)
{
    former f = {text, kur_calloc(node_count, sizeof(bool))};
    kur_status status = f.written != NULL ? form(&f, root, 0) : KUR_ERROR_NO_MEMORY;
    kur_free(f.written);
    return status;
}

uint64_t kur__schema_crc(kur_bytes text)
{
    /* Rabin's fingerprint of nothing, and the polynomial. The table is made each time: it is needed once for a schema.
     */
    const uint64_t empty = 0xc15d213aa4d7a795;
    uint64_t table[256], crc = empty;
    const uint8_t *bytes = text.data;
    for (size_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = (table[i] >> 1) ^ (table[i] & 1 ? empty : 0);
    }
    for (size_t i = 0; i < text.size; i++)
        crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xff];
    return crc;
}

kur_status kur_schema_canonical(const kur_schema *schema, kur_buffer *text, kur_error *error)
{
    if (schema == NULL || text == NULL)
        return kur_error_null(error, schema == NULL ? "schema" : "text");
    kur_buffer made = {0};
    kur_status status = kur__schema_canonical(schema->root, schema->node_count, &made);
    if (status == KUR_OK)
        status = kur_buffer_append(text, made.data, made.size);
    kur_buffer_done(&made);
    return status == KUR_OK ? KUR_OK : kur__error_no_memory(error);
}

uint64_t kur_schema_fingerprint(const kur_schema *schema)
{
    return schema != NULL ? schema->fingerprint : 0;
}
