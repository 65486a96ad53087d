/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters: what was rejected is kept in a topic of its own, until the library does so by itself.
 */
#ifndef KURIER_SHOP_DEAD_LETTERS_H
#define KURIER_SHOP_DEAD_LETTERS_H

#include <kurier/kurier.h>

struct dead_letters {
    kur_client *client;
    const char *group;
};

/*
 * For .on_rejected, with a struct dead_letters as .user: writes the record as it is, with where it came from and why it
 * is here in headers kurier-dead-…, to <topic>.<group>.dlq, and waits until the broker has acknowledged it. A record
 * that does not go through, for it is too large with these headers, is a note without key and value of where it stands.
 */
kur_status dead_letters_take(kur_delivery *delivery, const char *cause, const char *reason, void *user);

#endif
