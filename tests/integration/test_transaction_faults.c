/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Transactions when processes are killed and answers are lost.
 */
#include <kurier/kurier.h>
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check_main.h"
#include "../proxy.h"
#include "../support.h"
#include "../transactions.h"

enum {
    SHORT_MS = 1500,
    LONGER_MS = 6000, /* all of a transaction up to its commit takes less on a slow day, too */
    HELD_UP = 64
};

extern char **environ;

/* ---- Killed ---- */

/* The child: in the middle of a transaction it says so, and waits for its end. */
static int be_killed(const char *topic, const char *id)
{
    kur_error error = {0};
    kur_message message = KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(0), .value = kur_bytes_text("killed"));
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap()), &error);
    kur_producer *producer = kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.transactional_id = id), &error);
    if (kur_transaction_init(producer, WAIT_MS, &error) != KUR_OK ||
        kur_transaction_begin(producer, &error) != KUR_OK || kur_producer_send(producer, &message, &error) != KUR_OK)
        return 1;
    if (kur_producer_flush(producer, WAIT_MS, &error) != KUR_OK || write(STDOUT_FILENO, "open\n", 5) != 5)
        return 1;
    for (;;)
        pause();
}

START_TEST(test_transaction_faults__killed_in_the_middle)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(1), *id = support_name("id");
    kur_client *client = support_client();
    char line[8] = "";
    int ends[2], status;
    pid_t child;
    posix_spawn_file_actions_t actions;
    ck_assert_int_eq(pipe(ends), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    char *arguments[] = {(char *)"child", (char *)topic, (char *)id, NULL};
    ck_assert_int_eq(posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    ck_assert_int_eq(read(ends[0], line, sizeof line - 1), 5);
    ck_assert_str_eq(line, "open\n");
    close(ends[0]);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);

    /* Its successor settles at once what it left: readers need not wait for the time-out of a minute. */
    kur_producer *producer = transactional(client, id);
    send_committed(producer, topic, "end");
    ck_readers_see(client, topic, "end");
    ck_ok(kur_transaction_run(&producer, send_one, (void *)topic, WAIT_MS, &error), error);
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

/* ---- Answers that are lost ---- */

struct table {
    const char *topic, *out;
    kur_client *client;
    kur_consumer *consumer;
    kur_group_metadata *group;
    kur_producer *producer;
    struct proxy *proxy;
};

/* A record has been polled, and a transaction is open with what it gives and its offset. The producer alone goes
 * through the proxy. */
static struct table set_table(int timeout_ms)
{
    kur_error error = {0};
    struct table table = {.topic = support_topic(1), .out = support_topic(1), .client = support_client()};
    kur_producer *other = transactional(table.client, support_name("id"));
    send_committed(other, table.topic, "v");
    kur_producer_free(other);
    table.consumer = member(table.client, support_name("g"), table.topic, 1);
    table.group = kur_consumer_group_metadata(table.consumer, &error);
    ck_assert_msg(table.group != NULL, "%s", error.message);
    ck_assert_int_eq(committed(table.consumer, table.topic, NULL), -1);
    table.proxy = proxy_new(support_bootstrap());
    table.producer = kur_producer_new(
        table.client,
        &KUR_PRODUCER_OPTIONS(.transactional_id = support_name("id"), .transaction_timeout_ms = timeout_ms), &error);
    ck_ok(kur_transaction_init(table.producer, WAIT_MS, &error), error);
    return table;
}

static kur_status do_work(kur_producer *producer, void *user, kur_error *error)
{
    struct table *table = user;
    kur_position position = KUR_POSITION(.topic = table->topic, .offset = 1);
    send_value(producer, table->out, "end");
    return kur_transaction_send_offsets(producer, &position, 1, table->group, WAIT_MS, error);
}

static void open_transaction(struct table *table)
{
    kur_error error = {0};
    ck_ok(kur_transaction_begin(table->producer, &error), error);
    ck_ok(do_work(table->producer, table, &error), error);
    ck_ok(kur_producer_flush(table->producer, WAIT_MS, &error), error);
}

static void clear_table(struct table *table)
{
    kur_producer_free(table->producer);
    proxy_free(table->proxy);
    kur_group_metadata_free(table->group);
    kur_consumer_free(table->consumer);
    kur_client_unref(table->client);
}

static void ck_unknown_then_replace(struct table *table, proxy_loss loss)
{
    kur_error error = {0};
    open_transaction(table);
    proxy_lose(table->proxy, PROXY_API_END_TXN, loss);
    ck_status(kur_transaction_commit(table->producer, SHORT_MS, &error), KUR_ERROR_UNKNOWN_OUTCOME, error);
    ck_assert(error.fatal && !error.retriable);
    ck_says(error, "replace");
    ck_assert(proxy_wait_lost(table->proxy));
    /* It takes part in nothing else. */
    ck_status(kur_transaction_begin(table->producer, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_transaction_abort(table->producer, SHORT_MS, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "not known");
    /* The old one is gone before the way is free again: it would ask for its commit once more, and might get it. */
    proxy_set(table->proxy, PROXY_CUT);
    ck_status(kur_transaction_replace(&table->producer, 100, &error), KUR_ERROR_TIMEOUT, error);
    proxy_set(table->proxy, PROXY_PASS);
    ck_ok(kur_transaction_replace(&table->producer, WAIT_MS, &error), error);
}

START_TEST(test_transaction_faults__the_answer_to_a_commit_is_lost)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    struct table table = set_table(0);
    ck_unknown_then_replace(&table, PROXY_LOSE_ANSWER);
    /* Settled, and the offsets tell: it was committed. */
    ck_assert_int_eq(committed(table.consumer, table.topic, NULL), 1);
    ck_readers_see(table.client, table.out, "end");
    clear_table(&table);
}
END_TEST

START_TEST(test_transaction_faults__a_commit_is_lost_on_its_way)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    struct table table = set_table(0);
    ck_unknown_then_replace(&table, PROXY_LOSE_REQUEST);
    /* The same error; here the offsets tell that it was not, and all of it is done again. */
    ck_assert_int_eq(committed(table.consumer, table.topic, NULL), -1);
    ck_ok(kur_transaction_run(&table.producer, do_work, &table, WAIT_MS, &error), error);
    ck_assert_int_eq(committed(table.consumer, table.topic, NULL), 1);
    ck_readers_see(table.client, table.out, "end");
    clear_table(&table);
}
END_TEST

START_TEST(test_transaction_faults__a_connection_is_cut_before_the_answer)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    struct table table = set_table(0);
    open_transaction(&table);
    proxy_lose(table.proxy, PROXY_API_END_TXN, PROXY_CUT_ANSWER);
    /* It is asked for again on another connection, and the broker knows that it has been. */
    ck_ok(kur_transaction_commit(table.producer, WAIT_MS, &error), error);
    ck_assert(proxy_wait_lost(table.proxy));
    ck_assert_int_eq(committed(table.consumer, table.topic, NULL), 1);
    ck_readers_see(table.client, table.out, "end");
    clear_table(&table);
}
END_TEST

START_TEST(test_transaction_faults__an_unknown_commit_can_be_asked_for_again)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    struct table table = set_table(0);
    open_transaction(&table);
    proxy_lose(table.proxy, PROXY_API_END_TXN, PROXY_LOSE_ANSWER);
    ck_status(kur_transaction_commit(table.producer, 300, &error), KUR_ERROR_UNKNOWN_OUTCOME, error);
    ck_status(kur_transaction_commit(table.producer, 300, &error), KUR_ERROR_UNKNOWN_OUTCOME, error);
    ck_assert(proxy_wait_lost(table.proxy)); /* else it holds what comes later */
    proxy_set(table.proxy, PROXY_PASS);      /* the answer is late */
    ck_ok(kur_transaction_commit(table.producer, WAIT_MS, &error), error);
    ck_assert_int_eq(committed(table.consumer, table.topic, NULL), 1);
    ck_status(kur_transaction_begin(table.producer, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "replace");
    ck_ok(kur_transaction_run(&table.producer, do_work, &table, WAIT_MS, &error), error);
    ck_readers_see(table.client, table.out, "end end");
    clear_table(&table);
}
END_TEST

START_TEST(test_transaction_faults__run_tells_what_it_does_not_know)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    struct table table = set_table(0);
    proxy_lose(table.proxy, PROXY_API_END_TXN, PROXY_LOSE_ANSWER);
    ck_status(kur_transaction_run(&table.producer, do_work, &table, LONGER_MS, &error), KUR_ERROR_UNKNOWN_OUTCOME,
              error);
    ck_assert(proxy_wait_lost(table.proxy)); /* else it holds what comes later */
    proxy_set(table.proxy, PROXY_PASS);
    ck_ok(kur_transaction_run(&table.producer, do_work, &table, WAIT_MS, &error), error);
    ck_readers_see(table.client, table.out, "end end");
    clear_table(&table);
}
END_TEST

/* librdkafka takes an answer that it does not know for a no, and its own abort comes too late. */
START_TEST(test_transaction_faults__a_commit_that_is_said_to_have_failed)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    struct table table = set_table(0);
    open_transaction(&table);
    proxy_lose(table.proxy, PROXY_API_END_TXN, PROXY_SPOIL_ANSWER);
    ck_status(kur_transaction_commit(table.producer, WAIT_MS, &error), KUR_ERROR_MUST_ABORT, error);
    ck_assert(proxy_wait_lost(table.proxy));
    ck_status(kur_transaction_abort(table.producer, WAIT_MS, &error), KUR_ERROR_UNKNOWN_OUTCOME, error);
    ck_ok(kur_transaction_replace(&table.producer, WAIT_MS, &error), error);
    ck_assert_int_eq(committed(table.consumer, table.topic, NULL), 1);

    proxy_lose(table.proxy, PROXY_API_END_TXN, PROXY_SPOIL_ANSWER);
    ck_status(kur_transaction_run(&table.producer, do_work, &table, WAIT_MS, &error), KUR_ERROR_UNKNOWN_OUTCOME, error);
    ck_assert(!error.retriable);
    ck_assert(proxy_wait_lost(table.proxy));
    ck_ok(kur_transaction_run(&table.producer, do_work, &table, WAIT_MS, &error), error);
    ck_readers_see(table.client, table.out, "end end end");
    clear_table(&table);
}
END_TEST

/* ---- A record that only seems to be there ---- */

static void count_unknown(const kur_result *result, void *user)
{
    atomic_fetch_add((atomic_int *)user, result->status == KUR_UNKNOWN);
}

/* The first request is refused, and those behind it are taken, as where a partition has just come into being. */
START_TEST(test_transaction_faults__what_may_be_missing_is_not_committed)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    atomic_int unknown = 0;
    const char *topic = support_topic(1);
    kur_client *client = support_client();
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_producer *producer = kur_producer_new(
        client, &KUR_PRODUCER_OPTIONS(.transactional_id = support_name("id"), .batch_bytes = 1), &error);
    ck_ok(kur_transaction_init(producer, WAIT_MS, &error), error);
    ck_ok(kur_transaction_begin(producer, &error), error);
    proxy_set(proxy, PROXY_HOLD); /* so that they are on their way together */
    for (int i = 0; i < 4; i++)
        ck_ok(kur_producer_send(producer,
                                &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(0),
                                             .value = kur_bytes_text("never"), .on_result = count_unknown,
                                             .user = &unknown),
                                &error),
              error);
    proxy_misdirect(proxy, topic);
    proxy_set(proxy, PROXY_PASS);
    kur_status status = kur_transaction_commit(producer, WAIT_MS, &error);
    ck_assert(proxy_has_lost(proxy));
    if (unknown > 0) { /* a broker of another kind refuses all, and takes them again in order */
        ck_status(status, KUR_ERROR_MUST_ABORT, error);
        ck_assert(error.retriable);
        ck_status(kur_transaction_commit(producer, WAIT_MS, &error), KUR_ERROR_MUST_ABORT, error);
        ck_ok(kur_transaction_abort(producer, WAIT_MS, &error), error);
    } else {
        ck_ok(status, error);
    }
    ck_ok(kur_transaction_run(&producer, send_one, (void *)topic, WAIT_MS, &error), error);
    ck_readers_see(client, topic, unknown > 0 ? "end" : "never never never never end");
    kur_producer_free(producer);
    kur_client_unref(client);
    proxy_free(proxy);
}
END_TEST

/* ---- Waiting, and what may be done meanwhile ---- */

static void *commit_elsewhere(void *user)
{
    struct table *table = user;
    kur_error error = {0};
    /* Nothing has been sent to the broker when the time is over: it can still be aborted. */
    ck_status(kur_transaction_commit(table->producer, LONGER_MS, &error), KUR_ERROR_TIMEOUT, error);
    ck_assert(error.retriable && !error.fatal);
    ck_says(error, "64 records left");
    return NULL;
}

struct results {
    atomic_int all, here;
    pthread_t caller;
};

static void on_result(const kur_result *result, void *user)
{
    struct results *results = user;
    (void)result; /* those in flight may still be delivered, and are never seen */
    atomic_fetch_add(&results->here, !!pthread_equal(results->caller, pthread_self()));
    atomic_fetch_add(&results->all, 1);
}

START_TEST(test_transaction_faults__records_are_held_up)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    pthread_t thread;
    struct table table = set_table(0);
    const char *wide = support_topic(8);
    ck_ok(kur_transaction_begin(table.producer, &error), error);
    proxy_lose(table.proxy, PROXY_API_PRODUCE, PROXY_LOSE_REQUEST);
    struct results results = {.caller = pthread_self()};
    for (int i = 0; i < HELD_UP; i++)
        ck_ok(kur_producer_send(table.producer,
                                &KUR_MESSAGE(.topic = wide, .partition = KUR_PARTITION(i % 8),
                                             .value = kur_bytes_text("v"), .on_result = on_result, .user = &results),
                                &error),
              error);
    ck_assert(proxy_wait_lost(table.proxy));
    ck_assert_int_eq(pthread_create(&thread, NULL, commit_elsewhere, &table), 0);
    kur_status status; /* one call at a time: as soon as the other thread is in its own */
    while ((status = kur_transaction_begin(table.producer, &error)) == KUR_ERROR_INVALID_STATE &&
           strstr(error.message, "another thread") == NULL)
        usleep(1000);
    ck_status(status, KUR_ERROR_INVALID_STATE, error);
    pthread_join(thread, NULL);

    ck_status(kur_transaction_abort(table.producer, 300, &error), KUR_ERROR_TIMEOUT, error);
    ck_assert(error.retriable);
    ck_status(kur_transaction_commit(table.producer, 300, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "abort");
    proxy_set(table.proxy, PROXY_CUT);
    proxy_set(table.proxy, PROXY_PASS);
    ck_ok(kur_transaction_abort(table.producer, WAIT_MS, &error), error);
    /* Told as everything is: once, before the call is over, and not on its thread. */
    ck_assert_int_eq(atomic_load(&results.all), HELD_UP);
    ck_assert_int_eq(atomic_load(&results.here), 0);
    ck_ok(kur_transaction_run(&table.producer, do_work, &table, WAIT_MS, &error), error);
    ck_readers_see(table.client, table.out, "end");
    clear_table(&table);
}
END_TEST

START_TEST(test_transaction_faults__offsets_are_held_up)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    struct table table = set_table(2000);
    ck_ok(kur_transaction_begin(table.producer, &error), error);
    proxy_lose(table.proxy, PROXY_API_TXN_OFFSET_COMMIT, PROXY_LOSE_ANSWER);
    kur_position position = KUR_POSITION(.topic = table.topic, .offset = 1);
    int64_t start_us = kur_clock_monotonic_us();
    kur_status status = kur_transaction_send_offsets(table.producer, &position, 1, table.group, SHORT_MS, &error);
    ck_assert_int_lt(kur_clock_monotonic_us() - start_us, 20 * 1000 * 1000);
    /* Which of the two depends on librdkafka's version; either says that it is worth another try. */
    ck_assert_msg(status == KUR_ERROR_TIMEOUT || status == KUR_ERROR_MUST_ABORT, "%s", error.message);
    ck_assert(error.retriable && !error.fatal);
    /* To give up at once is always possible; what is open is aborted by the next one. */
    ck_assert(proxy_wait_lost(table.proxy)); /* else it holds what comes later */
    proxy_set(table.proxy, PROXY_CUT);
    proxy_set(table.proxy, PROXY_PASS);
    ck_ok(kur_transaction_replace(&table.producer, WAIT_MS, &error), error);
    ck_assert_int_eq(committed(table.consumer, table.topic, NULL), -1);
    ck_ok(kur_transaction_run(&table.producer, do_work, &table, WAIT_MS, &error), error);
    ck_assert_int_eq(committed(table.consumer, table.topic, NULL), 1);
    clear_table(&table);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 3)
        return be_killed(argv[1], argv[2]);
    const TTest *const tests[] = {test_transaction_faults__killed_in_the_middle,
                                  test_transaction_faults__the_answer_to_a_commit_is_lost,
                                  test_transaction_faults__a_commit_is_lost_on_its_way,
                                  test_transaction_faults__a_connection_is_cut_before_the_answer,
                                  test_transaction_faults__an_unknown_commit_can_be_asked_for_again,
                                  test_transaction_faults__run_tells_what_it_does_not_know,
                                  test_transaction_faults__a_commit_that_is_said_to_have_failed,
                                  test_transaction_faults__what_may_be_missing_is_not_committed,
                                  test_transaction_faults__records_are_held_up,
                                  test_transaction_faults__offsets_are_held_up,
                                  NULL};
    int status = check_main("transaction_faults", tests);
    support_stop();
    return status;
}
