/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Retry by topic that keeps the order of keys, on the embedded broker and on a real one alike: no record is handled
 * before all earlier ones of its key are done.
 */
#include <kurier/retry.h>
#include <kurier/sys/clock.h>
#include <stdio.h>
#include <stdlib.h>

#include "../listening.h"

enum {
    KEYS = 150,
    PARTITIONS = 4, /* as many as a topic of the embedded broker has */
    RECORDS_MAX = 10000
};

static struct {
    atomic_int done; /* each once */
    atomic_int out_of_order, wrong_attempt, handled;
    atomic_int attempts[RECORDS_MAX];
    atomic_bool is_done[RECORDS_MAX];
    bool is_strict; /* nothing goes wrong: each attempt once */
} book;

static kur_client *client;

static const kur_retry_policy in_order = {.size = sizeof in_order,
                                          .mode = KUR_RETRY_BY_TOPIC,
                                          .keep_order = true,
                                          .attempts = 10,
                                          .delay_ms = 20,
                                          .multiplier = 1};

static void begin(void)
{
    memset(&book, 0, sizeof book);
    client = support_client();
}

/* Number i is the (i / KEYS)th of key i % KEYS, which is in one partition. */
static void send_all(const char *topic, int from, int to)
{
    kur_error error = {0};
    for (int i = from; i < to; i++) {
        char key[16], value[32];
        snprintf(key, sizeof key, "k%d", i % KEYS);
        snprintf(value, sizeof value, "%d", i);
        kur_message message = KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(i % KEYS % PARTITIONS),
                                          .key = kur_bytes_text(key), .value = kur_bytes_text(value));
        ck_ok(kur_producer_send(kur_client_producer(client, &error), &message, &error), error);
    }
    flush(client);
}

static int failures_of(int number)
{
    return number * 7 % 13 < 5 ? number * 7 % 13 : 0;
}

static kur_outcome handle(kur_delivery *delivery, void *user)
{
    (void)user;
    int number = atoi(kur_record_value(kur_delivery_record(delivery)).data), attempt = ++book.attempts[number];
    book.handled++;
    for (int before = number - KEYS; before >= 0; before -= KEYS)
        if (!book.is_done[before]) {
            book.out_of_order++;
            break;
        }
    if (book.is_strict)
        book.wrong_attempt += kur_delivery_attempt(delivery) != attempt;
    if (attempt <= failures_of(number))
        return kur_retry(delivery, "test.fails", "attempt %d", attempt);
    if (!atomic_exchange(&book.is_done[number], true))
        book.done++;
    return KUR_DONE;
}

static kur_listener *listen_in_order(const char *topic, const char *group)
{
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.retry = &in_order, .retry_topics = &KUR_RETRY_TOPICS(), .concurrency = 8);
    return listen(client, &options, topic, group, handle, NULL);
}

static void expect_all(int records)
{
    ck_assert(support_wait(&book.done, records));
    ck_assert_int_eq(book.out_of_order, 0);
}

START_TEST(test_retry_ordered__no_record_overtakes_another_of_its_key)
{
    /* On the embedded one each fetch of a topic without records takes its half second. */
    const int records = support_is_real() ? RECORDS_MAX : 1500;
    begin();
    book.is_strict = true;
    const char *topic = support_topic(PARTITIONS), *group = support_name("ordered");
    kur_listener *listener = listen_in_order(topic, group);
    ck_assert(wait_for(listener, is_assigned, 2 * PARTITIONS)); /* its own are there: their coming is a rebalance */
    send_all(topic, 0, records);
    expect_all(records);
    ck_assert_int_eq(book.wrong_attempt, 0);
    for (int i = 0; i < records; i++)
        ck_assert_int_eq(book.attempts[i], failures_of(i) + 1);
    /* Its keys are as any other again. */
    int handled = book.handled;
    kur_error error = {0};
    send_text(client, topic, 0, "k0", "0");
    ck_ok(kur_producer_flush(kur_client_producer(client, &error), WAIT_MS, &error), error);
    ck_assert(support_wait(&book.handled, handled + 1));
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_retry_ordered__members_come_and_go)
{
    enum {
        RECORDS = 1200,
        ROUNDS = 2
    };
    begin();
    const char *topic = support_topic(PARTITIONS), *group = support_name("ordered");
    kur_listener *first = listen_in_order(topic, group);
    for (int round = 0; round < ROUNDS; round++) {
        send_all(topic, RECORDS / ROUNDS * round, RECORDS / ROUNDS * (round + 1));
        ck_assert(support_wait(&book.done, RECORDS / ROUNDS * round + RECORDS / ROUNDS / 4));
        kur_listener *second = listen_in_order(topic, group);
        ck_assert(wait_for(second, is_assigned, PARTITIONS)); /* half of both topics' */
        ck_assert(support_wait(&book.done, RECORDS / ROUNDS * round + RECORDS / ROUNDS / 2));
        kur_listener_free(first);
        first = second;
    }
    expect_all(RECORDS);
    kur_listener_free(first);
    kur_client_unref(client);
}
END_TEST

/* ---- The policy changes ---- */

/* Each record fails at its first attempt, however often that comes; then it waits in a retry topic. */
static kur_outcome fail_once(kur_delivery *delivery, void *user)
{
    (void)user;
    int number = atoi(kur_record_value(kur_delivery_record(delivery)).data);
    book.handled++;
    if (kur_delivery_attempt(delivery) == 1)
        return kur_retry(delivery, "test.fails", "once");
    book.wrong_attempt += kur_delivery_attempt(delivery) != 2;
    if (!atomic_exchange(&book.is_done[number], true))
        book.done++;
    return KUR_DONE;
}

static bool is_member(const kur_listener_health *health, int64_t wanted)
{
    return health->assigned >= wanted;
}

/* What one policy has parked, a listener with the other one handles. */
START_TEST(test_retry_ordered__what_another_policy_has_parked_is_handled)
{
    enum {
        RECORDS = 40,
        ROUNDS = 3
    };
    begin();
    const char *topic = support_topic(PARTITIONS), *group = support_name("ordered");
    for (int round = 0; round < ROUNDS; round++) {
        kur_retry_policy policy = KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .keep_order = round == 1, .attempts = 10,
                                                   .delay_ms = 5000, .multiplier = 1);
        kur_listener_options options =
            KUR_LISTENER_OPTIONS(.retry = &policy, .retry_topics = &KUR_RETRY_TOPICS(), .concurrency = 8);
        bool parks = round + 1 < ROUNDS;
        if (parks)
            send_all(topic, RECORDS * round, RECORDS * (round + 1));
        kur_listener *listener = listen(client, &options, topic, group, fail_once, NULL);
        ck_assert(wait_for(listener, is_member, PARTITIONS)); /* which takes half a minute on the embedded broker */
        ck_assert(support_wait(&book.done, RECORDS * round));
        ck_assert(!parks || wait_for(listener, has_finished, RECORDS * (round + 1))); /* what is parked, too */
        kur_listener_free(listener);
    }
    ck_assert_int_eq(book.wrong_attempt, 0);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_retry_ordered__what_cannot_be_is_refused)
{
    const struct {
        kur_retry_policy policy;
        kur_listener_options options;
        const char *says;
    } cases[] = {
        {{.mode = KUR_RETRY_IN_PLACE}, {0}, ".retry.keep_order needs .mode"},
        {{.mode = KUR_RETRY_BY_TOPIC, .delay_ms = 3600001}, {0}, "above an hour"},
        {{.mode = KUR_RETRY_BY_TOPIC, .delay_max_ms = 3600001}, {0}, "above an hour"},
        {{.mode = KUR_RETRY_BY_TOPIC}, {.order = KUR_UNORDERED}, "KUR_ORDER_BY_KEY"},
        {{.mode = KUR_RETRY_BY_TOPIC}, {.allow_due = true}, ".allow_due"},
        {{.mode = KUR_RETRY_BY_TOPIC}, {.assignor = KUR_ASSIGNOR_COOPERATIVE_STICKY}, ".assignor"},
        {{.mode = KUR_RETRY_BY_TOPIC}, {.guarantee = KUR_EXACTLY_ONCE}, "KUR_EXACTLY_ONCE"},
        {{.mode = KUR_RETRY_BY_TOPIC},
         {.retry_topics = &KUR_RETRY_TOPICS(.headers = KUR_HEADERS_SPRING)},
         "KUR_HEADERS_KURIER"},
    };
    begin();
    const char *topics[] = {"orders", NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_error error = {0};
        kur_retry_policy policy = cases[i].policy;
        kur_listener_options options = cases[i].options;
        policy.size = sizeof policy;
        policy.keep_order = true;
        options.size = sizeof options;
        options.topics = topics;
        options.group = "email";
        options.retry = &policy;
        kur_listener *listener = kur_listener_new(client, &options, &error);
        ck_assert_ptr_null(listener);
        ck_assert_msg(strstr(error.message, cases[i].says) != NULL, "case %zu: %s", i, error.message);
    }
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_retry_ordered__no_record_overtakes_another_of_its_key,
        test_retry_ordered__members_come_and_go,
        test_retry_ordered__what_another_policy_has_parked_is_handled,
        test_retry_ordered__what_cannot_be_is_refused,
        NULL,
    };
    return check_main("retry_ordered", tests);
}
