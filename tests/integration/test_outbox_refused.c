/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of rows beside one that Kafka refuses, over the driver in memory and with both guarantees: none but
 * those of its key wait for it, and what is read of each key is in order.
 */
#include <string.h>

#include "../memory_driver.h"
#include "../proxy.h"
#include "../relaying.h"

#define NEEDS_KAFKA() skip_unless(support_is_real(), "what it is about is Kafka's: script/kafka run")

static const kur_guarantee guarantees[] = {KUR_AT_LEAST_ONCE, KUR_EXACTLY_ONCE};

static kur_relay *start(struct relaying *bed, kur_guarantee guarantee)
{
    return relaying_start(bed, &KUR_RELAY_OPTIONS(.guarantee = guarantee));
}

/* A database with one shard, and a client that sends three records in a request: librdkafka has five on their way, or
 * one request. */
static void open_bed(struct relaying *bed)
{
    static const kur_property small_requests[] = {{"batch.num.messages", "3"}, {NULL, NULL}};
    kur_error error = {0};
    bed->client = support_client_with(small_requests);
    bed->database = memory_database(1);
    bed->outbox = kur_outbox_new(bed->client, bed->database, NULL, &error);
    ck_assert_msg(bed->outbox != NULL, "%s", error.message);
}

/* A row of `size` bytes and a bit: its value, which is what is compared with a topic's limit. */
static void add_large(struct relaying *bed, void *connection, const char *topic, int key, int number, size_t size)
{
    static char value[200000];
    kur_error error = {0};
    char key_text[16];
    snprintf(key_text, sizeof key_text, "k%d", key);
    int digits = snprintf(value, sizeof value, "%d", number);
    memset(value + digits, ' ', size);
    ck_ok(kur_outbox_add(bed->outbox, connection,
                         &KUR_MESSAGE(.topic = topic, .key = kur_bytes_text(key_text),
                                      .value = kur_bytes_of(value, (size_t)digits + size)),
                         &error),
          error);
}

static void send_large(struct relaying *bed, const char *topic, int key, int number, size_t size)
{
    void *connection = relaying_write(bed);
    add_large(bed, connection, topic, key, number, size);
    relaying_written(bed, connection);
}

static void add_to(struct relaying *bed, void *connection, const char *topic, int partition, int key, int number)
{
    kur_error error = {0};
    char key_text[16], value[16];
    snprintf(key_text, sizeof key_text, "k%d", key);
    snprintf(value, sizeof value, "%d", number);
    kur_message message =
        KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(partition), .value = kur_bytes_text(value));
    if (key >= 0)
        message.key = kur_bytes_text(key_text);
    ck_ok(kur_outbox_add(bed->outbox, connection, &message, &error), error);
}

static void send_to(struct relaying *bed, const char *topic, int partition, int key, int number)
{
    void *connection = relaying_write(bed);
    add_to(bed, connection, topic, partition, key, number);
    relaying_written(bed, connection);
}

/*
 * A topic that keeps the last record of each key takes none without a key, and refuses all that are in one batch with
 * it. It is in the first request that its partition gets from this producer, and others are on their way behind it.
 */
static void ck_one_of_many(kur_guarantee guarantee)
{
    struct relaying bed;
    struct relaying_seen seen;
    struct proxy *proxy = proxy_new(support_bootstrap());
    open_bed(&bed);
    const char *topic = relaying_topic(&bed, support_name("compacted"), 2, KUR_CLEANUP_COMPACT, 0);
    send_to(&bed, topic, 1, 0, 0); /* alone, as the first of a topic */
    send_to(&bed, topic, 1, 0, 1);
    kur_relay *relay = start(&bed, guarantee);
    relaying_await(relay, health.sent == 2);
    proxy_set(proxy, PROXY_HOLD);
    int reads = memory_calls(bed.database, "outbox_read");
    void *connection = relaying_write(&bed);
    for (int k = 2; k < 100; k++)
        add_to(&bed, connection, topic, 0, k == 3 ? -1 : 1 + k % 5, k);
    relaying_written(&bed, connection);
    relaying_await(relay, memory_calls(bed.database, "outbox_read") > reads);
    poll(NULL, 0, 300); /* so that all are on their way; were they not, less would be tried */
    proxy_set(proxy, PROXY_PASS);
    ck_assert(memory_wait(bed.database, 0, 1));
    relaying_read_all(topic, 99, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    ck_assert_int_eq(seen.records, 99);
    ck_assert_int_eq(relaying_health(relay).refused, 1);
    relaying_end(relay);
    relaying_close(&bed);
    proxy_free(proxy);
}

START_TEST(test_outbox_refused__one_of_many_at_least_once)
{
    NEEDS_KAFKA();
    ck_one_of_many(KUR_AT_LEAST_ONCE);
}
END_TEST

START_TEST(test_outbox_refused__one_of_many_exactly_once)
{
    NEEDS_KAFKA();
    ck_one_of_many(KUR_EXACTLY_ONCE);
}
END_TEST

/* A topic that has taken rows takes less all of a sudden; the next row of the key is for another topic. */
START_TEST(test_outbox_refused__what_goes_elsewhere_is_behind_it)
{
    NEEDS_KAFKA();
    for (int i = 0; i < 2; i++) {
        struct relaying bed;
        struct relaying_seen seen;
        kur_error error = {0};
        kur_arena *arena = kur_arena_new();
        open_bed(&bed);
        const char *changed = relaying_topic(&bed, support_name("changed"), 1, KUR_CLEANUP_DEFAULT, 1000000);
        const char *other = support_topic(1);
        for (int k = 0; k < 10; k++) { /* both have taken something, and know the producer */
            relaying_send(&bed, changed, 1, k);
            relaying_send(&bed, other, 1, k);
        }
        kur_relay *relay = start(&bed, guarantees[i]);
        ck_assert(memory_wait(bed.database, 0, 0));
        relaying_send_many(&bed, changed, 1, 10, 10);
        relaying_send_many(&bed, other, 1, 10, 10);
        ck_assert(memory_wait(bed.database, 0, 0));
        relaying_limit(&bed, changed, 20000);
        void *connection = relaying_write(&bed);
        add_large(&bed, connection, changed, 1, 20, 50000);
        relaying_add(&bed, connection, other, 1, 20);
        relaying_add(&bed, connection, other, 2, 21);
        relaying_written(&bed, connection);
        ck_assert(memory_wait(bed.database, 0, 2));
        relaying_read_all(other, 21, &seen);
        ck_assert_int_eq(seen.times[20], 0);
        ck_assert_int_eq(seen.records, 21);
        kur_parked_list parked = relaying_parked(&bed, arena);
        ck_assert_str_eq(parked.items[0]->topic, changed);
        relaying_limit(&bed, changed, 100000);
        ck_ok(kur_outbox_unpark(bed.outbox, parked.items[0]->id, &error), error);
        ck_assert(memory_wait(bed.database, 0, 0));
        relaying_read_all(other, 22, &seen);
        ck_assert_int_eq(seen.times[20], 1);
        relaying_end(relay);
        relaying_close(&bed);
        kur_arena_free(arena);
    }
}
END_TEST

/* What the relay knows of a topic may be old: the limit has been raised since. */
START_TEST(test_outbox_refused__a_limit_that_is_raised)
{
    NEEDS_KAFKA();
    for (int i = 0; i < 2; i++) {
        struct relaying bed;
        kur_error error = {0};
        kur_arena *arena = kur_arena_new();
        open_bed(&bed);
        const char *topic = relaying_topic(&bed, support_name("raised"), 1, KUR_CLEANUP_DEFAULT, 10000);
        relaying_send(&bed, topic, 1, 0);
        kur_relay *relay = start(&bed, guarantees[i]);
        ck_assert(memory_wait(bed.database, 0, 0));
        send_large(&bed, topic, 1, 1, 20000);
        relaying_send(&bed, topic, 1, 2);
        ck_assert(memory_wait(bed.database, 0, 2));
        relaying_limit(&bed, topic, 40000);
        ck_ok(kur_outbox_unpark(bed.outbox, relaying_parked(&bed, arena).items[0]->id, &error), error);
        ck_assert(memory_wait(bed.database, 0, 0));
        relaying_limit(&bed, topic, 80000);
        send_large(&bed, topic, 1, 3, 60000);
        ck_assert(memory_wait(bed.database, 0, 0));
        relaying_await(relay, health.sent == 4 && health.refused == 1);
        relaying_end(relay);
        relaying_close(&bed);
        kur_arena_free(arena);
    }
}
END_TEST

/* What a service would put among the control records, or over them. */
START_TEST(test_outbox_refused__rows_for_the_control_topic)
{
    NEEDS_KAFKA();
    struct relaying bed;
    struct relaying_seen seen;
    kur_arena *arena = kur_arena_new();
    open_bed(&bed);
    const char *topic = support_topic(1), *control = support_name("control");
    kur_relay_options options = KUR_RELAY_OPTIONS(.guarantee = KUR_EXACTLY_ONCE, .control = control);
    relaying_send(&bed, topic, 1, 0);
    relaying_send(&bed, control, 0, 1);
    relaying_send(&bed, topic, 1, 2);
    kur_relay *relay = relaying_start(&bed, &options);
    ck_assert(memory_wait(bed.database, 0, 1));
    ck_assert_str_eq(relaying_parked(&bed, arena).items[0]->topic, control);
    relaying_end(relay);
    relay = relaying_start(&bed, &options);
    relaying_send(&bed, topic, 1, 3);
    relaying_read_all(topic, 3, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    ck_assert_int_eq(seen.records, 3);
    relaying_end(relay);
    relaying_close(&bed);
    kur_arena_free(arena);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_outbox_refused__one_of_many_at_least_once,        test_outbox_refused__one_of_many_exactly_once,
        test_outbox_refused__what_goes_elsewhere_is_behind_it, test_outbox_refused__a_limit_that_is_raised,
        test_outbox_refused__rows_for_the_control_topic,       NULL};
    int failed = check_main("outbox_refused", tests);
    consuming_stop();
    return failed;
}
