/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What is known of a registry, and who is fetching what.
 *
 * Design notes
 *
 * A key that is not known is fetched by the thread that asks first, with no lock held; that is a flight. Who asks for
 * the same meanwhile waits for it to land, each no longer than it wants to, and takes what came of it: a schema, or the
 * error. Two errors are the fetcher's own and not the schema's, that its time was over and that its memory was out: who
 * waits then fetches by itself.
 *
 * Nobody waits for a flight within one (what a schema names is fetched without), but for what a place waits for, which
 * is an id: so two that wait for each other cannot be.
 *
 * What is kept is found by a hash from a seed of its own, so that nobody outside can choose ids that collide. When
 * there is no room the one goes that was not used for the longest time. What cannot be kept because memory is out is
 * not kept.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/thread.h>
#include <string.h>

#include "registry/registry.h"

struct kur__entry {
    kur__entry *next; /* in its bucket */
    kur__entry *older, *newer;
    kur__found *found;
    int64_t until_us;
    uint32_t hash;
    size_t size;
    char key[];
};

struct kur__flight {
    kur__flight *next;
    const kur__key *key; /* the fetcher's own; read while it is in the list alone */
    size_t holders;      /* the fetcher, and those who wait */
    bool has_landed;
    kur_status status;
    kur_error error;
    kur__found *found;
};

/* ---- What was found ---- */

kur__found *kur__found_new(void)
{
    kur__found *found = kur_calloc(1, sizeof *found);
    if (found == NULL)
        return NULL;
    atomic_init(&found->references, 1);
    found->arena = kur_arena_new();
    if (found->arena != NULL)
        return found;
    kur_free(found);
    return NULL;
}

kur__found *kur__found_ref(kur__found *found)
{
    atomic_fetch_add(&found->references, 1);
    return found;
}

void kur__found_unref(kur__found *found)
{
    if (found == NULL || atomic_fetch_sub(&found->references, 1) > 1)
        return;
    kur_schema_unref(found->schema);
    kur_arena_free(found->arena);
    kur_free(found);
}

/* ---- The table ---- */

/* FNV-1a from a start that nobody knows. */
static uint32_t hash_of(const kur__cache *cache, const kur__key *key)
{
    uint32_t hash = cache->seed;
    for (size_t i = 0; i < key->size; i++)
        hash = (hash ^ (unsigned char)key->bytes[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static bool is_key(const kur__key *key, const char *bytes, size_t size)
{
    return key->size == size && memcmp(key->bytes, bytes, size) == 0;
}

static kur__entry **bucket_of(kur__cache *cache, uint32_t hash)
{
    return &cache->buckets[hash & (KUR__REGISTRY_BUCKETS - 1)];
}

static kur__entry *find(kur__cache *cache, const kur__key *key)
{
    uint32_t hash = hash_of(cache, key);
    kur__entry *entry = *bucket_of(cache, hash);
    while (entry != NULL && !(entry->hash == hash && is_key(key, entry->key, entry->size)))
        entry = entry->next;
    return entry;
}

static void unlink_used(kur__cache *cache, kur__entry *entry)
{
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
}

static void link_newest(kur__cache *cache, kur__entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void throw_out(kur__cache *cache, kur__entry *entry)
{
    kur__entry **at = bucket_of(cache, entry->hash);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    unlink_used(cache, entry);
    cache->count--;
    kur__found_unref(entry->found);
    kur_free(entry);
}

static int64_t until(int64_t for_us)
{
    return for_us == INT64_MAX ? INT64_MAX : kur_clock_monotonic_us() + for_us;
}

static void keep(kur__cache *cache, const kur__key *key, kur__found *found, int64_t for_us)
{
    kur__entry *entry = find(cache, key);
    if (entry != NULL)
        throw_out(cache, entry);
    entry = for_us > 0 ? kur_malloc(sizeof *entry + key->size) : NULL;
    if (entry == NULL)
        return;
    if (cache->count == KUR__REGISTRY_ENTRIES)
        throw_out(cache, cache->oldest);
    entry->hash = hash_of(cache, key);
    entry->found = kur__found_ref(found);
    entry->until_us = until(for_us);
    entry->size = key->size;
    memcpy(entry->key, key->bytes, key->size);
    entry->next = *bucket_of(cache, entry->hash);
    *bucket_of(cache, entry->hash) = entry;
    link_newest(cache, entry);
    cache->count++;
}

/* What is known and not too old, with a reference. */
static kur__found *use(kur__cache *cache, const kur__key *key)
{
    kur__entry *entry = find(cache, key);
    if (entry == NULL || (entry->until_us != INT64_MAX && entry->until_us <= kur_clock_monotonic_us()))
        return NULL;
    unlink_used(cache, entry);
    link_newest(cache, entry);
    return kur__found_ref(entry->found);
}

void kur__cache_init(kur__cache *cache)
{
    kur_uuid random = {{0}};
    kur_uuid_new(&random, NULL); /* without randomness: a seed that is known */
    memcpy(&cache->seed, random.bytes + 12, sizeof cache->seed);
    pthread_mutex_init(&cache->lock, NULL);
    kur_condition_init(&cache->landed);
}

void kur__cache_done(kur__cache *cache)
{
    while (cache->oldest != NULL)
        throw_out(cache, cache->oldest);
    pthread_cond_destroy(&cache->landed);
    pthread_mutex_destroy(&cache->lock);
}

kur__found *kur__cache_look(kur__cache *cache, const kur__key *key)
{
    pthread_mutex_lock(&cache->lock);
    kur__found *found = use(cache, key);
    pthread_mutex_unlock(&cache->lock);
    return found;
}

void kur__cache_keep(kur__cache *cache, const kur__key *key, kur__found *found, int64_t for_us)
{
    pthread_mutex_lock(&cache->lock);
    keep(cache, key, found, for_us);
    pthread_mutex_unlock(&cache->lock);
}

void kur__cache_drop(kur__cache *cache, const kur__key *key)
{
    pthread_mutex_lock(&cache->lock);
    kur__entry *entry = find(cache, key);
    if (entry != NULL)
        throw_out(cache, entry);
    pthread_mutex_unlock(&cache->lock);
}

/* ---- Flights ---- */

static void let_go(kur__flight *flight)
{
    if (--flight->holders > 0)
        return;
    kur__found_unref(flight->found);
    kur_free(flight);
}

static kur__flight *flight_of(kur__cache *cache, const kur__key *key)
{
    kur__flight *flight = cache->flights;
    while (flight != NULL && !is_key(key, flight->key->bytes, flight->key->size))
        flight = flight->next;
    return flight;
}

/*
 * Waits for another's flight, with the lock. False: it is to be looked again, for there is nothing that serves.
 */
static bool wait_for(kur__cache *cache, kur__flight *flight, const struct timespec *deadline, kur__found **found,
                     kur_status *status, kur_error *error)
{
    int failed = 0;
    flight->holders++;
    while (!flight->has_landed && failed == 0)
        failed = pthread_cond_timedwait(&cache->landed, &cache->lock, deadline);
    bool serves = true;
    if (!flight->has_landed)
        *status = kur_error_set(error, KUR_ERROR_TIMEOUT, "another thread is asking the registry for it still");
    else if (flight->status == KUR_OK)
        *found = kur__found_ref(flight->found);
    else if (flight->status != KUR_ERROR_TIMEOUT && flight->status != KUR_ERROR_NO_MEMORY) {
        *status = flight->status;
        if (error != NULL)
            *error = flight->error;
    } else
        serves = false;
    let_go(flight);
    return serves;
}

static bool may_be_asked_again(kur_status status)
{
    return status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_TIMEOUT || status == KUR_ERROR_CONFIG ||
           status == KUR_ERROR_AUTHENTICATION || status == KUR_ERROR_AUTHORIZATION;
}

/* What is too old, for some time more, when it may serve. */
static kur__found *use_stale(kur__cache *cache, const kur__key *key, const kur__fetch *fetch, kur_status status)
{
    kur__entry *entry = fetch->stale_us > 0 && may_be_asked_again(status) ? find(cache, key) : NULL;
    if (entry == NULL)
        return NULL;
    entry->until_us = until(fetch->stale_us);
    return kur__found_ref(entry->found);
}

/* Fetches, without the lock in between, and hands what came of it to all who wait. */
static void fly(kur__cache *cache, const kur__key *key, const kur__fetch *fetch, kur__flight *flight)
{
    flight->key = key;
    flight->holders = 1;
    flight->next = cache->flights;
    cache->flights = flight;
    pthread_mutex_unlock(&cache->lock);
    flight->status = fetch->run(fetch->user, &flight->found, &flight->error);
    pthread_mutex_lock(&cache->lock);
    if (flight->status == KUR_OK)
        keep(cache, key, flight->found, fetch->for_us);
    else if ((flight->found = use_stale(cache, key, fetch, flight->status)) != NULL)
        flight->status = KUR_OK;
    kur__flight **at = &cache->flights;
    while (*at != flight)
        at = &(*at)->next;
    *at = flight->next;
    flight->has_landed = true;
    pthread_cond_broadcast(&cache->landed);
}

kur_status kur__cache_get(kur__cache *cache, const kur__key *key, const kur__fetch *fetch,
                          const struct timespec *deadline, kur__found **found, kur_error *error)
{
    kur_status status = KUR_OK;
    kur__found *got = NULL;
    kur__flight *flight;
    pthread_mutex_lock(&cache->lock);
    while ((got = use(cache, key)) == NULL && (flight = flight_of(cache, key)) != NULL)
        if (wait_for(cache, flight, deadline, &got, &status, error))
            break;
    if (got == NULL && status == KUR_OK) {
        flight = kur_calloc(1, sizeof *flight);
        if (flight == NULL)
            status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        else {
            fly(cache, key, fetch, flight);
            status = flight->status;
            if (status == KUR_OK)
                got = kur__found_ref(flight->found);
            else if (error != NULL)
                *error = flight->error;
            let_go(flight);
        }
    }
    pthread_mutex_unlock(&cache->lock);
    if (status == KUR_OK)
        *found = got;
    return status;
}
