/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"

#include <kurier/bytes.h>

START_TEST(test_bytes__none_is_not_empty)
{
    ck_assert(kur_bytes_equal(kur_bytes_text(NULL), kur_bytes_of(NULL, 0)));
    ck_assert(!kur_bytes_equal(kur_bytes_text(NULL), kur_bytes_text("")));
    ck_assert(kur_bytes_equal(kur_bytes_text("ab"), kur_bytes_of("abc", 2)));
    ck_assert(!kur_bytes_equal(kur_bytes_text("ab"), kur_bytes_text("ac")));
}
END_TEST

START_TEST(test_bytes__utf8_as_unicode_says)
{
    static const char *const good[] = {"",
                                       "plain text of more than eight bytes",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       ("12345678\xc3\xa9"
                                        "12345678")};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2"
                                      "a",
                                      "\xe0\x9f\xbf",
                                      "\xe0\xa0",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x90\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "12345678\xe2\x82",
                                      "1234567\xff"
                                      "12345678"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(kur_bytes_is_utf8(kur_bytes_text(good[i])), "good %zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!kur_bytes_is_utf8(kur_bytes_text(bad[i])), "bad %zu", i);
    ck_assert(kur_bytes_is_utf8(kur_bytes_of("a\0b", 3)));
}
END_TEST

START_TEST(test_bytes__buffer_grows_and_ends_with_nul)
{
    kur_buffer buffer = {0};
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(kur_buffer_print(&buffer, "%d,", i), KUR_OK);
    ck_assert_uint_eq(buffer.size, strlen(buffer.data));
    ck_assert_str_eq(buffer.data + buffer.size - 8, "998,999,");
    ck_assert_int_eq(kur_buffer_reserve(&buffer, SIZE_MAX - 5), KUR_ERROR_NO_MEMORY);
    ck_assert_uint_eq(buffer.size, strlen(buffer.data));
    kur_buffer_done(&buffer);
    ck_assert_ptr_null(buffer.data);
    kur_buffer_done(NULL);
}
END_TEST

START_TEST(test_bytes__buffer_over_storage_moves_when_full)
{
    char storage[8];
    kur_buffer buffer = kur_buffer_over(storage, sizeof storage);
    ck_assert_int_eq(kur_buffer_append(&buffer, "1234567", 7), KUR_OK);
    ck_assert_ptr_eq(buffer.data, storage);
    ck_assert_int_eq(kur_buffer_append(&buffer, "8", 1), KUR_OK);
    ck_assert_ptr_ne(buffer.data, storage);
    ck_assert_str_eq(buffer.data, "12345678");
    kur_buffer_done(&buffer);
    kur_buffer none = kur_buffer_over(storage, 0);
    ck_assert_int_eq(kur_buffer_append(&none, "", 0), KUR_OK);
    ck_assert_str_eq(none.data, "");
    kur_buffer_done(&none);
}
END_TEST

START_TEST(test_bytes__null_is_refused)
{
    kur_buffer buffer = {0};
    ck_assert_int_eq(kur_buffer_reserve(NULL, 1), KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(kur_buffer_append(NULL, "a", 1), KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(kur_buffer_append(&buffer, NULL, 1), KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(kur_buffer_print(NULL, "%d", 1), KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(buffer.data);
    ck_assert_int_eq(kur_buffer_append(&buffer, NULL, 0), KUR_OK);
    ck_assert_str_eq(buffer.data, "");
    kur_buffer_done(&buffer);
    ck_assert(!kur_bytes_is_utf8(kur_bytes_of(NULL, 3)));
    ck_assert(kur_bytes_is_utf8(kur_bytes_of(NULL, 0)));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_bytes__none_is_not_empty,
                                  test_bytes__utf8_as_unicode_says,
                                  test_bytes__buffer_grows_and_ends_with_nul,
                                  test_bytes__buffer_over_storage_moves_when_full,
                                  test_bytes__null_is_refused,
                                  NULL};
    return check_main("bytes", tests);
}
