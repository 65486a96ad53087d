/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Filters: an expression, up to a byte 0xFF, that is refused with its place or judges a record, the same way each time;
 * and the record: a key, two headers, each up to such a byte, and a value.
 */
#include <kurier/filter.h>
#include <kurier/sys/record.h>

#include "fuzz.h"

static void check_refused(const char *text, const kur_error *error)
{
    kur_error again = {0};
    kur_buffer lines = {0};
    need(kur_filter_explain(text, &lines, &again) == error->code && strcmp(again.message, error->message) == 0);
    need(strncmp(error->message, "character ", 10) == 0);
    if (lines.size > 0) {
        /* Two lines, and the caret under a character of the first or right behind it. */
        char *end = strchr(lines.data, '\n'), *caret = strchr(end, '^');
        size_t shown = 0;
        for (const char *at = lines.data; at < end; at++)
            shown += ((unsigned char)*at & 0xc0) != 0x80;
        need(kur_bytes_is_utf8(kur_bytes_of(lines.data, lines.size)));
        need(strspn(end + 1, " ") == (size_t)(caret - end - 1) && strcmp(caret, "^\n") == 0);
        need((size_t)(caret - end - 1) <= shown && shown <= 74);
    }
    kur_buffer_done(&lines);
}

/* What is not so is so not, as long as there is room to say it. */
static void check_opposite(const char *text, const kur_letter *letter, bool is_meant, int64_t now_us, kur_arena *arena)
{
    kur_error error = {0};
    size_t size = strlen(text);
    char *opposite = kur_arena_alloc(arena, size + 7);
    memcpy(opposite, "not (", 5);
    memcpy(opposite + 5, text, size);
    opposite[5 + size] = ')';
    kur_filter *filter = kur_filter_new(opposite, &error);
    need(filter != NULL ? kur_filter_matches(filter, letter, now_us) != is_meant : error.code == KUR_ERROR_TOO_LARGE);
    kur_filter_free(filter);
}

static void judge(kur_bytes *input, const char *text, const kur_filter *filter, kur_arena *arena)
{
    kur_error error = {0};
    kur_bytes parts[3] = {{NULL, 0}};
    for (size_t i = 0; i < 3 && take_text(input, arena, &parts[i]); i++)
        ;
    const kur_header headers[] = {{"a", parts[1]},
                                  {"kurier-retry-cause", parts[2]},
                                  {"kurier-retry-failed", kur_bytes_text("2026-11-28T20:00:00Z")},
                                  {"kurier-retry-topic", kur_bytes_text("t")},
                                  {"kurier-retry-partition", kur_bytes_text("0")},
                                  {"kurier-retry-offset", kur_bytes_text("1")}};
    kur_letter letter = {.size = sizeof letter};
    kur_record *record = kur_record_build(&(kur_record_parts){.topic = "t.g.dlq",
                                                              .timestamp_us = 1,
                                                              .key = parts[0],
                                                              .value = take_rest(input, arena),
                                                              .headers = headers,
                                                              .header_count = sizeof headers / sizeof *headers},
                                          &error);
    need(record != NULL && kur_letter_read(record, arena, &letter, &error) == KUR_OK);
    int64_t now_us = letter.failed_us + INT64_C(3600) * 1000000;
    bool is_meant = kur_filter_matches(filter, &letter, now_us);
    need(kur_filter_matches(filter, &letter, now_us) == is_meant);
    check_opposite(text, &letter, is_meant, now_us, arena);
    kur_record_free(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_arena *arena = kur_arena_new();
    kur_bytes input = kur_bytes_of(data, size), text;
    need(arena != NULL);
    if (take_text(&input, arena, &text)) {
        kur_error error = {0};
        kur_filter *filter = kur_filter_new(text.data, &error);
        if (filter != NULL)
            judge(&input, text.data, filter, arena);
        else {
            need_error(error.code, &error);
            check_refused(text.data, &error);
        }
        kur_filter_free(filter);
    }
    kur_arena_free(arena);
    return 0;
}
