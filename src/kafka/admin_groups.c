/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Groups: listed, described, and the offsets that they have committed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kafka/admin.h"

enum {
    GROUP_SIZE_MAX = 1000
};

static const char *const state_names[] = {
    [KUR_GROUP_UNKNOWN] = "unknown",
    [KUR_GROUP_PREPARING_REBALANCE] = "preparing rebalance",
    [KUR_GROUP_COMPLETING_REBALANCE] = "completing rebalance",
    [KUR_GROUP_STABLE] = "stable",
    [KUR_GROUP_DEAD] = "dead",
    [KUR_GROUP_EMPTY] = "empty",
};

const char *kur_group_state_name(kur_group_state state)
{
    size_t count = sizeof state_names / sizeof *state_names;
    return state_names[(size_t)state < count ? state : KUR_GROUP_UNKNOWN];
}

/* Our numbers are librdkafka's. */
static kur_group_state state_of(rd_kafka_consumer_group_state_t state)
{
    return (size_t)state < sizeof state_names / sizeof *state_names ? (kur_group_state)state : KUR_GROUP_UNKNOWN;
}

kur_status kur__group_check(const char *group, kur_error *error)
{
    if (group[0] != '\0' && strlen(group) <= GROUP_SIZE_MAX && kur_bytes_is_utf8(kur_bytes_text(group)))
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "group is empty, longer than %d bytes or not UTF-8",
                         GROUP_SIZE_MAX);
}

/* ---- List ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const kur_group_view *const *)a)->name, (*(const kur_group_view *const *)b)->name);
}

static kur_status take_list(kur__admin_call *call, const rd_kafka_ListConsumerGroups_result_t *result,
                            kur_group_list *list)
{
    size_t count = 0, error_count = 0;
    bool ok = true;
    const rd_kafka_error_t **errors = rd_kafka_ListConsumerGroups_result_errors(result, &error_count);
    if (error_count > 0) /* of one broker: without its groups the list would lie */
        return kur__admin_failed(call, rd_kafka_error_code(errors[0]), rd_kafka_error_string(errors[0]), "groups");
    const rd_kafka_ConsumerGroupListing_t **groups = rd_kafka_ListConsumerGroups_result_valid(result, &count);
    kur_group_view **views = kur__views_new(call->arena, count, sizeof(kur_group_view));
    if (views == NULL)
        return kur__admin_no_memory(call);
    for (size_t i = 0; i < count; i++) {
        views[i]->name = kur__arena_text(call->arena, rd_kafka_ConsumerGroupListing_group_id(groups[i]), &ok);
        views[i]->state = state_of(rd_kafka_ConsumerGroupListing_state(groups[i]));
        views[i]->coordinator = -1;
        views[i]->assignment = "";
    }
    if (!ok)
        return kur__admin_no_memory(call);
    qsort(views, count, sizeof *views, by_name);
    *list = (kur_group_list){count, (const kur_group_view *const *)views};
    return KUR_OK;
}

static kur_status read_list(kur__admin_call *call, kur_group_list *list)
{
    kur__admin_request request;
    kur__admin_request_init(call, &request);
    rd_kafka_ListConsumerGroups(call->handle->rk, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "groups");
    if (event == NULL)
        return call->error.code;
    kur_status status = take_list(call, rd_kafka_event_ListConsumerGroups_result(event), list);
    rd_kafka_event_destroy(event);
    return status;
}

kur_status kur_admin_list_groups(kur_admin *admin, int timeout_ms, kur_arena *arena, kur_group_list *groups,
                                 kur_error *error)
{
    if (admin == NULL || arena == NULL || groups == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : arena == NULL ? "arena" : "groups");
    kur__admin_call call;
    kur_group_list list;
    kur_status status = kur__admin_begin(&call, admin, timeout_ms, arena);
    if (status == KUR_OK)
        status = kur__admin_needs_kafka(&call, "list groups");
    if (status == KUR_OK)
        do
            status = read_list(&call, &list);
        while (status != KUR_OK && kur__admin_again(&call));
    if (status == KUR_OK)
        *groups = list;
    return kur__admin_end(&call, status, error);
}

/* ---- Describe ---- */

static int by_partition(const void *a, const void *b)
{
    const kur_position *one = *(const kur_position *const *)a, *other = *(const kur_position *const *)b;
    int order = strcmp(one->topic, other->topic);
    return order != 0 ? order : (one->partition > other->partition) - (one->partition < other->partition);
}

/* A list as positions, by topic and partition; what has no offset is left out when only `committed` ones count. */
static kur_position **take_positions(kur_arena *arena, const rd_kafka_topic_partition_list_t *list, bool committed,
                                     size_t *count)
{
    bool ok = true;
    size_t taken = 0;
    kur_position **positions = kur__views_new(arena, list != NULL ? (size_t)list->cnt : 0, sizeof(kur_position));
    for (int i = 0; positions != NULL && list != NULL && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *from = &list->elems[i];
        if (committed && from->offset < 0)
            continue;
        kur_position *to = positions[taken++];
        to->topic = kur__arena_text(arena, from->topic, &ok);
        to->partition = from->partition;
        to->offset = committed ? from->offset : -1;
        if (committed && from->metadata_size > 0) {
            to->metadata = kur_arena_copy(arena, from->metadata, from->metadata_size);
            ok = ok && to->metadata != NULL;
        }
    }
    if (positions == NULL || !ok)
        return NULL;
    qsort(positions, taken, sizeof *positions, by_partition);
    *count = taken;
    return positions;
}

static bool take_member(kur_arena *arena, kur_member_view *view, const rd_kafka_MemberDescription_t *member)
{
    bool ok = true;
    const rd_kafka_MemberAssignment_t *assignment = rd_kafka_MemberDescription_assignment(member);
    view->id = kur__arena_text(arena, rd_kafka_MemberDescription_consumer_id(member), &ok);
    view->client_id = kur__arena_text(arena, rd_kafka_MemberDescription_client_id(member), &ok);
    view->instance_id = kur__arena_text(arena, rd_kafka_MemberDescription_group_instance_id(member), &ok);
    view->host = kur__arena_text(arena, rd_kafka_MemberDescription_host(member), &ok);
    view->partitions = (const kur_position *const *)take_positions(
        arena, assignment != NULL ? rd_kafka_MemberAssignment_partitions(assignment) : NULL, false,
        &view->partition_count);
    return ok && view->partitions != NULL;
}

static kur_status take_group(kur__admin_call *call, const rd_kafka_ConsumerGroupDescription_t *group,
                             kur_group_view *view)
{
    const rd_kafka_error_t *refused = rd_kafka_ConsumerGroupDescription_error(group);
    rd_kafka_resp_err_t code = refused != NULL ? rd_kafka_error_code(refused) : RD_KAFKA_RESP_ERR_NO_ERROR;
    /* Brokers and versions of the request differ in how they say that there is none. */
    if (code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) {
        view->state = KUR_GROUP_DEAD;
        return KUR_OK;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kur__admin_failed(call, code, rd_kafka_error_string(refused), "group %s", view->name);
    bool ok = true;
    const rd_kafka_Node_t *coordinator = rd_kafka_ConsumerGroupDescription_coordinator(group);
    view->state = state_of(rd_kafka_ConsumerGroupDescription_state(group));
    view->coordinator = coordinator != NULL ? rd_kafka_Node_id(coordinator) : -1;
    const char *assignment = rd_kafka_ConsumerGroupDescription_partition_assignor(group);
    view->assignment = kur__arena_text(call->arena, assignment != NULL ? assignment : "", &ok);
    view->member_count = rd_kafka_ConsumerGroupDescription_member_count(group);
    kur_member_view **members = kur__views_new(call->arena, view->member_count, sizeof(kur_member_view));
    for (size_t i = 0; members != NULL && i < view->member_count; i++)
        ok = take_member(call->arena, members[i], rd_kafka_ConsumerGroupDescription_member(group, i)) && ok;
    view->members = (const kur_member_view *const *)members;
    return members != NULL && ok ? KUR_OK : kur__admin_no_memory(call);
}

static kur_status describe_once(kur__admin_call *call, kur_group_view *view)
{
    kur__admin_request request;
    const char *name = view->name;
    kur__admin_request_init(call, &request);
    rd_kafka_DescribeConsumerGroups(call->handle->rk, &name, 1, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "a group");
    if (event == NULL)
        return call->error.code;
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **groups =
        rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    kur_status status = count == 1 ? take_group(call, groups[0], view)
                                   : kur__admin_failed(call, RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "group %s", name);
    rd_kafka_event_destroy(event);
    return status;
}

/*
 * A group by the protocol of KIP-848 is none to an older librdkafka's request. The list has it, with its state, so that
 * a living group is never called dead.
 */
static kur_status look_in_list(kur__admin_call *call, kur_group_view *view)
{
    kur_group_list list;
    kur_status status;
    do
        status = read_list(call, &list);
    while (status != KUR_OK && kur__admin_again(call));
    for (size_t i = 0; status == KUR_OK && i < list.count; i++)
        if (strcmp(list.items[i]->name, view->name) == 0)
            view->state = list.items[i]->state;
    return status;
}

kur_status kur__admin_read_group(kur__admin_call *call, const char *group, const kur_group_view **view)
{
    bool ok = true;
    kur_group_view *made = kur_arena_alloc(call->arena, sizeof *made);
    if (made == NULL)
        return kur__admin_no_memory(call);
    *made = (kur_group_view){.size = sizeof *made, .coordinator = -1, .assignment = ""};
    made->name = kur__arena_text(call->arena, group, &ok);
    if (!ok)
        return kur__admin_no_memory(call);
    kur_status status;
    do
        status = describe_once(call, made);
    while (status != KUR_OK && kur__admin_again(call));
    if (status == KUR_OK && made->state == KUR_GROUP_DEAD)
        status = look_in_list(call, made);
    if (status == KUR_OK)
        *view = made;
    return status;
}

kur_status kur_admin_describe_group(kur_admin *admin, const char *group, int timeout_ms, kur_arena *arena,
                                    const kur_group_view **view, kur_error *error)
{
    if (admin == NULL || group == NULL || arena == NULL || view == NULL)
        return kur_error_null(error, admin == NULL   ? "admin"
                                     : group == NULL ? "group"
                                     : arena == NULL ? "arena"
                                                     : "view");
    kur_status status = kur__group_check(group, error);
    if (status != KUR_OK)
        return status;
    kur__admin_call call;
    status = kur__admin_begin(&call, admin, timeout_ms, arena);
    if (status == KUR_OK)
        status = kur__admin_needs_kafka(&call, "describe groups");
    if (status == KUR_OK)
        status = kur__admin_read_group(&call, group, view);
    return kur__admin_end(&call, status, error);
}

/* ---- Offsets ---- */

static kur_status check_group_result(kur__admin_call *call, const rd_kafka_group_result_t **groups, size_t count,
                                     const char *group)
{
    if (count != 1)
        return kur__admin_failed(call, RD_KAFKA_RESP_ERR__BAD_MSG, NULL, "offsets of group %s", group);
    const rd_kafka_error_t *refused = rd_kafka_group_result_error(groups[0]);
    if (refused != NULL)
        return kur__admin_failed(call, rd_kafka_error_code(refused), rd_kafka_error_string(refused),
                                 "offsets of group %s", group);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; list != NULL && i < list->cnt; i++)
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kur__admin_failed(call, list->elems[i].err, NULL, "offset of group %s on %s [%d]", group,
                                     list->elems[i].topic, (int)list->elems[i].partition);
    return KUR_OK;
}

/* Every partition there is: the embedded broker has no answer to "all that are committed". */
static rd_kafka_topic_partition_list_t *list_everything(kur__admin_call *call)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (kur__admin_metadata(call, NULL, &metadata) != KUR_OK)
        return NULL;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (metadata->topics[i].partition_cnt > 0)
            rd_kafka_topic_partition_list_add_range(list, metadata->topics[i].topic, 0,
                                                    metadata->topics[i].partition_cnt - 1);
    rd_kafka_metadata_destroy(metadata);
    return list;
}

static kur_status read_offsets_once(kur__admin_call *call, const char *group, kur_position_list *offsets)
{
    kur__admin_request request;
    rd_kafka_topic_partition_list_t *list = NULL;
    if (call->is_embedded) {
        list = list_everything(call);
        if (list == NULL)
            return call->error.code;
        if (list->cnt == 0) { /* which librdkafka refuses */
            rd_kafka_topic_partition_list_destroy(list);
            *offsets = (kur_position_list){0, NULL};
            return KUR_OK;
        }
    }
    rd_kafka_ListConsumerGroupOffsets_t *of = rd_kafka_ListConsumerGroupOffsets_new(group, list);
    if (list != NULL)
        rd_kafka_topic_partition_list_destroy(list);
    kur__admin_request_init(call, &request);
    rd_kafka_ListConsumerGroupOffsets(call->handle->rk, &of, 1, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "offsets of a group");
    rd_kafka_ListConsumerGroupOffsets_destroy(of);
    if (event == NULL)
        return call->error.code;
    size_t count = 0;
    const rd_kafka_group_result_t **groups =
        rd_kafka_ListConsumerGroupOffsets_result_groups(rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
    kur_status status = check_group_result(call, groups, count, group);
    if (status == KUR_OK) {
        kur_position **positions =
            take_positions(call->arena, rd_kafka_group_result_partitions(groups[0]), true, &offsets->count);
        offsets->items = (const kur_position *const *)positions;
        status = positions != NULL ? KUR_OK : kur__admin_no_memory(call);
    }
    rd_kafka_event_destroy(event);
    return status;
}

kur_status kur__admin_read_group_offsets(kur__admin_call *call, const char *group, kur_position_list *offsets)
{
    kur_status status;
    do
        status = read_offsets_once(call, group, offsets);
    while (status != KUR_OK && kur__admin_again(call));
    return status;
}

kur_status kur_admin_group_offsets(kur_admin *admin, const char *group, int timeout_ms, kur_arena *arena,
                                   kur_position_list *offsets, kur_error *error)
{
    if (admin == NULL || group == NULL || arena == NULL || offsets == NULL)
        return kur_error_null(error, admin == NULL   ? "admin"
                                     : group == NULL ? "group"
                                     : arena == NULL ? "arena"
                                                     : "offsets");
    kur_status status = kur__group_check(group, error);
    if (status != KUR_OK)
        return status;
    kur__admin_call call;
    kur_position_list list;
    status = kur__admin_begin(&call, admin, timeout_ms, arena);
    if (status == KUR_OK)
        status = kur__admin_read_group_offsets(&call, group, &list);
    if (status == KUR_OK)
        *offsets = list;
    return kur__admin_end(&call, status, error);
}

static kur_status write_offsets_once(kur__admin_call *call, const char *group,
                                     const rd_kafka_topic_partition_list_t *offsets)
{
    kur__admin_request request;
    rd_kafka_AlterConsumerGroupOffsets_t *of = rd_kafka_AlterConsumerGroupOffsets_new(group, offsets);
    kur__admin_request_init(call, &request);
    rd_kafka_AlterConsumerGroupOffsets(call->handle->rk, &of, 1, request.options, request.queue);
    rd_kafka_event_t *event = kur__admin_request_wait(call, &request, "offsets of a group");
    rd_kafka_AlterConsumerGroupOffsets_destroy(of);
    if (event == NULL)
        return call->error.code;
    size_t count = 0;
    const rd_kafka_group_result_t **groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count);
    kur_status status = check_group_result(call, groups, count, group);
    rd_kafka_event_destroy(event);
    return status;
}

static kur_status has_members(kur__admin_call *call, const char *group)
{
    return kur_error_set(&call->error, KUR_ERROR_INVALID_STATE,
                         "group %s has members, which would commit over it: stop them first", group);
}

kur_status kur__admin_write_group_offsets(kur__admin_call *call, const char *group,
                                          const rd_kafka_topic_partition_list_t *offsets)
{
    kur_status status;
    do
        status = write_offsets_once(call, group, offsets);
    while (status != KUR_OK && kur__admin_again(call));
    if (status == KUR_OK)
        return KUR_OK;
    /* How brokers refuse a commit from outside while there are members. */
    rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)call->error.kafka_code;
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
                   code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || code == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP
               ? has_members(call, group)
               : status;
}

kur_status kur__admin_needs_idle_group(kur__admin_call *call, const char *group)
{
    const kur_group_view *view = NULL;
    if (call->is_embedded)
        return KUR_OK;
    kur_status status = kur__admin_read_group(call, group, &view);
    if (status != KUR_OK)
        return status;
    return view->member_count == 0 && (view->state == KUR_GROUP_EMPTY || view->state == KUR_GROUP_DEAD)
               ? KUR_OK
               : has_members(call, group);
}

kur_status kur_admin_set_group_offsets(kur_admin *admin, const char *group, const kur_position *positions, size_t count,
                                       int timeout_ms, kur_error *error)
{
    if (admin == NULL || group == NULL || positions == NULL)
        return kur_error_null(error, admin == NULL ? "admin" : group == NULL ? "group" : "positions");
    rd_kafka_topic_partition_list_t *list = NULL;
    kur_status status = kur__group_check(group, error);
    if (status == KUR_OK)
        status = kur__positions_take(positions, count, 0, "positions", &list, error);
    if (status != KUR_OK)
        return status;
    kur__admin_call call;
    status = kur__admin_begin(&call, admin, timeout_ms, NULL);
    if (status == KUR_OK)
        status = kur__admin_needs_idle_group(&call, group);
    if (status == KUR_OK)
        status = kur__admin_write_group_offsets(&call, group, list);
    rd_kafka_topic_partition_list_destroy(list);
    return kur__admin_end(&call, status, error);
}
