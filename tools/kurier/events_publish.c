/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier events publish`: an event, or a plain record, by hand. The topic must be there, so that a slip of the finger
 * makes none, and JSON must be JSON, so that none poisons whoever reads it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "events.h"
#include "input.h"
#include "payload.h"
#include "syntax.h"
#include "text.h"

enum {
    VALUE_MAX = 64 * 1024 * 1024
};

static int read_header(struct invocation *call, const char *value)
{
    char *text = (char *)(uintptr_t)value, *equals = strchr(text, '='); /* of argv, which is the program's */
    if (equals == NULL || equals == text)
        return command_refuse(call->noun, "--header needs NAME=VALUE");
    if (events_state.header_count == EVENTS_HEADERS_MAX)
        return command_refuse(call->noun, "more than %d times --header", EVENTS_HEADERS_MAX);
    *equals = '\0';
    events_state.headers[events_state.header_count++] = (kur_header){.name = text, .value = kur_bytes_text(equals + 1)};
    return EXIT_DONE;
}

static int read_wire(struct invocation *call, const char *value)
{
    static const struct {
        const char *name;
        kur_wire_format wire;
    } forms[] = {
        {"confluent", KUR_WIRE_CONFLUENT}, {"single-object", KUR_WIRE_SINGLE_OBJECT}, {"plain", KUR_WIRE_PLAIN}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(value, forms[i].name) == 0) {
            events_state.wire = forms[i].wire;
            return EXIT_DONE;
        }
    return command_refuse(call->noun, "--wire takes confluent, single-object or plain");
}

static bool is_json(void)
{
    const char *type = events_state.content_type;
    return type == NULL || strcmp(type, "application/json") == 0 ||
           (strlen(type) > 5 && strcmp(type + strlen(type) - 5, "+json") == 0);
}

/* The value; EXIT_DONE, or it was said what is wrong. */
static int read_value(struct invocation *call, kur_buffer *value)
{
    const struct events *events = &events_state;
    char why[256];
    if ((events->data != NULL) + (events->file != NULL) + events->is_tombstone != 1)
        return command_refuse(call->noun, "one of --data, --file and --tombstone tells what is sent");
    if (events->wire != KUR_WIRE_CONFLUENT && events->schema == NULL)
        return command_refuse(call->noun, "--wire goes with --schema");
    if (events->data != NULL)
        text_put(value, events->data);
    int status = events->file != NULL ? input_read(call, events->file, VALUE_MAX, value) : EXIT_DONE;
    if (status != EXIT_DONE || events->is_tombstone)
        return status;
    if (events->schema != NULL)
        return events_encode(call, value);
    if (events->type == NULL || !is_json())
        return status;
    if (!syntax_is_json(kur_bytes_of(value->data, value->size), why))
        return command_refuse(call->noun, "the data are no JSON: %s; --content-type tells what they are", why);
    return EXIT_DONE;
}

static int check_topic(struct invocation *call)
{
    kur_error error = {0};
    const kur_topic_view *topic;
    kur_admin *admin = connect_admin(call);
    if (admin == NULL)
        return EXIT_FAILED;
    kur_status status =
        kur_admin_describe_topic(admin, call->arguments[0], call->connection.timeout_ms, call->arena, &topic, &error);
    kur_admin_free(admin);
    if (status == KUR_ERROR_UNKNOWN_TOPIC)
        return command_refuse(call->noun, "there is no topic \"%.249s\"", call->arguments[0]);
    if (status != KUR_OK)
        return command_error(call->noun, &error);
    if (events_state.partition >= (int64_t)topic->partition_count)
        return command_refuse(call->noun, "%.249s has %zu partitions", call->arguments[0], topic->partition_count);
    return EXIT_DONE;
}

static kur_status publish(kur_producer *producer, struct invocation *call, kur_bytes value, kur_result *result,
                          kur_error *error)
{
    const struct events *events = &events_state;
    kur_bytes key = events->key != NULL ? kur_bytes_text(events->key) : (kur_bytes){NULL, 0};
    int32_t partition = events->partition >= 0 ? KUR_PARTITION((int32_t)events->partition) : 0;
    if (events->type == NULL)
        return kur_producer_send_wait(producer,
                                      &KUR_MESSAGE(.topic = call->arguments[0], .partition = partition, .key = key,
                                                   .value = value, .tombstone = events->is_tombstone,
                                                   .headers = events->headers, .header_count = events->header_count),
                                      call->connection.timeout_ms, result, error);
    return kur_producer_publish_raw_wait(
        producer, events->type, value,
        &KUR_PUBLISH_OPTIONS(.topic = call->arguments[0], .partition = partition, .key = key, .id = events->id,
                             .source = events->source != NULL ? events->source : "/tools/kurier",
                             .subject = events->subject, .content_type = events->content_type,
                             .headers = events->headers, .header_count = events->header_count),
        call->connection.timeout_ms, result, error);
}

static int send(struct invocation *call, kur_bytes value)
{
    kur_error error = {0};
    kur_result result = {.size = sizeof result};
    struct objects objects = {.output = call->output};
    kur_buffer text = {0};
    kur_producer *producer = kur_client_producer(call->client, &error);
    kur_status status = publish(producer, call, value, &result, &error);
    if (status != KUR_OK) {
        command_error(call->noun, &error);
        return error.code == KUR_ERROR_INVALID_ARGUMENT || error.code == KUR_ERROR_CONFIG ? EXIT_REFUSED
               : result.status == KUR_UNKNOWN                                             ? EXIT_UNKNOWN
                                                                                          : EXIT_FAILED;
    }
    if (call->output == OUTPUT_TABLE) {
        payload_place(&text, call->arguments[0], result.partition, result.offset);
        printf("%s\n", text.data);
    } else {
        json_open(&text, NULL, '{');
        json_text(&text, "topic", call->arguments[0]);
        json_number(&text, "partition", result.partition);
        json_number(&text, "offset", result.offset);
        json_time(&text, "timestamp", result.timestamp_us);
        json_close(&text, '}');
        json_print(&objects, &text);
        json_end(&objects);
    }
    kur_buffer_done(&text);
    return EXIT_DONE;
}

static int run(struct invocation *call)
{
    kur_buffer value = {0};
    if (call->argument_count != 1)
        return command_refuse(call->noun, "which topic?");
    int status = read_value(call, &value);
    if (status == EXIT_DONE)
        status = check_topic(call);
    kur_bytes bytes = events_state.is_tombstone ? (kur_bytes){NULL, 0}
                                                : kur_bytes_of(value.data != NULL ? value.data : "", value.size);
    if (status == EXIT_DONE && !call->execute)
        command_note(call->noun, "%s of %zu bytes would be sent to %s; --execute sends it",
                     events_state.type != NULL ? events_state.type : "a record without an envelope", bytes.size,
                     call->arguments[0]);
    else if (status == EXIT_DONE)
        status = send(call, bytes);
    kur_buffer_done(&value);
    return status;
}

#define IN_EVENTS(kind, member) OPTION_IN(kind, struct events, member)

static const struct option list[] = {
    {"--type", "NAME", "of the event, whole: shop.order.created.v1. Without it a plain record is sent",
     IN_EVENTS(TEXT, type)},
    {"--data", "TEXT", "what is sent", IN_EVENTS(TEXT, data)},
    {"--file", "FILE", "the same, from a file, or - for standard input", IN_EVENTS(TEXT, file), .words = "FILE"},
    {"--tombstone", NULL, "a null value", IN_EVENTS(FLAG, is_tombstone)},
    {"--key", "KEY", "the record's key; default: none", IN_EVENTS(TEXT, key)},
    {"--partition", "N", "default: by the key", IN_EVENTS(NUMBER, partition), .most = INT32_MAX - 1},
    {"--header", "NAME=VALUE", "one more header; may be repeated", .kind = OPTION_CALL, .read = read_header,
     .needs = "NAME=VALUE"},
    {"--id", "ID", "of the event; default: a new UUID", IN_EVENTS(TEXT, id)},
    {"--source", "SOURCE", "of the event; default /tools/kurier", IN_EVENTS(TEXT, source)},
    {"--subject", "TEXT", "of the event", IN_EVENTS(TEXT, subject)},
    {"--content-type", "TYPE", "of the data; default application/json", IN_EVENTS(TEXT, content_type)},
    {"--schema", "SCHEMA", "make Avro of the data, which are JSON, by a subject's schema, an id's, or a file's",
     IN_EVENTS(TEXT, schema), .words = "FILE"},
    {"--wire", "FORM", "how Avro names its schema: confluent (default), by its id; single-object; or plain: not at all",
     .kind = OPTION_CALL, .read = read_wire, .needs = "confluent, single-object or plain",
     .words = "confluent single-object plain"},
    {.name = NULL}};
static const struct options options = {.list = list};

const struct verb events_publish = {
    .name = "publish",
    .arguments = "TOPIC",
    .summary = "sends an event by hand",
    .about =
        "Sends an event, or a record without an envelope, and prints where it stands. The topic must be there, and "
        "the data of an event must be JSON unless --content-type says something else; whether they are what the "
        "event's readers expect is not looked at.\n\n"
        "With --schema they become Avro, and must be what the schema says. A file's schema is the one that the topic's "
        "subject, TOPIC-value, has it under; it has to be registered there, but for --wire single-object or plain.",
    .options = {&options, &execute_options, &output_options, &connect_options, &registry_options},
    .needs_client = true,
    .state = &events_state.call,
    .run = run};
