/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Events read from librdkafka's own messages. No broker is needed: what is purged before it is sent comes back as a
 * delivery report, which is a message with key, value and headers like any other.
 */
#include <kurier/librdkafka.h>
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

int main(void)
{
    const TTest *const tests[] = {test_record__binary,           test_record__structured,
                                  test_record__plain_tombstone,  test_record__wrong_leaves_the_view,
                                  test_record__name_with_nul,    test_record__view_of_an_older_program,
                                  test_record__null_has_nothing, NULL};
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
