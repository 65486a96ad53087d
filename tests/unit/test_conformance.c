/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The cases that CloudEvents' own conformance suite (cloudevents/conformance: the Kafka protocol binding, the JSON
 * format) and the Java SDK's tests of its JSON format name, in words of our own.
 */
#include <kurier/kurier.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../shop.h"
#include "event/envelope.h"

static kur_arena *arena;

static kur_status read_structured(const char *content_type, const char *json, kur_event_view *view, kur_error *error)
{
    kur__envelope_reader reader;
    kur__envelope_begin(&reader);
    kur__envelope_take(&reader, "content-type", kur_bytes_text(content_type));
    *view = KUR_EVENT_VIEW(.data = kur_bytes_text(json));
    *error = (kur_error){0};
    return kur__envelope_finish(&reader, arena, view, error);
}

static void is_data(const kur_event_view *view, const char *text)
{
    ck_assert_msg(kur_bytes_equal(view->data, kur_bytes_text(text)), "\"%.*s\"", (int)view->data.size,
                  (const char *)view->data.data);
}

/* ---- Kafka protocol binding ---- */

static void is_the_binding_s(const kur_event_view *view)
{
    ck_assert_str_eq(view->id, "7f-01");
    ck_assert_str_eq(view->type, "com.example.opened");
    ck_assert_str_eq(view->source, "/doors/front");
    ck_assert_str_eq(view->content_type, "application/json");
    ck_assert(view->has_time);
    ck_assert_int_eq(view->time_us, INT64_C(1522900584000000));
}

START_TEST(test_conformance__binary_mode)
{
    static const char *const headers[][2] = {{"ce_specversion", "1.0"},           {"ce_id", "7f-01"},
                                             {"ce_type", "com.example.opened"},   {"ce_source", "/doors/front"},
                                             {"ce_time", "2018-04-05T03:56:24Z"}, {"content-type", "application/json"}};
    kur__envelope_reader reader;
    kur__envelope_begin(&reader);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        kur__envelope_take(&reader, headers[i][0], kur_bytes_text(headers[i][1]));
    kur_event_view view = KUR_EVENT_VIEW(.data = kur_bytes_text("{\"by\": \"key\"}"));
    kur_error error = {0};
    ck_ok(kur__envelope_finish(&reader, arena, &view, &error), error);
    ck_assert_int_eq(view.mode, KUR_EVENT_BINARY);
    is_the_binding_s(&view);
    is_data(&view, "{\"by\": \"key\"}");
}
END_TEST

START_TEST(test_conformance__structured_mode)
{
    static const char *const types[] = {"application/cloudevents+json", "application/cloudevents+json; charset=utf-8",
                                        "application/cloudevents+json; charset=UTF-8",
                                        "Application/CloudEvents+JSON;charset=utf-8"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        kur_event_view view;
        kur_error error;
        ck_ok(read_structured(types[i],
                              "{\n  \"specversion\": \"1.0\",\n  \"type\": \"com.example.opened\",\n"
                              "  \"time\": \"2018-04-05T03:56:24Z\",\n  \"id\": \"7f-01\",\n"
                              "  \"source\": \"/doors/front\",\n  \"datacontenttype\": \"application/json\",\n"
                              "  \"data\": {\n    \"by\": \"key\"\n  }\n}",
                              &view, &error),
              error);
        ck_assert_int_eq(view.mode, KUR_EVENT_STRUCTURED);
        is_the_binding_s(&view);
        is_data(&view, "{\"by\":\"key\"}");
    }
}
END_TEST

/* ---- JSON format ---- */

#define TYPE "application/cloudevents+json"
#define REQUIRED "\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t.a\",\"source\":\"https://example.org/s\""

START_TEST(test_conformance__json_valid)
{
    static const struct {
        const char *json, *data;
    } cases[] = {
        {"{" REQUIRED "}", NULL},
        {"{" REQUIRED ",\"datacontenttype\":null,\"dataschema\":null,\"subject\":null,\"time\":null}", NULL},
        {"{" REQUIRED ",\"datacontenttype\":\"text/plain\",\"dataschema\":\"https://example.org/schema\","
         "\"subject\":\"sub\",\"time\":\"2018-04-05T17:31:00Z\"}",
         NULL},
        {"{" REQUIRED ",\"time\":\"2018-04-05T17:31:00.000000000Z\"}", NULL},
        {"{" REQUIRED ",\"time\":\"2018-04-05T18:31:00+01:00\"}", NULL},
        {"{" REQUIRED ",\"time\":\"2018-04-05T16:31:00-01:00\"}", NULL},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t.a\",\"source\":\"#part\"}", NULL},
        {"{" REQUIRED ",\"datacontenttype\":\"text/plain\",\"data\":\"words\"}", "words"},
        {"{" REQUIRED ",\"data\":{}}", "{}"},
        {"{" REQUIRED ",\"data\":\"words\"}", "\"words\""},
        {"{" REQUIRED ",\"data\":17}", "17"},
        {"{" REQUIRED ",\"data\":false}", "false"},
        {"{" REQUIRED ",\"data\":[null]}", "[null]"},
        {"{" REQUIRED ",\"datacontenttype\":\"application/json\",\"data_base64\":\"e30=\"}", "{}"},
        {"{" REQUIRED ",\"datacontenttype\":\"application/xml\",\"data\":\"<a b=\\\"c\\\"/>\"}", "<a b=\"c\"/>"},
        {"{" REQUIRED ",\"datacontenttype\":\"application/xml\",\"data_base64\":\"PGEvPg==\"}", "<a/>"},
        {"{" REQUIRED ",\"extinteger\":10,\"extboolean\":true,\"extstring\":\"text\","
         "\"exturi\":\"https://example.org\",\"exturiref\":\"//host/path\","
         "\"exttimestamp\":\"2023-03-31T15:12:00Z\",\"extbinary\":\"TWE=\"}",
         NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_event_view view;
        kur_error error;
        ck_assert_msg(read_structured(TYPE, cases[i].json, &view, &error) == KUR_OK, "%s: %s", cases[i].json,
                      error.message);
        ck_assert_str_eq(view.id, "1");
        ck_assert(!view.has_time || view.time_us == INT64_C(1522949460000000));
        if (cases[i].data != NULL)
            is_data(&view, cases[i].data);
        else
            ck_assert_ptr_null(view.data.data);
    }
}
END_TEST

START_TEST(test_conformance__json_extensions)
{
    kur_event_view view;
    kur_error error;
    ck_ok(read_structured(TYPE, "{" REQUIRED ",\"anumber\":-10,\"aboolean\":false,\"astring\":\"a\",\"none\":null}",
                          &view, &error),
          error);
    ck_assert_str_eq(kur_event_extension(&view, "anumber"), "-10");
    ck_assert_str_eq(kur_event_extension(&view, "aboolean"), "false");
    ck_assert_str_eq(kur_event_extension(&view, "astring"), "a");
    ck_assert_ptr_null(kur_event_extension(&view, "none"));
}
END_TEST

/* What is refused, and how it says so. */
START_TEST(test_conformance__json_invalid)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{\"id\":\"1\",\"type\":\"t\",\"source\":\"/s\"}", "specversion is missing"},
        {"{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\"}", "id is missing"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\"}", "type is missing"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\"}", "source is missing"},
        {"{\"specversion\":\"1.0\",\"id\":\"\",\"type\":\"t\",\"source\":\"/s\"}", "id is empty"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"\",\"source\":\"/s\"}", "type is empty"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\",\"source\":\"\"}", "source is empty"},
        {"{\"specversion\":\"\",\"id\":\"1\",\"type\":\"t\",\"source\":\"/s\"}", "specversion is not 1.0"},
        {"{\"specversion\":\"0.9\",\"id\":\"1\",\"type\":\"t\",\"source\":\"/s\"}", "specversion is not 1.0"},
        {"{\"specversion\":1.0,\"id\":\"1\",\"type\":\"t\",\"source\":\"/s\"}", "specversion is not a string"},
        {"{\"specversion\":\"1.0\",\"id\":25,\"type\":\"t\",\"source\":\"/s\"}", "id is not a string"},
        {"{\"specversion\":\"1.0\",\"id\":{\"a\":1},\"type\":\"t\",\"source\":\"/s\"}", "id is not a string"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":true,\"source\":\"/s\"}", "type is not a string"},
        {"{" REQUIRED ",\"subject\":7}", "subject is not a string"},
        {"{" REQUIRED ",\"time\":1522949460}", "time is not a string"},
        {"{" REQUIRED ",\"datacontenttype\":1}", "datacontenttype is not a string"},
        {"{" REQUIRED ",\"time\":\"noon\"}", "time is not an RFC 3339 time"},
        {"{" REQUIRED ",\"time\":\"2018-04-05T18:31Z\"}", "time is not"},
        {"{" REQUIRED ",\"time\":\"2018-04-05T18:31:00X\"}", "time is not"},
        {"{" REQUIRED ",\"time\":\"2018-04-05T18:31:00+25:00\"}", "time is not"},
        {"{" REQUIRED ",\"time\":\"2018-04-05T18:31:00+xx:00\"}", "time is not"},
        {"{" REQUIRED ",\"time\":\"2018-04-05T18:31:00+05\"}", "time is not"},
        {"{" REQUIRED ",\"datacontenttype\":\"\"}", "datacontenttype is empty"},
        {"{" REQUIRED ",\"dataschema\":\"\"}", "dataschema is empty"},
        {"{" REQUIRED ",\"subject\":\"\"}", "subject is empty"},
        {"{" REQUIRED ",\"MyExtension\":\"bad\"}", "other characters than a-z and 0-9"},
        {"{" REQUIRED ",\"my.extension\":\"bad\"}", "other characters than a-z and 0-9"},
        {"{" REQUIRED ",\"decimal\":42.42}", "decimal is neither"},
        {"{" REQUIRED ",\"list\":[1]}", "list is neither"},
        {"{" REQUIRED ",\"data\":\"a\",\"data_base64\":\"YQ==\"}", "data and data_base64 are both there"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_event_view view;
        kur_error error;
        ck_assert_msg(read_structured(TYPE, cases[i].json, &view, &error) == KUR_ERROR_NOT_AN_EVENT, "%s: %s",
                      cases[i].json, error.message);
        ck_says(error, cases[i].says);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_conformance__binary_mode,  test_conformance__structured_mode,
                                  test_conformance__json_valid,   test_conformance__json_extensions,
                                  test_conformance__json_invalid, NULL};
    arena = kur_arena_new();
    int result = check_main("conformance", tests);
    kur_arena_free(arena);
    return result;
}
