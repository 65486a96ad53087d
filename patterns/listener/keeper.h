/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Whoever keeps beside Kafka what a listener has handled: an inbox (patterns/inbox). It is told of places, and makes
 * durable that a forwarded record is not done though its offset is passed. All on the control thread, but for `ended`;
 * none waits.
 */
#ifndef KURIER_PATTERNS_LISTENER_KEEPER_H
#define KURIER_PATTERNS_LISTENER_KEEPER_H

#include "listener/shell.h"

struct kur__keeper {
    void *user;
    /*
     * A partition begins, as it was assigned; what is finished above its start, by the ledger beside it, is below
     * `finished_to`. False: no memory.
     */
    bool (*opened)(void *user, const kur__assignment *assignment, int64_t finished_to);
    /* Its log is shorter than what was read of it: it is another one. Nothing of the old one is current any more. */
    bool (*anew)(void *user, const char *topic, int32_t partition);
    /* The group has committed it: all below is finished. */
    void (*committed)(void *user, const char *topic, int32_t partition, int64_t offset);
    /*
     * A record has been forwarded. Whether that is kept durably is said by kur__forward_kept, on any thread; if not, it
     * comes once more.
     */
    void (*forwarded)(void *user, kur_listener *listener, kur__work *work);
    /* The listener is freed: gives back what it has; after this it calls nothing of the listener. Waits. */
    void (*ended)(void *user);
};

/* The keeper's answer. */
void kur__forward_kept(kur_listener *listener, kur__work *work, bool is_kept);

#endif
