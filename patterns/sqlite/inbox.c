/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The inbox. Every transaction here has the file's one lock for writing, so that a handler that is in its transaction
 * has nobody beside it: neither who handles the same record, nor who moves the position.
 */
#include "sqlite/sqlite.h"

#include <kurier/sys/clock.h>

#define AT_PARTITION "consumer = ?1 AND topic = ?2 AND partition = ?3"
#define AT_OFFSET AT_PARTITION " AND \"offset\" = ?4"

#define PARTITION_OF(place) kur__text((place)->consumer), kur__text((place)->topic), kur__int((place)->partition)

/* ---- Partitions ---- */

/* What is known of a partition. */
struct position {
    bool is_there;
    int64_t epoch, first, next;
    kur_uuid log_id;
};

static kur_status read_position(sqlite3 *db, const kur_inbox_place *place, struct position *position, kur_error *error)
{
    sqlite3_stmt *statement = NULL;
    *position = (struct position){0};
    kur_status status = kur__sqlite_statement(
        db, "SELECT epoch, first_offset, next_offset, log_id FROM kurier_inbox_position WHERE " AT_PARTITION,
        &statement, error);
    if (status == KUR_OK)
        status = kur__sqlite_bind(statement, KUR__VALUES(PARTITION_OF(place)), error);
    if (status == KUR_OK)
        status = kur__sqlite_step(statement, &position->is_there, error);
    if (status != KUR_OK || !position->is_there)
        return status;
    position->epoch = sqlite3_column_int64(statement, 0);
    position->first = sqlite3_column_int64(statement, 1);
    position->next = sqlite3_column_int64(statement, 2);
    kur_bytes id = kur__sqlite_bytes(statement, 3);
    if (id.size == sizeof position->log_id.bytes)
        memcpy(position->log_id.bytes, id.data, id.size);
    kur__sqlite_reset(statement);
    return KUR_OK;
}

static kur_status write_position(sqlite3 *db, const kur_inbox_place *place, const struct position *position,
                                 kur_error *error)
{
    return kur__sqlite_run(
        db,
        "INSERT INTO kurier_inbox_position(consumer, topic, partition, log_id, first_offset, next_offset, epoch) "
        "VALUES "
        "(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (consumer, topic, partition) DO UPDATE SET log_id = ?4, first_offset "
        "= ?5, next_offset = ?6, epoch = ?7",
        KUR__VALUES(PARTITION_OF(place), kur__blob(kur_bytes_of(position->log_id.bytes, sizeof position->log_id.bytes)),
                    kur__int(position->first), kur__int(position->next), kur__int(position->epoch)),
        error);
}

/* Somebody else may have made it before this connection had the lock. */
static kur_status make_position(sqlite3 *db, const kur_inbox_place *place, const kur_uuid *log_id,
                                struct position *position, kur_error *error)
{
    kur_status status = kur__sqlite_begin(db, error);
    if (status != KUR_OK)
        return status;
    status = read_position(db, place, position, error);
    if (status == KUR_OK && !position->is_there) {
        *position = (struct position){true, 1, place->offset, place->offset, *log_id};
        status = write_position(db, place, position, error);
    }
    return kur__sqlite_end(db, status, error);
}

kur_status kur__sqlite_join(void *connection, const kur_inbox_place *place, kur_uuid *log_id, int64_t *next,
                            int64_t *epoch, kur_error *error)
{
    struct position position;
    kur_status status = read_position(connection, place, &position, error);
    if (status == KUR_OK && !position.is_there)
        status = make_position(connection, place, log_id, &position, error);
    if (status != KUR_OK)
        return status;
    *log_id = position.log_id;
    *epoch = position.epoch;
    if (next != NULL)
        *next = position.next;
    return KUR_OK;
}

/* The position, when the epoch is the one in force. */
static kur_status read_in_force(sqlite3 *db, const kur_inbox_place *place, struct position *position, kur_error *error)
{
    kur_status status = read_position(db, place, position, error);
    if (status == KUR_OK && (!position->is_there || position->epoch != place->epoch))
        status =
            kur_error_set(error, KUR_ERROR_FENCED, "partition %d of %s has begun anew", place->partition, place->topic);
    return status;
}

static kur_status move_in(sqlite3 *db, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error)
{
    struct position position;
    kur_status status = read_in_force(db, place, &position, error);
    if (status != KUR_OK)
        return status;
    if (place->offset <= position.next && memcmp(&position.log_id, log_id, sizeof *log_id) == 0)
        return KUR_OK;
    if (position.next < 0)
        position.first = place->offset;
    if (position.next < place->offset)
        position.next = place->offset;
    position.log_id = *log_id;
    status = write_position(db, place, &position, error);
    if (status == KUR_OK)
        status =
            kur__sqlite_run(db,
                            "DELETE FROM kurier_inbox_done WHERE " AT_PARTITION
                            " AND \"offset\" >= ?4 AND \"offset\" < ?5 AND is_open = 0",
                            KUR__VALUES(PARTITION_OF(place), kur__int(position.first), kur__int(position.next)), error);
    return status;
}

kur_status kur__sqlite_move(void *connection, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error)
{
    kur_status status = kur__sqlite_begin(connection, error);
    return status != KUR_OK ? status : kur__sqlite_end(connection, move_in(connection, place, log_id, error), error);
}

static kur_status reset_in(sqlite3 *db, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error)
{
    struct position position;
    kur_status status = read_in_force(db, place, &position, error);
    if (status != KUR_OK)
        return status;
    if (position.first < 0 || position.first > place->offset)
        position.first = place->offset;
    position.next = place->offset;
    position.log_id = *log_id;
    position.epoch++;
    status = write_position(db, place, &position, error);
    if (status == KUR_OK)
        status = kur__sqlite_run(db, "DELETE FROM kurier_inbox_done WHERE " AT_PARTITION " AND \"offset\" >= ?4",
                                 KUR__VALUES(PARTITION_OF(place), kur__int(place->offset)), error);
    return status;
}

kur_status kur__sqlite_inbox_reset(void *connection, const kur_inbox_place *place, const kur_uuid *log_id,
                                   kur_error *error)
{
    kur_status status = kur__sqlite_begin(connection, error);
    return status != KUR_OK ? status : kur__sqlite_end(connection, reset_in(connection, place, log_id, error), error);
}

/* ---- Records ---- */

/* What is known of a record. */
struct standing {
    kur_inbox_turn turn;
    bool is_passed, has_row;
};

static kur_status read_standing(sqlite3 *db, const kur_inbox_place *place, struct standing *standing, kur_error *error)
{
    struct position position;
    int64_t is_open = 0;
    kur_status status = read_position(db, place, &position, error);
    *standing = (struct standing){.turn = KUR_INBOX_LOST};
    if (status != KUR_OK || !position.is_there || position.epoch != place->epoch)
        return status;
    status = kur__sqlite_number(db, "SELECT is_open FROM kurier_inbox_done WHERE " AT_OFFSET,
                                KUR__VALUES(PARTITION_OF(place), kur__int(place->offset)), &is_open, &standing->has_row,
                                error);
    standing->is_passed = place->offset >= position.first && place->offset < position.next;
    bool is_done = standing->has_row ? !is_open : standing->is_passed;
    standing->turn = is_done ? KUR_INBOX_DONE : KUR_INBOX_HANDLE;
    return status;
}

static kur_status write_row(sqlite3 *db, const kur_inbox_place *place, bool is_open, kur_error *error)
{
    return kur__sqlite_run(
        db,
        "INSERT INTO kurier_inbox_done(consumer, topic, partition, \"offset\", is_open) VALUES (?1, ?2, ?3, ?4, ?5) "
        "ON CONFLICT (consumer, topic, partition, \"offset\") DO UPDATE SET is_open = ?5",
        KUR__VALUES(PARTITION_OF(place), kur__int(place->offset), kur__int(is_open)), error);
}

/* Where the position has passed, what has no row is done. */
kur_status kur__sqlite_enter(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn, kur_error *error)
{
    struct standing standing;
    kur_status status = read_standing(transaction, place, &standing, error);
    if (status == KUR_OK && standing.turn == KUR_INBOX_HANDLE)
        status = standing.is_passed ? kur__sqlite_run(transaction, "DELETE FROM kurier_inbox_done WHERE " AT_OFFSET,
                                                      KUR__VALUES(PARTITION_OF(place), kur__int(place->offset)), error)
                                    : write_row(transaction, place, false, error);
    if (status == KUR_OK)
        *turn = standing.turn;
    return status;
}

kur_status kur__sqlite_leave_open(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn,
                                  kur_error *error)
{
    struct standing standing;
    kur_status status = read_standing(transaction, place, &standing, error);
    if (status == KUR_OK && standing.turn == KUR_INBOX_HANDLE && !standing.has_row)
        status = write_row(transaction, place, true, error);
    if (status == KUR_OK)
        *turn = standing.turn;
    return status;
}

/* ---- Ids of events ---- */

kur_status kur__sqlite_note(void *transaction, const char *consumer, const char *event_id, bool *was_there,
                            kur_error *error)
{
    kur_status status = kur__sqlite_run(
        transaction,
        "INSERT INTO kurier_inbox_message(consumer, event_id, noted) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        KUR__VALUES(kur__text(consumer), kur__text(event_id), kur__int(kur_clock_now_us())), error);
    if (status == KUR_OK)
        *was_there = sqlite3_changes(transaction) == 0;
    return status;
}

kur_status kur__sqlite_forget(void *connection, const char *consumer, int64_t before_us, int32_t most, int32_t *count,
                              kur_error *error)
{
    kur_status status = kur__sqlite_begin(connection, error);
    if (status != KUR_OK)
        return status;
    status =
        kur__sqlite_run(connection,
                        "DELETE FROM kurier_inbox_message WHERE consumer = ?1 AND event_id IN (SELECT event_id FROM "
                        "kurier_inbox_message WHERE consumer = ?1 AND noted < ?2 ORDER BY noted LIMIT ?3)",
                        KUR__VALUES(kur__text(consumer), kur__int(before_us), kur__int(most)), error);
    int32_t deleted = sqlite3_changes(connection);
    status = kur__sqlite_end(connection, status, error);
    if (status == KUR_OK && count != NULL)
        *count = deleted;
    return status;
}
