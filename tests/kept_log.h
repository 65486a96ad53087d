/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A client's log, kept to be asked what it told: `.log = keep_log`. Waits as tests of the listener do.
 */
#ifndef KURIER_TESTS_KEPT_LOG_H
#define KURIER_TESTS_KEPT_LOG_H

#include <pthread.h>
#include <stdio.h>

#include "listening.h"

KUR__UNUSED static char log_text[100000];
KUR__UNUSED static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

KUR__UNUSED static void keep_log(kur_log_level level, const char *message, void *user)
{
    (void)user;
    pthread_mutex_lock(&log_lock);
    size_t size = strlen(log_text);
    snprintf(log_text + size, sizeof log_text - size, "%s %s\n", kur_log_level_name(level), message);
    pthread_mutex_unlock(&log_lock);
}

KUR__UNUSED static int count_in_log(const char *text)
{
    int count = 0;
    pthread_mutex_lock(&log_lock);
    for (const char *at = log_text; (at = strstr(at, text)) != NULL; at++)
        count++;
    pthread_mutex_unlock(&log_lock);
    return count;
}

KUR__UNUSED static bool wait_for_log(const char *text)
{
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(10))
        if (count_in_log(text) > 0)
            return true;
    return false;
}

#endif
