/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Exactly once: what its files share. All of it is of the relay's thread. Why it is right:
 * docs/decisions/outbox-exactly-once.md.
 *
 *     relay_exactly.c   start, the control topic, a round's owning, end
 *     exactly_place.c   the group, and what the last owner of a shard had sent
 *     exactly_send.c    transactions
 *     exactly_refuse.c  what is refused, and whose fault it is
 */
#ifndef KURIER_OUTBOX_EXACTLY_H
#define KURIER_OUTBOX_EXACTLY_H

#include <kurier/admin.h>
#include <kurier/transaction.h>

#include "outbox/control.h"
#include "outbox/relay.h"

/* How far a shard is on its way to this relay. */
enum kur__place_stage {
    KUR__PLACE_NONE = 0, /* another's, or nobody's */
    KUR__PLACE_UNKNOWN,  /* a transaction of ours may be committed or not: the group's offset is to be asked for */
    KUR__PLACE_READING,  /* its last control record has not come yet */
    KUR__PLACE_CLEARING, /* the rows that it names are to be deleted */
    KUR__PLACE_OURS
};

struct kur__place {
    enum kur__place_stage stage;
    int64_t offset;     /* of the control record that counts, as the group has it; -1: the last one that there is */
    int64_t end;        /* then: behind which nothing is waited for; -1: not known yet */
    kur_record *last;   /* the last one that has come, a copy */
    int64_t since_us;   /* it has this stage since then; monotonic */
    bool is_looked_for; /* by the reader */

    /* Of the transaction at hand. */
    kur__control control;
    bool is_touched; /* it has rows of this shard */
    bool is_full;    /* its control record takes no more */
    int64_t written; /* where that record is; -1: not acknowledged */
};

/* A row that was handed to the producer. */
struct kur__sent {
    struct kur__exact *exact;
    struct kur__batch_row *row; /* while the transaction is open */
    bool is_delivered;          /* to the log */
};

/* What has to be done before the next transaction. */
enum kur__exact_need {
    KUR__EXACT_READY = 0,
    KUR__EXACT_INIT,
    KUR__EXACT_ABORT,
    KUR__EXACT_REPLACE
};

/*
 * A producer. Two take turns: the broker is still writing the end of a transaction to its partitions when it has said
 * that it is committed, and until then librdkafka waits 20 ms for the producer's next one to be let in.
 */
struct kur__exact_line {
    kur_producer *producer;
    enum kur__exact_need need;
    char *id; /* transactional */
};

struct kur__exact {
    kur_relay *relay;
    kur_arena *arena;
    kur_admin *admin;
    kur_consumer *consumer;             /* NULL until the topic has been found right */
    kur_consumer *reader;               /* of records that something open holds up; NULL: of none */
    kur_group_metadata *group;          /* as it was when the shards were given; NULL: to be taken */
    struct kur__exact_line line, other; /* `line` has the transaction at hand, or the next one */
    int32_t shards;
    struct kur__place places[KUR_OUTBOX_SHARDS_MAX];
    int64_t next_word_us; /* when it tells the database that it is there */
    int64_t next_warning_us;
    kur_error end; /* what was found in callbacks and transactions that ends the relay; told by the next own */

    /* The transaction at hand. */
    struct kur__batch *batch;
    bool is_open;
    int64_t until_us;       /* then it is given up */
    struct kur__sent *sent; /* room for a batch; stays as long as the producer, whose answers come late */
    size_t sent_count;
    size_t chunk_count, chunk_size; /* rows, and their bytes, since all was acknowledged */
    size_t chunk_rows;              /* no more of them than so many, for one was refused together with others */
    size_t small_size;              /* of those, bytes for topics that take less than a whole batch */
    bool has_refused;               /* a row was, for its own sake */
    bool has_suspects;              /* rows together were, for the sake of one of them */
    bool is_too_large;              /* likewise for their size */
    bool is_control_too_large;      /* the control record of a shard was */
    bool is_control_at_fault;       /* `failure` is such a record's */
    kur_error failure;              /* the first answer that was not good */

    /* How much goes together, after what was refused and what took too long. */
    size_t chunk_most; /* bytes; SIZE_MAX: all */
    size_t small_most; /* what all topics of a batch take that take less than a whole one */
    bool compresses;   /* so that what is larger than a topic takes may pass */
    size_t rows_most;  /* SIZE_MAX: all */
    int good;          /* transactions since one of them changed */
};

/* ---- exactly_place.c ---- */

kur_status kur__exact_join(struct kur__exact *exact, kur_error *error);
/* Serves the group, and brings shards on their way; what cannot go on says why. */
kur_status kur__exact_follow(struct kur__exact *exact, kur_error *error);
/* What the outcome of a transaction may be for its shards is to be found out. */
void kur__exact_lose_sight(struct kur__exact *exact);
/* Leaves the group. */
void kur__exact_leave(struct kur__exact *exact);

/* ---- exactly_send.c ---- */

kur_status kur__exact_make_producer(struct kur__exact *exact, struct kur__exact_line *line, kur_error *error);
/* The other producer's turn, once a transaction is committed. */
void kur__exact_turn(struct kur__exact *exact);
/* Does what is to be done before a transaction, for so long at most. */
kur_status kur__exact_get_ready(struct kur__exact *exact, int timeout_ms, kur_error *error);
kur_status kur__exact_send(kur_relay *relay, struct kur__batch *batch, kur_error *error);

/* From now on there is a transaction's time. */
void kur__exact_set_time(struct kur__exact *exact);
/* Begins a transaction. */
kur_status kur__exact_begin(struct kur__exact *exact, kur_error *error);
/* Hands a row to the producer. */
kur_status kur__exact_produce(struct kur__exact *exact, struct kur__batch_row *row, kur_error *error);
/* Waits for all answers. KUR_ERROR_TIMEOUT. */
kur_status kur__exact_await(struct kur__exact *exact, kur_error *error);
/* What a transaction that has failed says of itself: KUR_ERROR_MUST_ABORT with the cause. Never one to be committed. */
kur_status kur__exact_ask_why(struct kur__exact *exact, int32_t shard, kur_error *error);
/* Ends it, whatever state it is in: nothing of it will be seen. */
void kur__exact_abandon(struct kur__exact *exact);

/* ---- exactly_refuse.c ---- */

/* Whether a row was refused for its own sake, and would be another time. */
bool kur__exact_is_refusal(const kur_error *error);
/* The answer for a row is not good; `is_alone`: nothing else was in what it is about. */
void kur__exact_take_failure(struct kur__exact *exact, struct kur__batch_row *row, const kur_error *why, bool is_alone);
/* What has no answer may be for topics that have gone: they are looked up again. */
void kur__exact_doubt_topics(struct kur__exact *exact);
/* Before a batch is sent: refuses rows that are certainly larger than their topic takes, or for the control topic. */
void kur__exact_screen(struct kur__exact *exact);
/* What a row takes in a batch of records, about, and rather more. */
size_t kur__exact_size_of(const struct kur__batch_row *row);
/* Whether its topic takes less than librdkafka would put together. */
bool kur__exact_is_small(const struct kur__batch_row *row);
/*
 * A transaction has come to nothing, by what `error` says, and is over. Finds out whose fault it was; whether the rest
 * can go at once.
 */
bool kur__exact_judge(struct kur__exact *exact, kur_error *error);

#endif
