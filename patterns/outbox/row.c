/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What stands in a row: headers as bytes, and the shard that its key belongs to.
 *
 * Design notes: there is one way to write a list of headers, and nothing else is read. Reading goes through the bytes
 * twice: what is judged first costs no memory, so that a few bytes that claim much get nothing.
 */
#include <string.h>

#include "outbox/outbox.h"

enum {
    FORM = 1,
    NUMBER_SIZE_MAX = 10
};

/* ---- Headers, written ---- */

static kur_status put_number(kur_buffer *bytes, size_t number)
{
    uint8_t digits[NUMBER_SIZE_MAX];
    size_t size = 0;
    for (; number > 127; number >>= 7)
        digits[size++] = (uint8_t)(number | 0x80);
    digits[size++] = (uint8_t)number;
    return kur_buffer_append(bytes, digits, size);
}

static kur_status put_header(kur_buffer *bytes, const kur_header *header)
{
    size_t name_size = strlen(header->name);
    kur_status status = put_number(bytes, name_size);
    if (status == KUR_OK)
        status = kur_buffer_append(bytes, header->name, name_size);
    if (status == KUR_OK)
        status = put_number(bytes, header->value.data != NULL ? header->value.size + 1 : 0);
    if (status == KUR_OK && header->value.size > 0)
        status = kur_buffer_append(bytes, header->value.data, header->value.size);
    return status;
}

kur_status kur__headers_write(const kur_header *headers, size_t count, kur_buffer *bytes, kur_error *error)
{
    size_t before = bytes->size;
    kur_status status = put_number(bytes, FORM);
    if (status == KUR_OK)
        status = put_number(bytes, count);
    for (size_t i = 0; i < count && status == KUR_OK; i++)
        status = put_header(bytes, &headers[i]);
    if (status == KUR_OK)
        return KUR_OK;
    bytes->size = before;
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
}

/* ---- And read ---- */

/* A number at the front; false when it is cut, too large, or longer than it has to be. */
static bool take_number(kur_bytes *input, size_t *number)
{
    const uint8_t *digits = input->data;
    size_t value = 0;
    for (size_t i = 0; i < input->size && i < NUMBER_SIZE_MAX; i++) {
        size_t digit = digits[i] & 0x7f;
        if (digit != 0 && (digit << (7 * i)) >> (7 * i) != digit)
            return false;
        value |= digit << (7 * i);
        if (digits[i] & 0x80)
            continue;
        if (i > 0 && digit == 0)
            return false;
        *number = value;
        *input = kur_bytes_of(digits + i + 1, input->size - i - 1);
        return true;
    }
    return false;
}

static bool take_bytes(kur_bytes *input, size_t size, kur_bytes *taken)
{
    if (size > input->size)
        return false;
    *taken = kur_bytes_of(input->data, size);
    *input = kur_bytes_of((const uint8_t *)input->data + size, input->size - size);
    return true;
}

static bool take_header(kur_bytes *input, kur_bytes *name, kur_bytes *value)
{
    size_t size = 0;
    *value = (kur_bytes){0};
    return take_number(input, &size) && take_bytes(input, size, name) &&
           (name->size == 0 || memchr(name->data, '\0', name->size) == NULL) && take_number(input, &size) &&
           (size == 0 || take_bytes(input, size - 1, value));
}

/* The headers that follow, judged: how many, and how much their names take, each with a NUL. */
static bool measure(kur_bytes input, kur_bytes *first, size_t *count, size_t *names_size)
{
    size_t form = 0;
    kur_bytes name, value;
    if (!take_number(&input, &form) || form != FORM || !take_number(&input, count))
        return false;
    *first = input;
    *names_size = 0;
    for (size_t i = 0; i < *count; i++) {
        if (!take_header(&input, &name, &value))
            return false;
        *names_size += name.size + 1;
    }
    return input.size == 0;
}

kur_status kur__headers_read(kur_bytes bytes, kur_arena *arena, const kur_header **headers, size_t *count,
                             kur_error *error)
{
    kur_bytes input;
    size_t found = 0, names_size = 0;
    if (!measure(bytes, &input, &found, &names_size))
        return kur_error_set(error, KUR_ERROR_SYNTAX, "the row's headers are not as this library writes them");
    kur_header *made = found > 0 ? kur_arena_alloc(arena, found * sizeof *made) : NULL;
    char *names = found > 0 ? kur_arena_alloc(arena, names_size) : NULL;
    if (found > 0 && (made == NULL || names == NULL))
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < found; i++) {
        kur_bytes name = {0};
        take_header(&input, &name, &made[i].value); /* as measured */
        made[i].name = memcpy(names, name.data, name.size);
        names += name.size + 1;
    }
    *headers = made;
    *count = found;
    return KUR_OK;
}

/* ---- Shards ---- */

/* MurmurHash2, 32 bits, with the seed of Java's clients (org.apache.kafka.common.utils.Utils.murmur2). */
static uint32_t murmur2(kur_bytes key)
{
    const uint32_t m = 0x5bd1e995;
    const uint8_t *data = key.data;
    size_t size = key.size;
    uint32_t hash = UINT32_C(0x9747b28c) ^ (uint32_t)size;
    for (; size >= 4; size -= 4, data += 4) {
        uint32_t k = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        k *= m;
        k ^= k >> 24;
        hash = hash * m ^ k * m;
    }
    for (size_t i = size; i > 0; i--)
        hash ^= (uint32_t)data[i - 1] << (8 * (i - 1));
    if (size > 0)
        hash *= m;
    hash = (hash ^ hash >> 13) * m;
    return hash ^ hash >> 15;
}

int32_t kur__outbox_shard(kur_bytes key, uint32_t mark, int32_t shards)
{
    uint32_t number = key.data != NULL ? murmur2(key) & INT32_MAX : mark;
    return (int32_t)(number % (uint32_t)shards);
}

/* ---- As a message ---- */

kur_status kur__outbox_message(const kur_outbox_row *row, kur_arena *arena, kur_message *message, kur_error *error)
{
    kur_message made = {.size = sizeof made,
                        .topic = row->topic,
                        .partition = row->partition,
                        .tombstone = row->value.data == NULL,
                        .key = row->key,
                        .value = row->value,
                        .verbatim = true};
    kur_status status = kur__headers_read(row->headers, arena, &made.headers, &made.header_count, error);
    if (status == KUR_OK)
        *message = made;
    return status;
}
