/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What tests of exactly-once listeners share: records that are numbers, a handler that emits them, and who reads what
 * is committed of that.
 */
#ifndef KURIER_TESTS_EXACTLY_H
#define KURIER_TESTS_EXACTLY_H

#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "listening.h"
#include "support.h"

#define NO_TRANSACTIONS "the embedded broker has no transactions"

enum {
    PARTITIONS = 3,
    RECORDS_MAX = 200000,
    KEYS = 30,
    CHUNK = 400
};

#define SUM(F, S)                                                                                                      \
    F(S, INT32, number, .flags = KUR_KEY)                                                                              \
    F(S, STRING, filling)
KUR_EVENT(sum_made, "tests.sum.made", 1, SUM);
static char out_topic[128]; /* known when the test runs */
KUR_EVENT_DEFINE(sum_made, SUM, .topic = out_topic);

struct bench {
    kur_client *client;
    const char *in, *group;
    atomic_int handled; /* attempts */
    int too_large;      /* what this record emits is refused, while it is not -1 */
    int sent;
};

static struct bench bench;

KUR__UNUSED static void set_up(void)
{
    memset(&bench, 0, sizeof bench);
    bench.too_large = -1;
    bench.client = support_client();
    bench.in = support_topic(PARTITIONS);
    bench.group = support_name("exactly");
    snprintf(out_topic, sizeof out_topic, "%s", support_topic(PARTITIONS));
}

KUR__UNUSED static void send_more(int count)
{
    for (int to = bench.sent + count; bench.sent < to; bench.sent++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%d", bench.sent % KEYS);
        snprintf(value, sizeof value, "%d", bench.sent);
        send_text(bench.client, bench.in, bench.sent % KEYS % PARTITIONS, key, value);
    }
    flush(bench.client);
}

/* Emits its number; every tenth is tried twice, and what the first attempt has emitted comes to nothing. */
KUR__UNUSED static kur_outcome emit_number(kur_delivery *delivery, void *user)
{
    kur_error error = {0};
    char text[16] = "", filling[2000];
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    memcpy(text, value.data, value.size < sizeof text ? value.size : sizeof text - 1);
    struct sum_made sum = {.number = atoi(text), .filling = ""};
    if (sum.number == bench.too_large) {
        memset(filling, 'f', sizeof filling);
        filling[sizeof filling - 1] = '\0';
        sum.filling = filling;
    }
    ++*(atomic_int *)user;
    if (sum_made_emit(delivery, &sum, &error) != KUR_OK)
        return kur_retry(delivery, "test.emit", "%s", error.message);
    if (sum.number % 10 == 3 && kur_delivery_attempt(delivery) == 1)
        return kur_retry_after(delivery, 1, "test.once", "again");
    return KUR_DONE;
}

KUR__UNUSED static kur_listener *start_listener(kur_listener_options *options)
{
    options->guarantee = KUR_EXACTLY_ONCE;
    options->concurrency = 8;
    options->protocol = support_group_protocol();
    return listen(bench.client, options, bench.in, bench.group, emit_number, &bench.handled);
}

/* How often who reads committed sees each number, up to a mark in each partition that is written after everything. */
KUR__UNUSED static const int *read_output(void)
{
    static int seen[RECORDS_MAX];
    kur_error error = {0};
    int marks = 0;
    memset(seen, 0, sizeof seen);
    for (int p = 0; p < PARTITIONS; p++)
        send_text(bench.client, out_topic, p, NULL, "end");
    flush(bench.client);
    kur_consumer *reader =
        kur_consumer_new(bench.client, &KUR_CONSUMER_OPTIONS(.group = support_name("reader")), &error);
    ck_assert_ptr_nonnull(reader);
    kur_position positions[PARTITIONS];
    for (int p = 0; p < PARTITIONS; p++)
        positions[p] = KUR_POSITION(.topic = out_topic, .partition = p, .offset = KUR_OFFSET_BEGINNING);
    ck_ok(kur_consumer_assign(reader, positions, PARTITIONS, &error), error);
    for (int64_t until_ms = now_ms() + WAIT_MS; marks < PARTITIONS && now_ms() < until_ms;) {
        kur_record *record = NULL;
        ck_ok(kur_consumer_poll(reader, 100, &record, &error), error);
        if (record == NULL)
            continue;
        kur_bytes value = kur_record_value(record);
        char text[40] = "";
        int number = -1;
        memcpy(text, value.data, value.size < sizeof text ? value.size : sizeof text - 1);
        marks += strcmp(text, "end") == 0;
        if (sscanf(text, "{\"number\":%d", &number) == 1 && number >= 0 && number < RECORDS_MAX)
            seen[number]++;
        kur_consumer_free_records(reader, &record, 1);
    }
    ck_assert_int_eq(marks, PARTITIONS);
    kur_consumer_free(reader);
    return seen;
}

KUR__UNUSED static void ck_each_once(void)
{
    const int *seen = read_output();
    int first = 0, twice = 0;
    for (int i = 0; i < RECORDS_MAX; i++) {
        first += seen[i] > 0;
        twice += seen[i] > 1;
    }
    ck_assert_msg(first == bench.sent && twice == 0, "of %d: %d seen, %d twice", bench.sent, first, twice);
}

/* The group has committed all of it. */
KUR__UNUSED static void ck_all_committed(void)
{
    kur_error error = {0};
    int64_t sum = 0;
    kur_arena *arena = kur_arena_new();
    kur_consumer *asker = kur_consumer_new(bench.client, &KUR_CONSUMER_OPTIONS(.group = bench.group), &error);
    for (int p = 0; p < PARTITIONS; p++) {
        kur_position position = KUR_POSITION(.topic = bench.in, .partition = p);
        ck_ok(kur_consumer_committed(asker, &position, arena, WAIT_MS, &error), error);
        ck_assert_ptr_null(position.metadata);
        sum += position.offset;
    }
    ck_assert_int_eq(sum, bench.sent);
    kur_consumer_free(asker);
    kur_arena_free(arena);
}

KUR__UNUSED static void stop_and_check(kur_listener *listener)
{
    kur_error error = {0};
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(health_of(listener).untold, 0);
    kur_listener_free(listener);
    ck_each_once();
    ck_all_committed();
    kur_client_unref(bench.client);
}

/* How often handlers run when none runs again for the sake of a transaction. */
KUR__UNUSED static int expected_attempts(void)
{
    int attempts = bench.sent;
    for (int i = 0; i < bench.sent; i++)
        attempts += i % 10 == 3;
    return attempts;
}

#endif
