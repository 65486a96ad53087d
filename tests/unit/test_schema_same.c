/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What is encoded alike, and what only looks so.
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

static void same(const char *a, const char *b, bool expected)
{
    kur_error error = {0};
    kur_schema *left = parse(a), *right = parse(b);
    kur_status status = expected ? KUR_OK : KUR_ERROR_MISMATCH;
    ck_assert_msg(kur_schema_same_encoding(left, right, &error) == status, "%s\n%s", a, b);
    ck_assert_msg(kur_schema_same_encoding(right, left, &error) == status, "%s\n%s", b, a);
    ck_assert_int_eq(error.code, status);
    kur_schema_unref(left);
    kur_schema_unref(right);
}

#define IN_RECORD(type) "{\"type\":\"record\",\"name\":\"n.A\",\"fields\":[{\"name\":\"a\",\"type\":" type "}]}"

START_TEST(test_schema_same__what_is_encoded_alike)
{
    static const char *const types[] = {
        "\"null\"",
        "\"boolean\"",
        "\"int\"",
        "\"long\"",
        "\"float\"",
        "\"double\"",
        "\"bytes\"",
        "\"string\"",
        "{\"type\":\"int\",\"logicalType\":\"date\"}",
        "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
        "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}",
        "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":2}",
        "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":3}",
        "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":10,\"scale\":2}",
        "{\"type\":\"fixed\",\"name\":\"n.F\",\"size\":4}",
        "{\"type\":\"fixed\",\"name\":\"n.F\",\"size\":5}",
        "{\"type\":\"fixed\",\"name\":\"n.G\",\"size\":4}",
        "{\"type\":\"enum\",\"name\":\"n.E\",\"symbols\":[\"X\",\"Y\"]}",
        "{\"type\":\"enum\",\"name\":\"n.E\",\"symbols\":[\"Y\",\"X\"]}",
        "{\"type\":\"enum\",\"name\":\"n.E\",\"symbols\":[\"X\"]}",
        "[\"null\",\"int\"]",
        "[\"int\",\"null\"]",
        "[\"null\",\"n.A\"]",
        "{\"type\":\"array\",\"items\":\"int\"}",
        "{\"type\":\"array\",\"items\":\"n.A\"}",
        "{\"type\":\"map\",\"values\":\"int\"}",
        "{\"type\":\"record\",\"name\":\"n.B\",\"fields\":[]}",
        "{\"type\":\"record\",\"name\":\"n.B\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}",
        "{\"type\":\"record\",\"name\":\"n.B\",\"fields\":[{\"name\":\"b\",\"type\":\"int\"}]}",
        "{\"type\":\"record\",\"name\":\"n.B\",\"fields\":[{\"name\":\"a\",\"type\":\"n.A\"}]}",
    };
    enum {
        COUNT = sizeof types / sizeof *types
    };
    char a[512], b[512];
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < COUNT; j++) {
            snprintf(a, sizeof a, IN_RECORD("%s"), types[i]);
            snprintf(b, sizeof b, IN_RECORD("%s"), types[j]);
            same(a, b, i == j);
        }
    /* Documentation, defaults, aliases, attributes of others, and how names are written. */
    same(IN_RECORD("[\"null\",\"n.A\"]"),
         "{\"type\":\"record\",\"namespace\":\"n\",\"name\":\"A\",\"doc\":\"d\",\"aliases\":[\"Z\"],\"x\":1,\"fields\":"
         "[{"
         "\"name\":\"a\",\"type\":[{\"type\":\"null\"},\"A\"],\"default\":null,\"aliases\":[\"z\"],\"doc\":\"d\"}]}",
         true);
    ck_assert_int_eq(kur_schema_same_encoding(NULL, NULL, NULL), KUR_ERROR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(test_schema_same__memory_that_fails)
{
    const char *text = IN_RECORD("[\"null\",\"n.A\"]");
    kur_schema *a = parse(text), *b = parse(text);
    long points = 0;
    kur_status status;
    kur_error error;
    do {
        error = (kur_error){0};
        failing_begin(points + 1, true);
        status = kur_schema_same_encoding(a, b, &error);
        failing_end();
    } while (failing_again("kur_schema_same_encoding", &points, status, &error));
    kur_schema_unref(a);
    kur_schema_unref(b);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_schema_same__what_is_encoded_alike, test_schema_same__memory_that_fails, NULL};
    return check_main("schema_same", tests);
}
