/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Events in Avro through a listener with retry topics: what is hostile becomes a dead letter with its reason while
 * other records go on; when schemas cannot be had, their records wait, and nothing is lost or rejected for it.
 */
#include <kurier/avro.h>
#include <kurier/retry.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/codec.h>
#include <stdio.h>
#include <stdlib.h>

#include "../kept_log.h"
#include "../letters.h"
#include "../schema_table.h"

#define SALE(F, S)                                                                                                     \
    F(S, STRING, sku, .flags = KUR_KEY)                                                                                \
    F(S, INT64, number)                                                                                                \
    F(S, OPTIONAL(STRING), note)
KUR_EVENT(sale, "shop.sale", 1, SALE);
KUR_EVENT_DEFINE(sale, SALE, .topic = "sales", .avro_name = "shop.Sale");
#define GAUGE(F, S)                                                                                                    \
    F(S, STRING, sku)                                                                                                  \
    F(S, INT64, number)
KUR_EVENT(gauge, "shop.gauge", 1, GAUGE);
KUR_EVENT_DEFINE(gauge, GAUGE);

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

enum {
    POISON_KIB = 32 * 1024,
    NUMBERS = 1000,
    ALONE_MS = 45000, /* nobody takes over: on a slow day a member must not be missed */
    SEVEN = 7,
    EIGHT = 8
};

static struct {
    atomic_int done;
    atomic_int seen[NUMBERS];
    atomic_int last[8]; /* by the first letter of the sku: order is kept */
    atomic_int disorder, wrong_attempt, wrong;
    _Atomic int64_t noted_us, slowest_us; /* from one to the next */
} book;
static schema_table table;
static kur_client *client;

static void begin(const kur_client_options *given)
{
    kur_error error = {0};
    kur_schema *schema = NULL;
    memset(&book, 0, sizeof book);
    log_text[0] = '\0';
    schema_table_init(&table);
    ck_ok(sale_schema(&schema, &error), error);
    schema_table_add(&table, SEVEN, schema);
    schema_table_add(&table, EIGHT, schema);
    kur_schema_unref(schema);
    kur_client_options options = *given;
    options.bootstrap_servers = support_bootstrap();
    options.source = "/tests";
    options.log = keep_log;
    options.schemas = &table.schemas;
    client = kur_client_new(&options, &error);
    ck_assert_msg(client != NULL, "%s", error.message);
}

static void end(void)
{
    kur_client_unref(client);
    schema_table_done(&table);
}

/* ---- Sending ---- */

static void send_value(const char *topic, int32_t partition, const char *key, kur_bytes value, const char *content_type)
{
    kur_error error = {0};
    const kur_header headers[] = {{"ce_specversion", kur_bytes_text("1.0")},
                                  {"ce_id", kur_bytes_text("i")},
                                  {"ce_source", kur_bytes_text("/s")},
                                  {"ce_type", kur_bytes_text("shop.sale.v1")},
                                  {"content-type", kur_bytes_text(content_type)}};
    ck_ok(kur_producer_send(kur_client_producer(client, &error),
                            &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(partition),
                                         .key = kur_bytes_text(key), .value = value, .headers = headers,
                                         .header_count = COUNT_OF(headers)),
                            &error),
          error);
}

/* A sale whose schema is that of an id. */
static void send_sale(const char *topic, int32_t partition, uint32_t id, const char *sku, int number)
{
    kur_error error = {0};
    kur_buffer data = {0};
    const struct sale sale = {.sku = sku, .number = number};
    const char name[] = {0, 0, 0, 0, (char)id};
    ck_assert_int_eq(kur_buffer_append(&data, name, sizeof name), KUR_OK);
    ck_ok(kur_avro_write(&sale_type, &sale, &data, &error), error);
    send_value(topic, partition, sku, kur_bytes_of(data.data, data.size), "application/avro");
    kur_buffer_done(&data);
}

static void send_json(const char *topic, int32_t partition, const char *sku, int number)
{
    char json[100];
    snprintf(json, sizeof json, "{\"sku\":\"%s\",\"number\":%d}", sku, number);
    send_value(topic, partition, sku, kur_bytes_text(json), "application/json");
}

/* ---- Handling ---- */

static void note(kur_delivery *delivery, const struct sale *sale)
{
    atomic_int *last = &book.last[sale->sku[0] % 8];
    int64_t now_us = kur_clock_monotonic_us(), before_us = atomic_exchange(&book.noted_us, now_us);
    if (before_us != 0 && now_us - before_us > book.slowest_us)
        book.slowest_us = now_us - before_us;
    book.disorder += sale->number <= *last && sale->number != 0;
    *last = (int)sale->number;
    book.wrong_attempt += kur_delivery_attempt(delivery) != 1;
    book.wrong += sale->number < 0 || sale->number >= NUMBERS;
    book.seen[sale->number >= 0 && sale->number < NUMBERS ? sale->number : 0]++;
    book.done++;
}

static kur_outcome on_sale(kur_delivery *delivery, const struct sale *sale, void *user)
{
    (void)user;
    note(delivery, sale);
    return KUR_DONE;
}

static kur_outcome on_sales(kur_delivery *const *deliveries, const struct sale *sales, kur_outcome *outcomes,
                            size_t count, void *user)
{
    (void)outcomes;
    (void)user;
    for (size_t i = 0; i < count; i++)
        note(deliveries[i], &sales[i]);
    return KUR_DONE;
}

static kur_listener *start(const char *topic, const char *group, bool in_batches, int concurrency)
{
    kur_error error = {0};
    static const kur_retry_policy policy = {.size = sizeof policy, .mode = KUR_RETRY_BY_TOPIC, .attempts = 3};
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.retry = &policy, .concurrency = concurrency, .retry_topics = &KUR_RETRY_TOPICS(),
                             .session_timeout_ms = concurrency > 1 ? 0 : ALONE_MS);
    kur_listener *listener = make(client, &options, topic, group, NULL, NULL);
    ck_ok(in_batches ? sale_on_batch(listener, on_sales, NULL) : sale_on(listener, on_sale, NULL), error);
    ck_ok(kur_listener_start(listener, &error), error);
    return listener;
}

static bool has_waited(const kur_listener_health *health, int64_t wanted)
{
    return health->schema_waits >= wanted;
}

/* ---- Hostile ---- */

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"shop.Sale\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define SKU FIELD("sku", "\"string\"") "," FIELD("number", "\"long\"")

/* Schemas that somebody has registered, by their ids from 20 on. */
static const char *const schemas[] = {
    RECORD(SKU "," FIELD("nothing", "{\"type\":\"array\",\"items\":\"null\"}")),
    RECORD(SKU "," FIELD("inner", "[\"null\",{\"type\":\"record\",\"name\":\"Node\",\"fields\":[" FIELD(
                                      "inner", "[\"null\",\"Node\"]") "]}]")),
    RECORD(SKU "," FIELD("hash", "{\"type\":\"fixed\",\"name\":\"h\",\"size\":-2}")),
    RECORD(SKU "," FIELD("tone", "{\"type\":\"enum\",\"name\":\"t\",\"symbols\":[\"a\",\"b\"]}")),
    RECORD(FIELD("sku", "\"string\"") "," FIELD("number", "[\"null\",\"string\"]")),
    RECORD(SKU "," FIELD("raw", "\"bytes\"")),
    "{\"type\":",
};

#define BYTES(text) text, sizeof text - 1
static const struct hostile {
    const char *value;
    size_t size;
    size_t times; /* so often the last byte */
    const char *cause, *says;
} hostile[] = {
    {BYTES("\0\0\0\0\x07\x80\xd0\xac\xf3\x0e"), 1, "undecodable", "schema id 7: sku"}, /* 2,000,000,000 bytes */
    {BYTES("\0\0\0\0\x19\x02x\x02\x80\xd0\xac\xf3\x0e"), 1, "undecodable", "schema id 25: raw"},
    {BYTES("\0\0\0\0\x14\x02x\x02\x80\x88\xde\xbe\x01\0"), 1, "undecodable", "schema id 20: "}, /* 200,000,000 nulls */
    {BYTES("\0\0\0\0\x15\x02x\x02\x02"), 1, "undecodable", "schema id 21: inner"},
    {BYTES("\0\0\0\0\x15\x02x\x02\x02"), 200000, "undecodable", "schema id 21: inner"},
    {BYTES("\0\0\0\0\x16\x02x\x02"), 1, "undecodable", "schema id 22: "},
    {BYTES("\0\0\0\0\x17\x02x\x02\x04"), 1, "undecodable", "schema id 23: tone"},
    {BYTES("\0\0\0\0\x18\x02x\x02\x02x"), 1, "undecodable", "schema id 24: number"},
    {BYTES("\0\0\0\0\x1a\x02x\x02"), 1, "undecodable", "schema id 26: "},
    {BYTES("\0\0\0\0\x63\x02x\x02"), 1, "unknown_schema", "schema id 99: "},
    {BYTES("\xc3\x01"
           "12345678\x02x\x02"),
     1, "unknown_schema", "schema fingerprint"},
    {BYTES("\0\0\0\0\x07"), 1, "undecodable", "schema id 7: sku"},
    {BYTES("\x02x\x02\0\0"), 1, "undecodable", ""},
    {BYTES("\xff"), 900000, "undecodable", "sku"},
};

enum {
    HOSTILE = COUNT_OF(hostile),
    UNKNOWN = 99, /* the id of one of them, that nobody has registered */
    MEANWHILE = 100
};

static void send_hostile(const char *topic, size_t which)
{
    char key[16];
    const struct hostile *c = &hostile[which];
    size_t size = c->size - 1 + c->times;
    char *value = malloc(size);
    ck_assert_ptr_nonnull(value);
    memcpy(value, c->value, c->size);
    memset(value + c->size - 1, c->value[c->size - 1], c->times);
    snprintf(key, sizeof key, "h%zu", which);
    send_value(topic, 0, key, kur_bytes_of(value, size), "application/avro");
    free(value);
}

/* The dead letters of a topic, as many as are wanted, each with its reason. */
static void expect_letters(const char *topic, const char *group)
{
    kur_error error = {0};
    kur_buffer name = {0};
    int found[HOSTILE] = {0};
    kur_arena *arena = kur_arena_new();
    ck_ok(kur_retry_topic(&name, NULL, topic, group, KUR_TIER_DEAD, NULL, &error), error);
    kur_consumer *consumer =
        kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST, .start = KUR_START_EARLIEST), &error);
    ck_ok(kur_consumer_subscribe(consumer, (const char *const[]){name.data, NULL}, &error), error);
    int64_t until_ms = now_ms() + WAIT_MS;
    for (size_t count = 0; count < HOSTILE;) {
        kur_record *record = NULL;
        kur_retry_view view = KUR_RETRY_VIEW();
        ck_assert_msg(now_ms() < until_ms, "only %zu dead letters came", count);
        /* A broker may not have heard of the topic yet. */
        if (kur_consumer_poll(consumer, 1000, &record, NULL) != KUR_OK || record == NULL)
            continue;
        ck_ok(kur_retry_read(record, KUR_HEADERS_KURIER, kur_clock_now_us(), arena, &view, &error), error);
        size_t which = (size_t)atoi((const char *)kur_record_key(record).data + 1);
        ck_assert_uint_lt(which, HOSTILE);
        ck_assert_msg(strcmp(view.cause + sizeof "kurier." - 1, hostile[which].cause) == 0, "%zu: %s", which,
                      view.cause);
        ck_assert_msg(strstr(view.message, hostile[which].says) != NULL, "%zu: %s", which, view.message);
        ck_assert_int_eq(view.attempt, 1);
        ck_assert_uint_eq(kur_record_value(record).size, hostile[which].size - 1 + hostile[which].times);
        found[which]++;
        count++;
        kur_consumer_free_records(consumer, &record, 1);
    }
    for (size_t i = 0; i < HOSTILE; i++)
        ck_assert_int_eq(found[i], 1);
    kur_consumer_free(consumer);
    kur_buffer_done(&name);
    kur_arena_free(arena);
}

/* Of this process: "VmHWM" is its peak since forget_peak. 0: not known. */
static long memory_kib(const char *which)
{
    char line[200];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, which, strlen(which)) == 0)
            kib = atol(line + strlen(which) + 1);
    if (status != NULL)
        fclose(status);
    return kib;
}

static void forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file != NULL) {
        fputs("5", file);
        fclose(file);
    }
}

static void hostile_to_dead_letters(bool in_batches)
{
    int good = 0;
    begin(&KUR_CLIENT_OPTIONS());
    for (size_t i = 0; i < COUNT_OF(schemas); i++)
        schema_table_add_text(&table, 20 + (uint32_t)i, schemas[i]);
    const char *topic = support_topic(3), *group = support_name("schemas");
    for (size_t i = 0; i < HOSTILE; i++) {
        send_hostile(topic, i);
        for (int32_t partition = 0; partition < 3; partition++, good++)
            send_sale(topic, partition, SEVEN, partition == 0 ? "a" : partition == 1 ? "b" : "c", good);
    }
    flush(client);
    forget_peak();
    long before_kib = memory_kib("VmHWM");
    kur_listener *listener = start(topic, group, in_batches, 1);
    expect_letters(topic, group);
    long took_kib = memory_kib("VmHWM") - before_kib;
    printf("# %d hostile: %ld KiB for all, broker and reader too; %.1f ms at most from one good record to the next\n",
           HOSTILE, took_kib, (double)book.slowest_us / 1e3);
    ck_assert(IS_SANITIZED || took_kib <= POISON_KIB);
    ck_assert(wait_for(listener, has_finished, good + HOSTILE));
    ck_assert_int_eq(atomic_load(&book.done), good);
    ck_assert_int_eq(atomic_load(&book.disorder), 0);
    ck_assert_int_eq(atomic_load(&book.wrong), 0);
    ck_assert_int_eq(health_of(listener).rejected, HOSTILE);
    ck_assert_int_eq(health_of(listener).schema_waits, 0);
    kur_listener_free(listener);
    end();
}

START_TEST(test_schemas__what_is_hostile_becomes_a_dead_letter)
{
    hostile_to_dead_letters(false);
}
END_TEST

START_TEST(test_schemas__in_batches_too)
{
    hostile_to_dead_letters(true);
}
END_TEST

static bool have_gone_by(const kur_listener_health *health, int64_t wanted)
{
    return health->finished - health->rejected >= wanted;
}

/* While one of those that are hostile is being refused, records of another partition are finished. */
static void others_go_on(bool in_batches)
{
    begin(&KUR_CLIENT_OPTIONS());
    for (size_t i = 0; i < COUNT_OF(schemas); i++)
        schema_table_add_text(&table, 20 + (uint32_t)i, schemas[i]);
    const char *topic = support_topic(2), *group = support_name("schemas");
    atomic_store(&table.held_id, UNKNOWN);
    for (size_t i = 0; i < HOSTILE; i++)
        send_hostile(topic, i);
    flush(client);
    kur_listener *listener = start(topic, group, in_batches, 2);
    ck_assert(support_wait(&table.held, 1));
    for (int i = 0; i < MEANWHILE; i++)
        send_sale(topic, 1, EIGHT, "b", i); /* which has not been asked for before */
    flush(client);
    bool have_gone_on = wait_for(listener, have_gone_by, MEANWHILE);
    int held = atomic_load(&table.held);
    kur_listener_health health = health_of(listener);
    atomic_store(&table.held_id, 0);
    ck_assert(have_gone_on);
    ck_assert_int_eq(held, 1);
    ck_assert_int_lt(health.rejected, HOSTILE);
    expect_letters(topic, group);
    ck_assert(wait_for(listener, has_finished, MEANWHILE + HOSTILE));
    ck_assert_int_eq(atomic_load(&book.done), MEANWHILE);
    ck_assert_int_eq(atomic_load(&book.disorder), 0);
    kur_listener_free(listener);
    end();
}

START_TEST(test_schemas__other_partitions_go_on_while_one_is_refused)
{
    others_go_on(false);
    others_go_on(true);
}
END_TEST

/* ---- Away ---- */

enum {
    WAITING = 60,
    OTHERS = 200
};

static void expect_waiting(kur_listener *listener)
{
    ck_assert(support_wait(&book.done, OTHERS));
    ck_assert(wait_for(listener, has_waited, 3));
    ck_assert(wait_for_log("waits for its schema"));
    ck_assert(wait_for(listener, has_finished, OTHERS));
    kur_listener_health health = health_of(listener);
    ck_assert_int_eq(health.finished, OTHERS);
    ck_assert_int_eq(health.rejected, 0);
    ck_assert_int_eq(health.retried, 0);
}

/* Whoever takes over finds all that waits. */
static kur_listener *take_over(kur_listener *listener, const char *topic, const char *group, bool in_batches,
                               int concurrency)
{
    kur_error error = {0};
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    ck_assert_int_eq(atomic_load(&book.done), OTHERS);
    listener = start(topic, group, in_batches, concurrency);
    ck_assert(wait_for(listener, has_waited, 3));
    return listener;
}

static void wait_while_away(bool in_batches, kur_status away, int concurrency)
{
    begin(&KUR_CLIENT_OPTIONS());
    const char *topic = support_topic(2), *group = support_name("schemas");
    atomic_store(&table.away, (int)away);
    for (int i = 0; i < OTHERS; i++) {
        send_json(topic, 1, "b", i);
        if (i < WAITING)
            send_sale(topic, 0, SEVEN, i % 2 == 0 ? "a" : "c", OTHERS + i);
    }
    flush(client);
    kur_listener *listener = start(topic, group, in_batches, concurrency);
    expect_waiting(listener);
    bool is_taken_over = concurrency > 1;
    if (is_taken_over)
        listener = take_over(listener, topic, group, in_batches, concurrency);
    ck_assert_int_eq(atomic_load(&book.done), OTHERS);
    atomic_store(&table.away, KUR_OK);
    ck_assert(support_wait(&book.done, OTHERS + WAITING));
    ck_assert(wait_for(listener, has_finished, WAITING + (is_taken_over ? 0 : OTHERS)));
    for (int i = 0; i < OTHERS + WAITING; i++)
        ck_assert_int_eq(atomic_load(&book.seen[i]), 1);
    ck_assert_int_eq(atomic_load(&book.disorder), 0);
    ck_assert_int_eq(atomic_load(&book.wrong), 0);
    ck_assert_int_eq(atomic_load(&book.wrong_attempt), 0);
    ck_assert_int_eq(health_of(listener).rejected, 0);
    kur_listener_free(listener);
    end();
}

START_TEST(test_schemas__records_wait_while_their_schema_cannot_be_had)
{
    wait_while_away(false, KUR_ERROR_UNREACHABLE, 1);
    wait_while_away(false, KUR_ERROR_AUTHORIZATION, 4);
}
END_TEST

START_TEST(test_schemas__batches_wait_too)
{
    wait_while_away(true, KUR_ERROR_TIMEOUT, 1);
    wait_while_away(true, KUR_ERROR_CONFIG, 4);
}
END_TEST

/* A schema that is never to be had does not hold up what has another. */
START_TEST(test_schemas__one_that_cannot_be_had_costs_no_other)
{
    begin(&KUR_CLIENT_OPTIONS());
    const char *topic = support_topic(2), *group = support_name("schemas");
    atomic_store(&table.away_id, SEVEN);
    for (int i = 0; i < 20; i++)
        send_sale(topic, 0, SEVEN, "a", i);
    flush(client);
    kur_listener *listener = start(topic, group, false, 1);
    ck_assert(wait_for(listener, has_waited, 5));
    for (int i = 0; i < 20; i++)
        send_sale(topic, 1, EIGHT, "b", 20 + i);
    flush(client);
    ck_assert(support_wait(&book.done, 20));
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(atomic_load(&book.seen[20 + i]), 1);
    ck_assert_int_eq(health_of(listener).rejected, 0);
    atomic_store(&table.away_id, 0);
    ck_assert(support_wait(&book.done, 40));
    kur_listener_free(listener);
    end();
}
END_TEST

/* Of several that are away from the beginning on, later each time; and not sooner than it has kept who asked. */
static void expect_seldom(int silent_ms, int times, int least_ms)
{
    begin(&KUR_CLIENT_OPTIONS());
    const char *topic = support_topic(1), *group = support_name("schemas");
    static const char *const skus[] = {"a", "b", "c", "d", "e", "f"};
    atomic_store(&table.away, KUR_ERROR_TIMEOUT);
    atomic_store(&table.silent_ms, silent_ms);
    for (size_t i = 0; i < COUNT_OF(skus); i++)
        send_sale(topic, 0, SEVEN, skus[i], (int)i + 1);
    flush(client);
    kur_listener *listener = start(topic, group, false, 1);
    ck_assert(support_wait(&table.asked, times));
    int64_t took_us = atomic_load(&table.asked_at_us[times - 1]) - atomic_load(&table.asked_at_us[0]);
    ck_assert_int_ge(took_us, least_ms * INT64_C(1000));
    /* However often, it is told once in a while. */
    ck_assert(wait_for_log("waits for its schema"));
    ck_assert_int_le(count_in_log("waits for its schema"), 1 + (int)(took_us / 5000000));
    atomic_store(&table.away, KUR_OK);
    ck_assert(support_wait(&book.done, COUNT_OF(skus)));
    kur_listener_free(listener);
    end();
}

START_TEST(test_schemas__who_is_away_is_asked_seldom)
{
    expect_seldom(0, 6, 50 + 100 + 200 + 400 + 800);
    expect_seldom(300, 4, 3 * (300 + 300));
}
END_TEST

static bool was_retried(const kur_listener_health *health, int64_t wanted)
{
    return health->retried >= wanted;
}

/* Memory that is out is this process's trouble, not the record's. */
START_TEST(test_schemas__without_memory_it_is_tried_again)
{
    begin(&KUR_CLIENT_OPTIONS());
    const char *topic = support_topic(1), *group = support_name("schemas");
    atomic_store(&table.away, KUR_ERROR_NO_MEMORY);
    send_sale(topic, 0, SEVEN, "a", 1);
    flush(client);
    kur_listener *listener = start(topic, group, false, 1);
    ck_assert(wait_for(listener, was_retried, 1));
    atomic_store(&table.away, KUR_OK);
    ck_assert(support_wait(&book.done, 1));
    ck_assert_int_eq(health_of(listener).rejected, 0);
    ck_assert_int_eq(health_of(listener).schema_waits, 0);
    kur_listener_free(listener);
    end();
}
END_TEST

/* ---- Out of a handler ---- */

static kur_type emitted; /* gauge, with a topic of this run */

static kur_outcome emit_gauge(kur_delivery *delivery, const struct sale *sale, void *user)
{
    (void)user;
    kur_error error = {0};
    const struct gauge gauge = {.sku = sale->sku, .number = sale->number};
    if (kur_delivery_emit(delivery, &emitted, &gauge, &error) != KUR_OK)
        return kur_retry(delivery, "test.emit", "%s", error.message);
    return KUR_DONE;
}

static kur_wire_format emitted_wire;

static bool has_clients_form(const kur_delivery *delivery, const kur_event_view *view)
{
    kur_bytes header;
    bool has_header = kur_record_header_last(kur_delivery_record(delivery), KUR_SCHEMA_HEADER, &header);
    return view != NULL && strcmp(view->content_type, "application/avro") == 0 &&
           has_header == (emitted_wire == KUR_WIRE_HEADER) && view->data_schema != NULL &&
           strncmp(view->data_schema, "https://schemas.test/", 21) == 0;
}

/* What is emitted has the client's form, and a view in a handler leads to the client's schemas. */
static kur_outcome on_record(kur_delivery *delivery, void *user)
{
    (void)user;
    struct gauge gauge = {0};
    kur_arena *arena = kur_arena_new();
    const kur_event_view *view = kur_delivery_event(delivery);
    bool is_right = has_clients_form(delivery, view) &&
                    kur_event_decode(view, &emitted, arena, &gauge, NULL) == KUR_OK && strcmp(gauge.sku, "a") == 0;
    book.wrong += !is_right;
    book.seen[is_right ? gauge.number : 0]++;
    book.done++;
    kur_arena_free(arena);
    return KUR_DONE;
}

static void emit_and_read(kur_wire_format wire)
{
    kur_error error = {0};
    begin(&KUR_CLIENT_OPTIONS(.format = KUR_FORMAT_AVRO, .wire = wire, .names_schema = true));
    emitted_wire = wire;
    const char *topic = support_topic(1), *group = support_name("schemas");
    emitted = gauge_type;
    emitted.topic = support_topic(1);
    kur_producer *producer = kur_client_producer(client, &error);
    for (int i = 0; i < 10; i++)
        ck_ok(sale_publish(producer, &(struct sale){.sku = "a", .number = i}, &KUR_PUBLISH_OPTIONS(.topic = topic),
                           &error),
              error);
    flush(client);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.session_timeout_ms = ALONE_MS), reading = options;
    kur_listener *first = make(client, &options, topic, group, NULL, NULL);
    ck_ok(sale_on(first, emit_gauge, NULL), error);
    ck_ok(kur_listener_start(first, &error), error);
    kur_listener *second = listen(client, &reading, emitted.topic, support_name("schemas"), on_record, NULL);
    ck_assert(support_wait(&book.done, 10));
    ck_assert_int_eq(book.wrong, 0);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(atomic_load(&book.seen[i]), 1);
    kur_listener_free(first);
    kur_listener_free(second);
    end();
}

START_TEST(test_schemas__what_a_handler_emits_has_the_clients_form)
{
    emit_and_read(KUR_WIRE_CONFLUENT);
    emit_and_read(KUR_WIRE_HEADER);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_schemas__what_is_hostile_becomes_a_dead_letter,
        test_schemas__in_batches_too,
        test_schemas__other_partitions_go_on_while_one_is_refused,
        test_schemas__records_wait_while_their_schema_cannot_be_had,
        test_schemas__batches_wait_too,
        test_schemas__one_that_cannot_be_had_costs_no_other,
        test_schemas__who_is_away_is_asked_seldom,
        test_schemas__without_memory_it_is_tried_again,
        test_schemas__what_a_handler_emits_has_the_clients_form,
        NULL,
    };
    int result = check_main("schemas", tests);
    support_stop();
    return result;
}
