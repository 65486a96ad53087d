/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * An event as a message without a producer: what is written, and sent later, is what a producer sends at once, byte by
 * byte; and what a producer refuses is refused.
 */
#include <kurier/kurier.h>
#include <kurier/sys/message.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../consuming.h"
#include "../failing.h"
#include "../shop.h"
#include "event/envelope.h"

static KUR_ITEM(order_created, lines) lines[] = {{.sku = "tea", .quantity = 2, .price = 150}};
static const struct order_created order = {.order_id = "o-1", .placed_at = 1, .lines = {lines, 1}};

static const kur_header extensions[] = {{"tenant", {"acme", 4}}, {"abcdefghijklmnopqrst", {"longest", 7}}};
static const kur_header headers[] = {{"b", {"2", 1}}, {"a", {NULL, 0}}, {"b", {"\0\xff", 2}}, {"empty", {"", 0}}};
static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
static const kur_event_view parent = {.size = sizeof parent,
                                      .id = "p-1",
                                      .correlation_id = "c-1",
                                      .traceparent = trace,
                                      .tracestate = "a=1",
                                      .baggage = "k=v"};

/* Of all that may be said, each once and together; in either mode. */
#define BASE .size = sizeof(kur_publish_options), .id = "e-1", .time_us = 1780000000000000
#define EXTENSIONS .extensions = extensions, .extension_count = 2
#define HEADERS .headers = headers, .header_count = 4
static const kur_publish_options cases[] = {
    {BASE},
    {BASE, .partition = KUR_PARTITION(0)},
    {BASE, .key = {"another", 7}},
    {BASE, .key = {"", 0}},
    {BASE, .source = "/elsewhere", .subject = "s", .data_schema = "urn:schema", .content_type = "application/json"},
    {BASE, EXTENSIONS},
    {BASE, HEADERS},
    {BASE, .due_us = 1790000000000000},
    {BASE, .parent = &parent},
    {BASE, .parent = &parent, .correlation_id = "c-2", .causation_id = "c-3", .traceparent = trace, .baggage = "b=c"},
    {BASE, .timestamp_us = 1780000000123000},
    {BASE, EXTENSIONS, HEADERS, .due_us = 1790000000000000, .parent = &parent, .subject = "s", .key = {"k", 1}},
};

#define CASES (sizeof cases / sizeof *cases)

/* The next two records are the same. */
static void expect_twins(kur_consumer *consumer, size_t which)
{
    kur_record *sent = next(consumer), *kept = next(consumer);
    kur_header a, b;
    size_t count = kur_record_header_count(sent);
    ck_assert(kur_bytes_equal(kur_record_key(sent), kur_record_key(kept)));
    ck_assert(kur_bytes_equal(kur_record_value(sent), kur_record_value(kept)));
    ck_assert(cases[which].timestamp_us == 0 || kur_record_timestamp_us(sent) == kur_record_timestamp_us(kept));
    ck_assert_msg(count == kur_record_header_count(kept) && count > 0, "case %zu: %zu headers", which, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert(kur_record_header(sent, i, &a) && kur_record_header(kept, i, &b));
        ck_assert_msg(strcmp(a.name, b.name) == 0 && kur_bytes_equal(a.value, b.value), "case %zu: %s is not %s", which,
                      a.name, b.name);
    }
    drop(consumer, sent);
    drop(consumer, kept);
}

static void send_kept(kur_producer *producer, const kur_message *message)
{
    kur_error error = {0};
    ck_assert(message->verbatim);
    ck_assert_uint_eq(message->size, sizeof *message);
    ck_ok(kur_message_check(message, 0, &error), error);
    ck_ok(kur_producer_send_wait(producer, message, 30000, NULL, &error), error);
}

START_TEST(test_message__is_what_a_producer_sends)
{
    kur_error error = {0};
    const char *topic = support_topic(1);
    kur_client *client = consuming_client();
    kur_producer *producer = kur_client_producer(client, &error);
    for (int mode = KUR_EVENT_BINARY; mode <= KUR_EVENT_STRUCTURED; mode++) {
        for (size_t i = 0; i < CASES; i++) {
            kur_arena *arena = kur_arena_new();
            kur_message message = KUR_MESSAGE();
            kur_publish_options options = cases[i];
            options.topic = topic;
            options.mode = mode;
            ck_ok(order_created_publish_wait(producer, &order, &options, 30000, NULL, &error), error);
            ck_ok(kur_message_write(client, &order_created_type, &order, &options, arena, &message, &error), error);
            send_kept(producer, &message);

            /* With data that are already encoded, and a tombstone. */
            for (int has_data = 0; has_data <= 1; has_data++) {
                kur_bytes data = has_data ? kur_bytes_text("{\"a\":1}") : (kur_bytes){0};
                ck_ok(kur_producer_publish_raw_wait(producer, "shop.x.v1", data, &options, 30000, NULL, &error), error);
                ck_ok(kur_message_write_raw(client, "shop.x.v1", data, &options, arena, &message, &error), error);
                ck_assert_int_eq(message.tombstone, !has_data && mode == KUR_EVENT_BINARY);
                send_kept(producer, &message);
            }
            kur_arena_free(arena);
        }
    }
    kur_consumer *consumer =
        kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST, .start = KUR_START_EARLIEST), &error);
    ck_ok(kur_consumer_subscribe(consumer, (const char *const[]){topic, NULL}, &error), error);
    for (size_t i = 0; i < 2 * CASES * 3; i++)
        expect_twins(consumer, i / 3 % CASES);
    kur_consumer_free(consumer);
    consuming_stop(); /* the producer has a thread, and memory is about to fail */
}
END_TEST

/* Of two messages the headers, with a new id and another time. */
START_TEST(test_message__lasts_as_long_as_the_arena)
{
    kur_error error = {0};
    kur_client *client = consuming_client();
    kur_arena *arena = kur_arena_new();
    kur_message messages[2] = {KUR_MESSAGE(), KUR_MESSAGE()};
    char topic[] = "orders", id[] = "o-1";
    struct order_created changing = order;
    changing.order_id = id;
    for (int i = 0; i < 2; i++)
        ck_ok(kur_message_write(client, &order_created_type, &changing, NULL, arena, &messages[i], &error), error);
    memset(id, 'x', sizeof id - 1);
    ck_assert_str_eq(messages[0].topic, topic);
    for (int i = 0; i < 2; i++) {
        ck_assert(kur_bytes_equal(messages[i].key, kur_bytes_text("o-1")));
        ck_assert_uint_eq(messages[i].header_count, 7);
        ck_assert_str_eq(messages[i].headers[1].name, "ce_id");
        ck_assert_uint_eq(messages[i].headers[1].value.size, 36);
        ck_assert(kur_bytes_equal(messages[i].headers[1].value, messages[i].headers[5].value)); /* its correlation */
        ck_assert(!messages[i].tombstone && messages[i].timestamp_us == 0 && messages[i].on_result == NULL);
    }
    ck_assert(!kur_bytes_equal(messages[0].headers[1].value, messages[1].headers[1].value));
    ck_assert(kur_bytes_equal(messages[0].headers[2].value, kur_bytes_text("/tests")));

    kur_publish_options extended = cases[CASES - 1];
    ck_ok(kur_message_write(client, &order_created_type, &order, &extended, arena, &messages[0], &error), error);
    const kur_header *first = &messages[0].headers[messages[0].header_count - 6];
    ck_assert_str_eq(first[0].name, "ce_tenant");
    ck_assert_str_eq(first[1].name, "ce_abcdefghijklmnopqrst");
    ck_assert_str_eq(first[2].name, "b");

    /* What is as it was given is not copied. */
    kur_bytes data = kur_bytes_text("{}");
    const kur_publish_options options =
        KUR_PUBLISH_OPTIONS(.topic = topic, .key = kur_bytes_text("k"), .headers = headers, .header_count = 4);
    ck_ok(kur_message_write_raw(client, "t.v1", data, &options, arena, &messages[0], &error), error);
    ck_assert_ptr_eq(messages[0].value.data, data.data);
    ck_assert_ptr_eq(messages[0].key.data, options.key.data);
    ck_assert_ptr_eq(messages[0].topic, topic);
    kur_arena_free(arena);
}
END_TEST

START_TEST(test_message__refuses_what_a_producer_does)
{
    kur_error error = {0}, producers = {0};
    kur_client *client = consuming_client();
    kur_producer *producer = kur_client_producer(client, &error);
    kur_arena *arena = kur_arena_new();
    kur_message message = KUR_MESSAGE(.topic = "untouched");
    kur_header many[1001];
    for (int i = 0; i < 1001; i++)
        many[i] = (kur_header){"h", {NULL, 0}};
    const kur_header no_name = {"", {NULL, 0}}, of_ours = {"ce_x", {NULL, 0}};
    const kur_header extension = {"UPPER", {NULL, 0}};
    const kur_publish_options wrong[] = {
        KUR_PUBLISH_OPTIONS(.topic = "no/topic"),
        KUR_PUBLISH_OPTIONS(.partition = -1),
        KUR_PUBLISH_OPTIONS(.timestamp_us = -1),
        KUR_PUBLISH_OPTIONS(.headers = many, .header_count = 1001),
        KUR_PUBLISH_OPTIONS(.headers = &no_name, .header_count = 1),
        KUR_PUBLISH_OPTIONS(.headers = &of_ours, .header_count = 1),
        KUR_PUBLISH_OPTIONS(.extensions = &extension, .extension_count = 1),
        KUR_PUBLISH_OPTIONS(.traceparent = "00"),
        KUR_PUBLISH_OPTIONS(.mode = 9),
        {0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kur_status status = kur_producer_publish(producer, &order_created_type, &order, &wrong[i], &producers);
        ck_assert_int_ne(status, KUR_OK);
        ck_status(kur_message_write(client, &order_created_type, &order, &wrong[i], arena, &message, &error), status,
                  error);
        ck_assert_str_eq(error.message, producers.message);
        ck_assert_str_eq(message.topic, "untouched");
    }
    ck_status(kur_message_write_raw(client, "t.v1", kur_bytes_text("{}"), NULL, arena, &message, &error),
              KUR_ERROR_CONFIG, error);
    ck_says(error, "t.v1 has no topic");
    ck_status(kur_message_write_raw(client, "t.v1", (kur_bytes){NULL, 1}, NULL, arena, &message, &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    const struct order_created none = {.order_id = ""};
    ck_status(kur_message_write(client, &order_created_type, &none, NULL, arena, &message, &error),
              KUR_ERROR_CONSTRAINT, error);
    error = (kur_error){0};
    ck_status(kur_message_write(NULL, &order_created_type, &order, NULL, arena, &message, &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "client is NULL");
    error = (kur_error){0};
    ck_status(kur_message_write_raw(client, NULL, (kur_bytes){0}, NULL, arena, &message, &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "event_type is NULL");
    error = (kur_error){0};
    ck_status(kur_message_check(NULL, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_message_check(&(kur_message){0}, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, ".size is not set");
    kur_arena_free(arena);
}
END_TEST

static bool fits(kur_producer *producer, kur_message *message, const char *bytes, size_t size, int64_t most)
{
    kur_error error = {0};
    message->value = kur_bytes_of(bytes, size);
    kur_status checked = kur_message_check(message, most, &error);
    kur_status sent = kur_producer_send(producer, message, &error);
    ck_assert_msg(checked == sent && (sent == KUR_OK || sent == KUR_ERROR_TOO_LARGE), "%zu bytes: %s, but %s", size,
                  kur_status_name(checked), kur_status_name(sent));
    return sent == KUR_OK;
}

START_TEST(test_message__is_as_large_as_a_producer_takes)
{
    kur_error error = {0};
    enum {
        MOST = 20000
    };
    static char bytes[MOST], name[200];
    memset(name, 'n', sizeof name - 1);
    /* Nobody answers: what it takes, it takes. */
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY, .source = "/tests"), &error);
    kur_producer *producer = kur_producer_new(
        client, &KUR_PRODUCER_OPTIONS(.record_bytes = MOST, .dispatch = KUR_DISPATCH_CALLER, .delivery_timeout_ms = 10),
        &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    const kur_header large[] = {{name, kur_bytes_of(bytes, 64)}, {"n", {NULL, 0}}, {"", kur_bytes_of(bytes, 8192)}};
    for (size_t count = 0; count <= 3; count++) {
        kur_message message = KUR_MESSAGE(.topic = "t", .key = kur_bytes_text("key"), .headers = large,
                                          .header_count = count, .verbatim = true);
        size_t low = 0, high = MOST; /* the first fits, the second does not */
        while (high - low > 1) {
            size_t middle = low + (high - low) / 2;
            if (fits(producer, &message, bytes, middle, MOST))
                low = middle;
            else
                high = middle;
        }
        ck_assert_uint_gt(low, 1000);
    }
    ck_ok(kur_message_check(&KUR_MESSAGE(.topic = "t", .value = kur_bytes_of(bytes, MOST)), 0, &error), error);
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_message__without_memory)
{
    kur_client *client = consuming_client();
    long points = 0;
    kur_error error;
    kur_status status;
    do {
        kur_message message = KUR_MESSAGE(.topic = "untouched");
        kur_publish_options options = cases[CASES - 1];
        error = (kur_error){0};
        failing_begin(points + 1, true);
        kur_arena *arena = kur_arena_new();
        status = arena != NULL ? KUR_OK : kur_error_set(&error, KUR_ERROR_NO_MEMORY, "no arena");
        for (int mode = KUR_EVENT_BINARY; mode <= KUR_EVENT_STRUCTURED && status == KUR_OK; mode++) {
            options.mode = mode;
            message.topic = "untouched";
            status = kur_message_write(client, &order_created_type, &order, &options, arena, &message, &error);
            ck_assert_str_eq(message.topic, status == KUR_OK ? "orders" : "untouched");
        }
        kur_arena_free(arena);
        failing_end();
    } while (failing_again("a message", &points, status, &error));
}
END_TEST

/* Publishing takes no memory of ours on its usual path: what it sends is on the stack, and then librdkafka's. */
START_TEST(test_message__publishing_allocates_nothing)
{
    kur_error error = {0};
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY, .source = "/tests"), &error);
    kur_producer *producer = kur_producer_new(
        client, &KUR_PRODUCER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .delivery_timeout_ms = 10), &error);
    /* The first keeps the topic's handle. */
    ck_ok(order_created_publish(producer, &order, &cases[CASES - 1], &error), error);
    failing_begin(1, true);
    kur_status status = order_created_publish(producer, &order, &cases[CASES - 1], &error);
    bool has_failed = failing_has_failed();
    failing_end();
    ck_ok(status, error);
    ck_assert(!has_failed);
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_message__is_what_a_producer_sends,
                                  test_message__lasts_as_long_as_the_arena,
                                  test_message__refuses_what_a_producer_does,
                                  test_message__is_as_large_as_a_producer_takes,
                                  test_message__without_memory,
                                  test_message__publishing_allocates_nothing,
                                  NULL};
    int result = check_main("message", tests);
    consuming_stop();
    return result;
}
