/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Schemas made of field lists: the form of every kind, names, defaults, and what Avro has no name for.
 */
#include <kurier/typed.h>
#include <stdio.h>
#include <stdlib.h>

#include "../check_main.h"
#include "event/schema.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#define METAL(F, S)                                                                                                    \
    F(S, gold)                                                                                                         \
    F(S, old_iron, .json = "iron")                                                                                     \
    F(S, unknown)
KUR_ENUM(metal, METAL);
KUR_ENUM_DEFINE(metal, METAL, .unknown = "unknown", .doc = "of what it is", .aliases = "alloy old.Metal");

#define PART(F, S)                                                                                                     \
    F(S, STRING, sku, .doc = "as printed \"on it\"", .aliases = "id  code")                                            \
    F(S, ENUM(metal), metal, .default_text = "iron")                                                                   \
    F(S, LIST(RECORD(part)), parts, .default_text = "[]")
KUR_RECORD(part, PART);
KUR_RECORD_DEFINE(part, PART, .avro_name = "shop.stock.Part", .doc = "a part", .aliases = "Piece");

#define MACHINE(F, S)                                                                                                  \
    F(S, STRING, text, .flags = KUR_KEY)                                                                               \
    F(S, BYTES, raw)                                                                                                   \
    F(S, BOOL, yes)                                                                                                    \
    F(S, INT32, small)                                                                                                 \
    F(S, INT64, large)                                                                                                 \
    F(S, FLOAT, narrow)                                                                                                \
    F(S, DOUBLE, wide)                                                                                                 \
    F(S, TIMESTAMP, at)                                                                                                \
    F(S, TIMESTAMP, coarse_at, .flags = KUR_MILLIS)                                                                    \
    F(S, DATE, day)                                                                                                    \
    F(S, DECIMAL(9, 2), amount)                                                                                        \
    F(S, UUID, id)                                                                                                     \
    F(S, FIXED(16), hash)                                                                                              \
    F(S, ENUM(metal), metal)                                                                                           \
    F(S, RECORD(part), part)                                                                                           \
    F(S, OPTIONAL(TIMESTAMP), last_at, .flags = KUR_MILLIS)                                                            \
    F(S, LIST(OPTIONAL(FIXED(16))), hashes)                                                                            \
    F(S, MAP(LIST(FIXED(4))), marks, .avro_name = "shop.Mark")                                                         \
    F(S, OPTIONAL(RECORD(part)), spare)
KUR_EVENT(machine, "shop.machine.built", 2, MACHINE);
KUR_EVENT_DEFINE(machine, MACHINE, .names = KUR_CAMEL_CASE, .doc = "A machine\n\xc3\xa9");

static const char machine_text[] =
    "{'type':'record','name':'machine','namespace':'shop.machine','doc':'A machine\\n\xc3\xa9','fields':["
    "{'name':'text','type':'string'},"
    "{'name':'raw','type':'bytes'},"
    "{'name':'yes','type':'boolean'},"
    "{'name':'small','type':'int'},"
    "{'name':'large','type':'long'},"
    "{'name':'narrow','type':'float'},"
    "{'name':'wide','type':'double'},"
    "{'name':'at','type':{'type':'long','logicalType':'timestamp-micros'}},"
    "{'name':'coarseAt','type':{'type':'long','logicalType':'timestamp-millis'}},"
    "{'name':'day','type':{'type':'int','logicalType':'date'}},"
    "{'name':'amount','type':{'type':'bytes','logicalType':'decimal','precision':9,'scale':2}},"
    "{'name':'id','type':{'type':'string','logicalType':'uuid'}},"
    "{'name':'hash','type':{'type':'fixed','name':'fixed_16','size':16}},"
    "{'name':'metal','type':{'type':'enum','name':'metal','doc':'of what it is','aliases':['alloy','old.Metal'],"
    "'symbols':['gold','iron','unknown'],'default':'unknown'}},"
    "{'name':'part','type':{'type':'record','name':'Part','namespace':'shop.stock','doc':'a part','aliases':['Piece'],"
    "'fields':["
    "{'name':'sku','type':'string','doc':'as printed \\\"on it\\\"','aliases':['id','code']},"
    "{'name':'metal','type':'shop.machine.metal','default':'iron'},"
    "{'name':'parts','type':{'type':'array','items':'shop.stock.Part'},'default':[]}]}},"
    "{'name':'lastAt','type':['null',{'type':'long','logicalType':'timestamp-millis'}],'default':null},"
    "{'name':'hashes','type':{'type':'array','items':['null','shop.machine.fixed_16']}},"
    "{'name':'marks','type':{'type':'map','values':{'type':'array','items':"
    "{'type':'fixed','name':'Mark','namespace':'shop','size':4}}}},"
    "{'name':'spare','type':['null','shop.stock.Part'],'default':null}]}";

/* What a field's default becomes. */
#define DEFAULTS(F, S)                                                                                                 \
    F(S, STRING, text, .default_text = "say \"\xc3\xa9\"\n")                                                           \
    F(S, BOOL, yes, .default_text = "true")                                                                            \
    F(S, INT32, small, .default_text = "-5")                                                                           \
    F(S, INT64, large, .default_text = "-9223372036854775808")                                                         \
    F(S, FLOAT, narrow, .default_text = "0.1")                                                                         \
    F(S, DOUBLE, wide, .default_text = "1e300")                                                                        \
    F(S, TIMESTAMP, at, .default_text = "1970-01-01T00:00:01.5Z")                                                      \
    F(S, TIMESTAMP, before, .default_text = "1969-12-31T23:59:59.9999Z", .flags = KUR_MILLIS)                          \
    F(S, DATE, day, .default_text = "1969-12-31")                                                                      \
    F(S, DECIMAL(9, 2), none, .default_text = "0")                                                                     \
    F(S, DECIMAL(9, 2), minus, .default_text = "-1.28")                                                                \
    F(S, DECIMAL(9, 2), plus, .default_text = "1.28")                                                                  \
    F(S, DECIMAL(18, 0), most, .default_text = "999999999999999999")                                                   \
    F(S, UUID, id, .default_text = "ABABABAB-abab-abab-abab-abababababab")                                             \
    F(S, ENUM(metal), metal, .default_text = "mercury")                                                                \
    F(S, LIST(INT32), list, .default_text = "[]")                                                                      \
    F(S, MAP(INT32), map, .default_text = "{}")
KUR_RECORD(defaults, DEFAULTS);
KUR_RECORD_DEFINE(defaults, DEFAULTS);

static const char *const default_texts[] = {"'say \\\"\xc3\xa9\\\"\\n'",
                                            "true",
                                            "-5",
                                            "-9223372036854775808",
                                            "0.1",
                                            "1e+300",
                                            "1500000",
                                            "-1",
                                            "-1",
                                            "'\\u0000'",
                                            "'\\u0080'",
                                            "'\\u0000\\u0080'",
                                            "'\\u000d\\u00e0\\u00b6\\u00b3\\u00a7\\u0063\\u00ff\\u00ff'",
                                            "'abababab-abab-abab-abab-abababababab'",
                                            "'unknown'",
                                            "[]",
                                            "{}"};

/* `expected` has ' for ". */
static char *quoted(const char *expected)
{
    char *text = strdup(expected);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    return text;
}

START_TEST(test_schema_of__every_kind)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    ck_ok(machine_schema(&schema, &error), error);
    char *expected = quoted(machine_text);
    ck_assert_str_eq((const char *)kur_schema_text(schema).data, expected);
    ck_assert_uint_eq(kur_schema_text(schema).size, strlen(expected));
    free(expected);
    ck_assert_str_eq(kur_schema_name(schema), "shop.machine.machine");
    const kur__node_field *fields = schema->root->fields;
    ck_assert_int_eq(fields[7].node->logical, KUR__LOGICAL_MICROS);
    ck_assert_int_eq(fields[8].node->logical, KUR__LOGICAL_MILLIS);
    ck_assert_int_eq(fields[10].node->logical, KUR__LOGICAL_DECIMAL);
    ck_assert_ptr_eq(kur__node_element(fields[16].node)->branches[1], fields[12].node);
    ck_assert_ptr_eq(fields[18].node->branches[1], fields[14].node);
    ck_assert_str_eq(fields[14].node->aliases[0], "shop.stock.Piece");
    ck_assert_str_eq(fields[13].node->aliases[0], "shop.machine.alloy");
    ck_assert_str_eq(fields[13].node->aliases[1], "old.Metal");
    kur_schema_unref(schema);
}
END_TEST

START_TEST(test_schema_of__defaults)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    ck_ok(defaults_schema(&schema, &error), error);
    ck_assert_str_eq(kur_schema_name(schema), "defaults");
    for (size_t i = 0; i < COUNT_OF(default_texts); i++) {
        const kur__node_field *field = &schema->root->fields[i];
        char *text = quoted(default_texts[i]);
        json_t *expected = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        ck_assert_msg(json_equal(field->default_value, expected), "%s: not %s", field->name, text);
        json_decref(expected);
        free(text);
    }
    kur_schema_unref(schema);
}
END_TEST

/* ---- Names ---- */

static kur_type record_of(const char *name, const kur_field *fields, size_t count)
{
    return (kur_type){.abi = KUR_TYPE_ABI,
                      .kind = KUR_KIND_IS_RECORD,
                      .name = name,
                      .size = 64,
                      .align = 8,
                      .fields = fields,
                      .field_size = sizeof *fields,
                      .field_count = count};
}

static void check_refused(const kur_type *type, const char *message)
{
    kur_error error = {0};
    kur_schema *schema = (kur_schema *)&error; /* untouched */
    ck_status(kur_schema_of(type, &schema, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, message);
    ck_assert_ptr_eq(schema, &error);
    ck_assert_int_eq(kur_schema_of(type, &schema, NULL), KUR_ERROR_INVALID_ARGUMENT);
}

static void check_name(const kur_type *type, const char *name, const char *inner)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    ck_ok(kur_schema_of(type, &schema, &error), error);
    ck_assert_str_eq(kur_schema_name(schema), name);
    ck_assert_str_eq(schema->root->fields[0].node->name, inner);
    kur_schema_unref(schema);
}

START_TEST(test_schema_of__names)
{
    kur_field number = {.name = "n", .type = KUR__TYPE_INT32};
    kur_type inner = record_of("inner", &number, 1);
    kur_field field = {.name = "f", .type = &inner};
    kur_type outer = record_of("outer", &field, 1);
    check_name(&outer, "outer", "inner");
    outer.event_type = "created";
    outer.version = 1;
    check_name(&outer, "outer", "inner");
    outer.event_type = "shop.order.created";
    check_name(&outer, "shop.order.outer", "shop.order.inner");
    /* An event within another one goes by the outer one's namespace. */
    inner.event_type = "bank.paid";
    inner.version = 1;
    check_name(&outer, "shop.order.outer", "shop.order.inner");
    check_name(&outer, "shop.order.outer", "shop.order.inner");
    inner.avro_name = "bank.Paid";
    check_name(&outer, "shop.order.outer", "bank.Paid");
    outer.avro_name = "a.Outer";
    inner.avro_name = NULL;
    check_name(&outer, "a.Outer", "a.inner");
    outer.avro_name = "Outer";
    check_name(&outer, "Outer", "inner");
}
END_TEST

START_TEST(test_schema_of__refuses_what_avro_has_no_name_for)
{
    kur_field number = {.name = "n", .type = KUR__TYPE_INT32};
    kur_type inner = record_of("inner", &number, 1), other = record_of("inner", &number, 1);
    kur_field fields[] = {{.name = "f", .type = &inner}, {.name = "g", .type = &inner}};
    kur_type outer = record_of("outer", fields, 2);
    check_refused(NULL, "type is NULL");
    check_refused(&metal_type, "not the descriptor of a record");
    number.json = "n-1";
    check_refused(&outer, "f.n: the name on the wire is none that Avro allows");
    number.json = NULL;
    number.doc = "\xff";
    check_refused(&outer, "f.n: .doc is not UTF-8");
    number.doc = NULL;
    number.min = "x";
    check_refused(&outer, "f.n: expected integer");
    number.min = NULL;
    fields[1].type = &other;
    check_refused(&outer, "g: two types have the same name in Avro");
    other.avro_name = "other";
    check_name(&outer, "outer", "inner");
    outer.avro_name = "a.outer";
    check_refused(&outer, "g: the .avro_name needs a namespace");
    outer.avro_name = NULL;
    outer.event_type = "a-b.created";
    outer.version = 1;
    check_refused(&outer, "the event's type gives no namespace that Avro allows");
    outer.event_type = NULL;
    inner.name = "in$ner";
    check_refused(&outer, "f: the name of the type is none that Avro allows");

    kur_field fixed[] = {{.name = "f", .type = KUR__TYPE_FIXED(4), .avro_name = "a.b"},
                         {.name = "g", .type = KUR__TYPE_FIXED(4), .avro_name = "a.b"},
                         {.name = "h", .type = KUR__TYPE_OPTIONAL(FIXED(5)), .avro_name = "a.b"}};
    outer = record_of("outer", fixed, 2);
    check_name(&outer, "outer", "a.b");
    outer.field_count = 3;
    check_refused(&outer, "h: two types have the same name in Avro");
    fixed[2].avro_name = "outer";
    check_refused(&outer, "h: two types have the same name in Avro");

    kur_field symbol = {.name = "dark_green", .json = "dark-green"};
    kur_type shades = record_of("shades", &symbol, 1);
    shades.kind = KUR_KIND_IS_ENUM;
    kur_field shade = {.name = "shade", .type = &shades};
    outer = record_of("outer", &shade, 1);
    check_refused(&outer, "shade: a symbol of the enum is no name that Avro allows");
    kur_error error = {0};
    ck_status(kur_schema_of(&outer, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "schema is NULL");
}
END_TEST

/* Records in records, each of a type of its own: as deep as a schema's text may nest, and not deeper. */
START_TEST(test_schema_of__types_that_nest_deep)
{
    static kur_type types[30];
    static kur_field fields[30];
    static char names[30][8];
    const kur_type *number = KUR__TYPE_INT32;
    kur_error error = {0};
    for (int i = 29; i >= 0; i--) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        fields[i] = (kur_field){.name = "f", .type = i < 29 ? &types[i + 1] : number};
        types[i] = record_of(names[i], &fields[i], 1);
        types[i].size = 8;
    }
    kur_schema *schema = NULL;
    ck_status(kur_schema_of(&types[0], &schema, &error), KUR_ERROR_TOO_LARGE, error);
    ck_ok(kur_schema_of(&types[9], &schema, &error), error);
    kur_schema_unref(schema);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_schema_of__every_kind,
                                  test_schema_of__defaults,
                                  test_schema_of__names,
                                  test_schema_of__refuses_what_avro_has_no_name_for,
                                  test_schema_of__types_that_nest_deep,
                                  NULL};
    return check_main("schema_of", tests);
}
