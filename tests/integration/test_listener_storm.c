/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Everything at once, for ThreadSanitizer above all: many workers, tickets finished by other threads, partitions
 * sought, pauses, readers of the health, and a stop in the midst of it. What comes after has to find everything.
 */
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../listening.h"
#include "../support.h"

enum {
    PARTITIONS = 3,
    RECORDS = 3000,
    KEYS = 50,
    STORM_MS = 1500,
    TICKETS = 4096
};

struct storm {
    kur_listener *listener;
    const char *topic;
    atomic_int handled[RECORDS];
    atomic_int beside, running[KEYS];
    atomic_bool calm, is_stopping, over; /* nobody disturbs; a stop was asked for; threads end */
    pthread_mutex_t lock;                /* guards tickets */
    kur_ticket tickets[TICKETS];
    int count;
    atomic_int finished, stale, sought, refused, asked;
};

static kur_outcome weather(kur_delivery *delivery, void *user)
{
    struct storm *storm = user;
    kur_error error = {0};
    char text[16] = "";
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    memcpy(text, value.data, value.size < sizeof text ? value.size : sizeof text - 1);
    int number = atoi(text), key = number % KEYS;
    storm->beside += storm->running[key]++ > 0;
    bool is_current = kur_delivery_is_current(delivery);
    if (number % 16 == 3)
        nap(1);
    storm->running[key]--;
    storm->handled[number]++;
    if (number % 7 == 0 && kur_delivery_attempt(delivery) == 1 && !storm->calm)
        return kur_retry_after(delivery, 1 + number % 5, "test.storm", "current: %d", is_current);
    if (number % 3 != 0 || storm->calm)
        return KUR_DONE;
    pthread_mutex_lock(&storm->lock);
    kur_outcome outcome = KUR_DONE;
    if (storm->count < TICKETS && kur_delivery_defer(delivery, &storm->tickets[storm->count], &error) == KUR_OK)
        storm->count++;
    pthread_mutex_unlock(&storm->lock);
    return outcome;
}

static bool take_ticket(struct storm *storm, kur_ticket *ticket)
{
    pthread_mutex_lock(&storm->lock);
    bool has_one = storm->count > 0;
    if (has_one)
        *ticket = storm->tickets[--storm->count];
    pthread_mutex_unlock(&storm->lock);
    return has_one;
}

static void *finish_tickets(void *user)
{
    struct storm *storm = user;
    while (!storm->over) {
        kur_ticket ticket;
        kur_error error = {0};
        if (!take_ticket(storm, &ticket)) {
            nap(1);
            continue;
        }
        kur_status status = kur_ticket_done(ticket, &error);
        storm->finished += status == KUR_OK;
        storm->stale += status == KUR_ERROR_STALE;
        ck_assert(status == KUR_OK || status == KUR_ERROR_STALE);
        ck_status(kur_ticket_done(ticket, &error), KUR_ERROR_STALE, error);
    }
    return NULL;
}

static void *disturb(void *user)
{
    struct storm *storm = user;
    kur_error error = {0};
    for (int i = 0; !storm->over; i++) {
        ck_ok(kur_listener_pause(storm->listener, &error), error);
        nap(i % 3);
        ck_ok(kur_listener_resume(storm->listener, &error), error);
        nap(10);
        if (i % 4 != 0)
            continue;
        /* Backwards only: nothing is to be skipped. A listener that stops takes no more of them. */
        kur_status status = kur_listener_seek(storm->listener, storm->topic, i / 4 % PARTITIONS,
                                              i % 8 == 0 ? KUR_OFFSET_BEGINNING : 0, &error);
        ck_assert_msg(status == KUR_OK || (status == KUR_ERROR_INVALID_STATE && storm->is_stopping), "%s",
                      error.message);
        storm->sought += status == KUR_OK;
        storm->refused += status == KUR_ERROR_INVALID_STATE;
    }
    return NULL;
}

static void *ask(void *user)
{
    struct storm *storm = user;
    while (!storm->over) {
        kur_listener_health health = health_of(storm->listener);
        ck_assert_int_ge(health.held, 0);
        ck_assert_int_ge(health.running, 0);
        if (++storm->asked % 64 == 0)
            nap(1); /* the others need the cores too */
    }
    return NULL;
}

static int count_handled(const struct storm *storm)
{
    int count = 0;
    for (int i = 0; i < RECORDS; i++)
        count += storm->handled[i] > 0;
    return count;
}

START_TEST(test_listener_storm__a_stop_in_the_midst_of_everything_loses_nothing)
{
    static struct storm storm;
    kur_error error = {0};
    memset(&storm, 0, sizeof storm);
    pthread_mutex_init(&storm.lock, NULL);
    kur_client *client = support_client();
    const char *group = support_name("storm");
    storm.topic = support_topic(PARTITIONS);
    for (int i = 0; i < RECORDS; i++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%d", i % KEYS);
        snprintf(value, sizeof value, "%d", i);
        send_text(client, storm.topic, i % KEYS % PARTITIONS, key, value);
    }
    flush(client);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.concurrency = 16, .hold_records = 200, .commit_interval_ms = 20);
    storm.listener = listen(client, &options, storm.topic, group, weather, &storm);
    ck_assert(wait_for(storm.listener, is_assigned, PARTITIONS));
    void *(*const runs[])(void *) = {finish_tickets, finish_tickets, disturb, disturb, ask, ask};
    pthread_t threads[sizeof runs / sizeof *runs];
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, runs[i], &storm), 0);
    nap(STORM_MS);
    ck_assert(support_wait(&storm.finished, 1)); /* each has begun, however slow the day is */
    ck_assert(support_wait(&storm.sought, 1));
    int64_t began_ms = now_ms();
    storm.is_stopping = true;
    ck_ok(kur_listener_stop(storm.listener, WAIT_MS, &error), error);
    ck_assert_int_lt(now_ms() - began_ms, WAIT_MS / 2); /* whoever goes on seeking keeps it from nothing */
    storm.over = true;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        pthread_join(threads[i], NULL);
    kur_listener_free(storm.listener);
    printf("# %d of %d handled, %d tickets, %d stale, %d seeks, %d refused, %d looks\n", count_handled(&storm), RECORDS,
           storm.finished, storm.stale, storm.sought, storm.refused, storm.asked);
    ck_assert_int_gt(storm.finished, 0);
    ck_assert_int_gt(storm.sought, 0);
    /* Whatever the first one has left. */
    storm.calm = true;
    storm.listener = listen(client, &options, storm.topic, group, weather, &storm);
    for (int64_t until_ms = now_ms() + WAIT_MS; count_handled(&storm) < RECORDS && now_ms() < until_ms;)
        nap(10);
    ck_assert_int_eq(count_handled(&storm), RECORDS);
    ck_assert_int_eq(storm.beside, 0);
    ck_ok(kur_listener_stop(storm.listener, WAIT_MS, &error), error);
    kur_listener_free(storm.listener);
    pthread_mutex_destroy(&storm.lock);
    kur_client_unref(client);
}
END_TEST

/* ---- What was handed over when its partition went ---- */

enum {
    EACH = 20 /* records of a partition */
};

struct gate {
    atomic_int begun, late, opened, others;
};

static kur_outcome wait_at_gate(kur_delivery *delivery, void *user)
{
    struct gate *gate = user;
    gate->late += !kur_delivery_is_current(delivery);
    gate->begun++;
    while (!gate->opened)
        nap(1);
    return KUR_DONE;
}

static kur_outcome pass_gate(kur_delivery *delivery, void *user)
{
    struct gate *gate = user;
    (void)delivery;
    gate->others++;
    return KUR_DONE;
}

START_TEST(test_listener_storm__what_no_worker_has_begun_goes_with_its_partition)
{
    static struct gate gate;
    kur_error error = {0};
    memset(&gate, 0, sizeof gate);
    kur_client *client = support_client();
    const char *topic = support_topic(2), *group = support_name("gate");
    for (int i = 0; i < 2 * EACH; i++)
        send_text(client, topic, i % 2, NULL, "x");
    flush(client);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.concurrency = 4, .order = KUR_UNORDERED, .drain_ms = 100,
                                                        .session_timeout_ms = support_is_real() ? 6000 : 3000);
    kur_listener *first = listen(client, &options, topic, group, wait_at_gate, &gate);
    ck_assert(support_wait(&gate.begun, 4)); /* and as many wait in front of the workers */
    kur_listener *second = listen(client, &options, topic, group, pass_gate, &gate);
    ck_assert(support_wait(&gate.others, EACH));
    gate.opened = 1;
    ck_assert(wait_for(first, has_finished, EACH));
    ck_ok(kur_listener_stop(first, WAIT_MS, &error), error);
    ck_ok(kur_listener_stop(second, WAIT_MS, &error), error);
    ck_assert_int_eq(gate.late, 0);
    kur_listener_free(first);
    kur_listener_free(second);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_storm__a_stop_in_the_midst_of_everything_loses_nothing,
        test_listener_storm__what_no_worker_has_begun_goes_with_its_partition,
        NULL,
    };
    int status = check_main("listener_storm", tests);
    support_stop();
    return status;
}
