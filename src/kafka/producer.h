/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The producer's insides, shared by its life (producer.c), sending (send.c) and results (result.c), and what the client
 * and publishing need of it.
 */
#ifndef KURIER_KAFKA_PRODUCER_H
#define KURIER_KAFKA_PRODUCER_H

#include <kurier/producer.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "kafka/connection.h"
#include "kafka/message.h"
#include "kafka/topic.h"
#include "kafka/transaction.h"

enum {
    KUR__SLOTS_IN_CHUNK = 512,
    KUR__APART = 128 /* bytes: two cache lines, for processors fetch them in pairs */
};

/* Who wants to know of a record: the opaque of its delivery report. */
struct kur__slot {
    union {
        kur_result_callback *callback;
        struct kur__slot *next; /* while it is free */
    };
    void *user;
};

struct kur__slot_chunk {
    struct kur__slot_chunk *next;
    struct kur__slot slots[KUR__SLOTS_IN_CHUNK];
};

struct kur_producer {
    kur_client *client;
    bool owns_client;              /* whether it holds a reference */
    kur__transaction *transaction; /* NULL: it has none */
    rd_kafka_t *rk;
    kur__connection connection;
    kur_dispatch dispatch;
    int queue_wait_ms;
    int fd;

    pthread_t thread;
    bool has_thread;
    atomic_bool stopping;
    atomic_bool closing;                  /* what is left is being given up: callbacks send no more */
    atomic_int flushes;                   /* requests under way */
    _Atomic(struct kur__errand *) errand; /* what the thread is asked to do between two polls */
    atomic_int waiters;                   /* threads that sleep on `changed` */
    pthread_mutex_t lock;                 /* guards only the sleep on `changed` */
    pthread_cond_t changed;

    /* What senders write, away from what the serving thread writes: both do it for each record. */
    char apart_from_above[KUR__APART];
    kur__topics topics;
    atomic_size_t accepted;     /* records taken over */
    pthread_mutex_t slots_lock; /* guards free_slots and chunks */
    struct kur__slot *free_slots;
    struct kur__slot_chunk *chunks;

    char apart_from_senders[KUR__APART];
    atomic_size_t decided; /* of the accepted, those whose callback has returned */
    atomic_size_t undelivered;
    _Atomic(struct kur__slot *) returned_slots;

    /* Of the serving thread alone. */
    size_t unlogged_failures;
    int64_t next_failure_log_us;
};

/* The client's own: holds no reference to the client, which frees it. */
kur_producer *kur__producer_new_unowned(kur_client *client, const kur_producer_options *options, kur_error *error);

/* Waits until a broker answers. */
kur_status kur__producer_check(kur_producer *producer, int timeout_ms, kur_error *error);

kur_client *kur__producer_client(const kur_producer *producer);

/* Serves what librdkafka has to say: reports, errors, logs. Runs callbacks. */
void kur__producer_serve(kur_producer *producer, int timeout_ms);

/* Whether the caller runs in a callback on the producer's own thread, where waiting would be for itself. */
bool kur__producer_is_own_thread(const kur_producer *producer);

/*
 * Sleeps until more than `seen` records are decided, or for 50 ms: not everything that makes room is a decision. Only
 * where there is a thread that serves.
 */
void kur__producer_wait(kur_producer *producer, size_t seen, const struct timespec *deadline);

/*
 * Runs `function` where results are handed out, and returns when it has: on the producer's own thread, between two
 * polls, or here with KUR_DISPATCH_CALLER. One at a time; not on the producer's own thread.
 */
void kur__producer_run_serving(kur_producer *producer, void (*function)(void *user), void *user);

/* Before a second attempt at something: 20 ms, in which results are handed out. */
void kur__producer_pause(kur_producer *producer);

/* ---- Results ---- */

/* A slot for a record that is about to be sent; NULL when there is no memory. */
struct kur__slot *kur__slot_take(kur_producer *producer);
void kur__slot_return(kur_producer *producer, struct kur__slot *slot);
void kur__slots_free(kur_producer *producer);

/* librdkafka's delivery report callback; its opaque is the producer's connection. */
void kur__producer_on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

/* ---- Sending ---- */

/* kur_producer_send with `parts` in front of the message's own headers; `message` is as this library knows it. */
kur_status kur__producer_send(kur_producer *producer, const kur_message *message, const kur__header_parts *parts,
                              kur_error *error);
kur_status kur__producer_send_wait(kur_producer *producer, const kur_message *message, const kur__header_parts *parts,
                                   int timeout_ms, kur_result *result, kur_error *error);

#endif
