/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a batch: rows that were read together, what became of each, and how that comes into the database.
 *
 * A row is copied once, from what the driver lends into the batch's arena. What was sent is known until it is deleted,
 * however often that fails: a batch that is not settled is settled before its shards are read again, or its rows would
 * be sent again. What is refused blocks its key by being parked in the same way.
 *
 * How many rows of each shard are read follows what there is: all of a batch for one busy shard, its part for each of
 * many. A shard is asked for more than it was given as long as the batch is not full, and for less when it was.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/crash.h"
#include "listener/ledger.h"
#include "outbox/relay.h"

enum {
    FIRST_ROWS = 256
};

/* What ends a reading because the batch is full. */
#define FULL KUR_ERROR_QUEUE_FULL

/* ---- Reading ---- */

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a batch of the outbox");
}

static bool make_room(struct kur__batch *batch)
{
    if (batch->count < batch->capacity)
        return true;
    size_t capacity = batch->capacity > 0 ? batch->capacity * 2 : FIRST_ROWS;
    struct kur__batch_row *rows = kur_realloc(batch->rows, capacity * sizeof *rows);
    if (rows != NULL)
        batch->rows = rows;
    kur_outbox_id *ids = kur_realloc(batch->ids, capacity * sizeof *ids);
    if (ids != NULL)
        batch->ids = ids;
    struct kur__batch_row **firsts = kur_realloc(batch->firsts, capacity * 2 * sizeof *firsts);
    if (firsts != NULL)
        batch->firsts = firsts;
    if (rows == NULL || ids == NULL || firsts == NULL)
        return false;
    batch->capacity = capacity;
    return true;
}

/* Where the copy is; `at` goes behind it. */
static kur_bytes move_in(kur_bytes from, uint8_t **at)
{
    if (from.data == NULL || from.size == 0)
        return from.data == NULL ? from : kur_bytes_of("", 0);
    kur_bytes to = kur_bytes_of(*at, from.size);
    memcpy(*at, from.data, from.size);
    *at += from.size;
    return to;
}

static uint32_t hash_of(kur_bytes key)
{
    if (key.data == NULL)
        return 0;
    uint32_t hash = kur__ledger_hash(key.data, key.size);
    return hash != 0 ? hash : 1;
}

static kur_status take(const kur_outbox_row *row, void *user, kur_error *error)
{
    struct kur__batch *batch = user;
    kur_relay *relay = batch->relay;
    size_t most = (size_t)relay->options.batch_rows, most_bytes = (size_t)relay->options.batch_kbytes * 1024;
    size_t bytes = row->key.size + row->headers.size + row->value.size;
    if (batch->count == most || (batch->count > 0 && batch->bytes + bytes > most_bytes)) {
        batch->is_full = true;
        return FULL;
    }
    if (!make_room(batch))
        return no_memory(error);
    /* Mostly the topic of the row before. */
    const char *topic = batch->count > 0 ? batch->rows[batch->count - 1].row.topic : NULL;
    if (topic == NULL || strcmp(topic, row->topic) != 0)
        topic = kur_arena_copy(batch->arena, row->topic, strlen(row->topic));
    uint8_t *at = kur_arena_alloc(batch->arena, bytes);
    if (topic == NULL || at == NULL)
        return no_memory(error);
    struct kur__batch_row *to = &batch->rows[batch->count++];
    *to = (struct kur__batch_row){.row = *row, .relay = relay, .key_hash = hash_of(row->key)};
    to->row.topic = topic;
    to->row.key = move_in(row->key, &at);
    to->row.headers = move_in(row->headers, &at);
    to->row.value = move_in(row->value, &at);
    batch->bytes += bytes;
    return KUR_OK;
}

void kur__batch_aim(kur_relay *relay, struct kur__batch *batch, int half)
{
    int64_t now_us = kur_clock_monotonic_us();
    batch->shard_count = 0;
    batch->is_whole = half < 0;
    for (size_t i = 0; i < relay->shard_count; i++) {
        size_t at = (relay->next_shard + i) % relay->shard_count; /* none is always last */
        const struct kur__shard *shard = &relay->shards[at];
        if (half >= 0 && at % 2 != (size_t)half)
            continue;
        if (shard->not_before_us <= now_us)
            batch->shards[batch->shard_count++] = shard->number;
        else
            batch->is_whole = false;
    }
    relay->next_shard++;
    batch->ownership = relay->ownership;
}

static void adapt(kur_relay *relay, const struct kur__batch *batch, size_t shards)
{
    int32_t most = relay->options.batch_rows, least = most / (int32_t)shards;
    size_t of_one = 0;
    bool one_is_cut = false;
    for (size_t i = 0; i < batch->count; i++) {
        of_one = i > 0 && batch->rows[i].row.shard == batch->rows[i - 1].row.shard ? of_one + 1 : 1;
        one_is_cut |= of_one == (size_t)relay->shard_rows;
    }
    if (batch->is_full)
        relay->shard_rows /= 2;
    else if (one_is_cut && batch->count < (size_t)most / 2)
        relay->shard_rows *= 2;
    relay->shard_rows = relay->shard_rows < least ? least : relay->shard_rows > most ? most : relay->shard_rows;
    relay->shard_rows = relay->shard_rows > 0 ? relay->shard_rows : 1;
}

static bool has_key_of(const struct kur__batch_row *row, const struct kur__batch_row *other)
{
    return row->key_hash == other->key_hash && row->row.shard == other->row.shard &&
           kur_bytes_equal(row->row.key, other->row.key);
}

/* The rows of each key become a chain: from the last row to the first, and `firsts` is a table of those by their hash.
 */
static void link_keys(struct kur__batch *batch)
{
    size_t room = batch->count * 2;
    if (batch->count > 0)
        memset(batch->firsts, 0, room * sizeof *batch->firsts);
    for (size_t i = batch->count; i-- > 0;) {
        struct kur__batch_row *row = &batch->rows[i];
        size_t at = row->key_hash % room;
        if (row->key_hash == 0)
            continue;
        while (batch->firsts[at] != NULL && !has_key_of(batch->firsts[at], row))
            at = (at + 1) % room;
        row->behind = batch->firsts[at];
        batch->firsts[at] = row;
    }
}

kur_status kur__batch_read(kur_relay *relay, struct kur__batch *batch, kur_error *error)
{
    kur__batch_reset(batch);
    if (batch->shard_count == 0)
        return KUR_OK;
    if (relay->shard_rows == 0)
        adapt(relay, batch, batch->shard_count);
    kur_status status =
        relay->outbox->driver->outbox_read(relay->connection, batch->shards, batch->shard_count, relay->shard_rows,
                                           (size_t)relay->options.batch_kbytes * 1024, take, batch, error);
    if (status == FULL && batch->is_full)
        status = KUR_OK;
    if (status != KUR_OK) {
        kur__batch_reset(batch);
        return kur__relay_checked(relay, status, error);
    }
    adapt(relay, batch, batch->shard_count);
    link_keys(batch);
    return KUR_OK;
}

/* ---- What becomes of rows ---- */

kur_status kur__batch_refuse(struct kur__batch *batch, struct kur__batch_row *row, const char *why, kur_error *error)
{
    row->refusal = kur_arena_copy(batch->arena, why, strlen(why));
    if (row->refusal == NULL)
        return no_memory(error);
    row->state = KUR__ROW_REFUSED;
    if (row->relay->options.blocks_nothing)
        return KUR_OK;
    for (struct kur__batch_row *next = row->behind; next != NULL; next = next->behind)
        if (next->state == KUR__ROW_WAITS)
            next->state = KUR__ROW_BEHIND;
    return KUR_OK;
}

void kur__batch_hold(struct kur__batch_row *row)
{
    for (; row != NULL; row = row->behind)
        row->is_held = true;
}

void kur__batch_screen(struct kur__batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct kur__batch_row *row = &batch->rows[i];
        if (row->row.is_blocked && row->state == KUR__ROW_WAITS && !row->relay->options.blocks_nothing)
            row->state = KUR__ROW_BEHIND;
    }
}

/* ---- Settling ---- */

static kur_status delete_sent(kur_relay *relay, struct kur__batch *batch, kur_error *error)
{
    size_t count = 0, deleted = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->rows[i].state == KUR__ROW_SENT)
            batch->ids[count++] = (kur_outbox_id){
                .id = batch->rows[i].row.id, .shard = batch->rows[i].row.shard, .mark = batch->rows[i].row.mark};
    if (count == 0)
        return KUR_OK;
    kur_status status = relay->outbox->driver->outbox_delete(relay->connection, batch->ids, count, &deleted, error);
    if (status != KUR_OK)
        return status;
    KUR__CRASH_POINT("outbox-deleted");
    for (size_t i = 0; i < batch->count; i++)
        if (batch->rows[i].state == KUR__ROW_SENT)
            batch->rows[i].state = KUR__ROW_GONE;
    kur__relay_settled(relay, count - (deleted < count ? deleted : count), 0);
    return KUR_OK;
}

static void tell_parked(kur_relay *relay, kur_arena *arena, const kur_outbox_parked_row *row)
{
    kur_error ignored;
    kur_parked_view view = {.size = sizeof view};
    if (relay->options.on_parked != NULL && !row->is_behind && kur__parked_view(row, arena, &view, &ignored) == KUR_OK)
        relay->options.on_parked(&view, relay->options.user);
}

static void log_parked(kur_relay *relay, const kur_outbox_parked_row *rows, size_t count, size_t refused)
{
    const kur_outbox_parked_row *first = rows;
    while (first->is_behind && first + 1 < rows + count)
        first++;
    if (refused > 0)
        kur_client_log(relay->outbox->client, KUR_LOG_ERROR,
                       "outbox relay %s: %zu rows were refused and are parked%s, the first of them row %lld for topic "
                       "%s: %s",
                       relay->options.name, refused, relay->options.blocks_nothing ? "" : ", with those of their keys",
                       (long long)first->row.id, first->row.topic, first->error);
}

static kur_status park_refused(kur_relay *relay, struct kur__batch *batch, kur_error *error)
{
    size_t count = 0, refused = 0;
    for (size_t i = 0; i < batch->count; i++)
        count += batch->rows[i].state == KUR__ROW_REFUSED || batch->rows[i].state == KUR__ROW_BEHIND;
    /* Rows of shards that went meanwhile are for their next owner, who may have sent them, to judge. */
    if (count == 0 || batch->ownership != relay->ownership)
        return KUR_OK;
    kur_outbox_parked_row *rows = kur_arena_alloc(batch->arena, count * sizeof *rows);
    if (rows == NULL)
        return no_memory(error);
    int64_t now_us = kur_clock_now_us();
    count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kur__batch_row *row = &batch->rows[i];
        if (row->state != KUR__ROW_REFUSED && row->state != KUR__ROW_BEHIND)
            continue;
        bool is_behind = row->state == KUR__ROW_BEHIND;
        refused += !is_behind;
        rows[count++] = (kur_outbox_parked_row){.row = row->row,
                                                .is_behind = is_behind,
                                                .error = row->refusal,
                                                .attempts = !is_behind,
                                                .parked_us = now_us};
    }
    kur_status status =
        relay->outbox->driver->outbox_park(relay->connection, rows, count, !relay->options.blocks_nothing, error);
    if (status != KUR_OK)
        return status;
    KUR__CRASH_POINT("outbox-parked");
    for (size_t i = 0; i < batch->count; i++)
        if (batch->rows[i].state == KUR__ROW_REFUSED || batch->rows[i].state == KUR__ROW_BEHIND)
            batch->rows[i].state = KUR__ROW_GONE;
    kur__relay_settled(relay, 0, refused);
    log_parked(relay, rows, count, refused);
    for (size_t i = 0; i < count; i++)
        tell_parked(relay, batch->arena, &rows[i]);
    return KUR_OK;
}

kur_status kur__batch_settle(kur_relay *relay, struct kur__batch *batch, kur_error *error)
{
    if (!batch->is_unsettled)
        return KUR_OK;
    kur_status status = delete_sent(relay, batch, error);
    if (status == KUR_OK)
        status = park_refused(relay, batch, error);
    if (status != KUR_OK)
        return kur__relay_checked(relay, status, error);
    kur__batch_reset(batch);
    return KUR_OK;
}

void kur__batch_reset(struct kur__batch *batch)
{
    batch->count = batch->bytes = 0;
    batch->is_full = batch->is_unsettled = false;
    kur_arena_reset(batch->arena);
}

bool kur__batch_has_refused(const struct kur__batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->rows[i].state == KUR__ROW_REFUSED || batch->rows[i].state == KUR__ROW_BEHIND)
            return true;
    return false;
}

void kur__batch_done(struct kur__batch *batch)
{
    kur_free(batch->rows);
    kur_free(batch->ids);
    kur_free(batch->firsts);
    kur_arena_free(batch->arena);
}
