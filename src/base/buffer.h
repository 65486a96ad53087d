/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * kur_buffer_append for what codecs append most, a few bytes with room for them: no call but memcpy's.
 */
#ifndef KURIER_BASE_BUFFER_H
#define KURIER_BASE_BUFFER_H

#include <kurier/bytes.h>

static inline kur_status kur__buffer_put(kur_buffer *buffer, const void *data, size_t size)
{
    /* The NUL needs a byte too; a buffer without storage has no capacity. */
    if (size >= buffer->capacity - buffer->size)
        return kur_buffer_append(buffer, data, size);
    if (size > 0)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
    return KUR_OK;
}

static inline kur_status kur__buffer_put_char(kur_buffer *buffer, char c)
{
    if (buffer->capacity - buffer->size < 2)
        return kur_buffer_append(buffer, &c, 1);
    buffer->data[buffer->size++] = c;
    buffer->data[buffer->size] = '\0';
    return KUR_OK;
}

#endif
