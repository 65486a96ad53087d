/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/time.h>: instants as microseconds since 1970-01-01T00:00:00Z, dates as days since then, and their text
 * (RFC 3339). Years 0001 to 9999, Gregorian throughout.
 */
#ifndef KURIER_TIME_H
#define KURIER_TIME_H

#include <kurier/error.h>

KUR_BEGIN_DECLS

/** Room for "9999-12-31T23:59:59.999999Z" and a NUL. */
#define KUR_TIME_TEXT_SIZE 28

/** Room for "9999-12-31" and a NUL. */
#define KUR_DATE_TEXT_SIZE 11

/**
 * Writes an instant in UTC with Z and as many digits as it needs: none, three or six. Returns the length, or 0 with an
 * empty text when the year is outside 0001 to 9999. Any thread.
 */
KUR_API size_t kur_time_format(int64_t time_us, char text[KUR_TIME_TEXT_SIZE]);

/**
 * Reads an RFC 3339 instant with any offset; digits beyond microseconds are cut; second 60 is the next minute's 0.
 * KUR_ERROR_SYNTAX names what is wrong. Any thread.
 */
KUR_API kur_status kur_time_parse(const char *text, size_t size, int64_t *time_us, kur_error *error);

/** Writes a date as YYYY-MM-DD. Returns the length, or 0 with an empty text outside years 0001 to 9999. Any thread. */
KUR_API size_t kur_date_format(int32_t days, char text[KUR_DATE_TEXT_SIZE]);

/** Reads YYYY-MM-DD; KUR_ERROR_SYNTAX names what is wrong. Any thread. */
KUR_API kur_status kur_date_parse(const char *text, size_t size, int32_t *days, kur_error *error);

KUR_END_DECLS

#endif
