/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a list of blocks, the newest first; what is taken comes from the newest. A block doubles the one
 * before up to 64 KiB; what is larger than a quarter of that gets a block of its own behind the newest, so that it
 * does not waste the rest of it. A reset keeps one block.
 */
#include <kurier/arena.h>
#include <kurier/sys/memory.h>

#include <string.h>

enum {
    ALIGNMENT = _Alignof(max_align_t),
    FIRST_BLOCK = 1024,
    LARGEST_BLOCK = 64 * 1024
};

struct block {
    struct block *older;
    size_t size;
    size_t used;
    _Alignas(max_align_t) char data[];
};

struct kur_arena {
    struct block *newest;
    size_t taken;
};

kur_arena *kur_arena_new(void)
{
    return kur_calloc(1, sizeof(kur_arena));
}

static void free_blocks(struct block *block)
{
    while (block != NULL) {
        struct block *older = block->older;
        kur_free(block);
        block = older;
    }
}

void kur_arena_free(kur_arena *arena)
{
    if (arena == NULL)
        return;
    free_blocks(arena->newest);
    kur_free(arena);
}

static struct block *block_new(size_t size)
{
    struct block *block = kur_malloc(sizeof *block + size);
    if (block != NULL)
        *block = (struct block){.size = size};
    return block;
}

/* A block with room for `size` bytes, which has been put into the list. */
static struct block *block_add(kur_arena *arena, size_t size)
{
    struct block *newest = arena->newest;
    bool alone = newest != NULL && size > LARGEST_BLOCK / 4;
    size_t wanted = newest == NULL ? FIRST_BLOCK : newest->size * 2 < LARGEST_BLOCK ? newest->size * 2 : LARGEST_BLOCK;
    struct block *block = block_new(alone || wanted < size ? size : wanted);
    if (block == NULL)
        return NULL;
    if (alone) {
        block->older = newest->older;
        newest->older = block;
    } else {
        block->older = newest;
        arena->newest = block;
    }
    return block;
}

void *kur_arena_alloc(kur_arena *arena, size_t size)
{
    if (arena == NULL || size > SIZE_MAX / 4)
        return NULL;
    size = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct block *block = arena->newest;
    if (block == NULL || block->size - block->used < size)
        block = block_add(arena, size);
    if (block == NULL)
        return NULL;
    void *memory = block->data + block->used;
    block->used += size;
    arena->taken += size;
    return memset(memory, 0, size);
}

char *kur_arena_copy(kur_arena *arena, const void *data, size_t size)
{
    if (size > SIZE_MAX / 4 || (data == NULL && size > 0))
        return NULL;
    char *copy = kur_arena_alloc(arena, size + 1);
    if (copy != NULL && size > 0)
        memcpy(copy, data, size);
    return copy;
}

void kur_arena_reset(kur_arena *arena)
{
    if (arena == NULL || arena->newest == NULL)
        return;
    free_blocks(arena->newest->older);
    arena->newest->older = NULL;
    arena->newest->used = 0;
    arena->taken = 0;
}

size_t kur_arena_size(const kur_arena *arena)
{
    return arena != NULL ? arena->taken : 0;
}
