/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: which letters a plan means. The same file says it when the plan is made, when it is compared before a
 * run, and for each letter before it is sent; so what was counted is what is sent.
 *
 * A letter that an earlier run has sent is known by that run's own plan: it lies before the place that the run has told
 * for its partition, and its time is not later than the latest letter's there, so that a topic which was made anew
 * since hides nothing.
 *
 * The sum of a plan is that of the SHA-256 of each letter's place and bytes, in four lanes of 64 bits. So it needs no
 * order among partitions, and what is left after a run that was killed is the whole less what that one has told: no
 * letter that went meanwhile, and none that came in its place, is taken for another. It guards against accidents, such
 * as a topic made anew; whoever can write letters could make ones up that add up to the same.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <string.h>

#include "redrive/redrive.h"

/* ---- Sums ---- */

void kur__redrive_sum_of(const kur_letter *letter, kur__redrive_sum *sum)
{
    kur__sha256 hash;
    uint8_t digest[32], place[12];
    char text[65];
    kur_letter_hash(letter, text);
    for (int i = 0; i < 8; i++)
        place[i] = (uint8_t)((uint64_t)letter->offset >> (56 - 8 * i));
    for (int i = 0; i < 4; i++)
        place[8 + i] = (uint8_t)((uint32_t)letter->partition >> (24 - 8 * i));
    kur__sha256_init(&hash);
    kur__sha256_add(&hash, text, 64);
    kur__sha256_add(&hash, place, sizeof place);
    kur__sha256_add(&hash, letter->topic, strlen(letter->topic));
    kur__sha256_end(&hash, digest);
    for (int i = 0; i < 4; i++) {
        sum->lanes[i] = 0;
        for (int n = 0; n < 8; n++)
            sum->lanes[i] = sum->lanes[i] << 8 | digest[8 * i + n];
    }
}

void kur__redrive_add(kur__redrive_sum *to, const kur__redrive_sum *sum)
{
    for (int i = 0; i < 4; i++)
        to->lanes[i] += sum->lanes[i];
}

void kur__redrive_subtract(kur__redrive_sum *from, const kur__redrive_sum *sum)
{
    for (int i = 0; i < 4; i++)
        from->lanes[i] -= sum->lanes[i];
}

bool kur__redrive_sum_is(const kur__redrive_sum *a, const kur__redrive_sum *b)
{
    return memcmp(a->lanes, b->lanes, sizeof a->lanes) == 0;
}

/* ---- Judging ---- */

/* The range that a place is in; `range_count` when it is in none. `hint` is looked at first. */
static size_t range_of(const kur__redrive_plan *plan, const kur_letter *letter, size_t hint)
{
    for (size_t tried = 0; tried < plan->range_count; tried++) {
        size_t i = (hint + tried) % plan->range_count;
        const kur__redrive_range *range = &plan->ranges[i];
        if (range->partition == letter->partition && strcmp(range->topic, letter->topic) == 0)
            return letter->offset >= range->from && letter->offset < range->to ? i : plan->range_count;
    }
    return plan->range_count;
}

static bool is_looped(const kur__redrive_plan *plan, const kur_letter *letter)
{
    return letter->retry->redriven >= plan->max_redriven && (plan->force & KUR_REDRIVE_FORCE_LOOPS) == 0;
}

static bool has_sent(const kur__redrive_entry *entry, const kur_letter *letter)
{
    const kur__redrive_plan *plan = &entry->plan;
    size_t i = entry->has_told ? range_of(plan, letter, 0) : plan->range_count;
    if (i == plan->range_count || letter->offset >= entry->told.next[i] ||
        letter->timestamp_us > plan->ranges[i].last_us || !kur_letter_fits(letter, &plan->filter, plan->planned_us) ||
        letter->retry->is_stub || is_looped(plan, letter))
        return false;
    const kur__redrive_route *route = kur__redrive_route_of(plan, letter);
    return route != NULL && route->view.refused[0] == '\0';
}

static bool is_sent(const kur__selection *selection, const kur_letter *letter)
{
    const kur__books *books = selection->books;
    for (size_t i = 0; books != NULL && i < books->count; i++)
        if ((selection->self == NULL || strcmp(books->entries[i]->id, selection->self) != 0) &&
            has_sent(books->entries[i], letter))
            return true;
    return false;
}

static size_t topic_of(const kur__redrive_plan *plan, const char *name)
{
    size_t i = 0;
    while (plan->topics[i] != NULL && strcmp(plan->topics[i], name) != 0)
        i++;
    return i;
}

kur__verdict kur__selection_judge(kur__selection *selection, const kur__redrive_route *route)
{
    const kur__redrive_plan *plan = selection->plan;
    const kur_letter *letter = &selection->letter;
    if (letter->retry->is_stub)
        return KUR__IS_STUB;
    if (route == NULL)
        return KUR__IS_UNKNOWN;
    if (route->view.refused[0] != '\0')
        return KUR__IS_REFUSED;
    if (is_looped(plan, letter))
        return KUR__IS_LOOPED;
    if (selection->discards.count > 0 &&
        kur__discards_have(&selection->discards, topic_of(plan, letter->topic), letter))
        return KUR__IS_DISCARDED;
    if ((plan->force & KUR_REDRIVE_FORCE_SENT) == 0 && is_sent(selection, letter))
        return KUR__IS_SENT;
    return KUR__TAKEN;
}

/* ---- Reading ---- */

kur_status kur__selection_init(kur__selection *selection, kur_client *client, const kur__redrive_plan *plan,
                               const kur__books *books, int timeout_ms, kur_error *error)
{
    *selection = (kur__selection){.client = client, .plan = plan, .books = books, .arena = kur_arena_new()};
    selection->discards.topics = plan->topics;
    if (selection->arena == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: letters that are meant");
    return kur__discards_read(&selection->discards, client, timeout_ms, NULL, NULL, error);
}

/* Of a partition what the plan has frozen; while it is made, all that there is. */
static bool bound(void *user, const char *topic, int32_t partition, int64_t *from, int64_t *to)
{
    const kur__selection *selection = user;
    const kur__redrive_plan *plan = selection->plan;
    if (selection->self == NULL)
        return true;
    for (size_t i = 0; i < plan->range_count; i++)
        if (plan->ranges[i].partition == partition && strcmp(plan->ranges[i].topic, topic) == 0) {
            *from = selection->next != NULL ? selection->next[i] : plan->ranges[i].from;
            *to = plan->ranges[i].to;
            return *from < *to && plan->ranges[i].count > 0;
        }
    return false;
}

kur_status kur__selection_start(kur__selection *selection, const int64_t *next, int timeout_ms, kur_error *error)
{
    const kur_letter_filter *filter = &selection->plan->filter;
    const kur__scan_range range = {.partition = filter->partition - 1,
                                   .from = filter->from_offset,
                                   .to = filter->to_offset,
                                   .bound = bound,
                                   .user = selection};
    kur__selection_stop(selection);
    selection->next = next;
    return kur__scan_new(&selection->scan, selection->client, selection->plan->topics, &range, timeout_ms, error);
}

void kur__selection_stop(kur__selection *selection)
{
    kur__scan_free(selection->scan);
    selection->scan = NULL;
}

void kur__selection_done(kur__selection *selection)
{
    kur__selection_stop(selection);
    kur__discards_done(&selection->discards);
    kur_arena_free(selection->arena);
    selection->arena = NULL;
}

kur_status kur__selection_next(kur__selection *selection, bool *has_letter, bool *is_over, kur_error *error)
{
    const kur__redrive_plan *plan = selection->plan;
    const kur_record *record;
    *has_letter = false;
    kur_status status = kur__scan_next(selection->scan, &record, is_over, error);
    if (status != KUR_OK || record == NULL)
        return status;
    selection->read++;
    kur_arena_reset(selection->arena);
    selection->letter.size = sizeof selection->letter;
    status = kur_letter_read(record, selection->arena, &selection->letter, error);
    if (status != KUR_OK || !kur_letter_fits(&selection->letter, &plan->filter, plan->planned_us))
        return status;
    if (plan->range_count > 0 && selection->self != NULL)
        selection->range = range_of(plan, &selection->letter, selection->range);
    *has_letter = selection->self == NULL || selection->range < plan->range_count;
    return status;
}
