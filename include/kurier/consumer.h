/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/consumer.h>: a member of a consumer group that polls and commits by hand. Services use a listener; this is
 * what it stands on, and what is there for everything else.
 */
#ifndef KURIER_CONSUMER_H
#define KURIER_CONSUMER_H

#include <kurier/client.h>
#include <kurier/event.h>

KUR_BEGIN_DECLS

/** A member of a group. One thread at a time, except where a function says otherwise. */
typedef struct kur_consumer kur_consumer;

/**
 * A received record: librdkafka's own, not copied. Owned by who polled it; freed by kur_consumer_free_records. One
 * thread at a time.
 */
typedef struct kur_record kur_record;

/** Where a group without a committed offset starts. */
typedef enum kur_start {
    KUR_START_EARLIEST = 0,
    KUR_START_LATEST = 1
} kur_start;

/** A place in a partition. An array of them is walked by the `size` of its first. */
typedef struct kur_position {
    size_t size;
    const char *topic;
    int32_t partition;
    int64_t offset;       /**< of the next record; -1 when there is none */
    const char *metadata; /**< text committed beside the offset; NULL for none */
} kur_position;

#define KUR_POSITION(...) KUR__OPTIONS(kur_position, __VA_ARGS__)

/** What happens to partitions in a rebalance. */
typedef enum kur_rebalance {
    KUR_ASSIGNED = 1, /**< these partitions are this member's now */
    KUR_REVOKED,      /**< they are about to go: commit what is finished */
    KUR_LOST          /**< they are gone and may have a new owner: do not commit */
} kur_rebalance;

/**
 * Told of each change of the assignment, inside kur_consumer_poll and kur_consumer_close, on their thread. On
 * KUR_REVOKED it may commit (kur_consumer_commit). The positions are valid during the call. It must not poll, close or
 * free.
 */
typedef void kur_rebalance_callback(kur_consumer *consumer, kur_rebalance what, const kur_position *partitions,
                                    size_t count, void *user);

/** What kur_consumer_new is told; the group is not optional. */
typedef struct kur_consumer_options {
    size_t size;
    const char *group;
    kur_start start;
    int session_timeout_ms;   /**< default: the property of that name, else 45,000 */
    int max_poll_interval_ms; /**< a member that does not poll for so long is thrown out; default 300,000 */
    kur_rebalance_callback *on_rebalance;
    void *user; /**< handed to on_rebalance */
} kur_consumer_options;

#define KUR_CONSUMER_OPTIONS(...) KUR__OPTIONS(kur_consumer_options, __VA_ARGS__)

/**
 * A consumer. Does not wait for a broker. NULL with KUR_ERROR_CONFIG, KUR_ERROR_INVALID_ARGUMENT (no group),
 * KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_consumer *kur_consumer_new(kur_client *client, const kur_consumer_options *options, kur_error *error);

/**
 * Replaces the subscription; `topics` ends with NULL. A topic need not be there yet: it is found within 10 s of its
 * making (topic.metadata.refresh.interval.ms), and a poll may say KUR_ERROR_UNKNOWN_TOPIC until then.
 * KUR_ERROR_INVALID_ARGUMENT names the wrong one. Does not wait.
 */
KUR_API kur_status kur_consumer_subscribe(kur_consumer *consumer, const char *const *topics, kur_error *error);

/**
 * Waits for one record; a rebalance that happens meanwhile may take longer. KUR_OK with `*record` NULL when none came
 * in time. A NULL `*record` with an error: KUR_ERROR_GAP when a partition's position is no longer in the log (message:
 * topic, partition, offset; that partition stands still), KUR_ERROR_UNKNOWN_TOPIC, KUR_ERROR_AUTHORIZATION,
 * KUR_ERROR_AUTHENTICATION, KUR_ERROR_FENCED, KUR_ERROR_FATAL. What librdkafka gets over by itself is logged and not
 * returned.
 */
KUR_API kur_status kur_consumer_poll(kur_consumer *consumer, int timeout_ms, kur_record **record, kur_error *error);

/**
 * Waits for the first record, then takes up to `capacity` that are there, in order within each partition. `*count` may
 * be 0. Errors as kur_consumer_poll; with records at hand an error comes at the next call.
 */
KUR_API kur_status kur_consumer_poll_batch(kur_consumer *consumer, int timeout_ms, kur_record **records,
                                           size_t capacity, size_t *count, kur_error *error);

/**
 * Frees records. Any thread, also after kur_consumer_free: the last record held frees what is left of the consumer.
 * NULLs in the array are passed over.
 */
KUR_API void kur_consumer_free_records(kur_consumer *consumer, kur_record *const *records, size_t count);

/**
 * Commits positions and waits for the answer. Never on behalf of partitions that are not assigned
 * (KUR_ERROR_NOT_COMMITTED). Metadata: UTF-8 of at most 4,096 bytes. KUR_ERROR_NOT_COMMITTED while the group
 * rebalances, KUR_ERROR_TIMEOUT (with host and reason when no broker answered), KUR_ERROR_FENCED,
 * KUR_ERROR_INVALID_ARGUMENT.
 */
KUR_API kur_status kur_consumer_commit(kur_consumer *consumer, const kur_position *positions, size_t count,
                                       int timeout_ms, kur_error *error);

/**
 * The committed offset of a partition, -1 when there is none, with its metadata (in `arena`, NULL when there is none).
 * `position` has topic and partition set, and gets the rest. KUR_ERROR_TIMEOUT and what the broker says.
 */
KUR_API kur_status kur_consumer_committed(kur_consumer *consumer, kur_position *position, kur_arena *arena,
                                          int timeout_ms, kur_error *error);

/** The offset behind the last record polled, -1 before the first. KUR_ERROR_UNKNOWN_TOPIC when it is not assigned. */
KUR_API kur_status kur_consumer_position(kur_consumer *consumer, const char *topic, int32_t partition, int64_t *offset,
                                         kur_error *error);

/** Leaves the group: KUR_REVOKED is told, nothing is polled any more. Again does nothing. KUR_ERROR_TIMEOUT after 10 s.
 */
KUR_API kur_status kur_consumer_close(kur_consumer *consumer, kur_error *error);

/**
 * Closes and frees. Records still held stay valid; the last one freed frees the rest, so that this never waits for
 * them. NULL does nothing. Not from callbacks.
 */
KUR_API void kur_consumer_free(kur_consumer *consumer);

/* ---- Records: what these give is borrowed from the record ---- */

/** The topic, borrowed; never NULL. */
KUR_API const char *kur_record_topic(const kur_record *record);
/** Its partition, from 0 on. */
KUR_API int32_t kur_record_partition(const kur_record *record);
/** Its offset in the partition; the position behind it, which a commit names, is one more. */
KUR_API int64_t kur_record_offset(const kur_record *record);
/** The key, borrowed; data NULL: there is none. */
KUR_API kur_bytes kur_record_key(const kur_record *record);
/** The value, borrowed; data NULL: a null value, a tombstone. */
KUR_API kur_bytes kur_record_value(const kur_record *record);
/** The timestamp in microseconds since 1970 (Kafka keeps milliseconds), or -1. */
KUR_API int64_t kur_record_timestamp_us(const kur_record *record);
/** How many headers; parsed at the first call. */
KUR_API size_t kur_record_header_count(const kur_record *record);
/** The header at `index`, in their order, borrowed; false behind the last. */
KUR_API bool kur_record_header(const kur_record *record, size_t index, kur_header *header);
/** The value of the last header of that name, case and all, borrowed; false when there is none. */
KUR_API bool kur_record_header_last(const kur_record *record, const char *name, kur_bytes *value);

KUR_END_DECLS

#endif
