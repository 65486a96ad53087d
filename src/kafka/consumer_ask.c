/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: some of librdkafka's questions block, and a thread that polls must not. They are asked here, one after
 * another, on a thread that is made with the first of them, and their answers taken in by the next poll. Nothing is
 * asked for longer than four seconds, so that closing need not wait for a broker that does not answer; the thread also
 * wakes the polling thread after a while, for a question that is to be asked again.
 *
 * The thread ends before the handle is destroyed: kur_consumer_close tells it to and waits.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/consumer.h"

enum {
    SLICE_MS = 1000,
    LONG_SLICE_MS = 4000
};

struct kur__asker {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what stands below */
    pthread_cond_t changed;
    bool is_stopping;
    kur__ask *waiting, *answered;
};

void kur__ask_free(kur__ask *ask)
{
    if (ask->list != NULL)
        rd_kafka_topic_partition_list_destroy(ask->list);
    if (ask->ends != NULL)
        rd_kafka_topic_partition_list_destroy(ask->ends);
    if (ask->metadata != NULL)
        rd_kafka_metadata_destroy(ask->metadata);
    kur_free(ask);
}

static void free_all(kur__ask *ask)
{
    while (ask != NULL) {
        kur__ask *next = ask->next;
        kur__ask_free(ask);
        ask = next;
    }
}

static bool is_stopping(kur__asker *asker)
{
    pthread_mutex_lock(&asker->lock);
    bool stopping = asker->is_stopping;
    pthread_mutex_unlock(&asker->lock);
    return stopping;
}

/* One partition by itself. */
static void ask_one(const kur_consumer *consumer, rd_kafka_topic_partition_t *one)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *asked = rd_kafka_topic_partition_list_add(list, one->topic, one->partition);
    asked->offset = one->offset;
    one->err = rd_kafka_offsets_for_times(consumer->rk, list, SLICE_MS);
    if (one->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        one->err = asked->err;
    if (one->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        one->offset = asked->offset;
    rd_kafka_topic_partition_list_destroy(list);
}

/* All at once, and when that takes too long, for a partition without a leader holds back the others, one by one. */
static rd_kafka_resp_err_t ask_offsets(const kur_consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(consumer->rk, list, list->cnt > 1 ? SLICE_MS : LONG_SLICE_MS);
    if (code != RD_KAFKA_RESP_ERR__TIMED_OUT || list->cnt == 1)
        return code;
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].err = RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (!is_stopping(consumer->asker))
            ask_one(consumer, &list->elems[i]);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* librdkafka asks for all topics, or for those that it knows: which these are for the moment. */
static rd_kafka_resp_err_t ask_topics(const kur_consumer *consumer, kur__ask *ask)
{
    const rd_kafka_topic_partition_list_t *list = ask->list;
    for (int i = 0; list != NULL && i < list->cnt; i++)
        list->elems[i].opaque = rd_kafka_topic_new(consumer->rk, list->elems[i].topic, NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(consumer->rk, list == NULL, NULL, &ask->metadata, LONG_SLICE_MS);
    for (int i = 0; list != NULL && i < list->cnt; i++)
        if (list->elems[i].opaque != NULL)
            rd_kafka_topic_destroy(list->elems[i].opaque);
    return code;
}

static void answer(const kur_consumer *consumer, kur__ask *ask)
{
    switch (ask->kind) {
    case KUR__ASK_OFFSETS:
    case KUR__ASK_RANGE:
        ask->code = ask_offsets(consumer, ask->list);
        if (ask->code == RD_KAFKA_RESP_ERR_NO_ERROR && ask->ends != NULL && !is_stopping(consumer->asker))
            ask->code = ask_offsets(consumer, ask->ends);
        break;
    case KUR__ASK_TOPICS:
        ask->code = ask_topics(consumer, ask);
        break;
    case KUR__ASK_NOTHING:
        break;
    }
}

/* Takes out the first that is due; else NULL, and when the next one is. */
static kur__ask *take_due(kur__asker *asker, struct timespec *next, bool *is_any)
{
    *is_any = false;
    for (kur__ask **at = &asker->waiting; *at != NULL; at = &(*at)->next) {
        kur__ask *ask = *at;
        if (kur__deadline_is_over(&ask->due)) {
            *at = ask->next;
            ask->next = NULL;
            return ask;
        }
        if (!*is_any || kur__deadline_is_before(&ask->due, next))
            *next = ask->due;
        *is_any = true;
    }
    return NULL;
}

static void append(kur__ask **list, kur__ask *ask)
{
    while (*list != NULL)
        list = &(*list)->next;
    *list = ask;
}

static void *run(void *user)
{
    kur_consumer *consumer = user;
    kur__asker *asker = consumer->asker;
    pthread_mutex_lock(&asker->lock);
    while (!asker->is_stopping) {
        struct timespec next;
        bool is_any;
        kur__ask *ask = take_due(asker, &next, &is_any);
        if (ask == NULL && is_any)
            pthread_cond_timedwait(&asker->changed, &asker->lock, &next);
        else if (ask == NULL)
            pthread_cond_wait(&asker->changed, &asker->lock);
        else {
            pthread_mutex_unlock(&asker->lock);
            answer(consumer, ask);
            pthread_mutex_lock(&asker->lock);
            append(&asker->answered, ask);
            pthread_mutex_unlock(&asker->lock);
            kur__consumer_wake(consumer);
            pthread_mutex_lock(&asker->lock);
        }
    }
    pthread_mutex_unlock(&asker->lock);
    return NULL;
}

static kur_status make_asker(kur_consumer *consumer, kur_error *error)
{
    if (consumer->asker != NULL)
        return KUR_OK;
    kur__asker *asker = kur_calloc(1, sizeof *asker);
    if (asker == NULL)
        return kur__error_no_memory(error);
    pthread_mutex_init(&asker->lock, NULL);
    kur_condition_init(&asker->changed);
    consumer->asker = asker;
    int code = kur_thread_start(&asker->thread, run, consumer);
    if (code == 0)
        return KUR_OK;
    consumer->asker = NULL;
    pthread_cond_destroy(&asker->changed);
    pthread_mutex_destroy(&asker->lock);
    kur_free(asker);
    return kur_error_set(error, KUR_ERROR_SYSTEM, "no thread for the consumer: %s", strerror(code));
}

/* What is asked anew about a partition needs no answer to the question that still waits. */
static void drop_outdated(kur__asker *asker, const rd_kafka_topic_partition_list_t *list)
{
    for (kur__ask **at = &asker->waiting, *ask; (ask = *at) != NULL;) {
        for (int i = 0; ask->kind == KUR__ASK_OFFSETS && i < list->cnt; i++) {
            rd_kafka_topic_partition_list_del(ask->list, list->elems[i].topic, list->elems[i].partition);
            if (ask->ends != NULL)
                rd_kafka_topic_partition_list_del(ask->ends, list->elems[i].topic, list->elems[i].partition);
        }
        if (ask->kind != KUR__ASK_OFFSETS || ask->list->cnt > 0) {
            at = &ask->next;
            continue;
        }
        *at = ask->next;
        kur__ask_free(ask);
    }
}

uint64_t kur__ask_start(kur_consumer *consumer, kur__ask_kind kind, int delay_ms, rd_kafka_topic_partition_list_t *list,
                        rd_kafka_topic_partition_list_t *ends)
{
    kur_error error = {0};
    kur__ask *ask = kur_calloc(1, sizeof *ask);
    kur_status status = ask != NULL ? make_asker(consumer, &error) : kur__error_no_memory(&error);
    if (status != KUR_OK) {
        kur_free(ask);
        if (list != NULL)
            rd_kafka_topic_partition_list_destroy(list);
        if (ends != NULL)
            rd_kafka_topic_partition_list_destroy(ends);
        kur__consumer_fail(consumer, &error);
        return 0;
    }
    ask->kind = kind;
    ask->number = ++consumer->last_ask;
    ask->due = kur_deadline_after(delay_ms);
    ask->list = list;
    ask->ends = ends;
    uint64_t number = ask->number;
    pthread_mutex_lock(&consumer->asker->lock);
    if (kind == KUR__ASK_OFFSETS)
        drop_outdated(consumer->asker, list);
    append(&consumer->asker->waiting, ask);
    pthread_cond_signal(&consumer->asker->changed);
    pthread_mutex_unlock(&consumer->asker->lock);
    return number;
}

kur__ask *kur__ask_next(kur_consumer *consumer)
{
    kur__asker *asker = consumer->asker;
    if (asker == NULL)
        return NULL;
    pthread_mutex_lock(&asker->lock);
    kur__ask *ask = asker->answered;
    if (ask != NULL)
        asker->answered = ask->next;
    pthread_mutex_unlock(&asker->lock);
    return ask;
}

void kur__asker_stop(kur_consumer *consumer)
{
    kur__asker *asker = consumer->asker;
    if (asker == NULL)
        return;
    pthread_mutex_lock(&asker->lock);
    asker->is_stopping = true;
    pthread_cond_signal(&asker->changed);
    pthread_mutex_unlock(&asker->lock);
}

void kur__asker_join(kur_consumer *consumer)
{
    kur__asker *asker = consumer->asker;
    if (asker == NULL)
        return;
    pthread_join(asker->thread, NULL);
    consumer->asker = NULL;
    free_all(asker->waiting);
    free_all(asker->answered);
    pthread_cond_destroy(&asker->changed);
    pthread_mutex_destroy(&asker->lock);
    kur_free(asker);
}
