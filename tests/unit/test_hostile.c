/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The largest and the oddest that can be on the wire: read or refused with a reason, in time and memory that the
 * input's size bounds. The bound is far above what a linear reader takes and far below what a
 * quadratic one would.
 */
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../counting.h"
#include "../hostile.h"
#include "../shop.h"
#include "event/envelope.h"

#define NUMBERS(F, S)                                                                                                  \
    F(S, LIST(INT64), whole, .default_text = "[]")                                                                     \
    F(S, LIST(DOUBLE), real, .default_text = "[]")                                                                     \
    F(S, LIST(RECORD(numbers)), inner, .default_text = "[]")                                                           \
    F(S, MAP(INT32), map, .default_text = "{}")                                                                        \
    F(S, STRING, text, .default_text = "")                                                                             \
    F(S, OPTIONAL(BYTES), raw)                                                                                         \
    F(S, INT32, small, .default_text = "0")                                                                            \
    F(S, DECIMAL(18, 4), money, .default_text = "0")                                                                   \
    F(S, TIMESTAMP, at, .default_text = "2026-01-01T00:00:00Z")                                                        \
    F(S, OPTIONAL(UUID), id)
KUR_RECORD(numbers, NUMBERS);
KUR_RECORD_DEFINE(numbers, NUMBERS);

#define STRICT(F, S) F(S, INT32, known, .default_text = "0")
KUR_RECORD(strict, STRICT);
KUR_RECORD_DEFINE(strict, STRICT, .unknown_fields = KUR_UNKNOWN_FIELDS_REFUSE);

/* ---- Counting ---- */

enum {
    LARGEST = KUR_JSON_SIZE_MAX,
    /* For a megabyte of JSON: jansson's tree, which is largest for empty objects, and at most 32 MiB of structs. */
    PEAK_MAX = 128 * 1024 * 1024
};

static kur_arena *arena;
static double slowest_ms;
static size_t largest;

static void begin(void)
{
    kur_arena_free(arena);
    arena = kur_arena_new();
    count_begin();
}

/* 2 µs a byte and 50 ms: a sanitizer's build on a slow machine takes a tenth of that. */
static void end(const char *what, size_t size)
{
    double ms = count_ms();
    slowest_ms = ms > slowest_ms ? ms : slowest_ms;
    largest = peak - floor_size > largest ? peak - floor_size : largest;
    ck_assert_msg(peak - floor_size <= PEAK_MAX, "%s: %zu bytes of memory", what, peak - floor_size);
    ck_assert_msg(ms < 50 + (double)size * 0.002, "%s: %.1f ms for %zu bytes", what, ms, size);
}

static void says_why(const char *what, kur_status status, const kur_error *error)
{
    ck_assert_msg(status != KUR_OK, "%s is taken", what);
    ck_assert_int_eq(error->code, status);
    ck_assert(error->message[0] != '\0' && strchr(error->message, '\n') == NULL);
    ck_assert(strlen(error->message) < sizeof error->message);
    ck_assert(kur_bytes_is_utf8(kur_bytes_text(error->message)));
}

/* ---- JSON ---- */

static kur_status read_json(const char *what, const kur_type *type, kur_bytes json, void *record, kur_error *error)
{
    char *copy = malloc(json.size); /* without a NUL behind it */
    memcpy(copy, json.data, json.size);
    *error = (kur_error){0};
    begin();
    kur_status status = kur_json_read(type, kur_bytes_of(copy, json.size), arena, record, error);
    end(what, json.size);
    free(copy);
    if (status != KUR_OK)
        says_why(what, status, error);
    return status;
}

START_TEST(test_hostile__json_a_megabyte_of)
{
    static const struct {
        const char *what, *before, *part, *after;
        kur_status expected;
    } cases[] = {
        {"integers", "{\"whole\":[", "1,", "]}", KUR_OK},
        {"doubles", "{\"real\":[", "1e9,", "]}", KUR_OK},
        {"records", "{\"inner\":[", "{},", "]}", KUR_ERROR_TOO_LARGE},
        {"map entries", "{\"map\":{", "\"#\":1,", "}}", KUR_OK},
        {"a text", "{\"text\":\"", "x", "\"}", KUR_OK},
        {"escapes", "{\"text\":\"", "\\u00e9", "\"}", KUR_OK},
        {"surrogate pairs", "{\"text\":\"", "\\ud83d\\ude00", "\"}", KUR_OK},
        {"base64", "{\"raw\":\"", "AAAA", "\"}", KUR_OK},
        {"base64 that ends in the middle", "{\"raw\":\"", "AAAA", "A\"}", KUR_ERROR_MISMATCH},
        {"unknown members", "{", "\"x#\":1,", "}", KUR_OK},
        {"unknown records", "{\"x\":[", "{},", "]}", KUR_OK},
        {"unknown lists", "{\"x\":[", "[],", "]}", KUR_OK},
        {"white space", "{", " \n\t\r", "}", KUR_OK},
        {"opening brackets", "{\"x\":", "[", "}", KUR_ERROR_TOO_LARGE},
        {"opening braces", "", "{\"x\":", "", KUR_ERROR_TOO_LARGE},
        {"closing brackets", "", "]", "", KUR_ERROR_SYNTAX},
        {"opening quotes", "", "\"", "", KUR_ERROR_SYNTAX},
        {"backslashes", "{\"text\":\"", "\\", "", KUR_ERROR_SYNTAX},
        {"commas", "[", ",", "]", KUR_ERROR_SYNTAX},
        {"digits", "{\"small\":", "9", "}", KUR_ERROR_SYNTAX},
        {"digits in a double", "{\"real\":[0.", "3", "]}", KUR_OK},
        {"digits in a decimal", "{\"money\":\"", "9", "\"}", KUR_ERROR_MISMATCH},
        {"zeros in a decimal", "{\"money\":\"0.", "0", "\"}", KUR_ERROR_MISMATCH},
        {"a year", "{\"at\":\"", "2", "-01-01T00:00:00Z\"}", KUR_ERROR_MISMATCH},
        {"a fraction of a second", "{\"at\":\"2026-01-01T00:00:00.", "0", "Z\"}", KUR_OK},
        {"a UUID", "{\"id\":\"", "0", "\"}", KUR_ERROR_MISMATCH},
        {"the same name", "{", "\"x\":1,", "}", KUR_ERROR_SYNTAX},
        {"a name", "{\"", "x", "\":1}", KUR_OK},
        {"the name of a wrong entry", "{\"map\":{\"", "\\u20ac", "\":\"1\"}}", KUR_ERROR_MISMATCH},
        {"bytes that are not UTF-8", "{\"text\":\"", "\xff", "\"}", KUR_ERROR_SYNTAX},
        {"overlong forms", "{\"text\":\"", "\xc0\x80", "\"}", KUR_ERROR_SYNTAX},
        {"surrogates in UTF-8", "{\"text\":\"", "\xed\xa0\x80", "\"}", KUR_ERROR_SYNTAX},
        {"lone surrogates", "{\"text\":\"", "\\ud800", "\"}", KUR_ERROR_SYNTAX},
        {"escaped NULs", "{\"text\":\"", "\\u0000", "\"}", KUR_ERROR_SYNTAX},
        {"escaped NULs in a name", "{\"", "\\u0000", "\":1}", KUR_ERROR_SYNTAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct numbers numbers = {0}, untouched = {0};
        kur_error error;
        kur_bytes json = many(cases[i].before, cases[i].part, cases[i].after, LARGEST);
        ck_assert(json.size <= LARGEST && json.size + 64 > LARGEST);
        kur_status status = read_json(cases[i].what, &numbers_type, json, &numbers, &error);
        ck_assert_msg(status == cases[i].expected, "%s: %s (%s)", cases[i].what, kur_status_name(status),
                      error.message);
        if (status != KUR_OK)
            ck_assert_mem_eq(&numbers, &untouched, sizeof numbers);
    }
}
END_TEST

/* Beyond the megabyte nothing is looked at, and nothing taken. */
START_TEST(test_hostile__json_a_million_elements)
{
    struct numbers numbers;
    kur_error error;
    kur_bytes json = many("{\"whole\":[", "1,", "]}", 2 * 1000 * 1000 + 20);
    ck_status(read_json("a million integers", &numbers_type, json, &numbers, &error), KUR_ERROR_TOO_LARGE, error);
    ck_says(error, "at most 1048576 are read");
    ck_assert_uint_eq(taken, 0);

    json = many("{\"whole\":[", "1,", "]}", LARGEST);
    ck_ok(read_json("half a million integers", &numbers_type, json, &numbers, &error), error);
    ck_assert_uint_gt(numbers.whole.count, 524000);
    json = many("{\"inner\":[", "{},", "]}", LARGEST);
    ck_status(read_json("structs", &numbers_type, json, &numbers, &error), KUR_ERROR_TOO_LARGE, error);
    ck_assert_str_eq(error.message, "inner: would take more than 32 MiB of memory");
}
END_TEST

START_TEST(test_hostile__json_depth)
{
    kur_error error;
    struct numbers numbers;
    for (int depth = 31; depth <= 34; depth++) {
        kur_buffer json = {0};
        for (int i = 0; i < depth - 1; i++) /* a record and a list are two */
            kur_buffer_append(&json, "{\"inner\":[", 10);
        kur_buffer_append(&json, "{}", 2);
        for (int i = 0; i < depth - 1; i++)
            kur_buffer_append(&json, "]}", 2);
        kur_status status =
            read_json("records in records", &numbers_type, kur_bytes_of(json.data, json.size), &numbers, &error);
        ck_assert_msg(status == (2 * depth - 1 <= KUR_DEPTH_MAX ? KUR_OK : KUR_ERROR_TOO_LARGE), "%d: %s", depth,
                      error.message);
        kur_buffer_done(&json);
    }
    /* Brackets in texts are no depth. */
    ck_ok(read_json("brackets in a text", &numbers_type, many("{\"text\":\"", "[\\\"{", "\"}", LARGEST), &numbers,
                    &error),
          error);
    ck_status(
        read_json("depth where nobody looks", &numbers_type, many("{\"ignored\":", "[", "", 1000), &numbers, &error),
        KUR_ERROR_TOO_LARGE, error);
    ck_assert_str_eq(error.message, "the JSON nests deeper than 64");
}
END_TEST

START_TEST(test_hostile__json_numbers)
{
    static const struct {
        const char *json;
        kur_status expected;
        const char *says;
    } cases[] = {
        {"{\"small\":2147483648}", KUR_ERROR_MISMATCH, "small: is out of range"},
        {"{\"whole\":[9223372036854775807]}", KUR_OK, NULL},
        {"{\"whole\":[9223372036854775808]}", KUR_ERROR_SYNTAX, "too big integer"},
        {"{\"whole\":[-9223372036854775809]}", KUR_ERROR_SYNTAX, "too big negative integer"},
        {"{\"whole\":[1.0]}", KUR_ERROR_MISMATCH, "whole[0]: expected integer"},
        {"{\"whole\":[1e3]}", KUR_ERROR_MISMATCH, "whole[0]: expected integer"},
        {"{\"real\":[1e308]}", KUR_OK, NULL},
        {"{\"real\":[1e309]}", KUR_ERROR_SYNTAX, "real number overflow"},
        {"{\"real\":[-1e999999999999999999999]}", KUR_ERROR_SYNTAX, "real number overflow"},
        {"{\"real\":[1e-999999999999999999999]}", KUR_OK, NULL},
        {"{\"real\":[NaN]}", KUR_ERROR_SYNTAX, "not JSON"},
        {"{\"real\":[Infinity]}", KUR_ERROR_SYNTAX, "not JSON"},
        {"{\"real\":[+1]}", KUR_ERROR_SYNTAX, "not JSON"},
        {"{\"real\":[01]}", KUR_ERROR_SYNTAX, "not JSON"},
        {"{\"real\":[0x10]}", KUR_ERROR_SYNTAX, "not JSON"},
        {"{\"real\":[1.]}", KUR_ERROR_SYNTAX, "not JSON"},
        {"{\"real\":[.5]}", KUR_ERROR_SYNTAX, "not JSON"},
        {"{\"real\":[-]}", KUR_ERROR_SYNTAX, "not JSON"},
        {"{\"money\":\"1e3\"}", KUR_ERROR_MISMATCH, "money: "},
        {"{\"money\":\"99999999999999.9999\"}", KUR_OK, NULL},
        {"{\"money\":\"100000000000000\"}", KUR_ERROR_MISMATCH, "money: "},
        {"{\"money\":\"9223372036854775808\"}", KUR_ERROR_MISMATCH, "money: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct numbers numbers;
        kur_error error;
        kur_status status = read_json(cases[i].json, &numbers_type, kur_bytes_text(cases[i].json), &numbers, &error);
        ck_assert_msg(status == cases[i].expected, "%s: %s (%s)", cases[i].json, kur_status_name(status),
                      error.message);
        if (status != KUR_OK)
            ck_says(error, cases[i].says);
    }
}
END_TEST

/* NULs anywhere, and a value cut off at each of its bytes: refused, never read past. */
START_TEST(test_hostile__json_cut_and_nul)
{
    static const char json[] = "{\"whole\":[1,-2],\"text\":\"\\u00e9\xc3\xa9\",\"map\":{\"a\":1},\"raw\":\"AAA=\"}";
    struct numbers numbers;
    kur_error error;
    for (size_t size = 0; size < sizeof json - 1; size++) {
        ck_status(read_json("a piece", &numbers_type, kur_bytes_of(json, size), &numbers, &error), KUR_ERROR_SYNTAX,
                  error);
        char with_nul[sizeof json];
        memcpy(with_nul, json, sizeof json);
        with_nul[size] = '\0';
        ck_assert_int_ne(read_json("a NUL", &numbers_type, kur_bytes_of(with_nul, sizeof json - 1), &numbers, &error),
                         KUR_OK);
    }
    ck_ok(read_json("the whole", &numbers_type, kur_bytes_text(json), &numbers, &error), error);
    ck_status(read_json("a NUL behind it", &numbers_type, kur_bytes_of(json, sizeof json), &numbers, &error),
              KUR_ERROR_SYNTAX, error);
}
END_TEST

/* The name of an unknown field is said, and it is the sender's: cut, one line, UTF-8. */
START_TEST(test_hostile__json_unknown_names_are_cut)
{
    struct strict strict;
    kur_error error;
    ck_status(read_json("a long name", &strict_type, many("{\"", "\\u20ac\\n", "\":1}", LARGEST), &strict, &error),
              KUR_ERROR_MISMATCH, error);
    ck_says(error, "is not a field of strict");
    ck_status(read_json("many names", &strict_type, many("{\"known\":1,", "\"x#\":1,", "}", LARGEST), &strict, &error),
              KUR_ERROR_MISMATCH, error);
    ck_assert_str_eq(error.message, "x0: is not a field of strict");
}
END_TEST

/* ---- Binary mode ---- */

static kur__envelope_reader reader;

static void take_required(void)
{
    kur__envelope_begin(&reader);
    kur__envelope_take(&reader, "ce_specversion", kur_bytes_text("1.0"));
    kur__envelope_take(&reader, "ce_id", kur_bytes_text("i"));
    kur__envelope_take(&reader, "ce_source", kur_bytes_text("/s"));
    kur__envelope_take(&reader, "ce_type", kur_bytes_text("t.v1"));
}

START_TEST(test_hostile__ten_thousand_headers)
{
    enum {
        COUNT = 10000
    };
    static char names[COUNT][40], values[COUNT][16];
    static const char *const forms[] = {"ce_x%d", "ce_id", "x-%d", "Content-Type", "kafka_correlationId", "ce_%d-\xff"};
    size_t size = 0;
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], forms[i % 6], i);
        snprintf(values[i], sizeof values[i], i % 6 == 3 ? "text/plain" : "v%d", i);
        size += strlen(names[i]) + strlen(values[i]);
    }
    kur_error error = {0};
    kur_event_view view = KUR_EVENT_VIEW(.data = kur_bytes_text("{}"));
    begin();
    size_t before = taken;
    take_required();
    for (int i = 0; i < COUNT; i++)
        kur__envelope_take(&reader, names[i], kur_bytes_text(values[i]));
    ck_ok(kur__envelope_finish(&reader, NULL, &view, &error), error);
    ck_assert_uint_eq(taken, before);
    end("10,000 headers", size);
    ck_assert_str_eq(view.id, "v9997");
    ck_assert_str_eq(view.content_type, "text/plain");
    ck_assert_str_eq(view.correlation_id, "v9994");
}
END_TEST

START_TEST(test_hostile__a_header_of_a_megabyte)
{
    static const char *const names[] = {
        "ce_id",          "ce_source",   "ce_type",    "ce_time", "ce_subject",       "ce_dataschema", "content-type",
        "ce_specversion", "traceparent", "tracestate", "baggage", "ce_correlationid", "x-other",       "ce_tenant"};
    static const char *const parts[] = {"x",        "\xc3\xa9", "\xff",        "\x01", "\xed\xa0\x80",
                                        "\xc2\x80", "0",        "application/"};
    for (size_t j = 0; j < sizeof parts / sizeof *parts; j++) {
        kur_bytes value = many("", parts[j], "", LARGEST);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            bool is_text = j < 2 || j >= 6, is_bounded = (i >= 8 && i <= 10) || i == 3 || i == 7;
            kur_error error = {0};
            kur_event_view view = KUR_EVENT_VIEW(.data = kur_bytes_text("{}"));
            take_required();
            begin();
            kur__envelope_take(&reader, names[i], value);
            kur_status status = kur__envelope_finish(&reader, NULL, &view, &error);
            ck_assert_uint_eq(taken, 0);
            end(names[i], value.size);
            if (status != KUR_OK)
                says_why(names[i], status, &error);
            if (i < 8 || i == 11)
                ck_assert_msg((status == KUR_OK) == (is_text && !is_bounded), "%s of %s: %s", names[i], parts[j],
                              error.message);
            else
                ck_assert_msg(status == KUR_OK, "%s: %s", names[i], error.message);
            ck_assert(view.traceparent == NULL && view.tracestate == NULL && view.baggage == NULL);
        }
    }
}
END_TEST

/* ---- Structured mode ---- */

static kur_status read_structured(const char *what, kur_bytes value, kur_event_view *view, kur_error *error)
{
    *error = (kur_error){0};
    *view = KUR_EVENT_VIEW(.data = value);
    kur__envelope_begin(&reader);
    kur__envelope_take(&reader, "content-type", kur_bytes_text("application/cloudevents+json"));
    begin();
    kur_status status = kur__envelope_finish(&reader, arena, view, error);
    end(what, value.size);
    if (status != KUR_OK)
        says_why(what, status, error);
    return status;
}

#define REQUIRED "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t.v1\""

START_TEST(test_hostile__structured_a_megabyte_of)
{
    static const struct {
        const char *what, *before, *part, *after;
        kur_status expected;
    } cases[] = {
        {"extensions", REQUIRED ",", "\"x#\":\"v\",", "}", KUR_OK},
        {"integers", REQUIRED ",\"data\":[", "1,", "]}", KUR_OK},
        {"empty objects", REQUIRED ",\"data\":[", "{},", "]}", KUR_OK},
        {"reals", REQUIRED ",\"data\":[", "1e9,", "]}", KUR_OK},
        {"a text", REQUIRED ",\"data\":\"", "\\u0001", "\"}", KUR_OK},
        {"base64", REQUIRED ",\"data_base64\":\"", "AAAA", "\"}", KUR_OK},
        {"bad base64", REQUIRED ",\"data_base64\":\"", "AA=A", "\"}", KUR_ERROR_NOT_AN_EVENT},
        {"a subject", REQUIRED ",\"subject\":\"", "x", "\"}", KUR_OK},
        {"control characters", REQUIRED ",\"subject\":\"", "\\u0085", "\"}", KUR_ERROR_NOT_AN_EVENT},
        {"a name", REQUIRED ",\"", "x", "\":1}", KUR_OK},
        {"a wrong name", REQUIRED ",\"", "X", "\":1}", KUR_ERROR_NOT_AN_EVENT},
        {"a content type", REQUIRED ",\"data\":1,\"datacontenttype\":\"", "x", "\"}", KUR_OK},
        {"brackets", REQUIRED ",\"data\":", "[", "", KUR_ERROR_TOO_LARGE},
        {"an attribute that is a list", REQUIRED ",\"subject\":[", "1,", "]}", KUR_ERROR_NOT_AN_EVENT},
        {"the same attribute", REQUIRED ",", "\"id\":\"j\",", "}", KUR_ERROR_SYNTAX},
        {"an array of events", "[", REQUIRED "},", "]", KUR_ERROR_NOT_AN_EVENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_event_view view;
        kur_error error;
        struct order_created order;
        kur_bytes value = many(cases[i].before, cases[i].part, cases[i].after, LARGEST);
        kur_status status = read_structured(cases[i].what, value, &view, &error);
        ck_assert_msg(status == cases[i].expected, "%s: %s (%s)", cases[i].what, kur_status_name(status),
                      error.message);
        if (status == KUR_OK)
            says_why(cases[i].what, kur_event_decode(&view, &order_created_type, arena, &order, &error), &error);
    }
}
END_TEST

/* ---- Files ---- */

START_TEST(test_hostile__properties_files)
{
    static const struct {
        const char *what, *before, *part, *after;
        const char *says;
    } cases[] = {
        {"too large a file", "", "# a comment\n", "", NULL},
        {"a long line", "bootstrap.servers=", "a:1,", "", ":1: the line is longer than 8191 bytes"},
        {"NULs", "x=", "a", "\n", NULL},
        {"lines without a name", "", "= 1\n", "", ":1: "},
        {"bytes that are not UTF-8", "", "\xff\n", "", ":1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[] = "/tmp/kurier-hostile-XXXXXX";
        int descriptor = mkstemp(path);
        FILE *file = fdopen(descriptor, "w");
        kur_bytes text = many(cases[i].before, cases[i].part, cases[i].after, i == 0 ? 3 * LARGEST : LARGEST);
        fwrite(text.data, 1, text.size, file);
        fclose(file);
        kur_error error = {0};
        begin();
        kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.properties_file = path), &error);
        end(cases[i].what, text.size);
        remove(path);
        ck_assert_ptr_null(client);
        says_why(cases[i].what, error.code, &error);
        if (cases[i].says != NULL)
            ck_says(error, cases[i].says);
        ck_assert_uint_lt(peak - floor_size, 4 * LARGEST);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_hostile__json_a_megabyte_of,
                                  test_hostile__json_a_million_elements,
                                  test_hostile__json_depth,
                                  test_hostile__json_numbers,
                                  test_hostile__json_cut_and_nul,
                                  test_hostile__json_unknown_names_are_cut,
                                  test_hostile__ten_thousand_headers,
                                  test_hostile__a_header_of_a_megabyte,
                                  test_hostile__structured_a_megabyte_of,
                                  test_hostile__properties_files,
                                  NULL};
    count_memory();
    int result = check_main("hostile", tests);
    kur_buffer_done(&hostile_text);
    printf("# the slowest took %.0f ms, the largest %zu KiB of memory\n", slowest_ms, largest / 1024);
    kur_arena_free(arena);
    return result;
}
