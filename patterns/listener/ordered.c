/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the order of a key through its retry topic.
 *
 * A record that fails goes to the one ordered retry topic, and those of its key behind it follow it there without being
 * run, until the last of them has gone through. Counting those that are under way would not do: a crash between forward
 * and commit, a forward of unknown fate that is sent again, one of a former owner that is late, a redrive, each make
 * two copies of a record. So the order is that of the *origin*, the place in the main partition that a record came
 * from, which travels with it. Each lane knows the origins that are under retry, and by these three rules it goes:
 *
 *   1. Only the smallest unfinished origin of a lane runs. A copy waits beside its lane until it is that one and due,
 * and until the main partition has been read past its origin, for a smaller one may be unfinished there. A main record
 *      runs when no smaller one is under retry; else it is forwarded behind them.
 *   2. Of copies with one origin one lives, which is of the highest attempt; the others are finished unread. A main
 *      record of which a copy lives is such another one.
 *   3. An origin counts from the *start* of a forward, and until a handler is through with it: done, or rejected, which
 *      lets the next one run.
 *
 * Which copy lives. When the retry partition is given to us, its end is asked for. What lies before it may be of
 * anybody, and counts by its attempt. Behind it there are only those that are forwarded from here (whose place the
 * broker tells with the acknowledgement: the copy at that place lives, and one that is read before the answer has come
 * waits for it), those that come from outside (a redrive: they have no writer), and forwards of a former owner that are
 * late. The last, like our own that were sent twice, are at a place that nobody was told of: they are finished unread,
 * for their originals are not: a forward finishes a record only when it is acknowledged while the retry partition is
 * that source of ours for which it went out, and what is finished without the group knowing is as good as not finished.
 *
 * So nothing of the two partitions of one number runs before the retry partition has been read up to that end: only
 * then all smaller origins and higher attempts are known. Nor while one of them is not ours. (Main records are taken in
 * meanwhile, for what becomes of one is decided when it is taken to be run.) An origin that the main partition does not
 * have (any more, or which somebody has made up) is not waited for longer than until that is read up to its own end, or
 * not at all, when it lies behind that.
 *
 * A window that is full must not keep a smaller origin behind it from being seen, or all would wait for ever: window.c
 * moves those that wait for it to the end, where their order is still that of their origins. A copy that is never seen,
 * since its log has lost it, is given up when what lies behind it is read.
 *
 * How many origins there are has a bound, at which no more main records are taken in; but for those that copies wait
 * for. What is in the retry topic when it is given to us is known all the same, a hundred bytes or two for each record,
 * for there is no order without.
 *
 * Memory is taken at admission: each main record has its origin from then on.
 */
#include "listener/ordered.h"

/* ---- What is shared ---- */

static kur__partition *home_of(const kur__source *source)
{
    return source->partition->home != NULL ? source->partition->home : source->partition;
}

static const kur__source *retry_of(const kur__lane *lane)
{
    return lane->partition->ordered;
}

/* Whether a source has to do with the order at all. */
static bool is_concerned(const kur__machine *machine, const kur__source *source)
{
    return machine->options.keep_order && (source->tier == KUR_TIER_MAIN || source->tier == KUR_TIER_ORDERED);
}

bool kur__ordered_is_open(const kur__machine *machine, const kur__source *source)
{
    if (!is_concerned(machine, source))
        return true;
    const kur__source *main = home_of(source)->source, *retry = home_of(source)->ordered;
    return main != NULL && main->state == KUR__ACTIVE && retry != NULL && retry->state == KUR__ACTIVE &&
           retry->is_through;
}

/*
 * Whether nothing smaller can be unfinished in the main partition and not have been seen. One that lies behind its end
 * is of another log.
 */
static bool is_read(const kur__origin *origin)
{
    const kur__source *main = origin->lane->partition->source;
    if (origin->offset < 0)
        return true;
    return main != NULL &&
           (main->is_through || origin->offset <= main->ledger.last || (main->end >= 0 && origin->offset >= main->end));
}

/* A copy that waits for an acknowledgement to tell whether it is the one. */
static bool is_candidate(const kur__work *work)
{
    return work->origin != NULL && work->origin->lane != NULL && work->origin->work != work;
}

/* Waits beside its lane for its turn alone, no more for its time. */
static bool is_beside(const kur__work *work)
{
    return work->state == KUR__PARKED && work->is_early && work->place == 0;
}

static void put_if_idle(kur__machine *machine, kur__lane *lane)
{
    if (kur__lane_is_idle(lane))
        kur__lane_put(machine, lane);
}

static void drop_candidates(kur__machine *machine, kur__origin *origin, const kur__work *but)
{
    kur__work *work = origin->candidates, *next;
    origin->candidates = NULL;
    for (; work != NULL; work = next) {
        next = work->next;
        if (work == but)
            continue;
        work->origin = NULL;
        machine->origins.dropped++;
        kur__finish_unread(machine, work, INT64_MIN);
    }
}

/* The smallest of a lane that is there. */
static kur__origin *smallest(kur__machine *machine, kur__lane *lane)
{
    const kur__source *retry = retry_of(lane);
    kur__origin *origin;
    while ((origin = lane->origins) != NULL && origin->work == NULL && origin->at >= 0 && retry != NULL &&
           origin->at <= retry->ledger.last) {
        machine->origins.lost++;
        kur__origin_free(&machine->origins, origin);
    }
    return origin;
}

/* The one whose turn it is enters its lane. */
static void look(kur__machine *machine, kur__lane *lane, int64_t now_us)
{
    kur__origin *origin = smallest(machine, lane);
    kur__work *work = origin != NULL ? origin->work : NULL;
    if (work != NULL && is_beside(work) && kur__ordered_is_open(machine, work->source) && is_read(origin))
        kur__lane_come_in(machine, work, now_us);
}

/* Nobody waits for it any more. */
static void end(kur__machine *machine, kur__origin *origin)
{
    kur__lane *lane = origin->lane;
    drop_candidates(machine, origin, NULL);
    kur__origin_free(&machine->origins, origin);
    if (lane == NULL)
        return;
    look(machine, lane, INT64_MIN);
    put_if_idle(machine, lane);
}

/* ---- A copy is read ---- */

/* Beside its lane, until its time, then until its turn. */
static void wait_beside(kur__machine *machine, kur__work *work, int64_t now_us)
{
    if (work->due_us > now_us)
        kur__park(machine, work, work->due_us);
    else
        look(machine, work->lane, now_us);
}

static bool is_of_before(const kur__source *retry, const kur__work *copy)
{
    return retry->end < 0 || copy->offset < retry->end; /* or it is not said yet how far that is */
}

/* Of the candidates that may be anybody's, the one of the highest attempt, if that is above. */
static kur__work *highest_before(const kur__origin *origin, int32_t attempts)
{
    kur__work *best = NULL;
    for (kur__work *one = origin->candidates; one != NULL; one = one->next)
        if (is_of_before(one->source, one) && one->attempts > (best != NULL ? best->attempts : attempts))
            best = one;
    return best;
}

/* How far the main partition has to be read, whatever bound is reached. */
static void note_highest(kur__partition *home, const kur__origin *origin)
{
    const kur__source *main = home->source;
    if (origin->offset > home->highest && (main == NULL || main->end < 0 || origin->offset < main->end))
        home->highest = origin->offset;
}

/* The main partition has begun anew, or its end is known. */
static void find_highest(kur__partition *home)
{
    home->highest = 0;
    for (const kur__work *work = home->ordered != NULL ? home->ordered->oldest : NULL; work != NULL; work = work->newer)
        if (work->origin != NULL)
            note_highest(home, work->origin);
}

static bool live(kur__machine *machine, kur__origin *origin, kur__work *work, int64_t now_us)
{
    note_highest(home_of(work->source), origin);
    origin->work = work;
    origin->at = work->offset;
    origin->attempts = work->attempts;
    work->origin = origin;
    wait_beside(machine, work, now_us);
    return true;
}

/* Takes the place of one whose attempt is lower. Nothing of the lane runs yet. */
static void replace(kur__machine *machine, kur__origin *origin)
{
    kur__work *old = origin->work;
    kur__unpark(machine, old);
    origin->work = NULL;
    old->origin = NULL;
    machine->origins.dropped++;
    kur__finish_unread(machine, old, INT64_MIN);
}

bool kur__ordered_admit(kur__machine *machine, kur__work *work, const kur__polled *polled, int64_t now_us)
{
    kur__origin *own = work->origin;
    kur__origin *known = kur__origin_find(&machine->origins, work->lane, own->offset, own->stamp_us);
    bool is_before = is_of_before(work->source, work);
    bool is_higher = is_before && known != NULL && work->attempts > known->attempts;
    work->state = KUR__PARKED;
    kur__set_early(machine, work, true);
    if (known == NULL && (is_before || polled->is_outside)) {
        kur__origin_link(&machine->origins, own, work->lane);
        return live(machine, own, work, now_us);
    }
    kur__origin_free(&machine->origins, own);
    work->origin = NULL;
    if (known != NULL && known->at == KUR__ON_ITS_WAY) {
        work->origin = known;
        work->next = known->candidates;
        known->candidates = work;
        return true;
    }
    if (known != NULL && known->work == NULL &&
        (is_higher || (known->at == KUR__ANYWHERE ? work->attempts == known->attempts : work->offset >= known->at)))
        return live(machine, known, work, now_us);
    if (is_higher && known->work != NULL && known->work->is_early) {
        replace(machine, known);
        return live(machine, known, work, now_us);
    }
    machine->origins.dropped++;
    return false;
}

void kur__ordered_wake(kur__machine *machine, kur__work *work, int64_t now_us)
{
    look(machine, work->lane, now_us);
}

/* ---- One is taken to be run ---- */

/* Out of its lane again: a smaller one has come meanwhile. */
static void step_aside(kur__machine *machine, kur__work *work, int64_t now_us)
{
    kur__lane *lane = work->lane;
    lane->early++; /* it stays while nobody else is in it */
    kur__lane_leave(machine, work, now_us);
    lane->early--;
    work->lane = lane;
    work->state = KUR__PARKED;
    kur__set_early(machine, work, true);
    look(machine, lane, now_us);
}

/* One of a main partition that was given back and came again while the copy stood in its lane. */
static bool has_smaller(const kur__work *work)
{
    const kur__work *next = work->lane->first;
    while (next != NULL && next->source->tier != KUR_TIER_MAIN)
        next = next->next;
    return next != NULL && next->offset < work->origin->offset;
}

static void follow(kur__machine *machine, kur__work *work, int64_t now_us)
{
    work->is_unrun = true;
    work->then_us = now_us;
    work->to = KUR_TIER_ORDERED;
    kur__settle(machine, work, machine->options.exactly_once ? KUR__EFFECT_TRANSACTION : KUR__EFFECT_FORWARD, now_us);
}

bool kur__ordered_may_run(kur__machine *machine, kur__work *work, int64_t now_us)
{
    kur__origin *origin = work->origin;
    if (origin == NULL)
        return true;
    kur__origin *first = smallest(machine, work->lane);
    if (origin->lane != NULL) {
        if (first == origin && is_read(origin) && !has_smaller(work))
            return true;
        step_aside(machine, work, now_us);
        return false;
    }
    if (kur__origin_find(&machine->origins, work->lane, origin->offset, origin->stamp_us) != NULL) {
        machine->origins.dropped++;
        kur__finish_unread(machine, work, now_us);
        return false;
    }
    if (first == NULL || first->offset > origin->offset)
        return true;
    follow(machine, work, now_us);
    return false;
}

bool kur__ordered_may_go_along(kur__machine *machine, const kur__work *work)
{
    const kur__origin *origin = work->origin;
    if (origin == NULL)
        return true;
    const kur__origin *first = smallest(machine, work->lane);
    return origin->lane == NULL && (first == NULL || first->offset > origin->offset);
}

/* ---- Its outcome ---- */

/* A copy that came from outside while its record ran; what runs is of a higher attempt. */
static void take_over(kur__machine *machine, kur__origin *known)
{
    if (known->work != NULL && known->work->is_early) {
        replace(machine, known);
    } else if (known->work != NULL) {
        known->work->origin = NULL;
    }
    drop_candidates(machine, known, NULL);
    kur__origin_free(&machine->origins, known);
}

void kur__ordered_settle(kur__machine *machine, kur__work *work)
{
    kur__origin *origin = work->origin, *known;
    if (work->to != KUR_TIER_ORDERED) {
        work->origin = NULL;
        end(machine, origin);
        return;
    }
    if (origin->lane == NULL) {
        known = kur__origin_find(&machine->origins, work->lane, origin->offset, origin->stamp_us);
        if (known != NULL)
            take_over(machine, known);
        kur__origin_link(&machine->origins, origin, work->lane);
    }
    origin->work = work;
    origin->at = KUR__ON_ITS_WAY;
    origin->attempts = work->attempts;
}

void kur__ordered_finish(kur__machine *machine, kur__work *work)
{
    kur__origin *origin = work->origin;
    work->origin = NULL;
    if (origin->lane == NULL || work->to != KUR_TIER_ORDERED) { /* not forwarded; or to the dead letters in the end */
        end(machine, origin);
        return;
    }
    kur__work *found = highest_before(origin, origin->attempts); /* what was moved had a higher one behind it */
    origin->work = NULL;
    origin->at = work->landed >= 0 ? work->landed : KUR__ANYWHERE;
    for (kur__work *one = origin->candidates; one != NULL && found == NULL; one = one->next)
        if (origin->at == KUR__ANYWHERE ? one->attempts == origin->attempts : one->offset == origin->at)
            found = one;
    drop_candidates(machine, origin, found);
    if (found != NULL)
        live(machine, origin, found, INT64_MIN);
}

/* ---- Bounds ---- */

/* What waits for a smaller one that is not seen yet, or for its time. */
bool kur__ordered_may_move(kur__machine *machine, const kur__work *work)
{
    if (!is_beside(work) || work->origin == NULL || is_candidate(work))
        return false;
    return smallest(machine, work->lane) != work->origin || !kur__ordered_is_open(machine, work->source) ||
           !is_read(work->origin);
}

/* ---- Sources ---- */

void kur__ordered_turn(kur__machine *machine, kur__source *source, int64_t now_us)
{
    if (!is_concerned(machine, source) || !kur__ordered_is_open(machine, source))
        return;
    /* All that may have waited for it. */
    kur__partition *home = home_of(source);
    for (kur__work *work = home->ordered->oldest; work != NULL; work = work->newer)
        if (work->origin != NULL && is_beside(work))
            look(machine, work->lane, now_us);
    kur__turn_push(machine, home->ordered);
    kur__turn_push(machine, home->source);
}

void kur__ordered_read(kur__machine *machine, kur__source *source, int64_t now_us)
{
    if (!is_concerned(machine, source) || source->is_through || source->end < 0)
        return;
    if (source->ledger.last + 1 < source->end && source->reached < source->end)
        return;
    source->is_through = true;
    kur__ordered_turn(machine, source, now_us);
}

void kur__machine_set_end(kur__machine *machine, kur__source *source, int64_t end, int64_t now_us)
{
    source->end = end;
    find_highest(home_of(source));
    kur__ordered_turn(machine, source, now_us); /* for those that lie behind it */
    kur__ordered_read(machine, source, now_us);
}

void kur__machine_reached(kur__machine *machine, kur__source *source, int64_t position, int64_t now_us)
{
    source->reached = position;
    kur__ordered_read(machine, source, now_us);
}

void kur__ordered_begin(kur__machine *machine, kur__source *source, const kur__assignment *assignment)
{
    source->serial = ++machine->origins.serial;
    if (!is_concerned(machine, source))
        return;
    if (source->tier == KUR_TIER_ORDERED)
        source->partition->home->ordered = source;
    source->end = assignment->end;
    source->looked_to = -1;
    find_highest(home_of(source));
    kur__ordered_turn(machine, source, INT64_MIN);
    kur__ordered_read(machine, source, INT64_MIN);
}

void kur__ordered_seen(kur__machine *machine, const kur__source *source, kur__lane *lane, int64_t now_us)
{
    if (lane != NULL && lane->origins != NULL && is_concerned(machine, source) && source->tier == KUR_TIER_MAIN)
        look(machine, lane, now_us);
}

/* What was on its way ends with its source, unless it was there before: then the highest of these lives. */
static void leave_behind(kur__machine *machine, kur__origin *origin)
{
    kur__work *best = highest_before(origin, -1);
    if (best == NULL) {
        end(machine, origin);
        return;
    }
    drop_candidates(machine, origin, best);
    live(machine, origin, best, INT64_MIN);
}

static void drop_main(kur__machine *machine, kur__source *source)
{
    for (kur__work *work = source->oldest; work != NULL; work = work->newer)
        if (work->origin != NULL) {
            kur__origin *origin = work->origin;
            work->origin = NULL;
            leave_behind(machine, origin);
        }
}

/* What is on its way from the main partition is still to come; all else is read again by who is next. */
static void drop_retry(kur__machine *machine, kur__source *source)
{
    kur__origin_walk walk = {0};
    kur__partition *home = source->partition->home;
    for (kur__origin *origin; (origin = kur__origin_next(&machine->origins, &walk)) != NULL;) {
        kur__lane *lane = origin->lane;
        if (lane->partition != home)
            continue;
        origin->candidates = NULL;
        if (origin->work != NULL && origin->work->source->tier == KUR_TIER_MAIN)
            continue;
        kur__origin_free(&machine->origins, origin);
        put_if_idle(machine, lane);
    }
    for (kur__work *work = source->oldest; work != NULL; work = work->newer)
        work->origin = NULL;
    home->ordered = NULL;
}

void kur__ordered_drop(kur__machine *machine, kur__source *source)
{
    if (!is_concerned(machine, source))
        return;
    if (source->tier == KUR_TIER_MAIN)
        drop_main(machine, source);
    else
        drop_retry(machine, source);
}

void kur__ordered_done(kur__machine *machine)
{
    kur__origin_walk walk = {0};
    for (kur__origin *origin; (origin = kur__origin_next(&machine->origins, &walk)) != NULL;) {
        kur__lane *lane = origin->lane;
        kur__origin_free(&machine->origins, origin);
        put_if_idle(machine, lane);
    }
    kur__origins_done(&machine->origins);
}
