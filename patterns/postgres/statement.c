/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: statements go out by the extended protocol without a name, so that nothing of them stays in the session
 * and each can run on another of a pooler's connections. An answer is waited for with poll() and a deadline: a server
 * that has gone without a word is noticed even where the system's time-outs see nothing wrong. On a connection of a
 * caller's libpq waits, as it does for the caller's own statements.
 */
#include <kurier/sys/clock.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "postgres/postgres.h"

enum {
    ANSWER_MS = 60 * 1000 /* a lock is waited for 10 s at most; the rest is for work, and for replicas that confirm */
};

/* From PostgreSQL's epoch, the beginning of 2000, to Unix's. */
#define EPOCH_US INT64_C(946684800000000)

/* ---- Values ---- */

static void put_number(char *bytes, int64_t number, int size)
{
    for (int i = 0; i < size; i++)
        bytes[i] = (char)((uint64_t)number >> 8 * (size - 1 - i));
}

static void add(struct kur__pg_values *values, Oid type, const char *data, size_t size)
{
    int i = values->count++;
    values->types[i] = type;
    values->data[i] = data;
    values->sizes[i] = (int)size;
    values->formats[i] = 1;
}

static void add_number(struct kur__pg_values *values, Oid type, int64_t number, int size)
{
    char *bytes = values->numbers[values->count];
    put_number(bytes, number, size);
    add(values, type, bytes, (size_t)size);
}

void kur__pg_add_int2(struct kur__pg_values *values, int32_t number)
{
    add_number(values, KUR__PG_INT2, number, 2);
}

void kur__pg_add_int4(struct kur__pg_values *values, int32_t number)
{
    add_number(values, KUR__PG_INT4, number, 4);
}

void kur__pg_add_int8(struct kur__pg_values *values, int64_t number)
{
    add_number(values, KUR__PG_INT8, number, 8);
}

void kur__pg_add_bool(struct kur__pg_values *values, bool is)
{
    add_number(values, KUR__PG_BOOL, is, 1);
}

void kur__pg_add_text(struct kur__pg_values *values, const char *text)
{
    add(values, KUR__PG_TEXT, text, strlen(text));
}

void kur__pg_add_bytes(struct kur__pg_values *values, Oid type, kur_bytes bytes)
{
    add(values, type, bytes.data, bytes.size);
}

void kur__pg_add_time(struct kur__pg_values *values, int64_t time_us)
{
    add_number(values, KUR__PG_TIME, time_us - EPOCH_US, 8);
}

static kur_status put_raw(kur_buffer *array, int64_t number, int size)
{
    char bytes[8];
    put_number(bytes, number, size);
    return kur_buffer_append(array, bytes, (size_t)size);
}

kur_status kur__pg_array(kur_buffer *array, Oid element, size_t count)
{
    const int64_t head[] = {1 /* dimension */, 1 /* may hold nulls */, element, (int64_t)count, 1 /* first index */};
    kur_status status = KUR_OK;
    for (size_t i = 0; i < sizeof head / sizeof *head && status == KUR_OK; i++)
        status = put_raw(array, head[i], 4);
    return status;
}

kur_status kur__pg_put_int(kur_buffer *array, int64_t number, int size)
{
    kur_status status = put_raw(array, size, 4);
    return status == KUR_OK ? put_raw(array, number, size) : status;
}

kur_status kur__pg_put_bytes(kur_buffer *array, kur_bytes bytes)
{
    kur_status status = put_raw(array, bytes.data != NULL ? (int64_t)bytes.size : -1, 4);
    return status == KUR_OK && bytes.size > 0 ? kur_buffer_append(array, bytes.data, bytes.size) : status;
}

kur_status kur__pg_shards(kur_buffer *array, const int32_t *shards, size_t count)
{
    kur_status status = kur__pg_array(array, KUR__PG_INT2, count);
    for (size_t i = 0; i < count && status == KUR_OK; i++)
        status = kur__pg_put_int(array, shards[i], 2);
    return status;
}

/* ---- Results ---- */

int64_t kur__pg_int(const PGresult *result, int row, int column)
{
    const unsigned char *bytes = (const unsigned char *)PQgetvalue(result, row, column);
    int size = PQgetlength(result, row, column);
    if (PQgetisnull(result, row, column) || size < 1 || size > 8)
        return 0;
    uint64_t number = bytes[0] >= 128 && size > 1 ? UINT64_MAX : 0; /* the sign */
    for (int i = 0; i < size; i++)
        number = number << 8 | bytes[i];
    return (int64_t)number;
}

bool kur__pg_bool(const PGresult *result, int row, int column)
{
    return kur__pg_int(result, row, column) != 0;
}

kur_bytes kur__pg_bytes(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return kur_bytes_of(NULL, 0);
    return kur_bytes_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

const char *kur__pg_text(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column);
}

int64_t kur__pg_time_us(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? 0 : kur__pg_int(result, row, column) + EPOCH_US;
}

/* ---- Errors ---- */

static bool is_one_of(const char *state, const char *const *prefixes)
{
    for (; *prefixes != NULL; prefixes++)
        if (strncmp(state, *prefixes, strlen(*prefixes)) == 0)
            return true;
    return false;
}

/* Codes of https://www.postgresql.org/docs/current/errcodes-appendix.html, whole or as classes. */
static const char *const missing[] = {"42P01", "42703", "42883", "3F000", NULL};
static const char *const passing[] = {"40",          /* a deadlock, a serialization that failed: rolled back */
                                      "55P03", "53", /* a full disk, no memory, too many connections */
                                      "57",          /* cancelled; the server is stopped or starts */
                                      "58",          /* its disk */
                                      "25006",       /* it has become a standby */
                                      NULL};

kur_status kur__pg_error(const PGconn *connection, const PGresult *result, const char *what, kur_error *error)
{
    const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *told = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *severity = result != NULL ? PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED) : NULL;
    char line[300];
    if (severity == NULL && result != NULL) /* a pooler's own error has it once only, and untranslated */
        severity = PQresultErrorField(result, PG_DIAG_SEVERITY);
    /* After these two the server hangs up, which libpq may not have seen yet. */
    bool is_last = severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
    if (told != NULL && strstr(told, "statement pooling mode") != NULL)
        return kur_error_set(
            error, KUR_ERROR_UNSUPPORTED,
            "postgres: %s: the pooler has no transactions: it needs pool_mode = transaction, or session", what);
    if (is_last || PQstatus(connection) == CONNECTION_BAD) {
        kur__pg_mask(told != NULL ? told : PQerrorMessage(connection), line, sizeof line);
        return kur_error_set(error, KUR_ERROR_UNREACHABLE, "postgres: %s: %s", what, line);
    }
    if (state == NULL) { /* libpq's own */
        kur__pg_mask(result != NULL ? PQresultErrorMessage(result) : PQerrorMessage(connection), line, sizeof line);
        if (strstr(line, "memory") != NULL)
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "postgres: %s: %s", what, line);
        return kur_error_set(error, KUR_ERROR_DATABASE, "postgres: %s: %s", what, line);
    }
    snprintf(line, sizeof line, "%.290s", told != NULL ? told : "");
    line[strcspn(line, "\r\n")] = '\0';
    if (is_one_of(state, missing))
        return kur_error_set(error, KUR_ERROR_SCHEMA, "postgres: %s: %s (%s): has `kurier outbox migrate` been run?",
                             what, line, state);
    kur_status status = kur_error_set(error, KUR_ERROR_DATABASE, "postgres: %s: %s (%s)", what, line, state);
    if (error != NULL)
        error->retriable = is_one_of(state, passing);
    return status;
}

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
}

/* ---- Running ---- */

kur_status kur__pg_expand(const char *sql, const char *schema, kur_buffer *text, kur_error *error)
{
    for (const char *at; (at = strchr(sql, '@')) != NULL; sql = at + 1)
        if (kur_buffer_append(text, sql, (size_t)(at - sql)) != KUR_OK ||
            kur_buffer_append(text, schema, strlen(schema)) != KUR_OK)
            return no_memory(error);
    return kur_buffer_append(text, sql, strlen(sql)) == KUR_OK ? KUR_OK : no_memory(error);
}

/* Waits until a result can be had without waiting; false: the connection is of no more use. */
static bool await(PGconn *connection, int64_t deadline_us)
{
    while (PQisBusy(connection)) {
        int64_t left_us = deadline_us - kur_clock_monotonic_us();
        struct pollfd fd = {.fd = PQsocket(connection), .events = POLLIN};
        if (left_us <= 0 || fd.fd < 0)
            return false;
        int found = poll(&fd, 1, (int)(left_us / 1000) + 1);
        if (found > 0 && !PQconsumeInput(connection))
            return false;
    }
    return true;
}

void kur__pg_hang_up(PGconn *connection)
{
    shutdown(PQsocket(connection), SHUT_RDWR);
    while (PQstatus(connection) == CONNECTION_OK && PQconsumeInput(connection))
        continue; /* what has come before; then libpq sees the end, which is there at once */
}

static kur_status give_up(PGconn *connection, const char *what, kur_error *error)
{
    if (PQstatus(connection) == CONNECTION_BAD)
        return kur__pg_error(connection, NULL, what, error);
    kur__pg_hang_up(connection);
    return kur_error_set(error, KUR_ERROR_UNREACHABLE, "postgres: %s: no answer within %d s", what, ANSWER_MS / 1000);
}

struct reading {
    PGconn *connection;
    const char *what;
    kur__pg_take *take; /* NULL: nothing is taken row by row */
    void *user;
    PGresult **last; /* where the last result goes; NULL: nowhere */
};

static kur_status take_rows(const struct reading *reading, const PGresult *result, kur_error *error)
{
    kur_status status = KUR_OK;
    int rows = reading->take != NULL ? PQntuples(result) : 0;
    for (int i = 0; i < rows && status == KUR_OK; i++)
        status = reading->take(result, i, reading->user, error);
    return status;
}

/* Reads all results of what was sent; the first error is the one that is told. */
static kur_status read_results(const struct reading *reading, kur_error *error)
{
    int64_t deadline_us = kur_clock_monotonic_us() + ANSWER_MS * INT64_C(1000);
    kur_status status = KUR_OK;
    PGresult *last = NULL;
    for (;;) {
        if (!await(reading->connection, deadline_us)) {
            PQclear(last);
            return status != KUR_OK ? status : give_up(reading->connection, reading->what, error);
        }
        PGresult *result = PQgetResult(reading->connection);
        if (result == NULL)
            break;
        ExecStatusType is = PQresultStatus(result);
        bool is_well = is == PGRES_COMMAND_OK || is == PGRES_TUPLES_OK || is == PGRES_SINGLE_TUPLE;
        if (status == KUR_OK)
            status = is_well ? take_rows(reading, result, error)
                             : kur__pg_error(reading->connection, result, reading->what, error);
        PQclear(last);
        last = result;
        if (is == PGRES_COPY_IN || is == PGRES_COPY_OUT || is == PGRES_COPY_BOTH)
            break; /* nothing that is sent here gives one */
    }
    if (status == KUR_OK && last == NULL)
        status = kur__pg_error(reading->connection, NULL, reading->what, error);
    if (status == KUR_OK && reading->last != NULL)
        *reading->last = last;
    else
        PQclear(last);
    return status;
}

static kur_status send_statement(const struct reading *reading, const char *sql, const struct kur__pg_values *values,
                                 kur_error *error)
{
    static const struct kur__pg_values none;
    const struct kur__pg_values *v = values != NULL ? values : &none;
    struct kur__postgres *postgres = kur__pg_owner(reading->connection);
    char storage[3072];
    kur_buffer text = kur_buffer_over(storage, sizeof storage);
    kur_status status = kur__pg_expand(sql, postgres != NULL ? postgres->schema : "", &text, error);
    if (status == KUR_OK &&
        !PQsendQueryParams(reading->connection, text.data, v->count, v->types, v->data, v->sizes, v->formats, 1))
        status = kur__pg_error(reading->connection, NULL, reading->what, error);
    kur_buffer_done(&text);
    return status;
}

kur_status kur__pg_run(PGconn *connection, const char *what, const char *sql, const struct kur__pg_values *values,
                       PGresult **result, kur_error *error)
{
    struct reading reading = {connection, what, NULL, NULL, result};
    kur_status status = send_statement(&reading, sql, values, error);
    return status == KUR_OK ? read_results(&reading, error) : status;
}

kur_status kur__pg_each(PGconn *connection, const char *what, const char *sql, const struct kur__pg_values *values,
                        kur__pg_take *take, void *user, kur_error *error)
{
    struct reading reading = {connection, what, take, user, NULL};
    kur_status status = send_statement(&reading, sql, values, error);
    if (status != KUR_OK)
        return status;
    PQsetSingleRowMode(connection);
    return read_results(&reading, error);
}

kur_status kur__pg_script(PGconn *connection, const char *what, const char *sql, kur_error *error)
{
    struct reading reading = {connection, what, NULL, NULL, NULL};
    if (!PQsendQuery(connection, sql))
        return kur__pg_error(connection, NULL, what, error);
    return read_results(&reading, error);
}
