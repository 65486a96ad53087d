/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a row that is refused takes its transaction with it, and others by the way. What topics are like is
 * looked up before (relay_targets.c), and a row without a topic or partition never gets here. Beyond that:
 *
 * - What is certainly larger than its topic takes is not tried, and what goes to topics that take little goes in small
 *   parts. What a topic takes cannot always be seen, and changes.
 * - What is wrong with one row is said of all that went in one request. They go in smaller parts then, until a row was
 *   alone in what was refused. "Too large" may be said of them together: less goes together also from then on, or fewer
 *   rows, when it was a control record; more is tried again after some transactions.
 * - Rights are refused to a transaction as a whole. Then each topic is tried by itself, in a transaction that is always
 *   aborted. One that is refused there is at fault, with all its rows; when all are found innocent, it is the control
 *   topic or the group, which ends the relay.
 * - What is not answered at all may be for a topic that has gone: all those are looked up again.
 */
#include <stdio.h>
#include <string.h>

#include "outbox/exactly.h"

enum {
    TOPICS_MAX = 256, /* that are looked at in one batch */
    SHRINK = 8,
    BATCH_BYTES = 1000000, /* librdkafka's batches */
    ROW_BYTES = 40,
    UNKNOWN_TOPIC_OR_PART = 3 /* Kafka's number */
};

static kur_status status_of(const kur_error *error)
{
    return error->kafka_code != 0 ? kur_status_of_kafka(error->kafka_code) : error->code;
}

bool kur__exact_is_refusal(const kur_error *error)
{
    kur_status status = status_of(error);
    return status == KUR_ERROR_TOO_LARGE || status == KUR_ERROR_UNKNOWN_TOPIC || status == KUR_ERROR_AUTHORIZATION ||
           status == KUR_ERROR_INVALID_ARGUMENT || status == KUR_ERROR_SYNTAX || status == KUR_ERROR_CONFIG ||
           (status == KUR_ERROR_BROKER && !error->retriable);
}

static void refuse(struct kur__exact *exact, struct kur__batch_row *row, const char *why)
{
    kur_error error = {0};
    if (kur__batch_refuse(exact->batch, row, why, &error) == KUR_OK) {
        exact->has_refused = true;
        return;
    }
    kur__batch_hold(row);
    if (exact->failure.code == KUR_OK)
        exact->failure = error;
}

void kur__exact_take_failure(struct kur__exact *exact, struct kur__batch_row *row, const kur_error *why, bool is_alone)
{
    kur_error error = {0};
    bool is_refusal = kur__exact_is_refusal(why);
    if (exact->failure.code == KUR_OK || (is_refusal && !kur__exact_is_refusal(&exact->failure)))
        exact->failure = *why;
    if (!is_refusal || row->state != KUR__ROW_WAITS)
        return;
    if (status_of(why) == KUR_ERROR_TOO_LARGE && !is_alone) {
        exact->is_too_large = true;
    } else if (kur__target_is_of_row(why) && !is_alone) {
        row->together = (uint32_t)(exact->chunk_count > SHRINK ? exact->chunk_count / SHRINK : 1);
        exact->has_suspects = true;
    } else if (why->kafka_code == 0) {
        refuse(exact, row, why->message); /* it could not even be handed over */
    } else {
        if (kur__target_failed(exact->batch, row, why, true, &error) != KUR_OK)
            exact->failure = error;
        exact->has_refused |= row->state == KUR__ROW_REFUSED;
    }
}

void kur__exact_doubt_topics(struct kur__exact *exact)
{
    const kur_error why = {.code = KUR_ERROR_UNKNOWN_TOPIC, .kafka_code = UNKNOWN_TOPIC_OR_PART};
    kur_error ignored;
    for (size_t i = 0; i < exact->sent_count; i++)
        if (!exact->sent[i].is_delivered)
            kur__target_failed(exact->batch, exact->sent[i].row, &why, false, &ignored);
}

/* ---- Before it is sent ---- */

size_t kur__exact_size_of(const struct kur__batch_row *row)
{
    size_t bytes = row->row.key.size + row->row.value.size + row->row.headers.size + row->row.headers.size / 2;
    return bytes + bytes / 128 + ROW_BYTES;
}

bool kur__exact_is_small(const struct kur__batch_row *row)
{
    int64_t limit = kur__target_limit(row);
    return limit > 0 && limit < BATCH_BYTES;
}

/* Of a size that its topic certainly refuses; what is known of that may be old, and then it is looked up first. */
static void screen_size(struct kur__exact *exact, struct kur__batch_row *row)
{
    size_t size = row->row.key.size + row->row.value.size;
    int64_t limit = kur__target_limit(row);
    if (exact->compresses || limit == 0 || size <= (size_t)limit)
        return;
    if (!kur__target_limit_is_new(row)) {
        kur__batch_hold(row);
        return;
    }
    char why[400];
    snprintf(why, sizeof why, "it has %zu bytes, and topic %s takes %lld (max.message.bytes)", size, row->row.topic,
             (long long)limit);
    refuse(exact, row, why);
}

void kur__exact_screen(struct kur__exact *exact)
{
    exact->small_most = SIZE_MAX;
    for (size_t i = 0; i < exact->batch->count; i++) {
        struct kur__batch_row *row = &exact->batch->rows[i];
        if (row->state != KUR__ROW_WAITS || row->is_held)
            continue;
        if (kur__exact_is_small(row) && (size_t)kur__target_limit(row) < exact->small_most)
            exact->small_most = (size_t)kur__target_limit(row);
        if (strcmp(row->row.topic, exact->relay->options.control) == 0)
            refuse(exact, row, "its topic is the relays' own: another record there would stop them");
        else
            screen_size(exact, row);
    }
}

/* ---- Topics ---- */

/* The first row of each topic that has rows which wait. */
static size_t list_topics(const struct kur__exact *exact, struct kur__batch_row **firsts)
{
    size_t count = 0;
    for (size_t i = 0; i < exact->batch->count && count < TOPICS_MAX; i++) {
        struct kur__batch_row *row = &exact->batch->rows[i];
        size_t k = count;
        if (row->state != KUR__ROW_WAITS || row->is_held)
            continue;
        while (k > 0 && strcmp(firsts[k - 1]->row.topic, row->row.topic) != 0)
            k--;
        if (k == 0)
            firsts[count++] = row;
    }
    return count;
}

static void refuse_topic(struct kur__exact *exact, const char *topic, const char *why)
{
    for (size_t i = 0; i < exact->batch->count; i++) {
        struct kur__batch_row *row = &exact->batch->rows[i];
        if (row->state == KUR__ROW_WAITS && strcmp(row->row.topic, topic) == 0)
            refuse(exact, row, why);
    }
}

/* ---- Topics by themselves ---- */

/* Sends one row to nobody; KUR_OK: it would be taken. `why` is what Kafka has to say against it. */
static kur_status try_row(struct kur__exact *exact, struct kur__batch_row *row, kur_error *why)
{
    kur_error error = {0};
    *why = (kur_error){0};
    kur__exact_set_time(exact);
    kur_status status = kur__exact_begin(exact, &error);
    if (status == KUR_OK)
        status = kur__exact_produce(exact, row, &error);
    if (status == KUR_OK)
        status = kur__exact_await(exact, &error);
    if (status == KUR_OK && exact->failure.code != KUR_OK) {
        *why = exact->failure;
        if (!kur__exact_is_refusal(why))
            kur__exact_ask_why(exact, row->row.shard, why);
    } else if (status == KUR_ERROR_MUST_ABORT) {
        *why = error;
    }
    kur__exact_abandon(exact);
    return why->code != KUR_OK ? why->code : status;
}

/* Whether a topic was at fault, or a row by the way; `is_sure` that none was. */
static bool try_topics(struct kur__exact *exact, bool *is_sure)
{
    struct kur__batch_row *firsts[TOPICS_MAX];
    size_t count = list_topics(exact, firsts);
    bool is_found = false;
    *is_sure = count < TOPICS_MAX;
    for (size_t i = 0; i < count; i++) {
        kur_error why;
        if (exact->end.code != KUR_OK || kur__relay_is_out_of_time(exact->relay)) {
            *is_sure = false;
            break;
        }
        *is_sure &= try_row(exact, firsts[i], &why) == KUR_OK;
        if (status_of(&why) == KUR_ERROR_AUTHORIZATION)
            refuse_topic(exact, firsts[i]->row.topic, why.message);
        is_found |= firsts[i]->state != KUR__ROW_WAITS;
    }
    return is_found;
}

/* ---- Judging ---- */

static bool send_less_together(struct kur__exact *exact)
{
    size_t size = exact->batch->bytes < exact->chunk_most ? exact->batch->bytes : exact->chunk_most;
    exact->good = 0;
    exact->chunk_most = size / SHRINK > 0 ? size / SHRINK : 1;
    return true;
}

static bool send_fewer(struct kur__exact *exact)
{
    if (exact->sent_count < 2)
        return false;
    exact->good = 0;
    exact->rows_most = exact->sent_count / 2;
    return true;
}

/* Before a broker was silent. */
static bool has_got_on(const struct kur__exact *exact)
{
    for (size_t i = 0; i < exact->sent_count; i++)
        if (exact->sent[i].is_delivered)
            return true;
    return false;
}

/* It belongs to the relay alone, and is refused. */
static bool end_by(struct kur__exact *exact, const kur_error *error)
{
    if (status_of(error) == KUR_ERROR_AUTHORIZATION)
        kur_error_set(&exact->end, KUR_ERROR_AUTHORIZATION,
                      "%.300s; a relay needs the right Write on the topic %.100s, and Read on the group of that name",
                      error->message, exact->relay->options.control);
    return false;
}

bool kur__exact_judge(struct kur__exact *exact, kur_error *error)
{
    if (exact->has_refused || exact->has_suspects)
        return true; /* without them, or in smaller parts */
    if (exact->is_too_large)
        return send_less_together(exact);
    if (exact->is_control_too_large)
        return send_fewer(exact);
    if (error->code == KUR_ERROR_TIMEOUT) {
        if (has_got_on(exact))
            send_fewer(exact);
        return false;
    }
    if (exact->is_control_at_fault)
        return end_by(exact, error);
    if (status_of(error) != KUR_ERROR_AUTHORIZATION)
        return false;
    bool is_sure;
    return try_topics(exact, &is_sure) || (is_sure && end_by(exact, error));
}
