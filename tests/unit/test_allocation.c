/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Every allocation of ours and of jansson's fails once: the error goes up, nothing leaks, results stay untouched. Each
 * loop fails the first, then the second, … and ends at the first run in which nothing failed; how many points that were
 * is printed. (Only a test may set jansson's allocator. librdkafka's own memory is not ours to fail: it aborts.)
 */
#include <jansson.h>
#include <kurier/avro.h>
#include <kurier/kurier.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/record.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../failing.h"
#include "../shop.h"
#include "event/envelope.h"

/* Runs `step` until nothing fails in it any more. */
static void fail_each(const char *name, kur_status (*step)(kur_error *error))
{
    long points = 0;
    kur_error error;
    kur_status status;
    do {
        ck_assert_int_lt(points, 100000);
        error = (kur_error){0};
        failing_begin(points + 1, false);
        json_set_alloc_funcs(failing_malloc, failing_free);
        status = step(&error);
        json_set_alloc_funcs(malloc, free);
        failing_end();
    } while (failing_again(name, &points, status, &error));
}

static const char kinds_json[] =
    "{\"text\":\"\\u00e9\",\"raw\":\"AAEC\",\"yes\":true,\"small\":-1,\"large\":9223372036854775807,\"narrow\":1.5,"
    "\"wide\":1e300,\"at\":\"2026-01-01T00:00:00Z\",\"day\":\"2026-01-01\",\"amount\":\"-1.2345\","
    "\"id\":\"0192f0c1-2e5a-7abc-8def-0123456789ab\",\"shade\":\"dark-green\",\"maybe\":1,\"words\":[\"a\",\"b\"],"
    "\"grid\":[[1,2],[]],\"weights\":{\"a\":1,\"b\":2},\"flags\":{\"b\":[true]},\"gift\":{\"sku\":\"x\"},"
    "\"days\":[null,\"2026-01-01\"],\"mark\":\"AAEC/w==\"}";

static kur_status json_both_ways(kur_error *error)
{
    kur_status status = KUR_ERROR_NO_MEMORY;
    kur_buffer json = {0}, text = {0};
    struct kinds before, record;
    kur_arena *arena = kur_arena_new();
    if (arena == NULL) {
        kur_error_set(error, status, "no arena");
        goto out;
    }
    memset(&record, 0x5a, sizeof record);
    before = record;
    status = kinds_from_json(kur_bytes_text(kinds_json), arena, &record, error);
    if (status != KUR_OK) {
        ck_assert_int_eq(memcmp(&before, &record, sizeof record), 0);
        goto out;
    }
    status = kinds_to_json(&record, &json, error);
    ck_assert(status == KUR_OK || json.size == 0);
    ck_assert(status != KUR_OK || strstr(json.data, "9223372036854775807") != NULL);
    if (status == KUR_OK)
        status = kinds_print(&record, &text, error);
    ck_assert(status == KUR_OK || text.size == 0);
out:
    kur_buffer_done(&json);
    kur_buffer_done(&text);
    kur_arena_free(arena);
    return status;
}

START_TEST(test_allocation__json)
{
    fail_each("JSON both ways", json_both_ways);
}
END_TEST

/* A schema with references, read and written in its canonical form; and one of a field list. */
static kur_status schemas(kur_error *error)
{
    static const char inner[] = "{\"type\":\"record\",\"name\":\"a.r\",\"aliases\":[\"o\"],\"fields\":[{\"name\":\"f\","
                                "\"type\":{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"x\"]},\"default\":\"x\"}]}";
    kur_schema *first = NULL, *second = NULL, *made = NULL;
    kur_buffer form = {0};
    kur_status status = kur_schema_parse(kur_bytes_text(inner), NULL, 0, &first, error);
    const kur_schema_reference reference = {"a.r", first};
    if (status == KUR_OK)
        status = kur_schema_parse(kur_bytes_text("[\"a.r\",{\"type\":\"array\",\"items\":\"a.e\"}]"), &reference, 1,
                                  &second, error);
    ck_assert(status == KUR_OK || second == NULL);
    if (status == KUR_OK)
        status = kur_schema_canonical(second, &form, error);
    ck_assert(status == KUR_OK || form.size == 0);
    if (status == KUR_OK)
        status = order_created_schema(&made, error);
    ck_assert(status == KUR_OK || made == NULL);
    kur_schema_unref(first);
    kur_schema_unref(second);
    kur_schema_unref(made);
    kur_buffer_done(&form);
    return status;
}

START_TEST(test_allocation__schemas)
{
    fail_each("schemas", schemas);
}
END_TEST

/* Keys are sorted to find one that is there twice: many of them in memory of their own. */
static kur_status map_of_many(kur_error *error)
{
    static KUR_ITEM(kinds, weights) weights[100];
    static char keys[100][4];
    static const char symbols[] = "0123456789";
    struct kinds record = {.text = "", .shade = colour_red, .weights = {(void *)weights, 100}};
    for (int i = 0; i < 100; i++) {
        keys[i][0] = symbols[i / 10];
        keys[i][1] = symbols[i % 10];
        weights[i].key = keys[i];
    }
    kur_status status = kinds_validate(&record, error);
    kur_buffer json = {0};
    if (status == KUR_OK)
        status = kinds_to_json(&record, &json, error);
    ck_assert(status == KUR_OK || json.size == 0);
    kur_buffer_done(&json);
    return status;
}

START_TEST(test_allocation__map_of_many)
{
    fail_each("a map of many keys", map_of_many);
}
END_TEST

static kur_status envelope_both_ways(kur_error *error)
{
    kur_status status = KUR_ERROR_NO_MEMORY;
    kur_buffer structured = {0};
    kur__envelope envelope;
    kur__envelope_reader reader;
    const kur_header tenant = {"tenant", kur_bytes_text("acme")};
    kur_publish_options options =
        KUR_PUBLISH_OPTIONS(.mode = KUR_EVENT_STRUCTURED, .subject = "s", .extensions = &tenant, .extension_count = 1);
    kur_arena *arena = kur_arena_new();
    if (arena == NULL) {
        kur_error_set(error, status, "no arena");
        goto out;
    }
    status = kur__envelope_write(&envelope, "shop.order.created.v1", "/tests", kur_bytes_text("{\"a\":[1,2.5,\"x\"]}"),
                                 &options, &structured, error);
    if (status != KUR_OK)
        goto out;
    kur_event_view view = KUR_EVENT_VIEW(.data = envelope.value);
    kur__envelope_begin(&reader);
    for (size_t i = 0; i < envelope.header_count; i++)
        kur__envelope_take(&reader, envelope.headers[i].name, envelope.headers[i].value);
    status = kur__envelope_finish(&reader, arena, &view, error);
    if (status == KUR_OK)
        ck_assert_str_eq(view.type, "shop.order.created.v1");
out:
    kur_buffer_done(&structured);
    kur_arena_free(arena);
    return status;
}

START_TEST(test_allocation__envelope)
{
    fail_each("the envelope, structured, both ways", envelope_both_ways);
}
END_TEST

/* A record is built, gets retry headers of either style, and is read again. */
static kur_status retry_both_ways(kur_error *error)
{
    static const kur_attempt_view attempt = {sizeof attempt, 1, 1, "c"};
    const kur_attempt_view *const attempts[] = {&attempt};
    const kur_retry_view told =
        KUR_RETRY_VIEW(.attempt = 2, .due_us = 1, .topic = "t", .group = "g", .cause = "c", .message = "m",
                       .code = "f.c:1", .attempt_count = 1, .attempts = attempts, .redriven = 1, .redrive_id = "r");
    kur_status status = KUR_ERROR_NO_MEMORY;
    kur_record *record = NULL, *written = NULL;
    kur_arena *arena = kur_arena_new();
    if (arena == NULL) {
        kur_error_set(error, status, "no arena");
        goto out;
    }
    for (int style = KUR_HEADERS_KURIER; style <= KUR_HEADERS_SPRING; style++) {
        const kur_header own = {"own", kur_bytes_text("1")}, *headers;
        size_t count;
        kur_retry_view view = KUR_RETRY_VIEW(.message = "untouched");
        kur_record_free(record);
        kur_record_free(written);
        written = NULL;
        record = kur_record_build(&(kur_record_parts){.topic = "t", .headers = &own, .header_count = 1}, error);
        status = record == NULL
                     ? error->code
                     : kur_retry_write(record, style, KUR_TIER_SHORT, &told, 0, arena, &headers, &count, error);
        if (status != KUR_OK)
            goto out;
        written = kur_record_build(&(kur_record_parts){.topic = "t", .headers = headers, .header_count = count}, error);
        status = written == NULL ? error->code : kur_retry_read(written, style, 1, arena, &view, error);
        ck_assert_str_eq(view.message, status == KUR_OK ? "m" : "untouched");
        if (status != KUR_OK)
            goto out;
    }
out:
    kur_record_free(record);
    kur_record_free(written);
    kur_arena_free(arena);
    return status;
}

START_TEST(test_allocation__retry)
{
    fail_each("retry headers both ways", retry_both_ways);
}
END_TEST

static void on_result(const kur_result *result, void *user)
{
    (void)result;
    (void)user;
}

/* The producer has no thread and nobody answers, so that no other thread allocates meanwhile. */
static kur_status client(kur_error *error)
{
    static const kur_property properties[] = {
        {"client.rack", "a"}, {"sasl.username", "u"}, {"sasl.password", "secret"}, {NULL, NULL}};
    KUR_ITEM(order_created, lines) lines[] = {{.sku = "tea", .quantity = 2, .price = 150}};
    struct order_created order = {.order_id = "o-1", .placed_at = 1, .lines = {lines, 1}};
    kur_client *made = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:1", .source = "/tests",
                                                          .client_id = "tests", .properties = properties),
                                      error);
    kur_producer *producer = kur_producer_new(
        made, &KUR_PRODUCER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .delivery_timeout_ms = 10), error);
    kur_producer *transactional = kur_producer_new(
        made, &KUR_PRODUCER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .transactional_id = "t", .compression = "lz4"),
        error);
    kur_consumer *consumer = kur_consumer_new(made, &KUR_CONSUMER_OPTIONS(.group = "g"), error);
    kur_status status = error->code;
    kur_arena *arena = kur_arena_new();
    const kur_setting *settings;
    size_t count;
    if (status == KUR_OK)
        status = arena != NULL ? kur_client_settings(made, KUR_ROLE_CONSUMER, arena, &settings, &count, error)
                               : kur_error_set(error, KUR_ERROR_NO_MEMORY, "no arena");
    kur_arena_free(arena);
    if (status == KUR_OK)
        status = kur_consumer_subscribe(consumer, (const char *const[]){"t", NULL}, error);
    if (status == KUR_OK)
        status = order_created_publish(
            producer, &order, &KUR_PUBLISH_OPTIONS(.on_result = on_result, .mode = KUR_EVENT_STRUCTURED), error);
    kur_consumer_free(consumer);
    kur_producer_free(transactional);
    kur_producer_free(producer);
    kur_client_unref(made);
    return status;
}

START_TEST(test_allocation__client)
{
    fail_each("client, producer, consumer, publish", client);
}
END_TEST

/* A letter is read, counted, exported and parsed. */
static kur_status letter_both_ways(kur_error *error)
{
    const kur_header headers[] = {{"ce_specversion", kur_bytes_text("1.0")},
                                  {"ce_id", kur_bytes_text("i")},
                                  {"ce_source", kur_bytes_text("/s")},
                                  {"ce_type", kur_bytes_text("t.v1")},
                                  {"kurier-retry-topic", kur_bytes_text("orders")},
                                  {"kurier-retry-cause", kur_bytes_text("c")},
                                  {"raw", kur_bytes_of("\xff", 1)}};
    kur_letter letter = {.size = sizeof letter};
    kur_letter_line line = KUR_LETTER_LINE();
    kur_letter_group_list list;
    kur_buffer text = {0};
    kur_status status = KUR_ERROR_NO_MEMORY;
    kur_letter_groups *groups = NULL;
    kur_record *record = kur_record_build(&(kur_record_parts){.topic = "t.dlq",
                                                              .value = kur_bytes_text("v"),
                                                              .headers = headers,
                                                              .header_count = sizeof headers / sizeof *headers},
                                          error);
    kur_arena *arena = record != NULL ? kur_arena_new() : NULL;
    if (record != NULL && arena == NULL)
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "no arena");
    if (arena != NULL)
        groups = kur_letter_groups_new(NULL, error);
    if (groups != NULL)
        status = kur_letter_read(record, arena, &letter, error);
    if (groups != NULL && status == KUR_OK)
        status = kur_letter_groups_add(groups, &letter, error);
    if (groups != NULL && status == KUR_OK)
        status = kur_letter_groups_list(groups, arena, &list, error);
    if (groups != NULL && status == KUR_OK)
        status = kur_letter_export(&letter, &text, error);
    ck_assert(status == KUR_OK || text.size == 0);
    if (groups != NULL && status == KUR_OK)
        status = kur_letter_parse(kur_bytes_of(text.data, text.size), arena, &line, error);
    kur_letter_groups_free(groups);
    kur_buffer_done(&text);
    kur_arena_free(arena);
    kur_record_free(record);
    return status;
}

START_TEST(test_allocation__letters)
{
    fail_each("a dead letter", letter_both_ways);
}
END_TEST

/* Many groups, whose table grows. */
static kur_status letter_groups(kur_error *error)
{
    kur_status status = KUR_ERROR_NO_MEMORY;
    kur_letter_groups *groups = kur_letter_groups_new(NULL, error);
    for (int i = 0; i < 100 && groups != NULL && (i == 0 || status == KUR_OK); i++) {
        char cause[16], topic[16];
        snprintf(cause, sizeof cause, "c%d", i);
        snprintf(topic, sizeof topic, "t%d", i % 3);
        kur_retry_view retry = KUR_RETRY_VIEW(.cause = cause, .code = "");
        status = kur_letter_groups_add(
            groups, &(kur_letter){.size = sizeof(kur_letter), .topic = topic, .type = "", .retry = &retry}, error);
    }
    kur_letter_groups_free(groups);
    return status;
}

START_TEST(test_allocation__letter_groups)
{
    fail_each("groups of dead letters", letter_groups);
}
END_TEST

static kur_status letter_reader(kur_error *error)
{
    static const char *const topics[] = {"a.dlq", "b.dlq", NULL};
    kur_letter_reader *reader = NULL;
    kur_filter *where = kur_filter_new("payload.a = 1", error);
    kur_client *client =
        where != NULL ? kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:1"), error) : NULL;
    if (client != NULL)
        reader = kur_letter_reader_new(
            client,
            &KUR_LETTER_READER_OPTIONS(.topics = topics,
                                       .filter = &KUR_LETTER_FILTER(.cause = "a", .type = "b",
                                                                    .key = kur_bytes_text("k"), .where = where)),
            error);
    kur_status status = reader != NULL ? KUR_OK : error->code;
    kur_letter_reader_free(reader);
    kur_client_unref(client);
    kur_filter_free(where);
    return status;
}

START_TEST(test_allocation__letter_reader)
{
    fail_each("a reader of dead letters", letter_reader);
}
END_TEST

/* A filter is made; one that is wrong is explained. */
static kur_status filters(kur_error *error)
{
    static const char text[] = "not (cause ~ \"smtp.*\" or header('a') in ('x', \"y\")) and payload.a[0]['b'] = 1.5 or "
                               "exists(payload.c) and age < 2h and time > 2026-11-28";
    kur_buffer lines = {0};
    kur_filter *filter = kur_filter_new(text, error);
    kur_status status = filter != NULL ? KUR_OK : error->code;
    if (filter != NULL) {
        kur_error wrong = {0};
        status = kur_filter_explain("cause = 'x' and age < 2", &lines, &wrong);
        ck_assert(status == KUR_ERROR_SYNTAX || lines.size == 0);
        if (status == KUR_ERROR_SYNTAX)
            status = KUR_OK;
        else
            *error = wrong;
    }
    kur_filter_free(filter);
    kur_buffer_done(&lines);
    return status;
}

START_TEST(test_allocation__filters)
{
    fail_each("filters", filters);
}
END_TEST

/* Another writer's order: a union, names of its own, and without a quantity. */
static const char other_order[] =
    "{\"type\":\"record\",\"name\":\"order_created\",\"fields\":["
    "{\"name\":\"placed_at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
    "{\"name\":\"tags\",\"type\":{\"type\":\"map\",\"values\":[\"null\",\"string\"]},\"default\":{}},"
    "{\"name\":\"order_id\",\"type\":[\"int\",\"string\"]},"
    "{\"name\":\"lines\",\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"order_line\","
    "\"fields\":["
    "{\"name\":\"raw\",\"type\":\"bytes\",\"default\":\"\"},{\"name\":\"sku\",\"type\":\"string\"}]}}}]}";
static const char other_json[] =
    "{\"placed_at\":1,\"tags\":{\"a\":null,\"b\":\"x\"},\"order_id\":\"o-1\",\"lines\":[{\"sku\":\"a\"},{\"sku\":\"b\","
    "\"raw\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==\"}]}";

static kur_status avro_by_plan(kur_schema *other, kur_avro_plan *plan, kur_arena *arena, kur_error *error)
{
    struct order_created order, before;
    kur_buffer data = {0}, text = {0};
    memset(&order, 0x5a, sizeof order);
    before = order;
    kur_status status = kur_avro_from_json(other, kur_bytes_text(other_json), &data, error);
    ck_assert(status == KUR_OK || data.size == 0);
    if (status == KUR_OK)
        status = kur_avro_to_json(other, kur_bytes_of(data.data, data.size), &text, error);
    ck_assert(status == KUR_OK || text.size == 0);
    if (status == KUR_OK) {
        status = kur_avro_read(plan, kur_bytes_of(data.data, data.size), arena, &order, error);
        ck_assert(status == KUR_OK || memcmp(&before, &order, sizeof order) == 0);
    }
    data.size = 0;
    if (status == KUR_OK)
        status = kur_avro_write(&order_created_type, &order, &data, error);
    ck_assert(status == KUR_OK || data.size == 0);
    ck_assert(status != KUR_OK || (order.lines.count == 2 && order.lines.items[1].quantity == 1));
    kur_buffer_done(&data);
    kur_buffer_done(&text);
    return status;
}

static kur_status avro_both_ways(kur_error *error)
{
    kur_schema *other = NULL;
    kur_avro_plan *plan = NULL;
    kur_arena *arena = kur_arena_new();
    kur_status status = arena != NULL ? KUR_OK : kur_error_set(error, KUR_ERROR_NO_MEMORY, "no arena");
    if (status == KUR_OK)
        status = kur_schema_parse(kur_bytes_text(other_order), NULL, 0, &other, error);
    if (status == KUR_OK)
        status = kur_schema_reads(other, other, error);
    if (status == KUR_OK)
        status = kur_avro_plan_new(other, &order_created_type, &plan, error);
    ck_assert(status == KUR_OK || plan == NULL);
    if (status == KUR_OK)
        status = avro_by_plan(other, plan, arena, error);
    kur_avro_plan_unref(plan);
    kur_schema_unref(other);
    kur_arena_free(arena);
    return status;
}

START_TEST(test_allocation__avro)
{
    fail_each("Avro both ways", avro_both_ways);
}
END_TEST

/* An event is read into an arena that has been used, and written into a buffer that has room, without any memory. */
START_TEST(test_allocation__avro_takes_none)
{
    struct order_line lines[3] = {{"a", 1, 100}, {"b", 2, 200}, {"c", 3, 300}};
    struct order_created order = {.order_id = "o-1", .placed_at = 1, .lines = {lines, 3}}, read;
    kur_error error = {0};
    kur_buffer data = {0};
    kur_avro_plan *plan = NULL;
    kur_arena *arena = kur_arena_new();
    ck_assert_int_eq(kur_avro_plan_new(NULL, &order_created_type, &plan, &error), KUR_OK);
    for (int i = 0; i < 2; i++) {
        failing_begin(i, false); /* at first none fails */
        kur_arena_reset(arena);
        data.size = 0;
        kur_status status = kur_avro_write(&order_created_type, &order, &data, &error);
        if (status == KUR_OK)
            status = kur_avro_read(plan, kur_bytes_of(data.data, data.size), arena, &read, &error);
        ck_assert(!failing_has_failed());
        failing_end();
        ck_assert_int_eq(status, KUR_OK);
        ck_assert_int_eq(kur_type_compare(&order_created_type, &order, &read), 0);
    }
    kur_avro_plan_unref(plan);
    kur_arena_free(arena);
    kur_buffer_done(&data);
}
END_TEST

static void *take_and_give_back(void *failed)
{
    for (int i = 0; i < 200000; i++) {
        void *memory = kur_malloc(1);
        *(int *)failed += memory == NULL;
        kur_free(memory);
    }
    return NULL;
}

/* What the tests count by is right when threads take memory beside each other. */
START_TEST(test_allocation__threads_are_counted)
{
    pthread_t threads[4];
    int failed[4] = {0};
    failing_begin(1000, false);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give_back, &failed[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    failing_end();
    ck_assert_int_eq(failing_live(), 0);
    ck_assert_int_eq(failed[0] + failed[1] + failed[2] + failed[3], 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_allocation__threads_are_counted,
                                  test_allocation__json,
                                  test_allocation__map_of_many,
                                  test_allocation__avro,
                                  test_allocation__avro_takes_none,
                                  test_allocation__envelope,
                                  test_allocation__retry,
                                  test_allocation__client,
                                  test_allocation__letters,
                                  test_allocation__letter_groups,
                                  test_allocation__letter_reader,
                                  test_allocation__filters,
                                  test_allocation__schemas,
                                  NULL};
    return check_main("allocation", tests);
}
