/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Events out: encoded into storage on the stack as long as it suffices, in an envelope (message.c), then sent as any
 * record.
 */
#include "base/error.h"
#include "kafka/client.h"
#include "kafka/message.h"
#include "kafka/producer.h"

/* How one is sent: at once, or waiting for its result. */
struct waiting {
    bool wait;
    int timeout_ms;
    kur_result *result;
};

static kur_status send_event(kur_producer *producer, kur__outgoing *outgoing, const struct waiting *waiting,
                             kur_error *error)
{
    return waiting->wait ? kur__producer_send_wait(producer, &outgoing->message, &outgoing->parts, waiting->timeout_ms,
                                                   waiting->result, error)
                         : kur__producer_send(producer, &outgoing->message, &outgoing->parts, error);
}

static kur_status publish(kur_producer *producer, const kur_type *type, const void *event,
                          const kur_publish_options *options, const struct waiting *waiting, kur_error *error)
{
    if (producer == NULL || type == NULL || event == NULL)
        return kur_error_null(error, producer == NULL ? "producer" : type == NULL ? "type" : "event");
    kur__outgoing outgoing;
    kur_client *client = kur__producer_client(producer);
    kur_status status = kur__outgoing_write(&outgoing, client, type, event, options, error);
    if (status == KUR_OK)
        status = send_event(producer, &outgoing, waiting, error);
    kur__outgoing_done(&outgoing);
    return status;
}

static kur_status publish_raw(kur_producer *producer, const char *event_type, kur_bytes data,
                              const kur_publish_options *options, const struct waiting *waiting, kur_error *error)
{
    if (producer == NULL || event_type == NULL)
        return kur_error_null(error, producer == NULL ? "producer" : "event_type");
    kur__outgoing outgoing;
    kur_client *client = kur__producer_client(producer);
    kur_status status = kur__outgoing_write_raw(&outgoing, client, event_type, data, options, error);
    if (status == KUR_OK)
        status = send_event(producer, &outgoing, waiting, error);
    kur__outgoing_done(&outgoing);
    return status;
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
