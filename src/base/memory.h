/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The allocator that tests alone can replace: this header is not installed and its function is not exported, so only
 * programs that link the static library of the build tree reach it.
 */
#ifndef KURIER_BASE_MEMORY_H
#define KURIER_BASE_MEMORY_H

#include <kurier/sys/memory.h>

typedef struct kur__allocator {
    void *(*malloc)(size_t size);
    void *(*realloc)(void *memory, size_t size);
    void (*free)(void *memory);
} kur__allocator;

/* Replaces the allocator, NULL for the C library's; while nothing else of the library runs. */
void kur__allocator_set(const kur__allocator *allocator);

#endif
