/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a table of groups with open addressing. A group is found by what it has in common, joined with NULs in
 * one text, whose parts are its names. Those that come when there are as many groups as may be are counted together:
 * memory goes by the number of groups, however many letters there are and whatever stands on them.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <stdlib.h>
#include <string.h>

#include "deadletter/deadletter.h"

enum {
    PARTS = 5,
    PART_MAX = 255,
    MAX_DEFAULT = 10000,
    MAX_MAX = 10 * 1000 * 1000
};

struct group {
    uint64_t hash;
    char *names; /* NULL: an empty place. Each part begins with a byte for "there is one" */
    size_t names_size;
    int64_t count, first_us, last_us, sample_offset;
    int32_t sample_partition;
    uint32_t sample_topic; /* index in the list of them */
};

struct kur_letter_groups {
    unsigned by;
    uint64_t seed;
    size_t max, count, capacity; /* the capacity is a power of 2 */
    struct group *places;
    struct group rest;
    char **topics;
    uint32_t topic_count, last_topic;
};

/* ---- Making ---- */

kur_letter_groups *kur_letter_groups_new(const kur_letter_groups_options *given, kur_error *error)
{
    kur_letter_groups_options options;
    if (kur_options_take(&options, sizeof options, given, "kur_letter_groups_options", error) != KUR_OK)
        return NULL;
    const unsigned all =
        KUR_LETTERS_BY_CAUSE | KUR_LETTERS_BY_TYPE | KUR_LETTERS_BY_CODE | KUR_LETTERS_BY_GROUP | KUR_LETTERS_BY_TOPIC;
    if ((options.by & ~all) != 0 || options.max < 0 || options.max > MAX_MAX) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s",
                      (options.by & ~all) != 0 ? ".by has what is none of KUR_LETTERS_BY_…"
                                               : ".max is not 1 to 10,000,000");
        return NULL;
    }
    kur_letter_groups *groups = kur_calloc(1, sizeof *groups);
    if (groups == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: groups of letters");
        return NULL;
    }
    groups->seed = (uint64_t)kur_clock_monotonic_us() * UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)groups;
    groups->by = options.by != 0 ? options.by : KUR_LETTERS_BY_CAUSE | KUR_LETTERS_BY_TYPE | KUR_LETTERS_BY_CODE;
    groups->max = options.max > 0 ? (size_t)options.max : MAX_DEFAULT;
    return groups;
}

void kur_letter_groups_free(kur_letter_groups *groups)
{
    if (groups == NULL)
        return;
    for (size_t i = 0; i < groups->capacity; i++)
        kur_free(groups->places[i].names);
    for (uint32_t i = 0; i < groups->topic_count; i++)
        kur_free(groups->topics[i]);
    kur_free(groups->topics);
    kur_free(groups->places);
    kur_free(groups);
}

/* ---- Counting ---- */

/* One part of the name; cut at a character's boundary. */
static char *put(char *to, const char *text)
{
    if (text == NULL) {
        *to++ = '-';
        *to++ = '\0';
        return to;
    }
    size_t size = strnlen(text, PART_MAX + 1);
    if (size > PART_MAX)
        for (size = PART_MAX; size > 0 && (text[size] & 0xc0) == 0x80; size--)
            ;
    *to++ = '+';
    memcpy(to, text, size);
    to[size] = '\0';
    return to + size + 1;
}

static size_t names_of(const kur_letter_groups *groups, const kur_letter *letter, char names[PARTS * (PART_MAX + 2)])
{
    char *to = names;
    to = put(to, (groups->by & KUR_LETTERS_BY_CAUSE) != 0 ? letter->retry->cause : NULL);
    to = put(to, (groups->by & KUR_LETTERS_BY_TYPE) != 0 ? letter->type : NULL);
    to = put(to, (groups->by & KUR_LETTERS_BY_CODE) != 0 ? letter->retry->code : NULL);
    const char *group = letter->retry->group != NULL ? letter->retry->group : "";
    to = put(to, (groups->by & KUR_LETTERS_BY_GROUP) != 0 ? group : NULL);
    to = put(to, (groups->by & KUR_LETTERS_BY_TOPIC) != 0 ? letter->topic : NULL);
    return (size_t)(to - names);
}

/* FNV-1a from a start that nobody knows, so that nobody can choose causes that all collide. */
static uint64_t hash_of(const kur_letter_groups *groups, const char *names, size_t size)
{
    uint64_t hash = groups->seed;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)names[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static struct group *place_of(struct group *places, size_t capacity, uint64_t hash, const char *names, size_t size)
{
    for (size_t at = hash & (capacity - 1);; at = (at + 1) & (capacity - 1)) {
        struct group *one = &places[at];
        if (one->names == NULL ||
            (one->hash == hash && one->names_size == size && memcmp(one->names, names, size) == 0))
            return one;
    }
}

static bool grow(kur_letter_groups *groups)
{
    size_t capacity = groups->capacity > 0 ? groups->capacity * 2 : 64;
    struct group *places = kur_calloc(capacity, sizeof *places);
    if (places == NULL)
        return false;
    for (size_t i = 0; i < groups->capacity; i++) {
        const struct group *one = &groups->places[i];
        if (one->names != NULL)
            *place_of(places, capacity, one->hash, one->names, one->names_size) = *one;
    }
    kur_free(groups->places);
    groups->places = places;
    groups->capacity = capacity;
    return true;
}

/* The group of these names, made when there is room for one more; NULL without memory. */
static struct group *group_of(kur_letter_groups *groups, const char *names, size_t size)
{
    uint64_t hash = hash_of(groups, names, size);
    if (groups->count * 4 >= groups->capacity * 3 && groups->count < groups->max && !grow(groups))
        return NULL;
    struct group *one = place_of(groups->places, groups->capacity, hash, names, size);
    if (one->names != NULL)
        return one;
    if (groups->count == groups->max)
        return &groups->rest;
    char *copy = kur_malloc(size);
    if (copy == NULL)
        return NULL;
    memcpy(copy, names, size);
    *one = (struct group){.hash = hash, .names = copy, .names_size = size, .first_us = -1, .last_us = -1};
    groups->count++;
    return one;
}

/* Samples name their topic by its number; false without memory. */
static bool find_topic(kur_letter_groups *groups, const char *topic)
{
    if (groups->topic_count > 0 && strcmp(groups->topics[groups->last_topic], topic) == 0)
        return true;
    for (groups->last_topic = 0; groups->last_topic < groups->topic_count; groups->last_topic++)
        if (strcmp(groups->topics[groups->last_topic], topic) == 0)
            return true;
    char **topics = kur_realloc(groups->topics, (groups->topic_count + 1) * sizeof *topics);
    if (topics == NULL) {
        groups->last_topic = 0;
        return false;
    }
    groups->topics = topics;
    topics[groups->topic_count] = kur_strdup(topic);
    if (topics[groups->topic_count] == NULL) {
        groups->last_topic = 0;
        return false;
    }
    groups->topic_count++;
    return true;
}

static void count_in(kur_letter_groups *groups, struct group *group, const kur_letter *letter)
{
    int64_t at_us = letter->failed_us;
    if (group->count == 0 || at_us >= group->last_us) {
        group->sample_topic = groups->last_topic;
        group->sample_partition = letter->partition;
        group->sample_offset = letter->offset;
        group->last_us = at_us;
    }
    if (at_us >= 0 && (group->count == 0 || group->first_us < 0 || at_us < group->first_us))
        group->first_us = at_us;
    group->count++;
}

kur_status kur_letter_groups_add(kur_letter_groups *groups, const kur_letter *letter, kur_error *error)
{
    char names[PARTS * (PART_MAX + 2)];
    if (groups == NULL)
        return kur_error_null(error, "groups");
    if (letter == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "letter is NULL");
    size_t size = names_of(groups, letter, names);
    struct group *group = find_topic(groups, letter->topic) ? group_of(groups, names, size) : NULL;
    if (group == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: groups of letters");
    if (group->count == 0)
        group->first_us = -1;
    count_in(groups, group, letter);
    return KUR_OK;
}

/* ---- Telling ---- */

static int compare(const void *a, const void *b)
{
    const kur_letter_group *one = *(const kur_letter_group *const *)a, *other = *(const kur_letter_group *const *)b;
    if (one->is_rest != other->is_rest)
        return one->is_rest ? 1 : -1;
    if (one->count != other->count)
        return one->count > other->count ? -1 : 1;
    if (one->last_us != other->last_us)
        return one->last_us > other->last_us ? -1 : 1;
    return strcmp(one->sample_topic, other->sample_topic);
}

static const char *next_part(const char **at)
{
    const char *part = *at;
    *at += strlen(part) + 1;
    return part[0] == '+' ? part + 1 : NULL;
}

static const kur_letter_group *view_of(const kur_letter_groups *groups, const struct group *group, kur_arena *arena)
{
    kur_letter_group *view = kur_arena_alloc(arena, sizeof *view);
    const char *topic = groups->topics[group->sample_topic];
    const char *sample = kur_arena_copy(arena, topic, strlen(topic));
    const char *names = group->names != NULL ? kur_arena_copy(arena, group->names, group->names_size) : NULL;
    if (view == NULL || sample == NULL || (group->names != NULL && names == NULL))
        return NULL;
    *view = (kur_letter_group){.size = sizeof *view,
                               .count = group->count,
                               .first_us = group->first_us,
                               .last_us = group->last_us,
                               .sample_topic = sample,
                               .sample_partition = group->sample_partition,
                               .sample_offset = group->sample_offset,
                               .is_rest = names == NULL};
    if (names != NULL) {
        view->cause = next_part(&names);
        view->type = next_part(&names);
        view->code = next_part(&names);
        view->group = next_part(&names);
        view->topic = next_part(&names);
    }
    return view;
}

kur_status kur_letter_groups_list(const kur_letter_groups *groups, kur_arena *arena, kur_letter_group_list *list,
                                  kur_error *error)
{
    if (groups == NULL)
        return kur_error_null(error, "groups");
    if (arena == NULL || list == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "arena or list is NULL");
    const kur_letter_group **items = kur_arena_alloc(arena, (groups->count + 1) * sizeof *items);
    size_t count = 0;
    bool is_well = items != NULL;
    for (size_t i = 0; i < groups->capacity && is_well; i++)
        if (groups->places[i].names != NULL)
            is_well = (items[count++] = view_of(groups, &groups->places[i], arena)) != NULL;
    if (is_well && groups->rest.count > 0)
        is_well = (items[count++] = view_of(groups, &groups->rest, arena)) != NULL;
    if (!is_well)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: groups of letters");
    qsort(items, count, sizeof *items, compare);
    *list = (kur_letter_group_list){count, items};
    return KUR_OK;
}
