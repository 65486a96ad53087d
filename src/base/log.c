/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <kurier/sys/clock.h>
#include <kurier/time.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

const char *kur_log_level_name(kur_log_level level)
{
    switch (level) {
    case KUR_LOG_ERROR:
        return "error";
    case KUR_LOG_WARNING:
        return "warning";
    case KUR_LOG_INFO:
        return "info";
    case KUR_LOG_DEBUG:
        return "debug";
    }
    return "?";
}

void kur_log_stderr(kur_log_level level, const char *message, void *user)
{
    (void)user;
    char time[KUR_TIME_TEXT_SIZE];
    kur_time_format(kur_clock_now_us() / 1000 * 1000, time);
    fprintf(stderr, "%s %-7s %s\n", time, kur_log_level_name(level), message);
}

void kur__log_print(const kur__log *log, kur_log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    kur__log_print_list(log, level, format, arguments);
    va_end(arguments);
}

void kur__log_print_list(const kur__log *log, kur_log_level level, const char *format, va_list arguments)
{
    if (log->callback == NULL || level > log->level)
        return;
    char message[1024];
    int length = vsnprintf(message, sizeof message, format, arguments);
    if (length < 0)
        return;
    kur__secrets_hide(log->secrets, message);
    kur__line_clean(message);
    log->callback(level, message, log->user);
}
