/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What can be written as a time: years 0001 to 9999.
 */
#ifndef KURIER_BASE_TIME_H
#define KURIER_BASE_TIME_H

#include <kurier/time.h>

/* Whether kur_time_format and kur_date_format write it. */
bool kur__time_has_text(int64_t time_us);
bool kur__date_has_text(int64_t days);

#endif
