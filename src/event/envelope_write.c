/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/json.h>
#include <kurier/sys/clock.h>

#include "base/error.h"
#include "event/attribute.h"
#include "event/envelope.h"
#include "event/json.h"
#include "event/trace.h"
#include <kurier/sys/base64.h>

static kur_status wrong(kur_error *error, const char *option, const char *what)
{
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s %s", option, what);
}

/* A text that goes into the event; NULL and unset leave it out. */
static kur_status check_text(const char *text, const char *option, kur_error *error)
{
    if (text != NULL && (text[0] == '\0' || !kur__attribute_is_text(kur_bytes_text(text))))
        return wrong(error, option, "is empty, or not UTF-8 without control characters");
    return KUR_OK;
}

static kur_status check_extension(const kur_header *extension, kur_error *error)
{
    static const char *const own[] = {"specversion",    "id",         "source", "type",        "time",
                                      "subject",        "dataschema", "data",   "causationid", "correlationid",
                                      "datacontenttype"};
    const char *name = extension->name;
    size_t size = name != NULL ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789") : 0;
    if (size == 0 || size > KUR__EXTENSION_NAME_MAX || name[size] != '\0')
        return wrong(error, "an extension's name", "is not 1 to 20 characters of a-z and 0-9");
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(own[i], name) == 0)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the extension %s has an option of its own", name);
    if (!kur__attribute_is_text(extension->value))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "the extension %s is not UTF-8 without control characters", name);
    return KUR_OK;
}

static kur_status check_headers(const kur_publish_options *options, kur_error *error)
{
    if ((options->extension_count > 0 && options->extensions == NULL) ||
        (options->header_count > 0 && options->headers == NULL))
        return wrong(error, "extensions or headers", "are counted but NULL");
    kur_status status = KUR_OK;
    for (size_t i = 0; i < options->extension_count && status == KUR_OK; i++) {
        status = check_extension(&options->extensions[i], error);
        for (size_t j = 0; j < i && status == KUR_OK; j++)
            if (strcmp(options->extensions[i].name, options->extensions[j].name) == 0)
                status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the extension %s is there twice",
                                       options->extensions[i].name);
    }
    for (size_t i = 0; i < options->header_count && status == KUR_OK; i++) {
        const char *name = options->headers[i].name;
        if (name == NULL || name[0] == '\0')
            return wrong(error, "a header's name", "is empty");
        if (!kur_bytes_is_utf8(kur_bytes_text(name)))
            return wrong(error, "a header's name", "is not UTF-8");
        if (options->headers[i].value.data == NULL && options->headers[i].value.size > 0)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the header %.40s has a size but no data", name);
        if (strncasecmp(name, "ce_", 3) == 0 || strcasecmp(name, "content-type") == 0)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                 "the header %.40s belongs to the envelope: it has an option, or is an extension",
                                 name);
    }
    return status;
}

/* What goes into the event, after defaults and the parent. */
struct attributes {
    const char *id, *source, *type, *time, *subject, *data_schema, *correlation_id, *causation_id;
    const char *content_type, *traceparent, *tracestate, *baggage, *due;
};

static kur_status take_trace(struct attributes *a, const kur_publish_options *options, kur_error *error)
{
    const kur_event_view *parent = options->parent;
    bool own = options->traceparent != NULL;
    a->traceparent = own ? options->traceparent : parent != NULL ? parent->traceparent : NULL;
    a->tracestate = own || options->tracestate != NULL ? options->tracestate
                    : parent != NULL                   ? parent->tracestate
                                                       : NULL;
    a->baggage = options->baggage != NULL ? options->baggage : parent != NULL ? parent->baggage : NULL;
    if (a->traceparent != NULL && !kur__traceparent_is_valid(kur_bytes_text(a->traceparent)))
        return wrong(error, ".traceparent", "is not valid");
    if (a->tracestate != NULL && (a->traceparent == NULL || !kur__tracestate_is_valid(kur_bytes_text(a->tracestate))))
        return wrong(error, ".tracestate", "is not valid, or stands alone");
    if (a->baggage != NULL && !kur__baggage_is_valid(kur_bytes_text(a->baggage)))
        return wrong(error, ".baggage", "is not printable ASCII of at most 8,192 bytes");
    return KUR_OK;
}

static kur_status take_attributes(struct attributes *a, kur__envelope *envelope, const char *event_type,
                                  const char *default_source, bool has_data, const kur_publish_options *options,
                                  kur_error *error)
{
    const kur_event_view *parent = options->parent;
    *a = (struct attributes){
        .type = event_type,
        .id = options->id,
        .source = options->source != NULL ? options->source : default_source,
        .subject = options->subject,
        .data_schema = options->data_schema,
        .causation_id = options->causation_id != NULL ? options->causation_id
                        : parent != NULL              ? parent->id
                                                      : NULL,
        .content_type = options->content_type != NULL ? options->content_type
                        : has_data                    ? "application/json"
                                                      : NULL,
    };
    if (a->source == NULL)
        return kur_error_set(
            error, KUR_ERROR_CONFIG,
            "the event has no source: set .source in the client's options, such as \"/services/email\"");
    if (a->type == NULL || a->type[0] == '\0')
        return wrong(error, "the event's type", "is missing");
    if (a->id == NULL) {
        kur_uuid uuid;
        kur_status status = kur_uuid_new(&uuid, error);
        if (status != KUR_OK)
            return status;
        kur_uuid_format(&uuid, envelope->id);
        a->id = envelope->id;
    }
    a->correlation_id = options->correlation_id;
    if (a->correlation_id == NULL && parent != NULL)
        a->correlation_id = parent->correlation_id != NULL ? parent->correlation_id : parent->id;
    if (a->correlation_id == NULL)
        a->correlation_id = a->id;
    if (options->due_us != 0 && kur_time_format(options->due_us, envelope->due) == 0)
        return wrong(error, ".due_us", "is outside the years 0001 to 9999");
    a->due = options->due_us != 0 ? envelope->due : NULL;
    if (kur_time_format(options->time_us != 0 ? options->time_us : kur_clock_now_us(), envelope->time) == 0)
        return wrong(error, ".time_us", "is outside the years 0001 to 9999");
    a->time = envelope->time;
    return take_trace(a, options, error);
}

static kur_status check_attributes(const struct attributes *a, kur_error *error)
{
    const char *const texts[][2] = {{a->id, ".id"},
                                    {a->source, ".source"},
                                    {a->type, "the event's type"},
                                    {a->subject, ".subject"},
                                    {a->data_schema, ".data_schema"},
                                    {a->correlation_id, ".correlation_id"},
                                    {a->causation_id, ".causation_id"},
                                    {a->content_type, ".content_type"}};
    kur_status status = KUR_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && status == KUR_OK; i++)
        status = check_text(texts[i][0], texts[i][1], error);
    if (status == KUR_OK && a->content_type != NULL &&
        strncasecmp(a->content_type, KUR__STRUCTURED_TYPE, sizeof KUR__STRUCTURED_TYPE - 1) == 0)
        return wrong(error, ".content_type", "is that of a structured event: it is asked for by .mode");
    return status;
}

static void add(kur__envelope *envelope, const char *name, const char *text)
{
    if (text != NULL)
        envelope->headers[envelope->header_count++] = (kur_header){name, kur_bytes_text(text)};
}

static void write_binary(kur__envelope *envelope, const struct attributes *a)
{
    add(envelope, "ce_specversion", "1.0");
    add(envelope, "ce_id", a->id);
    add(envelope, "ce_source", a->source);
    add(envelope, "ce_type", a->type);
    add(envelope, "ce_time", a->time);
    add(envelope, "ce_subject", a->subject);
    add(envelope, "ce_dataschema", a->data_schema);
    add(envelope, "ce_correlationid", a->correlation_id);
    add(envelope, "ce_causationid", a->causation_id);
    add(envelope, "content-type", a->content_type);
}

/* ---- Structured mode ---- */

static kur_status write_member(kur_buffer *json, const char *name, const char *text, size_t size)
{
    if (text == NULL)
        return KUR_OK;
    kur_status status = kur_buffer_append(json, json->size > 1 ? "," : "", json->size > 1);
    if (status == KUR_OK)
        status = kur__json_write_string(json, name, strlen(name));
    if (status == KUR_OK)
        status = kur_buffer_append(json, ":", 1);
    return status == KUR_OK ? kur__json_write_string(json, text, size) : status;
}

/*
 * Of JSON types all SDKs nest only these two; of the others some do and some refuse. Base64 passes through everywhere.
 */
static bool is_nested(const char *content_type)
{
    return content_type == NULL || kur__content_type_is(content_type, "application/json") ||
           kur__content_type_is(content_type, "text/json");
}

static kur_status write_data(kur_buffer *json, kur_bytes data, const char *content_type)
{
    bool nested = is_nested(content_type);
    kur_status status =
        nested ? kur_buffer_append(json, ",\"data\":", 8) : kur_buffer_append(json, ",\"data_base64\":\"", 16);
    if (status == KUR_OK)
        status = nested ? kur_buffer_append(json, data.data, data.size) : kur_base64_write(json, data);
    return status == KUR_OK && !nested ? kur_buffer_append(json, "\"", 1) : status;
}

static kur_status write_structured(kur__envelope *envelope, const struct attributes *a, kur_bytes data,
                                   const kur_publish_options *options, kur_buffer *json, kur_error *error)
{
    json_t *tree;
    kur_status status = KUR_OK;
    if (data.data != NULL && is_nested(a->content_type)) {
        /* What is nested as JSON must be JSON, or the whole event is broken. */
        status = kur__json_parse(data, 1, &tree, error);
        if (status != KUR_OK)
            return status;
        json_decref(tree);
    }
    const char *const members[][2] = {{"specversion", "1.0"},
                                      {"id", a->id},
                                      {"source", a->source},
                                      {"type", a->type},
                                      {"time", a->time},
                                      {"subject", a->subject},
                                      {"dataschema", a->data_schema},
                                      {"correlationid", a->correlation_id},
                                      {"causationid", a->causation_id},
                                      {"datacontenttype", a->content_type}};
    status = kur_buffer_append(json, "{", 1);
    for (size_t i = 0; i < sizeof members / sizeof *members && status == KUR_OK; i++)
        status = write_member(json, members[i][0], members[i][1], members[i][1] != NULL ? strlen(members[i][1]) : 0);
    for (size_t i = 0; i < options->extension_count && status == KUR_OK; i++)
        status = write_member(json, options->extensions[i].name, options->extensions[i].value.data,
                              options->extensions[i].value.size);
    if (status == KUR_OK && data.data != NULL)
        status = write_data(json, data, a->content_type);
    if (status == KUR_OK)
        status = kur_buffer_append(json, "}", 1);
    if (status != KUR_OK)
        return kur__error_no_memory(error);
    if (json->size > KUR_JSON_SIZE_MAX)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE,
                             "the structured event has %zu bytes, at most %d are read: use .mode = KUR_EVENT_BINARY",
                             json->size, KUR_JSON_SIZE_MAX);
    add(envelope, "content-type", KUR__STRUCTURED_TYPE "+json; charset=UTF-8");
    envelope->value = kur_bytes_of(json->data, json->size);
    return KUR_OK;
}

kur_status kur__envelope_write(kur__envelope *envelope, const char *event_type, const char *default_source,
                               kur_bytes data, const kur_publish_options *options, kur_buffer *structured,
                               kur_error *error)
{
    struct attributes a;
    envelope->header_count = 0;
    envelope->value = data;
    if (options->mode != KUR_EVENT_PLAIN && options->mode != KUR_EVENT_BINARY && options->mode != KUR_EVENT_STRUCTURED)
        return wrong(error, ".mode", "is neither KUR_EVENT_BINARY nor KUR_EVENT_STRUCTURED");
    kur_status status = take_attributes(&a, envelope, event_type, default_source, data.data != NULL, options, error);
    if (status == KUR_OK)
        status = check_attributes(&a, error);
    if (status == KUR_OK)
        status = check_headers(options, error);
    if (status != KUR_OK)
        return status;
    if (options->mode == KUR_EVENT_STRUCTURED)
        status = write_structured(envelope, &a, data, options, structured, error);
    else
        write_binary(envelope, &a);
    add(envelope, "traceparent", a.traceparent);
    add(envelope, "tracestate", a.tracestate);
    add(envelope, "baggage", a.baggage);
    add(envelope, KUR_DUE_HEADER, a.due);
    return status;
}
