/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/ledger.h>: what a listener tells beside a committed offset. Records finish out of order; Kafka keeps one
 * offset, the first that is not finished, and what is finished above it stands in the commit's metadata as text. A tool
 * that does not read it takes for unread what is long done:
 *
 *     kur_ledger_view ledger = KUR_LEDGER_VIEW();
 *     if (kur_ledger_read(lag->metadata, lag->committed, arena, &ledger, &error) == KUR_OK)
 *         printf("%lld of %lld are done\n", (long long)ledger.finished, (long long)lag->lag);
 *
 * Part of libkurier-patterns.
 */
#ifndef KURIER_LEDGER_H
#define KURIER_LEDGER_H

#include <kurier/arena.h>
#include <kurier/error.h>

KUR_BEGIN_DECLS

/** Offsets that are finished: from the first on, up to the one before `to`. */
typedef struct kur_ledger_range {
    int64_t from;
    int64_t to;
} kur_ledger_range;

/** What is finished above a committed offset. What no range has is not finished, or not known to be. */
typedef struct kur_ledger_view {
    size_t size;
    int64_t finished; /**< offsets above the committed one that are; those that hold no record count as well */
    int64_t end;      /**< behind the last of them, so that everything from there on may be unread; the committed offset
                         when there is none */
    size_t range_count;
    const kur_ledger_range *ranges; /**< ascending, with gaps between them */
} kur_ledger_view;

#define KUR_LEDGER_VIEW(...) KUR__OPTIONS(kur_ledger_view, __VA_ARGS__)

/**
 * Reads the text that was committed beside an offset; NULL and "" tell that nothing above is finished. The ranges live
 * in `arena`. Whether the text was written for the log that is there now is not looked at: a topic that was deleted and
 * made anew under its name may still have one of before. KUR_ERROR_MISMATCH when it is another program's or for another
 * offset, KUR_ERROR_SYNTAX when it is broken: a listener then goes on as if there were none.
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. Any thread.
 */
KUR_API kur_status kur_ledger_read(const char *text, int64_t committed, kur_arena *arena, kur_ledger_view *view,
                                   kur_error *error);

KUR_END_DECLS

#endif
