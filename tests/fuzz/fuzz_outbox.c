/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What stands in a row of the outbox, which whoever can write to the table can write: headers that are read are written
 * again as they were, byte by byte, with memory in proportion to them; those that are refused take none. And headers of
 * any kind, written and read.
 *
 * The first byte chooses: even: the rest is the column; odd: names and values, each up to a byte 0xFF.
 */
#include "outbox/outbox.h"

#include "fuzz.h"

enum {
    HEADERS_MAX = 64
};

static void read_and_write(kur_bytes input, kur_arena *arena)
{
    kur_error error = {0};
    const kur_header *headers = NULL;
    size_t count = 99, before = kur_arena_size(arena);
    kur_status status = kur__headers_read(input, arena, &headers, &count, &error);
    size_t taken = kur_arena_size(arena) - before;
    if (status != KUR_OK) {
        need(status == KUR_ERROR_SYNTAX && headers == NULL && count == 99 && taken == 0);
        need_error(status, &error);
        return;
    }
    /* A header is two bytes at least, and its name gets a NUL. */
    need(count <= input.size / 2 && taken <= count * sizeof *headers + input.size + 32);
    kur_buffer again = {0};
    need(kur__headers_write(headers, count, &again, &error) == KUR_OK);
    need(kur_bytes_equal(kur_bytes_of(again.data, again.size), input));
    kur_buffer_done(&again);

    kur_message message;
    kur_outbox_row row = {.size = sizeof row, .topic = "t", .headers = input};
    need(kur__outbox_message(&row, arena, &message, &error) == KUR_OK);
    need(message.header_count == count && message.verbatim && message.tombstone);
}

static void write_and_read(kur_bytes input, kur_arena *arena)
{
    kur_error error = {0};
    kur_header headers[HEADERS_MAX];
    const kur_header *read;
    size_t count = 0, read_count;
    kur_bytes name;
    while (count < HEADERS_MAX && take_text(&input, arena, &name)) {
        headers[count].name = name.data; /* up to its first NUL */
        headers[count].value = (kur_bytes){0};
        if (take_byte(&input) % 4 != 0 && !take_text(&input, arena, &headers[count].value))
            headers[count].value = take_rest(&input, arena);
        count++;
    }
    kur_buffer bytes = {0};
    need(kur__headers_write(headers, count, &bytes, &error) == KUR_OK);
    need(kur__headers_read(kur_bytes_of(bytes.data, bytes.size), arena, &read, &read_count, &error) == KUR_OK);
    need(read_count == count);
    for (size_t i = 0; i < count; i++)
        need(strcmp(read[i].name, headers[i].name) == 0 && kur_bytes_equal(read[i].value, headers[i].value));
    kur_buffer_done(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_bytes input = kur_bytes_of(data, size);
    kur_arena *arena = kur_arena_new();
    bool is_odd = take_byte(&input) % 2 == 1;
    kur_bytes rest = take_rest(&input, arena);
    if (is_odd)
        write_and_read(rest, arena);
    else
        read_and_write(rest, arena);
    for (int32_t shards = 1; shards <= KUR_OUTBOX_SHARDS_MAX; shards *= 4) {
        int32_t shard = kur__outbox_shard(rest, (uint32_t)size, shards);
        need(shard >= 0 && shard < shards);
    }
    kur_arena_free(arena);
    return 0;
}
