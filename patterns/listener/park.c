/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: records that wait for their time, in a binary heap by due time; each knows its place, so that any of
 * them can leave. Records that are due at the same time come in the order of their offsets. Room is made when a record
 * is admitted: parking itself cannot fail.
 */
#include <kurier/sys/memory.h>

#include "listener/machine.h"

enum {
    PARKED_MIN = 64
};

bool kur__park_reserve(kur__machine *machine)
{
    if (machine->held < machine->parked_capacity)
        return true;
    size_t capacity = machine->parked_capacity < PARKED_MIN ? PARKED_MIN : machine->parked_capacity * 2;
    kur__work **larger = kur_realloc(machine->parked, capacity * sizeof(*larger));
    if (larger == NULL)
        return false;
    machine->parked = larger;
    machine->parked_capacity = capacity;
    return true;
}

static bool is_before(const kur__work *a, const kur__work *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->offset < b->offset;
}

static void place(kur__machine *machine, size_t at, kur__work *work)
{
    machine->parked[at] = work;
    work->place = (uint32_t)at + 1;
}

static void sift_up(kur__machine *machine, size_t at, kur__work *work)
{
    for (; at > 0 && is_before(work, machine->parked[(at - 1) / 2]); at = (at - 1) / 2)
        place(machine, at, machine->parked[(at - 1) / 2]);
    place(machine, at, work);
}

static void sift_down(kur__machine *machine, size_t at, kur__work *work)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < machine->parked_count && is_before(machine->parked[child + 1], machine->parked[child]))
            child++;
        if (child >= machine->parked_count || !is_before(machine->parked[child], work))
            break;
        place(machine, at, machine->parked[child]);
        at = child;
    }
    place(machine, at, work);
}

void kur__park(kur__machine *machine, kur__work *work, int64_t due_us)
{
    work->due_us = due_us;
    sift_up(machine, machine->parked_count++, work);
}

void kur__unpark(kur__machine *machine, kur__work *work)
{
    if (work->place == 0)
        return;
    size_t at = work->place - 1;
    kur__work *last = machine->parked[--machine->parked_count];
    work->place = 0;
    if (last == work)
        return;
    if (at > 0 && is_before(last, machine->parked[(at - 1) / 2]))
        sift_up(machine, at, last);
    else
        sift_down(machine, at, last);
}

/* Copies that wait for an acknowledgement are not among the parked. */
static void tell_candidates(kur__machine *machine, int64_t ahead_us)
{
    kur__origin_walk walk = {0};
    for (const kur__origin *origin; (origin = kur__origin_next(&machine->origins, &walk)) != NULL;)
        for (kur__work *work = origin->candidates; work != NULL; work = work->next)
            work->due_us -= ahead_us;
}

/* After their times have changed. */
static void sort_anew(kur__machine *machine)
{
    size_t count = machine->parked_count;
    machine->parked_count = 0;
    for (size_t i = 0; i < count; i++) /* the first i places are a heap already */
        sift_up(machine, machine->parked_count++, machine->parked[i]);
}

void kur__machine_clock_jumped(kur__machine *machine, int64_t ahead_us)
{
    tell_candidates(machine, ahead_us);
    for (size_t i = 0; i < machine->parked_count; i++)
        if (machine->parked[i]->is_early)
            machine->parked[i]->due_us -= ahead_us;
    sort_anew(machine);
}

void kur__machine_effects_now(kur__machine *machine, int64_t now_us)
{
    for (size_t i = 0; i < machine->parked_count; i++) {
        kur__work *work = machine->parked[i];
        if (work->state != KUR__SETTLING)
            continue;
        work->due_us = work->due_us < now_us ? work->due_us : now_us;
        work->tries = work->is_too_large; /* it goes alone, and is judged for what it is */
    }
    sort_anew(machine);
    kur__queue again = machine->again; /* those whose time had come wait for a transaction each */
    machine->again = (kur__queue){NULL, NULL};
    for (kur__work *work; (work = kur__queue_pop(&again)) != NULL;) {
        work->tries = work->is_too_large;
        kur__transaction_collect(machine, work);
    }
}

/* xorshift64*: for spreading delays, nothing more. */
static double draw(kur__machine *machine)
{
    machine->random ^= machine->random >> 12;
    machine->random ^= machine->random << 25;
    machine->random ^= machine->random >> 27;
    return (double)(machine->random * UINT64_C(0x2545f4914f6cdd1d) >> 11) / (double)(UINT64_C(1) << 53);
}

int64_t kur__back_off_us(kur__machine *machine, int64_t delay_us, int64_t delay_max_us, int32_t failures)
{
    double delay = (double)delay_us, most = (double)delay_max_us;
    for (int32_t i = 1; i < failures && delay < most; i++)
        delay *= machine->options.multiplier;
    delay = delay < most ? delay : most;
    delay -= delay * machine->options.jitter * draw(machine);
    return (int64_t)delay;
}
