/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/listener.h>: competing consumers, fan-out and broadcast: a member of a group whose records are handled by
 * workers, as many at once as is asked for whatever the number of partitions, in the order that is asked for. An offset
 * is committed when, and only when, the effect of its outcome is durable: what a crash leaves unfinished is handled
 * again, nothing is lost, and what was finished out of order is not handled again, for it is committed beside the
 * offset.
 *
 *     kur_listener_options options = KUR_LISTENER_OPTIONS(.group = "email", .topics = topics);
 *     kur_listener *listener = kur_listener_new(client, &options, &error);
 *     order_created_on(listener, on_order, NULL);
 *     return kur_listener_run(listener, &error) == KUR_OK ? 0 : 1;
 *
 * Part of libkurier-patterns. Not for use across fork.
 */
#ifndef KURIER_LISTENER_H
#define KURIER_LISTENER_H

#include <kurier/arena.h>
#include <kurier/client.h>
#include <kurier/consumer.h>
#include <kurier/delivery.h>
#include <kurier/producer.h>
#include <kurier/retry.h>
#include <kurier/typed.h>

KUR_BEGIN_DECLS

/**
 * A member of a group, with its handlers. Handlers are registered by one thread, before start; all else may be called
 * from any thread, but not from handlers, unless it is said.
 */
typedef struct kur_listener kur_listener;

/** Which records wait for each other. */
typedef enum kur_order {
    KUR_ORDER_BY_KEY = 0,   /**< those with the same key in the same partition; those without a key run freely */
    KUR_ORDER_BY_PARTITION, /**< those of a partition */
    KUR_UNORDERED
} kur_order;

/** How often what a record gives comes about. */
typedef enum kur_guarantee {
    KUR_AT_LEAST_ONCE = 0, /**< what a crash leaves uncommitted is handled, and what it emits is sent, again */
    /**
     * What handlers emit and what is committed stands in Kafka together, or not at all: transactions, of what has
     * settled within .commit_interval_ms and of 10,000 records at most. Who reads committed (the default) sees what
     * each record gives exactly once, that much later. Handlers, .on_rejected, and what they do elsewhere are at least
     * once as ever: a crash lets them run again. Events whose transaction was aborted go into the next one; no handler
     * runs again for that. A record whose emitted event is refused is not finished, and tried again by itself; others
     * go on.
     *
     * It needs a broker with transactions, which the embedded one is not, and rights of its own: Write and Describe on
     * the transactional id, `kurier.GROUP.INSTANCE` with .group_instance_id, whose next life then settles at once what
     * the last one left open, else `kurier.GROUP.` and a random one, and what is left open waits for 15 s.
     */
    KUR_EXACTLY_ONCE
} kur_guarantee;

/** What becomes of an event whose type nobody handles. */
typedef enum kur_unknown {
    KUR_UNKNOWN_FINISH = 0, /**< finished and counted: groups filter */
    KUR_UNKNOWN_REJECT      /**< rejected with the cause kurier.unknown_type */
} kur_unknown;

/** What becomes of a partition whose position the broker no longer has. */
typedef enum kur_gap_policy {
    KUR_GAP_CONTINUE = 0, /**< told, then it goes on with the first record that is there */
    KUR_GAP_STOP          /**< told, then the listener ends with KUR_ERROR_GAP */
} kur_gap_policy;

/** Where a record ends that was rejected, or has used up its attempts; .on_rejected takes the place of all of this. */
typedef enum kur_dead_letters {
    KUR_DEAD_LETTERS = 0, /**< in a topic, TOPIC.GROUP.dlq; with KUR_BROADCAST as KUR_REJECTED_STOPS */
    KUR_NO_DEAD_LETTER,   /**< it is dropped, and the log has its position and cause */
    KUR_REJECTED_STOPS    /**< the listener ends with KUR_ERROR_REJECTED, and the record is unfinished */
} kur_dead_letters;

/** What becomes of a topic of .topics that does not exist. */
typedef enum kur_missing {
    KUR_MISSING_WAIT = 0, /**< it is waited for, and a warning names it once in a while; when it comes, it is read from
                               its beginning on, within topic.metadata.refresh.interval.ms, 10 s */
    KUR_MISSING_STOP      /**< the listener ends with KUR_ERROR_UNKNOWN_TOPIC; also when it is deleted later */
} kur_missing;

/**
 * Takes over a record that was rejected, or has used up its attempts: `event` and `record` as the handler had them,
 * `cause` and `reason` from kur_retry or kur_reject, `user` that of the options. Returning KUR_OK says that it is safe
 * somewhere: the record is finished, and the next one in its order may run. Anything else, and it comes again after a
 * while. On a worker's thread; may wait; must not stop or free the listener.
 */
typedef kur_status kur_rejected_callback(kur_delivery *delivery, const char *cause, const char *reason, void *user);

/**
 * Told once that every record which was there when the listener started has been handled: what of the log each
 * partition had then, empty ones and those that end in marks of transactions included. Changes since then may have been
 * handled before, and go on meanwhile. A topic that is not there yet is waited for. On the listener's own thread, must
 * return soon; must not stop or free the listener, but may kur_listener_request_stop it.
 */
typedef void kur_caught_up_callback(kur_listener *listener, void *user);

/** Told of a gap (see kur_gap in <kurier/consumer.h>); on the listener's own thread, must return soon. */
typedef void kur_listener_gap_callback(const kur_gap *gap, void *user);

/** Makes what a worker keeps, such as a connection; KUR_OK with `*state`, else the listener ends with the error. */
typedef kur_status kur_worker_start(void *user, void **state, kur_error *error);
/**
 * Ends what kur_worker_start has made, when the worker ends and its last handler has returned. On the worker's thread;
 * with KUR_DISPATCH_CALLER on the one that frees the listener.
 */
typedef void kur_worker_stop(void *state);

/** What a listener reads, and how; only `.group` (or KUR_BROADCAST) and `.topics` or `.pattern` are needed. */
typedef struct kur_listener_options {
    size_t size;
    const char *group;
    const char *const *topics; /**< ends with NULL; or */
    const char *pattern;       /**< of topics, as kur_consumer_subscribe_pattern takes it; retry and dead-letter topics
                                    never match */
    const char *exclude;
    kur_order order;
    int concurrency; /**< handlers at once; default 1: a handler never runs beside itself by surprise */
    int deferred;    /**< records deferred at once, about: at most `concurrency` more; default 1,000 */
    kur_start start; /**< of a group that has committed nothing; of each partition with KUR_BROADCAST */
    const kur_retry_policy *retry;
    kur_rejected_callback *on_rejected; /**< default: as .dead_letters says */
    kur_unknown unknown;
    kur_gap_policy gap;
    kur_listener_gap_callback *on_gap;
    kur_worker_start *worker_start;
    kur_worker_stop *worker_stop;
    void *user;             /**< handed to the callbacks of these options, all of them; handlers have their own */
    kur_dispatch dispatch;  /**< KUR_DISPATCH_CALLER: handlers run in kur_listener_dispatch, in the caller's loop */
    int hold_records;       /**< taken from the broker and not finished, at most; default 10,000 */
    int hold_kbytes;        /**< their size in KiB; default 65,536 */
    int commit_interval_ms; /**< default 500; with KUR_EXACTLY_ONCE, between two transactions, 100 */
    int drain_ms; /**< how long running handlers are waited for when partitions are taken away; default 5,000 */
    const char *group_instance_id; /**< as kur_consumer_options */
    kur_assignor assignor;
    kur_group_protocol protocol;
    int session_timeout_ms;
    int max_poll_interval_ms;
    int64_t start_at_us; /**< of KUR_START_TIME */
    /** KUR_BROADCAST: every record is this listener's, whoever else listens; no group, nothing is committed, and what
     * has to do with either is refused */
    kur_audience audience;
    kur_caught_up_callback *on_caught_up; /**< with KUR_BROADCAST */
    int batch_records; /**< in a batch, at most; default 500, or `.hold_records` when that is less; up to 10,000 */
    int batch_ms;      /**< how long a batch that is not full waits for more; default: not at all */
    kur_missing missing;
    kur_guarantee guarantee;
    const kur_retry_topics *retry_topics; /**< where retries wait and dead letters are, when in topics of their own */
    kur_dead_letters dead_letters;
    bool allow_due; /**< a record with the header kurier-due (KUR_DUE_HEADER) is handled then and not before: until then
                       it waits in a retry topic */
} kur_listener_options;

#define KUR_LISTENER_OPTIONS(...) KUR__OPTIONS(kur_listener_options, __VA_ARGS__)

/**
 * A listener that waits for its handlers and for start or run. Does not wait for a broker. NULL with
 * KUR_ERROR_INVALID_ARGUMENT (naming the option), KUR_ERROR_CONFIG, KUR_ERROR_UNSUPPORTED, KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_listener *kur_listener_new(kur_client *client, const kur_listener_options *options, kur_error *error);

/**
 * Handles every record that no typed handler takes: other types, records without an envelope. Before start.
 * KUR_ERROR_INVALID_STATE after start or a second time; also kept, and returned by start or run.
 */
KUR_API kur_status kur_listener_on_record(kur_listener *listener, kur_record_handler *handler, void *user);

/**
 * Handles null values (tombstones): those that would have come to typed handlers, and those without an envelope, which
 * is how most who delete a key write it. Without it they are finished and counted, the latter left to
 * kur_listener_on_record. As kur_listener_on_record.
 */
KUR_API kur_status kur_listener_on_tombstone(kur_listener *listener, kur_record_handler *handler, void *user);

/**
 * As kur_listener_on_record, in batches. What is there when a worker is free becomes a batch, at most `.batch_records`
 * of it, of all partitions; several records with the same key, or of one partition, come in their order.
 *
 * One handler in batches makes it a listener of batches: its typed handlers may take batches too
 * (order_created_on_batch) or records one at a time; each handler gets what is its own. Nothing can be deferred there.
 */
KUR_API kur_status kur_listener_on_batch(kur_listener *listener, kur_batch_handler *handler, void *user);

/* ---- Life ---- */

/**
 * Starts the threads and joins the group. Does not wait for a broker, but with KUR_EXACTLY_ONCE, for at most 10 s:
 * KUR_ERROR_UNSUPPORTED when it has no transactions, KUR_ERROR_AUTHORIZATION, KUR_ERROR_AUTHENTICATION,
 * KUR_ERROR_FATAL; when none answers it goes on, and the first transaction waits. KUR_ERROR_INVALID_STATE when it was
 * started before, what a failed registration has left, KUR_ERROR_SYSTEM, KUR_ERROR_NO_MEMORY. Once.
 */
KUR_API kur_status kur_listener_start(kur_listener *listener, kur_error *error);

/**
 * Starts, and blocks until SIGTERM, SIGINT, kur_listener_request_stop or a fatal error; then stops as
 * kur_listener_stop, for 30 s at most. A second signal does not wait for handlers. Both signals are unblocked on this
 * thread meanwhile; the old mask and the old handlers are put back.
 * KUR_OK after a stop in time, KUR_ERROR_TIMEOUT, or the error that ended it. One run of a process at a time
 * (KUR_ERROR_INVALID_STATE).
 */
KUR_API kur_status kur_listener_run(kur_listener *listener, kur_error *error);

/**
 * Takes nothing more, lets running handlers finish, commits, leaves the group. What has finished while the group was
 * being rebalanced is committed when that is over, for which it waits. KUR_OK, KUR_ERROR_TIMEOUT with the number of
 * handlers that still run and with everything else done, or when brokers have not answered, or the error that ended the
 * listener before. By its deadline also with all brokers down or silent. A last commit that was refused is logged and
 * is no error: what it was for will be repeated, as after a crash. Again is allowed, and waits on. In a handler or
 * callback of the listener: KUR_ERROR_INVALID_STATE, for it would wait for itself.
 */
KUR_API kur_status kur_listener_stop(kur_listener *listener, int timeout_ms, kur_error *error);

/**
 * kur_listener_run for several: fan-out, each group at its own pace. Starts them in turn, and blocks until a signal, a
 * kur_listener_request_stop of any of them, or a fatal error of one; then all are stopped side by side, within the one
 * deadline. The error is the first one's that has one; when one cannot be started, those before it are stopped. Also
 * KUR_ERROR_INVALID_ARGUMENT for a count of 0 and for a NULL among them, before anything is started.
 */
KUR_API kur_status kur_listeners_run(kur_listener *const *listeners, size_t count, kur_error *error);

/** kur_listener_stop for several, side by side: one deadline for all, and the number of all handlers that still run. */
KUR_API kur_status kur_listeners_stop(kur_listener *const *listeners, size_t count, int timeout_ms, kur_error *error);

/** Lets run return, or begins a stop. Any thread, handlers and signal handlers: async-signal-safe. */
KUR_API void kur_listener_request_stop(kur_listener *listener);

/**
 * Stops without waiting for deferred records, whose tickets become stale, blocks until the last handler has returned,
 * and frees. Brokers that are silent are waited for 5 s at most, after a kur_listener_stop not at all, and 4 s more
 * while it is asked where a partition starts. NULL does nothing. In a handler or callback of the listener it only
 * requests the stop, and logs an error.
 */
KUR_API void kur_listener_free(kur_listener *listener);

/**
 * Stops reading until kur_listener_resume; what is held is handled. Any thread, handlers too; carried out soon.
 * KUR_ERROR_INVALID_ARGUMENT for NULL, nothing else.
 */
KUR_API kur_status kur_listener_pause(kur_listener *listener, kur_error *error);
/** Goes on with reading, as kur_listener_pause. */
KUR_API kur_status kur_listener_resume(kur_listener *listener, kur_error *error);

/** In place of a partition's number: all of the topic's that this member has. */
#define KUR_ALL_PARTITIONS (-1)

/**
 * Goes on with a partition elsewhere: an offset, KUR_OFFSET_BEGINNING or KUR_OFFSET_END. What is held of it is given
 * up, and late results of its handlers are ignored. The target is committed as soon as it is known, which a stop waits
 * for: a restart neither ends a replay nor brings back what was passed over. Any thread, handlers too; carried out
 * soon, and not at all when the partition is not assigned then; a warning says when it went before the broker had
 * answered where its beginning or end is. KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_INVALID_STATE (the listener stops),
 * KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_status kur_listener_seek(kur_listener *listener, const char *topic, int32_t partition, int64_t offset,
                                     kur_error *error);

/**
 * The same to the first record at or after a time, in microseconds since 1970; to the end when there is none (the
 * embedded broker never finds one). KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_INVALID_STATE, KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_status kur_listener_seek_time(kur_listener *listener, const char *topic, int32_t partition,
                                          int64_t timestamp_us, kur_error *error);

/** How a listener is; what is counted begins with its start. */
typedef struct kur_listener_health {
    size_t size;
    bool is_running;
    int assigned; /**< partitions */
    int64_t held; /**< records taken from the broker and not finished; those that wait until they are due too */
    int64_t held_bytes;
    int running;       /**< handlers, and deferred records */
    int64_t oldest_ms; /**< how long the oldest of those has been running; 0: none is */
    int64_t handled;   /**< since the start: attempts that have returned */
    int64_t finished;  /**< records */
    int64_t retried;
    int64_t rejected;
    int64_t unknown; /**< finished since nobody handles their type, and tombstones */
    int64_t gaps;
    int64_t stale;      /**< results that came after their partition had gone */
    int64_t untold;     /**< finished offsets that the last commits had no room for: a crash would repeat them */
    kur_status status;  /**< what has ended it; KUR_OK */
    bool is_caught_up;  /**< with KUR_BROADCAST: what .on_caught_up tells */
    int64_t rebalances; /**< how often the group has taken partitions away */
    int64_t lost; /**< partitions that were gone before they could be given back: the group had missed this member,
                     and what was not committed yet is repeated */
    int64_t stalled_ms;   /**< how long some partition has had records held and none of them finished, the longest of
                               all, to half a second; 0: none has. Slow handlers and retries look like this as well */
    int64_t schema_waits; /**< how often a record was put off since its schema could not be had: it comes again in its
                               order, and that is no attempt */
} kur_listener_health;

#define KUR_LISTENER_HEALTH(...) KUR__OPTIONS(kur_listener_health, __VA_ARGS__)

/** How it is. Set `.size`. Any thread, handlers too. KUR_ERROR_INVALID_ARGUMENT, for a size that is not set too. */
KUR_API kur_status kur_listener_health_get(kur_listener *listener, kur_listener_health *health, kur_error *error);

/** How a listener is with a partition that it has. */
typedef struct kur_listener_position {
    size_t size;
    const char *topic;
    int32_t partition;
    int64_t position;   /**< the offset behind the last record that was taken; -1: its start is being looked for */
    int64_t unfinished; /**< the first offset that is not finished, what is to be committed; -1 likewise */
    int64_t committed;  /**< -1: nothing yet since the assignment or the last seek */
    int64_t lag;        /**< how many offsets `unfinished` is behind the end of the log; -1: not known yet */
    int64_t held;       /**< records taken and not finished */
    int running;        /**< of those: with a handler, or handed over to one */
    bool is_paused;     /**< by the user, or since too much is held */
    int64_t stalled_ms; /**< as in kur_listener_health, of this one */
    const char *waits;  /**< with `.retry.keep_order`: why nothing of it is handled now; NULL: nothing is in the way */
} kur_listener_position;

/** By the order of their assignment. */
typedef struct kur_listener_position_list {
    size_t count;
    const kur_listener_position *const *items;
} kur_listener_position_list;

/**
 * The partitions that this member has, as they were half a second ago, or a second when nothing happens; none before
 * the start and after the end. Views in `arena`. Any thread, handlers too; does not wait. KUR_ERROR_INVALID_ARGUMENT,
 * KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_status kur_listener_positions(kur_listener *listener, kur_arena *arena,
                                          kur_listener_position_list *positions, kur_error *error);

/* ---- Retries and dead letters ---- */

/** A group's own topics of a tier, all together, as far as this member has them. */
typedef struct kur_tier_health {
    size_t size;
    kur_tier tier;
    int64_t forwarded; /**< records sent there since the start, moved ones included */
    int64_t parked;    /**< that wait in memory until they are due */
    int64_t lag; /**< offsets from the first unfinished one to the end: parked, unread and what is being handled; -1:
                    not known, and always so of dead letters */
    int64_t next_due_us; /**< of those that are parked, microseconds since 1970; 0: none is */
} kur_tier_health;

/** What failed for one cause since the start. */
typedef struct kur_cause_health {
    size_t size;
    const char *cause; /**< KUR_OTHER_CAUSES for all others once there are 256 */
    int64_t retried;   /**< records sent to a retry topic */
    int64_t dead;      /**< to the dead letters */
} kur_cause_health;

/** In the place of a cause: all those that have no count of their own. */
#define KUR_OTHER_CAUSES "*"

/** How many counts of lateness there are; see kur_lateness_bound_us. */
#define KUR_LATENESS_BUCKETS 16

/** How a listener is with its retries and dead letters. */
typedef struct kur_retry_health {
    size_t size;
    size_t tier_count;
    const kur_tier_health *const *tiers; /**< KUR_TIER_SHORT to KUR_TIER_DEAD */
    size_t cause_count;
    const kur_cause_health *const *causes; /**< in the order in which they came first */
    int64_t forward_failures;              /**< refused or failed: each was, or will be, sent again */
    int64_t failing_ms; /**< since when none has got through though some were tried; 0: the last one has */
    int64_t foreign;    /**< records of retry topics that were another group's */
    int64_t clamped;    /**< whose headers were not believed as they stood */
    int64_t ignored;    /**< records of main topics that had retry headers, counted when they failed */
    int64_t moved;      /**< records sent to the end of their retry topic since the window was full */
    int64_t lateness[KUR_LATENESS_BUCKETS]; /**< attempts by how long after their time they began */
} kur_retry_health;

/**
 * How it is with retries and dead letters, as of half a second ago; without topics of its own there are no tiers and
 * causes. In `arena`. Any thread, handlers too; does not wait. KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_status kur_listener_retries(kur_listener *listener, kur_arena *arena, const kur_retry_health **health,
                                        kur_error *error);

/** What the attempts that kur_retry_health.lateness[bucket] counts were late by at most, in microseconds: 1 ms to 10
 * min; INT64_MAX for the last bucket. Any thread. */
KUR_API int64_t kur_lateness_bound_us(int bucket);

/* ---- In the caller's own loop: .dispatch = KUR_DISPATCH_CALLER ---- */

/** Readable when records wait for kur_listener_dispatch, and when the listener has ended by itself. Owned by the
 * listener; -1 otherwise. */
KUR_API int kur_listener_fd(const kur_listener *listener);

/**
 * Runs handlers for what waits, `most` at most, for which a batch counts as one; returns how many ran in `count` when
 * it is not NULL. Does not wait. One thread at a time, and not from a handler. KUR_ERROR_INVALID_STATE with
 * KUR_DISPATCH_THREAD or before start, or what has ended the listener.
 */
KUR_API kur_status kur_listener_dispatch(kur_listener *listener, int most, int *count, kur_error *error);

KUR_END_DECLS

#endif
