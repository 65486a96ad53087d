/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How the embedded broker is known, and for tests what it is made of, which can be told to refuse requests.
 */
#ifndef KURIER_KAFKA_EMBEDDED_BROKER_H
#define KURIER_KAFKA_EMBEDDED_BROKER_H

#include <kurier/embedded_broker.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

/* Whether this is the id of an embedded broker's cluster, in whatever process it is. */
bool kur__embedded_broker_has_id(const char *cluster_id);
rd_kafka_mock_cluster_t *kur__embedded_broker_cluster(const kur_embedded_broker *broker);

#endif
