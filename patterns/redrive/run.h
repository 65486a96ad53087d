/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A run, as run.c drives it and claim.c gets hold of it.
 */
#ifndef KURIER_REDRIVE_RUN_H
#define KURIER_REDRIVE_RUN_H

#include <pthread.h>

#include "redrive/redrive.h"

typedef struct kur__run {
    kur_client *client;
    kur_redrive_run_options options;
    const char *id;
    kur__books live;           /* is read on: wishes, and whether the term is still ours */
    kur__books known;          /* as it was at the start: what other runs have sent by then */
    kur__redrive_entry *entry; /* of `live` */
    kur__selection selection;
    bool has_selection;
    kur__sender *sender;
    kur_redrive_watch *watch;
    kur__redrive_told told; /* what this runner tells */
    bool is_claimed;

    /* Words of ours on their way: one at a time. */
    pthread_mutex_t lock; /* of the three */
    bool is_telling;
    int64_t heard_us; /* when the last one that was answered was sent; monotonic */
    kur_error tell_error;
    int64_t tell_us, telling_us;
    int64_t told_acknowledged;

    /* What it is doing. */
    kur_redrive_state ending; /* 0: it goes on; else it waits for what is on its way, and ends so */
    kur_error why;
    int64_t end_us;             /* by then, at the latest */
    bool is_read;               /* the last letter has been sent */
    bool is_rewinding;          /* waits for what is on its way, and goes back to what is acknowledged */
    int64_t alone;              /* so many go one by one */
    int64_t sent, acknowledged; /* by this run */
    double pace_us;             /* when the next one is due; 0: at once */
    int64_t looked_us, canary_us, checked_us, reported_us;
    int64_t failed, pending; /* of the canary */
    bool is_checking;
} kur__run;

/* Compares the letters that are left with the plan: KUR_OK, or why it cannot be run. */
kur_status kur__run_compare(kur__run *run, kur_error *error);
/* Gets the next term, waiting for the lease of one who is silent. */
kur_status kur__run_claim(kur__run *run, kur_error *error);
/* Tells where it stands: sends, or (with a time) waits until it is written. */
kur_status kur__run_tell(kur__run *run, int wait_ms, kur_error *error);
/* Calls the caller's callback when it is time; KUR_ERROR_CANCELLED when that says no. */
kur_status kur__run_report(kur__run *run, bool is_last, kur_error *error);

#endif
