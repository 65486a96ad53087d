/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: headers pass by once; each goes by its length to the few names it can be, and only its place is noted.
 * What was noted is checked when all have passed, so that of two headers of one name only the last is looked at, and so
 * that a record without an envelope is never refused for headers that mean something else elsewhere.
 */
#include <stdio.h>

#include "base/error.h"
#include "event/attribute.h"
#include "event/envelope.h"
#include "event/json.h"
#include "event/trace.h"
#include <kurier/sys/base64.h>

void kur__envelope_begin(kur__envelope_reader *reader)
{
    memset(reader, 0, sizeof *reader);
}

/* Whether two names of the same size are one; nearly always they are written alike. */
static inline bool is_name(const char *name, const char *wanted, size_t size)
{
    return memcmp(name, wanted, size) == 0 || strncasecmp(name, wanted, size) == 0;
}

static void take_attribute(kur__envelope_reader *reader, const char *name, size_t size, kur_bytes value)
{
    reader->any_ce = true;
    switch (size) {
    case 2:
        if (is_name(name, "id", 2))
            reader->id = value;
        break;
    case 4:
        if (is_name(name, "type", 4))
            reader->type = value;
        else if (is_name(name, "time", 4))
            reader->time = value;
        break;
    case 6:
        if (is_name(name, "source", 6))
            reader->source = value;
        break;
    case 7:
        if (is_name(name, "subject", 7))
            reader->subject = value;
        break;
    case 10:
        if (is_name(name, "dataschema", 10))
            reader->data_schema = value;
        break;
    case 11:
        if (is_name(name, "specversion", 11))
            reader->specversion = value;
        else if (is_name(name, "causationid", 11))
            reader->causation_id = value;
        break;
    case 13:
        if (is_name(name, "correlationid", 13))
            reader->correlation_id = value;
        break;
    default:
        break;
    }
}

/* Names of other frameworks, the better ones first; a better one is not replaced by a worse. */
static void take_fallback(const char *const *names, const char *name, kur_bytes value, kur_bytes *to, int *rank)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcasecmp(names[i], name) == 0 && (*rank == 0 || i + 1 <= *rank)) {
            *to = value;
            *rank = i + 1;
        }
}

void kur__envelope_take(kur__envelope_reader *reader, const char *name, kur_bytes value)
{
    static const char *const ids[] = {"id", "x-message-id", "_watermill_message_uuid", NULL};
    static const char *const correlations[] = {"kafka_correlationId", "correlation-id", "correlation_id",
                                               "CorrelationId", NULL};
    size_t size = strlen(name);
    if (value.data == NULL)
        return; /* a null header says nothing */
    if (size > 3 && (name[0] | 0x20) == 'c' && (name[1] | 0x20) == 'e' && name[2] == '_') {
        take_attribute(reader, name + 3, size - 3, value);
        return;
    }
    switch (size) {
    case 2:
    case 23:
        take_fallback(ids, name, value, &reader->fallback_id, &reader->fallback_id_rank);
        break;
    case 7:
        if (is_name(name, "baggage", size))
            reader->baggage = value;
        break;
    case 10:
        if (is_name(name, "tracestate", size))
            reader->tracestate = value;
        break;
    case 11:
        if (is_name(name, "traceparent", size))
            reader->traceparent = value;
        break;
    case 12:
        if (is_name(name, "content-type", size))
            reader->content_type = value;
        else
            take_fallback(ids, name, value, &reader->fallback_id, &reader->fallback_id_rank);
        break;
    case 13:
    case 14:
    case 19:
        take_fallback(correlations, name, value, &reader->fallback_correlation_id, &reader->fallback_correlation_rank);
        break;
    default:
        break;
    }
}

static kur_status wrong(kur_error *error, const char *attribute, const char *what)
{
    return kur_error_set(error, KUR_ERROR_NOT_AN_EVENT, "not a CloudEvent: %s %s", attribute, what);
}

/* A text of the event, NULL when there is none. */
static kur_status take_text(kur_bytes value, const char *attribute, bool required, const char **text, kur_error *error)
{
    if (value.data == NULL || value.size == 0)
        return required || value.data != NULL ? wrong(error, attribute, value.data == NULL ? "is missing" : "is empty")
                                              : KUR_OK;
    if (!kur__attribute_is_text(value))
        return wrong(error, attribute, "is not UTF-8 without control characters");
    *text = value.data;
    return KUR_OK;
}

static void take_trace(const kur__envelope_reader *reader, kur_event_view *view)
{
    view->traceparent = kur__traceparent_is_valid(reader->traceparent) ? reader->traceparent.data : NULL;
    view->tracestate =
        view->traceparent != NULL && kur__tracestate_is_valid(reader->tracestate) ? reader->tracestate.data : NULL;
    view->baggage = kur__baggage_is_valid(reader->baggage) ? reader->baggage.data : NULL;
}

/* Checks what binary and structured events have in common. */
static kur_status finish_attributes(const kur__envelope_reader *reader, kur_event_view *view, kur_error *error)
{
    static const kur_bytes version = {"1.0", 3};
    kur_status status = KUR_OK;
    if (reader->specversion.data == NULL)
        return wrong(error, "specversion", "is missing");
    if (!kur_bytes_equal(reader->specversion, version))
        return wrong(error, "specversion", "is not 1.0");
    const struct {
        kur_bytes value;
        const char *name;
        bool required;
        const char **to;
    } texts[] = {
        {reader->id, "id", true, &view->id},
        {reader->source, "source", true, &view->source},
        {reader->type, "type", true, &view->type},
        {reader->subject, "subject", false, &view->subject},
        {reader->data_schema, "dataschema", false, &view->data_schema},
        {reader->correlation_id, "correlationid", false, &view->correlation_id},
        {reader->causation_id, "causationid", false, &view->causation_id},
        {reader->content_type, "datacontenttype", false, &view->content_type},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts && status == KUR_OK; i++)
        status = take_text(texts[i].value, texts[i].name, texts[i].required, texts[i].to, error);
    if (status == KUR_OK && reader->time.data != NULL) {
        if (kur_time_parse(reader->time.data, reader->time.size, &view->time_us, NULL) != KUR_OK)
            return wrong(error, "time", "is not an RFC 3339 time");
        view->has_time = true;
    }
    return status;
}

/* ---- Structured mode ---- */

static kur_status no_memory_if_null(const void *pointer, kur_error *error)
{
    return pointer != NULL ? KUR_OK : kur__error_no_memory(error);
}

static bool is_extension_name(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");
    return size > 0 && name[size] == '\0';
}

/* Those of CloudEvents' own: strings, all of them; what an extension is, its sender knows. */
static bool is_own_attribute(const char *name)
{
    static const char *const own[] = {"specversion", "id",      "source",     "type",
                                      "time",        "subject", "dataschema", "datacontenttype"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(name, own[i]) == 0)
            return true;
    return false;
}

/* An attribute's value as text, in the arena. Data none when it is null. */
static kur_status attribute_text(const char *name, const json_t *json, kur_arena *arena, kur_bytes *text,
                                 kur_error *error)
{
    char digits[32];
    const char *from;
    if (json_is_null(json))
        return KUR_OK;
    if (json_is_string(json)) {
        from = json_string_value(json);
    } else if (is_own_attribute(name)) {
        return wrong(error, name, "is not a string");
    } else if (json_is_integer(json)) {
        snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(json));
        from = digits;
    } else if (json_is_boolean(json)) {
        from = json_is_true(json) ? "true" : "false";
    } else {
        return wrong(error, name, "is neither a string, nor an integer, nor a boolean");
    }
    *text = kur_bytes_of(kur_arena_copy(arena, from, strlen(from)), strlen(from));
    return no_memory_if_null(text->data, error);
}

static kur_status take_member(kur__envelope_reader *reader, kur_event_view *view, const char *name, const json_t *json,
                              kur_header *extensions, kur_arena *arena, kur_error *error)
{
    if (strcmp(name, "data") == 0 || strcmp(name, "data_base64") == 0)
        return KUR_OK;
    if (!is_extension_name(name))
        return wrong(error, "an attribute", "has a name with other characters than a-z and 0-9");
    kur_bytes text = {0};
    kur_status status = attribute_text(name, json, arena, &text, error);
    if (status != KUR_OK || text.data == NULL)
        return status;
    if (strcmp(name, "datacontenttype") == 0) {
        reader->content_type = text;
        return KUR_OK;
    }
    char *copy = kur_arena_copy(arena, name, strlen(name));
    if (copy == NULL)
        return kur__error_no_memory(error);
    take_attribute(reader, copy, strlen(copy), text);
    /* As in binary mode, an extension that is no text is not there. */
    if (kur__attribute_is_text(text))
        extensions[view->parsed_count++] = (kur_header){copy, text};
    return KUR_OK;
}

static kur_status take_base64(const json_t *json, kur_arena *arena, kur_bytes *data, kur_error *error)
{
    if (!json_is_string(json))
        return wrong(error, "data_base64", "is not a string");
    size_t size = json_string_length(json);
    uint8_t *bytes = kur_arena_alloc(arena, kur_base64_room(size));
    if (bytes == NULL)
        return kur__error_no_memory(error);
    data->data = bytes;
    if (!kur_base64_read(json_string_value(json), size, bytes, &data->size))
        return wrong(error, "data_base64", "is not base64");
    return KUR_OK;
}

static kur_status take_json_data(const json_t *json, const char *content_type, kur_arena *arena, kur_bytes *data,
                                 kur_error *error)
{
    /* Data of another type than JSON, in a string: the text itself (JSON event format, section 3.1.1). */
    if (json_is_string(json) && content_type != NULL && !kur__content_type_is_json(content_type)) {
        size_t length = json_string_length(json);
        *data = kur_bytes_of(kur_arena_copy(arena, json_string_value(json), length), length);
        return no_memory_if_null(data->data, error);
    }
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
    size_t size = json_dumpb(json, NULL, 0, flags);
    char *text = size > 0 ? kur_arena_alloc(arena, size + 1) : NULL;
    if (text == NULL || json_dumpb(json, text, size, flags) != size)
        return kur__error_no_memory(error);
    *data = kur_bytes_of(text, size);
    return KUR_OK;
}

static kur_status take_data(const json_t *tree, kur_event_view *view, kur_arena *arena, kur_error *error)
{
    const json_t *data = json_object_get(tree, "data");
    const json_t *base64 = json_object_get(tree, "data_base64");
    view->data = kur_bytes_of(NULL, 0);
    if (data != NULL && base64 != NULL)
        return wrong(error, "data", "and data_base64 are both there");
    if (base64 != NULL && !json_is_null(base64))
        return take_base64(base64, arena, &view->data, error);
    if (data != NULL && !json_is_null(data))
        return take_json_data(data, view->content_type, arena, &view->data, error);
    return KUR_OK;
}

static kur_status finish_structured(kur__envelope_reader *reader, kur_arena *arena, kur_event_view *view,
                                    kur_error *error)
{
    const char *content_type = reader->content_type.data;
    if (!kur__content_type_is(content_type, KUR__STRUCTURED_TYPE "+json") &&
        !kur__content_type_is(content_type, KUR__STRUCTURED_TYPE))
        return kur_error_set(error, KUR_ERROR_NOT_AN_EVENT, "not a CloudEvent that can be read: content-type %.60s",
                             content_type);
    if (arena == NULL)
        return kur_error_null(error, "arena");
    if (view->data.data == NULL)
        return wrong(error, "a structured event", "has a null value");

    json_t *tree = NULL;
    kur_status status = kur__json_parse(view->data, 0, &tree, error);
    if (status != KUR_OK)
        return status;
    kur__envelope_reader inner = {.traceparent = reader->traceparent};
    kur_header *extensions = NULL;
    if (!json_is_object(tree)) {
        status = wrong(error, "the value", "is not a JSON object");
    } else {
        extensions = kur_arena_alloc(arena, json_object_size(tree) * sizeof *extensions);
        status = no_memory_if_null(extensions, error);
    }
    const char *name;
    json_t *member;
    if (status == KUR_OK) {
        json_object_foreach (tree, name, member) {
            status = take_member(&inner, view, name, member, extensions, arena, error);
            if (status != KUR_OK)
                break;
        }
    }
    view->parsed = extensions;
    if (status == KUR_OK)
        status = finish_attributes(&inner, view, error);
    if (status == KUR_OK)
        status = take_data(tree, view, arena, error);
    json_decref(tree);
    return status;
}

/* ---- All modes ---- */

static bool is_structured(const kur__envelope_reader *reader)
{
    size_t size = sizeof KUR__STRUCTURED_TYPE - 1;
    return kur__attribute_is_text(reader->content_type) && reader->content_type.size >= size &&
           strncasecmp(reader->content_type.data, KUR__STRUCTURED_TYPE, size) == 0;
}

kur_status kur__envelope_finish(const kur__envelope_reader *reader, kur_arena *arena, kur_event_view *view,
                                kur_error *error)
{
    kur_status status = KUR_OK;
    take_trace(reader, view);
    if (is_structured(reader)) {
        kur__envelope_reader copy = *reader;
        view->mode = KUR_EVENT_STRUCTURED;
        status = finish_structured(&copy, arena, view, error);
    } else if (reader->any_ce) {
        view->mode = KUR_EVENT_BINARY;
        status = finish_attributes(reader, view, error);
    } else {
        view->mode = KUR_EVENT_PLAIN;
        view->content_type = kur__attribute_text_or_null(reader->content_type);
        view->id = kur__attribute_text_or_null(reader->fallback_id);
    }
    if (status == KUR_OK && view->correlation_id == NULL)
        view->correlation_id = kur__attribute_text_or_null(reader->fallback_correlation_id);
    return status;
}

bool kur_event_is(const kur_event_view *view, const kur_type *type)
{
    if (view == NULL || view->type == NULL || type == NULL || type->event_type == NULL)
        return false;
    size_t size = strlen(type->event_type);
    char version[16];
    snprintf(version, sizeof version, ".v%u", (unsigned)type->version);
    return strncmp(view->type, type->event_type, size) == 0 && strcmp(view->type + size, version) == 0;
}
