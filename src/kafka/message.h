/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * From an event to a message, for all who send or keep one; and what a message has to be.
 */
#ifndef KURIER_KAFKA_MESSAGE_H
#define KURIER_KAFKA_MESSAGE_H

#include <kurier/producer.h>

#include "event/envelope.h"
#include "kafka/codec.h"

enum {
    KUR__DATA_ON_STACK = 4096,
    KUR__KEY_ON_STACK = 256,
    KUR__NAME_ON_STACK = 256
};

/* Headers in parts, so that none has to be copied together: the envelope's, extensions (written with ce_), the
 * caller's. */
typedef struct kur__header_parts {
    const kur_header *envelope;
    size_t envelope_count;
    const kur_header *extensions;
    size_t extension_count;
} kur__header_parts;

/*
 * An event as a message: encoded into storage of its own, on the stack, as long as that suffices. Not copied: it points
 * into itself.
 */
typedef struct kur__outgoing {
    kur_message message; /* its headers are the caller's, and come behind those of `parts` */
    kur__header_parts parts;
    kur_publish_options options;
    kur__envelope envelope;
    kur_encoding encoding;
    kur_buffer data, key, name, structured;
    char data_storage[KUR__DATA_ON_STACK], key_storage[KUR__KEY_ON_STACK], name_storage[KUR__NAME_ON_STACK];
} kur__outgoing;

/* Both are followed by kur__outgoing_done, whatever they return. The first may wait for where a schema is kept. */
kur_status kur__outgoing_write(kur__outgoing *outgoing, kur_client *client, const kur_type *type, const void *event,
                               const kur_publish_options *options, kur_error *error);
kur_status kur__outgoing_write_raw(kur__outgoing *outgoing, kur_client *client, const char *event_type, kur_bytes data,
                                   const kur_publish_options *options, kur_error *error);
void kur__outgoing_done(kur__outgoing *outgoing);

/* What kur_producer_send says of a message's form. `is_known`: its topic has been found valid before. */
kur_status kur__message_check(const kur_message *message, bool is_known, kur_error *error);

/* The header's name with ce_ in front; the extension has been checked. */
typedef char kur__extension_header[4 + KUR__EXTENSION_NAME_MAX];
void kur__extension_name(kur__extension_header name, const char *extension);

#endif
