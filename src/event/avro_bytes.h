/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Avro's bytes, taken one value at a time, and what bounds who takes them: every length is compared with what is there
 * before it is believed, and what takes no bytes is counted.
 */
#ifndef KURIER_EVENT_AVRO_BYTES_H
#define KURIER_EVENT_AVRO_BYTES_H

#include <endian.h>
#include <kurier/avro.h>

#include "event/schema.h"
#include "event/value.h"

typedef struct kur__avro_bytes {
    const uint8_t *at, *end;
    size_t empty; /* how many items and fields took no bytes */
    kur_error *error;
} kur__avro_bytes;

static inline size_t kur__avro_left(const kur__avro_bytes *bytes)
{
    return (size_t)(bytes->end - bytes->at);
}

/* A zigzag number of more than one byte, or of none: false when it is cut off or has more than 64 bits. */
bool kur__avro_take_long_slowly(kur__avro_bytes *bytes, int64_t *number);

static inline bool kur__avro_take_long(kur__avro_bytes *bytes, int64_t *number)
{
    if (bytes->at == bytes->end || *bytes->at >= 0x80)
        return kur__avro_take_long_slowly(bytes, number);
    uint64_t zigzag = *bytes->at++;
    *number = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
    return true;
}

static inline bool kur__avro_take_int(kur__avro_bytes *bytes, int64_t *number)
{
    return kur__avro_take_long(bytes, number) && *number == (int32_t)*number;
}

/* The size in front of bytes and strings: not negative, and so many bytes are there. */
static inline bool kur__avro_take_size(kur__avro_bytes *bytes, size_t *size)
{
    int64_t number;
    if (!kur__avro_take_long(bytes, &number) || number < 0 || (uint64_t)number > kur__avro_left(bytes))
        return false;
    *size = (size_t)number;
    return true;
}

/* As they are, little-endian: the sizes that floats have. */
static inline bool kur__avro_take_raw(kur__avro_bytes *bytes, void *value, size_t size)
{
    if (kur__avro_left(bytes) < size)
        return false;
    memcpy(value, bytes->at, size);
    bytes->at += size;
    return true;
}

static inline bool kur__avro_take_float(kur__avro_bytes *bytes, float *number)
{
    uint32_t bits;
    if (!kur__avro_take_raw(bytes, &bits, sizeof bits))
        return false;
    bits = le32toh(bits);
    memcpy(number, &bits, sizeof bits);
    return true;
}

static inline bool kur__avro_take_double(kur__avro_bytes *bytes, double *number)
{
    uint64_t bits;
    if (!kur__avro_take_raw(bytes, &bits, sizeof bits))
        return false;
    bits = le64toh(bits);
    memcpy(number, &bits, sizeof bits);
    return true;
}

/* The head of the next block of an array or a map. */
typedef struct kur__avro_block {
    size_t count;       /* 0: it was the last */
    const uint8_t *end; /* where it says that it ends; NULL: it does not say */
} kur__avro_block;

/*
 * Takes the head of a block whose items have `least` bytes each or more. KUR_ERROR_SYNTAX or KUR_ERROR_TOO_LARGE when
 * what it claims cannot be.
 */
kur_status kur__avro_take_block(kur__avro_bytes *bytes, size_t least, kur__avro_block *block, const kur__path *path);

/* Behind the items of a block. */
kur_status kur__avro_end_block(kur__avro_bytes *bytes, const kur__avro_block *block, const kur__path *path);

/* Behind an item or a field that began at `before`. */
static inline bool kur__avro_is_many_empty(kur__avro_bytes *bytes, const uint8_t *before)
{
    return bytes->at == before && ++bytes->empty > KUR_AVRO_ITEMS_MAX;
}

/* How many bytes a value has at least; what lies deep down is not counted. */
size_t kur__avro_least(const kur__node *node);

/* Goes over a value, `depth` brackets down. As kur_avro_read. */
kur_status kur__avro_skip(kur__avro_bytes *bytes, const kur__node *node, const kur__path *path, size_t depth);

/* What is wrong, in the words used everywhere. */
kur_status kur__avro_cut(const kur__avro_bytes *bytes, const kur__path *path, const char *what);
kur_status kur__avro_too_deep(const kur__avro_bytes *bytes, const kur__path *path);
kur_status kur__avro_too_empty(const kur__avro_bytes *bytes, const kur__path *path);

/* The index of a branch or a symbol, below `count`. */
kur_status kur__avro_take_index_slowly(kur__avro_bytes *bytes, size_t count, const char *what, size_t *index,
                                       const kur__path *path);

static inline kur_status kur__avro_take_index(kur__avro_bytes *bytes, size_t count, const char *what, size_t *index,
                                              const kur__path *path)
{
    /* Of one byte, and not negative. */
    if (bytes->at < bytes->end && (*bytes->at & 0x81) == 0 && (size_t)(*bytes->at >> 1) < count) {
        *index = *bytes->at++ >> 1;
        return KUR_OK;
    }
    return kur__avro_take_index_slowly(bytes, count, what, index, path);
}

/* A number of two's complement, big-endian, that fits 64 bits; no bytes are no number. */
bool kur__avro_unscaled(const uint8_t *bytes, size_t size, int64_t *number);

/* Whether a text is ASCII without a NUL; eight bytes at a time, the last ones of them for the second time. */
static inline bool kur__avro_is_plain(const char *text, size_t size)
{
    const uint64_t tops = UINT64_C(0x8080808080808080), ones = UINT64_C(0x0101010101010101);
    uint64_t word, odd = 0;
    if (size < sizeof word) {
        for (size_t i = 0; i < size; i++)
            odd |= (uint64_t)(((unsigned char)text[i] | ((unsigned char)text[i] - 1)) & 0x80);
        return odd == 0;
    }
    for (size_t i = 0; i + sizeof word < size; i += sizeof word) {
        memcpy(&word, text + i, sizeof word);
        odd |= (word | (word - ones)) & tops;
    }
    memcpy(&word, text + size - sizeof word, sizeof word);
    odd |= (word | (word - ones)) & tops;
    return odd == 0;
}

/* Whether the value can be read and nothing is behind it. */
kur_status kur__avro_begin(kur__avro_bytes *bytes, kur_bytes data, kur_error *error);
kur_status kur__avro_finish(const kur__avro_bytes *bytes);

/* ---- Writing ---- */

enum {
    KUR__AVRO_LONG_SIZE = 10
};

/* Writes a number to where there are KUR__AVRO_LONG_SIZE bytes; returns how many it took. */
static inline size_t kur__avro_long(int64_t number, char *to)
{
    uint64_t zigzag = ((uint64_t)number << 1) ^ (uint64_t)(number >> 63);
    size_t size = 0;
    for (; zigzag >= 0x80; zigzag >>= 7)
        to[size++] = (char)(zigzag | 0x80);
    to[size++] = (char)zigzag;
    return size;
}

/* Two's complement, big-endian, the fewest bytes that hold it; returns how many of `to` it took, from the end. */
static inline size_t kur__avro_twos(int64_t number, char to[8])
{
    size_t size = 0;
    do {
        to[8 - ++size] = (char)number;
        number >>= 8;
    } while (number != (to[8 - size] & 0x80 ? -1 : 0));
    return size;
}

#endif
