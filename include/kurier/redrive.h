/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/redrive.h>: dead letters, sent again: first a plan, which says exactly which ones, where to, and how many;
 * then a run of it, which can be slow, paused, cancelled or killed, and goes on where it was; and each record's outcome
 * is followed afterwards. What `kurier redrive` does at the command line is done with this.
 *
 *     kur_redrive_plan_options options = KUR_REDRIVE_PLAN_OPTIONS(.topics = topics, .filter = &filter, .who = "ann");
 *     const kur_redrive_view *plan;
 *     kur_redrive_plan(client, &options, arena, &plan, &error);              // 1,042 letters, none is sent
 *     kur_redrive_run(client, plan->id, &KUR_REDRIVE_RUN_OPTIONS(.who = "ann", .rate = 100, .canary = 10), NULL,
 * &error);
 *
 * Plan, progress, and who did what stand in Kafka, in the compacted topic KUR_LETTER_AUDIT_TOPIC, and nowhere else.
 * Dead letters stay where they are: Kafka takes nothing out of a topic. What a run has sent, later plans leave out.
 * docs/guide/redrive.md tells the rest. Part of libkurier-patterns.
 */
#ifndef KURIER_REDRIVE_H
#define KURIER_REDRIVE_H

#include <kurier/deadletter.h>

KUR_BEGIN_DECLS

/* ---- Plans ---- */

/** Where letters are sent. */
typedef enum kur_redrive_target {
    /**
     * The failing group's own retry topic (`.retry-short`, or `.retry-ordered` where the group keeps the order of
     * keys), so that no other group sees them again. Of a letter on a topic of Spring Kafka's name, its `-retry`.
     */
    KUR_REDRIVE_RETRY = 0,
    KUR_REDRIVE_ORIGIN /**< the topic that they came from first: every group that reads it sees them again */
} kur_redrive_target;

/** What is done although it is refused or left out otherwise. */
enum {
    KUR_REDRIVE_FORCE_COMPACTED = 1, /**< to a compacted origin: an old value would be the newest of its key */
    KUR_REDRIVE_FORCE_UNREAD = 2,    /**< to a topic that the failing group does not read */
    KUR_REDRIVE_FORCE_LOOPS = 4,     /**< letters that were sent again `.max_redriven` times */
    KUR_REDRIVE_FORCE_SENT = 8       /**< letters that an earlier run has sent */
};

/** What kur_redrive_plan is told; topics and `.who` have no default. */
typedef struct kur_redrive_plan_options {
    size_t size;
    const char *const *topics;       /**< of dead letters; ends with NULL */
    const kur_letter_filter *filter; /**< ages count from the moment of the plan */
    const char *who;                 /**< for the audit: 1 to 1,000 bytes of UTF-8 */
    const char *reason;              /**< likewise; default: none */
    kur_redrive_target target;
    kur_tier tier;    /**< KUR_TIER_SHORT or KUR_TIER_ORDERED of KUR_REDRIVE_RETRY; default: the one that is read */
    unsigned force;   /**< KUR_REDRIVE_FORCE_… */
    int max_redriven; /**< a letter that was sent again so often is left out; default 3 */
    const char *const *strip; /**< headers that are left out; one that ends with `*` stands for all that begin so; ends
                                 with NULL. None of the retry's own */
    const kur_header *set;    /**< headers that stand in place of all of their names; ends with a name of NULL */
    int timeout_ms;           /**< nothing new for so long is an error; default 30,000 */
    kur_letter_progress_callback *on_progress; /**< as that of a reader of letters */
    void *user;
} kur_redrive_plan_options;

#define KUR_REDRIVE_PLAN_OPTIONS(...) KUR__OPTIONS(kur_redrive_plan_options, __VA_ARGS__)

/** Letters of one topic and one group, and where they go. */
typedef struct kur_redrive_route {
    size_t size;
    const char *letters; /**< the topic in which they stand */
    const char *group;   /**< that failed */
    const char *target;  /**< the topic that they are sent to; "" when there is none */
    int64_t count;       /**< of them in the plan; with `refused` those that are left out for it */
    bool is_running;     /**< the group has members, as far as that can be seen */
    const char *refused; /**< why nothing goes there; "": it does */
} kur_redrive_route;

/** Letters that fit the filter and are not in a plan, by why. */
typedef struct kur_redrive_left_out {
    size_t size;
    int64_t discarded;
    int64_t sent;    /**< an earlier run has sent them: KUR_REDRIVE_FORCE_SENT */
    int64_t looped;  /**< sent again too often: KUR_REDRIVE_FORCE_LOOPS */
    int64_t stubs;   /**< value or headers were too large for a dead letter, and are not there */
    int64_t unknown; /**< they do not tell topic and group as the name of their topic does */
    int64_t refused; /**< of routes that are refused */
} kur_redrive_left_out;

/** How a plan stands. */
typedef enum kur_redrive_state {
    KUR_REDRIVE_PLANNED = 1, /**< nothing was sent */
    KUR_REDRIVE_RUNNING,     /**< by its own word: who runs it may have been killed; see `told_us` */
    KUR_REDRIVE_PAUSED,      /**< who runs it waits for KUR_REDRIVE_RESUME */
    KUR_REDRIVE_STOPPED,     /**< to be run again, and goes on: `.max` was reached, an error, its caller's wish */
    KUR_REDRIVE_DONE,
    KUR_REDRIVE_CANCELLED,
    KUR_REDRIVE_ABORTED /**< too much of the canary failed again */
} kur_redrive_state;

/** "planned", "running", …; "unknown" for a number that is not in the list. Static; any thread. */
KUR_API const char *kur_redrive_state_name(kur_redrive_state state);

/** A plan and how it stands. Texts are never NULL. */
typedef struct kur_redrive_view {
    size_t size;
    const char *id;     /**< a UUID; stands on each record that is sent, as kur_retry_view.redrive_id */
    const char *digest; /**< SHA-256 of all that was planned, 64 hexadecimal digits */
    const char *who;    /**< has planned it */
    const char *reason;
    int64_t planned_us;
    kur_redrive_target target;
    int64_t count; /**< letters in the plan */
    size_t route_count;
    const kur_redrive_route *const *routes; /**< those that are refused too */
    const kur_redrive_left_out *left_out;

    kur_redrive_state state;
    const char *runner;   /**< who has started it last; "" */
    const char *note;     /**< why it stopped, for a person; "" */
    int64_t started_us;   /**< last; 0: never */
    int64_t told_us;      /**< when its runner was heard last, by the runner's clock; 0: never */
    int64_t acknowledged; /**< letters of the plan that are in their target for certain */
    int64_t refused;      /**< letters that their target never takes, since they are too large for it */
    bool is_cancelled;    /**< somebody has said so; the runner may not know it yet */
} kur_redrive_view;

/**
 * Plans: reads the letters, checks where they would go, writes the plan, and sends nothing. What is frozen: the range
 * of offsets of each partition, the filter with its moment, targets, headers that are stripped and set, the number of
 * letters, and a sum of the SHA-256 of each one's place and bytes; so a run sends these letters or none. The view lives
 * in `arena`. A route to a topic that is not there, that its group does not read, or to a compacted origin is refused,
 * and its letters are left out.
 *
 * KUR_ERROR_INVALID_STATE when no letter is left, with why; KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_TIMEOUT,
 * KUR_ERROR_UNKNOWN_TOPIC, KUR_ERROR_AUTHORIZATION, KUR_ERROR_CANCELLED, KUR_ERROR_TOO_LARGE (a plan of too many
 * partitions), KUR_ERROR_NO_MEMORY, and what kur_letter_reader_next and kur_admin_ensure_topics return. Waits; any
 * thread.
 */
KUR_API kur_status kur_redrive_plan(kur_client *client, const kur_redrive_plan_options *options, kur_arena *arena,
                                    const kur_redrive_view **plan, kur_error *error);

/* ---- Runs ---- */

/** How far a run is. */
typedef struct kur_redrive_progress {
    size_t size;
    kur_redrive_state state;
    int64_t count;        /**< letters in the plan */
    int64_t acknowledged; /**< of them, in all of its runs */
    int64_t refused;      /**< likewise: too large for their target */
    int64_t sent;         /**< records that this run has sent; those whose answer is not there too */
    bool is_checking;     /**< the letters are compared with the plan; nothing is sent yet */
    bool is_canary;       /**< the canary is out, and its outcome is awaited */
    int64_t failed;       /**< of the canary that has failed again, while it is awaited and afterwards */
    int64_t pending;      /**< of the canary without an outcome, likewise */
} kur_redrive_progress;

#define KUR_REDRIVE_PROGRESS(...) KUR__OPTIONS(kur_redrive_progress, __VA_ARGS__)

/**
 * Told how far a run is, about five times a second, in kur_redrive_run, on its thread. False stops it: what is on its
 * way is waited for, and the run can be gone on with at once, by anybody.
 */
typedef bool kur_redrive_callback(const kur_redrive_progress *progress, void *user);

/** What kur_redrive_run is told; only `.who` has no default. */
typedef struct kur_redrive_run_options {
    size_t size;
    const char *who;      /**< for the audit: 1 to 1,000 bytes of UTF-8 */
    const char *digest;   /**< the plan's, or how it begins, as it was shown to whoever agreed; default: any */
    double rate;          /**< records in a second; default: no limit */
    int64_t max;          /**< stops after so many records; default: all */
    int64_t canary;       /**< so many go first, and the rest waits for what becomes of them; default: none */
    double canary_refail; /**< the share of the canary that may fail again, 0 to 1; more ends the run for good. Default
                             0.2; KUR_NONE: none may */
    int canary_wait_ms;   /**< a canary without an outcome by then stops the run; default 300,000 */
    int lease_ms;         /**< silent for so long, a runner counts as dead; from 1,000; default 10,000 */
    bool dry_run;         /**< compares the letters with the plan, and does nothing */
    int timeout_ms;       /**< nothing new for so long is an error; default 30,000 */
    kur_redrive_callback *on_progress;
    void *user;
} kur_redrive_run_options;

#define KUR_REDRIVE_RUN_OPTIONS(...) KUR__OPTIONS(kur_redrive_run_options, __VA_ARGS__)

/**
 * Runs a plan, or goes on with it, until it is done, cancelled, aborted, stopped, or has failed; waits all that time.
 * `progress` (may be NULL) tells which.
 *
 * First the letters that are left are read and compared with the plan: KUR_ERROR_STALE when they are not those,
 * because of retention, a topic made anew, discards since, or another run that has sent some. Then the run is claimed:
 * KUR_ERROR_INVALID_STATE when somebody else runs it; one who has been killed is waited for as long as `.lease_ms` said
 * there. Each letter that is sent keeps key, value, partition number and its own headers, but those stripped and set;
 * it starts with the first attempt again, due at once, its count of redrives one higher, with the plan's id.
 *
 * Killed at any point, the next run goes on where progress was told last: what was sent since then is sent twice. Each
 * letter of the plan is acknowledged at least once, and no other is ever sent. While brokers are away it waits.
 *
 * KUR_OK with KUR_REDRIVE_DONE, _STOPPED (`.max`), _CANCELLED or _ABORTED. KUR_ERROR_CANCELLED when the callback said
 * so. KUR_ERROR_UNKNOWN_TOPIC for a plan or a topic that is not there; KUR_ERROR_MISMATCH when `.digest` is another
 * one; KUR_ERROR_INVALID_STATE for a plan that is over; KUR_ERROR_FENCED when somebody took it over, who thought that
 * this one was dead; KUR_ERROR_TIMEOUT when the canary's outcome did not come; KUR_ERROR_AUTHORIZATION,
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY, and what kur_producer_send returns. Any thread.
 */
KUR_API kur_status kur_redrive_run(kur_client *client, const char *id, const kur_redrive_run_options *options,
                                   kur_redrive_progress *progress, kur_error *error);

/** What one may say to a run, wherever it runs. */
typedef enum kur_redrive_wish {
    KUR_REDRIVE_PAUSE = 1, /**< sends nothing more, and stays */
    KUR_REDRIVE_RESUME,
    KUR_REDRIVE_CANCEL /**< ends it for good; also a plan that nobody has started */
} kur_redrive_wish;

/**
 * Says it, and returns when it is written; the runner heeds it within a second. KUR_ERROR_UNKNOWN_TOPIC when there is
 * no such plan, KUR_ERROR_INVALID_STATE when it is over, KUR_ERROR_TIMEOUT, KUR_ERROR_UNKNOWN_OUTCOME,
 * KUR_ERROR_AUTHORIZATION, KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. Waits; any thread.
 */
KUR_API kur_status kur_redrive_tell(kur_client *client, const char *id, kur_redrive_wish wish, const char *who,
                                    int timeout_ms, kur_error *error);

/** Plans. */
typedef struct kur_redrive_list {
    size_t count;
    const kur_redrive_view *const *items; /**< the latest first */
} kur_redrive_list;

/**
 * Plans, and how they stand, in `arena`: all of them, or the one with this `id`. KUR_ERROR_UNKNOWN_TOPIC when that is
 * not there, KUR_ERROR_TIMEOUT, KUR_ERROR_AUTHORIZATION, KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. Waits; any
 * thread.
 */
KUR_API kur_status kur_redrive_look(kur_client *client, const char *id, int timeout_ms, kur_arena *arena,
                                    kur_redrive_list *list, kur_error *error);

/* ---- Outcomes ---- */

/**
 * What has become of the records of a plan. A record *failed again* when a dead letter with the plan's id is there. It
 * is *pending* while the group has not finished it, in the topic that it was sent to or in one of the group's retry
 * topics that it has gone to since. All others have *succeeded*: the group has finished them, by its committed offset
 * or the ledger beside that, and no dead letter came of it. So what a group drops, since it keeps no dead letters or
 * nobody asked for that type, counts as succeeded too. A record that was sent twice, because a run was killed, counts
 * once; to the origin, twice.
 */
typedef struct kur_redrive_outcomes {
    size_t size;
    kur_redrive_state state;
    int64_t count;
    int64_t acknowledged; /**< as the runner has told last */
    int64_t refused;
    int64_t succeeded;
    int64_t failed;
    int64_t pending;
} kur_redrive_outcomes;

#define KUR_REDRIVE_OUTCOMES(...) KUR__OPTIONS(kur_redrive_outcomes, __VA_ARGS__)

/** Follows the records of one plan. One thread at a time. */
typedef struct kur_redrive_watch kur_redrive_watch;

/**
 * A watch; does not wait. It reads what was written to the groups' topics since the plan was made, once, and holds some
 * 32 bytes for each record that is pending or has failed again. NULL with KUR_ERROR_INVALID_ARGUMENT,
 * KUR_ERROR_NO_MEMORY, and what kur_admin_new returns. Holds a reference to the client.
 */
KUR_API kur_redrive_watch *kur_redrive_watch_new(kur_client *client, const char *id, kur_error *error);

/**
 * How it is now. The groups' commits are asked for first and their topics read to their ends afterwards, so that a
 * record on its way from one to the next is never missed. KUR_ERROR_TIMEOUT when that took longer, and what was read
 * stays read; KUR_ERROR_UNKNOWN_TOPIC for a plan that is not there; KUR_ERROR_AUTHORIZATION,
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY. Waits.
 */
KUR_API kur_status kur_redrive_watch_look(kur_redrive_watch *watch, int timeout_ms, kur_redrive_outcomes *outcomes,
                                          kur_error *error);

/** Frees a watch; NULL does nothing. */
KUR_API void kur_redrive_watch_free(kur_redrive_watch *watch);

KUR_END_DECLS

#endif
