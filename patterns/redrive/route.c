/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: where letters go. What stands on a letter may have been written by anybody, so the topic that it is
 * sent to is taken from the name of the topic that it lies in: "orders.email.dlq" belongs to "orders.email.retry-short"
 * beside it, whatever prefix the names have. The group is the letter's word, and must read that topic, or its letters
 * stay where they are. An origin is the letter's word too, and must be in the name of the topic.
 *
 * That a group reads a topic is told by its members' partitions, and by what it has committed where it has no members
 * now: a service that is stopped for its repair takes the letters when it is back.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/topic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "redrive/redrive.h"

enum {
    REBALANCE_US = 15 * 1000 * 1000
};

struct kur__router_group {
    const char *name;
    const kur_group_view *view; /* NULL: it may not be seen, or the broker has no such answer */
    kur_position_list offsets;
    const char *why; /* nothing is known of it; NULL: it is */
    struct kur__router_group *next;
};

kur_status kur__router_init(kur__router *router, kur_client *client, int timeout_ms, kur_arena *arena, kur_error *error)
{
    kur_error why = {0};
    *router = (kur__router){.timeout_ms = timeout_ms, .arena = arena};
    router->admin = kur_admin_new(client, &why);
    kur_status status = kur_admin_list_topics(router->admin, timeout_ms, arena, &router->topics, &why);
    if (status != KUR_OK && error != NULL)
        *error = why;
    return status;
}

void kur__router_done(kur__router *router)
{
    kur_admin_free(router->admin);
    router->admin = NULL;
}

const kur_topic_view *kur__router_topic(const kur__router *router, const char *name)
{
    for (size_t i = 0; i < router->topics.count; i++)
        if (strcmp(router->topics.items[i]->name, name) == 0)
            return router->topics.items[i];
    return NULL;
}

/* ---- Names ---- */

bool kur__redrive_is_spring(const char *letters)
{
    size_t size = strlen(letters);
    return size > 4 && strcmp(letters + size - 4, "-dlt") == 0;
}

/* How much of a topic of dead letters is before ".dlq" or ".dlq-SUFFIX"; of Spring's before "-dlt". */
static size_t base_of(const char *letters)
{
    size_t size = strlen(letters);
    if (kur__redrive_is_spring(letters))
        return size - 4;
    if (size > 4 && strcmp(letters + size - 4, ".dlq") == 0)
        return size - 4;
    const char *mark = NULL;
    for (const char *next = letters; (next = strstr(next, ".dlq-")) != NULL; next++)
        mark = next;
    return mark != NULL ? (size_t)(mark - letters) : size;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Whether the name of the topic tells of this origin: "ORIGIN.GROUP" or "PREFIX.ORIGIN"; Spring's "ORIGIN" or
 * "ORIGIN-…".
 */
static bool is_told(const char *letters, const char *origin, const char *group)
{
    size_t base = base_of(letters), size = strlen(origin), rest = strlen(group);
    if (kur__redrive_is_spring(letters))
        return base >= size && begins(letters, origin) && (base == size || letters[size] == '-');
    bool is_named = base == size + 1 + rest && begins(letters, origin) && letters[size] == '.' &&
                    memcmp(letters + size + 1, group, rest) == 0;
    bool is_prefixed =
        base > size + 1 && letters[base - size - 1] == '.' && memcmp(letters + base - size, origin, size) == 0;
    return is_named || is_prefixed;
}

static const char *print(kur_arena *arena, const char *first, size_t size, const char *second)
{
    char name[600];
    int length = snprintf(name, sizeof name, "%.*s%s", (int)(size < 300 ? size : 300), first, second);
    return kur_arena_copy(arena, name, (size_t)length);
}

kur__redrive_role kur__redrive_role_of(const kur__redrive_route *route, const char *topic)
{
    static const char *const tiers[] = {".retry-short", ".retry-medium", ".retry-long", ".retry-ordered"};
    const char *letters = route->view.letters, *target = route->view.target;
    size_t base = base_of(letters);
    if (strcmp(topic, target) == 0)
        return KUR__REDRIVE_WAITS;
    if (kur__redrive_is_spring(letters)) {
        size_t size = strlen(target);
        if (route->tier != KUR_TIER_MAIN && size > 6)
            size -= 6; /* "-retry" */
        bool is_of = strncmp(topic, target, size) == 0 && topic[size] == '-';
        return is_of && strcmp(topic + size, "-retry") == 0 ? KUR__REDRIVE_WAITS
               : is_of && kur__redrive_is_spring(topic)     ? KUR__REDRIVE_DEAD
                                                            : KUR__REDRIVE_NONE;
    }
    if (strncmp(topic, letters, base) != 0)
        return KUR__REDRIVE_NONE;
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++)
        if (strcmp(topic + base, tiers[i]) == 0)
            return KUR__REDRIVE_WAITS;
    return kur_letter_is_topic(topic) && base_of(topic) == base ? KUR__REDRIVE_DEAD : KUR__REDRIVE_NONE;
}

/* ---- What is followed ---- */

/* Looks for one topic among those that were seen, and asks for it when it is not there. */
struct sight {
    kur_admin *admin;
    const kur_topic_list *seen;
    int64_t until_us;
    kur_arena *arena;
};

static kur_status check_seen(const struct sight *sight, const char *name, kur_error *error)
{
    const kur_topic_view *view;
    kur_error why = {0};
    for (size_t i = 0; i < sight->seen->count; i++)
        if (strcmp(sight->seen->items[i]->name, name) == 0)
            return KUR_OK;
    int64_t left_us = sight->until_us - kur_clock_monotonic_us();
    if (left_us <= 0)
        return kur_error_set(error, KUR_ERROR_TIMEOUT, "topic %.249s: it was not asked for in time", name);
    kur_status status =
        kur_admin_describe_topic(sight->admin, name, (int)(left_us / 1000) + 1, sight->arena, &view, &why);
    if (status == KUR_ERROR_UNKNOWN_TOPIC || status == KUR_ERROR_INVALID_ARGUMENT)
        return KUR_OK; /* it has gone since, and what was in it; or it has never been */
    if (status != KUR_OK && error != NULL)
        *error = why;
    return status;
}

kur_status kur__redrive_check_seen(kur_admin *admin, const kur__redrive_plan *plan, const kur_topic_list *seen,
                                   int timeout_ms, kur_arena *arena, kur_error *error)
{
    const struct sight sight = {admin, seen, kur_clock_monotonic_us() + timeout_ms * INT64_C(1000), arena};
    kur_status status = KUR_OK;
    for (size_t i = 0; i < plan->route_count && status == KUR_OK; i++) {
        const kur_redrive_route *route = &plan->routes[i].view;
        if (route->refused[0] != '\0')
            continue;
        status = check_seen(&sight, route->target, error);
        if (status == KUR_OK)
            status = check_seen(&sight, route->letters, error);
    }
    for (size_t i = 0; i < plan->mark_count && status == KUR_OK; i++)
        if (i == 0 || strcmp(plan->marks[i].topic, plan->marks[i - 1].topic) != 0)
            status = check_seen(&sight, plan->marks[i].topic, error);
    return status;
}

/* ---- Groups ---- */

/* In a rebalance nobody has anything: it is waited out, as long as it does not take too long. */
static void describe(kur__router *router, struct kur__router_group *group)
{
    int64_t until_us = kur_clock_monotonic_us() + REBALANCE_US;
    kur_error ignored = {0};
    while (
        kur_admin_describe_group(router->admin, group->name, router->timeout_ms, router->arena, &group->view,
                                 &ignored) == KUR_OK &&
        (group->view->state == KUR_GROUP_PREPARING_REBALANCE || group->view->state == KUR_GROUP_COMPLETING_REBALANCE) &&
        kur_clock_monotonic_us() < until_us)
        nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
}

static struct kur__router_group *look_at(kur__router *router, const char *name, kur_error *error)
{
    kur_error why = {0};
    struct kur__router_group *group = router->groups;
    for (; group != NULL; group = group->next)
        if (strcmp(group->name, name) == 0)
            return group;
    group = kur_arena_alloc(router->arena, sizeof *group);
    const char *copy = kur_arena_copy(router->arena, name, strlen(name));
    if (group == NULL || copy == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a group");
        return NULL;
    }
    group->name = copy;
    group->next = router->groups;
    router->groups = group;
    kur_status status =
        kur_admin_group_offsets(router->admin, name, router->timeout_ms, router->arena, &group->offsets, &why);
    if (status == KUR_OK) {
        describe(router, group);
    } else {
        group->why = kur_arena_copy(router->arena, why.message, strlen(why.message));
    }
    return group;
}

static bool has_member(const struct kur__router_group *group, const char *topic)
{
    for (size_t i = 0; group->view != NULL && i < group->view->member_count; i++) {
        const kur_member_view *member = group->view->members[i];
        for (size_t n = 0; n < member->partition_count; n++)
            if (strcmp(member->partitions[n]->topic, topic) == 0)
                return true;
    }
    return false;
}

static bool has_committed(const struct kur__router_group *group, const char *topic)
{
    for (size_t i = 0; i < group->offsets.count; i++)
        if (strcmp(group->offsets.items[i]->topic, topic) == 0 && group->offsets.items[i]->offset >= 0)
            return true;
    return false;
}

/* ---- Routes ---- */

static bool goes_to(const kur__redrive_plan *plan, const kur__redrive_route *route, const kur_letter *letter)
{
    const char *group = letter->retry->group, *origin = letter->retry->topic;
    if (group == NULL || origin == NULL || strcmp(route->view.letters, letter->topic) != 0 ||
        strcmp(route->view.group, group) != 0 || !is_told(letter->topic, origin, group))
        return false;
    if (plan->target == KUR_REDRIVE_ORIGIN)
        return strcmp(route->view.target, origin) == 0;
    if (!kur__redrive_is_spring(letter->topic))
        return true;
    size_t size = strlen(origin);
    return strncmp(route->view.target, origin, size) == 0 && strcmp(route->view.target + size, "-retry") == 0;
}

kur__redrive_route *kur__redrive_route_of(const kur__redrive_plan *plan, const kur_letter *letter)
{
    for (size_t i = 0; i < plan->route_count; i++)
        if (goes_to(plan, &plan->routes[i], letter))
            return &plan->routes[i];
    return NULL;
}

/* Between the two retry topics the one that the group reads; by its members first. */
static kur_tier choose_tier(const kur__router *router, const struct kur__router_group *group, const char *brief,
                            const char *ordered, const char **why)
{
    bool has_short = kur__router_topic(router, brief) != NULL, has_ordered = kur__router_topic(router, ordered) != NULL;
    if (has_short != has_ordered || !has_short)
        return has_ordered ? KUR_TIER_ORDERED : KUR_TIER_SHORT;
    if (has_member(group, ordered) != has_member(group, brief))
        return has_member(group, ordered) ? KUR_TIER_ORDERED : KUR_TIER_SHORT;
    if (has_committed(group, ordered) && has_committed(group, brief) && !has_member(group, brief))
        *why = "the group has read both .retry-short and .retry-ordered: say which tier, or start its service";
    return has_committed(group, ordered) && !has_committed(group, brief) ? KUR_TIER_ORDERED : KUR_TIER_SHORT;
}

static const char *target_of(kur__router *router, const kur__redrive_plan *plan, kur_tier *tier,
                             const struct kur__router_group *group, const kur_letter *letter, const char **why)
{
    const char *origin = letter->retry->topic, *letters = letter->topic;
    size_t base = base_of(letters);
    if (plan->target == KUR_REDRIVE_ORIGIN) {
        *tier = KUR_TIER_MAIN;
        return print(router->arena, origin, strlen(origin), "");
    }
    if (kur__redrive_is_spring(letters)) {
        *tier = KUR_TIER_SHORT;
        return print(router->arena, origin, strlen(origin), "-retry");
    }
    const char *brief = print(router->arena, letters, base, ".retry-short");
    const char *ordered = print(router->arena, letters, base, ".retry-ordered");
    if (brief == NULL || ordered == NULL)
        return NULL;
    if (*tier == KUR_TIER_MAIN)
        *tier = choose_tier(router, group, brief, ordered, why);
    return *tier == KUR_TIER_ORDERED ? ordered : brief;
}

/* An old value would stand for the newest one of its key. */
static const char *check_origin(kur__router *router, const char *topic)
{
    const kur_topic_view *view = NULL;
    kur_error why = {0};
    kur_status status = kur_admin_describe_topic(router->admin, topic, router->timeout_ms, router->arena, &view, &why);
    if (status == KUR_ERROR_AUTHORIZATION)
        return "whether it is compacted cannot be seen: this user lacks DESCRIBE_CONFIGS on it";
    if (status != KUR_OK)
        return print(router->arena, "whether it is compacted cannot be seen: ", 60, why.message);
    return view->cleanup == KUR_CLEANUP_COMPACT || view->cleanup == KUR_CLEANUP_COMPACT_AND_DELETE
               ? "the topic is compacted: old values would displace newer ones"
               : NULL;
}

/* Why nothing may go there; NULL: it may. */
static const char *check(kur__router *router, const kur__redrive_plan *plan, const struct kur__router_group *group,
                         const kur_topic_view *topic, const char *target)
{
    if (topic == NULL)
        return "there is no such topic, or it is hidden from this user, who then lacks DESCRIBE on it";
    if (topic->is_internal || strcmp(target, KUR_LETTER_AUDIT_TOPIC) == 0)
        return "the topic is no service's";
    if ((plan->force & KUR_REDRIVE_FORCE_UNREAD) == 0) {
        if (group->why != NULL)
            return group->why;
        if (!has_member(group, target) && !has_committed(group, target))
            return "the group does not read it";
    }
    if (plan->target == KUR_REDRIVE_ORIGIN && (plan->force & KUR_REDRIVE_FORCE_COMPACTED) == 0)
        return check_origin(router, target);
    return NULL;
}

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a route");
}

kur_status kur__router_add(kur__router *router, kur__redrive_plan *plan, kur_tier tier, const kur_letter *letter,
                           kur__redrive_route **made, kur_error *error)
{
    const char *name = letter->retry->group, *origin = letter->retry->topic, *why = NULL;
    *made = NULL;
    if (name == NULL || name[0] == '\0' || strlen(name) > 255 || !kur_topic_is_valid(origin) ||
        !is_told(letter->topic, origin, name) || plan->route_count == KUR__REDRIVE_ROUTES_MAX)
        return KUR_OK;
    struct kur__router_group *group = look_at(router, name, error);
    if (group == NULL)
        return no_memory(error);
    const char *target = target_of(router, plan, &tier, group, letter, &why);
    const char *letters = kur_arena_copy(router->arena, letter->topic, strlen(letter->topic));
    if (target == NULL || letters == NULL)
        return no_memory(error);
    const kur_topic_view *topic = kur__router_topic(router, target);
    if (why == NULL)
        why = check(router, plan, group, topic, target);
    *made = &plan->routes[plan->route_count++];
    **made = (kur__redrive_route){.view = {.size = sizeof(*made)->view,
                                           .letters = letters,
                                           .group = group->name,
                                           .target = target,
                                           .is_running = group->view != NULL && group->view->member_count > 0,
                                           .refused = why != NULL ? why : ""},
                                  .tier = tier,
                                  .partitions = topic != NULL ? (int32_t)topic->partition_count : 0};
    return KUR_OK;
}
