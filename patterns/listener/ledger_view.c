/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the text beside a commit for tools, read by the listener's own reader, so that there is one form of it.
 * For whichever log it was written: a tool may not know that, and looks, but does not go on by it.
 */
#include <kurier/ledger.h>
#include <kurier/sys/error.h>
#include <kurier/sys/options.h>

#include "listener/ledger.h"

static kur_status take(const kur__ledger *ledger, int64_t committed, kur_arena *arena, kur_ledger_view *view,
                       kur_error *error)
{
    size_t count = ledger->done_count;
    kur_ledger_range *ranges = count > 0 ? kur_arena_alloc(arena, count * sizeof *ranges) : NULL;
    if (count > 0 && ranges == NULL)
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a ledger");
    kur_ledger_view made = {.end = committed, .range_count = count, .ranges = ranges};
    for (size_t i = 0; i < count; i++) {
        ranges[i] = (kur_ledger_range){ledger->done[i].from, ledger->done[i].to};
        made.finished += ranges[i].to - ranges[i].from;
        made.end = ranges[i].to;
    }
    kur_options_give(view, &made, sizeof made);
    return KUR_OK;
}

kur_status kur_ledger_read(const char *text, int64_t committed, kur_arena *arena, kur_ledger_view *view,
                           kur_error *error)
{
    static const kur__ledger_log any = {0, 0, 0};
    kur__ledger ledger;
    if (arena == NULL)
        return kur_error_null(error, "arena");
    if (view == NULL || view->size < sizeof(size_t))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "view is NULL, or its size is not set");
    if (committed < 0 || committed > KUR__LEDGER_OFFSET_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "committed is out of range");
    kur_status status = kur__ledger_read(&ledger, committed, &any, text, error);
    if (status != KUR_OK)
        return status;
    status = take(&ledger, committed, arena, view, error);
    kur__ledger_done(&ledger);
    return status;
}
