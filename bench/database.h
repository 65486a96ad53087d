/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The databases of the benches of outbox and inbox: PostgreSQL where KURIER_POSTGRES names one, in a schema of its own
 * that goes with it; SQLite in a file in the working directory's file system.
 */
#ifndef KURIER_BENCH_DATABASE_H
#define KURIER_BENCH_DATABASE_H

#include <kurier/driver.h>

#include "bench.h"

/* What is measured, with a driver each; `open` gives NULL where it is not there. */
struct bench_database {
    const char *name;
    kur_database *database;
    const kur_driver *driver;
    char place[256]; /* the file, or the schema */
};

enum {
    BENCH_SQLITE,
    BENCH_POSTGRES,
    BENCH_DATABASES,
    BENCH_PREPARED = BENCH_DATABASES /* PostgreSQL once more, where what is added is prepared */
};

/* With its tables, and one of the bench's own, "bench_orders"; false, and a word on stderr, when it is not there. */
bool bench_database_open(struct bench_database *base, int which);
void bench_database_close(struct bench_database *base);

/* A connection of its own, as a service has one; run executes a statement without results. */
void *bench_connect(const struct bench_database *base);
void bench_disconnect(const struct bench_database *base, void *connection);
void bench_execute(const struct bench_database *base, void *connection, const char *statement);

#endif
