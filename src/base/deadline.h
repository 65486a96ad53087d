/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Points in time until which a thread waits: the kernel's monotonic clock, which tests do not set.
 */
#ifndef KURIER_BASE_DEADLINE_H
#define KURIER_BASE_DEADLINE_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

static inline struct timespec kur__deadline_after(int timeout_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static inline bool kur__deadline_is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static inline bool kur__deadline_is_over(const struct timespec *deadline)
{
    struct timespec now = kur__deadline_after(0);
    return !kur__deadline_is_before(&now, deadline);
}

/* Milliseconds until then, rounded up so that a wait of so long is not too short; 0 when it is over. */
static inline int kur__deadline_left_ms(const struct timespec *deadline)
{
    struct timespec now = kur__deadline_after(0);
    if (!kur__deadline_is_before(&now, deadline))
        return 0;
    return (int)((deadline->tv_sec - now.tv_sec) * 1000 + (deadline->tv_nsec - now.tv_nsec + 999999) / 1000000);
}

/* A condition whose timed waits take such points. */
static inline void kur__condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

#endif
