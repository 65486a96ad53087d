/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The suite of drivers (test_driver.c) runs against whatever these functions open; for a driver of one's own they are
 * all that is to be written.
 */
#ifndef KURIER_TESTS_OPENING_H
#define KURIER_TESTS_OPENING_H

#include <kurier/driver.h>

/* Of the suite as it is printed. */
extern const char opening_name[];

/* NULL, or why nothing can be opened here: the tests are skipped. */
const char *opening_missing(void);

/* An empty database of this test's own: no tables are in it. Never NULL. */
kur_database *opening_new(void);
/* The same database once more, by another kur_database; NULL where that cannot be. Freed by kur_database_free. */
kur_database *opening_again(kur_database *database);
/* Frees it and what it has left. */
void opening_free(kur_database *database);

#endif
