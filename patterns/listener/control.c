/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the control thread. A round: results in, effects begun, commits sent, records polled where there is
 * room for them and admitted, ready ones handed over, memory given back. It sleeps in one place, on the descriptors of
 * the consumer, the producer and the workers, until the machine's next moment, and never longer than a second or a
 * third of max.poll.interval.ms: only polling keeps the membership.
 *
 * End: a stop takes back what was not claimed and waits for what runs, and for a rebalance that has to be over before
 * what was finished in it can be committed, until shortly before its time is over. Closing the consumer revokes the
 * partitions, and that commits. Then the thread only hears handlers that run on, for a further stop to wait for them,
 * until kur_listener_free takes in what is left.
 */
#include <errno.h>
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "listener/crash.h"
#include "listener/topics.h"

enum {
    OVERHEAD_BYTES = 200, /* of a record, about */
    LOOK_MS = 20,         /* while something runs, its result may have come without a word; and a stop has its time */
    FETCH_AHEAD = 6,      /* records */
    WORKS_AHEAD = 4,
    FED_US = 10 * 1000, /* never longer without a poll because the workers have enough */
    JUMP_US = 100
};

void kur__listener_fail(kur_listener *listener, const kur_error *error)
{
    pthread_mutex_lock(&listener->lock);
    bool is_first = listener->failed.code == KUR_OK;
    if (is_first)
        listener->failed = *error;
    atomic_store(&listener->has_failed, true);
    pthread_mutex_unlock(&listener->lock);
    if (is_first)
        kur_client_log(listener->client, KUR_LOG_ERROR, "group %s ends: %s", listener->group, error->message);
    kur_listener_request_stop(listener);
    if (listener->options.dispatch == KUR_DISPATCH_CALLER)
        kur__workers_wake(listener, 1); /* a loop that sleeps on the descriptor is to hear of it */
}

kur_status kur__control_watch(kur_listener *listener, int fd, kur_error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd < 0 || epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "a descriptor cannot be watched: %s", strerror(errno));
    return KUR_OK;
}

/* ---- Results, effects, releases ---- */

void kur__record_unpin(kur_listener *listener, kur__work *work)
{
    kur_record *copy = work->is_copy || work->item == NULL ? NULL : kur_record_copy(work->item, NULL);
    if (copy == NULL)
        return;
    kur_consumer_free_records(listener->consumer, (kur_record *const *)&work->item, 1);
    work->item = copy;
    work->is_copy = true;
}

static void take_consequence(kur_listener *listener, kur__work *work)
{
    if (work->consequence == KUR__RETRIED || work->consequence == KUR__FORWARDS)
        atomic_fetch_add_explicit(&listener->retried, 1, memory_order_relaxed);
    if (work->consequence == KUR__STALE)
        atomic_fetch_add_explicit(&listener->stale, 1, memory_order_relaxed);
    if (work->consequence == KUR__AGAIN && work->extra != NULL)
        kur__extra_drop_emits(work->extra); /* of an attempt that does not count */
    if (work->consequence == KUR__RETRIED || work->consequence == KUR__AGAIN)
        kur__record_unpin(listener, work);
    if (!work->verdict.is_not_run) /* nobody else counts it */
        atomic_store_explicit(&listener->handled, atomic_load_explicit(&listener->handled, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

/* One that settles, one that was run, or the first of a batch. */
static void take_result(kur_listener *listener, kur__work *first, int64_t now_us)
{
    if (first->state == KUR__SETTLING) {
        kur__effect_end(listener, first, now_us);
        return;
    }
    listener->batches -= listener->is_batched;
    /* A delay begins when the handler has returned, which may have been after this round began. */
    if (first->verdict.outcome != KUR_DONE && now_us != INT64_MAX)
        now_us = kur_clock_monotonic_us();
    for (kur__work *work = first; work != NULL; work = work->mate) {
        if (work->is_deferred)
            atomic_fetch_sub(&listener->deferred, 1);
        work->is_deferred = false;
        work->since_us = now_us;
        kur__machine_outcome(&listener->machine, work, &work->verdict, now_us);
    }
    for (kur__work *work = first, *next; work != NULL; work = next) {
        next = work->mate;
        work->mate = NULL;
        take_consequence(listener, work);
    }
}

static void take_outbox(kur_listener *listener, struct kur__outbox *outbox, int64_t now_us)
{
    kur__work *works[64];
    for (size_t count; (count = kur__outbox_take(outbox, works, sizeof works / sizeof *works)) > 0;)
        for (size_t i = 0; i < count; i++) {
            if (i + WORKS_AHEAD < count) /* another processor has written it */
                for (size_t at = 0; at < sizeof **works; at += 64)
                    __builtin_prefetch((const char *)works[i + WORKS_AHEAD] + at, 1);
            take_result(listener, works[i], now_us);
        }
}

static void take_results(kur_listener *listener, int64_t now_us)
{
    kur__work *work, *in_order = NULL;
    for (int i = 0; i < listener->worker_count && listener->workers[i].outbox != NULL; i++)
        take_outbox(listener, listener->workers[i].outbox, now_us);
    work = atomic_exchange_explicit(&listener->mailbox, NULL, memory_order_acquire);
    while (work != NULL) {
        kur__work *next = work->next;
        work->next = in_order;
        in_order = work;
        work = next;
    }
    while (in_order != NULL) {
        kur__work *next = in_order->next;
        take_result(listener, in_order, now_us);
        in_order = next;
    }
}

static void release_all(kur_listener *listener)
{
    kur_record *records[64];
    size_t count = 0;
    kur__released released;
    while (kur__machine_next_release(&listener->machine, &released)) {
        if (released.extra != NULL) {
            kur__work gone = {.extra = released.extra};
            kur__extra_free(&gone);
        }
        if (released.item == NULL)
            continue;
        records[count++] = released.item;
        if (count == sizeof records / sizeof *records) {
            kur_consumer_free_records(listener->consumer, records, count);
            count = 0;
        }
    }
    if (count > 0)
        kur_consumer_free_records(listener->consumer, records, count);
}

static void hand_over_rejected(kur_listener *listener)
{
    while (listener->rejected.first != NULL) {
        kur__work *work = listener->rejected.first, *next = work->next;
        if (!kur__ring_put(&listener->ring, work))
            return;
        listener->rejected.first = next;
        kur__workers_wake(listener, 1);
    }
}

void kur__control_serve(kur_listener *listener, int64_t now_us)
{
    if (listener->producer != NULL)
        kur_producer_dispatch(listener->producer, 0, NULL, NULL);
    take_results(listener, now_us);
    kur__topics_hear(listener, now_us);
    kur__effects_begin(listener, now_us);
    hand_over_rejected(listener);
    kur__exactly_serve(listener, now_us);
    release_all(listener);
}

void kur__control_untake(kur_listener *listener, int64_t now_us)
{
    kur__work *back = NULL, *work;
    while ((work = kur__ring_claim(&listener->ring)) != NULL) {
        bool is_batch = listener->is_batched && work->state != KUR__SETTLING;
        listener->batches -= is_batch;
        for (; work != NULL; work = is_batch ? work->mate : NULL) {
            work->next = back;
            back = work;
            atomic_fetch_sub_explicit(&listener->unclaimed, is_batch, memory_order_relaxed);
        }
    }
    /* The last that was handed over goes back first, so that in the end the first one stands in front. */
    for (; back != NULL; back = work) {
        work = back->next;
        if (back->state == KUR__SETTLING)
            kur__machine_effect(&listener->machine, back, false, now_us);
        else
            kur__machine_untake(&listener->machine, back);
    }
    release_all(listener);
}

/* ---- Records in, works out ---- */

static void set_pause(kur_listener *listener)
{
    bool wants = atomic_load_explicit(&listener->pause_requested, memory_order_relaxed) || listener->is_leaving;
    if (wants != listener->is_paused) {
        listener->is_paused = wants;
        for (const kur__source *source = listener->machine.oldest; source != NULL; source = source->newer)
            if (source->state == KUR__ACTIVE)
                (wants ? kur_consumer_pause : kur_consumer_resume)(listener->consumer, source->partition->topic,
                                                                   source->partition->number, NULL);
        for (const struct kur__request *one = listener->sought; one != NULL; one = one->next)
            (wants ? kur_consumer_pause : kur_consumer_resume)(listener->consumer, one->topic, one->partition, NULL);
    }
}

size_t kur__room(kur_consumer *consumer, const char *topic, int32_t partition, void *user)
{
    kur__machine *machine = &((kur_listener *)user)->machine;
    kur__source *source = kur__machine_source(machine, topic, partition);
    size_t room = kur__machine_room(machine, source);
    bool is_long = room == 0 && kur__machine_is_full_for_long(machine, source, kur_clock_monotonic_us());
    (void)consumer;
    return is_long ? KUR_ROOM_NOT_SOON : room;
}

/* The record's log has begun anew below what was read of it, without a word of the broker. */
static void log_begins_anew(kur_listener *listener, const kur_record *record)
{
    kur_gap gap = {.size = sizeof gap,
                   .topic = kur_record_topic(record),
                   .partition = kur_record_partition(record),
                   .code = KUR_ERROR_GAP,
                   .offset = listener->seen_source->ledger.last + 1,
                   .low = kur_record_offset(record),
                   .high = -1,
                   .message = "the log begins anew below what was read of it: the topic was made anew or cut"};
    kur__on_gap(listener->consumer, &gap, listener);
}

static bool admit(kur_listener *listener, kur_record *record, int64_t now_us)
{
    if (kur_record_topic(record) != listener->seen_topic || kur_record_partition(record) != listener->seen_partition)
        if (kur__source_for(listener, record) == NULL) {
            kur_consumer_free_records(listener->consumer, &record, 1);
            return true;
        }
    int32_t epoch = kur_record_leader_epoch(record);
    if (epoch > listener->seen_source->log.epoch)
        kur__machine_new_epoch(&listener->machine, listener->seen_source, epoch);
    kur_bytes key = kur_record_key(record), value = kur_record_value(record);
    kur__polled polled = {.offset = kur_record_offset(record),
                          .key = key,
                          .bytes = (uint32_t)(key.size + value.size + OVERHEAD_BYTES),
                          .item = record};
    if (!kur__forward_take(listener, listener->seen_source, record, &polled))
        return false;
    kur__admission admission = kur__machine_admit(&listener->machine, listener->seen_source, &polled, now_us);
    if (polled.item != record && admission != KUR__ADMITTED)
        kur_record_free(polled.item);
    switch (admission) {
    case KUR__ADMITTED:
        if (polled.item != record)
            kur_consumer_free_records(listener->consumer, &record, 1);
        KUR__CRASH_POINT("polled");
        return true;
    case KUR__ADMITTED_NO_MEMORY:
        return false;
    case KUR__ADMITTED_REPLAY:
        log_begins_anew(listener, record);
        break;
    case KUR__ADMITTED_DONE:
        break;
    }
    kur_consumer_free_records(listener->consumer, &record, 1);
    return true;
}

static bool is_for_good(kur_status status)
{
    return status == KUR_ERROR_FENCED || status == KUR_ERROR_FATAL || status == KUR_ERROR_AUTHENTICATION ||
           status == KUR_ERROR_AUTHORIZATION || status == KUR_ERROR_CONFIG;
}

static void take_error(kur_listener *listener, const kur_error *error)
{
    bool is_missing = error->code == KUR_ERROR_UNKNOWN_TOPIC && listener->options.missing == KUR_MISSING_STOP;
    if (is_for_good(error->code) || is_missing)
        kur__listener_fail(listener, error);
    else if (kur__once_in_a_while(&listener->next_error_us))
        kur_client_log(listener->client, KUR_LOG_WARNING, "group %s waits: %s", listener->group, error->message);
}

/* Whether there was something. */
static bool poll_records(kur_listener *listener, int64_t now_us)
{
    kur_error error = {0};
    size_t held = listener->machine.held, bound = (size_t)listener->options.hold_records;
    if (listener->polled_next == listener->polled_count) {
        size_t room = held < bound ? bound - held : 1; /* it serves rebalances too */
        listener->polled_next = listener->polled_count = 0;
        kur_status status = kur_consumer_poll_batch(listener->consumer, 0, listener->polled,
                                                    room < listener->polled_capacity ? room : listener->polled_capacity,
                                                    &listener->polled_count, &error);
        if (status != KUR_OK)
            take_error(listener, &error);
    }
    size_t count = listener->polled_count - listener->polled_next;
    while (listener->polled_next < listener->polled_count) {
        kur_record **at = &listener->polled[listener->polled_next];
        if (listener->polled_next + FETCH_AHEAD < listener->polled_count)
            __builtin_prefetch(at[FETCH_AHEAD]);
        if (listener->polled_next + FETCH_AHEAD / 2 < listener->polled_count)
            __builtin_prefetch(kur_record_key(at[FETCH_AHEAD / 2]).data);
        if (*at == NULL)
            ; /* its partition went on elsewhere */
        else if (listener->is_leaving)
            kur_consumer_free_records(listener->consumer, at, 1);
        else if (!admit(listener, *at, now_us))
            break; /* no memory: the rest waits for the next round */
        listener->polled_next++;
    }
    return count > 0;
}

/* ---- Sleep ---- */

void kur__control_wait(kur_listener *listener, int timeout_ms)
{
    struct epoll_event events[4];
    uint64_t value;
    atomic_store(&listener->control_sleeps, true);
    atomic_thread_fence(memory_order_seq_cst);
    uint64_t ready = kur__ring_size(&listener->ring);
    if ((listener->is_batched || ready <= listener->depth / 4) && kur__results_wait(listener))
        timeout_ms = 0;
    else if (ready > 0 && timeout_ms != 0 && listener->options.dispatch == KUR_DISPATCH_THREAD)
        kur__workers_wake(listener, ready); /* who was not called while more came */
    /* What the consumer has must not wake a thread that does not poll it now. */
    struct pollfd without[] = {{.fd = listener->wake_fd, .events = POLLIN},
                               {.fd = kur_producer_fd(listener->producer), .events = POLLIN}};
    if (listener->is_apart)
        poll(without, 2, timeout_ms);
    int count = epoll_wait(listener->epoll_fd, events, 4, listener->is_apart ? 0 : timeout_ms);
    atomic_store(&listener->control_sleeps, false);
    for (int i = 0; i < count; i++)
        if (events[i].data.fd == listener->wake_fd && read(listener->wake_fd, &value, sizeof value) < 0)
            continue; /* it is empty already */
}

static int sleep_ms(const kur_listener *listener, int64_t now_us)
{
    int64_t wake_us = kur__machine_wake_us(&listener->machine), longest_ms = listener->poll_ms;
    if ((listener->machine.running > 0 || listener->is_leaving) && longest_ms > LOOK_MS)
        longest_ms = LOOK_MS;
    if (listener->fill_by_us > now_us && listener->fill_by_us < wake_us)
        wake_us = listener->fill_by_us;
    if (wake_us <= now_us)
        return 0;
    int64_t left_ms = (wake_us - now_us + 999) / 1000;
    return (int)(left_ms < longest_ms ? left_ms : longest_ms);
}

/* Times of the world's are kept in those of the other clock, which does not jump with it. */
static void look_at_clock(kur_listener *listener)
{
    if (listener->tiers == NULL)
        return;
    /* Read between two of the other, so that it is known by how much it may be wrong; what is in doubt makes late. */
    int64_t before_us = kur_clock_monotonic_us(), wall_us = kur_clock_now_us(), after_us = kur_clock_monotonic_us();
    int64_t ahead_us = wall_us - after_us, jump_us = ahead_us - listener->wall_ahead_us;
    bool is_known = after_us - before_us < JUMP_US / 2 || listener->wall_ahead_us == 0;
    if (!is_known || (jump_us > -JUMP_US && jump_us < JUMP_US))
        return;
    listener->wall_ahead_us = ahead_us;
    kur__machine_clock_jumped(&listener->machine, jump_us);
}

/* ---- The thread ---- */

/* Nothing is left but deferred records, for which nobody waits when the listener is freed. */
static bool is_only_deferred(const kur_listener *listener)
{
    return atomic_load(&listener->is_freed) && listener->machine.settling == 0 &&
           listener->machine.running <= (size_t)atomic_load(&listener->deferred);
}

static bool is_over(kur_listener *listener, int64_t now_us)
{
    if (!atomic_load(&listener->stop_requested))
        return false;
    if (!listener->is_leaving) {
        listener->is_leaving = true;
        kur__machine_stop(&listener->machine);
        kur__control_untake(listener, now_us);
        kur__seek_stop(listener);
    }
    int64_t by_us = atomic_load(&listener->stop_by_us);
    bool is_drained = kur__effects_are_over(listener) && listener->sought == NULL;
    return (by_us != INT64_MAX && now_us >= by_us - atomic_load(&listener->leave_us)) ||
           (atomic_load(&listener->has_failed) && listener->machine.running == 0) ||
           ((is_drained || is_only_deferred(listener)) && !kur__waits_to_commit(listener));
}

static void run(kur_listener *listener)
{
    for (;;) {
        int64_t now_us = kur_clock_monotonic_us();
        look_at_clock(listener);
        kur__seek_take_requests(listener);
        kur__control_serve(listener, now_us);
        if (is_over(listener, now_us))
            return;
        set_pause(listener);
        if (kur__machine_commit_is_due(&listener->machine, now_us))
            kur__commit_round(listener, NULL, 0, now_us);
        kur__adapt_depth(listener);
        /* A batch is rather made of what comes with the poll, too. */
        bool is_fed = !listener->is_batched && kur__hand_over(listener, now_us), had = false;
        if (!is_fed || now_us - listener->polled_us >= FED_US) {
            listener->polled_us = now_us;
            had = poll_records(listener, now_us);
            kur__seek_begin_found(listener, now_us);
            kur__topics_serve(listener);
            kur__drop_absent(listener);
            kur__ends_serve(listener, now_us);
            is_fed = kur__hand_over(listener, now_us);
        }
        kur__health_tell(listener, now_us);
        kur__broadcast_look(listener);
        listener->is_apart = is_fed;
        kur__control_wait(listener, had && !is_fed ? 0 : sleep_ms(listener, now_us));
        listener->is_apart = false;
    }
}

static void tell_end(kur_listener *listener)
{
    kur__health_tell(listener, INT64_MAX);
    pthread_mutex_lock(&listener->lock);
    listener->state = KUR__ENDED;
    pthread_cond_broadcast(&listener->changed);
    pthread_mutex_unlock(&listener->lock);
}

void *kur__control_run(void *user)
{
    kur_listener *listener = user;
    kur__thread_enter(listener);
    run(listener);
    kur__exactly_close(listener); /* while it is a member */
    listener->is_closing = true;
    kur_consumer_close_within(listener->consumer, kur__close_ms(listener), NULL);
    kur__exactly_stop(listener);
    while (kur__machine_drop_one(&listener->machine))
        continue;
    release_all(listener);
    tell_end(listener);
    kur__listener_wake_run(listener);
    /* Handlers that outlast the stop are heard, so that another stop can wait for them. */
    listener->is_apart = true;
    while (listener->machine.running > 0 && !atomic_load(&listener->is_freed)) {
        kur__control_wait(listener, listener->poll_ms);
        kur__control_serve(listener, kur_clock_monotonic_us());
        tell_end(listener);
    }
    return NULL;
}

void kur__control_clear(kur_listener *listener)
{
    kur__work *work = kur__tickets_close(listener), *next;
    for (; work != NULL; work = next) {
        next = work->next;
        work->verdict = (kur__verdict){.outcome = KUR_RETRY};
        take_result(listener, work, INT64_MAX);
    }
    take_results(listener, INT64_MAX);
    /* Without workers nobody has claimed these. */
    kur__control_untake(listener, INT64_MAX);
    while ((work = kur__queue_pop(&listener->rejected)) != NULL)
        kur__machine_effect(&listener->machine, work, false, INT64_MAX);
    if (listener->alone != NULL)
        kur__machine_effect(&listener->machine, listener->alone, false, INT64_MAX);
    listener->alone = NULL;
    while (listener->polled_next < listener->polled_count)
        kur_consumer_free_records(listener->consumer, &listener->polled[listener->polled_next++], 1);
    while (kur__machine_drop_one(&listener->machine))
        continue;
    release_all(listener);
}
