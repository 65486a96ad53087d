/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What `kurier dlq import` is given, and what stands in the audit's topic. The first byte chooses: a line of JSON,
 * which is refused with its place or read, and then reads back as the same record when it is exported; or a key, up to
 * a byte 0xFF, and a value of the audit, which hide at most one letter.
 */
#include <kurier/sys/record.h>

#include "deadletter/deadletter.h"
#include "fuzz.h"

static bool same_line(const kur_letter_line *a, const kur_letter_line *b)
{
    bool is_same = a->timestamp_ms == b->timestamp_ms && a->header_count == b->header_count &&
                   kur_bytes_equal(a->key, b->key) && kur_bytes_equal(a->value, b->value);
    for (size_t i = 0; i < a->header_count && is_same; i++)
        is_same = strcmp(a->headers[i].name, b->headers[i].name) == 0 &&
                  kur_bytes_equal(a->headers[i].value, b->headers[i].value);
    return is_same;
}

static void export_again(const kur_letter_line *line, kur_arena *arena)
{
    kur_error error = {0};
    kur_buffer text = {0};
    kur_letter letter = {.size = sizeof letter};
    kur_letter_line again = KUR_LETTER_LINE();
    kur_record *record =
        kur_record_build(&(kur_record_parts){.topic = line->topic != NULL ? line->topic : "t.dlq",
                                             .partition = line->partition >= 0 ? line->partition : 0,
                                             .offset = line->offset >= 0 ? line->offset : 0,
                                             .timestamp_us = line->timestamp_ms >= 0 ? line->timestamp_ms * 1000 : -1,
                                             .key = line->key,
                                             .value = line->value,
                                             .headers = line->headers,
                                             .header_count = line->header_count},
                         &error);
    need(record != NULL && kur_letter_read(record, arena, &letter, &error) == KUR_OK);
    need(letter.retry != NULL && letter.retry->cause != NULL && letter.type != NULL);
    need(kur_letter_export(&letter, &text, &error) == KUR_OK);
    for (size_t i = 0; i + 1 < text.size; i++)
        need(text.data[i] >= 0x20 && text.data[i] < 0x7f);
    need(kur_letter_parse(kur_bytes_of(text.data, text.size), arena, &again, &error) == KUR_OK);
    need(same_line(line, &again));
    kur_buffer_done(&text);
    kur_record_free(record);
}

static void read_line(kur_bytes text, kur_arena *arena)
{
    kur_error error = {0};
    kur_letter_line line = KUR_LETTER_LINE();
    if (text.data == NULL)
        return;
    kur_status status = kur_letter_parse(text, arena, &line, &error);
    if (status == KUR_OK)
        export_again(&line, arena);
    else
        need_error(status, &error);
}

static void read_audit(kur_bytes *input, kur_arena *arena)
{
    static const char *const topics[] = {"a.dlq", "b.dlq", NULL};
    kur_error error = {0};
    kur_bytes key;
    kur__discards discards = {.topics = topics};
    for (int i = 0; i < 8 && take_text(input, arena, &key); i++) {
        kur_bytes value = take_rest(input, arena);
        kur_record *record =
            kur_record_build(&(kur_record_parts){.topic = KUR_LETTER_AUDIT_TOPIC, .key = key, .value = value}, &error);
        need(record != NULL && kur__discards_take(&discards, record));
        kur_record_free(record);
        need(discards.count <= (size_t)i + 1);
    }
    for (size_t i = 0; i < discards.capacity; i++)
        need(discards.places[i].topic >= -1 && discards.places[i].topic < 2 &&
             (discards.places[i].topic < 0 || (discards.places[i].partition >= 0 && discards.places[i].offset >= 0)));
    kur__discards_done(&discards);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_arena *arena = kur_arena_new();
    kur_bytes input = kur_bytes_of(data, size);
    need(arena != NULL);
    if (take_byte(&input) == 'a')
        read_audit(&input, arena);
    else
        read_line(take_rest(&input, arena), arena);
    kur_arena_free(arena);
    return 0;
}
