/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A service's own database beside an outbox's tables, in SQLite or PostgreSQL: as text in and text out, so that what is
 * above it is the same for both. In statements @ stands before the name of a table, the outbox's too.
 */
#ifndef KURIER_TESTS_BOOKS_H
#define KURIER_TESTS_BOOKS_H

#include <kurier/database.h>

/* Takes a row. */
typedef void books_take(const char *const *columns, void *user);

struct books {
    const char *name;
    const char *begin;         /* a transaction that writes */
    const char *value_as_text; /* of a row of the outbox */
    /* Everything that has the same `place` is one database: a file, a schema of the server that KURIER_POSTGRES names.
     */
    kur_database *(*database)(const char *place, kur_error *error);
    /* NULL, with what the database says on standard error. */
    void *(*connect)(const char *place);
    void (*disconnect)(void *connection);
    /* Whether it went well; otherwise what the database says is on standard error. `take` may be NULL. */
    bool (*run)(void *connection, const char *statement, books_take *take, void *user);
    /* What is given to kur_outbox_add. */
    void *(*transaction)(void *connection);
    void (*remove)(const char *place);
    /* To a file, and from it in place of what is there, which nobody is connected to; whether it went well. */
    bool (*back_up)(const char *place, const char *path);
    bool (*restore)(const char *place, const char *path);
};

extern const struct books books_sqlite, books_postgres;

#endif
