/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A record in a handler's hands: alone (delivery.c), or in a batch (batch.c).
 */
#ifndef KURIER_PATTERNS_LISTENER_DELIVERY_H
#define KURIER_PATTERNS_LISTENER_DELIVERY_H

#include "listener/shell.h"

/* The functions themselves; what the library says by them is said nowhere in the program. */
#undef kur_retry
#undef kur_retry_after
#undef kur_retry_at
#undef kur_reject

struct kur_delivery {
    struct kur__worker *worker;
    kur__work *work;
    const kur_record *record;
    kur_event_view event;
    bool has_read;
    kur_status broken; /* not KUR_OK when the record is not a valid event */
    kur_outcome said;
    int64_t delay_us;
    bool has_delay;
    bool is_deferred; /* then the work may have been finished by anybody, and is not touched any more */
    bool is_in_batch;
    bool is_in_inbox; /* its handler is in a transaction that counts as the outcome */
    bool is_again;    /* nobody has handled it: it comes again after delay_us, and that was no attempt */
    int attempt;
    const char *file; /* where the next thing is said of it; NULL: not known */
    int line;
    /* In a batch. */
    const kur__lane *lane;      /* only compared */
    const kur_outcome *outcome; /* while its handler runs: what it has set; else NULL */
    int handler;
    bool is_judged;
    bool comes_again;          /* it, or one before it in its lane */
    struct kur_delivery *next; /* for the same handler */
};

/* Which handler a record is for: the number of a typed one, or */
enum {
    KUR__FOR_RECORD = KUR__HANDLERS, /* on_record, or on_batch */
    KUR__FOR_TOMBSTONE,
    KUR__FOR_NOBODY
};

/* As a handler gets it. */
void kur__delivery_begin(kur_delivery *delivery, struct kur__worker *worker, kur__work *work);

/* Who handles it; for KUR__FOR_NOBODY its outcome is known. */
int kur__delivery_route(kur_delivery *delivery, kur_outcome *outcome);

/* Decodes the event at hand; otherwise the outcome that it has instead. */
bool kur__delivery_decode(kur_delivery *delivery, const kur_type *type, void *event, kur_outcome *outcome);

/* Calls a handler that takes one at a time. */
kur_outcome kur__delivery_call(kur_delivery *delivery, int handler);

/*
 * In place of an outcome, in what stands between the listener and a handler: it could not be handled now, through no
 * fault of its own. It comes again in its order. To be returned.
 */
kur_outcome kur__delivery_again(kur_delivery *delivery, int64_t delay_us);

/* Fills in the work's verdict, from what was returned and what was said before. */
void kur__delivery_judge(kur_delivery *delivery, kur_outcome returned);

#endif
