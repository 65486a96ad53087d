/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/thread.h>: threads that leave signals to the program, and conditions that are waited for until a point of
 * the kernel's monotonic clock, which tests do not set.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_THREAD_H
#define KURIER_SYS_THREAD_H

#include <kurier/api.h>
#include <pthread.h>
#include <time.h>

KUR_BEGIN_DECLS

/** The point in time `timeout_ms` milliseconds (not negative) from now. Any thread. */
KUR_API struct timespec kur_deadline_after(int timeout_ms);

/** A condition whose timed waits take such points. Destroyed by pthread_cond_destroy. Any thread. */
KUR_API void kur_condition_init(pthread_cond_t *condition);

/** Starts a thread that blocks all signals; to be joined. 0, or the error of pthread_create. Any thread. */
KUR_API int kur_thread_start(pthread_t *thread, void *(*run)(void *user), void *user);

KUR_END_DECLS

#endif
