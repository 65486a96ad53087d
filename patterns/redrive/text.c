/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what stands in the topic, as JSON for those who look with other tools: plans by the key "plan ID", what
 * a runner tells of itself by "run ID TERM", and what people did by "event ID UUID". parse.c reads it.
 */
#include <inttypes.h>
#include <kurier/sys/base64.h>
#include <kurier/time.h>
#include <stdio.h>
#include <string.h>

#include "redrive/redrive.h"

const char *kur_redrive_state_name(kur_redrive_state state)
{
    static const char *const names[] = {"unknown", "planned", "running",   "paused",
                                        "stopped", "done",    "cancelled", "aborted"};
    return names[state >= KUR_REDRIVE_PLANNED && state <= KUR_REDRIVE_ABORTED ? state : 0];
}

void kur__redrive_digest(kur_bytes value, char text[65])
{
    kur__sha256 hash;
    uint8_t digest[32];
    kur__sha256_init(&hash);
    kur__sha256_add(&hash, value.data, value.size);
    kur__sha256_end(&hash, digest);
    for (int i = 0; i < 32; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

/* ---- Writing ---- */

/* Status and buffer in one, so that what follows a failure does nothing. */
struct writer {
    kur_buffer *to;
    kur_status status;
};

static void put(struct writer *writer, const char *text)
{
    if (writer->status == KUR_OK)
        writer->status = kur_buffer_append(writer->to, text, strlen(text));
}

static void put_text(struct writer *writer, const char *before, const char *text)
{
    put(writer, before);
    if (writer->status == KUR_OK)
        writer->status = kur__json_write(writer->to, kur_bytes_text(text));
}

static void put_number(struct writer *writer, const char *before, int64_t number)
{
    put(writer, before);
    if (writer->status == KUR_OK)
        writer->status = kur_buffer_print(writer->to, "%" PRId64, number);
}

static void put_bytes(struct writer *writer, const char *before, kur_bytes bytes)
{
    put(writer, before);
    put(writer, bytes.data == NULL ? "null" : "\"");
    if (bytes.data == NULL)
        return;
    if (writer->status == KUR_OK)
        writer->status = kur_base64_write(writer->to, bytes);
    put(writer, "\"");
}

static void put_time(struct writer *writer, const char *before, int64_t at_us)
{
    char text[KUR_TIME_TEXT_SIZE];
    kur_time_format(at_us, text);
    put_text(writer, before, text);
}

static void put_sum(struct writer *writer, const kur__redrive_sum *sum)
{
    if (writer->status == KUR_OK)
        writer->status =
            kur_buffer_print(writer->to, ",\"sum\":\"%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "\"",
                             sum->lanes[0], sum->lanes[1], sum->lanes[2], sum->lanes[3]);
}

static void put_filter(struct writer *writer, const kur_letter_filter *filter)
{
    const struct {
        const char *name, *text;
    } texts[] = {{",\"cause\":", filter->cause},
                 {",\"type\":", filter->type},
                 {",\"group\":", filter->group},
                 {",\"origin\":", filter->origin}};
    put_number(writer, ",\"filter\":{\"older_ms\":", filter->older_than_ms);
    put_number(writer, ",\"younger_ms\":", filter->younger_than_ms);
    put_number(writer, ",\"partition\":", filter->partition);
    put_number(writer, ",\"from\":", filter->from_offset);
    put_number(writer, ",\"to\":", filter->to_offset);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].text != NULL)
            put_text(writer, texts[i].name, texts[i].text);
    if (filter->where != NULL)
        put_text(writer, ",\"where\":", kur_filter_text(filter->where));
    if (filter->key.data != NULL)
        put_bytes(writer, ",\"key\":", filter->key);
    put(writer, "}");
}

static void put_texts(struct writer *writer, const char *before, const char *const *texts)
{
    put(writer, before);
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
        put_text(writer, i == 0 ? "" : ",", texts[i]);
    put(writer, "]");
}

static size_t topic_of(const kur__redrive_plan *plan, const char *name)
{
    size_t i = 0;
    while (plan->topics[i] != NULL && strcmp(plan->topics[i], name) != 0)
        i++;
    return i;
}

static void put_routes(struct writer *writer, const kur__redrive_plan *plan)
{
    put(writer, ",\"routes\":[");
    for (size_t i = 0; i < plan->route_count; i++) {
        const kur__redrive_route *route = &plan->routes[i];
        put_number(writer, i == 0 ? "[" : ",[", (int64_t)topic_of(plan, route->view.letters));
        put_text(writer, ",", route->view.group);
        put_text(writer, ",", route->view.target);
        put_number(writer, ",", route->tier);
        put_number(writer, ",", route->partitions);
        put_number(writer, ",", route->view.count);
        put_number(writer, ",", route->view.is_running);
        put_text(writer, ",", route->view.refused);
        put(writer, "]");
    }
    put(writer, "]");
}

/* Marks of a topic stand together: its name, and then a number and an end for each partition. */
static void put_marks(struct writer *writer, const kur__redrive_plan *plan)
{
    put(writer, ",\"marks\":[");
    for (size_t i = 0; i < plan->mark_count; i++) {
        const kur__redrive_mark *mark = &plan->marks[i];
        put_text(writer, i == 0 ? "[" : ",[", mark->topic);
        for (; i < plan->mark_count && strcmp(plan->marks[i].topic, mark->topic) == 0; i++) {
            put_number(writer, ",", plan->marks[i].partition);
            put_number(writer, ",", plan->marks[i].end);
        }
        i--;
        put(writer, "]");
    }
    put(writer, "]");
}

static void put_ranges(struct writer *writer, const kur__redrive_plan *plan)
{
    put(writer, ",\"ranges\":[");
    for (size_t i = 0; i < plan->range_count; i++) {
        const kur__redrive_range *range = &plan->ranges[i];
        const int64_t numbers[] = {(int64_t)topic_of(plan, range->topic),
                                   range->partition,
                                   range->from,
                                   range->to,
                                   range->count,
                                   range->last_us};
        for (size_t n = 0; n < 6; n++)
            put_number(writer, n > 0 ? "," : i == 0 ? "[" : ",[", numbers[n]);
        put(writer, "]");
    }
    put(writer, "]");
}

kur_status kur__redrive_write_plan(const kur__redrive_plan *plan, kur_buffer *value)
{
    struct writer writer = {.to = value};
    const kur_redrive_left_out *left = &plan->left_out;
    const int64_t left_out[] = {left->discarded, left->sent, left->looped, left->stubs, left->unknown, left->refused};
    put_number(&writer, "{\"v\":", KUR__REDRIVE_VERSION);
    put_text(&writer, ",\"action\":\"plan\",\"who\":", plan->who);
    put_text(&writer, ",\"reason\":", plan->reason);
    put_time(&writer, ",\"at\":", plan->planned_us);
    put_text(&writer, ",\"target\":", plan->target == KUR_REDRIVE_ORIGIN ? "origin" : "retry");
    put_number(&writer, ",\"force\":", plan->force);
    put_number(&writer, ",\"max_redriven\":", plan->max_redriven);
    put_texts(&writer, ",\"topics\":[", plan->topics);
    put_filter(&writer, &plan->filter);
    put_texts(&writer, ",\"strip\":[", plan->strip);
    put(&writer, ",\"set\":[");
    for (size_t i = 0; plan->set != NULL && plan->set[i].name != NULL; i++) {
        put_text(&writer, i == 0 ? "[" : ",[", plan->set[i].name);
        put_bytes(&writer, ",", plan->set[i].value);
        put(&writer, "]");
    }
    put(&writer, "]");
    put_routes(&writer, plan);
    put_ranges(&writer, plan);
    put_marks(&writer, plan);
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        put_number(&writer, i == 0 ? ",\"left_out\":[" : ",", left_out[i]);
    put_number(&writer, "],\"count\":", plan->count);
    put_sum(&writer, &plan->sum);
    put(&writer, "}");
    return writer.status;
}

kur_status kur__redrive_write_told(const kur__redrive_told *told, size_t ranges, kur_buffer *value)
{
    struct writer writer = {.to = value};
    put_number(&writer, "{\"v\":", KUR__REDRIVE_VERSION);
    put_number(&writer, ",\"term\":", told->term);
    put_text(&writer, ",\"owner\":", told->owner);
    put_text(&writer, ",\"state\":", kur_redrive_state_name(told->state));
    put_time(&writer, ",\"at\":", told->at_us);
    put_number(&writer, ",\"acknowledged\":", told->acknowledged);
    put_number(&writer, ",\"refused\":", told->refused);
    put_number(&writer, ",\"canary_done\":", told->is_canary_done);
    put_text(&writer, ",\"note\":", told->note);
    put(&writer, ",\"next\":[");
    for (size_t i = 0; i < ranges; i++)
        put_number(&writer, i == 0 ? "" : ",", told->next[i]);
    put(&writer, "]");
    put_sum(&writer, &told->sum);
    put(&writer, "}");
    return writer.status;
}

kur_status kur__redrive_write_event(const kur__redrive_event *event, kur_buffer *value)
{
    struct writer writer = {.to = value};
    put_number(&writer, "{\"v\":", KUR__REDRIVE_VERSION);
    put_text(&writer, ",\"action\":", event->action);
    put_text(&writer, ",\"who\":", event->who);
    put_time(&writer, ",\"at\":", event->at_us);
    put_text(&writer, ",\"note\":", event->note != NULL ? event->note : "");
    if (event->term > 0) {
        put_number(&writer, ",\"term\":", event->term);
        put_text(&writer, ",\"owner\":", event->owner);
        put_number(&writer, ",\"lease_ms\":", event->lease_ms);
    }
    put(&writer, "}");
    return writer.status;
}
