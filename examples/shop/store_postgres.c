/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/postgres.h>
#include <libpq-fe.h>
#include <string.h>

#include "store.h"

/* What libpq says ends with a line's end; an error's message is one line. */
static kur_status failed(PGconn *connection, const char *sql, kur_error *error)
{
    kur_status status = KUR_ERROR_DATABASE;
    if (PQstatus(connection) != CONNECTION_OK)
        status = strcmp(sql, "COMMIT") == 0 ? KUR_ERROR_UNKNOWN_OUTCOME : KUR_ERROR_UNREACHABLE;
    const char *text = PQerrorMessage(connection);
    return kur_error_set(error, status, "PostgreSQL: %.*s", (int)strcspn(text, "\n"), text);
}

static kur_database *open_database(const char *where, kur_error *error)
{
    return kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = where), error);
}

/* "relation orders exists": nobody wants to know. */
static void pass_over(void *user, const char *text)
{
    (void)user, (void)text;
}

static void *connect_to(const char *where, kur_error *error)
{
    PGconn *connection = PQconnectdb(where);
    if (connection != NULL && PQstatus(connection) == CONNECTION_OK) {
        PQsetNoticeProcessor(connection, pass_over, NULL);
        return connection;
    }
    failed(connection, "", error);
    PQfinish(connection);
    return NULL;
}

static void disconnect(void *connection)
{
    PQfinish(connection);
}

static bool is_alive(void *connection)
{
    return PQstatus(connection) == CONNECTION_OK && PQtransactionStatus(connection) == PQTRANS_IDLE;
}

static kur_status run(void *connection, const char *sql, const char *const values[], kur_arena *arena,
                      const char *row[], kur_error *error)
{
    int count = 0;
    while (values[count] != NULL)
        count++;
    PGresult *result = PQexecParams(connection, sql, count, NULL, values, NULL, NULL, 0);
    ExecStatusType code = PQresultStatus(result);
    kur_status status = KUR_OK;
    if (code != PGRES_COMMAND_OK && code != PGRES_TUPLES_OK)
        status = failed(connection, sql, error);
    if (row != NULL)
        row[0] = NULL;
    for (int i = 0; row != NULL && PQntuples(result) > 0 && i < PQnfields(result); i++) {
        const char *text = PQgetvalue(result, 0, i);
        row[i] = text != NULL ? kur_arena_copy(arena, text, strlen(text)) : NULL;
        if (row[i] == NULL)
            status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    }
    PQclear(result);
    return status;
}

const struct store_kind store_postgres = {8, "BEGIN", open_database, connect_to, disconnect, is_alive, run};
