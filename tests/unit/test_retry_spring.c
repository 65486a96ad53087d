/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Spring Kafka's headers, byte for byte as Spring Kafka 4.1 writes and reads them: the vectors are computed by hand
 * from its encodings, and tests/interop/spring.py holds them against its own classes.
 */
#include "../check_main.h"
#include "retrying.h"

static kur_retry_view read_view(const kur_record *from)
{
    kur_error error = {0};
    kur_retry_view view = KUR_RETRY_VIEW();
    kur_arena_reset(arena);
    ck_ok(kur_retry_read(from, KUR_HEADERS_SPRING, NOW, arena, &view, &error), error);
    return view;
}

static size_t write_view(const kur_record *from, kur_tier tier, const kur_retry_view *view, size_t max_bytes,
                         const kur_header **headers)
{
    kur_error error = {0};
    size_t count = 0;
    ck_ok(kur_retry_write(from, KUR_HEADERS_SPRING, tier, view, max_bytes, arena, headers, &count, &error), error);
    return count;
}

/* The record of these headers, in a topic of that name. */
static const kur_record *make_in(const char *topic, const kur_header *headers)
{
    size_t count = 0; /* they may lie in the record of before */
    while (headers[count].name != NULL)
        count++;
    kur_record_parts parts = {.topic = topic, .headers = headers, .header_count = count};
    kur_record *other = kur_record_build(&parts, NULL);
    ck_assert_ptr_nonnull(other);
    kur_record_free(record);
    record = other;
    return record;
}

/*
 * 1795988000000 ms is 0x01a2293a0d00; 1,001 ms later 0x01a2293a10e9, 500 ms before 0x01a2293a0b0c. 1234567890123 is
 * 0x011f71fb04cb. The first byte of the time has its highest bit clear, so that six bytes hold the sign as well.
 */
#define TIME_6 "\x01\xa2\x29\x3a\x0d\x00"

#define WRITTEN                                                                                                        \
    TEXT("kafka_exception-fqcn", "smtp.timeout"), TEXT("kafka_exception-cause-fqcn", "smtp.timeout"),                  \
        TEXT("kafka_exception-message", "421 nobody is \xc3\xa0 la maison"), TEXT("kafka_original-topic", "orders"),   \
        TEXT("kafka_original-partition", "\0\0\1\2"),                                                                  \
        TEXT("kafka_original-offset", "\x00\x00\x01\x1f\x71\xfb\x04\xcb"),                                             \
        TEXT("kafka_original-timestamp", "\0\0" TIME_6), TEXT("kafka_original-timestamp-type", "CreateTime"),          \
        TEXT("kafka_dlt-original-consumer-group", "email"), TEXT("retry_topic-original-timestamp", TIME_6)
#define OURS                                                                                                           \
    TEXT("kurier-retry-first-failed", "2026-11-29T21:33:19Z"),                                                         \
        TEXT("kurier-retry-failed", "2026-11-29T21:33:19.500Z"), TEXT("kurier-retry-code", "mail.c:88"),               \
        TEXT("kurier-retry-history", "1 2026-11-29T21:33:19Z smtp.refused"), TEXT("kurier-retry-stub", "1"),           \
        TEXT("kurier-retry-redriven", "2"), TEXT("kurier-retry-redrive-id", "r-1")

static const kur_header retry[] = {WRITTEN,
                                   TEXT("retry_topic-attempts", "\0\0\0\3"),
                                   TEXT("retry_topic-backoff-timestamp", "\x01\xa2\x29\x3a\x10\xe9"),
                                   OURS,
                                   {NULL, {0}}};
static const kur_header dead[] = {WRITTEN,
                                  TEXT("retry_topic-attempts", "\0\0\0\4"),
                                  TEXT("retry_topic-backoff-timestamp", "\x01\xa2\x29\x3a\x0b\x0c"),
                                  OURS,
                                  {NULL, {0}}};

static const kur_attempt_view attempt = {sizeof attempt, 1, NOW - 1000000, "smtp.refused"};
static const kur_attempt_view *const attempts[] = {&attempt};
static const kur_retry_view told = {.size = sizeof told,
                                    .attempt = 3,
                                    .due_us = NOW + 1000001, /* half a millisecond early would be early */
                                    .first_failed_us = NOW - 1000000,
                                    .failed_us = NOW - 500000,
                                    .topic = "orders",
                                    .partition = 258,
                                    .offset = INT64_C(1234567890123),
                                    .timestamp_us = NOW,
                                    .group = "email",
                                    .cause = "smtp.timeout",
                                    .message = "421 nobody is \xc3\xa0 la maison",
                                    .code = "mail.c:88",
                                    .attempt_count = 1,
                                    .attempts = attempts,
                                    .redriven = 2,
                                    .redrive_id = "r-1",
                                    .is_stub = true};

START_TEST(test_retry_spring__golden)
{
    const kur_header *headers;
    size_t count = write_view(RECORD({"x", {NULL, 0}}), KUR_TIER_SHORT, &told, 0, &headers);
    ck_headers(headers + 1, count - 1, retry);
    count = write_view(record, KUR_TIER_DEAD, &told, 0, &headers);
    ck_headers(headers + 1, count - 1, dead);

    kur_retry_view view = read_view(make(retry)), expected = told;
    expected.due_us = NOW + 1001000;
    ck_same(&view, &expected);
    view = read_view(make_in("orders-smtp-dlt", dead));
    expected.due_us = 0;
    ck_same(&view, &expected);

    /* Whoever sends a record back to its main topic leaves nothing there that would be believed. */
    make(retry);
    count = write_view(record, KUR_TIER_MAIN, &told, 0, &headers);
    ck_headers(
        headers, count,
        (const kur_header[]){TEXT("kurier-retry-redriven", "2"), TEXT("kurier-retry-redrive-id", "r-1"), {NULL, {0}}});
}
END_TEST

/* As a Java service writes after two failures: what piles up, in its order; the last one is believed. */
START_TEST(test_retry_spring__of_a_java_service)
{
    kur_retry_view view = read_view(RECORD(
        TEXT("ce_id", "1"), TEXT("kafka_original-topic", "orders"), TEXT("kafka_original-partition", "\0\0\0\0"),
        TEXT("kafka_original-offset", "\0\0\0\0\0\0\0\5"), TEXT("kafka_original-timestamp", "\0\0" TIME_6),
        TEXT("kafka_original-timestamp-type", "LogAppendTime"), TEXT("kafka_dlt-original-consumer-group", "email"),
        TEXT("retry_topic-original-timestamp", TIME_6), TEXT("retry_topic-attempts", "\0\0\0\2"),
        TEXT("retry_topic-backoff-timestamp", "\x01\xa2\x29\x3a\x0b\x0c"),
        TEXT("kafka_exception-fqcn", "org.springframework.kafka.listener.ListenerExecutionFailedException"),
        TEXT("kafka_exception-cause-fqcn", "java.net.SocketTimeoutException"),
        TEXT("kafka_exception-message", "Listener failed;\n\tRead timed out"),
        TEXT("kafka_exception-stacktrace", "at Mail.send(Mail.java:88)\n"),
        TEXT("kafka_dlt-original-topic", "elsewhere"), TEXT("kafka_dlt-exception-message", "long ago"),
        TEXT("retry_topic-original-timestamp", TIME_6), TEXT("retry_topic-attempts", "\0\0\0\3"),
        TEXT("retry_topic-backoff-timestamp", "\x01\xa2\x29\x3a\x10\xe9")));
    const kur_retry_view expected =
        KUR_RETRY_VIEW(.attempt = 3, .due_us = NOW + 1001000, .topic = "orders", .partition = 0, .offset = 5,
                       .timestamp_us = NOW, .group = "email", .cause = "java.net.SocketTimeoutException",
                       .message = "Listener failed;  Read timed out", .code = "", .redrive_id = "");
    ck_same(&view, &expected);

    /* What has piled up goes, and the type of the timestamp stays, for nothing else tells it. */
    const kur_header *headers;
    size_t count = write_view(record, KUR_TIER_SHORT, &view, 0, &headers);
    ck_assert_uint_eq(count, 1 + 10 + 2);
    ck_assert_str_eq(headers[0].name, "ce_id");
    ck_assert_str_eq(headers[8].name, "kafka_original-timestamp-type");
    ck_assert(kur_bytes_equal(headers[8].value, kur_bytes_text("LogAppendTime")));
}
END_TEST

/* A service without retry topics has other names for it, and a key that cannot be read an exception of its own. */
START_TEST(test_retry_spring__of_a_plain_recoverer)
{
    kur_retry_view view = read_view(
        make_in("orders-dlt", (const kur_header[]){TEXT("kafka_dlt-original-topic", "orders"),
                                                   TEXT("kafka_dlt-original-partition", "\0\0\0\1"),
                                                   TEXT("kafka_dlt-original-offset", "\0\0\0\0\0\0\0\2"),
                                                   TEXT("kafka_dlt-original-timestamp", "\0\0" TIME_6),
                                                   TEXT("kafka_dlt-original-consumer-group", "email"),
                                                   TEXT("kafka_dlt-key-exception-fqcn", "a.DeserializationException"),
                                                   TEXT("kafka_dlt-key-exception-message", "not a key"),
                                                   {NULL, {0}}}));
    const kur_retry_view expected =
        KUR_RETRY_VIEW(.attempt = 1, .topic = "orders", .partition = 1, .offset = 2, .timestamp_us = NOW,
                       .group = "email", .cause = "a.DeserializationException", .message = "not a key", .code = "",
                       .redrive_id = "");
    ck_same(&view, &expected);
}
END_TEST

/* What its readers are lenient with, and what they refuse; never more attempts than were told. */
START_TEST(test_retry_spring__attempts)
{
    const struct {
        kur_header header;
        int attempt;
        bool is_clamped;
    } cases[] = {{TEXT("retry_topic-attempts", "\2"), 2, false},
                 {TEXT("retry_topic-attempts", "\xff"), 255, false}, /* not signed */
                 {TEXT("retry_topic-attempts", "2"), 50, false},     /* text is misread: by everyone alike */
                 {TEXT("retry_topic-attempts", "\0\0\x27\x10"), 10000, false},
                 {TEXT("retry_topic-attempts", "\0\0\x27\x11"), 10000, true},
                 {TEXT("retry_topic-attempts", "\0\0\x80\0"), 10000, true},
                 {TEXT("retry_topic-attempts", "\x7f\xff\xff\xff"), 10000, true},
                 {TEXT("retry_topic-attempts", "\xff\xff\xff\xff"), 1, true},
                 {TEXT("retry_topic-attempts", "\x80\0\0\0"), 1, true},
                 {TEXT("retry_topic-attempts", "\0\0\0\0"), 1, true},
                 {TEXT("retry_topic-attempts", "\0"), 1, true},
                 {TEXT("retry_topic-attempts", ""), 1, true},
                 {TEXT("retry_topic-attempts", "\0\2"), 1, true},
                 {TEXT("retry_topic-attempts", "\0\0\0\0\2"), 1, true},
                 {TEXT("retry_topic-attempts", "\0\0\0\0\0\0\0\2"), 1, true},
                 {{"retry_topic-attempts", {NULL, 0}}, 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_retry_view view = read_view(RECORD(TEXT("retry_topic-attempts", "\0\0\0\5"), cases[i].header));
        ck_assert_msg(view.attempt == cases[i].attempt, "case %zu: %d", i, view.attempt);
        ck_assert_msg(view.is_clamped == cases[i].is_clamped, "case %zu", i);
    }
    const kur_header *headers;
    size_t count = write_view(RECORD(TEXT("x", "")), KUR_TIER_DEAD, &KUR_RETRY_VIEW(.attempt = 20000), 0, &headers);
    kur_header copied[33] = {{0}};
    memcpy(copied, headers, count * sizeof *copied);
    kur_retry_view view = read_view(make_in("orders-dlt", copied));
    ck_assert_int_eq(view.attempt, 10000);
    ck_assert(!view.is_clamped);
    view = read_view(make_in("orders-dlt", (const kur_header[]){TEXT("retry_topic-attempts", "\1"), {NULL, {0}}}));
    ck_assert_int_eq(view.attempt, 1);
}
END_TEST

START_TEST(test_retry_spring__times)
{
    const struct {
        kur_header header;
        int64_t due_us;
        bool is_clamped;
    } cases[] = {{TEXT("retry_topic-backoff-timestamp", TIME_6), NOW, false},
                 {TEXT("retry_topic-backoff-timestamp", "\0" TIME_6), NOW, false},
                 {TEXT("retry_topic-backoff-timestamp", "\0\0" TIME_6), NOW, false},
                 {TEXT("retry_topic-backoff-timestamp", "\0\0\0" TIME_6), 0, true}, /* nine bytes */
                 {TEXT("retry_topic-backoff-timestamp", ""), 0, true},
                 {{"retry_topic-backoff-timestamp", {NULL, 0}}, 0, false},
                 {TEXT("retry_topic-backoff-timestamp", "\x7f"), 127000, false},
                 {TEXT("retry_topic-backoff-timestamp", "\0\x80"), 128000, false},
                 {TEXT("retry_topic-backoff-timestamp", "\x80"), 0, true}, /* -128 */
                 {TEXT("retry_topic-backoff-timestamp", "\x80\0\0\0\0\0\0\0"), 0, true},
                 {TEXT("retry_topic-backoff-timestamp", "\x01\xa2\xc3\xb8\xd5\x00"), NOW + 30 * DAY, false},
                 {TEXT("retry_topic-backoff-timestamp", "\x01\xa2\xc3\xb8\xd5\x01"), NOW + 30 * DAY, true},
                 {TEXT("retry_topic-backoff-timestamp", "\x7f\xff\xff\xff\xff\xff\xff\xff"), NOW + 30 * DAY, true},
                 {TEXT("retry_topic-backoff-timestamp", "1795988000000"), 0, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_retry_view view = read_view(RECORD(cases[i].header));
        ck_assert_msg(view.due_us == cases[i].due_us, "case %zu: %lld", i, (long long)view.due_us);
        ck_assert_msg(view.is_clamped == cases[i].is_clamped, "case %zu", i);
    }
}
END_TEST

/* A partition of one byte and such: Spring's own reader goes round in circles with it. */
START_TEST(test_retry_spring__origin)
{
    const kur_header topic = TEXT("kafka_original-topic", "orders"),
                     partition = TEXT("kafka_original-partition", "\0\0\0\1"),
                     offset = TEXT("kafka_original-offset", "\0\0\0\0\0\0\0\2"),
                     timestamp = TEXT("kafka_original-timestamp", "\0\0" TIME_6);
    kur_retry_view view = read_view(RECORD(topic, partition, offset, timestamp));
    ck_assert_str_eq(view.topic, "orders");
    ck_assert(view.partition == 1 && view.offset == 2 && view.timestamp_us == NOW && !view.is_clamped);
    const kur_header bad[] = {TEXT("kafka_original-topic", "or ders"),
                              TEXT("kafka_original-topic", ""),
                              TEXT("kafka_original-partition", "\1"),
                              TEXT("kafka_original-partition", "\xff\xff\xff\xff"),
                              TEXT("kafka_original-partition", "\0\0\0\0\0\0\0\1"),
                              TEXT("kafka_original-offset", "\2"),
                              TEXT("kafka_original-offset", "\0\0\0\2"),
                              TEXT("kafka_original-offset", "\x80\0\0\0\0\0\0\0"),
                              {"kafka_original-offset", {NULL, 0}}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        view = read_view(RECORD(topic, partition, offset, timestamp, bad[i]));
        ck_assert_msg(view.is_clamped, "case %zu", i);
        ck_nothing(&view);
    }

    /* The timestamp of the origin, else that of the retry; a record without one has -1. */
    view = read_view(RECORD(topic, partition, offset, TEXT("retry_topic-original-timestamp", TIME_6)));
    ck_assert_int_eq(view.timestamp_us, NOW);
    view = read_view(RECORD(topic, partition, offset, TEXT("retry_topic-original-timestamp", "\xff")));
    ck_assert(view.timestamp_us == -1 && !view.is_clamped);
    view = read_view(
        RECORD(topic, partition, offset, TEXT("kafka_original-timestamp", "\xff\xff\xff\xff\xff\xff\xff\xff")));
    ck_assert(view.timestamp_us == -1 && !view.is_clamped);
    view = read_view(
        RECORD(topic, partition, offset, TEXT("kafka_original-timestamp", "\x7f\xff\xff\xff\xff\xff\xff\xff")));
    ck_assert_int_eq(view.timestamp_us, -1);
    view = read_view(RECORD(topic, partition, offset, TEXT("kafka_original-timestamp", TIME_6)));
    ck_assert(view.timestamp_us == -1 && view.is_clamped);
}
END_TEST

/* Where no origin is told, Spring's readers take the topic that they read from for it: so it is written. */
START_TEST(test_retry_spring__origin_of_none)
{
    const kur_header *headers;
    size_t count = write_view(RECORD(TEXT("x", "")), KUR_TIER_SHORT, &KUR_RETRY_VIEW(.attempt = 2), 0, &headers);
    ck_headers(headers, count,
               (const kur_header[]){TEXT("x", ""),
                                    TEXT("kafka_original-topic", "orders.email.retry-short"),
                                    TEXT("kafka_original-partition", "\0\0\0\3"),
                                    TEXT("kafka_original-offset", "\0\0\0\0\0\0\0\7"),
                                    TEXT("kafka_original-timestamp", "\0\0" TIME_6),
                                    TEXT("kafka_original-timestamp-type", "CreateTime"),
                                    TEXT("retry_topic-original-timestamp", TIME_6),
                                    TEXT("retry_topic-attempts", "\0\0\0\2"),
                                    {NULL, {0}}});
    count = write_view(record, KUR_TIER_SHORT,
                       &KUR_RETRY_VIEW(.topic = "orders", .offset = 1, .timestamp_us = -1, .due_us = 1), 0, &headers);
    ck_headers(headers, count,
               (const kur_header[]){TEXT("x", ""),
                                    TEXT("kafka_original-topic", "orders"),
                                    TEXT("kafka_original-partition", "\0\0\0\0"),
                                    TEXT("kafka_original-offset", "\0\0\0\0\0\0\0\1"),
                                    TEXT("kafka_original-timestamp", "\xff\xff\xff\xff\xff\xff\xff\xff"),
                                    TEXT("kafka_original-timestamp-type", "NoTimestampType"),
                                    TEXT("retry_topic-original-timestamp", "\xff"),
                                    TEXT("retry_topic-attempts", "\0\0\0\1"),
                                    TEXT("retry_topic-backoff-timestamp", "\1"),
                                    {NULL, {0}}});
}
END_TEST

/* BigInteger's bytes: one more where the highest bit would be taken for the sign. */
START_TEST(test_retry_spring__shortest_numbers)
{
    const struct {
        int64_t due_ms;
        const char *bytes;
        size_t size;
    } cases[] = {{127, "\x7f", 1},
                 {128, "\0\x80", 2},
                 {255, "\0\xff", 2},
                 {256, "\1\0", 2},
                 {32767, "\x7f\xff", 2},
                 {32768, "\0\x80\0", 3},
                 {INT64_C(0x7fffffffffff), "\x7f\xff\xff\xff\xff\xff", 6},
                 {INT64_C(0x800000000000), "\0\x80\0\0\0\0\0", 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const kur_header *headers;
        size_t count = write_view(RECORD(TEXT("x", "")), KUR_TIER_SHORT,
                                  &KUR_RETRY_VIEW(.due_us = cases[i].due_ms * 1000), 0, &headers);
        ck_assert_str_eq(headers[count - 1].name, "retry_topic-backoff-timestamp");
        ck_assert_msg(kur_bytes_equal(headers[count - 1].value, kur_bytes_of(cases[i].bytes, cases[i].size)),
                      "case %zu", i);
    }
    const kur_header *headers;
    size_t count = write_view(record, KUR_TIER_SHORT, &KUR_RETRY_VIEW(.due_us = INT64_MAX), 0, &headers);
    ck_assert_uint_eq(headers[count - 1].value.size, 7);
}
END_TEST

START_TEST(test_retry_spring__cut_in_order)
{
    static char large[1000];
    const kur_record *from = RECORD(TEXT("first", "1"), {"large", {large, sizeof large}});
    const kur_header *headers;
    kur_retry_view view = told;
    view.is_stub = false;
    size_t count = write_view(from, KUR_TIER_SHORT, &view, 0, &headers);
    count = write_view(from, KUR_TIER_SHORT, &view, bytes_of(headers, count) - 1, &headers);
    ck_assert(!has(headers, count, "kurier-retry-history") && has(headers, count, "kafka_exception-message"));
    count = write_view(from, KUR_TIER_SHORT, &view, bytes_of(headers, count) - 1, &headers);
    ck_assert(!has(headers, count, "kafka_exception-message") && has(headers, count, "large"));
    count = write_view(from, KUR_TIER_SHORT, &view, bytes_of(headers, count) - 1, &headers);
    ck_assert(has(headers, count, "first") && !has(headers, count, "large") &&
              has(headers, count, "kurier-retry-stub"));
}
END_TEST

START_TEST(test_retry_spring__many)
{
    static kur_header headers[10001];
    for (int i = 0; i < 10000; i++)
        headers[i] = retry[i % 19];
    kur_retry_view view = read_view(make(headers)), expected = told;
    expected.due_us = NOW + 1001000;
    ck_same(&view, &expected);
    ck_assert_uint_lt(kur_arena_size(arena), 8192);
    const kur_header *written;
    size_t count = write_view(record, KUR_TIER_SHORT, &told, 0, &written);
    ck_headers(written, count, retry);
}
END_TEST

START_TEST(test_retry_spring__names)
{
    static const char *const theirs[] = {
        "retry_topic-attempts",      "retry_topic-backoff-timestamp",     "kafka_original-topic",
        "kafka_exception-fqcn",      "kafka_exception-stacktrace",        "kafka_key-exception-fqcn",
        "kafka_dlt-exception-cause", "kafka_dlt-original-consumer-group", "kafka_dlt-key-exception-message"};
    static const char *const others[] = {
        "kafka_correlationId", "kafka_replyTopic",        "retry_topic", "kafka_", "Retry_topic-attempts",
        "__TypeId__",          "spring_json_header_types"};
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
        ck_assert_msg(kur_retry_is_header(theirs[i], KUR_HEADERS_SPRING) &&
                          !kur_retry_is_header(theirs[i], KUR_HEADERS_KURIER),
                      "%s", theirs[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_msg(!kur_retry_is_header(others[i], KUR_HEADERS_SPRING), "%s", others[i]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_retry_spring__golden,
                                  test_retry_spring__of_a_java_service,
                                  test_retry_spring__of_a_plain_recoverer,
                                  test_retry_spring__attempts,
                                  test_retry_spring__times,
                                  test_retry_spring__origin,
                                  test_retry_spring__origin_of_none,
                                  test_retry_spring__shortest_numbers,
                                  test_retry_spring__cut_in_order,
                                  test_retry_spring__many,
                                  test_retry_spring__names,
                                  NULL};
    arena = kur_arena_new();
    int result = check_main("retry_spring", tests);
    kur_record_free(record);
    kur_arena_free(arena);
    return result;
}
