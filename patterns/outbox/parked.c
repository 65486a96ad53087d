/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Rows that were put aside: listed, put back, deleted. Each call has a connection of its own.
 */
#include <kurier/relay.h>
#include <kurier/sys/error.h>
#include <kurier/sys/log.h>
#include <kurier/time.h>
#include <stdio.h>
#include <string.h>

#include "outbox/relay.h"

enum {
    REASON_MAX = 500
};

static kur_status open_connection(kur_outbox *outbox, void **connection, kur_error *error)
{
    return outbox->driver->connect(kur_database_state(outbox->database), connection, error);
}

/* ---- Listed ---- */

struct item {
    kur_parked_view view;
    struct item *next;
};

struct listing {
    kur_arena *arena;
    struct item *first, **end;
    size_t count;
};

static bool keep_text(const char **text, const char *from, kur_arena *arena)
{
    *text = from != NULL ? kur_arena_copy(arena, from, strlen(from)) : NULL;
    return *text != NULL || from == NULL;
}

static bool keep_bytes(kur_bytes *bytes, kur_bytes from, kur_arena *arena)
{
    *bytes = kur_bytes_of(from.data != NULL ? kur_arena_copy(arena, from.data, from.size) : NULL, from.size);
    return bytes->data != NULL || from.data == NULL;
}

/* A row whose headers cannot be read may be parked for just that, and is shown without. */
kur_status kur__parked_view(const kur_outbox_parked_row *row, kur_arena *arena, kur_parked_view *view, kur_error *error)
{
    const kur_header *headers = NULL;
    size_t count = 0;
    kur_error why = {0};
    kur_status status = kur__headers_read(row->row.headers, arena, &headers, &count, &why);
    if (status == KUR_ERROR_NO_MEMORY)
        return kur_error_set(error, status, "%s", why.message);
    *view = (kur_parked_view){.size = sizeof *view,
                              .id = row->row.id,
                              .shard = row->row.shard,
                              .is_behind = row->is_behind,
                              .attempts = row->attempts,
                              .error = row->error,
                              .topic = row->row.topic,
                              .partition = row->row.partition,
                              .key = row->row.key,
                              .value = row->row.value,
                              .headers = status == KUR_OK ? headers : NULL,
                              .header_count = status == KUR_OK ? count : 0,
                              .created_us = row->row.created_us,
                              .parked_us = row->parked_us};
    return KUR_OK;
}

static kur_status take(const kur_outbox_parked_row *parked, void *user, kur_error *error)
{
    struct listing *listing = user;
    kur_arena *arena = listing->arena;
    kur_outbox_parked_row kept = *parked;
    struct item *item = kur_arena_alloc(arena, sizeof *item);
    if (item == NULL || !keep_text(&kept.error, parked->error, arena) ||
        !keep_text(&kept.row.topic, parked->row.topic, arena) || !keep_bytes(&kept.row.key, parked->row.key, arena) ||
        !keep_bytes(&kept.row.value, parked->row.value, arena) ||
        !keep_bytes(&kept.row.headers, parked->row.headers, arena))
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    kur_status status = kur__parked_view(&kept, arena, &item->view, error);
    if (status != KUR_OK)
        return status;
    item->next = NULL;
    *listing->end = item;
    listing->end = &item->next;
    listing->count++;
    return KUR_OK;
}

static kur_status make_list(const struct listing *listing, kur_parked_list *parked, kur_error *error)
{
    const kur_parked_view **items = kur_arena_alloc(listing->arena, listing->count * sizeof *items);
    size_t at = 0;
    if (items == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    for (const struct item *item = listing->first; item != NULL; item = item->next)
        items[at++] = &item->view;
    *parked = (kur_parked_list){listing->count, items};
    return KUR_OK;
}

kur_status kur_outbox_parked(kur_outbox *outbox, int after_shard, int64_t after_id, int most, kur_arena *arena,
                             kur_parked_list *parked, kur_error *error)
{
    if (outbox == NULL || arena == NULL || parked == NULL)
        return kur_error_null(error, outbox == NULL ? "outbox" : arena == NULL ? "arena" : "parked");
    if (after_shard < 0 || after_id < 0 || most < 1)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "after_shard or after_id is negative, or most is not 1 or more");
    const kur_outbox_id after = {.id = after_id, .shard = after_shard};
    struct listing listing = {.arena = arena};
    listing.end = &listing.first;
    void *connection = NULL;
    kur_status status = open_connection(outbox, &connection, error);
    if (status != KUR_OK)
        return status;
    status = outbox->driver->outbox_parked(connection, after_id > 0 || after_shard > 0 ? &after : NULL, most, take,
                                           &listing, error);
    outbox->driver->disconnect(connection);
    return status == KUR_OK ? make_list(&listing, parked, error) : status;
}

/* ---- One of them ---- */

struct looking {
    int64_t id;
    bool is_found;
    kur_outbox_take_parked *take;
    void *user;
};

static kur_status look_at(const kur_outbox_parked_row *parked, void *user, kur_error *error)
{
    struct looking *looking = user;
    if (parked->row.id != looking->id)
        return KUR_OK;
    looking->is_found = true;
    return looking->take(parked, looking->user, error);
}

/* Drivers find rows by their places: it is looked for where it would be in each shard. */
static kur_status look_for(const kur_outbox *outbox, void *connection, int64_t id, kur_outbox_take_parked *take_it,
                           void *user, kur_error *error)
{
    struct looking looking = {.id = id, .take = take_it, .user = user};
    kur_outbox_id before = {.id = id > 0 ? id - 1 : 0};
    kur_status status = KUR_OK;
    for (; before.shard < outbox->shards && status == KUR_OK && !looking.is_found; before.shard++)
        status = outbox->driver->outbox_parked(connection, &before, 1, look_at, &looking, error);
    if (status == KUR_OK && !looking.is_found)
        status = kur_error_set(error, KUR_ERROR_STALE, "no row %lld is parked", (long long)id);
    return status;
}

kur_status kur_outbox_find_parked(kur_outbox *outbox, int64_t id, kur_arena *arena, const kur_parked_view **row,
                                  kur_error *error)
{
    if (outbox == NULL || arena == NULL || row == NULL)
        return kur_error_null(error, outbox == NULL ? "outbox" : arena == NULL ? "arena" : "row");
    struct listing listing = {.arena = arena};
    listing.end = &listing.first;
    void *connection = NULL;
    kur_status status = open_connection(outbox, &connection, error);
    if (status != KUR_OK)
        return status;
    status = look_for(outbox, connection, id, take, &listing, error);
    outbox->driver->disconnect(connection);
    if (status == KUR_OK)
        *row = &listing.first->view;
    return status;
}

/* ---- Put back, deleted ---- */

/* What the log says of a row. */
struct told {
    char topic[256];
    char created[KUR_TIME_TEXT_SIZE];
};

static kur_status note_for_log(const kur_outbox_parked_row *parked, void *user, kur_error *error)
{
    struct told *told = user;
    (void)error;
    snprintf(told->topic, sizeof told->topic, "%s", parked->row.topic);
    kur_time_format(parked->row.created_us, told->created);
    return KUR_OK;
}

typedef kur_status end_parking(void *connection, int64_t id, kur_error *error);

static kur_status end_one(kur_outbox *outbox, int64_t id, end_parking *end, struct told *told, kur_error *error)
{
    void *connection = NULL;
    kur_status status = open_connection(outbox, &connection, error);
    if (status != KUR_OK)
        return status;
    status = look_for(outbox, connection, id, note_for_log, told, error);
    if (status == KUR_OK)
        status = end(connection, id, error);
    outbox->driver->disconnect(connection);
    if (status == KUR_OK)
        kur_outbox_committed(outbox); /* there is something to be sent, perhaps */
    return status;
}

kur_status kur_outbox_unpark(kur_outbox *outbox, int64_t id, kur_error *error)
{
    struct told told = {0};
    if (outbox == NULL)
        return kur_error_null(error, "outbox");
    kur_status status = end_one(outbox, id, outbox->driver->outbox_unpark, &told, error);
    if (status == KUR_OK)
        kur_client_log(outbox->client, KUR_LOG_INFO, "outbox: row %lld, to %s, of %s, is to be sent again",
                       (long long)id, told.topic, told.created);
    return status;
}

kur_status kur_outbox_drop(kur_outbox *outbox, int64_t id, const char *reason, kur_error *error)
{
    struct told told = {0};
    if (outbox == NULL || reason == NULL)
        return kur_error_null(error, outbox == NULL ? "outbox" : "reason");
    size_t size = strlen(reason);
    if (size < 1 || size > REASON_MAX || !kur_bytes_is_utf8(kur_bytes_text(reason)))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "a reason is 1 to %d bytes of UTF-8", REASON_MAX);
    kur_status status = end_one(outbox, id, outbox->driver->outbox_drop, &told, error);
    if (status == KUR_OK)
        kur_client_log(outbox->client, KUR_LOG_WARNING, "outbox: row %lld, to %s, of %s, was dropped: %s",
                       (long long)id, told.topic, told.created, reason);
    return status;
}
