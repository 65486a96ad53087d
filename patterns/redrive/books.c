/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: plans and what became of them, as partition 0 of the audit's topic tells them, in the order of its log,
 * which is the same for everyone.
 *
 * Who runs a plan: a claim (the event "start") names the next *term*. The first one of each term in the log has it, and
 * what its owner tells counts until a claim of the term behind it comes; so two who start at once read the same log and
 * agree who it is. What a former owner tells after that is passed over, and cannot displace what the new one has told,
 * since each term has a key of its own: compaction keeps the last of each.
 *
 * Events have keys that occur once, so that none of them ever goes. A cancel stands for good.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redrive/redrive.h"

enum {
    BATCH = 500,
    POLL_MS = 100,
    VALUE_MAX = 64 * 1024 * 1024
};

/* ---- Entries ---- */

kur__redrive_entry *kur__books_find(const kur__books *books, const char *id)
{
    for (size_t i = 0; i < books->count; i++)
        if (strcmp(books->entries[i]->id, id) == 0)
            return books->entries[i];
    return NULL;
}

static void free_entry(kur__redrive_entry *entry)
{
    if (entry == NULL)
        return;
    kur_free(entry->told.next);
    kur_filter_free(entry->where);
    kur_free(entry->runner);
    kur_free(entry->note);
    kur_arena_free(entry->arena);
    kur_free(entry);
}

static bool replace(char **text, const char *by)
{
    char *copy = kur_strdup(by);
    if (copy == NULL)
        return false;
    kur_free(*text);
    *text = copy;
    return true;
}

/* False without memory. */
static bool take_plan(kur__books *books, const char *id, kur_bytes value)
{
    if (kur__books_find(books, id) != NULL)
        return true;
    kur__redrive_entry *entry = kur_calloc(1, sizeof *entry);
    if (entry == NULL || (entry->arena = kur_arena_new()) == NULL) {
        free_entry(entry);
        return false;
    }
    memcpy(entry->id, id, sizeof entry->id);
    kur_status status = kur__redrive_read_plan(value, entry->arena, &entry->plan, NULL);
    if (status == KUR_OK && entry->plan.where != NULL) {
        kur_error why = {0};
        entry->where = kur_filter_new(entry->plan.where, &why);
        entry->plan.filter.where = entry->where;
        status = why.code;
    }
    if (status == KUR_OK && books->count == books->capacity) {
        size_t capacity = books->capacity > 0 ? 2 * books->capacity : 16;
        kur__redrive_entry **entries = kur_realloc(books->entries, capacity * sizeof(*entries));
        status = entries != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY;
        if (entries != NULL) {
            books->entries = entries;
            books->capacity = capacity;
        }
    }
    entry->plan.id = entry->id;
    if (status == KUR_OK && (entry->told.next = kur_calloc(entry->plan.range_count + 1, sizeof(int64_t))) == NULL)
        status = KUR_ERROR_NO_MEMORY;
    if (status == KUR_OK)
        books->entries[books->count++] = entry;
    else
        free_entry(entry);
    return status != KUR_ERROR_NO_MEMORY;
}

/* What the owner of the present term tells; anything else is passed over. */
static bool take_told(kur__books *books, kur__redrive_entry *entry, kur_bytes value)
{
    size_t ranges = entry->plan.range_count;
    kur__redrive_told told = {.next = kur_arena_alloc(books->arena, (ranges + 1) * sizeof(int64_t))};
    if (told.next == NULL)
        return false;
    kur_status status = kur__redrive_read_told(value, ranges, books->arena, &told, NULL);
    if (status != KUR_OK)
        return status != KUR_ERROR_NO_MEMORY;
    if (told.term != entry->term || strcmp(told.owner, entry->owner) != 0)
        return true;
    if (told.acknowledged > entry->plan.count || told.refused > entry->plan.count - told.acknowledged)
        return true; /* no run has more than its plan */
    if (!replace(&entry->note, told.note))
        return false;
    int64_t *next = entry->told.next;
    memcpy(next, told.next, ranges * sizeof *next);
    entry->told = told;
    entry->told.next = next;
    entry->told.note = entry->note;
    entry->has_told = true;
    entry->heard++;
    return true;
}

static bool take_event(kur__books *books, kur__redrive_entry *entry, kur_bytes value)
{
    kur__redrive_event event;
    kur_status status = kur__redrive_read_event(value, books->arena, &event, NULL);
    if (status != KUR_OK)
        return status != KUR_ERROR_NO_MEMORY;
    if (strcmp(event.action, "cancel") == 0)
        entry->is_cancelled = true;
    else if (strcmp(event.action, "pause") == 0)
        entry->is_paused = true;
    else if (strcmp(event.action, "resume") == 0)
        entry->is_paused = false;
    else if (strcmp(event.action, "start") == 0 && event.term == entry->term + 1 && event.owner[0] != '\0') {
        if (!replace(&entry->runner, event.who))
            return false;
        entry->term = event.term;
        memcpy(entry->owner, event.owner, sizeof entry->owner);
        entry->lease_ms = event.lease_ms;
        entry->started_us = event.at_us;
        entry->heard++;
    }
    return true;
}

/* "WORD UUID", alone or with more behind a space; the UUID as text. */
static bool read_key(kur_bytes key, const char *word, char id[KUR_UUID_TEXT_SIZE])
{
    size_t size = strlen(word), text = KUR_UUID_TEXT_SIZE - 1;
    kur_uuid uuid;
    const char *at = key.data;
    if (at == NULL || key.size < size + text || memcmp(at, word, size) != 0 ||
        (key.size > size + text && at[size + text] != ' ') || kur_uuid_parse(at + size, text, &uuid, NULL) != KUR_OK)
        return false;
    kur_uuid_format(&uuid, id);
    return true;
}

bool kur__books_take(kur__books *books, kur_bytes key, kur_bytes value)
{
    char id[KUR_UUID_TEXT_SIZE];
    if (value.data == NULL || value.size > VALUE_MAX)
        return true;
    kur_arena_reset(books->arena);
    if (read_key(key, "plan ", id))
        return take_plan(books, id, value);
    bool is_run = read_key(key, "run ", id), is_event = !is_run && read_key(key, "event ", id);
    kur__redrive_entry *entry = is_run || is_event ? kur__books_find(books, id) : NULL;
    if (entry == NULL)
        return true;
    return is_run ? take_told(books, entry, value) : take_event(books, entry, value);
}

/* ---- Reading ---- */

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *positions, size_t count,
                         void *user)
{
    kur__books *books = user;
    (void)consumer;
    if (what == KUR_ASSIGNED && count > 0 && books->end < 0)
        for (size_t i = 0; i < count; i++) {
            const kur_position *one = kur_options_at(positions, i);
            if (one->partition != 0)
                continue;
            books->end = one->end;
            books->next = one->offset;
        }
}

static void on_gap(kur_consumer *consumer, const kur_gap *gap, void *user)
{
    kur__books *books = user;
    int64_t to = gap->code == KUR_ERROR_SYNTAX ? gap->offset + 1 : gap->low;
    if (to < 0)
        kur_error_set(&books->failed, gap->code, "%s", gap->message);
    else
        kur_consumer_seek(consumer, gap->topic, gap->partition, to, NULL);
}

kur_status kur__books_read(kur__books *books, int wait_ms, kur_error *error)
{
    kur_record *batch[BATCH];
    size_t count = 0;
    kur_status status = kur_consumer_poll_batch(books->consumer, wait_ms, batch, BATCH, &count, error);
    if (status == KUR_OK && books->failed.code != KUR_OK) {
        if (error != NULL)
            *error = books->failed;
        status = books->failed.code;
    }
    for (size_t i = 0; i < count && status == KUR_OK; i++) {
        if (kur_record_partition(batch[i]) != 0)
            continue;
        if (!kur__books_take(books, kur_record_key(batch[i]), kur_record_value(batch[i])))
            status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: what is known of redrives");
        books->next = kur_record_offset(batch[i]) + 1;
    }
    kur_consumer_free_records(books->consumer, batch, count);
    int64_t position = -1;
    if (status == KUR_OK && count == 0 &&
        kur_consumer_position(books->consumer, KUR_LETTER_AUDIT_TOPIC, 0, &position, NULL) == KUR_OK &&
        position > books->next)
        books->next = position;
    return status;
}

static kur_status read_until(kur__books *books, int64_t offset, bool is_start, int timeout_ms, kur_error *error)
{
    int64_t until_us = kur_clock_monotonic_us() + timeout_ms * INT64_C(1000);
    kur_status status = KUR_OK;
    while (status == KUR_OK && (books->end < 0 || books->next < (is_start ? books->end : offset))) {
        status = kur__books_read(books, POLL_MS, error);
        if (status == KUR_OK && kur_clock_monotonic_us() > until_us)
            status = kur_error_set(error, KUR_ERROR_TIMEOUT, "topic %s: nothing came for %d ms", KUR_LETTER_AUDIT_TOPIC,
                                   timeout_ms);
    }
    return status;
}

kur_status kur__books_reach(kur__books *books, int64_t offset, int timeout_ms, kur_error *error)
{
    return read_until(books, offset + 1, false, timeout_ms, error);
}

kur_status kur__books_open(kur__books *books, kur_client *client, int timeout_ms, kur_error *error)
{
    static const char *const topics[] = {KUR_LETTER_AUDIT_TOPIC, NULL};
    *books = (kur__books){.end = -1, .arena = kur_arena_new()};
    if (books->arena == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: what is known of redrives");
    kur_error why = {0};
    books->consumer = kur_consumer_new(
        client,
        &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST, .on_rebalance = on_rebalance, .on_gap = on_gap, .user = books),
        &why);
    kur_status status = kur_consumer_subscribe(books->consumer, topics, &why);
    if (status == KUR_OK)
        status = read_until(books, 0, true, timeout_ms, &why);
    if (status != KUR_OK && error != NULL)
        *error = why;
    return status;
}

void kur__books_done(kur__books *books)
{
    kur_consumer_free(books->consumer);
    for (size_t i = 0; i < books->count; i++)
        free_entry(books->entries[i]);
    kur_free(books->entries);
    kur_arena_free(books->arena);
    *books = (kur__books){0};
}

/* ---- Writing ---- */

kur_status kur__books_write(kur_producer *producer, const kur_buffer *key, const kur_buffer *value, int timeout_ms,
                            int64_t *offset, kur_error *error)
{
    kur_result result = {.size = sizeof result};
    kur_message message =
        KUR_MESSAGE(.topic = KUR_LETTER_AUDIT_TOPIC, .partition = KUR_PARTITION(0),
                    .key = kur_bytes_of(key->data, key->size), .value = kur_bytes_of(value->data, value->size));
    kur_status status = kur_producer_send_wait(producer, &message, timeout_ms, &result, error);
    if (status == KUR_OK && offset != NULL)
        *offset = result.offset;
    return status;
}

kur_status kur__books_event(kur_producer *producer, const char *id, const kur__redrive_event *event, int timeout_ms,
                            int64_t *offset, kur_error *error)
{
    kur_buffer key = {0}, value = {0};
    kur_uuid uuid;
    char own[KUR_UUID_TEXT_SIZE];
    kur_status status = kur_uuid_new(&uuid, error);
    if (status != KUR_OK)
        return status;
    kur_uuid_format(&uuid, own);
    status = kur_buffer_print(&key, "event %s %s", id, own);
    if (status == KUR_OK)
        status = kur__redrive_write_event(event, &value);
    if (status == KUR_OK)
        status = kur__books_write(producer, &key, &value, timeout_ms, offset, error);
    else
        kur_error_set(error, status, "out of memory: an event");
    kur_buffer_done(&key);
    kur_buffer_done(&value);
    return status;
}

/* ---- For others to see ---- */

bool kur__redrive_is_over(kur_redrive_state state)
{
    return state == KUR_REDRIVE_DONE || state == KUR_REDRIVE_CANCELLED || state == KUR_REDRIVE_ABORTED;
}

/* A cancel of what nobody runs is one at once; else its runner says when. */
kur_redrive_state kur__redrive_state_of(const kur__redrive_entry *entry)
{
    kur_redrive_state state = entry->term == 0 ? KUR_REDRIVE_PLANNED : KUR_REDRIVE_RUNNING;
    if (entry->has_told)
        state = entry->told.state;
    if (entry->has_told && entry->told.term < entry->term && !kur__redrive_is_over(state))
        state = KUR_REDRIVE_RUNNING; /* it has just been claimed */
    if (entry->is_cancelled && (state == KUR_REDRIVE_PLANNED || state == KUR_REDRIVE_STOPPED))
        state = KUR_REDRIVE_CANCELLED;
    return state;
}

static const char *copy(kur_arena *arena, const char *text, bool *ok)
{
    const char *made = kur_arena_copy(arena, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
    *ok = *ok && made != NULL;
    return made;
}

static const kur_redrive_route *const *copy_routes(const kur__redrive_plan *plan, kur_arena *arena, bool *ok)
{
    const kur_redrive_route **routes = kur_arena_alloc(arena, (plan->route_count + 1) * sizeof *routes);
    for (size_t i = 0; i < plan->route_count && routes != NULL && *ok; i++) {
        kur_redrive_route *route = kur_arena_alloc(arena, sizeof *route);
        routes[i] = route;
        *ok = route != NULL;
        if (route == NULL)
            break;
        *route = plan->routes[i].view;
        route->letters = copy(arena, route->letters, ok);
        route->group = copy(arena, route->group, ok);
        route->target = copy(arena, route->target, ok);
        route->refused = copy(arena, route->refused, ok);
    }
    *ok = *ok && routes != NULL;
    return routes;
}

const kur_redrive_view *kur__redrive_view_of(const kur__redrive_entry *entry, kur_arena *arena, kur_error *error)
{
    const kur__redrive_plan *plan = &entry->plan;
    kur_redrive_view *view = kur_arena_alloc(arena, sizeof *view);
    kur_redrive_left_out *left_out = kur_arena_alloc(arena, sizeof *left_out);
    bool ok = view != NULL && left_out != NULL;
    if (ok) {
        *left_out = plan->left_out;
        *view = (kur_redrive_view){.size = sizeof *view,
                                   .id = copy(arena, entry->id, &ok),
                                   .digest = copy(arena, plan->digest, &ok),
                                   .who = copy(arena, plan->who, &ok),
                                   .reason = copy(arena, plan->reason, &ok),
                                   .planned_us = plan->planned_us,
                                   .target = plan->target,
                                   .count = plan->count,
                                   .route_count = plan->route_count,
                                   .routes = copy_routes(plan, arena, &ok),
                                   .left_out = left_out,
                                   .state = kur__redrive_state_of(entry),
                                   .runner = copy(arena, entry->runner, &ok),
                                   .note = copy(arena, entry->note, &ok),
                                   .started_us = entry->started_us,
                                   .told_us = entry->has_told ? entry->told.at_us : entry->started_us,
                                   .acknowledged = entry->told.acknowledged,
                                   .refused = entry->told.refused,
                                   .is_cancelled = entry->is_cancelled};
    }
    if (ok)
        return view;
    kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a plan");
    return NULL;
}
