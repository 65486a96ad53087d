/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what is discarded, as the audit's topic tells it: a table by position with open addressing. Beside the
 * position stand the first eight bytes of the letter's hash, and a letter counts as discarded only when its own are
 * these: a topic that was deleted and made anew has other letters at the same places, and so has a copy in another
 * cluster. A discard that cannot be read hides nothing. A null value gives a letter back.
 */
#include <inttypes.h>
#include <kurier/sys/memory.h>
#include <kurier/time.h>
#include <stdlib.h>
#include <string.h>

#include "deadletter/deadletter.h"

static const char word[] = "discard ";

/* ---- Writing ---- */

static kur_status put_text(kur_buffer *to, const char *name, const char *text)
{
    kur_status status = kur_buffer_print(to, ",\"%s\":", name);
    return status == KUR_OK ? kur__json_write(to, kur_bytes_text(text)) : status;
}

kur_status kur__discard_write(const kur_letter *letter, const char *reason, const char *who, int64_t now_us,
                              kur_buffer *key, kur_buffer *value)
{
    char hash[65], at[KUR_TIME_TEXT_SIZE];
    kur_letter_hash(letter, hash);
    kur_time_format(now_us, at);
    kur_status status =
        kur_buffer_print(key, "%s%s %" PRId32 " %" PRId64, word, letter->topic, letter->partition, letter->offset);
    if (status == KUR_OK)
        status = kur_buffer_print(value, "{\"action\":\"discard\",\"partition\":%" PRId32 ",\"offset\":%" PRId64,
                                  letter->partition, letter->offset);
    const char *const texts[][2] = {
        {"topic", letter->topic}, {"reason", reason}, {"who", who}, {"at", at}, {"sha256", hash}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts && status == KUR_OK; i++)
        status = put_text(value, texts[i][0], texts[i][1]);
    return status == KUR_OK ? kur_buffer_append(value, "}", 1) : status;
}

/* ---- Taking in ---- */

static bool read_number(const char **at, const char *end, char behind, int64_t most, int64_t *number)
{
    int64_t value = 0;
    const char *start = *at;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        if (value > (most - (**at - '0')) / 10)
            return false;
        value = value * 10 + (**at - '0');
    }
    if (*at == start || (behind == '\0' ? *at != end : *at == end || **at != behind))
        return false;
    *at += behind != '\0';
    *number = value;
    return true;
}

/* "discard TOPIC PARTITION OFFSET" of one of the topics. */
static bool read_key(const kur__discards *discards, kur_bytes key, kur__discard *discard)
{
    int64_t partition;
    if (key.data == NULL || key.size < sizeof word || memcmp(key.data, word, sizeof word - 1) != 0)
        return false;
    const char *at = (const char *)key.data + sizeof word - 1, *end = (const char *)key.data + key.size;
    const char *space = memchr(at, ' ', (size_t)(end - at));
    if (space == NULL)
        return false;
    size_t size = (size_t)(space - at);
    for (discard->topic = 0; discards->topics[discard->topic] != NULL; discard->topic++)
        if (strlen(discards->topics[discard->topic]) == size && memcmp(discards->topics[discard->topic], at, size) == 0)
            break;
    at = space + 1;
    if (discards->topics[discard->topic] == NULL || !read_number(&at, end, ' ', INT32_MAX, &partition) ||
        !read_number(&at, end, '\0', INT64_MAX, &discard->offset))
        return false;
    discard->partition = (int32_t)partition;
    return true;
}

/* Eight bytes of 16 hexadecimal digits; 0 when they are none. */
static uint64_t read_hash(const char *text, size_t size)
{
    char digits[17], *end;
    if (size != 64)
        return 0;
    memcpy(digits, text, 16);
    digits[16] = '\0';
    if (strspn(digits, "0123456789abcdef") != 16)
        return 0;
    return strtoull(digits, &end, 16);
}

/* The value's hash; 0: it has none, is no JSON, or is too long to be ours. False without memory. */
static bool read_value(kur_bytes value, uint64_t *hash)
{
    enum {
        SIZE_MAX_OF_OURS = 64 * 1024
    };
    *hash = 0;
    if (value.data == NULL || value.size > SIZE_MAX_OF_OURS || !kur_bytes_is_utf8(value))
        return true;
    kur_error error;
    kur_bytes name, text;
    kur_arena *arena = kur_arena_new();
    if (arena == NULL)
        return false;
    kur__json json = {.start = value.data,
                      .at = value.data,
                      .end = (const char *)value.data + value.size,
                      .arena = arena,
                      .error = &error};
    bool is_first = true;
    if (kur__json_need(&json, '{'))
        while (kur__json_member(&json, &is_first, &name)) {
            if (strcmp(name.data, "sha256") != 0) {
                if (!kur__json_skip(&json))
                    break;
            } else if (kur__json_string(&json, &text)) {
                *hash = read_hash(text.data, text.size);
            } else {
                break;
            }
        }
    kur_arena_free(arena);
    if (json.status != KUR_OK)
        *hash = 0;
    return json.status != KUR_ERROR_NO_MEMORY;
}

/* ---- The table ---- */

static size_t place_of(const kur__discard *places, size_t capacity, const kur__discard *wanted)
{
    uint64_t hash = (uint64_t)wanted->offset * UINT64_C(0x9e3779b97f4a7c15) ^
                    (uint64_t)wanted->partition * UINT64_C(0xc2b2ae3d27d4eb4f) ^
                    (uint64_t)wanted->topic * UINT64_C(0x165667b19e3779f9);
    size_t at = (size_t)(hash ^ hash >> 29) & (capacity - 1);
    while (places[at].topic >= 0 && (places[at].offset != wanted->offset || places[at].partition != wanted->partition ||
                                     places[at].topic != wanted->topic))
        at = (at + 1) & (capacity - 1);
    return at;
}

static bool grow(kur__discards *discards)
{
    size_t capacity = discards->capacity > 0 ? discards->capacity * 2 : 64;
    kur__discard *places = kur_malloc(capacity * sizeof *places);
    if (places == NULL)
        return false;
    for (size_t i = 0; i < capacity; i++)
        places[i].topic = -1;
    for (size_t i = 0; i < discards->capacity; i++)
        if (discards->places[i].topic >= 0)
            places[place_of(places, capacity, &discards->places[i])] = discards->places[i];
    kur_free(discards->places);
    discards->places = places;
    discards->capacity = capacity;
    return true;
}

bool kur__discards_take(kur__discards *discards, const kur_record *record)
{
    kur__discard discard;
    if (!read_key(discards, kur_record_key(record), &discard))
        return true;
    if (!read_value(kur_record_value(record), &discard.hash))
        return false;
    if (discards->count * 4 >= discards->capacity * 3 && !grow(discards))
        return false;
    kur__discard *place = &discards->places[place_of(discards->places, discards->capacity, &discard)];
    discards->count += place->topic < 0;
    *place = discard;
    return true;
}

kur_status kur__discards_read(kur__discards *discards, kur_client *client, int timeout_ms, kur__report *report,
                              void *user, kur_error *error)
{
    static const char *const topics[] = {KUR_LETTER_AUDIT_TOPIC, NULL};
    kur_error why = {0};
    kur__scan *scan = NULL;
    kur_status status = kur__scan_new(&scan, client, topics, &(kur__scan_range){.partition = -1}, timeout_ms, &why);
    for (bool is_over = status != KUR_OK; status == KUR_OK && !is_over;) {
        const kur_record *record;
        status = kur__scan_next(scan, &record, &is_over, &why);
        if (status == KUR_OK && record != NULL && !kur__discards_take(discards, record))
            status = kur_error_set(&why, KUR_ERROR_NO_MEMORY, "out of memory: what is discarded");
        if (status == KUR_OK && record == NULL && report != NULL)
            status = report(user, &why);
    }
    kur__scan_free(scan);
    if (status == KUR_OK || status == KUR_ERROR_UNKNOWN_TOPIC)
        return KUR_OK;
    if (error != NULL)
        *error = why;
    return status;
}

bool kur__discards_have(const kur__discards *discards, size_t topic, const kur_letter *letter)
{
    kur__discard wanted = {.topic = (int32_t)topic, .partition = letter->partition, .offset = letter->offset};
    char hash[65];
    if (discards->count == 0)
        return false;
    const kur__discard *place = &discards->places[place_of(discards->places, discards->capacity, &wanted)];
    if (place->topic < 0 || place->hash == 0)
        return false;
    kur_letter_hash(letter, hash);
    return read_hash(hash, 64) == place->hash;
}

void kur__discards_done(kur__discards *discards)
{
    kur_free(discards->places);
    *discards = (kur__discards){0};
}
