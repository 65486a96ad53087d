/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/relay.h>: sends what an outbox holds (<kurier/outbox.h>): a thread in the service, or `kurier outbox relay`
 * as a process by itself. As many as one likes, wherever they run, share the outbox's shards, and take over from one
 * that has died. A row is deleted when its record is in Kafka, and not before.
 *
 * How often an event is sent is the relay's guarantee; all relays of an outbox have the same:
 *
 *     KUR_AT_LEAST_ONCE  the default. Once, or again when a relay died or lost its lease between sending and deleting.
 *                        The order of a key holds for the first time that each event is seen.
 *     KUR_EXACTLY_ONCE   who reads committed (the default of consumers) sees each event exactly once, in its key's
 *                        order, whoever died when: records, and which rows they were, stand in one transaction of
 *                        Kafka's. Needs a broker with transactions.
 *
 * Part of libkurier-patterns. Not for use across fork.
 */
#ifndef KURIER_RELAY_H
#define KURIER_RELAY_H

#include <kurier/listener.h>
#include <kurier/outbox.h>

KUR_BEGIN_DECLS

/** A relay with its thread. Any thread but the relay's own, unless it is said. */
typedef struct kur_relay kur_relay;

/** A row that was put aside. */
typedef struct kur_parked_view {
    size_t size;
    int64_t id;
    int shard;
    bool is_behind;    /**< not tried itself: it waits behind a row of its key that was refused */
    int attempts;      /**< how often it was sent and refused */
    const char *error; /**< why, one line; NULL when it is behind another */
    const char *topic;
    int32_t partition; /**< KUR_PARTITION(n) when the service asked for one; 0: chosen by the key */
    kur_bytes key;     /**< data NULL: none */
    kur_bytes value;   /**< data NULL: a tombstone */
    const kur_header *headers;
    size_t header_count;
    int64_t created_us; /**< when it was added, by the database's clock, microseconds since 1970 */
    int64_t parked_us;
} kur_parked_view;

/** By shard and id. */
typedef struct kur_parked_list {
    size_t count;
    const kur_parked_view *const *items;
} kur_parked_list;

/** What kur_relay_new may be told. */
typedef struct kur_relay_options {
    size_t size;
    kur_guarantee guarantee;
    const char
        *name;        /**< of this relay, unlike all others'; default: host, process and a number. With KUR_EXACTLY_ONCE
                           one that stays over restarts lets a relay that died go on at once: it ends what it had begun */
    int batch_rows;   /**< sent together, at most; default 4,000, at most 100,000 */
    int batch_kbytes; /**< likewise, their size in KiB; default 8,192, at most 65,536 */
    int poll_ms;      /**< how long it waits at most before it looks whether there is something; default 50, from 2 on:
                           after something was there it begins at 2 */
    int lease_ms;     /**< how long a relay that is silent keeps its shards; default 10,000, from 1,000 on. With
                           KUR_EXACTLY_ONCE its session in the group */
    bool blocks_nothing; /**< a refused row does not hold back those of its key: the order of that key is given up */
    const char *control; /**< with KUR_EXACTLY_ONCE: the topic that says what was sent, and the relays' group; default
                              "kurier.outbox.ID" with the id that the database was given with its tables. It is made
                              when it is not there: compacted, a partition for each shard */
    int replicas;        /**< of that topic, when it is made; default: the broker's */
    int transaction_ms;  /**< with KUR_EXACTLY_ONCE: the broker ends a transaction that is open for longer; default
                              15,000 */
    void (*on_parked)(const kur_parked_view *row, void *user); /**< told of each row that is refused for good; on the
                              relay's thread, must return soon; the row is valid during the call */
    void *user;                                                /**< handed to on_parked */
} kur_relay_options;

#define KUR_RELAY_OPTIONS(...) KUR__OPTIONS(kur_relay_options, __VA_ARGS__)

/**
 * A relay that waits for its start; it has a producer of its own. Outbox and client must outlive it. `options` may be
 * NULL. NULL with KUR_ERROR_INVALID_ARGUMENT (naming the option), KUR_ERROR_CONFIG, KUR_ERROR_NO_MEMORY. Does not wait.
 */
KUR_API kur_relay *kur_relay_new(kur_outbox *outbox, const kur_relay_options *options, kur_error *error);

/**
 * Starts its thread. Waits neither for the database nor for a broker: what is away is waited for, told in the log, and
 * counted. KUR_ERROR_INVALID_STATE when it was started before, KUR_ERROR_SYSTEM. Once.
 */
KUR_API kur_status kur_relay_start(kur_relay *relay, kur_error *error);

/**
 * Starts, and blocks until SIGTERM, SIGINT, kur_relay_request_stop or an error that ends it; then stops, for 30 s at
 * most. Signals as in kur_listener_run. KUR_OK, KUR_ERROR_TIMEOUT, or the error that ended it.
 */
KUR_API kur_status kur_relay_run(kur_relay *relay, kur_error *error);

/**
 * Begins nothing new, waits for what is under way, gives its shards to the others. KUR_OK, KUR_ERROR_TIMEOUT, or the
 * error that ended the relay before: KUR_ERROR_INVALID_STATE (relays of the other guarantee are at work),
 * KUR_ERROR_FENCED (another relay has this name), KUR_ERROR_UNSUPPORTED (a broker without transactions),
 * KUR_ERROR_SCHEMA, KUR_ERROR_AUTHORIZATION (the control topic, its group, the transactional ids), KUR_ERROR_CONFIG
 * (the control topic is not as it must be, or what it says cannot be read: docs/decisions/outbox-exactly-once.md says
 * what can be done; .lease_ms or .transaction_ms is none that the broker takes). By its deadline also with database and
 * brokers away. Again is allowed.
 */
KUR_API kur_status kur_relay_stop(kur_relay *relay, int timeout_ms, kur_error *error);

/** Lets run return, or begins a stop. Any thread, the relay's own and signal handlers: async-signal-safe. */
KUR_API void kur_relay_request_stop(kur_relay *relay);

/** Stops, for 10 s at most, and frees. NULL does nothing. */
KUR_API void kur_relay_free(kur_relay *relay);

/** How many buckets kur_relay_health.latency has; see kur_relay_latency_bound_us. */
#define KUR_RELAY_LATENCY_BUCKETS 16

/** How a relay is, since its start unless it is said. */
typedef struct kur_relay_health {
    size_t size;
    bool is_running;
    int shards;       /**< that are its own now */
    int64_t sent;     /**< rows whose record was acknowledged, or is committed */
    int64_t repeated; /**< of those: rows that were there no more when they were to be deleted: sent by another too */
    int64_t refused;  /**< rows that it has parked */
    int64_t batches;
    int64_t last_batch; /**< rows of the last one */
    int64_t takeovers;  /**< shards that came to it */
    int64_t failures;   /**< of the database or a broker: each is tried again */
    int64_t failing_ms; /**< since when nothing has gone through though something was there; 0: the last batch has */
    char failure[256];  /**< the last failure, one line */
    int64_t transaction_us;                     /**< with KUR_EXACTLY_ONCE: how long transactions took, altogether */
    int64_t latency[KUR_RELAY_LATENCY_BUCKETS]; /**< rows by the time from their adding to their acknowledgement; clocks
                                                   of database and relay differ */
    /* ---- Of the whole outbox, as of a few seconds ago ---- */
    int64_t depth;     /**< rows that wait; estimated above 10,000; -1: not known yet */
    int64_t oldest_ms; /**< how long the oldest that waits has waited */
    int64_t parked;    /**< rows refused */
    int64_t behind;    /**< rows parked behind them */
    int64_t blocked;   /**< keys with a parked row */
    int64_t floor_ms;  /**< how long the scan's beginning has not moved: a transaction of that age is open somewhere */
} kur_relay_health;

#define KUR_RELAY_HEALTH(...) KUR__OPTIONS(kur_relay_health, __VA_ARGS__)

/** Fills it in; set its .size. Any thread, the relay's own too; does not wait. KUR_ERROR_INVALID_ARGUMENT for NULL. */
KUR_API kur_status kur_relay_health_read(kur_relay *relay, kur_relay_health *health, kur_error *error);

/** What the rows that latency[bucket] counts took at most: 1 ms to 30 s; INT64_MAX for the last. Any thread. */
KUR_API int64_t kur_relay_latency_bound_us(int bucket);

/* ---- What was parked; each call has a connection of its own, and blocks ---- */

/**
 * The rows that were put aside, at most `most` of those behind the one with this shard and id (both 0: from the
 * beginning). Views in `arena`. KUR_ERROR_UNREACHABLE, KUR_ERROR_DATABASE, KUR_ERROR_INVALID_ARGUMENT,
 * KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_outbox_parked(kur_outbox *outbox, int after_shard, int64_t after_id, int most, kur_arena *arena,
                                     kur_parked_list *parked, kur_error *error);

/**
 * One of them, by its id. The view is in `arena`. KUR_ERROR_STALE when it is not there. Others as above. Any thread.
 */
KUR_API kur_status kur_outbox_find_parked(kur_outbox *outbox, int64_t id, kur_arena *arena, const kur_parked_view **row,
                                          kur_error *error);

/**
 * Lets a parked row be sent again, in its place before the others of its key, which follow it. KUR_ERROR_STALE when it
 * is not there, KUR_ERROR_INVALID_STATE for a row that is behind another: the message names that one. Others as above.
 * Any thread.
 */
KUR_API kur_status kur_outbox_unpark(kur_outbox *outbox, int64_t id, kur_error *error);

/**
 * Deletes a parked row: its event is never sent. Those behind it go on. `reason` (1 to 500 bytes) stands in the log
 * with the row's id, topic and time. Statuses as kur_outbox_unpark. Any thread.
 */
KUR_API kur_status kur_outbox_drop(kur_outbox *outbox, int64_t id, const char *reason, kur_error *error);

KUR_END_DECLS

#endif
