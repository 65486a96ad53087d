/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs of `kurier events` share.
 */
#ifndef KURIER_TOOLS_EVENTS_H
#define KURIER_TOOLS_EVENTS_H

#include "command.h"

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
    int64_t partition; /* -1: by the key */
    bool is_tombstone;
    kur_header headers[EVENTS_HEADERS_MAX];
    size_t header_count;
};

extern struct events events_state;
extern const struct verb events_tail, events_show, events_publish;

/* A record as an object; `is_whole`: with headers and value. */
void events_json(const struct invocation *call, kur_buffer *json, const kur_record *record,
                 const kur_event_view *event);

#endif
