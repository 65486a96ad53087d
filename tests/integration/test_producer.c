/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/kurier.h>
#include <kurier/librdkafka.h>
#include <kurier/sys/clock.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../proxy.h"
#include "../shop.h"
#include "../support.h"

/* What the callbacks of a test were told. */
struct results {
    atomic_int all, delivered, failed, unknown;
    kur_producer *producer;
    const char *topic;
    int64_t offsets[8];
    kur_status last;
    kur_status inside; /* of a waiting call in a callback */
};

static void on_result(const kur_result *result, void *user)
{
    struct results *results = user;
    results->last = result->error.code;
    if (result->status == KUR_DELIVERED) {
        int n = atomic_fetch_add(&results->delivered, 1);
        if (n < 8)
            results->offsets[n] = result->offset;
    }
    atomic_fetch_add(result->status == KUR_FAILED ? &results->failed : &results->unknown,
                     result->status != KUR_DELIVERED);
    atomic_fetch_add(&results->all, 1);
}

static kur_message to(const char *topic, const char *value)
{
    return KUR_MESSAGE(.topic = topic, .value = kur_bytes_text(value));
}

START_TEST(test_producer__a_result_for_each_record)
{
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_client_producer(client, &error);
    const char *topic = support_topic(1);
    struct results results = {0};
    kur_message message = to(topic, "value");
    message.on_result = on_result;
    message.user = &results;
    for (int i = 0; i < 1000; i++)
        ck_ok(kur_producer_send(producer, &message, &error), error);
    ck_ok(kur_producer_flush(producer, 30000, &error), error);
    /* The flush returns only after the last callback has. */
    ck_assert_int_eq(atomic_load(&results.all), 1000);
    ck_assert_int_eq(atomic_load(&results.delivered), 1000);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(results.offsets[i], i);
    ck_assert_uint_eq(kur_producer_pending(producer), 0);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_producer__waits_for_a_result)
{
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_client_producer(client, &error);
    const char *topic = support_topic(3);
    kur_message message = to(topic, "value");
    message.partition = KUR_PARTITION(2);
    message.timestamp_us = INT64_C(1780000000123456);
    kur_result result = {.size = sizeof result};
    for (int i = 0; i < 3; i++) {
        ck_ok(kur_producer_send_wait(producer, &message, 30000, &result, &error), error);
        ck_assert_int_eq(result.status, KUR_DELIVERED);
        ck_assert_int_eq(result.partition, 2);
        ck_assert_int_eq(result.offset, i);
        if (support_is_real()) /* the embedded one answers with a time of its own */
            ck_assert_int_eq(result.timestamp_us, INT64_C(1780000000123000));
        ck_assert_ptr_null(result.topic);
    }
    kur_client_unref(client);
}
END_TEST

/* The hashes are what Java's Utils.murmur2 gives for these keys. */
START_TEST(test_producer__keys_go_where_java_puts_them)
{
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_client_producer(client, &error);
    const char *topic = support_topic(7);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        kur_message message = to(topic, "v");
        message.key = kur_bytes_text(known[i].key);
        kur_result result = {.size = sizeof result};
        ck_ok(kur_producer_send_wait(producer, &message, 30000, &result, &error), error);
        ck_assert_int_eq(result.partition, (known[i].hash & 0x7fffffff) % 7);
    }
    kur_client_unref(client);
}
END_TEST

START_TEST(test_producer__refuses_with_a_name)
{
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_client_producer(client, &error);
    const kur_header nameless = {NULL, kur_bytes_text("v")};
    const kur_header mangled = {"\xff", kur_bytes_text("v")};
    const kur_header hollow = {"h", kur_bytes_of(NULL, 1)};
    char long_topic[300];
    memset(long_topic, 'a', sizeof long_topic - 1);
    long_topic[sizeof long_topic - 1] = '\0';
    const struct {
        kur_message message;
        const char *says;
    } wrong[] = {
        {KUR_MESSAGE(.value = kur_bytes_text("v")), ".topic"},
        {KUR_MESSAGE(.topic = "", .value = kur_bytes_text("v")), ".topic"},
        {KUR_MESSAGE(.topic = "a b", .value = kur_bytes_text("v")), ".topic"},
        {KUR_MESSAGE(.topic = "\xff", .value = kur_bytes_text("v")), ".topic"},
        {KUR_MESSAGE(.topic = long_topic, .value = kur_bytes_text("v")), ".topic"},
        {KUR_MESSAGE(.topic = "t"), ".value"},
        {KUR_MESSAGE(.topic = "t", .value = kur_bytes_text("v"), .tombstone = true), ".tombstone"},
        {KUR_MESSAGE(.topic = "t", .value = kur_bytes_text("v"), .partition = -1), ".partition"},
        {KUR_MESSAGE(.topic = "t", .value = kur_bytes_text("v"), .timestamp_us = -1), ".timestamp_us"},
        {KUR_MESSAGE(.topic = "t", .value = kur_bytes_text("v"), .key = kur_bytes_of(NULL, 1)), ".key"},
        {KUR_MESSAGE(.topic = "t", .value = kur_bytes_text("v"), .header_count = 1), ".headers"},
        {KUR_MESSAGE(.topic = "t", .value = kur_bytes_text("v"), .headers = &nameless, .header_count = 1),
         ".headers[0]"},
        {KUR_MESSAGE(.topic = "t", .value = kur_bytes_text("v"), .headers = &mangled, .header_count = 1),
         ".headers[0]"},
        {KUR_MESSAGE(.topic = "t", .value = kur_bytes_text("v"), .headers = &hollow, .header_count = 1), ".headers[0]"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_status(kur_producer_send(producer, &wrong[i].message, &error), KUR_ERROR_INVALID_ARGUMENT, error);
        ck_says(error, wrong[i].says);
    }
    kur_message unsized = {.topic = "t", .value = kur_bytes_text("v")};
    ck_status(kur_producer_send(producer, &unsized, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "size");
    error = (kur_error){0};
    ck_status(kur_producer_send(producer, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "message");
    error = (kur_error){0};
    ck_status(kur_producer_send(NULL, &wrong[0].message, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "producer");
    ck_status(kur_producer_flush(producer, -1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "timeout_ms");
    kur_message fine = to("t", "v");
    ck_status(kur_producer_send_wait(producer, &fine, -1, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    fine.on_result = on_result;
    ck_status(kur_producer_send_wait(producer, &fine, 1000, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, ".on_result");
    ck_status(kur_producer_dispatch(producer, 0, NULL, &error), KUR_ERROR_INVALID_STATE, error);
    ck_assert_int_eq(kur_producer_fd(producer), -1);
    ck_assert_int_eq(kur_producer_fd(NULL), -1);
    ck_assert_uint_eq(kur_producer_pending(NULL), 0);
    ck_assert_uint_eq(kur_producer_free(NULL), 0);
    ck_assert_uint_eq(kur_producer_pending(producer), 0);
    kur_client_unref(client);
}
END_TEST

/* What stands on another record is sent as it stands. */
START_TEST(test_producer__verbatim_headers)
{
    enum {
        MANY = 1001
    };
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_client_producer(client, &error);
    const kur_header odd[] = {{"", kur_bytes_text("1")}, {"\xff", kur_bytes_of(NULL, 0)}};
    kur_header *many = calloc(MANY, sizeof *many);
    for (int i = 0; i < MANY; i++)
        many[i] = (kur_header){"h", kur_bytes_text("v")};
    kur_message message = to(support_topic(1), "v");
    for (int round = 0; round < 2; round++) {
        message.headers = round == 0 ? odd : many;
        message.header_count = round == 0 ? 2 : MANY;
        message.verbatim = false;
        ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_INVALID_ARGUMENT, error);
        ck_says(error, ".headers");
        message.verbatim = true;
        message.on_result = NULL;
        ck_ok(kur_producer_send_wait(producer, &message, 30000, NULL, &error), error);
    }
    message.headers = &(kur_header){"h", kur_bytes_of(NULL, 1)};
    message.header_count = 1;
    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    free(many);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_producer__refuses_options)
{
    kur_client *client = support_client();
    const struct {
        kur_producer_options options;
        const char *says;
    } wrong[] = {
        {KUR_PRODUCER_OPTIONS(.dispatch = (kur_dispatch)7), ".dispatch"},
        {KUR_PRODUCER_OPTIONS(.queue_records = -2), ".queue_records"},
        {KUR_PRODUCER_OPTIONS(.queue_kbytes = KUR_NONE), ".queue_kbytes"},
        {KUR_PRODUCER_OPTIONS(.linger_ms = INT32_MAX), ".linger_ms"},
        {KUR_PRODUCER_OPTIONS(.linger_ms = -5), ".linger_ms"},
        {KUR_PRODUCER_OPTIONS(.queue_wait_ms = -5), ".queue_wait_ms"},
        {KUR_PRODUCER_OPTIONS(.delivery_timeout_ms = -5), ".delivery_timeout_ms"},
        {KUR_PRODUCER_OPTIONS(.compression = "zip"), ".compression"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kur_error error = {0};
        ck_assert_ptr_null(kur_producer_new(client, &wrong[i].options, &error));
        ck_assert_msg(error.code == KUR_ERROR_INVALID_ARGUMENT || error.code == KUR_ERROR_CONFIG, "%s", error.message);
        ck_says(error, wrong[i].says);
    }
    kur_error error = {0};
    ck_assert_ptr_null(kur_producer_new(NULL, NULL, &error));
    ck_says(error, "client");
    kur_client_unref(client);
}
END_TEST

/* An option that is not set leaves the client's property as it is; one that is set counts. */
START_TEST(test_producer__options_stand_above_properties)
{
    const kur_property properties[] = {{"queue.buffering.max.messages", "3"}, {"linger.ms", "7"}, {0}};
    kur_error error = {0};
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY, .properties = properties), &error);
    const struct {
        kur_producer_options options;
        int room;
    } known[] = {{KUR_PRODUCER_OPTIONS(.queue_wait_ms = KUR_NONE), 3},
                 {KUR_PRODUCER_OPTIONS(.queue_wait_ms = KUR_NONE, .queue_records = 5), 5}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        kur_producer *producer = kur_producer_new(client, &known[i].options, &error);
        kur_message message = to("t", "v");
        for (int j = 0; j < known[i].room; j++)
            ck_ok(kur_producer_send(producer, &message, &error), error);
        ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_QUEUE_FULL, error);
        rd_kafka_purge(kur_producer_librdkafka(producer), RD_KAFKA_PURGE_F_QUEUE); /* or freeing it takes 5 s */
        kur_producer_free(producer);
    }
    kur_client_unref(client);
}
END_TEST

START_TEST(test_producer__too_large_and_unknown_partition)
{
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_client_producer(client, &error);
    const char *topic = support_topic(1);
    size_t size = 2 * 1024 * 1024;
    char *large = calloc(1, size);
    kur_message message = KUR_MESSAGE(.topic = topic, .value = kur_bytes_of(large, size));
    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_TOO_LARGE, error);
    ck_says(error, topic);
    free(large);
    message = to(topic, "v");
    message.partition = KUR_PARTITION(9);
    ck_status(kur_producer_send_wait(producer, &message, 30000, NULL, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    kur_client_unref(client);
}
END_TEST

/* Until it is heard that nobody listens, on a slow day: what comes of a time-out tells that. */
enum {
    REFUSED_MS = 4000
};

static kur_producer *absent_producer(kur_client **client, const kur_producer_options *options)
{
    kur_error error = {0};
    *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY, .source = "/t"), &error);
    kur_producer *producer = kur_producer_new(*client, options, &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    return producer;
}

/* What people write who want nothing lost. */
static void send_again(const kur_result *result, void *user)
{
    struct results *results = user;
    kur_message message = to("t", "again");
    message.on_result = send_again;
    message.user = user;
    on_result(result, user);
    results->inside = kur_producer_send(results->producer, &message, NULL);
}

START_TEST(test_producer__full_queue_says_so)
{
    kur_error error = {0};
    kur_client *client;
    kur_producer *producer = absent_producer(&client, &KUR_PRODUCER_OPTIONS(.queue_records = 10, .queue_wait_ms = 50));
    struct results results = {.producer = producer};
    kur_message message = to("t", "v");
    message.on_result = send_again;
    message.user = &results;
    for (int i = 0; i < 10; i++)
        ck_ok(kur_producer_send(producer, &message, &error), error);
    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_QUEUE_FULL, error);
    ck_assert(error.retriable);
    ck_says(error, "10 records");
    ck_status(kur_producer_flush(producer, REFUSED_MS, &error), KUR_ERROR_TIMEOUT, error);
    ck_says(error, "127.0.0.1:1");
    ck_says(error, "10 records left");
    /* All ten are given up, each with its callback; the one that was refused has none. */
    ck_assert_uint_eq(kur_producer_free(producer), 10);
    ck_assert_int_eq(atomic_load(&results.all), 10);
    ck_assert_int_eq(atomic_load(&results.failed), 10);
    ck_assert_int_eq(results.last, KUR_ERROR_CANCELLED);
    ck_assert_int_eq(results.inside, KUR_ERROR_CLOSED);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_producer__room_in_the_queue_is_waited_for)
{
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer =
        kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.queue_records = 50, .queue_wait_ms = 30000), &error);
    const char *topic = support_topic(1);
    struct results results = {0};
    kur_message message = to(topic, "v");
    message.on_result = on_result;
    message.user = &results;
    for (int i = 0; i < 2000; i++)
        ck_ok(kur_producer_send(producer, &message, &error), error);
    ck_assert_uint_eq(kur_producer_free(producer), 0);
    ck_assert_int_eq(atomic_load(&results.delivered), 2000);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_producer__unknown_when_the_time_is_over)
{
    kur_error error = {0};
    kur_client *client;
    kur_producer *producer = absent_producer(&client, &KUR_PRODUCER_OPTIONS(.delivery_timeout_ms = 60000));
    kur_message message = to("t", "v");
    kur_result result = {.size = sizeof result, .offset = 42};
    ck_status(kur_producer_send_wait(producer, &message, REFUSED_MS, &result, &error), KUR_ERROR_UNKNOWN_OUTCOME,
              error);
    ck_says(error, "127.0.0.1:1");
    ck_says(error, "may still be delivered");
    ck_assert_int_eq(result.offset, 42);
    ck_assert_uint_eq(kur_producer_free(producer), 1);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_producer__never_sent_is_failed)
{
    kur_error error = {0};
    kur_client *client;
    kur_producer *producer = absent_producer(&client, &KUR_PRODUCER_OPTIONS(.delivery_timeout_ms = 300));
    struct results results = {0};
    kur_message message = to("t", "v");
    message.on_result = on_result;
    message.user = &results;
    ck_ok(kur_producer_send(producer, &message, &error), error);
    ck_assert(support_wait(&results.all, 1));
    ck_assert_int_eq(atomic_load(&results.failed), 1);
    ck_assert_int_eq(results.last, KUR_ERROR_TIMEOUT);
    ck_assert_uint_eq(kur_producer_free(producer), 0);
    kur_client_unref(client);
}
END_TEST

static void send_more(const kur_result *result, void *user)
{
    struct results *results = user;
    kur_error error = {0};
    kur_message message = to(results->topic, "more");
    message.on_result = on_result;
    message.user = results;
    on_result(result, user);
    if (kur_producer_send(results->producer, &message, &error) != KUR_OK)
        atomic_fetch_add(&results->failed, 100);
    kur_message waiting = to(results->topic, "w");
    results->inside = kur_producer_send_wait(results->producer, &waiting, 1000, NULL, &error);
    if (kur_producer_flush(results->producer, 1000, &error) != KUR_ERROR_INVALID_STATE)
        atomic_fetch_add(&results->failed, 1000);
}

enum {
    PIPELINED = 5
};

static void on_fate(const kur_result *result, void *user)
{
    *(kur_result *)user = *result;
}

/* Of how many of the records with these results the topic has one, when those that were delivered have come. */
static int read_fates(kur_client *client, const char *topic, const kur_result *fates, int delivered)
{
    kur_error error = {0};
    int found = 0;
    const char *topics[] = {topic, NULL};
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    for (int64_t until_us = kur_clock_monotonic_us() + INT64_C(60000000);
         found < delivered && kur_clock_monotonic_us() < until_us;) {
        kur_record *record = NULL;
        ck_ok(kur_consumer_poll(consumer, 100, &record, &error), error);
        if (record == NULL)
            continue;
        int number = ((const char *)kur_record_value(record).data)[0] - '0';
        ck_assert(number >= 0 && number < PIPELINED);
        if (fates[number].status == KUR_DELIVERED) {
            ck_assert_int_eq(kur_record_offset(record), fates[number].offset);
            found++;
        }
        kur_consumer_free_records(consumer, &record, 1);
    }
    kur_consumer_free(consumer);
    return found;
}

/*
 * The first of several requests is refused, as by a broker that does not lead the partition yet, and those behind it
 * are taken, for the broker has never heard of this producer: librdkafka takes that for the first one's
 * acknowledgement.
 */
START_TEST(test_producer__delivered_is_what_the_broker_has_said)
{
    kur_error error = {0};
    kur_result fates[PIPELINED] = {{0}};
    int delivered = 0;
    const char *topic = support_topic(1);
    struct proxy *proxy = proxy_new(support_bootstrap());
    proxy_set(proxy, PROXY_HOLD); /* so that they are on their way together */
    kur_client *client = support_client();
    kur_producer *producer = kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.batch_bytes = 1), &error);
    for (int i = 0; i < PIPELINED; i++) {
        char value[] = {(char)('0' + i), '\0'};
        kur_message message = to(topic, value);
        message.on_result = on_fate;
        message.user = &fates[i];
        ck_ok(kur_producer_send(producer, &message, &error), error);
    }
    proxy_misdirect(proxy, topic);
    proxy_set(proxy, PROXY_PASS);
    ck_ok(kur_producer_flush(producer, 30000, &error), error);
    ck_assert(proxy_has_lost(proxy));
    for (int i = 0; i < PIPELINED; i++) {
        ck_assert_int_ne(fates[i].status, KUR_FAILED);
        delivered += fates[i].status == KUR_DELIVERED;
        if (fates[i].status == KUR_UNKNOWN)
            ck_status(fates[i].error.code, KUR_ERROR_UNKNOWN_OUTCOME, fates[i].error);
    }
    ck_assert_int_ge(delivered, PIPELINED - 1);
    ck_assert_int_eq(read_fates(client, topic, fates, delivered), delivered);
    kur_producer_free(producer);
    kur_client_unref(client);
    proxy_free(proxy);
}
END_TEST

START_TEST(test_producer__callbacks_may_send_but_not_wait)
{
    kur_error error = {0};
    kur_client *client = support_client();
    struct results results = {.producer = kur_client_producer(client, &error), .topic = support_topic(1)};
    kur_message message = to(results.topic, "first");
    message.on_result = send_more;
    message.user = &results;
    ck_ok(kur_producer_send(results.producer, &message, &error), error);
    ck_assert(support_wait(&results.all, 2));
    ck_assert_int_eq(atomic_load(&results.delivered), 2);
    ck_assert_int_eq(atomic_load(&results.failed), 0);
    ck_assert_int_eq(results.inside, KUR_ERROR_INVALID_STATE);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_producer__dispatch_on_the_callers_thread)
{
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER), &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    const char *topic = support_topic(1);
    struct results results = {0};
    kur_message message = to(topic, "v");
    message.on_result = on_result;
    message.user = &results;
    size_t dispatched = 0;
    for (int i = 0; i < 100; i++)
        ck_ok(kur_producer_send(producer, &message, &error), error);
    ck_assert_int_eq(atomic_load(&results.all), 0);
    struct pollfd readable = {.fd = kur_producer_fd(producer), .events = POLLIN};
    while (atomic_load(&results.all) < 100) {
        ck_assert_int_eq(poll(&readable, 1, 30000), 1);
        size_t count = 0;
        ck_ok(kur_producer_dispatch(producer, 0, &count, &error), error);
        dispatched += count;
    }
    ck_assert_uint_eq(dispatched, 100);
    kur_result result = {.size = sizeof result};
    kur_message waiting = to(topic, "w");
    ck_ok(kur_producer_send_wait(producer, &waiting, 30000, &result, &error), error);
    ck_assert_int_eq(result.offset, 100);
    ck_assert_uint_eq(kur_producer_free(producer), 0);
    kur_client_unref(client);
}
END_TEST

struct sender {
    pthread_t thread;
    kur_producer *producer;
    const char *topic;
    struct results *results;
    int failed;
};

static void *send_many(void *user)
{
    struct sender *sender = user;
    kur_message message = to(sender->topic, "v");
    message.on_result = on_result;
    message.user = sender->results;
    for (int i = 0; i < 2000; i++)
        sender->failed += kur_producer_send(sender->producer, &message, NULL) != KUR_OK;
    return NULL;
}

START_TEST(test_producer__is_shared_by_threads)
{
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(4);
    struct results results = {0};
    struct sender senders[4];
    for (int i = 0; i < 4; i++) {
        senders[i] =
            (struct sender){.producer = kur_client_producer(client, &error), .topic = topic, .results = &results};
        ck_assert_ptr_eq(senders[i].producer, senders[0].producer);
        ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(senders[i].thread, NULL);
        ck_assert_int_eq(senders[i].failed, 0);
    }
    ck_ok(kur_producer_flush(senders[0].producer, 30000, &error), error);
    ck_assert_int_eq(atomic_load(&results.delivered), 8000);
    kur_client_unref(client);
}
END_TEST

/* Each of the three ways to librdkafka refuses alike: plain, with a time, with headers. */
START_TEST(test_producer__a_fenced_one_sends_no_more)
{
    static const kur_header header = {"name", {"value", 5}};
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_producer_new(client, NULL, &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    kur_message message = to(support_topic(1), "value");
    rd_kafka_test_fatal_error(kur_producer_librdkafka(producer), RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, "another");
    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_FENCED, error);
    message.timestamp_us = INT64_C(1780000000123456);
    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_FENCED, error);
    message.headers = &header;
    message.header_count = 1;
    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_FENCED, error);
    ck_assert(error.fatal);
    ck_assert_uint_eq(kur_producer_pending(producer), 0);
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

/* The same as a record says that was taken over before the broker had refused. */
START_TEST(test_producer__one_that_may_write_nothing_says_so)
{
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_producer_new(client, NULL, &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    kur_message message = to(support_topic(1), "value");
    rd_kafka_test_fatal_error(kur_producer_librdkafka(producer), RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, "no");
    ck_status(kur_producer_send(producer, &message, &error), KUR_ERROR_AUTHORIZATION, error);
    ck_says(error, "WRITE on the topic");
    ck_assert(error.fatal);
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

struct named {
    const char *topic;
    int delivered;
};

static void on_named_result(const kur_result *result, void *user)
{
    struct named *named = user;
    named->delivered += result->status == KUR_DELIVERED && strcmp(result->topic, named->topic) == 0;
}

/* More than it keeps handles of, and each more than once. */
START_TEST(test_producer__sends_to_many_topics)
{
    enum {
        TOPICS = 24,
        TIMES = 3
    };
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_producer_new(client, NULL, &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    struct named named[TOPICS] = {{0}};
    for (int i = 0; i < TOPICS; i++)
        named[i].topic = support_topic(1);
    for (int i = 0; i < TOPICS * TIMES; i++) {
        kur_message message = to(named[i % TOPICS].topic, "value");
        message.on_result = on_named_result;
        message.user = &named[i % TOPICS];
        ck_ok(kur_producer_send(producer, &message, &error), error);
    }
    kur_message wrong = to("no/topic", "value");
    ck_status(kur_producer_send(producer, &wrong, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_ok(kur_producer_flush(producer, 30000, &error), error);
    for (int i = 0; i < TOPICS; i++)
        ck_assert_int_eq(named[i].delivered, TIMES);
    ck_assert_uint_eq(kur_producer_free(producer), 0);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_producer__publishes_events)
{
    kur_error error = {0};
    kur_client *client = support_client();
    kur_producer *producer = kur_client_producer(client, &error);
    const char *topic = support_topic(1);
    KUR_ITEM(order_created, lines) lines[] = {{.sku = "tea", .quantity = 2, .price = 150}};
    struct order_created order = {.order_id = "o-1", .placed_at = 1, .lines = {lines, 1}};
    kur_result result = {.size = sizeof result};
    ck_ok(order_created_publish_wait(producer, &order, &KUR_PUBLISH_OPTIONS(.topic = topic), 30000, &result, &error),
          error);
    ck_ok(order_created_publish_wait(producer, &order,
                                     &KUR_PUBLISH_OPTIONS(.topic = topic, .mode = KUR_EVENT_STRUCTURED), 30000, &result,
                                     &error),
          error);
    ck_assert_int_eq(result.offset, 1);
    ck_ok(kur_producer_publish_raw_wait(producer, "shop.raw.v1", kur_bytes_of(NULL, 0),
                                        &KUR_PUBLISH_OPTIONS(.topic = topic, .key = kur_bytes_text("k")), 30000,
                                        &result, &error),
          error);
    order.lines.count = 0;
    ck_status(order_created_publish(producer, &order, &KUR_PUBLISH_OPTIONS(.topic = topic), &error),
              KUR_ERROR_CONSTRAINT, error);
    ck_says(error, "lines");
    lines[0].quantity = 1000;
    order.lines.count = 1;
    ck_status(order_created_publish(producer, &order, NULL, &error), KUR_ERROR_CONSTRAINT, error);
    ck_says(error, "lines[0].quantity");
    ck_status(kur_producer_publish(producer, &order_line_type, &lines[0], NULL, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_says(error, "order_line is not an event");
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_producer__a_result_for_each_record,
                                  test_producer__waits_for_a_result,
                                  test_producer__keys_go_where_java_puts_them,
                                  test_producer__refuses_with_a_name,
                                  test_producer__verbatim_headers,
                                  test_producer__refuses_options,
                                  test_producer__options_stand_above_properties,
                                  test_producer__too_large_and_unknown_partition,
                                  test_producer__full_queue_says_so,
                                  test_producer__room_in_the_queue_is_waited_for,
                                  test_producer__unknown_when_the_time_is_over,
                                  test_producer__never_sent_is_failed,
                                  test_producer__delivered_is_what_the_broker_has_said,
                                  test_producer__callbacks_may_send_but_not_wait,
                                  test_producer__dispatch_on_the_callers_thread,
                                  test_producer__is_shared_by_threads,
                                  test_producer__a_fenced_one_sends_no_more,
                                  test_producer__one_that_may_write_nothing_says_so,
                                  test_producer__sends_to_many_topics,
                                  test_producer__publishes_events,
                                  NULL};
    int status = check_main("producer", tests);
    support_stop();
    return status;
}
