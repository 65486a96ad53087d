/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Bytes by a plan: whatever is read is valid, is written again, and reads back as the same; whatever is refused says
 * why in one line and leaves the record as it was. And bytes by any schema.
 */
#ifndef KURIER_TESTS_FUZZ_AVRO_H
#define KURIER_TESTS_FUZZ_AVRO_H

#include <kurier/avro.h>

#include "fuzz.h"

enum {
    STRUCTS_MAX = 33 * 1024 * 1024
};

static inline void avro_written_reads(const kur_type *type, const void *record, const kur_avro_plan *own,
                                      kur_arena *arena)
{
    kur_error error = {0};
    kur_buffer data = {0};
    void *back = kur_arena_alloc(arena, type->size);
    need(kur_type_validate(type, record, &error) == KUR_OK);
    need(kur_avro_write(type, record, &data, &error) == KUR_OK);
    need(kur_avro_read(own, kur_bytes_of(data.data, data.size), arena, back, &error) == KUR_OK);
    need(kur_type_compare(type, record, back) == 0);
    kur_buffer_done(&data);
}

static inline void avro_by_plan(const kur_avro_plan *plan, const kur_avro_plan *own, const kur_type *type,
                                kur_bytes data, kur_arena *arena)
{
    kur_error error = {0};
    char *record = kur_arena_alloc(arena, type->size);
    size_t before = kur_arena_size(arena);
    kur_status status = kur_avro_read(plan, data, arena, record, &error);
    need(kur_arena_size(arena) - before <= STRUCTS_MAX + data.size);
    if (status == KUR_OK) {
        avro_written_reads(type, record, own, arena);
        return;
    }
    need(status != KUR_ERROR_NO_MEMORY && status != KUR_ERROR_INVALID_ARGUMENT);
    need_error(status, &error);
    for (size_t i = 0; i < type->size; i++)
        need(record[i] == 0);
}

/* What is shown as JSON is JSON that can be read back, but for what JSON's reader refuses: a NUL, a name twice. */
static inline void avro_by_schema(const kur_schema *schema, kur_bytes data)
{
    kur_error error = {0};
    kur_buffer json = {0}, back = {0}, again = {0};
    kur_status status = kur_avro_to_json(schema, data, &json, &error);
    if (status != KUR_OK) {
        need_error(status, &error);
        need(json.size == 0 && status != KUR_ERROR_NO_MEMORY);
    } else {
        need(kur_bytes_is_utf8(kur_bytes_of(json.data, json.size)));
        status = kur_avro_from_json(schema, kur_bytes_of(json.data, json.size), &back, &error);
        if (status == KUR_OK)
            need(kur_avro_to_json(schema, kur_bytes_of(back.data, back.size), &again, &error) == KUR_OK);
        else
            need_error(status, &error);
    }
    kur_buffer_done(&json);
    kur_buffer_done(&back);
    kur_buffer_done(&again);
}

#endif
