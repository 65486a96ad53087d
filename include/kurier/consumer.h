/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/consumer.h>: a member of a consumer group that polls and commits by hand. Services use a listener; this is
 * what it stands on, and what is there for everything else.
 */
#ifndef KURIER_CONSUMER_H
#define KURIER_CONSUMER_H

#include <kurier/client.h>
#include <kurier/event.h>

KUR_BEGIN_DECLS

/**
 * A member of a group. One thread at a time polls, subscribes, assigns, commits, closes and frees; what any thread may
 * call says so.
 */
typedef struct kur_consumer kur_consumer;

/**
 * A received record. What a poll gives is librdkafka's own, not copied, and pins the fetch buffer that it came in;
 * what kur_record_copy gives stands by itself. Owned by who polled or copied it; freed by kur_consumer_free_records.
 * One thread at a time.
 */
typedef struct kur_record kur_record;

/** For whom records are. */
typedef enum kur_audience {
    KUR_AUDIENCE_GROUP = 0, /**< the members of `.group`: each record is one member's */
    /**
     * Everyone: each consumer reads all partitions of what it subscribes to, also those that are added later, from
     * their beginning. There is no group, at the broker neither, and nothing can be committed.
     */
    KUR_BROADCAST
} kur_audience;

/** Where a partition without a committed offset starts; with KUR_BROADCAST, each one. */
typedef enum kur_start {
    KUR_START_EARLIEST = 0,
    /**
     * Behind what is in the log now. That place is committed at once, so that nothing behind it is passed over later.
     * A partition that was added to a topic which the group reads already starts at its beginning all the same, as far
     * as that can be told: see docs/guide/consuming.md.
     */
    KUR_START_LATEST = 1,
    /**
     * At the first record that is not older than `.start_at_us`; behind the log when there is none, as
     * KUR_START_LATEST. The embedded broker never finds one.
     */
    KUR_START_TIME = 2
} kur_start;

/** How the members of a group divide the partitions among them; all members of a group have the same. */
typedef enum kur_assignor {
    KUR_ASSIGNOR_DEFAULT = 0, /**< the property partition.assignment.strategy, else range */
    KUR_ASSIGNOR_RANGE,
    KUR_ASSIGNOR_ROUNDROBIN,
    /** Only what moves is revoked. Refused on librdkafka before 2.10, which loses assignments with it. */
    KUR_ASSIGNOR_COOPERATIVE_STICKY
} kur_assignor;

/** Who divides the partitions. */
typedef enum kur_group_protocol {
    KUR_GROUP_CLASSIC = 0, /**< the members, by their assignor */
    /** KIP-848: the broker (4.0 or later) divides, and changes are incremental. librdkafka 2.12 or later. */
    KUR_GROUP_CONSUMER
} kur_group_protocol;

/** What of transactions is read. */
typedef enum kur_isolation {
    KUR_ISOLATION_DEFAULT = 0, /**< the property isolation.level, else committed only */
    KUR_READ_COMMITTED,
    KUR_READ_UNCOMMITTED
} kur_isolation;

/** The end of a partition's log: where the next record will be. */
#define KUR_OFFSET_END (-1)
/** The first record that the log has. */
#define KUR_OFFSET_BEGINNING (-2)
/** What the group has committed, else what .start says. */
#define KUR_OFFSET_COMMITTED (-1000)

/** Leader epochs begin at 0 while 0 means "not known" here. */
#define KUR_LEADER_EPOCH(number) ((number) + 1)

/** A place in a partition. An array of them is walked by the `size` of its first. */
typedef struct kur_position {
    size_t size;
    const char *topic;
    int32_t partition;
    int64_t offset;       /**< of the next record; -1 when there is none */
    const char *metadata; /**< text committed beside the offset; NULL for none */
    int32_t leader_epoch; /**< KUR_LEADER_EPOCH(n); 0: not known, and always so on librdkafka before 2.1 */
    kur_status status;    /**< in a commit's answer: what became of it */
    bool is_committed;    /**< at KUR_ASSIGNED: the group had committed this offset; else .start or a seek said it */
    int64_t end; /**< at KUR_ASSIGNED with KUR_BROADCAST: the end of the log (with KUR_READ_COMMITTED of what is
                      stable) when the start was asked for; 0 for a partition that was added later */
} kur_position;

#define KUR_POSITION(...) KUR__OPTIONS(kur_position, __VA_ARGS__)

/** What happens to partitions in a rebalance. */
typedef enum kur_rebalance {
    KUR_ASSIGNED = 1, /**< these partitions are this member's now, beside those that it had */
    KUR_REVOKED,      /**< these are about to go: commit what is finished */
    KUR_LOST,         /**< these are gone and may have a new owner: commits are refused */
    KUR_ALL_ASSIGNED  /**< with KUR_BROADCAST, once: each topic was there, and its partitions have been told; no
                           positions */
} kur_rebalance;

/**
 * Told of each change of the assignment, inside kur_consumer_poll… and kur_consumer_close, on their thread. The
 * positions are valid during the call, which must not poll, assign, subscribe, close or free.
 *
 * KUR_ASSIGNED comes when the starts are known, which is asked for while polling goes on: each position has the offset
 * at which the partition starts, and the text committed beside it. A kur_consumer_seek in this call replaces that start
 * before anything is fetched. Partitions whose answer takes longer than that of others are told later, by themselves.
 * What goes before it was told is not told at all.
 *
 * On KUR_REVOKED it may take its time, within max_poll_interval_ms, and commit (kur_consumer_commit); the positions are
 * where polling stood. The partitions go when it returns. With KUR_ASSIGNOR_RANGE and _ROUNDROBIN all partitions are
 * revoked at each rebalance, with the others only those that move.
 */
typedef void kur_rebalance_callback(kur_consumer *consumer, kur_rebalance what, const kur_position *partitions,
                                    size_t count, void *user);

/** A place at which a partition stands still, because what should come next is not there or cannot be read. */
typedef struct kur_gap {
    size_t size;
    const char *topic;
    int32_t partition;
    /**
     * KUR_ERROR_GAP: the log does not have the offset any more (retention, truncation, a topic made anew).
     * KUR_ERROR_SYNTAX: it does, and the records there cannot be read (a bad checksum, a compression not built in).
     */
    kur_status code;
    int64_t offset;      /**< the next record's that was to come */
    int64_t low;         /**< the first offset of the log; -1 when it could not be found out */
    int64_t high;        /**< the one behind its last stable record; -1 likewise */
    const char *message; /**< one line for a person */
} kur_gap;

/**
 * Told of each gap, inside kur_consumer_poll…, on its thread. The partition stands still until kur_consumer_seek says
 * where it goes on; that may be called in here, or later. A gap that is told here is not an error of the poll. `gap` is
 * valid during the call, which must not poll, assign, subscribe, close or free.
 */
typedef void kur_gap_callback(kur_consumer *consumer, const kur_gap *gap, void *user);

/** What a kur_room_callback says when it has no room, and will have none for some seconds. */
#define KUR_ROOM_NOT_SOON SIZE_MAX

/**
 * How many records of a partition a poll may give now; with 0 what was fetched of it stays where it is, and all others
 * go on. So what a program holds of each partition can be bounded at no cost, where a pause throws away what was
 * fetched ahead. KUR_ROOM_NOT_SOON is like 0, and gives that memory back: none is fetched of it, and what was is
 * fetched once more when it says anything else. With such a callback each partition has a queue of its own, of which a
 * poll takes in turn, and a pause too leaves alone what is in it. Called in polls, on their thread, for partitions of
 * which something waits; must return soon and call nothing of the consumer. Who has made room polls again:
 * kur_consumer_fd does not know of it.
 */
typedef size_t kur_room_callback(kur_consumer *consumer, const char *topic, int32_t partition, void *user);

/**
 * Which further topics are read with one that is subscribed to: a service's own, such as retry topics. `*companions` is
 * an array of names that ends with NULL, valid until the consumer is freed; NULL: none. They need not be there, and
 * that is no error of a poll; those that are missing stand in the log now and then. Their partitions start at the
 * beginning, whatever .start says, where nothing is committed. No companion need match a pattern: with one this is
 * asked in polls, on their thread, for each topic that matches, at each look, those with shorter names first; anything
 * but KUR_OK leaves the topic out, and KUR_ERROR_NO_MEMORY leaves all as it was until the next look. Otherwise it is
 * asked in kur_consumer_subscribe, which returns what is not KUR_OK. Must return soon, and call nothing of the
 * consumer.
 */
typedef kur_status kur_companions_callback(kur_consumer *consumer, const char *topic, const char *const **companions,
                                           void *user, kur_error *error);

/** What kur_consumer_new is told; the group is not optional, but with KUR_BROADCAST. */
typedef struct kur_consumer_options {
    size_t size;
    const char *group;
    kur_start start;
    int session_timeout_ms;   /**< default: the property of that name, else 45,000 */
    int max_poll_interval_ms; /**< a member that does not poll for so long is thrown out; default 300,000 */
    kur_rebalance_callback *on_rebalance;
    void *user; /**< handed to the callbacks */
    kur_gap_callback *on_gap;
    /**
     * Static membership: a name of this member that stays over restarts, so that one within its session causes no
     * rebalance, unless it reads other topics by then than it did, or topics have got partitions meanwhile: then two.
     * Of two that have it at once the first ends with KUR_ERROR_FENCED, with KUR_GROUP_CONSUMER the second.
     */
    const char *group_instance_id;
    kur_assignor assignor;
    kur_group_protocol protocol;
    kur_isolation isolation;
    int fetch_ahead_kbytes; /**< fetched and not polled yet, at most, with .room of each partition; default:
                               queued.max.messages.kbytes, 65,536; not less than that on librdkafka before 2.2 without
                               .room. With .room a fetch brings a quarter of it of a partition, 256 KiB at least, unless
                               fetch.message.max.bytes is set, and a broker without any answers after 100 ms, unless
                               fetch.wait.max.ms is */
    int64_t start_at_us;    /**< of KUR_START_TIME: microseconds since 1970 */
    kur_audience audience;
    kur_room_callback *room;             /**< handed `user` as well */
    kur_companions_callback *companions; /**< likewise; not with KUR_BROADCAST */
} kur_consumer_options;

#define KUR_CONSUMER_OPTIONS(...) KUR__OPTIONS(kur_consumer_options, __VA_ARGS__)

/**
 * A consumer. Does not wait for a broker. NULL with KUR_ERROR_CONFIG, KUR_ERROR_INVALID_ARGUMENT (no group, or one with
 * KUR_BROADCAST), KUR_ERROR_UNSUPPORTED (.assignor or .protocol needs a newer librdkafka), KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_consumer *kur_consumer_new(kur_client *client, const kur_consumer_options *options, kur_error *error);

/* ---- What is read ---- */

/**
 * Replaces the subscription; `topics` ends with NULL. A topic need not be there yet: it is found within 10 s of its
 * making (topic.metadata.refresh.interval.ms); until then a poll says KUR_ERROR_UNKNOWN_TOPIC now and then.
 * KUR_ERROR_INVALID_ARGUMENT names the wrong one, KUR_ERROR_INVALID_STATE after kur_consumer_assign, and with
 * KUR_BROADCAST when there is a subscription already. Does not wait.
 */
KUR_API kur_status kur_consumer_subscribe(kur_consumer *consumer, const char *const *topics, kur_error *error);

/**
 * Replaces the subscription by all topics whose whole name matches `pattern` and does not match `exclude` (NULL: none),
 * both extended regular expressions of POSIX. Names that begin with "__", and the retry and dead-letter topics of this
 * library (*.retry-short, -medium, -long, -ordered, *.dlq) never match. Topics are looked up at once and then each 10 s
 * (topic.metadata.refresh.interval.ms); the group rebalances only when what matches has changed.
 * KUR_ERROR_INVALID_ARGUMENT with what is wrong in the pattern. Does not wait.
 */
KUR_API kur_status kur_consumer_subscribe_pattern(kur_consumer *consumer, const char *pattern, const char *exclude,
                                                  kur_error *error);

/**
 * Looks at once whether what is subscribed to and was missing is there now, as happens by itself each 10 s
 * (topic.metadata.refresh.interval.ms): for who has just made a topic. Carried out by the next poll, which this wakes.
 * Any thread, and in callbacks; does not wait. KUR_ERROR_INVALID_ARGUMENT for NULL, nothing else.
 */
KUR_API kur_status kur_consumer_look_up(kur_consumer *consumer, kur_error *error);

/** Ends the subscription or the manual assignment; KUR_REVOKED is told by a later poll. Does not wait. */
KUR_API kur_status kur_consumer_unsubscribe(kur_consumer *consumer, kur_error *error);

/**
 * Reads these partitions, and only these, without the group's division: the caller divides. Each starts at its offset,
 * which may also be KUR_OFFSET_BEGINNING, _END or _COMMITTED; a partition that is read already and stands at that very
 * offset goes on. KUR_ASSIGNED is told once the starts are known; what is no longer in the list goes without a word.
 * Commits are the group's, unfenced. A count of 0 reads nothing. KUR_ERROR_INVALID_STATE with a subscription,
 * KUR_ERROR_INVALID_ARGUMENT. Does not wait.
 */
KUR_API kur_status kur_consumer_assign(kur_consumer *consumer, const kur_position *positions, size_t count,
                                       kur_error *error);

/**
 * Goes on with a partition elsewhere: at an offset, KUR_OFFSET_BEGINNING, _END, or _COMMITTED. It is carried out by the
 * next poll, which gives nothing of the partition that was fetched before. Also what ends a gap. Within KUR_ASSIGNED it
 * is the start. Any thread, and in callbacks; does not wait. KUR_ERROR_UNKNOWN_TOPIC when the partition is not
 * assigned, KUR_ERROR_INVALID_ARGUMENT.
 */
KUR_API kur_status kur_consumer_seek(kur_consumer *consumer, const char *topic, int32_t partition, int64_t offset,
                                     kur_error *error);

/**
 * The same to the first record at or after a time, in microseconds since 1970; the end when there is none (the embedded
 * broker never finds one). Statuses and threads as kur_consumer_seek.
 */
KUR_API kur_status kur_consumer_seek_time(kur_consumer *consumer, const char *topic, int32_t partition,
                                          int64_t timestamp_us, kur_error *error);

/**
 * Stops the fetching of a partition. Carried out by the next poll. A partition stays paused through rebalances, also
 * when it went to another member and comes back. What was fetched ahead is thrown away and fetched again, unless
 * there is a .room: pausing often costs. Again does nothing. Any thread, and in callbacks; does not wait.
 * KUR_ERROR_UNKNOWN_TOPIC when the partition is not assigned, KUR_ERROR_INVALID_ARGUMENT.
 */
KUR_API kur_status kur_consumer_pause(kur_consumer *consumer, const char *topic, int32_t partition, kur_error *error);

/** Goes on where kur_consumer_pause has stopped; in all else like it. What is not paused just goes on. */
KUR_API kur_status kur_consumer_resume(kur_consumer *consumer, const char *topic, int32_t partition, kur_error *error);

/* ---- Polling ---- */

/**
 * Waits for one record. KUR_OK with `*record` NULL when none came in time. A NULL `*record` with an error:
 * KUR_ERROR_GAP and KUR_ERROR_SYNTAX as in kur_gap, when there is no .on_gap (message: topic, partition, offset, and
 * the log's range; that partition stands still until kur_consumer_seek), KUR_ERROR_UNKNOWN_TOPIC,
 * KUR_ERROR_AUTHORIZATION, KUR_ERROR_AUTHENTICATION (within 5 s when the log-in is refused, and every 5 s while it is),
 * KUR_ERROR_FENCED, KUR_ERROR_FATAL, KUR_ERROR_CONFIG for a session timeout that the broker does not take. What
 * librdkafka gets over by itself is logged and not returned. A rebalance takes no longer than the callback.
 */
KUR_API kur_status kur_consumer_poll(kur_consumer *consumer, int timeout_ms, kur_record **record, kur_error *error);

/**
 * Waits for the first record, then takes up to `capacity` that are there, in order within each partition. `*count` may
 * be 0, and with an error it is. A time-out of 0 never blocks. Errors as kur_consumer_poll; with records at hand an
 * error comes at the next call.
 */
KUR_API kur_status kur_consumer_poll_batch(kur_consumer *consumer, int timeout_ms, kur_record **records,
                                           size_t capacity, size_t *count, kur_error *error);

/**
 * A descriptor that is readable when a poll has something to do: records, callbacks, errors. One poll with time-out 0
 * for each time that it is readable is enough: a poll that leaves something makes it readable again. It is the
 * consumer's; wait for it and do not read it. Poll at least every third of max_poll_interval_ms even if it is never
 * readable, or the group throws the member out. -1 with KUR_ERROR_SYSTEM. On the polling thread; does not wait.
 */
KUR_API int kur_consumer_fd(kur_consumer *consumer, kur_error *error);

/**
 * Frees records, copies among them. Any thread, also after kur_consumer_free: the last record held frees what is left
 * of the consumer. NULLs in the array are passed over.
 */
KUR_API void kur_consumer_free_records(kur_consumer *consumer, kur_record *const *records, size_t count);

/* ---- Offsets ---- */

/**
 * Commits positions and waits for the answer. Never without a group (KUR_ERROR_INVALID_STATE), on behalf of partitions
 * that are not assigned (KUR_ERROR_NOT_COMMITTED), never backwards within an assignment (a seek behind the commit
 * allows it again). Metadata: UTF-8 of at most 4,096 bytes; more than 512 kB of it goes in several requests.
 * KUR_ERROR_NOT_COMMITTED while the group rebalances, KUR_ERROR_TIMEOUT (with host and reason when no broker answered),
 * KUR_ERROR_FENCED, KUR_ERROR_INVALID_ARGUMENT.
 */
KUR_API kur_status kur_consumer_commit(kur_consumer *consumer, const kur_position *positions, size_t count,
                                       int timeout_ms, kur_error *error);

/**
 * The answer of a commit: `error` is NULL when all of it was committed, else what the first that failed met;
 * `positions` are those of the call, each with its `status` and without metadata. Valid during the call, which must not
 * poll, close or free.
 */
typedef void kur_commit_callback(kur_consumer *consumer, const kur_error *error, const kur_position *positions,
                                 size_t count, void *user);

/**
 * Commits as kur_consumer_commit without waiting. When KUR_OK is returned the callback (may be NULL) is called exactly
 * once, in a later poll or in kur_consumer_close on their thread, never in this call; in close an answer that did not
 * come is KUR_ERROR_TIMEOUT. Otherwise it is not called. May be called in callbacks.
 */
KUR_API kur_status kur_consumer_commit_async(kur_consumer *consumer, const kur_position *positions, size_t count,
                                             kur_commit_callback *callback, void *user, kur_error *error);

/**
 * The committed offset of a partition, -1 when there is none, with its metadata (in `arena`, NULL when there is none).
 * `position` has topic and partition set, and gets the rest. KUR_ERROR_TIMEOUT and what the broker says.
 */
KUR_API kur_status kur_consumer_committed(kur_consumer *consumer, kur_position *position, kur_arena *arena,
                                          int timeout_ms, kur_error *error);

/**
 * The offset of the next record that a poll will give, or a later one where records in between are only marks of
 * transactions; -1 while the start, or the place of a seek, is not known. KUR_ERROR_UNKNOWN_TOPIC when it is not
 * assigned. Any thread; does not wait.
 */
KUR_API kur_status kur_consumer_position(kur_consumer *consumer, const char *topic, int32_t partition, int64_t *offset,
                                         kur_error *error);

/**
 * How many offsets the position is behind the end of the log as the last fetch saw it; -1 before the first one.
 * Uncommitted records and compacted ones count. KUR_ERROR_UNKNOWN_TOPIC when it is not assigned. Any thread; does not
 * wait.
 */
KUR_API kur_status kur_consumer_lag(kur_consumer *consumer, const char *topic, int32_t partition, int64_t *lag,
                                    kur_error *error);

/**
 * Asks the broker for the first offset of a partition's log and the one behind its last record (with
 * KUR_READ_COMMITTED: its last stable one). Any partition. KUR_ERROR_TIMEOUT, KUR_ERROR_UNKNOWN_TOPIC and what the
 * broker says. Any thread.
 */
KUR_API kur_status kur_consumer_watermarks(kur_consumer *consumer, const char *topic, int32_t partition, int timeout_ms,
                                           int64_t *low, int64_t *high, kur_error *error);

/** A number that grows with each change of the assignment that is told, so that late results can be told apart. Any
 * thread. */
KUR_API uint64_t kur_consumer_generation(const kur_consumer *consumer);

/**
 * The group's generation that the partitions were assigned in, also while they are being revoked: nobody can have owned
 * a partition between its revocation in one and its assignment in the next one. -1 before the first, and where
 * partitions come and go one by one (KUR_ASSIGNOR_COOPERATIVE_STICKY, KUR_GROUP_CONSUMER), for there the number tells
 * nothing of the kind. Any thread.
 */
KUR_API int64_t kur_consumer_group_generation(const kur_consumer *consumer);

/**
 * The id of the cluster, borrowed from the consumer; NULL while no broker has answered. On the polling thread, also in
 * callbacks; does not wait.
 */
KUR_API const char *kur_consumer_cluster_id(kur_consumer *consumer);

/**
 * The id of an assigned partition's topic, as it was when the partition was assigned: a topic that is made anew has
 * another one. False when it is not known: after KUR_OFFSET_… starts of kur_consumer_assign, after a gap, with brokers
 * before 2.8, and always where the library was built with librdkafka before 2.3. On the polling thread, also in
 * callbacks; does not wait.
 */
KUR_API bool kur_consumer_topic_id(const kur_consumer *consumer, const char *topic, int32_t partition, kur_uuid *id);

/**
 * Leaves the group: KUR_REVOKED is told, commits under way are answered, nothing is polled any more. A member with
 * .group_instance_id keeps its partitions until it is back or its session ends. Again does nothing. KUR_ERROR_TIMEOUT
 * after 10 s.
 */
KUR_API kur_status kur_consumer_close(kur_consumer *consumer, kur_error *error);

/**
 * The same within a time of the caller's: what a broker has not answered by then is given up, and the group finds out
 * by itself that the member has gone. A question about starts that is under way may take four seconds more.
 * KUR_ERROR_TIMEOUT, KUR_ERROR_INVALID_ARGUMENT.
 */
KUR_API kur_status kur_consumer_close_within(kur_consumer *consumer, int timeout_ms, kur_error *error);

/**
 * Closes and frees. Records still held stay valid; the last one freed frees the rest, so that this never waits for
 * them. When a broker was silent until closing gave up, librdkafka's threads wait on for it, a minute at most by
 * default, and end by themselves: nothing of the client's is called by then, and the library must not be unloaded
 * before. NULL does nothing. Not from callbacks.
 */
KUR_API void kur_consumer_free(kur_consumer *consumer);

/* ---- Records: what these give is borrowed from the record ---- */

/** The topic, borrowed; never NULL. */
KUR_API const char *kur_record_topic(const kur_record *record);
/** Its partition, from 0 on. */
KUR_API int32_t kur_record_partition(const kur_record *record);
/** Its offset in the partition; the position behind it, which a commit names, is one more. */
KUR_API int64_t kur_record_offset(const kur_record *record);
/** The key, borrowed; data NULL: there is none. */
KUR_API kur_bytes kur_record_key(const kur_record *record);
/** The value, borrowed; data NULL: a null value, a tombstone. */
KUR_API kur_bytes kur_record_value(const kur_record *record);
/** The timestamp in microseconds since 1970 (Kafka keeps milliseconds), or -1. */
KUR_API int64_t kur_record_timestamp_us(const kur_record *record);
/** How many headers; parsed at the first call. */
KUR_API size_t kur_record_header_count(const kur_record *record);
/** The header at `index`, in their order, borrowed; false behind the last. */
KUR_API bool kur_record_header(const kur_record *record, size_t index, kur_header *header);
/** The value of the last header of that name, case and all, borrowed; false when there is none. */
KUR_API bool kur_record_header_last(const kur_record *record, const char *name, kur_bytes *value);
/** KUR_LEADER_EPOCH(n) of the leader that wrote it; 0: not known, and always so on librdkafka before 2.1. */
KUR_API int32_t kur_record_leader_epoch(const kur_record *record);

/**
 * A copy of a record, headers and all, that needs neither librdkafka's buffers nor the consumer: it may be kept for
 * long, after kur_consumer_free too, and read by all of kur_record_… and kur_event_read. Freed by kur_record_free or
 * kur_consumer_free_records. NULL with KUR_ERROR_NO_MEMORY. One thread at a time for each record that is copied.
 */
KUR_API kur_record *kur_record_copy(const kur_record *record, kur_error *error);

/** Frees a copy; NULL, and a record that was polled, are left alone. Any thread. */
KUR_API void kur_record_free(kur_record *copy);

KUR_END_DECLS

#endif
