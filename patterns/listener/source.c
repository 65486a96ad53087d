/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the sources of partitions, from assignment to end.
 *
 * Whether a partition that comes back is the same: by the group's generation. When it is exactly one higher than when
 * it went, nobody owned the partition between, and everything goes on, unless it is another log by now. Otherwise
 * somebody may have run on: the source ends, and a new one begins at the committed offset.
 */
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/ordered.h"

kur__source *kur__machine_find(const kur__machine *machine, const char *topic, int32_t number)
{
    kur__source *source = kur__machine_source(machine, topic, number);
    return source != NULL && source->state == KUR__ACTIVE ? source : NULL;
}

void kur__turn_push(kur__machine *machine, kur__source *source)
{
    if (source->has_turn || source->state != KUR__ACTIVE || source->ready.first == NULL ||
        !kur__ordered_has_turn(machine, source))
        return;
    source->has_turn = true;
    source->next_turn = NULL;
    machine->turn_count++;
    if (machine->first_turn == NULL)
        machine->first_turn = source;
    else
        machine->last_turn->next_turn = source;
    machine->last_turn = source;
}

void kur__source_free_if_over(kur__machine *machine, kur__source *source)
{
    if (source->state != KUR__DEAD || source->oldest != NULL || source->in_commit > 0)
        return;
    for (kur__source **at = &machine->first_turn; *at != NULL; at = &(*at)->next_turn)
        if (*at == source) {
            *at = source->next_turn;
            machine->turn_count--;
            break;
        }
    machine->last_turn = machine->first_turn;
    while (machine->last_turn != NULL && machine->last_turn->next_turn != NULL)
        machine->last_turn = machine->last_turn->next_turn;
    if (source->newer != NULL)
        source->newer->older = source->older;
    else
        machine->newest = source->older;
    if (source->older != NULL)
        source->older->newer = source->newer;
    else
        machine->oldest = source->newer;
    kur__ledger_done(&source->ledger);
    kur__partition_put(machine, source->partition);
    kur_free(source);
}

/* ---- Assignment and end ---- */

static kur__source *source_new(kur__machine *machine, kur__partition *partition, const kur__assignment *assignment)
{
    kur__source *source = kur_calloc(1, sizeof *source);
    if (source == NULL)
        return NULL;
    source->partition = partition;
    source->log = assignment->log;
    source->generation = assignment->generation;
    source->tier = assignment->tier;
    source->committed = source->commit_sent = assignment->is_committed ? assignment->start : -1;
    source->is_dirty = !assignment->is_committed;
    atomic_init(&source->state, KUR__ACTIVE);
    source->older = machine->newest;
    if (machine->newest != NULL)
        machine->newest->newer = source;
    else
        machine->oldest = source;
    machine->newest = source;
    return source;
}

static bool goes_on(const kur__source *source, const kur__assignment *assignment)
{
    return source != NULL && source->state == KUR__AWAY && source->generation >= 0 &&
           assignment->generation == source->generation + 1 &&
           kur__ledger_log_differs(&source->log, &assignment->log) == NULL;
}

static void come_back(kur__machine *machine, kur__source *source, int64_t generation, int64_t now_us)
{
    source->generation = generation;
    atomic_store(&source->state, KUR__ACTIVE);
    source->is_dirty = true;
    while (source->held_effects.first != NULL)
        kur__queue_push(&machine->effects, kur__queue_pop(&source->held_effects));
    kur__turn_push(machine, source);
    kur__ordered_turn(machine, source, now_us);
}

kur_status kur__machine_assign(kur__machine *machine, const kur__assignment *assignment, kur__source **result,
                               int64_t *position, int64_t now_us, kur_error *warning, kur_error *error)
{
    warning->code = KUR_OK;
    kur__partition *partition = kur__partition_get(machine, assignment->topic, assignment->partition, assignment->home);
    if (partition == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a partition");
    kur__source *source = partition->source;
    if (goes_on(source, assignment)) {
        come_back(machine, source, assignment->generation, now_us);
        kur__partition_put(machine, partition); /* the source holds a reference of its own */
    } else {
        source = source_new(machine, partition, assignment);
        if (source == NULL) {
            kur__partition_put(machine, partition);
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a partition");
        }
        if (partition->source != NULL)
            kur__machine_drop(machine, partition->source);
        partition->source = source;
        machine->sources++;
        machine->main_sources += source->tier == KUR_TIER_MAIN;
        kur__flow_share(machine);
        kur__ledger_read(&source->ledger, assignment->start, &source->log, assignment->text, warning);
        source->finished_to = kur__ledger_end(&source->ledger);
        kur__commit_keep_told(machine, source);
        kur__ordered_begin(machine, source, assignment);
        if (machine->options.exactly_once && warning->code != KUR_OK) { /* what is beside the commit goes first */
            source->committed = -1;
            source->is_dirty = true;
        }
    }
    machine->finished_since_commit += source->is_dirty;
    if (machine->next_commit_again_us == INT64_MAX)
        machine->next_commit_again_us = now_us + machine->options.commit_again_us;
    kur__flow_update(machine, source); /* it may have been full when it went */
    kur__flow_update_all(machine);
    *result = source;
    *position = source->ledger.last + 1;
    return KUR_OK;
}

void kur__machine_new_epoch(kur__machine *machine, kur__source *source, int32_t epoch)
{
    (void)machine;
    bool was_known = source->log.epoch != 0; /* else it may be the one in which all of that was told */
    source->log.epoch = epoch;
    source->is_dirty = true;
    if (!was_known)
        return;
    source->ledger.done_head = source->ledger.done_count;
    if (source->finished_to > source->ledger.last + 1)
        source->finished_to = source->ledger.last + 1;
}

void kur__machine_suspend(kur__machine *machine, kur__source *source)
{
    (void)machine;
    if (source->state == KUR__ACTIVE)
        atomic_store(&source->state, KUR__REVOKING);
}

void kur__machine_leave(kur__machine *machine, kur__source *source)
{
    (void)machine;
    if (source->state == KUR__DEAD)
        return;
    atomic_store(&source->state, KUR__AWAY);
    source->to_commit = false;
}

/* What of a source is not in somebody's hands. Lanes that are taken stay so. */
static void clear(kur__machine *machine, kur__source *source)
{
    kur__lanes_sweep(source);
    for (kur__work *work = source->oldest, *next; work != NULL; work = next) {
        next = work->newer;
        if (work->state == KUR__RUNNING || work->issued)
            continue;
        kur__unpark(machine, work);
        if (work->state == KUR__SETTLING) {
            source->settling--;
            machine->settling--;
        }
        if (work->state != KUR__WAITING)
            kur__lane_leave(machine, work, INT64_MIN);
        kur__work_release(machine, work);
    }
}

void kur__machine_drop(kur__machine *machine, kur__source *source)
{
    if (source->state == KUR__DEAD)
        return;
    atomic_store(&source->state, KUR__DEAD);
    source->to_commit = false;
    source->ready = source->held_effects = source->settled = (kur__queue){NULL, NULL};
    kur__queue_forget(&machine->effects, source); /* those that were not begun */
    kur__queue_forget(&machine->again, source);
    kur__ordered_drop(machine, source);
    clear(machine, source);
    source->partition->source = NULL;
    machine->sources--;
    machine->main_sources -= source->tier == KUR_TIER_MAIN;
    kur__flow_share(machine);
    kur__source_free_if_over(machine, source);
    kur__flow_update_all(machine);
}

bool kur__machine_drop_one(kur__machine *machine)
{
    kur__source *source = machine->oldest;
    while (source != NULL && source->state == KUR__DEAD)
        source = source->newer;
    if (source != NULL)
        kur__machine_drop(machine, source);
    return source != NULL;
}

/* ---- What goes to its ordered retry topic ---- */

const char *kur__ordered_why(const kur__machine *machine, const kur__source *source)
{
    if (kur__ordered_is_open(machine, source))
        return NULL;
    const kur__partition *home = source->partition->home != NULL ? source->partition->home : source->partition;
    if (home->source == NULL || home->source->state != KUR__ACTIVE)
        return "the partition of the topic itself is not assigned here";
    if (home->ordered == NULL || home->ordered->state != KUR__ACTIVE)
        return "its partition of the ordered retry topic is not assigned here";
    return "the ordered retry topic is being read up to its end";
}

bool kur__ordered_has_turn(const kur__machine *machine, const kur__source *source)
{
    if (kur__ordered_is_open(machine, source))
        return true;
    return source->tier == KUR_TIER_ORDERED && source->ready.first->origin == NULL;
}

/*
 * With keep_order, what waits in the other retry topics is from before, and has left the order: it goes round in its
 * own one until it is through.
 */
kur_tier kur__ordered_tier(const kur__machine *machine, const kur__work *work, int64_t delay_us)
{
    if (!machine->options.keep_order)
        return kur_retry_tier_for(delay_us);
    return work->source->tier == KUR_TIER_MAIN ? KUR_TIER_ORDERED : work->source->tier;
}

bool kur__ordered_may_send(const kur__machine *machine, const kur__source *source)
{
    if (!machine->options.keep_order || source->tier != KUR_TIER_MAIN)
        return true;
    const kur__source *retry = source->partition->ordered;
    return retry != NULL && kur__source_is_ours(retry);
}

void kur__ordered_send(kur__work *work)
{
    if (work->origin != NULL && work->source->tier == KUR_TIER_MAIN)
        work->origin->through = work->source->partition->ordered->serial;
}

bool kur__ordered_has_landed(const kur__work *work)
{
    if (work->origin == NULL || work->source->tier != KUR_TIER_MAIN || work->to != KUR_TIER_ORDERED)
        return true;
    const kur__source *retry = work->source->partition->ordered;
    return retry != NULL && kur__source_is_ours(retry) && retry->serial == work->origin->through;
}
