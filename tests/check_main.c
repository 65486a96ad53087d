/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int skips;

void check_skip(const char *reason)
{
    skips++;
    printf("# skipped: %s\n", reason);
}

int check_main(const char *name, const TTest *const *tests)
{
    Suite *suite = suite_create(name);
    TCase *cases = tcase_create(name);
    const char *only = getenv("KURIER_TEST"); /* a part of the name of those that are to run */
    for (; *tests != NULL; tests++)
        if (only == NULL || strstr((*tests)->name, only) != NULL)
            tcase_add_test(cases, *tests);
    suite_add_tcase(suite, cases);

    /* In one process, so that sanitizers see everything and a leak at the end is a failure. */
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    int run = srunner_ntests_run(runner);
    srunner_free(runner);
    printf("# librdkafka %s\n", rd_kafka_version_str());
    printf("# %s: %d passed, %d failed, %d skipped\n", name, run - failed - skips, failed, skips);
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
