/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * uthash as this project uses it: memory of our own allocator, a failed insertion instead of an exit, and a hash that
 * starts from a seed of the process, so that nobody outside can choose names that collide.
 */
#ifndef KURIER_BASE_HASH_H
#define KURIER_BASE_HASH_H

#include <kurier/sys/memory.h>
#include <stddef.h>
#include <stdint.h>

uint32_t kur__hash(const void *key, size_t size);

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(key, size, hash) ((hash) = kur__hash(key, size))
#define uthash_malloc(size) kur_malloc(size)
#define uthash_free(memory, size) kur_free(memory)
#include <uthash.h>

#endif
