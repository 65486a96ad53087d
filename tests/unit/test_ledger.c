/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The ledger against a model that is too simple to be wrong: an array of booleans.
 */
#include <kurier/ledger.h>
#include <kurier/sys/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../failing.h"
#include "listener/ledger.h"

enum {
    SPAN = 20000,
    TEXT = KUR__LEDGER_TEXT_MAX + 1
};

static const kur__ledger_log the_log = {.cluster = 0x12345678, .topic = 0x9abcdef0, .epoch = 8};
static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* ---- Marks ---- */

START_TEST(test_ledger__commits_below_the_first_unfinished)
{
    kur__ledger ledger;
    kur__ledger_init(&ledger, 100);
    ck_assert_int_eq(kur__ledger_commit_offset(&ledger), 100);
    for (int64_t offset = 100; offset < 110; offset++)
        ck_assert_int_eq(kur__ledger_admit(&ledger, offset), KUR__ADMITTED);
    ck_assert_int_eq(kur__ledger_commit_offset(&ledger), 100);
    ck_assert(kur__ledger_finish(&ledger, 101));
    ck_assert(!kur__ledger_finish(&ledger, 101));
    ck_assert(!kur__ledger_finish(&ledger, 110));
    ck_assert(!kur__ledger_finish(&ledger, -1));
    ck_assert_int_eq(kur__ledger_commit_offset(&ledger), 100);
    ck_assert(kur__ledger_finish(&ledger, 100));
    ck_assert_int_eq(kur__ledger_commit_offset(&ledger), 102);
    ck_assert_int_eq(kur__ledger_admit(&ledger, 105), KUR__ADMITTED_REPLAY);
    kur__ledger_done(&ledger);
}
END_TEST

START_TEST(test_ledger__a_jump_of_any_width_costs_one_word)
{
    kur__ledger ledger;
    kur__ledger_init(&ledger, 0);
    ck_assert_int_eq(kur__ledger_admit(&ledger, 0), KUR__ADMITTED);
    ck_assert_int_eq(kur__ledger_admit(&ledger, KUR__LEDGER_OFFSET_MAX), KUR__ADMITTED);
    ck_assert_uint_eq(ledger.count, 2);
    ck_assert_int_eq(ledger.runs, 2);
    ck_assert(kur__ledger_finish(&ledger, 0));
    ck_assert_int_eq(kur__ledger_commit_offset(&ledger), KUR__LEDGER_OFFSET_MAX);
    ck_assert(kur__ledger_finish(&ledger, KUR__LEDGER_OFFSET_MAX));
    ck_assert_int_eq(kur__ledger_commit_offset(&ledger), KUR__LEDGER_OFFSET_MAX + 1);
    kur__ledger_done(&ledger);
}
END_TEST

/* Anybody who may commit for the group may commit that. */
START_TEST(test_ledger__a_commit_at_the_end_of_all_offsets_has_a_text)
{
    char text[KUR__LEDGER_TEXT_MAX + 1];
    for (int64_t start = INT64_MAX - 130; start > 0; start = start < INT64_MAX ? start + 1 : 0) {
        kur__ledger ledger;
        kur__ledger_init(&ledger, start);
        kur__ledger_write(&ledger, &the_log, KUR__LEDGER_TEXT_MAX, text);
        ck_assert_int_eq(kur__ledger_commit_offset(&ledger), start);
        ck_assert_int_eq(kur__ledger_admit(&ledger, start - 1), KUR__ADMITTED_REPLAY);
        kur__ledger_done(&ledger);
    }
}
END_TEST

/* Random offsets with gaps, finished in random order. */
static void play(kur__ledger *ledger, bool *unfinished, int64_t start, int gap, int finish_percent)
{
    kur__ledger_init(ledger, start);
    memset(unfinished, 0, SPAN * sizeof *unfinished);
    for (int64_t offset = start; offset < start + SPAN;
         offset += 1 + (gap > 0 && draw(8) == 0 ? (int64_t)draw((uint64_t)gap) : 0)) {
        ck_assert_int_eq(kur__ledger_admit(ledger, offset), KUR__ADMITTED);
        unfinished[offset - start] = true;
        if ((int)draw(100) < finish_percent) {
            int64_t other = start + (int64_t)draw((uint64_t)(offset - start) + 1);
            ck_assert(kur__ledger_finish(ledger, other) == unfinished[other - start]);
            unfinished[other - start] = false;
        }
    }
}

static void check_against(const kur__ledger *ledger, const bool *unfinished, int64_t start)
{
    int64_t count = 0, runs = 0, first = -1;
    for (int64_t i = 0; i < SPAN; i++) {
        count += unfinished[i];
        runs += unfinished[i] && (i == 0 || !unfinished[i - 1]);
        if (unfinished[i] && first < 0)
            first = start + i;
    }
    ck_assert_int_eq(ledger->unfinished, count);
    ck_assert_int_eq(ledger->runs, runs);
    ck_assert_int_eq(kur__ledger_commit_offset(ledger), first >= 0 ? first : ledger->last + 1);
    ck_assert_uint_le(ledger->empty, (ledger->count - ledger->head) / 2 + 32);
}

START_TEST(test_ledger__agrees_with_a_simple_model)
{
    static bool unfinished[SPAN];
    for (int i = 0; i < 60; i++) {
        kur__ledger ledger;
        random_state = (uint64_t)i * 7919 + 1;
        int64_t start = (int64_t)draw(1000) * 61;
        play(&ledger, unfinished, start, i % 3 == 0 ? 0 : 300, i % 2 == 0 ? 100 : 60);
        check_against(&ledger, unfinished, start);
        for (int64_t j = 0; j < SPAN; j++) {
            if (draw(10) == 0 || !unfinished[j])
                continue;
            ck_assert(kur__ledger_finish(&ledger, start + j));
            unfinished[j] = false;
        }
        check_against(&ledger, unfinished, start);
        kur__ledger_done(&ledger);
    }
}
END_TEST

START_TEST(test_ledger__takes_at_most_32_bytes_for_an_unfinished_offset)
{
    enum {
        MANY = 1000000
    };
    kur__ledger ledger;
    kur__ledger_init(&ledger, 0);
    random_state = 99;
    int64_t offset = 0;
    for (int i = 0; i < MANY; i++, offset += 1 + (int64_t)draw(200))
        ck_assert_int_eq(kur__ledger_admit(&ledger, offset), KUR__ADMITTED);
    ck_assert_uint_le(ledger.capacity * sizeof *ledger.words, (size_t)MANY * 32);
    kur__ledger_done(&ledger);
}
END_TEST

/* ---- Text ---- */

/* What the next owner makes of the text: it reads everything again and is told what is done. */
static void check_read(const kur__ledger *written, const bool *unfinished, int64_t start, const char *text,
                       int64_t told)
{
    kur__ledger ledger;
    kur_error error = {0};
    int64_t commit = kur__ledger_commit_offset(written);
    ck_ok(kur__ledger_read(&ledger, commit, &the_log, text, &error), error);
    for (int64_t offset = commit; offset < start + SPAN; offset++) {
        kur__admission admission = kur__ledger_admit(&ledger, offset);
        bool is_done = offset < told && !unfinished[offset - start] && offset <= written->last;
        ck_assert_msg(admission == (is_done ? KUR__ADMITTED_DONE : KUR__ADMITTED), "offset %ld of %ld: %d",
                      (long)offset, (long)told, (int)admission);
    }
    kur__ledger_done(&ledger);
}

START_TEST(test_ledger__the_text_tells_the_next_owner_what_is_finished)
{
    static bool unfinished[SPAN];
    int full = 0, cut = 0;
    for (int i = 0; i < 120; i++) {
        kur__ledger ledger;
        char text[TEXT];
        random_state = (uint64_t)i * 104729 + 5;
        int64_t start = (int64_t)draw(1000000);
        play(&ledger, unfinished, start, i % 4 == 0 ? 1000 : 3, 5 + i % 95);
        for (int64_t j = 0; i % 2 == 1 && j < SPAN; j++)
            if (draw(30) != 0 && kur__ledger_finish(&ledger, start + j))
                unfinished[j] = false;
        size_t limit = i % 5 == 0 ? 64 + draw(200) : KUR__LEDGER_TEXT_MAX;
        int64_t told = kur__ledger_write(&ledger, &the_log, limit, text);
        ck_assert_uint_le(strlen(text), limit);
        check_read(&ledger, unfinished, start, text, told);
        if (told == ledger.last + 1)
            full++;
        else
            cut++;
        kur__ledger_done(&ledger);
    }
    ck_assert_int_gt(full, 10);
    ck_assert_int_gt(cut, 10);
}
END_TEST

START_TEST(test_ledger__what_was_told_once_is_told_again)
{
    /* An owner that reads only a part and goes must not forget what it was told of the rest. */
    kur__ledger first, second, third;
    char text[TEXT];
    kur_error error = {0};
    kur__ledger_init(&first, 0);
    for (int64_t offset = 0; offset < 1000; offset++)
        kur__ledger_admit(&first, offset);
    for (int64_t offset = 0; offset < 1000; offset++)
        if (offset % 10 != 0)
            kur__ledger_finish(&first, offset);
    kur__ledger_write(&first, &the_log, KUR__LEDGER_TEXT_MAX, text);
    ck_ok(kur__ledger_read(&second, 0, &the_log, text, &error), error);
    for (int64_t offset = 0; offset <= 35; offset++)
        kur__ledger_admit(&second, offset);
    ck_assert(kur__ledger_finish(&second, 0) && kur__ledger_finish(&second, 10));
    int64_t commit = kur__ledger_commit_offset(&second);
    ck_assert_int_eq(commit, 20);
    kur__ledger_write(&second, &the_log, KUR__LEDGER_TEXT_MAX, text);
    ck_ok(kur__ledger_read(&third, commit, &the_log, text, &error), error);
    for (int64_t offset = commit; offset < 1000; offset++)
        ck_assert_int_eq(kur__ledger_admit(&third, offset), offset % 10 == 0 ? KUR__ADMITTED : KUR__ADMITTED_DONE);
    /* All that was open at once: the offset goes to the end of what is known. */
    for (int64_t offset = commit; offset < 1000; offset += 10)
        ck_assert(kur__ledger_finish(&third, offset));
    ck_assert_int_eq(kur__ledger_commit_offset(&third), 1000);
    kur__ledger_write(&third, &the_log, KUR__LEDGER_TEXT_MAX, text);
    ck_assert_str_eq(text, "");
    kur__ledger_done(&first);
    kur__ledger_done(&second);
    kur__ledger_done(&third);
}
END_TEST

START_TEST(test_ledger__a_wide_gap_does_not_make_other_runs_dear)
{
    kur__ledger ledger;
    char text[TEXT];
    kur__ledger_init(&ledger, 0);
    for (int64_t i = 0; i < 2000; i++)
        kur__ledger_admit(&ledger, i);
    kur__ledger_admit(&ledger, INT64_C(1) << 50);
    kur__ledger_admit(&ledger, (INT64_C(1) << 50) + 1);
    for (int64_t i = 1; i < 2000; i += 2)
        kur__ledger_finish(&ledger, i);
    kur__ledger_finish(&ledger, (INT64_C(1) << 50) + 1);
    ck_assert_int_eq(kur__ledger_write(&ledger, &the_log, KUR__LEDGER_TEXT_MAX, text), (INT64_C(1) << 50) + 2);
    ck_assert_uint_le(strlen(text), 500);
    kur__ledger_done(&ledger);
}
END_TEST

START_TEST(test_ledger__refuses_a_text_for_another_log)
{
    kur__ledger ledger, other;
    char text[TEXT];
    kur_error error = {0};
    kur__ledger_init(&ledger, 7);
    for (int64_t offset = 7; offset < 20; offset++)
        kur__ledger_admit(&ledger, offset);
    kur__ledger_finish(&ledger, 9);
    kur__ledger_write(&ledger, &the_log, KUR__LEDGER_TEXT_MAX, text);
    const struct {
        kur__ledger_log log;
        int64_t start;
        const char *says;
    } cases[] = {
        {{.cluster = 1, .topic = the_log.topic, .epoch = 8}, 7, "another cluster"},
        {{.cluster = the_log.cluster, .topic = 1, .epoch = 8}, 7, "another topic"},
        {{.cluster = the_log.cluster, .topic = the_log.topic, .epoch = 9}, 7, "another leader epoch"},
        {the_log, 8, "another offset"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_status(kur__ledger_read(&other, cases[i].start, &cases[i].log, text, &error), KUR_ERROR_MISMATCH, error);
        ck_says(error, cases[i].says);
        ck_assert_int_eq(kur__ledger_admit(&other, cases[i].start + 2), KUR__ADMITTED);
        kur__ledger_done(&other);
    }
    /* What one side does not know is not compared. */
    ck_ok(kur__ledger_read(&other, 7, &(kur__ledger_log){0}, text, &error), error);
    ck_assert_int_eq(kur__ledger_admit(&other, 9), KUR__ADMITTED_DONE);
    kur__ledger_done(&other);
    const char *foreign[] = {"x", "kur2:AAAA", "eyJhIjoxfQ==", "kur1"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        ck_status(kur__ledger_read(&other, 7, &the_log, foreign[i], &error), KUR_ERROR_MISMATCH, error);
        kur__ledger_done(&other);
    }
    kur__ledger_done(&ledger);
}
END_TEST

START_TEST(test_ledger__broken_texts_are_refused_or_harmless)
{
    static bool unfinished[SPAN];
    kur__ledger ledger, other;
    char text[TEXT];
    random_state = 4711;
    play(&ledger, unfinished, 50, 3, 90);
    kur__ledger_write(&ledger, &the_log, 700, text);
    int64_t commit = kur__ledger_commit_offset(&ledger);
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        kur_error error = {0};
        char broken[TEXT];
        memcpy(broken, text, size + 1);
        broken[i] = broken[i] == 'A' ? 'B' : 'A';
        ck_assert_int_ne(kur__ledger_read(&other, commit, &the_log, broken, &error), KUR_OK);
        kur__ledger_done(&other);
        broken[i] = '\0';
        if (i > 0)
            ck_assert_int_ne(kur__ledger_read(&other, commit, &the_log, broken, &error), KUR_OK);
        kur__ledger_done(&other);
    }
    kur__ledger_done(&ledger);
}
END_TEST

/* Texts whose checksum is right and whose runs are not: what only a forger writes. */
START_TEST(test_ledger__forged_texts_are_refused_or_harmless)
{
    static const char wide[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    struct {
        uint8_t k[2], pairs[2];
        const char *body;
        size_t size;
        bool is_good;
    } cases[] = {
        {{0, 0}, {0, 1}, "\x40", 1, true},
        {{62, 0}, {0, 1}, "\x40", 1, false},
        {{0, 62}, {0, 1}, "\x40", 1, false},
        {{0, 0}, {0, 0}, "\x40", 1, false},
        {{0, 0}, {0xff, 0xff}, "\x40", 1, false},
        {{0, 0}, {0, 4}, "\xff", 1, false},
        {{0, 0}, {0, 1}, "\x7f", 1, false},
        {{40, 0}, {0, 1}, "\x00", 1, false},
        {{0, 0}, {0, 1}, wide, 12, false},
        {{61, 61}, {0, 1}, "\x9f\xff\xff\xff\xff\xff\xff\xff\x9f", 9, false},
        {{60, 60}, {0, 3}, "\xef\xff\xff\xff\xff\xff\xff\xff\xef\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 19, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t raw[64] = {0};
        char text[128] = "kur1:";
        kur_buffer coded = kur_buffer_over(text + 5, sizeof text - 5);
        kur__ledger ledger;
        kur_error error = {0};
        raw[23] = 100;
        memcpy(raw + 24, cases[i].k, 2);
        memcpy(raw + 26, cases[i].pairs, 2);
        memcpy(raw + 28, cases[i].body, cases[i].size);
        uint32_t sum = kur__ledger_hash(raw + 4, 24 + cases[i].size);
        for (int at = 0; at < 4; at++)
            raw[at] = (uint8_t)(sum >> (24 - 8 * at));
        ck_assert_int_eq(kur_base64_write(&coded, kur_bytes_of(raw, 28 + cases[i].size)), KUR_OK);
        kur_status status = kur__ledger_read(&ledger, 100, &(kur__ledger_log){0}, text, &error);
        ck_assert_msg(status == (cases[i].is_good ? KUR_OK : KUR_ERROR_SYNTAX), "case %zu: %s", i, error.message);
        ck_assert(cases[i].is_good == (ledger.done_count > 0));
        kur__ledger_done(&ledger);
    }
}
END_TEST

START_TEST(test_ledger__a_limit_out_of_range_is_taken_for_the_nearest)
{
    char text[TEXT];
    kur__ledger ledger;
    kur__ledger_init(&ledger, 0);
    kur__ledger_admit(&ledger, 0);
    kur__ledger_admit(&ledger, INT64_C(1) << 50);
    kur__ledger_finish(&ledger, INT64_C(1) << 50);
    ck_assert_int_eq(kur__ledger_write(&ledger, &the_log, SIZE_MAX, text), (INT64_C(1) << 50) + 1);
    for (size_t limit = 0; limit < 60; limit++) {
        int64_t told = kur__ledger_write(&ledger, &the_log, limit, text);
        ck_assert_uint_le(strlen(text), limit);
        ck_assert(text[0] == '\0' ? told == 0 : told == (INT64_C(1) << 50) + 1);
    }
    kur__ledger_done(&ledger);
}
END_TEST

START_TEST(test_ledger__room_in_front_is_used_again)
{
    kur__ledger ledger;
    kur__ledger_init(&ledger, 0);
    ck_assert(!kur__ledger_finish(&ledger, 0));
    for (int64_t i = 0; i < 16; i++)
        ck_assert_int_eq(kur__ledger_admit(&ledger, i * 64), KUR__ADMITTED);
    for (int64_t i = 0; i < 12; i++)
        ck_assert(kur__ledger_finish(&ledger, i * 64));
    ck_assert(!kur__ledger_finish(&ledger, -1));
    ck_assert(!kur__ledger_finish(&ledger, 14 * 64 + 1));
    ck_assert(!kur__ledger_finish(&ledger, 1 << 20));
    size_t capacity = ledger.capacity;
    for (int64_t i = 16; i < 24; i++)
        ck_assert_int_eq(kur__ledger_admit(&ledger, i * 64), KUR__ADMITTED);
    ck_assert_uint_eq(ledger.capacity, capacity);
    ck_assert_int_eq(kur__ledger_commit_offset(&ledger), 12 * 64);
    kur__ledger_done(&ledger);
}
END_TEST

START_TEST(test_ledger__anyone_may_read_what_is_told)
{
    char text[KUR__LEDGER_TEXT_MAX + 1];
    kur__ledger ledger;
    kur_arena *arena = kur_arena_new();
    kur_ledger_view view = KUR_LEDGER_VIEW(.finished = 77);
    kur_error error = {0};
    kur__ledger_init(&ledger, 100);
    for (int64_t offset = 100; offset < 110; offset++)
        ck_assert_int_eq(kur__ledger_admit(&ledger, offset), KUR__ADMITTED);
    for (int64_t offset = 102; offset < 109; offset++)
        ck_assert(offset == 105 || kur__ledger_finish(&ledger, offset));
    kur__ledger_write(&ledger, &the_log, KUR__LEDGER_TEXT_MAX, text);
    ck_assert_int_eq(kur_ledger_read(text, 100, arena, &view, &error), KUR_OK);
    ck_assert_uint_eq(view.range_count, 2);
    ck_assert(view.ranges[0].from == 102 && view.ranges[0].to == 105);
    ck_assert(view.ranges[1].from == 106 && view.ranges[1].to == 109);
    ck_assert(view.finished == 6 && view.end == 109);
    ck_assert_int_eq(kur_ledger_read(NULL, 7, arena, &view, &error), KUR_OK);
    ck_assert(view.finished == 0 && view.end == 7 && view.range_count == 0 && view.size == sizeof view);
    ck_assert_int_eq(kur_ledger_read(text, 101, arena, &view, &error), KUR_ERROR_MISMATCH);
    ck_assert_int_eq(kur_ledger_read("NO_OFFSET", 100, arena, &view, NULL), KUR_ERROR_MISMATCH);
    text[20] ^= 1;
    ck_assert_int_eq(kur_ledger_read(text, 100, arena, &view, NULL), KUR_ERROR_SYNTAX);
    ck_assert(view.end == 7);
    ck_assert_int_eq(kur_ledger_read("", -1, arena, &view, NULL), KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(kur_ledger_read("", 0, NULL, &view, NULL), KUR_ERROR_INVALID_ARGUMENT);
    kur__ledger_done(&ledger);
    kur_arena_free(arena);
}
END_TEST

START_TEST(test_ledger__memory_that_fails_leaves_it_as_it_was)
{
    int points = 0;
    do {
        kur__ledger ledger;
        kur__ledger_init(&ledger, 0);
        failing_begin(points + 1, false);
        for (int64_t offset = 0; offset < 200000; offset += 100) {
            kur__admission admission = kur__ledger_admit(&ledger, offset);
            if (admission == KUR__ADMITTED_NO_MEMORY) {
                points++;
                ck_assert_int_eq(ledger.last, offset > 0 ? offset - 100 : -1);
                admission = kur__ledger_admit(&ledger, offset);
            }
            ck_assert_int_eq(admission, KUR__ADMITTED);
        }
        ck_assert_int_eq(ledger.unfinished, 2000);
        kur__ledger_done(&ledger);
        failing_end();
        ck_assert_int_eq(failing_live(), 0);
    } while (failing_has_failed());
    printf("# allocations that were made to fail in the ledger: %d\n", points);
    ck_assert_int_gt(points, 3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_ledger__commits_below_the_first_unfinished,
        test_ledger__a_jump_of_any_width_costs_one_word,
        test_ledger__a_commit_at_the_end_of_all_offsets_has_a_text,
        test_ledger__agrees_with_a_simple_model,
        test_ledger__takes_at_most_32_bytes_for_an_unfinished_offset,
        test_ledger__the_text_tells_the_next_owner_what_is_finished,
        test_ledger__what_was_told_once_is_told_again,
        test_ledger__a_wide_gap_does_not_make_other_runs_dear,
        test_ledger__refuses_a_text_for_another_log,
        test_ledger__broken_texts_are_refused_or_harmless,
        test_ledger__forged_texts_are_refused_or_harmless,
        test_ledger__a_limit_out_of_range_is_taken_for_the_nearest,
        test_ledger__room_in_front_is_used_again,
        test_ledger__anyone_may_read_what_is_told,
        test_ledger__memory_that_fails_leaves_it_as_it_was,
        NULL,
    };
    return check_main("ledger", tests);
}
