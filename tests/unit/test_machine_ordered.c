/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's decisions about the order of keys through a retry topic.
 */
#include "listener/ordered.h"
#include "machine.h"

static kur__machine_options ordered_options(void)
{
    kur__machine_options options = usual;
    options.mode = KUR_RETRY_BY_TOPIC;
    options.keep_order = true;
    options.has_dead_letters = true;
    options.origins_most = 1000;
    return options;
}

static kur__source *assign_ordered(int64_t generation, int64_t start, int64_t end)
{
    kur__assignment assignment = {.topic = "t.g.ordered",
                                  .generation = generation,
                                  .start = start,
                                  .is_committed = true,
                                  .tier = KUR_TIER_ORDERED,
                                  .home = "t",
                                  .end = end};
    kur_error warning = {0}, error = {0};
    kur__source *source = NULL;
    int64_t position;
    ck_ok(kur__machine_assign(&machine, &assignment, &source, &position, now_us, &warning, &error), error);
    return source;
}

static kur__source *main_one, *retry_one;

static void begin_ordered(const kur__machine_options *options, int64_t end)
{
    begin(options);
    main_one = assign(0);
    retry_one = assign_ordered(1, 0, end);
}

/* A copy of the record at `origin`, on its attempt after so many. */
static void copy_as(kur__source *source, int64_t offset, const char *key, int64_t origin, int32_t attempts,
                    int64_t due_us, bool is_outside)
{
    kur__polled polled = {.offset = offset,
                          .key = key != NULL ? kur_bytes_text(key) : kur_bytes_of(NULL, 0),
                          .bytes = 10,
                          .attempts = attempts,
                          .due_us = due_us,
                          .origin = origin,
                          .is_outside = is_outside};
    ck_assert_int_eq(kur__machine_admit(&machine, source, &polled, now_us), KUR__ADMITTED);
}

static void copy(int64_t offset, const char *key, int64_t origin, int32_t attempts)
{
    copy_as(retry_one, offset, key, origin, attempts, 0, false);
}

/* The next forward, which is that of `offset`. */
static kur__work *forward_of(int64_t offset)
{
    kur__work *work = kur__machine_next_effect(&machine, now_us);
    ck_assert_ptr_nonnull(work);
    ck_assert_int_eq(work->effect, KUR__EFFECT_FORWARD);
    ck_assert_int_eq(work->to, KUR_TIER_ORDERED);
    ck_assert_int_eq(work->offset, offset);
    return work;
}

static void land(kur__work *work, int64_t at)
{
    work->landed = at;
    kur__machine_effect(&machine, work, true, now_us);
}

static void take_nothing(void)
{
    ck_assert_ptr_null(take_one());
}

static kur__work *take_copy(int64_t offset)
{
    kur__work *work = take_offset(offset);
    ck_assert_ptr_eq(work->source, retry_one);
    return work;
}

static void end_with_nothing(void)
{
    ck_assert_uint_eq(machine.held, 0);
    ck_assert_uint_eq(machine.origins.count, 0);
    ck_assert_uint_eq(machine.lanes.count, 0);
    for (const kur__source *source = machine.oldest; source != NULL; source = source->newer)
        ck_assert_uint_eq(source->early, 0);
    end();
}

START_TEST(test_machine_ordered__those_behind_follow_until_the_last_has_gone_through)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 0, "a");
    admit(main_one, 1, "a");
    admit(main_one, 2, "b");
    ck_assert_int_eq(say(take_offset(0), &retry), KUR__FORWARDS);
    /* From the start of the forward, not from its end. */
    finish(2);
    take_nothing();
    kur__work *first = forward_of(0), *second = forward_of(1);
    ck_assert_int_eq(first->then_us, now_us + usual.delay_us);
    ck_assert(!first->is_unrun);
    ck_assert_int_eq(second->then_us, now_us);
    ck_assert(second->is_unrun);
    ck_assert_int_eq(second->attempts, 0);
    land(first, 0);
    land(second, 1);
    ck_assert_int_eq(kur__ledger_commit_offset(&main_one->ledger), 3);
    /* Also before they are read. */
    admit(main_one, 3, "a");
    take_nothing();
    land(forward_of(3), 2);
    copy_as(retry_one, 0, "a", 0, 1, now_us + usual.delay_us, false);
    copy(1, "a", 1, 0);
    copy(2, "a", 3, 0);
    take_nothing();
    now_us += usual.delay_us;
    kur__work *work = take_copy(0);
    ck_assert_int_eq(work->attempts, 2);
    take_nothing();
    /* It fails again, and they wait on; its copy is behind them in the topic. */
    ck_assert_int_eq(say(work, &retry), KUR__FORWARDS);
    take_nothing();
    land(forward_of(0), 3);
    take_nothing();
    copy_as(retry_one, 3, "a", 0, 2, now_us + 2 * usual.delay_us, false);
    take_nothing();
    now_us += 2 * usual.delay_us;
    ck_assert_int_eq(say(take_copy(3), &done), KUR__FINISHED);
    ck_assert_int_eq(say(take_copy(1), &done), KUR__FINISHED);
    admit(main_one, 4, "a"); /* the last one is still before it */
    work = take_copy(2);
    take_nothing();
    ck_assert_int_eq(say(work, &done), KUR__FINISHED);
    finish(4);
    ck_assert_int_eq(kur__ledger_commit_offset(&main_one->ledger), 5);
    ck_assert_int_eq(kur__ledger_commit_offset(&retry_one->ledger), 4);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__nothing_runs_before_the_retry_topic_is_read)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, -1);
    admit(main_one, 5, "a"); /* read again after a crash; and */
    admit(main_one, 7, "a");
    admit(main_one, 8, "b");
    take_nothing();
    copy(0, "a", 6, 0);
    copy(1, "a", 5, 1);
    take_nothing();
    kur__machine_set_end(&machine, retry_one, 5, now_us);
    copy(2, "a", 4, 1);
    copy(3, "a", 5, 2);     /* a higher attempt: the lower one is not run */
    copy(3 + 1, "a", 4, 1); /* the same: it is not run */
    kur__work *work = take_one();
    ck_assert_int_eq(work->offset, 8);
    say(work, &done);
    ck_assert_int_eq(say(take_copy(2), &done), KUR__FINISHED);
    work = take_copy(3);
    ck_assert_int_eq(work->attempts, 3);
    ck_assert_int_eq(say(work, &done), KUR__FINISHED);
    land(forward_of(7), 5);
    ck_assert_int_eq(say(take_copy(0), &done), KUR__FINISHED);
    copy(5, "a", 7, 0);
    ck_assert_int_eq(say(take_copy(5), &done), KUR__FINISHED);
    ck_assert_int_eq(kur__ledger_commit_offset(&main_one->ledger), 9);
    ck_assert_int_eq(kur__ledger_commit_offset(&retry_one->ledger), 6);
    ck_assert_int_eq(machine.origins.dropped, 3); /* the main record of which a copy lives, too */
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__the_end_may_be_reached_without_a_record)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 3);
    admit(main_one, 0, "a");
    copy(0, "a", -5, 0);
    take_nothing();
    kur__machine_reached(&machine, retry_one, 2, now_us);
    take_nothing();
    kur__machine_reached(&machine, retry_one, 3, now_us);
    ck_assert_int_eq(say(take_copy(0), &done), KUR__FINISHED);
    land(forward_of(0), 3);
    copy(3, "a", 0, 0);
    ck_assert_int_eq(say(take_copy(3), &done), KUR__FINISHED);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__a_late_one_of_a_former_owner_is_not_run)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 2);
    copy(0, "b", 0, 1);
    copy(1, "c", 1, 1);
    ck_assert_int_eq(say(take_copy(0), &done), KUR__FINISHED);
    ck_assert_int_eq(say(take_copy(1), &done), KUR__FINISHED);
    copy(2, "a", 4, 1); /* its original comes */
    take_nothing();
    ck_assert_int_eq(kur__ledger_commit_offset(&retry_one->ledger), 3);
    admit(main_one, 4, "a");
    finish(4);
    /* One that is there by hand. */
    copy_as(retry_one, 3, "a", 2, 0, 0, true);
    admit(main_one, 5, "a");
    kur__work *work = take_copy(3);
    copy_as(retry_one, 4, "a", 2, 5, 0, true); /* sent again while it is there: no other */
    take_nothing();
    ck_assert_int_eq(say(work, &done), KUR__FINISHED);
    finish(5);
    ck_assert_int_eq(machine.origins.dropped, 2);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__of_a_forward_that_was_sent_twice_one_copy_lives)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 0, "a");
    admit(main_one, 1, "a");
    say(take_offset(0), &retry);
    kur__work *work = forward_of(0);
    kur__machine_effect(&machine, work, false, now_us); /* nobody knows */
    copy(0, "a", 0, 1);                                 /* it was there */
    take_nothing();
    now_us += SECOND;
    land(forward_of(1), 1);
    ck_assert_ptr_eq(forward_of(0), work);
    copy(1, "a", 1, 0);
    copy(2, "a", 0, 1); /* read before it is acknowledged */
    take_nothing();
    land(work, 2);
    ck_assert_int_eq(machine.origins.dropped, 1);
    copy(3, "a", 0, 1); /* and once more */
    ck_assert_int_eq(machine.origins.dropped, 2);
    ck_assert_int_eq(say(take_copy(2), &done), KUR__FINISHED);
    copy(4, "a", 0, 1);
    ck_assert_int_eq(machine.origins.dropped, 3);
    ck_assert_int_eq(say(take_copy(1), &done), KUR__FINISHED);
    ck_assert_int_eq(kur__ledger_commit_offset(&retry_one->ledger), 5);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__the_copy_at_the_place_that_was_told_lives)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 0, "a");
    say(take_offset(0), &retry);
    land(forward_of(0), 2);
    copy(0, "a", 0, 0); /* of a former owner, or sent before */
    copy(1, "a", 0, 1);
    take_nothing();
    ck_assert_int_eq(machine.origins.dropped, 2);
    copy(2, "a", 0, 1);
    ck_assert_int_eq(say(take_copy(2), &done), KUR__FINISHED);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__one_whose_place_was_not_told_is_found_by_its_attempt)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 0, "a");
    say(take_offset(0), &retry);
    land(forward_of(0), -1);
    copy(0, "a", 0, 0);
    take_nothing();
    copy(1, "a", 0, 1);
    ck_assert_int_eq(say(take_copy(1), &done), KUR__FINISHED);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__a_rejected_one_lets_the_next_run)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 0, "a");
    admit(main_one, 1, "a");
    say(take_offset(0), &retry);
    take_nothing();
    land(forward_of(0), 0);
    land(forward_of(1), 1);
    copy(0, "a", 0, 1);
    copy(1, "a", 1, 0);
    ck_assert_int_eq(say(take_copy(0), &reject), KUR__REJECTS);
    ck_assert_int_eq(say(take_copy(1), &done), KUR__FINISHED);
    kur__work *work = kur__machine_next_effect(&machine, now_us);
    ck_assert_int_eq(work->to, KUR_TIER_DEAD);
    admit(main_one, 2, "a");
    finish(2);
    kur__machine_effect(&machine, work, true, now_us);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__a_forward_that_ends_among_the_dead_lets_the_next_run)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 0, "a");
    admit(main_one, 1, "a");
    say(take_offset(0), &retry);
    take_nothing();
    kur__work *work = forward_of(0);
    land(forward_of(1), 0);
    copy(0, "a", 1, 0);
    take_nothing();
    work->to = KUR_TIER_DEAD; /* it was too large */
    land(work, -1);
    ck_assert_int_eq(say(take_copy(0), &done), KUR__FINISHED);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__behind_one_of_a_batch_that_failed_all_follow)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    for (int64_t i = 0; i < 4; i++)
        admit(main_one, i, "a");
    kur__work *works[4], *first = kur__machine_take_batch(&machine, now_us, 4);
    for (int i = 0; i < 4; i++, first = first->mate)
        works[i] = first;
    ck_assert_int_eq(say(works[0], &done), KUR__HELD);
    ck_assert_int_eq(say(works[2], &done), KUR__HELD);
    ck_assert_int_eq(say(works[3], &retry), KUR__HELD);
    say(works[1], &retry);
    ck_assert_int_eq(works[0]->consequence, KUR__FINISHED);
    ck_assert_int_eq(works[1]->consequence, KUR__FORWARDS);
    ck_assert_int_eq(works[2]->consequence, KUR__AGAIN);
    ck_assert_int_eq(works[3]->consequence, KUR__AGAIN);
    ck_assert_uint_eq(machine.running, 0);
    ck_assert_ptr_null(kur__machine_take_batch(&machine, now_us, 4));
    land(forward_of(1), 0);
    land(forward_of(2), 1);
    kur__work *last = forward_of(3);
    ck_assert_int_eq(last->attempts, 0);
    land(last, 2);
    for (int64_t i = 0; i < 3; i++)
        copy(i, "a", i + 1, i == 0);
    admit(main_one, 4, "b");
    admit(main_one, 5, "b");
    for (int64_t i = 0; i < 3; i++) {
        first = kur__machine_take_batch(&machine, now_us, 1);
        if (first->source == main_one) {
            i--;
            say(first, &done);
            continue;
        }
        ck_assert_int_eq(first->offset, i);
        say(first, &done);
    }
    while ((first = take_one()) != NULL)
        say(first, &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__what_was_sent_to_a_partition_that_went_is_sent_again)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 0, "a");
    admit(main_one, 1, "a");
    admit(main_one, 2, "b");
    kur__work *running = NULL, *failed = take_offset(0);
    say(failed, &retry);
    running = take_offset(2);
    kur__work *work = forward_of(0);
    kur__machine_drop(&machine, retry_one);
    take_nothing();
    land(work, 0); /* whoever has that partition has not been told of it */
    ck_assert_int_eq(kur__ledger_commit_offset(&main_one->ledger), 0);
    say(running, &retry);
    now_us += SECOND;
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us)); /* nowhere to go */
    take_nothing();
    retry_one = assign_ordered(2, 0, 1);
    now_us += SECOND;
    ck_assert_ptr_eq(forward_of(0), work);
    land(forward_of(2), 1);
    take_nothing(); /* it is not read yet */
    copy(0, "a", 0, 1);
    take_nothing();
    land(forward_of(1), 2); /* which could be said of it only now */
    land(work, 3);
    copy(1, "b", 2, 1);
    copy(2, "a", 1, 0);
    copy(3, "a", 0, 1);
    ck_assert_int_eq(say(take_copy(1), &done), KUR__FINISHED);
    ck_assert_int_eq(say(take_copy(3), &done), KUR__FINISHED);
    ck_assert_int_eq(say(take_copy(2), &done), KUR__FINISHED);
    ck_assert_int_eq(kur__ledger_commit_offset(&main_one->ledger), 3);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__what_went_to_its_own_source_counts_for_that_alone)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 0, "a");
    say(take_offset(0), &retry);
    kur__work *work = forward_of(0);
    kur__machine_drop(&machine, retry_one);
    retry_one = assign_ordered(3, 1, 1); /* somebody had it, and was through with what was there */
    land(work, 0);
    ck_assert_int_eq(kur__ledger_commit_offset(&main_one->ledger), 0);
    now_us += SECOND;
    land(forward_of(0), 1);
    copy(1, "a", 0, 1);
    ck_assert_int_eq(say(take_copy(1), &done), KUR__FINISHED);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__both_come_back_and_go_on)
{
    const kur__machine_options options = ordered_options();
    int64_t position;
    begin_ordered(&options, 0);
    admit(main_one, 0, "a");
    admit(main_one, 1, "a");
    admit(main_one, 2, "b");
    say(take_offset(0), &retry);
    finish(2);
    take_nothing();
    land(forward_of(0), 0);
    kur__work *work = forward_of(1);
    admit(main_one, 3, "b");
    kur__machine_suspend(&machine, main_one);
    kur__machine_suspend(&machine, retry_one);
    kur__machine_leave(&machine, main_one);
    kur__machine_leave(&machine, retry_one);
    land(work, 1); /* while it is nobody's: perhaps it is another's by now */
    ck_assert_ptr_eq(assign_at(0, 2, 3, NULL, &position), main_one);
    take_nothing(); /* alone it does not run */
    ck_assert_ptr_eq(assign_ordered(2, 0, 2), retry_one);
    finish(3);
    copy(0, "a", 0, 1);
    ck_assert_int_eq(say(take_copy(0), &done), KUR__FINISHED);
    copy(1, "a", 1, 0);
    take_nothing();
    now_us += SECOND;
    land(forward_of(1), 2);
    copy(2, "a", 1, 0);
    ck_assert_int_eq(say(take_copy(2), &done), KUR__FINISHED);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__a_main_partition_that_begins_anew_meets_its_copies)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    for (int64_t i = 0; i < 3; i++)
        admit(main_one, i, "a");
    say(take_offset(0), &retry);
    take_nothing();
    land(forward_of(0), 0);
    kur__work *late = forward_of(1);
    copy(0, "a", 0, 1);
    kur__machine_drop(&machine, main_one);
    main_one = assign(0);
    land(late, 1); /* for nobody */
    copy(1, "a", 1, 0);
    ck_assert_int_eq(machine.origins.dropped, 1);
    kur__work *work = take_copy(0);
    for (int64_t i = 0; i < 3; i++)
        admit(main_one, i, "a");
    take_nothing();
    say(work, &retry);
    take_nothing();
    ck_assert_int_eq(machine.origins.dropped, 2);
    land(forward_of(0), 2);
    land(forward_of(1), 3);
    land(forward_of(2), 4);
    copy(2, "a", 0, 2);
    copy(3, "a", 1, 0);
    copy(4, "a", 2, 0);
    for (int64_t i = 2; i < 5; i++)
        ck_assert_int_eq(say(take_copy(i), &done), KUR__FINISHED);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__another_log_has_other_records)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 1);
    copy(0, "a", 7, 1);
    kur__polled polled = {.offset = 7, .key = kur_bytes_text("a"), .bytes = 10, .stamp_us = 99};
    ck_assert_int_eq(kur__machine_admit(&machine, main_one, &polled, now_us), KUR__ADMITTED);
    kur__work *work = take_copy(0);
    take_nothing();
    say(work, &retry);
    take_nothing();
    land(forward_of(0), 1);
    land(forward_of(7), 2);
    polled = (kur__polled){.offset = 2, .key = kur_bytes_text("a"), .bytes = 10, .origin = 7, .stamp_us = 99};
    copy(1, "a", 7, 2);
    ck_assert_int_eq(kur__machine_admit(&machine, retry_one, &polled, now_us), KUR__ADMITTED);
    ck_assert_int_eq(say(take_copy(1), &done), KUR__FINISHED);
    ck_assert_int_eq(say(take_copy(2), &done), KUR__FINISHED);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__a_copy_that_never_comes_is_given_up)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 0, "a");
    say(take_offset(0), &retry);
    land(forward_of(0), 0);
    admit(main_one, 1, "a");
    take_nothing();
    land(forward_of(1), 5); /* the log has lost its beginning */
    copy(5, "a", 1, 0);
    ck_assert_int_eq(say(take_copy(5), &done), KUR__FINISHED);
    ck_assert_int_eq(machine.origins.lost, 1);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__one_from_outside_is_the_same_as_what_runs)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 3, "a");
    kur__work *work = take_offset(3);
    copy_as(retry_one, 0, "a", 3, 0, 0, true);
    take_nothing();
    admit(main_one, 4, "a");
    say(work, &retry);
    work = take_copy(0); /* it was asked for */
    take_nothing();
    say(work, &retry);
    take_nothing();
    kur__work *first = forward_of(3), *second = forward_of(0);
    land(forward_of(4), 1);
    land(first, 2);
    land(second, 3);
    copy(1, "a", 4, 0);
    copy(2, "a", 3, 1);
    copy(3, "a", 3, 1); /* there is one already */
    ck_assert_int_eq(machine.origins.dropped, 1);
    say(take_copy(2), &done);
    say(take_copy(1), &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__one_from_outside_that_waits_gives_way_to_what_has_run)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 3, "a");
    kur__work *work = take_offset(3);
    copy_as(retry_one, 0, "a", 3, 0, now_us + SECOND, true);
    say(work, &retry);
    ck_assert_int_eq(machine.origins.dropped, 1);
    ck_assert_int_eq(kur__ledger_commit_offset(&retry_one->ledger), 1);
    land(forward_of(3), 1);
    copy(1, "a", 3, 1);
    say(take_copy(1), &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__a_full_window_moves_what_waits_for_one_behind_it)
{
    kur__machine_options options = ordered_options();
    options.window_records = 40;
    begin_ordered(&options, 200);
    int64_t offset = 0, last = 200;
    kur__work *work;
    while (!retry_one->is_through) {
        while (kur__machine_room(&machine, retry_one) > 0 && offset < last) {
            /* The first of the key is the last in the topic; what was moved there keeps its place in the order. */
            copy(offset, "a", offset < 199 ? 1000 + offset : offset == 199 ? 0 : 1000 + offset, 0);
            offset++;
        }
        ck_assert_int_lt(now_us, 2000 * (int64_t)SECOND);
        while ((work = kur__machine_next_effect(&machine, now_us)) != NULL) {
            ck_assert(work->is_unrun);
            land(work, last++);
        }
        now_us += 20 * MS;
        release();
    }
    ck_assert_int_gt(machine.moved, 150);
    ck_assert_int_eq(say(take_copy(199), &done), KUR__FINISHED);
    end();
}
END_TEST

START_TEST(test_machine_ordered__at_the_bound_no_more_main_records_are_taken_in)
{
    kur__machine_options options = ordered_options();
    options.origins_most = 3;
    begin_ordered(&options, 0);
    for (int64_t i = 0; i < 3; i++)
        admit(main_one, i, "a");
    say(take_offset(0), &retry);
    take_nothing();
    ck_assert_uint_eq(kur__machine_room(&machine, main_one), 0);
    for (int64_t i = 0; i < 3; i++)
        land(forward_of(i), i);
    ck_assert_uint_eq(kur__machine_room(&machine, main_one), 0);
    ck_assert_uint_gt(kur__machine_room(&machine, retry_one), 0);
    for (int64_t i = 0; i < 3; i++)
        copy(i, "a", i, i == 0);
    say(take_copy(0), &done);
    ck_assert_uint_gt(kur__machine_room(&machine, main_one), 0);
    say(take_copy(1), &done);
    say(take_copy(2), &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__what_has_no_key_keeps_no_order)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    admit(main_one, 0, NULL);
    admit(main_one, 1, NULL);
    say(take_offset(0), &retry);
    finish(1);
    land(forward_of(0), 0);
    copy(0, NULL, 0, 1);
    copy(1, NULL, 0, 1);
    say(take_copy(0), &done);
    say(take_copy(1), &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__no_delay_is_longer_than_an_hour)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    kur__verdict after = {.outcome = KUR_RETRY, .has_delay = true, .delay_us = 2 * 3600 * (int64_t)SECOND};
    admit(main_one, 0, "a");
    say(take_offset(0), &after);
    kur__work *work = forward_of(0);
    ck_assert_int_eq(work->then_us, now_us + 3600 * (int64_t)SECOND);
    land(work, 0);
    end();
}
END_TEST

START_TEST(test_machine_ordered__what_was_parked_before_stays_in_its_topic)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    kur__source *before = assign_retry(0, KUR_TIER_SHORT);
    admit(main_one, 0, "a");
    kur__work *work = take_offset(0);
    ck_assert_int_eq(admit_due(before, 5, "a", 0), KUR__ADMITTED);
    take_nothing(); /* the key is the same */
    say(work, &retry);
    work = take_offset(5); /* but its order is not */
    ck_assert_ptr_eq(work->source, before);
    ck_assert_int_eq(say(work, &retry), KUR__FORWARDS);
    land(forward_of(0), 0);
    work = kur__machine_next_effect(&machine, now_us);
    ck_assert_int_eq(work->to, KUR_TIER_SHORT);
    kur__machine_effect(&machine, work, true, now_us);
    copy(0, "a", 0, 1);
    say(take_copy(0), &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__a_batch_of_what_was_parked_before_has_no_followers)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    kur__source *before = assign_retry(0, KUR_TIER_SHORT);
    for (int64_t i = 0; i < 2; i++)
        ck_assert_int_eq(admit_due(before, i, "a", 0), KUR__ADMITTED);
    kur__work *first = kur__machine_take_batch(&machine, now_us, 2), *second = first->mate;
    ck_assert_int_eq(say(first, &retry), KUR__HELD);
    ck_assert_int_eq(say(second, &done), KUR__FINISHED);
    ck_assert_int_eq(first->consequence, KUR__FORWARDS);
    kur__machine_effect(&machine, kur__machine_next_effect(&machine, now_us), true, now_us);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__what_has_no_key_does_not_keep_the_retry_topic_from_being_read)
{
    kur__machine_options options = ordered_options();
    options.window_records = 8;
    begin_ordered(&options, 30);
    int64_t offset = 0;
    kur__work *work;
    admit(main_one, 0, "a");
    copy(offset++, "a", 0, 1);
    for (int i = 0; i < 100 && !retry_one->is_through; i++) {
        while (kur__machine_room(&machine, retry_one) > 0 && offset < 30)
            copy(offset, NULL, offset, 1), offset++;
        while (!retry_one->is_through && (work = take_one()) != NULL) {
            ck_assert_ptr_null(work->origin);
            say(work, &done);
        }
        release();
    }
    ck_assert(retry_one->is_through);
    while ((work = take_one()) != NULL)
        say(work, &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__those_that_wait_beside_their_lane_are_counted)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 2);
    copy_as(retry_one, 0, "a", 1, 1, now_us + SECOND, false);
    copy(1, "a", 2, 1);
    ck_assert_uint_eq(retry_one->early, 2);
    now_us += SECOND;
    kur__work *work = take_copy(0);
    ck_assert_uint_eq(retry_one->early, 1);
    say(work, &done);
    ck_assert_uint_eq(retry_one->early, 0); /* its turn has come */
    copy_as(retry_one, 2, "a", 0, 1, 0, true);
    work = take_copy(2); /* before the other one, which has stepped aside */
    ck_assert_uint_eq(retry_one->early, 1);
    say(work, &done);
    say(take_copy(1), &done);
    ck_assert_uint_eq(retry_one->early, 0);
    end_with_nothing();
}
END_TEST

/* A copy that is due later, read before it is said that it is there. */
static kur__work *make_candidate(int64_t due_us)
{
    admit(main_one, 0, "a");
    say(take_offset(0), &retry);
    kur__work *work = forward_of(0);
    copy_as(retry_one, 0, "a", 0, 1, due_us, false);
    return work;
}

START_TEST(test_machine_ordered__what_waits_for_its_acknowledgement_is_not_moved)
{
    kur__machine_options options = ordered_options();
    options.window_records = 1;
    begin_ordered(&options, 0);
    kur__work *work = make_candidate(now_us + 60 * (int64_t)SECOND);
    ck_assert_uint_eq(kur__machine_room(&machine, retry_one), 0);
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us));
    land(work, 0);
    ck_assert_uint_eq(kur__machine_room(&machine, retry_one), 0);
    now_us += SECOND;
    work = kur__machine_next_effect(&machine, now_us); /* now it may be */
    ck_assert_ptr_eq(work->source, retry_one);
    land(work, 1);
    copy(1, "a", 0, 1);
    say(take_copy(1), &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__what_waits_for_its_acknowledgement_hears_of_the_clock)
{
    const kur__machine_options options = ordered_options();
    begin_ordered(&options, 0);
    kur__work *work = make_candidate(now_us + 60 * (int64_t)SECOND);
    kur__machine_clock_jumped(&machine, 59 * (int64_t)SECOND);
    land(work, 0);
    take_nothing();
    now_us += SECOND;
    say(take_copy(0), &done);
    end_with_nothing();
}
END_TEST

/* Main and retry partition, with what was there when they were given: -1: not known yet. */
static void begin_at_ends(const kur__machine_options *options, int64_t main_end, int64_t retry_end)
{
    kur__assignment assignment = {.topic = "t", .generation = 1, .end = main_end};
    kur_error warning = {0}, error = {0};
    int64_t position;
    begin(options);
    ck_ok(kur__machine_assign(&machine, &assignment, &main_one, &position, now_us, &warning, &error), error);
    retry_one = assign_ordered(1, 0, retry_end);
}

START_TEST(test_machine_ordered__one_that_lies_behind_the_end_is_of_another_log)
{
    kur__machine_options options = ordered_options();
    options.origins_most = 1; /* so that no more of the main partition is read */
    begin_at_ends(&options, -1, 1);
    copy(0, "a", 7, 1);
    take_nothing(); /* it may be there */
    kur__machine_set_end(&machine, main_one, 3, now_us);
    say(take_copy(0), &done);
    copy_as(retry_one, 1, "a", 9, 1, 0, true);
    say(take_copy(1), &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__a_main_partition_that_begins_anew_is_read_as_far_as_copies_wait)
{
    kur__machine_options options = ordered_options();
    options.origins_most = 1;
    begin_at_ends(&options, 3, 2);
    copy(0, "a", 7, 1);
    kur__machine_drop(&machine, main_one);
    kur__assignment assignment = {.topic = "t", .generation = 2, .end = 9};
    kur_error warning = {0}, error = {0};
    int64_t position;
    ck_ok(kur__machine_assign(&machine, &assignment, &main_one, &position, now_us, &warning, &error), error);
    copy(1, NULL, -1, 1);
    for (int64_t i = 0; i < 5; i++) {
        ck_assert_uint_gt(kur__machine_room(&machine, main_one), 0);
        admit(main_one, i, NULL);
    }
    kur__work *work;
    while ((work = take_one()) != NULL) {
        ck_assert_ptr_null(work->origin);
        say(work, &done);
    }
    kur__machine_set_end(&machine, main_one, 5, now_us); /* it was cut */
    say(take_copy(0), &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__a_record_that_is_gone_is_not_waited_for)
{
    kur__machine_options options = ordered_options();
    options.hold_records = 1;
    begin_at_ends(&options, 100, 1);
    copy(0, "a", 1, 1);
    take_nothing();
    admit(main_one, 2, "a"); /* waits for the copy; and the one at 1 was compacted away */
    ck_assert_uint_eq(kur__machine_room(&machine, main_one), 0);
    say(take_copy(0), &done);
    finish(2);
    /* Likewise where it is another key that has come in its place. */
    options.origins_most = 1;
    end_with_nothing();
    begin_at_ends(&options, 100, 1);
    copy(0, "a", 1, 1);
    admit(main_one, 2, "b");
    kur__work *work = take_offset(2);
    ck_assert_uint_eq(kur__machine_room(&machine, main_one), 0);
    say(take_copy(0), &done);
    say(work, &done);
    end_with_nothing();
}
END_TEST

START_TEST(test_machine_ordered__exactly_once_forwards_in_the_transaction)
{
    kur__machine_options options = ordered_options();
    options.exactly_once = true;
    begin(&options);
    int64_t position;
    kur__commit commit;
    main_one = assign_at(0, 1, 5, NULL, &position);
    retry_one = assign_ordered(1, 0, 0);
    for (int64_t i = 5; i < 8; i++)
        admit(main_one, i, "a");
    say(take_offset(5), &retry);
    take_nothing();
    ck_assert(kur__machine_begin_transaction(&machine, now_us));
    while (kur__machine_next_commit(&machine, &commit))
        ;
    kur__machine_end_transaction(&machine, false, now_us); /* aborted: nobody sees those */
    now_us += SECOND;
    ck_assert(kur__machine_begin_transaction(&machine, now_us));
    while (kur__machine_next_commit(&machine, &commit))
        ck_assert_int_eq(commit.offset, 8);
    int64_t at = 3;
    for (kur__work *work = main_one->in_transaction.first; work != NULL; work = work->next)
        work->landed = at++;
    copy(3, "a", 5, 1); /* seen before it is said that it was committed */
    take_nothing();
    kur__machine_end_transaction(&machine, true, now_us);
    copy(4, "a", 6, 0);
    copy(5, "a", 7, 0);
    now_us += SECOND;
    for (int64_t i = 3; i < 6; i++) {
        say(take_copy(i), &done);
        now_us += SECOND;
    }
    while (kur__machine_begin_transaction(&machine, now_us)) {
        while (kur__machine_next_commit(&machine, &commit))
            ;
        kur__machine_end_transaction(&machine, true, now_us);
    }
    end_with_nothing();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_machine_ordered__those_behind_follow_until_the_last_has_gone_through,
        test_machine_ordered__nothing_runs_before_the_retry_topic_is_read,
        test_machine_ordered__the_end_may_be_reached_without_a_record,
        test_machine_ordered__a_late_one_of_a_former_owner_is_not_run,
        test_machine_ordered__of_a_forward_that_was_sent_twice_one_copy_lives,
        test_machine_ordered__the_copy_at_the_place_that_was_told_lives,
        test_machine_ordered__one_whose_place_was_not_told_is_found_by_its_attempt,
        test_machine_ordered__a_rejected_one_lets_the_next_run,
        test_machine_ordered__a_forward_that_ends_among_the_dead_lets_the_next_run,
        test_machine_ordered__behind_one_of_a_batch_that_failed_all_follow,
        test_machine_ordered__what_was_sent_to_a_partition_that_went_is_sent_again,
        test_machine_ordered__what_went_to_its_own_source_counts_for_that_alone,
        test_machine_ordered__both_come_back_and_go_on,
        test_machine_ordered__a_main_partition_that_begins_anew_meets_its_copies,
        test_machine_ordered__another_log_has_other_records,
        test_machine_ordered__a_copy_that_never_comes_is_given_up,
        test_machine_ordered__one_from_outside_is_the_same_as_what_runs,
        test_machine_ordered__one_from_outside_that_waits_gives_way_to_what_has_run,
        test_machine_ordered__a_full_window_moves_what_waits_for_one_behind_it,
        test_machine_ordered__at_the_bound_no_more_main_records_are_taken_in,
        test_machine_ordered__what_has_no_key_keeps_no_order,
        test_machine_ordered__no_delay_is_longer_than_an_hour,
        test_machine_ordered__what_was_parked_before_stays_in_its_topic,
        test_machine_ordered__a_batch_of_what_was_parked_before_has_no_followers,
        test_machine_ordered__what_has_no_key_does_not_keep_the_retry_topic_from_being_read,
        test_machine_ordered__those_that_wait_beside_their_lane_are_counted,
        test_machine_ordered__what_waits_for_its_acknowledgement_is_not_moved,
        test_machine_ordered__what_waits_for_its_acknowledgement_hears_of_the_clock,
        test_machine_ordered__one_that_lies_behind_the_end_is_of_another_log,
        test_machine_ordered__a_main_partition_that_begins_anew_is_read_as_far_as_copies_wait,
        test_machine_ordered__a_record_that_is_gone_is_not_waited_for,
        test_machine_ordered__exactly_once_forwards_in_the_transaction,
        NULL,
    };
    return check_main("machine_ordered", tests);
}
