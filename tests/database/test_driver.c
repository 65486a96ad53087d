/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What every driver of a database has to do, function by function, as <kurier/driver.h> says it. What is opened is up
 * to the file that this one is linked with (opening.h). A caller's connection is one of the driver's own here.
 */
#include <kurier/arena.h>
#include <kurier/event.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/thread.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "driving.h"
#include "opening.h"

enum {
    SHARDS = 4,
    ROWS_MAX = 6000,
    DEADLINE_MS = 30000,
    MANY = 1 << 30
};

/* ---- A database with tables ---- */

static kur_database *database;
static const kur_driver *of;
static void *state;
static void *line; /* a connection */
static kur_error error;

/* Another that looks on: where one transaction writes at a time it is the same. */
static void use(kur_database *opened)
{
    database = opened;
    of = kur_database_driver(database);
    state = kur_database_state(database);
    error = (kur_error){0};
    line = connect_line(database);
}

static void set_up(int shards)
{
    use(opening_new());
    if (shards > 0)
        ck_ok(of->migrate(line, shards, &error), error);
    int32_t schema, found;
    kur_uuid id;
    ck_ok(of->schema_read(line, &schema, &found, &id, &error), error);
}

static void tear_down(void)
{
    of->disconnect(line);
    opening_free(database);
}

/* ---- Rows ---- */

static kur_outbox_row row_of(int shard, const char *key, const char *value)
{
    return (kur_outbox_row){.size = sizeof(kur_outbox_row),
                            .shard = shard,
                            .mark = 0xfedcba98u + (uint32_t)shard,
                            .topic = "orders",
                            .key = kur_bytes_text(key),
                            .headers = kur_bytes_of("\1\0", 2),
                            .value = kur_bytes_text(value)};
}

static void add_on(void *connection, int shard, const char *key, const char *value)
{
    kur_outbox_row row = row_of(shard, key, value);
    ck_ok(of->outbox_add(state, connection, &row, &error), error);
}

/* In a transaction of its own. */
static void add(int shard, const char *key, const char *value)
{
    ck_ok(of->begin(line, &error), error);
    add_on(line, shard, key, value);
    ck_ok(of->commit(line, &error), error);
}

static void add_many(int shard, int count)
{
    ck_ok(of->begin(line, &error), error);
    for (int i = 0; i < count; i++)
        add_on(line, shard, "k", "v");
    ck_ok(of->commit(line, &error), error);
}

/* What was read: copies. */
struct read {
    kur_outbox_row rows[ROWS_MAX];
    int count;
    int stop_at; /* 0: never */
};

static struct read got;
static kur_arena *texts;

static kur_bytes copy(kur_bytes bytes)
{
    return bytes.data == NULL ? bytes : kur_bytes_of(kur_arena_copy(texts, bytes.data, bytes.size), bytes.size);
}

static kur_status take(const kur_outbox_row *row, void *user, kur_error *failed)
{
    (void)user;
    ck_assert_int_lt(got.count, ROWS_MAX);
    kur_outbox_row *copied = &got.rows[got.count++];
    *copied = *row;
    copied->topic = copy(kur_bytes_of(row->topic, strlen(row->topic) + 1)).data;
    copied->key = copy(row->key);
    copied->headers = copy(row->headers);
    copied->value = copy(row->value);
    if (got.count == got.stop_at)
        return kur_error_set(failed, KUR_ERROR_CANCELLED, "enough");
    return KUR_OK;
}

/* They come shard by shard, in whatever order: for the eye it is that of their numbers. */
static void sort_by_shard(void)
{
    bool has_begun[KUR_OUTBOX_SHARDS_MAX] = {false};
    for (int i = 0; i < got.count; i++) {
        int32_t shard = got.rows[i].shard;
        ck_assert_msg((i > 0 && got.rows[i - 1].shard == shard) || !has_begun[shard], "shard %d comes twice", shard);
        has_begun[shard] = true;
    }
    for (int i = 1; i < got.count; i++) {
        kur_outbox_row row = got.rows[i];
        int k = i;
        for (; k > 0 && got.rows[k - 1].shard > row.shard; k--)
            got.rows[k] = got.rows[k - 1];
        got.rows[k] = row;
    }
}

static int read_of(const int32_t *shards, size_t count, int32_t rows, size_t bytes)
{
    got.count = 0;
    kur_arena_free(texts);
    texts = kur_arena_new();
    ck_assert_ptr_nonnull(texts);
    kur_status status = of->outbox_read(line, shards, count, rows, bytes, take, NULL, &error);
    ck_status(status, got.stop_at > 0 ? KUR_ERROR_CANCELLED : KUR_OK, error);
    sort_by_shard();
    return got.count;
}

static int read_shard(int32_t shard)
{
    return read_of(&shard, 1, ROWS_MAX, MANY);
}

static const int32_t all[] = {0, 1, 2, 3};

static int read_all(void)
{
    return read_of(all, SHARDS, ROWS_MAX, MANY);
}

/* What stands in the rows that were read, such as "a b". */
static const char *values_read(void)
{
    static char text[512];
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; i < got.count && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s%s", i > 0 ? " " : "", (int)got.rows[i].value.size,
                              (const char *)got.rows[i].value.data, got.rows[i].is_blocked ? "!" : "");
    return text;
}

static kur_outbox_id id_of(const kur_outbox_row *row)
{
    return (kur_outbox_id){row->id, row->shard, row->mark};
}

/* Deletes all rows that were read. */
static void delete_read(void)
{
    static kur_outbox_id ids[ROWS_MAX];
    size_t deleted = 0;
    for (int i = 0; i < got.count; i++)
        ids[i] = id_of(&got.rows[i]);
    ck_ok(of->outbox_delete(line, ids, (size_t)got.count, &deleted, &error), error);
    ck_assert_uint_eq(deleted, (size_t)got.count);
}

/* ---- Parked rows ---- */

struct parked {
    int64_t id;
    int32_t shard, attempts;
    bool is_behind;
    char error[64], value[16], topic[32];
    uint32_t mark;
    int64_t created_us, parked_us;
};

static struct parked aside[64];
static int aside_count;

static kur_status take_parked(const kur_outbox_parked_row *row, void *user, kur_error *failed)
{
    struct parked *parked = &aside[aside_count++];
    (void)user;
    (void)failed;
    *parked = (struct parked){.id = row->row.id,
                              .shard = row->row.shard,
                              .attempts = row->attempts,
                              .is_behind = row->is_behind,
                              .mark = row->row.mark,
                              .created_us = row->row.created_us,
                              .parked_us = row->parked_us};
    snprintf(parked->error, sizeof parked->error, "%s", row->error != NULL ? row->error : "-");
    snprintf(parked->topic, sizeof parked->topic, "%s", row->row.topic);
    snprintf(parked->value, sizeof parked->value, "%.*s", (int)row->row.value.size, (const char *)row->row.value.data);
    return KUR_OK;
}

static int read_parked(const kur_outbox_id *after, int32_t rows)
{
    aside_count = 0;
    ck_ok(of->outbox_parked(line, after, rows, take_parked, NULL, &error), error);
    return aside_count;
}

static kur_outbox_parked_row refused(int index)
{
    return (kur_outbox_parked_row){.row = got.rows[index], .error = "too large", .attempts = 3};
}

static kur_outbox_parked_row behind(int index)
{
    return (kur_outbox_parked_row){.row = got.rows[index], .is_behind = true};
}

static void park(const kur_outbox_parked_row *rows, size_t count, bool blocks)
{
    ck_ok(of->outbox_park(line, rows, count, blocks, &error), error);
}

static void park_one(kur_outbox_parked_row row)
{
    park(&row, 1, true);
}

/* ---- The schema ---- */

static void *migrate_too(void *user)
{
    void *connection = user;
    kur_error own = {0};
    kur_status status = of->migrate(connection, SHARDS, &own);
    ck_assert_msg(status == KUR_OK, "%s", own.message);
    return NULL;
}

START_TEST(test_driver__makes_its_tables_once)
{
    int32_t schema = -1, shards = -1;
    kur_uuid id, again, none = {{0}};
    kur_buffer text = {0};
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(0);
    ck_ok(of->schema_read(line, &schema, &shards, &id, &error), error);
    ck_assert_int_eq(schema, 0);
    ck_ok(of->schema_text(state, 0, SHARDS, &text, &error), error);
    ck_assert_uint_gt(text.size, 0);
    kur_buffer_done(&text);
    ck_ok(of->schema_text(state, of->schema, SHARDS, &text, &error), error);
    ck_assert_uint_eq(text.size, 0);

    /* Several at once. */
    pthread_t threads[3];
    void *lines[3];
    for (int i = 0; i < 3; i++) {
        lines[i] = connect_line(database);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, migrate_too, lines[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        of->disconnect(lines[i]);
    }
    ck_ok(of->schema_read(line, &schema, &shards, &id, &error), error);
    ck_assert_int_eq(schema, of->schema);
    ck_assert_int_eq(shards, SHARDS);
    ck_assert_int_ne(memcmp(&id, &none, sizeof id), 0);
    add(1, "k", "v");
    ck_ok(of->migrate(line, 16, &error), error);
    ck_ok(of->schema_read(line, &schema, &shards, &again, &error), error);
    ck_assert_int_eq(shards, SHARDS);
    ck_assert_int_eq(memcmp(&id, &again, sizeof id), 0);
    ck_assert_int_eq(read_shard(1), 1);
    tear_down();
}
END_TEST

START_TEST(test_driver__tables_that_are_missing)
{
    int32_t shard = 0;
    int64_t epoch;
    kur_uuid log = {{0}};
    kur_outbox_id id = {1, 0, 1};
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(0);
    kur_inbox_place place = {sizeof place, "c", "t", 0, 0, 0};
    kur_outbox_figures figures = {.size = sizeof figures};
    ck_status(of->outbox_read(line, &shard, 1, 1, MANY, take, NULL, &error), KUR_ERROR_SCHEMA, error);
    ck_status(of->outbox_delete(line, &id, 1, NULL, &error), KUR_ERROR_SCHEMA, error);
    ck_status(of->outbox_figures(line, &figures, &error), KUR_ERROR_SCHEMA, error);
    ck_status(of->outbox_unpark(line, 1, &error), KUR_ERROR_SCHEMA, error);
    ck_status(of->inbox_join(line, &place, &log, NULL, &epoch, &error), KUR_ERROR_SCHEMA, error);
    ck_ok(of->begin(line, &error), error);
    kur_outbox_row row = row_of(0, "k", "v");
    ck_status(of->outbox_add(state, line, &row, &error), KUR_ERROR_SCHEMA, error);
    of->rollback(line);
    ck_ok(of->migrate(line, SHARDS, &error), error); /* none of that was held against the connection */
    ck_assert_int_eq(read_all(), 0);
    tear_down();
}
END_TEST

/* ---- Adding and reading ---- */

START_TEST(test_driver__rows_are_read_as_they_were_written)
{
    char bytes[3000];
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    kur_outbox_row rows[] = {
        row_of(3, "key", "value"),
        {.size = sizeof *rows, .shard = 3, .topic = "t.2", .mark = 1, .partition = KUR_PARTITION(0)},
        {.size = sizeof *rows, .shard = 3, .topic = "t", .mark = UINT32_MAX, .partition = KUR_PARTITION(71)},
        {.size = sizeof *rows, .shard = 3, .topic = "t", .mark = 0x80000000u}};
    rows[2].key = rows[2].value = rows[2].headers = kur_bytes_of("", 0);
    rows[3].key = rows[3].value = rows[3].headers = kur_bytes_of(bytes, sizeof bytes);
    ck_ok(of->begin(line, &error), error);
    for (int i = 0; i < 4; i++)
        ck_ok(of->outbox_add(state, line, &rows[i], &error), error);
    ck_ok(of->commit(line, &error), error);
    ck_assert_int_eq(read_all(), 4);
    for (int i = 0; i < 4; i++) {
        const kur_outbox_row *is = &got.rows[i], *was = &rows[i];
        ck_assert_int_ge(is->id, 1);
        ck_assert(i == 0 || is->id > got.rows[i - 1].id);
        ck_assert_int_eq(is->shard, 3);
        ck_assert_uint_eq(is->mark, was->mark);
        ck_assert_int_eq(is->partition, was->partition);
        ck_assert_str_eq(is->topic, was->topic);
        ck_assert(kur_bytes_equal(is->key, was->key));
        ck_assert(kur_bytes_equal(is->headers, was->headers));
        ck_assert(kur_bytes_equal(is->value, was->value));
        ck_assert(!is->is_blocked);
        ck_assert_int_gt(is->created_us, INT64_C(1500000000000000));
        ck_assert_int_lt(is->created_us, INT64_C(9000000000000000));
    }
    tear_down();
}
END_TEST

START_TEST(test_driver__rows_are_their_transactions)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    void *writer = connect_line(database);
    ck_ok(of->begin(writer, &error), error);
    add_on(writer, 0, "k", "a");
    ck_assert_int_eq(read_all(), 0);
    of->rollback(writer);
    ck_assert_int_eq(read_all(), 0);
    of->rollback(writer); /* nothing is open */
    ck_ok(of->begin(writer, &error), error);
    add_on(writer, 0, "k", "b");
    ck_ok(of->commit(writer, &error), error);
    ck_assert_int_eq(read_all(), 1);
    ck_assert_str_eq(values_read(), "b");
    /* What is open when a connection is closed never was. */
    ck_ok(of->begin(writer, &error), error);
    add_on(writer, 0, "k", "c");
    of->disconnect(writer);
    ck_assert_int_eq(read_all(), 1);

    kur_outbox_row row = row_of(0, "k", "v");
    ck_status(of->outbox_add(state, line, &row, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "transaction");
    ck_status(of->commit(line, &error), KUR_ERROR_INVALID_STATE, error);
    tear_down();
}
END_TEST

START_TEST(test_driver__another_database_is_refused)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    kur_database *same = opening_again(database);
    if (same != NULL) { /* by another way: that is the same one */
        const kur_driver *driver = kur_database_driver(same);
        void *connection = NULL;
        int32_t schema, shards;
        kur_uuid id;
        ck_ok(driver->connect(kur_database_state(same), &connection, &error), error);
        ck_ok(driver->schema_read(connection, &schema, &shards, &id, &error), error);
        ck_ok(of->begin(line, &error), error);
        kur_outbox_row row = row_of(0, "k", "v");
        ck_ok(driver->outbox_add(kur_database_state(same), line, &row, &error), error);
        ck_ok(of->commit(line, &error), error);
        ck_assert_int_eq(read_all(), 1);
        driver->disconnect(connection);
        kur_database_free(same);
    }
    tear_down();
}
END_TEST

START_TEST(test_driver__reads_so_much)
{
    static const int32_t two[] = {1, 3};
    static char large[100000];
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    memset(large, 'x', sizeof large - 1);
    add_many(1, 10);
    add_many(2, 10);
    add_many(3, 10);
    ck_assert_int_eq(read_of(two, 2, 4, MANY), 8);
    for (int i = 0; i < 8; i++)
        ck_assert_int_ne(got.rows[i].shard, 2);
    ck_assert_int_eq(read_of(two, 2, ROWS_MAX, MANY), 20);
    ck_assert_int_eq(read_of(NULL, 0, 4, MANY), 0);

    /* By size: something always, and not more than a row of each shard over it. */
    for (int i = 0; i < 4; i++)
        add(0, "k", large);
    int few = read_of(all, 1, ROWS_MAX, 2 * sizeof large);
    ck_assert_int_ge(few, 1);
    ck_assert_int_le(few, 3);
    ck_assert_int_eq(read_of(all, 1, ROWS_MAX, 1), 1);
    ck_assert_int_eq(read_of(all, 1, ROWS_MAX, 0) <= 1, 1);

    /* What takes them may have enough; the connection goes on. */
    got.stop_at = 3;
    read_all();
    ck_assert_int_eq(got.count, 3);
    ck_says(error, "enough");
    got.stop_at = 0;
    ck_assert_int_eq(read_all(), 34);
    tear_down();
}
END_TEST

START_TEST(test_driver__deletes_what_is_meant)
{
    size_t deleted = 99;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    add(0, "k", "a");
    add(1, "k", "b");
    add(1, "k", "c");
    ck_assert_int_eq(read_all(), 3);
    kur_outbox_id a = id_of(&got.rows[0]), b = id_of(&got.rows[1]);
    const kur_outbox_id others[] = {{a.id, a.shard, a.mark + 1}, {a.id, a.shard + 1, a.mark}, {a.id + 1000, 0, a.mark}};
    ck_ok(of->outbox_delete(line, others, 3, &deleted, &error), error);
    ck_assert_uint_eq(deleted, 0);
    const kur_outbox_id some[] = {a, others[0], b};
    ck_ok(of->outbox_delete(line, some, 3, &deleted, &error), error);
    ck_assert_uint_eq(deleted, 2);
    ck_ok(of->outbox_delete(line, some, 3, NULL, &error), error);
    ck_ok(of->outbox_delete(line, some, 0, &deleted, &error), error);
    ck_assert_uint_eq(deleted, 0);
    read_all();
    ck_assert_str_eq(values_read(), "c");
    add_many(2, 5000);
    ck_assert_int_eq(read_all(), 5001);
    delete_read();
    ck_assert_int_eq(read_all(), 0);
    tear_down();
}
END_TEST

/* ---- Floors ---- */

static void raise_often(void)
{
    for (int i = 0; i < 3; i++)
        ck_ok(of->outbox_raise(line, all, SHARDS, &error), error);
}

START_TEST(test_driver__floors_pass_by_nothing)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    raise_often(); /* nothing was ever there: the first row is not passed by */
    add(0, "k", "a");
    ck_assert_int_eq(read_all(), 1);
    raise_often(); /* it is still there */
    ck_assert_int_eq(read_all(), 1);
    add(1, "k", "b");
    read_shard(0);
    delete_read();
    raise_often();
    read_all();
    ck_assert_str_eq(values_read(), "b");
    add(0, "k", "c");
    raise_often();
    read_all();
    ck_assert_str_eq(values_read(), "c b");
    delete_read();
    raise_often();
    ck_assert_int_eq(read_all(), 0);
    ck_ok(of->outbox_raise(line, NULL, 0, &error), error);
    for (int i = 0; i < 50; i++) {
        add(i % SHARDS, "k", "x");
        ck_ok(of->outbox_raise(line, all, SHARDS, &error), error);
        ck_assert_int_eq(read_all(), 1);
        delete_read();
        ck_ok(of->outbox_raise(line, all, SHARDS, &error), error);
    }
    tear_down();
}
END_TEST

START_TEST(test_driver__floors_wait_for_open_transactions)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    if (!of->one_relay) { /* otherwise nobody else can write meanwhile */
        void *writer = connect_line(database);
        ck_ok(of->begin(writer, &error), error);
        add_on(writer, 0, "k", "late");
        for (int i = 0; i < 5; i++) {
            add(0, "k", "early");
            ck_assert_int_eq(read_all(), 1);
            delete_read();
            raise_often();
        }
        ck_ok(of->commit(writer, &error), error);
        read_all();
        ck_assert_str_eq(values_read(), "late");
        raise_often();
        ck_assert_int_eq(read_all(), 1);
        of->disconnect(writer);
    }
    tear_down();
}
END_TEST

/* ---- Parking ---- */

START_TEST(test_driver__parked_rows_block_their_key)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    add(0, "k", "a");
    add(0, "other", "b");
    add(0, "k", "c");
    add(1, "k", "d");
    add(0, NULL, "e");
    ck_assert_int_eq(read_all(), 5);
    kur_outbox_row gone = got.rows[0];
    kur_outbox_parked_row rows[] = {refused(0), refused(3)};
    rows[1].error = "also";
    park(rows, 2, true); /* a, and e without a key */
    ck_assert_int_eq(read_all(), 3);
    ck_assert_str_eq(values_read(), "b c! d");
    add(0, NULL, "f");
    add(0, "k", "g");
    read_all();
    ck_assert_str_eq(values_read(), "b c! f g! d");
    ck_assert_int_eq(read_parked(NULL, 10), 2);
    ck_assert_int_eq(aside[0].id, gone.id);
    ck_assert_uint_eq(aside[0].mark, gone.mark);
    ck_assert_int_eq(aside[0].created_us, gone.created_us);
    ck_assert_int_ge(aside[0].parked_us, gone.created_us);
    ck_assert_int_eq(aside[0].attempts, 3);
    ck_assert_str_eq(aside[0].error, "too large");
    ck_assert_str_eq(aside[0].topic, "orders");
    ck_assert_str_eq(aside[0].value, "a");
    ck_assert(!aside[0].is_behind);
    ck_assert_str_eq(aside[1].error, "also");
    /* Again: it is not there any more. Nor is one with another mark. */
    kur_outbox_parked_row again[] = {{.row = gone, .error = "x", .attempts = 1}, refused(0)};
    again[1].row.mark++;
    park(again, 2, true);
    park(again, 0, true);
    ck_assert_int_eq(read_parked(NULL, 10), 2);
    ck_assert_int_eq(read_all(), 5);
    tear_down();
}
END_TEST

START_TEST(test_driver__large_keys_are_blocked)
{
    char keys[2][20001]; /* more than any index takes, and the same but for the end */
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    for (int i = 0; i < 2; i++) {
        uint64_t number = 4711; /* nothing that can be packed */
        for (size_t k = 0; k < sizeof *keys - 1; k++) {
            number = number * UINT64_C(6364136223846793005) + 1442695040888963407;
            keys[i][k] = (char)('!' + (number >> 33) % 90);
        }
        keys[i][sizeof *keys - 2] = (char)('a' + i);
        keys[i][sizeof *keys - 1] = '\0';
    }
    add(0, keys[0], "a");
    add(0, keys[1], "b");
    add(0, keys[0], "c");
    read_all();
    kur_outbox_row first = got.rows[0];
    park_one(refused(0));
    read_all();
    ck_assert_str_eq(values_read(), "b c!");
    park_one(behind(1));
    ck_ok(of->outbox_unpark(line, first.id, &error), error);
    read_all();
    ck_assert_str_eq(values_read(), "a b c");
    tear_down();
}
END_TEST

START_TEST(test_driver__parked_rows_that_block_nothing)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    add(2, "k", "a");
    add(2, "k", "b");
    read_all();
    kur_outbox_parked_row row = refused(0);
    park(&row, 1, false);
    read_all();
    ck_assert_str_eq(values_read(), "b");
    ck_ok(of->outbox_unpark(line, row.row.id, &error), error);
    read_all();
    ck_assert_str_eq(values_read(), "a b");
    tear_down();
}
END_TEST

START_TEST(test_driver__unparked_rows_are_in_their_place)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    add(0, "k", "a");
    add(0, "k", "b");
    add(0, "l", "c");
    add(0, "k", "d");
    read_all();
    kur_outbox_row first = got.rows[0], second = got.rows[1];
    kur_outbox_parked_row rows[] = {refused(0), behind(1)};
    park(rows, 2, true);
    read_all();
    ck_assert_str_eq(values_read(), "c d!");
    park_one(behind(1));
    read_all();
    delete_read(); /* c */
    raise_often();
    add(0, "k", "e");
    read_all();
    ck_assert_str_eq(values_read(), "e!");
    ck_assert_int_eq(read_parked(NULL, 10), 3);
    ck_assert_str_eq(aside[1].error, "-");
    ck_assert(aside[1].is_behind);

    ck_status(of->outbox_unpark(line, second.id, &error), KUR_ERROR_INVALID_STATE, error);
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)first.id);
    ck_says(error, number);
    ck_status(of->outbox_drop(line, second.id, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(of->outbox_unpark(line, 123456, &error), KUR_ERROR_STALE, error);
    ck_status(of->outbox_drop(line, 123456, &error), KUR_ERROR_STALE, error);
    ck_ok(of->outbox_unpark(line, first.id, &error), error);
    ck_assert_int_eq(read_parked(NULL, 10), 0);
    read_all(); /* below the floor that was */
    ck_assert_str_eq(values_read(), "a b d e");
    ck_assert_int_eq(got.rows[0].id, first.id);
    ck_assert_uint_eq(got.rows[0].mark, first.mark);
    ck_assert_int_eq(got.rows[0].created_us, first.created_us);
    ck_status(of->outbox_unpark(line, first.id, &error), KUR_ERROR_STALE, error);
    raise_often();
    ck_assert_int_eq(read_all(), 4);

    /* The same with the first one dropped. */
    kur_outbox_parked_row more[] = {refused(0), behind(1)};
    park(more, 2, true);
    ck_ok(of->outbox_drop(line, first.id, &error), error);
    read_all();
    ck_assert_str_eq(values_read(), "b d e");
    ck_assert_int_eq(read_parked(NULL, 10), 0);
    tear_down();
}
END_TEST

START_TEST(test_driver__another_row_that_blocks)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    for (int i = 0; i < 4; i++)
        add(0, "k", (const char *[]){"a", "b", "c", "d"}[i]);
    read_all();
    kur_outbox_row a = got.rows[0], c = got.rows[2];
    kur_outbox_parked_row rows[] = {refused(0), behind(1), refused(2), behind(3)};
    park(rows, 4, true);
    ck_ok(of->outbox_unpark(line, a.id, &error), error);
    read_all(); /* c blocks what comes after it, not a */
    ck_assert_str_eq(values_read(), "a");
    delete_read();
    add(0, "k", "e");
    read_all();
    ck_assert_str_eq(values_read(), "e!");
    ck_ok(of->outbox_drop(line, c.id, &error), error);
    read_all();
    ck_assert_str_eq(values_read(), "b d e");
    tear_down();
}
END_TEST

START_TEST(test_driver__nothing_is_parked_behind_nothing)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    add(0, "k", "a");
    add(0, "k", "b");
    read_all();
    kur_outbox_row first = got.rows[0];
    park_one(refused(0));
    read_all();
    ck_assert_str_eq(values_read(), "b!");
    ck_ok(of->outbox_drop(line, first.id, &error), error); /* between a relay's reading and its parking */
    park_one(behind(0));
    read_all();
    ck_assert_str_eq(values_read(), "b");
    ck_assert_int_eq(read_parked(NULL, 10), 0);
    tear_down();
}
END_TEST

START_TEST(test_driver__parked_rows_are_listed)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    for (int i = 0; i < 8; i++)
        add(3 - i % SHARDS, (const char *[]){"1", "2", "3", "4", "5", "6", "7", "8"}[i], "v");
    read_all();
    kur_outbox_parked_row rows[8];
    for (int i = 0; i < 8; i++)
        rows[i] = refused(i);
    park(rows, 8, true);
    ck_assert_int_eq(read_parked(NULL, 3), 3);
    int seen = 0;
    kur_outbox_id last = {0, -1, 0};
    for (int count; (count = read_parked(seen > 0 ? &last : NULL, 3)) > 0; seen += count) {
        for (int i = 0; i < count; i++) {
            ck_assert(aside[i].shard > last.shard || (aside[i].shard == last.shard && aside[i].id > last.id));
            last = (kur_outbox_id){aside[i].id, aside[i].shard, 0};
        }
    }
    ck_assert_int_eq(seen, 8);
    tear_down();
}
END_TEST

START_TEST(test_driver__figures)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    kur_outbox_figures figures = {.size = sizeof figures};
    ck_ok(of->outbox_figures(line, &figures, &error), error);
    ck_assert_int_eq(figures.depth, 0);
    ck_assert_int_eq(figures.oldest_us, 0);
    ck_assert_int_eq(figures.parked + figures.behind + figures.blocked, 0);
    add(2, "k", "a");
    add(0, "k", "b");
    add(0, "k", "c");
    add(0, NULL, "d");
    read_all();
    int64_t oldest_us = got.rows[3].created_us;
    ck_ok(of->outbox_figures(line, &figures, &error), error);
    ck_assert_int_eq(figures.depth, 4);
    ck_assert_int_eq(figures.oldest_us, oldest_us);
    kur_outbox_parked_row rows[] = {refused(0), behind(1), refused(2)};
    park(rows, 3, true);
    ck_ok(of->outbox_figures(line, &figures, &error), error);
    ck_assert_int_eq(figures.depth, 1);
    ck_assert_int_eq(figures.parked, 2);
    ck_assert_int_eq(figures.behind, 1);
    ck_assert_int_eq(figures.blocked, 1);
    for (int i = 0; i < 4; i++)
        add_many(1, 3000);
    ck_ok(of->outbox_figures(line, &figures, &error), error);
    ck_assert_int_gt(figures.depth, 11000); /* 12,001; estimated */
    ck_assert_int_lt(figures.depth, 13000);
    tear_down();
}
END_TEST

/* ---- Claims ---- */

static int32_t claimed[KUR_OUTBOX_SHARDS_MAX];

static size_t claim_for(const char *relay, int32_t lease_ms)
{
    kur_outbox_claim claim = {sizeof claim, relay, 0, lease_ms, true, false};
    size_t count = 999;
    ck_ok(of->outbox_claim(line, &claim, claimed, &count, &error), error);
    return count;
}

static void leave(const char *relay)
{
    kur_outbox_claim claim = {sizeof claim, relay, 0, 10000, true, true};
    size_t count = 999;
    ck_ok(of->outbox_claim(line, &claim, claimed, &count, &error), error);
    ck_assert_uint_eq(count, 0);
}

/* Adds the shards that were claimed last to a set; no shard may be there twice. */
static void gather(uint64_t *set, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg((*set & UINT64_C(1) << claimed[i]) == 0, "shard %d has two owners", (int)claimed[i]);
        *set |= UINT64_C(1) << claimed[i];
    }
}

START_TEST(test_driver__relays_share_the_shards)
{
    static const char *const names[] = {"a", "b", "c"};
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(10);
    ck_assert_uint_eq(claim_for("b", 10000), 10);
    if (of->one_relay) {
        ck_assert_uint_eq(claim_for("a", 10000), 0);
        ck_assert_uint_eq(claim_for("b", 10000), 10);
        leave("b");
        ck_assert_uint_eq(claim_for("a", 10000), 10);
        tear_down();
        return;
    }
    ck_assert_uint_eq(claim_for("a", 10000), 0); /* its share comes free at the other's next beat */
    uint64_t set = 0;
    gather(&set, claim_for("b", 10000));
    gather(&set, claim_for("a", 10000));
    ck_assert_uint_eq(set, 1023);
    for (int round = 0; round < 3; round++) {
        set = 0;
        for (int i = 0; i < 3; i++) {
            size_t count = claim_for(names[i], 10000);
            ck_assert_uint_le(count, round == 0 ? 5 : 4);
            gather(&set, count);
        }
    }
    ck_assert_uint_eq(set, 1023);
    /* Who keeps coming keeps what it has. */
    uint64_t before = 0, after = 0;
    gather(&before, claim_for("b", 10000));
    gather(&after, claim_for("b", 10000));
    ck_assert_uint_eq(before, after);
    leave("b");
    set = 0;
    gather(&set, claim_for("a", 10000));
    gather(&set, claim_for("c", 10000));
    ck_assert_uint_eq(set, 1023);
    leave("a");
    ck_assert_uint_eq(claim_for("c", 10000), 10);
    tear_down();
}
END_TEST

START_TEST(test_driver__leases_end)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    ck_assert_uint_eq(claim_for("dead", 300), SHARDS);
    int64_t deadline_us = kur_clock_monotonic_us() + DEADLINE_MS * INT64_C(1000);
    size_t count = 0;
    while (kur_clock_monotonic_us() < deadline_us && (count = claim_for("alive", 10000)) < SHARDS)
        poll(NULL, 0, 10);
    ck_assert_uint_eq(count, SHARDS);
    count = claim_for("dead", 10000); /* it comes back, to what is its share now */
    ck_assert_uint_eq(count, 0);
    tear_down();
}
END_TEST

START_TEST(test_driver__guarantees_are_not_mixed)
{
    size_t count = 999;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    kur_outbox_claim once = {sizeof once, "once", 1, 10000, false, false};
    ck_ok(of->outbox_claim(line, &once, claimed, &count, &error), error);
    ck_assert_uint_eq(count, 0);
    kur_outbox_claim least = {sizeof least, "least", 0, 10000, true, false};
    ck_status(of->outbox_claim(line, &least, claimed, &count, &error), KUR_ERROR_INVALID_STATE, error);
    once.ends = true;
    ck_ok(of->outbox_claim(line, &once, claimed, &count, &error), error);
    ck_ok(of->outbox_claim(line, &least, claimed, &count, &error), error);
    ck_assert_uint_eq(count, SHARDS);
    once.ends = false;
    ck_status(of->outbox_claim(line, &once, claimed, &count, &error), KUR_ERROR_INVALID_STATE, error);
    leave("least");
    ck_ok(of->outbox_claim(line, &once, claimed, &count, &error), error);
    tear_down();
}
END_TEST

/* ---- Inbox ---- */

static const kur_uuid log_a = {{1, 2, 3}}, log_b = {{9, 9, 9}};
static kur_inbox_place here; /* with the epoch in force */

static void join(int64_t offset)
{
    kur_uuid log = log_a;
    here = (kur_inbox_place){sizeof here, "inventory", "orders", 7, offset, 0};
    ck_ok(of->inbox_join(line, &here, &log, NULL, &here.epoch, &error), error);
}

static kur_inbox_place at(int64_t offset)
{
    kur_inbox_place place = here;
    place.offset = offset;
    return place;
}

static kur_inbox_turn enter_on(void *connection, int64_t offset)
{
    kur_inbox_place place = at(offset);
    kur_inbox_turn turn = 0;
    ck_ok(of->inbox_enter(connection, &place, &turn, &error), error);
    return turn;
}

/* Handles a record, when its turn has come. */
static kur_inbox_turn handle(int64_t offset)
{
    ck_ok(of->begin(line, &error), error);
    kur_inbox_turn turn = enter_on(line, offset);
    if (turn == KUR_INBOX_HANDLE)
        ck_ok(of->commit(line, &error), error);
    else
        of->rollback(line);
    return turn;
}

static kur_inbox_turn leave_open(int64_t offset)
{
    kur_inbox_place place = at(offset);
    kur_inbox_turn turn = 0;
    ck_ok(of->begin(line, &error), error);
    ck_ok(of->inbox_leave_open(line, &place, &turn, &error), error);
    if (turn != KUR_INBOX_LOST) /* there may be others in the transaction */
        ck_ok(of->commit(line, &error), error);
    else
        of->rollback(line);
    return turn;
}

static void move(int64_t offset)
{
    kur_inbox_place place = at(offset);
    ck_ok(of->inbox_move(line, &place, &log_a, &error), error);
}

START_TEST(test_driver__records_are_done_once)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    join(10);
    ck_assert_int_eq(handle(10), KUR_INBOX_HANDLE);
    ck_assert_int_eq(handle(10), KUR_INBOX_DONE);
    ck_assert_int_eq(handle(12), KUR_INBOX_HANDLE);
    /* Rolled back: not done. */
    ck_ok(of->begin(line, &error), error);
    ck_assert_int_eq(enter_on(line, 11), KUR_INBOX_HANDLE);
    of->rollback(line);
    ck_assert_int_eq(handle(11), KUR_INBOX_HANDLE);
    move(12);
    ck_assert_int_eq(handle(10), KUR_INBOX_DONE);
    ck_assert_int_eq(handle(11), KUR_INBOX_DONE);
    ck_assert_int_eq(handle(12), KUR_INBOX_DONE);
    move(11); /* never down */
    ck_assert_int_eq(handle(11), KUR_INBOX_DONE);
    move(20);
    ck_assert_int_eq(handle(19), KUR_INBOX_DONE);
    ck_assert_int_eq(handle(20), KUR_INBOX_HANDLE);
    /* What was before the inbox is not done. */
    ck_assert_int_eq(handle(9), KUR_INBOX_HANDLE);
    ck_assert_int_eq(handle(9), KUR_INBOX_DONE);
    /* Other places are others. */
    here.partition = 8;
    ck_assert_int_eq(handle(10), KUR_INBOX_LOST); /* nobody has joined */
    join(10);
    here.consumer = "billing";
    ck_assert_int_eq(handle(10), KUR_INBOX_LOST);
    tear_down();
}
END_TEST

START_TEST(test_driver__a_position_that_is_not_known)
{
    kur_uuid log = log_a;
    int64_t next = 0, epoch = 0;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    join(-1);
    ck_assert_int_eq(handle(5), KUR_INBOX_HANDLE);
    ck_assert_int_eq(handle(5), KUR_INBOX_DONE);
    move(8);
    ck_assert_int_eq(handle(5), KUR_INBOX_DONE);
    ck_assert_int_eq(handle(6), KUR_INBOX_HANDLE); /* from before the first move */
    move(12);
    ck_assert_int_eq(handle(9), KUR_INBOX_DONE);
    /* Joined again: what is kept is told. */
    kur_inbox_place place = at(99);
    log = log_b;
    ck_ok(of->inbox_join(line, &place, &log, &next, &epoch, &error), error);
    ck_assert_int_eq(memcmp(&log, &log_a, sizeof log), 0);
    ck_assert_int_eq(next, 12);
    ck_assert_int_eq(epoch, here.epoch);
    place = at(13);
    ck_ok(of->inbox_move(line, &place, &log_b, &error), error);
    ck_ok(of->inbox_join(line, &place, &log, &next, &epoch, &error), error);
    ck_assert_int_eq(memcmp(&log, &log_b, sizeof log), 0);
    ck_assert_int_eq(next, 13);
    tear_down();
}
END_TEST

START_TEST(test_driver__open_records_come_again)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    join(0);
    ck_assert_int_eq(leave_open(3), KUR_INBOX_HANDLE);
    ck_assert_int_eq(leave_open(3), KUR_INBOX_HANDLE);
    ck_assert_int_eq(leave_open(4), KUR_INBOX_HANDLE);
    ck_assert_int_eq(handle(4), KUR_INBOX_HANDLE);
    ck_assert_int_eq(leave_open(4), KUR_INBOX_DONE);
    move(10);
    move(11);
    ck_assert_int_eq(leave_open(3), KUR_INBOX_HANDLE);
    ck_ok(of->begin(line, &error), error); /* rolled back it stays open */
    ck_assert_int_eq(enter_on(line, 3), KUR_INBOX_HANDLE);
    of->rollback(line);
    ck_assert_int_eq(handle(3), KUR_INBOX_HANDLE);
    ck_assert_int_eq(handle(3), KUR_INBOX_DONE);
    ck_assert_int_eq(leave_open(3), KUR_INBOX_DONE);
    ck_assert_int_eq(leave_open(5), KUR_INBOX_DONE); /* passed without a row */
    ck_assert_int_eq(handle(5), KUR_INBOX_DONE);
    ck_assert_int_eq(handle(4), KUR_INBOX_DONE);
    /* Open, ahead of the position, and done before it comes by. */
    ck_assert_int_eq(leave_open(15), KUR_INBOX_HANDLE);
    ck_assert_int_eq(handle(15), KUR_INBOX_HANDLE);
    move(20);
    ck_assert_int_eq(handle(15), KUR_INBOX_DONE);
    here.epoch += 5;
    ck_assert_int_eq(leave_open(30), KUR_INBOX_LOST);
    tear_down();
}
END_TEST

START_TEST(test_driver__a_partition_begins_anew)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    join(10);
    handle(10);
    handle(11);
    leave_open(12);
    move(12);
    handle(15);
    kur_inbox_place old = at(11), wrong = at(11);
    wrong.epoch += 3;
    ck_status(of->inbox_reset(line, &wrong, &log_b, &error), KUR_ERROR_FENCED, error);
    ck_ok(of->inbox_reset(line, &old, &log_b, &error), error);
    ck_assert_int_eq(handle(11), KUR_INBOX_LOST); /* the epoch is another */
    ck_status(of->inbox_move(line, &old, &log_a, &error), KUR_ERROR_FENCED, error);
    ck_status(of->inbox_reset(line, &old, &log_b, &error), KUR_ERROR_FENCED, error);
    kur_uuid log = log_a;
    int64_t next = 0, epoch = here.epoch;
    ck_ok(of->inbox_join(line, &here, &log, &next, &here.epoch, &error), error);
    ck_assert_int_gt(here.epoch, epoch);
    ck_assert_int_eq(next, 11);
    ck_assert_int_eq(memcmp(&log, &log_b, sizeof log), 0);
    ck_assert_int_eq(handle(10), KUR_INBOX_DONE);
    ck_assert_int_eq(handle(11), KUR_INBOX_HANDLE);
    ck_assert_int_eq(handle(15), KUR_INBOX_HANDLE);
    /* Before where it began. */
    kur_inbox_place before = at(2);
    ck_ok(of->inbox_reset(line, &before, &log_b, &error), error);
    join(0);
    move(5);
    ck_assert_int_eq(handle(3), KUR_INBOX_DONE);
    ck_assert_int_eq(handle(10), KUR_INBOX_HANDLE);
    tear_down();
}
END_TEST

/* Somebody else, on a thread and a connection of its own. */
struct other {
    void *connection;
    int64_t offset;
    kur_inbox_turn turn;
    kur_status status;
    kur_error error;
    atomic_bool has_begun, has_ended;
    pthread_t thread;
};

static void *enter_there(void *user)
{
    struct other *other = user;
    kur_inbox_place place = at(other->offset);
    other->status = of->begin(other->connection, &other->error);
    atomic_store(&other->has_begun, true);
    if (other->status == KUR_OK)
        other->status = of->inbox_enter(other->connection, &place, &other->turn, &other->error);
    if (other->status == KUR_OK)
        other->status = of->commit(other->connection, &other->error);
    atomic_store(&other->has_ended, true);
    return NULL;
}

static void *reset_there(void *user)
{
    struct other *other = user;
    kur_inbox_place place = at(other->offset);
    atomic_store(&other->has_begun, true);
    other->status = of->inbox_reset(other->connection, &place, &log_b, &other->error);
    atomic_store(&other->has_ended, true);
    return NULL;
}

static void *move_there(void *user)
{
    struct other *other = user;
    kur_inbox_place place = at(other->offset);
    atomic_store(&other->has_begun, true);
    other->status = of->inbox_move(other->connection, &place, &log_a, &other->error);
    atomic_store(&other->has_ended, true);
    return NULL;
}

static void start(struct other *other, void *(*what)(void *), int64_t offset)
{
    *other = (struct other){.connection = connect_line(database), .offset = offset};
    ck_assert_int_eq(pthread_create(&other->thread, NULL, what, other), 0);
    while (!of->one_relay && !atomic_load(&other->has_begun))
        poll(NULL, 0, 1);
}

static void join_other(struct other *other)
{
    pthread_join(other->thread, NULL);
    ck_assert_msg(other->status == KUR_OK, "%s", other->error.message);
    of->disconnect(other->connection);
}

START_TEST(test_driver__two_who_handle_a_record)
{
    struct other other;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    join(0);
    for (int i = 0; i < 20; i++) { /* the other one comes at this or that moment */
        bool commits = i % 2 == 0, was_open = i % 4 < 2;
        if (was_open)
            ck_assert_int_eq(leave_open(i), KUR_INBOX_HANDLE);
        ck_ok(of->begin(line, &error), error);
        ck_assert_int_eq(enter_on(line, i), KUR_INBOX_HANDLE);
        start(&other, enter_there, i);
        poll(NULL, 0, i);
        ck_assert(!atomic_load(&other.has_ended));
        if (commits)
            ck_ok(of->commit(line, &error), error);
        else
            of->rollback(line);
        join_other(&other);
        ck_assert_int_eq(other.turn, commits ? KUR_INBOX_DONE : KUR_INBOX_HANDLE);
    }
    tear_down();
}
END_TEST

/* Its copy in a retry topic is there before that it comes again is kept. */
START_TEST(test_driver__who_enters_while_a_record_is_left_open)
{
    struct other other;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    join(0);
    for (int i = 0; i < 20; i++) {
        kur_inbox_place place = at(i);
        kur_inbox_turn turn = 0;
        ck_ok(of->begin(line, &error), error);
        ck_ok(of->inbox_leave_open(line, &place, &turn, &error), error);
        ck_assert_int_eq(turn, KUR_INBOX_HANDLE);
        start(&other, enter_there, i);
        poll(NULL, 0, i);
        ck_ok(of->commit(line, &error), error);
        join_other(&other);
        ck_assert_int_eq(other.turn, KUR_INBOX_HANDLE);
        ck_assert_int_eq(handle(i), KUR_INBOX_DONE);
    }
    tear_down();
}
END_TEST

START_TEST(test_driver__handlers_and_others_beside_them)
{
    struct other other;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    join(0);
    handle(1);
    ck_ok(of->begin(line, &error), error);
    ck_assert_int_eq(enter_on(line, 5), KUR_INBOX_HANDLE);
    if (!of->one_relay) { /* who moves, and who handles others, does not wait */
        start(&other, enter_there, 6);
        join_other(&other);
        ck_assert_int_eq(other.turn, KUR_INBOX_HANDLE);
        start(&other, move_there, 4);
        join_other(&other);
    }
    start(&other, reset_there, 3); /* who resets does */
    poll(NULL, 0, 100);
    ck_assert(!atomic_load(&other.has_ended));
    ck_ok(of->commit(line, &error), error);
    join_other(&other);
    ck_assert_int_eq(handle(5), KUR_INBOX_LOST);
    join(0);
    ck_assert_int_eq(handle(5), KUR_INBOX_HANDLE); /* it was from the offset on */
    tear_down();
}
END_TEST

/* A record that is done, again and again, while its position moves over it. */
START_TEST(test_driver__a_mover_hides_nothing)
{
    struct other mover;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    join(0);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(handle(i), KUR_INBOX_HANDLE);
        start(&mover, move_there, i + 1);
        ck_assert_int_eq(handle(i), KUR_INBOX_DONE);
        join_other(&mover);
        ck_assert_int_eq(handle(i), KUR_INBOX_DONE);
    }
    tear_down();
}
END_TEST

static bool note(void *connection, const char *consumer, const char *id)
{
    bool was_there = false;
    ck_ok(of->inbox_note(connection, consumer, id, &was_there, &error), error);
    return was_there;
}

START_TEST(test_driver__ids_are_noted)
{
    char long_id[5001];
    int32_t count = 0;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    memset(long_id, 'i', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    ck_ok(of->begin(line, &error), error);
    ck_assert(!note(line, "c", "1"));
    ck_assert(note(line, "c", "1"));
    of->rollback(line);
    ck_ok(of->begin(line, &error), error);
    ck_assert(!note(line, "c", "1"));
    ck_assert(!note(line, "c", "2"));
    ck_assert(!note(line, "c", long_id));
    ck_assert(!note(line, "other", "1"));
    ck_ok(of->commit(line, &error), error);
    ck_ok(of->begin(line, &error), error);
    ck_assert(note(line, "c", "1"));
    ck_assert(note(line, "c", long_id));
    long_id[4999] = 'j';
    ck_assert(!note(line, "c", long_id));
    of->rollback(line);
    ck_ok(of->inbox_forget(line, "c", 1, 10, &count, &error), error);
    ck_assert_int_eq(count, 0);
    int64_t later_us = kur_clock_now_us() + INT64_C(3600000000);
    ck_ok(of->inbox_forget(line, "c", later_us, 2, &count, &error), error);
    ck_assert_int_eq(count, 2);
    ck_ok(of->inbox_forget(line, "c", later_us, 2, &count, &error), error);
    ck_assert_int_eq(count, 1);
    ck_ok(of->begin(line, &error), error);
    ck_assert(!note(line, "c", "1"));
    ck_assert(note(line, "other", "1"));
    of->rollback(line);
    tear_down();
}
END_TEST

/* ---- What operators look at ---- */

static char told[512];

static kur_status tell_shard(const kur_outbox_shard *shard, void *user, kur_error *failed)
{
    size_t n = strlen(told);
    (void)user;
    (void)failed;
    snprintf(told + n, sizeof told - n, "%d=%s ", (int)shard->shard, shard->owner != NULL ? shard->owner : "-");
    return KUR_OK;
}

static kur_status tell_relay(const kur_outbox_relay *relay, void *user, kur_error *failed)
{
    size_t n = strlen(told);
    (void)user;
    (void)failed;
    ck_assert_int_gt(relay->lease_until_us, INT64_C(1500000000000000));
    snprintf(told + n, sizeof told - n, "%s:%d ", relay->name, (int)relay->guarantee);
    return KUR_OK;
}

static kur_status tell_position(const kur_inbox_position *position, void *user, kur_error *failed)
{
    size_t n = strlen(told);
    (void)user;
    (void)failed;
    ck_assert_int_eq(memcmp(&position->log_id, &log_a, sizeof log_a), 0);
    snprintf(told + n, sizeof told - n, "%s/%s/%d:%lld-%lld,%lld+%lld ", position->consumer, position->topic,
             (int)position->partition, (long long)position->first, (long long)position->next, (long long)position->done,
             (long long)position->open);
    return KUR_OK;
}

static const char *tell_shards(void)
{
    told[0] = '\0';
    ck_ok(of->outbox_shards(line, tell_shard, NULL, &error), error);
    return told;
}

static const char *tell_relays(void)
{
    told[0] = '\0';
    ck_ok(of->outbox_relays(line, tell_relay, NULL, &error), error);
    return told;
}

static const char *tell_positions(const char *consumer)
{
    told[0] = '\0';
    ck_ok(of->inbox_positions(line, consumer, tell_position, NULL, &error), error);
    return told;
}

START_TEST(test_driver__tells_of_relays)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(2);
    ck_assert_str_eq(tell_shards(), "0=- 1=- ");
    ck_assert_str_eq(tell_relays(), "");
    claim_for("r", 10000);
    ck_assert_str_eq(tell_shards(), "0=r 1=r ");
    ck_assert_str_eq(tell_relays(), "r:0 ");
    leave("r");
    ck_assert_str_eq(tell_shards(), "0=- 1=- ");
    ck_assert_str_eq(tell_relays(), "");
    tear_down();
}
END_TEST

START_TEST(test_driver__tells_of_inboxes_and_removes_them)
{
    int32_t count = 0;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up(SHARDS);
    join(10);
    handle(10);
    handle(11);
    leave_open(12);
    kur_uuid log = log_a;
    kur_inbox_place more[] = {{sizeof *more, "inventory", "Orders", 1, 5, 0},
                              {sizeof *more, "inventory", "orders", 6, -1, 0},
                              {sizeof *more, "billing", "orders", 7, 0, 0}};
    for (int i = 0; i < 3; i++)
        ck_ok(of->inbox_join(line, &more[i], &log, NULL, &more[i].epoch, &error), error);
    ck_assert_str_eq(tell_positions("inventory"), "inventory/Orders/1:5-5,0+0 inventory/orders/6:-1--1,0+0 "
                                                  "inventory/orders/7:10-10,2+1 ");
    tell_positions(NULL);
    ck_assert(strncmp(told, "billing/orders/7:0-0,0+0 inventory/", 35) == 0);
    ck_assert_str_eq(tell_positions("nobody"), "");
    ck_ok(of->begin(line, &error), error);
    note(line, "inventory", "1");
    note(line, "billing", "1");
    ck_ok(of->commit(line, &error), error);

    ck_ok(of->inbox_remove(line, "inventory", "orders", 7, &count, &error), error);
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(handle(10), KUR_INBOX_LOST);
    join(0);
    ck_assert_int_eq(handle(10), KUR_INBOX_HANDLE);
    ck_ok(of->inbox_remove(line, "inventory", "orders", -1, &count, &error), error);
    ck_assert_int_eq(count, 2);
    ck_assert_str_eq(tell_positions("inventory"), "inventory/Orders/1:5-5,0+0 ");
    ck_ok(of->inbox_remove(line, "inventory", NULL, -1, &count, &error), error);
    ck_assert_int_eq(count, 1);
    ck_assert_str_eq(tell_positions(NULL), "billing/orders/7:0-0,0+0 ");
    ck_ok(of->begin(line, &error), error);
    ck_assert(!note(line, "inventory", "1"));
    ck_assert(note(line, "billing", "1"));
    of->rollback(line);
    tear_down();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_driver__makes_its_tables_once,
                                  test_driver__tables_that_are_missing,
                                  test_driver__rows_are_read_as_they_were_written,
                                  test_driver__rows_are_their_transactions,
                                  test_driver__another_database_is_refused,
                                  test_driver__reads_so_much,
                                  test_driver__deletes_what_is_meant,
                                  test_driver__floors_pass_by_nothing,
                                  test_driver__floors_wait_for_open_transactions,
                                  test_driver__parked_rows_block_their_key,
                                  test_driver__large_keys_are_blocked,
                                  test_driver__parked_rows_that_block_nothing,
                                  test_driver__unparked_rows_are_in_their_place,
                                  test_driver__another_row_that_blocks,
                                  test_driver__nothing_is_parked_behind_nothing,
                                  test_driver__parked_rows_are_listed,
                                  test_driver__figures,
                                  test_driver__relays_share_the_shards,
                                  test_driver__leases_end,
                                  test_driver__guarantees_are_not_mixed,
                                  test_driver__records_are_done_once,
                                  test_driver__a_position_that_is_not_known,
                                  test_driver__open_records_come_again,
                                  test_driver__a_partition_begins_anew,
                                  test_driver__two_who_handle_a_record,
                                  test_driver__who_enters_while_a_record_is_left_open,
                                  test_driver__handlers_and_others_beside_them,
                                  test_driver__a_mover_hides_nothing,
                                  test_driver__ids_are_noted,
                                  test_driver__tells_of_relays,
                                  test_driver__tells_of_inboxes_and_removes_them,
                                  NULL};
    int result = check_main(opening_name, tests);
    kur_arena_free(texts);
    return result;
}
