/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Schemas: texts, each up to a byte 0xFF, of which every one may use what those before it define, and a last one. What
 * is refused is refused with a reason; what is read is whole, and its canonical form is that of what it reads as.
 */
#include "event/schema.h"
#include "fuzz.h"

enum {
    TEXTS_MAX = 8
};

/* ---- What was read ---- */

typedef struct walk {
    const kur_schema *schema;
    bool *seen;
    bool has_space, lacks_space; /* names with a namespace, and without */
} walk;

static void need_names(const char *const *names, size_t count, bool are_full)
{
    for (size_t i = 0; i < count; i++)
        need(are_full ? kur__avro_is_full_name(names[i], strlen(names[i]))
                      : kur__avro_is_name(names[i], strlen(names[i])));
}

static void need_node(walk *w, const kur__node *node)
{
    need(node->kind >= KUR__SCHEMA_NULL && node->kind <= KUR__SCHEMA_UNION && node->number < w->schema->node_count);
    if (w->seen[node->number])
        return;
    w->seen[node->number] = true;
    if (node->name != NULL) {
        need_names(&node->name, 1, true);
        need_names(node->aliases, node->alias_count, true);
        *(strchr(node->name, '.') != NULL ? &w->has_space : &w->lacks_space) = true;
    }
    need(node->logical != KUR__LOGICAL_DECIMAL || (node->precision > 0 && node->scale <= node->precision));
    if (node->kind == KUR__SCHEMA_ENUM)
        need_names(node->symbols, node->count, false);
    for (size_t i = 0; node->kind == KUR__SCHEMA_RECORD && i < node->count; i++) {
        need_names(&node->fields[i].name, 1, false);
        need_names(node->fields[i].aliases, node->fields[i].alias_count, false);
        need_node(w, node->fields[i].node);
    }
    for (size_t i = 0; node->branches != NULL && i < node->count; i++)
        need_node(w, node->branches[i]);
}

/*
 * The canonical form reads as a schema of the same form, but for names without a namespace beside others that have one:
 * in the canonical form they go by what is around them.
 */
static void need_form(const kur_schema *schema, bool names_are_clear)
{
    kur_error error = {0};
    kur_buffer form = {0}, again = {0};
    kur_schema *other = NULL;
    need(kur_schema_canonical(schema, &form, &error) == KUR_OK);
    need(kur__schema_crc(kur_bytes_of(form.data, form.size)) == kur_schema_fingerprint(schema));
    kur_status status = kur_schema_parse(kur_bytes_of(form.data, form.size), NULL, 0, &other, &error);
    if (names_are_clear)
        need(status == KUR_OK || status == KUR_ERROR_TOO_LARGE); /* types that a name stood for nest here */
    if (names_are_clear && status == KUR_OK) {
        need(kur_schema_canonical(other, &again, &error) == KUR_OK);
        need(strcmp(form.data, again.data) == 0 && kur_schema_fingerprint(other) == kur_schema_fingerprint(schema));
    }
    kur_schema_unref(other);
    kur_buffer_done(&form);
    kur_buffer_done(&again);
}

static void need_schema(const kur_schema *schema, kur_bytes text, kur_arena *arena)
{
    walk w = {.schema = schema, .seen = kur_arena_alloc(arena, schema->node_count)};
    need(kur_bytes_equal(kur_schema_text(schema), text));
    need_node(&w, schema->root);
    need_form(schema, !(w.has_space && w.lacks_space));
}

/* ---- The input ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_bytes input = kur_bytes_of(data, size), text;
    kur_schema_reference references[TEXTS_MAX + 1];
    size_t count = 0;
    kur_arena *arena = kur_arena_new();
    for (bool is_last = false; !is_last;) {
        kur_error error = {0};
        references[count] = (kur_schema_reference){"text", NULL};
        is_last = count == TEXTS_MAX || !take_text(&input, arena, &text);
        if (is_last)
            text = take_rest(&input, arena);
        if (text.data == NULL)
            break;
        kur_status status = kur_schema_parse(text, references, count, &references[count].schema, &error);
        if (status == KUR_OK) {
            need_schema(references[count].schema, text, arena);
            count++;
        } else {
            /* Memory is never out here: what jansson refuses, our grammar must refuse as well. */
            need(status == KUR_ERROR_SYNTAX || status == KUR_ERROR_TOO_LARGE);
            need_error(status, &error);
        }
    }
    while (count > 0)
        kur_schema_unref(references[--count].schema);
    kur_arena_free(arena);
    return 0;
}
