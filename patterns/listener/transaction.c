/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: exactly-once. A record that has its outcome stays unfinished until a transaction is committed that
 * holds what it has emitted, and offset and text as they are when it is finished. One transaction is open at a time;
 * what settles meanwhile waits for the next. Aborted, its outcomes are the first of the next one: no handler runs
 * again.
 *
 * The text has to tell all that is finished, or what it has no room for would be handled twice after a crash. Where it
 * would not, a set is cut at an offset, and what lies above waits, until what holds the commit back is finished. (At an
 * offset, and not anywhere: what is behind each other in a lane stays so.) Two things make sure that it is never stuck:
 * what moves the commit up only makes the text shorter, and a few bytes are kept free for the first run, which is coded
 * by another rule than those behind it. Offsets at which there is no record are told only below one that is finished,
 * for they come without anybody's outcome.
 *
 * What becomes of a transaction may have to be found out from the group: whether it has what was sent. So no two in a
 * row send the same for a source that has records in them: each finishes one more, and where a source begins is
 * committed by itself before any.
 *
 * After a transaction that was aborted the next one holds half as many records, so that none is ever too much for its
 * time; after one that was committed, twice as many again.
 */
#include "listener/ordered.h"

enum {
    SPARE_TEXT = 16, /* characters */
    PAUSES_MAX = 5   /* how often the pause after an abort is doubled */
};

void kur__transaction_collect(kur__machine *machine, kur__work *work)
{
    kur__queue_push(work->tries > 0 ? &machine->again : &work->source->settled, work);
    machine->finished_since_commit++;
}

/* ---- What fits ---- */

/* Those of a queue that lie below an offset, as if they were finished; again: as they are. Returns behind the last. */
static int64_t toggle(kur__source *source, const kur__queue *queue, int64_t below)
{
    int64_t to = source->finished_to;
    for (const kur__work *work = queue->first; work != NULL; work = work->next)
        if (work->offset < below) {
            kur__ledger_toggle(&source->ledger, work->offset);
            to = work->offset >= to ? work->offset + 1 : to;
        }
    return to;
}

static bool text_tells_all(const kur__machine *machine, kur__source *source, const kur__queue *queue, int64_t below)
{
    char text[KUR__LEDGER_TEXT_MAX + 1];
    size_t limit = machine->options.text_limit;
    int64_t last = -1;
    for (const kur__work *work = queue->first; work != NULL; work = work->next)
        if (work->offset < below && work->offset > last)
            last = work->offset;
    int64_t end = toggle(source, queue, below);
    if (last >= kur__ledger_commit_offset(&source->ledger)) /* not only the commit moves up */
        limit = limit > SPARE_TEXT ? limit - SPARE_TEXT : 0;
    bool is_all = kur__ledger_write_below(&source->ledger, &source->log, end, limit, text) >= end;
    toggle(source, queue, below);
    return is_all;
}

static bool may_go(const kur__machine *machine, kur__source *source, int64_t below, size_t most)
{
    size_t count = 0;
    for (const kur__work *work = source->settled.first; work != NULL; work = work->next)
        count += work->offset < below;
    return count <= most && text_tells_all(machine, source, &source->settled, below);
}

/* Into the set: what lies below an offset, the highest that can be. */
static void take_settled(const kur__machine *machine, kur__source *source, size_t most)
{
    int64_t low = kur__ledger_commit_offset(&source->ledger), below = source->ledger.last + 1;
    if (source->settled.first == NULL || source->committed < 0)
        return;
    if (!may_go(machine, source, below, most)) {
        for (; below - low > 1;) {
            int64_t middle = low + (below - low) / 2;
            if (may_go(machine, source, middle, most))
                low = middle;
            else
                below = middle;
        }
        below = low;
    }
    kur__queue waiting = {NULL, NULL};
    for (kur__work *work; (work = kur__queue_pop(&source->settled)) != NULL;) {
        work->issued = work->offset < below;
        kur__queue_push(work->issued ? &source->in_transaction : &waiting, work);
    }
    source->settled = waiting;
}

static bool is_to_go(const kur__machine *machine, const kur__source *source)
{
    return kur__source_is_ours(source) && kur__ordered_may_send(machine, source);
}

/* One that was left out before, by itself: so it is judged for what it is, and nobody else for it. */
static bool take_alone(kur__machine *machine)
{
    kur__queue others = {NULL, NULL};
    bool has = false;
    for (kur__work *work; (work = kur__queue_pop(&machine->again)) != NULL;) {
        kur__source *source = work->source;
        if (has || !is_to_go(machine, source)) {
            kur__queue_push(&others, work);
            continue;
        }
        kur__queue_push(&source->in_transaction, work);
        has = work->issued = text_tells_all(machine, source, &source->in_transaction, INT64_MAX);
        if (!has) {
            source->in_transaction = (kur__queue){NULL, NULL};
            kur__queue_push(&others, work);
        }
    }
    machine->again = others;
    return has;
}

/* ---- Begin and end ---- */

bool kur__machine_begin_transaction(kur__machine *machine, int64_t now_us)
{
    size_t sources = 0;
    machine->next_commit_us = now_us + machine->options.commit_interval_us;
    for (const kur__source *source = machine->oldest; source != NULL; source = source->newer)
        sources += source->settled.first != NULL && is_to_go(machine, source);
    machine->was_alone = (!machine->was_alone || sources == 0) && take_alone(machine); /* in turn with the others */
    machine->finished_since_commit = machine->was_alone || machine->again.first != NULL;
    size_t most = sources > 0 ? machine->in_transaction_most / sources : 0;
    for (kur__source *source = machine->oldest; source != NULL; source = source->newer) {
        if (!is_to_go(machine, source))
            continue;
        if (!machine->was_alone)
            take_settled(machine, source, most > 0 ? most : 1);
        source->to_commit = source->is_dirty || source->in_transaction.first != NULL;
        /* What is left may go with the next one, if this one brings it nearer. */
        machine->finished_since_commit += source->to_commit && source->settled.first != NULL;
        machine->transaction_is_open |= source->to_commit;
    }
    return machine->transaction_is_open;
}

void kur__transaction_write(const kur__machine *machine, kur__source *source, kur__commit *commit)
{
    int64_t end = toggle(source, &source->in_transaction, INT64_MAX);
    commit->offset = kur__ledger_commit_offset(&source->ledger);
    source->untold =
        end - kur__ledger_write_below(&source->ledger, &source->log, end, machine->options.text_limit, commit->text);
    toggle(source, &source->in_transaction, INT64_MAX);
}

static void end_work(kur__machine *machine, kur__work *work, bool is_committed, int64_t now_us, kur__queue *back)
{
    kur__source *source = work->source;
    bool is_left_out = work->is_left_out;
    work->issued = work->is_left_out = false;
    if (source->state == KUR__DEAD || is_committed) {
        source->settling--;
        machine->settling--;
        if (source->state == KUR__DEAD)
            kur__work_release(machine, work);
        else
            kur__finish(machine, work);
    } else if (is_left_out) {
        work->tries++;
        kur__park(machine, work,
                  now_us + kur__back_off_us(machine, machine->options.effect_delay_us,
                                            machine->options.effect_delay_max_us, work->tries));
    } else {
        kur__queue_push(work->tries > 0 ? &machine->again : back, work);
    }
}

static void end_source(kur__machine *machine, kur__source *source, bool is_committed, int64_t now_us)
{
    kur__queue set = source->in_transaction, settled = source->settled;
    source->in_transaction = source->settled = (kur__queue){NULL, NULL};
    source->to_commit = false;
    if (source->in_commit > 0) {
        source->in_commit--;
        machine->commits_in_flight--;
        if (is_committed)
            source->committed = source->commit_sent;
        else
            source->is_dirty = true;
    }
    for (kur__work *work; (work = kur__queue_pop(&set)) != NULL;)
        end_work(machine, work, is_committed, now_us, &source->settled);
    for (kur__work *work; (work = kur__queue_pop(&settled)) != NULL;)
        kur__queue_push(&source->settled, work);
    kur__source_free_if_over(machine, source);
}

void kur__machine_end_transaction(kur__machine *machine, bool is_committed, int64_t now_us)
{
    size_t most = (size_t)machine->options.commit_records, *now = &machine->in_transaction_most;
    for (kur__source *source = machine->oldest, *next; source != NULL; source = next) {
        next = source->newer;
        end_source(machine, source, is_committed, now_us);
    }
    kur__flow_update_sum(machine);
    machine->transaction_is_open = false;
    if (is_committed) {
        *now = *now * 2 < most ? *now * 2 : most;
        machine->aborted = 0;
        if (machine->again.first != NULL) /* there may be many, and each takes one */
            machine->next_commit_us = now_us;
        return;
    }
    *now = *now / 2 > 0 ? *now / 2 : 1;
    machine->next_commit_us = now_us + (machine->options.commit_interval_us << machine->aborted);
    machine->aborted += machine->aborted < PAUSES_MAX;
    machine->finished_since_commit++;
}
