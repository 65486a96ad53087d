/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `kurier redrive` share.
 */
#ifndef KURIER_TOOLS_REDRIVE_H
#define KURIER_TOOLS_REDRIVE_H

#include "dlq.h"

enum {
    REDRIVE_HEADERS_MAX = 64
};

/* Begins with the state of `kurier dlq`, whose options say which letters are meant. */
struct redrive {
    struct dlq dlq;
    /* plan */
    kur_redrive_target target;
    kur_tier tier;
    unsigned force;
    int64_t max_redriven; /* -1: not given */
    const char *strip[REDRIVE_HEADERS_MAX + 1];
    kur_header set[REDRIVE_HEADERS_MAX + 1];
    size_t strip_count, set_count;
    /* start */
    const char *digest;
    int64_t canary, max, canary_wait_ms, lease_ms;
    double rate, refail;
    struct progress progress;
    /* watch */
    int64_t every_ms;
};

extern struct redrive redrive_state;

static inline struct redrive *redrive_of(struct invocation *call)
{
    return (struct redrive *)call;
}

extern const struct verb redrive_plan, redrive_start, redrive_status, redrive_watch, redrive_pause, redrive_resume,
    redrive_cancel;

/* The plan that is named; NULL, and said that one must be. */
const char *redrive_id(struct invocation *call);
/* Says what is wrong; how to end by it. */
int redrive_fail(const struct invocation *call, const kur_error *error);
/* A plan with all that is known of it; `outcomes` may be NULL. */
void redrive_json(kur_buffer *json, const kur_redrive_view *plan, const kur_redrive_outcomes *outcomes);
/* The same for people. */
void redrive_print(const kur_redrive_view *plan, const kur_redrive_outcomes *outcomes);

#endif
