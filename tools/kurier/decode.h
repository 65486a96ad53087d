/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a record's value says, also where it is Avro.
 */
#ifndef KURIER_TOOLS_DECODE_H
#define KURIER_TOOLS_DECODE_H

#include <kurier/sys/codec.h>

#include "registry.h"

/* Where schemas come from. */
struct decoder {
    const struct invocation *call;
    kur_registry *registry; /* NULL: none is named */
    kur_schema *own;        /* of what names no schema; NULL: none */
    int64_t quiet_until_us; /* the registry was away: it is not asked before that */
};

/* `schema`: of what names none, as schema_find takes it; may be NULL. EXIT_DONE, or it was said what is wrong. */
int decoder_begin(struct decoder *decoder, struct invocation *call, const char *schema);
void decoder_done(struct decoder *decoder);

/* A value to be shown. */
struct decoded {
    kur_bytes value;                    /* as it is, or what it says as JSON */
    char schema[KUR_SCHEMA_WORDS_SIZE]; /* "schema id 7"; "": it is not Avro's */
    kur_error error;                    /* why it cannot be decoded; code KUR_OK: nothing is wrong */
    kur_buffer json;
};

/* `event` NULL: it has no envelope, or none that is right. Followed by decode_done. */
void decode(struct decoder *decoder, const kur_record *record, const kur_event_view *event, struct decoded *decoded);
void decode_done(struct decoded *decoded);

/* --schema of what reads: goes to decoder_begin. */
#define DECODE_SCHEMA_HELP "of Avro that names none, or that names it by its fingerprint: a subject, an id, or a file"

/* What it says, for people and for programs. */
void decode_print(const struct invocation *call, const struct decoded *decoded);
void decode_put_json(const struct invocation *call, kur_buffer *json, const struct decoded *decoded);

#endif
