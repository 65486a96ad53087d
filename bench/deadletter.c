/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a million dead letters as a listener leaves them, 200 bytes of value and an envelope beside what is
 * told of their end, counted by cause, type and place in the program. A process of its own writes them, so that the
 * greatest memory of this one is what reading and counting takes, librdkafka's fetch buffers with it. The clock begins
 * before the reader is made: the first fetch counts.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"

enum {
    LETTERS_REAL = 1000000,
    LETTERS_EMBEDDED = 20000,
    CAUSES = 40,
    VALUE_SIZE = 200,
    RUNS = 3
};

/* ---- Writing them ---- */

static kur_bytes text(char *to, size_t size, const char *format, int number)
{
    snprintf(to, size, format, number);
    return kur_bytes_text(to);
}

static void send_letter(kur_producer *producer, const char *topic, int i)
{
    char id[32], cause[32], code[32], offset[24], value[VALUE_SIZE];
    kur_error error = {0};
    memset(value, 'v', sizeof value);
    const kur_header headers[] = {
        {"ce_specversion", kur_bytes_text("1.0")},
        {"ce_id", text(id, sizeof id, "order-%d", i)},
        {"ce_source", kur_bytes_text("/shop/orders")},
        {"ce_type", kur_bytes_text("shop.order.created.v1")},
        {"ce_time", kur_bytes_text("2026-11-28T21:30:00.000001Z")},
        {"content-type", kur_bytes_text("application/json")},
        {"kurier-retry-attempt", kur_bytes_text("5")},
        {"kurier-retry-first-failed", kur_bytes_text("2026-11-28T21:30:00.000001Z")},
        {"kurier-retry-failed", kur_bytes_text("2026-11-28T21:31:00.000001Z")},
        {"kurier-retry-topic", kur_bytes_text("orders")},
        {"kurier-retry-partition", kur_bytes_text("3")},
        {"kurier-retry-offset", text(offset, sizeof offset, "%d", i)},
        {"kurier-retry-timestamp", kur_bytes_text("2026-11-28T21:29:59.000001Z")},
        {"kurier-retry-group", kur_bytes_text("email")},
        {"kurier-retry-cause", text(cause, sizeof cause, "smtp.cause-%d", i % CAUSES)},
        {"kurier-retry-message", kur_bytes_text("the server did not answer within five seconds")},
        {"kurier-retry-code", text(code, sizeof code, "mail.c:%d", 80 + i % CAUSES)},
        {"kurier-retry-history",
         kur_bytes_text("1 2026-11-28T21:30:00.000001Z smtp.timeout; 2 2026-11-28T21:30:01.000001Z "
                        "smtp.timeout; 3 2026-11-28T21:30:03.000001Z smtp.timeout")}};
    if (kur_producer_send(producer,
                          &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(i % BENCH_PARTITIONS),
                                       .key = kur_bytes_text(id), .value = kur_bytes_of(value, sizeof value),
                                       .headers = headers, .header_count = sizeof headers / sizeof *headers),
                          &error) != KUR_OK)
        bench_fail("letter: %s", error.message);
}

static void write_letters(const bench_options *options, const char *topic, int count)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        kur_error error = {0};
        kur_client *client = bench_client(options);
        kur_producer *producer =
            kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.queue_wait_ms = 60000, .linger_ms = 20), &error);
        for (int i = 0; i < count; i++)
            send_letter(producer, topic, i);
        status = kur_producer_flush(producer, 120000, &error);
        kur_producer_free(producer);
        kur_client_unref(client);
        _exit(status == KUR_OK ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        bench_fail("the letters could not be written");
}

/* ---- Counting them ---- */

static bench_sample group(kur_client *client, const char *topic, int count)
{
    kur_error error = {0};
    const char *const topics[] = {topic, NULL};
    const kur_letter *letter;
    int64_t sum = 0;
    kur_letter_group_list list;
    kur_arena *arena = kur_arena_new();
    bench_sample start = bench_now();
    kur_letter_reader *reader = kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = topics), &error);
    kur_letter_groups *groups = kur_letter_groups_new(NULL, &error);
    kur_status status;
    while ((status = kur_letter_reader_next(reader, &letter, &error)) == KUR_OK && letter != NULL)
        kur_letter_groups_add(groups, letter, &error);
    if (status != KUR_OK || kur_letter_groups_list(groups, arena, &list, &error) != KUR_OK)
        bench_fail("groups: %s", error.message);
    bench_sample took = bench_since(start);
    for (size_t i = 0; i < list.count; i++)
        sum += list.items[i]->count;
    if (sum != count || list.count != CAUSES)
        bench_fail("%" PRId64 " letters in %zu groups", sum, list.count);
    kur_letter_groups_free(groups);
    kur_letter_reader_free(reader);
    kur_arena_free(arena);
    return took;
}

/* ---- Export and import ---- */

static bench_sample export_letters(kur_client *client, const char *topic, kur_buffer *lines, int most, int *count)
{
    kur_error error = {0};
    const char *const topics[] = {topic, NULL};
    const kur_letter *letter = NULL;
    kur_letter_reader *reader = kur_letter_reader_new(client, &KUR_LETTER_READER_OPTIONS(.topics = topics), &error);
    kur_letter_reader_next(reader, &letter, &error);
    bench_sample start = bench_now();
    for (*count = 0; letter != NULL && *count < most; ++*count)
        if (kur_letter_export(letter, lines, &error) != KUR_OK ||
            kur_letter_reader_next(reader, &letter, &error) != KUR_OK)
            bench_fail("export: %s", error.message);
    bench_sample took = bench_since(start);
    kur_letter_reader_free(reader);
    return took;
}

static bench_sample import_letters(kur_client *client, const char *topic, const kur_buffer *lines, int count)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_letter_writer *writer = kur_letter_writer_new(client, NULL, &error);
    const char *at = lines->data;
    bench_sample start = bench_now();
    for (int i = 0; i < count; i++) {
        const char *end = strchr(at, '\n');
        kur_letter_line line = KUR_LETTER_LINE();
        kur_arena_reset(arena);
        if (kur_letter_parse(kur_bytes_of(at, (size_t)(end - at)), arena, &line, &error) != KUR_OK ||
            kur_letter_writer_import(writer, topic, &line, &error) != KUR_OK)
            bench_fail("import: %s", error.message);
        at = end + 1;
    }
    if (kur_letter_writer_finish(writer, 120000, NULL, &error) != KUR_OK)
        bench_fail("import: %s", error.message);
    bench_sample took = bench_since(start);
    kur_letter_writer_free(writer);
    kur_arena_free(arena);
    return took;
}

/* ---- All of it ---- */

static bench_case case_of(const char *name, const char *unit, bench_bound bound, double target, int runs)
{
    return (bench_case){
        .bench = "deadletter", .name = name, .unit = unit, .bound = bound, .target = target, .runs = runs};
}

void bench_deadletter(const bench_options *options)
{
    char topic[64], copy[64];
    int count = options->real ? LETTERS_REAL : LETTERS_EMBEDDED, lines_count;
    int runs = options->runs > 0 ? options->runs : RUNS;
    bench_case time =
        case_of(options->real ? "10⁶ letters grouped" : "20,000 grouped", "s", BENCH_VALUE_AT_MOST, 15, runs);
    bench_case cpu = case_of("grouped, CPU", "ns/letter", BENCH_REPORT_ONLY, 0, runs);
    bench_case memory = case_of("grouped, all memory", "MiB", BENCH_REPORT_ONLY, 0, 1);
    bench_bound bound = options->real ? BENCH_VALUE_AT_MOST : BENCH_REPORT_ONLY;
    bench_case exported = case_of("exported", "µs/letter", bound, 10, runs);
    bench_case exported_cpu = case_of("exported, CPU", "ns/letter", BENCH_REPORT_ONLY, 0, runs);
    bench_case imported = case_of("imported", "µs/letter", bound, 10, runs);
    bench_case imported_cpu = case_of("imported, CPU", "ns/letter", BENCH_REPORT_ONLY, 0, runs);
    kur_buffer lines = {0};
    bench_topic_new(options, topic, "letters", BENCH_PARTITIONS);
    bench_topic_new(options, copy, "copy", BENCH_PARTITIONS);
    write_letters(options, topic, count);
    kur_client *client = bench_client(options);
    if (!options->real) /* appears on first sight alone */
        bench_fill(client, copy, 1, BENCH_RECORD_SIZE, 0);
    for (int i = 0; i < runs; i++) {
        bench_sample took = group(client, topic, count);
        time.values[i] = took.seconds;
        cpu.values[i] = took.cpu_seconds / count * 1e9;
    }
    memory.values[0] = bench_memory_mib("VmHWM");
    for (int i = 0; i < runs; i++) {
        lines.size = 0;
        bench_sample took = export_letters(client, topic, &lines, count / 5, &lines_count);
        exported.values[i] = took.seconds / lines_count * 1e6;
        exported_cpu.values[i] = took.cpu_seconds / lines_count * 1e9;
        took = import_letters(client, copy, &lines, lines_count);
        imported.values[i] = took.seconds / lines_count * 1e6;
        imported_cpu.values[i] = took.cpu_seconds / lines_count * 1e9;
    }
    bench_report(options, &time);
    bench_report(options, &cpu);
    bench_report(options, &memory);
    bench_report(options, &exported);
    bench_report(options, &exported_cpu);
    bench_report(options, &imported);
    bench_report(options, &imported_cpu);
    kur_buffer_done(&lines);
    kur_client_unref(client);
    bench_topic_delete(options, topic);
    bench_topic_delete(options, copy);
}
