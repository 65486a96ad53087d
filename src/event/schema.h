/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A schema's insides: what the codec walks. schema.c makes it from text, schema_of.c from a descriptor (as text,
 * which is parsed then: one way in), schema_form.c writes the canonical form, schema_reads.c and avro_plan.c resolve.
 */
#ifndef KURIER_EVENT_SCHEMA_H
#define KURIER_EVENT_SCHEMA_H

#include <jansson.h>
#include <kurier/schema.h>
#include <stdatomic.h>

typedef enum kur__schema_kind {
    KUR__SCHEMA_NULL = 1,
    KUR__SCHEMA_BOOLEAN,
    KUR__SCHEMA_INT,
    KUR__SCHEMA_LONG,
    KUR__SCHEMA_FLOAT,
    KUR__SCHEMA_DOUBLE,
    KUR__SCHEMA_BYTES,
    KUR__SCHEMA_STRING,
    KUR__SCHEMA_FIXED,
    KUR__SCHEMA_ENUM,
    KUR__SCHEMA_ARRAY,
    KUR__SCHEMA_MAP,
    KUR__SCHEMA_RECORD,
    KUR__SCHEMA_UNION
} kur__schema_kind;

/* One that is not known, or does not fit its type, is none: the type below counts ("Logical Types"). */
typedef enum kur__logical {
    KUR__LOGICAL_NONE = 0,
    KUR__LOGICAL_DATE,    /* int */
    KUR__LOGICAL_MILLIS,  /* long, timestamp-millis */
    KUR__LOGICAL_MICROS,  /* long, timestamp-micros */
    KUR__LOGICAL_DECIMAL, /* bytes or fixed */
    KUR__LOGICAL_UUID     /* string, or fixed of 16 */
} kur__logical;

typedef struct kur__node kur__node;

typedef struct kur__node_field {
    const char *name;
    const char *const *aliases;
    size_t alias_count;
    const kur__node *node;
    const json_t *default_value; /* NULL: it has none; belongs to the schema */
} kur__node_field;

struct kur__node {
    kur__schema_kind kind;
    kur__logical logical;
    uint32_t number;            /* of the node in its schema, from 0: for tables beside it */
    const char *name;           /* of a record, enum, fixed: the full name; else NULL */
    const char *const *aliases; /* likewise: full names */
    size_t alias_count;
    const kur__node_field *fields;    /* of a record */
    const char *const *symbols;       /* of an enum */
    const char *default_symbol;       /* of an enum; NULL: none */
    const kur__node *const *branches; /* of a union; an array's and a map's one element */
    size_t count;                     /* of those */
    size_t length;                    /* of a fixed */
    int32_t precision, scale;         /* of a decimal */
};

struct kur_schema {
    atomic_size_t references;
    kur_arena *arena;  /* nodes and names */
    json_t *tree;      /* keeps the defaults; NULL once there are none */
    kur_schema **uses; /* those that it refers to */
    size_t use_count;
    kur_bytes text;
    const kur__node *root;
    uint32_t node_count;
    uint64_t fingerprint;
};

static inline const kur__node *kur__node_element(const kur__node *node)
{
    return node->branches[0];
}

/* A name, and "a.b.name", as Avro allows them and shorter than KUR__SCHEMA_NAME_MAX. */
enum {
    KUR__SCHEMA_NAME_MAX = 1024
};
bool kur__avro_is_name(const char *text, size_t size);
bool kur__avro_is_full_name(const char *text, size_t size);

/* A namespace: a $ may be in it, for Java's reflection took "com.acme.Outer$" for one. */
bool kur__avro_is_space(const char *text, size_t size);

/* The next of words between spaces; false when there is none. */
bool kur__next_word(const char **rest, const char **word, size_t *size);

/* Its full name, or the name of its kind: "string". */
const char *kur__node_name(const kur__node *node);

/* The canonical form. KUR_OK, KUR_ERROR_NO_MEMORY, or KUR_ERROR_TOO_LARGE for one that nests deeper than KUR_DEPTH_MAX.
 */
kur_status kur__schema_canonical(const kur__node *root, uint32_t node_count, kur_buffer *text);

/* CRC-64-AVRO. */
uint64_t kur__schema_crc(kur_bytes text);

#endif
