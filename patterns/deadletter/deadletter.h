/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share. scan.c reads topics to their ends; discards.c knows what is discarded; json.c
 * takes JSON apart.
 */
#ifndef KURIER_DEADLETTER_INSIDE_H
#define KURIER_DEADLETTER_INSIDE_H

#include <kurier/admin.h>
#include <kurier/deadletter.h>

/* ---- A scan: topics from their beginnings to the ends that they have when it starts ---- */

typedef struct kur__scan kur__scan;

/* What of the topics is read. */
typedef struct kur__scan_range {
    int32_t partition; /* -1: all */
    int64_t from, to;  /* to 0: the end */
    bool edges;        /* of each partition the first record and the last few alone */
    /* Or NULL: says of a partition what of it is read, within the above; false: nothing. */
    bool (*bound)(void *user, const char *topic, int32_t partition, int64_t *from, int64_t *to);
    void *user;
} kur__scan_range;

/* NULL ends the topics, which must stay. Does not wait. */
kur_status kur__scan_new(kur__scan **scan, kur_client *client, const char *const *topics, const kur__scan_range *range,
                         int timeout_ms, kur_error *error);

/*
 * The next record, valid until the next call. Comes back after 200 ms at most, so that progress can be told; `*record`
 * is NULL when none came, and `*is_over` tells whether none will.
 */
kur_status kur__scan_next(kur__scan *scan, const kur_record **record, bool *is_over, kur_error *error);

/* Puts in `passed`, `total`, `lost` and `unreadable`. */
void kur__scan_progress(const kur__scan *scan, kur_letter_progress *progress);

/* How many offsets of a topic are asked for; whether this is one of them. */
int64_t kur__scan_offsets(kur__scan *scan, const char *topic);
bool kur__scan_has(kur__scan *scan, const char *topic, int32_t partition, int64_t offset);
/* What of a partition is asked for; false when it is not known, or nothing. */
bool kur__scan_bounds(kur__scan *scan, const char *topic, int32_t partition, int64_t *from, int64_t *to);

void kur__scan_free(kur__scan *scan);

/* ---- What is discarded ---- */

typedef struct kur__discard {
    int32_t topic; /* index in the list that it was looked up by; -1: an empty place */
    int32_t partition;
    int64_t offset;
    uint64_t hash; /* the first eight bytes of the letter's SHA-256; 0: given back */
} kur__discard;

typedef struct kur__discards {
    const char *const *topics; /* borrowed; ends with NULL */
    kur__discard *places;
    size_t capacity, count; /* the capacity is a power of 2, or 0 */
} kur__discards;

/* Called now and then while one waits; anything but KUR_OK ends that. */
typedef kur_status kur__report(void *user, kur_error *error);

/* Reads the audit's topic to its end; none is there when nothing was ever discarded. `report` may be NULL. */
kur_status kur__discards_read(kur__discards *discards, kur_client *client, int timeout_ms, kur__report *report,
                              void *user, kur_error *error);
/* Takes one record of the audit's topic in; what is no discard of these topics is passed over. False without memory. */
bool kur__discards_take(kur__discards *discards, const kur_record *record);
/* Whether a letter is discarded. Its bytes are compared: a topic that was made anew has other letters. */
bool kur__discards_have(const kur__discards *discards, size_t topic, const kur_letter *letter);
void kur__discards_done(kur__discards *discards);

/* What stands in the audit for one letter. */
kur_status kur__discard_write(const kur_letter *letter, const char *reason, const char *who, int64_t now_us,
                              kur_buffer *key, kur_buffer *value);

/* ---- The audit's topic ---- */

/*
 * Makes it, compacted, unless it is there; one that is not compacted is an error, where this user may see that.
 * KUR_ERROR_AUTHORIZATION: it is missing and may not be made. Waits.
 */
kur_status kur__audit_ensure(kur_admin *admin, int timeout_ms, kur_error *error);
/* Whether this user sees it. Waits. */
kur_status kur__audit_is_there(kur_admin *admin, int timeout_ms, bool *is_there, kur_error *error);
/* Whether a text may stand there as a name or a reason; `name` is what the message calls it. */
kur_status kur__audit_check(const char *text, const char *name, kur_error *error);

/* ---- SHA-256 (FIPS 180-4) ---- */

typedef struct kur__sha256 {
    uint32_t state[8];
    uint64_t size;
    uint8_t block[64];
} kur__sha256;

void kur__sha256_init(kur__sha256 *hash);
void kur__sha256_add(kur__sha256 *hash, const void *data, size_t size);
void kur__sha256_end(kur__sha256 *hash, uint8_t digest[32]);
/* The same as text, in hexadecimal. */
void kur__sha256_text(kur__sha256 *hash, char text[65]);

/* One block: by what this processor has, or by what every one has; the same either way. */
void kur__sha256_mix(uint32_t state[8], const uint8_t block[64]);
void kur__sha256_mix_plain(uint32_t state[8], const uint8_t block[64]);
/* sha256_x86.c: whether this one has instructions for it, and the block by them. */
bool kur__sha256_is_fast(void);
void kur__sha256_mix_fast(uint32_t state[8], const uint8_t block[64], const uint32_t rounds[64]);

/* ---- JSON ---- */

/* A text that is taken apart from its front. */
typedef struct kur__json {
    const char *start, *at, *end;
    kur_arena *arena;
    char *strings;    /* where the next one goes; NULL: there was none */
    kur_error *error; /* the first one stays */
    kur_status status;
} kur__json;

/* Notes an error with its place, unless there is one; false. */
bool kur__json_fail(kur__json *json, kur_status status, const char *what);
/* Whether the next character, behind white space, is this one; then it is taken. */
bool kur__json_take(kur__json *json, char character);
/* The same, and an error when not. */
bool kur__json_need(kur__json *json, char character);
/* A word such as null. */
bool kur__json_word(kur__json *json, const char *word);
/* Whether only white space is left. */
bool kur__json_is_over(kur__json *json);
/* A string in UTF-8, with a NUL behind it; it may hold others. */
bool kur__json_string(kur__json *json, kur_bytes *text);
/* A string as it stands between its quotes, which needs no memory; its escapes are not looked at. */
bool kur__json_quoted(kur__json *json, kur_bytes *inside);
/* One escape, whose backslash is at the front, as UTF-8 to a place with room for four bytes; what is behind it, or
 * NULL. */
char *kur__json_unescape(kur__json *json, char *to);
bool kur__json_integer(kur__json *json, int64_t *number);
/* Any value, 64 levels deep at most. */
bool kur__json_skip(kur__json *json);
/* Members of an object one by one: the next name, or false at its end and on errors. `*is_first` starts as true. */
bool kur__json_member(kur__json *json, bool *is_first, kur_bytes *name);

/* Appends UTF-8 as a JSON string in ASCII. */
kur_status kur__json_write(kur_buffer *to, kur_bytes text);

#endif
