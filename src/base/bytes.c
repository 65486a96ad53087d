/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/bytes.h>
#include <kurier/sys/memory.h>

#include <stdarg.h>
#include <stdio.h>

kur_status kur_buffer_reserve(kur_buffer *buffer, size_t size)
{
    size_t needed;
    if (buffer == NULL)
        return KUR_ERROR_INVALID_ARGUMENT;
    if (__builtin_add_overflow(buffer->size, size, &needed) || needed > SIZE_MAX / 4)
        return KUR_ERROR_NO_MEMORY;
    if (needed < buffer->capacity)
        return KUR_OK;

    size_t capacity = buffer->capacity * 2 > needed + 1 ? buffer->capacity * 2 : needed + 1;
    if (capacity < 64)
        capacity = 64;
    char *data = kur_realloc(buffer->borrowed ? NULL : buffer->data, capacity);
    if (data == NULL)
        return KUR_ERROR_NO_MEMORY;
    if (buffer->borrowed && buffer->size > 0)
        memcpy(data, buffer->data, buffer->size);
    data[buffer->size] = '\0';
    buffer->data = data;
    buffer->capacity = capacity;
    buffer->borrowed = 0;
    return KUR_OK;
}

kur_status kur_buffer_append(kur_buffer *buffer, const void *data, size_t size)
{
    if (buffer == NULL || (data == NULL && size > 0))
        return KUR_ERROR_INVALID_ARGUMENT;
    if (buffer->capacity - buffer->size <= size && kur_buffer_reserve(buffer, size) != KUR_OK)
        return KUR_ERROR_NO_MEMORY;
    if (size > 0)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    buffer->data[buffer->size] = '\0';
    return KUR_OK;
}

kur_status kur_buffer_print(kur_buffer *buffer, const char *format, ...)
{
    if (buffer == NULL || format == NULL)
        return KUR_ERROR_INVALID_ARGUMENT;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    /* Most texts fit at once. */
    size_t room = buffer->capacity - buffer->size;
    int length = vsnprintf(room > 0 ? buffer->data + buffer->size : NULL, room, format, arguments);
    kur_status status = length < 0 ? KUR_ERROR_NO_MEMORY : KUR_OK;
    if (status == KUR_OK && (size_t)length >= room) {
        status = kur_buffer_reserve(buffer, (size_t)length);
        if (status == KUR_OK)
            vsnprintf(buffer->data + buffer->size, (size_t)length + 1, format, again);
    }
    if (status == KUR_OK)
        buffer->size += (size_t)length;
    else if (room > 0)
        buffer->data[buffer->size] = '\0';
    va_end(arguments);
    va_end(again);
    return status;
}

void kur_buffer_done(kur_buffer *buffer)
{
    if (buffer == NULL)
        return;
    if (!buffer->borrowed)
        kur_free(buffer->data);
    *buffer = (kur_buffer){0};
}
