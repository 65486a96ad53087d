/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * SQLite's driver: connections and transactions.
 *
 * Design notes
 *
 * One writer at a time: so ids are given out in the order of commits, the floor of a shard is the smallest id that is
 * there, and the lock of the file takes the place of every lock of a row. All that writes begins with BEGIN IMMEDIATE:
 * a transaction that reads first and then writes fails when another has written in between.
 *
 * Durability: a commit must not be taken back by a power failure once its event is out, or its offset committed. So the
 * library's connections have WAL and synchronous=FULL. Settings of the caller's connections are looked at, and warned
 * of, never changed; no hook is set there, for each has room for one.
 *
 * Ids go up within a shard, above all that are there or parked, and have the shard in their lowest eight bits, so that
 * no two rows have the same. An outbox that has been empty gives them out again: a relay that is late has the row's
 * mark too, and does not delete another event than the one it has sent.
 */
#include "sqlite/sqlite.h"

#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <stdlib.h>
#include <unistd.h>

/* A row of the outbox can be deleted by who has read it: no lock is waited for longer than driver.h allows. */
#define BUSY_TIMEOUT_MS 5000
#define BUSY_TIMEOUT_MAX_MS 10000

/* ---- Waiting for another writer ---- */

/*
 * Short waits: SQLite's own grow to 100 ms, so that many workers of an inbox would sleep while nobody writes. How long
 * it has been is told by the count alone, for a connection has no place of its own to note it.
 */
static int wait_for_writer(void *user, int count)
{
    const struct kur__sqlite *database = user;
    int64_t waited_us = count <= 20 ? count * 500L : 10000 + (count - 20) * 2000L;
    if (waited_us >= database->busy_timeout_ms * 1000L)
        return 0;
    usleep(count < 20 ? 500 : 2000);
    return 1;
}

/* ---- Connections ---- */

static void disconnect(void *connection)
{
    sqlite3_stmt *statement;
    while ((statement = sqlite3_next_stmt(connection, NULL)) != NULL)
        sqlite3_finalize(statement);
    sqlite3_close_v2(connection);
}

/*
 * A file in another mode is changed, once for all. Two who do that at the same time would wait for each other, so that
 * SQLite refuses one of them at once, without asking the handler.
 */
static kur_status use_wal(sqlite3 *db, const struct kur__sqlite *database, kur_error *error)
{
    kur_status status;
    int count = 0;
    do
        status = kur__sqlite_run(db, "PRAGMA main.journal_mode = WAL", KUR__NO_VALUES, error);
    while (status != KUR_OK && (sqlite3_errcode(db) & 0xff) == SQLITE_BUSY &&
           wait_for_writer((void *)database, count++));
    return status;
}

static kur_status prepare(sqlite3 *db, const struct kur__sqlite *database, kur_error *error)
{
    sqlite3_busy_handler(db, wait_for_writer, (void *)database);
    /* Debian's SQLite overwrites whatever is deleted: FAST does where that writes no page more. `setup` may ask for it.
     */
    kur_status status = kur__sqlite_run(db, "PRAGMA main.secure_delete = FAST", KUR__NO_VALUES, error);
    if (status != KUR_OK)
        return status;
    if (database->setup != NULL && sqlite3_exec(db, database->setup, NULL, NULL, NULL) != SQLITE_OK)
        return kur__sqlite_error(db, "kur_sqlite_options.setup", error);
    status = use_wal(db, database, error);
    if (status == KUR_OK)
        status = kur__sqlite_run(db, "PRAGMA main.synchronous = FULL", KUR__NO_VALUES, error);
    sqlite3_stmt *rollback; /* there when it is needed, whatever else is not */
    if (status == KUR_OK)
        status = kur__sqlite_statement(db, "ROLLBACK", &rollback, error);
    return status;
}

static kur_status connect_to(void *state, void **connection, kur_error *error)
{
    const struct kur__sqlite *database = state;
    sqlite3 *db = NULL;
    int code = sqlite3_open_v2(
        database->path, &db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (db == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    kur_status status = KUR_OK;
    if (code != SQLITE_OK)
        status = kur_error_set(error, code == SQLITE_NOMEM ? KUR_ERROR_NO_MEMORY : KUR_ERROR_UNREACHABLE, "%s: %s%s%s",
                               database->path, sqlite3_errmsg(db), sqlite3_system_errno(db) != 0 ? ": " : "",
                               sqlite3_system_errno(db) != 0 ? strerror(sqlite3_system_errno(db)) : "");
    else
        status = prepare(db, database, error);
    if (status == KUR_OK)
        *connection = db;
    else
        disconnect(db);
    return status;
}

/* ---- Transactions ---- */

static kur_status begin(sqlite3 *db, const char *sql, kur_error *error)
{
    if (!sqlite3_get_autocommit(db))
        return kur_error_set(error, KUR_ERROR_UNREACHABLE, "the last transaction could not be rolled back, file %s",
                             sqlite3_db_filename(db, "main"));
    return kur__sqlite_run(db, sql, KUR__NO_VALUES, error);
}

kur_status kur__sqlite_begin(void *connection, kur_error *error)
{
    return begin(connection, "BEGIN IMMEDIATE", error);
}

kur_status kur__sqlite_begin_to_read(sqlite3 *db, kur_error *error)
{
    return begin(db, "BEGIN", error);
}

void kur__sqlite_rollback(void *connection)
{
    if (!sqlite3_get_autocommit(connection))
        kur__sqlite_run(connection, "ROLLBACK", KUR__NO_VALUES, NULL);
}

/*
 * When the file could not be synchronised, the commit's record may be there to be found after a crash, though this
 * connection goes on without it. All other errors leave a transaction that was not committed.
 */
static kur_status commit(void *connection, kur_error *error)
{
    if (sqlite3_get_autocommit(connection))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "the transaction is over: somebody has ended it, or SQLite has rolled it back after an "
                             "error that a statement got");
    kur_status status = kur__sqlite_run(connection, "COMMIT", KUR__NO_VALUES, error);
    if (status == KUR_OK)
        return status;
    if ((sqlite3_errcode(connection) & 0xff) == SQLITE_IOERR)
        status = kur_error_set(error, KUR_ERROR_UNKNOWN_OUTCOME, "COMMIT: %s", sqlite3_errmsg(connection));
    kur__sqlite_rollback(connection);
    return status;
}

kur_status kur__sqlite_end(sqlite3 *db, kur_status status, kur_error *error)
{
    if (status != KUR_OK) {
        kur__sqlite_rollback(db);
        return status;
    }
    status = commit(db, error);
    if (status != KUR_ERROR_UNKNOWN_OUTCOME)
        return status;
    if (error != NULL) {
        error->code = KUR_ERROR_DATABASE;
        error->retriable = true;
    }
    return KUR_ERROR_DATABASE;
}

static kur_status changes(void *connection, int64_t *number, kur_error *error)
{
    return kur__sqlite_number(connection, "PRAGMA main.data_version", KUR__NO_VALUES, number, NULL, error);
}

/* ---- The database ---- */

static void free_database(void *state)
{
    struct kur__sqlite *database = state;
    kur_free(database->path);
    kur_free(database->setup);
    kur_free(database);
}

static const kur_driver driver = {
    .size = sizeof(kur_driver),
    .name = "sqlite",
    .one_relay = true,
    .schema = KUR__SQLITE_SCHEMA,
    .connect = connect_to,
    .disconnect = disconnect,
    .free = free_database,
    .begin = kur__sqlite_begin,
    .commit = commit,
    .rollback = kur__sqlite_rollback,
    .changes = changes,
    .schema_text = kur__sqlite_schema_text,
    .migrate = kur__sqlite_migrate,
    .schema_read = kur__sqlite_schema_read,
    .outbox_add = kur__sqlite_add,
    .outbox_warn = kur__sqlite_warn,
    .outbox_claim = kur__sqlite_claim,
    .outbox_read = kur__sqlite_read,
    .outbox_delete = kur__sqlite_delete,
    .outbox_park = kur__sqlite_park,
    .outbox_raise = kur__sqlite_raise,
    .outbox_figures = kur__sqlite_figures,
    .outbox_shards = kur__sqlite_shards,
    .outbox_relays = kur__sqlite_relays,
    .outbox_parked = kur__sqlite_parked,
    .outbox_unpark = kur__sqlite_unpark,
    .outbox_drop = kur__sqlite_drop,
    .inbox_join = kur__sqlite_join,
    .inbox_enter = kur__sqlite_enter,
    .inbox_leave_open = kur__sqlite_leave_open,
    .inbox_move = kur__sqlite_move,
    .inbox_reset = kur__sqlite_inbox_reset,
    .inbox_note = kur__sqlite_note,
    .inbox_forget = kur__sqlite_forget,
    .inbox_positions = kur__sqlite_positions,
    .inbox_remove = kur__sqlite_remove,
};

static kur_status check(const kur_sqlite_options *options, kur_error *error)
{
    if (options->path == NULL || options->path[0] == '\0')
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "kur_sqlite_options.path is not set");
    if (options->path[0] == ':' || strncmp(options->path, "file:", 5) == 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "kur_sqlite_options.path is not a file's: \"%s\"",
                             options->path);
    if (options->busy_timeout_ms < 0 || options->busy_timeout_ms > BUSY_TIMEOUT_MAX_MS)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "kur_sqlite_options.busy_timeout_ms is %d: 1 to %d, or 0 for %d", options->busy_timeout_ms,
                             BUSY_TIMEOUT_MAX_MS, BUSY_TIMEOUT_MS);
    if (sqlite3_libversion_number() < 3035000)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED, "SQLite is %s: 3.35 is needed", sqlite3_libversion());
    if (!sqlite3_threadsafe())
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED, "this SQLite was built without threads");
    return KUR_OK;
}

/* With the directory of today, which the program may leave. */
static kur_status absolute(const char *path, char **to, kur_error *error)
{
    kur_buffer text = {0};
    kur_status status = KUR_OK;
    if (path[0] != '/') {
        char *here = getcwd(NULL, 0);
        if (here == NULL)
            return kur_error_set(error, KUR_ERROR_SYSTEM, "the current directory is not known");
        status = kur_buffer_print(&text, "%s/", here);
        free(here);
    }
    if (status == KUR_OK)
        status = kur_buffer_print(&text, "%s", path);
    if (status == KUR_OK && (*to = kur_strdup(text.data)) == NULL)
        status = KUR_ERROR_NO_MEMORY;
    kur_buffer_done(&text);
    return status == KUR_OK ? KUR_OK : kur_error_set(error, status, "out of memory");
}

kur_database *kur_sqlite_new(const kur_sqlite_options *options, kur_error *error)
{
    kur_sqlite_options known;
    if (kur_options_take(&known, sizeof known, options, "kur_sqlite_options", error) != KUR_OK ||
        check(&known, error) != KUR_OK)
        return NULL;
    struct kur__sqlite *made = kur_calloc(1, sizeof *made);
    if (made == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }
    made->busy_timeout_ms = known.busy_timeout_ms != 0 ? known.busy_timeout_ms : BUSY_TIMEOUT_MS;
    kur_database *database = NULL;
    kur_status status = absolute(known.path, &made->path, error);
    if (status == KUR_OK && known.setup != NULL && (made->setup = kur_strdup(known.setup)) == NULL)
        status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    if (status == KUR_OK)
        database = kur_database_new(&driver, made, error);
    if (database == NULL)
        free_database(made);
    return database;
}
