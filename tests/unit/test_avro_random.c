/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Random schemas and random values, with Apache's avro-c as the judge: what it has written we show as JSON, which is
 * compared with its value, part by part; what we make of that JSON it reads again, to the same. Random records of a
 * type of ours it reads by their schema, and writes again, to the same bytes. What avro-c is known to do wrong
 * (resolution, bytes that are not sound) it is not asked. KURIER_SEED repeats a run.
 */
#include <avro.h>
#include <inttypes.h>
#include <jansson.h>
#include <kurier/sys/base64.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avro_types.h"
#include "check_main.h"

KUR_ENUM_DEFINE(tone, TONE, .unknown = "other");
KUR_RECORD_DEFINE(part, PART);
KUR_RECORD_DEFINE(every, EVERY);
#define LAST(F, S) F(S, INT64, last)
KUR_RECORD(last, LAST);
KUR_RECORD_DEFINE(last, LAST, .avro_name = "root");

enum {
    SCHEMAS = 3000,
    VALUES = 4, /* of each */
    RECORDS = 5000,
    NESTING_MAX = 5
};

static kur_arena *arena;
static uint64_t state;

/* xorshift64*: small, and the same everywhere. */
static uint64_t next_random(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

static size_t below(size_t limit)
{
    return (size_t)(next_random() >> 11) % limit;
}

/* Of all sizes: a byte more, or less, is where it goes wrong. */
static int64_t random_long(void)
{
    return (int64_t)next_random() >> below(64);
}

/* ---- Schemas ---- */

static void put(kur_buffer *text, const char *format, int number)
{
    ck_assert_int_eq(kur_buffer_print(text, format, number), KUR_OK);
}

static int names;

static void put_type(kur_buffer *text, size_t kind, int nesting);

static void put_any(kur_buffer *text, int nesting)
{
    put_type(text, below(nesting >= NESTING_MAX ? 10 : 14), nesting);
}

/* Types of one kind each, but for those that have names. */
static void put_union(kur_buffer *text, int nesting)
{
    size_t count = 1 + below(4), kind = below(3);
    put(text, "[", 0);
    for (size_t i = 0; i < count && kind < 13; i++, kind += 1 + below(4)) {
        put(text, i > 0 ? "," : "", 0);
        put_type(text, kind, nesting + 1);
    }
    put(text, "]", 0);
}

static void put_record(kur_buffer *text, int nesting)
{
    int name = names++;
    size_t count = 1 + below(4);
    put(text, "{\"type\":\"record\",\"name\":\"r%d\",\"fields\":[", name);
    for (size_t i = 0; i < count; i++) {
        put(text, i > 0 ? ",{\"name\":\"f%d\",\"type\":" : "{\"name\":\"f%d\",\"type\":", (int)i);
        if (below(8) == 0)
            put(text, "[\"null\",\"r%d\"]", name);
        else
            put_any(text, nesting + 1);
        put(text, "}", 0);
    }
    put(text, "]}", 0);
}

static void put_type(kur_buffer *text, size_t kind, int nesting)
{
    static const char *const plain[] = {"\"null\"",  "\"boolean\"", "\"int\"",   "\"long\"",
                                        "\"float\"", "\"double\"",  "\"bytes\"", "\"string\""};
    switch (kind) {
    case 8:
        put(text, "{\"type\":\"fixed\",\"name\":\"x%d\",", names++);
        put(text, "\"size\":%d}", 1 + (int)below(20));
        break;
    case 9:
        put(text, "{\"type\":\"enum\",\"name\":\"e%d\",\"symbols\":[\"A\"", names++);
        for (size_t i = below(5); i > 0; i--)
            put(text, ",\"S%d\"", (int)i);
        put(text, "]}", 0);
        break;
    case 10:
        put(text, "{\"type\":\"array\",\"items\":", 0);
        put_any(text, nesting + 1);
        put(text, "}", 0);
        break;
    case 11:
        put(text, "{\"type\":\"map\",\"values\":", 0);
        put_any(text, nesting + 1);
        put(text, "}", 0);
        break;
    case 12:
        put_record(text, nesting);
        break;
    case 13:
        put_union(text, nesting);
        break;
    default:
        put(text, plain[kind], 0);
        break;
    }
}

/* ---- Values of avro-c's ---- */

static void need(int status)
{
    ck_assert_msg(status == 0, "avro-c: %s", avro_strerror());
}

static const char *random_text(size_t *size)
{
    static const char *const parts[] = {"a",
                                        "Z",
                                        " ",
                                        "\"",
                                        "\\",
                                        "\n",
                                        "\x01",
                                        "\x7f",
                                        "\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80",
                                        "{",
                                        "0123456789abcdef"};
    static char text[512];
    text[0] = '\0';
    for (size_t i = below(12); i > 0; i--)
        strcat(text, parts[below(sizeof parts / sizeof *parts)]);
    *size = strlen(text);
    return text;
}

static double random_double(void)
{
    double number;
    uint64_t bits = next_random();
    memcpy(&number, &bits, sizeof number);
    return below(2) == 0 ? (double)random_long() / 1024 : number;
}

static void fill(avro_value_t *value, int nesting);

static void fill_parts(avro_value_t *value, avro_type_t type, int nesting)
{
    avro_value_t part;
    size_t count = 0;
    char key[24];
    int chosen;
    switch (type) {
    case AVRO_ARRAY:
        for (count = nesting > 8 ? 0 : below(5); count > 0; count--) {
            need(avro_value_append(value, &part, NULL));
            fill(&part, nesting + 1);
        }
        break;
    case AVRO_MAP:
        for (count = nesting > 8 ? 0 : below(5); count > 0; count--) {
            snprintf(key, sizeof key, "k%zu", count);
            need(avro_value_add(value, key, &part, NULL, NULL));
            fill(&part, nesting + 1);
        }
        break;
    case AVRO_RECORD:
        need(avro_value_get_size(value, &count));
        for (size_t i = 0; i < count; i++) {
            need(avro_value_get_by_index(value, i, &part, NULL));
            fill(&part, nesting + 1);
        }
        break;
    default:
        count = avro_schema_union_size(avro_value_get_schema(value));
        chosen = nesting > 8 ? 0 : (int)below(count);
        need(avro_value_set_branch(value, chosen, &part));
        fill(&part, nesting + 1);
        break;
    }
}

static void fill(avro_value_t *value, int nesting)
{
    uint8_t bytes[64];
    size_t size;
    avro_type_t type = avro_value_get_type(value);
    switch (type) {
    case AVRO_NULL:
        need(avro_value_set_null(value));
        break;
    case AVRO_BOOLEAN:
        need(avro_value_set_boolean(value, (int)below(2)));
        break;
    case AVRO_INT32:
        need(avro_value_set_int(value, (int32_t)random_long()));
        break;
    case AVRO_INT64:
        need(avro_value_set_long(value, random_long()));
        break;
    case AVRO_FLOAT:
        need(avro_value_set_float(value, (float)random_double()));
        break;
    case AVRO_DOUBLE:
        need(avro_value_set_double(value, random_double()));
        break;
    case AVRO_STRING:
        need(avro_value_set_string(value, random_text(&size)));
        break;
    case AVRO_BYTES:
    case AVRO_FIXED:
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)next_random();
        if (type == AVRO_BYTES)
            need(avro_value_set_bytes(value, bytes, below(sizeof bytes)));
        else
            need(avro_value_set_fixed(value, bytes, (size_t)avro_schema_fixed_size(avro_value_get_schema(value))));
        break;
    case AVRO_ENUM:
        need(avro_value_set_enum(value,
                                 (int)below((size_t)avro_schema_enum_number_of_symbols(avro_value_get_schema(value)))));
        break;
    default:
        fill_parts(value, type, nesting);
        break;
    }
}

/* ---- Ours beside theirs ---- */

static void check_real(double number, const json_t *json, bool is_float)
{
    if (isnan(number))
        ck_assert_str_eq(json_string_value(json), "NaN");
    else if (isinf(number))
        ck_assert_str_eq(json_string_value(json), number > 0 ? "Infinity" : "-Infinity");
    else if (is_float)
        ck_assert((float)json_number_value(json) == (float)number);
    else
        ck_assert(json_number_value(json) == number);
}

static void check_base64(const void *data, size_t size, const json_t *json)
{
    kur_buffer text = {0};
    ck_assert_int_eq(kur_base64_write(&text, kur_bytes_of(data, size)), KUR_OK);
    ck_assert_str_eq(json_string_value(json), text.data != NULL ? text.data : "");
    kur_buffer_done(&text);
}

static void check_value(avro_value_t *value, const json_t *json);

static void check_parts(avro_value_t *value, avro_type_t type, const json_t *json)
{
    avro_value_t part;
    const char *name;
    size_t count = 0;
    if (type == AVRO_UNION) {
        need(avro_value_get_current_branch(value, &part));
        check_value(&part, json);
        return;
    }
    need(avro_value_get_size(value, &count));
    ck_assert_uint_eq(type == AVRO_ARRAY ? json_array_size(json) : json_object_size(json), count);
    for (size_t i = 0; i < count; i++) {
        need(avro_value_get_by_index(value, i, &part, &name));
        check_value(&part, type == AVRO_ARRAY ? json_array_get(json, i) : json_object_get(json, name));
    }
}

static void check_value(avro_value_t *value, const json_t *json)
{
    int32_t small = 0;
    int64_t large = 0;
    int truth = 0;
    float narrow = 0;
    double wide = 0;
    const char *text = NULL;
    const void *data = NULL;
    size_t size = 0;
    avro_type_t type = avro_value_get_type(value);
    ck_assert_ptr_nonnull(json);
    switch (type) {
    case AVRO_NULL:
        ck_assert(json_is_null(json));
        break;
    case AVRO_BOOLEAN:
        need(avro_value_get_boolean(value, &truth));
        ck_assert(json_is_boolean(json) && json_is_true(json) == (truth != 0));
        break;
    case AVRO_INT32:
        need(avro_value_get_int(value, &small));
        ck_assert(json_is_integer(json) && json_integer_value(json) == small);
        break;
    case AVRO_INT64:
        need(avro_value_get_long(value, &large));
        ck_assert(json_is_integer(json) && json_integer_value(json) == large);
        break;
    case AVRO_FLOAT:
        need(avro_value_get_float(value, &narrow));
        check_real((double)narrow, json, true);
        break;
    case AVRO_DOUBLE:
        need(avro_value_get_double(value, &wide));
        check_real(wide, json, false);
        break;
    case AVRO_STRING:
        need(avro_value_get_string(value, &text, &size));
        ck_assert_str_eq(json_string_value(json), text);
        break;
    case AVRO_BYTES:
        need(avro_value_get_bytes(value, &data, &size));
        check_base64(data, size, json);
        break;
    case AVRO_FIXED:
        need(avro_value_get_fixed(value, &data, &size));
        check_base64(data, size, json);
        break;
    case AVRO_ENUM:
        need(avro_value_get_enum(value, &truth));
        ck_assert_str_eq(json_string_value(json), avro_schema_enum_get(avro_value_get_schema(value), truth));
        break;
    default:
        check_parts(value, type, json);
        break;
    }
}

static void read_theirs(avro_value_t *value, kur_bytes data)
{
    avro_reader_t reader = avro_reader_memory(data.data, (int64_t)data.size);
    need(avro_value_reset(value));
    need(avro_value_read(reader, value));
    /* All of it. */
    char more;
    ck_assert_int_ne(avro_read(reader, &more, 1), 0);
    avro_reader_free(reader);
}

static void check_json(avro_value_t *value, const kur_buffer *json)
{
    json_t *tree = json_loadb(json->data, json->size, 0, NULL);
    ck_assert_msg(tree != NULL, "%s", json->data);
    check_value(value, tree);
    json_decref(tree);
}

static void both_ways(const kur_schema *schema, const kur_avro_plan *plan, avro_value_t *value, char *storage,
                      size_t room)
{
    kur_error error = {0};
    kur_buffer json = {0}, data = {0};
    struct last last;
    avro_value_t number;
    int64_t expected = 0;
    fill(value, 0);
    avro_writer_t writer = avro_writer_memory(storage, (int64_t)room);
    need(avro_value_write(writer, value));
    kur_bytes theirs = kur_bytes_of(storage, (size_t)avro_writer_tell(writer));
    avro_writer_free(writer);
    /* What they have written, as we see it. */
    ck_ok(kur_avro_to_json(schema, theirs, &json, &error), error);
    check_json(value, &json);
    /* The last field, behind one that we go over. */
    need(avro_value_get_by_index(value, 1, &number, NULL));
    need(avro_value_get_long(&number, &expected));
    kur_arena_reset(arena);
    ck_ok(kur_avro_read(plan, theirs, arena, &last, &error), error);
    ck_assert_int_eq(last.last, expected);
    /* What we have made, as they see it. A text may have become another branch of its union: the JSON is the same. */
    ck_ok(kur_avro_from_json(schema, kur_bytes_of(json.data, json.size), &data, &error), error);
    read_theirs(value, kur_bytes_of(data.data, data.size));
    check_json(value, &json);
    kur_buffer_done(&json);
    kur_buffer_done(&data);
}

START_TEST(test_avro_random__schemas_and_values)
{
    static char storage[4 * 1024 * 1024];
    for (int i = 0; i < SCHEMAS; i++) {
        kur_error error = {0};
        kur_buffer text = {0};
        kur_schema *schema;
        kur_avro_plan *plan;
        avro_schema_t theirs;
        avro_value_t value;
        put(&text, "{\"type\":\"record\",\"name\":\"root\",\"fields\":[{\"name\":\"x\",\"type\":", 0);
        put_any(&text, 0);
        put(&text, "},{\"name\":\"last\",\"type\":\"long\"}]}", 0);
        need(avro_schema_from_json_length(text.data, text.size, &theirs));
        ck_ok(kur_schema_parse(kur_bytes_of(text.data, text.size), NULL, 0, &schema, &error), error);
        ck_ok(kur_avro_plan_new(schema, &last_type, &plan, &error), error);
        ck_ok(kur_schema_reads(schema, schema, &error), error);
        avro_value_iface_t *class = avro_generic_class_from_schema(theirs);
        need(avro_generic_value_new(class, &value));
        for (int j = 0; j < VALUES; j++)
            both_ways(schema, plan, &value, storage, sizeof storage);
        avro_value_decref(&value);
        avro_value_iface_decref(class);
        avro_schema_decref(theirs);
        kur_avro_plan_unref(plan);
        kur_schema_unref(schema);
        kur_buffer_done(&text);
    }
}
END_TEST

/* ---- Records of a type of ours ---- */

static int64_t within(int64_t low, int64_t high)
{
    return low + (int64_t)(next_random() % (uint64_t)(high - low + 1));
}

static const char *kept_text(void)
{
    size_t size;
    const char *text = random_text(&size);
    return kur_arena_copy(arena, text, size);
}

static void fill_lists(struct every *every)
{
    every->words.count = below(4);
    every->words.items = kur_arena_alloc(arena, sizeof *every->words.items * 4);
    for (size_t i = 0; i < every->words.count; i++)
        every->words.items[i] = kept_text();
    every->grid.count = below(4);
    every->grid.items = kur_arena_alloc(arena, sizeof *every->grid.items * 4);
    for (size_t i = 0; i < every->grid.count; i++) {
        every->grid.items[i].count = below(4);
        every->grid.items[i].items = kur_arena_alloc(arena, 4 * sizeof(int32_t));
        for (size_t j = 0; j < every->grid.items[i].count; j++)
            every->grid.items[i].items[j] = (int32_t)random_long();
    }
    every->weights.count = below(3);
    every->weights.items = kur_arena_alloc(arena, sizeof *every->weights.items * 3);
    for (size_t i = 0; i < every->weights.count; i++) {
        every->weights.items[i].key = i == 0 ? "a" : "b";
        every->weights.items[i].value = (double)random_long() / 16;
    }
    every->days.count = below(4);
    every->days.items = kur_arena_alloc(arena, sizeof *every->days.items * 4);
    for (size_t i = 0; i < every->days.count; i++) {
        every->days.items[i].has = below(2) == 0;
        every->days.items[i].value = every->days.items[i].has ? (int32_t)within(-719162, 2932896) : 0;
    }
}

static void fill_every(struct every *every)
{
    const int64_t first = INT64_C(-62135596800000000), last = INT64_C(253402300799999999);
    const int64_t limit = INT64_C(999999999999999999);
    *every = (struct every){.text = kept_text(),
                            .raw = kur_bytes_of(kur_arena_copy(arena, "\0\xff raw", 6), below(7)),
                            .yes = below(2) == 0,
                            .small = (int32_t)random_long(),
                            .large = random_long(),
                            .narrow = (float)random_long() / 16,
                            .wide = (double)random_long() / 16,
                            .at = within(first, last),
                            .at_ms = within(first / 1000, last / 1000) * 1000,
                            .day = (int32_t)within(-719162, 2932896),
                            .amount = within(-limit, limit) >> below(60),
                            .tone = (enum tone)(1 + below(3)),
                            .maybe = {.has = below(2) == 0}};
    every->maybe.value = every->maybe.has ? random_long() : 0;
    for (size_t i = 0; i < sizeof every->id; i++)
        ((uint8_t *)&every->id)[i] = (uint8_t)next_random();
    for (size_t i = 0; i < sizeof every->hash; i++)
        ((uint8_t *)&every->hash)[i] = (uint8_t)next_random();
    every->gift.has = below(2) == 0;
    if (every->gift.has) {
        every->gift.value.sku = "sku";
        every->gift.value.quantity = (int32_t)within(1, 999);
        every->gift.value.price = within(0, INT64_C(999999999999));
    }
    fill_lists(every);
}

/* The members that are null, which kur_json_write leaves out. */
static void check_same_json(const kur_buffer *shown, const kur_buffer *written)
{
    json_t *ours = json_loadb(shown->data, shown->size, 0, NULL),
           *other = json_loadb(written->data, written->size, 0, NULL);
    const char *const names_of[] = {"maybe", "gift"};
    for (int i = 0; i < 2; i++)
        if (json_is_null(json_object_get(ours, names_of[i])))
            json_object_del(ours, names_of[i]);
    ck_assert_msg(json_equal(ours, other), "%s\n%s", shown->data, written->data);
    json_decref(ours);
    json_decref(other);
}

/* Without defaults, of which avro-c knows nothing but that a NUL, as a decimal's has one, must not be in a text. */
static void drop_defaults(json_t *tree)
{
    const char *name;
    json_t *member;
    size_t i;
    json_object_del(tree, "default");
    json_object_foreach (tree, name, member)
        drop_defaults(member);
    json_array_foreach(tree, i, member) drop_defaults(member);
}

static avro_schema_t their_schema(const kur_schema *schema)
{
    avro_schema_t theirs;
    kur_bytes text = kur_schema_text(schema);
    json_t *tree = json_loadb(text.data, text.size, JSON_ALLOW_NUL, NULL);
    drop_defaults(tree);
    char *without = json_dumps(tree, 0);
    need(avro_schema_from_json_length(without, strlen(without), &theirs));
    free(without);
    json_decref(tree);
    return theirs;
}

START_TEST(test_avro_random__records)
{
    static char storage[64 * 1024];
    kur_error error = {0};
    kur_schema *schema;
    kur_avro_plan *plan;
    avro_schema_t theirs;
    avro_value_t value;
    kur_buffer data = {0}, shown = {0}, written = {0};
    struct every every, read;
    ck_ok(kur_schema_of(&every_type, &schema, &error), error);
    ck_ok(kur_avro_plan_new(NULL, &every_type, &plan, &error), error);
    theirs = their_schema(schema);
    avro_value_iface_t *class = avro_generic_class_from_schema(theirs);
    need(avro_generic_value_new(class, &value));
    for (int i = 0; i < RECORDS; i++) {
        kur_arena_reset(arena);
        fill_every(&every);
        data.size = shown.size = written.size = 0;
        ck_ok(kur_avro_write(&every_type, &every, &data, &error), error);
        /* They read it, and write it as it was. */
        read_theirs(&value, kur_bytes_of(data.data, data.size));
        avro_writer_t writer = avro_writer_memory(storage, sizeof storage);
        need(avro_value_write(writer, &value));
        ck_assert_int_eq(avro_writer_tell(writer), (int64_t)data.size);
        ck_assert_mem_eq(storage, data.data, data.size);
        avro_writer_free(writer);
        /* What it means is what JSON says. */
        ck_ok(kur_avro_to_json(schema, kur_bytes_of(data.data, data.size), &shown, &error), error);
        ck_ok(kur_json_write(&every_type, &every, &written, &error), error);
        check_same_json(&shown, &written);
        ck_ok(kur_avro_read(plan, kur_bytes_of(data.data, data.size), arena, &read, &error), error);
        ck_assert_int_eq(kur_type_compare(&every_type, &every, &read), 0);
    }
    avro_value_decref(&value);
    avro_value_iface_decref(class);
    avro_schema_decref(theirs);
    kur_avro_plan_unref(plan);
    kur_schema_unref(schema);
    kur_buffer_done(&data);
    kur_buffer_done(&shown);
    kur_buffer_done(&written);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_avro_random__schemas_and_values, test_avro_random__records, NULL};
    const char *seed = getenv("KURIER_SEED");
    state = seed != NULL ? strtoull(seed, NULL, 0) : 20261129;
    printf("# seed %" PRIu64 "\n", state);
    arena = kur_arena_new();
    int result = check_main("avro_random", tests);
    kur_arena_free(arena);
    return result;
}
