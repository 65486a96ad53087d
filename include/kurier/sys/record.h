/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/record.h>: records that no poll gave: those of tests, of files, and those put together anew from others.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_RECORD_H
#define KURIER_SYS_RECORD_H

#include <kurier/consumer.h>

KUR_BEGIN_DECLS

/** What a record is made of; everything is borrowed for the call. */
typedef struct kur_record_parts {
    const char *topic;
    int32_t partition;
    int32_t leader_epoch; /**< KUR_LEADER_EPOCH(n); 0: not known */
    int64_t offset;
    int64_t timestamp_us; /**< microseconds since 1970; -1: none */
    kur_bytes key;        /**< data NULL: none */
    kur_bytes value;      /**< data NULL: a null value, a tombstone */
    const kur_header *headers;
    size_t header_count;
} kur_record_parts;

/**
 * A record of these parts that stands by itself, in one piece of memory, as kur_record_copy's: it needs no consumer,
 * is read by all of kur_record_… and kur_event_read, and freed by kur_record_free or kur_consumer_free_records. Texts
 * and values in it have a NUL behind them that their sizes do not count. NULL with KUR_ERROR_INVALID_ARGUMENT (the
 * topic or the name of a header is NULL) or KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_record *kur_record_build(const kur_record_parts *parts, kur_error *error);

/**
 * The bytes that a record takes when it stands by itself: what kur_record_copy asks the allocator for. Of such a record
 * it is told at once; of one that was polled its headers are parsed and added up. 0 for NULL. One thread at a time per
 * record.
 */
KUR_API size_t kur_record_memory(const kur_record *record);

KUR_END_DECLS

#endif
