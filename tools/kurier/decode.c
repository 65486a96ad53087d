/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A registry that is away must not hold up what needs none: after it has failed it is left alone for a while, and what
 * would need it is shown with that reason.
 */
#include "decode.h"

#include <kurier/sys/clock.h>
#include <stdio.h>

#include "payload.h"
#include "schema.h"
#include "text.h"

enum {
    WAIT_MS = 5000,
    QUIET_US = 10 * 1000 * 1000
};

int decoder_begin(struct decoder *decoder, struct invocation *call, const char *schema)
{
    struct schema_found found = {0};
    int status = EXIT_DONE;
    *decoder = (struct decoder){.call = call};
    if (registry_is_named(call))
        decoder->registry = registry_open(call, false, &status);
    if (status == EXIT_DONE && schema != NULL)
        status = schema_find_avro(call, &decoder->registry, schema, &found);
    if (status == EXIT_DONE && schema != NULL)
        decoder->own = kur_schema_ref(found.schema);
    schema_found_done(&found);
    return status;
}

void decoder_done(struct decoder *decoder)
{
    kur_schema_unref(decoder->own);
    kur_registry_free(decoder->registry);
}

/* Data of an envelope that is wrong, or of none. */
static kur_event_view plain(const kur_record *record)
{
    kur_bytes type = {NULL, 0};
    kur_event_view view = KUR_EVENT_VIEW(.record = record, .data = kur_record_value(record));
    if (kur_record_header_last(record, "content-type", &type))
        view.content_type = type.data; /* a NUL is behind it */
    return view;
}

/* Whether the registry is left alone for now. */
static bool is_quiet(const struct decoder *decoder)
{
    return kur_clock_monotonic_us() < decoder->quiet_until_us;
}

static kur_status show(struct decoder *decoder, const kur_event_view *view, struct decoded *decoded)
{
    const struct connection *connection = &decoder->call->connection;
    int wait_ms = connection->timeout_ms < WAIT_MS ? connection->timeout_ms : WAIT_MS;
    bool was_quiet = is_quiet(decoder);
    kur_status status = kur_event_data_json(view, kur_registry_schemas(decoder->registry), decoder->own,
                                            was_quiet ? 0 : wait_ms, &decoded->json, decoded->schema, &decoded->error);
    if (kur_status_is_of_schemas(status) && !was_quiet)
        decoder->quiet_until_us = kur_clock_monotonic_us() + QUIET_US;
    if (status == KUR_ERROR_UNKNOWN_SCHEMA && decoder->registry == NULL)
        kur_error_set(&decoded->error, status, "%s: --registry, or --schema, says where to look", decoded->schema);
    return status;
}

void decode(struct decoder *decoder, const kur_record *record, const kur_event_view *event, struct decoded *decoded)
{
    kur_event_view view = event != NULL ? *event : plain(record);
    kur_bytes value = kur_record_value(record);
    *decoded = (struct decoded){.value = value};
    if (view.data.data == NULL)
        return;
    kur_status status = show(decoder, &view, decoded);
    text_need(status != KUR_ERROR_NO_MEMORY ? KUR_OK : status);
    /* A structured event is shown as a whole, unless its data are Avro. */
    bool is_avro = decoded->schema[0] != '\0', is_value = view.data.data == value.data;
    if (status == KUR_OK && (is_avro || is_value))
        decoded->value = kur_bytes_of(decoded->json.data != NULL ? decoded->json.data : "", decoded->json.size);
    else if (!is_avro) /* what is none of ours is no error */
        decoded->error = (kur_error){.code = KUR_OK};
}

void decode_done(struct decoded *decoded)
{
    kur_buffer_done(&decoded->json);
}

void decode_print(const struct invocation *call, const struct decoded *decoded)
{
    payload_print("schema", decoded->schema);
    if (decoded->error.code != KUR_OK)
        payload_print_line(call, "undecodable", kur_bytes_text(decoded->error.message));
    payload_print_value(call, decoded->value);
}

void decode_put_json(const struct invocation *call, kur_buffer *json, const struct decoded *decoded)
{
    const char *why = decoded->error.code != KUR_OK ? decoded->error.message : NULL;
    payload_json(call, json, "value", decoded->value);
    json_text(json, "schema", decoded->schema[0] != '\0' ? decoded->schema : NULL);
    payload_json(call, json, "undecodable", kur_bytes_text(why));
}
