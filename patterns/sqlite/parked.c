/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Rows that were refused, and those behind them. A key is blocked from its first refused row on
 * (kurier_outbox_blocked.first_id): what is put back before that one is sent.
 */
#include "sqlite/sqlite.h"

#include <kurier/sys/clock.h>

#define COLUMNS "id, shard, mark, topic, partition, \"key\", headers, value, created"

/* ---- Putting aside ---- */

static kur_status block_key(sqlite3 *db, int64_t id, kur_error *error)
{
    return kur__sqlite_run(db,
                           "INSERT INTO kurier_outbox_blocked(shard, \"key\", first_id) SELECT shard, \"key\", id FROM "
                           "kurier_outbox_parked WHERE id = ?1 AND \"key\" IS NOT NULL ON CONFLICT (shard, \"key\") DO "
                           "UPDATE SET first_id = min(first_id, excluded.first_id)",
                           KUR__VALUES(kur__int(id)), error);
}

/*
 * A row behind another is put aside only while its key is blocked: since it was read, the one before it may have been
 * put back, and nobody would ever ask for it again.
 */
static kur_status park_row(sqlite3 *db, const kur_outbox_parked_row *row, bool blocks_keys, kur_error *error)
{
    static const char copy[] =
        "INSERT INTO kurier_outbox_parked(" COLUMNS ", is_behind, error, attempts, parked) SELECT " COLUMNS
        ", ?4, ?5, ?6, ?7 FROM kurier_outbox AS o WHERE id = ?1 AND shard = ?2 AND mark = ?3 AND (NOT ?4 OR EXISTS "
        "(SELECT 1 FROM kurier_outbox_blocked AS b WHERE b.shard = o.shard AND b.\"key\" = o.\"key\" AND b.first_id < "
        "o.id))";
    const kur_outbox_row *at = &row->row;
    kur_status status =
        kur__sqlite_run(db, copy,
                        KUR__VALUES(kur__int(at->id), kur__int(at->shard), kur__int(at->mark), kur__int(row->is_behind),
                                    kur__text(row->error), kur__int(row->attempts), kur__int(kur_clock_now_us())),
                        error);
    if (status != KUR_OK || sqlite3_changes(db) == 0)
        return status;
    status = kur__sqlite_run(db, "DELETE FROM kurier_outbox WHERE shard = ?1 AND id = ?2",
                             KUR__VALUES(kur__int(at->shard), kur__int(at->id)), error);
    if (status == KUR_OK && blocks_keys && !row->is_behind)
        status = block_key(db, at->id, error);
    return status;
}

kur_status kur__sqlite_park(void *connection, const kur_outbox_parked_row *rows, size_t count, bool blocks_keys,
                            kur_error *error)
{
    kur_status status = kur__sqlite_begin(connection, error);
    if (status != KUR_OK)
        return status;
    for (size_t i = 0; i < count && status == KUR_OK; i++)
        status = park_row(connection, &rows[i], blocks_keys, error);
    return kur__sqlite_end(connection, status, error);
}

/* ---- What is there ---- */

static void row_of(sqlite3_stmt *statement, kur_outbox_parked_row *row)
{
    const char *topic = (const char *)sqlite3_column_text(statement, 3);
    *row = (kur_outbox_parked_row){
        .row = {.size = sizeof row->row,
                .id = sqlite3_column_int64(statement, 0),
                .shard = sqlite3_column_int(statement, 1),
                .mark = (uint32_t)sqlite3_column_int64(statement, 2),
                .topic = topic != NULL ? topic : "",
                .partition = sqlite3_column_int(statement, 4),
                .key = kur__sqlite_bytes(statement, 5),
                .headers = kur__sqlite_bytes(statement, 6),
                .value = kur__sqlite_bytes(statement, 7),
                .created_us = sqlite3_column_int64(statement, 8)},
        .is_behind = sqlite3_column_int(statement, 9) != 0,
        .error = (const char *)sqlite3_column_text(statement, 10),
        .attempts = sqlite3_column_int(statement, 11),
        .parked_us = sqlite3_column_int64(statement, 12),
    };
}

kur_status kur__sqlite_parked(void *connection, const kur_outbox_id *after, int32_t rows, kur_outbox_take_parked *take,
                              void *user, kur_error *error)
{
    static const char sql[] = "SELECT " COLUMNS ", is_behind, error, attempts, parked FROM kurier_outbox_parked "
                              "WHERE (shard, id) > (?1, ?2) ORDER BY shard, id LIMIT ?3";
    sqlite3_stmt *statement = NULL;
    kur_status status = kur__sqlite_statement(connection, sql, &statement, error);
    if (status == KUR_OK)
        status = kur__sqlite_bind(statement,
                                  KUR__VALUES(kur__int(after != NULL ? after->shard : -1),
                                              kur__int(after != NULL ? after->id : 0), kur__int(rows)),
                                  error);
    bool is_row = status == KUR_OK;
    while (is_row && status == KUR_OK) {
        status = kur__sqlite_step(statement, &is_row, error);
        if (!is_row)
            break;
        kur_outbox_parked_row row;
        row_of(statement, &row);
        status = take(&row, user, error);
    }
    if (is_row)
        kur__sqlite_reset(statement);
    return status;
}

/* ---- Back, or gone ---- */

/* A parked row that somebody wants to go on. */
struct chosen {
    int64_t id, shard;
    bool is_behind;
    kur_buffer key; /* without a key: NULL */
};

static kur_status find(sqlite3 *db, int64_t id, struct chosen *row, kur_error *error)
{
    sqlite3_stmt *statement = NULL;
    bool is_row = false;
    kur_status status = kur__sqlite_statement(
        db, "SELECT shard, is_behind, \"key\" FROM kurier_outbox_parked WHERE id = ?1", &statement, error);
    if (status == KUR_OK)
        status = kur__sqlite_bind(statement, KUR__VALUES(kur__int(id)), error);
    if (status == KUR_OK)
        status = kur__sqlite_step(statement, &is_row, error);
    if (status != KUR_OK)
        return status;
    if (!is_row)
        return kur_error_set(error, KUR_ERROR_STALE, "row %lld is not parked", (long long)id);
    row->id = id;
    row->shard = sqlite3_column_int64(statement, 0);
    row->is_behind = sqlite3_column_int(statement, 1) != 0;
    kur_bytes key = kur__sqlite_bytes(statement, 2);
    if (key.data != NULL)
        status = kur_buffer_append(&row->key, key.data, key.size);
    if (key.data != NULL && status == KUR_OK)
        status = kur_buffer_reserve(&row->key, 1); /* an empty key is one */
    kur__sqlite_reset(statement);
    return status == KUR_OK ? KUR_OK : kur_error_set(error, status, "out of memory");
}

/* The first refused row of a key that is still parked; 0: none. */
static kur_status first_refused(sqlite3 *db, const struct chosen *row, int64_t *first, kur_error *error)
{
    *first = 0;
    return kur__sqlite_number(
        db, "SELECT min(id) FROM kurier_outbox_parked WHERE shard = ?1 AND \"key\" = ?2 AND is_behind = 0",
        KUR__VALUES(kur__int(row->shard), kur__blob(kur_bytes_of(row->key.data, row->key.size))), first, NULL, error);
}

static kur_status check_behind(sqlite3 *db, const struct chosen *row, kur_error *error)
{
    int64_t first = 0;
    if (!row->is_behind)
        return KUR_OK;
    kur_status status = first_refused(db, row, &first, error);
    if (status == KUR_OK && first > 0)
        status = kur_error_set(error, KUR_ERROR_INVALID_STATE,
                               "row %lld was not refused itself: it waits behind row %lld of the same key",
                               (long long)row->id, (long long)first);
    return status;
}

static kur_status put_back(sqlite3 *db, int64_t id, kur_error *error)
{
    return kur__sqlite_run(
        db, "INSERT INTO kurier_outbox(" COLUMNS ") SELECT " COLUMNS " FROM kurier_outbox_parked WHERE id = ?1",
        KUR__VALUES(kur__int(id)), error);
}

/* A refused row of a key is gone: what was behind it goes back, unless another one is before it. */
static kur_status release_key(sqlite3 *db, const struct chosen *row, kur_error *error)
{
    int64_t first = 0;
    const struct kur__value shard = kur__int(row->shard), key = kur__blob(kur_bytes_of(row->key.data, row->key.size));
    if (row->key.data == NULL)
        return KUR_OK;
    kur_status status = first_refused(db, row, &first, error);
    if (status == KUR_OK && first > 0)
        return kur__sqlite_run(db, "UPDATE kurier_outbox_blocked SET first_id = ?3 WHERE shard = ?1 AND \"key\" = ?2",
                               KUR__VALUES(shard, key, kur__int(first)), error);
    if (status == KUR_OK)
        status = kur__sqlite_run(db,
                                 "INSERT INTO kurier_outbox(" COLUMNS ") SELECT " COLUMNS
                                 " FROM kurier_outbox_parked WHERE shard = ?1 AND \"key\" = ?2 AND is_behind = 1",
                                 KUR__VALUES(shard, key), error);
    if (status == KUR_OK)
        status =
            kur__sqlite_run(db, "DELETE FROM kurier_outbox_parked WHERE shard = ?1 AND \"key\" = ?2 AND is_behind = 1",
                            KUR__VALUES(shard, key), error);
    if (status == KUR_OK)
        status = kur__sqlite_run(db, "DELETE FROM kurier_outbox_blocked WHERE shard = ?1 AND \"key\" = ?2",
                                 KUR__VALUES(shard, key), error);
    return status;
}

static kur_status end_parking(sqlite3 *db, int64_t id, bool goes_back, kur_error *error)
{
    struct chosen row = {0};
    kur_status status = kur__sqlite_begin(db, error);
    if (status != KUR_OK)
        return status;
    status = find(db, id, &row, error);
    if (status == KUR_OK)
        status = check_behind(db, &row, error);
    if (status == KUR_OK && goes_back)
        status = put_back(db, id, error);
    if (status == KUR_OK)
        status =
            kur__sqlite_run(db, "DELETE FROM kurier_outbox_parked WHERE id = ?1", KUR__VALUES(kur__int(id)), error);
    if (status == KUR_OK)
        status = release_key(db, &row, error);
    kur_buffer_done(&row.key);
    return kur__sqlite_end(db, status, error);
}

kur_status kur__sqlite_unpark(void *connection, int64_t id, kur_error *error)
{
    return end_parking(connection, id, true, error);
}

kur_status kur__sqlite_drop(void *connection, int64_t id, kur_error *error)
{
    return end_parking(connection, id, false, error);
}
