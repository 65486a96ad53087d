/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/codec.h>: an event's data apart from its envelope: encoded as a producer would, and decoded without
 * waiting for a schema.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_CODEC_H
#define KURIER_SYS_CODEC_H

#include <kurier/client.h>
#include <kurier/event.h>

KUR_BEGIN_DECLS

/** The header that names a schema: Confluent's V1, "01" and a GUID. */
#define KUR_SCHEMA_HEADER "__value_schema_id"

/** What belongs to encoded data in an envelope. */
typedef struct kur_encoding {
    const char *content_type; /**< static */
    bool has_schema_header;
    uint8_t schema_header[17]; /**< the value of KUR_SCHEMA_HEADER */
    char data_schema[512];     /**< "": none */
} kur_encoding;

/**
 * Appends an event's data as they are published to `topic`, in `format`, else the type's, else the client's. Waits for
 * a schema's place as kur_producer_publish does, and returns what that returns for it. Any thread.
 */
KUR_API kur_status kur_event_encode(kur_client *client, const kur_type *type, const void *event, const char *topic,
                                    kur_format format, kur_buffer *data, kur_encoding *encoding, kur_error *error);

/**
 * kur_event_decode, waiting `wait_ms` at most for a schema that is not known yet; 0: does not ask for it, which is
 * KUR_ERROR_TIMEOUT; -1: as the client's options say. Any thread.
 */
KUR_API kur_status kur_event_decode_within(const kur_event_view *view, const kur_type *type, kur_arena *arena,
                                           void *event, int wait_ms, kur_error *error);

/** How long the words for a schema that data name can be: "schema id 7". */
#define KUR_SCHEMA_WORDS_SIZE 64

/**
 * Appends an event's data as JSON, for tools that have no type for it. What is Avro is shown by the schema that it
 * names, which `schemas` finds (NULL: nobody does) within `wait_ms`, or by `own` (NULL: none) where that is the one, or
 * none is named; all else is appended as it is, without what names a JSON Schema before it. `named` gets which schema
 * the data name, "" where they are not Avro's. As kur_event_decode, but KUR_ERROR_UNKNOWN_SCHEMA too where there is
 * nowhere to look. Any thread.
 */
KUR_API kur_status kur_event_data_json(const kur_event_view *view, const kur_schemas *schemas, kur_schema *own,
                                       int wait_ms, kur_buffer *json, char named[KUR_SCHEMA_WORDS_SIZE],
                                       kur_error *error);

/** Whether a status of decoding says nothing of the event: its schema cannot be had now. Any thread. */
KUR__UNUSED static inline bool kur_status_is_of_schemas(kur_status status)
{
    return status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_TIMEOUT || status == KUR_ERROR_AUTHENTICATION ||
           status == KUR_ERROR_AUTHORIZATION || status == KUR_ERROR_CONFIG;
}

KUR_END_DECLS

#endif
