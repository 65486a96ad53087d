/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/sys/memory.h>: the library's allocator, so that the patterns layer's memory is counted with it.
 * Headers under sys/ serve the patterns layer and tests; they are documented but may change in any release.
 */
#ifndef KURIER_SYS_MEMORY_H
#define KURIER_SYS_MEMORY_H

#include <kurier/api.h>

KUR_BEGIN_DECLS

/** As malloc. Any thread. */
KUR_API void *kur_malloc(size_t size);

/** As calloc. Any thread. */
KUR_API void *kur_calloc(size_t count, size_t size);

/** As realloc. Any thread. */
KUR_API void *kur_realloc(void *memory, size_t size);

/** As free, for what the functions above gave. Any thread. */
KUR_API void kur_free(void *memory);

/** A copy of `text`, NULL for NULL or when there is no memory; released by kur_free. Any thread. */
KUR_API char *kur_strdup(const char *text);

KUR_END_DECLS

#endif
