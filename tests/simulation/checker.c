/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "checker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const rule_names[RULE_COUNT] = {"lost",      "commit", "order",     "twice",    "zombie",   "early",
                                            "duplicate", "memory", "backwards", "liveness", "attempts", "release",
                                            "exactly",   "fate",   "due",       "idle"};

void checker_fail(struct checker *checker, enum rule rule, const char *format, ...)
{
    if (checker->failed)
        return;
    checker->failed = true;
    checker->broken = rule;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(checker->why, sizeof checker->why, format, arguments);
    va_end(arguments);
}

struct entry *log_append(struct log *log)
{
    if (log->end == log->capacity) {
        log->capacity = log->capacity == 0 ? 64 : log->capacity * 2;
        log->entries = realloc(log->entries, (size_t)log->capacity * sizeof(*log->entries));
    }
    struct entry *entry = &log->entries[log->end++];
    *entry = (struct entry){.exists = false};
    return entry;
}

int checker_new_story(struct checker *checker, const struct story *story)
{
    if (checker->stories_count == checker->stories_capacity) {
        checker->stories_capacity = checker->stories_capacity == 0 ? 256 : checker->stories_capacity * 2;
        checker->stories = realloc(checker->stories, (size_t)checker->stories_capacity * sizeof(*checker->stories));
    }
    checker->stories[checker->stories_count] = *story;
    return checker->stories_count++;
}

bool checker_same_lane(const struct checker *checker, const struct entry *a, const struct entry *b)
{
    return checker->order == 1 || (checker->order == 0 && a->key >= 0 && a->key == b->key);
}

/* Those in front of a record in its lane have returned for good, or stand in its batch. */
static void check_order(struct checker *checker, const struct log *log, int partition, int64_t offset, int batch,
                        const char *what)
{
    const struct entry *entry = &log->entries[offset];
    if (log->is_retry || checker->keeps_order) /* those come when they are due, or elsewhere */
        return;
    for (int64_t before = log->start; before < offset && checker->order != 2; before++) {
        const struct entry *other = &log->entries[before];
        if (!other->exists || !checker_same_lane(checker, entry, other))
            continue;
        checker->looked[RULE_ORDER]++;
        if (!other->returned && (batch == 0 || other->batch != batch))
            checker_fail(checker, RULE_ORDER, "%d@%ld %s before %ld has returned", partition, (long)offset, what,
                         (long)before);
    }
}

void checker_return(struct checker *checker, struct log *log, int partition, int64_t offset)
{
    check_order(checker, log, partition, offset, 0, "counts");
    log->entries[offset].returned = true;
}

void checker_start(struct checker *checker, struct log *log, int partition, int64_t offset, int batch, bool is_owner,
                   bool is_first, int64_t early_us)
{
    struct entry *entry = &log->entries[offset];
    checker->looked[RULE_ZOMBIE]++;
    if (!is_owner)
        checker_fail(checker, RULE_ZOMBIE, "%d@%ld starts where the partition is not owned", partition, (long)offset);
    if (!entry->exists)
        checker_fail(checker, RULE_ORDER, "%d@%ld starts and does not exist", partition, (long)offset);
    if (early_us > 0)
        checker_fail(checker, RULE_EARLY, "%d@%ld starts %ld µs early", partition, (long)offset, (long)early_us);
    check_order(checker, log, partition, offset, batch, "starts");
    entry->batch = batch;
    entry->starts++;
    if (entry->durable && is_first) {
        checker->duplicates++;
        checker->looked[RULE_DUPLICATE]++;
    }
    if (checker->duplicates > checker->allowed)
        checker_fail(checker, RULE_DUPLICATE, "%d@%ld: %ld records started again, %ld are explained", partition,
                     (long)offset, (long)checker->duplicates, (long)checker->allowed);
}

/* ---- The text, decoded as its description says, and not by the listener's own code ---- */

static int value_of(char c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;
    return at != NULL ? (int)(at - alphabet) : 0;
}

struct reader {
    uint8_t bytes[4096];
    size_t at; /* in bits */
};

static uint64_t read_bits(struct reader *reader, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++, reader->at++)
        value = value << 1 | (reader->bytes[reader->at / 8] >> (7 - reader->at % 8) & 1);
    return value;
}

static int64_t read_run(struct reader *reader, int k)
{
    int ones = 0;
    while (ones < 32 && read_bits(reader, 1) == 1)
        ones++;
    return 1 + (int64_t)(ones < 32 ? (uint64_t)ones << k | read_bits(reader, k) : read_bits(reader, 62));
}

static void check_range(struct checker *checker, const struct log *log, int partition, int64_t from, int64_t to,
                        const char *what)
{
    for (int64_t offset = from > log->start ? from : log->start; offset < to && offset < log->end; offset++) {
        if (!log->entries[offset].exists)
            continue;
        checker->looked[RULE_COMMIT]++;
        if (!log->entries[offset].durable)
            checker_fail(checker, RULE_COMMIT, "%d@%ld has had no effect and is %s", partition, (long)offset, what);
    }
}

/* To where the head begins; the number of bits. */
static size_t read_text(struct reader *reader, const char *text)
{
    size_t size = strlen(text), bits = 0;
    *reader = (struct reader){.at = 128};
    for (size_t i = 5; i < size && text[i] != '='; i++)
        for (int bit = 5; bit >= 0; bit--, bits++)
            reader->bytes[bits / 8] |= (uint8_t)((value_of(text[i]) >> bit & 1) << (7 - bits % 8));
    return bits;
}

bool checker_is_told(const char *text, int64_t committed, int64_t offset)
{
    struct reader reader;
    if (text == NULL || text[0] == '\0')
        return false;
    read_text(&reader, text);
    if ((int64_t)read_bits(&reader, 64) != committed)
        return false;
    int unfinished_k = (int)read_bits(&reader, 8), finished_k = (int)read_bits(&reader, 8);
    int pairs = (int)read_bits(&reader, 16);
    int64_t at = committed;
    for (int i = 0; i < pairs && at <= offset; i++) {
        at += read_run(&reader, unfinished_k) - (i == 0);
        int64_t to = at + read_run(&reader, finished_k);
        if (offset >= at && offset < to)
            return true;
        at = to;
    }
    return false;
}

static void check_text(struct checker *checker, const struct log *log, int partition, int64_t offset, int64_t known_to,
                       const char *text)
{
    struct reader reader;
    size_t size = strlen(text);
    if (size == 0)
        return;
    if (strncmp(text, "kur1:", 5) != 0 || size > 4096) {
        checker_fail(checker, RULE_COMMIT, "%d: the text is not ours: %.20s", partition, text);
        return;
    }
    size_t bits = read_text(&reader, text);
    if ((int64_t)read_bits(&reader, 64) != offset)
        checker_fail(checker, RULE_COMMIT, "%d: the text is for another offset", partition);
    int unfinished_k = (int)read_bits(&reader, 8), finished_k = (int)read_bits(&reader, 8);
    int pairs = (int)read_bits(&reader, 16);
    int64_t at = offset;
    for (int i = 0; i < pairs && !checker->failed; i++) {
        at += read_run(&reader, unfinished_k) - (i == 0); /* the first may be none */
        int64_t to = at + read_run(&reader, finished_k);
        check_range(checker, log, partition, at, to < known_to ? to : known_to, "called finished by the text");
        at = to;
    }
    if (reader.at > bits)
        checker_fail(checker, RULE_COMMIT, "%d: the text ends too early", partition);
}

void checker_commit(struct checker *checker, const struct log *log, int partition, int64_t offset, const char *text,
                    int64_t known_to, int64_t before)
{
    check_range(checker, log, partition, 0, offset < known_to ? offset : known_to, "below the committed offset");
    check_text(checker, log, partition, offset, known_to, text);
    checker->looked[RULE_BACKWARDS] += before >= 0;
    if (offset < before)
        checker_fail(checker, RULE_BACKWARDS, "%d: %ld is committed after %ld", partition, (long)offset, (long)before);
}

void checker_effect(struct checker *checker, struct entry *entry, int partition, int64_t offset)
{
    entry->durable = true;
    entry->effects++;
    checker->looked[RULE_EXACTLY]++;
    if (entry->effects > 1 + entry->excused)
        checker_fail(checker, RULE_EXACTLY, "%d@%ld is in %d committed transactions, %d are explained", partition,
                     (long)offset, entry->effects, 1 + entry->excused);
}

void checker_end(struct checker *checker, const struct log *log, int partition, int64_t committed)
{
    for (int64_t offset = log->start; offset < log->end; offset++) {
        if (!log->entries[offset].exists)
            continue;
        checker->looked[RULE_LOST]++;
        const struct entry *entry = &log->entries[offset];
        const struct story *story = &checker->stories[entry->story];
        if (!entry->durable)
            checker_fail(checker, RULE_LOST, "%d@%ld has had no effect", partition, (long)offset);
        if (!entry->is_foreign && !entry->was_dropped && story->done + story->dead == 0 && !story->is_elsewhere)
            checker_fail(checker, RULE_LOST, "%d@%ld: no copy of it has come to an end", partition, (long)offset);
    }
    int64_t last = log->end;
    while (last > log->start && !log->entries[last - 1].exists)
        last--;
    checker->looked[RULE_LIVENESS]++;
    if (committed < last)
        checker_fail(checker, RULE_LIVENESS, "%d: committed up to %ld of %ld", partition, (long)committed, (long)last);
}

void checker_end_stories(struct checker *checker, int attempts, bool exactly_once)
{
    for (int i = 0; i < checker->stories_count; i++) {
        const struct story *story = &checker->stories[i];
        bool must_die = story->ending != ENDS_DONE || (attempts > 0 && story->failures >= attempts);
        if (story->is_elsewhere || attempts < 0)
            continue;
        checker->looked[RULE_FATE]++;
        if ((must_die ? story->done : story->dead) > 0)
            checker_fail(checker, RULE_FATE, "a record that fails %d times of %d is %s", story->failures, attempts,
                         must_die ? "done" : "among the dead letters");
        if (exactly_once && story->done + story->dead > 1 + story->excused)
            checker_fail(checker, RULE_EXACTLY, "a record has ended %d times, %d are explained",
                         story->done + story->dead, 1 + story->excused);
    }
}
