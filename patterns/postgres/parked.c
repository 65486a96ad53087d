/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what was parked. Whoever parks or puts back holds the row of the shard in outbox_shard, so that nothing
 * is put behind a row that goes back meanwhile. A key is blocked as long as a row that `blocks` is parked; there is no
 * other record of it.
 */
#include <kurier/event.h>

#include "postgres/postgres.h"

/* ---- Parking ---- */

/* What can be stored as a text: the error comes from a broker. */
static kur_status put_line(kur_buffer *array, const char *text)
{
    char line[1024];
    size_t size = 0;
    if (text == NULL)
        return kur__pg_put_bytes(array, kur_bytes_of(NULL, 0));
    bool is_utf8 = kur_bytes_is_utf8(kur_bytes_text(text));
    for (; text[size] != '\0' && size < sizeof line; size++)
        line[size] = !is_utf8 && (unsigned char)text[size] >= 128 ? '?' : text[size];
    while (is_utf8 && size > 0 && !kur_bytes_is_utf8(kur_bytes_of(line, size)))
        size--; /* cut within a character */
    return kur__pg_put_bytes(array, kur_bytes_of(line, size));
}

struct arrays {
    kur_buffer shards, ids, marks, behind, errors, attempts;
};

static void arrays_done(struct arrays *arrays)
{
    kur_buffer_done(&arrays->shards);
    kur_buffer_done(&arrays->ids);
    kur_buffer_done(&arrays->marks);
    kur_buffer_done(&arrays->behind);
    kur_buffer_done(&arrays->errors);
    kur_buffer_done(&arrays->attempts);
}

static kur_status arrays_put(struct arrays *arrays, const kur_outbox_parked_row *parked)
{
    kur_status status = kur__pg_put_int(&arrays->shards, parked->row.shard, 2);
    if (status == KUR_OK)
        status = kur__pg_put_int(&arrays->ids, parked->row.id, 8);
    if (status == KUR_OK)
        status = kur__pg_put_int(&arrays->marks, parked->row.mark, 4);
    if (status == KUR_OK)
        status = kur__pg_put_int(&arrays->behind, parked->is_behind, 1);
    if (status == KUR_OK)
        status = put_line(&arrays->errors, parked->error);
    if (status == KUR_OK)
        status = kur__pg_put_int(&arrays->attempts, parked->attempts, 4);
    return status;
}

static kur_status arrays_make(struct arrays *arrays, const kur_outbox_parked_row *rows, size_t count)
{
    const struct {
        kur_buffer *array;
        Oid element;
    } heads[] = {{&arrays->shards, KUR__PG_INT2}, {&arrays->ids, KUR__PG_INT8},    {&arrays->marks, KUR__PG_INT4},
                 {&arrays->behind, KUR__PG_BOOL}, {&arrays->errors, KUR__PG_TEXT}, {&arrays->attempts, KUR__PG_INT4}};
    kur_status status = KUR_OK;
    for (size_t i = 0; i < sizeof heads / sizeof *heads && status == KUR_OK; i++)
        status = kur__pg_array(heads[i].array, heads[i].element, count);
    for (size_t i = 0; i < count && status == KUR_OK; i++)
        status = arrays_put(arrays, &rows[i]);
    return status;
}

static void add_array(struct kur__pg_values *values, Oid type, const kur_buffer *array)
{
    kur__pg_add_bytes(values, type, kur_bytes_of(array->data, array->size));
}

/*
 * One that is behind goes only where what blocks it is parked, now or by this statement: that was judged by a read
 * which may be older than an unpark, and older than what another relay has sent and deleted since.
 */
#define DELETED                                                                                                        \
    " RETURNING o.shard, o.id, o.mark, o.topic, o.partition, o.key, o.headers, o.value, o.created, g.is_behind,"       \
    " $7 AND NOT g.is_behind AND o.key IS NOT NULL AS blocks, g.error, g.attempts"

static const char park_sql[] =
    "WITH given AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6) AS g (shard, id, mark, is_behind, error, attempts)),"
    " refused AS (DELETE FROM @.outbox o USING given g WHERE o.shard = g.shard AND o.id = g.id AND o.mark = g.mark"
    " AND NOT g.is_behind" DELETED "),"
    " behind AS (DELETE FROM @.outbox o USING given g WHERE o.shard = g.shard AND o.id = g.id AND o.mark = g.mark"
    " AND g.is_behind AND (EXISTS (SELECT FROM refused f WHERE f.blocks AND f.shard = o.shard AND f.key = o.key"
    " AND f.id < o.id) OR EXISTS (SELECT FROM @.outbox_parked p WHERE p.blocks AND p.shard = o.shard AND p.key = o.key"
    " AND p.id < o.id))" DELETED ")"
    " INSERT INTO @.outbox_parked (shard, id, mark, topic, partition, key, headers, value, created, is_behind, blocks,"
    " error, attempts) SELECT * FROM refused UNION ALL SELECT * FROM behind";

static kur_status park_rows(PGconn *connection, const struct arrays *arrays, bool blocks_keys, kur_error *error)
{
    struct kur__pg_values shards = {0}, values = {0};
    add_array(&shards, KUR__PG_INT2S, &arrays->shards);
    kur_status status = kur__pg_run(connection, "holding shards",
                                    "SELECT FROM @.outbox_shard WHERE shard = ANY ($1) ORDER BY shard FOR UPDATE",
                                    &shards, NULL, error);
    if (status != KUR_OK)
        return status;
    add_array(&values, KUR__PG_INT2S, &arrays->shards);
    add_array(&values, KUR__PG_INT8S, &arrays->ids);
    add_array(&values, KUR__PG_INT4S, &arrays->marks);
    add_array(&values, KUR__PG_BOOLS, &arrays->behind);
    add_array(&values, KUR__PG_TEXTS, &arrays->errors);
    add_array(&values, KUR__PG_INT4S, &arrays->attempts);
    kur__pg_add_bool(&values, blocks_keys);
    return kur__pg_run(connection, "parking rows", park_sql, &values, NULL, error);
}

kur_status kur__pg_park(void *connection, const kur_outbox_parked_row *rows, size_t count, bool blocks_keys,
                        kur_error *error)
{
    struct arrays arrays = {.shards = {0}};
    if (count == 0)
        return KUR_OK;
    kur_status status = arrays_make(&arrays, rows, count);
    if (status != KUR_OK)
        kur_error_set(error, status, "out of memory");
    else
        status = kur__pg_begin_own(connection, error);
    if (status == KUR_OK)
        status = kur__pg_end(connection, park_rows(connection, &arrays, blocks_keys, error), error);
    arrays_done(&arrays);
    return status;
}

/* ---- Looking ---- */

struct taking {
    kur_outbox_take_parked *take;
    void *user;
};

static kur_status take_parked(const PGresult *result, int i, void *user, kur_error *error)
{
    const struct taking *taking = user;
    kur_outbox_parked_row parked = {
        .row = {.size = sizeof parked.row,
                .shard = (int32_t)kur__pg_int(result, i, 0),
                .id = kur__pg_int(result, i, 1),
                .mark = (uint32_t)kur__pg_int(result, i, 2),
                .partition = PQgetisnull(result, i, 3) ? 0 : KUR_PARTITION((int32_t)kur__pg_int(result, i, 3)),
                .topic = kur__pg_text(result, i, 4),
                .key = kur__pg_bytes(result, i, 5),
                .headers = kur__pg_bytes(result, i, 6),
                .value = kur__pg_bytes(result, i, 7),
                .created_us = kur__pg_time_us(result, i, 8)},
        .is_behind = kur__pg_bool(result, i, 9),
        .error = PQgetisnull(result, i, 10) ? NULL : kur__pg_text(result, i, 10),
        .attempts = (int32_t)kur__pg_int(result, i, 11),
        .parked_us = kur__pg_time_us(result, i, 12)};
    return taking->take(&parked, taking->user, error);
}

kur_status kur__pg_parked(void *connection, const kur_outbox_id *after, int32_t rows, kur_outbox_take_parked *take,
                          void *user, kur_error *error)
{
    struct kur__pg_values values = {0};
    struct taking taking = {take, user};
    kur__pg_add_int4(&values, after != NULL ? after->shard : -1);
    kur__pg_add_int8(&values, after != NULL ? after->id : 0);
    kur__pg_add_int8(&values, rows);
    return kur__pg_each(
        connection, "reading parked rows",
        "SELECT shard, id, mark, partition, topic, key, headers, value, created, is_behind, error,"
        " attempts, parked FROM @.outbox_parked WHERE (shard, id) > ($1, $2) ORDER BY shard, id LIMIT $3",
        &values, take_parked, &taking, error);
}

/* ---- Putting back ---- */

/* The floor goes below a row that is put back, and a note of where it may go next is void: it knew nothing of the row.
 */
static const char lower_sql[] =
    "UPDATE @.outbox_shard SET floor = least(floor, (SELECT min(p.id) FROM @.outbox_parked p WHERE p.shard = $1"
    " AND (p.id = $2 OR p.is_behind)) - 1), next_m = NULL, next_x = NULL WHERE shard = $1";

/* The row when $3, and those behind it when $4. */
static const char back_sql[] =
    "WITH gone AS (DELETE FROM @.outbox_parked p WHERE p.shard = $1 AND (p.id = $2 AND $3 OR $4 AND p.is_behind"
    " AND p.key = (SELECT key FROM @.outbox_parked WHERE shard = $1 AND id = $2))"
    " RETURNING p.id, p.shard, p.mark, p.topic, p.partition, p.key, p.headers, p.value, p.created)"
    " INSERT INTO @.outbox (id, shard, mark, topic, partition, key, headers, value, created) SELECT * FROM gone";

struct parked_row {
    int32_t shard;
    int64_t other; /* the first other row that blocks its key; 0: none */
    bool is_behind;
};

/* Finds the row, holds its shard, and looks how it is. */
static kur_status look(PGconn *connection, int64_t id, struct parked_row *row, kur_error *error)
{
    struct kur__pg_values by_id = {0}, values = {0};
    PGresult *result = NULL;
    kur__pg_add_int8(&by_id, id);
    kur_status status = kur__pg_run(connection, "finding a parked row",
                                    "SELECT s.shard FROM @.outbox_shard s WHERE s.shard = (SELECT min(p.shard)"
                                    " FROM @.outbox_parked p WHERE p.id = $1) FOR UPDATE",
                                    &by_id, &result, error);
    bool is_there = status == KUR_OK && PQntuples(result) == 1;
    row->shard = is_there ? (int32_t)kur__pg_int(result, 0, 0) : 0;
    PQclear(result);
    result = NULL;
    kur__pg_add_int2(&values, row->shard);
    kur__pg_add_int8(&values, id);
    if (is_there)
        status = kur__pg_run(connection, "looking at a parked row",
                             "SELECT p.is_behind, (SELECT min(f.id) FROM @.outbox_parked f WHERE f.blocks"
                             " AND f.shard = p.shard AND f.key = p.key AND f.id <> p.id)"
                             " FROM @.outbox_parked p WHERE p.shard = $1 AND p.id = $2",
                             &values, &result, error);
    if (status == KUR_OK && (!is_there || PQntuples(result) != 1)) {
        status = kur_error_set(error, KUR_ERROR_STALE, "postgres: row %lld is not parked", (long long)id);
    } else if (status == KUR_OK) {
        row->other = kur__pg_int(result, 0, 1);
        row->is_behind = kur__pg_bool(result, 0, 0);
    }
    PQclear(result);
    return status;
}

static kur_status put_back(PGconn *connection, int64_t id, bool itself, kur_error *error)
{
    struct kur__pg_values at = {0}, values = {0};
    struct parked_row row = {0};
    kur_status status = look(connection, id, &row, error);
    if (status == KUR_OK && row.is_behind && row.other != 0)
        status = kur_error_set(error, KUR_ERROR_INVALID_STATE,
                               "postgres: row %lld waits behind row %lld of its key: unpark or drop that one",
                               (long long)id, (long long)row.other);
    if (status != KUR_OK)
        return status;
    kur__pg_add_int2(&at, row.shard);
    kur__pg_add_int8(&at, id);
    status = kur__pg_run(connection, "lowering a floor", lower_sql, &at, NULL, error);
    kur__pg_add_int2(&values, row.shard);
    kur__pg_add_int8(&values, id);
    kur__pg_add_bool(&values, itself);
    kur__pg_add_bool(&values, row.other == 0);
    if (status == KUR_OK)
        status = kur__pg_run(connection, "putting rows back", back_sql, &values, NULL, error);
    if (status == KUR_OK && !itself)
        status = kur__pg_run(connection, "dropping a row", "DELETE FROM @.outbox_parked WHERE shard = $1 AND id = $2",
                             &at, NULL, error);
    return status;
}

static kur_status put_back_alone(PGconn *connection, int64_t id, bool itself, kur_error *error)
{
    kur_status status = kur__pg_begin_own(connection, error);
    return status == KUR_OK ? kur__pg_end(connection, put_back(connection, id, itself, error), error) : status;
}

kur_status kur__pg_unpark(void *connection, int64_t id, kur_error *error)
{
    return put_back_alone(connection, id, true, error);
}

kur_status kur__pg_drop(void *connection, int64_t id, kur_error *error)
{
    return put_back_alone(connection, id, false, error);
}
