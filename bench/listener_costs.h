/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The part of the bench `listener` that is not about time.
 */
#ifndef KURIER_BENCH_LISTENER_COSTS_H
#define KURIER_BENCH_LISTENER_COSTS_H

#include "bench.h"

/* Before the process has any thread: it forks. */
void bench_listener_costs(const bench_options *options);

#endif
