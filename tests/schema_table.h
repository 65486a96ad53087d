/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Schemas in a table, behind kur_schemas, which can be away.
 */
#ifndef KURIER_TESTS_SCHEMA_TABLE_H
#define KURIER_TESTS_SCHEMA_TABLE_H

#include <kurier/schemas.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    SCHEMA_TABLE_ROWS = 64,
    SCHEMA_TABLE_TIMES = 8,
    SCHEMA_TABLE_SAME = 1000 /* ids from here on are all of the first row's schema */
};

typedef struct schema_table {
    kur_schemas schemas; /* for a client */
    pthread_mutex_t lock;
    struct {
        uint32_t id;
        kur_schema *schema; /* NULL: of another kind, or */
        const char *text;   /* one that is read when it is asked for */
    } rows[SCHEMA_TABLE_ROWS];
    size_t count;
    atomic_int asked;                                /* how often, for whatever */
    _Atomic int64_t asked_at_us[SCHEMA_TABLE_TIMES]; /* when, the first ones */
    atomic_int silent_ms;                            /* so long it takes to tell that it is away */
    atomic_int placed;                               /* of those, for places */
    atomic_int away;                                 /* a kur_status that all return; KUR_OK: it is there */
    atomic_int away_id;                              /* likewise KUR_ERROR_UNREACHABLE for this id alone; 0: none */
    atomic_int held_id;                              /* who asks for this one is kept until it is another; 0: none */
    atomic_int held;                                 /* how many are kept now */
    atomic_int waited_ms;                            /* what the last one was given */
    atomic_bool has_no_names;                        /* places have neither id nor GUID */
} schema_table;

void schema_table_init(schema_table *table);
void schema_table_done(schema_table *table);

/* Adds a schema (NULL: one of another kind) under an id. */
void schema_table_add(schema_table *table, uint32_t id, kur_schema *schema);

/* Adds a text, which may be no schema. */
void schema_table_add_text(schema_table *table, uint32_t id, const char *text);

/* The GUID that goes with an id. */
kur_uuid schema_table_guid(uint32_t id);

#endif
