/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/embedded_broker.h>: a broker inside the process for tests and demos, made of librdkafka's mock cluster. It
 * speaks Kafka's protocol on 127.0.0.1, so that other processes can use it too.
 *
 * What it cannot do: transactions (aborted records are visible), creating, deleting or describing topics by request
 * (topics appear on first sight, with four partitions unless kur_embedded_broker_topic said otherwise), looking up
 * offsets by time, telling a producer the record's own timestamp, keeping more than 5 MB or 100,000 batches of a
 * partition (older ones go), a port of choice, and anything after its process has ended. The first rebalance of a group
 * takes 3 s, later ones a second less than its session time-out: 44 s unless .session_timeout_ms is set.
 */
#ifndef KURIER_EMBEDDED_BROKER_H
#define KURIER_EMBEDDED_BROKER_H

#include <kurier/error.h>
#include <kurier/log.h>

KUR_BEGIN_DECLS

/** A cluster inside the process. Any thread. */
typedef struct kur_embedded_broker kur_embedded_broker;

/** What kur_embedded_broker_new may be told. */
typedef struct kur_embedded_broker_options {
    size_t size;
    int brokers;           /**< default 1 */
    kur_log_callback *log; /**< the broker's own messages; default: they are dropped */
    void *log_user;
} kur_embedded_broker_options;

#define KUR_EMBEDDED_BROKER_OPTIONS(...) KUR__OPTIONS(kur_embedded_broker_options, __VA_ARGS__)

/**
 * Starts a cluster that is ready when the call returns. `options` may be NULL. NULL with KUR_ERROR_INVALID_ARGUMENT,
 * KUR_ERROR_SYSTEM, KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_embedded_broker *kur_embedded_broker_new(const kur_embedded_broker_options *options, kur_error *error);

/** "127.0.0.1:40123", for .bootstrap_servers. Owned by the broker. */
KUR_API const char *kur_embedded_broker_bootstrap_servers(const kur_embedded_broker *broker);

/**
 * Makes a topic. KUR_ERROR_INVALID_ARGUMENT for a name that Kafka refuses or a number of partitions outside 1 to 1,000,
 * KUR_ERROR_INVALID_STATE when the topic is already there.
 */
KUR_API kur_status kur_embedded_broker_topic(kur_embedded_broker *broker, const char *name, int partitions,
                                             kur_error *error);

/** Stops and frees; what clients have not read is gone. NULL does nothing. */
KUR_API void kur_embedded_broker_free(kur_embedded_broker *broker);

KUR_END_DECLS

#endif
