/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/bytes.h>: bytes that are borrowed (kur_bytes) and bytes that grow (kur_buffer).
 */
#ifndef KURIER_BYTES_H
#define KURIER_BYTES_H

#include <kurier/error.h>
#include <string.h>

KUR_BEGIN_DECLS

/** Borrowed bytes: owns nothing, ends with no NUL. `data` NULL is "none", which is not the same as empty. */
typedef struct kur_bytes {
    const void *data;
    size_t size;
} kur_bytes;

/** Borrows `size` bytes at `data`. */
KUR__UNUSED static inline kur_bytes kur_bytes_of(const void *data, size_t size)
{
    kur_bytes bytes = {data, size};
    return bytes;
}

/** Borrows a text without its NUL; NULL gives none. */
KUR__UNUSED static inline kur_bytes kur_bytes_text(const char *text)
{
    kur_bytes bytes = {text, text != NULL ? strlen(text) : 0};
    return bytes;
}

/** Whether both hold the same bytes; none equals only none. */
KUR__UNUSED static inline bool kur_bytes_equal(kur_bytes a, kur_bytes b)
{
    return a.size == b.size && (a.data == NULL) == (b.data == NULL) &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/**
 * Whether the bytes are valid UTF-8 (no surrogates, nothing above U+10FFFF, no overlong forms). A NUL is valid.
 * Any thread.
 */
KUR_API bool kur_bytes_is_utf8(kur_bytes bytes);

/** A header of a Kafka record: a name, and a value that may be none or any bytes. Borrows both. */
typedef struct kur_header {
    const char *name;
    kur_bytes value;
} kur_header;

/**
 * Text or bytes that grow. Starts as {0} or over storage of the caller's (kur_buffer_over); `data` always ends with
 * a NUL that `size` does not count, and is NULL only before the first byte. Owned by the caller, one thread at a
 * time, released by kur_buffer_done. Its functions return KUR_ERROR_INVALID_ARGUMENT for NULL where something must be.
 */
typedef struct kur_buffer {
    char *data;
    size_t size;
    size_t capacity;
    size_t borrowed; /**< 1 while `data` is storage of the caller's */
} kur_buffer;

/** An empty buffer over the caller's storage, which is used until it is full; then the bytes move to the heap. */
KUR__UNUSED static inline kur_buffer kur_buffer_over(char *storage, size_t size)
{
    kur_buffer buffer = {storage, 0, size, 1};
    if (size > 0)
        storage[0] = '\0';
    return buffer;
}

/** Makes room for `size` more bytes and the NUL. KUR_OK or KUR_ERROR_NO_MEMORY with the buffer as it was. */
KUR_API kur_status kur_buffer_reserve(kur_buffer *buffer, size_t size);

/** Appends bytes. KUR_OK or KUR_ERROR_NO_MEMORY with the buffer as it was. */
KUR_API kur_status kur_buffer_append(kur_buffer *buffer, const void *data, size_t size);

/** Appends formatted text. KUR_OK or KUR_ERROR_NO_MEMORY with the buffer as it was. */
KUR_API kur_status kur_buffer_print(kur_buffer *buffer, const char *format, ...) KUR_PRINTF(2, 3);

/** Releases the memory and leaves an empty buffer; NULL does nothing. */
KUR_API void kur_buffer_done(kur_buffer *buffer);

KUR_END_DECLS

#endif
