/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Exactly-once listeners: who reads committed sees what each record gives once, whatever happens to transactions,
 * groups and processes. With arguments this program is the listener that is killed: see consume().
 */
#include <kurier/admin.h>
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check_main.h"
#include "../crashing.h"
#include "../exactly.h"
#include "../listening.h"
#include "../proxy.h"
#include "../support.h"

/* ---- Options and start ---- */

START_TEST(test_listener_exactly_once__what_cannot_be_is_refused)
{
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topics[] = {"t", NULL};
    kur_listener_options options = KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .guarantee = (kur_guarantee)7);
    ck_assert_ptr_null(kur_listener_new(client, &options, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
    ck_says(error, ".guarantee");
    options = KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics, .guarantee = KUR_EXACTLY_ONCE);
    ck_assert_ptr_null(kur_listener_new(client, &options, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
    ck_says(error, ".guarantee");
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_exactly_once__not_where_there_are_no_transactions)
{
    if (support_is_real())
        return;
    kur_error error = {0};
    atomic_int count = 0;
    kur_client *client = support_client();
    kur_listener *listener = make(client, &KUR_LISTENER_OPTIONS(.guarantee = KUR_EXACTLY_ONCE), support_topic(1),
                                  support_name("none"), count_one, &count);
    ck_status(kur_listener_start(listener, &error), KUR_ERROR_UNSUPPORTED, error);
    ck_says(error, "no transactions");
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

/* ---- In peace ---- */

START_TEST(test_listener_exactly_once__what_a_record_gives_is_seen_once)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    send_more(3000);
    kur_listener *listener = start_listener(&KUR_LISTENER_OPTIONS());
    ck_assert(wait_for(listener, has_finished, 1500));
    send_more(1000);
    ck_assert(wait_for(listener, has_finished, bench.sent));
    ck_assert_int_eq(bench.handled, expected_attempts());
    stop_and_check(listener);
}
END_TEST

static kur_status take_rejected(kur_delivery *delivery, const char *cause, const char *reason, void *user)
{
    (void)delivery;
    (void)cause;
    (void)reason;
    ++*(atomic_int *)user;
    return KUR_OK;
}

static kur_outcome reject_every(kur_delivery *delivery, void *user)
{
    (void)user;
    return kur_reject(delivery, "test.never", "never");
}

START_TEST(test_listener_exactly_once__what_was_rejected_is_committed_too)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    set_up();
    send_more(100);
    kur_listener *listener =
        listen(bench.client,
               &KUR_LISTENER_OPTIONS(.guarantee = KUR_EXACTLY_ONCE, .concurrency = 4, .on_rejected = take_rejected),
               bench.in, bench.group, reject_every, &bench.handled);
    ck_assert(wait_for(listener, has_finished, bench.sent));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(bench.handled, bench.sent);
    ck_assert_int_eq(health_of(listener).rejected, bench.sent);
    kur_listener_free(listener);
    ck_all_committed();
    kur_client_unref(bench.client);
}
END_TEST

/* ---- The group moves on ---- */

START_TEST(test_listener_exactly_once__a_rebalance_in_the_midst)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    set_up();
    send_more(3000);
    kur_listener *first = start_listener(&KUR_LISTENER_OPTIONS(.session_timeout_ms = 6000));
    ck_assert(wait_for(first, has_finished, 500));
    kur_listener *second = start_listener(&KUR_LISTENER_OPTIONS(.session_timeout_ms = 6000));
    for (int i = 0; i < 20 || health_of(second).assigned == 0; i++) {
        send_more(100); /* something is always under way */
        ck_assert_int_lt(i, 600);
        nap(100);
    }
    ck_assert(wait_for(second, has_finished, 1));
    ck_ok(kur_listener_stop(first, WAIT_MS, &error), error);
    int finished = (int)health_of(first).finished;
    kur_listener_free(first);
    send_more(500);
    ck_assert(wait_for(second, has_finished, bench.sent - finished));
    stop_and_check(second);
}
END_TEST

/* ---- Transactions that fail ---- */

static void ck_a_lost_commit_is_settled(proxy_loss loss)
{
    set_up();
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_listener *listener = start_listener(&KUR_LISTENER_OPTIONS());
    send_more(300);
    ck_assert(wait_for(listener, has_finished, 300));
    proxy_lose(proxy, PROXY_API_END_TXN, loss);
    send_more(1); /* which waits for the broker: one at a time */
    ck_assert(proxy_wait_lost(proxy));
    nap(1500); /* longer than it is waited for */
    proxy_set(proxy, PROXY_CUT);
    proxy_set(proxy, PROXY_PASS);
    send_more(300);
    ck_assert(wait_for(listener, has_finished, bench.sent));
    ck_assert_int_eq(bench.handled, expected_attempts()); /* no handler runs again */
    stop_and_check(listener);
    proxy_free(proxy);
}

START_TEST(test_listener_exactly_once__a_commit_that_is_lost_is_done_again)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    ck_a_lost_commit_is_settled(PROXY_LOSE_REQUEST);
}
END_TEST

START_TEST(test_listener_exactly_once__a_commit_whose_answer_is_lost_is_not_done_again)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    ck_a_lost_commit_is_settled(PROXY_LOSE_ANSWER);
}
END_TEST

/* It is to be aborted, and has been committed. */
START_TEST(test_listener_exactly_once__a_commit_that_is_said_to_have_failed)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_listener *listener = start_listener(&KUR_LISTENER_OPTIONS());
    for (int i = 0; i < 3; i++) {
        send_more(100);
        ck_assert(wait_for(listener, has_finished, bench.sent));
        proxy_lose(proxy, PROXY_API_END_TXN, PROXY_SPOIL_ANSWER);
        send_more(10);
        ck_assert(proxy_wait_lost(proxy));
    }
    ck_assert(wait_for(listener, has_finished, bench.sent));
    ck_assert_int_eq(bench.handled, expected_attempts()); /* no handler runs again */
    stop_and_check(listener);
    proxy_free(proxy);
}
END_TEST

START_TEST(test_listener_exactly_once__one_that_is_refused_does_not_hold_up_the_others)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    set_up();
    kur_admin *admin = kur_admin_new(bench.client, &error);
    snprintf(out_topic, sizeof out_topic, "%s", support_name("small"));
    kur_topic_spec small = KUR_TOPIC_SPEC(.name = out_topic, .partitions = PARTITIONS, .max_message_bytes = 1000);
    ck_ok(kur_admin_create_topics(admin, &small, 1, WAIT_MS, &error), error);
    kur_admin_free(admin);
    bench.too_large = 7;
    send_more(60);
    kur_listener *listener = start_listener(&KUR_LISTENER_OPTIONS());
    ck_assert_msg(wait_for(listener, has_finished, bench.sent - 1), "%d finished", (int)health_of(listener).finished);
    ck_assert_int_eq(health_of(listener).held, 1);
    ck_assert_int_eq(bench.handled, expected_attempts());
    /* It stays unfinished; another life does it when it can be done. */
    kur_listener_stop(listener, 2000, &error); /* waits for it until its time is over */
    kur_listener_free(listener);
    bench.too_large = -1;
    listener = start_listener(&KUR_LISTENER_OPTIONS());
    ck_assert(wait_for(listener, has_finished, 1));
    ck_assert_int_eq(bench.handled, expected_attempts() + 1);
    stop_and_check(listener);
}
END_TEST

/* ---- Killed ---- */

/* Where a process is killed: at random, at a named point, or soon after one. */
static const char *const places[] = {"at random", "offsets-sent", "in-commit", "committed"};

enum {
    AT_RANDOM,
    OFFSETS_SENT,
    IN_COMMIT,
    PLACES = sizeof places / sizeof *places
};

static void *kill_soon(void *user)
{
    (void)user;
    usleep((useconds_t)(rand() % 4000));
    kill(getpid(), SIGKILL);
    return NULL;
}

/* The commit is one call: what falls into it comes from another thread. */
static void kill_in_commit(const char *point)
{
    static int passes;
    const char *last = getenv("KURIER_KILL_IN_COMMIT");
    pthread_t thread;
    if (last != NULL && strcmp(point, "offsets-sent") == 0 && ++passes == atoi(last))
        pthread_create(&thread, NULL, kill_soon, NULL);
}

/* The other process: bootstrap topic group out. */
static int consume(char **arguments)
{
    kur_error error = {0};
    bench.too_large = -1;
    srand((unsigned)getpid());
    crashing_on_pass = kill_in_commit;
    snprintf(out_topic, sizeof out_topic, "%s", arguments[4]);
    bench.client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = arguments[1], .source = "/tests"), &error);
    const char *topics[] = {arguments[2], NULL};
    kur_listener *listener =
        kur_listener_new(bench.client,
                         &KUR_LISTENER_OPTIONS(.group = arguments[3], .topics = topics, .concurrency = 8,
                                               .commit_interval_ms = 20, .guarantee = KUR_EXACTLY_ONCE,
                                               .group_instance_id = "killed", .dead_letters = KUR_REJECTED_STOPS),
                         &error);
    kur_listener_on_record(listener, emit_number, &bench.handled);
    kur_status status = kur_listener_run(listener, &error);
    if (status != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_listener_free(listener);
    kur_client_unref(bench.client);
    return status != KUR_OK;
}

static pid_t spawn(int place)
{
    const char *bootstrap = support_bootstrap();
    char at[64], pass[16];
    snprintf(pass, sizeof pass, "%d", 1 + rand() % 4); /* the first may hold offsets only */
    snprintf(at, sizeof at, "%s:%s", places[place], pass);
    pid_t child = fork();
    if (child == 0) {
        if (place == IN_COMMIT)
            setenv("KURIER_KILL_IN_COMMIT", pass, 1);
        else if (place != AT_RANDOM)
            setenv("KURIER_CRASH_AT", at, 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigset_t held; /* until the listener runs */
        sigemptyset(&held);
        sigaddset(&held, SIGTERM);
        sigprocmask(SIG_BLOCK, &held, NULL);
        char name[4096] = "";
        ssize_t size = readlink("/proc/self/exe", name, sizeof name - 1);
        char *arguments[] = {name, strdup(bootstrap), strdup(bench.in), strdup(bench.group), strdup(out_topic), NULL};
        if (size > 0)
            execv(name, arguments);
        _exit(127);
    }
    ck_assert_int_gt(child, 0);
    return child;
}

/* The sum of the ends of the output: it grows while a process works, whatever becomes of its transactions. */
static int64_t out_size(kur_consumer *asker)
{
    int64_t sum = 0, low, high;
    kur_error error = {0};
    for (int p = 0; p < PARTITIONS; p++) {
        ck_ok(kur_consumer_watermarks(asker, out_topic, p, WAIT_MS, &low, &high, &error), error);
        sum += high;
    }
    return sum;
}

/* Some more records now and then, should it need another transaction to come by its place. */
static void wait_for_death(pid_t child, const char *place)
{
    int status = 0, naps = 0;
    int64_t until_ms = now_ms() + 2 * WAIT_MS;
    while (waitpid(child, &status, WNOHANG) == 0) {
        ck_assert_msg(now_ms() < until_ms, "%s: nothing has killed the process", place);
        nap(5);
        if (++naps % 40 == 0)
            send_more(KEYS);
    }
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: it ended by itself: %d", place, status);
}

START_TEST(test_listener_exactly_once__a_killed_process_gives_nothing_twice)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    const char *asked = getenv("KURIER_KILLS");
    int kills = asked != NULL ? atoi(asked) : PLACES, status = -1, fell[PLACES] = {0};
    kur_error error = {0};
    set_up();
    ck_assert_int_lt((kills + 2) * CHUNK, RECORDS_MAX);
    kur_consumer *asker = kur_consumer_new(
        bench.client, &KUR_CONSUMER_OPTIONS(.group = support_name("asker"), .isolation = KUR_READ_UNCOMMITTED), &error);
    srand((unsigned)getpid());
    send_more(CHUNK);
    for (int i = 0; i < kills; i++) {
        int place = i % PLACES;
        int64_t before = out_size(asker);
        pid_t child = spawn(place);
        send_more(CHUNK);
        if (place == AT_RANDOM) {
            for (int64_t until_ms = now_ms() + WAIT_MS; out_size(asker) == before && now_ms() < until_ms;)
                nap(5);
            ck_assert_msg(out_size(asker) > before, "process %d emitted nothing", i);
            nap(rand() % 200);
            kill(child, SIGKILL);
        }
        wait_for_death(child, places[place]);
        fell[place]++;
        if (asked != NULL)
            fprintf(stderr, "exactly once: %d of %d kills\n", i + 1, kills);
    }
    kur_consumer_free(asker);
    pid_t last = spawn(AT_RANDOM);
    kur_admin *admin = kur_admin_new(bench.client, &error);
    int64_t lag = -1;
    for (int64_t until_ms = now_ms() + WAIT_MS; lag != 0 && now_ms() < until_ms; nap(50)) {
        kur_arena *arena = kur_arena_new();
        kur_position_list offsets = {0};
        lag = bench.sent;
        ck_ok(kur_admin_group_offsets(admin, bench.group, WAIT_MS, arena, &offsets, &error), error);
        for (size_t i = 0; i < offsets.count; i++)
            lag -= offsets.items[i]->offset;
        kur_arena_free(arena);
    }
    kur_admin_free(admin);
    ck_assert_int_eq(lag, 0);
    kill(last, SIGTERM);
    waitpid(last, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_each_once();
    ck_all_committed();
    for (int i = 0; i < PLACES; i++)
        printf("# %-16s %5d kills\n", places[i], fell[i]);
    printf("# %d kills: %d records, each once\n", kills, bench.sent);
    kur_client_unref(bench.client);
}
END_TEST

int main(int count, char **arguments)
{
    const TTest *const tests[] = {
        test_listener_exactly_once__a_killed_process_gives_nothing_twice,
        test_listener_exactly_once__what_cannot_be_is_refused,
        test_listener_exactly_once__not_where_there_are_no_transactions,
        test_listener_exactly_once__what_a_record_gives_is_seen_once,
        test_listener_exactly_once__what_was_rejected_is_committed_too,
        test_listener_exactly_once__a_rebalance_in_the_midst,
        test_listener_exactly_once__a_commit_that_is_lost_is_done_again,
        test_listener_exactly_once__a_commit_whose_answer_is_lost_is_not_done_again,
        test_listener_exactly_once__a_commit_that_is_said_to_have_failed,
        test_listener_exactly_once__one_that_is_refused_does_not_hold_up_the_others,
        NULL,
    };
    const TTest *const kills[] = {tests[0], NULL};
    if (count == 5)
        return consume(arguments);
    int status = check_main("listener_exactly_once", getenv("KURIER_KILLS") != NULL ? kills : tests);
    support_stop();
    return status;
}
