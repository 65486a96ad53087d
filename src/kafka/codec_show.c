/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * An event's data for those who have no type for it, such as tools.
 */
#include <stdio.h>

#include "base/error.h"
#include "kafka/codec.h"

/* The schema that the data name, or the caller's; a reference. */
static kur_status find(const kur__frame *frame, const kur_schemas *schemas, kur_schema *own, int wait_ms,
                       kur_schema **schema, kur_error *error)
{
    bool is_own = frame->by == KUR__BY_TYPE || (frame->by == KUR__BY_FINGERPRINT && own != NULL &&
                                                kur_schema_fingerprint(own) == kur__frame_fingerprint(frame->name));
    if (is_own && own == NULL)
        return kur_error_set(error, KUR_ERROR_UNKNOWN_SCHEMA, "the data are Avro and name no schema");
    if (is_own)
        *schema = kur_schema_ref(own);
    else if (schemas == NULL)
        return kur_error_set(error, KUR_ERROR_UNKNOWN_SCHEMA, "there is nowhere to look for it");
    return is_own ? KUR_OK : kur__codec_ask(schemas, frame, wait_ms, schema, error);
}

kur_status kur_event_data_json(const kur_event_view *view, const kur_schemas *schemas, kur_schema *own, int wait_ms,
                               kur_buffer *json, char named[KUR_SCHEMA_WORDS_SIZE], kur_error *error)
{
    if (view == NULL || json == NULL || named == NULL)
        return kur_error_null(error, view == NULL ? "view" : json == NULL ? "json" : "named");
    named[0] = '\0';
    if (view->data.data == NULL)
        return kur_error_set(error, KUR_ERROR_MISMATCH, "the event has no data: a tombstone");
    kur__frame frame;
    kur_schema *schema = NULL;
    kur_status status = kur__frame_take(view, schemas != NULL, &frame, error);
    if (status != KUR_OK)
        return status;
    if (frame.is_json) {
        status = kur_buffer_append(json, frame.body.data, frame.body.size);
        return status == KUR_OK ? status : kur__error_no_memory(error);
    }
    kur__name_words words = kur__frame_words(frame.by, frame.name);
    snprintf(named, KUR_SCHEMA_WORDS_SIZE, "%s", frame.by == KUR__BY_TYPE ? "no schema" : words.text);
    status = find(&frame, schemas, own, wait_ms, &schema, error);
    if (status == KUR_OK)
        status = kur_avro_to_json(schema, frame.body, json, error);
    if (status != KUR_OK && frame.by != KUR__BY_TYPE && error != NULL)
        kur__error_prefix(error, "%s: ", words.text);
    kur_schema_unref(schema);
    return status;
}
