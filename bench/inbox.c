/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what an inbox costs: a listener whose handlers insert a row each, in the inbox's transaction, and one
 * whose handlers do the same in a transaction of their own, on a connection for each worker, and are at least once. In
 * turns, over the same records, each round as another group and another consumer.
 */
#include <kurier/inbox.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "database.h"

enum {
    RECORDS = 4000,
    WORKERS = 4,
    KEYS = 1000,
    ROUNDS = 5,
    STOP_MS = 30000
};

#define STATEMENT "INSERT INTO bench_orders VALUES (17, 'milena', 'two lines and a coupon, to be sent at once')"

struct work {
    const struct bench_database *base;
    kur_client *client;
    const char *topic;
    atomic_int handled;
    bench_sample start, took;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
};

static void begun(struct work *work)
{
    if (atomic_fetch_add(&work->handled, 1) == 0)
        work->start = bench_now();
}

/* Each handler says so when its row is committed, or about to be. */
static void ended(struct work *work, int number)
{
    if (number < RECORDS)
        return;
    pthread_mutex_lock(&work->lock);
    work->took = bench_since(work->start);
    work->is_over = true;
    pthread_cond_signal(&work->over);
    pthread_mutex_unlock(&work->lock);
}

static kur_outcome in_inbox(kur_delivery *delivery, void *transaction, void *user)
{
    struct work *work = user;
    (void)delivery;
    begun(work);
    bench_execute(work->base, transaction, STATEMENT);
    ended(work, atomic_load(&work->handled));
    return KUR_DONE;
}

static kur_outcome by_itself(kur_delivery *delivery, void *user)
{
    struct work *work = user;
    void *connection = kur_delivery_worker(delivery);
    kur_error error = {0};
    begun(work);
    if (work->base->driver->begin(connection, &error) != KUR_OK)
        bench_fail("begin: %s", error.message);
    bench_execute(work->base, connection, STATEMENT);
    if (work->base->driver->commit(connection, &error) != KUR_OK)
        bench_fail("commit: %s", error.message);
    ended(work, atomic_load(&work->handled));
    return KUR_DONE;
}

static kur_status connect_worker(void *user, void **state, kur_error *error)
{
    (void)error;
    *state = bench_connect(((struct work *)user)->base);
    return KUR_OK;
}

/* disconnect needs the driver: there is one of each kind, and one kind at a time. */
static const struct bench_database *at_work;

static void disconnect_worker(void *state)
{
    bench_disconnect(at_work, state);
}

static double round_of(struct work *work, bool has_inbox)
{
    static int rounds;
    char name[96];
    kur_error error = {0};
    atomic_store(&work->handled, 0);
    work->is_over = false;
    at_work = work->base;
    snprintf(name, sizeof name, "bench-inbox-%d-%s", ++rounds, work->topic);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.group = name, .topics = (const char *const[]){work->topic, NULL}, .concurrency = WORKERS,
                             .dead_letters = KUR_REJECTED_STOPS, .user = work);
    if (!has_inbox) {
        options.worker_start = connect_worker;
        options.worker_stop = disconnect_worker;
    }
    kur_listener *listener = kur_listener_new(work->client, &options, &error);
    kur_inbox *inbox =
        has_inbox ? kur_inbox_new(listener, work->base->database, &KUR_INBOX_OPTIONS(.consumer = name), &error) : NULL;
    if (listener == NULL || (has_inbox && inbox == NULL) ||
        (has_inbox ? kur_inbox_on_record(inbox, in_inbox, work) : kur_listener_on_record(listener, by_itself, work)) !=
            KUR_OK ||
        kur_listener_start(listener, &error) != KUR_OK)
        bench_fail("inbox: %s", error.message);
    pthread_mutex_lock(&work->lock);
    while (!work->is_over)
        pthread_cond_wait(&work->over, &work->lock);
    pthread_mutex_unlock(&work->lock);
    kur_listener_stop(listener, STOP_MS, &error);
    kur_listener_free(listener);
    kur_inbox_free(inbox);
    return RECORDS / work->took.seconds;
}

static void measure(const bench_options *options, int which, kur_client *client, const char *topic)
{
    static bench_case one;
    char name[64];
    struct bench_database base;
    if (!bench_database_open(&base, which))
        return;
    struct work work = {.base = &base,
                        .client = client,
                        .topic = topic,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .over = PTHREAD_COND_INITIALIZER};
    snprintf(name, sizeof name, "%s, handled in an inbox", base.name);
    one = (bench_case){.bench = "inbox",
                       .name = name,
                       .unit = "records/s",
                       .baseline = "own transactions",
                       .bound = BENCH_REPORT_ONLY,
                       .runs = options->runs > 0 ? options->runs : ROUNDS};
    round_of(&work, true);
    for (int i = 0; i < one.runs; i++) {
        bool is_first = i % 2 == 0;
        double first = round_of(&work, is_first), second = round_of(&work, !is_first);
        one.values[i] = is_first ? first : second;
        one.baseline_values[i] = is_first ? second : first;
    }
    bench_report(options, &one);
    bench_database_close(&base);
}

void bench_inbox(const bench_options *options)
{
    char topic[64];
    kur_client *client = bench_client(options);
    bench_topic_new(options, topic, "inbox", BENCH_PARTITIONS);
    bench_fill(client, topic, RECORDS, BENCH_RECORD_SIZE, KEYS);
    for (int which = 0; which < BENCH_DATABASES; which++)
        measure(options, which, client, topic);
    bench_topic_delete(options, topic);
    kur_client_unref(client);
}
