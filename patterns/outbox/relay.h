/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Inside a relay: one thread, which does one thing after another: finds out which shards are its own, reads a batch,
 * has it sent, deletes what was sent, parks what was refused. The two guarantees differ in how shards come to it and in
 * how a batch is sent: a kur__courier each.
 */
#ifndef KURIER_OUTBOX_RELAY_H
#define KURIER_OUTBOX_RELAY_H

#include <kurier/relay.h>
#include <pthread.h>

#include "outbox/outbox.h"

/* What became of a row of the batch at hand. */
enum kur__row_state {
    KUR__ROW_WAITS = 0, /* not sent: to be read again */
    KUR__ROW_SENT,      /* in Kafka: to be deleted */
    KUR__ROW_REFUSED,   /* for good: to be parked with its error */
    KUR__ROW_BEHIND     /* a row of its key before it is parked, or was refused: to be parked behind it */
};

struct kur__batch_row {
    kur_outbox_row row; /* all it points to is in the batch's arena */
    enum kur__row_state state;
    const char *refusal; /* in the batch's arena */
    kur_relay *relay;
};

struct kur__batch {
    kur_arena *arena;
    struct kur__batch_row *rows; /* each shard's by id */
    size_t count, capacity, bytes;
};

/* A shard that is this relay's. */
struct kur__shard {
    int32_t number;
    int failures;          /* in a row */
    int64_t not_before_us; /* after failures: monotonic */
};

/* How a guarantee is kept. All run on the relay's thread. */
struct kur__courier {
    /* Makes its producer and whatever else; once, before all others. */
    kur_status (*start)(kur_relay *relay, kur_error *error);
    /*
     * Brings relay->shards up to date; a shard that comes to it has been cleared of what an earlier owner had sent.
     * Called before each batch; waits for `timeout_ms` at most, and less when there is something.
     */
    kur_status (*own)(kur_relay *relay, int timeout_ms, kur_error *error);
    /* Sends the batch, and says of each row what became of it. An error says that none of those that wait was sent. */
    kur_status (*send)(kur_relay *relay, struct kur__batch *batch, kur_error *error);
    /* Gives shards back and frees what start made; also after a start that failed. */
    void (*end)(kur_relay *relay);
};

extern const struct kur__courier kur__courier_at_least_once; /* relay_send.c */
extern const struct kur__courier kur__courier_exactly_once;  /* relay_exactly.c */

struct kur_relay {
    kur_outbox *outbox;
    kur_relay_options options; /* texts are copies */
    const struct kur__courier *courier;
    void *courier_state;

    /* Its thread's own. */
    void *connection; /* NULL while there is none */
    struct kur__shard shards[KUR_OUTBOX_SHARDS_MAX];
    size_t shard_count;
    struct kur__batch batch;

    pthread_t thread;
    bool is_started, is_joined;
    int wake; /* eventfd: request_stop writes */
    atomic_bool stops;
    kur_error end; /* what ended it; read after `has_ended` */
    atomic_bool has_ended;

    pthread_mutex_t lock; /* guards health */
    kur_relay_health health;
};

#endif
