/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Databases behind a driver: what is there is judged, and said with the command to run. And the driver in memory, on
 * which other tests stand.
 */
#include "database/database.h"

#include <kurier/sys/clock.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../check_main.h"
#include "../failing.h"
#include "../memory_driver.h"

/* ---- Databases ---- */

static void free_nothing(void *database)
{
    *(int *)database += 1;
}

START_TEST(test_database__a_driver_has_all_functions)
{
    kur_error error = {0};
    int freed = 0;
    ck_assert_ptr_null(kur_database_new(NULL, &freed, &error));
    ck_says(error, "driver is NULL");
    kur_database *whole = memory_database(1);
    kur_driver driver = *kur_database_driver(whole);
    ck_assert_uint_eq(driver.size, sizeof driver);

    driver.free = free_nothing;
    driver.changes = NULL; /* the one that may be missing */
    kur_database *database = kur_database_new(&driver, &freed, &error);
    ck_assert_ptr_nonnull(database);
    ck_assert_ptr_eq(kur_database_state(database), &freed);
    ck_assert_str_eq(kur_database_driver(database)->name, "memory");
    kur_database_free(database);
    ck_assert_int_eq(freed, 1);

    driver.inbox_forget = NULL;
    ck_assert_ptr_null(kur_database_new(&driver, &freed, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
    ck_says(error, "kur_driver.inbox_forget is not set");
    driver = *kur_database_driver(whole);
    driver.name = NULL;
    ck_assert_ptr_null(kur_database_new(&driver, &freed, &error));
    ck_says(error, "kur_driver.name is not set");
    driver.size = 0;
    ck_assert_ptr_null(kur_database_new(&driver, &freed, &error));
    ck_says(error, "kur_driver.size is not set");
    ck_assert_int_eq(freed, 1);

    ck_assert_ptr_null(kur_database_driver(NULL));
    ck_assert_ptr_null(kur_database_state(NULL));
    kur_database_free(NULL);
    kur_database_free(whole);
}
END_TEST

static int32_t schema_there;
static int32_t shards_there = 16;

static kur_status read_other_schema(void *connection, int32_t *schema, int32_t *shards, kur_uuid *id, kur_error *error)
{
    (void)connection;
    (void)error;
    *schema = schema_there;
    *shards = shards_there;
    *id = (kur_uuid){{7}};
    return KUR_OK;
}

static void leave_be(void *database)
{
    (void)database;
}

START_TEST(test_database__tables_are_judged)
{
    kur_error error = {0};
    kur_database *inner = memory_database(16);
    kur_driver driver = *kur_database_driver(inner);
    driver.schema = 3;
    driver.schema_read = read_other_schema;
    driver.free = leave_be;
    kur_database *database = kur_database_new(&driver, kur_database_state(inner), &error);

    schema_there = 0;
    ck_status(kur_database_check(database, &error), KUR_ERROR_SCHEMA, error);
    ck_says(error, "missing: run `kurier outbox migrate`");
    schema_there = 2;
    ck_status(kur_database_check(database, &error), KUR_ERROR_SCHEMA, error);
    ck_says(error, "of schema 2, and 3 is needed: run `kurier outbox migrate`");
    schema_there = 4;
    ck_status(kur_database_check(database, &error), KUR_ERROR_SCHEMA, error);
    ck_says(error, "of schema 4, newer than this library, which knows 3");
    ck_status(kur_database_migrate(database, 0, &error), KUR_ERROR_SCHEMA, error);
    ck_says(error, "newer than this library");

    schema_there = 3;
    int32_t shards = 0;
    kur_uuid id;
    ck_ok(kur_database_check(database, &error), error);
    ck_ok(kur__database_read(database, NULL, &shards, &id, &error), error);
    ck_assert_int_eq(shards, 16);
    ck_assert_int_eq(id.bytes[0], 7);
    shards_there = KUR_OUTBOX_SHARDS_MAX + 1; /* whoever can write to the tables can write anything */
    ck_status(kur_database_check(database, &error), KUR_ERROR_SCHEMA, error);
    ck_says(error, "257 shards");
    shards_there = 16;
    ck_assert_uint_eq(memory_count(inner).connections, 0);

    ck_status(kur_database_check(NULL, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    kur_database_free(database);
    kur_database_free(inner);
}
END_TEST

START_TEST(test_database__migrates)
{
    kur_error error = {0};
    int32_t shards = 0;
    kur_uuid id, again;
    kur_database *database = memory_database(0);
    ck_status(kur_database_check(database, &error), KUR_ERROR_SCHEMA, error);
    ck_status(kur_database_migrate(database, 257, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "1 to 256 shards, and not 257");
    ck_status(kur_database_migrate(database, -1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_database_migrate(NULL, 0, &(kur_error){0}), KUR_ERROR_INVALID_ARGUMENT, error);
    memory_fail(database, &(struct memory_fault){"migrate", 1, .status = KUR_ERROR_DATABASE});
    ck_status(kur_database_migrate(database, 0, &error), KUR_ERROR_DATABASE, error);

    ck_ok(kur_database_migrate(database, 0, &error), error);
    ck_ok(kur__database_read(database, NULL, &shards, &id, &error), error);
    ck_assert_int_eq(shards, 16);
    ck_ok(kur_database_migrate(database, 4, &error), error); /* they are there: nothing changes */
    ck_ok(kur__database_read(database, NULL, &shards, &again, &error), error);
    ck_assert_int_eq(shards, 16);
    ck_assert_mem_eq(&id, &again, sizeof id);

    memory_away(database, true);
    ck_status(kur_database_check(database, &error), KUR_ERROR_UNREACHABLE, error);
    ck_status(kur_database_migrate(database, 0, &error), KUR_ERROR_UNREACHABLE, error);
    memory_away(database, false);
    ck_ok(kur_database_check(database, &error), error);
    kur_database_free(database);
}
END_TEST

START_TEST(test_database__gives_the_schema_as_text)
{
    kur_error error = {0};
    kur_database *database = memory_database(0);
    kur_arena *arena = kur_arena_new();
    ck_assert_str_eq(kur_database_schema_text(database, 0, 0, arena, &error), "make tables with 16 shards;\n");
    ck_assert_str_eq(kur_database_schema_text(database, 0, 256, arena, &error), "make tables with 256 shards;\n");
    ck_assert_str_eq(kur_database_schema_text(database, 1, 0, arena, &error), "");
    ck_assert_ptr_null(kur_database_schema_text(database, 2, 0, arena, &error));
    ck_says(error, "from 0 to 1, and 2 is none");
    ck_assert_ptr_null(kur_database_schema_text(database, -1, 0, arena, &error));
    ck_assert_ptr_null(kur_database_schema_text(database, 0, 257, arena, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(kur_database_schema_text(NULL, 0, 0, arena, NULL));
    ck_assert_ptr_null(kur_database_schema_text(database, 0, 0, NULL, NULL));
    kur_arena_free(arena);
    kur_database_free(database);
}
END_TEST

START_TEST(test_database__without_memory)
{
    kur_database *inner = memory_database(1);
    kur_driver driver = *kur_database_driver(inner);
    driver.free = leave_be;
    long points = 0;
    kur_error error;
    kur_status status;
    do {
        error = (kur_error){0};
        failing_begin(points + 1, true);
        kur_database *database = kur_database_new(&driver, kur_database_state(inner), &error);
        kur_arena *arena = database != NULL ? kur_arena_new() : NULL;
        if (database != NULL && arena == NULL)
            kur_error_set(&error, KUR_ERROR_NO_MEMORY, "no arena");
        if (arena != NULL)
            kur_database_schema_text(database, 0, 0, arena, &error);
        status = error.code;
        kur_arena_free(arena);
        kur_database_free(database);
        failing_end();
    } while (failing_again("a database", &points, status, &error));
    kur_database_free(inner);
}
END_TEST

/* ---- The driver in memory ---- */

static const kur_driver *of;

static void *connect_to(kur_database *database)
{
    void *connection = NULL;
    kur_error error = {0};
    ck_ok(kur_database_driver(database)->connect(kur_database_state(database), &connection, &error), error);
    of = kur_database_driver(database);
    return connection;
}

static kur_status add(kur_database *database, void *transaction, const char *key, const char *value, kur_error *error)
{
    kur_outbox_row row = {.size = sizeof row,
                          .shard = 0,
                          .mark = 5,
                          .topic = "t",
                          .key = kur_bytes_text(key),
                          .value = kur_bytes_text(value)};
    return kur_database_driver(database)->outbox_add(kur_database_state(database), transaction, &row, error);
}

struct reading {
    char text[200];
    kur_outbox_id ids[20];
    size_t count;
};

static kur_status take(const kur_outbox_row *row, void *user, kur_error *error)
{
    struct reading *reading = user;
    (void)error;
    size_t size = strlen(reading->text);
    snprintf(reading->text + size, sizeof reading->text - size, "%lld%s%.*s ", (long long)row->id,
             row->is_blocked ? "!" : "", (int)row->value.size, (const char *)row->value.data);
    reading->ids[reading->count++] = (kur_outbox_id){row->id, row->shard, row->mark};
    return KUR_OK;
}

static struct reading read_rows(void *connection)
{
    struct reading reading = {0};
    kur_error error = {0};
    ck_ok(of->outbox_read(connection, &(int32_t){0}, 1, 100, 1000, take, &reading, &error), error);
    return reading;
}

START_TEST(test_memory__rows_are_seen_when_committed)
{
    kur_error error = {0};
    kur_database *database = memory_database(1);
    void *relay = connect_to(database);
    void *first = memory_begin(database), *second = memory_begin(database), *third = memory_begin(database);
    ck_ok(add(database, first, "k", "a", &error), error);
    ck_ok(add(database, second, "k", "b", &error), error);
    ck_ok(add(database, third, "k", "c", &error), error);
    memory_add(first, "sum", 1);
    memory_add(third, "sum", 10);
    ck_assert_str_eq(read_rows(relay).text, "");
    memory_commit(third);
    ck_assert_str_eq(read_rows(relay).text, "3c ");
    ck_ok(of->outbox_raise(relay, &(int32_t){0}, 1, &error), error);
    ck_assert_int_eq(memory_floor(database, 0), 0); /* the first is not decided yet */
    memory_commit(first);
    memory_rollback(second);
    ck_assert_str_eq(read_rows(relay).text, "1a 3c ");
    ck_assert_int_eq(memory_sum(database, "sum"), 11);

    size_t deleted = 0;
    struct reading rows = read_rows(relay);
    rows.ids[1].mark++; /* another row than that, of a database that gave the id out again */
    ck_ok(of->outbox_delete(relay, rows.ids, rows.count, &deleted, &error), error);
    ck_assert_uint_eq(deleted, 1);
    ck_assert_str_eq(read_rows(relay).text, "3c ");
    ck_ok(of->outbox_raise(relay, &(int32_t){0}, 1, &error), error);
    ck_assert_int_eq(memory_floor(database, 0), 2);

    ck_status(add(database, relay, "k", "d", &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "no transaction");
    of->disconnect(relay);
    ck_assert(memory_wait(database, 1, 0));
    kur_database_free(database);
}
END_TEST

START_TEST(test_memory__changes_are_others)
{
    kur_error error = {0};
    kur_database *database = memory_database(1);
    void *relay = connect_to(database), *writer = connect_to(database);
    int64_t before = 0, after = 0;
    ck_ok(of->changes(relay, &before, &error), error);
    ck_ok(of->outbox_raise(relay, &(int32_t){0}, 1, &error), error);
    ck_ok(of->changes(relay, &after, &error), error);
    ck_assert_int_eq(after, before);
    ck_ok(of->begin(writer, &error), error);
    ck_ok(add(database, writer, "k", "a", &error), error);
    ck_ok(of->commit(writer, &error), error);
    ck_ok(of->changes(relay, &after, &error), error);
    ck_assert_int_ne(after, before);
    of->disconnect(relay);
    of->disconnect(writer);
    kur_database_free(database);
    database = memory_database_plain(1);
    ck_assert(kur_database_driver(database)->changes == NULL);
    kur_database_free(database);
}
END_TEST

static void park(void *connection, int64_t id, bool is_behind, bool blocks)
{
    kur_error error = {0};
    kur_outbox_parked_row row = {.row = {.size = sizeof row.row, .id = id, .shard = 0, .mark = 5},
                                 .is_behind = is_behind,
                                 .error = is_behind ? NULL : "why",
                                 .attempts = 1};
    ck_ok(of->outbox_park(connection, &row, 1, blocks, &error), error);
}

START_TEST(test_memory__parked_rows_come_back_in_their_place)
{
    kur_error error = {0};
    kur_database *database = memory_database(1);
    void *relay = connect_to(database), *writer = memory_begin(database);
    const char *keys[] = {"a", "b", "a", "a"}, *values[] = {"1", "2", "3", "4"};
    for (int i = 0; i < 4; i++)
        ck_ok(add(database, writer, keys[i], values[i], &error), error);
    memory_commit(writer);
    park(relay, 1, false, true);
    ck_assert_str_eq(read_rows(relay).text, "22 3!3 4!4 ");
    park(relay, 3, true, true);
    park(relay, 4, true, true);
    ck_ok(of->outbox_raise(relay, &(int32_t){0}, 1, &error), error);
    ck_assert_int_eq(memory_floor(database, 0), 1);
    kur_outbox_figures figures = {.size = sizeof figures};
    ck_ok(of->outbox_figures(relay, &figures, &error), error);
    ck_assert(figures.depth == 1 && figures.parked == 1 && figures.behind == 2 && figures.blocked == 1);

    ck_status(of->outbox_unpark(relay, 9, &error), KUR_ERROR_STALE, error);
    ck_status(of->outbox_unpark(relay, 3, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "row 3 waits behind row 1");
    ck_ok(of->outbox_unpark(relay, 1, &error), error);
    ck_assert_str_eq(read_rows(relay).text, "11 22 33 44 ");
    ck_assert_uint_eq(memory_count(database).parked + memory_count(database).blocked, 0);

    park(relay, 1, false, true);
    park(relay, 3, true, true);
    ck_ok(of->outbox_drop(relay, 1, &error), error);
    ck_assert_str_eq(read_rows(relay).text, "22 33 44 ");
    park(relay, 3, false, false); /* blocks nothing */
    ck_assert_str_eq(read_rows(relay).text, "22 44 ");
    of->disconnect(relay);
    kur_database_free(database);
}
END_TEST

static size_t claim(void *connection, const char *name, int32_t guarantee, kur_status expected, int32_t *shards)
{
    kur_error error = {0};
    size_t count = 0;
    ck_status(of->outbox_claim(connection,
                               &(kur_outbox_claim){sizeof(kur_outbox_claim), name, guarantee, 10000, true, false},
                               shards, &count, &error),
              expected, error);
    return count;
}

START_TEST(test_memory__relays_share)
{
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    kur_database *database = memory_database(5);
    kur_error error = {0};
    void *relay = connect_to(database);
    ck_assert_uint_eq(claim(relay, "a", 1, KUR_OK, shards), 5);
    ck_assert_uint_eq(claim(relay, "b", 1, KUR_OK, shards), 0); /* until a gives some back */
    ck_assert_uint_eq(claim(relay, "a", 1, KUR_OK, shards), 3);
    ck_assert_uint_eq(claim(relay, "b", 1, KUR_OK, shards), 2);
    claim(relay, "c", 2, KUR_ERROR_INVALID_STATE, shards);
    memory_forward(database, 9000000);
    ck_assert_uint_eq(claim(relay, "b", 1, KUR_OK, shards), 2);
    memory_forward(database, 2000000); /* a's lease is over */
    ck_assert_uint_eq(claim(relay, "b", 1, KUR_OK, shards), 5);
    size_t count = 1;
    ck_ok(of->outbox_claim(relay, &(kur_outbox_claim){sizeof(kur_outbox_claim), "b", 1, 10000, true, true}, shards,
                           &count, &error),
          error);
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(claim(relay, "c", 2, KUR_OK, shards), 5);
    memory_seize(database, 1, "z", 1000000);
    ck_assert_uint_eq(claim(relay, "c", 2, KUR_OK, shards), 4);
    of->disconnect(relay);
    kur_database_free(database);

    database = memory_database_plain(5);
    relay = connect_to(database);
    ck_assert_uint_eq(claim(relay, "a", 1, KUR_OK, shards), 5);
    ck_assert_uint_eq(claim(relay, "b", 1, KUR_OK, shards), 0);
    ck_assert_uint_eq(claim(relay, "a", 1, KUR_OK, shards), 5);
    memory_forward(database, 11000000);
    ck_assert_uint_eq(claim(relay, "b", 1, KUR_OK, shards), 5);
    of->disconnect(relay);
    kur_database_free(database);
}
END_TEST

START_TEST(test_memory__calls_fail)
{
    kur_error error = {0};
    kur_database *database = memory_database(1);
    void *transaction = memory_begin(database);
    memory_fail(database, &(struct memory_fault){"outbox_add", 2, .status = KUR_ERROR_DATABASE, .retriable = true});
    ck_ok(add(database, transaction, "k", "a", &error), error);
    ck_assert(!memory_has_failed(database));
    ck_status(add(database, transaction, "k", "b", &error), KUR_ERROR_DATABASE, error);
    ck_assert(error.retriable && memory_has_failed(database));
    ck_assert_int_eq(memory_calls(database, "outbox_add"), 2);
    ck_status(add(database, transaction, "k", "c", &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_database_driver(database)->commit(transaction, &error), KUR_ERROR_DATABASE, error);
    kur_database_driver(database)->disconnect(transaction);
    ck_assert_uint_eq(memory_count(database).rows, 0);

    /* The answer to a commit is lost: once it has happened, once it has not. */
    for (int happens = 0; happens <= 1; happens++) {
        transaction = memory_begin(database);
        ck_ok(add(database, transaction, "k", "a", &error), error);
        memory_fail(database,
                    &(struct memory_fault){"commit", 1, .status = KUR_ERROR_UNKNOWN_OUTCOME, .happens = happens});
        ck_status(kur_database_driver(database)->commit(transaction, &error), KUR_ERROR_UNKNOWN_OUTCOME, error);
        ck_status(kur_database_driver(database)->begin(transaction, &error), KUR_ERROR_UNREACHABLE, error);
        ck_assert_uint_eq(memory_count(database).rows, (size_t)happens);
        kur_database_driver(database)->disconnect(transaction);
    }

    /* It goes away, and is back. */
    transaction = memory_begin(database);
    ck_ok(add(database, transaction, "k", "a", &error), error);
    memory_away(database, true);
    ck_status(kur_database_driver(database)->commit(transaction, &error), KUR_ERROR_UNREACHABLE, error);
    memory_away(database, false);
    ck_assert_uint_eq(memory_count(database).rows, 1);
    kur_database_driver(database)->disconnect(transaction);
    ck_assert_uint_eq(memory_count(database).connections, 0);
    kur_database_free(database);
}
END_TEST

/* ---- Its inbox ---- */

static kur_inbox_turn enter(void *transaction, int64_t offset, int64_t epoch)
{
    kur_error error = {0};
    kur_inbox_turn turn = 0;
    ck_ok(of->inbox_enter(transaction, &(kur_inbox_place){sizeof(kur_inbox_place), "c", "t", 0, offset, epoch}, &turn,
                          &error),
          error);
    return turn;
}

static kur_inbox_turn enter_alone(kur_database *database, int64_t offset, int64_t epoch)
{
    void *transaction = memory_begin(database);
    kur_inbox_turn turn = enter(transaction, offset, epoch);
    memory_commit(transaction);
    return turn;
}

static int64_t join(void *connection, int64_t offset)
{
    kur_error error = {0};
    kur_uuid log_id = {{0}};
    int64_t epoch = 0;
    ck_ok(of->inbox_join(connection, &(kur_inbox_place){sizeof(kur_inbox_place), "c", "t", 0, offset, 0}, &log_id, NULL,
                         &epoch, &error),
          error);
    return epoch;
}

static void move_to(void *connection, int64_t offset, int64_t epoch)
{
    kur_error error = {0};
    ck_ok(of->inbox_move(connection, &(kur_inbox_place){sizeof(kur_inbox_place), "c", "t", 0, offset, epoch},
                         &(kur_uuid){{7}}, &error),
          error);
}

static kur_inbox_turn leave_open(kur_database *database, int64_t offset, int64_t epoch)
{
    kur_error error = {0};
    kur_inbox_turn turn = 0;
    void *transaction = memory_begin(database);
    ck_ok(of->inbox_leave_open(transaction, &(kur_inbox_place){sizeof(kur_inbox_place), "c", "t", 0, offset, epoch},
                               &turn, &error),
          error);
    memory_commit(transaction);
    return turn;
}

START_TEST(test_memory__inbox_handles_once)
{
    kur_database *database = memory_database(1);
    void *connection = connect_to(database);
    ck_assert_int_eq(enter_alone(database, 5, 1), KUR_INBOX_LOST);
    int64_t epoch = join(connection, 5);
    ck_assert_int_eq(join(connection, 900), epoch);

    ck_assert_int_eq(enter_alone(database, 5, epoch), KUR_INBOX_HANDLE);
    ck_assert_int_eq(enter_alone(database, 5, epoch), KUR_INBOX_DONE);
    void *transaction = memory_begin(database);
    ck_assert_int_eq(enter(transaction, 6, epoch), KUR_INBOX_HANDLE);
    memory_rollback(transaction);
    ck_assert_int_eq(enter_alone(database, 6, epoch), KUR_INBOX_HANDLE);

    /* What comes again from elsewhere is left open, passed, and then handled once. */
    ck_assert_int_eq(leave_open(database, 6, epoch), KUR_INBOX_DONE);
    ck_assert_int_eq(leave_open(database, 7, epoch), KUR_INBOX_HANDLE);
    ck_assert_int_eq(leave_open(database, 7, epoch), KUR_INBOX_HANDLE);
    move_to(connection, 8, epoch);
    move_to(connection, 3, epoch);
    ck_assert_uint_eq(memory_count(database).done, 0);
    ck_assert_uint_eq(memory_count(database).open, 1);
    ck_assert_int_eq(enter_alone(database, 6, epoch), KUR_INBOX_DONE);
    transaction = memory_begin(database);
    ck_assert_int_eq(enter(transaction, 7, epoch), KUR_INBOX_HANDLE);
    memory_rollback(transaction);
    ck_assert_uint_eq(memory_count(database).open, 1);
    ck_assert_int_eq(enter_alone(database, 7, epoch), KUR_INBOX_HANDLE);
    ck_assert_uint_eq(memory_count(database).done + memory_count(database).open, 0);
    ck_assert_int_eq(enter_alone(database, 7, epoch), KUR_INBOX_DONE);
    ck_assert_int_eq(leave_open(database, 7, epoch), KUR_INBOX_DONE);

    /* From before there was an inbox: nothing is known of it, and it has a row of its own for good. */
    ck_assert_int_eq(enter_alone(database, 2, epoch), KUR_INBOX_HANDLE);
    move_to(connection, 9, epoch);
    ck_assert_int_eq(enter_alone(database, 2, epoch), KUR_INBOX_DONE);
    ck_assert_int_eq(leave_open(database, 3, epoch), KUR_INBOX_HANDLE);
    ck_assert_int_eq(enter_alone(database, 3, epoch), KUR_INBOX_HANDLE);
    ck_assert_int_eq(enter_alone(database, 3, epoch), KUR_INBOX_DONE);
    of->disconnect(connection);
    kur_database_free(database);
}
END_TEST

START_TEST(test_memory__inbox_whose_start_is_not_known)
{
    kur_database *database = memory_database(1);
    void *connection = connect_to(database);
    int64_t epoch = join(connection, -1);
    ck_assert_int_eq(enter_alone(database, 5, epoch), KUR_INBOX_HANDLE);
    ck_assert_int_eq(enter_alone(database, 5, epoch), KUR_INBOX_DONE);
    move_to(connection, 9, epoch);
    ck_assert_int_eq(enter_alone(database, 5, epoch), KUR_INBOX_DONE);
    ck_assert_int_eq(enter_alone(database, 6, epoch), KUR_INBOX_HANDLE);
    ck_assert_int_eq(enter_alone(database, 9, epoch), KUR_INBOX_HANDLE);
    move_to(connection, 10, epoch);
    ck_assert_uint_eq(memory_count(database).done, 2);
    ck_assert_int_eq(enter_alone(database, 9, epoch), KUR_INBOX_DONE);
    of->disconnect(connection);
    kur_database_free(database);
}
END_TEST

START_TEST(test_memory__inbox_begins_anew)
{
    kur_error error = {0};
    kur_database *database = memory_database(1);
    void *connection = connect_to(database);
    int64_t epoch = join(connection, 0), next = 0, later = 0;
    kur_inbox_place place = {sizeof place, "c", "t", 0, 6, epoch};
    kur_uuid log_id = {{0}};
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(enter_alone(database, i, epoch), KUR_INBOX_HANDLE);
    move_to(connection, 8, epoch);
    ck_assert_int_eq(leave_open(database, 12, epoch), KUR_INBOX_HANDLE);
    ck_ok(of->inbox_reset(connection, &place, &(kur_uuid){{2}}, &error), error);
    ck_status(of->inbox_reset(connection, &place, &(kur_uuid){{3}}, &error), KUR_ERROR_FENCED, error);
    ck_status(of->inbox_move(connection, &place, &(kur_uuid){{3}}, &error), KUR_ERROR_FENCED, error);
    ck_assert_int_eq(enter_alone(database, 5, epoch), KUR_INBOX_LOST);
    ck_assert_int_eq(leave_open(database, 5, epoch), KUR_INBOX_LOST);
    ck_ok(of->inbox_join(connection, &place, &log_id, &next, &later, &error), error);
    ck_assert_int_gt(later, epoch);
    ck_assert_int_eq(next, 6);
    ck_assert_int_eq(log_id.bytes[0], 2);
    ck_assert_uint_eq(memory_count(database).done + memory_count(database).open, 0);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(enter_alone(database, i, later), i < 6 ? KUR_INBOX_DONE : KUR_INBOX_HANDLE);
    of->disconnect(connection);
    kur_database_free(database);
}
END_TEST

static void *reset_meanwhile(void *user)
{
    kur_database *database = user;
    void *connection = NULL;
    kur_error error = {0};
    const kur_driver *driver = kur_database_driver(database);
    ck_ok(driver->connect(kur_database_state(database), &connection, &error), error);
    ck_ok(driver->inbox_reset(connection, &(kur_inbox_place){sizeof(kur_inbox_place), "c", "t", 0, 0, 1},
                              &(kur_uuid){{0}}, &error),
          error);
    ck_assert_int_eq(memory_sum(database, "handled"), 1); /* it has waited for the handler */
    driver->disconnect(connection);
    return NULL;
}

START_TEST(test_memory__a_reset_waits_for_handlers)
{
    kur_database *database = memory_database(1);
    void *connection = connect_to(database);
    pthread_t thread;
    int64_t epoch = join(connection, 0);
    ck_assert_int_eq(epoch, 1);
    memory_fail(database, NULL);
    void *transaction = memory_begin(database);
    ck_assert_int_eq(enter(transaction, 1, epoch), KUR_INBOX_HANDLE);
    memory_add(transaction, "handled", 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, reset_meanwhile, database), 0);
    int64_t end = kur_clock_monotonic_us() + 30000000;
    while (memory_calls(database, "inbox_reset") == 0 && kur_clock_monotonic_us() < end)
        sched_yield();
    memory_commit(transaction);
    pthread_join(thread, NULL);
    of->disconnect(connection);
    kur_database_free(database);
}
END_TEST

START_TEST(test_memory__inbox_notes_ids)
{
    kur_error error = {0};
    bool was_there = true;
    int32_t count = 0;
    kur_database *database = memory_database(1);
    void *connection = connect_to(database), *transaction = memory_begin(database);
    ck_ok(of->inbox_note(transaction, "c", "id", &was_there, &error), error);
    ck_assert(!was_there);
    memory_rollback(transaction);
    for (int i = 0; i < 2; i++) {
        transaction = memory_begin(database);
        ck_ok(of->inbox_note(transaction, "c", "id", &was_there, &error), error);
        ck_assert_int_eq(was_there, i == 1);
        memory_commit(transaction);
    }
    ck_ok(of->inbox_forget(connection, "c", 1, 10, &count, &error), error);
    ck_assert_int_eq(count, 0);
    ck_ok(of->inbox_forget(connection, "c", INT64_MAX, 10, &count, &error), error);
    ck_assert_int_eq(count, 1);
    ck_assert_uint_eq(memory_count(database).notes, 0);
    of->disconnect(connection);
    kur_database_free(database);
}
END_TEST

/* ---- What operators look at ---- */

static void put(char *text, size_t size, const char *format, ...) KUR_PRINTF(3, 4);
static void put(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(text);
    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

static kur_status take_shard(const kur_outbox_shard *shard, void *user, kur_error *error)
{
    (void)error;
    put(user, 200, "%d:%s ", (int)shard->shard, shard->owner != NULL ? shard->owner : "-");
    return KUR_OK;
}

static kur_status take_relay(const kur_outbox_relay *relay, void *user, kur_error *error)
{
    (void)error;
    put(user, 200, "%s:%d ", relay->name, (int)relay->guarantee);
    return KUR_OK;
}

static kur_status refuse_shard(const kur_outbox_shard *shard, void *user, kur_error *error)
{
    *(int *)user += 1;
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "shard %d has no room", (int)shard->shard);
}

START_TEST(test_memory__tells_whose_shards_are)
{
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    char text[200] = "";
    int seen = 0;
    kur_error error = {0};
    kur_database *database = memory_database(3);
    void *connection = connect_to(database);
    ck_ok(of->outbox_relays(connection, take_relay, text, &error), error);
    ck_assert_str_eq(text, "");
    claim(connection, "b", 1, KUR_OK, shards);
    claim(connection, "a", 1, KUR_OK, shards);
    claim(connection, "b", 1, KUR_OK, shards);
    claim(connection, "a", 1, KUR_OK, shards);
    ck_ok(of->outbox_relays(connection, take_relay, text, &error), error);
    ck_assert_str_eq(text, "a:1 b:1 ");
    text[0] = '\0';
    ck_ok(of->outbox_shards(connection, take_shard, text, &error), error);
    ck_assert_str_eq(text, "0:b 1:b 2:a ");
    memory_forward(database, 11000000);
    text[0] = '\0';
    ck_ok(of->outbox_shards(connection, take_shard, text, &error), error);
    ck_ok(of->outbox_relays(connection, take_relay, text, &error), error);
    ck_assert_str_eq(text, "0:- 1:- 2:- ");
    ck_status(of->outbox_shards(connection, refuse_shard, &seen, &error), KUR_ERROR_NO_MEMORY, error);
    ck_assert_int_eq(seen, 1);
    of->disconnect(connection);
    kur_database_free(database);
}
END_TEST

static kur_status take_position(const kur_inbox_position *position, void *user, kur_error *error)
{
    (void)error;
    put(user, 200, "%s/%s/%d:%lld-%lld,%lld,%lld ", position->consumer, position->topic, (int)position->partition,
        (long long)position->first, (long long)position->next, (long long)position->done, (long long)position->open);
    return KUR_OK;
}

static void ck_positions(void *connection, const char *consumer, const char *expected)
{
    char text[200] = "";
    kur_error error = {0};
    ck_ok(of->inbox_positions(connection, consumer, take_position, text, &error), error);
    ck_assert_str_eq(text, expected);
}

static void ck_removes(void *connection, const char *consumer, const char *topic, int partition, int expected)
{
    int32_t count = -1;
    kur_error error = {0};
    ck_ok(of->inbox_remove(connection, consumer, topic, partition, &count, &error), error);
    ck_assert_int_eq(count, expected);
}

START_TEST(test_memory__tells_of_an_inbox_and_forgets_it)
{
    kur_error error = {0};
    kur_database *database = memory_database(1);
    void *connection = connect_to(database);
    ck_positions(connection, NULL, "");
    int64_t epoch = join(connection, 3), other;
    const kur_inbox_place places[] = {{sizeof(kur_inbox_place), "d", "t", 0, 1, 0},
                                      {sizeof(kur_inbox_place), "c", "u", 1, 1, 0},
                                      {sizeof(kur_inbox_place), "c", "u", 0, -1, 0}};
    for (int i = 0; i < 3; i++)
        ck_ok(of->inbox_join(connection, &places[i], &(kur_uuid){{0}}, NULL, &other, &error), error);
    ck_assert_int_eq(enter_alone(database, 4, epoch), KUR_INBOX_HANDLE);
    ck_assert_int_eq(enter_alone(database, 5, epoch), KUR_INBOX_HANDLE);
    ck_assert_int_eq(leave_open(database, 6, epoch), KUR_INBOX_HANDLE);
    void *transaction = memory_begin(database);
    ck_assert_int_eq(enter(transaction, 7, epoch), KUR_INBOX_HANDLE);
    ck_positions(connection, NULL, "c/t/0:3-3,2,1 c/u/0:-1--1,0,0 c/u/1:1-1,0,0 d/t/0:1-1,0,0 ");
    memory_commit(transaction);
    ck_positions(connection, "c", "c/t/0:3-3,3,1 c/u/0:-1--1,0,0 c/u/1:1-1,0,0 ");
    ck_removes(connection, "c", "u", 1, 1);
    ck_removes(connection, "c", "u", 1, 0);
    ck_removes(connection, "nobody", NULL, -1, 0);
    ck_positions(connection, "c", "c/t/0:3-3,3,1 c/u/0:-1--1,0,0 ");
    ck_removes(connection, "c", NULL, -1, 2);
    ck_positions(connection, NULL, "d/t/0:1-1,0,0 ");
    ck_assert_uint_eq(memory_count(database).done + memory_count(database).open, 0);
    ck_assert_int_eq(enter_alone(database, 4, epoch), KUR_INBOX_LOST); /* it has to join again */
    ck_assert_int_eq(enter_alone(database, 4, join(connection, 3)), KUR_INBOX_HANDLE);
    of->disconnect(connection);
    kur_database_free(database);
}
END_TEST

static void *remove_meanwhile(void *user)
{
    kur_database *database = user;
    void *connection = connect_to(database);
    ck_removes(connection, "c", NULL, -1, 1);
    ck_assert_int_eq(memory_sum(database, "handled"), 1); /* it has waited for the handler */
    kur_database_driver(database)->disconnect(connection);
    return NULL;
}

START_TEST(test_memory__who_forgets_waits_for_handlers)
{
    kur_database *database = memory_database(1);
    void *connection = connect_to(database);
    pthread_t thread;
    int64_t epoch = join(connection, 0);
    memory_fail(database, NULL);
    void *transaction = memory_begin(database);
    ck_assert_int_eq(enter(transaction, 1, epoch), KUR_INBOX_HANDLE);
    memory_add(transaction, "handled", 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, remove_meanwhile, database), 0);
    int64_t end = kur_clock_monotonic_us() + 30000000;
    while (memory_calls(database, "inbox_remove") == 0 && kur_clock_monotonic_us() < end)
        sched_yield();
    memory_commit(transaction);
    pthread_join(thread, NULL);
    of->disconnect(connection);
    kur_database_free(database);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_database__a_driver_has_all_functions,
                                  test_database__tables_are_judged,
                                  test_database__migrates,
                                  test_database__gives_the_schema_as_text,
                                  test_database__without_memory,
                                  test_memory__rows_are_seen_when_committed,
                                  test_memory__changes_are_others,
                                  test_memory__parked_rows_come_back_in_their_place,
                                  test_memory__relays_share,
                                  test_memory__calls_fail,
                                  test_memory__inbox_handles_once,
                                  test_memory__inbox_whose_start_is_not_known,
                                  test_memory__inbox_begins_anew,
                                  test_memory__a_reset_waits_for_handlers,
                                  test_memory__inbox_notes_ids,
                                  test_memory__tells_whose_shards_are,
                                  test_memory__tells_of_an_inbox_and_forgets_it,
                                  test_memory__who_forgets_waits_for_handlers,
                                  NULL};
    return check_main("database", tests);
}
