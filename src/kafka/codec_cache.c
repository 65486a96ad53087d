/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: every event asks here, few add anything. So readers take no lock: a table is found by an atomic
 * pointer, an entry by an atomic slot, and neither goes away before the client does. Slots are only filled, by one at a
 * time; a table that is half full is followed by one twice as large, and all of those before together are smaller
 * than it.
 *
 * Only what was found is kept, and a bounded number of it: a producer can name what it likes. What the program itself
 * writes has room of its own, which nobody outside can fill.
 */
#include <kurier/sys/memory.h>
#include <string.h>

#include "base/hash.h"
#include "kafka/codec.h"

enum {
    FIRST_SLOTS = 32 /* a power of two */
};

struct kur__codec_table {
    kur__codec_table *before;
    size_t slots;
    _Atomic(kur__codec_entry *) entries[];
};

void kur__codec_cache_init(kur__codec_cache *cache)
{
    atomic_init(&cache->table, NULL);
    pthread_mutex_init(&cache->lock, NULL);
    cache->count = cache->read = cache->bytes = 0;
}

static void free_entry(kur__codec_entry *entry)
{
    kur_avro_plan_unref(entry->plan);
    kur_schema_unref(entry->schema);
    kur_free(entry);
}

void kur__codec_cache_done(kur__codec_cache *cache)
{
    kur__codec_table *table = atomic_load(&cache->table);
    for (size_t i = 0; table != NULL && i < table->slots; i++) {
        kur__codec_entry *entry = atomic_load(&table->entries[i]);
        if (entry != NULL)
            free_entry(entry);
    }
    while (table != NULL) {
        kur__codec_table *before = table->before;
        kur_free(table);
        table = before;
    }
    atomic_store(&cache->table, NULL);
    pthread_mutex_destroy(&cache->lock);
}

static uint32_t hash_of(const kur__codec_key *key)
{
    uint32_t hash = key->name.size > 0 ? kur__hash(key->name.data, key->name.size) : 0;
    uint64_t type = (uintptr_t)key->type * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (uint32_t)(type >> 32) ^ (uint32_t)key->by;
}

static bool is_same(const kur__codec_key *a, const kur__codec_key *b)
{
    return a->by == b->by && a->type == b->type && a->name.size == b->name.size &&
           (a->name.size == 0 || memcmp(a->name.data, b->name.data, a->name.size) == 0);
}

/* There is always a free slot. */
static _Atomic(kur__codec_entry *) *slot_of(kur__codec_table *table, const kur__codec_key *key, uint32_t hash)
{
    for (size_t i = hash & (table->slots - 1);; i = (i + 1) & (table->slots - 1)) {
        const kur__codec_entry *entry = atomic_load_explicit(&table->entries[i], memory_order_acquire);
        if (entry == NULL || (entry->hash == hash && is_same(&entry->key, key)))
            return &table->entries[i];
    }
}

const kur__codec_entry *kur__codec_find(kur__codec_cache *cache, const kur__codec_key *key)
{
    kur__codec_table *table = cache != NULL ? atomic_load_explicit(&cache->table, memory_order_acquire) : NULL;
    return table != NULL ? atomic_load_explicit(slot_of(table, key, hash_of(key)), memory_order_acquire) : NULL;
}

kur__codec_entry *kur__codec_entry_new(const kur__codec_key *key)
{
    kur__codec_entry *entry = kur_calloc(1, sizeof *entry + key->name.size);
    if (entry == NULL)
        return NULL;
    entry->key = *key;
    entry->key.name.data = entry->name;
    if (key->name.size > 0)
        memcpy(entry->name, key->name.data, key->name.size);
    entry->hash = hash_of(key);
    return entry;
}

static kur__codec_table *grown(kur__codec_table *table)
{
    size_t slots = table != NULL ? 2 * table->slots : FIRST_SLOTS;
    kur__codec_table *larger = kur_calloc(1, sizeof *larger + slots * sizeof larger->entries[0]);
    if (larger == NULL)
        return NULL;
    larger->before = table;
    larger->slots = slots;
    for (size_t i = 0; table != NULL && i < table->slots; i++) {
        kur__codec_entry *entry = atomic_load_explicit(&table->entries[i], memory_order_relaxed);
        if (entry != NULL)
            atomic_store_explicit(slot_of(larger, &entry->key, entry->hash), entry, memory_order_relaxed);
    }
    return larger;
}

static size_t bytes_of(const kur__codec_entry *entry)
{
    kur_bytes text = entry->schema != NULL ? kur_schema_text(entry->schema) : (kur_bytes){0};
    return sizeof *entry + entry->key.name.size + text.size;
}

static bool is_read(const kur__codec_entry *entry)
{
    return entry->key.by != KUR__BY_TYPE && entry->key.by != KUR__BY_TOPIC;
}

static bool has_room(const kur__codec_cache *cache, const kur__codec_entry *made)
{
    if (is_read(made) && (cache->read >= KUR__CODEC_READ || cache->bytes + bytes_of(made) > KUR__CODEC_BYTES))
        return false;
    return cache->count < KUR__CODEC_ENTRIES;
}

/* A table with room for one more; NULL: it cannot be kept. Under the lock. */
static kur__codec_table *table_with_room(kur__codec_cache *cache, const kur__codec_entry *made)
{
    kur__codec_table *table = atomic_load_explicit(&cache->table, memory_order_relaxed);
    if (!has_room(cache, made))
        return NULL;
    if (table != NULL && cache->count < table->slots / 2)
        return table;
    table = grown(table);
    if (table != NULL)
        atomic_store_explicit(&cache->table, table, memory_order_release);
    return table;
}

const kur__codec_entry *kur__codec_keep(kur__codec_cache *cache, kur__codec_entry *made)
{
    if (cache == NULL)
        return made;
    pthread_mutex_lock(&cache->lock);
    const kur__codec_entry *there = kur__codec_find(cache, &made->key);
    kur__codec_table *table = there == NULL ? table_with_room(cache, made) : NULL;
    if (table != NULL) {
        made->is_kept = true;
        cache->count++;
        cache->read += is_read(made);
        cache->bytes += is_read(made) ? bytes_of(made) : 0;
        atomic_store_explicit(slot_of(table, &made->key, made->hash), made, memory_order_release);
    }
    pthread_mutex_unlock(&cache->lock);
    if (there == NULL)
        return made;
    free_entry(made);
    return there;
}

void kur__codec_leave(const kur__codec_entry *entry)
{
    if (entry != NULL && !entry->is_kept)
        free_entry((kur__codec_entry *)(uintptr_t)entry);
}
