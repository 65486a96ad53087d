/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Schemas from their text: names, what is refused and where, canonical forms, fingerprints, references.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../check_main.h"
#include "event/schema.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static kur_schema *schema_of_text(const char *text)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    ck_ok(kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, &error), error);
    return schema;
}

static void check_form(const char *text, const char *expected)
{
    kur_error error = {0};
    kur_buffer form = {0};
    kur_schema *schema = schema_of_text(text);
    ck_ok(kur_schema_canonical(schema, &form, &error), error);
    ck_assert_str_eq(form.data, expected);
    kur_buffer_done(&form);
    kur_schema_unref(schema);
}

/* What apache/avro's share/test/data/schema-tests.txt says of these forms. */
START_TEST(test_schema__fingerprints)
{
    static const struct {
        const char *text, *form;
        int64_t fingerprint;
    } vectors[] = {
        {"\"null\"", "\"null\"", 7195948357588979594},
        {"{\"type\":\"boolean\"}", "\"boolean\"", -6970731678124411036},
        {"\"int\"", "\"int\"", 8247732601305521295},
        {"{\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}", "\"long\"", -3434872931120570953},
        {" \"float\" ", "\"float\"", 5583340709985441680},
        {"{\"type\":{\"type\":\"double\"}}", "\"double\"", -8181574048448539266},
        {"\"bytes\"", "\"bytes\"", 5746618253357095269},
        {"\"string\"", "\"string\"", -8142146995180207161},
        {"[]", "[]", -1241056759729112623},
        {"[ \"int\" ]", "[\"int\"]", -5232228896498058493},
        {"[\"int\", {\"type\":\"boolean\"}]", "[\"int\",\"boolean\"]", 5392556393470105090},
        {"{\"doc\":\"\",\"aliases\":[\"foo\",\"bar\"],\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}",
         "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[]}", -4824392279771201922},
        {"{\"name\":\"foo\",\"namespace\":\"x.y\",\"type\":\"error\",\"fields\":[]}",
         "{\"name\":\"x.y.foo\",\"type\":\"record\",\"fields\":[]}", 5916914534497305771},
        {"{\"name\":\"a.b.foo\",\"namespace\":\"x.y\",\"type\":\"record\",\"fields\":[]}",
         "{\"name\":\"a.b.foo\",\"type\":\"record\",\"fields\":[]}", -4616218487480524110},
        {"{\"type\":\"record\",\"name\":\"foo\",\"fields\":[{\"type\":{\"type\":\"boolean\"},\"name\":\"f1\"}]}",
         "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[{\"name\":\"f1\",\"type\":\"boolean\"}]}",
         7843277075252814651},
        {"{\"type\":\"record\",\"name\":\"foo\",\"fields\":[{\"type\":\"boolean\",\"name\":\"f1\",\"default\":\"true\"}"
         ","
         "{\"doc\":\"d\",\"name\":\"f2\",\"order\":\"ignore\",\"type\":\"int\"}]}",
         "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[{\"name\":\"f1\",\"type\":\"boolean\"},"
         "{\"name\":\"f2\",\"type\":\"int\"}]}",
         -4860222112080293046},
        {"{\"symbols\":[\"A1\"],\"default\":\"A1\",\"name\":\"foo\",\"type\":\"enum\"}",
         "{\"name\":\"foo\",\"type\":\"enum\",\"symbols\":[\"A1\"]}", -6342190197741309591},
        {"{\"symbols\":[\"A1\",\"A2\"],\"name\":\"foo\",\"namespace\":\"x.y.z\",\"type\":\"enum\"}",
         "{\"name\":\"x.y.z.foo\",\"type\":\"enum\",\"symbols\":[\"A1\",\"A2\"]}", -4448647247586288245},
        {"{\"size\":15,\"type\":\"fixed\",\"name\":\"foo\"}", "{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}",
         1756455273707447556},
        {"{\"size\":32,\"type\":\"fixed\",\"name\":\"x.y.z.foo\"}",
         "{\"name\":\"x.y.z.foo\",\"type\":\"fixed\",\"size\":32}", -3064184465700546786},
        {"{\"items\":{\"type\":\"null\"},\"type\":\"array\"}", "{\"type\":\"array\",\"items\":\"null\"}",
         -589620603366471059},
        {"{\"values\":\"string\",\"type\":\"map\"}", "{\"type\":\"map\",\"values\":\"string\"}", -8732877298790414990},
        {"{\"type\":\"record\",\"name\":\"PigValue\",\"fields\":[{\"name\":\"value\",\"type\":[\"null\",\"int\","
         "\"long\","
         "\"PigValue\"]}]}",
         "{\"name\":\"PigValue\",\"type\":\"record\",\"fields\":[{\"name\":\"value\",\"type\":[\"null\",\"int\","
         "\"long\","
         "\"PigValue\"]}]}",
         -1759257747318642341}};
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        kur_schema *schema = schema_of_text(vectors[i].text);
        check_form(vectors[i].text, vectors[i].form);
        ck_assert_msg(kur_schema_fingerprint(schema) == (uint64_t)vectors[i].fingerprint, "%s has %" PRId64,
                      vectors[i].text, (int64_t)kur_schema_fingerprint(schema));
        kur_schema_unref(schema);
        check_form(vectors[i].form, vectors[i].form);
    }
}
END_TEST

/* ---- What is read ---- */

START_TEST(test_schema__names_and_namespaces)
{
    /* A name goes by what is around it; "" is the null namespace; a full name ignores the namespace beside it. */
    kur_schema *schema = schema_of_text(
        "{\"type\":\"record\",\"name\":\"root\",\"namespace\":\"a.b\",\"aliases\":[\"old\",\"c.old\"],\"fields\":["
        "{\"name\":\"own\",\"type\":[\"null\",\"root\"],\"aliases\":[\"mine\",\"my\"],\"default\":null},"
        "{\"name\":\"inner\",\"type\":{\"type\":\"fixed\",\"name\":\"inner\",\"size\":0}},"
        "{\"name\":\"other\",\"type\":{\"type\":\"record\",\"name\":\"x.y.other\",\"namespace\":\"z\",\"fields\":["
        "{\"name\":\"deep\",\"type\":{\"type\":\"enum\",\"name\":\"deep\",\"symbols\":[\"s\"],\"aliases\":[\"d\"]}}]}},"
        "{\"name\":\"none\",\"type\":{\"type\":\"fixed\",\"name\":\"none\",\"namespace\":\"\",\"size\":2147483647}},"
        "{\"name\":\"one\",\"type\":[\"inner\",\"x.y.deep\",\"none\",{\"type\":\"x.y.other\"},\"a.b.root\"]}]}");
    const kur__node *root = schema->root;
    const kur__node_field *fields = root->fields;
    const kur__node *const *one = fields[4].node->branches;
    ck_assert_str_eq(kur_schema_name(schema), "a.b.root");
    ck_assert_str_eq(root->aliases[0], "a.b.old");
    ck_assert_str_eq(root->aliases[1], "c.old");
    ck_assert_uint_eq(root->alias_count, 2);
    ck_assert_ptr_eq(fields[0].node->branches[1], root);
    ck_assert_str_eq(fields[0].aliases[0], "mine");
    ck_assert_str_eq(fields[0].aliases[1], "my");
    ck_assert(json_is_null(fields[0].default_value));
    ck_assert_ptr_null(fields[1].default_value);
    ck_assert_str_eq(fields[1].node->name, "a.b.inner");
    ck_assert_str_eq(fields[2].node->name, "x.y.other");
    ck_assert_str_eq(fields[2].node->fields[0].node->name, "x.y.deep");
    ck_assert_str_eq(fields[2].node->fields[0].node->aliases[0], "x.y.d");
    ck_assert_str_eq(fields[3].node->name, "none");
    ck_assert_uint_eq(fields[3].node->length, 2147483647);
    ck_assert_uint_eq(fields[4].node->count, 5);
    ck_assert_ptr_eq(one[0], fields[1].node);
    ck_assert_ptr_eq(one[1], fields[2].node->fields[0].node);
    ck_assert_ptr_eq(one[2], fields[3].node); /* not in a.b: looked for without a namespace */
    ck_assert_ptr_eq(one[3], fields[2].node);
    ck_assert_ptr_eq(one[4], root);
    kur_schema_unref(schema);
}
END_TEST

/* Java's reflection had them; in canonical forms they stand as they are. */
START_TEST(test_schema__namespaces_may_have_a_dollar)
{
    check_form("{\"type\":\"fixed\",\"name\":\"Inner\",\"namespace\":\"com.acme.Outer$\",\"size\":1}",
               "{\"name\":\"com.acme.Outer$.Inner\",\"type\":\"fixed\",\"size\":1}");
    check_form("[{\"name\":\"a.$b.c\",\"type\":\"fixed\",\"size\":1},{\"type\":\"array\",\"items\":\"a.$b.c\"}]",
               "[{\"name\":\"a.$b.c\",\"type\":\"fixed\",\"size\":1},{\"type\":\"array\",\"items\":\"a.$b.c\"}]");
}
END_TEST

START_TEST(test_schema__nodes_have_numbers_of_their_own)
{
    kur_schema *schema = schema_of_text("[\"int\",{\"type\":\"array\",\"items\":\"int\"},{\"type\":\"map\",\"values\":"
                                        "{\"type\":\"array\",\"items\":\"long\"}},\"long\"]");
    const kur__node *root = schema->root, *list = root->branches[1], *map = root->branches[2];
    const kur__node *nodes[] = {root, root->branches[0], list, map, kur__node_element(map), root->branches[3]};
    for (size_t i = 0; i < COUNT_OF(nodes); i++) {
        ck_assert_uint_lt(nodes[i]->number, schema->node_count);
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(nodes[i]->number, nodes[j]->number);
    }
    /* A plain type without anything to it is one node wherever it stands. */
    ck_assert_ptr_eq(kur__node_element(list), root->branches[0]);
    ck_assert_str_eq(kur_schema_name(schema), "union");
    ck_assert_ptr_null(schema->tree);
    kur_schema_unref(schema);
}
END_TEST

START_TEST(test_schema__logical_types)
{
    static const struct {
        const char *text;
        kur__logical logical;
        int precision, scale;
    } cases[] = {
        {"{\"type\":\"int\",\"logicalType\":\"date\"}", KUR__LOGICAL_DATE, 0, 0},
        {"{\"type\":\"long\",\"logicalType\":\"date\"}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", KUR__LOGICAL_MILLIS, 0, 0},
        {"{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}", KUR__LOGICAL_MICROS, 0, 0},
        {"{\"type\":\"int\",\"logicalType\":\"timestamp-micros\"}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"long\",\"logicalType\":5}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"string\",\"logicalType\":\"uuid\"}", KUR__LOGICAL_UUID, 0, 0},
        {"{\"type\":\"string\",\"logicalType\":\"uuid\\u0000\"}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":16,\"logicalType\":\"uuid\"}", KUR__LOGICAL_UUID, 0, 0},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":15,\"logicalType\":\"uuid\"}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4}", KUR__LOGICAL_DECIMAL, 4, 0},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":4}", KUR__LOGICAL_DECIMAL, 4, 4},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":5}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":-1}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":\"2\"}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":0}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4294967297}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\"}", KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"string\",\"logicalType\":\"decimal\",\"precision\":4}", KUR__LOGICAL_NONE, 0, 0},
        /* As many digits as fit: 2 in a byte, 4 in two, 18 in eight, 38 in sixteen. */
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":1,\"logicalType\":\"decimal\",\"precision\":2}",
         KUR__LOGICAL_DECIMAL, 2, 0},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":1,\"logicalType\":\"decimal\",\"precision\":3}",
         KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":2,\"logicalType\":\"decimal\",\"precision\":4}",
         KUR__LOGICAL_DECIMAL, 4, 0},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":8,\"logicalType\":\"decimal\",\"precision\":18}",
         KUR__LOGICAL_DECIMAL, 18, 0},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":8,\"logicalType\":\"decimal\",\"precision\":19}",
         KUR__LOGICAL_NONE, 0, 0},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":16,\"logicalType\":\"decimal\",\"precision\":38}",
         KUR__LOGICAL_DECIMAL, 38, 0},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":0,\"logicalType\":\"decimal\",\"precision\":1}",
         KUR__LOGICAL_NONE, 0, 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        kur_schema *schema = schema_of_text(cases[i].text);
        ck_assert_msg(schema->root->logical == cases[i].logical, "%s is %d", cases[i].text, schema->root->logical);
        ck_assert_int_eq(schema->root->precision, cases[i].precision);
        ck_assert_int_eq(schema->root->scale, cases[i].scale);
        kur_schema_unref(schema);
    }
}
END_TEST

START_TEST(test_schema__defaults_are_kept)
{
    kur_schema *schema = schema_of_text(
        "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"bytes\",\"default\":"
        "\"\\u0000\\u00ff\"},"
        "{\"name\":\"b\",\"type\":{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"x\",\"y\"],\"default\":\"y\"},"
        "\"default\":\"x\"},{\"name\":\"c\",\"type\":{\"type\":\"map\",\"values\":\"int\"},\"default\":{\"k\":5}}]}");
    const kur__node_field *fields = schema->root->fields;
    ck_assert_uint_eq(json_string_length(fields[0].default_value), 3);
    ck_assert_mem_eq(json_string_value(fields[0].default_value), "\0\xc3\xbf", 3);
    ck_assert_str_eq(json_string_value(fields[1].default_value), "x");
    ck_assert_str_eq(fields[1].node->default_symbol, "y");
    ck_assert_int_eq(json_integer_value(json_object_get(fields[2].default_value, "k")), 5);
    kur_schema_unref(schema);
}
END_TEST

START_TEST(test_schema__text_and_references)
{
    static const char text[] = " {\"type\" : \"int\"} ";
    kur_error error = {0};
    kur_schema *schema = NULL;
    ck_ok(kur_schema_parse(kur_bytes_of(text, sizeof text - 1), NULL, 0, &schema, &error), error);
    ck_assert_str_eq(kur_schema_text(schema).data, text);
    ck_assert_uint_eq(kur_schema_text(schema).size, sizeof text - 1);
    ck_assert_str_eq(kur_schema_name(schema), "int");
    ck_assert_ptr_eq(kur_schema_ref(schema), schema);
    kur_schema_unref(schema);
    ck_assert_str_eq(kur_schema_name(schema), "int");
    kur_schema_unref(schema);
    kur_schema_unref(NULL);
    ck_assert_ptr_null(kur_schema_ref(NULL));
    ck_assert_ptr_null(kur_schema_text(NULL).data);
    ck_assert_str_eq(kur_schema_name(NULL), "");
    ck_assert_uint_eq(kur_schema_fingerprint(NULL), 0);
    ck_status(kur_schema_canonical(NULL, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    error = (kur_error){0};
    ck_status(kur_schema_parse((kur_bytes){0}, NULL, 0, &schema, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    error = (kur_error){0};
    ck_status(kur_schema_parse(kur_bytes_text("5"), NULL, 1, &schema, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    error = (kur_error){0};
    ck_status(kur_schema_parse(kur_bytes_text("5"), NULL, 0, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
}
END_TEST

/* ---- References ---- */

static kur_schema *with(const char *text, kur_schema *first, kur_schema *second)
{
    const kur_schema_reference references[] = {{"first", first}, {"second", second}};
    kur_error error = {0};
    kur_schema *schema = NULL;
    ck_ok(kur_schema_parse(kur_bytes_text(text), references, second != NULL ? 2 : 1, &schema, &error), error);
    return schema;
}

START_TEST(test_schema__references_are_part_of_it)
{
    kur_error error = {0};
    kur_schema *money = schema_of_text("{\"type\":\"record\",\"name\":\"a.money\",\"fields\":[{\"name\":\"cents\","
                                       "\"type\":\"long\",\"default\":7}]}");
    kur_schema *line = with(
        "{\"type\":\"record\",\"name\":\"a.line\",\"fields\":[{\"name\":\"price\",\"type\":\"money\"}]}", money, NULL);
    /* Of the same text twice: as a registry gives it. */
    kur_schema *again = schema_of_text(kur_schema_text(money).data);
    kur_schema *order = with("{\"type\":\"record\",\"name\":\"b.order\",\"fields\":[{\"name\":\"lines\",\"type\":{"
                             "\"type\":\"array\",\"items\":\"a.line\"}},{\"name\":\"sum\",\"type\":\"a.money\"}]}",
                             line, again);
    kur_schema_unref(money);
    kur_schema_unref(line);
    kur_schema_unref(again);
    const kur__node *item = kur__node_element(order->root->fields[0].node), *sum = order->root->fields[1].node;
    ck_assert_str_eq(item->name, "a.line");
    ck_assert_ptr_eq(item->fields[0].node, sum);
    ck_assert_int_eq(json_integer_value(sum->fields[0].default_value), 7);
    ck_assert_uint_lt(sum->number, order->node_count);
    kur_buffer form = {0};
    ck_ok(kur_schema_canonical(order, &form, &error), error);
    ck_assert_str_eq(form.data,
                     "{\"name\":\"b.order\",\"type\":\"record\",\"fields\":[{\"name\":\"lines\",\"type\":{"
                     "\"type\":\"array\",\"items\":{\"name\":\"a.line\",\"type\":\"record\",\"fields\":["
                     "{\"name\":\"price\",\"type\":{\"name\":\"a.money\",\"type\":\"record\",\"fields\":["
                     "{\"name\":\"cents\",\"type\":\"long\"}]}}]}}},{\"name\":\"sum\",\"type\":\"a.money\"}]}");
    kur_buffer_done(&form);
    /* The whole of another schema, by its name. */
    kur_schema *same = with("\"b.order\"", order, NULL);
    ck_assert_uint_eq(kur_schema_fingerprint(same), kur_schema_fingerprint(order));
    kur_schema_unref(order);
    ck_assert_str_eq(kur_schema_name(same), "b.order");
    kur_schema_unref(same);
}
END_TEST

START_TEST(test_schema__references_that_do_not_fit)
{
    kur_error error = {0};
    kur_schema *one = schema_of_text("{\"type\":\"fixed\",\"name\":\"f\",\"size\":1}"), *schema = NULL;
    kur_schema *two = schema_of_text("{\"type\":\"fixed\",\"name\":\"f\",\"size\":2}");
    const kur_schema_reference both[] = {{"f", one}, {"other f", two}};
    ck_status(kur_schema_parse(kur_bytes_text("\"f\""), both, 2, &schema, &error), KUR_ERROR_SYNTAX, error);
    ck_assert_str_eq(error.message, "reference other f: name: \"f\" is there twice");
    ck_status(
        kur_schema_parse(kur_bytes_text("{\"type\":\"fixed\",\"name\":\"f\",\"size\":1}"), both, 1, &schema, &error),
        KUR_ERROR_SYNTAX, error);
    ck_assert_str_eq(error.message, "name: \"f\" is there twice");
    const kur_schema_reference none = {"none", NULL};
    error = (kur_error){0};
    ck_status(kur_schema_parse(kur_bytes_text("\"f\""), &none, 1, &schema, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    /* A chain of references, longer than what nests otherwise. */
    for (int i = 0; i < KUR_DEPTH_MAX; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"type\":\"fixed\",\"name\":\"f%d\",\"size\":2}", i);
        kur_schema *next = with(text, two, NULL);
        kur_schema_unref(two);
        two = next;
    }
    const kur_schema_reference chain = {"chain", two};
    ck_assert_ptr_null(schema);
    ck_ok(kur_schema_parse(kur_bytes_text("\"f0\""), &chain, 1, &schema, &error), error);
    const kur_schema_reference longer = {"chain", schema};
    kur_schema *last = NULL;
    ck_status(kur_schema_parse(kur_bytes_text("\"f0\""), &longer, 1, &last, &error), KUR_ERROR_TOO_LARGE, error);
    kur_schema_unref(one);
    kur_schema_unref(two);
    kur_schema_unref(schema);
}
END_TEST

/* ---- What is refused ---- */

static void check_refused(const char *text, kur_status status, const char *message)
{
    kur_error error = {0};
    kur_schema *schema = (kur_schema *)&error; /* untouched */
    kur_status got = kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, &error);
    ck_assert_msg(got == status, "%.200s: %s %s", text, kur_status_name(got), error.message);
    ck_assert_msg(strcmp(error.message, message) == 0, "%.200s: \"%s\", not \"%s\"", text, error.message, message);
    ck_assert_ptr_eq(schema, &error);
    ck_assert_int_eq(kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, NULL), status);
}

START_TEST(test_schema__refuses_what_is_no_schema)
{
    static const char *const cases[][2] = {
        {"5", "is not a type"},
        {"null", "is not a type"},
        {"\"\"", "is not a type"},
        {"\"order\"", "\"order\" is not defined"},
        {"\"int\\u0000\"", "is not a type"},
        {"\"a b\"", "is not a type"},
        {"\"array\"", "\"array\" is not defined"},
        {"{}", "type: is missing"},
        {"{\"type\":5}", "type: is not a type"},
        {"{\"type\":{}}", "type.type: is missing"},
        {"{\"type\":\"order\"}", "type: \"order\" is not defined"},
        {"[\"int\",[\"long\"]]", "[1]: a union directly within a union"},
        {"[\"int\",{\"type\":\"int\",\"logicalType\":\"date\"}]", "[1]: \"int\" is there twice"},
        {"[{\"type\":\"array\",\"items\":\"int\"},{\"type\":\"array\",\"items\":\"long\"}]",
         "[1]: \"array\" is there twice"},
        {"[{\"type\":\"fixed\",\"name\":\"f\",\"size\":1},\"f\"]", "[1]: \"f\" is there twice"},
        {"{\"type\":\"array\"}", "items: is missing"},
        {"{\"type\":\"map\",\"items\":\"int\"}", "values: is missing"},
        {"{\"type\":\"map\",\"values\":[\"int\",\"no\"]}", "values[1]: \"no\" is not defined"},
        {"{\"type\":\"record\",\"fields\":[]}", "name: is missing"},
        {"{\"type\":\"record\",\"name\":5,\"fields\":[]}", "name: must be a string"},
        {"{\"type\":\"record\",\"name\":\"a\\u0000\",\"fields\":[]}", "name: must be a string"},
        {"{\"type\":\"record\",\"name\":\"a-b\",\"fields\":[]}", "name: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"1a\",\"fields\":[]}", "name: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"\",\"fields\":[]}", "name: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\".a\",\"fields\":[]}", "name: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"a.\",\"fields\":[]}", "name: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"a..b\",\"fields\":[]}", "name: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"a.b$\",\"fields\":[]}", "name: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"a\",\"namespace\":\"x.1\",\"fields\":[]}",
         "namespace: is not a namespace that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"\\u00e9\",\"fields\":[]}", "name: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"long\",\"fields\":[]}", "name: is the name of a primitive type"},
        {"{\"type\":\"record\",\"name\":\"a\",\"namespace\":\"x y\",\"fields\":[]}",
         "namespace: is not a namespace that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"a\",\"namespace\":[],\"fields\":[]}", "namespace: must be a string"},
        {"{\"type\":\"record\",\"name\":\"a\"}", "fields: is missing"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":{}}", "fields: must be a list"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[\"int\"]}", "fields[0]: must be an object"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"type\":\"int\"}]}", "fields[0].name: is missing"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"a.b\",\"type\":\"int\"}]}",
         "fields[0].name: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"b\"}]}", "fields[0].type: is missing"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"b\",\"type\":{\"type\":\"array\",\"items\":\"c\"}"
         "}]}",
         "fields[0].type.items: \"c\" is not defined"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"b\",\"type\":\"int\"},{\"name\":\"b\",\"type\":"
         "\"int\"}]}",
         "fields[1].name: \"b\" is there twice"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[],\"aliases\":\"b\"}", "aliases: must be a list"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[],\"aliases\":[\"b\",5]}", "aliases[1]: must be a string"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[],\"aliases\":[\"b c\"]}",
         "aliases[0]: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"b\",\"type\":\"int\",\"aliases\":[\"c.d\"]}]}",
         "fields[0].aliases[0]: is not a name that Avro allows"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"b\",\"type\":{\"type\":\"enum\",\"name\":\"a\","
         "\"symbols\":[]}}]}",
         "fields[0].type.name: \"a\" is there twice"},
        {"{\"type\":\"enum\",\"name\":\"e\"}", "symbols: is missing"},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"a\",\"b\",\"a\"]}", "symbols[2]: \"a\" is there twice"},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"a-b\"]}", "symbols[0]: is not a name that Avro allows"},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[null]}", "symbols[0]: must be a string"},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"a\"],\"default\":\"b\"}", "default: is none of the symbols"},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"a\"],\"default\":0}", "default: must be a string"},
        {"{\"type\":\"fixed\",\"name\":\"f\"}", "size: must be an integer from 0 to 2147483647"},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":-1}", "size: must be an integer from 0 to 2147483647"},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":2147483648}", "size: must be an integer from 0 to 2147483647"},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":1.5}", "size: must be an integer from 0 to 2147483647"},
        {"{\"type\":\"int\"", "not JSON: line 1, column 14: '}' expected"},
        {"\"int\" \"int\"", "not JSON: line 1, column 11: ']' expected"},
        {"{\"type\":\"int\",\"type\":\"int\"}", "not JSON: line 1, column 20: duplicate object key"},
        {"", "not JSON: line 1, column 1: unexpected token"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check_refused(cases[i][0], KUR_ERROR_SYNTAX, cases[i][1]);
}
END_TEST

/* `count` times `part`, in which %zu is the number, between what stands before and behind. */
static char *repeated(const char *before, const char *part, size_t count, const char *behind)
{
    kur_buffer text = {0};
    kur_buffer_append(&text, before, strlen(before));
    for (size_t i = 0; i < count; i++) {
        const char *number = strstr(part, "%zu");
        int front = number != NULL ? (int)(number - part) : (int)strlen(part);
        kur_buffer_print(&text, "%.*s", front, part);
        if (number != NULL)
            kur_buffer_print(&text, "%zu%s", i, number + 3);
    }
    kur_buffer_append(&text, behind, strlen(behind));
    return text.data;
}

static void check_limit(const char *before, const char *part, size_t count, const char *behind, const char *message)
{
    char *text = repeated(before, part, count, behind);
    kur_schema_unref(schema_of_text(text));
    free(text);
    text = repeated(before, part, count + 1, behind);
    check_refused(text, KUR_ERROR_TOO_LARGE, message);
    free(text);
}

START_TEST(test_schema__limits)
{
    static const char many[] = "more than 10000 types, fields, symbols and aliases";
    char message[200], *long_name = repeated("", "n", 1023, ""), *text;
    snprintf(message, sizeof message, "symbols: %s", many);
    check_limit("{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"a\"", ",\"s%zu\"", 9998, "]}", message);
    snprintf(message, sizeof message, "fields: %s", many);
    check_limit("{\"type\":\"record\",\"name\":\"e\",\"fields\":[{\"name\":\"f\",\"type\":\"int\"}",
                ",{\"name\":\"f%zu\",\"type\":\"int\"}", 9998, "]}", message);
    snprintf(message, sizeof message, "aliases: %s", many);
    check_limit("{\"type\":\"record\",\"name\":\"e\",\"fields\":[],\"aliases\":[\"a\"", ",\"a%zu\"", 9998, "]}",
                message);
    /* Each with its place in the union, and itself. */
    snprintf(message, sizeof message, "[4999]: %s", many);
    check_limit("[\"int\"", ",{\"type\":\"fixed\",\"name\":\"f%zu\",\"size\":1}", 4999, "]", message);

    text = repeated("", "{\"type\":\"array\",\"items\":", 65, "");
    check_refused(text, KUR_ERROR_TOO_LARGE, "the JSON nests deeper than 64");
    free(text);

    /* Names of the most bytes, and of one more. */
    text = repeated("{\"type\":\"fixed\",\"size\":1,\"name\":\"", "n", 1023, "\"}");
    kur_schema *schema = schema_of_text(text);
    ck_assert_str_eq(kur_schema_name(schema), long_name);
    kur_schema_unref(schema);
    free(text);
    text = repeated("{\"type\":\"fixed\",\"size\":1,\"namespace\":\"a\",\"name\":\"", "n", 1022, "\"}");
    check_refused(text, KUR_ERROR_SYNTAX, "name: is not a name that Avro allows");
    free(text);
    free(long_name);

    text = repeated("{\"type\":\"int\",\"x\":[0", ",{}", 79998, "]}");
    kur_schema_unref(schema_of_text(text));
    free(text);
    text = repeated("{\"type\":\"int\",\"x\":[0", ",{}", 79999, "]}");
    check_refused(text, KUR_ERROR_TOO_LARGE, "the schema has more than 80000 brackets");
    free(text);

    text = repeated("\"", " ", KUR_SCHEMA_SIZE_MAX, "\"");
    check_refused(text, KUR_ERROR_TOO_LARGE, "the JSON has 1048578 bytes, at most 1048576 are read");
    free(text);
}
END_TEST

/* Types that stand side by side in the text, each with a field of the one before: the last nests all others. */
START_TEST(test_schema__types_that_nest_by_name)
{
    kur_error error = {0};
    for (size_t count = 62; count <= 64; count++) {
        kur_buffer text = {0};
        kur_buffer_print(&text, "[{\"type\":\"fixed\",\"name\":\"r0\",\"size\":1}");
        for (size_t i = 1; i <= count; i++)
            kur_buffer_print(&text,
                             ",{\"type\":\"record\",\"name\":\"r%zu\",\"fields\":[{\"name\":\"f\",\"type\":\"r%zu\"}]}",
                             i, i - 1);
        kur_buffer_print(&text, "]");
        kur_schema *types = NULL, *schema = NULL;
        ck_ok(kur_schema_parse(kur_bytes_of(text.data, text.size), NULL, 0, &types, &error), error);
        char last[16];
        snprintf(last, sizeof last, "\"r%zu\"", count);
        const kur_schema_reference reference = {"types", types};
        kur_status status = kur_schema_parse(kur_bytes_text(last), &reference, 1, &schema, &error);
        ck_assert_int_eq(status, count < 64 ? KUR_OK : KUR_ERROR_TOO_LARGE);
        ck_assert(status == KUR_OK || strcmp(error.message, "types nest deeper than 64") == 0);
        kur_schema_unref(schema);
        kur_schema_unref(types);
        kur_buffer_done(&text);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_schema__fingerprints,
                                  test_schema__names_and_namespaces,
                                  test_schema__namespaces_may_have_a_dollar,
                                  test_schema__nodes_have_numbers_of_their_own,
                                  test_schema__logical_types,
                                  test_schema__defaults_are_kept,
                                  test_schema__text_and_references,
                                  test_schema__references_are_part_of_it,
                                  test_schema__references_that_do_not_fit,
                                  test_schema__refuses_what_is_no_schema,
                                  test_schema__limits,
                                  test_schema__types_that_nest_by_name,
                                  NULL};
    return check_main("schema", tests);
}
