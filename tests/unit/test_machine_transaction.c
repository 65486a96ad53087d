/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's decisions when transactions stand in for commits: what goes into one, and what becomes of it.
 */
#include <stdio.h>

#include "machine.h"

static kur__machine_options exactly;
static kur__commit commits[8];

static void begin_exactly(void)
{
    exactly = usual;
    exactly.exactly_once = true;
    exactly.commit_interval_us = 100 * MS;
    begin(&exactly);
}

/* Begins the next one; how many offsets go in. */
static int transact(void)
{
    int count = 0;
    now_us += 10 * (int64_t)SECOND;
    if (!kur__machine_commit_is_due(&machine, now_us) || !kur__machine_begin_transaction(&machine, now_us))
        return 0;
    ck_assert(!kur__machine_commit_is_due(&machine, now_us + SECOND)); /* one at a time */
    while (kur__machine_next_commit(&machine, &commits[count]))
        count++;
    return count;
}

static void conclude(bool is_committed)
{
    kur__machine_end_transaction(&machine, is_committed, now_us);
}

/* Whose start the group has. */
static kur__source *assigned(int32_t partition)
{
    kur__source *source = assign(partition);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 0);
    conclude(true);
    return source;
}

static void settle(int64_t offset, const kur__verdict *verdict)
{
    ck_assert_int_eq(say(take_offset(offset), verdict), KUR__SETTLES);
}

static int count_set(const kur__source *source)
{
    int count = 0;
    for (const kur__work *work = source->in_transaction.first; work != NULL; work = work->next)
        count++;
    return count;
}

START_TEST(test_machine_transaction__holds_what_settled_before_it)
{
    begin_exactly();
    kur__source *source = assigned(0);
    ck_assert_int_eq(transact(), 0); /* nothing new */
    for (int64_t i = 0; i < 4; i++)
        admit(source, i, i < 2 ? "a" : NULL);
    settle(0, &done);
    settle(2, &done_with_emits);
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us));
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 0); /* nothing is finished */
    ck_assert(!kur__machine_is_drained(&machine));
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(count_set(source), 2);
    ck_assert_int_eq(source->in_transaction.first->offset, 0);
    ck_assert_ptr_eq(commits[0].source, source);
    ck_assert_int_eq(commits[0].offset, 1);
    ck_assert_str_ne(commits[0].text, ""); /* 2 is told */
    ck_assert_int_eq(source->untold, 0);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 0); /* as it was */
    ck_assert_int_eq(source->ledger.unfinished, 4);
    ck_assert_int_eq(kur__machine_wake_us(&machine), INT64_MAX);
    settle(3, &done); /* handlers go on; the lane went on when the handler was through */
    settle(1, &done);
    ck_assert_uint_eq(release(), 0);
    conclude(true);
    ck_assert_uint_eq(release(), 2);
    ck_assert_int_eq(source->committed, 1);
    ck_assert_int_eq(machine.finished, 2);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 4);
    ck_assert_str_eq(commits[0].text, "");
    conclude(true);
    ck_assert_int_eq(transact(), 0);
    ck_assert(kur__machine_is_drained(&machine));
    ck_assert_uint_eq(release(), 2);
    end();
}
END_TEST

/* Or two transactions in a row could send the same, and whether the second was committed could not be told. */
START_TEST(test_machine_transaction__a_start_is_committed_before_anything)
{
    begin_exactly();
    kur__source *source = assign(0);
    admit(source, 0, NULL);
    settle(0, &done);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 0);
    ck_assert_int_eq(count_set(source), 0);
    conclude(false);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(count_set(source), 0);
    conclude(true);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 1);
    ck_assert_int_eq(count_set(source), 1);
    conclude(true);
    end();
}
END_TEST

START_TEST(test_machine_transaction__aborted_the_same_outcomes_go_into_the_next)
{
    begin_exactly();
    kur__source *source = assigned(0);
    for (int64_t i = 0; i < 5; i++)
        admit(source, i, NULL);
    for (int64_t i = 0; i < 3; i++)
        settle(i, &done_with_emits);
    ck_assert_int_eq(transact(), 1);
    settle(3, &done);
    conclude(false);
    ck_assert_int_eq(kur__machine_wake_us(&machine), now_us + 100 * MS); /* and longer, the more often */
    ck_assert(!kur__machine_commit_is_due(&machine, now_us + 100 * MS - 1));
    ck_assert_uint_eq(release(), 0);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(count_set(source), 4);
    int64_t offset = 0;
    for (const kur__work *work = source->in_transaction.first; work != NULL; work = work->next)
        ck_assert_int_eq(work->offset, offset++);
    conclude(false);
    ck_assert_int_eq(kur__machine_wake_us(&machine), now_us + 200 * MS);
    ck_assert_ptr_eq(take_one(), source->newest); /* no handler again */
    ck_assert_int_eq(transact(), 1);
    conclude(true);
    ck_assert_uint_eq(release(), 4);
    end();
}
END_TEST

START_TEST(test_machine_transaction__half_as_many_after_one_that_was_aborted)
{
    static const int expected[] = {100, 50, 25, 12, 6, 3, 1, 1, 2, 4, 8};
    begin_exactly();
    kur__source *source = assigned(0);
    for (int64_t i = 0; i < 200; i++) {
        admit(source, i, NULL);
        settle(i, &done);
    }
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        ck_assert_int_eq(transact(), 1);
        ck_assert_int_eq(count_set(source), expected[i]);
        conclude(i >= 7);
    }
    ck_assert_int_eq(transact(), 1); /* what is left needs nothing new to be due */
    conclude(true);
    end();
}
END_TEST

START_TEST(test_machine_transaction__who_is_left_out_comes_again_alone)
{
    begin_exactly();
    kur__source *source = assigned(0), *other = assigned(1);
    for (int64_t i = 0; i < 3; i++)
        admit(source, i, NULL);
    for (int64_t i = 0; i < 3; i++)
        settle(i, &done_with_emits);
    ck_assert_int_eq(transact(), 1);
    kur__work *refused = source->in_transaction.first;
    refused->is_left_out = true;
    conclude(false);
    ck_assert(!refused->issued && !refused->is_left_out);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 0);
    ck_assert_int_eq(count_set(source), 2);
    conclude(true);
    ck_assert_uint_eq(release(), 2);
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us)); /* its time has come */
    admit(other, 0, NULL);
    settle(0, &done);
    ck_assert_int_eq(transact(), 1);
    ck_assert_ptr_eq(commits[0].source, source);
    ck_assert_ptr_eq(source->in_transaction.first, refused);
    refused->is_left_out = true; /* again */
    conclude(false);
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us + SECOND));
    ck_assert_int_eq(transact(), 2); /* in turn with the others */
    ck_assert_int_eq(count_set(source), 0);
    ck_assert_int_eq(count_set(other), 1);
    conclude(true);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 3);
    conclude(false); /* not for its own sake: still alone */
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(count_set(source), 1);
    conclude(true);
    ck_assert(kur__machine_is_drained(&machine));
    /* One that waits for its turn goes with its source. */
    admit(other, 1, NULL);
    settle(1, &done_with_emits);
    ck_assert_int_eq(transact(), 1);
    other->in_transaction.first->is_left_out = true;
    conclude(false);
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us + SECOND));
    kur__machine_drop(&machine, other);
    ck_assert(kur__machine_is_drained(&machine));
    ck_assert_int_eq(transact(), 0);
    end();
}
END_TEST

/* When topics have come, what waited for them goes together; what was too large in a batch is judged alone as ever. */
START_TEST(test_machine_transaction__what_was_too_large_stays_alone_whatever_comes)
{
    for (int i = 0; i < 4; i++) {
        bool is_too_large = i % 2 != 0, waits_for_its_turn = i >= 2;
        begin_exactly();
        kur__source *source = assigned(0);
        for (int64_t k = 0; k < 3; k++)
            admit(source, k, NULL);
        for (int64_t k = 0; k < 3; k++)
            settle(k, &done_with_emits);
        ck_assert_int_eq(transact(), 1);
        ck_assert_int_eq(count_set(source), 3);
        for (kur__work *work = source->in_transaction.first; work != NULL; work = work->next) {
            work->is_left_out = true;
            work->is_too_large = is_too_large;
        }
        conclude(false);
        if (waits_for_its_turn)
            ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us + SECOND));
        kur__machine_effects_now(&machine, now_us + SECOND);
        ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us + SECOND));
        for (int k = 0; k < (is_too_large ? 3 : 1); k++) {
            ck_assert_int_eq(transact(), 1);
            ck_assert_int_eq(count_set(source), is_too_large ? 1 : 3);
            conclude(true);
        }
        ck_assert(kur__machine_is_drained(&machine));
        end();
    }
}
END_TEST

START_TEST(test_machine_transaction__a_rejected_record_goes_in_when_somebody_has_it)
{
    begin_exactly();
    kur__source *source = assigned(0);
    admit(source, 0, NULL);
    kur__work *work = take_offset(0);
    ck_assert_int_eq(say(work, &reject), KUR__REJECTS);
    ck_assert_int_eq(transact(), 0);
    ck_assert_ptr_eq(kur__machine_next_effect(&machine, now_us), work);
    kur__machine_effect(&machine, work, false, now_us);
    ck_assert_ptr_eq(kur__machine_next_effect(&machine, now_us + SECOND), work);
    kur__machine_effect(&machine, work, true, now_us);
    ck_assert_uint_eq(release(), 0);
    ck_assert_int_eq(transact(), 1);
    ck_assert_ptr_eq(source->in_transaction.first, work);
    conclude(false);
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us + SECOND)); /* it is not handed over twice */
    ck_assert_int_eq(transact(), 1);
    conclude(true);
    ck_assert_uint_eq(release(), 1);
    end();
}
END_TEST

START_TEST(test_machine_transaction__its_end_is_late_for_a_source_that_has_ended)
{
    for (int committed = 0; committed < 2; committed++) {
        begin_exactly();
        kur__source *source = assigned(0), *other = assigned(1);
        admit(source, 0, "a");
        admit(source, 1, "a");
        admit(other, 0, NULL);
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(say(take_one(), &done), KUR__SETTLES);
        ck_assert_int_eq(transact(), 2);
        settle(1, &done);
        kur__machine_drop(&machine, source);
        ck_assert_uint_eq(release(), 1);
        ck_assert_ptr_eq(machine.oldest, source); /* for its record is in the transaction's hands */
        kur__source *next = assign(0);
        admit(next, 0, "a");
        settle(0, &done);
        conclude(committed == 1);
        ck_assert_ptr_ne(machine.oldest, source);
        ck_assert_uint_eq(release(), committed == 1 ? 2 : 1);
        ck_assert_int_eq(kur__ledger_commit_offset(&next->ledger), 0);
        ck_assert_int_eq(transact(), committed == 1 ? 1 : 2);
        conclude(true);
        ck_assert_int_eq(transact(), 1);
        ck_assert_int_eq(commits[0].offset, 1);
        conclude(true);
        ck_assert(kur__machine_is_drained(&machine));
        end();
    }
}
END_TEST

START_TEST(test_machine_transaction__nothing_of_a_partition_that_is_away)
{
    begin_exactly();
    int64_t position;
    kur__source *source = assigned(0);
    admit(source, 0, NULL);
    admit(source, 1, NULL);
    settle(0, &done);
    kur__work *running = take_offset(1);
    kur__machine_suspend(&machine, source);
    kur__machine_leave(&machine, source);
    ck_assert_int_eq(say(running, &done), KUR__SETTLES);
    ck_assert_int_eq(transact(), 0);
    ck_assert_ptr_eq(assign_at(0, 2, 0, NULL, &position), source);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 2);
    conclude(true);
    end();
}
END_TEST

/* One record is stuck, and every other one behind it settles, until the text would be too long. */
START_TEST(test_machine_transaction__never_more_than_the_text_can_tell)
{
    begin_exactly();
    exactly.text_limit = 100;
    exactly.hold_records = 4 * MANY;
    begin(&exactly);
    kur__source *source = assigned(0);
    for (int64_t i = 0; i < 2 * MANY; i++)
        admit(source, i, NULL);
    kur__work *stuck = NULL, *waiting[MANY];
    for (int64_t i = 0; i < 2 * MANY; i++) {
        kur__work *work = take_offset(i);
        if (i == 0)
            stuck = work;
        else if (i % 2 == 1)
            say(work, &done_with_emits);
        else
            waiting[i / 2] = work;
    }
    ck_assert_int_eq(transact(), 1);
    int first = count_set(source);
    ck_assert_int_gt(first, 10);
    ck_assert_int_lt(first, MANY / 2);
    ck_assert_int_eq(commits[0].offset, 0);
    ck_assert_int_eq(source->untold, 0);
    ck_assert_uint_le(strlen(commits[0].text), 100);
    for (const kur__work *work = source->in_transaction.first; work != NULL; work = work->next)
        ck_assert_int_lt(work->offset, 2 * first); /* the lowest */
    conclude(true);
    for (int i = 0; transact() > 0; i++) { /* hardly more, and it does not try in vain */
        ck_assert_int_lt(i, 3);
        ck_assert_int_lt(count_set(source), first);
        conclude(true);
    }
    ck_assert_int_eq(transact(), 0);
    /* What makes the text shorter lets others in. */
    say(stuck, &done);
    for (int i = 1; i <= MANY; i++) {
        while (transact() > 0) {
            ck_assert_int_eq(source->untold, 0);
            conclude(true);
        }
        if (i < MANY)
            say(waiting[i], &done);
    }
    ck_assert(kur__machine_is_drained(&machine));
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 2 * MANY);
    end();
}
END_TEST

/*
 * A broker that has just room for what it has: the set becomes smaller until it takes it, never so small that what is
 * committed could not be told any more.
 */
START_TEST(test_machine_transaction__a_text_that_is_refused_is_shorter_the_next_time)
{
    begin_exactly();
    exactly.hold_records = 4 * MANY;
    begin(&exactly);
    kur__source *source = assigned(0);
    for (int64_t i = 0; i < 2 * MANY; i++)
        admit(source, i, NULL);
    kur__work *waiting[2 * MANY];
    for (int64_t i = 0; i < 2 * MANY; i++)
        waiting[i] = take_offset(i);
    for (int64_t i = 1; i < MANY; i += 2)
        say(waiting[i], &done);
    ck_assert_int_eq(transact(), 1);
    size_t room = strlen(commits[0].text) + 3;
    conclude(true);
    for (int64_t i = MANY + 1; i < 2 * MANY; i += 2)
        say(waiting[i], &done);
    int refused = 0;
    for (int64_t next = 0; next < 2 * MANY; next += 2) {
        while (transact() > 0) {
            bool is_taken = strlen(commits[0].text) <= room;
            ck_assert_int_eq(source->untold, 0);
            conclude(is_taken);
            if (!is_taken)
                kur__machine_text_refused(&machine);
            ck_assert_int_lt(refused += !is_taken, 50);
        }
        say(waiting[next], &done);
    }
    while (transact() > 0)
        conclude(true);
    ck_assert_int_gt(refused, 0);
    ck_assert(kur__machine_is_drained(&machine));
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 2 * MANY);
    end();
}
END_TEST

/* Also by one that had nothing to tell when its texts were refused, so that next to no room was left. */
START_TEST(test_machine_transaction__what_a_former_owner_has_told_is_told_again)
{
    int64_t position;
    begin_exactly();
    kur__source *source = assign_at(0, 1, 10, NULL, &position);
    for (int64_t i = 10; i < 14; i++)
        admit(source, i, NULL);
    kur__work *at_work[3];
    for (int64_t i = 10; i < 13; i++)
        at_work[i - 10] = take_offset(i);
    settle(13, &done);
    ck_assert_int_eq(transact(), 1);
    kur__commit former = commits[0];
    conclude(true);
    for (int i = 0; i < 3; i++)
        say(at_work[i], &retry);
    end();

    begin_exactly();
    for (int i = 0; i < 20; i++)
        kur__machine_text_refused(&machine);
    source = assign_at(0, 2, 10, former.text, &position);
    for (int64_t i = 10; i < 13; i++)
        admit(source, i, NULL);
    settle(10, &done);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 11);
    ck_assert_int_eq(source->untold, 0);
    ck_assert_uint_eq(strlen(commits[0].text), strlen(former.text)); /* 13 */
    conclude(true);
    end();
}
END_TEST

/* Where there is no record nobody has an outcome, and nothing is lost when it is not told. */
START_TEST(test_machine_transaction__gaps_need_no_room)
{
    begin_exactly();
    exactly.text_limit = 64;
    exactly.hold_records = 1000;
    begin(&exactly);
    kur__source *source = assigned(0);
    for (int64_t i = 0; i < 300; i++)
        admit(source, 3 * i, NULL);
    kur__work *stuck = take_offset(0);
    settle(3, &done);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(count_set(source), 1);
    ck_assert_int_eq(source->untold, 0);
    conclude(true);
    say(stuck, &done);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 6);
    conclude(true);
    end();
}
END_TEST

/* What is beside a commit and cannot be read is no more there when records are in a transaction. */
START_TEST(test_machine_transaction__a_text_that_is_ignored_is_replaced_first)
{
    begin_exactly();
    kur__assignment assignment = {.topic = "t", .start = 10, .is_committed = true, .text = "x", .generation = 1};
    kur_error warning = {0}, error = {0};
    kur__source *source;
    int64_t position;
    ck_ok(kur__machine_assign(&machine, &assignment, &source, &position, now_us, &warning, &error), error);
    ck_assert_int_eq(warning.code, KUR_ERROR_MISMATCH);
    admit(source, 10, NULL);
    settle(10, &done);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 10);
    ck_assert_str_eq(commits[0].text, "");
    conclude(true);
    ck_assert_int_eq(transact(), 1);
    ck_assert_int_eq(commits[0].offset, 11);
    conclude(true);
    end();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_machine_transaction__holds_what_settled_before_it,
        test_machine_transaction__a_start_is_committed_before_anything,
        test_machine_transaction__aborted_the_same_outcomes_go_into_the_next,
        test_machine_transaction__half_as_many_after_one_that_was_aborted,
        test_machine_transaction__who_is_left_out_comes_again_alone,
        test_machine_transaction__what_was_too_large_stays_alone_whatever_comes,
        test_machine_transaction__a_rejected_record_goes_in_when_somebody_has_it,
        test_machine_transaction__its_end_is_late_for_a_source_that_has_ended,
        test_machine_transaction__nothing_of_a_partition_that_is_away,
        test_machine_transaction__never_more_than_the_text_can_tell,
        test_machine_transaction__a_text_that_is_refused_is_shorter_the_next_time,
        test_machine_transaction__what_a_former_owner_has_told_is_told_again,
        test_machine_transaction__gaps_need_no_room,
        test_machine_transaction__a_text_that_is_ignored_is_replaced_first,
        NULL,
    };
    return check_main("machine_transaction", tests);
}
