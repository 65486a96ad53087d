/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "syntax.h"

#include <jansson.h>
#include <stdio.h>

#include "text.h"

bool syntax_is_json(kur_bytes text, char why[256])
{
    json_error_t error;
    json_t *json = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        snprintf(why, 256, "line %d: %s", error.line, error.text);
    json_decref(json);
    return json != NULL;
}

static int append(const char *data, size_t size, void *user)
{
    text_need(kur_buffer_append(user, data, size));
    return 0;
}

void syntax_put_pretty(kur_buffer *to, kur_bytes text)
{
    json_t *json = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (json != NULL)
        text_need(json_dump_callback(json, append, to, JSON_INDENT(2) | JSON_ENCODE_ANY) == 0 ? KUR_OK
                                                                                              : KUR_ERROR_NO_MEMORY);
    else
        append(text.data, text.size, to);
    json_decref(json);
}
