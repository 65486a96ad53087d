/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL that KURIER_POSTGRES names (script/postgres run): each test has a schema of its own there.
 */
#ifndef KURIER_TESTS_OPEN_POSTGRES_H
#define KURIER_TESTS_OPEN_POSTGRES_H

#include <libpq-fe.h>

#include "opening.h"

/* A connection of a service's own. */
PGconn *open_postgres(void);
/* The schema of the test at hand. */
const char *open_schema(void);

/* Runs statements in which @ is that schema; they must go well. */
void sql(PGconn *connection, const char *text);
/* The first column of the first row, as a number; with NULL or without a row -1. */
long long sql_number(PGconn *connection, const char *text);

#endif
