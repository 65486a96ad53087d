/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * All nouns, in the order of the help.
 */
#include "command.h"

/* clang-format off */
const struct noun *const nouns[] = {
    &topics_noun,
    &groups_noun,
    &lag_noun,
    &offsets_noun,
    &events_noun,
    &dlq_noun,
    &redrive_noun,
    &outbox_noun,
    &inbox_noun,
    &schema_noun,
    &top_noun,
    &broker_noun,
    &doctor_noun,
    &completion_noun,
    &reference_noun,
    NULL
};
