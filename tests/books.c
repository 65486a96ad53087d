/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "books.h"

#include <kurier/postgres.h>
#include <kurier/sqlite.h>
#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    STATEMENT_MAX = 1024,
    PLACE_MAX = 96
};

struct connection {
    sqlite3 *sqlite;
    PGconn *postgres;
    char place[PLACE_MAX];
};

/* With the tables' names as they are there. */
static const char *expand(const char *statement, const char *prefix, char text[STATEMENT_MAX])
{
    size_t n = 0, size = strlen(prefix);
    for (; *statement != '\0' && n + size < STATEMENT_MAX - 1; statement++) {
        if (*statement == '@') {
            memcpy(text + n, prefix, size);
            n += size;
        } else {
            text[n++] = *statement;
        }
    }
    text[n] = '\0';
    return text;
}

static struct connection *new_connection(const char *place)
{
    struct connection *connection = calloc(1, sizeof *connection);
    snprintf(connection->place, sizeof connection->place, "%s", place);
    return connection;
}

/* ---- SQLite ---- */

static kur_database *sqlite_database(const char *place, kur_error *error)
{
    return kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = place), error);
}

static void sqlite_disconnect(void *of)
{
    struct connection *connection = of;
    sqlite3_close(connection->sqlite);
    free(connection);
}

struct taking {
    books_take *take;
    void *user;
};

static int sqlite_take(void *user, int count, char **columns, char **names)
{
    struct taking *taking = user;
    (void)count, (void)names;
    if (taking->take != NULL)
        taking->take((const char *const *)columns, taking->user);
    return 0;
}

static bool sqlite_run(void *of, const char *statement, books_take *take, void *user)
{
    struct connection *connection = of;
    struct taking taking = {take, user};
    char text[STATEMENT_MAX], *why = NULL;
    if (sqlite3_exec(connection->sqlite, expand(statement, "kurier_", text), sqlite_take, &taking, &why) == SQLITE_OK)
        return true;
    fprintf(stderr, "%s: %s\n", text, why != NULL ? why : "?");
    sqlite3_free(why);
    return false;
}

static void *sqlite_connect(const char *place)
{
    struct connection *connection = new_connection(place);
    if (sqlite3_open(place, &connection->sqlite) == SQLITE_OK) {
        sqlite3_busy_timeout(connection->sqlite, 60000); /* many write, and they do not queue */
        if (sqlite_run(connection, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", NULL, NULL))
            return connection;
    }
    sqlite_disconnect(connection);
    return NULL;
}

static void *sqlite_transaction(void *of)
{
    return ((struct connection *)of)->sqlite;
}

static void sqlite_remove(const char *place)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char path[PLACE_MAX + 8];
        snprintf(path, sizeof path, "%s%s", place, suffixes[i]);
        unlink(path);
    }
}

static bool sqlite_back_up(const char *place, const char *path)
{
    char statement[2 * PLACE_MAX];
    void *connection = sqlite_connect(place);
    snprintf(statement, sizeof statement, "VACUUM INTO '%s'", path);
    bool is_good = connection != NULL && sqlite_run(connection, statement, NULL, NULL);
    if (connection != NULL)
        sqlite_disconnect(connection);
    return is_good;
}

static bool sqlite_restore(const char *place, const char *path)
{
    sqlite_remove(place);
    return rename(path, place) == 0;
}

const struct books books_sqlite = {
    .name = "SQLite",
    .begin = "BEGIN IMMEDIATE",
    .value_as_text = "CAST(value AS TEXT)",
    .database = sqlite_database,
    .connect = sqlite_connect,
    .disconnect = sqlite_disconnect,
    .run = sqlite_run,
    .transaction = sqlite_transaction,
    .remove = sqlite_remove,
    .back_up = sqlite_back_up,
    .restore = sqlite_restore,
};

/* ---- PostgreSQL ---- */

static kur_database *postgres_database(const char *place, kur_error *error)
{
    return kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = getenv("KURIER_POSTGRES"), .schema = place), error);
}

static void postgres_disconnect(void *of)
{
    struct connection *connection = of;
    PQfinish(connection->postgres);
    free(connection);
}

static void be_silent(void *user, const char *message)
{
    (void)user, (void)message;
}

static void *postgres_connect(const char *place)
{
    struct connection *connection = new_connection(place);
    connection->postgres = PQconnectdb(getenv("KURIER_POSTGRES"));
    if (PQstatus(connection->postgres) == CONNECTION_OK) {
        PQsetNoticeProcessor(connection->postgres, be_silent, NULL);
        return connection;
    }
    fprintf(stderr, "%s", PQerrorMessage(connection->postgres));
    postgres_disconnect(connection);
    return NULL;
}

static bool postgres_run(void *of, const char *statement, books_take *take, void *user)
{
    struct connection *connection = of;
    char text[STATEMENT_MAX], prefix[PLACE_MAX + 1];
    snprintf(prefix, sizeof prefix, "%s.", connection->place);
    PGresult *result = PQexec(connection->postgres, expand(statement, prefix, text));
    ExecStatusType is = PQresultStatus(result);
    bool is_good = is == PGRES_COMMAND_OK || is == PGRES_TUPLES_OK;
    if (!is_good)
        fprintf(stderr, "%s: %s", text, PQerrorMessage(connection->postgres));
    for (int row = 0; is_good && take != NULL && row < PQntuples(result); row++) {
        const char *columns[8] = {NULL};
        for (int i = 0; i < PQnfields(result) && i < 8; i++)
            columns[i] = PQgetisnull(result, row, i) ? NULL : PQgetvalue(result, row, i);
        take(columns, user);
    }
    PQclear(result);
    return is_good;
}

static void *postgres_transaction(void *of)
{
    return ((struct connection *)of)->postgres;
}

static void postgres_remove(const char *place)
{
    char statement[PLACE_MAX + 64];
    void *connection = postgres_connect(place);
    snprintf(statement, sizeof statement, "DROP SCHEMA IF EXISTS %s CASCADE", place);
    if (connection == NULL)
        return;
    postgres_run(connection, statement, NULL, NULL);
    postgres_disconnect(connection);
}

/* By the server's own tools. */
static bool run_tool(const char *format, const char *first, const char *second)
{
    char command[512];
    snprintf(command, sizeof command, format, first, second);
    return system(command) == 0;
}

static bool postgres_back_up(const char *place, const char *path)
{
    return run_tool("pg_dump --dbname \"$KURIER_POSTGRES\" --schema %s --file %s", place, path);
}

static bool postgres_restore(const char *place, const char *path)
{
    postgres_remove(place);
    return run_tool("psql --dbname \"$KURIER_POSTGRES\" --quiet --set ON_ERROR_STOP=1 --file %s >%s", path,
                    "/dev/null") &&
           unlink(path) == 0;
}

const struct books books_postgres = {
    .name = "PostgreSQL",
    .begin = "BEGIN",
    .value_as_text = "convert_from(value, 'UTF8')",
    .database = postgres_database,
    .connect = postgres_connect,
    .disconnect = postgres_disconnect,
    .run = postgres_run,
    .transaction = postgres_transaction,
    .remove = postgres_remove,
    .back_up = postgres_back_up,
    .restore = postgres_restore,
};
