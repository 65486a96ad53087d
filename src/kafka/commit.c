/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: commits. Only what is assigned is committed, never backwards within an assignment or since a seek. A
 * commit is cut into requests, for a broker refuses one with more than about a megabyte of metadata as a whole; each
 * answer comes on a queue, which a waiting commit has to itself, and the others share with what else the polling thread
 * takes in. A commit under way keeps its positions and the epochs of their assignments, so that a late answer says
 * nothing about another assignment.
 */
#include <inttypes.h>
#include <kurier/sys/memory.h>
#include <stdio.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/consumer.h"
#include "kafka/partition.h"
#include "kafka/topic.h"
#include <kurier/sys/options.h>

enum {
    REQUEST_METADATA_MAX = 512 * 1024,
    POSITIONS_MAX = 100000
};

struct kur__commit {
    kur__commit *next; /* of those that are not waited for */
    kur_commit_callback *callback;
    void *user;
    kur_error error;   /* of the first that failed */
    size_t unanswered; /* requests */
    size_t cursor;     /* behind the position that was answered last */
    size_t count;
    kur_position *positions; /* their topics stand in `topics` */
    uint64_t *epochs;
    char *topics;
};

/* ---- Making ---- */

static kur_status take_position(const kur_position *positions, size_t index, kur_position *taken, kur_error *error)
{
    kur_status status = kur_options_take(taken, sizeof *taken, kur_options_at(positions, index), "kur_position", error);
    if (status != KUR_OK)
        kur__error_prefix(error, "positions[%zu]: ", index);
    return status;
}

static kur_status check_position(kur_consumer *consumer, const kur_position *position, size_t index, kur_error *error)
{
    if (!kur__topic_is_valid(position->topic) || position->partition < 0 || position->offset < 0 ||
        position->leader_epoch < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "positions[%zu]: topic, partition, offset or leader_epoch is not valid", index);
    if (position->metadata != NULL &&
        (strnlen(position->metadata, KUR__METADATA_SIZE_MAX + 1) > KUR__METADATA_SIZE_MAX ||
         !kur_bytes_is_utf8(kur_bytes_text(position->metadata))))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "positions[%zu]: metadata is longer than %d bytes or not UTF-8", index,
                             KUR__METADATA_SIZE_MAX);
    const kur__partition *partition = kur__table_find(consumer, position->topic, position->partition);
    if (partition == NULL || partition->stage != KUR__ASSIGNED)
        return kur_error_set(error, KUR_ERROR_NOT_COMMITTED, "%s [%" PRId32 "] is not assigned", position->topic,
                             position->partition);
    int64_t behind = partition->asked > partition->guard ? partition->asked : partition->guard;
    if (position->offset < behind)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "%s [%" PRId32 "]: %" PRId64 " is behind %" PRId64 ", where the group is already",
                             position->topic, position->partition, position->offset, behind);
    return KUR_OK;
}

static kur_status check_commit(kur_consumer *consumer, const kur_position *positions, size_t count, size_t *text_size,
                               kur_error *error)
{
    if (consumer == NULL || (positions == NULL && count > 0))
        return kur_error_null(error, consumer == NULL ? "consumer" : "positions");
    if (count > POSITIONS_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "count is above %d", POSITIONS_MAX);
    if (consumer->audience == KUR_BROADCAST)
        return kur__error_no_group(error);
    if (consumer->is_telling_lost)
        return kur_error_set(error, KUR_ERROR_NOT_COMMITTED, "the partitions are lost: another may own them");
    kur_status status = KUR_OK;
    *text_size = 0;
    for (size_t i = 0; i < count && status == KUR_OK; i++) {
        kur_position position;
        status = take_position(positions, i, &position, error);
        if (status == KUR_OK)
            status = check_position(consumer, &position, i, error);
        if (status == KUR_OK)
            *text_size += strlen(position.topic) + 1;
    }
    return status;
}

static void free_commit(kur__commit *commit)
{
    if (commit == NULL)
        return;
    kur_free(commit->positions);
    kur_free(commit->epochs);
    kur_free(commit->topics);
    kur_free(commit);
}

static kur__commit *make_commit(kur_consumer *consumer, const kur_position *positions, size_t count, size_t text_size)
{
    kur__commit *commit = kur_calloc(1, sizeof *commit);
    if (commit == NULL)
        return NULL;
    commit->count = count;
    commit->positions = kur_calloc(count + 1, sizeof *commit->positions);
    commit->epochs = kur_calloc(count + 1, sizeof *commit->epochs);
    commit->topics = kur_malloc(text_size + 1);
    if (commit->positions == NULL || commit->epochs == NULL || commit->topics == NULL) {
        free_commit(commit);
        return NULL;
    }
    char *topic = commit->topics;
    for (size_t i = 0; i < count; i++) {
        kur_position *position = &commit->positions[i];
        take_position(positions, i, position, NULL);
        size_t size = strlen(position->topic) + 1;
        position->size = sizeof *position;
        position->topic = memcpy(topic, position->topic, size);
        position->status = KUR_ERROR_TIMEOUT; /* until an answer comes */
        topic += size;
        kur__partition *partition = kur__table_find(consumer, position->topic, position->partition);
        commit->epochs[i] = partition->epoch;
        partition->commits++;
        partition->asked = partition->asked > position->offset ? partition->asked : position->offset;
    }
    return commit;
}

/* Sends positions from `*index` on, as many as one request takes. */
static kur_status send_request(kur_consumer *consumer, kur__commit *commit, rd_kafka_queue_t *answers, size_t *index,
                               kur_error *error)
{
    size_t metadata_size = 0;
    kur_status status = KUR_OK;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);
    for (; *index < commit->count && status == KUR_OK; ++*index) {
        const kur_position *position = &commit->positions[*index];
        size_t size = position->metadata != NULL ? strlen(position->metadata) : 0;
        if (list->cnt > 0 && metadata_size + size > REQUEST_METADATA_MAX)
            break;
        metadata_size += size;
        rd_kafka_topic_partition_t *to = rd_kafka_topic_partition_list_add(list, position->topic, position->partition);
        to->offset = position->offset;
        kur__leader_epoch_set(to, position->leader_epoch);
        if (!kur__partition_set_metadata(to, position->metadata))
            status = kur__error_no_memory(error);
    }
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (status == KUR_OK)
        code = rd_kafka_commit_queue(consumer->rk, list, answers, NULL, commit);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = kur__error_of_kafka(error, code, "group %s: commit", consumer->group);
    commit->unanswered += status == KUR_OK;
    return status;
}

static void fail_commit(kur__commit *commit, const kur_error *error)
{
    if (commit->error.code == KUR_OK)
        commit->error = *error;
}

/* Sends all of it; what cannot be sent fails, and those before it still go. */
static kur_status send_all(kur_consumer *consumer, kur__commit *commit, rd_kafka_queue_t *answers)
{
    size_t index = 0;
    kur_status status = KUR_OK;
    kur_error error;
    while (index < commit->count && status == KUR_OK)
        status = send_request(consumer, commit, answers, &index, &error);
    if (status != KUR_OK)
        fail_commit(commit, &error);
    for (size_t i = 0; i < commit->count; i++)
        commit->positions[i].metadata = NULL; /* the caller's, who has it again */
    return status;
}

/* ---- Answers ---- */

static void settle(kur_consumer *consumer, const kur_position *position, uint64_t epoch)
{
    kur__partition *partition = kur__table_find(consumer, position->topic, position->partition);
    if (partition == NULL || partition->epoch != epoch)
        return;
    partition->commits--;
    if (position->status == KUR_OK && position->offset > partition->guard)
        partition->guard = position->offset;
    if (partition->commits == 0)
        partition->asked = partition->guard;
}

/* Answers come in the order of the positions, so that the next one is nearly always it. */
static kur_position *find_position(kur__commit *commit, const rd_kafka_topic_partition_t *one)
{
    for (size_t i = 0; i < commit->count; i++) {
        kur_position *position = &commit->positions[(commit->cursor + i) % commit->count];
        if (position->partition == one->partition && position->offset == one->offset &&
            strcmp(position->topic, one->topic) == 0) {
            commit->cursor = (size_t)(position - commit->positions) + 1;
            return position;
        }
    }
    return NULL;
}

static void take_answer(kur_consumer *consumer, kur__commit *commit, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t whole = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *answer = rd_kafka_event_topic_partition_list(event);
    kur_error error;
    commit->unanswered--;
    for (int i = 0; answer != NULL && i < answer->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &answer->elems[i];
        kur_position *position = find_position(commit, one);
        rd_kafka_resp_err_t code = one->err != RD_KAFKA_RESP_ERR_NO_ERROR ? one->err : whole;
        if (position == NULL)
            continue;
        position->status = kur__error_of_kafka(&error, code, "group %s: commit of %s [%" PRId32 "]", consumer->group,
                                               one->topic, one->partition);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            fail_commit(commit, &error);
    }
    if (whole != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kur__error_of_kafka(&error, whole, "group %s: commit", consumer->group);
        fail_commit(commit, &error);
    }
}

static void finish(kur_consumer *consumer, kur__commit *commit)
{
    for (size_t i = 0; i < commit->count; i++) {
        kur_position *position = &commit->positions[i];
        if (position->status == KUR_ERROR_TIMEOUT && commit->error.code != KUR_OK)
            position->status = commit->error.code;
        settle(consumer, position, commit->epochs[i]);
    }
    if (commit->callback != NULL)
        commit->callback(consumer, commit->error.code != KUR_OK ? &commit->error : NULL, commit->positions,
                         commit->count, commit->user);
    free_commit(commit);
}

void kur__commit_take(kur_consumer *consumer, rd_kafka_event_t *event)
{
    kur__commit *commit = rd_kafka_event_opaque(event);
    kur__commit **at = &consumer->commits;
    while (*at != NULL && *at != commit)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    take_answer(consumer, commit, event);
    if (commit->unanswered > 0)
        return;
    *at = commit->next;
    finish(consumer, commit);
}

void kur__commit_give_up(kur_consumer *consumer)
{
    kur__commit *commit;
    while ((commit = consumer->commits) != NULL) {
        kur_error error;
        consumer->commits = commit->next;
        kur__connection_timeout(&consumer->connection, &error, "commit: no answer before the consumer was closed");
        fail_commit(commit, &error);
        finish(consumer, commit);
    }
}

/* ---- The two ways ---- */

kur_status kur_consumer_commit_async(kur_consumer *consumer, const kur_position *positions, size_t count,
                                     kur_commit_callback *callback, void *user, kur_error *error)
{
    size_t text_size;
    kur_status status = check_commit(consumer, positions, count, &text_size, error);
    if (status != KUR_OK)
        return status;
    if (count == 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "count is 0");
    kur__commit *commit = make_commit(consumer, positions, count, text_size);
    if (commit == NULL)
        return kur__error_no_memory(error);
    status = send_all(consumer, commit, consumer->answers);
    if (status != KUR_OK && commit->unanswered == 0) {
        if (error != NULL)
            *error = commit->error;
        finish(consumer, commit); /* has no callback yet */
        return status;
    }
    commit->callback = callback;
    commit->user = user;
    commit->next = consumer->commits;
    consumer->commits = commit;
    return KUR_OK;
}

static void wait_for_answers(kur_consumer *consumer, kur__commit *commit, rd_kafka_queue_t *answers, int timeout_ms)
{
    struct timespec deadline = kur_deadline_after(timeout_ms);
    while (commit->unanswered > 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(answers, kur__deadline_left_ms(&deadline));
        if (event == NULL)
            break;
        take_answer(consumer, commit, event);
        rd_kafka_event_destroy(event);
    }
    if (commit->unanswered == 0)
        return;
    kur_error error;
    char what[100];
    snprintf(what, sizeof what, "commit: no answer within %d ms", timeout_ms);
    kur__connection_timeout(&consumer->connection, &error, what);
    fail_commit(commit, &error);
}

kur_status kur_consumer_commit(kur_consumer *consumer, const kur_position *positions, size_t count, int timeout_ms,
                               kur_error *error)
{
    size_t text_size;
    kur_status status = check_commit(consumer, positions, count, &text_size, error);
    if (status != KUR_OK)
        return status;
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "timeout_ms is negative");
    if (count == 0)
        return KUR_OK;
    kur__commit *commit = make_commit(consumer, positions, count, text_size);
    if (commit == NULL)
        return kur__error_no_memory(error);
    rd_kafka_queue_t *answers = rd_kafka_queue_new(consumer->rk);
    send_all(consumer, commit, answers);
    wait_for_answers(consumer, commit, answers, timeout_ms);
    rd_kafka_queue_destroy(answers);
    status = commit->error.code;
    if (status != KUR_OK && error != NULL)
        *error = commit->error;
    finish(consumer, commit);
    return status;
}
