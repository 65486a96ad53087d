/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: librdkafka parses a message's headers once, so that each message can be measured once, by one side. All
 * messages are fetched before the clock runs; the two sides take blocks of them in turns.
 */
#include "broker.h"
#include "order.h"

enum {
    EVENTS = 20000,
    BLOCK = 100,
    HEADERS = 8,
    RUNS = 30,
    WARM_UP = 2
};

static void publish_all(kur_client *client, const char *topic)
{
    const struct order_created *all = orders();
    kur_error error = {0};
    kur_producer *producer = bench_producer(client, KUR_DISPATCH_THREAD);
    for (int i = 0; i < EVENTS; i++) {
        kur_publish_options options =
            KUR_PUBLISH_OPTIONS(.topic = topic, .partition = KUR_PARTITION(i % BENCH_PARTITIONS),
                                .causation_id = ORDER_CAUSE);
        if (order_created_publish(producer, &all[i % ORDERS], &options, &error) != KUR_OK)
            bench_fail("publish: %s", error.message);
    }
    if (kur_producer_flush(producer, 60000, &error) != KUR_OK)
        bench_fail("flush: %s", error.message);
    if (kur_producer_free(producer) > 0)
        bench_fail("events were not delivered");
}

static double read_ours(rd_kafka_message_t *const *messages)
{
    bench_sample start = bench_now();
    for (int i = 0; i < BLOCK; i++) {
        kur_event_view view = KUR_EVENT_VIEW();
        kur_error error;
        if (kur_event_read(kur_record_of_librdkafka(messages[i]), NULL, &view, &error) != KUR_OK)
            bench_fail("event: %s", error.message);
        if (view.mode != KUR_EVENT_BINARY || view.causation_id == NULL)
            bench_fail("not the event that was sent");
    }
    return bench_since(start).seconds;
}

static double read_bare(rd_kafka_message_t *const *messages)
{
    size_t bytes = 0, count = 0;
    bench_sample start = bench_now();
    for (int i = 0; i < BLOCK; i++) {
        rd_kafka_headers_t *headers;
        const char *name;
        const void *value;
        size_t size;
        if (rd_kafka_message_headers(messages[i], &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
            bench_fail("no headers");
        for (size_t j = 0; rd_kafka_header_get_all(headers, j, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
             j++) {
            bytes += size + (size_t)(name[0] != '\0');
            count++;
        }
    }
    double took = bench_since(start).seconds;
    if (count != HEADERS * BLOCK || bytes == 0)
        bench_fail("%zu headers in %d events", count, BLOCK);
    return took;
}

void bench_envelope(const bench_options *options)
{
    static bench_case one;
    static rd_kafka_message_t *messages[EVENTS];
    char topic[64];
    one = (bench_case){.bench = "envelope",
                       .name = "eight headers",
                       .unit = "ns/event",
                       .baseline = "message_headers, walk",
                       .bound = BENCH_RATIO_AT_MOST,
                       .target = 1.3,
                       .runs = options->runs > 0 ? options->runs : RUNS};
    kur_client *client = bench_client(options);
    bench_topic_new(options, topic, "envelope", BENCH_PARTITIONS);
    publish_all(client, topic);
    rd_kafka_t *reader = bench_bare_reader(client, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(reader);
    for (int run = -WARM_UP; run < one.runs; run++) {
        double ours = 0, bare = 0;
        bench_read(queue, messages, EVENTS);
        for (int i = 0; i < EVENTS; i += BLOCK) {
            if (i / BLOCK % 4 == 0 || i / BLOCK % 4 == 3)
                ours += read_ours(messages + i);
            else
                bare += read_bare(messages + i);
        }
        for (int i = 0; i < EVENTS; i++)
            rd_kafka_message_destroy(messages[i]);
        bench_rewind(reader, topic);
        if (run < 0)
            continue;
        one.values[run] = ours / (EVENTS / 2) * 1e9;
        one.baseline_values[run] = bare / (EVENTS / 2) * 1e9;
    }
    bench_report(options, &one);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(reader);
    bench_topic_delete(options, topic);
    kur_client_unref(client);
}
