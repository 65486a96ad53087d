/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: who handles a record holds its partition's position FOR KEY SHARE, which others like it do not wait
 * for, and neither does who moves the position on; but who resets it takes it FOR UPDATE, and so waits for all of them,
 * and those that come later find another epoch.
 *
 * Two who handle the same record meet at its row in inbox_done: the second one's INSERT waits for the first one's end.
 * Only then, by a statement of its own with a later snapshot, is the position read: a mover takes a row away in the
 * same transaction that moves the position over it, so that who finds no row because it has just gone finds the
 * position moved. Who finds a row takes it if it is open; if it has gone meanwhile, and another has come that is open,
 * all of it is tried once more. Entering is a function in the database (schema.c): one round trip, and plans that
 * stay.
 */
#include <stdlib.h>

#include "postgres/postgres.h"

static void add_partition(struct kur__pg_values *values, const kur_inbox_place *place)
{
    kur__pg_add_text(values, place->consumer);
    kur__pg_add_text(values, place->topic);
    kur__pg_add_int4(values, place->partition);
}

/* $1 to $6. */
static void add_place(struct kur__pg_values *values, const kur_inbox_place *place, const kur_uuid *log_id)
{
    add_partition(values, place);
    kur__pg_add_int8(values, place->offset);
    kur__pg_add_int8(values, place->epoch);
    if (log_id != NULL)
        kur__pg_add_bytes(values, KUR__PG_UUID, kur_bytes_of(log_id->bytes, sizeof log_id->bytes));
}

/* ---- Partitions ---- */

static kur_status read_position(PGconn *connection, const kur_inbox_place *place, bool *is_there, kur_uuid *log_id,
                                int64_t *next, int64_t *epoch, kur_error *error)
{
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    add_partition(&values, place);
    kur_status status = kur__pg_run(connection, "reading a position",
                                    "SELECT log_id, next_offset, epoch FROM @.inbox_position WHERE consumer = $1"
                                    " AND topic = $2 AND partition = $3",
                                    &values, &result, error);
    *is_there = status == KUR_OK && PQntuples(result) == 1;
    if (*is_there) {
        kur_bytes found = kur__pg_bytes(result, 0, 0);
        if (found.size == sizeof log_id->bytes)
            memcpy(log_id->bytes, found.data, found.size);
        if (next != NULL)
            *next = kur__pg_int(result, 0, 1);
        *epoch = kur__pg_int(result, 0, 2);
    }
    PQclear(result);
    return status;
}

kur_status kur__pg_join(void *connection, const kur_inbox_place *place, kur_uuid *log_id, int64_t *next, int64_t *epoch,
                        kur_error *error)
{
    struct kur__pg_values values = {0};
    bool is_there = false;
    kur_status status = read_position(connection, place, &is_there, log_id, next, epoch, error);
    if (status != KUR_OK || is_there)
        return status;
    add_partition(&values, place);
    kur__pg_add_int8(&values, place->offset);
    kur__pg_add_bytes(&values, KUR__PG_UUID, kur_bytes_of(log_id->bytes, sizeof log_id->bytes));
    status = kur__pg_run(connection, "joining a partition",
                         "INSERT INTO @.inbox_position (consumer, topic, partition, first_offset, next_offset, log_id)"
                         " VALUES ($1, $2, $3, $4, $4, $5) ON CONFLICT DO NOTHING",
                         &values, NULL, error);
    if (status == KUR_OK) /* maybe another's */
        status = read_position(connection, place, &is_there, log_id, next, epoch, error);
    if (status == KUR_OK && !is_there)
        status = kur_error_set(error, KUR_ERROR_DATABASE, "postgres: a position that was made is not there");
    return status;
}

static kur_status fenced(const kur_inbox_place *place, kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_FENCED, "postgres: %s [%d] has begun anew", place->topic,
                         (int)place->partition);
}

kur_status kur__pg_move(void *connection, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error)
{
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    add_place(&values, place, log_id);
    kur_status status =
        kur__pg_run(connection, "moving a position",
                    "WITH moved AS (UPDATE @.inbox_position SET next_offset = greatest(next_offset, $4), log_id = $6,"
                    " first_offset = CASE WHEN next_offset < 0 THEN $4 ELSE first_offset END"
                    " WHERE consumer = $1 AND topic = $2 AND partition = $3 AND epoch = $5"
                    " RETURNING id, first_offset, next_offset),"
                    " gone AS (DELETE FROM @.inbox_done d USING moved m WHERE d.position = m.id"
                    " AND d.\"offset\" >= m.first_offset AND d.\"offset\" < m.next_offset AND NOT d.is_open)"
                    " SELECT count(*) FROM moved",
                    &values, &result, error);
    if (status == KUR_OK && kur__pg_int(result, 0, 0) == 0)
        status = fenced(place, error);
    PQclear(result);
    return status;
}

/* The lock first, by itself: rows that were made while it was waited for are seen by the next statement alone. */
static kur_status reset(PGconn *connection, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error)
{
    struct kur__pg_values held = {0}, values = {0};
    PGresult *result = NULL;
    add_partition(&held, place);
    kur__pg_add_int8(&held, place->epoch);
    kur_status status = kur__pg_run(connection, "waiting for handlers",
                                    "SELECT id FROM @.inbox_position WHERE consumer = $1 AND topic = $2"
                                    " AND partition = $3 AND epoch = $4 FOR UPDATE",
                                    &held, &result, error);
    if (status == KUR_OK && PQntuples(result) == 0)
        status = fenced(place, error);
    PQclear(result);
    if (status != KUR_OK)
        return status;
    add_place(&values, place, log_id);
    return kur__pg_run(connection, "resetting a position",
                       "WITH begun AS (UPDATE @.inbox_position SET next_offset = $4, epoch = $5 + 1, log_id = $6,"
                       " first_offset = CASE WHEN first_offset < 0 THEN $4 ELSE least(first_offset, $4) END"
                       " WHERE consumer = $1 AND topic = $2 AND partition = $3 RETURNING id)"
                       " DELETE FROM @.inbox_done d USING begun b WHERE d.position = b.id AND d.\"offset\" >= $4",
                       &values, NULL, error);
}

kur_status kur__pg_reset(void *connection, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error)
{
    kur_status status = kur__pg_begin_own(connection, error);
    return status == KUR_OK ? kur__pg_end(connection, reset(connection, place, log_id, error), error) : status;
}

/* ---- Records ---- */

static kur_status check_transaction(const PGconn *connection, kur_error *error)
{
    if (PQstatus(connection) == CONNECTION_OK && PQtransactionStatus(connection) != PQTRANS_INTRANS)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "postgres: no transaction is open, or it has failed");
    return KUR_OK;
}

kur_status kur__pg_enter(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn, kur_error *error)
{
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    kur_status status = check_transaction(transaction, error);
    if (status != KUR_OK)
        return status;
    add_place(&values, place, NULL);
    status = kur__pg_run(transaction, "entering the inbox", "SELECT @.inbox_enter($1, $2, $3, $4, $5)", &values,
                         &result, error);
    int64_t said = status == KUR_OK ? kur__pg_int(result, 0, 0) : 0;
    PQclear(result);
    if (status != KUR_OK)
        return status;
    if (said >= KUR_INBOX_HANDLE && said <= KUR_INBOX_LOST) {
        *turn = (kur_inbox_turn)said;
        return KUR_OK;
    }
    kur_error_set(error, KUR_ERROR_DATABASE, "postgres: a record is left open again and again");
    if (error != NULL)
        error->retriable = true;
    return KUR_ERROR_DATABASE;
}

/* What a later snapshot says of a record. */
struct standing {
    bool is_passed; /* by the position */
    bool has_row, is_open;
};

static kur_status read_standing(PGconn *connection, int64_t position, int64_t offset, struct standing *standing,
                                kur_error *error)
{
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    kur__pg_add_int8(&values, position);
    kur__pg_add_int8(&values, offset);
    kur_status status = kur__pg_run(connection, "looking at a record",
                                    "SELECT p.first_offset <= $2 AND $2 < p.next_offset, d.position IS NOT NULL,"
                                    " d.is_open FROM @.inbox_position p LEFT JOIN @.inbox_done d"
                                    " ON d.position = p.id AND d.\"offset\" = $2 WHERE p.id = $1",
                                    &values, &result, error);
    *standing = (struct standing){false, false, false};
    if (status == KUR_OK && PQntuples(result) == 1)
        *standing =
            (struct standing){kur__pg_bool(result, 0, 0), kur__pg_bool(result, 0, 1), kur__pg_bool(result, 0, 2)};
    PQclear(result);
    return status;
}

/* What became of the first statement. */
struct entry {
    bool is_in_force; /* the epoch */
    int64_t position;
    bool is_added;
};

static kur_status make_entry(PGconn *connection, const kur_inbox_place *place, struct entry *entry, kur_error *error)
{
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    kur_status status = check_transaction(connection, error);
    if (status != KUR_OK)
        return status;
    add_place(&values, place, NULL);
    status = kur__pg_run(
        connection, "leaving a record open",
        "WITH place AS (SELECT id FROM @.inbox_position WHERE consumer = $1 AND topic = $2 AND partition = $3"
        " AND epoch = $5 FOR KEY SHARE),"
        " added AS (INSERT INTO @.inbox_done (position, \"offset\", is_open) SELECT id, $4, true FROM place"
        " ON CONFLICT DO NOTHING RETURNING position)"
        " SELECT (SELECT id FROM place), EXISTS (SELECT FROM added)",
        &values, &result, error);
    if (status == KUR_OK)
        *entry = (struct entry){!PQgetisnull(result, 0, 0), kur__pg_int(result, 0, 0), kur__pg_bool(result, 0, 1)};
    PQclear(result);
    return status;
}

static kur_status remove_row(PGconn *connection, int64_t position, int64_t offset, kur_error *error)
{
    struct kur__pg_values values = {0};
    kur__pg_add_int8(&values, position);
    kur__pg_add_int8(&values, offset);
    return kur__pg_run(connection, "closing a record",
                       "DELETE FROM @.inbox_done WHERE position = $1 AND \"offset\" = $2", &values, NULL, error);
}

kur_status kur__pg_leave_open(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn, kur_error *error)
{
    struct entry entry = {0};
    struct standing standing = {0};
    kur_status status = make_entry(transaction, place, &entry, error);
    if (status == KUR_OK && entry.is_in_force)
        status = read_standing(transaction, entry.position, place->offset, &standing, error);
    if (status == KUR_OK && entry.is_added && standing.is_passed) /* another one has done it: it must not be open */
        status = remove_row(transaction, entry.position, place->offset, error);
    if (status != KUR_OK)
        return status;
    bool is_open = entry.is_added ? !standing.is_passed : standing.has_row && standing.is_open;
    *turn = !entry.is_in_force ? KUR_INBOX_LOST : is_open ? KUR_INBOX_HANDLE : KUR_INBOX_DONE;
    return KUR_OK;
}

/* ---- Ids of events ---- */

/* A long id stands as its hash: an index takes no more than a third of a page. */
kur_status kur__pg_note(void *transaction, const char *consumer, const char *event_id, bool *was_there,
                        kur_error *error)
{
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    kur_status status = check_transaction(transaction, error);
    if (status != KUR_OK)
        return status;
    kur__pg_add_text(&values, consumer);
    kur__pg_add_text(&values, event_id);
    status =
        kur__pg_run(transaction, "noting an event's id",
                    "INSERT INTO @.inbox_message (consumer, event_id) VALUES ($1, CASE WHEN octet_length($2) > 1000"
                    " THEN 'sha256:' || encode(sha256(convert_to($2, 'UTF8')), 'hex') ELSE $2 END)"
                    " ON CONFLICT DO NOTHING",
                    &values, &result, error);
    if (status == KUR_OK)
        *was_there = strcmp(PQcmdTuples(result), "0") == 0;
    PQclear(result);
    return status;
}

kur_status kur__pg_forget(void *connection, const char *consumer, int64_t before_us, int32_t most, int32_t *count,
                          kur_error *error)
{
    struct kur__pg_values values = {0};
    PGresult *result = NULL;
    kur__pg_add_text(&values, consumer);
    kur__pg_add_time(&values, before_us);
    kur__pg_add_int8(&values, most);
    kur_status status =
        kur__pg_run(connection, "forgetting noted ids",
                    "DELETE FROM @.inbox_message WHERE consumer = $1 AND event_id = ANY (ARRAY (SELECT event_id"
                    " FROM @.inbox_message WHERE consumer = $1 AND noted < $2 ORDER BY noted LIMIT $3))",
                    &values, &result, error);
    if (status == KUR_OK && count != NULL)
        *count = (int32_t)strtol(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return status;
}
