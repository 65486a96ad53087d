/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The model of keys that keep their order through a retry topic, in a share of the seeds. A copy there carries its
 * origin, the place that the record had in the main topic, and whether a listener has written it. How far a partition
 * goes is asked when it is given to somebody, and answered later; a forward arrives at one time and is acknowledged at
 * another, or is not, and may arrive after its sender has lost the partitions, or is gone.
 *
 * Whether the order holds is told by stories alone: a record starts only when all before it of its key, in the main
 * topic, have come to their ends, by whatever copy. That nothing is lost is told by what carries a story: a copy is
 * finished unread only while another one carries it, or its end is there. What was forwarded carries it no more, until
 * somebody begins who does not know of that, for it is not committed; or when a copy is finished unread of which nobody
 * was told that it had arrived. Then no commit may say that the other one is finished.
 *
 * In some of these seeds a process that begins may do without the order, or have it again: then only that nothing is
 * lost counts. And records that wait in the other retry topics, from before, are handled when they are due.
 */
#include <string.h>

#include "world.h"

enum {
    MS = 1000
};

static bool chance(struct world *world, int percent)
{
    return (int)world_draw(world, 100) < percent;
}

static int main_slot(int slot)
{
    return slot_number(slot);
}

static int retry_slot(int slot)
{
    return KUR_TIER_ORDERED * PARTITIONS_MAX + slot_number(slot);
}

static bool is_in_order(int slot)
{
    return slot_tier(slot) == KUR_TIER_MAIN || slot_tier(slot) == KUR_TIER_ORDERED;
}

/* ---- Settings ---- */

void ordered_set_up(struct world *world)
{
    kur__machine_options *options = &world->options;
    if (!world->keeps_order)
        return;
    world->is_mixed = chance(world, 20);
    world->tiers |= 1 << KUR_TIER_ORDERED;
    world->checker.order = 0;
    world->checker.keeps_order = !world->is_mixed;
    world->keys = 1 + world->keys / 3;
    options->order = KUR_ORDER_BY_KEY;
    options->keep_order = true;
    options->has_dead_letters = true;
    options->window_records += 5; /* with fewer it takes days until the first of a long row has been seen */
    options->window_bytes += 5 * RECORD_BYTES;
    options->origins_most = chance(world, 40) ? 1 + (size_t)world_draw(world, 8) : 1000;
}

void ordered_draw_policy(struct world *world, kur__machine_options *policy)
{
    if (!world->keeps_order)
        return;
    if (world->is_mixed)
        policy->keep_order = chance(world, 60);
    if (policy->keep_order && policy->mode == KUR_RETRY_IN_PLACE)
        policy->mode = KUR_RETRY_BY_TOPIC; /* which it goes with */
}

/* ---- How far a partition goes ---- */

void ordered_begin(struct world *world, int index, int slot)
{
    const struct member *member = &world->members[index];
    if (!member->policy.keep_order || !is_in_order(slot) || member->ends[slot] >= 0)
        return;
    struct event *event = world_schedule(world, EVENT_END, (int64_t)world_draw(world, 60 * MS));
    event->member = index;
    event->serial = member->serial;
    event->partition = slot;
    event->epoch = member->source_epochs[slot];
}

void ordered_take_event(struct world *world, const struct event *event)
{
    struct member *member = &world->members[event->member];
    int slot = event->partition;
    if (!member->alive || member->serial != event->serial)
        return;
    if (event->kind == EVENT_END) {
        struct event *told = world_schedule(world, EVENT_END_TOLD, (int64_t)world_draw(world, 60 * MS));
        int64_t at_us = told->at_us, sequence = told->sequence;
        *told = *event;
        told->kind = EVENT_END_TOLD;
        told->at_us = at_us;
        told->sequence = sequence;
        told->offset = world->logs[slot].end;
        return;
    }
    if (member->sources[slot] == NULL || member->source_epochs[slot] != event->epoch || member->ends[slot] >= 0)
        return; /* of a source that has ended */
    world_say(world, "%c hears that %d goes to %ld", 'A' + event->member, slot, (long)event->offset);
    member->ends[slot] = event->offset;
    kur__machine_set_end(&member->machine, member->sources[slot], event->offset, world->now_us);
}

void ordered_read(struct world *world, struct member *member, int slot)
{
    kur__source *source = member->sources[slot];
    /* Its end is asked for again now and then, for a log that was cut ends sooner. */
    if (kur__source_is_reading_up(&member->machine, source) && member->ends[slot] > world->logs[slot].end &&
        chance(world, 10)) {
        member->ends[slot] = world->logs[slot].end;
        kur__machine_set_end(&member->machine, source, member->ends[slot], world->now_us);
    }
    if (kur__source_is_reading_up(&member->machine, source) && member->positions[slot] > source->reached)
        kur__machine_reached(&member->machine, source, member->positions[slot], world->now_us);
}

static bool is_through(const struct member *member, int slot)
{
    return member->ends[slot] >= 0 && member->positions[slot] >= member->ends[slot];
}

/* ---- The order ---- */

/* A record of the main topic that stands there still; or NULL. */
static struct entry *find_main(const struct world *world, const struct story *story)
{
    const struct log *log = &world->logs[story->number];
    if (story->version == 0 || story->offset >= log->end || log->entries[story->offset].version != story->version)
        return NULL;
    return &log->entries[story->offset];
}

/* None of the copies that were there when it was given the partition is of a higher attempt. */
static void check_highest(struct world *world, const struct member *member, const struct item *item)
{
    const struct log *log = &world->logs[item->partition];
    for (int64_t offset = member->given[item->partition]; offset < member->ends[item->partition]; offset++) {
        const struct entry *entry = &log->entries[offset];
        if (entry->exists && !entry->is_foreign && entry->story == item->story && entry->attempt > item->came + 1 &&
            (!entry->durable || (entry->was_dropped && entry->dropped_in == world->begun[item->partition])))
            checker_fail(&world->checker, RULE_ATTEMPTS, "%d@%ld starts on attempt %d, and %d@%ld is there on %d",
                         item->partition, (long)item->offset, item->came + 1, item->partition, (long)offset,
                         entry->attempt);
    }
}

void ordered_start(struct world *world, const struct member *member, const struct item *item, int batch)
{
    struct story *story = &world->checker.stories[item->story];
    ordered_check(world, item, batch, "starts");
    if (world->checker.keeps_order && slot_tier(item->partition) == KUR_TIER_ORDERED && story->key >= 0 &&
        story->ended == 0) /* else it may have been sent again from outside */
        check_highest(world, member, item);
    story->batch = batch;
    story->running++;
}

void ordered_check(struct world *world, const struct item *item, int batch, const char *what)
{
    struct checker *checker = &world->checker;
    const struct story *story = &checker->stories[item->story];
    const struct log *log = &world->logs[story->number];
    if (!checker->keeps_order || !is_in_order(item->partition) || story->key < 0 || find_main(world, story) == NULL)
        return;
    for (int64_t before = log->start; before < story->offset; before++) {
        const struct entry *entry = &log->entries[before];
        if (!entry->exists || entry->key != story->key)
            continue;
        const struct story *other = &checker->stories[entry->story];
        checker->looked[RULE_ORDER]++;
        if (other->ended == 0 && !other->is_elsewhere && (batch == 0 || other->batch != batch))
            checker_fail(checker, RULE_ORDER, "%d@%ld, which was %d@%ld, %s before %ld of its key has ended",
                         item->partition, (long)item->offset, story->number, (long)story->offset, what, (long)before);
    }
}

void ordered_end(struct world *world, const struct item *item)
{
    struct story *story = &world->checker.stories[item->story];
    story->ended++;
    if (!world->keeps_order || story->is_elsewhere || story->key < 0 || !is_in_order(item->partition))
        return;
    world->checker.looked[RULE_DUPLICATE]++;
    if (story->ended > 1 + story->excused && !world->is_mixed)
        checker_fail(&world->checker, RULE_DUPLICATE, "%d@%ld, which was %d@%ld, has ended %d times, %d are explained",
                     item->partition, (long)item->offset, story->number, (long)story->offset, story->ended,
                     1 + story->excused);
}

/* Whether the group knows that a record is finished; what is above a cut of the log since then is not believed. */
static bool is_committed(const struct world *world, int slot, int64_t offset)
{
    if (offset >= world_lowest_cut(&world->logs[slot], world->committed_epochs[slot]))
        return false;
    return offset < world->committed[slot] || checker_is_told(world->texts[slot], world->committed[slot], offset);
}

/* The main record and a copy may both be there, and each be run when the other is through. */
void ordered_explain(struct world *world, int slot, int64_t from, bool is_reset)
{
    struct log *log = &world->logs[slot];
    if (!world->keeps_order)
        return;
    for (int64_t offset = from > 0 ? from : 0; offset < log->end; offset++) {
        struct entry *entry = &log->entries[offset];
        if (!entry->exists)
            continue;
        struct story *story = &world->checker.stories[entry->story];
        story->excused += story->ended + story->running + story->copies > 0;
        if (!entry->was_dropped && !(entry->was_sent && entry->durable && story->done + story->dead == 0))
            continue;
        if (is_reset) /* it may be committed, and is read again */
            story->is_elsewhere = true;
        else if (!is_committed(world, slot, offset)) /* that another copy counts, the group has not heard */
            entry->was_dropped = entry->durable = false;
    }
}

/* ---- What is finished unread ---- */

static bool carries(const struct log *log, int64_t offset, int story)
{
    const struct entry *entry = &log->entries[offset];
    return entry->exists && !entry->is_foreign && !entry->durable && entry->story == story;
}

/* Whether something unfinished of a story is there, in any of the topics. */
static bool is_carried(const struct world *world, int story, int number)
{
    for (int slot = number; slot < SLOTS_MAX; slot += PARTITIONS_MAX)
        for (int64_t offset = 0; offset < world->logs[slot].end; offset++)
            if (carries(&world->logs[slot], offset, story))
                return true;
    return false;
}

/* What it was copied from is not finished, then; or there is none any more. */
static void revive(struct world *world, const struct item *item, const struct entry *copy)
{
    struct log *log = &world->logs[copy->from_slot];
    struct checker *checker = &world->checker;
    if (copy->from_version == 0) {
        checker_fail(checker, RULE_LOST, "%d@%ld is finished unread, and nothing else of it is there", item->partition,
                     (long)item->offset);
        return;
    }
    if (copy->from_offset < log->start || copy->from_offset >= log->end ||
        log->entries[copy->from_offset].version != copy->from_version)
        return; /* it was cut off, or has expired */
    log->entries[copy->from_offset].durable = false;
    if (is_committed(world, copy->from_slot, copy->from_offset))
        checker_fail(checker, RULE_LOST, "%d@%ld is finished unread, and so is %d@%ld, which it is a copy of",
                     item->partition, (long)item->offset, copy->from_slot, (long)copy->from_offset);
}

void ordered_drop(struct world *world, const struct member *member, struct item *item)
{
    struct log *log = &world->logs[item->partition];
    struct story *story = &world->checker.stories[item->story];
    bool is_current = member->sources[item->partition] != NULL && item->epoch == member->source_epochs[item->partition];
    if (!world->keeps_order || !is_current || item->fate != FATE_OPEN || item->is_running || item->said != NULL ||
        !world_is_there(log, item))
        return;
    struct entry *entry = &log->entries[item->offset];
    world_say(world, "%d@%ld is finished unread", item->partition, (long)item->offset);
    world->commands[COMMAND_DROP]++;
    world->checker.looked[RULE_LOST]++;
    if (!member->policy.keep_order || !is_in_order(item->partition))
        checker_fail(&world->checker, RULE_FATE, "%d@%ld is finished unread", item->partition, (long)item->offset);
    entry->durable = entry->returned = entry->was_dropped = true;
    entry->dropped_in = world->begun[item->partition];
    if (story->done + story->dead == 0 && !story->is_elsewhere && !is_carried(world, item->story, story->number))
        revive(world, item, entry);
}

bool ordered_is_late(const struct member *member, const struct event *event)
{
    const struct item *item = event->item;
    return event->forward.tier == KUR_TIER_ORDERED &&
           (!member->alive || member->serial != event->serial || member->sources[item->partition] == NULL ||
            member->source_epochs[item->partition] != item->epoch);
}

bool ordered_counts(const struct member *member, const struct item *item, const struct forward *forward)
{
    int retry = retry_slot(item->partition);
    if (forward->retry_epoch == 0)
        return true;
    return member->owns[retry] && member->source_epochs[retry] == forward->retry_epoch;
}

/* ---- What waits ---- */

static bool is_active(const struct member *member, int slot)
{
    return member->owns[slot] && member->sources[slot] != NULL && member->sources[slot]->state == KUR__ACTIVE;
}

/* One of its key is held that keeps the order. */
static bool has_company(const struct world *world, const struct member *member, const struct item *item)
{
    for (int i = 0; i < member->held_count; i++) {
        const struct item *other = member->held[i];
        if (other != item && slot_number(other->partition) == slot_number(item->partition) &&
            is_in_order(other->partition) &&
            world->checker.stories[other->story].key == world->checker.stories[item->story].key)
            return true;
    }
    return false;
}

/*
 * Whether the main partition has been read past the origin of a copy. Where its record is gone, that is looked at when
 * no more is read for want of room.
 */
static bool is_passed(const struct world *world, const struct member *member, const struct item *item, int main)
{
    const struct log *log = &world->logs[main];
    int64_t offset = member->positions[main] < log->end ? member->positions[main] - 1 : log->end - 1;
    if (find_main(world, &world->checker.stories[item->story]) != NULL)
        return member->positions[main] > item->origin;
    while (offset >= item->origin && offset >= 0 && !log->entries[offset].exists)
        offset--;
    return member->is_full[main] && offset >= 0 && offset >= item->origin;
}

/* Rather too often than too seldom: what waits for ever does not come to its end either. */
bool ordered_is_held_up(const struct world *world, const struct member *member, const struct item *item)
{
    int main = main_slot(item->partition), retry = retry_slot(item->partition);
    int key = world->checker.stories[item->story].key;
    if (!member->policy.keep_order)
        return false;
    bool is_open = is_active(member, main) && is_active(member, retry) && is_through(member, retry);
    if (!is_in_order(item->partition)) /* in the lane, behind one that is shut out */
        return !is_open && key >= 0 && has_company(world, member, item);
    if (!is_open)
        return true;
    if (key < 0)
        return false;
    if (item->partition == retry && !is_through(member, main) && !is_passed(world, member, item, main))
        return true;
    if (has_company(world, member, item))
        return true;
    for (int64_t offset = 0; offset < world->logs[retry].end; offset++) {
        const struct entry *entry = &world->logs[retry].entries[offset];
        if (entry->exists && entry->key == key && !entry->durable &&
            (item->partition != retry || item->offset != offset))
            return true;
    }
    return false;
}
