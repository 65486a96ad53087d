/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the ledger alone, without threads and without Kafka, compiled in from its sources, for it is not a part
 * of what the libraries show. What it costs goes by how the unfinished offsets lie:
 *
 *     in a row      neighbours, as behind one blocked handler
 *     one in two    every other one, which makes as many runs as there can be
 *     apart         none within 64 of the next: a word for each
 *
 * Memory is what the allocator has given out, rounding and spare capacity with it. Times are CPU time. What the machine
 * keeps of a record beside the ledger is shown for orientation; it is bounded by what a listener may hold.
 */
#include "listener/ledger.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "listener/machine.h"

enum {
    MANY = 1000000,
    FEW = 10000,
    ENCODINGS = 200,
    RUNS = 9
};

struct layout {
    const char *name;
    int64_t step; /* from one unfinished offset to the next */
};

static const struct layout layouts[] = {{"in a row", 1}, {"one in two", 2}, {"apart", 97}};

static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void report(const bench_options *options, bench_case *one, const char *what, const char *name)
{
    static char text[64];
    snprintf(text, sizeof text, "%s, %s", what, name);
    one->bench = "ledger";
    one->name = text;
    bench_report(options, one);
}

/* ---- The ledger ---- */

/* Offsets between the unfinished ones are admitted and finished where the layout has some, or were never there. */
static void admit(kur__ledger *ledger, const struct layout *layout, int count)
{
    kur__ledger_init(ledger, 0);
    for (int i = 0; i < count; i++)
        if (kur__ledger_admit(ledger, i * layout->step) != KUR__ADMITTED)
            bench_fail("not admitted");
}

static void shuffle(int *order, int count, int run)
{
    srandom((unsigned)run + 1);
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int i = count - 1; i > 0; i--) {
        int j = (int)(random() % (i + 1)), other = order[j];
        order[j] = order[i];
        order[i] = other;
    }
}

static void measure_memory(const bench_options *options, const struct layout *layout, int runs)
{
    static bench_case one;
    one = (bench_case){.unit = "bytes", .bound = BENCH_VALUE_AT_MOST, .target = 32, .runs = runs};
    for (int run = 0; run < runs; run++) {
        kur__ledger ledger;
        size_t before = allocated();
        admit(&ledger, layout, MANY);
        one.values[run] = (double)(allocated() - before) / MANY;
        kur__ledger_done(&ledger);
    }
    report(options, &one, "10⁶ held", layout->name);
}

static void measure_marking(const bench_options *options, const struct layout *layout, int count, int runs)
{
    static bench_case one;
    static int order[MANY];
    one = (bench_case){.unit = "ns/mark", .bound = BENCH_VALUE_AT_MOST, .target = 200, .runs = runs};
    for (int run = 0; run < runs; run++) {
        kur__ledger ledger;
        admit(&ledger, layout, count);
        shuffle(order, count, run);
        bench_sample start = bench_now();
        for (int i = 0; i < count; i++)
            if (!kur__ledger_finish(&ledger, order[i] * layout->step))
                bench_fail("was not unfinished");
        one.values[run] = bench_since(start).cpu_seconds / count * 1e9;
        kur__ledger_done(&ledger);
    }
    report(options, &one, count == MANY ? "mark in 10⁶" : "mark in 10⁴", layout->name);
}

static void measure_encoding(const bench_options *options, const struct layout *layout, int runs)
{
    static bench_case one;
    static const kur__ledger_log log = {1, 2, 3};
    char text[KUR__LEDGER_TEXT_MAX + 1];
    kur__ledger ledger;
    one = (bench_case){.unit = "µs", .bound = BENCH_VALUE_AT_MOST, .target = 50, .runs = runs};
    admit(&ledger, layout, FEW);
    for (int run = 0; run < runs; run++) {
        bench_sample start = bench_now();
        for (int i = 0; i < ENCODINGS; i++)
            if (kur__ledger_write(&ledger, &log, KUR__LEDGER_TEXT_MAX, text) < 0)
                bench_fail("nothing is told");
        one.values[run] = bench_since(start).cpu_seconds / ENCODINGS * 1e6;
    }
    kur__ledger_done(&ledger);
    report(options, &one, "encode 10⁴", layout->name);
}

/* ---- The machine ---- */

static size_t release_all(kur__machine *machine)
{
    kur__released released;
    size_t count = 0;
    while (kur__machine_next_release(machine, &released))
        count++;
    return count;
}

/* Bytes for each of 10⁶ records that wait, and the time of a record's way from the poll to its end. */
static void measure_machine(const bench_options *options, int key_count, const char *name)
{
    static bench_case bytes, time;
    static kur__work *works[256];
    kur__machine machine;
    kur__source *source;
    int64_t position;
    char key[32];
    kur_error warning = {0}, error = {0};
    kur__machine_options decisions = {.order = key_count > 0 ? KUR_ORDER_BY_KEY : KUR_UNORDERED,
                                      .hold_records = 2 * MANY,
                                      .hold_bytes = INT64_MAX / 2,
                                      .text_limit = KUR__LEDGER_TEXT_MAX,
                                      .commit_records = MANY,
                                      .multiplier = 2,
                                      .seed = 1};
    bytes = (bench_case){.unit = "bytes", .runs = 1};
    time = (bench_case){.unit = "ns/record", .runs = 1};
    size_t before = allocated();
    if (kur__machine_init(&machine, &decisions, &error) != KUR_OK ||
        kur__machine_assign(&machine, &(kur__assignment){.topic = "t", .is_committed = true}, &source, &position, 0,
                            &warning, &error) != KUR_OK)
        bench_fail("machine: %s", error.message);
    bench_sample start = bench_now();
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "key-%d", key_count > 0 ? i % key_count : 0);
        kur__polled polled = {.offset = i, .bytes = 100, .item = &machine};
        if (key_count > 0)
            polled.key = kur_bytes_text(key);
        if (kur__machine_admit(&machine, source, &polled, 0) != KUR__ADMITTED)
            bench_fail("not admitted");
    }
    bytes.values[0] = (double)(allocated() - before) / MANY;
    for (size_t done = 0; done < MANY;) {
        size_t count = kur__machine_take(&machine, 0, works, sizeof works / sizeof *works);
        for (size_t i = 0; i < count; i++)
            kur__machine_outcome(&machine, works[i], &(kur__verdict){.outcome = KUR_DONE}, 0);
        done += release_all(&machine);
    }
    time.values[0] = bench_since(start).cpu_seconds / MANY * 1e9;
    kur__machine_drop(&machine, source);
    kur__machine_done(&machine);
    report(options, &bytes, "machine, a record", name);
    report(options, &time, "machine, all of it", name);
}

void bench_ledger(const bench_options *options)
{
    int runs = options->runs > 0 ? options->runs : RUNS;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        measure_memory(options, &layouts[i], runs);
        measure_marking(options, &layouts[i], FEW, runs);
        measure_marking(options, &layouts[i], MANY, runs);
        measure_encoding(options, &layouts[i], runs);
    }
    measure_machine(options, 0, "unordered");
    measure_machine(options, FEW, "10,000 keys");
    measure_machine(options, MANY, "10⁶ keys");
}
