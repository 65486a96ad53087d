/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Key order through a retry topic, in runs that are drawn from a seed: two members with a machine each, a main
 * partition and its retry partition, which go between them together or apart, with crashes, lost memberships, forwards
 * that are late, sent twice, or of unknown fate, and redrives. Whatever happens, no record runs before all earlier ones
 * of its key have been handled to their end, none of a key runs beside another, and nothing is lost; and where nothing
 * goes wrong, nothing is done twice.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../check_main.h"
#include "listener/ordered.h"

enum {
    RECORDS = 60,
    KEYS = 4,
    COPIES = 20000,
    AIR = 512,
    RUNNING = 64,
    MEMBERS = 2,
    STEPS = 1500,
    STEPS_MAX = 400000,
    MS = 1000,
    SECOND = 1000000,
    NOBODY = -1
};

struct copy {
    int64_t origin, due_us;
    int32_t attempts;
    bool is_outside;
};

struct partition {
    int owner;
    int64_t committed, position;
    int64_t given; /* what was committed when its owner got it */
    char text[KUR__LEDGER_TEXT_MAX + 1];
};

struct member {
    kur__machine machine;
    kur__source *source[2];
    kur__work *running[RUNNING];
    size_t running_count;
    int64_t generation;
    int life; /* counts its crashes */
};

/* A forward that has been sent and not been answered. */
struct flight {
    struct copy copy;
    kur__work *work;
    int64_t landed; /* -1: not yet */
    int member, life;
};

enum {
    MAIN = 0,
    RETRY = 1
};

static struct {
    uint64_t random, seed;
    int64_t now_us, generation;
    struct partition partitions[2];
    struct member members[MEMBERS];
    struct copy log[COPIES]; /* of the retry partition */
    int64_t copies, produced;
    struct flight air[AIR];
    size_t air_count;
    int key[RECORDS], fails[RECORDS], runs[RECORDS];
    bool is_done[RECORDS];
    bool is_calm, has_ended;
} world;

static uint32_t draw(uint32_t below)
{
    world.random = world.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(world.random >> 33) % below;
}

/* Not by Check's own, which writes something each time. */
#define expect(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg("seed %llu: %s", (unsigned long long)world.seed, #condition);                                 \
    } while (0)

/* ---- Members ---- */

static void release(struct member *member)
{
    kur__released one;
    while (kur__machine_next_release(&member->machine, &one))
        continue;
}

static void begin_member(struct member *member)
{
    bool is_tight = world.seed % 3 == 1;
    kur__machine_options options = {.order = KUR_ORDER_BY_KEY,
                                    .hold_records = is_tight ? 12 : 1000,
                                    .hold_bytes = 1000000,
                                    .text_limit = 4096,
                                    .commit_interval_us = SECOND,
                                    .commit_again_us = 60 * (int64_t)SECOND,
                                    .commit_records = 100,
                                    .delay_us = 100 * MS,
                                    .delay_max_us = SECOND,
                                    .multiplier = 2,
                                    .mode = world.seed % 5 == 1 ? KUR_RETRY_IN_PLACE_THEN_BY_TOPIC : KUR_RETRY_BY_TOPIC,
                                    .in_place_attempts = 2,
                                    .keep_order = true,
                                    .has_dead_letters = true,
                                    .origins_most = is_tight ? 3 : 1000,
                                    .window_records = is_tight ? 8 : 1000,
                                    .window_bytes = 1000000,
                                    .effect_delay_us = 10 * MS,
                                    .effect_delay_max_us = 40 * MS,
                                    .seed = world.seed};
    kur_error error = {0};
    expect(kur__machine_init(&member->machine, &options, &error) == KUR_OK);
}

static kur_bytes key_of(int64_t record)
{
    static const char keys[KEYS][2] = {"a", "b", "c", "d"};
    return kur_bytes_text(keys[world.key[record]]);
}

static void assign(int member_number, int which)
{
    struct member *member = &world.members[member_number];
    struct partition *partition = &world.partitions[which];
    kur__assignment assignment = {.topic = which == MAIN ? "t" : "t.g.ordered",
                                  .home = which == MAIN ? NULL : "t",
                                  .tier = which == MAIN ? KUR_TIER_MAIN : KUR_TIER_ORDERED,
                                  .start = partition->committed,
                                  .is_committed = true,
                                  .text = partition->text,
                                  .generation = world.generation,
                                  .end = draw(2)         ? -1
                                         : which == MAIN ? world.produced
                                                         : world.copies};
    kur_error warning = {0}, error = {0};
    partition->owner = member_number;
    partition->given = partition->committed;
    expect(kur__machine_assign(&member->machine, &assignment, &member->source[which], &partition->position,
                               world.now_us, &warning, &error) == KUR_OK);
    expect(warning.code == KUR_OK);
}

static void commit(int member_number)
{
    struct member *member = &world.members[member_number];
    kur__commit made;
    kur__machine_begin_commits(&member->machine, NULL, world.now_us);
    while (kur__machine_next_commit(&member->machine, &made)) {
        int which = made.source->tier == KUR_TIER_MAIN ? MAIN : RETRY;
        struct partition *partition = &world.partitions[which];
        bool is_good = member->generation == world.generation && partition->owner == member_number;
        if (is_good) {
            partition->committed = made.offset;
            memcpy(partition->text, made.text, sizeof made.text);
        }
        kur__machine_committed(&member->machine, made.source, is_good && draw(8) > 0, world.now_us);
    }
}

/* ---- What runs ---- */

/* Whether a copy was unfinished when its partition was given. */
static bool was_unfinished(const kur__source *source, int64_t offset)
{
    for (size_t i = 0; i < source->ledger.done_count; i++)
        if (offset >= source->ledger.done[i].from && offset < source->ledger.done[i].to)
            return false;
    return true;
}

static void check_order(const struct member *member, const kur__work *work)
{
    int64_t record = (intptr_t)work->item - 1;
    expect(work->due_us <= world.now_us);
    expect(kur__ordered_is_open(&member->machine, work->source));
    /* None of those that were there when it was given the partition is of a higher attempt. */
    for (int64_t i = world.partitions[RETRY].given; i < member->source[RETRY]->end; i++)
        expect(world.log[i].origin != record || world.is_done[record] || world.log[i].attempts < work->attempts ||
               !was_unfinished(member->source[RETRY], i));
    for (int64_t i = 0; i < record; i++)
        expect(world.key[i] != world.key[record] || world.is_done[i]);
    for (size_t i = 0; i < member->running_count; i++)
        expect(world.key[(intptr_t)member->running[i]->item - 1] != world.key[record]);
}

static void take(int number)
{
    struct member *member = &world.members[number];
    kur__work *work;
    if (member->running_count == RUNNING || kur__machine_take(&member->machine, world.now_us, &work, 1) == 0)
        return;
    check_order(member, work);
    member->running[member->running_count++] = work;
}

static void say(int number)
{
    struct member *member = &world.members[number];
    if (member->running_count == 0)
        return;
    size_t at = draw((uint32_t)member->running_count);
    kur__work *work = member->running[at];
    int64_t record = (intptr_t)work->item - 1;
    member->running[at] = member->running[--member->running_count];
    bool fails = world.runs[record]++ < world.fails[record], is_rejected = fails && record % 11 == 3;
    kur__verdict verdict = {.outcome = is_rejected ? KUR_REJECT : fails ? KUR_RETRY : KUR_DONE};
    kur__consequence consequence = kur__machine_outcome(&member->machine, work, &verdict, world.now_us);
    if (consequence == KUR__FINISHED || consequence == KUR__REJECTS)
        world.is_done[record] = true;
}

/* ---- Forwards ---- */

static void send(int number)
{
    struct member *member = &world.members[number];
    kur__work *work = world.air_count < AIR ? kur__machine_next_effect(&member->machine, world.now_us) : NULL;
    if (work == NULL)
        return;
    expect(work->effect == KUR__EFFECT_FORWARD);
    if (work->to == KUR_TIER_DEAD) {
        kur__machine_effect(&member->machine, work, world.is_calm || draw(2), world.now_us);
        return;
    }
    world.air[world.air_count++] = (struct flight){
        .copy = {.origin = (intptr_t)work->item - 1, .due_us = work->then_us, .attempts = work->attempts},
        .work = work,
        .landed = -1,
        .member = number,
        .life = member->life};
}

static int64_t append(const struct copy *copy)
{
    expect(world.copies < COPIES);
    world.log[world.copies] = *copy;
    return world.copies++;
}

/* One of those in the air arrives, or does not, and is answered, or is not. */
static void arrive(void)
{
    if (world.air_count == 0)
        return;
    size_t at = draw((uint32_t)world.air_count);
    if (world.air[at].landed < 0 && draw(3) == 0) {
        world.air[at].landed = append(&world.air[at].copy); /* its answer is on its way */
        return;
    }
    struct flight flight = world.air[at];
    bool is_answered = world.is_calm || world.has_ended || draw(3) > 0;
    bool arrives = is_answered || draw(2);
    int64_t offset = flight.landed < 0 && arrives ? append(&flight.copy) : flight.landed;
    bool is_there = flight.member != NOBODY && world.members[flight.member].life == flight.life;
    if (is_there) {
        flight.work->landed = is_answered ? offset : -1;
        kur__machine_effect(&world.members[flight.member].machine, flight.work, is_answered, world.now_us);
    }
    if (offset < 0 && draw(3) == 0)
        world.air[at].member = NOBODY; /* it will arrive late */
    else
        world.air[at] = world.air[--world.air_count];
}

static void redrive(void)
{
    int64_t record = draw(RECORDS);
    if (record < world.produced && world.is_done[record])
        append(&(struct copy){.origin = record, .is_outside = true});
}

/* ---- Records in ---- */

static void poll(int which)
{
    struct partition *partition = &world.partitions[which];
    if (partition->owner == NOBODY)
        return;
    struct member *member = &world.members[partition->owner];
    kur__source *source = member->source[which];
    int64_t offset = partition->position, end = which == MAIN ? world.produced : world.copies;
    if (source->end < 0 && draw(4) == 0)
        kur__machine_set_end(&member->machine, source, end, world.now_us);
    if (draw(8) == 0)
        kur__machine_reached(&member->machine, source, offset, world.now_us);
    if (offset >= end || kur__machine_room(&member->machine, source) == 0)
        return;
    int64_t record = which == MAIN ? offset : world.log[offset].origin;
    kur__polled polled = {.offset = offset, .key = key_of(record), .bytes = 10, .item = (void *)(intptr_t)(record + 1)};
    if (which == RETRY) {
        polled.due_us = world.log[offset].due_us;
        polled.attempts = world.log[offset].attempts;
        polled.is_outside = world.log[offset].is_outside;
        polled.origin = record;
    }
    expect(kur__machine_admit(&member->machine, source, &polled, world.now_us) != KUR__ADMITTED_REPLAY);
    partition->position++;
}

/* ---- Partitions come and go ---- */

static void crash(int number)
{
    struct member *member = &world.members[number];
    for (int which = MAIN; which <= RETRY; which++)
        if (world.partitions[which].owner == number)
            world.partitions[which].owner = NOBODY;
    member->running_count = 0;
    member->life++;
    while (kur__machine_drop_one(&member->machine))
        continue;
    release(member);
    kur__machine_done(&member->machine);
    begin_member(member);
}

static bool is_busy(const struct member *member)
{
    for (int which = MAIN; which <= RETRY; which++)
        if (member->source[which] != NULL &&
            (member->source[which]->running > 0 || member->source[which]->settling > 0))
            return true;
    return false;
}

/* Who has a partition gives it back: after a while, or at once, or it was lost. */
static void give_up(int number, bool is_lost)
{
    struct member *member = &world.members[number];
    for (int which = MAIN; which <= RETRY; which++)
        if (world.partitions[which].owner != number)
            member->source[which] = NULL;
        else if (!is_lost)
            kur__machine_suspend(&member->machine, member->source[which]);
    if (world.is_calm)
        while (is_busy(member)) {
            say(number);
            send(number);
            arrive();
            world.now_us += 50 * MS;
        }
    if (!is_lost)
        commit(number);
    for (int which = MAIN; which <= RETRY; which++)
        if (member->source[which] != NULL && is_lost)
            kur__machine_drop(&member->machine, member->source[which]);
        else if (member->source[which] != NULL)
            kur__machine_leave(&member->machine, member->source[which]);
    release(member);
}

static void drop_away(struct member *member)
{
    for (kur__source *source = member->machine.oldest, *next; source != NULL; source = next) {
        next = source->newer;
        if (source->state == KUR__AWAY)
            kur__machine_drop(&member->machine, source);
    }
}

static void rebalance(int main_owner, int retry_owner)
{
    for (int i = 0; i < MEMBERS; i++)
        give_up(i, !world.is_calm && draw(4) == 0);
    world.generation += world.is_calm || draw(4) ? 1 : 2;
    for (int i = 0; i < MEMBERS; i++)
        world.members[i].generation = world.generation;
    bool main_first = draw(2);
    for (int i = 0; i < 2; i++) {
        int which = (i == 0) == main_first ? MAIN : RETRY;
        assign(which == MAIN ? main_owner : retry_owner, which);
    }
    for (int i = 0; i < MEMBERS; i++)
        drop_away(&world.members[i]);
}

/* One partition goes to the other member, and nothing else is touched. */
static void move_one(int which)
{
    struct partition *partition = &world.partitions[which];
    int number = partition->owner;
    if (number == NOBODY)
        return;
    struct member *member = &world.members[number];
    if (draw(2)) {
        kur__machine_suspend(&member->machine, member->source[which]);
        commit(number);
    }
    kur__machine_drop(&member->machine, member->source[which]);
    world.generation++;
    for (int i = 0; i < MEMBERS; i++)
        world.members[i].generation = world.generation;
    assign(draw(2) ? number : 1 - number, which);
}

static void trouble(void)
{
    uint32_t what = draw(world.is_calm ? 400 : 1000);
    if (what < 4)
        rebalance((int)draw(2), world.is_calm || draw(4) ? (int)draw(2) : 0);
    else if (world.is_calm)
        return;
    else if (what < 8)
        crash((int)draw(2));
    else if (what < 12)
        move_one((int)draw(2));
    else if (what < 15)
        redrive();
    if (world.partitions[MAIN].owner == NOBODY || world.partitions[RETRY].owner == NOBODY)
        if (draw(8) == 0)
            rebalance((int)draw(2), (int)draw(2));
}

/* ---- A run ---- */

static void step(void)
{
    switch (draw(10)) {
    case 0:
        world.produced += world.produced < RECORDS;
        break;
    case 1:
        poll(MAIN);
        break;
    case 2:
        poll(RETRY);
        break;
    case 3:
        world.now_us += draw(60) * MS;
        break;
    case 4:
        commit((int)draw(2));
        break;
    case 5:
        say((int)draw(2));
        break;
    case 6:
        send((int)draw(2));
        break;
    case 7:
        arrive();
        break;
    default:
        take((int)draw(2));
    }
    for (int i = 0; i < MEMBERS; i++)
        release(&world.members[i]);
}

static bool is_through(void)
{
    return world.produced == RECORDS && world.partitions[MAIN].committed == RECORDS &&
           world.partitions[RETRY].committed == world.copies && world.air_count == 0;
}

static void run(uint64_t seed, bool is_calm)
{
    memset(&world, 0, sizeof world);
    world.seed = seed;
    world.random = seed * 7919 + 13;
    world.is_calm = is_calm;
    world.now_us = 1000 * (int64_t)SECOND;
    for (int64_t i = 0; i < RECORDS; i++) {
        world.key[i] = (int)draw(KEYS);
        world.fails[i] = draw(2) ? 0 : (int)draw(4);
    }
    for (int i = 0; i < MEMBERS; i++)
        begin_member(&world.members[i]);
    world.partitions[MAIN].owner = world.partitions[RETRY].owner = NOBODY;
    rebalance(0, 0);
    for (int i = 0; i < STEPS; i++) {
        trouble();
        step();
    }
    rebalance(1, 1);
    world.has_ended = true;
    int64_t steps = 0;
    for (; !is_through() && steps < STEPS_MAX; steps++)
        step();
    expect(is_through());
    for (int64_t i = 0; i < RECORDS; i++) {
        expect(world.is_done[i]);
        expect(!is_calm || world.runs[i] == (world.fails[i] > 0 && i % 11 == 3 ? 1 : world.fails[i] + 1));
    }
    struct member *last = &world.members[1];
    expect(last->machine.origins.count == 0 && last->machine.lanes.count == 0 && last->machine.held == 0);
    for (int i = 0; i < MEMBERS; i++) {
        world.members[i].running_count = 0;
        release(&world.members[i]);
        kur__machine_done(&world.members[i].machine);
    }
}

static uint64_t runs(uint64_t otherwise)
{
    const char *text = getenv("KUR_TEST_RUNS");
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

START_TEST(test_machine_ordered_runs__the_order_holds_whatever_happens)
{
    for (uint64_t seed = 1; seed <= runs(2000); seed++)
        run(seed, false);
}
END_TEST

START_TEST(test_machine_ordered_runs__where_nothing_goes_wrong_nothing_is_done_twice)
{
    for (uint64_t seed = 1; seed <= runs(500); seed++)
        run(seed, true);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_machine_ordered_runs__the_order_holds_whatever_happens,
        test_machine_ordered_runs__where_nothing_goes_wrong_nothing_is_done_twice,
        NULL,
    };
    return check_main("machine_ordered_runs", tests);
}
