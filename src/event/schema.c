/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Whole schemas: read, referred to, released.
 *
 * Design notes: jansson reads a text, behind the caps of every JSON text here; the tree becomes nodes in the schema's
 * arena (schema_parse.c). The texts of references are read again, before the schema's own and into the same nodes:
 * whoever walks a schema finds one table of nodes with numbers of their own, and nothing of another schema. The
 * canonical form is made once, for its fingerprint, and refuses what nests too deep: that bounds the recursion of
 * whoever walks nodes in their order.
 */
#include "base/error.h"
#include "event/json.h"
#include "event/schema_parse.h"
#include <kurier/sys/memory.h>

typedef kur__schema_parser parser;

/* A megabyte of "{},{},…" would be a hundred in memory; no schema of so many types has more. */
static bool has_many_brackets(kur_bytes text)
{
    size_t brackets = 0;
    for (size_t i = 0; i < text.size; i++)
        brackets += ((const char *)text.data)[i] == '{' || ((const char *)text.data)[i] == '[';
    return brackets > 8 * KUR__SCHEMA_ITEMS_MAX;
}

static kur_status parse_text(parser *p, kur_bytes text, const kur__node **root)
{
    json_t *tree;
    if (text.size <= KUR_SCHEMA_SIZE_MAX && has_many_brackets(text))
        return kur_error_set(p->error, KUR_ERROR_TOO_LARGE, "the schema has more than %d brackets",
                             8 * KUR__SCHEMA_ITEMS_MAX);
    /* Defaults of bytes may have NULs; kur__schema_text refuses them everywhere else. */
    kur_status status = kur__json_parse_as(text, 0, JSON_ALLOW_NUL, &tree, p->error);
    if (status != KUR_OK)
        return status;
    p->has_defaults = false;
    status = kur__schema_node(p, tree, "", NULL, root);
    if (status == KUR_OK && p->has_defaults && json_array_append(p->schema->tree, tree) != 0)
        status = kur__error_no_memory(p->error);
    json_decref(tree);
    return status;
}

/* Reads a schema that another one refers to, and before it those that it refers to itself; each text once. */
static kur_status parse_used(parser *p, const kur_schema *used, size_t depth)
{
    const kur__node *root;
    if (depth > KUR_DEPTH_MAX)
        return kur_error_set(p->error, KUR_ERROR_TOO_LARGE, "references nest deeper than %d", KUR_DEPTH_MAX);
    if (kur__schema_find(p, p, used->text.data) != NULL)
        return KUR_OK;
    kur_status status = kur__schema_note(p, p, used->text.data, used, NULL);
    for (size_t i = 0; i < used->use_count && status == KUR_OK; i++)
        status = parse_used(p, used->uses[i], depth + 1);
    return status == KUR_OK ? parse_text(p, used->text, &root) : status;
}

static kur_status parse_references(parser *p, const kur_schema_reference *references, size_t reference_count)
{
    kur_schema *schema = p->schema;
    kur_status status = KUR_OK;
    schema->uses = kur_arena_alloc(schema->arena, reference_count * sizeof(kur_schema *));
    if (schema->uses == NULL)
        return kur__error_no_memory(p->error);
    for (size_t i = 0; i < reference_count && status == KUR_OK; i++) {
        if (references[i].schema == NULL)
            return kur_error_null(p->error, "a reference's schema");
        status = parse_used(p, references[i].schema, 0);
        if (status == KUR_OK)
            schema->uses[schema->use_count++] = kur_schema_ref(references[i].schema);
        else
            kur__error_prefix(p->error, "reference %.100s: ", references[i].name != NULL ? references[i].name : "?");
    }
    return status;
}

static kur_status make_plain(parser *p)
{
    kur_status status = KUR_OK;
    for (int kind = KUR__SCHEMA_NULL; kind <= KUR__SCHEMA_STRING && status == KUR_OK; kind++) {
        kur__node *node = NULL;
        status = kur__schema_new_node(p, (kur__schema_kind)kind, NULL, &node);
        p->plain[kind] = node;
    }
    p->items = 0;
    return status;
}

static kur_status fill(parser *p, kur_bytes text, const kur_schema_reference *references, size_t reference_count)
{
    kur_schema *schema = p->schema;
    kur_buffer canonical = {0};
    kur_status status = kur__schema_names_new(p);
    if (status == KUR_OK)
        status = make_plain(p);
    if (status == KUR_OK)
        status = parse_references(p, references, reference_count);
    if (status == KUR_OK)
        status = parse_text(p, text, &schema->root);
    if (status != KUR_OK)
        return status;
    schema->text = kur_bytes_of(kur_arena_copy(schema->arena, text.data, text.size), text.size);
    if (json_array_size(schema->tree) == 0) {
        json_decref(schema->tree);
        schema->tree = NULL;
    }
    status = schema->text.data != NULL ? kur__schema_canonical(schema->root, schema->node_count, &canonical)
                                       : KUR_ERROR_NO_MEMORY;
    schema->fingerprint = kur__schema_crc(kur_bytes_of(canonical.data, canonical.size));
    kur_buffer_done(&canonical);
    if (status == KUR_ERROR_TOO_LARGE)
        return kur_error_set(p->error, status, "types nest deeper than %d", KUR_DEPTH_MAX);
    return status == KUR_OK ? KUR_OK : kur__error_no_memory(p->error);
}

kur_status kur_schema_parse(kur_bytes text, const kur_schema_reference *references, size_t count, kur_schema **schema,
                            kur_error *error)
{
    if (text.data == NULL || schema == NULL || (references == NULL && count > 0))
        return kur_error_null(error, text.data == NULL ? "text" : schema == NULL ? "schema" : "references");
    kur_schema *made = kur_calloc(1, sizeof *made);
    if (made == NULL)
        return kur__error_no_memory(error);
    atomic_init(&made->references, 1);
    made->arena = kur_arena_new();
    made->tree = json_array();
    parser p = {.schema = made, .error = error};
    kur_status status =
        made->arena != NULL && made->tree != NULL ? fill(&p, text, references, count) : kur__error_no_memory(error);
    kur_arena_free(p.scratch);
    if (status == KUR_OK)
        *schema = made;
    else
        kur_schema_unref(made);
    return status;
}

kur_schema *kur_schema_ref(kur_schema *schema)
{
    if (schema != NULL)
        atomic_fetch_add(&schema->references, 1);
    return schema;
}

void kur_schema_unref(kur_schema *schema)
{
    if (schema == NULL || atomic_fetch_sub(&schema->references, 1) != 1)
        return;
    for (size_t i = 0; i < schema->use_count; i++)
        kur_schema_unref(schema->uses[i]);
    json_decref(schema->tree);
    kur_arena_free(schema->arena);
    kur_free(schema);
}

kur_bytes kur_schema_text(const kur_schema *schema)
{
    return schema != NULL ? schema->text : kur_bytes_of(NULL, 0);
}

const char *kur_schema_name(const kur_schema *schema)
{
    return schema != NULL ? kur__node_name(schema->root) : "";
}
