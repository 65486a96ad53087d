/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * JSON from outside: whatever is read is valid, is written again, and reads back as the same value; whatever is refused
 * says why in one line and leaves the record as it was.
 */
#ifndef KURIER_TESTS_ROUND_TRIP_H
#define KURIER_TESTS_ROUND_TRIP_H

#include <kurier/json.h>

#include "fuzz.h"

/* A record that validates is written, and reads back as itself. */
static inline void write_and_read(const kur_type *type, const void *record, kur_buffer *text, kur_arena *arena)
{
    kur_error error = {0};
    kur_buffer printed = {0};
    void *back = kur_arena_alloc(arena, type->size);
    need(kur_json_write(type, record, text, &error) == KUR_OK);
    need(kur_type_print(type, record, &printed, &error) == KUR_OK);
    /* What is written can be longer than what was read: escapes, defaults. */
    if (text->size <= KUR_JSON_SIZE_MAX) {
        need(kur_json_read(type, kur_bytes_of(text->data, text->size), arena, back, &error) == KUR_OK);
        need(kur_type_compare(type, record, back) == 0);
    }
    kur_buffer_done(&printed);
}

static inline void round_trip(const kur_type *type, kur_bytes json, kur_arena *arena)
{
    kur_error error = {0};
    char *record = kur_arena_alloc(arena, type->size);
    kur_status status = kur_json_read(type, json, arena, record, &error);
    if (status != KUR_OK) {
        /* Memory is never out here: what jansson refuses, our grammar must refuse as well. */
        need(status != KUR_ERROR_NO_MEMORY);
        need_error(status, &error);
        for (size_t i = 0; i < type->size; i++)
            need(record[i] == 0);
        return;
    }
    kur_buffer text = {0};
    need(kur_type_validate(type, record, &error) == KUR_OK);
    write_and_read(type, record, &text, arena);
    kur_buffer_done(&text);
}

#endif
