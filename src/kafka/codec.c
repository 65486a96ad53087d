/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: whoever needs a schema that is not known yet asks for it on its own thread, and waits; what was found
 * is kept (codec_cache.c), so that this happens once for a schema, or for a topic and a type. Two that ask at the same
 * time both ask: a registry makes one request of it.
 *
 * A type's own schema is one object for as long as the client, since a registry goes by its address.
 *
 * What a kur_schemas returns decides whether a record is poison. So what it returns beyond its contract counts as "not
 * now".
 */
#include "kafka/codec.h"

#include <kurier/json.h>
#include <kurier/sys/options.h>
#include <stdio.h>

#include "base/error.h"
#include "event/avro_plan.h"
#include "kafka/client.h"

enum {
    WAIT_MS = 5000
};

/* ---- A client's ---- */

static bool needs_place(const kur__codec *codec)
{
    return codec->wire == KUR_WIRE_CONFLUENT || codec->wire == KUR_WIRE_HEADER || codec->names_schema;
}

static kur_status check(const kur_client_options *options, kur_error *error)
{
    if (options->format < KUR_FORMAT_DEFAULT || options->format > KUR_FORMAT_AVRO)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".format is not a kur_format");
    if (options->wire < KUR_WIRE_CONFLUENT || options->wire > KUR_WIRE_PLAIN)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".wire is not a kur_wire_format");
    if (options->schema_wait_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".schema_wait_ms is negative");
    return KUR_OK;
}

kur_status kur__codec_init(kur__codec *codec, const kur_client_options *options, kur_error *error)
{
    kur__codec_cache_init(&codec->cache);
    kur_status status = check(options, error);
    if (status == KUR_OK)
        status = kur_options_take(&codec->schemas, sizeof codec->schemas, options->schemas, "kur_schemas", error);
    if (status != KUR_OK)
        return status;
    codec->has_schemas = options->schemas != NULL;
    codec->format = options->format == KUR_FORMAT_DEFAULT ? KUR_FORMAT_JSON : options->format;
    codec->wire = options->wire;
    codec->names_schema = options->names_schema;
    codec->wait_ms = options->schema_wait_ms > 0 ? options->schema_wait_ms : WAIT_MS;
    if (codec->has_schemas && (codec->schemas.by_id == NULL || codec->schemas.place == NULL))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".schemas has no %s",
                             codec->schemas.by_id == NULL ? ".by_id" : ".place");
    if (codec->format == KUR_FORMAT_AVRO && needs_place(codec) && !codec->has_schemas)
        return kur_error_set(error, KUR_ERROR_CONFIG,
                             ".format is Avro, and what .wire or .names_schema asks for needs "
                             ".schemas");
    return KUR_OK;
}

void kur__codec_done(kur__codec *codec)
{
    kur__codec_cache_done(&codec->cache);
}

/* The type's own schema and plan; followed by kur__codec_leave. */
static kur_status own(kur__codec *codec, const kur_type *type, const kur__codec_entry **entry, kur_error *error)
{
    kur__codec_cache *cache = codec != NULL ? &codec->cache : NULL;
    kur__codec_key key = {.by = KUR__BY_TYPE, .type = type};
    *entry = kur__codec_find(cache, &key);
    if (*entry != NULL)
        return KUR_OK;
    kur__codec_entry *made = kur__codec_entry_new(&key);
    if (made == NULL)
        return kur__error_no_memory(error);
    kur_status status = kur_avro_plan_new(NULL, type, &made->plan, error);
    if (status != KUR_OK) {
        kur__codec_leave(made);
        return status;
    }
    made->schema = kur_schema_ref(made->plan->reader);
    *entry = kur__codec_keep(cache, made);
    return KUR_OK;
}

/* ---- Out ---- */

/* Where the schema of a type is kept for a topic; followed by kur__codec_leave. */
static kur_status place_of(kur__codec *codec, const kur_type *type, const char *topic, kur_schema *schema,
                           const kur__codec_entry **entry, kur_error *error)
{
    kur__codec_key key = {.by = KUR__BY_TOPIC, .type = type, .name = kur_bytes_text(topic)};
    if (topic == NULL)
        return kur_error_set(error, KUR_ERROR_CONFIG,
                             "%s has no topic: set .topic in the options or in KUR_EVENT_DEFINE", type->name);
    if (!codec->has_schemas)
        return kur_error_set(error, KUR_ERROR_CONFIG, "the client has no .schemas, which Avro on %s needs", topic);
    *entry = kur__codec_find(&codec->cache, &key);
    if (*entry != NULL)
        return KUR_OK;
    kur__codec_entry *made = kur__codec_entry_new(&key);
    if (made == NULL)
        return kur__error_no_memory(error);
    kur_error why = {0};
    made->place = KUR_SCHEMA_PLACE();
    kur_status status = codec->schemas.place(codec->schemas.state, topic, schema, codec->wait_ms, &made->place, &why);
    if (status == KUR_OK) {
        *entry = kur__codec_keep(&codec->cache, made);
        return KUR_OK;
    }
    kur__codec_leave(made);
    return kur_error_set(error, status, "%s", why.message[0] != '\0' ? why.message : kur_status_text(status));
}

static kur_status write_avro(kur__codec *codec, const kur_type *type, const void *event, const char *topic,
                             kur_buffer *data, kur_encoding *encoding, kur_error *error)
{
    static const kur_schema_place nowhere = {.size = sizeof nowhere};
    const kur__codec_entry *mine = NULL, *placed = NULL;
    kur_status status = own(codec, type, &mine, error);
    if (status == KUR_OK && needs_place(codec))
        status = place_of(codec, type, topic, mine->schema, &placed, error);
    if (status == KUR_OK)
        status = kur__frame_put(codec->wire, placed != NULL ? &placed->place : &nowhere,
                                kur_schema_fingerprint(mine->schema), data, encoding, error);
    if (status == KUR_OK)
        status = kur_avro_write(type, event, data, error);
    if (status == KUR_OK && codec->names_schema)
        snprintf(encoding->data_schema, sizeof encoding->data_schema, "%s", placed->place.url);
    kur__codec_leave(placed);
    kur__codec_leave(mine);
    return status;
}

kur_status kur_event_encode(kur_client *client, const kur_type *type, const void *event, const char *topic,
                            kur_format format, kur_buffer *data, kur_encoding *encoding, kur_error *error)
{
    kur__codec *codec = kur__client_codec(client);
    size_t before = data->size;
    encoding->content_type = "application/json";
    encoding->has_schema_header = false;
    encoding->data_schema[0] = '\0';
    if (format == KUR_FORMAT_DEFAULT)
        format = (kur_format)type->format;
    if (format == KUR_FORMAT_DEFAULT)
        format = codec->format;
    if (format == KUR_FORMAT_JSON)
        return kur_json_write(type, event, data, error);
    if (format != KUR_FORMAT_AVRO)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".format is not a kur_format");
    kur_status status = write_avro(codec, type, event, topic, data, encoding, error);
    if (status != KUR_OK && data->data != NULL) {
        data->size = before;
        data->data[before] = '\0';
    }
    return status;
}

/* ---- In ---- */

/* One event on its way in. */
struct reading {
    kur__codec *codec; /* NULL: the view has no client */
    const kur_type *type;
    kur__frame frame;
    int wait_ms;
};

static kur_status ask(const kur_schemas *schemas, const kur__frame *frame, int wait_ms, kur_schema **schema,
                      kur_error *error)
{
    kur_uuid guid;
    if (frame->by == KUR__BY_ID)
        return schemas->by_id(schemas->state, kur__frame_id(frame->name), wait_ms, schema, error);
    if (frame->by == KUR__BY_GUID && schemas->by_guid != NULL) {
        memcpy(guid.bytes, frame->name.data, sizeof guid.bytes);
        return schemas->by_guid(schemas->state, &guid, wait_ms, schema, error);
    }
    if (frame->by == KUR__BY_FINGERPRINT && schemas->by_fingerprint != NULL)
        return schemas->by_fingerprint(schemas->state, kur__frame_fingerprint(frame->name), wait_ms, schema, error);
    return kur_error_set(error, KUR_ERROR_UNKNOWN_SCHEMA, "the client's .schemas finds none by that");
}

/* Of what kur_schemas' functions may return; anything else must cost no record. */
static kur_status judge(kur_status status, const kur_schema *schema)
{
    switch (status) {
    case KUR_OK:
        return schema != NULL ? KUR_OK : KUR_ERROR_UNREACHABLE;
    case KUR_ERROR_UNKNOWN_SCHEMA:
    case KUR_ERROR_SYNTAX:
    case KUR_ERROR_TOO_LARGE:
    case KUR_ERROR_UNSUPPORTED:
    case KUR_ERROR_NO_MEMORY:
        return status;
    default:
        return kur_status_is_of_schemas(status) ? status : KUR_ERROR_UNREACHABLE;
    }
}

kur_status kur__codec_ask(const kur_schemas *schemas, const kur__frame *frame, int wait_ms, kur_schema **schema,
                          kur_error *error)
{
    kur_error why = {0};
    kur_status status = ask(schemas, frame, wait_ms, schema, &why);
    status = judge(status, *schema);
    if (status != KUR_OK)
        kur_error_set(error, status, "%s", why.message[0] != '\0' ? why.message : kur_status_text(status));
    return status;
}

static kur_status fetch(const struct reading *reading, kur_schema **schema, kur_error *error)
{
    kur__name_words words = kur__frame_words(reading->frame.by, reading->frame.name);
    if (reading->codec == NULL || !reading->codec->has_schemas)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED, "the event names %s, and there is no client with .schemas",
                             words.text);
    if (reading->wait_ms == 0)
        return kur_error_set(error, KUR_ERROR_TIMEOUT, "%s is not known yet", words.text);
    kur_status status = kur__codec_ask(&reading->codec->schemas, &reading->frame, reading->wait_ms, schema, error);
    if (status != KUR_OK && error != NULL)
        kur__error_prefix(error, "%s: ", words.text);
    return status;
}

/* Fetches what is named, and works out how it becomes the type; without a plan it is of another kind than Avro's. */
static kur_status find_out(const struct reading *reading, const kur__codec_key *key, const kur__codec_entry **entry,
                           kur_error *error)
{
    kur_schema *schema = NULL;
    kur_error why = {0};
    kur_status status = fetch(reading, &schema, &why);
    bool is_other = status == KUR_ERROR_UNSUPPORTED && reading->codec != NULL && reading->codec->has_schemas;
    if (status != KUR_OK && !is_other) {
        if (error != NULL)
            *error = why;
        return status;
    }
    kur__codec_entry *made = kur__codec_entry_new(key);
    status = made != NULL ? KUR_OK : kur__error_no_memory(error);
    if (made != NULL)
        made->schema = schema;
    if (status == KUR_OK && !is_other)
        status = kur_avro_plan_new(schema, reading->type, &made->plan, error);
    if (status == KUR_OK) {
        *entry = kur__codec_keep(&reading->codec->cache, made);
        return KUR_OK;
    }
    if (made == NULL)
        kur_schema_unref(schema);
    else if (error != NULL)
        kur__error_prefix(error, "%s: ", kur__frame_words(key->by, key->name).text);
    kur__codec_leave(made);
    return status;
}

/* How the event is to be read; followed by kur__codec_leave. */
static kur_status find(const struct reading *reading, const kur__codec_entry **entry, kur_error *error)
{
    const kur__frame *frame = &reading->frame;
    kur__codec_key key = {frame->by, reading->type, frame->name};
    if (frame->by == KUR__BY_TYPE)
        return own(reading->codec, reading->type, entry, error);
    if (frame->by == KUR__BY_FINGERPRINT) {
        kur_status status = own(reading->codec, reading->type, entry, error);
        if (status != KUR_OK || kur_schema_fingerprint((*entry)->schema) == kur__frame_fingerprint(frame->name))
            return status;
        kur__codec_leave(*entry);
        *entry = NULL;
    }
    *entry = kur__codec_find(reading->codec != NULL ? &reading->codec->cache : NULL, &key);
    return *entry != NULL ? KUR_OK : find_out(reading, &key, entry, error);
}

static kur_status read_avro(const struct reading *reading, kur_arena *arena, void *event, kur_error *error)
{
    const kur__frame *frame = &reading->frame;
    const kur__codec_entry *entry = NULL;
    kur_status status = find(reading, &entry, error);
    if (status == KUR_OK && entry->plan != NULL)
        status = kur_avro_read(entry->plan, frame->body, arena, event, error);
    else if (status == KUR_OK)
        status = kur_json_read(reading->type, frame->body, arena, event, error);
    if (status != KUR_OK && entry != NULL && frame->by != KUR__BY_TYPE && error != NULL)
        kur__error_prefix(error, "%s%s: ", kur__frame_words(frame->by, frame->name).text,
                          entry->plan == NULL ? " is none of Avro's, and the data are no JSON of the type" : "");
    kur__codec_leave(entry);
    return status;
}

kur_status kur_event_decode_within(const kur_event_view *view, const kur_type *type, kur_arena *arena, void *event,
                                   int wait_ms, kur_error *error)
{
    if (view == NULL || type == NULL || arena == NULL || event == NULL)
        return kur_error_null(error, view == NULL ? "view" : type == NULL ? "type" : arena == NULL ? "arena" : "event");
    if (view->data.data == NULL)
        return kur_error_set(error, KUR_ERROR_MISMATCH, "the event has no data: a tombstone");
    bool knows_client = view->size >= offsetof(kur_event_view, client) + sizeof view->client;
    kur__codec *codec = knows_client && view->client != NULL ? kur__client_codec(view->client) : NULL;
    struct reading reading = {.codec = codec, .type = type};
    reading.wait_ms = codec == NULL || wait_ms >= 0 ? wait_ms : codec->wait_ms;
    kur_status status = kur__frame_take(view, codec != NULL && codec->has_schemas, &reading.frame, error);
    if (status != KUR_OK)
        return status;
    return reading.frame.is_json ? kur_json_read(type, reading.frame.body, arena, event, error)
                                 : read_avro(&reading, arena, event, error);
}

kur_status kur_event_decode(const kur_event_view *view, const kur_type *type, kur_arena *arena, void *event,
                            kur_error *error)
{
    return kur_event_decode_within(view, type, arena, event, -1, error);
}
