/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sqlite.h>: SQLite, 3.35 or newer. Library kurier-sqlite (pkg-config kurier-sqlite). A transaction is the
 * caller's `sqlite3 *`, in the middle of one that writes: BEGIN IMMEDIATE is best, for one that begins by reading can
 * fail when it writes first. Nothing is left on the caller's connection but the row: no hook, no statement, no setting,
 * and sqlite3_last_insert_rowid is what it was before.
 *
 * The tables are in the same file as the service's own: a transaction over attached files is not atomic in WAL mode
 * (https://sqlite.org/lang_attach.html), so that an outbox in another file is refused, and so is one whose transaction
 * writes to an attached file too. BEGIN IMMEDIATE does that to all that are attached and can be written: attach what is
 * only read with mode=ro. The file is best in WAL mode, with synchronous=FULL: with NORMAL a power failure can take
 * back a commit whose event is out already; the library's own connections set both, and a caller's connection that has
 * less gets a warning in the client's log.
 *
 * A handler of an inbox works on a connection of the library's: statements that it prepares are finalised before it
 * returns, and the outbox that it adds to is in the same file as its inbox.
 */
#ifndef KURIER_SQLITE_H
#define KURIER_SQLITE_H

#include <kurier/database.h>

KUR_BEGIN_DECLS

/** What kur_sqlite_new is told. */
typedef struct kur_sqlite_options {
    size_t size;
    const char *path;    /**< of the file; it is made when it is not there */
    int busy_timeout_ms; /**< how long another writer is waited for; default 5,000, at most 10,000 */
    const char *setup;   /**< statements that each of the library's own connections begins with, those that an inbox's
                              handlers get: "PRAGMA foreign_keys = ON"; default: none */
} kur_sqlite_options;

#define KUR_SQLITE_OPTIONS(...) KUR__OPTIONS(kur_sqlite_options, __VA_ARGS__)

/**
 * Does not open the file. NULL with KUR_ERROR_INVALID_ARGUMENT (no path, or one that is not a file's: ":memory:",
 * "file:…"), KUR_ERROR_UNSUPPORTED (SQLite is older, or was built without threads), KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_database *kur_sqlite_new(const kur_sqlite_options *options, kur_error *error);

KUR_END_DECLS

#endif
