/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what an inbox costs: a listener whose handlers insert a row each, in the inbox's transaction, and one
 * whose handlers do the same in a transaction of their own, on a connection for each worker, and are at least once. In
 * turns, over the same records, each round as another group and another consumer.
 */
#include <kurier/inbox.h>
#include <stdio.h>

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
    struct bench_counter *counter;
};

/* The row is committed when it has returned: of the last one that is not in the figure. */
static kur_outcome in_inbox(kur_delivery *delivery, void *transaction, void *user)
{
    struct work *work = user;
    (void)delivery;
    bench_execute(work->base, transaction, STATEMENT);
    bench_count(work->counter);
    return KUR_DONE;
}

static kur_outcome by_itself(kur_delivery *delivery, void *user)
{
    struct work *work = user;
    void *connection = kur_delivery_worker(delivery);
    kur_error error = {0};
    if (work->base->driver->begin(connection, &error) != KUR_OK)
        bench_fail("begin: %s", error.message);
    bench_execute(work->base, connection, STATEMENT);
    if (work->base->driver->commit(connection, &error) != KUR_OK)
        bench_fail("commit: %s", error.message);
    bench_count(work->counter);
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

static bench_sample round_of(struct work *work, bool has_inbox)
{
    static int rounds;
    char name[96];
    kur_error error = {0};
    struct bench_counter counter = BENCH_COUNTER(RECORDS);
    work->counter = &counter;
    at_work = work->base;
    snprintf(name, sizeof name, "bench-inbox-%d-%s", ++rounds, work->topic);
    kur_listener *listener = kur_listener_new(
        work->client,
        &KUR_LISTENER_OPTIONS(.group = name, .topics = (const char *const[]){work->topic, NULL}, .concurrency = WORKERS,
                              .dead_letters = KUR_REJECTED_STOPS, .worker_start = has_inbox ? NULL : connect_worker,
                              .worker_stop = has_inbox ? NULL : disconnect_worker, .user = work),
        &error);
    kur_inbox *inbox = NULL;
    if (has_inbox) {
        inbox = kur_inbox_new(listener, work->base->database, &KUR_INBOX_OPTIONS(.consumer = name), &error);
        kur_inbox_on_record(inbox, in_inbox, work);
    } else {
        kur_listener_on_record(listener, by_itself, work);
    }
    if (kur_listener_start(listener, &error) != KUR_OK || (has_inbox && inbox == NULL))
        bench_fail("inbox: %s", error.message);
    bench_sample took = bench_counted(&counter);
    if (kur_listener_stop(listener, STOP_MS, &error) != KUR_OK)
        bench_fail("inbox: %s", error.message);
    kur_listener_free(listener);
    kur_inbox_free(inbox);
    return took;
}

static bench_sample with_inbox(void *side)
{
    return round_of(side, true);
}

static bench_sample without(void *side)
{
    return round_of(side, false);
}

static void measure(const bench_options *options, int which, kur_client *client, const char *topic)
{
    char name[64];
    struct bench_database base;
    if (!bench_database_open(&base, which))
        return;
    struct work work = {.base = &base, .client = client, .topic = topic};
    snprintf(name, sizeof name, "%s, handled in an inbox", base.name);
    bench_run_pair(options, &(bench_pair){.bench = "inbox",
                                          .name = name,
                                          .baseline = "own transactions",
                                          .ours = with_inbox,
                                          .bare = without,
                                          .ours_side = &work,
                                          .bare_side = &work,
                                          .records = RECORDS,
                                          .runs = ROUNDS});
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
