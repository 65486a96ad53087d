/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a window that is full of records whose time is far away must not keep one behind it, whose time is
 * near, from being seen. Where a source of a retry topic is full and more of it waits unread, those with the latest due
 * times go to the end of their topic, as they are, until a good part of the window is free. Where it is the text beside
 * the commit that is full, the oldest go: it tells what is finished above the oldest that is not.
 *
 * This reads, and writes again, what waits; so it has bounds. A pass is over when what is read was written after the
 * pass began: then all that waited has been seen. The next one begins no sooner than after a pause that goes by how
 * long records wait in that topic. And all together move no more than some thousand a second.
 *
 * A record that has been moved rests, for an eighth of the time that it has waited by then, and for six hours at most.
 * So one that waits for D is moved D / pause times while that is less than eight, and from then on whenever its age has
 * grown by an eighth: 8 times in a minute (short), 27 in an hour (medium), 153 in thirty days (long), and once more for
 * each time that its partition is given to somebody else. By so much, the pause or the rest of those in front of it,
 * may one be late that hides behind others, and by the time that it takes to move them. But where a pass finds a near
 * one behind far ones there are likely to be more: the next eight passes do not ask for how long a record has rested.
 */
#include "listener/ordered.h"

enum {
    MOVES_A_SECOND = 5000,
    AHEAD_US = 1000 * 1000, /* what is due sooner than that stays */
    OLDEST_SHARE = 8,
    AGAIN_US = 10 * 1000,
    LOOK_AGAIN_US = 1000 * 1000, /* where nothing may be moved */
    REST_SHARE = 8,
    SOON_US = 5 * 1000 * 1000,
    NEAR_PASSES = 8
};

static const int64_t rest_most_us = 6 * INT64_C(3600) * 1000000;

static int64_t pause_after(kur_tier tier)
{
    int64_t seconds = tier == KUR_TIER_LONG ? 600 : tier == KUR_TIER_MEDIUM ? 60 : 10;
    return seconds * 1000000;
}

static bool may_move(kur__machine *machine, const kur__work *work, int64_t now_us)
{
    if (kur__ordered_may_move(machine, work))
        return true;
    /* Not one that waits for an acknowledgement to tell whether it is to be run: it has no place among the parked. */
    return work->state == KUR__PARKED && work->is_early && work->place > 0 && work->due_us > now_us + AHEAD_US;
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

/* What waits for its turn does not rest: all of its partition may wait for one that is behind it. */
static bool has_rested(kur__machine *machine, const kur__source *source, const kur__work *work, int64_t now_us)
{
    return now_us >= work->rests_us || now_us < source->near_until_us || kur__ordered_may_move(machine, work);
}

/* The mean time until they are due: about half of them are later, and no memory is needed to know which. */
static bool find_middle(kur__machine *machine, kur__source *source, int64_t now_us)
{
    double sum = 0, count = 0;
    int64_t look_us = now_us + LOOK_AGAIN_US;
    for (const kur__work *work = source->oldest; work != NULL; work = work->newer) {
        if (!may_move(machine, work, now_us))
            continue;
        if (has_rested(machine, source, work, now_us)) {
            sum += (double)(work->due_us - now_us);
            count++;
        } else if (work->rests_us < look_us) {
            look_us = work->rests_us;
        }
    }
    if (count == 0)
        source->look_us = look_us;
    else
        source->middle_us = now_us + (int64_t)(sum / count);
    return count > 0;
}

static void move_latest(kur__machine *machine, kur__source *source, int64_t now_us)
{
    if (!find_middle(machine, source, now_us))
        return;
    if (source->pass_us == 0)
        source->pass_us = now_us;
    for (kur__work *work = source->newest, *older; work != NULL && machine->moves_left > 0; work = older) {
        older = work->older;
        if (may_move(machine, work, now_us) && has_rested(machine, source, work, now_us) &&
            work->due_us >= source->middle_us)
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

void kur__window_read(kur__source *source, kur__work *work, const kur__polled *polled, int64_t now_us)
{
    int64_t pause_us = pause_after(source->tier);
    /* By a clock that is ahead, or somebody has made it up. */
    int64_t written_us = polled->written_us < now_us ? polled->written_us : now_us;
    bool is_older = polled->waits_us != 0 && polled->waits_us < written_us;
    int64_t rest_us = is_older ? (written_us - polled->waits_us) / REST_SHARE : 0;
    work->rests_us = written_us + (rest_us < rest_most_us ? rest_us : rest_most_us);
    if (source->pass_us == 0)
        return;
    if (work->due_us <= now_us + pause_us && work->due_us < source->middle_us) {
        source->near_until_us = now_us + NEAR_PASSES * pause_us;
        source->look_us = INT64_MIN;
    }
    if (polled->written_us >= source->pass_us) {
        source->next_pass_us = source->pass_us + pause_us;
        source->pass_us = 0;
    }
}

static void look_at(kur__machine *machine, kur__source *source, int64_t now_us)
{
    source->is_wanted = false;
    /* What was moved before is on its way, and makes room when it is there. */
    if (source->state != KUR__ACTIVE || !source->is_full || source->moving > 0 || machine->is_stopping)
        return;
    if (source->text_is_full)
        move_oldest(machine, source, now_us);
    else if (now_us >= source->look_us && (source->pass_us != 0 || now_us >= source->next_pass_us))
        move_latest(machine, source, now_us);
}

/* An ordered topic is read up to its end before anything else is, so that is not kept from it. */
bool kur__machine_is_full_for_long(const kur__machine *machine, const kur__source *source, int64_t now_us)
{
    if (source == NULL || source->tier == KUR_TIER_MAIN || source->tier == KUR_TIER_ORDERED || !source->is_full)
        return false;
    int64_t soon_us = now_us + SOON_US;
    bool is_due = source->held > source->early || (machine->parked_count > 0 && machine->parked[0]->due_us <= soon_us);
    bool is_looked_at = now_us >= source->look_us && (source->pass_us != 0 || soon_us >= source->next_pass_us);
    return !is_due && !is_looked_at && source->moving == 0 && !source->text_is_full;
}

void kur__window_turn(kur__machine *machine, int64_t now_us)
{
    if (!machine->window_is_wanted || now_us < machine->window_wake_us)
        return;
    machine->window_is_wanted = false;
    machine->window_wake_us = INT64_MIN;
    refill(machine, now_us);
    for (kur__source *source = machine->oldest; source != NULL; source = source->newer)
        if (source->is_wanted)
            look_at(machine, source, now_us);
    machine->window_wake_us = now_us + AGAIN_US;
}
