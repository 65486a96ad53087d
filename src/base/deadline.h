/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Points in time until which a thread waits: the kernel's monotonic clock, which tests do not set.
 */
#ifndef KURIER_BASE_DEADLINE_H
#define KURIER_BASE_DEADLINE_H

#include <kurier/sys/thread.h>
#include <stdbool.h>

static inline bool kur__deadline_is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static inline bool kur__deadline_is_over(const struct timespec *deadline)
{
    struct timespec now = kur_deadline_after(0);
    return !kur__deadline_is_before(&now, deadline);
}

/* Milliseconds until then, rounded up so that a wait of so long is not too short; 0 when it is over. */
static inline int kur__deadline_left_ms(const struct timespec *deadline)
{
    struct timespec now = kur_deadline_after(0);
    if (!kur__deadline_is_before(&now, deadline))
        return 0;
    return (int)((deadline->tv_sec - now.tv_sec) * 1000 + (deadline->tv_nsec - now.tv_nsec + 999999) / 1000000);
}

#endif
