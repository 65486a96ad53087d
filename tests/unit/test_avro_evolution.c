/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Every rule of Avro's specification, "Schema Resolution", and of what is ours in docs/decisions/avro.md: a writer's
 * schema, a reader, and the bytes' meaning or the words that refuse it.
 */
#include "avro_types.h"
#include "check_main.h"

#include <string.h>
#include <time.h>

KUR_ENUM_DEFINE(tone, TONE, .unknown = "other");
KUR_RECORD_DEFINE(part, PART);

#define STRICT(F, S)                                                                                                   \
    F(S, red)                                                                                                          \
    F(S, green)
KUR_ENUM(strict, STRICT);
KUR_ENUM_DEFINE(strict, STRICT, .aliases = "severe");

/* Readers that have one field of each kind. */
#define READER(name, ...)                                                                                              \
    KUR_RECORD(name, __VA_ARGS__);                                                                                     \
    KUR_RECORD_DEFINE(name, __VA_ARGS__, .avro_name = "r")
#define OF_STRING(F, S) F(S, STRING, f)
READER(of_string, OF_STRING);
#define OF_BYTES(F, S) F(S, BYTES, f)
READER(of_bytes, OF_BYTES);
#define OF_BOOL(F, S) F(S, BOOL, f)
READER(of_bool, OF_BOOL);
#define OF_INT(F, S) F(S, INT32, f, .max = "1000")
READER(of_int, OF_INT);
#define OF_LONG(F, S) F(S, INT64, f)
READER(of_long, OF_LONG);
#define OF_FLOAT(F, S) F(S, FLOAT, f)
READER(of_float, OF_FLOAT);
#define OF_DOUBLE(F, S) F(S, DOUBLE, f, .min = "-1")
READER(of_double, OF_DOUBLE);
#define OF_TIME(F, S) F(S, TIMESTAMP, f)
READER(of_time, OF_TIME);
#define OF_MILLIS(F, S) F(S, TIMESTAMP, f, .flags = KUR_MILLIS)
READER(of_millis, OF_MILLIS);
#define OF_DATE(F, S) F(S, DATE, f)
READER(of_date, OF_DATE);
#define OF_DECIMAL(F, S) F(S, DECIMAL(6, 2), f)
READER(of_decimal, OF_DECIMAL);
#define OF_UUID(F, S) F(S, UUID, f)
READER(of_uuid, OF_UUID);
#define OF_FIXED(F, S) F(S, FIXED(2), f, .avro_name = "two")
READER(of_fixed, OF_FIXED);
#define OF_TONE(F, S) F(S, ENUM(tone), f)
READER(of_tone, OF_TONE);
#define OF_STRICT(F, S) F(S, ENUM(strict), f)
READER(of_strict, OF_STRICT);
#define OF_OPTIONAL(F, S) F(S, OPTIONAL(STRING), f)
READER(of_optional, OF_OPTIONAL);
#define OF_LIST(F, S) F(S, LIST(INT64), f)
READER(of_list, OF_LIST);
#define OF_MAP(F, S) F(S, MAP(INT64), f)
READER(of_map, OF_MAP);
#define OF_PART(F, S) F(S, RECORD(part), f)
READER(of_part, OF_PART);
#define OF_PARTS(F, S) F(S, LIST(RECORD(part)), f)
READER(of_parts, OF_PARTS);

/* Fields that came later, that go by another name now, and that have gone. */
#define NEWER(F, S)                                                                                                    \
    F(S, INT32, b)                                                                                                     \
    F(S, INT32, a)                                                                                                     \
    F(S, STRING, renamed, .default_text = "none", .aliases = "old older")                                              \
    F(S, DECIMAL(6, 2), price, .default_text = "1.50")                                                                 \
    F(S, LIST(INT32), list, .default_text = "[]")                                                                      \
    F(S, ENUM(tone), tone, .default_text = "green")                                                                    \
    F(S, OPTIONAL(INT32), maybe)
KUR_RECORD(newer, NEWER);
KUR_RECORD_DEFINE(newer, NEWER, .names = KUR_CAMEL_CASE, .avro_name = "shop.r", .aliases = "shop.ancient");
#define CLOSED(F, S) F(S, INT32, a)
KUR_RECORD(closed, CLOSED);
KUR_RECORD_DEFINE(closed, CLOSED, .avro_name = "r", .unknown_fields = KUR_UNKNOWN_FIELDS_REFUSE);

static kur_arena *arena;

static kur_schema *schema_of_text(const char *text)
{
    kur_schema *schema = NULL;
    kur_error error = {0};
    ck_ok(kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, &error), error);
    return schema;
}

/* ---- Types ---- */

#define R(fields) "{\"type\":\"record\",\"name\":\"r\",\"fields\":[" fields "]}"
#define F(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define ONE(type) R(F("f", type))
#define ENUM_OF(name, symbols) "{\"type\":\"enum\",\"name\":\"" name "\",\"symbols\":[" symbols "]}"
#define FIXED_OF(name, size) "{\"type\":\"fixed\",\"name\":\"" name "\",\"size\":" size "}"
#define LOGICAL(type, logical) "{\"type\":\"" type "\",\"logicalType\":\"" logical "\"}"
#define DECIMAL_OF(precision, scale)                                                                                   \
    "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":" precision ",\"scale\":" scale "}"
#define ARRAY_OF(type) "{\"type\":\"array\",\"items\":" type "}"
#define MAP_OF(type) "{\"type\":\"map\",\"values\":" type "}"
#define PART_OF(fields) "{\"type\":\"record\",\"name\":\"part\",\"fields\":[" fields "]}"
#define UUID_TEXT "48 30313233343536372d383961622d636465662d303132332d343536373839616263646566"

/* What becomes of bytes: JSON of the record, or the words that refuse them, or that refuse the schema (no bytes). */
typedef struct rule {
    const char *writer;
    const kur_type *reader;
    const char *hex, *json, *words;
} rule;

static const rule rules[] = {
    /* Primitive types are themselves. */
    {ONE("\"string\""), &of_string_type, "04 6869", "{\"f\":\"hi\"}", NULL},
    {ONE("\"bytes\""), &of_bytes_type, "04 0001", "{\"f\":\"AAE=\"}", NULL},
    {ONE("\"boolean\""), &of_bool_type, "01", "{\"f\":true}", NULL},
    {ONE("\"int\""), &of_int_type, "03", "{\"f\":-2}", NULL},
    {ONE("\"long\""), &of_long_type, "03", "{\"f\":-2}", NULL},
    {ONE("\"float\""), &of_float_type, "0000c03f", "{\"f\":1.5}", NULL},
    {ONE("\"double\""), &of_double_type, "000000000000f83f", "{\"f\":1.5}", NULL},
    /* int is promoted to long, float, double; long to float, double; float to double; string and bytes to each other.
     */
    {ONE("\"int\""), &of_long_type, "03", "{\"f\":-2}", NULL},
    {ONE("\"int\""), &of_float_type, "06", "{\"f\":3}", NULL},
    {ONE("\"int\""), &of_double_type, "06", "{\"f\":3}", NULL},
    {ONE("\"long\""), &of_float_type, "feffffffffffffffff01", "{\"f\":9.223372e+18}", NULL},
    /* Rounded once: by way of a double it would be the float below. */
    {ONE("\"long\""), &of_float_type, "828080808084808020", "{\"f\":1.1529216e+18}", NULL},
    {ONE("\"long\""), &of_double_type, "8280808008", "{\"f\":1073741825}", NULL},
    {ONE("\"float\""), &of_double_type, "0000c03f", "{\"f\":1.5}", NULL},
    {ONE("\"string\""), &of_bytes_type, "04 6869", "{\"f\":\"aGk=\"}", NULL},
    {ONE("\"bytes\""), &of_string_type, "04 6869", "{\"f\":\"hi\"}", NULL},
    {ONE("\"bytes\""), &of_string_type, "02 ff", NULL, "f: is not UTF-8"},
    {ONE("\"string\""), &of_string_type, "04 6100", NULL, "f: has a NUL inside"},
    /* Nothing else is: not backwards, and not aside. */
    {ONE("\"long\""), &of_int_type, NULL, NULL, "f: the writer's long cannot be read as int"},
    {ONE("\"double\""), &of_float_type, NULL, NULL, "f: the writer's double cannot be read as float"},
    {ONE("\"float\""), &of_long_type, NULL, NULL, "f: the writer's float cannot be read as long"},
    {ONE("\"double\""), &of_long_type, NULL, NULL, "f: the writer's double cannot be read as long"},
    {ONE("\"int\""), &of_string_type, NULL, NULL, "f: the writer's int cannot be read as string"},
    {ONE("\"string\""), &of_int_type, NULL, NULL, "f: the writer's string cannot be read as int"},
    {ONE("\"boolean\""), &of_int_type, NULL, NULL, "f: the writer's boolean cannot be read as int"},
    {ONE("\"int\""), &of_bool_type, NULL, NULL, "f: the writer's int cannot be read as boolean"},
    {ONE("\"null\""), &of_int_type, NULL, NULL, "f: the writer's null cannot be read as int"},
    {ONE(FIXED_OF("two", "2")), &of_bytes_type, NULL, NULL,
     "f: the writer's fixed two of 2 bytes cannot be read as bytes"},
    {ONE("\"string\""), &of_tone_type, NULL, NULL, "f: the writer's string cannot be read as enum tone"},
    {ONE("\"string\""), &of_list_type, NULL, NULL, "f: the writer's string cannot be read as array"},
    {ONE(ARRAY_OF("\"int\"")), &of_map_type, NULL, NULL, "f: the writer's array cannot be read as map"},
    {ONE(MAP_OF("\"int\"")), &of_list_type, NULL, NULL, "f: the writer's map cannot be read as array"},
    {ONE(PART_OF(F("x", "\"int\""))), &of_map_type, NULL, NULL, "f: the writer's record part cannot be read as map"},
    {"\"int\"", &of_int_type, NULL, NULL, "the writer's int cannot be read as record r"},
    /* An int that fits no int is none, whatever it is read as. */
    {ONE("\"int\""), &of_long_type, "8080808010", NULL, "f: not Avro: an int is not whole, or too large"},
    /* What was read has to validate. */
    {ONE("\"int\""), &of_int_type, "d20f", NULL, "f: must be at most 1000"},
    {ONE("\"int\""), &of_double_type, "03", NULL, "f: must be at least -1"},
    {ONE("\"boolean\""), &of_bool_type, "02", NULL, "f: not Avro: neither true nor false"},
    {ONE("\"double\""), &of_double_type, "000000000000f87f", NULL, "f: is not a finite number"},
    {ONE("\"float\""), &of_float_type, "0000807f", NULL, "f: is not a finite number"},

    /* Times: of either unit; what has none is taken for the reader's. */
    {ONE(LOGICAL("long", "timestamp-micros")), &of_time_type, "02", "{\"f\":\"1970-01-01T00:00:00.000001Z\"}", NULL},
    {ONE(LOGICAL("long", "timestamp-millis")), &of_time_type, "02", "{\"f\":\"1970-01-01T00:00:00.001Z\"}", NULL},
    {ONE(LOGICAL("long", "timestamp-micros")), &of_millis_type, "02", "{\"f\":\"1970-01-01T00:00:00.000001Z\"}", NULL},
    {ONE(LOGICAL("long", "timestamp-millis")), &of_millis_type, "01", "{\"f\":\"1969-12-31T23:59:59.999Z\"}", NULL},
    {ONE("\"long\""), &of_time_type, "02", "{\"f\":\"1970-01-01T00:00:00.000001Z\"}", NULL},
    {ONE("\"long\""), &of_millis_type, "02", "{\"f\":\"1970-01-01T00:00:00.001Z\"}", NULL},
    {ONE("\"int\""), &of_millis_type, "02", "{\"f\":\"1970-01-01T00:00:00.001Z\"}", NULL},
    {ONE(LOGICAL("long", "timestamp-millis")), &of_time_type, "feffffffffffffffff01", NULL,
     "f: the year is outside 0001 to 9999"},
    {ONE(LOGICAL("long", "timestamp-micros")), &of_time_type, "feffffffffffffffff01", NULL,
     "f: the year is outside 0001 to 9999"},
    {ONE(LOGICAL("long", "timestamp-micros")), &of_long_type, "02", "{\"f\":1}", NULL},
    {ONE(LOGICAL("int", "date")), &of_time_type, NULL, NULL, "f: the writer's date cannot be read as timestamp-micros"},
    {ONE(LOGICAL("int", "date")), &of_date_type, "02", "{\"f\":\"1970-01-02\"}", NULL},
    {ONE("\"int\""), &of_date_type, "02", "{\"f\":\"1970-01-02\"}", NULL},
    {ONE(LOGICAL("int", "date")), &of_int_type, "02", "{\"f\":1}", NULL},
    {ONE(LOGICAL("int", "date")), &of_date_type, "feffffff0f", NULL, "f: the year is outside 0001 to 9999"},
    {ONE(LOGICAL("int", "time-millis")), &of_int_type, "02", "{\"f\":1}", NULL},

    /* Decimals: of the same scale; of bytes or fixed; as many digits as fit. */
    {ONE(DECIMAL_OF("6", "2")), &of_decimal_type, "04 ff38", "{\"f\":\"-2.00\"}", NULL},
    {ONE(DECIMAL_OF("30", "2")), &of_decimal_type, "16 00000000000000000000c8", "{\"f\":\"2.00\"}", NULL},
    {ONE(DECIMAL_OF("30", "2")), &of_decimal_type, "12 010000000000000000", NULL, "f: has more than 6 digits"},
    {ONE(DECIMAL_OF("30", "2")), &of_decimal_type, "06 0f4240", NULL, "f: has more than 6 digits"},
    {ONE(DECIMAL_OF("6", "2")), &of_decimal_type, "00", NULL, "f: a decimal of no bytes"},
    {ONE(DECIMAL_OF("6", "3")), &of_decimal_type, NULL, NULL,
     "f: the writer's decimal(6, 3) cannot be read as decimal(6, 2): another scale"},
    {ONE("{\"type\":\"fixed\",\"name\":\"d\",\"size\":3,\"logicalType\":\"decimal\",\"precision\":6,\"scale\":2}"),
     &of_decimal_type, "ffff38", "{\"f\":\"-2.00\"}", NULL},
    {ONE("\"bytes\""), &of_decimal_type, "04 00c8", "{\"f\":\"2.00\"}", NULL},
    {ONE(DECIMAL_OF("6", "2")), &of_bytes_type, "02 c8", "{\"f\":\"yA==\"}", NULL},
    {ONE(FIXED_OF("d", "3")), &of_decimal_type, NULL, NULL,
     "f: the writer's fixed d of 3 bytes cannot be read as decimal(6, 2)"},

    /* UUIDs: of string, or of fixed. */
    {ONE(LOGICAL("string", "uuid")), &of_uuid_type, UUID_TEXT, "{\"f\":\"01234567-89ab-cdef-0123-456789abcdef\"}",
     NULL},
    {ONE("\"string\""), &of_uuid_type, UUID_TEXT, "{\"f\":\"01234567-89ab-cdef-0123-456789abcdef\"}", NULL},
    {ONE("\"string\""), &of_uuid_type, "04 6869", NULL, "f: expected UUID, found another text"},
    {ONE("{\"type\":\"fixed\",\"name\":\"u\",\"size\":16,\"logicalType\":\"uuid\"}"), &of_uuid_type,
     "0123456789abcdef0123456789abcdef", "{\"f\":\"01234567-89ab-cdef-0123-456789abcdef\"}", NULL},
    {ONE(LOGICAL("string", "uuid")), &of_string_type, UUID_TEXT, "{\"f\":\"01234567-89ab-cdef-0123-456789abcdef\"}",
     NULL},
    {ONE(FIXED_OF("u", "16")), &of_uuid_type, NULL, NULL, "f: the writer's fixed u of 16 bytes cannot be read as uuid"},

    /* Fixed: of the same size and name. */
    {ONE(FIXED_OF("two", "2")), &of_fixed_type, "0001", "{\"f\":\"AAE=\"}", NULL},
    {ONE(FIXED_OF("other.space.two", "2")), &of_fixed_type, "0001", "{\"f\":\"AAE=\"}", NULL},
    {ONE(FIXED_OF("two", "3")), &of_fixed_type, NULL, NULL,
     "f: the writer's fixed two of 3 bytes cannot be read as fixed two of 2 bytes"},
    {ONE(FIXED_OF("three", "2")), &of_fixed_type, NULL, NULL,
     "f: the writer's fixed three of 2 bytes cannot be read as fixed two of 2 bytes, whose name and aliases are "
     "others"},

    /* Enums: by the symbol, not by its place; what is not known is the default, or fails when it is met. */
    {ONE(ENUM_OF("tone", "\"green\",\"red\"")), &of_tone_type, "00", "{\"f\":\"green\"}", NULL},
    {ONE(ENUM_OF("tone", "\"green\",\"red\"")), &of_tone_type, "02", "{\"f\":\"red\"}", NULL},
    {ONE(ENUM_OF("tone", "\"mauve\",\"red\"")), &of_tone_type, "00", "{\"f\":\"other\"}", NULL},
    {ONE(ENUM_OF("strict", "\"mauve\",\"red\"")), &of_strict_type, "02", "{\"f\":\"red\"}", NULL},
    {ONE(ENUM_OF("strict", "\"mauve\",\"red\"")), &of_strict_type, "00", NULL, "f: is not a symbol of strict"},
    {ONE(ENUM_OF("severe", "\"green\"")), &of_strict_type, "00", "{\"f\":\"green\"}", NULL},
    {ONE(ENUM_OF("hue", "\"red\"")), &of_tone_type, NULL, NULL,
     "f: the writer's enum hue cannot be read as enum tone, whose name and aliases are others"},

    /* Arrays and maps: by their items. */
    {ONE(ARRAY_OF("\"int\"")), &of_list_type, "04 02 04 00", "{\"f\":[1,2]}", NULL},
    {ONE(MAP_OF("\"int\"")), &of_map_type, "02 0261 02 02 0262 04 00", "{\"f\":{\"a\":1,\"b\":2}}", NULL},
    {ONE(MAP_OF("\"int\"")), &of_map_type, "04 0261 02 0261 04 00", NULL, "f: has the key \"a\" twice"},
    {ONE(ARRAY_OF("\"string\"")), &of_list_type, NULL, NULL, "f[]: the writer's string cannot be read as long"},
    {ONE(MAP_OF("\"string\"")), &of_map_type, NULL, NULL, "f[]: the writer's string cannot be read as long"},

    /* Unions: the writer's, each branch by itself; the reader's, the branch that reads what was written. */
    {ONE("[\"null\",\"string\"]"), &of_optional_type, "00", "{}", NULL},
    {ONE("[\"null\",\"string\"]"), &of_optional_type, "02 0261", "{\"f\":\"a\"}", NULL},
    {ONE("[\"string\",\"null\"]"), &of_optional_type, "02", "{}", NULL},
    {ONE("[\"string\",\"null\"]"), &of_optional_type, "00 0261", "{\"f\":\"a\"}", NULL},
    {ONE("\"string\""), &of_optional_type, "0261", "{\"f\":\"a\"}", NULL},
    {ONE("\"null\""), &of_optional_type, "", "{}", NULL},
    {ONE("[\"null\",\"bytes\",\"int\"]"), &of_optional_type, "02 0261", "{\"f\":\"a\"}", NULL},
    {ONE("[\"null\",\"bytes\",\"int\"]"), &of_optional_type, "04 02", NULL,
     "f: the writer's int cannot be read as string"},
    {ONE("[\"int\",\"boolean\"]"), &of_optional_type, NULL, NULL, "f: the writer's int cannot be read as string"},
    {ONE("[\"null\",\"string\"]"), &of_string_type, "02 0261", "{\"f\":\"a\"}", NULL},
    {ONE("[\"null\",\"string\"]"), &of_string_type, "00", NULL, "f: the writer's null cannot be read as string"},
    {ONE("[\"null\",\"int\"]"), &of_string_type, NULL, NULL, "f: the writer's int cannot be read as string"},
    {ONE("[]"), &of_optional_type, NULL, NULL, "f: the writer's union is empty"},
    {ONE("[\"int\",\"long\",\"float\"]"), &of_double_type, "00 06", "{\"f\":3}", NULL},
    {ONE("[\"int\",\"long\",\"float\"]"), &of_double_type, "04 0000c03f", "{\"f\":1.5}", NULL},
    {"[\"null\"," ONE("\"int\"") "]", &of_int_type, "02 06", "{\"f\":3}", NULL},
    {"[\"null\"," ONE("\"int\"") "]", &of_int_type, "00", NULL, "the writer's null cannot be read as record r"},

    /* Records: fields by name, in the writer's order; its other fields are gone over. */
    {R(F("a", "\"int\"") "," F("b", "\"int\"")), &newer_type, "02 04",
     "{\"b\":2,\"a\":1,\"renamed\":\"none\",\"price\":\"1.50\",\"list\":[],\"tone\":\"green\"}", NULL},
    {R(F("x", "\"string\"") "," F("b", "\"int\"") "," F("y", ARRAY_OF("[\"null\",\"double\"]")) "," F("a", "\"int\"")),
     &newer_type, "0461 62 04 04 02 0000000000000000 00 00 02",
     "{\"b\":2,\"a\":1,\"renamed\":\"none\",\"price\":\"1.50\",\"list\":[],\"tone\":\"green\"}", NULL},
    {R(F("b", "\"int\"") "," F("a", "\"int\"") "," F("maybe", "\"int\"") "," F("price",
                                                                               "[\"null\"," DECIMAL_OF("6", "2") "]")),
     &newer_type, "04 02 06 00",
     "{\"b\":2,\"a\":1,\"renamed\":\"none\",\"price\":\"1.50\",\"list\":[],\"tone\":\"green\",\"maybe\":3}", NULL},
    {R(F("b", "\"int\"")), &newer_type, NULL, NULL,
     "a: the writer's record r has no such field, and there is no default"},
    {R(F("B", "\"int\"") "," F("a", "\"int\"")), &newer_type, NULL, NULL, "b: the writer's record r has no such field"},
    /* By an alias, the first one first; the name itself counts more. */
    {R(F("a", "\"int\"") "," F("b", "\"int\"") "," F("older", "\"string\"") "," F("old", "\"string\"")), &newer_type,
     "02 04 0278 0279", "{\"b\":2,\"a\":1,\"renamed\":\"y\",\"price\":\"1.50\",\"list\":[],\"tone\":\"green\"}", NULL},
    {R(F("a", "\"int\"") "," F("b", "\"int\"") "," F("old", "\"string\"") "," F("renamed", "\"string\"")), &newer_type,
     "02 04 0278 0279", "{\"b\":2,\"a\":1,\"renamed\":\"y\",\"price\":\"1.50\",\"list\":[],\"tone\":\"green\"}", NULL},
    {R(F("a", "\"int\"") "," F("b", "\"int\"") "," F("old", "\"int\"")), &newer_type, NULL, NULL,
     "renamed: the writer's int cannot be read as string"},
    /* By the record's name, without its namespace, or an alias. */
    {"{\"type\":\"record\",\"name\":\"other.r\",\"fields\":[" F("a", "\"int\"") "," F("b", "\"int\"") "]}", &newer_type,
     "02 04", "{\"b\":2,\"a\":1,\"renamed\":\"none\",\"price\":\"1.50\",\"list\":[],\"tone\":\"green\"}", NULL},
    {"{\"type\":\"record\",\"name\":\"ancient\",\"fields\":[" F("a", "\"int\"") "," F("b", "\"int\"") "]}", &newer_type,
     "02 04", "{\"b\":2,\"a\":1,\"renamed\":\"none\",\"price\":\"1.50\",\"list\":[],\"tone\":\"green\"}", NULL},
    {"{\"type\":\"record\",\"name\":\"stranger\",\"fields\":[]}", &newer_type, NULL, NULL,
     "the writer's record stranger cannot be read as record shop.r, whose name and aliases are others"},
    {R(F("a", "\"int\"") "," F("b", "\"int\"")), &closed_type, NULL, NULL, "b: is not a field of closed"},
    /* Within others: the path says where. */
    {ONE(PART_OF(F("quantity", "\"int\"") "," F("sku", "\"string\""))), &of_part_type, "04 0261",
     "{\"f\":{\"sku\":\"a\",\"quantity\":2,\"price\":\"0.00\"}}", NULL},
    {ONE(PART_OF(F("sku", "\"string\"") "," F("quantity", "\"string\""))), &of_part_type, NULL, NULL,
     "f.quantity: the writer's string cannot be read as int"},
    {ONE(ARRAY_OF(PART_OF(F("quantity", "\"int\"")))), &of_parts_type, NULL, NULL,
     "f[].sku: the writer's record part has no such field, and there is no default"},
    {ONE(ARRAY_OF(PART_OF(F("sku", "\"string\"") "," F("quantity", "\"int\"")))), &of_parts_type, "04 0261 02 00 02 00",
     NULL, "f[1].sku: must have at least 1 characters, has 0"},
};

static void try_rule(const rule *one, char *record)
{
    kur_error error = {0};
    kur_buffer json = {0};
    kur_avro_plan *plan = NULL;
    kur_schema *writer = schema_of_text(one->writer);
    kur_status status = kur_avro_plan_new(writer, one->reader, &plan, &error);
    kur_schema_unref(writer);
    ck_assert_msg((status == KUR_OK) == (one->hex != NULL), "%s: %s", one->writer, error.message);
    if (status == KUR_OK)
        status = kur_avro_read(plan, bytes_of_hex(one->hex, arena), arena, record, &error);
    ck_assert_msg((status == KUR_OK) == (one->json != NULL), "%s %s: %s", one->writer, one->hex, error.message);
    if (status == KUR_OK) {
        ck_ok(kur_json_write(one->reader, record, &json, &error), error);
        ck_assert_str_eq(json.data, one->json);
    } else {
        ck_assert_msg(strncmp(error.message, one->words, strlen(one->words)) == 0, "%s: \"%s\", expected \"%s\"",
                      one->writer, error.message, one->words);
        ck_assert(one->hex != NULL || status == KUR_ERROR_MISMATCH);
    }
    kur_avro_plan_unref(plan);
    kur_buffer_done(&json);
}

START_TEST(test_avro_evolution__every_rule)
{
    static char record[1024];
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        ck_assert_uint_le(rules[i].reader->size, sizeof record);
        try_rule(&rules[i], record);
        kur_arena_reset(arena);
    }
}
END_TEST

/* ---- Schemas ---- */

/* Whether all that one writes is read by the other; NULL: it is. */
static const struct {
    const char *writer, *reader, *words;
} pairs[] = {
    {"\"int\"", "\"double\"", NULL},
    {"\"double\"", "\"int\"", "the writer's double cannot be read as int"},
    {"\"null\"", "\"null\"", NULL},
    {"\"bytes\"", "\"string\"", NULL},
    /* A union of the writer's: all of it. */
    {"[\"null\",\"int\"]", "[\"long\",\"null\"]", NULL},
    {"[\"null\",\"int\"]", "\"int\"", "the writer's null cannot be read as int"},
    {"[\"int\",\"string\"]", "[\"long\",\"boolean\"]", "the writer's string is none of the reader's union"},
    {"\"int\"", "[\"string\",\"double\"]", NULL},
    {"[\"int\",\"float\"]", "\"double\"", NULL},
    {"\"int\"", "[\"string\"]", "the writer's int is none of the reader's union"},
    /* The branch that was meant says what is wrong. */
    {"[\"null\"," PART_OF(F("a", "\"int\"")) "]", "[\"null\"," PART_OF(F("a", "\"string\"")) "]",
     "a: the writer's int cannot be read as string"},
    /* All symbols, or a default. */
    {ENUM_OF("e", "\"A\",\"B\""), ENUM_OF("e", "\"B\",\"A\",\"C\""), NULL},
    {ENUM_OF("e", "\"A\",\"B\""), ENUM_OF("e", "\"A\""), "the writer's symbol B is not known, and there is no default"},
    {ENUM_OF("e", "\"A\",\"B\""), "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"],\"default\":\"A\"}", NULL},
    /* Fields. */
    {R(F("a", "\"int\"")), R(F("a", "\"int\"") "," F("b", "\"int\"")),
     "b: the writer's record r has no such field, and there is no default"},
    {R(F("a", "\"int\"")), R(F("a", "\"int\"") ",{\"name\":\"b\",\"type\":\"int\",\"default\":1}"), NULL},
    {R(F("a", "\"int\"") "," F("b", "\"int\"")), R(F("b", "\"int\"")), NULL},
    {R(F("a", "\"int\"")), R("{\"name\":\"b\",\"type\":\"long\",\"aliases\":[\"a\"]}"), NULL},
    {R(F("a", "\"int\"")),
     "{\"type\":\"record\",\"name\":\"s\",\"aliases\":[\"r\"],\"fields\":[" F("a", "\"int\"") "]}", NULL},
    {R(F("a", "\"int\"")), "{\"type\":\"record\",\"name\":\"s\",\"fields\":[" F("a", "\"int\"") "]}",
     "the writer's record r cannot be read as record s, whose name and aliases are others"},
    /* A field is read by one; and the name of another is no alias. */
    {R(F("a", "\"int\"")),
     R("{\"name\":\"p\",\"type\":\"int\",\"aliases\":[\"a\"]},{\"name\":\"q\",\"type\":\"int\",\"aliases\":[\"a\"]}"),
     "q: the writer's record r has no such field, and there is no default"},
    {R(F("a", "\"int\"")), R("{\"name\":\"b\",\"type\":\"int\",\"aliases\":[\"a\"]}," F("a", "\"int\"")),
     "b: the writer's record r has no such field, and there is no default"},
    /* Types that hold themselves, also each other. */
    {R(F("v", "\"int\"") "," F("n", "[\"null\",\"r\"]")), R(F("n", "[\"null\",\"r\"]") "," F("v", "\"long\"")), NULL},
    {R(F("v", "\"int\"") "," F("n", "[\"null\",\"r\"]")), R(F("n", "[\"null\",\"r\"]") "," F("v", "\"string\"")),
     "v: the writer's int cannot be read as string"},
    {R(F("n", "[\"null\",\"r\"]") "," F("v", "\"int\"")), R(F("n", "[\"null\",\"r\"]") "," F("v", "\"string\"")),
     "v: the writer's int cannot be read as string"},
    {R(F("n", ARRAY_OF("{\"type\":\"record\",\"name\":\"t\",\"fields\":[" F("up", "[\"null\",\"r\"]") "]}"))),
     R(F("n", ARRAY_OF("{\"type\":\"record\",\"name\":\"t\",\"fields\":[" F("up", "[\"null\",\"r\"]") "]}"))), NULL},
    /* A branch that fails is not the end. */
    {R(F("n", "[\"null\",\"r\"]") "," F("v", "\"int\"")),
     "[{\"type\":\"record\",\"name\":\"a.r\",\"fields\":[" F("n", "[\"null\",\"a.r\"]") "," F(
         "v", "\"string\"") "]},"
                            "{\"type\":\"record\",\"name\":\"b.r\",\"fields\":[" F(
                                "n", "[\"null\",\"a.r\",\"b.r\"]") "," F("v", "\"long\"") "]}]",
     NULL},
    /* What had relied on it is not believed for the next one: q held r, which was being tried. */
    {R(F("n", "[\"null\",{\"type\":\"record\",\"name\":\"q\",\"fields\":[" F("up", "[\"null\",\"r\"]") "]}]") "," F(
         "v", "\"int\"")),
     "[{\"type\":\"record\",\"name\":\"a.r\",\"fields\":[" F(
         "n",
         "[\"null\",{\"type\":\"record\",\"name\":\"a.q\",\"fields\":[" F(
             "up",
             "[\"null\",\"a.r\"]") "]}]") "," F("v",
                                                "\"string\"") "]},"
                                                              "{\"type\":\"record\",\"name\":\"b.r\",\"fields\":[" F(
                                                                  "n", "[\"null\",\"a.q\"]") "," F("v",
                                                                                                   "\"long\"") "]}]",
     "v: the writer's int cannot be read as string"},
    {LOGICAL("int", "date"), LOGICAL("long", "timestamp-millis"),
     "the writer's date cannot be read as timestamp-millis"},
    {LOGICAL("long", "timestamp-micros"), LOGICAL("long", "timestamp-millis"), NULL},
    {DECIMAL_OF("6", "2"), DECIMAL_OF("9", "2"), NULL},
    {DECIMAL_OF("6", "2"), DECIMAL_OF("6", "1"),
     "the writer's decimal(6, 2) cannot be read as decimal(6, 1): another scale"},
};

START_TEST(test_avro_evolution__schemas)
{
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        kur_error error = {0};
        kur_schema *writer = schema_of_text(pairs[i].writer), *reader = schema_of_text(pairs[i].reader);
        kur_status status = kur_schema_reads(reader, writer, &error);
        ck_assert_msg(status == (pairs[i].words == NULL ? KUR_OK : KUR_ERROR_MISMATCH), "%s, %s: %s", pairs[i].writer,
                      pairs[i].reader, error.message);
        if (pairs[i].words != NULL)
            ck_assert_str_eq(error.message, pairs[i].words);
        ck_ok(kur_schema_reads(reader, reader, &error), error);
        ck_ok(kur_schema_reads(writer, writer, &error), error);
        kur_schema_unref(writer);
        kur_schema_unref(reader);
    }
}
END_TEST

/* Records of one name in many namespaces, each with a union of all before it. */
static kur_schema *tangle(const char *innermost)
{
    kur_buffer text = {0};
    ck_assert_int_eq(kur_buffer_print(&text, "["), KUR_OK);
    for (int i = 0; i < 130; i++) {
        kur_buffer_print(&text,
                         "%s{\"type\":\"record\",\"name\":\"n%d.r\",\"fields\":[{\"name\":\"f\",\"type\":[\"null\"",
                         i > 0 ? "," : "", i);
        for (int j = 0; j < i; j++)
            kur_buffer_print(&text, ",\"n%d.r\"", j);
        kur_buffer_print(&text, "]},{\"name\":\"v\",\"type\":\"%s\"}]}", i == 0 ? innermost : "int");
    }
    ck_assert_int_eq(kur_buffer_print(&text, "]"), KUR_OK);
    kur_schema *schema = schema_of_text(text.data);
    kur_buffer_done(&text);
    return schema;
}

/* As many pairs as two schemas can make, of which each fails in the end: that ends, soon. */
START_TEST(test_avro_evolution__ends)
{
    kur_error error = {0};
    kur_schema *writer = tangle("int"), *reader = tangle("string");
    clock_t start = clock();
    ck_status(kur_schema_reads(reader, writer, &error), KUR_ERROR_TOO_LARGE, error);
    ck_assert_str_eq(error.message, "the schemas have too much in common to be worked out");
    ck_assert_int_lt(clock() - start, 2 * CLOCKS_PER_SEC);
    kur_schema_unref(writer);
    kur_schema_unref(reader);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_avro_evolution__every_rule, test_avro_evolution__schemas,
                                  test_avro_evolution__ends, NULL};
    arena = kur_arena_new();
    int result = check_main("avro_evolution", tests);
    kur_arena_free(arena);
    return result;
}
