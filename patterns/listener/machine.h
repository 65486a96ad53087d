/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's decisions, apart from all I/O: no threads, no Kafka, no clock of its own. What happens comes in as
 * function calls; what is to be done is asked for afterwards: records to run, effects to make durable, offsets to
 * commit, how much there is room for, items to release, and when to wake up. The same calls give the same answers, so
 * that a simulation can drive it through any schedule and replay it from a seed.
 *
 *                  admit                    take            outcome              effect
 *     polled ────────────▶ waiting ─▶ ready ────▶ running ──────────▶ settling ─────────▶ finished ─▶ released
 *                            │         ▲ ▲          │  done, nothing to settle ──────────▶ │
 *                            │  parked ┘ └──────────┘ retry: parked in its lane until due
 *                            └─ behind its lane
 *
 * A record of a retry topic is parked from its admission until it is due, and enters its lane only then.
 *
 * Exactly-once, what has its outcome settles by a transaction, which stands in for commits and emits: see there.
 *
 * A source is one partition for one epoch: from its assignment (or a seek, or a reset) to its end.
 *
 *     active ──suspend──▶ revoking ──leave──▶ away ──assign, next generation──▶ active
 *        └───────────────────┴────drop────────────┴──▶ dead, until what still runs has returned
 *
 * One thread. Times are microseconds of any one clock.
 */
#ifndef KURIER_PATTERNS_LISTENER_MACHINE_H
#define KURIER_PATTERNS_LISTENER_MACHINE_H

#include <kurier/error.h>
#include <kurier/listener.h>
#include <kurier/outcome.h>
#include <kurier/retry.h>
#include <stdatomic.h>

#include "listener/lane.h"
#include "listener/ledger.h"
#include "listener/origins.h"

typedef enum kur__work_state {
    KUR__WAITING = 1, /* behind its lane */
    KUR__PARKED,      /* until it is due */
    KUR__READY,
    KUR__RUNNING,
    KUR__SETTLING /* its outcome is known, the outcome's effect not yet durable */
} kur__work_state;

/* What has to become durable before the offset is finished. */
typedef enum kur__effect {
    KUR__EFFECT_NONE = 0,
    KUR__EFFECT_EMIT,       /* what the handler has emitted */
    KUR__EFFECT_REJECT,     /* somebody takes the record over; until then nothing of its lane runs */
    KUR__EFFECT_FORWARD,    /* the record goes to a retry topic or to the dead letters: `to` */
    KUR__EFFECT_TRANSACTION /* a transaction that takes its outcome in */
} kur__effect;

/* What a handler has said. */
typedef struct kur__verdict {
    int64_t delay_us;
    kur_outcome outcome;
    bool has_emits;   /* with KUR_DONE: they have to be durable first */
    bool has_delay;   /* with KUR_RETRY or not run: after delay_us, not as the policy says */
    bool is_hopeless; /* with KUR_RETRY: a cause that is not tried again */
    bool is_not_run;  /* nobody has seen it: it comes again, and that was no attempt */
} kur__verdict;

/* A record in the machine's hands. */
typedef struct kur__work {
    struct kur__work *next;          /* in the one queue that it stands in */
    struct kur__work *newer, *older; /* all of its source, by offset */
    struct kur__work *mate;          /* the next of its batch, from take to outcome */
    struct kur__source *source;
    kur__lane *lane; /* NULL: it keeps no order */
    int64_t offset;
    int64_t due_us;             /* of a parked one */
    int64_t then_us;            /* of one that is forwarded: when it is due there */
    int64_t first_us;           /* what the policy's time-out counts from; 0: nothing yet */
    int64_t rests_us;           /* of a retry topic: until then it is not moved to the end of it */
    int64_t landed;             /* the shell's: where its forward is; -1: not known */
    struct kur__origin *origin; /* with keep_order: ordered.c */
    void *item;                 /* the shell's record */
    uint32_t bytes;
    uint32_t place;   /* among the parked, plus one; 0: it is not there */
    int32_t attempts; /* begun */
    int32_t tries;    /* of its effect, failed */
    uint8_t state;
    uint8_t effect;
    uint8_t consequence;            /* a kur__consequence: of what was said last */
    uint8_t to;                     /* a kur_tier: where it is forwarded to; KUR_TIER_MAIN: nowhere */
    bool is_early;                  /* parked, and not in its lane yet */
    bool is_unrun;                  /* forwarded without having been run: that was no attempt */
    bool is_moved;                  /* to the end of its topic */
    bool issued;                    /* its effect is in the shell's hands */
    bool is_alone;                  /* it has failed: a batch of its own */
    bool is_left_out, is_too_large; /* the shell's: no transaction is committed with it; nor with another beside it */
    /* The shell's: written by whoever has the work in hands while it runs or settles. */
    bool is_copy;
    bool is_deferred;
    kur__verdict verdict;
    void *extra;
    int64_t since_us; /* when it began to run, and then when that had ended */
} kur__work;

typedef struct kur__queue {
    kur__work *first, *last;
} kur__queue;

typedef enum kur__source_state {
    KUR__ACTIVE = 1,
    KUR__REVOKING, /* still ours: nothing new runs, results and commits go on */
    KUR__AWAY,     /* not ours, but it may come back unchanged: results are taken in, nothing is done */
    KUR__DEAD
} kur__source_state;

/* A topic's partition; there as long as a source, a lane or a handler of it is. */
typedef struct kur__partition {
    struct kur__partition *next; /* in its bucket */
    struct kur__source *source;  /* the one that is not dead, or NULL */
    struct kur__partition *home; /* whose lanes it has: of a retry topic the main one's; else NULL */
    struct kur__source *ordered; /* of a main one: that of its ordered retry topic that is not dead, or NULL */
    int64_t highest;             /* origin of a copy that the main one has, or had */
    size_t references;           /* sources, also dead ones, lanes, and partitions whose home it is */
    uint64_t hash;
    int32_t number;
    char topic[];
} kur__partition;

typedef struct kur__source {
    struct kur__source *newer, *older; /* all sources, in the order of their assignment */
    struct kur__source *next_turn;     /* among those with ready records */
    unsigned turns;                    /* left of its turn; 0: it has not begun */
    kur__partition *partition;
    kur__ledger ledger;
    kur__ledger_log log;
    kur__queue ready;
    kur__queue held_effects;   /* while it is away */
    kur__queue settled;        /* exactly-once: have their outcome, and wait for a transaction */
    kur__queue in_transaction; /* are in the one that is open */
    kur__work *newest, *oldest;
    size_t held, running, settling;
    size_t early, moving; /* of those held: parked, and not in their lanes; on the way to the end of the topic */
    int64_t held_bytes;
    int64_t committed;    /* known to be; -1: nothing yet */
    int64_t commit_sent;  /* the offset whose answer is awaited */
    int64_t finished;     /* in this epoch */
    int64_t finished_to;  /* behind the last record that is finished, as far as that is known */
    int64_t untold;       /* finished offsets that the last text had no room for */
    int64_t generation;   /* of the group; -1: not known */
    int64_t checked_runs; /* when the text's size was last looked at */
    bool text_is_full;
    bool is_dirty;          /* there is something to commit */
    bool to_commit;         /* in the round of commits at hand */
    int in_commit;          /* answers awaited */
    bool has_turn, is_full; /* the latter: nothing more of it is taken in */
    kur_tier tier;
    bool is_wanted;                   /* of a retry topic: it is full, and more waits unread */
    int64_t pass_us;                  /* window.c: since when what waits is looked through; 0: it is not */
    int64_t next_pass_us, look_us;    /* not before; and before this nothing of it may be moved */
    int64_t middle_us, near_until_us; /* of the due times moved last; what has not rested may be moved, too */
    int64_t end, reached, looked_to;  /* with keep_order: where it ended when given, -1: not known; read to; flow.c */
    bool is_through;                  /* that end is reached */
    uint64_t serial;                  /* which one it is, of all that there have been */
    /* The shell's, for the health that it tells. */
    int64_t seen_finished, moved_us; /* how much was finished at the last look, and when that had changed last */
    _Atomic kur__source_state state;
} kur__source;

typedef struct kur__machine_options {
    kur_order order;
    size_t hold_records; /* held at most, a share for each source */
    int64_t hold_bytes;
    size_t text_limit;    /* of commit metadata, at most KUR__LEDGER_TEXT_MAX */
    bool commits_nothing; /* there is no group that would keep it */
    int64_t commit_interval_us, commit_again_us;
    int64_t commit_records; /* finished since the last commit: commit before the interval is over */
    int32_t attempts;       /* counting the first; 0: no bound */
    int64_t delay_us, delay_max_us;
    double multiplier;
    double jitter;      /* 0 to 1, the share of a delay that is drawn */
    int64_t timeout_us; /* since a record first failed, or since what it came with; 0: none */
    kur_retry_mode mode;
    int32_t in_place_attempts; /* with KUR_RETRY_IN_PLACE_THEN_BY_TOPIC */
    bool keep_order;           /* one ordered retry topic */
    size_t origins_most;       /* records under retry by it, at which no more main ones are taken in */
    bool has_dead_letters;     /* rejected records are forwarded there */
    size_t window_records;     /* of retry topics held at most, together */
    int64_t window_bytes;
    int64_t effect_delay_us, effect_delay_max_us;
    bool exactly_once; /* transactions in the place of commits, by the interval and the number of those */
    uint64_t seed;
} kur__machine_options;

typedef struct kur__machine {
    kur__machine_options options;
    kur__lanes lanes;
    kur__partition **partitions; /* a table: a power of two of buckets */
    size_t partition_capacity, partition_count;
    kur__source *newest, *oldest; /* sources */
    size_t sources, main_sources; /* not dead; and of these, not of retry topics */
    size_t turn_count;            /* sources that stand in line for their turn */
    size_t share;                 /* that each of those may hold: records */
    int64_t share_bytes;
    kur__source *first_turn, *last_turn;
    kur__work **parked; /* a heap by due time */
    size_t parked_count, parked_capacity;
    kur__queue effects;
    kur__queue released;
    kur__work *free_works;
    struct kur__work_chunk *chunks;
    size_t held, running, settling, early;
    int64_t held_bytes;
    size_t window_held; /* of that, records of retry topics */
    int64_t window_held_bytes;
    bool window_is_wanted; /* some source is */
    int64_t window_wake_us, moves_at_us, moves_left;
    int64_t moved, finished; /* since the beginning */
    int64_t finished_since_commit;
    int64_t next_commit_us, next_commit_again_us;
    size_t commits_in_flight;
    kur__queue again;           /* were left out of a transaction: each goes in one of its own */
    size_t in_transaction_most; /* records, at most: fewer after one that was aborted */
    int aborted;                /* transactions, one after the other */
    bool transaction_is_open, was_alone;
    kur__origins origins;
    uint64_t random;
    bool is_stopping, over_bound; /* a source is full for the sum, not for its own share */
} kur__machine;

kur_status kur__machine_init(kur__machine *machine, const kur__machine_options *options, kur_error *error);

/* What is still held is released into nothing: the shell has drained kur__machine_next_release before. */
void kur__machine_done(kur__machine *machine);

/* ---- Partitions come and go ---- */

typedef struct kur__assignment {
    const char *topic;
    int32_t partition;
    int64_t start;       /* the offset to begin with */
    bool is_committed;   /* whether the group has committed it; if not, it is committed soon */
    const char *text;    /* committed beside it, may be NULL */
    kur__ledger_log log; /* as it is now */
    int64_t generation;  /* of the group; -1: not known */
    kur_tier tier;
    const char *home; /* of a retry topic: the topic whose it is */
    int64_t end;      /* with keep_order: its high watermark now; -1: kur__machine_set_end tells it */
} kur__assignment;

/*
 * A partition is ours. A source of it that is away and whose generation is exactly one lower goes on as if nothing had
 * been: nobody owned it meanwhile. Any other is dropped and a new one begins. `position` is where to read from.
 * A text that does not fit gives a warning in `warning` (its code is not KUR_OK) and is ignored. Replay of an offset
 * that still runs from an earlier epoch waits for it in its lane. KUR_ERROR_NO_MEMORY.
 */
kur_status kur__machine_assign(kur__machine *machine, const kur__assignment *assignment, kur__source **source,
                               int64_t *position, int64_t now_us, kur_error *warning, kur_error *error);

/* The source of a partition that is active, or NULL. */
kur__source *kur__machine_find(const kur__machine *machine, const char *topic, int32_t partition);

/*
 * A record of a higher leader epoch comes next: what a former owner has told of it and of those behind it is not
 * believed any more, for it had read none of that epoch: they were cut off and written anew. Called before it is
 * admitted. Where no epoch was known before, that says nothing.
 */
void kur__machine_new_epoch(kur__machine *machine, kur__source *source, int32_t epoch);

/* The one that is not dead, whatever else it is; or NULL. */
kur__source *kur__machine_source(const kur__machine *machine, const char *topic, int32_t partition);

/* Ends one that is not dead; false when there is none. */
bool kur__machine_drop_one(kur__machine *machine);

/* Nothing more of it is run; results are taken in, effects and commits go on. */
void kur__machine_suspend(kur__machine *machine, kur__source *source);

/* It is no longer ours. What is unfinished stays, should it come back. Not while it is in a transaction. */
void kur__machine_leave(kur__machine *machine, kur__source *source);

/* The end of an epoch: lost, seek, reset, or it did not come back. Late results are ignored. */
void kur__machine_drop(kur__machine *machine, kur__source *source);

/* ---- Records ---- */

typedef struct kur__polled {
    int64_t offset;
    kur_bytes key; /* data NULL: none */
    uint32_t bytes;
    int64_t due_us; /* 0: at once. In a main topic: it goes to the retry topic for that time, unseen */
    void *item;
    int32_t attempts;   /* that were made before */
    int64_t first_us;   /* what the time-out counts from; 0: the first failure to come */
    int64_t written_us; /* of a retry topic: when it was written there */
    int64_t waits_us;   /* and since when it has waited; 0: not known */
    bool is_over;       /* nothing is to be done for it: finished at once */
    int64_t origin;     /* of an ordered retry topic: its offset in the main partition; less than 0: none */
    int64_t stamp_us;   /* the record's time in the main partition */
    bool is_outside;    /* no listener has written it: it was sent there again by hand */
} kur__polled;

/*
 * Takes a record of an active source in. Only with KUR__ADMITTED it keeps the item; KUR__ADMITTED_NO_MEMORY leaves
 * everything as it was: try again later.
 */
kur__admission kur__machine_admit(kur__machine *machine, kur__source *source, const kur__polled *polled,
                                  int64_t now_us);

/* Records to run, in turns between sources and lanes: up to `capacity`. They are running from now on. */
size_t kur__machine_take(kur__machine *machine, int64_t now_us, kur__work **works, size_t capacity);

/*
 * A batch: the first of up to `most` records, linked by `mate`; or NULL. Those of a lane come one after the other, in
 * their order. One that has failed without a delay of its own is a batch alone.
 */
kur__work *kur__machine_take_batch(kur__machine *machine, int64_t now_us, size_t most);

/* How many a batch could hold now, about; `most` also when waiting would bring no more. */
size_t kur__machine_count_ready(kur__machine *machine, int64_t now_us, size_t most);

/* What of a record is still the machine's concern: false when its epoch has ended. Any thread, while it runs. */
static inline bool kur__work_is_current(const kur__work *work)
{
    kur__source_state state = atomic_load_explicit(&work->source->state, memory_order_relaxed);
    return state == KUR__ACTIVE || state == KUR__REVOKING;
}

/* Gives a record back that was taken and not begun. Of a batch: all, the last first. */
void kur__machine_untake(kur__machine *machine, kur__work *work);

typedef enum kur__consequence {
    KUR__FINISHED = 1,
    KUR__RETRIED,
    KUR__SETTLES,
    KUR__REJECTS,  /* settles, rejected: by KUR__EFFECT_REJECT, or forwarded to the dead letters */
    KUR__FORWARDS, /* settles by being forwarded to a retry topic */
    KUR__STALE,    /* of an epoch that has ended: ignored */
    KUR__HELD,     /* others of its lane are out: known when the last of them has returned */
    KUR__AGAIN     /* ignored, for one before it in its lane comes again, or since it was not run */
} kur__consequence;

/*
 * What a handler has said of a running record. Those of a lane that were taken together may return in any order; what
 * becomes of all of them is known with the last, and stands in each work's `consequence` until it is given back.
 */
kur__consequence kur__machine_outcome(kur__machine *machine, kur__work *work, const kur__verdict *verdict,
                                      int64_t now_us);

/* The next record whose effect is to be made durable, or NULL. */
kur__work *kur__machine_next_effect(kur__machine *machine, int64_t now_us);

/* What became of it. Not durable, or not known to be: it comes again after a while. */
void kur__machine_effect(kur__machine *machine, kur__work *work, bool is_durable, int64_t now_us);

/* What the machine needs no more; false when there is nothing. */
typedef struct kur__released {
    void *item, *extra;
    bool is_copy;
} kur__released;
bool kur__machine_next_release(kur__machine *machine, kur__released *released);

/* ---- Commits, room, time ---- */

typedef struct kur__commit {
    kur__source *source;
    int64_t offset;
    char text[KUR__LEDGER_TEXT_MAX + 1];
} kur__commit;

/* Whether a round of commits is due; none while answers are awaited. */
bool kur__machine_commit_is_due(const kur__machine *machine, int64_t now_us);

/*
 * Begins a round: of all sources that are ours and have something to commit and no commit under way; or of one, also
 * beside a commit that is under way, if that cannot be overtaken.
 */
void kur__machine_begin_commits(kur__machine *machine, kur__source *only, int64_t now_us);
bool kur__machine_next_commit(kur__machine *machine, kur__commit *commit);

/* The answer, once for each commit, until which a source that ends is there. Not committed: it stays to be done. */
void kur__machine_committed(kur__machine *machine, kur__source *source, bool is_committed, int64_t now_us);
/* A commit was refused for the length of its text: from now on they are half as long, as far as that may be. */
void kur__machine_text_refused(kur__machine *machine);

/* ---- Transactions, in the place of commits: exactly-once ---- */

/*
 * Closes a set of outcomes, and begins a transaction with it; one at a time. False when there is nothing for one.
 * kur__machine_next_commit gives the offsets that go in: as they will be when the set is finished, with a text that
 * tells all that is. The records of a source that is concerned are its `in_transaction`, in their order; they are the
 * shell's until the end.
 */
bool kur__machine_begin_transaction(kur__machine *machine, int64_t now_us);

/*
 * Its end, whatever became of its sources. Aborted: the same outcomes go into the next one, but for those that are left
 * out, which come again by themselves, after a while and alone.
 */
void kur__machine_end_transaction(kur__machine *machine, bool is_committed, int64_t now_us);

/* How many records may be admitted now of a source, or, NULL, of one that is not there yet. Of a retry topic, whoever
 * asks and is told none says that more of it waits. And whether there will be none for some seconds either. */
size_t kur__machine_room(kur__machine *machine, kur__source *source);
bool kur__machine_is_full_for_long(const kur__machine *machine, const kur__source *source, int64_t now_us);
/* Whether all together hold as much as they may: then there is room for nobody. */
bool kur__machine_is_full(const kur__machine *machine);
/* The clock of the world has jumped against this one: what waits for a time of the world's is due that much sooner. */
void kur__machine_clock_jumped(kur__machine *machine, int64_t ahead_us);
/* What effects failed for is over: those that wait for their next try are tried now. Too large is not over. */
void kur__machine_effects_now(kur__machine *machine, int64_t now_us);
/* When something becomes due by itself; INT64_MAX: nothing does. */
int64_t kur__machine_wake_us(const kur__machine *machine);

/* Nothing more is run. Drained: nothing runs and nothing settles. */
void kur__machine_stop(kur__machine *machine);
bool kur__machine_is_drained(const kur__machine *machine);

/* ---- Inside: what the machine's files share ---- */

static inline bool kur__source_is_ours(const kur__source *source)
{
    return source->state == KUR__ACTIVE || source->state == KUR__REVOKING;
}

/* Its outcome is durable. */
void kur__finish(kur__machine *machine, kur__work *work);

/* It has its outcome, whose effect has to become durable. */
void kur__settle(kur__machine *machine, kur__work *work, kur__effect effect, int64_t now_us);

/* It waits for the next transaction. */
void kur__transaction_collect(kur__machine *machine, kur__work *work);

/* What of the set at hand is to be committed for a source, as it will be. */
void kur__transaction_write(const kur__machine *machine, kur__source *source, kur__commit *commit);

/* Forgets those of a source; the others keep their order. */
void kur__queue_forget(kur__queue *queue, const kur__source *source);

void kur__queue_push(kur__queue *queue, kur__work *work);
kur__work *kur__queue_pop(kur__queue *queue);

/* What the outcome of a running record means; one that comes again is not put back yet. */
kur__consequence kur__conclude(kur__machine *machine, kur__work *work, int64_t now_us);

/* Those whose time has come. */
void kur__wake_parked(kur__machine *machine, int64_t now_us);
void kur__make_ready(kur__machine *machine, kur__work *work);

/* The lane that a record belongs to; `*lane` stays NULL when it keeps no order. False: no memory. */
bool kur__lane_find(kur__machine *machine, kur__source *source, kur_bytes key, kur__lane **lane);
void kur__lane_enter(kur__machine *machine, kur__work *work, int64_t now_us);

/* Parks a record until it is due, beside its lane. */
void kur__lane_wait_outside(kur__machine *machine, kur__work *work);
/* It is due, or goes elsewhere. */
void kur__lane_come_in(kur__machine *machine, kur__work *work, int64_t now_us);

/* Those of a source that wait in lanes leave them; others stay. */
void kur__lanes_sweep(kur__source *source);

/* When it was the last that was on its way there, the next one starts. */
void kur__lane_leave(kur__machine *machine, kur__work *work, int64_t now_us);

/* One in which there is nothing. */
void kur__lane_put(kur__machine *machine, kur__lane *lane);

/* Out of its source, and the item back to the shell. Its lane and its queue have let it go before. */
void kur__work_release(kur__machine *machine, kur__work *work);

/* Puts an active source with ready records in line. */
void kur__turn_push(kur__machine *machine, kur__source *source);

/* A partition by its name, made when it is not there (NULL: no memory) with a reference for the caller; given back. */
kur__partition *kur__partition_get(kur__machine *machine, const char *topic, int32_t number, const char *home);
void kur__partition_put(kur__machine *machine, kur__partition *partition);
void kur__partitions_done(kur__machine *machine);

void kur__source_free_if_over(kur__machine *machine, kur__source *source);
/* Of one that has just come: what is told of it is told by its commits, too, where that has to be. */
void kur__commit_keep_told(kur__machine *machine, const kur__source *source);

/* Of a retry topic: moves away what keeps others from being seen; and hears of each record that is read. */
void kur__window_turn(kur__machine *machine, int64_t now_us);
void kur__window_read(kur__source *source, kur__work *work, const kur__polled *polled, int64_t now_us);

/* Room for all that are held and one more, made when a record is admitted: parking itself cannot fail. */
bool kur__park_reserve(kur__machine *machine);
void kur__park(kur__machine *machine, kur__work *work, int64_t due_us);
void kur__unpark(kur__machine *machine, kur__work *work);
int64_t kur__back_off_us(kur__machine *machine, int64_t delay_us, int64_t delay_max_us, int32_t failures);

/* The number of sources has changed: what each of them may hold. */
void kur__flow_share(kur__machine *machine);
/* Whether a source is full now, or all are. */
void kur__flow_update(kur__machine *machine, kur__source *source);
void kur__flow_update_all(kur__machine *machine);
/* Less is held. Sources that were full for the sum alone may have nothing of their own that ends and would tell. */
void kur__flow_update_sum(kur__machine *machine);

#endif
