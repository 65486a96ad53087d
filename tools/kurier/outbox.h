/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `kurier outbox` share.
 */
#ifndef KURIER_TOOLS_OUTBOX_H
#define KURIER_TOOLS_OUTBOX_H

#include "database.h"

/* Begins with which database it is. */
struct outbox {
    struct stored stored;
    /* schema, migrate */
    int64_t from, shards;
    /* relay */
    const char *name, *control;
    int64_t batch, batch_kbytes, lease_ms, poll_ms, every_ms, transaction_ms, replicas;
    bool is_exactly_once, blocks_nothing, drains;
    /* list, unpark, drop */
    const char *topic, *reason, *who;
    int64_t limit; /* -1: not given */
    bool all;
};

extern struct outbox outbox_state;

/* The verbs' state is outbox_state. */
static inline struct outbox *outbox_of(struct invocation *call)
{
    return (struct outbox *)call;
}

extern const struct verb outbox_schema, outbox_migrate, outbox_relay, outbox_status, outbox_list, outbox_show,
    outbox_unpark, outbox_drop;

/* An id of a row. EXIT_DONE, or it was said what is wrong. */
int outbox_read_id(const struct invocation *call, const char *text, int64_t *id);

/* Takes a row; what is not EXIT_DONE ends it. */
typedef int outbox_take(const kur_parked_view *row, void *user);

/*
 * The parked rows, page by page; those to --topic alone, when it is given. A row is valid during the call. EXIT_DONE,
 * what `take` has returned, or it was said what is wrong.
 */
int outbox_each_parked(struct outbox *outbox, const struct place *place, outbox_take *take, void *user);

#endif
