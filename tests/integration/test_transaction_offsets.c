/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Consumed offsets in transactions: with metadata, from the consumer's thread to another, and refused when the group
 * has moved on.
 */
#include <kurier/kurier.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../support.h"
#include "../transactions.h"

enum {
    METADATA_MAX = 4096,
    MANY = 300 /* partitions whose metadata are more than a request may hold */
};

static char *long_text(size_t size)
{
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'm', size);
    text[size] = '\0';
    return text;
}

START_TEST(test_transaction_offsets__move_with_the_commit)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(1), *out = support_topic(1), *metadata;
    kur_client *client = support_client();
    kur_producer *producer = transactional(client, support_name("id"));
    for (int i = 0; i < 3; i++)
        send_committed(producer, topic, "v");
    kur_consumer *consumer = member(client, support_name("g"), topic, 3);
    kur_group_metadata *group = kur_consumer_group_metadata(consumer, &error);
    ck_assert_msg(group != NULL, "%s", error.message);
    char *text = long_text(METADATA_MAX), *too_long = long_text(METADATA_MAX + 1);

    ck_ok(kur_transaction_begin(producer, &error), error);
    send_value(producer, out, "end");
    kur_position position = KUR_POSITION(.topic = topic, .offset = 1, .metadata = "first");
    ck_ok(kur_transaction_send_offsets(producer, &position, 1, group, WAIT_MS, &error), error);
    position.offset = 2;
    position.metadata = text;
    ck_ok(kur_transaction_send_offsets(producer, &position, 1, group, WAIT_MS, &error), error);
    ck_ok(kur_transaction_send_offsets(producer, NULL, 0, group, WAIT_MS, &error), error);
    /* What is refused here leaves it open. */
    position.metadata = too_long;
    ck_status(kur_transaction_send_offsets(producer, &position, 1, group, WAIT_MS, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_says(error, "positions[0]");
    ck_ok(kur_transaction_commit(producer, WAIT_MS, &error), error);
    ck_assert_int_eq(committed(consumer, topic, &metadata), 2);
    ck_assert_str_eq(metadata, text);

    ck_ok(kur_transaction_begin(producer, &error), error);
    position = KUR_POSITION(.topic = topic, .offset = 3);
    ck_ok(kur_transaction_send_offsets(producer, &position, 1, group, WAIT_MS, &error), error);
    ck_ok(kur_transaction_abort(producer, WAIT_MS, &error), error);
    ck_assert_int_eq(committed(consumer, topic, NULL), 2);

    free(text);
    free(too_long);
    kur_consumer_free(consumer);
    kur_group_metadata_free(group); /* may outlive it */
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_transaction_offsets__more_than_a_request_holds)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(MANY), *metadata;
    kur_client *client = support_client();
    kur_producer *producer = transactional(client, support_name("id"));
    kur_consumer *consumer = member(client, support_name("g"), topic, 0);
    kur_group_metadata *group = kur_consumer_group_metadata(consumer, &error);
    ck_assert_msg(group != NULL, "%s", error.message);
    char *text = long_text(METADATA_MAX);
    static kur_position positions[MANY];
    for (int i = 0; i < MANY; i++)
        positions[i] = KUR_POSITION(.topic = topic, .partition = MANY - 1 - i, .offset = 7 + i, .metadata = text);
    ck_ok(kur_transaction_begin(producer, &error), error);
    ck_ok(kur_transaction_send_offsets(producer, positions, MANY, group, WAIT_MS, &error), error);
    ck_ok(kur_transaction_commit(producer, WAIT_MS, &error), error);
    ck_assert_int_eq(committed(consumer, topic, &metadata), 7 + MANY - 1);
    ck_assert_str_eq(metadata, text);
    free(text);
    kur_group_metadata_free(group);
    kur_consumer_free(consumer);
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_transaction_offsets__mistakes_are_named)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(1);
    kur_client *client = support_client();
    kur_producer *producer = transactional(client, support_name("id"));

    /* Not a member yet: the broker would take such offsets unchecked. */
    kur_consumer *early = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = support_name("g")), &error);
    ck_assert_ptr_null(kur_consumer_group_metadata(early, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_STATE);
    ck_says(error, "not a member");
    kur_consumer_free(early);

    kur_consumer *consumer = member(client, support_name("g"), topic, 0);
    kur_group_metadata *group = kur_consumer_group_metadata(consumer, &error);
    kur_position position = KUR_POSITION(.topic = topic, .offset = 1);
    ck_status(kur_transaction_send_offsets(producer, &position, 1, group, WAIT_MS, &error), KUR_ERROR_INVALID_STATE,
              error);
    ck_ok(kur_transaction_begin(producer, &error), error);
    ck_status(kur_transaction_send_offsets(producer, NULL, 1, group, WAIT_MS, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_says(error, "positions");
    ck_status(kur_transaction_send_offsets(producer, &position, 1, NULL, WAIT_MS, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_says(error, "group");
    ck_status(kur_transaction_send_offsets(producer, &position, 1, group, -1, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_says(error, "timeout_ms");
    const kur_position wrong[] = {
        KUR_POSITION(.topic = NULL, .offset = 1),
        KUR_POSITION(.topic = "a b", .offset = 1),
        KUR_POSITION(.topic = topic, .partition = -1, .offset = 1),
        KUR_POSITION(.topic = topic, .offset = -1),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_status(kur_transaction_send_offsets(producer, &wrong[i], 1, group, WAIT_MS, &error),
                  KUR_ERROR_INVALID_ARGUMENT, error);
        ck_says(error, "positions[0]");
    }
    kur_position unsized = {.topic = topic, .offset = 1};
    ck_status(kur_transaction_send_offsets(producer, &unsized, 1, group, WAIT_MS, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_says(error, "KUR_POSITION");
    ck_ok(kur_transaction_send_offsets(producer, &position, 1, group, WAIT_MS, &error), error);
    ck_ok(kur_transaction_commit(producer, WAIT_MS, &error), error);
    ck_assert_int_eq(committed(consumer, topic, NULL), 1);

    ck_ok(kur_consumer_close(consumer, &error), error);
    ck_assert_ptr_null(kur_consumer_group_metadata(consumer, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_STATE);
    kur_group_metadata_free(group);
    kur_consumer_free(consumer);
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

/* ---- The group moves on ---- */

struct side {
    kur_producer *producer;
    const char *topic, *out;
    kur_group_metadata *group;
    kur_status sent, committed;
    kur_error error;
};

/* The transaction has a thread of its own; only what was captured goes there. */
static void *transact(void *user)
{
    struct side *side = user;
    kur_position position = KUR_POSITION(.topic = side->topic, .offset = 1);
    if (kur_transaction_begin(side->producer, &side->error) != KUR_OK)
        return NULL;
    send_value(side->producer, side->out, "zombie");
    side->sent = kur_transaction_send_offsets(side->producer, &position, 1, side->group, WAIT_MS, &side->error);
    kur_error later = {0};
    side->committed = kur_transaction_commit(side->producer, WAIT_MS, &later);
    return NULL;
}

static kur_status zombie_work(kur_producer *producer, void *user, kur_error *error)
{
    const struct side *side = user;
    kur_position position = KUR_POSITION(.topic = side->topic, .offset = 1);
    send_value(producer, side->out, "zombie");
    return kur_transaction_send_offsets(producer, &position, 1, side->group, WAIT_MS, error);
}

START_TEST(test_transaction_offsets__a_zombie_is_fenced)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    const char *topic = support_topic(1), *out = support_topic(1), *name = support_name("g");
    kur_client *client = support_client();
    struct side side = {.producer = transactional(client, support_name("id")), .topic = topic, .out = out};
    send_committed(side.producer, topic, "v");
    kur_consumer *consumer = member(client, name, topic, 1);
    side.group = kur_consumer_group_metadata(consumer, &error);
    ck_assert_msg(side.group != NULL, "%s", error.message);
    kur_consumer_free(consumer); /* it leaves, and its partition gets another owner */
    consumer = member(client, name, topic, 1);

    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, transact, &side), 0);
    pthread_join(thread, NULL);
    ck_status(side.sent, KUR_ERROR_MUST_ABORT, side.error);
    ck_assert_int_eq(kur_status_of_kafka(side.error.kafka_code), KUR_ERROR_NOT_COMMITTED);
    ck_assert(!side.error.retriable && !side.error.fatal);
    ck_says(side.error, "moved on");
    ck_assert_int_eq(side.committed, KUR_ERROR_MUST_ABORT);
    ck_ok(kur_transaction_abort(side.producer, WAIT_MS, &error), error);
    ck_status(kur_transaction_run(&side.producer, zombie_work, &side, WAIT_MS, &error), KUR_ERROR_MUST_ABORT, error);

    /* The same work with what is true now. */
    kur_group_metadata_free(side.group);
    side.group = kur_consumer_group_metadata(consumer, &error);
    ck_ok(kur_transaction_begin(side.producer, &error), error);
    kur_position position = KUR_POSITION(.topic = topic, .offset = 1);
    send_value(side.producer, out, "end");
    ck_ok(kur_transaction_send_offsets(side.producer, &position, 1, side.group, WAIT_MS, &error), error);
    ck_ok(kur_transaction_commit(side.producer, WAIT_MS, &error), error);
    ck_readers_see(client, out, "end");
    ck_assert_int_eq(committed(consumer, topic, NULL), 1);
    kur_group_metadata_free(side.group);
    kur_consumer_free(consumer);
    kur_producer_free(side.producer);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_transaction_offsets__move_with_the_commit, test_transaction_offsets__more_than_a_request_holds,
        test_transaction_offsets__mistakes_are_named, test_transaction_offsets__a_zombie_is_fenced, NULL};
    int status = check_main("transaction_offsets", tests);
    support_stop();
    return status;
}
