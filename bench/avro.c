/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the order with three lines, CPU time of one thread, ORDERS of them in turns. What is compared with:
 *
 *     avro-c     a generic value of its own, made once and used again: avro_value_read alone, without the way from that
 *                value to a struct; avro_value_write with the way from the struct, and alone
 *     by hand    what somebody would write for this one struct: every length checked, texts copied into the arena, and
 *                nothing validated
 *     JSON       kur_json_read and kur_json_write
 */
#include <avro.h>
#include <kurier/avro.h>
#include <stdio.h>

#include "bench.h"
#include "order.h"

enum {
    ROUNDS = 40,
    WARM_UP = 3,
    EVENTS = 20000,
    EVENT_SIZE = 512
};

/* The same events in each form. */
static struct {
    char avro[ORDERS][EVENT_SIZE], other[ORDERS][EVENT_SIZE], json[ORDERS][EVENT_SIZE];
    size_t avro_size[ORDERS], other_size[ORDERS], json_size[ORDERS];
    kur_avro_plan *plan, *resolving;
    avro_value_iface_t *class;
    avro_value_t values[ORDERS], value;
    kur_arena *arena;
    const struct order_created *orders;
} all;

/* Another writer's: other fields in another order, a narrower number, and one that has been renamed. */
static const char other_schema[] =
    "{\"type\":\"record\",\"name\":\"order_created\",\"fields\":["
    "{\"name\":\"placed_at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
    "{\"name\":\"channel\",\"type\":\"string\"},"
    "{\"name\":\"order_id\",\"type\":\"string\"},"
    "{\"name\":\"customer_id\",\"type\":\"string\"},"
    "{\"name\":\"lines\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"order_line\","
    "\"fields\":["
    "{\"name\":\"price\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":10,\"scale\":2}},"
    "{\"name\":\"sku\",\"type\":\"string\"},"
    "{\"name\":\"weight\",\"type\":[\"null\",\"double\"]},"
    "{\"name\":\"quantity\",\"type\":\"int\"}]}}}]}";

static void need(kur_status status, const kur_error *error)
{
    if (status != KUR_OK)
        bench_fail("avro: %s", error->message);
}

static void need_avro(int status)
{
    if (status != 0)
        bench_fail("avro-c: %s", avro_strerror());
}

/* ---- By hand ---- */

typedef struct hand {
    const unsigned char *at, *end;
} hand;

static bool hand_long(hand *h, int64_t *number)
{
    uint64_t bits = 0;
    for (int shift = 0; h->at < h->end && shift < 64; shift += 7) {
        unsigned char byte = *h->at++;
        bits |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *number = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
            return true;
        }
    }
    return false;
}

static bool hand_size(hand *h, size_t *size)
{
    int64_t number;
    if (!hand_long(h, &number) || number < 0 || number > h->end - h->at)
        return false;
    *size = (size_t)number;
    return true;
}

static bool hand_text(hand *h, kur_arena *arena, const char **text)
{
    size_t size;
    if (!hand_size(h, &size))
        return false;
    *text = kur_arena_copy(arena, h->at, size);
    h->at += size;
    return *text != NULL;
}

static bool hand_decimal(hand *h, int64_t *unscaled)
{
    size_t size;
    if (!hand_size(h, &size) || size == 0 || size > 8)
        return false;
    uint64_t bits = h->at[0] & 0x80 ? UINT64_MAX : 0;
    while (size-- > 0)
        bits = bits << 8 | *h->at++;
    *unscaled = (int64_t)bits;
    return true;
}

static bool hand_line(hand *h, kur_arena *arena, struct order_line *line)
{
    int64_t quantity;
    if (!hand_text(h, arena, &line->sku) || !hand_long(h, &quantity) || quantity != (int32_t)quantity)
        return false;
    line->quantity = (int32_t)quantity;
    return hand_decimal(h, &line->price);
}

static bool hand_lines(hand *h, kur_arena *arena, struct order_created *order)
{
    int64_t count, end;
    if (!hand_long(h, &count) || count < 0 || count > h->end - h->at)
        return false;
    order->lines.items = kur_arena_alloc(arena, (size_t)count * sizeof *order->lines.items);
    order->lines.count = (size_t)count;
    for (int64_t i = 0; order->lines.items != NULL && i < count; i++)
        if (!hand_line(h, arena, &order->lines.items[i]))
            return false;
    return order->lines.items != NULL && (count == 0 || (hand_long(h, &end) && end == 0));
}

static bool hand_read(kur_bytes data, kur_arena *arena, struct order_created *order)
{
    hand h = {data.data, (const unsigned char *)data.data + data.size};
    int64_t branch;
    *order = (struct order_created){.order_id = NULL};
    if (!hand_text(&h, arena, &order->order_id) || !hand_text(&h, arena, &order->customer_id) ||
        !hand_long(&h, &order->placed_at) || !hand_lines(&h, arena, order) || !hand_long(&h, &branch) || branch > 1)
        return false;
    order->coupon.has = branch == 1;
    return (branch == 0 || hand_text(&h, arena, &order->coupon.value)) && h.at == h.end;
}

/* ---- The events ---- */

static void keep(const kur_buffer *buffer, char storage[EVENT_SIZE], size_t *size)
{
    if (buffer->size > EVENT_SIZE)
        bench_fail("avro: an event of %zu bytes", buffer->size);
    memcpy(storage, buffer->data, buffer->size);
    *size = buffer->size;
}

static void make_event(int i, const kur_schema *other)
{
    const struct order_created *order = &all.orders[i];
    kur_error error = {0};
    kur_buffer text = {0}, data = {0};
    need(kur_avro_write(&order_created_type, order, &data, &error), &error);
    keep(&data, all.avro[i], &all.avro_size[i]);
    need(kur_json_write(&order_created_type, order, &text, &error), &error);
    keep(&text, all.json[i], &all.json_size[i]);
    text.size = data.size = 0;
    if (kur_buffer_print(
            &text, "{\"placed_at\":%lld,\"channel\":\"shop\",\"order_id\":\"%s\",\"customer_id\":\"%s\",\"lines\":[",
            (long long)(order->placed_at / 1000), order->order_id, order->customer_id) != KUR_OK)
        bench_fail("no memory");
    for (size_t j = 0; j < order->lines.count; j++) {
        const struct order_line *line = &order->lines.items[j];
        if (kur_buffer_print(&text, "%s{\"price\":\"%d.%02d\",\"sku\":\"%s\",\"weight\":null,\"quantity\":%d}",
                             j > 0 ? "," : "", (int)(line->price / 100), (int)(line->price % 100), line->sku,
                             (int)line->quantity) != KUR_OK)
            bench_fail("no memory");
    }
    if (kur_buffer_append(&text, "]}", 2) != KUR_OK)
        bench_fail("no memory");
    need(kur_avro_from_json(other, kur_bytes_of(text.data, text.size), &data, &error), &error);
    keep(&data, all.other[i], &all.other_size[i]);
    kur_buffer_done(&text);
    kur_buffer_done(&data);
}

static kur_bytes event_of(int i)
{
    return kur_bytes_of(all.avro[i % ORDERS], all.avro_size[i % ORDERS]);
}

static void make_generic(kur_bytes schema)
{
    avro_schema_t parsed;
    need_avro(avro_schema_from_json_length(schema.data, schema.size, &parsed));
    all.class = avro_generic_class_from_schema(parsed);
    for (int i = 0; i < ORDERS; i++) {
        need_avro(avro_generic_value_new(all.class, &all.values[i]));
        avro_reader_t reader = avro_reader_memory(all.avro[i], (int64_t)all.avro_size[i]);
        need_avro(avro_value_read(reader, &all.values[i]));
        avro_reader_free(reader);
    }
    need_avro(avro_generic_value_new(all.class, &all.value));
    avro_schema_decref(parsed);
}

static void make_all(void)
{
    kur_error error = {0};
    kur_schema *own, *other;
    need(kur_schema_of(&order_created_type, &own, &error), &error);
    need(kur_schema_parse(kur_bytes_text(other_schema), NULL, 0, &other, &error), &error);
    need(kur_avro_plan_new(own, &order_created_type, &all.plan, &error), &error);
    need(kur_avro_plan_new(other, &order_created_type, &all.resolving, &error), &error);
    all.arena = kur_arena_new();
    all.orders = orders();
    for (int i = 0; i < ORDERS; i++)
        make_event(i, other);
    make_generic(kur_schema_text(own));
    kur_schema_unref(own);
    kur_schema_unref(other);
}

/* ---- Rounds ---- */

static void read_plan(void)
{
    struct order_created order;
    kur_error error;
    for (int i = 0; i < EVENTS; i++) {
        kur_arena_reset(all.arena);
        need(kur_avro_read(all.plan, event_of(i), all.arena, &order, &error), &error);
        if (order.lines.count != ORDER_LINES)
            bench_fail("not the order that was written");
    }
}

static void read_resolving(void)
{
    struct order_created order;
    kur_error error;
    for (int i = 0; i < EVENTS; i++) {
        kur_arena_reset(all.arena);
        kur_bytes data = kur_bytes_of(all.other[i % ORDERS], all.other_size[i % ORDERS]);
        need(kur_avro_read(all.resolving, data, all.arena, &order, &error), &error);
        if (order.lines.count != ORDER_LINES)
            bench_fail("not the order that was written");
    }
}

static void read_by_hand(void)
{
    struct order_created order;
    for (int i = 0; i < EVENTS; i++) {
        kur_arena_reset(all.arena);
        if (!hand_read(event_of(i), all.arena, &order) || order.lines.count != ORDER_LINES)
            bench_fail("not the order that was written");
    }
}

static void read_json(void)
{
    struct order_created order;
    kur_error error;
    for (int i = 0; i < EVENTS; i++) {
        kur_arena_reset(all.arena);
        kur_bytes json = kur_bytes_of(all.json[i % ORDERS], all.json_size[i % ORDERS]);
        need(kur_json_read(&order_created_type, json, all.arena, &order, &error), &error);
    }
}

static void read_generic(void)
{
    avro_reader_t reader = avro_reader_memory("", 0);
    for (int i = 0; i < EVENTS; i++) {
        kur_bytes data = event_of(i);
        avro_reader_memory_set_source(reader, data.data, (int64_t)data.size);
        avro_value_reset(&all.value);
        need_avro(avro_value_read(reader, &all.value));
    }
    avro_reader_free(reader);
}

static void write_typed(void)
{
    char storage[EVENT_SIZE];
    kur_buffer data = kur_buffer_over(storage, sizeof storage);
    kur_error error;
    for (int i = 0; i < EVENTS; i++) {
        data.size = 0;
        need(kur_avro_write(&order_created_type, &all.orders[i % ORDERS], &data, &error), &error);
    }
    kur_buffer_done(&data);
}

static void write_json(void)
{
    char storage[EVENT_SIZE];
    kur_buffer json = kur_buffer_over(storage, sizeof storage);
    kur_error error;
    for (int i = 0; i < EVENTS; i++) {
        json.size = 0;
        need(kur_json_write(&order_created_type, &all.orders[i % ORDERS], &json, &error), &error);
    }
    kur_buffer_done(&json);
}

/* What stands in a struct becomes a generic value, as whoever writes with avro-c has to do first. */
static void set_line(avro_value_t *line, const struct order_line *from)
{
    avro_value_t field;
    unsigned char price[2] = {(unsigned char)(from->price >> 8), (unsigned char)from->price};
    avro_value_get_by_index(line, 0, &field, NULL);
    avro_value_set_string(&field, from->sku);
    avro_value_get_by_index(line, 1, &field, NULL);
    avro_value_set_int(&field, from->quantity);
    avro_value_get_by_index(line, 2, &field, NULL);
    avro_value_set_bytes(&field, price, sizeof price);
}

static void set_order(avro_value_t *value, const struct order_created *from)
{
    avro_value_t field, line, branch;
    avro_value_reset(value);
    avro_value_get_by_index(value, 0, &field, NULL);
    avro_value_set_string(&field, from->order_id);
    avro_value_get_by_index(value, 1, &field, NULL);
    avro_value_set_string(&field, from->customer_id);
    avro_value_get_by_index(value, 2, &field, NULL);
    avro_value_set_long(&field, from->placed_at);
    avro_value_get_by_index(value, 3, &field, NULL);
    for (size_t i = 0; i < from->lines.count; i++) {
        avro_value_append(&field, &line, NULL);
        set_line(&line, &from->lines.items[i]);
    }
    avro_value_get_by_index(value, 4, &field, NULL);
    avro_value_set_branch(&field, from->coupon.has, &branch);
    if (from->coupon.has)
        avro_value_set_string(&branch, from->coupon.value);
}

static void set_and_write_generic(void)
{
    char storage[EVENT_SIZE] = "";
    avro_writer_t writer = avro_writer_memory(storage, sizeof storage);
    for (int i = 0; i < EVENTS; i++) {
        avro_writer_reset(writer);
        set_order(&all.value, &all.orders[i % ORDERS]);
        need_avro(avro_value_write(writer, &all.value));
    }
    avro_writer_free(writer);
}

static void write_generic(void)
{
    char storage[EVENT_SIZE] = "";
    avro_writer_t writer = avro_writer_memory(storage, sizeof storage);
    for (int i = 0; i < EVENTS; i++) {
        avro_writer_reset(writer);
        need_avro(avro_value_write(writer, &all.values[i % ORDERS]));
    }
    avro_writer_free(writer);
}

/* ---- All of them ---- */

static double time_of(void (*round)(void))
{
    bench_sample start = bench_now();
    round();
    return bench_since(start).cpu_seconds / EVENTS * 1e9;
}

/* How often as long the baseline takes; or, with `at_most`, how often as long as the baseline ours takes. */
static void compare(const bench_options *options, const char *name, void (*ours)(void), const char *baseline,
                    void (*theirs)(void), bench_bound bound, double target)
{
    static bench_case one;
    one = (bench_case){.bench = "avro",
                       .name = name,
                       .unit = bound == BENCH_RATIO_AT_MOST ? "ns/event" : "events/s",
                       .baseline = baseline,
                       .bound = bound,
                       .target = target,
                       .runs = options->runs > 0 ? options->runs : ROUNDS};
    for (int run = -WARM_UP; run < one.runs; run++) {
        double first = run % 2 == 0 ? time_of(ours) : 0, second = time_of(theirs);
        first = run % 2 == 0 ? first : time_of(ours);
        if (run < 0)
            continue;
        one.values[run] = bound == BENCH_RATIO_AT_MOST ? first : 1e9 / first;
        one.baseline_values[run] = bound == BENCH_RATIO_AT_MOST ? second : 1e9 / second;
    }
    bench_report(options, &one);
}

void bench_avro(const bench_options *options)
{
    make_all();
    compare(options, "decode", read_plan, "avro_value_read", read_generic, BENCH_RATIO_AT_LEAST, 5);
    compare(options, "decode", read_plan, "kur_json_read", read_json, BENCH_RATIO_AT_LEAST, 2);
    compare(options, "decode", read_plan, "by hand", read_by_hand, BENCH_RATIO_AT_MOST, 3);
    compare(options, "decode, other schema", read_resolving, "decode", read_plan, BENCH_RATIO_AT_MOST, 1.3);
    compare(options, "encode", write_typed, "set, avro_value_write", set_and_write_generic, BENCH_RATIO_AT_LEAST, 3);
    compare(options, "encode", write_typed, "avro_value_write alone", write_generic, BENCH_REPORT_ONLY, 0);
    compare(options, "encode", write_typed, "kur_json_write", write_json, BENCH_RATIO_AT_LEAST, 2);
    for (int i = 0; i < ORDERS; i++)
        avro_value_decref(&all.values[i]);
    avro_value_decref(&all.value);
    avro_value_iface_decref(all.class);
    kur_avro_plan_unref(all.plan);
    kur_avro_plan_unref(all.resolving);
    kur_arena_free(all.arena);
}
