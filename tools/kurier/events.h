/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `kurier events` share.
 */
#ifndef KURIER_TOOLS_EVENTS_H
#define KURIER_TOOLS_EVENTS_H

#include "decode.h"

enum {
    EVENTS_HEADERS_MAX = 64
};

struct events {
    struct invocation call;
    /* tail */
    kur_start from;
    int64_t from_us, limit;
    bool ends;
    const kur_filter *where;
    /* publish */
    const char *type, *key, *data, *file, *id, *source, *subject, *content_type;
    const char *schema; /* of tail and show: what names none; of publish: what the JSON becomes */
    kur_wire_format wire;
    int64_t partition; /* -1: by the key */
    bool is_tombstone;
    kur_header headers[EVENTS_HEADERS_MAX];
    size_t header_count;
};

extern struct events events_state;
extern const struct verb events_tail, events_show, events_publish;

/* A record as an object, with its value as it was decoded. */
void events_json(const struct invocation *call, kur_buffer *json, const kur_record *record, const kur_event_view *event,
                 const struct decoded *decoded);

/* --schema of what reads */
extern const struct options events_decode_options;

/* Makes Avro of JSON, as --schema and --wire ask for it, and sets the content type. EXIT_DONE, or it was said what is
 * wrong. */
int events_encode(struct invocation *call, kur_buffer *value);

#endif
