/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Members of groups: where partitions start, what rebalances say, patterns, static members, the newer protocols.
 */
#include <kurier/librdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../consuming.h"
#include "../failing.h"

struct told {
    int assigned, revoked, lost;
    int64_t offset[8], revoked_at[8];
    bool has[8], is_committed[8];
    int left; /* by the last that was revoked: the next may be told by the same poll */
    char metadata[64];
    int64_t seek_to;  /* in KUR_ASSIGNED, 0: nowhere */
    bool commit_lost; /* tries to */
    kur_status lost_commit;
};

static int count_of(const struct told *told)
{
    int count = 0;
    for (int i = 0; i < 8; i++)
        count += told->has[i];
    return count;
}

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *partitions, size_t count,
                         void *user)
{
    struct told *told = user;
    kur_error error = {0};
    told->assigned += what == KUR_ASSIGNED;
    told->revoked += what == KUR_REVOKED;
    told->lost += what == KUR_LOST;
    for (size_t i = 0; i < count; i++) {
        const kur_position *at = &partitions[i];
        told->has[at->partition] = what == KUR_ASSIGNED;
        if (what == KUR_ASSIGNED) {
            told->offset[at->partition] = at->offset;
            told->is_committed[at->partition] = at->is_committed;
            if (at->metadata != NULL)
                snprintf(told->metadata, sizeof told->metadata, "%s", at->metadata);
            if (told->seek_to > 0)
                ck_ok(kur_consumer_seek(consumer, at->topic, at->partition, told->seek_to, &error), error);
        } else {
            told->revoked_at[at->partition] = at->offset;
        }
        if (what == KUR_LOST && told->commit_lost) {
            kur_position position = KUR_POSITION(.topic = at->topic, .partition = at->partition, .offset = at->offset);
            told->lost_commit = kur_consumer_commit(consumer, &position, 1, 5000, &error);
        }
    }
    if (what == KUR_REVOKED)
        told->left = count_of(told);
}

#define WATCHED(group_, told_, ...)                                                                                    \
    &KUR_CONSUMER_OPTIONS(.group = (group_), .on_rebalance = on_rebalance, .user = (told_), __VA_ARGS__)

/* Polls two members in turn until a condition holds. */
#define poll_both(one, two, condition)                                                                                 \
    do {                                                                                                               \
        int64_t until_ = kur_clock_monotonic_us() + PATIENCE_US;                                                       \
        while (!(condition)) {                                                                                         \
            kur_error why_ = {0};                                                                                      \
            kur_consumer *members_[] = {one, two};                                                                     \
            ck_assert_msg(kur_clock_monotonic_us() < until_, "not in time: %s", #condition);                           \
            for (int m_ = 0; m_ < 2; m_++) {                                                                           \
                kur_record *got_ = NULL;                                                                               \
                ck_ok(kur_consumer_poll(members_[m_], 20, &got_, &why_), why_);                                        \
                if (got_ != NULL)                                                                                      \
                    drop(members_[m_], got_);                                                                          \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

/* The group is left whatever memory is missing: what is not told of that cannot be closed, or freed, at all. */
START_TEST(test_consumer_group__a_close_needs_no_memory)
{
    const char *topic = support_topic(1);
    const char *topics[] = {topic, NULL};
    bool fails = true;
    for (long nth = 1; fails; nth++) {
        kur_error error = {0};
        struct told told = {0};
        failing_begin(0, true);
        kur_client *client = support_client();
        kur_consumer *consumer =
            kur_consumer_new(client, WATCHED(support_name("g"), &told, .session_timeout_ms = 6000), &error);
        ck_assert_msg(consumer != NULL, "%s", error.message);
        ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
        poll_until(consumer, count_of(&told) == 1);
        failing_next(nth);
        ck_ok(kur_consumer_close(consumer, &error), error);
        fails = failing_has_failed();
        failing_rest();
        ck_assert_int_eq(told.revoked, 1);
        kur_consumer_free(consumer);
        kur_client_unref(client);
        failing_end();
    }
}
END_TEST

START_TEST(test_consumer_group__a_seek_in_the_callback_is_the_start)
{
    kur_error error = {0};
    const char *topic = support_topic(1), *group = support_name("g");
    produce(topic, 0, 0, 20);
    struct told told = {.seek_to = 15};
    kur_consumer *consumer = consumer_of(topic, WATCHED(group, &told, ));
    expect(consumer, 15);
    ck_assert_int_eq(told.offset[0], 0);
    ck_assert(!told.is_committed[0]);
    /* What it skipped is not committed by that, and can still be. */
    kur_position position = KUR_POSITION(.topic = topic, .offset = 3, .metadata = "15 is finished");
    ck_ok(kur_consumer_commit(consumer, &position, 1, 30000, &error), error);
    uint64_t generation = kur_consumer_generation(consumer);
    kur_consumer_close(consumer, &error);
    ck_assert_uint_gt(kur_consumer_generation(consumer), generation);
    ck_assert_int_eq(told.revoked, 1);
    ck_assert_int_eq(told.revoked_at[0], 16);
    kur_consumer_free(consumer);

    told = (struct told){0};
    consumer = consumer_of(topic, WATCHED(group, &told, ));
    expect(consumer, 3);
    ck_assert(told.is_committed[0]);
    ck_assert_int_eq(told.offset[0], 3);
    ck_assert_str_eq(told.metadata, "15 is finished");
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer_group__the_end_is_committed_where_it_was_the_start)
{
    kur_error error = {0};
    const char *topic = support_topic(2), *group = support_name("g");
    produce(topic, 0, 0, 10);
    struct told told = {0};
    kur_consumer *consumer = consumer_of(topic, WATCHED(group, &told, .start = KUR_START_LATEST));
    poll_until(consumer, told.assigned == 1);
    ck_assert_int_eq(told.offset[0], 10);
    ck_assert_int_eq(told.offset[1], 0);
    kur_consumer_free(consumer);
    produce(topic, 0, 10, 1);
    produce(topic, 1, 10, 1);

    /* What came while nobody was there is not passed over. */
    told = (struct told){0};
    consumer = consumer_of(topic, WATCHED(group, &told, .start = KUR_START_LATEST));
    expect(consumer, 10);
    expect(consumer, 10);
    ck_assert(told.is_committed[0] && told.is_committed[1]);
    kur_consumer_free(consumer);
    if (!support_is_real())
        return;

    /* A partition that is added later begins at its beginning. */
    kur_admin *admin = kur_admin_new(consuming_client(), &error);
    kur_topic_spec wider = KUR_TOPIC_SPEC(.name = topic, .partitions = 3);
    ck_ok(kur_admin_apply_topics(admin, &wider, 1, 30000, NULL, NULL, &error), error);
    kur_admin_free(admin);
    kur_status status = KUR_ERROR_UNKNOWN_TOPIC;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (status == KUR_ERROR_UNKNOWN_TOPIC && kur_clock_monotonic_us() < deadline) {
        kur_client *fresh = support_client(); /* which does not remember that there were two */
        status = kur_producer_send_wait(
            kur_client_producer(fresh, &error),
            &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(2), .value = kur_bytes_text("77")), 30000, NULL,
            &error);
        kur_client_unref(fresh);
    }
    ck_status(status, KUR_OK, error);
    told = (struct told){0};
    consumer = consumer_of(topic, WATCHED(group, &told, .start = KUR_START_LATEST));
    kur_record *record = next(consumer);
    while (kur_record_partition(record) != 2) {
        drop(consumer, record);
        record = next(consumer);
    }
    ck_assert_int_eq(number(record), 77);
    drop(consumer, record);
    kur_consumer_free(consumer);
}
END_TEST

/* An open transaction with offsets of a group; ended by abort_offsets. */
static rd_kafka_t *hold_offset(const char *topic, const char *group)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", support_bootstrap(), NULL, 0);
    rd_kafka_conf_set(conf, "transactional.id", support_name("tx"), NULL, 0);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    ck_assert_ptr_null(rd_kafka_init_transactions(rk, 30000));
    ck_assert_ptr_null(rd_kafka_begin_transaction(rk));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 5;
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata_new(group);
    rd_kafka_error_t *failed = rd_kafka_send_offsets_to_transaction(rk, list, metadata, 30000);
    ck_assert_msg(failed == NULL, "%s", rd_kafka_error_string(failed));
    rd_kafka_consumer_group_metadata_destroy(metadata);
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

/* Polls go on, the membership stays, and the other partition is read; close while it is asked for is bounded. */
START_TEST(test_consumer_group__a_start_that_is_held_back)
{
    skip_unless(support_is_real(), "the embedded broker has no transactions");
    kur_error error = {0};
    const char *topic = support_topic(2), *group = support_name("g");
    produce(topic, 0, 0, 10);
    produce(topic, 1, 100, 10);
    rd_kafka_t *transaction = hold_offset(topic, group);
    struct told told = {0};
    kur_consumer *consumer = consumer_of(topic, WATCHED(group, &told, .session_timeout_ms = 6000));
    for (int i = 0; i < 10; i++)
        expect(consumer, 100 + i);
    ck_assert_int_eq(count_of(&told), 1);
    int64_t longer = kur_clock_monotonic_us() + 8 * 1000 * 1000;
    poll_until(consumer, kur_clock_monotonic_us() > longer);
    ck_assert_int_eq(told.revoked + told.lost, 0);
    ck_assert(!told.has[0]);

    /* A rebalance meanwhile takes back what was never told. */
    struct told second_told = {0};
    kur_consumer *second = consumer_of(topic, WATCHED(group, &second_told, .session_timeout_ms = 6000));
    poll_both(consumer, second, told.revoked == 1);
    ck_assert_int_eq(told.left, 0);
    int64_t started = kur_clock_monotonic_us();
    kur_consumer_free(second);
    ck_assert_int_lt(kur_clock_monotonic_us() - started, 30 * 1000 * 1000);
    rd_kafka_error_destroy(rd_kafka_abort_transaction(transaction, 30000));
    rd_kafka_destroy(transaction);
    poll_until(consumer, count_of(&told) == 2);
    ck_assert_int_eq(told.offset[0], 0);
    ck_status(kur_consumer_close(consumer, &error), KUR_OK, error);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer_group__what_is_lost_is_not_committed)
{
    const char *topic = support_topic(1);
    produce(topic, 0, 0, 10);
    struct told told = {.commit_lost = true};
    kur_consumer *consumer =
        consumer_of(topic, WATCHED(support_name("g"), &told, .session_timeout_ms = 6000, .max_poll_interval_ms = 6000));
    expect(consumer, 0);
    sleep(7); /* longer than may pass without a poll: nothing to wait for */
    poll_until(consumer, told.lost == 1);
    ck_assert_int_eq(told.lost_commit, KUR_ERROR_NOT_COMMITTED);
    ck_assert_int_eq(told.revoked, 0);
    poll_until(consumer, told.assigned >= 2);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer_group__a_pause_survives_rebalances)
{
    kur_error error = {0};
    const char *topic = support_topic(2), *group = support_name("g");
    produce(topic, 0, 0, 10);
    produce(topic, 1, 0, 10);
    struct told one = {0}, two = {0};
    kur_consumer *first = consumer_of(topic, WATCHED(group, &one, ));
    poll_until(first, one.assigned == 1);
    for (int i = 0; i < 2; i++)
        ck_ok(kur_consumer_pause(first, topic, i, &error), error);
    kur_consumer *second = consumer_of(topic, WATCHED(group, &two, ));
    poll_both(first, second, count_of(&one) == 1 && count_of(&two) == 1);
    kur_consumer_free(second);
    poll_until(first, count_of(&one) == 2);
    /* Both are paused still, the one that went away as well; and then nothing is missing. */
    kur_record *record = NULL;
    for (int i = 0; i < 5; i++) {
        ck_ok(kur_consumer_poll(first, 100, &record, &error), error);
        ck_assert_ptr_null(record);
    }
    int expected[2] = {-1, -1};
    for (int i = 0; i < 2; i++)
        ck_ok(kur_consumer_resume(first, topic, i, &error), error);
    for (int i = 0; i < 6; i++) {
        record = next(first);
        int *at = &expected[kur_record_partition(record)];
        ck_assert(*at < 0 || number(record) == *at);
        *at = number(record) + 1;
        drop(first, record);
    }
    kur_consumer_free(first);
}
END_TEST

START_TEST(test_consumer_group__a_pattern_leaves_out_what_is_put_aside)
{
    kur_error error = {0};
    char base[80], name[5][120], pattern[100], exclude[100];
    snprintf(base, sizeof base, "%s", support_name("orders"));
    const char *const endings[] = {"", ".eu", ".email.retry-short", ".email.dlq", ".old"};
    for (int i = 0; i < 5; i++) {
        snprintf(name[i], sizeof name[i], "%s%s", base, endings[i]);
        support_create(name[i], 1);
        produce(name[i], 0, i, 1);
    }
    snprintf(pattern, sizeof pattern, "%s.*", base);
    snprintf(exclude, sizeof exclude, ".*[.]old");
    kur_consumer *consumer = consumer_of(NULL, &KUR_CONSUMER_OPTIONS(.group = support_name("g")));
    ck_status(kur_consumer_subscribe_pattern(consumer, "(", NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "pattern");
    ck_status(kur_consumer_subscribe_pattern(consumer, "a", "[", &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "exclude");
    ck_ok(kur_consumer_subscribe_pattern(consumer, pattern, exclude, &error), error);
    bool seen[5] = {false};
    for (int i = 0; i < 2; i++) {
        kur_record *record = next(consumer);
        seen[number(record)] = true;
        drop(consumer, record);
    }
    ck_assert(seen[0] && seen[1]);
    kur_record *record = NULL;
    ck_ok(kur_consumer_poll(consumer, 500, &record, &error), error);
    ck_assert_ptr_null(record);

    /* A topic that comes later is found. */
    char later[120];
    snprintf(later, sizeof later, "%s.later", base);
    support_create(later, 1);
    produce(later, 0, 42, 1);
    kur_record *record_of_later = next(consumer);
    while (number(record_of_later) != 42) { /* nothing was committed of the others */
        ck_assert_int_le(number(record_of_later), 1);
        drop(consumer, record_of_later);
        record_of_later = next(consumer);
    }
    drop(consumer, record_of_later);
    kur_consumer_free(consumer);
}
END_TEST

/* ---- A close in the midst of joins ---- */

struct visitor {
    const char *topic, *group;
    unsigned seed;
    int rounds, span_ms;
    int64_t longest_us;
};

static void *come_and_go(void *user)
{
    struct visitor *visitor = user;
    for (int i = 0; i < visitor->rounds; i++) {
        kur_error error = {0};
        kur_consumer *consumer = kur_consumer_new(
            consuming_client(), &KUR_CONSUMER_OPTIONS(.group = visitor->group, .session_timeout_ms = 1500), &error);
        ck_assert_msg(consumer != NULL, "%s", error.message);
        const char *topics[] = {visitor->topic, NULL};
        ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
        int64_t until_us = kur_clock_monotonic_us() + rand_r(&visitor->seed) % (visitor->span_ms * 1000);
        while (kur_clock_monotonic_us() < until_us) {
            kur_record *record = NULL;
            ck_ok(kur_consumer_poll(consumer, 1, &record, &error), error);
        }
        int64_t began_us = kur_clock_monotonic_us();
        ck_ok(kur_consumer_close(consumer, &error), error);
        int64_t took_us = kur_clock_monotonic_us() - began_us;
        visitor->longest_us = visitor->longest_us < took_us ? took_us : visitor->longest_us;
        kur_consumer_free(consumer);
    }
    return NULL;
}

START_TEST(test_consumer_group__a_close_meets_rebalances_at_any_moment)
{
    bool is_real = support_is_real();
    struct visitor visitors[3];
    pthread_t threads[3];
    const char *topic = support_topic(3), *group = support_name("g");
    consuming_client();
    for (int i = 0; i < 3; i++) {
        visitors[i] = (struct visitor){topic, group, (unsigned)i, is_real ? 20 : 2, is_real ? 60 : 4500, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, &visitors[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        printf("# the longest close: %d ms\n", (int)(visitors[i].longest_us / 1000));
    }
}
END_TEST

START_TEST(test_consumer_group__a_static_member_comes_back_unnoticed)
{
    skip_unless(support_is_real(), "the embedded broker knows no static members");
    kur_error error = {0};
    const char *topic = support_topic(2), *group = support_name("g");
    struct told one = {0}, two = {0};
    kur_consumer *first = consumer_of(topic, WATCHED(group, &one, .group_instance_id = "a"));
    kur_consumer *second = consumer_of(topic, WATCHED(group, &two, .group_instance_id = "b"));
    poll_both(first, second, count_of(&one) == 1 && count_of(&two) == 1);
    struct told before = one;
    kur_consumer_free(second);
    two = (struct told){0};
    second = consumer_of(topic, WATCHED(group, &two, .group_instance_id = "b"));
    poll_both(first, second, count_of(&two) == 1);
    ck_assert_int_eq(one.assigned, before.assigned);
    ck_assert_int_eq(one.revoked + one.lost, before.revoked + before.lost);

    /* A second one with the same name fences the first; where the broker divides, it is itself refused. */
    kur_consumer *third = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group, .group_instance_id = "b"));
    kur_status status = KUR_OK;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (status == KUR_OK && kur_clock_monotonic_us() < deadline) {
        kur_record *record = NULL;
        kur_status of_third = kur_consumer_poll(third, 20, &record, &error);
        status = of_third == KUR_OK ? kur_consumer_poll(second, 20, &record, &error) : of_third;
        ck_assert(of_third == KUR_OK || support_group_protocol() == KUR_GROUP_CONSUMER);
    }
    ck_status(status, KUR_ERROR_FENCED, error);
    kur_consumer_free(third);
    kur_consumer_free(second);
    kur_consumer_free(first);
}
END_TEST

/* Cooperative rebalances, by the members or by the broker: what stays is not interrupted. */
static void divide_incrementally(kur_assignor assignor, kur_group_protocol protocol)
{
    kur_error error = {0};
    const char *topic = support_topic(4), *group = support_name("g");
    for (int i = 0; i < 4; i++)
        produce(topic, i, 0, 50);
    struct told one = {0}, two = {0};
    kur_consumer *first = consumer_of(topic, WATCHED(group, &one, .assignor = assignor, .protocol = protocol));
    drop(first, next(first));
    poll_until(first, count_of(&one) == 4);
    int assigned = one.assigned;
    kur_consumer *second = consumer_of(topic, WATCHED(group, &two, .assignor = assignor, .protocol = protocol));
    poll_both(first, second, count_of(&one) == 2 && count_of(&two) == 2);
    int kept = one.has[0] ? 0 : one.has[1] ? 1 : one.has[2] ? 2 : 3;
    ck_assert_int_eq(one.lost, 0);
    ck_assert_int_eq(one.assigned, assigned); /* those that stay were not told again */
    kur_position position = KUR_POSITION(.topic = topic, .partition = kept, .offset = 1);
    ck_ok(kur_consumer_commit(first, &position, 1, 30000, &error), error);
    ck_ok(kur_consumer_seek(first, topic, kept, 7, &error), error);
    ck_ok(kur_consumer_pause(first, topic, kept, &error), error);
    kur_consumer_free(second);
    poll_until(first, count_of(&one) == 4);
    ck_ok(kur_consumer_resume(first, topic, kept, &error), error);
    kur_record *record = next(first);
    while (kur_record_partition(record) != kept) {
        drop(first, record);
        record = next(first);
    }
    ck_assert_int_eq(number(record), 7);
    drop(first, record);
    kur_consumer_free(first);
}

START_TEST(test_consumer_group__cooperative)
{
    kur_error error = {0};
    if (rd_kafka_version() < 0x020a0000) {
        ck_assert_ptr_null(
            kur_consumer_new(consuming_client(),
                             &KUR_CONSUMER_OPTIONS(.group = "g", .assignor = KUR_ASSIGNOR_COOPERATIVE_STICKY), &error));
        ck_assert_int_eq(error.code, KUR_ERROR_UNSUPPORTED);
        ck_says(error, "2.10");
        ck_says(error, rd_kafka_version_str());
        return;
    }
    divide_incrementally(KUR_ASSIGNOR_COOPERATIVE_STICKY, KUR_GROUP_CLASSIC);
}
END_TEST

START_TEST(test_consumer_group__divided_by_the_broker)
{
    kur_error error = {0};
    if (rd_kafka_version() < 0x020c0000) {
        ck_assert_ptr_null(kur_consumer_new(
            consuming_client(), &KUR_CONSUMER_OPTIONS(.group = "g", .protocol = KUR_GROUP_CONSUMER), &error));
        ck_assert_int_eq(error.code, KUR_ERROR_UNSUPPORTED);
        ck_says(error, "2.12");
        return;
    }
    skip_unless(support_is_real(), "the new group protocol needs a real Kafka and librdkafka 2.12");
    divide_incrementally(KUR_ASSIGNOR_DEFAULT, KUR_GROUP_CONSUMER);
}
END_TEST

START_TEST(test_consumer_group__lag_and_watermarks)
{
    kur_error error = {0};
    const char *topic = support_topic(1);
    produce(topic, 0, 0, 10);
    struct told told = {0};
    kur_consumer *consumer = consumer_of(topic, WATCHED(support_name("g"), &told, ));
    for (int i = 0; i < 4; i++)
        expect(consumer, i);
    int64_t lag = -2, low = -1, high = -1;
    ck_ok(kur_consumer_lag(consumer, topic, 0, &lag, &error), error);
    ck_assert_int_eq(lag, 6);
    ck_ok(kur_consumer_watermarks(consumer, topic, 0, 30000, &low, &high, &error), error);
    ck_assert_int_eq(low, 0);
    ck_assert_int_eq(high, 10);
    for (int i = 4; i < 10; i++)
        expect(consumer, i);
    ck_ok(kur_consumer_lag(consumer, topic, 0, &lag, &error), error);
    ck_assert_int_eq(lag, 0);
    ck_status(kur_consumer_lag(consumer, topic, 1, &lag, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    ck_ok(kur_consumer_unsubscribe(consumer, &error), error);
    poll_until(consumer, told.revoked == 1);
    ck_status(kur_consumer_lag(consumer, topic, 0, &lag, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    kur_consumer_free(consumer);
}
END_TEST

/* A copy is read like the record, and outlives the consumer without holding it. */
START_TEST(test_consumer_group__copies)
{
    kur_error error = {0};
    const char *topic = support_topic(1);
    const kur_header headers[] = {{"a", kur_bytes_text("1")}, {"a", {NULL, 0}}, {"b", kur_bytes_text("")}};
    for (int i = 0; i < 2; i++) /* a record, and a null one */
        ck_ok(kur_producer_send_wait(kur_client_producer(consuming_client(), &error),
                                     &KUR_MESSAGE(.topic = topic, .key = kur_bytes_text("k"),
                                                  .value = i == 0 ? kur_bytes_text("v") : (kur_bytes){NULL, 0},
                                                  .tombstone = i == 1, .headers = headers, .header_count = 3,
                                                  .timestamp_us = support_hour_ago_us() + 123000),
                                     30000, NULL, &error),
              error);
    kur_consumer *consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = support_name("g")));
    kur_record *copies[3];
    for (int i = 0; i < 2; i++) {
        kur_record *record = next(consumer);
        copies[i] = kur_record_copy(record, &error);
        ck_assert_ptr_nonnull(copies[i]);
        drop(consumer, record);
    }
    copies[2] = kur_record_copy(copies[0], &error);
    kur_consumer_free(consumer);
    for (int i = 0; i < 3; i++) {
        const kur_record *copy = copies[i];
        kur_header header;
        kur_bytes value;
        kur_event_view view = KUR_EVENT_VIEW();
        ck_assert_str_eq(kur_record_topic(copy), topic);
        ck_assert_int_eq(kur_record_partition(copy), 0);
        ck_assert_int_eq(kur_record_offset(copy), i % 2);
        ck_assert(kur_bytes_equal(kur_record_key(copy), kur_bytes_text("k")));
        ck_assert(kur_bytes_equal(kur_record_value(copy), i == 1 ? (kur_bytes){NULL, 0} : kur_bytes_text("v")));
        ck_assert_int_eq(kur_record_timestamp_us(copy), support_hour_ago_us() + 123000);
        ck_assert_uint_eq(kur_record_header_count(copy), 3);
        ck_assert(kur_record_header(copy, 1, &header));
        ck_assert_str_eq(header.name, "a");
        ck_assert_ptr_null(header.value.data);
        ck_assert(!kur_record_header(copy, 3, &header));
        ck_assert(kur_record_header_last(copy, "b", &value));
        ck_assert_uint_eq(value.size, 0);
        ck_assert(!kur_record_header_last(copy, "c", &value));
        ck_ok(kur_event_read(copy, NULL, &view, &error), error);
        ck_assert_ptr_eq(view.record, copy);
        ck_assert_str_eq(view.topic, topic);
    }
    kur_record_free(copies[0]);
    kur_consumer_free_records(NULL, &copies[1], 2);
    kur_record_free(NULL);
    ck_assert_ptr_null(kur_record_copy(NULL, &error));
    ck_says(error, "record");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_consumer_group__a_close_needs_no_memory, /* first: no other client runs */
                                  test_consumer_group__a_seek_in_the_callback_is_the_start,
                                  test_consumer_group__the_end_is_committed_where_it_was_the_start,
                                  test_consumer_group__a_start_that_is_held_back,
                                  test_consumer_group__what_is_lost_is_not_committed,
                                  test_consumer_group__a_pause_survives_rebalances,
                                  test_consumer_group__a_pattern_leaves_out_what_is_put_aside,
                                  test_consumer_group__a_close_meets_rebalances_at_any_moment,
                                  test_consumer_group__a_static_member_comes_back_unnoticed,
                                  test_consumer_group__cooperative,
                                  test_consumer_group__divided_by_the_broker,
                                  test_consumer_group__lag_and_watermarks,
                                  test_consumer_group__copies,
                                  NULL};
    int status = check_main("consumer_group", tests);
    consuming_stop();
    return status;
}
