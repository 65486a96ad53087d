/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a window that is full of records whose time is far away must not keep one behind it, whose time is
 * near, from being seen. Where a source of a retry topic is full and more of it waits unread, those with the latest due
 * times go to the end of their topic, as they are, until a good part of the window is free. Where it is the text beside
 * the commit that is full, the oldest go: it tells what is finished above the oldest that is not.
 *
 * This reads, and writes again, what waits; so it has bounds. A pass is over when what is read was written after the
 * pass began: then all that waited has been seen. The next one begins no sooner than after a time that goes by how long
 * records wait in that topic, for by so much may one be late that hides behind others. And all together move no more
 * than some thousand a second.
 */
#include "listener/ordered.h"

enum {
    MOVES_A_SECOND = 5000,
    AHEAD_US = 1000 * 1000, /* what is due sooner than that stays */
    OLDEST_SHARE = 8,
    AGAIN_US = 10 * 1000
};

static int64_t pause_after(kur_tier tier)
{
    int64_t seconds = tier == KUR_TIER_LONG ? 600 : tier == KUR_TIER_MEDIUM ? 60 : 10;
    return seconds * 1000000;
}

static bool may_move(kur__machine *machine, const kur__work *work, int64_t now_us)
{
    if (kur__ordered_may_move(machine, work))
        return true;
    return work->state == KUR__PARKED && work->is_early && work->due_us > now_us + AHEAD_US;
}

static void move(kur__machine *machine, kur__work *work, int64_t now_us)
{
    kur__unpark(machine, work);
    work->is_unrun = work->is_moved = true;
    work->then_us = work->due_us;
    work->to = (uint8_t)work->source->tier;
    kur__settle(machine, work, machine->options.exactly_once ? KUR__EFFECT_TRANSACTION : KUR__EFFECT_FORWARD, now_us);
    work->source->moving++;
    machine->moved++;
    machine->moves_left--;
}

/* The mean time until they are due: about half of them are later, and no memory is needed to know which. */
static int64_t middle_of(kur__machine *machine, const kur__source *source, int64_t now_us)
{
    double sum = 0, count = 0;
    for (const kur__work *work = source->oldest; work != NULL; work = work->newer)
        if (may_move(machine, work, now_us)) {
            sum += (double)(work->due_us - now_us);
            count++;
        }
    return count > 0 ? now_us + (int64_t)(sum / count) : INT64_MAX;
}

static void move_latest(kur__machine *machine, kur__source *source, int64_t now_us)
{
    int64_t middle_us = middle_of(machine, source, now_us);
    for (kur__work *work = source->newest, *older; work != NULL && machine->moves_left > 0; work = older) {
        older = work->older;
        if (may_move(machine, work, now_us) && work->due_us >= middle_us)
            move(machine, work, now_us);
    }
}

static void move_oldest(kur__machine *machine, kur__source *source, int64_t now_us)
{
    size_t most = source->held / OLDEST_SHARE + 1;
    for (kur__work *work = source->oldest, *newer; work != NULL && most > 0 && machine->moves_left > 0; work = newer) {
        newer = work->newer;
        if (may_move(machine, work, now_us)) {
            move(machine, work, now_us);
            most--;
        }
    }
}

static void refill(kur__machine *machine, int64_t now_us)
{
    int64_t more = (now_us - machine->moves_at_us) / (1000000 / MOVES_A_SECOND);
    if (more <= 0)
        return;
    machine->moves_at_us = now_us;
    machine->moves_left = more < MOVES_A_SECOND - machine->moves_left ? machine->moves_left + more : MOVES_A_SECOND;
}

void kur__window_read(kur__source *source, int64_t written_us)
{
    if (source->pass_us != 0 && written_us >= source->pass_us) {
        source->next_pass_us = source->pass_us + pause_after(source->tier);
        source->pass_us = 0;
    }
}

void kur__window_turn(kur__machine *machine, int64_t now_us)
{
    if (!machine->window_is_wanted || now_us < machine->window_wake_us)
        return;
    machine->window_is_wanted = false;
    machine->window_wake_us = INT64_MIN;
    refill(machine, now_us);
    for (kur__source *source = machine->oldest; source != NULL; source = source->newer) {
        if (!source->is_wanted)
            continue;
        source->is_wanted = false;
        /* What was moved before is on its way, and makes room when it is there. */
        if (source->state != KUR__ACTIVE || !source->is_full || source->moving > 0 || machine->is_stopping)
            continue;
        if (source->pass_us == 0 && now_us < source->next_pass_us && !source->text_is_full)
            continue;
        if (source->pass_us == 0)
            source->pass_us = now_us;
        if (source->text_is_full)
            move_oldest(machine, source, now_us);
        else
            move_latest(machine, source, now_us);
    }
    machine->window_wake_us = now_us + AGAIN_US;
}
