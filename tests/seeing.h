/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What tests of exactly-once relays share: events that are numbers, each with a key whose numbers only grow, and who
 * reads what is committed of them.
 */
#ifndef KURIER_TESTS_SEEING_H
#define KURIER_TESTS_SEEING_H

#include <kurier/kurier.h>
#include <kurier/relay.h>
#include <kurier/sys/clock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "support.h"

enum {
    PARTITIONS = 3,
    KEYS = 40,
    NUMBERS_MAX = 200000,
    PATIENCE_MS = 60000
};

/* What was read of a topic by one who reads committed. */
struct seen {
    int count[NUMBERS_MAX]; /* how often each number */
    int last[KEYS];         /* of each key, one more than the number */
    int total, disorders;
    kur_consumer *reader;
};

KUR__UNUSED static void nap(int ms)
{
    poll(NULL, 0, ms);
}

KUR__UNUSED static int64_t now_ms(void)
{
    return kur_clock_monotonic_us() / 1000;
}

/* The event that is a number. */
KUR__UNUSED static kur_message message_of(const char *topic, int number, char text[32])
{
    snprintf(text, 32, "k%02d%d", number % KEYS, number);
    return KUR_MESSAGE(.topic = topic, .key = kur_bytes_of(text, 3), .value = kur_bytes_text(text + 3));
}

KUR__UNUSED static struct seen *start_reading(kur_client *client, const char *topic)
{
    kur_error error = {0};
    struct seen *seen = calloc(1, sizeof *seen);
    seen->reader = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = support_name("reader")), &error);
    ck_assert_ptr_nonnull(seen->reader);
    kur_position positions[PARTITIONS];
    for (int p = 0; p < PARTITIONS; p++)
        positions[p] = KUR_POSITION(.topic = topic, .partition = p, .offset = KUR_OFFSET_BEGINNING);
    ck_ok(kur_consumer_assign(seen->reader, positions, PARTITIONS, &error), error);
    return seen;
}

KUR__UNUSED static void take_seen(struct seen *seen, const kur_record *record)
{
    char text[32] = "", key[8] = "";
    kur_bytes value = kur_record_value(record), name = kur_record_key(record);
    memcpy(text, value.data, value.size < sizeof text ? value.size : sizeof text - 1);
    memcpy(key, name.data, name.size < sizeof key ? name.size : sizeof key - 1);
    int number = atoi(text), of_key = atoi(key + 1);
    ck_assert_int_lt(number, NUMBERS_MAX);
    ck_assert_int_lt(of_key, KEYS);
    seen->count[number]++;
    seen->disorders += number < seen->last[of_key];
    seen->last[of_key] = number + 1;
    seen->total++;
}

/* Reads what there is, for so long at most, until `total` have been seen. */
KUR__UNUSED static bool read_seen(struct seen *seen, int total, int timeout_ms)
{
    kur_error error = {0};
    for (int64_t until_ms = now_ms() + timeout_ms; seen->total < total && now_ms() < until_ms;) {
        kur_record *records[500];
        size_t count = 0;
        ck_ok(kur_consumer_poll_batch(seen->reader, 100, records, 500, &count, &error), error);
        for (size_t i = 0; i < count; i++)
            take_seen(seen, records[i]);
        kur_consumer_free_records(seen->reader, records, count);
    }
    return seen->total >= total;
}

/*
 * The numbers below `count` have been seen once each, in their key's order, and nothing else comes: a mark in each
 * partition says so.
 */
KUR__UNUSED static void ck_each_once(kur_client *client, struct seen *seen, const char *topic, int count)
{
    kur_error error = {0};
    bool is_marked[PARTITIONS] = {false};
    int marks = 0, lost = 0, twice = 0;
    for (int p = 0; p < PARTITIONS; p++)
        ck_ok(kur_producer_send_wait(kur_client_producer(client, &error),
                                     &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(p),
                                                  .key = kur_bytes_text("end"), .value = kur_bytes_text("end")),
                                     PATIENCE_MS, NULL, &error),
              error);
    for (int64_t until_ms = now_ms() + PATIENCE_MS; marks < PARTITIONS && now_ms() < until_ms;) {
        kur_record *record = NULL;
        ck_ok(kur_consumer_poll(seen->reader, 100, &record, &error), error);
        if (record == NULL)
            continue;
        if (kur_bytes_equal(kur_record_value(record), kur_bytes_text("end"))) {
            marks += !is_marked[kur_record_partition(record)];
            is_marked[kur_record_partition(record)] = true;
        } else {
            take_seen(seen, record);
        }
        kur_consumer_free_records(seen->reader, &record, 1);
    }
    ck_assert_int_eq(marks, PARTITIONS);
    for (int i = 0; i < NUMBERS_MAX; i++) {
        lost += i < count && seen->count[i] == 0;
        twice += seen->count[i] > (i < count);
    }
    ck_assert_msg(lost == 0 && twice == 0 && seen->disorders == 0, "of %d: %d not seen, %d too often, %d out of order",
                  count, lost, twice, seen->disorders);
    kur_consumer_free(seen->reader);
    free(seen);
}

KUR__UNUSED static kur_relay_health relay_health(kur_relay *relay)
{
    kur_error error = {0};
    kur_relay_health health = KUR_RELAY_HEALTH(0);
    ck_ok(kur_relay_health_read(relay, &health, &error), error);
    return health;
}

#endif
