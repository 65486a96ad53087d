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
#include "../support.h"
#include "base/memory.h"

enum {
    PATIENCE_MS = 30000
};

static _Thread_local long countdown; /* the allocation that fails; 0: none */
static bool has_failed;
static long live; /* between new and free of one step, of the calling thread */
static _Thread_local bool counts;

static bool fails(void)
{
    if (countdown == 0 || --countdown != 0)
        return false;
    has_failed = true;
    return true;
}

static void *failing_malloc(size_t size)
{
    void *memory = fails() ? NULL : malloc(size);
    live += counts && memory != NULL;
    return memory;
}

static void *failing_realloc(void *memory, size_t size)
{
    if (fails())
        return NULL;
    void *moved = realloc(memory, size);
    live += counts && memory == NULL && moved != NULL;
    return moved;
}

static void counting_free(void *memory)
{
    live -= counts && memory != NULL;
    free(memory);
}

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
    static const kur__allocator failing = {failing_malloc, failing_realloc, counting_free};
    long points = 0;
    for (;; points++) {
        kur_error error = {0};
        ck_assert_int_lt(points, 1000);
        has_failed = false;
        live = 0;
        counts = true;
        kur__allocator_set(&failing);
        countdown = points + 1;
        kur_arena *arena = kur_arena_new();
        kur_status status =
            arena != NULL ? once(arena, &error) : kur_error_set(&error, KUR_ERROR_NO_MEMORY, "no arena");
        countdown = 0;
        kur_arena_free(arena);
        counts = false;
        kur__allocator_set(NULL);
        ck_assert_msg(live == 0, "%s: %ld allocations are left when the %ldth fails", name, live, points + 1);
        if (!has_failed) {
            ck_assert_msg(status == KUR_OK, "%s: %s", name, error.message);
            break;
        }
        ck_assert_msg(status == KUR_ERROR_NO_MEMORY, "%s: %s (%s) when allocation %ld fails", name,
                      kur_status_name(status), error.message, points + 1);
        ck_assert_int_eq(error.code, KUR_ERROR_NO_MEMORY);
    }
    printf("# allocations that were made to fail in %s: %ld\n", name, points);
    ck_assert_int_gt(points, 0);
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
