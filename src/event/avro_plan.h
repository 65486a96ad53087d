/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A plan: a tree of steps, in the order of the writer's bytes. avro_resolve.c makes it, avro_read.c runs it.
 */
#ifndef KURIER_EVENT_AVRO_PLAN_H
#define KURIER_EVENT_AVRO_PLAN_H

#include <kurier/avro.h>

#include "event/schema.h"
#include "event/value.h"

typedef enum kur__avro_op {
    /* Takes no bytes. */
    KUR__AVRO_NOTHING = 0, /* what is zero already: an optional that is absent */
    KUR__AVRO_DEFAULT,     /* copies `bytes` */
    KUR__AVRO_FAIL,        /* what cannot be read, when it is met: `words` */
    /* Takes a value that the type does not have. */
    KUR__AVRO_SKIP, /* by `node` */
    /* Plain kinds. */
    KUR__AVRO_BOOL,
    KUR__AVRO_INT,       /* to 32 bits */
    KUR__AVRO_LONG,      /* to 64 bits */
    KUR__AVRO_TIMESTAMP, /* to 64 bits, times `factor` */
    KUR__AVRO_FLOAT,
    KUR__AVRO_DOUBLE,
    KUR__AVRO_LONG_TO_FLOAT,
    KUR__AVRO_LONG_TO_DOUBLE,
    KUR__AVRO_FLOAT_TO_DOUBLE,
    KUR__AVRO_STRING,
    KUR__AVRO_BYTES,
    KUR__AVRO_DECIMAL,
    KUR__AVRO_DECIMAL_OF_FIXED,
    KUR__AVRO_UUID,
    KUR__AVRO_FIXED, /* `size` bytes as they are: also a UUID */
    KUR__AVRO_ENUM,  /* by `symbols` */
    /* What has steps of its own. */
    KUR__AVRO_SOME,   /* an optional: one step */
    KUR__AVRO_UNION,  /* of the writer: a step for each branch */
    KUR__AVRO_RECORD, /* a step for each field of the writer's, then for what it lacks */
    KUR__AVRO_LIST,   /* one step */
    KUR__AVRO_MAP     /* one step */
} kur__avro_op;

typedef struct kur__avro_step kur__avro_step;

/* The steps of a record are shared by all who hold one, also by itself; they are known once it is worked out. */
typedef struct kur__avro_steps {
    const kur__avro_step *first;
    size_t count;
} kur__avro_steps;

struct kur__avro_step {
    kur__avro_op op;
    bool of_int;            /* the writer's is an int: what does not fit it is none */
    size_t offset;          /* where the value lies in what is around it */
    const char *name;       /* of a field, for paths */
    const kur_type *type;   /* of the value */
    const kur_field *field; /* whose constraints hold; NULL: none */
    union {
        /* What a value is checked by first; what is outside is judged by kur__value_check, which has the words. */
        struct {
            int64_t least, most;
            int64_t factor; /* of a timestamp */
            size_t size;    /* of a fixed */
        } integer;
        struct {
            double least, most;
        } real;
        struct {
            size_t least, most;
        } length;
        size_t size;
        const kur__node *node;
        const char *words;
        struct {
            const void *data;
            size_t size;
        } bytes;
        struct {
            const int32_t *values; /* by the writer's index; 0: not known here */
            size_t count;
        } symbols;
        struct {
            const kur__avro_step *first;
            size_t count;
        } branches;
        const kur__avro_steps *steps;
        struct {
            const kur__avro_step *item;
            size_t stride, value_offset;
            size_t least; /* how many bytes an item has at least */
        } items;
    };
};

struct kur_avro_plan {
    atomic_size_t references;
    kur_arena *arena;
    kur_schema *writer, *reader;
    const kur_type *type;
    kur__avro_step root;
};

/*
 * Works out a plan between roots; `type` describes the reader's. It borrows the nodes and the type, and refers to no
 * schema.
 */
kur_status kur__avro_plan_of(const kur__node *writer, const kur__node *reader, const kur_type *type,
                             kur_avro_plan **plan, kur_error *error);

/*
 * Resolves two types into a step, whose parts live in `arena`. A step without a type gets none: it is only said whether
 * the reader reads whatever the writer can write. With one, a branch or a symbol that cannot be read fails when it is
 * met. KUR_ERROR_MISMATCH, KUR_ERROR_TOO_LARGE, KUR_ERROR_NO_MEMORY.
 */
kur_status kur__avro_resolve(const kur__node *writer, const kur__node *reader, kur_arena *arena, kur__avro_step *root,
                             kur_error *error);

/* ---- Rules, in avro_rules.c ---- */

/* Whether the writer's name is the reader's, without namespaces, or one of its aliases. */
bool kur__avro_is_same_name(const kur__node *writer, const kur__node *reader);

/* The writer's field that a field of the reader's reads: by its name, else by an alias. NULL: none. */
const kur__node_field *kur__avro_find_field(const kur__node *writer, const kur__node *reader,
                                            const kur__node_field *field);

/* Whether two types that are neither unions nor contain any can be resolved. KUR_ERROR_MISMATCH with the rule. */
kur_status kur__avro_match(const kur__node *writer, const kur__node *reader, const kur__path *path, kur_error *error);

/* "long", "record shop.Order", "decimal(9, 2)": how messages call a type. */
typedef struct kur__avro_words {
    char text[160];
} kur__avro_words;
kur__avro_words kur__avro_call(const kur__node *node);

/* What reads a plain value of a type, once the two match: operation and bounds. */
void kur__avro_plain(kur__avro_step *step, const kur__node *writer, const kur__node *reader);

#endif
