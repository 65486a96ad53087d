/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a plan is made in the order in which it can be trusted: first how far the groups' topics go, so that
 * every record of the plan will be behind those marks; then the letters, read once to the ends of now; then it is
 * written, and with that it is frozen. Nothing of it is kept elsewhere.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/sys/topic.h>
#include <stdlib.h>
#include <string.h>

#include "listener/crash.h"
#include "redrive/redrive.h"

enum {
    PROGRESS_US = 200 * 1000
};

struct planner {
    kur_client *client;
    kur_redrive_plan_options options;
    kur_arena *arena; /* all that the plan points to */
    kur__router router;
    kur__books books;
    kur__selection selection;
    kur__redrive_plan plan;
    int64_t taken, told_us;
    size_t mark_room;
};

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a plan");
}

/* ---- What it was told ---- */

static kur_status check_header(const char *name, kur_error *error)
{
    static const char own[] = "kurier-retry-";
    size_t size = strlen(name), least = size < sizeof own - 1 ? size : sizeof own - 1;
    bool is_wide = size > 0 && name[size - 1] == '*' && size - 1 <= sizeof own - 1 && strncmp(own, name, size - 1) == 0;
    if (size == 0 || !kur_bytes_is_utf8(kur_bytes_text(name)))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the name of a header is empty, or no UTF-8");
    if (is_wide || (least == sizeof own - 1 && memcmp(name, own, least) == 0))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "header %.60s is the retry's own", name);
    return KUR_OK;
}

static kur_status check_headers(const kur_redrive_plan_options *options, kur_error *error)
{
    kur_status status = KUR_OK;
    for (size_t i = 0; options->strip != NULL && options->strip[i] != NULL && status == KUR_OK; i++)
        status = check_header(options->strip[i], error);
    for (size_t i = 0; options->set != NULL && options->set[i].name != NULL && status == KUR_OK; i++)
        status = check_header(options->set[i].name, error);
    return status;
}

static kur_status check(const kur_redrive_plan_options *options, kur_error *error)
{
    static const unsigned all =
        KUR_REDRIVE_FORCE_COMPACTED | KUR_REDRIVE_FORCE_UNREAD | KUR_REDRIVE_FORCE_LOOPS | KUR_REDRIVE_FORCE_SENT;
    if (options->topics == NULL || options->topics[0] == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".topics is missing");
    for (size_t i = 0; options->topics[i] != NULL; i++)
        if (!kur_topic_is_valid(options->topics[i]) || !kur_letter_is_topic(options->topics[i]))
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                 ".topics: \"%.60s\" is not the name of a topic of dead letters", options->topics[i]);
    if (options->target != KUR_REDRIVE_RETRY && options->target != KUR_REDRIVE_ORIGIN)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".target is none");
    if (options->tier != KUR_TIER_MAIN && options->tier != KUR_TIER_SHORT && options->tier != KUR_TIER_ORDERED)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".tier is neither short nor ordered");
    if ((options->force & ~all) != 0 || options->max_redriven < 0 || options->timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".force, .max_redriven or .timeout_ms is out of range");
    kur_status status = kur__audit_check(options->who, ".who", error);
    if (status == KUR_OK && options->reason != NULL)
        status = kur__audit_check(options->reason, ".reason", error);
    return status == KUR_OK ? check_headers(options, error) : status;
}

static kur_status take_filter(struct planner *planner, kur_error *error)
{
    kur_letter_filter *filter = &planner->plan.filter;
    kur_status status = kur_options_take(filter, sizeof *filter, planner->options.filter, "kur_letter_filter", error);
    if (status != KUR_OK)
        return status;
    filter->size = sizeof *filter;
    if (filter->older_than_ms < 0 || filter->younger_than_ms < 0 || filter->partition < 0 || filter->from_offset < 0 ||
        filter->to_offset < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".filter: a number is negative");
    const char *const texts[] = {filter->cause, filter->type, filter->group, filter->origin};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i] != NULL && !kur_bytes_is_utf8(kur_bytes_text(texts[i])))
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".filter: a name is no UTF-8");
    return KUR_OK;
}

static kur_status start(struct planner *planner, kur_error *error)
{
    const kur_redrive_plan_options *options = &planner->options;
    kur__redrive_plan *plan = &planner->plan;
    plan->who = options->who;
    plan->reason = options->reason != NULL ? options->reason : "";
    plan->target = options->target;
    plan->force = options->force;
    plan->max_redriven = options->max_redriven > 0 ? options->max_redriven : KUR__REDRIVE_LOOPS;
    plan->topics = options->topics;
    plan->strip = options->strip;
    plan->set = options->set;
    plan->left_out.size = sizeof plan->left_out;
    plan->planned_us = kur_clock_now_us();
    plan->routes = kur_arena_alloc(planner->arena, KUR__REDRIVE_ROUTES_MAX * sizeof *plan->routes);
    kur_status status = plan->routes != NULL ? take_filter(planner, error) : no_memory(error);
    if (status == KUR_OK)
        status = kur__router_init(&planner->router, planner->client, options->timeout_ms, planner->arena, error);
    if (status == KUR_OK)
        status = kur__audit_ensure(planner->router.admin, options->timeout_ms, error);
    if (status == KUR_OK)
        status = kur__books_open(&planner->books, planner->client, options->timeout_ms, error);
    if (status == KUR_OK)
        status = kur__selection_init(&planner->selection, planner->client, plan, &planner->books, options->timeout_ms,
                                     error);
    return status == KUR_OK ? kur__selection_start(&planner->selection, NULL, options->timeout_ms, error) : status;
}

/* ---- How far the groups' topics go ---- */

static bool is_marked(const kur__redrive_plan *plan, const char *topic)
{
    for (size_t i = 0; i < plan->mark_count; i++)
        if (strcmp(plan->marks[i].topic, topic) == 0)
            return true;
    return false;
}

static kur_status mark(struct planner *planner, const char *name, kur_error *error)
{
    kur__redrive_plan *plan = &planner->plan;
    const kur_topic_view *topic;
    kur_error why = {0};
    kur_status status = kur_admin_describe_topic(planner->router.admin, name, planner->options.timeout_ms,
                                                 planner->arena, &topic, &why);
    if (status == KUR_ERROR_AUTHORIZATION || status == KUR_ERROR_UNKNOWN_TOPIC)
        return KUR_OK; /* it is followed from its beginning, if it can be followed at all */
    if (status != KUR_OK) {
        if (error != NULL)
            *error = why;
        return status;
    }
    size_t needed = plan->mark_count + topic->partition_count;
    if (needed > planner->mark_room) {
        kur__redrive_mark *more = kur_realloc(plan->marks, 2 * needed * sizeof *more);
        if (more == NULL)
            return no_memory(error);
        plan->marks = more;
        planner->mark_room = 2 * needed;
    }
    for (size_t i = 0; i < topic->partition_count; i++) {
        const kur_partition_view *partition = topic->partitions[i];
        int64_t end = partition->end_offset >= 0 ? partition->end_offset : 0;
        plan->marks[plan->mark_count++] = (kur__redrive_mark){topic->name, partition->partition, end};
    }
    return KUR_OK;
}

/* Letters that are read before do not matter: none of the plan has been sent. */
static kur_status mark_route(struct planner *planner, const kur__redrive_route *route, kur_error *error)
{
    kur_status status = KUR_OK;
    const kur_topic_list *topics = &planner->router.topics;
    for (size_t i = 0; i < topics->count && status == KUR_OK; i++)
        if (kur__redrive_role_of(route, topics->items[i]->name) != KUR__REDRIVE_NONE &&
            !is_marked(&planner->plan, topics->items[i]->name))
            status = mark(planner, topics->items[i]->name, error);
    return status;
}

/* ---- The letters ---- */

/* Where a letter's partition is counted; what is not known yet of it is asked for at the end. */
static kur__redrive_range *range_of(struct planner *planner, const kur_letter *letter)
{
    kur__redrive_plan *plan = &planner->plan;
    for (size_t i = 0; i < plan->range_count; i++)
        if (plan->ranges[i].partition == letter->partition && strcmp(plan->ranges[i].topic, letter->topic) == 0)
            return &plan->ranges[i];
    if ((plan->range_count & (plan->range_count - 1)) == 0) {
        kur__redrive_range *more = kur_realloc(plan->ranges, 2 * (plan->range_count + 1) * sizeof *more);
        if (more == NULL)
            return NULL;
        plan->ranges = more;
    }
    size_t topic = 0;
    while (strcmp(plan->topics[topic], letter->topic) != 0)
        topic++;
    plan->ranges[plan->range_count] =
        (kur__redrive_range){.topic = plan->topics[topic], .partition = letter->partition, .last_us = -1};
    return &plan->ranges[plan->range_count++];
}

static kur_status take(struct planner *planner, kur__redrive_route *route, kur_error *error)
{
    kur__redrive_plan *plan = &planner->plan;
    const kur_letter *letter = &planner->selection.letter;
    kur_redrive_left_out *left = &plan->left_out;
    kur__redrive_sum sum;
    int64_t *const left_out[] = {NULL,          NULL,         &left->discarded, &left->sent,
                                 &left->looped, &left->stubs, &left->unknown,   &left->refused};
    kur__verdict verdict = kur__selection_judge(&planner->selection, route);
    if (left_out[verdict] != NULL)
        ++*left_out[verdict];
    if (route != NULL && (verdict == KUR__TAKEN || verdict == KUR__IS_REFUSED))
        route->view.count++;
    if (verdict != KUR__TAKEN)
        return KUR_OK;
    kur__redrive_range *range = range_of(planner, letter);
    if (range == NULL)
        return no_memory(error);
    range->count++;
    if (letter->timestamp_us > range->last_us)
        range->last_us = letter->timestamp_us;
    kur__redrive_sum_of(letter, &sum);
    kur__redrive_add(&plan->sum, &sum);
    plan->count++;
    return KUR_OK;
}

static kur_status report(struct planner *planner, kur_error *error)
{
    int64_t now_us = kur_clock_monotonic_us();
    if (planner->options.on_progress == NULL || now_us - planner->told_us < PROGRESS_US)
        return KUR_OK;
    planner->told_us = now_us;
    const kur_redrive_left_out *left = &planner->plan.left_out;
    kur_letter_progress progress = KUR_LETTER_PROGRESS(.read = planner->selection.read, .given = planner->plan.count,
                                                       .discarded = left->discarded);
    kur__scan_progress(planner->selection.scan, &progress);
    return planner->options.on_progress(&progress, planner->options.user)
               ? KUR_OK
               : kur_error_set(error, KUR_ERROR_CANCELLED, "the planning was ended by its caller");
}

static kur_status read_letters(struct planner *planner, kur_error *error)
{
    kur__redrive_plan *plan = &planner->plan;
    kur_status status = KUR_OK;
    for (bool is_over = false, has_letter; status == KUR_OK && !is_over;) {
        status = kur__selection_next(&planner->selection, &has_letter, &is_over, error);
        if (status == KUR_OK && (!has_letter || planner->selection.read % 256 == 0))
            status = report(planner, error);
        if (status != KUR_OK || !has_letter)
            continue;
        const kur_letter *letter = &planner->selection.letter;
        kur__redrive_route *route = kur__redrive_route_of(plan, letter);
        if (route == NULL) {
            status = kur__router_add(&planner->router, plan, planner->options.tier, letter, &route, error);
            if (status == KUR_OK && route != NULL && route->view.refused[0] == '\0')
                status = mark_route(planner, route, error);
        }
        if (status == KUR_OK)
            status = take(planner, route, error);
    }
    for (size_t i = 0; i < plan->range_count && status == KUR_OK; i++) {
        kur__redrive_range *range = &plan->ranges[i];
        kur__scan_bounds(planner->selection.scan, range->topic, range->partition, &range->from, &range->to);
    }
    return status;
}

/* Why nothing is left, for a person. */
static kur_status nothing_left(const kur__redrive_plan *plan, kur_error *error)
{
    const kur_redrive_left_out *left = &plan->left_out;
    for (size_t i = 0; i < plan->route_count; i++)
        if (plan->routes[i].view.refused[0] != '\0')
            return kur_error_set(error, KUR_ERROR_INVALID_STATE, "no letter is left: group %.60s, %.100s: %.200s",
                                 plan->routes[i].view.group, plan->routes[i].view.target, plan->routes[i].view.refused);
    return kur_error_set(
        error, KUR_ERROR_INVALID_STATE,
        "no letter is left: %lld are discarded, %lld were sent by an earlier run, %lld were sent again "
        "too often, %lld are stubs, %lld do not tell where they are from",
        (long long)left->discarded, (long long)left->sent, (long long)left->looped, (long long)left->stubs,
        (long long)left->unknown);
}

/* ---- Writing it ---- */

static kur_status write_plan(struct planner *planner, const char *id, kur_error *error)
{
    kur_buffer key = {0}, value = {0};
    kur_error why = {0};
    kur_producer *producer = NULL;
    kur_status status = kur_buffer_print(&key, "plan %s", id);
    if (status == KUR_OK)
        status = kur__redrive_write_plan(&planner->plan, &value);
    if (status != KUR_OK)
        kur_error_set(&why, status, "out of memory: a plan");
    else
        producer = kur_producer_new(planner->client, NULL, &why);
    if (producer != NULL)
        status = kur__books_write(producer, &key, &value, planner->options.timeout_ms, NULL, &why);
    else
        status = why.code;
    kur_producer_free(producer);
    KUR__CRASH_POINT("redrive-planned");
    /* What everyone reads is what was written, to the byte. */
    if (status == KUR_OK &&
        !kur__books_take(&planner->books, kur_bytes_of(key.data, key.size), kur_bytes_of(value.data, value.size)))
        status = no_memory(&why);
    kur_buffer_done(&key);
    kur_buffer_done(&value);
    if (status != KUR_OK && error != NULL)
        *error = why;
    return status;
}

static kur_status make(struct planner *planner, kur_arena *arena, const kur_redrive_view **view, kur_error *error)
{
    char id[KUR_UUID_TEXT_SIZE];
    kur_uuid uuid;
    kur_status status = start(planner, error);
    if (status == KUR_OK)
        status = read_letters(planner, error);
    if (status == KUR_OK && planner->plan.count == 0)
        status = nothing_left(&planner->plan, error);
    if (status == KUR_OK)
        status = kur_uuid_new(&uuid, error);
    if (status != KUR_OK)
        return status;
    kur_uuid_format(&uuid, id);
    status = write_plan(planner, id, error);
    if (status != KUR_OK)
        return status;
    const kur__redrive_entry *entry = kur__books_find(&planner->books, id);
    if (entry == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "plan %s cannot be read as it was written", id);
    *view = kur__redrive_view_of(entry, arena, error);
    return *view != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY;
}

kur_status kur_redrive_plan(kur_client *client, const kur_redrive_plan_options *options, kur_arena *arena,
                            const kur_redrive_view **plan, kur_error *error)
{
    struct planner planner = {.client = client};
    if (client == NULL)
        return kur_error_null(error, "client");
    if (arena == NULL || plan == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "arena or plan is NULL");
    kur_status status =
        kur_options_take(&planner.options, sizeof planner.options, options, "kur_redrive_plan_options", error);
    if (status == KUR_OK)
        status = check(&planner.options, error);
    if (status != KUR_OK)
        return status;
    if (planner.options.timeout_ms == 0)
        planner.options.timeout_ms = KUR__REDRIVE_TIMEOUT_MS;
    planner.arena = kur_arena_new();
    status = planner.arena != NULL ? make(&planner, arena, plan, error) : no_memory(error);
    kur__selection_done(&planner.selection);
    kur__books_done(&planner.books);
    kur__router_done(&planner.router);
    kur_free(planner.plan.ranges);
    kur_free(planner.plan.marks);
    kur_arena_free(planner.arena);
    return status;
}
