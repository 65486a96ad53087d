/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "effects.h"

#include <check.h>
#include <kurier/postgres.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char effects_name[] = "postgres";

static const char *schema; /* of this process's inbox */

const char *effects_missing(void)
{
    return getenv("KURIER_POSTGRES") != NULL ? NULL : "no PostgreSQL: script/postgres run";
}

kur_database *effects_open(const char *place)
{
    kur_error error = {0};
    schema = place;
    kur_database *database =
        kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = getenv("KURIER_POSTGRES"), .schema = place), &error);
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

/* NULL while the server is away. */
static PGconn *connect_to(void)
{
    PGconn *connection = PQconnectdb(getenv("KURIER_POSTGRES"));
    PQsetNoticeProcessor(connection, be_silent, NULL);
    if (PQstatus(connection) == CONNECTION_OK)
        return connection;
    PQfinish(connection);
    return NULL;
}

static void run(const char *format, const char *place)
{
    char text[200];
    PGconn *connection = connect_to();
    ck_assert_ptr_nonnull(connection);
    snprintf(text, sizeof text, format, place);
    PGresult *result = PQexec(connection, text);
    ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
}

void effects_make(char place[64])
{
    static int count;
    kur_error error = {0};
    snprintf(place, 64, "effects_%d_%d", (int)getpid(), ++count);
    kur_database *database = effects_open(place);
    kur_status status = kur_database_migrate(database, 1, &error);
    ck_assert_msg(status == KUR_OK, "%s", error.message);
    kur_database_free(database);
    run("CREATE TABLE %s.effect(number integer NOT NULL)", place);
}

void effects_remove(const char *place)
{
    run("DROP SCHEMA %s CASCADE", place);
}

bool effects_add(void *transaction, int number)
{
    char text[128];
    snprintf(text, sizeof text, "INSERT INTO %s.effect VALUES (%d)", schema, number);
    PGresult *result = PQexec(transaction, text);
    bool is_good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return is_good;
}

/* -1: the server is away. */
static int number_of(PGconn *connection, const char *format, const char *place)
{
    char text[200];
    snprintf(text, sizeof text, format, place);
    PGresult *result = PQexec(connection, text);
    int number = PQresultStatus(result) == PGRES_TUPLES_OK ? atoi(PQgetvalue(result, 0, 0)) : -1;
    PQclear(result);
    return number;
}

struct effects effects_read(const char *place)
{
    PGconn *connection = connect_to();
    if (connection == NULL)
        return (struct effects){.rows = -1, .numbers = -1, .outbox_rows = -1, .done = -1, .open = -1};
    struct effects effects = {
        .rows = number_of(connection, "SELECT count(*) FROM %s.effect", place),
        .numbers = number_of(connection, "SELECT count(DISTINCT number) FROM %s.effect", place),
        .outbox_rows = number_of(connection, "SELECT count(*) FROM %s.outbox", place),
        .done = number_of(connection, "SELECT count(*) FROM %s.inbox_done WHERE NOT is_open", place),
        .open = number_of(connection, "SELECT count(*) FROM %s.inbox_done WHERE is_open", place),
    };
    PQfinish(connection);
    return effects;
}
