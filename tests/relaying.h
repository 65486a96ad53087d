/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the suites of outboxes and relays share, over whatever driver: rows whose values are numbers, added in
 * transactions, and what came of them in a topic. Rows of a key are added in the order of their numbers.
 */
#ifndef KURIER_TESTS_RELAYING_H
#define KURIER_TESTS_RELAYING_H

#include <kurier/driver.h>
#include <kurier/kurier.h>
#include <kurier/relay.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consuming.h"

enum {
    RELAYING_KEYS = 64,
    RELAYING_NUMBERS = 20000
};

/* An outbox in a database, with a client of its own. */
struct relaying {
    kur_client *client;
    kur_database *database;
    kur_outbox *outbox;
};

/* Takes the database. */
void relaying_open(struct relaying *bed, kur_database *database);
void relaying_close(struct relaying *bed);

/* A relay that runs. */
kur_relay *relaying_start(struct relaying *bed, const kur_relay_options *options);
/* Stopped, which must succeed, and freed. */
void relaying_end(kur_relay *relay);

/* A connection of a writer's, and its transactions. */
void *relaying_connect(struct relaying *bed);
void relaying_disconnect(struct relaying *bed, void *connection);
void relaying_begin(struct relaying *bed, void *connection);
void relaying_commit(struct relaying *bed, void *connection);
/* Both at once: a connection in a transaction, which is then committed, and closed. */
void *relaying_write(struct relaying *bed);
void relaying_written(struct relaying *bed, void *connection);
/* Adds a row to the transaction; key < 0: none. */
void relaying_add(struct relaying *bed, void *connection, const char *topic, int key, int number);
/* A transaction with one row, on a connection of its own. */
void relaying_send(struct relaying *bed, const char *topic, int key, int number);
/* A transaction of many: numbers from `first` on, each to the key number % keys. */
void relaying_send_many(struct relaying *bed, const char *topic, int keys, int first, int count);

/* Makes a topic, or changes it; limit 0: the broker's own. Returns the name. */
const char *relaying_topic(struct relaying *bed, const char *name, int partitions, kur_cleanup cleanup, int64_t limit);
/*
 * Changes how many bytes a topic of one partition takes in a batch, and waits until its broker goes by it, which is
 * later than it says that it will be so. Tried by records of its own, which relaying_read() passes over.
 */
void relaying_limit(struct relaying *bed, const char *topic, int64_t limit);

/* What was seen in topics: how often each number, and whether first occurrences are in order in each key. */
struct relaying_seen {
    int times[RELAYING_NUMBERS];
    int last[RELAYING_KEYS]; /* the largest number of a key, plus one */
    int distinct, records, disorder;
};

/* Reads a topic from its beginning until `distinct` numbers were seen; fails when they do not come. */
void relaying_read(const char *topic, int distinct, struct relaying_seen *seen);
/* Likewise, and then what else is there by now. */
void relaying_read_all(const char *topic, int distinct, struct relaying_seen *seen);

kur_relay_health relaying_health(kur_relay *relay);
/* Waits until a condition on `health` holds; fails after a minute. */
#define relaying_await(relay, condition)                                                                               \
    do {                                                                                                               \
        int64_t deadline_ = kur_clock_monotonic_us() + PATIENCE_US;                                                    \
        for (;;) {                                                                                                     \
            kur_relay_health health = relaying_health(relay);                                                          \
            if (condition)                                                                                             \
                break;                                                                                                 \
            ck_assert_msg(kur_clock_monotonic_us() < deadline_, "not in time: %s (failures %lld: %s)", #condition,     \
                          (long long)health.failures, health.failure);                                                 \
            poll(NULL, 0, 5);                                                                                          \
        }                                                                                                              \
    } while (0)

/* Waits until so many rows wait, and so many are parked or behind one that is; fails when they do not come to that. */
void relaying_await_rows(struct relaying *bed, int64_t waiting, int64_t parked);

/* The parked rows, at most 1,000 of them; valid until the arena is reset. */
kur_parked_list relaying_parked(struct relaying *bed, kur_arena *arena);

#endif
