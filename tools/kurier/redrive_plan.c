/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "interrupt.h"
#include "redrive.h"
#include "text.h"

/* ---- Options ---- */

static int read_target(struct invocation *call, const char *value)
{
    bool is_origin = strcmp(value, "origin") == 0;
    redrive_of(call)->target = is_origin ? KUR_REDRIVE_ORIGIN : KUR_REDRIVE_RETRY;
    return is_origin || strcmp(value, "retry") == 0 ? EXIT_DONE
                                                    : command_refuse(call->noun, "--target takes retry or origin");
}

static int read_tier(struct invocation *call, const char *value)
{
    bool is_ordered = strcmp(value, "ordered") == 0;
    redrive_of(call)->tier = is_ordered ? KUR_TIER_ORDERED : KUR_TIER_SHORT;
    return is_ordered || strcmp(value, "short") == 0 ? EXIT_DONE
                                                     : command_refuse(call->noun, "--tier takes short or ordered");
}

static int read_force(struct invocation *call, const char *value)
{
    static const char *const names[] = {"compacted", "unread", "loops", "sent"};
    for (int i = 0; i < 4; i++)
        if (strcmp(value, names[i]) == 0) {
            redrive_of(call)->force |= 1U << i;
            return EXIT_DONE;
        }
    return command_refuse(call->noun, "--force takes compacted, unread, loops or sent");
}

static int read_strip(struct invocation *call, const char *value)
{
    struct redrive *redrive = redrive_of(call);
    if (redrive->strip_count == REDRIVE_HEADERS_MAX)
        return command_refuse(call->noun, "more than %d times --strip-header", REDRIVE_HEADERS_MAX);
    redrive->strip[redrive->strip_count++] = value;
    return EXIT_DONE;
}

static int read_set(struct invocation *call, const char *value)
{
    struct redrive *redrive = redrive_of(call);
    const char *equals = strchr(value, '=');
    if (equals == NULL || equals == value || redrive->set_count == REDRIVE_HEADERS_MAX)
        return command_refuse(call->noun, "--set-header needs NAME=VALUE, %d times at most", REDRIVE_HEADERS_MAX);
    char *name = strndup(value, (size_t)(equals - value));
    text_need(name != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    redrive->set[redrive->set_count++] = (kur_header){name, kur_bytes_text(equals + 1)};
    return EXIT_DONE;
}

/* ---- Planning ---- */

static bool tell(const kur_letter_progress *progress, void *user)
{
    struct redrive *redrive = user;
    progress_tell(&redrive->progress, progress->passed, progress->total);
    return interrupt_count() == 0;
}

static void print_plan(struct invocation *call, const kur_redrive_view *plan)
{
    struct objects objects = {.output = call->output};
    kur_buffer json = {0};
    if (call->output == OUTPUT_TABLE) {
        redrive_print(plan, NULL);
        command_note(call->noun, "nothing was sent; kurier redrive start %s --digest %.12s --execute does that",
                     plan->id, plan->digest);
        return;
    }
    redrive_json(&json, plan, NULL);
    json_print(&objects, &json);
    json_end(&objects);
    kur_buffer_done(&json);
}

static int run(struct invocation *call)
{
    struct redrive *redrive = redrive_of(call);
    kur_error error = {0};
    char who[COMMAND_WHO_SIZE];
    const char *const *topics;
    const kur_redrive_view *plan;
    if (call->argument_count == 0)
        return command_refuse(call->noun, "which topics? They are named one by one");
    if (redrive->dlq.with_discarded)
        return command_refuse(call->noun, "--discarded: what was put aside is not sent");
    int status = dlq_topics(&redrive->dlq, &topics);
    if (status != EXIT_DONE)
        return status;
    kur_redrive_plan_options options =
        KUR_REDRIVE_PLAN_OPTIONS(.topics = topics, .filter = &redrive->dlq.filter,
                                 .who = command_who(redrive->dlq.who, who), .reason = redrive->dlq.reason,
                                 .target = redrive->target, .tier = redrive->tier, .force = redrive->force,
                                 .max_redriven = redrive->max_redriven > 0 ? (int)redrive->max_redriven : 0,
                                 .strip = redrive->strip_count > 0 ? redrive->strip : NULL,
                                 .set = redrive->set_count > 0 ? redrive->set : NULL,
                                 .timeout_ms = call->connection.timeout_ms, .on_progress = tell, .user = redrive);
    progress_begin(&redrive->progress, "offsets read");
    interrupt_begin();
    kur_status planned = kur_redrive_plan(call->client, &options, call->arena, &plan, &error);
    progress_end(&redrive->progress);
    for (size_t i = 0; i < redrive->set_count; i++)
        free((char *)(uintptr_t)redrive->set[i].name);
    if (planned != KUR_OK)
        return redrive_fail(call, &error);
    print_plan(call, plan);
    return EXIT_DONE;
}

static const struct option own[] = {
    {"--reason", "TEXT", "why; it stays", OPTION_IN(TEXT, struct dlq, reason)},
    {"--who", "NAME", "default: $USER@host", OPTION_IN(TEXT, struct dlq, who)},
    {"--target", "WHERE",
     "retry (default): the failing group's own retry topic, so that no other group sees them "
     "again; origin: the topic that they came from",
     .kind = OPTION_CALL, .read = read_target, .words = "retry origin"},
    {"--tier", "TIER", "short or ordered, where a group has read both; default: the one that it reads",
     .kind = OPTION_CALL, .read = read_tier, .words = "short ordered"},
    {"--strip-header", "NAME", "a header that is left out; NAME* all that begin so; may be repeated",
     .kind = OPTION_CALL, .read = read_strip},
    {"--set-header", "NAME=VALUE", "a header that stands in place of all of its name; may be repeated",
     .kind = OPTION_CALL, .read = read_set},
    {"--max-redriven", "N", "leave out what was sent again so often; default 3",
     OPTION_IN(NUMBER, struct redrive, max_redriven), .least = 1, .most = 10000},
    {"--force", "WHAT",
     "compacted: to a compacted origin; unread: to a topic that the group does not read; loops: what "
     "was sent again too often; sent: what an earlier run has sent; may be repeated",
     .kind = OPTION_CALL, .read = read_force, .words = "compacted unread loops sent"},
    {.name = NULL}};
static const struct options own_options = {.list = own};

const struct verb redrive_plan = {
    .name = "plan",
    .arguments = "TOPIC…",
    .summary = "which dead letters would be sent again, and where to",
    .about = "Reads the letters, checks where they would go, and writes a plan to the topic kurier.redrive, which the "
             "first one makes. Nothing is sent: kurier redrive start does that, with exactly these letters. Letters "
             "that come later are none of it; when some go, or others lie in their places, the plan is void.",
    .options = {&own_options, &dlq_filter_options, &output_options, &connect_options},
    .needs_client = true,
    .state = &redrive_state.dlq.call,
    .run = run};
