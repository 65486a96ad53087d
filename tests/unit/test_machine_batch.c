/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's decisions: batches. Which records go together, and what becomes of them when they have returned.
 */
#include <stdio.h>

#include "machine.h"

static kur__work *batch[MANY];

static size_t take_batch(size_t most)
{
    size_t count = 0;
    for (kur__work *work = kur__machine_take_batch(&machine, now_us, most); work != NULL; work = work->mate)
        batch[count++] = work;
    return count;
}

/* The offsets of the batch that can be taken now, up to `most`, as text. */
static const char *offsets(size_t most)
{
    static char text[256];
    size_t count = take_batch(most), at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, i == 0 ? "%d" : " %d", (int)batch[i]->offset);
    return text;
}

static void say_all(size_t from, size_t to, const kur__verdict *verdict)
{
    for (size_t i = from; i < to; i++)
        say(batch[i], verdict);
}

static kur__source *begin_with(kur_order order)
{
    kur__machine_options options = usual;
    options.order = order;
    begin(&options);
    return assign(0);
}

START_TEST(test_machine_batch__holds_lanes_one_after_the_other)
{
    kur__source *source = begin_with(KUR_ORDER_BY_KEY), *other = assign(1);
    static const char *const keys[] = {"a", "b", "a", NULL, "a", "b"};
    for (int64_t i = 0; i < 6; i++)
        admit(source, i, keys[i]);
    admit(other, 10, "a");
    ck_assert_uint_eq(kur__machine_count_ready(&machine, now_us, 500), 7);
    ck_assert_uint_eq(kur__machine_count_ready(&machine, now_us, 4), 4);
    ck_assert_str_eq(offsets(500), "0 2 4 1 5 10 3"); /* partitions take turns, two lanes of who holds most */
    ck_assert_uint_eq(kur__machine_count_ready(&machine, now_us, 500), 0);
    ck_assert_str_eq(offsets(500), "");
    admit(source, 6, "a"); /* behind those that run */
    ck_assert_str_eq(offsets(500), "");
    say_all(0, 3, &done);
    ck_assert_str_eq(offsets(500), "6");
    end();

    source = begin_with(KUR_ORDER_BY_PARTITION);
    for (int64_t i = 0; i < 6; i++)
        admit(source, i, keys[i]);
    ck_assert_str_eq(offsets(4), "0 1 2 3");
    ck_assert_str_eq(offsets(4), "");
    say_all(0, 4, &done);
    ck_assert_str_eq(offsets(4), "4 5");
    end();

    source = begin_with(KUR_UNORDERED);
    for (int64_t i = 0; i < 6; i++)
        admit(source, i, "a");
    ck_assert_str_eq(offsets(4), "0 1 2 3");
    ck_assert_str_eq(offsets(4), "4 5");
    kur__machine_stop(&machine);
    ck_assert_str_eq(offsets(4), "");
    end();
}
END_TEST

START_TEST(test_machine_batch__does_not_take_what_is_not_due)
{
    begin_with(KUR_ORDER_BY_KEY);
    kur__source *source = assign_retry(0, KUR_TIER_SHORT);
    admit(source, 0, "a");
    admit_due(source, 1, "a", now_us + SECOND);
    admit(source, 2, "a");
    ck_assert_str_eq(offsets(9), "0 2");
    now_us += SECOND;
    ck_assert_str_eq(offsets(9), ""); /* its lane is taken */
    ck_assert_int_eq(say(batch[1], &done), KUR__HELD);
    ck_assert_int_eq(say(batch[0], &done), KUR__FINISHED);
    ck_assert_str_eq(offsets(9), "1");
    end();
}
END_TEST

START_TEST(test_machine_batch__of_a_lane_counts_when_the_last_has_returned)
{
    kur__source *source = begin_with(KUR_ORDER_BY_PARTITION);
    for (int64_t i = 0; i < 5; i++)
        admit(source, i, NULL);
    ck_assert_str_eq(offsets(4), "0 1 2 3");
    ck_assert_int_eq(say(batch[3], &done), KUR__HELD);
    ck_assert_int_eq(say(batch[0], &done), KUR__HELD);
    ck_assert_int_eq(say(batch[1], &reject), KUR__HELD);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 0);
    ck_assert_int_eq(say(batch[2], &done_with_emits), KUR__SETTLES);
    ck_assert_int_eq(batch[3]->consequence, KUR__FINISHED);
    ck_assert_int_eq(batch[0]->consequence, KUR__FINISHED);
    ck_assert_int_eq(batch[1]->consequence, KUR__REJECTS);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 1);
    ck_assert_uint_eq(machine.running, 0);
    ck_assert_uint_eq(machine.settling, 2);
    kur__work *rejected = kur__machine_next_effect(&machine, now_us);
    ck_assert_ptr_eq(rejected, batch[1]);
    ck_assert_str_eq(offsets(4), ""); /* until it is taken over */
    kur__machine_effect(&machine, rejected, true, now_us);
    ck_assert_str_eq(offsets(4), "4");
    end();
}
END_TEST

START_TEST(test_machine_batch__behind_one_that_comes_again_all_do)
{
    kur__machine_options options = usual;
    options.attempts = 2;
    begin(&options);
    kur__source *source = assign(0);
    for (int64_t i = 0; i < 6; i++)
        admit(source, i, i == 3 ? "b" : "a");
    ck_assert_str_eq(offsets(9), "0 1 2 4 5 3");
    say(batch[0], &done);
    say(batch[1], &retry);
    say(batch[2], &done);
    say(batch[3], &retry);
    say(batch[4], &reject);
    ck_assert_int_eq(say(batch[5], &done), KUR__FINISHED); /* another lane */
    ck_assert_int_eq(batch[0]->consequence, KUR__FINISHED);
    ck_assert_int_eq(batch[1]->consequence, KUR__RETRIED);
    for (int i = 2; i < 5; i++) {
        ck_assert_int_eq(batch[i]->consequence, KUR__AGAIN);
        ck_assert_int_eq(batch[i]->attempts, 0); /* it was none of theirs */
    }
    ck_assert_str_eq(offsets(9), "");
    now_us += SECOND;
    ck_assert_str_eq(offsets(9), "1"); /* alone, to be told from the others */
    ck_assert_int_eq(batch[0]->attempts, 2);
    ck_assert_int_eq(say(batch[0], &done), KUR__FINISHED);
    ck_assert_str_eq(offsets(9), "2");
    ck_assert_int_eq(say(batch[0], &done), KUR__FINISHED);
    ck_assert_str_eq(offsets(9), "4"); /* it had failed too */
    ck_assert_int_eq(batch[0]->attempts, 1);
    ck_assert_int_eq(say(batch[0], &done), KUR__FINISHED);
    ck_assert_str_eq(offsets(9), "5");
    ck_assert_int_eq(say(batch[0], &done), KUR__FINISHED);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 6);
    end();
}
END_TEST

START_TEST(test_machine_batch__attempts_used_up_let_the_next_ones_count)
{
    kur__machine_options options = usual;
    options.attempts = 1;
    begin(&options);
    kur__source *source = assign(0);
    for (int64_t i = 0; i < 4; i++)
        admit(source, i, "a");
    ck_assert_str_eq(offsets(9), "0 1 2 3");
    say(batch[0], &retry);
    say(batch[1], &done);
    kur__verdict not_run = {.outcome = KUR_RETRY, .is_not_run = true};
    say(batch[2], &not_run);
    ck_assert_int_eq(say(batch[3], &not_run), KUR__AGAIN);
    ck_assert_int_eq(batch[0]->consequence, KUR__REJECTS);
    ck_assert_int_eq(batch[1]->consequence, KUR__FINISHED);
    ck_assert_int_eq(batch[2]->consequence, KUR__AGAIN);
    ck_assert_str_eq(offsets(9), "");
    kur__work *rejected = kur__machine_next_effect(&machine, now_us);
    kur__machine_effect(&machine, rejected, true, now_us);
    ck_assert_str_eq(offsets(9), "2 3"); /* nobody has seen them: in company, and for the first time */
    ck_assert_int_eq(batch[0]->attempts, 1);
    say_all(0, 2, &done);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 4);
    /* One that keeps no order, too. */
    admit(source, 4, NULL);
    ck_assert_str_eq(offsets(9), "4");
    ck_assert_int_eq(say(batch[0], &not_run), KUR__AGAIN);
    ck_assert_str_eq(offsets(9), "4");
    ck_assert_int_eq(batch[0]->attempts, 1);
    end();
}
END_TEST

START_TEST(test_machine_batch__what_failed_comes_alone_unless_it_was_given_a_delay)
{
    kur__source *source = begin_with(KUR_ORDER_BY_KEY);
    kur__verdict after = {.outcome = KUR_RETRY, .has_delay = true, .delay_us = 200 * MS};
    for (int64_t i = 0; i < 6; i++)
        admit(source, i, NULL);
    ck_assert_str_eq(offsets(6), "0 1 2 3 4 5");
    say_all(0, 3, &retry);
    say_all(3, 6, &after);
    now_us += 100 * MS;
    admit(source, 6, NULL);
    ck_assert_uint_eq(kur__machine_count_ready(&machine, now_us, 9), 9); /* waiting brings nothing */
    ck_assert_str_eq(offsets(9), "6");                                   /* it was ready first */
    ck_assert_str_eq(offsets(9), "0");
    ck_assert_str_eq(offsets(9), "1");
    ck_assert_str_eq(offsets(9), "2");
    now_us += 100 * MS;
    ck_assert_str_eq(offsets(9), "3 4 5");
    end();
}
END_TEST

START_TEST(test_machine_batch__what_is_taken_back_is_as_it_was)
{
    kur__source *source = begin_with(KUR_ORDER_BY_KEY);
    for (int64_t i = 0; i < 6; i++)
        admit(source, i, i < 4 ? "a" : NULL);
    ck_assert_str_eq(offsets(5), "0 1 2 3 4");
    for (int i = 4; i >= 0; i--)
        kur__machine_untake(&machine, batch[i]);
    ck_assert_uint_eq(machine.running, 0);
    ck_assert_str_eq(offsets(9), "0 1 2 3 4 5");
    ck_assert_int_eq(batch[3]->attempts, 1);
    end();
}
END_TEST

START_TEST(test_machine_batch__of_an_ended_epoch_is_ignored_and_keeps_its_lane)
{
    kur__source *source = begin_with(KUR_ORDER_BY_PARTITION);
    for (int64_t i = 0; i < 5; i++)
        admit(source, i, NULL);
    ck_assert_str_eq(offsets(3), "0 1 2");
    say(batch[1], &done);
    kur__work *old[] = {batch[0], batch[1], batch[2]};
    kur__machine_drop(&machine, source);
    ck_assert_uint_eq(release(), 2);
    source = assign(0);
    admit(source, 0, NULL);
    admit(source, 1, NULL);
    ck_assert_int_eq(say(old[2], &retry), KUR__HELD);
    ck_assert_str_eq(offsets(3), "");
    ck_assert_uint_eq(release(), 0); /* also what has returned */
    ck_assert_int_eq(say(old[0], &reject), KUR__STALE);
    ck_assert_int_eq(old[1]->consequence, KUR__STALE);
    ck_assert_int_eq(old[2]->consequence, KUR__STALE);
    ck_assert_uint_eq(release(), 3);
    ck_assert_str_eq(offsets(3), "0 1");
    kur__machine_drop(&machine, source);
    kur__machine_untake(&machine, batch[1]);
    kur__machine_untake(&machine, batch[0]);
    ck_assert_uint_eq(release(), 2);
    ck_assert_uint_eq(machine.lanes.count, 0);
    /* The end, in the midst of everything. */
    source = assign(0);
    for (int64_t i = 0; i < 6; i++)
        admit(source, i, NULL);
    ck_assert_str_eq(offsets(4), "0 1 2 3");
    say(batch[2], &done);
    end();
}
END_TEST

START_TEST(test_machine_batch__rejected_ones_of_a_lane_hold_it_together)
{
    kur__source *source = begin_with(KUR_ORDER_BY_KEY);
    for (int64_t i = 0; i < 5; i++)
        admit(source, i, "a");
    ck_assert_str_eq(offsets(4), "0 1 2 3");
    say(batch[0], &reject);
    say(batch[1], &reject);
    say(batch[2], &retry);
    say(batch[3], &done);
    kur__work *first = kur__machine_next_effect(&machine, now_us), *second = kur__machine_next_effect(&machine, now_us);
    ck_assert(first == batch[0] && second == batch[1]);
    now_us += SECOND;
    kur__machine_effect(&machine, second, true, now_us);
    ck_assert_str_eq(offsets(9), ""); /* also of what comes again */
    kur__machine_effect(&machine, first, true, now_us);
    ck_assert_str_eq(offsets(9), "2");
    ck_assert_int_eq(say(batch[0], &reject), KUR__REJECTS);
    /* Of an epoch that has ended: what is in somebody's hands holds the lane of the next one. */
    first = kur__machine_next_effect(&machine, now_us);
    kur__machine_drop(&machine, source);
    source = assign(0);
    admit(source, 2, "a");
    ck_assert_str_eq(offsets(9), "");
    kur__machine_effect(&machine, first, false, now_us);
    ck_assert_str_eq(offsets(9), "2");
    /* And what was not begun is gone. */
    ck_assert_int_eq(say(batch[0], &reject), KUR__REJECTS);
    kur__machine_drop(&machine, source);
    ck_assert_uint_eq(machine.lanes.count, 0);
    ck_assert_uint_eq(machine.settling, 0);
    end();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_machine_batch__holds_lanes_one_after_the_other,
        test_machine_batch__does_not_take_what_is_not_due,
        test_machine_batch__of_a_lane_counts_when_the_last_has_returned,
        test_machine_batch__behind_one_that_comes_again_all_do,
        test_machine_batch__attempts_used_up_let_the_next_ones_count,
        test_machine_batch__what_failed_comes_alone_unless_it_was_given_a_delay,
        test_machine_batch__what_is_taken_back_is_as_it_was,
        test_machine_batch__of_an_ended_epoch_is_ignored_and_keeps_its_lane,
        test_machine_batch__rejected_ones_of_a_lane_hold_it_together,
        NULL,
    };
    return check_main("machine_batch", tests);
}
