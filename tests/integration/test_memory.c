/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Sending and receiving takes no memory of ours for a record, and gives back all that a client took.
 */
#include <kurier/kurier.h>
#include <kurier/sys/clock.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../check_main.h"
#include "../shop.h"
#include "../support.h"
#include "base/memory.h"

enum {
    WARM_UP = 20000,
    COUNTED = 10000,
    AT_ONCE = 1000,
    TOLD = 10 /* that a broker is silent, on a busy machine, is told with a few */
};

static atomic_long taken, live;

static void *count_malloc(size_t size)
{
    atomic_fetch_add(&taken, 1);
    atomic_fetch_add(&live, 1);
    return malloc(size);
}

static void *count_realloc(void *memory, size_t size)
{
    atomic_fetch_add(&taken, 1);
    if (memory == NULL)
        atomic_fetch_add(&live, 1);
    return realloc(memory, size);
}

static void count_free(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&live, 1);
    free(memory);
}

static atomic_int delivered;

static void on_result(const kur_result *result, void *user)
{
    (void)user;
    atomic_fetch_add(&delivered, result->status == KUR_DELIVERED);
}

/* Sends typed events and raw records in turn, never more than AT_ONCE undecided. */
static void send(kur_producer *producer, const char *topic, int count)
{
    kur_error error = {0};
    KUR_ITEM(order_created, lines) lines[] = {{.sku = "tea", .quantity = 2, .price = 150}};
    struct order_created order = {.order_id = "o-1", .placed_at = 1, .lines = {lines, 1}};
    const kur_header header = {"h", kur_bytes_text("v")};
    for (int i = 0; i < count; i++) {
        if (i % 2 == 0)
            ck_ok(order_created_publish(producer, &order, &KUR_PUBLISH_OPTIONS(.topic = topic, .on_result = on_result),
                                        &error),
                  error);
        else
            ck_ok(
                kur_producer_send(producer,
                                  &KUR_MESSAGE(.topic = topic, .key = kur_bytes_text("k"), .value = kur_bytes_text("v"),
                                               .headers = &header, .header_count = 1, .on_result = on_result),
                                  &error),
                error);
        if (i % AT_ONCE == AT_ONCE - 1)
            ck_ok(kur_producer_flush(producer, 30000, &error), error);
    }
}

static void receive(kur_consumer *consumer, kur_arena *arena, int count)
{
    kur_error error = {0};
    kur_record *records[256];
    int64_t deadline = kur_clock_monotonic_us() + 60 * 1000000;
    for (int got = 0; got < count;) {
        size_t batch = 0;
        ck_assert_msg(kur_clock_monotonic_us() < deadline, "%d of %d records came", got, count);
        size_t room = count - got < 256 ? (size_t)(count - got) : 256;
        ck_ok(kur_consumer_poll_batch(consumer, 1000, records, room, &batch, &error), error);
        for (size_t i = 0; i < batch; i++) {
            kur_event_view view = KUR_EVENT_VIEW();
            ck_ok(kur_event_read(records[i], arena, &view, &error), error);
        }
        kur_consumer_free_records(consumer, records, batch);
        got += (int)batch;
    }
}

START_TEST(test_memory__none_is_taken_for_a_record)
{
    static const kur__allocator counting = {count_malloc, count_realloc, count_free};
    kur_error error = {0};
    const char *topic = support_topic(1);
    kur__allocator_set(&counting);
    kur_client *client = support_client();
    kur_producer *producer = kur_client_producer(client, &error);
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = support_name("g")), &error);
    ck_ok(kur_consumer_subscribe(consumer, (const char *const[]){topic, NULL}, &error), error);
    kur_arena *arena = kur_arena_new();

    send(producer, topic, WARM_UP);
    receive(consumer, arena, WARM_UP);
    long before = atomic_load(&taken);
    ck_assert_int_gt(before, 0);
    send(producer, topic, COUNTED);
    ck_assert_int_le(atomic_load(&taken) - before, TOLD);
    receive(consumer, arena, COUNTED);
    ck_assert_int_le(atomic_load(&taken) - before, TOLD);
    ck_assert_int_eq(atomic_load(&delivered), WARM_UP + COUNTED);

    kur_arena_free(arena);
    kur_consumer_free(consumer);
    kur_client_unref(client);
    ck_assert_int_eq(atomic_load(&live), 0);
    kur__allocator_set(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_memory__none_is_taken_for_a_record, NULL};
    int status = check_main("memory", tests);
    support_stop();
    return status;
}
