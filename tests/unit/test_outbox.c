/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The writer's side of an outbox, over the driver in memory: what stands in rows is what a producer would send, what a
 * producer would refuse is refused, and what was parked is listed, put back and dropped.
 */
#include "outbox/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <kurier/kurier.h>
#include <kurier/sys/message.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../check_main.h"
#include "../failing.h"
#include "../memory_driver.h"
#include "../shop.h"

/* ---- Rows ---- */

START_TEST(test_row__shards_are_javas)
{
    /* What org.apache.kafka.common.utils.Utils.murmur2 gives, from Kafka's own tests. */
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = {{"21", -973932308},
                 {"foobar", -790332482},
                 {"a-little-bit-long-string", -985981536},
                 {"a-little-bit-longer-string", -1486304829},
                 {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                 {"abc", 479470107}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int32_t positive = known[i].hash & INT32_MAX;
        for (int32_t shards = 1; shards <= KUR_OUTBOX_SHARDS_MAX; shards++)
            ck_assert_int_eq(kur__outbox_shard(kur_bytes_text(known[i].key), 77, shards), positive % shards);
        ck_assert_int_eq(kur__outbox_shard(kur_bytes_text(known[i].key), 0, INT32_MAX), positive % INT32_MAX);
    }
    /* A key that is empty is one; without a key, the mark decides. */
    ck_assert_int_eq(kur__outbox_shard(kur_bytes_of("", 0), 1, 16), kur__outbox_shard(kur_bytes_of("", 0), 2, 16));
    ck_assert_int_eq(kur__outbox_shard((kur_bytes){0}, 17, 16), 1);
    ck_assert_int_eq(kur__outbox_shard((kur_bytes){0}, UINT32_MAX, 256), 255);
}
END_TEST

static void same_headers(const kur_header *a, size_t a_count, const kur_header *b, size_t b_count)
{
    ck_assert_uint_eq(a_count, b_count);
    for (size_t i = 0; i < a_count; i++) {
        ck_assert_str_eq(a[i].name, b[i].name);
        ck_assert(kur_bytes_equal(a[i].value, b[i].value));
    }
}

START_TEST(test_row__headers_both_ways)
{
    kur_error error = {0};
    static char large[20000];
    memset(large, 'x', sizeof large);
    const kur_header headers[] = {{"ce_id", kur_bytes_text("1")},
                                  {"none", {NULL, 0}},
                                  {"empty", kur_bytes_of("", 0)},
                                  {"", kur_bytes_text("a name that is empty")},
                                  {"ce_id", kur_bytes_text("twice")},
                                  {"bytes", kur_bytes_of("\0\xff\0", 3)},
                                  {"large", kur_bytes_of(large, sizeof large)}};
    const size_t count = sizeof headers / sizeof *headers;
    for (size_t n = 0; n <= count; n++) {
        kur_buffer bytes = {0};
        kur_arena *arena = kur_arena_new();
        const kur_header *read = NULL;
        size_t read_count = 99;
        ck_ok(kur__headers_write(headers, n, &bytes, &error), error);
        ck_ok(kur__headers_read(kur_bytes_of(bytes.data, bytes.size), arena, &read, &read_count, &error), error);
        same_headers(read, read_count, headers, n);
        kur_arena_free(arena);
        kur_buffer_done(&bytes);
    }
}
END_TEST

static kur_status read_bytes(const void *data, size_t size, size_t *taken)
{
    kur_error error = {0};
    const kur_header *headers = NULL;
    size_t count = 99;
    /* A copy, so that a sanitizer sees where it ends. */
    char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, data, size);
    kur_arena *arena = kur_arena_new();
    kur_status status = kur__headers_read(kur_bytes_of(copy, size), arena, &headers, &count, &error);
    if (status != KUR_OK) {
        ck_assert_ptr_null(headers);
        ck_assert_uint_eq(count, 99);
        ck_says(error, "the row's headers are not as this library writes them");
    }
    *taken = kur_arena_size(arena);
    kur_arena_free(arena);
    free(copy);
    return status;
}

#define BYTES(text) (text), sizeof(text) - 1

START_TEST(test_row__hostile_headers)
{
    static const struct {
        const char *data;
        size_t size;
    } wrong[] = {
        {BYTES("")},
        {BYTES("\1")},
        {BYTES("\2\0")},                                          /* another form */
        {BYTES("\1\1")},                                          /* a header is missing */
        {BYTES("\1\0\0")},                                        /* something follows */
        {BYTES("\1\1\1a\1\0")},                                   /* likewise */
        {BYTES("\1\1\2a\1")},                                     /* the name is cut */
        {BYTES("\1\1\1a\3b")},                                    /* the value is cut */
        {BYTES("\1\1\1a")},                                       /* its size is missing */
        {BYTES("\1\1\3a\0b\1")},                                  /* NUL in a name */
        {BYTES("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1")},      /* as many as there are numbers */
        {BYTES("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1")},  /* more than that */
        {BYTES("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\2")},      /* a number of 65 bits */
        {BYTES("\1\x80\x80\x80\x80\x80\x80\x80\x80\x80\2")},      /* likewise, and 0 in 64 */
        {BYTES("\1\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1a")},   /* a size that wraps around */
        {BYTES("\1\1\1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\1")}, /* likewise of a value */
        {BYTES("\1\x80\0")},                                      /* 0 in two bytes */
        {BYTES("\1\x81\0\1a\1")},                                 /* 1 in two bytes */
        {BYTES("\x81\0\0")},                                      /* the form */
        {BYTES("\1\x80")},                                        /* a number that is cut */
    };
    size_t taken;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_msg(read_bytes(wrong[i].data, wrong[i].size, &taken) == KUR_ERROR_SYNTAX, "%zu", i);
        ck_assert_uint_eq(taken, 0);
    }
    ck_assert_int_eq(read_bytes(BYTES("\1\0"), &taken), KUR_OK);
    ck_assert_int_eq(read_bytes(BYTES("\1\1\1a\0"), &taken), KUR_OK);
    /* Many that take two bytes each, and one byte less. */
    enum {
        MANY = 100000
    };
    char *many = calloc(4 + 2 * MANY, 1);
    memcpy(many, "\1\xa0\x8d\6", 4);
    ck_assert_int_eq(read_bytes(many, 4 + 2 * MANY, &taken), KUR_OK);
    ck_assert_uint_le(taken, MANY * (sizeof(kur_header) + 1) + 64);
    ck_assert_int_eq(read_bytes(many, 3 + 2 * MANY, &taken), KUR_ERROR_SYNTAX);
    ck_assert_uint_eq(taken, 0);
    free(many);
}
END_TEST

/* ---- Adding ---- */

/* A client, a database with 16 shards, an outbox; and what was logged. */
struct fixture {
    kur_client *client;
    kur_database *database;
    const kur_driver *driver;
    kur_outbox *outbox;
    char log[2000];
};

static void keep_log(kur_log_level level, const char *message, void *user)
{
    struct fixture *f = user;
    size_t size = strlen(f->log);
    snprintf(f->log + size, sizeof f->log - size, "%s %s\n", kur_log_level_name(level), message);
}

static void set_up(struct fixture *f, const kur_outbox_options *options)
{
    kur_error error = {0};
    *f = (struct fixture){.database = memory_database(16)};
    f->client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:1", .source = "/tests", .log = keep_log, .log_user = f),
        &error);
    ck_assert_msg(f->client != NULL, "%s", error.message);
    f->driver = kur_database_driver(f->database);
    f->outbox = kur_outbox_new(f->client, f->database, options, &error);
    ck_assert_msg(f->outbox != NULL, "%s", error.message);
}

static void tear_down(struct fixture *f)
{
    kur_outbox_free(f->outbox);
    ck_assert_uint_eq(memory_count(f->database).connections, 0);
    kur_database_free(f->database);
    kur_client_unref(f->client);
}

static void *connect_to(const struct fixture *f)
{
    kur_error error = {0};
    void *connection = NULL;
    ck_ok(f->driver->connect(kur_database_state(f->database), &connection, &error), error);
    return connection;
}

/* The rows that there are; the test goes on with each as a message. */
struct rows {
    kur_arena *arena;
    size_t count;
    kur_outbox_row rows[20];
    kur_message messages[20];
};

static kur_status take_row(const kur_outbox_row *row, void *user, kur_error *error)
{
    struct rows *rows = user;
    kur_outbox_row *kept = &rows->rows[rows->count];
    *kept = *row;
    kept->topic = kur_arena_copy(rows->arena, row->topic, strlen(row->topic));
    kept->key.data = kur_arena_copy(rows->arena, row->key.data, row->key.size);
    if (row->key.data == NULL)
        kept->key.data = NULL;
    kept->value.data = row->value.data != NULL ? kur_arena_copy(rows->arena, row->value.data, row->value.size) : NULL;
    kept->headers.data = kur_arena_copy(rows->arena, row->headers.data, row->headers.size);
    return kur__outbox_message(kept, rows->arena, &rows->messages[rows->count++], error);
}

/* They come shard by shard, and which shard a row without a key has is random. */
static void sort_by_id(struct rows *rows)
{
    for (size_t i = 1; i < rows->count; i++)
        for (size_t k = i; k > 0 && rows->rows[k - 1].id > rows->rows[k].id; k--) {
            kur_outbox_row row = rows->rows[k];
            kur_message message = rows->messages[k];
            rows->rows[k] = rows->rows[k - 1];
            rows->messages[k] = rows->messages[k - 1];
            rows->rows[k - 1] = row;
            rows->messages[k - 1] = message;
        }
}

static struct rows read_rows(const struct fixture *f)
{
    struct rows rows = {.arena = kur_arena_new()};
    kur_error error = {0};
    int32_t shards[16];
    for (int32_t i = 0; i < 16; i++)
        shards[i] = i;
    void *connection = connect_to(f);
    ck_ok(f->driver->outbox_read(connection, shards, 16, 20, 1000000, take_row, &rows, &error), error);
    f->driver->disconnect(connection);
    sort_by_id(&rows);
    return rows;
}

START_TEST(test_outbox__a_row_is_the_message)
{
    kur_error error = {0};
    struct fixture f;
    set_up(&f, NULL);
    const kur_header headers[] = {{"b", kur_bytes_text("2")}, {"a", {NULL, 0}}, {"b", kur_bytes_of("\0", 1)}};
    const kur_message message =
        KUR_MESSAGE(.topic = "orders", .partition = KUR_PARTITION(3), .key = kur_bytes_text("foobar"),
                    .value = kur_bytes_of("", 0), .headers = headers, .header_count = 3);
    void *transaction = memory_begin(f.database);
    ck_ok(kur_outbox_add(f.outbox, transaction, &message, &error), error);
    ck_ok(kur_outbox_add(f.outbox, transaction, &KUR_MESSAGE(.topic = "orders", .tombstone = true), &error), error);
    memory_commit(transaction);
    transaction = memory_begin(f.database);
    ck_ok(kur_outbox_add(f.outbox, transaction, &message, &error), error);
    memory_rollback(transaction);

    struct rows rows = read_rows(&f);
    ck_assert_uint_eq(rows.count, 2);
    size_t at = rows.messages[0].key.data == NULL; /* they come by shard, and a row without a key is in any */
    const kur_message *first = &rows.messages[at], *second = &rows.messages[1 - at];
    ck_assert_str_eq(first->topic, "orders");
    ck_assert_int_eq(first->partition, KUR_PARTITION(3));
    ck_assert(kur_bytes_equal(first->key, message.key) && kur_bytes_equal(first->value, message.value));
    ck_assert(first->verbatim && !first->tombstone && first->size == sizeof *first && first->timestamp_us == 0);
    same_headers(first->headers, first->header_count, headers, 3);
    ck_assert_int_eq(rows.rows[at].shard, (-790332482 & INT32_MAX) % 16);
    ck_assert(second->tombstone && second->value.data == NULL && second->key.data == NULL);
    ck_assert_uint_eq(second->header_count, 0);
    ck_assert_int_eq(rows.rows[1 - at].shard, (int)(rows.rows[1 - at].mark % 16));
    ck_assert_uint_ne(rows.rows[0].mark, rows.rows[1].mark);
    ck_ok(kur_message_check(first, 0, &error), error);
    ck_ok(kur_message_check(second, 0, &error), error);
    kur_arena_free(rows.arena);
    tear_down(&f);
}
END_TEST

START_TEST(test_outbox__publishes)
{
    kur_error error = {0};
    struct fixture f;
    set_up(&f, NULL);
    KUR_ITEM(order_created, lines) lines[] = {{.sku = "tea", .quantity = 2, .price = 150}};
    const struct order_created order = {.order_id = "o-1", .placed_at = 1, .lines = {lines, 1}};
    const kur_header tenant = {"tenant", kur_bytes_text("acme")}, own = {"own", kur_bytes_text("1")};
    const kur_publish_options options =
        KUR_PUBLISH_OPTIONS(.id = "e-1", .time_us = 1, .extensions = &tenant, .extension_count = 1, .headers = &own,
                            .header_count = 1, .due_us = 5000000,
                            .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    kur_arena *arena = kur_arena_new();
    kur_message typed = KUR_MESSAGE(), raw = KUR_MESSAGE();
    ck_ok(kur_message_write(f.client, &order_created_type, &order, &options, arena, &typed, &error), error);
    ck_ok(kur_message_write_raw(
              f.client, "shop.order.removed.v1", (kur_bytes){0},
              &KUR_PUBLISH_OPTIONS(.topic = "orders", .key = kur_bytes_text("o-1"), .id = "e-2", .time_us = 1), arena,
              &raw, &error),
          error);

    void *transaction = memory_begin(f.database);
    ck_ok(order_created_outbox(f.outbox, transaction, &order, &options, &error), error);
    ck_ok(kur_outbox_publish_raw(
              f.outbox, transaction, "shop.order.removed.v1", (kur_bytes){0},
              &KUR_PUBLISH_OPTIONS(.topic = "orders", .key = kur_bytes_text("o-1"), .id = "e-2", .time_us = 1), &error),
          error);
    memory_commit(transaction);
    struct rows rows = read_rows(&f);
    ck_assert_uint_eq(rows.count, 2);
    const kur_message *written[] = {&typed, &raw};
    for (int i = 0; i < 2; i++) {
        ck_assert_str_eq(rows.messages[i].topic, "orders");
        ck_assert(kur_bytes_equal(rows.messages[i].key, kur_bytes_text("o-1")));
        ck_assert(kur_bytes_equal(rows.messages[i].value, written[i]->value));
        ck_assert_int_eq(rows.messages[i].tombstone, i == 1);
        same_headers(rows.messages[i].headers, rows.messages[i].header_count, written[i]->headers,
                     written[i]->header_count);
    }
    ck_assert_int_eq(rows.rows[0].shard, rows.rows[1].shard);

    transaction = memory_begin(f.database);
    ck_status(kur_outbox_publish_raw(f.outbox, transaction, "t.v1", kur_bytes_text("{}"), NULL, &error),
              KUR_ERROR_CONFIG, error);
    ck_says(error, "has no topic");
    memory_rollback(transaction);
    kur_arena_free(rows.arena);
    kur_arena_free(arena);
    tear_down(&f);
}
END_TEST

static void on_result(const kur_result *result, void *user)
{
    (void)result;
    (void)user;
}

START_TEST(test_outbox__refuses_what_a_producer_would)
{
    kur_error error = {0};
    struct fixture f;
    set_up(&f, &KUR_OUTBOX_OPTIONS(.record_bytes = 500));
    static char large[500];
    kur_bytes value = kur_bytes_text("v");
    const kur_header no_name = {"", {NULL, 0}};
    const struct {
        kur_message message;
        kur_status status;
        const char *says;
    } wrong[] = {
        {KUR_MESSAGE(.topic = "no/topic", .value = value), KUR_ERROR_INVALID_ARGUMENT, ".topic is not"},
        {KUR_MESSAGE(.value = value), KUR_ERROR_INVALID_ARGUMENT, ".topic is not"},
        {KUR_MESSAGE(.topic = "t"), KUR_ERROR_INVALID_ARGUMENT, ".value is NULL"},
        {KUR_MESSAGE(.topic = "t", .value = value, .partition = -1), KUR_ERROR_INVALID_ARGUMENT, ".partition"},
        {KUR_MESSAGE(.topic = "t", .value = value, .headers = &no_name, .header_count = 1), KUR_ERROR_INVALID_ARGUMENT,
         ".headers[0]"},
        {KUR_MESSAGE(.topic = "t", .value = value, .on_result = on_result), KUR_ERROR_INVALID_ARGUMENT, ".on_result"},
        {KUR_MESSAGE(.topic = "t", .value = value, .timestamp_us = 1), KUR_ERROR_INVALID_ARGUMENT, ".timestamp_us"},
        {KUR_MESSAGE(.topic = "t", .value = kur_bytes_of(large, sizeof large)), KUR_ERROR_TOO_LARGE, "at most 500"},
    };
    void *transaction = memory_begin(f.database);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_status(kur_outbox_add(f.outbox, transaction, &wrong[i].message, &error), wrong[i].status, error);
        ck_says(error, wrong[i].says);
    }
    ck_status(kur_outbox_publish_raw(f.outbox, transaction, "t.v1", value,
                                     &KUR_PUBLISH_OPTIONS(.topic = "t", .on_result = on_result), &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, ".on_result");
    ck_assert_int_eq(memory_calls(f.database, "outbox_add"), 0);

    error = (kur_error){0};
    const kur_message good = KUR_MESSAGE(.topic = "t", .value = value);
    ck_status(kur_outbox_add(NULL, transaction, &good, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "outbox is NULL");
    error = (kur_error){0};
    ck_status(kur_outbox_add(f.outbox, NULL, &good, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "transaction is NULL");
    error = (kur_error){0};
    ck_status(kur_outbox_add(f.outbox, transaction, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_outbox_publish(f.outbox, NULL, &order_created_type, &good, NULL, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    memory_commit(transaction);

    /* Outside a transaction, and on another database's connection. */
    void *connection = connect_to(&f);
    error = (kur_error){0};
    ck_status(kur_outbox_add(f.outbox, connection, &good, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "no transaction");
    f.driver->disconnect(connection);
    kur_database *other = memory_database(1);
    transaction = memory_begin(other);
    ck_status(kur_outbox_add(f.outbox, transaction, &good, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "another database");
    memory_rollback(transaction);
    kur_database_free(other);
    ck_assert_uint_eq(memory_count(f.database).rows, 0);
    tear_down(&f);
}
END_TEST

START_TEST(test_outbox__is_made_over_good_tables)
{
    kur_error error = {0};
    struct fixture f;
    set_up(&f, NULL);
    ck_assert_int_eq(f.outbox->shards, 16);
    ck_assert_int_eq(f.outbox->record_bytes, 1000000);
    ck_assert_ptr_null(kur_outbox_new(NULL, f.database, NULL, &error));
    error = (kur_error){0};
    ck_assert_ptr_null(kur_outbox_new(f.client, NULL, NULL, &error));
    ck_says(error, "database is NULL");
    ck_assert_ptr_null(kur_outbox_new(f.client, f.database, &KUR_OUTBOX_OPTIONS(.record_bytes = -1), &error));
    ck_says(error, ".record_bytes is not 1 to 100000000");
    ck_assert_ptr_null(kur_outbox_new(f.client, f.database, &KUR_OUTBOX_OPTIONS(.record_bytes = 100000001), &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
    memory_away(f.database, true);
    ck_assert_ptr_null(kur_outbox_new(f.client, f.database, NULL, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_UNREACHABLE);
    memory_away(f.database, false);
    kur_database *empty = memory_database(0);
    ck_assert_ptr_null(kur_outbox_new(f.client, empty, NULL, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_SCHEMA);
    ck_says(error, "kurier outbox migrate");
    kur_database_free(empty);
    kur_outbox_free(NULL);
    tear_down(&f);
}
END_TEST

static bool is_readable(int fd)
{
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    return poll(&asked, 1, 0) == 1;
}

static kur_outbox *told;

static void on_signal(int number)
{
    (void)number;
    errno = 77;
    kur_outbox_committed(told);
    ck_assert_int_eq(errno, 77);
}

START_TEST(test_outbox__is_told_of_commits)
{
    struct fixture f;
    uint64_t many = UINT64_MAX - 1;
    set_up(&f, NULL);
    int fd = f.outbox->committed;
    ck_assert(!is_readable(fd));
    kur_outbox_committed(f.outbox);
    ck_assert(is_readable(fd));
    ck_assert_int_eq(read(fd, &many, sizeof many), sizeof many);
    ck_assert(!is_readable(fd));

    /* From a signal's handler; and when the counter is full it does not wait. */
    told = f.outbox;
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    ck_assert(is_readable(fd));
    ck_assert_int_eq(read(fd, &many, sizeof many), sizeof many);
    many = UINT64_MAX - 1;
    ck_assert_int_eq(write(fd, &many, sizeof many), sizeof many);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_DFL);
    ck_assert(is_readable(fd));
    ck_assert((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    kur_outbox_committed(NULL);
    tear_down(&f);
}
END_TEST

static const char *warning;

static const char *warn(void *database, void *transaction)
{
    (void)database;
    (void)transaction;
    return warning;
}

static void leave_be(void *database)
{
    (void)database;
}

START_TEST(test_outbox__a_drivers_warning_is_logged)
{
    kur_error error = {0};
    struct fixture f;
    set_up(&f, NULL);
    kur_driver driver = *f.driver;
    driver.outbox_warn = warn;
    driver.free = leave_be;
    kur_database *database = kur_database_new(&driver, kur_database_state(f.database), &error);
    kur_outbox *outbox = kur_outbox_new(f.client, database, NULL, &error);
    const kur_message message = KUR_MESSAGE(.topic = "t", .tombstone = true);
    void *transaction = memory_begin(f.database);
    ck_ok(kur_outbox_add(outbox, transaction, &message, &error), error);
    ck_assert_str_eq(f.log, "");
    warning = "it could be lost";
    ck_ok(kur_outbox_add(outbox, transaction, &message, &error), error);
    ck_assert_str_eq(f.log, "warning outbox: it could be lost\n");
    memory_fail(f.database, &(struct memory_fault){"outbox_add", 1, .status = KUR_ERROR_DATABASE});
    ck_status(kur_outbox_add(outbox, transaction, &message, &error), KUR_ERROR_DATABASE, error);
    ck_assert_str_eq(f.log, "warning outbox: it could be lost\n"); /* nothing was added that could be */
    memory_rollback(transaction);
    kur_outbox_free(outbox);
    kur_database_free(database);
    tear_down(&f);
}
END_TEST

/* ---- Parked rows ---- */

/* Rows 1 to `count` with keys a, b, a, b, … and headers; parks those whose ids are given, 0 at the end. */
static void add_and_park(const struct fixture *f, int count, const int64_t *refused)
{
    kur_error error = {0};
    const kur_header header = {"h", kur_bytes_text("1")};
    void *transaction = memory_begin(f->database);
    for (int i = 0; i < count; i++)
        ck_ok(kur_outbox_add(f->outbox, transaction,
                             &KUR_MESSAGE(.topic = "orders", .key = kur_bytes_text(i % 2 == 0 ? "a" : "b"),
                                          .value = kur_bytes_text("v"), .headers = &header, .header_count = 1),
                             &error),
              error);
    memory_commit(transaction);
    struct rows rows = read_rows(f);
    void *connection = connect_to(f);
    for (; *refused != 0; refused++)
        for (size_t i = 0; i < rows.count; i++) {
            kur_outbox_parked_row parked = {.row = rows.rows[i], .error = "MSG_SIZE_TOO_LARGE", .attempts = 2};
            if (parked.row.id == *refused)
                ck_ok(f->driver->outbox_park(connection, &parked, 1, true, &error), error);
        }
    f->driver->disconnect(connection);
    kur_arena_free(rows.arena);
}

START_TEST(test_parked__are_listed)
{
    kur_error error = {0};
    struct fixture f;
    set_up(&f, NULL);
    add_and_park(&f, 6, (const int64_t[]){1, 4, 5, 6, 0});
    kur_arena *arena = kur_arena_new();
    kur_parked_list all, page;
    ck_ok(kur_outbox_parked(f.outbox, 0, 0, 100, arena, &all, &error), error);
    ck_assert_uint_eq(all.count, 4);
    for (size_t i = 0; i < all.count; i++) {
        const kur_parked_view *view = all.items[i];
        ck_assert(view->size == sizeof *view && view->attempts == 2 && !view->is_behind);
        ck_assert_str_eq(view->error, "MSG_SIZE_TOO_LARGE");
        ck_assert_str_eq(view->topic, "orders");
        ck_assert(kur_bytes_equal(view->key, kur_bytes_text(view->id % 2 == 1 ? "a" : "b")));
        ck_assert(kur_bytes_equal(view->value, kur_bytes_text("v")));
        same_headers(view->headers, view->header_count, &(kur_header){"h", kur_bytes_text("1")}, 1);
        ck_assert(view->created_us > 0 && view->parked_us >= view->created_us);
        ck_assert(i == 0 || all.items[i - 1]->shard < view->shard ||
                  (all.items[i - 1]->shard == view->shard && all.items[i - 1]->id < view->id));
    }
    /* Page by page. */
    size_t seen = 0;
    int after_shard = 0;
    int64_t after_id = 0;
    do {
        ck_ok(kur_outbox_parked(f.outbox, after_shard, after_id, 3, arena, &page, &error), error);
        for (size_t i = 0; i < page.count; i++)
            ck_assert_int_eq(page.items[i]->id, all.items[seen++]->id);
        if (page.count > 0) {
            after_shard = page.items[page.count - 1]->shard;
            after_id = page.items[page.count - 1]->id;
        }
    } while (page.count == 3);
    ck_assert_uint_eq(seen, 4);
    /* One of them. */
    const kur_parked_view *one = NULL;
    ck_ok(kur_outbox_find_parked(f.outbox, 5, arena, &one, &error), error);
    ck_assert(one->id == 5 && one->attempts == 2 && kur_bytes_equal(one->key, kur_bytes_text("a")));
    same_headers(one->headers, one->header_count, &(kur_header){"h", kur_bytes_text("1")}, 1);
    for (int64_t id = -1; id <= 2; id++)
        if (id != 1)
            ck_status(kur_outbox_find_parked(f.outbox, id, arena, &one, &error), KUR_ERROR_STALE, error);
    ck_assert_int_eq(one->id, 5);
    ck_status(kur_outbox_find_parked(NULL, 5, arena, &one, &(kur_error){0}), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_outbox_find_parked(f.outbox, 5, NULL, &one, &(kur_error){0}), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_outbox_find_parked(f.outbox, 5, arena, NULL, &(kur_error){0}), KUR_ERROR_INVALID_ARGUMENT, error);

    ck_status(kur_outbox_parked(f.outbox, 0, 0, 0, arena, &page, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_outbox_parked(f.outbox, -1, 0, 1, arena, &page, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_outbox_parked(NULL, 0, 0, 1, arena, &page, &(kur_error){0}), KUR_ERROR_INVALID_ARGUMENT, error);
    memory_away(f.database, true);
    ck_status(kur_outbox_parked(f.outbox, 0, 0, 1, arena, &page, &error), KUR_ERROR_UNREACHABLE, error);
    memory_away(f.database, false);
    kur_arena_free(arena);
    tear_down(&f);
}
END_TEST

/* What cannot be read is listed all the same: that may be why it was refused. */
START_TEST(test_parked__hostile_rows_are_listed)
{
    kur_error error = {0};
    struct fixture f;
    set_up(&f, NULL);
    kur_outbox_row row = {.size = sizeof row, .topic = "t", .shard = 3, .mark = 9, .headers = kur_bytes_text("what?")};
    void *transaction = memory_begin(f.database), *connection = connect_to(&f);
    ck_ok(f.driver->outbox_add(kur_database_state(f.database), transaction, &row, &error), error);
    memory_commit(transaction);
    row.id = 1;
    ck_ok(f.driver->outbox_park(connection, &(kur_outbox_parked_row){.row = row}, 1, true, &error), error);
    kur_arena *arena = kur_arena_new();
    kur_parked_list all;
    error = (kur_error){0};
    ck_ok(kur_outbox_parked(f.outbox, 0, 0, 10, arena, &all, &error), error);
    ck_assert_int_eq(error.code, KUR_OK);
    ck_assert_uint_eq(all.count, 1);
    ck_assert(!all.items[0]->is_behind && all.items[0]->error == NULL && all.items[0]->header_count == 0);
    ck_assert(all.items[0]->key.data == NULL && all.items[0]->value.data == NULL);
    kur_arena_free(arena);
    f.driver->disconnect(connection);
    tear_down(&f);
}
END_TEST

START_TEST(test_parked__are_put_back_and_dropped)
{
    kur_error error = {0};
    struct fixture f;
    char reason[502] = "";
    memset(reason, 'r', 501);
    set_up(&f, NULL);
    add_and_park(&f, 2, (const int64_t[]){1, 2, 0});
    ck_assert_uint_eq(memory_count(f.database).rows, 0);
    ck_status(kur_outbox_unpark(f.outbox, 3, &error), KUR_ERROR_STALE, error);
    ck_says(error, "no row 3 is parked");
    ck_assert(!is_readable(f.outbox->committed));
    ck_ok(kur_outbox_unpark(f.outbox, 1, &error), error);
    ck_assert(is_readable(f.outbox->committed));
    ck_assert_uint_eq(memory_count(f.database).rows, 1);
    ck_assert_str_eq(f.log, strstr(f.log, "info outbox: row 1, to orders, of 20"));
    ck_assert_ptr_nonnull(strstr(f.log, "is to be sent again\n"));
    f.log[0] = '\0';

    ck_status(kur_outbox_drop(f.outbox, 2, "", &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_outbox_drop(f.outbox, 2, reason, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_outbox_drop(f.outbox, 2, "\xff", &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "1 to 500 bytes");
    ck_status(kur_outbox_drop(f.outbox, 2, NULL, &(kur_error){0}), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_outbox_drop(NULL, 2, "r", &(kur_error){0}), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_outbox_unpark(NULL, 2, &(kur_error){0}), KUR_ERROR_INVALID_ARGUMENT, error);
    memory_fail(f.database, &(struct memory_fault){"outbox_drop", 1, .status = KUR_ERROR_DATABASE});
    ck_status(kur_outbox_drop(f.outbox, 2, "sent by hand", &error), KUR_ERROR_DATABASE, error);
    ck_assert_str_eq(f.log, "");
    ck_ok(kur_outbox_drop(f.outbox, 2, "sent by hand", &error), error);
    ck_assert_uint_eq(memory_count(f.database).parked, 0);
    ck_assert_str_eq(f.log, strstr(f.log, "warning outbox: row 2, to orders, of 20"));
    ck_assert_ptr_nonnull(strstr(f.log, "was dropped: sent by hand\n"));
    ck_status(kur_outbox_drop(f.outbox, 2, "again", &error), KUR_ERROR_STALE, error);
    tear_down(&f);
}
END_TEST

/* However many there are: it is looked for once in each shard at most. */
START_TEST(test_parked__one_of_many)
{
    kur_error error = {0};
    struct fixture f;
    set_up(&f, NULL);
    void *transaction = memory_begin(f.database), *connection = connect_to(&f);
    kur_outbox_row row = {.size = sizeof row, .topic = "t", .shard = 3, .headers = kur_bytes_of("\1\0", 2)};
    for (int i = 0; i < 250; i++)
        ck_ok(f.driver->outbox_add(kur_database_state(f.database), transaction, &row, &error), error);
    memory_commit(transaction);
    for (row.id = 1; row.id <= 250; row.id++)
        ck_ok(f.driver->outbox_park(connection, &(kur_outbox_parked_row){.row = row}, 1, true, &error), error);
    f.driver->disconnect(connection);
    memory_fail(f.database, NULL);
    ck_ok(kur_outbox_drop(f.outbox, 250, "r", &error), error);
    ck_assert_int_eq(memory_calls(f.database, "outbox_parked"), 4); /* shards 0 to 3 */
    ck_ok(kur_outbox_drop(f.outbox, 1, "r", &error), error);
    ck_assert_int_eq(memory_calls(f.database, "outbox_parked"), 5); /* the first that there is */
    ck_status(kur_outbox_drop(f.outbox, 250, "r", &error), KUR_ERROR_STALE, error);
    ck_assert_uint_eq(memory_count(f.database).parked, 248);
    tear_down(&f);
}
END_TEST

/* ---- Each allocation, and each call of the driver, fails once ---- */

/* Outbox, add, publish, list, put back, drop. */
static kur_status whole_life(struct fixture *f, kur_error *error)
{
    static char large[5000];
    KUR_ITEM(order_created, lines) lines[] = {{.sku = "tea", .quantity = 2, .price = 150}};
    const struct order_created order = {.order_id = "o-1", .placed_at = 1, .lines = {lines, 1}};
    const kur_header headers[] = {{"h", kur_bytes_of(large, sizeof large)}, {"i", kur_bytes_text("1")}};
    const kur_header extension = {"tenant", kur_bytes_text("acme")};
    kur_parked_list list;
    const kur_parked_view *one;
    kur_arena *arena = kur_arena_new();
    void *transaction = NULL;
    if (arena == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "no arena");
    kur_outbox *outbox = kur_outbox_new(f->client, f->database, NULL, error);
    kur_status status = outbox != NULL ? KUR_OK : error->code;
    if (status == KUR_OK)
        status = f->driver->connect(kur_database_state(f->database), &transaction, error);
    if (status == KUR_OK)
        status = f->driver->begin(transaction, error);
    if (status == KUR_OK)
        status =
            kur_outbox_add(outbox, transaction,
                           &KUR_MESSAGE(.topic = "t", .tombstone = true, .headers = headers, .header_count = 2), error);
    for (int mode = KUR_EVENT_BINARY; status == KUR_OK && mode <= KUR_EVENT_STRUCTURED; mode++)
        status = order_created_outbox(outbox, transaction, &order,
                                      &KUR_PUBLISH_OPTIONS(.mode = mode, .headers = headers, .header_count = 2,
                                                           .extensions = &extension, .extension_count = 1),
                                      error);
    if (status == KUR_OK)
        status = kur_outbox_publish_raw(outbox, transaction, "t.v1", kur_bytes_text("{}"),
                                        &KUR_PUBLISH_OPTIONS(.topic = "t"), error);
    if (status == KUR_OK)
        status = f->driver->commit(transaction, error);
    if (transaction != NULL)
        f->driver->disconnect(transaction);
    if (status == KUR_OK)
        status = kur_outbox_parked(outbox, 0, 0, 10, arena, &list, error);
    if (status == KUR_OK)
        status = kur_outbox_find_parked(outbox, 1, arena, &one, error);
    if (status == KUR_OK)
        status = kur_outbox_unpark(outbox, 1, error);
    if (status == KUR_OK)
        status = kur_outbox_drop(outbox, 2, "r", error);
    kur_outbox_free(outbox);
    kur_arena_free(arena);
    return status;
}

/* What whole_life may do only once is there anew: two parked rows. */
static void park_two(struct fixture *f)
{
    kur_database_free(f->database);
    f->database = memory_database(16);
    f->driver = kur_database_driver(f->database);
    kur_error error = {0};
    f->outbox = kur_outbox_new(f->client, f->database, NULL, &error);
    add_and_park(f, 2, (const int64_t[]){1, 2, 0});
    kur_outbox_free(f->outbox);
    f->outbox = NULL;
    memory_fail(f->database, NULL);
}

START_TEST(test_outbox__every_allocation_fails)
{
    struct fixture f;
    long points = 0;
    kur_error error;
    kur_status status;
    set_up(&f, NULL);
    kur_outbox_free(f.outbox);
    do {
        park_two(&f);
        error = (kur_error){0};
        failing_begin(points + 1, true);
        status = whole_life(&f, &error);
        failing_end();
        /* All of the transaction, or nothing: four rows. A drop or unpark comes behind it. */
        size_t rows = memory_count(f.database).rows;
        ck_assert(rows == 0 || rows == 4 || rows == 5);
        ck_assert(status == KUR_OK || !memory_has_failed(f.database));
    } while (failing_again("an outbox", &points, status, &error));
    ck_assert_uint_eq(memory_count(f.database).rows, 5);
    tear_down(&f);
}
END_TEST

START_TEST(test_outbox__every_call_of_the_driver_fails)
{
    static const kur_status statuses[] = {KUR_ERROR_DATABASE, KUR_ERROR_UNREACHABLE, KUR_ERROR_NO_MEMORY,
                                          KUR_ERROR_SCHEMA};
    struct fixture f;
    set_up(&f, NULL);
    kur_outbox_free(f.outbox);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        int nth = 0;
        bool has_failed;
        do {
            kur_error error = {0};
            park_two(&f);
            memory_fail(f.database, &(struct memory_fault){.nth = ++nth, .status = statuses[i]});
            failing_begin(0, true);
            kur_status status = whole_life(&f, &error);
            failing_end();
            ck_assert_int_eq(failing_live(), 0);
            has_failed = memory_has_failed(f.database);
            size_t rows = memory_count(f.database).rows;
            ck_assert_uint_eq(memory_count(f.database).connections, 0);
            ck_assert(rows == 0 || rows == 4 || rows == 5);
            if (status != KUR_OK) {
                ck_assert(has_failed && status == statuses[i] && error.code == status);
                ck_says(error, "was made to fail");
            }
        } while (has_failed);
        ck_assert_int_gt(nth, 15);
        printf("# calls that were made to fail: %d\n", nth - 1);
    }
    tear_down(&f);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_row__shards_are_javas,
                                  test_row__headers_both_ways,
                                  test_row__hostile_headers,
                                  test_outbox__a_row_is_the_message,
                                  test_outbox__publishes,
                                  test_outbox__refuses_what_a_producer_would,
                                  test_outbox__is_made_over_good_tables,
                                  test_outbox__is_told_of_commits,
                                  test_outbox__a_drivers_warning_is_logged,
                                  test_parked__are_listed,
                                  test_parked__hostile_rows_are_listed,
                                  test_parked__are_put_back_and_dropped,
                                  test_parked__one_of_many,
                                  test_outbox__every_allocation_fails,
                                  test_outbox__every_call_of_the_driver_fails,
                                  NULL};
    return check_main("outbox", tests);
}
