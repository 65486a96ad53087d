/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static const kur__allocator system_allocator = {malloc, realloc, free};
static const kur__allocator *current = &system_allocator;

void kur__allocator_set(const kur__allocator *allocator)
{
    current = allocator != NULL ? allocator : &system_allocator;
}

void *kur_malloc(size_t size)
{
    return current->malloc(size);
}

void *kur_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *memory = current->malloc(bytes);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

void *kur_realloc(void *memory, size_t size)
{
    return current->realloc(memory, size);
}

void kur_free(void *memory)
{
    current->free(memory);
}

char *kur_strdup(const char *text)
{
    if (text == NULL)
        return NULL;
    size_t size = strlen(text) + 1;
    char *copy = kur_malloc(size);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}
