/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * librdkafka's callback runs inside a poll, on its thread. What the group gives is acknowledged at once with an empty
 * assignment, so that the group need not wait while the starts are found out; when they are known, KUR_ASSIGNED is told
 * and librdkafka gets the partitions. What the group takes back before that just goes.
 *
 * rd_kafka_yield is not called: in a batch poll it drops the record behind the callback. None is given of a partition
 * that has gone, for it is no longer in the table; and none comes of one that has come back before a later poll.
 *
 * A close ends librdkafka's part of the group without waiting for a callback that was on its way to us when it was
 * asked to, and what its main thread finds in its queue at that end it throws away: who waits for the answer waits for
 * ever (rd_kafka_cgrp_terminated; seen with 2.0.2, and read so up to 2.15). So in a close nothing is asked but what the
 * group waits for: one answer, when nothing is left of what it gave, by a thread that is left behind when it is lost.
 * Its memory is there from the beginning: without that answer the group is not left, and librdkafka's handle never
 * ends.
 */
#include <kurier/sys/memory.h>
#include <poll.h>
#include <string.h>

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/consumer.h"
#include <kurier/sys/thread.h>

enum {
    LAST_ANSWER_MS = 1000
};

/* ---- Telling ---- */

static void add_told(kur_consumer *consumer, const kur__partition *at, size_t *count)
{
    consumer->told[(*count)++] = (kur_position){.size = sizeof(kur_position),
                                                .topic = kur__partition_topic(at),
                                                .partition = at->partition,
                                                .offset = kur__partition_position(consumer, at),
                                                .metadata = at->is_committed && at->is_fresh ? at->metadata : NULL,
                                                .leader_epoch = at->is_committed && at->is_fresh ? at->leader_epoch : 0,
                                                .is_committed = at->is_committed && at->is_fresh,
                                                .end = at->end};
}

static void tell(kur_consumer *consumer, kur_rebalance what, size_t count)
{
    if (count == 0)
        return;
    atomic_fetch_add(&consumer->generation, 1);
    kur__log_print(kur__client_log(consumer->client), KUR_LOG_INFO, "group %s: %zu partitions %s", consumer->group,
                   count,
                   what == KUR_ASSIGNED  ? "assigned"
                   : what == KUR_REVOKED ? "revoked"
                                         : "lost");
    if (consumer->on_rebalance == NULL)
        return;
    consumer->is_telling_lost = what == KUR_LOST;
    consumer->on_rebalance(consumer, what, consumer->told, count, consumer->user);
    consumer->is_telling_lost = false;
}

/* Where the end was the start, it is committed before anyone can read past it. */
static void commit_starts(kur_consumer *consumer)
{
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next) {
        if (at->stage != KUR__ASSIGNED || !at->commits_start)
            continue;
        kur_error error = {0};
        kur_position start = KUR_POSITION(.topic = kur__partition_topic(at), .partition = at->partition,
                                          .offset = atomic_load(&at->next));
        at->commits_start = false;
        if (kur_consumer_commit_async(consumer, &start, 1, NULL, NULL, &error) != KUR_OK)
            kur__log_print(kur__client_log(consumer->client), KUR_LOG_WARNING, "group %s: the start of %s: %s",
                           consumer->group, start.topic, error.message);
    }
}

void kur__rebalance_tell_found(kur_consumer *consumer)
{
    size_t count = 0;
    /* All together, for with whole assignments each time costs what was fetched ahead; but not for want of a few. */
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if ((at->stage == KUR__STARTING || (at->stage == KUR__FOUND && at->id_ask != 0)) && !at->is_slow)
            return;
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->stage == KUR__FOUND && at->id_ask == 0) {
            at->stage = KUR__ASSIGNED;
            add_told(consumer, at, &count);
        }
    commit_starts(consumer);
    tell(consumer, KUR_ASSIGNED, count);
}

/* ---- What the group says ---- */

static void acknowledge(kur_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
    if (consumer->is_cooperative)
        rd_kafka_error_destroy(rd_kafka_incremental_assign(consumer->rk, none));
    else
        rd_kafka_assign(consumer->rk, none);
    rd_kafka_topic_partition_list_destroy(none);
}

/* The last answer, which its thread and who waits for it have in common: whoever is done with it second frees it. */
struct kur__answer {
    rd_kafka_t *rk;
    atomic_bool is_done_by_one;
};

kur__answer *kur__answer_new(void)
{
    return kur_calloc(1, sizeof(kur__answer));
}

static void *give_answer(void *user)
{
    kur__answer *answer = user;
    rd_kafka_assign(answer->rk, NULL); /* in a close this gives back everything, whatever the protocol */
    if (atomic_exchange(&answer->is_done_by_one, true))
        kur_free(answer);
    return NULL;
}

static void answer_last(kur_consumer *consumer)
{
    pthread_t thread;
    kur__answer *answer = consumer->last_answer;
    if (answer == NULL) /* one was lost: the group's part has ended */
        return;
    answer->rk = consumer->rk;
    if (kur_thread_start(&thread, give_answer, answer) != 0)
        return; /* the close waits until its time is over */
    /* Once the group's part has ended, an answer comes at once or not at all. */
    for (int waited_ms = 0; !atomic_load(&answer->is_done_by_one) && waited_ms < LAST_ANSWER_MS; poll(NULL, 0, 1))
        waited_ms += rd_kafka_consumer_closed(consumer->rk);
    if (!atomic_exchange(&answer->is_done_by_one, true)) {
        consumer->last_answer = NULL;
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    atomic_store(&answer->is_done_by_one, false);
}

static bool has_any(const kur_consumer *consumer)
{
    for (const kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->stage != KUR__AWAY && at->is_group_given)
            return true;
    return consumer->incoming != NULL && consumer->incoming->cnt > 0;
}

static void give(kur_consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    if (consumer->incoming == NULL)
        consumer->incoming = rd_kafka_topic_partition_list_new(partitions->cnt);
    for (int i = 0; i < partitions->cnt; i++)
        rd_kafka_topic_partition_list_add(consumer->incoming, partitions->elems[i].topic,
                                          partitions->elems[i].partition);
    consumer->is_given_anew = true;
    /* Asked here, where librdkafka cannot have gone on to another one. */
    consumer->incoming_generation = consumer->is_cooperative ? -1 : kur__consumer_ask_generation(consumer);
    acknowledge(consumer);
}

void kur__rebalance_take_incoming(kur_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *incoming = consumer->incoming;
    while (incoming != NULL && incoming->cnt > 0) {
        const rd_kafka_topic_partition_t *one = &incoming->elems[incoming->cnt - 1];
        kur__partition *partition = kur__table_get(consumer, one->topic, one->partition);
        if (partition == NULL) {
            kur_error error;
            kur__error_no_memory(&error);
            kur__consumer_fail(consumer, &error);
            consumer->is_busy = true;
            return;
        }
        partition->is_group_given = true;
        kur__partition_begin(consumer, partition, KUR_OFFSET_COMMITTED);
        rd_kafka_topic_partition_list_del_by_idx(incoming, incoming->cnt - 1);
    }
    atomic_store(&consumer->group_generation, consumer->incoming_generation);
}

static bool goes(const kur_consumer *consumer, const kur__partition *at,
                 const rd_kafka_topic_partition_list_t *partitions)
{
    if (at->stage == KUR__AWAY || !at->is_group_given)
        return false;
    return !consumer->is_cooperative ||
           rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)(uintptr_t)partitions,
                                              kur__partition_topic(at), at->partition) != NULL;
}

static void unassign(kur_consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    kur__flow_clear_pauses(consumer);
    if (!consumer->is_cooperative) {
        rd_kafka_assign(consumer->rk, NULL);
        kur__flow_forget(consumer);
        return;
    }
    rd_kafka_topic_partition_list_t *out = rd_kafka_topic_partition_list_new(partitions->cnt);
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->is_fetching && goes(consumer, at, partitions))
            kur__partition_add(at, out);
    rd_kafka_error_destroy(rd_kafka_incremental_unassign(consumer->rk, out));
    rd_kafka_topic_partition_list_destroy(out);
}

static void take(kur_consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    size_t count = 0;
    if (consumer->incoming != NULL && !consumer->is_cooperative) {
        rd_kafka_topic_partition_list_destroy(consumer->incoming);
        consumer->incoming = NULL;
    }
    for (int i = 0; consumer->incoming != NULL && i < partitions->cnt; i++)
        rd_kafka_topic_partition_list_del(consumer->incoming, partitions->elems[i].topic,
                                          partitions->elems[i].partition);
    for (kur__partition *at = consumer->table; at != NULL; at = at->hh.next)
        if (at->stage == KUR__ASSIGNED && goes(consumer, at, partitions))
            add_told(consumer, at, &count);
    tell(consumer, rd_kafka_assignment_lost(consumer->rk) ? KUR_LOST : KUR_REVOKED, count);
    if (!consumer->closed)
        unassign(consumer, partitions);
    kur__partition *at, *next;
    HASH_ITER (hh, consumer->table, at, next)
        if (goes(consumer, at, partitions))
            kur__table_leave(consumer, at);
}

static void ask_protocol(kur_consumer *consumer)
{
    const char *protocol = rd_kafka_rebalance_protocol(consumer->rk);
    consumer->is_cooperative = protocol != NULL && strcmp(protocol, "COOPERATIVE") == 0;
}

void kur__consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions,
                                void *opaque)
{
    kur__connection *connection = opaque;
    kur_consumer *consumer = (kur_consumer *)((char *)connection - offsetof(struct kur_consumer, connection));
    (void)rk;
    bool gives = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (!consumer->closed)
        ask_protocol(consumer);
    if (!gives)
        take(consumer, partitions);
    else if (!consumer->closed)
        give(consumer, partitions);
    /* What was given in a close is taken back, or needs no answer, unless it was nothing. */
    if (consumer->closed && !has_any(consumer) && (!gives || partitions->cnt == 0))
        answer_last(consumer);
    if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        kur_error error;
        kur__error_of_kafka(&error, code, "group %s: rebalance", consumer->group);
        kur__consumer_fail(consumer, &error);
    }
    /* The poll goes on with finding out the starts, instead of waiting for a record. */
    consumer->is_busy = true;
    kur__consumer_wake(consumer);
}
