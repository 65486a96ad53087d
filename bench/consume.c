/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: both sides read the same topic from its beginning to its end, in turns, and touch each record's value.
 * The clock starts with the first batch, so that the seek and the first fetch do not count. At the end of the topic the
 * other side's consumer has nothing to fetch and disturbs nobody.
 */
#include <stdio.h>
#include <string.h>

#include "broker.h"

enum {
    RECORDS_REAL = 300000,
    RECORDS_EMBEDDED = 150000,
    SIZES = 3,
    BATCH_MAX = 4000,
    RUNS = 15
};

static const int batch_sizes[SIZES] = {256, 1000, 4000};

struct side {
    kur_consumer *consumer; /* of ours */
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    const char *topic;
    size_t records;
    size_t bytes; /* so that the values are looked at */
};

/* ---- One batch ---- */

static size_t batch_of_ours(struct side *side, size_t capacity)
{
    kur_record *records[BATCH_MAX];
    kur_error error = {0};
    size_t count;
    if (kur_consumer_poll_batch(side->consumer, BENCH_POLL_MS, records, capacity, &count, &error) != KUR_OK)
        bench_fail("poll: %s", error.message);
    for (size_t i = 0; i < count; i++)
        side->bytes += kur_record_value(records[i]).size;
    kur_consumer_free_records(side->consumer, records, count);
    return count;
}

static size_t batch_of_bare(struct side *side, size_t capacity)
{
    rd_kafka_message_t *messages[BATCH_MAX];
    ssize_t count = rd_kafka_consume_batch_queue(side->queue, BENCH_POLL_MS, messages, capacity);
    for (ssize_t i = 0; i < count; i++) {
        if (messages[i]->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            bench_fail("consume: %s", rd_kafka_message_errstr(messages[i]));
        side->bytes += messages[i]->len;
        rd_kafka_message_destroy(messages[i]);
    }
    return count > 0 ? (size_t)count : 0;
}

/* ---- A round ---- */

/* Ours keeps count of its positions: a seek beneath it would look as if the topic had been made anew. */
static void rewind_side(struct side *side)
{
    kur_error error = {0};
    if (side->consumer == NULL) {
        bench_rewind(side->rk, side->topic);
        return;
    }
    for (int32_t i = 0; i < BENCH_PARTITIONS; i++)
        if (kur_consumer_seek(side->consumer, side->topic, i, 0, &error) != KUR_OK)
            bench_fail("seek: %s", error.message);
}

static bench_sample consume(struct side *side, size_t batch_size, size_t *counted)
{
    size_t (*batch)(struct side *, size_t) = side->consumer != NULL ? batch_of_ours : batch_of_bare;
    size_t first = 0, have;
    rewind_side(side);
    while (first == 0)
        first = batch(side, batch_size);
    bench_sample start = bench_now();
    /* Never more than there is: the baseline waits for a batch to be full. */
    for (have = first; have < side->records;)
        have += batch(side, side->records - have < batch_size ? side->records - have : batch_size);
    bench_sample took = bench_since(start);
    if (have != side->records)
        bench_fail("%zu records instead of %zu", have, side->records);
    *counted = have - first;
    return took;
}

/* ---- All of it ---- */

static void open_sides(struct side *ours, struct side *bare, kur_client *client, const char *topic, size_t records)
{
    kur_error error = {0};
    *ours = *bare = (struct side){.topic = topic, .records = records};
    ours->consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = "bench-ours"), &error);
    if (ours->consumer == NULL ||
        kur_consumer_subscribe(ours->consumer, (const char *const[]){topic, NULL}, &error) != KUR_OK)
        bench_fail("consumer: %s", error.message);
    ours->rk = kur_consumer_librdkafka(ours->consumer);
    bare->rk = bench_bare_consumer(ours->rk, "bench-bare");
    bare->queue = rd_kafka_queue_get_consumer(bare->rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    if (rd_kafka_subscribe(bare->rk, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("subscribe");
    rd_kafka_topic_partition_list_destroy(list);
    /* To the end once, for the group's first assignment takes time. */
    for (size_t have = 0; have < records;)
        have += batch_of_ours(ours, BATCH_MAX);
    for (size_t have = 0; have < records;)
        have += batch_of_bare(bare, records - have < BATCH_MAX ? records - have : BATCH_MAX);
}

struct figures {
    double rate[SIZES][BENCH_RUNS_MAX], cpu[SIZES][BENCH_RUNS_MAX];
};

static void run_round(struct side *side, int size, int run, struct figures *figures)
{
    size_t counted;
    bench_sample took = consume(side, (size_t)batch_sizes[size], &counted);
    if (run < 0 || counted == 0)
        return;
    figures->rate[size][run] = (double)counted / took.seconds;
    figures->cpu[size][run] = took.cpu_seconds / (double)counted * 1e9;
}

static int best(const struct figures *figures, int runs)
{
    int found = 0;
    for (int i = 1; i < SIZES; i++)
        if (bench_median(figures->rate[i], runs) > bench_median(figures->rate[found], runs))
            found = i;
    return found;
}

static void report(const bench_options *options, const char *bench, const struct figures *ours,
                   const struct figures *bare, int runs)
{
    static bench_case one;
    char name[64], baseline[64];
    int ours_best = best(ours, runs), bare_best = best(bare, runs);
    snprintf(baseline, sizeof baseline, "consume_batch_queue %d", batch_sizes[bare_best]);
    snprintf(name, sizeof name, "batches of %d", batch_sizes[ours_best]);
    one = (bench_case){.bench = bench,
                       .name = name,
                       .unit = "records/s",
                       .baseline = baseline,
                       .bound = BENCH_RATIO_AT_LEAST,
                       .target = 0.95,
                       .runs = runs};
    memcpy(one.values, ours->rate[ours_best], sizeof one.values);
    memcpy(one.baseline_values, bare->rate[bare_best], sizeof one.baseline_values);
    bench_report(options, &one);
    snprintf(name, sizeof name, "batches of %d, CPU", batch_sizes[ours_best]);
    one.unit = "ns/record";
    one.bound = BENCH_REPORT_ONLY;
    memcpy(one.values, ours->cpu[ours_best], sizeof one.values);
    memcpy(one.baseline_values, bare->cpu[bare_best], sizeof one.baseline_values);
    bench_report(options, &one);
    one.unit = "records/s";
    for (int i = 0; i < SIZES; i++) {
        snprintf(name, sizeof name, "like with like, %d", batch_sizes[i]);
        snprintf(baseline, sizeof baseline, "consume_batch_queue %d", batch_sizes[i]);
        memcpy(one.values, ours->rate[i], sizeof one.values);
        memcpy(one.baseline_values, bare->rate[i], sizeof one.baseline_values);
        bench_report(options, &one);
    }
}

void bench_consume_as(const bench_options *options, const char *bench)
{
    static struct figures ours_figures, bare_figures;
    char topic[64];
    struct side ours, bare;
    int runs = options->runs > 0 ? options->runs : RUNS;
    kur_client *client = bench_client(options);
    size_t records = options->real ? RECORDS_REAL : RECORDS_EMBEDDED;
    bench_topic_new(options, topic, "consume", BENCH_PARTITIONS);
    bench_fill(client, topic, records, BENCH_RECORD_SIZE, 0);
    open_sides(&ours, &bare, client, topic, records);
    for (int run = -1; run < runs; run++)
        for (int size = 0; size < SIZES; size++) {
            if (run % 2 == 0)
                run_round(&ours, size, run, &ours_figures);
            run_round(&bare, size, run, &bare_figures);
            if (run % 2 != 0)
                run_round(&ours, size, run, &ours_figures);
        }
    report(options, bench, &ours_figures, &bare_figures, runs);
    kur_consumer_free(ours.consumer);
    rd_kafka_queue_destroy(bare.queue);
    rd_kafka_consumer_close(bare.rk);
    rd_kafka_destroy(bare.rk);
    bench_topic_delete(options, topic);
    kur_client_unref(client);
}

void bench_consume(const bench_options *options)
{
    bench_consume_as(options, "consume");
}
