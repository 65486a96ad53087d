/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Our side of the Avro suite, by the public API alone. A request is a JSON object a line, and so is its reply, whose
 * values are as many as were asked for, an error being "!" and its words. avro_suite.py tells what there is to ask.
 */
#include <inttypes.h>
#include <kurier/registry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "avro_types.h"

enum {
    PATIENCE_MS = 60000
};

KUR_ENUM_DEFINE(grade, GRADE, .unknown = "other", .avro_name = "interop.Grade");
KUR_RECORD_DEFINE(customer, CUSTOMER);
KUR_RECORD_DEFINE(line, LINE, .avro_name = "interop.Line");
KUR_EVENT_DEFINE(order, ORDER, .avro_name = "interop.Order", .doc = "of the interop suite");
KUR_ENUM_DEFINE(grade_later, GRADE_LATER, .unknown = "other", .avro_name = "interop.Grade");
KUR_RECORD_DEFINE(line_later, LINE_LATER, .avro_name = "interop.Line");
KUR_EVENT_DEFINE(order_later, ORDER_LATER, .avro_name = "interop.Order");

#define REQUEST(F, S)                                                                                                  \
    F(S, STRING, act)                                                                                                  \
    F(S, STRING, registry, .default_text = "")                                                                         \
    F(S, STRING, topic, .default_text = "")                                                                            \
    F(S, STRING, wire, .default_text = "")                                                                             \
    F(S, STRING, subjects, .default_text = "topic")                                                                    \
    F(S, BOOL, finds, .default_text = "false")                                                                         \
    F(S, STRING, type, .default_text = "order")                                                                        \
    F(S, STRING, schema, .default_text = "")                                                                           \
    F(S, INT32, count, .default_text = "0")                                                                            \
    F(S, LIST(STRING), values, .default_text = "[]")
KUR_RECORD(request, REQUEST);
KUR_RECORD_DEFINE(request, REQUEST);

#define REPLY(F, S) F(S, LIST(STRING), values)
KUR_RECORD(reply, REPLY);
KUR_RECORD_DEFINE(reply, REPLY);

static const char *bootstrap;
static kur_arena *arena; /* of the request */
static struct request request;
static struct reply reply;
static size_t room; /* for values */
static kur_registry *registry;
static kur_client *client;
static kur_schemas schemas;
static kur_error error;

static void need(bool is_well)
{
    if (is_well)
        return;
    fprintf(stderr, "avro_peer: %s\n", error.message);
    exit(1);
}

/* ---- Replies ---- */

static void add(const char *text, size_t size)
{
    char *copy = kur_arena_alloc(arena, size + 1);
    need(copy != NULL);
    if (reply.values.count == room) {
        fprintf(stderr, "avro_peer: more than %zu values\n", room);
        exit(1);
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    reply.values.items[reply.values.count++] = copy;
}

static void add_error(void)
{
    char words[sizeof error.message + 1];
    add(words, (size_t)snprintf(words, sizeof words, "!%s", error.message));
}

/* What was made, or why it was not. Releases it. */
static void add_buffer(kur_status status, kur_buffer *made)
{
    if (status == KUR_OK)
        add(made->data != NULL ? made->data : "", made->size);
    else
        add_error();
    kur_buffer_done(made);
}

static void room_for(size_t count)
{
    room = count + 1;
    reply.values.items = kur_arena_alloc(arena, room * sizeof *reply.values.items);
    need(reply.values.items != NULL);
}

/* ---- Bytes as hexadecimal digits ---- */

static kur_bytes bytes_of(const char *digits)
{
    size_t size = strlen(digits) / 2;
    unsigned char *bytes = kur_arena_alloc(arena, size + 1);
    need(bytes != NULL);
    for (size_t i = 0; i < size; i++) {
        unsigned byte = 0;
        need(sscanf(digits + 2 * i, "%2x", &byte) == 1);
        bytes[i] = (unsigned char)byte;
    }
    return kur_bytes_of(bytes, size);
}

static void add_digits(kur_status status, kur_buffer *data)
{
    kur_buffer digits = {0};
    for (size_t i = 0; status == KUR_OK && i < data->size; i++)
        need(kur_buffer_print(&digits, "%02x", (unsigned char)data->data[i]) == KUR_OK);
    kur_buffer_done(data);
    add_buffer(status, &digits);
}

/* ---- Schemas ---- */

static kur_schema *parse(const char *text)
{
    kur_schema *schema = NULL;
    return kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, &error) == KUR_OK ? schema : NULL;
}

static const kur_type *type_asked_for(void)
{
    return strcmp(request.type, "order") == 0 ? &order_type : &order_later_type;
}

/* schema: that of .type */
static void tell_schema(void)
{
    kur_schema *schema = NULL;
    need(kur_schema_of(type_asked_for(), &schema, &error) == KUR_OK);
    kur_bytes text = kur_schema_text(schema);
    add(text.data, text.size);
    kur_schema_unref(schema);
}

/* forms: of each schema of .values its fingerprint, a space and the canonical form */
static void tell_forms(void)
{
    for (size_t i = 0; i < request.values.count; i++) {
        kur_buffer form = {0};
        kur_schema *schema = parse(request.values.items[i]);
        kur_status status = schema != NULL ? KUR_OK : error.code;
        if (status == KUR_OK)
            status = kur_buffer_print(&form, "%016" PRIx64 " ", kur_schema_fingerprint(schema));
        if (status == KUR_OK)
            status = kur_schema_canonical(schema, &form, &error);
        add_buffer(status, &form);
        kur_schema_unref(schema);
    }
}

/* reads: of each pair of .values, whether the first, as a reader, takes what the second writes */
static void tell_whether_read(void)
{
    for (size_t i = 0; i + 1 < request.values.count; i += 2) {
        kur_schema *reader = parse(request.values.items[i]);
        kur_schema *writer = reader != NULL ? parse(request.values.items[i + 1]) : NULL;
        if (writer != NULL && kur_schema_reads(reader, writer, &error) == KUR_OK)
            add("yes", 3);
        else
            add_error();
        kur_schema_unref(reader);
        kur_schema_unref(writer);
    }
}

/* encode, decode: .values by .schema, from JSON to bytes and back */
static void convert(bool encodes)
{
    kur_schema *schema = parse(request.schema);
    need(schema != NULL);
    for (size_t i = 0; i < request.values.count; i++) {
        kur_buffer made = {0};
        const char *value = request.values.items[i];
        if (encodes)
            add_digits(kur_avro_from_json(schema, kur_bytes_text(value), &made, &error), &made);
        else
            add_buffer(kur_avro_to_json(schema, bytes_of(value), &made, &error), &made);
    }
    kur_schema_unref(schema);
}

/* ---- On a broker ---- */

/* A registry knows no fingerprints: those of single objects lead to the request's schema. */
static kur_status by_fingerprint(void *state, uint64_t fingerprint, int timeout_ms, kur_schema **schema, kur_error *why)
{
    (void)state, (void)timeout_ms;
    kur_schema *known = parse(request.schema);
    if (known != NULL && kur_schema_fingerprint(known) == fingerprint) {
        *schema = known;
        return KUR_OK;
    }
    kur_schema_unref(known);
    return kur_error_set(why, KUR_ERROR_UNKNOWN_SCHEMA, "no such fingerprint");
}

/* The place of a word in names that end with NULL; 0 for any other. */
static int choice_of(const char *const *names, const char *word)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], word) == 0)
            return i;
    return 0;
}

static void open_client(void)
{
    static const char *const wires[] = {"confluent", "header", "single", "plain", NULL};
    static const char *const subjects[] = {"topic", "record", "topic_record", NULL};
    kur_client_options options =
        KUR_CLIENT_OPTIONS(.bootstrap_servers = bootstrap, .source = "/peer", .format = KUR_FORMAT_AVRO,
                           .wire = (kur_wire_format)choice_of(wires, request.wire), .log = kur_log_stderr,
                           .log_level = KUR_LOG_WARNING);
    if (request.registry[0] != '\0') {
        registry =
            kur_registry_new(&KUR_REGISTRY_OPTIONS(.urls = request.registry, .registers = !request.finds,
                                                   .subjects = (kur_subject_name)choice_of(subjects, request.subjects)),
                             &error);
        need(registry != NULL);
        schemas = *kur_registry_schemas(registry);
        schemas.by_fingerprint = by_fingerprint;
        options.schemas = &schemas;
    }
    client = kur_client_new(&options, &error);
    need(client != NULL);
}

static void close_client(void)
{
    kur_client_unref(client);
    kur_registry_free(registry);
    registry = NULL;
}

static void make_topic(void)
{
    const kur_topic_spec topic = KUR_TOPIC_SPEC(.name = request.topic, .partitions = 1);
    kur_admin *admin = kur_admin_new(client, &error);
    need(admin != NULL && kur_admin_create_topics(admin, &topic, 1, PATIENCE_MS, &error) == KUR_OK);
    kur_admin_free(admin);
}

/* produce: .values, JSON of .type, to .topic */
static void produce(void)
{
    kur_producer *producer = kur_client_producer(client, &error);
    need(producer != NULL);
    for (size_t i = 0; i < request.values.count; i++) {
        union {
            struct order order;
            struct order_later later;
        } event;
        kur_status status =
            kur_json_read(type_asked_for(), kur_bytes_text(request.values.items[i]), arena, &event, &error);
        if (status == KUR_OK)
            status = kur_producer_publish_wait(producer, type_asked_for(), &event,
                                               &KUR_PUBLISH_OPTIONS(.topic = request.topic), PATIENCE_MS, NULL, &error);
        if (status == KUR_OK)
            add("sent", 4);
        else
            add_error();
    }
}

static void add_event(const kur_record *record)
{
    union {
        struct order order;
        struct order_later later;
    } event;
    kur_buffer json = {0};
    kur_event_view view = KUR_EVENT_VIEW(.client = client);
    kur_status status = kur_event_read(record, arena, &view, &error);
    if (status == KUR_OK)
        status = kur_event_decode(&view, type_asked_for(), arena, &event, &error);
    if (status == KUR_OK)
        status = kur_json_write(type_asked_for(), &event, &json, &error);
    add_buffer(status, &json);
}

/* consume: the first .count records of .topic, as .type */
static void consume(void)
{
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = request.topic), &error);
    const kur_position start = KUR_POSITION(.topic = request.topic, .offset = KUR_OFFSET_BEGINNING);
    need(consumer != NULL && kur_consumer_assign(consumer, &start, 1, &error) == KUR_OK);
    for (int count = request.count, empty = 0; count > 0 && empty < PATIENCE_MS / 1000;) {
        kur_record *record = NULL;
        need(kur_consumer_poll(consumer, 1000, &record, &error) == KUR_OK);
        empty += record == NULL;
        if (record == NULL)
            continue;
        add_event(record);
        kur_consumer_free_records(consumer, &record, 1);
        count--;
    }
    kur_consumer_free(consumer);
}

static kur_outcome on_order(kur_delivery *delivery, const struct order *order, void *user)
{
    kur_buffer json = {0};
    (void)delivery, (void)user;
    add_buffer(kur_json_write(&order_type, order, &json, &error), &json);
    return KUR_DONE;
}

static kur_status on_rejected(kur_delivery *delivery, const char *cause, const char *reason, void *user)
{
    (void)delivery, (void)cause, (void)user;
    kur_error_set(&error, KUR_ERROR_REJECTED, "%s", reason);
    add_error();
    return KUR_OK;
}

static void stop(kur_listener *listener, void *user)
{
    (void)user;
    kur_listener_request_stop(listener);
}

/* listen: as consume, by a handler; only what says that it is an order comes there */
static void listen_to_them(void)
{
    const char *topics[] = {request.topic, NULL};
    kur_listener *listener =
        kur_listener_new(client,
                         &KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics, .on_caught_up = stop,
                                               .on_rejected = on_rejected, .unknown = KUR_UNKNOWN_REJECT),
                         &error);
    need(listener != NULL && order_on(listener, on_order, NULL) == KUR_OK);
    need(kur_listener_run(listener, &error) == KUR_OK);
    kur_listener_free(listener);
}

static void on_broker(void (*act)(void))
{
    open_client();
    act();
    close_client();
}

static void answer(void)
{
    const char *act = request.act;
    room_for(request.values.count + (size_t)request.count);
    if (strcmp(act, "schema") == 0)
        tell_schema();
    else if (strcmp(act, "forms") == 0)
        tell_forms();
    else if (strcmp(act, "reads") == 0)
        tell_whether_read();
    else if (strcmp(act, "encode") == 0 || strcmp(act, "decode") == 0)
        convert(act[0] == 'e');
    else if (strcmp(act, "topic") == 0)
        on_broker(make_topic);
    else if (strcmp(act, "listen") == 0)
        on_broker(listen_to_them);
    else
        on_broker(strcmp(act, "produce") == 0 ? produce : consume);
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t capacity = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: avro-peer BOOTSTRAP <requests\n");
        return 2;
    }
    bootstrap = argv[1];
    arena = kur_arena_new();
    need(arena != NULL);
    for (ssize_t size; (size = getline(&line, &capacity, stdin)) > 0;) {
        kur_buffer json = {0};
        kur_arena_reset(arena);
        reply = (struct reply){0};
        need(request_from_json(kur_bytes_of(line, (size_t)size), arena, &request, &error) == KUR_OK);
        answer();
        need(kur_json_write(&reply_type, &reply, &json, &error) == KUR_OK);
        puts(json.data);
        fflush(stdout);
        kur_buffer_done(&json);
    }
    free(line);
    kur_arena_free(arena);
    return 0;
}
