/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"

#include <string.h>

#include <kurier/sys/base64.h>

START_TEST(test_base64__vectors_of_the_rfc)
{
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"},
                                             {"\xff\xfe\xfb", "//77"},
                                             {"\xfb\xef\xbe", "++++"}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        kur_buffer text = {0};
        uint8_t bytes[16];
        size_t count = 99;
        ck_assert_int_eq(kur_base64_write(&text, kur_bytes_text(vectors[i][0])), KUR_OK);
        ck_assert_str_eq(text.data, vectors[i][1]);
        ck_assert(kur_base64_read(vectors[i][1], strlen(vectors[i][1]), bytes, &count));
        ck_assert_uint_eq(count, strlen(vectors[i][0]));
        ck_assert_int_eq(memcmp(bytes, vectors[i][0], count), 0);
        kur_buffer_done(&text);
    }
}
END_TEST

START_TEST(test_base64__one_value_has_one_text)
{
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm-_", "Zm9v\n", "Z g="};
    uint8_t bytes[16];
    size_t count;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!kur_base64_read(bad[i], strlen(bad[i]), bytes, &count), "%s", bad[i]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_base64__vectors_of_the_rfc, test_base64__one_value_has_one_text, NULL};
    return check_main("base64", tests);
}
