/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's decisions: partitions that go and come, effects, commits, the end, and memory that fails.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../failing.h"
#include "machine.h"

/* ---- Partitions that go and come ---- */

START_TEST(test_machine_life__what_goes_and_comes_back_goes_on)
{
    begin(&usual);
    int64_t position;
    kur__source *source = assign(0);
    for (int64_t i = 0; i < 5; i++)
        admit(source, i, i < 2 ? "a" : NULL);
    kur__work *running = take_offset(0), *settling = take_offset(2), *held = take_offset(3);
    say(settling, &done_with_emits);
    ck_assert_ptr_null(kur__machine_find(&machine, "t", 1));
    kur__machine_suspend(&machine, source);
    kur__machine_suspend(&machine, source);
    ck_assert_ptr_null(take_one()); /* nothing new; but results and effects go on */
    ck_assert_ptr_null(kur__machine_find(&machine, "t", 0));
    ck_assert_ptr_eq(kur__machine_source(&machine, "t", 0), source);
    ck_assert_ptr_null(kur__machine_source(&machine, "t", 1));
    ck_assert_ptr_null(kur__machine_source(&machine, "u", 0));
    ck_assert_int_eq(admit_due(source, 5, NULL, 0), KUR__ADMITTED_REPLAY);
    ck_assert(kur__work_is_current(running));
    ck_assert_ptr_eq(kur__machine_next_effect(&machine, now_us), settling);
    kur__machine_effect(&machine, settling, true, now_us);
    kur__machine_leave(&machine, source);
    ck_assert(!kur__work_is_current(running));
    ck_assert_int_eq(say(running, &done), KUR__FINISHED); /* taken in */
    ck_assert_int_eq(say(held, &reject), KUR__REJECTS);
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us)); /* and nothing is done */
    ck_assert_ptr_null(take_one());
    kur__machine_begin_commits(&machine, NULL, now_us);
    ck_assert(!kur__machine_next_commit(&machine, &(kur__commit){0}));

    ck_assert_ptr_eq(assign_at(0, 2, 1, NULL, &position), source);
    ck_assert_int_eq(position, 5);
    ck_assert_ptr_eq(kur__machine_find(&machine, "t", 0), source);
    ck_assert_ptr_eq(kur__machine_next_effect(&machine, now_us), held);
    kur__machine_effect(&machine, held, true, now_us);
    finish(4);
    finish(1);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 5);
    ck_assert_uint_eq(release(), 5);

    /* A generation that was missed: somebody else may have run on. */
    admit(source, 5, NULL);
    kur__machine_leave(&machine, source);
    kur__source *next = assign_at(0, 4, 5, NULL, &position);
    ck_assert_int_eq(position, 5);
    ck_assert_int_eq(next->held, 0);
    ck_assert_uint_eq(release(), 1);
    /* One that has not gone at all begins anew too. */
    admit(next, 5, NULL);
    next = assign_at(0, 5, 5, NULL, &position);
    ck_assert_int_eq(position, 5);
    ck_assert_uint_eq(release(), 1);
    /* Another log, and a generation that nobody knows. */
    kur__machine_leave(&machine, next);
    kur__assignment other = {.topic = "t", .start = 0, .log = {.topic = 5}, .generation = 5};
    next->log.topic = 4;
    kur_error warning, error = {0};
    ck_ok(kur__machine_assign(&machine, &other, &next, &position, now_us, &warning, &error), error);
    ck_assert_int_eq(position, 0);
    admit(next, 0, NULL);
    kur__work *late = take_offset(0);
    next->generation = -1;
    kur__machine_leave(&machine, next);
    ck_assert_ptr_ne(assign_at(0, 0, 3, NULL, &position), next);
    ck_assert_int_eq(position, 3);
    ck_assert(kur__machine_drop_one(&machine)); /* behind the one that is over and waits for its handler */
    ck_assert_int_eq(say(late, &done), KUR__STALE);
    ck_assert(!kur__machine_drop_one(&machine));
    end();
}
END_TEST

/* Each poll asks for every one of them: none may stand behind thousands of others. */
START_TEST(test_machine_life__ten_thousand_partitions_are_found_at_once)
{
    enum {
        PARTITIONS = 10000,
        TOPICS = 4
    };
    begin(&usual);
    static kur__source *sources[PARTITIONS];
    char topic[16];
    for (int i = 0; i < PARTITIONS; i++) {
        snprintf(topic, sizeof topic, "topic-%d", i % TOPICS);
        kur__assignment assignment = {.topic = topic, .partition = i / TOPICS, .generation = 1};
        kur_error warning = {0}, error = {0};
        int64_t position;
        ck_ok(kur__machine_assign(&machine, &assignment, &sources[i], &position, now_us, &warning, &error), error);
    }
    size_t longest = 0;
    for (size_t i = 0; i < machine.partition_capacity; i++) {
        size_t length = 0;
        for (const kur__partition *one = machine.partitions[i]; one != NULL; one = one->next)
            length++;
        longest = length > longest ? length : longest;
    }
    ck_assert_uint_le(longest, 16);
    for (int i = 0; i < PARTITIONS; i++) {
        snprintf(topic, sizeof topic, "topic-%d", i % TOPICS);
        ck_assert_ptr_eq(kur__machine_source(&machine, topic, i / TOPICS), sources[i]);
        ck_assert_ptr_null(kur__machine_source(&machine, topic, i / TOPICS + PARTITIONS));
    }
    /* One in two goes, and the others stay where they are. */
    for (int i = 0; i < PARTITIONS; i += 2)
        kur__machine_drop(&machine, sources[i]);
    ck_assert_uint_eq(machine.partition_count, PARTITIONS / 2);
    for (int i = 0; i < PARTITIONS; i++) {
        snprintf(topic, sizeof topic, "topic-%d", i % TOPICS);
        ck_assert_ptr_eq(kur__machine_source(&machine, topic, i / TOPICS), i % 2 == 0 ? NULL : sources[i]);
    }
    end();
}
END_TEST

START_TEST(test_machine_life__a_new_epoch_waits_for_what_still_runs_of_the_old)
{
    begin(&usual);
    kur__source *source = assign(0);
    kur__commit commit;
    for (int64_t i = 0; i < 4; i++)
        admit(source, i, i < 2 ? "a" : NULL);
    kur__work *running = take_offset(0), *untaken = take_offset(2), *rejected = take_offset(3);
    say(rejected, &reject);
    ck_assert_ptr_eq(kur__machine_next_effect(&machine, now_us), rejected);
    kur__machine_begin_commits(&machine, NULL, now_us);
    ck_assert(kur__machine_next_commit(&machine, &commit));
    kur__machine_drop(&machine, source);
    kur__machine_drop(&machine, source); /* and again: nothing */
    kur__machine_leave(&machine, source);
    ck_assert_uint_eq(release(), 1); /* what waited */

    kur__source *next = assign(0);
    ck_assert_ptr_ne(next, source);
    admit(next, 0, "a");
    admit(next, 1, "b");
    finish(1);
    ck_assert_ptr_null(take_one()); /* the lane is taken */
    ck_assert_int_eq(say(running, &done), KUR__STALE);
    finish(0);
    ck_assert_int_eq(kur__ledger_commit_offset(&next->ledger), 2);
    kur__machine_untake(&machine, untaken);
    kur__machine_effect(&machine, rejected, false, now_us); /* nobody tries again */
    ck_assert_uint_eq(machine.running + machine.settling, 0);
    ck_assert_uint_eq(release(), 5);
    ck_assert_ptr_eq(machine.oldest, source); /* until its commit is answered */
    kur__machine_committed(&machine, source, true, now_us);
    ck_assert_ptr_eq(machine.oldest, next);
    ck_assert_uint_eq(machine.held, 0);
    end();
}
END_TEST

/* What was told is believed up to the first record of an epoch that its writer had not read; if it knew of epochs. */
START_TEST(test_machine_life__a_record_of_a_new_leader_epoch_ends_what_was_told)
{
    char text[KUR__LEDGER_TEXT_MAX + 1];
    for (int32_t epoch = 0; epoch <= 3; epoch += 3) {
        kur__ledger told;
        kur__ledger_init(&told, 0);
        for (int64_t i = 0; i < 5; i++)
            ck_assert_int_eq(kur__ledger_admit(&told, i), KUR__ADMITTED);
        for (int64_t i = 1; i < 5; i++)
            ck_assert(kur__ledger_finish(&told, i));
        kur__ledger_write(&told, &(kur__ledger_log){.epoch = epoch}, KUR__LEDGER_TEXT_MAX, text);
        kur__ledger_done(&told);

        begin(&usual);
        int64_t position;
        kur_error warning, error = {0};
        kur__source *source;
        kur__assignment assignment = {.topic = "t", .is_committed = true, .text = text, .log = {.epoch = epoch}};
        ck_ok(kur__machine_assign(&machine, &assignment, &source, &position, now_us, &warning, &error), error);
        ck_assert_int_eq(warning.code, KUR_OK);
        admit(source, 0, NULL);
        ck_assert_int_eq(admit_due(source, 1, NULL, 0), KUR__ADMITTED_DONE);
        kur__machine_new_epoch(&machine, source, 4);
        ck_assert_int_eq(source->log.epoch, 4);
        ck_assert_int_eq(admit_due(source, 2, NULL, 0), epoch == 0 ? KUR__ADMITTED_DONE : KUR__ADMITTED);
        end();
    }
}
END_TEST

/* What an ended source still holds counts in the sum; when it is given back, those who waited for that go on. */
START_TEST(test_machine_life__others_go_on_when_what_is_left_of_an_ended_source_is_over)
{
    kur__machine_options small = usual;
    small.hold_records = 8;
    for (int way = 0; way < 3; way++) {
        begin(&small);
        kur__source *source = assign(0);
        kur__work *works[8];
        for (int64_t i = 0; i < 8; i++)
            admit(source, i, NULL);
        expect_full(source, true);
        ck_assert_uint_eq(kur__machine_take(&machine, now_us, works, 8), 8);
        if (way == 1) {
            say(works[0], &done_with_emits);
            ck_assert_ptr_eq(kur__machine_next_effect(&machine, now_us), works[0]);
        }
        if (way == 2)
            kur__machine_suspend(&machine, source);
        else
            kur__machine_drop(&machine, source);
        kur__source *other = assign(1);
        expect_full(other, true);
        if (way == 1)
            kur__machine_effect(&machine, works[0], true, now_us);
        else
            say(works[0], &done);
        expect_full(other, false);
        for (int i = 1; i < 8; i++)
            say(works[i], &done);
        ck_assert_uint_eq(release(), 8);
        end();
    }
}
END_TEST

/* ---- Effects ---- */

START_TEST(test_machine_life__effects_are_tried_again_until_they_are_durable)
{
    static const int64_t delays_ms[] = {10, 20, 40, 40};
    begin(&usual);
    kur__source *source = assign(0);
    admit(source, 0, "a");
    say(take_offset(0), &done_with_emits);
    for (int i = 0; i < 4; i++) {
        kur__work *work = kur__machine_next_effect(&machine, now_us);
        ck_assert_ptr_nonnull(work);
        ck_assert_int_eq(work->effect, KUR__EFFECT_EMIT);
        ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us));
        kur__machine_effect(&machine, work, false, now_us);
        ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 0);
        now_us += delays_ms[i] * MS - 1;
        ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us));
        now_us++;
    }
    ck_assert_ptr_null(take_one()); /* it is the effect that comes again, not the handler */
    kur__machine_effect(&machine, kur__machine_next_effect(&machine, now_us), true, now_us);
    ck_assert_int_eq(kur__ledger_commit_offset(&source->ledger), 1);
    /* One that waits to be tried again, and one that was not begun, end with their source; another's stays. */
    kur__source *other = assign(1);
    admit(source, 1, NULL);
    admit(source, 2, NULL);
    admit(other, 0, NULL);
    for (int i = 0; i < 3; i++)
        say(take_one(), &reject);
    kur__machine_effect(&machine, kur__machine_next_effect(&machine, now_us), false, now_us);
    kur__machine_drop(&machine, source);
    kur__work *work = kur__machine_next_effect(&machine, now_us + SECOND);
    ck_assert_ptr_eq(work->source, other);
    ck_assert_ptr_null(kur__machine_next_effect(&machine, now_us + SECOND));
    ck_assert_uint_eq(machine.settling, 1);
    end();
}
END_TEST

/* ---- Commits ---- */

static void commit_round(kur__source *source, int64_t offset, bool is_committed)
{
    kur__commit commit;
    ck_assert(kur__machine_commit_is_due(&machine, now_us));
    kur__machine_begin_commits(&machine, NULL, now_us);
    ck_assert(kur__machine_next_commit(&machine, &commit));
    ck_assert_ptr_eq(commit.source, source);
    ck_assert_int_eq(commit.offset, offset);
    ck_assert(!kur__machine_next_commit(&machine, &commit));
    kur__machine_committed(&machine, source, is_committed, now_us);
}

START_TEST(test_machine_life__commits_in_rounds)
{
    begin(&usual);
    kur__source *source = assign(0);
    kur__commit commit;
    commit_round(source, 0, true); /* the group has nothing yet */
    for (int64_t i = 0; i < 200; i++)
        admit(source, i, NULL);
    ck_assert(!kur__machine_commit_is_due(&machine, now_us));
    finish(0);
    ck_assert(!kur__machine_commit_is_due(&machine, now_us + SECOND - 1));
    ck_assert_int_eq(kur__machine_wake_us(&machine), now_us + SECOND);
    now_us += SECOND;
    commit_round(source, 1, true);
    ck_assert(!kur__machine_commit_is_due(&machine, now_us + SECOND)); /* nothing new */
    for (int64_t i = 1; i < 101; i++) {
        ck_assert(!kur__machine_commit_is_due(&machine, now_us));
        finish(i);
    }
    commit_round(source, 101, false); /* so many that the interval is not awaited */
    ck_assert_int_eq(source->committed, 1);
    ck_assert(!kur__machine_commit_is_due(&machine, now_us + SECOND - 1));
    now_us += SECOND;
    commit_round(source, 101, true);
    ck_assert_int_eq(source->committed, 101);

    /* No round beside one that is under way, but one source's at its end. */
    finish(101);
    now_us += SECOND;
    kur__machine_begin_commits(&machine, NULL, now_us);
    ck_assert(kur__machine_next_commit(&machine, &commit));
    finish(102);
    kur__machine_begin_commits(&machine, NULL, now_us);
    ck_assert(!kur__machine_next_commit(&machine, &commit));
    now_us += 120 * (int64_t)SECOND;
    ck_assert(!kur__machine_commit_is_due(&machine, now_us));
    ck_assert_int_eq(kur__machine_wake_us(&machine), INT64_MAX);
    kur__machine_suspend(&machine, source);
    kur__machine_begin_commits(&machine, source, now_us);
    ck_assert(kur__machine_next_commit(&machine, &commit));
    ck_assert_int_eq(commit.offset, 103);
    kur__machine_committed(&machine, source, true, now_us);
    kur__machine_committed(&machine, source, true, now_us);
    /* One that goes before its turn comes gives nothing. */
    source->is_dirty = true;
    kur__machine_begin_commits(&machine, source, now_us);
    kur__machine_leave(&machine, source);
    ck_assert(!kur__machine_next_commit(&machine, &commit));
    end();
}
END_TEST

/* Commits until the broker takes it, which has room for `most` characters; how often that is, and what it took. */
static int commit_until_it_fits(kur__source *source, size_t most, kur__commit *commit)
{
    for (int refused = 0;; refused++) {
        ck_assert_int_lt(refused, 20);
        now_us += SECOND;
        ck_assert(kur__machine_commit_is_due(&machine, now_us));
        kur__machine_begin_commits(&machine, NULL, now_us);
        ck_assert(kur__machine_next_commit(&machine, commit));
        ck_assert_uint_le(strlen(commit->text), machine.options.text_limit);
        bool is_taken = strlen(commit->text) <= most;
        kur__machine_committed(&machine, source, is_taken, now_us);
        if (is_taken)
            return refused;
        kur__machine_text_refused(&machine);
    }
}

/* A broker whose offset.metadata.max.bytes is smaller: it gets as much as it takes, in the end nothing. */
START_TEST(test_machine_life__a_text_that_is_refused_is_shorter_the_next_time)
{
    static const size_t rooms[] = {100, 64, 0};
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        kur__commit commit;
        begin(&usual);
        kur__source *source = assign(0);
        commit_round(source, 0, true);
        for (int64_t offset = 0; offset < 800; offset++)
            admit(source, offset, NULL);
        kur__work *works[800];
        for (int64_t offset = 0; offset < 800; offset++)
            works[offset] = take_offset(offset);
        for (int64_t offset = 1; offset < 800; offset += 2)
            say(works[offset], &done);
        int refused = commit_until_it_fits(source, rooms[i], &commit);
        ck_assert_int_ge(refused, 4);
        ck_assert_int_eq(commit.offset, 0);
        ck_assert_int_eq(source->committed, 0);
        ck_assert_int_gt(source->untold, 0);
        ck_assert_uint_eq(commit.text[0] != '\0', rooms[i] > 0);
        expect_full(source, rooms[i] > 0); /* where nothing can be told, waiting makes nothing better */
        say(works[0], &done);
        ck_assert_int_eq(commit_until_it_fits(source, rooms[i], &commit), 0);
        ck_assert_int_eq(commit.offset, 2);
        end();
    }
}
END_TEST

START_TEST(test_machine_life__what_has_not_changed_is_committed_again_after_a_minute)
{
    begin(&usual);
    int64_t position;
    kur__source *source = assign_at(0, 1, 50, NULL, &position);
    ck_assert_int_eq(kur__machine_wake_us(&machine), now_us + 60 * (int64_t)SECOND);
    now_us += 60 * (int64_t)SECOND;
    commit_round(source, 50, true);
    ck_assert(!kur__machine_commit_is_due(&machine, now_us + 60 * (int64_t)SECOND - 1));
    ck_assert(kur__machine_commit_is_due(&machine, now_us + 60 * (int64_t)SECOND));
    kur__machine_drop(&machine, source);
    ck_assert_int_eq(kur__machine_wake_us(&machine), INT64_MAX);
    end();
}
END_TEST

/* ---- The end ---- */

START_TEST(test_machine_life__stops_and_drains)
{
    begin(&usual);
    kur__source *source = assign(0);
    for (int64_t i = 0; i < 3; i++)
        admit(source, i, NULL);
    ck_assert(kur__machine_is_drained(&machine));
    kur__work *first = take_offset(0), *second = take_offset(1);
    kur__machine_stop(&machine);
    ck_assert_ptr_null(take_one());
    say(first, &done);
    ck_assert(!kur__machine_is_drained(&machine));
    say(second, &reject);
    ck_assert(!kur__machine_is_drained(&machine)); /* its effect is still to come */
    kur__machine_effect(&machine, kur__machine_next_effect(&machine, now_us), true, now_us);
    ck_assert(kur__machine_is_drained(&machine));
    commit_round(source, 2, true);
    end();
}
END_TEST

/* ---- Memory ---- */

static kur__source *assign_or_again(int32_t partition, const char *text)
{
    kur__assignment assignment = {
        .topic = "t", .partition = partition, .start = 100, .is_committed = true, .text = text, .generation = 1};
    for (int attempt = 0; attempt < 2; attempt++) {
        kur_error warning, error = {0};
        kur__source *source = NULL;
        int64_t position = -1;
        size_t sources = machine.sources;
        if (kur__machine_assign(&machine, &assignment, &source, &position, now_us, &warning, &error) == KUR_OK) {
            ck_assert_int_eq(position, 100);
            ck_assert(warning.code == KUR_OK || (warning.code == KUR_ERROR_NO_MEMORY && failing_has_failed()));
            return source;
        }
        ck_assert_int_eq(error.code, KUR_ERROR_NO_MEMORY);
        ck_assert(source == NULL && position == -1 && machine.sources == sources);
    }
    ck_abort_msg("a second allocation failed");
    return NULL;
}

static void admit_or_again(kur__source *source, int64_t offset, const char *key)
{
    size_t held = machine.held, lanes = machine.lanes.count;
    int64_t last = source->ledger.last;
    kur__admission admission = admit_due(source, offset, key, 0);
    if (admission == KUR__ADMITTED_NO_MEMORY) {
        ck_assert(machine.held == held && machine.lanes.count == lanes && source->ledger.last == last);
        admission = admit_due(source, offset, key, 0);
    }
    ck_assert(admission == KUR__ADMITTED || admission == KUR__ADMITTED_DONE);
}

/* Whatever allocation fails: what was refused can be done again, and nothing is lost or left. */
START_TEST(test_machine_life__each_allocation_fails_once)
{
    char text[KUR__LEDGER_TEXT_MAX + 1], key[80];
    kur__ledger told;
    kur__ledger_init(&told, 100);
    for (int64_t i = 100; i < 110; i++)
        kur__ledger_admit(&told, i);
    kur__ledger_finish(&told, 105);
    kur__ledger_write(&told, &(kur__ledger_log){0}, sizeof text - 1, text);
    kur__ledger_done(&told);

    long points = 0;
    do {
        ck_assert_int_lt(points, 10000);
        failing_begin(points + 1, false);
        begin(&usual);
        kur__source *sources[] = {assign_or_again(0, text), assign_or_again(1, "")};
        for (int64_t i = 0; i < MANY; i++) {
            snprintf(key, sizeof key, "%0*d", i % 3 == 0 ? 60 : 4, (int)i * 4 / 5);
            admit_or_again(sources[0], 100 + i, key);
            admit_or_again(sources[1], 100 + i * 70, key); /* apart: words and lanes of its own */
        }
        kur__work *work;
        for (int i = 0; (work = take_one()) != NULL; i++)
            if (i % 5 == 0 && work->attempts == 1)
                ck_assert_int_eq(say(work, &retry), KUR__RETRIED);
            else
                say(work, i % 7 == 0 ? &done_with_emits : &done);
        now_us += SECOND;
        while ((work = take_one()) != NULL)
            say(work, &done);
        while ((work = kur__machine_next_effect(&machine, now_us)) != NULL)
            kur__machine_effect(&machine, work, true, now_us);
        ck_assert_int_eq(kur__ledger_commit_offset(&sources[0]->ledger), 100 + MANY);
        ck_assert_int_eq(kur__ledger_commit_offset(&sources[1]->ledger), 100 + (MANY - 1) * 70 + 1);
        ck_assert_uint_eq(machine.held, 0);
        end();
        failing_end();
        ck_assert_msg(failing_live() == 0, "%ld allocations are left when the %ldth fails", failing_live(), points + 1);
        points += failing_has_failed();
    } while (failing_has_failed());
    printf("# allocations that were made to fail in the machine: %ld\n", points);
    ck_assert_int_gt(points, 10);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_machine_life__what_goes_and_comes_back_goes_on,
        test_machine_life__ten_thousand_partitions_are_found_at_once,
        test_machine_life__a_new_epoch_waits_for_what_still_runs_of_the_old,
        test_machine_life__a_record_of_a_new_leader_epoch_ends_what_was_told,
        test_machine_life__others_go_on_when_what_is_left_of_an_ended_source_is_over,
        test_machine_life__effects_are_tried_again_until_they_are_durable,
        test_machine_life__commits_in_rounds,
        test_machine_life__a_text_that_is_refused_is_shorter_the_next_time,
        test_machine_life__what_has_not_changed_is_committed_again_after_a_minute,
        test_machine_life__stops_and_drains,
        test_machine_life__each_allocation_fails_once,
        NULL,
    };
    return check_main("machine_life", tests);
}
