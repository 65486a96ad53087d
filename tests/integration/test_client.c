/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include <kurier/kurier.h>
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../support.h"

struct heard {
    pthread_mutex_t lock; /* guards what stands below but `warnings` */
    char last[1024];
    kur_log_level worst;
    int64_t at_us[8];    /* when they came, by the library's clock */
    atomic_int warnings; /* that no broker has answered */
};

static void hear(kur_log_level level, const char *message, void *user)
{
    struct heard *heard = user;
    pthread_mutex_lock(&heard->lock);
    if (heard->worst == 0 || level < heard->worst)
        heard->worst = level;
    if (strstr(message, "no broker has answered yet") != NULL) {
        heard->at_us[atomic_load(&heard->warnings) % 8] = kur_clock_monotonic_us();
        strncpy(heard->last, message, sizeof heard->last - 1);
        atomic_fetch_add(&heard->warnings, 1);
    }
    pthread_mutex_unlock(&heard->lock);
}

static _Atomic int64_t ahead_us;

static int64_t now_us(void *user)
{
    (void)user;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t monotonic_us(void *user)
{
    (void)user;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + atomic_load(&ahead_us);
}

START_TEST(test_client__warns_while_no_broker_answers)
{
    static const kur_clock clock = {now_us, monotonic_us, NULL};
    struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
    kur_error error = {0};
    kur_clock_set(&clock);
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY, .log = hear, .log_user = &heard), &error);
    ck_assert_ptr_nonnull(kur_client_producer(client, &error));
    ck_assert(support_wait(&heard.warnings, 1));
    /* Ten seconds later the next one, and not before. */
    for (int i = 2; i < 5; i++) {
        atomic_fetch_add(&ahead_us, INT64_C(5000000));
        ck_assert_int_eq(atomic_load(&heard.warnings), i - 1);
        atomic_fetch_add(&ahead_us, INT64_C(5000001));
        ck_assert(support_wait(&heard.warnings, i));
    }
    kur_client_unref(client);
    kur_clock_set(NULL);
    for (int i = 1; i < 4; i++) {
        ck_assert_int_ge(heard.at_us[i] - heard.at_us[i - 1], 10 * 1000000);
        ck_assert_int_lt(heard.at_us[i] - heard.at_us[i - 1], 20 * 1000000);
    }
    ck_assert_msg(strstr(heard.last, "127.0.0.1:1") != NULL && strstr(heard.last, "refused") != NULL, "%s", heard.last);
    ck_assert_int_eq(heard.worst, KUR_LOG_WARNING);
}
END_TEST

START_TEST(test_client__no_warning_when_a_broker_answers)
{
    struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
    kur_error error = {0};
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .log = hear, .log_user = &heard), &error);
    ck_ok(kur_producer_send_wait(kur_client_producer(client, &error),
                                 &KUR_MESSAGE(.topic = support_topic(1), .value = kur_bytes_text("v")), 30000, NULL,
                                 &error),
          error);
    kur_client_unref(client);
    ck_assert_int_eq(atomic_load(&heard.warnings), 0);
}
END_TEST

START_TEST(test_client__logs_through_the_callback)
{
    struct heard heard = {.lock = PTHREAD_MUTEX_INITIALIZER};
    kur_error error = {0};
    const kur_property properties[] = {{"debug", "broker"}, {NULL, NULL}};
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY, .properties = properties, .log = hear,
                                           .log_user = &heard, .log_level = KUR_LOG_DEBUG),
                       &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    ck_assert_ptr_nonnull(kur_client_producer(client, &error));
    int64_t deadline = kur_clock_monotonic_us() + 30 * 1000000;
    kur_log_level worst = 0;
    while (worst == 0 && kur_clock_monotonic_us() < deadline) {
        pthread_mutex_lock(&heard.lock);
        worst = heard.worst;
        pthread_mutex_unlock(&heard.lock);
    }
    kur_client_unref(client);
    ck_assert_int_ne(worst, 0);
}
END_TEST

START_TEST(test_client__lives_as_long_as_what_it_made)
{
    kur_error error = {0};
    kur_client *client = support_client();
    ck_assert_ptr_eq(kur_client_ref(client), client);
    kur_client_unref(client);
    kur_producer *producer = kur_producer_new(client, NULL, &error);
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = support_name("g")), &error);
    ck_assert_ptr_ne(kur_client_producer(client, &error), producer);
    kur_client_unref(client);
    ck_ok(kur_producer_send_wait(producer, &KUR_MESSAGE(.topic = support_topic(1), .value = kur_bytes_text("v")), 30000,
                                 NULL, &error),
          error);
    kur_consumer_free(consumer);
    ck_assert_uint_eq(kur_producer_free(producer), 0);
    kur_client_unref(NULL);
    error = (kur_error){0};
    ck_assert_ptr_null(kur_client_producer(NULL, &error));
    ck_says(error, "client");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_client__warns_while_no_broker_answers,
                                  test_client__no_warning_when_a_broker_answers, test_client__logs_through_the_callback,
                                  test_client__lives_as_long_as_what_it_made, NULL};
    int status = check_main("client", tests);
    support_stop();
    return status;
}
