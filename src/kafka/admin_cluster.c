/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What brokers say of themselves: the cluster, topics' partitions, where their logs begin and end.
 *
 * Design notes: DescribeCluster, DescribeTopics and ListOffsets came with librdkafka 2.3. Metadata and
 * offsets_for_times do the same with every version: asked for the times -2 and -1, it gives the start and the end, one
 * request a broker. rd_kafka_metadata without a topic asks for all that the handle knows and may make them anew: never
 * do that.
 */
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/admin.h"

static rd_kafka_resp_err_t ask(kur__admin_call *call, const char *topic, const struct rd_kafka_metadata **metadata)
{
    rd_kafka_t *rk = call->handle->rk;
    rd_kafka_topic_t *handle = topic != NULL ? rd_kafka_topic_new(rk, topic, NULL) : NULL;
    if (topic != NULL && handle == NULL)
        return rd_kafka_last_error();
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(rk, handle == NULL, handle, metadata, kur__deadline_left_ms(&call->deadline));
    if (handle != NULL)
        rd_kafka_topic_destroy(handle);
    return code;
}

kur_status kur__admin_metadata(kur__admin_call *call, const char *topic, const struct rd_kafka_metadata **metadata)
{
    rd_kafka_resp_err_t code;
    do {
        code = ask(call, call->is_embedded ? NULL : topic, metadata);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return KUR_OK;
        kur__admin_failed(call, code, NULL, "%s%s", topic != NULL ? "topic " : "topics", topic != NULL ? topic : "");
    } while (kur__admin_again(call));
    return call->error.code;
}

const struct rd_kafka_metadata_topic *kur__metadata_find(const struct rd_kafka_metadata *metadata, const char *topic)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *one = &metadata->topics[i];
        if (strcmp(one->topic, topic) == 0)
            return one->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || one->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
                       ? NULL
                       : one;
    }
    return NULL;
}

/* ---- Offsets ---- */

static kur_status ask_offsets(kur__admin_call *call, rd_kafka_topic_partition_list_t *list, int64_t which)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = which;
    rd_kafka_resp_err_t code =
        rd_kafka_offsets_for_times(call->handle->rk, list, kur__deadline_left_ms(&call->deadline));
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        if (one->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kur__admin_failed(call, one->err, NULL, "offsets of %s [%d]", one->topic, (int)one->partition);
        if (one->offset < 0)
            return kur__admin_failed(call, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, NULL, "offsets of %s [%d]",
                                     one->topic, (int)one->partition);
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? KUR_OK : kur__admin_failed(call, code, NULL, "offsets");
}

kur_status kur__admin_offsets(kur__admin_call *call, rd_kafka_topic_partition_list_t *starts,
                              rd_kafka_topic_partition_list_t *ends)
{
    if (starts->cnt == 0)
        return KUR_OK;
    do {
        /* The start first, so that it is not behind the end. */
        if (ask_offsets(call, starts, RD_KAFKA_OFFSET_BEGINNING) == KUR_OK &&
            ask_offsets(call, ends, RD_KAFKA_OFFSET_END) == KUR_OK)
            return KUR_OK;
    } while (kur__admin_again_known(call));
    return call->error.code;
}

/* ---- Waiting ---- */

static bool has_leaders(const struct rd_kafka_metadata_topic *topic, int partitions)
{
    for (int i = 0; i < topic->partition_cnt; i++)
        if (topic->partitions[i].leader < 0)
            return false;
    return topic->partition_cnt >= partitions;
}

/* Metadata comes from any broker: only a leader's answer shows that it knows of its partition. */
static kur_status ask_leaders(kur__admin_call *call, const char *topic, int partitions)
{
    rd_kafka_topic_partition_list_t *starts = rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_topic_partition_list_add_range(starts, topic, 0, partitions - 1);
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_copy(starts);
    kur_status status = kur__admin_offsets(call, starts, ends);
    rd_kafka_topic_partition_list_destroy(starts);
    rd_kafka_topic_partition_list_destroy(ends);
    return status;
}

/* Sets `*count` to the partitions of a topic with leaders, 0 when it is gone, and -1 when it is neither so nor so. */
static kur_status look(kur__admin_call *call, const char *topic, int partitions, int *count)
{
    const struct rd_kafka_metadata *metadata = NULL;
    kur_status status = kur__admin_metadata(call, topic, &metadata);
    if (status != KUR_OK)
        return status;
    const struct rd_kafka_metadata_topic *one = kur__metadata_find(metadata, topic);
    *count = one == NULL                                                              ? 0
             : one->err == RD_KAFKA_RESP_ERR_NO_ERROR && has_leaders(one, partitions) ? one->partition_cnt
                                                                                      : -1;
    if (one != NULL && kur__status_of_kafka(one->err) == KUR_ERROR_AUTHORIZATION && partitions > 0)
        status = kur__admin_failed(call, one->err, NULL, "topic %s", topic);
    rd_kafka_metadata_destroy(metadata);
    return status;
}

kur_status kur__admin_wait_topic(kur__admin_call *call, const char *topic, int partitions)
{
    int count;
    do {
        kur_status status = look(call, topic, partitions, &count);
        if (status != KUR_OK)
            return status;
        if (count > 0 && partitions > 0)
            return ask_leaders(call, topic, count);
        if (count == 0 && partitions == 0)
            return KUR_OK;
    } while (kur__admin_pause(call));
    return kur_error_set(&call->error, KUR_ERROR_TIMEOUT,
                         partitions > 0 ? "topic %s: not all its partitions have a leader within %d ms"
                                        : "topic %s: it is still there after %d ms",
                         topic, call->timeout_ms);
}

/* ---- The cluster ---- */

static int by_id(const void *a, const void *b)
{
    const kur_broker_view *one = *(const kur_broker_view *const *)a, *other = *(const kur_broker_view *const *)b;
    return (one->id > other->id) - (one->id < other->id);
}

/* The embedded broker names one that there is not. */
static int32_t controller_of(kur__admin_call *call, const struct rd_kafka_metadata *metadata)
{
    int32_t id = rd_kafka_controllerid(call->handle->rk, 0);
    for (int i = 0; i < metadata->broker_cnt; i++)
        if (metadata->brokers[i].id == id)
            return id;
    return -1;
}

static kur_status fill_cluster(kur__admin_call *call, kur_cluster_view *view, const struct rd_kafka_metadata *metadata)
{
    bool ok = true;
    size_t count = (size_t)metadata->broker_cnt;
    kur_broker_view **brokers = kur__views_new(call->arena, count, sizeof(kur_broker_view));
    char *id = rd_kafka_clusterid(call->handle->rk, 0);
    if (brokers == NULL) {
        rd_kafka_mem_free(call->handle->rk, id);
        return kur__admin_no_memory(call);
    }
    for (size_t i = 0; i < count; i++) {
        brokers[i]->id = metadata->brokers[i].id;
        brokers[i]->port = metadata->brokers[i].port;
        brokers[i]->host = kur__arena_text(call->arena, metadata->brokers[i].host, &ok);
    }
    qsort(brokers, count, sizeof(kur_broker_view *), by_id);
    view->id = kur__arena_text(call->arena, id != NULL ? id : "", &ok);
    view->kind = call->is_embedded ? KUR_CLUSTER_EMBEDDED : KUR_CLUSTER_KAFKA;
    view->controller = controller_of(call, metadata);
    view->broker_count = count;
    view->brokers = (const kur_broker_view *const *)brokers;
    view->topic_count = (size_t)metadata->topic_cnt;
    rd_kafka_mem_free(call->handle->rk, id);
    return ok ? KUR_OK : kur__admin_no_memory(call);
}

static kur_status read_cluster(kur__admin_call *call, kur_cluster_view *view)
{
    const struct rd_kafka_metadata *metadata = NULL;
    kur_status status = kur__admin_metadata(call, NULL, &metadata);
    if (status != KUR_OK)
        return status;
    status = fill_cluster(call, view, metadata);
    rd_kafka_metadata_destroy(metadata);
    return status;
}

kur_status kur_admin_cluster(kur_admin *admin, int timeout_ms, kur_arena *arena, const kur_cluster_view **cluster,
                             kur_error *error)
{
    if (admin == NULL || arena == NULL || cluster == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : arena == NULL ? "arena" : "cluster");
    kur__admin_call call;
    kur_cluster_view *view = kur_arena_alloc(arena, sizeof *view);
    kur_status status = kur__admin_begin(&call, admin, timeout_ms, arena);
    if (status == KUR_OK)
        status = view != NULL ? read_cluster(&call, view) : kur__admin_no_memory(&call);
    if (status == KUR_OK) {
        view->size = sizeof *view;
        *cluster = view;
    }
    return kur__admin_end(&call, status, error);
}
