/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of transactions share.
 */
#ifndef KURIER_TESTS_TRANSACTIONS_H
#define KURIER_TESTS_TRANSACTIONS_H

#include <kurier/kurier.h>

#define NO_TRANSACTIONS "the embedded broker has no transactions"

enum {
    WAIT_MS = 60000
};

/* A producer with that id that has been inited. */
kur_producer *transactional(kur_client *client, const char *id);

void send_value(kur_producer *producer, const char *topic, const char *value);

/* In a transaction of its own. */
void send_committed(kur_producer *producer, const char *topic, const char *value);

/* A kur_transaction_function: sends "end" to the topic that `user` is. */
kur_status send_one(kur_producer *producer, void *user, kur_error *error);

/*
 * Who reads committed sees these values in partition 0, each behind a space: up to as many as are expected that say
 * "end". What is left open before it would be waited for.
 */
void ck_readers_see(kur_client *client, const char *topic, const char *values);

/* What is committed for partition 0 of the topic, -1 for nothing; its metadata are valid until the next call. */
int64_t committed(kur_consumer *consumer, const char *topic, const char **metadata);

/* A consumer of a group of one that has an assignment, and has polled `records` records of the topic. */
kur_consumer *member(kur_client *client, const char *group, const char *topic, int records);

#endif
