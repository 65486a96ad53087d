/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "consuming.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static kur_client *shared;

kur_client *consuming_client(void)
{
    if (shared == NULL)
        shared = support_client();
    return shared;
}

void consuming_stop(void)
{
    kur_client_unref(shared);
    shared = NULL;
    support_stop();
}

void produce(const char *topic, int partition, int first, int count)
{
    kur_error error = {0};
    kur_producer *producer = kur_client_producer(consuming_client(), &error);
    for (int i = first; i < first + count; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        ck_ok(kur_producer_send(
                  producer,
                  &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(partition), .value = kur_bytes_text(value)),
                  &error),
              error);
    }
    ck_ok(kur_producer_flush(producer, 30000, &error), error);
}

kur_consumer *consumer_of(const char *topic, const kur_consumer_options *given)
{
    kur_error error = {0};
    kur_consumer_options options = *given;
    /* The embedded broker's later rebalances take a second less than the session time-out. */
    if (!support_is_real())
        options.session_timeout_ms = 3000;
    else if (options.protocol == KUR_GROUP_CLASSIC && options.assignor == KUR_ASSIGNOR_DEFAULT &&
             options.session_timeout_ms == 0)
        options.protocol = support_group_protocol();
    kur_consumer *consumer = kur_consumer_new(consuming_client(), &options, &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    if (topic != NULL)
        ck_ok(kur_consumer_subscribe(consumer, (const char *const[]){topic, NULL}, &error), error);
    return consumer;
}

kur_record *next(kur_consumer *consumer)
{
    kur_error error = {0};
    kur_record *record = NULL;
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_US;
    while (record == NULL && kur_clock_monotonic_us() < deadline)
        ck_ok(kur_consumer_poll(consumer, 1000, &record, &error), error);
    ck_assert_msg(record != NULL, "no record came");
    return record;
}

int number(const kur_record *record)
{
    kur_bytes value = kur_record_value(record);
    char text[16];
    ck_assert_uint_lt(value.size, sizeof text);
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    return atoi(text);
}

void drop(kur_consumer *consumer, kur_record *record)
{
    kur_consumer_free_records(consumer, &record, 1);
}

void expect(kur_consumer *consumer, int expected)
{
    kur_record *record = next(consumer);
    ck_assert_int_eq(number(record), expected);
    drop(consumer, record);
}
