/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Topics, and bare librdkafka's side of a comparison. Its configuration is a copy of our own handle's, so that the two
 * cannot drift apart.
 */
#ifndef KURIER_BENCH_BROKER_H
#define KURIER_BENCH_BROKER_H

#include <kurier/librdkafka.h>

#include "bench.h"

enum {
    BENCH_PARTITIONS = 4,
    BENCH_RECORD_SIZE = 100,
    BENCH_RECORD_MAX = 16384,
    BENCH_POLL_MS = 100
};

kur_client *bench_client(const bench_options *options);
kur_producer *bench_producer(kur_client *client, kur_dispatch dispatch);

/* A new topic. On an embedded broker it appears on first sight, with BENCH_PARTITIONS. */
void bench_topic_new(const bench_options *options, char name[64], const char *purpose, int partitions);
void bench_topic_delete(const bench_options *options, const char *name);

/*
 * Fills a topic with records of `size` bytes, at most BENCH_RECORD_MAX: without keys and over all partitions in turn,
 * or, with `keys` above 0, where so many keys put them.
 */
void bench_fill(kur_client *client, const char *topic, size_t records, size_t size, size_t keys);

/* Bare handles configured as ours; `opaque` and the callbacks are their own. */
rd_kafka_t *bench_bare_producer(rd_kafka_t *ours, void *opaque,
                                void (*on_report)(rd_kafka_t *, const rd_kafka_message_t *, void *));
rd_kafka_t *bench_bare_consumer(rd_kafka_t *ours, const char *group);

/* A bare consumer without a group that reads a topic from its beginning. */
rd_kafka_t *bench_bare_reader(kur_client *client, const char *topic);

/* Takes `count` messages, all without an error; the caller destroys them. */
void bench_read(rd_kafka_queue_t *queue, rd_kafka_message_t **messages, size_t count);

/* Back to the start of all partitions, whoever owns the handle. */
void bench_rewind(rd_kafka_t *consumer, const char *topic);

#endif
