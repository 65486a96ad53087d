/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "sqlite/sqlite.h"

/* A table or column that is not there has no number of its own. */
static bool misses_table(sqlite3 *db)
{
    const char *said = sqlite3_errmsg(db);
    return strstr(said, "no such table") != NULL || strstr(said, "no such column") != NULL ||
           strstr(said, "has no column named") != NULL;
}

kur_status kur__sqlite_error(sqlite3 *db, const char *what, kur_error *error)
{
    int code = sqlite3_errcode(db) & 0xff, extended = sqlite3_extended_errcode(db);
    kur_status status = KUR_ERROR_DATABASE;
    bool retriable = false;
    const char *hint = "";
    switch (code) {
    case SQLITE_NOMEM:
        status = KUR_ERROR_NO_MEMORY;
        break;
    case SQLITE_CANTOPEN:
        status = KUR_ERROR_UNREACHABLE;
        break;
    case SQLITE_TOOBIG:
        status = KUR_ERROR_TOO_LARGE;
        break;
    case SQLITE_MISUSE:
        status = KUR_ERROR_INVALID_STATE;
        break;
    case SQLITE_READONLY:
        if (extended == SQLITE_READONLY_DBMOVED) /* another connection opens the file that is there now */
            status = KUR_ERROR_UNREACHABLE;
        break;
    case SQLITE_ERROR:
        if (misses_table(db))
            status = KUR_ERROR_SCHEMA;
        break;
    case SQLITE_BUSY:
        if (extended == SQLITE_BUSY_SNAPSHOT)
            hint = ": another connection has written since this transaction began by reading; BEGIN IMMEDIATE";
        retriable = true;
        break;
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT:
    case SQLITE_FULL:
    case SQLITE_IOERR:
        retriable = true;
        break;
    default:
        break;
    }
    const char *file = sqlite3_db_filename(db, "main");
    kur_error_set(error, status, "%s: %s (SQLite's %d)%s%s%s", what, sqlite3_errmsg(db), extended,
                  file != NULL ? ", file " : "", file != NULL ? file : "", hint);
    if (error != NULL && retriable)
        error->retriable = true;
    return status;
}

kur_status kur__sqlite_statement(sqlite3 *db, const char *sql, sqlite3_stmt **statement, kur_error *error)
{
    for (sqlite3_stmt *kept = sqlite3_next_stmt(db, NULL); kept != NULL; kept = sqlite3_next_stmt(db, kept))
        if (strcmp(sqlite3_sql(kept), sql) == 0) {
            *statement = kept;
            return KUR_OK;
        }
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK)
        return kur__sqlite_error(db, sql, error);
    return KUR_OK;
}

static int bind(sqlite3_stmt *statement, int number, const struct kur__value *value)
{
    const void *data = value->bytes.data;
    if (value->kind == 'i')
        return sqlite3_bind_int64(statement, number, value->number);
    if (data == NULL)
        return sqlite3_bind_null(statement, number);
    if (value->kind == 't')
        return sqlite3_bind_text64(statement, number, data, value->bytes.size, SQLITE_STATIC, SQLITE_UTF8);
    return sqlite3_bind_blob64(statement, number, data, value->bytes.size, SQLITE_STATIC);
}

kur_status kur__sqlite_bind(sqlite3_stmt *statement, const struct kur__value *values, kur_error *error)
{
    for (int i = 0; values[i].kind != 0; i++)
        if (bind(statement, i + 1, &values[i]) != SQLITE_OK) {
            kur_status status = kur__sqlite_error(sqlite3_db_handle(statement), "a value", error);
            kur__sqlite_reset(statement);
            return status;
        }
    return KUR_OK;
}

void kur__sqlite_reset(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

kur_status kur__sqlite_step(sqlite3_stmt *statement, bool *is_row, kur_error *error)
{
    int code = sqlite3_step(statement);
    *is_row = code == SQLITE_ROW;
    if (code == SQLITE_ROW)
        return KUR_OK;
    kur_status status =
        code == SQLITE_DONE ? KUR_OK : kur__sqlite_error(sqlite3_db_handle(statement), sqlite3_sql(statement), error);
    kur__sqlite_reset(statement);
    return status;
}

kur_status kur__sqlite_run(sqlite3 *db, const char *sql, const struct kur__value *values, kur_error *error)
{
    sqlite3_stmt *statement = NULL;
    kur_status status = kur__sqlite_statement(db, sql, &statement, error);
    if (status == KUR_OK)
        status = kur__sqlite_bind(statement, values, error);
    for (bool is_row = status == KUR_OK; is_row;)
        status = kur__sqlite_step(statement, &is_row, error);
    return status;
}

kur_status kur__sqlite_number(sqlite3 *db, const char *sql, const struct kur__value *values, int64_t *number,
                              bool *is_there, kur_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool is_row = false;
    kur_status status = kur__sqlite_statement(db, sql, &statement, error);
    if (status == KUR_OK)
        status = kur__sqlite_bind(statement, values, error);
    if (status == KUR_OK)
        status = kur__sqlite_step(statement, &is_row, error);
    if (status == KUR_OK && is_there != NULL)
        *is_there = is_row;
    if (is_row) {
        *number = sqlite3_column_int64(statement, 0);
        kur__sqlite_reset(statement);
    }
    return status;
}

kur_bytes kur__sqlite_bytes(sqlite3_stmt *statement, int column)
{
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return (kur_bytes){0};
    /* In this order: asking for the data first may change their form, and so their size. */
    const void *data = sqlite3_column_blob(statement, column);
    size_t size = (size_t)sqlite3_column_bytes(statement, column);
    return data != NULL && size > 0 ? kur_bytes_of(data, size) : kur_bytes_of("", 0);
}
