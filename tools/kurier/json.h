/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a command prints for programs: objects, in an array (-o json) or a line each (-o jsonl). In ASCII, so that
 * nothing of others reaches a terminal as it is.
 */
#ifndef KURIER_TOOLS_JSON_H
#define KURIER_TOOLS_JSON_H

#include <kurier/bytes.h>

enum output {
    OUTPUT_TABLE = 0,
    OUTPUT_JSON,
    OUTPUT_JSONL
};

/* Members are appended one by one; a text of NULL, and a time below 0, are null. A name of NULL is an array's item. */
void json_open(kur_buffer *json, const char *name, char bracket);
void json_close(kur_buffer *json, char bracket);
void json_text(kur_buffer *json, const char *name, const char *text);
/* UTF-8 as text, anything else as {"base64": "…"}, none as null. */
void json_bytes(kur_buffer *json, const char *name, kur_bytes bytes);
void json_number(kur_buffer *json, const char *name, int64_t number);
void json_bool(kur_buffer *json, const char *name, bool value);
void json_null(kur_buffer *json, const char *name);
void json_time(kur_buffer *json, const char *name, int64_t time_us);

/* A stream of objects: begun, each printed and its buffer emptied, ended. */
struct objects {
    enum output output;
    size_t count;
};
void json_print(struct objects *objects, kur_buffer *object);
void json_end(struct objects *objects);

#endif
