/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Every record that was admitted and is not finished is a work. It stands in exactly one place: in its lane (behind
 * the one that is current there), among the parked, in the ready queue of its source, in the hands of a worker, or in
 * the queue of effects. All works of a source are linked as well, by offset, so that a source can end.
 *
 * When a source ends, what runs keeps its lane until it returns; everything else of it is gone at once. A work whose
 * source is dead is only there to be given back.
 *
 * Memory is taken when a record is admitted, and never after: no outcome, no end of a partition and no commit can fail.
 */
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/ordered.h"

enum {
    WORKS_IN_CHUNK = 256
};

struct kur__work_chunk {
    struct kur__work_chunk *next;
    kur__work works[WORKS_IN_CHUNK];
};

/* ---- Queues and works ---- */

void kur__queue_push(kur__queue *queue, kur__work *work)
{
    work->next = NULL;
    if (queue->first == NULL)
        queue->first = work;
    else
        queue->last->next = work;
    queue->last = work;
}

kur__work *kur__queue_pop(kur__queue *queue)
{
    kur__work *work = queue->first;
    if (work != NULL)
        queue->first = work->next;
    return work;
}

void kur__queue_forget(kur__queue *queue, const kur__source *source)
{
    kur__queue kept = {NULL, NULL};
    for (kur__work *work; (work = kur__queue_pop(queue)) != NULL;)
        if (work->source != source)
            kur__queue_push(&kept, work);
    *queue = kept;
}

static kur__work *work_new(kur__machine *machine)
{
    if (machine->free_works == NULL) {
        struct kur__work_chunk *chunk = kur_malloc(sizeof *chunk);
        if (chunk == NULL)
            return NULL;
        chunk->next = machine->chunks;
        machine->chunks = chunk;
        for (int i = WORKS_IN_CHUNK - 1; i >= 0; i--) {
            chunk->works[i].next = machine->free_works;
            machine->free_works = &chunk->works[i];
        }
    }
    kur__work *work = machine->free_works;
    machine->free_works = work->next;
    return work;
}

static void work_free(kur__machine *machine, kur__work *work)
{
    work->next = machine->free_works;
    machine->free_works = work;
}

bool kur__machine_next_release(kur__machine *machine, kur__released *released)
{
    kur__work *work = kur__queue_pop(&machine->released);
    if (work == NULL)
        return false;
    *released = (kur__released){work->item, work->extra, work->is_copy};
    work_free(machine, work);
    return true;
}

void kur__work_release(kur__machine *machine, kur__work *work)
{
    kur__source *source = work->source;
    if (work->newer != NULL)
        work->newer->older = work->older;
    else
        source->newest = work->older;
    if (work->older != NULL)
        work->older->newer = work->newer;
    else
        source->oldest = work->newer;
    source->held--;
    source->held_bytes -= work->bytes;
    machine->held--;
    machine->held_bytes -= work->bytes;
    if (source->tier != KUR_TIER_MAIN) {
        machine->window_held--;
        machine->window_held_bytes -= work->bytes;
        source->moving -= work->is_moved;
    }
    kur__queue_push(&machine->released, work);
}

/* ---- Admission ---- */

static void link_work(kur__machine *machine, kur__source *source, kur__work *work)
{
    work->older = source->newest;
    if (source->newest != NULL)
        source->newest->newer = work;
    else
        source->oldest = work;
    source->newest = work;
    source->held++;
    source->held_bytes += work->bytes;
    machine->held++;
    machine->held_bytes += work->bytes;
    if (source->tier != KUR_TIER_MAIN) {
        machine->window_held++;
        machine->window_held_bytes += work->bytes;
    }
}

static const int64_t longest_us = 3600 * INT64_C(1000000); /* through an ordered topic */

/* Where a record begins that was just admitted. */
static void begin(kur__machine *machine, kur__work *work, const kur__polled *polled, int64_t now_us)
{
    bool is_early = work->due_us > now_us, is_main = work->source->tier == KUR_TIER_MAIN, is_over = polled->is_over;
    if (work->origin != NULL && !is_main) {
        if (!kur__ordered_admit(machine, work, polled, now_us))
            kur__finish_unread(machine, work, now_us);
        return;
    }
    if (!is_over && (!is_early || !is_main)) {
        if (is_early)
            kur__lane_wait_outside(machine, work);
        else
            kur__lane_enter(machine, work, now_us);
        return;
    }
    kur__set_early(machine, work, true); /* it only looks in */
    if (is_over) {
        kur__finish_unread(machine, work, now_us);
        return;
    }
    work->is_unrun = true;
    work->then_us = work->due_us;
    work->to = (uint8_t)kur__ordered_tier(machine, work, work->due_us - now_us);
    kur__settle(machine, work, machine->options.exactly_once ? KUR__EFFECT_TRANSACTION : KUR__EFFECT_FORWARD, now_us);
}

kur__admission kur__machine_admit(kur__machine *machine, kur__source *source, const kur__polled *polled, int64_t now_us)
{
    if (source->state != KUR__ACTIVE || polled->offset <= source->ledger.last)
        return KUR__ADMITTED_REPLAY;
    if (!kur__park_reserve(machine))
        return KUR__ADMITTED_NO_MEMORY;
    kur__work *work = work_new(machine);
    if (work == NULL)
        return KUR__ADMITTED_NO_MEMORY;
    kur__lane *lane = NULL;
    kur__origin *origin = NULL;
    kur__admission admission = KUR__ADMITTED_NO_MEMORY;
    if (kur__lane_find(machine, source, polled->key, &lane) &&
        kur__ordered_give(machine, source, polled, lane, &origin))
        admission = kur__ledger_admit(&source->ledger, polled->offset);
    if (admission == KUR__ADMITTED_DONE) {
        kur__ordered_read(machine, source, now_us);
        source->is_dirty = true;
        machine->finished_since_commit++;
    }
    if (admission != KUR__ADMITTED) {
        if (origin != NULL)
            kur__origin_free(&machine->origins, origin);
        kur__ordered_seen(machine, source, lane, now_us);
        if (lane != NULL && kur__lane_is_idle(lane))
            kur__lane_put(machine, lane);
        work_free(machine, work);
        return admission;
    }
    *work = (kur__work){.source = source,
                        .lane = lane,
                        .offset = polled->offset,
                        .due_us = polled->due_us,
                        .first_us = polled->first_us,
                        .attempts = polled->attempts,
                        .origin = origin,
                        .landed = -1,
                        .item = polled->item,
                        .bytes = polled->bytes};
    link_work(machine, source, work);
    kur__ordered_seen(machine, source, lane, now_us);
    if (source->tier != KUR_TIER_MAIN)
        kur__window_read(source, work, polled, now_us);
    begin(machine, work, polled, now_us);
    kur__ordered_read(machine, source, now_us);
    kur__flow_update(machine, source);
    return KUR__ADMITTED;
}

static void queue_effect(kur__machine *machine, kur__work *work)
{
    if (work->effect == KUR__EFFECT_TRANSACTION)
        kur__transaction_collect(machine, work);
    else
        kur__queue_push(&machine->effects, work);
}

/* Those whose time has come: to run, or for their effect to be tried again. */
void kur__wake_parked(kur__machine *machine, int64_t now_us)
{
    while (machine->parked_count > 0 && machine->parked[0]->due_us <= now_us) {
        kur__work *work = machine->parked[0];
        kur__unpark(machine, work);
        if (work->state == KUR__SETTLING)
            queue_effect(machine, work);
        else if (work->is_early && work->origin != NULL)
            kur__ordered_wake(machine, work, now_us);
        else if (work->is_early)
            kur__lane_come_in(machine, work, now_us);
        else
            kur__make_ready(machine, work);
    }
}

/* ---- Outcomes ---- */

/* A running record of an epoch that has ended has returned. */
static void bury(kur__machine *machine, kur__work *work, int64_t now_us)
{
    kur__source *source = work->source;
    kur__lane_leave(machine, work, now_us);
    kur__work_release(machine, work);
    kur__source_free_if_over(machine, source);
    kur__flow_update_sum(machine);
}

void kur__finish_unread(kur__machine *machine, kur__work *work, int64_t now_us)
{
    work->is_unrun = true;
    if (machine->options.exactly_once) {
        kur__settle(machine, work, KUR__EFFECT_TRANSACTION, now_us);
        return;
    }
    kur__lane_leave(machine, work, now_us);
    kur__finish(machine, work);
}

void kur__finish(kur__machine *machine, kur__work *work)
{
    kur__source *source = work->source;
    if (work->origin != NULL)
        kur__ordered_finish(machine, work);
    kur__ledger_finish(&source->ledger, work->offset);
    source->finished++;
    if (work->offset >= source->finished_to)
        source->finished_to = work->offset + 1;
    if (!machine->options.exactly_once) { /* else it is committed already */
        source->is_dirty = true;
        machine->finished_since_commit++;
    }
    machine->finished++;
    kur__work_release(machine, work);
    if (source->state == KUR__ACTIVE)
        kur__flow_update(machine, source);
    else
        kur__flow_update_sum(machine);
}

void kur__settle(kur__machine *machine, kur__work *work, kur__effect effect, int64_t now_us)
{
    kur__lane *lane = effect == KUR__EFFECT_REJECT ? work->lane : NULL;
    if (work->origin != NULL)
        kur__ordered_settle(machine, work);
    if (lane != NULL)
        lane->rejected++; /* which holds it until somebody has taken the record over */
    kur__lane_leave(machine, work, now_us);
    work->lane = lane;
    work->state = KUR__SETTLING;
    work->effect = (uint8_t)effect;
    work->source->settling++;
    machine->settling++;
    queue_effect(machine, work);
}

/* Whether the policy gives a record that has failed another attempt, and when. */
static bool may_retry(kur__machine *machine, kur__work *work, const kur__verdict *verdict, int64_t now_us,
                      int64_t *due_us)
{
    const kur__machine_options *options = &machine->options;
    if (work->first_us == 0)
        work->first_us = now_us;
    if (verdict->is_hopeless || (options->attempts > 0 && work->attempts >= options->attempts))
        return false;
    int64_t delay_us = verdict->has_delay
                           ? verdict->delay_us
                           : kur__back_off_us(machine, options->delay_us, options->delay_max_us, work->attempts);
    delay_us = delay_us > 0 ? delay_us : 0;
    if (options->keep_order && delay_us > longest_us)
        delay_us = longest_us;
    *due_us = now_us < INT64_MAX - delay_us ? now_us + delay_us : INT64_MAX;
    return options->timeout_us == 0 || *due_us - work->first_us <= options->timeout_us;
}

static bool goes_by_topic(const kur__machine *machine, const kur__work *work)
{
    const kur__machine_options *options = &machine->options;
    return options->mode == KUR_RETRY_BY_TOPIC ||
           (options->mode == KUR_RETRY_IN_PLACE_THEN_BY_TOPIC && work->attempts >= options->in_place_attempts);
}

/* By that effect, or with all else that there is to say in a transaction. */
static void settle_as(kur__machine *machine, kur__work *work, kur__effect effect, int64_t now_us)
{
    kur__settle(machine, work, machine->options.exactly_once ? KUR__EFFECT_TRANSACTION : effect, now_us);
}

kur__consequence kur__conclude(kur__machine *machine, kur__work *work, int64_t now_us)
{
    int64_t due_us;
    const kur__verdict *verdict = &work->verdict;
    work->source->running--;
    machine->running--;
    if (work->source->state == KUR__DEAD) {
        bury(machine, work, now_us);
        return KUR__STALE;
    }
    if (verdict->is_not_run) {
        work->attempts--;
        if (verdict->has_delay)
            work->due_us = now_us < INT64_MAX - verdict->delay_us ? now_us + verdict->delay_us : INT64_MAX;
        return KUR__AGAIN;
    }
    if (verdict->outcome == KUR_DONE && !verdict->has_emits && !machine->options.exactly_once) {
        if (work->origin != NULL)
            kur__ordered_settle(machine, work);
        kur__lane_leave(machine, work, now_us);
        kur__finish(machine, work);
        return KUR__FINISHED;
    }
    if (verdict->outcome == KUR_DONE) {
        settle_as(machine, work, KUR__EFFECT_EMIT, now_us);
        return KUR__SETTLES;
    }
    if (verdict->outcome != KUR_REJECT && may_retry(machine, work, verdict, now_us, &due_us)) {
        work->due_us = due_us;
        if (goes_by_topic(machine, work)) {
            work->then_us = due_us;
            work->to = (uint8_t)kur__ordered_tier(machine, work, due_us - now_us);
            settle_as(machine, work, KUR__EFFECT_FORWARD, now_us);
            return KUR__FORWARDS;
        }
        work->is_alone = !verdict->has_delay;
        return KUR__RETRIED;
    }
    work->to = machine->options.has_dead_letters ? KUR_TIER_DEAD : KUR_TIER_MAIN;
    if (work->to == KUR_TIER_DEAD)
        settle_as(machine, work, KUR__EFFECT_FORWARD, now_us);
    else
        kur__settle(machine, work, KUR__EFFECT_REJECT, now_us);
    return KUR__REJECTS;
}

kur__work *kur__machine_next_effect(kur__machine *machine, int64_t now_us)
{
    kur__wake_parked(machine, now_us);
    kur__window_turn(machine, now_us);
    for (;;) {
        kur__work *work = kur__queue_pop(&machine->effects);
        if (work == NULL)
            return NULL;
        bool is_ordered = work->to == KUR_TIER_ORDERED && work->effect == KUR__EFFECT_FORWARD;
        if (work->source->state != KUR__AWAY && is_ordered && !kur__ordered_may_send(machine, work->source)) {
            kur__park(machine, work, now_us + machine->options.effect_delay_us);
            continue;
        }
        if (work->source->state != KUR__AWAY) {
            if (is_ordered)
                kur__ordered_send(work);
            work->issued = true;
            return work;
        }
        kur__queue_push(&work->source->held_effects, work);
    }
}

void kur__machine_effect(kur__machine *machine, kur__work *work, bool is_durable, int64_t now_us)
{
    kur__source *source = work->source;
    work->issued = false;
    is_durable = is_durable && (source->state == KUR__DEAD || kur__ordered_has_landed(work));
    if (is_durable || source->state == KUR__DEAD)
        kur__lane_leave(machine, work, now_us); /* which one that was rejected has held */
    if (is_durable && source->state != KUR__DEAD && machine->options.exactly_once) {
        work->effect = KUR__EFFECT_TRANSACTION; /* it was rejected, and somebody has it */
        work->tries = 0;
        kur__transaction_collect(machine, work);
        return;
    }
    if (is_durable || source->state == KUR__DEAD) {
        source->settling--;
        machine->settling--;
        if (source->state != KUR__DEAD) {
            kur__finish(machine, work);
            return;
        }
        kur__work_release(machine, work);
        kur__source_free_if_over(machine, source);
        kur__flow_update_sum(machine);
        return;
    }
    work->tries++;
    kur__park(machine, work,
              now_us + kur__back_off_us(machine, machine->options.effect_delay_us, machine->options.effect_delay_max_us,
                                        work->tries));
}

/* ---- Beginning and end ---- */

kur_status kur__machine_init(kur__machine *machine, const kur__machine_options *options, kur_error *error)
{
    if (options->text_limit > KUR__LEDGER_TEXT_MAX || options->hold_records == 0 || options->hold_bytes <= 0 ||
        options->jitter < 0 || options->jitter > 1 || options->multiplier < 1)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the listener's options are not valid");
    *machine = (kur__machine){.options = *options, .random = options->seed | 1, .lanes.seed = options->seed};
    machine->next_commit_again_us = INT64_MAX;
    machine->in_transaction_most = (size_t)options->commit_records;
    kur__flow_share(machine);
    return KUR_OK;
}

/* Nobody is behind anybody any more: a lane is there as long as a work that it is the lane of. */
static void forget_order(kur__machine *machine)
{
    for (kur__source *source = machine->oldest; source != NULL; source = source->newer)
        for (kur__work *work = source->oldest; work != NULL; work = work->newer)
            if (work->lane != NULL) {
                work->lane->first = work->lane->current = NULL;
                work->lane->rejected = work->lane->early = 0;
            }
    for (kur__source *source = machine->oldest; source != NULL; source = source->newer)
        for (kur__work *work = source->oldest; work != NULL; work = work->newer)
            if (work->lane != NULL && work->is_early)
                work->lane->early++;
            else if (work->lane != NULL)
                kur__set_early(machine, work, true);
}

void kur__machine_done(kur__machine *machine)
{
    forget_order(machine);
    while (machine->oldest != NULL) {
        kur__source *source = machine->oldest;
        source->in_commit = 0;
        while (source->oldest != NULL) {
            kur__work *work = source->oldest;
            kur__lane_leave(machine, work, INT64_MIN);
            kur__work_release(machine, work);
        }
        atomic_store(&source->state, KUR__DEAD);
        kur__source_free_if_over(machine, source);
    }
    while (machine->chunks != NULL) {
        struct kur__work_chunk *next = machine->chunks->next;
        kur_free(machine->chunks);
        machine->chunks = next;
    }
    kur_free(machine->parked);
    kur__ordered_done(machine);
    kur__lanes_done(&machine->lanes);
    kur__partitions_done(machine);
}

void kur__machine_stop(kur__machine *machine)
{
    machine->is_stopping = true;
}

bool kur__machine_is_drained(const kur__machine *machine)
{
    return machine->running == 0 && machine->settling == 0;
}
