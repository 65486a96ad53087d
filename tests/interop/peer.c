/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Our side of the interop suite, by the public API alone. It produces what each line of its input says, and prints what
 * it consumes as such lines. interop.py tells what a line holds, and drives this and the other clients' peers.
 */
#include <kurier/kurier.h>
#include <kurier/librdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/types.h>

enum {
    LINES_MAX = 100000,
    HEADERS_MAX = 32,
    PATIENCE_MS = 60000
};

#define LINE_HEADER(F, S)                                                                                              \
    F(S, STRING, name)                                                                                                 \
    F(S, OPTIONAL(BYTES), value)
KUR_RECORD(line_header, LINE_HEADER);
KUR_RECORD_DEFINE(line_header, LINE_HEADER);

#define LINE(F, S)                                                                                                     \
    F(S, STRING, topic, .default_text = "")                                                                            \
    F(S, STRING, mode, .default_text = "plain")                                                                        \
    F(S, OPTIONAL(BYTES), key)                                                                                         \
    F(S, OPTIONAL(BYTES), value)                                                                                       \
    F(S, LIST(RECORD(line_header)), headers, .default_text = "[]")                                                     \
    F(S, OPTIONAL(STRING), id)                                                                                         \
    F(S, OPTIONAL(STRING), source)                                                                                     \
    F(S, OPTIONAL(STRING), type)                                                                                       \
    F(S, OPTIONAL(STRING), subject)                                                                                    \
    F(S, OPTIONAL(STRING), dataschema)                                                                                 \
    F(S, OPTIONAL(STRING), datacontenttype)                                                                            \
    F(S, OPTIONAL(TIMESTAMP), time)                                                                                    \
    F(S, MAP(STRING), extensions, .default_text = "{}")                                                                \
    F(S, OPTIONAL(BYTES), data)                                                                                        \
    F(S, OPTIONAL(STRING), error)
KUR_RECORD(line, LINE);
KUR_RECORD_DEFINE(line, LINE);

#define PLACE(F, S)                                                                                                    \
    F(S, INT32, partition)                                                                                             \
    F(S, INT64, offset)
KUR_RECORD(place, PLACE);
KUR_RECORD_DEFINE(place, PLACE);

static kur_client *client;
static kur_arena *arena;
static kur_error error;

static void need(kur_status status)
{
    if (status == KUR_OK)
        return;
    fprintf(stderr, "peer: %s\n", error.message);
    exit(1);
}

static void print_json(const kur_type *type, const void *record)
{
    kur_buffer json = {0};
    need(kur_json_write(type, record, &json, &error));
    puts(json.data);
    kur_buffer_done(&json);
}

/* ---- Producing ---- */

static struct place places[LINES_MAX];

static void on_result(const kur_result *result, void *user)
{
    struct place *place = user;
    place->partition = result->status == KUR_DELIVERED ? result->partition : -1;
    place->offset = result->offset;
    if (result->status != KUR_DELIVERED)
        fprintf(stderr, "peer: %s\n", result->error.message);
}

static const char *text_of(bool has, const char *text)
{
    return has ? text : NULL;
}

static size_t headers_of(const struct line *line, kur_header *headers)
{
    size_t count = 0;
    for (; count < line->headers.count && count < HEADERS_MAX; count++) {
        const struct line_header *from = &line->headers.items[count];
        headers[count] = (kur_header){from->name, from->value.has ? from->value.value : kur_bytes_of(NULL, 0)};
    }
    return count;
}

static void send_plain(kur_producer *producer, const struct line *line, struct place *place)
{
    kur_header headers[HEADERS_MAX];
    size_t header_count = headers_of(line, headers);
    need(kur_producer_send(producer,
                           &KUR_MESSAGE(.topic = line->topic, .tombstone = !line->value.has,
                                        .key = line->key.has ? line->key.value : kur_bytes_of(NULL, 0),
                                        .value = line->value.has ? line->value.value : kur_bytes_of(NULL, 0),
                                        .headers = headers, .header_count = header_count, .on_result = on_result,
                                        .user = place),
                           &error));
}

static void publish(kur_producer *producer, const struct line *line, struct place *place)
{
    kur_header headers[HEADERS_MAX], extensions[HEADERS_MAX];
    kur_publish_options options =
        KUR_PUBLISH_OPTIONS(.topic = line->topic,
                            .mode = strcmp(line->mode, "structured") == 0 ? KUR_EVENT_STRUCTURED : KUR_EVENT_BINARY,
                            .key = line->key.has ? line->key.value : kur_bytes_of(NULL, 0),
                            .id = text_of(line->id.has, line->id.value),
                            .source = text_of(line->source.has, line->source.value),
                            .subject = text_of(line->subject.has, line->subject.value),
                            .data_schema = text_of(line->dataschema.has, line->dataschema.value),
                            .content_type = text_of(line->datacontenttype.has, line->datacontenttype.value),
                            .time_us = line->time.has ? line->time.value : 0, .extensions = extensions,
                            .headers = headers, .header_count = headers_of(line, headers), .on_result = on_result,
                            .user = place);
    for (size_t i = 0; i < line->extensions.count && i < HEADERS_MAX; i++) {
        const char *name = line->extensions.items[i].key, *value = line->extensions.items[i].value;
        if (strcmp(name, "correlationid") == 0)
            options.correlation_id = value;
        else if (strcmp(name, "causationid") == 0)
            options.causation_id = value;
        else
            extensions[options.extension_count++] = (kur_header){name, kur_bytes_text(value)};
    }
    need(kur_producer_publish_raw(producer, line->type.value, line->data.has ? line->data.value : kur_bytes_of(NULL, 0),
                                  &options, &error));
}

static void produce(void)
{
    char *text = NULL;
    size_t capacity = 0, count = 0;
    kur_producer *producer = kur_client_producer(client, &error);
    need(producer != NULL ? KUR_OK : error.code);
    for (ssize_t size; (size = getline(&text, &capacity, stdin)) > 0 && count < LINES_MAX; count++) {
        struct line line;
        kur_arena_reset(arena);
        need(line_from_json(kur_bytes_of(text, (size_t)size), arena, &line, &error));
        if (strcmp(line.mode, "plain") == 0)
            send_plain(producer, &line, &places[count]);
        else
            publish(producer, &line, &places[count]);
    }
    free(text);
    need(kur_producer_flush(producer, PATIENCE_MS, &error));
    for (size_t i = 0; i < count; i++)
        print_json(&place_type, &places[i]);
}

/* ---- Consuming ---- */

/* An optional text of the line, when there is one. */
#define SET(to, from)                                                                                                  \
    do {                                                                                                               \
        (to).has = (from) != NULL;                                                                                     \
        (to).value = (from);                                                                                           \
    } while (0)

static void take_headers(const kur_record *record, struct line *line)
{
    kur_header header;
    line->headers.items = kur_arena_alloc(arena, kur_record_header_count(record) * sizeof *line->headers.items);
    for (size_t i = 0; kur_record_header(record, i, &header); i++) {
        struct line_header *to = &line->headers.items[line->headers.count++];
        to->name = header.name;
        to->value.has = header.value.data != NULL;
        to->value.value = header.value;
    }
}

static bool is_extension(const char *name)
{
    static const char *const own[] = {"id", "source", "type", "specversion", "time", "subject", "dataschema"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcasecmp(name, own[i]) == 0)
            return false;
    return true;
}

static void take_extension(struct line *line, const kur_event_view *view, const char *name)
{
    const char *value = kur_event_extension(view, name);
    if (value == NULL || !is_extension(name))
        return;
    line->extensions.items[line->extensions.count].key = name;
    line->extensions.items[line->extensions.count++].value = value;
}

static void take_extensions(const kur_event_view *view, struct line *line)
{
    size_t headers = kur_record_header_count(view->record);
    line->extensions.items = kur_arena_alloc(arena, (headers + view->parsed_count) * sizeof *line->extensions.items);
    for (size_t i = 0; i < view->parsed_count; i++)
        take_extension(line, view, view->parsed[i].name);
    kur_header header;
    for (size_t i = 0; view->mode == KUR_EVENT_BINARY && kur_record_header(view->record, i, &header); i++)
        if (strncasecmp(header.name, "ce_", 3) == 0)
            take_extension(line, view, header.name + 3);
}

static void take_event(const kur_record *record, struct line *line)
{
    static const char *const modes[] = {"plain", "binary", "structured"};
    kur_event_view view = KUR_EVENT_VIEW();
    if (kur_event_read(record, arena, &view, &error) != KUR_OK) {
        SET(line->error, error.message);
        return;
    }
    line->mode = modes[view.mode];
    SET(line->id, view.id);
    SET(line->source, view.source);
    SET(line->type, view.type);
    SET(line->subject, view.subject);
    SET(line->dataschema, view.data_schema);
    SET(line->datacontenttype, view.content_type);
    line->time.has = view.has_time;
    line->time.value = view.time_us;
    take_extensions(&view, line);
    line->data.has = view.data.data != NULL;
    line->data.value = view.data;
}

static void print_record(const kur_record *record)
{
    struct line line;
    kur_arena_reset(arena);
    line_init(&line);
    line.topic = kur_record_topic(record);
    line.key.value = kur_record_key(record);
    line.key.has = line.key.value.data != NULL;
    line.value.value = kur_record_value(record);
    line.value.has = line.value.value.data != NULL;
    take_headers(record, &line);
    take_event(record, &line);
    print_json(&line_type, &line);
}

static void consume(const char *topic, int count)
{
    char group[KUR_UUID_TEXT_SIZE];
    kur_uuid uuid;
    need(kur_uuid_new(&uuid, &error));
    kur_uuid_format(&uuid, group);
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = group), &error);
    need(consumer != NULL ? KUR_OK : error.code);
    need(kur_consumer_subscribe(consumer, (const char *const[]){topic, NULL}, &error));
    for (int empty = 0; count > 0 && empty < PATIENCE_MS / 1000;) {
        kur_record *record = NULL;
        need(kur_consumer_poll(consumer, 1000, &record, &error));
        empty += record == NULL;
        if (record == NULL)
            continue;
        print_record(record);
        kur_consumer_free_records(consumer, &record, 1);
        count--;
    }
    kur_consumer_free(consumer);
}

/* ---- Topics: on librdkafka's own handle, as a service may that misses something of ours ---- */

static void make_topic(const char *name, int partitions)
{
    char why[256];
    kur_producer *producer = kur_client_producer(client, &error);
    need(producer != NULL ? KUR_OK : error.code);
    rd_kafka_t *rk = kur_producer_librdkafka(producer);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, why, sizeof why);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    if (event == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "peer: topic %s was not made\n", name);
        exit(1);
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
}

int main(int argc, char **argv)
{
    if (argc < 3 || (strcmp(argv[1], "produce") != 0 && argc != 5)) {
        fprintf(stderr, "usage: interop-peer produce BOOTSTRAP <lines\n"
                        "       interop-peer consume BOOTSTRAP TOPIC COUNT\n"
                        "       interop-peer topic BOOTSTRAP TOPIC PARTITIONS\n");
        return 2;
    }
    client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = argv[2], .source = "/peer", .log = kur_log_stderr,
                                                .log_level = KUR_LOG_WARNING),
                            &error);
    arena = kur_arena_new();
    need(client != NULL && arena != NULL ? KUR_OK : error.code);
    if (strcmp(argv[1], "produce") == 0)
        produce();
    else if (strcmp(argv[1], "consume") == 0)
        consume(argv[3], atoi(argv[4]));
    else
        make_topic(argv[3], atoi(argv[4]));
    kur_arena_free(arena);
    kur_client_unref(client);
    return 0;
}
