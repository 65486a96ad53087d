/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * Commits go in rounds: each source that has something new gives its offset and text, then the answers are awaited. The
 * next round is due when the interval is over or enough has finished; every minute also what has not changed is
 * committed again, for the late commit of a former owner may have moved the offset back.
 *
 * The offset of a source never goes backwards in its epoch: the first unfinished offset only goes up.
 *
 * A broker may take less text beside an offset than ours is by default (offset.metadata.max.bytes), and says so only by
 * refusing. Then the limit is halved, until it fits; below what is worth writing there is none. Exactly-once, what has
 * been committed has to be told with every later commit too, so that the limit never falls below what that needs, and
 * comes up to what a former owner of a partition has written: that was taken.
 */
#include <string.h>

#include "listener/machine.h"

enum {
    LEAST_TEXT = 64, /* its head alone takes 45 characters */
    SPARE_TEXT = 32  /* for what is finished next */
};

bool kur__machine_commit_is_due(const kur__machine *machine, int64_t now_us)
{
    if (machine->commits_in_flight > 0 || machine->transaction_is_open || machine->options.commits_nothing)
        return false;
    return (now_us >= machine->next_commit_again_us && !machine->options.exactly_once) ||
           (machine->finished_since_commit > 0 &&
            (now_us >= machine->next_commit_us || machine->finished_since_commit >= machine->options.commit_records));
}

void kur__machine_begin_commits(kur__machine *machine, kur__source *only, int64_t now_us)
{
    bool again = only == NULL && now_us >= machine->next_commit_again_us;
    for (kur__source *source = machine->oldest; source != NULL; source = source->newer)
        if ((only == NULL || source == only) && kur__source_is_ours(source) && (source->is_dirty || again) &&
            (source->in_commit == 0 || only != NULL))
            source->to_commit = true;
    if (only != NULL)
        return;
    machine->finished_since_commit = 0;
    machine->next_commit_us = now_us + machine->options.commit_interval_us;
    if (again)
        machine->next_commit_again_us = now_us + machine->options.commit_again_us;
}

bool kur__machine_next_commit(kur__machine *machine, kur__commit *commit)
{
    for (kur__source *source = machine->oldest; source != NULL; source = source->newer) {
        if (!source->to_commit)
            continue;
        source->to_commit = false;
        if (!kur__source_is_ours(source))
            continue;
        commit->source = source;
        if (machine->options.exactly_once) {
            kur__transaction_write(machine, source, commit);
        } else {
            commit->offset = kur__ledger_commit_offset(&source->ledger);
            int64_t told = kur__ledger_write(&source->ledger, &source->log, machine->options.text_limit, commit->text);
            source->untold = kur__ledger_end(&source->ledger) - told;
        }
        source->commit_sent = commit->offset;
        source->is_dirty = false;
        source->in_commit++;
        machine->commits_in_flight++;
        return true;
    }
    return false;
}

void kur__machine_committed(kur__machine *machine, kur__source *source, bool is_committed, int64_t now_us)
{
    source->in_commit--;
    machine->commits_in_flight--;
    if (is_committed) {
        source->committed = source->commit_sent;
    } else {
        source->is_dirty = true;
        if (machine->finished_since_commit == 0)
            machine->finished_since_commit = 1; /* so that the next interval tries again */
        machine->next_commit_us = now_us + machine->options.commit_interval_us;
    }
    kur__source_free_if_over(machine, source);
}

/* How long the text is that tells what is committed. */
static size_t needed_by(const kur__source *source)
{
    char text[KUR__LEDGER_TEXT_MAX + 1];
    kur__ledger_write(&source->ledger, &source->log, KUR__LEDGER_TEXT_MAX, text);
    return strlen(text);
}

static size_t needed_text(const kur__machine *machine)
{
    size_t most = 0;
    for (const kur__source *source = machine->oldest; source != NULL; source = source->newer) {
        size_t needed = needed_by(source);
        most = needed > most ? needed : most;
    }
    return most;
}

void kur__commit_keep_told(kur__machine *machine, const kur__source *source)
{
    size_t needed = machine->options.exactly_once ? needed_by(source) : 0;
    if (needed > machine->options.text_limit)
        machine->options.text_limit = needed;
}

void kur__machine_text_refused(kur__machine *machine)
{
    size_t before = machine->options.text_limit, limit = before / 2 >= LEAST_TEXT ? before / 2 : 0;
    size_t needed = machine->options.exactly_once && before > 0 ? needed_text(machine) + SPARE_TEXT : 0;
    limit = limit < needed ? needed : limit;
    if (before > 0)
        machine->options.text_limit = limit < before ? limit : before - 1;
    for (kur__source *source = machine->oldest; source != NULL; source = source->newer)
        source->checked_runs = -KUR__LEDGER_TEXT_MAX; /* whether it is full is looked at anew */
    kur__flow_update_all(machine);
}

int64_t kur__machine_wake_us(const kur__machine *machine)
{
    int64_t wake_us = INT64_MAX;
    if (machine->parked_count > 0)
        wake_us = machine->parked[0]->due_us;
    if (machine->window_is_wanted && machine->window_wake_us < wake_us)
        wake_us = machine->window_wake_us;
    if (machine->commits_in_flight == 0 && !machine->transaction_is_open && machine->sources > 0 &&
        !machine->options.commits_nothing) {
        int64_t again_us = machine->options.exactly_once ? INT64_MAX : machine->next_commit_again_us;
        int64_t commit_us = machine->finished_since_commit > 0 ? machine->next_commit_us : again_us;
        wake_us = commit_us < wake_us ? commit_us : wake_us;
    }
    return wake_us;
}
