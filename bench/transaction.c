/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a round is a few transactions of a thousand records, each with a result. Both sides begin, send,
 * and commit, which waits for all results; the two ways of taking results are compared with the like. What a commit
 * takes is mostly the broker's own time, so that the target is met or missed by what stands between the two waits.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "broker.h"

enum {
    TRANSACTIONS = 5,
    RECORDS = 1000,
    RECORD_SIZE = 100,
    POLL_EVERY = 500,
    WAIT_MS = 60000
};

struct side {
    kur_producer *producer;
    rd_kafka_t *rk;
    const char *topic;
    bool has_thread;
    pthread_t thread;
    atomic_bool stopping;
    atomic_int delivered;
    char value[RECORD_SIZE];
};

static void on_result(const kur_result *result, void *user)
{
    struct side *side = user;
    atomic_fetch_add_explicit(&side->delivered, result->status == KUR_DELIVERED, memory_order_relaxed);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct side *side = message->_private;
    (void)rk, (void)opaque;
    atomic_fetch_add_explicit(&side->delivered, message->err == RD_KAFKA_RESP_ERR_NO_ERROR, memory_order_relaxed);
}

static void *poll_thread(void *user)
{
    struct side *side = user;
    while (!atomic_load(&side->stopping))
        rd_kafka_poll(side->rk, BENCH_POLL_MS);
    return NULL;
}

static bench_sample round_ours(void *user)
{
    struct side *side = user;
    kur_error error = {0};
    kur_message message = KUR_MESSAGE(.topic = side->topic, .value = kur_bytes_of(side->value, RECORD_SIZE),
                                      .on_result = on_result, .user = side);
    atomic_store(&side->delivered, 0);
    bench_sample start = bench_now();
    for (int i = 0; i < TRANSACTIONS; i++) {
        if (kur_transaction_begin(side->producer, &error) != KUR_OK)
            bench_fail("%s", error.message);
        for (int n = 0; n < RECORDS; n++) {
            if (kur_producer_send(side->producer, &message, &error) != KUR_OK)
                bench_fail("send: %s", error.message);
            if (!side->has_thread && n % POLL_EVERY == 0)
                kur_producer_dispatch(side->producer, 0, NULL, NULL);
        }
        if (kur_transaction_commit(side->producer, WAIT_MS, &error) != KUR_OK)
            bench_fail("%s", error.message);
    }
    bench_sample took = bench_since(start);
    if (atomic_load(&side->delivered) != TRANSACTIONS * RECORDS)
        bench_fail("%d records were delivered", atomic_load(&side->delivered));
    return took;
}

static void must(rd_kafka_error_t *error)
{
    if (error != NULL)
        bench_fail("librdkafka: %s", rd_kafka_error_string(error));
}

static bench_sample round_bare(void *user)
{
    struct side *side = user;
    atomic_store(&side->delivered, 0);
    bench_sample start = bench_now();
    for (int i = 0; i < TRANSACTIONS; i++) {
        must(rd_kafka_begin_transaction(side->rk));
        for (int n = 0; n < RECORDS; n++) {
            rd_kafka_resp_err_t code =
                rd_kafka_producev(side->rk, RD_KAFKA_V_TOPIC(side->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                  RD_KAFKA_V_VALUE(side->value, RECORD_SIZE), RD_KAFKA_V_OPAQUE(side), RD_KAFKA_V_END);
            if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
                bench_fail("producev: %s", rd_kafka_err2str(code));
            if (!side->has_thread && n % POLL_EVERY == 0)
                rd_kafka_poll(side->rk, 0);
        }
        must(rd_kafka_commit_transaction(side->rk, WAIT_MS));
    }
    bench_sample took = bench_since(start);
    if (atomic_load(&side->delivered) != TRANSACTIONS * RECORDS)
        bench_fail("%d records were delivered", atomic_load(&side->delivered));
    return took;
}

/* ---- Sides ---- */

static void open_ours(struct side *side, kur_client *client, kur_dispatch dispatch, const char *topic)
{
    kur_error error = {0};
    *side = (struct side){.topic = topic, .has_thread = dispatch == KUR_DISPATCH_THREAD};
    memset(side->value, 'x', sizeof side->value);
    /* The topic's name is in no other run either. */
    side->producer =
        kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.dispatch = dispatch, .transactional_id = topic), &error);
    if (side->producer == NULL || kur_transaction_init(side->producer, WAIT_MS, &error) != KUR_OK)
        bench_fail("%s", error.message);
}

static void open_bare(struct side *side, const struct side *ours)
{
    *side = (struct side){.topic = ours->topic, .has_thread = ours->has_thread};
    memset(side->value, 'x', sizeof side->value);
    side->rk = bench_bare_producer(kur_producer_librdkafka(ours->producer), side, on_report);
    must(rd_kafka_init_transactions(side->rk, WAIT_MS));
    if (side->has_thread && pthread_create(&side->thread, NULL, poll_thread, side) != 0)
        bench_fail("no thread");
}

static void run(const bench_options *options, kur_dispatch dispatch, const char *name, const char *baseline)
{
    char topic[64];
    struct side ours, bare;
    kur_client *client = bench_client(options);
    bench_topic_new(options, topic, "transaction", BENCH_PARTITIONS);
    open_ours(&ours, client, dispatch, topic);
    open_bare(&bare, &ours);
    bench_run_pair(options, &(bench_pair){.bench = "transaction",
                                          .name = name,
                                          .baseline = baseline,
                                          .ours = round_ours,
                                          .bare = round_bare,
                                          .ours_side = &ours,
                                          .bare_side = &bare,
                                          .records = TRANSACTIONS * RECORDS,
                                          .least_ratio = 0.95,
                                          .runs = 60});
    atomic_store(&bare.stopping, true);
    if (bare.has_thread)
        pthread_join(bare.thread, NULL);
    rd_kafka_destroy(bare.rk);
    kur_producer_free(ours.producer);
    bench_topic_delete(options, topic);
    kur_client_unref(client);
}

void bench_transaction(const bench_options *options)
{
    if (!options->real) {
        fprintf(stderr, "bench: transaction: the embedded broker has no transactions\n");
        return;
    }
    run(options, KUR_DISPATCH_THREAD, "1,000 records", "librdkafka, poll. thread");
    run(options, KUR_DISPATCH_CALLER, "caller", "librdkafka, and poll");
}
