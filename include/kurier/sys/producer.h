/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/producer.h>: what a producer knows of topics before it sends.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_PRODUCER_H
#define KURIER_SYS_PRODUCER_H

#include <kurier/producer.h>

KUR_BEGIN_DECLS

/**
 * Asks a broker for a topic as sending would, so that one which makes topics when they are asked for makes it; how many
 * partitions it has in `partitions`. Waits for `timeout_ms` at most. KUR_ERROR_UNKNOWN_TOPIC: the broker says that it
 * is not there, which can pass: it may be being made, or not every broker may know of it yet. KUR_ERROR_AUTHORIZATION:
 * it must not be seen, which who may write to it may. KUR_ERROR_TIMEOUT, KUR_ERROR_AUTHENTICATION (with the reason),
 * KUR_ERROR_BROKER, KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. Any thread, but no callback.
 */
KUR_API kur_status kur_producer_look_up(kur_producer *producer, const char *topic, int timeout_ms, int32_t *partitions,
                                        kur_error *error);

KUR_END_DECLS

#endif
