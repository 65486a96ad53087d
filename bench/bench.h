/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What all benchmarks share: rounds of ours and of bare librdkafka's in turns, their statistics, and the output.
 */
#ifndef KURIER_BENCH_BENCH_H
#define KURIER_BENCH_BENCH_H

#include <kurier/kurier.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    BENCH_RUNS_MAX = 1000
};

typedef struct bench_options {
    const char *bootstrap; /* NULL for benches that need no broker */
    const char *library;   /* libkurier.so without its symbols */
    int runs;              /* 0: each bench's own number */
    bool json;
    bool real;                      /* a real Kafka, where topics are made and deleted by request */
    const kur_property *properties; /* of all clients; NULL: none */
} bench_options;

/* What a round took: by the clock, and of the whole process's CPU time. */
typedef struct bench_sample {
    double seconds;
    double cpu_seconds;
} bench_sample;

typedef bench_sample bench_round(void *side);

typedef enum bench_bound {
    BENCH_REPORT_ONLY = 0,
    BENCH_RATIO_AT_LEAST,
    BENCH_RATIO_AT_MOST,
    BENCH_VALUE_AT_MOST,
    BENCH_VALUE_AT_LEAST
} bench_bound;

/* One line of the output. Values are in `unit`; baseline NULL: there is none. */
typedef struct bench_case {
    const char *bench, *name, *unit, *baseline;
    bench_bound bound;
    double target;
    int runs;
    double values[BENCH_RUNS_MAX], baseline_values[BENCH_RUNS_MAX];
} bench_case;

void bench_heading(const bench_options *options);

/* Median, least and greatest of ours, median of the baseline, and the median of the ratios of the rounds run side by
 * side. */
void bench_report(const bench_options *options, const bench_case *one);

/*
 * Runs both sides in turns, now this one first, now the other; a few rounds that do not count come before. The names
 * say what a line for the clock and one for CPU time is of; each round has `records` records.
 */
typedef struct bench_pair {
    const char *bench, *name, *baseline;
    bench_round *ours, *bare;
    void *ours_side, *bare_side;
    double records;
    double least_ratio; /* target of records/s; 0: report only */
    int runs;
} bench_pair;

void bench_run_pair(const bench_options *options, const bench_pair *pair);

bench_sample bench_now(void);
bench_sample bench_since(bench_sample start);

/* Counts to `wanted`, by any thread; timed from the first to the last. */
struct bench_counter {
    _Alignas(64) atomic_size_t count;
    _Alignas(64) size_t wanted;
    bench_sample start, took;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
};

#define BENCH_COUNTER(wanted_)                                                                                         \
    {                                                                                                                  \
        .wanted = (wanted_), .lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER                       \
    }

/* One more. */
void bench_count(struct bench_counter *counter);
/* Waits for the last; what they took. */
bench_sample bench_counted(struct bench_counter *counter);

double bench_median(const double *values, int count);

/* What /proc/self/status tells of this process's memory: "VmRSS" now, "VmHWM" at most. */
double bench_memory_mib(const char *field);

/* What this machine does: seconds of its processors since it runs, or, of a while, how many processors that were. */
typedef struct bench_machine {
    double database, broker; /* processes of PostgreSQL's, and a real Kafka's */
    double idle, waiting;    /* of nobody; of nobody while a disk is waited for */
} bench_machine;

bench_machine bench_machine_now(void);
bench_machine bench_machine_since(bench_machine start, double seconds);

/* Runs a task in a process that has done nothing before; `figures`, which lie in the task, are what comes back of it.
 */
void bench_in_process(void (*run)(void *task), void *task, void *figures, size_t size);

/* Ends the program: a benchmark that cannot run has no figures. */
void bench_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* The benches. */
void bench_produce(const bench_options *options);
void bench_publish(const bench_options *options);
void bench_consume(const bench_options *options);
void bench_envelope(const bench_options *options);
void bench_transaction(const bench_options *options);
void bench_startup(const bench_options *options);
void bench_listener(const bench_options *options);
void bench_ordering(const bench_options *options);
void bench_ledger(const bench_options *options);
void bench_avro(const bench_options *options);
void bench_retry(const bench_options *options);
void bench_size(const bench_options *options);
void bench_deadletter(const bench_options *options);
void bench_redrive(const bench_options *options);
void bench_outbox(const bench_options *options);
void bench_inbox(const bench_options *options);
void bench_tls(const bench_options *options);

/* The second part of bench_outbox. */
void bench_outbox_costs(const bench_options *options);

/* Produce and consume alone, under the name of another bench. */
void bench_produce_as(const bench_options *options, const char *bench);
void bench_consume_as(const bench_options *options, const char *bench);

#endif
