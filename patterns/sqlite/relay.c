/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The relay's side of the outbox: who it is, what it reads and deletes.
 */
#include "sqlite/sqlite.h"

#include <kurier/sys/clock.h>
#include <kurier/sys/options.h>

/* What a row costs beside its bytes, towards the bound of a read. */
#define ROW_BYTES 64
#define DEPTH_EXACT 10000

/* ---- Whose it is ---- */

/* The file that this connection has opened may have been replaced by a copy from a backup. */
static kur_status check_file(sqlite3 *db, kur_error *error)
{
    int has_moved = 0;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved) == SQLITE_OK && has_moved)
        return kur_error_set(error, KUR_ERROR_UNREACHABLE, "the file %s was moved or deleted",
                             sqlite3_db_filename(db, "main"));
    return KUR_OK;
}

static kur_status claim_in(sqlite3 *db, const kur_outbox_claim *claim, bool *owns, kur_error *error)
{
    int64_t now = kur_clock_now_us(), others = 0;
    const struct kur__value name = kur__text(claim->relay);
    kur_status status =
        kur__sqlite_run(db, "DELETE FROM kurier_outbox_relay WHERE lease_until <= ?1 OR (?2 AND name = ?3)",
                        KUR__VALUES(kur__int(now), kur__int(claim->ends), name), error);
    if (status != KUR_OK || claim->ends)
        return status;
    status = kur__sqlite_number(db, "SELECT count(*) FROM kurier_outbox_relay WHERE guarantee <> ?1 AND name <> ?2",
                                KUR__VALUES(kur__int(claim->guarantee), name), &others, NULL, error);
    if (status == KUR_OK && others > 0)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "a relay of another guarantee is at work here: those of an outbox have the same");
    if (status == KUR_OK)
        status = kur__sqlite_number(db, "SELECT count(*) FROM kurier_outbox_relay WHERE is_owner AND name <> ?1",
                                    KUR__VALUES(name), &others, NULL, error);
    *owns = claim->takes_shards && others == 0;
    if (status == KUR_OK)
        status = kur__sqlite_run(
            db,
            "INSERT INTO kurier_outbox_relay(name, guarantee, lease_until, is_owner) VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT (name) DO UPDATE SET guarantee = ?2, lease_until = ?3, is_owner = ?4",
            KUR__VALUES(name, kur__int(claim->guarantee), kur__int(now + claim->lease_ms * INT64_C(1000)),
                        kur__int(*owns)),
            error);
    return status;
}

kur_status kur__sqlite_claim(void *connection, const kur_outbox_claim *claim, int32_t *shards, size_t *count,
                             kur_error *error)
{
    int32_t schema = 0, there = 0;
    kur_uuid id;
    bool owns = false;
    kur_status status = check_file(connection, error);
    if (status == KUR_OK)
        status = kur__sqlite_begin(connection, error);
    if (status != KUR_OK)
        return status;
    status = kur__sqlite_schema_read(connection, &schema, &there, &id, error);
    if (status == KUR_OK)
        status = claim_in(connection, claim, &owns, error);
    status = kur__sqlite_end(connection, status, error);
    if (status != KUR_OK)
        return status;
    *count = owns ? (size_t)there : 0;
    for (size_t i = 0; i < *count; i++)
        shards[i] = (int32_t)i;
    return KUR_OK;
}

/* ---- Reading ---- */

static void row_of(sqlite3_stmt *statement, int32_t shard, kur_outbox_row *row)
{
    const char *topic = (const char *)sqlite3_column_text(statement, 2);
    *row = (kur_outbox_row){
        .size = sizeof *row,
        .id = sqlite3_column_int64(statement, 0),
        .shard = shard,
        .mark = (uint32_t)sqlite3_column_int64(statement, 1),
        .topic = topic != NULL ? topic : "",
        .partition = sqlite3_column_int(statement, 3),
        .key = kur__sqlite_bytes(statement, 4),
        .headers = kur__sqlite_bytes(statement, 5),
        .value = kur__sqlite_bytes(statement, 6),
        .created_us = sqlite3_column_int64(statement, 7),
        .is_blocked = sqlite3_column_int(statement, 8) != 0,
    };
}

/* A shard's rows, until `bytes` are reached; how many those were in `read`. */
static kur_status read_shard(sqlite3 *db, int32_t shard, int32_t rows, size_t bytes, size_t *read,
                             kur_outbox_take *take, void *user, kur_error *error)
{
    static const char sql[] =
        "SELECT id, mark, topic, partition, \"key\", headers, value, created, EXISTS (SELECT 1 FROM "
        "kurier_outbox_blocked AS b WHERE b.shard = ?1 AND b.\"key\" = o.\"key\" AND b.first_id < o.id) "
        "FROM kurier_outbox AS o WHERE shard = ?1 ORDER BY id LIMIT ?2";
    sqlite3_stmt *statement = NULL;
    kur_status status = kur__sqlite_statement(db, sql, &statement, error);
    if (status == KUR_OK)
        status = kur__sqlite_bind(statement, KUR__VALUES(kur__int(shard), kur__int(rows)), error);
    *read = 0;
    bool is_row = status == KUR_OK;
    while (is_row && status == KUR_OK && *read < bytes) {
        status = kur__sqlite_step(statement, &is_row, error);
        if (!is_row)
            break;
        kur_outbox_row row;
        row_of(statement, shard, &row);
        *read += ROW_BYTES + strlen(row.topic) + row.key.size + row.headers.size + row.value.size;
        status = take(&row, user, error);
    }
    if (is_row)
        kur__sqlite_reset(statement);
    return status;
}

/* Which of the shards have rows: they share the bytes. */
static kur_status look_at_shards(sqlite3 *db, const int32_t *shards, size_t count, bool *has_rows, size_t *with_rows,
                                 kur_error *error)
{
    kur_status status = KUR_OK;
    int64_t one = 0;
    *with_rows = 0;
    for (size_t i = 0; i < count && status == KUR_OK; i++) {
        status = kur__sqlite_number(db, "SELECT 1 FROM kurier_outbox WHERE shard = ?1 LIMIT 1",
                                    KUR__VALUES(kur__int(shards[i])), &one, &has_rows[i], error);
        *with_rows += status == KUR_OK && has_rows[i];
    }
    return status;
}

/*
 * Each shard that has rows gets its part of the bytes, and what one leaves the next ones get: a shard with a backlog
 * does not keep the others from being read.
 */
kur_status kur__sqlite_read(void *connection, const int32_t *shards, size_t count, int32_t rows, size_t bytes,
                            kur_outbox_take *take, void *user, kur_error *error)
{
    bool has_rows[KUR_OUTBOX_SHARDS_MAX];
    size_t with_rows = 0;
    if (count > KUR_OUTBOX_SHARDS_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%zu shards: %d at most", count, KUR_OUTBOX_SHARDS_MAX);
    kur_status status = kur__sqlite_begin_to_read(connection, error);
    if (status == KUR_OK)
        status = look_at_shards(connection, shards, count, has_rows, &with_rows, error);
    for (size_t i = 0; i < count && status == KUR_OK; i++) {
        size_t read = 0;
        if (!has_rows[i])
            continue;
        status = read_shard(connection, shards[i], rows, bytes / with_rows + 1, &read, take, user, error);
        bytes -= read < bytes ? read : bytes;
        with_rows--;
    }
    kur__sqlite_rollback(connection); /* nothing was written */
    return status;
}

/* ---- Deleting ---- */

static kur_status delete_in(sqlite3 *db, const kur_outbox_id *ids, size_t count, size_t *deleted, kur_error *error)
{
    sqlite3_stmt *statement = NULL;
    kur_status status = kur__sqlite_statement(
        db, "DELETE FROM kurier_outbox WHERE shard = ?2 AND id = ?1 AND mark = ?3", &statement, error);
    bool is_row;
    *deleted = 0;
    for (size_t i = 0; i < count && status == KUR_OK; i++) {
        status = kur__sqlite_bind(
            statement, KUR__VALUES(kur__int(ids[i].id), kur__int(ids[i].shard), kur__int(ids[i].mark)), error);
        if (status == KUR_OK)
            status = kur__sqlite_step(statement, &is_row, error);
        if (status == KUR_OK)
            *deleted += (size_t)sqlite3_changes(db);
    }
    return status;
}

kur_status kur__sqlite_delete(void *connection, const kur_outbox_id *ids, size_t count, size_t *deleted,
                              kur_error *error)
{
    size_t done = 0;
    kur_status status = kur__sqlite_begin(connection, error);
    if (status != KUR_OK)
        return status;
    status = kur__sqlite_end(connection, delete_in(connection, ids, count, &done, error), error);
    if (status == KUR_OK && deleted != NULL)
        *deleted = done;
    return status;
}

/* ---- How it is ---- */

/* The floor is the smallest id that is there; the table leads to it. */
kur_status kur__sqlite_raise(void *connection, const int32_t *shards, size_t count, kur_error *error)
{
    (void)connection, (void)shards, (void)count, (void)error;
    return KUR_OK;
}

#define SHARDS                                                                                                         \
    "WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < (SELECT shards FROM kurier_meta)) "

static kur_status figures_in(sqlite3 *db, kur_outbox_figures *figures, kur_error *error)
{
    const struct {
        const char *sql;
        int64_t *number;
    } asked[] = {
        {"SELECT count(*) FROM (SELECT 1 FROM kurier_outbox LIMIT 10001)", &figures->depth},
        {SHARDS "SELECT min((SELECT created FROM kurier_outbox WHERE shard = n ORDER BY id LIMIT 1)) FROM s",
         &figures->oldest_us},
        {"SELECT count(*) FROM kurier_outbox_parked WHERE NOT is_behind", &figures->parked},
        {"SELECT count(*) FROM kurier_outbox_parked WHERE is_behind", &figures->behind},
        {"SELECT count(*) FROM kurier_outbox_blocked", &figures->blocked},
    };
    kur_status status = KUR_OK;
    for (size_t i = 0; i < sizeof asked / sizeof asked[0] && status == KUR_OK; i++)
        status = kur__sqlite_number(db, asked[i].sql, KUR__NO_VALUES, asked[i].number, NULL, error);
    /* A shard has no gaps but those of rows that were sent out of turn or parked. */
    if (status == KUR_OK && figures->depth > DEPTH_EXACT)
        status = kur__sqlite_number(
            db,
            SHARDS "SELECT sum(((SELECT id FROM kurier_outbox WHERE shard = n ORDER BY id DESC LIMIT 1) - (SELECT id "
                   "FROM kurier_outbox WHERE shard = n ORDER BY id LIMIT 1)) / 256 + 1) FROM s",
            KUR__NO_VALUES, &figures->depth, NULL, error);
    return status;
}

kur_status kur__sqlite_figures(void *connection, kur_outbox_figures *figures, kur_error *error)
{
    kur_outbox_figures made = {.size = sizeof made, .floor_us = kur_clock_now_us()};
    kur_status status = kur__sqlite_begin_to_read(connection, error);
    if (status != KUR_OK)
        return status;
    status = figures_in(connection, &made, error);
    kur__sqlite_rollback(connection);
    if (status == KUR_OK)
        kur_options_give(figures, &made, sizeof made);
    return status;
}
