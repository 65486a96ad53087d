/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the command line masks, and what it leaves; and that text of others holds no orders when it is printed.
 */
#include <stdlib.h>
#include <string.h>

#include "../../tools/kurier/mask.h"
#include "../../tools/kurier/text.h"
#include "../check_main.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

START_TEST(test_mask__names)
{
    static const char *const secret[] = {"password",
                                         "Password",
                                         "user_password",
                                         "PASSWD",
                                         "pwd",
                                         "api_key",
                                         "apiKey",
                                         "X-Api-Key",
                                         "api key",
                                         "access_token",
                                         "refreshToken",
                                         "Authorization",
                                         "Proxy-Authorization",
                                         "client_secret",
                                         "cardNumber",
                                         "card",
                                         "card_no",
                                         "cvv",
                                         "cookie",
                                         "Set-Cookie",
                                         "privateKey",
                                         "userPin",
                                         "pin",
                                         "db.password"};
    static const char *const plain[] = {"",     "id",     "shipping",  "discard", "cardinality", "key",      "company",
                                        "span", "author", "passenger", "compass", "keyboard",    "quantity", "pinned"};
    for (size_t i = 0; i < COUNT_OF(secret); i++)
        ck_assert_msg(mask_is_secret(secret[i], strlen(secret[i])), "%s", secret[i]);
    for (size_t i = 0; i < COUNT_OF(plain); i++)
        ck_assert_msg(!mask_is_secret(plain[i], strlen(plain[i])), "%s", plain[i]);
}
END_TEST

static void is_masked(const char *text, const char *expected)
{
    kur_buffer to = {0};
    ck_assert_int_eq(kur_buffer_append(&to, "", 0), KUR_OK);
    mask_text(&to, kur_bytes_text(text));
    ck_assert_str_eq(to.data != NULL ? to.data : "", expected);
    kur_buffer_done(&to);
}

START_TEST(test_mask__texts)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"nothing here", "nothing here"},
        {"{\"id\":1,\"password\":\"x\",\"b\":2}", "{\"id\":1,\"password\":\"***\",\"b\":2}"},
        {"{\"password\" : \"a\\\"b\\\\\", \"b\":2}", "{\"password\" : \"***\", \"b\":2}"},
        {"{\"pin\": 1234, \"b\": 2}", "{\"pin\": \"***\", \"b\": 2}"},
        {"{\"pin\":1234}", "{\"pin\":\"***\"}"},
        {"{\"card\":{\"number\":\"41}11\",\"x\":[1]},\"b\":2}", "{\"card\":\"***\",\"b\":2}"},
        {"{\"tokens\":[\"a]\",\"b\"],\"b\":2}", "{\"tokens\":\"***\",\"b\":2}"},
        {"{\"pass\\u0077ord\":\"x\"}", "{\"pass\\u0077ord\":\"***\"}"},
        {"{\"s\":\"{\\\"token\\\":\\\"x\\\",\\\"b\\\":1}\",\"c\":3}",
         "{\"s\":\"{\\\"token\\\":\\\"***\\\",\\\"b\\\":1}\",\"c\":3}"},
        {"{\"s\":\"{\\\"s\\\":\\\"{\\\\\\\"token\\\\\\\":\\\\\\\"x\\\\\\\"}\\\"}\"}",
         "{\"s\":\"{\\\"s\\\":\\\"{\\\\\\\"token\\\\\\\":\\\\\\\"***\\\\\\\"}\\\"}\"}"},
        {"{\"password\":\"cut", "{\"password\":\"***"},
        {"{\"password\":", "{\"password\":\"***\""},
        {"{\"card\":{\"number\":\"41", "{\"card\":\"***\""},
        {"password=x&b=1", "password=***&b=1"},
        {"login failed: password = hunter2, user = u", "login failed: password = ***, user = u"},
        {"Authorization: Bearer a b\nHost: h", "Authorization: ***\nHost: h"},
        {"<a><password>x</password></a>", "<a><password>***</password></a>"},
        {"{'secret': 'x'}", "{'secret': '***'}"},
        {"secret => \"x\"", "secret => \"***\""},
        {"the password is wrong", "the password is wrong"},
        {"\"api key\": \"x y\"", "\"api key\": \"***\""},
        {"{\"password\":null,\"b\":1}", "{\"password\":\"***\",\"b\":1}"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        is_masked(cases[i][0], cases[i][1]);
}
END_TEST

/* Of any bytes, cut anywhere, the secret is never told, and nothing is read behind the end. */
START_TEST(test_mask__cut_anywhere)
{
    static const char whole[] = "{\"a\":{\"password\":\"QQQ\",\"s\":\"{\\\"token\\\":\\\"QQQ\\\"}\"},\"card\":[\"QQQ\"]"
                                ",\"pin\":QQQ} secret=QQQ";
    for (size_t size = 0; size < sizeof whole; size++) {
        char *text = malloc(size + 1);
        kur_buffer to = {0};
        memcpy(text, whole, size);
        mask_text(&to, kur_bytes_of(text, size));
        ck_assert(to.data == NULL || strchr(to.data, 'Q') == NULL);
        kur_buffer_done(&to);
        free(text);
    }
    srand(3);
    for (int round = 0; round < 20000; round++) {
        static const char pieces[] = "\"\"\\\\:=>{}[],pin password\xff\0'&;<u0070";
        size_t size = (size_t)(rand() % 40);
        char *text = malloc(size + 1);
        kur_buffer to = {0};
        for (size_t i = 0; i < size; i++)
            text[i] = pieces[(size_t)rand() % (sizeof pieces - 1)];
        mask_text(&to, kur_bytes_of(text, size));
        kur_buffer_done(&to);
        free(text);
    }
}
END_TEST

static void is_safe(kur_bytes text, bool keeps_lines, const char *expected)
{
    kur_buffer to = {0};
    text_safe(&to, text, keeps_lines);
    ck_assert_str_eq(to.data != NULL ? to.data : "", expected);
    kur_buffer_done(&to);
}

START_TEST(test_mask__no_orders)
{
    is_safe(kur_bytes_text("zw\xc3\xb6lf \xf0\x9f\x90\x92"), false, "zw\xc3\xb6lf \xf0\x9f\x90\x92");
    is_safe(kur_bytes_text("a\nb\tc\r\x1b[2J\x7f"), false, "a\\nb\\tc\\r\\x1b[2J\\x7f");
    is_safe(kur_bytes_text("a\nb\tc\r\x1b[2J"), true, "a\nb\tc\\r\\x1b[2J");
    is_safe(kur_bytes_text("\xc2\x9b"
                           "31m\xe2\x80\xae\xef\xbb\xbf\xf3\xa0\x81\x81"),
            true, "\\u009b31m\\u202e\\ufeff\\U000e0041");
    is_safe(kur_bytes_of("\xff\xc3\0a\xe2\x80", 6), true, "\\xff\\xc3\\x00a\\xe2\\x80");
    is_safe(kur_bytes_of(NULL, 0), true, "");
}
END_TEST

START_TEST(test_mask__times)
{
    int64_t ms = 0;
    ck_assert(text_read_duration("90s", &ms) && ms == 90000);
    ck_assert(text_read_duration("500ms", &ms) && ms == 500);
    ck_assert(text_read_duration("7d", &ms) && ms == INT64_C(7) * 86400000);
    static const char *const wrong[] = {"", "0s", "-1s", "s", "1", "1w", "1 h", "99999999999999d", "1.5h"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        ck_assert_msg(!text_read_duration(wrong[i], &ms), "%s", wrong[i]);
    ck_assert(!text_read_duration(NULL, &ms));
    ck_assert(!text_read_number("9223372036854775808", 0, INT64_MAX, &ms));
    ck_assert(text_read_number("0", 0, 5, &ms) && ms == 0);
    kur_buffer text = {0};
    text_duration(&text, INT64_C(59) * 1000000);
    text_duration(&text, INT64_C(3600) * 1000000);
    text_duration(&text, INT64_C(90000) * 1000000);
    text_duration(&text, -1);
    text_time(&text, -1);
    text_time(&text, 0);
    ck_assert_str_eq(text.data, "59s1h 0m1d 1h--1970-01-01 00:00:00");
    kur_buffer_done(&text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_mask__names,     test_mask__texts, test_mask__cut_anywhere,
                                  test_mask__no_orders, test_mask__times, NULL};
    return check_main("mask", tests);
}
