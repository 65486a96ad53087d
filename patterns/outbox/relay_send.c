/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * At least once: shards by leases in the database, rows by an idempotent producer that never gives one up.
 *
 * Design notes. A lease counts from before it was asked for, by this process's clock, so that it is over here before it
 * is over in the database. While a batch waits for a broker nothing is renewed: a relay that cannot send lets those
 * have the shards that can. What it has sent by then may be sent again by them; the first time that each row is seen is
 * in order all the same, for both send in order all that was there.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "listener/crash.h"
#include "outbox/relay.h"

enum {
    SLICE_MS = 100,
    QUEUE_KBYTES = 65536
};

#define RECORD_BYTES 100000000

struct sender {
    kur_producer *producer;
    size_t waiting; /* rows whose result has not come */
    kur_arena *arena;
    int64_t next_claim_us, lease_end_us;
};

/* ---- Start, end ---- */

static kur_status make_producer(kur_relay *relay, struct sender *sender, kur_error *error)
{
    int queue_kbytes = QUEUE_KBYTES + relay->options.batch_kbytes * 2;
    sender->producer =
        kur_producer_new(relay->outbox->client,
                         &KUR_PRODUCER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .linger_ms = KUR_NONE,
                                               .queue_wait_ms = KUR_NONE, .delivery_timeout_ms = KUR_NONE,
                                               .queue_kbytes = queue_kbytes, .record_bytes = RECORD_BYTES),
                         error);
    return sender->producer != NULL ? KUR_OK : error->code;
}

static kur_status start(kur_relay *relay, kur_error *error)
{
    struct sender *sender = relay->courier_state;
    if (sender == NULL) {
        sender = relay->courier_state = kur_calloc(1, sizeof *sender);
        if (sender == NULL)
            return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a relay");
    }
    if (sender->arena == NULL && (sender->arena = kur_arena_new()) == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a relay");
    return sender->producer != NULL ? KUR_OK : make_producer(relay, sender, error);
}

static void end(kur_relay *relay)
{
    struct sender *sender = relay->courier_state;
    if (sender == NULL)
        return;
    if (relay->connection != NULL && sender->next_claim_us > 0) {
        kur_outbox_claim claim = {.size = sizeof claim,
                                  .relay = relay->options.name,
                                  .guarantee = KUR_AT_LEAST_ONCE,
                                  .lease_ms = relay->options.lease_ms,
                                  .takes_shards = true,
                                  .ends = true};
        int32_t shards[KUR_OUTBOX_SHARDS_MAX];
        size_t count = 0;
        kur_error ignored;
        relay->outbox->driver->outbox_claim(relay->connection, &claim, shards, &count, &ignored);
    }
    kur_producer_free(sender->producer);
    kur_arena_free(sender->arena);
    kur_free(sender);
    relay->courier_state = NULL;
}

/* ---- Owning ---- */

static kur_status own(kur_relay *relay, int timeout_ms, kur_error *error)
{
    struct sender *sender = relay->courier_state;
    int64_t now_us = kur_clock_monotonic_us(), lease_us = relay->options.lease_ms * INT64_C(1000);
    (void)timeout_ms;
    if (now_us >= sender->lease_end_us)
        kur__relay_own(relay, NULL, 0, false);
    if (now_us < sender->next_claim_us)
        return KUR_OK;
    kur_outbox_claim claim = {.size = sizeof claim,
                              .relay = relay->options.name,
                              .guarantee = KUR_AT_LEAST_ONCE,
                              .lease_ms = relay->options.lease_ms,
                              .takes_shards = true};
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    size_t count = 0;
    kur_status status = relay->outbox->driver->outbox_claim(relay->connection, &claim, shards, &count, error);
    if (status != KUR_OK)
        return kur__relay_checked(relay, status, error);
    KUR__CRASH_POINT("outbox-claimed");
    sender->next_claim_us = now_us + lease_us / 3;
    sender->lease_end_us = now_us + lease_us;
    kur__relay_own(relay, shards, count, false);
    return KUR_OK;
}

/* ---- Sending ---- */

static void on_result(const kur_result *result, void *user)
{
    struct kur__batch_row *row = user;
    struct sender *sender = row->relay->courier_state;
    sender->waiting--;
    if (result->status == KUR_DELIVERED)
        row->state = KUR__ROW_SENT;
}

static kur_status produce(struct sender *sender, struct kur__batch_row *row, kur_error *error)
{
    kur_message message = KUR_MESSAGE(0);
    kur_arena_reset(sender->arena);
    kur_status status = kur__outbox_message(&row->row, sender->arena, &message, error);
    message.on_result = on_result;
    message.user = row;
    message.verbatim = true;
    if (status == KUR_OK)
        status = kur_producer_send(sender->producer, &message, error);
    sender->waiting += status == KUR_OK;
    return status;
}

static kur_status send(kur_relay *relay, struct kur__batch *batch, kur_error *error)
{
    struct sender *sender = relay->courier_state;
    kur_status status = KUR_OK;
    for (size_t i = 0; i < batch->count && status == KUR_OK; i++) {
        if (batch->rows[i].state != KUR__ROW_WAITS)
            continue;
        while ((status = produce(sender, &batch->rows[i], error)) == KUR_ERROR_QUEUE_FULL &&
               !kur__relay_is_out_of_time(relay))
            kur_producer_dispatch(sender->producer, SLICE_MS, NULL, NULL);
    }
    KUR__CRASH_POINT("outbox-produced");
    while (sender->waiting > 0 && !kur__relay_is_out_of_time(relay))
        kur_producer_dispatch(sender->producer, SLICE_MS, NULL, NULL);
    KUR__CRASH_POINT("outbox-acknowledged");
    return status;
}

const struct kur__courier kur__courier_at_least_once = {start, own, send, end};
