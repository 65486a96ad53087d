/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Setting errors, inside: the messages everyone needs.
 */
#ifndef KURIER_BASE_ERROR_H
#define KURIER_BASE_ERROR_H

#include <kurier/sys/error.h>

/* KUR_ERROR_NO_MEMORY in the words used everywhere. */
kur_status kur__error_no_memory(kur_error *error);

/* Puts text in front of the message that `error` holds: "lines[2].quantity: " or "shop.conf:7: ". */
void kur__error_prefix(kur_error *error, const char *format, ...) KUR_PRINTF(2, 3);

#endif
