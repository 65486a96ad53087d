/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "interrupt.h"
#include "redrive.h"
#include "table.h"
#include "text.h"

/* ---- status ---- */

static void print_rows(const kur_redrive_list *list)
{
    static const char *const headings[] = {"PLAN", "STATE", ">LETTERS", ">SENT", "TARGET", "PLANNED", "BY", NULL};
    struct table table = {.headings = headings};
    for (size_t i = 0; i < list->count; i++) {
        const kur_redrive_view *plan = list->items[i];
        table_text(&table, plan->id);
        table_text(&table, kur_redrive_state_name(plan->state));
        table_cell(&table, "%" PRId64, plan->count);
        table_cell(&table, "%" PRId64, plan->acknowledged);
        table_cell(&table, "%s", plan->target == KUR_REDRIVE_ORIGIN ? "origin" : "retry");
        table_time(&table, plan->planned_us);
        table_text(&table, plan->who);
    }
    table_print(&table);
}

static void print_objects(enum output output, const kur_redrive_list *list, const kur_redrive_outcomes *outcomes)
{
    struct objects objects = {.output = output};
    kur_buffer json = {0};
    for (size_t i = 0; i < list->count; i++) {
        redrive_json(&json, list->items[i], outcomes);
        json_print(&objects, &json);
    }
    json_end(&objects);
    kur_buffer_done(&json);
}

static int run_status(struct invocation *call)
{
    kur_error error = {0};
    kur_redrive_list list = {0};
    kur_redrive_outcomes outcomes = KUR_REDRIVE_OUTCOMES();
    const char *id = call->argument_count > 0 ? redrive_id(call) : NULL;
    if (call->argument_count > 0 && id == NULL)
        return EXIT_REFUSED;
    kur_status status = kur_redrive_look(call->client, id, call->connection.timeout_ms, call->arena, &list, &error);
    bool has_outcomes = status == KUR_OK && id != NULL && list.items[0]->started_us > 0;
    if (has_outcomes) {
        kur_redrive_watch *watch = kur_redrive_watch_new(call->client, id, &error);
        status = kur_redrive_watch_look(watch, call->connection.timeout_ms, &outcomes, &error);
        kur_redrive_watch_free(watch);
    }
    if (status != KUR_OK)
        return redrive_fail(call, &error);
    if (call->output != OUTPUT_TABLE)
        print_objects(call->output, &list, has_outcomes ? &outcomes : NULL);
    else if (id != NULL)
        redrive_print(list.items[0], has_outcomes ? &outcomes : NULL);
    else if (list.count > 0)
        print_rows(&list);
    else
        command_note(call->noun, "there are no plans");
    return EXIT_DONE;
}

const struct verb redrive_status = {
    .name = "status",
    .arguments = "[PLAN]",
    .summary = "plans and how they stand; of one, what has become of its records",
    .about = "Without a plan all of them, the latest first. With one, its records as well: failed again are those of "
             "which a dead letter is there; pending those that the group has not finished, in the topic that they were "
             "sent to or a retry topic behind it; all others have succeeded.",
    .options = {&output_options, &connect_options},
    .needs_client = true,
    .state = &redrive_state.dlq.call,
    .run = run_status};

/* ---- watch ---- */

static void print_outcomes(struct invocation *call, const kur_redrive_outcomes *now)
{
    struct objects objects = {.output = OUTPUT_JSONL};
    kur_buffer json = {0};
    if (call->output == OUTPUT_TABLE) {
        printf("%s: %" PRId64 " of %" PRId64 " sent, %" PRId64 " succeeded, %" PRId64 " failed again, %" PRId64
               " pending\n",
               kur_redrive_state_name(now->state), now->acknowledged, now->count, now->succeeded, now->failed,
               now->pending);
        fflush(stdout);
        return;
    }
    json_open(&json, NULL, '{');
    json_text(&json, "state", kur_redrive_state_name(now->state));
    json_number(&json, "letters", now->count);
    json_number(&json, "acknowledged", now->acknowledged);
    json_number(&json, "refused", now->refused);
    json_number(&json, "succeeded", now->succeeded);
    json_number(&json, "failed", now->failed);
    json_number(&json, "pending", now->pending);
    json_close(&json, '}');
    json_print(&objects, &json);
    fflush(stdout);
    kur_buffer_done(&json);
}

static bool is_same(const kur_redrive_outcomes *a, const kur_redrive_outcomes *b)
{
    return a->state == b->state && a->acknowledged == b->acknowledged && a->succeeded == b->succeeded &&
           a->failed == b->failed && a->pending == b->pending && a->refused == b->refused;
}

static bool is_settled(const kur_redrive_outcomes *now)
{
    return now->pending == 0 && (now->state == KUR_REDRIVE_DONE || now->state == KUR_REDRIVE_CANCELLED ||
                                 now->state == KUR_REDRIVE_ABORTED || now->state == KUR_REDRIVE_STOPPED);
}

static void wait_for(int64_t ms)
{
    for (; ms > 0 && interrupt_count() == 0; ms -= 100)
        nanosleep(&(struct timespec){.tv_nsec = (ms < 100 ? ms : 100) * 1000 * 1000}, NULL);
}

static int run_watch(struct invocation *call)
{
    kur_error error = {0};
    const char *id = redrive_id(call);
    kur_redrive_outcomes before = KUR_REDRIVE_OUTCOMES(.count = -1), now = KUR_REDRIVE_OUTCOMES();
    if (id == NULL)
        return EXIT_REFUSED;
    kur_redrive_watch *watch = kur_redrive_watch_new(call->client, id, &error);
    kur_status status = watch != NULL ? KUR_OK : error.code;
    interrupt_begin();
    while (status == KUR_OK && interrupt_count() == 0 && !(before.count >= 0 && is_settled(&now))) {
        if (before.count >= 0)
            wait_for(redrive_of(call)->every_ms);
        if (interrupt_count() > 0)
            break;
        status = kur_redrive_watch_look(watch, call->connection.timeout_ms, &now, &error);
        if (status == KUR_OK && (before.count < 0 || !is_same(&before, &now)))
            print_outcomes(call, &now);
        before = now;
    }
    kur_redrive_watch_free(watch);
    if (status != KUR_OK)
        return redrive_fail(call, &error);
    return now.succeeded == now.count && is_settled(&now) ? EXIT_DONE : EXIT_PARTIAL;
}

static const struct option watch_own[] = {{"--every", "TIME", "how often it looks; default 2s",
                                           OPTION_IN(DURATION, struct redrive, every_ms), .least = 100,
                                           .most = 3600 * 1000},
                                          {.name = NULL}};
static const struct options watch_options = {.list = watch_own};

const struct verb redrive_watch = {
    .name = "watch",
    .arguments = "PLAN",
    .summary = "tells what becomes of a plan's records, until all have an outcome",
    .about = "A line whenever something has changed, until nothing is pending and nobody is sending; Ctrl-C ends it, "
             "and does nothing to the run. Exit status 2: not all letters of the plan have succeeded.",
    .options = {&watch_options, &output_options, &connect_options},
    .needs_client = true,
    .state = &redrive_state.dlq.call,
    .run = run_watch};
