/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of PostgreSQL's driver share. A connection is a bare PGconn, for the handlers of an inbox get it; what
 * the driver knows of one of its own hangs at it as libpq's instance data. In statements @ stands for the schema.
 */
#ifndef KURIER_POSTGRES_POSTGRES_H
#define KURIER_POSTGRES_POSTGRES_H

#include <kurier/driver.h>
#include <kurier/postgres.h>
#include <libpq-events.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>

/* The schema that this driver knows. */
#define KUR__POSTGRES_SCHEMA 2

/* What kur_database_state gives. */
struct kur__postgres {
    char *conninfo; /* NULL: libpq's own */
    char schema[49];
    int connect_timeout_ms;
    bool prepares;
    atomic_bool has_warned;
    pthread_mutex_t lock; /* guards what follows */
    bool has_id;
    kur_uuid id; /* the database's, once it has been read */
};

/* ---- statement.c ---- */

/* Types of PostgreSQL's, by the numbers that they have in every database. */
enum {
    KUR__PG_BYTEA = 17,
    KUR__PG_INT8 = 20,
    KUR__PG_INT2 = 21,
    KUR__PG_INT4 = 23,
    KUR__PG_TEXT = 25,
    KUR__PG_BOOLS = 1000,
    KUR__PG_INT2S = 1005,
    KUR__PG_INT4S = 1007,
    KUR__PG_TEXTS = 1009,
    KUR__PG_INT8S = 1016,
    KUR__PG_BOOL = 16,
    KUR__PG_TIME = 1184,
    KUR__PG_UUID = 2950
};

enum {
    KUR__PG_VALUES_MAX = 8
};

/* A statement's values, in binary. Starts as {0}; borrows texts and bytes, and stays where it is until it was sent. */
struct kur__pg_values {
    int count;
    Oid types[KUR__PG_VALUES_MAX];
    const char *data[KUR__PG_VALUES_MAX];
    int sizes[KUR__PG_VALUES_MAX], formats[KUR__PG_VALUES_MAX];
    char numbers[KUR__PG_VALUES_MAX][8];
};

void kur__pg_add_int2(struct kur__pg_values *values, int32_t number);
void kur__pg_add_int4(struct kur__pg_values *values, int32_t number);
void kur__pg_add_int8(struct kur__pg_values *values, int64_t number);
void kur__pg_add_bool(struct kur__pg_values *values, bool is);
void kur__pg_add_text(struct kur__pg_values *values, const char *text);
void kur__pg_add_bytes(struct kur__pg_values *values, Oid type, kur_bytes bytes); /* data NULL: null */
/* Microseconds since 1970. */
void kur__pg_add_time(struct kur__pg_values *values, int64_t time_us);

/* An array of `count` elements of a type: its head, then one element after the other. The buffer is the caller's. */
kur_status kur__pg_array(kur_buffer *array, Oid element, size_t count);
kur_status kur__pg_put_int(kur_buffer *array, int64_t number, int size);
kur_status kur__pg_put_bytes(kur_buffer *array, kur_bytes bytes); /* data NULL: null */
/* Of shards' numbers. */
kur_status kur__pg_shards(kur_buffer *array, const int32_t *shards, size_t count);

/*
 * Runs a statement and waits for its end. A `result` is cleared by the caller; NULL when none is wanted. `what` was
 * tried, for the error.
 */
kur_status kur__pg_run(PGconn *connection, const char *what, const char *sql, const struct kur__pg_values *values,
                       PGresult **result, kur_error *error);

/* Takes a row of a result. What is not KUR_OK ends it. */
typedef kur_status kur__pg_take(const PGresult *result, int row, void *user, kur_error *error);

/* Likewise row by row as they come, so that never more than one is in memory. */
kur_status kur__pg_each(PGconn *connection, const char *what, const char *sql, const struct kur__pg_values *values,
                        kur__pg_take *take, void *user, kur_error *error);

/* Several statements at once, without values. */
kur_status kur__pg_script(PGconn *connection, const char *what, const char *sql, kur_error *error);

/*
 * Ends a connection that is of no more use, so that nobody finds one that looks well: the server rolls back what is
 * open, and whatever is tried there is KUR_ERROR_UNREACHABLE. It is still to be disconnected.
 */
void kur__pg_hang_up(PGconn *connection);

/* The error that a result (NULL: the connection) has, in the words of driver.h. Never KUR_OK. */
kur_status kur__pg_error(const PGconn *connection, const PGresult *result, const char *what, kur_error *error);

/* What stands in a row; NULL is 0, false, none. */
int64_t kur__pg_int(const PGresult *result, int row, int column);
bool kur__pg_bool(const PGresult *result, int row, int column);
kur_bytes kur__pg_bytes(const PGresult *result, int row, int column);
/* With a NUL behind it; "" for NULL. */
const char *kur__pg_text(const PGresult *result, int row, int column);
int64_t kur__pg_time_us(const PGresult *result, int row, int column);

/* The statement with the schema's name in place of @. */
kur_status kur__pg_expand(const char *sql, const char *schema, kur_buffer *text, kur_error *error);

/* ---- connection.c ---- */

/* Whose connection it is; NULL for one of a caller's. */
struct kur__postgres *kur__pg_owner(const PGconn *connection);

kur_status kur__pg_connect(void *database, void **connection, kur_error *error);
void kur__pg_disconnect(void *connection);
/* Begins a transaction in which a lock is waited for 10 s at most. */
kur_status kur__pg_begin(void *connection, kur_error *error);
/*
 * One in which only the driver's own statements follow each other: the server ends it when the next does not come
 * within 20 s, so that a process that is frozen in the middle of it does not keep others from its locks.
 */
kur_status kur__pg_begin_own(void *connection, kur_error *error);
kur_status kur__pg_commit(void *connection, kur_error *error);
void kur__pg_rollback(void *connection);
/*
 * Ends the transaction of a function that has all of it to itself: commits when `status` is KUR_OK, rolls back when
 * not. That an outcome is not known is an error like others there: all of them may be repeated.
 */
kur_status kur__pg_end(PGconn *connection, kur_status status, kur_error *error);

/* One line of a text of libpq's that may quote a conninfo: without what it quotes. */
void kur__pg_mask(const char *text, char *line, size_t size);

/* ---- What the driver consists of ---- */

/* schema.c */
kur_status kur__pg_schema_text(void *database, int32_t from, int32_t shards, kur_buffer *buffer, kur_error *error);
kur_status kur__pg_migrate(void *connection, int32_t shards, kur_error *error);
kur_status kur__pg_schema_read(void *connection, int32_t *schema, int32_t *shards, kur_uuid *id, kur_error *error);

/* outbox.c */
kur_status kur__pg_add(void *database, void *transaction, const kur_outbox_row *row, kur_error *error);
const char *kur__pg_warn(void *database, void *transaction);
kur_status kur__pg_read(void *connection, const int32_t *shards, size_t count, int32_t rows, size_t bytes,
                        kur_outbox_take *take, void *user, kur_error *error);
kur_status kur__pg_delete(void *connection, const kur_outbox_id *ids, size_t count, size_t *deleted, kur_error *error);

/* relay.c */
kur_status kur__pg_claim(void *connection, const kur_outbox_claim *claim, int32_t *shards, size_t *count,
                         kur_error *error);
kur_status kur__pg_raise(void *connection, const int32_t *shards, size_t count, kur_error *error);
kur_status kur__pg_figures(void *connection, kur_outbox_figures *figures, kur_error *error);

/* parked.c */
kur_status kur__pg_park(void *connection, const kur_outbox_parked_row *rows, size_t count, bool blocks_keys,
                        kur_error *error);
kur_status kur__pg_parked(void *connection, const kur_outbox_id *after, int32_t rows, kur_outbox_take_parked *take,
                          void *user, kur_error *error);
kur_status kur__pg_unpark(void *connection, int64_t id, kur_error *error);
kur_status kur__pg_drop(void *connection, int64_t id, kur_error *error);

/* inbox.c */
kur_status kur__pg_join(void *connection, const kur_inbox_place *place, kur_uuid *log_id, int64_t *next, int64_t *epoch,
                        kur_error *error);
kur_status kur__pg_enter(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn, kur_error *error);
kur_status kur__pg_leave_open(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn, kur_error *error);
kur_status kur__pg_move(void *connection, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error);
kur_status kur__pg_reset(void *connection, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error);
kur_status kur__pg_note(void *transaction, const char *consumer, const char *event_id, bool *was_there,
                        kur_error *error);
kur_status kur__pg_forget(void *connection, const char *consumer, int64_t before_us, int32_t most, int32_t *count,
                          kur_error *error);

/* look.c */
kur_status kur__pg_look_shards(void *connection, kur_outbox_take_shard *take, void *user, kur_error *error);
kur_status kur__pg_relays(void *connection, kur_outbox_take_relay *take, void *user, kur_error *error);
kur_status kur__pg_positions(void *connection, const char *consumer, kur_inbox_take_position *take, void *user,
                             kur_error *error);
kur_status kur__pg_remove(void *connection, const char *consumer, const char *topic, int32_t partition, int32_t *count,
                          kur_error *error);

#endif
