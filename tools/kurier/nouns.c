/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * All nouns, in the order of the help.
 */
#include "command.h"

const struct noun *const nouns[] = {&lag_noun,        &dlq_noun,       &broker_noun, &doctor_noun,
                                    &completion_noun, &reference_noun, NULL};
