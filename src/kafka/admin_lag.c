/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How far a group is behind.
 *
 * Design notes: a partition of which a group has committed nothing may hold records that wait for it, so all partitions
 * count of each topic that the group has to do with, not only those that it has committed something of.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kafka/admin.h"

/* What is known of a group before its topics' logs are looked at. */
struct known {
    const kur_group_view *group; /* NULL on the embedded broker */
    kur_position_list committed;
};

static const char *find_member(const struct known *known, const char *topic, int32_t partition)
{
    for (size_t i = 0; known->group != NULL && i < known->group->member_count; i++) {
        const kur_member_view *member = known->group->members[i];
        for (size_t k = 0; k < member->partition_count; k++)
            if (member->partitions[k]->partition == partition && strcmp(member->partitions[k]->topic, topic) == 0)
                return member->client_id;
    }
    return NULL;
}

/* Adds all partitions of a topic, once; a topic that is gone has none. */
static kur_status add_topic(kur__admin_call *call, rd_kafka_topic_partition_list_t *list, const char *topic)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_topic_partition_list_find(list, topic, 0) != NULL)
        return KUR_OK;
    kur_status status = kur__admin_metadata(call, topic, &metadata);
    if (status != KUR_OK)
        return status;
    const struct rd_kafka_metadata_topic *found = kur__metadata_find(metadata, topic);
    if (found != NULL && found->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = kur__admin_failed(call, found->err, NULL, "topic %s", topic);
    else if (found != NULL && found->partition_cnt > 0)
        rd_kafka_topic_partition_list_add_range(list, topic, 0, found->partition_cnt - 1);
    rd_kafka_metadata_destroy(metadata);
    return status;
}

static kur_status add_topics(kur__admin_call *call, const struct known *known, rd_kafka_topic_partition_list_t *list)
{
    kur_status status = KUR_OK;
    const char *last = "";
    for (size_t i = 0; status == KUR_OK && i < known->committed.count; i++) {
        /* By topic: a topic that is gone is not asked about for each of its partitions. */
        if (strcmp(known->committed.items[i]->topic, last) != 0)
            status = add_topic(call, list, known->committed.items[i]->topic);
        last = known->committed.items[i]->topic;
    }
    for (size_t i = 0; known->group != NULL && i < known->group->member_count; i++)
        for (size_t k = 0; status == KUR_OK && k < known->group->members[i]->partition_count; k++)
            status = add_topic(call, list, known->group->members[i]->partitions[k]->topic);
    return status;
}

/* What is committed is by topic and partition. */
static const kur_position *committed_of(const struct known *known, const char *topic, int32_t partition)
{
    size_t from = 0, to = known->committed.count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const kur_position *one = known->committed.items[middle];
        int order = strcmp(one->topic, topic);
        if (order == 0)
            order = (one->partition > partition) - (one->partition < partition);
        if (order == 0)
            return one;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

static void fill_one(kur_partition_lag *lag, const struct known *known, int64_t start, int64_t end)
{
    lag->start_offset = start;
    lag->end_offset = end;
    const kur_position *committed = committed_of(known, lag->topic, lag->partition);
    lag->committed = committed != NULL ? committed->offset : -1;
    lag->metadata = committed != NULL ? committed->metadata : NULL;
    int64_t from = lag->committed > start ? lag->committed : start;
    lag->lag = end > from ? end - from : 0;
}

static kur_status fill(kur__admin_call *call, kur_group_lag *view, const struct known *known,
                       const rd_kafka_topic_partition_list_t *starts, const rd_kafka_topic_partition_list_t *ends)
{
    bool ok = true;
    size_t count = (size_t)starts->cnt;
    kur_partition_lag **lags = kur__views_new(call->arena, count, sizeof(kur_partition_lag));
    for (size_t i = 0; lags != NULL && i < count; i++) {
        const rd_kafka_topic_partition_t *from = &starts->elems[i];
        lags[i]->topic = kur__arena_text(call->arena, from->topic, &ok);
        lags[i]->partition = from->partition;
        lags[i]->client_id = find_member(known, from->topic, from->partition);
        if (lags[i]->topic == NULL)
            break;
        fill_one(lags[i], known, from->offset, ends->elems[i].offset);
        view->lag += lags[i]->lag;
    }
    view->partition_count = count;
    view->partitions = (const kur_partition_lag *const *)lags;
    return lags != NULL && ok ? KUR_OK : kur__admin_no_memory(call);
}

static kur_status read_logs(kur__admin_call *call, kur_group_lag *view, const struct known *known)
{
    rd_kafka_topic_partition_list_t *starts = rd_kafka_topic_partition_list_new(16);
    kur_status status = add_topics(call, known, starts);
    if (status == KUR_OK && starts->cnt == 0)
        status = kur_error_set(&call->error, KUR_ERROR_UNKNOWN_TOPIC,
                               "group %s has neither offsets nor partitions of a topic that is there", view->group);
    if (status == KUR_OK) {
        rd_kafka_topic_partition_list_sort(starts, NULL, NULL);
        rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_copy(starts);
        status = kur__admin_offsets(call, starts, ends);
        if (status == KUR_OK)
            status = fill(call, view, known, starts, ends);
        rd_kafka_topic_partition_list_destroy(ends);
    }
    rd_kafka_topic_partition_list_destroy(starts);
    return status;
}

static kur_status read_lag(kur__admin_call *call, const char *group, kur_group_lag *view)
{
    struct known known = {NULL, {0, NULL}};
    bool ok = true;
    *view = (kur_group_lag){.size = sizeof *view, .group = kur__arena_text(call->arena, group, &ok)};
    if (!ok)
        return kur__admin_no_memory(call);
    kur_status status = KUR_OK;
    if (!call->is_embedded)
        status = kur__admin_read_group(call, group, &known.group);
    /* Offsets before ends: a group that commits meanwhile never looks as if it were ahead of the log. */
    if (status == KUR_OK)
        status = kur__admin_read_group_offsets(call, group, &known.committed);
    if (status != KUR_OK)
        return status;
    view->state = known.group != NULL ? known.group->state : KUR_GROUP_UNKNOWN;
    return read_logs(call, view, &known);
}

kur_status kur_admin_group_lag(kur_admin *admin, const char *group, int timeout_ms, kur_arena *arena,
                               const kur_group_lag **lag, kur_error *error)
{
    if (admin == NULL || group == NULL || arena == NULL || lag == NULL)
        return kur_error_null(error, admin == NULL   ? "admin"
                                     : group == NULL ? "group"
                                     : arena == NULL ? "arena"
                                                     : "lag");
    kur_status status = kur__group_check(group, error);
    if (status != KUR_OK)
        return status;
    kur__admin_call call;
    kur_group_lag *view = kur_arena_alloc(arena, sizeof *view);
    status = kur__admin_begin(&call, admin, timeout_ms, arena);
    if (status == KUR_OK)
        status = view != NULL ? read_lag(&call, group, view) : kur__admin_no_memory(&call);
    if (status == KUR_OK)
        *lag = view;
    return kur__admin_end(&call, status, error);
}
