/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A database in arrays, behind kur_driver: with transactions, several connections, and failures at will, so that what
 * stands on a driver can be tested without a server. Ids are given out when a row is added, rows are seen when their
 * transaction has committed. Any thread.
 */
#ifndef KURIER_TESTS_MEMORY_DRIVER_H
#define KURIER_TESTS_MEMORY_DRIVER_H

#include <kurier/driver.h>

/* A database with its tables made, or, with 0 shards, without them. Freed by kur_database_free; never NULL. */
kur_database *memory_database(int shards);
/* Likewise one where all shards are one relay's (kur_driver.one_relay), and that does not count changes. */
kur_database *memory_database_plain(int shards);

/* ---- A service's own transactions ---- */

/* A connection with a transaction, to be ended by one of the others. */
void *memory_begin(kur_database *database);
void memory_commit(void *transaction);
void memory_rollback(void *transaction);

/* The service's own tables: sums with names. Adds in an open transaction, and reads what was committed. */
void memory_add(void *transaction, const char *name, int64_t much);
int64_t memory_sum(kur_database *database, const char *name);

/* ---- Failures ---- */

/*
 * A call of the driver that fails. In a transaction KUR_ERROR_DATABASE makes it one that has failed, as PostgreSQL's;
 * KUR_ERROR_UNREACHABLE and KUR_ERROR_UNKNOWN_OUTCOME break the connection, and roll back what is open on it.
 */
struct memory_fault {
    const char *call; /* the function's name in kur_driver, such as "outbox_read"; NULL: any */
    int nth;          /* 1: the next */
    int times;        /* so many in a row; 0: one */
    kur_status status;
    bool retriable;
    bool happens; /* it is done all the same: only the answer is lost */
};

/* From now on, in place of the one before; NULL: none. Counts start anew. */
void memory_fail(kur_database *database, const struct memory_fault *fault);
/* Whether it has, since. */
bool memory_has_failed(kur_database *database);
/* How often a function was called since the database was made or memory_fail was called; NULL: all together. */
int memory_calls(kur_database *database, const char *call);

/* While it is away no connection can be made, and those there are have broken: what was open is rolled back. */
void memory_away(kur_database *database, bool is_away);

/* Told before each call of a function that it is called, on the caller's thread and outside of all locks. */
typedef void memory_hook(const char *call, void *user);
void memory_on_call(kur_database *database, memory_hook *hook, void *user);

/* ---- What is there ---- */

struct memory_counts {
    size_t rows, parked, blocked; /* of the outbox, committed */
    size_t done, open, notes;     /* of inboxes, committed */
    size_t relays;                /* that are there */
    size_t connections;           /* that are open */
};

struct memory_counts memory_count(kur_database *database);
/* Waits until the outbox has so many rows, and so many are parked; false after a minute. */
bool memory_wait(kur_database *database, size_t rows, size_t parked);
/* The floor of a shard. */
int64_t memory_floor(kur_database *database, int32_t shard);

/* The database's clock goes forward, for leases and what is kept for days. */
void memory_forward(kur_database *database, int64_t us);
/* The next row gets this id, as after a backup was restored. */
void memory_next_id(kur_database *database, int64_t id);
/* Another relay or service takes this shard for so long, whatever lease there is. */
void memory_seize(kur_database *database, int32_t shard, const char *relay, int64_t lease_us);

#endif
