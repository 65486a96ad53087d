/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `kurier inbox` share.
 */
#ifndef KURIER_TOOLS_INBOX_H
#define KURIER_TOOLS_INBOX_H

#include "database.h"

/* Begins with which database it is. */
struct inbox {
    struct stored stored;
    int64_t to; /* -1: not given */
};

extern struct inbox inbox_state;

/* The verbs' state is inbox_state. */
static inline struct inbox *inbox_of(struct invocation *call)
{
    return (struct inbox *)call;
}

extern const struct verb inbox_status, inbox_reset, inbox_forget;

#endif
