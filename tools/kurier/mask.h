/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Asterisks over what looks like a secret, by the name that stands before it: password, token, secret, authorization,
 * API key, card, … A name is what it says in any spelling: api_key, apiKey, "API key", X-Api-Key.
 */
#ifndef KURIER_TOOLS_MASK_H
#define KURIER_TOOLS_MASK_H

#include <kurier/bytes.h>

#define MASK_TEXT "***"

/* Whether what goes by this name is a secret. */
bool mask_is_secret(const char *name, size_t size);

/*
 * Appends text with the values of such names masked: members of JSON, also of JSON within a string and of JSON that is
 * cut, name=value, name: value, and elements of XML. What is no text is left to the caller.
 */
void mask_text(kur_buffer *to, kur_bytes text);

#endif
