/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: how a run begins, and what it tells while it goes on.
 *
 * First the letters that are left are compared with the plan, which sends nothing and needs no claim. Then the term is
 * claimed. Whoever has it tells so every second or so; who wants it watches for as long as the owner's lease, by a
 * clock of its own, and claims when nothing came: clocks of two machines are never compared. When two claim at once the
 * log says who was first.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/crash.h"
#include "redrive/run.h"

enum {
    POLL_MS = 100,
    REPORT_US = 200 * 1000
};

/* ---- Comparing ---- */

kur_status kur__run_report(kur__run *run, bool is_last, kur_error *error)
{
    int64_t now_us = kur_clock_monotonic_us();
    if (run->options.on_progress == NULL || (!is_last && now_us - run->reported_us < REPORT_US))
        return KUR_OK;
    run->reported_us = now_us;
    const kur__redrive_plan *plan = &run->entry->plan;
    kur_redrive_state state = run->is_claimed ? run->told.state : kur__redrive_state_of(run->entry);
    bool waits = run->options.canary > 0 && !run->told.is_canary_done && run->canary_us > 0;
    const kur__redrive_told *told = run->is_claimed ? &run->told : &run->entry->told;
    kur_redrive_progress progress =
        KUR_REDRIVE_PROGRESS(.state = state, .count = plan->count, .acknowledged = told->acknowledged,
                             .refused = told->refused, .sent = run->sent, .is_checking = run->is_checking,
                             .is_canary = waits, .failed = run->failed, .pending = run->pending);
    return run->options.on_progress(&progress, run->options.user)
               ? KUR_OK
               : kur_error_set(error, KUR_ERROR_CANCELLED, "the run was stopped by its caller");
}

static kur_status read_all(kur__run *run, int64_t *count, kur__redrive_sum *sum, kur_error *error)
{
    kur__selection *selection = &run->selection;
    kur_status status = kur__selection_start(selection, run->entry->has_told ? run->entry->told.next : NULL,
                                             run->options.timeout_ms, error);
    for (bool is_over = false, has_letter; status == KUR_OK && !is_over;) {
        kur__redrive_sum one;
        status = kur__selection_next(selection, &has_letter, &is_over, error);
        if (status == KUR_OK && (!has_letter || selection->read % 256 == 0))
            status = kur__run_report(run, false, error);
        if (status != KUR_OK || !has_letter ||
            kur__selection_judge(selection, kur__redrive_route_of(selection->plan, &selection->letter)) != KUR__TAKEN)
            continue;
        kur__redrive_sum_of(&selection->letter, &one);
        kur__redrive_add(sum, &one);
        ++*count;
    }
    kur__selection_stop(selection);
    return status;
}

kur_status kur__run_compare(kur__run *run, kur_error *error)
{
    const kur__redrive_entry *entry = run->entry;
    int64_t count = 0, left = entry->plan.count - entry->told.acknowledged - entry->told.refused;
    kur__redrive_sum found = {{0}}, wanted = entry->plan.sum;
    kur__redrive_subtract(&wanted, &entry->told.sum);
    run->is_checking = true;
    kur_status status = read_all(run, &count, &found, error);
    run->is_checking = false;
    if (status != KUR_OK || (count == left && kur__redrive_sum_is(&found, &wanted)))
        return status;
    if (count != left)
        return kur_error_set(error, KUR_ERROR_STALE,
                             "plan %s: %lld of its letters are to be sent, and %lld are there: some have gone, were "
                             "discarded, or were sent by another run. Nothing was sent; make a new plan",
                             run->id, (long long)left, (long long)count);
    return kur_error_set(
        error, KUR_ERROR_STALE,
        "plan %s: other letters lie in the places of those that were planned. Nothing was sent; make a "
        "new plan",
        run->id);
}

/* ---- Telling ---- */

static void on_told(const kur_result *result, void *user)
{
    kur__run *run = user;
    KUR__CRASH_POINT("redrive-progress");
    pthread_mutex_lock(&run->lock);
    run->is_telling = false;
    if (result->status == KUR_DELIVERED)
        run->heard_us = run->telling_us;
    else if (run->tell_error.code == KUR_OK)
        run->tell_error = result->error;
    pthread_mutex_unlock(&run->lock);
}

static kur_status send_told(kur__run *run, const kur_buffer *key, const kur_buffer *value, int wait_ms,
                            kur_error *error)
{
    kur_producer *producer = kur__sender_producer(run->sender);
    if (wait_ms > 0)
        return kur__books_write(producer, key, value, wait_ms, NULL, error);
    kur_message message =
        KUR_MESSAGE(.topic = KUR_LETTER_AUDIT_TOPIC, .partition = KUR_PARTITION(0),
                    .key = kur_bytes_of(key->data, key->size), .value = kur_bytes_of(value->data, value->size),
                    .on_result = on_told, .user = run);
    pthread_mutex_lock(&run->lock);
    run->is_telling = true;
    run->telling_us = kur_clock_monotonic_us();
    pthread_mutex_unlock(&run->lock);
    kur_status status = kur_producer_send(producer, &message, error);
    if (status != KUR_OK) {
        pthread_mutex_lock(&run->lock);
        run->is_telling = false;
        pthread_mutex_unlock(&run->lock);
    }
    return status == KUR_ERROR_QUEUE_FULL ? KUR_OK : status; /* the next one may have room */
}

kur_status kur__run_tell(kur__run *run, int wait_ms, kur_error *error)
{
    kur_buffer key = {0}, value = {0};
    run->told.at_us = kur_clock_now_us();
    run->tell_us = kur_clock_monotonic_us();
    run->told_acknowledged = run->told.acknowledged;
    kur_status status = kur_buffer_print(&key, "run %s %lld", run->id, (long long)run->told.term);
    if (status == KUR_OK)
        status = kur__redrive_write_told(&run->told, run->entry->plan.range_count, &value);
    if (status == KUR_OK)
        status = send_told(run, &key, &value, wait_ms, error);
    else
        kur_error_set(error, status, "out of memory: the progress of a run");
    kur_buffer_done(&key);
    kur_buffer_done(&value);
    return status;
}

/* ---- Claiming ---- */

/* Somebody has the term who has not given it back: is he heard of? */
static kur_status wait_for_lease(kur__run *run, kur_error *error)
{
    kur__redrive_entry *entry = run->entry;
    bool is_free = entry->term == 0 ||
                   (entry->has_told && entry->told.term == entry->term && entry->told.state == KUR_REDRIVE_STOPPED);
    uint64_t heard = entry->heard;
    int64_t until_us = kur_clock_monotonic_us() + entry->lease_ms * INT64_C(1000);
    kur_status status = KUR_OK;
    while (status == KUR_OK && !is_free && kur_clock_monotonic_us() < until_us) {
        status = kur__books_read(&run->live, POLL_MS, error);
        if (status == KUR_OK)
            status = kur__run_report(run, false, error);
        if (status == KUR_OK && entry->heard != heard)
            return kur_error_set(error, KUR_ERROR_INVALID_STATE, "plan %s is being run by %.200s", run->id,
                                 entry->runner != NULL ? entry->runner : "somebody");
    }
    return status;
}

/* Where it stands now must be where the comparison was made from. */
static kur_status begin(kur__run *run, const kur__redrive_told *before, bool had_told, kur_error *error)
{
    kur__redrive_entry *entry = run->entry;
    size_t ranges = entry->plan.range_count;
    if (entry->has_told != had_told || entry->told.acknowledged != before->acknowledged ||
        entry->told.refused != before->refused)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "plan %s went on meanwhile: start it again", run->id);
    int64_t *next = run->told.next;
    kur__redrive_told told = entry->told;
    for (size_t i = 0; i < ranges; i++)
        next[i] = entry->has_told ? told.next[i] : entry->plan.ranges[i].from;
    told.term = run->told.term;
    memcpy(told.owner, run->told.owner, sizeof told.owner);
    told.next = next;
    told.note = "";
    told.state = KUR_REDRIVE_RUNNING;
    run->told = told;
    return KUR_OK;
}

kur_status kur__run_claim(kur__run *run, kur_error *error)
{
    kur__redrive_entry *entry = run->entry;
    const kur__redrive_told before = entry->told;
    bool had_told = entry->has_told;
    kur_uuid owner;
    int64_t offset = 0;
    kur_status status = wait_for_lease(run, error);
    if (status == KUR_OK)
        status = kur_uuid_new(&owner, error);
    if (status != KUR_OK)
        return status;
    kur__redrive_event event = {.action = "start",
                                .who = run->options.who,
                                .at_us = kur_clock_now_us(),
                                .term = entry->term + 1,
                                .lease_ms = run->options.lease_ms};
    kur_uuid_format(&owner, event.owner);
    status =
        kur__books_event(kur__sender_producer(run->sender), run->id, &event, run->options.timeout_ms, &offset, error);
    if (status == KUR_OK)
        status = kur__books_reach(&run->live, offset, run->options.timeout_ms, error);
    if (status != KUR_OK)
        return status;
    if (entry->term != event.term || strcmp(entry->owner, event.owner) != 0)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "plan %s is being run by %.200s, who was first", run->id,
                             entry->runner != NULL ? entry->runner : "somebody");
    run->told.term = event.term;
    memcpy(run->told.owner, event.owner, sizeof event.owner);
    run->told.state = KUR_REDRIVE_STOPPED; /* until it may go on */
    run->heard_us = kur_clock_monotonic_us();
    status = begin(run, &before, had_told, error);
    if (status != KUR_OK)
        return status;
    run->is_claimed = true;
    return kur__run_tell(run, run->options.timeout_ms, error);
}
