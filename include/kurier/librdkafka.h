/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/librdkafka.h>: the way to and from librdkafka, so that a service can adopt Kurier piece by piece. The only
 * header that includes rdkafka.h; not part of <kurier/kurier.h>.
 */
#ifndef KURIER_LIBRDKAFKA_H
#define KURIER_LIBRDKAFKA_H

#include <kurier/consumer.h>
#include <kurier/producer.h>
#include <librdkafka/rdkafka.h>

KUR_BEGIN_DECLS

/** The handle beneath; owned by the producer. Polling, flushing or destroying it breaks its owner. Any thread. */
KUR_API rd_kafka_t *kur_producer_librdkafka(kur_producer *producer);

/** The handle beneath; owned by the consumer. Polling, closing or destroying it breaks its owner. Any thread. */
KUR_API rd_kafka_t *kur_consumer_librdkafka(kur_consumer *consumer);

/**
 * A message as a record, for kur_event_read and kur_record_…; the message stays its owner's, and the record is valid as
 * long as the message. One thread at a time.
 */
KUR_API const kur_record *kur_record_of_librdkafka(const rd_kafka_message_t *message);

KUR_END_DECLS

#endif
