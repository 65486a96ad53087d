/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The partitions of a consumer, by topic and number.
 */
#include <string.h>

#include "kafka/consumer.h"

enum {
    TOPIC_SIZE_MAX = 249,
    KEY_SIZE_MAX = sizeof(int32_t) + TOPIC_SIZE_MAX
};

kur__partition *kur__table_find(const kur_consumer *consumer, const char *topic, int32_t partition)
{
    char key[KEY_SIZE_MAX];
    size_t size = strnlen(topic, TOPIC_SIZE_MAX + 1);
    kur__partition *found;
    if (size > TOPIC_SIZE_MAX)
        return NULL;
    memcpy(key, &partition, sizeof partition);
    memcpy(key + sizeof partition, topic, size);
    HASH_FIND(hh, consumer->table, key, sizeof partition + size, found);
    return found;
}

/* Room to tell of one entry more. */
static bool make_room(kur_consumer *consumer)
{
    size_t needed = HASH_COUNT(consumer->table) + 1;
    if (needed <= consumer->told_capacity)
        return true;
    size_t capacity = consumer->told_capacity == 0 ? 16 : 2 * consumer->told_capacity;
    kur_position *told = kur_realloc(consumer->told, capacity * sizeof *told);
    if (told == NULL)
        return false;
    consumer->told = told;
    consumer->told_capacity = capacity;
    return true;
}

kur__partition *kur__table_get(kur_consumer *consumer, const char *topic, int32_t partition)
{
    kur__partition *entry = kur__table_find(consumer, topic, partition);
    size_t size = strnlen(topic, TOPIC_SIZE_MAX + 1);
    if (entry != NULL || size > TOPIC_SIZE_MAX || !make_room(consumer))
        return entry;
    entry = kur_calloc(1, sizeof *entry + sizeof partition + size + 1);
    if (entry == NULL)
        return NULL;
    entry->partition = partition;
    entry->key_size = sizeof partition + size;
    memcpy(entry->key, &partition, sizeof partition);
    memcpy(entry->key + sizeof partition, topic, size);
    entry->target = KUR__TARGET_NONE;
    atomic_init(&entry->next, -1);
    pthread_mutex_lock(&consumer->lock);
    HASH_ADD(hh, consumer->table, key, entry->key_size, entry);
    pthread_mutex_unlock(&consumer->lock);
    if (entry->hh.tbl != NULL)
        return entry;
    kur_free(entry);
    return NULL;
}

static void remove_entry(kur_consumer *consumer, kur__partition *entry)
{
    consumer->last = consumer->turn = NULL;
    kur__queue_close(entry);
    HASH_DEL(consumer->table, entry);
    kur_free(entry->metadata);
    kur_free(entry->gap_reason);
    kur_free(entry);
}

void kur__partition_clear(kur__partition *partition)
{
    partition->is_seek_new = partition->is_jump = partition->commits_start = false;
    partition->is_stopped = false;
    partition->is_seek_due = false;
    partition->gap_code = KUR_OK;
    partition->ask = partition->id_ask = 0;
}

void kur__partition_forget(kur__partition *partition)
{
    partition->is_fetching = false;
    partition->needs_restart = false;
    partition->is_pause_set = false;
    partition->has_no_room_soon = partition->is_thrown_away = false;
}

void kur__table_leave(kur_consumer *consumer, kur__partition *entry)
{
    consumer->last = NULL;
    pthread_mutex_lock(&consumer->lock);
    if (!entry->is_paused) {
        remove_entry(consumer, entry);
    } else {
        entry->stage = KUR__AWAY;
        entry->is_group_given = false;
        kur__queue_close(entry);
        kur__partition_clear(entry);
        kur__partition_forget(entry);
        entry->target = KUR__TARGET_NONE;
        entry->epoch = ++consumer->last_epoch;
    }
    pthread_mutex_unlock(&consumer->lock);
}

void kur__table_done(kur_consumer *consumer)
{
    kur__partition *entry, *next;
    HASH_ITER (hh, consumer->table, entry, next)
        remove_entry(consumer, entry);
    kur_free(consumer->told);
}

rd_kafka_topic_partition_t *kur__partition_add(const kur__partition *partition, rd_kafka_topic_partition_list_t *list)
{
    return rd_kafka_topic_partition_list_add(list, kur__partition_topic(partition), partition->partition);
}

/* librdkafka's own position, which passes the marks of transactions as well; negative when there is none. */
static int64_t ask_position(const kur_consumer *consumer, const kur__partition *partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one = kur__partition_add(partition, list);
    int64_t offset = rd_kafka_position(consumer->rk, list) == RD_KAFKA_RESP_ERR_NO_ERROR ? one->offset : -1;
    rd_kafka_topic_partition_list_destroy(list);
    return offset;
}

int64_t kur__partition_position(const kur_consumer *consumer, const kur__partition *partition)
{
    int64_t next = atomic_load(&partition->next);
    if (partition->stage < KUR__FOUND || partition->target != KUR__TARGET_NONE || partition->is_seek_due ||
        partition->is_stopped || partition->needs_restart || !partition->is_fetching || consumer->is_taking)
        return next;
    int64_t beneath = ask_position(consumer, partition);
    bool is_older = partition->is_fresh && beneath == partition->noted; /* of before the last seek */
    return beneath > next && !is_older ? beneath : next;
}

void kur__partition_set_next(const kur_consumer *consumer, kur__partition *partition, int64_t offset)
{
    partition->noted = partition->is_fetching ? ask_position(consumer, partition) : -1;
    partition->is_fresh = true;
    atomic_store(&partition->next, offset);
}

void kur__partition_begin(kur_consumer *consumer, kur__partition *partition, int64_t target)
{
    pthread_mutex_lock(&consumer->lock);
    partition->stage = KUR__STARTING;
    kur__partition_clear(partition);
    partition->is_committed = partition->is_slow = partition->has_topic_id = false;
    partition->target = target;
    partition->guard = partition->asked = -1;
    partition->commits = 0;
    partition->leader_epoch = 0;
    partition->wants_end = false;
    partition->end = 0;
    partition->epoch = ++consumer->last_epoch;
    atomic_store(&partition->next, -1);
    kur_free(partition->metadata);
    partition->metadata = NULL;
    pthread_mutex_unlock(&consumer->lock);
    consumer->is_busy = true;
}
