/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what text.c writes, read. Whoever may write to the topic may write anything, so that every number is
 * checked before it is believed, and what does not read is as if it were not there. Members that are not known are
 * passed over, since a later version may add some; but for those of a filter, which would choose other letters.
 */
#include <kurier/sys/base64.h>
#include <kurier/time.h>
#include <stdlib.h>
#include <string.h>

#include "redrive/redrive.h"

enum {
    ITEMS_MAX = 1000000 /* of any list */
};

/* ---- Values ---- */

static bool read_text(kur__json *json, const char **text)
{
    kur_bytes bytes;
    *text = "";
    if (!kur__json_string(json, &bytes))
        return false;
    if (strlen(bytes.data) != bytes.size)
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "a text with a NUL in it");
    *text = bytes.data;
    return true;
}

static bool read_number(kur__json *json, int64_t least, int64_t most, int64_t *number)
{
    if (!kur__json_integer(json, number))
        return false;
    return (*number >= least && *number <= most) || kur__json_fail(json, KUR_ERROR_SYNTAX, "a number out of range");
}

static bool read_int(kur__json *json, int64_t least, int64_t most, int *number)
{
    int64_t wide;
    if (!read_number(json, least, most, &wide))
        return false;
    *number = (int)wide;
    return true;
}

static bool read_flag(kur__json *json, bool *flag)
{
    int64_t number;
    if (!read_number(json, 0, 1, &number))
        return false;
    *flag = number == 1;
    return true;
}

static bool read_time(kur__json *json, int64_t *at_us)
{
    const char *text;
    if (!read_text(json, &text))
        return false;
    return kur_time_parse(text, strlen(text), at_us, NULL) == KUR_OK ||
           kur__json_fail(json, KUR_ERROR_SYNTAX, "no time");
}

static bool read_bytes(kur__json *json, kur_bytes *bytes)
{
    kur_bytes text;
    *bytes = (kur_bytes){0};
    if (kur__json_word(json, "null"))
        return true;
    if (!kur__json_string(json, &text))
        return false;
    uint8_t *data = kur_arena_alloc(json->arena, kur_base64_room(text.size) + 1);
    if (data == NULL)
        return kur__json_fail(json, KUR_ERROR_NO_MEMORY, "out of memory");
    if (!kur_base64_read(text.data, text.size, data, &bytes->size))
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "no base64");
    bytes->data = data;
    return true;
}

static bool read_sum(kur__json *json, kur__redrive_sum *sum)
{
    const char *text;
    if (!read_text(json, &text))
        return false;
    if (strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "no sum");
    for (int i = 0; i < 4; i++) {
        char digits[17] = "";
        memcpy(digits, text + 16 * i, 16);
        sum->lanes[i] = strtoull(digits, NULL, 16);
    }
    return true;
}

static bool read_uuid(kur__json *json, char text[KUR_UUID_TEXT_SIZE])
{
    const char *given;
    kur_uuid uuid;
    if (!read_text(json, &given))
        return false;
    if (kur_uuid_parse(given, strlen(given), &uuid, NULL) != KUR_OK)
        return kur__json_fail(json, KUR_ERROR_SYNTAX, "no UUID");
    kur_uuid_format(&uuid, text);
    return true;
}

static bool read_state(kur__json *json, kur_redrive_state *state)
{
    const char *text;
    if (!read_text(json, &text))
        return false;
    for (int i = KUR_REDRIVE_RUNNING; i <= KUR_REDRIVE_ABORTED; i++)
        if (strcmp(text, kur_redrive_state_name((kur_redrive_state)i)) == 0) {
            *state = (kur_redrive_state)i;
            return true;
        }
    return kur__json_fail(json, KUR_ERROR_SYNTAX, "no state");
}

/* Whether a list has a further item; false at its end and on errors. `*is_first` starts as true. */
static bool has_item(kur__json *json, bool *is_first)
{
    if (json->status != KUR_OK || kur__json_take(json, ']'))
        return false;
    if (!*is_first && !kur__json_need(json, ','))
        return false;
    *is_first = false;
    return true;
}

/* Room for one more in an array of an arena, with a zeroed one behind it; NULL without memory or beyond all reason. */
static void *one_more(kur__json *json, void **items, size_t count, size_t size)
{
    bool is_full = (count & (count + 1)) == 0; /* 0, 1, 3, 7, … of 1, 3, 7, … places and the one behind */
    if (count >= ITEMS_MAX) {
        kur__json_fail(json, KUR_ERROR_TOO_LARGE, "too many");
        return NULL;
    }
    if (is_full) {
        void *more = kur_arena_alloc(json->arena, (2 * count + 2) * size);
        if (more == NULL) {
            kur__json_fail(json, KUR_ERROR_NO_MEMORY, "out of memory");
            return NULL;
        }
        if (count > 0)
            memcpy(more, *items, count * size);
        *items = more;
    }
    return (char *)*items + count * size;
}

static bool read_texts(kur__json *json, const char *const **texts, size_t *count)
{
    bool is_first = true;
    void *items = NULL;
    *count = 0;
    if (one_more(json, &items, 0, sizeof(const char *)) == NULL || !kur__json_need(json, '['))
        return false;
    while (has_item(json, &is_first)) {
        const char **text = one_more(json, &items, *count, sizeof *text);
        if (text == NULL || !read_text(json, text))
            return false;
        ++*count;
    }
    *texts = (const char *const *)items;
    return json->status == KUR_OK;
}

/* ---- Plans ---- */

static bool read_filter(kur__json *json, kur_letter_filter *filter, const char **where)
{
    kur_bytes name;
    bool is_first = true;
    const struct {
        const char *name;
        const char **text;
        int64_t *number;
    } members[] = {{"cause", &filter->cause, NULL},
                   {"type", &filter->type, NULL},
                   {"group", &filter->group, NULL},
                   {"origin", &filter->origin, NULL},
                   {"where", where, NULL},
                   {"older_ms", NULL, &filter->older_than_ms},
                   {"younger_ms", NULL, &filter->younger_than_ms},
                   {"from", NULL, &filter->from_offset},
                   {"to", NULL, &filter->to_offset}};
    filter->size = sizeof *filter;
    if (!kur__json_need(json, '{'))
        return false;
    while (kur__json_member(json, &is_first, &name)) {
        size_t i = 0;
        bool is_read = true;
        while (i < sizeof members / sizeof *members && strcmp(members[i].name, name.data) != 0)
            i++;
        if (i < sizeof members / sizeof *members)
            is_read = members[i].text != NULL ? read_text(json, members[i].text)
                                              : read_number(json, 0, INT64_MAX, members[i].number);
        else if (strcmp(name.data, "partition") == 0)
            is_read = read_int(json, 0, INT32_MAX, &filter->partition);
        else if (strcmp(name.data, "key") == 0)
            is_read = read_bytes(json, &filter->key);
        else /* one that this version does not know would choose other letters */
            is_read = kur__json_fail(json, KUR_ERROR_UNSUPPORTED, "the plan has a filter of a later version");
        if (!is_read)
            return false;
    }
    return json->status == KUR_OK;
}

static bool read_set(kur__json *json, const kur_header **set)
{
    bool is_first = true;
    void *items = NULL;
    size_t count = 0;
    if (one_more(json, &items, 0, sizeof(kur_header)) == NULL || !kur__json_need(json, '['))
        return false;
    while (has_item(json, &is_first)) {
        kur_header *header = one_more(json, &items, count, sizeof *header);
        if (header == NULL || !kur__json_need(json, '[') || !read_text(json, &header->name) ||
            !kur__json_need(json, ',') || !read_bytes(json, &header->value) || !kur__json_need(json, ']'))
            return false;
        count++;
    }
    *set = items;
    return json->status == KUR_OK;
}

static bool read_topic(kur__json *json, const kur__redrive_plan *plan, size_t topics, const char **topic)
{
    int64_t index;
    if (!read_number(json, 0, (int64_t)topics - 1, &index))
        return false;
    *topic = plan->topics[index];
    return true;
}

static bool read_route(kur__json *json, const kur__redrive_plan *plan, size_t topics, kur__redrive_route *route)
{
    int tier;
    kur_redrive_route *view = &route->view;
    *route = (kur__redrive_route){.view.size = sizeof route->view};
    bool is_read = kur__json_need(json, '[') && read_topic(json, plan, topics, &view->letters) &&
                   kur__json_need(json, ',') && read_text(json, &view->group) && kur__json_need(json, ',') &&
                   read_text(json, &view->target) && kur__json_need(json, ',') &&
                   read_int(json, KUR_TIER_MAIN, KUR_TIER_DEAD, &tier) && kur__json_need(json, ',') &&
                   read_int(json, 0, INT32_MAX, &route->partitions) && kur__json_need(json, ',') &&
                   read_number(json, 0, INT64_MAX, &view->count) && kur__json_need(json, ',') &&
                   read_flag(json, &view->is_running) && kur__json_need(json, ',') && read_text(json, &view->refused) &&
                   kur__json_need(json, ']');
    if (is_read)
        route->tier = (kur_tier)tier;
    return is_read;
}

static bool read_routes(kur__json *json, kur__redrive_plan *plan, size_t topics)
{
    bool is_first = true;
    void *items = NULL;
    if (!kur__json_need(json, '['))
        return false;
    while (has_item(json, &is_first)) {
        if (plan->route_count == KUR__REDRIVE_ROUTES_MAX)
            return kur__json_fail(json, KUR_ERROR_TOO_LARGE, "too many routes");
        kur__redrive_route *route = one_more(json, &items, plan->route_count, sizeof *route);
        if (route == NULL || !read_route(json, plan, topics, route))
            return false;
        plan->route_count++;
    }
    plan->routes = items;
    return json->status == KUR_OK;
}

static bool read_ranges(kur__json *json, kur__redrive_plan *plan, size_t topics)
{
    bool is_first = true;
    void *items = NULL;
    if (!kur__json_need(json, '['))
        return false;
    while (has_item(json, &is_first)) {
        kur__redrive_range *range = one_more(json, &items, plan->range_count, sizeof *range);
        if (range == NULL || !kur__json_need(json, '[') || !read_topic(json, plan, topics, &range->topic) ||
            !kur__json_need(json, ',') || !read_int(json, 0, INT32_MAX - 1, &range->partition) ||
            !kur__json_need(json, ',') || !read_number(json, 0, INT64_MAX, &range->from) ||
            !kur__json_need(json, ',') || !read_number(json, 0, INT64_MAX, &range->to) || !kur__json_need(json, ',') ||
            !read_number(json, 0, INT64_MAX, &range->count) || !kur__json_need(json, ',') ||
            !read_number(json, -1, INT64_MAX, &range->last_us) || !kur__json_need(json, ']'))
            return false;
        plan->range_count++;
    }
    plan->ranges = items;
    return json->status == KUR_OK;
}

static bool read_marks(kur__json *json, kur__redrive_plan *plan)
{
    bool is_first = true;
    void *items = NULL;
    const char *topic;
    if (!kur__json_need(json, '['))
        return false;
    while (has_item(json, &is_first)) {
        if (!kur__json_need(json, '[') || !read_text(json, &topic))
            return false;
        while (kur__json_take(json, ',')) {
            kur__redrive_mark *mark = one_more(json, &items, plan->mark_count, sizeof *mark);
            if (mark == NULL || !read_int(json, 0, INT32_MAX - 1, &mark->partition) || !kur__json_need(json, ',') ||
                !read_number(json, 0, INT64_MAX, &mark->end))
                return false;
            mark->topic = topic;
            plan->mark_count++;
        }
        if (!kur__json_need(json, ']'))
            return false;
    }
    plan->marks = items;
    return json->status == KUR_OK;
}

static bool read_left_out(kur__json *json, kur_redrive_left_out *left)
{
    int64_t *const numbers[] = {&left->discarded, &left->sent,    &left->looped,
                                &left->stubs,     &left->unknown, &left->refused};
    left->size = sizeof *left;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!kur__json_need(json, i == 0 ? '[' : ',') || !read_number(json, 0, INT64_MAX, numbers[i]))
            return false;
    return kur__json_need(json, ']');
}

static bool read_target(kur__json *json, kur_redrive_target *target)
{
    const char *text;
    if (!read_text(json, &text))
        return false;
    *target = strcmp(text, "origin") == 0 ? KUR_REDRIVE_ORIGIN : KUR_REDRIVE_RETRY;
    return *target == KUR_REDRIVE_ORIGIN || strcmp(text, "retry") == 0 ||
           kur__json_fail(json, KUR_ERROR_SYNTAX, "no target");
}

/* What of a plan has come; routes and ranges name topics, which stand before them. */
static bool read_member(kur__json *json, const char *name, kur__redrive_plan *plan, size_t *topics, int64_t *version)
{
    int64_t force;
    size_t count;
    if (strcmp(name, "v") == 0)
        return read_number(json, 1, KUR__REDRIVE_VERSION, version);
    if (strcmp(name, "who") == 0)
        return read_text(json, &plan->who);
    if (strcmp(name, "reason") == 0)
        return read_text(json, &plan->reason);
    if (strcmp(name, "at") == 0)
        return read_time(json, &plan->planned_us);
    if (strcmp(name, "target") == 0)
        return read_target(json, &plan->target);
    if (strcmp(name, "max_redriven") == 0)
        return read_int(json, 1, INT32_MAX, &plan->max_redriven);
    if (strcmp(name, "topics") == 0)
        return plan->topics == NULL && read_texts(json, &plan->topics, topics);
    if (strcmp(name, "filter") == 0)
        return read_filter(json, &plan->filter, &plan->where);
    if (strcmp(name, "strip") == 0)
        return read_texts(json, &plan->strip, &count);
    if (strcmp(name, "set") == 0)
        return read_set(json, &plan->set);
    if (strcmp(name, "routes") == 0)
        return plan->routes == NULL && read_routes(json, plan, *topics);
    if (strcmp(name, "ranges") == 0)
        return plan->ranges == NULL && read_ranges(json, plan, *topics);
    if (strcmp(name, "marks") == 0)
        return plan->marks == NULL && read_marks(json, plan);
    if (strcmp(name, "left_out") == 0)
        return read_left_out(json, &plan->left_out);
    if (strcmp(name, "count") == 0)
        return read_number(json, 0, INT64_MAX, &plan->count);
    if (strcmp(name, "sum") == 0)
        return read_sum(json, &plan->sum);
    if (strcmp(name, "force") != 0)
        return kur__json_skip(json);
    if (!read_number(json, 0, UINT32_MAX, &force))
        return false;
    plan->force = (unsigned)force;
    return true;
}

static kur__json open_json(kur_bytes value, kur_arena *arena, kur_error *error)
{
    kur__json json = {.start = value.data,
                      .at = value.data,
                      .end = (const char *)value.data + value.size,
                      .arena = arena,
                      .error = error};
    if (value.data == NULL || !kur_bytes_is_utf8(value)) {
        json.start = json.at = json.end = "";
        kur__json_fail(&json, KUR_ERROR_SYNTAX, "no UTF-8");
    }
    return json;
}

static kur_status close_json(kur__json *json, bool is_whole)
{
    if (json->status == KUR_OK && !is_whole)
        kur__json_fail(json, KUR_ERROR_SYNTAX, "something is missing, or there twice");
    return json->status;
}

kur_status kur__redrive_read_plan(kur_bytes value, kur_arena *arena, kur__redrive_plan *plan, kur_error *error)
{
    kur__json json = open_json(value, arena, error);
    kur_bytes name;
    size_t topics = 0;
    int64_t version = 0;
    bool is_first = true;
    *plan = (kur__redrive_plan){.who = "", .reason = "", .max_redriven = KUR__REDRIVE_LOOPS};
    if (json.status == KUR_OK && kur__json_need(&json, '{'))
        while (kur__json_member(&json, &is_first, &name) && read_member(&json, name.data, plan, &topics, &version))
            continue;
    kur_status status = close_json(&json, version > 0 && plan->topics != NULL && plan->filter.size > 0 &&
                                              plan->left_out.size > 0 && kur__json_is_over(&json));
    if (status == KUR_OK)
        kur__redrive_digest(value, plan->digest);
    return status;
}

/* ---- Runs and events ---- */

static bool read_next(kur__json *json, size_t ranges, int64_t *next)
{
    if (!kur__json_need(json, '['))
        return false;
    for (size_t i = 0; i < ranges; i++)
        if ((i > 0 && !kur__json_need(json, ',')) || !read_number(json, 0, INT64_MAX, &next[i]))
            return false;
    return kur__json_need(json, ']');
}

kur_status kur__redrive_read_told(kur_bytes value, size_t ranges, kur_arena *arena, kur__redrive_told *told,
                                  kur_error *error)
{
    kur__json json = open_json(value, arena, error);
    kur_bytes name;
    bool is_first = true, has_next = false;
    told->note = "";
    told->state = 0;
    told->owner[0] = '\0';
    if (json.status == KUR_OK && kur__json_need(&json, '{'))
        while (kur__json_member(&json, &is_first, &name)) {
            const char *is = name.data;
            bool is_read = strcmp(is, "term") == 0           ? read_number(&json, 1, INT64_MAX, &told->term)
                           : strcmp(is, "owner") == 0        ? read_uuid(&json, told->owner)
                           : strcmp(is, "state") == 0        ? read_state(&json, &told->state)
                           : strcmp(is, "at") == 0           ? read_time(&json, &told->at_us)
                           : strcmp(is, "acknowledged") == 0 ? read_number(&json, 0, INT64_MAX, &told->acknowledged)
                           : strcmp(is, "refused") == 0      ? read_number(&json, 0, INT64_MAX, &told->refused)
                           : strcmp(is, "canary_done") == 0  ? read_flag(&json, &told->is_canary_done)
                           : strcmp(is, "note") == 0         ? read_text(&json, &told->note)
                           : strcmp(is, "sum") == 0          ? read_sum(&json, &told->sum)
                           : strcmp(is, "next") == 0         ? (has_next = read_next(&json, ranges, told->next))
                                                             : kur__json_skip(&json);
            if (!is_read)
                break;
        }
    bool is_whole = has_next && told->state != 0 && told->term > 0 && told->owner[0] != '\0';
    return close_json(&json, is_whole && kur__json_is_over(&json));
}

kur_status kur__redrive_read_event(kur_bytes value, kur_arena *arena, kur__redrive_event *event, kur_error *error)
{
    kur__json json = open_json(value, arena, error);
    kur_bytes name;
    bool is_first = true;
    *event = (kur__redrive_event){.who = "", .note = ""};
    if (json.status == KUR_OK && kur__json_need(&json, '{'))
        while (kur__json_member(&json, &is_first, &name)) {
            const char *is = name.data;
            bool is_read = strcmp(is, "action") == 0  ? read_text(&json, &event->action)
                           : strcmp(is, "who") == 0   ? read_text(&json, &event->who)
                           : strcmp(is, "note") == 0  ? read_text(&json, &event->note)
                           : strcmp(is, "at") == 0    ? read_time(&json, &event->at_us)
                           : strcmp(is, "term") == 0  ? read_number(&json, 1, INT64_MAX, &event->term)
                           : strcmp(is, "owner") == 0 ? read_uuid(&json, event->owner)
                           : strcmp(is, "lease_ms") == 0
                               ? read_int(&json, 1, KUR__REDRIVE_LEASE_MAX_MS, &event->lease_ms)
                               : kur__json_skip(&json);
            if (!is_read)
                break;
        }
    return close_json(&json, event->action != NULL && kur__json_is_over(&json));
}
