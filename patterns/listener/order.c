/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: which record may run, and in which company.
 *
 * A lane has one current record: ready, parked for a retry, or running. The others wait behind it. The lane goes on to
 * the next when the handler's work is done, not when its effect is durable: effects keep their order by themselves, in
 * the producer, but for one that has failed and comes again. But for what is rejected: the next one must find it taken
 * over, so that until then nothing of the lane runs.
 *
 * A batch may hold several records of a lane, those behind the current one, one after the other in the batch. They are
 * out together, and the lane is theirs until the last has returned: then what was said counts in the order of the lane.
 * When one is to come again, all behind it come again too, after it, whatever was said of them; for them that was no
 * attempt. What returns earlier is held until then.
 *
 * When one goes away to come again in its order (ordered.c), those behind it come again likewise, to follow it.
 *
 * A record that has failed comes alone, so that a bad one is told from those that failed in its company; but for those
 * that were given a delay: that is said of a service that is away.
 */
#include "listener/ordered.h"

enum {
    TURNS_MAX = 4
};

/* ---- Lanes ---- */

void kur__make_ready(kur__machine *machine, kur__work *work)
{
    work->state = KUR__READY;
    kur__queue_push(&work->source->ready, work);
    kur__turn_push(machine, work->source);
}

/* The record at the head of a lane, or one that keeps no order. */
static void start(kur__machine *machine, kur__work *work, int64_t now_us)
{
    if (work->due_us > now_us) {
        work->state = KUR__PARKED;
        kur__park(machine, work, work->due_us);
    } else {
        kur__make_ready(machine, work);
    }
}

void kur__lane_put(kur__machine *machine, kur__lane *lane)
{
    kur__partition *partition = lane->partition;
    kur__lanes_put(&machine->lanes, lane);
    kur__partition_put(machine, partition);
}

/* The next one starts, unless something else of the lane is on its way. */
static void go_on(kur__machine *machine, kur__lane *lane, int64_t now_us)
{
    kur__work *next = lane->first;
    if (!kur__lane_is_free(lane))
        return;
    if (next == NULL) {
        if (kur__lane_is_idle(lane))
            kur__lane_put(machine, lane);
        return;
    }
    lane->first = next->next;
    lane->current = next;
    start(machine, next, now_us);
}

void kur__lane_leave(kur__machine *machine, kur__work *work, int64_t now_us)
{
    kur__lane *lane = work->lane;
    bool was_early = work->is_early;
    if (was_early)
        kur__set_early(machine, work, false);
    work->lane = NULL;
    if (lane == NULL)
        return;
    if (was_early) {
        ; /* it was beside its lane */
    } else if (work->state == KUR__SETTLING) {
        lane->rejected--;
    } else if (lane->taken > 1) {
        lane->taken--;
        lane->current = work->mate;
    } else {
        lane->taken = 0;
        lane->current = NULL;
    }
    go_on(machine, lane, now_us);
}

bool kur__lane_find(kur__machine *machine, kur__source *source, kur_bytes key, kur__lane **lane)
{
    if (machine->options.order == KUR_UNORDERED || (machine->options.order == KUR_ORDER_BY_KEY && key.data == NULL))
        return true;
    if (machine->options.order == KUR_ORDER_BY_PARTITION)
        key = kur_bytes_of("", 0);
    kur__partition *partition = source->partition->home != NULL ? source->partition->home : source->partition;
    *lane = kur__lanes_get(&machine->lanes, partition, key);
    if (*lane == NULL)
        return false;
    if (kur__lane_is_idle(*lane))
        partition->references++; /* a new lane */
    return true;
}

bool kur__ordered_give(kur__machine *machine, const kur__source *source, const kur__polled *polled, kur__lane *lane,
                       kur__origin **origin)
{
    bool is_main = source->tier == KUR_TIER_MAIN;
    if (!machine->options.keep_order || lane == NULL || polled->is_over ||
        (!is_main && source->tier != KUR_TIER_ORDERED))
        return true;
    *origin = kur__origin_new(&machine->origins);
    if (*origin == NULL)
        return false;
    (*origin)->offset = is_main ? polled->offset : polled->origin;
    (*origin)->stamp_us = polled->stamp_us;
    return true;
}

void kur__lane_enter(kur__machine *machine, kur__work *work, int64_t now_us)
{
    kur__lane *lane = work->lane;
    if (lane == NULL || kur__lane_is_free(lane)) {
        if (lane != NULL)
            lane->current = work;
        start(machine, work, now_us);
        return;
    }
    work->state = KUR__WAITING;
    work->next = NULL;
    if (lane->first == NULL)
        lane->first = work;
    else
        lane->last->next = work;
    lane->last = work;
}

void kur__lane_wait_outside(kur__machine *machine, kur__work *work)
{
    work->state = KUR__PARKED;
    kur__set_early(machine, work, true);
    kur__park(machine, work, work->due_us);
}

void kur__lane_come_in(kur__machine *machine, kur__work *work, int64_t now_us)
{
    kur__set_early(machine, work, false);
    kur__lane_enter(machine, work, now_us);
}

void kur__lanes_sweep(kur__source *source)
{
    for (const kur__work *work = source->oldest; work != NULL; work = work->newer) {
        kur__lane *lane = work->lane;
        if (lane == NULL || lane->is_swept)
            continue;
        kur__work *waiting = lane->first, *next;
        lane->is_swept = true;
        lane->first = lane->last = NULL;
        for (; waiting != NULL; waiting = next) {
            next = waiting->next;
            if (waiting->source == source)
                continue;
            waiting->next = NULL;
            if (lane->first == NULL)
                lane->first = waiting;
            else
                lane->last->next = waiting;
            lane->last = waiting;
        }
    }
    for (const kur__work *work = source->oldest; work != NULL; work = work->newer)
        if (work->lane != NULL)
            work->lane->is_swept = false;
}

/* In front of those that wait in its lane. */
static void wait_in_front(kur__work *work)
{
    kur__lane *lane = work->lane;
    work->state = KUR__WAITING;
    work->next = lane->first;
    if (lane->first == NULL)
        lane->last = work;
    lane->first = work;
}

/* ---- Dispatch ---- */

/* Whether it is there, may run, and has something that is ready. */
static bool has_turn(const kur__machine *machine, const kur__source *source)
{
    return source->state == KUR__ACTIVE && source->ready.first != NULL && kur__ordered_has_turn(machine, source);
}

/* The source whose turn it is: with a ready record; or NULL. */
static kur__source *next_turn(kur__machine *machine)
{
    kur__source *source;
    while ((source = machine->first_turn) != NULL && !has_turn(machine, source)) {
        machine->first_turn = source->next_turn;
        machine->turn_count--;
        source->has_turn = false;
        source->turns = 0;
    }
    return source;
}

/*
 * How many records in a row: one who holds more than the others gets more, so that they come to their ends together,
 * and workers are not without work while the largest is left over; but not so much that the others wait for long.
 * Records that are not due do not count, nor sources that have nothing to run: a window may be full of the ones, and of
 * retry topics most are the others.
 */
static unsigned turns_of(const kur__machine *machine, const kur__source *source)
{
    size_t held = source->held - source->early, all = machine->held - machine->early;
    size_t turns = (2 * held * machine->turn_count / all + 1) / 2;
    return turns < 1 ? 1 : turns > TURNS_MAX ? TURNS_MAX : (unsigned)turns;
}

static kur__work *take_turn(kur__machine *machine, kur__source *source)
{
    kur__work *work = kur__queue_pop(&source->ready);
    if (source->turns == 0)
        source->turns = turns_of(machine, source);
    if (--source->turns > 0 && source->ready.first != NULL)
        return work;
    machine->first_turn = source->next_turn;
    machine->turn_count--;
    source->has_turn = false;
    source->turns = 0;
    kur__turn_push(machine, source);
    return work;
}

static void run(kur__machine *machine, kur__work *work)
{
    work->state = KUR__RUNNING;
    work->mate = NULL;
    work->attempts++;
    work->source->running++;
    machine->running++;
    if (work->lane != NULL) {
        work->lane->taken++;
        work->lane->out++;
    }
}

size_t kur__machine_take(kur__machine *machine, int64_t now_us, kur__work **works, size_t capacity)
{
    size_t count = 0;
    kur__source *source;
    if (machine->is_stopping)
        return 0;
    kur__wake_parked(machine, now_us);
    while (count < capacity && (source = next_turn(machine)) != NULL) {
        works[count] = take_turn(machine, source);
        if (kur__ordered_may_run(machine, works[count], now_us))
            run(machine, works[count++]);
    }
    return count;
}

/*
 * The one behind a record that was just taken, if it can go along. Of the same source: those of a lane that are out
 * together end together, too.
 */
static kur__work *follower_of(kur__machine *machine, const kur__work *work, int64_t now_us)
{
    kur__work *next = work->lane != NULL && !work->is_alone ? work->lane->first : NULL;
    bool may_go = next != NULL && !next->is_alone && next->due_us <= now_us && next->source == work->source;
    return may_go && kur__ordered_may_go_along(machine, next) ? next : NULL;
}

kur__work *kur__machine_take_batch(kur__machine *machine, int64_t now_us, size_t most)
{
    kur__work *first = NULL, **end = &first;
    size_t count = 0;
    kur__source *source;
    if (machine->is_stopping)
        return NULL;
    kur__wake_parked(machine, now_us);
    while (count < most && (source = next_turn(machine)) != NULL) {
        if (count > 0 && (first->is_alone || source->ready.first->is_alone))
            break;
        kur__work *next = take_turn(machine, source);
        if (!kur__ordered_may_run(machine, next, now_us))
            continue;
        for (kur__work *work = next; work != NULL; work = next) {
            run(machine, work);
            *end = work;
            end = &work->mate;
            next = ++count < most ? follower_of(machine, work, now_us) : NULL;
            if (next != NULL)
                work->lane->first = next->next;
        }
    }
    return first;
}

size_t kur__machine_count_ready(kur__machine *machine, int64_t now_us, size_t most)
{
    size_t count = 0;
    kur__wake_parked(machine, now_us);
    for (const kur__source *source = machine->first_turn; source != NULL; source = source->next_turn) {
        if (!has_turn(machine, source))
            continue;
        for (const kur__work *work = source->ready.first; work != NULL; work = work->next) {
            if (work->is_alone || source->is_full)
                return most;
            count++;
            const kur__work *next = work->lane != NULL ? work->lane->first : NULL;
            for (; next != NULL && count < most; next = next->next)
                count++;
            if (count == most)
                return most;
        }
    }
    return count;
}

/* ---- What has returned ---- */

/* To its place again: it runs when it is due, and when nothing else of its lane is on its way. */
static void put_back(kur__machine *machine, kur__work *work, int64_t now_us)
{
    kur__lane *lane = work->lane;
    if (lane == NULL) {
        start(machine, work, now_us);
        return;
    }
    wait_in_front(work);
    lane->taken = 0;
    lane->current = NULL;
    go_on(machine, lane, now_us);
}

/* One of which does not count what was said, for one before it comes again. */
static void wait_again(kur__machine *machine, kur__work *work)
{
    work->source->running--;
    machine->running--;
    work->attempts--;
    work->is_alone = work->verdict.outcome != KUR_DONE && work->verdict.outcome != KUR_REJECT &&
                     !work->verdict.is_not_run && !work->verdict.has_delay;
    work->consequence = KUR__AGAIN;
    wait_in_front(work);
}

/* Those behind one that is to come again, the last first, so that they wait in their order. */
static void put_followers_back(kur__machine *machine, kur__lane *lane)
{
    kur__work *back = NULL;
    for (kur__work *work = lane->current->mate, *next; lane->taken > 1; work = next, lane->taken--) {
        next = work->mate;
        work->next = back;
        back = work;
    }
    for (kur__work *work = back, *next; work != NULL; work = next) {
        next = work->next;
        wait_again(machine, work);
    }
}

/* Those behind one that has gone to the ordered retry topic, which are what is taken of the lane now. */
static void put_rest_back(kur__machine *machine, kur__lane *lane, int64_t now_us)
{
    put_followers_back(machine, lane);
    wait_again(machine, lane->current);
    lane->taken = 0;
    lane->current = NULL;
    go_on(machine, lane, now_us);
}

static bool comes_again(const kur__work *work)
{
    return work->consequence == KUR__RETRIED || work->consequence == KUR__AGAIN;
}

/* All that were taken of a lane together have returned. */
static void conclude_taken(kur__machine *machine, kur__lane *lane, int64_t now_us)
{
    kur__work *work = lane->current, *next;
    for (uint32_t left = lane->taken; left > 0; left--, work = next) {
        next = work->mate;
        work->consequence = (uint8_t)kur__conclude(machine, work, now_us);
        if (comes_again(work)) {
            put_followers_back(machine, lane);
            put_back(machine, work, now_us);
            return;
        }
        if (work->consequence == KUR__FORWARDS && work->to == KUR_TIER_ORDERED && left > 1) {
            put_rest_back(machine, lane, now_us);
            return;
        }
    }
}

kur__consequence kur__machine_outcome(kur__machine *machine, kur__work *work, const kur__verdict *verdict,
                                      int64_t now_us)
{
    work->verdict = *verdict;
    work->consequence = KUR__HELD;
    if (work->lane != NULL) {
        if (--work->lane->out == 0)
            conclude_taken(machine, work->lane, now_us);
        return work->consequence;
    }
    work->consequence = (uint8_t)kur__conclude(machine, work, now_us);
    if (comes_again(work))
        put_back(machine, work, now_us);
    return work->consequence;
}

void kur__machine_untake(kur__machine *machine, kur__work *work)
{
    kur__lane *lane = work->lane;
    if (work->source->state == KUR__DEAD) {
        kur__machine_outcome(machine, work, &(kur__verdict){.outcome = KUR_NO_OUTCOME}, INT64_MIN);
        return;
    }
    work->source->running--;
    machine->running--;
    work->attempts--;
    if (lane != NULL) {
        lane->taken--;
        lane->out--;
    }
    if (lane != NULL && lane->current != work) {
        wait_in_front(work);
        return;
    }
    /* In front: it was the first, and in its lane it still is. */
    kur__queue *ready = &work->source->ready;
    work->state = KUR__READY;
    work->next = ready->first;
    if (ready->first == NULL)
        ready->last = work;
    ready->first = work;
    kur__turn_push(machine, work->source);
}
