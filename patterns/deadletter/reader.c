/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a reader is two scans, one after the other: first the audit's topic, for what is discarded, then the
 * topics of dead letters. A topic of the audit that is missing means that nothing is discarded; one that may not be
 * read is an error, for letters that were put aside would come back in silence.
 */
#include <kurier/filter.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <kurier/sys/topic.h>
#include <string.h>

#include "deadletter/deadletter.h"

enum {
    TIMEOUT_DEFAULT_MS = 30000,
    PROGRESS_US = 200 * 1000,
    CLOCK_EVERY = 256 /* records between two looks at the clock */
};

struct kur_letter_reader {
    kur_client *client;
    kur_letter_reader_options options;
    kur_letter_filter filter;
    kur_filter *where;
    kur_arena *kept, *arena; /* the options' texts; the letter at hand */
    const char **topics;
    kur__scan *scan;
    bool is_over;
    kur_error failed;
    kur__discards discards;
    kur_letter letter;
    int64_t read, given, discarded;
    int64_t told_us;
};

/* ---- Making ---- */

static kur_status no_memory(kur_error *error)
{
    return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a reader of letters");
}

static kur_status keep(kur_letter_reader *reader, kur_error *error)
{
    const char **texts[] = {&reader->filter.cause, &reader->filter.type, &reader->filter.group, &reader->filter.origin};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (*texts[i] != NULL && (*texts[i] = kur_arena_copy(reader->kept, *texts[i], strlen(*texts[i]))) == NULL)
            return no_memory(error);
    kur_bytes *key = &reader->filter.key;
    if (key->data != NULL && (key->data = kur_arena_copy(reader->kept, key->data, key->size)) == NULL)
        return no_memory(error);
    if (reader->filter.where != NULL &&
        (reader->where = kur_filter_new(kur_filter_text(reader->filter.where), error)) == NULL)
        return no_memory(error);
    reader->filter.where = reader->where;
    size_t count = 0;
    while (reader->options.topics[count] != NULL)
        count++;
    reader->topics = kur_arena_alloc(reader->kept, (count + 1) * sizeof *reader->topics);
    for (size_t i = 0; i < count && reader->topics != NULL; i++) {
        const char *topic = reader->options.topics[i];
        if (!kur_topic_is_valid(topic))
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".topics: \"%.60s\" is not the name of a topic",
                                 topic);
        if ((reader->topics[i] = kur_arena_copy(reader->kept, topic, strlen(topic))) == NULL)
            return no_memory(error);
    }
    return reader->topics != NULL ? KUR_OK : no_memory(error);
}

static kur_status check(const kur_letter_reader *reader, kur_error *error)
{
    const kur_letter_reader_options *options = &reader->options;
    const kur_letter_filter *filter = &reader->filter;
    if (options->topics == NULL || options->topics[0] == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".topics is missing");
    if (options->timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".timeout_ms is negative");
    if (filter->older_than_ms < 0 || filter->younger_than_ms < 0 || filter->partition < 0 || filter->from_offset < 0 ||
        filter->to_offset < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".filter: a number is negative");
    return KUR_OK;
}

kur_letter_reader *kur_letter_reader_new(kur_client *client, const kur_letter_reader_options *options, kur_error *error)
{
    if (client == NULL) {
        kur_error_null(error, "client");
        return NULL;
    }
    kur_letter_reader *reader = kur_calloc(1, sizeof *reader);
    if (reader == NULL) {
        no_memory(error);
        return NULL;
    }
    reader->client = kur_client_ref(client);
    reader->kept = kur_arena_new();
    reader->arena = kur_arena_new();
    kur_status status = reader->kept != NULL && reader->arena != NULL ? KUR_OK : no_memory(error);
    if (status == KUR_OK)
        status =
            kur_options_take(&reader->options, sizeof reader->options, options, "kur_letter_reader_options", error);
    if (status == KUR_OK)
        status = kur_options_take(&reader->filter, sizeof reader->filter, reader->options.filter, "kur_letter_filter",
                                  error);
    if (status == KUR_OK)
        status = check(reader, error);
    if (status == KUR_OK)
        status = keep(reader, error);
    if (status != KUR_OK) {
        kur_letter_reader_free(reader);
        return NULL;
    }
    reader->filter.size = sizeof reader->filter;
    reader->discards.topics = reader->topics;
    if (reader->options.timeout_ms == 0)
        reader->options.timeout_ms = TIMEOUT_DEFAULT_MS;
    return reader;
}

void kur_letter_reader_free(kur_letter_reader *reader)
{
    if (reader == NULL)
        return;
    kur__scan_free(reader->scan);
    kur__discards_done(&reader->discards);
    kur_filter_free(reader->where);
    kur_arena_free(reader->kept);
    kur_arena_free(reader->arena);
    kur_client_unref(reader->client);
    kur_free(reader);
}

/* ---- Progress ---- */

static void tell(const kur_letter_reader *reader, kur_letter_progress *progress)
{
    *progress = KUR_LETTER_PROGRESS(.read = reader->read, .given = reader->given, .discarded = reader->discarded);
    if (reader->scan != NULL)
        kur__scan_progress(reader->scan, progress);
}

kur_status kur_letter_reader_progress(const kur_letter_reader *reader, kur_letter_progress *progress, kur_error *error)
{
    if (reader == NULL)
        return kur_error_null(error, "reader");
    if (progress == NULL || progress->size < sizeof(size_t))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "progress is NULL, or its size is not set");
    kur_letter_progress now;
    tell(reader, &now);
    kur_options_give(progress, &now, sizeof now);
    return KUR_OK;
}

static kur_status report(void *user, kur_error *error)
{
    kur_letter_reader *reader = user;
    int64_t now_us = kur_clock_monotonic_us();
    if (reader->options.on_progress == NULL || now_us - reader->told_us < PROGRESS_US)
        return KUR_OK;
    reader->told_us = now_us;
    kur_letter_progress progress;
    tell(reader, &progress);
    if (reader->options.on_progress(&progress, reader->options.user))
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_CANCELLED, "the reading was ended by its caller");
}

/* ---- Reading ---- */

static kur_status start(kur_letter_reader *reader, kur_error *error)
{
    int timeout_ms = reader->options.timeout_ms;
    const kur_letter_filter *filter = &reader->filter;
    const kur__scan_range range = {
        .partition = filter->partition - 1, .from = filter->from_offset, .to = filter->to_offset};
    kur_status status = KUR_OK;
    if (!reader->options.with_discarded)
        status = kur__discards_read(&reader->discards, reader->client, timeout_ms, report, reader, error);
    if (status == KUR_OK)
        status = kur__scan_new(&reader->scan, reader->client, reader->topics, &range, timeout_ms, error);
    return status;
}

static size_t topic_of(const kur_letter_reader *reader, const char *name)
{
    size_t i = 0;
    while (reader->topics[i] != NULL && strcmp(reader->topics[i], name) != 0)
        i++;
    return i;
}

/* One record: whether it is a letter that is asked for. */
static kur_status judge(kur_letter_reader *reader, const kur_record *record, bool *is_meant, kur_error *error)
{
    kur_letter *letter = &reader->letter;
    kur_arena_reset(reader->arena);
    letter->size = sizeof *letter;
    kur_status status = kur_letter_read(record, reader->arena, letter, error);
    if (status != KUR_OK)
        return status;
    reader->read++;
    *is_meant = kur_letter_fits(letter, &reader->filter, kur_clock_now_us());
    if (*is_meant && reader->discards.count > 0 &&
        kur__discards_have(&reader->discards, topic_of(reader, letter->topic), letter)) {
        reader->discarded++;
        *is_meant = false;
    }
    reader->given += *is_meant;
    return KUR_OK;
}

static kur_status next(kur_letter_reader *reader, const kur_letter **letter, kur_error *error)
{
    kur_status status = reader->scan == NULL ? start(reader, error) : KUR_OK;
    bool is_meant = false;
    while (status == KUR_OK && !is_meant && !reader->is_over) {
        const kur_record *record;
        status = kur__scan_next(reader->scan, &record, &reader->is_over, error);
        if (status == KUR_OK && record != NULL)
            status = judge(reader, record, &is_meant, error);
        if (status == KUR_OK && (record == NULL || reader->read % CLOCK_EVERY == 0))
            status = report(reader, error);
    }
    *letter = status == KUR_OK && is_meant ? &reader->letter : NULL;
    return status;
}

kur_status kur_letter_reader_next(kur_letter_reader *reader, const kur_letter **letter, kur_error *error)
{
    if (reader == NULL)
        return kur_error_null(error, "reader");
    if (letter == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "letter is NULL");
    *letter = NULL;
    if (reader->failed.code == KUR_OK && !reader->is_over) {
        kur_error why = {0};
        if (next(reader, letter, &why) != KUR_OK)
            reader->failed = why;
    }
    if (reader->failed.code != KUR_OK && error != NULL)
        *error = reader->failed;
    return reader->failed.code;
}
