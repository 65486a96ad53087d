/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/postgres.h>: PostgreSQL, 13 or newer, by libpq. Library kurier-postgres (pkg-config kurier-postgres), so that
 * a service without PostgreSQL does not link libpq. A transaction is the caller's `PGconn *`, in the middle of one.
 *
 * No state of a session is used, no prepared statements unless .prepares asks for one, no advisory locks that outlast a
 * transaction, no LISTEN: it works through a pooler that gives a server's connection away after each transaction
 * (pgbouncer's pool_mode transaction); one that knows no transactions (statement) is refused at the start, with
 * KUR_ERROR_UNSUPPORTED. A connection in pipeline mode cannot be used. Transactions of the library's own, those of an
 * inbox's handlers too, are READ COMMITTED, and wait for a lock for 10 s at most; those in which no handler runs are
 * ended by the server when this process is frozen in them for 20 s.
 *
 * The first event that is added on a connection costs one statement more: it is asked whose database it leads to.
 */
#ifndef KURIER_POSTGRES_H
#define KURIER_POSTGRES_H

#include <kurier/database.h>

KUR_BEGIN_DECLS

/** What kur_postgres_new may be told. */
typedef struct kur_postgres_options {
    size_t size;
    const char *conninfo; /**< of libpq: "host=… dbname=…" or "postgresql://…"; default: libpq's own (PGHOST, …).
                               Passwords in it never reach a log or an error */
    const char *schema;   /**< where the tables are, [a-z_][a-z0-9_]{0,47}; default "kurier" */
    int connect_timeout_ms; /**< for each host, in whole seconds; default 10,000; one in the conninfo goes before */
    /**
     * kur_outbox_add prepares its statement, once on each of the caller's connections, which spares the server half of
     * what an event costs it. Such a connection keeps its session: no pooler that gives it away after each transaction,
     * unless that knows prepared statements (pgbouncer 1.21, max_prepared_statements), and no DEALLOCATE ALL or DISCARD
     * ALL on it: the next event fails then, and its transaction with it; the one after prepares anew. Default: no.
     */
    bool prepares;
} kur_postgres_options;

#define KUR_POSTGRES_OPTIONS(...) KUR__OPTIONS(kur_postgres_options, __VA_ARGS__)

/**
 * Does not connect. `options` may be NULL. NULL with KUR_ERROR_INVALID_ARGUMENT (what libpq says of the conninfo, a
 * schema's name that cannot be), KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_database *kur_postgres_new(const kur_postgres_options *options, kur_error *error);

KUR_END_DECLS

#endif
