/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/topic.h>: names of topics and patterns of them, checked before anything is made.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_TOPIC_H
#define KURIER_SYS_TOPIC_H

#include <kurier/error.h>

KUR_BEGIN_DECLS

/** Kafka's rule: 1 to 249 of A-Z a-z 0-9 . _ -, and neither "." nor "..". NULL is none. Any thread. */
KUR_API bool kur_topic_is_valid(const char *name);

/**
 * Whether kur_consumer_subscribe_pattern would take a pattern. KUR_ERROR_INVALID_ARGUMENT begins with `name`;
 * KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_topic_pattern_check(const char *pattern, const char *name, kur_error *error);

KUR_END_DECLS

#endif
