/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: back pressure. Each source may hold its share of the bound, in records and in bytes; above it is
 * paused, below half of it resumed. The shell reads no more of a source than there is room for, and leaves what is
 * fetched of a paused one where it is, so that a pause costs nothing and is made as often as it takes.
 * When shares have become smaller by a rebalance, the sum can be above the bound for a while: then everybody waits.
 *
 * A source is paused too when the text that has to stand beside its commit is three quarters full. That is looked at
 * only when the number of runs has changed by some, and not while records come that a former owner has already told of,
 * for they do not make it longer. A source that holds nothing is never paused for its text: there would be nothing left
 * that could shorten it.
 */
#include <string.h>

#include "listener/machine.h"

static bool text_is_full(kur__machine *machine, kur__source *source)
{
    const kur__ledger *ledger = &source->ledger;
    if (source->held == 0 || ledger->done_head < ledger->done_count || machine->options.commits_nothing)
        return source->text_is_full = false;
    int64_t limit = (int64_t)machine->options.text_limit;
    int64_t step = limit / 64 + source->checked_runs / 16, apart = ledger->runs - source->checked_runs;
    if (apart < step && -apart < step)
        return source->text_is_full;
    char text[KUR__LEDGER_TEXT_MAX + 1];
    kur__ledger_write(ledger, &source->log, machine->options.text_limit, text);
    source->checked_runs = ledger->runs;
    return source->text_is_full = strlen(text) * 4 >= machine->options.text_limit * 3;
}

static bool sum_is_over(const kur__machine *machine)
{
    return machine->held >= machine->options.hold_records || machine->held_bytes >= machine->options.hold_bytes;
}

void kur__flow_update(kur__machine *machine, kur__source *source)
{
    const kur__machine_options *options = &machine->options;
    size_t sources = machine->sources > 0 ? machine->sources : 1;
    size_t share = options->hold_records / sources > 0 ? options->hold_records / sources : 1;
    int64_t share_bytes = options->hold_bytes / (int64_t)sources;
    bool is_over = sum_is_over(machine);
    bool wants;
    if (source->wants_pause)
        wants = source->held > share / 2 || source->held_bytes > share_bytes / 2 || is_over;
    else
        wants = source->held >= share || source->held_bytes >= share_bytes || is_over;
    machine->over_bound |= is_over && wants;
    wants = wants || text_is_full(machine, source);
    source->wants_pause = wants;
    if (wants != source->is_paused && !source->is_pausing && source->state == KUR__ACTIVE) {
        source->is_pausing = true;
        source->next_pause = machine->first_pause;
        machine->first_pause = source;
    }
    kur__flow_update_sum(machine);
}

void kur__flow_update_sum(kur__machine *machine)
{
    if (machine->over_bound && !sum_is_over(machine))
        kur__flow_update_all(machine);
}

void kur__flow_update_all(kur__machine *machine)
{
    machine->over_bound = false;
    for (kur__source *source = machine->oldest; source != NULL; source = source->newer)
        if (source->state == KUR__ACTIVE)
            kur__flow_update(machine, source);
}

bool kur__machine_next_pause(kur__machine *machine, bool only_resume, kur__source **source, bool *paused)
{
    kur__source **at = &machine->first_pause;
    while (*at != NULL) {
        kur__source *one = *at;
        bool is_wanted = one->state == KUR__ACTIVE && one->wants_pause != one->is_paused;
        if (is_wanted && one->wants_pause && only_resume) {
            at = &one->next_pause;
            continue;
        }
        *at = one->next_pause;
        one->is_pausing = false;
        if (!is_wanted)
            continue;
        one->is_paused = one->wants_pause;
        *source = one;
        *paused = one->is_paused;
        return true;
    }
    return false;
}

bool kur__machine_is_over(const kur__machine *machine)
{
    if (sum_is_over(machine))
        return true;
    for (const kur__source *one = machine->first_pause; one != NULL; one = one->next_pause)
        if (one->state == KUR__ACTIVE && one->wants_pause && !one->is_paused)
            return true;
    return false;
}

size_t kur__machine_room(const kur__machine *machine, const kur__source *source)
{
    const kur__machine_options *options = &machine->options;
    size_t sources = machine->sources > 0 ? machine->sources : 1, held = source != NULL ? source->held : 0;
    size_t share = options->hold_records / sources > 0 ? options->hold_records / sources : 1;
    if (sum_is_over(machine) || (source != NULL && source->wants_pause) || held >= share)
        return 0;
    size_t room = options->hold_records - machine->held;
    room = share - held < room ? share - held : room;
    if (held == 0)
        return room;
    /* And one more than fit by their bytes, if they are as large as those that are held. */
    int64_t left_bytes = options->hold_bytes / (int64_t)sources - source->held_bytes;
    size_t fit = left_bytes > 0 ? (size_t)(left_bytes / (source->held_bytes / (int64_t)held + 1)) : 0;
    return fit + 1 < room ? fit + 1 : room;
}
