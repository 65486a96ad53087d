/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier redrive`: dead letters, sent again. Each verb, or two that belong together, is in a file beside this one.
 */
#include "redrive.h"

#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <stdio.h>

#include "table.h"
#include "text.h"

struct redrive redrive_state = {
    .dlq = {.filter = {.size = sizeof(kur_letter_filter)}, .limit = -1, .max = -1, .expect = -1, .warn_ms = -1},
    .max_redriven = -1,
    .every_ms = 2000};

const char *redrive_id(struct invocation *call)
{
    if (call->argument_count == 1 && call->arguments[0][0] != '\0')
        return call->arguments[0];
    command_refuse(call->noun, "which plan? kurier redrive status lists them");
    return NULL;
}

int redrive_fail(const struct invocation *call, const kur_error *error)
{
    switch (error->code) {
    case KUR_ERROR_INVALID_ARGUMENT:
    case KUR_ERROR_INVALID_STATE:
    case KUR_ERROR_MISMATCH:
    case KUR_ERROR_STALE:
        command_note(call->noun, "%s", error->message);
        return EXIT_REFUSED;
    case KUR_ERROR_UNKNOWN_OUTCOME:
        command_note(call->noun, "%s", error->message);
        return EXIT_UNKNOWN;
    default:
        return command_error(call->noun, error);
    }
}

/* ---- A plan, for programs ---- */

static void put_routes(kur_buffer *json, const kur_redrive_view *plan)
{
    json_open(json, "routes", '[');
    for (size_t i = 0; i < plan->route_count; i++) {
        const kur_redrive_route *route = plan->routes[i];
        json_open(json, NULL, '{');
        json_text(json, "letters", route->letters);
        json_text(json, "group", route->group);
        json_text(json, "target", route->target);
        json_number(json, "count", route->count);
        json_bool(json, "running", route->is_running);
        json_text(json, "refused", route->refused[0] != '\0' ? route->refused : NULL);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_left_out(kur_buffer *json, const kur_redrive_left_out *left)
{
    json_open(json, "left_out", '{');
    json_number(json, "discarded", left->discarded);
    json_number(json, "sent", left->sent);
    json_number(json, "looped", left->looped);
    json_number(json, "stubs", left->stubs);
    json_number(json, "unknown", left->unknown);
    json_number(json, "refused", left->refused);
    json_close(json, '}');
}

void redrive_json(kur_buffer *json, const kur_redrive_view *plan, const kur_redrive_outcomes *outcomes)
{
    json_open(json, NULL, '{');
    json_text(json, "id", plan->id);
    json_text(json, "digest", plan->digest);
    json_text(json, "state", kur_redrive_state_name(plan->state));
    json_text(json, "target", plan->target == KUR_REDRIVE_ORIGIN ? "origin" : "retry");
    json_number(json, "letters", plan->count);
    json_number(json, "acknowledged", plan->acknowledged);
    json_number(json, "refused", plan->refused);
    if (outcomes != NULL) {
        json_number(json, "succeeded", outcomes->succeeded);
        json_number(json, "failed", outcomes->failed);
        json_number(json, "pending", outcomes->pending);
    }
    json_time(json, "planned_at", plan->planned_us);
    json_text(json, "planned_by", plan->who);
    json_text(json, "reason", plan->reason[0] != '\0' ? plan->reason : NULL);
    json_time(json, "started_at", plan->started_us > 0 ? plan->started_us : -1);
    json_text(json, "started_by", plan->runner[0] != '\0' ? plan->runner : NULL);
    json_time(json, "heard_at", plan->told_us > 0 ? plan->told_us : -1);
    json_text(json, "note", plan->note[0] != '\0' ? plan->note : NULL);
    json_bool(json, "cancelled", plan->is_cancelled);
    put_routes(json, plan);
    put_left_out(json, plan->left_out);
    json_close(json, '}');
}

/* ---- And for people ---- */

static void print_line(const char *name, const char *text)
{
    kur_buffer safe = {0};
    text_safe(&safe, kur_bytes_text(text), false);
    if (text[0] != '\0')
        printf("%-14s %s\n", name, safe.data);
    kur_buffer_done(&safe);
}

static void print_time(const char *name, int64_t time_us, const char *who)
{
    kur_buffer text = {0};
    if (time_us <= 0)
        return;
    text_time(&text, time_us);
    text_put(&text, who[0] != '\0' ? " by " : "");
    text_put(&text, who);
    print_line(name, text.data);
    kur_buffer_done(&text);
}

static void print_left_out(const kur_redrive_left_out *left)
{
    const struct {
        int64_t count;
        const char *why;
    } lines[] = {{left->discarded, "are discarded"},
                 {left->sent, "were sent by an earlier run (--force sent)"},
                 {left->looped, "were sent again too often (--force loops)"},
                 {left->stubs, "are stubs: value or headers are not there"},
                 {left->unknown, "do not tell where they are from"},
                 {left->refused, "would go where nothing may go"}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (lines[i].count > 0)
            printf("%-14s %" PRId64 " %s\n", "left out", lines[i].count, lines[i].why);
}

static const char *note_of(const kur_redrive_route *route)
{
    return route->refused[0] != '\0' ? route->refused : route->is_running ? "" : "no member now";
}

/* Where letters go; the notes have a column where there are any. */
static void print_routes(const kur_redrive_view *plan)
{
    const char *headings[] = {"FROM", "GROUP", "TO", ">LETTERS", NULL, NULL};
    struct table table = {.headings = headings};
    for (size_t i = 0; i < plan->route_count; i++)
        if (note_of(plan->routes[i])[0] != '\0')
            headings[4] = "NOTE";
    for (size_t i = 0; i < plan->route_count; i++) {
        const kur_redrive_route *route = plan->routes[i];
        table_text(&table, route->letters);
        table_text(&table, route->group);
        table_text(&table, route->target);
        table_cell(&table, "%" PRId64, route->count);
        if (headings[4] != NULL)
            table_text(&table, note_of(route));
    }
    table_print(&table);
}

void redrive_print(const kur_redrive_view *plan, const kur_redrive_outcomes *outcomes)
{
    print_line("plan", plan->id);
    print_line("digest", plan->digest);
    print_line("state", kur_redrive_state_name(plan->state));
    print_line("note", plan->note);
    print_time("planned", plan->planned_us, plan->who);
    print_line("reason", plan->reason);
    print_time("started", plan->started_us, plan->runner);
    print_time("heard", plan->told_us, "");
    printf("%-14s %" PRId64 "\n", "letters", plan->count);
    print_left_out(plan->left_out);
    if (plan->started_us > 0)
        printf("%-14s %" PRId64 "\n", "acknowledged", plan->acknowledged);
    if (plan->refused > 0)
        printf("%-14s %" PRId64 ": too large for their target\n", "refused", plan->refused);
    if (outcomes != NULL && plan->started_us > 0)
        printf("%-14s %" PRId64 "\n%-14s %" PRId64 "\n%-14s %" PRId64 "\n", "succeeded", outcomes->succeeded,
               "failed again", outcomes->failed, "pending", outcomes->pending);
    putchar('\n');
    print_routes(plan);
}

/* ---- The noun ---- */

static const struct verb *const verbs[] = {&redrive_plan,  &redrive_start,  &redrive_status, &redrive_watch,
                                           &redrive_pause, &redrive_resume, &redrive_cancel, NULL};

const struct noun redrive_noun = {
    .name = "redrive",
    .summary = "dead letters, sent again: planned, slowly, and followed",
    .about = "Dead letters are sent again by a plan, which says exactly which ones and where to, and sends nothing; a "
             "run of it can be slow, paused, cancelled or killed, and goes on where it was. Plans and progress stand "
             "in the topic kurier.redrive. The letters stay where they are; what was sent is left out of later plans.",
    .verbs = verbs};
