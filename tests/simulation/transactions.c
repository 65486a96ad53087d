/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The model of transactions. Three steps, with time between them: the broker takes the offsets, if the group has not
 * moved on; the commit reaches it, if it does, whatever the group has become meanwhile; the member hears of it, or does
 * not, and then looks whether the group has what it has sent. Who begins in a partition in between waits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum step {
    STEP_OFFSETS = 1,
    STEP_COMMIT,
    STEP_END
};

struct outcome {
    const struct item *item;
    enum fate fate;
    struct forward forward;
};

struct transaction {
    struct transaction *next;
    enum step step; /* to come */
    int member, serial;
    int64_t generation;
    bool is_unstable;              /* the broker has its offsets, and does not know what becomes of them */
    bool is_committed, is_unknown; /* to the member */
    bool is_too_long;              /* the text of some offset */
    bool ended;                    /* the member has heard */
    int offsets_count, outcomes_count;
    struct event offsets[SLOTS_MAX]; /* what is committed */
    struct outcome *outcomes;
};

static void schedule_step(struct world *world, struct transaction *transaction, enum step step)
{
    struct event *event = world_schedule(world, EVENT_TRANSACTION, (int64_t)world_draw(world, 40000));
    transaction->step = step;
    event->member = transaction->member;
    event->serial = transaction->serial;
    event->transaction = transaction;
}

static void take_offset(struct world *world, struct transaction *transaction, const kur__commit *made)
{
    struct member *member = &world->members[transaction->member];
    int p = (int)made->source->tier * PARTITIONS_MAX + made->source->partition->number;
    world->commands[COMMAND_COMMIT]++;
    world->checker.looked[RULE_ZOMBIE]++;
    if (!member->owns[p] || member->sources[p] != made->source)
        checker_fail(&world->checker, RULE_ZOMBIE, "a transaction of %d, which is not owned", p);
    transaction->offsets[transaction->offsets_count++] = (struct event){.member = transaction->member,
                                                                        .serial = transaction->serial,
                                                                        .source = made->source,
                                                                        .partition = p,
                                                                        .incarnation = member->incarnations[p],
                                                                        .epoch = member->epochs[p],
                                                                        .offset = made->offset,
                                                                        .text = strdup(made->text)};
    transaction->is_too_long |= world_is_too_long(world, made->text);
    for (const kur__work *work = made->source->in_transaction.first; work != NULL; work = work->next) {
        const struct item *item = work->item;
        transaction->outcomes =
            realloc(transaction->outcomes, (size_t)(transaction->outcomes_count + 1) * sizeof(*transaction->outcomes));
        struct outcome *outcome = &transaction->outcomes[transaction->outcomes_count++];
        *outcome = (struct outcome){.item = item};
        if (work->to != KUR_TIER_MAIN)
            outcome->forward = topics_forward(world, member, work);
        outcome->fate = item->fate;
    }
}

void transaction_begin(struct world *world, int index)
{
    struct member *member = &world->members[index];
    kur__commit made;
    if (member->transaction != NULL || !kur__machine_begin_transaction(&member->machine, world->now_us))
        return;
    struct transaction *transaction = calloc(1, sizeof *transaction);
    *transaction = (struct transaction){
        .next = world->transactions, .member = index, .serial = member->serial, .generation = member->generation};
    world->transactions = member->transaction = transaction;
    while (kur__machine_next_commit(&member->machine, &made))
        take_offset(world, transaction, &made);
    world_say(world, "%c begins a transaction of %d records in %d partitions", 'A' + index, transaction->outcomes_count,
              transaction->offsets_count);
    schedule_step(world, transaction, STEP_OFFSETS);
}

/* The first record of it, which is not worse than any. */
static bool leave_one_out(struct world *world, struct transaction *transaction)
{
    if (transaction->outcomes_count == 0 || !world_strikes(world, FAULT_REFUSED, 5))
        return false;
    for (int i = 0; i < transaction->offsets_count; i++) {
        kur__work *work = transaction->offsets[i].source->in_transaction.first;
        if (work == NULL)
            continue;
        work->is_left_out = true;
        return true;
    }
    return false;
}

/* With the topic goes what the group had of it: should the answer be lost, nobody finds out that it was committed. */
static void excuse_outcomes(struct world *world, const struct transaction *transaction, int partition)
{
    for (int i = 0; i < transaction->outcomes_count; i++)
        if (transaction->outcomes[i].item->partition == partition)
            world->checker.stories[transaction->outcomes[i].item->story].excused++;
}

void transactions_forget(struct world *world, int partition)
{
    for (const struct transaction *one = world->transactions; one != NULL; one = one->next)
        if (one->is_committed && !one->ended)
            excuse_outcomes(world, one, partition);
}

static void apply(struct world *world, struct transaction *transaction)
{
    world_say(world, "%c: its transaction is committed", 'A' + transaction->member);
    for (int i = 0; i < transaction->outcomes_count; i++) {
        const struct outcome *outcome = &transaction->outcomes[i];
        const struct item *item = outcome->item;
        struct log *log = &world->logs[item->partition];
        struct story *story = &world->checker.stories[item->story];
        if (outcome->forward.tier != KUR_TIER_MAIN)
            topics_arrive(world, &outcome->forward);
        else if (outcome->fate == FATE_DONE)
            story->done++;
        else if (outcome->fate == FATE_REJECTED)
            story->dead++;
        if (world_is_there(log, item))
            checker_effect(&world->checker, &log->entries[item->offset], item->partition, item->offset);
    }
    for (int i = 0; i < transaction->offsets_count; i++) {
        const struct event *offset = &transaction->offsets[i];
        if (offset->incarnation == world->logs[offset->partition].incarnation)
            world_commit(world, offset);
        else
            excuse_outcomes(world, transaction, offset->partition);
    }
}

/* The broker knows what becomes of it. */
static void decide(struct world *world, struct transaction *transaction, bool is_committed)
{
    transaction->is_unstable = false;
    transaction->is_committed = is_committed;
    if (is_committed)
        apply(world, transaction);
}

/* Whether the group has what was sent, by a partition that nobody else can have had since. */
static bool was_committed(const struct world *world, const struct transaction *transaction)
{
    const struct member *member = &world->members[transaction->member];
    for (int i = 0; i < transaction->offsets_count; i++) {
        const struct event *sent = &transaction->offsets[i];
        const char *text = world->texts[sent->partition];
        if (member->sources[sent->partition] == sent->source && kur__source_is_ours(sent->source) &&
            sent->source->in_transaction.first != NULL && world->committed[sent->partition] == sent->offset &&
            strcmp(text != NULL ? text : "", sent->text) == 0)
            return true;
    }
    return false;
}

static void end(struct world *world, struct transaction *transaction)
{
    struct member *member = &world->members[transaction->member];
    bool is_committed = transaction->is_unknown ? was_committed(world, transaction) : transaction->is_committed;
    transaction->ended = true;
    world_say(world, "%c hears that its transaction is %s", 'A' + transaction->member,
              is_committed ? "committed" : "aborted");
    member->transaction = NULL;
    kur__machine_end_transaction(&member->machine, is_committed, world->now_us);
    if (transaction->is_too_long)
        kur__machine_text_refused(&member->machine);
}

void transaction_take_event(struct world *world, const struct event *event)
{
    struct transaction *transaction = event->transaction;
    const struct member *member = &world->members[transaction->member];
    bool is_alive = member->alive && member->serial == transaction->serial;
    switch (transaction->step) {
    case STEP_OFFSETS: {
        if (!is_alive)
            break;
        bool is_refused = leave_one_out(world, transaction) || transaction->is_too_long;
        transaction->is_unstable =
            !world_strikes(world, FAULT_ABORT, 10) && !is_refused && transaction->generation == world->generation;
        schedule_step(world, transaction, transaction->is_unstable ? STEP_COMMIT : STEP_END);
        break;
    }
    case STEP_COMMIT: {
        bool is_lost = world_strikes(world, FAULT_OUTCOME_UNKNOWN, 10);
        if (transaction->is_unstable)
            decide(world, transaction, !is_lost || world_draw(world, 2) == 0);
        transaction->is_unknown = is_lost;
        if (is_alive)
            schedule_step(world, transaction, STEP_END);
        break;
    }
    case STEP_END:
        if (is_alive)
            end(world, transaction);
        break;
    }
}

void transaction_finish(struct world *world, int index)
{
    struct member *member = &world->members[index];
    bool is_in_time = world_draw(world, 4) != 0;
    if (is_in_time && member->transaction != NULL)
        world_hurry(world, member->transaction);
    if (is_in_time && world_draw(world, 4) != 0)
        transaction_begin(world, index);
    if (member->transaction != NULL && world_draw(world, 4) != 0)
        world_hurry(world, member->transaction);
}

void transactions_settle(struct world *world, int partition)
{
    for (struct transaction *one = world->transactions; one != NULL; one = one->next)
        for (int i = 0; i < one->offsets_count && one->is_unstable; i++)
            if (one->offsets[i].partition == partition)
                decide(world, one, world_draw(world, 2) == 0); /* or the broker's patience is over */
}

void transactions_orphan(struct world *world, int index)
{
    struct transaction *transaction = world->members[index].transaction;
    world->members[index].transaction = NULL;
    if (transaction != NULL && transaction->is_unstable && world_draw(world, 2) == 0)
        decide(world, transaction, false);
}

void transactions_excuse(struct world *world, int partition, int64_t from)
{
    struct log *log = &world->logs[partition];
    for (int64_t offset = from > 0 ? from : 0; offset < log->end; offset++)
        if (log->entries[offset].exists) {
            log->entries[offset].excused++;
            world->checker.stories[log->entries[offset].story].excused++;
        }
}

void transactions_free(struct world *world)
{
    while (world->transactions != NULL) {
        struct transaction *one = world->transactions;
        world->transactions = one->next;
        for (int i = 0; i < one->offsets_count; i++)
            free(one->offsets[i].text);
        free(one->outcomes);
        free(one);
    }
}
