/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What a service does with its topics when it starts, and how far a group is behind.
 */
#include <inttypes.h>
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TIMEOUT_MS = 10000
};

/* Makes the topic if it is missing, and prints in what it is not as it should be. */
static kur_status ensure(kur_admin *admin, const char *topic, kur_arena *arena, kur_error *error)
{
    kur_topic_spec wanted =
        KUR_TOPIC_SPEC(.name = topic, .partitions = 6, .retention_ms = 7 * 24 * 3600 * INT64_C(1000));
    kur_topic_differences differences;
    kur_buffer text = {0};
    kur_status status = kur_admin_ensure_topics(admin, &wanted, 1, TIMEOUT_MS, arena, &differences, error);
    if (status == KUR_OK)
        status = kur_topic_differences_print(&differences, &text, error);
    if (status == KUR_OK)
        printf("%s", text.size > 0 ? text.data : "all is as it should be\n");
    kur_buffer_done(&text);
    return status;
}

static kur_status show_lag(kur_admin *admin, const char *group, kur_arena *arena, kur_error *error)
{
    const kur_group_lag *lag = NULL;
    kur_status status = kur_admin_group_lag(admin, group, TIMEOUT_MS, arena, &lag, error);
    if (status != KUR_OK)
        return status;
    for (size_t i = 0; i < lag->partition_count; i++) {
        const kur_partition_lag *one = lag->partitions[i];
        printf("%s [%" PRId32 "]: %" PRId64 " wait, of %" PRId64 " to %" PRId64 "\n", one->topic, one->partition,
               one->lag, one->start_offset, one->end_offset);
    }
    printf("group %s (%s): %" PRId64 " wait\n", group, kur_group_state_name(lag->state), lag->lag);
    return KUR_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3 || strcmp(argv[1], "--help") == 0) {
        fprintf(argc == 2 ? stdout : stderr,
                "usage: %s TOPIC [GROUP]\n\n"
                "Makes the topic with six partitions and a week of retention if it is missing, prints in what it is\n"
                "not so, and how far the group is behind. KAFKA_BOOTSTRAP_SERVERS names the broker.\n",
                argv[0]);
        return argc == 2 ? EXIT_SUCCESS : 2;
    }
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.log = kur_log_stderr), &error);
    kur_admin *admin = kur_admin_new(client, &error);
    kur_status status = ensure(admin, argv[1], arena, &error);
    if (status == KUR_OK && argc == 3)
        status = show_lag(admin, argv[2], arena, &error);
    if (status != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_admin_free(admin);
    kur_client_unref(client);
    kur_arena_free(arena);
    return status == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
