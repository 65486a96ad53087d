/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's life: going on elsewhere, also over a restart; what it says of itself; signals; and calls where they
 * make no sense.
 */
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../check_main.h"
#include "../listening.h"
#include "../support.h"

enum {
    PARTITIONS = 2
};

static int64_t committed(kur_client *client, const char *group, const char *topic, int32_t partition)
{
    kur_arena *arena = kur_arena_new();
    kur_position position = group_position(client, group, topic, partition, arena);
    ck_assert_ptr_null(position.metadata); /* no ledger is left where nothing is unfinished, or the epoch is new */
    kur_arena_free(arena);
    return position.offset;
}

static void end(kur_listener *listener)
{
    kur_error error = {0};
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
}

static kur_outcome not_yet(kur_delivery *delivery, void *user)
{
    ++*(atomic_int *)user;
    return kur_retry_after(delivery, 600000, "test.not_yet", "not yet");
}

/* ---- Going on elsewhere ---- */

START_TEST(test_listener_life__a_seek_holds_over_a_restart_though_no_record_came)
{
    atomic_int count = 0, later = 0;
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(PARTITIONS), *group = support_name("seek");
    for (int i = 0; i < 100; i++)
        send_text(client, topic, i % PARTITIONS, NULL, "x");
    flush(client);
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .session_timeout_ms = 6000), topic,
                                    group, not_yet, &count);
    ck_assert(wait_for(listener, is_assigned, PARTITIONS));
    ck_assert(support_wait(&count, 2));
    /* Nothing was finished, nothing will come: what is passed over stays passed over. */
    ck_ok(kur_listener_seek(listener, topic, KUR_ALL_PARTITIONS, KUR_OFFSET_END, &error), error);
    end(listener);
    for (int32_t p = 0; p < PARTITIONS; p++)
        ck_assert_int_eq(committed(client, group, topic, p), 50);

    listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .session_timeout_ms = 6000), topic, group,
                      count_one, &later);
    send_text(client, topic, 0, NULL, "x");
    flush(client);
    ck_assert(wait_for(listener, has_finished, 1));
    /* And a replay that has not begun is not over after a restart. */
    ck_ok(kur_listener_pause(listener, &error), error);
    nap(100);
    ck_ok(kur_listener_seek(listener, topic, 0, 30, &error), error);
    ck_ok(kur_listener_seek(listener, topic, 1, KUR_OFFSET_BEGINNING, &error), error);
    end(listener);
    ck_assert_int_eq(later, 1);
    ck_assert_int_eq(committed(client, group, topic, 0), 30);
    ck_assert_int_eq(committed(client, group, topic, 1), 0);
    listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .session_timeout_ms = 6000), topic, group,
                      count_one, &later);
    ck_assert(wait_for(listener, has_finished, 21 + 50));
    end(listener);
    ck_assert_int_eq(later, 1 + 21 + 50);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_life__seeks_to_a_time)
{
    const int64_t start_us = support_hour_ago_us();
    atomic_int count = 0;
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(PARTITIONS), *group = support_name("time");
    for (int i = 0; i < 40; i++) {
        kur_message message =
            KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(i % PARTITIONS), .value = kur_bytes_text("x"),
                        .timestamp_us = start_us + i / PARTITIONS * INT64_C(1000000));
        ck_ok(kur_producer_send(kur_client_producer(client, &error), &message, &error), error);
    }
    flush(client);
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .session_timeout_ms = 6000), topic,
                                    group, count_one, &count);
    ck_assert(wait_for(listener, has_finished, 40));
    if (support_is_real()) { /* the embedded broker finds no time */
        ck_ok(kur_listener_seek_time(listener, topic, KUR_ALL_PARTITIONS, start_us + 15000000, &error), error);
        ck_assert(wait_for(listener, has_finished, 40 + 10));
        ck_ok(kur_listener_seek_time(listener, topic, 1, start_us + 17500000, &error), error);
        ck_assert(wait_for(listener, has_finished, 50 + 2));
        nap(100);
        ck_assert_int_eq(count, 52);
    }
    /* A replay from the beginning is given up for the time after the last record: its end. */
    int before = count;
    ck_ok(kur_listener_pause(listener, &error), error);
    nap(100);
    ck_ok(kur_listener_seek(listener, topic, KUR_ALL_PARTITIONS, KUR_OFFSET_BEGINNING, &error), error);
    ck_ok(kur_listener_seek_time(listener, topic, KUR_ALL_PARTITIONS, start_us + INT64_C(100000000), &error), error);
    ck_ok(kur_listener_resume(listener, &error), error);
    for (int32_t p = 0; p < PARTITIONS; p++)
        send_text(client, topic, p, NULL, "x");
    flush(client);
    end(listener);
    ck_assert_int_le(count, before + PARTITIONS);
    for (int32_t p = 0; p < PARTITIONS; p++)
        ck_assert_int_ge(committed(client, group, topic, p), 20);
    kur_client_unref(client);
}
END_TEST

/* ---- What it says of itself ---- */

static const kur_listener_position *position_of(kur_listener *listener, kur_arena *arena, int32_t partition)
{
    kur_error error = {0};
    kur_listener_position_list positions;
    kur_arena_reset(arena);
    ck_ok(kur_listener_positions(listener, arena, &positions, &error), error);
    for (size_t i = 0; i < positions.count; i++)
        if (positions.items[i]->partition == partition)
            return positions.items[i];
    return NULL;
}

/* Until `at`, what is told of a partition, is as wanted. */
#define wait_position(listener, arena, number, condition)                                                              \
    do {                                                                                                               \
        at = NULL;                                                                                                     \
        for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(20))                                      \
            if ((at = position_of(listener, arena, number)) != NULL && (condition))                                    \
                break;                                                                                                 \
        ck_assert_msg(at != NULL && (condition), "not in time: %s", #condition);                                       \
    } while (0)

struct gate {
    atomic_int begun, is_open;
};

static kur_outcome wait_at_gate(kur_delivery *delivery, void *user)
{
    struct gate *gate = user;
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    ++gate->begun;
    while (value.size == 4 && memcmp(value.data, "wait", 4) == 0 && !gate->is_open)
        nap(2);
    return KUR_DONE;
}

START_TEST(test_listener_life__tells_where_it_stands_and_that_it_stalls)
{
    static struct gate gate;
    kur_error error = {0};
    memset(&gate, 0, sizeof gate);
    kur_arena *arena = kur_arena_new();
    kur_client *client = support_client();
    const char *topic = support_topic(PARTITIONS);
    for (int i = 0; i < 10; i++)
        send_text(client, topic, 0, NULL, i == 4 ? "wait" : "x");
    flush(client);
    kur_listener *listener =
        make(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, support_name("positions"), wait_at_gate, &gate);
    kur_listener_position_list none = {.count = 7};
    const kur_listener_position *at;
    ck_ok(kur_listener_positions(listener, arena, &none, &error), error);
    ck_assert_uint_eq(none.count, 0);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(support_wait(&gate.begun, 10));
    wait_position(listener, arena, 0, at->position == 10 && at->committed == 4);
    wait_position(listener, arena, 0, at->stalled_ms >= 600);
    at = position_of(listener, arena, 0);
    ck_assert_str_eq(at->topic, topic);
    ck_assert_int_eq(at->unfinished, 4);
    ck_assert_int_eq(at->held, 1);
    ck_assert_int_eq(at->running, 1);
    ck_assert_int_eq(at->lag, 6);
    ck_assert(!at->is_paused);
    ck_assert_int_ge(health_of(listener).stalled_ms, 600);
    wait_position(listener, arena, 1, at->position == 0 && at->held == 0 && at->stalled_ms == 0 && at->lag == 0);
    ck_ok(kur_listener_pause(listener, &error), error);
    wait_position(listener, arena, 1, at->is_paused);
    gate.is_open = 1;
    wait_position(listener, arena, 0, at->unfinished == 10 && at->committed == 10 && at->stalled_ms == 0);
    ck_assert_int_eq(health_of(listener).stalled_ms, 0);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_ok(kur_listener_positions(listener, arena, &none, &error), error);
    ck_assert_uint_eq(none.count, 0);
    kur_listener_free(listener);
    kur_arena_free(arena);
    kur_client_unref(client);
}
END_TEST

/* ---- Signals ---- */

static atomic_int handled;

static kur_outcome note(kur_delivery *delivery, void *user)
{
    (void)delivery, (void)user;
    handled++;
    return KUR_DONE;
}

static void *terminate_when_it_runs(void *user)
{
    (void)user;
    support_wait(&handled, 1);
    kill(getpid(), SIGTERM);
    return NULL;
}

START_TEST(test_listener_life__runs_until_it_is_told_to_end)
{
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    struct sigaction before, after;
    handled = 0;
    send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener *listener =
        make(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, support_name("run"), note, NULL);
    sigaction(SIGTERM, NULL, &before);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, terminate_when_it_runs, NULL), 0);
    ck_ok(kur_listener_run(listener, &error), error);
    pthread_join(thread, NULL);
    sigaction(SIGTERM, NULL, &after);
    ck_assert(before.sa_handler == after.sa_handler);
    ck_assert_int_eq(handled, 1);
    ck_status(kur_listener_run(listener, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "started before");
    ck_status(kur_listener_start(listener, &error), KUR_ERROR_INVALID_STATE, error);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    /* Told before it runs, it does not begin to wait. */
    listener = make(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, support_name("run"), note, NULL);
    kur_listener_request_stop(listener);
    ck_ok(kur_listener_run(listener, &error), error);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

/* ---- Misuse ---- */

struct misuse {
    kur_listener *listener;
    atomic_int tried;
    kur_error stop, dispatch, late;
};

static kur_outcome misuse(kur_delivery *delivery, void *user)
{
    struct misuse *all = user;
    (void)delivery;
    kur_listener_stop(all->listener, 60000, &all->stop);
    kur_listener_dispatch(all->listener, 1, NULL, &all->dispatch);
    kur_listener_free(all->listener); /* says so in the log, and stops */
    all->tried++;
    return KUR_DONE;
}

static void refuses_in_handlers(kur_dispatch dispatch)
{
    static struct misuse all;
    kur_error error = {0};
    memset(&all, 0, sizeof all);
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    send_text(client, topic, 0, NULL, "x");
    flush(client);
    all.listener = make(client, &KUR_LISTENER_OPTIONS(.dispatch = dispatch), topic, support_name("own"), misuse, &all);
    ck_status(kur_listener_dispatch(all.listener, 1, NULL, &error), KUR_ERROR_INVALID_STATE, error);
    ck_ok(kur_listener_start(all.listener, &error), error);
    ck_status(kur_listener_on_record(all.listener, note, NULL), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_listener_on_tombstone(all.listener, note, NULL), KUR_ERROR_INVALID_STATE, error);
    for (int64_t until_ms = now_ms() + WAIT_MS; all.tried == 0 && now_ms() < until_ms; nap(5))
        if (dispatch == KUR_DISPATCH_CALLER)
            ck_ok(kur_listener_dispatch(all.listener, 1, NULL, &error), error);
    ck_assert_int_eq(all.tried, 1);
    ck_assert_int_eq(all.stop.code, KUR_ERROR_INVALID_STATE);
    ck_says(all.stop, "kur_listener_request_stop");
    ck_assert_int_eq(all.dispatch.code, KUR_ERROR_INVALID_STATE);
    ck_ok(kur_listener_stop(all.listener, WAIT_MS, &error), error);
    ck_assert_int_eq(health_of(all.listener).finished, 1);
    kur_listener_free(all.listener);
    kur_client_unref(client);
}

START_TEST(test_listener_life__what_would_wait_for_itself_is_refused)
{
    refuses_in_handlers(KUR_DISPATCH_THREAD);
    refuses_in_handlers(KUR_DISPATCH_CALLER);
}
END_TEST

START_TEST(test_listener_life__calls_that_make_no_sense_are_refused)
{
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topics[] = {"t", NULL};
    kur_arena *arena = kur_arena_new();
    kur_listener_position_list positions;
    char long_name[300];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    kur_listener *listener = kur_listener_new(client, &KUR_LISTENER_OPTIONS(.group = "g", .topics = topics), &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    const char *const bad[] = {NULL, "", "a b", long_name, "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        error = (kur_error){0};
        ck_status(kur_listener_seek(listener, bad[i], 0, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
        ck_says(error, "topic");
        ck_status(kur_listener_seek_time(listener, bad[i], 0, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    }
    ck_status(kur_listener_seek(listener, "t", -2, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "partition");
    ck_status(kur_listener_seek(listener, "t", 0, KUR_OFFSET_COMMITTED, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "offset");
    ck_status(kur_listener_seek_time(listener, "t", 0, -1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "timestamp_us");
    ck_status(kur_listener_stop(listener, -1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "timeout_ms");
    ck_status(kur_listener_positions(listener, NULL, &positions, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_listener_positions(listener, arena, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    error = (kur_error){0};
    ck_status(kur_listener_positions(NULL, arena, &positions, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    error = (kur_error){0};
    ck_status(kur_listener_seek(NULL, "t", 0, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    error = (kur_error){0};
    ck_status(kur_listener_seek_time(NULL, "t", 0, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    kur_listener_request_stop(NULL);
    /* What was asked before it began is carried out then, or nothing. */
    ck_ok(kur_listener_seek(listener, "t", 0, 0, &error), error);
    ck_ok(kur_listener_stop(listener, 0, &error), error);
    kur_listener_free(listener);
    kur_arena_free(arena);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_life__a_seek_holds_over_a_restart_though_no_record_came,
        test_listener_life__seeks_to_a_time,
        test_listener_life__tells_where_it_stands_and_that_it_stalls,
        test_listener_life__runs_until_it_is_told_to_end,
        test_listener_life__what_would_wait_for_itself_is_refused,
        test_listener_life__calls_that_make_no_sense_are_refused,
        NULL,
    };
    return check_main("listener_life", tests);
}
