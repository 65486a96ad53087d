/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * There is one way from an event to a message, a kur__outgoing, and one judge of messages: who publishes, and who keeps
 * an event first to send it later, send the same.
 */
#include "kafka/message.h"

#include <kurier/sys/message.h>
#include <kurier/sys/options.h>
#include <string.h>

#include "base/error.h"
#include "kafka/client.h"
#include "kafka/topic.h"

enum {
    HEADERS_MAX = 1000,
    RECORD_BYTES = 1000000,
    RECORD_OVERHEAD = 36 /* what librdkafka reckons for a record's own numbers, at most */
};

/* ---- From an event ---- */

static void begin(kur__outgoing *outgoing)
{
    /* Not all of it is set to zero: that takes as long as all the rest. */
    outgoing->data = kur_buffer_over(outgoing->data_storage, sizeof outgoing->data_storage);
    outgoing->key = kur_buffer_over(outgoing->key_storage, sizeof outgoing->key_storage);
    outgoing->name = kur_buffer_over(outgoing->name_storage, sizeof outgoing->name_storage);
    outgoing->structured = (kur_buffer){0};
    outgoing->encoding.has_schema_header = false;
}

void kur__outgoing_done(kur__outgoing *outgoing)
{
    kur_buffer_done(&outgoing->structured);
    kur_buffer_done(&outgoing->name);
    kur_buffer_done(&outgoing->key);
    kur_buffer_done(&outgoing->data);
}

static kur_status wrap(kur__outgoing *outgoing, const char *source, const char *event_type, kur_bytes data,
                       kur_bytes key, const char *topic, kur_error *error)
{
    const kur_publish_options *options = &outgoing->options;
    kur__envelope *envelope = &outgoing->envelope;
    kur_status status = kur__envelope_write(envelope, event_type, source, data, options, &outgoing->structured, error);
    if (status == KUR_OK && topic == NULL)
        status = kur_error_set(error, KUR_ERROR_CONFIG,
                               "%s has no topic: set .topic in the options or in KUR_EVENT_DEFINE", event_type);
    if (status != KUR_OK)
        return status;
    if (outgoing->encoding.has_schema_header)
        envelope->headers[envelope->header_count++] = (kur_header){
            KUR_SCHEMA_HEADER, kur_bytes_of(outgoing->encoding.schema_header, sizeof outgoing->encoding.schema_header)};
    outgoing->message = (kur_message){.size = sizeof outgoing->message,
                                      .topic = topic,
                                      .partition = options->partition,
                                      .tombstone = envelope->value.data == NULL,
                                      .key = key,
                                      .value = envelope->value,
                                      .headers = options->headers,
                                      .header_count = options->header_count,
                                      .timestamp_us = options->timestamp_us,
                                      .on_result = options->on_result,
                                      .user = options->user};
    outgoing->parts = (kur__header_parts){.envelope = envelope->headers, .envelope_count = envelope->header_count};
    if (options->mode != KUR_EVENT_STRUCTURED) {
        outgoing->parts.extensions = options->extensions;
        outgoing->parts.extension_count = options->extension_count;
    }
    return KUR_OK;
}

/* Of what was encoded; a content type of the caller's is one of the format's, or readers would take it for another. */
static kur_status take_encoding(kur__outgoing *outgoing, kur_error *error)
{
    kur_publish_options *options = &outgoing->options;
    const kur_encoding *encoding = &outgoing->encoding;
    kur__content given = kur__content_of(options->content_type), made = kur__content_of(encoding->content_type);
    bool is_avro = given == KUR__CONTENT_AVRO || given == KUR__CONTENT_BARE;
    if (made == KUR__CONTENT_JSON ? is_avro : given != KUR__CONTENT_NONE && given != made)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".content_type %.60s is not that of %s",
                             options->content_type, encoding->content_type);
    for (size_t i = 0; encoding->has_schema_header && options->headers != NULL && i < options->header_count; i++)
        if (options->headers[i].name != NULL && strcmp(options->headers[i].name, KUR_SCHEMA_HEADER) == 0)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the header " KUR_SCHEMA_HEADER " is the client's");
    if (options->content_type == NULL)
        options->content_type = encoding->content_type;
    if (options->data_schema == NULL && encoding->data_schema[0] != '\0')
        options->data_schema = encoding->data_schema;
    return KUR_OK;
}

static kur_status take_options(kur__outgoing *outgoing, const kur_publish_options *given, kur_error *error)
{
    begin(outgoing);
    return kur_options_take(&outgoing->options, sizeof outgoing->options, given, "kur_publish_options", error);
}

kur_status kur__outgoing_write(kur__outgoing *outgoing, kur_client *client, const kur_type *type, const void *event,
                               const kur_publish_options *given, kur_error *error)
{
    const kur_publish_options *options = &outgoing->options;
    kur_buffer *data = &outgoing->data, *key = &outgoing->key, *name = &outgoing->name;
    bool has_key = false;
    kur_status status = take_options(outgoing, given, error);
    const char *topic = status == KUR_OK && options->topic != NULL ? options->topic : type->topic;
    if (status == KUR_OK)
        status = kur_type_event_name(type, name, error);
    if (status == KUR_OK)
        status = kur_event_encode(client, type, event, topic, options->format, data, &outgoing->encoding, error);
    if (status == KUR_OK)
        status = take_encoding(outgoing, error);
    if (status == KUR_OK && options->key.data == NULL)
        status = kur_type_key(type, event, key, &has_key, error);
    if (status != KUR_OK)
        return status;
    return wrap(outgoing, kur__client_source(client), name->data, kur_bytes_of(data->data, data->size),
                has_key ? kur_bytes_of(key->data, key->size) : options->key, topic, error);
}

kur_status kur__outgoing_write_raw(kur__outgoing *outgoing, kur_client *client, const char *event_type, kur_bytes data,
                                   const kur_publish_options *given, kur_error *error)
{
    const kur_publish_options *options = &outgoing->options;
    kur_status status = take_options(outgoing, given, error);
    if (status == KUR_OK && data.data == NULL && data.size > 0)
        status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "data.data is NULL but has a size");
    if (status == KUR_OK && options->format != KUR_FORMAT_DEFAULT)
        status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                               ".format is set, but the data are encoded already: see .content_type");
    if (status != KUR_OK)
        return status;
    return wrap(outgoing, kur__client_source(client), event_type, data, options->key, options->topic, error);
}

void kur__extension_name(kur__extension_header name, const char *extension)
{
    memcpy(name, "ce_", 3);
    memcpy(name + 3, extension, strlen(extension) + 1);
}

/* ---- What a message has to be ---- */

static bool header_is_valid(const kur_header *header, bool is_verbatim)
{
    return header->name != NULL &&
           (is_verbatim || (header->name[0] != '\0' && kur_bytes_is_utf8(kur_bytes_text(header->name)))) &&
           (header->value.data != NULL || header->value.size == 0);
}

kur_status kur__message_check(const kur_message *message, bool is_known, kur_error *error)
{
    if (!is_known && !kur__topic_is_valid(message->topic))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".topic is not 1 to 249 characters of A-Z a-z 0-9 . _ -: \"%.40s\"",
                             message->topic != NULL ? message->topic : "NULL");
    if (message->partition < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".partition is not KUR_PARTITION(n) with n of 0 or more");
    if (message->timestamp_us < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".timestamp_us is before 1970");
    if (message->tombstone ? message->value.data != NULL : message->value.data == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             message->tombstone ? ".value is set beside .tombstone"
                                                : ".value is NULL: a null value is asked for by .tombstone");
    if ((message->key.data == NULL && message->key.size > 0) ||
        (message->headers == NULL && message->header_count > 0) ||
        (message->header_count > HEADERS_MAX && !message->verbatim))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".key or .headers is NULL but has a size, or there are more "
                             "than %d headers",
                             HEADERS_MAX);
    for (size_t i = 0; i < message->header_count; i++)
        if (!header_is_valid(&message->headers[i], message->verbatim))
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                 ".headers[%zu]: the name is empty or not UTF-8, or the value is NULL but has a size",
                                 i);
    return KUR_OK;
}

/* How many bytes a size takes in Kafka's records: zigzag, 7 bits each. */
static size_t size_of_size(size_t size)
{
    size_t bytes = 1;
    for (size *= 2; size > 127; size >>= 7)
        bytes++;
    return bytes;
}

/* What librdkafka compares with message.max.bytes. */
static size_t record_size(const kur_message *message)
{
    size_t size = RECORD_OVERHEAD + message->key.size + message->value.size;
    for (size_t i = 0; i < message->header_count; i++) {
        size_t name = strlen(message->headers[i].name), value = message->headers[i].value.size;
        size += size_of_size(name) + name + size_of_size(value) + value;
    }
    return size;
}

kur_status kur_message_check(const kur_message *given, int64_t record_bytes, kur_error *error)
{
    kur_message message;
    if (given == NULL)
        return kur_error_null(error, "message");
    kur_status status = kur_options_take(&message, sizeof message, given, "kur_message", error);
    if (status == KUR_OK)
        status = kur__message_check(&message, false, error);
    if (status != KUR_OK)
        return status;
    size_t size = record_size(&message), most = record_bytes == 0 ? RECORD_BYTES : (size_t)record_bytes;
    if (size > most || message.value.size > INT32_MAX || message.key.size > INT32_MAX)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE,
                             "%s: the record takes %zu bytes, and at most %zu are sent (.record_bytes)", message.topic,
                             size, most);
    return KUR_OK;
}

/* ---- For keeping ---- */

static bool take_header(kur_header *header, const char *name, bool copies_name, kur_bytes value, bool copies_value,
                        kur_arena *arena)
{
    header->name = copies_name ? kur_arena_copy(arena, name, strlen(name)) : name;
    header->value = value;
    if (copies_value)
        header->value.data = kur_arena_copy(arena, value.data, value.size);
    return header->name != NULL && (header->value.data != NULL || !copies_value);
}

/* All headers in the order in which a producer sends them. */
static const kur_header *gather_headers(const kur__outgoing *outgoing, kur_arena *arena, size_t *count)
{
    const kur__header_parts *parts = &outgoing->parts;
    const kur_message *message = &outgoing->message;
    *count = parts->envelope_count + parts->extension_count + message->header_count;
    kur_header *headers = kur_arena_alloc(arena, *count * sizeof *headers);
    bool is_whole = headers != NULL;
    size_t at = 0;
    /* Some of the envelope's values stand in the envelope itself, which does not last. */
    for (size_t i = 0; i < parts->envelope_count && is_whole; i++)
        is_whole = take_header(&headers[at++], parts->envelope[i].name, false, parts->envelope[i].value, true, arena);
    for (size_t i = 0; i < parts->extension_count && is_whole; i++) {
        kur__extension_header name;
        kur__extension_name(name, parts->extensions[i].name);
        is_whole = take_header(&headers[at++], name, true, parts->extensions[i].value, false, arena);
    }
    for (size_t i = 0; i < message->header_count && is_whole; i++)
        headers[at++] = message->headers[i];
    return is_whole ? headers : NULL;
}

/* `data` is borrowed where it is the value as it is. */
static kur_status keep(const kur__outgoing *outgoing, kur_bytes data, kur_arena *arena, kur_message *kept,
                       kur_error *error)
{
    kur_message message = outgoing->message;
    kur_status status = kur__message_check(&message, false, error);
    if (status != KUR_OK)
        return status;
    message.headers = gather_headers(outgoing, arena, &message.header_count);
    bool is_whole = message.headers != NULL;
    if (is_whole && message.key.data != NULL && message.key.data != outgoing->options.key.data) {
        message.key.data = kur_arena_copy(arena, message.key.data, message.key.size);
        is_whole = message.key.data != NULL;
    }
    if (is_whole && message.value.data != NULL && message.value.data != data.data) {
        message.value.data = kur_arena_copy(arena, message.value.data, message.value.size);
        is_whole = message.value.data != NULL;
    }
    if (!is_whole)
        return kur__error_no_memory(error);
    message.verbatim = true; /* the caller's headers have been checked, and the envelope's go on top */
    kur_options_give(kept, &message, sizeof message);
    return KUR_OK;
}

kur_status kur_message_write(kur_client *client, const kur_type *type, const void *event,
                             const kur_publish_options *options, kur_arena *arena, kur_message *message,
                             kur_error *error)
{
    if (client == NULL || type == NULL || event == NULL || arena == NULL || message == NULL)
        return kur_error_null(error, client == NULL  ? "client"
                                     : type == NULL  ? "type"
                                     : event == NULL ? "event"
                                     : arena == NULL ? "arena"
                                                     : "message");
    kur__outgoing outgoing;
    kur_status status = kur__outgoing_write(&outgoing, client, type, event, options, error);
    if (status == KUR_OK)
        status = keep(&outgoing, (kur_bytes){0}, arena, message, error);
    kur__outgoing_done(&outgoing);
    return status;
}

kur_status kur_message_write_raw(kur_client *client, const char *event_type, kur_bytes data,
                                 const kur_publish_options *options, kur_arena *arena, kur_message *message,
                                 kur_error *error)
{
    if (client == NULL || event_type == NULL || arena == NULL || message == NULL)
        return kur_error_null(error, client == NULL       ? "client"
                                     : event_type == NULL ? "event_type"
                                     : arena == NULL      ? "arena"
                                                          : "message");
    kur__outgoing outgoing;
    kur_status status = kur__outgoing_write_raw(&outgoing, client, event_type, data, options, error);
    if (status == KUR_OK)
        status = keep(&outgoing, data, arena, message, error);
    kur__outgoing_done(&outgoing);
    return status;
}
