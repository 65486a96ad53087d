/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What is done on a connection of the caller's, in the middle of a transaction of his. All that is asked there is asked
 * by statements that are gone before the return.
 */
#include "sqlite/sqlite.h"

#include <kurier/sys/clock.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- Which file ---- */

/*
 * Whether two paths, without links in them, are one file with one log beside it: the same name in the same directory.
 * The same file under another name (a hard link) has another log, and what is committed to it there is seen by nobody.
 */
static bool is_same_file(const char *a, const char *b)
{
    if (strcmp(a, b) == 0)
        return true;
    const char *name_a = strrchr(a, '/'), *name_b = strrchr(b, '/');
    if (name_a == NULL || name_b == NULL || strcmp(name_a, name_b) != 0)
        return false;
    char directory_a[PATH_MAX], directory_b[PATH_MAX];
    snprintf(directory_a, sizeof directory_a, "%.*s/.", (int)(name_a - a), a);
    snprintf(directory_b, sizeof directory_b, "%.*s/.", (int)(name_b - b), b);
    struct stat at_a, at_b;
    return stat(directory_a, &at_a) == 0 && stat(directory_b, &at_b) == 0 && at_a.st_dev == at_b.st_dev &&
           at_a.st_ino == at_b.st_ino;
}

static bool is_outbox(const char *file, const char *path)
{
    char resolved[PATH_MAX];
    if (file == NULL || file[0] == '\0')
        return false;
    return strcmp(file, path) == 0 || (realpath(path, resolved) != NULL && is_same_file(file, resolved));
}

/* A connection's files. */
struct files {
    char outbox[64];  /* the name under which the outbox's is attached; empty: it is not */
    char written[64]; /* that of an attached one that the transaction locks for writing */
};

static void look_at_files(sqlite3 *db, const char *path, struct files *files)
{
    sqlite3_stmt *statement = NULL;
    *files = (struct files){{0}, {0}};
    if (sqlite3_prepare_v2(db, "PRAGMA database_list", -1, &statement, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 1);
        const char *file = (const char *)sqlite3_column_text(statement, 2);
        if (name == NULL || strcmp(name, "main") == 0 || file == NULL || file[0] == '\0')
            continue; /* what is temporary or in memory has no file */
        if (is_outbox(file, path))
            snprintf(files->outbox, sizeof files->outbox, "%s", name);
        if (sqlite3_txn_state(db, name) == SQLITE_TXN_WRITE)
            snprintf(files->written, sizeof files->written, "%s", name);
    }
    sqlite3_finalize(statement);
}

static kur_status check_file(sqlite3 *db, const char *path, kur_error *error)
{
    const char *file = sqlite3_db_filename(db, "main");
    struct files files;
    look_at_files(db, path, &files);
    if (!is_outbox(file, path) && files.outbox[0] != '\0')
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "the outbox's file %s is attached as \"%s\": it must be the connection's main file, the "
                             "one with the data, for SQLite does not commit to several files as one in WAL mode",
                             path, files.outbox);
    if (!is_outbox(file, path))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "the connection's file is %s, and the outbox's is %s",
                             file != NULL && file[0] != '\0' ? file : "none", path);
    int has_moved = 0;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved) == SQLITE_OK && has_moved)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "the file %s is not the one that the connection has opened: it was moved or deleted",
                             path);
    if (files.written[0] != '\0')
        return kur_error_set(
            error, KUR_ERROR_INVALID_STATE,
            "the transaction writes to the attached file \"%s\" too (BEGIN IMMEDIATE does to all), and "
            "SQLite does not commit to several files as one in WAL mode: attach it with mode=ro, or "
            "write to it by itself",
            files.written);
    return KUR_OK;
}

/* ---- Adding ---- */

/* The first column of the first row, if there is one, goes to `number`. */
static kur_status run_there(sqlite3 *db, const char *sql, const struct kur__value *values, int64_t *number,
                            kur_error *error)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        return kur__sqlite_error(db, "adding to the outbox", error);
    kur_status status = kur__sqlite_bind(statement, values, error);
    int code = status == KUR_OK ? sqlite3_step(statement) : SQLITE_DONE;
    if (code == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    else if (code != SQLITE_DONE)
        status = kur__sqlite_error(db, "adding to the outbox", error);
    sqlite3_finalize(statement);
    return status;
}

/* The lock for writing, unless the transaction has it: whoever reads before he has it cannot wait for it any more. */
static kur_status lock(sqlite3 *db, kur_error *error)
{
    if (sqlite3_txn_state(db, "main") == SQLITE_TXN_WRITE)
        return KUR_OK;
    return run_there(db, "DELETE FROM main.kurier_outbox WHERE 0", KUR__NO_VALUES, NULL, error);
}

/* The highest id of a shard that is there or parked, or 0. */
static kur_status last_id(sqlite3 *db, int32_t shard, int64_t *last, kur_error *error)
{
    int64_t any = 0, parked = 0;
    kur_status status = run_there(db, "SELECT id FROM main.kurier_outbox WHERE shard = ?1 ORDER BY id DESC",
                                  KUR__VALUES(kur__int(shard)), last, error);
    if (status == KUR_OK)
        status = run_there(db, "SELECT 1 FROM main.kurier_outbox_parked", KUR__NO_VALUES, &any, error);
    if (status == KUR_OK && any != 0)
        status = run_there(db, "SELECT id FROM main.kurier_outbox_parked WHERE shard = ?1 ORDER BY id DESC",
                           KUR__VALUES(kur__int(shard)), &parked, error);
    if (*last < parked)
        *last = parked;
    return status;
}

/*
 * What an event costs its writer is mostly that SQLite compiles statements, for none may stay on the connection:
 * several simple ones take two thirds of the time of one that does all, and one that names no columns a tenth less.
 */
static kur_status insert(sqlite3 *db, const kur_outbox_row *row, kur_error *error)
{
    int64_t last = 0;
    kur_status status = lock(db, error);
    if (status == KUR_OK)
        status = last_id(db, row->shard, &last, error);
    if (status != KUR_OK)
        return status;
    return run_there(db, "INSERT INTO main.kurier_outbox VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                     KUR__VALUES(kur__int(row->shard), kur__int((last / 256 + 1) * 256 + row->shard),
                                 kur__int(row->mark), kur__text(row->topic), kur__int(row->partition),
                                 kur__blob(row->key), kur__blob(row->headers), kur__blob(row->value),
                                 kur__int(kur_clock_now_us())),
                     NULL, error);
}

kur_status kur__sqlite_add(void *state, void *transaction, const kur_outbox_row *row, kur_error *error)
{
    const struct kur__sqlite *database = state;
    sqlite3 *db = transaction;
    if (sqlite3_get_autocommit(db))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "no transaction is open on this connection: BEGIN IMMEDIATE first (after some errors "
                             "SQLite has rolled it back by itself)");
    kur_status status = check_file(db, database->path, error);
    if (status != KUR_OK)
        return status;
    return insert(db, row, error); /* a table without rowid: sqlite3_last_insert_rowid stays the caller's own row's */
}

/* ---- Warnings ---- */

static int pragma(sqlite3 *db, const char *sql, char *text, size_t size)
{
    sqlite3_stmt *statement = NULL;
    int number = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        const unsigned char *said = sqlite3_column_text(statement, 0);
        snprintf(text, size, "%s", said != NULL ? (const char *)said : "");
        number = sqlite3_column_int(statement, 0);
    }
    sqlite3_finalize(statement);
    return number;
}

/* Of each line of warning, whether this is the first time. */
static bool is_first(struct kur__sqlite *database, unsigned line)
{
    return (atomic_fetch_or(&database->warned, line) & line) == 0;
}

const char *kur__sqlite_warn(void *state, void *transaction)
{
    enum {
        SYNCHRONOUS = 1,
        JOURNAL = 2
    };
    struct kur__sqlite *database = state;
    char text[16] = "";
    if (atomic_load(&database->warned) == (SYNCHRONOUS | JOURNAL))
        return NULL;
    int synchronous = pragma(transaction, "PRAGMA main.synchronous", text, sizeof text);
    if (synchronous >= 0 && synchronous < 2 && is_first(database, SYNCHRONOUS))
        return "a connection that adds to the outbox has synchronous below FULL: a power failure can take back a "
               "commit whose event has been sent; PRAGMA synchronous = FULL keeps it";
    if (pragma(transaction, "PRAGMA main.journal_mode", text, sizeof text) >= 0 && strcmp(text, "wal") != 0 &&
        is_first(database, JOURNAL))
        return "a connection that adds to the outbox is not in WAL mode: it waits for the relay's reads, and with "
               "journal_mode MEMORY or OFF a crash destroys the file; PRAGMA journal_mode = WAL";
    return NULL;
}
