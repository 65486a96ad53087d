/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The attempts that failed, one by one, in one text:
 *
 *     1 2026-11-28T21:30:00.000001Z smtp.timeout; 2 2026-11-28T21:30:01Z smtp.timeout; 3 …
 *
 * A time that is not known is "-". A cause has no spaces, so that what separates attempts is not in one. Of many the
 * first one is kept, which tells how it began, and the last ones.
 */
#include <kurier/sys/options.h>
#include <kurier/time.h>
#include <string.h>

#include "retry/retry.h"

/* Takes what stands before `separator` off the front of a text; all of it when that is not there. */
static kur_bytes take(kur_bytes *text, const char *separator)
{
    const char *data = text->data;
    size_t length = strlen(separator);
    for (size_t i = 0; i + length <= text->size; i++)
        if (memcmp(data + i, separator, length) == 0) {
            *text = kur_bytes_of(data + i + length, text->size - i - length);
            return kur_bytes_of(data, i);
        }
    kur_bytes all = *text;
    *text = kur_bytes_of(data + all.size, 0);
    return all;
}

struct attempt {
    int number;
    int64_t at_us;
    kur_bytes cause; /* not cleaned */
};

static bool read_attempt(kur__retry_reader *reader, kur_bytes entry, struct attempt *attempt)
{
    bool was_clamped = reader->is_clamped;
    reader->is_clamped = false;
    attempt->number = (int)kur__retry_number(reader, take(&entry, " "), 1, KUR_RETRY_ATTEMPTS_MAX, 0, 0);
    kur_bytes at = take(&entry, " ");
    attempt->at_us = kur_bytes_equal(at, kur_bytes_text("-")) ? 0 : kur__retry_time(reader, at);
    attempt->cause = entry;
    bool is_good = !reader->is_clamped && attempt->number > 0;
    reader->is_clamped = was_clamped;
    return is_good;
}

/* Room for one more: of those that are there the second goes when there is none. */
static struct attempt *next(struct attempt *attempts, size_t *count)
{
    if (*count == KUR_RETRY_HISTORY_MAX) {
        memmove(&attempts[1], &attempts[2], (KUR_RETRY_HISTORY_MAX - 2) * sizeof *attempts);
        --*count;
    }
    return &attempts[(*count)++];
}

void kur__retry_history_read(kur__retry_reader *reader, kur_bytes value, kur_retry_view *view)
{
    struct attempt attempts[KUR_RETRY_HISTORY_MAX], attempt;
    size_t count = 0, told = 0;
    if (value.data == NULL || value.size == 0)
        return;
    while (value.size > 0) {
        if (read_attempt(reader, take(&value, "; "), &attempt)) {
            *next(attempts, &count) = attempt;
            told++;
        } else {
            reader->is_clamped = true;
        }
    }
    reader->is_clamped = reader->is_clamped || told > count;
    kur_attempt_view *views = kur_arena_alloc(reader->arena, count * sizeof *views);
    const kur_attempt_view **list = kur_arena_alloc(reader->arena, count * sizeof *list);
    if (views == NULL || list == NULL) {
        reader->is_out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        views[i] = (kur_attempt_view){.size = sizeof *views,
                                      .attempt = attempts[i].number,
                                      .at_us = attempts[i].at_us,
                                      .cause = kur__retry_cause(reader, attempts[i].cause)};
        list[i] = &views[i];
    }
    view->attempt_count = count;
    view->attempts = count > 0 ? list : NULL;
}

static size_t write_attempt(const kur_attempt_view *view, char *text)
{
    bool is_changed;
    int number = view->attempt < 1                        ? 1
                 : view->attempt < KUR_RETRY_ATTEMPTS_MAX ? view->attempt
                                                          : KUR_RETRY_ATTEMPTS_MAX;
    size_t size = kur__retry_put_number(text, number), length;
    text[size++] = ' ';
    length = view->at_us > 0 ? kur_time_format(view->at_us, text + size) : 0;
    if (length == 0)
        text[size] = '-';
    size += length > 0 ? length : 1;
    text[size++] = ' ';
    if (view->cause != NULL)
        size += kur__retry_clean_cause(text + size, view->cause, strlen(view->cause), &is_changed);
    return size;
}

kur_status kur__retry_history_write(const kur_retry_view *view, char text[KUR__RETRY_HISTORY_SIZE], size_t *size,
                                    kur_error *error)
{
    size_t count = view->attempt_count, left_out = count > KUR_RETRY_HISTORY_MAX ? count - KUR_RETRY_HISTORY_MAX : 0;
    size_t length = 0;
    if (count > 0 && view->attempts == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "view.attempts is NULL");
    for (size_t i = 0; i < count; i += i == 0 ? left_out + 1 : 1) {
        kur_attempt_view attempt;
        kur_status status =
            view->attempts[i] == NULL
                ? kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "view.attempts[%zu] is NULL", i)
                : kur_options_take(&attempt, sizeof attempt, view->attempts[i], "kur_attempt_view", error);
        if (status != KUR_OK)
            return status;
        if (i > 0) {
            text[length++] = ';';
            text[length++] = ' ';
        }
        length += write_attempt(&attempt, text + length);
    }
    *size = length;
    return KUR_OK;
}
