/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The library's memory, of which the nth allocation fails, once. A loop tries the first, then the second, … until a run
 * in which nothing fails any more:
 *
 *     long points = 0;
 *     do {
 *         failing_begin(points + 1, false);
 *         kur_error error = {0};
 *         kur_status status = step(&error);
 *         failing_end();
 *     } while (failing_again("step", &points, status, &error));
 */
#ifndef KURIER_TESTS_FAILING_H
#define KURIER_TESTS_FAILING_H

#include <kurier/error.h>

/* From now on the nth allocation fails (0: none); counted are those of all threads, or of the calling one alone. */
void failing_begin(long nth, bool only_this_thread);

/* From here on the nth allocation fails (0: none), of those that failing_begin counts; where these are the calling
 * one's. */
void failing_next(long nth);

/* Nothing fails any more until failing_end, which is to come after what was taken has been given back. */
void failing_rest(void);

/* The C library's memory again. */
void failing_end(void);

/* Since failing_begin: whether one has failed, and how many are not given back. */
bool failing_has_failed(void);
long failing_live(void);

/*
 * After failing_end. Nothing may be left; what failed must have said KUR_ERROR_NO_MEMORY, also in its error. True when
 * another run is needed; at the end prints how many allocations were made to fail, which is not 0.
 */
bool failing_again(const char *name, long *points, kur_status status, const kur_error *error);

/* For whoever takes an allocator of its own, such as jansson. */
void *failing_malloc(size_t size);
void failing_free(void *memory);

#endif
