/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Control records: which rows of a shard a transaction has sent. They stand in that transaction, one for each shard
 * that it touches, in the shard's partition of the control topic, with the shard's number as their key. Whoever gets
 * the shard next reads the last of them, and deletes those rows before it sends any.
 *
 *     key    the shard's number, in digits
 *     value  1, the form · 16 bytes, the database's id · how many rows (4 bytes) · for each, by id: how much larger its
 *            id is than the one before, in base 128, the lowest digits first · its mark (4 bytes)
 *     none   as a value: nothing is to be deleted. Never written here: it is how an operator passes over a record
 *            that cannot be read
 *
 * Numbers of 4 bytes are in network order.
 */
#ifndef KURIER_OUTBOX_CONTROL_H
#define KURIER_OUTBOX_CONTROL_H

#include <kurier/driver.h>

enum {
    KUR__CONTROL_BYTES_MAX =
        900000, /* of a value: below what brokers take of a record unless they are told otherwise */
    KUR__CONTROL_KEY_SIZE = 12
};

/* The rows of one shard, as they come. */
typedef struct kur__control {
    kur_buffer value;
    int64_t last; /* id; 0: none yet */
    uint32_t count;
} kur__control;

/* Empties it for the next record; its memory stays. KUR_ERROR_NO_MEMORY. */
kur_status kur__control_begin(kur__control *control, const kur_uuid *database);

/*
 * Adds a row behind those that it has: its id is larger. KUR_ERROR_TOO_LARGE when the record is full,
 * KUR_ERROR_NO_MEMORY; then it is as it was.
 */
kur_status kur__control_add(kur__control *control, int64_t id, uint32_t mark);

/* The record's value so far; valid until the next call. */
kur_bytes kur__control_value(kur__control *control);

/* The record's key. */
void kur__control_key(int32_t shard, char key[KUR__CONTROL_KEY_SIZE]);

/* Releases its memory. */
void kur__control_done(kur__control *control);

/*
 * Reads a record of a shard: its rows, each with that shard, by id; freed by kur_free, and NULL when there are none.
 * KUR_ERROR_SYNTAX for what is not such a record, which is never taken for an empty one: what it should have named
 * would be sent twice. KUR_ERROR_CONFIG for one of another database. KUR_ERROR_NO_MEMORY.
 */
kur_status kur__control_read(kur_bytes key, kur_bytes value, int32_t shard, const kur_uuid *database,
                             kur_outbox_id **rows, size_t *count, kur_error *error);

#endif
