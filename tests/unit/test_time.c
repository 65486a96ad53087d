/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"

#include <kurier/time.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t parse(const char *text)
{
    int64_t time = -77;
    kur_error error = {0};
    ck_ok(kur_time_parse(text, strlen(text), &time, &error), error);
    return time;
}

START_TEST(test_time__formats_as_many_digits_as_needed)
{
    static const struct {
        int64_t time;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00Z"},
                 {-1, "1969-12-31T23:59:59.999999Z"},
                 {1500000, "1970-01-01T00:00:01.500Z"},
                 {INT64_C(951827696000001), "2000-02-29T12:34:56.000001Z"},
                 {INT64_C(-62135596800000000), "0001-01-01T00:00:00Z"},
                 {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"}};
    char text[KUR_TIME_TEXT_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_uint_eq(kur_time_format(cases[i].time, text), strlen(cases[i].text));
        ck_assert_str_eq(text, cases[i].text);
        ck_assert_int_eq(parse(cases[i].text), cases[i].time);
    }
    ck_assert_uint_eq(kur_time_format(INT64_C(253402300800000000), text), 0);
    ck_assert_uint_eq(kur_time_format(INT64_C(-62135596800000001), text), 0);
    ck_assert_uint_eq(kur_time_format(INT64_MIN, text), 0);
    ck_assert_uint_eq(kur_time_format(INT64_MAX, text), 0);
    ck_assert_uint_eq(kur_time_format(0, NULL), 0);
    ck_assert_uint_eq(kur_date_format(0, NULL), 0);
}
END_TEST

START_TEST(test_time__reads_offsets_fractions_and_leap_seconds)
{
    ck_assert_int_eq(parse("1970-01-01T02:00:00+02:00"), 0);
    ck_assert_int_eq(parse("1969-12-31T19:30:00-04:30"), 0);
    ck_assert_int_eq(parse("1970-01-01t00:00:00.1234567899z"), 123456);
    ck_assert_int_eq(parse("1970-01-01 00:00:00.5Z"), 500000);
    ck_assert_int_eq(parse("2016-12-31T23:59:60Z"), parse("2017-01-01T00:00:00Z"));
}
END_TEST

START_TEST(test_time__refuses_what_is_no_time)
{
    static const char *const bad[] = {"",
                                      "Z",
                                      "1970-01-01",
                                      "1970-01-01T00:00:00",
                                      "1970-13-01T00:00:00Z",
                                      "1970-02-30T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "1970-01-01T24:00:00Z",
                                      "1970-01-01T00:60:00Z",
                                      "1970-01-01T00:00:61Z",
                                      "1970-01-01T00:00:00.Z",
                                      "1970-01-01T00:00:00+2:00",
                                      "1970-01-01T00:00:00+24:00",
                                      "1970-01-01T00:00:00Zx",
                                      "0000-01-01T00:00:00Z",
                                      "0001-01-01T00:00:00+01:00",
                                      "9999-12-31T23:59:59-01:00",
                                      "+970-01-01T00:00:00Z",
                                      "19700101T000000Z"};
    kur_error error = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t time = 5;
        ck_status(kur_time_parse(bad[i], strlen(bad[i]), &time, &error), KUR_ERROR_SYNTAX, error);
        ck_assert_int_eq(time, 5);
    }
    /* One bit away from the sign that is wanted. */
    static const char controls[][21] = {"1970\r01-01T00:00:00Z",
                                        "1970-01-01T00\x1a"
                                        "00:00Z",
                                        "1970-01-01\0"
                                        "00:00:00Z",
                                        "1970-01-01T00:00:00z"};
    for (size_t i = 0; i < 3; i++) {
        int64_t time = 5;
        ck_status(kur_time_parse(controls[i], 20, &time, &error), KUR_ERROR_SYNTAX, error);
        ck_assert_int_eq(time, 5);
    }
    ck_assert_int_eq(parse(controls[3]), 0);
    error = (kur_error){0};
    ck_status(kur_time_parse("", 0, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "time_us");
}
END_TEST

START_TEST(test_time__dates_agree_with_the_system_calendar)
{
    char text[KUR_DATE_TEXT_SIZE], expected[64];
    for (int64_t days = -719162; days <= 2932896; days += 97) {
        time_t seconds = (time_t)days * 86400;
        struct tm tm;
        int32_t again = 0;
        ck_assert_ptr_nonnull(gmtime_r(&seconds, &tm));
        snprintf(expected, sizeof expected, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
        ck_assert_uint_eq(kur_date_format((int32_t)days, text), 10);
        ck_assert_str_eq(text, expected);
        ck_assert_int_eq(kur_date_parse(text, 10, &again, NULL), KUR_OK);
        ck_assert_int_eq(again, days);
    }
    ck_assert_uint_eq(kur_date_format(INT32_MAX, text), 0);
    ck_assert_uint_eq(kur_date_format(INT32_MIN, text), 0);
    int32_t day = 0;
    kur_error error = {0};
    ck_status(kur_date_parse("2026-1-31", 9, &day, &error), KUR_ERROR_SYNTAX, error);
    ck_says(error, "2026-1-31");
    error = (kur_error){0};
    ck_status(kur_date_parse(NULL, 0, &day, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "text is NULL");
    error = (kur_error){0};
    ck_status(kur_date_parse("2026-01-31", 10, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "days is NULL");
    ck_assert_int_eq(day, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_time__formats_as_many_digits_as_needed, test_time__reads_offsets_fractions_and_leap_seconds,
        test_time__refuses_what_is_no_time, test_time__dates_agree_with_the_system_calendar, NULL};
    return check_main("time", tests);
}
