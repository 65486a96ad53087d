/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: one thread, the caller's, and the producer's for answers. Round by round it takes out what was
 * answered, looks at what others have said, tells where it stands, and sends the next letter when nothing speaks
 * against it: a full ring, the rate, a pause, the canary, or that nobody has heard of it for half a lease: who might be
 * taken for dead sends nothing.
 *
 * Whatever ends it, what is on its way is waited for first, then the last word is written, then the audit; so counts
 * are exact but where brokers are away. What stands in the topic is always behind what has happened, never before it:
 * a run that is killed repeats what it had not told.
 *
 * A letter that is refused as too large, or whatever else goes wrong on the way, is gone back to: its reading starts
 * anew from the place up to which everything is acknowledged.
 */
#include "redrive/run.h"

#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <string.h>

#include "listener/crash.h"

enum {
    TELL_US = 1000 * 1000,
    TELL_EVERY = 20000, /* letters */
    LOOK_US = 20 * 1000,
    CANARY_US = 500 * 1000,
    CANARY_LOOK_MS = 1000,
    WAIT_MS = 10,
    LATE_US = 250 * 1000, /* a rate catches up with so much */
    ALONE = 1000,
    CANARY_WAIT_MS = 300000
};

/* ---- Ending ---- */

static void end_as(kur__run *run, kur_redrive_state state, const kur_error *why)
{
    if (run->ending != 0)
        return;
    run->ending = state;
    run->end_us = kur_clock_monotonic_us() + run->options.timeout_ms * INT64_C(1000);
    if (why != NULL)
        run->why = *why;
}

static kur_status write_end(kur__run *run, kur_error *error)
{
    kur__redrive_event event = {.action = kur_redrive_state_name(run->ending),
                                .who = run->options.who,
                                .note = run->why.message,
                                .at_us = kur_clock_now_us()};
    run->told.state = run->ending;
    run->told.note = run->why.message;
    for (size_t i = 0; i < run->entry->plan.range_count && run->ending == KUR_REDRIVE_DONE; i++)
        run->told.next[i] = run->entry->plan.ranges[i].to;
    kur_status status = kur__run_tell(run, run->options.timeout_ms, error);
    if (status == KUR_OK)
        status =
            kur__books_event(kur__sender_producer(run->sender), run->id, &event, run->options.timeout_ms, NULL, error);
    KUR__CRASH_POINT("redrive-audited");
    return status;
}

/* ---- What was answered ---- */

static kur_status audit_refused(kur__run *run, const kur__flight *flight, const kur_error *why, kur_error *error)
{
    const kur__redrive_range *range = &run->entry->plan.ranges[flight->range];
    kur_error note;
    kur_error_set(&note, KUR_ERROR_TOO_LARGE, "%s [%d] at offset %lld: %.200s", range->topic, (int)range->partition,
                  (long long)flight->offset, why->message);
    kur__redrive_event event = {
        .action = "refused", .who = run->options.who, .note = note.message, .at_us = kur_clock_now_us()};
    return kur__books_event(kur__sender_producer(run->sender), run->id, &event, run->options.timeout_ms, NULL, error);
}

static void count(kur__run *run, const kur__flight *flight, bool is_refused)
{
    kur__redrive_told *told = &run->told;
    told->next[flight->range] = flight->offset + 1;
    kur__redrive_add(&told->sum, &flight->sum);
    told->acknowledged += !is_refused;
    told->refused += is_refused;
    run->acknowledged++;
}

static kur_status take_answers(kur__run *run, kur_error *error)
{
    kur__flight flight;
    kur_error why = {0};
    kur_status status = KUR_OK;
    int state;
    while (status == KUR_OK && (state = kur__sender_take(run->sender, &flight, &why)) != 0) {
        if (run->is_rewinding)
            continue;
        if (state == 1) {
            count(run, &flight, false);
        } else if (state == 2 && run->alone > 0) {
            status = audit_refused(run, &flight, &why, error);
            if (status == KUR_OK)
                count(run, &flight, true);
        } else {
            run->is_rewinding = true; /* what follows it is sent again, too */
            run->alone = state == 2 ? ALONE : 0;
            if (state != 2)
                end_as(run, KUR_REDRIVE_STOPPED, &why);
        }
    }
    return status;
}

/* ---- What others say, and what it tells ---- */

static kur_status look(kur__run *run, int wait_ms, kur_error *error)
{
    run->looked_us = kur_clock_monotonic_us();
    kur_status status = kur__books_read(&run->live, wait_ms, error);
    if (status != KUR_OK)
        return status;
    const kur__redrive_entry *entry = run->entry;
    if (entry->term != run->told.term)
        return kur_error_set(error, KUR_ERROR_FENCED, "plan %s was taken over by %.200s", run->id,
                             entry->runner != NULL ? entry->runner : "somebody");
    if (entry->is_cancelled)
        end_as(run, KUR_REDRIVE_CANCELLED, NULL);
    bool is_paused = run->told.state == KUR_REDRIVE_PAUSED;
    if (run->ending == 0 && entry->is_paused != is_paused) {
        run->told.state = entry->is_paused ? KUR_REDRIVE_PAUSED : KUR_REDRIVE_RUNNING;
        run->tell_us = 0;
        run->pace_us = 0;
    }
    return KUR_OK;
}

static kur_status tell(kur__run *run, kur_error *error)
{
    int64_t now_us = kur_clock_monotonic_us(), every_us = run->options.lease_ms * INT64_C(1000) / 4;
    pthread_mutex_lock(&run->lock);
    bool is_telling = run->is_telling;
    kur_error failed = run->tell_error;
    pthread_mutex_unlock(&run->lock);
    if (failed.code != KUR_OK) {
        if (error != NULL)
            *error = failed;
        return failed.code;
    }
    if (is_telling || (now_us - run->tell_us < (every_us < TELL_US ? every_us : TELL_US) &&
                       run->told.acknowledged - run->told_acknowledged < TELL_EVERY))
        return KUR_OK;
    return kur__run_tell(run, 0, error);
}

static kur_status serve(kur__run *run, kur_error *error)
{
    kur_error stop = {0};
    kur_status status = take_answers(run, error);
    if (status == KUR_OK && kur_clock_monotonic_us() - run->looked_us >= LOOK_US)
        status = look(run, 0, error);
    if (status == KUR_OK)
        status = tell(run, error);
    if (status == KUR_OK && kur__run_report(run, false, &stop) != KUR_OK)
        end_as(run, KUR_REDRIVE_STOPPED, &stop);
    return status;
}

/* ---- The canary ---- */

static bool has_canary(const kur__run *run)
{
    return run->options.canary > 0 && !run->told.is_canary_done;
}

/* All of it is on its way, or the plan has no more. */
static bool canary_is_out(const kur__run *run)
{
    int64_t out = run->told.acknowledged + run->told.refused + (int64_t)kur__sender_open(run->sender);
    return has_canary(run) && (out >= run->options.canary || run->is_read);
}

static void judge_canary(kur__run *run)
{
    kur_error why;
    double refail = run->options.canary_refail;
    int64_t sent = run->told.acknowledged, now_us = kur_clock_monotonic_us();
    if ((double)run->failed > refail * (double)sent) {
        kur_error_set(&why, KUR_ERROR_REJECTED, "%lld of the first %lld letters failed again", (long long)run->failed,
                      (long long)sent);
        end_as(run, KUR_REDRIVE_ABORTED, &why);
    } else if (run->pending == 0) {
        run->told.is_canary_done = true;
        run->tell_us = 0;
    } else if (now_us - run->canary_us > run->options.canary_wait_ms * INT64_C(1000)) {
        kur_error_set(&why, KUR_ERROR_TIMEOUT, "of the first %lld letters %lld have no outcome yet", (long long)sent,
                      (long long)run->pending);
        end_as(run, KUR_REDRIVE_STOPPED, &why);
    }
}

static kur_status await_canary(kur__run *run, kur_error *error)
{
    int64_t now_us = kur_clock_monotonic_us();
    if (run->canary_us == 0) {
        run->canary_us = now_us;
        run->pending = run->told.acknowledged;
    }
    if (now_us - run->checked_us < CANARY_US)
        return KUR_OK;
    kur_error why = {0};
    kur_redrive_outcomes outcomes = KUR_REDRIVE_OUTCOMES();
    if (run->watch == NULL)
        run->watch = kur_redrive_watch_new(run->client, run->id, &why);
    int most_ms = run->options.lease_ms / 4 < CANARY_LOOK_MS ? run->options.lease_ms / 4 : CANARY_LOOK_MS;
    kur_status status = kur_redrive_watch_look(run->watch, most_ms, &outcomes, &why);
    run->checked_us = kur_clock_monotonic_us();
    if (status == KUR_OK) {
        run->failed = outcomes.failed;
        run->pending = outcomes.pending;
    } else if (status != KUR_ERROR_TIMEOUT) {
        if (error != NULL)
            *error = why;
        return status;
    }
    if (status == KUR_OK || now_us - run->canary_us > run->options.canary_wait_ms * INT64_C(1000))
        judge_canary(run);
    return KUR_OK;
}

/* ---- Sending ---- */

static bool is_due(kur__run *run)
{
    int64_t now_us = kur_clock_monotonic_us();
    if (run->options.rate <= 0)
        return true;
    if (run->pace_us < (double)(now_us - LATE_US))
        run->pace_us = run->pace_us == 0 ? (double)now_us : (double)(now_us - LATE_US);
    return run->pace_us <= (double)now_us;
}

/* Nobody has heard of it for half a lease. */
static bool is_unheard(kur__run *run)
{
    pthread_mutex_lock(&run->lock);
    int64_t heard_us = run->heard_us;
    pthread_mutex_unlock(&run->lock);
    return kur_clock_monotonic_us() - heard_us > run->options.lease_ms * INT64_C(1000) / 2;
}

/* Whether nothing is sent now; what is not read on for long is let go. */
static bool must_wait(kur__run *run)
{
    bool is_held = run->told.state == KUR_REDRIVE_PAUSED || canary_is_out(run) || run->is_rewinding || run->is_read;
    if (is_held && kur__sender_open(run->sender) == 0) {
        kur__selection_stop(&run->selection);
        run->is_rewinding = false;
    }
    return is_held || !kur__sender_has_room(run->sender) || !is_due(run) || is_unheard(run);
}

static kur_status send_letter(kur__run *run, kur_error *error)
{
    kur__selection *selection = &run->selection;
    const kur__redrive_route *route = kur__redrive_route_of(selection->plan, &selection->letter);
    if (kur__selection_judge(selection, route) != KUR__TAKEN)
        return KUR_OK;
    kur_status status;
    while ((status = kur__sender_send(run->sender, &selection->letter, route, selection->range, error)) ==
           KUR_ERROR_QUEUE_FULL)
        if ((status = serve(run, error)) != KUR_OK || run->ending != 0 || run->is_rewinding) {
            run->is_rewinding = true; /* it was not sent */
            return status;
        }
    if (status != KUR_OK)
        return status;
    run->sent++;
    run->pace_us += run->options.rate > 0 ? 1e6 / run->options.rate : 0;
    run->alone -= run->alone > 0;
    return KUR_OK;
}

static kur_status go_on(kur__run *run, kur_error *error)
{
    bool has_letter;
    kur_status status = KUR_OK;
    if (run->options.max > 0 && run->acknowledged + (int64_t)kur__sender_open(run->sender) >= run->options.max) {
        end_as(run, KUR_REDRIVE_STOPPED, NULL);
        return KUR_OK;
    }
    kur__sender_limit(run->sender, run->alone > 0 ? 1 : 0);
    if (run->selection.scan == NULL)
        status = kur__selection_start(&run->selection, run->told.next, run->options.timeout_ms, error);
    if (status == KUR_OK)
        status = kur__selection_next(&run->selection, &has_letter, &run->is_read, error);
    return status == KUR_OK && has_letter ? send_letter(run, error) : status;
}

/* All letters have been read and answered. */
static void finish(kur__run *run)
{
    const kur__redrive_plan *plan = &run->entry->plan;
    int64_t left = plan->count - run->told.acknowledged - run->told.refused;
    kur_error why;
    if (left == 0) {
        end_as(run, KUR_REDRIVE_DONE, NULL);
        return;
    }
    kur_error_set(&why, KUR_ERROR_STALE, "%lld letters of the plan went while it was run", (long long)left);
    end_as(run, KUR_REDRIVE_STOPPED, &why);
}

static kur_status work(kur__run *run, kur_error *error)
{
    kur_status status = KUR_OK;
    while (status == KUR_OK) {
        status = serve(run, error);
        bool is_empty = kur__sender_open(run->sender) == 0;
        if (status == KUR_OK && run->ending != 0 && (is_empty || kur_clock_monotonic_us() > run->end_us))
            return KUR_OK;
        if (status == KUR_OK && run->ending == 0 && is_empty && canary_is_out(run))
            status = await_canary(run, error);
        else if (status == KUR_OK && run->ending == 0 && is_empty && run->is_read && !run->is_rewinding)
            finish(run);
        if (status == KUR_OK && run->is_rewinding)
            run->is_read = false;
        if (status != KUR_OK || run->ending != 0 || must_wait(run)) {
            if (status == KUR_OK)
                status = look(run, WAIT_MS, error);
            continue;
        }
        status = go_on(run, error);
    }
    return status;
}

/* ---- Starting ---- */

static kur_status check(kur_redrive_run_options *options, kur_error *error)
{
    kur_status status = kur__audit_check(options->who, ".who", error);
    if (status != KUR_OK)
        return status;
    if (options->canary_refail == (double)KUR_NONE)
        options->canary_refail = 0;
    else if (options->canary_refail == 0)
        options->canary_refail = 0.2;
    if (!(options->rate >= 0) || options->rate > 1e9 || options->max < 0 || options->canary < 0 ||
        !(options->canary_refail >= 0 && options->canary_refail <= 1) || options->canary_wait_ms < 0 ||
        options->timeout_ms < 0 || (options->lease_ms != 0 && options->lease_ms < 1000) ||
        options->lease_ms > KUR__REDRIVE_LEASE_MAX_MS)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             "a number of kur_redrive_run_options is out of its range");
    if (options->canary_wait_ms == 0)
        options->canary_wait_ms = CANARY_WAIT_MS;
    if (options->lease_ms == 0)
        options->lease_ms = KUR__REDRIVE_LEASE_MS;
    if (options->timeout_ms == 0)
        options->timeout_ms = KUR__REDRIVE_TIMEOUT_MS;
    return KUR_OK;
}

static kur_status open_books(kur__run *run, kur_error *error)
{
    kur_status status = kur__books_open(&run->known, run->client, run->options.timeout_ms, error);
    if (status == KUR_OK)
        status = kur__books_open(&run->live, run->client, run->options.timeout_ms, error);
    if (status != KUR_OK)
        return status;
    run->entry = kur__books_find(&run->live, run->id);
    if (run->entry == NULL)
        return kur_error_set(error, KUR_ERROR_UNKNOWN_TOPIC, "there is no plan %.60s", run->id);
    kur_redrive_state state = kur__redrive_state_of(run->entry);
    const char *digest = run->options.digest;
    if (digest != NULL && (digest[0] == '\0' || strncmp(run->entry->plan.digest, digest, strlen(digest)) != 0))
        return kur_error_set(error, KUR_ERROR_MISMATCH, "plan %s has the digest %s, not %.64s", run->id,
                             run->entry->plan.digest, digest);
    if (kur__redrive_is_over(state))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "plan %s is %s", run->id, kur_redrive_state_name(state));
    run->told.next = kur_calloc(run->entry->plan.range_count + 1, sizeof(int64_t));
    return run->told.next != NULL ? KUR_OK : kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a run");
}

static kur_status start(kur__run *run, kur_error *error)
{
    kur_status status = open_books(run, error);
    if (status == KUR_OK) {
        status = kur__selection_init(&run->selection, run->client, &run->entry->plan, &run->known,
                                     run->options.timeout_ms, error);
        run->has_selection = true;
        run->selection.self = run->entry->id;
    }
    if (status == KUR_OK)
        status = kur__run_compare(run, error);
    if (status != KUR_OK || run->options.dry_run)
        return status;
    run->sender = kur__sender_new(run->client, &run->entry->plan, error);
    return run->sender != NULL ? kur__run_claim(run, error) : error->code;
}

static kur_status go(kur__run *run, kur_error *error)
{
    kur_error why = {0};
    kur_status status = start(run, error);
    if (status != KUR_OK || run->options.dry_run)
        return status;
    status = work(run, &why);
    if (status == KUR_ERROR_FENCED) {
        *error = why;
        return status;
    }
    if (status != KUR_OK)
        end_as(run, KUR_REDRIVE_STOPPED, &why);
    status = write_end(run, error);
    if (status == KUR_OK)
        kur__run_report(run, true, &why);
    if (status != KUR_OK || run->why.code == KUR_OK || run->ending == KUR_REDRIVE_ABORTED)
        return status;
    *error = run->why;
    return run->why.code;
}

static void tell_caller(const kur__run *run, kur_redrive_progress *progress)
{
    if (progress == NULL || run->entry == NULL)
        return;
    const kur__redrive_told *told = run->is_claimed ? &run->told : &run->entry->told;
    kur_redrive_progress now =
        KUR_REDRIVE_PROGRESS(.state = run->is_claimed ? told->state : kur__redrive_state_of(run->entry),
                             .count = run->entry->plan.count, .acknowledged = told->acknowledged,
                             .refused = told->refused, .sent = run->sent, .failed = run->failed,
                             .pending = run->pending);
    kur_options_give(progress, &now, sizeof now);
}

kur_status kur_redrive_run(kur_client *client, const char *id, const kur_redrive_run_options *options,
                           kur_redrive_progress *progress, kur_error *error)
{
    kur__run run = {.client = client, .id = id};
    kur_error why = {0};
    if (client == NULL)
        return kur_error_null(error, "client");
    if (id == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "id is NULL");
    kur_status status = kur_options_take(&run.options, sizeof run.options, options, "kur_redrive_run_options", &why);
    if (status == KUR_OK)
        status = check(&run.options, &why);
    pthread_mutex_init(&run.lock, NULL);
    if (status == KUR_OK)
        status = go(&run, &why);
    if (run.has_selection)
        kur__selection_done(&run.selection);
    kur__sender_free(run.sender);
    kur_redrive_watch_free(run.watch);
    tell_caller(&run, progress);
    kur__books_done(&run.live);
    kur__books_done(&run.known);
    kur_free(run.told.next);
    pthread_mutex_destroy(&run.lock);
    if (status != KUR_OK && error != NULL)
        *error = why;
    return status;
}
