/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/clock.h>: the library's one source of time, which a test can set.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_CLOCK_H
#define KURIER_SYS_CLOCK_H

#include <kurier/api.h>

KUR_BEGIN_DECLS

/** Where time comes from; both functions may be called from any thread. */
typedef struct kur_clock {
    int64_t (*now_us)(void *user);       /**< microseconds since 1970 */
    int64_t (*monotonic_us)(void *user); /**< microseconds that only go forward */
    void *user;
} kur_clock;

/** Microseconds since 1970. Any thread. */
KUR_API int64_t kur_clock_now_us(void);

/** Microseconds since some start, only forward. Any thread. */
KUR_API int64_t kur_clock_monotonic_us(void);

/**
 * Replaces the clock of the whole process, or gives the system's back (NULL). `clock` must stay valid while it is set.
 * For tests; any thread, while nothing else of the library runs. Waits in the kernel are not affected.
 */
KUR_API void kur_clock_set(const kur_clock *clock);

KUR_END_DECLS

#endif
