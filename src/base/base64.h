/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Base64 with padding, the standard alphabet (RFC 4648, section 4), read strictly.
 */
#ifndef KURIER_BASE_BASE64_H
#define KURIER_BASE_BASE64_H

#include <kurier/bytes.h>

/* Appends the text of `bytes`: KUR_OK or KUR_ERROR_NO_MEMORY. */
kur_status kur__base64_write(kur_buffer *text, kur_bytes bytes);

/* How many bytes `size` characters give at most. */
static inline size_t kur__base64_room(size_t size)
{
    return size / 4 * 3;
}

/* Reads into `bytes`, which has the room; false when the text is not exactly base64. */
bool kur__base64_read(const char *text, size_t size, uint8_t *bytes, size_t *count);

#endif
