/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Sends dead letters again, 100 a second, ten of them first; then tells what has become of them. Killed and started
 * again with the plan that it has printed, it goes on. `kurier redrive` does the same, and more, at the command line.
 */
#include <inttypes.h>
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool show(const kur_redrive_progress *progress, void *user)
{
    (void)user;
    printf("%s: %" PRId64 " of %" PRId64 "\n", kur_redrive_state_name(progress->state), progress->acknowledged,
           progress->count);
    return true;
}

/* Until each record has an outcome. A record may wait for a later attempt for long: a tool would not stay for it. */
static kur_status follow(kur_client *client, const char *id, kur_error *error)
{
    kur_redrive_watch *watch = kur_redrive_watch_new(client, id, error);
    kur_redrive_outcomes outcomes = KUR_REDRIVE_OUTCOMES(.pending = 1);
    while (outcomes.pending > 0 && kur_redrive_watch_look(watch, 30000, &outcomes, error) == KUR_OK) {
        printf("%" PRId64 " succeeded, %" PRId64 " failed again, %" PRId64 " pending\n", outcomes.succeeded,
               outcomes.failed, outcomes.pending);
        nanosleep(&(struct timespec){.tv_sec = outcomes.pending > 0}, NULL);
    }
    kur_redrive_watch_free(watch);
    return error->code;
}

static kur_status send_again(kur_client *client, char **names, kur_error *error)
{
    kur_arena *arena = kur_arena_new();
    const kur_redrive_view *plan;
    bool is_plan = names[1] == NULL && !kur_letter_is_topic(names[0]);
    const char *id = names[0];
    if (!is_plan &&
        kur_redrive_plan(client, &KUR_REDRIVE_PLAN_OPTIONS(.topics = (const char *const *)names, .who = "example"),
                         arena, &plan, error) == KUR_OK) {
        id = plan->id;
        printf("plan %s: %" PRId64 " letters\n", id, plan->count);
    }
    if (error->code == KUR_OK)
        kur_redrive_run(client, id,
                        &KUR_REDRIVE_RUN_OPTIONS(.who = "example", .rate = 100, .canary = 10, .on_progress = show),
                        NULL, error);
    if (error->code == KUR_OK)
        follow(client, id, error);
    kur_arena_free(arena);
    return error->code;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') {
        printf("usage: %s TOPIC… | PLAN\n\nSends these dead letters again. Broker: KAFKA_BOOTSTRAP_SERVERS.\n",
               argv[0]);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.source = "/examples", .log = kur_log_stderr), &error);
    if (client != NULL)
        send_again(client, argv + 1, &error);
    if (error.code != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_client_unref(client);
    return error.code == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
