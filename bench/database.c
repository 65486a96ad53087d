/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "database.h"

#include <kurier/outbox.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef BENCH_HAS_POSTGRES
#include <kurier/postgres.h>
#include <libpq-fe.h>
#endif
#ifdef BENCH_HAS_SQLITE
#include <kurier/sqlite.h>
#include <sqlite3.h>
#endif

#define BENCH_TABLE "CREATE TABLE IF NOT EXISTS bench_orders (id BIGINT, customer TEXT, text TEXT)"

static int opened;

static bool make_sqlite(struct bench_database *base, kur_error *error)
{
#ifdef BENCH_HAS_SQLITE
    snprintf(base->place, sizeof base->place, "%s/kurier-bench-%d-%d.db",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp", (int)getpid(), opened++);
    base->name = "sqlite";
    base->database = kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = base->place), error);
    return true;
#else
    (void)base, (void)error;
    return false;
#endif
}

static bool make_postgres(struct bench_database *base, bool prepares, kur_error *error)
{
#ifdef BENCH_HAS_POSTGRES
    const char *conninfo = getenv("KURIER_POSTGRES");
    if (conninfo == NULL)
        return false;
    snprintf(base->place, sizeof base->place, "bench_%d_%d", (int)getpid(), opened++);
    base->name = "postgres";
    base->database = kur_postgres_new(
        &KUR_POSTGRES_OPTIONS(.conninfo = conninfo, .schema = base->place, .prepares = prepares), error);
    return true;
#else
    (void)base, (void)prepares, (void)error;
    return false;
#endif
}

bool bench_database_open(struct bench_database *base, int which)
{
    kur_error error = {0};
    *base = (struct bench_database){0};
    if (!(which == BENCH_SQLITE ? make_sqlite(base, &error) : make_postgres(base, which == BENCH_PREPARED, &error))) {
        fprintf(stderr, "bench: %s is left out: %s\n", which == BENCH_SQLITE ? "SQLite" : "PostgreSQL",
                which == BENCH_SQLITE ? "built without it" : "KURIER_POSTGRES names none (script/postgres run)");
        return false;
    }
    if (base->database == NULL || kur_database_migrate(base->database, 0, &error) != KUR_OK)
        bench_fail("%s: %s", base->name, error.message);
    base->driver = kur_database_driver(base->database);
    void *connection = bench_connect(base);
    bench_execute(base, connection, BENCH_TABLE);
    bench_disconnect(base, connection);
    return true;
}

void bench_database_close(struct bench_database *base)
{
#ifdef BENCH_HAS_POSTGRES
    char statement[320];
    if (strcmp(base->name, "postgres") == 0) {
        void *connection = bench_connect(base);
        bench_execute(base, connection, "SET client_min_messages = warning");
        snprintf(statement, sizeof statement, "DROP SCHEMA %s CASCADE", base->place);
        bench_execute(base, connection, statement);
        bench_disconnect(base, connection);
    }
#endif
    if (strcmp(base->name, "sqlite") == 0) {
        char file[300];
        static const char *const ends[] = {"", "-wal", "-shm"};
        for (int i = 0; i < 3; i++) {
            snprintf(file, sizeof file, "%s%s", base->place, ends[i]);
            unlink(file);
        }
    }
    kur_database_free(base->database);
}

void *bench_connect(const struct bench_database *base)
{
    kur_error error = {0};
    void *connection = NULL;
    if (base->driver->connect(kur_database_state(base->database), &connection, &error) != KUR_OK)
        bench_fail("%s: %s", base->name, error.message);
    return connection;
}

void bench_disconnect(const struct bench_database *base, void *connection)
{
    base->driver->disconnect(connection);
}

void bench_execute(const struct bench_database *base, void *connection, const char *statement)
{
#ifdef BENCH_HAS_POSTGRES
    if (strcmp(base->name, "postgres") == 0) {
        PGresult *result = PQexec(connection, statement);
        if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
            bench_fail("postgres: %s", PQerrorMessage(connection));
        PQclear(result);
        return;
    }
#endif
#ifdef BENCH_HAS_SQLITE
    char *why = NULL;
    if (sqlite3_exec(connection, statement, NULL, NULL, &why) != SQLITE_OK)
        bench_fail("sqlite: %s", why);
#endif
}
