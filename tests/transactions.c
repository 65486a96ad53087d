/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "transactions.h"

#include <check.h>
#include <kurier/sys/clock.h>
#include <string.h>

#include "check_main.h"
#include "support.h"

kur_producer *transactional(kur_client *client, const char *id)
{
    kur_error error = {0};
    kur_producer *producer = kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.transactional_id = id), &error);
    ck_assert_msg(producer != NULL, "%s", error.message);
    ck_ok(kur_transaction_init(producer, WAIT_MS, &error), error);
    return producer;
}

void send_value(kur_producer *producer, const char *topic, const char *value)
{
    kur_error error = {0};
    ck_ok(kur_producer_send(producer,
                            &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(0), .value = kur_bytes_text(value)),
                            &error),
          error);
}

void send_committed(kur_producer *producer, const char *topic, const char *value)
{
    kur_error error = {0};
    ck_ok(kur_transaction_begin(producer, &error), error);
    send_value(producer, topic, value);
    ck_ok(kur_transaction_commit(producer, WAIT_MS, &error), error);
}

kur_status send_one(kur_producer *producer, void *user, kur_error *error)
{
    return kur_producer_send(
        producer, &KUR_MESSAGE(.topic = user, .partition = KUR_PARTITION(0), .value = kur_bytes_text("end")), error);
}

static int count_ends(const char *values)
{
    int ends = 0;
    for (const char *at = values; (at = strstr(at, "end")) != NULL; at += 3)
        ends++;
    return ends;
}

/* A topic that has just been made may not have been heard of everywhere. */
static void poll_one(kur_consumer *consumer, kur_record **record)
{
    kur_error error = {0};
    kur_status status = kur_consumer_poll(consumer, 100, record, &error);
    ck_assert_msg(status == KUR_OK || status == KUR_ERROR_UNKNOWN_TOPIC, "%s", error.message);
}

void ck_readers_see(kur_client *client, const char *topic, const char *values)
{
    kur_error error = {0};
    char seen[1000] = "";
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = support_name("g")), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, (const char *const[]){topic, NULL}, &error), error);
    int64_t deadline = kur_clock_monotonic_us() + (int64_t)WAIT_MS * 1000;
    while (count_ends(seen) < count_ends(values) && kur_clock_monotonic_us() < deadline) {
        kur_record *record = NULL;
        poll_one(consumer, &record);
        if (record == NULL)
            continue;
        kur_bytes value = kur_record_value(record);
        ck_assert_uint_lt(strlen(seen) + value.size + 2, sizeof seen);
        if (seen[0] != '\0')
            strcat(seen, " ");
        strncat(seen, value.data, value.size);
        kur_consumer_free_records(consumer, &record, 1);
    }
    kur_consumer_free(consumer);
    ck_assert_str_eq(seen, values);
}

int64_t committed(kur_consumer *consumer, const char *topic, const char **metadata)
{
    static char text[5000];
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_position position = KUR_POSITION(.topic = topic);
    ck_ok(kur_consumer_committed(consumer, &position, arena, WAIT_MS, &error), error);
    if (metadata != NULL)
        *metadata = position.metadata != NULL ? strcpy(text, position.metadata) : NULL;
    kur_arena_free(arena);
    return position.offset;
}

kur_consumer *member(kur_client *client, const char *group, const char *topic, int records)
{
    kur_error error = {0};
    int got = 0;
    kur_consumer *consumer =
        kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = group, .protocol = support_group_protocol()), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, (const char *const[]){topic, NULL}, &error), error);
    int64_t deadline = kur_clock_monotonic_us() + (int64_t)WAIT_MS * 1000, position;
    while ((got < records || kur_consumer_position(consumer, topic, 0, &position, NULL) != KUR_OK) &&
           kur_clock_monotonic_us() < deadline) {
        kur_record *record = NULL;
        poll_one(consumer, &record);
        got += record != NULL;
        kur_consumer_free_records(consumer, &record, 1);
    }
    ck_assert_int_ge(got, records);
    return consumer;
}
