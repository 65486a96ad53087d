/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What something costs: all memory, jansson's too, comes from an allocator that counts; time is this thread's own, so
 * that a busy machine does not count. One thread.
 */
#ifndef KURIER_TESTS_COUNTING_H
#define KURIER_TESTS_COUNTING_H

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"

static size_t live, peak, taken;
static size_t floor_size; /* what was live when counting began: the input among others */

static void *count_malloc(size_t size)
{
    void *memory = malloc(size);
    live += memory != NULL ? malloc_usable_size(memory) : 0;
    peak = live > peak ? live : peak;
    taken++;
    return memory;
}

static void *count_realloc(void *memory, size_t size)
{
    live -= memory != NULL ? malloc_usable_size(memory) : 0;
    void *moved = realloc(memory, size);
    live += moved != NULL ? malloc_usable_size(moved) : 0;
    peak = live > peak ? live : peak;
    taken++;
    return moved;
}

static void count_free(void *memory)
{
    live -= memory != NULL ? malloc_usable_size(memory) : 0;
    free(memory);
}

static struct timespec count_started;

/* Before anything of the library or of jansson is called. */
static inline void count_memory(void)
{
    static const kur__allocator counting = {count_malloc, count_realloc, count_free};
    kur__allocator_set(&counting);
    json_set_alloc_funcs(count_malloc, count_free);
}

static inline void count_begin(void)
{
    peak = floor_size = live;
    taken = 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &count_started);
}

static inline double count_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)(now.tv_sec - count_started.tv_sec) * 1e3 + (double)(now.tv_nsec - count_started.tv_nsec) / 1e6;
}

#endif
