/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "retrying.h"

static kur_retry_view read_view(const kur_record *from)
{
    kur_error error = {0};
    kur_retry_view view = KUR_RETRY_VIEW();
    kur_arena_reset(arena);
    ck_ok(kur_retry_read(from, KUR_HEADERS_KURIER, NOW, arena, &view, &error), error);
    return view;
}

START_TEST(test_retry_headers__none)
{
    kur_retry_view view = read_view(RECORD(TEXT("ce_id", "1"), TEXT("kurier-due", "2026-11-29T21:33:20Z")));
    ck_nothing(&view);
    ck_assert(!view.is_clamped);
    ck_assert_uint_eq(view.size, sizeof view);
}
END_TEST

/* What stands on the wire, byte for byte; it is what tools of others read. */
static const kur_header golden[] = {TEXT("kurier-retry-attempt", "3"),
                                    TEXT("kurier-retry-due", "2026-11-29T21:33:21.000001Z"),
                                    TEXT("kurier-retry-topic", "orders"),
                                    TEXT("kurier-retry-partition", "3"),
                                    TEXT("kurier-retry-offset", "1234567890123"),
                                    TEXT("kurier-retry-timestamp", "1970-01-01T00:00:00Z"),
                                    TEXT("kurier-retry-group", "email"),
                                    TEXT("kurier-retry-cause", "smtp.timeout"),
                                    TEXT("kurier-retry-message", "421 nobody is \xc3\xa0 la maison"),
                                    TEXT("kurier-retry-first-failed", "2026-11-29T21:33:19Z"),
                                    TEXT("kurier-retry-failed", "2026-11-29T21:33:19.500Z"),
                                    TEXT("kurier-retry-code", "mail.c:88"),
                                    TEXT("kurier-retry-history", "1 2026-11-29T21:33:19Z smtp.refused; 2 - "),
                                    TEXT("kurier-retry-stub", "1"),
                                    TEXT("kurier-retry-redriven", "2"),
                                    TEXT("kurier-retry-redrive-id", "r-1"),
                                    {NULL, {0}}};

static const kur_attempt_view golden_attempts[] = {
    {sizeof(kur_attempt_view), 1, NOW - 1000000, "smtp.refused"},
    {sizeof(kur_attempt_view), 2, 0, ""},
};
static const kur_attempt_view *const golden_list[] = {&golden_attempts[0], &golden_attempts[1]};
static const kur_retry_view golden_view = {.size = sizeof(kur_retry_view),
                                           .attempt = 3,
                                           .due_us = NOW + 1000001,
                                           .first_failed_us = NOW - 1000000,
                                           .failed_us = NOW - 500000,
                                           .topic = "orders",
                                           .partition = 3,
                                           .offset = INT64_C(1234567890123),
                                           .timestamp_us = 0,
                                           .group = "email",
                                           .cause = "smtp.timeout",
                                           .message = "421 nobody is \xc3\xa0 la maison",
                                           .code = "mail.c:88",
                                           .attempt_count = 2,
                                           .attempts = golden_list,
                                           .redriven = 2,
                                           .redrive_id = "r-1",
                                           .is_stub = true};

START_TEST(test_retry_headers__golden_read)
{
    kur_retry_view view = read_view(make(golden));
    ck_same(&view, &golden_view);
    ck_assert_uint_eq(view.attempts[0]->size, sizeof(kur_attempt_view));
}
END_TEST

static size_t write_view(const kur_record *from, kur_tier tier, const kur_retry_view *view, size_t max_bytes,
                         const kur_header **headers)
{
    kur_error error = {0};
    size_t count = 0;
    ck_ok(kur_retry_write(from, KUR_HEADERS_KURIER, tier, view, max_bytes, arena, headers, &count, &error), error);
    return count;
}

START_TEST(test_retry_headers__golden_write)
{
    const kur_header *headers;
    kur_arena_reset(arena);
    size_t count = write_view(RECORD({"x", {NULL, 0}}), KUR_TIER_SHORT, &golden_view, 0, &headers);
    ck_assert_str_eq(headers[0].name, "x");
    ck_headers(headers + 1, count - 1, golden);
}
END_TEST

/* A record's own headers stay, in their order and byte for byte; those of before go, whatever they were. */
START_TEST(test_retry_headers__own_headers)
{
    const kur_header *headers;
    const kur_record *from = RECORD(TEXT("kurier-retry-attempt", "9"), TEXT("ce_id", "1"), {"x", {NULL, 0}},
                                    TEXT("kurier-retry-of-tomorrow", "?"), TEXT("ce_id", "2"),
                                    TEXT("Kurier-Retry-a", ""), TEXT("kurier-due", "a\0b"),
                                    TEXT("kurier-retry-attempt", "10"), TEXT("retry_topic-attempts", "\0\0\0\2"));
    kur_arena_reset(arena);
    size_t count = write_view(from, KUR_TIER_DEAD, &KUR_RETRY_VIEW(.attempt = 4, .due_us = NOW), 0, &headers);
    const kur_header expected[] = {TEXT("ce_id", "1"),
                                   {"x", {NULL, 0}},
                                   TEXT("ce_id", "2"),
                                   TEXT("Kurier-Retry-a", ""),
                                   TEXT("kurier-due", "a\0b"),
                                   TEXT("retry_topic-attempts", "\0\0\0\2"),
                                   TEXT("kurier-retry-attempt", "4"), /* and dead letters are not due */
                                   {NULL, {0}}};
    ck_headers(headers, count, expected);
    kur_bytes value;
    ck_assert(kur_record_header_last(from, "kurier-due", &value));
    ck_assert_ptr_eq(headers[4].value.data, value.data);

    /* Whoever sends a record back to its main topic leaves nothing there but how often that was done. */
    count = write_view(RECORD(TEXT("a", "b"), TEXT("kurier-retry-due", "x")), KUR_TIER_MAIN, &golden_view, 0, &headers);
    const kur_header back[] = {
        TEXT("a", "b"), TEXT("kurier-retry-redriven", "2"), TEXT("kurier-retry-redrive-id", "r-1"), {NULL, {0}}};
    ck_headers(headers, count, back);
}
END_TEST

START_TEST(test_retry_headers__names)
{
    ck_assert(kur_retry_is_header("kurier-retry-attempt", KUR_HEADERS_KURIER));
    ck_assert(kur_retry_is_header("kurier-retry-of-tomorrow", KUR_HEADERS_KURIER));
    ck_assert(kur_retry_is_header("kurier-retry-attempt", KUR_HEADERS_SPRING));
    ck_assert(!kur_retry_is_header("kurier-retry", KUR_HEADERS_KURIER));
    ck_assert(!kur_retry_is_header("kurier-due", KUR_HEADERS_KURIER));
    ck_assert(!kur_retry_is_header("retry_topic-attempts", KUR_HEADERS_KURIER));
    ck_assert(kur_retry_is_header("retry_topic-attempts", KUR_HEADERS_SPRING));
    ck_assert(!kur_retry_is_header("", KUR_HEADERS_SPRING));
    ck_assert(!kur_retry_is_header(NULL, KUR_HEADERS_SPRING));
}
END_TEST

/* ---- What is out of its limits ---- */

START_TEST(test_retry_headers__numbers)
{
    const struct {
        kur_header header;
        int attempt;
        bool is_clamped;
    } cases[] = {{TEXT("kurier-retry-attempt", "2"), 2, false},
                 {TEXT("kurier-retry-attempt", "007"), 7, false},
                 {TEXT("kurier-retry-attempt", "10000"), 10000, false},
                 {TEXT("kurier-retry-attempt", "10001"), 10000, true},
                 {TEXT("kurier-retry-attempt", "2147483648"), 10000, true},
                 {TEXT("kurier-retry-attempt", "9223372036854775808"), 10000, true},
                 {TEXT("kurier-retry-attempt", "99999999999999999999999999999999999999999999"), 10000, true},
                 {TEXT("kurier-retry-attempt", "0"), 1, true},
                 {TEXT("kurier-retry-attempt", "-1"), 1, true},
                 {TEXT("kurier-retry-attempt", "+2"), 1, true},
                 {TEXT("kurier-retry-attempt", " 2"), 1, true},
                 {TEXT("kurier-retry-attempt", "2\0"), 1, true},
                 {TEXT("kurier-retry-attempt", "0x10"), 1, true},
                 {TEXT("kurier-retry-attempt", ""), 1, true},
                 {TEXT("kurier-retry-attempt", "\0\0\0\2"), 1, true},
                 {{"kurier-retry-attempt", {NULL, 0}}, 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_retry_view view = read_view(RECORD(TEXT("kurier-retry-attempt", "5"), cases[i].header));
        ck_assert_msg(view.attempt == cases[i].attempt, "case %zu: %d", i, view.attempt);
        ck_assert_msg(view.is_clamped == cases[i].is_clamped, "case %zu", i);
        view.attempt = 1;
        ck_nothing(&view);
    }
    kur_retry_view view = read_view(RECORD(TEXT("kurier-retry-redriven", "20000"), TEXT("kurier-retry-stub", "2")));
    ck_assert_int_eq(view.redriven, 10000);
    ck_assert(view.is_stub && view.is_clamped);
}
END_TEST

START_TEST(test_retry_headers__times)
{
    const struct {
        kur_header header;
        int64_t due_us;
        bool is_clamped;
    } cases[] = {{TEXT("kurier-retry-due", "2026-12-29T21:33:20Z"), NOW + 30 * DAY, false},
                 {TEXT("kurier-retry-due", "2026-12-29T21:33:20.000001Z"), NOW + 30 * DAY, true},
                 {TEXT("kurier-retry-due", "9999-12-31T23:59:59.999999Z"), NOW + 30 * DAY, true},
                 {TEXT("kurier-retry-due", "10000-01-01T00:00:00Z"), 0, true},
                 {TEXT("kurier-retry-due", "1969-12-31T23:59:59Z"), 0, true},
                 {TEXT("kurier-retry-due", "0001-01-01T00:00:00Z"), 0, true},
                 {TEXT("kurier-retry-due", "1970-01-01T00:00:00Z"), 0, false},
                 {TEXT("kurier-retry-due", "2026-11-29T22:33:20+01:00"), NOW, false},
                 {TEXT("kurier-retry-due", "1796000000000"), 0, true},
                 {TEXT("kurier-retry-due", ""), 0, true},
                 {{"kurier-retry-due", {NULL, 0}}, 0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_retry_view view = read_view(RECORD(cases[i].header));
        ck_assert_msg(view.due_us == cases[i].due_us, "case %zu", i);
        ck_assert_msg(view.is_clamped == cases[i].is_clamped, "case %zu", i);
    }
    /* Whatever the clock says. */
    kur_retry_view view = KUR_RETRY_VIEW();
    kur_error error = {0};
    const kur_record *far = RECORD(TEXT("kurier-retry-due", "9999-12-31T23:59:59Z"));
    ck_ok(kur_retry_read(far, KUR_HEADERS_KURIER, INT64_MAX, arena, &view, &error), error);
    ck_assert_int_eq(view.due_us, INT64_C(253402300799000000));
    ck_ok(kur_retry_read(far, KUR_HEADERS_KURIER, INT64_MIN, arena, &view, &error), error);
    ck_assert_int_eq(view.due_us, 30 * DAY);
}
END_TEST

/* Where a record came from is told whole or not at all. */
START_TEST(test_retry_headers__origin)
{
    const kur_header topic = TEXT("kurier-retry-topic", "orders"), partition = TEXT("kurier-retry-partition", "1"),
                     offset = TEXT("kurier-retry-offset", "2"),
                     timestamp = TEXT("kurier-retry-timestamp", "2026-11-29T21:33:20Z");
    kur_retry_view view = read_view(RECORD(topic, partition, offset, timestamp));
    ck_assert_str_eq(view.topic, "orders");
    ck_assert_int_eq(view.partition, 1);
    ck_assert_int_eq(view.offset, 2);
    ck_assert_int_eq(view.timestamp_us, NOW);
    ck_assert(!view.is_clamped);
    const kur_header bad[] = {TEXT("kurier-retry-topic", "or ders"),
                              TEXT("kurier-retry-topic", "orders\0"),
                              TEXT("kurier-retry-topic", ""),
                              {"kurier-retry-topic", {NULL, 0}},
                              TEXT("kurier-retry-partition", "2147483648"),
                              TEXT("kurier-retry-partition", "-1"),
                              {"kurier-retry-partition", {NULL, 0}},
                              TEXT("kurier-retry-offset", "9223372036854775807"),
                              TEXT("kurier-retry-offset", "-1001")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        view = read_view(RECORD(topic, partition, offset, timestamp, bad[i]));
        ck_assert_msg(view.is_clamped, "case %zu", i);
        ck_nothing(&view);
    }
    view = read_view(RECORD(topic, partition, offset, TEXT("kurier-retry-timestamp", "today")));
    ck_assert_str_eq(view.topic, "orders");
    ck_assert_int_eq(view.timestamp_us, -1);
    ck_assert(view.is_clamped);
}
END_TEST

START_TEST(test_retry_headers__texts)
{
    static char huge[1 << 20];
    memset(huge, 'x', sizeof huge);
    kur_header header = {"kurier-retry-message", {huge, sizeof huge}};
    kur_retry_view view = read_view(RECORD(header));
    ck_assert_uint_eq(strlen(view.message), 500);
    ck_assert(!view.is_clamped); /* Spring's are often longer, and nobody meant harm */

    const struct {
        kur_header header;
        const char *becomes;
        size_t offset; /* of the text in the view */
        bool is_clamped;
    } cases[] = {
        {TEXT("kurier-retry-message", "a\nb\0c\x7f"), "a b c ", offsetof(kur_retry_view, message), false},
        {TEXT("kurier-retry-message", "a\xff\xc3"), "a??", offsetof(kur_retry_view, message), false},
        {TEXT("kurier-retry-code", "a\tb"), "a b", offsetof(kur_retry_view, code), true},
        {TEXT("kurier-retry-redrive-id", "\x80"), "?", offsetof(kur_retry_view, redrive_id), true},
        {TEXT("kurier-retry-cause", "smtp time\0out\xc3\xa9"), "smtp_time_out__", offsetof(kur_retry_view, cause),
         true},
        {TEXT("kurier-retry-group", "no topic's\nname \xc3\xa9"), "no topic's\nname \xc3\xa9",
         offsetof(kur_retry_view, group), false},
        {TEXT("kurier-retry-group", "a\0b"), NULL, offsetof(kur_retry_view, group), true},
        {TEXT("kurier-retry-group", "\xff"), NULL, offsetof(kur_retry_view, group), true},
        {TEXT("kurier-retry-group", ""), NULL, offsetof(kur_retry_view, group), true},
        {{"kurier-retry-group", {huge, 32768}}, NULL, offsetof(kur_retry_view, group), true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        view = read_view(RECORD(cases[i].header));
        ck_assert_pstr_eq(*(const char *const *)((const char *)&view + cases[i].offset), cases[i].becomes);
        ck_assert_msg(view.is_clamped == cases[i].is_clamped, "case %zu", i);
    }
    view = read_view(RECORD({"kurier-retry-group", {huge, 32767}}));
    ck_assert_uint_eq(strlen(view.group), 32767);

    /* Cut between characters. */
    memcpy(huge + 498, "\xe2\x82\xac", 3);
    view = read_view(RECORD(header));
    ck_assert_uint_eq(strlen(view.message), 498);
    memset(huge + 490, '\x80', 20);
    view = read_view(RECORD(header));
    ck_assert_uint_eq(strlen(view.message), 500);
    ck_assert_str_eq(view.message + 490, "??????????");
}
END_TEST

START_TEST(test_retry_headers__history)
{
    const struct {
        kur_header header;
        size_t count;
        bool is_clamped;
    } cases[] = {{TEXT("kurier-retry-history", ""), 0, false},
                 {TEXT("kurier-retry-history", "1 - a"), 1, false},
                 {TEXT("kurier-retry-history", "1 - "), 1, false},
                 {TEXT("kurier-retry-history", "1 -"), 1, false},
                 {TEXT("kurier-retry-history", "1 - a; 2 2026-11-29T21:33:20Z b; 3 - "), 3, false},
                 {TEXT("kurier-retry-history", "1 - a;2 - b"), 1, true}, /* a cause has no spaces */
                 {TEXT("kurier-retry-history", "1 - a; "), 1, false},
                 {TEXT("kurier-retry-history", "; 1 - a"), 1, true},
                 {TEXT("kurier-retry-history", "1 9999-12-31T23:59:59Z a; 2 - b"), 1, true},
                 {TEXT("kurier-retry-history", "0 - a; -1 - b; 10001 - c; x - d"), 0, true},
                 {TEXT("kurier-retry-history", "\0\0\0\1 - a"), 0, true},
                 {TEXT("kurier-retry-history", "nothing of the kind"), 0, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_retry_view view = read_view(RECORD(cases[i].header));
        ck_assert_msg(view.attempt_count == cases[i].count, "case %zu: %zu", i, view.attempt_count);
        ck_assert_msg(view.is_clamped == cases[i].is_clamped, "case %zu", i);
    }

    /* Of many the first one and the last ones are kept, in reading and in writing. */
    kur_attempt_view attempts[40];
    const kur_attempt_view *list[40];
    kur_buffer text = {0};
    for (int i = 0; i < 40; i++) {
        attempts[i] = (kur_attempt_view){sizeof *attempts, i + 1, NOW + i, "c"};
        list[i] = &attempts[i];
        kur_buffer_print(&text, "%s%d 2026-11-29T21:33:20Z c", i > 0 ? "; " : "", i + 1);
    }
    kur_retry_view view = read_view(RECORD({"kurier-retry-history", {text.data, text.size}}));
    ck_assert(view.is_clamped);
    for (int round = 0; round < 2; round++) {
        ck_assert_uint_eq(view.attempt_count, KUR_RETRY_HISTORY_MAX);
        ck_assert_int_eq(view.attempts[0]->attempt, 1);
        for (int i = 1; i < 16; i++)
            ck_assert_int_eq(view.attempts[i]->attempt, 24 + i + 1);
        const kur_header *headers;
        size_t count = write_view(RECORD({"x", {NULL, 0}}), KUR_TIER_SHORT,
                                  &KUR_RETRY_VIEW(.attempt_count = 40, .attempts = list), 0, &headers);
        ck_assert_str_eq(headers[count - 1].name, "kurier-retry-history");
        view = read_view(RECORD(headers[count - 1]));
        ck_assert(!view.is_clamped);
    }
    kur_buffer_done(&text);
}
END_TEST

/* 10,000 headers, all of them forged: the last of a name counts, and memory is bounded. */
START_TEST(test_retry_headers__many)
{
    kur_header *headers = calloc(10001, sizeof *headers);
    for (int i = 0; i < 10000; i++)
        headers[i] = golden[i % 16];
    kur_retry_view view = read_view(make(headers));
    ck_same(&view, &golden_view);
    ck_assert_uint_lt(kur_arena_size(arena), 8192);
    const kur_header *written;
    size_t count = write_view(record, KUR_TIER_SHORT, &golden_view, 0, &written);
    ck_headers(written, count, golden);
    free(headers);
}
END_TEST

/* ---- Limits of what is written ---- */

/* History, message, further headers, as many of them as have room; what tells of the retry stays. */
START_TEST(test_retry_headers__cut_in_order)
{
    static char large[1000];
    kur_retry_view view = golden_view;
    view.is_stub = false;
    const kur_record *from = RECORD(TEXT("first", "1"), {"large", {large, sizeof large}}, TEXT("last", "2"));
    const kur_header *headers;
    kur_arena_reset(arena);
    size_t all = write_view(from, KUR_TIER_SHORT, &view, 0, &headers), full = bytes_of(headers, all);
    ck_assert_uint_eq(write_view(from, KUR_TIER_SHORT, &view, full, &headers), all);

    size_t count = write_view(from, KUR_TIER_SHORT, &view, full - 1, &headers);
    size_t without_history = bytes_of(headers, count);
    ck_assert_uint_eq(count, all - 1);
    ck_assert(!has(headers, count, "kurier-retry-history") && has(headers, count, "kurier-retry-message"));
    ck_assert_uint_eq(write_view(from, KUR_TIER_SHORT, &view, without_history, &headers), all - 1);

    count = write_view(from, KUR_TIER_SHORT, &view, without_history - 1, &headers);
    size_t without_message = bytes_of(headers, count);
    ck_assert_uint_eq(count, all - 2);
    ck_assert(!has(headers, count, "kurier-retry-message") && !has(headers, count, "kurier-retry-stub"));
    ck_assert_uint_eq(write_view(from, KUR_TIER_SHORT, &view, without_message, &headers), all - 2);

    count = write_view(from, KUR_TIER_SHORT, &view, without_message - 1, &headers);
    ck_assert_uint_le(bytes_of(headers, count), without_message - 1);
    ck_assert(has(headers, count, "first") && !has(headers, count, "large") && has(headers, count, "last"));
    ck_assert(has(headers, count, "kurier-retry-stub"));

    /* Nothing is left to be cut, and what is needed is told all the same. */
    count = write_view(from, KUR_TIER_SHORT, &view, 1, &headers);
    ck_assert(!has(headers, count, "first") && !has(headers, count, "last"));
    kur_header copied[33] = {{0}};
    memcpy(copied, headers, count * sizeof *copied);
    kur_retry_view expected = golden_view, read = read_view(make(copied));
    expected.message = "";
    expected.attempt_count = 0;
    ck_same(&read, &expected);
}
END_TEST

/* A stub says so once. */
START_TEST(test_retry_headers__stub_of_a_stub)
{
    const kur_header *headers;
    size_t count = write_view(RECORD(TEXT("first", "1")), KUR_TIER_SHORT, &golden_view, 1, &headers), stubs = 0;
    for (size_t i = 0; i < count; i++)
        stubs += strcmp(headers[i].name, "kurier-retry-stub") == 0;
    ck_assert_uint_eq(stubs, 1);
}
END_TEST

/* Whatever a view holds, what is written is within limits, and is read as it stands. */
START_TEST(test_retry_headers__written_within_limits)
{
    static char huge[1 << 16];
    memset(huge, 'x', sizeof huge - 1);
    const kur_attempt_view attempt = {sizeof attempt, -5, INT64_MAX, "a; 3 - b"};
    const kur_attempt_view *list[] = {&attempt};
    const struct {
        kur_retry_view told, read;
    } cases[] = {
        {KUR_RETRY_VIEW(.attempt = 0), {.attempt = 1}},
        {KUR_RETRY_VIEW(.attempt = INT32_MIN, .redriven = -1), {.attempt = 1}},
        {KUR_RETRY_VIEW(.attempt = INT32_MAX, .redriven = INT32_MAX), {.attempt = 10000, .redriven = 10000}},
        {KUR_RETRY_VIEW(.due_us = INT64_MAX), {.attempt = 1, .due_us = NOW + 30 * DAY, .is_clamped = true}},
        {KUR_RETRY_VIEW(.due_us = -1, .failed_us = INT64_MAX, .first_failed_us = INT64_MIN), {.attempt = 1}},
        {KUR_RETRY_VIEW(.topic = "t", .timestamp_us = INT64_MAX), {.attempt = 1, .topic = "t", .timestamp_us = -1}},
        {KUR_RETRY_VIEW(.cause = "a b\n", .message = "a\nb\xff", .code = "\x7f", .group = ""),
         {.attempt = 1, .cause = "a_b_", .message = "a b?", .code = " "}},
        {KUR_RETRY_VIEW(.attempt_count = 1, .attempts = list), {.attempt = 1, .attempt_count = 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const kur_header *headers;
        kur_header copied[33] = {{0}};
        size_t count = write_view(RECORD(TEXT("x", "")), KUR_TIER_LONG, &cases[i].told, 0, &headers);
        ck_assert_uint_le(count, 32);
        memcpy(copied, headers, count * sizeof *copied);
        make(copied);
        kur_retry_view read = read_view(record), expected = cases[i].read;
        expected.partition = expected.topic != NULL ? 0 : -1;
        expected.offset = expected.topic != NULL ? 0 : -1;
        expected.timestamp_us = -1;
        expected.cause = expected.cause != NULL ? expected.cause : "";
        expected.message = expected.message != NULL ? expected.message : "";
        expected.code = expected.code != NULL ? expected.code : "";
        expected.redrive_id = "";
        const kur_attempt_view cleaned = {sizeof cleaned, 1, 0, "a;_3_-_b"}, *cleaned_list[] = {&cleaned};
        expected.attempts = cleaned_list;
        ck_same(&read, &expected);
    }

    const kur_header *headers;
    kur_retry_view view = KUR_RETRY_VIEW(.cause = huge, .message = huge, .code = huge, .redrive_id = huge);
    size_t count = write_view(RECORD(TEXT("x", "")), KUR_TIER_LONG, &view, 0, &headers);
    ck_assert_uint_lt(bytes_of(headers, count), 1500);
}
END_TEST

START_TEST(test_retry_headers__refused)
{
    static char huge[32769];
    memset(huge, 'x', sizeof huge - 1);
    const struct {
        kur_retry_view view;
        const char *says;
    } cases[] = {
        {KUR_RETRY_VIEW(.topic = "a b"), "view.topic is not a topic's name"},
        {KUR_RETRY_VIEW(.topic = "t", .partition = -1), "view.partition is negative"},
        {KUR_RETRY_VIEW(.topic = "t", .offset = -1), "view.offset is negative"},
        {KUR_RETRY_VIEW(.group = huge), "view.group is not"},
        {KUR_RETRY_VIEW(.group = "\xff"), "view.group is not"},
        {KUR_RETRY_VIEW(.attempt_count = 1), "view.attempts is NULL"},
        {KUR_RETRY_VIEW(.attempt_count = 1, .attempts = (const kur_attempt_view *[]){NULL}),
         "view.attempts[0] is NULL"},
        {KUR_RETRY_VIEW(.attempt_count = 1, .attempts = (const kur_attempt_view *[]){&(kur_attempt_view){0}}),
         "kur_attempt_view.size is not set"},
        {{0}, "kur_retry_view.size is not set"},
    };
    const kur_record *from = RECORD(TEXT("x", ""));
    const kur_header *headers = golden;
    size_t count = 99;
    kur_error error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        error = (kur_error){0};
        ck_status(kur_retry_write(from, KUR_HEADERS_KURIER, KUR_TIER_SHORT, &cases[i].view, 0, arena, &headers, &count,
                                  &error),
                  KUR_ERROR_INVALID_ARGUMENT, error);
        ck_says(error, cases[i].says);
    }
    kur_retry_view view = KUR_RETRY_VIEW();
#define REFUSED(text, ...)                                                                                             \
    error = (kur_error){0};                                                                                            \
    ck_status(kur_retry_write(__VA_ARGS__, &error), KUR_ERROR_INVALID_ARGUMENT, error);                                \
    ck_says(error, text)
    REFUSED("record is NULL", NULL, KUR_HEADERS_KURIER, KUR_TIER_SHORT, &view, 0, arena, &headers, &count);
    REFUSED("view is NULL", from, KUR_HEADERS_KURIER, KUR_TIER_SHORT, NULL, 0, arena, &headers, &count);
    REFUSED("arena is NULL", from, KUR_HEADERS_KURIER, KUR_TIER_SHORT, &view, 0, NULL, &headers, &count);
    REFUSED("headers is NULL", from, KUR_HEADERS_KURIER, KUR_TIER_SHORT, &view, 0, arena, NULL, &count);
    REFUSED("count is NULL", from, KUR_HEADERS_KURIER, KUR_TIER_SHORT, &view, 0, arena, &headers, NULL);
    REFUSED("7 is not a kur_tier", from, KUR_HEADERS_KURIER, (kur_tier)7, &view, 0, arena, &headers, &count);
    REFUSED("2 is not a kur_header_style", from, (kur_header_style)2, KUR_TIER_SHORT, &view, 0, arena, &headers,
            &count);
    ck_assert_ptr_eq(headers, golden);
    ck_assert_uint_eq(count, 99);
#undef REFUSED
#define REFUSED(text, ...)                                                                                             \
    error = (kur_error){0};                                                                                            \
    ck_status(kur_retry_read(__VA_ARGS__, &error), KUR_ERROR_INVALID_ARGUMENT, error);                                 \
    ck_says(error, text)
    REFUSED("record is NULL", NULL, KUR_HEADERS_KURIER, NOW, arena, &view);
    REFUSED("arena is NULL", from, KUR_HEADERS_KURIER, NOW, NULL, &view);
    REFUSED("view is NULL", from, KUR_HEADERS_KURIER, NOW, arena, NULL);
    REFUSED("2 is not a kur_header_style", from, (kur_header_style)2, NOW, arena, &view);
    view.size = 0;
    REFUSED("view.size is not set", from, KUR_HEADERS_KURIER, NOW, arena, &view);
#undef REFUSED
}
END_TEST

/* A program that knows fewer members than the library gets no more. */
START_TEST(test_retry_headers__view_of_an_older_program)
{
    kur_error error = {0};
    kur_retry_view view;
    memset(&view, 0x5a, sizeof view);
    view.size = offsetof(kur_retry_view, group);
    ck_ok(kur_retry_read(make(golden), KUR_HEADERS_KURIER, NOW, arena, &view, &error), error);
    ck_assert_uint_eq(view.size, offsetof(kur_retry_view, group));
    ck_assert_str_eq(view.topic, "orders");
    for (size_t i = view.size; i < sizeof view; i++)
        ck_assert_int_eq(((unsigned char *)&view)[i], 0x5a);
    const kur_header *headers;
    size_t count = write_view(RECORD(TEXT("x", "")), KUR_TIER_SHORT, &view, 0, &headers);
    ck_assert_str_eq(headers[count - 1].name, "kurier-retry-failed");
    ck_assert(!has(headers, count, "kurier-retry-group"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_retry_headers__none,
                                  test_retry_headers__golden_read,
                                  test_retry_headers__golden_write,
                                  test_retry_headers__own_headers,
                                  test_retry_headers__names,
                                  test_retry_headers__numbers,
                                  test_retry_headers__times,
                                  test_retry_headers__origin,
                                  test_retry_headers__texts,
                                  test_retry_headers__history,
                                  test_retry_headers__many,
                                  test_retry_headers__cut_in_order,
                                  test_retry_headers__stub_of_a_stub,
                                  test_retry_headers__written_within_limits,
                                  test_retry_headers__refused,
                                  test_retry_headers__view_of_an_older_program,
                                  NULL};
    arena = kur_arena_new();
    int result = check_main("retry_headers", tests);
    kur_record_free(record);
    kur_arena_free(arena);
    return result;
}
