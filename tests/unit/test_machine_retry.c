/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's decisions about records that go to retry topics and to the dead letters, and that come back.
 */
#include <stdlib.h>

#include "machine.h"

static const kur__verdict hopeless = {.outcome = KUR_RETRY, .is_hopeless = true};

static kur__source *begin_by_topic(kur_retry_mode mode)
{
    kur__machine_options options = usual;
    options.mode = mode;
    options.attempts = 4;
    options.in_place_attempts = 2;
    options.has_dead_letters = true;
    begin(&options);
    return assign(0);
}

static kur__work *next_forward(kur_tier tier)
{
    kur__work *work = kur__machine_next_effect(&machine, now_us);
    ck_assert_ptr_nonnull(work);
    ck_assert_int_eq(work->effect, KUR__EFFECT_FORWARD);
    ck_assert_int_eq(work->to, tier);
    return work;
}

static kur__admission admit_again(kur__source *source, int64_t offset, const char *key, int32_t attempts,
                                  int64_t due_us)
{
    kur__polled polled = {.offset = offset,
                          .key = key != NULL ? kur_bytes_text(key) : kur_bytes_of(NULL, 0),
                          .bytes = 10,
                          .attempts = attempts,
                          .due_us = due_us};
    return kur__machine_admit(&machine, source, &polled, now_us);
}

START_TEST(test_machine_retry__by_topic_lets_the_key_go_on_and_finishes_when_it_is_there)
{
    kur__source *source = begin_by_topic(KUR_RETRY_BY_TOPIC);
    admit(source, 0, "a");
    admit(source, 1, "a");
    kur__work *work = take_offset(0);
    ck_assert_int_eq(say(work, &retry), KUR__FORWARDS);
    finish(1);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 0);
    ck_assert_ptr_eq(next_forward(KUR_TIER_SHORT), work);
    ck_assert_int_eq(work->then_us, now_us + usual.delay_us);
    ck_assert_int_eq(work->attempts, 1);
    /* What fails comes again, later, and is still due at the same time. */
    int64_t then_us = work->then_us;
    kur__machine_effect(&machine, work, false, now_us);
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us));
    now_us += SECOND;
    ck_assert_ptr_eq(next_forward(KUR_TIER_SHORT), work);
    ck_assert_int_eq(work->then_us, then_us);
    kur__machine_effect(&machine, work, true, now_us);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 2);
    end();
}
END_TEST

START_TEST(test_machine_retry__what_has_waited_for_its_topic_goes_as_soon_as_that_is_there)
{
    kur__source *source = begin_by_topic(KUR_RETRY_BY_TOPIC);
    kur__work *works[3];
    for (int i = 0; i < 3; i++) {
        admit(source, i, NULL);
        works[i] = take_offset(i);
        ck_assert_int_eq(say(works[i], i == 1 ? &reject : &retry), i == 1 ? KUR__REJECTS : KUR__FORWARDS);
    }
    for (int i = 0; i < 3; i++) {
        kur__work *work = kur__machine_next_effect(&machine, now_us);
        ck_assert_ptr_nonnull(work);
        kur__machine_effect(&machine, work, false, now_us);
    }
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us));
    kur__machine_effects_now(&machine, now_us);
    for (int i = 0; i < 3; i++) {
        kur__work *work = kur__machine_next_effect(&machine, now_us);
        ck_assert_ptr_nonnull(work);
        ck_assert_int_eq(work->tries, 0);
        kur__machine_effect(&machine, work, true, now_us);
    }
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 3);
    /* What waits for its time goes on waiting. */
    kur__source *short_one = assign_retry(0, KUR_TIER_SHORT);
    ck_assert_int_eq(admit_again(short_one, 0, NULL, 1, now_us + SECOND), KUR__ADMITTED);
    kur__machine_effects_now(&machine, now_us);
    ck_assert_ptr_null(take_one());
    end();
}
END_TEST

START_TEST(test_machine_retry__the_delay_says_which_topic)
{
    const struct {
        int64_t delay_us;
        kur_tier tier;
    } all[] = {{0, KUR_TIER_SHORT},
               {60 * (int64_t)SECOND - 1, KUR_TIER_SHORT},
               {60 * (int64_t)SECOND, KUR_TIER_MEDIUM},
               {3600 * (int64_t)SECOND - 1, KUR_TIER_MEDIUM},
               {3600 * (int64_t)SECOND, KUR_TIER_LONG},
               {30 * 86400 * (int64_t)SECOND, KUR_TIER_LONG}};
    kur__source *source = begin_by_topic(KUR_RETRY_BY_TOPIC);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        kur__verdict after = {.outcome = KUR_RETRY, .has_delay = true, .delay_us = all[i].delay_us};
        admit(source, (int64_t)i, "a");
        ck_assert_int_eq(say(take_offset((int64_t)i), &after), KUR__FORWARDS);
        kur__machine_effect(&machine, next_forward(all[i].tier), true, now_us);
    }
    end();
}
END_TEST

START_TEST(test_machine_retry__in_place_first_then_by_topic)
{
    kur__source *source = begin_by_topic(KUR_RETRY_IN_PLACE_THEN_BY_TOPIC);
    admit(source, 0, "a");
    admit(source, 1, "a");
    ck_assert_int_eq(say(take_offset(0), &retry), KUR__RETRIED);
    ck_assert_ptr_null(take_one()); /* its key waits */
    now_us += SECOND;
    ck_assert_int_eq(say(take_offset(0), &retry), KUR__FORWARDS);
    finish(1);
    kur__machine_effect(&machine, next_forward(KUR_TIER_SHORT), true, now_us);
    /* From a retry topic it goes by topic at once, and its attempts go on being counted. */
    kur__source *again = assign_retry(0, KUR_TIER_SHORT);
    ck_assert_int_eq(admit_again(again, 0, "a", 2, 0), KUR__ADMITTED);
    kur__work *work = take_one();
    ck_assert_int_eq(work->attempts, 3);
    ck_assert_int_eq(say(work, &retry), KUR__FORWARDS);
    kur__machine_effect(&machine, next_forward(KUR_TIER_SHORT), true, now_us);
    ck_assert_int_eq(admit_again(again, 1, "a", 3, 0), KUR__ADMITTED);
    work = take_one();
    ck_assert_int_eq(say(work, &retry), KUR__REJECTS); /* the fourth of four */
    kur__machine_effect(&machine, next_forward(KUR_TIER_DEAD), true, now_us);
    ck_assert_int_eq(kur__ledger_commit_offset(&again->ledger), 2);
    end();
}
END_TEST

START_TEST(test_machine_retry__rejected_ones_go_to_the_dead_letters)
{
    kur__source *source = begin_by_topic(KUR_RETRY_IN_PLACE);
    admit(source, 0, "a");
    admit(source, 1, "a");
    admit(source, 2, "a");
    ck_assert_int_eq(say(take_offset(0), &reject), KUR__REJECTS);
    ck_assert_int_eq(say(take_offset(1), &hopeless), KUR__REJECTS); /* nobody waits for the first to be there */
    kur__work *first = next_forward(KUR_TIER_DEAD), *second = next_forward(KUR_TIER_DEAD);
    kur__machine_effect(&machine, second, true, now_us);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 0);
    kur__machine_effect(&machine, first, true, now_us);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 2);
    finish(2);
    end();
}
END_TEST

START_TEST(test_machine_retry__one_key_never_runs_twice_whichever_topic_it_comes_from)
{
    kur__source *main_one = begin_by_topic(KUR_RETRY_BY_TOPIC), *short_one = assign_retry(0, KUR_TIER_SHORT),
                *long_one = assign_retry(0, KUR_TIER_LONG), *other = assign_retry(1, KUR_TIER_SHORT);
    admit(main_one, 0, "a");
    kur__work *first = take_one(), *second;
    ck_assert_int_eq(admit_again(short_one, 0, "a", 1, 0), KUR__ADMITTED);
    ck_assert_int_eq(admit_again(long_one, 0, "a", 1, now_us + SECOND), KUR__ADMITTED);
    ck_assert_ptr_null(take_one());
    ck_assert_int_eq(admit_again(other, 0, "a", 1, 0), KUR__ADMITTED); /* another partition, another key */
    second = take_one();
    ck_assert_ptr_eq(second->source, other);
    say(second, &done);
    now_us += SECOND;
    ck_assert_ptr_null(take_one());
    say(first, &done);
    second = take_one();
    ck_assert_ptr_eq(second->source, short_one);
    ck_assert_ptr_null(take_one());
    /* Its source ends while it runs: it keeps the lane, and what waits there of others stays. */
    kur__machine_drop(&machine, short_one);
    ck_assert_ptr_null(take_one());
    ck_assert_int_eq(say(second, &done), KUR__STALE);
    second = take_one();
    ck_assert_ptr_eq(second->source, long_one);
    say(second, &done);
    ck_assert_uint_eq(machine.lanes.count, 0);
    end();
}
END_TEST

START_TEST(test_machine_retry__a_batch_has_records_of_one_topic_in_a_lane)
{
    kur__source *main_one = begin_by_topic(KUR_RETRY_BY_TOPIC), *short_one = assign_retry(0, KUR_TIER_SHORT);
    admit(main_one, 0, "a");
    admit(main_one, 1, "a");
    ck_assert_int_eq(admit_again(short_one, 0, "a", 1, 0), KUR__ADMITTED);
    kur__work *first = kur__machine_take_batch(&machine, now_us, 10);
    ck_assert_ptr_eq(first->source, main_one);
    ck_assert_ptr_eq(first->mate->source, main_one);
    ck_assert_ptr_null(first->mate->mate);
    /* So what becomes of one topic's partition is no concern of what was taken of the other. */
    kur__machine_drop(&machine, main_one);
    kur__machine_untake(&machine, first->mate);
    kur__machine_untake(&machine, first);
    first = kur__machine_take_batch(&machine, now_us, 10);
    ck_assert_ptr_eq(first->source, short_one);
    say(first, &done);
    ck_assert_uint_eq(machine.lanes.count, 0);
    end();
}
END_TEST

START_TEST(test_machine_retry__the_end_finds_a_batch_in_any_order)
{
    begin_by_topic(KUR_RETRY_BY_TOPIC);
    kur__source *short_one = assign_retry(0, KUR_TIER_SHORT);
    for (int64_t i = 0; i < 3; i++) /* the later, the sooner due */
        ck_assert_int_eq(admit_again(short_one, i, "a", 1, now_us + (3 - i) * SECOND), KUR__ADMITTED);
    now_us += 3 * SECOND;
    const kur__work *first = kur__machine_take_batch(&machine, now_us, 10);
    ck_assert_int_eq(first->offset, 2);
    ck_assert_int_eq(first->mate->offset, 1);
    ck_assert_int_eq(first->mate->mate->offset, 0);
    ck_assert_uint_eq(machine.lanes.count, 1);
    end();
}
END_TEST

START_TEST(test_machine_retry__what_ends_early_leaves_nothing_behind)
{
    kur__source *main_one = begin_by_topic(KUR_RETRY_BY_TOPIC), *short_one = assign_retry(0, KUR_TIER_SHORT);
    admit(main_one, 0, "b");
    admit(main_one, 1, "b");
    for (int64_t i = 0; i < 50; i++)
        ck_assert_int_eq(admit_again(short_one, i, i % 2 == 0 ? "a" : "b", 1, now_us + SECOND + i % 7), KUR__ADMITTED);
    kur__machine_drop(&machine, short_one);
    ck_assert_uint_eq(machine.lanes.count, 1);
    ck_assert_uint_eq(machine.window_held, 0);
    ck_assert_int_eq(machine.window_held_bytes, 0);
    finish(0);
    finish(1);
    ck_assert_uint_eq(machine.lanes.count, 0);
    ck_assert_int_eq(kur__machine_wake_us(&machine), machine.next_commit_us);
    ck_assert_uint_eq(release(), 52);
    end();
}
END_TEST

START_TEST(test_machine_retry__nothing_is_early_and_what_is_due_is_not_held_up)
{
    begin_by_topic(KUR_RETRY_BY_TOPIC);
    kur__source *source = assign_retry(0, KUR_TIER_MEDIUM);
    ck_assert_int_eq(admit_again(source, 0, "a", 1, now_us + 100 * (int64_t)SECOND), KUR__ADMITTED);
    ck_assert_int_eq(admit_again(source, 1, "a", 1, now_us + SECOND), KUR__ADMITTED);
    now_us += SECOND - 1;
    ck_assert_ptr_null(take_one());
    now_us += 1;
    finish(1);
    now_us += 99 * (int64_t)SECOND - 1;
    ck_assert_ptr_null(take_one());
    now_us += 1;
    finish(0);
    end();
}
END_TEST

START_TEST(test_machine_retry__the_time_out_counts_from_what_a_record_came_with)
{
    kur__machine_options options = usual;
    options.mode = KUR_RETRY_BY_TOPIC;
    options.timeout_us = 10 * SECOND;
    options.has_dead_letters = true;
    begin(&options);
    kur__source *source = assign_retry(0, KUR_TIER_SHORT);
    for (int64_t i = 0; i < 2; i++) {
        kur__polled polled = {.offset = i, .bytes = 10, .attempts = 1, .first_us = now_us - (i == 0 ? 9 : 10) * SECOND};
        ck_assert_int_eq(kur__machine_admit(&machine, source, &polled, now_us), KUR__ADMITTED);
        ck_assert_int_eq(say(take_offset(i), &retry), i == 0 ? KUR__FORWARDS : KUR__REJECTS);
    }
    end();
}
END_TEST

START_TEST(test_machine_retry__a_delayed_first_delivery_goes_to_its_topic_unseen)
{
    kur__source *source = begin_by_topic(KUR_RETRY_IN_PLACE);
    admit(source, 0, "a");
    ck_assert_int_eq(admit_due(source, 1, "a", now_us + 90 * SECOND), KUR__ADMITTED);
    kur__work *work = next_forward(KUR_TIER_MEDIUM);
    ck_assert_int_eq(work->offset, 1);
    ck_assert_int_eq(work->attempts, 0);
    ck_assert(work->is_unrun);
    ck_assert_int_eq(work->then_us, now_us + 90 * SECOND);
    finish(0); /* nothing of it was in the way */
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 1);
    kur__machine_effect(&machine, work, true, now_us);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 2);
    ck_assert_uint_eq(machine.lanes.count, 0);
    end();
}
END_TEST

START_TEST(test_machine_retry__what_is_another_groups_is_finished_at_once)
{
    begin_by_topic(KUR_RETRY_BY_TOPIC);
    kur__source *source = assign_retry(0, KUR_TIER_SHORT);
    kur__polled polled = {.key = kur_bytes_text("a"), .bytes = 10, .due_us = now_us + SECOND, .is_over = true};
    ck_assert_int_eq(kur__machine_admit(&machine, source, &polled, now_us), KUR__ADMITTED);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 1);
    ck_assert_ptr_null(take_one());
    ck_assert_uint_eq(machine.held, 0);
    ck_assert_uint_eq(machine.lanes.count, 0);
    ck_assert_uint_eq(release(), 1);
    end();
}
END_TEST

START_TEST(test_machine_retry__exactly_once_forwards_in_the_transaction)
{
    kur__machine_options options = usual;
    options.mode = KUR_RETRY_BY_TOPIC;
    options.has_dead_letters = options.exactly_once = true;
    begin(&options);
    int64_t position;
    kur__source *source = assign_at(0, 1, 5, NULL, &position);
    admit(source, 5, "a");
    admit(source, 6, "a");
    ck_assert_int_eq(say(take_offset(5), &retry), KUR__FORWARDS);
    ck_assert_int_eq(say(take_offset(6), &reject), KUR__REJECTS);
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us));
    ck_assert(kur__machine_begin_transaction(&machine, now_us));
    const kur__work *first = source->in_transaction.first;
    ck_assert_int_eq(first->to, KUR_TIER_SHORT);
    ck_assert_int_eq(first->next->to, KUR_TIER_DEAD);
    kur__commit commit;
    ck_assert(kur__machine_next_commit(&machine, &commit));
    ck_assert_int_eq(commit.offset, 7);
    kur__machine_end_transaction(&machine, true, now_us);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 7);
    end();
}
END_TEST

START_TEST(test_machine_retry__what_is_not_due_gets_nobody_a_turn)
{
    begin(&usual);
    kur__source *large = assign(0), *small = assign(1), *parked = assign_retry(0, KUR_TIER_LONG);
    assign_retry(1, KUR_TIER_LONG);
    for (int64_t i = 0; i < 200; i++)
        admit_due(parked, i, NULL, i < 20 ? 0 : now_us + 3600 * (int64_t)SECOND);
    for (int64_t i = 0; i < 40; i++)
        admit(large, i, NULL);
    for (int64_t i = 0; i < 20; i++)
        admit(small, i, NULL);
    /* The large one is half of what may run, and the others a quarter each. */
    for (int i = 0; i < 60; i += 4) {
        int taken[3] = {0};
        for (int j = 0; j < 4; j++) {
            const kur__source *source = take_one()->source;
            taken[source == large ? 0 : source == small ? 1 : 2]++;
        }
        ck_assert_msg(taken[0] == 2 && taken[1] == 1 && taken[2] == 1, "%d %d %d after %d", taken[0], taken[1],
                      taken[2], i);
    }
    end();
}
END_TEST

START_TEST(test_machine_retry__the_window_is_shared_by_who_needs_it)
{
    kur__machine_options options = usual;
    options.window_records = 100;
    options.hold_records = 10;
    options.has_dead_letters = true;
    begin(&options);
    kur__source *main_one = assign(0), *short_one = assign_retry(0, KUR_TIER_SHORT),
                *medium_one = assign_retry(0, KUR_TIER_MEDIUM);
    int64_t offset = 0, held = 0;
    for (; kur__machine_room(&machine, short_one) > 0; held++)
        ck_assert_int_eq(admit_again(short_one, offset++, NULL, 1, now_us + SECOND + held), KUR__ADMITTED);
    ck_assert_int_eq(held, 75); /* three times as much as is free */
    ck_assert_uint_gt(kur__machine_room(&machine, medium_one), 0);
    expect_full(main_one, false); /* that is another bound */
    for (int64_t i = 0; i < 10; i++)
        admit(main_one, i, NULL);
    expect_full(main_one, true);
    /* It reads on when a good part is gone. */
    now_us += SECOND + 14;
    for (int64_t i = 0; i < 25; i++) {
        kur__work *work = take_one();
        ck_assert_ptr_nonnull(work);
        say(work, &done);
    }
    ck_assert_uint_eq(short_one->held, 60);
    ck_assert_uint_gt(kur__machine_room(&machine, short_one), 0);
    /* And one that holds nothing is never shut out. */
    while (machine.window_held < 200)
        ck_assert_int_eq(admit_again(short_one, offset++, NULL, 1, now_us + SECOND), KUR__ADMITTED);
    ck_assert_uint_eq(kur__machine_room(&machine, short_one), 0);
    ck_assert_uint_eq(kur__machine_room(&machine, medium_one), 1);
    end();
}
END_TEST

START_TEST(test_machine_retry__the_window_has_a_bound_in_bytes_too)
{
    kur__machine_options options = usual;
    options.window_bytes = 500;
    begin(&options);
    kur__source *short_one = assign_retry(0, KUR_TIER_SHORT);
    size_t held = 0;
    int64_t most;
    for (size_t room; (room = kur__machine_room(&machine, short_one)) > 0; held++) {
        most = 1 + (500 - (int64_t)held * 10) / 10;
        ck_assert(held == 0 || (int64_t)room <= most);
        ck_assert_int_eq(admit_again(short_one, (int64_t)held, NULL, 1, now_us + SECOND), KUR__ADMITTED);
    }
    ck_assert_uint_ge(held, 37); /* three quarters */
    ck_assert_uint_le(held, 39);
    end();
}
END_TEST

/* ---- The window ---- */

static kur__source *begin_window(size_t records, size_t text_limit)
{
    kur__machine_options options = usual;
    options.window_records = records;
    options.window_bytes = INT64_C(1) << 40;
    options.text_limit = text_limit;
    options.has_dead_letters = true;
    begin(&options);
    return assign_retry(0, KUR_TIER_SHORT);
}

static void admit_written(kur__source *source, int64_t offset, int64_t due_us, int64_t written_us)
{
    kur__polled polled = {.offset = offset, .bytes = 10, .attempts = 1, .due_us = due_us, .written_us = written_us};
    ck_assert_int_eq(kur__machine_admit(&machine, source, &polled, now_us), KUR__ADMITTED);
}

/* All that are to be moved now, which are then there; how many. */
static size_t move_all(kur__source *source, int64_t *earliest_us)
{
    size_t count = 0;
    *earliest_us = INT64_MAX;
    for (kur__work *work; (work = kur__machine_next_effect(&machine, now_us)) != NULL; count++) {
        ck_assert(work->effect == KUR__EFFECT_FORWARD && work->to == source->tier && work->is_unrun);
        ck_assert_int_eq(work->then_us, work->due_us);
        ck_assert_int_eq(work->attempts, 1);
        *earliest_us = work->due_us < *earliest_us ? work->due_us : *earliest_us;
        kur__machine_effect(&machine, work, true, now_us);
    }
    return count;
}

START_TEST(test_machine_retry__a_window_is_full_for_long_when_nothing_changes_soon)
{
    kur__source *source = begin_window(100, 4096);
    int64_t offset = 0, earliest_us, start_us = now_us;
    for (; kur__machine_room(&machine, source) > 0; offset++)
        admit_written(source, offset, now_us + 50 * SECOND + offset, now_us - SECOND);
    ck_assert(!kur__machine_is_full_for_long(&machine, source, now_us)); /* some are to be moved */
    kur__work *work = kur__machine_next_effect(&machine, now_us);
    ck_assert_ptr_nonnull(work);
    ck_assert(!kur__machine_is_full_for_long(&machine, source, now_us)); /* and are on their way */
    kur__machine_effect(&machine, work, true, now_us);
    move_all(source, &earliest_us);
    for (; kur__machine_room(&machine, source) > 0; offset++)
        admit_written(source, offset, now_us + 50 * SECOND, start_us + 1);
    /* The pass is over, and the next one is ten seconds away. */
    ck_assert(kur__machine_is_full_for_long(&machine, source, now_us));
    ck_assert(!kur__machine_is_full_for_long(&machine, NULL, now_us));
    ck_assert(!kur__machine_is_full_for_long(&machine, source, start_us + 5 * SECOND));
    /* Nor is it when another one is due soon, which makes room for all. */
    kur__source *other = assign_retry(0, KUR_TIER_MEDIUM);
    admit_written(other, 0, now_us + 4 * SECOND, now_us);
    ck_assert(!kur__machine_is_full_for_long(&machine, source, now_us));
    end();
}
END_TEST

START_TEST(test_machine_retry__a_full_window_moves_the_latest_to_the_end)
{
    kur__source *source = begin_window(100, 4096);
    int64_t offset = 0, earliest_us, start_us = now_us;
    for (; kur__machine_room(&machine, source) > 0; offset++)
        admit_written(source, offset, now_us + (2 + offset % 40) * SECOND, now_us - SECOND);
    size_t held = source->held, moved = move_all(source, &earliest_us);
    ck_assert_uint_ge(moved, held / 3);
    ck_assert_uint_le(moved, held * 2 / 3);
    for (const kur__work *work = source->oldest; work != NULL; work = work->newer)
        ck_assert_int_le(work->due_us, earliest_us);
    /* What waits behind them is seen: also one that is due at once. */
    ck_assert_uint_gt(kur__machine_room(&machine, source), 0);
    admit_written(source, offset++, 0, now_us - SECOND);
    finish(offset - 1);
    /* When all that was there has been read, there is no other pass for a while, however full it is. */
    for (; kur__machine_room(&machine, source) > 0; offset++)
        admit_written(source, offset, now_us + 50 * SECOND, start_us + 1);
    now_us += 20 * MS;
    ck_assert_uint_eq(kur__machine_room(&machine, source), 0);
    ck_assert_uint_eq(move_all(source, &earliest_us), 0);
    now_us = start_us + 10 * SECOND;
    ck_assert_uint_eq(kur__machine_room(&machine, source), 0);
    ck_assert_uint_gt(move_all(source, &earliest_us), 0);
    end();
}
END_TEST

START_TEST(test_machine_retry__a_full_window_is_looked_through_while_others_are_forwarded)
{
    kur__machine_options options = usual;
    options.window_records = 100;
    options.mode = KUR_RETRY_BY_TOPIC;
    begin(&options);
    kur__source *source = assign_retry(0, KUR_TIER_SHORT);
    int64_t offset = 0, earliest_us;
    admit_written(source, offset++, 0, now_us - SECOND);
    ck_assert_int_eq(say(take_offset(0), &retry), KUR__FORWARDS);
    kur__work *forward = next_forward(KUR_TIER_SHORT); /* there is always one under way */
    for (; kur__machine_room(&machine, source) > 0; offset++)
        admit_written(source, offset, now_us + (2 + offset % 40) * SECOND, now_us - SECOND);
    kur__work *moved = next_forward(KUR_TIER_SHORT);
    ck_assert(moved->is_unrun);
    size_t moving = source->moving;
    ck_assert_uint_gt(moving, 1);
    /* But nothing more is moved until these are there. */
    now_us += 20 * MS;
    kur__machine_room(&machine, source);
    kur__machine_effect(&machine, moved, true, now_us);
    ck_assert_uint_eq(move_all(source, &earliest_us), moving - 1);
    ck_assert_uint_eq(source->moving, 0);
    kur__machine_effect(&machine, forward, true, now_us);
    end();
}
END_TEST

START_TEST(test_machine_retry__moves_no_more_than_some_thousand_a_second)
{
    kur__source *source = begin_window(20000, 4096);
    int64_t offset = 0, earliest_us, start_us = now_us;
    size_t moved = 0;
    for (; now_us < start_us + 2 * SECOND; now_us += 20 * MS) {
        for (; kur__machine_room(&machine, source) > 0; offset++)
            admit_written(source, offset, now_us + 50 * (int64_t)SECOND + offset % 1000, start_us - SECOND);
        moved += move_all(source, &earliest_us);
        release();
    }
    ck_assert_uint_ge(moved, 10000);
    ck_assert_uint_le(moved, 15000);
    ck_assert_int_eq(machine.moved, (int64_t)moved);
    end();
}
END_TEST

/* A retry topic's partition as it lies in Kafka, of which the machine holds a window. */
struct line {
    int64_t due_us, written_us, waits_us;
    int moves;
};

struct topic {
    struct line *lines;
    size_t count, capacity, next;
    kur__source *source;
    int moves_most;
};

static void append_line(struct topic *topic, struct line line)
{
    if (topic->count == topic->capacity) {
        topic->capacity = topic->capacity * 2 + 1000;
        topic->lines = realloc(topic->lines, topic->capacity * sizeof(struct line));
        ck_assert_ptr_nonnull(topic->lines);
    }
    line.written_us = now_us;
    topic->lines[topic->count++] = line;
}

static void append_new(struct topic *topic, int64_t due_us)
{
    append_line(topic, (struct line){.due_us = due_us, .waits_us = now_us});
}

/* Reads what there is room for, runs what is due, and writes anew what is to be moved. */
static void turn(struct topic *topic)
{
    for (int i = 0; i < 40; i++) {
        while (topic->next < topic->count && kur__machine_room(&machine, topic->source) > 0) {
            const struct line *line = &topic->lines[topic->next];
            kur__polled polled = {.offset = (int64_t)topic->next++,
                                  .bytes = 10,
                                  .attempts = 1,
                                  .due_us = line->due_us,
                                  .written_us = line->written_us,
                                  .waits_us = line->waits_us};
            ck_assert_int_eq(kur__machine_admit(&machine, topic->source, &polled, now_us), KUR__ADMITTED);
        }
        for (kur__work *work; (work = take_one()) != NULL;)
            ck_assert_int_eq(say(work, &done), KUR__FINISHED);
        for (kur__work *work; (work = kur__machine_next_effect(&machine, now_us)) != NULL;) {
            struct line line = topic->lines[work->offset];
            topic->moves_most = ++line.moves > topic->moves_most ? line.moves : topic->moves_most;
            append_line(topic, line);
            kur__machine_effect(&machine, work, true, now_us);
        }
        release();
        now_us += 20 * MS;
    }
}

static struct topic begin_topic(kur_tier tier)
{
    kur__machine_options options = usual;
    options.window_records = 40;
    begin(&options);
    return (struct topic){.source = assign_retry(0, tier)};
}

/* How often one of those is moved that fill the window three times, and all wait for so long. */
static int moves_of(kur_tier tier, int64_t wait_us, int64_t step_us)
{
    struct topic topic = begin_topic(tier);
    int64_t end_us = now_us + wait_us;
    for (int i = 0; i < 120; i++)
        append_new(&topic, end_us - i % 7);
    for (; now_us < end_us; now_us += step_us)
        turn(&topic);
    ck_assert_uint_gt(topic.count, 120);
    free(topic.lines);
    end();
    return topic.moves_most;
}

START_TEST(test_machine_retry__one_that_waits_for_long_is_moved_a_few_times)
{
    const int64_t hour_us = 3600 * (int64_t)SECOND;
    int a_minute = moves_of(KUR_TIER_SHORT, 60 * SECOND, SECOND);
    int an_hour = moves_of(KUR_TIER_MEDIUM, hour_us, 5 * SECOND);
    int a_month = moves_of(KUR_TIER_LONG, 30 * 24 * hour_us, 300 * SECOND);
    /* As window.c says. The clock of somebody else may be wrong by hours. */
    int too_long = moves_of(KUR_TIER_SHORT, 2 * hour_us, SECOND);
    ck_assert_msg(a_minute <= 8 && an_hour <= 27 && a_month <= 153 && too_long <= 50,
                  "moved %d times in a minute, %d in an hour, %d in thirty days, %d in two hours", a_minute, an_hour,
                  a_month, too_long);
}
END_TEST

/* How late the last of some is that come one after the other, due soon, behind a window of others that have waited. */
static int64_t lateness_behind(kur_tier tier, int64_t waited_us, int64_t step_us, int count)
{
    struct topic topic = begin_topic(tier);
    int64_t end_us = now_us + 2 * waited_us, begin_us = now_us + waited_us, late_us = 0;
    for (int i = 0; i < 120; i++)
        append_new(&topic, end_us);
    for (; now_us < begin_us; now_us += step_us)
        turn(&topic);
    while (count-- > 0) {
        int64_t due_us = now_us + step_us;
        size_t place = topic.count;
        append_new(&topic, due_us);
        for (; topic.next <= place; now_us += step_us)
            turn(&topic);
        ck_assert_int_lt(now_us, end_us);
        late_us = now_us - due_us;
    }
    free(topic.lines);
    end();
    return late_us;
}

START_TEST(test_machine_retry__a_near_one_behind_a_full_window_is_late_by_so_much_at_most)
{
    const int64_t hour_us = 3600 * (int64_t)SECOND, minute_us = 60 * SECOND, day_us = 24 * hour_us;
    /* When the others have not waited for long, by the pause; else by an eighth of that; by six hours at most. */
    ck_assert_int_le(lateness_behind(KUR_TIER_SHORT, 30 * SECOND, SECOND, 1), 13 * SECOND);
    ck_assert_int_le(lateness_behind(KUR_TIER_MEDIUM, hour_us, 5 * SECOND, 1), hour_us / 8 + minute_us);
    ck_assert_int_le(lateness_behind(KUR_TIER_LONG, 10 * day_us, minute_us, 1), 6 * hour_us + 10 * minute_us);
    /* And when one was found there, the next by no more than the pause. */
    ck_assert_int_le(lateness_behind(KUR_TIER_MEDIUM, hour_us, 5 * SECOND, 2), minute_us + 20 * SECOND);
    ck_assert_int_le(lateness_behind(KUR_TIER_LONG, 10 * day_us, minute_us, 3), 13 * minute_us);
}
END_TEST

START_TEST(test_machine_retry__a_full_text_moves_the_oldest_to_the_end)
{
    kur__source *source = begin_window(100000, 64);
    int64_t offset = 0, earliest_us;
    uint32_t random = 1;
    while (kur__machine_room(&machine, source) > 0 && offset < 5000) {
        random = random * 1664525u + 1013904223u;
        int64_t due_us = now_us + 50 * (int64_t)SECOND + offset; /* so that the latest are not the oldest */
        admit_written(source, offset, (random >> 16) % 3 == 0 ? 0 : due_us, now_us - SECOND);
        kur__work *work = take_one();
        if (work != NULL)
            say(work, &done);
        offset++;
    }
    ck_assert(source->text_is_full);
    ck_assert_int_lt(offset, 5000);
    for (int i = 0; i < 20 && kur__machine_room(&machine, source) == 0; i++, now_us += 20 * MS) {
        int64_t before = kur__ledger_commit_offset(&source->ledger);
        ck_assert_uint_gt(move_all(source, &earliest_us), 0);
        ck_assert_int_gt(kur__ledger_commit_offset(&source->ledger), before);
    }
    ck_assert_uint_gt(kur__machine_room(&machine, source), 0);
    end();
}
END_TEST

START_TEST(test_machine_retry__a_clock_that_jumps_moves_the_times)
{
    kur__source *source = begin_window(100, 4096), *main_one = assign(0);
    for (int64_t i = 0; i < 10; i++)
        admit_written(source, i, now_us + (10 - i) * SECOND, now_us);
    admit(main_one, 0, "a");
    kur__verdict after = {.outcome = KUR_RETRY, .has_delay = true, .delay_us = 3 * SECOND};
    kur__work *work = take_one();
    ck_assert_int_eq(say(work, &after), KUR__RETRIED); /* a delay, and no time of the world's */
    kur__machine_clock_jumped(&machine, 9 * SECOND);
    for (int64_t i = 9; i >= 1; i--)
        finish(i);
    ck_assert_ptr_null(take_one());
    kur__machine_clock_jumped(&machine, -4 * SECOND);
    now_us += 3 * SECOND;
    ck_assert_ptr_eq(take_one(), work);
    ck_assert_ptr_null(take_one());
    now_us += 2 * SECOND;
    finish(0);
    end();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_machine_retry__by_topic_lets_the_key_go_on_and_finishes_when_it_is_there,
        test_machine_retry__what_has_waited_for_its_topic_goes_as_soon_as_that_is_there,
        test_machine_retry__the_delay_says_which_topic,
        test_machine_retry__in_place_first_then_by_topic,
        test_machine_retry__rejected_ones_go_to_the_dead_letters,
        test_machine_retry__one_key_never_runs_twice_whichever_topic_it_comes_from,
        test_machine_retry__a_batch_has_records_of_one_topic_in_a_lane,
        test_machine_retry__the_end_finds_a_batch_in_any_order,
        test_machine_retry__what_ends_early_leaves_nothing_behind,
        test_machine_retry__nothing_is_early_and_what_is_due_is_not_held_up,
        test_machine_retry__the_time_out_counts_from_what_a_record_came_with,
        test_machine_retry__a_delayed_first_delivery_goes_to_its_topic_unseen,
        test_machine_retry__what_is_another_groups_is_finished_at_once,
        test_machine_retry__exactly_once_forwards_in_the_transaction,
        test_machine_retry__what_is_not_due_gets_nobody_a_turn,
        test_machine_retry__the_window_is_shared_by_who_needs_it,
        test_machine_retry__the_window_has_a_bound_in_bytes_too,
        test_machine_retry__a_window_is_full_for_long_when_nothing_changes_soon,
        test_machine_retry__a_full_window_moves_the_latest_to_the_end,
        test_machine_retry__a_full_window_is_looked_through_while_others_are_forwarded,
        test_machine_retry__moves_no_more_than_some_thousand_a_second,
        test_machine_retry__one_that_waits_for_long_is_moved_a_few_times,
        test_machine_retry__a_near_one_behind_a_full_window_is_late_by_so_much_at_most,
        test_machine_retry__a_full_text_moves_the_oldest_to_the_end,
        test_machine_retry__a_clock_that_jumps_moves_the_times,
        NULL,
    };
    return check_main("machine_retry", tests);
}
