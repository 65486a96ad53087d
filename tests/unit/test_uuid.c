/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"

#include <kurier/sys/clock.h>
#include <kurier/uuid.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    THREADS = 4,
    EACH = 20000
};

static kur_uuid made[THREADS][EACH];

static void *make_many(void *user)
{
    kur_uuid *to = user;
    for (int i = 0; i < EACH; i++)
        if (kur_uuid_new(&to[i], NULL) != KUR_OK)
            return user;
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(kur_uuid));
}

START_TEST(test_uuid__unique_and_ascending_from_many_threads)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, make_many, made[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
        for (int j = 1; j < EACH; j++)
            ck_assert_int_lt(memcmp(made[i][j - 1].bytes, made[i][j].bytes, 8), 0);
    }
    qsort(made, THREADS * EACH, sizeof(kur_uuid), compare);
    for (int i = 1; i < THREADS * EACH; i++)
        ck_assert_int_ne(compare(&made[0][0] + i - 1, &made[0][0] + i), 0);
}
END_TEST

static int64_t fixed_us(void *user)
{
    return *(int64_t *)user;
}

START_TEST(test_uuid__holds_time_version_and_variant)
{
    int64_t now = INT64_C(4000000000000) * 1000; /* ahead of every other test's */
    kur_clock clock = {fixed_us, fixed_us, &now};
    kur_uuid first, second;
    kur_clock_set(&clock);
    ck_assert_int_eq(kur_uuid_new(&first, NULL), KUR_OK);
    now -= 1000000; /* the clock goes back */
    ck_assert_int_eq(kur_uuid_new(&second, NULL), KUR_OK);
    kur_clock_set(NULL);
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | first.bytes[i];
    ck_assert_int_eq(ms, INT64_C(4000000000000));
    ck_assert_int_eq(first.bytes[6] >> 4, 7);
    ck_assert_int_eq(first.bytes[8] >> 6, 2);
    ck_assert_int_gt(compare(&second, &first), 0);
}
END_TEST

START_TEST(test_uuid__text_both_ways)
{
    kur_uuid uuid, again;
    char text[KUR_UUID_TEXT_SIZE];
    kur_error error = {0};
    ck_ok(kur_uuid_parse("01234567-89AB-cdef-8123-456789abcdef", 36, &uuid, &error), error);
    kur_uuid_format(&uuid, text);
    ck_assert_str_eq(text, "01234567-89ab-cdef-8123-456789abcdef");
    static const char *const bad[] = {"",
                                      "01234567-89ab-cdef-8123-456789abcde",
                                      "01234567-89ab-cdef-8123-456789abcdef0",
                                      "01234567089ab-cdef-8123-456789abcdef",
                                      "g1234567-89ab-cdef-8123-456789abcdef",
                                      "0123456789abcdef8123456789abcdef0000"};
    again = uuid;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_status(kur_uuid_parse(bad[i], strlen(bad[i]), &again, &error), KUR_ERROR_SYNTAX, error);
        ck_assert_int_eq(compare(&uuid, &again), 0);
    }
    error = (kur_error){0};
    ck_status(kur_uuid_parse(NULL, 36, &uuid, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "text is NULL");
    error = (kur_error){0};
    ck_status(kur_uuid_parse("", 0, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "uuid is NULL");
    error = (kur_error){0};
    ck_status(kur_uuid_new(NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_str_eq(error.message, "uuid is NULL");
    kur_uuid_format(NULL, text);
    ck_assert_str_eq(text, "");
    kur_uuid_format(&uuid, NULL);
}
END_TEST

/* Bytes drawn from the system in advance must not be given out twice, by the parent and by the child. */
START_TEST(test_uuid__differ_after_a_fork)
{
    kur_uuid mine, childs;
    int ends[2], status;
    kur_error error = {0};
    ck_ok(kur_uuid_new(&mine, &error), error);
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        bool done = kur_uuid_new(&childs, NULL) == KUR_OK && write(ends[1], &childs, sizeof childs) == sizeof childs;
        _exit(done ? 0 : 1);
    }
    ck_assert_int_gt(child, 0);
    ck_ok(kur_uuid_new(&mine, &error), error);
    ck_assert_int_eq(read(ends[0], &childs, sizeof childs), sizeof childs);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_ne(memcmp(mine.bytes + 8, childs.bytes + 8, 8), 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_uuid__unique_and_ascending_from_many_threads, test_uuid__text_both_ways,
                                  test_uuid__holds_time_version_and_variant, test_uuid__differ_after_a_fork, NULL};
    return check_main("uuid", tests);
}
