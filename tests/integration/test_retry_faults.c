/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Retry topics and dead letters when something is in the way: topics that are not there yet, records that are too
 * large, the retention of old records, what anyone may write on them, members that come and go.
 */
#include <kurier/retry.h>
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "../kept_log.h"
#include "../listening.h"
#include "../proxy.h"

enum {
    NUMBERS = 20000,
    DAY_S = 24 * 3600
};

static kur_client *client;
static kur_admin *admin;
static kur_arena *arena;

/* ---- A log ---- */

static void begin(void)
{
    kur_error error = {0};
    log_text[0] = '\0';
    client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests",
                                                .log = keep_log, .log_level = KUR_LOG_WARNING),
                            &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    admin = kur_admin_new(client, &error);
    arena = kur_arena_new();
    ck_assert_msg(admin != NULL && arena != NULL, "%s", error.message);
}

static void end(void)
{
    kur_arena_free(arena);
    kur_admin_free(admin);
    kur_client_unref(client);
}

/* ---- Topics and what is in them ---- */

static const char *name_of(const char *topic, const char *group, kur_tier tier)
{
    kur_error error = {0};
    kur_buffer name = {0};
    ck_ok(kur_retry_topic(&name, NULL, topic, group, tier, NULL, &error), error);
    char *text = kur_arena_alloc(arena, name.size + 1);
    memcpy(text, name.data, name.size + 1);
    kur_buffer_done(&name);
    return text;
}

static void create(const kur_topic_spec *spec)
{
    kur_error error = {0};
    ck_ok(kur_admin_create_topics(admin, spec, 1, WAIT_MS, &error), error);
}

static const kur_topic_view *describe(const char *topic)
{
    kur_error error = {0};
    const kur_topic_view *view = NULL;
    ck_ok(kur_admin_describe_topic(admin, topic, WAIT_MS, arena, &view, &error), error);
    return view;
}

/* Copies of all of a topic that is there now or comes until there are so many. */
static size_t read_all(const char *topic, kur_record **records, size_t wanted)
{
    kur_error error = {0};
    size_t count = 0;
    const char *topics[] = {topic, NULL};
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    for (int64_t until_ms = now_ms() + WAIT_MS; count < wanted && now_ms() < until_ms;) {
        kur_record *record = NULL;
        kur_consumer_poll(consumer, 100, &record, NULL);
        if (record == NULL)
            continue;
        records[count++] = kur_record_copy(record, &error);
        kur_consumer_free_records(consumer, &record, 1);
    }
    kur_consumer_free(consumer);
    return count;
}

static void free_all(kur_record **records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        kur_record_free(records[i]);
}

static kur_retry_view read_view(const kur_record *record)
{
    kur_error error = {0};
    kur_retry_view view = KUR_RETRY_VIEW();
    ck_ok(kur_retry_read(record, KUR_HEADERS_KURIER, kur_clock_now_us(), arena, &view, &error), error);
    return view;
}

/* ---- A book ---- */

/* A record's value begins with its number; how often it was handled, and what its bytes came to. */
static struct book {
    atomic_int handled[NUMBERS], done, all;
    atomic_int changed;
    _Atomic uint64_t sums[NUMBERS];
    int failures; /* of each */
    bool rejects; /* after those */
    int64_t delay_ms;
} book;

static uint64_t add(uint64_t sum, kur_bytes bytes)
{
    const unsigned char *at = bytes.data;
    for (size_t i = 0; i < bytes.size; i++)
        sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
    return sum * 31 + bytes.size;
}

/* Of key, value and its own headers. */
static uint64_t sum_of(const kur_record *record)
{
    uint64_t sum = add(add(1, kur_record_key(record)), kur_record_value(record));
    kur_header header;
    for (size_t i = 0; kur_record_header(record, i, &header); i++)
        if (!kur_retry_is_header(header.name, KUR_HEADERS_KURIER))
            sum = add(add(sum, kur_bytes_text(header.name)), header.value);
    return sum;
}

static int number_of(const kur_record *record)
{
    char text[16] = "";
    kur_bytes value = kur_record_value(record);
    memcpy(text, value.data, value.size < sizeof text - 1 ? value.size : sizeof text - 1);
    int number = atoi(text);
    ck_assert(number >= 0 && number < NUMBERS);
    return number;
}

static kur_outcome handle(kur_delivery *delivery, void *user)
{
    (void)user;
    const kur_record *record = kur_delivery_record(delivery);
    int number = number_of(record), before = book.handled[number]++;
    uint64_t sum = sum_of(record);
    book.changed += before > 0 && book.sums[number] != sum;
    book.sums[number] = sum;
    book.all++;
    if (before < book.failures)
        return book.delay_ms != 0 ? kur_retry_after(delivery, book.delay_ms, "test.fails", "attempt %d", before + 1)
                                  : kur_retry(delivery, "test.fails", "attempt %d", before + 1);
    if (book.rejects)
        return kur_reject(delivery, "test.never", "never");
    book.done++;
    return KUR_DONE;
}

static const kur_retry_policy by_topic = {.size = sizeof by_topic,
                                          .mode = KUR_RETRY_BY_TOPIC,
                                          .attempts = 4,
                                          .delay_ms = 50,
                                          .multiplier = 1,
                                          .jitter = KUR_NONE};

static kur_listener *listen_to(const char *topic, const char *group)
{
    return listen(client,
                  &KUR_LISTENER_OPTIONS(.retry = &by_topic, .concurrency = 4, .retry_topics = &KUR_RETRY_TOPICS()),
                  topic, group, handle, NULL);
}

/* ---- Topics that are not there yet ---- */

enum {
    GROUPS = 6
};

/* Records fail before the topics are made, which a broker that makes topics by itself would make otherwise. */
START_TEST(test_retry_faults__topics_are_never_made_by_the_way)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    begin();
    memset(&book, 0, sizeof book);
    book.failures = GROUPS;
    kur_listener *listeners[GROUPS];
    const char *topic = support_topic(3), *groups[GROUPS];
    for (int i = 0; i < 300; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        send_text(client, topic, i % 3, "k", value);
    }
    flush(client);
    for (int i = 0; i < GROUPS; i++)
        listeners[i] = listen_to(topic, groups[i] = support_name("g"));
    ck_assert(support_wait(&book.all, 300 * (GROUPS + 1)));
    for (int i = 0; i < GROUPS; i++) {
        ck_assert(wait_for(listeners[i], has_finished, 300));
        for (int tier = KUR_TIER_SHORT; tier <= KUR_TIER_DEAD; tier++) {
            if (tier == KUR_TIER_ORDERED)
                continue;
            const kur_topic_view *view = describe(name_of(topic, groups[i], (kur_tier)tier));
            ck_assert_uint_eq(view->partition_count, 3);
            ck_assert_int_eq(view->retention_ms, (tier == KUR_TIER_DEAD ? 7 : 37) * INT64_C(1000) * DAY_S);
        }
        kur_listener_free(listeners[i]);
    }
    ck_assert_int_eq(count_in_log("should be"), 0);
    end();
}
END_TEST

/* ---- Forwards that only seem to have arrived ---- */

enum {
    FORWARDED = 30
};

/*
 * The first request to a topic that has just come into being is refused, and those behind it are taken: of what was in
 * the first, librdkafka says that it was delivered.
 */
static void forward_by_proxy(kur_tier tier, bool rejects)
{
    begin();
    kur_client_unref(client);
    kur_error error = {0};
    const kur_property one_by_one[] = {{"batch.num.messages", "1"}, {NULL, NULL}};
    struct proxy *proxy = proxy_new(support_bootstrap());
    client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests",
                                           .log = keep_log, .log_level = KUR_LOG_WARNING, .properties = one_by_one),
                       &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    memset(&book, 0, sizeof book);
    book.failures = rejects ? 0 : 1;
    book.rejects = rejects;
    const char *topic = support_topic(1), *group = support_name("g"), *to = name_of(topic, group, tier);
    for (int i = 0; i < FORWARDED; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        send_text(client, topic, 0, NULL, value);
    }
    flush(client);
    proxy_misdirect(proxy, to);
    kur_listener *listener = listen_to(topic, group);
    ck_assert_msg(wait_for(listener, has_finished, FORWARDED), "%s", log_text);
    ck_assert(proxy_has_lost(proxy));
    if (rejects) {
        bool is_there[FORWARDED] = {false};
        kur_record *letters[FORWARDED + 1];
        size_t count = read_all(to, letters, FORWARDED);
        for (size_t i = 0; i < count; i++)
            is_there[number_of(letters[i])] = true;
        for (int i = 0; i < FORWARDED; i++)
            ck_assert_msg(is_there[i], "letter %d is missing: %s", i, log_text);
        free_all(letters, count);
    } else {
        ck_assert_msg(support_wait(&book.done, FORWARDED), "%d of %d: %s", book.done, FORWARDED, log_text);
    }
    kur_listener_free(listener);
    end();
    proxy_free(proxy);
}

START_TEST(test_retry_faults__a_retry_that_only_seems_to_have_arrived)
{
    forward_by_proxy(KUR_TIER_SHORT, false);
}
END_TEST

START_TEST(test_retry_faults__a_dead_letter_that_only_seems_to_have_arrived)
{
    forward_by_proxy(KUR_TIER_DEAD, true);
}
END_TEST

/* ---- Too large ---- */

static void send_large(kur_producer *producer, const char *topic, int number, size_t value_size, size_t headers_size,
                       kur_status expected)
{
    kur_error error = {0};
    char *bytes = malloc(value_size + headers_size + 16);
    memset(bytes, 'x', value_size + headers_size + 16);
    int size = sprintf(bytes, "%d", number);
    bytes[size] = ' ';
    kur_header headers[] = {{"own-a", kur_bytes_of(bytes, headers_size / 2)},
                            {"own-b", kur_bytes_of(bytes, headers_size - headers_size / 2)}};
    kur_message message = KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(0), .key = kur_bytes_text("key"),
                                      .value = kur_bytes_of(bytes, value_size), .headers = headers, .header_count = 2);
    ck_status(kur_producer_send_wait(producer, &message, WAIT_MS, NULL, &error), expected, error);
    free(bytes);
}

/* The largest record that a topic takes, nearly half of which are headers, goes to its retry topic as it is. */
START_TEST(test_retry_faults__the_largest_record_is_forwarded_as_it_is)
{
    enum {
        MOST = 3000000,
        OVERHEAD = 61 + 40 /* of a batch and a record */
    };
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    begin();
    kur_error error = {0};
    memset(&book, 0, sizeof book);
    book.failures = 2;
    const char *topic = support_name("t"), *group = support_name("g");
    create(&KUR_TOPIC_SPEC(.name = topic, .partitions = 1, .max_message_bytes = MOST));
    kur_producer *producer = kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.record_bytes = 2 * MOST), &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    send_large(producer, topic, 0, 1600000, MOST - 1600000 - OVERHEAD, KUR_OK);
    send_large(producer, topic, 1, 1600000, MOST - 1600000, KUR_ERROR_TOO_LARGE);
    kur_producer_free(producer);
    kur_listener *listener = listen_to(topic, group);
    ck_assert(support_wait(&book.done, 1));
    ck_assert(wait_for(listener, has_finished, 3));
    ck_assert_int_eq(book.handled[0], 3);
    ck_assert_int_eq(book.changed, 0);
    ck_assert_int_eq(health_of(listener).rejected, 0);
    kur_listener_free(listener);
    end();
}
END_TEST

enum {
    LARGE = 50, /* 100 records, of which these are too large */
    LARGER,
    LARGEST,
    RECORDS = 100
};

/*
 * Topics that take less than they should: who is too large for a retry topic is a dead letter, whole, or without what
 * can be left out, or told by a stub; and all that was in a batch with it is retried as ever.
 */
static void forward_too_large(kur_guarantee guarantee)
{
    begin();
    memset(&book, 0, sizeof book);
    book.failures = 1;
    const char *topic = support_topic(1), *group = support_name("g");
    create(&KUR_TOPIC_SPEC(.name = name_of(topic, group, KUR_TIER_SHORT), .partitions = 1, .max_message_bytes = 20000));
    create(&KUR_TOPIC_SPEC(.name = name_of(topic, group, KUR_TIER_DEAD), .partitions = 1, .max_message_bytes = 40000));
    kur_error error = {0};
    kur_producer *producer = kur_client_producer(client, &error);
    for (int i = 0; i < RECORDS; i++) {
        if (i < LARGE || i > LARGEST)
            send_large(producer, topic, i, 100, 10, KUR_OK);
        else
            send_large(producer, topic, i, i == LARGEST ? 60000 : 30000, i == LARGER ? 20000 : 5000, KUR_OK);
    }
    kur_listener *listener = listen(client,
                                    &KUR_LISTENER_OPTIONS(.retry = &by_topic, .concurrency = 4, .guarantee = guarantee,
                                                          .order = KUR_UNORDERED, .retry_topics = &KUR_RETRY_TOPICS()),
                                    topic, group, handle, NULL);
    /* Exactly once, each that is judged alone is so in a transaction of its own. */
    ck_assert(wait_for(listener, has_finished, 2 * RECORDS - 3));
    for (int i = 0; i < RECORDS; i++)
        ck_assert_int_eq(book.handled[i], i < LARGE || i > LARGEST ? 2 : 1);
    ck_assert_int_eq(book.changed, 0);
    ck_assert_int_eq(health_of(listener).rejected, 3);
    kur_listener_free(listener);

    kur_record *letters[3];
    int seen = 0;
    ck_assert_uint_eq(read_all(name_of(topic, group, KUR_TIER_DEAD), letters, 3), 3);
    for (int i = 0; i < 3; i++) {
        kur_retry_view view = read_view(letters[i]);
        size_t size = kur_record_value(letters[i]).size;
        seen |= 1 << (view.offset - LARGE);
        ck_assert_str_eq(view.topic, topic);
        ck_assert_str_eq(view.cause, "test.fails");
        ck_assert_int_eq(view.attempt, 1);
        ck_assert_int_eq(memcmp(kur_record_key(letters[i]).data, "key", 3), 0);
        ck_assert_int_eq(view.is_stub, view.offset != LARGE);
        ck_assert_uint_eq(size, view.offset == LARGEST ? 0 : 30000);
        if (view.offset == LARGE)
            ck_assert_uint_eq(sum_of(letters[i]), book.sums[LARGE]);
    }
    ck_assert_int_eq(seen, 7);
    ck_assert_int_eq(count_in_log("is too large for the short topic, and goes to the dead letters"), 3);
    ck_assert_int_eq(count_in_log("is too large for the dead letters: they tell where it is"), 1);
    free_all(letters, 3);
    end();
}

START_TEST(test_retry_faults__what_is_too_large_is_a_dead_letter_and_costs_no_other)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    forward_too_large(KUR_AT_LEAST_ONCE);
    forward_too_large(KUR_EXACTLY_ONCE);
}
END_TEST

START_TEST(test_retry_faults__what_is_too_large_is_rejected_where_there_are_no_dead_letters)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    for (int i = 0; i < 2; i++) {
        begin();
        memset(&book, 0, sizeof book);
        book.failures = 1;
        const char *topic = support_topic(1), *group = support_name("g");
        create(&KUR_TOPIC_SPEC(.name = name_of(topic, group, KUR_TIER_SHORT), .partitions = 1,
                               .max_message_bytes = 20000));
        kur_error error = {0};
        send_large(kur_client_producer(client, &error), topic, 0, 30000, 10, KUR_OK);
        kur_listener *listener =
            listen(client,
                   &KUR_LISTENER_OPTIONS(.retry = &by_topic, .guarantee = i == 0 ? KUR_AT_LEAST_ONCE : KUR_EXACTLY_ONCE,
                                         .dead_letters = KUR_NO_DEAD_LETTER, .retry_topics = &KUR_RETRY_TOPICS()),
                   topic, group, handle, NULL);
        ck_assert_msg(wait_for(listener, has_finished, 1), "%s", log_text);
        ck_assert_int_eq(book.handled[0], 1);
        ck_assert_int_eq(health_of(listener).rejected, 1);
        ck_assert_int_eq(count_in_log("is too large for the short topic, and is rejected"), 1);
        ck_assert_int_eq(count_in_log("dropped after 1 attempts"), 1);
        kur_listener_free(listener);
        end();
    }
}
END_TEST

/* ---- Retention ---- */

static int64_t beginning_of(const char *topic)
{
    return describe(topic)->partitions[0]->start_offset;
}

/*
 * Records of last month in topics that keep them for an hour: a forward that carried their time would be gone at once,
 * as the control is, which a plain producer sends.
 */
START_TEST(test_retry_faults__an_old_record_is_not_taken_by_retention)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    begin();
    kur_error error = {0};
    memset(&book, 0, sizeof book);
    book.failures = 1;
    book.delay_ms = 1800 * 1000;
    int64_t old_us = (kur_clock_now_us() / 1000 - 30 * INT64_C(1000) * DAY_S) * 1000;
    const char *topic = support_name("t"), *group = support_name("g"), *control = support_name("control");
    const char *medium = name_of(topic, group, KUR_TIER_MEDIUM), *dead = name_of(topic, group, KUR_TIER_DEAD);
    create(&KUR_TOPIC_SPEC(.name = topic, .partitions = 1, .retention_ms = KUR_NONE));
    const char *const short_lived[] = {control, medium, dead};
    for (int i = 0; i < 3; i++)
        create(&KUR_TOPIC_SPEC(.name = short_lived[i], .partitions = 1, .retention_ms = 3600 * 1000));
    kur_producer *producer = kur_client_producer(client, &error);
    for (int i = 0; i < 2; i++) {
        kur_message message = KUR_MESSAGE(.topic = i == 0 ? topic : control, .partition = KUR_PARTITION(0),
                                          .value = kur_bytes_text("0"), .timestamp_us = old_us);
        ck_ok(kur_producer_send_wait(producer, &message, WAIT_MS, NULL, &error), error);
    }
    kur_listener *listener = listen_to(topic, group);
    ck_assert(wait_for(listener, has_finished, 1));
    kur_listener_free(listener);
    /* And the same record straight to the dead letters. */
    memset(&book, 0, sizeof book);
    book.rejects = true;
    kur_message again = KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(0), .value = kur_bytes_text("1"),
                                    .timestamp_us = old_us);
    ck_ok(kur_producer_send_wait(producer, &again, WAIT_MS, NULL, &error), error);
    listener = listen_to(topic, group);
    ck_assert(wait_for(listener, has_finished, 1));
    kur_listener_free(listener);
    /* Another control, behind them: when it is gone, they have been looked at too. */
    kur_message last = KUR_MESSAGE(.topic = control, .partition = KUR_PARTITION(0), .value = kur_bytes_text("last"),
                                   .timestamp_us = old_us);
    ck_ok(kur_producer_send_wait(producer, &last, WAIT_MS, NULL, &error), error);
    for (int64_t until_ms = now_ms() + 2 * WAIT_MS; beginning_of(control) < 2 && now_ms() < until_ms; nap(200))
        ;
    ck_assert_int_eq(beginning_of(control), 2);
    const char *const ours[] = {medium, dead};
    for (int i = 0; i < 2; i++) {
        kur_record *record;
        ck_assert_int_eq(beginning_of(ours[i]), 0);
        ck_assert_uint_eq(read_all(ours[i], &record, 1), 1);
        ck_assert_int_eq(read_view(record).timestamp_us, old_us);
        ck_assert_int_ge(kur_record_timestamp_us(record), kur_clock_now_us() - 600 * INT64_C(1000000));
        kur_record_free(record);
    }
    end();
}
END_TEST

/* ---- From outside ---- */

/* The embedded broker makes them with partitions of its own number. */
static bool has_all_topics(const kur_listener_health *health, int64_t wanted)
{
    return health->assigned >= wanted;
}

enum {
    HOSTILE = 10000, /* records, and headers of some */
    KINDS = 5
};

static long resident_kbytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* What somebody writes on a record; `many` headers that say nothing. */
static size_t forge(kur_header *headers, int kind, size_t many, const char *topic)
{
    static const char *const forged[KINDS][8] = {
        {"kurier-retry-attempt", "2147483647", "kurier-retry-due", "9999-12-31T23:59:59.999999Z"},
        {"kurier-retry-attempt", "-1", "kurier-retry-due", "never", "kurier-retry-offset", "99999999999999999999"},
        {"kurier-retry-attempt", "1000000000000", "kurier-retry-first-failed", "0000-00-00T00:00:00Z"},
        {"kurier-retry-history", "1 1 1 1;;;;;;;; 2 2 x", "kurier-retry-partition", "-7", "kurier-retry-offset", "-1"},
        {"kurier-retry-group", "somebody-else", "kurier-retry-attempt", "2"},
    };
    size_t count = 0;
    for (size_t i = 0; i < many; i++)
        headers[count++] = (kur_header){i % 2 == 0 ? "kurier-retry-attempt" : "x", kur_bytes_text("1")};
    for (int i = 0; i < 8 && forged[kind][i] != NULL; i += 2)
        headers[count++] = (kur_header){forged[kind][i], kur_bytes_text(forged[kind][i + 1])};
    if (kind == 3)
        headers[count++] = (kur_header){"kurier-retry-topic", kur_bytes_text(topic)};
    return count;
}

static void send_forged(kur_producer *producer, const char *to, const char *topic, int number, size_t many)
{
    static kur_header headers[HOSTILE + 8];
    char value[16];
    kur_error error = {0};
    snprintf(value, sizeof value, "%d", number);
    kur_message message = KUR_MESSAGE(.topic = to, .partition = KUR_PARTITION(0), .value = kur_bytes_text(value),
                                      .headers = headers, .verbatim = true);
    message.header_count = forge(headers, number % KINDS, many, topic);
    ck_ok(kur_producer_send(producer, &message, &error), error);
}

/*
 * Headers that anyone has written on a main topic say nothing; on a retry topic they count within their limits: what is
 * far away waits, what is another group's is left to it, and nothing stands still or grows.
 */
START_TEST(test_retry_faults__headers_from_outside_stall_nothing)
{
    begin();
    kur_error error = {0};
    memset(&book, 0, sizeof book);
    const char *topic = support_topic(1), *group = support_name("g"), *retry = name_of(topic, group, KUR_TIER_SHORT);
    kur_listener *listener = listen_to(topic, group);
    ck_assert(wait_for(listener, has_all_topics, 4));
    kur_producer *producer =
        kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.queue_wait_ms = WAIT_MS, .queue_records = 4 * HOSTILE), &error);
    long before_kbytes = resident_kbytes();
    int step = support_is_real() ? 100 : 1000; /* the embedded broker keeps 5 MB of a partition */
    int64_t begun_ms = now_ms();
    /* A retry topic has none of the others' first attempts: number 5,000 and on are sent there, below to the main one.
     */
    for (int i = 0; i < HOSTILE; i++)
        send_forged(producer, i < HOSTILE / 2 ? topic : retry, topic, i, i % step == 0 ? HOSTILE : 3);
    ck_ok(kur_producer_flush(producer, WAIT_MS, &error), error);
    kur_producer_free(producer);
    send_text(client, topic, 0, NULL, "19999"); /* and one that is honest, behind all of them */
    flush(client);
    /* Of the retry topic a fifth is due in thirty days, and a fifth is another group's. */
    int runs = HOSTILE / 2 + HOSTILE / 2 * 3 / 5 + 1;
    ck_assert_msg(support_wait(&book.all, runs), "%d of %d handled", book.all, runs);
    int64_t took_ms = now_ms() - begun_ms;
    ck_assert(wait_for(listener, has_finished, runs + HOSTILE / 2 / 5));
    for (int i = 0; i < HOSTILE; i++)
        ck_assert_msg(book.handled[i] == (i >= HOSTILE / 2 && (i % KINDS == 0 || i % KINDS == 4) ? 0 : 1),
                      "%d was handled %d times", i, book.handled[i]);
    ck_assert_int_eq(book.handled[19999], 1);
    kur_listener_health health = health_of(listener);
    ck_assert_int_eq(health.rejected, 0);
    ck_assert_int_eq(health.held, HOSTILE / 2 / 5);
    printf("# %d records with forged headers, %d of them with %d: handled in %d ms, %ld MiB more\n", HOSTILE,
           HOSTILE / step, HOSTILE, (int)took_ms, (resident_kbytes() - before_kbytes) / 1024);
    ck_assert_int_lt(resident_kbytes() - before_kbytes, 400 * 1024);
    kur_listener_free(listener);
    end();
}
END_TEST

/* ---- Members that come and go ---- */

enum {
    COMING = 5 /* members that come and go again */
};

static atomic_bool sending;
static atomic_int sent;

static void *send_on(void *user)
{
    const char *topic = user;
    for (; sending && sent < NUMBERS - 1; ++sent) {
        int i = sent;
        char key[16], value[16];
        snprintf(key, sizeof key, "k%d", i % 101);
        snprintf(value, sizeof value, "%d", i);
        send_text(client, topic, i % 4, key, value);
        if (i % 2 == 0)
            nap(10);
    }
    flush(client);
    return NULL;
}

static int count_missing(void)
{
    int missing = 0;
    for (int i = 0; i < sent; i++)
        missing += book.handled[i] < 3;
    return missing;
}

static kur_listener *join(const char *topic, const char *group)
{
    return listen(client,
                  &KUR_LISTENER_OPTIONS(.retry = &by_topic, .concurrency = 4, .commit_interval_ms = 100,
                                        .session_timeout_ms = 10000, .retry_topics = &KUR_RETRY_TOPICS()),
                  topic, group, handle, NULL);
}

/* Each record fails twice; those that go give back what they have. */
START_TEST(test_retry_faults__members_come_and_go_under_the_load_of_retries)
{
    begin();
    kur_error error = {0};
    memset(&book, 0, sizeof book);
    book.failures = 2;
    const char *topic = support_topic(4), *group = support_name("g");
    kur_listener *stays = join(topic, group), *comes = NULL;
    pthread_t producer;
    ck_assert(wait_for(stays, has_all_topics, 4 * 4));
    sending = true;
    sent = 0;
    ck_assert_int_eq(pthread_create(&producer, NULL, send_on, (void *)topic), 0);
    int64_t lost = 0, stale = 0;
    int coming = support_is_real() ? COMING : 2;
    for (int i = 0; i < coming; i++) {
        comes = join(topic, group);
        ck_assert(wait_for(comes, is_assigned, 4 * 2));
        ck_assert(wait_for(stays, is_assigned, 4 * 2));
        int before = book.all;
        ck_assert(support_wait(&book.all, before + 500));
        ck_ok(kur_listener_stop(comes, WAIT_MS, &error), error);
        lost += health_of(comes).lost;
        stale += health_of(comes).stale;
        kur_listener_free(comes);
        ck_assert(wait_for(stays, is_assigned, 4 * 4));
    }
    sending = false;
    pthread_join(producer, NULL);
    int64_t until_ms = now_ms() + WAIT_MS;
    while ((count_missing() > 0 || health_of(stays).held > 0) && now_ms() < until_ms)
        nap(20);
    lost += health_of(stays).lost;
    stale += health_of(stays).stale;
    int missing = count_missing(), repeated = 0;
    for (int i = 0; i < sent; i++)
        repeated += book.handled[i] > 3 ? book.handled[i] - 3 : 0;
    printf("# %d members come and go under retries: %d records, %d lost, %d repeated, %d results came too late, %d "
           "assignments lost\n",
           coming, sent, missing, repeated, (int)stale, (int)lost);
    ck_assert_int_eq(missing, 0);
    ck_assert_int_eq(book.changed, 0);
    ck_assert_int_eq(health_of(stays).held, 0);
    ck_assert_int_eq(health_of(stays).rejected, 0);
    if (support_is_real() && lost == 0)
        ck_assert_int_eq(repeated, 0);
    kur_listener_free(stays);
    end();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_retry_faults__topics_are_never_made_by_the_way,
        test_retry_faults__a_retry_that_only_seems_to_have_arrived,
        test_retry_faults__a_dead_letter_that_only_seems_to_have_arrived,
        test_retry_faults__the_largest_record_is_forwarded_as_it_is,
        test_retry_faults__what_is_too_large_is_a_dead_letter_and_costs_no_other,
        test_retry_faults__what_is_too_large_is_rejected_where_there_are_no_dead_letters,
        test_retry_faults__an_old_record_is_not_taken_by_retention,
        test_retry_faults__headers_from_outside_stall_nothing,
        test_retry_faults__members_come_and_go_under_the_load_of_retries,
        NULL,
    };
    int status = check_main("retry_faults", tests);
    support_stop();
    return status;
}
