/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier lag`: how far groups are behind.
 */
#include "lag.h"

#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <stdio.h>
#include <time.h>

#include "table.h"
#include "text.h"

enum {
    SAMPLE_DEFAULT_MS = 1000,
    EVERY_DEFAULT_MS = 2000
};

static struct lag {
    struct invocation call;
    bool by_partition;
    int64_t sample_ms, every_ms, count;
    int64_t over_ms, over_records; /* 0: not given */
} state = {.sample_ms = SAMPLE_DEFAULT_MS, .every_ms = EVERY_DEFAULT_MS};

/* ---- For programs ---- */

static void put_amount(kur_buffer *json, const char *name, const struct lag_amount *amount, int64_t now_us)
{
    json_open(json, name, '{');
    json_number(json, "records", amount->count);
    if (amount->count == 0)
        json_number(json, "seconds", 0);
    else if (amount->is_known)
        json_number(json, "seconds", now_us > amount->oldest_us ? (now_us - amount->oldest_us) / 1000000 : 0);
    else
        json_null(json, "seconds");
    json_close(json, '}');
}

static void put_partition(kur_buffer *json, const struct lag_partition *one, int64_t now_us)
{
    const kur_partition_lag *lag = one->lag;
    struct lag_amount waiting = {one->waiting, one->first_us, one->first_us >= 0};
    struct lag_amount unread = {one->unread, one->behind_us, one->behind_us >= 0};
    json_open(json, NULL, '{');
    json_text(json, "topic", lag->topic);
    json_number(json, "partition", lag->partition);
    json_text(json, "tier", kur_tier_name(one->tier));
    json_number(json, "start", lag->start_offset);
    json_number(json, "end", lag->end_offset);
    if (lag->committed >= 0)
        json_number(json, "committed", lag->committed);
    else
        json_null(json, "committed");
    json_number(json, "lag", lag->lag);
    json_number(json, "finished_above", one->done);
    put_amount(json, "waiting", &waiting, now_us);
    put_amount(json, "unread", &unread, now_us);
    json_text(json, "client", lag->client_id);
    json_close(json, '}');
}

static void put_group(kur_buffer *json, const struct lag_group *group, int64_t now_us)
{
    int64_t catch_up_s = lag_catch_up_s(group);
    json_open(json, NULL, '{');
    json_text(json, "group", group->name);
    json_time(json, "at", now_us);
    json_text(json, "state", kur_group_state_name(group->state));
    json_number(json, "lag", group->lag);
    json_number(json, "finished_above", group->done);
    put_amount(json, "waiting", &group->waiting, now_us);
    put_amount(json, "unread", &group->unread, now_us);
    put_amount(json, "parked", &group->parked, now_us);
    json_bool(json, "foreign", group->is_foreign);
    if (group->has_trend)
        json_number(json, "trend_per_s", (int64_t)group->trend);
    else
        json_null(json, "trend_per_s");
    if (catch_up_s >= 0)
        json_number(json, "catch_up_s", catch_up_s);
    else
        json_null(json, "catch_up_s");
    if (state.by_partition) {
        json_open(json, "partitions", '[');
        for (size_t i = 0; i < group->partition_count; i++)
            put_partition(json, &group->partitions[i], now_us);
        json_close(json, ']');
    }
    json_close(json, '}');
}

/* ---- For people ---- */

/* "1042 (3m 2s)"; "17 (?)" where the time is not known; "0". */
static void cell_amount(struct table *table, const struct lag_amount *amount, int64_t now_us)
{
    kur_buffer text = {0};
    text_need(kur_buffer_print(&text, "%" PRId64, amount->count));
    if (amount->count > 0) {
        text_put(&text, " (");
        if (amount->is_known)
            text_duration(&text, now_us > amount->oldest_us ? now_us - amount->oldest_us : 0);
        else
            text_put(&text, "?");
        text_put(&text, ")");
    }
    table_text(table, text.data);
    kur_buffer_done(&text);
}

static void cell_trend(struct table *table, const struct lag_group *group)
{
    int64_t catch_up_s = lag_catch_up_s(group);
    kur_buffer text = {0};
    if (group->has_trend)
        table_cell(table, "%+" PRId64 "/s", (int64_t)group->trend);
    else
        table_text(table, "?");
    if (catch_up_s >= 0)
        text_duration(&text, catch_up_s * 1000000);
    else
        text_put(&text, catch_up_s == -1 ? "never" : "?");
    table_text(table, text.data);
    kur_buffer_done(&text);
}

static void print_groups(const struct lag_list *list, int64_t now_us)
{
    static const char *const headings[] = {"GROUP",   "STATE",   ">LAG",   ">DONE ABOVE", ">WAITING",
                                           ">UNREAD", ">PARKED", ">TREND", ">CATCH-UP",   NULL};
    struct table table = {.headings = headings};
    for (size_t i = 0; i < list->count; i++) {
        const struct lag_group *group = &list->groups[i];
        table_text(&table, group->name);
        table_text(&table, kur_group_state_name(group->state));
        table_cell(&table, "%" PRId64, group->lag);
        table_cell(&table, "%" PRId64 "%s", group->done, group->is_foreign ? "?" : "");
        cell_amount(&table, &group->waiting, now_us);
        cell_amount(&table, &group->unread, now_us);
        cell_amount(&table, &group->parked, now_us);
        cell_trend(&table, group);
    }
    table_print(&table);
}

static void print_partitions(const struct lag_group *group, int64_t now_us)
{
    static const char *const headings[] = {"PARTITION", ">COMMITTED", ">END",   ">LAG", ">DONE ABOVE",
                                           ">WAITING",  ">UNREAD",    "CLIENT", NULL};
    struct table table = {.headings = headings};
    for (size_t i = 0; i < group->partition_count; i++) {
        const struct lag_partition *one = &group->partitions[i];
        struct lag_amount waiting = {one->waiting, one->first_us, one->first_us >= 0};
        struct lag_amount unread = {one->unread, one->behind_us, one->behind_us >= 0};
        table_cell(&table, "%s/%" PRId32, one->lag->topic, one->lag->partition);
        if (one->lag->committed >= 0)
            table_cell(&table, "%" PRId64, one->lag->committed);
        else
            table_text(&table, "none");
        table_cell(&table, "%" PRId64, one->lag->end_offset);
        table_cell(&table, "%" PRId64, one->lag->lag);
        table_cell(&table, "%" PRId64 "%s", one->done, one->is_foreign ? "?" : "");
        cell_amount(&table, &waiting, now_us);
        cell_amount(&table, &unread, now_us);
        table_text(&table, one->lag->client_id);
    }
    putchar('\n');
    table_print(&table);
}

static void print(const struct invocation *call, const struct lag_list *list, struct objects *objects)
{
    int64_t now_us = kur_clock_now_us();
    kur_buffer json = {0};
    if (call->output == OUTPUT_TABLE)
        print_groups(list, now_us);
    for (size_t i = 0; i < list->count; i++) {
        if (call->output == OUTPUT_TABLE) {
            if (state.by_partition)
                print_partitions(&list->groups[i], now_us);
            continue;
        }
        put_group(&json, &list->groups[i], now_us);
        json_print(objects, &json);
    }
    kur_buffer_done(&json);
    if (list->count == 0 && call->output == OUTPUT_TABLE)
        command_note(call->noun, "no group has offsets");
}

/* ---- --fail-over ---- */

static int read_over(struct invocation *call, const char *value)
{
    if (text_read_duration(value, &state.over_ms) || text_read_number(value, 1, INT64_MAX, &state.over_records))
        return EXIT_DONE;
    return command_refuse(call->noun, "--fail-over needs a time such as 60s, or a number of records");
}

/* EXIT_OVER, EXIT_UNKNOWN when that cannot be told, else EXIT_DONE; parked records wait on purpose. */
static int judge_amount(const struct lag_amount *amount, int64_t now_us)
{
    if (amount->count == 0 || state.over_ms == 0)
        return EXIT_DONE;
    if (amount->oldest_us >= 0 && now_us - amount->oldest_us > state.over_ms * 1000)
        return EXIT_OVER;
    return amount->is_known ? EXIT_DONE : EXIT_UNKNOWN;
}

static int judge(const struct invocation *call, const struct lag_list *list)
{
    int64_t now_us = kur_clock_now_us();
    int status = EXIT_DONE;
    for (size_t i = 0; i < list->count; i++) {
        const struct lag_group *group = &list->groups[i];
        int waiting = judge_amount(&group->waiting, now_us), unread = judge_amount(&group->unread, now_us);
        int one = waiting > unread ? waiting : unread;
        if (state.over_records > 0 && group->waiting.count + group->unread.count > state.over_records)
            one = EXIT_OVER;
        if (one == EXIT_OVER)
            command_note(call->noun, "group %s is further behind than that", group->name);
        else if (one == EXIT_UNKNOWN)
            command_note(call->noun, "how far group %s is behind is not known", group->name);
        status = one > status ? one : status;
    }
    return status;
}

/* ---- show and watch ---- */

static void sleep_until(int64_t until_us)
{
    int64_t left_us = until_us - kur_clock_monotonic_us();
    struct timespec left = {left_us / 1000000, left_us % 1000000 * 1000};
    if (left_us > 0)
        nanosleep(&left, NULL);
}

static kur_arena *new_arena(void)
{
    kur_arena *arena = kur_arena_new();
    text_need(arena != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    return arena;
}

/* Twice, for the trend; the times are found in between. */
static int look_twice(struct invocation *call, kur_admin *admin, struct lag_list *list)
{
    struct lag_list before;
    int64_t begin_us = kur_clock_monotonic_us();
    int status = lag_read(call, admin, call->arena, &before);
    if (before.count == 0)
        *list = before;
    if (before.count == 0 || (status != EXIT_DONE && status != EXIT_PARTIAL))
        return status;
    lag_find_times(call, call->arena, &before);
    *list = before;
    if (state.sample_ms <= 0)
        return status;
    sleep_until(begin_us + state.sample_ms * 1000);
    struct lag_list now;
    int again = lag_read(call, admin, call->arena, &now);
    if (again == EXIT_DONE || again == EXIT_PARTIAL) {
        lag_find_trend(&now, &before);
        for (size_t i = 0; i < before.count; i++)
            for (size_t k = 0; k < now.count; k++)
                if (strcmp(before.groups[i].name, now.groups[k].name) == 0) {
                    before.groups[i].has_trend = now.groups[k].has_trend;
                    before.groups[i].trend = now.groups[k].trend;
                }
    }
    return status;
}

static int show(struct invocation *call)
{
    struct lag_list list = {0, NULL};
    struct objects objects = {.output = call->output};
    kur_admin *admin = connect_admin(call);
    if (admin == NULL)
        return EXIT_FAILED;
    int status = look_twice(call, admin, &list);
    if (status == EXIT_DONE || status == EXIT_PARTIAL) {
        print(call, &list, &objects);
        json_end(&objects);
    }
    int judged = status == EXIT_DONE || status == EXIT_PARTIAL ? judge(call, &list) : EXIT_DONE;
    kur_admin_free(admin);
    return judged != EXIT_DONE ? judged : status;
}

static int watch(struct invocation *call)
{
    kur_arena *arenas[2] = {new_arena(), new_arena()};
    struct lag_list lists[2] = {{0, NULL}, {0, NULL}};
    struct objects objects = {.output = call->output == OUTPUT_JSON ? OUTPUT_JSONL : call->output};
    kur_admin *admin = connect_admin(call);
    int status = admin != NULL ? EXIT_DONE : EXIT_FAILED;
    int64_t begin_us = kur_clock_monotonic_us();
    for (int64_t i = 0; admin != NULL && (state.count == 0 || i < state.count); i++) {
        struct lag_list *now = &lists[i % 2];
        kur_arena_reset(arenas[i % 2]);
        if (i > 0)
            sleep_until(begin_us + i * state.every_ms * 1000);
        status = lag_read(call, admin, arenas[i % 2], now);
        if (status != EXIT_DONE && status != EXIT_PARTIAL)
            continue; /* it was said; the broker may come back */
        lag_find_times(call, arenas[i % 2], now);
        lag_find_trend(now, &lists[(i + 1) % 2]);
        print(call, now, &objects);
        int judged = judge(call, now);
        status = judged != EXIT_DONE ? judged : status;
        if (fflush(stdout) != 0 || judged == EXIT_OVER)
            break;
    }
    kur_admin_free(admin);
    kur_arena_free(arenas[0]);
    kur_arena_free(arenas[1]);
    return status;
}

/* ---- The noun ---- */

static const struct option common_list[] = {
    {"--fail-over", "BOUND",
     "exit with 5 when a group is further behind: 60s by the age of what waits or is unread, 1000 by records; with 4 "
     "when that is not known",
     .kind = OPTION_CALL, .read = read_over, .needs = "a time such as 60s, or a number of records"},
    {"--partitions", NULL, "each partition, too", OPTION_IN(FLAG, struct lag, by_partition)},
    {.name = NULL}};
static const struct options common_options = {.list = common_list};

static const struct option show_list[] = {
    {"--sample", "TIME", "how long the trend is looked at; default 1s. Listeners commit twice a second",
     OPTION_IN(DURATION, struct lag, sample_ms)},
    {.name = NULL}};
static const struct options show_options = {.list = show_list};

static const struct option watch_list[] = {
    {"--every", "TIME", "how often; default 2s", OPTION_IN(DURATION, struct lag, every_ms)},
    {"--count", "N", "end after so many times; default: never", OPTION_IN(NUMBER, struct lag, count), .least = 1,
     .most = INT64_MAX},
    {.name = NULL}};
static const struct options watch_options = {.list = watch_list};

#define COLUMNS                                                                                                        \
    "LAG is what other tools show: all offsets from the committed one to the end. A listener finishes records out of " \
    "order and tells beside its offset what is done above: DONE ABOVE. The rest stands apart: WAITING was read and "   \
    "is "                                                                                                              \
    "not finished, UNREAD is behind everything finished, PARKED is on the group's retry topics until it is due; each " \
    "with the age of its oldest record, by its timestamp. ? is what is not known, such as the age where this user "    \
    "may "                                                                                                             \
    "not read, or what is done above an offset of a group that is no listener's."

static const struct verb show_verb = {.name = "show",
                                      .arguments = "[GROUP…]",
                                      .summary = "how far groups are behind, in records and in seconds",
                                      .about = "How far groups are behind; all that have offsets, or those named.\n"
                                               "\n" COLUMNS,
                                      .options = {&show_options, &common_options, &output_options, &connect_options},
                                      .needs_client = true,
                                      .state = &state.call,
                                      .run = show};
static const struct verb watch_verb = {
    .name = "watch",
    .arguments = "[GROUP…]",
    .summary = "the same, again and again",
    .about = "How far groups are behind, again and again, for terminals, scripts and alerts; the trend is since the "
             "time before. With --fail-over it ends as soon as a group is further behind.\n"
             "\n" COLUMNS,
    .options = {&watch_options, &common_options, &output_options, &connect_options},
    .needs_client = true,
    .state = &state.call,
    .run = watch};
static const struct verb *const verbs[] = {&show_verb, &watch_verb, NULL};

const struct noun lag_noun = {.name = "lag",
                              .summary = "how far groups are behind, truly",
                              .about = "How far groups are behind, by what they have finished and not by the committed "
                                       "offset alone.",
                              .verbs = verbs};
