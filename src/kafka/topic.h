/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Names of topics, and librdkafka's handles of those that a producer sends to.
 */
#ifndef KURIER_KAFKA_TOPIC_H
#define KURIER_KAFKA_TOPIC_H

#include <kurier/error.h>
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* Kafka's rule: 1 to 249 of A-Z a-z 0-9 . _ -, and neither "." nor "..". */
static inline bool kur__topic_is_valid(const char *name)
{
    size_t size = 0;
    if (name == NULL)
        return false;
    for (; name[size] != '\0' && size <= 249; size++) {
        unsigned char c = (unsigned char)name[size], lower = c | 0x20;
        bool is_digit = c >= '0' && c <= '9', is_letter = lower >= 'a' && lower <= 'z';
        if (!is_letter && !is_digit && c != '.' && c != '_' && c != '-')
            return false;
    }
    return size > 0 && size <= 249 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The first few topics of a producer, with valid names. Starts as {0}; any thread. */
typedef struct kur__topics {
    _Atomic(struct kur__topic *) first;
    atomic_int count;
} kur__topics;

/* The handle of a topic that was added, else NULL; also for a name of NULL. */
rd_kafka_topic_t *kur__topics_find(kur__topics *topics, const char *name);

/*
 * Makes a handle of a topic. It is kept for the next record as long as there is room; otherwise `*is_kept` is false and
 * the caller destroys it.
 */
kur_status kur__topics_add(kur__topics *topics, rd_kafka_t *rk, const char *name, rd_kafka_topic_t **handle,
                           bool *is_kept, kur_error *error);

/* Before the handle of the producer is destroyed. */
void kur__topics_done(kur__topics *topics);

#endif
