/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: whose a shard is, and from where on it is read.
 *
 * Leases are those of relays, by the database's clock; a shard has its owner's name, so that a heartbeat writes one
 * row. Claims come one at a time, by a lock that ends with the transaction.
 *
 * A floor lets a scan pass by what is deleted. A row at or below it is never seen again, so that it may only pass an id
 * when whoever was given it has ended. In these steps, each a transaction of its own:
 *   1. M = the highest id that was given out.
 *   2. X = this transaction's own number, noted with M. A writer has its number before its id (schema.c), so that
 *      whoever was given an id up to M has a number below X.
 *   3. Once no transaction below X is open, all ids up to M are those of rows that are seen, or of none: the floor goes
 *      to M, or below the first row that is there.
 * Step 3 counts only when the note is still the one that was read: who puts a row back below M takes the note away.
 * A note of another life (X is to come yet: what was restored came from a database with higher numbers) is made anew,
 * and a floor above M of another one (the sequence begins anew: it was reset, or a copy was made without it) is taken
 * back: rows below it would be neither sent nor counted.
 */
#include "postgres/postgres.h"

/* ---- Claims ---- */

struct claiming {
    PGconn *connection;
    const kur_outbox_claim *claim;
    int32_t relays, rank;                /* those that take shards, and which of them this one is, by name */
    int32_t own[KUR_OUTBOX_SHARDS_MAX];  /* had before */
    int32_t free[KUR_OUTBOX_SHARDS_MAX]; /* those of nobody, or of one whose lease is over */
    int32_t shards, own_count, free_count;
};

/* This relay's row, and those away whose lease has long been over. */
static kur_status write_relay(const struct claiming *claiming, kur_error *error)
{
    struct kur__pg_values values = {0};
    kur__pg_add_text(&values, claiming->claim->relay);
    if (claiming->claim->ends)
        return kur__pg_run(claiming->connection, "leaving the relays", "DELETE FROM @.outbox_relay WHERE name = $1",
                           &values, NULL, error);
    kur__pg_add_int4(&values, claiming->claim->guarantee);
    kur__pg_add_bool(&values, claiming->claim->takes_shards);
    kur__pg_add_int8(&values, claiming->claim->lease_ms);
    return kur__pg_run(claiming->connection, "joining the relays",
                       "WITH gone AS (DELETE FROM @.outbox_relay WHERE name <> $1 AND lease_until <= clock_timestamp())"
                       " INSERT INTO @.outbox_relay (name, guarantee, takes_shards, lease_until)"
                       " VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 ms')"
                       " ON CONFLICT (name) DO UPDATE SET guarantee = excluded.guarantee,"
                       " takes_shards = excluded.takes_shards, lease_until = excluded.lease_until",
                       &values, NULL, error);
}

static kur_status read_relays(struct claiming *claiming, kur_error *error)
{
    PGresult *result = NULL;
    kur_status status =
        kur__pg_run(claiming->connection, "reading the relays",
                    "SELECT name, guarantee, takes_shards FROM @.outbox_relay ORDER BY name", NULL, &result, error);
    int rows = status == KUR_OK ? PQntuples(result) : 0;
    for (int i = 0; i < rows && status == KUR_OK; i++) {
        const char *name = kur__pg_text(result, i, 0);
        if (kur__pg_int(result, i, 1) != claiming->claim->guarantee)
            status = kur_error_set(error, KUR_ERROR_INVALID_STATE,
                                   "postgres: relay %.200s works with the other guarantee, and both at once do not go",
                                   name);
        if (strcmp(name, claiming->claim->relay) == 0)
            claiming->rank = claiming->relays;
        claiming->relays += kur__pg_bool(result, i, 2);
    }
    PQclear(result);
    return status;
}

static kur_status read_shards(struct claiming *claiming, kur_error *error)
{
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    kur__pg_add_text(&values, claiming->claim->relay);
    kur_status status =
        kur__pg_run(claiming->connection, "reading the shards",
                    "SELECT s.shard, s.owner = $1, r.name IS NULL FROM @.outbox_shard s"
                    " LEFT JOIN @.outbox_relay r ON r.name = s.owner AND r.takes_shards ORDER BY s.shard",
                    &values, &result, error);
    int rows = status == KUR_OK ? PQntuples(result) : 0;
    claiming->shards = rows < KUR_OUTBOX_SHARDS_MAX ? rows : KUR_OUTBOX_SHARDS_MAX;
    for (int i = 0; i < claiming->shards; i++) {
        int32_t shard = (int32_t)kur__pg_int(result, i, 0);
        if (kur__pg_bool(result, i, 1))
            claiming->own[claiming->own_count++] = shard;
        else if (kur__pg_bool(result, i, 2))
            claiming->free[claiming->free_count++] = shard;
    }
    PQclear(result);
    return status;
}

static kur_status set_owner(const struct claiming *claiming, const int32_t *shards, int32_t count, bool is_taken,
                            kur_error *error)
{
    char storage[4096];
    kur_buffer array = kur_buffer_over(storage, sizeof storage);
    struct kur__pg_values values = {0};
    if (count <= 0)
        return KUR_OK;
    kur_status status = kur__pg_shards(&array, shards, (size_t)count);
    if (status != KUR_OK)
        return kur_error_set(error, status, "out of memory");
    kur__pg_add_bytes(&values, KUR__PG_INT2S, kur_bytes_of(array.data, array.size));
    kur__pg_add_bytes(&values, KUR__PG_TEXT, kur_bytes_text(is_taken ? claiming->claim->relay : NULL));
    status = kur__pg_run(claiming->connection, "taking shards",
                         "UPDATE @.outbox_shard SET owner = $2 WHERE shard = ANY ($1)", &values, NULL, error);
    kur_buffer_done(&array);
    return status;
}

/* The share of a relay: all shards, divided; the first by name have one more where they do not come out even. */
static int32_t share_of(const struct claiming *claiming)
{
    if (claiming->claim->ends || !claiming->claim->takes_shards)
        return 0;
    return claiming->shards / claiming->relays + (claiming->rank < claiming->shards % claiming->relays);
}

static kur_status claim_shards(struct claiming *claiming, int32_t *shards, size_t *count, kur_error *error)
{
    kur_status status =
        kur__pg_run(claiming->connection, "waiting for other relays",
                    "SELECT pg_advisory_xact_lock(hashtextextended('kurier relays @', 0))", NULL, NULL, error);
    if (status == KUR_OK)
        status = write_relay(claiming, error);
    if (status == KUR_OK && !claiming->claim->ends)
        status = read_relays(claiming, error);
    if (status == KUR_OK)
        status = read_shards(claiming, error);
    if (status != KUR_OK)
        return status;
    int32_t share = share_of(claiming), own = claiming->own_count < share ? claiming->own_count : share;
    int32_t taken = claiming->free_count < share - own ? claiming->free_count : share - own;
    status = set_owner(claiming, claiming->own + own, claiming->own_count - own, false, error);
    if (status == KUR_OK)
        status = set_owner(claiming, claiming->free, taken, true, error);
    memcpy(shards, claiming->own, (size_t)own * sizeof *shards);
    memcpy(shards + own, claiming->free, (size_t)taken * sizeof *shards);
    *count = (size_t)(own + taken);
    return status;
}

kur_status kur__pg_claim(void *connection, const kur_outbox_claim *claim, int32_t *shards, size_t *count,
                         kur_error *error)
{
    struct claiming claiming = {.connection = connection, .claim = claim};
    int32_t claimed[KUR_OUTBOX_SHARDS_MAX];
    size_t claimed_count = 0;
    kur_status status = kur__pg_begin_own(connection, error);
    if (status == KUR_OK)
        status = kur__pg_end(connection, claim_shards(&claiming, claimed, &claimed_count, error), error);
    if (status != KUR_OK)
        return status;
    memcpy(shards, claimed, claimed_count * sizeof *shards);
    *count = claimed_count;
    return KUR_OK;
}

/* ---- Floors ---- */

static kur_status move_floors(PGconn *connection, const struct kur__pg_values *shards, kur_error *error)
{
    return kur__pg_run(
        connection, "raising floors",
        "UPDATE @.outbox_shard t SET floor = n.floor, next_m = CASE WHEN n.floor < n.next_m THEN n.next_m END,"
        " next_x = CASE WHEN n.floor < n.next_m THEN n.next_x END"
        " FROM (SELECT s.shard, s.floor AS old, s.next_m, s.next_x, least(s.next_m,"
        " (SELECT min(o.id) - 1 FROM @.outbox o WHERE o.shard = s.shard AND o.id > s.floor)) AS floor"
        " FROM @.outbox_shard s WHERE s.shard = ANY ($1) AND s.next_x <= pg_snapshot_xmin(pg_current_snapshot())) n"
        " WHERE t.shard = n.shard AND t.floor = n.old AND t.next_m = n.next_m AND t.next_x = n.next_x"
        " AND (n.floor > n.old OR n.floor >= n.next_m)",
        shards, NULL, error);
}

static kur_status read_highest(PGconn *connection, int64_t *highest, kur_error *error)
{
    PGresult *result = NULL;
    kur_status status = kur__pg_run(connection, "reading the highest id",
                                    "SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END"
                                    " FROM @.outbox_id",
                                    NULL, &result, error);
    if (status == KUR_OK)
        *highest = kur__pg_int(result, 0, 0);
    PQclear(result);
    return status;
}

/* One that another owner has raised meanwhile may go back, too: it is a hint. */
static kur_status lower_floors(PGconn *connection, const struct kur__pg_values *shards, kur_error *error)
{
    return kur__pg_run(connection, "lowering floors",
                       "UPDATE @.outbox_shard SET floor = 0, next_m = NULL, next_x = NULL"
                       " WHERE shard = ANY ($1) AND greatest(floor, next_m) > $2",
                       shards, NULL, error);
}

static kur_status note_floors(PGconn *connection, const struct kur__pg_values *shards, kur_error *error)
{
    return kur__pg_run(connection, "noting floors",
                       "UPDATE @.outbox_shard SET next_m = $2, next_x = pg_current_xact_id(),"
                       " noted = clock_timestamp() WHERE shard = ANY ($1) AND floor < $2"
                       " AND (next_x IS NULL OR next_x >= pg_snapshot_xmax(pg_current_snapshot()))",
                       shards, NULL, error);
}

kur_status kur__pg_raise(void *connection, const int32_t *shards, size_t count, kur_error *error)
{
    char storage[4096];
    kur_buffer array = kur_buffer_over(storage, sizeof storage);
    struct kur__pg_values values = {0};
    int64_t highest = 0;
    if (count == 0)
        return KUR_OK;
    kur_status status = kur__pg_shards(&array, shards, count);
    if (status != KUR_OK)
        return kur_error_set(error, status, "out of memory");
    kur__pg_add_bytes(&values, KUR__PG_INT2S, kur_bytes_of(array.data, array.size));
    status = move_floors(connection, &values, error);
    if (status == KUR_OK)
        status = read_highest(connection, &highest, error); /* before the number is taken */
    kur__pg_add_int8(&values, highest);
    if (status == KUR_OK)
        status = lower_floors(connection, &values, error);
    if (status == KUR_OK)
        status = note_floors(connection, &values, error);
    kur_buffer_done(&array);
    return status;
}

/* ---- Figures ---- */

enum {
    DEPTH_COUNTED = 10000,
    SHARD_COUNTED = 500 /* of each shard, for an estimate */
};

static kur_status read_depth(PGconn *connection, const char *sql, int32_t most, int64_t *depth, kur_error *error)
{
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    kur__pg_add_int8(&values, most);
    kur_status status = kur__pg_run(connection, "counting rows", sql, &values, &result, error);
    if (status == KUR_OK)
        *depth = kur__pg_int(result, 0, 0);
    PQclear(result);
    return status;
}

static const char count_sql[] =
    "SELECT count(*) FROM (SELECT FROM @.outbox_shard s CROSS JOIN LATERAL (SELECT FROM @.outbox o"
    " WHERE o.shard = s.shard AND o.id > s.floor ORDER BY o.id LIMIT $1) r LIMIT $1) c";

/* How densely a shard's first rows lie, on to the highest id. */
static const char estimate_sql[] =
    "SELECT sum(CASE WHEN c.n < $1 THEN c.n::float8"
    " ELSE c.n::float8 * greatest(q.highest - c.low + 1, c.n) / (c.high - c.low + 1) END)::int8"
    " FROM @.outbox_shard s CROSS JOIN LATERAL (SELECT count(*) AS n, min(r.id) AS low, max(r.id) AS high"
    " FROM (SELECT o.id FROM @.outbox o WHERE o.shard = s.shard AND o.id > s.floor ORDER BY o.id LIMIT $1) r) c,"
    " (SELECT last_value AS highest FROM @.outbox_id) q";

static const char figures_sql[] =
    "SELECT (SELECT min(r.created) FROM @.outbox_shard s CROSS JOIN LATERAL (SELECT o.created FROM @.outbox o"
    " WHERE o.shard = s.shard AND o.id > s.floor ORDER BY o.id LIMIT 1) r),"
    " p.parked, p.behind, p.blocked,"
    " (SELECT coalesce(min(noted), clock_timestamp()) FROM @.outbox_shard"
    " WHERE next_x > pg_snapshot_xmin(pg_current_snapshot()))"
    " FROM (SELECT count(*) FILTER (WHERE NOT is_behind) AS parked, count(*) FILTER (WHERE is_behind) AS behind,"
    " count(DISTINCT (shard, key)) FILTER (WHERE blocks) AS blocked FROM @.outbox_parked) p";

kur_status kur__pg_figures(void *connection, kur_outbox_figures *figures, kur_error *error)
{
    PGresult *result = NULL;
    int64_t depth = 0;
    kur_status status = read_depth(connection, count_sql, DEPTH_COUNTED + 1, &depth, error);
    if (status == KUR_OK && depth > DEPTH_COUNTED) {
        status = read_depth(connection, estimate_sql, SHARD_COUNTED, &depth, error);
        if (depth <= DEPTH_COUNTED)
            depth = DEPTH_COUNTED + 1;
    }
    if (status == KUR_OK)
        status = kur__pg_run(connection, "the outbox's figures", figures_sql, NULL, &result, error);
    if (status == KUR_OK) {
        figures->depth = depth;
        figures->oldest_us = kur__pg_time_us(result, 0, 0);
        figures->parked = kur__pg_int(result, 0, 1);
        figures->behind = kur__pg_int(result, 0, 2);
        figures->blocked = kur__pg_int(result, 0, 3);
        figures->floor_us = kur__pg_time_us(result, 0, 4);
    }
    PQclear(result);
    return status;
}
