/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A kur_record is never defined, only cast: to librdkafka's message, or, when the lowest bit of the pointer is set, to
 * one of ours that stands by itself, see record_build.c.
 */
#ifndef KURIER_KAFKA_RECORD_H
#define KURIER_KAFKA_RECORD_H

#include <kurier/event.h>
#include <librdkafka/rdkafka.h>

/* Where in the record a header's name and value are, both with a NUL behind them. */
struct kur__header_place {
    uint32_t name;  /* or one that is known, see record_build.c */
    uint32_t value; /* 0: a null value */
    uint32_t size;
};

struct kur__record_copy {
    size_t memory; /* all of it */
    const char *topic;
    kur_bytes key, value;
    int64_t offset;
    int64_t timestamp_us;
    int32_t partition;
    int32_t leader_epoch; /* as KUR_LEADER_EPOCH */
    size_t header_count;
    struct kur__header_place headers[];
};

static inline bool kur__record_is_copy(const kur_record *record)
{
    return ((uintptr_t)record & 1) != 0;
}

static inline const struct kur__record_copy *kur__record_copy(const kur_record *record)
{
    return (const struct kur__record_copy *)(const void *)((const char *)record - 1);
}

/* The header at an index that there is. */
kur_header kur__record_copy_header(const struct kur__record_copy *copy, size_t index);

/* Of one that is not a copy. */
static inline rd_kafka_message_t *kur__record_message(const kur_record *record)
{
    return (rd_kafka_message_t *)(uintptr_t)record;
}

#endif
