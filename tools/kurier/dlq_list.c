/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <kurier/sys/clock.h>

#include "dlq.h"
#include "table.h"
#include "text.h"

enum {
    WARN_DEFAULT_MS = 24 * 3600 * 1000
};

static void put_json(kur_buffer *json, const kur_letter_topic *topic)
{
    json_open(json, NULL, '{');
    json_text(json, "topic", topic->name);
    json_number(json, "partitions", topic->partition_count);
    json_number(json, "letters", topic->count - (topic->discarded > 0 ? topic->discarded : 0));
    if (topic->discarded < 0)
        json_null(json, "discarded");
    else
        json_number(json, "discarded", topic->discarded);
    json_time(json, "oldest", topic->oldest_us);
    json_time(json, "newest", topic->newest_us);
    if (topic->retention_ms > 0)
        json_number(json, "retention_ms", topic->retention_ms);
    else
        json_text(json, "retention_ms", topic->retention_ms < 0 ? "forever" : NULL);
    json_time(json, "expires", topic->expires_us > 0 ? topic->expires_us : -1);
    json_bool(json, "compacted", topic->is_compacted);
    json_close(json, '}');
}

static void put_duration(struct table *table, int64_t duration_us)
{
    kur_buffer text = {0};
    text_duration(&text, duration_us);
    table_text(table, text.data);
    kur_buffer_done(&text);
}

static void put_row(struct table *table, const kur_letter_topic *topic, int64_t now_us)
{
    table_text(table, topic->name);
    table_cell(table, "%" PRId64, topic->count - (topic->discarded > 0 ? topic->discarded : 0));
    if (topic->discarded < 0)
        table_cell(table, "?");
    else
        table_cell(table, "%" PRId64, topic->discarded);
    put_duration(table, topic->oldest_us >= 0 ? now_us - topic->oldest_us : -1);
    put_duration(table, topic->newest_us >= 0 ? now_us - topic->newest_us : -1);
    if (topic->retention_ms > 0)
        put_duration(table, topic->retention_ms * 1000);
    else
        table_cell(table, "%s", topic->retention_ms < 0 ? "for ever" : "?");
    table_time(table, topic->expires_us > 0 ? topic->expires_us : -1);
}

static void warn(const struct dlq *dlq, const kur_letter_topic *topic, int64_t now_us)
{
    int64_t warn_ms = dlq->warn_ms > 0 ? dlq->warn_ms : WARN_DEFAULT_MS;
    if (topic->is_compacted)
        command_note(dlq->call.noun,
                     "%s is compacted: of letters with one key only the last is kept; set cleanup.policy=delete",
                     topic->name);
    if (topic->expires_us == 0 || topic->expires_us - now_us > warn_ms * 1000)
        return;
    kur_buffer left = {0};
    text_duration(&left, topic->expires_us - now_us);
    if (topic->expires_us > now_us)
        command_note(dlq->call.noun, "%s: the oldest letter expires in %s; kurier dlq export keeps it", topic->name,
                     left.data);
    else
        command_note(dlq->call.noun, "%s: the oldest letter has expired and goes any time; kurier dlq export keeps it",
                     topic->name);
    kur_buffer_done(&left);
}

static int run(struct invocation *call)
{
    struct dlq *dlq = dlq_of(call);
    static const char *const headings[] = {"TOPIC",   ">LETTERS",   ">DISCARDED", ">OLDEST",
                                           ">NEWEST", ">RETENTION", "EXPIRES",    NULL};
    kur_error error = {0};
    kur_letter_topic_list list;
    if (kur_letter_topics(dlq->call.client, dlq_is_named, dlq, dlq->call.connection.timeout_ms, dlq->call.arena, &list,
                          &error) != KUR_OK)
        return command_error(dlq->call.noun, &error);
    int64_t now_us = kur_clock_now_us();
    struct table table = {.headings = headings};
    struct objects objects = {.output = dlq->call.output};
    kur_buffer json = {0};
    for (size_t i = 0; i < list.count; i++) {
        warn(dlq, list.items[i], now_us);
        if (dlq->call.output == OUTPUT_TABLE) {
            put_row(&table, list.items[i], now_us);
        } else {
            put_json(&json, list.items[i]);
            json_print(&objects, &json);
        }
    }
    json_end(&objects);
    table_print(&table);
    kur_buffer_done(&json);
    if (list.count == 0 && dlq->call.output == OUTPUT_TABLE)
        command_note(dlq->call.noun, "there are no topics of dead letters%s",
                     dlq->call.argument_count > 0 ? " of these names" : "");
    return EXIT_DONE;
}

static const struct option own[] = {{"--warn", "TIME",
                                     "tell what expires within that time, on standard error; default 24h",
                                     OPTION_IN(DURATION, struct dlq, warn_ms)},
                                    {.name = NULL}};
static const struct options own_options = {.list = own};

const struct verb dlq_list = {
    .name = "list",
    .arguments = "[TOPIC…]",
    .summary = "topics of dead letters, how many there are, and what is about to expire",
    .about = "Topics of dead letters: how many letters there are, how old, how long they are kept, and when the oldest "
             "goes. In topics that are written by transactions their marks count as letters. ? is what this user may "
             "not see.",
    .options = {&own_options, &output_options, &connect_options},
    .needs_client = true,
    .state = &dlq_state.call,
    .run = run};
