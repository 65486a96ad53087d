/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A log's destination, handed down from the client to whatever it makes.
 */
#ifndef KURIER_BASE_LOG_H
#define KURIER_BASE_LOG_H

#include <kurier/log.h>
#include <stdarg.h>

#include "base/secrets.h"

typedef struct kur__log {
    kur_log_callback *callback; /* NULL: nobody listens */
    void *user;
    kur_log_level level;   /* messages above it are dropped */
    kur__secrets *secrets; /* hidden in every message; NULL: none */
} kur__log;

/* Formats and hands on, cut at 1,023 bytes and made a line of UTF-8. Any thread. */
void kur__log_print(const kur__log *log, kur_log_level level, const char *format, ...) KUR_PRINTF(3, 4);
void kur__log_print_list(const kur__log *log, kur_log_level level, const char *format, va_list arguments)
    KUR_PRINTF(3, 0);

#endif
