/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/retry.h>
#include <string.h>

#include "../check_main.h"

#define TEXT_249                                                                                                       \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                              \
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"                              \
    "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

START_TEST(test_retry_names__made)
{
    const kur_retry_topics prefixed = KUR_RETRY_TOPICS(.prefix = "eu.mail"),
                           spring = KUR_RETRY_TOPICS(.headers = KUR_HEADERS_SPRING);
    const struct {
        const kur_retry_topics *topics;
        const char *group, *suffix, *name;
        kur_tier tier;
    } cases[] = {{NULL, "email", NULL, "orders", KUR_TIER_MAIN},
                 {NULL, "email", NULL, "orders.email.retry-short", KUR_TIER_SHORT},
                 {NULL, "email", NULL, "orders.email.retry-medium", KUR_TIER_MEDIUM},
                 {NULL, "email", NULL, "orders.email.retry-long", KUR_TIER_LONG},
                 {NULL, "email", NULL, "orders.email.retry-ordered", KUR_TIER_ORDERED},
                 {NULL, "email", NULL, "orders.email.dlq", KUR_TIER_DEAD},
                 {NULL, "e_mail.2-x", "smtp-5", "orders.e_mail.2-x.dlq-smtp-5", KUR_TIER_DEAD},
                 {&prefixed, "no topic's name", NULL, "eu.mail.orders.retry-long", KUR_TIER_LONG},
                 {&prefixed, NULL, "a", "eu.mail.orders.dlq-a", KUR_TIER_DEAD},
                 {&spring, "no topic's name", NULL, "orders-retry", KUR_TIER_SHORT},
                 {&spring, NULL, NULL, "orders-retry", KUR_TIER_LONG},
                 {&spring, NULL, NULL, "orders-dlt", KUR_TIER_DEAD},
                 {&spring, NULL, "smtp", "orders-smtp-dlt", KUR_TIER_DEAD}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_buffer name = {0};
        kur_error error = {0};
        kur_buffer_append(&name, "> ", 2);
        ck_ok(kur_retry_topic(&name, cases[i].topics, "orders", cases[i].group, cases[i].tier, cases[i].suffix, &error),
              error);
        ck_assert_str_eq(name.data + 2, cases[i].name);
        ck_assert_uint_eq(name.size, 2 + strlen(cases[i].name));
        kur_buffer_done(&name);
    }
}
END_TEST

START_TEST(test_retry_names__refused)
{
    const kur_retry_topics spring = KUR_RETRY_TOPICS(.headers = KUR_HEADERS_SPRING),
                           spring_prefixed = KUR_RETRY_TOPICS(.headers = KUR_HEADERS_SPRING, .prefix = "a"),
                           empty = KUR_RETRY_TOPICS(.prefix = ""), wrong = KUR_RETRY_TOPICS(.prefix = "a b"),
                           long_one = KUR_RETRY_TOPICS(.prefix = TEXT_249), styled = KUR_RETRY_TOPICS(.headers = 7),
                           sizeless = {.prefix = "a"};
    const struct {
        const kur_retry_topics *topics;
        const char *topic, *group, *suffix;
        kur_tier tier;
        const char *says, *helps;
    } cases[] = {
        {NULL, "orders", "e mail", NULL, KUR_TIER_DEAD, "the group \"e mail\" cannot be part of a topic's name",
         ".prefix"},
        {NULL, "orders", "\xc3\xa9t\xc3\xa9", NULL, KUR_TIER_SHORT, "A-Z a-z 0-9 . _ - only", ".prefix"},
        {NULL, "orders", "a/b", NULL, KUR_TIER_MAIN, "\"a/b\"", ".prefix"},
        {NULL, "orders", "", NULL, KUR_TIER_DEAD, "named for a group, and there is none", "orders"},
        {NULL, "orders", NULL, NULL, KUR_TIER_DEAD, "named for a group, and there is none", "orders"},
        {NULL, "orders", TEXT_249, NULL, KUR_TIER_DEAD, "is 260 characters long", "set a shorter .prefix"},
        {&long_one, "orders", "g", NULL, KUR_TIER_DEAD, "is 260 characters long", "249"},
        {&spring, TEXT_249, NULL, NULL, KUR_TIER_DEAD, "is 253 characters long", "249"},
        {NULL, TEXT_249 "b", "g", NULL, KUR_TIER_MAIN, "is not a topic's name", "249"},
        {NULL, "..", "g", NULL, KUR_TIER_DEAD, "\"..\" is not a topic's name", ""},
        {NULL, "orders", "g", "Smtp", KUR_TIER_DEAD, "the suffix \"Smtp\"", "1 to 32 of a-z 0-9 -"},
        {NULL, "orders", "g", "", KUR_TIER_DEAD, "the suffix \"\"", "1 to 32"},
        {NULL, "orders", "g", "a.b", KUR_TIER_DEAD, "the suffix \"a.b\"", ""},
        {NULL, "orders", "g", "123456789012345678901234567890123", KUR_TIER_DEAD, "the suffix", ""},
        {NULL, "orders", "g", "smtp", KUR_TIER_LONG, "for dead letters only", ""},
        {NULL, "orders", "g", NULL, (kur_tier)6, "6 is not a kur_tier", ""},
        {&spring_prefixed, "orders", "g", NULL, KUR_TIER_DEAD, ".prefix: Spring Kafka's names", ""},
        {&empty, "orders", "g", NULL, KUR_TIER_DEAD, ".prefix is empty", ""},
        {&wrong, "orders", "g", NULL, KUR_TIER_DEAD, ".prefix \"a b\" cannot be part", ""},
        {&styled, "orders", "g", NULL, KUR_TIER_DEAD, ".headers is not a kur_header_style", ""},
        {&sizeless, "orders", "g", NULL, KUR_TIER_DEAD, "kur_retry_topics.size is not set", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_buffer name = {0};
        kur_error error = {0};
        kur_buffer_append(&name, "as it was", 9);
        kur_status status = kur_retry_topic(&name, cases[i].topics, cases[i].topic, cases[i].group, cases[i].tier,
                                            cases[i].suffix, &error);
        ck_assert_msg(status == KUR_ERROR_INVALID_ARGUMENT, "case %zu", i);
        ck_says(error, cases[i].says);
        ck_says(error, cases[i].helps);
        ck_assert_str_eq(name.data, "as it was");
        kur_buffer_done(&name);
    }
    kur_error error = {0};
    kur_buffer name = {0};
    ck_status(kur_retry_topic(NULL, NULL, "t", "g", KUR_TIER_DEAD, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    error = (kur_error){0};
    ck_status(kur_retry_topic(&name, NULL, NULL, "g", KUR_TIER_DEAD, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
}
END_TEST

/* The longest names that there may be. */
START_TEST(test_retry_names__longest)
{
    char topic[250];
    kur_error error = {0};
    memset(topic, 't', sizeof topic);
    for (size_t size = 236; size <= 240; size++) {
        kur_buffer name = {0};
        topic[size] = '\0';
        kur_status status = kur_retry_topic(&name, NULL, topic, "group", KUR_TIER_DEAD, NULL, &error);
        ck_assert_int_eq(status, size + strlen(".group.dlq") <= 249 ? KUR_OK : KUR_ERROR_INVALID_ARGUMENT);
        ck_assert_uint_eq(name.size, status == KUR_OK ? size + 10 : 0);
        topic[size] = 't';
        kur_buffer_done(&name);
    }
}
END_TEST

START_TEST(test_retry_names__tier_of)
{
    const struct {
        const char *topic;
        kur_tier tier;
    } cases[] = {{"orders.email.retry-short", KUR_TIER_SHORT},
                 {"orders.email.retry-medium", KUR_TIER_MEDIUM},
                 {"a.retry-long", KUR_TIER_LONG},
                 {"orders.email.retry-ordered", KUR_TIER_ORDERED},
                 {"orders.email.dlq", KUR_TIER_DEAD},
                 {"orders.email.dlq-smtp-5", KUR_TIER_DEAD},
                 {"orders.dlq.dlq-a", KUR_TIER_DEAD},
                 {"orders.email.dlq-12345678901234567890123456789012", KUR_TIER_DEAD},
                 {"orders.email.dlq-123456789012345678901234567890123", KUR_TIER_MAIN},
                 {"orders.email.dlq-", KUR_TIER_MAIN},
                 {"orders.email.dlq-Smtp", KUR_TIER_MAIN},
                 {"orders.email.dlq-a.b", KUR_TIER_MAIN},
                 {"orders.email.dlqs", KUR_TIER_MAIN},
                 {"orders.email-retry-short", KUR_TIER_MAIN},
                 {"orders.email.retry-shorter", KUR_TIER_MAIN},
                 {"orders.retry-short.eu", KUR_TIER_MAIN},
                 {"orders-retry", KUR_TIER_MAIN},
                 {".dlq", KUR_TIER_MAIN},
                 {"dlq", KUR_TIER_MAIN},
                 {"orders.main", KUR_TIER_MAIN},
                 {"orders.", KUR_TIER_MAIN},
                 {"", KUR_TIER_MAIN},
                 {NULL, KUR_TIER_MAIN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(kur_retry_tier_of(cases[i].topic) == cases[i].tier, "%s", cases[i].topic);
}
END_TEST

START_TEST(test_retry_names__tier_for)
{
    const int64_t second = 1000000;
    ck_assert_int_eq(kur_retry_tier_for(INT64_MIN), KUR_TIER_SHORT);
    ck_assert_int_eq(kur_retry_tier_for(0), KUR_TIER_SHORT);
    ck_assert_int_eq(kur_retry_tier_for(60 * second - 1), KUR_TIER_SHORT);
    ck_assert_int_eq(kur_retry_tier_for(60 * second), KUR_TIER_MEDIUM);
    ck_assert_int_eq(kur_retry_tier_for(3600 * second - 1), KUR_TIER_MEDIUM);
    ck_assert_int_eq(kur_retry_tier_for(3600 * second), KUR_TIER_LONG);
    ck_assert_int_eq(kur_retry_tier_for(INT64_MAX), KUR_TIER_LONG);
    static const char *const names[] = {"main", "short", "medium", "long", "ordered", "dlq", "?"};
    for (int tier = 0; tier < 7; tier++)
        ck_assert_str_eq(kur_tier_name((kur_tier)tier), names[tier]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_retry_names__made,    test_retry_names__refused,  test_retry_names__longest,
                                  test_retry_names__tier_of, test_retry_names__tier_for, NULL};
    return check_main("retry_names", tests);
}
