/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Retry by topic and dead letters, on the embedded broker and on a real one alike: handled as often as it was failed,
 * never early, as it was first, and in the end done or among the dead letters.
 */
#include <kurier/retry.h>
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../kept_log.h"
#include "../listening.h"

enum {
    RECORDS_MAX = 20000,
    DELAY_MS = 200
};

/* What a record is, and how often it is to fail: "number failures", and from 100 failures on it is rejected. */
struct book {
    pthread_mutex_t lock;
    atomic_int done, dead, rejected;
    atomic_int attempts[RECORDS_MAX];
    int64_t failed_us[RECORDS_MAX];
    int64_t second_us[RECORDS_MAX]; /* when the second attempt began */
    int64_t delay_us;               /* at least, between two attempts */
    atomic_int early, wrong_attempt, changed, wrong_first;
    const char *topic;
    const char *cause;
    int64_t timestamp_us;
};

static struct book book;
static kur_client *client;

static void begin(int64_t delay_us)
{
    memset(&book, 0, sizeof book);
    pthread_mutex_init(&book.lock, NULL);
    book.delay_us = delay_us;
    book.cause = "test.fails";
    client = support_client();
}

/* The client's log, from now on. */
static void keep_what_is_told(void)
{
    kur_client_unref(client);
    log_text[0] = '\0';
    client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .log = keep_log), NULL);
    ck_assert_ptr_nonnull(client);
}

static void end(void)
{
    kur_client_unref(client);
    pthread_mutex_destroy(&book.lock);
}

static void send_one(const char *topic, int32_t partition, int number, int failures, int64_t timestamp_us)
{
    kur_error error = {0};
    char key[16], value[32];
    snprintf(key, sizeof key, "k%d", number % 37);
    snprintf(value, sizeof value, "%d %d", number, failures);
    kur_header headers[] = {{"colour", kur_bytes_text("red")}, {"colour", kur_bytes_text("blue")}, {"empty", {0}}};
    kur_message message = KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(partition), .key = kur_bytes_text(key),
                                      .value = kur_bytes_text(value), .headers = headers, .header_count = 3,
                                      .timestamp_us = timestamp_us);
    ck_ok(kur_producer_send(kur_client_producer(client, &error), &message, &error), error);
}

static bool has_colours(const kur_record *record)
{
    int found = 0;
    kur_header header;
    for (size_t i = 0; kur_record_header(record, i, &header); i++)
        if (strcmp(header.name, "colour") == 0)
            found = found * 10 + (header.value.size == 3 ? 1 : 2);
    return found == 12;
}

/* What a record on a retry topic tells of its first failure is before a time. */
static bool failed_before(const kur_record *record, int64_t time_us)
{
    kur_arena *arena = kur_arena_new();
    kur_retry_view view = KUR_RETRY_VIEW();
    bool is_read = kur_retry_read(record, KUR_HEADERS_KURIER, kur_clock_now_us(), arena, &view, NULL) == KUR_OK;
    bool is_before = view.first_failed_us < time_us;
    kur_arena_free(arena);
    return is_read && is_before;
}

static kur_outcome handle(kur_delivery *delivery, void *user)
{
    (void)user;
    const kur_record *record = kur_delivery_record(delivery);
    int number = -1, failures = 0;
    kur_bytes value = kur_record_value(record);
    sscanf(value.data, "%d %d", &number, &failures);
    ck_assert(number >= 0 && number < RECORDS_MAX);
    int attempt = ++book.attempts[number];
    int64_t now_us = kur_clock_now_us();
    book.wrong_attempt += kur_delivery_attempt(delivery) != attempt;
    book.changed += strcmp(kur_record_topic(record), book.topic) != 0 || !has_colours(record);
    if (book.timestamp_us != 0)
        book.changed += kur_record_timestamp_us(record) != book.timestamp_us;
    pthread_mutex_lock(&book.lock);
    int64_t failed_us = book.failed_us[number];
    book.failed_us[number] = now_us;
    if (attempt == 2)
        book.second_us[number] = now_us;
    int64_t second_us = book.second_us[number];
    pthread_mutex_unlock(&book.lock);
    book.wrong_first += attempt > 2 && !failed_before(record, second_us);
    book.early += attempt > 1 && now_us < failed_us + book.delay_us;
    if (failures >= 100) {
        book.rejected++;
        return kur_reject(delivery, book.cause, "number %d", number);
    }
    if (attempt <= failures)
        return kur_retry(delivery, book.cause, "attempt %d", attempt);
    book.done++;
    return KUR_DONE;
}

static const kur_retry_policy by_topic = {.size = sizeof by_topic,
                                          .mode = KUR_RETRY_BY_TOPIC,
                                          .attempts = 4,
                                          .delay_ms = DELAY_MS,
                                          .multiplier = 1,
                                          .jitter = KUR_NONE};

static const char *name_of(const char *topic, const char *group, kur_tier tier)
{
    static kur_buffer names[4];
    static int next;
    kur_error error = {0};
    kur_buffer *name = &names[next++ % 4];
    name->size = 0;
    ck_ok(kur_retry_topic(name, NULL, topic, group, tier, NULL, &error), error);
    return name->data;
}

/* All of a topic that is there now or comes until there are so many. */
static size_t read_all(const char *topic, kur_record **records, size_t wanted, kur_consumer **consumer)
{
    kur_error error = {0};
    size_t count = 0;
    const char *topics[] = {topic, NULL};
    *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    ck_assert_msg(*consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(*consumer, topics, &error), error);
    for (int64_t until_ms = now_ms() + WAIT_MS; count < wanted && now_ms() < until_ms;) {
        size_t got = 0;
        kur_consumer_poll_batch(*consumer, 100, records + count, wanted - count, &got, NULL);
        count += got;
    }
    return count;
}

/* The topics of its own are there when it starts, so that their coming is no rebalance. */
static void make_own_topics(const char *topic, const char *group, int partitions)
{
    static const kur_tier tiers[] = {KUR_TIER_SHORT, KUR_TIER_MEDIUM, KUR_TIER_LONG, KUR_TIER_DEAD};
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++)
        support_create(name_of(topic, group, tiers[i]), partitions);
}

/* With its topics: that they come is a rebalance, and what is in hand then is handled again. */
static kur_listener *listen_whole(kur_listener_options *options, const char *topic, const char *group, int partitions)
{
    kur_listener *listener = listen(client, options, topic, group, handle, NULL);
    ck_assert(wait_for(listener, is_assigned, partitions + 3 * (support_is_real() ? partitions : 4)));
    return listener;
}

START_TEST(test_retry__comes_again_as_it_was_and_never_early)
{
    begin(DELAY_MS * 1000);
    const char *topic = book.topic = support_topic(3), *group = support_name("retry");
    kur_retry_policy policy = by_topic;
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.retry = &policy, .concurrency = 8, .retry_topics = &KUR_RETRY_TOPICS());
    kur_listener *listener = listen_whole(&options, topic, group, 3);
    book.timestamp_us = (kur_clock_now_us() / 1000 - 3600000) * 1000;
    for (int i = 0; i < 300; i++)
        send_one(topic, i % 3, i, i % 4, book.timestamp_us);
    flush(client);
    ck_assert(support_wait(&book.done, 300));
    ck_assert(wait_for(listener, has_finished, 300 + 75 * (1 + 2 + 3)));
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(book.attempts[i], i % 4 + 1);
    ck_assert_int_eq(book.early, 0);
    ck_assert_int_eq(book.wrong_attempt, 0);
    ck_assert_int_eq(book.changed, 0);
    kur_listener_free(listener);
    end();
}
END_TEST

/* One record waits in the long topic, which is told half a second later at most. */
static void expect_parked(kur_listener *listener, int64_t due_us)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    const kur_retry_health *health = NULL;
    const kur_tier_health *tier = NULL;
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(20)) {
        kur_arena_reset(arena);
        ck_ok(kur_listener_retries(listener, arena, &health, &error), error);
        tier = health->tiers[KUR_TIER_LONG - KUR_TIER_SHORT];
        if (tier->parked == 1 && tier->lag == 1)
            break;
    }
    ck_assert_int_eq(tier->tier, KUR_TIER_LONG);
    ck_assert_int_eq(tier->parked, 1);
    ck_assert_int_eq(tier->lag, 1);
    ck_assert_int_ge(tier->next_due_us, due_us);
    ck_assert_int_le(tier->next_due_us, due_us + 60000000);
    ck_assert_int_eq(health->tiers[0]->parked, 0);
    ck_assert_int_eq(health->tiers[0]->next_due_us, 0);
    kur_arena_free(arena);
}

START_TEST(test_retry__the_key_goes_on_meanwhile)
{
    begin(0);
    const char *topic = book.topic = support_topic(1), *group = support_name("retry");
    kur_retry_policy policy = by_topic;
    policy.delay_ms = 3600000;
    policy.delay_max_ms = 3600000;
    kur_listener_options options = KUR_LISTENER_OPTIONS(.retry = &policy, .retry_topics = &KUR_RETRY_TOPICS());
    make_own_topics(topic, group, 1);
    for (int i = 0; i < 10; i++)
        send_one(topic, 0, 37 * i, i == 0 ? 1 : 0, 0); /* one key */
    flush(client);
    kur_listener *listener = listen(client, &options, topic, group, handle, NULL);
    ck_assert(support_wait(&book.done, 9));
    ck_assert(wait_for(listener, has_finished, 10));
    ck_assert_int_eq(book.attempts[0], 1);
    expect_parked(listener, book.failed_us[0] + INT64_C(3600000000));
    kur_listener_free(listener);
    /* It waits in the topic for so long. */
    kur_record *records[1];
    kur_consumer *consumer;
    ck_assert_uint_eq(read_all(name_of(topic, group, KUR_TIER_LONG), records, 1, &consumer), 1);
    kur_consumer_free_records(consumer, records, 1);
    kur_consumer_free(consumer);
    end();
}
END_TEST

START_TEST(test_retry__dead_letters_hold_the_record_and_its_story)
{
    begin(DELAY_MS * 1000);
    const char *topic = book.topic = support_topic(2), *group = support_name("retry");
    kur_retry_policy policy = by_topic;
    kur_listener_options options = KUR_LISTENER_OPTIONS(.retry = &policy, .retry_topics = &KUR_RETRY_TOPICS());
    int64_t before_us = kur_clock_now_us();
    make_own_topics(topic, group, 2);
    send_one(topic, 1, 0, 50, support_hour_ago_us()); /* uses its attempts up */
    send_one(topic, 0, 1, 100, 0);
    flush(client);
    kur_listener *listener = listen(client, &options, topic, group, handle, NULL);
    kur_record *records[2];
    kur_consumer *consumer;
    kur_arena *arena = kur_arena_new();
    ck_assert_uint_eq(read_all(name_of(topic, group, KUR_TIER_DEAD), records, 2, &consumer), 2);
    for (int i = 0; i < 2; i++) {
        kur_error error = {0};
        kur_retry_view view = KUR_RETRY_VIEW();
        ck_ok(kur_retry_read(records[i], KUR_HEADERS_KURIER, kur_clock_now_us(), arena, &view, &error), error);
        kur_bytes value = kur_record_value(records[i]), key = kur_record_key(records[i]);
        bool is_used_up = value.size == 4;
        ck_assert_int_eq(memcmp(value.data, is_used_up ? "0 50" : "1 100", value.size), 0);
        ck_assert_int_eq(memcmp(key.data, is_used_up ? "k0" : "k1", 2), 0);
        ck_assert(has_colours(records[i]));
        ck_assert_int_eq(kur_record_partition(records[i]), is_used_up ? 1 : 0);
        ck_assert_int_ge(kur_record_timestamp_us(records[i]), before_us - 1000);
        ck_assert_int_eq(view.attempt, is_used_up ? 4 : 1);
        ck_assert_uint_eq(view.attempt_count, is_used_up ? 4 : 1);
        ck_assert_str_eq(view.topic, topic);
        ck_assert_str_eq(view.group, group);
        ck_assert_int_eq(view.partition, is_used_up ? 1 : 0);
        ck_assert_int_eq(view.offset, 0);
        ck_assert_str_eq(view.cause, "test.fails");
        ck_assert_int_eq(strncmp(view.code, "test_retry.c:", 13), 0);
        ck_assert_str_eq(view.message, is_used_up ? "attempt 4" : "number 1");
        ck_assert_int_ge(view.first_failed_us, before_us);
        if (is_used_up) {
            ck_assert_int_eq(view.timestamp_us, support_hour_ago_us());
            ck_assert_int_ge(view.failed_us, view.first_failed_us + 3 * DELAY_MS * 1000);
            ck_assert_int_eq(view.attempts[2]->attempt, 3);
        }
    }
    ck_assert(wait_for(listener, has_finished, 5));
    ck_assert_int_eq(health_of(listener).rejected, 2);
    kur_consumer_free_records(consumer, records, 2);
    kur_consumer_free(consumer);
    kur_arena_free(arena);
    kur_listener_free(listener);
    end();
}
END_TEST

START_TEST(test_retry__a_restart_keeps_what_waits)
{
    begin(3000 * 1000);
    const char *topic = book.topic = support_topic(2), *group = support_name("retry");
    kur_retry_policy policy = by_topic;
    policy.delay_ms = 3000;
    kur_error error = {0};
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.retry = &policy, .concurrency = 4, .retry_topics = &KUR_RETRY_TOPICS());
    kur_listener *listener = listen_whole(&options, topic, group, 2);
    for (int i = 0; i < 200; i++)
        send_one(topic, i % 2, i, 1, 0);
    flush(client);
    ck_assert(wait_for(listener, has_finished, 200));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    int64_t before = health_of(listener).finished; /* on a slow day some have waited for long enough by then */
    kur_listener_free(listener);
    options = KUR_LISTENER_OPTIONS(.retry = &policy, .concurrency = 4, .retry_topics = &KUR_RETRY_TOPICS());
    listener = listen(client, &options, topic, group, handle, NULL);
    ck_assert(support_wait(&book.done, 200));
    ck_assert(wait_for(listener, has_finished, 400 - before));
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(book.attempts[i], 2);
    ck_assert_int_eq(book.early, 0);
    ck_assert_int_eq(book.wrong_attempt, 0);
    kur_listener_free(listener);
    end();
}
END_TEST

START_TEST(test_retry__in_place_first_then_by_topic)
{
    begin(DELAY_MS * 1000);
    const char *topic = book.topic = support_topic(1), *group = support_name("retry");
    kur_retry_policy policy = by_topic;
    policy.mode = KUR_RETRY_IN_PLACE_THEN_BY_TOPIC;
    policy.in_place_attempts = 2;
    kur_listener_options options = KUR_LISTENER_OPTIONS(.retry = &policy, .retry_topics = &KUR_RETRY_TOPICS());
    kur_listener *listener = listen_whole(&options, topic, group, 1);
    for (int i = 0; i < 40; i++)
        send_one(topic, 0, i, i % 4, 0);
    flush(client);
    ck_assert(support_wait(&book.done, 40));
    /* The third attempt is made in a retry topic, and the fourth in another record of it. */
    ck_assert(wait_for(listener, has_finished, 40 + 10 + 20));
    ck_assert_int_eq(book.wrong_first, 0);
    ck_assert_int_eq(book.early, 0);
    ck_assert_int_eq(book.wrong_attempt, 0);
    kur_listener_free(listener);
    end();
}
END_TEST

/* A cause has dead letters of its own; all others go where they go. */
static void route_letters(kur_guarantee guarantee)
{
    static const kur_dead_letter_route routes[] = {{"smtp.*", "mail"}, {NULL, NULL}};
    static const char *const causes[] = {"smtp.timeout", "disk.full"};
    kur_buffer names[2] = {{0}};
    begin(0);
    const char *topic = book.topic = support_topic(1), *group = support_name("retry");
    kur_retry_topics topics = KUR_RETRY_TOPICS(.routes = routes);
    for (int i = 0; i < 2; i++) {
        kur_error error = {0};
        book.cause = causes[i];
        send_one(topic, 0, i, 100, 0);
        flush(client);
        kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.retry_topics = &topics, .guarantee = guarantee),
                                        topic, group, handle, NULL);
        ck_assert(wait_for(listener, has_finished, 1));
        /* Its retry topics have just come, and so has a rebalance: freed at once, it may go before that is over. */
        ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
        kur_listener_free(listener);
        ck_ok(kur_retry_topic(&names[i], &topics, topic, group, KUR_TIER_DEAD, i == 0 ? "mail" : NULL, &error), error);
    }
    for (int i = 0; i < 2; i++) {
        kur_record *letter;
        kur_consumer *consumer;
        ck_assert_uint_eq(read_all(names[i].data, &letter, 1, &consumer), 1);
        ck_assert_int_eq(*(const char *)kur_record_value(letter).data, '0' + i);
        kur_consumer_free_records(consumer, &letter, 1);
        kur_consumer_free(consumer);
        kur_buffer_done(&names[i]);
    }
    end();
}

START_TEST(test_retry__a_cause_has_dead_letters_of_its_own)
{
    route_letters(KUR_AT_LEAST_ONCE);
    if (support_is_real())
        route_letters(KUR_EXACTLY_ONCE);
}
END_TEST

static bool rejected_some(const kur_listener_health *health, int64_t wanted)
{
    return health->rejected >= wanted;
}

START_TEST(test_retry__causes_decide)
{
    static const char *const fatal[] = {"smtp.no_mailbox", "poison.*", NULL}, *const retriable[] = {"smtp.*", NULL};
    const struct {
        const char *cause;
        const char *const *fatal, *const *retriable;
        int attempts;
    } all[] = {{"smtp.no_mailbox", fatal, NULL, 1}, {"poison.pill", fatal, NULL, 1},
               {"smtp.timeout", fatal, NULL, 4},    {"smtp.timeout", NULL, retriable, 4},
               {"disk.full", NULL, retriable, 1},   {"smtp.no_mailbox", fatal, retriable, 1}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        begin(0);
        const char *topic = book.topic = support_topic(1), *group = support_name("retry");
        kur_retry_policy policy = by_topic;
        policy.delay_ms = 1;
        policy.fatal = all[i].fatal;
        policy.retriable = all[i].retriable;
        book.cause = all[i].cause;
        kur_listener_options options = KUR_LISTENER_OPTIONS(.retry = &policy, .retry_topics = &KUR_RETRY_TOPICS());
        make_own_topics(topic, group, 1);
        send_one(topic, 0, 0, 50, 0);
        flush(client);
        kur_listener *listener = listen(client, &options, topic, group, handle, NULL);
        ck_assert(wait_for(listener, rejected_some, 1));
        ck_assert_int_eq(book.attempts[0], all[i].attempts);
        kur_listener_free(listener);
        end();
    }
}
END_TEST

START_TEST(test_retry__without_dead_letters_each_drop_is_told)
{
    begin(0);
    keep_what_is_told();
    const char *topic = book.topic = support_topic(1), *group = support_name("retry");
    kur_listener_options options = KUR_LISTENER_OPTIONS(.dead_letters = KUR_NO_DEAD_LETTER);
    for (int i = 0; i < 5; i++)
        send_one(topic, 0, i, i < 2 ? 100 : 0, 0);
    flush(client);
    kur_listener *listener = listen(client, &options, topic, group, handle, NULL);
    ck_assert(wait_for(listener, has_finished, 5));
    ck_assert_int_eq(health_of(listener).rejected, 2);
    kur_listener_free(listener);
    ck_assert_int_eq(count_in_log("dropped after 1 attempts"), 2);
    for (int i = 0; i < 2; i++) {
        char place[200];
        snprintf(place, sizeof place, "%s [0] at offset %d", topic, i);
        ck_assert_msg(count_in_log(place) == 1, "%s", log_text);
    }
    end();
}
END_TEST

START_TEST(test_retry__a_delayed_first_delivery_waits)
{
    begin(0);
    const char *topic = book.topic = support_topic(2), *group = support_name("retry");
    kur_error error = {0};
    char text[KUR_TIME_TEXT_SIZE];
    make_own_topics(topic, group, 2);
    int64_t due_us = kur_clock_now_us() + 12000000; /* a member has joined by then, on a slow day too */
    kur_time_format(due_us, text);
    for (int i = 0; i < 2; i++) {
        kur_header headers[] = {{"colour", kur_bytes_text("red")},
                                {"colour", kur_bytes_text("blue")},
                                {KUR_DUE_HEADER, kur_bytes_text(i == 0 ? text : "soon")}};
        kur_message message =
            KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(1), .key = kur_bytes_text("k"),
                        .value = kur_bytes_text(i == 0 ? "0 0" : "1 0"), .headers = headers, .header_count = 3);
        ck_ok(kur_producer_send(kur_client_producer(client, &error), &message, &error), error);
    }
    /* And an event, as it is published. */
    const kur_header own[] = {{"colour", kur_bytes_text("red")}, {"colour", kur_bytes_text("blue")}};
    ck_ok(kur_producer_publish_raw(kur_client_producer(client, &error), "test.late.v1", kur_bytes_text("2 0"),
                                   &KUR_PUBLISH_OPTIONS(.topic = topic, .key = kur_bytes_text("k"),
                                                        .content_type = "text/plain", .headers = own, .header_count = 2,
                                                        .due_us = due_us),
                                   &error),
          error);
    flush(client);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.allow_due = true, .retry_topics = &KUR_RETRY_TOPICS());
    kur_listener *listener = listen(client, &options, topic, group, handle, NULL);
    ck_assert(support_wait(&book.done, 3)); /* one that is no time comes at once */
    ck_assert_int_ge(book.failed_us[2], due_us);
    ck_assert_int_ge(book.failed_us[0], due_us);
    ck_assert_int_lt(book.failed_us[1], due_us);
    ck_assert_int_eq(book.wrong_attempt, 0); /* it was not seen before */
    ck_assert_int_eq(book.changed, 0);
    /* The time that was asked for, whatever the clocks did until it was forwarded. */
    kur_record *record;
    kur_consumer *consumer;
    kur_bytes due = {0};
    ck_assert_uint_eq(read_all(name_of(topic, group, KUR_TIER_SHORT), &record, 1, &consumer), 1);
    ck_assert(kur_record_header_last(record, "kurier-retry-due", &due));
    ck_assert(kur_bytes_equal(due, kur_bytes_text(text)));
    kur_consumer_free_records(consumer, &record, 1);
    kur_consumer_free(consumer);
    kur_listener_free(listener);
    end();
}
END_TEST

/* Else one that says the year 9999 would be put off by thirty days whenever a listener starts. */
START_TEST(test_retry__a_time_too_far_ahead_counts_from_when_it_was_written)
{
    begin(0);
    const char *topic = book.topic = support_topic(1), *group = support_name("retry");
    kur_error error = {0};
    kur_retry_policy policy = by_topic;
    policy.delay_ms = 1;
    kur_listener_options options = KUR_LISTENER_OPTIONS(.retry = &policy, .retry_topics = &KUR_RETRY_TOPICS());
    kur_listener *listener = listen_whole(&options, topic, group, 1);
    book.attempts[1] = 1;
    kur_header headers[] = {{"colour", kur_bytes_text("red")},
                            {"colour", kur_bytes_text("blue")},
                            {"kurier-retry-attempt", kur_bytes_text("2")},
                            {"kurier-retry-due", kur_bytes_text("9999-12-31T00:00:00Z")},
                            {"kurier-retry-topic", kur_bytes_text(topic)},
                            {"kurier-retry-partition", kur_bytes_text("0")},
                            {"kurier-retry-offset", kur_bytes_text("7")}};
    kur_message message = KUR_MESSAGE(.topic = name_of(topic, group, KUR_TIER_SHORT), .partition = KUR_PARTITION(0),
                                      .value = kur_bytes_text("1 0"), .headers = headers, .header_count = 7,
                                      .timestamp_us = kur_clock_now_us() - 32 * INT64_C(86400000000));
    ck_ok(kur_producer_send(kur_client_producer(client, &error), &message, &error), error);
    flush(client);
    ck_assert(support_wait(&book.done, 1));
    ck_assert_int_eq(book.wrong_attempt, 0);
    kur_listener_free(listener);
    end();
}
END_TEST

/* What is told of headers, half a second later at most. */
static void expect_counted(kur_listener *listener, int foreign, int clamped, int ignored)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    const kur_retry_health *health = NULL;
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(20)) {
        kur_arena_reset(arena);
        ck_ok(kur_listener_retries(listener, arena, &health, &error), error);
        if (health->foreign == foreign && health->clamped == clamped && health->ignored == ignored)
            break;
    }
    ck_assert_int_eq(health->foreign, foreign);
    ck_assert_int_eq(health->clamped, clamped);
    ck_assert_int_eq(health->ignored, ignored);
    kur_arena_free(arena);
}

START_TEST(test_retry__headers_from_outside_are_believed_within_limits)
{
    begin(0);
    keep_what_is_told();
    const char *topic = book.topic = support_topic(1), *group = support_name("retry");
    kur_error error = {0};
    kur_retry_policy policy = by_topic;
    policy.delay_ms = 1;
    kur_listener_options options = KUR_LISTENER_OPTIONS(.retry = &policy, .retry_topics = &KUR_RETRY_TOPICS());
    kur_listener *listener = listen_whole(&options, topic, group, 1);
    send_one(topic, 0, 0, 1, 0);
    flush(client);
    ck_assert(support_wait(&book.done, 1));
    const char *retry_topic = name_of(topic, group, KUR_TIER_SHORT);
    const struct {
        const char *attempt, *group, *topic;
        const char *to;
    } all[] = {{"2147483648", group, topic, retry_topic}, /* clamped: no attempt is left when it fails */
               {"-5", group, topic, retry_topic},
               {"2", "another", topic, retry_topic}, /* left to that group */
               {"3", group, "elsewhere", retry_topic},
               {"3", group, topic, topic}}; /* in a main topic it says nothing */
    for (int sent = 0; sent < 5; sent++) {
        char value[16];
        int i = (sent + 2) % 5; /* that of another group first: of what is wrong the log tells once in a while */
        snprintf(value, sizeof value, "%d 0", 10 + i);
        kur_header headers[] = {{"colour", kur_bytes_text("red")},
                                {"colour", kur_bytes_text("blue")},
                                {"kurier-retry-attempt", kur_bytes_text(all[i].attempt)},
                                {"kurier-retry-group", kur_bytes_text(all[i].group)},
                                {"kurier-retry-topic", kur_bytes_text(all[i].topic)},
                                {"kurier-retry-partition", kur_bytes_text("0")},
                                {"kurier-retry-offset", kur_bytes_text("7")}};
        kur_message message = KUR_MESSAGE(.topic = all[i].to, .partition = KUR_PARTITION(0), .key = kur_bytes_text("k"),
                                          .value = kur_bytes_text(value), .headers = headers, .header_count = 7);
        ck_ok(kur_producer_send(kur_client_producer(client, &error), &message, &error), error);
    }
    flush(client);
    ck_assert(support_wait(&book.done, 5));
    ck_assert(wait_for(listener, has_finished, 2 + 5));
    ck_assert_int_eq(book.attempts[12], 0);
    ck_assert_int_eq(book.attempts[14], 1);
    expect_counted(listener, 1, 2, 0);
    ck_assert_int_eq(count_in_log("another group"), 1);
    /* What has such headers in a main topic, and fails, goes on without them, and is counted. */
    kur_header forged[] = {{"colour", kur_bytes_text("red")},
                           {"colour", kur_bytes_text("blue")},
                           {"kurier-retry-attempt", kur_bytes_text("3")}};
    ck_ok(kur_producer_send(kur_client_producer(client, &error),
                            &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(0), .key = kur_bytes_text("k"),
                                         .value = kur_bytes_text("20 1"), .headers = forged, .header_count = 3),
                            &error),
          error);
    flush(client);
    ck_assert(support_wait(&book.done, 6));
    ck_assert_int_eq(book.attempts[20], 2);
    expect_counted(listener, 1, 2, 1);
    ck_assert_int_eq(book.wrong_attempt, 2); /* the first and the fourth; that in a main topic is its first attempt */
    ck_assert_int_eq(book.changed, 1);       /* what comes from elsewhere stands for itself */
    kur_listener_free(listener);
    end();
}
END_TEST

/* What is told of so many retries and dead letters. */
static void expect_told(kur_listener *listener, int retried, int dead)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    const kur_retry_health *health;
    int64_t late = 0;
    ck_ok(kur_listener_retries(listener, arena, &health, &error), error);
    ck_assert_uint_eq(health->tier_count, 5);
    ck_assert_int_eq(health->tiers[0]->tier, KUR_TIER_SHORT);
    ck_assert_int_eq(health->tiers[0]->forwarded, retried);
    ck_assert_int_eq(health->tiers[4]->forwarded, dead);
    ck_assert_uint_eq(health->cause_count, 1);
    ck_assert_str_eq(health->causes[0]->cause, "test.fails");
    ck_assert_int_eq(health->causes[0]->retried, retried);
    ck_assert_int_eq(health->causes[0]->dead, dead);
    for (int i = 0; i < KUR_LATENESS_BUCKETS; i++)
        late += health->lateness[i];
    ck_assert_int_eq(late, retried);
    ck_assert_int_eq(health->failing_ms, 0);
    ck_assert_int_eq(health->moved, 0);
    kur_arena_free(arena);
}

START_TEST(test_retry__many_records_that_fail_some_times_each)
{
    begin(0);
    const char *topic = book.topic = support_topic(4), *group = support_name("retry");
    int count = support_is_real() ? 10000 : 2000, failed = 0, dead = 0;
    kur_retry_policy policy = by_topic;
    policy.delay_ms = 20;
    policy.attempts = 5;
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.retry = &policy, .concurrency = 16, .retry_topics = &KUR_RETRY_TOPICS());
    kur_listener *listener = listen_whole(&options, topic, group, 4);
    for (int i = 0; i < count; i++) {
        int failures = i * 7919 % 6;
        send_one(topic, i % 4, i, failures, 0);
        failed += failures < 5 ? failures : 4;
        dead += failures == 5;
    }
    flush(client);
    /* A minute for each thousand of them at most: on a slow day all of it takes longer than one. */
    for (int done = 1000; done < count - dead; done += 1000)
        ck_assert_msg(support_wait(&book.done, done), "%d of %d", book.done, count - dead);
    ck_assert(support_wait(&book.done, count - dead));
    ck_assert(wait_for(listener, has_finished, count + failed));
    ck_assert_int_eq(health_of(listener).rejected, dead);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(book.attempts[i], i * 7919 % 6 < 5 ? i * 7919 % 6 + 1 : 5);
    ck_assert_int_eq(book.early, 0);
    ck_assert_int_eq(book.wrong_attempt, 0);
    ck_assert_int_eq(book.changed, 0);
    expect_told(listener, failed, dead);
    kur_listener_free(listener);
    end();
}
END_TEST

START_TEST(test_retry__exactly_once_forwards_in_transactions)
{
    skip_unless(support_is_real(), "the embedded broker has no transactions");
    begin(DELAY_MS * 1000);
    keep_what_is_told();
    const char *topic = book.topic = support_topic(2), *group = support_name("retry");
    kur_retry_policy policy = by_topic;
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.retry = &policy, .concurrency = 4, .guarantee = KUR_EXACTLY_ONCE,
                             .retry_topics = &KUR_RETRY_TOPICS());
    send_one(topic, 1, 100, 1, 0);
    flush(client);
    kur_listener *listener = listen_whole(&options, topic, group, 2);
    ck_assert(support_wait(&book.done, 1));
    ck_assert_int_eq(count_in_log("refused"), 0); /* its topics were made meanwhile, as ever */
    for (int i = 0; i < 100; i++)
        send_one(topic, i % 2, i, i < 90 ? i % 3 : 100, 0);
    flush(client);
    ck_assert(support_wait(&book.done, 91));
    ck_assert(wait_for(listener, has_finished, 2 + 100 + 30 * (1 + 2)));
    for (int i = 0; i < 90; i++)
        ck_assert_int_eq(book.attempts[i], i % 3 + 1);
    ck_assert_int_eq(book.early, 0);
    ck_assert_int_eq(health_of(listener).rejected, 10);
    kur_record *records[10];
    kur_consumer *consumer;
    ck_assert_uint_eq(read_all(name_of(topic, group, KUR_TIER_DEAD), records, 10, &consumer), 10);
    kur_consumer_free_records(consumer, records, 10);
    kur_consumer_free(consumer);
    kur_listener_free(listener);
    end();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_retry__comes_again_as_it_was_and_never_early,
        test_retry__the_key_goes_on_meanwhile,
        test_retry__dead_letters_hold_the_record_and_its_story,
        test_retry__a_restart_keeps_what_waits,
        test_retry__in_place_first_then_by_topic,
        test_retry__a_cause_has_dead_letters_of_its_own,
        test_retry__causes_decide,
        test_retry__without_dead_letters_each_drop_is_told,
        test_retry__a_delayed_first_delivery_waits,
        test_retry__a_time_too_far_ahead_counts_from_when_it_was_written,
        test_retry__headers_from_outside_are_believed_within_limits,
        test_retry__many_records_that_fail_some_times_each,
        test_retry__exactly_once_forwards_in_transactions,
        NULL,
    };
    int status = check_main("retry", tests);
    support_stop();
    return status;
}
