/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "effects.h"

#include <check.h>
#include <kurier/sqlite.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char effects_name[] = "sqlite";

const char *effects_missing(void)
{
    return NULL;
}

static void path_of(const char *place, char path[80])
{
    snprintf(path, 80, "%s/service.db", place);
}

kur_database *effects_try(const char *place, kur_error *error)
{
    char path[80];
    path_of(place, path);
    return kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = path, .busy_timeout_ms = 2000), error);
}

kur_database *effects_open(const char *place)
{
    kur_error error = {0};
    kur_database *database = effects_try(place, &error);
    if (database != NULL) /* not by check: it may be a process of its own */
        return database;
    fprintf(stderr, "%s\n", error.message);
    abort();
}

static sqlite3 *open_file(const char *place)
{
    char path[80];
    sqlite3 *db = NULL;
    path_of(place, path);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 30000);
    return db;
}

void effects_make(char place[64])
{
    kur_error error = {0};
    snprintf(place, 64, "/tmp/kurier-effects.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(place));
    kur_database *database = effects_open(place);
    kur_status status = kur_database_migrate(database, 1, &error);
    ck_assert_msg(status == KUR_OK, "%s", error.message);
    kur_database_free(database);
    sqlite3 *db = open_file(place);
    ck_assert_int_eq(sqlite3_exec(db, "CREATE TABLE effect(number INTEGER NOT NULL)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

void effects_remove(const char *place)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char path[90];
        snprintf(path, sizeof path, "%s/service.db%s", place, suffixes[i]);
        unlink(path);
    }
    rmdir(place);
}

/* Somebody else writes, and does not end. */
void effects_away(const char *place, bool is_away)
{
    static sqlite3 *db;
    if (is_away) {
        db = open_file(place);
        ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    } else {
        ck_assert_int_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
    }
}

bool effects_add(void *transaction, int number)
{
    char text[80];
    snprintf(text, sizeof text, "INSERT INTO effect VALUES (%d)", number);
    return sqlite3_exec(transaction, text, NULL, NULL, NULL) == SQLITE_OK;
}

static int number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int number = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

struct effects effects_read(const char *place)
{
    sqlite3 *db = open_file(place);
    struct effects effects = {
        .rows = number_of(db, "SELECT count(*) FROM effect"),
        .numbers = number_of(db, "SELECT count(DISTINCT number) FROM effect"),
        .outbox_rows = number_of(db, "SELECT count(*) FROM kurier_outbox"),
        .done = number_of(db, "SELECT count(*) FROM kurier_inbox_done WHERE NOT is_open"),
        .open = number_of(db, "SELECT count(*) FROM kurier_inbox_done WHERE is_open"),
    };
    sqlite3_close(db);
    return effects;
}
