/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The whole path: librdkafka by itself writes what no publisher of ours would, a consumer polls it, the event is read
 * and decoded or refused with a reason, and the next record comes. What is refused is committed like any other.
 */
#include <kurier/kurier.h>
#include <kurier/sys/clock.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../hostile.h"
#include "../shop.h"
#include "../support.h"

static const char good_json[] =
    "{\"order_id\":\"o\",\"placed_at\":\"2026-01-01T00:00:00Z\",\"lines\":[{\"sku\":\"a\"}]}";

typedef struct header {
    const char *name;
    ssize_t name_size; /* 0: up to its NUL */
    const char *value; /* NULL: none */
    ssize_t value_size;
} header;

#define BINARY                                                                                                         \
    {"ce_specversion", 0, "1.0", -1}, {"ce_id", 0, "i", -1}, {"ce_source", 0, "/s", -1},                               \
    {                                                                                                                  \
        "ce_type", 0, "t.v1", -1                                                                                       \
    }
#define STRUCTURED                                                                                                     \
    {                                                                                                                  \
        "content-type", 0, "application/cloudevents+json", -1                                                          \
    }
#define MEMBERS "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t.v1\""
#define HEADERS(...)                                                                                                   \
    (const header[])                                                                                                   \
    {                                                                                                                  \
        __VA_ARGS__,                                                                                                   \
        {                                                                                                              \
            NULL, 0, NULL, 0                                                                                           \
        }                                                                                                              \
    }
#define NOTHING ((const header[]){{NULL, 0, NULL, 0}})

/* Where not NULL, `part` makes the largest value that fits, as hostile.h says. */
static const struct hostile {
    const char *what;
    const header *headers;
    const char *before, *part, *after; /* before NULL: a null value */
    kur_status read, decoded;
    const char *says;
} cases[] = {
    {"no value", NOTHING, NULL, NULL, NULL, KUR_OK, KUR_ERROR_MISMATCH, "tombstone"},
    {"an empty value", NOTHING, "", NULL, "", KUR_OK, KUR_ERROR_SYNTAX, "not JSON"},
    {"a NUL", HEADERS(BINARY), "\x01", NULL, "", KUR_OK, KUR_ERROR_SYNTAX, "not JSON"},
    {"not UTF-8", HEADERS(BINARY), "{\"order_id\":\"\xff\"}", NULL, "", KUR_OK, KUR_ERROR_SYNTAX,
     "unable to decode byte 0xff"},
    {"another version", HEADERS(BINARY, {"ce_specversion", 0, "0.3", -1}), good_json, NULL, "", KUR_ERROR_NOT_AN_EVENT,
     KUR_OK, "specversion is not 1.0"},
    {"an attribute that is null", HEADERS(BINARY, {"ce_subject", 0, NULL, 0}), good_json, NULL, "", KUR_OK, KUR_OK,
     NULL},
    {"an empty attribute", HEADERS(BINARY, {"ce_id", 0, "", 0}), good_json, NULL, "", KUR_ERROR_NOT_AN_EVENT, KUR_OK,
     "id is empty"},
    {"an attribute that is not UTF-8", HEADERS(BINARY, {"ce_source", 0, "\xc3", -1}), good_json, NULL, "",
     KUR_ERROR_NOT_AN_EVENT, KUR_OK, "source is not UTF-8"},
    {"an attribute with a NUL", HEADERS(BINARY, {"ce_type", 0, "t\0.v1", 5}), good_json, NULL, "",
     KUR_ERROR_NOT_AN_EVENT, KUR_OK, "type is not UTF-8 without control characters"},
    {"a name with a NUL", HEADERS(BINARY, {"ce_id\0x", 7, "forged", -1}), good_json, NULL, "", KUR_OK, KUR_OK, NULL},
    {"a name that is not UTF-8", HEADERS(BINARY, {"ce_\xff\xfe", 0, "x", -1}, {"\x01", 0, "\x02", -1}), good_json, NULL,
     "", KUR_OK, KUR_OK, NULL},
    {"a name that is empty", HEADERS(BINARY, {"", 0, "x", -1}, {"ce_", 0, "x", -1}), good_json, NULL, "", KUR_OK,
     KUR_OK, NULL},
    {"a content type of another format", HEADERS(BINARY, {"content-type", 0, "application/protobuf", -1}), "\x01\x02",
     NULL, "", KUR_OK, KUR_ERROR_UNSUPPORTED, "application/protobuf"},
    {"Avro that is none", HEADERS(BINARY, {"content-type", 0, "application/avro", -1}), "\x05\x02", NULL, "", KUR_OK,
     KUR_ERROR_SYNTAX, "order_id"},
    {"a batch of events", HEADERS({"content-type", 0, "application/cloudevents-batch+json", -1}), "[]", NULL, "",
     KUR_ERROR_NOT_AN_EVENT, KUR_OK, "application/cloudevents-batch+json"},
    {"half a million integers", HEADERS(BINARY), "{\"lines\":[", "1,", "]}", KUR_OK, KUR_ERROR_MISMATCH,
     "order_id: is missing"},
    {"deep JSON", HEADERS(BINARY), "", "[", "", KUR_OK, KUR_ERROR_TOO_LARGE, "nests deeper"},
    {"a huge number", HEADERS(BINARY), "{\"x\":", "9", "}", KUR_OK, KUR_ERROR_SYNTAX, "too big integer"},
    {"a long text", HEADERS(BINARY), "{\"order_id\":\"", "x", "\"}", KUR_OK, KUR_ERROR_MISMATCH,
     "placed_at: is missing"},
    {"structured, null", HEADERS(STRUCTURED), NULL, NULL, NULL, KUR_ERROR_NOT_AN_EVENT, KUR_OK, "null value"},
    {"structured, not JSON", HEADERS(STRUCTURED), "\xff", NULL, "", KUR_ERROR_SYNTAX, KUR_OK, "not JSON"},
    {"structured, deep", HEADERS(STRUCTURED), MEMBERS ",\"data\":", "[", "", KUR_ERROR_TOO_LARGE, KUR_OK,
     "nests deeper"},
    {"structured, both data", HEADERS(STRUCTURED), MEMBERS ",\"data\":1,\"data_base64\":\"\"}", NULL, "",
     KUR_ERROR_NOT_AN_EVENT, KUR_OK, "data and data_base64"},
    {"structured, many attributes", HEADERS(STRUCTURED), MEMBERS ",", "\"x#\":\"v\",", "}", KUR_OK, KUR_ERROR_MISMATCH,
     "tombstone"},
    {"structured, many objects", HEADERS(STRUCTURED), MEMBERS ",\"data\":[", "{},", "]}", KUR_OK, KUR_ERROR_MISMATCH,
     "expected object, found list"},
};

enum {
    CASES = sizeof cases / sizeof *cases,
    AT_ONCE = 4,
    VALUE_MAX = 900 * 1000, /* with its headers below what a broker takes by default */
    PATIENCE_US = 60 * 1000 * 1000
};

/* ---- The producer ---- */

static rd_kafka_t *producer_new(void)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", support_bootstrap(), NULL, 0);
    rd_kafka_conf_set(conf, "message.max.bytes", "2000000", NULL, 0);
    rd_kafka_conf_set(conf, "batch.num.messages", "1", NULL, 0);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    ck_assert_msg(producer != NULL, "%s", why);
    return producer;
}

static void produce(rd_kafka_t *producer, const char *topic, rd_kafka_headers_t *headers, kur_bytes value)
{
    rd_kafka_resp_err_t code = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY("\xff\0", 2),
                                                 RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size),
                                                 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    ck_assert_msg(code == RD_KAFKA_RESP_ERR_NO_ERROR, "%s", rd_kafka_err2str(code));
}

static rd_kafka_headers_t *headers_of(const header *list)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    for (; list->name != NULL; list++)
        rd_kafka_header_add(headers, list->name, list->name_size == 0 ? -1 : list->name_size, list->value,
                            list->value_size);
    return headers;
}

static void produce_good(rd_kafka_t *producer, const char *topic)
{
    produce(producer, topic, headers_of(HEADERS(BINARY)), kur_bytes_text(good_json));
}

static void produce_case(rd_kafka_t *producer, const char *topic, const struct hostile *c)
{
    kur_bytes value = {0};
    if (c->part != NULL)
        value = many(c->before, c->part, c->after, VALUE_MAX);
    else if (c->before != NULL)
        value = strcmp(c->before, "\x01") == 0 ? kur_bytes_of("{\0}", 3) : kur_bytes_text(c->before);
    produce(producer, topic, headers_of(c->headers), value);
}

static void producer_end(rd_kafka_t *producer)
{
    ck_assert_int_eq(rd_kafka_flush(producer, 60000), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(producer);
}

/* ---- The consumer ---- */

static kur_client *client;
static kur_arena *arena;

static kur_consumer *consumer_of(const char *topic, const char *group)
{
    kur_error error = {0};
    client = client != NULL ? client : support_client();
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = group), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, (const char *const[]){topic, NULL}, &error), error);
    return consumer;
}

static kur_record *next(kur_consumer *consumer)
{
    kur_error error = {0};
    kur_record *record = NULL;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (record == NULL && kur_clock_monotonic_us() < deadline)
        ck_ok(kur_consumer_poll(consumer, 1000, &record, &error), error);
    ck_assert_msg(record != NULL, "no record came");
    return record;
}

static void drop(kur_consumer *consumer, kur_record *record)
{
    kur_consumer_free_records(consumer, &record, 1);
    kur_arena_reset(arena);
}

static void expect(const char *what, kur_status status, kur_status expected, const char *says, const kur_error *error)
{
    ck_assert_msg(status == expected, "%s: %s (%s)", what, kur_status_name(status), error->message);
    if (status != KUR_OK)
        ck_assert_msg(strstr(error->message, says) != NULL, "%s: \"%s\"", what, error->message);
}

/* A handler's first two steps. */
static void expect_good(kur_consumer *consumer)
{
    kur_error error = {0};
    kur_event_view view = KUR_EVENT_VIEW();
    struct order_created order;
    kur_record *record = next(consumer);
    ck_ok(kur_event_read(record, arena, &view, &error), error);
    ck_ok(kur_event_decode(&view, &order_created_type, arena, &order, &error), error);
    ck_assert_str_eq(order.order_id, "o");
    drop(consumer, record);
}

static void expect_case(kur_consumer *consumer, const struct hostile *c)
{
    kur_error error = {0};
    kur_event_view view = KUR_EVENT_VIEW();
    struct order_created order;
    kur_record *record = next(consumer);
    ck_assert(kur_bytes_equal(kur_record_key(record), kur_bytes_of("\xff\0", 2)));
    kur_status status = kur_event_read(record, arena, &view, &error);
    expect(c->what, status, c->read, c->says, &error);
    if (status == KUR_OK) {
        kur_event_extension(&view, "x1");
        expect(c->what, kur_event_decode(&view, &order_created_type, arena, &order, &error), c->decoded, c->says,
               &error);
    }
    drop(consumer, record);
}

START_TEST(test_hostile_records__are_told_and_passed)
{
    kur_error error = {0};
    const char *topic = support_topic(1), *group = support_name("g");
    rd_kafka_t *producer = producer_new();
    kur_consumer *consumer = consumer_of(topic, group);
    /* A few at a time, for the embedded broker keeps 5 MB of a partition. */
    for (size_t i = 0; i < CASES; i += AT_ONCE) {
        for (size_t j = i; j < i + AT_ONCE && j < CASES; j++) {
            produce_case(producer, topic, &cases[j]);
            produce_good(producer, topic);
        }
        ck_assert_int_eq(rd_kafka_flush(producer, 60000), RD_KAFKA_RESP_ERR_NO_ERROR);
        for (size_t j = i; j < i + AT_ONCE && j < CASES; j++) {
            expect_case(consumer, &cases[j]);
            expect_good(consumer);
        }
    }
    kur_position position = KUR_POSITION(.topic = topic, .offset = 2 * CASES), committed = position;
    ck_ok(kur_consumer_commit(consumer, &position, 1, 30000, &error), error);
    ck_ok(kur_consumer_committed(consumer, &committed, arena, 30000, &error), error);
    ck_assert_int_eq(committed.offset, 2 * CASES);
    kur_consumer_free(consumer);
    producer_end(producer);
}
END_TEST

/* Headers by number and by size: through librdkafka, through ours. */
START_TEST(test_hostile_records__headers)
{
    enum {
        COUNT = 10000,
        SIZE = 1000 * 1000
    };
    kur_error error = {0};
    const char *topic = support_topic(1);
    rd_kafka_t *producer = producer_new();
    rd_kafka_headers_t *headers = headers_of(HEADERS(BINARY));
    for (int i = 0; i < COUNT; i++) {
        char name[24], value[24];
        snprintf(name, sizeof name, i % 2 == 0 ? "ce_x%d" : "ce_tenant", i);
        rd_kafka_header_add(headers, name, -1, value, snprintf(value, sizeof value, "v%d", i));
    }
    produce(producer, topic, headers, kur_bytes_text(good_json));
    headers = headers_of(HEADERS(BINARY));
    kur_bytes large = many("", "x", "", SIZE);
    rd_kafka_header_add(headers, "ce_tenant", -1, large.data, (ssize_t)large.size);
    produce(producer, topic, headers, kur_bytes_text(good_json));
    produce_good(producer, topic);
    producer_end(producer);

    kur_consumer *consumer = consumer_of(topic, support_name("g"));
    kur_record *record = next(consumer);
    ck_assert_uint_eq(kur_record_header_count(record), COUNT + 4);
    kur_event_view view = KUR_EVENT_VIEW();
    int64_t start = kur_clock_monotonic_us();
    ck_ok(kur_event_read(record, NULL, &view, &error), error);
    ck_assert_str_eq(kur_event_extension(&view, "tenant"), "v9999");
    ck_assert_str_eq(kur_event_extension(&view, "x9998"), "v9998");
    ck_assert_int_lt(kur_clock_monotonic_us() - start, 5 * 1000 * 1000);
    drop(consumer, record);

    record = next(consumer);
    ck_ok(kur_event_read(record, NULL, &view, &error), error);
    ck_assert_uint_gt(strlen(kur_event_extension(&view, "tenant")), SIZE - 16);
    drop(consumer, record);
    expect_good(consumer);
    kur_consumer_free(consumer);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_hostile_records__are_told_and_passed, test_hostile_records__headers, NULL};
    arena = kur_arena_new();
    int result = check_main("hostile_records", tests);
    kur_client_unref(client);
    support_stop();
    kur_arena_free(arena);
    kur_buffer_done(&hostile_text);
    return result;
}
