/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/outbox.h>: a row of the service's database and its event, both or neither. The event is added in the caller's
 * own transaction, on the caller's own connection; a relay (<kurier/relay.h>), in this process or another, sends what
 * was committed.
 *
 *     sqlite3_exec(db, "BEGIN IMMEDIATE", …);
 *     … INSERT INTO orders …
 *     order_created_outbox(outbox, db, &event, NULL, &error);
 *     sqlite3_exec(db, "COMMIT", …);
 *     kur_outbox_committed(outbox);
 *
 * Order: events of a key are sent in the order in which their transactions committed, given that each transaction first
 * changes (or locks) the row that the key stands for, and then adds the event. Keys are independent of each other;
 * events without a key have no order. docs/guide/outbox.md shows the SQL that keeps it and the SQL that breaks it.
 *
 * What is added is checked as by a producer, with the same default key, source and headers; so nothing that a broker
 * would refuse for its form is found out after the commit.
 */
#ifndef KURIER_OUTBOX_H
#define KURIER_OUTBOX_H

#include <kurier/client.h>
#include <kurier/database.h>
#include <kurier/event.h>
#include <kurier/producer.h>
#include <kurier/type.h>

KUR_BEGIN_DECLS

/** An outbox in a database, for those who add. Any thread. */
typedef struct kur_outbox kur_outbox;

/** What kur_outbox_new may be told. */
typedef struct kur_outbox_options {
    size_t size;
    int64_t record_bytes; /**< a larger event is refused at once (message.max.bytes); default 1,000,000, at most
                               100,000,000 */
} kur_outbox_options;

#define KUR_OUTBOX_OPTIONS(...) KUR__OPTIONS(kur_outbox_options, __VA_ARGS__)

/**
 * Connects to the database and checks its tables; blocks. The client gives the events' source, and the log; no broker
 * is asked. Both must outlive the outbox. `options` may be NULL. NULL with KUR_ERROR_SCHEMA (with the command to run),
 * KUR_ERROR_UNREACHABLE, KUR_ERROR_DATABASE, KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_SYSTEM, KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_outbox *kur_outbox_new(kur_client *client, kur_database *database, const kur_outbox_options *options,
                                   kur_error *error);

/** Frees it; its relays have been freed before. NULL does nothing. */
KUR_API void kur_outbox_free(kur_outbox *outbox);

/**
 * Adds a record to the transaction that is open on the caller's connection (`transaction`: a PGconn *, a sqlite3 *, as
 * the database's driver says): one INSERT, nothing else. `message` as kur_producer_send takes it, but .on_result and
 * .timestamp_us, which must be unset: a record's time is when it is sent. Headers are kept in their order.
 *
 * KUR_OK: it is sent if, and only if, the transaction commits. KUR_ERROR_INVALID_STATE: no transaction is open, or it
 * has failed, or the connection is busy, or it is another file's or database's than the outbox's. KUR_ERROR_SCHEMA: the
 * connection does not see the tables. KUR_ERROR_DATABASE: what the database said; with PostgreSQL the transaction has
 * then failed. KUR_ERROR_UNREACHABLE, KUR_ERROR_TOO_LARGE, KUR_ERROR_INVALID_ARGUMENT (a topic's name that cannot
 * exist, too), KUR_ERROR_NO_MEMORY. Any thread, but one at a time for a connection. Blocks as the
 * database does.
 */
KUR_API kur_status kur_outbox_add(kur_outbox *outbox, void *transaction, const kur_message *message, kur_error *error);

/**
 * Encodes an event and adds it; the struct stays the caller's. Options as for kur_producer_publish, but .on_result and
 * .timestamp_us, which must be unset; `options` may be NULL. What kur_outbox_add returns, and what kur_producer_publish
 * returns for encoding it: in Avro it may wait for where the schema is kept, while the transaction is open. Any thread,
 * as kur_outbox_add.
 */
KUR_API kur_status kur_outbox_publish(kur_outbox *outbox, void *transaction, const kur_type *type, const void *event,
                                      const kur_publish_options *options, kur_error *error);

/** Likewise an event whose data are already encoded; see kur_producer_publish_raw. Any thread, as kur_outbox_add. */
KUR_API kur_status kur_outbox_publish_raw(kur_outbox *outbox, void *transaction, const char *event_type, kur_bytes data,
                                          const kur_publish_options *options, kur_error *error);

/**
 * Tells this outbox's relays in this process that something was committed, so that it is sent at once and not at the
 * next look, 2 to 50 ms later. Never needed; harmless when nothing was committed. Any thread, signal handlers too: does
 * not wait. NULL does nothing.
 */
KUR_API void kur_outbox_committed(kur_outbox *outbox);

KUR_END_DECLS

#endif
