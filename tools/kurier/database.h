/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Which database a verb works on, and the connection that it gets there.
 */
#ifndef KURIER_TOOLS_DATABASE_H
#define KURIER_TOOLS_DATABASE_H

#include <kurier/driver.h>

#include "command.h"

/* The state of verbs that work on a database begins with this. */
struct stored {
    struct invocation call;
    const char *postgres, *sqlite, *schema; /* as the command line has them */
};

/* The verbs' state is one of these. */
static inline struct stored *stored_of(struct invocation *call)
{
    return (struct stored *)call;
}

/* --postgres, --sqlite, --schema */
extern const struct options database_options;

/*
 * The database that options or environment name; nobody has connected to it. `makes_file`: SQLite's file need not be
 * there. NULL, and said why; then `*status` tells how to end.
 */
kur_database *database_open(const struct stored *stored, bool makes_file, int *status);

/* One of a driver, whatever the command line says; likewise. */
kur_database *database_of_driver(const struct stored *stored, const char *driver, int *status);

/* What a verb works with. */
struct place {
    kur_database *database;
    const kur_driver *driver;
    void *connection;
    kur_client *client; /* of `outbox` */
    kur_outbox *outbox; /* NULL unless it was asked for */
};

/* Connects, and checks the tables. EXIT_DONE, or it was said what is wrong; database_end in any case. */
int database_begin(const struct stored *stored, struct place *place);
/* Likewise with an outbox. Without a client of the call's own, no broker is ever asked for anything. */
int database_begin_outbox(const struct stored *stored, struct place *place);
void database_end(struct place *place);

/* How to end after an error, which is said. */
int database_fail(const struct stored *stored, const kur_error *error);

#endif
