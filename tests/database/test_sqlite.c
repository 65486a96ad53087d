/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What is SQLite's own: files, settings, its one lock, full disks, and a caller's connection that is left as it was.
 * What every driver does is tested by test_driver.c.
 */
#include <kurier/driver.h>
#include <kurier/sqlite.h>
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check_main.h"
#include "../failing.h"
#include "driving.h"

/* ---- SQLite's memory, of which the nth allocation fails ---- */

enum {
    HEAD = 16 /* keeps the alignment; the size is in it */
};

static _Atomic long memory_countdown; /* 0: none fails */
static _Atomic bool memory_has_failed;

static void *take_memory(int size)
{
    if (memory_countdown > 0 && --memory_countdown == 0) {
        memory_has_failed = true;
        return NULL;
    }
    char *block = malloc((size_t)size + HEAD);
    if (block == NULL)
        return NULL;
    *(int *)(void *)block = size;
    return block + HEAD;
}

static int size_of_memory(void *memory)
{
    return memory == NULL ? 0 : *(int *)(void *)((char *)memory - HEAD);
}

static void give_memory(void *memory)
{
    if (memory != NULL)
        free((char *)memory - HEAD);
}

static void *resize_memory(void *memory, int size)
{
    void *other = take_memory(size);
    if (other == NULL)
        return NULL;
    int before = size_of_memory(memory);
    memcpy(other, memory, (size_t)(before < size ? before : size));
    give_memory(memory);
    return other;
}

static int round_up(int size)
{
    return (size + 7) & ~7;
}

static int memory_init(void *user)
{
    (void)user;
    return SQLITE_OK;
}

static void memory_shutdown(void *user)
{
    (void)user;
}

/* ---- SQLite's files, of which one cannot be synchronised ---- */

static _Atomic bool sync_fails;
static sqlite3_vfs *real_vfs;
static sqlite3_io_methods methods;

static int (*real_sync)(sqlite3_file *file, int flags);

static int failing_sync(sqlite3_file *file, int flags)
{
    return sync_fails ? SQLITE_IOERR_FSYNC : real_sync(file, flags);
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    int code = real_vfs->xOpen(real_vfs, name, file, flags, out);
    if (code == SQLITE_OK && (flags & SQLITE_OPEN_WAL) && file->pMethods != NULL) {
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards both */
        pthread_mutex_lock(&lock);
        if (real_sync == NULL) { /* those of all logs are the same */
            methods = *file->pMethods;
            real_sync = methods.xSync;
            methods.xSync = failing_sync;
        }
        pthread_mutex_unlock(&lock);
        file->pMethods = &methods;
    }
    return code;
}

/* ---- A database in a directory of its own ---- */

static char directory[64], path[128];
static kur_database *database;
static const kur_driver *driver;
static void *state;
static kur_error error;

static void use(kur_database *used)
{
    driver = kur_database_driver(used);
    state = kur_database_state(used);
}

static kur_database *open_database(const kur_sqlite_options *options)
{
    kur_database *made = kur_sqlite_new(options, &error);
    ck_assert_msg(made != NULL, "%s", error.message);
    use(made);
    return made;
}

static void make_directory(void)
{
    /* In memory where that is a file system: what is tested is not the disk. */
    snprintf(directory, sizeof directory, "%s/kurier-sqlite.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/service.db", directory);
}

static void setup(void)
{
    make_directory();
    error = (kur_error){0};
    database = open_database(&KUR_SQLITE_OPTIONS(.path = path));
    ck_ok(kur_database_migrate(database, 4, &error), error);
}

static void remove_directory(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    ck_assert_int_eq(system(command), 0);
}

static void teardown(void)
{
    kur_database_free(database);
    remove_directory();
}

static void *connection_of_library(void)
{
    void *made = NULL;
    ck_ok(driver->connect(state, &made, &error), error);
    return made;
}

/* A connection of the service's. */
static sqlite3 *open_file_at(const char *file)
{
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(file, &db), SQLITE_OK);
    return db;
}

static void run(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    int code = sqlite3_exec(db, sql, NULL, NULL, &why);
    ck_assert_msg(code == SQLITE_OK, "%s: %s", sql, why != NULL ? why : "?");
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t is = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return is;
}

/* Likewise, of the file, as a connection sees it that is made for it. */
static int64_t count(const char *table)
{
    char sql[128];
    sqlite3 *db = open_file_at(path);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    int64_t is = number(db, sql);
    sqlite3_close(db);
    return is;
}

static kur_outbox_row row_of(int32_t shard, const char *key, const char *value)
{
    return (kur_outbox_row){.size = sizeof(kur_outbox_row),
                            .shard = shard,
                            .mark = 7,
                            .topic = "orders",
                            .key = kur_bytes_text(key),
                            .value = kur_bytes_text(value)};
}

static kur_status add(sqlite3 *db, const char *key, const char *value)
{
    kur_outbox_row row = row_of(0, key, value);
    return driver->outbox_add(state, db, &row, &error);
}

/* One row, by a service of its own. */
static void add_one(int32_t shard, const char *key, const char *value)
{
    sqlite3 *db = open_file_at(path);
    kur_outbox_row row = row_of(shard, key, value);
    run(db, "BEGIN IMMEDIATE");
    ck_ok(driver->outbox_add(state, db, &row, &error), error);
    run(db, "COMMIT");
    sqlite3_close(db);
}

/* Mounts for this process alone: they end with it, whatever happens to the test. */
static int mount_here(const char *source, const char *target, const char *type, unsigned long flags, const void *data)
{
    int code = unshare(CLONE_NEWNS);
    if (code == 0)
        code = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    return code == 0 ? mount(source, target, type, flags, data) : code;
}

/* What was read. */
struct rows {
    kur_outbox_id ids[4096];
    size_t count;
    char values[8192];
};

static struct rows rows;

static kur_status take(const kur_outbox_row *row, void *user, kur_error *unused)
{
    (void)user;
    (void)unused;
    rows.ids[rows.count++] = (kur_outbox_id){row->id, row->shard, row->mark};
    size_t used = strlen(rows.values);
    if (used + row->value.size + 2 < sizeof rows.values)
        snprintf(rows.values + used, sizeof rows.values - used, "%.*s ", (int)row->value.size,
                 (const char *)row->value.data);
    return KUR_OK;
}

static void read_rows(void *connection, int32_t most, size_t bytes)
{
    static const int32_t shards[] = {0, 1, 2, 3};
    rows.count = 0;
    rows.values[0] = '\0';
    ck_ok(driver->outbox_read(connection, shards, 4, most, bytes, take, NULL, &error), error);
}

/* ---- Options and settings ---- */

START_TEST(test_sqlite__options)
{
    kur_error why = {0};
    ck_assert_ptr_null(kur_sqlite_new(NULL, &why));
    ck_says(why, "path is not set");
    ck_assert_ptr_null(kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = ""), &why));
    ck_assert_ptr_null(kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = ":memory:"), &why));
    ck_assert_int_eq(why.code, KUR_ERROR_INVALID_ARGUMENT);
    ck_says(why, "not a file's: \":memory:\"");
    ck_assert_ptr_null(kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = "file:service.db"), &why));
    ck_assert_ptr_null(kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = "a", .busy_timeout_ms = 10001), &why));
    ck_says(why, "busy_timeout_ms is 10001");
    ck_assert_ptr_null(kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = "a", .busy_timeout_ms = KUR_NONE), &why));
}
END_TEST

START_TEST(test_sqlite__path_is_that_of_its_beginning)
{
    char here[256];
    void *connection = NULL;
    make_directory();
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    ck_assert_int_eq(chdir(directory), 0);
    kur_database *relative = open_database(&KUR_SQLITE_OPTIONS(.path = "service.db"));
    ck_assert_int_eq(chdir("/"), 0);
    ck_ok(driver->connect(state, &connection, &error), error);
    ck_assert_str_eq(sqlite3_db_filename(connection, "main"), path);
    driver->disconnect(connection);
    kur_database_free(relative);
    ck_assert_int_eq(chdir(here), 0);
    remove_directory();
}
END_TEST

START_TEST(test_sqlite__connections_lose_no_commit)
{
    make_directory();
    sqlite3 *db = open_file_at(path);
    run(db, "CREATE TABLE orders(id)");
    sqlite3_stmt *statement;
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    ck_assert_str_eq((const char *)sqlite3_column_text(statement, 0), "delete");
    sqlite3_finalize(statement);

    database =
        open_database(&KUR_SQLITE_OPTIONS(.path = path, .setup = "PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF"));
    void *connection = connection_of_library();
    ck_assert_int_eq(number(connection, "PRAGMA foreign_keys"), 1);
    ck_assert_int_eq(number(connection, "PRAGMA synchronous"), 2);
    ck_assert_int_eq(number(connection, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    ck_assert_int_eq(number(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    driver->disconnect(connection);
    kur_database_free(database);

    database = open_database(&KUR_SQLITE_OPTIONS(.path = path, .setup = "PRAGMA foreign_keys = ON; OOPS"));
    connection = NULL;
    ck_status(driver->connect(state, &connection, &error), KUR_ERROR_DATABASE, error);
    ck_says(error, "kur_sqlite_options.setup");
    ck_assert_ptr_null(connection);
    kur_database_free(database);

    char nowhere[160];
    snprintf(nowhere, sizeof nowhere, "%s/nowhere/service.db", directory);
    database = open_database(&KUR_SQLITE_OPTIONS(.path = nowhere));
    ck_status(driver->connect(state, &connection, &error), KUR_ERROR_UNREACHABLE, error);
    ck_says(error, nowhere);
    ck_says(error, "No such file or directory");
    kur_database_free(database);
    sqlite3_close(db);
    remove_directory();
}
END_TEST

/* ---- Tables ---- */

START_TEST(test_sqlite__tables_are_made_by_hand)
{
    kur_buffer text = {0};
    int32_t schema = -1, shards = -1;
    kur_uuid id, again;
    make_directory();
    database = open_database(&KUR_SQLITE_OPTIONS(.path = path));
    void *connection = connection_of_library();
    ck_ok(driver->schema_read(connection, &schema, &shards, &id, &error), error);
    ck_assert_int_eq(schema, 0);
    ck_status(kur_database_check(database, &error), KUR_ERROR_SCHEMA, error);

    sqlite3 *db = open_file_at(path);
    ck_ok(driver->schema_text(state, 0, 7, &text, &error), error);
    run(db, text.data);
    ck_ok(driver->schema_read(connection, &schema, &shards, &id, &error), error);
    ck_assert_int_eq(schema, driver->schema);
    ck_assert_int_eq(shards, 7);
    ck_assert_int_eq(id.bytes[6] >> 4, 4); /* a UUID of version 4 */
    run(db, text.data);
    ck_ok(kur_database_migrate(database, 9, &error), error);
    ck_ok(driver->schema_read(connection, &schema, &shards, &again, &error), error);
    ck_assert_int_eq(shards, 7);
    ck_assert_mem_eq(&id, &again, sizeof id);

    kur_buffer_done(&text);
    ck_ok(driver->schema_text(state, driver->schema, 7, &text, &error), error);
    ck_assert_uint_eq(text.size, 0);
    ck_status(driver->schema_text(state, driver->schema + 1, 7, &text, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(driver->schema_text(state, 0, 257, &text, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(driver->migrate(connection, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);

    run(db, "UPDATE kurier_meta SET schema = 1000");
    ck_status(kur_database_migrate(database, 4, &error), KUR_ERROR_SCHEMA, error);
    ck_assert_int_eq(sqlite3_get_autocommit(connection), 1);
    run(db, "UPDATE kurier_meta SET id = 'x'");
    ck_status(driver->schema_read(connection, &schema, &shards, &id, &error), KUR_ERROR_SCHEMA, error);
    sqlite3_close(db);
    driver->disconnect(connection);
    teardown();
}
END_TEST

static void *migrate(void *user)
{
    kur_error why = {0};
    *(kur_status *)user = kur_database_migrate(database, 8, &why);
    return NULL;
}

START_TEST(test_sqlite__tables_are_made_by_several_at_once)
{
    pthread_t threads[4];
    kur_status made[4];
    make_directory();
    database = open_database(&KUR_SQLITE_OPTIONS(.path = path));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, migrate, &made[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(made[i], KUR_OK);
    }
    ck_assert_int_eq(count("kurier_meta"), 1);
    teardown();
}
END_TEST

/* ---- The caller's connection ---- */

START_TEST(test_sqlite__adds_only_in_a_transaction)
{
    setup();
    sqlite3 *db = open_file_at(path);
    ck_status(add(db, "a", "1"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "no transaction is open");

    run(db, "CREATE TABLE orders(id PRIMARY KEY); BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)");
    ck_ok(add(db, "a", "1"), error);
    ck_assert_int_eq(sqlite3_exec(db, "INSERT OR ROLLBACK INTO orders VALUES (1)", NULL, NULL, NULL),
                     SQLITE_CONSTRAINT);
    ck_status(add(db, "a", "2"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "rolled it back");
    ck_assert_int_eq(count("kurier_outbox"), 0);

    run(db, "BEGIN IMMEDIATE");
    ck_ok(add(db, "a", "3"), error);
    run(db, "SAVEPOINT one");
    ck_ok(add(db, "a", "4"), error);
    run(db, "ROLLBACK TO one; COMMIT");
    ck_assert_int_eq(count("kurier_outbox"), 1);

    run(db, "BEGIN; DROP TABLE kurier_outbox");
    ck_status(add(db, "a", "5"), KUR_ERROR_SCHEMA, error);
    ck_says(error, "no such table");
    run(db, "ROLLBACK; PRAGMA query_only = ON; BEGIN");
    ck_status(add(db, "a", "6"), KUR_ERROR_DATABASE, error);
    ck_assert(!error.retriable);
    sqlite3_close(db);
    teardown();
}
END_TEST

static int commits;

static int on_commit(void *user)
{
    (void)user;
    commits++;
    return 0;
}

static int updates;

static void on_update(void *user, int what, const char *schema, const char *table, sqlite3_int64 id)
{
    (void)user, (void)what, (void)schema, (void)id;
    updates += strcmp(table, "kurier_outbox") == 0;
}

START_TEST(test_sqlite__leaves_the_connection_as_it_was)
{
    setup();
    commits = updates = 0;
    sqlite3 *db = open_file_at(path);
    run(db, "PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 17; CREATE TABLE orders(id INTEGER PRIMARY KEY)");
    sqlite3_commit_hook(db, on_commit, NULL);
    sqlite3_update_hook(db, on_update, NULL);
    run(db, "BEGIN IMMEDIATE; INSERT INTO orders VALUES (4711)");
    ck_ok(add(db, "a", "1"), error);
    ck_assert_int_eq(sqlite3_last_insert_rowid(db), 4711);
    ck_assert_ptr_null(sqlite3_next_stmt(db, NULL));
    driver->outbox_warn(state, db);
    ck_assert_ptr_null(sqlite3_next_stmt(db, NULL));
    ck_assert_int_eq(sqlite3_get_autocommit(db), 0);
    run(db, "COMMIT");
    ck_assert_int_eq(commits, 1);
    ck_assert_int_eq(updates, 0);
    ck_assert_int_eq(number(db, "PRAGMA synchronous"), 1);
    ck_assert_int_eq(number(db, "PRAGMA busy_timeout"), 17);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);

    /* Its own kinds of objects do not stand in for the outbox. */
    db = open_file_at(path);
    run(db, "CREATE TEMP TABLE kurier_outbox(x); BEGIN IMMEDIATE");
    ck_ok(add(db, "a", "2"), error);
    run(db, "COMMIT");
    sqlite3_close(db);
    ck_assert_int_eq(count("kurier_outbox"), 2);
    teardown();
}
END_TEST

START_TEST(test_sqlite__warns_once_of_each)
{
    setup();
    sqlite3 *db = open_file_at(path);
    run(db, "BEGIN IMMEDIATE");
    ck_assert_ptr_null(driver->outbox_warn(state, db));
    run(db, "COMMIT; PRAGMA synchronous = EXTRA; BEGIN IMMEDIATE");
    ck_assert_ptr_null(driver->outbox_warn(state, db));
    run(db, "COMMIT; PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE");
    const char *line = driver->outbox_warn(state, db);
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_nonnull(strstr(line, "synchronous below FULL"));
    ck_assert_ptr_null(driver->outbox_warn(state, db));
    run(db, "COMMIT; PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE");
    line = driver->outbox_warn(state, db);
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_nonnull(strstr(line, "not in WAL mode"));
    ck_assert_ptr_null(driver->outbox_warn(state, db));
    sqlite3_close(db);

    /* Another database has not been warned of. */
    kur_database_free(database);
    database = open_database(&KUR_SQLITE_OPTIONS(.path = path));
    db = open_file_at(path);
    run(db, "PRAGMA synchronous = OFF; BEGIN IMMEDIATE");
    ck_assert_ptr_nonnull(driver->outbox_warn(state, db));
    sqlite3_close(db);
    teardown();
}
END_TEST

/* ---- Which file ---- */

/* Adds on a connection to `file`, with `before` run there. */
static kur_status add_at(const char *file, const char *before)
{
    sqlite3 *db = open_file_at(file);
    run(db, before);
    kur_status status = add(db, "a", "1");
    if (!sqlite3_get_autocommit(db))
        run(db, "COMMIT");
    sqlite3_close(db);
    return status;
}

START_TEST(test_sqlite__adds_only_to_its_own_file)
{
    char other[160], sql[256];
    setup();
    snprintf(other, sizeof other, "%s/other.db", directory);
    kur_database *second = open_database(&KUR_SQLITE_OPTIONS(.path = other));
    ck_ok(kur_database_migrate(second, 4, &error), error); /* with tables of the same names */
    kur_database_free(second);
    use(database);

    ck_status(add_at(other, "BEGIN IMMEDIATE"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "other.db, and the outbox's is");
    ck_status(add_at(":memory:", "BEGIN IMMEDIATE"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "file is none");
    snprintf(sql, sizeof sql, "ATTACH '%s' AS events; BEGIN IMMEDIATE", path);
    ck_status(add_at(other, sql), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "is attached as \"events\": it must be the connection's main file");

    /* Data in another file. BEGIN IMMEDIATE alone is not told from a change. */
    snprintf(sql, sizeof sql, "ATTACH '%s' AS orders; CREATE TABLE orders.o(id); BEGIN; INSERT INTO o VALUES (1)",
             other);
    ck_status(add_at(path, sql), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "writes to the attached file \"orders\" too");
    snprintf(sql, sizeof sql, "ATTACH '%s' AS orders; BEGIN; SELECT * FROM o", other);
    ck_ok(add_at(path, sql), error);
    snprintf(sql, sizeof sql, "ATTACH 'file:%s?mode=ro' AS orders; BEGIN IMMEDIATE; SELECT * FROM o", other);
    ck_ok(add_at(path, sql), error);
    ck_ok(add_at(path,
                 "ATTACH ':memory:' AS orders; CREATE TABLE orders.o(id); CREATE TEMP TABLE t(id); BEGIN IMMEDIATE; "
                 "INSERT INTO o VALUES (1); INSERT INTO t VALUES (1)"),
          error);
    ck_assert_int_eq(count("kurier_outbox"), 3);
    teardown();
}
END_TEST

START_TEST(test_sqlite__knows_its_file_by_other_names)
{
    char name[160], target[160];
    setup();
    /* A link to the file or to its directory leads to the same log. */
    snprintf(name, sizeof name, "%s/link.db", directory);
    ck_assert_int_eq(symlink(path, name), 0);
    ck_ok(add_at(name, "BEGIN IMMEDIATE"), error);
    snprintf(name, sizeof name, "%s/here", directory);
    ck_assert_int_eq(symlink(".", name), 0);
    snprintf(name, sizeof name, "%s/here/service.db", directory);
    ck_ok(add_at(name, "BEGIN IMMEDIATE"), error);
    kur_database *linked = open_database(&KUR_SQLITE_OPTIONS(.path = name));
    ck_ok(add_at(path, "BEGIN IMMEDIATE"), error);
    kur_database_free(linked);
    use(database);
    ck_assert_int_eq(count("kurier_outbox"), 3);

    /* A hard link has a log of its own. */
    snprintf(name, sizeof name, "%s/hard.db", directory);
    ck_assert_int_eq(link(path, name), 0);
    ck_status(add_at(name, "BEGIN IMMEDIATE"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "hard.db");

    /* And another file under the name is another file. */
    sqlite3 *db = open_file_at(path);
    run(db, "BEGIN IMMEDIATE");
    snprintf(target, sizeof target, "%s/away.db", directory);
    ck_assert_int_eq(rename(path, target), 0);
    ck_status(add(db, "a", "1"), KUR_ERROR_INVALID_STATE, error);
    sqlite3 *newer = open_file_at(path);
    run(newer, "CREATE TABLE something(x)");
    sqlite3_close(newer);
    ck_status(add(db, "a", "1"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "was moved or deleted");
    sqlite3_close(db);
    teardown();
}
END_TEST

/* A directory that is seen in two places: one file, one log. */
START_TEST(test_sqlite__knows_its_file_in_another_place)
{
    char name[160];
    setup();
    snprintf(name, sizeof name, "%s/mounted", directory);
    ck_assert_int_eq(mkdir(name, 0700), 0);
    int code = mount_here(directory, name, NULL, MS_BIND, NULL);
    if (code == 0) {
        char file[192];
        snprintf(file, sizeof file, "%s/service.db", name);
        ck_ok(add_at(file, "BEGIN IMMEDIATE"), error);
        ck_assert_int_eq(count("kurier_outbox"), 1);
        ck_assert_int_eq(umount(name), 0);
    }
    teardown();
    skip_unless(code == 0, "only root can mount");
}
END_TEST

START_TEST(test_sqlite__a_relay_finds_out_that_its_file_was_replaced)
{
    char target[160];
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    size_t given = 0;
    setup();
    const kur_outbox_claim claim = {
        .size = sizeof claim, .relay = "a", .guarantee = 1, .lease_ms = 10000, .takes_shards = true};
    void *connection = connection_of_library();
    ck_ok(driver->outbox_claim(connection, &claim, shards, &given, &error), error);
    snprintf(target, sizeof target, "%s/before.db", directory);
    ck_assert_int_eq(rename(path, target), 0);
    ck_status(driver->outbox_claim(connection, &claim, shards, &given, &error), KUR_ERROR_UNREACHABLE, error);
    driver->disconnect(connection);
    teardown();
}
END_TEST

/* ---- Other writers ---- */

START_TEST(test_sqlite__a_lock_is_waited_for_and_not_for_ever)
{
    kur_outbox_id id = {256, 0, 7};
    setup();
    kur_database_free(database);
    database = open_database(&KUR_SQLITE_OPTIONS(.path = path, .busy_timeout_ms = 60));
    void *connection = connection_of_library();
    sqlite3 *db = open_file_at(path);
    run(db, "CREATE TABLE orders(id); BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)");
    int64_t before = kur_clock_monotonic_us();
    ck_status(driver->outbox_delete(connection, &id, 1, NULL, &error), KUR_ERROR_DATABASE, error);
    ck_assert(error.retriable);
    ck_assert_int_ge(kur_clock_monotonic_us() - before, 50000);
    ck_status(driver->begin(connection, &error), KUR_ERROR_DATABASE, error);
    ck_assert(error.retriable);
    ck_ok(add(db, "a", "1"), error);
    run(db, "COMMIT");
    ck_ok(driver->outbox_delete(connection, &id, 1, NULL, &error), error);
    ck_assert_int_eq(count("kurier_outbox"), 0);

    /* A transaction that began by reading. */
    run(db, "BEGIN; SELECT * FROM orders");
    add_one(0, "a", "2");
    ck_status(add(db, "a", "3"), KUR_ERROR_DATABASE, error);
    ck_assert(error.retriable);
    ck_says(error, "BEGIN IMMEDIATE");
    run(db, "ROLLBACK");
    run(db, "BEGIN");
    ck_ok(driver->begin(connection, &error), error);
    ck_status(add(db, "a", "3"), KUR_ERROR_DATABASE, error); /* the service's own busy_timeout is 0 */
    ck_assert(error.retriable);
    driver->rollback(connection);
    sqlite3_close(db);
    driver->disconnect(connection);
    teardown();
}
END_TEST

static int let_the_writer_end(void *connection, int count)
{
    ck_ok(driver->commit(connection, &error), error);
    return count == 0;
}

/* One that neither reads nor writes before it adds: it reads what the writer has committed, and not what was before. */
START_TEST(test_sqlite__a_plain_transaction_waits_before_it_reads)
{
    setup();
    void *connection = connection_of_library();
    sqlite3 *db = open_file_at(path);
    ck_ok(driver->begin(connection, &error), error);
    ck_ok(add(connection, "a", "1"), error);
    sqlite3_busy_handler(db, let_the_writer_end, connection);
    run(db, "BEGIN");
    ck_ok(add(db, "a", "2"), error);
    run(db, "COMMIT");
    read_rows(connection, 10, 1 << 20);
    ck_assert_str_eq(rows.values, "1 2 ");
    ck_assert_int_eq(rows.ids[1].id, 512);
    sqlite3_close(db);
    driver->disconnect(connection);
    teardown();
}
END_TEST

enum {
    PROCESSES = 3,
    EACH = 120
};

/* Each transaction adds one event to the process's own order, and every third is rolled back. */
static int write_as_service(int process)
{
    char key[16], value[32];
    sqlite3 *db;
    if (sqlite3_open(path, &db) != SQLITE_OK)
        return 1;
    sqlite3_busy_timeout(db, 30000);
    snprintf(key, sizeof key, "p%d", process);
    for (int i = 0, kept = 0; i < EACH; i++) {
        bool is_kept = i % 3 != 0;
        snprintf(value, sizeof value, "%s:%d", key, is_kept ? kept : 999);
        if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK || add(db, key, value) != KUR_OK ||
            sqlite3_exec(db, is_kept ? "COMMIT" : "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
            return 1;
        kept += is_kept;
    }
    sqlite3_close(db);
    return 0;
}

/* A relay beside them reads and deletes: all of what was committed comes, in the order of each. */
START_TEST(test_sqlite__processes_write_while_a_relay_reads)
{
    pid_t pids[PROCESSES];
    int next[PROCESSES] = {0}, ended = 0;
    size_t deleted = 0, total = 0;
    setup();
    for (int i = 0; i < PROCESSES; i++)
        if ((pids[i] = fork()) == 0)
            _exit(write_as_service(i));
    void *connection = connection_of_library();
    do {
        for (int i = 0; i < PROCESSES; i++) {
            int status;
            if (pids[i] > 0 && waitpid(pids[i], &status, WNOHANG) == pids[i]) {
                ck_assert_int_eq(status, 0);
                pids[i] = 0;
                ended++;
            }
        }
        read_rows(connection, 100, 1 << 20);
        char *rest = rows.values;
        for (size_t i = 0; i < rows.count; i++) {
            int process, sequence, used;
            ck_assert_int_eq(sscanf(rest, "p%d:%d %n", &process, &sequence, &used), 2);
            ck_assert_int_eq(sequence, next[process]++);
            rest += used;
            if (i > 0)
                ck_assert_int_gt(rows.ids[i].id, rows.ids[i - 1].id);
        }
        ck_ok(driver->outbox_delete(connection, rows.ids, rows.count, &deleted, &error), error);
        ck_assert_uint_eq(deleted, rows.count);
        total += deleted;
    } while (ended < PROCESSES || rows.count > 0);
    ck_assert_uint_eq(total, PROCESSES * EACH * 2 / 3);
    driver->disconnect(connection);
    teardown();
}
END_TEST

START_TEST(test_sqlite__data_version_tells_of_others)
{
    int64_t first = 0, then = 0;
    kur_outbox_id id = {256, 0, 7};
    setup();
    void *connection = connection_of_library();
    ck_ok(driver->changes(connection, &first, &error), error);
    add_one(0, "a", "1");
    ck_ok(driver->changes(connection, &then, &error), error);
    ck_assert_int_ne(first, then);
    ck_ok(driver->outbox_delete(connection, &id, 1, NULL, &error), error);
    ck_ok(driver->changes(connection, &first, &error), error);
    ck_assert_int_eq(first, then); /* its own change is none */
    sqlite3 *db = open_file_at(path);
    run(db, "BEGIN IMMEDIATE");
    ck_ok(add(db, "a", "2"), error);
    run(db, "ROLLBACK");
    ck_ok(driver->changes(connection, &first, &error), error);
    ck_assert_int_eq(first, then);
    sqlite3_close(db);
    driver->disconnect(connection);
    teardown();
}
END_TEST

static void park(void *connection, int64_t id, bool is_behind)
{
    const kur_outbox_parked_row row = {.row = {.size = sizeof row.row, .id = id, .shard = 0, .mark = 7},
                                       .is_behind = is_behind,
                                       .error = is_behind ? NULL : "too large",
                                       .attempts = 1};
    ck_ok(driver->outbox_park(connection, &row, 1, true, &error), error);
}

/* An id that is given out again, for nothing was there any more, is told from the first by its mark. */
START_TEST(test_sqlite__ids_and_marks_tell_rows_apart)
{
    const int64_t wanted[] = {256, 256, 512};
    setup();
    void *connection = connection_of_library();
    for (int i = 0; i < 3; i++) {
        add_one(0, "a", "1");
        read_rows(connection, 10, 1 << 20);
        ck_assert_uint_eq(rows.count, 1);
        ck_assert_int_eq(rows.ids[0].id, wanted[i]);
        size_t deleted = 99;
        const kur_outbox_id other = {rows.ids[0].id, 0, rows.ids[0].mark + 1};
        ck_ok(driver->outbox_delete(connection, &other, 1, &deleted, &error), error);
        ck_assert_uint_eq(deleted, 0);
        if (i == 1)
            park(connection, 256, false); /* it is there still: what comes is above it */
        else
            ck_ok(driver->outbox_delete(connection, rows.ids, 1, &deleted, &error), error);
        ck_assert_uint_eq(deleted, i != 1);
    }
    driver->disconnect(connection);
    teardown();
}
END_TEST

/* The shard is in the id: no two rows have the same, whatever their shards. */
START_TEST(test_sqlite__ids_of_shards_differ)
{
    setup();
    void *connection = connection_of_library();
    for (int i = 0; i < 6; i++)
        add_one(i % 3, "a", "1");
    read_rows(connection, 10, 1 << 20);
    ck_assert_uint_eq(rows.count, 6);
    for (size_t i = 0; i < 6; i++)
        ck_assert_int_eq(rows.ids[i].id, (i % 2 + 1) * 256 + i / 2);
    driver->disconnect(connection);
    teardown();
}
END_TEST

/* ---- Reading ---- */

START_TEST(test_sqlite__shards_share_the_bytes)
{
    setup();
    char value[1000];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < 60; i++)
        add_one(i < 50 ? 0 : 3, "a", i < 50 ? value : "small");
    void *connection = connection_of_library();
    int64_t of_shard[4] = {0};
    read_rows(connection, 1000, 10000);
    for (size_t i = 0; i < rows.count; i++)
        of_shard[rows.ids[i].shard]++;
    ck_assert_int_eq(of_shard[3], 10); /* a backlog in another shard does not keep them back */
    ck_assert_int_ge(of_shard[0], 4);
    ck_assert_int_le(of_shard[0], 6);
    read_rows(connection, 3, 1 << 20);
    ck_assert_uint_eq(rows.count, 6);
    read_rows(connection, 1000, 1); /* one row at least, or it would never go on */
    ck_assert_uint_ge(rows.count, 1);
    ck_assert_int_eq(sqlite3_get_autocommit(connection), 1);
    driver->disconnect(connection);
    teardown();
}
END_TEST

static kur_status take_strange(const kur_outbox_row *row, void *user, kur_error *unused)
{
    (void)unused;
    ck_assert_ptr_nonnull(row->topic);
    ck_assert(row->value.data != NULL || row->value.size == 0);
    rows.ids[rows.count++] = (kur_outbox_id){row->id, row->shard, row->mark};
    *(int *)user += 1;
    return KUR_OK;
}

/* Whoever can write to the file can write anything; nothing of it stops the rest. */
START_TEST(test_sqlite__strange_rows_are_read_and_deleted)
{
    static const int32_t shards[] = {0};
    int taken = 0;
    size_t deleted = 0;
    setup();
    sqlite3 *db = open_file_at(path);
    run(db, "INSERT INTO kurier_outbox(id, shard, mark, topic, partition, \"key\", headers, value, created) VALUES "
            "(256, 0, 1, 'a', 'text', 'text', 12, 1.5, 'now'), "
            "(512, 0, 4294967295, x'00ff', -9223372036854775808, '', '', x'', -1), "
            "(768, 0, 3, '', 1e300, zeroblob(100000), NULL, NULL, 9e18)");
    static const char *const refused[] = {"256, 'x'", "'x', 0", "257, 0", "NULL, 0"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char sql[160];
        snprintf(sql, sizeof sql,
                 "INSERT INTO kurier_outbox(id, shard, mark, topic, partition, created) VALUES (%s, 1, 'a', 0, 0)",
                 refused[i]);
        ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_CONSTRAINT);
    }
    sqlite3_close(db);
    void *connection = connection_of_library();
    rows.count = 0;
    ck_ok(driver->outbox_read(connection, shards, 1, 100, 1 << 20, take_strange, &taken, &error), error);
    ck_assert_int_eq(taken, 3);
    ck_ok(driver->outbox_delete(connection, rows.ids, rows.count, &deleted, &error), error);
    ck_assert_uint_eq(deleted, 3);
    driver->disconnect(connection);
    teardown();
}
END_TEST

/* ---- What goes wrong below ---- */

START_TEST(test_sqlite__a_full_file_is_tried_again)
{
    setup();
    kur_database_free(database);
    database = open_database(&KUR_SQLITE_OPTIONS(.path = path));
    sqlite3 *db = open_file_at(path);
    run(db, "PRAGMA max_page_count = 1; BEGIN IMMEDIATE"); /* no more than there are */
    static char large[100000];
    memset(large, 'x', sizeof large - 1);
    ck_status(add(db, "a", large), KUR_ERROR_DATABASE, error);
    ck_says(error, "full");
    ck_assert(error.retriable);
    ck_assert_ptr_null(sqlite3_next_stmt(db, NULL));
    sqlite3_close(db);
    ck_assert_int_eq(count("kurier_outbox"), 0);
    teardown();
}
END_TEST

/* A disk that is full of something else: what waits stays, and goes on when there is room. */
START_TEST(test_sqlite__a_full_disk_is_waited_for)
{
    make_directory();
    int code = mount_here("tmpfs", directory, "tmpfs", 0, "size=512k");
    if (code != 0)
        remove_directory();
    skip_unless(code == 0, "only root can mount");
    database = open_database(&KUR_SQLITE_OPTIONS(.path = path));
    ck_ok(kur_database_migrate(database, 4, &error), error);
    for (int i = 0; i < 20; i++)
        add_one(i % 4, "a", "small");
    void *connection = connection_of_library();
    char filler[160];
    snprintf(filler, sizeof filler, "%s/filler", directory);
    FILE *file = fopen(filler, "w");
    ck_assert_ptr_nonnull(file);
    setvbuf(file, NULL, _IONBF, 0);
    while (fputc('x', file) != EOF)
        ;
    fclose(file);

    sqlite3 *db = open_file_at(path);
    run(db, "BEGIN IMMEDIATE");
    static char large[50000];
    memset(large, 'x', sizeof large - 1);
    kur_status added = add(db, "a", large);
    if (added == KUR_OK) { /* it shows when it is written */
        ck_assert_int_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_FULL);
    } else {
        ck_status(added, KUR_ERROR_DATABASE, error);
        ck_assert(error.retriable);
    }
    sqlite3_close(db);
    read_rows(connection, 100, 1 << 20);
    ck_assert_uint_eq(rows.count, 20);
    kur_status status = KUR_OK;
    for (int i = 0; i < 20 && status == KUR_OK; i++) { /* until the log needs more room than it has */
        ck_ok(driver->begin(connection, &error), error);
        ck_assert_int_eq(sqlite3_exec(connection,
                                      "CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES (zeroblob(20000))", NULL,
                                      NULL, NULL) == SQLITE_OK ||
                             !sqlite3_get_autocommit(connection) || sqlite3_errcode(connection) == SQLITE_FULL,
                         1);
        status = driver->commit(connection, &error);
        driver->rollback(connection);
    }
    ck_assert_int_ne(status, KUR_OK);
    ck_assert_int_ne(status, KUR_ERROR_UNKNOWN_OUTCOME);
    unlink(filler);
    size_t deleted = 0;
    ck_ok(driver->outbox_delete(connection, rows.ids, rows.count, &deleted, &error), error);
    ck_assert_uint_eq(deleted, 20);
    driver->disconnect(connection);
    kur_database_free(database);
    ck_assert_int_eq(umount(directory), 0);
    remove_directory();
}
END_TEST

/* The log could not be synchronised: nobody knows what a crash would leave. */
START_TEST(test_sqlite__a_commit_that_is_not_synchronised_is_unknown)
{
    kur_outbox_id id = {256, 0, 7};
    setup();
    add_one(0, "a", "1");
    void *connection = connection_of_library();
    ck_ok(driver->begin(connection, &error), error);
    ck_assert_int_eq(sqlite3_exec(connection, "CREATE TABLE orders(id)", NULL, NULL, NULL), SQLITE_OK);
    sync_fails = true;
    ck_status(driver->commit(connection, &error), KUR_ERROR_UNKNOWN_OUTCOME, error);
    ck_assert_int_eq(sqlite3_get_autocommit(connection), 1);
    ck_status(driver->outbox_delete(connection, &id, 1, NULL, &error), KUR_ERROR_DATABASE, error);
    ck_assert(error.retriable);
    sync_fails = false;
    ck_ok(driver->outbox_delete(connection, &id, 1, NULL, &error), error);
    ck_assert_int_eq(count("kurier_outbox"), 0);
    driver->disconnect(connection);
    teardown();
}
END_TEST

START_TEST(test_sqlite__a_handler_may_have_ended_the_transaction)
{
    setup();
    void *connection = connection_of_library();
    ck_ok(driver->begin(connection, &error), error);
    run(connection, "COMMIT");
    ck_status(driver->commit(connection, &error), KUR_ERROR_INVALID_STATE, error);
    driver->rollback(connection);
    driver->disconnect(connection);
    teardown();
}
END_TEST

static void overwrite(long at, size_t size)
{
    char nonsense[4096];
    memset(nonsense, 0xa5, sizeof nonsense);
    FILE *file = fopen(path, "r+");
    ck_assert_ptr_nonnull(file);
    fseek(file, at, SEEK_SET);
    ck_assert_uint_eq(fwrite(nonsense, 1, size, file), size);
    fclose(file);
}

START_TEST(test_sqlite__a_broken_file_is_not_tried_again)
{
    static const int32_t shards[] = {0};
    void *connection = NULL;
    setup();
    for (int i = 0; i < 100; i++)
        add_one(0, "a", "1");
    sqlite3 *db = open_file_at(path);
    int64_t root = number(db, "SELECT rootpage FROM sqlite_master WHERE name = 'kurier_outbox'");
    sqlite3_close(db); /* the last one: the log is in the file now */
    overwrite((root - 1) * 4096, 4096);
    connection = connection_of_library();
    rows.count = 0;
    ck_status(driver->outbox_read(connection, shards, 1, 100, 1 << 20, take, NULL, &error), KUR_ERROR_DATABASE, error);
    ck_assert(!error.retriable);
    ck_says(error, "malformed");
    ck_says(error, path);
    driver->disconnect(connection);

    overwrite(0, 100);
    ck_status(driver->connect(state, &connection, &error), KUR_ERROR_DATABASE, error);
    ck_assert(!error.retriable);
    ck_says(error, "not a database");
    teardown();
}
END_TEST

/* ---- Memory ---- */

/* All that a relay does in its turn. */
static kur_status a_turn(void)
{
    static const int32_t shards[] = {0, 1, 2, 3};
    void *connection = NULL;
    int32_t given[KUR_OUTBOX_SHARDS_MAX];
    size_t much = 0;
    kur_outbox_figures figures = {.size = sizeof figures};
    const kur_outbox_claim claim = {
        .size = sizeof claim, .relay = "a", .guarantee = 1, .lease_ms = 10000, .takes_shards = true};
    kur_outbox_parked_row parked = {.row = row_of(0, "a", "1"), .error = "too large", .attempts = 1};
    kur_status status = driver->connect(state, &connection, &error);
    if (status == KUR_OK)
        status = driver->outbox_claim(connection, &claim, given, &much, &error);
    rows.count = 0;
    rows.values[0] = '\0';
    if (status == KUR_OK)
        status = driver->outbox_read(connection, shards, 4, 100, 1 << 20, take, NULL, &error);
    if (rows.count > 0)
        parked.row.id = rows.ids[0].id;
    if (status == KUR_OK)
        status = driver->outbox_park(connection, &parked, 1, true, &error);
    if (status == KUR_OK)
        status = driver->outbox_unpark(connection, parked.row.id, &error);
    if (status == KUR_OK)
        status = driver->outbox_figures(connection, &figures, &error);
    if (status == KUR_OK)
        status = driver->outbox_delete(connection, rows.ids, rows.count, NULL, &error);
    if (connection != NULL)
        driver->disconnect(connection);
    return status;
}

/* All that an inbox does. */
static kur_status an_inbox(void)
{
    kur_inbox_place place = {sizeof place, "c", "t", 0, 3, 0};
    kur_uuid log = {{1}};
    kur_inbox_turn turn;
    bool was_there;
    int32_t forgotten;
    void *connection = NULL;
    kur_status status = driver->connect(state, &connection, &error);
    STEP(driver->inbox_join(connection, &place, &log, NULL, &place.epoch, &error));
    STEP(driver->begin(connection, &error));
    STEP(driver->inbox_enter(connection, &place, &turn, &error));
    STEP(driver->inbox_note(connection, "c", "1", &was_there, &error));
    STEP(driver->commit(connection, &error));
    place.offset = 4;
    STEP(driver->begin(connection, &error));
    STEP(driver->inbox_leave_open(connection, &place, &turn, &error));
    STEP(driver->commit(connection, &error));
    STEP(driver->inbox_move(connection, &place, &log, &error));
    STEP(driver->inbox_reset(connection, &place, &log, &error));
    STEP(driver->inbox_forget(connection, "c", INT64_MAX, 10, &forgotten, &error));
    if (connection != NULL)
        driver->disconnect(connection);
    return status;
}

/* All that an operator does, who drops a row that is parked, and forgets the inbox. */
static kur_status an_operator(void)
{
    static const int32_t shards[] = {0, 1, 2, 3};
    void *connection = NULL;
    int32_t schema, count;
    kur_uuid id;
    kur_outbox_parked_row parked = {.row = row_of(0, "a", "1"), .error = "too large", .attempts = 1};
    kur_status status = driver->connect(state, &connection, &error);
    STEP(driver->schema_read(connection, &schema, &count, &id, &error));
    STEP(driver->migrate(connection, 4, &error));
    STEP(driver->outbox_shards(connection, pass_shard, NULL, &error));
    STEP(driver->outbox_relays(connection, pass_relay, NULL, &error));
    rows.count = 0;
    rows.values[0] = '\0';
    STEP(driver->outbox_read(connection, shards, 4, 100, 1 << 20, take, NULL, &error));
    if (rows.count > 0)
        parked.row.id = rows.ids[0].id;
    STEP(driver->outbox_park(connection, &parked, 1, true, &error));
    STEP(driver->outbox_parked(connection, NULL, 10, pass_parked, NULL, &error));
    STEP(driver->outbox_drop(connection, parked.row.id, &error));
    STEP(driver->inbox_positions(connection, "c", pass_position, NULL, &error));
    STEP(driver->inbox_remove(connection, "c", NULL, -1, &count, &error));
    if (connection != NULL)
        driver->disconnect(connection);
    return status;
}

static kur_status an_event(void)
{
    sqlite3 *db = NULL;
    kur_status status =
        sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK
            ? add(db, "a", "1")
            : kur_error_set(&error, KUR_ERROR_NO_MEMORY, "the test's own");
    if (status == KUR_OK && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        status = kur_error_set(&error, KUR_ERROR_NO_MEMORY, "the test's own");
    sqlite3_close(db);
    return status;
}

START_TEST(test_sqlite__sqlite_without_memory)
{
    kur_status (*const each[])(void) = {an_event, a_turn, an_inbox, an_operator};
    setup();
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        long nth = 0;
        do {
            if (i != 0) { /* in place of what the last try has left */
                sqlite3 *db = open_file_at(path);
                run(db, "DELETE FROM kurier_outbox_parked; DELETE FROM kurier_outbox_blocked; DELETE FROM "
                        "kurier_outbox");
                sqlite3_close(db);
                add_one(0, "a", "1");
            }
            error = (kur_error){0};
            memory_has_failed = false;
            memory_countdown = ++nth;
            kur_status status = each[i]();
            memory_countdown = 0;
            if (status != KUR_OK)
                ck_assert_msg(status == KUR_ERROR_NO_MEMORY, "%ld: %s: %s", nth, kur_status_name(status),
                              error.message);
            ck_assert(memory_has_failed || status == KUR_OK);
        } while (memory_has_failed);
        ck_assert_int_gt(nth, 20);
        ck_assert_int_eq(count("kurier_inbox_position"), i == 2);
    }
    ck_assert_int_eq(count("kurier_outbox"), 0);
    ck_assert_int_eq(count("kurier_outbox_parked"), 0);
    ck_assert_int_eq(count("kurier_inbox_message"), 0);
    teardown();
}
END_TEST

/* All in which the driver itself takes memory. */
static kur_status make_and_unpark(kur_error *why)
{
    void *connection = NULL;
    kur_buffer text = {0};
    kur_database *made =
        kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = "service.db", .setup = "PRAGMA foreign_keys = ON"), why);
    if (made == NULL)
        return why->code;
    const kur_driver *its = kur_database_driver(made);
    kur_status status = its->schema_text(kur_database_state(made), 0, 4, &text, why);
    kur_buffer_done(&text);
    if (status == KUR_OK)
        status = its->connect(kur_database_state(made), &connection, why);
    if (status == KUR_OK)
        status = its->migrate(connection, 4, why);
    const kur_outbox_parked_row row = {.row = {.size = sizeof row.row, .id = 256, .shard = 0, .mark = 7},
                                       .error = "no"};
    if (status == KUR_OK)
        status = its->outbox_park(connection, &row, 1, true, why);
    if (status == KUR_OK)
        status = its->outbox_unpark(connection, 256, why);
    if (connection != NULL)
        its->disconnect(connection);
    kur_database_free(made);
    return status;
}

START_TEST(test_sqlite__without_memory)
{
    char here[256];
    setup();
    add_one(0, "a key", "1");
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    ck_assert_int_eq(chdir(directory), 0);
    long points = 0;
    kur_error why;
    kur_status status;
    do {
        why = (kur_error){0};
        failing_begin(points + 1, false);
        status = make_and_unpark(&why);
        failing_end();
    } while (failing_again("sqlite", &points, status, &why));
    ck_ok(status, why);
    ck_assert_int_eq(count("kurier_outbox"), 1);
    ck_assert_int_eq(chdir(here), 0);
    teardown();
}
END_TEST

/* ---- Leases ---- */

static int64_t now_us(void *user)
{
    return *(int64_t *)user;
}

static size_t claim_as(void *connection, const char *name, int32_t guarantee, bool ends, kur_status expected)
{
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    size_t given = 99;
    const kur_outbox_claim claim = {.size = sizeof claim,
                                    .relay = name,
                                    .guarantee = guarantee,
                                    .lease_ms = 10000,
                                    .takes_shards = true,
                                    .ends = ends};
    ck_status(driver->outbox_claim(connection, &claim, shards, &given, &error), expected, error);
    for (size_t i = 0; expected == KUR_OK && i < given; i++)
        ck_assert_int_eq(shards[i], i);
    return given;
}

START_TEST(test_sqlite__all_shards_are_one_relays)
{
    static int64_t now;
    static const kur_clock clock = {now_us, now_us, &now};
    now = kur_clock_now_us();
    setup();
    kur_clock_set(&clock);
    void *connection = connection_of_library();
    ck_assert_uint_eq(claim_as(connection, "a", 1, false, KUR_OK), 4);
    ck_assert_uint_eq(claim_as(connection, "b", 1, false, KUR_OK), 0);
    claim_as(connection, "c", 2, false, KUR_ERROR_INVALID_STATE);
    now += 9000000;
    ck_assert_uint_eq(claim_as(connection, "a", 1, false, KUR_OK), 4);
    ck_assert_uint_eq(claim_as(connection, "b", 1, false, KUR_OK), 0);
    now += 9999999;
    ck_assert_uint_eq(claim_as(connection, "b", 1, false, KUR_OK), 0);
    now += 1;
    ck_assert_uint_eq(claim_as(connection, "b", 1, false, KUR_OK), 4); /* a is silent for 10 s */
    ck_assert_uint_eq(claim_as(connection, "a", 1, false, KUR_OK), 0);
    ck_assert_uint_eq(claim_as(connection, "b", 1, true, KUR_OK), 0);
    ck_assert_uint_eq(claim_as(connection, "a", 1, false, KUR_OK), 4);
    ck_assert_uint_eq(claim_as(connection, "a", 1, true, KUR_OK), 0);
    ck_assert_uint_eq(claim_as(connection, "c", 2, false, KUR_OK), 4);
    kur_clock_set(NULL);
    driver->disconnect(connection);
    teardown();
}
END_TEST

/* ---- Parked rows ---- */

/* What was read before its key was let go is not parked behind nobody. */
START_TEST(test_sqlite__nothing_is_parked_behind_a_key_that_goes_on)
{
    setup();
    void *connection = connection_of_library();
    for (int i = 0; i < 3; i++)
        add_one(0, "a", "1");
    park(connection, 256, false);
    park(connection, 512, true);
    ck_assert_int_eq(count("kurier_outbox_parked"), 2);
    ck_status(driver->outbox_unpark(connection, 512, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "behind row 256");
    ck_ok(driver->outbox_unpark(connection, 256, &error), error);
    park(connection, 768, true);
    ck_assert_int_eq(count("kurier_outbox_parked"), 0);
    ck_assert_int_eq(count("kurier_outbox_blocked"), 0);
    ck_assert_int_eq(count("kurier_outbox"), 3);
    ck_status(driver->outbox_drop(connection, 256, &error), KUR_ERROR_STALE, error);
    driver->disconnect(connection);
    teardown();
}
END_TEST

int main(void)
{
    static sqlite3_mem_methods memory = {take_memory, give_memory, resize_memory,   size_of_memory,
                                         round_up,    memory_init, memory_shutdown, NULL};
    static sqlite3_vfs vfs;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "with-failures";
    vfs.xOpen = open_file;
    sqlite3_vfs_register(&vfs, 1);
    const TTest *const tests[] = {
        test_sqlite__options,
        test_sqlite__path_is_that_of_its_beginning,
        test_sqlite__connections_lose_no_commit,
        test_sqlite__tables_are_made_by_hand,
        test_sqlite__tables_are_made_by_several_at_once,
        test_sqlite__adds_only_in_a_transaction,
        test_sqlite__leaves_the_connection_as_it_was,
        test_sqlite__warns_once_of_each,
        test_sqlite__adds_only_to_its_own_file,
        test_sqlite__knows_its_file_by_other_names,
        test_sqlite__knows_its_file_in_another_place,
        test_sqlite__a_relay_finds_out_that_its_file_was_replaced,
        test_sqlite__a_lock_is_waited_for_and_not_for_ever,
        test_sqlite__a_plain_transaction_waits_before_it_reads,
        test_sqlite__processes_write_while_a_relay_reads,
        test_sqlite__data_version_tells_of_others,
        test_sqlite__ids_and_marks_tell_rows_apart,
        test_sqlite__ids_of_shards_differ,
        test_sqlite__shards_share_the_bytes,
        test_sqlite__strange_rows_are_read_and_deleted,
        test_sqlite__a_full_file_is_tried_again,
        test_sqlite__a_full_disk_is_waited_for,
        test_sqlite__a_commit_that_is_not_synchronised_is_unknown,
        test_sqlite__a_handler_may_have_ended_the_transaction,
        test_sqlite__a_broken_file_is_not_tried_again,
        test_sqlite__sqlite_without_memory,
        test_sqlite__without_memory,
        test_sqlite__all_shards_are_one_relays,
        test_sqlite__nothing_is_parked_behind_a_key_that_goes_on,
        NULL,
    };
    return check_main("sqlite", tests);
}
