/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener around its decisions: one control thread, N workers, and what lies between them.
 *
 *     control thread (control.c)                        workers (worker.c), or the caller's thread
 *       polls, asks the machine, commits,     ring ───▶ claim a record each, one at a time, or a batch
 *       serves the producer              ◀─── outboxes  push what was said of it (and a mailbox, for the rest)
 *
 * The machine, the consumer and the producer belong to the control thread alone. A work belongs to a worker from the
 * claim to the push.
 */
#ifndef KURIER_PATTERNS_LISTENER_SHELL_H
#define KURIER_PATTERNS_LISTENER_SHELL_H

#include <kurier/kurier.h>
#include <kurier/sys/codec.h>
#include <pthread.h>
#include <stdatomic.h>

#include "listener/ordered.h"

enum {
    KUR__RING = 2048,   /* works handed over and not claimed, at most; a power of two */
    KUR__OUTBOX = 512,  /* a power of two; what has no room goes to the mailbox */
    KUR__HANDLERS = 64, /* typed handlers of a listener, at most */
    KUR__EMITS = 64,    /* events emitted for one record, at most */
    KUR__CAUSE = 64,
    KUR__REASON = 512,
    KUR__CODE = 96,
    KUR__RECORD_BYTES = 64 << 20, /* no larger one is sent; what a topic takes its broker says */
    KUR__AT_ONCE = 0              /* of stop_by_us: handlers are not waited for */
};

/* An event that a handler has emitted: encoded at once, sent when the outcome is known. */
struct kur__emit {
    struct kur__emit *next;
    kur_buffer type, key, data;
    bool has_key;
    kur_encoding encoding;
    const char *topic; /* the descriptor's: static */
    char id[KUR_UUID_TEXT_SIZE];
    kur_listener *listener;
    kur__work *work;
    bool is_acknowledged;
};

/* A record on its way to another topic. */
struct kur__forward {
    kur_listener *listener;
    kur__work *work;
    const char *topic; /* NULL: there is none */
    struct kur__there *there;
    uint8_t stage; /* how often it was found too large */
    bool takes_any_partition;
    bool has_missed; /* its own partition, which is not there */
    bool is_acknowledged;
    bool is_kept, is_to_keep; /* by the keeper; it is there, and that has still to be kept */
};

/* What of a work is rarely needed. */
struct kur__extra {
    struct kur__forward forward;
    struct kur__emit *emits, *last_emit;
    int emit_count;
    int pending;
    int schema_waits;                  /* how often its schema could not be had */
    const char *cause, *reason, *code; /* what was said last, and where; "" for nothing */
    char *said;                        /* their memory */
};

/* One of `invoke` and `invoke_batch`. */
struct kur__handler {
    const kur_type *type;
    kur_handler_invoke *invoke;
    kur_batch_invoke *invoke_batch;
    kur_function *function;
    void *user;
};

/* One of `function` and `batch`, or neither. */
struct kur__record_handler {
    kur_record_handler *function;
    kur_batch_handler *batch;
    void *user;
};

/* What a worker has finished, for the control thread: one writer and one reader. */
struct kur__outbox {
    _Atomic uint32_t tail; /* the worker's: put in up to here */
    uint32_t seen_head;    /* the worker's: `head` as it was seen last */
    char apart[56];
    _Atomic uint32_t head; /* the control thread's: taken up to here */
    char apart_too[60];
    _Atomic(kur__work *) works[KUR__OUTBOX];
};

struct kur__worker {
    kur_listener *listener;
    pthread_t thread;
    bool has_thread, has_started; /* .worker_start has made the state */
    _Atomic int64_t since_us;     /* in a handler since then; 0: in none */
    int64_t now_us;               /* when the handler before returned; 0: it is to be looked up */
    int untimed;                  /* for so many handlers the clock is not looked at */
    void *state;
    struct kur__outbox *outbox; /* NULL: it pushes to the mailbox */
    kur_arena *arena;
    struct kur__batch *batch;   /* room for one, in a listener of batches */
    const kur_record *done[64]; /* to be freed together */
    size_t done_count;
};

/* The ring: the control thread puts works in, any worker claims the first. */
struct kur__ring {
    _Alignas(64) _Atomic uint64_t head; /* claimed up to here */
    _Alignas(64) _Atomic uint64_t tail; /* put in up to here */
    _Atomic(kur__work *) works[KUR__RING];
};

enum kur__listener_state {
    KUR__NEW = 0,
    KUR__STARTED,
    KUR__ENDED
};

/* Where a partition is to go on: an offset (or KUR_OFFSET_BEGINNING, _END), or the first record at a time. */
struct kur__place {
    bool is_time;
    int64_t offset, time_us;
};

/* What other threads ask of the control thread. */
struct kur__request {
    struct kur__request *next;
    struct kur__place place;
    int32_t partition;
    char topic[];
};

/* With KUR_BROADCAST: what a partition has to be handled up to before the listener has caught up. */
struct kur__goal {
    struct kur__goal *next;
    int64_t end;
    int32_t partition;
    char topic[];
};

struct kur__exactly; /* transactions: exactly_once.h */
struct kur__ends;    /* ends.c */
struct kur__tiers;   /* its own topics: topics.h */
struct kur__keeper;  /* keeper.h */

struct kur_listener {
    kur_client *client;
    kur_listener_options options;
    char *group, *pattern, *exclude, *instance;
    char **topics;
    struct kur__tiers *tiers;        /* retry topics and dead letters; NULL: they are not in use */
    struct kur__ends *ends;          /* with .keep_order: made when it is needed */
    int64_t next_ends_us;            /* when those are asked for again that are not reached */
    bool is_reading_up;              /* some end is not reached yet */
    char writer[KUR_UUID_TEXT_SIZE]; /* who has forwarded a record to an ordered topic: this listener, in this life */
    kur__machine_options decisions;
    kur_retry_since timeout_since;
    char **fatal, **retriable; /* causes; NULL: no such list */
    struct kur__handler handlers[KUR__HANDLERS];
    int handler_count;
    struct kur__record_handler on_record, on_tombstone;
    bool is_batched;                  /* what is handed over are batches */
    const struct kur__keeper *keeper; /* NULL: nobody keeps anything */
    bool keeper_has_ended;            /* it is asked for nothing any more */
    kur_error registration;           /* the first that failed */

    /* Of the control thread alone. */
    kur_consumer *consumer;
    kur_producer *producer;       /* made when something is emitted first */
    struct kur__exactly *exactly; /* with KUR_EXACTLY_ONCE */
    kur__machine machine;
    kur_arena *arena;
    kur_record **polled;
    size_t polled_capacity, polled_count, polled_next; /* those that no memory was there for wait here */
    const char *seen_topic;                            /* librdkafka's name of the last record's topic */
    int32_t seen_partition;
    kur__source *seen_source;      /* forgotten at each change of sources */
    _Atomic uint64_t depth;        /* how much is handed over ahead; workers read it */
    bool was_filled;               /* the ring, in the last round */
    int batches;                   /* handed over, and not come back */
    int64_t fill_by_us;            /* the next batch waits until then to become full; 0: none does */
    int poll_ms;                   /* never longer without a poll */
    int64_t polled_us;             /* when it was polled last */
    _Atomic int64_t wall_ahead_us; /* of the monotonic clock, when that was looked at last */
    _Atomic int64_t next_error_us, next_emit_warning_us, next_forward_warning_us, next_header_warning_us;
    _Atomic int64_t next_schema_warning_us, no_schema_before_us; /* until then no schema is asked for */
    bool is_paused;                                              /* by the user */
    bool is_leaving, is_closing;
    bool has_away;               /* sources that may come back */
    bool is_apart;               /* does not poll for a while: what the consumer has must not wake it */
    struct kur__request *sought; /* partitions that have no source until it is found out where they go on */
    struct kur__goal *goals;     /* not reached yet */
    bool are_goals_known;        /* none is added any more */
    kur__queue rejected;         /* settling works that wait for room in the ring */
    kur__work *alone;            /* waits until nothing is on its way to be sent by itself */
    bool is_alone_out;
    int64_t burst_us; /* when the first of what is on its way was sent */

    struct kur__ring ring;
    _Alignas(64) _Atomic(kur__work *) mailbox;
    _Alignas(64) atomic_bool control_sleeps;
    int wake_fd; /* for the control thread */
    int epoll_fd;

    pthread_t control;
    bool has_control;
    struct kur__worker *workers;
    int worker_count;
    pthread_mutex_t idle_lock; /* guards the sleep of workers */
    pthread_cond_t idle;
    atomic_int idle_count;
    atomic_bool workers_end;
    int ready_fd; /* with KUR_DISPATCH_CALLER */

    atomic_bool stop_requested, pause_requested, is_freed, has_failed, is_caught_up;
    _Atomic int64_t stop_by_us; /* of the monotonic clock; INT64_MAX: no hurry */
    _Atomic int64_t leave_us;   /* of the time for a stop, what the last commit and leaving the group are given */
    int run_fd;                 /* wakes kur_listeners_run */
    pthread_mutex_t lock;       /* guards state, failed, requests, refuses_seeks and look */
    pthread_cond_t changed;     /* of state */
    enum kur__listener_state state;
    kur_error failed;
    struct kur__request *requests;
    bool refuses_seeks;
    struct kur__look *look; /* what was told last of each partition */

    atomic_int deferred, schema_failures; /* to get a schema, since one was had */
    _Atomic int64_t unclaimed;            /* records of batches that no worker has claimed */
    _Atomic int64_t handled, finished, retried, rejected_count, unknown, gaps, stale, untold;
    _Atomic int64_t rebalances, lost, schema_waits;
    _Atomic int64_t forwarded[KUR_TIER_DEAD + 1], forward_failures, foreign, clamped, ignored, moved;
    struct kur__retries *retries; /* what is told of them: retries.c; NULL: no topics of its own */
    _Atomic int64_t held, held_bytes, assigned, running;
    _Atomic int64_t stalled_since_us; /* the partition that has been so for longest; 0: none */
    int64_t next_look_us;             /* of the control thread */
};

/* ---- worker.c ---- */

kur__work *kur__ring_claim(struct kur__ring *ring);
/* Control thread: false when it is full. */
bool kur__ring_put(struct kur__ring *ring, kur__work *work);
/* How many of them had room. */
size_t kur__ring_put_all(struct kur__ring *ring, kur__work *const *works, size_t count);
uint64_t kur__ring_size(const struct kur__ring *ring);
/* After putting: wakes as many workers as there is work for. */
void kur__workers_wake(kur_listener *listener, uint64_t count);
kur_status kur__workers_start(kur_listener *listener, kur_error *error);
/* Ends them once they have returned from their handlers, and joins. */
void kur__workers_stop(kur_listener *listener);
/* Runs what is claimed; on the worker's thread, or the caller's. */
void kur__worker_run(struct kur__worker *worker, kur__work *work);
/* Gives the records back that were finished. */
void kur__worker_flush(struct kur__worker *worker);
/* Control thread: how much is handed over ahead, by how the ring was found. */
void kur__adapt_depth(kur_listener *listener);
/* Control thread: fills the ring with what may run; whether fast workers have enough for now. */
bool kur__hand_over(kur_listener *listener, int64_t now_us);
/* A record is done for good: it is given back with others. */
void kur__worker_keep_done(struct kur__worker *worker, kur__work *work);
/* Takes results out of the outbox of a worker, for the control thread; how many. */
size_t kur__outbox_take(struct kur__outbox *outbox, kur__work **works, size_t capacity);
/* Whether results wait, wherever. */
bool kur__results_wait(const kur_listener *listener);
/* Hands a work, or a batch by its first, back to the control thread; any thread. `wakes`: at once. */
void kur__mailbox_push(kur_listener *listener, kur__work *work, bool wakes);
void kur__control_wake(kur_listener *listener);

/* This thread runs what is the user's for a listener from now on; returns for which it did before, NULL for none. */
const kur_listener *kur__thread_enter(const kur_listener *listener);
/* For calls that would wait for their own caller: whether this is in a handler or callback of the listener. */
bool kur__thread_is_of(const kur_listener *listener);

/* ---- delivery.c ---- */

/* Runs the handler that is for a record, and fills in the work's verdict; false when it was deferred meanwhile. */
bool kur__deliver(struct kur__worker *worker, kur__work *work);
/* Hands a rejected record to on_rejected; the verdict is KUR_DONE when it is safe. */
void kur__deliver_rejected(struct kur__worker *worker, kur__work *work);
struct kur__extra *kur__extra_of(kur__work *work); /* made when it is not there; NULL without memory */
void kur__extra_free(kur__work *work);
/* What an attempt has emitted that came to nothing. */
void kur__extra_drop_emits(struct kur__extra *extra);
/* Keeps what was said, and where: "" when that is not known. Without memory nothing is said. */
void kur__extra_say(struct kur__extra *extra, const char *cause, const char *reason, const char *code);

/* ---- batch.c ---- */

struct kur__batch *kur__batch_new(size_t capacity);
void kur__batch_free(struct kur__batch *batch);
/* Runs the handlers for a batch, and fills in the verdict of each of its works. */
void kur__deliver_batch(struct kur__worker *worker, kur__work *first);
/* Control thread: hands as many over as there are workers for; how many records that were. */
uint64_t kur__batch_hand_over(kur_listener *listener, int64_t now_us);

/* ---- ticket.c ---- */

kur_status kur__ticket_open(kur_listener *listener, kur__work *work, kur_ticket *ticket, kur_error *error);
/* Makes all tickets of a listener stale, and gives their works back, linked. */
kur__work *kur__tickets_close(kur_listener *listener);
/* When the oldest of a listener's deferred records began to run; 0: there is none. */
int64_t kur__tickets_oldest_us(const kur_listener *listener);

/* ---- effect.c ---- */

/* Begins the effects that the machine asks for; whether at a stop all is over but what has no topic to go to. */
void kur__effects_begin(kur_listener *listener, int64_t now_us);
bool kur__effects_are_over(const kur_listener *listener);
/* All of it has been tried: durable, or again later. */
void kur__effect_end(kur_listener *listener, kur__work *work, int64_t now_us);
/* Sends an event that was emitted; `callback` gets it as its `user`. */
kur_status kur__emit_send(kur_producer *producer, struct kur__emit *emit, const kur_event_view *parent,
                          kur_result_callback *callback, kur_error *error);

/* The listener's own producer, made when it is needed first. */
kur_status kur__effect_producer(kur_listener *listener, kur_error *error);

/* ---- forward.c ---- */

/* Forwards a record to work->to. */
void kur__forward_begin(kur_listener *listener, kur__work *work, int64_t now_us);
/* Finds out where a record goes, on the control thread; NULL: no memory. */
struct kur__forward *kur__forward_prepare(kur_listener *listener, kur__work *work);
/* Sends it by a given producer; `callback` gets work->extra's forward as its `user`. */
kur_status kur__forward_send(kur_listener *listener, kur_producer *producer, const kur__work *work,
                             kur_result_callback *callback, kur_arena *arena, kur_error *error);
/* It has arrived, and that is to be kept. */
void kur__forward_keep(kur_listener *listener, kur__work *work);
/* It has arrived; any thread. */
void kur__forward_arrived(const struct kur__forward *forward);
/* What a failure means for the next time. */
void kur__forward_judge(kur_listener *listener, kur__work *work, const kur_error *error);
/* Whether nothing else may be on its way with it. */
bool kur__forward_goes_alone(const kur__work *work);
/* What a record that was polled says of itself. One of a retry topic is made as it was first, as `polled->item`, which
 * is then the caller's too. False: no memory. */
bool kur__forward_take(kur_listener *listener, const kur__source *source, const kur_record *record,
                       kur__polled *polled);

/* ---- exactly_once.c ---- */

kur_status kur__exactly_new(kur_listener *listener, kur_error *error);
/* Waits for the broker, but not for long: it is to say whether it has transactions at all. */
kur_status kur__exactly_start(kur_listener *listener, kur_error *error);
/* Control thread: takes in what became of a transaction, begins the next when it is due. */
void kur__exactly_serve(kur_listener *listener, int64_t now_us);
/* Control thread: before partitions go, what is open ends, and what else has settled of them is committed. */
void kur__exactly_last(kur_listener *listener, int timeout_ms);
/* Control thread: likewise of all, before the group is left. */
void kur__exactly_close(kur_listener *listener);
/* No more transactions; does not wait. */
void kur__exactly_stop(kur_listener *listener);
/* Waits for its thread; what it held is given back. Without transactions nothing. */
void kur__exactly_free(kur_listener *listener);

/* ---- control.c ---- */

/* A copy takes the place of a record that waits for long, and would hold what was fetched with it; if it can. */
void kur__record_unpin(kur_listener *listener, kur__work *work);

void *kur__control_run(void *listener);
/* After the threads have ended: takes in what was left, and releases everything. */
void kur__control_clear(kur_listener *listener);
/* The consumer's kur_room_callback. */
size_t kur__room(kur_consumer *consumer, const char *topic, int32_t partition, void *user);
/* Wakes the control thread when a descriptor is readable. */
kur_status kur__control_watch(kur_listener *listener, int fd, kur_error *error);

/* ---- assignment.c: what happens to partitions, on the control thread ---- */

void kur__on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *partitions, size_t count,
                       void *user);
void kur__on_gap(kur_consumer *consumer, const kur_gap *gap, void *user);
/* Of the sources that are away: ends those that do not come back; whether one has to, for something to be committed. */
void kur__drop_absent(kur_listener *listener);
bool kur__waits_to_commit(const kur_listener *listener);
/* The source of a record; made when a partition of ours has none yet. NULL: not ours, or no memory. */
kur__source *kur__source_for(kur_listener *listener, const kur_record *record);
/* Begins one; NULL: no memory, and the listener ends with that. */
kur__source *kur__source_open(kur_listener *listener, const kur_position *position);
/* How long leaving the group may take. */
int kur__close_ms(const kur_listener *listener);
/* Commits what is to be: the round of one source, or of all; `waits`: until the answer is there. */
void kur__commit_round(kur_listener *listener, kur__source *only, int timeout_ms, int64_t now_us);
/* Whether a commit failed since the broker takes less text; and what is done then. */
bool kur__text_is_refused(const kur_error *error);
void kur__shorten_texts(kur_listener *listener);
/* What the control thread does between two polls: results, effects, releases. */
void kur__control_serve(kur_listener *listener, int64_t now_us);
/* Takes back what no worker has claimed. */
void kur__control_untake(kur_listener *listener, int64_t now_us);
/* Waits for a result, or for the time. */
void kur__control_wait(kur_listener *listener, int timeout_ms);
/* Ends the listener with an error; the first one counts. Any thread. */
void kur__listener_fail(kur_listener *listener, const kur_error *error);

/* ---- ends.c: with keep_order, the ends of partitions when they were given; on the control thread ---- */

void kur__ends_ask(kur_listener *listener, const kur__source *source);
/* Takes answers in, and how far has been read. */
void kur__ends_serve(kur_listener *listener, int64_t now_us);
/* Waits for its thread. */
void kur__ends_free(kur_listener *listener);

/* ---- broadcast.c: what has to be handled before the listener has caught up; on the control thread ---- */

/* A partition is read from now on. */
void kur__broadcast_aim(kur_listener *listener, const kur_position *position);
/* Of what is not there any more nothing is waited for. */
void kur__broadcast_lower(kur_listener *listener, const kur_gap *gap);
/* Tells when everything is reached. */
void kur__broadcast_look(kur_listener *listener);
void kur__broadcast_done(kur_listener *listener);

/* ---- health.c ---- */

/* Tells how it is; the control thread. */
void kur__health_tell(kur_listener *listener, int64_t now_us);
/* Of what there may be thousands: whether it is told now, and not again for 10 s. Any thread. */
bool kur__once_in_a_while(_Atomic int64_t *next_us);
/* How far what is unfinished of a source is behind the end of its log; -1: not known. */
int64_t kur__lag_of(const kur_listener *listener, const kur__source *source);

/* ---- retries.c: what is told of retries and dead letters ---- */

kur_status kur__retries_new(kur_listener *listener, kur_error *error);
void kur__retries_free(kur_listener *listener);
/* A record has been forwarded, or could not be. */
void kur__retries_forwarded(kur_listener *listener, const kur__work *work);
void kur__retries_failed(kur_listener *listener);
/* A handler begins so long after the record was due; any thread. */
void kur__retries_late(kur_listener *listener, int64_t late_us);
/* Control thread, now and then. */
void kur__retries_look(kur_listener *listener);

/* ---- seek.c ---- */

/* A new epoch that begins at an offset (or KUR_OFFSET_BEGINNING, _END): in a gap's callback, or for the record at hand,
 * which the caller frees. */
void kur__restart(kur_listener *listener, const char *topic, int32_t partition, int64_t offset);
/* Carries out what was asked for. */
void kur__seek_take_requests(kur_listener *listener);
/* The same for the last time: whoever comes later is told so. */
void kur__seek_stop(kur_listener *listener);
/* After a poll: begins, and commits, where it has been found out. */
void kur__seek_begin_found(kur_listener *listener, int64_t now_us);
/* The partition has gone. */
void kur__seek_forget(kur_listener *listener, const char *topic, int32_t partition);
/* All that are linked. */
void kur__requests_free(struct kur__request *request);

/* ---- options.c ---- */

/* Refuses what makes no sense by its name, and puts the defaults in. */
kur_status kur__listener_options_check(kur_listener_options *options, kur_error *error);
kur_status kur__listener_take_policy(kur_listener *listener, const kur_retry_policy *given, kur_error *error);
/* Whether the policy says that a cause is never tried again. */
bool kur__listener_is_fatal(const kur_listener *listener, const char *cause);

/* ---- listener.c ---- */

/* Keeps what is wrong with a registration, and returns its status. */
kur_status kur__listener_refuse(kur_listener *listener, kur_status status, const char *what);
/* kur_listeners_run looks again. Any thread, and signal handlers. */
void kur__listener_wake_run(kur_listener *listener);

#endif
