/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/sqlite.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "store.h"

enum {
    BUSY_MS = 5000
};

static kur_status failed(sqlite3 *db, kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_DATABASE, "SQLite: %s", sqlite3_errmsg(db));
}

static kur_database *open_file(const char *where, kur_error *error)
{
    return kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = where), error);
}

static void *connect_to(const char *where, kur_error *error)
{
    sqlite3 *db = NULL;
    /* In WAL mode what is committed survives a power failure only with FULL: its event may be out by then. */
    if (sqlite3_open(where, &db) == SQLITE_OK && sqlite3_busy_timeout(db, BUSY_MS) == SQLITE_OK &&
        sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", NULL, NULL, NULL) == SQLITE_OK)
        return db;
    kur_error_set(error, KUR_ERROR_DATABASE, "%s: %s", where, sqlite3_errmsg(db));
    sqlite3_close(db);
    return NULL;
}

static void disconnect(void *connection)
{
    sqlite3_close(connection);
}

/* A transaction that could not be ended is ended by closing it. */
static bool is_alive(void *connection)
{
    return sqlite3_get_autocommit(connection) != 0;
}

static int bind(sqlite3_stmt *statement, const char *const values[])
{
    char name[12];
    int code = SQLITE_OK;
    for (int i = 0; values[i] != NULL && code == SQLITE_OK; i++) {
        snprintf(name, sizeof name, "$%d", i + 1);
        code =
            sqlite3_bind_text(statement, sqlite3_bind_parameter_index(statement, name), values[i], -1, SQLITE_STATIC);
    }
    return code;
}

static kur_status run(void *connection, const char *sql, const char *const values[], kur_arena *arena,
                      const char *row[], kur_error *error)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = bind(statement, values);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    kur_status status = code == SQLITE_ROW || code == SQLITE_DONE ? KUR_OK : failed(connection, error);
    if (row != NULL)
        row[0] = NULL;
    for (int i = 0; row != NULL && code == SQLITE_ROW && i < sqlite3_column_count(statement); i++) {
        const char *text = (const char *)sqlite3_column_text(statement, i);
        row[i] = text != NULL ? kur_arena_copy(arena, text, strlen(text)) : NULL;
        if (row[i] == NULL)
            status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    }
    sqlite3_finalize(statement);
    return status;
}

const struct store_kind store_sqlite = {1, "BEGIN IMMEDIATE", open_file, connect_to, disconnect, is_alive, run};
