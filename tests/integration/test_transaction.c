/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Transactions on a real Kafka: what readers see of them, and what callers are told when something fails. What is cut
 * and lost on the way is in test_transaction_faults.c.
 */
#include <kurier/kurier.h>
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../check_main.h"
#include "../support.h"
#include "../transactions.h"

START_TEST(test_transaction__the_embedded_broker_has_none)
{
    kur_error error = {0};
    kur_embedded_broker *broker = kur_embedded_broker_new(NULL, &error);
    ck_assert_msg(broker != NULL, "%s", error.message);
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = kur_embedded_broker_bootstrap_servers(broker)), &error);
    kur_producer *producer = kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.transactional_id = "t"), &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    ck_status(kur_transaction_init(producer, WAIT_MS, &error), KUR_ERROR_UNSUPPORTED, error);
    ck_says(error, "embedded broker");
    ck_status(kur_transaction_begin(producer, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "kur_transaction_init");
    kur_producer_free(producer);
    kur_client_unref(client);
    kur_embedded_broker_free(broker);
}
END_TEST

START_TEST(test_transaction__nobody_answers)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY), &error);
    const kur_dispatch dispatches[] = {KUR_DISPATCH_THREAD, KUR_DISPATCH_CALLER};
    for (int i = 0; i < 2; i++) {
        kur_producer *producer =
            kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.transactional_id = "t", .dispatch = dispatches[i]), &error);
        ck_status(kur_transaction_init(producer, 4000, &error), KUR_ERROR_TIMEOUT, error);
        ck_assert(error.retriable);
        ck_says(error, "127.0.0.1:1");
        /* The helper ends when it says it does. */
        ck_status(kur_transaction_run(&producer, send_one, (void *)"t", 300, &error), KUR_ERROR_TIMEOUT, error);
        kur_producer_free(producer);
    }
    kur_client_unref(client);
}
END_TEST

START_TEST(test_transaction__wrong_options_are_named)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY), &error);
    char long_id[1100];
    memset(long_id, 'a', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    const struct {
        kur_producer_options options;
        const char *says;
    } wrong[] = {
        {KUR_PRODUCER_OPTIONS(.transactional_id = ""), ".transactional_id"},
        {KUR_PRODUCER_OPTIONS(.transactional_id = "\xff"), ".transactional_id"},
        {KUR_PRODUCER_OPTIONS(.transactional_id = long_id), ".transactional_id"},
        {KUR_PRODUCER_OPTIONS(.transaction_timeout_ms = 10000), ".transactional_id"},
        {KUR_PRODUCER_OPTIONS(.transactional_id = "t", .transaction_timeout_ms = 999), ".transaction_timeout_ms"},
        {KUR_PRODUCER_OPTIONS(.transactional_id = "t", .transaction_timeout_ms = -1), ".transaction_timeout_ms"},
        {KUR_PRODUCER_OPTIONS(.transactional_id = "t", .delivery_timeout_ms = 60001), ".delivery_timeout_ms"},
        {KUR_PRODUCER_OPTIONS(.transactional_id = "t", .delivery_timeout_ms = KUR_NONE), ".delivery_timeout_ms"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_ptr_null(kur_producer_new(client, &wrong[i].options, &error));
        ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
        ck_says(error, wrong[i].says);
    }
    kur_client_unref(client);
}
END_TEST

START_TEST(test_transaction__null_and_without_id)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY), &error);
    kur_producer *plain = kur_producer_new(client, NULL, &error);
    kur_producer *none = NULL;
    ck_status(kur_transaction_init(NULL, 0, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_transaction_begin(NULL, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_transaction_send_offsets(NULL, NULL, 0, NULL, 0, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_transaction_commit(NULL, 0, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_transaction_abort(NULL, 0, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_transaction_replace(NULL, 0, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_transaction_replace(&none, 0, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_transaction_run(NULL, send_one, NULL, 0, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_transaction_run(&none, send_one, NULL, 0, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_transaction_run(&plain, NULL, NULL, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "work");
    ck_assert_ptr_null(kur_consumer_group_metadata(NULL, NULL));
    kur_group_metadata_free(NULL);

    ck_status(kur_transaction_init(plain, 0, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, ".transactional_id");
    ck_status(kur_transaction_begin(plain, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_transaction_commit(plain, 0, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_transaction_abort(plain, 0, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_transaction_replace(&plain, 0, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_transaction_run(&plain, send_one, NULL, 0, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_transaction_send_offsets(plain, NULL, 0, NULL, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "group");
    kur_producer_free(plain);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_transaction__seen_whole_or_not_at_all)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(1);
    kur_client *client = support_client();
    kur_producer *producer = transactional(client, support_name("id"));
    ck_ok(kur_transaction_begin(producer, &error), error);
    send_value(producer, topic, "one");
    send_value(producer, topic, "two");
    ck_ok(kur_transaction_commit(producer, WAIT_MS, &error), error);
    ck_ok(kur_transaction_begin(producer, &error), error);
    send_value(producer, topic, "aborted");
    ck_ok(kur_producer_flush(producer, WAIT_MS, &error), error);
    ck_ok(kur_transaction_abort(producer, WAIT_MS, &error), error);
    ck_ok(kur_transaction_begin(producer, &error), error);
    send_value(producer, topic, "given up");
    ck_ok(kur_transaction_abort(producer, WAIT_MS, &error), error);
    /* Nothing in it is a transaction, too. */
    ck_ok(kur_transaction_begin(producer, &error), error);
    ck_ok(kur_transaction_commit(producer, WAIT_MS, &error), error);
    ck_ok(kur_transaction_init(producer, WAIT_MS, &error), error);
    send_committed(producer, topic, "end");
    ck_readers_see(client, topic, "one two end");

    /* A producer that is freed aborts what is open: nobody waits for the time-out. */
    ck_ok(kur_transaction_begin(producer, &error), error);
    send_value(producer, topic, "left open");
    ck_ok(kur_producer_flush(producer, WAIT_MS, &error), error);
    kur_producer_free(producer);
    producer = transactional(client, support_name("id"));
    send_committed(producer, topic, "end");
    ck_readers_see(client, topic, "one two end end");
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_transaction__misuse_changes_nothing)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(1);
    kur_client *client = support_client();
    kur_producer *producer =
        kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.transactional_id = support_name("id")), &error);
    kur_message message = KUR_MESSAGE(.topic = topic, .value = kur_bytes_text("v"));
    ck_status(kur_transaction_begin(producer, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_INVALID_STATE, error);
    ck_ok(kur_transaction_init(producer, WAIT_MS, &error), error);

    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "between begin and commit");
    ck_status(kur_producer_send_wait(producer, &message, WAIT_MS, NULL, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_transaction_commit(producer, WAIT_MS, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "no transaction is open");
    ck_status(kur_transaction_abort(producer, WAIT_MS, &error), KUR_ERROR_INVALID_STATE, error);

    ck_ok(kur_transaction_begin(producer, &error), error);
    ck_status(kur_transaction_begin(producer, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "a transaction is open");
    ck_status(kur_transaction_run(&producer, send_one, (void *)topic, WAIT_MS, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_transaction_commit(producer, -1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "timeout_ms");
    send_value(producer, topic, "end");
    ck_ok(kur_transaction_commit(producer, WAIT_MS, &error), error);
    ck_readers_see(client, topic, "end");
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

/* ---- Results ---- */

struct results {
    kur_producer *producer;
    pthread_t thread;
    atomic_int all, delivered, failed, elsewhere;
    kur_status inside;
};

static void on_result(const kur_result *result, void *user)
{
    struct results *results = user;
    if (atomic_fetch_add(&results->all, 1) == 0)
        results->thread = pthread_self();
    atomic_fetch_add(&results->elsewhere, !pthread_equal(results->thread, pthread_self()));
    atomic_fetch_add(result->status == KUR_DELIVERED ? &results->delivered : &results->failed, 1);
    results->inside = kur_transaction_commit(results->producer, 0, NULL);
}

static kur_status try_watched(kur_producer *producer, const char *topic, struct results *results, int32_t partition,
                              kur_error *error)
{
    results->producer = producer;
    return kur_producer_send(producer,
                             &KUR_MESSAGE(.topic = topic, .partition = partition, .value = kur_bytes_text("v"),
                                          .on_result = on_result, .user = results),
                             error);
}

static void send_watched(kur_producer *producer, const char *topic, struct results *results, int32_t partition)
{
    kur_error error = {0};
    ck_ok(try_watched(producer, topic, results, partition, &error), error);
}

START_TEST(test_transaction__results_come_where_they_always_do)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(1);
    kur_client *client = support_client();
    const kur_dispatch dispatches[] = {KUR_DISPATCH_THREAD, KUR_DISPATCH_CALLER};
    for (int i = 0; i < 2; i++) {
        struct results results = {0};
        kur_producer *producer = kur_producer_new(
            client,
            &KUR_PRODUCER_OPTIONS(.transactional_id = support_name("id"), .dispatch = dispatches[i], .linger_ms = 1000),
            &error);
        ck_ok(kur_transaction_init(producer, WAIT_MS, &error), error);
        for (int round = 0; round < 20; round++) {
            ck_ok(kur_transaction_begin(producer, &error), error);
            for (int n = 0; n < 50; n++)
                send_watched(producer, topic, &results, 0);
            if (round % 2 == 0)
                ck_ok(kur_transaction_commit(producer, WAIT_MS, &error), error);
            else
                ck_ok(kur_transaction_abort(producer, WAIT_MS, &error), error);
            /* All are there when the call returns. */
            ck_assert_int_eq(atomic_load(&results.all), 50 * (round + 1));
        }
        ck_assert_int_ge(atomic_load(&results.delivered), 500);
        ck_assert_int_eq(atomic_load(&results.elsewhere), 0);
        ck_assert_int_eq(!!pthread_equal(results.thread, pthread_self()), dispatches[i] == KUR_DISPATCH_CALLER);
        ck_assert_int_eq(results.inside, KUR_ERROR_INVALID_STATE);
        kur_producer_free(producer);
    }
    kur_client_unref(client);
}
END_TEST

START_TEST(test_transaction__a_failed_record_fails_it)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(1);
    kur_client *client = support_client();
    kur_producer *producer = transactional(client, support_name("id"));
    struct results results = {0};
    ck_ok(kur_transaction_begin(producer, &error), error);
    send_value(producer, topic, "with it");
    ck_ok(kur_producer_flush(producer, WAIT_MS, &error), error);
    /* A topic's partitions that are not known to the producer yet: accepted, and found out later. Those of a new one
     * are known sooner where an answer about all topics was on its way. */
    kur_status status = KUR_ERROR_UNKNOWN_TOPIC;
    for (int i = 0; i < 10 && status == KUR_ERROR_UNKNOWN_TOPIC; i++)
        status = try_watched(producer, support_topic(1), &results, KUR_PARTITION(99), &error);
    ck_ok(status, error);
    ck_assert(support_wait(&results.failed, 1));
    ck_status(kur_transaction_commit(producer, WAIT_MS, &error), KUR_ERROR_MUST_ABORT, error);
    ck_assert_int_eq(kur_status_of_kafka(error.kafka_code), KUR_ERROR_UNKNOWN_TOPIC);
    ck_assert(!error.retriable && !error.fatal);
    ck_status(kur_producer_send(producer, &KUR_MESSAGE(.topic = topic, .value = kur_bytes_text("v")), &error),
              KUR_ERROR_MUST_ABORT, error);
    ck_status(kur_transaction_commit(producer, WAIT_MS, &error), KUR_ERROR_MUST_ABORT, error);
    ck_ok(kur_transaction_abort(producer, WAIT_MS, &error), error);
    send_committed(producer, topic, "end");
    ck_readers_see(client, topic, "end");
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

/* ---- Fencing ---- */

START_TEST(test_transaction__a_second_instance_fences_the_first)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(1), *id = support_name("id");
    kur_client *client = support_client();
    kur_producer *first = transactional(client, id);
    ck_ok(kur_transaction_begin(first, &error), error);
    send_value(first, topic, "zombie");
    ck_ok(kur_producer_flush(first, WAIT_MS, &error), error);
    kur_producer *second = transactional(client, id);

    ck_status(kur_transaction_commit(first, WAIT_MS, &error), KUR_ERROR_FENCED, error);
    ck_assert(error.fatal && !error.retriable);
    ck_says(error, "taken over");
    ck_says(error, id);
    ck_status(kur_producer_send(first, &KUR_MESSAGE(.topic = topic, .value = kur_bytes_text("v")), &error),
              KUR_ERROR_FENCED, error);
    ck_status(kur_transaction_begin(first, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "replace");
    ck_status(kur_transaction_commit(first, WAIT_MS, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_transaction_abort(first, WAIT_MS, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(kur_transaction_init(first, WAIT_MS, &error), KUR_ERROR_INVALID_STATE, error);
    /* It does not take over in turn by itself. */
    ck_status(kur_transaction_run(&first, send_one, (void *)topic, WAIT_MS, &error), KUR_ERROR_FENCED, error);

    send_committed(second, topic, "end");
    ck_readers_see(client, topic, "end");
    ck_ok(kur_transaction_replace(&first, WAIT_MS, &error), error);
    send_committed(first, topic, "end");
    ck_status(kur_transaction_run(&second, send_one, (void *)topic, WAIT_MS, &error), KUR_ERROR_FENCED, error);
    ck_readers_see(client, topic, "end end");
    kur_producer_free(first);
    kur_producer_free(second);
    kur_client_unref(client);
}
END_TEST

/* To librdkafka it is the same; but the one says that somebody else is there, and the other does not. */
START_TEST(test_transaction__too_late_is_not_fenced)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(1), *id = support_name("id");
    kur_client *client = support_client();
    kur_producer *first =
        kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.transactional_id = id, .transaction_timeout_ms = 1000), &error);
    ck_ok(kur_transaction_init(first, WAIT_MS, &error), error);
    ck_ok(kur_transaction_begin(first, &error), error);
    send_value(first, topic, "late");
    ck_ok(kur_producer_flush(first, WAIT_MS, &error), error);
    usleep(1100 * 1000);
    kur_producer *second = transactional(client, id); /* does what the broker does after ten seconds at most */
    ck_status(kur_transaction_send_offsets(first, NULL, 0, NULL, WAIT_MS, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_transaction_abort(first, WAIT_MS, &error), KUR_ERROR_FATAL, error);
    ck_says(error, "1000 ms");
    ck_assert(error.fatal);
    kur_producer_free(second);
    ck_ok(kur_transaction_run(&first, send_one, (void *)topic, WAIT_MS, &error), error);
    ck_readers_see(client, topic, "end");
    kur_producer_free(first);
    kur_client_unref(client);
}
END_TEST

/* What failed is not told yet, for nobody dispatches. */
START_TEST(test_transaction__failed_before_it_is_told)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    static const char large[5000];
    kur_error error = {0};
    const char *topic = support_name("small");
    kur_client *client = support_client();
    kur_admin *admin = kur_admin_new(client, &error);
    ck_ok(kur_admin_create_topics(admin, &KUR_TOPIC_SPEC(.name = topic, .partitions = 1, .max_message_bytes = 1000), 1,
                                  WAIT_MS, &error),
          error);
    kur_producer *producer = kur_producer_new(
        client, &KUR_PRODUCER_OPTIONS(.transactional_id = support_name("id"), .dispatch = KUR_DISPATCH_CALLER), &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    ck_ok(kur_transaction_init(producer, WAIT_MS, &error), error);
    ck_ok(kur_transaction_begin(producer, &error), error);
    kur_message message =
        KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(0), .value = {.data = large, .size = sizeof large});
    kur_status status = KUR_OK;
    for (int64_t until_us = kur_clock_monotonic_us() + WAIT_MS * INT64_C(1000);
         status == KUR_OK && kur_clock_monotonic_us() < until_us; usleep(1000))
        status = kur_producer_send(producer, &message, &error);
    ck_status(status, KUR_ERROR_MUST_ABORT, error);
    ck_assert(error.retriable && !error.fatal); /* the cause is told by the commit */
    ck_status(kur_transaction_commit(producer, WAIT_MS, &error), KUR_ERROR_MUST_ABORT, error);
    ck_assert_int_eq(kur_status_of_kafka(error.kafka_code), KUR_ERROR_TOO_LARGE);
    ck_assert(!error.retriable);
    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_MUST_ABORT, error);
    ck_ok(kur_transaction_abort(producer, WAIT_MS, &error), error);
    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_INVALID_STATE, error);
    ck_ok(kur_transaction_run(&producer, send_one, (void *)topic, WAIT_MS, &error), error);
    ck_readers_see(client, topic, "end");
    kur_producer_free(producer);
    kur_admin_free(admin);
    kur_client_unref(client);
}
END_TEST

/* ---- Run ---- */

struct job {
    const char *topic;
    int calls;
    int failures; /* of the first calls */
    kur_status status;
};

static kur_status work(kur_producer *producer, void *user, kur_error *error)
{
    struct job *job = user;
    const char *value = job->calls < job->failures ? "aborted" : "end";
    kur_status status = kur_producer_send(
        producer, &KUR_MESSAGE(.topic = job->topic, .partition = KUR_PARTITION(0), .value = kur_bytes_text(value)),
        error);
    if (status != KUR_OK) /* what an aborted one had left on its way has failed this one */
        return status;
    return job->calls++ < job->failures ? kur_error_set(error, job->status, "not yet") : KUR_OK;
}

static kur_status work_without_reason(kur_producer *producer, void *user, kur_error *error)
{
    (void)producer, (void)user, (void)error;
    return KUR_ERROR_CANCELLED;
}

START_TEST(test_transaction__run_repeats_what_may_pass)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer =
        kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.transactional_id = support_name("id")), &error);
    struct job job = {.topic = support_topic(1), .failures = 2, .status = KUR_ERROR_QUEUE_FULL};
    ck_ok(kur_transaction_run(&producer, work, &job, WAIT_MS, &error), error);
    ck_assert_int_eq(job.calls, 3);

    struct job broken = {.topic = job.topic, .failures = 99, .status = KUR_ERROR_CONSTRAINT};
    ck_status(kur_transaction_run(&producer, work, &broken, WAIT_MS, &error), KUR_ERROR_CONSTRAINT, error);
    ck_says(error, "not yet");
    ck_assert_int_eq(broken.calls, 1);
    ck_status(kur_transaction_run(&producer, work_without_reason, NULL, WAIT_MS, &error), KUR_ERROR_CANCELLED, error);

    struct job stubborn = {.topic = job.topic, .failures = 99, .status = KUR_ERROR_TIMEOUT};
    ck_status(kur_transaction_run(&producer, work, &stubborn, 5000, &error), KUR_ERROR_TIMEOUT, error);
    ck_assert_int_gt(stubborn.calls, 1);
    ck_ok(kur_transaction_run(&producer, work, &job, WAIT_MS, &error), error);
    ck_readers_see(client, job.topic, "end end");
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_transaction__the_embedded_broker_has_none,
                                  test_transaction__nobody_answers,
                                  test_transaction__wrong_options_are_named,
                                  test_transaction__null_and_without_id,
                                  test_transaction__seen_whole_or_not_at_all,
                                  test_transaction__misuse_changes_nothing,
                                  test_transaction__results_come_where_they_always_do,
                                  test_transaction__a_failed_record_fails_it,
                                  test_transaction__failed_before_it_is_told,
                                  test_transaction__a_second_instance_fences_the_first,
                                  test_transaction__too_late_is_not_fenced,
                                  test_transaction__run_repeats_what_may_pass,
                                  NULL};
    int status = check_main("transaction", tests);
    support_stop();
    return status;
}
