/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Fan-out: several listeners of one process, each at its own pace, that begin and end together.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../listening.h"

enum {
    RECORDS = 50,
    MEMBERS = 2
};

struct group {
    atomic_int begun, handled;
    atomic_bool is_held; /* handlers wait */
};

static kur_outcome handle(kur_delivery *delivery, void *user)
{
    struct group *group = user;
    (void)delivery;
    group->begun++;
    while (group->is_held)
        nap(1);
    group->handled++;
    return KUR_DONE;
}

static kur_outcome reject(kur_delivery *delivery, void *user)
{
    (void)user;
    return kur_reject(delivery, "test.never", "never");
}

/* Listeners of one process, and the run that another thread looks on at. */
struct process {
    kur_client *client;
    const char *topic;
    struct group groups[MEMBERS];
    const char *names[MEMBERS];
    kur_listener *listeners[MEMBERS];
    kur_error error;
    atomic_int ended;
    pthread_t thread;
};

static void set_up(struct process *process)
{
    memset(process, 0, sizeof *process);
    process->client = support_client();
    process->topic = support_topic(2);
    for (int i = 0; i < RECORDS; i++)
        send_text(process->client, process->topic, i % 2, NULL, "x");
    flush(process->client);
    for (int i = 0; i < MEMBERS; i++) {
        process->names[i] = support_name("fanout");
        process->listeners[i] = make(process->client, &KUR_LISTENER_OPTIONS(.concurrency = 2), process->topic,
                                     process->names[i], handle, &process->groups[i]);
    }
}

static void tear_down(struct process *process)
{
    for (int i = 0; i < MEMBERS; i++)
        kur_listener_free(process->listeners[i]);
    kur_client_unref(process->client);
}

static void *run(void *user)
{
    struct process *process = user;
    kur_listeners_run(process->listeners, MEMBERS, &process->error);
    process->ended = 1;
    return NULL;
}

static void begin(struct process *process)
{
    ck_assert_int_eq(pthread_create(&process->thread, NULL, run, process), 0);
}

static void await_end(struct process *process)
{
    ck_assert(support_wait(&process->ended, 1));
    pthread_join(process->thread, NULL);
}

static int64_t committed(struct process *process, int group)
{
    kur_error error = {0};
    int64_t sum = 0;
    kur_consumer *consumer =
        kur_consumer_new(process->client, &KUR_CONSUMER_OPTIONS(.group = process->names[group]), &error);
    kur_arena *arena = kur_arena_new();
    for (int i = 0; i < 2; i++) {
        kur_position position = KUR_POSITION(.topic = process->topic, .partition = i);
        ck_ok(kur_consumer_committed(consumer, &position, arena, WAIT_MS, &error), error);
        sum += position.offset;
    }
    kur_arena_free(arena);
    kur_consumer_free(consumer);
    return sum;
}

START_TEST(test_fanout__a_slow_group_slows_no_other_and_a_signal_drains_all)
{
    static struct process process;
    set_up(&process);
    process.groups[0].is_held = true;
    begin(&process);
    ck_assert(support_wait(&process.groups[0].begun, 2));
    ck_assert(support_wait(&process.groups[1].handled, RECORDS));
    ck_assert_int_eq(process.groups[0].handled, 0);
    /* What runs is waited for, and committed with the rest. */
    ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
    nap(100);
    ck_assert_int_eq(process.ended, 0);
    process.groups[0].is_held = false;
    await_end(&process);
    ck_status(process.error.code, KUR_OK, process.error);
    ck_assert_int_eq(process.groups[0].handled, process.groups[0].begun);
    ck_assert_int_eq(health_of(process.listeners[0]).finished, process.groups[0].handled);
    ck_assert_int_eq(committed(&process, 1), RECORDS);
    tear_down(&process);
}
END_TEST

START_TEST(test_fanout__a_second_signal_waits_for_no_handler)
{
    static struct process process;
    set_up(&process);
    process.groups[1].is_held = true;
    begin(&process);
    ck_assert(support_wait(&process.groups[1].begun, 2));
    ck_assert_int_eq(kill(getpid(), SIGINT), 0);
    nap(300); /* well in the stop by now, and it would be for 30 s */
    ck_assert_int_eq(process.ended, 0);
    int64_t before_ms = now_ms();
    ck_assert_int_eq(kill(getpid(), SIGINT), 0);
    await_end(&process);
    ck_assert_int_lt(now_ms() - before_ms, 20000);
    ck_status(process.error.code, KUR_ERROR_TIMEOUT, process.error);
    ck_says(process.error, "2 handlers");
    /* Another stop does wait. */
    process.groups[1].is_held = false;
    kur_error error = {0};
    ck_ok(kur_listeners_stop(process.listeners, MEMBERS, WAIT_MS, &error), error);
    ck_assert_int_eq(process.groups[1].handled, process.groups[1].begun);
    tear_down(&process);
}
END_TEST

START_TEST(test_fanout__all_end_when_one_ends)
{
    static struct process process;
    kur_error error = {0};
    set_up(&process);
    kur_listener_free(process.listeners[1]);
    process.listeners[1] =
        make(process.client, &KUR_LISTENER_OPTIONS(), process.topic, support_name("rejects"), reject, NULL);
    ck_status(kur_listeners_run(process.listeners, MEMBERS, &error), KUR_ERROR_REJECTED, error);
    for (int i = 0; i < MEMBERS; i++)
        ck_assert(!health_of(process.listeners[i]).is_running);
    tear_down(&process);

    set_up(&process);
    begin(&process);
    ck_assert(support_wait(&process.groups[1].handled, 1));
    kur_listener *busy =
        make(process.client, &KUR_LISTENER_OPTIONS(), process.topic, process.names[0], handle, &process.groups[0]);
    ck_status(kur_listener_run(busy, &error), KUR_ERROR_INVALID_STATE, error);
    kur_listener_free(busy);
    kur_listener_request_stop(process.listeners[0]);
    await_end(&process);
    ck_status(process.error.code, KUR_OK, process.error);
    tear_down(&process);
}
END_TEST

START_TEST(test_fanout__what_cannot_begin_ends_the_others)
{
    static struct process process;
    struct sigaction before, after;
    set_up(&process);
    kur_error error = {0};
    ck_assert_int_eq(sigaction(SIGTERM, NULL, &before), 0);
    ck_assert_int_ne(kur_listener_on_record(process.listeners[1], handle, NULL), KUR_OK);
    ck_status(kur_listeners_run(process.listeners, MEMBERS, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "twice");
    ck_assert(!health_of(process.listeners[0]).is_running);
    /* The old handlers are back. */
    ck_assert_int_eq(sigaction(SIGTERM, NULL, &after), 0);
    ck_assert(before.sa_handler == after.sa_handler);
    tear_down(&process);
}
END_TEST

START_TEST(test_fanout__misuse_is_named)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY), &error);
    struct group group = {0};
    kur_listener *listener = make(client, &KUR_LISTENER_OPTIONS(), "t", "g", handle, &group);
    kur_listener *const listeners[] = {listener, NULL};
    ck_status(kur_listeners_run(NULL, 1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "listeners");
    error = (kur_error){0};
    ck_status(kur_listeners_run(listeners, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "count");
    error = (kur_error){0};
    ck_status(kur_listeners_run(listeners, 2, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "one of the listeners");
    /* What made it NULL is what is told. */
    kur_error_set(&error, KUR_ERROR_CONFIG, "a wrong option");
    ck_status(kur_listeners_run(listeners, 2, &error), KUR_ERROR_CONFIG, error);
    error = (kur_error){0};
    ck_status(kur_listeners_stop(listeners, 2, 1000, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    error = (kur_error){0};
    ck_status(kur_listeners_stop(listeners, 1, -1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "timeout_ms");
    error = (kur_error){0};
    ck_status(kur_listener_run(NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "listener is NULL");
    /* None of that has started it. */
    error = (kur_error){0};
    ck_ok(kur_listener_start(listener, &error), error);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_fanout__a_slow_group_slows_no_other_and_a_signal_drains_all,
        test_fanout__a_second_signal_waits_for_no_handler,
        test_fanout__all_end_when_one_ends,
        test_fanout__what_cannot_begin_ends_the_others,
        test_fanout__misuse_is_named,
        NULL,
    };
    int status = check_main("fanout", tests);
    support_stop();
    return status;
}
