/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: how a listener is. Numbers are told by the control thread with each of its rounds, as atomics. What is
 * told of each partition takes memory and a look at the consumer: twice a second, in a block that is put in the place
 * of the one before, so that whoever asks waits for nothing, handlers too. Without memory the last one stays.
 *
 * A partition is stalled while something of it is held and nothing becomes finished: a handler that hangs, retries
 * without end, an effect that does not become durable.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <string.h>

#include "listener/shell.h"

enum {
    LOOK_US = 500 * 1000,
    WARN_US = 10 * 1000 * 1000
};

bool kur__once_in_a_while(_Atomic int64_t *next_us)
{
    int64_t now_us = kur_clock_monotonic_us(), next = atomic_load(next_us);
    return now_us >= next && atomic_compare_exchange_strong(next_us, &next, now_us + WARN_US);
}

/* ---- Told by the control thread ---- */

struct kur__look {
    size_t count;
    kur_listener_position positions[]; /* behind them the names of their topics */
};

/* Since when nothing of a source has been finished though something is held; 0: it goes on. */
static int64_t stalled_since_us(kur__source *source, int64_t now_us)
{
    if (source->held == source->early || source->finished != source->seen_finished || source->moved_us == 0) {
        source->seen_finished = source->finished;
        source->moved_us = now_us;
    }
    return source->held > source->early ? source->moved_us : 0;
}

/* How far what is unfinished is behind the end of the log; -1: not known. */
int64_t kur__lag_of(const kur_listener *listener, const kur__source *source)
{
    const kur__partition *partition = source->partition;
    int64_t read = -1, behind = -1;
    bool is_known =
        kur_consumer_position(listener->consumer, partition->topic, partition->number, &read, NULL) == KUR_OK &&
        kur_consumer_lag(listener->consumer, partition->topic, partition->number, &behind, NULL) == KUR_OK &&
        read >= 0 && behind >= 0;
    return is_known ? read + behind - kur__ledger_commit_offset(&source->ledger) : -1;
}

static kur_listener_position position_of(kur_listener *listener, kur__source *source, int64_t now_us)
{
    int64_t unfinished = kur__ledger_commit_offset(&source->ledger);
    int64_t since_us = stalled_since_us(source, now_us);
    return (kur_listener_position){.size = sizeof(kur_listener_position),
                                   .topic = source->partition->topic,
                                   .partition = source->partition->number,
                                   .position = source->ledger.last + 1,
                                   .unfinished = unfinished,
                                   .committed = source->committed,
                                   .lag = kur__lag_of(listener, source),
                                   .held = (int64_t)source->held,
                                   .running = (int)source->running,
                                   .is_paused = listener->is_paused || source->is_full,
                                   .stalled_ms = since_us > 0 ? (now_us - since_us) / 1000 : 0,
                                   .waits = kur__ordered_why(&listener->machine, source)};
}

/* Room for all that are ours; the names are put in with each. */
static struct kur__look *look_new(const kur_listener *listener)
{
    size_t size = sizeof(struct kur__look), count = 0;
    for (const kur__source *one = listener->machine.oldest; one != NULL; one = one->newer) {
        count += one->state == KUR__ACTIVE;
        size += sizeof(kur_listener_position) + strlen(one->partition->topic) + 1;
    }
    for (const struct kur__request *one = listener->sought; one != NULL; one = one->next, count++)
        size += sizeof(kur_listener_position) + strlen(one->topic) + 1;
    struct kur__look *look = kur_malloc(size);
    if (look != NULL)
        look->count = count;
    return look;
}

static void add(kur_listener_position *to, const kur_listener_position *position, char **name)
{
    size_t size = strlen(position->topic) + 1;
    *to = *position;
    to->topic = memcpy(*name, position->topic, size);
    *name += size;
}

static void take_look(kur_listener *listener, int64_t now_us)
{
    struct kur__look *made = look_new(listener), *before;
    int64_t since_us = INT64_MAX;
    if (made == NULL)
        return;
    kur_listener_position *to = made->positions;
    char *name = (char *)(made->positions + made->count);
    for (kur__source *one = listener->machine.oldest; one != NULL; one = one->newer) {
        if (one->state != KUR__ACTIVE)
            continue;
        kur_listener_position position = position_of(listener, one, now_us);
        add(to++, &position, &name);
        if (one->held > one->early && one->moved_us < since_us)
            since_us = one->moved_us;
    }
    for (const struct kur__request *one = listener->sought; one != NULL; one = one->next)
        add(to++,
            &(kur_listener_position){.size = sizeof(kur_listener_position),
                                     .topic = one->topic,
                                     .partition = one->partition,
                                     .position = -1,
                                     .unfinished = -1,
                                     .committed = -1,
                                     .lag = -1,
                                     .is_paused = listener->is_paused},
            &name);
    atomic_store_explicit(&listener->stalled_since_us, since_us != INT64_MAX ? since_us : 0, memory_order_relaxed);
    pthread_mutex_lock(&listener->lock);
    before = listener->look;
    listener->look = made;
    pthread_mutex_unlock(&listener->lock);
    kur_free(before);
}

void kur__health_tell(kur_listener *listener, int64_t now_us)
{
    const kur__machine *machine = &listener->machine;
    atomic_store_explicit(&listener->held, (int64_t)machine->held, memory_order_relaxed);
    atomic_store_explicit(&listener->held_bytes, machine->held_bytes, memory_order_relaxed);
    int64_t waiting = listener->is_batched ? atomic_load_explicit(&listener->unclaimed, memory_order_relaxed)
                                           : (int64_t)kur__ring_size(&listener->ring);
    int64_t running = (int64_t)machine->running - waiting;
    /* What was rejected stands in the ring too, and does not run. */
    atomic_store_explicit(&listener->running, running > 0 ? running : 0, memory_order_relaxed);
    atomic_store_explicit(&listener->finished, machine->finished, memory_order_relaxed);
    atomic_store_explicit(&listener->moved, machine->moved, memory_order_relaxed);
    if (now_us < listener->next_look_us)
        return;
    listener->next_look_us = now_us < INT64_MAX - LOOK_US ? now_us + LOOK_US : INT64_MAX;
    take_look(listener, now_us);
    kur__retries_look(listener);
}

/* ---- Asked by anybody ---- */

kur_status kur_listener_health_get(kur_listener *listener, kur_listener_health *health, kur_error *error)
{
    if (listener == NULL)
        return kur_error_null(error, "listener");
    if (health == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "health is NULL");
    if (health->size < sizeof(size_t))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "health.size is not set: use KUR_LISTENER_HEALTH()");
    pthread_mutex_lock(&listener->lock);
    kur_listener_health now = {.is_running = listener->has_control && listener->state == KUR__STARTED,
                               .status = listener->failed.code};
    bool has_workers = listener->has_control;
    pthread_mutex_unlock(&listener->lock);
    int64_t oldest_us = kur__tickets_oldest_us(listener);
    for (int i = 0; has_workers && i < listener->worker_count; i++) {
        int64_t since_us = atomic_load_explicit(&listener->workers[i].since_us, memory_order_relaxed);
        if (since_us != 0 && (oldest_us == 0 || since_us < oldest_us))
            oldest_us = since_us;
    }
    now.assigned = (int)atomic_load(&listener->assigned);
    now.held = atomic_load(&listener->held);
    now.held_bytes = atomic_load(&listener->held_bytes);
    now.running = (int)atomic_load(&listener->running);
    now.oldest_ms = oldest_us > 0 ? (kur_clock_monotonic_us() - oldest_us) / 1000 : 0;
    now.handled = atomic_load(&listener->handled);
    now.finished = atomic_load(&listener->finished);
    now.retried = atomic_load(&listener->retried);
    now.rejected = atomic_load(&listener->rejected_count);
    now.unknown = atomic_load(&listener->unknown);
    now.gaps = atomic_load(&listener->gaps);
    now.stale = atomic_load(&listener->stale);
    now.untold = atomic_load(&listener->untold);
    now.is_caught_up = atomic_load(&listener->is_caught_up);
    now.rebalances = atomic_load(&listener->rebalances);
    now.lost = atomic_load(&listener->lost);
    now.schema_waits = atomic_load(&listener->schema_waits);
    int64_t stalled_us = atomic_load(&listener->stalled_since_us);
    now.stalled_ms = stalled_us > 0 ? (kur_clock_monotonic_us() - stalled_us) / 1000 : 0;
    kur_options_give(health, &now, sizeof now);
    return KUR_OK;
}

kur_status kur_listener_positions(kur_listener *listener, kur_arena *arena, kur_listener_position_list *positions,
                                  kur_error *error)
{
    if (listener == NULL || arena == NULL || positions == NULL)
        return kur_error_null(error, listener == NULL ? "listener" : arena == NULL ? "arena" : "positions");
    bool has_room = true;
    pthread_mutex_lock(&listener->lock);
    const struct kur__look *look = listener->look;
    size_t count = look != NULL ? look->count : 0;
    const kur_listener_position **items = kur_arena_alloc(arena, (count + 1) * sizeof *items);
    kur_listener_position *copies = kur_arena_alloc(arena, (count + 1) * sizeof *copies);
    has_room = items != NULL && copies != NULL;
    for (size_t i = 0; i < count && has_room; i++) {
        copies[i] = look->positions[i];
        copies[i].topic = kur_arena_copy(arena, copies[i].topic, strlen(copies[i].topic));
        items[i] = &copies[i];
        has_room = copies[i].topic != NULL;
    }
    pthread_mutex_unlock(&listener->lock);
    if (!has_room)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: positions");
    *positions = (kur_listener_position_list){count, items};
    return KUR_OK;
}
