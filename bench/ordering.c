/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: how near the listener comes to the best schedule that its order allows. 10,000 records, each with a
 * sleep of 0 to 5 ms that is drawn from a seed, so that all runs are of the same records. A handler measures itself,
 * for a sleep takes longer than it was told; what a round took, from the first handler to the last, is divided by what
 * no schedule can beat: the sum over all handlers by the number of workers, or the sum of the busiest key or partition.
 *
 * "blocked": one handler sleeps for 10 s. What is measured is how much later than by a schedule without any overhead,
 * on the 15 workers that are left, the record begins that is delayed most.
 *
 * Deferred records are finished by one thread, as in a program that waits for many things at once. Where a thousand are
 * under way the sleeps are ten times as long, for the last of them would else be most of what is measured.
 */
#include <kurier/listener.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker.h"

enum {
    RECORDS = 10000,
    SLEEP_MAX_US = 5000,
    SEED = 20261125,
    WORKERS = 16,
    RUNS = 2, /* of rounds that take a few seconds; those of a minute run once */
    BLOCKED_RECORD = 100,
    BLOCKED_US = 10 * 1000 * 1000,
    DEFERRED_MAX = 1000 + 64
};

struct row {
    const char *name;
    int partitions, keys;
    kur_order order;
    int deferred; /* 0: handlers sleep in their workers */
    int stretch;  /* of the sleeps; 0: none */
    double target;
    bool is_long, is_blocked;
};

/* Those of one topic stand together. */
static const struct row rows[] = {
    {"1p, 10,000 keys", 1, RECORDS, KUR_ORDER_BY_KEY, .target = 1.03},
    {"1p, unordered", 1, RECORDS, KUR_UNORDERED, .target = 1.03},
    {"1p, by partition", 1, RECORDS, KUR_ORDER_BY_PARTITION, .target = 1.02, .is_long = true},
    {"64 deferred", 1, RECORDS, KUR_UNORDERED, .deferred = 64, .target = 1.05},
    {"1,000 deferred", 1, RECORDS, KUR_UNORDERED, .deferred = 1000, .stretch = 10, .target = 1.25},
    {"one blocked", 1, RECORDS, KUR_ORDER_BY_KEY, .target = 50, .is_blocked = true},
    {"1p, 1,000 keys", 1, 1000, KUR_ORDER_BY_KEY, .target = 1.03},
    {"1p, 100 keys", 1, 100, KUR_ORDER_BY_KEY, .target = 1.03},
    {"1p, 10 keys", 1, 10, KUR_ORDER_BY_KEY, .target = 1.05},
    {"1p, one key", 1, 1, KUR_ORDER_BY_KEY, .target = 1.02, .is_long = true},
    {"12p, 10,000 keys", 12, RECORDS, KUR_ORDER_BY_KEY, .target = 1.03},
    {"12p, unordered", 12, RECORDS, KUR_UNORDERED, .target = 1.03},
    {"12p, by partition", 12, RECORDS, KUR_ORDER_BY_PARTITION, .target = 1.05},
    {"12p, 1,000 keys", 12, 1000, KUR_ORDER_BY_KEY, .target = 1.03},
    {"12p, 100 keys", 12, 100, KUR_ORDER_BY_KEY, .target = 1.03},
    {"12p, 10 keys", 12, 10, KUR_ORDER_BY_KEY, .target = 1.05},
    {"12p, one key", 12, 1, KUR_ORDER_BY_KEY, .target = 1.02, .is_long = true},
};

/* ---- Records ---- */

static int sleeps_us[RECORDS], keys[RECORDS];

/* xorshift64*, so that a seed means the same everywhere. */
static uint64_t draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d) >> 32;
}

static void draw_records(int key_count)
{
    uint64_t state = SEED;
    for (int i = 0; i < RECORDS; i++) {
        sleeps_us[i] = (int)(draw(&state) % (SLEEP_MAX_US + 1));
        keys[i] = key_count == RECORDS ? i : (int)(draw(&state) % (uint64_t)key_count);
    }
}

static void fill(kur_client *client, const char *topic)
{
    char key[32];
    kur_error error = {0};
    kur_producer *producer = bench_producer(client, KUR_DISPATCH_THREAD);
    for (int32_t i = 0; i < RECORDS; i++) {
        snprintf(key, sizeof key, "key-%d", keys[i]);
        kur_message message =
            KUR_MESSAGE(.topic = topic, .key = kur_bytes_text(key), .value = kur_bytes_of(&i, sizeof i));
        if (kur_producer_send(producer, &message, &error) != KUR_OK)
            bench_fail("send: %s", error.message);
    }
    if (kur_producer_flush(producer, 60000, &error) != KUR_OK || kur_producer_free(producer) > 0)
        bench_fail("records were not delivered");
}

/* ---- A round ---- */

struct timing {
    double start, end;
    int32_t partition;
};

struct pending {
    double due;
    int32_t number;
    kur_ticket ticket;
};

struct round {
    const struct row *row;
    struct timing timings[RECORDS];
    atomic_int done;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* of what is pending, and of is_over */
    bool is_over;
    struct pending pending[DEFERRED_MAX + WORKERS]; /* a heap by due time */
    int pending_count;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct timespec at(double seconds)
{
    time_t whole = (time_t)seconds;
    return (struct timespec){whole, (long)((seconds - (double)whole) * 1e9)};
}

static double sleep_of(const struct row *row, int32_t number)
{
    if (row->is_blocked && number == BLOCKED_RECORD)
        return BLOCKED_US / 1e6;
    return sleeps_us[number] * (row->stretch > 0 ? row->stretch : 1) / 1e6;
}

static void begin_record(struct round *round, const kur_record *record, int32_t *number)
{
    kur_bytes value = kur_record_value(record);
    if (value.size != sizeof *number)
        bench_fail("not a record of this bench");
    memcpy(number, value.data, sizeof *number);
    round->timings[*number] = (struct timing){.start = now(), .partition = kur_record_partition(record)};
}

static void end_record(struct round *round, int32_t number)
{
    round->timings[number].end = now();
    if (atomic_fetch_add(&round->done, 1) + 1 < RECORDS)
        return;
    pthread_mutex_lock(&round->lock);
    round->is_over = true;
    pthread_cond_broadcast(&round->changed);
    pthread_mutex_unlock(&round->lock);
}

static kur_outcome on_record(kur_delivery *delivery, void *user)
{
    struct round *round = user;
    int32_t number;
    begin_record(round, kur_delivery_record(delivery), &number);
    struct timespec until = at(round->timings[number].start + sleep_of(round->row, number));
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        continue;
    end_record(round, number);
    return KUR_DONE;
}

/* ---- Deferred: one thread waits for all ---- */

static void push(struct round *round, struct pending one)
{
    int place = round->pending_count++;
    for (; place > 0 && round->pending[(place - 1) / 2].due > one.due; place = (place - 1) / 2)
        round->pending[place] = round->pending[(place - 1) / 2];
    round->pending[place] = one;
}

static struct pending pop(struct round *round)
{
    struct pending first = round->pending[0], last = round->pending[--round->pending_count];
    int place = 0, child;
    while ((child = 2 * place + 1) < round->pending_count) {
        child += child + 1 < round->pending_count && round->pending[child + 1].due < round->pending[child].due;
        if (round->pending[child].due >= last.due)
            break;
        round->pending[place] = round->pending[child];
        place = child;
    }
    round->pending[place] = last;
    return first;
}

static kur_outcome on_deferred(kur_delivery *delivery, void *user)
{
    struct round *round = user;
    struct pending one = {0};
    kur_error error = {0};
    begin_record(round, kur_delivery_record(delivery), &one.number);
    if (kur_delivery_defer(delivery, &one.ticket, &error) != KUR_OK)
        bench_fail("defer: %s", error.message);
    one.due = round->timings[one.number].start + sleep_of(round->row, one.number);
    pthread_mutex_lock(&round->lock);
    if (round->pending_count == DEFERRED_MAX + WORKERS)
        bench_fail("more are deferred than were asked for");
    push(round, one);
    if (round->pending[0].number == one.number)
        pthread_cond_broadcast(&round->changed);
    pthread_mutex_unlock(&round->lock);
    return KUR_DONE;
}

static void *finish_deferred(void *user)
{
    struct round *round = user;
    kur_error error = {0};
    pthread_mutex_lock(&round->lock);
    while (!round->is_over) {
        if (round->pending_count == 0) {
            pthread_cond_wait(&round->changed, &round->lock);
            continue;
        }
        struct timespec due = at(round->pending[0].due);
        if (now() < round->pending[0].due) {
            pthread_cond_timedwait(&round->changed, &round->lock, &due);
            continue;
        }
        struct pending one = pop(round);
        pthread_mutex_unlock(&round->lock);
        end_record(round, one.number);
        if (kur_ticket_done(one.ticket, &error) != KUR_OK)
            bench_fail("ticket: %s", error.message);
        pthread_mutex_lock(&round->lock);
    }
    pthread_mutex_unlock(&round->lock);
    return NULL;
}

static void begin_round(struct round *round, const struct row *row)
{
    pthread_condattr_t clock;
    *round = (struct round){.row = row, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&round->changed, &clock);
    pthread_condattr_destroy(&clock);
}

static void run_round(struct round *round, kur_client *client, const char *topic)
{
    static int rounds;
    const struct row *row = round->row;
    char group[96];
    pthread_t finisher;
    kur_error error = {0};
    snprintf(group, sizeof group, "bench-ordering-%d-%s", ++rounds, topic);
    if (row->deferred > 0 && pthread_create(&finisher, NULL, finish_deferred, round) != 0)
        bench_fail("no thread");
    kur_listener *listener =
        kur_listener_new(client,
                         &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *const[]){topic, NULL},
                                               .order = row->order, .concurrency = row->deferred > 0 ? 1 : WORKERS,
                                               .deferred = row->deferred, .dead_letters = KUR_REJECTED_STOPS),
                         &error);
    if (listener == NULL ||
        kur_listener_on_record(listener, row->deferred > 0 ? on_deferred : on_record, round) != KUR_OK ||
        kur_listener_start(listener, &error) != KUR_OK)
        bench_fail("listener: %s", error.message);
    pthread_mutex_lock(&round->lock);
    while (!round->is_over)
        pthread_cond_wait(&round->changed, &round->lock);
    pthread_mutex_unlock(&round->lock);
    if (row->deferred > 0)
        pthread_join(finisher, NULL);
    if (kur_listener_stop(listener, 20000, &error) != KUR_OK)
        bench_fail("listener: %s", error.message);
    kur_listener_free(listener);
    pthread_cond_destroy(&round->changed);
}

/* ---- What it means ---- */

static double first_start(const struct round *round)
{
    double first = round->timings[0].start;
    for (int i = 1; i < RECORDS; i++)
        first = round->timings[i].start < first ? round->timings[i].start : first;
    return first;
}

static double took(const struct round *round)
{
    double last = 0;
    for (int i = 0; i < RECORDS; i++)
        last = round->timings[i].end > last ? round->timings[i].end : last;
    return last - first_start(round);
}

/* What no schedule beats: all of it by how many are under way at once, or the busiest key or partition. */
static double bound(const struct round *round)
{
    static double lanes[RECORDS];
    const struct row *row = round->row;
    double sum = 0, busiest = 0;
    memset(lanes, 0, sizeof lanes);
    for (int i = 0; i < RECORDS; i++) {
        double one = round->timings[i].end - round->timings[i].start;
        int lane = row->order == KUR_UNORDERED      ? i
                   : row->order == KUR_ORDER_BY_KEY ? keys[i]
                                                    : round->timings[i].partition;
        sum += one;
        lanes[lane] += one;
        busiest = lanes[lane] > busiest ? lanes[lane] : busiest;
    }
    double even = sum / (row->deferred > 0 ? row->deferred : WORKERS);
    return even > busiest ? even : busiest;
}

/*
 * The greatest delay, in milliseconds, against records that begin in the order of their offsets, each as soon as one of
 * the workers is free. Each record has a key of its own.
 */
static double greatest_delay_ms(const struct round *round)
{
    double begin = first_start(round), free_at[WORKERS], greatest = 0;
    for (int i = 0; i < WORKERS; i++)
        free_at[i] = begin;
    for (int i = 0; i < RECORDS; i++) {
        int soonest = 0;
        for (int j = 1; j < WORKERS; j++)
            soonest = free_at[j] < free_at[soonest] ? j : soonest;
        double delay = round->timings[i].start - free_at[soonest];
        greatest = delay > greatest ? delay : greatest;
        free_at[soonest] += round->timings[i].end - round->timings[i].start;
    }
    return greatest * 1000;
}

static void run_row(const bench_options *options, const struct row *row, kur_client *client, const char *topic)
{
    static struct round round;
    static bench_case one;
    int most = row->is_long || row->is_blocked ? 1 : RUNS;
    one = (bench_case){.bench = "ordering",
                       .name = row->name,
                       .unit = row->is_blocked ? "ms" : "s",
                       .baseline = row->is_blocked ? NULL : "the best schedule",
                       .bound = row->is_blocked ? BENCH_VALUE_AT_MOST : BENCH_RATIO_AT_MOST,
                       .target = row->target,
                       .runs = options->runs > 0 && options->runs < most ? options->runs : most};
    fprintf(stderr, "bench: ordering: %s…\n", row->name);
    for (int run = 0; run < one.runs; run++) {
        begin_round(&round, row);
        run_round(&round, client, topic);
        one.values[run] = row->is_blocked ? greatest_delay_ms(&round) : took(&round);
        one.baseline_values[run] = bound(&round);
    }
    bench_report(options, &one);
}

void bench_ordering(const bench_options *given)
{
    bench_options options = *given;
    char topic[64] = "";
    kur_error error = {0};
    /* The embedded broker of the other benches cannot be asked for topics of one or twelve partitions. */
    kur_embedded_broker *broker = options.real ? NULL : kur_embedded_broker_new(NULL, &error);
    if (!options.real && broker == NULL)
        bench_fail("embedded broker: %s", error.message);
    if (broker != NULL)
        options.bootstrap = kur_embedded_broker_bootstrap_servers(broker);
    kur_client *client = bench_client(&options);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        if (i == 0 || row->partitions != row[-1].partitions || row->keys != row[-1].keys) {
            if (topic[0] != '\0')
                bench_topic_delete(&options, topic);
            bench_topic_new(&options, topic, "ordering", row->partitions);
            if (broker != NULL && kur_embedded_broker_topic(broker, topic, row->partitions, &error) != KUR_OK)
                bench_fail("topic: %s", error.message);
            draw_records(row->keys);
            fill(client, topic);
        }
        run_row(&options, row, client, topic);
    }
    bench_topic_delete(&options, topic);
    kur_client_unref(client);
    kur_embedded_broker_free(broker);
}
