/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "avro_types.h"
#include "check_main.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

KUR_ENUM_DEFINE(tone, TONE, .unknown = "other");
KUR_RECORD_DEFINE(part, PART);
KUR_RECORD_DEFINE(every, EVERY);
KUR_RECORD_DEFINE(branch, BRANCH);

/* One field of a writer's, which the reader has or goes over. */
#define VAST(F, S)                                                                                                     \
    F(S, INT32, small)                                                                                                 \
    F(S, OPTIONAL(FIXED(400)), large)
KUR_RECORD(vast, VAST);
KUR_RECORD_DEFINE(vast, VAST);
#define KEPT(F, S)                                                                                                     \
    F(S, LIST(OPTIONAL(INT32)), kept, .default_text = "[]")                                                            \
    F(S, BYTES, raw, .aliases = "old_raw")                                                                             \
    F(S, LIST(RECORD(branch)), tree, .default_text = "[]")                                                             \
    F(S, LIST(RECORD(vast)), all, .default_text = "[]")                                                                \
    F(S, ENUM(tone), tone, .default_text = "red")                                                                      \
    F(S, OPTIONAL(INT64), maybe)
KUR_RECORD(kept, KEPT);
KUR_RECORD_DEFINE(kept, KEPT);

static kur_arena *arena;

/* ---- Helpers ---- */

static kur_schema *schema_of_text(const char *text)
{
    kur_schema *schema = NULL;
    kur_error error = {0};
    ck_ok(kur_schema_parse(kur_bytes_text(text), NULL, 0, &schema, &error), error);
    return schema;
}

static kur_avro_plan *plan_of(const char *writer, const kur_type *type)
{
    kur_avro_plan *plan = NULL;
    kur_error error = {0};
    kur_schema *schema = writer != NULL ? schema_of_text(writer) : NULL;
    ck_ok(kur_avro_plan_new(schema, type, &plan, &error), error);
    kur_schema_unref(schema);
    return plan;
}

/* Reads, and looks that a failure says so in the error and leaves the record as it was. */
static kur_status read_data(const kur_avro_plan *plan, const kur_type *type, kur_bytes data, void *record,
                            kur_error *error)
{
    char before[1024];
    ck_assert_uint_le(type->size, sizeof before);
    memset(record, 0x5a, type->size);
    memcpy(before, record, type->size);
    *error = (kur_error){0};
    /* Without a byte behind it, for a sanitizer to see who looks there. */
    void *exact = malloc(data.size > 0 ? data.size : 1);
    memcpy(exact, data.data, data.size);
    kur_status status = kur_avro_read(plan, kur_bytes_of(exact, data.size), arena, record, error);
    free(exact);
    ck_assert_int_eq(error->code, status);
    if (status != KUR_OK)
        ck_assert_mem_eq(record, before, type->size);
    return status;
}

struct full_every {
    struct every every;
    const char *words[2];
    KUR_ITEM(every, grid) grid[2];
    int32_t numbers[3];
    KUR_ITEM(every, weights) weights[2];
    KUR_ITEM(every, flags) flags[2];
    bool truths[2];
    KUR_ITEM(every, days) days[2];
};

static void fill(struct full_every *full)
{
    *full = (struct full_every){.words = {"w0", "w\xc3\xa9"}, .numbers = {1, -1, 300}, .truths = {true, false}};
    full->grid[0].items = full->numbers;
    full->grid[0].count = 2;
    full->grid[1].items = full->numbers + 2;
    full->grid[1].count = 1;
    full->weights[0].key = "a";
    full->weights[0].value = 0.5;
    full->weights[1].key = "b";
    full->weights[1].value = -2;
    full->flags[0].key = "x";
    full->flags[0].value.items = full->truths;
    full->flags[0].value.count = 2;
    full->flags[1].key = "y";
    full->days[0].has = true;
    full->days[0].value = 1;
    struct every *every = &full->every;
    every->text = "text";
    every->raw = kur_bytes_of("\0\1\2", 3);
    every->yes = true;
    every->small = -5;
    every->large = INT64_MAX;
    every->narrow = 0.1f;
    every->wide = 0.1;
    every->at = 1500000;
    every->at_ms = -1;
    every->day = 31;
    every->amount = -12345;
    memset(&every->id, 0xab, sizeof every->id);
    memcpy(&every->hash, "hash", 4);
    every->tone = tone_green;
    every->maybe.has = true;
    every->maybe.value = 9;
    every->words.items = full->words;
    every->words.count = 2;
    every->grid.items = (void *)full->grid;
    every->grid.count = 2;
    every->weights.items = (void *)full->weights;
    every->weights.count = 2;
    every->flags.items = (void *)full->flags;
    every->flags.count = 2;
    every->gift.has = true;
    every->gift.value.sku = "s";
    every->gift.value.quantity = 1;
    every->days.items = (void *)full->days;
    every->days.count = 2;
}

/* By the specification, "Binary Encoding", value by value. */
static const char full_hex[] = "08 74657874 "                       /* text */
                               "06 000102 "                         /* raw */
                               "01 "                                /* yes */
                               "09 "                                /* small */
                               "feffffffffffffffff01 "              /* large */
                               "cdcccc3d "                          /* narrow */
                               "9a9999999999b93f "                  /* wide */
                               "c08db701 "                          /* at */
                               "01 "                                /* at_ms: rounded down */
                               "3e "                                /* day */
                               "04 cfc7 "                           /* amount */
                               "48 6162616261626162 2d 61626162 2d" /* id, as text */
                               "61626162 2d 61626162 2d"
                               "616261626162616261626162 "
                               "68617368 "                                          /* hash */
                               "02 "                                                /* tone */
                               "02 12 "                                             /* maybe */
                               "04 04 7730 06 77c3a9 00 "                           /* words */
                               "04 04 02 01 00 02 d804 00 00 "                      /* grid */
                               "04 0261 000000000000e03f 0262 00000000000000c0 00 " /* weights */
                               "04 0278 04 01 00 00 0279 00 00 "                    /* flags */
                               "02 0273 02 02 00 "                                  /* gift */
                               "04 02 02 00 00";                                    /* days */

/* ---- Both ways ---- */

START_TEST(test_avro__every_kind_both_ways)
{
    static struct full_every full;
    struct every read;
    kur_error error = {0};
    kur_buffer data = {0}, again = {0};
    fill(&full);
    ck_assert_int_eq(kur_buffer_append(&data, "> ", 2), KUR_OK);
    ck_ok(kur_avro_write(&every_type, &full.every, &data, &error), error);
    ck_assert_mem_eq(data.data, "> ", 2);
    ck_assert_int_eq(data.data[data.size], '\0');
    kur_bytes first = bytes_of_hex(full_hex, arena);
    ck_assert_uint_eq(data.size - 2, first.size);
    ck_assert_mem_eq(data.data + 2, first.data, first.size);

    kur_avro_plan *plan = plan_of(NULL, &every_type);
    ck_ok(read_data(plan, &every_type, kur_bytes_of(data.data + 2, data.size - 2), &read, &error), error);
    full.every.at_ms = -1000;
    ck_assert_int_eq(kur_type_compare(&every_type, &full.every, &read), 0);
    ck_ok(kur_avro_write(&every_type, &read, &again, &error), error);
    ck_assert_uint_eq(again.size, data.size - 2);
    ck_assert_mem_eq(again.data, data.data + 2, again.size);
    kur_avro_plan_unref(kur_avro_plan_ref(plan));
    kur_avro_plan_unref(plan);
    kur_buffer_done(&data);
    kur_buffer_done(&again);
}
END_TEST

/* What is empty, absent, lowest and highest. */
START_TEST(test_avro__limits_both_ways)
{
    struct every every = {.text = "",
                          .small = INT32_MIN,
                          .large = INT64_MIN,
                          .narrow = -FLT_MAX,
                          .wide = DBL_MIN / 4,
                          .at = INT64_C(253402300799999999),
                          .at_ms = INT64_C(-62135596800000000),
                          .day = 2932896,
                          .amount = INT64_C(-999999999999999999),
                          .tone = tone_other};
    struct every read;
    kur_error error = {0};
    kur_buffer data = {0};
    kur_avro_plan *plan = plan_of(NULL, &every_type);
    ck_ok(kur_avro_write(&every_type, &every, &data, &error), error);
    ck_ok(read_data(plan, &every_type, kur_bytes_of(data.data, data.size), &read, &error), error);
    ck_assert_int_eq(kur_type_compare(&every_type, &every, &read), 0);
    ck_assert_ptr_nonnull(read.raw.data);
    for (int64_t amount = 1; amount < INT64_C(100000000000000000); amount = amount * 2 + amount % 3) {
        every.amount = amount % 2 == 0 ? amount : -amount;
        data.size = 0;
        ck_ok(kur_avro_write(&every_type, &every, &data, &error), error);
        ck_ok(read_data(plan, &every_type, kur_bytes_of(data.data, data.size), &read, &error), error);
        ck_assert_int_eq(read.amount, every.amount);
    }
    kur_avro_plan_unref(plan);
    kur_buffer_done(&data);
}
END_TEST

/* The examples of the specification, and where a byte more begins. */
START_TEST(test_avro__numbers_as_the_specification_writes_them)
{
    static const struct {
        int64_t number;
        const char *hex;
    } cases[] = {{0, "00"},
                 {-1, "01"},
                 {1, "02"},
                 {-2, "03"},
                 {2, "04"},
                 {-64, "7f"},
                 {64, "8001"},
                 {8191, "fe7f"},
                 {-8193, "818001"},
                 {INT64_MAX, "feffffffffffffffff01"},
                 {INT64_MIN, "ffffffffffffffffff01"}};
    kur_error error = {0};
    kur_buffer data = {0};
    kur_schema *schema = schema_of_text("\"long\"");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[32];
        snprintf(json, sizeof json, "%lld", (long long)cases[i].number);
        kur_bytes expected = bytes_of_hex(cases[i].hex, arena);
        data.size = 0;
        ck_ok(kur_avro_from_json(schema, kur_bytes_text(json), &data, &error), error);
        ck_assert_uint_eq(data.size, expected.size);
        ck_assert_mem_eq(data.data, expected.data, data.size);
        data.size = 0;
        ck_ok(kur_avro_to_json(schema, expected, &data, &error), error);
        ck_assert_str_eq(data.data, json);
    }
    kur_schema_unref(schema);
    kur_buffer_done(&data);
}
END_TEST

START_TEST(test_avro__refuses_to_write_what_does_not_validate)
{
    static struct full_every full;
    kur_error error = {0};
    char storage[8];
    kur_buffer data = kur_buffer_over(storage, sizeof storage);
    ck_assert_int_eq(kur_buffer_append(&data, "abc", 3), KUR_OK);
    fill(&full);
    full.every.gift.value.quantity = 1000;
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_CONSTRAINT);
    ck_assert_str_eq(error.message, "gift.quantity: must be at most 999");
    ck_assert_str_eq(data.data, "abc");
    full.every.gift.value.quantity = 0;
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_CONSTRAINT);
    ck_assert_str_eq(error.message, "gift.quantity: must be at least 1");
    full.every.gift.value.quantity = 1;
    full.every.gift.value.price = -1;
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_CONSTRAINT);
    full.every.gift.value.price = INT64_C(1000000000000);
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_MISMATCH);
    full.every.gift.value.price = 0;
    full.every.day = 2932897;
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_MISMATCH);
    full.every.day = 0;
    full.every.at = INT64_MAX;
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_MISMATCH);
    full.every.at = 0;
    full.every.wide = (double)NAN;
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_MISMATCH);
    full.every.wide = 0;
    full.words[1] = "\xff";
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_MISMATCH);
    ck_assert_str_eq(error.message, "words[1]: is not UTF-8");
    full.words[1] = NULL;
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_MISMATCH);
    full.words[1] = "";
    full.every.gift.value.sku = "123456789";
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_CONSTRAINT);
    full.every.gift.value.sku = "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9";
    ck_ok(kur_avro_write(&every_type, &full.every, &data, &error), error);
    data.size = 0;
    full.every.tone = tone_unset;
    ck_assert_int_eq(kur_avro_write(&every_type, &full.every, &data, &error), KUR_ERROR_MISMATCH);
    ck_assert_uint_eq(data.size, 0);

    struct branch chain[KUR_DEPTH_MAX] = {{0}};
    for (size_t i = 0; i + 1 < KUR_DEPTH_MAX; i++) {
        chain[i].children.items = &chain[i + 1];
        chain[i].children.count = 1;
    }
    ck_assert_int_eq(kur_avro_write(&branch_type, chain, &data, &error), KUR_ERROR_TOO_LARGE);
    chain[KUR_DEPTH_MAX / 2 - 1].children.count = 0;
    ck_ok(kur_avro_write(&branch_type, chain, &data, &error), error);
    struct branch read;
    kur_avro_plan *plan = plan_of(NULL, &branch_type);
    ck_ok(read_data(plan, &branch_type, kur_bytes_of(data.data, data.size), &read, &error), error);
    ck_assert_int_eq(kur_type_compare(&branch_type, chain, &read), 0);
    kur_avro_plan_unref(plan);
    kur_buffer_done(&data);
}
END_TEST

/* ---- Hostile bytes ---- */

/* Every cut of a whole value, and every byte of it changed: an error, or a record that validates. */
START_TEST(test_avro__survives_cuts_and_changes)
{
    static struct full_every full;
    struct every read;
    kur_error error = {0};
    kur_buffer data = {0};
    fill(&full);
    kur_avro_plan *plan = plan_of(NULL, &every_type);
    ck_ok(kur_avro_write(&every_type, &full.every, &data, &error), error);
    for (size_t size = 0; size < data.size; size++)
        ck_assert_int_eq(read_data(plan, &every_type, kur_bytes_of(data.data, size), &read, &error), KUR_ERROR_SYNTAX);
    for (size_t i = 0; i < data.size * 256; i++) {
        char was = data.data[i / 256];
        data.data[i / 256] = (char)i;
        if (read_data(plan, &every_type, kur_bytes_of(data.data, data.size), &read, &error) == KUR_OK)
            ck_ok(every_validate(&read, &error), error);
        else
            ck_assert(error.message[0] != '\0');
        data.data[i / 256] = was;
        kur_arena_reset(arena);
    }
    ck_assert_int_eq(kur_buffer_append(&data, "", 1), KUR_OK);
    ck_assert_int_eq(read_data(plan, &every_type, kur_bytes_of(data.data, data.size), &read, &error), KUR_ERROR_SYNTAX);
    ck_assert_str_eq(error.message, "not Avro: 1 bytes are left behind the value");
    kur_avro_plan_unref(plan);
    kur_buffer_done(&data);
}
END_TEST

#define RECORD(fields)                                                                                                 \
    "{\"type\":\"record\",\"name\":\"kept\",\"fields\":[{\"name\":\"raw\",\"type\":\"bytes\"}," fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define TREE                                                                                                           \
    "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"branch\",\"fields\":[{\"name\":\"value\",\"type\":" \
    "\"int\"},"                                                                                                        \
    "{\"name\":\"children\",\"type\":{\"type\":\"array\",\"items\":\"branch\"}}]}}"

static void need_failure(const char *writer, kur_bytes data, kur_status expected, const char *words)
{
    struct kept read;
    kur_error error;
    kur_avro_plan *plan = plan_of(writer, &kept_type);
    clock_t start = clock();
    kur_arena_reset(arena);
    ck_assert_msg(read_data(plan, &kept_type, data, &read, &error) == expected, "%s: %d %s", words, (int)error.code,
                  error.message);
    ck_assert_msg(strstr(error.message, words) != NULL, "\"%s\" is not in \"%s\"", words, error.message);
    /* 50 ms on a machine of its own; by far less than what it would take to believe the bytes. */
    ck_assert_int_lt(clock() - start, CLOCKS_PER_SEC);
    ck_assert_uint_le(kur_arena_size(arena), 33 * 1024 * 1024);
    kur_avro_plan_unref(plan);

    /* Nor does a tool that shows any schema believe them. */
    kur_buffer json = {0};
    kur_schema *schema = schema_of_text(writer);
    kur_status status = kur_avro_to_json(schema, data, &json, &error);
    ck_assert(status == expected || expected == KUR_ERROR_MISMATCH || status == KUR_ERROR_SYNTAX);
    ck_assert_uint_eq(json.size, 0);
    kur_buffer_done(&json);
    kur_schema_unref(schema);
}

START_TEST(test_avro__believes_no_length)
{
    static const struct {
        const char *writer, *hex;
        kur_status status;
        const char *words;
    } cases[] = {
        /* 2 * 10⁹ bytes that are not there, and a negative size. */
        {RECORD(FIELD("x", "\"int\"")), "80d0acf30e", KUR_ERROR_SYNTAX, "raw: not Avro: a text is not whole"},
        {RECORD(FIELD("x", "\"int\"")), "01", KUR_ERROR_SYNTAX, "raw: not Avro: a text is not whole"},
        {RECORD(FIELD("x", "\"bytes\"")), "00 80d0acf30e", KUR_ERROR_SYNTAX, "x: not Avro: a text is not whole"},
        /* 2 * 10⁸ items that take no bytes: kept, and gone over. */
        {RECORD(FIELD("kept", "{\"type\":\"array\",\"items\":\"null\"}")), "00 8088debe01 00", KUR_ERROR_TOO_LARGE,
         "kept: has a block of 200000000 items in 1 bytes"},
        {RECORD(FIELD("x", "{\"type\":\"array\",\"items\":\"null\"}")), "00 8088debe01 00", KUR_ERROR_TOO_LARGE,
         "x: has a block of 200000000 items in 1 bytes"},
        {RECORD(FIELD("kept", "{\"type\":\"array\",\"items\":\"int\"}")), "00 8088debe01 00", KUR_ERROR_SYNTAX,
         "kept: not Avro: a block of 200000000 items in 1 bytes"},
        {RECORD(FIELD("x", "{\"type\":\"map\",\"values\":\"null\"}")), "00 08 00 00", KUR_ERROR_SYNTAX,
         "x: not Avro: a block of 4 items in 2 bytes"},
        /* Blocks that say how long they are: the lowest number, beyond the end, too short, too long. */
        {RECORD(FIELD("kept", "{\"type\":\"array\",\"items\":\"int\"}")), "00 ffffffffffffffffff01 00 00",
         KUR_ERROR_SYNTAX, "kept: not Avro: a block does not end where it says"},
        {RECORD(FIELD("kept", "{\"type\":\"array\",\"items\":\"int\"}")), "00 03 06 0202 00", KUR_ERROR_SYNTAX,
         "kept: not Avro: a block does not end where it says"},
        {RECORD(FIELD("kept", "{\"type\":\"array\",\"items\":\"int\"}")), "00 03 06 020202 00", KUR_ERROR_SYNTAX,
         "kept: not Avro: a block does not end where it says"},
        {RECORD(FIELD("kept", "{\"type\":\"array\",\"items\":\"int\"}")), "00 03 02 0202 00", KUR_ERROR_SYNTAX,
         "kept: not Avro: a block of 2 items in 1 bytes"},
        /* Numbers that do not end, or do not fit. */
        {RECORD(FIELD("maybe", "\"long\"")), "00 ffffffffffffffffff02", KUR_ERROR_SYNTAX,
         "maybe: not Avro: a long is not whole, or too large"},
        {RECORD(FIELD("maybe", "\"long\"")), "00 ffffffffffffffffffff01", KUR_ERROR_SYNTAX, "maybe: "},
        {RECORD(FIELD("maybe", "\"int\"")), "00 8080808010", KUR_ERROR_SYNTAX, "maybe: not Avro: an int is not whole"},
        /* Indexes. */
        {RECORD(FIELD("maybe", "[\"null\",\"long\"]")), "00 04", KUR_ERROR_SYNTAX, "maybe: not Avro: branch 2 of 2"},
        {RECORD(FIELD("maybe", "[\"null\",\"long\"]")), "00 01", KUR_ERROR_SYNTAX, "maybe: not Avro: branch -1 of 2"},
        {RECORD(FIELD("x", "[\"null\",\"long\"]")), "00 04", KUR_ERROR_SYNTAX, "x: not Avro: branch 2 of 2"},
        {RECORD(FIELD("tone", "{\"type\":\"enum\",\"name\":\"tone\",\"symbols\":[\"red\"]}")), "00 02",
         KUR_ERROR_SYNTAX, "tone: not Avro: symbol 1 of 1"},
        {RECORD(FIELD("x", "{\"type\":\"enum\",\"name\":\"tone\",\"symbols\":[\"red\"]}")), "00 8080808080808080ff01",
         KUR_ERROR_SYNTAX, "x: not Avro: symbol "},
        {RECORD(FIELD("x", "{\"type\":\"fixed\",\"name\":\"f\",\"size\":4}")), "00 010203", KUR_ERROR_SYNTAX,
         "x: not Avro: a value is not whole"},
        {RECORD(FIELD("x", "\"double\"")), "00 01020304050607", KUR_ERROR_SYNTAX, "x: not Avro: a value is not whole"},
    };
    kur_arena *cases_arena = kur_arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        need_failure(cases[i].writer, bytes_of_hex(cases[i].hex, cases_arena), cases[i].status, cases[i].words);
    kur_arena_free(cases_arena);
}
END_TEST

START_TEST(test_avro__bounds_depth)
{
    /* A tree as deep as 100,000 bytes can say; kept, and gone over. */
    static char deep[200001];
    for (size_t i = 1; i + 1 < sizeof deep; i += 2)
        memcpy(deep + i, "\2\2", 2); /* raw of no bytes; then one item, its value 1, one item, … */
    need_failure(RECORD(FIELD("tree", TREE)), kur_bytes_of(deep, sizeof deep), KUR_ERROR_TOO_LARGE,
                 "nests deeper than 64");
    need_failure(RECORD(FIELD("x", TREE)), kur_bytes_of(deep, sizeof deep), KUR_ERROR_TOO_LARGE,
                 "nests deeper than 64");
    need_failure(
        RECORD(FIELD("x", "{\"type\":\"record\",\"name\":\"loop\",\"fields\":[{\"name\":\"n\",\"type\":\"loop\"}]}")),
        kur_bytes_of(deep, 1), KUR_ERROR_TOO_LARGE, "nests deeper than 64");
}
END_TEST

/* Records made of records made of nothing: 2 to the power of 40 of them in no bytes. */
START_TEST(test_avro__bounds_what_takes_no_bytes)
{
    kur_buffer text = {0};
    ck_assert_int_eq(kur_buffer_print(&text,
                                      "{\"type\":\"record\",\"name\":\"kept\",\"fields\":[{\"name\":\"raw\",\"type\":"
                                      "\"bytes\"}"),
                     KUR_OK);
    /* Each names the one before, which stands in a field in front of it. */
    for (int i = 0; i < 40; i++) {
        char inner[64] = "";
        if (i > 0)
            snprintf(inner, sizeof inner, "{\"name\":\"a\",\"type\":\"r%d\"},{\"name\":\"b\",\"type\":\"r%d\"}", i - 1,
                     i - 1);
        ck_assert_int_eq(kur_buffer_print(&text,
                                          ",{\"name\":\"f%d\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"r%d\","
                                          "\"fields\":[%s]}]}",
                                          i, i, inner),
                         KUR_OK);
    }
    ck_assert_int_eq(kur_buffer_print(&text, "]}"), KUR_OK);
    char data[41] = {0};
    data[40] = 2;
    need_failure(text.data, kur_bytes_of(data, sizeof data), KUR_ERROR_TOO_LARGE,
                 "more than 1000000 items and fields that take no bytes");
    kur_buffer_done(&text);
}
END_TEST

/* A byte for an item, and hundreds for its struct. */
START_TEST(test_avro__bounds_memory)
{
    static char data[1024 * 1024];
    data[0] = 0;                         /* raw */
    memcpy(data + 1, "\x80\x80\x40", 3); /* 524,288 items */
    need_failure(RECORD(FIELD("all", "{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"vast\",\"fields\":["
                                     "{\"name\":\"small\",\"type\":\"int\"}]}}")),
                 kur_bytes_of(data, sizeof data), KUR_ERROR_TOO_LARGE, "all: would take more than 32 MiB of memory");
}
END_TEST

START_TEST(test_avro__takes_blocks)
{
    struct kept read;
    kur_error error;
    kur_avro_plan *plan = plan_of(RECORD(FIELD("kept", "{\"type\":\"array\",\"items\":\"int\"}") "," FIELD(
                                      "x", "{\"type\":\"array\",\"items\":\"int\"}")),
                                  &kept_type);
    kur_bytes data = bytes_of_hex("00 02 02 03 04 0406 02 08 00 03 04 0202 02 02 00", arena);
    ck_ok(read_data(plan, &kept_type, data, &read, &error), error);
    ck_assert_uint_eq(read.kept.count, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(read.kept.items[i].value, i + 1);
    kur_avro_plan_unref(plan);
}
END_TEST

/* A thousand blocks of an item each: memory grows with the items, not with their square. */
START_TEST(test_avro__takes_many_blocks)
{
    struct kept read;
    kur_error error;
    kur_buffer data = {0};
    kur_avro_plan *plan = plan_of(RECORD(FIELD("kept", "{\"type\":\"array\",\"items\":\"int\"}")), &kept_type);
    ck_assert_int_eq(kur_buffer_append(&data, "", 1), KUR_OK);
    for (int i = 0; i < 10000; i++)
        ck_assert_int_eq(kur_buffer_append(&data, "\2\4", 2), KUR_OK);
    ck_assert_int_eq(kur_buffer_append(&data, "", 1), KUR_OK);
    kur_arena_reset(arena);
    ck_ok(read_data(plan, &kept_type, kur_bytes_of(data.data, data.size), &read, &error), error);
    ck_assert_uint_eq(read.kept.count, 10000);
    ck_assert_int_eq(read.kept.items[9999].value, 2);
    ck_assert_uint_le(kur_arena_size(arena), 10000 * 8 * 4);
    kur_avro_plan_unref(plan);
    kur_buffer_done(&data);
}
END_TEST

/* ---- Values of any schema ---- */

START_TEST(test_avro__json_of_any_schema)
{
    static const struct {
        const char *schema, *hex, *json;
    } cases[] = {
        {"\"null\"", "", "null"},
        {"\"boolean\"", "01", "true"},
        {"\"int\"", "ffffffff0f", "-2147483648"},
        {"\"float\"", "0000c07f", "\"NaN\""},
        {"\"double\"", "000000000000f0ff", "\"-Infinity\""},
        {"\"double\"", "9a9999999999b93f", "0.1"},
        {"\"float\"", "cdcccc3d", "0.1"},
        {"\"bytes\"", "06 000102", "\"AAEC\""},
        {"\"string\"", "06 220a41", "\"\\\"\\nA\""},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":3}", "000102", "\"AAEC\""},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\"]}", "02", "\"B\""},
        {"{\"type\":\"array\",\"items\":\"int\"}", "04 02 04 00", "[1,2]"},
        {"{\"type\":\"map\",\"values\":\"int\"}", "02 0261 02 00", "{\"a\":1}"},
        {"{\"type\":\"array\",\"items\":\"null\"}", "06 00", "[null,null,null]"},
        {"[\"null\",\"long\",\"string\",{\"type\":\"array\",\"items\":\"double\"}]", "04 0461 62", "\"ab\""},
        {"[\"null\",\"double\",\"long\"]", "04 06", "3"},
        {"[\"null\",\"long\",\"double\"]", "04 000000000000f83f", "1.5"},
        {"{\"type\":\"int\",\"logicalType\":\"date\"}", "3e", "\"1970-02-01\""},
        {"{\"type\":\"int\",\"logicalType\":\"date\"}", "feffffff0f", "2147483647"},
        {"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", "b817", "\"1970-01-01T00:00:01.500Z\""},
        {"{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}", "01", "\"1969-12-31T23:59:59.999999Z\""},
        {"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", "feffffffffffffffff01", "9223372036854775807"},
        {"{\"type\":\"string\",\"logicalType\":\"uuid\"}",
         "48 30313233343536372d383961622d636465662d303132332d343536373839616263646566",
         "\"01234567-89ab-cdef-0123-456789abcdef\""},
        {"{\"type\":\"fixed\",\"name\":\"u\",\"size\":16,\"logicalType\":\"uuid\"}", "0123456789abcdef0123456789abcdef",
         "\"01234567-89ab-cdef-0123-456789abcdef\""},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":2}", "04 cfc7", "\"-123.45\""},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,\"scale\":2}", "02 05", "\"0.05\""},
        {"{\"type\":\"fixed\",\"name\":\"d\",\"size\":4,\"logicalType\":\"decimal\",\"precision\":9,\"scale\":0}",
         "ffffff85", "\"-123\""},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":9}",
         "20 4b3b4ca85a86c47a098a223fffffffff", "\"99999999999999999999999999999.999999999\""},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":39,\"scale\":0}",
         "20 80000000000000000000000000000000", "\"-170141183460469231731687303715884105728\""},
        {"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"b\",\"type\":["
         "\"null\","
         "\"r\"]}]}",
         "02 02 04 00", "{\"a\":1,\"b\":{\"a\":2,\"b\":null}}"},
    };
    kur_error error = {0};
    kur_buffer made = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_schema *schema = schema_of_text(cases[i].schema);
        kur_bytes data = bytes_of_hex(cases[i].hex, arena);
        made.size = 0;
        ck_ok(kur_avro_to_json(schema, data, &made, &error), error);
        ck_assert_str_eq(made.data, cases[i].json);
        made.size = 0;
        ck_ok(kur_avro_from_json(schema, kur_bytes_text(cases[i].json), &made, &error), error);
        ck_assert_msg(made.size == data.size && memcmp(made.data, data.data, data.size) == 0, "%s", cases[i].json);
        kur_schema_unref(schema);
    }
    kur_buffer_done(&made);
}
END_TEST

/* A described record looks as kur_json_write writes it, but for what is absent. */
START_TEST(test_avro__json_of_a_described_record)
{
    static struct full_every full;
    kur_error error = {0};
    kur_buffer data = {0}, shown = {0}, written = {0}, back = {0};
    kur_schema *schema;
    fill(&full);
    full.every.at_ms = 5000;
    ck_ok(kur_schema_of(&every_type, &schema, &error), error);
    ck_ok(kur_avro_write(&every_type, &full.every, &data, &error), error);
    ck_ok(kur_json_write(&every_type, &full.every, &written, &error), error);
    ck_ok(kur_avro_to_json(schema, kur_bytes_of(data.data, data.size), &shown, &error), error);
    ck_assert_str_eq(shown.data, written.data);
    ck_ok(kur_avro_from_json(schema, kur_bytes_of(shown.data, shown.size), &back, &error), error);
    ck_assert_uint_eq(back.size, data.size);
    ck_assert_mem_eq(back.data, data.data, data.size);
    kur_schema_unref(schema);
    kur_buffer_done(&data);
    kur_buffer_done(&shown);
    kur_buffer_done(&written);
    kur_buffer_done(&back);
}
END_TEST

START_TEST(test_avro__json_that_does_not_fit)
{
    static const struct {
        const char *schema, *json;
        kur_status status;
        const char *words;
    } cases[] = {
        {"\"int\"", "2147483648", KUR_ERROR_MISMATCH, "is out of range"},
        {"\"int\"", "\"1\"", KUR_ERROR_MISMATCH, "expected int, found string"},
        {"\"int\"", "{", KUR_ERROR_SYNTAX, "not JSON"},
        {"\"float\"", "1e300", KUR_ERROR_MISMATCH, "is out of range"},
        {"\"bytes\"", "\"=\"", KUR_ERROR_MISMATCH, "expected base64 with padding"},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":2}", "\"AAEC\"", KUR_ERROR_MISMATCH, "expected 2 bytes, found 3"},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"]}", "\"B\"", KUR_ERROR_MISMATCH, "is not a symbol of e"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "[1,null]", KUR_ERROR_MISMATCH, "[1]: expected int, found null"},
        {"{\"type\":\"map\",\"values\":\"int\"}", "{\"k\":true}", KUR_ERROR_MISMATCH, "[\"k\"]: expected int"},
        {"[\"null\",\"int\"]", "\"x\"", KUR_ERROR_MISMATCH, "expected int, found string"},
        {"[\"string\",\"int\"]", "1.5", KUR_ERROR_MISMATCH, "fits no type of the union"},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}", "\"1.234\"",
         KUR_ERROR_MISMATCH, "expected a decimal of at most 4 digits, 2 of them behind the point"},
        {"{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}", "\"123.4\"",
         KUR_ERROR_MISMATCH, "expected a decimal"},
        {"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}", "{}",
         KUR_ERROR_MISMATCH, "a: is missing"},
        {"{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}", "{\"a\":1,\"b\":2}",
         KUR_ERROR_MISMATCH, "b: is not a field of r"},
    };
    kur_error error;
    kur_buffer made = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_schema *schema = schema_of_text(cases[i].schema);
        error = (kur_error){0};
        ck_assert_int_eq(kur_avro_from_json(schema, kur_bytes_text(cases[i].json), &made, &error), cases[i].status);
        ck_assert_msg(strstr(error.message, cases[i].words) != NULL, "\"%s\" is not in \"%s\"", cases[i].words,
                      error.message);
        ck_assert_uint_eq(made.size, 0);
        kur_schema_unref(schema);
    }
    kur_buffer_done(&made);
}
END_TEST

/* Defaults are written as a schema has them: bytes as characters, logical types as numbers, the union's first type. */
START_TEST(test_avro__json_takes_defaults)
{
    kur_error error = {0};
    kur_buffer made = {0};
    kur_schema *schema = schema_of_text(
        "{\"type\":\"record\",\"name\":\"r\",\"fields\":["
        "{\"name\":\"b\",\"type\":\"bytes\",\"default\":\"\\u0000\\u00ff\\u0041\"},"
        "{\"name\":\"d\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2},"
        "\"default\":\"\\u0005\"},"
        "{\"name\":\"t\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"},\"default\":3},"
        "{\"name\":\"u\",\"type\":[\"null\",\"int\"],\"default\":null},"
        "{\"name\":\"v\",\"type\":[\"int\",\"null\"],\"default\":7},"
        "{\"name\":\"l\",\"type\":{\"type\":\"array\",\"items\":\"string\"},\"default\":[\"a\"]},"
        "{\"name\":\"n\",\"type\":{\"type\":\"record\",\"name\":\"inner\",\"fields\":[{\"name\":\"i\",\"type\":\"int\","
        "\"default\":4}]},"
        "\"default\":{}}]}");
    kur_bytes expected = bytes_of_hex("06 00ff41 02 05 06 00 00 0e 02 0261 00 08", arena);
    /* jansson keeps a NUL in a schema's text only if the parser lets it: what is there has to be whole. */
    ck_ok(kur_avro_from_json(schema, kur_bytes_text("{}"), &made, &error), error);
    ck_assert_uint_eq(made.size, expected.size);
    ck_assert_mem_eq(made.data, expected.data, made.size);
    kur_schema_unref(schema);
    kur_buffer_done(&made);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_avro__every_kind_both_ways,
                                  test_avro__limits_both_ways,
                                  test_avro__numbers_as_the_specification_writes_them,
                                  test_avro__refuses_to_write_what_does_not_validate,
                                  test_avro__survives_cuts_and_changes,
                                  test_avro__believes_no_length,
                                  test_avro__bounds_depth,
                                  test_avro__bounds_what_takes_no_bytes,
                                  test_avro__bounds_memory,
                                  test_avro__takes_blocks,
                                  test_avro__takes_many_blocks,
                                  test_avro__json_of_any_schema,
                                  test_avro__json_of_a_described_record,
                                  test_avro__json_that_does_not_fit,
                                  test_avro__json_takes_defaults,
                                  NULL};
    arena = kur_arena_new();
    int result = check_main("avro", tests);
    kur_arena_free(arena);
    return result;
}
