/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/log.h>: a client's log, for what stands above the SDK.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_LOG_H
#define KURIER_SYS_LOG_H

#include <kurier/client.h>

KUR_BEGIN_DECLS

/**
 * Hands a message to the client's log callback when its level is asked for: one line of UTF-8, cut at 1,023 bytes. Any
 * thread.
 */
KUR_API void kur_client_log(const kur_client *client, kur_log_level level, const char *format, ...) KUR_PRINTF(3, 4);

KUR_END_DECLS

#endif
