/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: how a shard comes to this relay.
 *
 *     given ─▶ READING ─ its control record has come ─▶ CLEARING ─ those rows are deleted ─▶ OURS
 *                 ▲
 *     UNKNOWN ────┘ the group's offset has been asked for, once the transaction is certainly over
 *
 * The partition starts at the group's offset, which is stable: the consumer waits while a transaction that has sent one
 * is open. It is the place of the control record itself, which may be readable a little later: it is waited for.
 * Another transaction that is open before it can hold it up, for ever even, if a broker has lost count of it. But a
 * stable offset is committed, and so is the record at its place, for both are of one transaction: after a while it is
 * read by a consumer of its own that does not ask what is open. Nothing committed: then the last record that there is
 * counts; that is so at the very first start, and after Kafka has forgotten the group (a week without members).
 *
 * A record that is missing or cannot be read ends the relay: to take it for "nothing was sent" would send twice.
 *
 * The group's metadata are taken between two polls and belong to what the last poll has told. All that an assignment
 * changes goes by kur__relay_own at once, so that nothing which was read before it is sent after it.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <string.h>

#include "listener/crash.h"
#include "outbox/exactly.h"

enum {
    RECORDS = 64,
    FETCH_KBYTES = 4096,
    QUESTION_MS = 1000,
    HELD_UP_MS = 2000,
    WARN_AFTER_MS = 30000,
    WARN_EVERY_MS = 30000
};

static const char *topic_of(const struct kur__exact *exact)
{
    return exact->relay->options.control;
}

static void set_stage(struct kur__place *place, enum kur__place_stage stage)
{
    if (stage != KUR__PLACE_CLEARING) {
        kur_record_free(place->last);
        place->last = NULL;
    }
    place->stage = stage;
    place->is_looked_for = false;
    place->since_us = kur_clock_monotonic_us();
}

/* Tells the relay which shards are its own. */
static void tell(struct kur__exact *exact)
{
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    size_t count = 0;
    for (int32_t i = 0; i < exact->shards; i++)
        if (exact->places[i].stage == KUR__PLACE_OURS)
            shards[count++] = i;
    kur__relay_own(exact->relay, shards, count);
}

/* Something that no waiting cures; the next own says it. */
static void give_up(struct kur__exact *exact, int32_t shard, int64_t offset, const char *why)
{
    if (exact->end.code == KUR_OK)
        kur_error_set(&exact->end, KUR_ERROR_CONFIG,
                      "the control topic %.100s [%" PRId32 "] at offset %" PRId64
                      ": %s. It is not known which rows were sent last, so that none are: "
                      "docs/decisions/outbox-exactly-once.md says "
                      "what can be done",
                      topic_of(exact), shard, offset, why);
}

/* ---- The group ---- */

static void start_place(struct kur__place *place, bool is_committed, int64_t offset)
{
    set_stage(place, KUR__PLACE_READING);
    place->offset = is_committed ? offset : -1;
    place->end = -1;
}

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *partitions, size_t count,
                         void *user)
{
    struct kur__exact *exact = user;
    (void)consumer;
    for (size_t i = 0; i < count; i++) {
        const kur_position *at = kur_options_at(partitions, i);
        if (at->partition < 0 || at->partition >= exact->shards)
            continue; /* added to the topic: none of the outbox's */
        struct kur__place *place = &exact->places[at->partition];
        if (what == KUR_ASSIGNED)
            start_place(place, at->is_committed, at->offset);
        else
            set_stage(place, KUR__PLACE_NONE);
    }
    kur_group_metadata_free(exact->group);
    exact->group = NULL;
    tell(exact);
}

static void on_gap(kur_consumer *consumer, const kur_gap *gap, void *user)
{
    struct kur__exact *exact = user;
    (void)consumer;
    if (gap->partition < exact->shards && exact->places[gap->partition].stage == KUR__PLACE_READING)
        give_up(exact, gap->partition, gap->offset, gap->message);
}

kur_status kur__exact_join(struct kur__exact *exact, kur_error *error)
{
    const kur_relay_options *options = &exact->relay->options;
    const char *topics[] = {topic_of(exact), NULL};
    /* Not polled while a batch is sent, nor while the database is away. */
    int silent_ms = options->lease_ms + 2 * options->transaction_ms;
    kur_consumer *consumer =
        kur_consumer_new(exact->relay->outbox->client,
                         &KUR_CONSUMER_OPTIONS(.group = topic_of(exact), .session_timeout_ms = options->lease_ms,
                                               .max_poll_interval_ms = silent_ms, .on_rebalance = on_rebalance,
                                               .on_gap = on_gap, .user = exact, .assignor = KUR_ASSIGNOR_RANGE,
                                               .isolation = KUR_READ_COMMITTED, .fetch_ahead_kbytes = FETCH_KBYTES),
                         error);
    if (consumer == NULL)
        return error->code;
    kur_status status = kur_consumer_subscribe(consumer, topics, error);
    if (status != KUR_OK) {
        kur_consumer_free(consumer);
        return status;
    }
    exact->consumer = consumer;
    return KUR_OK;
}

void kur__exact_leave(struct kur__exact *exact)
{
    int64_t left_us = atomic_load(&exact->relay->stop_by_us);
    if (left_us != INT64_MAX && exact->consumer != NULL) {
        left_us -= kur_clock_monotonic_us();
        int64_t ms = left_us > 0 ? left_us / 1000 : 0;
        kur_consumer_close_within(exact->consumer, (int)(ms < 200 ? 200 : ms > 10000 ? 10000 : ms), NULL);
    }
    kur_consumer_free(exact->consumer);
    kur_consumer_free(exact->reader);
    exact->consumer = exact->reader = NULL;
    kur_group_metadata_free(exact->group);
    exact->group = NULL;
}

/* ---- Reading ---- */

/* Keeps the record, when it can be the one that counts. */
static kur_status take_record(struct kur__exact *exact, const kur_record *record, kur_error *error)
{
    int32_t shard = kur_record_partition(record);
    int64_t offset = kur_record_offset(record);
    struct kur__place *place = shard < exact->shards ? &exact->places[shard] : NULL;
    if (place == NULL || place->stage != KUR__PLACE_READING)
        return KUR_OK; /* one of our own, mostly */
    if (place->offset >= 0 && offset > place->offset) {
        give_up(exact, shard, place->offset, "the record that the group points at is not there any more");
        return KUR_OK;
    }
    if (place->offset >= 0 && offset < place->offset)
        return KUR_OK;
    kur_record *copy = kur_record_copy(record, error);
    if (copy == NULL)
        return error->code;
    kur_record_free(place->last);
    place->last = copy;
    if (place->offset >= 0)
        set_stage(place, KUR__PLACE_CLEARING);
    return KUR_OK;
}

static kur_status poll_all(struct kur__exact *exact, kur_consumer *consumer, kur_error *error)
{
    kur_record *records[RECORDS];
    size_t count = 0;
    do {
        kur_status status = kur_consumer_poll_batch(consumer, 0, records, RECORDS, &count, error);
        for (size_t i = 0; i < count && status == KUR_OK; i++)
            status = take_record(exact, records[i], error);
        kur_consumer_free_records(consumer, records, count);
        if (status != KUR_OK)
            return status;
    } while (count == RECORDS);
    return KUR_OK;
}

static bool wants_end(const struct kur__place *place)
{
    return place->stage == KUR__PLACE_READING && place->offset < 0 && place->end < 0;
}

/*
 * Of shards with nothing committed: where the log ends. The consumer's own connections are held up by what it fetches,
 * half a second for each question.
 */
static kur_status look_for_ends(struct kur__exact *exact, kur_error *error)
{
    const kur_topic_view *topic;
    bool is_wanted = false;
    for (int32_t i = 0; i < exact->shards; i++)
        is_wanted |= wants_end(&exact->places[i]);
    if (!is_wanted)
        return KUR_OK;
    kur_arena_reset(exact->arena);
    kur_status status =
        kur_admin_describe_topic(exact->admin, topic_of(exact), QUESTION_MS, exact->arena, &topic, error);
    for (size_t i = 0; status == KUR_OK && i < topic->partition_count && i < (size_t)exact->shards; i++) {
        const kur_partition_view *partition = topic->partitions[i];
        struct kur__place *place = &exact->places[i];
        if (!wants_end(place) || partition->partition != (int32_t)i || partition->end_offset < 0)
            continue;
        place->end = partition->end_offset;
        if (partition->start_offset >= partition->end_offset) /* nothing is there */
            set_stage(place, KUR__PLACE_CLEARING);
    }
    return status;
}

/* Likewise: whether all there is has been read. */
static bool has_read_all(const struct kur__exact *exact, int32_t shard)
{
    const struct kur__place *place = &exact->places[shard];
    int64_t position;
    return place->offset < 0 && place->end >= 0 &&
           kur_consumer_position(exact->consumer, topic_of(exact), shard, &position, NULL) == KUR_OK &&
           position >= place->end;
}

/* Records whose place is committed and that have not come; returns how many. */
static size_t find_held_up(struct kur__exact *exact, kur_position *positions, bool *is_new)
{
    size_t count = 0;
    int64_t before_us = kur_clock_monotonic_us() - HELD_UP_MS * INT64_C(1000);
    for (int32_t i = 0; i < exact->shards; i++) {
        const struct kur__place *place = &exact->places[i];
        if (place->stage != KUR__PLACE_READING || place->offset < 0 || place->since_us > before_us)
            continue;
        positions[count++] = KUR_POSITION(.topic = topic_of(exact), .partition = i, .offset = place->offset);
        *is_new |= !place->is_looked_for;
    }
    return count;
}

/* Reads them past whatever is open. */
static kur_status look_past(struct kur__exact *exact, kur_error *error)
{
    kur_position positions[KUR_OUTBOX_SHARDS_MAX];
    bool is_new = false;
    size_t count = find_held_up(exact, positions, &is_new);
    if (count == 0) {
        kur_consumer_free(exact->reader);
        exact->reader = NULL;
        return KUR_OK;
    }
    if (exact->reader == NULL)
        exact->reader = kur_consumer_new(exact->relay->outbox->client,
                                         &KUR_CONSUMER_OPTIONS(.group = topic_of(exact), .on_gap = on_gap,
                                                               .user = exact, .isolation = KUR_READ_UNCOMMITTED,
                                                               .fetch_ahead_kbytes = FETCH_KBYTES),
                                         error);
    if (exact->reader == NULL)
        return error->code;
    kur_status status = is_new ? kur_consumer_assign(exact->reader, positions, count, error) : KUR_OK;
    for (size_t i = 0; i < count && status == KUR_OK; i++)
        exact->places[positions[i].partition].is_looked_for = true;
    return status == KUR_OK ? poll_all(exact, exact->reader, error) : status;
}

/* Where the group stands, after a transaction of which it is not known whether it was committed. */
static kur_status ask(struct kur__exact *exact, int32_t shard, kur_error *error)
{
    kur_position position = KUR_POSITION(.topic = topic_of(exact), .partition = shard);
    kur_arena_reset(exact->arena);
    kur_status status = kur_consumer_committed(exact->consumer, &position, exact->arena, QUESTION_MS, error);
    if (status != KUR_OK)
        return status;
    start_place(&exact->places[shard], position.offset >= 0, position.offset);
    return kur_consumer_seek(exact->consumer, topic_of(exact), shard,
                             position.offset >= 0 ? position.offset : KUR_OFFSET_BEGINNING, error);
}

static void warn_of_waiting(struct kur__exact *exact, int32_t shard)
{
    const struct kur__place *place = &exact->places[shard];
    int64_t now_us = kur_clock_monotonic_us();
    if (now_us - place->since_us < WARN_AFTER_MS * INT64_C(1000) || now_us < exact->next_warning_us)
        return;
    exact->next_warning_us = now_us + WARN_EVERY_MS * INT64_C(1000);
    kur_client_log(exact->relay->outbox->client, KUR_LOG_WARNING,
                   "outbox relay %s: the control topic %s [%" PRId32 "]: the record at offset %" PRId64
                   " has not come yet: a transaction before it is open, or it is not there any more",
                   exact->relay->options.name, topic_of(exact), shard,
                   place->offset >= 0 ? place->offset : place->end - 1);
}

/* ---- Clearing ---- */

/* A shard whose last owner's rows are known. */
static kur_status clear(struct kur__exact *exact, int32_t shard, kur_error *error)
{
    struct kur__place *place = &exact->places[shard];
    kur_relay *relay = exact->relay;
    kur_outbox_id *rows = NULL;
    size_t count = 0;
    kur_status status = KUR_OK;
    if (place->last != NULL)
        status = kur__control_read(kur_record_key(place->last), kur_record_value(place->last), shard,
                                   &relay->outbox->id, &rows, &count, error);
    if (status == KUR_ERROR_SYNTAX || status == KUR_ERROR_CONFIG) {
        give_up(exact, shard, kur_record_offset(place->last), error->message);
        return KUR_OK;
    }
    if (status == KUR_OK && count > 0)
        status = kur__relay_checked(
            relay, relay->outbox->driver->outbox_delete(relay->connection, rows, count, NULL, error), error);
    kur_free(rows);
    if (status != KUR_OK)
        return status;
    KUR__CRASH_POINT("outbox-cleared");
    set_stage(place, KUR__PLACE_OURS);
    return status;
}

/* ---- All of it ---- */

static kur_status bring_on(struct kur__exact *exact, int32_t shard, kur_error *error)
{
    struct kur__place *place = &exact->places[shard];
    if (place->stage == KUR__PLACE_UNKNOWN)
        return exact->line.need == KUR__EXACT_READY ? ask(exact, shard, error) : KUR_OK;
    if (place->stage == KUR__PLACE_READING && has_read_all(exact, shard))
        set_stage(place, KUR__PLACE_CLEARING);
    if (place->stage == KUR__PLACE_READING)
        warn_of_waiting(exact, shard);
    return place->stage == KUR__PLACE_CLEARING ? clear(exact, shard, error) : KUR_OK;
}

kur_status kur__exact_follow(struct kur__exact *exact, kur_error *error)
{
    kur_status status = poll_all(exact, exact->consumer, error);
    if (status == KUR_OK)
        status = look_for_ends(exact, error);
    if (status == KUR_OK)
        status = look_past(exact, error);
    for (int32_t i = 0; i < exact->shards && status == KUR_OK && exact->end.code == KUR_OK; i++)
        status = bring_on(exact, i, error);
    if (status == KUR_OK && exact->group == NULL && exact->end.code == KUR_OK) {
        kur_error ignored;
        exact->group = kur_consumer_group_metadata(exact->consumer, &ignored); /* not a member yet: later */
    }
    tell(exact);
    return status;
}

void kur__exact_lose_sight(struct kur__exact *exact)
{
    for (int32_t i = 0; i < exact->shards; i++)
        if (exact->places[i].is_touched && exact->places[i].stage == KUR__PLACE_OURS)
            set_stage(&exact->places[i], KUR__PLACE_UNKNOWN);
    tell(exact);
}
