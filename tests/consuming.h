/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the consumers' suites share: records that are numbers, and a loop that fails when nothing comes.
 */
#ifndef KURIER_TESTS_CONSUMING_H
#define KURIER_TESTS_CONSUMING_H

#include <kurier/kurier.h>
#include <kurier/sys/clock.h>

#include "check_main.h"
#include "support.h"

enum {
    PATIENCE_US = 60 * 1000 * 1000
};

/* Made by the first test that asks: Check's assertions work inside of tests only. Freed by consuming_stop. */
kur_client *consuming_client(void);
void consuming_stop(void);

/* Sends `count` records whose values are numbers from `first` on, and waits until they are there. */
void produce(const char *topic, int partition, int first, int count);

/* A consumer with a session time-out that suits the embedded broker; it subscribes when there is a topic. */
kur_consumer *consumer_of(const char *topic, const kur_consumer_options *options);

/* The next record; fails when none comes. */
kur_record *next(kur_consumer *consumer);
/* The number that it is. */
int number(const kur_record *record);
/* Takes the next record, which has to be this number. */
void expect(kur_consumer *consumer, int expected);
void drop(kur_consumer *consumer, kur_record *record);

/* Polls until a condition holds, dropping records; fails when it does not. */
#define poll_until(consumer, condition)                                                                                \
    do {                                                                                                               \
        int64_t deadline_ = kur_clock_monotonic_us() + PATIENCE_US;                                                    \
        while (!(condition)) {                                                                                         \
            kur_error error_ = {0};                                                                                    \
            kur_record *record_ = NULL;                                                                                \
            ck_assert_msg(kur_clock_monotonic_us() < deadline_, "not in time: %s", #condition);                        \
            ck_ok(kur_consumer_poll(consumer, 50, &record_, &error_), error_);                                         \
            if (record_ != NULL)                                                                                       \
                drop(consumer, record_);                                                                               \
        }                                                                                                              \
    } while (0)

#endif
