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
    size_t part_size = strlen(part), hash = strcspn(part, "#"), ends = strlen(before) + strlen(after);
    size_t count = (size - ends) / part_size;
    kur_buffer_done(&hostile_text);
    kur_buffer_reserve(&hostile_text, size);
    kur_buffer_append(&hostile_text, before, strlen(before));
    for (size_t i = 0; hash < part_size && hostile_text.size + part_size + strlen(after) + 8 <= size; i++)
        kur_buffer_print(&hostile_text, "%.*s%zu%s", (int)hash, part, i, part + hash + 1);
    if (hash == part_size) {
        char *data = hostile_text.data + hostile_text.size;
        /* Each step copies all that is there, so that a sanitizer sees twenty copies and not a million. */
        memcpy(data, part, part_size);
        for (size_t done = 1; done < count; done *= 2)
            memcpy(data + done * part_size, data, (done < count - done ? done : count - done) * part_size);
        hostile_text.size += count * part_size;
        hostile_text.data[hostile_text.size] = '\0';
    }
    if (hostile_text.data[hostile_text.size - 1] == ',')
        hostile_text.size--;
    kur_buffer_append(&hostile_text, after, strlen(after));
    return kur_bytes_of(hostile_text.data, hostile_text.size);
}

#endif
