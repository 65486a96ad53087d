/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The language of filters: what each expression says of a record, and where a wrong one is wrong.
 */
#include <inttypes.h>
#include <kurier/filter.h>
#include <kurier/sys/clock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../letters.h"
#include "filter/filter.h"

static kur_arena *arena;

static const char payload[] =
    "{\"id\":9007199254740993,\"total\":10.50,\"zero\":-0.0,\"tiny\":1e-7,\"paid\":true,\"gone\":null,\"empty\":\"\","
    "\"customer\":{\"id\":\"c-1\",\"name\":\"Zo\\u00eb \\\"Z\\\" \\ud83d\\ude00\",\"odd name\":1,\"not\":2},"
    "\"lines\":[{\"sku\":\"tea\",\"tags\":[]},{\"sku\":\"cup\"}],\"at\":\"2026-11-28T21:30:00+01:00\","
    "\"na\\u006de\":\"escaped\",\"price\":\"1\\u003250.00\",\"twice\":1,\"twice\":2}";

static kur_record *usual_record(void)
{
    const kur_header headers[] = {{"ce_specversion", kur_bytes_text("1.0")},
                                  {"ce_id", kur_bytes_text("i-1")},
                                  {"ce_source", kur_bytes_text("/shop")},
                                  {"ce_type", kur_bytes_text("shop.order.created.v1")},
                                  {"tenant", kur_bytes_text("globex")},
                                  {"tenant", kur_bytes_text("acme")},
                                  {"nothing", kur_bytes_of(NULL, 0)},
                                  {"bytes", kur_bytes_of("\xff\0\x01", 3)},
                                  {"count", kur_bytes_text("5")},
                                  {"at", kur_bytes_text("2026-11-28T20:00:00Z")},
                                  {"kurier-retry-topic", kur_bytes_text("orders")},
                                  {"kurier-retry-partition", kur_bytes_text("2")},
                                  {"kurier-retry-offset", kur_bytes_text("17")},
                                  {"kurier-retry-group", kur_bytes_text("email")},
                                  {"kurier-retry-code", kur_bytes_text("mail.c:88")},
                                  {"kurier-retry-attempt", kur_bytes_text("5")},
                                  {"kurier-retry-message", kur_bytes_text("it did not answer")},
                                  {"kurier-retry-failed", kur_bytes_text("2026-11-28T20:00:00Z")},
                                  {"kurier-retry-cause", kur_bytes_text("smtp.timeout")}};
    return letter_record(&(kur_record_parts){.topic = "orders.email.dlq",
                                             .partition = 3,
                                             .offset = INT64_MAX - 1,
                                             .timestamp_us = 1000,
                                             .key = kur_bytes_text("17"),
                                             .value = kur_bytes_text(payload),
                                             .headers = headers,
                                             .header_count = COUNT_OF(headers)});
}

/* Whether an expression that is right holds, an hour and a half after the letter's last failure. */
static bool holds(const char *text, const kur_letter *letter)
{
    kur_error error = {0};
    int64_t now_us = (letter->failed_us > 0 ? letter->failed_us : 0) + INT64_C(5400) * 1000000;
    kur_filter *filter = kur_filter_new(text, &error);
    ck_assert_msg(filter != NULL, "%s: %s", text, error.message);
    ck_assert_str_eq(kur_filter_text(filter), text);
    bool result = kur_filter_matches(filter, letter, now_us);
    ck_assert_msg(result == kur_filter_matches(filter, letter, now_us), "%s: another answer", text);
    kur_filter_free(filter);
    return result;
}

typedef struct expected {
    const char *text;
    bool holds;
} expected;

static void check(const expected *list, size_t count, const kur_letter *letter)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(holds(list[i].text, letter) == list[i].holds, "%s: expected %d", list[i].text, list[i].holds);
}

START_TEST(test_filter__fields)
{
    static const expected list[] = {
        {"topic = \"orders.email.dlq\"", true},
        {"topic = 'orders'", false},
        {"partition = 3", true},
        {"offset = 9223372036854775806", true},
        {"offset = 9223372036854775807", false},
        {"offset < 9223372036854775807", true},
        {"key = \"17\"", true},
        {"value ~ \"*odd name*\"", true},
        {"type == \"shop.order.created.v1\"", true},
        {"id = 'i-1' and source = '/shop'", true},
        {"subject = null", true},
        {"time = 2026-11-28T20:00:00Z", true},
        {"time = 2026-11-28T21:00:00+01:00", true},
        {"time > 2026-11-28 and time < 2026-11-29", true},
        {"time >= 2026-11-28T20:00:00.000001Z", false},
        {"age = 90m", true},
        {"age < 2h", true},
        {"age < 1h", false},
        {"age >= 5400s and age <= 5400000ms and age < 1d", true},
        {"cause = \"smtp.timeout\"", true},
        {"code = \"mail.c:88\" and message ~ \"*not*\"", true},
        {"attempt = 5 and attempt > 4 and attempt != 4", true},
        {"group = 'email'", true},
        {"redriven = 0", true},
        {"redrive.id = null", true},
        {"origin.topic = 'orders' and origin.partition = 2 and origin.offset = 17", true},
        {"header(\"tenant\") = \"acme\"", true},
        {"header(\"Tenant\") = \"acme\"", false},
        {"header('nothing') = null and not exists(header('nothing'))", true},
        {"header('bytes') = '\\u00ff'", false},
        {"header('bytes') != 'x' and exists(header('bytes'))", true},
        {"header('at') = 2026-11-28T20:00:00Z", true},
        {"header('count') < 2026-11-28T20:00:00Z", false},
    };
    kur_record *record = usual_record();
    kur_letter letter = letter_of(record, arena);
    check(list, COUNT_OF(list), &letter);
    kur_record_free(record);
}
END_TEST

START_TEST(test_filter__payload)
{
    static const expected list[] = {
        {"payload.id = 9007199254740993", true},
        {"payload.id = 9007199254740992", false},
        {"payload.total = 10.5", true},
        {"payload.total = 1050e-2", true},
        {"payload.total > 10.49999999999999999", true},
        {"payload.total < 1e999999999", true},
        {"payload.total > -1e999999999", true},
        {"payload.zero = 0 and payload.zero >= -0 and not payload.zero < 0", true},
        {"payload.tiny = 0.0000001 and payload.tiny > 0 and payload.tiny < 1", true},
        {"payload.paid = true and payload.paid != false", true},
        {"payload.gone = null", true},
        {"exists(payload.gone)", false},
        {"payload.never = null", true},
        {"payload.id.deeper = null", true},
        {"payload.empty = '' and exists(payload.empty)", true},
        {"payload.empty ~ '*'", true},
        {"payload.customer.id = \"c-1\"", true},
        {"payload.customer.name = \"Zoë \\\"Z\\\" \xf0\x9f\x98\x80\"", true},
        {"payload.customer.name = \"Zo\\u00eb \\\"Z\\\" \\uD83D\\uDE00\"", true},
        {"payload.customer.name ~ \"*\\u00eb*\xf0\x9f\x98\x80\"", true},
        {"payload.customer.name < \"Zp\" and payload.customer.name > \"Zo\"", true},
        {"payload.customer[\"odd name\"] = 1 and payload.customer.not = 2", true},
        {"payload.name = 'escaped'", true},
        {"payload.lines[0].sku = 'tea'", true},
        {"payload.lines[1].sku in ('cup', 'pot')", true},
        {"payload.lines[2].sku = null", true},
        {"exists(payload.lines[1])", true},
        {"exists(payload.lines[2])", false},
        {"exists(payload.lines[0].tags[0])", false},
        {"exists(payload.lines[0].tags)", true},
        {"exists(payload.customer) and payload.customer != null", true},
        {"payload.customer = '{}' or payload.lines != 1", false},
        {"payload.at = 2026-11-28T20:30:00Z", true},
        {"payload.at > 2026-11-28T20:30:00Z", false},
        {"payload.twice = 1", true},
        {"exists(payload)", true},
        {"payload = 'x'", false},
    };
    kur_record *record = usual_record();
    kur_letter letter = letter_of(record, arena);
    check(list, COUNT_OF(list), &letter);
    kur_record_free(record);
}
END_TEST

/* Of one kind or false; null equals null alone. */
START_TEST(test_filter__kinds)
{
    static const expected list[] = {
        {"payload.id = '9007199254740993'", false},
        {"payload.id != 'x'", false},
        {"not payload.id != 'x'", true},
        {"payload.paid = 'true'", false},
        {"payload.paid = 1", false},
        {"payload.customer.id < 5", false},
        {"payload.customer.id >= 5", false},
        {"payload.never != 'x'", false},
        {"payload.never < 1 or payload.never >= 1", false},
        {"payload.never ~ '*'", false},
        {"payload.never in (1, null)", true},
        {"payload.id in (1, null)", false},
        {"payload.id in ('a', 9007199254740993, true)", true},
        {"payload.never != null", false},
        {"payload.id != null", true},
        {"payload.id ~ '9*'", false},
        {"not subject = 'x'", true},
        {"subject != 'x'", false},
        {"payload.id < 2026-11-28", false},
        {"number(header('count')) = 5 and number(header('count')) > 4.5", true},
        {"number(payload.price) > 100", true},
        {"payload.price > 100", false},
        {"number(payload.id) = 9007199254740993", true},
        {"number(payload.never) = null and number(payload.customer.id) = null and number(payload.paid) = null", true},
        {"number(payload.customer) = null and number(payload.empty) = null and not exists(number(cause))", true},
        {"number(key) in (16, 17)", true},
    };
    kur_record *record = usual_record();
    kur_letter letter = letter_of(record, arena);
    check(list, COUNT_OF(list), &letter);
    kur_record_free(record);
}
END_TEST

START_TEST(test_filter__joined)
{
    static const expected list[] = {
        {"partition = 3 or partition = 4 and partition = 5", true},
        {"(partition = 3 or partition = 4) and partition = 5", false},
        {"partition = 4 and partition = 3 or partition = 3", true},
        {"not partition = 3 or partition = 3", true},
        {"not (partition = 3 or partition = 3)", false},
        {"not not partition = 3", true},
        {"partition = 1 or partition = 2 or partition = 3", true},
        {"partition = 3 and partition > 2 and partition > 3", false},
        {"(((partition=3)))and(attempt=5)", true},
        {"\tpartition\n=\r3 ", true},
        {"not exists(payload.never) and exists(cause)", true},
        {"partition in (1)", false},
        {"partition in(1,2,3)", true},
    };
    kur_record *record = usual_record();
    kur_letter letter = letter_of(record, arena);
    check(list, COUNT_OF(list), &letter);
    kur_record_free(record);
}
END_TEST

START_TEST(test_filter__patterns)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } list[] = {
        {"*", "", true},
        {"**", "x", true},
        {"a*", "a", true},
        {"a*", "ba", false},
        {"*a", "ba", true},
        {"*a", "ab", false},
        {"a*a", "a", false},
        {"a*a", "aa", true},
        {"*aab*", "aaab", true},
        {"*aab", "aabaab", true},
        {"*aab", "aabaaba", false},
        {"*abab*abab*", "ababab", false},
        {"*abab*abab*", "abababab", true},
        {"a*b*c", "axbxbxc", true},
        {"a*b*c", "axbxbx", false},
        {"*a**b*", "ab", true},
        {"*ab*ba*", "aba", false},
        {"*abcabd*", "abcabcabd", true},
        {"x\\*y*", "x*yz", true},
        {"x\\*y*", "xxyz", false},
        {"*\\\\*", "a\\b", true},
        {"*\\'*", "it's", true},
        {"*\\n*", "a\nb", true},
        {"Smtp*", "smtp", false},
        {"*aabaaabx*", "aabaaabaaabx", true},
    };
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        char text[100];
        kur_record *record = letter_record(&(kur_record_parts){.key = kur_bytes_text(list[i].text)});
        kur_letter letter = letter_of(record, arena);
        snprintf(text, sizeof text, "key ~ \"%s\"", list[i].pattern);
        ck_assert_msg(holds(text, &letter) == list[i].fits, "%s of %s", list[i].pattern, list[i].text);
        kur_record_free(record);
    }
}
END_TEST

/* Against the obvious way, which may take its time. */
static bool fits(const char *pattern, const char *text)
{
    if (*pattern == '\0')
        return *text == '\0';
    if (*pattern == '*')
        return fits(pattern + 1, text) || (*text != '\0' && fits(pattern, text + 1));
    return *pattern == *text && fits(pattern + 1, text + 1);
}

START_TEST(test_filter__patterns_at_random)
{
    unsigned fit = 0;
    srand(7);
    for (int i = 0; i < 20000; i++) {
        char pattern[12], text[16], expression[40];
        size_t pattern_size = 1 + (size_t)rand() % 9, text_size = (size_t)rand() % 12;
        for (size_t j = 0; j < pattern_size; j++)
            pattern[j] = "ab*"[rand() % 3];
        pattern[rand() % (int)pattern_size] = '*';
        pattern[pattern_size] = '\0';
        for (size_t j = 0; j < text_size; j++)
            text[j] = "ab"[rand() % 2];
        text[text_size] = '\0';
        snprintf(expression, sizeof expression, "key ~ '%s'", pattern);
        kur_record *record = letter_record(&(kur_record_parts){.key = kur_bytes_text(text)});
        kur_letter letter = letter_of(record, arena);
        bool is_expected = fits(pattern, text);
        fit += is_expected;
        ck_assert_msg(holds(expression, &letter) == is_expected, "%s of \"%s\"", expression, text);
        kur_record_free(record);
        kur_arena_reset(arena);
    }
    ck_assert_uint_gt(fit, 2000);
    ck_assert_uint_lt(fit, 18000);
}
END_TEST

/* Numbers as decimals, against doubles where those are exact. */
START_TEST(test_filter__numbers)
{
    static const char *const ascending[] = {"-1e1000000000000",
                                            "-123456789012345678901234567890",
                                            "-1.5",
                                            "-1e-400",
                                            "0",
                                            "1e-1000000000000",
                                            "1e-400",
                                            "0.00000000000000000000000011",
                                            "0.00000000000000000000000012",
                                            "0.1",
                                            "0.10000000000000001",
                                            "1",
                                            "1.0000000000000001",
                                            "9",
                                            "10",
                                            "99e1",
                                            "1000",
                                            "9007199254740993",
                                            "9223372036854775807",
                                            "9223372036854775808",
                                            "123456789012345678901234567890",
                                            "1e400",
                                            "1e1000000000000"};
    static const char *const same[][2] = {{"0.0000000000000000000000012345", "1.2345e-24"},
                                          {"0", "-0.00e5"},
                                          {"10", "1e1"},
                                          {"1.50", "15e-1"},
                                          {"0.001", "1E-3"},
                                          {"100", "1e+2"},
                                          {"-20", "-2e1"},
                                          {"0.0", "0e9"}};
    static const char *const wrong[] = {"", "-", "01", "1.", ".5", "1e", "1e+", "+1", "x", "-x"};
    kur__decimal a, b;
    for (size_t i = 0; i < COUNT_OF(ascending); i++)
        for (size_t j = 0; j < COUNT_OF(ascending); j++) {
            ck_assert_ptr_nonnull(kur__decimal_read(ascending[i], strchr(ascending[i], '\0'), &a));
            ck_assert_ptr_nonnull(kur__decimal_read(ascending[j], strchr(ascending[j], '\0'), &b));
            ck_assert_msg(kur__decimal_compare(&a, &b) == (i > j) - (i < j), "%s and %s", ascending[i], ascending[j]);
        }
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        ck_assert_ptr_nonnull(kur__decimal_read(same[i][0], strchr(same[i][0], '\0'), &a));
        ck_assert_ptr_nonnull(kur__decimal_read(same[i][1], strchr(same[i][1], '\0'), &b));
        ck_assert_msg(kur__decimal_compare(&a, &b) == 0, "%s and %s", same[i][0], same[i][1]);
    }
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        const char *end = strchr(wrong[i], '\0');
        ck_assert_msg(kur__decimal_read(wrong[i], end, &a) != end, "%s", wrong[i]);
    }
    a = kur__decimal_of(INT64_MIN);
    ck_assert_int_eq(a.is_negative, true);
    ck_assert_uint_eq(a.digits, UINT64_C(9223372036854775808));
}
END_TEST

/* A record that tells nothing, and one that is no JSON. */
START_TEST(test_filter__nothing_there)
{
    static const char *const absent[] = {
        "key",           "value",       "type",       "id",           "source",
        "subject",       "time",        "age",        "cause",        "code",
        "message",       "group",       "redrive.id", "origin.topic", "origin.partition",
        "origin.offset", "header('x')", "payload",    "payload.x",    "payload[0]"};
    static const char *const broken[] = {"{\"x\":",
                                         "{\"x\" 1}",
                                         "{x:1}",
                                         "{\"x\":1.}",
                                         "{\"x\":nul}",
                                         "{\"x\":\"\\ud83d",
                                         "{\"y\":1 \"x\":2}",
                                         "{\"y\":tru,\"x\":2}",
                                         "{\"x\":12 apples}",
                                         "\"x",
                                         "",
                                         " ",
                                         "\xff\xfe",
                                         "{\"x\":1",
                                         "{\"x\":\"y\"",
                                         "{\"x\":01}",
                                         "{\"x\":\"\\q\"}",
                                         "{\"x\":\"\\ud83d\"}"};
    char text[100];
    kur_record *record = letter_record(&(kur_record_parts){.timestamp_us = -1});
    kur_letter letter = letter_of(record, arena);
    for (size_t i = 0; i < COUNT_OF(absent); i++) {
        snprintf(text, sizeof text, "%s = null and not exists(%s)", absent[i], absent[i]);
        ck_assert_msg(holds(text, &letter), "%s", text);
    }
    kur_record_free(record);
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        record = letter_record(&(kur_record_parts){.value = kur_bytes_text(broken[i])});
        letter = letter_of(record, arena);
        ck_assert_msg(
            !holds("payload.x = 1 or payload.x = 2 or payload.x ~ '*' or payload.x = '' or payload.x != 'y' or "
                   "payload.x = true",
                   &letter),
            "%s", broken[i]);
        kur_record_free(record);
    }
    ck_assert(kur_filter_matches(NULL, &letter, 0));
    ck_assert(!kur_filter_matches(NULL, NULL, 0));
    ck_assert_ptr_null(kur_filter_text(NULL));
    kur_filter_free(NULL);
}
END_TEST

/* A scalar that is the whole payload; a structured event, whose data stands in JSON. */
START_TEST(test_filter__other_payloads)
{
    kur_record *record = letter_record(&(kur_record_parts){.value = kur_bytes_text(" 17 ")});
    kur_letter letter = letter_of(record, arena);
    ck_assert(holds("payload = 17 and value = ' 17 '", &letter));
    kur_record_free(record);
    /* No time, but the beginning of one. */
    record = letter_record(&(kur_record_parts){
        .value = kur_bytes_text("2026-11-28T20:00:00.0000000000000000000000000000000000000000000Z and more")});
    letter = letter_of(record, arena);
    ck_assert(!holds("value >= 2026-11-28 or value < 2026-11-28", &letter));
    kur_record_free(record);
    record = letter_record(&(kur_record_parts){.value = kur_bytes_text("17 apples")});
    letter = letter_of(record, arena);
    ck_assert(holds("payload = null and value ~ '*apples'", &letter));
    kur_record_free(record);
    record = letter_record(&(kur_record_parts){.value = kur_bytes_text("[[1,[2]],\"x\"]")});
    letter = letter_of(record, arena);
    ck_assert(holds("payload[0][1][0] = 2 and payload[1] = 'x' and payload[2] = null and payload.x = null", &letter));
    kur_record_free(record);
    const kur_header header = {"content-type", kur_bytes_text("application/cloudevents+json")};
    record = letter_record(&(kur_record_parts){
        .value = kur_bytes_text(
            "{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"/s\",\"type\":\"t.v1\",\"subject\":\"u\","
            "\"data\":{\"x\":[1,2]}}"),
        .headers = &header,
        .header_count = 1});
    letter = letter_of(record, arena);
    ck_assert(holds("payload.x[1] = 2 and id = 'i' and type = 't.v1' and subject = 'u'", &letter));
    kur_record_free(record);
}
END_TEST

/* ---- Wrong ones ---- */

START_TEST(test_filter__errors)
{
    static const struct {
        const char *text, *message;
    } list[] = {
        {"", "character 1: expected a field, \"not\", \"exists\" or \"(\", found the end"},
        {"  ", "character 3: expected a field, \"not\", \"exists\" or \"(\", found the end"},
        {"cause", "character 6: expected =, !=, <, <=, >, >=, ~ or in, found the end"},
        {"cause =", "character 8: cause is a text: expected one in quotes, found the end"},
        {"cause = timeout", "character 9: cause is a text: expected one in quotes, found timeout"},
        {"cause = 5", "character 9: cause is a text: expected one in quotes, found 5"},
        {"cause \"x\"", "character 7: expected =, !=, <, <=, >, >=, ~ or in, found the text \"x\""},
        {"caus = 'x'",
         "character 1: there is no field \"caus\": expected one of topic, partition, offset, key, value, "
         "type, id, source, subject, time, age, cause, code, message, attempt, group, redriven, redrive.id, "
         "origin.topic, origin.partition, origin.offset, header(\"…\"), payload.…"},
        {"origin = 'x'", "character 1: there is no field \"origin\""},
        {"cause.x = 'x'", "character 1: there is no field \"cause.x\""},
        {"origin.5 = 'x'", "character 8: expected the rest of a field's name, found 5"},
        {"age < 2", "character 7: age is a duration: expected one such as 90s, 15m, 2h or 7d, found 2"},
        {"age < 2w", "character 7: expected a number such as 17 or -1.5, a duration such as 90s, or a time, found 2w"},
        {"age < 1h30m", "character 7: expected a number"},
        {"age < -5m", "character 7: expected a number"},
        {"age < 99999999999999d", "character 7: the duration is too long"},
        {"time > 2h", "character 8: time is a time: expected one such as 2026-11-28T21:30:00Z, found 2h"},
        {"time > 2026-13-01", "character 8: expected a time such as 2026-11-28T21:30:00Z, or a date, found 2026-13-01"},
        {"time > 2026-11-28T25:00:00Z", "character 8: expected a time"},
        {"partition = '3'", "character 13: partition is a number: expected one such as 17, found the text '3'"},
        {"partition ~ '3*'", "character 11: partition is no text, which ~ matches"},
        {"partition = 01", "character 13: expected a number"},
        {"partition = 1.", "character 13: expected a number"},
        {"payload.x = 2h",
         "character 13: payload is JSON: expected a text in quotes, a number, a time, true, false or null, found 2h"},
        {"payload.x < true", "character 13: expected a value that has an order, found true"},
        {"cause < null", "character 9: expected a value that has an order, found null"},
        {"payload. = 1", "character 10: expected the name of a member"},
        {"payload.x[-1] = 1", "character 11: expected an index such as 0, or a name in quotes, found -1"},
        {"payload.x[1 = 1", "character 13: expected \"]\", found ="},
        {"payload.x[1234567890] = 1", "character 11: expected an index"},
        {"number(payload.x) = 'x'", "character 21: number(…) is a number: expected one such as 17, found the text 'x'"},
        {"number(payload.x) ~ '1*'", "character 19: number(…) is no text, which ~ matches"},
        {"number(partition) = 1", "character 8: expected a field that is a text, found partition"},
        {"number(number(key)) = 1", "character 8: there is no field \"number\""},
        {"number key = 1", "character 8: expected \"(\", found key"},
        {"number(key = 1", "character 12: expected \")\", found ="},
        {"header = 'x'", "character 8: expected \"(\", found ="},
        {"header(tenant) = 'x'", "character 8: expected the name of a header in quotes, found tenant"},
        {"header('t' = 'x'", "character 12: expected \")\", found ="},
        {"header('t') = 5", "character 15: header is a text: expected one in quotes, or a time, found 5"},
        {"cause ~ 'smtp'", "character 9: a pattern without * fits itself alone"},
        {"cause ~ smtp*", "character 9: expected a pattern in quotes, such as \"smtp.*\", found smtp"},
        {"cause = 'x\\q'", "character 11: there is no such escape: expected \\\", \\\\, \\n or \\u"},
        {"cause = 'x\\*'", "character 11: there is no such escape"},
        {"cause = '\\ud800'", "character 10: there is no such escape"},
        {"cause = 'x", "character 9: the text that begins here has no end: expected '"},
        {"cause = \"x\\\"", "character 9: the text that begins here has no end: expected \""},
        {"cause in 'x'", "character 10: expected \"(\", found the text 'x'"},
        {"cause in ()", "character 11: cause is a text: expected one in quotes, found )"},
        {"cause in ('x' 'y')", "character 15: expected \",\" or \")\", found the text 'y'"},
        {"cause in ('x',)", "character 15: cause is a text"},
        {"cause = 'x' and", "character 16: expected a field"},
        {"cause = 'x' && age < 2h", "character 13: expected \"and\", \"or\" or the end, found &"},
        {"cause = 'x' AND age < 2h", "character 13: expected \"and\", \"or\" or the end, found AND"},
        {"(cause = 'x'", "character 13: expected \"and\", \"or\" or \")\", found the end"},
        {"cause = 'x')", "character 12: expected \"and\", \"or\" or the end, found )"},
        {"not", "character 4: expected a field"},
        {"exists cause", "character 8: expected \"(\", found cause"},
        {"exists('x')", "character 8: expected a field, found the text 'x'"},
        {"cause = 'ä' or ö", "character 16: there is no field \"ö\""},
        {"cause = 'ä' or 5", "character 16: expected a field"},
        {"2h > age", "character 1: expected a field"},
        {"a123456789b123456789c123456789d123456789e123456789.f123456789.g123456789.h123456789 = 1",
         "character 1: there is no field \"a123456789b123456789c123456789d123456789"},
        {"cause = \"x\" and \x01", "character 17: expected a field"},
    };
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        kur_error error = {0};
        ck_assert_msg(kur_filter_new(list[i].text, &error) == NULL, "%s is right", list[i].text);
        ck_assert_int_eq(error.code, KUR_ERROR_SYNTAX);
        ck_assert_msg(strncmp(error.message, list[i].message, strlen(list[i].message)) == 0, "%s: %s", list[i].text,
                      error.message);
    }
}
END_TEST

static char *repeated(const char *front, const char *text, size_t times, const char *end)
{
    size_t size = strlen(text);
    char *all = malloc(strlen(front) + size * times + strlen(end) + 1), *at = all + sprintf(all, "%s", front);
    for (size_t i = 0; i < times; i++, at += size)
        memcpy(at, text, size);
    strcpy(at, end);
    return all;
}

static void check_large(char *text, const char *message)
{
    kur_error error = {0};
    kur_filter *filter = kur_filter_new(text, &error);
    if (message == NULL)
        ck_assert_msg(filter != NULL, "%s: %s", text, error.message);
    else {
        ck_assert_msg(filter == NULL, "%s is right", text);
        ck_assert_int_eq(error.code, KUR_ERROR_TOO_LARGE);
        ck_assert_msg(strstr(error.message, message) != NULL, "%s", error.message);
    }
    kur_filter_free(filter);
    free(text);
}

START_TEST(test_filter__bounds)
{
    kur_error error = {0};
    check_large(repeated("", "not ", 32, "age < 1h"), NULL);
    check_large(repeated("", "not ", 33, "age < 1h"), "character 129: more than 32 of \"(\" and \"not\"");
    check_large(repeated("", "(", 1000, ""), "character 33: more than 32");
    check_large(repeated("", "not(", 1000, ""), "character 65: more than 32");
    check_large(repeated("payload", ".a", 32, " = 1"), NULL);
    check_large(repeated("payload", ".a", 33, " = 1"), "more than 32 steps");
    check_large(repeated("exists(payload.a)", " or exists(payload.a)", 15, ""), NULL);
    check_large(repeated("exists(payload.a)", " or exists(payload.a)", 16, ""), "more than 16 paths");
    check_large(repeated("age < 1h", " and age < 1h", 300, ""), NULL);
    check_large(repeated("age < 1h", " and (not age < 1h)", 100, ""), NULL);
    check_large(repeated("age < 1h", " ", 5000, ""), "longer than 4096 bytes");
    check_large(repeated("cause = '", "x", 4086, "'"), NULL);
    check_large(repeated("cause = '", "x", 4087, "'"), "longer than 4096 bytes");
    check_large(repeated("cause in ('x'", ",''", 1360, ")"), NULL);
    ck_assert_ptr_null(kur_filter_new("cause = '\xff'", &error));
    ck_assert_int_eq(error.code, KUR_ERROR_SYNTAX);
    ck_assert_ptr_null(kur_filter_new(NULL, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(test_filter__explained)
{
    kur_error error = {0};
    kur_buffer lines = {0};
    ck_ok(kur_filter_explain("cause = 'x'", &lines, &error), error);
    ck_assert_uint_eq(lines.size, 0);
    ck_assert_int_eq(kur_filter_explain("cause = \"ä\" and age < 2", &lines, &error), KUR_ERROR_SYNTAX);
    ck_assert_str_eq(lines.data, "cause = \"ä\" and age < 2\n                      ^\n");
    ck_assert_ptr_nonnull(strstr(error.message, "character 23: age is"));
    lines.size = 0;
    ck_assert_int_eq(kur_filter_explain("cause\n=\t'x' or", &lines, &error), KUR_ERROR_SYNTAX);
    ck_assert_str_eq(lines.data, "cause = 'x' or\n              ^\n");
    lines.size = 0;
    char *text = repeated("", "age < 1h or ", 100, "age < 2 or age < 3h and age < 5h or age < 9h");
    ck_assert_int_eq(kur_filter_explain(text, &lines, &error), KUR_ERROR_SYNTAX);
    ck_assert_str_eq(lines.data, "…1h or age < 1h or age < 1h or age < 1h or age < 2 or age < 3h and age < …\n"
                                 "                                                 ^\n");
    free(text);
    lines.size = 0;
    ck_assert_int_eq(kur_filter_explain("\xff", &lines, &error), KUR_ERROR_SYNTAX);
    ck_assert_uint_eq(lines.size, 0);
    ck_assert_int_eq(kur_filter_explain(NULL, &lines, &error), KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(kur_filter_explain("", NULL, &error), KUR_ERROR_INVALID_ARGUMENT);
    kur_buffer_done(&lines);
}
END_TEST

/* A large value, and a pattern that another way of matching would never be through with. */
START_TEST(test_filter__hostile_values)
{
    enum {
        SIZE = 8 << 20
    };
    char *value = malloc(SIZE + 1);
    memset(value, 'a', SIZE);
    value[SIZE] = '\0';
    kur_record *record = letter_record(&(kur_record_parts){.value = kur_bytes_of(value, SIZE)});
    kur_letter letter = letter_of(record, arena);
    int64_t start_us = kur_clock_monotonic_us();
    char *text = repeated("value ~ '", "*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 50, "*'");
    ck_assert(!holds(text, &letter));
    free(text);
    ck_assert(holds("value ~ '*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a'", &letter));
    kur_record_free(record);
    /* Deep, and never closed. */
    memset(value, '[', SIZE);
    record = letter_record(&(kur_record_parts){.value = kur_bytes_of(value, SIZE)});
    letter = letter_of(record, arena);
    ck_assert(holds("payload[0][0][1] = null and payload.x = null and exists(payload[0][0])", &letter));
    kur_record_free(record);
    ck_assert_int_lt(kur_clock_monotonic_us() - start_us, INT64_C(10) * 1000 * 1000);
    free(value);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_filter__fields,         test_filter__payload,
                                  test_filter__kinds,          test_filter__joined,
                                  test_filter__patterns,       test_filter__patterns_at_random,
                                  test_filter__numbers,        test_filter__nothing_there,
                                  test_filter__other_payloads, test_filter__errors,
                                  test_filter__bounds,         test_filter__explained,
                                  test_filter__hostile_values, NULL};
    arena = kur_arena_new();
    ck_assert_ptr_nonnull(arena);
    int status = check_main("filter", tests);
    kur_arena_free(arena);
    return status;
}
