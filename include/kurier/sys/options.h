/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/options.h>: structs with a size, as the caller compiled them: options taken in, views given out.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_OPTIONS_H
#define KURIER_SYS_OPTIONS_H

#include <kurier/error.h>
#include <string.h>

KUR_BEGIN_DECLS

/**
 * Copies the options at `from` (NULL: all defaults), whose first member is their size, into `to`, which knows `size`
 * bytes; what an older program does not know is zero. KUR_ERROR_INVALID_ARGUMENT when the size is not set, or when a
 * newer program sets something that this library does not know.
 */
KUR__UNUSED static inline kur_status kur_options_take(void *to, size_t size, const void *from, const char *name,
                                                      kur_error *error)
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

/**
 * The way back: copies what was made, of `size` bytes, into the struct at `to`, as far as its caller's size says that
 * it knows it, and sets that size to what was copied. A size that is not set counts as all.
 */
KUR__UNUSED static inline void kur_options_give(void *to, const void *made, size_t size)
{
    size_t known = *(const size_t *)to, copied = known >= sizeof(size_t) && known < size ? known : size;
    memcpy(to, made, copied);
    *(size_t *)to = copied;
}

/** The struct at `index` of an array of such, which is walked by the size of its first, as the caller compiled it. */
KUR__UNUSED static inline const void *kur_options_at(const void *first, size_t index)
{
    return (const char *)first + index * *(const size_t *)first;
}

KUR_END_DECLS

#endif
