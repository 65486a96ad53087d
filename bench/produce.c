/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a round sends its records and waits for the last result. Both ways of taking results are compared with
 * the like: a thread that polls with a thread that polls, and the sending thread with the sending thread. A round stays
 * below the queue's bounds, but for "full queue", where it is three times as much as the queue holds; there the
 * baseline is what bare programs do, to poll until there is room.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "order.h"

enum {
    RECORDS = 50000,
    RECORDS_TOO_MANY = 300000,
    EVENTS = 20000,
    RECORD_SIZE = 100,
    POLL_EVERY = 500
};

/* A record as bare librdkafka sends it. */
struct sample {
    char *key, *value;
    size_t key_size, value_size;
    rd_kafka_headers_t *headers; /* NULL: none */
};

/* Either side. `done` counts the results of the round. */
struct side {
    kur_producer *producer;
    rd_kafka_t *rk;
    const char *topic;
    bool has_thread;
    pthread_t thread;
    atomic_bool stopping;
    atomic_int done;
    atomic_int failed;
    int expected;
    sem_t all_done;
    const struct sample *samples;
    int sample_count;
};

/* ---- Results ---- */

static void count_result(struct side *side, bool delivered)
{
    if (!delivered)
        atomic_fetch_add_explicit(&side->failed, 1, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&side->done, 1, memory_order_release) + 1 == side->expected)
        sem_post(&side->all_done);
}

static void on_result(const kur_result *result, void *user)
{
    count_result(user, result->status == KUR_DELIVERED);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk, (void)opaque;
    count_result(message->_private, message->err == RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void poll_results(struct side *side, int timeout_ms)
{
    if (side->has_thread)
        return;
    if (side->producer != NULL)
        kur_producer_dispatch(side->producer, timeout_ms, NULL, NULL);
    else
        rd_kafka_poll(side->rk, timeout_ms);
}

static void *poll_thread(void *user)
{
    struct side *side = user;
    while (!atomic_load(&side->stopping))
        rd_kafka_poll(side->rk, BENCH_POLL_MS);
    return NULL;
}

static bench_sample wait_for_all(struct side *side, bench_sample start)
{
    while (!side->has_thread && atomic_load(&side->done) < side->expected)
        poll_results(side, BENCH_POLL_MS);
    while (sem_wait(&side->all_done) != 0)
        continue;
    bench_sample took = bench_since(start);
    if (atomic_load(&side->failed) > 0)
        bench_fail("%d records were not delivered", atomic_load(&side->failed));
    return took;
}

static bench_sample begin(struct side *side, int records)
{
    side->expected = records;
    atomic_store(&side->done, 0);
    return bench_now();
}

/* ---- Sending ---- */

static bench_sample send_ours(struct side *side, int records)
{
    bench_sample start = begin(side, records);
    kur_error error = {0};
    for (int i = 0; i < records; i++) {
        const struct sample *sample = &side->samples[i % side->sample_count];
        kur_message message =
            KUR_MESSAGE(.topic = side->topic, .value = kur_bytes_of(sample->value, sample->value_size),
                        .on_result = on_result, .user = side);
        kur_status status;
        while ((status = kur_producer_send(side->producer, &message, &error)) == KUR_ERROR_QUEUE_FULL)
            poll_results(side, BENCH_POLL_MS);
        if (status != KUR_OK)
            bench_fail("send: %s", error.message);
        if (i % POLL_EVERY == 0)
            poll_results(side, 0);
    }
    return wait_for_all(side, start);
}

static rd_kafka_resp_err_t send_one_bare(struct side *side, const struct sample *sample)
{
    /* A copy of a list that is there costs least of all ways to send headers. */
    rd_kafka_headers_t *headers = sample->headers != NULL ? rd_kafka_headers_copy(sample->headers) : NULL;
    rd_kafka_resp_err_t code =
        headers == NULL
            ? rd_kafka_producev(side->rk, RD_KAFKA_V_TOPIC(side->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                RD_KAFKA_V_KEY(sample->key, sample->key_size),
                                RD_KAFKA_V_VALUE(sample->value, sample->value_size), RD_KAFKA_V_OPAQUE(side),
                                RD_KAFKA_V_END)
            : rd_kafka_producev(side->rk, RD_KAFKA_V_TOPIC(side->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                RD_KAFKA_V_KEY(sample->key, sample->key_size),
                                RD_KAFKA_V_VALUE(sample->value, sample->value_size), RD_KAFKA_V_HEADERS(headers),
                                RD_KAFKA_V_OPAQUE(side), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL)
        rd_kafka_headers_destroy(headers);
    return code;
}

static bench_sample send_bare(struct side *side, int records)
{
    bench_sample start = begin(side, records);
    for (int i = 0; i < records; i++) {
        rd_kafka_resp_err_t code;
        while ((code = send_one_bare(side, &side->samples[i % side->sample_count])) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            poll_results(side, BENCH_POLL_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            bench_fail("producev: %s", rd_kafka_err2str(code));
        if (i % POLL_EVERY == 0)
            poll_results(side, 0);
    }
    return wait_for_all(side, start);
}

static bench_sample publish_ours(struct side *side, int events)
{
    const struct order_created *all = orders();
    bench_sample start = begin(side, events);
    kur_error error = {0};
    for (int i = 0; i < events; i++) {
        kur_publish_options options =
            KUR_PUBLISH_OPTIONS(.topic = side->topic, .subject = "orders", .causation_id = ORDER_CAUSE,
                                .on_result = on_result, .user = side);
        if (order_created_publish(side->producer, &all[i % ORDERS], &options, &error) != KUR_OK)
            bench_fail("publish: %s", error.message);
        if (i % POLL_EVERY == 0)
            poll_results(side, 0);
    }
    return wait_for_all(side, start);
}

static bench_sample round_ours(void *side)
{
    return send_ours(side, RECORDS);
}

static bench_sample round_bare(void *side)
{
    return send_bare(side, RECORDS);
}

static bench_sample round_full_ours(void *side)
{
    return send_ours(side, RECORDS_TOO_MANY);
}

static bench_sample round_full_bare(void *side)
{
    return send_bare(side, RECORDS_TOO_MANY);
}

static bench_sample round_publish_ours(void *side)
{
    return publish_ours(side, EVENTS);
}

static bench_sample round_publish_bare(void *side)
{
    return send_bare(side, EVENTS);
}

/* ---- Sides ---- */

static void open_ours(struct side *side, kur_client *client, kur_dispatch dispatch, const char *topic)
{
    *side = (struct side){
        .producer = bench_producer(client, dispatch), .topic = topic, .has_thread = dispatch == KUR_DISPATCH_THREAD};
    sem_init(&side->all_done, 0, 0);
}

static void open_bare(struct side *side, const struct side *ours, bool has_thread)
{
    *side = (struct side){.topic = ours->topic, .has_thread = has_thread};
    side->rk = bench_bare_producer(kur_producer_librdkafka(ours->producer), side, on_report);
    sem_init(&side->all_done, 0, 0);
    if (side->has_thread && pthread_create(&side->thread, NULL, poll_thread, side) != 0)
        bench_fail("no thread");
}

static void close_side(struct side *side)
{
    atomic_store(&side->stopping, true);
    if (side->rk != NULL && side->has_thread)
        pthread_join(side->thread, NULL);
    if (side->rk != NULL)
        rd_kafka_destroy(side->rk);
    kur_producer_free(side->producer);
    sem_destroy(&side->all_done);
}

static void run(const bench_options *options, bench_pair pair, kur_dispatch dispatch, bool bare_has_thread,
                const struct sample *samples, int sample_count)
{
    char topic[64];
    struct side ours, bare;
    kur_client *client = bench_client(options);
    bench_topic_new(options, topic, pair.bench, BENCH_PARTITIONS);
    open_ours(&ours, client, dispatch, topic);
    open_bare(&bare, &ours, bare_has_thread);
    ours.samples = bare.samples = samples;
    ours.sample_count = bare.sample_count = sample_count;
    pair.ours_side = &ours;
    pair.bare_side = &bare;
    bench_run_pair(options, &pair);
    close_side(&bare);
    close_side(&ours);
    bench_topic_delete(options, topic);
    kur_client_unref(client);
}

/* Records of a hundred bytes and no headers. */
static struct sample plain_sample(void)
{
    static char value[RECORD_SIZE];
    memset(value, 'x', sizeof value);
    return (struct sample){.value = value, .value_size = sizeof value};
}

static bench_pair produce_pair(const char *bench, const char *name)
{
    return (bench_pair){.bench = bench,
                        .name = name,
                        .baseline = "producev, polling thread",
                        .ours = round_ours,
                        .bare = round_bare,
                        .records = RECORDS,
                        .least_ratio = 0.95,
                        .runs = 60};
}

void bench_produce_as(const bench_options *options, const char *bench)
{
    const struct sample sample = plain_sample();
    run(options, produce_pair(bench, "produce"), KUR_DISPATCH_THREAD, true, &sample, 1);
}

void bench_produce(const bench_options *options)
{
    const struct sample sample = plain_sample();
    bench_pair pair = produce_pair("produce", "own thread");
    run(options, pair, KUR_DISPATCH_THREAD, true, &sample, 1);
    pair.name = "caller";
    pair.baseline = "producev and poll";
    run(options, pair, KUR_DISPATCH_CALLER, false, &sample, 1);
    pair = (bench_pair){.bench = "produce",
                        .name = "full queue",
                        .baseline = "producev and poll",
                        .ours = round_full_ours,
                        .bare = round_full_bare,
                        .records = RECORDS_TOO_MANY,
                        .runs = 10};
    run(options, pair, KUR_DISPATCH_THREAD, false, &sample, 1);
}

/* ---- Events ---- */

static char *copy(const void *bytes, size_t size)
{
    char *made = malloc(size + 1);
    if (made == NULL)
        bench_fail("out of memory");
    memcpy(made, bytes, size);
    return made;
}

static void take_sample(struct sample *sample, rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_detach_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("an event without headers");
    *sample = (struct sample){.key = copy(message->key, message->key_len),
                              .key_size = message->key_len,
                              .value = copy(message->payload, message->len),
                              .value_size = message->len,
                              .headers = headers};
    rd_kafka_message_destroy(message);
}

/* What publishing the orders puts on the wire, so that the baseline sends the same bytes. */
static void capture(const bench_options *options, struct sample *samples)
{
    char topic[64];
    kur_client *client = bench_client(options);
    struct side ours;
    rd_kafka_message_t *messages[ORDERS];
    bench_topic_new(options, topic, "capture", BENCH_PARTITIONS);
    open_ours(&ours, client, KUR_DISPATCH_THREAD, topic);
    publish_ours(&ours, ORDERS);
    rd_kafka_t *consumer = bench_bare_reader(client, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    bench_read(queue, messages, ORDERS);
    for (int i = 0; i < ORDERS; i++)
        take_sample(&samples[i], messages[i]);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(consumer);
    close_side(&ours);
    bench_topic_delete(options, topic);
    kur_client_unref(client);
}

void bench_publish(const bench_options *options)
{
    struct sample samples[ORDERS];
    capture(options, samples);
    bench_pair pair = {.bench = "publish",
                       .name = "own thread",
                       .baseline = "producev, polling thread",
                       .ours = round_publish_ours,
                       .bare = round_publish_bare,
                       .records = EVENTS,
                       .least_ratio = 0.75,
                       .runs = 30};
    run(options, pair, KUR_DISPATCH_THREAD, true, samples, ORDERS);
    pair.name = "caller";
    pair.baseline = "producev and poll";
    run(options, pair, KUR_DISPATCH_CALLER, false, samples, ORDERS);
    for (int i = 0; i < ORDERS; i++) {
        free(samples[i].key);
        free(samples[i].value);
        rd_kafka_headers_destroy(samples[i].headers);
    }
}
