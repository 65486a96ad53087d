/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Positions that the log no longer has, made for real: by deleting records, by the embedded broker's limit of 5 MB, by
 * making a topic anew under a consumer that runs.
 */
#include <kurier/librdkafka.h>
#include <stdio.h>
#include <string.h>

#include "../consuming.h"
#include "kafka/consumer.h"

struct told {
    int gaps;
    kur_status code;
    int32_t partition;
    int64_t offset, low, high;
    char message[512];
    bool goes_on; /* at the start of the log, at once */
};

static void on_gap(kur_consumer *consumer, const kur_gap *gap, void *user)
{
    struct told *told = user;
    kur_error error = {0};
    told->gaps++;
    told->code = gap->code;
    told->partition = gap->partition;
    told->offset = gap->offset;
    told->low = gap->low;
    told->high = gap->high;
    snprintf(told->message, sizeof told->message, "%s", gap->message);
    if (told->goes_on)
        ck_ok(kur_consumer_seek(consumer, gap->topic, gap->partition, gap->low, &error), error);
}

/* Drops what is before `low` from partition 0; the embedded broker keeps 5 MB, and a message says where it begins. */
static int64_t drop_before(const char *topic, int64_t low)
{
    kur_error error = {0};
    if (support_is_real()) {
        kur_admin *admin = kur_admin_new(consuming_client(), &error);
        kur_position before = KUR_POSITION(.topic = topic, .offset = low);
        ck_ok(kur_admin_delete_records(admin, &before, 1, 30000, &error), error);
        kur_admin_free(admin);
        return low;
    }
    static char much[100000];
    memset(much, 'x', sizeof much);
    kur_producer *producer = kur_client_producer(consuming_client(), &error);
    for (int i = 0; i < 80; i++) {
        ck_ok(kur_producer_send(
                  producer,
                  &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(0), .value = kur_bytes_of(much, sizeof much)),
                  &error),
              error);
        if (i % 5 == 0) /* several batches, which go one by one */
            ck_ok(kur_producer_flush(producer, 30000, &error), error);
    }
    ck_ok(kur_producer_flush(producer, 30000, &error), error);
    int64_t high;
    kur_consumer *asks = kur_consumer_new(consuming_client(), &KUR_CONSUMER_OPTIONS(.group = "asks"), &error);
    ck_ok(kur_consumer_watermarks(asks, topic, 0, 30000, &low, &high, &error), error);
    kur_consumer_free(asks);
    return low;
}

START_TEST(test_consumer_gap__what_was_committed_is_gone)
{
    kur_error error = {0};
    const char *topic = support_topic(1), *group = support_name("g");
    produce(topic, 0, 0, 10);
    kur_consumer *consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group));
    expect(consumer, 0);
    kur_position position = KUR_POSITION(.topic = topic, .offset = 1);
    ck_ok(kur_consumer_commit(consumer, &position, 1, 30000, &error), error);
    kur_consumer_free(consumer);
    int64_t low = drop_before(topic, 6);
    ck_assert_int_gt(low, 1);

    struct told told = {.goes_on = true};
    consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group, .on_gap = on_gap, .user = &told));
    kur_record *record = next(consumer);
    ck_assert_int_eq(told.gaps, 1);
    ck_assert_int_eq(told.code, KUR_ERROR_GAP);
    ck_assert_int_eq(told.offset, 1);
    ck_assert_int_eq(told.low, low);
    ck_assert_int_ge(told.high, 10);
    ck_assert_ptr_nonnull(strstr(told.message, topic));
    ck_assert_int_eq(kur_record_offset(record), low);
    drop(consumer, record);
    kur_consumer_free(consumer);
}
END_TEST

/* Without a callback it is the poll's error, and a seek ends it. */
START_TEST(test_consumer_gap__is_an_error_until_a_seek)
{
    kur_error error = {0};
    const char *topic = support_topic(2), *group = support_name("g");
    produce(topic, 0, 0, 10);
    produce(topic, 1, 100, 3);
    kur_consumer *consumer = consumer_of(NULL, &KUR_CONSUMER_OPTIONS(.group = group));
    kur_position both[] = {KUR_POSITION(.topic = topic, .offset = 1000), KUR_POSITION(.topic = topic, .partition = 1)};
    ck_ok(kur_consumer_assign(consumer, both, 2, &error), error);
    kur_record *record = NULL;
    kur_status status = KUR_OK;
    int others = 0;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while ((status == KUR_OK || others < 3) && kur_clock_monotonic_us() < deadline) {
        kur_error why = {0};
        kur_status now = kur_consumer_poll(consumer, 100, &record, &why);
        if (now != KUR_OK) {
            ck_assert_int_eq(status, KUR_OK);
            status = now;
            error = why;
        } else if (record != NULL) {
            ck_assert_int_eq(number(record), 100 + others++);
            drop(consumer, record);
        }
    }
    ck_status(status, KUR_ERROR_GAP, error);
    ck_says(error, topic);
    ck_says(error, "[0] at offset 1000");
    ck_says(error, "the log holds 0 to 10");
    ck_assert_int_eq(others, 3);
    ck_ok(kur_consumer_poll(consumer, 300, &record, &error), error);
    ck_assert_ptr_null(record);
    int64_t offset = -1;
    ck_ok(kur_consumer_position(consumer, topic, 0, &offset, &error), error);
    ck_assert_int_eq(offset, 1000);
    ck_ok(kur_consumer_seek(consumer, topic, 0, 8, &error), error);
    expect(consumer, 8);
    expect(consumer, 9);
    kur_consumer_free(consumer);
}
END_TEST

/* The same in a group, whose assignments are whole: the other partition goes on where it was. */
START_TEST(test_consumer_gap__one_of_a_group_starts_again)
{
    kur_error error = {0};
    const char *topic = support_topic(2), *group = support_name("g");
    produce(topic, 0, 0, 10);
    produce(topic, 1, 100, 50);
    struct told told = {.goes_on = true};
    kur_consumer *consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group, .on_gap = on_gap, .user = &told));
    int expected[2] = {0, 100};
    for (bool is_far = false; expected[0] < 10 || expected[1] < 150;) {
        kur_record *record = next(consumer);
        int partition = kur_record_partition(record);
        ck_assert_int_eq(number(record), expected[partition]++);
        drop(consumer, record);
        if (!is_far && expected[0] == 3) {
            ck_ok(kur_consumer_seek(consumer, topic, 0, 5000, &error), error);
            is_far = true;
            expected[0] = 0; /* the log's start, which on_gap chooses */
        }
    }
    ck_assert_int_eq(told.gaps, 1);
    ck_assert_int_eq(told.offset, 5000);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer_gap__a_topic_made_anew_under_it)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    kur_error error = {0};
    const char *topic = support_topic(1);
    produce(topic, 0, 0, 10);
    struct told told = {.goes_on = true};
    kur_consumer *consumer =
        consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = support_name("g"), .on_gap = on_gap, .user = &told));
    for (int i = 0; i < 10; i++)
        expect(consumer, i);
    kur_admin *admin = kur_admin_new(consuming_client(), &error);
    ck_ok(kur_admin_delete_topics(admin, (const char *const[]){topic, NULL}, 30000, &error), error);
    kur_admin_free(admin);
    int64_t deadline = kur_clock_monotonic_us() + 2 * PATIENCE_US;
    bool is_made = false;
    kur_record *record = NULL;
    /* Some time between the two, in which polls say that the topic is not there. */
    while (record == NULL && kur_clock_monotonic_us() < deadline) {
        kur_status status = kur_consumer_poll(consumer, 500, &record, &error);
        ck_assert_msg(status == KUR_OK || status == KUR_ERROR_UNKNOWN_TOPIC, "%s", error.message);
        if (is_made)
            continue;
        is_made = true;
        support_create(topic, 1);
        produce(topic, 0, 500, 3);
    }
    ck_assert_msg(record != NULL, "no record of the new topic");
    ck_assert_int_eq(number(record), 500);
    ck_assert_int_eq(told.gaps, 1);
    ck_assert_int_eq(told.offset, 10);
    drop(consumer, record);
    kur_consumer_free(consumer);
}
END_TEST

/* librdkafka goes on behind what it cannot read: here the partition stands, and what came behind is not given. */
START_TEST(test_consumer_gap__records_that_cannot_be_read)
{
    kur_error error = {0};
    const char *topic = support_topic(1);
    produce(topic, 0, 0, 10);
    struct told told = {0};
    kur_consumer *consumer =
        consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = support_name("g"), .on_gap = on_gap, .user = &told));
    expect(consumer, 0);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(kur_consumer_librdkafka(consumer), topic, NULL);
    rd_kafka_message_t bad = {.err = RD_KAFKA_RESP_ERR__BAD_MSG, .rkt = handle, .partition = 0, .offset = 1};
    kur__consumer_take_error(consumer, &bad);
    rd_kafka_topic_destroy(handle);
    kur_record *record = NULL;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (told.gaps == 0 && kur_clock_monotonic_us() < deadline) {
        ck_ok(kur_consumer_poll(consumer, 100, &record, &error), error);
        ck_assert_ptr_null(record);
    }
    ck_assert_int_eq(told.code, KUR_ERROR_SYNTAX);
    ck_assert_int_eq(told.offset, 1);
    ck_assert_int_eq(told.high, 10);
    ck_ok(kur_consumer_seek(consumer, topic, 0, 2, &error), error);
    expect(consumer, 2);
    expect(consumer, 3);
    kur_consumer_free(consumer);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_consumer_gap__what_was_committed_is_gone,  test_consumer_gap__is_an_error_until_a_seek,
        test_consumer_gap__one_of_a_group_starts_again, test_consumer_gap__a_topic_made_anew_under_it,
        test_consumer_gap__records_that_cannot_be_read, NULL};
    int status = check_main("consumer_gap", tests);
    consuming_stop();
    return status;
}
