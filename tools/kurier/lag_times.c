/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How old what groups have not finished is: the time of the first record of each kind is read from its partition, by a
 * consumer that commits nothing. It fetches little of each partition, and what takes too long, or may not be read,
 * stays unknown.
 */
#include <kurier/sys/clock.h>
#include <stdlib.h>

#include "lag.h"
#include "text.h"

enum {
    BATCH = 500,
    POLL_MS = 50,
    NEWS_MS = 1500,
    TIMES_MS = 5000
};

/* A record whose time is asked for. */
struct place {
    const char *topic;
    int32_t partition;
    int64_t offset, end;
    int64_t *time_us;
    bool is_over;
};

struct search {
    struct place *places; /* by topic, partition and offset */
    size_t count, open;
};

static int by_place(const void *a, const void *b)
{
    const struct place *one = a, *other = b;
    int order = strcmp(one->topic, other->topic);
    if (order == 0)
        order = (one->partition > other->partition) - (one->partition < other->partition);
    return order != 0 ? order : (one->offset > other->offset) - (one->offset < other->offset);
}

static void ask(struct search *search, const struct lag_partition *one, int64_t offset, int64_t *time_us)
{
    if (offset >= 0)
        search->places[search->count++] =
            (struct place){one->lag->topic, one->lag->partition, offset, one->lag->end_offset, time_us, false};
}

static void gather(struct search *search, kur_arena *arena, const struct lag_list *list)
{
    size_t most = 1;
    for (size_t i = 0; i < list->count; i++)
        most += 2 * list->groups[i].partition_count;
    search->places = kur_arena_alloc(arena, most * sizeof *search->places);
    text_need(search->places != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < list->count; i++)
        for (size_t k = 0; k < list->groups[i].partition_count; k++) {
            struct lag_partition *one = &list->groups[i].partitions[k];
            ask(search, one, one->first, &one->first_us);
            ask(search, one, one->behind, &one->behind_us);
        }
    qsort(search->places, search->count, sizeof *search->places, by_place);
}

/* Records of a partition come in order: the first at or behind a place, or several, tells their time. */
static void take_record(struct search *search, const kur_record *record)
{
    const struct place wanted = {.topic = kur_record_topic(record), .partition = kur_record_partition(record)};
    size_t from = 0, to = search->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (by_place(&search->places[middle], &wanted) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    for (struct place *place = &search->places[from];
         place < search->places + search->count && place->partition == wanted.partition &&
         strcmp(place->topic, wanted.topic) == 0;
         place++) {
        if (place->is_over || place->offset > kur_record_offset(record))
            continue;
        place->is_over = true;
        search->open--;
        if (kur_record_offset(record) < place->end)
            *place->time_us = kur_record_timestamp_us(record);
    }
}

/* Each partition's first place that is still open: a consumer stands at one. */
static size_t aim(struct search *search, kur_position *positions)
{
    size_t count = 0;
    for (size_t i = 0; i < search->count; i++) {
        const struct place *place = &search->places[i];
        const kur_position *last = count > 0 ? &positions[count - 1] : NULL;
        if (place->is_over ||
            (last != NULL && last->partition == place->partition && strcmp(last->topic, place->topic) == 0))
            continue;
        positions[count++] =
            KUR_POSITION(.topic = place->topic, .partition = place->partition, .offset = place->offset);
    }
    return count;
}

static bool is_open(const struct search *search, const kur_position *position)
{
    const struct place wanted = {
        .topic = position->topic, .partition = position->partition, .offset = position->offset};
    const struct place *place = bsearch(&wanted, search->places, search->count, sizeof *place, by_place);
    return place != NULL && !place->is_over;
}

/* Where only marks of transactions are there is no record whose time could be told. */
static void pass_ends(struct search *search, kur_consumer *consumer)
{
    for (size_t i = 0; i < search->count; i++) {
        struct place *place = &search->places[i];
        int64_t position = -1;
        if (!place->is_over &&
            kur_consumer_position(consumer, place->topic, place->partition, &position, NULL) == KUR_OK &&
            position >= place->end) {
            place->is_over = true;
            search->open--;
        }
    }
}

/* What went by its retention meanwhile is passed. */
static void on_gap(kur_consumer *consumer, const kur_gap *gap, void *user)
{
    (void)user;
    if (gap->low > gap->offset)
        kur_consumer_seek(consumer, gap->topic, gap->partition, gap->low, NULL);
}

/* Reads until each partition has told its first place; false when nothing comes any more. */
static bool read_pass(struct search *search, kur_consumer *consumer, const kur_position *positions, size_t count,
                      int64_t until_us, kur_error *error)
{
    kur_record *records[BATCH];
    int64_t news_us = kur_clock_monotonic_us();
    while (count > 0) {
        size_t got = 0, open = search->open;
        int64_t now_us = kur_clock_monotonic_us();
        if (now_us > until_us || now_us - news_us > (int64_t)NEWS_MS * 1000)
            return false;
        kur_status status = kur_consumer_poll_batch(consumer, POLL_MS, records, BATCH, &got, error);
        for (size_t i = 0; i < got; i++)
            take_record(search, records[i]);
        kur_consumer_free_records(consumer, records, got);
        if (status != KUR_OK && !kur_status_is_retriable(status))
            return false;
        if (got == 0)
            pass_ends(search, consumer);
        if (search->open < open)
            news_us = now_us;
        while (count > 0 && !is_open(search, &positions[count - 1]))
            count--;
    }
    return true;
}

static void read_places(struct invocation *call, kur_client *client, kur_arena *arena, struct search *search)
{
    kur_error error = {0};
    int64_t until_us = kur_clock_monotonic_us() + (int64_t)TIMES_MS * 1000;
    kur_position *positions = kur_arena_alloc(arena, search->count * sizeof *positions);
    kur_consumer *consumer =
        kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = "kurier-lag", .on_gap = on_gap), &error);
    text_need(positions != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    search->open = search->count;
    for (bool goes_on = consumer != NULL; goes_on && search->open > 0;) {
        size_t count = aim(search, positions);
        goes_on = kur_consumer_assign(consumer, positions, count, &error) == KUR_OK &&
                  read_pass(search, consumer, positions, count, until_us, &error);
    }
    if (search->open > 0)
        command_note(call->noun, "%s%sthe age of what waits is not known everywhere%s", error.message,
                     error.message[0] != '\0' ? ": " : "",
                     error.code == KUR_ERROR_AUTHORIZATION ? "; it needs READ on the topics" : "");
    kur_consumer_free(consumer);
}

void lag_find_times(struct invocation *call, kur_arena *arena, struct lag_list *list)
{
    /* One record of a partition is enough: little of each is fetched, and an end is not waited at. */
    static const kur_property little[] = {
        {"fetch.message.max.bytes", "16384"}, {"fetch.wait.max.ms", "20"}, {NULL, NULL}};
    struct search search = {NULL, 0, 0};
    gather(&search, arena, list);
    kur_client *client = search.count > 0 ? connect_client_with(call, little) : NULL;
    if (client != NULL)
        read_places(call, client, arena, &search);
    kur_client_unref(client);
    for (size_t i = 0; i < list->count; i++)
        lag_sum_up(&list->groups[i]);
}
