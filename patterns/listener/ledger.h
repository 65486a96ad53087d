/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The ledger of one partition: which of the offsets that were admitted are not finished, in memory that follows how
 * many those are. From it come the offset to commit and the text that is committed beside it, by which the next owner
 * knows what is finished above that offset.
 *
 * One thread. Offsets are 0 to 2^62.
 */
#ifndef KURIER_PATTERNS_LISTENER_LEDGER_H
#define KURIER_PATTERNS_LISTENER_LEDGER_H

#include <kurier/error.h>

enum {
    KUR__LEDGER_TEXT_MAX = 4096 /* what a broker takes as commit metadata by default */
};

#define KUR__LEDGER_OFFSET_MAX (INT64_C(1) << 62)

/* Offsets [base, base + 64), base a multiple of 64; a bit for each that is admitted and not finished. */
struct kur__ledger_word {
    int64_t base;
    uint64_t bits;
};

/* Offsets [from, to) that a former owner had finished. */
struct kur__ledger_range {
    int64_t from, to;
};

typedef struct kur__ledger {
    struct kur__ledger_word *words; /* ascending; [head, count) are in use */
    size_t head, count, capacity;
    size_t empty;                   /* words in use without a bit; compacted when they are the greater part */
    int64_t start;                  /* where this ledger began */
    int64_t last;                   /* the last admitted offset; start - 1 before the first */
    int64_t unfinished;             /* bits set */
    int64_t runs;                   /* maximal runs of neighbouring unfinished offsets */
    struct kur__ledger_range *done; /* ascending, above `last`; [done_head, done_count) are still to be read again */
    size_t done_head, done_count;
} kur__ledger;

typedef enum kur__admission {
    KUR__ADMITTED = 0,    /* to be handled, unfinished from now on */
    KUR__ADMITTED_DONE,   /* a former owner has finished it */
    KUR__ADMITTED_REPLAY, /* at or below the last admitted offset: seen before, ignored */
    KUR__ADMITTED_NO_MEMORY
} kur__admission;

/* For which log a text holds: what does not match at the next reading makes the text void. Zero: not known. */
typedef struct kur__ledger_log {
    uint32_t cluster; /* kur__ledger_hash of the cluster's id */
    uint32_t topic;   /* kur__ledger_hash of the topic's id */
    int32_t epoch;    /* the leader epoch at the committed offset, plus one */
} kur__ledger_log;

/* NULL when both may be the same log, else what tells that they are not: "cluster", "topic", "leader epoch". */
const char *kur__ledger_log_differs(const kur__ledger_log *a, const kur__ledger_log *b);

/* An empty ledger that starts at an offset. */
void kur__ledger_init(kur__ledger *ledger, int64_t start);
void kur__ledger_done(kur__ledger *ledger);

/* Takes the next record in; offsets only go up. What lies between it and the one before counts as finished. */
kur__admission kur__ledger_admit(kur__ledger *ledger, int64_t offset);

/* Whether the offset was unfinished; it is no more. */
bool kur__ledger_finish(kur__ledger *ledger, int64_t offset);

/*
 * Nothing below this offset is unfinished: the offset to commit. Never above what was admitted, also where a former
 * owner had finished more: that is told by the text until it has been read again.
 */
int64_t kur__ledger_commit_offset(const kur__ledger *ledger);

/* Behind everything that the ledger knows. */
int64_t kur__ledger_end(const kur__ledger *ledger);

/*
 * Takes an unfinished offset out for a moment, or puts it back, so that offset and text can be had as they will be when
 * it is finished. Takes and gives no memory. Until all are back nothing else is done with the ledger.
 */
void kur__ledger_toggle(kur__ledger *ledger, int64_t offset);

/*
 * Writes what is finished above the commit offset into `text`, which has room for `limit` (at most
 * KUR__LEDGER_TEXT_MAX) characters and a NUL; "" when nothing is. Returns up to which offset the text tells all: below
 * the end of the ledger when the limit was too small, and then what is finished above is simply not told. Takes no
 * memory; its cost follows the number of runs.
 */
int64_t kur__ledger_write(const kur__ledger *ledger, const kur__ledger_log *log, size_t limit, char *text);

/* The same of what lies below `end` alone; returns `end`, at most that of the ledger, when all of it is told. */
int64_t kur__ledger_write_below(const kur__ledger *ledger, const kur__ledger_log *log, int64_t end, size_t limit,
                                char *text);

/*
 * Starts a ledger at a committed offset with the text that was committed beside it. KUR_OK also for "" and NULL.
 * KUR_ERROR_MISMATCH when the text is not one of ours or for another log or offset, KUR_ERROR_SYNTAX when it is
 * broken, KUR_ERROR_NO_MEMORY: each leaves an empty ledger that starts at `start`, and says why.
 */
kur_status kur__ledger_read(kur__ledger *ledger, int64_t start, const kur__ledger_log *log, const char *text,
                            kur_error *error);

/* FNV-1a: the same everywhere and always, for it is written down. */
uint32_t kur__ledger_hash(const void *data, size_t size);

#endif
