/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/sys/clock.h>

#include "lag.h"
#include "text.h"

/* ---- One partition ---- */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How many offsets of a range lie in [from, to). */
static int64_t overlap(const kur_ledger_range *range, int64_t from, int64_t to)
{
    int64_t begin = larger(range->from, from), end = range->to < to ? range->to : to;
    return end > begin ? end - begin : 0;
}

static void judge(struct lag_partition *one, kur_arena *arena)
{
    const kur_partition_lag *lag = one->lag;
    kur_ledger_view ledger = KUR_LEDGER_VIEW();
    int64_t from = larger(lag->committed, lag->start_offset), reach;
    one->tier = kur_retry_tier_of(lag->topic);
    one->first = one->behind = one->first_us = one->behind_us = -1;
    if (lag->committed < 0 || kur_ledger_read(lag->metadata, lag->committed, arena, &ledger, NULL) != KUR_OK) {
        one->is_foreign = lag->committed >= 0;
        ledger.end = lag->committed;
    }
    reach = larger(from, ledger.end < lag->end_offset ? ledger.end : lag->end_offset);
    for (size_t i = 0; i < ledger.range_count; i++)
        one->done += overlap(&ledger.ranges[i], from, reach);
    one->waiting = reach - from - one->done;
    one->unread = larger(lag->end_offset - reach, 0);
    /* Retention may have taken what was unfinished, and the first that is left may be finished. */
    for (size_t i = 0; i < ledger.range_count; i++)
        if (from >= ledger.ranges[i].from && from < ledger.ranges[i].to)
            from = ledger.ranges[i].to;
    if (one->waiting > 0)
        one->first = from;
    if (one->unread > 0)
        one->behind = reach;
}

/* ---- Sums ---- */

void lag_add(struct lag_amount *amount, int64_t count, int64_t time_us)
{
    amount->count += count;
    if (count > 0 && time_us < 0)
        amount->is_known = false;
    else if (count > 0 && (amount->oldest_us < 0 || time_us < amount->oldest_us))
        amount->oldest_us = time_us;
}

void lag_sum_up(struct lag_group *group)
{
    const struct lag_amount none = {0, -1, true};
    group->waiting = group->unread = group->parked = none;
    group->done = 0;
    for (size_t i = 0; i < group->partition_count; i++) {
        const struct lag_partition *one = &group->partitions[i];
        bool is_main = one->tier == KUR_TIER_MAIN || one->tier == KUR_TIER_DEAD;
        group->done += one->done;
        group->is_foreign |= one->is_foreign;
        lag_add(is_main ? &group->waiting : &group->parked, one->waiting, one->first_us);
        lag_add(is_main ? &group->unread : &group->parked, one->unread, one->behind_us);
    }
}

int64_t lag_backlog(const struct lag_group *group)
{
    return group->waiting.count + group->unread.count + group->parked.count;
}

void lag_find_trend(struct lag_list *list, const struct lag_list *before)
{
    for (size_t i = 0; i < list->count; i++)
        for (size_t k = 0; k < before->count; k++) {
            struct lag_group *now = &list->groups[i];
            const struct lag_group *then = &before->groups[k];
            if (strcmp(now->name, then->name) != 0 || now->read_us <= then->read_us)
                continue;
            now->has_trend = true;
            now->trend = (double)(lag_backlog(now) - lag_backlog(then)) * 1e6 / (double)(now->read_us - then->read_us);
        }
}

int64_t lag_catch_up_s(const struct lag_group *group)
{
    int64_t backlog = lag_backlog(group);
    if (backlog == 0)
        return 0;
    if (!group->has_trend)
        return -2;
    return group->trend < 0 ? (int64_t)((double)backlog / -group->trend) + 1 : -1;
}

/* ---- Groups ---- */

static kur_status read_group(struct invocation *call, kur_admin *admin, kur_arena *arena, const char *name,
                             struct lag_group *group, kur_error *error)
{
    const kur_group_lag *lag;
    kur_status status = kur_admin_group_lag(admin, name, call->connection.timeout_ms, arena, &lag, error);
    if (status != KUR_OK)
        return status;
    *group = (struct lag_group){.name = lag->group,
                                .state = lag->state,
                                .lag = lag->lag,
                                .read_us = kur_clock_monotonic_us(),
                                .partition_count = lag->partition_count};
    group->partitions = kur_arena_alloc(arena, (lag->partition_count + 1) * sizeof *group->partitions);
    text_need(group->partitions != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < lag->partition_count; i++) {
        group->partitions[i] = (struct lag_partition){.lag = lag->partitions[i]};
        judge(&group->partitions[i], arena);
    }
    lag_sum_up(group);
    return KUR_OK;
}

static int list_names(struct invocation *call, kur_admin *admin, kur_arena *arena, const char *const **names,
                      size_t *count)
{
    kur_error error = {0};
    kur_group_list list;
    *names = call->arguments;
    *count = call->argument_count;
    if (call->argument_count > 0)
        return EXIT_DONE;
    if (kur_admin_list_groups(admin, call->connection.timeout_ms, arena, &list, &error) != KUR_OK)
        return command_error(call->noun, &error);
    const char **all = kur_arena_alloc(arena, (list.count + 1) * sizeof *all);
    text_need(all != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < list.count; i++)
        all[i] = list.items[i]->name;
    *names = all;
    *count = list.count;
    return EXIT_DONE;
}

int lag_read(struct invocation *call, kur_admin *admin, kur_arena *arena, struct lag_list *list)
{
    const char *const *names;
    size_t count;
    int failed = 0;
    list->count = 0;
    int status = list_names(call, admin, arena, &names, &count);
    if (status != EXIT_DONE)
        return status;
    list->groups = kur_arena_alloc(arena, (count + 1) * sizeof *list->groups);
    text_need(list->groups != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < count; i++) {
        kur_error error = {0};
        kur_status read = read_group(call, admin, arena, names[i], &list->groups[list->count], &error);
        if (read == KUR_OK) {
            list->count++;
        } else if (read != KUR_ERROR_UNKNOWN_TOPIC || call->argument_count > 0) {
            command_note(call->noun, "%s", error.message);
            failed++;
            if (read == KUR_ERROR_TIMEOUT)
                break; /* the others would take as long */
        }
    }
    return failed == 0 ? EXIT_DONE : list->count > 0 ? EXIT_PARTIAL : EXIT_FAILED;
}
