/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "open_postgres.h"

#include <check.h>
#include <kurier/postgres.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char opening_name[] = "driver_postgres";

static char schema[32];

const char *opening_missing(void)
{
    return getenv("KURIER_POSTGRES") != NULL ? NULL : "no PostgreSQL: script/postgres run";
}

const char *open_schema(void)
{
    return schema;
}

static kur_database *open_it(void)
{
    kur_error error = {0};
    kur_database *database =
        kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = getenv("KURIER_POSTGRES"), .schema = schema), &error);
    ck_assert_msg(database != NULL, "%s", error.message);
    return database;
}

kur_database *opening_new(void)
{
    static int count;
    snprintf(schema, sizeof schema, "test_%d_%d", (int)getpid(), ++count);
    return open_it();
}

kur_database *opening_again(kur_database *database)
{
    (void)database;
    return open_it();
}

void opening_free(kur_database *database)
{
    PGconn *connection = open_postgres();
    kur_database_free(database);
    sql(connection, "DROP SCHEMA IF EXISTS @ CASCADE");
    PQfinish(connection);
}

static void be_silent(void *user, const char *message)
{
    (void)user;
    (void)message;
}

PGconn *open_postgres(void)
{
    PGconn *connection = PQconnectdb(getenv("KURIER_POSTGRES"));
    ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
    PQsetNoticeProcessor(connection, be_silent, NULL);
    return connection;
}

static PGresult *run(PGconn *connection, const char *text)
{
    char whole[8192];
    size_t n = 0;
    for (; *text != '\0' && n + sizeof schema < sizeof whole; text++) {
        if (*text == '@')
            n += (size_t)snprintf(whole + n, sizeof whole - n, "%s", schema);
        else
            whole[n++] = *text;
    }
    whole[n] = '\0';
    PGresult *result = PQexec(connection, whole);
    ExecStatusType is = PQresultStatus(result);
    ck_assert_msg(is == PGRES_COMMAND_OK || is == PGRES_TUPLES_OK, "%s: %s", whole, PQerrorMessage(connection));
    return result;
}

void sql(PGconn *connection, const char *text)
{
    PQclear(run(connection, text));
}

long long sql_number(PGconn *connection, const char *text)
{
    PGresult *result = run(connection, text);
    long long number = PQntuples(result) == 0 || PQgetisnull(result, 0, 0) ? -1 : atoll(PQgetvalue(result, 0, 0));
    PQclear(result);
    return number;
}
