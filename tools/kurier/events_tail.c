/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier events tail`: records as they come. With --stop it ends at the ends that the partitions have when it starts:
 * each of them is open until a record at its end, or the consumer's position, has passed it.
 */
#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/options.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "interrupt.h"
#include "payload.h"
#include "table.h"
#include "text.h"
#include "where.h"

enum {
    BATCH = 200,
    POLL_MS = 200,
    KEY_MAX = 40,
    VALUE_MAX = 400
};

/* Where a partition's reading ends. */
struct goal {
    char *topic;
    int32_t partition;
    int64_t end;
    bool is_over;
};

struct tail {
    struct invocation *call;
    kur_consumer *consumer;
    kur_arena *arena; /* of one record */
    struct decoder decoder;
    struct objects objects;
    int64_t count, lost;
    struct goal *goals;
    size_t goal_count, open;
    bool has_all; /* all partitions have been told */
};

/* ---- Ends ---- */

static void add_goal(struct tail *tail, const kur_position *position)
{
    struct goal *goals = realloc(tail->goals, (tail->goal_count + 1) * sizeof *goals);
    text_need(goals != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    tail->goals = goals;
    struct goal *goal = &goals[tail->goal_count++];
    *goal =
        (struct goal){strdup(position->topic), position->partition, position->end, position->offset >= position->end};
    text_need(goal->topic != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    tail->open += !goal->is_over;
}

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *positions, size_t count,
                         void *user)
{
    struct tail *tail = user;
    (void)consumer;
    for (size_t i = 0; i < count && what == KUR_ASSIGNED && !tail->has_all; i++)
        add_goal(tail, kur_options_at(positions, i));
    if (what == KUR_ALL_ASSIGNED)
        tail->has_all = true;
}

static struct goal *goal_of(struct tail *tail, const kur_record *record)
{
    for (size_t i = 0; i < tail->goal_count; i++)
        if (tail->goals[i].partition == kur_record_partition(record) &&
            strcmp(tail->goals[i].topic, kur_record_topic(record)) == 0)
            return &tail->goals[i];
    return NULL;
}

static void pass(struct tail *tail, struct goal *goal, int64_t to)
{
    if (!goal->is_over && to >= goal->end) {
        goal->is_over = true;
        tail->open--;
    }
}

/* Nothing came: where only marks of transactions are left, the position has passed the end. */
static void pass_positions(struct tail *tail)
{
    for (size_t i = 0; i < tail->goal_count; i++) {
        int64_t position = -1;
        if (kur_consumer_position(tail->consumer, tail->goals[i].topic, tail->goals[i].partition, &position, NULL) ==
            KUR_OK)
            pass(tail, &tail->goals[i], position);
    }
}

/* What went by its retention before it was read, or cannot be read, is passed and counted. */
static void on_gap(kur_consumer *consumer, const kur_gap *gap, void *user)
{
    struct tail *tail = user;
    int64_t to = gap->code == KUR_ERROR_SYNTAX ? gap->offset + 1 : gap->low > gap->offset ? gap->low : gap->high;
    tail->lost += to > gap->offset ? to - gap->offset : 1;
    kur_consumer_seek(consumer, gap->topic, gap->partition, to, NULL);
}

/* ---- Records ---- */

static void print_line(const struct tail *tail, const kur_record *record, const kur_event_view *event,
                       const struct decoded *decoded)
{
    kur_buffer line = {0}, value = {0};
    text_time(&line, kur_record_timestamp_us(record));
    text_put(&line, "  ");
    payload_place(&line, kur_record_topic(record), kur_record_partition(record), kur_record_offset(record));
    text_put(&line, "  ");
    text_safe(&line, kur_bytes_text(event != NULL && event->type != NULL ? event->type : "-"), false);
    text_put(&line, "  ");
    payload_cut(tail->call, &line, kur_record_key(record), KEY_MAX);
    text_put(&line, "  ");
    if (decoded->error.code != KUR_OK)
        text_need(kur_buffer_print(&value, "(undecodable: %s)", decoded->error.message));
    else
        payload_line(tail->call, &value, decoded->value, false);
    payload_cut(tail->call, &line, kur_bytes_of(value.data, value.size), VALUE_MAX);
    table_print_line(&line);
    kur_buffer_done(&line);
    kur_buffer_done(&value);
}

/* Whether the end of its partition has come before it. */
static bool is_behind_end(struct tail *tail, const kur_record *record)
{
    struct goal *goal = events_state.ends ? goal_of(tail, record) : NULL;
    int64_t offset = kur_record_offset(record);
    if (!events_state.ends)
        return false;
    bool is_behind = goal == NULL || goal->is_over || offset >= goal->end;
    if (goal != NULL)
        pass(tail, goal, is_behind ? offset : offset + 1);
    return is_behind;
}

/* By what the value says, also where it is Avro. */
static bool is_meant(const struct tail *tail, const kur_record *record, const struct decoded *decoded)
{
    kur_letter letter = {.size = sizeof letter};
    if (events_state.where == NULL)
        return true;
    if (kur_letter_read(record, tail->arena, &letter, NULL) != KUR_OK)
        return false;
    kur_event_view event = letter.event != NULL ? *letter.event : KUR_EVENT_VIEW(.record = record);
    if (letter.event == NULL || decoded->schema[0] != '\0' || event.data.data == kur_record_value(record).data)
        event.data = decoded->value;
    letter.event = &event;
    return kur_filter_matches(events_state.where, &letter, kur_clock_now_us());
}

static void print(struct tail *tail, const kur_record *record, const kur_event_view *event,
                  const struct decoded *decoded)
{
    kur_buffer json = {0};
    tail->count++;
    if (tail->call->output == OUTPUT_TABLE) {
        print_line(tail, record, event, decoded);
        return;
    }
    events_json(tail->call, &json, record, event, decoded);
    json_print(&tail->objects, &json);
    kur_buffer_done(&json);
}

static void take(struct tail *tail, const kur_record *record)
{
    kur_event_view view = KUR_EVENT_VIEW();
    struct decoded decoded;
    kur_arena_reset(tail->arena);
    if (is_behind_end(tail, record))
        return;
    const kur_event_view *event = kur_event_read(record, tail->arena, &view, NULL) == KUR_OK ? &view : NULL;
    decode(&tail->decoder, record, event, &decoded);
    if (is_meant(tail, record, &decoded))
        print(tail, record, event, &decoded);
    decode_done(&decoded);
}

static bool is_enough(const struct tail *tail)
{
    return interrupt_count() > 0 || (events_state.limit >= 0 && tail->count >= events_state.limit) ||
           (events_state.ends && tail->has_all && tail->open == 0);
}

static int follow(struct tail *tail)
{
    kur_record *records[BATCH];
    while (!is_enough(tail)) {
        kur_error error = {0};
        size_t count = 0;
        kur_status status = kur_consumer_poll_batch(tail->consumer, POLL_MS, records, BATCH, &count, &error);
        for (size_t i = 0; i < count && !is_enough(tail); i++)
            take(tail, records[i]);
        kur_consumer_free_records(tail->consumer, records, count);
        if (count == 0 && events_state.ends)
            pass_positions(tail);
        if (fflush(stdout) != 0)
            return command_fail(tail->call->noun, "not everything could be printed");
        if (status == KUR_ERROR_UNKNOWN_TOPIC || status == KUR_ERROR_TIMEOUT)
            command_note(tail->call->noun, "%s", error.message);
        if (status == KUR_ERROR_UNKNOWN_TOPIC && !tail->has_all && tail->call->argument_count == 1)
            return EXIT_FAILED;
        if (status != KUR_OK && status != KUR_ERROR_UNKNOWN_TOPIC && !kur_status_is_retriable(status))
            return command_error(tail->call->noun, &error);
    }
    return EXIT_DONE;
}

/* Reads until it is enough. */
static int subscribe(struct tail *tail)
{
    struct invocation *call = tail->call;
    kur_error error = {0};
    interrupt_begin();
    tail->consumer =
        kur_consumer_new(call->client,
                         &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST, .start = events_state.from,
                                               .start_at_us = events_state.from_us, .on_rebalance = on_rebalance,
                                               .on_gap = on_gap, .user = tail),
                         &error);
    int status = tail->consumer != NULL &&
                         kur_consumer_subscribe(tail->consumer, (const char *const *)call->arguments, &error) == KUR_OK
                     ? follow(tail)
                     : command_error(call->noun, &error);
    kur_consumer_free(tail->consumer);
    json_end(&tail->objects);
    return status;
}

static int run(struct invocation *call)
{
    struct tail tail = {.call = call, .arena = kur_arena_new(), .objects = {.output = call->output}};
    text_need(tail.arena != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    int status = call->argument_count > 0 ? decoder_begin(&tail.decoder, call, events_state.schema)
                                          : command_refuse(call->noun, "which topics?");
    if (status == EXIT_DONE)
        status = subscribe(&tail);
    if (tail.lost > 0)
        command_note(call->noun, "%" PRId64 " offsets went by their retention, or cannot be read", tail.lost);
    for (size_t i = 0; i < tail.goal_count; i++)
        free(tail.goals[i].topic);
    free(tail.goals);
    decoder_done(&tail.decoder);
    kur_arena_free(tail.arena);
    return status == EXIT_DONE && tail.lost > 0 ? EXIT_PARTIAL : status;
}

/* ---- Options ---- */

static int read_from(struct invocation *call, const char *value)
{
    int64_t ago_ms;
    if (strcmp(value, "start") == 0) {
        events_state.from = KUR_START_EARLIEST;
        return EXIT_DONE;
    }
    if (strcmp(value, "end") == 0)
        return EXIT_DONE;
    events_state.from = KUR_START_TIME;
    if (kur_time_parse(value, strlen(value), &events_state.from_us, NULL) == KUR_OK)
        return EXIT_DONE;
    if (!text_read_duration(value, &ago_ms))
        return command_refuse(call->noun, "--from needs start, end, a time such as 2026-11-28T21:30:00Z, or how long "
                                          "ago, such as 2h");
    events_state.from_us = kur_clock_now_us() - ago_ms * 1000;
    return EXIT_DONE;
}

static int read_where(struct invocation *call, const char *value)
{
    return where_read(call, value, &events_state.where);
}

static const struct option list[] = {
    {"--from", "PLACE", "start, end (default), a time such as 2026-11-28T21:30:00Z, or how long ago, such as 2h",
     .kind = OPTION_CALL, .read = read_from, .needs = "a place, such as start or 2h", .words = "start end"},
    {"--stop", NULL, "end where the topics end when it starts, in place of waiting for more",
     OPTION_IN(FLAG, struct events, ends)},
    {"--limit", "N", "end after so many", OPTION_IN(NUMBER, struct events, limit)},
    {"--where", "FILTER", "a filter: 'type ~ \"shop.order.*\" and payload.total > 100'; see kurier(1)",
     .kind = OPTION_CALL, .read = read_where, .needs = "a filter"},
    {.name = NULL}};
static const struct options options = {.list = list};

const struct verb events_tail = {
    .name = "tail",
    .arguments = "TOPIC…",
    .summary = "records as they come",
    .about =
        "Records as they come, until Ctrl-C: time, place, type, key and value in a line, or all of it with -o jsonl. "
        "Each partition's are in order. Keys and values are masked where they look like secrets.\n\n"
        "Avro is shown as JSON, by the schema that each value names in the registry; Confluent's ids and GUIDs, single "
        "objects and plain data are told apart by themselves. What cannot be decoded is shown with its reason.",
    .options = {&options, &events_decode_options, &output_options, &unmask_options, &connect_options,
                &registry_options},
    .needs_client = true,
    .state = &events_state.call,
    .run = run};
