/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/inbox.h>: an event changes a database exactly once. A listener's handler gets an open transaction; what it
 * does there, and the fact that the record was handled, are committed together. A record that is delivered again, by a
 * crash, a rebalance or a retry, finds that it was handled and is passed over.
 *
 *     kur_inbox *inbox = kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "inventory"), &error);
 *     order_created_inbox(inbox, on_order, NULL);
 *     kur_listener_run(listener, &error);
 *
 *     static kur_outcome on_order(kur_delivery *delivery, void *transaction, const struct order_created *order, void
 * *user)
 *     {
 *         PGconn *connection = transaction;
 *         … UPDATE stock …
 *         stock_reserved_outbox(outbox, transaction, &reserved, NULL, &error);   // and out again, exactly once
 *         return KUR_DONE;
 *     }
 *
 * KUR_DONE commits; every other outcome rolls back, and is then the record's outcome as ever: retries in place and by
 * topic, dead letters and their redrives keep "exactly once". What handlers do elsewhere is at least once as ever.
 *
 * While the database is away records come again in their order, and no attempt is counted. What was handled is passed
 * over also when somebody goes back with the group's offsets: to have it handled again, see kur_inbox_reset.
 *
 * Part of libkurier-patterns.
 */
#ifndef KURIER_INBOX_H
#define KURIER_INBOX_H

#include <kurier/database.h>
#include <kurier/listener.h>

KUR_BEGIN_DECLS

/** What binds a listener's handlers to a database. Any thread; handlers are registered by one thread, before the start.
 */
typedef struct kur_inbox kur_inbox;

/** What kur_inbox_new may be told. */
typedef struct kur_inbox_options {
    size_t size;
    const char *consumer; /**< whose inbox it is, 1 to 255 bytes; needed: the listener's group is a good name, and it
                             must not change: all would be handled once more */
    int connections;      /**< open at once for handlers, at most; default: as many as handlers run at once, with
                             SQLite 1. One more is the inbox's own */
    int move_ms;          /**< how often finished offsets are forgotten; default 1,000 */
    int note_days;        /**< how long ids of kur_inbox_note are kept; default 7 */
} kur_inbox_options;

#define KUR_INBOX_OPTIONS(...) KUR__OPTIONS(kur_inbox_options, __VA_ARGS__)

/**
 * An inbox for a listener that is not started yet, with a thread of its own. Connects to the database and checks its
 * tables; blocks. The listener, which must be freed first, the database, which must be freed after, are the caller's.
 * Handlers that were or will be registered with the listener itself stay what they are. NULL with
 * KUR_ERROR_UNSUPPORTED: a listener with KUR_BROADCAST, or with KUR_EXACTLY_ONCE, whose outcome is not one of the
 * database's, or one of batches, which is refused when it starts as well. KUR_ERROR_INVALID_STATE: it was started, or
 * has an inbox. KUR_ERROR_SCHEMA, KUR_ERROR_UNREACHABLE, KUR_ERROR_DATABASE, KUR_ERROR_INVALID_ARGUMENT,
 * KUR_ERROR_SYSTEM, KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_inbox *kur_inbox_new(kur_listener *listener, kur_database *database, const kur_inbox_options *options,
                                 kur_error *error);

/**
 * Ends its thread, closes its connections and frees it; after the listener has been freed: before that it only logs an
 * error. Waits for a statement of its thread. NULL does nothing.
 */
KUR_API void kur_inbox_free(kur_inbox *inbox);

/**
 * Handles a record in a transaction. `transaction` is the driver's connection (a PGconn *, a sqlite3 *), in the middle
 * of a transaction that it must neither commit nor roll back, and valid until it returns. The delivery can neither be
 * deferred nor emit: events go into an outbox, in the same transaction.
 */
typedef kur_outcome kur_inbox_handler(kur_delivery *delivery, void *transaction, void *user);

/** Handles every record that no typed handler takes; before the start, as kur_listener_on_record. */
KUR_API kur_status kur_inbox_on_record(kur_inbox *inbox, kur_inbox_handler *handler, void *user);

/** Handles null values; before the start, as kur_listener_on_tombstone. */
KUR_API kur_status kur_inbox_on_tombstone(kur_inbox *inbox, kur_inbox_handler *handler, void *user);

/**
 * For producers that may send an event twice, under the same id: notes the id of the event at hand in the handler's
 * transaction, and says whether it was noted before (then return KUR_DONE). Kept for .note_days.
 * In the handler, on its thread. KUR_ERROR_INVALID_ARGUMENT when the record has no id, KUR_ERROR_DATABASE,
 * KUR_ERROR_UNREACHABLE: return kur_retry.
 */
KUR_API kur_status kur_inbox_note(kur_inbox *inbox, kur_delivery *delivery, void *transaction, bool *was_there,
                                  kur_error *error);

/** How an inbox is. */
typedef struct kur_inbox_health {
    size_t size;
    int64_t handled; /**< committed */
    int64_t passed;  /**< were done before */
    int64_t rolled_back;
    int64_t unknown;   /**< commits whose answer was lost: looked up at once */
    int64_t postponed; /**< could not be handled for the database's sake, and came again */
    int64_t left_open; /**< forwarded records that were noted as not done */
    int64_t failures;  /**< of the database */
    int connections;   /**< open now */
} kur_inbox_health;

#define KUR_INBOX_HEALTH(...) KUR__OPTIONS(kur_inbox_health, __VA_ARGS__)

/** Fills it in; set its .size. Any thread; does not wait. KUR_ERROR_INVALID_ARGUMENT for NULL. */
KUR_API kur_status kur_inbox_health_read(kur_inbox *inbox, kur_inbox_health *health, kur_error *error);

/**
 * Records of a partition from `offset` on count as not handled: for a replay. The service is stopped first, then its
 * inbox reset, then the group's offset set back to the same place, then the service started: while it runs, what its
 * group has committed would count as handled again. Blocks: for up to 10 s for handlers that are still at work.
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_SCHEMA, KUR_ERROR_UNREACHABLE, KUR_ERROR_DATABASE, KUR_ERROR_NO_MEMORY. Any
 * thread.
 */
KUR_API kur_status kur_inbox_reset(kur_database *database, const char *consumer, const char *topic, int32_t partition,
                                   int64_t offset, kur_error *error);

KUR_END_DECLS

#endif
