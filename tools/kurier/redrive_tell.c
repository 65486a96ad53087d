/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier redrive pause`, `resume` and `cancel`. A brake that asks back is none: they act at once.
 */
#include "redrive.h"

static int say(struct invocation *call, kur_redrive_wish wish, const char *what)
{
    kur_error error = {0};
    char who[COMMAND_WHO_SIZE];
    const char *id = redrive_id(call);
    if (id == NULL)
        return EXIT_REFUSED;
    if (kur_redrive_tell(call->client, id, wish, command_who(redrive_of(call)->dlq.who, who),
                         call->connection.timeout_ms, &error) != KUR_OK)
        return redrive_fail(call, &error);
    command_note(call->noun, "%s", what);
    return EXIT_DONE;
}

static int run_pause(struct invocation *call)
{
    return say(call, KUR_REDRIVE_PAUSE, "whoever runs it sends nothing more until it is resumed");
}

static int run_resume(struct invocation *call)
{
    return say(call, KUR_REDRIVE_RESUME, "whoever runs it goes on");
}

static int run_cancel(struct invocation *call)
{
    return say(call, KUR_REDRIVE_CANCEL, "nothing more of it is sent; kurier redrive status tells what was");
}

static const struct option own[] = {{"--who", "NAME", "default: $USER@host", OPTION_IN(TEXT, struct dlq, who)},
                                    {.name = NULL}};
static const struct options own_options = {.list = own};

const struct verb redrive_pause = {
    .name = "pause",
    .arguments = "PLAN",
    .summary = "holds a run, wherever it runs",
    .about =
        "Whoever runs the plan sends nothing more, within a second, and waits. There is no --execute: a brake acts "
        "at once.",
    .options = {&own_options, &connect_options},
    .needs_client = true,
    .state = &redrive_state.dlq.call,
    .run = run_pause};

const struct verb redrive_resume = {
    .name = "resume",
    .arguments = "PLAN",
    .summary = "lets a paused run go on",
    .about = "Whoever runs the plan goes on. A run that was stopped or killed is gone on with by kurier redrive start.",
    .options = {&own_options, &connect_options},
    .needs_client = true,
    .state = &redrive_state.dlq.call,
    .run = run_resume};

const struct verb redrive_cancel = {
    .name = "cancel",
    .arguments = "PLAN",
    .summary = "ends a run for good, or a plan that was not started",
    .about = "Whoever runs the plan waits for what is on its way, and ends; the plan cannot be started again. What was "
             "sent stays sent. There is no --execute: a brake acts at once.",
    .options = {&own_options, &connect_options},
    .needs_client = true,
    .state = &redrive_state.dlq.call,
    .run = run_cancel};
