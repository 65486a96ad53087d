/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the codec of records and the structured envelope share of JSON.
 */
#ifndef KURIER_EVENT_JSON_H
#define KURIER_EVENT_JSON_H

#include <jansson.h>
#include <kurier/bytes.h>

/* Appends a JSON string with its quotes; `text` is UTF-8. KUR_OK or KUR_ERROR_NO_MEMORY. */
kur_status kur__json_write_string(kur_buffer *json, const char *text, size_t size);

/*
 * Parses behind our caps (size, depth, no name twice, no NUL in strings). The tree is the caller's (json_decref).
 * Errors give line and column and nothing of the text itself, which may be anybody's data. `around` brackets that the
 * text will stand in count as its own.
 */
kur_status kur__json_parse(kur_bytes json, size_t around, json_t **tree, kur_error *error);

/* Likewise, with flags of jansson's loader beside JSON_REJECT_DUPLICATES: JSON_ALLOW_NUL. */
kur_status kur__json_parse_as(kur_bytes json, size_t around, size_t flags, json_t **tree, kur_error *error);

/* "object", "integer": how messages call what was found. */
const char *kur__json_kind(const json_t *json);

/* Whether the text is JSON by its grammar, of brackets that nest no deeper than KUR_DEPTH_MAX. */
bool kur__json_is_well_formed(kur_bytes json);

#endif
