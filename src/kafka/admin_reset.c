/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Moving a group's offsets: the plan, and doing what the plan shows.
 */
#include <inttypes.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/admin.h"
#include "kafka/topic.h"
#include <kurier/sys/options.h>

/* ---- Which partitions ---- */

static kur_status list_topic(kur__admin_call *call, const kur_reset_options *options,
                             rd_kafka_topic_partition_list_t *list)
{
    const struct rd_kafka_metadata *metadata = NULL;
    kur_status status = kur__admin_metadata(call, options->topic, &metadata);
    if (status != KUR_OK)
        return status;
    const struct rd_kafka_metadata_topic *topic = kur__metadata_find(metadata, options->topic);
    int count = topic != NULL ? topic->partition_cnt : 0, wanted = options->partition - 1;
    if (topic != NULL && topic->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = kur__admin_failed(call, topic->err, NULL, "topic %s", options->topic);
    else if (count == 0 || wanted >= count)
        status = kur_error_set(&call->error, KUR_ERROR_UNKNOWN_TOPIC,
                               count == 0 ? "topic %s: there is none of this name"
                                          : "topic %s has no partition %d: it has %d",
                               options->topic, wanted, count);
    else if (wanted >= 0)
        rd_kafka_topic_partition_list_add(list, options->topic, wanted);
    else
        rd_kafka_topic_partition_list_add_range(list, options->topic, 0, count - 1);
    rd_kafka_metadata_destroy(metadata);
    return status;
}

static kur_status list_partitions(kur__admin_call *call, const char *group, const kur_reset_options *options,
                                  const kur_position_list *committed, rd_kafka_topic_partition_list_t *list)
{
    if (options->topic != NULL)
        return list_topic(call, options, list);
    for (size_t i = 0; i < committed->count; i++)
        rd_kafka_topic_partition_list_add(list, committed->items[i]->topic, committed->items[i]->partition);
    if (list->cnt > 0)
        return KUR_OK;
    return kur_error_set(&call->error, KUR_ERROR_UNKNOWN_TOPIC,
                         "group %s has committed nothing: name the topic whose offsets are to be set", group);
}

static const kur_position *find_committed(const kur_position_list *committed, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < committed->count; i++)
        if (committed->items[i]->partition == partition && strcmp(committed->items[i]->topic, topic) == 0)
            return committed->items[i];
    return NULL;
}

/* ---- Where to ---- */

/* Sets each offset to the first record of that time or later, -1 where there is none. */
static kur_status find_time(kur__admin_call *call, rd_kafka_topic_partition_list_t *list, int64_t time_us)
{
    do {
        for (int i = 0; i < list->cnt; i++)
            list->elems[i].offset = time_us / 1000 + (time_us % 1000 > 0);
        rd_kafka_resp_err_t code =
            rd_kafka_offsets_for_times(call->handle->rk, list, kur__deadline_left_ms(&call->deadline));
        for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
            code = list->elems[i].err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return KUR_OK;
        kur__admin_failed(call, code, NULL, "offsets by time");
    } while (kur__admin_again(call));
    return call->error.code;
}

static int64_t target(const kur_reset_options *options, int64_t at_time, int64_t start, int64_t end)
{
    int64_t to = options->to == KUR_RESET_TO_START                  ? start
                 : options->to == KUR_RESET_TO_OFFSET               ? options->offset
                 : options->to == KUR_RESET_TO_TIME && at_time >= 0 ? at_time
                                                                    : end;
    return to < start ? start : to > end ? end : to;
}

static void count_one(kur_reset_plan *plan, const kur_partition_reset *reset)
{
    int64_t from = reset->from > reset->start_offset ? reset->from : reset->start_offset;
    if (reset->to > from)
        plan->skipped += reset->to - from;
    else
        plan->repeated += (from < reset->end_offset ? from : reset->end_offset) - reset->to;
}

static kur_status fill(kur__admin_call *call, kur_reset_plan *plan, const kur_reset_options *options,
                       const kur_position_list *committed, const rd_kafka_topic_partition_list_t *starts,
                       const rd_kafka_topic_partition_list_t *ends, const rd_kafka_topic_partition_list_t *times)
{
    bool ok = true;
    size_t count = (size_t)starts->cnt;
    kur_partition_reset **resets = kur__views_new(call->arena, count, sizeof(kur_partition_reset));
    for (size_t i = 0; resets != NULL && i < count; i++) {
        const rd_kafka_topic_partition_t *start = &starts->elems[i];
        const kur_position *position = find_committed(committed, start->topic, start->partition);
        kur_partition_reset *reset = resets[i];
        reset->topic = kur__arena_text(call->arena, start->topic, &ok);
        reset->partition = start->partition;
        reset->from = position != NULL ? position->offset : -1;
        reset->metadata = position != NULL ? position->metadata : NULL;
        reset->start_offset = start->offset;
        reset->end_offset = ends->elems[i].offset;
        reset->to = target(options, times->elems[i].offset, reset->start_offset, reset->end_offset);
        count_one(plan, reset);
    }
    plan->partition_count = count;
    plan->partitions = (const kur_partition_reset *const *)resets;
    return resets != NULL && ok ? KUR_OK : kur__admin_no_memory(call);
}

static kur_status make_plan(kur__admin_call *call, const char *group, const kur_reset_options *options,
                            kur_reset_plan *plan)
{
    bool ok = true;
    kur_position_list committed;
    *plan = (kur_reset_plan){.size = sizeof *plan, .group = kur__arena_text(call->arena, group, &ok)};
    if (!ok)
        return kur__admin_no_memory(call);
    kur_status status = kur__admin_needs_idle_group(call, group);
    if (status == KUR_OK)
        status = kur__admin_read_group_offsets(call, group, &committed);
    if (status != KUR_OK)
        return status;
    rd_kafka_topic_partition_list_t *starts = rd_kafka_topic_partition_list_new(16);
    status = list_partitions(call, group, options, &committed, starts);
    rd_kafka_topic_partition_list_t *ends = rd_kafka_topic_partition_list_copy(starts);
    rd_kafka_topic_partition_list_t *times = rd_kafka_topic_partition_list_copy(starts);
    if (status == KUR_OK)
        status = kur__admin_offsets(call, starts, ends);
    if (status == KUR_OK && options->to == KUR_RESET_TO_TIME)
        status = find_time(call, times, options->time_us);
    if (status == KUR_OK)
        status = fill(call, plan, options, &committed, starts, ends, times);
    rd_kafka_topic_partition_list_destroy(times);
    rd_kafka_topic_partition_list_destroy(ends);
    rd_kafka_topic_partition_list_destroy(starts);
    return status;
}

static kur_status check_options(const kur_reset_options *options, kur_error *error)
{
    if (options->to < KUR_RESET_TO_START || options->to > KUR_RESET_TO_TIME)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".to is missing or not a kur_reset_to");
    if (options->topic != NULL && !kur__topic_is_valid(options->topic))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".topic is not 1 to 249 characters of A-Z a-z 0-9 . _ -: \"%.40s\"", options->topic);
    if (options->partition < 0 || (options->partition > 0 && options->topic == NULL))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             options->partition < 0 ? ".partition is negative: use KUR_PARTITION()"
                                                    : ".partition is set without a .topic");
    if (options->to == KUR_RESET_TO_OFFSET && options->offset < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".offset is negative");
    if (options->to == KUR_RESET_TO_TIME && options->time_us < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".time_us is negative");
    return KUR_OK;
}

kur_status kur_admin_plan_reset(kur_admin *admin, const char *group, const kur_reset_options *given, int timeout_ms,
                                kur_arena *arena, const kur_reset_plan **plan, kur_error *error)
{
    if (admin == NULL || group == NULL || given == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : group == NULL ? "group" : "options");
    if (arena == NULL || plan == NULL)
        return kur_error_null(error, arena == NULL ? "arena" : "plan");
    kur_reset_options options;
    kur_status status = kur__group_check(group, error);
    if (status == KUR_OK)
        status = kur_options_take(&options, sizeof options, given, "kur_reset_options", error);
    if (status == KUR_OK)
        status = check_options(&options, error);
    if (status != KUR_OK)
        return status;
    kur__admin_call call;
    kur_reset_plan *made = kur_arena_alloc(arena, sizeof *made);
    status = kur__admin_begin(&call, admin, timeout_ms, arena);
    if (status == KUR_OK && made == NULL)
        status = kur__admin_no_memory(&call);
    if (status == KUR_OK && options.to == KUR_RESET_TO_TIME)
        status = kur__admin_needs_kafka(&call, "find offsets by time");
    if (status == KUR_OK)
        status = make_plan(&call, group, &options, made);
    if (status == KUR_OK)
        *plan = made;
    return kur__admin_end(&call, status, error);
}

/* ---- Doing it ---- */

static kur_status check_plan(kur__admin_call *call, const kur_reset_plan *plan)
{
    kur_position_list committed;
    kur_status status = kur__admin_needs_idle_group(call, plan->group);
    if (status == KUR_OK)
        status = kur__admin_read_group_offsets(call, plan->group, &committed);
    for (size_t i = 0; status == KUR_OK && i < plan->partition_count; i++) {
        const kur_partition_reset *reset = plan->partitions[i];
        const kur_position *position = find_committed(&committed, reset->topic, reset->partition);
        int64_t is = position != NULL ? position->offset : -1;
        if (is != reset->from)
            status = kur_error_set(&call->error, KUR_ERROR_STALE,
                                   "group %s is at %" PRId64 " of %s [%" PRId32 "], not at %" PRId64
                                   " as when the plan was made: make a new one",
                                   plan->group, is, reset->topic, reset->partition, reset->from);
    }
    return status;
}

kur_status kur_admin_apply_reset(kur_admin *admin, const kur_reset_plan *plan, int timeout_ms, kur_error *error)
{
    if (admin == NULL || plan == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : "plan");
    if (plan->size < sizeof *plan || plan->group == NULL || (plan->partitions == NULL && plan->partition_count > 0))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "plan is not one that kur_admin_plan_reset has made");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)plan->partition_count);
    for (size_t i = 0; i < plan->partition_count; i++)
        rd_kafka_topic_partition_list_add(list, plan->partitions[i]->topic, plan->partitions[i]->partition)->offset =
            plan->partitions[i]->to;
    kur__admin_call call;
    kur_status status = kur__admin_begin(&call, admin, timeout_ms, NULL);
    if (status == KUR_OK)
        status = check_plan(&call, plan);
    if (status == KUR_OK && list->cnt > 0)
        status = kur__admin_write_group_offsets(&call, plan->group, list);
    rd_kafka_topic_partition_list_destroy(list);
    return kur__admin_end(&call, status, error);
}
