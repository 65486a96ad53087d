/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A service's own table in a real database, which several processes change: how often the effect of each number is in
 * it. For tests of inboxes.
 */
#ifndef KURIER_TESTS_EFFECTS_H
#define KURIER_TESTS_EFFECTS_H

#include <kurier/database.h>

/* Of the database, as it is printed. */
extern const char effects_name[];

/* NULL, or why there is none here: the tests are skipped. */
const char *effects_missing(void);

/* A new place with the library's tables and an empty one of effects; to be given to the others, in any process. */
void effects_make(char place[64]);
void effects_remove(const char *place);
/* The database there; NULL: why. */
kur_database *effects_try(const char *place, kur_error *error);
/* Likewise, never NULL. */
kur_database *effects_open(const char *place);

/* Nobody can use it until it comes back, and who does is cut off; by turns. */
void effects_away(const char *place, bool is_away);

/* In a transaction of an inbox: one more. */
bool effects_add(void *transaction, int number);

/* What is there. */
struct effects {
    int rows, numbers; /* altogether, and how many different ones */
    int outbox_rows;   /* and likewise of the outbox */
    int done, open;    /* of the inbox: records that are told apart */
};
struct effects effects_read(const char *place);

#endif
