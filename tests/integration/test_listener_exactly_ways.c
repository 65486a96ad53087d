/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Exactly-once listeners with what else a listener can do: handlers of batches, seeks, a start at the end.
 */
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <string.h>

#include "../check_main.h"
#include "../exactly.h"
#include "../listening.h"
#include "../support.h"

/* ---- Batches ---- */

static atomic_int batches;

static kur_outcome emit_batch(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    batches++;
    for (size_t i = 0; i < count; i++)
        outcomes[i] = emit_number(deliveries[i], user);
    return KUR_DONE;
}

START_TEST(test_listener_exactly_ways__batches)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    set_up();
    batches = 0;
    send_more(2000);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.guarantee = KUR_EXACTLY_ONCE, .concurrency = 4, .batch_records = 50);
    kur_listener *listener = make(bench.client, &options, bench.in, bench.group, NULL, NULL);
    ck_ok(kur_listener_on_batch(listener, emit_batch, &bench.handled), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(wait_for(listener, has_finished, 1000));
    send_more(500);
    ck_assert(wait_for(listener, has_finished, bench.sent));
    ck_assert_int_lt(batches, bench.sent);
    ck_assert_int_ge(bench.handled, expected_attempts());
    stop_and_check(listener);
}
END_TEST

/* ---- Seeks ---- */

static int partition_of(int number)
{
    return number % KEYS % PARTITIONS;
}

/* What is gone back to is given once more, and nothing else. */
START_TEST(test_listener_exactly_ways__a_seek_back_gives_that_partition_again)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    set_up();
    send_more(900);
    kur_listener *listener = start_listener(&KUR_LISTENER_OPTIONS());
    ck_assert(wait_for(listener, has_finished, bench.sent));
    ck_ok(kur_listener_seek(listener, bench.in, 1, KUR_OFFSET_BEGINNING, &error), error);
    ck_assert(wait_for(listener, has_finished, bench.sent + bench.sent / PARTITIONS));
    send_more(300);
    ck_assert(wait_for(listener, has_finished, bench.sent + 300));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    const int *seen = read_output();
    for (int i = 0; i < bench.sent; i++)
        ck_assert_msg(seen[i] == (i < 900 && partition_of(i) == 1 ? 2 : 1), "%d: %d times", i, seen[i]);
    ck_all_committed();
    kur_client_unref(bench.client);
}
END_TEST

/* Transactions are under way when it goes elsewhere: what is in one is given, or not, as a whole with its offset. */
START_TEST(test_listener_exactly_ways__seeks_in_the_midst_lose_nothing)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    int seeks = 0;
    set_up();
    send_more(3000);
    kur_listener *listener = start_listener(&KUR_LISTENER_OPTIONS(.commit_interval_ms = 20));
    ck_assert(wait_for(listener, has_finished, 100));
    for (; seeks < 20; seeks++) {
        ck_ok(kur_listener_seek(listener, bench.in, 1, seeks % 2 == 0 ? KUR_OFFSET_BEGINNING : 5, &error), error);
        send_more(30);
        nap(30);
    }
    send_more(300);
    int64_t committed = -1;
    kur_consumer *asker = kur_consumer_new(bench.client, &KUR_CONSUMER_OPTIONS(.group = bench.group), &error);
    for (int64_t until_ms = now_ms() + WAIT_MS; committed != bench.sent && now_ms() < until_ms; nap(50)) {
        kur_arena *arena = kur_arena_new();
        committed = 0;
        for (int p = 0; p < PARTITIONS; p++) {
            kur_position position = KUR_POSITION(.topic = bench.in, .partition = p);
            ck_ok(kur_consumer_committed(asker, &position, arena, WAIT_MS, &error), error);
            committed += position.offset;
        }
        kur_arena_free(arena);
    }
    kur_consumer_free(asker);
    ck_assert_int_eq(committed, bench.sent);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    const int *seen = read_output();
    for (int i = 0; i < bench.sent; i++)
        ck_assert_msg(seen[i] >= 1 && seen[i] <= (partition_of(i) == 1 ? seeks + 1 : 1), "%d: %d times", i, seen[i]);
    ck_all_committed();
    kur_client_unref(bench.client);
}
END_TEST

/* ---- From the end ---- */

START_TEST(test_listener_exactly_ways__from_the_end)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    set_up();
    send_more(300);
    kur_listener *listener = start_listener(&KUR_LISTENER_OPTIONS(.start = KUR_START_LATEST));
    ck_assert(wait_for(listener, is_assigned, PARTITIONS));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    ck_assert_int_eq(bench.handled, 0);
    ck_all_committed();
    send_more(300); /* nobody is there, but it is known where the next one begins */
    listener = start_listener(&KUR_LISTENER_OPTIONS(.start = KUR_START_LATEST));
    ck_assert(wait_for(listener, has_finished, 300));
    send_more(300);
    ck_assert(wait_for(listener, has_finished, 600));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    const int *seen = read_output();
    for (int i = 0; i < bench.sent; i++)
        ck_assert_msg(seen[i] == (i >= 300), "%d: %d times", i, seen[i]);
    ck_all_committed();
    kur_client_unref(bench.client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_exactly_ways__batches,
        test_listener_exactly_ways__a_seek_back_gives_that_partition_again,
        test_listener_exactly_ways__seeks_in_the_midst_lose_nothing,
        test_listener_exactly_ways__from_the_end,
        NULL,
    };
    int status = check_main("listener_exactly_ways", tests);
    support_stop();
    return status;
}
