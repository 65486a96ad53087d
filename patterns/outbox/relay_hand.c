/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: while one half of the shards is sent, a second thread writes down what became of the other half's last
 * batch, and reads the next one of it: database and Kafka work at the same time. The batch and the connection are the
 * hand's from kur__hand_begin to kur__hand_wait, and nothing else of the relay is; so the shards to read are chosen
 * before. It starts with the first backlog, and sleeps when there is none; without it (no thread can be had) the work
 * is done in kur__hand_wait.
 */
#include <kurier/sys/memory.h>
#include <kurier/sys/thread.h>

#include "outbox/relay.h"

struct kur__hand {
    kur_relay *relay;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct kur__batch *batch; /* NULL: nothing is to be done */
    bool ends;
    kur_status status;
    kur_error error;
};

static kur_status work(kur_relay *relay, struct kur__batch *batch, kur_error *error)
{
    kur_status status = kur__batch_settle(relay, batch, error);
    return status == KUR_OK ? kur__batch_read(relay, batch, error) : status;
}

static void *run(void *user)
{
    struct kur__hand *hand = user;
    pthread_mutex_lock(&hand->lock);
    while (!hand->ends) {
        struct kur__batch *batch = hand->batch;
        if (batch == NULL) {
            pthread_cond_wait(&hand->changed, &hand->lock);
            continue;
        }
        pthread_mutex_unlock(&hand->lock);
        kur_error error = {0};
        kur_status status = work(hand->relay, batch, &error);
        pthread_mutex_lock(&hand->lock);
        hand->batch = NULL;
        hand->status = status;
        hand->error = error;
        pthread_cond_broadcast(&hand->changed);
    }
    pthread_mutex_unlock(&hand->lock);
    return NULL;
}

/* NULL: it cannot be had. */
static struct kur__hand *hand_new(kur_relay *relay)
{
    struct kur__hand *hand = kur_calloc(1, sizeof *hand);
    if (hand == NULL)
        return NULL;
    hand->relay = relay;
    pthread_mutex_init(&hand->lock, NULL);
    kur_condition_init(&hand->changed);
    if (kur_thread_start(&hand->thread, run, hand) == 0)
        return hand;
    pthread_cond_destroy(&hand->changed);
    pthread_mutex_destroy(&hand->lock);
    kur_free(hand);
    return NULL;
}

void kur__hand_begin(kur_relay *relay, struct kur__batch *batch)
{
    if (relay->hand == NULL)
        relay->hand = hand_new(relay);
    struct kur__hand *hand = relay->hand;
    if (hand == NULL)
        return;
    pthread_mutex_lock(&hand->lock);
    hand->batch = batch;
    pthread_cond_broadcast(&hand->changed);
    pthread_mutex_unlock(&hand->lock);
}

kur_status kur__hand_wait(kur_relay *relay, struct kur__batch *batch, kur_error *error)
{
    struct kur__hand *hand = relay->hand;
    if (hand == NULL)
        return work(relay, batch, error);
    pthread_mutex_lock(&hand->lock);
    while (hand->batch != NULL)
        pthread_cond_wait(&hand->changed, &hand->lock);
    kur_status status = hand->status;
    *error = hand->error;
    pthread_mutex_unlock(&hand->lock);
    return status;
}

void kur__hand_free(kur_relay *relay)
{
    struct kur__hand *hand = relay->hand;
    if (hand == NULL)
        return;
    pthread_mutex_lock(&hand->lock);
    hand->ends = true;
    pthread_cond_broadcast(&hand->changed);
    pthread_mutex_unlock(&hand->lock);
    pthread_join(hand->thread, NULL);
    pthread_cond_destroy(&hand->changed);
    pthread_mutex_destroy(&hand->lock);
    kur_free(hand);
    relay->hand = NULL;
}
