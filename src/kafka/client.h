/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What producers and consumers need of their client.
 */
#ifndef KURIER_KAFKA_CLIENT_H
#define KURIER_KAFKA_CLIENT_H

#include <kurier/client.h>
#include <librdkafka/rdkafka.h>

#include "base/log.h"
#include "kafka/codec.h"
#include "kafka/config.h"
#include "kafka/security.h"

/* A new configuration with the client's settings, the library's defaults beneath them. Owned by the caller. */
rd_kafka_conf_t *kur__client_conf(const kur_client *client, rd_kafka_type_t role, kur_error *error);

const kur__log *kur__client_log(const kur_client *client);

/* How it logs in; of one thread at a time but for its secrets, and not changed after the client is made. */
kur__security *kur__client_security(const kur_client *client);

/* What was set, and where. */
const kur__config *kur__client_config(const kur_client *client);

/* How its events are encoded and decoded; any thread. */
kur__codec *kur__client_codec(const kur_client *client);

/* The CloudEvents source, or NULL. */
const char *kur__client_source(const kur_client *client);

#endif
