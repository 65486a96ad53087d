/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Data shown as JSON without a type: every form of the wire, by the schema that they name, or by the caller's.
 */
#include <kurier/avro.h>
#include <kurier/sys/codec.h>
#include <stdio.h>
#include <string.h>

#include "../check_main.h"
#include "../failing.h"
#include "../letters.h"
#include "../schema_table.h"

static const char text[] = "{\"type\":\"record\",\"name\":\"Sale\",\"fields\":[{\"name\":\"sku\",\"type\":\"string\"},"
                           "{\"name\":\"amount\",\"type\":\"long\"}]}";
/* {"sku":"tea","amount":450} */
#define BODY "\x06tea\x84\x07"
#define SHOWN "{\"sku\":\"tea\",\"amount\":450}"

static kur_arena *arena;
static schema_table table;
static kur_schema *schema;

static void set_up(void)
{
    kur_error error = {0};
    arena = kur_arena_new();
    schema_table_init(&table);
    ck_ok(kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, &error), error);
    schema_table_add(&table, 7, schema);
    schema_table_add(&table, 8, NULL);
}

static void tear_down(void)
{
    schema_table_done(&table);
    kur_schema_unref(schema);
    kur_arena_free(arena);
}

/* One value, and what is made of it. */
struct shown {
    const char *content_type; /* NULL: none */
    kur_bytes header, value;
    bool finds, has_own;
    kur_status status;
    const char *json; /* or what the error says */
    const char *named;
};

static kur_status show(const struct shown *shown, kur_buffer *json, char named[KUR_SCHEMA_WORDS_SIZE], kur_error *error)
{
    kur_event_view view = KUR_EVENT_VIEW();
    kur_header headers[2];
    size_t count = 0;
    if (shown->content_type != NULL)
        headers[count++] = (kur_header){"content-type", kur_bytes_text(shown->content_type)};
    if (shown->header.data != NULL)
        headers[count++] = (kur_header){KUR_SCHEMA_HEADER, shown->header};
    kur_record *record =
        letter_record(&(kur_record_parts){.value = shown->value, .headers = headers, .header_count = count});
    kur_error wrong = {0};
    ck_ok(kur_event_read(record, arena, &view, &wrong), wrong);
    kur_status status = kur_event_data_json(&view, shown->finds ? &table.schemas : NULL, shown->has_own ? schema : NULL,
                                            1000, json, named, error);
    kur_record_free(record);
    return status;
}

static void expect(const struct shown *shown)
{
    kur_error error = {0};
    kur_buffer json = {0};
    char named[KUR_SCHEMA_WORDS_SIZE];
    ck_assert_int_eq(kur_buffer_append(&json, "> ", 2), KUR_OK);
    ck_assert_int_eq(show(shown, &json, named, &error), shown->status);
    ck_assert_str_eq(named, shown->named);
    if (shown->status == KUR_OK)
        ck_assert_str_eq(json.data + 2, shown->json);
    else {
        ck_assert_msg(strstr(error.message, shown->json) != NULL, "%s", error.message);
        ck_assert_str_eq(json.data, "> ");
    }
    kur_buffer_done(&json);
}

#define BYTES(text) kur_bytes_of(text, sizeof(text) - 1)
#define AVRO "application/avro"

START_TEST(test_codec_show__every_form)
{
    set_up();
    char object[2 + 8 + sizeof BODY - 1] = "\xc3\x01", header[17] = "\x01";
    uint64_t fingerprint = kur_schema_fingerprint(schema);
    kur_uuid guid = schema_table_guid(7);
    for (int i = 0; i < 8; i++)
        object[2 + i] = (char)(fingerprint >> (8 * i));
    memcpy(object + 10, BODY, sizeof BODY - 1);
    memcpy(header + 1, guid.bytes, sizeof guid.bytes);
    kur_bytes single = kur_bytes_of(object, sizeof object), named = kur_bytes_of(header, sizeof header);
    char of_object[KUR_SCHEMA_WORDS_SIZE], of_guid[KUR_SCHEMA_WORDS_SIZE] = "schema ";
    snprintf(of_object, sizeof of_object, "schema fingerprint %016llx", (unsigned long long)fingerprint);
    kur_uuid_format(&guid, of_guid + 7);
    const struct shown cases[] = {
        /* What is not Avro's. */
        {.value = BYTES("{\"a\":1}"), .finds = true, .json = "{\"a\":1}", .named = ""},
        {.value = BYTES("text"), .json = "text", .named = ""},
        {"application/json", {0}, BYTES("\0\0\0\0\7{\"a\":1}"), true, false, KUR_OK, "{\"a\":1}", ""},
        {"text/plain", {0}, BYTES("text"), true, false, KUR_ERROR_UNSUPPORTED, "content type text/plain", ""},
        {AVRO, {0}, {0}, true, true, KUR_ERROR_MISMATCH, "a tombstone", ""},
        /* By an id. */
        {AVRO, {0}, BYTES("\0\0\0\0\7" BODY), true, false, KUR_OK, SHOWN, "schema id 7"},
        {NULL, {0}, BYTES("\0\0\0\0\7" BODY), true, false, KUR_OK, SHOWN, "schema id 7"},
        {NULL,
         {0},
         BYTES("\0\0\0\0\7" BODY),
         false,
         true,
         KUR_ERROR_UNKNOWN_SCHEMA,
         "id 7: there is nowhere to look",
         "schema id 7"},
        {AVRO, {0}, BYTES("\0\0\0\0\x09" BODY), true, true, KUR_ERROR_UNKNOWN_SCHEMA, "schema id 9: ", "schema id 9"},
        {AVRO, {0}, BYTES("\0\0\0\0\x08" BODY), true, true, KUR_ERROR_UNSUPPORTED, "schema id 8: ", "schema id 8"},
        {AVRO, {0}, BYTES("\0\0\0\0\7\x06te"), true, false, KUR_ERROR_SYNTAX, "schema id 7: sku: ", "schema id 7"},
        /* By a GUID, and by a fingerprint, which a table need not find when it is the caller's. */
        {AVRO, named, BYTES(BODY), true, false, KUR_OK, SHOWN, of_guid},
        {AVRO, {0}, single, true, false, KUR_OK, SHOWN, of_object},
        {NULL, {0}, single, false, true, KUR_OK, SHOWN, of_object},
        {NULL, {0}, single, false, false, KUR_ERROR_UNKNOWN_SCHEMA, "nowhere to look", of_object},
        /* By nothing. */
        {"avro/binary", {0}, BYTES(BODY), true, true, KUR_OK, SHOWN, "no schema"},
        {"avro/binary", {0}, BYTES(BODY), true, false, KUR_ERROR_UNKNOWN_SCHEMA, "name no schema", "no schema"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect(&cases[i]);
    kur_error error = {0};
    kur_buffer json = {0};
    char words[KUR_SCHEMA_WORDS_SIZE];
    ck_assert_int_eq(kur_event_data_json(NULL, NULL, NULL, 0, &json, words, &error), KUR_ERROR_INVALID_ARGUMENT);
    tear_down();
}
END_TEST

START_TEST(test_codec_show__a_table_that_is_away)
{
    set_up();
    const struct shown away = {
        AVRO, {0}, BYTES("\0\0\0\0\7" BODY), true, false, KUR_ERROR_UNREACHABLE, "schema id 7: ", "schema id 7"};
    table.away = KUR_ERROR_UNREACHABLE;
    expect(&away);
    ck_assert_int_eq(table.waited_ms, 1000);
    tear_down();
}
END_TEST

START_TEST(test_codec_show__memory_that_fails)
{
    set_up();
    const struct shown shown = {AVRO, {0}, BYTES("\0\0\0\0\7" BODY), true, false, KUR_OK, SHOWN, "schema id 7"};
    kur_event_view view = KUR_EVENT_VIEW();
    kur_record *record = letter_record(&(kur_record_parts){.value = shown.value});
    ck_assert_int_eq(kur_event_read(record, arena, &view, NULL), KUR_OK);
    long points = 0;
    kur_status status;
    kur_error error;
    do {
        kur_buffer json = {0};
        char named[KUR_SCHEMA_WORDS_SIZE];
        error = (kur_error){0};
        failing_begin(points + 1, true);
        status = kur_event_data_json(&view, &table.schemas, NULL, 1000, &json, named, &error);
        kur_buffer_done(&json);
        failing_end();
    } while (failing_again("kur_event_data_json", &points, status, &error));
    kur_record_free(record);
    tear_down();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_codec_show__every_form, test_codec_show__a_table_that_is_away,
                                  test_codec_show__memory_that_fails, NULL};
    return check_main("codec_show", tests);
}
