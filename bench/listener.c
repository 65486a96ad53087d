/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: handlers that do nothing, in the order of 10,000 keys, beside a bare consumer that does nothing with
 * what it reads: once in batches, the fastest there is, and once record by record, as most C programs do it. Ours is
 * timed from the first handler to the last, each round a new group; bare from the first batch to the last. All sides
 * take turns. listener_costs.c: what it costs beside time.
 */
#include <kurier/listener.h>
#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "listener_costs.h"

enum {
    RECORDS_REAL = 400000,
    RECORDS_EMBEDDED = 120000,
    KEYS = 10000,
    BATCH = 1000,
    RUNS = 7,
    SIDES = 4
};

/* ---- Ours ---- */

static kur_outcome count(kur_delivery *delivery, void *user)
{
    (void)delivery;
    bench_count(user);
    return KUR_DONE;
}

static bench_sample hear(kur_client *client, const char *topic, size_t records, int workers)
{
    static int rounds;
    char group[64];
    kur_error error = {0};
    struct bench_counter counter = BENCH_COUNTER(records);
    snprintf(group, sizeof group, "bench-listener-%d-%s", ++rounds, topic);
    kur_listener *listener =
        kur_listener_new(client,
                         &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *const[]){topic, NULL},
                                               .concurrency = workers, .dead_letters = KUR_REJECTED_STOPS),
                         &error);
    if (listener == NULL || kur_listener_on_record(listener, count, &counter) != KUR_OK ||
        kur_listener_start(listener, &error) != KUR_OK)
        bench_fail("listener: %s", error.message);
    bench_sample took = bench_counted(&counter);
    kur_listener_stop(listener, 10000, &error);
    kur_listener_free(listener);
    return took;
}

/* ---- Bare ---- */

static bench_sample read_batches(rd_kafka_t *rk, rd_kafka_queue_t *queue, const char *topic, size_t records)
{
    rd_kafka_message_t *messages[BATCH];
    bench_sample start = {0};
    size_t have = 0;
    bench_rewind(rk, topic);
    while (have < records) {
        size_t left = have == 0 ? 1 : records - have;
        ssize_t got = rd_kafka_consume_batch_queue(queue, BENCH_POLL_MS, messages, left < BATCH ? left : BATCH);
        if (have == 0 && got > 0)
            start = bench_now();
        for (ssize_t i = 0; i < got; i++)
            rd_kafka_message_destroy(messages[i]);
        have += got > 0 ? (size_t)got : 0;
    }
    return bench_since(start);
}

static bench_sample read_one_by_one(rd_kafka_t *rk, const char *topic, size_t records)
{
    bench_sample start = {0};
    bench_rewind(rk, topic);
    for (size_t have = 0; have < records;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, BENCH_POLL_MS);
        if (message == NULL)
            continue;
        if (have++ == 0)
            start = bench_now();
        rd_kafka_message_destroy(message);
    }
    return bench_since(start);
}

/* ---- In turns ---- */

static void report(const bench_options *options, const char *name, const char *baseline, const double *ours,
                   const double *bare, int runs, double target)
{
    static bench_case one;
    one = (bench_case){.bench = "listener",
                       .name = name,
                       .unit = "records/s",
                       .baseline = baseline,
                       .bound = BENCH_RATIO_AT_LEAST,
                       .target = target,
                       .runs = runs};
    memcpy(one.values, ours, (size_t)runs * sizeof *ours);
    memcpy(one.baseline_values, bare, (size_t)runs * sizeof *bare);
    bench_report(options, &one);
}

void bench_listener(const bench_options *options)
{
    static double rates[SIDES][BENCH_RUNS_MAX];
    char topic[64];
    int runs = options->runs > 0 ? options->runs : RUNS;
    size_t records = options->real ? RECORDS_REAL : RECORDS_EMBEDDED;
    bench_listener_costs(options);
    kur_client *client = bench_client(options);
    bench_topic_new(options, topic, "listener", BENCH_PARTITIONS);
    bench_fill(client, topic, records, BENCH_RECORD_SIZE, KEYS);
    rd_kafka_t *bare = bench_bare_reader(client, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(bare);
    for (int run = -1; run < runs; run++)
        for (int i = 0; i < SIDES; i++) {
            int side = run % 2 == 0 ? i : SIDES - 1 - i;
            bench_sample took = side == 0   ? hear(client, topic, records, 2)
                                : side == 1 ? hear(client, topic, records, 4)
                                : side == 2 ? read_batches(bare, queue, topic, records)
                                            : read_one_by_one(bare, topic, records);
            if (run >= 0)
                rates[side][run] = (double)records / took.seconds;
        }
    report(options, "key order, 2 workers", "consume_batch_queue 1000", rates[0], rates[2], runs, 0.75);
    report(options, "key order, 4 workers", "consume_batch_queue 1000", rates[1], rates[2], runs, 0.5);
    report(options, "key order, 2 workers", "consumer_poll", rates[0], rates[3], runs, 1);
    report(options, "key order, 4 workers", "consumer_poll", rates[1], rates[3], runs, 1);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(bare);
    rd_kafka_destroy(bare);
    bench_topic_delete(options, topic);
    kur_client_unref(client);
}
