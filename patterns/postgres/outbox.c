/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Rows come, are read, and go: inserted and deleted, never updated.
 */
#include <kurier/event.h>
#include <kurier/sys/memory.h>
#include <stdlib.h>

#include "postgres/postgres.h"

/* ---- The writer's side ---- */

/*
 * What hangs at a connection of a caller's once it has been looked at: whose database it is, how it commits, and of
 * which schema's tables the statement is that was prepared there, if one was.
 */
struct seen {
    char schema[49], prepared[49];
    kur_uuid id;
    bool is_loose;
};

static const char add_name[] = "kurier_outbox_add";
static const char add_sql[] = "INSERT INTO @.outbox (shard, mark, topic, partition, key, headers, value)"
                              " VALUES ($1, $2, $3, $4, $5, $6, $7)";

static int caller_events(PGEventId id, void *info, void *user)
{
    PGconn *connection = id == PGEVT_CONNDESTROY ? ((PGEventConnDestroy *)info)->conn
                         : id == PGEVT_CONNRESET ? ((PGEventConnReset *)info)->conn
                                                 : NULL;
    (void)user;
    if (connection != NULL) {
        kur_free(PQinstanceData(connection, caller_events));
        PQsetInstanceData(connection, caller_events, NULL);
    }
    return 1;
}

static kur_status judge(const PGconn *connection, const PGresult *result, const char *what, kur_error *error)
{
    ExecStatusType is = PQresultStatus(result);
    return is == PGRES_COMMAND_OK || is == PGRES_TUPLES_OK ? KUR_OK : kur__pg_error(connection, result, what, error);
}

/* On a connection of a caller's libpq waits as for all else there. */
static kur_status run_there(PGconn *connection, const char *what, const char *schema, const char *sql,
                            const struct kur__pg_values *v, PGresult **result, kur_error *error)
{
    char storage[512];
    kur_buffer text = kur_buffer_over(storage, sizeof storage);
    kur_status status = kur__pg_expand(sql, schema, &text, error);
    if (status != KUR_OK)
        return status;
    *result = PQexecParams(connection, text.data, v->count, v->types, v->data, v->sizes, v->formats, 1);
    status = judge(connection, *result, what, error);
    kur_buffer_done(&text);
    return status;
}

static kur_status prepare(PGconn *connection, struct seen *seen, const struct kur__pg_values *v, kur_error *error)
{
    char storage[512];
    kur_buffer text = kur_buffer_over(storage, sizeof storage);
    kur_status status = kur__pg_expand(add_sql, seen->schema, &text, error);
    if (status != KUR_OK)
        return status;
    PGresult *result = PQprepare(connection, add_name, text.data, v->count, v->types);
    status = judge(connection, result, "preparing to add to the outbox", error);
    if (status == KUR_OK)
        memcpy(seen->prepared, seen->schema, sizeof seen->prepared);
    PQclear(result);
    kur_buffer_done(&text);
    return status;
}

/* The statement is the session's: what an aborted transaction has prepared stays, too. */
static kur_status add_prepared(PGconn *connection, struct seen *seen, const struct kur__pg_values *v, kur_error *error)
{
    kur_status status = seen->prepared[0] != '\0' ? KUR_OK : prepare(connection, seen, v, error);
    if (status != KUR_OK)
        return status;
    PGresult *result = PQexecPrepared(connection, add_name, v->count, v->data, v->sizes, v->formats, 1);
    status = judge(connection, result, "adding to the outbox", error);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state != NULL && strcmp(state, "26000") == 0) /* no such statement: somebody has put it away */
        seen->prepared[0] = '\0';
    PQclear(result);
    return status;
}

static kur_status remember(PGconn *connection, const char *schema, const kur_uuid *id, bool is_loose, kur_error *error)
{
    struct seen *seen = PQinstanceData(connection, caller_events);
    if (seen == NULL) {
        seen = kur_calloc(1, sizeof *seen);
        if (seen == NULL)
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        PQregisterEventProc(connection, caller_events, "kurier outbox", NULL); /* fails when it was before */
        if (!PQsetInstanceData(connection, caller_events, seen)) {
            kur_free(seen);
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        }
    }
    memcpy(seen->schema, schema, sizeof seen->schema);
    seen->id = *id;
    seen->is_loose = is_loose;
    return KUR_OK;
}

/* Whether the connection leads to the database that the outbox has found its tables in; asked once a connection. */
static kur_status check_database(struct kur__postgres *postgres, PGconn *connection, kur_error *error)
{
    pthread_mutex_lock(&postgres->lock);
    bool has_id = postgres->has_id;
    kur_uuid wanted = postgres->id, is = {{0}};
    pthread_mutex_unlock(&postgres->lock);
    const struct seen *seen = PQinstanceData(connection, caller_events);
    if (!has_id)
        return KUR_OK;
    if (seen != NULL && strcmp(seen->schema, postgres->schema) == 0 && memcmp(&seen->id, &wanted, sizeof wanted) == 0)
        return KUR_OK;
    PGresult *result = NULL;
    struct kur__pg_values none = {0};
    kur_status status =
        run_there(connection, "the database's id", postgres->schema,
                  "SELECT id, 'off' IN (current_setting('synchronous_commit'), current_setting('fsync'))"
                  " FROM @.meta",
                  &none, &result, error);
    bool is_there = status == KUR_OK && PQntuples(result) == 1, is_loose = is_there && kur__pg_bool(result, 0, 1);
    if (is_there && PQgetlength(result, 0, 0) == (int)sizeof is.bytes)
        memcpy(is.bytes, PQgetvalue(result, 0, 0), sizeof is.bytes);
    PQclear(result);
    if (status == KUR_OK && memcmp(&is, &wanted, sizeof is) != 0)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "postgres: the connection is another database's than the outbox");
    return status == KUR_OK ? remember(connection, postgres->schema, &is, is_loose, error) : status;
}

static kur_status check_transaction(const PGconn *connection, kur_error *error)
{
    const char *why = NULL;
    if (connection == NULL || PQstatus(connection) == CONNECTION_BAD)
        return kur_error_set(error, KUR_ERROR_UNREACHABLE, "postgres: the connection is broken");
    switch (PQtransactionStatus(connection)) {
    case PQTRANS_INTRANS:
        break;
    case PQTRANS_IDLE:
        why = "no transaction is open on the connection: an event is added between BEGIN and COMMIT";
        break;
    case PQTRANS_INERROR:
        why = "the transaction has failed, and can only be rolled back";
        break;
    default:
        why = "the connection is busy with another statement";
    }
#ifdef LIBPQ_HAS_PIPELINING
    if (PQpipelineStatus(connection) != PQ_PIPELINE_OFF)
        why = "the connection is in pipeline mode";
#endif
    return why == NULL ? KUR_OK : kur_error_set(error, KUR_ERROR_INVALID_STATE, "postgres: %s", why);
}

kur_status kur__pg_add(void *database, void *transaction, const kur_outbox_row *row, kur_error *error)
{
    struct kur__postgres *postgres = database;
    PGconn *connection = transaction;
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    kur_status status = check_transaction(connection, error);
    if (status == KUR_OK)
        status = check_database(postgres, connection, error);
    if (status != KUR_OK)
        return status;
    kur__pg_add_int2(&values, row->shard);
    kur__pg_add_int4(&values, (int32_t)row->mark);
    kur__pg_add_text(&values, row->topic);
    kur__pg_add_int4(&values, row->partition - KUR_PARTITION(0));
    if (row->partition == 0)
        values.data[3] = NULL;
    kur__pg_add_bytes(&values, KUR__PG_BYTEA, row->key);
    kur__pg_add_bytes(&values, KUR__PG_BYTEA, row->headers);
    kur__pg_add_bytes(&values, KUR__PG_BYTEA, row->value);
    struct seen *seen = postgres->prepares ? PQinstanceData(connection, caller_events) : NULL;
    /* Of another outbox's tables one may have been prepared there. */
    if (seen != NULL && (seen->prepared[0] == '\0' || strcmp(seen->prepared, seen->schema) == 0))
        return add_prepared(connection, seen, &values, error);
    status = run_there(connection, "adding to the outbox", postgres->schema, add_sql, &values, &result, error);
    PQclear(result);
    return status;
}

const char *kur__pg_warn(void *database, void *transaction)
{
    struct kur__postgres *postgres = database;
    const struct seen *seen = PQinstanceData(transaction, caller_events);
    if (seen == NULL || !seen->is_loose || atomic_exchange(&postgres->has_warned, true))
        return NULL;
    return "postgres: a connection that adds to the outbox has synchronous_commit = off, or the server fsync = off: a "
           "crash "
           "of the server can take back a commit whose event has been sent";
}

/* ---- Reading ---- */

/*
 * One statement, so that floors and rows are of one snapshot. A subquery with LIMIT for each shard, which the primary
 * key gives in order; the loop over them keeps it, and no sort is needed. `total` keeps a shard to its share of the
 * bytes, but for one row. Keys are looked for among those that are parked only where a shard has any.
 */
static const char read_sql[] =
    "SELECT s.shard, o.id, o.mark, o.partition, o.topic, o.key, o.headers, o.value, o.created,"
    " CASE WHEN s.blocks AND o.key IS NOT NULL THEN EXISTS (SELECT FROM @.outbox_parked p"
    " WHERE p.blocks AND p.shard = s.shard AND p.key = o.key AND p.id < o.id) ELSE false END"
    " FROM (SELECT t.shard, t.floor, EXISTS (SELECT FROM @.outbox_parked p WHERE p.blocks AND p.shard = t.shard)"
    " AS blocks FROM @.outbox_shard t WHERE t.shard = ANY ($1) OFFSET 0) s"
    " CROSS JOIN LATERAL (SELECT r.*, sum(r.size) OVER (ORDER BY r.id ROWS UNBOUNDED PRECEDING) AS total"
    " FROM (SELECT *, coalesce(octet_length(key), 0) + coalesce(octet_length(headers), 0)"
    " + coalesce(octet_length(value), 0) AS size FROM @.outbox"
    " WHERE shard = s.shard AND id > s.floor ORDER BY id LIMIT $2) r) o"
    " WHERE o.total - o.size < $3";

struct taking {
    kur_outbox_take *take;
    void *user;
    int32_t shard; /* of the row before */
    int64_t id;
    bool has_begun[KUR_OUTBOX_SHARDS_MAX];
};

static kur_status take_row(const PGresult *result, int i, void *user, kur_error *error)
{
    struct taking *taking = user;
    kur_outbox_row row = {.size = sizeof row,
                          .shard = (int32_t)kur__pg_int(result, i, 0),
                          .id = kur__pg_int(result, i, 1),
                          .mark = (uint32_t)kur__pg_int(result, i, 2),
                          .partition =
                              PQgetisnull(result, i, 3) ? 0 : KUR_PARTITION((int32_t)kur__pg_int(result, i, 3)),
                          .topic = kur__pg_text(result, i, 4),
                          .key = kur__pg_bytes(result, i, 5),
                          .headers = kur__pg_bytes(result, i, 6),
                          .value = kur__pg_bytes(result, i, 7),
                          .created_us = kur__pg_time_us(result, i, 8),
                          .is_blocked = kur__pg_bool(result, i, 9)};
    /* The order of a key is what all of it is for: it is not taken on trust from a planner. */
    if (row.shard < 0 || row.shard >= KUR_OUTBOX_SHARDS_MAX ||
        (row.shard == taking->shard ? row.id <= taking->id : taking->has_begun[row.shard]))
        return kur_error_set(error, KUR_ERROR_DATABASE, "postgres: rows of shard %d came out of order", (int)row.shard);
    taking->has_begun[row.shard] = true;
    taking->shard = row.shard;
    taking->id = row.id;
    return taking->take(&row, taking->user, error);
}

kur_status kur__pg_read(void *connection, const int32_t *shards, size_t count, int32_t rows, size_t bytes,
                        kur_outbox_take *take, void *user, kur_error *error)
{
    char storage[4096];
    kur_buffer array = kur_buffer_over(storage, sizeof storage);
    struct kur__pg_values values = {0};
    struct taking taking = {.take = take, .user = user, .shard = -1};
    if (count == 0)
        return KUR_OK;
    kur_status status = kur__pg_shards(&array, shards, count);
    if (status != KUR_OK)
        return kur_error_set(error, status, "out of memory");
    kur__pg_add_bytes(&values, KUR__PG_INT2S, kur_bytes_of(array.data, array.size));
    kur__pg_add_int8(&values, rows);
    kur__pg_add_int8(&values, bytes / count > 0 ? (int64_t)(bytes / count) : 1);
    status = kur__pg_each(connection, "reading the outbox", read_sql, &values, take_row, &taking, error);
    kur_buffer_done(&array);
    return status;
}

/* ---- Deleting ---- */

kur_status kur__pg_delete(void *connection, const kur_outbox_id *ids, size_t count, size_t *deleted, kur_error *error)
{
    kur_buffer shards = {0}, numbers = {0}, marks = {0};
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    kur_status status = kur__pg_array(&shards, KUR__PG_INT2, count);
    if (status == KUR_OK)
        status = kur__pg_array(&numbers, KUR__PG_INT8, count);
    if (status == KUR_OK)
        status = kur__pg_array(&marks, KUR__PG_INT4, count);
    for (size_t i = 0; i < count && status == KUR_OK; i++) {
        status = kur__pg_put_int(&shards, ids[i].shard, 2);
        if (status == KUR_OK)
            status = kur__pg_put_int(&numbers, ids[i].id, 8);
        if (status == KUR_OK)
            status = kur__pg_put_int(&marks, ids[i].mark, 4);
    }
    if (status == KUR_OK) {
        kur__pg_add_bytes(&values, KUR__PG_INT2S, kur_bytes_of(shards.data, shards.size));
        kur__pg_add_bytes(&values, KUR__PG_INT8S, kur_bytes_of(numbers.data, numbers.size));
        kur__pg_add_bytes(&values, KUR__PG_INT4S, kur_bytes_of(marks.data, marks.size));
        status = kur__pg_run(connection, "deleting from the outbox",
                             "DELETE FROM @.outbox o USING unnest($1, $2, $3) AS d (shard, id, mark)"
                             " WHERE o.shard = d.shard AND o.id = d.id AND o.mark = d.mark",
                             &values, &result, error);
    } else {
        kur_error_set(error, status, "out of memory");
    }
    if (status == KUR_OK && deleted != NULL)
        *deleted = (size_t)strtoull(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    kur_buffer_done(&shards);
    kur_buffer_done(&numbers);
    kur_buffer_done(&marks);
    return status;
}
