/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: partitions by their names. Each poll asks for each of them, so they are found through a table; with
 * thousands of them a list would cost more than the records.
 *
 * A partition is there as long as anything refers to it: sources, also those that have ended and wait for a handler,
 * and lanes, which outlive sources. Of its sources at most one is not dead.
 */
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/machine.h"

enum {
    BUCKETS_MIN = 16
};

static uint64_t hash_of(const kur__machine *machine, const char *topic, int32_t number)
{
    return kur__key_hash(machine->lanes.seed ^ (uint32_t)number, kur_bytes_text(topic));
}

static kur__partition *find(const kur__machine *machine, uint64_t hash, const char *topic, int32_t number)
{
    if (machine->partition_capacity == 0)
        return NULL;
    kur__partition *partition = machine->partitions[hash & (machine->partition_capacity - 1)];
    while (partition != NULL &&
           (partition->hash != hash || partition->number != number || strcmp(partition->topic, topic) != 0))
        partition = partition->next;
    return partition;
}

static void grow(kur__machine *machine)
{
    size_t capacity = machine->partition_capacity == 0 ? BUCKETS_MIN : machine->partition_capacity * 2;
    kur__partition **buckets = kur_calloc(capacity, sizeof *buckets);
    if (buckets == NULL)
        return; /* longer chains then, but nothing wrong */
    for (size_t i = 0; i < machine->partition_capacity; i++)
        for (kur__partition *one = machine->partitions[i], *next; one != NULL; one = next) {
            next = one->next;
            one->next = buckets[one->hash & (capacity - 1)];
            buckets[one->hash & (capacity - 1)] = one;
        }
    kur_free(machine->partitions);
    machine->partitions = buckets;
    machine->partition_capacity = capacity;
}

static kur__partition *make(kur__machine *machine, uint64_t hash, const char *topic, int32_t number)
{
    if (machine->partition_count >= machine->partition_capacity)
        grow(machine);
    if (machine->partition_capacity == 0)
        return NULL;
    size_t size = strlen(topic) + 1;
    kur__partition *partition = kur_calloc(1, sizeof *partition + size);
    if (partition == NULL)
        return NULL;
    memcpy(partition->topic, topic, size);
    partition->number = number;
    partition->hash = hash;
    kur__partition **bucket = &machine->partitions[hash & (machine->partition_capacity - 1)];
    partition->next = *bucket;
    *bucket = partition;
    machine->partition_count++;
    return partition;
}

kur__partition *kur__partition_get(kur__machine *machine, const char *topic, int32_t number, const char *home)
{
    uint64_t hash = hash_of(machine, topic, number);
    kur__partition *partition = find(machine, hash, topic, number), *whose = NULL;
    if (partition == NULL) {
        if (home != NULL && (whose = kur__partition_get(machine, home, number, NULL)) == NULL)
            return NULL;
        partition = make(machine, hash, topic, number);
        if (partition != NULL)
            partition->home = whose;
        else if (whose != NULL)
            kur__partition_put(machine, whose);
    }
    if (partition != NULL)
        partition->references++;
    return partition;
}

void kur__partition_put(kur__machine *machine, kur__partition *partition)
{
    if (--partition->references > 0)
        return;
    kur__partition **at = &machine->partitions[partition->hash & (machine->partition_capacity - 1)];
    while (*at != partition)
        at = &(*at)->next;
    *at = partition->next;
    machine->partition_count--;
    if (partition->home != NULL)
        kur__partition_put(machine, partition->home);
    kur_free(partition);
}

void kur__partitions_done(kur__machine *machine)
{
    kur_free(machine->partitions);
    machine->partitions = NULL;
    machine->partition_capacity = machine->partition_count = 0;
}

kur__source *kur__machine_source(const kur__machine *machine, const char *topic, int32_t number)
{
    kur__partition *partition = find(machine, hash_of(machine, topic, number), topic, number);
    return partition != NULL ? partition->source : NULL;
}
