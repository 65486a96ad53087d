/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: topics, as far as a relay knows them, so that a row which will be refused is known before anything of
 * its key behind it is on its way.
 *
 * A topic is looked up before its first row is sent: whether it is there (asked for as a producer asks, so that a
 * broker which makes topics by itself makes it; missing is believed of several answers over some seconds), how many
 * partitions it has, and how large its records may be, where that may be seen. Its first row goes alone, nothing else
 * being on its way: only a row that went alone is refused by the broker's word, since librdkafka says of a whole batch
 * what was wrong with one of it, and rights can be tried in no other way. Once one is acknowledged the topic is proven,
 * and its rows go together, but for those that may be larger than the topic takes. Any failure takes that back: the row
 * waits, the topic is looked up again.
 *
 * What is being looked up holds its rows, and those of their keys, and nothing else.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/producer.h>
#include <kurier/sys/topic.h>
#include <stdio.h>
#include <string.h>

#include "listener/ledger.h"
#include "outbox/relay.h"

enum {
    CHAINS = 256,
    TARGETS_MAX = 10000,
    ASK_MS = 1000,
    ASKS_LEAST = 3,        /* answers that a topic is missing, before that is believed */
    MISSING_MS = 3000,     /* and the time from the first to the last of them */
    ASK_AGAIN_MS = 500,    /* of one that is missing */
    BATCH_BYTES = 1000000, /* librdkafka's batches */
    ALONE_BYTES = 65536    /* topics that take less have each record sent by itself */
};

struct kur__target {
    struct kur__target *next;
    bool is_known;  /* it is there */
    bool is_proven; /* it has acknowledged a row */
    bool is_single; /* it takes less than a batch, and how much cannot be seen: each row by itself */
    int suspects;   /* rows of a batch that was refused: so many go by themselves */
    int32_t partitions;
    int64_t limit;   /* the largest batch that it takes; 0: not known */
    int64_t largest; /* the largest record that it has acknowledged */
    int asks;        /* answers that it is missing */
    int64_t first_ask_us, next_ask_us;
    int64_t looked_round;  /* in which it was looked up last */
    int64_t refused_round; /* in which its rows are refused without asking again */
    int64_t *met_us; /* by partition: when rows that went together were acknowledged last; NULL: nothing is known */
    char refusal[256];
    char name[];
};

struct kur__targets {
    struct kur__target *chains[CHAINS];
    size_t count;
    int64_t round;    /* of batches */
    kur_admin *admin; /* made when it is needed */
    kur_arena *arena; /* for its answers */
};

/* ---- The table ---- */

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: topics of the outbox");
}

static void clear(struct kur__targets *targets)
{
    for (int i = 0; i < CHAINS; i++)
        while (targets->chains[i] != NULL) {
            struct kur__target *next = targets->chains[i]->next;
            kur_free(targets->chains[i]->met_us);
            kur_free(targets->chains[i]);
            targets->chains[i] = next;
        }
    targets->count = 0;
}

void kur__targets_free(kur_relay *relay)
{
    struct kur__targets *targets = relay->targets;
    if (targets == NULL)
        return;
    clear(targets);
    kur_admin_free(targets->admin);
    kur_arena_free(targets->arena);
    kur_free(targets);
    relay->targets = NULL;
}

static struct kur__target *find(struct kur__targets *targets, const char *name)
{
    struct kur__target **chain = &targets->chains[kur__ledger_hash(name, strlen(name)) % CHAINS];
    for (struct kur__target *target = *chain; target != NULL; target = target->next)
        if (strcmp(target->name, name) == 0)
            return target;
    size_t size = strlen(name) + 1;
    struct kur__target *target = kur_calloc(1, sizeof *target + size);
    if (target == NULL)
        return NULL;
    memcpy(target->name, name, size);
    target->next = *chain;
    *chain = target;
    targets->count++;
    return target;
}

/* ---- Looking a topic up ---- */

/* In this round: for the next batch it is asked again. */
static void refuse_for_now(const struct kur__targets *targets, struct kur__target *target, const char *why)
{
    snprintf(target->refusal, sizeof target->refusal, "%.255s", why);
    target->refused_round = targets->round;
}

/* How large its records may be; nothing where that cannot be seen. What passes is an error. */
static kur_status read_limit(kur_relay *relay, struct kur__target *target, kur_error *error)
{
    struct kur__targets *targets = relay->targets;
    if (targets->admin == NULL && (targets->admin = kur_admin_new(relay->outbox->client, error)) == NULL)
        return error->code;
    const char *names[] = {target->name, NULL};
    kur_topic_list list = {0};
    kur_arena_reset(targets->arena);
    kur_status status = kur_admin_topic_settings(targets->admin, names, ASK_MS, targets->arena, &list, error);
    if (status == KUR_ERROR_TIMEOUT || status == KUR_ERROR_NO_MEMORY || status == KUR_ERROR_AUTHENTICATION)
        return status;
    int64_t before = target->limit;
    target->limit = status == KUR_OK && list.count == 1 ? list.items[0]->max_message_bytes : 0;
    target->is_single = target->is_single && target->limit == before;
    return KUR_OK;
}

static void found_missing(const struct kur__targets *targets, struct kur__target *target, const kur_error *error)
{
    int64_t now_us = kur_clock_monotonic_us();
    if (target->asks++ == 0)
        target->first_ask_us = now_us;
    target->next_ask_us = now_us + ASK_AGAIN_MS * INT64_C(1000);
    if (target->asks >= ASKS_LEAST && now_us - target->first_ask_us >= MISSING_MS * INT64_C(1000))
        refuse_for_now(targets, target, error->message);
}

/* Without memory none is known to have been met, which costs time and nothing else. */
static void set_partitions(struct kur__target *target, int32_t partitions)
{
    if (partitions == target->partitions && target->met_us != NULL)
        return;
    kur_free(target->met_us);
    target->met_us = kur_calloc((size_t)partitions, sizeof *target->met_us);
    target->partitions = partitions;
}

/* What cannot be found out now is an error: brokers are away. */
static kur_status look_up(kur_relay *relay, kur_producer *producer, struct kur__target *target, kur_error *error)
{
    int32_t partitions = 0;
    kur_status status = kur_producer_look_up(producer, target->name, ASK_MS, &partitions, error);
    if (status == KUR_ERROR_UNKNOWN_TOPIC)
        found_missing(relay->targets, target, error);
    else if (status == KUR_ERROR_AUTHORIZATION)
        refuse_for_now(relay->targets, target, error->message);
    else if (status != KUR_OK && !error->retriable && status == KUR_ERROR_BROKER)
        found_missing(relay->targets, target, error); /* it is in no state to be used, and may be in another soon */
    else if (status != KUR_OK)
        return status;
    if (status != KUR_OK)
        return KUR_OK;
    target->asks = 0;
    set_partitions(target, partitions);
    status = read_limit(relay, target, error);
    target->is_known = status == KUR_OK;
    if (target->is_known)
        target->looked_round = relay->targets->round;
    return status;
}

/* ---- Before a batch is sent ---- */

static bool is_refused(const kur_relay *relay, const struct kur__target *target)
{
    return target->refused_round == relay->targets->round;
}

static kur_status refuse_partition(struct kur__batch *batch, struct kur__batch_row *row, kur_error *error)
{
    char why[400];
    snprintf(why, sizeof why, "topic %s has no partition %d: it has %d", row->row.topic, (int)row->row.partition - 1,
             (int)row->target->partitions);
    return kur__batch_refuse(batch, row, why, error);
}

static kur_status refuse_name(struct kur__batch *batch, struct kur__batch_row *row, kur_error *error)
{
    return kur__batch_refuse(batch, row, "its topic is not 1 to 249 characters of A-Z a-z 0-9 . _ -", error);
}

/* One that is missing for the row: another is asked for once in a round. */
static kur_status screen_row(kur_relay *relay, kur_producer *producer, struct kur__batch *batch,
                             struct kur__batch_row *row, bool *is_away, kur_error *error)
{
    struct kur__target *target = row->target;
    bool lacks_partition = target->is_known && row->row.partition > target->partitions;
    if (target->is_known && !lacks_partition)
        return KUR_OK;
    if (is_refused(relay, target))
        return kur__batch_refuse(batch, row, target->refusal, error);
    if (!*is_away && kur_clock_monotonic_us() >= target->next_ask_us) {
        kur_status status = look_up(relay, producer, target, error);
        if (status == KUR_ERROR_NO_MEMORY)
            return status;
        *is_away = status != KUR_OK;
        if (*is_away)
            kur__relay_failed(relay, "a topic could not be looked up", error);
    }
    if (is_refused(relay, target))
        return kur__batch_refuse(batch, row, target->refusal, error);
    if (!*is_away && target->is_known && row->row.partition > target->partitions)
        return refuse_partition(batch, row, error);
    if (!target->is_known || *is_away)
        kur__batch_hold(row);
    return KUR_OK;
}

static kur_status prepare(kur_relay *relay, kur_error *error)
{
    struct kur__targets *targets = relay->targets;
    if (targets == NULL && (targets = relay->targets = kur_calloc(1, sizeof *targets)) == NULL)
        return no_memory(error);
    if (targets->arena == NULL && (targets->arena = kur_arena_new()) == NULL)
        return no_memory(error);
    if (targets->count >= TARGETS_MAX)
        clear(targets);
    targets->round++;
    return KUR_OK;
}

kur_status kur__targets_screen(kur_relay *relay, kur_producer *producer, struct kur__batch *batch, kur_error *error)
{
    const struct kur__batch_row *before = NULL;
    bool is_away = false;
    kur_status status = prepare(relay, error);
    for (size_t i = 0; i < batch->count && status == KUR_OK; i++) {
        struct kur__batch_row *row = &batch->rows[i];
        bool is_same = before != NULL && before->row.topic == row->row.topic;
        if (row->state != KUR__ROW_WAITS || row->is_held || kur__relay_is_out_of_time(relay))
            continue;
        if (!is_same && !kur_topic_is_valid(row->row.topic)) {
            status = refuse_name(batch, row, error);
            continue;
        }
        row->target = is_same ? before->target : find(relay->targets, row->row.topic);
        if (row->target == NULL)
            return no_memory(error);
        before = row;
        status = screen_row(relay, producer, batch, row, &is_away, error);
    }
    return status;
}

kur_status kur__target_refuse(struct kur__batch *batch, struct kur__batch_row *row, kur_error *error)
{
    return is_refused(row->relay, row->target) ? kur__batch_refuse(batch, row, row->target->refusal, error) : KUR_OK;
}

/* At most: headers are a little shorter here than in Kafka, and a batch has a head of its own. */
static int64_t most_bytes(const struct kur__batch_row *row)
{
    size_t bytes = row->row.key.size + row->row.value.size + row->row.headers.size + row->row.headers.size / 2;
    return (int64_t)(bytes + bytes / 128 + 256);
}

int64_t kur__target_limit(const struct kur__batch_row *row)
{
    return row->target->limit;
}

bool kur__target_limit_is_new(struct kur__batch_row *row)
{
    bool is_new = row->target->looked_round == row->relay->targets->round;
    row->target->is_known &= is_new;
    return is_new;
}

/* As librdkafka chooses it: by the same hash as the shard; -1: any. */
static int32_t partition_of(const struct kur__batch_row *row)
{
    if (row->row.partition > 0)
        return row->row.partition - 1;
    return row->row.key.size > 0 ? kur__outbox_shard(row->row.key, 0, row->target->partitions) : -1;
}

bool kur__target_has_met(const struct kur__batch_row *row, int64_t since_us)
{
    const struct kur__target *target = row->target;
    int32_t partition = partition_of(row);
    return target->met_us != NULL && partition >= 0 && partition < target->partitions &&
           target->met_us[partition] > since_us;
}

bool kur__target_wants_alone(const struct kur__batch_row *row)
{
    const struct kur__target *target = row->target;
    if (!target->is_proven || target->is_single || target->suspects > 0 ||
        (target->limit > 0 && target->limit < ALONE_BYTES))
        return true;
    int64_t bytes = most_bytes(row);
    return target->limit > 0 ? bytes > target->limit : bytes > ALONE_BYTES && bytes > target->largest;
}

/* Where the limit cannot be seen, batches are such that none is likely to be refused. */
static int64_t batch_bytes_of(const struct kur__target *target)
{
    if (!target->is_known || target->is_single || (target->limit > 0 && target->limit < ALONE_BYTES))
        return BATCH_BYTES; /* it has none */
    return target->limit > 0 ? target->limit : ALONE_BYTES;
}

int kur__targets_batch_bytes(const kur_relay *relay)
{
    int64_t least = BATCH_BYTES;
    for (int i = 0; relay->targets != NULL && i < CHAINS; i++)
        for (const struct kur__target *target = relay->targets->chains[i]; target != NULL; target = target->next)
            if (batch_bytes_of(target) < least)
                least = batch_bytes_of(target);
    return (int)least;
}

/* ---- After it ---- */

enum {
    MSG_SIZE_TOO_LARGE = 10,
    INVALID_TOPIC = 17,
    RECORD_LIST_TOO_LARGE = 18,
    TOPIC_AUTHORIZATION_FAILED = 29,
    INVALID_TIMESTAMP = 32,
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43,
    POLICY_VIOLATION = 44,
    INVALID_RECORD = 87
};

static bool is_of_size(int32_t kafka_code)
{
    return kafka_code == MSG_SIZE_TOO_LARGE || kafka_code == RECORD_LIST_TOO_LARGE;
}

static bool is_of_topic(int32_t kafka_code)
{
    return kafka_code == INVALID_TOPIC || kafka_code == TOPIC_AUTHORIZATION_FAILED;
}

bool kur__target_is_of_row(const kur_error *why)
{
    int32_t code = why->kafka_code;
    return is_of_size(code) || code == INVALID_TIMESTAMP || code == UNSUPPORTED_FOR_MESSAGE_FORMAT ||
           code == POLICY_VIOLATION || code == INVALID_RECORD;
}

void kur__target_accepted(const struct kur__batch_row *row, int32_t partition, bool was_alone)
{
    struct kur__target *target = row->target;
    int64_t bytes = most_bytes(row);
    target->is_proven = true;
    if (!was_alone && target->met_us != NULL && partition < target->partitions)
        target->met_us[partition] = kur_clock_monotonic_us();
    target->suspects -= was_alone && target->suspects > 0;
    target->largest = bytes > target->largest ? bytes : target->largest;
}

kur_status kur__target_failed(struct kur__batch *batch, struct kur__batch_row *row, const kur_error *why,
                              bool was_alone, kur_error *error)
{
    struct kur__target *target = row->target;
    bool is_refused = kur__target_is_of_row(why) || is_of_topic(why->kafka_code);
    if (is_refused && was_alone) {
        target->suspects -= target->suspects > 0;
        if (is_of_topic(why->kafka_code)) {
            target->is_known = target->is_proven = false;
            refuse_for_now(row->relay->targets, target, why->message);
        }
        return kur__batch_refuse(batch, row, why->message, error);
    }
    if (is_refused || kur_status_of_kafka(why->kafka_code) == KUR_ERROR_UNKNOWN_TOPIC)
        target->is_known = target->is_proven = false;
    target->suspects += is_refused;
    target->is_single |= is_of_size(why->kafka_code);
    return KUR_OK;
}
