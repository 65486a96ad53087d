/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "interrupt.h"
#include "redrive.h"
#include "text.h"

/* ---- Options ---- */

static int read_rate(struct invocation *call, const char *value)
{
    char *end;
    double rate = strtod(value, &end);
    if (end == value || *end != '\0' || !(rate > 0) || rate > 1e9)
        return command_refuse(call->noun, "--rate needs a number of records in a second");
    redrive_of(call)->rate = rate;
    return EXIT_DONE;
}

static int read_refail(struct invocation *call, const char *value)
{
    char *end;
    double share = strtod(value, &end);
    if (end == value || (*end != '\0' && strcmp(end, "%") != 0) || !(share >= 0) || share > 100)
        return command_refuse(call->noun, "--abort-if-refail needs a share such as 20%%");
    redrive_of(call)->refail = share > 0 ? share / 100 : KUR_NONE;
    return EXIT_DONE;
}

/* ---- Running ---- */

static bool tell(const kur_redrive_progress *progress, void *user)
{
    struct redrive *redrive = user;
    redrive->progress.what = progress->is_checking                   ? "letters compared"
                             : progress->is_canary                   ? "sent: the canary's outcome is awaited"
                             : progress->state == KUR_REDRIVE_PAUSED ? "sent: paused"
                                                                     : "sent";
    progress_tell(&redrive->progress, progress->acknowledged + progress->refused, progress->count);
    return interrupt_count() == 0;
}

static void print_end(struct invocation *call, const char *id, const kur_redrive_progress *progress)
{
    struct objects objects = {.output = call->output};
    kur_buffer json = {0};
    if (call->output == OUTPUT_TABLE) {
        printf("%s: %" PRId64 " of %" PRId64 " letters are sent", kur_redrive_state_name(progress->state),
               progress->acknowledged, progress->count);
        if (progress->refused > 0)
            printf(", %" PRId64 " are too large for their target", progress->refused);
        if (progress->state == KUR_REDRIVE_ABORTED)
            printf("; %" PRId64 " of them failed again", progress->failed);
        putchar('\n');
        return;
    }
    json_open(&json, NULL, '{');
    json_text(&json, "id", id);
    json_text(&json, "state", kur_redrive_state_name(progress->state));
    json_number(&json, "letters", progress->count);
    json_number(&json, "acknowledged", progress->acknowledged);
    json_number(&json, "refused", progress->refused);
    json_number(&json, "sent", progress->sent);
    json_close(&json, '}');
    json_print(&objects, &json);
    json_end(&objects);
    kur_buffer_done(&json);
}

static int end(struct invocation *call, const char *id, kur_status status, const kur_redrive_progress *progress,
               const kur_error *error)
{
    if (status != KUR_OK && progress->state == 0)
        return redrive_fail(call, error);
    if (status == KUR_OK && !call->execute) {
        command_note(call->noun, "%" PRId64 " letters would be sent; --execute does that",
                     progress->count - progress->acknowledged - progress->refused);
        return EXIT_DONE;
    }
    if (status == KUR_ERROR_INVALID_STATE || status == KUR_ERROR_MISMATCH || (status != KUR_OK && progress->sent == 0))
        return status == KUR_ERROR_CANCELLED ? EXIT_PARTIAL : redrive_fail(call, error);
    print_end(call, id, progress);
    if (status != KUR_OK && status != KUR_ERROR_CANCELLED)
        command_note(call->noun, "%s", error->message);
    if (progress->state == KUR_REDRIVE_STOPPED)
        command_note(call->noun, "kurier redrive start %s --execute goes on", id);
    bool is_done = progress->state == KUR_REDRIVE_DONE || (status == KUR_OK && progress->state == KUR_REDRIVE_STOPPED);
    return is_done && progress->refused == 0 ? EXIT_DONE : EXIT_PARTIAL;
}

static int run(struct invocation *call)
{
    struct redrive *redrive = redrive_of(call);
    kur_error error = {0};
    char who[COMMAND_WHO_SIZE];
    const char *id = redrive_id(call);
    kur_redrive_progress progress = KUR_REDRIVE_PROGRESS();
    if (id == NULL)
        return EXIT_REFUSED;
    kur_redrive_run_options options =
        KUR_REDRIVE_RUN_OPTIONS(.who = command_who(redrive->dlq.who, who), .digest = redrive->digest,
                                .rate = redrive->rate, .max = redrive->max, .canary = redrive->canary,
                                .canary_refail = redrive->refail, .canary_wait_ms = (int)redrive->canary_wait_ms,
                                .lease_ms = (int)redrive->lease_ms, .dry_run = !call->execute,
                                .timeout_ms = call->connection.timeout_ms, .on_progress = tell, .user = redrive);
    progress_begin(&redrive->progress, "sent");
    interrupt_begin();
    kur_status status = kur_redrive_run(call->client, id, &options, &progress, &error);
    progress_end(&redrive->progress);
    return end(call, id, status, &progress, &error);
}

static const struct option own[] = {
    {"--rate", "N", "so many records in a second; default: no limit", .kind = OPTION_CALL, .read = read_rate},
    {"--max", "N", "stop after so many; the next start goes on", OPTION_IN(NUMBER, struct redrive, max)},
    {"--canary", "N", "so many first; the rest waits for what becomes of them",
     OPTION_IN(NUMBER, struct redrive, canary)},
    {"--abort-if-refail", "SHARE", "end for good when more of the canary fails again; default 20%", .kind = OPTION_CALL,
     .read = read_refail},
    {"--canary-wait", "TIME", "stop when the canary has no outcome by then; default 5m",
     OPTION_IN(DURATION, struct redrive, canary_wait_ms), .most = INT32_MAX},
    {"--digest", "HEX", "only if the plan's digest begins so", OPTION_IN(TEXT, struct redrive, digest)},
    {"--lease", "TIME", "silent for so long, this run counts as dead; default 10s",
     OPTION_IN(DURATION, struct redrive, lease_ms), .most = 3600 * 1000},
    {"--who", "NAME", "default: $USER@host", OPTION_IN(TEXT, struct dlq, who)},
    {"--execute", NULL, "send; without it the letters are compared with the plan",
     OPTION_IN(FLAG, struct dlq, call.execute)},
    {.name = NULL}};
static const struct options own_options = {.list = own};

const struct verb redrive_start = {
    .name = "start",
    .arguments = "PLAN",
    .summary = "sends what a plan says, or goes on with it",
    .about = "Compares the letters with the plan, and sends them. It runs until all are sent; Ctrl-C stops it in "
             "order, and a run that was stopped or killed goes on where it was, from anywhere. While somebody runs a "
             "plan nobody else can; one who was killed is waited for as long as its lease. Exit status 2: not all was "
             "sent, for it was stopped, cancelled, or the canary failed again.",
    .options = {&own_options, &output_options, &connect_options},
    .needs_client = true,
    .state = &redrive_state.dlq.call,
    .run = run};
