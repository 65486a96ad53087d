/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../administering.h"

static const char needs_kafka[] = "the embedded broker cannot administer topics";

static const kur_topic_view *describe(const char *topic)
{
    const kur_topic_view *view = NULL;
    ck_ok(kur_admin_describe_topic(admin, topic, PATIENCE_MS, arena, &view, &error), error);
    ck_assert_uint_eq(view->size, sizeof *view);
    ck_assert_str_eq(view->name, topic);
    return view;
}

static const char *value_of(const kur_topic_view *view, const char *name)
{
    for (size_t i = 0; i < view->config_count; i++)
        if (strcmp(view->configs[i]->name, name) == 0)
            return view->configs[i]->value;
    return "";
}

/* As text; valid until the next. */
static const char *text_of(const kur_topic_differences *differences)
{
    static char storage[2000];
    kur_buffer buffer = kur_buffer_over(storage, sizeof storage);
    ck_ok(kur_topic_differences_print(differences, &buffer, &error), error);
    ck_assert_ptr_eq(buffer.data, storage);
    return storage;
}

START_TEST(test_admin_topics__cluster)
{
    const kur_cluster_view *cluster = NULL;
    begin();
    ck_ok(kur_admin_cluster(admin, PATIENCE_MS, arena, &cluster, &error), error);
    ck_assert_uint_eq(cluster->size, sizeof *cluster);
    ck_assert_int_eq(cluster->kind, support_is_real() ? KUR_CLUSTER_KAFKA : KUR_CLUSTER_EMBEDDED);
    ck_assert_uint_gt(strlen(cluster->id), 0);
    ck_assert_uint_ge(cluster->broker_count, 1);
    bool has_controller = false;
    for (size_t i = 0; i < cluster->broker_count; i++) {
        const kur_broker_view *broker = cluster->brokers[i];
        char address[300];
        ck_assert_uint_eq(broker->size, sizeof *broker);
        ck_assert(i == 0 || cluster->brokers[i - 1]->id < broker->id);
        snprintf(address, sizeof address, "%s:%d", broker->host, (int)broker->port);
        ck_assert_ptr_nonnull(strstr(support_bootstrap(), address));
        has_controller = has_controller || broker->id == cluster->controller;
    }
    ck_assert(support_is_real() ? has_controller : cluster->controller == -1);
}
END_TEST

START_TEST(test_admin_topics__what_is_made_is_as_it_was_described)
{
    begin();
    skip_unless(support_is_real(), needs_kafka);
    const char *topic = support_name("t");
    const kur_property configs[] = {{"segment.ms", "3600000"}, {"compression.type", "lz4"}, {NULL, NULL}};
    ck_ok(kur_admin_create_topics(admin,
                                  &KUR_TOPIC_SPEC(.name = topic, .partitions = 3, .replication = 1,
                                                  .cleanup = KUR_CLEANUP_COMPACT_AND_DELETE, .min_insync_replicas = 1,
                                                  .retention_ms = 86400000, .retention_bytes = 1000000,
                                                  .max_message_bytes = 2000000, .configs = configs),
                                  1, PATIENCE_MS, &error),
          error);
    const kur_topic_view *view = describe(topic);
    ck_assert_uint_eq(view->partition_count, 3);
    ck_assert_int_eq(view->replication, 1);
    ck_assert(!view->is_internal);
    ck_assert_int_eq(view->cleanup, KUR_CLEANUP_COMPACT_AND_DELETE);
    ck_assert_int_eq(view->min_insync_replicas, 1);
    ck_assert_int_eq(view->retention_ms, 86400000);
    ck_assert_int_eq(view->retention_bytes, 1000000);
    ck_assert_int_eq(view->max_message_bytes, 2000000);
    ck_assert_str_eq(value_of(view, "segment.ms"), "3600000");
    ck_assert_str_eq(value_of(view, "compression.type"), "lz4");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(view->partitions[i]->partition, i);
        ck_assert_int_ge(view->partitions[i]->leader, 0);
        ck_assert_uint_eq(view->partitions[i]->replica_count, 1);
        ck_assert_uint_eq(view->partitions[i]->in_sync_count, 1);
        ck_assert_int_eq(view->partitions[i]->replicas[0], view->partitions[i]->leader);
        ck_assert_int_eq(view->partitions[i]->in_sync[0], view->partitions[i]->leader);
        ck_assert_int_eq(view->partitions[i]->start_offset, 0);
        ck_assert_int_eq(view->partitions[i]->end_offset, 0);
    }
    ck_status(kur_admin_create_topics(admin, &KUR_TOPIC_SPEC(.name = topic), 1, PATIENCE_MS, &error),
              KUR_ERROR_INVALID_STATE, error);
    ck_says(error, topic);
    /* For ever. */
    const char *other = support_name("t");
    ck_ok(kur_admin_create_topics(admin,
                                  &KUR_TOPIC_SPEC(.name = other, .retention_ms = KUR_NONE, .retention_bytes = KUR_NONE),
                                  1, PATIENCE_MS, &error),
          error);
    view = describe(other);
    ck_assert_int_eq(view->retention_ms, KUR_NONE);
    ck_assert_int_eq(view->retention_bytes, KUR_NONE);
    ck_assert_int_eq(view->cleanup, KUR_CLEANUP_DELETE);
    ck_assert_uint_gt(view->partition_count, 0);
}
END_TEST

START_TEST(test_admin_topics__what_a_broker_refuses_is_said_in_its_words)
{
    begin();
    skip_unless(support_is_real(), needs_kafka);
    const char *topic = support_name("t");
    const kur_property unknown[] = {{"retention.years", "1"}, {NULL, NULL}};
    ck_status(kur_admin_ensure_topics(admin, &KUR_TOPIC_SPEC(.name = topic, .configs = unknown), 1, PATIENCE_MS, NULL,
                                      NULL, &error),
              KUR_ERROR_CONFIG, error);
    ck_says(error, "retention.years");
    ck_says(error, topic);
    ck_status(kur_admin_create_topics(admin, &KUR_TOPIC_SPEC(.name = topic, .replication = 5), 1, PATIENCE_MS, &error),
              KUR_ERROR_CONFIG, error);
    ck_says(error, "eplication factor");
    const kur_topic_view *view = NULL;
    ck_status(kur_admin_describe_topic(admin, topic, PATIENCE_MS, arena, &view, &error), KUR_ERROR_UNKNOWN_TOPIC,
              error);
    ck_says(error, topic);
    ck_assert_ptr_null(view);
    /* It is there now: a setting that its broker does not know is found when it is compared. */
    support_create(topic, 1);
    kur_topic_differences differences;
    ck_status(kur_admin_compare_topics(admin, &KUR_TOPIC_SPEC(.name = topic, .configs = unknown), 1, PATIENCE_MS, arena,
                                       &differences, &error),
              KUR_ERROR_CONFIG, error);
    ck_says(error, "retention.years");
}
END_TEST

START_TEST(test_admin_topics__ensure_makes_what_is_missing_and_tells_the_rest)
{
    begin();
    const char *there = support_topic(2), *missing = support_name("t");
    kur_topic_spec wanted[] = {KUR_TOPIC_SPEC(.name = there, .partitions = 6, .retention_ms = 5000),
                               KUR_TOPIC_SPEC(.name = missing, .partitions = 4, .retention_ms = 6000)};
    kur_topic_differences differences;
    ck_ok(kur_admin_compare_topics(admin, wanted, 2, PATIENCE_MS, arena, &differences, &error), error);
    const char *text = text_of(&differences);
    char expected[400];
    ck_assert_msg(strstr(text, missing) != NULL && strstr(text, ": missing\n") != NULL, "%s", text);

    ck_ok(kur_admin_ensure_topics(admin, wanted, 2, PATIENCE_MS, arena, &differences, &error), error);
    const kur_topic_difference *first = differences.items[0];
    ck_assert_uint_eq(first->size, sizeof *first);
    ck_assert_str_eq(first->topic, there);
    ck_assert_int_eq(first->aspect, KUR_TOPIC_PARTITIONS);
    ck_assert_str_eq(first->name, "partitions");
    ck_assert_str_eq(first->wanted, "6");
    ck_assert_str_eq(first->actual, "2");
    ck_assert(first->can_apply == support_is_real());
    if (support_is_real()) {
        ck_assert_uint_eq(differences.count, 2);
        snprintf(expected, sizeof expected,
                 "%s: partitions is 2, should be 6\n%s: retention.ms is 604800000, should be 5000\n", there, there);
        ck_assert_str_eq(text_of(&differences), expected);
        ck_assert_int_eq(differences.items[1]->aspect, KUR_TOPIC_SETTING);
    } else {
        ck_assert_uint_eq(differences.count, 1);
        snprintf(expected, sizeof expected, "%s: partitions is 2, should be 6 (the embedded broker chooses it)\n",
                 there);
        ck_assert_str_eq(text_of(&differences), expected);
    }
    /* Ensured again, it is there; the other has not been touched. */
    ck_ok(kur_admin_ensure_topics(admin, wanted + 1, 1, PATIENCE_MS, arena, &differences, &error), error);
    ck_assert_uint_eq(differences.count, 0);
    ck_assert_str_eq(text_of(&differences), "");
    ck_assert_uint_eq(describe(missing)->partition_count, 4);
    ck_assert_uint_eq(describe(there)->partition_count, 2);
    produce(missing, 0, 3);
    ck_assert_int_eq(describe(missing)->partitions[0]->end_offset, 3);
    ck_ok(kur_admin_ensure_topics(admin, wanted, 2, PATIENCE_MS, NULL, NULL, &error), error);
}
END_TEST

START_TEST(test_admin_topics__apply_changes_what_can_be_changed)
{
    begin();
    skip_unless(support_is_real(), needs_kafka);
    const char *topic = support_name("t");
    const kur_property set[] = {{"segment.ms", "3600000"}, {NULL, NULL}};
    ck_ok(kur_admin_create_topics(admin,
                                  &KUR_TOPIC_SPEC(.name = topic, .partitions = 3, .replication = 1,
                                                  .cleanup = KUR_CLEANUP_COMPACT_AND_DELETE, .configs = set),
                                  1, PATIENCE_MS, &error),
          error);
    const kur_property ratio[] = {{"min.cleanable.dirty.ratio", "0.50"}, {NULL, NULL}};
    kur_topic_spec wanted =
        KUR_TOPIC_SPEC(.name = topic, .partitions = 5, .replication = 2, .cleanup = KUR_CLEANUP_COMPACT_AND_DELETE,
                       .retention_ms = 7000, .max_message_bytes = 500000, .configs = ratio);
    kur_topic_differences differences;
    ck_ok(kur_admin_apply_topics(admin, &wanted, 1, PATIENCE_MS, arena, &differences, &error), error);
    char expected[400];
    snprintf(expected, sizeof expected,
             "%s: replication is 1, should be 2 (it needs a reassignment by Kafka's own tools)\n", topic);
    ck_assert_str_eq(text_of(&differences), expected);
    ck_assert(!differences.items[0]->can_apply);
    const kur_topic_view *view = describe(topic);
    ck_assert_uint_eq(view->partition_count, 5);
    ck_assert_int_eq(view->retention_ms, 7000);
    ck_assert_int_eq(view->max_message_bytes, 500000);
    /* What was not named stays. */
    ck_assert_str_eq(value_of(view, "segment.ms"), "3600000");
    ck_assert_int_eq(view->cleanup, KUR_CLEANUP_COMPACT_AND_DELETE);

    wanted.partitions = 2;
    wanted.replication = 0;
    ck_ok(kur_admin_apply_topics(admin, &wanted, 1, PATIENCE_MS, arena, &differences, &error), error);
    snprintf(expected, sizeof expected, "%s: partitions is 5, should be 2 (partitions cannot be taken away)\n", topic);
    ck_assert_str_eq(text_of(&differences), expected);
    ck_assert_uint_eq(describe(topic)->partition_count, 5);
    /* A list is the same in another order, and a number in another writing. */
    const kur_property turned[] = {
        {"cleanup.policy", "delete,compact"}, {"min.cleanable.dirty.ratio", "0.500"}, {NULL, NULL}};
    kur_topic_spec same = KUR_TOPIC_SPEC(.name = topic, .configs = turned);
    ck_ok(kur_admin_compare_topics(admin, &same, 1, PATIENCE_MS, arena, &differences, &error), error);
    ck_assert_str_eq(text_of(&differences), "");
    /* It makes what is missing too. */
    kur_topic_spec other = KUR_TOPIC_SPEC(.name = support_name("t"), .partitions = 2);
    ck_ok(kur_admin_apply_topics(admin, &other, 1, PATIENCE_MS, NULL, NULL, &error), error);
    ck_assert_uint_eq(describe(other.name)->partition_count, 2);
}
END_TEST

static void *ensure(void *user)
{
    kur_status *status = user;
    kur_topic_spec wanted = KUR_TOPIC_SPEC(.name = "ensured-by-many", .partitions = 4);
    *status = kur_admin_ensure_topics(admin, &wanted, 1, PATIENCE_MS, NULL, NULL, NULL);
    return NULL;
}

START_TEST(test_admin_topics__ensured_by_many_at_once)
{
    enum {
        THREADS = 8
    };
    pthread_t threads[THREADS];
    kur_status statuses[THREADS];
    begin();
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ensure, &statuses[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(statuses[i], KUR_OK);
    ck_assert_uint_eq(describe("ensured-by-many")->partition_count, 4);
}
END_TEST

START_TEST(test_admin_topics__list)
{
    begin();
    const char *one = support_topic(1), *other = support_topic(3);
    kur_topic_list list;
    size_t found = 0;
    ck_ok(kur_admin_list_topics(admin, PATIENCE_MS, arena, &list, &error), error);
    for (size_t i = 0; i < list.count; i++) {
        const kur_topic_view *view = list.items[i];
        if (i > 0)
            ck_assert_int_lt(strcmp(list.items[i - 1]->name, view->name), 0);
        if (strcmp(view->name, one) != 0 && strcmp(view->name, other) != 0)
            continue;
        found++;
        ck_assert_uint_eq(view->partition_count, strcmp(view->name, one) == 0 ? 1 : 3);
        ck_assert_int_eq(view->replication, 1);
        ck_assert_int_eq(view->partitions[0]->end_offset, -1);
        ck_assert_uint_eq(view->config_count, 0);
    }
    ck_assert_uint_eq(found, 2);
    /* One reset frees all. */
    kur_arena_reset(arena);
    ck_assert_uint_eq(kur_arena_size(arena), 0);
}
END_TEST

START_TEST(test_admin_topics__settings_of_many)
{
    begin();
    enum {
        COUNT = 3
    };
    const char *names[COUNT + 1] = {support_name("b"), support_name("missing"), support_name("a"), NULL};
    kur_topic_spec specs[] = {KUR_TOPIC_SPEC(.name = names[0], .retention_ms = 3600000),
                              KUR_TOPIC_SPEC(.name = names[2], .cleanup = KUR_CLEANUP_COMPACT)};
    if (support_is_real())
        ck_ok(kur_admin_create_topics(admin, specs, 2, PATIENCE_MS, &error), error);
    kur_topic_list list;
    ck_ok(kur_admin_topic_settings(admin, names, PATIENCE_MS, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(list.items[i]->size, sizeof *list.items[i]);
        ck_assert_str_eq(list.items[i]->name, names[i]);
        ck_assert_uint_eq(list.items[i]->partition_count, 0);
        ck_assert_int_eq(list.items[i]->config_count > 0, support_is_real() && i != 1);
    }
    skip_unless(support_is_real(), needs_kafka);
    ck_assert_int_eq(list.items[0]->retention_ms, 3600000);
    ck_assert_int_eq(list.items[0]->cleanup, KUR_CLEANUP_DELETE);
    ck_assert_str_eq(value_of(list.items[0], "retention.ms"), "3600000");
    ck_assert_int_eq(list.items[2]->cleanup, KUR_CLEANUP_COMPACT);
}
END_TEST

START_TEST(test_admin_topics__asking_makes_no_topic)
{
    begin();
    const char *topic = support_name("t");
    const kur_topic_view *view = NULL;
    for (int i = 0; i < 3; i++) {
        ck_status(kur_admin_describe_topic(admin, topic, PATIENCE_MS, arena, &view, &error), KUR_ERROR_UNKNOWN_TOPIC,
                  error);
        const kur_cluster_view *cluster = NULL;
        ck_ok(kur_admin_cluster(admin, PATIENCE_MS, arena, &cluster, &error), error);
    }
    kur_topic_list list;
    ck_ok(kur_admin_list_topics(admin, PATIENCE_MS, arena, &list, &error), error);
    for (size_t i = 0; i < list.count; i++)
        ck_assert_str_ne(list.items[i]->name, topic);
}
END_TEST

START_TEST(test_admin_topics__deleted_topics_are_gone)
{
    begin();
    const char *one = support_topic(1), *other = support_topic(2);
    const char *const names[] = {one, other, NULL};
    if (!support_is_real()) {
        ck_status(kur_admin_delete_topics(admin, names, PATIENCE_MS, &error), KUR_ERROR_UNSUPPORTED, error);
        ck_says(error, "embedded broker cannot delete topics");
        return;
    }
    ck_ok(kur_admin_delete_topics(admin, names, PATIENCE_MS, &error), error);
    const kur_topic_view *view = NULL;
    ck_status(kur_admin_describe_topic(admin, one, PATIENCE_MS, arena, &view, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    ck_status(kur_admin_delete_topics(admin, names, PATIENCE_MS, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    /* Made anew, it is empty. */
    ck_ok(kur_admin_ensure_topics(admin, &KUR_TOPIC_SPEC(.name = one, .partitions = 2), 1, PATIENCE_MS, NULL, NULL,
                                  &error),
          error);
    ck_assert_uint_eq(describe(one)->partition_count, 2);
}
END_TEST

START_TEST(test_admin_topics__deleted_records_move_the_start)
{
    begin();
    const char *topic = support_topic(2);
    produce(topic, 0, 10);
    kur_position before[] = {KUR_POSITION(.topic = topic, .partition = 0, .offset = 4)};
    if (!support_is_real()) {
        int64_t start_us = kur_clock_monotonic_us();
        ck_status(kur_admin_delete_records(admin, before, 1, PATIENCE_MS, &error), KUR_ERROR_UNSUPPORTED, error);
        ck_assert_int_lt(kur_clock_monotonic_us() - start_us,
                         PATIENCE_MS / 2 * INT64_C(1000)); /* it does not wait in vain */
        return;
    }
    ck_ok(kur_admin_delete_records(admin, before, 1, PATIENCE_MS, &error), error);
    ck_assert_int_eq(describe(topic)->partitions[0]->start_offset, 4);
    ck_assert_int_eq(describe(topic)->partitions[0]->end_offset, 10);
    before[0].offset = -1;
    ck_ok(kur_admin_delete_records(admin, before, 1, PATIENCE_MS, &error), error);
    ck_assert_int_eq(describe(topic)->partitions[0]->start_offset, 10);
    before[0].offset = 11;
    ck_status(kur_admin_delete_records(admin, before, 1, PATIENCE_MS, &error), KUR_ERROR_GAP, error);
    ck_says(error, topic);
    before[0].topic = support_name("t");
    ck_status(kur_admin_delete_records(admin, before, 1, 3000, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
}
END_TEST

START_TEST(test_admin_topics__a_time_out_names_host_and_reason)
{
    begin();
    kur_client *lost = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY), &error);
    kur_admin *alone = kur_admin_new(lost, &error);
    kur_client_unref(lost);
    ck_assert_msg(alone != NULL, "%s", error.message);
    const kur_cluster_view *cluster = NULL;
    int64_t start_us = kur_clock_monotonic_us();
    ck_status(kur_admin_cluster(alone, 4000, arena, &cluster, &error), KUR_ERROR_TIMEOUT, error);
    int64_t took_us = kur_clock_monotonic_us() - start_us;
    ck_assert_int_ge(took_us, 3900 * 1000);
    ck_assert_int_lt(took_us, 30 * 1000 * 1000);
    ck_says(error, "4000 ms");
    ck_says(error, "127.0.0.1:1");
    ck_says(error, "refused");
    ck_assert(error.retriable);
    ck_assert_ptr_null(cluster);
    ck_status(kur_admin_cluster(alone, 0, arena, &cluster, &error), KUR_ERROR_TIMEOUT, error);
    kur_admin_free(alone);
}
END_TEST

START_TEST(test_admin_topics__specs_are_checked)
{
    static const kur_property twice[] = {{"segment.ms", "1"}, {"segment.ms", "2"}, {NULL, NULL}};
    static const kur_property typed[] = {{"retention.ms", "1"}, {NULL, NULL}};
    static const kur_property empty[] = {{"", "1"}, {NULL, NULL}};
    static const kur_property null[] = {{"segment.ms", NULL}, {NULL, NULL}};
    static const kur_property bytes[] = {{"segment.ms", "\xff"}, {NULL, NULL}};
    char long_name[251];
    memset(long_name, 'n', 250);
    long_name[250] = '\0';
    const struct {
        kur_topic_spec spec;
        const char *says;
    } wrong[] = {
        {KUR_TOPIC_SPEC(.name = NULL), ".name"},
        {KUR_TOPIC_SPEC(.name = ""), ".name"},
        {KUR_TOPIC_SPEC(.name = "or/ders"), ".name"},
        {KUR_TOPIC_SPEC(.name = "\xff"), ".name"},
        {KUR_TOPIC_SPEC(.name = long_name), ".name"},
        {{.size = 0, .name = "t"}, "kur_topic_spec.size"},
        {KUR_TOPIC_SPEC(.name = "t", .partitions = -1), ".partitions"},
        {KUR_TOPIC_SPEC(.name = "t", .partitions = 100001), ".partitions"},
        {KUR_TOPIC_SPEC(.name = "t", .replication = -1), ".replication"},
        {KUR_TOPIC_SPEC(.name = "t", .replication = 32768), ".replication"},
        {KUR_TOPIC_SPEC(.name = "t", .cleanup = (kur_cleanup)4), ".cleanup"},
        {KUR_TOPIC_SPEC(.name = "t", .cleanup = (kur_cleanup)-1), ".cleanup"},
        {KUR_TOPIC_SPEC(.name = "t", .retention_ms = -2), ".retention_ms"},
        {KUR_TOPIC_SPEC(.name = "t", .retention_bytes = -2), ".retention_bytes"},
        {KUR_TOPIC_SPEC(.name = "t", .max_message_bytes = -1), ".max_message_bytes"},
        {KUR_TOPIC_SPEC(.name = "t", .max_message_bytes = INT64_C(3000000000)), ".max_message_bytes"},
        {KUR_TOPIC_SPEC(.name = "t", .min_insync_replicas = -1), ".min_insync_replicas"},
        {KUR_TOPIC_SPEC(.name = "t", .configs = twice), "segment.ms stands there twice"},
        {KUR_TOPIC_SPEC(.name = "t", .retention_ms = 5, .configs = typed), "retention.ms is set by its own"},
        {KUR_TOPIC_SPEC(.name = "t", .configs = empty), ".configs[0]"},
        {KUR_TOPIC_SPEC(.name = "t", .configs = null), ".configs[0]"},
        {KUR_TOPIC_SPEC(.name = "t", .configs = bytes), ".configs[0]"},
    };
    kur_topic_differences differences;
    begin();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_status(kur_admin_create_topics(admin, &wrong[i].spec, 1, PATIENCE_MS, &error), KUR_ERROR_INVALID_ARGUMENT,
                  error);
        ck_says(error, wrong[i].says);
        ck_says(error, "topics[0]");
        ck_status(kur_admin_ensure_topics(admin, &wrong[i].spec, 1, PATIENCE_MS, NULL, NULL, &error),
                  KUR_ERROR_INVALID_ARGUMENT, error);
        ck_status(kur_admin_compare_topics(admin, &wrong[i].spec, 1, PATIENCE_MS, arena, &differences, &error),
                  KUR_ERROR_INVALID_ARGUMENT, error);
        ck_status(kur_admin_apply_topics(admin, &wrong[i].spec, 1, PATIENCE_MS, arena, &differences, &error),
                  KUR_ERROR_INVALID_ARGUMENT, error);
    }
    kur_topic_spec same[] = {KUR_TOPIC_SPEC(.name = "t"), KUR_TOPIC_SPEC(.name = "t")};
    ck_status(kur_admin_create_topics(admin, same, 2, PATIENCE_MS, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "topics[1]: t stands there twice");
}
END_TEST

#define REFUSES(call, text)                                                                                            \
    do {                                                                                                               \
        error = (kur_error){0};                                                                                        \
        ck_status(call, KUR_ERROR_INVALID_ARGUMENT, error);                                                            \
        ck_says(error, text);                                                                                          \
    } while (0)

START_TEST(test_admin_topics__arguments_are_checked)
{
    begin();
    kur_topic_spec spec = KUR_TOPIC_SPEC(.name = "t");
    kur_topic_differences differences;
    kur_topic_list list;
    const kur_topic_view *view;
    const kur_cluster_view *cluster;
    REFUSES((kur_admin_new(NULL, &error), error.code), "client is NULL");
    kur_admin_free(NULL);

    REFUSES(kur_admin_cluster(NULL, 1, arena, &cluster, &error), "admin is NULL");
    REFUSES(kur_admin_cluster(admin, 1, NULL, &cluster, &error), "arena is NULL");
    REFUSES(kur_admin_cluster(admin, 1, arena, NULL, &error), "cluster is NULL");
    REFUSES(kur_admin_cluster(admin, -1, arena, &cluster, &error), "timeout_ms is negative");

    const char *const none[] = {NULL}, *const wrong[] = {"t", "a b", NULL}, *const one[] = {"t", NULL};
    REFUSES(kur_admin_list_topics(NULL, 1, arena, &list, &error), "admin is NULL");
    REFUSES(kur_admin_list_topics(admin, 1, NULL, &list, &error), "arena is NULL");
    REFUSES(kur_admin_list_topics(admin, 1, arena, NULL, &error), "topics is NULL");
    REFUSES(kur_admin_list_topics(admin, -1, arena, &list, &error), "timeout_ms is negative");

    REFUSES(kur_admin_describe_topic(NULL, "t", 1, arena, &view, &error), "admin is NULL");
    REFUSES(kur_admin_describe_topic(admin, NULL, 1, arena, &view, &error), "name is NULL");
    REFUSES(kur_admin_describe_topic(admin, "t", 1, NULL, &view, &error), "arena is NULL");
    REFUSES(kur_admin_describe_topic(admin, "t", 1, arena, NULL, &error), "topic is NULL");
    REFUSES(kur_admin_describe_topic(admin, "", 1, arena, &view, &error), "name is not");
    REFUSES(kur_admin_describe_topic(admin, "t", -1, arena, &view, &error), "timeout_ms is negative");

    REFUSES(kur_admin_topic_settings(NULL, one, 1, arena, &list, &error), "admin is NULL");
    REFUSES(kur_admin_topic_settings(admin, NULL, 1, arena, &list, &error), "names is NULL");
    REFUSES(kur_admin_topic_settings(admin, one, 1, NULL, &list, &error), "arena is NULL");
    REFUSES(kur_admin_topic_settings(admin, one, 1, arena, NULL, &error), "topics is NULL");
    REFUSES(kur_admin_topic_settings(admin, none, 1, arena, &list, &error), "names has not");
    REFUSES(kur_admin_topic_settings(admin, wrong, 1, arena, &list, &error), "names[1]");
    REFUSES(kur_admin_topic_settings(admin, one, -1, arena, &list, &error), "timeout_ms is negative");

    REFUSES(kur_admin_create_topics(NULL, &spec, 1, 1, &error), "admin is NULL");
    REFUSES(kur_admin_create_topics(admin, NULL, 1, 1, &error), "topics is NULL");
    REFUSES(kur_admin_create_topics(admin, &spec, 0, 1, &error), "count is not");
    REFUSES(kur_admin_create_topics(admin, &spec, 10001, 1, &error), "count is not");
    REFUSES(kur_admin_create_topics(admin, &spec, 1, -1, &error), "timeout_ms is negative");

    REFUSES(kur_admin_compare_topics(NULL, &spec, 1, 1, arena, &differences, &error), "admin is NULL");
    REFUSES(kur_admin_compare_topics(admin, NULL, 1, 1, arena, &differences, &error), "wanted is NULL");
    REFUSES(kur_admin_compare_topics(admin, &spec, 1, 1, NULL, NULL, &error), "arena is NULL");
    REFUSES(kur_admin_compare_topics(admin, &spec, 1, 1, arena, NULL, &error), "differences is NULL");
    REFUSES(kur_admin_compare_topics(admin, &spec, 0, 1, arena, &differences, &error), "count is not");
    REFUSES(kur_admin_ensure_topics(NULL, &spec, 1, 1, NULL, NULL, &error), "admin is NULL");
    REFUSES(kur_admin_ensure_topics(admin, &spec, 1, 1, NULL, &differences, &error), "arena is NULL");
    REFUSES(kur_admin_ensure_topics(admin, &spec, 1, -1, NULL, NULL, &error), "timeout_ms is negative");
    REFUSES(kur_admin_apply_topics(NULL, &spec, 1, 1, NULL, NULL, &error), "admin is NULL");
    REFUSES(kur_admin_apply_topics(admin, NULL, 1, 1, NULL, NULL, &error), "wanted is NULL");
    REFUSES(kur_admin_apply_topics(admin, &spec, 1, 1, arena, NULL, &error), "differences is NULL");

    kur_buffer buffer = {0};
    differences = (kur_topic_differences){1, NULL};
    REFUSES(kur_topic_differences_print(NULL, &buffer, &error), "differences is NULL");
    REFUSES(kur_topic_differences_print(&differences, NULL, &error), "buffer is NULL");
    REFUSES(kur_topic_differences_print(&differences, &buffer, &error), "items is NULL");

    REFUSES(kur_admin_delete_topics(NULL, one, 1, &error), "admin is NULL");
    REFUSES(kur_admin_delete_topics(admin, NULL, 1, &error), "names is NULL");
    REFUSES(kur_admin_delete_topics(admin, none, 1, &error), "names has not");
    REFUSES(kur_admin_delete_topics(admin, wrong, 1, &error), "names[1]");
    REFUSES(kur_admin_delete_topics(admin, one, -1, &error), "timeout_ms is negative");

    kur_position positions[] = {KUR_POSITION(.topic = "t"), KUR_POSITION(.topic = "t")};
    REFUSES(kur_admin_delete_records(NULL, positions, 1, 1, &error), "admin is NULL");
    REFUSES(kur_admin_delete_records(admin, NULL, 1, 1, &error), "before is NULL");
    REFUSES(kur_admin_delete_records(admin, positions, 0, 1, &error), "count is not");
    REFUSES(kur_admin_delete_records(admin, positions, 2, 1, &error), "before[1]: t [0] stands there twice");
    REFUSES(kur_admin_delete_records(admin, positions, 1, -1, &error), "timeout_ms is negative");
    positions[0].offset = -2;
    REFUSES(kur_admin_delete_records(admin, positions, 1, 1, &error), "before[0]");
    positions[0] = (kur_position){.topic = "t"};
    REFUSES(kur_admin_delete_records(admin, positions, 1, 1, &error), "before[0].size");
    /* The first error stays. */
    kur_error first = {0};
    kur_error_set(&first, KUR_ERROR_CONFIG, "no bootstrap servers");
    ck_status(kur_admin_cluster(NULL, 1, arena, &cluster, &first), KUR_ERROR_CONFIG, first);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_admin_topics__cluster,
                                  test_admin_topics__what_is_made_is_as_it_was_described,
                                  test_admin_topics__what_a_broker_refuses_is_said_in_its_words,
                                  test_admin_topics__ensure_makes_what_is_missing_and_tells_the_rest,
                                  test_admin_topics__apply_changes_what_can_be_changed,
                                  test_admin_topics__ensured_by_many_at_once,
                                  test_admin_topics__list,
                                  test_admin_topics__settings_of_many,
                                  test_admin_topics__asking_makes_no_topic,
                                  test_admin_topics__deleted_topics_are_gone,
                                  test_admin_topics__deleted_records_move_the_start,
                                  test_admin_topics__a_time_out_names_host_and_reason,
                                  test_admin_topics__specs_are_checked,
                                  test_admin_topics__arguments_are_checked,
                                  NULL};
    return administer("admin_topics", tests);
}
