/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sys/random.h>

#include "base/hash.h"

static uint64_t seed;

static void make_seed(void)
{
    /* Without randomness the hash still works, only its order can be guessed. */
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = (uintptr_t)&seed;
}

/* FNV-1a over a seeded start, with a final mix (the constants of Murmur 3's). */
uint32_t kur__hash(const void *key, size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_seed);
    const unsigned char *bytes = key;
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    return (uint32_t)(hash ^ hash >> 33);
}
