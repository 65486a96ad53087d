/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Large inputs from small parts.
 */
#ifndef KURIER_TESTS_HOSTILE_H
#define KURIER_TESTS_HOSTILE_H

#include <kurier/bytes.h>
#include <stdio.h>
#include <string.h>

static kur_buffer hostile_text;

/* `before`, then `part` as often as it fits into `size`, then `after`; "#" in `part` is a number that counts up. Valid
 * until the next one; kur_buffer_done(&hostile_text) at the end. */
static inline kur_bytes many(const char *before, const char *part, const char *after, size_t size)
{
    kur_buffer_done(&hostile_text);
    kur_buffer_append(&hostile_text, before, strlen(before));
    char digits[32];
    size_t hash = strcspn(part, "#"), behind = part[hash] == '#' ? hash + 1 : hash;
    for (size_t i = 0; hostile_text.size + strlen(part) + strlen(after) + 8 <= size; i++) {
        kur_buffer_append(&hostile_text, part, hash);
        if (behind != hash)
            kur_buffer_append(&hostile_text, digits, (size_t)snprintf(digits, sizeof digits, "%zu", i));
        kur_buffer_append(&hostile_text, part + behind, strlen(part + behind));
    }
    if (hostile_text.data[hostile_text.size - 1] == ',')
        hostile_text.size--;
    kur_buffer_append(&hostile_text, after, strlen(after));
    return kur_bytes_of(hostile_text.data, hostile_text.size);
}

#endif
