/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/arena.h>: memory that is released all at once: what decoding makes lives in one.
 */
#ifndef KURIER_ARENA_H
#define KURIER_ARENA_H

#include <kurier/api.h>

KUR_BEGIN_DECLS

/** Memory that grows until it is reset or freed. One thread at a time. */
typedef struct kur_arena kur_arena;

/** An empty arena, or NULL when there is no memory. Released by kur_arena_free. */
KUR_API kur_arena *kur_arena_new(void);

/** Releases the arena and everything taken from it; NULL does nothing. */
KUR_API void kur_arena_free(kur_arena *arena);

/**
 * Takes `size` bytes, zeroed, aligned for any scalar; valid until the arena is reset or freed. NULL when there is no
 * memory. Zero bytes give a pointer that is not NULL.
 */
KUR_API void *kur_arena_alloc(kur_arena *arena, size_t size);

/**
 * Takes a copy of `size` bytes with a NUL behind them; valid until the arena is reset or freed. NULL when there is no
 * memory, or `data` is NULL and `size` is not 0.
 */
KUR_API char *kur_arena_copy(kur_arena *arena, const void *data, size_t size);

/** Makes everything taken invalid and keeps the memory for what is taken next. */
KUR_API void kur_arena_reset(kur_arena *arena);

/** Bytes taken since the arena was made or reset, with what alignment has cost. */
KUR_API size_t kur_arena_size(const kur_arena *arena);

KUR_END_DECLS

#endif
