/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "effects.h"

#include <check.h>
#include <kurier/postgres.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char effects_name[] = "postgres";

const char *effects_missing(void)
{
    return getenv("KURIER_POSTGRES") != NULL ? NULL : "no PostgreSQL: script/postgres run";
}

/* A place is a database of that name; "" is the server's own. */
static void conninfo_of(const char *place, char conninfo[600])
{
    const char *given = getenv("KURIER_POSTGRES");
    snprintf(conninfo, 600, "%s%s%s", given, place[0] != '\0' ? " dbname=" : "", place);
}

kur_database *effects_try(const char *place, kur_error *error)
{
    char conninfo[600];
    conninfo_of(place, conninfo);
    return kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = conninfo), error);
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

static void be_silent(void *user, const char *message)
{
    (void)user;
    (void)message;
}

/* NULL while it is away. */
static PGconn *connect_to(const char *place)
{
    char conninfo[600];
    conninfo_of(place, conninfo);
    PGconn *connection = PQconnectdb(conninfo);
    PQsetNoticeProcessor(connection, be_silent, NULL);
    if (PQstatus(connection) == CONNECTION_OK)
        return connection;
    PQfinish(connection);
    return NULL;
}

static void run(const char *place, const char *format, const char *name)
{
    char text[300];
    PGconn *connection = connect_to(place);
    ck_assert_ptr_nonnull(connection);
    snprintf(text, sizeof text, format, name);
    PGresult *result = PQexec(connection, text);
    ExecStatusType is = PQresultStatus(result);
    ck_assert_msg(is == PGRES_COMMAND_OK || is == PGRES_TUPLES_OK, "%s", PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
}

void effects_make(char place[64])
{
    static int count;
    kur_error error = {0};
    snprintf(place, 64, "effects_%d_%d", (int)getpid(), ++count);
    run("", "CREATE DATABASE %s", place);
    kur_database *database = effects_open(place);
    kur_status status = kur_database_migrate(database, 1, &error);
    ck_assert_msg(status == KUR_OK, "%s", error.message);
    kur_database_free(database);
    run(place, "CREATE TABLE effect(number integer NOT NULL)", "");
}

void effects_remove(const char *place)
{
    run("", "DROP DATABASE %s WITH (FORCE)", place);
}

void effects_away(const char *place, bool is_away)
{
    run("", is_away ? "ALTER DATABASE %s ALLOW_CONNECTIONS false" : "ALTER DATABASE %s ALLOW_CONNECTIONS true", place);
    if (is_away)
        run("", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'", place);
}

bool effects_add(void *transaction, int number)
{
    char text[80];
    snprintf(text, sizeof text, "INSERT INTO effect VALUES (%d)", number);
    PGresult *result = PQexec(transaction, text);
    bool is_good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return is_good;
}

/* -1: it is away. */
static int number_of(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    int number = PQresultStatus(result) == PGRES_TUPLES_OK ? atoi(PQgetvalue(result, 0, 0)) : -1;
    PQclear(result);
    return number;
}

struct effects effects_read(const char *place)
{
    PGconn *connection = connect_to(place);
    if (connection == NULL)
        return (struct effects){.rows = -1, .numbers = -1, .outbox_rows = -1, .done = -1, .open = -1};
    struct effects effects = {
        .rows = number_of(connection, "SELECT count(*) FROM effect"),
        .numbers = number_of(connection, "SELECT count(DISTINCT number) FROM effect"),
        .outbox_rows = number_of(connection, "SELECT count(*) FROM kurier.outbox"),
        .done = number_of(connection, "SELECT count(*) FROM kurier.inbox_done WHERE NOT is_open"),
        .open = number_of(connection, "SELECT count(*) FROM kurier.inbox_done WHERE is_open"),
    };
    PQfinish(connection);
    return effects;
}
