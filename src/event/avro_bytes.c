/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what skips must not be worth attacking. A block of items that take no bytes, and records that are made
 * of nothing, would cost time without end for a few bytes of input: each such item or field is counted, and
 * KUR_AVRO_ITEMS_MAX of them are the end. All others cost a byte.
 */
#include "event/avro_bytes.h"

#include "base/error.h"

/* ---- Words ---- */

kur_status kur__avro_cut(const kur__avro_bytes *bytes, const kur__path *path, const char *what)
{
    return kur__error_at(bytes->error, KUR_ERROR_SYNTAX, path, "not Avro: %s, %zu bytes before the end", what,
                         kur__avro_left(bytes));
}

kur_status kur__avro_too_deep(const kur__avro_bytes *bytes, const kur__path *path)
{
    return kur__error_at(bytes->error, KUR_ERROR_TOO_LARGE, path, "nests deeper than %d", KUR_DEPTH_MAX);
}

kur_status kur__avro_too_empty(const kur__avro_bytes *bytes, const kur__path *path)
{
    return kur__error_at(bytes->error, KUR_ERROR_TOO_LARGE, path, "more than %d items and fields that take no bytes",
                         KUR_AVRO_ITEMS_MAX);
}

/* ---- Values ---- */

bool kur__avro_take_long_slowly(kur__avro_bytes *bytes, int64_t *number)
{
    const uint8_t *at = bytes->at;
    uint64_t zigzag = 0;
    for (unsigned shift = 0; at < bytes->end && shift < 64; shift += 7) {
        uint64_t byte = *at++;
        if (shift == 63 && byte > 1)
            return false;
        zigzag |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            bytes->at = at;
            *number = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
            return true;
        }
    }
    return false;
}

kur_status kur__avro_take_index_slowly(kur__avro_bytes *bytes, size_t count, const char *what, size_t *index,
                                       const kur__path *path)
{
    int64_t number;
    if (!kur__avro_take_long(bytes, &number))
        return kur__avro_cut(bytes, path, "the index of a branch or a symbol is not whole");
    if (number < 0 || (uint64_t)number >= count)
        return kur__error_at(bytes->error, KUR_ERROR_SYNTAX, path, "not Avro: %s %lld of %zu", what, (long long)number,
                             count);
    *index = (size_t)number;
    return KUR_OK;
}

bool kur__avro_unscaled(const uint8_t *bytes, size_t size, int64_t *number)
{
    if (size == 0)
        return false;
    uint8_t sign = bytes[0] & 0x80 ? 0xff : 0;
    for (; size > 8; size--, bytes++)
        if (bytes[0] != sign || ((bytes[1] ^ sign) & 0x80) != 0)
            return false;
    uint64_t bits = sign != 0 ? UINT64_MAX : 0;
    for (size_t i = 0; i < size; i++)
        bits = bits << 8 | bytes[i];
    *number = (int64_t)bits;
    return true;
}

kur_status kur__avro_begin(kur__avro_bytes *bytes, kur_bytes data, kur_error *error)
{
    static const uint8_t none[1];
    if (data.data == NULL && data.size > 0)
        return kur_error_null(error, "data");
    if (data.size > KUR_AVRO_SIZE_MAX)
        return kur_error_set(error, KUR_ERROR_TOO_LARGE, "the value has %zu bytes, at most %d are read", data.size,
                             KUR_AVRO_SIZE_MAX);
    const uint8_t *start = data.data != NULL ? data.data : none;
    *bytes = (kur__avro_bytes){.at = start, .end = start + data.size, .error = error};
    return KUR_OK;
}

kur_status kur__avro_finish(const kur__avro_bytes *bytes)
{
    if (bytes->at == bytes->end)
        return KUR_OK;
    return kur_error_set(bytes->error, KUR_ERROR_SYNTAX, "not Avro: %zu bytes are left behind the value",
                         kur__avro_left(bytes));
}

/* ---- Blocks ---- */

kur_status kur__avro_take_block(kur__avro_bytes *bytes, size_t least, kur__avro_block *block, const kur__path *path)
{
    int64_t count;
    size_t size;
    *block = (kur__avro_block){.count = 0};
    if (!kur__avro_take_long(bytes, &count))
        return kur__avro_cut(bytes, path, "the count of a block is not whole");
    if (count < 0) {
        /* The lowest number has no positive twin; no block has so many items anyway. */
        if (count == INT64_MIN || !kur__avro_take_size(bytes, &size))
            return kur__avro_cut(bytes, path, "a block does not end where it says");
        count = -count;
        block->end = bytes->at + size;
    }
    size_t left = block->end != NULL ? (size_t)(block->end - bytes->at) : kur__avro_left(bytes);
    if (least == 0 ? (uint64_t)count > left + KUR_AVRO_ITEMS_MAX - bytes->empty : (uint64_t)count > left / least)
        return kur__error_at(bytes->error, least == 0 ? KUR_ERROR_TOO_LARGE : KUR_ERROR_SYNTAX, path,
                             "%s a block of %lld items in %zu bytes",
                             least == 0 ? "has" : "not Avro:", (long long)count, left);
    block->count = (size_t)count;
    return KUR_OK;
}

kur_status kur__avro_end_block(kur__avro_bytes *bytes, const kur__avro_block *block, const kur__path *path)
{
    if (block->end == NULL || bytes->at == block->end)
        return KUR_OK;
    return kur__avro_cut(bytes, path, "a block does not end where it says");
}

/* ---- Going over values ---- */

static size_t least_bytes(const kur__node *node, int further)
{
    size_t least = 0;
    switch (node->kind) {
    case KUR__SCHEMA_NULL:
        return 0;
    case KUR__SCHEMA_FLOAT:
        return 4;
    case KUR__SCHEMA_DOUBLE:
        return 8;
    case KUR__SCHEMA_FIXED:
        return node->length < KUR_AVRO_SIZE_MAX ? node->length : KUR_AVRO_SIZE_MAX;
    case KUR__SCHEMA_RECORD:
        for (size_t i = 0; i < node->count && further > 0 && least < KUR_AVRO_SIZE_MAX; i++)
            least += least_bytes(node->fields[i].node, further - 1);
        return least;
    default:
        return 1; /* a number, a size, an index, or the end of the blocks */
    }
}

size_t kur__avro_least(const kur__node *node)
{
    /* Two records within each other: a third could be the product of all their fields. */
    return least_bytes(node, 2);
}

static kur_status skip_items(kur__avro_bytes *bytes, const kur__node *node, const kur__path *path, size_t depth)
{
    const kur__node *element = kur__node_element(node);
    size_t least = kur__avro_least(element) + (node->kind == KUR__SCHEMA_MAP), size, index = 0;
    for (kur__avro_block block;;) {
        kur_status status = kur__avro_take_block(bytes, least, &block, path);
        if (status != KUR_OK || block.count == 0)
            return status != KUR_OK ? status : kur__avro_end_block(bytes, &block, path);
        if (block.end != NULL) {
            bytes->at = block.end;
            continue;
        }
        for (size_t i = 0; i < block.count && status == KUR_OK; i++) {
            const uint8_t *before = bytes->at;
            kur__path at = {.up = path, .index = index++};
            if (node->kind == KUR__SCHEMA_MAP) {
                if (!kur__avro_take_size(bytes, &size))
                    return kur__avro_cut(bytes, &at, "a key is not whole");
                bytes->at += size;
            }
            status = kur__avro_skip(bytes, element, &at, depth);
            if (status == KUR_OK && kur__avro_is_many_empty(bytes, before))
                status = kur__avro_too_empty(bytes, path);
        }
        if (status != KUR_OK)
            return status;
    }
}

static kur_status skip_fields(kur__avro_bytes *bytes, const kur__node *node, const kur__path *path, size_t depth)
{
    kur_status status = KUR_OK;
    for (size_t i = 0; i < node->count && status == KUR_OK; i++) {
        const uint8_t *before = bytes->at;
        kur__path at = {.up = path, .name = node->fields[i].name};
        status = kur__avro_skip(bytes, node->fields[i].node, &at, depth);
        if (status == KUR_OK && kur__avro_is_many_empty(bytes, before))
            status = kur__avro_too_empty(bytes, path);
    }
    return status;
}

static kur_status skip_bytes(kur__avro_bytes *bytes, size_t size, const kur__path *path)
{
    if (size > kur__avro_left(bytes))
        return kur__avro_cut(bytes, path, "a value is not whole");
    bytes->at += size;
    return KUR_OK;
}

kur_status kur__avro_skip(kur__avro_bytes *bytes, const kur__node *node, const kur__path *path, size_t depth)
{
    int64_t number;
    size_t size;
    kur_status status;
    switch (node->kind) {
    case KUR__SCHEMA_NULL:
        return KUR_OK;
    case KUR__SCHEMA_BOOLEAN:
        return skip_bytes(bytes, 1, path);
    case KUR__SCHEMA_INT:
    case KUR__SCHEMA_LONG:
        return kur__avro_take_long(bytes, &number) ? KUR_OK : kur__avro_cut(bytes, path, "a number is not whole");
    case KUR__SCHEMA_FLOAT:
        return skip_bytes(bytes, 4, path);
    case KUR__SCHEMA_DOUBLE:
        return skip_bytes(bytes, 8, path);
    case KUR__SCHEMA_BYTES:
    case KUR__SCHEMA_STRING:
        if (!kur__avro_take_size(bytes, &size))
            return kur__avro_cut(bytes, path, "a text is not whole");
        return skip_bytes(bytes, size, path);
    case KUR__SCHEMA_FIXED:
        return skip_bytes(bytes, node->length, path);
    case KUR__SCHEMA_ENUM:
        return kur__avro_take_index(bytes, node->count, "symbol", &size, path);
    case KUR__SCHEMA_UNION:
        status = kur__avro_take_index(bytes, node->count, "branch", &size, path);
        return status == KUR_OK ? kur__avro_skip(bytes, node->branches[size], path, depth) : status;
    default:
        break;
    }
    if (depth >= KUR_DEPTH_MAX)
        return kur__avro_too_deep(bytes, path);
    return node->kind == KUR__SCHEMA_RECORD ? skip_fields(bytes, node, path, depth + 1)
                                            : skip_items(bytes, node, path, depth + 1);
}
