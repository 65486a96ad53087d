/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's decisions, one at a time: what the simulation finds in the large has its small example here. This
 * file: order and turns, back pressure, retry. The life of partitions, effects and commits: test_machine_life.c.
 */
#include <stdio.h>

#include "machine.h"

/* ---- Options ---- */

START_TEST(test_machine__options_that_make_no_sense_are_refused)
{
    kur__machine_options wrong[] = {usual, usual, usual, usual, usual, usual, usual};
    wrong[0].text_limit = KUR__LEDGER_TEXT_MAX + 1;
    wrong[1].hold_records = 0;
    wrong[2].hold_bytes = 0;
    wrong[3].jitter = -0.1;
    wrong[4].jitter = 1.1;
    wrong[5].multiplier = 0.9;
    wrong[6].hold_bytes = -1;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kur_error error = {0};
        ck_status(kur__machine_init(&machine, &wrong[i], &error), KUR_ERROR_INVALID_ARGUMENT, error);
    }
}
END_TEST

/* ---- Turns, lanes ---- */

START_TEST(test_machine__sources_take_turns)
{
    begin(&usual);
    kur__source *long_one = assign(0), *short_one = assign(1);
    kur__work *works[8];
    for (int64_t i = 0; i < 5; i++)
        admit(long_one, i, NULL);
    for (int64_t i = 0; i < 4; i++)
        admit(short_one, i, NULL);
    ck_assert_uint_eq(kur__machine_take(&machine, now_us, works, 5), 5);
    for (int i = 0; i < 5; i++)
        ck_assert_ptr_eq(works[i]->source, i % 2 == 0 ? long_one : short_one);
    /* What is taken back is the first again, and was no attempt. */
    kur__machine_untake(&machine, works[4]);
    ck_assert_int_eq(works[4]->attempts, 0);
    ck_assert_ptr_eq(take_one()->source, short_one);
    ck_assert_ptr_eq(take_offset(2), works[4]);
    end();
}
END_TEST

START_TEST(test_machine__who_holds_more_gets_more_turns_but_not_all)
{
    enum {
        SOURCES = 12,
        MOST = 4 /* in a row */
    };
    begin(&usual);
    kur__source *sources[SOURCES];
    int taken[SOURCES] = {0}, in_a_row = 0;
    for (int32_t i = 0; i < SOURCES; i++)
        sources[i] = assign(i);
    for (int64_t i = 0; i < 80; i++) /* of which it may hold 83 */
        admit(sources[0], i, NULL);
    for (int i = 1; i < SOURCES; i++)
        for (int64_t j = 0; j < 5; j++)
            admit(sources[i], j, NULL);
    for (int i = 0; i < 5 * (SOURCES - 1 + MOST); i++) {
        kur__work *work = take_one();
        in_a_row = work->source == sources[0] ? in_a_row + 1 : 0;
        ck_assert_int_le(in_a_row, MOST);
        for (int j = 0; j < SOURCES; j++)
            taken[j] += work->source == sources[j];
    }
    ck_assert_int_eq(taken[0], 5 * MOST);
    for (int i = 1; i < SOURCES; i++)
        ck_assert_int_eq(taken[i], 5); /* all that it has */
    end();
}
END_TEST

START_TEST(test_machine__of_a_lane_one_runs_at_a_time)
{
    begin(&usual);
    kur__source *source = assign(0), *other = assign(1);
    kur__work *works[8];
    admit(source, 0, "a");
    admit(source, 1, "a");
    admit(source, 2, "a");
    admit(source, 3, "b");
    admit(source, 4, NULL);
    admit(source, 5, NULL);
    admit(source, 6, "");
    admit(other, 0, "a"); /* another partition's key is another lane */
    ck_assert_uint_eq(kur__machine_take(&machine, now_us, works, 8), 6);
    for (int i = 0; i < 6; i++)
        ck_assert(works[i]->offset != 1 && works[i]->offset != 2);
    ck_assert_ptr_null(take_one());
    ck_assert_int_eq(say(works[0], &done), KUR__FINISHED);
    kur__work *second = take_offset(1);
    ck_assert_ptr_null(take_one());
    /* An outcome whose events are still to come lets the next one start; */
    ck_assert_int_eq(say(second, &done_with_emits), KUR__SETTLES);
    kur__work *third = take_offset(2);
    /* but one that is rejected holds its lane until it is taken over. */
    admit(source, 7, "a");
    admit(source, 8, "c");
    ck_assert_int_eq(say(third, &reject), KUR__REJECTS);
    finish(8);
    ck_assert_ptr_null(take_one());
    ck_assert_ptr_eq(kur__machine_next_effect(&machine, now_us), second);
    ck_assert_ptr_eq(kur__machine_next_effect(&machine, now_us), third);
    kur__machine_effect(&machine, second, true, now_us);
    kur__machine_effect(&machine, third, false, now_us);
    ck_assert_ptr_null(take_one());
    now_us += SECOND;
    ck_assert_ptr_eq(kur__machine_next_effect(&machine, now_us), third);
    kur__machine_effect(&machine, third, true, now_us);
    finish(7);
    end();

    kur__machine_options by_partition = usual, unordered = usual;
    by_partition.order = KUR_ORDER_BY_PARTITION;
    begin(&by_partition);
    source = assign(0);
    admit(source, 0, NULL);
    admit(source, 1, "b");
    kur__work *first = take_offset(0);
    ck_assert_ptr_null(take_one());
    say(first, &done);
    finish(1);
    end();

    unordered.order = KUR_UNORDERED;
    begin(&unordered);
    source = assign(0);
    admit(source, 0, "a");
    admit(source, 1, "a");
    ck_assert_uint_eq(kur__machine_take(&machine, now_us, works, 8), 2);
    end();
}
END_TEST

START_TEST(test_machine__lanes_of_any_number_and_length)
{
    kur__machine_options wide = usual;
    wide.hold_records = 20000;
    begin(&wide);
    kur__source *source = assign(0);
    char key[200];
    for (int round = 0; round < 2; round++) { /* the second finds lanes that are spare */
        for (int i = 0; i < 5000; i++) {
            snprintf(key, sizeof key, "%0*d", i % 8 == 0 ? 120 : 8, i);
            admit(source, round * 10000 + 2 * i, key);
            admit(source, round * 10000 + 2 * i + 1, key);
        }
        ck_assert_uint_eq(machine.lanes.count, 5000);
        for (int half = 0; half < 2; half++)
            for (int i = 0; i < 5000; i++)
                finish(round * 10000 + 2 * i + half);
        ck_assert_uint_eq(machine.lanes.count, 0);
        ck_assert_uint_eq(release(), 10000);
    }
    kur__polled polled = {.offset = 30000, .key = kur_bytes_of("", (size_t)UINT32_MAX + 1)};
    ck_assert_int_eq(kur__machine_admit(&machine, source, &polled, now_us), KUR__ADMITTED_NO_MEMORY);
    admit(source, 30000, "a");
    ck_assert_int_eq(admit_due(source, 30000, "a", 0), KUR__ADMITTED_REPLAY);
    end();
}
END_TEST

/* ---- Back pressure ---- */

/* The hash of a key of two words is no other's when the first word leaves nothing of what was before. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Keys whose hash is the same: found by going its way back, since no two come by it by chance. */
START_TEST(test_machine__keys_of_one_hash_are_two)
{
    kur__lanes lanes = {.seed = 4711};
    char home;
    struct kur__partition *partition = (void *)&home;
    uint64_t seed = lanes.seed ^ (uint64_t)(uintptr_t)partition;
    uint64_t words[2][2] = {{1, 2}, {3, 0}};
    uint64_t begin = fold(seed ^ UINT64_C(0x9e3779b97f4a7c15), sizeof words[0] | 1u << 30);
    words[1][1] = words[0][1] ^ fold(begin ^ words[0][0], UINT64_C(0xe7037ed1a0b428db)) ^
                  fold(begin ^ words[1][0], UINT64_C(0xe7037ed1a0b428db));
    kur__lane *found[2];
    for (int i = 0; i < 2; i++)
        found[i] = kur__lanes_get(&lanes, partition, kur_bytes_of(words[i], sizeof words[i]));
    ck_assert_uint_eq(found[0]->hash, found[1]->hash);
    ck_assert_ptr_ne(found[0], found[1]);
    for (int i = 0; i < 2; i++)
        ck_assert_ptr_eq(kur__lanes_get(&lanes, partition, kur_bytes_of(words[i], sizeof words[i])), found[i]);
    for (int i = 0; i < 2; i++)
        kur__lanes_put(&lanes, found[i]);
    kur__lanes_done(&lanes);
}
END_TEST

START_TEST(test_machine__is_full_at_its_share_until_half_of_it)
{
    kur__machine_options small = usual;
    small.hold_records = 20;
    begin(&small);
    kur__source *source = assign(0);
    for (int64_t i = 0; i < 19; i++)
        admit(source, i, NULL);
    expect_full(source, false);
    ck_assert_uint_eq(kur__machine_room(&machine, source), 1);
    ck_assert(!kur__machine_is_full(&machine));
    admit(source, 19, NULL);
    ck_assert(kur__machine_is_full(&machine));
    expect_full(source, true);
    for (int64_t i = 0; i < 9; i++)
        finish(i);
    expect_full(source, true);
    finish(9);
    expect_full(source, false);
    ck_assert_uint_eq(kur__machine_room(&machine, source), 10);
    end();

    begin(&small); /* a second partition halves the share of the first */
    source = assign(0);
    for (int64_t i = 0; i < 12; i++)
        admit(source, i, NULL);
    expect_full(source, false);
    kur__source *other = assign(1);
    expect_full(source, true);
    expect_full(other, false);
    kur__machine_suspend(&machine, source);
    kur__machine_leave(&machine, source);
    int64_t position;
    ck_assert_ptr_eq(assign_at(0, 2, 1, NULL, &position), source);
    expect_full(source, true);
    ck_assert(!kur__machine_is_full(&machine));
    for (int64_t i = 0; i < 8; i++)
        admit(other, i, NULL); /* now the sum is at the bound: the other waits below its own share */
    ck_assert(kur__machine_is_full(&machine));
    expect_full(other, true);
    finish(0); /* of the first; the other is the one that has nothing of its own that would tell */
    expect_full(source, true);
    expect_full(other, true);
    ck_assert(!kur__machine_is_full(&machine));
    kur__machine_drop(&machine, source);
    expect_full(other, false); /* the whole bound is its share again */
    end();
}
END_TEST

START_TEST(test_machine__is_full_for_bytes_too)
{
    kur__machine_options small = usual;
    small.hold_bytes = 100;
    begin(&small);
    kur__source *source = assign(0), *other = assign(1);
    for (int64_t i = 0; i < 5; i++)
        admit(source, i, NULL);
    expect_full(source, true);
    for (int64_t i = 0; i < 5; i++)
        admit(other, i, NULL);
    expect_full(other, true);
    for (int64_t i = 0; i < 3; i++) {
        finish(i);
        finish(i);
    }
    expect_full(source, false);
    expect_full(other, false);
    for (int64_t i = 5; i < 8; i++)
        admit(other, i, NULL);
    expect_full(source, false);
    expect_full(other, true);
    end();
}
END_TEST

START_TEST(test_machine__a_text_that_is_full_stops_admission)
{
    kur__machine_options narrow = usual;
    narrow.text_limit = 64;
    begin(&narrow);
    kur__source *source = assign(0);
    int64_t offset = 0;
    kur__work *kept[MANY];
    int count = 0;
    while (!source->is_full && offset < 2 * MANY) {
        admit(source, offset, NULL);
        kept[count++] = take_offset(offset++);
        admit(source, offset, NULL);
        finish(offset++);
    }
    expect_full(source, true);
    ck_assert_int_gt(count, 5);
    ck_assert_int_lt(count, 100);
    for (int i = 0; i < count; i++)
        say(kept[i], &done);
    expect_full(source, false);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), offset);
    end();

    narrow.text_limit = 0; /* no room at all: it holds something, and goes on */
    begin(&narrow);
    source = assign(0);
    for (int64_t i = 0; i < 10; i++)
        admit(source, i, NULL);
    for (int64_t i = 0; i < 10; i++)
        finish(i);
    expect_full(source, false);
    end();
}
END_TEST

/* ---- Retry ---- */

/* One record that fails until it is rejected; its delays in ms, 0 ends them. */
static void check_delays(const kur__machine_options *options, const kur__verdict *verdict, const int64_t *delays_ms)
{
    begin(options);
    admit(assign(0), 0, "a");
    for (int i = 0; delays_ms[i] >= 0; i++) {
        kur__work *work = take_offset(0);
        ck_assert_int_eq(work->attempts, i + 1);
        ck_assert_int_eq(say(work, verdict), KUR__RETRIED);
        ck_assert_int_eq(work->due_us - now_us, delays_ms[i] * MS);
        now_us += delays_ms[i] * MS;
        if (delays_ms[i] > 0) {
            now_us--;
            ck_assert_ptr_null(take_one());
            now_us++;
        }
    }
    ck_assert_int_eq(say(take_offset(0), verdict), KUR__REJECTS);
    kur__work *work = kur__machine_next_effect(&machine, now_us);
    ck_assert_int_eq(work->effect, KUR__EFFECT_REJECT);
    kur__machine_effect(&machine, work, true, now_us);
    ck_assert_uint_eq(release(), 1);
    end();
}

START_TEST(test_machine__tries_again_as_the_policy_says)
{
    kur__machine_options policy = usual;
    kur__verdict none = {.outcome = KUR_NO_OUTCOME}, hopeless = {.outcome = KUR_RETRY, .is_hopeless = true};
    kur__verdict after = {.outcome = KUR_RETRY, .has_delay = true, .delay_us = 7 * MS}, before = after;
    before.delay_us = -1;
    policy.attempts = 4;
    check_delays(&policy, &retry, (int64_t[]){100, 200, 400, -1});
    check_delays(&policy, &none, (int64_t[]){100, 200, 400, -1});
    check_delays(&policy, &hopeless, (int64_t[]){-1});
    check_delays(&policy, &after, (int64_t[]){7, 7, 7, -1});
    check_delays(&policy, &before, (int64_t[]){0, 0, 0, -1});
    policy.attempts = 1;
    check_delays(&policy, &retry, (int64_t[]){-1});
    policy.attempts = 5;
    policy.delay_max_us = 250 * MS;
    check_delays(&policy, &retry, (int64_t[]){100, 200, 250, 250, -1});
    policy.multiplier = 1;
    check_delays(&policy, &retry, (int64_t[]){100, 100, 100, 100, -1});
    /* No bound of attempts: the time since it failed first is one. */
    policy = usual;
    policy.timeout_us = 700 * MS;
    check_delays(&policy, &retry, (int64_t[]){100, 200, 400, -1});
    policy.timeout_us--;
    check_delays(&policy, &retry, (int64_t[]){100, 200, -1});
}
END_TEST

START_TEST(test_machine__jitter_only_shortens_by_its_share)
{
    kur__machine_options policy = usual;
    int64_t least = INT64_MAX, most = 0;
    policy.jitter = 0.25;
    begin(&policy);
    kur__source *source = assign(0);
    for (int64_t i = 0; i < MANY; i++) {
        admit(source, i, NULL);
        kur__work *work = take_offset(i);
        ck_assert_int_eq(say(work, &retry), KUR__RETRIED);
        int64_t delay_us = work->due_us - now_us;
        least = delay_us < least ? delay_us : least;
        most = delay_us > most ? delay_us : most;
    }
    ck_assert_int_ge(least, 75 * MS);
    ck_assert_int_le(most, 100 * MS);
    ck_assert_int_lt(least, 78 * MS); /* and is really drawn */
    ck_assert_int_gt(most, 97 * MS);
    end();
}
END_TEST

START_TEST(test_machine__runs_in_the_order_of_due_times)
{
    begin(&usual);
    int64_t start_us = now_us;
    kur__source *source = assign_retry(0, KUR_TIER_SHORT);
    ck_assert_int_eq(kur__machine_wake_us(&machine), 0); /* where it begins is committed soon */
    for (kur__commit commit;
         kur__machine_begin_commits(&machine, NULL, now_us), kur__machine_next_commit(&machine, &commit);)
        kur__machine_committed(&machine, source, true, now_us);
    for (int64_t i = 0; i < MANY; i++) /* 7 is coprime to MANY: each due time once */
        ck_assert_int_eq(admit_due(source, 100 + i, NULL, start_us + 1 + i * 7 % MANY), KUR__ADMITTED);
    ck_assert_int_eq(admit_due(source, 1000, NULL, start_us + MANY), KUR__ADMITTED); /* with the last one, behind it */
    ck_assert_ptr_null(take_one());
    for (int64_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(kur__machine_wake_us(&machine), start_us + 1 + i);
        now_us = start_us + 1 + i;
        kur__work *work = take_one();
        ck_assert_ptr_nonnull(work);
        ck_assert_int_eq(work->due_us, now_us);
        if (i + 1 < MANY)
            ck_assert_ptr_null(take_one());
    }
    finish(1000);
    /* A record that is not due is not in the way of those behind it in its lane. */
    ck_assert_int_eq(admit_due(source, 2000, "a", now_us + SECOND), KUR__ADMITTED);
    admit(source, 2001, "a");
    finish(2001);
    ck_assert_ptr_null(take_one());
    now_us += SECOND;
    finish(2000);
    /* And with a delay that never ends. */
    kur__verdict never = {.outcome = KUR_RETRY, .has_delay = true, .delay_us = INT64_MAX};
    admit(source, 2002, "a");
    kur__work *work = take_offset(2002);
    ck_assert_int_eq(say(work, &never), KUR__RETRIED);
    ck_assert_int_eq(work->due_us, INT64_MAX);
    end();
}
END_TEST

/* What ends among those that wait leaves the others in their order. */
START_TEST(test_machine__an_ended_source_leaves_the_order_of_due_times)
{
    uint32_t random = 1;
    for (int round = 0; round < 20; round++) {
        begin(&usual);
        kur__source *source = assign_retry(0, KUR_TIER_SHORT), *other = assign_retry(0, KUR_TIER_LONG);
        for (int64_t i = 0; i < 100; i++)
            for (int which = 0; which < 2; which++) {
                random = random * 1664525u + 1013904223u;
                int64_t due_us = now_us + 1 + (random >> 16);
                ck_assert_int_eq(admit_due(which == 0 ? source : other, i, NULL, due_us), KUR__ADMITTED);
            }
        kur__machine_drop(&machine, source);
        kur__work *works[200];
        ck_assert_uint_eq(kur__machine_take(&machine, now_us + SECOND, works, 200), 100);
        for (int i = 1; i < 100; i++)
            ck_assert_int_le(works[i - 1]->due_us, works[i]->due_us);
        end();
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_machine__options_that_make_no_sense_are_refused,
        test_machine__sources_take_turns,
        test_machine__who_holds_more_gets_more_turns_but_not_all,
        test_machine__of_a_lane_one_runs_at_a_time,
        test_machine__lanes_of_any_number_and_length,
        test_machine__keys_of_one_hash_are_two,
        test_machine__is_full_at_its_share_until_half_of_it,
        test_machine__is_full_for_bytes_too,
        test_machine__a_text_that_is_full_stops_admission,
        test_machine__tries_again_as_the_policy_says,
        test_machine__jitter_only_shortens_by_its_share,
        test_machine__runs_in_the_order_of_due_times,
        test_machine__an_ended_source_leaves_the_order_of_due_times,
        NULL,
    };
    return check_main("machine", tests);
}
