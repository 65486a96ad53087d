/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a batch as a transaction.
 *
 *     begin ─▶ rows, and a control record for each shard ─▶ all acknowledged ─▶ offsets ─▶ commit
 *
 * One after another, by two producers in turns; after one that was not committed the same producer goes on.
 *
 * Invariants:
 * 1. Offsets are sent when the control records are in the log, and with the metadata that the group had when the shards
 *    were told. So whoever gets a shard next waits for this transaction, or this transaction fails.
 * 2. Only a commit that says so makes rows sent. From a commit that says anything but "it must be aborted", and from
 *    one that then cannot be, the shards go out of sight, until the group has told whether it was committed.
 * 3. When it fails before, nothing of it is seen: its rows wait as they did.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/crash.h"
#include "outbox/exactly.h"

enum {
    SLICE_MS = 500,
    FLUSH_MS = 100,
    QUEUE_KBYTES = 65536,
    HEAD_BYTES = 100, /* of a batch of records */
    LINGER_MS = 2,    /* while rows are handed over: who waits for them sends what there is at once */
    GOOD_MANY = 32    /* transactions after which more is tried again */
};

#define RECORD_BYTES 1000000000

/* ---- The producer ---- */

kur_status kur__exact_make_producer(struct kur__exact *exact, struct kur__exact_line *line, kur_error *error)
{
    const kur_relay_options *options = &exact->relay->options;
    line->producer = kur_producer_new(
        exact->relay->outbox->client,
        &KUR_PRODUCER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .linger_ms = LINGER_MS, .queue_wait_ms = KUR_NONE,
                              .queue_kbytes = QUEUE_KBYTES + 2 * options->batch_kbytes,
                              .queue_records = options->batch_rows + KUR_OUTBOX_SHARDS_MAX,
                              .record_bytes = RECORD_BYTES, .transactional_id = line->id,
                              .transaction_timeout_ms = options->transaction_ms),
        error);
    if (line->producer == NULL)
        return error->code;
    line->need = KUR__EXACT_INIT;
    return KUR_OK;
}

void kur__exact_turn(struct kur__exact *exact)
{
    struct kur__exact_line line = exact->line;
    exact->line = exact->other;
    exact->other = line;
}

/* What no waiting cures, in the words of <kurier/relay.h>. */
static void give_up_producer(struct kur__exact *exact, const kur_error *error)
{
    if (error->code != KUR_ERROR_FENCED && error->code != KUR_ERROR_FATAL && error->code != KUR_ERROR_UNSUPPORTED &&
        error->code != KUR_ERROR_AUTHORIZATION && error->code != KUR_ERROR_CONFIG)
        return;
    exact->end = *error;
    if (error->code == KUR_ERROR_FATAL)
        exact->end.code = KUR_ERROR_CONFIG; /* .transaction_ms is more than the broker allows, mostly */
}

/* An abort that leaves the producer of use; else it is to be replaced. It may come too late for a commit. */
static kur_status abort_open(struct kur__exact *exact, int timeout_ms, kur_error *error)
{
    kur_status status = kur_transaction_abort(exact->line.producer, timeout_ms, error);
    if (status == KUR_ERROR_UNKNOWN_OUTCOME)
        kur__exact_lose_sight(exact);
    if (status == KUR_OK)
        exact->line.need = KUR__EXACT_READY;
    else if (status == KUR_ERROR_FENCED)
        give_up_producer(exact, error);
    else if (status != KUR_ERROR_TIMEOUT && status != KUR_ERROR_AUTHENTICATION)
        exact->line.need = KUR__EXACT_REPLACE;
    return status;
}

kur_status kur__exact_get_ready(struct kur__exact *exact, int timeout_ms, kur_error *error)
{
    kur_status status = KUR_OK;
    if (exact->line.need == KUR__EXACT_ABORT)
        status = abort_open(exact, timeout_ms, error);
    if (exact->line.need == KUR__EXACT_READY || exact->line.need == KUR__EXACT_ABORT)
        return status;
    *error = (kur_error){0};
    status = exact->line.need == KUR__EXACT_INIT ? kur_transaction_init(exact->line.producer, timeout_ms, error)
                                                 : kur_transaction_replace(&exact->line.producer, timeout_ms, error);
    if (status == KUR_OK)
        exact->line.need = KUR__EXACT_READY;
    else
        give_up_producer(exact, error);
    return status;
}

/* ---- Time ---- */

void kur__exact_set_time(struct kur__exact *exact)
{
    /* An abort takes time too. */
    exact->until_us = kur_clock_monotonic_us() + exact->relay->options.transaction_ms * INT64_C(800);
}

static bool is_out_of_time(const struct kur__exact *exact)
{
    return kur_clock_monotonic_us() >= exact->until_us || kur__relay_is_out_of_time(exact->relay);
}

static kur_status out_of_time(struct kur__exact *exact, kur_error *error)
{
    kur_error flushed = {0};
    size_t pending = kur_producer_pending(exact->line.producer);
    bool is_said = pending > 0 && kur_producer_flush(exact->line.producer, 0, &flushed) != KUR_OK;
    return kur_error_set(error, KUR_ERROR_TIMEOUT, "a transaction took too long: %zu of its records were left%s%s",
                         pending, is_said ? ": " : "", is_said ? flushed.message : "");
}

kur_status kur__exact_await(struct kur__exact *exact, kur_error *error)
{
    exact->chunk_size = exact->small_size = 0;
    while (kur_producer_pending(exact->line.producer) > 0 &&
           kur_producer_flush(exact->line.producer, FLUSH_MS, NULL) != KUR_OK)
        if (is_out_of_time(exact)) {
            kur__exact_doubt_topics(exact);
            return out_of_time(exact, error);
        }
    exact->chunk_count = 0;
    exact->chunk_rows = SIZE_MAX;
    return KUR_OK;
}

/* ---- Handing over ---- */

static void on_row(const kur_result *result, void *user)
{
    struct kur__sent *sent = user;
    struct kur__exact *exact = sent->exact;
    sent->is_delivered = result->status == KUR_DELIVERED;
    if (exact->is_open && !sent->is_delivered)
        kur__exact_take_failure(exact, sent->row, &result->error, exact->chunk_count == 1);
}

static void on_control(const kur_result *result, void *user)
{
    struct kur__exact *exact = user;
    if (!exact->is_open)
        return;
    if (result->status == KUR_DELIVERED) {
        exact->places[result->partition].written = result->offset;
    } else if (kur_status_of_kafka(result->error.kafka_code) == KUR_ERROR_TOO_LARGE) {
        exact->is_control_too_large = true;
    } else if (exact->failure.code == KUR_OK) {
        exact->failure = result->error;
        exact->is_control_at_fault = kur__exact_is_refusal(&result->error);
    }
}

/* Results come in the calls that wait: for room in the queue, too. */
static kur_status send_message(struct kur__exact *exact, const kur_message *message, kur_error *error)
{
    kur_status status;
    while ((status = kur_producer_send(exact->line.producer, message, error)) == KUR_ERROR_QUEUE_FULL) {
        if (is_out_of_time(exact))
            return out_of_time(exact, error);
        kur_producer_dispatch(exact->line.producer, FLUSH_MS, NULL, NULL);
    }
    return status;
}

/* Whether a row goes with those that are on their way. */
static bool fits(const struct kur__exact *exact, size_t size, size_t small_size)
{
    return exact->chunk_count < exact->chunk_rows && size <= exact->chunk_most &&
           exact->chunk_size <= exact->chunk_most - size &&
           (exact->small_size == 0 || small_size == 0 ||
            exact->small_size + small_size + HEAD_BYTES <= exact->small_most);
}

kur_status kur__exact_produce(struct kur__exact *exact, struct kur__batch_row *row, kur_error *error)
{
    kur_message message = KUR_MESSAGE(0);
    kur_status status = KUR_OK;
    size_t size = kur__exact_size_of(row), small_size = kur__exact_is_small(row) ? size : 0;
    size_t rows = row->together > 0 ? row->together : SIZE_MAX;
    if (exact->chunk_count > 0 && (exact->chunk_count >= rows || !fits(exact, size, small_size)))
        status = kur__exact_await(exact, error);
    if (status != KUR_OK)
        return status;
    struct kur__sent *sent = &exact->sent[exact->sent_count];
    *sent = (struct kur__sent){.exact = exact, .row = row};
    kur_arena_reset(exact->arena);
    status = kur__outbox_message(&row->row, exact->arena, &message, error);
    message.on_result = on_row;
    message.user = sent;
    message.verbatim = true;
    if (status == KUR_OK)
        status = send_message(exact, &message, error);
    if (status == KUR_OK) {
        exact->sent_count++;
        exact->chunk_count++;
        exact->chunk_size += size;
        exact->chunk_rows = rows < exact->chunk_rows ? rows : exact->chunk_rows;
        exact->small_size += small_size;
    } else if (status != KUR_ERROR_MUST_ABORT && kur__exact_is_refusal(error)) {
        kur__exact_take_failure(exact, row, error, true);
        status = KUR_OK;
    }
    return status;
}

/* ---- A transaction ---- */

static kur_status make_room(struct kur__exact *exact, kur_error *error)
{
    if (exact->sent != NULL)
        return KUR_OK;
    exact->sent = kur_calloc((size_t)exact->relay->options.batch_rows, sizeof *exact->sent);
    return exact->sent != NULL
               ? KUR_OK
               : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a transaction of the outbox");
}

static void clear(struct kur__exact *exact)
{
    for (int32_t i = 0; i < exact->shards; i++) {
        exact->places[i].is_full = false;
        exact->places[i].written = -1;
    }
    exact->sent_count = exact->chunk_count = exact->chunk_size = exact->small_size = 0;
    exact->chunk_rows = SIZE_MAX;
    exact->has_refused = exact->has_suspects = exact->is_too_large = false;
    exact->is_control_too_large = exact->is_control_at_fault = false;
    exact->failure = (kur_error){0};
}

kur_status kur__exact_begin(struct kur__exact *exact, kur_error *error)
{
    clear(exact);
    kur_status status = make_room(exact, error);
    while (status == KUR_OK && exact->line.need != KUR__EXACT_READY) {
        status = kur__exact_get_ready(exact, SLICE_MS, error);
        if (status == KUR_ERROR_TIMEOUT && !is_out_of_time(exact))
            status = KUR_OK;
    }
    if (status != KUR_OK)
        return status;
    for (int32_t i = 0; i < exact->shards; i++) /* the one before is over for certain */
        exact->places[i].is_touched = false;
    status = kur_transaction_begin(exact->line.producer, error);
    if (status == KUR_ERROR_FENCED)
        give_up_producer(exact, error);
    else
        exact->line.need = status == KUR_OK ? KUR__EXACT_ABORT : KUR__EXACT_REPLACE; /* until it is committed */
    exact->is_open = status == KUR_OK;
    return status;
}

void kur__exact_abandon(struct kur__exact *exact)
{
    kur_error ignored;
    while ((exact->line.need == KUR__EXACT_ABORT || exact->line.need == KUR__EXACT_REPLACE) &&
           exact->end.code == KUR_OK)
        if (kur__exact_get_ready(exact, SLICE_MS, &ignored) != KUR_OK && is_out_of_time(exact))
            break;
    /* librdkafka has lost count of a partition in which a record was refused, and the next transaction would fail of
     * it. */
    if (exact->line.need == KUR__EXACT_READY && exact->failure.code != KUR_OK)
        exact->line.need = KUR__EXACT_REPLACE;
    exact->is_open = false; /* its rows may go: what is told of them from now on is not listened to */
    if (exact->line.need == KUR__EXACT_READY && kur_producer_pending(exact->line.producer) > 0 &&
        kur_producer_flush(exact->line.producer, SLICE_MS, NULL) != KUR_OK)
        exact->line.need = KUR__EXACT_REPLACE;
}

/* Whether a row goes into it, and if so, the control record of its shard names it. */
static kur_status note(struct kur__exact *exact, const struct kur__batch_row *row, bool *goes, kur_error *error)
{
    struct kur__place *place = &exact->places[row->row.shard];
    *goes = false;
    if (row->state != KUR__ROW_WAITS || row->is_held || place->stage != KUR__PLACE_OURS || place->is_full)
        return KUR_OK;
    kur_status status = KUR_OK;
    if (!place->is_touched)
        status = kur__control_begin(&place->control, &exact->relay->outbox->id);
    if (status == KUR_OK)
        status = kur__control_add(&place->control, row->row.id, row->row.mark);
    if (status == KUR_ERROR_TOO_LARGE) {
        place->is_full = true; /* the rest of the shard is for the next one */
        return KUR_OK;
    }
    if (status != KUR_OK)
        return kur_error_set(error, status, "out of memory: a transaction of the outbox");
    place->is_touched = *goes = true;
    return KUR_OK;
}

static kur_status send_rows(struct kur__exact *exact, kur_error *error)
{
    struct kur__batch *batch = exact->batch;
    kur_status status = KUR_OK;
    for (size_t i = 0; i < batch->count && status == KUR_OK && exact->sent_count < exact->rows_most; i++) {
        bool goes;
        status = note(exact, &batch->rows[i], &goes, error);
        if (status == KUR_OK && goes)
            status = kur__exact_produce(exact, &batch->rows[i], error);
    }
    return status;
}

static kur_status send_control(struct kur__exact *exact, kur_error *error)
{
    kur_status status = KUR_OK;
    for (int32_t i = 0; i < exact->shards && status == KUR_OK; i++) {
        struct kur__place *place = &exact->places[i];
        char key[KUR__CONTROL_KEY_SIZE];
        if (!place->is_touched)
            continue;
        kur__control_key(i, key);
        status = send_message(exact,
                              &KUR_MESSAGE(.topic = exact->relay->options.control, .partition = KUR_PARTITION(i),
                                           .key = kur_bytes_text(key), .value = kur__control_value(&place->control),
                                           .on_result = on_control, .user = exact),
                              error);
    }
    return status;
}

/* The same call again, as long as that helps and there is time. */
static bool helps(const struct kur__exact *exact, kur_status status)
{
    return (status == KUR_ERROR_TIMEOUT || status == KUR_ERROR_AUTHENTICATION) && !is_out_of_time(exact);
}

static kur_status send_offsets(struct kur__exact *exact, const kur_position *positions, size_t count, kur_error *error)
{
    kur_status status;
    do {
        *error = (kur_error){0};
        status = kur_transaction_send_offsets(exact->line.producer, positions, count, exact->group, SLICE_MS, error);
    } while (helps(exact, status));
    return status;
}

kur_status kur__exact_ask_why(struct kur__exact *exact, int32_t shard, kur_error *error)
{
    kur_position position = KUR_POSITION(.topic = exact->relay->options.control, .partition = shard);
    kur_status status = send_offsets(exact, &position, 1, error);
    if (status == KUR_OK)
        status = kur_error_set(error, KUR_ERROR_MUST_ABORT, "%.400s", exact->failure.message);
    return status;
}

static kur_status send_places(struct kur__exact *exact, kur_error *error)
{
    kur_position positions[KUR_OUTBOX_SHARDS_MAX];
    size_t count = 0;
    for (int32_t i = 0; i < exact->shards; i++)
        if (exact->places[i].is_touched)
            positions[count++] = KUR_POSITION(.topic = exact->relay->options.control, .partition = i,
                                              .offset = exact->places[i].written);
    return send_offsets(exact, positions, count, error);
}

static kur_status commit(struct kur__exact *exact, kur_error *error)
{
    kur_status status;
    bool was_unknown = false; /* asked again it may say that it is committed; the producer is spent all the same */
    KUR__CRASH_SOON("outbox-in-commit");
    do {
        *error = (kur_error){0};
        status = kur_transaction_commit(exact->line.producer, SLICE_MS, error);
        was_unknown |= status == KUR_ERROR_UNKNOWN_OUTCOME;
    } while (helps(exact, status) || (status == KUR_ERROR_UNKNOWN_OUTCOME && !is_out_of_time(exact)));
    if (was_unknown || (status != KUR_OK && status != KUR_ERROR_MUST_ABORT && status != KUR_ERROR_TIMEOUT &&
                        status != KUR_ERROR_AUTHENTICATION))
        exact->line.need = KUR__EXACT_REPLACE;
    else if (status == KUR_OK)
        exact->line.need = KUR__EXACT_READY;
    if (status != KUR_OK && exact->line.need == KUR__EXACT_REPLACE)
        kur__exact_lose_sight(exact);
    if (status == KUR_ERROR_FENCED)
        give_up_producer(exact, error);
    return status;
}

static bool has_failed(const struct kur__exact *exact)
{
    return exact->has_refused || exact->is_too_large || exact->is_control_too_large || exact->failure.code != KUR_OK;
}

/* Rows, control records, and all answers. */
static kur_status fill(struct kur__exact *exact, kur_error *error)
{
    kur_status status = send_rows(exact, error);
    if (status == KUR_OK && !has_failed(exact))
        status = send_control(exact, error);
    if (status == KUR_OK)
        status = kur__exact_await(exact, error);
    if (status != KUR_OK || !has_failed(exact))
        return status;
    if (exact->failure.code == KUR_OK || kur__exact_is_refusal(&exact->failure))
        return kur_error_set(error, KUR_ERROR_MUST_ABORT, "a record of a transaction was refused: %.400s",
                             exact->failure.message);
    return kur__exact_ask_why(exact, exact->batch->rows[0].row.shard, error);
}

static kur_status transact(struct kur__exact *exact, kur_error *error)
{
    kur_status status = kur__exact_begin(exact, error);
    if (status != KUR_OK)
        return status;
    KUR__CRASH_POINT("outbox-begun");
    status = fill(exact, error);
    if (status == KUR_OK && exact->sent_count == 0) {
        kur__exact_abandon(exact); /* all of them wait for something else */
        return KUR_OK;
    }
    if (status == KUR_OK) {
        KUR__CRASH_POINT("outbox-produced");
        status = send_places(exact, error);
    }
    if (status == KUR_OK) {
        KUR__CRASH_POINT("outbox-offsets-sent");
        status = commit(exact, error);
    }
    if (status == KUR_OK) {
        KUR__CRASH_POINT("outbox-committed");
        exact->is_open = false;
        for (size_t i = 0; i < exact->sent_count; i++)
            exact->sent[i].row->state = KUR__ROW_SENT;
        if (exact->line.need == KUR__EXACT_READY)
            kur__exact_turn(exact);
    }
    return status;
}

/* More goes together again, after some time in which all went well. */
static void grow(struct kur__exact *exact)
{
    if ((exact->chunk_most == SIZE_MAX && exact->rows_most == SIZE_MAX) || ++exact->good < GOOD_MANY)
        return;
    exact->good = 0;
    exact->rows_most = exact->rows_most < SIZE_MAX / 2 ? exact->rows_most * 2 : SIZE_MAX;
    exact->chunk_most = exact->chunk_most < SIZE_MAX / 2 ? exact->chunk_most * 2 : SIZE_MAX;
}

static void count_time(kur_relay *relay, int64_t since_us)
{
    int64_t took_us = kur_clock_monotonic_us() - since_us;
    pthread_mutex_lock(&relay->lock);
    relay->health.transaction_us += took_us;
    pthread_mutex_unlock(&relay->lock);
}

kur_status kur__exact_send(kur_relay *relay, struct kur__batch *batch, kur_error *error)
{
    struct kur__exact *exact = relay->courier_state;
    if (exact->group == NULL)
        return kur_error_set(error, KUR_ERROR_NOT_COMMITTED, "this relay is not a member of its group at this moment");
    exact->batch = batch;
    kur_status screened = kur__targets_screen(relay, exact->line.producer, batch, error);
    if (screened != KUR_OK)
        return screened;
    kur__exact_screen(exact);
    for (bool goes_on = true; goes_on;) {
        int64_t begun_us = kur_clock_monotonic_us();
        *error = (kur_error){0};
        kur__exact_set_time(exact);
        kur_status status = transact(exact, error);
        if (status == KUR_OK) {
            count_time(relay, begun_us);
            grow(exact);
            return KUR_OK;
        }
        bool is_known = exact->line.need == KUR__EXACT_ABORT;
        kur__exact_abandon(exact);
        goes_on = is_known && kur__exact_judge(exact, error) && exact->end.code == KUR_OK &&
                  !kur__relay_is_out_of_time(relay);
    }
    error->fatal = false; /* of a producer that has been replaced */
    return error->code;
}
