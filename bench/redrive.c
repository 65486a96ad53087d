/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: letters as a listener leaves them, 200 bytes of value, sent again: planned, which reads them once; run
 * without a rate, which reads them twice, to compare them and to send them; and run at 100 a second, which is
 * to be kept. What a letter costs is of the whole call, opening and closing with it.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "broker.h"

enum {
    LETTERS_REAL = 200000,
    LETTERS_EMBEDDED = 20000,
    VALUE_SIZE = 200,
    RUNS = 5,
    RATE = 100,
    AT_RATE = 1500,
    TIMEOUT_MS = 60000
};

struct letters {
    char origin[64], dead[80], target[80];
    int count;
};

static void make_topic(kur_client *client, const char *name)
{
    kur_error error = {0};
    kur_admin *admin = kur_admin_new(client, &error);
    const kur_topic_spec spec = KUR_TOPIC_SPEC(.name = name, .partitions = BENCH_PARTITIONS);
    if (kur_admin_ensure_topics(admin, &spec, 1, TIMEOUT_MS, NULL, NULL, &error) != KUR_OK)
        bench_fail("%s: %s", name, error.message);
    kur_admin_free(admin);
}

static void send_letter(kur_producer *producer, const struct letters *letters, int i)
{
    char value[VALUE_SIZE], offset[24], partition[4], key[24];
    kur_error error = {0};
    memset(value, 'v', sizeof value);
    snprintf(offset, sizeof offset, "%d", i);
    snprintf(partition, sizeof partition, "%d", i % BENCH_PARTITIONS);
    snprintf(key, sizeof key, "order-%d", i);
    const kur_header headers[] = {
        {"ce_specversion", kur_bytes_text("1.0")},
        {"ce_id", kur_bytes_text(key)},
        {"ce_source", kur_bytes_text("/shop/orders")},
        {"ce_type", kur_bytes_text("shop.order.created.v1")},
        {"kurier-retry-attempt", kur_bytes_text("5")},
        {"kurier-retry-first-failed", kur_bytes_text("2026-11-28T21:30:00.000001Z")},
        {"kurier-retry-failed", kur_bytes_text("2026-11-28T21:31:00.000001Z")},
        {"kurier-retry-topic", kur_bytes_text(letters->origin)},
        {"kurier-retry-partition", kur_bytes_text(partition)},
        {"kurier-retry-offset", kur_bytes_text(offset)},
        {"kurier-retry-timestamp", kur_bytes_text("2026-11-28T21:29:59.000001Z")},
        {"kurier-retry-group", kur_bytes_text("g")},
        {"kurier-retry-cause", kur_bytes_text("smtp.timeout")},
        {"kurier-retry-message", kur_bytes_text("the server did not answer within five seconds")},
        {"kurier-retry-code", kur_bytes_text("mail.c:88")}};
    if (kur_producer_send(producer,
                          &KUR_MESSAGE(.topic = letters->dead, .partition = KUR_PARTITION(i % BENCH_PARTITIONS),
                                       .key = kur_bytes_text(key), .value = kur_bytes_of(value, sizeof value),
                                       .headers = headers, .header_count = sizeof headers / sizeof *headers),
                          &error) != KUR_OK)
        bench_fail("letter: %s", error.message);
}

static void write_letters(kur_client *client, const struct letters *letters)
{
    kur_error error = {0};
    kur_producer *producer =
        kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.queue_wait_ms = TIMEOUT_MS, .linger_ms = 20), &error);
    for (int i = 0; i < letters->count; i++)
        send_letter(producer, letters, i);
    if (kur_producer_flush(producer, TIMEOUT_MS, &error) != KUR_OK)
        bench_fail("letters: %s", error.message);
    kur_producer_free(producer);
}

static bench_sample plan(kur_client *client, const struct letters *letters, char id[KUR_UUID_TEXT_SIZE])
{
    kur_error error = {0};
    const char *const topics[] = {letters->dead, NULL};
    const kur_redrive_view *made;
    kur_arena *arena = kur_arena_new();
    kur_redrive_plan_options options =
        KUR_REDRIVE_PLAN_OPTIONS(.topics = topics, .who = "bench",
                                 .force = KUR_REDRIVE_FORCE_UNREAD | KUR_REDRIVE_FORCE_SENT);
    bench_sample start = bench_now();
    if (kur_redrive_plan(client, &options, arena, &made, &error) != KUR_OK || made->count != letters->count)
        bench_fail("plan: %s", error.message);
    bench_sample took = bench_since(start);
    snprintf(id, KUR_UUID_TEXT_SIZE, "%s", made->id);
    kur_arena_free(arena);
    return took;
}

static bench_sample run(kur_client *client, const char *id, double rate, int64_t max, int64_t wanted)
{
    kur_error error = {0};
    kur_redrive_progress progress = KUR_REDRIVE_PROGRESS();
    kur_redrive_run_options options = KUR_REDRIVE_RUN_OPTIONS(.who = "bench", .rate = rate, .max = max);
    bench_sample start = bench_now();
    if (kur_redrive_run(client, id, &options, &progress, &error) != KUR_OK || progress.sent != wanted)
        bench_fail("run: %" PRId64 " sent: %s", progress.sent, error.message);
    return bench_since(start);
}

/* When the first and the last of those that were sent at a rate were, by their own times in the log. */
struct span {
    int64_t first_us, last_us;
    int count;
};

static bool note_time(const kur_record *record, struct span *span)
{
    int64_t at_us = kur_record_timestamp_us(record);
    span->first_us = span->count == 0 || at_us < span->first_us ? at_us : span->first_us;
    span->last_us = at_us > span->last_us ? at_us : span->last_us;
    return ++span->count == AT_RATE;
}

static double rate_of(kur_client *client, const char *topic)
{
    kur_error error = {0};
    const char *const topics[] = {topic, NULL};
    struct span span = {0};
    bool is_over = false;
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    kur_consumer_subscribe(consumer, topics, &error);
    while (!is_over) {
        kur_record *record = NULL;
        if (kur_consumer_poll(consumer, BENCH_POLL_MS, &record, &error) != KUR_OK)
            bench_fail("%s: %s", topic, error.message);
        if (record == NULL)
            continue;
        is_over = note_time(record, &span);
        kur_consumer_free_records(consumer, &record, 1);
    }
    kur_consumer_free(consumer);
    return (AT_RATE - 1) / ((double)(span.last_us - span.first_us) / 1e6);
}

static struct letters make_letters(const bench_options *options, kur_client *client, int count)
{
    struct letters letters = {.count = count};
    bench_topic_new(options, letters.origin, "redrive", BENCH_PARTITIONS);
    snprintf(letters.dead, sizeof letters.dead, "%s.g.dlq", letters.origin);
    snprintf(letters.target, sizeof letters.target, "%s.g.retry-short", letters.origin);
    make_topic(client, letters.dead);
    make_topic(client, letters.target);
    write_letters(client, &letters);
    return letters;
}

static void drop_letters(const bench_options *options, const struct letters *letters)
{
    bench_topic_delete(options, letters->origin);
    bench_topic_delete(options, letters->dead);
    bench_topic_delete(options, letters->target);
}

static bench_case case_of(const char *name, const char *unit, bench_bound bound, double target, int runs)
{
    return (bench_case){.bench = "redrive", .name = name, .unit = unit, .bound = bound, .target = target, .runs = runs};
}

void bench_redrive(const bench_options *options)
{
    char id[KUR_UUID_TEXT_SIZE];
    int runs = options->runs > 0 ? options->runs : RUNS;
    bench_case planned = case_of("planned", "µs/letter", BENCH_REPORT_ONLY, 0, runs);
    bench_case sent = case_of("compared and sent", "µs/letter", BENCH_VALUE_AT_MOST, 20, runs);
    bench_case cpu = case_of("compared and sent, CPU", "µs/letter", BENCH_REPORT_ONLY, 0, runs);
    bench_case off = case_of("100/s, off by", "%", BENCH_VALUE_AT_MOST, 2, 1);
    kur_client *client = bench_client(options);
    struct letters letters = make_letters(options, client, options->real ? LETTERS_REAL : LETTERS_EMBEDDED);
    for (int i = 0; i < runs; i++) {
        planned.values[i] = plan(client, &letters, id).seconds / letters.count * 1e6;
        bench_sample took = run(client, id, 0, 0, letters.count);
        sent.values[i] = took.seconds / letters.count * 1e6;
        cpu.values[i] = took.cpu_seconds / letters.count * 1e6;
    }
    drop_letters(options, &letters);
    letters = make_letters(options, client, AT_RATE);
    plan(client, &letters, id);
    run(client, id, RATE, AT_RATE, AT_RATE);
    off.values[0] = fabs(rate_of(client, letters.target) / RATE - 1) * 100;
    drop_letters(options, &letters);
    bench_report(options, &planned);
    bench_report(options, &sent);
    bench_report(options, &cpu);
    bench_report(options, &off);
    kur_client_unref(client);
}
