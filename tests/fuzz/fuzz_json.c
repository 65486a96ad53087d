/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * JSON from outside: whatever is read is valid, is written again, and reads back as the same value; whatever is refused
 * says why in one line and leaves the record as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "shop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool condition)
{
    if (!condition)
        abort();
}

static void round_trip(const kur_type *type, kur_bytes json, kur_arena *arena)
{
    kur_error error = {0};
    void *record = kur_arena_alloc(arena, type->size), *back = kur_arena_alloc(arena, type->size);
    kur_status status = kur_json_read(type, json, arena, record, &error);
    if (status != KUR_OK) {
        /* Memory is never out here: what jansson refuses, our grammar must refuse as well. */
        need(status != KUR_ERROR_NO_MEMORY);
        need(error.code == status && error.message[0] != '\0' && strchr(error.message, '\n') == NULL);
        need(kur_bytes_is_utf8(kur_bytes_text(error.message)));
        for (size_t i = 0; i < type->size; i++)
            need(((char *)record)[i] == 0);
        return;
    }
    need(kur_type_validate(type, record, &error) == KUR_OK);
    kur_buffer text = {0}, printed = {0};
    need(kur_json_write(type, record, &text, &error) == KUR_OK);
    need(kur_type_print(type, record, &printed, &error) == KUR_OK);
    /* What is written can be longer than what was read: escapes, defaults. */
    if (text.size <= KUR_JSON_SIZE_MAX) {
        need(kur_json_read(type, kur_bytes_of(text.data, text.size), arena, back, &error) == KUR_OK);
        need(kur_type_compare(type, record, back) == 0);
    }
    kur_buffer_done(&text);
    kur_buffer_done(&printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const kur_type *const types[] = {&kinds_type, &order_created_type, &settings_type, &tree_type};
    if (size == 0)
        return 0;
    kur_arena *arena = kur_arena_new();
    round_trip(types[data[0] % 4], kur_bytes_of(data + 1, size - 1), arena);
    kur_arena_free(arena);
    return 0;
}
