/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: back pressure. Each source may hold its share of the bound, in records and in bytes; then it is full,
 * until it holds no more than half. The shell reads no more of a source than there is room for, and leaves what is
 * fetched of a full one where it is, which costs nothing.
 * When shares have become smaller by a rebalance, the sum can be above the bound for a while: then everybody waits.
 *
 * Retry topics, most of which are idle most of the time, have a bound of their own in common, and no shares: each of
 * their sources may hold three times as much as is free. So one alone may hold three quarters of it, and there is
 * always something left for one that begins. What that comes to changes with the others, so it is looked at when it is
 * asked for.
 *
 * A source is full too when the text that has to stand beside its commit is three quarters full. That is looked at
 * only when the number of runs has changed by some, and not while records come that a former owner has already told of,
 * for they do not make it longer. A source that holds nothing is never full for its text: there would be nothing left
 * that could shorten it.
 */
#include <string.h>

#include "listener/ordered.h"

enum {
    WINDOW_SHARE = 3
};

static bool text_is_full(kur__machine *machine, kur__source *source)
{
    const kur__ledger *ledger = &source->ledger;
    if (machine->options.text_limit == 0 && !machine->options.exactly_once)
        return source->text_is_full = false; /* nothing is told, and nothing would become better by waiting */
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

bool kur__machine_is_full(const kur__machine *machine)
{
    return machine->held - machine->window_held >= machine->options.hold_records ||
           machine->held_bytes - machine->window_held_bytes >= machine->options.hold_bytes;
}

/* What there is for the sources of the same kind, and not taken. */
static size_t free_of(const kur__machine *machine, kur_tier tier, int64_t *bytes)
{
    const kur__machine_options *options = &machine->options;
    bool is_main = tier == KUR_TIER_MAIN;
    size_t bound = is_main ? options->hold_records : options->window_records;
    size_t held = is_main ? machine->held - machine->window_held : machine->window_held;
    int64_t held_bytes = is_main ? machine->held_bytes - machine->window_held_bytes : machine->window_held_bytes;
    *bytes = (is_main ? options->hold_bytes : options->window_bytes) - held_bytes;
    return *bytes > 0 && bound > held ? bound - held : 0;
}

void kur__flow_share(kur__machine *machine)
{
    size_t sources = machine->main_sources > 0 ? machine->main_sources : 1;
    size_t share = machine->options.hold_records / sources;
    machine->share = share > 0 ? share : 1;
    machine->share_bytes = machine->options.hold_bytes / (int64_t)sources;
}

/* Of each source, what it may hold. */
static size_t share_of(const kur__machine *machine, kur_tier tier, int64_t *bytes)
{
    if (tier == KUR_TIER_MAIN) {
        *bytes = machine->share_bytes;
        return machine->share;
    }
    size_t share = free_of(machine, tier, bytes) * WINDOW_SHARE;
    *bytes *= WINDOW_SHARE;
    return share > 0 ? share : 1;
}

void kur__flow_update(kur__machine *machine, kur__source *source)
{
    int64_t share_bytes, free_bytes;
    size_t share = share_of(machine, source->tier, &share_bytes);
    bool is_over = free_of(machine, source->tier, &free_bytes) == 0, is_full;
    if (source->is_full)
        is_full = source->held > share / 2 || source->held_bytes > share_bytes / 2 || is_over;
    else
        is_full = source->held >= share || source->held_bytes >= share_bytes || is_over;
    machine->over_bound |= is_over && is_full && source->tier == KUR_TIER_MAIN;
    source->is_full = is_full || text_is_full(machine, source);
    kur__flow_update_sum(machine);
}

void kur__flow_update_sum(kur__machine *machine)
{
    if (machine->over_bound && !kur__machine_is_full(machine))
        kur__flow_update_all(machine);
}

void kur__flow_update_all(kur__machine *machine)
{
    if (machine->held == 0 && !machine->over_bound)
        return; /* nobody is full, and there may be thousands */
    machine->over_bound = false;
    for (kur__source *source = machine->oldest; source != NULL; source = source->newer)
        if (source->state == KUR__ACTIVE)
            kur__flow_update(machine, source);
}

/* As many keys' records are under retry as may be; what copies wait for is read all the same. */
static bool has_too_many_origins(const kur__machine *machine, const kur__source *source)
{
    if (!machine->options.keep_order || machine->origins.count < machine->options.origins_most)
        return false;
    return source == NULL || source->is_through || source->ledger.last >= source->partition->highest;
}

/*
 * No more of a main partition is read for now. A copy whose record is not in the log any more may have been passed by
 * others, and all that are held may wait for it.
 */
static void look_at_copies(kur__machine *machine, kur__source *source)
{
    if (!machine->options.keep_order || source->is_through || source->looked_to == source->ledger.last)
        return;
    source->looked_to = source->ledger.last;
    kur__ordered_turn(machine, source, INT64_MIN);
}

static size_t room_of(kur__machine *machine, kur__source *source)
{
    int64_t share_bytes, free_bytes;
    kur_tier tier = source != NULL ? source->tier : KUR_TIER_MAIN;
    if (tier != KUR_TIER_MAIN)
        kur__flow_update(machine, source); /* what others let go is there for it */
    size_t share = share_of(machine, tier, &share_bytes), held = source != NULL ? source->held : 0;
    size_t room = free_of(machine, tier, &free_bytes);
    if (tier == KUR_TIER_MAIN && has_too_many_origins(machine, source))
        return 0;
    if (tier != KUR_TIER_MAIN && held == 0 && room == 0)
        return 1; /* what others hold may be due in days */
    if (room == 0 || (source != NULL && source->is_full) || held >= share)
        return 0;
    room = share - held < room ? share - held : room;
    if (held == 0)
        return room;
    /* And one more than fit by their bytes, if they are as large as those that are held. */
    int64_t left_bytes = share_bytes - source->held_bytes;
    left_bytes = left_bytes < free_bytes ? left_bytes : free_bytes;
    size_t fit = left_bytes > 0 ? (size_t)(left_bytes / (source->held_bytes / (int64_t)held + 1)) : 0;
    return fit + 1 < room ? fit + 1 : room;
}

size_t kur__machine_room(kur__machine *machine, kur__source *source)
{
    size_t room = room_of(machine, source);
    if (room == 0 && source != NULL && source->tier != KUR_TIER_MAIN)
        machine->window_is_wanted = source->is_wanted = true;
    else if (room == 0 && source != NULL)
        look_at_copies(machine, source);
    return room;
}
