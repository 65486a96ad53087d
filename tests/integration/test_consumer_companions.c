/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Topics that are read because another one is.
 */
#include <kurier/sys/error.h>
#include <stdio.h>
#include <string.h>

#include "../consuming.h"

struct companions {
    const char *topic[2];
    const char *const *names[2];
    kur_status status; /* of all others */
    int asked;
    char first_asked[120];
};

static kur_status companions_of(kur_consumer *consumer, const char *topic, const char *const **companions, void *user,
                                kur_error *error)
{
    struct companions *own = user;
    ck_assert_ptr_nonnull(consumer);
    if (own->asked++ == 0)
        snprintf(own->first_asked, sizeof own->first_asked, "%s", topic);
    for (int i = 0; i < 2; i++)
        if (own->topic[i] != NULL && strcmp(topic, own->topic[i]) == 0) {
            *companions = own->names[i];
            return KUR_OK;
        }
    return own->status == KUR_OK ? KUR_OK : kur_error_set(error, own->status, "%s is refused", topic);
}

START_TEST(test_consumer_companions__start_at_the_beginning_once_they_are_there)
{
    kur_error error = {0};
    const char *topic = support_topic(1), *own = support_name("own"), *there = support_topic(1);
    struct companions companions = {.topic = {topic}, .names = {(const char *const[]){own, there, NULL}}};
    produce(topic, 0, 0, 3);
    produce(there, 0, 7, 1);
    kur_consumer *consumer =
        consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = support_name("g"), .start = KUR_START_LATEST,
                                                 .companions = companions_of, .user = &companions));
    expect(consumer, 7);
    ck_assert_int_eq(companions.asked, 1);
    if (support_is_real()) /* the embedded broker has made it by now */
        support_create(own, 2);
    produce(own, 1, 8, 1);
    ck_ok(kur_consumer_look_up(consumer, &error), error);
    kur_record *record = next(consumer);
    while (number(record) == 7) { /* it was not committed, and may come again with the rebalance */
        drop(consumer, record);
        record = next(consumer);
    }
    ck_assert_int_eq(number(record), 8);
    drop(consumer, record);
    produce(topic, 0, 9, 1);
    for (record = next(consumer); number(record) != 9; record = next(consumer)) {
        ck_assert_int_eq(number(record), 7);
        drop(consumer, record);
    }
    drop(consumer, record);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer_companions__are_missed_without_an_error)
{
    skip_unless(support_is_real(), "the embedded broker makes every topic on first sight");
    kur_error error = {0};
    const char *topic = support_topic(1), *own = support_name("own");
    struct companions companions = {.topic = {topic}, .names = {(const char *const[]){own, NULL}}};
    kur_consumer *consumer = consumer_of(
        topic, &KUR_CONSUMER_OPTIONS(.group = support_name("g"), .user = &companions, .companions = companions_of));
    produce(topic, 0, 1, 1);
    expect(consumer, 1);
    /* The same as a topic that is asked for is told. */
    kur_consumer *other = consumer_of(NULL, &KUR_CONSUMER_OPTIONS(.group = support_name("g")));
    ck_ok(kur_consumer_subscribe(other, (const char *const[]){topic, own, NULL}, &error), error);
    kur_status status = KUR_OK;
    for (int64_t until = kur_clock_monotonic_us() + PATIENCE_US;
         status == KUR_OK && kur_clock_monotonic_us() < until;) {
        kur_record *record = NULL;
        status = kur_consumer_poll(other, 100, &record, &error);
        drop(other, record);
        record = NULL;
        ck_ok(kur_consumer_poll(consumer, 0, &record, &error), error);
    }
    ck_assert_int_eq(status, KUR_ERROR_UNKNOWN_TOPIC);
    kur_consumer_free(other);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer_companions__of_what_matches_a_pattern)
{
    kur_error error = {0};
    char base[80], name[4][120], pattern[100];
    snprintf(base, sizeof base, "%s", support_name("orders"));
    const char *const endings[] = {"", "-retry", ".no", ".g.dlq-mail"};
    for (int i = 0; i < 4; i++) {
        snprintf(name[i], sizeof name[i], "%s%s", base, endings[i]);
        support_create(name[i], 1);
        produce(name[i], 0, i, 1);
    }
    const char *elsewhere = support_topic(1);
    produce(elsewhere, 0, 8, 1);
    struct companions companions = {.topic = {name[0]},
                                    .names = {(const char *const[]){elsewhere, name[1], NULL}},
                                    .status = KUR_ERROR_INVALID_ARGUMENT};
    snprintf(pattern, sizeof pattern, "%s.*", base);
    kur_consumer *consumer =
        consumer_of(NULL, &KUR_CONSUMER_OPTIONS(.group = support_name("g"), .start = KUR_START_LATEST,
                                                .companions = companions_of, .user = &companions));
    ck_ok(kur_consumer_subscribe_pattern(consumer, pattern, NULL, &error), error);
    bool seen[9] = {false};
    for (int i = 0; i < 2; i++) {
        kur_record *record = next(consumer);
        seen[number(record)] = true;
        drop(consumer, record);
    }
    ck_assert(seen[8] && seen[1]);
    ck_assert_str_eq(companions.first_asked, name[0]);
    kur_record *record = NULL;
    ck_ok(kur_consumer_poll(consumer, 500, &record, &error), error);
    ck_assert_ptr_null(record);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer_companions__what_is_refused)
{
    kur_error error = {0};
    struct companions companions = {.status = KUR_ERROR_INVALID_ARGUMENT};
    kur_consumer *consumer = consumer_of(
        NULL, &KUR_CONSUMER_OPTIONS(.group = support_name("g"), .user = &companions, .companions = companions_of));
    ck_status(kur_consumer_subscribe(consumer, (const char *const[]){"orders", NULL}, &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "orders is refused");
    companions.status = KUR_OK;
    ck_ok(kur_consumer_subscribe(consumer, (const char *const[]){"orders", NULL}, &error), error);
    kur_consumer_free(consumer);
    ck_assert_ptr_null(kur_consumer_new(
        consuming_client(), &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST, .companions = companions_of), &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
    ck_says(error, ".companions");
    ck_status(kur_consumer_look_up(NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_consumer_companions__start_at_the_beginning_once_they_are_there,
                                  test_consumer_companions__are_missed_without_an_error,
                                  test_consumer_companions__of_what_matches_a_pattern,
                                  test_consumer_companions__what_is_refused, NULL};
    int status = check_main("consumer_companions", tests);
    consuming_stop();
    return status;
}
