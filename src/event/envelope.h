/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The envelope apart from any broker: headers go in one by one when it is read, and come out as a list when it is
 * written.
 */
#ifndef KURIER_EVENT_ENVELOPE_H
#define KURIER_EVENT_ENVELOPE_H

#include <kurier/event.h>
#include <kurier/time.h>
#include <kurier/uuid.h>

enum {
    KUR__ENVELOPE_HEADERS_MAX = 16, /* of our own; extensions and the caller's headers come on top */
    KUR__EXTENSION_NAME_MAX = 20
};

/* ---- Reading: begin, a take for each header in order, finish ---- */

typedef struct kur__envelope_reader {
    kur_bytes specversion;
    kur_bytes id, source, type, subject, time, data_schema, content_type;
    kur_bytes correlation_id, causation_id;
    kur_bytes traceparent, tracestate, baggage;
    kur_bytes fallback_id, fallback_correlation_id;
    int fallback_id_rank, fallback_correlation_rank;
    bool any_ce;
} kur__envelope_reader;

void kur__envelope_begin(kur__envelope_reader *reader);

/* `value` must be followed by a NUL that its size does not count, as librdkafka's are. Borrows both. */
void kur__envelope_take(kur__envelope_reader *reader, const char *name, kur_bytes value);

/* Fills in the view from the headers taken and from view->data. The view's other members are the caller's to set. */
kur_status kur__envelope_finish(const kur__envelope_reader *reader, kur_arena *arena, kur_event_view *view,
                                kur_error *error);

/* ---- Writing ---- */

typedef struct kur__envelope {
    kur_header headers[KUR__ENVELOPE_HEADERS_MAX]; /* borrow from the options, the parent and the storage below */
    size_t header_count;
    kur_bytes value; /* the data in binary mode, the whole event in structured mode */
    char id[KUR_UUID_TEXT_SIZE];
    char time[KUR_TIME_TEXT_SIZE];
    char due[KUR_TIME_TEXT_SIZE];
} kur__envelope;

/*
 * Checks the options and fills in the envelope. In structured mode the value is written to `structured`, which must
 * live as long as the envelope. Extensions are checked here; in binary mode the caller writes them, each as a header
 * with ce_ in front of its name, and after them options->headers.
 */
kur_status kur__envelope_write(kur__envelope *envelope, const char *event_type, const char *default_source,
                               kur_bytes data, const kur_publish_options *options, kur_buffer *structured,
                               kur_error *error);

#endif
