/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: names come from the list of topics, settings from one question for all, and times from the first and
 * the last records of each partition, which are read. What may not be asked is left as not known: whoever may read a
 * topic may not always see its settings.
 */
#include <kurier/admin.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <stdlib.h>
#include <string.h>

#include "deadletter/deadletter.h"

/* What is gathered. */
struct look {
    kur_client *client;
    kur_admin *admin;
    int timeout_ms;
    kur_arena *arena;
    const char **names; /* ends with NULL */
    kur_letter_topic **topics;
    size_t count;
};

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: topics of dead letters");
}

static kur_status find_names(struct look *look, bool (*is_named)(const char *topic, void *user), void *user,
                             kur_error *error)
{
    kur_topic_list list;
    kur_status status = kur_admin_list_topics(look->admin, look->timeout_ms, look->arena, &list, error);
    if (status != KUR_OK)
        return status;
    look->names = kur_arena_alloc(look->arena, (list.count + 1) * sizeof *look->names);
    look->topics = kur_arena_alloc(look->arena, (list.count + 1) * sizeof *look->topics);
    if (look->names == NULL || look->topics == NULL)
        return no_memory(error);
    for (size_t i = 0; i < list.count; i++) {
        const kur_topic_view *from = list.items[i];
        if (!kur_letter_is_topic(from->name) || (is_named != NULL && !is_named(from->name, user)))
            continue;
        kur_letter_topic *topic = kur_arena_alloc(look->arena, sizeof *topic);
        if (topic == NULL)
            return no_memory(error);
        *topic = (kur_letter_topic){.size = sizeof *topic,
                                    .name = from->name,
                                    .partition_count = (int32_t)from->partition_count,
                                    .oldest_us = -1,
                                    .newest_us = -1};
        look->names[look->count] = from->name;
        look->topics[look->count++] = topic;
    }
    return KUR_OK;
}

/* What may not be seen is left as it is. */
static kur_status read_settings(struct look *look, kur_error *error)
{
    kur_topic_list list;
    kur_status status = kur_admin_topic_settings(look->admin, look->names, look->timeout_ms, look->arena, &list, error);
    for (size_t i = 0; status == KUR_OK && i < look->count; i++) {
        const kur_topic_view *view = list.items[i];
        kur_letter_topic *topic = look->topics[i];
        if (view->config_count == 0)
            continue;
        topic->is_compacted = view->cleanup == KUR_CLEANUP_COMPACT || view->cleanup == KUR_CLEANUP_COMPACT_AND_DELETE;
        topic->retention_ms = view->cleanup != KUR_CLEANUP_COMPACT ? view->retention_ms : KUR_NONE;
    }
    return status;
}

static kur_letter_topic *topic_of(struct look *look, const char *name)
{
    for (size_t i = 0; i < look->count; i++)
        if (strcmp(look->names[i], name) == 0)
            return look->topics[i];
    return NULL;
}

static void take_edge(struct look *look, const kur_record *record)
{
    kur_letter_topic *topic = topic_of(look, kur_record_topic(record));
    int64_t at_us = kur_record_timestamp_us(record);
    if (topic == NULL || at_us < 0)
        return;
    if (topic->oldest_us < 0 || at_us < topic->oldest_us)
        topic->oldest_us = at_us;
    if (at_us > topic->newest_us)
        topic->newest_us = at_us;
}

/* Those that are still there. */
static kur_status count_discarded(struct look *look, kur__scan *scan, kur_error *error)
{
    kur_error why = {0};
    kur__discards discards = {.topics = look->names};
    kur_status status = kur__discards_read(&discards, look->client, look->timeout_ms, NULL, NULL, &why);
    for (size_t i = 0; i < discards.capacity && status == KUR_OK; i++) {
        const kur__discard *one = &discards.places[i];
        if (one->topic >= 0 && one->hash != 0 &&
            kur__scan_has(scan, look->names[one->topic], one->partition, one->offset))
            look->topics[one->topic]->discarded++;
    }
    kur__discards_done(&discards);
    for (size_t i = 0; i < look->count && status == KUR_ERROR_AUTHORIZATION; i++)
        look->topics[i]->discarded = -1;
    if (status == KUR_OK || status == KUR_ERROR_AUTHORIZATION)
        return KUR_OK;
    if (error != NULL)
        *error = why;
    return status;
}

static kur_status read_logs(struct look *look, kur_error *error)
{
    const kur__scan_range range = {.partition = -1, .edges = true};
    kur__scan *scan = NULL;
    kur_status status = kur__scan_new(&scan, look->client, look->names, &range, look->timeout_ms, error);
    for (bool is_over = false; status == KUR_OK && !is_over;) {
        const kur_record *record;
        status = kur__scan_next(scan, &record, &is_over, error);
        if (status == KUR_OK && record != NULL)
            take_edge(look, record);
    }
    for (size_t i = 0; i < look->count && status == KUR_OK; i++)
        look->topics[i]->count = kur__scan_offsets(scan, look->names[i]);
    if (status == KUR_OK)
        status = count_discarded(look, scan, error);
    kur__scan_free(scan);
    return status;
}

static kur_status look_at_all(struct look *look, kur_error *error)
{
    kur_status status = read_settings(look, error);
    if (status == KUR_OK)
        status = read_logs(look, error);
    for (size_t i = 0; i < look->count; i++) {
        kur_letter_topic *topic = look->topics[i];
        if (topic->retention_ms > 0 && topic->oldest_us >= 0 &&
            topic->retention_ms < (INT64_MAX - topic->oldest_us) / 1000)
            topic->expires_us = topic->oldest_us + topic->retention_ms * 1000;
    }
    return status;
}

kur_status kur_letter_topics(kur_client *client, bool (*is_named)(const char *topic, void *user), void *user,
                             int timeout_ms, kur_arena *arena, kur_letter_topic_list *list, kur_error *error)
{
    if (client == NULL)
        return kur_error_null(error, "client");
    if (arena == NULL || list == NULL || timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             timeout_ms < 0 ? "timeout_ms is negative" : "arena or list is NULL");
    struct look look = {.client = client, .timeout_ms = timeout_ms, .arena = arena};
    kur_error why = {0};
    look.admin = kur_admin_new(client, &why);
    if (look.admin == NULL) {
        if (error != NULL)
            *error = why;
        return why.code;
    }
    kur_status status = find_names(&look, is_named, user, error);
    if (status == KUR_OK && look.count > 0)
        status = look_at_all(&look, error);
    kur_admin_free(look.admin);
    if (status == KUR_OK)
        *list = (kur_letter_topic_list){look.count, (const kur_letter_topic *const *)look.topics};
    return status;
}
