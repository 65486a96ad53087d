/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Events in JSON and in Avro, with schemas of a table: every form of the wire both ways, whoever reads it; what is
 * hostile; what is kept, and how much; a table that is away.
 */
#include <kurier/sys/codec.h>
#include <kurier/sys/message.h>
#include <kurier/sys/record.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../failing.h"
#include "../letters.h"
#include "../schema_table.h"
#include "base/hash.h"
#include "kafka/client.h"
#include "kafka/codec.h"

/* What is published, and what an older program has published. */
#define SALE(F, S)                                                                                                     \
    F(S, STRING, sku, .flags = KUR_KEY)                                                                                \
    F(S, INT64, amount)                                                                                                \
    F(S, OPTIONAL(STRING), note)
KUR_EVENT(sale, "shop.sale", 1, SALE);
KUR_EVENT_DEFINE(sale, SALE, .topic = "sales", .avro_name = "shop.Sale");
#define OLD_SALE(F, S)                                                                                                 \
    F(S, INT32, amount)                                                                                                \
    F(S, STRING, sku)
KUR_RECORD(old_sale, OLD_SALE);
KUR_RECORD_DEFINE(old_sale, OLD_SALE, .avro_name = "shop.Sale");
/* Bytes that look like the name of a schema when nothing is before them. */
#define GAUGE(F, S)                                                                                                    \
    F(S, INT32, first)                                                                                                 \
    F(S, INT64, second)                                                                                                \
    F(S, INT64, third)
KUR_EVENT(gauge, "shop.gauge", 1, GAUGE);
KUR_EVENT_DEFINE(gauge, GAUGE, .topic = "gauges", .format = KUR_FORMAT_AVRO);
/* Names that Avro does not allow. */
#define DASHED(F, S) F(S, STRING, name, .json = "the-name")
KUR_EVENT(dashed, "shop.dashed", 1, DASHED);
KUR_EVENT_DEFINE(dashed, DASHED, .topic = "dashes");

static const struct sale tea = {.sku = "tea", .amount = 450, .note = {true, "hot"}};
static kur_arena *arena;
static schema_table table;

static void set_up(void)
{
    arena = kur_arena_new();
    schema_table_init(&table);
}

static void tear_down(void)
{
    schema_table_done(&table);
    kur_arena_free(arena);
}

#define WITH_TABLE .schemas = &table.schemas
#define CLIENT(...) client_of(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:1", .source = "/tests", __VA_ARGS__))

static kur_client *client_of(const kur_client_options *options)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(options, &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    return client;
}

/* As it would be sent, received. */
static kur_record *send_event(kur_client *client, const kur_type *type, const void *event,
                              const kur_publish_options *options)
{
    kur_error error = {0};
    kur_message message = KUR_MESSAGE();
    ck_ok(kur_message_write(client, type, event, options, arena, &message, &error), error);
    return letter_record(&(kur_record_parts){.topic = message.topic,
                                             .key = message.key,
                                             .value = message.value,
                                             .headers = message.headers,
                                             .header_count = message.header_count});
}

static kur_record *plain_record(const char *content_type, const char *schema, size_t schema_size, const void *value,
                                size_t size)
{
    kur_header headers[2];
    size_t count = 0;
    if (content_type != NULL)
        headers[count++] = (kur_header){"Content-Type", kur_bytes_text(content_type)};
    if (schema != NULL)
        headers[count++] = (kur_header){KUR_SCHEMA_HEADER, kur_bytes_of(schema, schema_size)};
    return letter_record(&(kur_record_parts){
        .topic = "sales", .value = kur_bytes_of(value, size), .headers = headers, .header_count = count});
}

static kur_status read_as(kur_client *client, const kur_record *record, const kur_type *type, void *event,
                          kur_error *error)
{
    kur_event_view view = KUR_EVENT_VIEW(.client = client);
    ck_ok(kur_event_read(record, arena, &view, error), *error);
    ck_assert_ptr_eq(view.client, client);
    return kur_event_decode(&view, type, arena, event, error);
}

static void expect_tea(kur_client *client, const kur_record *record)
{
    kur_error error = {0};
    struct sale read;
    ck_ok(read_as(client, record, &sale_type, &read, &error), error);
    ck_assert_int_eq(kur_type_compare(&sale_type, &tea, &read), 0);
}

static const char *content_type_of(const kur_record *record)
{
    kur_bytes value = {0};
    ck_assert(kur_record_header_last(record, "content-type", &value));
    return value.data;
}

static void add_own(uint32_t id, const kur_type *type)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    ck_ok(kur_schema_of(type, &schema, &error), error);
    schema_table_add(&table, id, schema);
    kur_schema_unref(schema);
}

/* ---- All forms, both ways ---- */

static void expect_form(const kur_record *record, kur_wire_format wire)
{
    static const char *const types[] = {"application/avro", "application/avro", "application/avro", "avro/binary"};
    static const unsigned char id[] = {0, 0, 0, 0, 100}, object[] = {0xc3, 1};
    kur_bytes value = kur_record_value(record), header = {0};
    kur_uuid guid = schema_table_guid(100);
    bool has_header = kur_record_header_last(record, KUR_SCHEMA_HEADER, &header);
    ck_assert_str_eq(content_type_of(record), types[wire]);
    ck_assert_int_eq(has_header, wire == KUR_WIRE_HEADER);
    if (wire == KUR_WIRE_CONFLUENT)
        ck_assert_mem_eq(value.data, id, sizeof id);
    else if (wire == KUR_WIRE_SINGLE_OBJECT)
        ck_assert_mem_eq(value.data, object, sizeof object);
    else
        ck_assert_mem_eq(value.data, "\x06tea", 4);
    if (has_header) {
        ck_assert_uint_eq(header.size, 17);
        ck_assert_mem_eq(header.data, "\x01", 1);
        ck_assert_mem_eq((const char *)header.data + 1, guid.bytes, 16);
    }
}

START_TEST(test_codec__every_form_is_read_by_whoever_writes_another)
{
    set_up();
    kur_client *clients[4];
    for (int wire = 0; wire < 4; wire++)
        clients[wire] = CLIENT(WITH_TABLE, .format = KUR_FORMAT_AVRO, .wire = (kur_wire_format)wire);
    for (int wire = 0; wire < 4; wire++) {
        for (int mode = KUR_EVENT_BINARY; mode <= KUR_EVENT_STRUCTURED; mode++) {
            kur_record *record =
                send_event(clients[wire], &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.mode = (kur_event_mode)mode));
            if (mode == KUR_EVENT_BINARY)
                expect_form(record, (kur_wire_format)wire);
            for (int reader = 0; reader < 4; reader++)
                expect_tea(clients[reader], record);
            kur_record_free(record);
        }
    }
    for (int wire = 0; wire < 4; wire++)
        kur_client_unref(clients[wire]);
    tear_down();
}
END_TEST

START_TEST(test_codec__plain_bytes_are_never_taken_for_a_name)
{
    set_up();
    static const struct gauge gauges[] = {{0, 0, 0}, {0, 7, 0}, {-98, 1, 1}, {0, 1 << 20, 1 << 20}, {-98, 1 << 30, 9}};
    kur_client *client = CLIENT(WITH_TABLE, .wire = KUR_WIRE_PLAIN), *other = CLIENT(WITH_TABLE);
    for (size_t i = 0; i < COUNT_OF(gauges); i++) {
        kur_error error = {0};
        struct gauge read;
        kur_record *record = send_event(client, &gauge_type, &gauges[i], NULL);
        ck_ok(read_as(other, record, &gauge_type, &read, &error), error);
        ck_assert_int_eq(kur_type_compare(&gauge_type, &gauges[i], &read), 0);
        kur_record_free(record);
    }
    ck_assert_int_eq(atomic_load(&table.asked), 0);
    kur_client_unref(client);
    kur_client_unref(other);
    tear_down();
}
END_TEST

/* An older program's fields, in another order, of another width, and without one; whatever names its schema. */
START_TEST(test_codec__what_was_written_with_another_schema_is_resolved)
{
    set_up();
    kur_error error = {0};
    kur_client *client = CLIENT(WITH_TABLE);
    add_own(7, &old_sale_type);
    char guid[17] = {1}, id[5] = {0, 0, 0, 0, 7}, object[16] = "\xc3\x01", value[11] = {0, 0, 0, 0, 7};
    static const char body[] = {(char)0x84, 7, 6, 't', 'e', 'a'};
    kur_uuid seven = schema_table_guid(7);
    uint64_t fingerprint = kur_schema_fingerprint(table.rows[0].schema);
    memcpy(guid + 1, seven.bytes, sizeof seven.bytes);
    for (int i = 0; i < 8; i++)
        object[2 + i] = (char)(fingerprint >> (8 * i));
    memcpy(object + 10, body, sizeof body);
    memcpy(value + 5, body, sizeof body);
    const struct {
        const char *header;
        size_t header_size;
        const char *value;
        size_t size;
    } cases[] = {{NULL, 0, value, sizeof value},
                 {id, sizeof id, body, sizeof body},
                 {guid, sizeof guid, body, sizeof body},
                 {NULL, 0, object, sizeof object}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        kur_record *record =
            plain_record("application/avro", cases[i].header, cases[i].header_size, cases[i].value, cases[i].size);
        for (int round = 0; round < 3; round++) {
            struct sale read;
            ck_ok(read_as(client, record, &sale_type, &read, &error), error);
            ck_assert_str_eq(read.sku, "tea");
            ck_assert_int_eq(read.amount, 450);
            ck_assert(!read.note.has);
        }
        kur_record_free(record);
    }
    ck_assert_int_eq(atomic_load(&table.asked), 3); /* the id in the value and in the header is one */
    ck_assert_int_eq(atomic_load(&table.waited_ms), 5000);
    kur_client_unref(client);
    tear_down();
}
END_TEST

/* A table that knows ids only. */
START_TEST(test_codec__what_a_table_cannot_look_for_is_not_there)
{
    set_up();
    kur_error error = {0};
    struct sale read;
    table.schemas.by_guid = NULL;
    table.schemas.by_fingerprint = NULL;
    kur_client *client = CLIENT(WITH_TABLE);
    static const char *const headers[] = {NULL, "\x01xxxxxxxxxxxxxxxx"};
    static const char value[] = "\xc3\x01"
                                "12345678\x06tea";
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        kur_record *record = plain_record("application/avro", headers[i], 17, value, sizeof value - 1);
        ck_status(read_as(client, record, &sale_type, &read, &error), KUR_ERROR_UNKNOWN_SCHEMA, error);
        ck_says(error, "finds none by that");
        kur_record_free(record);
    }
    ck_assert_int_eq(atomic_load(&table.asked), 0);
    kur_client_unref(client);
    tear_down();
}
END_TEST

/* What names a schema, and what the value is, whatever says it. */
START_TEST(test_codec__content_types)
{
    set_up();
    static const unsigned char framed[] = {0, 0, 0, 0, 7, 6, 't', 'e', 'a', 0x84, 7, 2, 6, 'h', 'o', 't'};
    static const char json[] = "{\"sku\":\"tea\",\"amount\":450,\"note\":\"hot\"}";
    static const char named_json[] = "\0\0\0\0\x09{\"sku\":\"tea\",\"amount\":450,\"note\":\"hot\"}";
    char guid[17] = {1}, id[5] = {0, 0, 0, 0, 7}, json_guid[17] = {1};
    kur_uuid seven = schema_table_guid(7), nine = schema_table_guid(9);
    memcpy(guid + 1, seven.bytes, 16);
    memcpy(json_guid + 1, nine.bytes, 16);
    const struct {
        const char *type, *schema;
        size_t schema_size;
        const void *value;
        size_t size;
    } cases[] = {
        {NULL, NULL, 0, framed, sizeof framed},
        {"application/avro", NULL, 0, framed, sizeof framed},
        {"Application/AVRO; charset=binary", NULL, 0, framed, sizeof framed},
        {"application/vnd.apache.avro", NULL, 0, framed, sizeof framed},
        {"application/vnd.shop.Sale.v1+Avro;x=y", NULL, 0, framed, sizeof framed},
        {"avro/binary", NULL, 0, framed + 5, sizeof framed - 5},
        {"application/avro", NULL, 0, framed + 5, sizeof framed - 5},
        {"application/avro", guid, 17, framed + 5, sizeof framed - 5},
        {"avro/binary", guid, 17, framed + 5, sizeof framed - 5},
        {NULL, guid, 17, framed + 5, sizeof framed - 5},
        {NULL, id, 5, framed + 5, sizeof framed - 5},
        {NULL, NULL, 0, json, sizeof json - 1},
        {NULL, NULL, 0, named_json, sizeof named_json - 1},
        {NULL, json_guid, 17, json, sizeof json - 1},
        {"application/json", NULL, 0, json, sizeof json - 1},
        {"application/json", NULL, 0, named_json, sizeof named_json - 1},
        {"application/json", "?", 1, json, sizeof json - 1},
        {"application/vnd.shop+json", NULL, 0, named_json, sizeof named_json - 1},
    };
    kur_client *client = CLIENT(WITH_TABLE);
    add_own(7, &sale_type);
    schema_table_add(&table, 9, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        kur_record *record =
            plain_record(cases[i].type, cases[i].schema, cases[i].schema_size, cases[i].value, cases[i].size);
        expect_tea(client, record);
        kur_record_free(record);
    }
    ck_assert_int_eq(atomic_load(&table.asked), 4); /* by id and GUID, of Avro and of JSON */
    kur_client_unref(client);
    tear_down();
}
END_TEST

/* ---- What is written ---- */

START_TEST(test_codec__the_option_wins_then_the_type_then_the_client)
{
    set_up();
    static const struct gauge gauge = {1, 2, 3};
    static const struct {
        kur_format client, option;
        bool of_type, is_avro;
    } cases[] = {
        {KUR_FORMAT_DEFAULT, KUR_FORMAT_DEFAULT, false, false}, {KUR_FORMAT_JSON, KUR_FORMAT_DEFAULT, false, false},
        {KUR_FORMAT_AVRO, KUR_FORMAT_DEFAULT, false, true},     {KUR_FORMAT_AVRO, KUR_FORMAT_JSON, false, false},
        {KUR_FORMAT_DEFAULT, KUR_FORMAT_AVRO, false, true},     {KUR_FORMAT_DEFAULT, KUR_FORMAT_DEFAULT, true, true},
        {KUR_FORMAT_JSON, KUR_FORMAT_DEFAULT, true, true},      {KUR_FORMAT_AVRO, KUR_FORMAT_JSON, true, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        kur_client *client = CLIENT(WITH_TABLE, .format = cases[i].client);
        kur_record *record =
            send_event(client, cases[i].of_type ? &gauge_type : &sale_type,
                       cases[i].of_type ? (const void *)&gauge : &tea, &KUR_PUBLISH_OPTIONS(.format = cases[i].option));
        ck_assert_str_eq(content_type_of(record), cases[i].is_avro ? "application/avro" : "application/json");
        kur_record_free(record);
        kur_client_unref(client);
    }
    tear_down();
}
END_TEST

START_TEST(test_codec__the_schema_is_named_when_asked_for)
{
    set_up();
    for (int wire = 0; wire < 4; wire++) {
        kur_event_view view = KUR_EVENT_VIEW();
        kur_client *client =
            CLIENT(WITH_TABLE, .format = KUR_FORMAT_AVRO, .wire = (kur_wire_format)wire, .names_schema = true);
        kur_record *record = send_event(client, &sale_type, &tea, NULL);
        ck_assert_int_eq(kur_event_read(record, arena, &view, NULL), KUR_OK);
        ck_assert_str_eq(view.data_schema, "https://schemas.test/sales/100");
        kur_record_free(record);
        /* What the caller names stays; and JSON has no schema here. */
        record = send_event(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.data_schema = "urn:x"));
        ck_assert_int_eq(kur_event_read(record, arena, &view, NULL), KUR_OK);
        ck_assert_str_eq(view.data_schema, "urn:x");
        kur_record_free(record);
        record = send_event(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.format = KUR_FORMAT_JSON));
        ck_assert_int_eq(kur_event_read(record, arena, &view, NULL), KUR_OK);
        ck_assert_ptr_null(view.data_schema);
        kur_record_free(record);
        kur_client_unref(client);
    }
    ck_assert_int_eq(atomic_load(&table.placed), 4); /* once for a client, a topic and a type */
    tear_down();
}
END_TEST

START_TEST(test_codec__places_are_of_a_topic_and_a_type)
{
    set_up();
    static const struct gauge gauge = {1, 2, 3};
    kur_client *client = CLIENT(WITH_TABLE, .format = KUR_FORMAT_AVRO);
    for (int i = 0; i < 3; i++) {
        kur_record_free(send_event(client, &sale_type, &tea, NULL));
        kur_record_free(send_event(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.topic = "others")));
        kur_record_free(send_event(client, &gauge_type, &gauge, &KUR_PUBLISH_OPTIONS(.topic = "others")));
    }
    ck_assert_int_eq(atomic_load(&table.placed), 3);
    kur_client_unref(client);
    tear_down();
}
END_TEST

static void expect_refused(kur_client *client, const kur_type *type, const void *event,
                           const kur_publish_options *options, kur_status status, const char *says)
{
    kur_error error = {0};
    kur_message message = KUR_MESSAGE();
    ck_status(kur_message_write(client, type, event, options, arena, &message, &error), status, error);
    ck_says(error, says);
    ck_assert_ptr_null(message.value.data);
}

START_TEST(test_codec__what_cannot_be_written)
{
    set_up();
    static const kur_header header = {KUR_SCHEMA_HEADER, {"x", 1}};
    static const struct dashed dash = {"a"};
    kur_error error = {0};
    kur_message message = KUR_MESSAGE();
    kur_client *none = CLIENT(.client_id = "none"), *client = CLIENT(WITH_TABLE, .format = KUR_FORMAT_AVRO),
               *v1 = CLIENT(WITH_TABLE, .format = KUR_FORMAT_AVRO, .wire = KUR_WIRE_HEADER);
    expect_refused(none, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.format = KUR_FORMAT_AVRO), KUR_ERROR_CONFIG,
                   "has no .schemas");
    expect_refused(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.format = (kur_format)3), KUR_ERROR_INVALID_ARGUMENT,
                   ".format");
    expect_refused(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.content_type = "text/plain"),
                   KUR_ERROR_INVALID_ARGUMENT, ".content_type text/plain");
    expect_refused(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.content_type = "avro/binary"),
                   KUR_ERROR_INVALID_ARGUMENT, ".content_type avro/binary");
    expect_refused(client, &sale_type, &tea,
                   &KUR_PUBLISH_OPTIONS(.content_type = "application/avro", .format = KUR_FORMAT_JSON),
                   KUR_ERROR_INVALID_ARGUMENT, "application/json");
    expect_refused(v1, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.headers = &header, .header_count = 1),
                   KUR_ERROR_INVALID_ARGUMENT, KUR_SCHEMA_HEADER);
    expect_refused(client, &dashed_type, &dash, NULL, KUR_ERROR_INVALID_ARGUMENT, "name on the wire");
    ck_status(kur_message_write_raw(client, "a.v1", kur_bytes_text("{}"),
                                    &KUR_PUBLISH_OPTIONS(.topic = "t", .format = KUR_FORMAT_JSON), arena, &message,
                                    &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, ".format");
    kur_client_unref(v1);
    atomic_store(&table.has_no_names, true);
    v1 = CLIENT(WITH_TABLE, .format = KUR_FORMAT_AVRO, .wire = KUR_WIRE_HEADER);
    expect_refused(v1, &sale_type, &tea, NULL, KUR_ERROR_CONFIG, "no GUID");
    expect_refused(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.topic = "new"), KUR_ERROR_CONFIG, "no id");
    kur_client_unref(v1);
    kur_client_unref(none);
    kur_client_unref(client);
    tear_down();
}
END_TEST

/* What is refused leaves what was there before, and an encoding says nothing of the last event. */
START_TEST(test_codec__data_are_appended_or_not_at_all)
{
    set_up();
    static const struct gauge gauge = {1, 2, 3};
    static const struct sale nameless = {.amount = 1};
    kur_error error = {0};
    kur_encoding encoding;
    kur_buffer data = {0};
    ck_assert_int_eq(kur_buffer_append(&data, "ab", 2), KUR_OK);
    kur_client *client = CLIENT(WITH_TABLE, .format = KUR_FORMAT_AVRO, .names_schema = true),
               *v1 = CLIENT(WITH_TABLE, .wire = KUR_WIRE_HEADER);
    ck_status(kur_event_encode(client, &sale_type, &nameless, "sales", KUR_FORMAT_DEFAULT, &data, &encoding, &error),
              KUR_ERROR_MISMATCH, error);
    ck_assert_uint_eq(data.size, 2);
    ck_assert_str_eq(data.data, "ab");
    ck_ok(kur_event_encode(client, &gauge_type, &gauge, "gauges", KUR_FORMAT_DEFAULT, &data, &encoding, &error), error);
    ck_assert_uint_eq(data.size, 2 + 5 + 3);
    ck_assert_str_eq(encoding.data_schema, "https://schemas.test/gauges/101");
    ck_assert(!encoding.has_schema_header);
    ck_ok(kur_event_encode(v1, &gauge_type, &gauge, "gauges", KUR_FORMAT_DEFAULT, &data, &encoding, &error), error);
    ck_assert_uint_eq(data.size, 10 + 3);
    ck_assert_str_eq(encoding.data_schema, "");
    ck_assert(encoding.has_schema_header);
    ck_ok(kur_event_encode(v1, &sale_type, &tea, "sales", KUR_FORMAT_JSON, &data, &encoding, &error), error);
    ck_assert(!encoding.has_schema_header);
    ck_assert_str_eq(encoding.content_type, "application/json");
    kur_buffer_done(&data);
    kur_client_unref(v1);
    kur_client_unref(client);
    tear_down();
}
END_TEST

START_TEST(test_codec__null_is_told)
{
    set_up();
    struct sale read;
    kur_event_view view = KUR_EVENT_VIEW();
    const struct {
        const kur_event_view *view;
        const kur_type *type;
        kur_arena *arena;
        void *event;
        const char *says;
    } cases[] = {{NULL, &sale_type, arena, &read, "view"},
                 {&view, NULL, arena, &read, "type"},
                 {&view, &sale_type, NULL, &read, "arena"},
                 {&view, &sale_type, arena, NULL, "event"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        kur_error error = {0};
        ck_status(kur_event_decode(cases[i].view, cases[i].type, cases[i].arena, cases[i].event, &error),
                  KUR_ERROR_INVALID_ARGUMENT, error);
        ck_says(error, cases[i].says);
    }
    tear_down();
}
END_TEST

START_TEST(test_codec__options_of_a_client)
{
    set_up();
    const kur_schemas half = {.size = sizeof half, .place = table.schemas.place};
    const struct {
        kur_client_options options;
        kur_status status;
        const char *says;
    } cases[] = {
        {{.format = (kur_format)3}, KUR_ERROR_INVALID_ARGUMENT, ".format"},
        {{.wire = (kur_wire_format)4}, KUR_ERROR_INVALID_ARGUMENT, ".wire"},
        {{.schema_wait_ms = -1}, KUR_ERROR_INVALID_ARGUMENT, ".schema_wait_ms"},
        {{.schemas = &half}, KUR_ERROR_INVALID_ARGUMENT, ".by_id"},
        {{.format = KUR_FORMAT_AVRO}, KUR_ERROR_CONFIG, ".schemas"},
        {{.format = KUR_FORMAT_AVRO, .wire = KUR_WIRE_PLAIN, .names_schema = true}, KUR_ERROR_CONFIG, ".schemas"},
        {{.format = KUR_FORMAT_AVRO, .wire = KUR_WIRE_PLAIN}, KUR_OK, ""},
        {{.format = KUR_FORMAT_AVRO, .wire = KUR_WIRE_SINGLE_OBJECT}, KUR_OK, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        kur_error error = {0};
        kur_client_options options = cases[i].options;
        options.size = sizeof options;
        options.bootstrap_servers = "127.0.0.1:1";
        kur_client *client = kur_client_new(&options, &error);
        ck_assert_int_eq(error.code, cases[i].status);
        ck_says(error, cases[i].says);
        ck_assert_int_eq(client != NULL, cases[i].status == KUR_OK);
        kur_client_unref(client);
    }
    tear_down();
}
END_TEST

/* ---- What is hostile ---- */

static const struct hostile {
    const char *type; /* content type */
    const char *header;
    size_t header_size;
    const char *value;
    size_t size;
    kur_status status, without; /* and of a client without schemas */
    const char *says;
} hostile[] = {
#define VALUE(text) text, sizeof text - 1
#define NO_HEADER NULL, 0
    {"application/avro", NO_HEADER, VALUE("\0\0\0\0\x08\x06tea"), KUR_ERROR_UNKNOWN_SCHEMA, KUR_ERROR_UNSUPPORTED,
     "schema id 8"},
    {NULL, NO_HEADER, VALUE("\0\xff\xff\xff\xff\x06tea"), KUR_ERROR_UNKNOWN_SCHEMA, KUR_ERROR_UNSUPPORTED,
     "schema id 4294967295"},
    {NULL, NO_HEADER, VALUE("\0\0\0\0\0"), KUR_ERROR_UNKNOWN_SCHEMA, KUR_ERROR_UNSUPPORTED, "schema id 0"},
    {"application/avro", NO_HEADER, VALUE("\0\0\0\0\x07"), KUR_ERROR_SYNTAX, KUR_ERROR_UNSUPPORTED, "schema id 7: sku"},
    {"application/avro", NO_HEADER, VALUE("\0\0\0\0\x07\xfe\xff\xff\xff\x0f"), KUR_ERROR_SYNTAX, KUR_ERROR_UNSUPPORTED,
     "sku"}, /* a text of 2 GB */
    {"application/avro", NO_HEADER, VALUE("\0\0\0\0\x07\x06tea\x84\x07\x05\0"), KUR_ERROR_SYNTAX, KUR_ERROR_UNSUPPORTED,
     "note"},
    {"application/avro", NO_HEADER, VALUE("\0\0\0\0\x07\x06tea\x84\x07\0behind"), KUR_ERROR_SYNTAX,
     KUR_ERROR_UNSUPPORTED, "schema id 7: "},
    {"application/avro", NO_HEADER, VALUE("\0\0\0\0\x09\x06tea"), KUR_ERROR_SYNTAX, KUR_ERROR_UNSUPPORTED,
     "schema id 9 is none of Avro's"},
    {NULL, NO_HEADER, VALUE("\0\0\0\0\x09{\"sku\":1}"), KUR_ERROR_MISMATCH, KUR_ERROR_MISMATCH, "sku"},
    {"application/avro", NO_HEADER, VALUE("\0\0\0\0\x0a\x06tea"), KUR_ERROR_MISMATCH, KUR_ERROR_UNSUPPORTED,
     "schema id 10: "}, /* a schema that the type does not read */
    {"application/avro", NO_HEADER, VALUE("\0\0"), KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX, "note"},
    {"application/avro", NO_HEADER, VALUE("\0\0\0\0"), KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX, "1 bytes are left"},
    {"application/avro", NO_HEADER, VALUE(""), KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX, "sku"},
    {"avro/binary", NO_HEADER, VALUE("\0\0\0\0\x07\x06tea"), KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX, ""},
    {"application/avro", NO_HEADER,
     VALUE("\xc3\x01"
           "12345678\x06tea"),
     KUR_ERROR_UNKNOWN_SCHEMA, KUR_ERROR_UNSUPPORTED, "schema fingerprint 3837363534333231"},
    {NULL, NO_HEADER,
     VALUE("\xc3\x01"
           "12345678\x06tea"),
     KUR_ERROR_UNKNOWN_SCHEMA, KUR_ERROR_UNSUPPORTED, "schema fingerprint 3837363534333231"},
    {"application/avro", NO_HEADER,
     VALUE("\xc3\x01"
           "12345678"),
     KUR_ERROR_UNKNOWN_SCHEMA, KUR_ERROR_UNSUPPORTED, "schema fingerprint 3837363534333231"},
    {"application/avro", NO_HEADER,
     VALUE("\xc3\x01"
           "1234567"),
     KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX, "sku"},
    {"application/avro", "\x02xxxxxxxxxxxxxxxx", 17, VALUE("\x06tea"), KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX,
     KUR_SCHEMA_HEADER},
    {"application/avro", "\x01xxxxxxxxxxxxxxx", 16, VALUE("\x06tea"), KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX,
     KUR_SCHEMA_HEADER},
    {"application/avro", "", 0, VALUE("\x06tea"), KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX, KUR_SCHEMA_HEADER},
    {"application/avro", "\x01xxxxxxxxxxxxxxxx", 17, VALUE("\x06tea"), KUR_ERROR_UNKNOWN_SCHEMA, KUR_ERROR_UNSUPPORTED,
     "schema 78787878-7878-7878-7878-787878787878"},
    {"application/json", NO_HEADER, VALUE("\0\0\0\0\x07"), KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX, ""},
    {"application/json", NO_HEADER, VALUE("\0"), KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX, ""},
    {NULL, NO_HEADER, VALUE("\x06tea"), KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX, "JSON"},
    {"application/protobuf", NO_HEADER, VALUE("\0\0\0\0\x07"), KUR_ERROR_UNSUPPORTED, KUR_ERROR_UNSUPPORTED,
     "application/protobuf"},
    {"+avro", NO_HEADER, VALUE("\0\0\0\0\x07"), KUR_ERROR_UNSUPPORTED, KUR_ERROR_UNSUPPORTED, "+avro"},
    {"application/avroscope", NO_HEADER, VALUE("x"), KUR_ERROR_UNSUPPORTED, KUR_ERROR_UNSUPPORTED, "avroscope"},
};

START_TEST(test_codec__what_is_hostile_is_told_as_what_it_is)
{
    set_up();
    kur_client *client = CLIENT(WITH_TABLE), *none = CLIENT(.client_id = "none");
    add_own(7, &sale_type);
    schema_table_add(&table, 9, NULL);
    add_own(10, &gauge_type);
    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        const struct hostile *c = &hostile[i];
        struct sale read;
        kur_record *record = plain_record(c->type, c->header, c->header_size, c->value, c->size);
        for (int round = 0; round < 2; round++) {
            kur_error error = {0};
            kur_status status = read_as(client, record, &sale_type, &read, &error);
            ck_assert_msg(status == c->status, "case %zu: %s (%s)", i, kur_status_name(status), error.message);
            ck_assert_msg(strstr(error.message, c->says) != NULL, "case %zu: %s", i, error.message);
            status = read_as(round == 0 ? none : NULL, record, &sale_type, &read, &error);
            ck_assert_msg(status == c->without, "case %zu, without: %s (%s)", i, kur_status_name(status),
                          error.message);
        }
        kur_record_free(record);
    }
    kur_client_unref(client);
    kur_client_unref(none);
    tear_down();
}
END_TEST

/* ---- What is kept ---- */

static kur_status read_id(kur_client *client, uint32_t id, kur_error *error)
{
    unsigned char value[] = {0,
                             (unsigned char)(id >> 24),
                             (unsigned char)(id >> 16),
                             (unsigned char)(id >> 8),
                             (unsigned char)id,
                             6,
                             't',
                             'e',
                             'a',
                             0x84,
                             7,
                             0};
    struct sale read;
    kur_record *record = plain_record("application/avro", NULL, 0, value, sizeof value);
    kur_status status = read_as(client, record, &sale_type, &read, error);
    ck_assert(status != KUR_OK || read.amount == 450);
    kur_record_free(record);
    return status;
}

START_TEST(test_codec__what_is_not_there_is_asked_for_again)
{
    set_up();
    kur_error error = {0};
    kur_client *client = CLIENT(WITH_TABLE);
    for (int i = 0; i < 100; i++)
        ck_status(read_id(client, 8, &error), KUR_ERROR_UNKNOWN_SCHEMA, error);
    ck_assert_int_eq(atomic_load(&table.asked), 100);
    ck_assert_uint_eq(kur__client_codec(client)->cache.count, 0);
    add_own(8, &sale_type);
    for (int i = 0; i < 100; i++)
        ck_ok(read_id(client, 8, &error), error);
    ck_assert_int_eq(atomic_load(&table.asked), 101);
    kur_client_unref(client);
    tear_down();
}
END_TEST

/* However many ids there are: so many are kept, and the others are read all the same. */
START_TEST(test_codec__a_bounded_number_is_kept)
{
    set_up();
    kur_error error = {0};
    kur_client *client = CLIENT(WITH_TABLE, .format = KUR_FORMAT_AVRO);
    const kur__codec_cache *cache = &kur__client_codec(client)->cache;
    add_own(1, &sale_type);
    for (int asked = KUR__CODEC_READ + 100; asked <= KUR__CODEC_READ + 200; asked += 100) {
        for (uint32_t i = 0; i < KUR__CODEC_READ + 100; i++) {
            ck_ok(read_id(client, SCHEMA_TABLE_SAME + i, &error), error);
            kur_arena_reset(arena);
        }
        ck_assert_uint_eq(cache->count, KUR__CODEC_READ);
        ck_assert_int_eq(atomic_load(&table.asked), asked);
    }
    /* What is written has room of its own. */
    for (int i = 0; i < 3; i++)
        kur_record_free(send_event(client, &sale_type, &tea, NULL));
    ck_assert_uint_eq(cache->count, KUR__CODEC_READ + 2);
    ck_assert_int_eq(atomic_load(&table.placed), 1);
    kur_client_unref(client);
    tear_down();
}
END_TEST

/* Where more is written to than is kept, places are asked for again. */
START_TEST(test_codec__a_bounded_number_of_places_is_kept)
{
    set_up();
    kur_client *client = CLIENT(WITH_TABLE, .format = KUR_FORMAT_AVRO);
    const kur__codec_cache *cache = &kur__client_codec(client)->cache;
    for (int i = 0; i < KUR__CODEC_ENTRIES + 50; i++) {
        char topic[16];
        snprintf(topic, sizeof topic, "t%d", i);
        kur_record_free(send_event(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.topic = topic)));
        kur_arena_reset(arena);
    }
    ck_assert_uint_eq(cache->count, KUR__CODEC_ENTRIES);
    ck_assert_int_eq(atomic_load(&table.placed), KUR__CODEC_ENTRIES + 50);
    for (int i = 0; i < 3; i++)
        kur_record_free(send_event(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.topic = "t1")));
    ck_assert_int_eq(atomic_load(&table.placed), KUR__CODEC_ENTRIES + 50);
    kur_client_unref(client);
    tear_down();
}
END_TEST

/* Nor more than so many bytes of texts. */
START_TEST(test_codec__bounded_texts_are_kept)
{
    set_up();
    kur_error error = {0};
    kur_schema *schema = NULL;
    kur_buffer text = {0};
    kur_client *client = CLIENT(WITH_TABLE);
    const kur__codec_cache *cache = &kur__client_codec(client)->cache;
    static const char before[] = "{\"type\":\"record\",\"name\":\"shop.Sale\",\"doc\":\"",
                      behind[] = "\",\"fields\":[{\"name\":\"sku\",\"type\":\"string\"},{\"name\":\"amount\","
                                 "\"type\":\"long\"},{\"name\":\"note\",\"type\":[\"null\",\"string\"]}]}";
    ck_assert_int_eq(kur_buffer_append(&text, before, sizeof before - 1), KUR_OK);
    while (text.size < 900000)
        ck_assert_int_eq(kur_buffer_append(&text, "long ", 5), KUR_OK);
    ck_assert_int_eq(kur_buffer_append(&text, behind, sizeof behind - 1), KUR_OK);
    ck_ok(kur_schema_parse(kur_bytes_of(text.data, text.size), NULL, 0, &schema, &error), error);
    schema_table_add(&table, 1, schema);
    const size_t each = sizeof(kur__codec_entry) + 4 + text.size, room = KUR__CODEC_BYTES / each;
    for (uint32_t i = 0; i < room + 5; i++)
        ck_ok(read_id(client, SCHEMA_TABLE_SAME + i, &error), error);
    ck_assert_uint_eq(cache->count, room);
    ck_assert_uint_eq(cache->bytes, room * each);
    /* A small one has room still. */
    add_own(2, &sale_type);
    ck_ok(read_id(client, 2, &error), error);
    ck_assert_uint_eq(cache->count, room + 1);
    kur_schema_unref(schema);
    kur_buffer_done(&text);
    kur_client_unref(client);
    tear_down();
}
END_TEST

enum {
    TRIED = 400000 /* so many names have some of one hash among them */
};

struct named {
    uint64_t name;
    uint32_t hash;
};

static int by_hash(const void *a, const void *b)
{
    uint32_t first = ((const struct named *)a)->hash, second = ((const struct named *)b)->hash;
    return (first > second) - (first < second);
}

static void keep_named(kur__codec_cache *cache, const uint64_t *name)
{
    const kur__codec_key key = {KUR__BY_FINGERPRINT, &sale_type, kur_bytes_of(name, sizeof *name)};
    ck_assert_ptr_null(kur__codec_find(cache, &key));
    kur__codec_entry *entry = kur__codec_entry_new(&key);
    ck_assert_ptr_nonnull(entry);
    ck_assert_ptr_eq(kur__codec_keep(cache, entry), entry);
    ck_assert_ptr_eq(kur__codec_find(cache, &key), entry);
}

START_TEST(test_codec__names_of_one_hash_are_told_apart)
{
    kur__codec_cache cache;
    int pairs = 0;
    kur__codec_cache_init(&cache);
    struct named *names = calloc(TRIED, sizeof *names);
    ck_assert_ptr_nonnull(names);
    for (uint64_t i = 0; i < TRIED; i++)
        names[i] = (struct named){i, kur__hash(&i, sizeof i)};
    qsort(names, TRIED, sizeof *names, by_hash);
    for (size_t i = 1; i < TRIED; i++) {
        if (names[i].hash != names[i - 1].hash)
            continue;
        keep_named(&cache, &names[i - 1].name);
        keep_named(&cache, &names[i++].name);
        pairs++;
    }
    ck_assert_int_ge(pairs, 5);
    ck_assert_uint_eq(cache.count, 2 * (size_t)pairs);
    free(names);
    kur__codec_cache_done(&cache);
}
END_TEST

enum {
    THREADS = 4,
    IDS = 300 /* the table of plans grows several times */
};

struct reader {
    kur_client *client;
    unsigned seed;
    int failures;
};

static void *read_all(void *user)
{
    struct reader *reader = user;
    kur_arena *own = kur_arena_new();
    for (uint32_t i = 0; i < 4 * IDS; i++) {
        uint32_t id = SCHEMA_TABLE_SAME + (i * 7 + reader->seed * 13) % IDS;
        unsigned char value[] = {0, 0, 0, (unsigned char)(id >> 8), (unsigned char)id, 6, 't', 'e', 'a', 0x84, 7, 0};
        struct sale read = {0};
        kur_encoding encoding;
        kur_buffer data = {0};
        kur_event_view view = KUR_EVENT_VIEW(.client = reader->client, .content_type = "application/avro",
                                             .data = kur_bytes_of(value, sizeof value));
        reader->failures += kur_event_decode(&view, &sale_type, own, &read, NULL) != KUR_OK || read.amount != 450;
        reader->failures += kur_event_encode(reader->client, &sale_type, &tea, i % 2 == 0 ? "a" : "b", KUR_FORMAT_AVRO,
                                             &data, &encoding, NULL) != KUR_OK;
        kur_buffer_done(&data);
        kur_arena_reset(own);
    }
    kur_arena_free(own);
    return NULL;
}

START_TEST(test_codec__many_read_and_write_at_once)
{
    set_up();
    struct reader readers[THREADS];
    pthread_t threads[THREADS];
    kur_client *client = CLIENT(WITH_TABLE);
    add_own(1, &sale_type);
    for (unsigned i = 0; i < THREADS; i++) {
        readers[i] = (struct reader){client, i, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(readers[i].failures, 0);
    }
    ck_assert_uint_eq(kur__client_codec(client)->cache.count, IDS + 3);
    ck_assert_int_le(atomic_load(&table.asked), THREADS * (IDS + 2));
    kur_client_unref(client);
    tear_down();
}
END_TEST

/* ---- A table that is away ---- */

START_TEST(test_codec__away_is_told_as_it_is_and_passes)
{
    set_up();
    static const struct {
        int returned;
        kur_status told;
    } cases[] = {
        {KUR_ERROR_UNREACHABLE, KUR_ERROR_UNREACHABLE},
        {KUR_ERROR_TIMEOUT, KUR_ERROR_TIMEOUT},
        {KUR_ERROR_AUTHORIZATION, KUR_ERROR_AUTHORIZATION},
        {KUR_ERROR_AUTHENTICATION, KUR_ERROR_AUTHENTICATION},
        {KUR_ERROR_CONFIG, KUR_ERROR_CONFIG},
        {KUR_ERROR_CLOSED, KUR_ERROR_UNREACHABLE},
        {KUR_ERROR_SYSTEM, KUR_ERROR_UNREACHABLE},
        {KUR_ERROR_MISMATCH, KUR_ERROR_UNREACHABLE},
        {KUR_ERROR_SYNTAX, KUR_ERROR_SYNTAX},
        {KUR_ERROR_TOO_LARGE, KUR_ERROR_TOO_LARGE},
    };
    kur_client *client = CLIENT(WITH_TABLE, .schema_wait_ms = 321);
    add_own(7, &sale_type);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        kur_error error = {0};
        atomic_store(&table.away, cases[i].returned);
        ck_status(read_id(client, 7, &error), cases[i].told, error);
        ck_says(error, "schema id 7: the table is away");
        ck_assert_int_eq(kur_status_is_of_schemas(error.code), i < 8);
        ck_assert_int_eq(atomic_load(&table.waited_ms), 321);
        /* What needs no schema is read and written meanwhile. */
        kur_record *record = send_event(client, &sale_type, &tea, NULL);
        expect_tea(client, record);
        kur_record_free(record);
        if (i < 2) {
            expect_refused(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.format = KUR_FORMAT_AVRO), cases[i].told,
                           "the table is away");
            ck_assert(kur_status_is_retriable(cases[i].told));
        }
    }
    kur_error error = {0};
    atomic_store(&table.away, KUR_OK);
    ck_ok(read_id(client, 7, &error), error);
    kur_record_free(send_event(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.format = KUR_FORMAT_AVRO)));
    /* What is known needs nobody. */
    atomic_store(&table.away, KUR_ERROR_UNREACHABLE);
    ck_ok(read_id(client, 7, &error), error);
    kur_record_free(send_event(client, &sale_type, &tea, &KUR_PUBLISH_OPTIONS(.format = KUR_FORMAT_AVRO)));
    kur_client_unref(client);
    tear_down();
}
END_TEST

START_TEST(test_codec__without_waiting_nothing_is_asked_for)
{
    set_up();
    static const unsigned char value[] = {0, 0, 0, 0, 7, 6, 't', 'e', 'a', 0x84, 7, 0};
    kur_error error = {0};
    struct sale read;
    kur_client *client = CLIENT(WITH_TABLE);
    kur_event_view view =
        KUR_EVENT_VIEW(.client = client, .content_type = "application/avro", .data = kur_bytes_of(value, sizeof value));
    add_own(7, &sale_type);
    ck_status(kur_event_decode_within(&view, &sale_type, arena, &read, 0, &error), KUR_ERROR_TIMEOUT, error);
    ck_assert_int_eq(atomic_load(&table.asked), 0);
    ck_ok(kur_event_decode_within(&view, &sale_type, arena, &read, 77, &error), error);
    ck_assert_int_eq(atomic_load(&table.waited_ms), 77);
    ck_ok(kur_event_decode_within(&view, &sale_type, arena, &read, 0, &error), error);
    kur_client_unref(client);
    tear_down();
}
END_TEST

/* A view of an older program ends before the client. */
START_TEST(test_codec__a_view_without_a_client_reads_what_names_no_other_schema)
{
    set_up();
    for (int wire = KUR_WIRE_SINGLE_OBJECT; wire <= KUR_WIRE_PLAIN; wire++) {
        kur_error error = {0};
        struct sale read;
        kur_client *client = CLIENT(.format = KUR_FORMAT_AVRO, .wire = (kur_wire_format)wire);
        kur_record *record = send_event(client, &sale_type, &tea, NULL);
        kur_event_view view = KUR_EVENT_VIEW();
        view.size = offsetof(kur_event_view, client);
        ck_ok(kur_event_read(record, arena, &view, &error), error);
        view.client = (void *)1;
        ck_ok(kur_event_decode(&view, &sale_type, arena, &read, &error), error);
        ck_assert_int_eq(kur_type_compare(&sale_type, &tea, &read), 0);
        kur_record_free(record);
        kur_client_unref(client);
    }
    tear_down();
}
END_TEST

/* ---- Memory ---- */

static kur_status write_and_read(kur_record *record, kur_error *error)
{
    kur_encoding encoding;
    kur_buffer data = {0};
    struct sale read;
    kur_arena *own = kur_arena_new();
    kur_client *client =
        own != NULL ? kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:1", WITH_TABLE), error) : NULL;
    kur_event_view view = KUR_EVENT_VIEW(.client = client);
    kur_status status = own == NULL      ? kur_error_set(error, KUR_ERROR_NO_MEMORY, "no arena")
                        : client == NULL ? error->code
                                         : KUR_OK;
    if (status == KUR_OK)
        status = kur_event_encode(client, &sale_type, &tea, "sales", KUR_FORMAT_AVRO, &data, &encoding, error);
    ck_assert(status == KUR_OK || data.size == 0);
    if (status == KUR_OK)
        status = kur_event_read(record, own, &view, error);
    if (status == KUR_OK)
        status = kur_event_decode(&view, &sale_type, own, &read, error);
    kur_buffer_done(&data);
    kur_client_unref(client);
    kur_arena_free(own);
    return status;
}

START_TEST(test_codec__memory_may_fail_anywhere)
{
    set_up();
    static const unsigned char value[] = {0, 0, 0, 0, 7, 0x84, 7, 6, 't', 'e', 'a'};
    long points = 0, kept = 0;
    bool has_failed = true;
    add_own(7, &old_sale_type);
    add_own(100, &sale_type);
    /* Read anew each time, so that it is seen when one is left. */
    char *text = strdup(kur_schema_text(table.rows[0].schema).data);
    table.rows[0].text = text;
    kur_record *record = plain_record("application/avro", NULL, 0, value, sizeof value);
    for (; has_failed; points += has_failed) {
        kur_error error = {0};
        failing_begin(points + 1, false);
        kur_status status = write_and_read(record, &error);
        has_failed = failing_has_failed();
        failing_end();
        ck_assert_msg(failing_live() == 0, "%ld are left when the %ldth fails", failing_live(), points + 1);
        ck_assert_msg(status == KUR_OK || (has_failed && status == KUR_ERROR_NO_MEMORY), "%ld: %s", points + 1,
                      error.message);
        kept += has_failed && status == KUR_OK;
    }
    ck_assert_int_ge(points, 50);
    ck_assert_int_eq(kept, 1); /* without a table nothing is kept */
    kur_record_free(record);
    free(text);
    tear_down();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_codec__every_form_is_read_by_whoever_writes_another,
        test_codec__plain_bytes_are_never_taken_for_a_name,
        test_codec__what_was_written_with_another_schema_is_resolved,
        test_codec__what_a_table_cannot_look_for_is_not_there,
        test_codec__content_types,
        test_codec__the_option_wins_then_the_type_then_the_client,
        test_codec__the_schema_is_named_when_asked_for,
        test_codec__places_are_of_a_topic_and_a_type,
        test_codec__what_cannot_be_written,
        test_codec__data_are_appended_or_not_at_all,
        test_codec__null_is_told,
        test_codec__options_of_a_client,
        test_codec__what_is_hostile_is_told_as_what_it_is,
        test_codec__what_is_not_there_is_asked_for_again,
        test_codec__a_bounded_number_is_kept,
        test_codec__a_bounded_number_of_places_is_kept,
        test_codec__bounded_texts_are_kept,
        test_codec__names_of_one_hash_are_told_apart,
        test_codec__many_read_and_write_at_once,
        test_codec__away_is_told_as_it_is_and_passes,
        test_codec__without_waiting_nothing_is_asked_for,
        test_codec__a_view_without_a_client_reads_what_names_no_other_schema,
        test_codec__memory_may_fail_anywhere,
        NULL,
    };
    return check_main("codec", tests);
}
