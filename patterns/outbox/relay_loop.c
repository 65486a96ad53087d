/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the relay's thread. A round:
 *
 *     connect ─▶ own ─▶ raise floors, figures ─▶ settle what was sent ─▶ read ─▶ send
 *
 * Invariants:
 * 1. A shard is not read while a batch with rows of it is not settled. What a round could not settle, because the
 *    database was away, the next one settles first; until then nothing else is read or sent.
 * 2. What is sent was read while the shards were the relay's: a batch that was read under another ownership is thrown
 *    away, not sent.
 * 3. Nothing ends the relay but a stop, and what no waiting cures: tables of another version, relays of the other
 *    guarantee, being fenced, no right to what belongs to the relay alone, no transactions. All else is counted, told,
 *    and tried again, later each time up to five seconds; a shard whose rows were left waiting rests by itself.
 *
 * A backlog is sent by halves of the shards, which take turns: while one is sent, what became of the other is settled,
 * and the next of it read, by a second thread (relay_hand.c). Between two batches comes what comes between two rounds.
 *
 * When it looks: at once after a batch; when kur_outbox_committed says so; else after 2 ms, and twice that each time
 * that nothing was there, up to .poll_ms. Where the driver has `changes`, a look is that alone while nothing has
 * changed; once a second the tables are read all the same.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "listener/crash.h"
#include "outbox/relay.h"

enum {
    FIRST_MS = 2,          /* after something was there */
    HOUSEKEEPING_MS = 500, /* owning, floors and figures, however long .poll_ms is */
    RAISE_MS = 1000,
    FIGURES_MS = 5000,
    BELIEVE_MS = 1000, /* that nothing has changed */
    RETRY_FIRST_MS = 100,
    RETRY_MOST_MS = 5000,
    LAST_MS = 5000 /* of an end that nobody has set a time for */
};

static int64_t in_ms(int timeout_ms)
{
    return kur_clock_monotonic_us() + timeout_ms * INT64_C(1000);
}

static int retry_ms(int failures)
{
    int ms = RETRY_FIRST_MS;
    for (int i = 1; i < failures && ms < RETRY_MOST_MS; i++)
        ms *= 2;
    return ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS;
}

/* ---- Waiting ---- */

bool kur__relay_is_out_of_time(const kur_relay *relay)
{
    return atomic_load(&relay->stops) && kur_clock_monotonic_us() >= atomic_load(&relay->stop_by_us);
}

bool kur__relay_pause(kur_relay *relay, int timeout_ms)
{
    struct pollfd wake = {.fd = relay->wake, .events = POLLIN};
    int64_t until_us = in_ms(timeout_ms), left_us;
    while (!atomic_load(&relay->stops) && (left_us = until_us - kur_clock_monotonic_us()) > 0)
        poll(&wake, 1, (int)((left_us + 999) / 1000));
    return atomic_load(&relay->stops);
}

/* Until something was committed, or it is time for the next look or for what else there is to do. */
static void idle(kur_relay *relay)
{
    struct pollfd wakes[] = {{.fd = relay->wake, .events = POLLIN}, {.fd = relay->outbox->committed, .events = POLLIN}};
    int64_t left_us = relay->next_look_us - kur_clock_monotonic_us();
    if (left_us <= 0)
        return;
    int timeout_ms = left_us < HOUSEKEEPING_MS * 1000 ? (int)((left_us + 999) / 1000) : HOUSEKEEPING_MS;
    eventfd_t ignored;
    if (poll(wakes, 2, timeout_ms) > 0 && wakes[1].revents != 0 &&
        eventfd_read(relay->outbox->committed, &ignored) == 0)
        relay->next_look_us = 0;
}

/* ---- The database ---- */

static void disconnect(kur_relay *relay)
{
    if (relay->connection != NULL)
        relay->outbox->driver->disconnect(relay->connection);
    relay->connection = NULL;
    relay->changes_till_us = 0;
}

kur_status kur__relay_checked(kur_relay *relay, kur_status status, const kur_error *error)
{
    /* A refusal may be this connection's alone: of a server that has become a standby, say. */
    bool is_of_no_use = status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_UNKNOWN_OUTCOME ||
                        (status == KUR_ERROR_DATABASE && !error->retriable);
    if (is_of_no_use)
        disconnect(relay);
    return status;
}

static kur_status connect(kur_relay *relay, kur_error *error)
{
    if (relay->connection != NULL)
        return KUR_OK;
    kur_outbox *outbox = relay->outbox;
    kur_status status = outbox->driver->connect(kur_database_state(outbox->database), &relay->connection, error);
    if (status != KUR_OK)
        relay->connection = NULL;
    return status;
}

/* Floors and figures, when it is time. */
static kur_status look_after(kur_relay *relay, kur_error *error)
{
    const kur_driver *driver = relay->outbox->driver;
    int64_t now_us = kur_clock_monotonic_us();
    kur_status status = KUR_OK;
    if (relay->shard_count > 0 && now_us >= relay->next_raise_us) {
        int32_t shards[KUR_OUTBOX_SHARDS_MAX];
        for (size_t i = 0; i < relay->shard_count; i++)
            shards[i] = relay->shards[i].number;
        status = driver->outbox_raise(relay->connection, shards, relay->shard_count, error);
        relay->next_raise_us = in_ms(RAISE_MS);
    }
    if (status == KUR_OK && now_us >= relay->next_figures_us) {
        kur_outbox_figures figures = {.size = sizeof figures};
        status = driver->outbox_figures(relay->connection, &figures, error);
        if (status == KUR_OK)
            kur__relay_figures(relay, &figures);
        relay->next_figures_us = in_ms(FIGURES_MS);
    }
    return kur__relay_checked(relay, status, error);
}

/* Whether it can be that something is there: by the driver's number, if it has such. */
static kur_status has_changed(kur_relay *relay, int64_t *number, bool *maybe, kur_error *error)
{
    const kur_driver *driver = relay->outbox->driver;
    *maybe = true;
    if (driver->changes == NULL)
        return KUR_OK;
    kur_status status = driver->changes(relay->connection, number, error);
    if (status == KUR_OK && kur_clock_monotonic_us() < relay->changes_till_us)
        *maybe = *number != relay->changes;
    return kur__relay_checked(relay, status, error);
}

/* ---- Shards ---- */

static const struct kur__shard *find(const struct kur__shard *shards, size_t count, int32_t number)
{
    for (size_t i = 0; i < count; i++)
        if (shards[i].number == number)
            return &shards[i];
    return NULL;
}

void kur__relay_own(kur_relay *relay, const int32_t *shards, size_t count)
{
    struct kur__shard made[KUR_OUTBOX_SHARDS_MAX];
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const struct kur__shard *had = find(relay->shards, relay->shard_count, shards[i]);
        made[i] = had != NULL ? *had : (struct kur__shard){.number = shards[i]};
        kept += had != NULL;
    }
    bool is_same = kept == count && count == relay->shard_count;
    if (is_same)
        return;
    memcpy(relay->shards, made, count * sizeof *made);
    relay->shard_count = count;
    relay->ownership++;
    relay->changes_till_us = 0; /* what came may have rows */
    relay->next_look_us = 0;
    kur__relay_tell_shards(relay, count, count - kept);
}

/* Shards of which something was left waiting rest for a while, later ones longer; those that got on do not. */
static void rest(kur_relay *relay, const struct kur__batch *batch)
{
    for (size_t i = 0; i < batch->count;) {
        int32_t number = batch->rows[i].row.shard;
        size_t waiting = 0, first = i;
        for (; i < batch->count && batch->rows[i].row.shard == number; i++)
            waiting += batch->rows[i].state == KUR__ROW_WAITS;
        for (size_t k = 0; k < relay->shard_count; k++) {
            struct kur__shard *shard = &relay->shards[k];
            if (shard->number != number)
                continue;
            bool has_got_on = waiting < i - first;
            shard->failures = waiting == 0 ? 0 : has_got_on ? 1 : shard->failures + 1;
            shard->not_before_us = waiting == 0 ? 0 : in_ms(retry_ms(shard->failures));
        }
    }
}

/* ---- A round ---- */

/* What no waiting cures. Of the courier: what belongs to the relay alone is refused. */
static bool is_the_end(const kur_error *error, bool is_of_courier)
{
    return error->code == KUR_ERROR_SCHEMA || error->code == KUR_ERROR_FENCED ||
           (is_of_courier && (error->code == KUR_ERROR_INVALID_STATE || error->code == KUR_ERROR_UNSUPPORTED ||
                              error->code == KUR_ERROR_AUTHORIZATION || error->code == KUR_ERROR_CONFIG));
}

static void end(kur_relay *relay, const kur_error *error)
{
    relay->end = *error;
    kur_client_log(relay->outbox->client, KUR_LOG_ERROR, "outbox relay %s has ended: %s", relay->options.name,
                   error->message);
}

/* Whether the relay goes on. */
static bool go_on_after(kur_relay *relay, const char *what, const kur_error *error, bool is_of_courier)
{
    if (is_the_end(error, is_of_courier)) {
        end(relay, error);
        return false;
    }
    kur__relay_failed(relay, what, error);
    kur__relay_pause(relay, retry_ms(++relay->failures));
    return true;
}

/* Nothing is there: the next look is later than the last. */
static void found_nothing(kur_relay *relay)
{
    int ms = relay->empty_ms == 0 ? FIRST_MS : relay->empty_ms * 2;
    relay->empty_ms = ms < relay->options.poll_ms ? ms : relay->options.poll_ms;
    relay->next_look_us = in_ms(relay->empty_ms);
}

static bool send_batch(kur_relay *relay, struct kur__batch *batch)
{
    kur_error error = {0};
    KUR__CRASH_POINT("outbox-read");
    kur__batch_screen(batch);
    kur_status status = relay->courier->send(relay, batch, &error);
    KUR__CRASH_POINT("outbox-sent");
    kur__relay_sent(relay, batch);
    rest(relay, batch);
    batch->is_unsettled = true;
    relay->empty_ms = 0;
    relay->next_look_us = 0;
    return status == KUR_OK || go_on_after(relay, "a batch could not be sent", &error, false);
}

/* What was sent is put down; whether the relay goes on, and `is_settled`. */
static bool settle(kur_relay *relay, struct kur__batch *batch, bool *is_settled)
{
    kur_error error = {0};
    *is_settled = kur__batch_settle(relay, batch, &error) == KUR_OK;
    return *is_settled || go_on_after(relay, "what was sent could not be deleted", &error, false);
}

/* Owning and housekeeping between two batches; whether the relay goes on. */
static bool keep(kur_relay *relay)
{
    kur_error error = {0};
    if (relay->courier->own(relay, &error) != KUR_OK)
        return go_on_after(relay, "shards could not be had", &error, true);
    if (relay->connection != NULL && look_after(relay, &error) != KUR_OK)
        return go_on_after(relay, "the outbox could not be looked after", &error, false);
    return true;
}

/* A backlog, until it is gone: halves of the shards take turns. */
static bool drain(kur_relay *relay)
{
    struct kur__batch *ready = &relay->batches[0], *other = &relay->batches[1], *was;
    bool goes_on = true, is_well = true;
    kur_error error = {0};
    kur__batch_aim(relay, ready, 0);
    if (kur__batch_read(relay, ready, &error) != KUR_OK)
        return go_on_after(relay, "the outbox could not be read", &error, false);
    for (int half = 0; goes_on && is_well && !atomic_load(&relay->stops); half = !half) {
        if (kur__batch_has_refused(other)) /* callbacks run on this thread */
            goes_on = settle(relay, other, &is_well);
        if (!goes_on || !is_well)
            break;
        kur__batch_aim(relay, other, !half);
        kur__hand_begin(relay, other);
        if (ready->count > 0)
            goes_on = send_batch(relay, ready);
        is_well = kur__hand_wait(relay, other, &error) == KUR_OK;
        if (goes_on && !is_well)
            goes_on =
                go_on_after(relay, "what was sent could not be deleted, or the outbox not be read", &error, false);
        if (goes_on && is_well)
            goes_on = keep(relay);
        /* What was read while shards were others' is not sent. */
        is_well = is_well && relay->connection != NULL && relay->ownership == other->ownership;
        if (ready->count == 0 && other->count == 0)
            break;
        relay->failures = is_well ? 0 : relay->failures;
        was = ready;
        ready = other;
        other = was;
    }
    return goes_on;
}

/* Reads and sends; whether the relay goes on. */
static bool look(kur_relay *relay)
{
    struct kur__batch *batch = &relay->batches[0];
    kur_error error = {0};
    int64_t number = 0;
    bool maybe = false;
    kur_status status = has_changed(relay, &number, &maybe, &error);
    kur__batch_aim(relay, batch, -1);
    if (status == KUR_OK && maybe)
        status = kur__batch_read(relay, batch, &error);
    if (status != KUR_OK)
        return go_on_after(relay, "the outbox could not be read", &error, false);
    relay->failures = 0;
    if (maybe && batch->count > 0) {
        relay->has_backlog = batch->count >= (size_t)relay->options.batch_rows / 2 && relay->shard_count > 1;
        return send_batch(relay, batch);
    }
    if (maybe && batch->is_whole) {
        relay->changes = number;
        relay->changes_till_us = in_ms(BELIEVE_MS);
        kur__relay_is_well(relay);
    }
    found_nothing(relay);
    return true;
}

static bool turn(kur_relay *relay)
{
    kur_error error = {0};
    bool is_settled = true;
    if (connect(relay, &error) != KUR_OK)
        return go_on_after(relay, "no connection to the database", &error, false);
    if (!keep(relay))
        return false;
    for (int i = 0; i < 2 && is_settled && relay->connection != NULL; i++)
        if (!settle(relay, &relay->batches[i], &is_settled))
            return false;
    if (relay->connection == NULL || !is_settled)
        return true;
    if (relay->shard_count == 0)
        found_nothing(relay);
    if (kur_clock_monotonic_us() < relay->next_look_us || atomic_load(&relay->stops)) {
        idle(relay);
        return true;
    }
    if (!relay->has_backlog)
        return look(relay);
    relay->has_backlog = false;
    return drain(relay);
}

static bool start(kur_relay *relay)
{
    while (!atomic_load(&relay->stops)) {
        kur_error error = {0};
        if (relay->courier->start(relay, &error) == KUR_OK)
            return true;
        if (!go_on_after(relay, "it cannot start yet", &error, true))
            return false;
    }
    return false;
}

static bool is_unsettled(const kur_relay *relay)
{
    return relay->batches[0].is_unsettled || relay->batches[1].is_unsettled;
}

/* What was sent is deleted, if there is time. */
static void settle_last(kur_relay *relay)
{
    kur_error error = {0};
    int64_t until_us = in_ms(LAST_MS);
    while (is_unsettled(relay)) {
        if (connect(relay, &error) == KUR_OK && kur__batch_settle(relay, &relay->batches[0], &error) == KUR_OK &&
            kur__batch_settle(relay, &relay->batches[1], &error) == KUR_OK)
            return;
        bool has_deadline = atomic_load(&relay->stop_by_us) != INT64_MAX;
        if (has_deadline ? kur__relay_is_out_of_time(relay) : kur_clock_monotonic_us() >= until_us)
            break;
        struct pollfd nothing = {.fd = -1};
        poll(&nothing, 1, RETRY_FIRST_MS);
    }
    if (is_unsettled(relay))
        kur_client_log(relay->outbox->client, KUR_LOG_WARNING,
                       "outbox relay %s: what was sent last could not be deleted: %s", relay->options.name,
                       error.message);
}

void *kur__relay_run(void *user)
{
    kur_relay *relay = user;
    kur__relay_tell_running(relay, true);
    bool goes_on = start(relay);
    while (goes_on && !atomic_load(&relay->stops))
        goes_on = turn(relay);
    settle_last(relay);
    kur__hand_free(relay);
    relay->courier->end(relay);
    kur__targets_free(relay);
    disconnect(relay);
    kur__relay_tell_shards(relay, 0, 0);
    kur__relay_tell_running(relay, false);
    atomic_store(&relay->has_ended, true);
    eventfd_write(relay->done, 1);
    return NULL;
}
