/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Topics: listed, described, made, deleted.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kafka/admin.h"
#include "kafka/topic.h"

/* ---- As views ---- */

static const int32_t *copy_ids(kur_arena *arena, const int32_t *ids, int count, bool *ok)
{
    int32_t *copy = kur_arena_alloc(arena, (size_t)count * sizeof *copy);
    *ok = *ok && copy != NULL;
    if (copy != NULL && count > 0)
        memcpy(copy, ids, (size_t)count * sizeof *copy);
    return copy;
}

static int by_number(const void *a, const void *b)
{
    const kur_partition_view *one = *(const kur_partition_view *const *)a;
    const kur_partition_view *other = *(const kur_partition_view *const *)b;
    return (one->partition > other->partition) - (one->partition < other->partition);
}

static bool fill_topic(kur_arena *arena, kur_topic_view *view, const struct rd_kafka_metadata_topic *topic)
{
    bool ok = true;
    size_t count = (size_t)topic->partition_cnt;
    kur_partition_view **partitions = kur__views_new(arena, count, sizeof(kur_partition_view));
    view->name = kur__arena_text(arena, topic->topic, &ok);
    view->is_internal = strcmp(topic->topic, "__consumer_offsets") == 0 ||
                        strcmp(topic->topic, "__transaction_state") == 0 ||
                        strcmp(topic->topic, "__share_group_state") == 0;
    for (size_t i = 0; partitions != NULL && i < count; i++) {
        const struct rd_kafka_metadata_partition *from = &topic->partitions[i];
        kur_partition_view *to = partitions[i];
        to->partition = from->id;
        to->leader = from->leader;
        to->replica_count = (size_t)from->replica_cnt;
        to->replicas = copy_ids(arena, from->replicas, from->replica_cnt, &ok);
        to->in_sync_count = (size_t)from->isr_cnt;
        to->in_sync = copy_ids(arena, from->isrs, from->isr_cnt, &ok);
        to->start_offset = to->end_offset = -1;
        if (i == 0 || from->replica_cnt < view->replication)
            view->replication = from->replica_cnt;
    }
    if (partitions == NULL || !ok)
        return false;
    qsort(partitions, count, sizeof *partitions, by_number);
    view->partition_count = count;
    view->partitions = (const kur_partition_view *const *)partitions;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const kur_topic_view *const *)a)->name, (*(const kur_topic_view *const *)b)->name);
}

static kur_status read_topics(kur__admin_call *call, kur_topic_list *list)
{
    const struct rd_kafka_metadata *metadata = NULL;
    kur_status status = kur__admin_metadata(call, NULL, &metadata);
    if (status != KUR_OK)
        return status;
    size_t count = 0;
    kur_topic_view **views = kur__views_new(call->arena, (size_t)metadata->topic_cnt, sizeof(kur_topic_view));
    for (int i = 0; views != NULL && status == KUR_OK && i < metadata->topic_cnt; i++)
        if (kur__metadata_find(metadata, metadata->topics[i].topic) != NULL &&
            !fill_topic(call->arena, views[count++], &metadata->topics[i]))
            status = kur__admin_no_memory(call);
    rd_kafka_metadata_destroy(metadata);
    if (views == NULL)
        return kur__admin_no_memory(call);
    if (status != KUR_OK)
        return status;
    qsort(views, count, sizeof *views, by_name);
    *list = (kur_topic_list){count, (const kur_topic_view *const *)views};
    return KUR_OK;
}

kur_status kur_admin_list_topics(kur_admin *admin, int timeout_ms, kur_arena *arena, kur_topic_list *topics,
                                 kur_error *error)
{
    if (admin == NULL || arena == NULL || topics == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : arena == NULL ? "arena" : "topics");
    kur__admin_call call;
    kur_topic_list list;
    kur_status status = kur__admin_begin(&call, admin, timeout_ms, arena);
    if (status == KUR_OK)
        status = read_topics(&call, &list);
    if (status == KUR_OK)
        *topics = list;
    return kur__admin_end(&call, status, error);
}

/* ---- One, with everything ---- */

static kur_status add_offsets(kur__admin_call *call, kur_topic_view *view)
{
    rd_kafka_topic_partition_list_t *starts = rd_kafka_topic_partition_list_new((int)view->partition_count);
    for (size_t i = 0; i < view->partition_count; i++)
        rd_kafka_topic_partition_list_add(starts, view->name, view->partitions[i]->partition);
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_copy(starts);
    kur_status status = kur__admin_offsets(call, starts, ends);
    for (size_t i = 0; status == KUR_OK && i < view->partition_count; i++) {
        kur_partition_view *partition = (kur_partition_view *)(uintptr_t)view->partitions[i];
        partition->start_offset = starts->elems[i].offset;
        partition->end_offset = ends->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(starts);
    rd_kafka_topic_partition_list_destroy(ends);
    return status;
}

static int64_t number_of(const kur_topic_view *view, const char *name)
{
    const char *text = kur__config_value(view->configs, view->config_count, name);
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

/* Those that have a type, where there are any. */
static void type_configs(kur_topic_view *view)
{
    if (view->config_count == 0)
        return;
    view->cleanup = kur__cleanup_of_text(kur__config_value(view->configs, view->config_count, "cleanup.policy"));
    view->min_insync_replicas = (int32_t)number_of(view, "min.insync.replicas");
    view->retention_ms = number_of(view, "retention.ms");
    view->retention_bytes = number_of(view, "retention.bytes");
    view->max_message_bytes = number_of(view, "max.message.bytes");
}

static kur_status describe(kur__admin_call *call, const char *name, kur_topic_view *view)
{
    const struct rd_kafka_metadata *metadata = NULL;
    kur_status status = kur__admin_metadata(call, name, &metadata);
    if (status != KUR_OK)
        return status;
    const struct rd_kafka_metadata_topic *topic = kur__metadata_find(metadata, name);
    if (topic == NULL)
        status = kur__admin_failed(call, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, NULL, "topic %s", name);
    else if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = kur__admin_failed(call, topic->err, NULL, "topic %s", name);
    else if (!fill_topic(call->arena, view, topic))
        status = kur__admin_no_memory(call);
    rd_kafka_metadata_destroy(metadata);
    if (status == KUR_OK)
        status = add_offsets(call, view);
    if (status == KUR_OK && !call->is_embedded)
        status = kur__admin_read_configs(call, view->name, &view->configs, &view->config_count);
    if (status == KUR_OK)
        type_configs(view);
    return status;
}

static kur_status check_name(const char *name, kur_error *error)
{
    if (kur__topic_is_valid(name))
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                         "name is not 1 to 249 characters of A-Z a-z 0-9 . _ -: \"%.40s\"", name);
}

static kur_status check_names(const char *const *names, size_t *count, kur_error *error)
{
    for (*count = 0; names[*count] != NULL && *count <= KUR__ADMIN_COUNT_MAX; ++*count) {
        kur_status status = check_name(names[*count], error);
        if (status != KUR_OK) {
            kur__error_prefix(error, "names[%zu]: ", *count);
            return status;
        }
    }
    if (*count == 0 || *count > KUR__ADMIN_COUNT_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "names has not 1 to %d", KUR__ADMIN_COUNT_MAX);
    return KUR_OK;
}

kur_status kur_admin_describe_topic(kur_admin *admin, const char *name, int timeout_ms, kur_arena *arena,
                                    const kur_topic_view **topic, kur_error *error)
{
    if (admin == NULL || name == NULL || arena == NULL || topic == NULL)
        return kur_error_null(error, admin == NULL   ? "admin"
                                     : name == NULL  ? "name"
                                     : arena == NULL ? "arena"
                                                     : "topic");
    kur_status status = check_name(name, error);
    if (status != KUR_OK)
        return status;
    kur__admin_call call;
    kur_topic_view *view = kur_arena_alloc(arena, sizeof *view);
    status = kur__admin_begin(&call, admin, timeout_ms, arena);
    if (status == KUR_OK && view == NULL)
        status = kur__admin_no_memory(&call);
    if (status == KUR_OK)
        do
            status = describe(&call, name, view);
        while (status != KUR_OK && kur__admin_again(&call));
    if (status == KUR_OK) {
        view->size = sizeof *view;
        *topic = view;
    }
    return kur__admin_end(&call, status, error);
}

/* ---- Many, with their settings ---- */

static kur_status read_settings(kur__admin_call *call, const char *const *names, size_t count, kur_topic_list *list)
{
    bool ok = true;
    kur_topic_view **views = kur__views_new(call->arena, count, sizeof(kur_topic_view));
    for (size_t i = 0; views != NULL && i < count; i++)
        views[i]->name = kur__arena_text(call->arena, names[i], &ok);
    if (views == NULL || !ok)
        return kur__admin_no_memory(call);
    kur_status status = call->is_embedded ? KUR_OK : kur__admin_read_settings(call, views, count);
    for (size_t i = 0; i < count; i++)
        type_configs(views[i]);
    *list = (kur_topic_list){count, (const kur_topic_view *const *)views};
    return status;
}

kur_status kur_admin_topic_settings(kur_admin *admin, const char *const *names, int timeout_ms, kur_arena *arena,
                                    kur_topic_list *topics, kur_error *error)
{
    if (admin == NULL || names == NULL || arena == NULL || topics == NULL)
        return kur_error_null(error, admin == NULL   ? "admin"
                                     : names == NULL ? "names"
                                     : arena == NULL ? "arena"
                                                     : "topics");
    size_t count;
    kur_status status = check_names(names, &count, error);
    if (status != KUR_OK)
        return status;
    kur__admin_call call;
    kur_topic_list list;
    status = kur__admin_begin(&call, admin, timeout_ms, arena);
    if (status == KUR_OK)
        status = read_settings(&call, names, count, &list);
    if (status == KUR_OK)
        *topics = list;
    return kur__admin_end(&call, status, error);
}

/* ---- Made and deleted ---- */

/* The first failure; but `harmless` is none. */
static kur_status check_results(kur__admin_call *call, const rd_kafka_topic_result_t **results, size_t count,
                                rd_kafka_resp_err_t harmless)
{
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != harmless)
            return kur__admin_failed(call, code, rd_kafka_topic_result_error_string(results[i]), "topic %s",
                                     rd_kafka_topic_result_name(results[i]));
    }
    return KUR_OK;
}

static kur_status make_request(kur__admin_call *call, const kur__topic_wanted *wanted, rd_kafka_NewTopic_t **made)
{
    char why[256];
    const kur_topic_spec *spec = &wanted->spec;
    *made = rd_kafka_NewTopic_new(spec->name, spec->partitions != 0 ? spec->partitions : -1,
                                  spec->replication != 0 ? spec->replication : -1, why, sizeof why);
    if (*made == NULL)
        return kur_error_set(&call->error, KUR_ERROR_INVALID_ARGUMENT, "topic %s: %s", spec->name, why);
    for (size_t i = 0; i < wanted->config_count; i++)
        rd_kafka_NewTopic_set_config(*made, wanted->configs[i].name, wanted->configs[i].value);
    return KUR_OK;
}

static kur_status check_created(kur__admin_call *call, rd_kafka_event_t *event, bool may_exist)
{
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    kur_status status = check_results(call, results, count,
                                      may_exist ? RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS : RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    return status;
}

static kur_status create_once(kur__admin_call *call, const kur__topic_wanted *wanted, size_t count, bool may_exist)
{
    kur_status status = KUR_OK;
    rd_kafka_NewTopic_t **topics = kur_arena_alloc(call->arena, count * sizeof *topics);
    if (topics == NULL)
        return kur__admin_no_memory(call);
    size_t made = 0;
    for (; status == KUR_OK && made < count; made += status == KUR_OK)
        status = make_request(call, &wanted[made], &topics[made]);
    if (status == KUR_OK) {
        kur__admin_request request;
        kur__admin_request_init(call, &request);
        rd_kafka_CreateTopics(call->handle->rk, topics, count, request.options, request.queue);
        rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "creating topics");
        status = event != NULL ? check_created(call, event, may_exist) : call->error.code;
    }
    rd_kafka_NewTopic_destroy_array(topics, made);
    return status;
}

kur_status kur__admin_make_topics(kur__admin_call *call, const kur__topic_wanted *wanted, size_t count, bool may_exist)
{
    kur_status status = create_once(call, wanted, count, may_exist);
    /* Tried again, a topic may be there because of the try before. */
    while (status != KUR_OK && may_exist && kur__admin_again(call))
        status = create_once(call, wanted, count, may_exist);
    for (size_t i = 0; status == KUR_OK && i < count; i++)
        status = kur__admin_wait_topic(call, wanted[i].spec.name,
                                       may_exist || wanted[i].spec.partitions == 0 ? 1 : wanted[i].spec.partitions);
    return status;
}

kur_status kur_admin_create_topics(kur_admin *admin, const kur_topic_spec *topics, size_t count, int timeout_ms,
                                   kur_error *error)
{
    if (admin == NULL || topics == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : "topics");
    kur_arena *arena = kur_arena_new();
    if (arena == NULL)
        return kur__error_no_memory(error);
    kur__topic_wanted *wanted = NULL;
    kur_status status = kur__topics_want(topics, count, arena, &wanted, error);
    if (status == KUR_OK) {
        kur__admin_call call;
        status = kur__admin_begin(&call, admin, timeout_ms, arena);
        if (status == KUR_OK)
            status = kur__admin_needs_kafka(&call, "create topics by request (a topic appears when it is first named)");
        if (status == KUR_OK)
            status = kur__admin_make_topics(&call, wanted, count, false);
        status = kur__admin_end(&call, status, error);
    }
    kur_arena_free(arena);
    return status;
}

static kur_status delete_topics(kur__admin_call *call, const char *const *names, size_t count)
{
    rd_kafka_DeleteTopic_t **topics = kur_arena_alloc(call->arena, count * sizeof *topics);
    if (topics == NULL)
        return kur__admin_no_memory(call);
    for (size_t i = 0; i < count; i++)
        topics[i] = rd_kafka_DeleteTopic_new(names[i]);
    kur__admin_request request;
    kur__admin_request_init(call, &request);
    rd_kafka_DeleteTopics(call->handle->rk, topics, count, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "deleting topics");
    rd_kafka_DeleteTopic_destroy_array(topics, count);
    if (event == NULL)
        return call->error.code;
    size_t result_count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &result_count);
    kur_status status = check_results(call, results, result_count, RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    for (size_t i = 0; status == KUR_OK && i < count; i++)
        status = kur__admin_wait_topic(call, names[i], 0);
    return status;
}

kur_status kur_admin_delete_topics(kur_admin *admin, const char *const *names, int timeout_ms, kur_error *error)
{
    if (admin == NULL || names == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : "names");
    size_t count;
    kur_status status = check_names(names, &count, error);
    if (status != KUR_OK)
        return status;
    kur__admin_call call;
    status = kur__admin_begin(&call, admin, timeout_ms, NULL);
    if (status == KUR_OK)
        status = kur__admin_needs_kafka(&call, "delete topics");
    if (status == KUR_OK)
        status = delete_topics(&call, names, count);
    return kur__admin_end(&call, status, error);
}
