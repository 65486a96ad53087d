/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * An outbox and its relay over whatever database opening.h opens, to the embedded broker or a real one: what is
 * committed is sent in order, what a topic does not take is parked, whoever is away is waited for.
 */
#include <pthread.h>
#include <string.h>

#include "../database/opening.h"
#include "../proxy.h"
#include "../relaying.h"

#define NEEDS_DATABASE() skip_unless(opening_missing() == NULL, opening_missing())
#define NEEDS_KAFKA() skip_unless(support_is_real(), "what it is about is Kafka's: script/kafka run")

static bool is_postgres(void)
{
    return strstr(opening_name, "postgres") != NULL;
}

static void open_with(struct relaying *bed, kur_client *client)
{
    kur_error error = {0};
    bed->database = opening_new();
    ck_ok(kur_database_migrate(bed->database, 0, &error), error);
    bed->client = client;
    bed->outbox = kur_outbox_new(bed->client, bed->database, NULL, &error);
    ck_assert_msg(bed->outbox != NULL, "%s", error.message);
}

static void open_bed(struct relaying *bed)
{
    open_with(bed, support_client());
}

static void close_bed(struct relaying *bed)
{
    kur_outbox_free(bed->outbox);
    opening_free(bed->database);
    kur_client_unref(bed->client);
}

/* ---- Order ---- */

enum {
    WRITERS = 4,
    OF_EACH = 400
};

struct writer {
    struct relaying *bed;
    const char *topic;
    int index;
    pthread_t thread;
};

/* Keys of its own; each fifth transaction is rolled back, and its numbers must not be seen. */
static void *write_rows(void *user)
{
    struct writer *writer = user;
    const kur_driver *driver = kur_database_driver(writer->bed->database);
    void *connection = relaying_connect(writer->bed);
    for (int i = 0; i < OF_EACH; i += 4) {
        relaying_begin(writer->bed, connection);
        for (int k = i; k < i + 4; k++)
            relaying_add(writer->bed, connection, writer->topic, writer->index * 4 + k % 4,
                         writer->index * OF_EACH + k);
        if (i / 4 % 5 == 4) {
            driver->rollback(connection);
            continue;
        }
        relaying_commit(writer->bed, connection);
        kur_outbox_committed(writer->bed->outbox);
    }
    relaying_disconnect(writer->bed, connection);
    return NULL;
}

START_TEST(test_outbox__writers_beside_a_relay)
{
    NEEDS_DATABASE();
    struct relaying bed;
    struct relaying_seen seen;
    struct writer writers[WRITERS];
    const char *topic = support_topic(3);
    open_bed(&bed);
    kur_relay *relay = relaying_start(&bed, NULL);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.bed = &bed, .topic = topic, .index = i};
        pthread_create(&writers[i].thread, NULL, write_rows, &writers[i]);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    relaying_await_rows(&bed, 0, 0);
    relaying_read_all(topic, WRITERS * OF_EACH / 5 * 4, &seen);
    ck_assert_int_eq(seen.records, WRITERS * OF_EACH / 5 * 4);
    ck_assert_int_eq(seen.disorder, 0);
    for (int i = 0; i < WRITERS * OF_EACH; i++)
        ck_assert_int_eq(seen.times[i], i / 4 % 5 != 4);
    relaying_await(relay, health.sent == seen.records && health.repeated == 0);
    relaying_end(relay);
    close_bed(&bed);
}
END_TEST

START_TEST(test_outbox__a_backlog_in_order)
{
    NEEDS_DATABASE();
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(3);
    open_bed(&bed);
    relaying_send_many(&bed, topic, 40, 0, 12000);
    kur_relay *relay = relaying_start(&bed, &KUR_RELAY_OPTIONS(.batch_rows = 1000));
    relaying_read_all(topic, 12000, &seen);
    ck_assert_int_eq(seen.records, 12000);
    ck_assert_int_eq(seen.disorder, 0);
    relaying_await_rows(&bed, 0, 0);
    relaying_end(relay);
    close_bed(&bed);
}
END_TEST

/* ---- What a record is made of ---- */

static kur_record *next_record(kur_consumer *consumer)
{
    kur_error error = {0};
    kur_record *record = NULL;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (record == NULL) {
        ck_assert_int_lt(kur_clock_monotonic_us(), deadline);
        ck_ok(kur_consumer_poll(consumer, 500, &record, &error), error);
    }
    return record;
}

static void ck_header(const kur_record *record, const char *name, const char *expected)
{
    kur_bytes value = {0};
    ck_assert_msg(kur_record_header_last(record, name, &value), "there is no %s", name);
    ck_assert_msg(kur_bytes_equal(value, kur_bytes_text(expected)), "%s: %.*s", name, (int)value.size,
                  (const char *)value.data);
}

/* Of one key, so that they come in their order. */
static void add_kinds(struct relaying *bed, const char *topic, kur_bytes key)
{
    static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    static const kur_header plain[] = {{"b", {"2", 1}}, {"a", {NULL, 0}}, {"b", {"\0", 1}}};
    kur_error error = {0};
    void *connection = relaying_write(bed);
    ck_ok(kur_outbox_publish_raw(bed->outbox, connection, "shop.order.created.v1", kur_bytes_text("{}"),
                                 &KUR_PUBLISH_OPTIONS(.topic = topic, .key = key, .id = "e-1", .due_us = 5000000,
                                                      .traceparent = trace, .tracestate = "v=1"),
                                 &error),
          error);
    ck_ok(kur_outbox_add(bed->outbox, connection,
                         &KUR_MESSAGE(.topic = topic, .key = key, .value = kur_bytes_of("", 0), .headers = plain,
                                      .header_count = 3),
                         &error),
          error);
    ck_ok(kur_outbox_add(bed->outbox, connection, &KUR_MESSAGE(.topic = topic, .key = key, .tombstone = true), &error),
          error);
    relaying_written(bed, connection);
}

START_TEST(test_outbox__records_are_what_was_added)
{
    NEEDS_DATABASE();
    struct relaying bed;
    kur_error error = {0};
    kur_header header;
    const char *topic = support_topic(1);
    const kur_bytes key = kur_bytes_of("k\0\xff", 3);
    open_bed(&bed);
    add_kinds(&bed, topic, key);
    kur_relay *relay = relaying_start(&bed, NULL);
    kur_consumer *consumer =
        consumer_of(NULL, &KUR_CONSUMER_OPTIONS(.group = support_name("reader"), .start = KUR_START_EARLIEST));
    kur_position position = KUR_POSITION(.topic = topic, .partition = 0, .offset = KUR_OFFSET_BEGINNING);
    ck_ok(kur_consumer_assign(consumer, &position, 1, &error), error);

    kur_record *record = next_record(consumer);
    ck_assert(kur_bytes_equal(kur_record_key(record), key));
    ck_header(record, "ce_id", "e-1");
    ck_header(record, "ce_type", "shop.order.created.v1");
    ck_header(record, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    ck_header(record, "tracestate", "v=1");
    ck_header(record, KUR_DUE_HEADER, "1970-01-01T00:00:05Z");
    drop(consumer, record);

    record = next_record(consumer);
    ck_assert(kur_bytes_equal(kur_record_key(record), key));
    ck_assert(kur_record_value(record).data != NULL && kur_record_value(record).size == 0);
    ck_assert_uint_eq(kur_record_header_count(record), 3);
    ck_assert(kur_record_header(record, 1, &header) && strcmp(header.name, "a") == 0 && header.value.data == NULL);
    ck_assert(kur_record_header(record, 2, &header) && kur_bytes_equal(header.value, kur_bytes_of("\0", 1)));
    drop(consumer, record);

    record = next_record(consumer);
    ck_assert(kur_bytes_equal(kur_record_key(record), key));
    ck_assert_ptr_null(kur_record_value(record).data);
    ck_assert_uint_eq(kur_record_header_count(record), 0);
    drop(consumer, record);
    kur_consumer_free(consumer);
    relaying_end(relay);
    close_bed(&bed);
}
END_TEST

/* ---- Several relays ---- */

START_TEST(test_outbox__relays_take_over)
{
    NEEDS_DATABASE();
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(3);
    open_bed(&bed);
    bool is_one = kur_database_driver(bed.database)->one_relay;
    kur_relay *one = relaying_start(&bed, &KUR_RELAY_OPTIONS(.lease_ms = 1000));
    relaying_await(one, health.shards == 16);
    kur_relay *two = relaying_start(&bed, &KUR_RELAY_OPTIONS(.lease_ms = 1000));
    relaying_await(one, health.shards == (is_one ? 16 : 8));
    relaying_await(two, health.shards == (is_one ? 0 : 8));
    relaying_send_many(&bed, topic, 40, 0, 1000);
    relaying_await_rows(&bed, 0, 0);
    relaying_end(one);
    relaying_await(two, health.shards == 16);
    relaying_send_many(&bed, topic, 40, 1000, 1000);
    relaying_read_all(topic, 2000, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    relaying_end(two);
    close_bed(&bed);
}
END_TEST

/* ---- What a topic does not take ---- */

static kur_client *client_that_makes_none(void)
{
    const kur_property properties[] = {{"allow.auto.create.topics", "false"}, {NULL, NULL}};
    return support_client_with(properties);
}

START_TEST(test_outbox__an_unknown_topic)
{
    NEEDS_DATABASE();
    NEEDS_KAFKA();
    struct relaying bed;
    struct relaying_seen seen;
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    const char *topic = support_topic(2), *unknown = support_name("unknown");
    open_with(&bed, client_that_makes_none());
    relaying_send(&bed, topic, 1, 0);
    relaying_send(&bed, unknown, 1, 1);
    relaying_send(&bed, topic, 1, 2);
    relaying_send_many(&bed, topic, 20, 100, 200);
    kur_relay *relay = relaying_start(&bed, NULL);
    /* Others do not wait for the answer; those of the key do, and are then behind it: the row and those of key 1. */
    relaying_read(topic, 191, &seen);
    ck_assert_int_eq(seen.times[2], 0);
    relaying_await_rows(&bed, 0, 12);
    kur_parked_list parked = relaying_parked(&bed, arena);
    ck_assert_ptr_nonnull(strstr(parked.items[0]->error, unknown));
    support_create(unknown, 1);
    ck_ok(kur_outbox_unpark(bed.outbox, parked.items[0]->id, &error), error);
    relaying_await_rows(&bed, 0, 0);
    relaying_read_all(unknown, 1, &seen);
    relaying_read_all(topic, 202, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    relaying_end(relay);
    close_bed(&bed);
    kur_arena_free(arena);
}
END_TEST

START_TEST(test_outbox__a_topic_that_the_broker_makes)
{
    NEEDS_DATABASE();
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_name("made");
    open_bed(&bed);
    relaying_send_many(&bed, topic, 5, 0, 50);
    kur_relay *relay = relaying_start(&bed, NULL);
    relaying_await_rows(&bed, 0, 0);
    relaying_read_all(topic, 50, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    relaying_end(relay);
    close_bed(&bed);
}
END_TEST

/* Numbers are read from values; what makes it large is a header. */
static void add_large(struct relaying *bed, void *connection, const char *topic, int key, int number, size_t size)
{
    kur_error error = {0};
    static char large[200000];
    char key_text[16], value[16];
    snprintf(key_text, sizeof key_text, "k%d", key);
    snprintf(value, sizeof value, "%d", number);
    memset(large, 'x', sizeof large);
    kur_header filler = {"filler", kur_bytes_of(large, size)};
    ck_ok(kur_outbox_add(bed->outbox, connection,
                         &KUR_MESSAGE(.topic = topic, .key = kur_bytes_text(key_text), .value = kur_bytes_text(value),
                                      .headers = &filler, .header_count = 1),
                         &error),
          error);
}

static void send_large(struct relaying *bed, const char *topic, int keys, int first, int count, size_t size)
{
    void *connection = relaying_write(bed);
    for (int i = first; i < first + count; i++)
        add_large(bed, connection, topic, 1 + i % keys, i, size);
    relaying_written(bed, connection);
}

/* By topics of which the one takes less than is sent together, the other much less. */
START_TEST(test_outbox__too_large_for_the_topic)
{
    NEEDS_DATABASE();
    NEEDS_KAFKA();
    static const int64_t limits[] = {10000, 100000};
    for (int i = 0; i < 2; i++) {
        struct relaying bed;
        struct relaying_seen seen;
        kur_error error = {0};
        kur_arena *arena = kur_arena_new();
        open_bed(&bed);
        const char *topic = relaying_topic(&bed, support_name("small"), 1, KUR_CLEANUP_DEFAULT, limits[i]);
        relaying_send(&bed, topic, 1, 0);
        send_large(&bed, topic, 1, 1, 1, (size_t)limits[i] + 10);
        relaying_send(&bed, topic, 1, 2);
        void *connection = relaying_write(&bed);
        for (int k = 3; k < 100; k++)
            add_large(&bed, connection, topic, 2 + k % 5, k, (size_t)limits[i] / 3);
        relaying_written(&bed, connection);
        kur_relay *relay = relaying_start(&bed, NULL);
        relaying_await_rows(&bed, 0, 2);
        relaying_read_all(topic, 98, &seen);
        ck_assert_int_eq(seen.disorder, 0);
        ck_assert_int_eq(relaying_health(relay).refused, 1);
        kur_parked_list parked = relaying_parked(&bed, arena);
        ck_assert_ptr_nonnull(strstr(parked.items[0]->error, "too large"));
        relaying_limit(&bed, topic, limits[i] * 2);
        ck_ok(kur_outbox_unpark(bed.outbox, parked.items[0]->id, &error), error);
        relaying_await_rows(&bed, 0, 0);
        relaying_read_all(topic, 100, &seen);
        ck_assert_int_eq(seen.disorder, 0);
        relaying_end(relay);
        close_bed(&bed);
        kur_arena_free(arena);
    }
}
END_TEST

/* The topic takes less all of a sudden: what was sent together is refused as a whole, and none of it is parked. */
START_TEST(test_outbox__a_limit_that_is_lowered)
{
    NEEDS_DATABASE();
    NEEDS_KAFKA();
    struct relaying bed;
    struct relaying_seen seen;
    open_bed(&bed);
    const char *topic = relaying_topic(&bed, support_name("lowered"), 1, KUR_CLEANUP_DEFAULT, 1000000);
    relaying_send_many(&bed, topic, 20, 700, 100); /* the partition knows the producer */
    kur_relay *relay = relaying_start(&bed, NULL);
    relaying_await_rows(&bed, 0, 0);
    relaying_limit(&bed, topic, 70000);
    send_large(&bed, topic, 20, 1000, 600, 5000);
    relaying_await_rows(&bed, 0, 0);
    relaying_read_all(topic, 700, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    ck_assert_int_eq(relaying_health(relay).refused, 0);
    ck_assert_int_gt(relaying_health(relay).failures, 0);
    relaying_end(relay);
    close_bed(&bed);
}
END_TEST

/* ---- Who is away ---- */

START_TEST(test_outbox__the_broker_is_away)
{
    NEEDS_DATABASE();
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(3);
    static const proxy_mode modes[] = {PROXY_CUT, PROXY_HOLD};
    struct proxy *proxy = proxy_new(support_bootstrap());
    open_bed(&bed);
    kur_relay *relay = relaying_start(&bed, NULL);
    for (int i = 0; i < 2; i++) {
        relaying_send_many(&bed, topic, 40, i * 2000, 1000);
        relaying_await_rows(&bed, 0, 0);
        int64_t failures = relaying_health(relay).failures;
        proxy_set(proxy, modes[i]);
        relaying_send_many(&bed, topic, 40, i * 2000 + 1000, 1000);
        relaying_await(relay, health.failures > failures && health.failing_ms > 0);
        proxy_set(proxy, PROXY_PASS);
        relaying_await_rows(&bed, 0, 0);
    }
    relaying_read_all(topic, 4000, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    relaying_end(relay);
    close_bed(&bed);
    proxy_free(proxy);
}
END_TEST

START_TEST(test_outbox__the_database_is_away)
{
    NEEDS_DATABASE();
    skip_unless(is_postgres(), "it is a file, and always there");
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(3);
    open_bed(&bed);
    kur_relay *relay = relaying_start(&bed, NULL);
    static const char *const ways[] = {"stop", "kill"};
    for (int i = 0; i < 2; i++) {
        int64_t failures = relaying_health(relay).failures;
        relaying_send_many(&bed, topic, 40, i * 5000, 5000);
        support_postgres_node(ways[i]);
        relaying_await(relay, health.failures > failures);
        support_postgres_node("start");
    }
    relaying_await_rows(&bed, 0, 0);
    relaying_read_all(topic, 10000, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    relaying_end(relay);
    close_bed(&bed);
}
END_TEST

/* Another writes for longer than the relay waits for it at once. */
START_TEST(test_outbox__the_database_is_locked)
{
    NEEDS_DATABASE();
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(1);
    open_bed(&bed);
    kur_relay *relay = relaying_start(&bed, NULL);
    relaying_send(&bed, topic, 1, 0);
    void *connection = relaying_write(&bed);
    relaying_add(&bed, connection, topic, 1, 1);
    if (!is_postgres())
        relaying_await(relay, health.failures > 0);
    relaying_written(&bed, connection);
    relaying_await_rows(&bed, 0, 0);
    relaying_read_all(topic, 2, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    relaying_end(relay);
    close_bed(&bed);
}
END_TEST

START_TEST(test_outbox__stops_with_all_away)
{
    NEEDS_DATABASE();
    struct relaying bed;
    kur_error error = {0};
    const char *topic = support_topic(3);
    struct proxy *proxy = proxy_new(support_bootstrap());
    open_bed(&bed);
    kur_relay *relay = relaying_start(&bed, NULL);
    relaying_send_many(&bed, topic, 40, 0, 100);
    relaying_await_rows(&bed, 0, 0);
    proxy_set(proxy, PROXY_HOLD);
    relaying_send_many(&bed, topic, 40, 100, 100);
    relaying_await(relay, health.failing_ms > 0);
    if (is_postgres())
        support_postgres_node("kill");
    int64_t begin = kur_clock_monotonic_us();
    kur_status status = kur_relay_stop(relay, 2000, &error);
    ck_assert(status == KUR_OK || status == KUR_ERROR_TIMEOUT);
    ck_assert_int_lt(kur_clock_monotonic_us() - begin, 20000000); /* a busy machine */
    kur_relay_free(relay);
    if (is_postgres())
        support_postgres_node("start");
    proxy_set(proxy, PROXY_PASS);
    /* Another takes what is left, once the lease is over. */
    struct relaying_seen seen;
    relay = relaying_start(&bed, NULL);
    relaying_await_rows(&bed, 0, 0);
    relaying_read(topic, 200, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    relaying_end(relay);
    close_bed(&bed);
    proxy_free(proxy);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_outbox__writers_beside_a_relay,
                                  test_outbox__a_backlog_in_order,
                                  test_outbox__records_are_what_was_added,
                                  test_outbox__relays_take_over,
                                  test_outbox__an_unknown_topic,
                                  test_outbox__a_topic_that_the_broker_makes,
                                  test_outbox__too_large_for_the_topic,
                                  test_outbox__a_limit_that_is_lowered,
                                  test_outbox__the_broker_is_away,
                                  test_outbox__the_database_is_away,
                                  test_outbox__the_database_is_locked,
                                  test_outbox__stops_with_all_away,
                                  NULL};
    char name[64];
    snprintf(name, sizeof name, "outbox_%s", strchr(opening_name, '_') + 1);
    int failed = check_main(name, tests);
    consuming_stop();
    return failed;
}
