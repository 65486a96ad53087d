/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Taking options structs in, as the caller compiled them.
 */
#ifndef KURIER_BASE_OPTIONS_H
#define KURIER_BASE_OPTIONS_H

#include <string.h>

#include "base/error.h"

/*
 * Copies the options at `from` (NULL: all defaults), whose first member is their size, into `to`, which knows `size`
 * bytes; what an older program does not know is zero. KUR_ERROR_INVALID_ARGUMENT when the size is not set, or when a
 * newer program sets something that this library does not know.
 */
static inline kur_status kur__options_take(void *to, size_t size, const void *from, const char *name, kur_error *error)
{
    memset(to, 0, size);
    if (from == NULL)
        return KUR_OK;
    size_t given = *(const size_t *)from;
    if (given < sizeof(size_t) || given > 4096)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s.size is not set: use the macro of the same name",
                             name);
    for (size_t i = size; i < given; i++)
        if (((const char *)from)[i] != 0)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s has members that this library does not know",
                                 name);
    memcpy(to, from, given < size ? given : size);
    return KUR_OK;
}

/* An array of such structs is walked by the size of its first, as the caller compiled it. */
static inline const void *kur__options_at(const void *first, size_t index)
{
    return (const char *)first + index * *(const size_t *)first;
}

#endif
