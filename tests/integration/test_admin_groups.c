/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/sys/clock.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../administering.h"
#include "kafka/embedded_broker.h"

/* A member that has polled one record and still has it assigned. */
static kur_consumer *join(const char *group, const char *topic)
{
    kur_consumer *consumer = kur_consumer_new(
        client, &KUR_CONSUMER_OPTIONS(.group = group, .session_timeout_ms = support_is_real() ? 0 : 3000), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, (const char *const[]){topic, NULL}, &error), error);
    kur_record *record = NULL;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_MS * INT64_C(1000);
    while (record == NULL && kur_clock_monotonic_us() < deadline)
        ck_ok(kur_consumer_poll(consumer, 1000, &record, &error), error);
    ck_assert_msg(record != NULL, "no record came");
    kur_consumer_free_records(consumer, &record, 1);
    return consumer;
}

static void set(const char *group, const char *topic, int partition, int64_t offset, const char *metadata)
{
    ck_ok(kur_admin_set_group_offsets(
              admin, group,
              &KUR_POSITION(.topic = topic, .partition = partition, .offset = offset, .metadata = metadata), 1,
              PATIENCE_MS, &error),
          error);
}

/* The committed offset as the group's own consumer would see it, -1 for none. */
static int64_t committed(const char *group, const char *topic, int partition)
{
    kur_position_list list;
    ck_ok(kur_admin_group_offsets(admin, group, PATIENCE_MS, arena, &list, &error), error);
    for (size_t i = 0; i < list.count; i++)
        if (strcmp(list.items[i]->topic, topic) == 0 && list.items[i]->partition == partition)
            return list.items[i]->offset;
    return -1;
}

START_TEST(test_admin_groups__offsets_with_metadata)
{
    begin();
    const char *topic = support_topic(3), *group = support_name("g");
    kur_position_list list = {7, NULL};
    ck_ok(kur_admin_group_offsets(admin, group, PATIENCE_MS, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 0);
    set(group, topic, 2, 20, "ledger \xc3\xa4");
    set(group, topic, 0, 0, NULL);
    ck_ok(kur_admin_group_offsets(admin, group, PATIENCE_MS, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 2);
    ck_assert_uint_eq(list.items[0]->size, sizeof(kur_position));
    ck_assert_str_eq(list.items[0]->topic, topic);
    ck_assert_int_eq(list.items[0]->partition, 0);
    ck_assert_int_eq(list.items[0]->offset, 0);
    ck_assert_ptr_null(list.items[0]->metadata);
    ck_assert_int_eq(list.items[1]->partition, 2);
    ck_assert_int_eq(list.items[1]->offset, 20);
    ck_assert_str_eq(list.items[1]->metadata, "ledger \xc3\xa4");
    ck_status(kur_admin_set_group_offsets(admin, group, &KUR_POSITION(.topic = topic, .partition = 3, .offset = 1), 1,
                                          PATIENCE_MS, &error),
              KUR_ERROR_UNKNOWN_TOPIC, error);
    ck_says(error, topic);
}
END_TEST

START_TEST(test_admin_groups__members_with_assignments)
{
    begin();
    const char *group = support_name("g");
    const kur_group_view *view = NULL;
    if (!support_is_real()) {
        int64_t start_us = kur_clock_monotonic_us();
        ck_status(kur_admin_describe_group(admin, group, PATIENCE_MS, arena, &view, &error), KUR_ERROR_UNSUPPORTED,
                  error);
        ck_says(error, "embedded broker cannot describe groups");
        kur_group_list list;
        ck_status(kur_admin_list_groups(admin, PATIENCE_MS, arena, &list, &error), KUR_ERROR_UNSUPPORTED, error);
        ck_assert_int_lt(kur_clock_monotonic_us() - start_us,
                         PATIENCE_MS / 2 * INT64_C(1000)); /* it does not wait in vain */
        return;
    }
    const char *topic = support_topic(2);
    produce(topic, 0, 1);
    ck_ok(kur_admin_describe_group(admin, group, PATIENCE_MS, arena, &view, &error), error);
    ck_assert_int_eq(view->state, KUR_GROUP_DEAD);
    ck_assert_uint_eq(view->member_count, 0);

    kur_consumer *consumer = join(group, topic);
    ck_ok(kur_admin_describe_group(admin, group, PATIENCE_MS, arena, &view, &error), error);
    ck_assert_uint_eq(view->size, sizeof *view);
    ck_assert_str_eq(view->name, group);
    ck_assert_int_eq(view->state, KUR_GROUP_STABLE);
    ck_assert_str_eq(kur_group_state_name(view->state), "stable");
    ck_assert_str_eq(view->assignment, "range");
    ck_assert_int_ge(view->coordinator, 0);
    ck_assert_uint_eq(view->member_count, 1);
    const kur_member_view *member = view->members[0];
    ck_assert_uint_eq(member->size, sizeof *member);
    ck_assert_uint_gt(strlen(member->id), 0);
    ck_assert_str_eq(member->client_id, "test-admin_groups");
    ck_assert_uint_gt(strlen(member->host), 0);
    ck_assert_uint_eq(member->partition_count, 2);
    ck_assert_str_eq(member->partitions[1]->topic, topic);
    ck_assert_int_eq(member->partitions[1]->partition, 1);
    kur_group_list list;
    bool found = false;
    ck_ok(kur_admin_list_groups(admin, PATIENCE_MS, arena, &list, &error), error);
    for (size_t i = 0; i < list.count; i++) {
        ck_assert(i == 0 || strcmp(list.items[i - 1]->name, list.items[i]->name) < 0);
        if (strcmp(list.items[i]->name, group) == 0) {
            found = true;
            ck_assert_int_eq(list.items[i]->state, KUR_GROUP_STABLE);
        }
    }
    ck_assert(found);
    kur_consumer_free(consumer);
    ck_assert_str_eq(kur_group_state_name((kur_group_state)77), "unknown");
    ck_assert_str_eq(kur_group_state_name((kur_group_state)-1), "unknown");
}
END_TEST

/* KIP-848's groups, which older requests do not tell of. */
START_TEST(test_admin_groups__members_by_the_new_protocol)
{
    begin();
    skip_unless(support_is_real() && rd_kafka_version() >= 0x020c00ff,
                "the new group protocol needs a real Kafka and librdkafka 2.12");
    const char *topic = support_topic(2), *group = support_name("g");
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", support_bootstrap(), NULL, 0);
    rd_kafka_conf_set(conf, "client.id", "modern", NULL, 0);
    rd_kafka_conf_set(conf, "group.id", group, NULL, 0);
    rd_kafka_conf_set(conf, "group.protocol", "consumer", NULL, 0);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    ck_assert_msg(rk != NULL, "%s", why);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    ck_assert_int_eq(rd_kafka_subscribe(rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_MS * INT64_C(1000);
    int assigned = 0;
    while (assigned < 2 && kur_clock_monotonic_us() < deadline) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (message != NULL)
            rd_kafka_message_destroy(message);
        ck_assert_int_eq(rd_kafka_assignment(rk, &list), 0);
        assigned = list->cnt;
        rd_kafka_topic_partition_list_destroy(list);
    }
    ck_assert_int_eq(assigned, 2);

    const kur_group_view *view = NULL;
    ck_ok(kur_admin_describe_group(admin, group, PATIENCE_MS, arena, &view, &error), error);
    ck_assert_str_eq(kur_group_state_name(view->state), "stable");
    ck_status(
        kur_admin_set_group_offsets(admin, group, &KUR_POSITION(.topic = topic, .offset = 0), 1, PATIENCE_MS, &error),
        KUR_ERROR_INVALID_STATE, error);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}
END_TEST

START_TEST(test_admin_groups__lag_of_each_partition_and_in_all)
{
    begin();
    const char *topic = support_topic(3), *group = support_name("g");
    const kur_group_lag *lag = NULL;
    ck_status(kur_admin_group_lag(admin, group, PATIENCE_MS, arena, &lag, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    ck_says(error, group);
    produce(topic, 0, 10);
    produce(topic, 1, 5);
    set(group, topic, 0, 4, "told beside");
    ck_ok(kur_admin_group_lag(admin, group, PATIENCE_MS, arena, &lag, &error), error);
    ck_assert_uint_eq(lag->size, sizeof *lag);
    ck_assert_str_eq(lag->group, group);
    ck_assert_int_eq(lag->state, support_is_real() ? KUR_GROUP_EMPTY : KUR_GROUP_UNKNOWN);
    /* Partition 1 waits whole, though nothing is committed there. */
    ck_assert_uint_eq(lag->partition_count, 3);
    ck_assert_int_eq(lag->lag, 6 + 5);
    const int64_t committed_at[] = {4, -1, -1}, waits[] = {6, 5, 0}, ends[] = {10, 5, 0};
    for (int i = 0; i < 3; i++) {
        const kur_partition_lag *one = lag->partitions[i];
        ck_assert_uint_eq(one->size, sizeof *one);
        ck_assert_str_eq(one->topic, topic);
        ck_assert_int_eq(one->partition, i);
        ck_assert_int_eq(one->start_offset, 0);
        ck_assert_int_eq(one->end_offset, ends[i]);
        ck_assert_int_eq(one->committed, committed_at[i]);
        ck_assert_int_eq(one->lag, waits[i]);
        ck_assert_ptr_null(one->client_id);
        if (i > 0)
            ck_assert_ptr_null(one->metadata);
    }
    ck_assert_str_eq(lag->partitions[0]->metadata, "told beside");
    if (!support_is_real())
        return;
    /* What is no longer there does not wait. */
    ck_ok(kur_admin_delete_records(admin, &KUR_POSITION(.topic = topic, .partition = 0, .offset = 7), 1, PATIENCE_MS,
                                   &error),
          error);
    ck_ok(kur_admin_group_lag(admin, group, PATIENCE_MS, arena, &lag, &error), error);
    ck_assert_int_eq(lag->partitions[0]->start_offset, 7);
    ck_assert_int_eq(lag->partitions[0]->lag, 3);
    /* A group that has committed nothing yet: its assignment tells what it waits for, and who has it. */
    const char *fresh = support_name("g");
    kur_consumer *consumer = join(fresh, topic);
    ck_ok(kur_admin_group_lag(admin, fresh, PATIENCE_MS, arena, &lag, &error), error);
    ck_assert_int_eq(lag->state, KUR_GROUP_STABLE);
    ck_assert_int_eq(lag->lag, 3 + 5);
    ck_assert_str_eq(lag->partitions[2]->client_id, "test-admin_groups");
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_admin_groups__lag_counts_what_a_transaction_has_not_finished)
{
    begin();
    skip_unless(support_is_real(), "the embedded broker has no transactions");
    const char *topic = support_topic(1), *group = support_name("g");
    char why[256], value[] = "v";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", support_bootstrap(), NULL, 0);
    rd_kafka_conf_set(conf, "transactional.id", support_name("x"), NULL, 0);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    ck_assert_ptr_null(rd_kafka_init_transactions(rk, PATIENCE_MS));
    ck_assert_ptr_null(rd_kafka_begin_transaction(rk));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE(value, 1), RD_KAFKA_V_END), 0);
    ck_assert_int_eq(rd_kafka_flush(rk, PATIENCE_MS), 0);
    set(group, topic, 0, 1, NULL);
    const kur_group_lag *lag = NULL;
    ck_ok(kur_admin_group_lag(admin, group, PATIENCE_MS, arena, &lag, &error), error);
    ck_assert_int_eq(lag->lag, 3);
    ck_assert_ptr_null(rd_kafka_abort_transaction(rk, PATIENCE_MS));
    rd_kafka_destroy(rk);
}
END_TEST

/* Plans, checks one partition of it, applies and checks again. */
static void reset(const char *group, const kur_reset_options *options, int partition, int64_t from, int64_t to)
{
    const kur_reset_plan *plan = NULL;
    ck_ok(kur_admin_plan_reset(admin, group, options, PATIENCE_MS, arena, &plan, &error), error);
    ck_assert_uint_eq(plan->size, sizeof *plan);
    ck_assert_str_eq(plan->group, group);
    const kur_partition_reset *one = NULL;
    for (size_t i = 0; i < plan->partition_count; i++)
        if (plan->partitions[i]->partition == partition)
            one = plan->partitions[i];
    ck_assert_ptr_nonnull(one);
    ck_assert_uint_eq(one->size, sizeof *one);
    ck_assert_int_eq(one->from, from);
    ck_assert_int_eq(one->to, to);
    /* So far nothing has happened. */
    ck_assert_int_eq(committed(group, one->topic, partition), from);
    ck_ok(kur_admin_apply_reset(admin, plan, PATIENCE_MS, &error), error);
    ck_assert_int_eq(committed(group, one->topic, partition), to);
}

START_TEST(test_admin_groups__reset_to_start_end_and_offset)
{
    begin();
    const char *topic = support_topic(2), *group = support_name("g");
    produce(topic, 0, 10);
    produce(topic, 1, 6);
    const kur_reset_plan *plan = NULL;
    kur_reset_options to_end = KUR_RESET_OPTIONS(.to = KUR_RESET_TO_END);
    ck_status(kur_admin_plan_reset(admin, group, &to_end, PATIENCE_MS, arena, &plan, &error), KUR_ERROR_UNKNOWN_TOPIC,
              error);
    ck_says(error, "name the topic");
    set(group, topic, 0, 4, "ledger");

    /* What is committed is what moves; a named topic moves whole. */
    ck_ok(kur_admin_plan_reset(admin, group, &to_end, PATIENCE_MS, arena, &plan, &error), error);
    ck_assert_uint_eq(plan->partition_count, 1);
    ck_assert_int_eq(plan->skipped, 6);
    ck_assert_int_eq(plan->repeated, 0);
    ck_assert_str_eq(plan->partitions[0]->metadata, "ledger");
    ck_assert_int_eq(plan->partitions[0]->start_offset, 0);
    ck_assert_int_eq(plan->partitions[0]->end_offset, 10);
    to_end.topic = topic;
    ck_ok(kur_admin_plan_reset(admin, group, &to_end, PATIENCE_MS, arena, &plan, &error), error);
    ck_assert_uint_eq(plan->partition_count, 2);
    ck_assert_int_eq(plan->skipped, 6 + 6);

    reset(group, &to_end, 0, 4, 10);
    ck_assert_int_eq(committed(group, topic, 1), 6);
    reset(group, &KUR_RESET_OPTIONS(.to = KUR_RESET_TO_START, .topic = topic, .partition = KUR_PARTITION(1)), 1, 6, 0);
    ck_assert_int_eq(committed(group, topic, 0), 10);
    reset(group, &KUR_RESET_OPTIONS(.to = KUR_RESET_TO_OFFSET, .offset = 3), 0, 10, 3);
    ck_assert_int_eq(committed(group, topic, 1), 3);
    /* Moved to where there are records. */
    reset(group, &KUR_RESET_OPTIONS(.to = KUR_RESET_TO_OFFSET, .offset = 1000), 1, 3, 6);
    kur_position_list list;
    ck_ok(kur_admin_group_offsets(admin, group, PATIENCE_MS, arena, &list, &error), error);
    ck_assert_ptr_null(list.items[0]->metadata);

    kur_reset_options none = KUR_RESET_OPTIONS(.to = KUR_RESET_TO_END, .topic = topic, .partition = KUR_PARTITION(2));
    ck_status(kur_admin_plan_reset(admin, group, &none, PATIENCE_MS, arena, &plan, &error), KUR_ERROR_UNKNOWN_TOPIC,
              error);
    ck_says(error, "no partition 2");
    none = KUR_RESET_OPTIONS(.to = KUR_RESET_TO_END, .topic = support_name("t"));
    ck_status(kur_admin_plan_reset(admin, group, &none, PATIENCE_MS, arena, &plan, &error), KUR_ERROR_UNKNOWN_TOPIC,
              error);
    ck_says(error, none.topic);
}
END_TEST

START_TEST(test_admin_groups__reset_to_a_time)
{
    begin();
    const char *topic = support_topic(1), *group = support_name("g");
    const kur_reset_plan *plan = NULL;
    const int64_t first_us = support_hour_ago_us();
    kur_reset_options options = KUR_RESET_OPTIONS(.to = KUR_RESET_TO_TIME, .topic = topic, .time_us = first_us);
    if (!support_is_real()) {
        ck_status(kur_admin_plan_reset(admin, group, &options, PATIENCE_MS, arena, &plan, &error),
                  KUR_ERROR_UNSUPPORTED, error);
        return;
    }
    kur_producer *producer = kur_client_producer(client, &error);
    for (int i = 0; i < 5; i++)
        ck_ok(kur_producer_send_wait(producer,
                                     &KUR_MESSAGE(.topic = topic, .value = kur_bytes_text("v"),
                                                  .timestamp_us = first_us + i * INT64_C(1000000)),
                                     PATIENCE_MS, NULL, &error),
              error);
    set(group, topic, 0, 5, NULL);
    options.time_us = first_us + 2000000;
    reset(group, &options, 0, 5, 2);
    /* Between two records, even by a microsecond: the later one. */
    options.time_us = first_us + 2000001;
    reset(group, &options, 0, 2, 3);
    options.time_us = first_us + 60 * INT64_C(1000000);
    reset(group, &options, 0, 3, 5);
}
END_TEST

START_TEST(test_admin_groups__nothing_moves_under_members)
{
    begin();
    const char *topic = support_topic(1), *group = support_name("g");
    produce(topic, 0, 5);
    const kur_reset_plan *plan = NULL;
    kur_reset_options to_end = KUR_RESET_OPTIONS(.to = KUR_RESET_TO_END, .topic = topic);
    ck_ok(kur_admin_plan_reset(admin, group, &to_end, PATIENCE_MS, arena, &plan, &error), error);
    kur_consumer *consumer = join(group, topic);
    ck_status(kur_admin_apply_reset(admin, plan, PATIENCE_MS, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, group);
    ck_says(error, "has members");
    ck_status(
        kur_admin_set_group_offsets(admin, group, &KUR_POSITION(.topic = topic, .offset = 1), 1, PATIENCE_MS, &error),
        KUR_ERROR_INVALID_STATE, error);
    if (support_is_real())
        ck_status(kur_admin_plan_reset(admin, group, &to_end, PATIENCE_MS, arena, &plan, &error),
                  KUR_ERROR_INVALID_STATE, error);
    ck_assert_int_eq(committed(group, topic, 0), -1);
    kur_consumer_free(consumer);
    if (!support_is_real()) /* it takes commits from members alone once a group has had some */
        return;
    ck_ok(kur_admin_apply_reset(admin, plan, PATIENCE_MS, &error), error);
    ck_assert_int_eq(committed(group, topic, 0), 5);
}
END_TEST

START_TEST(test_admin_groups__a_plan_is_for_what_it_was_made_of)
{
    begin();
    const char *topic = support_topic(1), *group = support_name("g");
    produce(topic, 0, 5);
    set(group, topic, 0, 2, NULL);
    const kur_reset_plan *plan = NULL;
    kur_reset_options to_start = KUR_RESET_OPTIONS(.to = KUR_RESET_TO_START);
    ck_ok(kur_admin_plan_reset(admin, group, &to_start, PATIENCE_MS, arena, &plan, &error), error);
    ck_assert_int_eq(plan->repeated, 2);
    set(group, topic, 0, 3, NULL);
    ck_status(kur_admin_apply_reset(admin, plan, PATIENCE_MS, &error), KUR_ERROR_STALE, error);
    ck_says(error, topic);
    ck_assert_int_eq(committed(group, topic, 0), 3);
}
END_TEST

#define REFUSES(call, text)                                                                                            \
    do {                                                                                                               \
        error = (kur_error){0};                                                                                        \
        ck_status(call, KUR_ERROR_INVALID_ARGUMENT, error);                                                            \
        ck_says(error, text);                                                                                          \
    } while (0)

/* librdkafka uses freed memory when a question for a coordinator has timed out, and that broker comes back. */
START_TEST(test_admin_groups__a_coordinator_that_was_away)
{
    begin();
    kur_embedded_broker *broker = kur_embedded_broker_new(&KUR_EMBEDDED_BROKER_OPTIONS(.brokers = 2), &error);
    ck_assert_msg(broker != NULL, "%s", error.message);
    ck_ok(kur_embedded_broker_topic(broker, "orders", 1, &error), error);
    kur_client *own =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = kur_embedded_broker_bootstrap_servers(broker)), &error);
    kur_admin *asking = kur_admin_new(own, &error);
    ck_assert_msg(asking != NULL, "%s", error.message);
    rd_kafka_mock_cluster_t *cluster = kur__embedded_broker_cluster(broker);
    rd_kafka_mock_coordinator_set(cluster, "group", "away", 2);
    rd_kafka_mock_broker_set_down(cluster, 2);
    kur_position_list offsets;
    for (int i = 0; i < 3; i++)
        ck_status(kur_admin_group_offsets(asking, "away", 1000, arena, &offsets, &error), KUR_ERROR_TIMEOUT, error);
    rd_kafka_mock_broker_set_up(cluster, 2);
    ck_ok(kur_admin_group_offsets(asking, "away", PATIENCE_MS, arena, &offsets, &error), error);
    ck_assert_uint_eq(offsets.count, 0);
    kur_admin_free(asking);
    kur_client_unref(own);
    kur_embedded_broker_free(broker);
}
END_TEST

START_TEST(test_admin_groups__arguments_are_checked)
{
    begin();
    char long_text[5000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    kur_group_list groups;
    kur_position_list offsets;
    const kur_group_view *view;
    const kur_group_lag *lag;
    REFUSES(kur_admin_list_groups(NULL, 1, arena, &groups, &error), "admin is NULL");
    REFUSES(kur_admin_list_groups(admin, 1, NULL, &groups, &error), "arena is NULL");
    REFUSES(kur_admin_list_groups(admin, 1, arena, NULL, &error), "groups is NULL");
    REFUSES(kur_admin_list_groups(admin, -1, arena, &groups, &error), "timeout_ms is negative");

    REFUSES(kur_admin_describe_group(NULL, "g", 1, arena, &view, &error), "admin is NULL");
    REFUSES(kur_admin_describe_group(admin, NULL, 1, arena, &view, &error), "group is NULL");
    REFUSES(kur_admin_describe_group(admin, "g", 1, NULL, &view, &error), "arena is NULL");
    REFUSES(kur_admin_describe_group(admin, "g", 1, arena, NULL, &error), "view is NULL");
    REFUSES(kur_admin_describe_group(admin, "", 1, arena, &view, &error), "group is empty");
    REFUSES(kur_admin_describe_group(admin, long_text, 1, arena, &view, &error), "group is empty, longer");
    REFUSES(kur_admin_describe_group(admin, "\xff", 1, arena, &view, &error), "not UTF-8");
    REFUSES(kur_admin_describe_group(admin, "g", -1, arena, &view, &error), "timeout_ms is negative");

    REFUSES(kur_admin_group_offsets(NULL, "g", 1, arena, &offsets, &error), "admin is NULL");
    REFUSES(kur_admin_group_offsets(admin, NULL, 1, arena, &offsets, &error), "group is NULL");
    REFUSES(kur_admin_group_offsets(admin, "g", 1, NULL, &offsets, &error), "arena is NULL");
    REFUSES(kur_admin_group_offsets(admin, "g", 1, arena, NULL, &error), "offsets is NULL");
    REFUSES(kur_admin_group_offsets(admin, "", 1, arena, &offsets, &error), "group is empty");
    REFUSES(kur_admin_group_offsets(admin, "g", -1, arena, &offsets, &error), "timeout_ms is negative");

    REFUSES(kur_admin_group_lag(NULL, "g", 1, arena, &lag, &error), "admin is NULL");
    REFUSES(kur_admin_group_lag(admin, NULL, 1, arena, &lag, &error), "group is NULL");
    REFUSES(kur_admin_group_lag(admin, "g", 1, NULL, &lag, &error), "arena is NULL");
    REFUSES(kur_admin_group_lag(admin, "g", 1, arena, NULL, &error), "lag is NULL");
    REFUSES(kur_admin_group_lag(admin, "", 1, arena, &lag, &error), "group is empty");
    REFUSES(kur_admin_group_lag(admin, "g", -1, arena, &lag, &error), "timeout_ms is negative");

    kur_position at = KUR_POSITION(.topic = "t", .offset = 1);
    REFUSES(kur_admin_set_group_offsets(NULL, "g", &at, 1, 1, &error), "admin is NULL");
    REFUSES(kur_admin_set_group_offsets(admin, NULL, &at, 1, 1, &error), "group is NULL");
    REFUSES(kur_admin_set_group_offsets(admin, "g", NULL, 1, 1, &error), "positions is NULL");
    REFUSES(kur_admin_set_group_offsets(admin, "g", &at, 0, 1, &error), "count is not");
    REFUSES(kur_admin_set_group_offsets(admin, "", &at, 1, 1, &error), "group is empty");
    REFUSES(kur_admin_set_group_offsets(admin, "g", &at, 1, -1, &error), "timeout_ms is negative");
    REFUSES(kur_admin_set_group_offsets(admin, "g", &KUR_POSITION(.topic = "t", .offset = -1), 1, 1, &error),
            "positions[0]");
    REFUSES(kur_admin_set_group_offsets(admin, "g", &KUR_POSITION(.topic = "t", .partition = -1), 1, 1, &error),
            "positions[0]");
    REFUSES(kur_admin_set_group_offsets(admin, "g", &KUR_POSITION(.topic = ""), 1, 1, &error), "positions[0]");
    REFUSES(kur_admin_set_group_offsets(admin, "g", &KUR_POSITION(.topic = "t", .metadata = long_text), 1, 1, &error),
            "metadata");
    REFUSES(kur_admin_set_group_offsets(admin, "g", &KUR_POSITION(.topic = "t", .metadata = "\xff"), 1, 1, &error),
            "metadata");

    const kur_reset_plan *plan;
    kur_reset_options options = KUR_RESET_OPTIONS(.to = KUR_RESET_TO_START);
    REFUSES(kur_admin_plan_reset(NULL, "g", &options, 1, arena, &plan, &error), "admin is NULL");
    REFUSES(kur_admin_plan_reset(admin, NULL, &options, 1, arena, &plan, &error), "group is NULL");
    REFUSES(kur_admin_plan_reset(admin, "g", NULL, 1, arena, &plan, &error), "options is NULL");
    REFUSES(kur_admin_plan_reset(admin, "g", &options, 1, NULL, &plan, &error), "arena is NULL");
    REFUSES(kur_admin_plan_reset(admin, "g", &options, 1, arena, NULL, &error), "plan is NULL");
    REFUSES(kur_admin_plan_reset(admin, "", &options, 1, arena, &plan, &error), "group is empty");
    REFUSES(kur_admin_plan_reset(admin, "g", &options, -1, arena, &plan, &error), "timeout_ms is negative");
    const struct {
        kur_reset_options options;
        const char *says;
    } wrong[] = {
        {{.size = 0, .to = KUR_RESET_TO_END}, "kur_reset_options.size"},
        {KUR_RESET_OPTIONS(.topic = "t"), ".to"},
        {KUR_RESET_OPTIONS(.to = (kur_reset_to)5), ".to"},
        {KUR_RESET_OPTIONS(.to = KUR_RESET_TO_END, .topic = ""), ".topic"},
        {KUR_RESET_OPTIONS(.to = KUR_RESET_TO_END, .partition = KUR_PARTITION(0)), ".partition is set without"},
        {KUR_RESET_OPTIONS(.to = KUR_RESET_TO_END, .topic = "t", .partition = -1), ".partition is negative"},
        {KUR_RESET_OPTIONS(.to = KUR_RESET_TO_OFFSET, .offset = -1), ".offset"},
        {KUR_RESET_OPTIONS(.to = KUR_RESET_TO_TIME, .time_us = -1), ".time_us"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        REFUSES(kur_admin_plan_reset(admin, "g", &wrong[i].options, 1, arena, &plan, &error), wrong[i].says);

    kur_reset_plan forged = {0};
    REFUSES(kur_admin_apply_reset(NULL, &forged, 1, &error), "admin is NULL");
    REFUSES(kur_admin_apply_reset(admin, NULL, 1, &error), "plan is NULL");
    REFUSES(kur_admin_apply_reset(admin, &forged, 1, &error), "plan is not one");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_admin_groups__offsets_with_metadata,
                                  test_admin_groups__members_with_assignments,
                                  test_admin_groups__members_by_the_new_protocol,
                                  test_admin_groups__lag_of_each_partition_and_in_all,
                                  test_admin_groups__lag_counts_what_a_transaction_has_not_finished,
                                  test_admin_groups__reset_to_start_end_and_offset,
                                  test_admin_groups__reset_to_a_time,
                                  test_admin_groups__nothing_moves_under_members,
                                  test_admin_groups__a_plan_is_for_what_it_was_made_of,
                                  test_admin_groups__a_coordinator_that_was_away,
                                  test_admin_groups__arguments_are_checked,
                                  NULL};
    return administer("admin_groups", tests);
}
