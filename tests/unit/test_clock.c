/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"

#include <kurier/sys/clock.h>

static int64_t seven(void *user)
{
    return 7 + *(int64_t *)user;
}

START_TEST(test_clock__can_be_set_and_given_back)
{
    int64_t offset = 1;
    kur_clock clock = {seven, seven, &offset};
    kur_clock_set(&clock);
    ck_assert_int_eq(kur_clock_now_us(), 8);
    ck_assert_int_eq(kur_clock_monotonic_us(), 8);
    kur_clock_set(NULL);
    ck_assert_int_gt(kur_clock_now_us(), INT64_C(1700000000000000));
    int64_t before = kur_clock_monotonic_us();
    ck_assert_int_ge(kur_clock_monotonic_us(), before);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_clock__can_be_set_and_given_back, NULL};
    return check_main("clock", tests);
}
