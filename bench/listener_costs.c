/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what a listener costs beside time, with a backlog and handlers that are slower than the broker.
 *
 * Each figure is taken in a process of its own that has done nothing before, so that memory and traffic are the
 * listener's; topics are filled by yet another. What was fetched is asked of the kernel: the bytes that all TCP
 * connections of the process have received, which is what librdkafka's rxbytes counts, and needs nothing of the handle
 * inside.
 */
#include <dirent.h>
#include <kurier/listener.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "listener_costs.h"

enum {
    SLOW_RECORDS_REAL = 200000,
    SLOW_RECORDS_EMBEDDED = 60000, /* it keeps 5 MB of a partition */
    SLOW_US = 500,
    SLOW_WORKERS = 16,
    LARGE_RECORDS = 100000,
    LARGE_SIZE = 10 * 1024,
    LARGE_US = 1000,
    LARGE_MS = 8000,
    IDLE_MS = 10000,
    SETTLE_MS = 5000, /* a group is joined, and what was there is read */
    LOOK_MS = 5,
    HOLD_RECORDS = 10000, /* the listener's own bounds */
    HOLD_KBYTES = 65536,
    AHEAD_KBYTES = HOLD_KBYTES / 32
};

static void sleep_us(int64_t us)
{
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0)
        continue;
}

/* ---- What a process has and has got ---- */

/* Bytes that the TCP connections of this process have received. */
static double received_bytes(void)
{
    double sum = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        bench_fail("/proc/self/fd");
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct tcp_info info = {0};
        socklen_t size = sizeof info;
        if (getsockopt(atoi(entry->d_name), IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
            sum += (double)info.tcpi_bytes_received;
    }
    closedir(directory);
    return sum;
}

/* ---- A process for each ---- */

struct figures {
    double received, held, resident, cpu;
};

struct task {
    const bench_options *options;
    const char *topic;
    struct figures figures;
};

static struct figures in_process(struct task task, void (*run)(void *task))
{
    bench_in_process(run, &task, &task.figures, sizeof task.figures);
    return task.figures;
}

/* ---- Listening ---- */

static atomic_int handled;

static int slow_records(const struct task *task)
{
    return task->options->real ? SLOW_RECORDS_REAL : SLOW_RECORDS_EMBEDDED;
}

static kur_outcome on_slow(kur_delivery *delivery, void *user)
{
    (void)delivery;
    sleep_us(*(const int *)user);
    atomic_fetch_add_explicit(&handled, 1, memory_order_relaxed);
    return KUR_DONE;
}

static kur_listener *listen_slowly(kur_client *client, const char *topic, const int *sleeps_us)
{
    char group[96];
    kur_error error = {0};
    snprintf(group, sizeof group, "bench-costs-%d-%s", (int)getpid(), topic);
    kur_listener *listener =
        kur_listener_new(client,
                         &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *const[]){topic, NULL},
                                               .concurrency = SLOW_WORKERS, .dead_letters = KUR_REJECTED_STOPS),
                         &error);
    if (listener == NULL || kur_listener_on_record(listener, on_slow, (void *)(uintptr_t)sleeps_us) != KUR_OK ||
        kur_listener_start(listener, &error) != KUR_OK)
        bench_fail("listener: %s", error.message);
    return listener;
}

/* The greatest share of its bounds that a listener holds, by records or bytes, since the last call. */
static void look(kur_listener *listener, struct figures *figures)
{
    kur_listener_health health = KUR_LISTENER_HEALTH();
    kur_error error = {0};
    if (kur_listener_health_get(listener, &health, &error) != KUR_OK || health.status != KUR_OK)
        bench_fail("listener: %s", error.message);
    double records = (double)health.held / HOLD_RECORDS, bytes = (double)health.held_bytes / 1024 / HOLD_KBYTES;
    double resident = bench_memory_mib("VmRSS");
    figures->held = records > figures->held ? records : figures->held;
    figures->held = bytes > figures->held ? bytes : figures->held;
    figures->resident = resident > figures->resident ? resident : figures->resident;
}

static void end(kur_listener *listener, kur_client *client)
{
    kur_listener_stop(listener, 10000, NULL);
    kur_listener_free(listener);
    kur_client_unref(client);
}

static void read_slowly(void *user)
{
    struct task *task = user;
    static const int sleeps_us = SLOW_US;
    kur_client *client = bench_client(task->options);
    kur_listener *listener = listen_slowly(client, task->topic, &sleeps_us);
    while (atomic_load(&handled) < slow_records(task)) {
        look(listener, &task->figures);
        sleep_us(LOOK_MS * 1000);
    }
    task->figures.received = received_bytes();
    end(listener, client);
}

static void read_bare(void *user)
{
    struct task *task = user;
    rd_kafka_message_t *messages[1000];
    kur_client *client = bench_client(task->options);
    rd_kafka_t *reader = bench_bare_reader(client, task->topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(reader);
    for (int have = 0; have < slow_records(task); have += 1000) {
        bench_read(queue, messages, 1000);
        for (int i = 0; i < 1000; i++)
            rd_kafka_message_destroy(messages[i]);
    }
    task->figures.received = received_bytes();
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
    kur_client_unref(client);
}

static void read_large(void *user)
{
    struct task *task = user;
    static const int sleeps_us = LARGE_US;
    kur_client *client = bench_client(task->options);
    kur_listener *listener = listen_slowly(client, task->topic, &sleeps_us);
    for (int ms = 0; ms < LARGE_MS || atomic_load(&handled) == 0; ms += LOOK_MS) {
        look(listener, &task->figures);
        sleep_us(LOOK_MS * 1000);
    }
    end(listener, client);
}

static void idle(void *user)
{
    struct task *task = user;
    static const int sleeps_us = 0;
    kur_client *client = bench_client(task->options);
    kur_listener *listener = listen_slowly(client, task->topic, &sleeps_us);
    while (atomic_load(&handled) == 0)
        sleep_us(LOOK_MS * 1000);
    sleep_us(SETTLE_MS * 1000);
    bench_sample start = bench_now();
    sleep_us(IDLE_MS * 1000);
    bench_sample took = bench_since(start);
    task->figures.cpu = took.cpu_seconds / took.seconds * 100;
    end(listener, client);
}

/* ---- Topics ---- */

static void fill_slow(void *user)
{
    struct task *task = user;
    kur_client *client = bench_client(task->options);
    bench_fill(client, task->topic, (size_t)slow_records(task), BENCH_RECORD_SIZE, 10000);
    kur_client_unref(client);
}

static void fill_large(void *user)
{
    struct task *task = user;
    kur_client *client = bench_client(task->options);
    bench_fill(client, task->topic, LARGE_RECORDS, LARGE_SIZE, 10000);
    kur_client_unref(client);
}

static void fill_one(void *user)
{
    struct task *task = user;
    kur_client *client = bench_client(task->options);
    bench_fill(client, task->topic, 1, BENCH_RECORD_SIZE, 1);
    kur_client_unref(client);
}

static size_t much_room(kur_consumer *consumer, const char *topic, int32_t partition, void *user)
{
    (void)consumer, (void)topic, (void)partition, (void)user;
    return SIZE_MAX;
}

/* What librdkafka may have fetched and not handed out, in MiB: a client's property or its version may say otherwise. */
static void ask_ahead(void *user)
{
    struct task *task = user;
    char value[32] = "";
    size_t size = sizeof value;
    kur_error error = {0};
    kur_client *client = bench_client(task->options);
    kur_consumer *consumer = kur_consumer_new(
        client, &KUR_CONSUMER_OPTIONS(.group = "bench", .fetch_ahead_kbytes = AHEAD_KBYTES, .room = much_room), &error);
    if (consumer == NULL)
        bench_fail("consumer: %s", error.message);
    rd_kafka_conf_get(rd_kafka_conf(kur_consumer_librdkafka(consumer)), "queued.max.messages.kbytes", value, &size);
    task->figures.resident = atof(value) / 1024;
    kur_consumer_free(consumer);
    kur_client_unref(client);
}

/* ---- All of it ---- */

static void report(const bench_options *options, const char *name, const char *unit, double value, double target)
{
    static bench_case one;
    one = (bench_case){.bench = "listener",
                       .name = name,
                       .unit = unit,
                       .bound = BENCH_VALUE_AT_MOST,
                       .target = target,
                       .runs = 1,
                       .values = {value}};
    bench_report(options, &one);
}

static void report_fetched(const bench_options *options, double ours, double bare)
{
    static bench_case one;
    one = (bench_case){.bench = "listener",
                       .name = "slow, fetched",
                       .unit = "MB",
                       .baseline = "bare, unpaused",
                       .bound = BENCH_RATIO_AT_MOST,
                       .target = 1.2,
                       .runs = 1,
                       .values = {ours / 1e6},
                       .baseline_values = {bare / 1e6}};
    bench_report(options, &one);
}

void bench_listener_costs(const bench_options *options)
{
    char topic[64];
    struct task task = {.options = options, .topic = topic};
    bench_topic_new(options, topic, "idle", BENCH_PARTITIONS);
    in_process(task, fill_one);
    report(options, "idle, CPU", "% of a core", in_process(task, idle).cpu, 1);
    bench_topic_delete(options, topic);

    bench_topic_new(options, topic, "slow", BENCH_PARTITIONS);
    in_process(task, fill_slow);
    struct figures slow = in_process(task, read_slowly);
    report_fetched(options, slow.received, in_process(task, read_bare).received);
    report(options, "slow, held", "× bound", slow.held, 1.1);
    bench_topic_delete(options, topic);

    if (!options->real)
        return; /* on the embedded broker there is no such backlog */
    double ahead = in_process(task, ask_ahead).resident;
    bench_topic_new(options, topic, "large", BENCH_PARTITIONS);
    fprintf(stderr, "bench: listener: a backlog of 1 GB…\n");
    in_process(task, fill_large);
    struct figures large = in_process(task, read_large);
    report(options, "1 GB waits, held", "× bound", large.held, 1.1);
    report(options, "1 GB waits, resident", "MiB", large.resident, HOLD_KBYTES / 1024.0 + ahead + 16);
    bench_topic_delete(options, topic);
}
