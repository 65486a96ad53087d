/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "check_main.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static char last[2048];
static int count;

static void keep(kur_log_level level, const char *message, void *user)
{
    ck_assert_ptr_eq(user, last);
    ck_assert_int_ge(level, KUR_LOG_ERROR);
    snprintf(last, sizeof last, "%s", message);
    count++;
}

START_TEST(test_log__drops_what_is_above_the_level)
{
    kur__log log = {keep, last, KUR_LOG_WARNING, NULL};
    count = 0;
    kur__log_print(&log, KUR_LOG_INFO, "no");
    ck_assert_int_eq(count, 0);
    kur__log_print(&log, KUR_LOG_WARNING, "yes %d", 1);
    ck_assert_int_eq(count, 1);
    ck_assert_str_eq(last, "yes 1");
    kur__log nobody = {0};
    kur__log_print(&nobody, KUR_LOG_ERROR, "nobody listens");
}
END_TEST

START_TEST(test_log__message_is_one_bounded_line)
{
    kur__log log = {keep, last, KUR_LOG_DEBUG, NULL};
    char text[4000];
    memset(text, 'x', sizeof text);
    text[5] = '\n';
    text[sizeof text - 1] = '\0';
    kur__log_print(&log, KUR_LOG_DEBUG, "%s", text);
    ck_assert_uint_eq(strlen(last), 1023);
    ck_assert_ptr_null(strchr(last, '\n'));
}
END_TEST

START_TEST(test_log__stderr_writes_time_level_and_message)
{
    char line[256] = "";
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    kur_log_stderr(KUR_LOG_WARNING, "hello", NULL);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    fclose(file);
    ck_assert_msg(strstr(line, "Z warning hello\n") != NULL, "%s", line);
    ck_assert_str_eq(kur_log_level_name(KUR_LOG_DEBUG), "debug");
    ck_assert_str_eq(kur_log_level_name((kur_log_level)77), "?");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_log__drops_what_is_above_the_level, test_log__message_is_one_bounded_line,
                                  test_log__stderr_writes_time_level_and_message, NULL};
    return check_main("log", tests);
}
