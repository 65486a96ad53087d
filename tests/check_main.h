/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The main function of every Check suite, with the closing line that script/test adds up.
 */
#ifndef KURIER_TESTS_CHECK_MAIN_H
#define KURIER_TESTS_CHECK_MAIN_H

#include <check.h>
#include <kurier/error.h>

/*
 * Check notes the place of each assertion that holds, in a file, for whoever would look when its child has died; here
 * nobody does, and it takes longer than most assertions.
 */
#define _mark_point(file, line) ((void)0)

/* Runs a suite in this process and prints "# name: N passed, N failed, N skipped"; each skip before that with its
 * reason. */
int check_main(const char *name, const TTest *const *tests);

/* Leaves a test that cannot run here; `skip_unless(condition, "why")` stands first in it. */
void check_skip(const char *reason);
#define skip_unless(condition, reason)                                                                                 \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            check_skip(reason);                                                                                        \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

/* A status is what is expected; the error's message is shown when not. */
#define ck_status(expression, expected, error)                                                                         \
    do {                                                                                                               \
        kur_status status_ = (expression);                                                                             \
        ck_assert_msg(status_ == (expected), "%s: %s (%s), expected %s", #expression, kur_status_name(status_),        \
                      (error).message, kur_status_name(expected));                                                     \
    } while (0)
#define ck_ok(expression, error) ck_status(expression, KUR_OK, error)

/* A message holds a text. */
#define ck_says(error, text)                                                                                           \
    ck_assert_msg(strstr((error).message, text) != NULL, "\"%s\" does not say \"%s\"", (error).message, text)

#endif
