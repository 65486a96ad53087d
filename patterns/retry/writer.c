/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Headers that are to be written: collected first, since only the sum of all tells what must go.
 */
#include <kurier/time.h>
#include <string.h>

#include "retry/retry.h"

enum {
    HEADER_BYTES = 10 /* what a batch needs for the two lengths, at most */
};

static const char *const names[] = {
#define NAME(part, name) "kurier-retry-" name,
    KUR__RETRY_PARTS(NAME)
#undef NAME
};

/* ---- Adding ---- */

void kur__retry_writer_begin(kur__retry_writer *writer, kur_arena *arena)
{
    writer->arena = arena; /* one by one: what is told is large, and empty */
    writer->count = 0;
    writer->is_out_of_memory = false;
}

size_t kur__retry_put_number(char *to, int64_t number)
{
    char digits[KUR__RETRY_NUMBER_SIZE];
    size_t size = 0;
    do
        digits[size++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    for (size_t i = 0; i < size; i++)
        to[i] = digits[size - 1 - i];
    return size;
}

void kur__retry_add(kur__retry_writer *writer, const char *name, kur__retry_rank rank, const void *data, size_t size)
{
    const char *kept = kur_arena_copy(writer->arena, data, size);
    if (kept == NULL) {
        writer->is_out_of_memory = true;
        return;
    }
    writer->told[writer->count].header = (kur_header){name, kur_bytes_of(kept, size)};
    writer->told[writer->count].rank = rank;
    writer->count++;
}

void kur__retry_add_number(kur__retry_writer *writer, kur__retry_part part, int64_t number)
{
    char text[KUR__RETRY_NUMBER_SIZE];
    kur__retry_add(writer, names[part], KUR__RETRY_NEEDED, text, kur__retry_put_number(text, number));
}

void kur__retry_add_time(kur__retry_writer *writer, kur__retry_part part, int64_t time_us)
{
    char text[KUR_TIME_TEXT_SIZE];
    size_t size = kur_time_format(time_us, text);
    if (size > 0)
        kur__retry_add(writer, names[part], KUR__RETRY_NEEDED, text, size);
}

void kur__retry_add_bytes(kur__retry_writer *writer, kur__retry_part part, kur_bytes value)
{
    kur__retry_rank rank = part == KUR__RETRY_MESSAGE   ? KUR__RETRY_IS_MESSAGE
                           : part == KUR__RETRY_HISTORY ? KUR__RETRY_IS_HISTORY
                                                        : KUR__RETRY_NEEDED;
    if (value.size > 0)
        kur__retry_add(writer, names[part], rank, value.data, value.size);
}

void kur__retry_add_text(kur__retry_writer *writer, kur__retry_part part, const char *text, size_t most)
{
    char clean[KUR__RETRY_MESSAGE_MAX + 1];
    bool is_changed;
    size_t size = text != NULL ? kur__retry_clean(clean, text, strlen(text), most, &is_changed) : 0;
    kur__retry_add_bytes(writer, part, kur_bytes_of(clean, size));
}

/* ---- Composing ---- */

static size_t size_of(const kur_header *header)
{
    return strlen(header->name) + header->value.size + HEADER_BYTES;
}

static bool is_own(const kur_record *record, size_t index, kur_header_style style, kur_header *header)
{
    return kur_record_header(record, index, header) && !kur_retry_is_header(header->name, style);
}

/* What is told up to a rank. */
static size_t told_bytes(const kur__retry_writer *writer, kur__retry_rank highest)
{
    size_t size = 0;
    for (size_t i = 0; i < writer->count; i++)
        size += writer->told[i].rank <= highest ? size_of(&writer->told[i].header) : 0;
    return size;
}

static bool has(const kur__retry_writer *writer, const char *name)
{
    for (size_t i = 0; i < writer->count; i++)
        if (strcmp(writer->told[i].header.name, name) == 0)
            return true;
    return false;
}

kur_status kur__retry_compose(kur__retry_writer *writer, const kur_record *record, kur_header_style style,
                              size_t max_bytes, const kur_header **headers, size_t *count, kur_error *error)
{
    size_t all = kur_record_header_count(record), own_count = 0, own_bytes = 0, made = 0;
    kur_header header;
    for (size_t i = 0; i < all; i++)
        if (is_own(record, i, style, &header)) {
            own_count++;
            own_bytes += size_of(&header);
        }
    kur__retry_rank highest = KUR__RETRY_IS_HISTORY;
    while (max_bytes > 0 && highest > KUR__RETRY_NEEDED && own_bytes + told_bytes(writer, highest) > max_bytes)
        highest--;
    size_t room = SIZE_MAX;
    if (max_bytes > 0 && own_bytes + told_bytes(writer, highest) > max_bytes) {
        if (!has(writer, names[KUR__RETRY_STUB]))
            kur__retry_add_number(writer, KUR__RETRY_STUB, 1);
        size_t told = told_bytes(writer, highest);
        room = told < max_bytes ? max_bytes - told : 0;
    }
    kur_header *list = kur_arena_alloc(writer->arena, (own_count + writer->count) * sizeof *list);
    if (list == NULL || writer->is_out_of_memory)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < all; i++)
        if (is_own(record, i, style, &header) && size_of(&header) <= room) {
            list[made++] = header;
            room -= room != SIZE_MAX ? size_of(&header) : 0;
        }
    for (size_t i = 0; i < writer->count; i++)
        if (writer->told[i].rank <= highest)
            list[made++] = writer->told[i].header;
    *headers = list;
    *count = made;
    return KUR_OK;
}
