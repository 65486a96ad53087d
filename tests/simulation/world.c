/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const fault_names[FAULT_COUNT] = {"crash",        "rebalance",      "cooperative",  "lost",
                                              "bounce",       "absent",         "commit-fails", "commit-answer-lost",
                                              "effect-fails", "effect-unknown", "retry",        "reject",
                                              "recreate",     "truncate",       "retention",    "seek",
                                              "grow",         "clock",          "abort",        "outcome-unknown",
                                              "refused",      "skew",           "late",         "far",
                                              "delayed",      "outside",        "alien",        "policy",
                                              "apart",        "narrow"};

enum {
    PAUSE_US = 5000,
    PAUSE_MAX_US = 1200 * 1000000,
    COMMITTED_US = 50 * 1000000 /* sooner than what has not changed is committed again */
};

static const int64_t patience_us = INT64_C(20) * 3600 * 1000000; /* far longer than anything has to wait */

static uint64_t draw(struct world *world, uint64_t below)
{
    uint64_t z = world->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

static bool chance(struct world *world, int percent)
{
    return (int)draw(world, 100) < percent;
}

/* Whether a fault happens now; draws always, so that leaving one out changes as little as can be. */
static bool strikes(struct world *world, enum fault fault, int percent)
{
    bool drawn = chance(world, percent);
    if (!drawn || world->calm || (world->settings.without >> fault & 1) != 0)
        return false;
    world->happened[fault]++;
    return true;
}

__attribute__((format(printf, 2, 3))) static void say(const struct world *world, const char *format, ...)
{
    if (!world->settings.trace)
        return;
    va_list arguments;
    va_start(arguments, format);
    printf("%6d %10ld  ", world->step, (long)world->now_us);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

uint64_t world_draw(struct world *world, uint64_t below)
{
    return draw(world, below);
}

bool world_strikes(struct world *world, enum fault fault, int percent)
{
    return strikes(world, fault, percent);
}

void world_say(const struct world *world, const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(world, "%s", text);
}

/* ---- Events to come ---- */

static struct event *schedule(struct world *world, enum event_kind kind, int64_t after_us)
{
    if (world->events_count == EVENTS_MAX)
        abort(); /* the world's own limit: concurrency is far below it */
    struct event *event = &world->events[world->events_count++];
    *event = (struct event){
        .kind = kind, .at_us = world->now_us + after_us, .sequence = world->next_event++, .awaits = -1, .landed = -1};
    return event;
}

static void drop_event(struct world *world, int index)
{
    free(world->events[index].text);
    world->events[index] = world->events[--world->events_count];
}

struct event *world_schedule(struct world *world, enum event_kind kind, int64_t after_us)
{
    return schedule(world, kind, after_us);
}

/* Of a source, where it stands in the world's tables. */
static int slot_of(const kur__source *source)
{
    return (int)source->tier * PARTITIONS_MAX + source->partition->number;
}

/* Whether what was read is still what the log holds. */
static bool is_there(const struct log *log, const struct item *item)
{
    return item->offset < log->end && log->entries[item->offset].version == item->version;
}

int64_t world_lowest_cut(const struct log *log, int epoch)
{
    int64_t lowest = INT64_MAX;
    for (int i = epoch + 1; i <= log->epoch; i++)
        lowest = log->cuts[i] < lowest ? log->cuts[i] : lowest;
    return lowest;
}

bool world_is_spent(const struct world *world)
{
    return world->items_count == ITEMS_MAX;
}

bool world_is_there(const struct log *log, const struct item *item)
{
    return is_there(log, item);
}

/* ---- What a process does with the machine's answers ---- */

static void hold(struct member *member, struct item *item)
{
    if (member->held_count == HELD_MAX)
        abort(); /* the world's own limit: bounds are far below it */
    item->is_held = true;
    item->place = member->held_count;
    member->held[member->held_count++] = item;
}

static void let_go(struct member *member, struct item *item)
{
    struct item *last = member->held[--member->held_count];
    last->place = item->place;
    member->held[last->place] = last;
    item->is_held = item->is_running = false;
    item->work = item->said = NULL;
}

static void release_all(struct world *world, struct member *member)
{
    kur__released given;
    while (kur__machine_next_release(&member->machine, &given)) {
        struct item *item = given.item;
        world->commands[COMMAND_RELEASE]++;
        world->checker.looked[RULE_RELEASE]++;
        if (!item->is_held) {
            checker_fail(&world->checker, RULE_RELEASE, "%d@%ld is released twice", item->partition,
                         (long)item->offset);
            continue;
        }
        if (item->is_running)
            checker_fail(&world->checker, RULE_RELEASE, "%d@%ld is released while it runs", item->partition,
                         (long)item->offset);
        ordered_drop(world, member, item);
        let_go(member, item);
    }
}

/* By how much an item is early. */
static int64_t early_us(struct world *world, const struct item *item)
{
    int64_t wall_us = world_wall_us(world), seen_us = item->peak_us > wall_us ? item->peak_us : wall_us;
    world->checker.looked[RULE_EARLY] += item->again_us > 0 || item->due_us > 0;
    return item->again_us > world->now_us ? item->again_us - world->now_us : item->due_us - seen_us;
}

/* Nothing else of its lane runs, whichever topic it is from, but for what was started with it. */
static void check_alone(struct world *world, const struct member *member, const struct item *item, int batch)
{
    struct log *log = &world->logs[item->partition];
    for (int j = 0; j < member->held_count && is_there(log, item); j++) {
        const struct item *other = member->held[j];
        const struct log *others = &world->logs[other->partition];
        if (!other->is_running || slot_number(other->partition) != slot_number(item->partition) ||
            !is_there(others, other))
            continue;
        world->checker.looked[RULE_TWICE]++;
        if (checker_same_lane(&world->checker, &others->entries[other->offset], &log->entries[item->offset]) &&
            (batch == 0 || others->entries[other->offset].batch != batch))
            checker_fail(&world->checker, RULE_TWICE, "%d@%ld starts while %d@%ld runs", item->partition,
                         (long)item->offset, other->partition, (long)other->offset);
    }
}

/* One of a batch, or one by itself: `batch` is 0. */
static void start_handler(struct world *world, int index, kur__work *work, int batch, int64_t takes_us)
{
    struct member *member = &world->members[index];
    struct item *item = work->item;
    struct log *log = &world->logs[item->partition];
    say(world, "%c starts %d@%ld%s", 'A' + index, item->partition, (long)item->offset,
        is_there(log, item) && log->entries[item->offset].durable ? ", again" : "");
    check_alone(world, member, item, batch);
    item->starts++;
    world->checker.looked[RULE_ATTEMPTS]++;
    if (work->attempts != item->starts)
        checker_fail(&world->checker, RULE_ATTEMPTS, "%d@%ld starts as attempt %d, and it is the %dth", item->partition,
                     (long)item->offset, work->attempts, item->starts);
    int attempts = member->policy.attempts; /* of a policy that has become shorter, one more */
    if (attempts > 0 && item->starts > attempts && item->starts > item->came + 1)
        checker_fail(&world->checker, RULE_ATTEMPTS, "%d@%ld starts for the %dth time", item->partition,
                     (long)item->offset, item->starts);
    if (item->fate != FATE_OPEN)
        checker_fail(&world->checker, RULE_FATE, "%d@%ld starts, and something else is to be done with it",
                     item->partition, (long)item->offset);
    ordered_start(world, member, item, batch);
    if (is_there(log, item))
        checker_start(&world->checker, log, item->partition, item->offset, batch, member->owns[item->partition],
                      item->starts == item->came + 1, early_us(world, item));
    item->is_running = true;
    world->commands[COMMAND_RUN]++;
    struct event *event = schedule(world, EVENT_RETURN, takes_us);
    event->member = index;
    event->serial = member->serial;
    event->work = work;
    event->item = item;
}

/* Now and then, since it takes long. */
static void look_for_idle(struct world *world, struct member *member)
{
    if (!chance(world, 10))
        return;
    release_all(world, member);
    topics_check_idle(world, member);
}

static int64_t draw_time(struct world *world)
{
    bool is_long = chance(world, world->together > 0 ? 15 : 5) && !world->calm;
    return (int64_t)draw(world, is_long ? 5000000 : 20000);
}

static void start_batch(struct world *world, int index, int room)
{
    struct member *member = &world->members[index];
    kur__work *works[64];
    int count = 0, most = 1 + (int)draw(world, (uint64_t)(room < world->together ? room : world->together));
    kur__work *first = kur__machine_take_batch(&member->machine, world->now_us, (size_t)most);
    for (kur__work *work = first; work != NULL && count < 64; work = work->mate)
        works[count++] = work;
    if (count > most)
        checker_fail(&world->checker, RULE_MEMORY, "a batch of %d instead of %d", count, most);
    if (count == 0)
        look_for_idle(world, member);
    if (chance(world, 3)) { /* handed over and taken back */
        while (count > 0)
            kur__machine_untake(&member->machine, works[--count]);
        return;
    }
    /* All of it returns at once, or, which is harder, one by one. */
    bool at_once = chance(world, 50);
    int64_t takes_us = draw_time(world);
    world->batches += count > 0;
    for (int i = 0; i < count; i++)
        start_handler(world, index, works[i], world->batches, at_once ? takes_us : draw_time(world));
}

static void start_handlers(struct world *world, int index)
{
    struct member *member = &world->members[index];
    int room = world->concurrency - (int)member->machine.running;
    if (room <= 0)
        return;
    if (world->together > 0) {
        start_batch(world, index, room);
        return;
    }
    kur__work *works[64];
    size_t most = 1 + (size_t)draw(world, (uint64_t)room);
    size_t count = kur__machine_take(&member->machine, world->now_us, works, most);
    bool is_all = count < most;
    for (size_t i = 0; i < count; i++) {
        if (chance(world, 3)) /* handed over and taken back */
            kur__machine_untake(&member->machine, works[i]), is_all = false;
        else
            start_handler(world, index, works[i], 0, draw_time(world));
    }
    if (is_all)
        look_for_idle(world, member);
}

/* A forward that arrives at one time; what is known of it, at another, `takes_us`. */
static int64_t send_apart(struct world *world, int index, struct item *item, const struct forward *forward,
                          int64_t *takes_us, bool is_answered)
{
    struct event *event = schedule(world, EVENT_ARRIVE, *takes_us);
    event->member = index;
    event->serial = world->members[index].serial;
    event->item = item;
    event->forward = *forward;
    *takes_us = (is_answered ? *takes_us : 0) + (int64_t)draw(world, 50000);
    return event->sequence;
}

static void start_effects(struct world *world, int index)
{
    struct member *member = &world->members[index];
    kur__work *work;
    while ((work = kur__machine_next_effect(&member->machine, world->now_us)) != NULL) {
        struct item *item = work->item;
        world->commands[COMMAND_EFFECT]++;
        if (work->source->state == KUR__DEAD || work->source->state == KUR__AWAY)
            checker_fail(&world->checker, RULE_ZOMBIE, "an effect of a source that is not there");
        if (item->is_sent || item->is_settled || !item->is_held)
            checker_fail(&world->checker, RULE_DUPLICATE, "the effect of %d@%ld is asked for again", item->partition,
                         (long)item->offset);
        bool fails = strikes(world, FAULT_EFFECT_FAILS, 15), unknown = strikes(world, FAULT_EFFECT_UNKNOWN, 10);
        bool is_late = strikes(world, FAULT_LATE, 4);
        say(world, "%c begins the effect of %d@%ld%s%s", 'A' + index, item->partition, (long)item->offset,
            work->effect == KUR__EFFECT_FORWARD ? ", a forward" : "", work->is_unrun ? ", unseen" : "");
        struct forward forward = {.tier = 0};
        int64_t takes_us = (int64_t)draw(world, is_late ? 4000000 : 50000), awaits = -1;
        if (work->effect == KUR__EFFECT_FORWARD)
            forward = topics_forward(world, member, work);
        if (world->keeps_order && forward.tier != KUR_TIER_MAIN && !fails)
            awaits = send_apart(world, index, item, &forward, &takes_us, !unknown);
        struct event *event = schedule(world, EVENT_EFFECT, takes_us);
        event->awaits = awaits;
        item->is_sent = true;
        event->member = index;
        event->serial = member->serial;
        event->work = work;
        event->item = item;
        event->forward = forward;
        event->applied = !fails;
        event->good = !fails && !unknown;
    }
}

/* How much may be read of a partition; that there is no room any more is counted once. */
static size_t room_of(struct world *world, struct member *member, int p)
{
    if (p >= PARTITIONS_MAX && member->positions[p] >= world->logs[p].end)
        return 0; /* nothing waits, so nobody asks */
    size_t room = kur__machine_room(&member->machine, member->sources[p]);
    if (room == 0)
        topics_check_shut_out(world, member, p);
    world->commands[COMMAND_NO_ROOM] += room == 0 && !member->is_full[p];
    member->is_full[p] = room == 0;
    return room;
}

static void apply_commit(struct world *world, const struct event *event)
{
    int p = event->partition;
    struct member *member = &world->members[event->member];
    bool is_same = member->alive && member->serial == event->serial && member->sources[p] == event->source;
    checker_commit(&world->checker, &world->logs[p], p, event->offset, event->text,
                   world_lowest_cut(&world->logs[p], event->epoch), is_same ? member->last_commits[p] : -1);
    if (is_same)
        member->last_commits[p] = event->offset;
    world->committed[p] = event->offset;
    world->committed_epochs[p] = event->epoch;
    free(world->texts[p]);
    world->texts[p] = strdup(event->text);
    if (member->serial == event->serial)
        member->finished_since_commit = 0;
}

void world_commit(struct world *world, const struct event *event)
{
    apply_commit(world, event);
}

/* The last that fail, when nothing comes behind them that would be committed anyway. */
static bool fails_late(struct world *world)
{
    bool fails = world->calm && world->late_failures > 0 && (world->settings.without >> FAULT_COMMIT_FAILS & 1) == 0;
    world->late_failures -= fails;
    return fails && chance(world, 50);
}

bool world_is_too_long(struct world *world, const char *text)
{
    bool is_so = strlen(text) > world->metadata_max;
    world->happened[FAULT_NARROW] += is_so;
    return is_so;
}

/* Whoever has sent several with texts of one limit makes them shorter once. */
static void hear_of_length(struct world *world, struct member *member, const struct event *event)
{
    if (!event->is_too_long || event->text_limit != member->machine.options.text_limit)
        return;
    kur__machine_text_refused(&member->machine);
    say(world, "%c writes %zu characters at most from now on", 'A' + (int)(member - world->members),
        member->machine.options.text_limit);
}

/* Sends what is to be committed; synchronously at a revoke. */
static void commit(struct world *world, int index, kur__source *only, bool waits)
{
    struct member *member = &world->members[index];
    kur__commit made;
    release_all(world, member); /* what was finished unread is known by that */
    kur__machine_begin_commits(&member->machine, only, world->now_us);
    while (kur__machine_next_commit(&member->machine, &made)) {
        int p = slot_of(made.source);
        world->commands[COMMAND_COMMIT]++;
        world->checker.looked[RULE_ZOMBIE]++;
        if (!member->owns[p] || member->sources[p] != made.source)
            checker_fail(&world->checker, RULE_ZOMBIE, "a commit of %d, which is not owned", p);
        say(world, "%c commits %d@%ld %s", 'A' + index, p, (long)made.offset,
            made.text[0] != '\0' ? "with a text" : "");
        struct event event = {.kind = EVENT_COMMIT,
                              .member = index,
                              .serial = member->serial,
                              .source = made.source,
                              .partition = p,
                              .incarnation = member->incarnations[p],
                              .epoch = member->epochs[p],
                              .offset = made.offset,
                              .generation = member->generation,
                              .text_limit = member->machine.options.text_limit,
                              .is_too_long = world_is_too_long(world, made.text)};
        bool fails = strikes(world, FAULT_COMMIT_FAILS, 10) || fails_late(world),
             lost = strikes(world, FAULT_COMMIT_ANSWER_LOST, 5);
        event.applied = !fails && !event.is_too_long;
        event.good = event.applied && !lost;
        event.text = strdup(made.text);
        if (waits) {
            if (event.applied && member->incarnations[p] == world->logs[p].incarnation)
                apply_commit(world, &event);
            kur__machine_committed(&member->machine, made.source, event.good, world->now_us);
            hear_of_length(world, member, &event);
            free(event.text);
        } else {
            struct event *to = schedule(world, EVENT_COMMIT, (int64_t)draw(world, 30000));
            event.at_us = to->at_us;
            event.sequence = to->sequence;
            *to = event;
        }
    }
}

static void pump(struct world *world, int index)
{
    struct member *member = &world->members[index];
    if (!member->alive)
        return;
    if (member->pumped_us < world->now_us)
        member->pumped_before_us = member->pumped_us;
    member->pumped_us = world->now_us;
    topics_look_at_clock(world, member);
    start_handlers(world, index);
    start_effects(world, index);
    release_all(world, member);
    if (kur__machine_commit_is_due(&member->machine, world->now_us)) {
        if (world->exactly_once)
            transaction_begin(world, index);
        else
            commit(world, index, NULL, false);
    }
    topics_check_bounds(world, member);
}

/* ---- Handlers and answers ---- */

/* What has become of what was said of a record. */
static void take_consequence(struct world *world, struct member *member, struct item *item)
{
    struct log *log = &world->logs[item->partition];
    kur__work *work = item->said;
    const kur__verdict *verdict = &work->verdict;
    kur__consequence what = (kur__consequence)work->consequence;
    item->said = NULL;
    item->is_running = false;
    item->again_us = 0;
    say(world, "%d@%ld: outcome %d, consequence %d", item->partition, (long)item->offset, (int)verdict->outcome,
        (int)what);
    world->checker.stories[item->story].running--;
    if (what == KUR__AGAIN)
        item->starts--; /* that was no attempt */
    if (what != KUR__AGAIN && what != KUR__STALE)
        topics_judge(world, member, item, work, what);
    if (verdict->outcome == KUR_DONE && !verdict->has_emits && !world->exactly_once && what != KUR__AGAIN)
        world->checker.stories[item->story].done++;
    bool is_said = verdict->outcome == KUR_DONE || verdict->outcome == KUR_REJECT;
    if ((is_said && what != KUR__AGAIN) || what == KUR__REJECTS) {
        if (what != KUR__STALE)
            ordered_check(world, item, 0, "counts");
        ordered_end(world, item);
    }
    if (!is_there(log, item))
        return;
    if (what == KUR__AGAIN) {
        world->checker.allowed += log->entries[item->offset].durable; /* by another epoch */
        return;
    }
    if (verdict->is_not_run && what != KUR__STALE)
        checker_fail(&world->checker, RULE_ORDER, "%d@%ld was not run, and that counts", item->partition,
                     (long)item->offset);
    /* Also of an epoch that has ended: the handler has done it. */
    bool is_late = what == KUR__STALE;
    if (is_late && is_said)
        log->entries[item->offset].returned = true;
    else if (is_said || what == KUR__REJECTS || what == KUR__FORWARDS)
        checker_return(&world->checker, log, item->partition, item->offset);
    if (verdict->outcome == KUR_DONE && !verdict->has_emits && !world->exactly_once) {
        log->entries[item->offset].durable = true;
        member->finished_since_commit++;
    }
    int64_t delay_us = topics_delay(&member->policy, verdict->delay_us);
    if (what == KUR__RETRIED && verdict->has_delay && work->due_us < world->now_us + delay_us)
        checker_fail(&world->checker, RULE_EARLY, "%d@%ld is due too early", item->partition, (long)item->offset);
}

/* Those of which it is known by now, those in front first. */
static void take_consequences(struct world *world, struct member *member)
{
    struct item *next;
    do {
        next = NULL;
        for (int i = 0; i < member->held_count; i++) {
            struct item *item = member->held[i];
            if (item->said != NULL && item->said->consequence != KUR__HELD &&
                (next == NULL || item->offset < next->offset))
                next = item;
        }
        if (next != NULL)
            take_consequence(world, member, next);
    } while (next != NULL);
}

static void take_return(struct world *world, const struct event *event)
{
    struct member *member = &world->members[event->member];
    struct item *item = event->item;
    if (!member->alive || member->serial != event->serial) {
        item->is_running = false;
        world->checker.stories[item->story].running--;
        return;
    }
    kur__verdict verdict = topics_verdict(world, item);
    item->said = event->work;
    kur__machine_outcome(&member->machine, event->work, &verdict, world->now_us);
    say(world, "%c returns %d@%ld", 'A' + event->member, item->partition, (long)item->offset);
    take_consequences(world, member);
}

/* What a record was to have done is done. */
static int64_t apply_effect(struct world *world, const struct event *event)
{
    struct item *item = event->item;
    struct log *log = &world->logs[item->partition];
    struct member *member = &world->members[event->member];
    struct story *story = &world->checker.stories[item->story];
    int64_t landed = -1;
    if (event->forward.tier != KUR_TIER_MAIN)
        landed = topics_arrive(world, &event->forward);
    else
        *(item->fate == FATE_DONE ? &story->done : &story->dead) += 1;
    if (is_there(log, item) && !(world->keeps_order && ordered_is_late(member, event))) {
        log->entries[item->offset].durable = true;
        member->finished_since_commit += member->serial == event->serial;
    }
    return landed;
}

static void take_arrival(struct world *world, const struct event *event)
{
    int64_t landed = apply_effect(world, event);
    for (int i = 0; i < world->events_count; i++)
        if (world->events[i].kind == EVENT_EFFECT && world->events[i].awaits == event->sequence &&
            !chance(world, 3)) /* and then it is not told where */
            world->events[i].landed = landed;
}

static void take_effect(struct world *world, const struct event *event)
{
    struct item *item = event->item;
    struct member *member = &world->members[event->member];
    bool is_heard = member->alive && member->serial == event->serial;
    if (event->applied && !world->exactly_once && event->awaits < 0)
        apply_effect(world, event);
    if (!is_heard)
        return;
    item->is_sent = false;
    item->is_settled = event->good && ordered_counts(member, item, &event->forward);
    event->work->landed = event->good ? event->landed : -1;
    kur__machine_effect(&member->machine, event->work, event->good, world->now_us);
}

static void take_event(struct world *world, int index)
{
    struct event event = world->events[index];
    struct member *member = &world->members[event.member];
    bool is_there = member->alive && member->serial == event.serial;
    world->events[index].text = NULL;
    drop_event(world, index);
    switch (event.kind) {
    case EVENT_RETURN:
        take_return(world, &event);
        break;
    case EVENT_EFFECT:
        take_effect(world, &event);
        break;
    case EVENT_COMMIT: {
        /* The coordinator refuses what comes from another generation than its own. */
        bool taken = event.applied && event.generation == world->generation &&
                     event.incarnation == world->logs[event.partition].incarnation;
        if (taken)
            apply_commit(world, &event);
        struct event *answer = schedule(world, EVENT_ANSWER, (int64_t)draw(world, 30000));
        int64_t at_us = answer->at_us, sequence = answer->sequence;
        *answer = event;
        answer->kind = EVENT_ANSWER;
        answer->at_us = at_us;
        answer->sequence = sequence;
        answer->good = taken && event.good;
        answer->text = NULL;
        break;
    }
    case EVENT_ANSWER:
        if (is_there) {
            kur__machine_committed(&member->machine, event.source, event.good, world->now_us);
            hear_of_length(world, member, &event);
        }
        break;
    case EVENT_TRANSACTION:
        transaction_take_event(world, &event);
        break;
    case EVENT_ARRIVE:
        take_arrival(world, &event);
        break;
    case EVENT_END:
    case EVENT_END_TOLD:
        ordered_take_event(world, &event);
        break;
    }
    free(event.text);
}

/* The next that is due by now, or, with `any`, the next at all; -1: none. */
static int find_event(const struct world *world, bool any)
{
    int found = -1;
    for (int i = 0; i < world->events_count; i++) {
        const struct event *event = &world->events[i];
        if ((any || event->at_us <= world->now_us) &&
            (found < 0 || event->at_us < world->events[found].at_us ||
             (event->at_us == world->events[found].at_us && event->sequence < world->events[found].sequence)))
            found = i;
    }
    return found;
}

static void take_due_events(struct world *world)
{
    int index;
    while (!world->checker.failed && (index = find_event(world, false)) >= 0)
        take_event(world, index);
}

void world_hurry(struct world *world, const struct transaction *transaction)
{
    for (int i = 0; i < world->events_count; i++)
        if (world->events[i].kind == EVENT_TRANSACTION && world->events[i].transaction == transaction) {
            take_event(world, i);
            i = -1;
        }
}

/* ---- Partitions and processes ---- */

/* Whether something was done with a record, or is still on its way. */
static bool was_touched(const struct entry *entry)
{
    return entry->starts > 0 || entry->durable || entry->was_sent;
}

/* Everything that was run and is not committed, or whose commit holds no more, may come again. */
static void explain_duplicates(struct world *world, int p)
{
    struct log *log = &world->logs[p];
    int64_t cut = world_lowest_cut(log, world->committed_epochs[p]);
    int64_t from = world->committed[p] < cut ? world->committed[p] : cut; /* what is above the cut is not believed */
    for (int64_t offset = from > 0 ? from : 0; offset < log->end; offset++)
        world->checker.allowed += was_touched(&log->entries[offset]);
}

static void forget(struct member *member, int p)
{
    member->sources[p] = NULL;
    member->owns[p] = false;
    member->is_full[p] = false;
    member->last_commits[p] = member->ends[p] = -1;
}

/* Where the group begins in a partition: at its commit, as far as the log still has that. */
static void begin(struct world *world, int index, int p, bool from_commit, int64_t start)
{
    struct member *member = &world->members[index];
    struct log *log = &world->logs[p];
    kur__assignment assignment = {
        .topic = topics_name(slot_tier(p)),
        .partition = slot_number(p),
        .tier = (kur_tier)slot_tier(p),
        .home = p < PARTITIONS_MAX ? NULL : topics_name(KUR_TIER_MAIN),
        .start = start,
        .log = {.cluster = 7, .topic = (uint32_t)log->incarnation + 1, .epoch = log->epoch + 1},
        .generation = member->generation,
        .end = world->keeps_order && chance(world, 50) ? log->end : -1};
    if (from_commit)
        transactions_settle(world, p);
    if (from_commit && world->committed[p] >= 0) {
        assignment.start = world->committed[p];
        assignment.is_committed = true;
        assignment.text = world->texts[p];
    } else if (from_commit) {
        assignment.start = log->start;
    }
    if (assignment.is_committed && (assignment.start < log->start || assignment.start > log->end ||
                                    assignment.start > world_lowest_cut(log, world->committed_epochs[p]))) {
        assignment.start =
            assignment.start < log->start ? log->start : world_lowest_cut(log, world->committed_epochs[p]);
        assignment.is_committed = false;
        assignment.text = NULL;
        explain_duplicates(world, p);
        transactions_excuse(world, p, assignment.start);
    }
    kur_error warning = {0}, error = {0};
    kur__source *source = NULL;
    int64_t position = 0;
    if (kur__machine_assign(&member->machine, &assignment, &source, &position, world->now_us, &warning, &error) !=
        KUR_OK)
        abort();
    bool goes_on = source == member->sources[p] && source != NULL;
    if (warning.code != KUR_OK)
        transactions_excuse(world, p, assignment.start);
    say(world, "%c gets %d from %ld%s%s", 'A' + index, p, (long)position, goes_on ? ", goes on" : "",
        warning.code != KUR_OK ? warning.message : "");
    if (!goes_on) {
        member->last_commits[p] = -1;
        member->is_full[p] = false;
        member->source_epochs[p]++;
        world->begun[p]++;
        explain_duplicates(world, p);
        ordered_explain(world, p, assignment.start, !from_commit);
        member->ends[p] = assignment.end;
        member->given[p] = position;
    }
    member->sources[p] = source;
    member->positions[p] = position;
    member->incarnations[p] = log->incarnation;
    member->epochs[p] = log->epoch;
    member->owns[p] = true;
    ordered_begin(world, index, p);
}

/* An end of an epoch and the beginning of the next in the same process. */
static void reset(struct world *world, int index, int p, int64_t start)
{
    struct member *member = &world->members[index];
    say(world, "%c resets %d to %ld", 'A' + index, p, (long)start);
    kur__machine_drop(&member->machine, member->sources[p]);
    explain_duplicates(world, p);
    transactions_excuse(world, p, start);
    for (int64_t offset = start; offset < world->logs[p].end; offset++)
        world->checker.allowed += was_touched(&world->logs[p].entries[offset]);
    forget(member, p);
    begin(world, index, p, false, start);
}

/* What is unfinished below the cut must not be forgotten. */
static int64_t least(int64_t first_unfinished, int64_t cut, int64_t start)
{
    int64_t to = first_unfinished < cut ? first_unfinished : cut;
    return to > start ? to : start;
}

static void poll(struct world *world, int index)
{
    struct member *member = &world->members[index];
    topics_look_at_clock(world, member);
    for (int p = 0; p < SLOTS_MAX; p++) {
        struct log *log = &world->logs[p];
        kur__source *source = member->sources[p];
        if (!member->owns[p] || source == NULL || source->state != KUR__ACTIVE)
            continue;
        if (member->incarnations[p] != log->incarnation)
            reset(world, index, p, log->start);
        else if (member->positions[p] > world_lowest_cut(log, member->epochs[p]))
            reset(world, index, p,
                  least(kur__ledger_commit_offset(&source->ledger), world_lowest_cut(log, member->epochs[p]),
                        log->start));
        else if (member->positions[p] < log->start)
            reset(world, index, p, log->start);
        else if (member->epochs[p] != log->epoch) {
            kur__machine_new_epoch(&member->machine, source, log->epoch + 1);
            explain_duplicates(world, p);
            ordered_explain(world, p, member->positions[p], true);
            transactions_excuse(world, p, member->positions[p]);
        }
        member->epochs[p] = log->epoch;
        source = member->sources[p];
        size_t room = room_of(world, member, p), left = (size_t)draw(world, (uint64_t)world->batch + 1);
        left = left < room ? left : room;
        int64_t before = member->positions[p];
        for (int64_t *at = &member->positions[p]; *at < log->end && left > 0; (*at)++) {
            const struct entry *entry = &log->entries[*at];
            if (!entry->exists || world_is_spent(world))
                continue;
            struct item *item = &world->items[world->items_count++];
            char key[16];
            *item = (struct item){.partition = p,
                                  .offset = *at,
                                  .version = entry->version,
                                  .serial = member->serial,
                                  .epoch = member->source_epochs[p]};
            snprintf(key, sizeof key, "k%d", entry->key);
            kur__polled polled = {.offset = *at,
                                  .key = entry->key >= 0 ? kur_bytes_text(key) : kur_bytes_of(NULL, 0),
                                  .bytes = RECORD_BYTES,
                                  .item = item};
            topics_read(world, member, entry, item, &polled);
            left--;
            if (kur__machine_admit(&member->machine, source, &polled, world->now_us) != KUR__ADMITTED) {
                world->items_count--;
                continue;
            }
            hold(member, item);
            item->work = source->newest != NULL && source->newest->item == item ? source->newest : NULL;
            topics_admitted(world, item);
        }
        ordered_read(world, member, p);
        if (member->positions[p] != before)
            say(world, "%c has read %d up to %ld", 'A' + index, p, (long)member->positions[p]);
    }
}

/* A process ends as by SIGKILL: what its handlers do from now on, nobody hears. */
static void crash(struct world *world, int index)
{
    struct member *member = &world->members[index];
    kur__released released;
    say(world, "%c crashes", 'A' + index);
    transactions_orphan(world, index);
    for (int p = 0; p < SLOTS_MAX; p++) {
        if (member->owns[p])
            explain_duplicates(world, p);
        if (world->owners[p] == index)
            world->owners[p] = -1;
        forget(member, p);
    }
    while (member->held_count > 0)
        let_go(member, member->held[0]);
    while (kur__machine_next_release(&member->machine, &released))
        continue;
    kur__machine_done(&member->machine);
    member->alive = false;
    member->serial = world->next_serial++;
    world->crashes++;
}

static void boot(struct world *world, int index)
{
    struct member *member = &world->members[index];
    kur_error error = {0};
    *member = (struct member){.alive = true, .serial = world->next_serial++};
    for (int p = 0; p < SLOTS_MAX; p++)
        forget(member, p);
    topics_draw_policy(world, &member->policy);
    member->skew_us = world->skew_us;
    if (kur__machine_init(&member->machine, &member->policy, &error) != KUR_OK)
        abort();
    say(world, "%c boots", 'A' + index);
}

/* The commit of a source that is under way reaches the broker, and its answer comes. */
static void take_answers(struct world *world, const struct member *member, const kur__source *source)
{
    for (int i = 0; i < world->events_count; i++) {
        const struct event *event = &world->events[i];
        if (event->serial == member->serial && event->source == source &&
            (event->kind == EVENT_COMMIT || event->kind == EVENT_ANSWER)) {
            take_event(world, i);
            i = -1;
        }
    }
}

/* What was sent before reaches the broker before what is sent now. */
static void take_under_way(struct world *world, const struct member *member, const kur__source *source)
{
    for (int i = 0; i < world->events_count; i++) {
        const struct event *event = &world->events[i];
        if (event->serial == member->serial && event->source == source && event->kind == EVENT_COMMIT) {
            take_event(world, i);
            i = -1;
        }
    }
}

static void give_back(struct world *world, int index, int p, bool is_lost)
{
    struct member *member = &world->members[index];
    kur__source *source = member->sources[p];
    if (source == NULL || !member->owns[p])
        return;
    if (is_lost) {
        kur__machine_drop(&member->machine, source);
        forget(member, p);
        explain_duplicates(world, p);
        return;
    }
    kur__machine_suspend(&member->machine, source);
    if (chance(world, 50)) /* some time for those that run */
        take_due_events(world);
    if (world->exactly_once) {
        transaction_finish(world, index);
    } else {
        take_under_way(world, member, source);
        if (chance(world, 50))
            take_answers(world, member, source);
        commit(world, index, source, true);
    }
    if (member->transaction != NULL) { /* it did not end in time, so that nothing goes on here */
        kur__machine_drop(&member->machine, source);
        forget(member, p);
    } else {
        kur__machine_leave(&member->machine, source);
        member->owns[p] = false;
    }
    explain_duplicates(world, p);
}

/* Somebody else handles some records of a partition that nobody of ours owns. */
static void foreign_owner(struct world *world, int p)
{
    struct log *log = &world->logs[p];
    transactions_settle(world, p);
    int64_t at = world->committed[p] > log->start ? world->committed[p] : log->start;
    int64_t cut = world_lowest_cut(log, world->committed_epochs[p]);
    at = at < cut ? at : cut;
    int64_t to = at + (int64_t)draw(world, 20);
    for (int64_t offset = to; offset < log->end && world->exactly_once; offset++)
        if (log->entries[offset].durable) /* it tells no more than its offset */
            to = offset + 1;
    for (; at < to && at < log->end; at++) {
        if (world->exactly_once && log->entries[at].exists && !log->entries[at].durable)
            checker_effect(&world->checker, &log->entries[at], p, at);
        if (log->entries[at].exists)
            world->checker.stories[log->entries[at].story].is_elsewhere = true;
        log->entries[at].returned = log->entries[at].durable = true;
    }
    world->committed[p] = at;
    world->committed_epochs[p] = log->epoch;
    free(world->texts[p]);
    world->texts[p] = strdup("");
}

/* What it does not get back. */
static void drop_what_goes(struct world *world, int index, const int *owners)
{
    struct member *member = &world->members[index];
    for (int p = 0; p < SLOTS_MAX; p++)
        if (world_has(world, p) && owners[p] != index && member->sources[p] != NULL) {
            kur__machine_drop(&member->machine, member->sources[p]);
            forget(member, p);
        }
}

static void rebalance(struct world *world)
{
    int owners[SLOTS_MAX], alive[INSTANCES_MAX], count = 0;
    bool cooperative = strikes(world, FAULT_COOPERATIVE, 25), bounce = strikes(world, FAULT_BOUNCE, 40);
    for (int i = 0; i < world->members_count; i++)
        if (world->members[i].alive)
            alive[count++] = i;
    if (count == 0)
        return;
    world->rebalances++;
    int first = (int)draw(world, (uint64_t)count);
    /* Partitions of the same number of all topics. */
    bool together = world->keeps_order ? !strikes(world, FAULT_APART, 15) : chance(world, 50);
    for (int p = 0; p < SLOTS_MAX; p++) {
        int turn = slot_number(p) + (together ? 0 : slot_tier(p)) + first;
        owners[p] = bounce && world->owners[p] >= 0 ? world->owners[p] : alive[turn % count];
    }
    say(world, "rebalance%s%s", cooperative ? ", cooperative" : "", bounce ? ", all as it was" : "");
    for (int i = 0; i < count; i++) {
        struct member *member = &world->members[alive[i]];
        bool is_lost = strikes(world, FAULT_LOST, 10);
        for (int p = 0; p < SLOTS_MAX; p++)
            if (member->owns[p] && (!cooperative || owners[p] != alive[i]))
                give_back(world, alive[i], p, is_lost);
        if (chance(world, 50))
            pump(world, alive[i]);
    }
    world->generation++;
    if (strikes(world, FAULT_ABSENT, 15)) {
        world->generation++;
        for (int p = 0; p < SLOTS_MAX && !cooperative; p++)
            if (world_has(world, p) && chance(world, p < PARTITIONS_MAX ? 50 : 20))
                foreign_owner(world, p);
    }
    for (int i = 0; i < count && world->keeps_order; i++)
        drop_what_goes(world, alive[i], owners);
    for (int i = 0; i < count; i++) {
        struct member *member = &world->members[alive[i]];
        member->generation = world->generation;
        for (int p = 0; p < SLOTS_MAX; p++) {
            if (!world_has(world, p))
                continue;
            if (owners[p] == alive[i] && !member->owns[p]) {
                begin(world, alive[i], p, true, 0);
                if (world->keeps_order && chance(world, 4)) /* they need not come all at once */
                    pump(world, alive[i]);
            } else if (owners[p] != alive[i] && member->sources[p] != NULL) {
                kur__machine_drop(&member->machine, member->sources[p]);
                forget(member, p);
            } else if (owners[p] == alive[i]) {
                member->sources[p]->generation = world->generation; /* kept through a cooperative one */
            }
        }
    }
    for (int p = 0; p < SLOTS_MAX; p++)
        world->owners[p] = world_has(world, p) ? owners[p] : -1;
}

/* One partition goes to somebody else, or comes back, and all others stay where they are. */
static void move_one(struct world *world)
{
    int tier = chance(world, 50) ? KUR_TIER_MAIN : KUR_TIER_ORDERED;
    int p = tier * PARTITIONS_MAX + (int)draw(world, (uint64_t)world->partitions), from = world->owners[p];
    int to = (int)draw(world, (uint64_t)world->members_count);
    if (from < 0 || !world->members[to].alive || !strikes(world, FAULT_APART, 60))
        return;
    say(world, "%d goes from %c to %c", p, 'A' + from, 'A' + to);
    give_back(world, from, p, chance(world, 50));
    if (world->members[from].sources[p] != NULL) {
        kur__machine_drop(&world->members[from].machine, world->members[from].sources[p]);
        forget(&world->members[from], p);
    }
    world->generation++;
    for (int i = 0; i < world->members_count; i++) {
        struct member *member = &world->members[i];
        member->generation = world->generation;
        for (int slot = 0; slot < SLOTS_MAX && member->alive; slot++)
            if (member->owns[slot])
                member->sources[slot]->generation = world->generation;
    }
    world->owners[p] = to;
    begin(world, to, p, true, 0);
}

/* ---- The log ---- */

static void produce(struct world *world)
{
    int p = (int)draw(world, chance(world, 50) ? 1 : (uint64_t)world->partitions); /* the first one is hot */
    struct log *log = &world->logs[p];
    int count = 1 + (int)draw(world, 12);
    for (int i = 0; i < count && log->end + 40 < OFFSETS_MAX; i++) {
        int gap = chance(world, 6) ? 1 + (int)draw(world, chance(world, 20) ? 30 : 3) : 0;
        for (int j = 0; j < gap; j++)
            log_append(log)->version = ++world->next_version;
        int key = chance(world, 15) ? -1 : chance(world, 30) ? 0 : (int)draw(world, (uint64_t)world->keys);
        struct entry *entry = log_append(log);
        *entry = (struct entry){.exists = true, .key = key, .version = ++world->next_version};
        topics_produce(world, entry, p);
        world->checker.stories[entry->story].offset = entry->origin = log->end - 1;
        world->checker.stories[entry->story].version = entry->stamp = entry->version;
        world->records++;
    }
}

static void change_log(struct world *world)
{
    int p = (int)draw(world, (uint64_t)world->partitions);
    struct log *log = &world->logs[p];
    if (strikes(world, FAULT_RETENTION, 30)) {
        int64_t to = log->start + (int64_t)draw(world, (uint64_t)(log->end - log->start) / 4 + 1);
        log->start = to;
        say(world, "%d: the log starts at %ld", p, (long)to);
    } else if (log->epoch + 1 < EPOCHS_MAX && strikes(world, FAULT_TRUNCATE, 30)) {
        int64_t cut = (int64_t)draw(world, chance(world, 50) ? 10 : 90);
        log->end = log->end - cut > log->start ? log->end - cut : log->start;
        log->cuts[++log->epoch] = log->end;
        say(world, "%d: cut at %ld", p, (long)log->end);
    } else if (strikes(world, FAULT_RECREATE, 10)) {
        int incarnation = log->incarnation + 1;
        free(log->entries);
        *log = (struct log){.incarnation = incarnation};
        world->committed[p] = -1;
        free(world->texts[p]);
        world->texts[p] = NULL;
        transactions_forget(world, p);
        say(world, "%d: made anew", p);
    } else if (strikes(world, FAULT_GROW, 10) && world->partitions < PARTITIONS_MAX) {
        world->partitions++;
        rebalance(world);
    }
}

static void seek(struct world *world)
{
    int index = (int)draw(world, (uint64_t)world->members_count), p = (int)draw(world, (uint64_t)world->partitions);
    p += chance(world, 30) ? PARTITIONS_MAX * (int)draw(world, TIERS_MAX) : 0;
    struct member *member = &world->members[index];
    struct log *log = &world->logs[p];
    if (!member->alive || !member->owns[p] || member->sources[p]->state != KUR__ACTIVE ||
        member->incarnations[p] != log->incarnation || member->epochs[p] != log->epoch ||
        !strikes(world, FAULT_SEEK, 30))
        return;
    /* Back only: forward would skip what nobody has handled. */
    int64_t to = kur__ledger_commit_offset(&member->sources[p]->ledger);
    to = to > log->start ? log->start + (int64_t)draw(world, (uint64_t)(to - log->start)) : log->start;
    reset(world, index, p, to);
}

/* ---- A run ---- */

static void set_up(struct world *world)
{
    world->random = world->settings.seed * 2654435761u + 17;
    world->checker.order = (int)draw(world, 5) % 3;
    world->partitions = 2 + (int)draw(world, 5);
    world->members_count = 1 + (int)draw(world, INSTANCES_MAX);
    world->concurrency = 1 + (int)draw(world, 12);
    world->keys = 2 + (int)draw(world, 30);
    world->batch = 4 + (int)draw(world, 20);
    world->together = world->settings.seed % 5 == 0 ? 2 + (int)draw(world, 12) : 0;
    world->next_serial = 1;
    world->items = calloc(ITEMS_MAX, sizeof *world->items);
    bool is_tight = chance(world, 45); /* the sum is what stops, and not a share */
    world->options =
        (kur__machine_options){.order = (kur_order)world->checker.order,
                               .hold_records = is_tight ? 1 + (size_t)draw(world, 4) : 8 + (size_t)draw(world, 200),
                               .hold_bytes = 1000 + (int64_t)draw(world, 30000),
                               .text_limit = chance(world, 40) ? 48 + (size_t)draw(world, 80) : 4096,
                               .commit_interval_us = 500000,
                               .commit_again_us = chance(world, 50) ? 60000000 : INT64_C(3600000000),
                               .commit_records = 20 + (int64_t)draw(world, 200),
                               .attempts = (int32_t)draw(world, 6),
                               .delay_us = 100000,
                               .delay_max_us = 2000000,
                               .multiplier = 2,
                               .jitter = 0.2,
                               .timeout_us = chance(world, 20) ? 5000000 : 0,
                               .effect_delay_us = 50000,
                               .effect_delay_max_us = 1000000};
    bool is_narrow = world->settings.seed % 7 % 3 == 1 && (world->settings.without >> FAULT_NARROW & 1) == 0;
    world->metadata_max = is_narrow ? 40 + world->settings.seed / 7 % 80 : KUR__LEDGER_TEXT_MAX;
    world->exactly_once = world->options.exactly_once = world->settings.seed % 4 == 3;
    if (world->exactly_once) {
        world->options.commit_interval_us = 100000;
        world->options.text_limit = world->settings.seed % 3 == 0 || is_narrow ? 4096
                                    : world->settings.seed % 3 == 1            ? 64
                                                                               : 52;
        /* So much at once that it is too late for the text. */
        world->batch += 90;
        world->options.hold_records += is_tight ? 0 : (size_t)(90 * world->partitions);
        world->options.hold_bytes += is_tight ? 0 : INT64_C(9000) * world->partitions;
    }
    for (int p = 0; p < SLOTS_MAX; p++) {
        world->committed[p] = world->owners[p] = -1;
        world->logs[p].is_retry = p >= PARTITIONS_MAX;
    }
    world->keeps_order = world->settings.seed % 4 == 2;
    topics_set_up(world);
    ordered_set_up(world);
    for (int i = 0; i < world->members_count; i++)
        boot(world, i);
    world->rebalances--;
    rebalance(world);
}

static void step(struct world *world)
{
    int index = (int)draw(world, (uint64_t)world->members_count);
    struct member *member = &world->members[index];
    int what = (int)draw(world, 100);
    if (what < 14 &&
        world->step < world->settings.steps * 4 / 5) /* then there is time to come to the end of the logs */
        produce(world);
    else if (what < 40 && member->alive)
        poll(world, index);
    else if (what < 70)
        pump(world, index);
    else if (what < 71 && !world->calm)
        change_log(world);
    else if (what < 72 && !world->calm)
        seek(world);
    else if (what == 73 && member->alive && strikes(world, FAULT_CRASH, 20))
        crash(world, index);
    else if (what == 74 && !member->alive)
        boot(world, index);
    else if (what == 76 && !world->calm)
        topics_outside(world);
    else if (what == 77 && world->keeps_order)
        move_one(world);
    else if ((what == 74 || what == 75) && strikes(world, FAULT_REBALANCE, 45))
        rebalance(world);
    /* Time stands still, goes, or jumps. */
    if (what >= 50)
        world->now_us += (int64_t)draw(world, 20000);
    if (strikes(world, FAULT_CLOCK, 1))
        world->now_us += (int64_t)draw(world, chance(world, 20) ? 1800000000 : 10000000);
    topics_jump(world);
    if (what % 3 != 0)
        take_due_events(world);
}

static bool is_over(const struct world *world)
{
    bool is_over = world->events_count == 0;
    for (int p = 0; p < SLOTS_MAX && is_over; p++) {
        const struct log *log = &world->logs[p];
        int64_t last = log->end;
        while (last > log->start && !log->entries[last - 1].exists)
            last--;
        is_over = world->committed[p] >= last || last == log->start;
    }
    for (int j = 0; j < world->members_count; j++)
        is_over = is_over && world->members[j].held_count == 0;
    return is_over;
}

/* Whether all that there is has been read and let go. */
static bool has_ended(const struct world *world)
{
    bool has_ended = true;
    for (int p = 0; p < SLOTS_MAX && has_ended; p++)
        if (world_has(world, p) && world->owners[p] >= 0)
            has_ended = world->members[world->owners[p]].positions[p] >= world->logs[p].end;
    for (int j = 0; j < world->members_count; j++)
        has_ended = has_ended && world->members[j].held_count == 0;
    return has_ended;
}

/* What has been done; that something was moved is none. */
static int progress(const struct world *world)
{
    const int *commands = world->commands;
    return commands[COMMAND_RUN] + commands[COMMAND_EFFECT] - commands[COMMAND_MOVE];
}

/* How much has been read where keys keep their order; of what lies below goals. With a small window that takes long. */
static int64_t read_of(const struct world *world, const int64_t *goals)
{
    int64_t read = 0;
    for (int p = 0; p < SLOTS_MAX && world->keeps_order; p++) {
        int64_t position = world->owners[p] >= 0 ? world->members[world->owners[p]].positions[p] : 0;
        read += goals == NULL || position < goals[p] ? position : goals[p];
    }
    return read;
}

/* No faults any more: everybody who is there goes on until nothing is left to do. */
static void settle(struct world *world)
{
    world->calm = true;
    world->late_failures = 8;
    for (int i = 0; i < world->members_count; i++)
        if (!world->members[i].alive)
            boot(world, i);
    bool all_owned = true;
    for (int p = 0; p < SLOTS_MAX; p++)
        all_owned = all_owned && (!world_has(world, p) || world->owners[p] >= 0) &&
                    (!world->keeps_order || world->owners[p] == world->owners[slot_number(p)]);
    if (!all_owned || chance(world, 50))
        rebalance(world);
    int64_t pause_us = PAUSE_US, moved_us = world->now_us, ended_us = 0, goals[SLOTS_MAX] = {0};
    /* `moved_us`: when something was done last; `ended_us`: how long there has been nothing left but to commit it. */
    for (int i = 0; i < 2000000 && world->now_us - moved_us < patience_us && ended_us < COMMITTED_US &&
                    !world->checker.failed && !world_is_spent(world) && !is_over(world);
         i++) {
        int before = progress(world);
        int64_t read = read_of(world, goals), read_at_all = read_of(world, NULL);
        for (int j = 0; j < world->members_count; j++) {
            poll(world, j);
            pump(world, j);
        }
        /* Where nothing is to be done for now, that may be so for hours. */
        bool has_progressed = progress(world) != before, is_ended = has_ended(world);
        bool is_quiet = !has_progressed && read_of(world, goals) == read;
        for (int p = 0; p < SLOTS_MAX && has_progressed; p++)
            goals[p] = world->logs[p].end;
        moved_us = is_quiet ? moved_us : world->now_us;
        ended_us = is_ended ? ended_us + PAUSE_US : 0;
        bool is_idle = is_quiet && read_of(world, NULL) == read_at_all;
        pause_us = !is_idle || is_ended ? PAUSE_US : pause_us < PAUSE_MAX_US ? pause_us * 2 : pause_us;
        int next = find_event(world, true);
        int64_t next_us = world->now_us + pause_us;
        if (next >= 0 && world->events[next].at_us < next_us && pause_us > PAUSE_US)
            next_us = world->events[next].at_us > world->now_us ? world->events[next].at_us : world->now_us;
        world->now_us = next_us;
        take_due_events(world);
    }
    if (world_is_spent(world))
        return;
    if (world->now_us - moved_us >= patience_us)
        checker_fail(&world->checker, RULE_LIVENESS, "nothing goes on");
    for (int p = 0; p < SLOTS_MAX; p++)
        checker_end(&world->checker, &world->logs[p], p,
                    world->committed[p] >= 0 ? world->committed[p] : world->logs[p].start);
    checker_end_stories(&world->checker, world->attempts, world->exactly_once);
    for (int i = 0; i < world->members_count; i++) {
        release_all(world, &world->members[i]);
        if (world->members[i].held_count != 0)
            checker_fail(&world->checker, RULE_RELEASE, "%d records are never released", world->members[i].held_count);
    }
}

void world_run(struct world *world, const struct settings *settings)
{
    memset(world, 0, sizeof *world);
    world->settings = *settings;
    set_up(world);
    for (; world->step < settings->steps && !world->checker.failed; world->step++)
        step(world);
    if (!world->checker.failed)
        settle(world);
}

void world_free(struct world *world)
{
    for (int i = 0; i < world->members_count; i++) {
        kur__released released;
        if (!world->members[i].alive)
            continue;
        while (kur__machine_next_release(&world->members[i].machine, &released))
            continue;
        kur__machine_done(&world->members[i].machine);
    }
    while (world->events_count > 0)
        drop_event(world, 0);
    transactions_free(world);
    for (int p = 0; p < SLOTS_MAX; p++) {
        free(world->texts[p]);
        free(world->logs[p].entries);
    }
    free(world->checker.stories);
    free(world->items);
}
