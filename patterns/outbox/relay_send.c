/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * At least once: shards by leases in the database, rows by idempotent producers that never give one up.
 *
 * Design notes
 *
 * Leases. One counts from before it was asked for, by this process's clock, so that it is over here before it is over
 * in the database. While a batch waits for a broker nothing is renewed: a relay that cannot send lets those have the
 * shards that can. What it has sent by then may be sent again by them; the first time that each row is seen is in order
 * all the same, for both send in order all that was there.
 *
 * Two producers. Rows go together by one that is gapless: when the broker refuses what it should have taken (the
 * topic's limit or the rights were changed a moment ago) that one is at its end, and nothing behind the refused record
 * gets into its partition; another is made, and what was not acknowledged is sent again, with all of its key that got
 * there before it. Rows that go alone, whose refusal is expected, go by the scout, and never while anything else is on
 * its way; so their order is kept between the two. Nothing is on its way from one batch to the next.
 *
 * Two rows of a key are on their way together only where that helps: to one partition, and when it has acknowledged
 * this producer before (of one that it does not know a broker takes any sequence number first, and so what is behind a
 * refused record: KAFKA-15591). Else the later one waits until all that was handed over has its answer, and goes in
 * the batch's next wave. Waves are as many as keys change their places.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/crash.h"
#include "outbox/relay.h"

enum {
    SLICE_MS = 100,
    QUEUE_KBYTES = 128 * 1024, /* one record of RECORD_BYTES has room */
    FAILED_MS = 2000,          /* a producer that has failed is given that long for what it still holds */
    TELL_FIRST_MS = 3000,      /* nothing came: then it is told, */
    TELL_MS = 10000,           /* and again */
    REMEMBERED_MS = 3600000    /* how long brokers know a producer that is silent, at least */
};

#define RECORD_BYTES 100000000

struct sender {
    kur_producer *gapless, *scout; /* NULL: to be made */
    int batch_bytes;               /* of the first */
    int64_t made_us;               /* when that was */
    kur_arena *arena;              /* for one message */
    int64_t next_claim_us, lease_end_us;
    int64_t send_until_us;  /* the last third of a lease is for what is under way by then */
    int64_t known_since_us; /* a partition that has acknowledged the gapless one since then knows it */

    /* While a batch is sent. */
    struct kur__batch *batch;
    size_t waiting;                /* rows whose result has not come */
    bool is_alone;                 /* the one row */
    bool has_failed;               /* nothing else is sent */
    bool is_spent, is_scout_spent; /* a producer is at its end */
    kur_error failure;             /* the first; KUR_OK when rows were refused alone */
};

/* ---- Start, end ---- */

static kur_status make_producer(kur_relay *relay, kur_producer **producer, int batch_bytes, bool is_gapless,
                                kur_error *error)
{
    if (*producer != NULL)
        return KUR_OK;
    int queue_kbytes = QUEUE_KBYTES + relay->options.batch_kbytes * 2;
    *producer = kur_producer_new(relay->outbox->client,
                                 &KUR_PRODUCER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .linger_ms = KUR_NONE,
                                                       .queue_wait_ms = KUR_NONE, .delivery_timeout_ms = KUR_NONE,
                                                       .queue_records = relay->options.batch_rows + 1,
                                                       .queue_kbytes = queue_kbytes, .record_bytes = RECORD_BYTES,
                                                       .batch_bytes = batch_bytes, .gapless = is_gapless),
                                 error);
    return *producer != NULL ? KUR_OK : error->code;
}

static void free_producer(kur_producer **producer)
{
    kur_producer_free(*producer);
    *producer = NULL;
}

static kur_status start(kur_relay *relay, kur_error *error)
{
    struct sender *sender = relay->courier_state;
    if (sender == NULL)
        sender = relay->courier_state = kur_calloc(1, sizeof *sender);
    if (sender == NULL || (sender->arena == NULL && (sender->arena = kur_arena_new()) == NULL))
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a relay");
    return make_producer(relay, &sender->scout, 0, false, error);
}

static kur_status claim(kur_relay *relay, bool ends, int32_t *shards, size_t *count, kur_error *error)
{
    kur_outbox_claim claim = {.size = sizeof claim,
                              .relay = relay->options.name,
                              .guarantee = KUR_AT_LEAST_ONCE,
                              .lease_ms = relay->options.lease_ms,
                              .takes_shards = true,
                              .ends = ends};
    return relay->outbox->driver->outbox_claim(relay->connection, &claim, shards, count, error);
}

static void end(kur_relay *relay)
{
    struct sender *sender = relay->courier_state;
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    size_t count = 0;
    kur_error ignored;
    if (sender == NULL)
        return;
    if (relay->connection != NULL && sender->next_claim_us > 0)
        claim(relay, true, shards, &count, &ignored);
    free_producer(&sender->gapless);
    free_producer(&sender->scout);
    kur_arena_free(sender->arena);
    kur_free(sender);
    relay->courier_state = NULL;
}

/* ---- Owning ---- */

static kur_status own(kur_relay *relay, kur_error *error)
{
    struct sender *sender = relay->courier_state;
    int64_t now_us = kur_clock_monotonic_us(), lease_us = relay->options.lease_ms * INT64_C(1000);
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    size_t count = 0;
    if (now_us >= sender->lease_end_us)
        kur__relay_own(relay, NULL, 0);
    if (now_us < sender->next_claim_us)
        return KUR_OK;
    kur_status status = claim(relay, false, shards, &count, error);
    if (status != KUR_OK)
        return kur__relay_checked(relay, status, error);
    KUR__CRASH_POINT("outbox-claimed");
    sender->next_claim_us = now_us + lease_us / 3;
    sender->lease_end_us = now_us + lease_us;
    sender->send_until_us = sender->lease_end_us - lease_us / 3;
    kur__relay_own(relay, shards, count);
    return KUR_OK;
}

/* ---- Results ---- */

static void fail(struct sender *sender, const kur_error *why)
{
    sender->has_failed = true;
    if (sender->failure.code == KUR_OK)
        sender->failure = *why;
}

static void note_end(struct sender *sender, const kur_error *error)
{
    bool *is_spent = sender->is_alone ? &sender->is_scout_spent : &sender->is_spent;
    *is_spent |= error->fatal;
}

static void on_result(const kur_result *result, void *user)
{
    struct kur__batch_row *row = user;
    struct sender *sender = row->relay->courier_state;
    kur_error error = {0};
    sender->waiting--;
    if (result->status == KUR_DELIVERED) {
        if (!row->is_held) /* else one of its key before it is missing: it comes behind that once more */
            row->state = KUR__ROW_SENT;
        kur__target_accepted(row, result->partition, sender->is_alone);
        return;
    }
    note_end(sender, &result->error);
    if (kur__target_failed(sender->batch, row, &result->error, sender->is_alone, &error) != KUR_OK)
        fail(sender, &error);
    if (row->state != KUR__ROW_WAITS)
        return;
    fail(sender, &result->error);
    if (!row->is_held)
        kur__batch_hold(row);
}

/* With a producer's own words for why nothing comes. */
static void tell_waiting(kur_relay *relay, kur_producer *producer)
{
    kur_error why = {0};
    if (kur_producer_flush(producer, 0, &why) != KUR_OK)
        kur__relay_failed(relay, "nothing was acknowledged for a while", &why);
}

/* A producer that comes to its end may keep a record for good, for here none times out. */
static bool is_stuck(const struct sender *sender, int64_t since_us)
{
    return sender->has_failed && kur_clock_monotonic_us() - since_us > FAILED_MS * INT64_C(1000);
}

/* Until everything has its result; when the relay is out of time, or has failed, the producer is given up. */
static void await(kur_relay *relay, kur_producer **producer)
{
    struct sender *sender = relay->courier_state;
    int64_t moved_us = kur_clock_monotonic_us(), tell_us = moved_us + TELL_FIRST_MS * INT64_C(1000);
    size_t before = sender->waiting;
    while (sender->waiting > 0 && !kur__relay_is_out_of_time(relay) && !is_stuck(sender, moved_us)) {
        kur_producer_dispatch(*producer, SLICE_MS, NULL, NULL);
        int64_t now_us = kur_clock_monotonic_us();
        if (sender->waiting != before) {
            moved_us = now_us;
            tell_us = now_us + TELL_FIRST_MS * INT64_C(1000);
        }
        before = sender->waiting;
        if (sender->waiting == 0 || now_us < tell_us)
            continue;
        tell_waiting(relay, *producer);
        tell_us = now_us + TELL_MS * INT64_C(1000);
    }
    if (sender->waiting > 0)
        free_producer(producer); /* which hands out what is left */
    sender->waiting = 0;
}

/* ---- Sending ---- */

/* A row that cannot be sent as it is; of others its key has nothing to fear. */
static bool is_the_rows_fault(kur_status status)
{
    return status == KUR_ERROR_TOO_LARGE || status == KUR_ERROR_INVALID_ARGUMENT || status == KUR_ERROR_SYNTAX;
}

static kur_status produce(struct sender *sender, kur_producer *producer, struct kur__batch_row *row, kur_error *error)
{
    kur_message message = KUR_MESSAGE(0);
    kur_arena_reset(sender->arena);
    kur_status status = kur__outbox_message(&row->row, sender->arena, &message, error);
    message.on_result = on_result;
    message.user = row;
    message.verbatim = true;
    if (status == KUR_OK)
        status = kur_producer_send(producer, &message, error);
    sender->waiting += status == KUR_OK;
    return status;
}

static void send_row(kur_relay *relay, kur_producer *producer, struct kur__batch_row *row)
{
    struct sender *sender = relay->courier_state;
    kur_error error = {0};
    kur_status status;
    while ((status = produce(sender, producer, row, &error)) == KUR_ERROR_QUEUE_FULL &&
           !kur__relay_is_out_of_time(relay) && !sender->has_failed)
        kur_producer_dispatch(producer, SLICE_MS, NULL, NULL);
    if (status == KUR_OK)
        return;
    note_end(sender, &error);
    if (is_the_rows_fault(status))
        status = kur__batch_refuse(sender->batch, row, error.message, &error);
    else
        status = kur__target_failed(sender->batch, row, &error, sender->is_alone, &error);
    if (status != KUR_OK || row->state == KUR__ROW_WAITS)
        fail(sender, &error);
}

static void send_alone(kur_relay *relay, struct kur__batch_row *row)
{
    struct sender *sender = relay->courier_state;
    kur_error error = {0};
    await(relay, &sender->gapless);
    if (kur__target_refuse(sender->batch, row, &error) != KUR_OK)
        fail(sender, &error);
    if (sender->has_failed || row->state != KUR__ROW_WAITS || kur__relay_is_out_of_time(relay))
        return;
    sender->is_alone = true;
    send_row(relay, sender->scout, row);
    await(relay, &sender->scout);
    sender->is_alone = false;
}

/*
 * Whether the next row of a key may be on its way together with this one. If this one were refused, that one must not
 * get there: the gapless producer sees to it in one partition, where the broker knows it.
 */
static bool may_follow(const struct sender *sender, const struct kur__batch_row *row, const struct kur__batch_row *next)
{
    bool has_gone = row->state != KUR__ROW_WAITS;
    return has_gone || (next->target == row->target && next->row.partition == row->row.partition &&
                        kur__target_has_met(row, sender->known_since_us));
}

/* Whatever makes a row wait ends a batch: what comes behind it is read again with it. */
static bool goes_on(kur_relay *relay)
{
    const struct sender *sender = relay->courier_state;
    return !sender->has_failed && !kur__relay_is_out_of_time(relay) && kur_clock_monotonic_us() < sender->send_until_us;
}

/* Hands over what may be on its way together; whether something is left that had to wait for that. */
static bool hand_over(kur_relay *relay, struct kur__batch *batch)
{
    struct sender *sender = relay->courier_state;
    bool leaves_some = false;
    for (size_t i = 0; i < batch->count && goes_on(relay); i++) {
        struct kur__batch_row *row = &batch->rows[i], *next = row->behind;
        bool is_left = row->goes_later;
        if (row->state != KUR__ROW_WAITS || row->is_held)
            continue;
        row->goes_later = false;
        leaves_some |= is_left;
        if (!is_left && kur__target_wants_alone(row))
            send_alone(relay, row);
        else if (!is_left)
            send_row(relay, sender->gapless, row);
        if (next != NULL)
            next->goes_later = is_left || !may_follow(sender, row, next);
    }
    return leaves_some;
}

static void send_rows(kur_relay *relay, struct kur__batch *batch)
{
    struct sender *sender = relay->courier_state;
    bool leaves_some;
    do {
        leaves_some = hand_over(relay, batch);
        KUR__CRASH_POINT("outbox-produced");
        await(relay, &sender->gapless);
        KUR__CRASH_POINT("outbox-acknowledged");
    } while (leaves_some && goes_on(relay));
}

/* The producers as they are needed: not spent, and with batches that all topics take. */
static kur_status get_ready(kur_relay *relay, kur_error *error)
{
    struct sender *sender = relay->courier_state;
    int batch_bytes = kur__targets_batch_bytes(relay);
    if (sender->is_spent || batch_bytes != sender->batch_bytes)
        free_producer(&sender->gapless);
    if (sender->gapless == NULL)
        sender->made_us = kur_clock_monotonic_us();
    sender->is_spent = false;
    sender->batch_bytes = batch_bytes;
    int64_t remembered_us = kur_clock_monotonic_us() - REMEMBERED_MS * INT64_C(1000);
    sender->known_since_us = sender->made_us > remembered_us ? sender->made_us : remembered_us;
    return make_producer(relay, &sender->gapless, batch_bytes, true, error);
}

static kur_status send(kur_relay *relay, struct kur__batch *batch, kur_error *error)
{
    struct sender *sender = relay->courier_state;
    sender->batch = batch;
    sender->has_failed = false;
    sender->failure = (kur_error){0};
    if (sender->is_scout_spent)
        free_producer(&sender->scout);
    sender->is_scout_spent = false;
    kur_status status = make_producer(relay, &sender->scout, 0, false, error);
    if (status == KUR_OK)
        status = kur__targets_screen(relay, sender->scout, batch, error);
    if (status == KUR_OK)
        status = get_ready(relay, error);
    if (status != KUR_OK)
        return status;
    send_rows(relay, batch);
    if (sender->failure.code != KUR_OK)
        kur__relay_failed(relay, "rows were not taken", &sender->failure);
    return KUR_OK;
}

const struct kur__courier kur__courier_at_least_once = {start, own, send, end};
