/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: there is one way to write a set of rows, and nothing else is read: who can write to the topic can write
 * anything. A value is bounded when it is written and when it is read, and so is what reading takes from memory: a row
 * is at least five bytes.
 */
#include "outbox/control.h"

#include <kurier/sys/memory.h>
#include <stdio.h>
#include <string.h>

enum {
    FORM = 1,
    COUNT_AT = 1 + sizeof(kur_uuid),
    HEAD_SIZE = COUNT_AT + 4,
    MARK_SIZE = 4,
    DELTA_SIZE_MAX = 9, /* of 63 bits */
    ROW_SIZE_MIN = 1 + MARK_SIZE
};

static void put_u32(char *at, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(number >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- Writing ---- */

kur_status kur__control_begin(kur__control *control, const kur_uuid *database)
{
    char head[HEAD_SIZE] = {FORM};
    memcpy(head + 1, database->bytes, sizeof database->bytes);
    control->value.size = 0;
    control->last = 0;
    control->count = 0;
    return kur_buffer_append(&control->value, head, sizeof head);
}

kur_status kur__control_add(kur__control *control, int64_t id, uint32_t mark)
{
    char row[DELTA_SIZE_MAX + MARK_SIZE];
    size_t size = 0;
    uint64_t delta = (uint64_t)(id - control->last);
    for (; delta >= 128; delta >>= 7)
        row[size++] = (char)(delta | 128);
    row[size++] = (char)delta;
    put_u32(row + size, mark);
    size += MARK_SIZE;
    if (control->value.size + size > KUR__CONTROL_BYTES_MAX)
        return KUR_ERROR_TOO_LARGE;
    kur_status status = kur_buffer_append(&control->value, row, size);
    if (status != KUR_OK)
        return status;
    control->last = id;
    put_u32(control->value.data + COUNT_AT, ++control->count);
    return KUR_OK;
}

kur_bytes kur__control_value(kur__control *control)
{
    return kur_bytes_of(control->value.data, control->value.size);
}

void kur__control_key(int32_t shard, char key[KUR__CONTROL_KEY_SIZE])
{
    snprintf(key, KUR__CONTROL_KEY_SIZE, "%d", (int)shard);
}

void kur__control_done(kur__control *control)
{
    kur_buffer_done(&control->value);
}

/* ---- Reading ---- */

/* False for what would not have been written like this. */
static bool take_delta(const uint8_t **at, const uint8_t *end, uint64_t *delta)
{
    uint64_t number = 0;
    for (int i = 0; i < DELTA_SIZE_MAX && *at < end; i++) {
        uint8_t byte = *(*at)++;
        number |= (uint64_t)(byte & 127) << (7 * i);
        if (byte < 128) {
            *delta = number;
            return byte != 0; /* neither zero nor with zeros in front */
        }
    }
    return false;
}

/* What is wrong with them, or NULL. */
static const char *read_rows(const uint8_t *at, const uint8_t *end, int32_t shard, kur_outbox_id *rows, size_t count)
{
    int64_t last = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t delta;
        if (!take_delta(&at, end, &delta) || delta > (uint64_t)(INT64_MAX - last))
            return "an id is not a number that could stand there";
        if (end - at < MARK_SIZE)
            return "it is cut off";
        last += (int64_t)delta;
        rows[i] = (kur_outbox_id){.id = last, .shard = shard, .mark = get_u32(at)};
        at += MARK_SIZE;
    }
    return at == end ? NULL : "something follows behind its rows";
}

/* What is wrong with what stands before the rows, or NULL. */
static const char *check_head(kur_bytes key, kur_bytes value, int32_t shard)
{
    char expected[KUR__CONTROL_KEY_SIZE];
    const uint8_t *bytes = value.data;
    kur__control_key(shard, expected);
    if (!kur_bytes_equal(key, kur_bytes_text(expected)))
        return "its key is not its shard's number";
    if (value.data == NULL)
        return NULL;
    if (value.size < HEAD_SIZE || value.size > KUR__CONTROL_BYTES_MAX)
        return "its size is none that is written";
    if (bytes[0] != FORM)
        return "its form is not known: a newer version may have written it";
    uint32_t count = get_u32(bytes + COUNT_AT);
    return count == 0 || count > (value.size - HEAD_SIZE) / ROW_SIZE_MIN ? "it cannot have as many rows as it says"
                                                                         : NULL;
}

kur_status kur__control_read(kur_bytes key, kur_bytes value, int32_t shard, const kur_uuid *database,
                             kur_outbox_id **rows, size_t *count, kur_error *error)
{
    const char *wrong = check_head(key, value, shard);
    if (wrong != NULL)
        return kur_error_set(error, KUR_ERROR_SYNTAX, "it is no record of an outbox's relay: %s", wrong);
    if (value.data == NULL) {
        *rows = NULL;
        *count = 0;
        return KUR_OK;
    }
    const uint8_t *bytes = value.data;
    if (memcmp(bytes + 1, database->bytes, sizeof database->bytes) != 0) {
        char text[KUR_UUID_TEXT_SIZE];
        kur_uuid other;
        memcpy(other.bytes, bytes + 1, sizeof other.bytes);
        kur_uuid_format(&other, text);
        return kur_error_set(error, KUR_ERROR_CONFIG, "it is the outbox's of another database, %s", text);
    }
    size_t found = get_u32(bytes + COUNT_AT);
    kur_outbox_id *made = kur_malloc(found * sizeof *made);
    if (made == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: the rows of a transaction");
    wrong = read_rows(bytes + HEAD_SIZE, bytes + value.size, shard, made, found);
    if (wrong != NULL) {
        kur_free(made);
        return kur_error_set(error, KUR_ERROR_SYNTAX, "it is no record of an outbox's relay: %s", wrong);
    }
    *rows = made;
    *count = found;
    return KUR_OK;
}
