/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"
#include "full_kinds.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/value.h"

/* Lists of lists of its own kind, and of a large record: for the caps. */
#define NEST(F, S) F(S, LIST(LIST(RECORD(nest))), inner, .default_text = "[]")
KUR_RECORD(nest, NEST);
KUR_RECORD_DEFINE(nest, NEST);
#define MANY(F, S) F(S, LIST(RECORD(kinds)), all)
KUR_RECORD(many, MANY);
KUR_RECORD_DEFINE(many, MANY);

/* An enum that knows what it knows. */
#define SIZE(F, S)                                                                                                     \
    F(S, small)                                                                                                        \
    F(S, large, .json = "\"L\"")
KUR_ENUM(size, SIZE);
KUR_ENUM_DEFINE(size, SIZE);
#define SHIRT(F, S)                                                                                                    \
    F(S, ENUM(size), size)                                                                                             \
    F(S, OPTIONAL(FLOAT), width)
KUR_RECORD(shirt, SHIRT);
KUR_RECORD_DEFINE(shirt, SHIRT);

static kur_arena *arena;

static const char full_text[] =
    "{\"text\":\"text\",\"raw\":\"AAEC\",\"yes\":true,\"small\":-5,\"large\":9223372036854775807,\"narrow\":0.1,"
    "\"wide\":0.1,\"at\":\"1970-01-01T00:00:01.500Z\",\"day\":\"1970-02-01\",\"amount\":\"-1.2345\","
    "\"id\":\"abababab-abab-abab-abab-abababababab\",\"shade\":\"dark-green\",\"maybe\":9,\"words\":[\"w0\",\"w1\"],"
    "\"grid\":[[1,2],[3]],\"weights\":{\"a\":0.5,\"b\":-2},\"flags\":{\"x\":[true,false],\"y\":[]},"
    "\"gift\":{\"sku\":\"s\",\"quantity\":1,\"price\":\"0.00\"},\"days\":[\"1970-01-02\",null],\"mark\":\"AAEC/w==\"}";

/* Reads, and looks that a failure says so in the error and leaves the record as it was. */
static kur_status read_bytes(const kur_type *type, const void *json, size_t size, void *record, kur_error *error)
{
    char before[1024];
    ck_assert_uint_le(type->size, sizeof before);
    memset(record, 0x5a, type->size);
    memcpy(before, record, type->size);
    *error = (kur_error){0};
    kur_arena_reset(arena);
    kur_status status = kur_json_read(type, kur_bytes_of(json, size), arena, record, error);
    ck_assert_int_eq(error->code, status);
    if (status != KUR_OK)
        ck_assert_mem_eq(record, before, type->size);
    return status;
}

static kur_status read_text(const kur_type *type, const char *json, void *record, kur_error *error)
{
    return read_bytes(type, json, strlen(json), record, error);
}

/* `full_text` with a member replaced (or taken out, fragment NULL). */
static char *replaced(const char *member, const char *fragment)
{
    json_t *tree = json_loads(full_text, 0, NULL);
    if (fragment == NULL)
        ck_assert_int_eq(json_object_del(tree, member), 0);
    else
        ck_assert_int_eq(json_object_set_new(tree, member, json_loads(fragment, JSON_DECODE_ANY, NULL)), 0);
    char *text = json_dumps(tree, JSON_REAL_PRECISION(17));
    json_decref(tree);
    return text;
}

START_TEST(test_json__writes_every_kind)
{
    static struct full_kinds full;
    kur_buffer json = {0};
    kur_error error = {0};
    full_kinds_fill(&full);
    ck_assert_int_eq(kur_buffer_append(&json, "> ", 2), KUR_OK);
    ck_ok(kinds_to_json(&full.kinds, &json, &error), error);
    ck_assert_str_eq(json.data + 2, full_text);

    /* What is absent is left out. */
    struct shirt shirt = {.size = size_large};
    json.size = 0;
    ck_ok(shirt_to_json(&shirt, &json, &error), error);
    ck_assert_str_eq(json.data, "{\"size\":\"\\\"L\\\"\"}");
    kur_buffer_done(&json);
}
END_TEST

START_TEST(test_json__reads_every_kind)
{
    static struct full_kinds full;
    struct kinds kinds;
    kur_error error;
    full_kinds_fill(&full);
    ck_ok(read_text(&kinds_type, full_text, &kinds, &error), error);
    ck_assert_int_eq(kinds_compare(&kinds, &full.kinds), 0);
    ck_assert_uint_eq(kinds.flags.items[1].value.count, 0);
    ck_assert_str_eq(kinds.grid.count == 2 ? kinds.words.items[1] : "?", "w1");

    /* It owns nothing of the text. */
    char *copy = strdup(full_text);
    ck_ok(read_text(&kinds_type, copy, &kinds, &error), error);
    memset(copy, 'x', strlen(copy));
    free(copy);
    ck_assert_int_eq(kinds_compare(&kinds, &full.kinds), 0);
}
END_TEST

START_TEST(test_json__reads_the_other_forms_that_are_allowed)
{
    static const struct {
        const char *member, *fragment, *printed;
    } cases[] = {
        {"text", "\"\\u00e9\\ud83d\\ude00\\n\\/\"", "text=\"\xc3\xa9\xf0\x9f\x98\x80\\x0a/\""},
        {"raw", "\"\"", "raw=, "},
        {"narrow", "3", "narrow=3,"},
        {"wide", "-2e-3", "wide=-0.002,"},
        {"wide", "9007199254740993", "wide=9007199254740992,"},
        {"at", "\"1970-01-01T02:00:00.1234567+02:00\"", "at=1970-01-01T00:00:00.123456Z"},
        {"amount", "\"7\"", "amount=7.0000,"},
        {"amount", "\"-0.5\"", "amount=-0.5000,"},
        {"amount", "\"99999999999999.9999\"", "amount=99999999999999.9999,"},
        {"id", "\"ABABABAB-abab-ABAB-abab-abababababAB\"", "id=abababab-abab-abab-abab-abababababab,"},
        {"shade", "\"purple\"", "shade=other,"},
        {"shade", "\"dark_green\"", "shade=other,"},
        {"maybe", "null", "maybe=none,"},
        {"maybe", NULL, "maybe=none,"},
        {"gift", "null", "gift=none,"},
        {"gift", "{\"sku\":\"k\"}", "gift=order_line{sku=\"k\", quantity=1, price=0.00}"},
        {"days", "[]", "days=[]"},
        {"mark", "\"////AA==\"", "mark=////AA=="},
        {"mark", NULL, "mark=none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kinds kinds;
        kur_error error;
        kur_buffer printed = {0};
        char *json = replaced(cases[i].member, cases[i].fragment);
        ck_ok(read_text(&kinds_type, json, &kinds, &error), error);
        ck_ok(kinds_print(&kinds, &printed, &error), error);
        ck_assert_msg(strstr(printed.data, cases[i].printed) != NULL, "%s in %s", cases[i].printed, printed.data);
        kur_buffer_done(&printed);
        free(json);
    }
}
END_TEST

START_TEST(test_json__names_what_does_not_fit)
{
    static const struct {
        const char *member, *fragment, *message;
        kur_status status;
    } cases[] = {
        {"text", NULL, "text: is missing", KUR_ERROR_MISMATCH},
        {"text", "5", "text: expected string, found integer", KUR_ERROR_MISMATCH},
        {"text", "null", "text: expected string, found null", KUR_ERROR_MISMATCH},
        {"raw", "\"AAE\"", "raw: expected base64 with padding", KUR_ERROR_MISMATCH},
        {"raw", "\"AAF=\"", "raw: expected base64 with padding", KUR_ERROR_MISMATCH},
        {"raw", "\"AA==\\n\"", "raw: expected base64 with padding", KUR_ERROR_MISMATCH},
        {"raw", "[]", "raw: expected base64 string, found list", KUR_ERROR_MISMATCH},
        {"yes", "1", "yes: expected true or false, found integer", KUR_ERROR_MISMATCH},
        {"yes", "\"true\"", "yes: expected true or false, found string", KUR_ERROR_MISMATCH},
        {"small", "2147483648", "small: is out of range", KUR_ERROR_MISMATCH},
        {"small", "-2147483649", "small: is out of range", KUR_ERROR_MISMATCH},
        {"small", "1.0", "small: expected integer, found number with a fraction or exponent", KUR_ERROR_MISMATCH},
        {"small", "\"5\"", "small: expected integer, found string", KUR_ERROR_MISMATCH},
        {"large", "1e3", "large: expected integer, found number with a fraction or exponent", KUR_ERROR_MISMATCH},
        {"narrow", "3.5e38", "narrow: is out of range", KUR_ERROR_MISMATCH},
        {"narrow", "\"1\"", "narrow: expected number, found string", KUR_ERROR_MISMATCH},
        {"wide", "false", "wide: expected number, found true or false", KUR_ERROR_MISMATCH},
        {"at", "5", "at: expected time such as 2026-01-31T12:00:00Z, found integer", KUR_ERROR_MISMATCH},
        {"at", "\"2026-01-31T12:00:00\"", "at: expected time such as 2026-01-31T12:00:00Z, found another text",
         KUR_ERROR_MISMATCH},
        {"day", "\"2026-02-29\"", "day: expected date such as 2026-01-31, found another text", KUR_ERROR_MISMATCH},
        {"amount", "1.5", "amount: expected decimal in a string, found number with a fraction or exponent",
         KUR_ERROR_MISMATCH},
        {"amount", "\"1.23456\"", "amount: expected a decimal of at most 18 digits, 4 of them behind the point",
         KUR_ERROR_MISMATCH},
        {"amount", "\"100000000000000\"", "amount: expected a decimal of at most 18 digits, 4 of them behind the point",
         KUR_ERROR_MISMATCH},
        {"amount", "\"1e2\"", "amount: expected a decimal of at most 18 digits, 4 of them behind the point",
         KUR_ERROR_MISMATCH},
        {"id", "\"abababab\"", "id: expected UUID, found another text", KUR_ERROR_MISMATCH},
        {"shade", "5", "shade: expected symbol, found integer", KUR_ERROR_MISMATCH},
        {"maybe", "\"x\"", "maybe: expected integer, found string", KUR_ERROR_MISMATCH},
        {"words", "{}", "words: expected list, found object", KUR_ERROR_MISMATCH},
        {"words", "[\"a\",1]", "words[1]: expected string, found integer", KUR_ERROR_MISMATCH},
        {"words", "null", "words: expected list, found null", KUR_ERROR_MISMATCH},
        {"words", NULL, "words: is missing", KUR_ERROR_MISMATCH},
        {"grid", "[[1],[2,\"x\"]]", "grid[1][1]: expected integer, found string", KUR_ERROR_MISMATCH},
        {"weights", "[]", "weights: expected object, found list", KUR_ERROR_MISMATCH},
        {"weights", "{\"a\":null}", "weights[\"a\"]: expected number, found null", KUR_ERROR_MISMATCH},
        {"flags", "{\"x\":[true,0]}", "flags[\"x\"][1]: expected true or false, found integer", KUR_ERROR_MISMATCH},
        {"gift", "[]", "gift: expected object, found list", KUR_ERROR_MISMATCH},
        {"gift", "{}", "gift.sku: is missing", KUR_ERROR_MISMATCH},
        {"gift", "{\"sku\":\"\"}", "gift.sku: must have at least 1 characters, has 0", KUR_ERROR_CONSTRAINT},
        {"gift", "{\"sku\":\"s\",\"quantity\":1000}", "gift.quantity: must be at most 999", KUR_ERROR_CONSTRAINT},
        {"gift", "{\"sku\":\"s\",\"price\":\"-0.01\"}", "gift.price: must be at least 0", KUR_ERROR_CONSTRAINT},
        {"mark", "\"AAEC\"", "mark: expected base64 of 4 bytes", KUR_ERROR_MISMATCH},
        {"mark", "\"AAECAwQ=\"", "mark: expected base64 of 4 bytes", KUR_ERROR_MISMATCH},
        {"mark", "\"AAECAwQF\"", "mark: expected base64 of 4 bytes", KUR_ERROR_MISMATCH},
        {"mark", "\"AAECA===\"", "mark: expected base64 of 4 bytes", KUR_ERROR_MISMATCH},
        {"mark", "\"AAEC!w==\"", "mark: expected base64 of 4 bytes", KUR_ERROR_MISMATCH},
        {"mark", "\"\"", "mark: expected base64 of 4 bytes", KUR_ERROR_MISMATCH},
        {"mark", "4", "mark: expected base64 string, found integer", KUR_ERROR_MISMATCH},
        {"days", "[\"2026-01-01\",5]", "days[1]: expected date such as 2026-01-31, found integer", KUR_ERROR_MISMATCH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kinds kinds;
        kur_error error;
        char *json = replaced(cases[i].member, cases[i].fragment);
        ck_status(read_text(&kinds_type, json, &kinds, &error), cases[i].status, error);
        ck_assert_str_eq(error.message, cases[i].message);
        ck_assert_int_eq(kur_json_read(&kinds_type, kur_bytes_text(json), arena, &kinds, NULL), cases[i].status);
        free(json);
    }
    struct order_created order;
    kur_error error;
    ck_status(read_text(&order_created_type,
                        "{\"order_id\":\"o\",\"placed_at\":\"2026-01-31T12:00:00Z\",\"lines\":[{\"sku\":\"a\"},"
                        "{\"sku\":\"b\"},{\"sku\":\"c\",\"quantity\":\"many\"}]}",
                        &order, &error),
              KUR_ERROR_MISMATCH, error);
    ck_assert_str_eq(error.message, "lines[2].quantity: expected integer, found string");
    ck_status(read_text(&order_created_type, "{\"order_id\":\"o\",\"placed_at\":\"2026-01-31T12:00:00Z\",\"lines\":[]}",
                        &order, &error),
              KUR_ERROR_CONSTRAINT, error);
    ck_assert_str_eq(error.message, "lines: must have at least 1 items, has 0");
    struct shirt shirt;
    ck_ok(read_text(&shirt_type, "{\"size\":\"\\\"L\\\"\"}", &shirt, &error), error);
    ck_assert_int_eq(shirt.size, size_large);
    ck_status(read_text(&shirt_type, "{\"size\":\"large\"}", &shirt, &error), KUR_ERROR_MISMATCH, error);
    ck_assert_str_eq(error.message, "size: is not a symbol of size");
    ck_status(read_text(&shirt_type, "[]", &shirt, &error), KUR_ERROR_MISMATCH, error);
    ck_assert_str_eq(error.message, "expected object, found list");
}
END_TEST

START_TEST(test_json__errors_hold_nothing_of_the_values)
{
    static const char *const members[] = {"text", "raw",     "yes",    "small", "large", "narrow", "wide",
                                          "at",   "day",     "amount", "id",    "shade", "maybe",  "words",
                                          "grid", "weights", "flags",  "gift",  "days",  "mark"};
    static const char *const fragments[] = {"\"hunter2\"",           "[\"hunter2\"]",
                                            "[[\"hunter2\"]]",       "{\"k\":\"hunter2\"}",
                                            "{\"k\":[\"hunter2\"]}", "{\"sku\":\"hunter2-hunter2\"}"};
    static const char *const broken[] = {"hunter2",
                                         "{\"text\":hunter2}",
                                         "{\"text\":\"hunter2\\q\"}",
                                         "\"hunter2",
                                         "{\"text\":\"hunter2\"} hunter2",
                                         "{\"text\":\"hunter2\",\"text\":\"hunter2\"}",
                                         "{\"text\":\"hunter2\" \"hunter2\"}",
                                         "[\"hunter2\",]",
                                         "\"hunter2\xff\"",
                                         "\"hunter2\n\"",
                                         "\"hunter2\\u0000\"",
                                         "\"hunter2\\ud800\""};
    struct kinds kinds;
    kur_error error;
    int failed = 0;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        for (size_t j = 0; j < sizeof fragments / sizeof *fragments; j++) {
            char *json = replaced(members[i], fragments[j]);
            failed += read_text(&kinds_type, json, &kinds, &error) != KUR_OK;
            ck_assert_msg(strstr(error.message, "hunter2") == NULL, "%s", error.message);
            free(json);
        }
    ck_assert_int_gt(failed, 100);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        ck_status(read_text(&kinds_type, broken[i], &kinds, &error), KUR_ERROR_SYNTAX, error);
        ck_assert_msg(strstr(error.message, "hunter2") == NULL, "%s", error.message);
        ck_says(error, "not JSON: line 1, column ");
    }
}
END_TEST

START_TEST(test_json__refuses_what_is_not_json)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "}",
                                      "nul",
                                      "{\"value\":01}",
                                      "{\"value\":+1}",
                                      "{\"value\":.5}",
                                      "{\"value\":1.}",
                                      "{\"value\":NaN}",
                                      "{\"value\":Infinity}",
                                      "{\"value\":-}",
                                      "{\"value\":0x10}",
                                      "{'value':1}",
                                      "{value:1}",
                                      "{\"value\":1,}",
                                      "{\"value\":1}{}",
                                      "{\"value\":1} x",
                                      "// c\n{\"value\":1}",
                                      "\xef\xbb\xbf{\"value\":1}",
                                      "{\"value\":9223372036854775808}",
                                      "{\"value\":1e999}",
                                      "{\"value\":1,\"x\":\"\xc0\x80\"}",
                                      "{\"value\":1,\"x\":\"\xed\xa0\x80\"}",
                                      "{\"value\":1,\"x\":\"\t\"}",
                                      "{\"value\":1,\"x\\u0000\":1}",
                                      "{\"value\":1,\"value\":1}",
                                      "{\"value\":1,\"x\":{\"a\":1,\"a\":2}}",
                                      "{\"value\":1,\"v\\u0061lue\":1}"};
    struct tree tree;
    kur_error error;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kur_status status = read_text(&tree_type, bad[i], &tree, &error);
        ck_assert_msg(status == KUR_ERROR_SYNTAX, "%zu: %s %s", i, kur_status_name(status), error.message);
        ck_says(error, "not JSON: line ");
    }
    ck_status(read_bytes(&tree_type, "{\"value\":1}\0", 12, &tree, &error), KUR_ERROR_SYNTAX, error);
    ck_status(read_text(&tree_type, "{\n \"value\":\n  x}", &tree, &error), KUR_ERROR_SYNTAX, error);
    ck_says(error, "line 3, column 3");
    ck_ok(read_text(&tree_type, "\r\n\t {\"value\":1} \n", &tree, &error), error);
}
END_TEST

START_TEST(test_json__unknown_fields_and_names)
{
    struct tree tree;
    struct settings settings;
    kur_error error;
    ck_ok(read_text(&tree_type, "{\"new\":{\"value\":\"x\"},\"value\":3,\"Value\":4}", &tree, &error), error);
    ck_assert_int_eq(tree.value, 3);
    ck_assert_uint_eq(tree.children.count, 0);

    ck_ok(read_text(&settings_type, "{}", &settings, &error), error);
    struct settings defaults;
    settings_init(&defaults);
    ck_assert_int_eq(settings_compare(&settings, &defaults), 0);
    ck_ok(read_text(&settings_type, "{\"displayName\":\"d\",\"isOn\":false,\"shareOfAll\":1,\"tags\":[\"t\"]}",
                    &settings, &error),
          error);
    ck_assert_str_eq(settings.display_name, "d");
    ck_assert(!settings.is_on);
    ck_assert_str_eq(settings.all_tags.items[0], "t");
    static const char *const refused[] = {"{\"display_name\":\"d\"}", "{\"allTags\":[]}", "{\"isOn\":true,\"x\":null}"};
    static const char *const messages[] = {"display_name: is not a field of settings",
                                           "allTags: is not a field of settings", "x: is not a field of settings"};
    for (size_t i = 0; i < 3; i++) {
        ck_status(read_text(&settings_type, refused[i], &settings, &error), KUR_ERROR_MISMATCH, error);
        ck_assert_str_eq(error.message, messages[i]);
    }
    ck_status(read_text(&settings_type, "{\"shareOfAll\":1.5}", &settings, &error), KUR_ERROR_CONSTRAINT, error);
    ck_assert_str_eq(error.message, "share_of_all: must be at most 1");

    kur_buffer json = {0};
    ck_ok(settings_to_json(&defaults, &json, &error), error);
    ck_assert_str_eq(json.data, "{\"displayName\":\"none \\\"yet\\\"\",\"isOn\":true,\"shareOfAll\":0.5,"
                                "\"firstDay\":\"2026-01-31\",\"shade\":\"dark-green\",\"tags\":[],"
                                "\"serialNumber\":-9223372036854775808}");
    ck_ok(read_text(&settings_type, json.data, &settings, &error), error);
    ck_assert_int_eq(settings_compare(&settings, &defaults), 0);
    kur_buffer_done(&json);
}
END_TEST

/* ---- Numbers ---- */

/* Digits that count: without sign, point, exponent, and zeros at both ends. */
static int significant_digits(const char *text)
{
    char digits[64];
    int used = 0;
    for (; *text != '\0' && *text != 'e'; text++)
        if (*text >= '0' && *text <= '9' && (used > 0 || *text != '0'))
            digits[used++] = *text;
    while (used > 0 && digits[used - 1] == '0')
        used--;
    return used;
}

/* Through JSON and back to the same bits, with no text of fewer digits that would do. */
static void number_goes_round(double wide, float narrow)
{
    static struct full_kinds full;
    struct kinds kinds;
    kur_buffer json = {0}, text = {0};
    kur_error error = {0};
    char fewer[64];
    full_kinds_fill(&full);
    full.kinds.wide = wide;
    full.kinds.narrow = narrow;
    ck_ok(kinds_to_json(&full.kinds, &json, &error), error);
    ck_ok(read_text(&kinds_type, json.data, &kinds, &error), error);
    ck_assert_mem_eq(&kinds.wide, &wide, sizeof wide);
    ck_assert_mem_eq(&kinds.narrow, &narrow, sizeof narrow);

    ck_assert_int_eq(kur__double_format(wide, false, &text), KUR_OK);
    snprintf(fewer, sizeof fewer, "%.*e", significant_digits(text.data) - 2, wide);
    ck_assert_msg(significant_digits(text.data) < 2 || strtod(fewer, NULL) != wide, "%s for %s", text.data, fewer);
    text.size = 0;
    ck_assert_int_eq(kur__double_format((double)narrow, true, &text), KUR_OK);
    snprintf(fewer, sizeof fewer, "%.*e", significant_digits(text.data) - 2, (double)narrow);
    ck_assert_msg(significant_digits(text.data) < 2 || strtof(fewer, NULL) != narrow, "%s for %s", text.data, fewer);
    kur_buffer_done(&text);
    kur_buffer_done(&json);
}

START_TEST(test_json__reals_are_short_and_exact)
{
    static const struct {
        double number;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0, "-0.0"},
                 {0.1, "0.1"},
                 {100, "100"},
                 {1e15, "1e+15"},
                 {1e23, "1e+23"},
                 {-2.5e-7, "-2.5e-07"},
                 {5e-324, "5e-324"},
                 {DBL_MAX, "1.7976931348623157e+308"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {9007199254740991.0, "9007199254740991"},
                 {1.0 / 3, "0.3333333333333333"}};
    kur_buffer text = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text.size = 0;
        ck_assert_int_eq(kur__double_format(cases[i].number, false, &text), KUR_OK);
        ck_assert_str_eq(text.data, cases[i].text);
    }
    text.size = 0;
    ck_assert_int_eq(kur__double_format((double)16777216.0f, true, &text), KUR_OK);
    ck_assert_str_eq(text.data, "16777216");
    kur_buffer_done(&text);

    const double wide[] = {0,
                           -0.0,
                           1,
                           -1,
                           0.1,
                           DBL_MIN,
                           DBL_MAX,
                           -DBL_MAX,
                           DBL_EPSILON,
                           5e-324,
                           2.2250738585072009e-308,
                           9007199254740993.0,
                           1e16,
                           1e17,
                           123456789012345678.0,
                           9.2233720368547758e18,
                           1e22,
                           1e-7};
    const float narrow[] = {
        0,        -0.0f,          1,           -1,          0.1f,  FLT_MIN,      FLT_MAX, -FLT_MAX, FLT_EPSILON,
        1.4e-45f, 1.1754942e-38f, 16777216.0f, 33554434.0f, 1e10f, 8.5899346e9f, 3.4e38f, 0.3f,     1e-7f};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        number_goes_round(wide[i], narrow[i]);
}
END_TEST

START_TEST(test_json__integers_are_exact)
{
    static const int64_t numbers[] = {0,
                                      -1,
                                      INT64_MAX,
                                      INT64_MIN,
                                      INT64_C(9007199254740993),
                                      INT64_C(-9007199254740993),
                                      INT64_MAX - 1,
                                      INT64_C(1000000000000000000)};
    static struct full_kinds full;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct kinds kinds;
        kur_buffer json = {0};
        kur_error error = {0};
        char wanted[64];
        full_kinds_fill(&full);
        full.kinds.large = numbers[i];
        full.kinds.small = i % 2 == 0 ? INT32_MAX : INT32_MIN;
        ck_ok(kinds_to_json(&full.kinds, &json, &error), error);
        snprintf(wanted, sizeof wanted, "\"small\":%d,\"large\":%lld,", full.kinds.small, (long long)numbers[i]);
        ck_assert_ptr_nonnull(strstr(json.data, wanted));
        ck_ok(read_text(&kinds_type, json.data, &kinds, &error), error);
        ck_assert(kinds.large == numbers[i] && kinds.small == full.kinds.small);
        kur_buffer_done(&json);
    }
}
END_TEST

/* ---- Caps ---- */

START_TEST(test_json__reads_64_levels_and_no_more)
{
    struct tree tree;
    kur_error error;
    char text[300];
    for (int levels = KUR_DEPTH_MAX - 2; levels <= KUR_DEPTH_MAX + 1; levels++) {
        char *end = text + sprintf(text, "{\"value\":1,\"\\\"[\\\\\":");
        memset(end, '[', (size_t)levels - 1);
        memset(end + levels - 1, ']', (size_t)levels - 1);
        strcpy(end + 2 * (levels - 1), "}");
        ck_status(read_text(&tree_type, text, &tree, &error), levels <= KUR_DEPTH_MAX ? KUR_OK : KUR_ERROR_TOO_LARGE,
                  error);
    }
    ck_assert_str_eq(error.message, "the JSON nests deeper than 64");
    /* Brackets in strings and those side by side are no levels. */
    char *end = text + sprintf(text, "{\"value\":1,\"x\":[\"\\\"");
    memset(end, '[', 100);
    strcpy(end + 100, "\",[],{},[],{}]}");
    ck_ok(read_text(&tree_type, text, &tree, &error), error);
}
END_TEST

/* Whatever is written can be read: containers count the same on both sides. */
START_TEST(test_json__writes_no_deeper_than_it_reads)
{
    enum {
        LEVELS = 24
    };
    static struct nest nests[LEVELS];
    static __typeof__(*((struct nest *)0)->inner.items) lists[LEVELS];
    int written = 0, refused = 0;
    for (int levels = 1; levels <= LEVELS; levels++)
        for (int tail = 0; tail < 2; tail++) {
            struct nest again;
            kur_buffer json = {0};
            kur_error error = {0};
            memset(nests, 0, sizeof nests);
            memset(lists, 0, sizeof lists);
            for (int i = 0; i < levels; i++) {
                bool last = i + 1 == levels;
                lists[i].items = last ? NULL : &nests[i + 1];
                lists[i].count = !last;
                nests[i].inner.items = &lists[i];
                nests[i].inner.count = !last || tail == 1;
            }
            kur_status status = nest_to_json(&nests[0], &json, &error);
            ck_assert_int_eq(nest_validate(&nests[0], NULL), status);
            written += status == KUR_OK;
            refused += status == KUR_ERROR_TOO_LARGE;
            if (status == KUR_OK)
                ck_ok(read_text(&nest_type, json.data, &again, &error), error);
            else
                ck_says(error, ": nests deeper than 64");
            kur_buffer_done(&json);
        }
    ck_assert_int_eq(written + refused, 2 * LEVELS);
    ck_assert_int_eq(written, 42);
}
END_TEST

START_TEST(test_json__reads_a_mebibyte_and_no_more)
{
    struct tree tree;
    kur_error error;
    char *text = malloc(KUR_JSON_SIZE_MAX + 1);
    memset(text, ' ', KUR_JSON_SIZE_MAX + 1);
    memcpy(text, "{\"value\":1}", 11);
    ck_ok(read_bytes(&tree_type, text, KUR_JSON_SIZE_MAX, &tree, &error), error);
    ck_status(read_bytes(&tree_type, text, KUR_JSON_SIZE_MAX + 1, &tree, &error), KUR_ERROR_TOO_LARGE, error);
    ck_says(error, "1048577");

    /* Few bytes that would become many. */
    size_t used = (size_t)sprintf(text, "{\"all\":[{}");
    while (used + 4 < KUR_JSON_SIZE_MAX) {
        memcpy(text + used, ",{}", 3);
        used += 3;
    }
    memcpy(text + used, "]}", 2);
    struct many many;
    ck_status(read_bytes(&many_type, text, used + 2, &many, &error), KUR_ERROR_TOO_LARGE, error);
    ck_assert_str_eq(error.message, "all: would take more than 32 MiB of memory");
    free(text);
}
END_TEST

/* ---- Writing what cannot be ---- */

#define CANNOT(change, status, text)                                                                                   \
    do {                                                                                                               \
        kur_error error_ = {0};                                                                                        \
        full_kinds_fill(&full);                                                                                        \
        change;                                                                                                        \
        ck_status(kinds_to_json(&full.kinds, &json, &error_), status, error_);                                         \
        ck_assert_str_eq(error_.message, text);                                                                        \
        ck_assert_int_eq(error_.code, status);                                                                         \
        ck_assert_uint_eq(json.size, 4);                                                                               \
        ck_assert_str_eq(json.data, "kept");                                                                           \
    } while (0)

START_TEST(test_json__failed_writing_leaves_the_buffer)
{
    static struct full_kinds full;
    kur_buffer json = {0};
    ck_assert_int_eq(kur_buffer_append(&json, "kept", 4), KUR_OK);
    CANNOT(full.kinds.text = NULL, KUR_ERROR_MISMATCH, "text: is NULL");
    CANNOT(full.kinds.wide = NAN, KUR_ERROR_MISMATCH, "wide: is not a finite number");
    CANNOT(full.kinds.narrow = INFINITY, KUR_ERROR_MISMATCH, "narrow: is not a finite number");
    CANNOT(full.kinds.at = INT64_MIN, KUR_ERROR_MISMATCH, "at: the year is outside 0001 to 9999");
    CANNOT(full.kinds.shade = colour_unset, KUR_ERROR_MISMATCH, "shade: is unset");
    CANNOT(full.words[1] = "a\xff", KUR_ERROR_MISMATCH, "words[1]: is not UTF-8");
    CANNOT(full.weights[0].key = full.weights[1].key, KUR_ERROR_MISMATCH, "weights: has the key \"b\" twice");
    CANNOT(full.kinds.gift.value.quantity = 0, KUR_ERROR_CONSTRAINT, "gift.quantity: must be at least 1");
    CANNOT(full.days[0].value = INT32_MIN, KUR_ERROR_MISMATCH, "days[0]: the year is outside 0001 to 9999");
    kur_buffer_done(&json);
}
END_TEST

#define IS_NULL(call, name)                                                                                            \
    do {                                                                                                               \
        kur_error error = {0};                                                                                         \
        ck_status(call, KUR_ERROR_INVALID_ARGUMENT, error);                                                            \
        ck_assert_str_eq(error.message, name " is NULL");                                                              \
    } while (0)

START_TEST(test_json__null_is_named)
{
    struct tree tree = {0};
    kur_buffer json = {0};
    kur_bytes text = kur_bytes_text("{\"value\":1}");
    IS_NULL(kur_json_write(NULL, &tree, &json, &error), "type");
    IS_NULL(kur_json_write(&tree_type, NULL, &json, &error), "record");
    IS_NULL(kur_json_write(&tree_type, &tree, NULL, &error), "json");
    IS_NULL(kur_json_read(NULL, text, arena, &tree, &error), "type");
    IS_NULL(kur_json_read(&tree_type, kur_bytes_text(NULL), arena, &tree, &error), "json");
    IS_NULL(kur_json_read(&tree_type, text, NULL, &tree, &error), "arena");
    IS_NULL(kur_json_read(&tree_type, text, arena, NULL, &error), "record");
    kur_error error = {0};
    kur_type type = tree_type;
    type.abi++;
    ck_status(kur_json_write(&type, &tree, &json, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "ABI");
    ck_status(kur_json_read(&type, text, arena, &tree, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_json_read(&colour_type, text, arena, &tree, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_ptr_null(json.data);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_json__writes_every_kind,
                                  test_json__reads_every_kind,
                                  test_json__reads_the_other_forms_that_are_allowed,
                                  test_json__names_what_does_not_fit,
                                  test_json__errors_hold_nothing_of_the_values,
                                  test_json__refuses_what_is_not_json,
                                  test_json__unknown_fields_and_names,
                                  test_json__reals_are_short_and_exact,
                                  test_json__integers_are_exact,
                                  test_json__reads_64_levels_and_no_more,
                                  test_json__writes_no_deeper_than_it_reads,
                                  test_json__reads_a_mebibyte_and_no_more,
                                  test_json__failed_writing_leaves_the_buffer,
                                  test_json__null_is_named,
                                  NULL};
    arena = kur_arena_new();
    int result = check_main("json", tests);
    kur_arena_free(arena);
    return result;
}
