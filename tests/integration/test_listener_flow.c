/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Back pressure, and who waits for whom: a handler that does not return holds up its own order alone, what is held
 * stays within its bound, and what was fetched is not fetched again.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../listening.h"

enum {
    RECORDS = 2000,
    HOLD = 100,
    LARGE = 1000, /* bytes */
    NAP_US = 200
};

/* A handler that meets `stops_at` stays until it is let go. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *stops_at;
    atomic_bool is_inside;
    bool is_open;
    atomic_int handled;
    int nap_us;
};

static void gate_init(struct gate *gate, const char *stops_at)
{
    *gate = (struct gate){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .stops_at = stops_at};
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->is_open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

static bool is_text(kur_bytes bytes, const char *text)
{
    return text != NULL && bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static kur_outcome pass(kur_delivery *delivery, void *user)
{
    struct gate *gate = user;
    if (is_text(kur_record_value(kur_delivery_record(delivery)), gate->stops_at)) {
        pthread_mutex_lock(&gate->lock);
        gate->is_inside = true;
        while (!gate->is_open)
            pthread_cond_wait(&gate->changed, &gate->lock);
        pthread_mutex_unlock(&gate->lock);
    }
    if (gate->nap_us > 0)
        nanosleep(&(struct timespec){.tv_nsec = gate->nap_us * 1000L}, NULL);
    atomic_fetch_add(&gate->handled, 1);
    return KUR_DONE;
}

static void send_numbers(kur_client *client, const char *topic, int32_t partition, int count)
{
    char text[32];
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%d", i);
        send_text(client, topic, partition, text, text);
    }
    flush(client);
}

static void stop(kur_listener *listener)
{
    kur_error error = {0};
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
}

START_TEST(test_listener_flow__a_handler_that_stays_holds_up_no_other_key)
{
    static struct gate gate;
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    gate_init(&gate, "7");
    send_numbers(client, topic, 0, RECORDS);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 4), topic, support_name("g"), pass, &gate);
    ck_assert_msg(wait_for(listener, has_finished, RECORDS - 1), "%d of %d", gate.handled, RECORDS - 1);
    for (int64_t until_ms = now_ms() + WAIT_MS;
         !gate.is_inside && now_ms() < until_ms;) /* its worker has it, and may be slow */
        nap(1);
    ck_assert(gate.is_inside);
    ck_assert_int_eq(health_of(listener).running, 1);
    gate_open(&gate);
    ck_assert(wait_for(listener, has_finished, RECORDS));
    stop(listener);
    ck_assert_int_eq(gate.handled, RECORDS);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_flow__a_full_partition_leaves_the_others_their_share)
{
    static struct gate gate;
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    gate_init(&gate, "stays");
    send_text(client, topic, 0, NULL, "stays");
    send_numbers(client, topic, 0, RECORDS);
    send_numbers(client, topic, 1, RECORDS);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .order = KUR_ORDER_BY_PARTITION, .hold_records = HOLD),
               topic, support_name("g"), pass, &gate);
    int64_t most = 0;
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms && gate.handled < RECORDS; nap(1)) {
        int64_t held = health_of(listener).held;
        most = held > most ? held : most;
    }
    ck_assert_int_eq(gate.handled, RECORDS); /* of the other partition all */
    ck_assert_int_le(most, HOLD * 11 / 10);
    gate_open(&gate);
    ck_assert(wait_for(listener, has_finished, 2 * RECORDS + 1));
    stop(listener);
    ck_assert_int_eq(gate.handled, 2 * RECORDS + 1);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_flow__fetches_nothing_twice_for_slow_handlers)
{
    static struct gate gate;
    char value[LARGE + 1];
    /* A fetch ends in the middle of a batch, and what it has of that comes again: of large ones, as a busy machine
     * makes them, that is much. */
    const kur_property small_batches[] = {{"batch.num.messages", "8"}, {NULL, NULL}};
    kur_client *client = support_client_with(small_batches);
    const char *topic = support_topic(2);
    gate_init(&gate, NULL);
    gate.nap_us = NAP_US;
    memset(value, 'x', LARGE);
    value[LARGE] = '\0';
    for (int i = 0; i < RECORDS; i++)
        send_text(client, topic, i % 2, NULL, value);
    flush(client);
    int64_t before = support_received_bytes();
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .hold_records = HOLD), topic,
                                    support_name("g"), pass, &gate);
    ck_assert(wait_for(listener, has_finished, RECORDS));
    int64_t received = support_received_bytes() - before;
    ck_assert_int_ge(received, RECORDS * LARGE);
    /* What a rebalance has taken away, on a slow day, comes again, and that is no matter of flow. */
    int64_t rebalances = health_of(listener).rebalances;
    ck_assert_msg(received <= RECORDS * LARGE * 5 / 4 * (1 + rebalances), "%lld bytes, %lld rebalances",
                  (long long)received, (long long)rebalances);
    stop(listener);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_flow__a_handler_that_stays_holds_up_no_other_key,
        test_listener_flow__a_full_partition_leaves_the_others_their_share,
        test_listener_flow__fetches_nothing_twice_for_slow_handlers,
        NULL,
    };
    return check_main("listener_flow", tests);
}
