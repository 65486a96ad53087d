/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: nothing is set for a session. Bounds are those of a transaction (SET LOCAL), of the socket (keepalives,
 * TCP's user time-out), or the driver's own patience for an answer, so that all of it holds through a pooler.
 */
#include <kurier/sys/memory.h>
#include <stdio.h>

#include "postgres/postgres.h"

/* Marks the driver's own connections: libpq keeps what hangs there by the function's address. */
static int own_events(PGEventId id, void *info, void *user)
{
    (void)id;
    (void)info;
    (void)user;
    return 1;
}

struct kur__postgres *kur__pg_owner(const PGconn *connection)
{
    return PQinstanceData(connection, own_events);
}

/* Whether a quotation behind this text is a name, and can be no part of a conninfo that was not understood. */
static bool quotes_name(const char *line, size_t size)
{
    static const char *const words[] = {" at ", " socket ", " user ", " role ", " database "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if (size >= length && memcmp(line + size - length, words[i], length) == 0)
            return true;
    }
    return false;
}

void kur__pg_mask(const char *text, char *line, size_t size)
{
    size_t n = 0;
    bool is_quoted = false, is_name = false;
    for (; *text != '\0' && n + 1 < size; text++) {
        if (*text == '"') {
            is_quoted = !is_quoted;
            is_name = is_quoted && quotes_name(line, n);
        }
        if (is_quoted && !is_name && *text != '"')
            continue;
        line[n++] = (char)((unsigned char)*text < ' ' ? ' ' : *text);
    }
    while (n > 0 && line[n - 1] == ' ')
        n--;
    line[n] = '\0';
}

static void be_silent(void *user, const PGresult *notice)
{
    (void)user;
    (void)notice;
}

/* Before the caller's conninfo, which may say otherwise. */
static PGconn *open_connection(const struct kur__postgres *postgres)
{
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", (postgres->connect_timeout_ms + 999) / 1000);
    const char *const names[] = {"fallback_application_name",
                                 "keepalives_idle",
                                 "keepalives_interval",
                                 "keepalives_count",
                                 "tcp_user_timeout",
                                 "connect_timeout",
                                 "dbname",
                                 "client_encoding",
                                 NULL};
    const char *const values[] = {
        "kurier", "20", "5", "3", "30000", timeout, postgres->conninfo != NULL ? postgres->conninfo : "", "UTF8", NULL};
    return PQconnectdbParams(names, values, 1);
}

static kur_status check_connection(PGconn *connection, kur_error *error)
{
    char line[300];
    if (PQstatus(connection) != CONNECTION_OK) {
        kur__pg_mask(PQerrorMessage(connection), line, sizeof line);
        return kur_error_set(error, KUR_ERROR_UNREACHABLE, "postgres: %s", line);
    }
    if (PQserverVersion(connection) < 130000)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED, "postgres: the server is PostgreSQL %d, and 13 is needed",
                             PQserverVersion(connection) / 10000);
    return KUR_OK;
}

kur_status kur__pg_connect(void *database, void **made, kur_error *error)
{
    PGconn *connection = open_connection(database);
    kur_status status = connection == NULL ? kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory")
                                           : check_connection(connection, error);
    if (status == KUR_OK && (!PQregisterEventProc(connection, own_events, "kurier", NULL) ||
                             !PQsetInstanceData(connection, own_events, database)))
        status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    if (status != KUR_OK) {
        PQfinish(connection);
        return status;
    }
    PQsetNoticeReceiver(connection, be_silent, NULL);
    *made = connection;
    return KUR_OK;
}

void kur__pg_disconnect(void *connection)
{
    PQfinish(connection);
}

kur_status kur__pg_begin(void *connection, kur_error *error)
{
    return kur__pg_script(connection, "BEGIN",
                          "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '10s'", error);
}

kur_status kur__pg_begin_own(void *connection, kur_error *error)
{
    return kur__pg_script(connection, "BEGIN",
                          "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '10s';"
                          " SET LOCAL idle_in_transaction_session_timeout = '20s'",
                          error);
}

/* A handler has left a statement running, or a mode on in which answers come otherwise. */
static bool is_left_busy(const PGconn *connection)
{
#ifdef LIBPQ_HAS_PIPELINING
    if (PQpipelineStatus(connection) != PQ_PIPELINE_OFF)
        return true;
#endif
    return PQtransactionStatus(connection) == PQTRANS_ACTIVE;
}

void kur__pg_rollback(void *connection)
{
    PGTransactionStatusType is = PQtransactionStatus(connection);
    if (is_left_busy(connection))
        kur__pg_hang_up(connection);
    else if (is == PQTRANS_INTRANS || is == PQTRANS_INERROR)
        kur__pg_script(connection, "ROLLBACK", "ROLLBACK", NULL);
}

kur_status kur__pg_commit(void *given, kur_error *error)
{
    PGconn *connection = given;
    PGTransactionStatusType is = PQtransactionStatus(connection);
    if (PQstatus(connection) == CONNECTION_OK && is_left_busy(connection)) {
        kur__pg_hang_up(connection);
        return kur_error_set(error, KUR_ERROR_DATABASE,
                             "postgres: a statement is still running, so that the transaction is rolled back");
    }
    if (is == PQTRANS_IDLE)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "postgres: COMMIT: no transaction is open");
    if (is == PQTRANS_INERROR) {
        kur__pg_rollback(connection);
        return kur_error_set(error, KUR_ERROR_DATABASE, "postgres: the transaction had failed, and is rolled back");
    }
    PGresult *result = NULL;
    kur_error own = {0};
    kur_status status = kur__pg_run(connection, "COMMIT", "COMMIT", NULL, &result, &own);
    if (status == KUR_OK && strcmp(PQcmdStatus(result), "COMMIT") != 0)
        status = kur_error_set(&own, KUR_ERROR_DATABASE, "postgres: the transaction had failed, and is rolled back");
    PQclear(result);
    /* Even what the server said last, that it is stopped, does not tell whether the commit came first. */
    if (status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_NO_MEMORY)
        return kur_error_set(error, KUR_ERROR_UNKNOWN_OUTCOME, "%s: it may be committed or not", own.message);
    if (status != KUR_OK && error != NULL)
        *error = own;
    return status;
}

kur_status kur__pg_end(PGconn *connection, kur_status status, kur_error *error)
{
    if (status != KUR_OK) {
        kur__pg_rollback(connection);
        return status;
    }
    status = kur__pg_commit(connection, error);
    if (status != KUR_ERROR_UNKNOWN_OUTCOME)
        return status;
    char line[sizeof error->message];
    snprintf(line, sizeof line, "%s", error != NULL ? error->message : "");
    return kur_error_set(error, KUR_ERROR_UNREACHABLE, "%s", line);
}
