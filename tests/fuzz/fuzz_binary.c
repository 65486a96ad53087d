/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Headers from outside, binary mode and plain records. The input is a byte, then a row of texts, each ended by 0xFF:
 * name, value, name, value, …, and what is left is the record's value. The byte's bits put required attributes in
 * front, so that the others are reached.
 */
#include "fuzz.h"
#include "shop.h"

static void take_required(kur__envelope_reader *reader, unsigned bits)
{
    static const char *const required[][2] = {
        {"ce_specversion", "1.0"}, {"ce_id", "i"}, {"ce_source", "/s"}, {"ce_type", "t.v1"}};
    for (size_t i = 0; i < 4; i++)
        if ((bits >> i & 1) != 0)
            kur__envelope_take(reader, required[i][0], kur_bytes_text(required[i][1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kur_bytes input = kur_bytes_of(data, size), name, value;
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur__envelope_reader reader;
    kur__envelope_begin(&reader);
    take_required(&reader, take_byte(&input));
    while (take_text(&input, arena, &name) && take_text(&input, arena, &value))
        kur__envelope_take(&reader, name.data, value);
    kur_event_view view = KUR_EVENT_VIEW(.data = take_rest(&input, arena));
    kur_bytes before = view.data;
    /* Neither mode asks for an arena; structured mode is another fuzzer's. */
    kur_status status = kur__envelope_finish(&reader, NULL, &view, &error);
    if (status == KUR_OK) {
        need(view.mode == KUR_EVENT_BINARY || view.mode == KUR_EVENT_PLAIN);
        need(view.data.data == before.data && view.data.size == before.size);
        need_event(&view);
        struct order_created order;
        status = kur_event_decode(&view, &order_created_type, arena, &order, &error);
        if (status != KUR_OK)
            need_error(status, &error);
        need_child(&view, KUR_EVENT_BINARY, arena);
    } else {
        need_error(status, &error);
    }
    kur_arena_free(arena);
    return 0;
}
