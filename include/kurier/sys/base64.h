/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/base64.h>: base64 with padding, the standard alphabet (RFC 4648, section 4), read strictly.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_BASE64_H
#define KURIER_SYS_BASE64_H

#include <kurier/bytes.h>

KUR_BEGIN_DECLS

/** Appends the text of `bytes`: KUR_OK or KUR_ERROR_NO_MEMORY with the buffer as it was. */
KUR_API kur_status kur_base64_write(kur_buffer *text, kur_bytes bytes);

/** How many bytes `size` characters give at most. */
KUR__UNUSED static inline size_t kur_base64_room(size_t size)
{
    return size / 4 * 3;
}

/** Reads into `bytes`, which has the room; false when the text is not exactly base64. Any thread. */
KUR_API bool kur_base64_read(const char *text, size_t size, uint8_t *bytes, size_t *count);

KUR_END_DECLS

#endif
