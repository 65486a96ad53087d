/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Structured mode: the input is the record's value. An event that can be read can be written again, in structured and
 * in binary mode, and is the same event then.
 */
#include "fuzz.h"
#include "shop.h"

#include "event/json.h"

static const char content_type[] = "application/cloudevents+json; charset=UTF-8";

/* The attributes that are extensions to a publisher. */
static size_t extensions_of(const kur_event_view *view, kur_header *extensions)
{
    static const char *const own[] = {"specversion", "id",         "source",      "type",         "time",
                                      "subject",     "dataschema", "causationid", "correlationid"};
    size_t count = 0;
    for (size_t i = 0; i < view->parsed_count; i++) {
        bool is_own = strlen(view->parsed[i].name) > KUR__EXTENSION_NAME_MAX;
        for (size_t j = 0; j < sizeof own / sizeof *own; j++)
            is_own = is_own || strcmp(view->parsed[i].name, own[j]) == 0;
        if (!is_own)
            extensions[count++] = view->parsed[i];
    }
    return count;
}

static bool is_json(const char *type)
{
    return type == NULL || strncasecmp(type, "application/json", 16) == 0 || strncasecmp(type, "text/json", 9) == 0;
}

static void write_again(const kur_event_view *view, kur_event_mode mode, kur_arena *arena)
{
    kur_error error = {0};
    kur__envelope envelope;
    kur_buffer structured = {0};
    kur_header *extensions = kur_arena_alloc(arena, view->parsed_count * sizeof *extensions);
    kur_publish_options options =
        KUR_PUBLISH_OPTIONS(.mode = mode, .id = view->id, .source = view->source, .subject = view->subject,
                            .data_schema = view->data_schema, .content_type = view->content_type,
                            .correlation_id = view->correlation_id, .causation_id = view->causation_id,
                            .time_us = view->time_us, .extensions = extensions,
                            .extension_count = extensions_of(view, extensions));
    kur_status status = kur__envelope_write(&envelope, view->type, NULL, view->data, &options, &structured, &error);
    if (status != KUR_OK) {
        /*
         * What is larger in our form than in theirs; a structured event within an event; and data_base64 that says it
         * is JSON and is none.
         */
        need_error(status, &error);
        need(status == KUR_ERROR_TOO_LARGE || status == KUR_ERROR_INVALID_ARGUMENT || status == KUR_ERROR_SYNTAX);
        if (status == KUR_ERROR_INVALID_ARGUMENT)
            need(view->content_type != NULL && strncasecmp(view->content_type, "application/cloudevents", 23) == 0);
        kur_buffer_done(&structured);
        return;
    }
    kur_event_view again = KUR_EVENT_VIEW();
    need(read_again(&envelope, mode == KUR_EVENT_BINARY ? extensions : NULL,
                    mode == KUR_EVENT_BINARY ? options.extension_count : 0, arena, &again, &error) == KUR_OK);
    need(again.mode == mode && same_text(again.id, view->id) && same_text(again.source, view->source));
    need(same_text(again.type, view->type) && same_text(again.subject, view->subject));
    need(same_text(again.data_schema, view->data_schema) && same_text(again.causation_id, view->causation_id));
    need(!view->has_time || view->time_us == 0 || again.time_us == view->time_us);
    need((again.data.data == NULL) == (view->data.data == NULL));
    /* JSON is parsed and printed: numbers may look other then. */
    if (mode == KUR_EVENT_BINARY || !is_json(view->content_type))
        need(kur_bytes_equal(again.data, view->data));
    kur_buffer_done(&structured);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_bytes input = kur_bytes_of(data, size);
    kur__envelope_reader reader;
    kur__envelope_begin(&reader);
    kur__envelope_take(&reader, "content-type", kur_bytes_of(content_type, sizeof content_type - 1));
    kur_event_view view = KUR_EVENT_VIEW(.data = take_rest(&input, arena));
    kur_status status = kur__envelope_finish(&reader, arena, &view, &error);
    if (status == KUR_OK) {
        need(view.mode == KUR_EVENT_STRUCTURED);
        need_event(&view);
        struct order_created order;
        status = kur_event_decode(&view, &order_created_type, arena, &order, &error);
        if (status != KUR_OK)
            need_error(status, &error);
        write_again(&view, KUR_EVENT_BINARY, arena);
        write_again(&view, KUR_EVENT_STRUCTURED, arena);
        need_child(&view, KUR_EVENT_STRUCTURED, arena);
    } else {
        need(status != KUR_ERROR_NO_MEMORY);
        need_error(status, &error);
    }
    kur_arena_free(arena);
    return 0;
}
