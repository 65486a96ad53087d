/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"

#include <kurier/arena.h>
#include <string.h>

START_TEST(test_arena__gives_zeroed_aligned_memory)
{
    kur_arena *arena = kur_arena_new();
    unsigned char *taken[500];
    for (size_t i = 0; i < 500; i++) {
        size_t size = i * 37 % 3000;
        taken[i] = kur_arena_alloc(arena, size);
        ck_assert_ptr_nonnull(taken[i]);
        ck_assert_uint_eq((uintptr_t)taken[i] % _Alignof(max_align_t), 0);
        for (size_t j = 0; j < size; j++)
            ck_assert_uint_eq(taken[i][j], 0);
        memset(taken[i], (int)(i & 0xff), size);
    }
    for (size_t i = 0; i < 500; i++)
        for (size_t j = 0; j < i * 37 % 3000; j++)
            ck_assert_uint_eq(taken[i][j], i & 0xff);
    kur_arena_free(arena);
    kur_arena_free(NULL);
}
END_TEST

START_TEST(test_arena__large_blocks_do_not_end_the_small_one)
{
    kur_arena *arena = kur_arena_new();
    char *first = kur_arena_alloc(arena, 16);
    char *large = kur_arena_alloc(arena, 1 << 20);
    char *second = kur_arena_alloc(arena, 16);
    ck_assert_ptr_nonnull(large);
    ck_assert_ptr_eq(second, first + 16);
    ck_assert_ptr_null(kur_arena_alloc(arena, SIZE_MAX - 3));
    ck_assert_ptr_null(kur_arena_copy(arena, "", SIZE_MAX));
    ck_assert_ptr_null(kur_arena_copy(arena, NULL, 4));
    ck_assert_ptr_null(kur_arena_copy(NULL, "abc", 3));
    ck_assert_str_eq(kur_arena_copy(arena, NULL, 0), "");
    kur_arena_free(arena);
}
END_TEST

START_TEST(test_arena__reset_keeps_memory_and_counts)
{
    kur_arena *arena = kur_arena_new();
    ck_assert_str_eq(kur_arena_copy(arena, "abc", 3), "abc");
    ck_assert_uint_gt(kur_arena_size(arena), 0);
    for (int i = 0; i < 100; i++) {
        kur_arena_alloc(arena, 5000);
        kur_arena_reset(arena);
        ck_assert_uint_eq(kur_arena_size(arena), 0);
    }
    ck_assert_ptr_nonnull(kur_arena_alloc(arena, 0));
    ck_assert_ptr_null(kur_arena_alloc(NULL, 8));
    kur_arena_reset(NULL);
    kur_arena_free(arena);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_arena__gives_zeroed_aligned_memory,
                                  test_arena__large_blocks_do_not_end_the_small_one,
                                  test_arena__reset_keeps_memory_and_counts, NULL};
    return check_main("arena", tests);
}
