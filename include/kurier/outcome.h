/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/outcome.h>: what a handler says of the event that it was given.
 */
#ifndef KURIER_OUTCOME_H
#define KURIER_OUTCOME_H

#include <kurier/api.h>

KUR_BEGIN_DECLS

/** Not an error: each is a normal end of handling. Zero is no outcome, and never counts as done. */
typedef enum kur_outcome {
    KUR_NO_OUTCOME = 0, /**< counts as a retry */
    KUR_DONE,           /**< handled; its effects are durable */
    KUR_RETRY,          /**< not now: again later */
    KUR_REJECT          /**< never: to the dead letters */
} kur_outcome;

KUR_END_DECLS

#endif
