/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of SQLite's driver share. A connection is a bare sqlite3. Those of the library's own keep their
 * statements: SQLite lists them (sqlite3_next_stmt), so that nothing has to be kept beside the connection, and they go
 * with it. On a connection of the caller's nothing is left behind.
 */
#ifndef KURIER_SQLITE_SQLITE_H
#define KURIER_SQLITE_SQLITE_H

#include <kurier/driver.h>
#include <kurier/sqlite.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* The schema that this driver knows. */
#define KUR__SQLITE_SCHEMA 1

/* What kur_database_state gives. */
struct kur__sqlite {
    char *path; /* absolute */
    char *setup;
    int busy_timeout_ms;
    atomic_uint warned; /* which lines were given out */
};

/* ---- statement.c ---- */

/* A value to bind. */
struct kur__value {
    char kind; /* 0 ends a list */
    int64_t number;
    kur_bytes bytes;
};

static inline struct kur__value kur__int(int64_t number)
{
    return (struct kur__value){'i', number, {0}};
}

static inline struct kur__value kur__text(const char *text)
{
    return (struct kur__value){'t', 0, kur_bytes_text(text)};
}

static inline struct kur__value kur__blob(kur_bytes bytes)
{
    return (struct kur__value){'b', 0, bytes};
}

/* They are bound without a copy: what they point to stays until the statement is reset. */
#define KUR__VALUES(...) ((const struct kur__value[]){__VA_ARGS__, {0}})
#define KUR__NO_VALUES ((const struct kur__value[]){{0}})

/* Sets the error that the connection has, in the words of driver.h; `what` was tried. Never KUR_OK. */
kur_status kur__sqlite_error(sqlite3 *db, const char *what, kur_error *error);

/* A statement of a connection of the library's, made when it is not there yet. `sql` is one text for each use. */
kur_status kur__sqlite_statement(sqlite3 *db, const char *sql, sqlite3_stmt **statement, kur_error *error);

/* Binds the values, from the first parameter on. */
kur_status kur__sqlite_bind(sqlite3_stmt *statement, const struct kur__value *values, kur_error *error);

/* The next row; without one, or with an error, the statement is reset and its values are forgotten. */
kur_status kur__sqlite_step(sqlite3_stmt *statement, bool *is_row, kur_error *error);

/* Resets a statement, and forgets its values. */
void kur__sqlite_reset(sqlite3_stmt *statement);

/* A statement from its beginning to its end; rows are passed over. */
kur_status kur__sqlite_run(sqlite3 *db, const char *sql, const struct kur__value *values, kur_error *error);

/* The number in the first column of the first row; `is_there`, if not NULL, tells whether there is a row. */
kur_status kur__sqlite_number(sqlite3 *db, const char *sql, const struct kur__value *values, int64_t *number,
                              bool *is_there, kur_error *error);

/* Bytes of a column: NULL gives none, and what is empty is not NULL. */
kur_bytes kur__sqlite_bytes(sqlite3_stmt *statement, int column);

/* ---- sqlite.c ---- */

/* Begins a transaction that writes. */
kur_status kur__sqlite_begin(void *connection, kur_error *error);

/* Likewise one that reads, in one snapshot; kur__sqlite_rollback ends it. */
kur_status kur__sqlite_begin_to_read(sqlite3 *db, kur_error *error);

/*
 * Ends the transaction of a function that has all of it to itself: commits when `status` is KUR_OK, rolls back when
 * not. A commit of unknown outcome is an error like others there: all of them may be repeated.
 */
kur_status kur__sqlite_end(sqlite3 *db, kur_status status, kur_error *error);

void kur__sqlite_rollback(void *connection);

/* ---- What the driver consists of ---- */

/* schema.c */
kur_status kur__sqlite_schema_text(void *database, int32_t from, int32_t shards, kur_buffer *buffer, kur_error *error);
kur_status kur__sqlite_migrate(void *connection, int32_t shards, kur_error *error);
kur_status kur__sqlite_schema_read(void *connection, int32_t *schema, int32_t *shards, kur_uuid *id, kur_error *error);

/* add.c */
kur_status kur__sqlite_add(void *database, void *transaction, const kur_outbox_row *row, kur_error *error);
const char *kur__sqlite_warn(void *database, void *transaction);

/* relay.c */
kur_status kur__sqlite_claim(void *connection, const kur_outbox_claim *claim, int32_t *shards, size_t *count,
                             kur_error *error);
kur_status kur__sqlite_read(void *connection, const int32_t *shards, size_t count, int32_t rows, size_t bytes,
                            kur_outbox_take *take, void *user, kur_error *error);
kur_status kur__sqlite_delete(void *connection, const kur_outbox_id *ids, size_t count, size_t *deleted,
                              kur_error *error);
kur_status kur__sqlite_raise(void *connection, const int32_t *shards, size_t count, kur_error *error);
kur_status kur__sqlite_figures(void *connection, kur_outbox_figures *figures, kur_error *error);

/* parked.c */
kur_status kur__sqlite_park(void *connection, const kur_outbox_parked_row *rows, size_t count, bool blocks_keys,
                            kur_error *error);
kur_status kur__sqlite_parked(void *connection, const kur_outbox_id *after, int32_t rows, kur_outbox_take_parked *take,
                              void *user, kur_error *error);
kur_status kur__sqlite_unpark(void *connection, int64_t id, kur_error *error);
kur_status kur__sqlite_drop(void *connection, int64_t id, kur_error *error);

/* inbox.c */
kur_status kur__sqlite_join(void *connection, const kur_inbox_place *place, kur_uuid *log_id, int64_t *next,
                            int64_t *epoch, kur_error *error);
kur_status kur__sqlite_enter(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn, kur_error *error);
kur_status kur__sqlite_leave_open(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn,
                                  kur_error *error);
kur_status kur__sqlite_move(void *connection, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error);
kur_status kur__sqlite_inbox_reset(void *connection, const kur_inbox_place *place, const kur_uuid *log_id,
                                   kur_error *error);
kur_status kur__sqlite_note(void *transaction, const char *consumer, const char *event_id, bool *was_there,
                            kur_error *error);
kur_status kur__sqlite_forget(void *connection, const char *consumer, int64_t before_us, int32_t most, int32_t *count,
                              kur_error *error);

/* look.c */
kur_status kur__sqlite_shards(void *connection, kur_outbox_take_shard *take, void *user, kur_error *error);
kur_status kur__sqlite_relays(void *connection, kur_outbox_take_relay *take, void *user, kur_error *error);
kur_status kur__sqlite_positions(void *connection, const char *consumer, kur_inbox_take_position *take, void *user,
                                 kur_error *error);
kur_status kur__sqlite_remove(void *connection, const char *consumer, const char *topic, int32_t partition,
                              int32_t *count, kur_error *error);

#endif
