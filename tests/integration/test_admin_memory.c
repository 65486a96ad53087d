/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Every allocation of ours fails once in what administration asks: the error goes up, and nothing leaks. As
 * tests/unit/test_allocation.c does it, for the calling thread alone: librdkafka's threads log meanwhile.
 */
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../failing.h"
#include "../support.h"

enum {
    PATIENCE_MS = 30000
};

static kur_client *client;
static kur_admin *admin;
static const char *topic, *group;

typedef kur_status step(kur_arena *arena, kur_error *error);

static kur_status make(kur_arena *arena, kur_error *error)
{
    (void)arena;
    kur_admin *made = kur_admin_new(client, error);
    kur_admin_free(made);
    return made != NULL ? KUR_OK : error->code;
}

static kur_status look(kur_arena *arena, kur_error *error)
{
    const kur_cluster_view *cluster;
    const kur_topic_view *view;
    kur_topic_list list;
    kur_status status = kur_admin_cluster(admin, PATIENCE_MS, arena, &cluster, error);
    if (status == KUR_OK)
        status = kur_admin_list_topics(admin, PATIENCE_MS, arena, &list, error);
    if (status == KUR_OK)
        status = kur_admin_describe_topic(admin, topic, PATIENCE_MS, arena, &view, error);
    if (status == KUR_OK)
        status = kur_admin_topic_settings(admin, (const char *const[]){topic, NULL}, PATIENCE_MS, arena, &list, error);
    return status;
}

static kur_status ensure(kur_arena *arena, kur_error *error)
{
    kur_topic_spec wanted = KUR_TOPIC_SPEC(.name = topic, .partitions = 9, .retention_ms = 5000);
    kur_topic_differences differences;
    kur_buffer text = {0};
    kur_status status = kur_admin_ensure_topics(admin, &wanted, 1, PATIENCE_MS, NULL, NULL, error);
    if (status == KUR_OK)
        status = kur_admin_compare_topics(admin, &wanted, 1, PATIENCE_MS, arena, &differences, error);
    if (status == KUR_OK)
        status = kur_topic_differences_print(&differences, &text, error);
    ck_assert(status == KUR_OK || text.size == 0);
    kur_buffer_done(&text);
    return status;
}

static kur_status reset(kur_arena *arena, kur_error *error)
{
    const kur_group_lag *lag;
    const kur_reset_plan *plan;
    kur_position at = KUR_POSITION(.topic = topic, .offset = 1, .metadata = "ledger");
    kur_reset_options options = KUR_RESET_OPTIONS(.to = KUR_RESET_TO_START);
    kur_status status = kur_admin_set_group_offsets(admin, group, &at, 1, PATIENCE_MS, error);
    if (status == KUR_OK)
        status = kur_admin_group_lag(admin, group, PATIENCE_MS, arena, &lag, error);
    if (status == KUR_OK)
        status = kur_admin_plan_reset(admin, group, &options, PATIENCE_MS, arena, &plan, error);
    if (status == KUR_OK)
        status = kur_admin_apply_reset(admin, plan, PATIENCE_MS, error);
    return status;
}

static void fail_each(const char *name, step *once)
{
    long points = 0;
    kur_error error;
    kur_status status;
    do {
        ck_assert_int_lt(points, 1000);
        error = (kur_error){0};
        failing_begin(points + 1, true);
        kur_arena *arena = kur_arena_new();
        status = arena != NULL ? once(arena, &error) : kur_error_set(&error, KUR_ERROR_NO_MEMORY, "no arena");
        failing_rest();
        kur_arena_free(arena);
        failing_end();
    } while (failing_again(name, &points, status, &error));
}

START_TEST(test_admin_memory__every_allocation_fails_once)
{
    kur_error error = {0};
    client = support_client();
    admin = kur_admin_new(client, &error);
    ck_assert_msg(admin != NULL, "%s", error.message);
    topic = support_topic(2);
    group = support_name("g");
    fail_each("new", make);
    fail_each("look", look);
    fail_each("ensure", ensure);
    fail_each("reset", reset);
    kur_admin_free(admin);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_admin_memory__every_allocation_fails_once, NULL};
    int status = check_main("admin_memory", tests);
    support_stop();
    return status;
}
