/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Text of others on its way to a person: nothing in it moves the cursor, colours or hides anything. Memory that is out
 * ends the program.
 */
#ifndef KURIER_TOOLS_TEXT_H
#define KURIER_TOOLS_TEXT_H

#include <kurier/bytes.h>

/* Ends the program when there is no memory. */
void text_need(kur_status status);
void text_put(kur_buffer *to, const char *text);

/* The character at the front of `bytes`, and its size; -1 where it is no UTF-8, for one byte. */
int32_t text_character(kur_bytes bytes, size_t *size);
/* Whether a character is a sign, and not an order: no control character, and none that turns the direction of text. */
bool text_is_sign(int32_t character);

/* Its characters, each taken for one column of a terminal. */
size_t text_width(kur_bytes text);
/* Makes it no wider than that, which is at least 1; what is cut is shown by an ellipsis. */
void text_cut(kur_buffer *text, size_t width);

/* Appends text with everything that is no sign as \n, \x1b or \u202e; `keeps_lines` leaves ends of lines and tabs. */
void text_safe(kur_buffer *to, kur_bytes text, bool keeps_lines);

/* "2026-11-28 21:30:00", in UTC; "-" when it is not known. */
void text_time(kur_buffer *to, int64_t time_us);
/* "3d 4h", "2h 5m", "12s"; "-" for a negative one. */
void text_duration(kur_buffer *to, int64_t duration_us);
/* "90s", "15m", "2h", "7d" in milliseconds; false when it is none. */
bool text_read_duration(const char *text, int64_t *duration_ms);
/* A number from `least` on. */
bool text_read_number(const char *text, int64_t least, int64_t most, int64_t *number);

#endif
