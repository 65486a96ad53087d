/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The model of retry topics and dead letters. A retry topic is a topic like any other; what stands on its records the
 * model writes as the listener's shell does, and believes on reading: the attempt that comes next, the time by the
 * world's clock, the first failure. What a record will come to is drawn when it is written (so often it fails, and this
 * is how it ends), so that its end is known whatever way it takes.
 *
 * The clock of the world jumps against that of the machines. Each process looks at it whenever it turns, as the shell
 * does, and tells its machine.
 */
#include <string.h>

#include "world.h"

enum {
    MS = 1000,
    SECOND = 1000 * MS,
    MINUTE = 60 * SECOND
};

static const int64_t hour_us = INT64_C(3600) * SECOND;

static bool chance(struct world *world, int percent)
{
    return (int)world_draw(world, 100) < percent;
}

static bool has_topics(const struct world *world)
{
    return world->tiers > 1;
}

const char *topics_name(int tier)
{
    static const char *const names[TIERS_MAX] = {"t", "t.g.retry-short", "t.g.retry-medium", "t.g.retry-long",
                                                 "t.g.retry-ordered"};
    return names[tier];
}

/* ---- Settings ---- */

static kur_retry_mode draw_mode(struct world *world)
{
    int drawn = (int)world_draw(world, 100);
    if (!has_topics(world) || world->checker.order == 1) /* which does not go with topics */
        return KUR_RETRY_IN_PLACE;
    return drawn < 20 ? KUR_RETRY_IN_PLACE : drawn < 70 ? KUR_RETRY_BY_TOPIC : KUR_RETRY_IN_PLACE_THEN_BY_TOPIC;
}

static void draw_delays(struct world *world, kur__machine_options *policy)
{
    bool is_long = has_topics(world) && chance(world, 30);
    policy->delay_us = is_long ? 2 * SECOND : 100 * MS;
    policy->delay_max_us = is_long ? 3 * MINUTE : 2 * SECOND;
    policy->multiplier = is_long ? 5 : 2;
}

void topics_set_up(struct world *world)
{
    kur__machine_options *options = &world->options;
    bool is_tight = chance(world, 50);
    world->tiers = chance(world, 70) || world->keeps_order
                       ? 1 << KUR_TIER_MAIN | 1 << KUR_TIER_SHORT | 1 << KUR_TIER_MEDIUM | 1 << KUR_TIER_LONG
                       : 1 << KUR_TIER_MAIN;
    if (has_topics(world) && world->checker.order == 1 &&
        chance(world, 60)) /* which goes with retries in place alone */
        options->order = (kur_order)(world->checker.order = 0);
    if (has_topics(world) && world->together > 0) /* so that records of several topics are in a lane together */
        world->keys = 1 + world->keys / 4;
    world->skew_us = INT64_C(1000000) * hour_us;
    options->has_dead_letters = has_topics(world) && chance(world, 85);
    options->window_records = is_tight ? 1 + (size_t)world_draw(world, 12) : 20 + (size_t)world_draw(world, 300);
    options->window_bytes =
        is_tight ? 100 + (int64_t)world_draw(world, 3000) : 1000 + (int64_t)world_draw(world, 40000);
    options->mode = draw_mode(world);
    options->in_place_attempts = 1 + (int32_t)world_draw(world, 3);
    draw_delays(world, options);
    world->attempts = options->timeout_us == 0 ? options->attempts : -1;
}

void topics_draw_policy(struct world *world, kur__machine_options *policy)
{
    *policy = world->options;
    policy->seed = world_draw(world, UINT64_MAX);
    if (has_topics(world) && world_strikes(world, FAULT_POLICY, 25)) {
        policy->mode = draw_mode(world);
        policy->attempts = (int32_t)world_draw(world, 6);
        draw_delays(world, policy);
        if (policy->attempts != world->attempts)
            world->attempts = -1;
    }
    ordered_draw_policy(world, policy);
}

/* Mostly soon; or, where a record does not hold others up, whenever. */
static int64_t draw_delay(struct world *world)
{
    if (!has_topics(world) || !world_strikes(world, FAULT_FAR, 30))
        return (int64_t)world_draw(world, 3 * SECOND);
    int drawn = (int)world_draw(world, world->keeps_order ? 92 : 100);
    return (int64_t)world_draw(world, (uint64_t)(drawn < 70   ? 100 * (int64_t)SECOND
                                                 : drawn < 92 ? hour_us
                                                              : 3 * hour_us));
}

/* ---- The world's clock ---- */

void topics_jump(struct world *world)
{
    if (!world_strikes(world, FAULT_SKEW, 1))
        return;
    int64_t most = chance(world, 60) ? 2 * SECOND : chance(world, 90) ? 2 * MINUTE : 2 * hour_us;
    int64_t by = (int64_t)world_draw(world, (uint64_t)(2 * most)) - most, wall_us = world_wall_us(world);
    for (int i = 0; i < world->members_count; i++)
        for (int j = 0; j < world->members[i].held_count; j++) {
            struct item *item = world->members[i].held[j];
            item->peak_us = item->peak_us > wall_us ? item->peak_us : wall_us;
        }
    world->skew_us += by;
    world->jumps++;
    world_say(world, "the world's clock jumps by %ld", (long)by);
}

void topics_look_at_clock(struct world *world, struct member *member)
{
    if (member->skew_us != world->skew_us)
        kur__machine_clock_jumped(&member->machine, world->skew_us - member->skew_us);
    member->skew_us = world->skew_us;
}

static int64_t machine_us(const struct member *member, int64_t wall_us)
{
    int64_t at_us = wall_us - member->skew_us;
    return at_us != 0 ? at_us : -1;
}

/* ---- What is written ---- */

static int new_story(struct world *world, int number, int key)
{
    bool fails = chance(world, 22), ends = chance(world, 7);
    struct story story = {.number = number, .key = key, .failures = 1 + (int)world_draw(world, 6)};
    story.ending = chance(world, 75) ? ENDS_REJECTED : ENDS_HOPELESS;
    if (!fails || (world->settings.without >> FAULT_RETRY & 1) != 0)
        story.failures = 0;
    if (!ends || (world->settings.without >> FAULT_REJECT & 1) != 0)
        story.ending = ENDS_DONE;
    return checker_new_story(&world->checker, &story);
}

void topics_produce(struct world *world, struct entry *entry, int number)
{
    entry->story = new_story(world, number, entry->key);
    entry->attempt = 1;
    if (has_topics(world) && !world->keeps_order && world_strikes(world, FAULT_DELAYED, 5))
        entry->due_us = world_wall_us(world) + draw_delay(world) - (chance(world, 10) ? 2 * SECOND : 0);
}

static struct entry *write_entry(struct world *world, int slot)
{
    struct log *log = &world->logs[slot];
    for (int gap = chance(world, 10) ? 1 + (int)world_draw(world, 3) : 0; gap > 0; gap--)
        log_append(log)->version = ++world->next_version;
    struct entry *entry = log_append(log);
    entry->exists = true;
    entry->version = ++world->next_version;
    entry->attempt = 1;
    entry->written_us = entry->waits_us = world_wall_us(world);
    entry->written_jumps = world->jumps;
    return entry;
}

/* One that is among the dead letters is sent again, as it was; in order also one that is done. */
static int find_dead(struct world *world, int tier)
{
    bool takes_all = tier == KUR_TIER_ORDERED && chance(world, 50);
    int count = world->checker.stories_count, at = count > 0 ? (int)world_draw(world, (uint64_t)count) : 0;
    for (int i = 0; i < count; i++, at = (at + 1) % count)
        if (world->checker.stories[at].dead > 0 || (takes_all && world->checker.stories[at].ended > 0))
            return at;
    return -1;
}

static void write_from_outside(struct world *world, int slot, bool is_parked)
{
    int key = chance(world, 15) ? -1 : chance(world, 30) ? 0 : (int)world_draw(world, (uint64_t)world->keys);
    bool is_alien = world_strikes(world, FAULT_ALIEN, 15);
    int story = !is_alien && !is_parked && chance(world, 40) ? find_dead(world, slot_tier(slot)) : -1;
    if (story >= 0) {
        slot = slot_tier(slot) * PARTITIONS_MAX + world->checker.stories[story].number;
        world->checker.stories[story].excused++;
    } else {
        story = new_story(world, slot_number(slot), key);
    }
    struct story *what = &world->checker.stories[story];
    struct entry *entry = write_entry(world, slot);
    entry->story = story;
    entry->key = what->key;
    entry->is_outside = true;
    entry->origin = what->version > 0 ? what->offset : -2 - story; /* or before all others */
    entry->stamp = what->version;
    entry->is_foreign = entry->durable = is_alien;
    what->is_elsewhere |= is_alien;
    if (!is_parked && !chance(world, 15))
        return;
    static const int64_t longest_us[] = {0, MINUTE, 3600 * (int64_t)SECOND, 3 * 3600 * (int64_t)SECOND, MINUTE};
    entry->due_us = world_wall_us(world) + (int64_t)world_draw(world, (uint64_t)longest_us[slot_tier(slot)]) - SECOND;
    if (what->failures > 0) { /* one that has failed already */
        entry->attempt = 1 + (int)world_draw(world, (uint64_t)what->failures);
        entry->first_us = entry->attempt > 1 ? world_wall_us(world) - SECOND : 0;
    }
}

void topics_outside(struct world *world)
{
    int tier = world->keeps_order && chance(world, 60) ? KUR_TIER_ORDERED : 1 + (int)world_draw(world, 3);
    int slot = tier * PARTITIONS_MAX + (int)world_draw(world, chance(world, 50) ? 1 : (uint64_t)world->partitions);
    if (!world_has(world, slot) || !world_strikes(world, FAULT_OUTSIDE, 70))
        return;
    bool is_parked = chance(world, 30);
    int count = is_parked ? 10 + (int)world_draw(world, 50) : 1 + (int)world_draw(world, 4);
    world_say(world, "%d records come into %d from outside", count, slot);
    while (count-- > 0)
        write_from_outside(world, slot, is_parked);
}

/* ---- What is read, and said ---- */

static int tier_for(int64_t delay_us)
{
    return delay_us < MINUTE ? KUR_TIER_SHORT : delay_us < hour_us ? KUR_TIER_MEDIUM : KUR_TIER_LONG;
}

/* Between two passes through a topic. */
static int64_t pause_us(int tier)
{
    return tier == KUR_TIER_LONG ? 10 * (int64_t)MINUTE : tier == KUR_TIER_MEDIUM ? MINUTE : 10 * SECOND;
}

void topics_read(struct world *world, const struct member *member, const struct entry *entry, struct item *item,
                 kur__polled *polled)
{
    int64_t wall_us = world_wall_us(world);
    item->story = entry->story;
    item->due_us = entry->due_us;
    item->came = item->starts = polled->attempts = entry->attempt - 1;
    item->first_us = polled->first_us = entry->first_us > 0 ? machine_us(member, entry->first_us) : 0;
    item->jumps = world->jumps;
    item->waits_us = entry->waits_us;
    item->written_us = entry->written_us;
    item->written_jumps = entry->written_jumps;
    item->origin = polled->origin = entry->origin;
    item->stamp = polled->stamp_us = entry->stamp;
    polled->is_outside = entry->is_outside;
    if (entry->due_us > wall_us || (entry->due_us > 0 && slot_tier(item->partition) != KUR_TIER_MAIN))
        polled->due_us = machine_us(member, entry->due_us);
    if (entry->written_us > 0)
        polled->written_us = machine_us(member, entry->written_us);
    if (entry->waits_us > 0)
        polled->waits_us = machine_us(member, entry->waits_us);
    int tier = slot_tier(item->partition);
    if (tier != KUR_TIER_MAIN && entry->due_us <= wall_us + pause_us(tier))
        world->near_us[item->partition] = world->now_us;
    polled->is_over = entry->is_foreign;
    if (entry->is_foreign) {
        item->fate = FATE_NOTHING;
    } else if (slot_tier(item->partition) == KUR_TIER_MAIN && entry->due_us > wall_us) {
        item->fate = FATE_DELAYED;
        item->fate_tier = tier_for(entry->due_us - wall_us);
    }
}

void topics_admitted(struct world *world, struct item *item)
{
    if (item->fate == FATE_DELAYED) /* those behind it do not wait for it */
        world->logs[item->partition].entries[item->offset].returned = true;
}

kur__verdict topics_verdict(struct world *world, const struct item *item)
{
    const struct story *story = &world->checker.stories[item->story];
    bool fails = item->starts <= story->failures, is_hopeless = !fails && story->ending == ENDS_HOPELESS;
    kur__verdict verdict = {.outcome = KUR_DONE, .has_emits = chance(world, 25)};
    if (world->together > 0 && chance(world, 6))
        return (kur__verdict){.outcome = KUR_RETRY, .is_not_run = true};
    if (!fails && story->ending == ENDS_REJECTED) {
        world->happened[FAULT_REJECT]++;
        return (kur__verdict){.outcome = KUR_REJECT};
    }
    if (!fails && !is_hopeless)
        return verdict;
    world->happened[FAULT_RETRY]++;
    bool has_delay = chance(world, 40);
    return (kur__verdict){.outcome = chance(world, 20) ? KUR_NO_OUTCOME : KUR_RETRY,
                          .has_delay = has_delay,
                          .delay_us = draw_delay(world),
                          .is_hopeless = is_hopeless};
}

/* ---- What becomes of it ---- */

static int64_t back_off_us(const kur__machine_options *policy, int failures)
{
    double delay = (double)policy->delay_us;
    for (int i = 1; i < failures && delay < (double)policy->delay_max_us; i++)
        delay *= policy->multiplier;
    return delay < (double)policy->delay_max_us ? (int64_t)delay : policy->delay_max_us;
}

int64_t topics_delay(const kur__machine_options *policy, int64_t delay_us)
{
    return policy->keep_order && delay_us > hour_us ? hour_us : delay_us;
}

/* What waits in the other topics from before the order was kept stays there until it is through. */
static int forward_tier(const kur__machine_options *policy, const struct item *item, int64_t delay_us)
{
    int tier = slot_tier(item->partition);
    if (!policy->keep_order)
        return tier_for(delay_us);
    return tier == KUR_TIER_MAIN ? KUR_TIER_ORDERED : tier;
}

static void judge_another_attempt(struct world *world, const struct member *member, struct item *item,
                                  const kur__work *work, kur__consequence what, int64_t latest_us)
{
    const kur__machine_options *policy = &member->policy;
    int64_t least_us = work->verdict.has_delay
                           ? latest_us
                           : latest_us - (int64_t)(policy->jitter * (double)(latest_us - world->now_us)) - 1;
    bool by_topic = policy->mode == KUR_RETRY_BY_TOPIC ||
                    (policy->mode == KUR_RETRY_IN_PLACE_THEN_BY_TOPIC && item->starts >= policy->in_place_attempts);
    world->checker.looked[RULE_DUE]++;
    if (work->due_us < least_us || work->due_us > latest_us)
        checker_fail(&world->checker, RULE_DUE, "%d@%ld is due in %ld, and not in %ld", item->partition,
                     (long)item->offset, (long)(work->due_us - world->now_us), (long)(latest_us - world->now_us));
    if (policy->timeout_us > 0 && work->due_us - item->first_us > policy->timeout_us)
        checker_fail(&world->checker, RULE_FATE, "%d@%ld is tried again when its time is over", item->partition,
                     (long)item->offset);
    if ((what == KUR__FORWARDS) != by_topic)
        checker_fail(&world->checker, RULE_FATE, "%d@%ld waits where the policy does not say", item->partition,
                     (long)item->offset);
    if (what == KUR__RETRIED) {
        item->again_us = work->due_us;
        return;
    }
    item->fate = FATE_FORWARD;
    item->fate_due_us = work->due_us;
    item->fate_tier = forward_tier(policy, item, work->due_us - world->now_us);
}

void topics_judge(struct world *world, const struct member *member, struct item *item, const kur__work *work,
                  kur__consequence what)
{
    const kur__machine_options *policy = &member->policy;
    const kur__verdict *verdict = &work->verdict;
    bool is_tried = what == KUR__RETRIED || what == KUR__FORWARDS;
    world->checker.looked[RULE_FATE]++;
    if (verdict->outcome == KUR_DONE) {
        item->fate = FATE_DONE;
        if (is_tried || what == KUR__REJECTS)
            checker_fail(&world->checker, RULE_FATE, "%d@%ld is done, and does not end so", item->partition,
                         (long)item->offset);
        return;
    }
    bool is_last = policy->attempts > 0 && item->starts >= policy->attempts;
    bool must_end = verdict->outcome == KUR_REJECT || verdict->is_hopeless || is_last;
    int64_t latest_us = world->now_us + (verdict->has_delay ? topics_delay(policy, verdict->delay_us)
                                                            : back_off_us(policy, item->starts));
    if (item->first_us == 0)
        item->first_us = world->now_us;
    bool may_end = must_end || (policy->timeout_us > 0 && latest_us - item->first_us > policy->timeout_us);
    if (is_tried ? must_end : !may_end)
        checker_fail(&world->checker, RULE_FATE, "%d@%ld, attempt %d of %d, %s", item->partition, (long)item->offset,
                     item->starts, policy->attempts, is_tried ? "is tried again" : "is given up");
    if (is_tried)
        judge_another_attempt(world, member, item, work, what, latest_us);
    else
        item->fate = policy->has_dead_letters ? FATE_DEAD : FATE_REJECTED;
}

/* ---- On to another topic ---- */

/* Something of its key must be under retry. */
static void judge_follower(struct world *world, const struct member *member, const struct item *item)
{
    const struct story *stories = world->checker.stories;
    const struct log *retry = &world->logs[KUR_TIER_ORDERED * PARTITIONS_MAX + slot_number(item->partition)];
    int key = stories[item->story].key;
    bool is_found = false;
    for (int64_t offset = retry->start; offset < retry->end && !is_found; offset++)
        is_found = retry->entries[offset].exists && retry->entries[offset].key == key;
    for (int i = 0; i < member->held_count && !is_found; i++)
        is_found = slot_number(member->held[i]->partition) == slot_number(item->partition) &&
                   stories[member->held[i]->story].key == key && member->held[i]->fate == FATE_FORWARD;
    if (!is_found || key < 0)
        checker_fail(&world->checker, RULE_FATE, "%d@%ld follows, and nothing of its key is under retry",
                     item->partition, (long)item->offset);
    if (world_is_there(&world->logs[item->partition], item))
        world->logs[item->partition].entries[item->offset].returned = true;
}

static void judge_forward(struct world *world, const struct member *member, struct item *item, const kur__work *work)
{
    struct checker *checker = &world->checker;
    bool is_seen = item->fate == FATE_FORWARD || item->fate == FATE_DEAD;
    if (item->fate == FATE_OPEN && work->is_unrun && slot_tier(item->partition) != KUR_TIER_MAIN) {
        item->fate = FATE_MOVED;
        item->fate_tier = slot_tier(item->partition);
    } else if (item->fate == FATE_OPEN && work->is_unrun && member->policy.keep_order) {
        item->fate = FATE_FOLLOWS;
        item->fate_tier = KUR_TIER_ORDERED;
        judge_follower(world, member, item);
    }
    bool is_wrong = item->fate == FATE_OPEN || item->fate == FATE_DONE || item->fate == FATE_REJECTED ||
                    item->fate == FATE_NOTHING || work->is_unrun == is_seen || item->is_running;
    int tier = item->fate == FATE_DEAD ? KUR_TIER_DEAD : item->fate_tier;
    if (is_wrong)
        checker_fail(checker, RULE_FATE, "%d@%ld goes to another topic, and nobody has said so", item->partition,
                     (long)item->offset);
    checker->looked[RULE_DUE]++;
    int64_t due_us = item->fate == FATE_FORWARD   ? item->fate_due_us
                     : item->fate == FATE_FOLLOWS ? work->then_us
                     : item->due_us != 0          ? item->due_us - world->skew_us
                                                  : 0;
    /* One that is moved has its own time, whatever it has waited for since. */
    bool is_known = item->fate == FATE_FORWARD || (item->jumps == world->jumps && item->starts == item->came);
    if (work->to != tier || (item->fate != FATE_DEAD && is_known && work->then_us != due_us))
        checker_fail(checker, RULE_DUE, "%d@%ld goes to topic %d, due at %ld, and not to %d, %ld", item->partition,
                     (long)item->offset, work->to, (long)work->then_us, tier, (long)due_us);
    checker->looked[RULE_ATTEMPTS]++;
    if (work->attempts != item->starts)
        checker_fail(checker, RULE_ATTEMPTS, "%d@%ld goes on after %d attempts, %d were made", item->partition,
                     (long)item->offset, work->attempts, item->starts);
    if (work->effect == KUR__EFFECT_FORWARD && member->policy.exactly_once)
        checker_fail(checker, RULE_EXACTLY, "%d@%ld goes on without a transaction", item->partition,
                     (long)item->offset);
}

/* For all that has to be told beside an offset. */
static bool world_has_room(const struct world *world)
{
    return world->options.text_limit == KUR__LEDGER_TEXT_MAX && world->metadata_max == KUR__LEDGER_TEXT_MAX;
}

/* One that was moved before rests for an eighth of its age, unless one that is near was read lately. */
static void check_rest(struct world *world, const struct member *member, const struct item *item)
{
    int64_t rest_us = (item->written_us - item->waits_us) / 8, now_us = world_wall_us(world);
    rest_us = rest_us < 6 * hour_us ? rest_us : 6 * hour_us;
    bool is_known = item->jumps == world->jumps && item->written_jumps == world->jumps && world_has_room(world);
    /* It was decided some time ago, when its transaction is a late one, or nothing has happened since the last look. */
    int64_t near_until_us = world->near_us[item->partition] + 8 * pause_us(slot_tier(item->partition)) + MINUTE +
                            world->now_us - member->pumped_before_us;
    /* What waits for its turn does not rest. */
    if (!is_known || world->now_us <= near_until_us || slot_tier(item->partition) == KUR_TIER_ORDERED)
        return;
    world->checker.looked[RULE_LIVENESS]++;
    if (now_us < item->written_us + rest_us)
        checker_fail(&world->checker, RULE_LIVENESS, "%d@%ld is moved again after %ld, and it rests for %ld",
                     item->partition, (long)item->offset, (long)(now_us - item->written_us), (long)rest_us);
}

static void count_move(struct world *world, const struct member *member, const struct item *item, struct entry *entry)
{
    const struct entry *from = &world->logs[item->partition].entries[item->offset];
    check_rest(world, member, item);
    int begun = world->begun[item->partition] + world->jumps;
    entry->moves = from->moves + 1;
    entry->moved_from_us = from->moves > 0 ? from->moved_from_us : world->now_us;
    entry->moved_from_epochs = from->moves > 0 ? from->moved_from_epochs : begun;
    int64_t passed = (world->now_us - entry->moved_from_us) / pause_us(slot_tier(item->partition));
    world->checker.looked[RULE_LIVENESS]++;
    if (world_has_room(world) && entry->moves > 2 + passed + begun - entry->moved_from_epochs)
        checker_fail(&world->checker, RULE_LIVENESS, "%d@%ld is moved for the %dth time", item->partition,
                     (long)item->offset, entry->moves);
}

/* The retry partition's source must be here; by which, for those without a key, nothing is decided. */
static int retry_epoch(struct world *world, const struct member *member, const struct item *item)
{
    int retry = KUR_TIER_ORDERED * PARTITIONS_MAX + slot_number(item->partition);
    if (!member->owns[retry])
        checker_fail(&world->checker, RULE_ZOMBIE, "%d@%ld goes to %d, which is not owned", item->partition,
                     (long)item->offset, retry);
    return world->checker.stories[item->story].key >= 0 ? member->source_epochs[retry] : 0;
}

struct forward topics_forward(struct world *world, const struct member *member, const kur__work *work)
{
    static const enum command commands[] = {[FATE_FORWARD] = COMMAND_FORWARD,
                                            [FATE_DELAYED] = COMMAND_DELAY,
                                            [FATE_MOVED] = COMMAND_MOVE,
                                            [FATE_FOLLOWS] = COMMAND_FOLLOW,
                                            [FATE_DEAD] = COMMAND_DEAD};
    struct item *item = work->item;
    int64_t wall_us = world_wall_us(world);
    const struct story *story = &world->checker.stories[item->story];
    struct forward forward = {.tier = work->to, .slot = item->partition};
    judge_forward(world, member, item, work);
    if (world->checker.failed)
        return forward;
    world->commands[commands[item->fate]]++;
    if (world_is_there(&world->logs[item->partition], item))
        world->logs[item->partition].entries[item->offset].was_sent = true;
    forward.entry = (struct entry){.story = item->story, .key = story->key, .attempt = work->attempts + 1};
    forward.entry.origin = item->origin;
    forward.entry.stamp = item->stamp;
    forward.entry.from_slot = item->partition;
    forward.entry.from_offset = item->offset;
    forward.entry.from_version = item->version;
    if (member->policy.keep_order && work->to == KUR_TIER_ORDERED && slot_tier(item->partition) == KUR_TIER_MAIN)
        forward.retry_epoch = retry_epoch(world, member, item);
    if (item->fate == FATE_MOVED || item->fate == FATE_DELAYED)
        forward.entry.due_us = item->due_us;
    else if (item->fate == FATE_FORWARD || item->fate == FATE_FOLLOWS)
        forward.entry.due_us = wall_us + (work->then_us - world->now_us);
    if (item->first_us != 0)
        forward.entry.first_us = item->first_us + member->skew_us;
    forward.entry.waits_us = item->fate == FATE_FORWARD || item->waits_us == 0 ? wall_us : item->waits_us;
    if (item->fate == FATE_MOVED)
        count_move(world, member, item, &forward.entry);
    return forward;
}

int64_t topics_arrive(struct world *world, const struct forward *forward)
{
    struct story *story = &world->checker.stories[forward->entry.story];
    if (forward->tier == KUR_TIER_DEAD) {
        story->dead++;
        return -1;
    }
    int slot = forward->tier * PARTITIONS_MAX + slot_number(forward->slot);
    struct entry *entry = write_entry(world, slot), written = *entry;
    *entry = forward->entry;
    if (forward->tier == KUR_TIER_ORDERED) {
        const struct member *owner = world->owners[slot] >= 0 ? &world->members[world->owners[slot]] : NULL;
        story->copies++; /* the end that is being asked for may be behind it */
        story->excused += owner != NULL && owner->ends[slot] < 0;
    } else {
        story->excused += world->keeps_order; /* out of the order, a forward that is sent twice is there twice */
    }
    entry->exists = true;
    entry->version = written.version;
    entry->written_us = written.written_us;
    entry->written_jumps = written.written_jumps;
    world_say(world, "  %d@%ld is %d@%ld, which was %ld, attempt %d, due in %ld", forward->slot,
              (long)entry->from_offset, slot, (long)(world->logs[slot].end - 1), (long)entry->origin, entry->attempt,
              (long)(entry->due_us - world_wall_us(world)));
    return world->logs[slot].end - 1;
}

/* ---- What a process leaves lying ---- */

/* Of a source that has not ended. */
static bool is_current(const struct member *member, const struct item *item)
{
    return member->sources[item->partition] != NULL && item->epoch == member->source_epochs[item->partition];
}

static bool is_active(const struct member *member, const struct item *item)
{
    return is_current(member, item) && member->owns[item->partition] &&
           member->sources[item->partition]->state == KUR__ACTIVE;
}

/* Whether it waits to be run, now or later. */
static bool is_waiting(const struct member *member, const struct item *item)
{
    return item->is_held && !item->is_running && item->said == NULL && item->fate == FATE_OPEN &&
           is_current(member, item) && (item->work == NULL || item->work->state != KUR__SETTLING);
}

/* When it may run, by the machine's clock. */
static int64_t may_run_us(const struct member *member, const struct item *item)
{
    int64_t due_us = item->due_us > 0 ? item->due_us - member->skew_us : 0;
    return due_us > item->again_us ? due_us : item->again_us;
}

/* Whether others of its lane wait for it. */
static bool holds_lane(const struct world *world, const struct member *member, const struct item *item)
{
    if (item->is_running || item->said != NULL)
        return true;
    if (item->fate == FATE_REJECTED)
        return !item->is_settled;
    return is_waiting(member, item) && (item->again_us > world->now_us || !is_active(member, item));
}

static bool is_held_up(const struct world *world, const struct member *member, const struct item *item)
{
    const struct story *stories = world->checker.stories, *story = &stories[item->story];
    for (int i = 0; i < member->held_count; i++) {
        const struct item *other = member->held[i];
        const struct story *others = &stories[other->story];
        bool is_same_lane =
            slot_number(other->partition) == slot_number(item->partition) &&
            (world->checker.order == 1 || (world->checker.order == 0 && story->key >= 0 && story->key == others->key));
        if (other != item && is_same_lane && holds_lane(world, member, other))
            return true;
    }
    return false;
}

void topics_check_idle(struct world *world, struct member *member)
{
    int64_t wake_us = kur__machine_wake_us(&member->machine);
    for (int i = 0; i < member->held_count && !world->checker.failed; i++) {
        const struct item *item = member->held[i];
        int64_t run_us = may_run_us(member, item);
        if (!is_waiting(member, item) || !is_active(member, item) || (run_us > world->now_us && wake_us <= run_us) ||
            is_held_up(world, member, item) || ordered_is_held_up(world, member, item))
            continue;
        if (run_us > world->now_us)
            checker_fail(&world->checker, RULE_IDLE, "%d@%ld is due at %ld, and all sleep until %ld", item->partition,
                         (long)item->offset, (long)run_us, (long)wake_us);
        else
            checker_fail(&world->checker, RULE_IDLE, "%d@%ld may run, and lies there", item->partition,
                         (long)item->offset);
    }
    world->checker.looked[RULE_IDLE] += member->held_count > 0;
}

void topics_check_shut_out(struct world *world, const struct member *member, int slot)
{
    if (slot < PARTITIONS_MAX && member->policy.keep_order &&
        member->machine.origins.count >= member->policy.origins_most)
        return; /* which go through the retry topic first */
    for (int i = 0; i < member->held_count; i++) {
        int other = member->held[i]->partition;
        if (slot == other || (slot < PARTITIONS_MAX && other < PARTITIONS_MAX))
            return;
    }
    checker_fail(&world->checker, RULE_IDLE, "there is no room for %d, of which nothing is held", slot);
}

void topics_check_bounds(struct world *world, const struct member *member)
{
    const kur__machine_options *options = &world->options;
    int held = 0, window_held = 0, sources = 0;
    for (int i = 0; i < member->held_count; i++)
        if (slot_tier(member->held[i]->partition) == KUR_TIER_MAIN)
            held++;
        else
            window_held += is_current(member, member->held[i]);
    for (int slot = PARTITIONS_MAX; slot < SLOTS_MAX; slot++)
        sources += member->sources[slot] != NULL; /* each may hold one */
    world->checker.looked[RULE_MEMORY]++;
    if (held > (int)options->hold_records || window_held > (int)options->window_records + sources)
        checker_fail(&world->checker, RULE_MEMORY, "%d records are held, and %d of retry topics; the bounds are %d, %d",
                     held, window_held, (int)options->hold_records, (int)options->window_records + sources);
    /* In bytes, what is read at once goes beyond. */
    int more = RECORD_BYTES * world->batch;
    if (RECORD_BYTES * held > options->hold_bytes + more ||
        RECORD_BYTES * (window_held - sources) > options->window_bytes + more)
        checker_fail(&world->checker, RULE_MEMORY, "%d records of %d bytes are held, and %d of retry topics", held,
                     RECORD_BYTES, window_held);
}
