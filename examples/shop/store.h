/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A service's own database: a file of SQLite's or PostgreSQL, with a few connections that are kept. Statements are the
 * same for both: values are texts, $1, $2, …
 */
#ifndef KURIER_SHOP_STORE_H
#define KURIER_SHOP_STORE_H

#include <kurier/kurier.h>

/* Any thread, but for a transaction, which is one thread's from store_begin to store_end. */
struct store;

/* With `postgres`, how to connect as libpq takes it, or else with a file. `tables` are statements that make them when
 * they are not there. NULL with an error. */
struct store *store_open(const char *file, const char *postgres, const char *tables, kur_error *error);
void store_close(struct store *store);

/* The same database, for an outbox; the store's own. */
kur_database *store_database(struct store *store);

/* A connection in the middle of a transaction: a sqlite3 *, a PGconn *. Waits until one is free. NULL with an error. */
void *store_begin(struct store *store, kur_error *error);

/*
 * Commits, or rolls back when `error` is set already. KUR_ERROR_UNKNOWN_OUTCOME: it may or may not be committed, the
 * connection broke before the answer. NULL: there was none to end.
 */
kur_status store_end(struct store *store, void *transaction, kur_error *error);

/* Runs a statement in a transaction. `values` ends with NULL. */
kur_status store_run(struct store *store, void *transaction, const char *sql, const char *const values[],
                     kur_error *error);

/* Runs one that is a transaction by itself, and selects at most one row: it is put in `arena` and `row`, row[0] is NULL
 * when there is none. Both may be NULL. */
kur_status store_query(struct store *store, const char *sql, const char *const values[], kur_arena *arena,
                       const char *row[], kur_error *error);

/* ---- What there is of each: store_sqlite.c, store_postgres.c ---- */

struct store_kind {
    size_t connections; /* open at once, at most */
    const char *begin;
    kur_database *(*open)(const char *where, kur_error *error);
    void *(*connect)(const char *where, kur_error *error);
    void (*disconnect)(void *connection);
    bool (*is_alive)(void *connection);
    kur_status (*run)(void *connection, const char *sql, const char *const values[], kur_arena *arena,
                      const char *row[], kur_error *error);
};

extern const struct store_kind store_sqlite;
#ifdef SHOP_WITH_POSTGRES
extern const struct store_kind store_postgres;
#endif

#endif
