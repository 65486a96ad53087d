/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "syntax.h"

#include <jansson.h>
#include <stdio.h>

bool syntax_is_json(kur_bytes text, char why[256])
{
    json_error_t error;
    json_t *json = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        snprintf(why, 256, "line %d: %s", error.line, error.text);
    json_decref(json);
    return json != NULL;
}
