/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The consumer's insides. consumer.c: life; consumer_poll.c: polling; consumer_table.c: the partitions; rebalance.c:
 * what the group says; consumer_start.c: where partitions start; consumer_flow.c: pause, resume, seek, and the
 * assignment that librdkafka is given; consumer_queues.c: a queue for each partition; consumer_ask.c: the thread that
 * asks what blocks; consumer_gap.c: gaps; consumer_log.c: which log it is; consumer_subscribe.c: subscriptions and
 * patterns; consumer_companions.c: topics that are read with others; consumer_missing.c: topics that do not exist;
 * consumer_comeback.c: static members that come back; offsets.c, commit.c: offsets.
 */
#ifndef KURIER_KAFKA_CONSUMER_H
#define KURIER_KAFKA_CONSUMER_H

#include <kurier/consumer.h>
#include <librdkafka/rdkafka.h>
#include <regex.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "kafka/connection.h"

typedef struct kur__answer kur__answer;
typedef struct kur__asker kur__asker;
typedef struct kur__ask kur__ask;
typedef struct kur__commit kur__commit;

/* What is looked up in the metadata: topics that match, or, with KUR_BROADCAST, those of a list. */
typedef struct kur__pattern {
    regex_t include, exclude;
    bool has_include, has_exclude;
    bool is_answered;
    uint64_t ask;
    /* Subscribed to now, sorted; with KUR_BROADCAST what is read: see consumer_broadcast.c. */
    rd_kafka_topic_partition_list_t *topics;
} kur__pattern;

typedef enum kur__stage {
    KUR__AWAY = 0, /* not assigned; in the table because it is paused, or because it comes next */
    KUR__STARTING, /* the group's word has come; its start is being found out */
    KUR__FOUND,    /* its start is known, and nobody has been told */
    KUR__ASSIGNED  /* told */
} kur__stage;

/* Whether a static member that has come back has been given what it reads: see consumer_comeback.c. */
typedef enum kur__comeback {
    KUR__COMEBACK_NONE = 0, /* no static member, or the broker sees to it */
    KUR__COMEBACK_DUE,      /* to be found out, or being so */
    KUR__COMEBACK_OTHER,    /* another subscription is in force, until the next assignment */
    KUR__COMEBACK_DONE
} kur__comeback;

/* What stands in `target` beside the public KUR_OFFSET_… and offsets. */
enum {
    KUR__TARGET_NONE = -2000,
    KUR__TARGET_TIME = -2001 /* the first at target_time_ms */
};

/*
 * A partition. The polling thread alone adds and removes entries, under the consumer's lock; other threads find them
 * under it, ask for pauses and seeks, and read the position from what is atomic.
 */
typedef struct kur__partition {
    UT_hash_handle hh;
    _Atomic kur__stage stage;
    bool is_group_given;       /* by the group, not by kur_consumer_assign */
    atomic_bool is_fetching;   /* in the assignment that librdkafka has */
    atomic_bool is_paused;     /* asked for by the caller */
    bool is_pause_set;         /* librdkafka's flag; only while is_fetching */
    atomic_bool needs_restart; /* librdkafka has given up on it, and takes it only from a new assignment */
    atomic_bool is_stopped;    /* at a gap, until a seek */
    bool is_slow;              /* its start was asked for in vain once: the others do not wait for it */
    bool is_listed;            /* in the assignment that is being made by hand */
    bool is_committed;         /* the start is what the group had committed */
    atomic_bool is_fresh;      /* nothing has come since the start or the last seek */
    bool is_seek_new;          /* a seek that no poll has seen yet; guarded by the lock, as the two below are */
    int64_t seek_target;
    int64_t seek_time_ms;
    _Atomic int64_t target; /* what is being found out, KUR__TARGET_NONE when nothing */
    int64_t target_time_ms;
    atomic_bool is_seek_due; /* `next` is a place that librdkafka must be sent to */
    uint64_t ask;            /* the question under way about it, 0 for none */
    uint64_t id_ask;         /* the same about its topic's id */
    bool has_topic_id;
    kur_uuid topic_id;
    _Atomic int64_t next;
    _Atomic int64_t noted; /* librdkafka's position when `next` was set */
    int64_t guard;         /* commits below are backwards; -1 for none */
    int commits;           /* under way */
    int64_t asked;         /* the highest of them */
    uint64_t epoch;
    int32_t leader_epoch; /* of the start, as KUR_LEADER_EPOCH */
    char *metadata;       /* committed beside the start */
    bool commits_start;   /* the start is to be committed at once */
    bool wants_end;       /* the log's end is asked for with the start */
    int64_t end;          /* what was answered, see kur_position */
    kur_status gap_code;  /* of a gap that is not told yet, else KUR_OK */
    bool is_gap_known;    /* its range as well, as far as it could be found out */
    bool is_jump;         /* a record came from before the position */
    int64_t gap_offset, gap_low, gap_high;
    char *gap_reason;        /* librdkafka's words; may be NULL */
    rd_kafka_queue_t *queue; /* of its own, with .room; else NULL */
    bool has_no_room_soon;   /* in it: nothing of it is to be fetched */
    bool is_thrown_away;     /* what was fetched of it: it goes on at `next`, by a seek */
    int64_t taken_bytes;     /* from it, since librdkafka was last made to look at it */
    size_t taken;
    int32_t partition;
    size_t key_size;
    char key[]; /* the partition's four bytes, then the topic with its NUL */
} kur__partition;

struct kur_consumer {
    atomic_size_t references; /* one of the owner's, one for each record held */
    kur_client *client;
    kur__connection connection;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;   /* records, rebalances, errors */
    rd_kafka_queue_t *answers; /* of commits and of committed offsets */
    kur_audience audience;
    kur_start start;
    char *cluster_id;        /* librdkafka's memory; NULL: not known yet */
    int64_t start_ms;        /* of KUR_START_TIME */
    bool requires_stable;    /* reads what is committed only */
    int refresh_ms;          /* of metadata */
    bool is_cooperative;     /* of a group that was joined */
    kur_room_callback *room; /* not NULL: each partition has a queue of its own */
    int64_t fetch_ahead_bytes;
    kur__partition *turn; /* whose queue is next; NULL: the first in the table */
    kur_rebalance_callback *on_rebalance;
    kur_gap_callback *on_gap;
    kur_companions_callback *companions_of;
    void *user;
    char *group;

    pthread_mutex_t lock; /* guards the table's structure and the seeks in it; see kur__partition */
    kur__partition *table;
    kur_position *told; /* room for a position of each entry, so that telling takes no memory */
    size_t told_capacity;
    rd_kafka_topic_partition_list_t *incoming; /* given by the group, not in the table yet */
    int32_t incoming_generation;               /* of the group, when it gave that */
    uint64_t last_epoch, last_ask;
    atomic_uint_fast64_t generation;
    _Atomic int64_t group_generation; /* the same once all of it is in the table */
    kur__partition *last;             /* whose records came last, of last_topic */
    const rd_kafka_topic_t *last_topic;

    atomic_bool is_woken;  /* something besides records waits: answers, pauses, seeks */
    atomic_bool is_taking; /* records from librdkafka's queue, whose position may be ahead of what is given */
    atomic_int fd;         /* -1 while nobody has asked for it */
    bool is_busy;          /* the next poll has something to do by itself */
    bool is_manual;
    bool has_told_all;    /* KUR_ALL_ASSIGNED */
    bool is_telling_lost; /* commits are refused */
    atomic_bool closed;
    bool is_given_up;         /* the broker did not answer in time when it was closed */
    kur__answer *last_answer; /* room for it, so that a close takes no memory; NULL: it was lost */
    kur_error waiting_error;  /* told by the next poll */

    kur__asker *asker; /* made when it is needed first */
    kur__pattern *pattern;
    rd_kafka_topic_partition_list_t *missing;    /* topics that are subscribed to and do not exist; NULL: none */
    uint64_t missing_ask;                        /* the question under way about them, 0 for none */
    rd_kafka_topic_partition_list_t *subscribed; /* to by a group's member, companions as well; NULL: to nothing */
    bool is_given_anew;                          /* by the group, since kur__comeback_assigned */
    kur__comeback comeback;
    uint64_t comeback_ask;                          /* the question under way, 0 for none */
    rd_kafka_topic_partition_list_t *comeback_seen; /* partitions that there are; NULL: not known yet */
    rd_kafka_topic_partition_list_t *companions;    /* of what is subscribed to; NULL: none */
    atomic_bool looks_up;                           /* kur_consumer_look_up */
    kur__commit *commits;                           /* under way */
};

/* ---- consumer_poll.c ---- */

/* Something waits beside the records. Any thread, also librdkafka's. */
void kur__consumer_wake(kur_consumer *consumer);
/* Does what waits; on the polling thread, not in callbacks. */
void kur__consumer_serve(kur_consumer *consumer);
/* An error for the next poll; the first one stays. */
void kur__consumer_fail(kur_consumer *consumer, const kur_error *error);
/* That error, for the call at hand instead. */
kur_status kur__consumer_take_failure(kur_consumer *consumer, kur_error *error);
/* What a message that is an error means, see kur_consumer_poll. */
void kur__consumer_take_error(kur_consumer *consumer, const rd_kafka_message_t *message);

/* ---- consumer_table.c ---- */

kur__partition *kur__table_find(const kur_consumer *consumer, const char *topic, int32_t partition);
/* Finds or makes an entry; NULL when memory is out. On the polling thread. */
kur__partition *kur__table_get(kur_consumer *consumer, const char *topic, int32_t partition);
/* What was assigned is no more: the entry goes, or stays to remember that it is paused. On the polling thread. */
void kur__table_leave(kur_consumer *consumer, kur__partition *partition);
void kur__table_done(kur_consumer *consumer);
static inline const char *kur__partition_topic(const kur__partition *partition)
{
    return partition->key + sizeof(int32_t);
}
/* Adds it to a list of librdkafka's. */
rd_kafka_topic_partition_t *kur__partition_add(const kur__partition *partition, rd_kafka_topic_partition_list_t *list);
/* Where it goes on, see kur_consumer_position; -1 while not known. Under the lock when not on the polling thread. */
int64_t kur__partition_position(const kur_consumer *consumer, const kur__partition *partition);
/* From here on, nothing having come yet. */
void kur__partition_set_next(const kur_consumer *consumer, kur__partition *partition, int64_t offset);
/* Nothing is asked, wanted or wrong about it any more. */
void kur__partition_clear(kur__partition *partition);
/* librdkafka does not have it. */
void kur__partition_forget(kur__partition *partition);
/* A new assignment of it begins, with what stands in `target`. */
void kur__partition_begin(kur_consumer *consumer, kur__partition *partition, int64_t target);

/* ---- rebalance.c ---- */

/* Moves what the group has given into the table. */
void kur__rebalance_take_incoming(kur_consumer *consumer);
/* Room for the last answer to the group; given back by kur_free. NULL: no memory. */
kur__answer *kur__answer_new(void);

/* librdkafka's rebalance callback; its opaque is the consumer's connection. */
void kur__consumer_on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions,
                                void *opaque);
/* Tells of the partitions whose starts have been found. */
void kur__rebalance_tell_found(kur_consumer *consumer);

/* ---- consumer_start.c ---- */

/* Asks for what the targets of partitions need and nobody has asked yet. */
void kur__start_ask(kur_consumer *consumer);
/* The answer to a question about committed offsets, from the queue of answers. */
void kur__start_take_committed(kur_consumer *consumer, rd_kafka_event_t *event);
/* The answer to one about offsets by time or at the ends, from the asker. */
void kur__start_take_offsets(kur_consumer *consumer, const kur__ask *ask);

/* ---- consumer_log.c ---- */

/* Asks for the ids of the topics of these partitions, where librdkafka can; sorts the list. */
void kur__log_ask(kur_consumer *consumer, rd_kafka_topic_partition_list_t *partitions, uint64_t number);
/* The answer, from the queue of answers. */
void kur__log_take(kur_consumer *consumer, rd_kafka_event_t *event);

/* ---- consumer_flow.c ---- */

/* Takes in the seeks that were asked for. */
void kur__flow_take_seeks(kur_consumer *consumer);
/* Makes librdkafka's assignment, pauses and positions what the table says. */
void kur__flow_sync(kur_consumer *consumer);
/* librdkafka's flags outlive an assignment: they are taken back before it ends. */
void kur__flow_clear_pauses(kur_consumer *consumer);
/* No partition is given to librdkafka any more. */
void kur__flow_forget(kur_consumer *consumer);

/* ---- consumer_queues.c: nothing happens in them without .room ---- */

/* Before librdkafka is given the partition. */
void kur__queue_open(const kur_consumer *consumer, kur__partition *partition);
/* Throws away what is in it, which librdkafka does not think of when it is told of a pause. */
void kur__queue_drain(kur__partition *partition);
/* The same, and its end. */
void kur__queue_close(kur__partition *partition);
/* Makes the consumer's descriptor readable when something comes. */
void kur__queue_watch(const kur_consumer *consumer, const kur__partition *partition);
/* What is there of partitions that have room, each in its turn. Does not wait. */
size_t kur__queues_take(kur_consumer *consumer, rd_kafka_message_t **messages, size_t capacity);
bool kur__queues_have(kur_consumer *consumer);

/* ---- consumer_gap.c ---- */

/* The partition stands still from now on; asks for the log's range, then tells. */
void kur__gap_begin(kur_consumer *consumer, kur__partition *partition, kur_status code, int64_t offset,
                    const char *reason);
/* A record came whose offset is behind the position: the log was made anew, or it is a repetition. */
void kur__gap_begin_jump(kur_consumer *consumer, kur__partition *partition, int64_t came);
/* Tells of what is known. */
void kur__gap_tell(kur_consumer *consumer);
void kur__gap_take_range(kur_consumer *consumer, const kur__ask *ask);

/* ---- consumer_ask.c: what blocks in librdkafka is asked on a thread of its own ---- */

typedef enum kur__ask_kind {
    KUR__ASK_OFFSETS = 1, /* list, ends: .offset is a time in ms or KUR_OFFSET_BEGINNING, _END; becomes the answer */
    KUR__ASK_RANGE,       /* the same, of a gap */
    KUR__ASK_TOPICS,      /* metadata of those in the list, or of all without one */
    KUR__ASK_NOTHING      /* for its delay */
} kur__ask_kind;

struct kur__ask {
    kur__ask *next;
    kur__ask_kind kind;
    uint64_t number;
    struct timespec due;
    rd_kafka_resp_err_t code; /* of the whole */
    rd_kafka_topic_partition_list_t *list, *ends;
    const struct rd_kafka_metadata *metadata;
};

/*
 * Asks after a delay; takes the lists over (NULL for none). Returns the number by which the answer is known, 0 when
 * memory or threads are out, which the next poll then says.
 */
uint64_t kur__ask_start(kur_consumer *consumer, kur__ask_kind kind, int delay_ms, rd_kafka_topic_partition_list_t *list,
                        rd_kafka_topic_partition_list_t *ends);
/* The next one that is answered, NULL for none; freed by kur__ask_free. */
kur__ask *kur__ask_next(kur_consumer *consumer);
void kur__ask_free(kur__ask *ask);
/* Tells the thread to end, without waiting; then waits for it, a second or two. */
void kur__asker_stop(kur_consumer *consumer);
void kur__asker_join(kur_consumer *consumer);

/* ---- consumer_subscribe.c ---- */

/* What is subscribed to from now on, taken over; NULL: nothing. */
void kur__subscription_set(kur_consumer *consumer, rd_kafka_topic_partition_list_t *topics);
/* Whether a topic is in the list of what is subscribed to, be it there or not. */
bool kur__subscription_has(const kur_consumer *consumer, const char *topic);
void kur__pattern_take_topics(kur_consumer *consumer, const kur__ask *ask);
void kur__pattern_free(kur__pattern *pattern);
bool kur__pattern_matches(const kur__pattern *pattern, const char *name);

/* ---- consumer_broadcast.c: reading without a group ---- */

/* Begins to look for these topics. */
kur_status kur__broadcast_subscribe(kur_consumer *consumer, const char *const *topics, kur_error *error);
/* What is there of topics that are read; false: it is to be asked again soon. */
bool kur__broadcast_take_topics(kur_consumer *consumer, const struct rd_kafka_metadata *metadata);
/* Tells once that everything which was there has been told. */
void kur__broadcast_tell_all(kur_consumer *consumer);
kur_status kur__error_no_group(kur_error *error);

/* ---- transaction_offsets.c ---- */

/* The group's generation as librdkafka knows it now; -1: none, or it does not say. */
int32_t kur__consumer_ask_generation(const kur_consumer *consumer);

/* ---- consumer_missing.c ---- */

/* librdkafka says that a topic does not exist. */
void kur__missing_add(kur_consumer *consumer, const char *topic);
void kur__missing_take_topics(kur_consumer *consumer, const kur__ask *ask);
/* Another subscription, or the end. */
void kur__missing_clear(kur_consumer *consumer);

/* ---- consumer_comeback.c ---- */

/* What the group has given is about to be taken into the table. */
void kur__comeback_assigned(kur_consumer *consumer);
/* Another subscription, or none. */
void kur__comeback_subscribed(kur_consumer *consumer);
void kur__comeback_take_topics(kur_consumer *consumer, const kur__ask *ask);
void kur__comeback_take_group(kur_consumer *consumer, rd_kafka_event_t *event);
void kur__comeback_done(kur_consumer *consumer);

/* ---- consumer_companions.c ---- */

/* Whether a topic is read because another one is. */
bool kur__companions_have(const kur_consumer *consumer, const char *topic);
/*
 * Asks for the companions of each of these topics; NULL where there is no callback. A topic that is refused is an
 * error, or, with `leaves_out`, taken out of the list; the list's order changes.
 */
kur_status kur__companions_ask(kur_consumer *consumer, rd_kafka_topic_partition_list_t *topics, bool leaves_out,
                               rd_kafka_topic_partition_list_t **companions, kur_error *error);
/* They are read from now on; NULL: none. Takes the list over. */
void kur__companions_set(kur_consumer *consumer, rd_kafka_topic_partition_list_t *companions);
/* What is wrong with a topic; true: it is a companion, and that is all. */
bool kur__companions_take_error(kur_consumer *consumer, const char *topic, const kur_error *error);
/* What kur_consumer_look_up has asked for. */
void kur__companions_look_up(kur_consumer *consumer);

/* ---- offsets.c, commit.c ---- */

void kur__commit_take(kur_consumer *consumer, rd_kafka_event_t *event);
/* Commits are answered that never will be. */
void kur__commit_give_up(kur_consumer *consumer);
/* Leader epochs, where librdkafka knows them; as KUR_LEADER_EPOCH. */
void kur__leader_epoch_set(rd_kafka_topic_partition_t *to, int32_t leader_epoch);
int32_t kur__leader_epoch_get(const rd_kafka_topic_partition_t *from);

#endif
