/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Events read from librdkafka's own messages. No broker is needed: what is purged before it is sent comes back as a
 * delivery report, which is a message with key, value and headers like any other.
 */
#include <kurier/librdkafka.h>
#include <kurier/sys/record.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../support.h"

static rd_kafka_t *rk;
static rd_kafka_queue_t *queue;
static rd_kafka_event_t *event; /* holds the record */
static kur_arena *arena;

/* A record of these headers, which it takes; valid until the next one. */
static const kur_record *make_record_of(rd_kafka_headers_t *list, const char *value)
{
    size_t size = value != NULL ? strlen(value) : 0;
    rd_kafka_resp_err_t code =
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("orders"), RD_KAFKA_V_PARTITION(3),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY("k", 1),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t)value, size), RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_END);
    ck_assert_msg(code == RD_KAFKA_RESP_ERR_NO_ERROR, "%s", rd_kafka_err2str(code));
    ck_assert_int_eq(rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE), RD_KAFKA_RESP_ERR_NO_ERROR);
    do {
        rd_kafka_event_destroy(event);
        event = rd_kafka_queue_poll(queue, 30000);
    } while (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR); /* nobody listens */
    ck_assert_int_eq(rd_kafka_event_type(event), RD_KAFKA_EVENT_DR);
    return kur_record_of_librdkafka(rd_kafka_event_message_next(event));
}

/* Likewise, of headers up to one without a name. */
static const kur_record *make_record(const kur_header *headers, const char *value)
{
    rd_kafka_headers_t *list = rd_kafka_headers_new(4);
    for (; headers->name != NULL; headers++)
        rd_kafka_header_add(list, headers->name, -1, headers->value.data, (ssize_t)headers->value.size);
    return make_record_of(list, value);
}
#define RECORD(value, ...) make_record((const kur_header[]){__VA_ARGS__, {NULL, {0}}}, value)
#define TEXT(name, text)                                                                                               \
    {                                                                                                                  \
        name,                                                                                                          \
        {                                                                                                              \
            text, sizeof(text) - 1                                                                                     \
        }                                                                                                              \
    }
#define BINARY TEXT("ce_specversion", "1.0"), TEXT("ce_id", "i-1"), TEXT("ce_source", "/s"), TEXT("ce_type", "t.v1")

START_TEST(test_record__binary)
{
    const kur_record *record = RECORD("{\"a\":1}", BINARY, TEXT("CE_Id", "i-2"), TEXT("ce_tenant", "first"),
                                      TEXT("CE_TENANT", "acme"), TEXT("ce_broken", "a\nb"), TEXT("x-raw", "\0\xff"),
                                      {"ce_none", {NULL, 0}}, {"ce_tenant", {NULL, 0}}, {"ce_id", {NULL, 0}});
    kur_error error = {0};
    kur_event_view view = KUR_EVENT_VIEW();
    ck_ok(kur_event_read(record, NULL, &view, &error), error);
    ck_assert_int_eq(view.mode, KUR_EVENT_BINARY);
    ck_assert_uint_eq(view.size, sizeof view);
    ck_assert_str_eq(view.id, "i-2");
    ck_assert_str_eq(view.source, "/s");
    ck_assert_str_eq(view.type, "t.v1");
    ck_assert_str_eq(view.topic, "orders");
    ck_assert_int_eq(view.partition, 3);
    ck_assert(kur_bytes_equal(view.key, kur_bytes_text("k")));
    ck_assert(kur_bytes_equal(view.data, kur_bytes_text("{\"a\":1}")));
    ck_assert_ptr_eq(view.record, record);
    ck_assert_ptr_eq(view.data.data, kur_record_value(record).data);

    /* Of extensions, too, the last that is not null counts, and names are compared without case. */
    ck_assert_str_eq(kur_event_extension(&view, "id"), "i-2");
    ck_assert_str_eq(kur_event_extension(&view, "tenant"), "acme");
    ck_assert_ptr_null(kur_event_extension(&view, "region"));
    ck_assert_ptr_null(kur_event_extension(&view, "broken"));
    ck_assert_ptr_null(kur_event_extension(&view, "none"));
    ck_assert_ptr_null(kur_event_extension(&view, "tenan"));
    ck_assert_ptr_null(kur_event_extension(&view, NULL));
    ck_assert_ptr_null(kur_event_extension(NULL, "tenant"));

    kur_header header;
    kur_bytes value;
    ck_assert_uint_eq(kur_record_header_count(record), 12);
    ck_assert(kur_record_header(record, 4, &header));
    ck_assert_str_eq(header.name, "CE_Id");
    ck_assert(!kur_record_header(record, 12, &header));
    ck_assert(kur_record_header_last(record, "x-raw", &value));
    ck_assert(kur_bytes_equal(value, kur_bytes_of("\0\xff", 2)));
    ck_assert(!kur_record_header_last(record, "nothing", &value));
}
END_TEST

START_TEST(test_record__structured)
{
    const kur_record *record =
        RECORD("{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t.v1\",\"tenant\":\"acme\","
               "\"data\":[1]}",
               TEXT("Content-Type", "application/cloudevents+json"), TEXT("ce_tenant", "not this"));
    kur_error error = {0};
    kur_event_view view = KUR_EVENT_VIEW();
    ck_ok(kur_event_read(record, arena, &view, &error), error);
    ck_assert_int_eq(view.mode, KUR_EVENT_STRUCTURED);
    ck_assert_str_eq(view.type, "t.v1");
    ck_assert(kur_bytes_equal(view.data, kur_bytes_text("[1]")));
    ck_assert_str_eq(kur_event_extension(&view, "tenant"), "acme");
    ck_assert_str_eq(view.topic, "orders");

    /* Without an arena there is nowhere to read it to. */
    kur_event_view untouched = view;
    ck_status(kur_event_read(record, NULL, &view, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "arena is NULL");
    ck_assert_mem_eq(&view, &untouched, sizeof view);
}
END_TEST

START_TEST(test_record__plain_tombstone)
{
    const kur_record *record = RECORD(NULL, TEXT("tenant", "acme"));
    kur_error error = {0};
    kur_event_view view = KUR_EVENT_VIEW();
    ck_ok(kur_event_read(record, NULL, &view, &error), error);
    ck_assert_int_eq(view.mode, KUR_EVENT_PLAIN);
    ck_assert_ptr_null(view.type);
    ck_assert_ptr_null(view.id);
    ck_assert_ptr_null(view.data.data);
    ck_assert_ptr_null(kur_event_extension(&view, "tenant"));
    ck_assert_str_eq(view.topic, "orders");
}
END_TEST

START_TEST(test_record__wrong_leaves_the_view)
{
    const kur_record *record = RECORD("{}", TEXT("ce_specversion", "1.0"), TEXT("ce_id", "i"), TEXT("ce_type", "t"));
    kur_error error = {0};
    kur_event_view view = KUR_EVENT_VIEW(.id = "before"), before = view;
    ck_status(kur_event_read(record, arena, &view, &error), KUR_ERROR_NOT_AN_EVENT, error);
    ck_assert_str_eq(error.message, "not a CloudEvent: source is missing");
    ck_assert_mem_eq(&view, &before, sizeof view);
    ck_assert_int_eq(kur_event_read(record, arena, &view, NULL), KUR_ERROR_NOT_AN_EVENT);

    error = (kur_error){0};
    ck_status(kur_event_read(NULL, arena, &view, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "record is NULL");
    error = (kur_error){0};
    ck_status(kur_event_read(record, arena, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "view is NULL");
    view.size = 0;
    ck_status(kur_event_read(record, arena, &view, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "view.size is not set");
}
END_TEST

/* A NUL cuts a header's name; what it is called then, it is called in every way of looking. */
START_TEST(test_record__name_with_nul)
{
    rd_kafka_headers_t *list = rd_kafka_headers_new(2);
    rd_kafka_header_add(list, "x-a", -1, "first", -1);
    rd_kafka_header_add(list, "x-a\0b", 5, "second", -1);
    rd_kafka_header_add(list, "", 0, "third", -1);
    const kur_record *record = make_record_of(list, "{}");
    kur_header header;
    kur_bytes value;
    ck_assert_uint_eq(kur_record_header_count(record), 3);
    ck_assert(kur_record_header(record, 1, &header));
    ck_assert_str_eq(header.name, "x-a");
    ck_assert(kur_record_header_last(record, "x-a", &value));
    ck_assert(kur_bytes_equal(value, kur_bytes_text("second")));
    ck_assert(kur_record_header_last(record, "", &value));
    ck_assert(kur_bytes_equal(value, kur_bytes_text("third")));
}
END_TEST

/* A program that knows fewer members than the library gets no more. */
START_TEST(test_record__view_of_an_older_program)
{
    const kur_record *record = RECORD("{}", BINARY, TEXT("ce_subject", "s"));
    kur_error error = {0};
    kur_event_view view;
    memset(&view, 0x5a, sizeof view);
    view.size = offsetof(kur_event_view, subject);
    ck_ok(kur_event_read(record, arena, &view, &error), error);
    ck_assert_uint_eq(view.size, offsetof(kur_event_view, subject));
    ck_assert_str_eq(view.type, "t.v1");
    for (size_t i = view.size; i < sizeof view; i++)
        ck_assert_int_eq(((unsigned char *)&view)[i], 0x5a);
}
END_TEST

START_TEST(test_record__null_has_nothing)
{
    kur_header header;
    kur_bytes value;
    ck_assert_ptr_null(kur_record_of_librdkafka(NULL));
    ck_assert_ptr_null(kur_record_topic(NULL));
    ck_assert_int_eq(kur_record_partition(NULL), -1);
    ck_assert_int_eq(kur_record_offset(NULL), -1);
    ck_assert_int_eq(kur_record_timestamp_us(NULL), -1);
    ck_assert_ptr_null(kur_record_key(NULL).data);
    ck_assert_ptr_null(kur_record_value(NULL).data);
    ck_assert_uint_eq(kur_record_header_count(NULL), 0);
    ck_assert(!kur_record_header(NULL, 0, &header));
    ck_assert(!kur_record_header_last(NULL, "a", &value));
}
END_TEST

/* Two records say the same in every way of asking. */
static void ck_same(const kur_record *a, const kur_record *b)
{
    ck_assert_str_eq(kur_record_topic(a), kur_record_topic(b));
    ck_assert_int_eq(kur_record_partition(a), kur_record_partition(b));
    ck_assert_int_eq(kur_record_offset(a), kur_record_offset(b));
    ck_assert_int_eq(kur_record_timestamp_us(a), kur_record_timestamp_us(b));
    ck_assert_int_eq(kur_record_leader_epoch(a), kur_record_leader_epoch(b));
    ck_assert(kur_bytes_equal(kur_record_key(a), kur_record_key(b)));
    ck_assert(kur_bytes_equal(kur_record_value(a), kur_record_value(b)));
    ck_assert_uint_eq(kur_record_header_count(a), kur_record_header_count(b));
    kur_header one, other;
    for (size_t i = 0; kur_record_header(a, i, &one); i++) {
        ck_assert(kur_record_header(b, i, &other));
        ck_assert_str_eq(one.name, other.name);
        ck_assert(kur_bytes_equal(one.value, other.value));
    }
}

/* What is built is what was given, and nothing of it is borrowed any more. */
START_TEST(test_record__built)
{
    kur_error error = {0};
    char topic[] = "orders", name[] = "x-raw", raw[] = "a\0b", value[] = "{}";
    const kur_header headers[] = {{"x-none", {NULL, 0}},
                                  {name, {raw, 3}},
                                  {"", {"", 0}},
                                  {"x-none", {"", 0}},
                                  {"kurier-retry-due", {"7", 1}},
                                  {"kurier-retry-duo", {NULL, 0}}};
    kur_record_parts parts = {.topic = topic,
                              .partition = 7,
                              .leader_epoch = KUR_LEADER_EPOCH(4),
                              .offset = INT64_C(1) << 40,
                              .timestamp_us = 1234567000,
                              .key = {"", 0},
                              .value = {value, 2},
                              .headers = headers,
                              .header_count = 6};
    kur_record *record = kur_record_build(&parts, &error);
    ck_assert_msg(record != NULL, "%s", error.message);
    memset(topic, 'x', sizeof topic - 1);
    memset(name, 'x', sizeof name - 1);
    memset(raw, 'x', sizeof raw - 1);
    memset(value, 'x', sizeof value - 1);

    ck_assert_str_eq(kur_record_topic(record), "orders");
    ck_assert_int_eq(kur_record_partition(record), 7);
    ck_assert_int_eq(kur_record_offset(record), INT64_C(1) << 40);
    ck_assert_int_eq(kur_record_timestamp_us(record), 1234567000);
    ck_assert_int_eq(kur_record_leader_epoch(record), 5);
    ck_assert(kur_bytes_equal(kur_record_key(record), kur_bytes_text("")));
    ck_assert_str_eq(kur_record_value(record).data, "{}");
    ck_assert_uint_eq(kur_record_value(record).size, 2);
    ck_assert_uint_eq(kur_record_header_count(record), 6);
    kur_header header;
    kur_bytes last;
    ck_assert(kur_record_header(record, 1, &header));
    ck_assert_str_eq(header.name, "x-raw");
    ck_assert(kur_bytes_equal(header.value, kur_bytes_of("a\0b", 3)));
    ck_assert(kur_record_header(record, 0, &header) && header.value.data == NULL);
    ck_assert(kur_record_header_last(record, "x-none", &last) && last.data != NULL && last.size == 0);
    ck_assert(kur_record_header(record, 4, &header) && strcmp(header.name, "kurier-retry-due") == 0);
    ck_assert(kur_bytes_equal(header.value, kur_bytes_text("7")));
    ck_assert(kur_record_header(record, 5, &header) && strcmp(header.name, "kurier-retry-duo") == 0);
    ck_assert(header.value.data == NULL && header.value.size == 0);
    ck_assert(!kur_record_header(record, 6, &header));

    kur_record *copy = kur_record_copy(record, &error);
    ck_assert_ptr_ne(copy, record);
    ck_same(copy, record);
    ck_assert_uint_eq(kur_record_memory(copy), kur_record_memory(record));
    kur_event_view view = KUR_EVENT_VIEW();
    ck_ok(kur_event_read(record, NULL, &view, &error), error);
    ck_assert_int_eq(view.mode, KUR_EVENT_PLAIN);
    kur_consumer_free_records(NULL, (kur_record *[]){record, copy}, 2);
}
END_TEST

START_TEST(test_record__copy_of_a_message)
{
    const kur_record *record = RECORD("{\"a\":1}", BINARY, TEXT("x-raw", "\0\xff"), {"x-none", {NULL, 0}});
    kur_error error = {0};
    kur_record *copy = kur_record_copy(record, &error);
    ck_assert_msg(copy != NULL, "%s", error.message);
    ck_same(copy, record);
    ck_assert_uint_eq(kur_record_memory(record), kur_record_memory(copy));
    kur_record_free(copy);
    kur_record_free((kur_record *)(uintptr_t)record); /* is left alone */
}
END_TEST

/* Memory that is said is memory that is taken: what a record grows by is counted, byte for byte and with its NULs. */
START_TEST(test_record__memory)
{
    kur_record_parts parts = {.topic = "t"};
    kur_record *bare = kur_record_build(&parts, NULL);
    parts.topic = "topic";
    parts.key = kur_bytes_text("key");
    parts.value = kur_bytes_text("");
    parts.headers = (const kur_header[]){{"name", {"value", 5}}, {"n", {NULL, 0}}};
    parts.header_count = 2;
    kur_record *full = kur_record_build(&parts, NULL);
    ck_assert_uint_eq(kur_record_memory(full) - kur_record_memory(bare),
                      4 + 4 + 1 + 2 * 3 * sizeof(uint32_t) + 5 + 6 + 2);
    ck_assert_uint_eq(kur_record_memory(NULL), 0);
    /* A name that most records have is not copied. */
    size_t before = kur_record_memory(full);
    kur_record_free(full);
    parts.headers = (const kur_header[]){{"kurier-retry-attempt", {"value", 5}}, {"n", {NULL, 0}}};
    full = kur_record_build(&parts, NULL);
    ck_assert_uint_eq(before - kur_record_memory(full), 5);
    kur_record_free(bare);
    kur_record_free(full);
}
END_TEST

START_TEST(test_record__not_built)
{
    const kur_header nameless = {NULL, {"v", 1}};
    const struct {
        kur_record_parts parts;
        const char *says;
    } cases[] = {{{.topic = NULL}, "parts.topic is NULL"},
                 {{.topic = "t", .header_count = 1}, "parts.headers is NULL"},
                 {{.topic = "t", .headers = &nameless, .header_count = 1}, "the name of a header is NULL"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_error error = {0};
        ck_assert_ptr_null(kur_record_build(&cases[i].parts, &error));
        ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
        ck_assert_str_eq(error.message, cases[i].says);
    }
    ck_assert_ptr_null(kur_record_build(NULL, NULL));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_record__binary,
                                  test_record__structured,
                                  test_record__plain_tombstone,
                                  test_record__wrong_leaves_the_view,
                                  test_record__name_with_nul,
                                  test_record__view_of_an_older_program,
                                  test_record__null_has_nothing,
                                  test_record__built,
                                  test_record__copy_of_a_message,
                                  test_record__memory,
                                  test_record__not_built,
                                  NULL};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", SUPPORT_NOBODY, NULL, 0);
    rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    queue = rd_kafka_queue_get_main(rk);
    arena = kur_arena_new();
    int result = check_main("record", tests);
    kur_arena_free(arena);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return result;
}
