/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/uuid.h>: UUIDs (RFC 9562), made in version 7: ordered by time, random beyond it.
 */
#ifndef KURIER_UUID_H
#define KURIER_UUID_H

#include <kurier/error.h>

KUR_BEGIN_DECLS

/** 16 bytes in network order. */
typedef struct kur_uuid {
    uint8_t bytes[16];
} kur_uuid;

/** Characters of the text form, and its NUL. */
#define KUR_UUID_TEXT_SIZE 37

/**
 * A new UUID of version 7: 48 bits of milliseconds, then 12 bits that count within the millisecond, so that those of
 * one process ascend, then 62 random bits (RFC 9562, section 5.7, and 6.2, method 1). Any thread; after a fork the two
 * processes go their own ways.
 * KUR_ERROR_SYSTEM when the system has no randomness to give.
 */
KUR_API kur_status kur_uuid_new(kur_uuid *uuid, kur_error *error);

/** Writes the 36 characters in lower case and a NUL; an empty text for NULL. Any thread. */
KUR_API void kur_uuid_format(const kur_uuid *uuid, char text[KUR_UUID_TEXT_SIZE]);

/**
 * Reads the 36-character form, upper or lower case, any version. Any thread.
 * KUR_ERROR_SYNTAX names what is wrong.
 */
KUR_API kur_status kur_uuid_parse(const char *text, size_t size, kur_uuid *uuid, kur_error *error);

KUR_END_DECLS

#endif
