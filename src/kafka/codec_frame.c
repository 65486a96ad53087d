/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The forms of the wire: Confluent, "Wire Format" (V0: a byte 0 and an id before the data; V1: a header), and Avro,
 * "Single-object encoding". What comes in is told apart by itself, whatever the client writes.
 *
 * No JSON begins with a byte 0, nor any UTF-8 with C3 01. Avro without anything before it can begin with both: so we
 * write it as avro/binary, which is never looked at for a name.
 */
#include <kurier/consumer.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "event/attribute.h"
#include "kafka/codec.h"

enum {
    ID_SIZE = 4,
    GUID_SIZE = 16,
    FINGERPRINT_SIZE = 8,
    MAGIC_ID = 0,
    MAGIC_GUID = 1,
    OBJECT_FIRST = 0xc3,
    OBJECT_SECOND = 0x01
};

kur__content kur__content_of(const char *content_type)
{
    if (content_type == NULL)
        return KUR__CONTENT_NONE;
    size_t size = strcspn(content_type, "; ");
    if (kur__content_type_is_json(content_type))
        return KUR__CONTENT_JSON;
    if (kur__content_type_is(content_type, "avro/binary"))
        return KUR__CONTENT_BARE;
    if (kur__content_type_is(content_type, "application/avro") ||
        kur__content_type_is(content_type, "application/vnd.apache.avro") ||
        (size > 5 && strncasecmp(content_type + size - 5, "+avro", 5) == 0))
        return KUR__CONTENT_AVRO;
    return KUR__CONTENT_OTHER;
}

/* ---- In ---- */

static kur_bytes part(kur_bytes value, size_t from, size_t size)
{
    return (kur_bytes){(const char *)value.data + from, size};
}

static unsigned char byte_at(kur_bytes value, size_t index)
{
    return ((const unsigned char *)value.data)[index];
}

static void name_it(kur__frame *frame, kur__codec_by by, kur_bytes value, size_t from, size_t size)
{
    frame->by = by;
    frame->name = part(value, from, size);
}

/* By the first bytes; false: they name nothing. */
static bool take_prefix(kur_bytes value, kur__frame *frame)
{
    if (value.size > ID_SIZE && byte_at(value, 0) == MAGIC_ID)
        name_it(frame, KUR__BY_ID, value, 1, ID_SIZE);
    else if (value.size >= 2 + FINGERPRINT_SIZE && byte_at(value, 0) == OBJECT_FIRST &&
             byte_at(value, 1) == OBJECT_SECOND)
        name_it(frame, KUR__BY_FINGERPRINT, value, 2, FINGERPRINT_SIZE);
    else
        return false;
    size_t size = frame->by == KUR__BY_ID ? 1 + ID_SIZE : 2 + FINGERPRINT_SIZE;
    frame->body = part(value, size, value.size - size);
    return true;
}

/* By the header; false: there is none, or it is wrong, which is told. */
static bool take_header(const kur_event_view *view, kur__frame *frame, kur_status *status, kur_error *error)
{
    kur_bytes header;
    if (!kur_record_header_last(view->record, KUR_SCHEMA_HEADER, &header) || header.data == NULL)
        return false;
    if (header.size == 1 + GUID_SIZE && byte_at(header, 0) == MAGIC_GUID)
        name_it(frame, KUR__BY_GUID, header, 1, GUID_SIZE);
    else if (header.size == 1 + ID_SIZE && byte_at(header, 0) == MAGIC_ID)
        name_it(frame, KUR__BY_ID, header, 1, ID_SIZE);
    else
        *status = kur_error_set(error, KUR_ERROR_SYNTAX, "the header " KUR_SCHEMA_HEADER " names no schema");
    return *status == KUR_OK;
}

/* An id before JSON is of a JSON Schema, which is not asked for. */
static void take_json(kur_bytes value, kur__frame *frame)
{
    frame->is_json = true;
    if (value.size > 1 + ID_SIZE && byte_at(value, 0) == MAGIC_ID)
        frame->body = part(value, 1 + ID_SIZE, value.size - 1 - ID_SIZE);
}

/* Nobody has said what it is, and there is nowhere to look for a schema. */
static void take_unsaid(kur_bytes value, kur__frame *frame)
{
    bool is_named = take_prefix(value, frame);
    if (is_named && !(frame->by == KUR__BY_ID && frame->body.size > 0 && byte_at(frame->body, 0) == '{'))
        return;
    frame->is_json = true;
}

kur_status kur__frame_take(const kur_event_view *view, bool finds, kur__frame *frame, kur_error *error)
{
    kur_status status = KUR_OK;
    kur__content content = kur__content_of(view->content_type);
    *frame = (kur__frame){.by = KUR__BY_TYPE, .body = view->data};
    if (content == KUR__CONTENT_OTHER)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED, "cannot decode content type %.60s", view->content_type);
    if (content == KUR__CONTENT_JSON)
        take_json(view->data, frame);
    else if (content == KUR__CONTENT_NONE && !finds)
        take_unsaid(view->data, frame);
    else if (!take_header(view, frame, &status, error) && status == KUR_OK && content != KUR__CONTENT_BARE &&
             !take_prefix(view->data, frame))
        frame->is_json = content == KUR__CONTENT_NONE;
    return status;
}

/* ---- Out ---- */

static kur_status has_no(const char *what, kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_CONFIG, "the schema has no %s where it is kept: choose another .wire", what);
}

kur_status kur__frame_put(kur_wire_format wire, const kur_schema_place *place, uint64_t fingerprint, kur_buffer *data,
                          kur_encoding *encoding, kur_error *error)
{
    unsigned char bytes[2 + FINGERPRINT_SIZE] = {MAGIC_ID};
    size_t size = 0;
    encoding->content_type = wire == KUR_WIRE_PLAIN ? "avro/binary" : "application/avro";
    if (wire == KUR_WIRE_CONFLUENT) {
        if (place->id == 0)
            return has_no("id", error);
        for (size_t i = 0; i < ID_SIZE; i++)
            bytes[1 + i] = (unsigned char)(place->id >> (24 - 8 * i));
        size = 1 + ID_SIZE;
    } else if (wire == KUR_WIRE_HEADER) {
        if (!place->has_guid)
            return has_no("GUID", error);
        encoding->has_schema_header = true;
        encoding->schema_header[0] = MAGIC_GUID;
        memcpy(encoding->schema_header + 1, place->guid.bytes, GUID_SIZE);
    } else if (wire == KUR_WIRE_SINGLE_OBJECT) {
        bytes[0] = OBJECT_FIRST;
        bytes[1] = OBJECT_SECOND;
        for (size_t i = 0; i < FINGERPRINT_SIZE; i++)
            bytes[2 + i] = (unsigned char)(fingerprint >> (8 * i));
        size = 2 + FINGERPRINT_SIZE;
    }
    return kur_buffer_append(data, bytes, size) == KUR_OK ? KUR_OK : kur__error_no_memory(error);
}

/* ---- Names ---- */

uint32_t kur__frame_id(kur_bytes name)
{
    uint32_t id = 0;
    for (size_t i = 0; i < ID_SIZE; i++)
        id = id << 8 | byte_at(name, i);
    return id;
}

uint64_t kur__frame_fingerprint(kur_bytes name)
{
    uint64_t fingerprint = 0;
    for (size_t i = FINGERPRINT_SIZE; i > 0; i--)
        fingerprint = fingerprint << 8 | byte_at(name, i - 1);
    return fingerprint;
}

kur__name_words kur__frame_words(kur__codec_by by, kur_bytes name)
{
    kur__name_words words = {"the type's own schema"};
    kur_uuid guid;
    if (by == KUR__BY_ID)
        snprintf(words.text, sizeof words.text, "schema id %u", (unsigned)kur__frame_id(name));
    if (by == KUR__BY_FINGERPRINT)
        snprintf(words.text, sizeof words.text, "schema fingerprint %016llx",
                 (unsigned long long)kur__frame_fingerprint(name));
    if (by == KUR__BY_GUID) {
        memcpy(guid.bytes, name.data, GUID_SIZE);
        memcpy(words.text, "schema ", 7);
        kur_uuid_format(&guid, words.text + 7);
    }
    return words;
}
