/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/driver.h>: what a database has to be able to do, so that an outbox and an inbox can live in it. Services do
 * not need this header: they take a driver that is there (<kurier/postgres.h>, <kurier/sqlite.h>). Who writes another
 * one fills in a kur_driver, hands it to kur_database_new, and lets the drivers' test suite run against it
 * (tests/database, docs/guide/drivers.md).
 *
 * A connection is the driver's own type behind a `void *`: a PGconn, a sqlite3. One thread at a time uses it; those
 * that `connect` has made are the library's, those of outbox_add and outbox_warn are the caller's, and in the middle
 * of a transaction that is the caller's too: nothing may be begun, committed or rolled back there.
 *
 * What a function returns says what comes next:
 *
 *     KUR_OK
 *     KUR_ERROR_UNREACHABLE      the connection is of no more use: it is closed, and another one made
 *     KUR_ERROR_UNKNOWN_OUTCOME  of a commit alone: the connection broke before the answer; likewise
 *     KUR_ERROR_DATABASE         the database refused. With error.retriable (a deadlock, a lock that was not had in
 *                                time, a full disk) the same may succeed later; the transaction is rolled back
 *     KUR_ERROR_SCHEMA           a table or column is missing
 *     others                     as said at the function; KUR_ERROR_NO_MEMORY everywhere
 *
 * A function that is not said to run in a transaction of its caller's is one by itself: all of it has happened, or
 * nothing. Each is bounded: no statement waits for longer than 10 s for a lock.
 */
#ifndef KURIER_DRIVER_H
#define KURIER_DRIVER_H

#include <kurier/database.h>

KUR_BEGIN_DECLS

/** How many shards an outbox can have. */
#define KUR_OUTBOX_SHARDS_MAX 256

/** A row of the outbox: a record as it will be sent. Borrows everything. */
typedef struct kur_outbox_row {
    size_t size;
    int64_t id;        /**< given out in the writer's transaction, from 1 on; 0 in a row to add */
    int32_t shard;     /**< from 0 on; rows with the same key have the same */
    int32_t partition; /**< KUR_PARTITION(n); 0: chosen by the key */
    uint32_t mark;     /**< random: tells rows apart when a restored database gives ids out again */
    bool is_blocked;   /**< in `outbox_read`: a row of this key is parked */
    const char *topic;
    kur_bytes key;      /**< data NULL: none */
    kur_bytes headers;  /**< bytes that only the library reads */
    kur_bytes value;    /**< data NULL: a tombstone */
    int64_t created_us; /**< by the database's clock, microseconds since 1970; not looked at in a row to add */
} kur_outbox_row;

/** Takes a row that was read; valid during the call. What is not KUR_OK ends the reading, and is returned. */
typedef kur_status kur_outbox_take(const kur_outbox_row *row, void *user, kur_error *error);

/** Which row: an array of these. */
typedef struct kur_outbox_id {
    int64_t id;
    int32_t shard;
    uint32_t mark;
} kur_outbox_id;

/** A row that was refused, or one behind such a row. */
typedef struct kur_outbox_parked_row {
    kur_outbox_row row;
    bool is_behind;    /**< it was not tried: a row of its key, with a smaller id, is parked */
    const char *error; /**< one line for a person; NULL for one that is behind */
    int32_t attempts;  /**< how often it was tried and refused */
    int64_t parked_us;
} kur_outbox_parked_row;

/** Takes a parked row, as kur_outbox_take. */
typedef kur_status kur_outbox_take_parked(const kur_outbox_parked_row *row, void *user, kur_error *error);

/** How a relay asks for shards. */
typedef struct kur_outbox_claim {
    size_t size;
    const char *relay; /**< its name: no other relay has it */
    int32_t guarantee; /**< kur_guarantee: relays of different guarantees do not work side by side */
    int32_t lease_ms;  /**< what it is given is its own for so long, by the database's clock */
    bool takes_shards; /**< false: it only says that it is there (its shards come from elsewhere) */
    bool ends;         /**< gives everything back, and is forgotten */
} kur_outbox_claim;

/** How an outbox is. */
typedef struct kur_outbox_figures {
    size_t size;
    int64_t depth;     /**< rows that wait, exactly up to 10,000 and estimated above */
    int64_t oldest_us; /**< when the oldest that waits was written; 0: none waits */
    int64_t parked;    /**< rows that were refused */
    int64_t behind;    /**< rows parked behind them */
    int64_t blocked;   /**< keys with a parked row */
    int64_t floor_us; /**< when the floor moved last that could move least: how old the scan's beginning is; 0: never */
} kur_outbox_figures;

/** A shard of the outbox. Borrows its text. */
typedef struct kur_outbox_shard {
    size_t size;
    int32_t shard;
    const char *owner; /**< the relay whose own it is, by its lease; NULL: none's that the database knows of */
    int64_t floor;     /**< its rows are looked for behind this id; -1: there is no floor, for none is needed */
    int64_t raised_us; /**< when the floor moved last, or was found to be where it can be; 0: never, or no floor */
} kur_outbox_shard;

/** Takes a shard, as kur_outbox_take. */
typedef kur_status kur_outbox_take_shard(const kur_outbox_shard *shard, void *user, kur_error *error);

/** A relay that is there. Borrows its text. */
typedef struct kur_outbox_relay {
    size_t size;
    const char *name;
    int32_t guarantee;      /**< kur_guarantee */
    int64_t lease_until_us; /**< by the database's clock: when it counts as gone unless it is heard of before */
} kur_outbox_relay;

/** Takes a relay, as kur_outbox_take. */
typedef kur_status kur_outbox_take_relay(const kur_outbox_relay *relay, void *user, kur_error *error);

/** A place of an inbox's consumer: an offset of a partition. */
typedef struct kur_inbox_place {
    size_t size;
    const char *consumer; /**< 1 to 255 bytes */
    const char *topic;
    int32_t partition;
    int64_t offset;
    int64_t epoch; /**< as `inbox_join` gave it */
} kur_inbox_place;

/** What is kept of a consumer's partition. Borrows its texts. */
typedef struct kur_inbox_position {
    size_t size;
    const char *consumer;
    const char *topic;
    int32_t partition;
    kur_uuid log_id;
    int64_t first, next; /**< see below; -1: not known yet */
    int64_t epoch;
    int64_t done; /**< rows of records that are done */
    int64_t open; /**< rows of records that come again */
} kur_inbox_position;

/** Takes a partition, as kur_outbox_take. */
typedef kur_status kur_inbox_take_position(const kur_inbox_position *position, void *user, kur_error *error);

/** What `inbox_enter` and `inbox_leave_open` say of a record. */
typedef enum kur_inbox_turn {
    KUR_INBOX_HANDLE = 1, /**< not done: the transaction holds its place now; of inbox_leave_open: it is open */
    KUR_INBOX_DONE,       /**< done before */
    KUR_INBOX_LOST        /**< the epoch is not the one in force: the partition has begun anew */
} kur_inbox_turn;

/** What a driver can do. Functions get the `database` that kur_database_new was given, or a connection. */
typedef struct kur_driver {
    size_t size;
    const char *name; /**< "postgres" */
    bool one_relay;   /**< one transaction writes at a time: all shards are one relay's, and an inbox's handlers take
                           turns on one connection */
    int32_t schema;   /**< the number of the schema that it knows */

    /* ---- Connections ---- */

    /** Makes a connection; any thread. Nothing of a password stands in the error. */
    kur_status (*connect)(void *database, void **connection, kur_error *error);
    /** Closes one, also one that broke; what is open on it is rolled back. */
    void (*disconnect)(void *connection);
    /** Ends the database: its last connection has been closed. */
    void (*free)(void *database);
    /** Each statement of the transaction sees what is committed when it begins (READ COMMITTED). */
    kur_status (*begin)(void *connection, kur_error *error);
    /**
     * KUR_ERROR_UNKNOWN_OUTCOME when the connection broke before the answer. KUR_ERROR_DATABASE also for a transaction
     * in which a statement has failed, which some databases roll back and call it a success; KUR_ERROR_INVALID_STATE
     * when none is open: a handler has ended it.
     */
    kur_status (*commit)(void *connection, kur_error *error);
    /** Does nothing outside a transaction. */
    void (*rollback)(void *connection);
    /**
     * A number that changes when another connection has committed something, for less than a statement costs; NULL
     * where there is no such thing.
     */
    kur_status (*changes)(void *connection, int64_t *number, kur_error *error);

    /* ---- Schema ---- */

    /**
     * The statements that bring a database from schema `from` (0: nothing is there) to this driver's, as text for a
     * person or a tool to run, in `buffer`. `shards` is how many the outbox gets, 1 to KUR_OUTBOX_SHARDS_MAX.
     */
    kur_status (*schema_text)(void *database, int32_t from, int32_t shards, kur_buffer *buffer, kur_error *error);
    /** Applies that, in one transaction, once whoever else does it at the same time; does nothing when all is there. */
    kur_status (*migrate)(void *connection, int32_t shards, kur_error *error);
    /** What is there: schema (0: nothing), how many shards, and the database's own id, made with the schema. */
    kur_status (*schema_read)(void *connection, int32_t *schema, int32_t *shards, kur_uuid *id, kur_error *error);

    /* ---- Outbox: the writer's side, on a connection of the caller's ---- */

    /**
     * Adds a row in the caller's transaction: one statement. KUR_ERROR_INVALID_STATE outside a transaction, in one that
     * has failed, when the connection is busy or is another database's or file's than the outbox's.
     */
    kur_status (*outbox_add)(void *database, void *transaction, const kur_outbox_row *row, kur_error *error);
    /**
     * After an outbox_add that went well: how this connection could lose what it commits, as a line for the log; NULL:
     * nothing to say, or it was said before: each line comes once for a database. Static. NULL where there is no such
     * thing.
     */
    const char *(*outbox_warn)(void *database, void *transaction);

    /* ---- Outbox: the relay's side ---- */

    /**
     * Says that a relay is there, and which shards are its own now: those that it had and may keep, and free ones (or
     * those of relays whose lease is over) until it has its share: all of them, divided by the number of relays that
     * are there. Those above its share it gives back. `shards` has room for KUR_OUTBOX_SHARDS_MAX.
     * KUR_ERROR_INVALID_STATE when a relay of the other guarantee is there.
     */
    kur_status (*outbox_claim)(void *connection, const kur_outbox_claim *claim, int32_t *shards, size_t *count,
                               kur_error *error);
    /**
     * Reads rows of these shards that are committed, in one snapshot: one shard after another, each by id from its
     * floor on, at most `rows` of each and about `bytes` in all.
     */
    kur_status (*outbox_read)(void *connection, const int32_t *shards, size_t count, int32_t rows, size_t bytes,
                              kur_outbox_take *take, void *user, kur_error *error);
    /** Deletes those that are there with the same id, shard and mark; how many those were in `deleted`, if not NULL. */
    kur_status (*outbox_delete)(void *connection, const kur_outbox_id *ids, size_t count, size_t *deleted,
                                kur_error *error);
    /**
     * Puts rows aside with their errors, those that are still there, and blocks the keys of those not behind. One that
     * is behind stays where it is when its key is not blocked any more: the row before it has been put back meanwhile.
     */
    kur_status (*outbox_park)(void *connection, const kur_outbox_parked_row *rows, size_t count, bool blocks_keys,
                              kur_error *error);
    /** Moves the floors of these shards as far as is safe. Now and then; costs a few statements. */
    kur_status (*outbox_raise)(void *connection, const int32_t *shards, size_t count, kur_error *error);
    /** How it is. */
    kur_status (*outbox_figures)(void *connection, kur_outbox_figures *figures, kur_error *error);
    /** Tells of all shards, by their numbers. */
    kur_status (*outbox_shards)(void *connection, kur_outbox_take_shard *take, void *user, kur_error *error);
    /** Tells of the relays whose leases are not over, by their names. */
    kur_status (*outbox_relays)(void *connection, kur_outbox_take_relay *take, void *user, kur_error *error);

    /* ---- Outbox: what was parked ---- */

    /** Reads parked rows by shard and id, those behind `after` (NULL: all), at most `rows`. */
    kur_status (*outbox_parked)(void *connection, const kur_outbox_id *after, int32_t rows,
                                kur_outbox_take_parked *take, void *user, kur_error *error);
    /**
     * Puts a parked row back in its place, and those behind it with it unless another of its key stays parked: floors
     * go down to it. KUR_ERROR_STALE when it is not there, KUR_ERROR_INVALID_STATE for one that is behind: the message
     * names the row that blocks it.
     */
    kur_status (*outbox_unpark)(void *connection, int64_t id, kur_error *error);
    /** The same without the row itself, which is deleted. */
    kur_status (*outbox_drop)(void *connection, int64_t id, kur_error *error);

    /*
     * ---- Inbox ----
     *
     * Of each consumer and partition there is a row with its epoch and two offsets, `first` and `next`, and a row for
     * each record that is told apart: done, or open, which says that it comes again. A record is done when its row says
     * so, or when it has none and first <= offset < next. Everybody may handle any record, whoever has the partition:
     * the row of a record is what two of them meet at.
     */

    /**
     * Finds a consumer's row of a partition, and its epoch. When there is none it is made: with the place's offset as
     * both `first` and `next` (-1: not known; then nothing is done without a row of its own, and the first inbox_move
     * says both), and with `log_id`. Otherwise `log_id` becomes the one that is kept: which log the offsets belong to,
     * for the library to compare. `next` may be NULL.
     */
    kur_status (*inbox_join)(void *connection, const kur_inbox_place *place, kur_uuid *log_id, int64_t *next,
                             int64_t *epoch, kur_error *error);
    /**
     * In the handler's transaction, first: whether its turn has come. Who handles the same record in another
     * transaction is waited for. A row that is open becomes done; from `first` to `next` it goes. inbox_move may be
     * at work: so `next` is read when the record's row is made, not before, in a later snapshot; where that says that
     * the record is done, the row is left for the rollback. Until the transaction has ended the epoch stays as it is:
     * inbox_reset waits for it, but neither inbox_move nor who enters for other records does.
     */
    kur_status (*inbox_enter)(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn, kur_error *error);
    /**
     * In a transaction: keeps in mind that a record comes again from elsewhere (a retry topic, the dead letters), so
     * that its offset being passed does not say that it is done. Makes its row, open, when it is not done and has
     * none; waits as inbox_enter, and reads in the same order. The transaction has other records in it, and is
     * committed unless one is KUR_INBOX_LOST: of what is done no row may be left open in it.
     */
    kur_status (*inbox_leave_open)(void *transaction, const kur_inbox_place *place, kur_inbox_turn *turn,
                                   kur_error *error);
    /**
     * What is below place->offset is done, but for what is open: `next` goes up to it, never down, and rows that are
     * done go from `first` to `next`. `log_id` is kept from now on. KUR_ERROR_FENCED when the epoch is not the one in
     * force.
     */
    kur_status (*inbox_move)(void *connection, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error);
    /**
     * A partition begins anew at place->offset: waits, 10 s at most, for those that have entered; all rows from that
     * offset on go, done or open, `next` becomes it, `first` too unless it is less (and not -1), and the epoch another,
     * higher than any before. `log_id` is kept from now on. KUR_ERROR_FENCED when the epoch is not the one in force.
     */
    kur_status (*inbox_reset)(void *connection, const kur_inbox_place *place, const kur_uuid *log_id, kur_error *error);
    /** In the handler's transaction: notes an event's id, and says whether it was there. */
    kur_status (*inbox_note)(void *transaction, const char *consumer, const char *event_id, bool *was_there,
                             kur_error *error);
    /** Forgets ids noted before `before_us`, at most `most` of them; how many those were in `count`. */
    kur_status (*inbox_forget)(void *connection, const char *consumer, int64_t before_us, int32_t most, int32_t *count,
                               kur_error *error);
    /** Tells of a consumer's partitions (NULL: of all consumers'), by consumer, topic and partition. */
    kur_status (*inbox_positions)(void *connection, const char *consumer, kur_inbox_take_position *take, void *user,
                                  kur_error *error);
    /**
     * Removes what is kept of a consumer: of a partition, of a topic's partitions (-1), or, with a topic of NULL, all
     * of it, noted ids too. Waits, 10 s at most, for those that have entered. How many partitions in `count`.
     */
    kur_status (*inbox_remove)(void *connection, const char *consumer, const char *topic, int32_t partition,
                               int32_t *count, kur_error *error);
} kur_driver;

/**
 * A database by a driver; both stay the caller's until the database is freed, which calls driver->free. NULL with
 * KUR_ERROR_INVALID_ARGUMENT (a function is missing; only `changes` and `outbox_warn` may be), KUR_ERROR_NO_MEMORY:
 * then nothing was taken over. Any thread.
 */
KUR_API kur_database *kur_database_new(const kur_driver *driver, void *database, kur_error *error);

/** What it was made of. Any thread. */
KUR_API const kur_driver *kur_database_driver(const kur_database *database);
/** The second argument of kur_database_new. Any thread. */
KUR_API void *kur_database_state(const kur_database *database);

KUR_END_DECLS

#endif
