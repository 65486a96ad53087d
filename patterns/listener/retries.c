/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what is told of retries and dead letters. Counts by cause are the control thread's, behind a lock that
 * readers take for a copy; how many causes there are is for handlers to say, so that only the first ones have a count
 * of their own. What is parked is looked at with the partitions, half a second apart; lateness is counted where a
 * handler begins.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/shell.h"

enum {
    CAUSES_MAX = 256,
    TIERS = KUR_TIER_DEAD + 1
};

struct cause {
    char name[KUR__CAUSE];
    int64_t forwarded[TIERS];
};

struct kur__retries {
    /* Under the listener's lock. */
    struct cause *causes[CAUSES_MAX + 1]; /* the last one is that of all others */
    size_t cause_count;
    int64_t parked[TIERS], next_due_us[TIERS], lag[TIERS];
    int64_t failing_since_us;

    _Atomic int64_t lateness[KUR_LATENESS_BUCKETS];
};

/* Upper bounds in microseconds; the last bucket has none. */
static const int64_t bounds_us[KUR_LATENESS_BUCKETS - 1] = {1000,    2000,    5000,     10000,    20000,
                                                            50000,   100000,  200000,   500000,   1000000,
                                                            2000000, 5000000, 10000000, 60000000, 600000000};

kur_status kur__retries_new(kur_listener *listener, kur_error *error)
{
    if (listener->tiers == NULL)
        return KUR_OK;
    listener->retries = kur_calloc(1, sizeof *listener->retries);
    return listener->retries != NULL ? KUR_OK : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a listener");
}

void kur__retries_free(kur_listener *listener)
{
    if (listener->retries == NULL)
        return;
    for (size_t i = 0; i < listener->retries->cause_count; i++)
        kur_free(listener->retries->causes[i]);
    kur_free(listener->retries);
}

/* ---- Counted ---- */

static struct cause *cause_of(struct kur__retries *retries, const char *name)
{
    for (size_t i = 0; i < retries->cause_count; i++)
        if (strcmp(retries->causes[i]->name, name) == 0)
            return retries->causes[i];
    if (retries->cause_count == CAUSES_MAX)
        name = KUR_OTHER_CAUSES;
    if (retries->cause_count > CAUSES_MAX)
        return retries->causes[CAUSES_MAX];
    struct cause *made = kur_calloc(1, sizeof *made);
    if (made == NULL)
        return NULL; /* it is in the sums */
    memcpy(made->name, name, strlen(name));
    return retries->causes[retries->cause_count++] = made;
}

void kur__retries_forwarded(kur_listener *listener, const kur__work *work)
{
    const struct kur__extra *extra = work->extra;
    atomic_fetch_add_explicit(&listener->forwarded[work->to], 1, memory_order_relaxed);
    pthread_mutex_lock(&listener->lock);
    listener->retries->failing_since_us = 0;
    struct cause *cause = work->is_unrun ? NULL : cause_of(listener->retries, extra != NULL ? extra->cause : "");
    if (cause != NULL)
        cause->forwarded[work->to]++;
    pthread_mutex_unlock(&listener->lock);
}

void kur__retries_failed(kur_listener *listener)
{
    atomic_fetch_add_explicit(&listener->forward_failures, 1, memory_order_relaxed);
    pthread_mutex_lock(&listener->lock);
    if (listener->retries->failing_since_us == 0)
        listener->retries->failing_since_us = kur_clock_monotonic_us();
    pthread_mutex_unlock(&listener->lock);
}

void kur__retries_late(kur_listener *listener, int64_t late_us)
{
    int bucket = 0;
    while (bucket < KUR_LATENESS_BUCKETS - 1 && late_us >= bounds_us[bucket])
        bucket++;
    atomic_fetch_add_explicit(&listener->retries->lateness[bucket], 1, memory_order_relaxed);
}

void kur__retries_look(kur_listener *listener)
{
    struct kur__retries *retries = listener->retries;
    const kur__machine *machine = &listener->machine;
    int64_t parked[TIERS] = {0}, next_us[TIERS], lag[TIERS] = {0};
    if (retries == NULL)
        return;
    for (int i = 0; i < TIERS; i++)
        next_us[i] = INT64_MAX;
    for (const kur__source *source = machine->oldest; source != NULL; source = source->newer) {
        if (source->tier == KUR_TIER_MAIN || source->state != KUR__ACTIVE)
            continue;
        int64_t behind = kur__lag_of(listener, source);
        parked[source->tier] += (int64_t)source->early;
        lag[source->tier] = behind < 0 || lag[source->tier] < 0 ? -1 : lag[source->tier] + behind;
    }
    for (size_t i = 0; i < machine->parked_count; i++) {
        const kur__work *work = machine->parked[i];
        int64_t *next = &next_us[work->source->tier];
        if (work->is_early && work->due_us < *next)
            *next = work->due_us;
    }
    pthread_mutex_lock(&listener->lock);
    for (int i = 0; i < TIERS; i++) {
        retries->parked[i] = parked[i];
        retries->lag[i] = lag[i];
        retries->next_due_us[i] = next_us[i] == INT64_MAX ? 0 : next_us[i] + listener->wall_ahead_us;
    }
    pthread_mutex_unlock(&listener->lock);
}

/* ---- Asked by anybody ---- */

static bool copy_causes(const struct kur__retries *retries, kur_arena *arena, kur_retry_health *to)
{
    size_t count = retries->cause_count;
    const kur_cause_health **items = kur_arena_alloc(arena, (count + 1) * sizeof(*items));
    kur_cause_health *copies = kur_arena_alloc(arena, (count + 1) * sizeof *copies);
    if (items == NULL || copies == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct cause *cause = retries->causes[i];
        copies[i] = (kur_cause_health){.size = sizeof copies[i],
                                       .cause = kur_arena_copy(arena, cause->name, strlen(cause->name)),
                                       .dead = cause->forwarded[KUR_TIER_DEAD]};
        if (copies[i].cause == NULL)
            return false;
        for (int tier = KUR_TIER_SHORT; tier < KUR_TIER_DEAD; tier++)
            copies[i].retried += cause->forwarded[tier];
        items[i] = &copies[i];
    }
    to->cause_count = count;
    to->causes = items;
    return true;
}

static bool copy_tiers(const kur_listener *listener, kur_arena *arena, kur_retry_health *to)
{
    const struct kur__retries *retries = listener->retries;
    const kur_tier_health **items = kur_arena_alloc(arena, TIERS * sizeof(*items));
    kur_tier_health *copies = kur_arena_alloc(arena, TIERS * sizeof *copies);
    if (items == NULL || copies == NULL)
        return false;
    for (int tier = KUR_TIER_SHORT; tier < TIERS; tier++) {
        kur_tier_health *one = &copies[tier - 1];
        *one = (kur_tier_health){.size = sizeof *one,
                                 .tier = (kur_tier)tier,
                                 .forwarded = atomic_load_explicit(&listener->forwarded[tier], memory_order_relaxed),
                                 .parked = retries->parked[tier],
                                 .lag = tier == KUR_TIER_DEAD ? -1 : retries->lag[tier],
                                 .next_due_us = retries->next_due_us[tier]};
        items[tier - 1] = one;
    }
    to->tier_count = TIERS - 1;
    to->tiers = items;
    return true;
}

kur_status kur_listener_retries(kur_listener *listener, kur_arena *arena, const kur_retry_health **health,
                                kur_error *error)
{
    if (listener == NULL || arena == NULL || health == NULL)
        return kur_error_null(error, listener == NULL ? "listener" : arena == NULL ? "arena" : "health");
    struct kur__retries *retries = listener->retries;
    kur_retry_health *made = kur_arena_alloc(arena, sizeof *made);
    if (made == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: health");
    *made = (kur_retry_health){.size = sizeof *made};
    if (retries != NULL) {
        pthread_mutex_lock(&listener->lock);
        bool has_room = copy_causes(retries, arena, made) && copy_tiers(listener, arena, made);
        int64_t since_us = retries->failing_since_us;
        pthread_mutex_unlock(&listener->lock);
        if (!has_room)
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: health");
        made->failing_ms = since_us != 0 ? (kur_clock_monotonic_us() - since_us) / 1000 + 1 : 0;
        for (int i = 0; i < KUR_LATENESS_BUCKETS; i++)
            made->lateness[i] = atomic_load_explicit(&retries->lateness[i], memory_order_relaxed);
    }
    made->forward_failures = atomic_load_explicit(&listener->forward_failures, memory_order_relaxed);
    made->foreign = atomic_load_explicit(&listener->foreign, memory_order_relaxed);
    made->clamped = atomic_load_explicit(&listener->clamped, memory_order_relaxed);
    made->ignored = atomic_load_explicit(&listener->ignored, memory_order_relaxed);
    made->moved = atomic_load_explicit(&listener->moved, memory_order_relaxed);
    *health = made;
    return KUR_OK;
}

int64_t kur_lateness_bound_us(int bucket)
{
    return bucket >= 0 && bucket < KUR_LATENESS_BUCKETS - 1 ? bounds_us[bucket] : INT64_MAX;
}
