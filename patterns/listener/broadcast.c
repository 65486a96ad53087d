/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: when a broadcast has caught up. Each partition that was there at the start has a goal: the end of its
 * log then. It is reached when nothing below it is held any more, and nothing below it can come: it was admitted up to
 * there, or the consumer's position has passed it, as it does where no records are: in an empty partition, and behind
 * marks of transactions. The position is asked for only when the last poll gave nothing, for a poll may give records
 * that are not admitted yet.
 *
 * A goal that is reached is gone; when none is left and none is to come, it is told, once.
 */
#include <inttypes.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/shell.h"

void kur__broadcast_aim(kur_listener *listener, const kur_position *position)
{
    if (listener->options.audience != KUR_BROADCAST || listener->are_goals_known || position->end <= position->offset)
        return;
    size_t size = strlen(position->topic) + 1;
    struct kur__goal *goal = kur_malloc(sizeof *goal + size);
    if (goal == NULL) {
        kur_error error;
        kur_error_set(&error, KUR_ERROR_NO_MEMORY, "out of memory: a partition");
        kur__listener_fail(listener, &error);
        return;
    }
    *goal = (struct kur__goal){.next = listener->goals, .end = position->end, .partition = position->partition};
    memcpy(goal->topic, position->topic, size);
    listener->goals = goal;
}

void kur__broadcast_lower(kur_listener *listener, const kur_gap *gap)
{
    int64_t end = gap->high >= 0 ? gap->high : gap->low;
    for (struct kur__goal *goal = listener->goals; goal != NULL; goal = goal->next)
        if (end >= 0 && goal->partition == gap->partition && strcmp(goal->topic, gap->topic) == 0 && goal->end > end)
            goal->end = end;
}

static bool is_reached(const kur_listener *listener, const struct kur__goal *goal)
{
    const kur__source *source = kur__machine_source(&listener->machine, goal->topic, goal->partition);
    if (source != NULL && source->oldest != NULL && source->oldest->offset < goal->end)
        return false;
    if (source != NULL && source->ledger.last + 1 >= goal->end)
        return true;
    int64_t position = -1;
    return listener->polled_count == 0 &&
           kur_consumer_position(listener->consumer, goal->topic, goal->partition, &position, NULL) == KUR_OK &&
           position >= goal->end;
}

void kur__broadcast_look(kur_listener *listener)
{
    if (listener->options.audience != KUR_BROADCAST || atomic_load(&listener->is_caught_up))
        return;
    for (struct kur__goal **at = &listener->goals; *at != NULL;) {
        struct kur__goal *goal = *at;
        if (is_reached(listener, goal)) {
            *at = goal->next;
            kur_free(goal);
        } else {
            at = &goal->next;
        }
    }
    if (listener->goals != NULL || !listener->are_goals_known || listener->is_leaving)
        return;
    atomic_store(&listener->is_caught_up, true);
    kur_client_log(listener->client, KUR_LOG_INFO, "group %s: caught up", listener->group);
    if (listener->options.on_caught_up != NULL)
        listener->options.on_caught_up(listener, listener->options.user);
}

void kur__broadcast_done(kur_listener *listener)
{
    while (listener->goals != NULL) {
        struct kur__goal *next = listener->goals->next;
        kur_free(listener->goals);
        listener->goals = next;
    }
}
