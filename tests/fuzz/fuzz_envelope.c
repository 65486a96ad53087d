/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Headers and values from outside. The input is a row of texts, each ended by 0xFF: name, value, name, value, …, and
 * what is left is the record's value.
 */
#include <stdlib.h>
#include <string.h>

#include "event/envelope.h"
#include "shop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool condition)
{
    if (!condition)
        abort();
}

/* Takes the next text off the input, with a NUL behind it, as librdkafka gives it. */
static bool next(const uint8_t **data, size_t *size, kur_arena *arena, kur_bytes *text)
{
    const uint8_t *end = *size > 0 ? memchr(*data, 0xff, *size) : NULL;
    if (end == NULL)
        return false;
    *text = kur_bytes_of(kur_arena_copy(arena, *data, (size_t)(end - *data)), (size_t)(end - *data));
    *size -= text->size + 1;
    *data = end + 1;
    return true;
}

static void is_text(const char *text, bool may_have_tabs)
{
    if (text == NULL)
        return;
    need(kur_bytes_is_utf8(kur_bytes_text(text)));
    for (; *text != '\0'; text++)
        need(((unsigned char)*text >= 0x20 && *text != 0x7f) || (*text == '\t' && may_have_tabs));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur__envelope_reader reader;
    kur__envelope_begin(&reader);
    kur_bytes name, value;
    while (next(&data, &size, arena, &name) && next(&data, &size, arena, &value))
        kur__envelope_take(&reader, name.data, value);
    kur_event_view view =
        KUR_EVENT_VIEW(.data = kur_bytes_of(size > 0 ? kur_arena_copy(arena, data, size) : NULL, size));
    kur_status status = kur__envelope_finish(&reader, arena, &view, &error);
    if (status == KUR_OK) {
        const char *texts[] = {view.id,          view.source,       view.type,           view.subject,
                               view.data_schema, view.content_type, view.correlation_id, view.causation_id,
                               view.traceparent};
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            is_text(texts[i], false);
        is_text(view.tracestate, true);
        is_text(view.baggage, true);
        need(view.mode == KUR_EVENT_PLAIN || (view.id != NULL && view.source != NULL && view.type != NULL));
        for (size_t i = 0; i < view.parsed_count; i++)
            is_text(view.parsed[i].value.data, false);
        struct order_created order;
        kur_event_decode(&view, &order_created_type, arena, &order, &error);

        /* A child of whatever was read can be written. */
        kur_publish_options options = KUR_PUBLISH_OPTIONS(.parent = &view);
        kur__envelope envelope;
        kur_buffer structured = {0};
        need(kur__envelope_write(&envelope, "shop.child.v1", "/fuzz", kur_bytes_text("{}"), &options, &structured,
                                 &error) == KUR_OK);
        kur_buffer_done(&structured);
    } else {
        need(error.code == status && error.message[0] != '\0' && strchr(error.message, '\n') == NULL);
        need(kur_bytes_is_utf8(kur_bytes_text(error.message)));
    }
    kur_arena_free(arena);
    return 0;
}
