/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: one delivery.
 *
 *     enter ──▶ done before: rolled back, KUR_DONE
 *       │ ────▶ it cannot be had now (the database is away, …): again, in its order, and that was no attempt
 *       ▼
 *     handler ─ not done ─▶ rolled back, and the outcome is the record's
 *       ▼
 *     commit ─ refused ─▶ for the moment: again. For good: an attempt that has failed
 *       │ ──── the answer is lost ─▶ entered once more: done, or an attempt that has failed
 *       ▼
 *     KUR_DONE
 *
 * A handler runs once in a delivery at most. No outcome but KUR_DONE asks anything of the database here: that a record
 * comes again from elsewhere is kept when it has been forwarded (mover.c).
 *
 * A record of a source that has ended does not ask for an epoch: it may be of a log that is no more.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <string.h>

#include "inbox/inbox.h"
#include "listener/crash.h"

enum {
    ENTRIES = 8,
    AGAIN_US = 500 * 1000,   /* after what has to do with this record */
    AWAY_MIN_US = 50 * 1000, /* no connection can be had: of all records */
    AWAY_MAX_US = 2000 * 1000
};

/* A record in its handler's transaction. */
struct entry {
    kur_inbox *inbox;
    kur_delivery *delivery;
    struct kur__inbox_partition *partition;
    int64_t offset;
    void *connection;
    bool is_fresh;
};

/* ---- Again ---- */

/* Nobody can connect: how long nobody tries. */
static void hold_off(kur_inbox *inbox)
{
    int times = atomic_fetch_add(&inbox->away, 1);
    int64_t wait_us = times < 6 ? (int64_t)AWAY_MIN_US << times : AWAY_MAX_US;
    atomic_store(&inbox->not_before_us, kur_clock_monotonic_us() + wait_us);
}

static kur_outcome again(kur_inbox *inbox, kur_delivery *delivery, int64_t delay_us)
{
    atomic_fetch_add(&inbox->postponed, 1);
    return kur__delivery_again(delivery, delay_us);
}

static kur_outcome again_after(kur_inbox *inbox, kur_delivery *delivery, const kur_error *error)
{
    kur__inbox_failed(inbox, error);
    if (error->code != KUR_ERROR_UNREACHABLE)
        return again(inbox, delivery, AGAIN_US);
    hold_off(inbox);
    return again(inbox, delivery, atomic_load(&inbox->not_before_us) - kur_clock_monotonic_us());
}

/* ---- In ---- */

static void leave(struct entry *entry)
{
    entry->inbox->driver->rollback(entry->connection);
    kur__inbox_return(entry->inbox, entry->connection, true);
}

static kur_status enter_once(struct entry *entry, kur_inbox_turn *turn, int64_t *epoch, kur_error *error)
{
    const kur_driver *driver = entry->inbox->driver;
    pthread_mutex_lock(&entry->inbox->lock);
    *epoch = entry->partition->epoch;
    pthread_mutex_unlock(&entry->inbox->lock);
    if (*epoch == 0 && !kur_delivery_is_current(entry->delivery))
        return kur_error_set(error, KUR_ERROR_STALE, "the partition has gone");
    kur_status status = kur__inbox_join(entry->inbox, entry->partition, entry->connection, epoch, error);
    kur_inbox_place place = kur__inbox_place(entry->inbox, entry->partition, entry->offset, *epoch);
    if (status == KUR_OK)
        status = driver->begin(entry->connection, error);
    if (status == KUR_OK)
        status = driver->inbox_enter(entry->connection, &place, turn, error);
    return status;
}

/* Into a transaction, on any connection. KUR_OK: with its turn, which is not KUR_INBOX_LOST. */
static kur_status enter(struct entry *entry, kur_inbox_turn *turn, kur_error *error)
{
    kur_inbox *inbox = entry->inbox;
    int64_t epoch = 0;
    for (int i = 0; i < ENTRIES; i++) {
        kur_status status = kur__inbox_take(inbox, &entry->connection, &entry->is_fresh, error);
        if (status != KUR_OK)
            return status;
        status = enter_once(entry, turn, &epoch, error);
        if (status == KUR_OK && *turn != KUR_INBOX_LOST) {
            atomic_store(&inbox->away, 0);
            return KUR_OK;
        }
        bool is_broken = status == KUR_ERROR_UNREACHABLE;
        if (!is_broken)
            inbox->driver->rollback(entry->connection);
        kur__inbox_return(inbox, entry->connection, !is_broken);
        if (is_broken)
            kur__inbox_close_idle(inbox);
        if (status != KUR_OK && (!is_broken || entry->is_fresh))
            return status;
        if (status == KUR_OK)
            kur__inbox_forget_epoch(inbox, entry->partition, epoch);
    }
    return kur_error_set(error, KUR_ERROR_STALE, "%s [%d] has begun anew again and again", entry->partition->topic,
                         (int)entry->partition->number);
}

/* ---- Out ---- */

static kur_outcome failed(struct entry *entry, const kur_error *error)
{
    atomic_fetch_add(&entry->inbox->rolled_back, 1);
    kur__inbox_failed(entry->inbox, error);
    return kur_retry(entry->delivery, "kurier.database", "not committed: %s", error->message);
}

/* Whether what nobody knows of has happened. */
static kur_outcome look_up(struct entry *entry, const kur_error *why)
{
    kur_error error = {0};
    kur_inbox_turn turn;
    atomic_fetch_add(&entry->inbox->unknown, 1);
    if (enter(entry, &turn, &error) != KUR_OK)
        return again_after(entry->inbox, entry->delivery, &error);
    leave(entry);
    if (turn != KUR_INBOX_DONE)
        return failed(entry, why);
    atomic_fetch_add(&entry->inbox->handled, 1);
    return KUR_DONE;
}

static kur_outcome commit(struct entry *entry)
{
    kur_error error = {0};
    kur_inbox *inbox = entry->inbox;
    KUR__CRASH_POINT("inbox-handled");
    kur_status status = inbox->driver->commit(entry->connection, &error);
    KUR__CRASH_POINT("inbox-committed");
    if (status == KUR_OK) {
        kur__inbox_return(inbox, entry->connection, true);
        atomic_fetch_add(&inbox->handled, 1);
        return KUR_DONE;
    }
    if (status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_UNKNOWN_OUTCOME) {
        kur__inbox_return(inbox, entry->connection, false);
        return look_up(entry, &error);
    }
    leave(entry);
    if (status == KUR_ERROR_DATABASE && error.retriable)
        return again_after(inbox, entry->delivery, &error);
    if (status == KUR_ERROR_DATABASE)
        return failed(entry, &error);
    if (status == KUR_ERROR_INVALID_STATE)
        kur_client_log(inbox->client, KUR_LOG_ERROR,
                       "inbox %s: %s [%d] at offset %lld: its handler has ended the transaction, which is the inbox's",
                       inbox->consumer, entry->partition->topic, (int)entry->partition->number,
                       (long long)entry->offset);
    return look_up(entry, &error);
}

static kur_outcome call(const struct kur__inbox_handler *handler, struct entry *entry, const void *event)
{
    kur_delivery *delivery = entry->delivery;
    delivery->is_in_inbox = true;
    kur_outcome outcome = handler->invoke != NULL
                              ? handler->invoke(handler->typed, delivery, entry->connection, event, handler->user)
                              : handler->function(delivery, entry->connection, handler->user);
    delivery->is_in_inbox = false;
    /* When what was said and what was returned differ, the one that keeps the record counts. */
    if (outcome == KUR_DONE && (delivery->said == KUR_NO_OUTCOME || delivery->said == KUR_DONE))
        return commit(entry);
    leave(entry);
    atomic_fetch_add(&entry->inbox->rolled_back, 1);
    return outcome;
}

static kur_outcome run(const struct kur__inbox_handler *handler, kur_delivery *delivery, const void *event)
{
    kur_error error = {0};
    kur_inbox_turn turn;
    kur_inbox *inbox = handler->inbox;
    const kur_record *record = kur_delivery_record(delivery);
    int64_t wait_us = atomic_load(&inbox->not_before_us) - kur_clock_monotonic_us();
    if (wait_us > 0)
        return again(inbox, delivery, wait_us);
    struct entry entry = {.inbox = inbox,
                          .delivery = delivery,
                          .partition =
                              kur__inbox_partition(inbox, kur_record_topic(record), kur_record_partition(record)),
                          .offset = kur_record_offset(record)};
    if (entry.partition == NULL)
        return again(inbox, delivery, AGAIN_US);
    if (enter(&entry, &turn, &error) != KUR_OK)
        return again_after(inbox, delivery, &error);
    KUR__CRASH_POINT("inbox-entered");
    if (turn == KUR_INBOX_HANDLE)
        return call(handler, &entry, event);
    leave(&entry);
    atomic_fetch_add(&inbox->passed, 1);
    return KUR_DONE;
}

kur_outcome kur__inbox_run_typed(kur_function *function, kur_delivery *delivery, const void *event, void *user)
{
    (void)function;
    return run(user, delivery, event);
}

kur_outcome kur__inbox_run_record(kur_delivery *delivery, void *user)
{
    return run(user, delivery, NULL);
}
