/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The order of keys through a retry topic: see ordered.c.
 */
#ifndef KURIER_PATTERNS_LISTENER_ORDERED_H
#define KURIER_PATTERNS_LISTENER_ORDERED_H

#include "listener/machine.h"

/* It waits beside its lane from now on, or does no more. */
static inline void kur__set_early(kur__machine *machine, kur__work *work, bool is_early)
{
    size_t by = is_early ? 1 : (size_t)-1;
    work->is_early = is_early;
    work->source->early += by;
    machine->early += by;
    if (work->lane != NULL)
        work->lane->early += (uint32_t)by;
}

/* For the shell: what assignment.end left open; and up to where it has been read. */
void kur__machine_set_end(kur__machine *machine, kur__source *source, int64_t end, int64_t now_us);
void kur__machine_reached(kur__machine *machine, kur__source *source, int64_t position, int64_t now_us);

/* With keep_order, what has a lane has an origin; but for what is not told to anybody. False: no memory. */
bool kur__ordered_give(kur__machine *machine, const kur__source *source, const kur__polled *polled, kur__lane *lane,
                       kur__origin **origin);

/* Takes a copy in: it waits beside its lane. False: it is to be finished unread. */
bool kur__ordered_admit(kur__machine *machine, kur__work *work, const kur__polled *polled, int64_t now_us);

/* Whether a ready record is the one that may run. If not, it has been put where it belongs. */
bool kur__ordered_may_run(kur__machine *machine, kur__work *work, int64_t now_us);

/* Whether one may go along with a record of its lane that was just taken. */
bool kur__ordered_may_go_along(kur__machine *machine, const kur__work *work);

/* It has its outcome: its forward begins, or its key need not wait for it any more. */
void kur__ordered_settle(kur__machine *machine, kur__work *work);

/* It is finished: its forward is there. */
void kur__ordered_finish(kur__machine *machine, kur__work *work);

/* Whether its end is not reached yet, or not known. */
static inline bool kur__source_is_reading_up(const kur__machine *machine, const kur__source *source)
{
    return machine->options.keep_order && !source->is_through &&
           (source->tier == KUR_TIER_MAIN || source->tier == KUR_TIER_ORDERED);
}

/* One of its records has been read. */
void kur__ordered_read(kur__machine *machine, kur__source *source, int64_t now_us);

/* And of a main one, which belongs to this lane. */
void kur__ordered_seen(kur__machine *machine, const kur__source *source, kur__lane *lane, int64_t now_us);

/* A copy's time has come. */
void kur__ordered_wake(kur__machine *machine, kur__work *work, int64_t now_us);

/* Whether window.c may move it to the end of its topic. */
bool kur__ordered_may_move(kur__machine *machine, const kur__work *work);

/* Whether records of a source may run, as far as the order is concerned. */
bool kur__ordered_is_open(const kur__machine *machine, const kur__source *source);

/* Whether the next ready one of a source may: what keeps no order does not wait for it, and makes room for what does.
 */
bool kur__ordered_has_turn(const kur__machine *machine, const kur__source *source);

/* The retry topic for a record that is to be tried again after this delay. */
kur_tier kur__ordered_tier(const kur__machine *machine, const kur__work *work, int64_t delay_us);

/* Why nothing of a source runs: static, for a person; NULL: nothing is in the way. */
const char *kur__ordered_why(const kur__machine *machine, const kur__source *source);

/* Whether what a main source forwards may go out, and counts. */
bool kur__ordered_may_send(const kur__machine *machine, const kur__source *source);
void kur__ordered_send(kur__work *work);
bool kur__ordered_has_landed(const kur__work *work);

/* A source begins, has changed its state, or ends. */
void kur__ordered_begin(kur__machine *machine, kur__source *source, const kur__assignment *assignment);
void kur__ordered_turn(kur__machine *machine, kur__source *source, int64_t now_us);
void kur__ordered_drop(kur__machine *machine, kur__source *source);

/* machine.c: nothing is to be done for it. */
void kur__finish_unread(kur__machine *machine, kur__work *work, int64_t now_us);

void kur__ordered_done(kur__machine *machine);

#endif
