/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What makes a line of UTF-8 out of whatever came in from outside.
 */
#ifndef KURIER_BASE_UTF8_H
#define KURIER_BASE_UTF8_H

/*
 * Makes the text one line of UTF-8, in place: control characters become spaces, bytes that are not UTF-8 become
 * question marks, and a character that is cut off at the end goes.
 */
void kur__line_clean(char *text);

#endif
