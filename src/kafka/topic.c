/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: given a name, librdkafka looks a topic up under a lock of the whole handle for each record. Given a
 * handle it does not. Entries are only added, at the head, so that finding takes no lock; two threads that add the same
 * name at once make two entries of it, which harms nobody. A service sends to few topics; those beyond the first
 * sixteen take the long way.
 */
#include "kafka/topic.h"

#include <kurier/sys/memory.h>
#include <kurier/sys/topic.h>

#include "base/error.h"
#include "kafka/connection.h"

enum {
    TOPICS_MAX = 16
};

bool kur_topic_is_valid(const char *name)
{
    return kur__topic_is_valid(name);
}

struct kur__topic {
    struct kur__topic *next;
    rd_kafka_topic_t *handle;
    char name[];
};

rd_kafka_topic_t *kur__topics_find(kur__topics *topics, const char *name)
{
    struct kur__topic *topic = atomic_load_explicit(&topics->first, memory_order_acquire);
    if (name == NULL)
        return NULL;
    for (; topic != NULL; topic = topic->next)
        if (strcmp(topic->name, name) == 0)
            return topic->handle;
    return NULL;
}

static void keep(kur__topics *topics, struct kur__topic *topic, rd_kafka_topic_t *handle)
{
    topic->handle = handle;
    topic->next = atomic_load(&topics->first);
    while (!atomic_compare_exchange_weak(&topics->first, &topic->next, topic))
        continue;
    atomic_fetch_add(&topics->count, 1);
}

kur_status kur__topics_add(kur__topics *topics, rd_kafka_t *rk, const char *name, rd_kafka_topic_t **handle,
                           bool *is_kept, kur_error *error)
{
    struct kur__topic *topic = NULL;
    size_t size = strlen(name) + 1;
    if (atomic_load(&topics->count) < TOPICS_MAX) {
        topic = kur_malloc(sizeof *topic + size);
        if (topic == NULL)
            return kur__error_no_memory(error);
        memcpy(topic->name, name, size);
    }
    rd_kafka_topic_t *made = rd_kafka_topic_new(rk, name, NULL);
    if (made == NULL) {
        kur_free(topic);
        return kur__error_of_kafka(error, rd_kafka_last_error(), "%s", name);
    }
    if (topic != NULL)
        keep(topics, topic, made);
    *handle = made;
    *is_kept = topic != NULL;
    return KUR_OK;
}

void kur__topics_done(kur__topics *topics)
{
    struct kur__topic *topic = atomic_exchange(&topics->first, NULL);
    while (topic != NULL) {
        struct kur__topic *next = topic->next;
        rd_kafka_topic_destroy(topic->handle);
        kur_free(topic);
        topic = next;
    }
}
