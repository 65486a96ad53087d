/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A schema's nodes from its JSON ("Schema Declaration"). A named type is noted before what is in it is read, so that
 * it can name itself. Recursion is as deep as the JSON, which kur__json_parse bounds.
 *
 * As in Avro's Java: a name without a dot that its namespace does not have is looked for in the null namespace; a
 * union may be empty; a default is kept as it stands and judged by whoever needs it.
 */
#include "event/schema_parse.h"
#include "base/error.h"

typedef kur__schema_parser parser;

static kur_status refuse(parser *p, const kur__path *path, const char *reason)
{
    return kur__error_at(p->error, KUR_ERROR_SYNTAX, path, "%s", reason);
}

/* ---- What is counted and made ---- */

static kur_status count(parser *p, size_t items, const kur__path *path)
{
    if (items > KUR__SCHEMA_ITEMS_MAX - p->items)
        return kur__error_at(p->error, KUR_ERROR_TOO_LARGE, path, "more than %d types, fields, symbols and aliases",
                             KUR__SCHEMA_ITEMS_MAX);
    p->items += items;
    return KUR_OK;
}

/* Room for `items` of something; those count. */
static kur_status take(parser *p, size_t items, size_t size, const kur__path *path, void *room)
{
    kur_status status = count(p, items, path);
    if (status != KUR_OK)
        return status;
    void *made = kur_arena_alloc(p->schema->arena, items * size);
    if (made == NULL)
        return kur__error_no_memory(p->error);
    memcpy(room, &made, sizeof made);
    return KUR_OK;
}

kur_status kur__schema_new_node(parser *p, kur__schema_kind kind, const kur__path *path, kur__node **made)
{
    kur_status status = take(p, 1, sizeof **made, path, made);
    if (status != KUR_OK)
        return status;
    (*made)->kind = kind;
    (*made)->number = p->schema->node_count++;
    return KUR_OK;
}

/* ---- Attributes ---- */

/* An attribute that is a text; NULL when it is absent or null. */
static kur_status text_of(parser *p, const json_t *json, const char *name, const kur__path *path, const char **text)
{
    const json_t *value = json_object_get(json, name);
    kur__path at = {.up = path, .name = name};
    *text = NULL;
    if (value == NULL || json_is_null(value))
        return KUR_OK;
    *text = kur__schema_text(value);
    return *text != NULL ? KUR_OK : refuse(p, &at, "must be a string");
}

static kur_status list_of(parser *p, const json_t *json, const char *name, bool may_lack, const kur__path *path,
                          const json_t **list)
{
    kur__path at = {.up = path, .name = name};
    *list = json_object_get(json, name);
    if (*list == NULL && !may_lack)
        return refuse(p, &at, "is missing");
    if (*list != NULL && !json_is_array(*list))
        return refuse(p, &at, "must be a list");
    return KUR_OK;
}

/* A copy that lives as long as the schema. */
static kur_status keep(parser *p, const char *text, const char **kept)
{
    *kept = kur_arena_copy(p->schema->arena, text, strlen(text));
    return *kept != NULL ? KUR_OK : kur__error_no_memory(p->error);
}

static kur_status keep_name(parser *p, const char *text, const kur__path *path, const char **kept)
{
    if (text == NULL)
        return refuse(p, path, "is missing");
    if (!kur__avro_is_name(text, strlen(text)))
        return refuse(p, path, "is not a name that Avro allows");
    return keep(p, text, kept);
}

static kur_status keep_full_name(parser *p, const char *space, const char *text, const kur__path *path,
                                 const char **kept)
{
    char full[KUR__SCHEMA_NAME_MAX];
    kur_status status = kur__schema_full_name(p, space, text, path, full);
    return status == KUR_OK ? keep(p, full, kept) : status;
}

/* Names in a list: aliases of a named type, which get its namespace, aliases of a field (`space` NULL) or symbols. */
static kur_status names_of(parser *p, const json_t *list, const char *space, const kur__path *path,
                           const char *const **names, size_t *name_count)
{
    const char **made = NULL;
    size_t size = json_array_size(list);
    kur_status status = take(p, size, sizeof *made, path, &made);
    for (size_t i = 0; i < size && status == KUR_OK; i++) {
        kur__path at = {.up = path, .index = i};
        const char *text = kur__schema_text(json_array_get(list, i));
        if (text == NULL)
            status = refuse(p, &at, "must be a string");
        else if (space != NULL)
            status = keep_full_name(p, space, text, &at, &made[i]);
        else
            status = keep_name(p, text, &at, &made[i]);
    }
    if (status != KUR_OK)
        return status;
    *names = made;
    *name_count = size;
    return KUR_OK;
}

static kur_status aliases_of(parser *p, const json_t *json, const char *space, const kur__path *path,
                             const char *const **aliases, size_t *alias_count)
{
    const json_t *list;
    kur__path at = {.up = path, .name = "aliases"};
    kur_status status = list_of(p, json, "aliases", true, path, &list);
    return status == KUR_OK && list != NULL ? names_of(p, list, space, &at, aliases, alias_count) : status;
}

/* Reads `name`, `namespace` and `aliases`, and notes the type. `space` becomes that of what is in it. */
static kur_status name_type(parser *p, const json_t *json, kur__node *node, const char **space, const kur__path *path)
{
    const char *name, *own_space;
    kur__path at = {.up = path, .name = "name"};
    kur__path at_space = {.up = path, .name = "namespace"};
    kur_status status = text_of(p, json, "name", path, &name);
    if (status == KUR_OK)
        status = text_of(p, json, "namespace", path, &own_space);
    if (status == KUR_OK && name == NULL)
        status = refuse(p, &at, "is missing");
    if (status == KUR_OK && own_space != NULL && own_space[0] != '\0' &&
        !kur__avro_is_space(own_space, strlen(own_space)))
        status = refuse(p, &at_space, "is not a namespace that Avro allows");
    if (status == KUR_OK)
        status = keep_full_name(p, own_space != NULL ? own_space : *space, name, &at, &node->name);
    if (status == KUR_OK && kur__schema_primitive(node->name) != 0)
        status = refuse(p, &at, "is the name of a primitive type");
    if (status == KUR_OK)
        status = kur__schema_note(p, NULL, node->name, node, &at);
    if (status == KUR_OK)
        status = kur__schema_space(p, node->name, space);
    return status == KUR_OK ? aliases_of(p, json, *space, path, &node->aliases, &node->alias_count) : status;
}

/* ---- Named types ---- */

static kur_status parse_field(parser *p, const json_t *json, const kur__node *record, const char *space,
                              const kur__path *path, kur__node_field *field)
{
    if (!json_is_object(json))
        return refuse(p, path, "must be an object");
    const char *name;
    kur__path at_name = {.up = path, .name = "name"}, at_type = {.up = path, .name = "type"};
    kur_status status = text_of(p, json, "name", path, &name);
    if (status == KUR_OK)
        status = keep_name(p, name, &at_name, &field->name);
    if (status == KUR_OK)
        status = kur__schema_note(p, record, field->name, record, &at_name);
    if (status == KUR_OK)
        status = aliases_of(p, json, NULL, path, &field->aliases, &field->alias_count);
    field->default_value = json_object_get(json, "default");
    p->has_defaults = p->has_defaults || field->default_value != NULL;
    return status == KUR_OK ? kur__schema_node(p, json_object_get(json, "type"), space, &at_type, &field->node)
                            : status;
}

static kur_status parse_record(parser *p, const json_t *json, const char *space, const kur__path *path, kur__node *node)
{
    const json_t *list;
    kur__node_field *fields = NULL;
    kur__path at_fields = {.up = path, .name = "fields"};
    kur_status status = name_type(p, json, node, &space, path);
    if (status == KUR_OK)
        status = list_of(p, json, "fields", false, path, &list);
    if (status == KUR_OK)
        status = take(p, json_array_size(list), sizeof *fields, &at_fields, &fields);
    if (status != KUR_OK)
        return status;
    node->fields = fields;
    node->count = json_array_size(list);
    for (size_t i = 0; i < node->count && status == KUR_OK; i++) {
        kur__path at = {.up = &at_fields, .index = i};
        status = parse_field(p, json_array_get(list, i), node, space, &at, &fields[i]);
    }
    return status;
}

static kur_status parse_enum(parser *p, const json_t *json, const char *space, const kur__path *path, kur__node *node)
{
    const json_t *list;
    const char *unknown = NULL;
    kur__path at_symbols = {.up = path, .name = "symbols"}, at_default = {.up = path, .name = "default"};
    kur_status status = name_type(p, json, node, &space, path);
    if (status == KUR_OK)
        status = list_of(p, json, "symbols", false, path, &list);
    if (status == KUR_OK)
        status = names_of(p, list, NULL, &at_symbols, &node->symbols, &node->count);
    for (size_t i = 0; i < node->count && status == KUR_OK; i++) {
        kur__path at = {.up = &at_symbols, .index = i};
        status = kur__schema_note(p, node, node->symbols[i], node->symbols[i], &at);
    }
    if (status == KUR_OK)
        status = text_of(p, json, "default", path, &unknown);
    if (status != KUR_OK || unknown == NULL)
        return status;
    node->default_symbol = kur__schema_find(p, node, unknown);
    return node->default_symbol != NULL ? KUR_OK : refuse(p, &at_default, "is none of the symbols");
}

static kur_status parse_fixed(parser *p, const json_t *json, const char *space, const kur__path *path, kur__node *node)
{
    const json_t *size = json_object_get(json, "size");
    kur__path at = {.up = path, .name = "size"};
    kur_status status = name_type(p, json, node, &space, path);
    if (status == KUR_OK &&
        (!json_is_integer(size) || json_integer_value(size) < 0 || json_integer_value(size) > INT32_MAX))
        status = refuse(p, &at, "must be an integer from 0 to 2147483647");
    node->length = (size_t)json_integer_value(size);
    return status;
}

/* ---- Others ---- */

static kur_status parse_container(parser *p, const json_t *json, const char *space, const kur__path *path,
                                  kur__node *node)
{
    const kur__node **element = kur_arena_alloc(p->schema->arena, sizeof(kur__node *));
    kur__path at = {.up = path, .name = node->kind == KUR__SCHEMA_ARRAY ? "items" : "values"};
    if (element == NULL)
        return kur__error_no_memory(p->error);
    node->branches = element;
    node->count = 1;
    return kur__schema_node(p, json_object_get(json, at.name), space, &at, element);
}

static kur_status parse_union(parser *p, const json_t *json, const char *space, const kur__path *path,
                              const kur__node **made)
{
    kur__node *node = NULL;
    const kur__node **branches = NULL;
    size_t size = json_array_size(json);
    kur_status status = kur__schema_new_node(p, KUR__SCHEMA_UNION, path, &node);
    if (status == KUR_OK)
        status = take(p, size, sizeof(kur__node *), path, &branches);
    for (size_t i = 0; i < size && status == KUR_OK; i++) {
        kur__path at = {.up = path, .index = i};
        status = kur__schema_node(p, json_array_get(json, i), space, &at, &branches[i]);
        if (status == KUR_OK && branches[i]->kind == KUR__SCHEMA_UNION)
            status = refuse(p, &at, "a union directly within a union");
        /* By name, or by kind: no two arrays, maps, or the same primitive type. */
        if (status == KUR_OK)
            status = kur__schema_note(p, node, kur__node_name(branches[i]), branches[i], &at);
    }
    if (status != KUR_OK)
        return status;
    node->branches = branches;
    node->count = size;
    *made = node;
    return KUR_OK;
}

static kur_status parse_name(parser *p, const char *name, const char *space, const kur__path *path,
                             const kur__node **node)
{
    char full[KUR__SCHEMA_NAME_MAX];
    kur__schema_kind kind = kur__schema_primitive(name);
    if (kind != 0) {
        *node = p->plain[kind];
        return KUR_OK;
    }
    if (!kur__avro_is_full_name(name, strlen(name)))
        return refuse(p, path, "is not a type");
    kur_status status = kur__schema_full_name(p, space, name, path, full);
    if (status != KUR_OK)
        return status;
    *node = kur__schema_find(p, NULL, full);
    if (*node == NULL)
        *node = kur__schema_find(p, NULL, name);
    return *node != NULL ? KUR_OK : kur__error_at(p->error, KUR_ERROR_SYNTAX, path, "\"%.100s\" is not defined", full);
}

static kur_status parse_object(parser *p, const json_t *json, const char *space, const kur__path *path,
                               const kur__node **made)
{
    const json_t *type = json_object_get(json, "type");
    kur__path at = {.up = path, .name = "type"};
    const char *name = kur__schema_text(type);
    kur__schema_kind kind = name != NULL ? kur__schema_complex(name) : 0;
    kur__node *node = NULL;
    if (type == NULL)
        return refuse(p, &at, "is missing");
    if (name == NULL)
        return kur__schema_node(p, type, space, &at, made);
    if (kind == 0 && kur__schema_primitive(name) == 0)
        return parse_name(p, name, space, &at, made);
    if (kind == 0 && json_object_get(json, "logicalType") == NULL)
        return parse_name(p, name, space, &at, made);
    kur_status status = kur__schema_new_node(p, kind != 0 ? kind : kur__schema_primitive(name), path, &node);
    if (status != KUR_OK)
        return status;
    switch (node->kind) {
    case KUR__SCHEMA_RECORD:
        status = parse_record(p, json, space, path, node);
        break;
    case KUR__SCHEMA_ENUM:
        status = parse_enum(p, json, space, path, node);
        break;
    case KUR__SCHEMA_FIXED:
        status = parse_fixed(p, json, space, path, node);
        break;
    case KUR__SCHEMA_ARRAY:
    case KUR__SCHEMA_MAP:
        status = parse_container(p, json, space, path, node);
        break;
    default:
        break;
    }
    kur__schema_logical(json, node);
    *made = node;
    return status;
}

kur_status kur__schema_node(parser *p, const json_t *json, const char *space, const kur__path *path,
                            const kur__node **node)
{
    const char *name = kur__schema_text(json);
    if (json == NULL)
        return refuse(p, path, "is missing");
    if (name != NULL)
        return parse_name(p, name, space, path, node);
    if (json_is_array(json))
        return parse_union(p, json, space, path, node);
    return json_is_object(json) ? parse_object(p, json, space, path, node) : refuse(p, path, "is not a type");
}
