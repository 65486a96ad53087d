/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Inside a relay: one thread, which does one thing after another: finds out which shards are its own, reads a batch,
 * has it sent, deletes what was sent, parks what was refused. The two guarantees differ in how shards come to it and in
 * how a batch is sent: a kur__courier each. relay_loop.c says how all of it goes together.
 */
#ifndef KURIER_OUTBOX_RELAY_H
#define KURIER_OUTBOX_RELAY_H

#include <kurier/admin.h>
#include <kurier/relay.h>
#include <pthread.h>

#include "outbox/outbox.h"

/* What became of a row of the batch at hand. */
enum kur__row_state {
    KUR__ROW_WAITS = 0, /* not sent: to be read again */
    KUR__ROW_SENT,      /* in Kafka: to be deleted */
    KUR__ROW_REFUSED,   /* for good: to be parked with its error */
    KUR__ROW_BEHIND,    /* a row of its key before it is parked, or was refused: to be parked behind it */
    KUR__ROW_GONE       /* deleted or parked: nothing is left to be done */
};

struct kur__batch_row {
    kur_outbox_row row; /* all it points to is in the batch's arena */
    enum kur__row_state state;
    bool is_held;      /* waits for now, as do those of its key behind it: it is not to be sent */
    bool goes_later;   /* it is not to be on its way together with the one of its key before it */
    uint32_t key_hash; /* of its key; 0: it has none */
    uint32_t together; /* with no more than so many, itself included, for it was among refused ones; 0: any */
    struct kur__batch_row *behind; /* the next one of its key */
    const char *refusal;           /* in the batch's arena */
    struct kur__target *target;    /* its topic, once it has been screened */
    kur_relay *relay;
};

/* Rows that are read together. */
struct kur__batch {
    kur_relay *relay;
    int32_t shards[KUR_OUTBOX_SHARDS_MAX]; /* of which they are */
    size_t shard_count;
    bool is_whole;     /* those are all that the relay has, and none rests */
    int64_t ownership; /* relay->ownership when they were chosen */
    kur_arena *arena;
    struct kur__batch_row *rows;    /* each shard's by id, one shard after another */
    kur_outbox_id *ids;             /* room for as many: what is to be deleted */
    struct kur__batch_row **firsts; /* room for twice as many: by keys, while they are linked */
    size_t count, capacity, bytes;
    bool is_full;      /* there was no room for more */
    bool is_unsettled; /* it was sent, and what became of it is not in the database yet */
};

/* A shard that is this relay's. */
struct kur__shard {
    int32_t number;
    int failures;          /* in a row */
    int64_t not_before_us; /* after failures: monotonic */
};

/* How a guarantee is kept. All run on the relay's thread. */
struct kur__courier {
    /* Makes its producer and whatever else, before all others; after a failure once more. */
    kur_status (*start)(kur_relay *relay, kur_error *error);
    /*
     * Brings relay->shards up to date by kur__relay_own; a shard that comes to it has been cleared of what an earlier
     * owner had sent. Called before each batch, and every half second when there is none; relay->connection is there.
     * Waits for nothing: the loop does.
     */
    kur_status (*own)(kur_relay *relay, kur_error *error);
    /*
     * Sends the batch, and says of each row what became of it. An error says that none of those that wait was sent.
     * Nothing that it began goes on after it has returned. Once kur__relay_is_out_of_time it returns soon.
     */
    kur_status (*send)(kur_relay *relay, struct kur__batch *batch, kur_error *error);
    /* Gives shards back and frees what start made; also after a start that failed. */
    void (*end)(kur_relay *relay);
};

extern const struct kur__courier kur__courier_at_least_once; /* relay_send.c */
extern const struct kur__courier kur__courier_exactly_once;  /* relay_exactly.c */

struct kur_relay {
    kur_outbox *outbox;
    kur_relay_options options; /* texts are copies, defaults are put in */
    const struct kur__courier *courier;
    void *courier_state;

    /* Its thread's own. */
    void *connection; /* NULL while there is none */
    struct kur__shard shards[KUR_OUTBOX_SHARDS_MAX];
    size_t shard_count;
    int64_t ownership;            /* changes whenever a shard has come or gone */
    struct kur__batch batches[2]; /* the first, but while a backlog is sent */
    struct kur__hand *hand;       /* NULL until then */
    int32_t shard_rows;           /* how many rows of a shard are read at once */
    size_t next_shard;            /* the one to begin with: none is always last */
    bool has_backlog;             /* the last batch was large: halves take turns */
    int empty_ms;                 /* how long it waited last while there was nothing */
    int64_t next_look_us, next_raise_us, next_figures_us;
    int64_t changes;         /* the driver's number when nothing was there */
    int64_t changes_till_us; /* so long that is believed */
    int failures;            /* rounds in a row */
    int64_t next_warning_us;
    struct kur__targets *targets;

    pthread_t thread;
    bool is_started;
    int wake, done; /* eventfds: request_stop writes, it has ended */
    atomic_bool stops;
    _Atomic int64_t stop_by_us; /* monotonic: what is under way then is given up; INT64_MAX: nobody has said */
    kur_error end;              /* what ended it; read after `has_ended` */
    atomic_bool has_ended;

    pthread_mutex_t lock; /* guards health, failing_since_us */
    kur_relay_health health;
    int64_t failing_since_us; /* monotonic; 0: it does not */
};

/* ---- relay_options.c ---- */

/* Takes options, puts the defaults in, copies the texts, which kur__relay_options_free releases; also after a failure.
 */
kur_status kur__relay_options_take(kur_relay_options *to, const kur_relay_options *given, const kur_outbox *outbox,
                                   kur_error *error);
void kur__relay_options_free(kur_relay_options *options);

/* ---- relay_loop.c ---- */

void *kur__relay_run(void *relay);

/* Whether it ends, and what is under way is to be given up. */
bool kur__relay_is_out_of_time(const kur_relay *relay);

/* Waits until it is to stop, for as long at most; whether it is to. */
bool kur__relay_pause(kur_relay *relay, int timeout_ms);

/*
 * The status of one of the driver's functions: closes the connection when it is of no more use, so that the next round
 * makes another. Returns it.
 */
kur_status kur__relay_checked(kur_relay *relay, kur_status status, const kur_error *error);

/* These shards are its own now; those that it had keep their back-offs. */
void kur__relay_own(kur_relay *relay, const int32_t *shards, size_t count);

/* ---- relay_hand.c: a second thread, which settles and reads one batch while another is sent ---- */

/* Has a batch settled, if it was sent, and then read as it is aimed; nobody else uses it or the connection meanwhile.
 */
void kur__hand_begin(kur_relay *relay, struct kur__batch *batch);
/* Waits for it; what failed, as kur__batch_settle or _read. */
kur_status kur__hand_wait(kur_relay *relay, struct kur__batch *batch, kur_error *error);
void kur__hand_free(kur_relay *relay);

/* ---- relay_batch.c ---- */

/* Chooses the shards that are due, of all or of one half (0, 1; -1: all). On the relay's thread. */
void kur__batch_aim(kur_relay *relay, struct kur__batch *batch, int half);
/* Reads what those have. */
kur_status kur__batch_read(kur_relay *relay, struct kur__batch *batch, kur_error *error);
/* Writes down what became of it, as often as is needed, if it was sent: it is empty then. */
kur_status kur__batch_settle(kur_relay *relay, struct kur__batch *batch, kur_error *error);
/* Whether something in it is to be parked. */
bool kur__batch_has_refused(const struct kur__batch *batch);
/* Forgets it. */
void kur__batch_reset(struct kur__batch *batch);
void kur__batch_done(struct kur__batch *batch);
/*
 * A row is refused for good; those of its key behind it, if they wait, are behind it, unless .blocks_nothing. One whose
 * key has a parked row is behind that: kur__batch_screen. KUR_ERROR_NO_MEMORY.
 */
kur_status kur__batch_refuse(struct kur__batch *batch, struct kur__batch_row *row, const char *why, kur_error *error);
/* A row waits for a later round, and so do those of its key behind it. */
void kur__batch_hold(struct kur__batch_row *row);
/* First: those whose key has a parked row are behind that. */
void kur__batch_screen(struct kur__batch *batch);

/* ---- relay_targets.c: what is known of topics; its head says by which rules rows are refused ---- */

/*
 * Before a batch is sent: looks up the topics that are not known, by `producer` and its brokers, and refuses or holds
 * rows. Rows that then wait and are not held have a target. KUR_ERROR_NO_MEMORY.
 */
kur_status kur__targets_screen(kur_relay *relay, kur_producer *producer, struct kur__batch *batch, kur_error *error);
/* The largest batch of records that its topic takes; 0: not known. */
int64_t kur__target_limit(const struct kur__batch_row *row);
/* Whether that was asked for as this batch was screened; if not, it will be for the next one. */
bool kur__target_limit_is_new(struct kur__batch_row *row);
/* Whether rows that went together have been acknowledged, since then, in the partition that this one is for. */
bool kur__target_has_met(const struct kur__batch_row *row, int64_t since_us);
/* Refuses a row when its topic has refused another while this batch was sent. KUR_ERROR_NO_MEMORY. */
kur_status kur__target_refuse(struct kur__batch *batch, struct kur__batch_row *row, kur_error *error);
/* Whether nothing else may be on its way with a row, at this moment. */
bool kur__target_wants_alone(const struct kur__batch_row *row);
/* What a producer's batches may have at most, by the topics that are known. */
int kur__targets_batch_bytes(const kur_relay *relay);
/* Whether Kafka refuses a record for its own sake, and would again; it says so of all that are in a batch with it. */
bool kur__target_is_of_row(const kur_error *why);
/* A row has been acknowledged, in this partition. */
void kur__target_accepted(const struct kur__batch_row *row, int32_t partition, bool was_alone);
/* A row has failed: it is refused, if it went alone and the broker means it; else it waits. KUR_ERROR_NO_MEMORY. */
kur_status kur__target_failed(struct kur__batch *batch, struct kur__batch_row *row, const kur_error *why,
                              bool was_alone, kur_error *error);
void kur__targets_free(kur_relay *relay);

/* ---- parked.c ---- */

/* A parked row as it is shown: what it points to is in `arena`, or the row's. Headers that cannot be read are none. */
kur_status kur__parked_view(const kur_outbox_parked_row *row, kur_arena *arena, kur_parked_view *view,
                            kur_error *error);

/* ---- relay_health.c ---- */

/* Something has failed, and will be tried again: counted, told, and logged now and then. */
void kur__relay_failed(kur_relay *relay, const char *what, const kur_error *error);
/* Nothing is there, or all that was has gone through. */
void kur__relay_is_well(kur_relay *relay);
/* A batch has been sent, as far as it could be. */
void kur__relay_sent(kur_relay *relay, const struct kur__batch *batch);
/* Counted: rows that were there no more, rows that were parked. */
void kur__relay_settled(kur_relay *relay, size_t repeated, size_t refused);
void kur__relay_figures(kur_relay *relay, const kur_outbox_figures *figures);
void kur__relay_tell_shards(kur_relay *relay, size_t count, size_t came);
void kur__relay_tell_running(kur_relay *relay, bool is_running);

#endif
