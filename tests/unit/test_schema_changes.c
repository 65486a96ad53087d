/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What is told of two schemas, line by line.
 */
#include <kurier/schema.h>
#include <stdio.h>

#include "../check_main.h"
#include "../failing.h"

static kur_schema *parse(const char *text)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    ck_ok(kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, &error), error);
    return schema;
}

static kur_status take(const kur_schema_change *change, void *user, kur_error *error)
{
    static const char *const kinds[] = {"", "field", "symbol", "branch", "name", "type", "default"};
    ck_assert_uint_eq(change->size, sizeof *change);
    kur_status status =
        kur_buffer_print(user, "%s %s: %s -> %s\n", kinds[change->kind], change->path,
                         change->before != NULL ? change->before : "-", change->after != NULL ? change->after : "-");
    return status == KUR_OK ? status : kur_error_set(error, status, "out of memory");
}

static void tells(const char *before, const char *after, const char *expected)
{
    kur_error error = {0};
    kur_buffer text = {0};
    kur_schema *left = parse(before), *right = parse(after);
    ck_ok(kur_schema_changes(left, right, take, &text, &error), error);
    ck_assert_str_eq(text.data != NULL ? text.data : "", expected);
    kur_buffer_done(&text);
    kur_schema_unref(left);
    kur_schema_unref(right);
}

#define RECORD(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define WITH(name, type, more) "{\"name\":\"" name "\",\"type\":" type "," more "}"
#define A(fields) RECORD("n.A", fields)
#define ENUM(symbols, more) "{\"type\":\"enum\",\"name\":\"n.E\",\"symbols\":[" symbols "]" more "}"
#define DECIMAL(p) "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":" p ",\"scale\":2}"

START_TEST(test_schema_changes__what_is_told)
{
    tells("\"int\"", "\"int\"", "");
    tells("\"int\"", "\"long\"", "type : int -> long\n");
    tells("\"int\"", "{\"type\":\"int\",\"logicalType\":\"date\"}", "type : int -> date\n");
    /* Fields. */
    tells(A(FIELD("a", "\"int\"")), A(FIELD("a", "\"int\"") "," WITH("b", "[\"null\",\"string\"]", "\"default\":null")),
          "field b: - -> union of null, string = null\n");
    tells(A(FIELD("a", "\"int\"") "," FIELD("b", "\"int\"")), A(FIELD("b", "\"int\"")), "field a: int -> -\n");
    tells(A(FIELD("a", "\"int\"") "," FIELD("b", "\"int\"")), A(FIELD("b", "\"int\"") "," FIELD("a", "\"int\"")), "");
    tells(A(FIELD("sku", "\"string\"")), A(WITH("article", "\"string\"", "\"aliases\":[\"sku\"]")),
          "name article: sku -> article\n");
    tells(A(FIELD("sku", "\"string\"")), A(FIELD("article", "\"string\"")),
          "field article: - -> string\nfield sku: string -> -\n");
    tells(A(FIELD("a", "\"int\"")), A(WITH("a", "\"int\"", "\"default\":1")), "default a: - -> 1\n");
    tells(A(WITH("a", "\"int\"", "\"default\":1")), A(WITH("a", "\"int\"", "\"default\":2")), "default a: 1 -> 2\n");
    tells(A(WITH("a", "\"int\"", "\"default\":1")), A(FIELD("a", "\"int\"")), "default a: 1 -> -\n");
    tells(A(WITH("a", "\"int\"", "\"doc\":\"d\"")), A(WITH("a", "\"int\"", "\"doc\":\"e\"")), "");
    /* Two fields that were called the same once: it is one of them. */
    tells(A(FIELD("a", "\"int\"")),
          A(WITH("b", "\"int\"", "\"aliases\":[\"a\"]") "," WITH("c", "\"int\"", "\"aliases\":[\"a\"]")),
          "name b: a -> b\nfield c: - -> int\n");
    /* Types with parts. */
    tells(A(FIELD("l", "{\"type\":\"array\",\"items\":\"int\"}")),
          A(FIELD("l", "{\"type\":\"array\",\"items\":\"long\"}")), "type l[]: int -> long\n");
    tells(A(FIELD("m", "{\"type\":\"map\",\"values\":" RECORD("n.M", FIELD("x", DECIMAL("9"))) "}")),
          A(FIELD("m", "{\"type\":\"map\",\"values\":" RECORD("n.M", FIELD("x", DECIMAL("8"))) "}")),
          "type m[].x: decimal(9, 2) -> decimal(8, 2)\n");
    tells(A(FIELD("l", "{\"type\":\"array\",\"items\":\"int\"}")),
          A(FIELD("l", "{\"type\":\"map\",\"values\":\"int\"}")), "type l: array of int -> map of int\n");
    tells(RECORD("n.A", ""), RECORD("n.B", ""), "name : n.A -> n.B\n");
    tells("{\"type\":\"fixed\",\"name\":\"F\",\"size\":4}", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":5}",
          "type : fixed F of 4 bytes -> fixed F of 5 bytes\n");
    tells(ENUM("\"X\",\"Y\"", ""), ENUM("\"Y\",\"Z\"", ",\"default\":\"Z\""),
          "symbol : - -> Z\nsymbol : X -> -\ndefault : - -> Z\n");
    /* Unions. */
    tells("[\"null\",\"int\"]", "[\"int\",\"string\"]", "branch : - -> string\nbranch : null -> -\n");
    tells("\"int\"", "[\"null\",\"int\"]", "type : int -> union of null, int\n");
    tells("[\"null\"," A(FIELD("a", "\"int\"")) "]", A(FIELD("a", "\"long\"")),
          "type : union of null, record n.A -> record n.A\ntype a: int -> long\n");
    tells("[\"null\"," A(FIELD("a", "\"int\"")) "]", "[" A(FIELD("a", "\"long\"")) ",\"null\"]",
          "type a: int -> long\n");
    tells("[" RECORD("n.A", "") "," RECORD("m.A", FIELD("a", "\"int\"")) "]",
          "[" RECORD("n.A", "") "," RECORD("m.A", FIELD("a", "\"long\"")) "]", "type a: int -> long\n");
    tells("[\"null\"," RECORD("n.A", "") "]", "[\"null\"," RECORD("m.A", "") "]", "name : n.A -> m.A\n");
    /* A record within itself, told of once. */
    tells(A(FIELD("a", "\"int\"") "," FIELD("next", "[\"null\",\"A\"]")),
          A(FIELD("a", "\"long\"") "," FIELD("next", "[\"null\",\"A\"]")), "type a: int -> long\n");
}
END_TEST

static kur_status stop(const kur_schema_change *change, void *user, kur_error *error)
{
    (void)change;
    ++*(int *)user;
    return kur_error_set(error, KUR_ERROR_INVALID_STATE, "enough");
}

START_TEST(test_schema_changes__who_takes_them_may_stop)
{
    kur_error error = {0};
    int count = 0;
    kur_schema *left = parse(A(FIELD("a", "\"int\"") "," FIELD("b", "\"int\""))), *right = parse(A(""));
    ck_assert_int_eq(kur_schema_changes(left, right, stop, &count, &error), KUR_ERROR_INVALID_STATE);
    ck_assert_str_eq(error.message, "enough");
    ck_assert_int_eq(count, 1);
    error = (kur_error){0};
    ck_assert_int_eq(kur_schema_changes(left, right, NULL, NULL, &error), KUR_ERROR_INVALID_ARGUMENT);
    kur_schema_unref(left);
    kur_schema_unref(right);
}
END_TEST

/* Records that each have the one before in them; the last is field z, all others have names of their own. */
static kur_schema *chain(int count, const char *name)
{
    kur_buffer text = {0};
    ck_assert_int_eq(kur_buffer_print(&text, "{\"type\":\"record\",\"name\":\"R\",\"fields\":["), KUR_OK);
    for (int i = 0; i < count; i++) {
        char own[32], next[32];
        snprintf(own, sizeof own, i + 1 < count ? "%s%d" : "z", name, i);
        snprintf(next, sizeof next, i > 0 ? "R%d" : "int", i - 1);
        ck_assert_int_eq(kur_buffer_print(&text,
                                          "%s{\"name\":\"%s\",\"type\":{\"type\":\"record\",\"name\":\"R%d\","
                                          "\"fields\":[{\"name\":\"a\",\"type\":\"%s\"}]}}",
                                          i > 0 ? "," : "", own, i, next),
                         KUR_OK);
    }
    ck_assert_int_eq(kur_buffer_print(&text, "]}"), KUR_OK);
    kur_schema *schema = parse(text.data);
    kur_buffer_done(&text);
    return schema;
}

static kur_status ignore(const kur_schema_change *change, void *user, kur_error *error)
{
    (void)change, (void)user, (void)error;
    return KUR_OK;
}

START_TEST(test_schema_changes__deep_ones_end)
{
    static const struct {
        int count;
        const char *name;
        kur_status status;
    } cases[] = {{100, "g", KUR_OK}, {1000, "f", KUR_OK}, {1000, "g", KUR_ERROR_TOO_LARGE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_error error = {0};
        kur_schema *left = chain(cases[i].count, "f"), *right = chain(cases[i].count, cases[i].name);
        ck_assert_int_eq(kur_schema_changes(left, right, ignore, NULL, &error), cases[i].status);
        ck_assert_int_eq(error.code, cases[i].status);
        kur_schema_unref(left);
        kur_schema_unref(right);
    }
}
END_TEST

START_TEST(test_schema_changes__memory_that_fails)
{
    kur_schema *left = parse(A(FIELD("a", "\"int\"") "," FIELD("b", ENUM("\"X\"", "")))),
               *right =
                   parse(A(WITH("a", "[\"null\",\"long\"]", "\"default\":null") "," FIELD("b", ENUM("\"Y\"", ""))));
    long points = 0;
    kur_status status;
    kur_error error;
    do {
        kur_buffer text = {0};
        failing_begin(points + 1, false);
        error = (kur_error){0};
        status = kur_schema_changes(left, right, take, &text, &error);
        kur_buffer_done(&text);
        failing_end();
    } while (failing_again("changes", &points, status, &error));
    kur_schema_unref(left);
    kur_schema_unref(right);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_schema_changes__what_is_told, test_schema_changes__who_takes_them_may_stop,
                                  test_schema_changes__deep_ones_end, test_schema_changes__memory_that_fails, NULL};
    return check_main("schema_changes", tests);
}
