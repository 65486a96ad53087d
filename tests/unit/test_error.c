/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"

#include <string.h>

#include "base/error.h"
#include <kurier/bytes.h>

#include "kafka/connection.h"

START_TEST(test_error__statuses_have_names_and_texts)
{
    ck_assert_str_eq(kur_status_name(KUR_OK), "KUR_OK");
    ck_assert_str_eq(kur_status_name(KUR_ERROR_GAP), "KUR_ERROR_GAP");
    ck_assert_str_eq(kur_status_name((kur_status)9999), "KUR_ERROR_?");
    ck_assert_str_eq(kur_status_text(KUR_ERROR_TIMEOUT), "the time allowed is over");
    ck_assert(kur_status_text((kur_status)-1) != NULL);
    ck_assert(kur_status_is_retriable(KUR_ERROR_QUEUE_FULL));
    ck_assert(!kur_status_is_retriable(KUR_ERROR_UNKNOWN_OUTCOME));
    ck_assert(kur_status_is_fatal(KUR_ERROR_FENCED));
    ck_assert(!kur_status_is_fatal((kur_status)9999));
}
END_TEST

START_TEST(test_error__set_fills_everything)
{
    kur_error error = {0};
    ck_assert_int_eq(kur_error_set(&error, KUR_ERROR_FENCED, "by %s", "another"), KUR_ERROR_FENCED);
    ck_assert_str_eq(error.message, "by another");
    ck_assert(error.fatal && !error.retriable && error.kafka_code == 0);
    ck_assert_int_eq(kur_error_set(NULL, KUR_ERROR_SYSTEM, "nobody"), KUR_ERROR_SYSTEM);
}
END_TEST

START_TEST(test_error__message_is_one_line_of_utf8)
{
    kur_error error = {0};
    char text[1100];
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    for (int pad = 0; pad < 4; pad++) {
        kur_error_set(&error, KUR_ERROR_SYNTAX, "%.*s%s", pad, "abc", text);
        ck_assert_uint_ge(strlen(error.message), sizeof error.message - 4);
        ck_assert(kur_bytes_is_utf8(kur_bytes_text(error.message)));
    }
    kur_error_set(&error, KUR_ERROR_SYNTAX, "a\nb\x1b[31m\tc\x7f");
    ck_assert_str_eq(error.message, "a b [31m c ");
    /* Bytes that are not UTF-8 are marked; a character cut by a precision in the middle, too; at the end it goes. */
    kur_error_set(&error, KUR_ERROR_SYNTAX, "%s, %.1s, %.2s", "\xff\xc0z", "\xc3\xa9", "\xe2\x82\xac");
    ck_assert_str_eq(error.message, "??z, ?, ");
}
END_TEST

START_TEST(test_error__arguments_may_point_into_the_error)
{
    kur_error error = {0};
    kur_error_set(&error, KUR_ERROR_SYNTAX, "inner");
    kur_error_set(&error, KUR_ERROR_CONFIG, "outer: %s", error.message);
    ck_assert_str_eq(error.message, "outer: inner");
    kur__error_prefix(&error, "file:%d: ", 7);
    ck_assert_str_eq(error.message, "file:7: outer: inner");
    ck_assert_int_eq(error.code, KUR_ERROR_CONFIG);
}
END_TEST

START_TEST(test_error__null_object_keeps_the_first)
{
    kur_error error = {0};
    ck_assert_int_eq(kur_error_null(&error, "client"), KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_str_eq(error.message, "client is NULL");
    kur_error_set(&error, KUR_ERROR_CONFIG, "first");
    ck_assert_int_eq(kur_error_null(&error, "producer"), KUR_ERROR_CONFIG);
    ck_assert_str_eq(error.message, "first");
    ck_assert_int_eq(kur_error_null(NULL, "x"), KUR_ERROR_INVALID_ARGUMENT);
}
END_TEST

/* What of librdkafka's own text is said once; and what passes is told from what stays. */
START_TEST(test_error__of_kafka)
{
    kur_error error = {0};
    ck_assert_int_eq(kur__error_of_kafka(&error, RD_KAFKA_RESP_ERR_NOT_COORDINATOR, "commit"), KUR_ERROR_BROKER);
    ck_assert_str_eq(error.message, "commit: Broker: Not coordinator");
    ck_assert_int_eq(error.kafka_code, RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
    ck_assert(error.retriable);
    kur__error_of_kafka(&error, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "t: Broker: Unknown topic or partition");
    ck_assert_str_eq(error.message, "t: Broker: Unknown topic or partition");
    ck_assert(!error.retriable);
    kur__error_of_kafka(&error, RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, "offsets of t [0]");
    ck_assert(error.retriable);                                          /* a topic that was just made */
    ck_assert_int_eq(kur_status_of_kafka(111), KUR_ERROR_FENCED);        /* UNRELEASED_INSTANCE_ID */
    ck_assert_int_eq(kur_status_of_kafka(113), KUR_ERROR_NOT_COMMITTED); /* STALE_MEMBER_EPOCH */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_error__statuses_have_names_and_texts,
                                  test_error__set_fills_everything,
                                  test_error__message_is_one_line_of_utf8,
                                  test_error__arguments_may_point_into_the_error,
                                  test_error__null_object_keeps_the_first,
                                  test_error__of_kafka,
                                  NULL};
    return check_main("error", tests);
}
