/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A kur_record is librdkafka's message under another name: it is never defined, only cast.
 */
#ifndef KURIER_KAFKA_RECORD_H
#define KURIER_KAFKA_RECORD_H

#include <kurier/event.h>
#include <librdkafka/rdkafka.h>

static inline rd_kafka_message_t *kur__record_message(const kur_record *record)
{
    return (rd_kafka_message_t *)(uintptr_t)record;
}

#endif
