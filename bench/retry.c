/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what retries by topic and dead letters cost. Each figure is taken in a process of its own.
 *
 * Lateness is what a handler sees: the time at which it is called, against the due time that its record carries.
 *
 * What a forward costs is what a listener needs more of CPU time when it rejects everything than when it finishes
 * everything. A forward carries a dozen headers, several times as many bytes as the record: so beside it stand a plain
 * producer of the same records as they are, and one of the same bytes as they are forwarded, each with its result.
 */
#include <kurier/kurier.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/record.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "broker.h"

enum {
    LATE_RECORDS = 15000,
    A_SECOND = 1000,
    DEAD_RECORDS = 200000,
    PARKED_RECORDS = 100000,
    PARKED_SIZE = 200,
    WARM_UP = 1000, /* of those that are late: not counted */
    LOOK_MS = 5
};

struct figures {
    double first, second, third, fourth;
};

struct task {
    const bench_options *options;
    char topic[64];
    size_t records, size;
    bool rejects, is_mixed, has_headers;
    struct figures figures;
};

static void sleep_us(int64_t us)
{
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (us > 0 && nanosleep(&left, &left) != 0)
        continue;
}

static struct figures in_process(struct task task, void (*run)(void *task))
{
    bench_in_process(run, &task, &task.figures, sizeof task.figures);
    return task.figures;
}

/* ---- Listening ---- */

static atomic_int handled;

static kur_listener *start(kur_client *client, const struct task *task, const kur_retry_policy *policy, int concurrency,
                           kur_record_handler *handler)
{
    char group[96];
    kur_error error = {0};
    snprintf(group, sizeof group, "bench-retry-%d", (int)getpid());
    kur_listener *listener =
        kur_listener_new(client,
                         &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *const[]){task->topic, NULL},
                                               .concurrency = concurrency, .retry = policy),
                         &error);
    if (listener == NULL || kur_listener_on_record(listener, handler, (void *)(uintptr_t)task) != KUR_OK ||
        kur_listener_start(listener, &error) != KUR_OK)
        bench_fail("listener: %s", error.message);
    return listener;
}

static kur_listener_health health_of(kur_listener *listener)
{
    kur_listener_health health = KUR_LISTENER_HEALTH();
    kur_error error = {0};
    if (kur_listener_health_get(listener, &health, &error) != KUR_OK || health.status != KUR_OK)
        bench_fail("listener: %s", error.message);
    return health;
}

static void end(kur_listener *listener, kur_client *client)
{
    kur_listener_stop(listener, 20000, NULL);
    kur_listener_free(listener);
    kur_client_unref(client);
}

/* ---- Lateness ---- */

static int64_t lateness_us[LATE_RECORDS];
static atomic_int late_count;

static int64_t delay_ms(const struct task *task, int number)
{
    static const int near_ms[] = {200, 400, 800};
    if (!task->is_mixed)
        return 1000;
    return number % 2 == 0 ? near_ms[number / 2 % 3] : 1000 + number * 7919 % 49000;
}

static kur_outcome on_late(kur_delivery *delivery, void *user)
{
    const struct task *task = user;
    const kur_record *record = kur_delivery_record(delivery);
    int number;
    memcpy(&number, kur_record_value(record).data, sizeof number);
    if (kur_delivery_attempt(delivery) == 1)
        return kur_retry_after(delivery, delay_ms(task, number), "bench.late", "once");
    int64_t now_us = kur_clock_now_us();
    kur_retry_view view = KUR_RETRY_VIEW();
    kur_arena *arena = kur_arena_new();
    if (kur_retry_read(record, KUR_HEADERS_KURIER, now_us, arena, &view, NULL) != KUR_OK)
        bench_fail("kur_retry_read");
    kur_arena_free(arena);
    lateness_us[number] = now_us - view.due_us;
    atomic_fetch_add(&late_count, 1);
    return KUR_DONE;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void be_late(void *user)
{
    struct task *task = user;
    kur_error error = {0};
    kur_client *client = bench_client(task->options);
    kur_producer *producer = bench_producer(client, KUR_DISPATCH_THREAD);
    kur_retry_policy policy = KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC);
    kur_listener *listener = start(client, task, &policy, 4, on_late);
    while (health_of(listener).assigned < 4 * BENCH_PARTITIONS)
        sleep_us(LOOK_MS * 1000);
    char value[BENCH_RECORD_SIZE] = {0};
    for (int i = 0; i < LATE_RECORDS; i++) {
        int64_t due_us = (int64_t)i * 1000000 / A_SECOND;
        static int64_t begun_us;
        begun_us = i == 0 ? kur_clock_monotonic_us() : begun_us;
        sleep_us(begun_us + due_us - kur_clock_monotonic_us());
        memcpy(value, &i, sizeof i);
        if (kur_producer_send(producer,
                              &KUR_MESSAGE(.topic = task->topic, .key = kur_bytes_of(&i, sizeof i),
                                           .value = kur_bytes_of(value, sizeof value)),
                              &error) != KUR_OK)
            bench_fail("send: %s", error.message);
    }
    while (atomic_load(&late_count) < LATE_RECORDS) {
        health_of(listener);
        sleep_us(LOOK_MS * 1000);
    }
    qsort(lateness_us + WARM_UP, LATE_RECORDS - WARM_UP, sizeof *lateness_us, compare);
    int count = LATE_RECORDS - WARM_UP;
    task->figures = (struct figures){(double)lateness_us[WARM_UP + count / 2] / 1000,
                                     (double)lateness_us[WARM_UP + count - count / 100] / 1000,
                                     (double)lateness_us[WARM_UP] / 1000, 0};
    kur_producer_free(producer);
    end(listener, client);
}

/* ---- Dead letters ---- */

static kur_outcome on_dead(kur_delivery *delivery, void *user)
{
    const struct task *task = user;
    atomic_fetch_add_explicit(&handled, 1, memory_order_relaxed);
    return task->rejects ? kur_reject(delivery, "bench.never", "never") : KUR_DONE;
}

/* Records a second, and CPU a record in microseconds. */
static void drain(void *user)
{
    struct task *task = user;
    kur_client *client = bench_client(task->options);
    kur_retry_policy policy = KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC);
    kur_listener *listener = start(client, task, &policy, 2, on_dead);
    while (atomic_load(&handled) == 0)
        sleep_us(500);
    bench_sample begun = bench_now();
    double left = (double)task->records - (double)health_of(listener).finished;
    while (health_of(listener).finished < (int64_t)task->records)
        sleep_us(1000);
    bench_sample took = bench_since(begun);
    task->figures = (struct figures){left / took.seconds, took.cpu_seconds / left * 1e6, 0, 0};
    end(listener, client);
}

static void on_result(const kur_result *result, void *user)
{
    (void)user;
    if (result->status != KUR_DELIVERED)
        bench_fail("delivery: %s", result->error.message);
}

/* A record as those that bench_fill makes, with the headers that one has that was rejected, and a result. */
static kur_message forward_of(const struct task *task, kur_arena *arena)
{
    static char value[BENCH_RECORD_MAX];
    int64_t now_us = kur_clock_now_us();
    kur_error error = {0};
    kur_record *record = kur_record_build(&(kur_record_parts){.topic = task->topic, .timestamp_us = -1}, &error);
    kur_attempt_view attempt = {.size = sizeof attempt, .attempt = 1, .at_us = now_us, .cause = "bench.never"};
    const kur_attempt_view *attempts[] = {&attempt};
    kur_retry_view view =
        KUR_RETRY_VIEW(.attempt = 1, .first_failed_us = now_us, .failed_us = now_us, .topic = task->topic,
                       .offset = 123456, .timestamp_us = now_us, .group = "bench-retry-12345", .cause = "bench.never",
                       .message = "never", .code = "retry.c:123", .attempts = attempts, .attempt_count = 1);
    kur_message message = KUR_MESSAGE(.topic = task->topic, .on_result = on_result);
    if (record == NULL || kur_retry_write(record, KUR_HEADERS_KURIER, KUR_TIER_DEAD, &view, 0, arena, &message.headers,
                                          &message.header_count, &error) != KUR_OK)
        bench_fail("headers: %s", error.message);
    kur_record_free(record);
    memset(value, 'x', sizeof value);
    message.value = kur_bytes_of(value, task->size);
    return message;
}

static void produce_forwards(kur_client *client, const struct task *task)
{
    kur_arena *arena = kur_arena_new();
    kur_message message = forward_of(task, arena);
    kur_producer *producer = bench_producer(client, KUR_DISPATCH_THREAD);
    kur_error error = {0};
    kur_status status;
    char key[32];
    for (size_t i = 0; i < task->records; i++) {
        snprintf(key, sizeof key, "key-%zu", i * 2654435761u % 10000);
        message.key = kur_bytes_text(key);
        while ((status = kur_producer_send(producer, &message, &error)) == KUR_ERROR_QUEUE_FULL)
            continue;
        if (status != KUR_OK)
            bench_fail("send: %s", error.message);
    }
    if (kur_producer_flush(producer, 60000, &error) != KUR_OK || kur_producer_free(producer) > 0)
        bench_fail("flush: %s", error.message);
    kur_arena_free(arena);
}

static void produce(void *user)
{
    struct task *task = user;
    kur_client *client = bench_client(task->options);
    bench_sample begun = bench_now();
    if (task->has_headers)
        produce_forwards(client, task);
    else
        bench_fill(client, task->topic, task->records, task->size, 10000);
    bench_sample took = bench_since(begun);
    task->figures =
        (struct figures){(double)task->records / took.seconds, took.cpu_seconds / (double)task->records * 1e6, 0, 0};
    kur_client_unref(client);
}

/* ---- Parked ---- */

static kur_outcome on_parked(kur_delivery *delivery, void *user)
{
    (void)user;
    return kur_retry_after(delivery, 3000000, "bench.parked", "in 50 minutes");
}

static void park(void *user)
{
    struct task *task = user;
    kur_client *client = bench_client(task->options);
    kur_retry_policy policy = KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC);
    kur_listener *listener = start(client, task, &policy, 2, on_parked);
    double most = 0;
    int64_t quiet_since_us = 0, held = -1;
    /* Until all are forwarded, many are back, and what is held of them stays the same for two seconds. */
    for (;;) {
        kur_listener_health health = health_of(listener);
        double now = bench_memory_mib("VmRSS");
        most = now > most ? now : most;
        if (health.finished < (int64_t)task->records || health.held != held || held < (int64_t)task->records / 10)
            quiet_since_us = kur_clock_monotonic_us();
        held = health.held;
        if (kur_clock_monotonic_us() - quiet_since_us > 2000000)
            break;
        sleep_us(LOOK_MS * 1000);
    }
    task->figures = (struct figures){bench_memory_mib("VmRSS"), most, (double)held, 0};
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    task->figures.fourth = bench_memory_mib("VmRSS");
    end(listener, client);
}

/* ---- All of it ---- */

static void report(const bench_options *options, const char *name, const char *unit, double value, bench_bound bound,
                   double target)
{
    bench_case one = {.bench = "retry", .name = name, .unit = unit, .bound = bound, .target = target, .runs = 1};
    one.values[0] = value;
    bench_report(options, &one);
}

static void measure_lateness(const bench_options *options, bool is_mixed)
{
    struct task task = {.options = options, .is_mixed = is_mixed};
    bench_topic_new(options, task.topic, "retry-late", BENCH_PARTITIONS);
    struct figures late = in_process(task, be_late);
    const char *const names[][3] = {{"1,000 failures a second, 1 s: late, median", "99 of 100", "least"},
                                    {"mixed 0.2 to 0.8 s and 1 to 50 s: late, median", "99 of 100", "least"}};
    report(options, names[is_mixed][0], "ms", late.first, BENCH_VALUE_AT_MOST, 2);
    report(options, names[is_mixed][1], "ms", late.second, BENCH_VALUE_AT_MOST, 10);
    report(options, names[is_mixed][2], "ms", late.third, BENCH_REPORT_ONLY, 0);
    bench_topic_delete(options, task.topic);
}

static void report_cost(const bench_options *options, const char *name, const char *baseline, double cost_us,
                        double baseline_us)
{
    bench_case one = {.bench = "retry",
                      .name = name,
                      .unit = "us",
                      .baseline = baseline,
                      .bound = BENCH_RATIO_AT_MOST,
                      .target = 2,
                      .runs = 1};
    one.values[0] = cost_us;
    one.baseline_values[0] = baseline_us;
    bench_report(options, &one);
}

static void measure_dead_letters(const bench_options *options)
{
    struct task task = {.options = options, .records = DEAD_RECORDS, .size = BENCH_RECORD_SIZE};
    struct task forwards = task;
    forwards.has_headers = true;
    bench_topic_new(options, task.topic, "retry-dead", BENCH_PARTITIONS);
    bench_topic_new(options, forwards.topic, "retry-same", BENCH_PARTITIONS);
    struct figures produced = in_process(task, produce), same = in_process(forwards, produce),
                   done = in_process(task, drain);
    task.rejects = true;
    struct figures dead = in_process(task, drain);
    double cost_us = dead.second - done.second;
    report(options, "straight to the dead letters", "us", 1e6 / dead.first, BENCH_VALUE_AT_MOST, 10);
    report_cost(options, "CPU of a forward, beside the record's own", "kur_producer_send", cost_us, produced.second);
    report_cost(options, "CPU of a forward, beside the same bytes", "kur_producer_send", cost_us, same.second);
    bench_topic_delete(options, task.topic);
    bench_topic_delete(options, forwards.topic);
}

static void measure_parked(const bench_options *options)
{
    struct task task = {.options = options, .records = PARKED_RECORDS, .size = PARKED_SIZE};
    bench_topic_new(options, task.topic, "retry-parked", BENCH_PARTITIONS);
    in_process(task, produce);
    struct figures parked = in_process(task, park);
    report(options, "100,000 of 200 bytes parked: resident", "MiB", parked.first, BENCH_VALUE_AT_MOST, 64);
    report(options, "without what the allocator keeps", "MiB", parked.fourth, BENCH_VALUE_AT_MOST, 64);
    report(options, "meanwhile, at most", "MiB", parked.second, BENCH_REPORT_ONLY, 0);
    report(options, "of them in memory", "records", parked.third, BENCH_REPORT_ONLY, 0);
    bench_topic_delete(options, task.topic);
}

void bench_retry(const bench_options *options)
{
    measure_lateness(options, false);
    measure_lateness(options, true);
    measure_dead_letters(options);
    measure_parked(options);
}
