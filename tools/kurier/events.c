/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier events`: records of any topic, as they come or one alone; and events sent by hand.
 */
#include "events.h"

#include <inttypes.h>
#include <kurier/sys/clock.h>
#include <stdio.h>

#include "payload.h"
#include "table.h"
#include "text.h"

struct events events_state = {.from = KUR_START_LATEST, .limit = -1, .partition = -1};

void events_json(const struct invocation *call, kur_buffer *json, const kur_record *record, const kur_event_view *event,
                 const struct decoded *decoded)
{
    json_open(json, NULL, '{');
    json_text(json, "topic", kur_record_topic(record));
    json_number(json, "partition", kur_record_partition(record));
    json_number(json, "offset", kur_record_offset(record));
    json_time(json, "timestamp", kur_record_timestamp_us(record));
    json_text(json, "type", event != NULL ? event->type : NULL);
    json_text(json, "id", event != NULL ? event->id : NULL);
    json_text(json, "source", event != NULL ? event->source : NULL);
    json_text(json, "subject", event != NULL ? event->subject : NULL);
    payload_json(call, json, "key", kur_record_key(record));
    payload_headers_json(call, json, record);
    decode_put_json(call, json, decoded);
    json_close(json, '}');
}

static const struct option decode_list[] = {
    {"--schema", "SCHEMA", DECODE_SCHEMA_HELP, OPTION_IN(TEXT, struct events, schema), .words = "FILE"},
    {.name = NULL}};
const struct options events_decode_options = {.list = decode_list};

/* ---- show ---- */

static void print(const struct invocation *call, const kur_record *record, const kur_event_view *event,
                  const struct decoded *decoded)
{
    bool is_coloured = table_has_colours();
    printf("%s%s/%" PRId32 "/%" PRId64 "%s\n", is_coloured ? "\x1b[1m" : "", kur_record_topic(record),
           kur_record_partition(record), kur_record_offset(record), is_coloured ? "\x1b[0m" : "");
    payload_print_time("time", kur_record_timestamp_us(record));
    payload_print_event(event);
    payload_print_line(call, "key", kur_record_key(record));
    payload_print_headers(call, record);
    decode_print(call, decoded);
}

/* The record at a place; NULL when there is none, or it did not come. */
static kur_record *fetch(struct invocation *call, kur_consumer *consumer, const kur_position *place, kur_error *error)
{
    int64_t until_us = kur_clock_monotonic_us() + (int64_t)call->connection.timeout_ms * 1000, low, high, at;
    if (kur_consumer_watermarks(consumer, place->topic, place->partition, call->connection.timeout_ms, &low, &high,
                                error) != KUR_OK)
        return NULL;
    if (place->offset < low || place->offset >= high) {
        kur_error_set(error, KUR_ERROR_GAP, "%.249s/%" PRId32 " has the offsets %" PRId64 " to %" PRId64, place->topic,
                      place->partition, low, high - 1);
        return NULL;
    }
    if (kur_consumer_assign(consumer, place, 1, error) != KUR_OK)
        return NULL;
    while (kur_clock_monotonic_us() < until_us) {
        kur_record *record = NULL;
        kur_status status = kur_consumer_poll(consumer, 100, &record, error);
        if (record != NULL)
            return record;
        if (status != KUR_OK && !kur_status_is_retriable(status))
            return NULL;
        if (kur_consumer_position(consumer, place->topic, place->partition, &at, NULL) == KUR_OK && at > place->offset)
            break;
    }
    return NULL;
}

static void show_record(struct invocation *call, const kur_record *record, struct decoder *decoder)
{
    kur_event_view view = KUR_EVENT_VIEW();
    struct objects objects = {.output = call->output};
    struct decoded decoded;
    kur_buffer json = {0};
    const kur_event_view *event = kur_event_read(record, call->arena, &view, NULL) == KUR_OK ? &view : NULL;
    decode(decoder, record, event, &decoded);
    if (call->output == OUTPUT_TABLE)
        print(call, record, event, &decoded);
    else {
        events_json(call, &json, record, event, &decoded);
        json_print(&objects, &json);
        json_end(&objects);
    }
    decode_done(&decoded);
    kur_buffer_done(&json);
}

static int run_show(struct invocation *call)
{
    kur_error error = {0};
    kur_position place = KUR_POSITION(.topic = NULL);
    struct decoder decoder = {0};
    int status = payload_read_place(call, &place.topic, &place.partition, &place.offset);
    if (status == EXIT_DONE)
        status = decoder_begin(&decoder, call, events_state.schema);
    if (status != EXIT_DONE) {
        decoder_done(&decoder);
        return status;
    }
    kur_consumer *consumer = kur_consumer_new(call->client, &KUR_CONSUMER_OPTIONS(.group = "kurier-events"), &error);
    kur_record *record = consumer != NULL ? fetch(call, consumer, &place, &error) : NULL;
    if (record != NULL && kur_record_offset(record) == place.offset)
        show_record(call, record, &decoder);
    else
        status = command_fail(call->noun, "there is no record %.249s/%" PRId32 "/%" PRId64 "%s%s", place.topic,
                              place.partition, place.offset, error.message[0] != '\0' ? ": " : "", error.message);
    kur_consumer_free_records(consumer, &record, 1);
    kur_consumer_free(consumer);
    decoder_done(&decoder);
    return status;
}

const struct verb events_show = {
    .name = "show",
    .arguments = "TOPIC/PARTITION/OFFSET",
    .summary = "all of one record",
    .about = "All of one record of any topic: its envelope, key, headers and value; Avro as JSON, by the schema that "
             "it names "
             "in a registry. What looks like a secret is masked; bytes that are no text are shown by --unmask alone.",
    .options = {&events_decode_options, &output_options, &unmask_options, &connect_options, &registry_options},
    .needs_client = true,
    .state = &events_state.call,
    .run = run_show};

/* ---- The noun ---- */

static const struct verb *const verbs[] = {&events_tail, &events_show, &events_publish, NULL};

const struct noun events_noun = {.name = "events",
                                 .summary = "records as they come, one of them, and events sent by hand",
                                 .about =
                                     "Records of any topic, read without a group, so that nobody is disturbed; and "
                                     "events sent by hand. Payload that looks like a secret is masked until "
                                     "--unmask.",
                                 .verbs = verbs};
