/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `kurier topics` share.
 */
#ifndef KURIER_TOOLS_TOPICS_H
#define KURIER_TOOLS_TOPICS_H

#include "command.h"

struct topics {
    struct invocation call;
    bool all;
};

extern struct topics topics_state;
extern const struct verb topics_plan, topics_apply;

#endif
