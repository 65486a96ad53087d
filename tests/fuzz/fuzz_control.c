/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Control records of an outbox's relays as whoever may write to their topic would have them: the input is a value,
 * whose head is made right when its first byte says so, and is read as shard 3's. What is read is by id, and written
 * again it is the same bytes; so there is no second way to say a set.
 */
#include <kurier/sys/memory.h>

#include "fuzz.h"
#include "outbox/control.h"

static const kur_uuid database = {{7}};

enum {
    DATABASE_AT = 1,
    COUNT_AT = 17,
    SHARD = 3
};

static void make_right(uint8_t *value, size_t size)
{
    if (size < COUNT_AT + 4)
        return;
    value[0] = 1;
    memcpy(value + DATABASE_AT, database.bytes, sizeof database.bytes);
    memset(value + COUNT_AT, 0, 2);
}

static void need_same(const kur_outbox_id *rows, size_t count, kur_bytes value)
{
    kur__control control = {0};
    need(kur__control_begin(&control, &database) == KUR_OK);
    for (size_t i = 0; i < count; i++) {
        need(rows[i].shard == SHARD && rows[i].id > (i > 0 ? rows[i - 1].id : 0));
        need(kur__control_add(&control, rows[i].id, rows[i].mark) == KUR_OK);
    }
    need(kur_bytes_equal(kur__control_value(&control), value));
    kur__control_done(&control);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_bytes input = kur_bytes_of(data, size);
    kur_arena *arena = kur_arena_new();
    kur_error error = {0};
    kur_outbox_id *rows = NULL;
    size_t count = 0;
    bool is_made_right = take_byte(&input) != 0;
    kur_bytes value = take_rest(&input, arena);
    if (is_made_right && value.size > 0)
        make_right((uint8_t *)(uintptr_t)value.data, value.size);
    kur_status status = kur__control_read(kur_bytes_text("3"), value, SHARD, &database, &rows, &count, &error);
    if (status == KUR_OK && value.data != NULL)
        need_same(rows, count, value);
    else if (status != KUR_OK)
        need_error(status, &error);
    need(status != KUR_ERROR_NO_MEMORY && (status == KUR_OK || rows == NULL));
    kur_free(rows);
    kur_arena_free(arena);
    return 0;
}
