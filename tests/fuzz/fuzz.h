/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzzers share: an input taken apart from its front, and what must hold of whatever came out of it.
 */
#ifndef KURIER_TESTS_FUZZ_H
#define KURIER_TESTS_FUZZ_H

#include <kurier/event.h>
#include <stdlib.h>
#include <string.h>

#include "event/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void need(bool condition)
{
    if (!condition)
        abort();
}

/* ---- The input ---- */

/* Takes the next byte off the front, 0 behind the end. */
static inline uint8_t take_byte(kur_bytes *input)
{
    if (input->size == 0)
        return 0;
    uint8_t byte = *(const uint8_t *)input->data;
    *input = kur_bytes_of((const uint8_t *)input->data + 1, input->size - 1);
    return byte;
}

/* Takes the next text, up to a byte 0xFF; it gets a NUL behind it, as librdkafka gives it. */
static inline bool take_text(kur_bytes *input, kur_arena *arena, kur_bytes *text)
{
    const uint8_t *data = input->data, *end = input->size > 0 ? memchr(data, 0xff, input->size) : NULL;
    if (end == NULL)
        return false;
    size_t size = (size_t)(end - data);
    *text = kur_bytes_of(kur_arena_copy(arena, data, size), size);
    *input = kur_bytes_of(end + 1, input->size - size - 1);
    return true;
}

/* What is left, copied so that a sanitizer sees where it ends; none when there is nothing. */
static inline kur_bytes take_rest(const kur_bytes *input, kur_arena *arena)
{
    return kur_bytes_of(input->size > 0 ? kur_arena_copy(arena, input->data, input->size) : NULL, input->size);
}

/* ---- What came out ---- */

/* A failure says what it is, in one line of UTF-8. */
static inline void need_error(kur_status status, const kur_error *error)
{
    need(status != KUR_OK && error->code == status);
    need(error->message[0] != '\0' && strchr(error->message, '\n') == NULL);
    need(kur_bytes_is_utf8(kur_bytes_text(error->message)));
}

static inline void need_text(const char *text, bool may_have_tabs)
{
    if (text == NULL)
        return;
    need(kur_bytes_is_utf8(kur_bytes_text(text)));
    for (; *text != '\0'; text++)
        need(((unsigned char)*text >= 0x20 && *text != 0x7f) || (*text == '\t' && may_have_tabs));
}

static inline bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* An event that was read. */
static inline void need_event(const kur_event_view *view)
{
    const char *texts[] = {view->id,          view->source,       view->type,           view->subject,
                           view->data_schema, view->content_type, view->correlation_id, view->causation_id,
                           view->traceparent};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        need_text(texts[i], false);
    need_text(view->tracestate, true);
    need_text(view->baggage, true);
    need(view->traceparent != NULL || view->tracestate == NULL);
    need(view->mode == KUR_EVENT_PLAIN || (view->id != NULL && view->source != NULL && view->type != NULL));
    const char *const attributes[][2] = {
        {"id", view->id}, {"source", view->source}, {"type", view->type}, {"subject", view->subject}};
    for (size_t i = 0; i < view->parsed_count; i++) {
        need_text(view->parsed[i].value.data, false);
        for (size_t j = 0; j < sizeof attributes / sizeof *attributes; j++)
            need(strcmp(view->parsed[i].name, attributes[j][0]) != 0 ||
                 same_text(view->parsed[i].value.data, attributes[j][1]));
    }
}

/* Reads what was written, as whoever gets it would. */
static inline kur_status read_again(const kur__envelope *envelope, const kur_header *extensions, size_t extension_count,
                                    kur_arena *arena, kur_event_view *view, kur_error *error)
{
    kur__envelope_reader reader;
    kur__envelope_begin(&reader);
    for (size_t i = 0; i < envelope->header_count; i++)
        kur__envelope_take(&reader, envelope->headers[i].name, envelope->headers[i].value);
    for (size_t i = 0; i < extension_count; i++) {
        char name[4 + KUR__EXTENSION_NAME_MAX] = "ce_";
        kur__envelope_take(&reader, strcat(name, extensions[i].name), extensions[i].value);
    }
    view->data = envelope->value;
    return kur__envelope_finish(&reader, arena, view, error);
}

/*
 * An event that answers whatever was read can be written in either mode, and reads back with what it took from its
 * parent.
 */
static inline void need_child(const kur_event_view *parent, kur_event_mode mode, kur_arena *arena)
{
    kur_error error = {0};
    kur__envelope envelope;
    kur_buffer structured = {0};
    kur_event_view child = KUR_EVENT_VIEW();
    kur_publish_options options = KUR_PUBLISH_OPTIONS(.parent = parent, .mode = mode);
    need(kur__envelope_write(&envelope, "shop.child.v1", "/fuzz", kur_bytes_text("{}"), &options, &structured,
                             &error) == KUR_OK ||
         error.code == KUR_ERROR_TOO_LARGE);
    if (error.code == KUR_OK) {
        need(read_again(&envelope, NULL, 0, arena, &child, &error) == KUR_OK);
        need(child.mode == mode && same_text(child.causation_id, parent->id));
        need(same_text(child.traceparent, parent->traceparent) && same_text(child.tracestate, parent->tracestate));
        need(same_text(child.baggage, parent->baggage));
        const char *expected = parent->correlation_id != NULL ? parent->correlation_id : parent->id;
        need(same_text(child.correlation_id, expected != NULL ? expected : child.id));
        need(kur_bytes_equal(child.data, kur_bytes_text("{}")));
    }
    kur_buffer_done(&structured);
}

#endif
