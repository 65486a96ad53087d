/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How a relay is: told by its thread, under a lock that nobody holds for longer than a copy takes.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/log.h>
#include <kurier/sys/options.h>
#include <stdio.h>
#include <string.h>

#include "outbox/relay.h"

enum {
    WARN_US = 10 * 1000 * 1000
};

static const int64_t bounds_us[KUR_RELAY_LATENCY_BUCKETS] = {1000,    2000,     5000,     10000,    15000,   25000,
                                                             50000,   100000,   250000,   500000,   1000000, 2500000,
                                                             5000000, 10000000, 30000000, INT64_MAX};

int64_t kur_relay_latency_bound_us(int bucket)
{
    return bucket < 0 ? 0 : bounds_us[bucket < KUR_RELAY_LATENCY_BUCKETS ? bucket : KUR_RELAY_LATENCY_BUCKETS - 1];
}

/* ---- Told by the thread ---- */

/* What was cut in the middle of a character ends before it. */
static void mend(char *text)
{
    size_t size = strlen(text);
    for (int i = 0; i < 4 && size > 0 && !kur_bytes_is_utf8(kur_bytes_of(text, size)); i++)
        text[--size] = '\0';
}

void kur__relay_failed(kur_relay *relay, const char *what, const kur_error *error)
{
    int64_t now_us = kur_clock_monotonic_us();
    pthread_mutex_lock(&relay->lock);
    relay->health.failures++;
    snprintf(relay->health.failure, sizeof relay->health.failure, "%.60s: %.190s", what, error->message);
    mend(relay->health.failure);
    if (relay->failing_since_us == 0)
        relay->failing_since_us = now_us;
    int64_t failures = relay->health.failures;
    pthread_mutex_unlock(&relay->lock);
    if (now_us < relay->next_warning_us)
        return;
    relay->next_warning_us = now_us + WARN_US;
    kur_client_log(relay->outbox->client, KUR_LOG_WARNING,
                   "outbox relay %s: %s, and will be tried again (%lld failures since the start): %s",
                   relay->options.name, what, (long long)failures, error->message);
}

void kur__relay_is_well(kur_relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    relay->failing_since_us = 0;
    pthread_mutex_unlock(&relay->lock);
}

void kur__relay_tell_shards(kur_relay *relay, size_t count, size_t came)
{
    pthread_mutex_lock(&relay->lock);
    relay->health.shards = (int)count;
    relay->health.takeovers += (int64_t)came;
    pthread_mutex_unlock(&relay->lock);
}

void kur__relay_tell_running(kur_relay *relay, bool is_running)
{
    pthread_mutex_lock(&relay->lock);
    relay->health.is_running = is_running;
    pthread_mutex_unlock(&relay->lock);
}

static int bucket_of(int64_t took_us)
{
    int bucket = 0;
    while (took_us > bounds_us[bucket])
        bucket++;
    return bucket;
}

void kur__relay_sent(kur_relay *relay, const struct kur__batch *batch)
{
    int64_t now_us = kur_clock_now_us(), sent = 0, waiting = 0;
    int64_t latency[KUR_RELAY_LATENCY_BUCKETS] = {0};
    for (size_t i = 0; i < batch->count; i++) {
        const struct kur__batch_row *row = &batch->rows[i];
        waiting += row->state == KUR__ROW_WAITS;
        if (row->state != KUR__ROW_SENT)
            continue;
        sent++;
        latency[bucket_of(now_us - row->row.created_us)]++;
    }
    pthread_mutex_lock(&relay->lock);
    relay->health.sent += sent;
    relay->health.batches++;
    relay->health.last_batch = sent;
    for (int i = 0; i < KUR_RELAY_LATENCY_BUCKETS; i++)
        relay->health.latency[i] += latency[i];
    if (sent > 0 || waiting == 0)
        relay->failing_since_us = 0;
    pthread_mutex_unlock(&relay->lock);
}

void kur__relay_settled(kur_relay *relay, size_t repeated, size_t refused)
{
    pthread_mutex_lock(&relay->lock);
    relay->health.repeated += (int64_t)repeated;
    relay->health.refused += (int64_t)refused;
    pthread_mutex_unlock(&relay->lock);
}

static int64_t ms_since(int64_t then_us, int64_t now_us)
{
    return then_us > 0 && then_us < now_us ? (now_us - then_us) / 1000 : 0;
}

void kur__relay_figures(kur_relay *relay, const kur_outbox_figures *figures)
{
    int64_t now_us = kur_clock_now_us();
    pthread_mutex_lock(&relay->lock);
    relay->health.depth = figures->depth;
    relay->health.oldest_ms = ms_since(figures->oldest_us, now_us);
    relay->health.parked = figures->parked;
    relay->health.behind = figures->behind;
    relay->health.blocked = figures->blocked;
    relay->health.floor_ms = ms_since(figures->floor_us, now_us);
    pthread_mutex_unlock(&relay->lock);
}

/* ---- Asked for ---- */

kur_status kur_relay_health_read(kur_relay *relay, kur_relay_health *health, kur_error *error)
{
    if (relay == NULL || health == NULL)
        return kur_error_null(error, relay == NULL ? "relay" : "health");
    int64_t now_us = kur_clock_monotonic_us();
    pthread_mutex_lock(&relay->lock);
    kur_relay_health made = relay->health;
    int64_t since_us = relay->failing_since_us;
    pthread_mutex_unlock(&relay->lock);
    made.size = sizeof made;
    made.failing_ms = since_us > 0 ? (now_us - since_us) / 1000 + 1 : 0;
    kur_options_give(health, &made, sizeof made);
    return KUR_OK;
}
