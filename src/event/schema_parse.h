/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the reader of schemas has while it reads one.
 */
#ifndef KURIER_EVENT_SCHEMA_PARSE_H
#define KURIER_EVENT_SCHEMA_PARSE_H

#include "event/schema.h"
#include "event/value.h"

enum {
    KUR__SCHEMA_ITEMS_MAX = 10000
};

typedef struct kur__schema_name kur__schema_name;

typedef struct kur__schema_parser {
    kur_schema *schema;
    kur_error *error;
    kur_arena *scratch; /* what is needed only while reading */
    kur__schema_name **buckets;
    const kur__node *plain[KUR__SCHEMA_STRING + 1]; /* null to string have one node each, unless they are logical */
    size_t items;                                   /* types, fields, symbols and aliases */
    bool has_defaults;
} kur__schema_parser;

/* The full name of `name` where `space` is around it; "" is the null namespace. */
kur_status kur__schema_full_name(kur__schema_parser *p, const char *space, const char *name, const kur__path *path,
                                 char full[KUR__SCHEMA_NAME_MAX]);

/* Makes `space` the namespace in a full name. */
kur_status kur__schema_space(kur__schema_parser *p, const char *full, const char **space);

/* What a name means in its scope; NULL: nothing yet. */
const void *kur__schema_find(const kur__schema_parser *p, const void *scope, const char *name);

/* Notes a name, which lives as long as the parser. KUR_ERROR_SYNTAX: it is there already. */
kur_status kur__schema_note(kur__schema_parser *p, const void *scope, const char *name, const void *meaning,
                            const kur__path *path);

/* Makes the table, in `scratch`, which is the caller's to free, also after a failure. */
kur_status kur__schema_names_new(kur__schema_parser *p);

/* A string without NULs, else NULL. */
const char *kur__schema_text(const json_t *json);

/* The kind that a text names, 0: none; and what `logicalType` makes of a node. */
kur__schema_kind kur__schema_primitive(const char *name);
kur__schema_kind kur__schema_complex(const char *name);
void kur__schema_logical(const json_t *json, kur__node *node);

/* A node of the schema, and one with all that is in it; `space` is the namespace around it. */
kur_status kur__schema_new_node(kur__schema_parser *p, kur__schema_kind kind, const kur__path *path, kur__node **made);
kur_status kur__schema_node(kur__schema_parser *p, const json_t *json, const char *space, const kur__path *path,
                            const kur__node **node);

#endif
