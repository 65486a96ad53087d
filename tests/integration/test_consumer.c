/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../consuming.h"
#include "../shop.h"

#define client consuming_client()

START_TEST(test_consumer__batches_keep_the_order_of_a_partition)
{
    kur_error error = {0};
    const char *topic = support_topic(2);
    produce(topic, 0, 0, 500);
    produce(topic, 1, 0, 500);
    kur_consumer *consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = support_name("g")));
    int expected[2] = {0, 0};
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (expected[0] + expected[1] < 1000 && kur_clock_monotonic_us() < deadline) {
        kur_record *records[64];
        size_t count = 0;
        ck_ok(kur_consumer_poll_batch(consumer, 500, records, 64, &count, &error), error);
        ck_assert_uint_le(count, 64);
        for (size_t i = 0; i < count; i++) {
            int partition = kur_record_partition(records[i]);
            ck_assert_str_eq(kur_record_topic(records[i]), topic);
            ck_assert_int_eq(kur_record_offset(records[i]), expected[partition]);
            ck_assert_int_eq(number(records[i]), expected[partition]++);
        }
        kur_consumer_free_records(consumer, records, count);
    }
    ck_assert_int_eq(expected[0], 500);
    ck_assert_int_eq(expected[1], 500);
    int64_t position = -1;
    ck_ok(kur_consumer_position(consumer, topic, 1, &position, &error), error);
    ck_assert_int_eq(position, 500);
    ck_status(kur_consumer_position(consumer, topic, 2, &position, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    kur_consumer_free(consumer);
}
END_TEST

/* How long the rest of some records takes once the first of them are there, polling for `capacity`: at its fastest. */
static int64_t time_of_the_rest(kur_consumer *consumer, const char *topic, size_t capacity)
{
    enum {
        TIMES = 10,
        RECORDS = 20
    };
    kur_error error = {0};
    int64_t least_us = INT64_MAX;
    for (int i = 0; i < TIMES; i++) {
        kur_record *records[RECORDS];
        int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US, first_us = 0;
        produce(topic, 0, i * RECORDS, RECORDS);
        for (int have = 0; have < RECORDS;) {
            size_t count = 0;
            ck_ok(kur_consumer_poll_batch(consumer, 5000, records, capacity, &count, &error), error);
            for (size_t j = 0; j < count; j++)
                ck_assert_int_eq(number(records[j]), i * RECORDS + have++);
            kur_consumer_free_records(consumer, records, count);
            ck_assert_msg(kur_clock_monotonic_us() < deadline, "only %d of %d records came", have, RECORDS);
            if (count > 0 && first_us == 0)
                first_us = kur_clock_monotonic_us();
        }
        int64_t took_us = kur_clock_monotonic_us() - first_us;
        least_us = took_us < least_us ? took_us : least_us;
    }
    return least_us;
}

START_TEST(test_consumer__a_batch_does_not_wait_to_be_full)
{
    const char *topic = support_topic(1);
    kur_consumer *consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = support_name("g")));
    /* A wait for the second batch to be full would be one of half a second or more, each of the ten times. */
    int64_t least_us = time_of_the_rest(consumer, topic, 15);
    ck_assert_msg(least_us < 400000, "%lld us in batches", (long long)least_us);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer__goes_on_where_the_group_has_committed)
{
    kur_error error = {0};
    const char *topic = support_topic(1), *group = support_name("g");
    produce(topic, 0, 0, 10);
    kur_consumer *consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group));
    for (int i = 0; i < 5; i++)
        drop(consumer, next(consumer));

    kur_arena *arena = kur_arena_new();
    kur_position position = KUR_POSITION(.topic = topic);
    ck_ok(kur_consumer_committed(consumer, &position, arena, 30000, &error), error);
    ck_assert_int_eq(position.offset, -1);
    ck_assert_ptr_null(position.metadata);
    position.offset = 3;
    position.metadata = "what is finished above: 4";
    ck_ok(kur_consumer_commit(consumer, &position, 1, 30000, &error), error);
    position.offset = 0;
    position.metadata = NULL;
    ck_ok(kur_consumer_committed(consumer, &position, arena, 30000, &error), error);
    ck_assert_int_eq(position.offset, 3);
    ck_assert_str_eq(position.metadata, "what is finished above: 4");

    /* Never backwards, never what is not assigned, never more metadata than brokers take. */
    position.offset = 2;
    ck_status(kur_consumer_commit(consumer, &position, 1, 30000, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "behind 3");
    position.offset = 4;
    position.partition = 7;
    ck_status(kur_consumer_commit(consumer, &position, 1, 30000, &error), KUR_ERROR_NOT_COMMITTED, error);
    ck_says(error, "[7] is not assigned");
    char metadata[4098];
    memset(metadata, 'm', sizeof metadata);
    metadata[4097] = '\0';
    position.partition = 0;
    position.metadata = metadata;
    ck_status(kur_consumer_commit(consumer, &position, 1, 30000, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "metadata");
    position.metadata = "\xff";
    ck_status(kur_consumer_commit(consumer, &position, 1, 30000, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "not UTF-8");
    position.metadata = metadata;
    metadata[4096] = '\0';
    ck_ok(kur_consumer_commit(consumer, &position, 1, 30000, &error), error);
    kur_consumer_free(consumer);

    consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group));
    kur_record *record = next(consumer);
    ck_assert_int_eq(number(record), 4);
    drop(consumer, record);
    kur_consumer_free(consumer);
    kur_arena_free(arena);
}
END_TEST

struct watched {
    int assigned, revoked, lost;
    size_t partitions;
    int64_t commit_at_revoke; /* -1: no commit */
    kur_status committed;
};

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *partitions, size_t count,
                         void *user)
{
    struct watched *watched = user;
    /* All of them, or what moves, as the group's protocol has it. */
    watched->partitions += what == KUR_ASSIGNED ? count : -count;
    watched->assigned += what == KUR_ASSIGNED;
    watched->revoked += what == KUR_REVOKED;
    watched->lost += what == KUR_LOST;
    if (what == KUR_REVOKED && watched->commit_at_revoke >= 0) {
        kur_error error = {0};
        kur_position position = partitions[0];
        position.offset = watched->commit_at_revoke;
        watched->committed = kur_consumer_commit(consumer, &position, 1, 10000, &error);
    }
}

START_TEST(test_consumer__tells_of_rebalances)
{
    kur_error error = {0};
    const char *topic = support_topic(4), *group = support_name("g");
    struct watched one = {.commit_at_revoke = -1}, two = {.commit_at_revoke = -1};
    kur_consumer *first =
        consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group, .on_rebalance = on_rebalance, .user = &one));
    kur_record *record = NULL;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (one.partitions != 4 && kur_clock_monotonic_us() < deadline)
        ck_ok(kur_consumer_poll(first, 100, &record, &error), error);
    ck_assert_uint_eq(one.partitions, 4);

    kur_consumer *second =
        consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group, .on_rebalance = on_rebalance, .user = &two));
    deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while ((one.partitions != 2 || two.partitions != 2) && kur_clock_monotonic_us() < deadline) {
        ck_ok(kur_consumer_poll(first, 100, &record, &error), error);
        ck_ok(kur_consumer_poll(second, 100, &record, &error), error);
    }
    ck_assert_uint_eq(one.partitions, 2);
    ck_assert_uint_eq(two.partitions, 2);
    ck_assert_int_ge(one.revoked, 1);

    /* A member that leaves is told, and may still commit. */
    two.commit_at_revoke = 0;
    two.committed = KUR_ERROR_GAP;
    ck_ok(kur_consumer_close(second, &error), error);
    ck_assert_int_eq(two.committed, KUR_OK);
    ck_assert_int_ge(two.revoked, 1);
    ck_ok(kur_consumer_close(second, &error), error);
    ck_status(kur_consumer_poll(second, 0, &record, &error), KUR_ERROR_CLOSED, error);
    ck_status(kur_consumer_subscribe(second, (const char *const[]){topic, NULL}, &error), KUR_ERROR_CLOSED, error);
    kur_consumer_free(second);
    deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (one.partitions != 4 && kur_clock_monotonic_us() < deadline)
        ck_ok(kur_consumer_poll(first, 100, &record, &error), error);
    ck_assert_uint_eq(one.partitions, 4);
    kur_consumer_free(first);
}
END_TEST

START_TEST(test_consumer__starts_at_the_end_when_asked)
{
    kur_error error = {0};
    const char *topic = support_topic(1);
    produce(topic, 0, 0, 10);
    struct watched watched = {.commit_at_revoke = -1};
    kur_consumer *consumer =
        consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = support_name("g"), .start = KUR_START_LATEST,
                                                 .on_rebalance = on_rebalance, .user = &watched));
    /* Only once the position is known to be at the end does a new record tell anything. */
    kur_record *record = NULL;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    for (int i = 100; record == NULL && kur_clock_monotonic_us() < deadline; i++) {
        ck_ok(kur_consumer_poll(consumer, 200, &record, &error), error);
        if (watched.assigned > 0 && record == NULL)
            produce(topic, 0, i, 1);
    }
    ck_assert_ptr_nonnull(record);
    ck_assert_int_ge(number(record), 100);
    drop(consumer, record);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer__finds_a_topic_that_is_made_later)
{
    skip_unless(support_is_real(), "the embedded broker makes every topic on first sight");
    kur_error error = {0};
    const char *topics[] = {support_topic(1), support_name("later"), NULL};
    struct watched watched = {.commit_at_revoke = -1};
    kur_consumer *consumer = kur_consumer_new(
        client, &KUR_CONSUMER_OPTIONS(.group = support_name("g"), .on_rebalance = on_rebalance, .user = &watched),
        &error);
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    kur_record *record = NULL;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (watched.assigned == 0 && kur_clock_monotonic_us() < deadline) {
        kur_status status = kur_consumer_poll(consumer, 100, &record, &error);
        ck_assert(status == KUR_OK || status == KUR_ERROR_UNKNOWN_TOPIC);
    }
    ck_assert_int_eq(watched.assigned, 1);
    support_create(topics[1], 1);
    produce(topics[1], 0, 7, 1);
    deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (record == NULL && kur_clock_monotonic_us() < deadline) {
        kur_status status = kur_consumer_poll(consumer, 1000, &record, &error);
        ck_assert(status == KUR_OK || status == KUR_ERROR_UNKNOWN_TOPIC);
    }
    ck_assert_ptr_nonnull(record);
    ck_assert_int_eq(number(record), 7);
    drop(consumer, record);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer__a_position_that_is_gone_is_a_gap)
{
    kur_error error = {0};
    const char *topic = support_topic(1), *group = support_name("g");
    produce(topic, 0, 0, 10);
    kur_consumer *consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group));
    drop(consumer, next(consumer));
    /* Beyond the end: as if the topic had been made anew with fewer records. */
    kur_position position = KUR_POSITION(.topic = topic, .offset = 1000);
    ck_ok(kur_consumer_commit(consumer, &position, 1, 30000, &error), error);
    kur_consumer_free(consumer);

    consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group));
    kur_record *record = NULL;
    kur_status status = KUR_OK;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (status == KUR_OK && record == NULL && kur_clock_monotonic_us() < deadline)
        status = kur_consumer_poll(consumer, 1000, &record, &error);
    ck_assert_msg(record == NULL, "a record was delivered past a gap");
    ck_status(status, KUR_ERROR_GAP, error);
    ck_says(error, topic);
    ck_says(error, "1000");
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer__records_outlive_it)
{
    kur_error error = {0};
    const char *topic = support_topic(1);
    kur_header header = {"trace", kur_bytes_text("t-1")};
    ck_ok(kur_producer_send_wait(kur_client_producer(client, &error),
                                 &KUR_MESSAGE(.topic = topic, .key = kur_bytes_text("k"), .tombstone = true,
                                              .headers = &header, .header_count = 1,
                                              .timestamp_us = support_hour_ago_us() + 123000),
                                 30000, NULL, &error),
          error);
    kur_consumer *consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = support_name("g")));
    kur_record *record = next(consumer);
    kur_consumer_free(consumer);

    ck_assert(kur_bytes_equal(kur_record_key(record), kur_bytes_text("k")));
    ck_assert_ptr_null(kur_record_value(record).data);
    ck_assert_int_eq(kur_record_timestamp_us(record), support_hour_ago_us() + 123000);
    ck_assert_uint_eq(kur_record_header_count(record), 1);
    kur_header got = {0};
    ck_assert(kur_record_header(record, 0, &got));
    ck_assert_str_eq(got.name, "trace");
    ck_assert(kur_bytes_equal(got.value, kur_bytes_text("t-1")));
    ck_assert(!kur_record_header(record, 1, &got));
    kur_bytes value;
    ck_assert(kur_record_header_last(record, "trace", &value));
    ck_assert(!kur_record_header_last(record, "Trace", &value));
    drop(consumer, record);
}
END_TEST

START_TEST(test_consumer__reads_typed_events)
{
    kur_error error = {0};
    const char *topic = support_topic(1);
    KUR_ITEM(order_created, lines)
    lines[] = {{.sku = "tea", .quantity = 2, .price = 150}, {.sku = "milk", .quantity = 1}};
    struct order_created order = {.order_id = "o-1", .placed_at = 1000000, .lines = {lines, 2}, .coupon = {true, "X"}};
    const kur_header tenant = {"tenant", kur_bytes_text("acme")};
    for (int structured = 0; structured < 2; structured++)
        ck_ok(order_created_publish_wait(
                  kur_client_producer(client, &error), &order,
                  &KUR_PUBLISH_OPTIONS(.topic = topic, .subject = "o-1", .extensions = &tenant, .extension_count = 1,
                                       .mode = structured ? KUR_EVENT_STRUCTURED : KUR_EVENT_BINARY),
                  30000, NULL, &error),
              error);
    kur_consumer *consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = support_name("g")));
    kur_arena *arena = kur_arena_new();
    for (int structured = 0; structured < 2; structured++) {
        kur_record *record = next(consumer);
        kur_event_view view = KUR_EVENT_VIEW();
        ck_ok(kur_event_read(record, arena, &view, &error), error);
        ck_assert_int_eq(view.mode, structured ? KUR_EVENT_STRUCTURED : KUR_EVENT_BINARY);
        ck_assert(kur_event_is(&view, &order_created_type));
        ck_assert_str_eq(view.source, "/tests");
        ck_assert_str_eq(view.subject, "o-1");
        ck_assert_str_eq(view.correlation_id, view.id);
        ck_assert_ptr_null(view.causation_id);
        ck_assert_str_eq(kur_event_extension(&view, "tenant"), "acme");
        ck_assert(kur_bytes_equal(view.key, kur_bytes_text("o-1")));
        ck_assert_int_eq(view.offset, structured);
        struct order_created back;
        ck_ok(order_created_read(&view, arena, &back, &error), error);
        ck_assert_int_eq(order_created_compare(&order, &back), 0);
        drop(consumer, record);
    }
    kur_arena_free(arena);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer__refuses_with_a_name)
{
    kur_error error = {0};
    const struct {
        kur_consumer_options options;
        const char *says;
    } wrong[] = {
        {KUR_CONSUMER_OPTIONS(.start = KUR_START_LATEST), ".group"},
        {KUR_CONSUMER_OPTIONS(.group = ""), ".group"},
        {KUR_CONSUMER_OPTIONS(.group = "\xff"), ".group"},
        {KUR_CONSUMER_OPTIONS(.group = "g", .start = (kur_start)9), ".start"},
        {KUR_CONSUMER_OPTIONS(.group = "g", .session_timeout_ms = -1), ".session_timeout_ms"},
        {KUR_CONSUMER_OPTIONS(.group = "g", .max_poll_interval_ms = -1), ".max_poll_interval_ms"},
        {KUR_CONSUMER_OPTIONS(.group = "g", .session_timeout_ms = 2000000000), "session.timeout.ms"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        error = (kur_error){0};
        ck_assert_ptr_null(kur_consumer_new(client, &wrong[i].options, &error));
        ck_assert_int_ne(error.code, KUR_OK);
        ck_says(error, wrong[i].says);
    }
    error = (kur_error){0};
    ck_assert_ptr_null(kur_consumer_new(NULL, &wrong[0].options, &error));
    ck_says(error, "client");

    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = support_name("g")), &error);
    ck_status(kur_consumer_subscribe(consumer, (const char *const[]){NULL}, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "topics");
    ck_status(kur_consumer_subscribe(consumer, (const char *const[]){"fine", "not fine", NULL}, &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "topics[1]");
    kur_record *record = NULL;
    size_t count = 0;
    ck_status(kur_consumer_poll(consumer, -1, &record, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "timeout_ms");
    count = 3; /* of a poll before: who frees so many frees none twice */
    ck_status(kur_consumer_poll_batch(consumer, 0, &record, 0, &count, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_uint_eq(count, 0);
    ck_says(error, "capacity");
    kur_position position = KUR_POSITION(.topic = "t", .offset = -2);
    ck_status(kur_consumer_commit(consumer, &position, 1, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "positions[0]");
    position.size = 0;
    ck_status(kur_consumer_commit(consumer, &position, 1, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "size");
    ck_ok(kur_consumer_commit(consumer, NULL, 0, 0, &error), error);
#define NULL_IS_NAMED(call, name)                                                                                      \
    error = (kur_error){0};                                                                                            \
    ck_status(call, KUR_ERROR_INVALID_ARGUMENT, error);                                                                \
    ck_says(error, name)
    NULL_IS_NAMED(kur_consumer_subscribe(consumer, NULL, &error), "topics");
    NULL_IS_NAMED(kur_consumer_subscribe(NULL, NULL, &error), "consumer");
    NULL_IS_NAMED(kur_consumer_poll(consumer, 0, NULL, &error), "record");
    NULL_IS_NAMED(kur_consumer_poll(NULL, 0, &record, &error), "consumer");
    NULL_IS_NAMED(kur_consumer_poll_batch(consumer, 0, NULL, 1, &count, &error), "records");
    NULL_IS_NAMED(kur_consumer_poll_batch(consumer, 0, &record, 1, NULL, &error), "count");
    NULL_IS_NAMED(kur_consumer_commit(consumer, NULL, 1, 0, &error), "positions");
    NULL_IS_NAMED(kur_consumer_commit(NULL, NULL, 0, 0, &error), "consumer");
    NULL_IS_NAMED(kur_consumer_committed(consumer, NULL, NULL, 0, &error), "position");
    NULL_IS_NAMED(kur_consumer_position(consumer, NULL, 0, NULL, &error), "topic");
    NULL_IS_NAMED(kur_consumer_close(NULL, &error), "consumer");
    kur_consumer_free_records(NULL, NULL, 3);
    kur_consumer_free(NULL);
    ck_assert_ptr_null(kur_record_topic(NULL));
    ck_assert_ptr_null(kur_record_value(NULL).data);
    ck_assert_uint_eq(kur_record_header_count(NULL), 0);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer__broker_absent)
{
    kur_error error = {0};
    kur_client *alone = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY), &error);
    kur_consumer *consumer = kur_consumer_new(alone, &KUR_CONSUMER_OPTIONS(.group = "g"), &error);
    kur_client_unref(alone);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, (const char *const[]){"t", NULL}, &error), error);
    kur_record *record = NULL;
    ck_ok(kur_consumer_poll(consumer, 300, &record, &error), error);
    ck_assert_ptr_null(record);
    kur_arena *arena = kur_arena_new();
    kur_position position = KUR_POSITION(.topic = "t");
    ck_status(kur_consumer_committed(consumer, &position, arena, 4000, &error), KUR_ERROR_TIMEOUT, error);
    ck_says(error, "127.0.0.1:1");
    kur_arena_free(arena);
    kur_consumer_free(consumer);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_consumer__batches_keep_the_order_of_a_partition,
                                  test_consumer__a_batch_does_not_wait_to_be_full,
                                  test_consumer__goes_on_where_the_group_has_committed,
                                  test_consumer__tells_of_rebalances,
                                  test_consumer__starts_at_the_end_when_asked,
                                  test_consumer__finds_a_topic_that_is_made_later,
                                  test_consumer__a_position_that_is_gone_is_a_gap,
                                  test_consumer__records_outlive_it,
                                  test_consumer__reads_typed_events,
                                  test_consumer__refuses_with_a_name,
                                  test_consumer__broker_absent,
                                  NULL};
    int status = check_main("consumer", tests);
    consuming_stop();
    return status;
}
