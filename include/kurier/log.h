/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/log.h>: where the library's messages go. It never prints by itself.
 */
#ifndef KURIER_LOG_H
#define KURIER_LOG_H

#include <kurier/api.h>

KUR_BEGIN_DECLS

/** How much a message matters; the more, the lower the number. */
typedef enum kur_log_level {
    KUR_LOG_ERROR = 1, /**< something is lost or stands still unless a person acts */
    KUR_LOG_WARNING,   /**< something is not as it should be; the library goes on by itself */
    KUR_LOG_INFO,      /**< rare and worth knowing: the default */
    KUR_LOG_DEBUG
} kur_log_level;

/**
 * Takes one message: a line of UTF-8 without a line end and without secrets.
 * Called from any thread, also librdkafka's own, possibly from several at once; it must return soon and must call
 * nothing of this library. `message` is valid during the call only.
 */
typedef void kur_log_callback(kur_log_level level, const char *message, void *user);

/** A ready callback: time, level and message as one line on standard error. `user` is not used. Any thread. */
KUR_API void kur_log_stderr(kur_log_level level, const char *message, void *user);

/** "error", "warning", "info" or "debug". Static; any thread. */
KUR_API const char *kur_log_level_name(kur_log_level level);

KUR_END_DECLS

#endif
