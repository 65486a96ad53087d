/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Two schemas that are made of the input's bytes, of few names, so that they meet; whether each reads the other, and
 * values of theirs. A byte for each choice; the first texts, up to 0xFF, are the two, the rest is the value.
 */
#include "avro.h"
#include "unit/avro_types.h"

KUR_ENUM_DEFINE(tone, TONE, .unknown = "other");
KUR_RECORD_DEFINE(part, PART);

#define READER(F, S)                                                                                                   \
    F(S, INT64, a, .default_text = "1")                                                                                \
    F(S, OPTIONAL(STRING), b)                                                                                          \
    F(S, LIST(RECORD(reader)), c, .default_text = "[]")                                                                \
    F(S, MAP(DOUBLE), d, .default_text = "{}")                                                                         \
    F(S, ENUM(tone), e, .default_text = "red")                                                                         \
    F(S, OPTIONAL(RECORD(part)), f)
KUR_RECORD(reader, READER);
KUR_RECORD_DEFINE(reader, READER, .avro_name = "r0", .aliases = "r1 r2");

enum {
    NAMES = 4,
    TYPES_MAX = 60,
    FIELDS_MAX = 6
};

typedef struct maker {
    kur_bytes input;
    kur_buffer text;
    bool records[NAMES], enums[NAMES], fixed[NAMES]; /* that have been defined */
    int made;
} maker;

static size_t choose(maker *m, size_t count)
{
    return take_byte(&m->input) % count;
}

static void put(maker *m, const char *format, size_t number)
{
    need(kur_buffer_print(&m->text, format, number) == KUR_OK);
}

static void put_type(maker *m, size_t kind);

/* Kinds one after the other, so that none comes twice. */
static void put_union(maker *m)
{
    put(m, "[", 0);
    size_t kind = choose(m, 4);
    for (bool first = true; kind < 13; kind += 1 + choose(m, 5), first = false) {
        put(m, first ? "" : ",", 0);
        put_type(m, kind);
    }
    put(m, "]", 0);
}

static void put_fields(maker *m)
{
    size_t name = choose(m, 2);
    for (bool first = true; name < FIELDS_MAX; name += 1 + choose(m, 3), first = false) {
        put(m, first ? "{\"name\":\"%c\"," : ",{\"name\":\"%c\",", 'a' + name);
        if (choose(m, 8) == 1)
            put(m, "\"aliases\":[\"%c\"],", 'a' + choose(m, FIELDS_MAX));
        if (choose(m, 4) == 1) {
            put(m, "\"default\":null,\"type\":[\"null\",", 0);
            put_type(m, 1 + choose(m, 12));
            put(m, "]}", 0);
            continue;
        }
        put(m, "\"type\":", 0);
        put_type(m, choose(m, 14));
        put(m, "}", 0);
    }
}

/* A name is defined where it is met first, and used after that. */
static void put_named(maker *m, size_t kind)
{
    size_t name = choose(m, NAMES);
    bool *defined = kind == 8 ? m->fixed : kind == 9 ? m->enums : m->records;
    const char letter = kind == 8 ? 'x' : kind == 9 ? 'e' : 'r';
    if (defined[name]) {
        put(m, "\"%c", (size_t)letter);
        put(m, "%zu\"", name);
        return;
    }
    defined[name] = true;
    put(m,
        kind == 8   ? "{\"type\":\"fixed\",\"name\":\"x%zu\","
        : kind == 9 ? "{\"type\":\"enum\",\"name\":\"e%zu\",\"symbols\":[\"A\""
                    : "{\"type\":\"record\",\"name\":\"r%zu\",\"fields\":[",
        name);
    if (kind == 8)
        put(m, "\"size\":%zu}", 1 + choose(m, 17));
    for (size_t i = kind == 9 ? choose(m, 4) : 0; i > 0; i--)
        put(m, ",\"S%zu\"", i);
    if (kind == 12)
        put_fields(m);
    if (kind != 8)
        put(m, "]}", 0);
}

static void put_type(maker *m, size_t kind)
{
    static const char *const plain[] = {"\"null\"",  "\"boolean\"", "\"int\"",   "\"long\"",
                                        "\"float\"", "\"double\"",  "\"bytes\"", "\"string\""};
    static const char *const logical[] = {
        [0] = "{\"type\":\"int\",\"logicalType\":\"date\"}",
        [1] = "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
        [4] = "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":30,\"scale\":2}",
        [5] = "{\"type\":\"string\",\"logicalType\":\"uuid\"}"};
    if (++m->made > TYPES_MAX && kind >= 8)
        kind %= 8;
    if (kind < 8) {
        bool is_logical = kind >= 2 && logical[kind - 2 < 6 ? kind - 2 : 0] != NULL && choose(m, 4) == 1;
        put(m, is_logical ? logical[kind - 2] : plain[kind], 0);
    } else if (kind == 10 || kind == 11) {
        put(m, kind == 10 ? "{\"type\":\"array\",\"items\":" : "{\"type\":\"map\",\"values\":", 0);
        put_type(m, choose(m, 14));
        put(m, "}", 0);
    } else if (kind == 13) {
        put_union(m);
    } else {
        put_named(m, kind);
    }
}

static kur_schema *make_schema(kur_bytes input)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    maker m = {.input = input};
    put_type(&m, 12);
    /* Two names in one union, or a union in a union: the parser says so. */
    kur_status status = kur_schema_parse(kur_bytes_of(m.text.data, m.text.size), NULL, 0, &schema, &error);
    if (status != KUR_OK)
        need_error(status, &error);
    kur_buffer_done(&m.text);
    return schema;
}

static void by_type(kur_schema *writer, kur_bytes data, kur_arena *arena)
{
    kur_error error = {0};
    kur_avro_plan *plan = NULL, *own = NULL;
    need(kur_avro_plan_new(NULL, &reader_type, &own, &error) == KUR_OK);
    kur_status status = kur_avro_plan_new(writer, &reader_type, &plan, &error);
    if (status == KUR_OK)
        avro_by_plan(plan, own, &reader_type, data, arena);
    else
        need_error(status, &error);
    kur_avro_plan_unref(plan);
    kur_avro_plan_unref(own);
}

static kur_status count_change(const kur_schema_change *change, void *user, kur_error *error)
{
    (void)error;
    need(change->kind >= KUR_SCHEMA_FIELD && change->kind <= KUR_SCHEMA_DEFAULT);
    need(change->before != NULL || change->after != NULL);
    ++*(size_t *)user;
    return KUR_OK;
}

/* Where nothing has changed, each reads the other. */
static void by_changes(const kur_schema *a, const kur_schema *b)
{
    kur_error error = {0};
    size_t count = 0;
    kur_status status = kur_schema_changes(a, b, count_change, &count, &error);
    if (status != KUR_OK) {
        need(status == KUR_ERROR_TOO_LARGE);
        need_error(status, &error);
        return;
    }
    need(a != b || count == 0);
    if (count > 0)
        return;
    status = kur_schema_reads(a, b, &error);
    need(status == KUR_OK || status == KUR_ERROR_TOO_LARGE);
    status = kur_schema_reads(b, a, &error);
    need(status == KUR_OK || status == KUR_ERROR_TOO_LARGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_bytes input = kur_bytes_of(data, size), first = {0}, second = {0};
    kur_arena *arena = kur_arena_new();
    kur_error error = {0};
    if (take_text(&input, arena, &first) && take_text(&input, arena, &second)) {
        kur_bytes value = take_rest(&input, arena);
        kur_schema *a = make_schema(first), *b = make_schema(second);
        if (a != NULL && b != NULL) {
            kur_status status = kur_schema_reads(a, b, &error);
            if (status != KUR_OK)
                need_error(status, &error);
            need(kur_schema_reads(b, b, &error) == KUR_OK || error.code == KUR_ERROR_TOO_LARGE);
            by_changes(a, b);
            by_changes(b, b);
        }
        if (a != NULL) {
            by_type(a, value, arena);
            avro_by_schema(a, value);
        }
        kur_schema_unref(a);
        kur_schema_unref(b);
    }
    kur_arena_free(arena);
    return 0;
}
