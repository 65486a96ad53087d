/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the client and publishing need of the producer.
 */
#ifndef KURIER_KAFKA_PRODUCER_H
#define KURIER_KAFKA_PRODUCER_H

#include <kurier/producer.h>

/* The client's own: holds no reference to the client, which frees it. */
kur_producer *kur__producer_new_unowned(kur_client *client, const kur_producer_options *options, kur_error *error);

kur_client *kur__producer_client(const kur_producer *producer);

/* Headers in parts, so that none has to be copied together: the envelope's, extensions (written with ce_), the caller's. */
typedef struct kur__header_parts {
    const kur_header *envelope;
    size_t envelope_count;
    const kur_header *extensions;
    size_t extension_count;
} kur__header_parts;

/* kur_producer_send with `parts` in front of the message's own headers; `message` is as this library knows it. */
kur_status kur__producer_send(kur_producer *producer, const kur_message *message, const kur__header_parts *parts,
                              kur_error *error);
kur_status kur__producer_send_wait(kur_producer *producer, const kur_message *message, const kur__header_parts *parts,
                                   int timeout_ms, kur_result *result, kur_error *error);

#endif
