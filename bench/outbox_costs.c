/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what an outbox costs the database: sixteen clients that do what pgbench's do (three balances changed,
 * one read, a row of history; a database of sixteen branches), with an event and without one, in turns; and a look at
 * an outbox in which 400,000 deleted rows cannot be cleared away, since a snapshot is open somewhere, with a floor that
 * has been raised, beside one with nothing in it.
 */
#include <kurier/relay.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker.h"
#include "database.h"

enum {
    CLIENTS = 16,
    BRANCHES = 16,
    TELLERS = 160,
    ACCOUNTS = 160000,
    ROUND_MS = 2000,
    ROUNDS = 5,
    DEAD = 400000,
    IN_ONE = 1000,
    LOOKS = 200,
    VALUE_SIZE = 200
};

struct writers {
    const struct bench_database *base;
    kur_outbox *outbox;
    bool has_events;
    atomic_bool stops;
    atomic_long commits;
    atomic_int next_seed;
};

static void add(kur_outbox *outbox, void *connection, long i)
{
    char key[24], value[VALUE_SIZE];
    kur_error error = {0};
    memset(value, 'v', sizeof value);
    snprintf(key, sizeof key, "order-%ld", i);
    kur_message message =
        KUR_MESSAGE(.topic = "orders", .key = kur_bytes_text(key), .value = kur_bytes_of(value, sizeof value));
    if (kur_outbox_add(outbox, connection, &message, &error) != KUR_OK)
        bench_fail("outbox: %s", error.message);
}

static void must(kur_status status, const kur_error *error)
{
    if (status != KUR_OK)
        bench_fail("%s", error->message);
}

static void execute(const struct bench_database *base, void *connection, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void execute(const struct bench_database *base, void *connection, const char *format, ...)
{
    char statement[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(statement, sizeof statement, format, arguments);
    va_end(arguments);
    bench_execute(base, connection, statement);
}

/* The accounts, tellers, branches and history of TPC-B, as pgbench has them. */
static void make_bank(const struct bench_database *base)
{
    static const struct {
        const char *name;
        int rows;
    } tables[] = {{"bench_branches", BRANCHES}, {"bench_tellers", TELLERS}, {"bench_accounts", ACCOUNTS}};
    void *connection = bench_connect(base);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        execute(base, connection, "DROP TABLE IF EXISTS %s", tables[i].name);
        execute(base, connection, "CREATE TABLE %s (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL, filler CHAR(84))",
                tables[i].name);
        execute(base, connection,
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO %s SELECT i, "
                "0, 'filler' FROM n",
                tables[i].rows, tables[i].name);
    }
    execute(base, connection, "DROP TABLE IF EXISTS bench_history");
    execute(base, connection,
            "CREATE TABLE bench_history (teller BIGINT, branch BIGINT, account BIGINT, delta BIGINT, at TIMESTAMP)");
    bench_disconnect(base, connection);
}

static void transfer(const struct bench_database *base, void *connection, unsigned *seed)
{
    int account = rand_r(seed) % ACCOUNTS + 1, teller = rand_r(seed) % TELLERS + 1;
    int branch = rand_r(seed) % BRANCHES + 1, delta = rand_r(seed) % 10000 - 5000;
    execute(base, connection, "UPDATE bench_accounts SET balance = balance + %d WHERE id = %d", delta, account);
    execute(base, connection, "SELECT balance FROM bench_accounts WHERE id = %d", account);
    execute(base, connection, "UPDATE bench_tellers SET balance = balance + %d WHERE id = %d", delta, teller);
    execute(base, connection, "UPDATE bench_branches SET balance = balance + %d WHERE id = %d", delta, branch);
    execute(base, connection, "INSERT INTO bench_history VALUES (%d, %d, %d, %d, CURRENT_TIMESTAMP)", teller, branch,
            account, delta);
}

static void *write_orders(void *user)
{
    struct writers *writers = user;
    kur_error error = {0};
    void *connection = bench_connect(writers->base);
    unsigned seed = (unsigned)atomic_fetch_add(&writers->next_seed, 1);
    while (!atomic_load(&writers->stops)) {
        must(writers->base->driver->begin(connection, &error), &error);
        transfer(writers->base, connection, &seed);
        if (writers->has_events)
            add(writers->outbox, connection, atomic_load(&writers->commits));
        must(writers->base->driver->commit(connection, &error), &error);
        atomic_fetch_add(&writers->commits, 1);
    }
    bench_disconnect(writers->base, connection);
    return NULL;
}

/* Commits a second. */
static double round_of(const struct bench_database *base, kur_outbox *outbox, bool has_events)
{
    pthread_t threads[CLIENTS];
    struct writers writers = {.base = base, .outbox = outbox, .has_events = has_events};
    bench_sample start = bench_now();
    for (int i = 0; i < CLIENTS; i++)
        if (pthread_create(&threads[i], NULL, write_orders, &writers) != 0)
            bench_fail("no thread");
    nanosleep(&(struct timespec){ROUND_MS / 1000, 0}, NULL);
    atomic_store(&writers.stops, true);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    return (double)atomic_load(&writers.commits) / bench_since(start).seconds;
}

static void measure_writers(const bench_options *options, int which, kur_client *client)
{
    static bench_case one;
    struct bench_database base;
    kur_error error = {0};
    char name[64];
    if (!bench_database_open(&base, which))
        return;
    make_bank(&base);
    kur_outbox *outbox = kur_outbox_new(client, base.database, NULL, &error);
    snprintf(name, sizeof name, "%s, 16 writers with an event each%s", base.name,
             which == BENCH_PREPARED ? ", prepared" : "");
    one = (bench_case){.bench = "outbox",
                       .name = name,
                       .unit = "commits/s",
                       .baseline = "without",
                       .bound = BENCH_RATIO_AT_LEAST,
                       .target = 1 / 1.15,
                       .runs = options->runs > 0 ? options->runs : ROUNDS};
    round_of(&base, outbox, true);
    for (int i = 0; i < one.runs; i++) {
        bool is_first = i % 2 == 0;
        double first = round_of(&base, outbox, is_first), second = round_of(&base, outbox, !is_first);
        one.values[i] = is_first ? first : second;
        one.baseline_values[i] = is_first ? second : first;
    }
    bench_report(options, &one);
    kur_outbox_free(outbox);
    bench_database_close(&base);
}

/* ---- Dead rows ---- */

static kur_status count_row(const kur_outbox_row *row, void *user, kur_error *error)
{
    kur_outbox_id **next = user;
    (void)error;
    if (next == NULL)
        return KUR_OK;
    *(*next)++ = (kur_outbox_id){row->id, row->shard, row->mark};
    return KUR_OK;
}

static double look_ms(const struct bench_database *base, void *connection, const int32_t *shards, size_t count)
{
    double took[LOOKS];
    kur_error error = {0};
    for (int i = 0; i < LOOKS; i++) {
        bench_sample start = bench_now();
        must(base->driver->outbox_read(connection, shards, count, 1000, 1 << 20, count_row, NULL, &error), &error);
        took[i] = bench_since(start).seconds * 1000;
    }
    return bench_median(took, LOOKS);
}

/* All that is there is deleted, as a relay does it. */
static void delete_all(const struct bench_database *base, void *connection, const int32_t *shards, size_t count)
{
    static kur_outbox_id ids[KUR_OUTBOX_SHARDS_MAX * IN_ONE];
    kur_error error = {0};
    for (;;) {
        kur_outbox_id *next = ids;
        must(base->driver->outbox_read(connection, shards, count, IN_ONE, 64 << 20, count_row, &next, &error), &error);
        if (next == ids)
            return;
        must(base->driver->outbox_delete(connection, ids, (size_t)(next - ids), NULL, &error), &error);
        must(base->driver->outbox_raise(connection, shards, count, &error), &error);
    }
}

static void measure_dead_rows(const bench_options *options, int which, kur_client *client)
{
    static bench_case one;
    struct bench_database base;
    kur_error error = {0};
    kur_uuid id;
    char name[64];
    int32_t schema, count, shards[KUR_OUTBOX_SHARDS_MAX];
    if (!bench_database_open(&base, which))
        return;
    kur_outbox *outbox = kur_outbox_new(client, base.database, NULL, &error);
    void *connection = bench_connect(&base), *holder = bench_connect(&base);
    must(base.driver->schema_read(connection, &schema, &count, &id, &error), &error);
    for (int32_t i = 0; i < count; i++)
        shards[i] = i;
    double empty = look_ms(&base, connection, shards, (size_t)count);
    bench_execute(&base, holder, which == BENCH_POSTGRES ? "BEGIN ISOLATION LEVEL REPEATABLE READ" : "BEGIN");
    bench_execute(&base, holder, "SELECT count(*) FROM bench_orders");
    for (int i = 0; i < DEAD; i++) {
        if (i % IN_ONE == 0)
            must(base.driver->begin(connection, &error), &error);
        add(outbox, connection, i);
        if (i % IN_ONE == IN_ONE - 1)
            must(base.driver->commit(connection, &error), &error);
    }
    delete_all(&base, connection, shards, (size_t)count);
    snprintf(name, sizeof name, "%s, a look past 400,000 dead rows", base.name);
    one = (bench_case){.bench = "outbox",
                       .name = name,
                       .unit = "ms",
                       .baseline = "an empty one",
                       .bound = BENCH_VALUE_AT_MOST,
                       .target = 1,
                       .runs = 1,
                       .values = {look_ms(&base, connection, shards, (size_t)count)},
                       .baseline_values = {empty}};
    bench_report(options, &one);
    bench_execute(&base, holder, "COMMIT");
    bench_disconnect(&base, holder);
    bench_disconnect(&base, connection);
    kur_outbox_free(outbox);
    bench_database_close(&base);
}

void bench_outbox_costs(const bench_options *options)
{
    kur_client *client = bench_client(options);
    for (int which = 0; which < BENCH_DATABASES; which++) {
        measure_writers(options, which, client);
        measure_dead_rows(options, which, client);
    }
    measure_writers(options, BENCH_PREPARED, client);
    kur_client_unref(client);
}
