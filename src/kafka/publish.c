/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Events out: encoded into storage on the stack as long as it suffices, in an envelope, then sent as any record.
 */
#include <kurier/json.h>
#include <kurier/producer.h>

#include "base/error.h"
#include "event/envelope.h"
#include "kafka/client.h"
#include "kafka/producer.h"
#include <kurier/sys/options.h>

enum {
    DATA_ON_STACK = 4096,
    KEY_ON_STACK = 256,
    NAME_ON_STACK = 256
};

/* How one is sent: at once, or waiting for its result. */
struct waiting {
    bool wait;
    int timeout_ms;
    kur_result *result;
};

static kur_status send_event(kur_producer *producer, const char *event_type, kur_bytes data, kur_bytes key,
                             const char *topic, const kur_publish_options *options, const struct waiting *waiting,
                             kur_error *error)
{
    kur__envelope envelope;
    kur_buffer structured = {0};
    const char *source = kur__client_source(kur__producer_client(producer));
    kur_status status = kur__envelope_write(&envelope, event_type, source, data, options, &structured, error);
    if (status == KUR_OK && topic == NULL)
        status = kur_error_set(error, KUR_ERROR_CONFIG,
                               "%s has no topic: set .topic in the options or in KUR_EVENT_DEFINE", event_type);
    if (status == KUR_OK) {
        kur_message message = {.size = sizeof message,
                               .topic = topic,
                               .partition = options->partition,
                               .tombstone = envelope.value.data == NULL,
                               .key = key,
                               .value = envelope.value,
                               .headers = options->headers,
                               .header_count = options->header_count,
                               .timestamp_us = options->timestamp_us,
                               .on_result = options->on_result,
                               .user = options->user};
        kur__header_parts parts = {.envelope = envelope.headers, .envelope_count = envelope.header_count};
        if (options->mode != KUR_EVENT_STRUCTURED) {
            parts.extensions = options->extensions;
            parts.extension_count = options->extension_count;
        }
        status = waiting->wait
                     ? kur__producer_send_wait(producer, &message, &parts, waiting->timeout_ms, waiting->result, error)
                     : kur__producer_send(producer, &message, &parts, error);
    }
    kur_buffer_done(&structured);
    return status;
}

static kur_status publish(kur_producer *producer, const kur_type *type, const void *event,
                          const kur_publish_options *given, const struct waiting *waiting, kur_error *error)
{
    if (producer == NULL || type == NULL || event == NULL)
        return kur_error_null(error, producer == NULL ? "producer" : type == NULL ? "type" : "event");
    kur_publish_options options;
    kur_status status = kur_options_take(&options, sizeof options, given, "kur_publish_options", error);
    if (status != KUR_OK)
        return status;

    char data_storage[DATA_ON_STACK], key_storage[KEY_ON_STACK], name_storage[NAME_ON_STACK];
    kur_buffer data = kur_buffer_over(data_storage, sizeof data_storage);
    kur_buffer key = kur_buffer_over(key_storage, sizeof key_storage);
    kur_buffer name = kur_buffer_over(name_storage, sizeof name_storage);
    bool has_key = false;
    status = kur_type_event_name(type, &name, error);
    if (status == KUR_OK)
        status = kur_json_write(type, event, &data, error);
    if (status == KUR_OK && options.key.data == NULL)
        status = kur_type_key(type, event, &key, &has_key, error);
    if (status == KUR_OK) {
        kur_bytes own_key = has_key ? kur_bytes_of(key.data, key.size) : options.key;
        status = send_event(producer, name.data, kur_bytes_of(data.data, data.size), own_key,
                            options.topic != NULL ? options.topic : type->topic, &options, waiting, error);
    }
    kur_buffer_done(&name);
    kur_buffer_done(&key);
    kur_buffer_done(&data);
    return status;
}

static kur_status publish_raw(kur_producer *producer, const char *event_type, kur_bytes data,
                              const kur_publish_options *given, const struct waiting *waiting, kur_error *error)
{
    if (producer == NULL || event_type == NULL)
        return kur_error_null(error, producer == NULL ? "producer" : "event_type");
    kur_publish_options options;
    kur_status status = kur_options_take(&options, sizeof options, given, "kur_publish_options", error);
    if (status == KUR_OK && data.data == NULL && data.size > 0)
        status = kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "data.data is NULL but has a size");
    if (status != KUR_OK)
        return status;
    return send_event(producer, event_type, data, options.key, options.topic, &options, waiting, error);
}

kur_status kur_producer_publish(kur_producer *producer, const kur_type *type, const void *event,
                                const kur_publish_options *options, kur_error *error)
{
    return publish(producer, type, event, options, &(struct waiting){0}, error);
}

kur_status kur_producer_publish_wait(kur_producer *producer, const kur_type *type, const void *event,
                                     const kur_publish_options *options, int timeout_ms, kur_result *result,
                                     kur_error *error)
{
    return publish(producer, type, event, options, &(struct waiting){true, timeout_ms, result}, error);
}

kur_status kur_producer_publish_raw(kur_producer *producer, const char *event_type, kur_bytes data,
                                    const kur_publish_options *options, kur_error *error)
{
    return publish_raw(producer, event_type, data, options, &(struct waiting){0}, error);
}

kur_status kur_producer_publish_raw_wait(kur_producer *producer, const char *event_type, kur_bytes data,
                                         const kur_publish_options *options, int timeout_ms, kur_result *result,
                                         kur_error *error)
{
    return publish_raw(producer, event_type, data, options, &(struct waiting){true, timeout_ms, result}, error);
}
