/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The oddest values and schemas that can be on the wire in Avro, and what the fuzzers begin with, as a listener would
 * meet them: the schema is not known yet, is read, becomes a plan, and the value is read by it. Each is refused with a
 * reason, as poison, within 32 MiB, and in the time that a linear reader takes.
 */
#include <dirent.h>
#include <kurier/client.h>
#include <kurier/event.h>
#include <kurier/fields.h>
#include <kurier/sys/codec.h>
#include <stdio.h>
#include <string.h>

#include "../check_main.h"
#include "../counting.h"
#include "../hostile.h"
#include "../letters.h"
#include "../schema_table.h"

#define PIECE(F, S)                                                                                                    \
    F(S, INT32, number, .default_text = "0")                                                                           \
    F(S, STRING, name, .default_text = "a piece without a name")                                                       \
    F(S, OPTIONAL(BYTES), raw)                                                                                         \
    F(S, OPTIONAL(UUID), id)                                                                                           \
    F(S, LIST(RECORD(piece)), pieces, .default_text = "[]")
KUR_RECORD(piece, PIECE);
KUR_RECORD_DEFINE(piece, PIECE, .avro_name = "x.piece");
#define TONE(F, S)                                                                                                     \
    F(S, red)                                                                                                          \
    F(S, green)
KUR_ENUM(tone, TONE);
KUR_ENUM_DEFINE(tone, TONE, .avro_name = "x.tone");
#define SAMPLE(F, S)                                                                                                   \
    F(S, OPTIONAL(BYTES), raw)                                                                                         \
    F(S, ENUM(tone), tone, .default_text = "red")                                                                      \
    F(S, LIST(INT64), numbers, .default_text = "[]")                                                                   \
    F(S, LIST(RECORD(piece)), pieces, .default_text = "[]")                                                            \
    F(S, MAP(STRING), texts, .default_text = "{}")                                                                     \
    F(S, OPTIONAL(RECORD(piece)), piece)
KUR_EVENT(sample, "x.sample", 1, SAMPLE);
KUR_EVENT_DEFINE(sample, SAMPLE, .avro_name = "x.sample");

enum {
    ID = 7,
    LARGEST = 1000000, /* what a broker takes */
    MEMORY_MAX = 32 * 1024 * 1024
};

static schema_table table;
static double slowest_ms;
static size_t largest;

static bool is_poison(kur_status status)
{
    return status != KUR_OK && status != KUR_ERROR_NO_MEMORY && !kur_status_is_of_schemas(status);
}

/* Of a client that knows no schema yet. 2 µs a byte and 50 ms: a sanitizer's build on a slow machine takes a tenth. */
static kur_status cost(const char *what, kur_bytes value, const char *schema, const char *content_type,
                       kur_error *error)
{
    struct sample event;
    schema_table_init(&table);
    if (schema != NULL)
        schema_table_add_text(&table, ID, schema);
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:1", .schemas = &table.schemas), error);
    ck_assert_msg(client != NULL, "%s", error->message);
    kur_arena *arena = kur_arena_new();
    kur_event_view view = KUR_EVENT_VIEW(.client = client, .content_type = content_type, .data = value);
    size_t size = value.size + (schema != NULL ? strlen(schema) : 0);
    count_begin();
    kur_status status = kur_event_decode(&view, &sample_type, arena, &event, error);
    double ms = count_ms();
    size_t memory = peak - floor_size;
    kur_arena_free(arena);
    kur_client_unref(client);
    schema_table_done(&table);
    slowest_ms = ms > slowest_ms ? ms : slowest_ms;
    largest = memory > largest ? memory : largest;
    if (ms > 1)
        printf("# %-60s %8.2f ms %8zu KiB\n", what, ms, memory / 1024);
    ck_assert_msg(memory <= MEMORY_MAX, "%s: %zu bytes of memory", what, memory);
    ck_assert_msg(ms < 50 + (double)size * 0.002, "%s: %.1f ms for %zu bytes", what, ms, size);
    return status;
}

static void expect_poison(const char *what, kur_bytes value, const char *schema, const char *says)
{
    kur_error error = {0};
    kur_status status = cost(what, value, schema, "application/avro", &error);
    ck_assert_msg(is_poison(status), "%s: %s (%s)", what, kur_status_name(status), error.message);
    ck_assert_int_eq(error.code, status);
    ck_assert_msg(strstr(error.message, says) != NULL, "%s: %s", what, error.message);
    ck_assert(strchr(error.message, '\n') == NULL && kur_bytes_is_utf8(kur_bytes_text(error.message)));
}

/* ---- Values ---- */

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"x.sample\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define ARRAY(items) "{\"type\":\"array\",\"items\":" items "}"
#define PART(fields) "{\"type\":\"record\",\"name\":\"x.piece\",\"fields\":[" fields "]}"
#define RAW FIELD("raw", "\"bytes\"")

static const struct value {
    const char *what, *schema;
    const char *value;
    size_t size;
    const char *part; /* so often that it is a megabyte */
    size_t part_size;
    const char *says;
} values[] = {
#define BYTES(text) text, sizeof text - 1
#define NO_PART NULL, 0
    {"bytes of 2 GB", RECORD(RAW), BYTES("\x80\xd0\xac\xf3\x0e"), NO_PART, "raw"},
    {"bytes of 2^63 - 1", RECORD(RAW), BYTES("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), NO_PART, "raw"},
    {"bytes of -1", RECORD(RAW), BYTES("\x01"), NO_PART, "raw"},
    {"a number that does not end", RECORD(RAW), BYTES(""), BYTES("\xff"), "raw"},
    {"200,000,000 nulls that nobody wants", RECORD(RAW "," FIELD("gone", ARRAY("\"null\""))),
     BYTES("\0\x80\x88\xde\xbe\x01\0"), NO_PART, ""},
    {"2^62 records without fields", RECORD(FIELD("pieces", ARRAY(PART(""))) "," RAW),
     BYTES("\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"), NO_PART, "pieces"},
    {"-2^63 nulls", RECORD(RAW "," FIELD("gone", ARRAY("\"null\""))),
     BYTES("\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0"), NO_PART, ""},
    {"nulls by blocks of one", RECORD(RAW "," FIELD("gone", ARRAY("\"null\""))), BYTES("\0"), BYTES("\x02"), ""},
    {"empty records by blocks of one", RECORD(FIELD("pieces", ARRAY(PART("")))), BYTES(""), BYTES("\x02"), "pieces"},
    {"a million numbers in a block", RECORD(FIELD("numbers", ARRAY("\"long\""))), BYTES("\x80\x89\x7a"), BYTES("\x02"),
     "numbers"},
    {"a million small records in a block", RECORD(FIELD("pieces", ARRAY(PART(FIELD("number", "\"int\""))))),
     BYTES("\x80\x89\x7a"), BYTES("\x02"), "pieces"},
    {"small records by blocks of one", RECORD(FIELD("pieces", ARRAY(PART(FIELD("number", "\"int\""))))), BYTES(""),
     BYTES("\x02\x02"), "pieces"},
    {"200,000 texts of a map", RECORD(FIELD("texts", "{\"type\":\"map\",\"values\":\"string\"}")),
     BYTES("\xa0\x8d\x06"), BYTES("\x02x\x02y"), "texts"},
    {"a record in itself", RECORD(FIELD("piece", "[\"null\"," PART(FIELD("pieces", ARRAY("\"x.piece\""))) "]")),
     BYTES("\x02"), BYTES("\x02"), "piece"},
    {"a record in itself that nobody wants",
     RECORD(RAW "," FIELD("gone", "[\"null\"," PART(FIELD("gone", "[\"null\",\"x.piece\"]")) "]")), BYTES("\0"),
     BYTES("\x02"), "gone"},
    {"a symbol that is none",
     RECORD(RAW "," FIELD("tone", "{\"type\":\"enum\",\"name\":\"x.tone\",\"symbols\":"
                                  "[\"red\",\"green\"]}")),
     BYTES("\0\x04"), NO_PART, "tone"},
    {"symbol -1", RECORD(RAW "," FIELD("tone", "{\"type\":\"enum\",\"name\":\"x.tone\",\"symbols\":[\"red\"]}")),
     BYTES("\0\x01"), NO_PART, "tone"},
    {"a branch that is none", RECORD(RAW "," FIELD("piece", "[\"null\",\"int\"]")), BYTES("\0\x04"), NO_PART, "piece"},
    {"a text that is not UTF-8", RECORD(FIELD("texts", "{\"type\":\"map\",\"values\":\"string\"}")),
     BYTES("\x02\x02\xff\x02y\0"), NO_PART, "texts"},
    {"nothing", RECORD(RAW), BYTES(""), NO_PART, "raw"},
    {"bytes behind the end", RECORD(RAW), BYTES("\0\0"), NO_PART, "left behind"},
};

START_TEST(test_hostile_avro__values)
{
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        const struct value *v = &values[i];
        kur_buffer value = {0};
        ck_assert_int_eq(kur_buffer_append(&value, "\0\0\0\0\x07", 5), KUR_OK);
        ck_assert_int_eq(kur_buffer_append(&value, v->value, v->size), KUR_OK);
        while (v->part != NULL && value.size < LARGEST)
            ck_assert_int_eq(kur_buffer_append(&value, v->part, v->part_size), KUR_OK);
        expect_poison(v->what, kur_bytes_of(value.data, value.size), v->schema, v->says);
        kur_buffer_done(&value);
    }
}
END_TEST

/* ---- Schemas ---- */

static const struct text {
    const char *what, *before, *part, *after;
} texts[] = {
    {"a size of -2", RECORD(RAW "," FIELD("h", "{\"type\":\"fixed\",\"name\":\"h\",\"size\":-2}")), "", ""},
    {"a megabyte of [", "", "[", ""},
    {"a megabyte of {", "", "{\"type\":", ""},
    {"types in types", "", "{\"type\":\"array\",\"items\":", "\"int\""},
    {"a megabyte of one name", "\"", "a", "\""},
    {"a megabyte of unions", "[", "\"int\",", "]"},
    {"a megabyte of records", "[", "{\"type\":\"record\",\"name\":\"r#\",\"fields\":[]},", "]"},
    {"a megabyte of fields", "{\"type\":\"record\",\"name\":\"x.sample\",\"fields\":[",
     "{\"name\":\"f#\",\"type\":\"int\"},", "]}"},
    {"a megabyte of symbols",
     "{\"type\":\"record\",\"name\":\"x.sample\",\"fields\":[{\"name\":\"tone\",\"type\":{\"type\":\"enum\",\"name\":"
     "\"x.tone\",\"symbols\":[",
     "\"s#\",", "]}}]}"},
    {"a megabyte of aliases", "{\"type\":\"record\",\"name\":\"x.sample\",\"fields\":[],\"aliases\":[", "\"a#\",",
     "]}"},
    {"a megabyte of defaults",
     "{\"type\":\"record\",\"name\":\"x.sample\",\"fields\":[{\"name\":\"raw\",\"type\":\"bytes\"},{\"name\":\"gone\","
     "\"type\":{\"type\":\"array\",\"items\":\"int\"},\"default\":[",
     "1,", "\"x\"]}]}"},
    {"no JSON", "{\"type\":", "", ""},
    {"no schema", "{\"type\":\"recrod\"}", "", ""},
    {"a name that is not there", RECORD(RAW "," FIELD("gone", "\"x.away\"")), "", ""},
};

START_TEST(test_hostile_avro__schemas)
{
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        const struct text *t = &texts[i];
        bool is_long = t->part[0] != '\0';
        kur_bytes text =
            is_long ? many(t->before, t->part, t->after, KUR_SCHEMA_SIZE_MAX - 16) : kur_bytes_text(t->before);
        expect_poison(t->what, kur_bytes_of("\0\0\0\0\x07\0", 6), text.data, "schema id 7: ");
    }
    kur_bytes text = many("\"", "a", "\"", 3 * KUR_SCHEMA_SIZE_MAX);
    expect_poison("three megabytes", kur_bytes_of("\0\0\0\0\x07\0", 6), text.data, "schema id 7: ");
}
END_TEST

/* ---- What the fuzzers begin with ---- */

static kur_bytes content_of(const char *directory, const char *name)
{
    char path[4096], piece[4096];
    size_t size;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    kur_buffer_done(&hostile_text);
    while ((size = fread(piece, 1, sizeof piece, file)) > 0)
        ck_assert_int_eq(kur_buffer_append(&hostile_text, piece, size), KUR_OK);
    fclose(file);
    return kur_bytes_of(hostile_text.data, hostile_text.size);
}

/* As values of a schema that is known, and as schemas of a value. */
static int cost_of_seeds(const char *corpus)
{
    char directory[2048];
    int count = 0;
    snprintf(directory, sizeof directory, "%s/tests/fuzz/seeds/%s", getenv("SOURCE"), corpus);
    DIR *entries = opendir(directory);
    ck_assert_msg(entries != NULL, "%s", directory);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        kur_error error = {0};
        if (entry->d_name[0] == '.')
            continue;
        static const char *const types[] = {NULL, "application/avro", "avro/binary"};
        kur_bytes content = content_of(directory, entry->d_name);
        for (size_t i = 0; i < COUNT_OF(types); i++) {
            kur_status status = cost(entry->d_name, content, NULL, types[i], &error);
            ck_assert_msg(is_poison(status), "%s: %s", entry->d_name, error.message);
        }
        kur_status status =
            cost(entry->d_name, kur_bytes_of("\0\0\0\0\x07\0", 6), content.data, "application/avro", &error);
        ck_assert_msg(is_poison(status), "%s: %s", entry->d_name, error.message);
        count++;
    }
    closedir(entries);
    return count;
}

START_TEST(test_hostile_avro__seeds)
{
    int count = cost_of_seeds("avro") + cost_of_seeds("plan") + cost_of_seeds("schema") + cost_of_seeds("frame");
    ck_assert_int_ge(count, 15);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_hostile_avro__values, test_hostile_avro__schemas, test_hostile_avro__seeds,
                                  NULL};
    count_memory();
    int result = check_main("hostile_avro", tests);
    kur_buffer_done(&hostile_text);
    printf("# the slowest took %.1f ms, the largest %zu KiB of memory\n", slowest_ms, largest / 1024);
    return result;
}
