/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../shop.h"
#include "event/envelope.h"

#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define LATER_TRACEPARENT "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define BINARY                                                                                                         \
    {"ce_specversion", "1.0"}, {"ce_id", "i-1"}, {"ce_source", "/s"},                                                  \
    {                                                                                                                  \
        "ce_type", "shop.order.created.v1"                                                                             \
    }
#define STRUCTURED                                                                                                     \
    {                                                                                                                  \
        "content-type", "application/cloudevents+json; charset=UTF-8"                                                  \
    }

struct pair {
    const char *name, *value;
};

static kur_arena *arena;

/* Reads an envelope of these headers, up to one without a name, and this value. */
static kur_status read_pairs(const struct pair *pairs, const char *data, kur_event_view *view, kur_error *error)
{
    kur__envelope_reader reader;
    kur__envelope_begin(&reader);
    for (; pairs->name != NULL; pairs++)
        kur__envelope_take(&reader, pairs->name, kur_bytes_text(pairs->value));
    *view = KUR_EVENT_VIEW(.data = kur_bytes_text(data));
    *error = (kur_error){0};
    return kur__envelope_finish(&reader, arena, view, error);
}
#define READ(view, error, data, ...) read_pairs((const struct pair[]){__VA_ARGS__, {NULL, NULL}}, data, view, error)

START_TEST(test_envelope__binary)
{
    kur_event_view view;
    kur_error error;
    size_t before = kur_arena_size(arena);
    ck_ok(READ(&view, &error, "{}", BINARY, {"ce_time", "2026-01-01T00:00:00.5Z"}, {"ce_subject", "sub"},
               {"ce_dataschema", "urn:s"}, {"ce_correlationid", "c"}, {"ce_causationid", "d"},
               {"content-type", "application/json"}, {"traceparent", TRACEPARENT}, {"tracestate", "a=b"},
               {"baggage", "k=v"}, {"unrelated", "\xff\x01"}),
          error);
    ck_assert_int_eq(view.mode, KUR_EVENT_BINARY);
    ck_assert_str_eq(view.id, "i-1");
    ck_assert_str_eq(view.source, "/s");
    ck_assert_str_eq(view.type, "shop.order.created.v1");
    ck_assert(view.has_time);
    ck_assert_int_eq(view.time_us, INT64_C(1767225600500000));
    ck_assert_str_eq(view.subject, "sub");
    ck_assert_str_eq(view.data_schema, "urn:s");
    ck_assert_str_eq(view.correlation_id, "c");
    ck_assert_str_eq(view.causation_id, "d");
    ck_assert_str_eq(view.content_type, "application/json");
    ck_assert_str_eq(view.traceparent, TRACEPARENT);
    ck_assert_str_eq(view.tracestate, "a=b");
    ck_assert_str_eq(view.baggage, "k=v");
    ck_assert_uint_eq(kur_arena_size(arena), before);
    ck_assert(kur_event_is(&view, &order_created_type));
    ck_assert(!kur_event_is(&view, &order_line_type));
    view.type = "shop.order.created.v2";
    ck_assert(!kur_event_is(&view, &order_created_type));
    view.type = "shop.order.created.v11";
    ck_assert(!kur_event_is(&view, &order_created_type));
    view.type = NULL;
    ck_assert(!kur_event_is(&view, &order_created_type));
    ck_assert(!kur_event_is(NULL, &order_created_type));
    ck_assert(!kur_event_is(&view, NULL));
}
END_TEST

START_TEST(test_envelope__names_without_case_and_the_last_counts)
{
    kur_event_view view;
    kur_error error;
    ck_ok(READ(&view, &error, "{}", BINARY, {"CE_ID", "second"}, {"Content-Type", "text/json"}, {"cE_TyPe", "last"}),
          error);
    ck_assert_str_eq(view.id, "second");
    ck_assert_str_eq(view.type, "last");
    ck_assert_str_eq(view.content_type, "text/json");
}
END_TEST

START_TEST(test_envelope__what_is_missing_or_wrong_is_named)
{
    const struct {
        struct pair pairs[6];
        const char *says;
    } wrong[] = {
        {{{"ce_id", "i"}, {"ce_source", "/s"}, {"ce_type", "t"}}, "specversion is missing"},
        {{{"ce_specversion", "0.3"}, {"ce_id", "i"}, {"ce_source", "/s"}, {"ce_type", "t"}}, "specversion is not 1.0"},
        {{{"ce_specversion", "1.0"}, {"ce_source", "/s"}, {"ce_type", "t"}}, "id is missing"},
        {{{"ce_specversion", "1.0"}, {"ce_id", ""}, {"ce_source", "/s"}, {"ce_type", "t"}}, "id is empty"},
        {{{"ce_specversion", "1.0"}, {"ce_id", "i"}, {"ce_type", "t"}}, "source is missing"},
        {{{"ce_specversion", "1.0"}, {"ce_id", "i"}, {"ce_source", "/s"}}, "type is missing"},
        {{BINARY, {"ce_id", "a\nb"}}, "id is not UTF-8 without control"},
        {{BINARY, {"ce_source", "\xc3"}}, "source is not UTF-8"},
        {{BINARY, {"ce_type", "\xc2\x85"}}, "type is not UTF-8"},
        {{BINARY, {"ce_subject", "\x7f"}}, "subject is not UTF-8"},
        {{BINARY, {"ce_time", "yesterday"}}, "time"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kur_event_view view;
        kur_error error;
        ck_status(read_pairs(wrong[i].pairs, "{}", &view, &error), KUR_ERROR_NOT_AN_EVENT, error);
        ck_says(error, wrong[i].says);
    }
}
END_TEST

START_TEST(test_envelope__plain_records_are_events_too)
{
    kur_event_view view;
    kur_error error;
    ck_ok(READ(&view, &error, "x", {"x-message-id", "second"}, {"id", "first"}, {"correlation-id", "c2"},
               {"kafka_correlationId", "c1"}, {"traceparent", TRACEPARENT}),
          error);
    ck_assert_int_eq(view.mode, KUR_EVENT_PLAIN);
    ck_assert_ptr_null(view.type);
    ck_assert_ptr_null(view.source);
    ck_assert_str_eq(view.id, "first");
    ck_assert_str_eq(view.correlation_id, "c1");
    ck_assert_str_eq(view.traceparent, TRACEPARENT);
    ck_ok(READ(&view, &error, NULL, {"_watermill_message_uuid", "w"}), error);
    ck_assert_str_eq(view.id, "w");
    ck_assert_ptr_null(view.data.data);
}
END_TEST

START_TEST(test_envelope__traces_that_are_not_valid_are_not_there)
{
    static const char *const wrong[] = {"",
                                        "00",
                                        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                                        "ff"
                                        "-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                                        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                        TRACEPARENT "-more",
                                        LATER_TRACEPARENT "-m\x01re",
                                        LATER_TRACEPARENT "-m\tre",
                                        LATER_TRACEPARENT "-m\xff",
                                        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"};
    kur_event_view view;
    kur_error error;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_ok(READ(&view, &error, "{}", BINARY, {"traceparent", wrong[i]}, {"tracestate", "a=b"}), error);
        ck_assert_msg(view.traceparent == NULL, "%s", wrong[i]);
        ck_assert_ptr_null(view.tracestate);
    }
    /* A later version may have more behind it. */
    ck_ok(READ(&view, &error, "{}", BINARY, {"traceparent", LATER_TRACEPARENT "-more"}), error);
    ck_assert_ptr_nonnull(view.traceparent);
}
END_TEST

START_TEST(test_envelope__structured)
{
    kur_event_view view;
    kur_error error;
    ck_ok(
        READ(&view, &error,
             "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t\",\"time\":\"2026-01-01T00:00:00Z\","
             "\"datacontenttype\":\"application/"
             "json\",\"tenant\":\"acme\",\"count\":7,\"gone\":null,\"data\":{\"a\":[1,2.5]}}",
             STRUCTURED, {"traceparent", TRACEPARENT}),
        error);
    ck_assert_int_eq(view.mode, KUR_EVENT_STRUCTURED);
    ck_assert_str_eq(view.id, "i");
    ck_assert_str_eq(view.content_type, "application/json");
    ck_assert(kur_bytes_equal(view.data, kur_bytes_text("{\"a\":[1,2.5]}")));
    ck_assert_str_eq(kur_event_extension(&view, "tenant"), "acme");
    ck_assert_str_eq(kur_event_extension(&view, "count"), "7");
    ck_assert_ptr_null(kur_event_extension(&view, "gone"));
    ck_assert_ptr_null(kur_event_extension(&view, "nothing"));
    ck_assert_str_eq(view.traceparent, TRACEPARENT);

    ck_ok(READ(&view, &error,
               "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t\",\"data_base64\":\"AAEC/w==\"}",
               STRUCTURED),
          error);
    ck_assert(kur_bytes_equal(view.data, kur_bytes_of("\0\1\2\xff", 4)));
    ck_ok(
        READ(
            &view, &error,
            "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t\",\"datacontenttype\":\"text/plain\","
            "\"data\":\"as it is\"}",
            STRUCTURED),
        error);
    ck_assert(kur_bytes_equal(view.data, kur_bytes_text("as it is")));
}
END_TEST

START_TEST(test_envelope__structured_and_wrong)
{
#define EVENT "\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t\""
    static const struct {
        const char *json;
        kur_status status;
        const char *says;
    } wrong[] = {
        {"{", KUR_ERROR_SYNTAX, "line 1"},
        {"[]", KUR_ERROR_NOT_AN_EVENT, "object"},
        {"{" EVENT ",\"id\":\"j\"}", KUR_ERROR_SYNTAX, "duplicate"},
        {"{" EVENT ",\"Bad\":\"x\"}", KUR_ERROR_NOT_AN_EVENT, "name"},
        {"{" EVENT ",\"tenant\":[1]}", KUR_ERROR_NOT_AN_EVENT, "tenant"},
        {"{" EVENT ",\"data\":1,\"data_base64\":\"AA==\"}", KUR_ERROR_NOT_AN_EVENT, "data_base64"},
        {"{" EVENT ",\"data_base64\":\"A\"}", KUR_ERROR_NOT_AN_EVENT, "base64"},
        {"{" EVENT ",\"time\":\"never\"}", KUR_ERROR_NOT_AN_EVENT, "time"},
        {"{\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"t\"}", KUR_ERROR_NOT_AN_EVENT, "source is missing"},
        {"{" EVENT ",\"subject\":\"a\\nb\"}", KUR_ERROR_NOT_AN_EVENT, "subject"},
    };
    kur_event_view view;
    kur_error error;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_status(READ(&view, &error, wrong[i].json, STRUCTURED), wrong[i].status, error);
        ck_says(error, wrong[i].says);
    }
    ck_status(READ(&view, &error, "{}", {"content-type", "application/cloudevents+avro"}), KUR_ERROR_NOT_AN_EVENT,
              error);
    ck_says(error, "application/cloudevents+avro");
    char *large = calloc(1, KUR_JSON_SIZE_MAX + 2);
    memset(large, ' ', KUR_JSON_SIZE_MAX + 1);
    ck_status(READ(&view, &error, large, STRUCTURED), KUR_ERROR_TOO_LARGE, error);
    free(large);
}
END_TEST

/* What writing gives, read again. */
static kur_status write_and_read(kur_publish_options options, const char *data, kur_event_view *view, kur_error *error)
{
    static kur__envelope envelope;
    static kur_buffer structured;
    kur_buffer_done(&structured);
    *error = (kur_error){0};
    kur_status status = kur__envelope_write(&envelope, "shop.order.created.v1", "/default", kur_bytes_text(data),
                                            &options, &structured, error);
    if (status != KUR_OK)
        return status;
    kur__envelope_reader reader;
    kur__envelope_begin(&reader);
    for (size_t i = 0; i < envelope.header_count; i++)
        kur__envelope_take(&reader, envelope.headers[i].name, envelope.headers[i].value);
    *view = KUR_EVENT_VIEW(.data = envelope.value);
    return kur__envelope_finish(&reader, arena, view, error);
}

START_TEST(test_envelope__defaults)
{
    kur_event_view view;
    kur_error error;
    for (int mode = KUR_EVENT_BINARY; mode <= KUR_EVENT_STRUCTURED; mode++) {
        ck_ok(write_and_read(KUR_PUBLISH_OPTIONS(.mode = (kur_event_mode)mode), "{\"a\":1}", &view, &error), error);
        ck_assert_int_eq((int)view.mode, mode);
        ck_assert_uint_eq(strlen(view.id), 36);
        ck_assert_int_eq(view.id[14], '7');
        ck_assert_str_eq(view.source, "/default");
        ck_assert_str_eq(view.content_type, "application/json");
        ck_assert_str_eq(view.correlation_id, view.id);
        ck_assert_ptr_null(view.causation_id);
        ck_assert_ptr_null(view.subject);
        ck_assert_ptr_null(view.traceparent);
        ck_assert(view.has_time);
        ck_assert(kur_bytes_equal(view.data, kur_bytes_text("{\"a\":1}")));
    }
    ck_ok(write_and_read(KUR_PUBLISH_OPTIONS(), NULL, &view, &error), error);
    ck_assert_ptr_null(view.data.data);
    ck_assert_ptr_null(view.content_type);
}
END_TEST

START_TEST(test_envelope__the_parent_gives_what_is_not_said)
{
    kur_event_view view;
    kur_error error;
    kur_event_view parent = KUR_EVENT_VIEW(.id = "p-1", .correlation_id = "c-1", .traceparent = TRACEPARENT,
                                           .tracestate = "a=b", .baggage = "k=v");
    ck_ok(write_and_read(KUR_PUBLISH_OPTIONS(.parent = &parent), "{}", &view, &error), error);
    ck_assert_str_eq(view.causation_id, "p-1");
    ck_assert_str_eq(view.correlation_id, "c-1");
    ck_assert_str_eq(view.traceparent, TRACEPARENT);
    ck_assert_str_eq(view.tracestate, "a=b");
    ck_assert_str_eq(view.baggage, "k=v");
    parent.correlation_id = NULL;
    ck_ok(write_and_read(KUR_PUBLISH_OPTIONS(.parent = &parent, .causation_id = "own"), "{}", &view, &error), error);
    ck_assert_str_eq(view.correlation_id, "p-1");
    ck_assert_str_eq(view.causation_id, "own");
}
END_TEST

START_TEST(test_envelope__wrong_options_are_named)
{
    const kur_header bad_name = {"Tenant", kur_bytes_text("x")}, own = {"id", kur_bytes_text("x")},
                     bad_value = {"tenant", kur_bytes_text("\n")}, ce = {"ce_x", kur_bytes_text("x")},
                     nameless = {NULL, kur_bytes_text("x")}, no_text = {"\xff", kur_bytes_text("x")},
                     no_data = {"hollow", kur_bytes_of(NULL, 3)}, no_value = {"tenant", kur_bytes_text(NULL)};
    const kur_header twice[] = {
        {"tenant", kur_bytes_text("a")}, {"region", kur_bytes_text("b")}, {"tenant", kur_bytes_text("c")}};
    const struct {
        kur_publish_options options;
        const char *says;
    } wrong[] = {
        {KUR_PUBLISH_OPTIONS(.id = ""), ".id"},
        {KUR_PUBLISH_OPTIONS(.id = "a\nb"), ".id"},
        {KUR_PUBLISH_OPTIONS(.source = "\xff"), ".source"},
        {KUR_PUBLISH_OPTIONS(.subject = "\x7f"), ".subject"},
        {KUR_PUBLISH_OPTIONS(.data_schema = ""), ".data_schema"},
        {KUR_PUBLISH_OPTIONS(.correlation_id = ""), ".correlation_id"},
        {KUR_PUBLISH_OPTIONS(.causation_id = "\x01"), ".causation_id"},
        {KUR_PUBLISH_OPTIONS(.content_type = ""), ".content_type"},
        {KUR_PUBLISH_OPTIONS(.time_us = INT64_MAX), ".time_us"},
        {KUR_PUBLISH_OPTIONS(.traceparent = "00-x"), ".traceparent"},
        {KUR_PUBLISH_OPTIONS(.tracestate = "a=b"), ".tracestate"},
        {KUR_PUBLISH_OPTIONS(.baggage = "\xc3\xa9"), ".baggage"},
        {KUR_PUBLISH_OPTIONS(.mode = (kur_event_mode)9), ".mode"},
        {KUR_PUBLISH_OPTIONS(.extension_count = 1), "extensions"},
        {KUR_PUBLISH_OPTIONS(.extensions = &bad_name, .extension_count = 1), "extension's name"},
        {KUR_PUBLISH_OPTIONS(.extensions = &own, .extension_count = 1), "extension id"},
        {KUR_PUBLISH_OPTIONS(.extensions = &bad_value, .extension_count = 1), "extension tenant"},
        {KUR_PUBLISH_OPTIONS(.headers = &ce, .header_count = 1), "ce_x"},
        {KUR_PUBLISH_OPTIONS(.headers = &nameless, .header_count = 1), "header's name"},
        {KUR_PUBLISH_OPTIONS(.headers = &no_text, .header_count = 1), "header's name is not UTF-8"},
        {KUR_PUBLISH_OPTIONS(.headers = &no_data, .header_count = 1), "header hollow"},
        {KUR_PUBLISH_OPTIONS(.header_count = 1), "headers"},
        {KUR_PUBLISH_OPTIONS(.extensions = &no_value, .extension_count = 1), "extension tenant"},
        {KUR_PUBLISH_OPTIONS(.extensions = twice, .extension_count = 3), "extension tenant is there twice"},
        {KUR_PUBLISH_OPTIONS(.content_type = "Application/CloudEvents+json"), ".content_type"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kur_event_view view;
        kur_error error;
        ck_status(write_and_read(wrong[i].options, "{}", &view, &error), KUR_ERROR_INVALID_ARGUMENT, error);
        ck_says(error, wrong[i].says);
    }
    kur_event_view view;
    kur_error error;
    ck_status(write_and_read(KUR_PUBLISH_OPTIONS(.mode = KUR_EVENT_STRUCTURED), "{no json", &view, &error),
              KUR_ERROR_SYNTAX, error);
}
END_TEST

/* What is written can be read: the event around the data counts as well. */
START_TEST(test_envelope__structured_is_written_within_the_caps)
{
    kur_event_view view;
    kur_error error;
    const kur_publish_options options = KUR_PUBLISH_OPTIONS(.mode = KUR_EVENT_STRUCTURED);
    char nested[2 * KUR_DEPTH_MAX + 1] = "";
    memset(nested, '[', KUR_DEPTH_MAX - 1);
    memset(nested + KUR_DEPTH_MAX - 1, ']', KUR_DEPTH_MAX - 1);
    ck_ok(write_and_read(options, nested, &view, &error), error);
    ck_assert(kur_bytes_equal(view.data, kur_bytes_text(nested)));
    memset(nested, '[', KUR_DEPTH_MAX);
    memset(nested + KUR_DEPTH_MAX, ']', KUR_DEPTH_MAX);
    ck_status(write_and_read(options, nested, &view, &error), KUR_ERROR_TOO_LARGE, error);
    ck_says(error, "nests deeper");

    char *large = calloc(1, KUR_JSON_SIZE_MAX + 1);
    memset(large, ' ', KUR_JSON_SIZE_MAX);
    large[0] = '7';
    ck_status(write_and_read(options, large, &view, &error), KUR_ERROR_TOO_LARGE, error);
    ck_says(error, "KUR_EVENT_BINARY");
    large[KUR_JSON_SIZE_MAX - 1000] = '\0';
    ck_ok(write_and_read(options, large, &view, &error), error);
    ck_assert(kur_bytes_equal(view.data, kur_bytes_text("7")));
    free(large);
}
END_TEST

START_TEST(test_envelope__decodes_by_content_type)
{
    static const char json[] =
        "{\"order_id\":\"o\",\"placed_at\":\"2026-01-01T00:00:00Z\",\"lines\":[{\"sku\":\"a\"}]}";
    kur_error error = {0};
    struct order_created order;
    static const char *const read[] = {NULL, "application/json", "application/json; charset=utf-8", "text/json",
                                       "application/vnd.shop+json"};
    for (size_t i = 0; i < sizeof read / sizeof *read; i++) {
        kur_event_view view = KUR_EVENT_VIEW(.data = kur_bytes_text(json), .content_type = read[i]);
        ck_ok(order_created_read(&view, arena, &order, &error), error);
        ck_assert_str_eq(order.order_id, "o");
    }
    kur_event_view view = KUR_EVENT_VIEW(.data = kur_bytes_text(json), .content_type = "application/protobuf");
    ck_status(order_created_read(&view, arena, &order, &error), KUR_ERROR_UNSUPPORTED, error);
    ck_says(error, "application/protobuf");
    view = KUR_EVENT_VIEW();
    ck_status(order_created_read(&view, arena, &order, &error), KUR_ERROR_MISMATCH, error);
    for (int i = 0; i < 4; i++) {
        static const char *const messages[] = {"view is NULL", "type is NULL", "arena is NULL", "event is NULL"};
        error = (kur_error){0};
        ck_status(kur_event_decode(i == 0 ? NULL : &view, i == 1 ? NULL : &order_created_type, i == 2 ? NULL : arena,
                                   i == 3 ? NULL : &order, &error),
                  KUR_ERROR_INVALID_ARGUMENT, error);
        ck_assert_str_eq(error.message, messages[i]);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_envelope__binary,
                                  test_envelope__names_without_case_and_the_last_counts,
                                  test_envelope__what_is_missing_or_wrong_is_named,
                                  test_envelope__plain_records_are_events_too,
                                  test_envelope__traces_that_are_not_valid_are_not_there,
                                  test_envelope__structured,
                                  test_envelope__structured_and_wrong,
                                  test_envelope__defaults,
                                  test_envelope__the_parent_gives_what_is_not_said,
                                  test_envelope__wrong_options_are_named,
                                  test_envelope__structured_is_written_within_the_caps,
                                  test_envelope__decodes_by_content_type,
                                  NULL};
    arena = kur_arena_new();
    int status = check_main("envelope", tests);
    kur_arena_free(arena);
    return status;
}
