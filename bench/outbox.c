/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what a relay does, for each database and guarantee: a backlog drained, in a process that does nothing
 * else, so that CPU and memory are the relay's; the way from a COMMIT to a reader, at 500 commits a second; and nothing
 * at all. A row has 200 bytes of value and a key of 1,000; four fifths of the time it takes to fill the table are the
 * table's.
 */
#include <kurier/relay.h>
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "database.h"

enum {
    BACKLOG = 1000000,
    KEYS = 1000,
    VALUE_SIZE = 200,
    IN_ONE = 1000, /* rows of a transaction that fills */
    RATE = 500,    /* commits a second */
    WARM = 5000,   /* of them do not count: a broker compiles its code first */
    COMMITS = 5000,
    IDLE_MS = 5000,
    TIMEOUT_MS = 600000
};

struct drain {
    const bench_options *options;
    struct bench_database base;
    kur_guarantee guarantee;
    char topic[64];
    int rows;
    /* What came of it. */
    struct drained {
        double rows_per_second, cpu_us, memory_mib, relay; /* the last in processors */
        bench_machine machine;
    } drained;
};

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static void add(kur_outbox *outbox, void *connection, const char *topic, int i, const void *value, size_t size)
{
    char key[24];
    kur_error error = {0};
    snprintf(key, sizeof key, "order-%d", i % KEYS);
    kur_message message = KUR_MESSAGE(.topic = topic, .key = kur_bytes_text(key), .value = kur_bytes_of(value, size));
    if (kur_outbox_add(outbox, connection, &message, &error) != KUR_OK)
        bench_fail("outbox: %s", error.message);
}

static kur_outbox *open_outbox(kur_client *client, const struct bench_database *base)
{
    kur_error error = {0};
    kur_outbox *outbox = kur_outbox_new(client, base->database, NULL, &error);
    if (outbox == NULL)
        bench_fail("outbox: %s", error.message);
    return outbox;
}

static void begin(const struct bench_database *base, void *connection)
{
    kur_error error = {0};
    if (base->driver->begin(connection, &error) != KUR_OK)
        bench_fail("begin: %s", error.message);
}

static void commit(const struct bench_database *base, void *connection)
{
    kur_error error = {0};
    if (base->driver->commit(connection, &error) != KUR_OK)
        bench_fail("commit: %s", error.message);
}

static void fill(const struct drain *drain)
{
    char value[VALUE_SIZE];
    kur_client *client = bench_client(drain->options);
    kur_outbox *outbox = open_outbox(client, &drain->base);
    void *connection = bench_connect(&drain->base);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < drain->rows; i++) {
        if (i % IN_ONE == 0)
            begin(&drain->base, connection);
        add(outbox, connection, drain->topic, i, value, sizeof value);
        if (i % IN_ONE == IN_ONE - 1 || i == drain->rows - 1)
            commit(&drain->base, connection);
    }
    bench_disconnect(&drain->base, connection);
    kur_outbox_free(outbox);
    kur_client_unref(client);
}

static kur_relay *start_relay(kur_outbox *outbox, kur_guarantee guarantee)
{
    kur_error error = {0};
    kur_relay *relay = kur_relay_new(outbox, &KUR_RELAY_OPTIONS(.guarantee = guarantee), &error);
    if (relay == NULL || kur_relay_start(relay, &error) != KUR_OK)
        bench_fail("relay: %s", error.message);
    return relay;
}

static kur_relay_health health_of(kur_relay *relay)
{
    kur_relay_health health = KUR_RELAY_HEALTH();
    kur_relay_health_read(relay, &health, NULL);
    return health;
}

static void await_sent(kur_relay *relay, int64_t rows)
{
    bench_sample start = bench_now();
    for (kur_relay_health health; (health = health_of(relay)).sent < rows; pause_ms(2))
        if (bench_since(start).seconds * 1000 > TIMEOUT_MS)
            bench_fail("%lld of %lld rows were sent; %s", (long long)health.sent, (long long)rows, health.failure);
}

/* From the first batch on: how long a group takes to come together is another matter. */
static void drain_in_process(void *task)
{
    struct drain *drain = task;
    kur_client *client = bench_client(drain->options);
    kur_outbox *outbox = open_outbox(client, &drain->base);
    kur_relay *relay = start_relay(outbox, drain->guarantee);
    await_sent(relay, 1);
    int64_t before = health_of(relay).sent;
    bench_machine machine = bench_machine_now();
    bench_sample start = bench_now();
    await_sent(relay, drain->rows);
    bench_sample took = bench_since(start);
    double rows = (double)(drain->rows - before);
    drain->drained = (struct drained){rows / took.seconds, took.cpu_seconds * 1e6 / rows, bench_memory_mib("VmHWM"),
                                      took.cpu_seconds / took.seconds, bench_machine_since(machine, took.seconds)};
    kur_relay_free(relay);
    kur_outbox_free(outbox);
    kur_client_unref(client);
}

static void report(const bench_options *options, const char *name, const char *unit, bench_bound bound, double target,
                   const double *values, int runs)
{
    static bench_case one;
    one = (bench_case){.bench = "outbox", .name = name, .unit = unit, .bound = bound, .target = target, .runs = runs};
    memcpy(one.values, values, (size_t)runs * sizeof *values);
    bench_report(options, &one);
}

/* Who used the processors: what all of them do, and nobody, is the limit. */
static void report_processors(const bench_options *options, const char *of, const struct drained *drained)
{
    char name[80];
    const struct {
        const char *whose;
        double count;
    } lines[] = {{"the relay's process", drained->relay},
                 {"PostgreSQL", drained->machine.database},
                 {"the broker", drained->machine.broker},
                 {"idle", drained->machine.idle},
                 {"waiting for a disk", drained->machine.waiting}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        snprintf(name, sizeof name, "%s: %s", of, lines[i].whose);
        report(options, name, "processors", BENCH_REPORT_ONLY, 0, &lines[i].count, 1);
    }
}

static void measure_drain(const bench_options *options, int which, kur_guarantee guarantee)
{
    static const double least[BENCH_DATABASES][2] = {{100000, 0}, {60000, 40000}};
    bool is_exact = guarantee == KUR_EXACTLY_ONCE;
    int runs = options->runs > 0 ? options->runs : 1;
    double rate[BENCH_RUNS_MAX], cpu[BENCH_RUNS_MAX], memory[BENCH_RUNS_MAX];
    char name[64];
    struct drain drain = {.options = options, .guarantee = guarantee, .rows = BACKLOG};
    bench_topic_new(options, drain.topic, "outbox", BENCH_PARTITIONS);
    for (int i = 0; i < runs; i++) {
        if (!bench_database_open(&drain.base, which))
            return;
        fill(&drain);
        bench_in_process(drain_in_process, &drain, &drain.drained, sizeof drain.drained);
        bench_database_close(&drain.base);
        rate[i] = drain.drained.rows_per_second, cpu[i] = drain.drained.cpu_us, memory[i] = drain.drained.memory_mib;
    }
    bench_topic_delete(options, drain.topic);
    const char *base = which == BENCH_SQLITE ? "sqlite" : "postgres", *how = is_exact ? ", exactly once" : "";
    double target = least[which][is_exact];
    snprintf(name, sizeof name, "%s, drained%s", base, how);
    report(options, name, "rows/s", target > 0 ? BENCH_VALUE_AT_LEAST : BENCH_REPORT_ONLY, target, rate, runs);
    snprintf(name, sizeof name, "%s, drained%s: CPU", base, how);
    report(options, name, "us/row", BENCH_REPORT_ONLY, 0, cpu, runs);
    snprintf(name, sizeof name, "%s, drained%s: memory", base, how);
    report(options, name, "MiB", BENCH_VALUE_AT_MOST, 64, memory, runs);
    snprintf(name, sizeof name, "%s, drained%s", base, how);
    report_processors(options, name, &drain.drained);
}

/* ---- From COMMIT to a reader ---- */

struct reading {
    kur_client *client;
    const char *topic;
    double *late_ms;
    int count;
};

static void *read_all(void *user)
{
    struct reading *reading = user;
    char group[80];
    kur_error error = {0};
    kur_record *records[256];
    snprintf(group, sizeof group, "%s-reader", reading->topic);
    kur_consumer *consumer = kur_consumer_new(reading->client, &KUR_CONSUMER_OPTIONS(.group = group), &error);
    if (kur_consumer_subscribe(consumer, (const char *const[]){reading->topic, NULL}, &error) != KUR_OK)
        bench_fail("reader: %s", error.message);
    for (bench_sample start = bench_now(); reading->count < COMMITS;) {
        size_t count = 0;
        kur_consumer_poll_batch(consumer, 100, records, 256, &count, &error);
        int64_t now_us = kur_clock_now_us();
        for (size_t i = 0; i < count; i++) {
            int64_t committed_us;
            memcpy(&committed_us, kur_record_value(records[i]).data, sizeof committed_us);
            if (committed_us == 0)
                continue;
            reading->late_ms[reading->count++] = (double)(now_us - committed_us) / 1000;
        }
        kur_consumer_free_records(consumer, records, count);
        if (bench_since(start).seconds > 120)
            bench_fail("%d of %d events came", reading->count, COMMITS);
    }
    kur_consumer_free(consumer);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The time in a row is that before its COMMIT, so that what the commit takes is in the figure; 0: it does not count. */
static void commit_at_rate(const struct bench_database *base, kur_outbox *outbox, const char *topic)
{
    void *connection = bench_connect(base);
    int64_t start_us = kur_clock_now_us();
    for (int i = 0; i < WARM + COMMITS; i++) {
        char value[VALUE_SIZE] = {0};
        int64_t due_us = start_us + (int64_t)i * 1000000 / RATE, now_us = kur_clock_now_us();
        if (due_us > now_us)
            nanosleep(&(struct timespec){(due_us - now_us) / 1000000, (due_us - now_us) % 1000000 * 1000}, NULL);
        now_us = i < WARM ? 0 : kur_clock_now_us();
        memcpy(value, &now_us, sizeof now_us);
        begin(base, connection);
        add(outbox, connection, topic, i, value, sizeof value);
        commit(base, connection);
        kur_outbox_committed(outbox);
    }
    bench_disconnect(base, connection);
}

static void measure_latency(const bench_options *options, int which, kur_guarantee guarantee)
{
    bool is_exact = guarantee == KUR_EXACTLY_ONCE;
    static double late_ms[COMMITS];
    char topic[64], name[64];
    struct bench_database base;
    pthread_t reader;
    if (!bench_database_open(&base, which))
        return;
    bench_topic_new(options, topic, "outbox", BENCH_PARTITIONS);
    kur_client *client = bench_client(options);
    kur_outbox *outbox = open_outbox(client, &base);
    kur_relay *relay = start_relay(outbox, guarantee);
    while (health_of(relay).shards == 0)
        pause_ms(10);
    struct reading reading = {client, topic, late_ms, 0};
    if (pthread_create(&reader, NULL, read_all, &reading) != 0)
        bench_fail("no thread");
    pause_ms(3000); /* until the reader has its partitions: it is not what is measured */
    commit_at_rate(&base, outbox, topic);
    pthread_join(reader, NULL);
    qsort(late_ms, COMMITS, sizeof *late_ms, by_size);
    snprintf(name, sizeof name, "%s, COMMIT to reader%s: p50", base.name, is_exact ? ", exactly once" : "");
    report(options, name, "ms", BENCH_REPORT_ONLY, 0, &late_ms[COMMITS / 2], 1);
    snprintf(name, sizeof name, "%s, COMMIT to reader%s: p99", base.name, is_exact ? ", exactly once" : "");
    report(options, name, "ms", BENCH_VALUE_AT_MOST, is_exact ? 50 : 15, &late_ms[COMMITS / 100 * 99], 1);
    kur_relay_free(relay);
    kur_outbox_free(outbox);
    kur_client_unref(client);
    bench_topic_delete(options, topic);
    bench_database_close(&base);
}

/* ---- Nothing to do ---- */

struct idle {
    const bench_options *options;
    struct bench_database base;
    double percent;
};

static void idle_in_process(void *task)
{
    struct idle *idle = task;
    kur_client *client = bench_client(idle->options);
    kur_outbox *outbox = open_outbox(client, &idle->base);
    kur_relay *relay = start_relay(outbox, KUR_AT_LEAST_ONCE);
    while (health_of(relay).shards == 0)
        pause_ms(10);
    bench_sample start = bench_now();
    pause_ms(IDLE_MS);
    bench_sample took = bench_since(start);
    idle->percent = took.cpu_seconds / took.seconds * 100;
    kur_relay_free(relay);
    kur_outbox_free(outbox);
    kur_client_unref(client);
}

static void measure_idle(const bench_options *options, int which)
{
    char name[64];
    struct idle idle = {.options = options};
    if (!bench_database_open(&idle.base, which))
        return;
    bench_in_process(idle_in_process, &idle, &idle.percent, sizeof idle.percent);
    snprintf(name, sizeof name, "%s, idle relay: CPU", idle.base.name);
    report(options, name, "% of a core", BENCH_VALUE_AT_MOST, 1, &idle.percent, 1);
    bench_database_close(&idle.base);
}

void bench_outbox(const bench_options *options)
{
    for (int which = 0; which < BENCH_DATABASES; which++) {
        measure_idle(options, which);
        measure_latency(options, which, KUR_AT_LEAST_ONCE);
        measure_drain(options, which, KUR_AT_LEAST_ONCE);
        if (!options->real)
            continue;
        measure_latency(options, which, KUR_EXACTLY_ONCE);
        measure_drain(options, which, KUR_EXACTLY_ONCE);
    }
    bench_outbox_costs(options);
}
