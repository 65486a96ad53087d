/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What those who add to an outbox and those who relay it share.
 */
#ifndef KURIER_OUTBOX_OUTBOX_H
#define KURIER_OUTBOX_OUTBOX_H

#include <kurier/driver.h>
#include <kurier/outbox.h>
#include <stdatomic.h>

struct kur_outbox {
    kur_client *client;
    kur_database *database;
    const kur_driver *driver;
    int64_t record_bytes;
    int32_t shards; /* how many the tables have */
    kur_uuid id;    /* the database's */
    int committed;  /* eventfd: kur_outbox_committed writes, one relay of this process reads */
};

/*
 * Headers as one piece of bytes, in the column of that name: a mark of the form (1), how many, then for each the size
 * of its name, the name, the size of its value plus one (0: none), the value; all numbers in base 128, the lowest
 * first.
 */
kur_status kur__headers_write(const kur_header *headers, size_t count, kur_buffer *bytes, kur_error *error);

/*
 * Back again; names (each with a NUL) and the array are in `arena`, values are borrowed from `bytes`. What is not
 * well-formed is KUR_ERROR_SYNTAX: whoever can write to the table can write anything.
 */
kur_status kur__headers_read(kur_bytes bytes, kur_arena *arena, const kur_header **headers, size_t *count,
                             kur_error *error);

/* Which of `shards` a row belongs to: murmur2 of its key as Java's clients compute it, without its sign; any without
 * one. */
int32_t kur__outbox_shard(kur_bytes key, uint32_t mark, int32_t shards);

/* The row as kur_producer_send takes it; names are in `arena`. */
kur_status kur__outbox_message(const kur_outbox_row *row, kur_arena *arena, kur_message *message, kur_error *error);

#endif
