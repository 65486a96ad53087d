/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A listener with Spring Kafka's topics: what it writes there has Spring's names and bytes, and what a Java service
 * left in them is handled when it is due, with the attempts that it has had.
 */
#include <kurier/retry.h>
#include <kurier/sys/clock.h>
#include <stdio.h>

#include "../listening.h"

enum {
    DELAY_MS = 200
};

static struct {
    atomic_int handled, ready, java, wrong;
    int64_t due_us; /* of what the Java service left */
    const char *topic;
} book;

/* "fails" always does; the record of the Java service comes with its third attempt, and not before it is due. */
static kur_outcome handle(kur_delivery *delivery, void *user)
{
    (void)user;
    const kur_record *record = kur_delivery_record(delivery);
    book.wrong += strcmp(kur_record_topic(record), book.topic) != 0;
    book.handled++;
    if (kur_bytes_equal(kur_record_value(record), kur_bytes_text("fails")))
        return kur_retry(delivery, "mail.away", "attempt %d", kur_delivery_attempt(delivery));
    if (kur_bytes_equal(kur_record_value(record), kur_bytes_text("ready"))) {
        book.ready++;
        return KUR_DONE;
    }
    book.wrong += kur_delivery_attempt(delivery) != 3 || kur_clock_now_us() < book.due_us;
    book.wrong += kur_record_offset(record) != 258 || kur_record_partition(record) != 0;
    book.java++;
    return KUR_DONE;
}

static const char *with(const char *topic, const char *ending)
{
    static char names[2][256];
    static int next;
    char *name = names[next++ % 2];
    snprintf(name, sizeof names[0], "%s%s", topic, ending);
    return name;
}

static void read_next(kur_client *client, const char *topic, kur_consumer **consumer, kur_record **records,
                      size_t count)
{
    kur_error error = {0};
    size_t have = 0;
    *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    ck_assert_msg(*consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(*consumer, (const char *[]){topic, NULL}, &error), error);
    for (int64_t until_ms = now_ms() + WAIT_MS; have < count && now_ms() < until_ms;) {
        size_t got = 0;
        kur_consumer_poll_batch(*consumer, 100, records + have, count - have, &got, NULL);
        have += got;
    }
    ck_assert_uint_eq(have, count);
}

static void ck_value(const kur_record *record, const char *name, const char *expected, size_t size)
{
    kur_bytes value = {NULL, 0};
    ck_assert_msg(kur_record_header_last(record, name, &value), "%s is missing", name);
    ck_assert_msg(kur_bytes_equal(value, kur_bytes_of(expected, size)), "%s", name);
}

static kur_listener *begin(kur_client *client, kur_retry_policy *policy, const char *group, bool written_only)
{
    kur_retry_topics topics = KUR_RETRY_TOPICS(.headers = KUR_HEADERS_SPRING, .written_only = written_only);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.retry = policy, .retry_topics = &topics, .concurrency = 2);
    return listen(client, &options, book.topic, group, handle, NULL);
}

START_TEST(test_spring_topics__written)
{
    memset(&book, 0, sizeof book);
    kur_client *client = support_client();
    const char *topic = book.topic = support_topic(1), *group = support_name("spring");
    kur_retry_policy policy = KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = 3, .delay_ms = DELAY_MS,
                                               .multiplier = 1, .jitter = KUR_NONE);
    send_text(client, topic, 0, "k", "fails");
    flush(client);
    kur_listener *listener = begin(client, &policy, group, false);
    kur_consumer *consumers[2];
    kur_record *retries[2], *dead[1];
    read_next(client, with(topic, "-dlt"), &consumers[0], dead, 1);
    read_next(client, with(topic, "-retry"), &consumers[1], retries, 2);
    ck_assert_int_eq(book.handled, 3);
    ck_assert_int_eq(book.wrong, 0);
    const kur_record *all[] = {retries[0], retries[1], dead[0]};
    for (int i = 0; i < 3; i++) {
        ck_value(all[i], "retry_topic-attempts", (const char[]){0, 0, 0, (char)(i + 2)}, 4);
        ck_value(all[i], "kafka_original-topic", topic, strlen(topic));
        ck_value(all[i], "kafka_original-partition", "\0\0\0\0", 4);
        ck_value(all[i], "kafka_original-offset", "\0\0\0\0\0\0\0\0", 8);
        ck_value(all[i], "kafka_dlt-original-consumer-group", group, strlen(group));
        ck_value(all[i], "kafka_exception-cause-fqcn", "mail.away", 9);
    }
    kur_consumer_free_records(consumers[0], dead, 1);
    kur_consumer_free_records(consumers[1], retries, 2);
    kur_consumer_free(consumers[0]);
    kur_consumer_free(consumers[1]);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_spring_topics__of_a_java_service)
{
    memset(&book, 0, sizeof book);
    kur_client *client = support_client();
    kur_error error = {0};
    const char *topic = book.topic = support_topic(1), *group = support_name("spring");
    support_create(with(topic, "-retry"), 1);
    kur_retry_policy policy = KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC);
    kur_listener *listener = begin(client, &policy, group, false);
    send_text(client, topic, 0, "k", "ready");
    send_text(client, with(topic, "-retry"), 0, "k", "ready");
    flush(client);
    ck_assert(support_wait(&book.ready, 2));

    int64_t due_ms = kur_clock_now_us() / 1000 + 1000;
    uint8_t due[8];
    for (int i = 0; i < 8; i++)
        due[i] = (uint8_t)((uint64_t)due_ms >> 8 * (7 - i));
    book.due_us = due_ms * 1000;
    kur_header headers[] = {{"kafka_original-topic", kur_bytes_text(topic)},
                            {"kafka_original-partition", {"\0\0\0\0", 4}},
                            {"kafka_original-offset", {"\0\0\0\0\0\0\1\2", 8}},
                            {"kafka_original-timestamp", {"\0\0\x01\xa2\x29\x3a\x0d\x00", 8}},
                            {"kafka_dlt-original-consumer-group", kur_bytes_text(group)},
                            {"retry_topic-attempts", {"\0\0\0\2", 4}},
                            {"retry_topic-backoff-timestamp", {"\0", 1}},
                            {"retry_topic-attempts", {"\0\0\0\3", 4}},
                            {"retry_topic-backoff-timestamp", {due + 2, 6}}};
    kur_message message =
        KUR_MESSAGE(.topic = with(topic, "-retry"), .partition = KUR_PARTITION(0), .value = kur_bytes_text("waits"),
                    .headers = headers, .header_count = sizeof headers / sizeof *headers);
    ck_ok(kur_producer_send(kur_client_producer(client, &error), &message, &error), error);
    flush(client);
    ck_assert(support_wait(&book.java, 1));
    ck_assert_int_eq(book.wrong, 1); /* what waits in the retry topic and tells no origin stands for itself */
    ck_assert_int_eq(book.handled, 3);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_spring_topics__may_be_written_and_left_to_java)
{
    memset(&book, 0, sizeof book);
    kur_client *client = support_client();
    const char *topic = book.topic = support_topic(2), *group = support_name("spring");
    support_create(with(topic, "-retry"), 2);
    kur_retry_policy policy =
        KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = 3, .delay_ms = 1, .multiplier = 1, .jitter = KUR_NONE);
    send_text(client, with(topic, "-retry"), 0, "k", "ready");
    send_text(client, topic, 0, "k", "fails");
    flush(client);
    kur_listener *listener = begin(client, &policy, group, true);
    kur_consumer *consumer;
    kur_record *records[2];
    read_next(client, with(topic, "-retry"), &consumer, records, 2);
    const kur_record *forwarded = records[kur_bytes_equal(kur_record_value(records[0]), kur_bytes_text("ready"))];
    ck_assert(kur_bytes_equal(kur_record_value(forwarded), kur_bytes_text("fails")));
    ck_value(forwarded, "retry_topic-attempts", "\0\0\0\2", 4);
    kur_consumer_free_records(consumer, records, 2);
    kur_consumer_free(consumer);
    /* And that is all that was handled when what comes then is. */
    send_text(client, topic, 0, "k", "ready");
    flush(client);
    ck_assert(support_wait(&book.ready, 1));
    ck_assert(wait_for(listener, is_assigned, 2));
    ck_assert_int_eq(book.handled, 2);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_spring_topics__written, test_spring_topics__of_a_java_service,
                                  test_spring_topics__may_be_written_and_left_to_java, NULL};
    int status = check_main("spring_topics", tests);
    support_stop();
    return status;
}
