/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The short ways through what every event passes, against the plain ones.
 */
#include "check_main.h"

#include <inttypes.h>
#include <jansson.h>
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/time.h"
#include "event/attribute.h"
#include "event/json.h"
#include "event/value.h"
#include "kafka/topic.h"

/* Every size of storage, so that each append once just fits and once just does not. */
START_TEST(test_text__buffer_put_grows_as_append_does)
{
    for (size_t room = 0; room < 40; room++) {
        char storage[41];
        storage[room] = '#';
        kur_buffer put = room == 0 ? (kur_buffer){0} : kur_buffer_over(storage, room);
        for (int i = 0; i < 5; i++) {
            ck_assert_int_eq(kur__buffer_put(&put, "abc", 3), KUR_OK);
            ck_assert_int_eq(kur__buffer_put_char(&put, 'd'), KUR_OK);
            ck_assert_int_eq(kur__buffer_put(&put, "", 0), KUR_OK);
            ck_assert_uint_eq(strlen(put.data), put.size);
        }
        ck_assert_str_eq(put.data, "abcdabcdabcdabcdabcd");
        ck_assert_int_eq(put.borrowed, room > 20);
        ck_assert_msg(storage[room] == '#', "written behind %zu bytes", room);
        kur_buffer_done(&put);
    }
}
END_TEST

START_TEST(test_text__strings_are_escaped_as_jansson_reads_them)
{
    /* Each character at each place, in texts whose sizes leave every rest behind the words that are looked at. */
    for (int c = 1; c < 128; c++)
        for (size_t size = 1; size <= 20; size++)
            for (size_t place = 0; place < size; place++) {
                char text[21];
                memset(text, c % 2 == 0 ? 'x' : '~', size);
                text[place] = (char)c;
                text[size] = '\0';
                kur_buffer json = {0};
                ck_assert_int_eq(kur__json_write_string(&json, text, size), KUR_OK);
                json_t *read = json_loadb(json.data, json.size, JSON_DECODE_ANY, NULL);
                ck_assert_msg(read != NULL, "%s is not JSON", json.data);
                ck_assert_str_eq(json_string_value(read), text);
                json_decref(read);
                kur_buffer_done(&json);
            }
    static const char *const pairs[][2] = {{"", "\"\""},
                                           {"\"", "\"\\\"\""},
                                           {"\\", "\"\\\\\""},
                                           {"\n\t", "\"\\n\\t\""},
                                           {"\b\f\r", "\"\\b\\f\\r\""},
                                           {"/", "\"/\""},
                                           {"\x1f", "\"\\u001f\""},
                                           {"\x7f", "\"\x7f\""},
                                           {"\xc3\xa9", "\"\xc3\xa9\""}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        kur_buffer json = {0};
        ck_assert_int_eq(kur__json_write_string(&json, pairs[i][0], strlen(pairs[i][0])), KUR_OK);
        ck_assert_str_eq(json.data, pairs[i][1]);
        kur_buffer_done(&json);
    }
}
END_TEST

/* The text of a decimal by the C library. */
static void print_decimal(char text[48], int64_t unscaled, int scale)
{
    int64_t unit = 1;
    for (int i = 0; i < scale; i++)
        unit *= 10;
    if (scale == 0)
        snprintf(text, 48, "%" PRId64, unscaled);
    else
        snprintf(text, 48, "%s%" PRId64 ".%0*" PRId64, unscaled < 0 ? "-" : "", (int64_t)llabs(unscaled / unit), scale,
                 (int64_t)llabs(unscaled % unit));
}

START_TEST(test_text__decimals_of_every_scale)
{
    static const int64_t numbers[] = {0, 1, 9, 10, 99, 100, 1995, 123456789, 999999999999999999};
    for (int scale = 0; scale <= 18; scale++) {
        const kur_type *type = &(const kur_type){.abi = KUR_TYPE_ABI,
                                                 .kind = KUR_KIND_IS_DECIMAL,
                                                 .size = sizeof(int64_t),
                                                 .align = _Alignof(int64_t),
                                                 .precision = 18,
                                                 .scale = scale};
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers * 2; i++) {
            int64_t number = i % 2 == 0 ? numbers[i / 2] : -numbers[i / 2];
            char expected[48];
            kur_buffer text = {0};
            print_decimal(expected, number, scale);
            ck_assert_int_eq(kur__value_format(type, &number, &text), KUR_OK);
            ck_assert_str_eq(text.data, expected);
            kur_buffer_done(&text);
        }
    }
}
END_TEST

START_TEST(test_text__a_decimal_of_no_such_form_is_refused)
{
    static const int32_t forms[][2] = {{19, 2}, {0, 0}, {4, 5}, {18, -1}, {-1, 0}, {18, 200}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const kur_type type = {.abi = KUR_TYPE_ABI,
                               .kind = KUR_KIND_IS_DECIMAL,
                               .size = sizeof(int64_t),
                               .align = _Alignof(int64_t),
                               .precision = forms[i][0],
                               .scale = forms[i][1]};
        int64_t zero = 0;
        kur_error error = {0};
        ck_status(kur__value_check(&type, NULL, &zero, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
        ck_says(error, "DECIMAL(");
    }
}
END_TEST

/* Each byte at each place, in texts whose sizes leave every rest behind the words that are looked at. */
START_TEST(test_text__attributes_byte_by_byte)
{
    for (size_t size = 1; size <= 20; size++)
        for (size_t place = 0; place < size; place++)
            for (int i = 0; i < 512; i++) {
                unsigned char text[21];
                int c = i / 2;
                memset(text, i % 2 == 0 ? ' ' : '~', sizeof text);
                text[place] = (unsigned char)c;
                ck_assert_msg(kur__attribute_is_text(kur_bytes_of(text, size)) == (c >= 0x20 && c < 0x7f),
                              "byte %d at %zu of %zu", c, place, size);
            }
    ck_assert(kur__attribute_is_text(kur_bytes_text("beh\xc3\xb6rde und mehr als acht")));
    ck_assert(!kur__attribute_is_text(kur_bytes_text("beh\xc3\xb6rde\x7f und mehr")));
    ck_assert(!kur__attribute_is_text(kur_bytes_text("beh\xc2\x85rde und mehr")));
}
END_TEST

START_TEST(test_text__topics_byte_by_byte)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    char name[252] = "orders";
    for (int c = 1; c < 256; c++) {
        name[3] = (char)c;
        ck_assert_msg(kur__topic_is_valid(name) == (strchr(allowed, c) != NULL), "character %d", c);
    }
    memset(name, 'a', 250);
    name[250] = '\0';
    ck_assert(!kur__topic_is_valid(name));
    name[249] = '\0';
    ck_assert(kur__topic_is_valid(name));
    ck_assert(!kur__topic_is_valid(NULL) && !kur__topic_is_valid("") && !kur__topic_is_valid("."));
    ck_assert(!kur__topic_is_valid("..") && kur__topic_is_valid("..."));
}
END_TEST

/* Lengths count characters, whether or not the bytes say enough. */
START_TEST(test_text__lengths_of_strings_at_their_bounds)
{
    const kur_type type = {.abi = KUR_TYPE_ABI, .kind = KUR_KIND_IS_STRING, .size = sizeof(char *)};
    const kur_field field = {.name = "f", .type = &type, .min_length = 2, .max_length = 5};
    static const struct {
        const char *text;
        bool fits;
    } cases[] = {{"", false},
                 {"a", false},
                 {"\xc3\xa9", false},
                 {"\xf0\x9f\x98\x80", false},
                 {"ab", true},
                 {"\xc3\xa9\xc3\xa9", true},
                 {"\xf0\x9f\x98\x80\xf0\x9f\x98\x80", true},
                 {"abcde", true},
                 {"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", true},
                 {"abcdef", false},
                 {"abcdefgh", false},
                 {"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_error error = {0};
        ck_status(kur__value_check(&type, &field, &cases[i].text, NULL, &error),
                  cases[i].fits ? KUR_OK : KUR_ERROR_CONSTRAINT, error);
    }
}
END_TEST

/* What can be written and what is valid are one. */
START_TEST(test_text__times_at_their_bounds)
{
    static const int64_t first_us = INT64_C(-62135596800000000), last_us = INT64_C(253402300799999999);
    const struct {
        int64_t time_us;
        bool has_text;
    } cases[] = {{first_us - 1, false}, {first_us, true},     {-1, true},         {0, true},
                 {last_us, true},       {last_us + 1, false}, {INT64_MIN, false}, {INT64_MAX, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[KUR_TIME_TEXT_SIZE];
        ck_assert_int_eq(kur__time_has_text(cases[i].time_us), cases[i].has_text);
        ck_assert_int_eq(kur_time_format(cases[i].time_us, text) > 0, cases[i].has_text);
    }
    char text[KUR_DATE_TEXT_SIZE];
    for (int32_t days = -719163; days <= -719161; days++)
        ck_assert_int_eq(kur_date_format(days, text) > 0, kur__date_has_text(days));
    ck_assert(!kur__date_has_text(-719163) && kur__date_has_text(-719162));
    ck_assert(kur__date_has_text(2932896) && !kur__date_has_text(2932897));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_text__buffer_put_grows_as_append_does,
                                  test_text__strings_are_escaped_as_jansson_reads_them,
                                  test_text__decimals_of_every_scale,
                                  test_text__a_decimal_of_no_such_form_is_refused,
                                  test_text__lengths_of_strings_at_their_bounds,
                                  test_text__times_at_their_bounds,
                                  test_text__attributes_byte_by_byte,
                                  test_text__topics_byte_by_byte,
                                  NULL};
    return check_main("text", tests);
}
