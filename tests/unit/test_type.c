/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"
#include "full_kinds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Descriptors ---- */

/* A field that cannot be meant, and what kur_type_check says of it. */
struct bad_field {
    kur_field field;
    const char *message;
};

static const struct bad_field bad_fields[] = {
    {{.name = "f"}, "f: has no type"},
    {{.name = "f", .type = KUR__TYPE_INT64, .offset = 60}, "f: has no type, or lies outside its struct"},
    {{.name = "f", .type = &(const kur_type){.abi = 2, .kind = KUR_KIND_IS_INT32, .size = 4, .align = 4}},
     "f: a descriptor of ABI 2"},
    {{.name = "f", .type = KUR__TYPE_INT32, .default_text = "ten"}, "f: expected integer"},
    {{.name = "f", .type = KUR__TYPE_INT32, .default_text = "2147483648"}, "f: expected integer"},
    {{.name = "f", .type = KUR__TYPE_INT64, .default_text = ""}, "f: expected integer"},
    {{.name = "f", .type = KUR__TYPE_BOOL, .default_text = "yes"}, "f: expected true or false"},
    {{.name = "f", .type = KUR__TYPE_DOUBLE, .default_text = "NaN"}, "f: expected number"},
    {{.name = "f", .type = KUR__TYPE_FLOAT, .default_text = "1e39"}, "f: expected number"},
    {{.name = "f", .type = KUR__TYPE_TIMESTAMP, .default_text = "now"}, "f: expected time"},
    {{.name = "f", .type = KUR__TYPE_DATE, .default_text = "2026-02-30"}, "f: expected date"},
    {{.name = "f", .type = KUR__TYPE_UUID, .default_text = "0"}, "f: expected UUID"},
    {{.name = "f", .type = KUR__TYPE_BYTES, .default_text = "AA=="}, "f: bytes have no default"},
    {{.name = "f", .type = KUR__TYPE_FIXED(1), .default_text = "AA=="}, "f: bytes have no default"},
    {{.name = "f", .type = KUR__TYPE_STRING, .default_text = "\xff"}, "f: is not UTF-8"},
    {{.name = "f", .type = KUR__DECIMAL(4, 2), .default_text = "1.234"}, "f: expected a decimal"},
    {{.name = "f", .type = KUR__TYPE_LIST(INT32), .default_text = "[1]"},
     "f: a container's default can only be an empty one"},
    {{.name = "f", .type = KUR__TYPE_MAP(INT32), .default_text = "[]"},
     "f: a container's default can only be an empty one"},
    {{.name = "f", .type = KUR__TYPE_OPTIONAL(INT32), .default_text = "1"},
     "f: optionals and records have no default_text"},
    {{.name = "f", .type = &order_line_type, .default_text = "{}"}, "f: optionals and records have no default_text"},
    {{.name = "f", .type = &colour_type, .default_text = "unset"}, NULL}, /* an unknown symbol goes to .unknown */
    {{.name = "f", .type = KUR__TYPE_INT32, .default_text = "5", .max = "4"}, "f: must be at most 4"},
    {{.name = "f", .type = KUR__TYPE_STRING, .default_text = "", .min_length = 1},
     "f: must have at least 1 characters"},
    {{.name = "f", .type = KUR__TYPE_INT32, .min = "low"}, "f: expected integer"},
    {{.name = "f", .type = KUR__TYPE_INT32, .max = "1.5"}, "f: expected integer"},
    {{.name = "f", .type = KUR__TYPE_OPTIONAL(DATE), .min = "2026"}, "f: expected date"},
    {{.name = "f", .type = KUR__TYPE_INT32, .min = "5", .max = "4"}, "f: .min is above .max"},
    {{.name = "f", .type = KUR__TYPE_INT32, .min = "5", .max = "5"}, NULL},
    {{.name = "f", .type = KUR__TYPE_DATE, .min = "2026-01-02", .max = "2026-01-01"}, "f: .min is above .max"},
    {{.name = "f", .type = KUR__TYPE_OPTIONAL(DOUBLE), .min = "0.5", .max = "0.25"}, "f: .min is above .max"},
    {{.name = "f", .type = KUR__DECIMAL(2, 0), .max = "100"}, "f: expected a decimal of at most 2 digits"},
    {{.name = "f", .type = KUR__TYPE_STRING, .min = "a"}, "f: .min and .max are for numbers and times"},
    {{.name = "f", .type = KUR__TYPE_LIST(INT32), .max = "9"}, "f: .min and .max are for numbers and times"},
    {{.name = "f", .type = KUR__TYPE_INT32, .min_length = 1}, "f: .min_length and .max_length are for"},
    {{.name = "f", .type = KUR__TYPE_STRING, .min_length = 2, .max_length = 1}, "f: .min_length is above .max_length"},
    {{.name = "f", .type = KUR__DECIMAL(19, 2)}, "f: DECIMAL(19, 2)"},
    {{.name = "f", .type = KUR__DECIMAL(0, 0)}, "f: DECIMAL(0, 0)"},
    {{.name = "f", .type = KUR__DECIMAL(4, 5)}, "f: DECIMAL(4, 5)"},
    {{.name = "f", .type = KUR__TYPE_OPTIONAL(OPTIONAL(INT32))}, "f: an optional of an optional"},
    {{.name = "f", .type = KUR__TYPE_STRING, .json = ""}, "f: the name on the wire is empty"},
    {{.name = "f", .type = KUR__TYPE_STRING, .json = "\xc3("}, "f: the name on the wire is empty"},
    {{.name = "f", .type = KUR__TYPE_LIST(STRING), .flags = KUR_KEY}, "f: cannot be the key"},
    {{.name = "f", .type = KUR__TYPE_MAP(STRING), .flags = KUR_KEY}, "f: cannot be the key"},
    {{.name = "f", .type = KUR__TYPE_OPTIONAL(STRING), .flags = KUR_KEY}, "f: cannot be the key"},
    {{.name = "f", .type = &order_line_type, .flags = KUR_KEY}, "f: cannot be the key"},
    {{.name = "f", .type = KUR__TYPE_DOUBLE, .flags = KUR_KEY}, "f: cannot be the key"},
    {{.name = "f", .type = KUR__TYPE_TIMESTAMP, .flags = KUR_KEY}, "f: cannot be the key"},
    {{.name = "f", .type = KUR__DECIMAL(4, 2), .flags = KUR_KEY}, "f: cannot be the key"},
    {{.name = "f", .type = KUR__TYPE_FIXED(8), .flags = KUR_KEY}, "f: cannot be the key"},
    {{.name = "f", .type = KUR__TYPE_UUID, .flags = KUR_KEY}, NULL},
    {{.name = "f", .type = KUR__TYPE_FIXED(8), .min_length = 1}, "f: .min_length and .max_length are for"},
    {{.name = "f", .type = KUR__TYPE_INT64, .flags = KUR_MILLIS}, "f: KUR_MILLIS is for TIMESTAMP"},
    {{.name = "f", .type = KUR__TYPE_LIST(TIMESTAMP), .flags = KUR_MILLIS}, "f: KUR_MILLIS is for TIMESTAMP"},
    {{.name = "f", .type = KUR__TYPE_OPTIONAL(TIMESTAMP), .flags = KUR_MILLIS}, NULL},
    {{.name = "f", .type = KUR__TYPE_STRING, .aliases = " old  older_1 "}, NULL},
    {{.name = "f", .type = KUR__TYPE_STRING, .aliases = "old 1st"}, "f: .aliases has \"1st\""},
    {{.name = "f", .type = KUR__TYPE_STRING, .aliases = "old.name"}, "f: .aliases has \"old.name\""},
    {{.name = "f", .type = KUR__TYPE_STRING, .avro_name = "a.b"}, "f: .avro_name of a field is"},
    {{.name = "f", .type = KUR__TYPE_FIXED(16), .avro_name = "a..b"}, "f: .avro_name of a field is"},
    {{.name = "f", .type = KUR__TYPE_LIST(FIXED(16)), .avro_name = "a.b"}, NULL},
};

static kur_type record_of(const kur_field *fields, size_t count)
{
    return (kur_type){.abi = KUR_TYPE_ABI,
                      .kind = KUR_KIND_IS_RECORD,
                      .name = "made",
                      .size = 64,
                      .align = 8,
                      .fields = fields,
                      .field_size = sizeof *fields,
                      .field_count = count};
}

START_TEST(test_type__check_takes_good_types)
{
    const kur_type *const good[] = {&colour_type, &order_line_type, &order_created_type,
                                    &kinds_type,  &settings_type,   &tree_type};
    kur_error error = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_ok(kur_type_check(good[i], &error), error);
}
END_TEST

START_TEST(test_type__check_names_the_bad_field)
{
    for (size_t i = 0; i < sizeof bad_fields / sizeof *bad_fields; i++) {
        kur_error error = {0};
        kur_type type = record_of(&bad_fields[i].field, 1);
        kur_status status = kur_type_check(&type, &error);
        ck_assert_msg(status == (bad_fields[i].message != NULL ? KUR_ERROR_INVALID_ARGUMENT : KUR_OK),
                      "field %zu: %s %s", i, kur_status_name(status), error.message);
        ck_assert_int_eq(status, error.code);
        ck_assert_msg(bad_fields[i].message == NULL || strstr(error.message, bad_fields[i].message) == error.message,
                      "field %zu: \"%s\" does not begin with \"%s\"", i, error.message, bad_fields[i].message);
        ck_assert_int_eq(kur_type_check(&type, NULL), status);
    }
}
END_TEST

START_TEST(test_type__check_goes_into_containers_and_records)
{
    kur_error error = {0};
    kur_field inner_field = {.name = "deep", .type = KUR__TYPE_INT32, .min = "x"};
    kur_type inner = record_of(&inner_field, 1);
    kur_type list = {.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_LIST, .size = 16, .align = 8, .element = &inner};
    kur_type maybe = {.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_OPTIONAL, .size = 16, .align = 8, .element = &list};
    kur_field outer_field = {.name = "outer", .type = &maybe};
    kur_type outer = record_of(&outer_field, 1);
    ck_status(kur_type_check(&outer, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "outer.deep: expected integer");
    inner.abi = 7;
    ck_status(kur_type_check(&outer, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "outer: a descriptor of ABI 7");
}
END_TEST

/* Nothing that is missing is followed. */
START_TEST(test_type__check_refuses_descriptors_with_holes)
{
    static const kur_type holes[] = {
        {.abi = KUR_TYPE_ABI, .kind = 0, .size = 8, .align = 8},
        {.abi = KUR_TYPE_ABI, .kind = 18, .size = 8, .align = 8},
        {.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_INT32, .align = 4},
        {.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_INT32, .size = 4},
        {.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_LIST, .size = 16, .align = 8},
        {.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_MAP, .size = 16, .align = 8},
        {.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_OPTIONAL, .size = 8, .align = 4},
        {.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_RECORD, .size = 8, .align = 8, .name = "r", .field_count = 1},
        {.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_ENUM, .size = 4, .align = 4, .name = "e", .field_count = 1},
    };
    for (size_t i = 0; i < sizeof holes / sizeof *holes; i++) {
        kur_error error = {0};
        kur_field field = {.name = "f", .type = &holes[i]};
        kur_type type = record_of(&field, 1);
        ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
        ck_says(error, "f: a descriptor without kind");
    }
    kur_error error = {0};
    kur_field nameless = {.type = KUR__TYPE_INT32};
    kur_type type = record_of(&nameless, 1);
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    nameless = (kur_field){.name = "far", .type = KUR__TYPE_INT32, .offset = SIZE_MAX - 1};
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "far: has no type, or lies outside its struct");
    type = order_created_type;
    type.version = 0;
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    type.version = 1;
    type.event_type = "";
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
}
END_TEST

START_TEST(test_type__check_refuses_two_of_what_there_is_one)
{
    kur_error error = {0};
    kur_field keys[] = {{.name = "a", .type = KUR__TYPE_STRING, .flags = KUR_KEY},
                        {.name = "b", .type = KUR__TYPE_INT32, .offset = 8, .flags = KUR_KEY}};
    kur_type type = record_of(keys, 2);
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "b: is the second key field: one at most");
    keys[1].flags = 0;
    ck_ok(kur_type_check(&type, &error), error);
    keys[1].json = "a";
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "b: two fields are called \"a\" on the wire");

    kur_field symbols[] = {{.name = "one"}, {.name = "two", .json = "one"}};
    type = record_of(symbols, 2);
    type.kind = KUR_KIND_IS_ENUM;
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "made has the symbol \"one\" twice");
    symbols[1].json = NULL;
    type.unknown = "three";
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, ".unknown = \"three\" is not a symbol of made");
    type.unknown = NULL;
    type.avro_name = "a.b c";
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, ".avro_name of made");
    type = record_of(keys, 1);
    type.aliases = "a.B c";
    ck_ok(kur_type_check(&type, &error), error);
    type.aliases = "a.B c-d";
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, ".aliases has \"c-d\"");
}
END_TEST

START_TEST(test_type__check_refuses_other_descriptors)
{
    kur_error error = {0};
    ck_status(kur_type_check(NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "type is NULL");
    kur_type type = order_line_type;
    type.abi = KUR_TYPE_ABI + 1;
    ck_status(kur_type_check(&type, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "ABI 2");
    ck_status(kur_type_check(KUR__TYPE_STRING, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "not the descriptor of a record");
}
END_TEST

/* ---- Values ---- */

START_TEST(test_type__init_sets_defaults)
{
    struct settings settings;
    memset(&settings, 0xa5, sizeof settings);
    settings_init(&settings);
    ck_assert_str_eq(settings.display_name, "none \"yet\"");
    ck_assert(settings.is_on);
    ck_assert_double_eq(settings.share_of_all, 0.5);
    ck_assert_int_eq(settings.first_day, 20484);
    ck_assert_int_eq(settings.shade, colour_dark_green);
    ck_assert_uint_eq(settings.all_tags.count, 0);
    ck_assert_ptr_null(settings.all_tags.items);
    ck_assert_int_eq(settings.serial_number, INT64_MIN);

    struct order_line line;
    memset(&line, 0xa5, sizeof line);
    order_line_init(&line);
    ck_assert_ptr_null(line.sku);
    ck_assert_int_eq(line.quantity, 1);

    /* Of a record that is a member, too. */
    struct {
        int64_t number;
        struct order_line line;
    } pair;
    kur_field fields[] = {{.name = "number", .type = KUR__TYPE_INT64, .default_text = "-7"},
                          {.name = "line", .type = &order_line_type, .offset = offsetof(__typeof__(pair), line)}};
    kur_type type = record_of(fields, 2);
    type.size = sizeof pair;
    kur_type_init(&type, &pair);
    ck_assert_int_eq(pair.number, -7);
    ck_assert_int_eq(pair.line.quantity, 1);

    /* What cannot be set is left alone. */
    pair.number = 3;
    kur_type_init(NULL, &pair);
    kur_type_init(&type, NULL);
    type.abi = 9;
    kur_type_init(&type, &pair);
    ck_assert_int_eq(pair.number, 3);
}
END_TEST

/* Each change makes `full` invalid; then the message of kur_type_validate. */
#define INVALID(change, status, text)                                                                                  \
    do {                                                                                                               \
        kur_error error_ = {0};                                                                                        \
        full_kinds_fill(&full);                                                                                        \
        change;                                                                                                        \
        ck_status(kinds_validate(&full.kinds, &error_), status, error_);                                               \
        ck_assert_str_eq(error_.message, text);                                                                        \
        ck_assert_int_eq(kinds_validate(&full.kinds, NULL), status);                                                   \
    } while (0)

START_TEST(test_type__validate_names_the_path)
{
    static struct full_kinds full;
    kur_error error = {0};
    full_kinds_fill(&full);
    ck_ok(kinds_validate(&full.kinds, &error), error);

    INVALID(full.kinds.text = NULL, KUR_ERROR_MISMATCH, "text: is NULL");
    INVALID(full.kinds.text = "\xff", KUR_ERROR_MISMATCH, "text: is not UTF-8");
    INVALID(full.kinds.raw = kur_bytes_of(NULL, 1), KUR_ERROR_MISMATCH, "raw: has a size but .data is NULL");
    INVALID(memset(&full.kinds.yes, 2, 1), KUR_ERROR_MISMATCH, "yes: is neither true nor false");
    INVALID(full.kinds.narrow = NAN, KUR_ERROR_MISMATCH, "narrow: is not a finite number");
    INVALID(full.kinds.wide = -INFINITY, KUR_ERROR_MISMATCH, "wide: is not a finite number");
    INVALID(full.kinds.at = INT64_MAX, KUR_ERROR_MISMATCH, "at: the year is outside 0001 to 9999");
    INVALID(full.kinds.day = INT32_MIN, KUR_ERROR_MISMATCH, "day: the year is outside 0001 to 9999");
    INVALID(full.kinds.amount = INT64_C(1000000000000000000), KUR_ERROR_MISMATCH, "amount: has more than 18 digits");
    INVALID(full.kinds.shade = colour_unset, KUR_ERROR_MISMATCH, "shade: is unset");
    INVALID(full.kinds.shade = colour__end, KUR_ERROR_MISMATCH, "shade: is not a value of the enum");
    INVALID(full.words[1] = NULL, KUR_ERROR_MISMATCH, "words[1]: is NULL");
    INVALID(full.kinds.words.items = NULL, KUR_ERROR_MISMATCH, "words: has 2 items but .items is NULL");
    INVALID(full.grid[1].items = NULL, KUR_ERROR_MISMATCH, "grid[1]: has 1 items but .items is NULL");
    INVALID(full.weights[1].value = NAN, KUR_ERROR_MISMATCH, "weights[\"b\"]: is not a finite number");
    INVALID(full.weights[1].key = "a", KUR_ERROR_MISMATCH, "weights: has the key \"a\" twice");
    INVALID(full.weights[1].key = NULL, KUR_ERROR_MISMATCH, "weights[1]: is NULL");
    INVALID(full.weights[0].key = "\xc0\x80", KUR_ERROR_MISMATCH, "weights[0]: is not UTF-8");
    INVALID(memset(&full.truths[1], 7, 1), KUR_ERROR_MISMATCH, "flags[\"x\"][1]: is neither true nor false");
    INVALID(full.kinds.gift.value.sku = "", KUR_ERROR_CONSTRAINT, "gift.sku: must have at least 1 characters, has 0");
    INVALID(full.kinds.gift.value.sku = "123456789", KUR_ERROR_CONSTRAINT,
            "gift.sku: must have at most 8 characters, has 9");
    INVALID(full.kinds.gift.value.quantity = 0, KUR_ERROR_CONSTRAINT, "gift.quantity: must be at least 1");
    INVALID(full.kinds.gift.value.quantity = 1000, KUR_ERROR_CONSTRAINT, "gift.quantity: must be at most 999");
    INVALID(full.kinds.gift.value.price = -1, KUR_ERROR_CONSTRAINT, "gift.price: must be at least 0");
    INVALID(full.days[0].value = INT32_MAX, KUR_ERROR_MISMATCH, "days[0]: the year is outside 0001 to 9999");

    /* Characters count, not bytes; what is not there is not looked at. */
    full_kinds_fill(&full);
    full.kinds.gift.value.sku = "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9";
    ck_ok(kinds_validate(&full.kinds, &error), error);
    full.kinds.gift.has = false;
    full.kinds.gift.value.sku = NULL;
    ck_ok(kinds_validate(&full.kinds, &error), error);
}
END_TEST

START_TEST(test_type__validate_finds_one_key_twice_among_many)
{
    enum {
        COUNT = 100
    };
    static struct full_kinds full;
    static KUR_ITEM(kinds, weights) many[COUNT];
    static char keys[COUNT][8];
    kur_error error = {0};
    full_kinds_fill(&full);
    for (int i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof keys[i], "k%02d", i);
        many[i].key = keys[i];
    }
    full.kinds.weights.items = (void *)many;
    full.kinds.weights.count = COUNT;
    ck_ok(kinds_validate(&full.kinds, &error), error);
    many[3].key = "k71";
    ck_status(kinds_validate(&full.kinds, &error), KUR_ERROR_MISMATCH, error);
    ck_assert_str_eq(error.message, "weights: has the key \"k71\" twice");
}
END_TEST

/* A tree that is `levels` records deep. */
static struct tree *tall_tree(struct tree *trees, int levels)
{
    for (int i = 0; i < levels; i++) {
        trees[i] = (struct tree){.value = i};
        trees[i].children.items = i + 1 < levels ? &trees[i + 1] : NULL;
        trees[i].children.count = i + 1 < levels;
    }
    return trees;
}

START_TEST(test_type__nesting_is_bounded)
{
    static struct tree trees[64];
    kur_buffer text = {0};
    kur_error error = {0};
    struct tree *tall = tall_tree(trees, 32);
    ck_ok(tree_validate(tall, &error), error);
    ck_ok(tree_print(tall, &text, &error), error);
    tall = tall_tree(trees, 33);
    size_t before = text.size;
    ck_status(tree_validate(tall, &error), KUR_ERROR_TOO_LARGE, error);
    ck_says(error, "nests deeper than 64");
    ck_status(tree_print(tall, &text, &error), KUR_ERROR_TOO_LARGE, error);
    ck_assert_uint_eq(text.size, before);
    ck_assert_uint_eq(strlen(text.data), before);
    ck_assert_int_eq(tree_compare(tall, tall), 0);
    kur_buffer_done(&text);
}
END_TEST

/* The change makes the second record the greater one. */
#define GREATER(change)                                                                                                \
    do {                                                                                                               \
        full_kinds_fill(&a);                                                                                           \
        full_kinds_fill(&b);                                                                                           \
        ck_assert_int_eq(kinds_compare(&a.kinds, &b.kinds), 0);                                                        \
        change;                                                                                                        \
        ck_assert_msg(kinds_compare(&a.kinds, &b.kinds) < 0, "%s", #change);                                           \
        ck_assert_msg(kinds_compare(&b.kinds, &a.kinds) > 0, "%s", #change);                                           \
        ck_assert_int_eq(kinds_compare(&b.kinds, &b.kinds), 0);                                                        \
    } while (0)

START_TEST(test_type__compare_orders_by_each_kind)
{
    static struct full_kinds a, b;
    GREATER(b.kinds.text = "texts");
    GREATER(b.kinds.text = "tf");
    GREATER(a.kinds.text = NULL);
    GREATER(b.kinds.raw = kur_bytes_of("\0\1\2\0", 4));
    GREATER(b.kinds.raw = kur_bytes_of("\0\2", 2));
    GREATER(b.kinds.raw = kur_bytes_of("\xff", 1));
    GREATER(a.kinds.raw = kur_bytes_of(NULL, 0));
    GREATER(a.kinds.yes = false);
    GREATER(b.kinds.small = 3);
    GREATER(a.kinds.large = INT64_MIN);
    GREATER(a.kinds.large = INT64_MAX - 1);
    GREATER(b.kinds.narrow = 0.2f);
    GREATER(b.kinds.narrow = NAN);
    GREATER((a.kinds.wide = INFINITY, b.kinds.wide = NAN));
    GREATER(a.kinds.wide = -INFINITY);
    GREATER(b.kinds.at++);
    GREATER(b.kinds.day++);
    GREATER(b.kinds.amount++);
    GREATER(b.kinds.id.bytes[15] = 0xac);
    GREATER(b.kinds.shade = colour_other);
    GREATER(b.kinds.maybe.value++);
    GREATER(a.kinds.maybe.has = false);
    GREATER(b.words[1] = "w2");
    GREATER(a.kinds.words.count = 1);
    GREATER((a.words[0] = "v", a.kinds.words.count = 2, b.kinds.words.count = 1));
    GREATER(b.numbers[2] = 4);
    GREATER(a.grid[0].count = 1);
    GREATER(b.weights[1].value = NAN);
    GREATER(b.weights[0].key = "aa");
    GREATER(a.kinds.weights.count = 0);
    GREATER(a.truths[0] = false);
    GREATER(b.kinds.gift.value.price = 1);
    GREATER(a.kinds.gift.has = false);
    GREATER(b.days[1].has = true);
    GREATER(a.kinds.mark.value.data[3] = 0xfe);
    GREATER(a.kinds.mark.has = false);

    /* A NaN equals itself; what an absent optional holds does not count; minus zero is zero. */
    full_kinds_fill(&a);
    full_kinds_fill(&b);
    a.kinds.wide = b.kinds.wide = NAN;
    a.kinds.maybe.has = b.kinds.maybe.has = false;
    a.kinds.maybe.value = 77;
    a.kinds.narrow = -0.0f;
    b.kinds.narrow = 0.0f;
    ck_assert_int_eq(kinds_compare(&a.kinds, &b.kinds), 0);
}
END_TEST

START_TEST(test_type__compare_takes_null)
{
    struct tree tree = {0};
    ck_assert_int_eq(tree_compare(NULL, NULL), 0);
    ck_assert_int_lt(tree_compare(NULL, &tree), 0);
    ck_assert_int_gt(tree_compare(&tree, NULL), 0);
    ck_assert_int_eq(kur_type_compare(NULL, &tree, &tree), 0);
}
END_TEST

START_TEST(test_type__print_is_for_people)
{
    static struct full_kinds full;
    kur_buffer text = {0};
    kur_error error = {0};
    full_kinds_fill(&full);
    ck_assert_int_eq(kur_buffer_append(&text, "> ", 2), KUR_OK);
    ck_ok(kinds_print(&full.kinds, &text, &error), error);
    ck_assert_str_eq(
        text.data,
        "> kinds{text=\"text\", raw=AAEC, yes=true, small=-5, large=9223372036854775807, narrow=0.1, wide=0.1, "
        "at=1970-01-01T00:00:01.500Z, day=1970-02-01, amount=-1.2345, "
        "id=abababab-abab-abab-abab-abababababab, shade=dark-green, maybe=9, words=[\"w0\", \"w1\"], "
        "grid=[[1, 2], [3]], weights={\"a\": 0.5, \"b\": -2}, flags={\"x\": [true, false], \"y\": []}, "
        "gift=order_line{sku=\"s\", quantity=1, price=0.00}, days=[1970-01-02, none], mark=AAEC/w==}");
    kur_buffer_done(&text);
}
END_TEST

START_TEST(test_type__print_takes_what_does_not_validate)
{
    static struct full_kinds full;
    kur_buffer text = {0};
    kur_error error = {0};
    full_kinds_fill(&full);
    struct kinds *kinds = &full.kinds;
    kinds->text = NULL;
    kinds->raw = kur_bytes_of(NULL, 5);
    memset(&kinds->yes, 3, 1);
    kinds->narrow = NAN;
    kinds->wide = INFINITY;
    kinds->at = INT64_MIN;
    kinds->day = INT32_MAX;
    kinds->amount = INT64_MAX;
    kinds->shade = colour_unset;
    kinds->maybe.has = false;
    full.words[0] = "a\"b\\c\n\x7f";
    full.words[1] = "\xc3\xa9\xff";
    kinds->grid.items = NULL;
    full.weights[0].key = NULL;
    kinds->flags.count = 0;
    kinds->gift.has = false;
    kinds->days.count = 0;
    kinds->mark.has = false;
    ck_ok(kinds_print(kinds, &text, &error), error);
    ck_assert_str_eq(text.data, "kinds{text=NULL, raw=?, yes=?, small=-5, large=9223372036854775807, narrow=?, wide=?, "
                                "at=?-9223372036854775808, day=?2147483647, amount=?9223372036854775807, "
                                "id=abababab-abab-abab-abab-abababababab, shade=unset, maybe=none, "
                                "words=[\"a\\\"b\\\\c\\x0a\\x7f\", \"\\xc3\\xa9\\xff\"], grid=[], "
                                "weights={NULL: 0.5, \"b\": -2}, flags={}, gift=none, days=[], mark=none}");
    text.size = 0;
    kinds->shade = (enum colour)99;
    ck_ok(kinds_print(kinds, &text, &error), error);
    ck_assert_ptr_nonnull(strstr(text.data, "shade=?"));
    kur_buffer_done(&text);
}
END_TEST

/* ---- Key and name ---- */

static void key_is(const kur_type *type, const void *record, const void *bytes, size_t size)
{
    kur_buffer key = {0};
    kur_error error = {0};
    bool has = false;
    ck_ok(kur_type_key(type, record, &key, &has, &error), error);
    ck_assert(has);
    ck_assert_uint_eq(key.size, size);
    ck_assert_mem_eq(key.data, bytes, size);
    kur_buffer_done(&key);
}

START_TEST(test_type__key_as_text)
{
    union {
        const char *text;
        int32_t small;
        int64_t large;
        kur_uuid uuid;
        enum colour shade;
    } value;
    kur_field field = {.name = "f", .flags = KUR_KEY};
    kur_type type = record_of(&field, 1);
    field.type = KUR__TYPE_STRING;
    value.text = "k\xc3\xa9\"";
    key_is(&type, &value, "k\xc3\xa9\"", 4);
    value.text = "";
    key_is(&type, &value, "", 0);
    field.type = KUR__TYPE_INT32;
    value.small = INT32_MIN;
    key_is(&type, &value, "-2147483648", 11);
    field.type = KUR__TYPE_INT64;
    value.large = INT64_MAX;
    key_is(&type, &value, "9223372036854775807", 19);
    field.type = KUR__TYPE_DATE;
    value.small = 31;
    key_is(&type, &value, "1970-02-01", 10);
    field.type = KUR__TYPE_UUID;
    memset(&value.uuid, 0x1f, sizeof value.uuid);
    key_is(&type, &value, "1f1f1f1f-1f1f-1f1f-1f1f-1f1f1f1f1f1f", 36);
    field.type = &colour_type;
    value.shade = colour_dark_green;
    key_is(&type, &value, "dark-green", 10);
}
END_TEST

START_TEST(test_type__key_big_endian_as_java)
{
    struct settings settings;
    settings_init(&settings);
    key_is(&settings_type, &settings, "\x80\0\0\0\0\0\0\0", 8);
    settings.serial_number = INT64_C(0x0102030405060708);
    key_is(&settings_type, &settings, "\1\2\3\4\5\6\7\10", 8);
    int32_t small = -2;
    kur_field field = {.name = "f", .type = KUR__TYPE_INT32, .flags = KUR_KEY};
    kur_type type = record_of(&field, 1);
    type.key_format = KUR_KEY_BE;
    key_is(&type, &small, "\xff\xff\xff\xfe", 4);
    /* Only integers: whatever else is a key stays text. */
    field.type = KUR__TYPE_DATE;
    small = 31;
    key_is(&type, &small, "1970-02-01", 10);
    const char *text = "12";
    field.type = KUR__TYPE_STRING;
    key_is(&type, &text, "12", 2);
}
END_TEST

START_TEST(test_type__key_says_when_there_is_none)
{
    kur_error error = {0};
    struct tree tree = {0};
    kur_buffer key = {0};
    bool has = true;
    ck_ok(kur_type_key(&tree_type, &tree, &key, &has, &error), error);
    ck_assert(!has);
    ck_assert_uint_eq(key.size, 0);

    struct order_created order = {0};
    has = true;
    ck_status(kur_type_key(&order_created_type, &order, &key, &has, &error), KUR_ERROR_MISMATCH, error);
    ck_assert_str_eq(error.message, "order_id: is NULL");
    ck_assert(has);
    ck_assert_uint_eq(key.size, 0);
    kur_buffer_done(&key);
}
END_TEST

START_TEST(test_type__event_name_has_the_version)
{
    kur_buffer name = {0};
    kur_error error = {0};
    ck_ok(kur_type_event_name(&order_created_type, &name, &error), error);
    ck_assert_str_eq(name.data, "shop.order.created.v1");
    ck_status(kur_type_event_name(&tree_type, &name, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "tree is not an event");
    ck_assert_str_eq(name.data, "shop.order.created.v1");
    kur_buffer_done(&name);
}
END_TEST

/* A call without one of its arguments, and the argument that the message names. */
#define IS_NULL(call, name)                                                                                            \
    do {                                                                                                               \
        kur_error error = {0};                                                                                         \
        ck_status(call, KUR_ERROR_INVALID_ARGUMENT, error);                                                            \
        ck_assert_str_eq(error.message, name " is NULL");                                                              \
    } while (0)

START_TEST(test_type__null_is_named)
{
    struct tree tree = {0};
    kur_buffer text = {0};
    bool has;
    IS_NULL(kur_type_check(NULL, &error), "type");
    IS_NULL(kur_type_validate(NULL, &tree, &error), "type");
    IS_NULL(kur_type_validate(&tree_type, NULL, &error), "record");
    IS_NULL(kur_type_print(NULL, &tree, &text, &error), "type");
    IS_NULL(kur_type_print(&tree_type, NULL, &text, &error), "record");
    IS_NULL(kur_type_print(&tree_type, &tree, NULL, &error), "text");
    IS_NULL(kur_type_key(NULL, &tree, &text, &has, &error), "type");
    IS_NULL(kur_type_key(&tree_type, NULL, &text, &has, &error), "record");
    IS_NULL(kur_type_key(&tree_type, &tree, NULL, &has, &error), "key");
    IS_NULL(kur_type_key(&tree_type, &tree, &text, NULL, &error), "has_key");
    IS_NULL(kur_type_event_name(NULL, &text, &error), "type");
    IS_NULL(kur_type_event_name(&order_created_type, NULL, &error), "name");

    /* Of another ABI, or not a record. */
    kur_error error = {0};
    kur_type type = tree_type;
    type.abi++;
    ck_status(kur_type_validate(&type, &tree, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "ABI");
    ck_status(kur_type_key(&type, &tree, &text, &has, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_type_event_name(&type, &text, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_type_validate(&colour_type, &tree, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_ptr_null(text.data);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_type__check_takes_good_types,
                                  test_type__check_names_the_bad_field,
                                  test_type__check_goes_into_containers_and_records,
                                  test_type__check_refuses_descriptors_with_holes,
                                  test_type__check_refuses_two_of_what_there_is_one,
                                  test_type__check_refuses_other_descriptors,
                                  test_type__init_sets_defaults,
                                  test_type__validate_names_the_path,
                                  test_type__validate_finds_one_key_twice_among_many,
                                  test_type__nesting_is_bounded,
                                  test_type__compare_orders_by_each_kind,
                                  test_type__compare_takes_null,
                                  test_type__print_is_for_people,
                                  test_type__print_takes_what_does_not_validate,
                                  test_type__key_as_text,
                                  test_type__key_big_endian_as_java,
                                  test_type__key_says_when_there_is_none,
                                  test_type__event_name_has_the_version,
                                  test_type__null_is_named,
                                  NULL};
    return check_main("type", tests);
}
