/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Whether a text is JSON; by jansson, whose names are those of json.h, which this file knows nothing of.
 */
#ifndef KURIER_TOOLS_SYNTAX_H
#define KURIER_TOOLS_SYNTAX_H

#include <kurier/bytes.h>

/* False, with where and why: "line 2: …". */
bool syntax_is_json(kur_bytes text, char why[256]);

/* Appends JSON with a member a line; what is none as it is. */
void syntax_put_pretty(kur_buffer *to, kur_bytes text);

#endif
