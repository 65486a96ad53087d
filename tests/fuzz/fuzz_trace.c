/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Trace context from outside. The input is three texts, each ended by 0xFF: traceparent, tracestate, baggage. What is
 * believed is judged by the grammar of W3C Trace Context as a regular expression, and travels on to a child unchanged.
 */
#include "fuzz.h"

#include <regex.h>

static regex_t grammar;

int LLVMFuzzerInitialize(int *count, char ***arguments);

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    need(regcomp(&grammar, "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]*)?$", REG_EXTENDED | REG_NOSUB) ==
         0);
    return 0;
}

/* Level 1: version 00 has exactly 55 characters, ff is no version, an id of zeros is none. */
static bool is_traceparent(kur_bytes value)
{
    const char *text = value.data;
    return strlen(text) == value.size && value.size <= 512 && regexec(&grammar, text, 0, NULL, 0) == 0 &&
           strncmp(text, "ff", 2) != 0 && (strncmp(text, "00", 2) != 0 || value.size == 55) &&
           strncmp(text + 3, "00000000000000000000000000000000", 32) != 0 &&
           strncmp(text + 36, "0000000000000000", 16) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"traceparent", "TraceState", "baggage"};
    kur_bytes input = kur_bytes_of(data, size), values[3] = {{0}};
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur__envelope_reader reader;
    kur__envelope_begin(&reader);
    for (size_t i = 0; i < 3 && take_text(&input, arena, &values[i]); i++)
        kur__envelope_take(&reader, names[i], values[i]);
    kur_event_view view = KUR_EVENT_VIEW();
    need(kur__envelope_finish(&reader, NULL, &view, &error) == KUR_OK);
    need_event(&view);
    need((view.traceparent != NULL) == (values[0].data != NULL && is_traceparent(values[0])));
    need(view.traceparent == NULL || view.traceparent == values[0].data);
    need(view.tracestate == NULL || (view.tracestate == values[1].data && values[1].size <= 512));
    need(view.baggage == NULL || (view.baggage == values[2].data && values[2].size <= 8192));
    need_child(&view, KUR_EVENT_BINARY, arena);
    need_child(&view, KUR_EVENT_STRUCTURED, arena);
    kur_arena_free(arena);
    return 0;
}
