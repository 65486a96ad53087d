/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What stands in `kurier.redrive` about plans, as whoever may write there would have it: first the letter that plans
 * are asked about, then keys and values, each up to a byte 0xFF. Whatever they are, plans are read or passed over, are
 * written again as the same, say how they stand, and judge the letter the same way each time; what a runner is said to
 * have done is no more than its plan has; and what is known of them is bounded by what was read.
 */
#include <kurier/sys/memory.h>
#include <kurier/sys/record.h>

#include "fuzz.h"
#include "redrive/redrive.h"

enum {
    RECORDS = 64
};

/* ---- The letter ---- */

static kur_record *make_letter(kur_bytes *input, kur_arena *arena, kur_letter *letter)
{
    kur_error error = {0};
    const char *names[] = {"kurier-retry-topic", "kurier-retry-group", "kurier-retry-cause"};
    const char *usual[] = {"orders", "email", "mail.down"};
    kur_header headers[6];
    for (size_t i = 0; i < 3; i++) {
        headers[i] = (kur_header){names[i], kur_bytes_text(usual[i])};
        kur_bytes text;
        if (take_text(input, arena, &text) && text.size > 0)
            headers[i].value = text;
    }
    uint8_t place = take_byte(input);
    headers[3] = (kur_header){"kurier-retry-offset", kur_bytes_text("1")};
    headers[4] = (kur_header){"kurier-retry-partition", kur_bytes_text("0")};
    headers[5] = (kur_header){"kurier-retry-redriven", kur_bytes_text((place & 128) != 0 ? "3" : "0")};
    kur_record *record =
        kur_record_build(&(kur_record_parts){.topic = (place & 64) != 0 ? "orders-dlt" : "orders.email.dlq",
                                             .partition = place & 3,
                                             .offset = place >> 2 & 15,
                                             .timestamp_us = 1000000,
                                             .key = kur_bytes_text("k"),
                                             .value = kur_bytes_text("v"),
                                             .headers = headers,
                                             .header_count = 6},
                         &error);
    letter->size = sizeof *letter;
    need(record != NULL && kur_letter_read(record, arena, letter, &error) == KUR_OK);
    return record;
}

/* ---- What must hold of a plan ---- */

static void need_plan(const kur__redrive_plan *plan)
{
    size_t topics = 0;
    need(plan->topics != NULL && strlen(plan->digest) == 64 && plan->who != NULL && plan->reason != NULL);
    need(plan->count >= 0 && plan->route_count <= KUR__REDRIVE_ROUTES_MAX);
    while (plan->topics[topics] != NULL)
        topics++;
    for (size_t i = 0; i < plan->route_count; i++) {
        const kur__redrive_route *route = &plan->routes[i];
        need(route->view.letters != NULL && route->view.group != NULL && route->view.target != NULL &&
             route->view.refused != NULL && route->view.count >= 0 && route->partitions >= 0);
        kur__redrive_role_of(route, "orders.email.retry-medium");
        kur__redrive_role_of(route, "");
    }
    for (size_t i = 0; i < plan->range_count; i++)
        need(topics > 0 && plan->ranges[i].topic != NULL && plan->ranges[i].partition >= 0 &&
             plan->ranges[i].from >= 0 && plan->ranges[i].to >= 0 && plan->ranges[i].count >= 0);
    for (size_t i = 0; i < plan->mark_count; i++)
        need(plan->marks[i].topic != NULL && plan->marks[i].partition >= 0 && plan->marks[i].end >= 0);
}

/* Written again it reads as the same, to the byte of what is written from that. */
static void need_same(const kur__redrive_plan *plan, kur_arena *arena)
{
    kur_buffer first = {0}, second = {0};
    kur_error error = {0};
    kur__redrive_plan again;
    need(kur__redrive_write_plan(plan, &first) == KUR_OK);
    need(kur__redrive_read_plan(kur_bytes_of(first.data, first.size), arena, &again, &error) == KUR_OK);
    need(again.count == plan->count && again.range_count == plan->range_count && again.mark_count == plan->mark_count &&
         again.route_count == plan->route_count && again.planned_us == plan->planned_us &&
         kur__redrive_sum_is(&again.sum, &plan->sum));
    again.filter.where = plan->filter.where;
    need(kur__redrive_write_plan(&again, &second) == KUR_OK);
    need(kur_bytes_equal(kur_bytes_of(first.data, first.size), kur_bytes_of(second.data, second.size)));
    kur_buffer_done(&first);
    kur_buffer_done(&second);
}

static void need_told(const kur__redrive_entry *entry, kur_arena *arena)
{
    const kur__redrive_told *told = &entry->told;
    size_t ranges = entry->plan.range_count;
    kur_buffer text = {0};
    kur_error error = {0};
    kur__redrive_told again = {.next = kur_arena_alloc(arena, (ranges + 1) * sizeof(int64_t))};
    need(told->term >= 1 && told->term <= entry->term && told->state >= KUR_REDRIVE_RUNNING &&
         told->state <= KUR_REDRIVE_ABORTED);
    need(told->acknowledged >= 0 && told->refused >= 0 && told->acknowledged <= entry->plan.count &&
         told->refused <= entry->plan.count - told->acknowledged);
    need(kur__redrive_write_told(told, ranges, &text) == KUR_OK);
    need(kur__redrive_read_told(kur_bytes_of(text.data, text.size), ranges, arena, &again, &error) == KUR_OK);
    need(again.term == told->term && strcmp(again.owner, told->owner) == 0 && again.state == told->state &&
         again.acknowledged == told->acknowledged && kur__redrive_sum_is(&again.sum, &told->sum));
    for (size_t i = 0; i < ranges; i++)
        need(told->next[i] >= 0 && again.next[i] == told->next[i]);
    kur_buffer_done(&text);
}

static void need_entry(const kur__redrive_entry *entry, kur_arena *arena)
{
    kur_uuid uuid;
    kur_error error = {0};
    need(kur_uuid_parse(entry->id, strlen(entry->id), &uuid, &error) == KUR_OK && entry->term >= 0);
    need(entry->lease_ms >= 0);
    need_plan(&entry->plan);
    need_same(&entry->plan, arena);
    if (entry->has_told)
        need_told(entry, arena);
    const kur_redrive_view *view = kur__redrive_view_of(entry, arena, &error);
    need(view != NULL && view->state >= KUR_REDRIVE_PLANNED && view->state <= KUR_REDRIVE_ABORTED);
    need(strcmp(view->id, entry->id) == 0 && view->runner != NULL && view->note != NULL && view->count >= 0);
}

/* As a run of the plan would judge it, and as a later one that asks what others have sent. */
static void judge(const kur__books *books, const kur__redrive_entry *entry, const kur_letter *letter)
{
    kur__selection selection = {
        .plan = &entry->plan, .self = entry->id, .books = books, .letter = *letter, .next = entry->told.next};
    selection.discards.topics = entry->plan.topics;
    kur__redrive_route *route = kur__redrive_route_of(&entry->plan, letter);
    kur__verdict verdict = kur__selection_judge(&selection, route);
    need(verdict == kur__selection_judge(&selection, route));
    need(verdict != KUR__TAKEN || (route != NULL && route->view.refused[0] == '\0'));
    kur_letter_fits(letter, &entry->plan.filter, entry->plan.planned_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_bytes input = kur_bytes_of(data, size), key, value;
    kur_arena *arena = kur_arena_new();
    kur__books books = {.end = -1, .arena = kur_arena_new()};
    kur_letter letter = {0};
    need(arena != NULL && books.arena != NULL);
    kur_record *record = make_letter(&input, arena, &letter);
    for (size_t i = 0; i < RECORDS && take_text(&input, arena, &key); i++) {
        bool is_last = !take_text(&input, arena, &value);
        if (is_last)
            value = take_rest(&input, arena);
        need(kur__books_take(&books, key, value));
        need(books.count <= i + 1);
        if (is_last)
            break;
    }
    for (size_t i = 0; i < books.count; i++) {
        need_entry(books.entries[i], arena);
        judge(&books, books.entries[i], &letter);
        need(kur__books_find(&books, books.entries[i]->id) == books.entries[i]);
    }
    kur_record_free(record);
    kur__books_done(&books);
    kur_arena_free(arena);
    return 0;
}
