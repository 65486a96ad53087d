/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Redrives without a broker: what stands in the topic is read back as it was written, whatever else stands there does
 * no harm, and the log says who runs a plan.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../letters.h"
#include "redrive/redrive.h"

#define PLAN "0192f0c1-0000-7000-8000-000000000001"
#define ANN "0192f0c1-0000-7000-8000-00000000000a"
#define BOB "0192f0c1-0000-7000-8000-00000000000b"

static kur_arena *arena;

static const char *const topics[] = {"orders.email.dlq", "a.b.dlq-x", NULL};
static const char *const strip[] = {"trace", "x-*", NULL};
static const kur_header set[] = {{"a", {"\0b", 2}}, {"none", {0}}, {NULL, {0}}};

static kur__redrive_plan make_plan(void)
{
    static kur__redrive_range ranges[] = {{"orders.email.dlq", 0, 5, 100, 60, 1000000}, {"a.b.dlq-x", 3, 0, 7, 7, -1}};
    static kur__redrive_mark marks[] = {
        {"orders.email.retry-short", 0, 17}, {"orders.email.retry-short", 1, 0}, {"orders.email.dlq", 0, 100}};
    static kur__redrive_route routes[] = {
        {{sizeof(kur_redrive_route), "orders.email.dlq", "email", "orders.email.retry-short", 60, true, ""},
         KUR_TIER_SHORT,
         2},
        {{sizeof(kur_redrive_route), "a.b.dlq-x", "b \"\\\x01", "", 7, false, "why not"}, KUR_TIER_ORDERED, 0}};
    return (kur__redrive_plan){.who = "ann@ops",
                               .reason = "ticket \"4711\"\n",
                               .planned_us = INT64_C(1764360139000123),
                               .target = KUR_REDRIVE_RETRY,
                               .force = KUR_REDRIVE_FORCE_LOOPS,
                               .max_redriven = 4,
                               .filter =
                                   KUR_LETTER_FILTER(.cause = "smtp.*", .older_than_ms = 9,
                                                     .key = kur_bytes_of("\0k", 2), .partition = KUR_PARTITION(3)),
                               .topics = topics,
                               .strip = strip,
                               .set = set,
                               .ranges = ranges,
                               .marks = marks,
                               .routes = routes,
                               .range_count = 2,
                               .mark_count = 3,
                               .route_count = 2,
                               .left_out = {sizeof(kur_redrive_left_out), 1, 2, 3, 4, 5, 6},
                               .count = 67,
                               .sum = {{1, UINT64_MAX, 3, 0}}};
}

static void write_plan(kur_buffer *value)
{
    kur__redrive_plan plan = make_plan();
    ck_assert_int_eq(kur__redrive_write_plan(&plan, value), KUR_OK);
}

START_TEST(test_redrive_books__plan_is_read_back)
{
    kur_buffer value = {0}, again = {0};
    kur_error error = {0};
    kur__redrive_plan read;
    write_plan(&value);
    ck_ok(kur__redrive_read_plan(kur_bytes_of(value.data, value.size), arena, &read, &error), error);
    ck_assert_uint_eq(strlen(read.digest), 64);
    ck_assert_str_eq(read.reason, "ticket \"4711\"\n");
    ck_assert_str_eq(read.routes[1].view.group, "b \"\\\x01");
    ck_assert_str_eq(read.marks[2].topic, "orders.email.dlq");
    ck_assert(kur_bytes_equal(read.filter.key, kur_bytes_of("\0k", 2)));
    ck_assert(kur_bytes_equal(read.set[0].value, kur_bytes_of("\0b", 2)));
    ck_assert_ptr_null(read.set[1].value.data);
    ck_assert_int_eq(kur__redrive_write_plan(&read, &again), KUR_OK);
    ck_assert_str_eq(again.data, value.data);
    kur_buffer_done(&value);
    kur_buffer_done(&again);
}
END_TEST

/* Cut anywhere, or with any byte of it changed, it is refused or is a plan; nothing worse. */
START_TEST(test_redrive_books__broken_plans)
{
    kur_buffer value = {0};
    write_plan(&value);
    for (size_t size = 0; size < value.size; size++) {
        kur__redrive_plan read;
        char *cut = malloc(size + 1);
        memcpy(cut, value.data, size);
        kur_error error = {0};
        ck_assert_int_ne(kur__redrive_read_plan(kur_bytes_of(cut, size), arena, &read, &error), KUR_OK);
        memcpy(cut, value.data, size);
        free(cut);
        for (const char *with = "\"],{0-x"; *with != '\0'; with++) {
            char *changed = malloc(value.size);
            memcpy(changed, value.data, value.size);
            changed[size] = *with;
            kur__redrive_read_plan(kur_bytes_of(changed, value.size), arena, &read, &error);
            free(changed);
        }
        kur_arena_reset(arena);
    }
    kur_buffer_done(&value);
    static const char *const wrong[] = {
        "{\"v\":1,\"topics\":[],\"filter\":{\"later\":1},\"left_out\":[0,0,0,0,0,0]}",
        "{\"v\":2,\"topics\":[],\"filter\":{},\"left_out\":[0,0,0,0,0,0]}",
        "{\"v\":1,\"ranges\":[[0,0,0,0,0,0]],\"topics\":[\"a\"],\"filter\":{},\"left_out\":[0,0,0,0,0,0]}",
        "{\"v\":1,\"topics\":[\"a\"],\"topics\":[],\"filter\":{},\"left_out\":[0,0,0,0,0,0]}"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        kur__redrive_plan read;
        ck_assert_int_ne(kur__redrive_read_plan(kur_bytes_text(wrong[i]), arena, &read, NULL), KUR_OK);
    }
}
END_TEST

/* ---- Who runs it ---- */

static void take(kur__books *books, const char *key, const kur_buffer *value)
{
    ck_assert(kur__books_take(books, kur_bytes_text(key), kur_bytes_of(value->data, value->size)));
}

static void take_event(kur__books *books, const char *action, int64_t term, const char *owner)
{
    kur_buffer value = {0};
    kur__redrive_event event = {.action = action, .who = owner, .term = term, .lease_ms = 1000, .at_us = 1};
    snprintf(event.owner, sizeof event.owner, "%s", owner);
    ck_assert_int_eq(kur__redrive_write_event(&event, &value), KUR_OK);
    take(books, "event " PLAN " " ANN, &value);
    kur_buffer_done(&value);
}

static void take_told(kur__books *books, int64_t term, const char *owner, kur_redrive_state state, int64_t count)
{
    kur_buffer value = {0};
    char key[64];
    int64_t next[] = {5 + count, 0};
    kur__redrive_told told = {
        .term = term, .state = state, .acknowledged = count, .next = next, .note = "", .at_us = 1};
    snprintf(told.owner, sizeof told.owner, "%s", owner);
    snprintf(key, sizeof key, "run " PLAN " %d", (int)term);
    ck_assert_int_eq(kur__redrive_write_told(&told, 2, &value), KUR_OK);
    take(books, key, &value);
    kur_buffer_done(&value);
}

static kur__books open_books(void)
{
    kur__books books = {.arena = kur_arena_new()};
    kur_buffer value = {0};
    write_plan(&value);
    take(&books, "plan " PLAN, &value);
    kur_buffer_done(&value);
    ck_assert_uint_eq(books.count, 1);
    return books;
}

START_TEST(test_redrive_books__the_first_claim_counts)
{
    kur__books books = open_books();
    kur__redrive_entry *entry = kur__books_find(&books, PLAN);
    ck_assert_int_eq(kur__redrive_state_of(entry), KUR_REDRIVE_PLANNED);
    take_told(&books, 1, ANN, KUR_REDRIVE_RUNNING, 9); /* nobody has claimed it */
    ck_assert(!entry->has_told);
    take_event(&books, "start", 2, ANN); /* nor is that the next term */
    take_event(&books, "start", 1, BOB);
    take_event(&books, "start", 1, ANN); /* too late */
    ck_assert_int_eq(entry->term, 1);
    ck_assert_str_eq(entry->owner, BOB);
    take_told(&books, 1, ANN, KUR_REDRIVE_RUNNING, 9);
    ck_assert(!entry->has_told);
    uint64_t heard = entry->heard;
    take_told(&books, 1, BOB, KUR_REDRIVE_RUNNING, 10);
    ck_assert_int_eq(entry->told.acknowledged, 10);
    ck_assert_int_eq(entry->told.next[0], 15);
    ck_assert_uint_gt(entry->heard, heard);
    /* Taken over: what the former one tells is passed over, and what it had told still stands. */
    take_event(&books, "start", 2, ANN);
    ck_assert_int_eq(kur__redrive_state_of(entry), KUR_REDRIVE_RUNNING);
    take_told(&books, 1, BOB, KUR_REDRIVE_DONE, 67);
    ck_assert_int_eq(entry->told.acknowledged, 10);
    take_told(&books, 2, ANN, KUR_REDRIVE_STOPPED, 20);
    ck_assert_int_eq(kur__redrive_state_of(entry), KUR_REDRIVE_STOPPED);
    take_event(&books, "start", 3, BOB);
    take_told(&books, 3, BOB, KUR_REDRIVE_DONE, 67);
    ck_assert_int_eq(kur__redrive_state_of(entry), KUR_REDRIVE_DONE);
    kur__books_done(&books);
}
END_TEST

START_TEST(test_redrive_books__wishes)
{
    kur__books books = open_books();
    kur__redrive_entry *entry = kur__books_find(&books, PLAN);
    take_event(&books, "start", 1, ANN);
    take_event(&books, "pause", 0, BOB);
    ck_assert(entry->is_paused);
    take_event(&books, "resume", 0, BOB);
    ck_assert(!entry->is_paused);
    take_event(&books, "cancel", 0, BOB);
    take_event(&books, "resume", 0, BOB);
    ck_assert(entry->is_cancelled); /* for good */
    ck_assert_int_eq(kur__redrive_state_of(entry), KUR_REDRIVE_RUNNING);
    take_told(&books, 1, ANN, KUR_REDRIVE_STOPPED, 3);
    ck_assert_int_eq(kur__redrive_state_of(entry), KUR_REDRIVE_CANCELLED);
    kur__books_done(&books);
}
END_TEST

START_TEST(test_redrive_books__foreign_records)
{
    kur__books books = open_books();
    kur_buffer value = {0};
    static const char *const keys[] = {
        "", "plan", "plan x", "run " PLAN, "plan " PLAN "1", "discard a 0 1", "event " PLAN " x", "run " ANN " 1"};
    static const char *const values[] = {"",
                                         "{",
                                         "{}",
                                         "[]",
                                         "\xff",
                                         "{\"v\":1,\"term\":1,\"next\":[1]}",
                                         "{\"action\":\"start\",\"term\":-1}",
                                         "{\"action\":7}"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        for (size_t n = 0; n < COUNT_OF(values); n++)
            ck_assert(kur__books_take(&books, kur_bytes_text(keys[i]), kur_bytes_text(values[n])));
    ck_assert(kur__books_take(&books, kur_bytes_of(NULL, 0), kur_bytes_of(NULL, 0)));
    write_plan(&value);
    take(&books, "plan " PLAN, &value); /* again: the first one counts */
    ck_assert_uint_eq(books.count, 1);
    ck_assert_int_eq(kur__redrive_state_of(books.entries[0]), KUR_REDRIVE_PLANNED);
    kur_buffer_done(&value);
    kur__books_done(&books);
}
END_TEST

/* ---- Where they go ---- */

static bool role_is(const char *letters, const char *target, kur_tier tier, const char *topic, kur__redrive_role role)
{
    kur__redrive_route route = {.view = {.letters = letters, .target = target}, .tier = tier};
    return kur__redrive_role_of(&route, topic) == role;
}

START_TEST(test_redrive_books__topics_of_a_route)
{
    const char *letters = "orders.email.dlq-mail", *target = "orders.email.retry-short";
    ck_assert(role_is(letters, target, KUR_TIER_SHORT, target, KUR__REDRIVE_WAITS));
    ck_assert(role_is(letters, target, KUR_TIER_SHORT, "orders.email.retry-long", KUR__REDRIVE_WAITS));
    ck_assert(role_is(letters, target, KUR_TIER_SHORT, "orders.email.dlq", KUR__REDRIVE_DEAD));
    ck_assert(role_is(letters, target, KUR_TIER_SHORT, "orders.email.dlq-x", KUR__REDRIVE_DEAD));
    ck_assert(role_is(letters, target, KUR_TIER_SHORT, "orders.email", KUR__REDRIVE_NONE));
    ck_assert(role_is(letters, target, KUR_TIER_SHORT, "orders.emails.dlq", KUR__REDRIVE_NONE));
    ck_assert(role_is(letters, target, KUR_TIER_SHORT, "orders", KUR__REDRIVE_NONE));
    ck_assert(role_is(letters, "orders", KUR_TIER_MAIN, "orders", KUR__REDRIVE_WAITS));
    ck_assert(role_is("orders-dlt", "orders-retry", KUR_TIER_SHORT, "orders-dlt", KUR__REDRIVE_DEAD));
    ck_assert(role_is("orders-dlt", "orders-retry", KUR_TIER_SHORT, "orders-mail-dlt", KUR__REDRIVE_DEAD));
    ck_assert(role_is("orders-dlt", "orders-retry", KUR_TIER_SHORT, "orders-retry", KUR__REDRIVE_WAITS));
    ck_assert(role_is("orders-dlt", "orders", KUR_TIER_MAIN, "orders-retry", KUR__REDRIVE_WAITS));
    ck_assert(role_is("orders-dlt", "orders-retry", KUR_TIER_SHORT, "orders", KUR__REDRIVE_NONE));
}
END_TEST

START_TEST(test_redrive_books__sums)
{
    kur_record *record = letter_record(&(kur_record_parts){.offset = 1, .value = kur_bytes_text("a")});
    kur_record *other = letter_record(&(kur_record_parts){.offset = 2, .value = kur_bytes_text("a")});
    kur_letter one = letter_of(record, arena), two = letter_of(other, arena);
    kur__redrive_sum a, b, all = {{0}};
    kur__redrive_sum_of(&one, &a);
    kur__redrive_sum_of(&two, &b);
    ck_assert(!kur__redrive_sum_is(&a, &b));
    kur__redrive_add(&all, &a);
    kur__redrive_add(&all, &b);
    kur__redrive_subtract(&all, &a);
    ck_assert(kur__redrive_sum_is(&all, &b));
    kur_record_free(record);
    kur_record_free(other);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_redrive_books__plan_is_read_back,
                                  test_redrive_books__broken_plans,
                                  test_redrive_books__the_first_claim_counts,
                                  test_redrive_books__wishes,
                                  test_redrive_books__foreign_records,
                                  test_redrive_books__topics_of_a_route,
                                  test_redrive_books__sums,
                                  NULL};
    arena = kur_arena_new();
    int status = check_main("redrive_books", tests);
    kur_arena_free(arena);
    return status;
}
