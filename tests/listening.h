/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What tests of the listener share.
 */
#ifndef KURIER_TESTS_LISTENING_H
#define KURIER_TESTS_LISTENING_H

#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "check_main.h"
#include "support.h"

enum {
    WAIT_MS = 120000
};

KUR__UNUSED static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

KUR__UNUSED static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

KUR__UNUSED static void send_text(kur_client *client, const char *topic, int32_t partition, const char *key,
                                  const char *value)
{
    kur_error error = {0};
    kur_message message = KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(partition));
    if (key != NULL)
        message.key = kur_bytes_text(key);
    if (value != NULL)
        message.value = kur_bytes_text(value);
    ck_ok(kur_producer_send(kur_client_producer(client, &error), &message, &error), error);
}

KUR__UNUSED static void flush(kur_client *client)
{
    kur_error error = {0};
    ck_ok(kur_producer_flush(kur_client_producer(client, &error), WAIT_MS, &error), error);
}

KUR__UNUSED static kur_listener *make(kur_client *client, kur_listener_options *options, const char *topic,
                                      const char *group, kur_record_handler *handler, void *user)
{
    kur_error error = {0};
    const char *topics[] = {topic, NULL};
    options->topics = topics;
    options->group = group;
    options->user = user;
    /* On a slow day a member may not be heard when it leaves, and whoever comes next waits until it is missed. */
    if (options->session_timeout_ms == 0 && options->audience != KUR_BROADCAST &&
        options->protocol == KUR_GROUP_CLASSIC)
        options->session_timeout_ms = 10000;
    /* What a rejected record shows here; topics of a listener's own have tests of theirs. */
    if (options->on_rejected == NULL && options->retry_topics == NULL && options->dead_letters == KUR_DEAD_LETTERS)
        options->dead_letters = KUR_REJECTED_STOPS;
    kur_listener *listener = kur_listener_new(client, options, &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    if (handler != NULL)
        ck_ok(kur_listener_on_record(listener, handler, user), error);
    return listener;
}

KUR__UNUSED static kur_listener *listen(kur_client *client, kur_listener_options *options, const char *topic,
                                        const char *group, kur_record_handler *handler, void *user)
{
    kur_error error = {0};
    kur_listener *listener = make(client, options, topic, group, handler, user);
    ck_ok(kur_listener_start(listener, &error), error);
    return listener;
}

/* What a group has committed of a partition; the text beside it is in the arena. */
KUR__UNUSED static kur_position group_position(kur_client *client, const char *group, const char *topic,
                                               int32_t partition, kur_arena *arena)
{
    kur_error error = {0};
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = group), &error);
    kur_position position = KUR_POSITION(.topic = topic, .partition = partition);
    ck_ok(kur_consumer_committed(consumer, &position, arena, WAIT_MS, &error), error);
    kur_consumer_free(consumer);
    return position;
}

KUR__UNUSED static kur_listener_health health_of(kur_listener *listener)
{
    kur_error error = {0};
    kur_listener_health health = KUR_LISTENER_HEALTH();
    ck_ok(kur_listener_health_get(listener, &health, &error), error);
    return health;
}

KUR__UNUSED static bool wait_for(kur_listener *listener,
                                 bool (*is_so)(const kur_listener_health *health, int64_t wanted), int64_t wanted)
{
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(10)) {
        kur_listener_health health = health_of(listener);
        if (is_so(&health, wanted))
            return true;
    }
    kur_listener_health health = health_of(listener);
    fprintf(
        stderr,
        "# waited in vain for %lld: %lld handled, %lld finished, %lld rejected, %lld held, %d running, %d assigned, "
        "%lld rebalances, %lld lost, stalled for %lld ms\n",
        (long long)wanted, (long long)health.handled, (long long)health.finished, (long long)health.rejected,
        (long long)health.held, health.running, health.assigned, (long long)health.rebalances, (long long)health.lost,
        (long long)health.stalled_ms);
    return false;
}

KUR__UNUSED static bool has_finished(const kur_listener_health *health, int64_t wanted)
{
    return health->finished >= wanted;
}

KUR__UNUSED static bool has_handled(const kur_listener_health *health, int64_t wanted)
{
    return health->handled >= wanted;
}

KUR__UNUSED static bool has_rejected(const kur_listener_health *health, int64_t wanted)
{
    return health->rejected >= wanted;
}

KUR__UNUSED static bool is_assigned(const kur_listener_health *health, int64_t wanted)
{
    return health->assigned == wanted;
}

KUR__UNUSED static kur_outcome count_one(kur_delivery *delivery, void *user)
{
    atomic_int *count = user;
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    if (value.size == 6 && memcmp(value.data, "reject", 6) == 0)
        return kur_reject(delivery, "test.never", "never");
    ++*count;
    return KUR_DONE;
}

#endif
