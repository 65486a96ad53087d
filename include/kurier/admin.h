/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/admin.h>: topics, groups and the cluster itself: what an operator's tool, a service's start and a test ask of
 * the brokers. Who may do what: <kurier/access.h>.
 *
 * Every call blocks until it has its answer, at most `timeout_ms` (at least 0), and may come from any thread. Answers
 * are views in the caller's arena: one kur_arena_reset ends them all; a failure may leave some memory there. What
 * passes by itself, such as a coordinator that moves or a topic that not every broker knows yet, is waited out.
 *
 * Every call may return, besides what it names itself: KUR_ERROR_INVALID_ARGUMENT naming the argument (before anything
 * is asked), KUR_ERROR_TIMEOUT (with host and reason when no broker has answered), KUR_ERROR_AUTHENTICATION,
 * KUR_ERROR_AUTHORIZATION, KUR_ERROR_NO_MEMORY, KUR_ERROR_BROKER with what the broker said. A time-out of a call that
 * changes something says nothing about whether it happened.
 *
 * The embedded broker makes topics on first sight and knows neither settings nor lists of groups. What it cannot do is
 * KUR_ERROR_UNSUPPORTED at once.
 */
#ifndef KURIER_ADMIN_H
#define KURIER_ADMIN_H

#include <kurier/arena.h>
#include <kurier/bytes.h>
#include <kurier/client.h>
#include <kurier/consumer.h>

KUR_BEGIN_DECLS

/** Any thread. */
typedef struct kur_admin kur_admin;

/**
 * Administration of the client's cluster, over connections of its own. Does not wait for a broker. Holds a reference to
 * the client. NULL with KUR_ERROR_CONFIG, KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_admin *kur_admin_new(kur_client *client, kur_error *error);

/** Closes its connections; no call may be under way. NULL does nothing. Views stay: they are the arena's. */
KUR_API void kur_admin_free(kur_admin *admin);

/* ---- The cluster ---- */

/** What stands behind the bootstrap address. */
typedef enum kur_cluster_kind {
    KUR_CLUSTER_KAFKA = 1,
    KUR_CLUSTER_EMBEDDED /**< kur_embedded_broker: for tests */
} kur_cluster_kind;

/** A broker of the cluster, as clients reach it. */
typedef struct kur_broker_view {
    size_t size;
    int32_t id;
    int32_t port;
    const char *host;
} kur_broker_view;

/** The cluster at one moment. */
typedef struct kur_cluster_view {
    size_t size;
    const char *id;
    kur_cluster_kind kind;
    int32_t controller; /**< the broker that takes changes, or -1 while there is none; with KRaft any broker is named */
    size_t broker_count;
    const kur_broker_view *const *brokers; /**< by id */
    size_t topic_count;
} kur_cluster_view;

/** The cluster as its brokers see it now. KUR_ERROR_TIMEOUT and what every call may return. */
KUR_API kur_status kur_admin_cluster(kur_admin *admin, int timeout_ms, kur_arena *arena,
                                     const kur_cluster_view **cluster, kur_error *error);

/* ---- Topics: how they should be ---- */

/** What becomes of old records: Kafka's cleanup.policy. */
typedef enum kur_cleanup {
    KUR_CLEANUP_DEFAULT = 0,
    KUR_CLEANUP_DELETE,            /**< they go by age and size */
    KUR_CLEANUP_COMPACT,           /**< of each key the last one stays */
    KUR_CLEANUP_COMPACT_AND_DELETE /**< both */
} kur_cleanup;

/**
 * How a topic should be. What is left zero is the broker's default when the topic is made, and is not looked at when it
 * is compared. Arrays of them are walked by the `size` of the first.
 */
typedef struct kur_topic_spec {
    size_t size;
    const char *name;
    int32_t partitions;
    int32_t replication; /**< copies of each partition */
    kur_cleanup cleanup;
    int32_t min_insync_replicas; /**< copies that must have a record before acks=all is answered */
    int64_t retention_ms;        /**< how long records stay, 1 or more; KUR_NONE: for ever */
    int64_t retention_bytes;     /**< how large a partition may grow, 1 or more; KUR_NONE: without limit */
    int64_t max_message_bytes;   /**< the largest batch of records, compressed */
    const kur_property *configs; /**< any other of Kafka's topic settings; ends with a name of NULL; may be NULL */
} kur_topic_spec;

#define KUR_TOPIC_SPEC(...) KUR__OPTIONS(kur_topic_spec, __VA_ARGS__)

/** In what a topic is not as it should be. */
typedef enum kur_topic_aspect {
    KUR_TOPIC_EXISTENCE = 1, /**< the topic is missing */
    KUR_TOPIC_PARTITIONS,
    KUR_TOPIC_REPLICATION,
    KUR_TOPIC_SETTING
} kur_topic_aspect;

/** One thing in which a topic is not as it should be. */
typedef struct kur_topic_difference {
    size_t size;
    const char *topic;
    kur_topic_aspect aspect;
    bool can_apply;     /**< kur_admin_apply_topics can change it in place */
    const char *name;   /**< "topic", "partitions", "replication", or the setting's, "retention.ms" */
    const char *wanted; /**< as Kafka writes it; for a missing topic "" */
    const char *actual; /**< as Kafka writes it; NULL for a missing topic */
    const char *why;    /**< why it cannot be changed in place, or NULL */
} kur_topic_difference;

/** All differences of a call, topic by topic in the order of the specs. */
typedef struct kur_topic_differences {
    size_t count;
    const kur_topic_difference *const *items;
} kur_topic_differences;

/**
 * What is not as it should be; changes nothing. Partitions can be added, not taken away; replication cannot be changed
 * here; settings can. On the embedded broker settings are not compared. KUR_ERROR_CONFIG for a setting that the broker
 * does not know.
 */
KUR_API kur_status kur_admin_compare_topics(kur_admin *admin, const kur_topic_spec *wanted, size_t count,
                                            int timeout_ms, kur_arena *arena, kur_topic_differences *differences,
                                            kur_error *error);

/**
 * Makes the topics that are missing and leaves those that are there as they are: for the start of a service, which may
 * call it beside others. Returns when every topic is usable: all its partitions have a leader. `differences` (may be
 * NULL, and `arena` then too) tells in what the topics are still not as they should be; none of that is an error. The
 * embedded broker makes them by its own number of partitions, which is then a difference. KUR_ERROR_CONFIG for settings
 * that the broker refuses; other topics may have been made by then.
 */
KUR_API kur_status kur_admin_ensure_topics(kur_admin *admin, const kur_topic_spec *wanted, size_t count, int timeout_ms,
                                           kur_arena *arena, kur_topic_differences *differences, kur_error *error);

/**
 * As kur_admin_ensure_topics, and changes what can be changed in place: adds partitions (records of a key may then go
 * to another partition than before) and sets settings, leaving those that are not named. `differences` tells what is
 * left. Before librdkafka 2.2 a setting that someone else changes in the same moment can be lost, for Kafka then takes
 * only all of a topic's settings at once: they are read, merged and written back.
 */
KUR_API kur_status kur_admin_apply_topics(kur_admin *admin, const kur_topic_spec *wanted, size_t count, int timeout_ms,
                                          kur_arena *arena, kur_topic_differences *differences, kur_error *error);

/**
 * Appends the differences for people, a line each: "orders: partitions is 4, should be 6". Nothing for none.
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_NO_MEMORY with the buffer as it was. Any thread.
 */
KUR_API kur_status kur_topic_differences_print(const kur_topic_differences *differences, kur_buffer *buffer,
                                               kur_error *error);

/**
 * Makes topics and returns when they are usable. KUR_ERROR_INVALID_STATE when one is already there, KUR_ERROR_CONFIG
 * for settings that the broker refuses; the others have been made. KUR_ERROR_UNSUPPORTED on the embedded broker.
 */
KUR_API kur_status kur_admin_create_topics(kur_admin *admin, const kur_topic_spec *topics, size_t count, int timeout_ms,
                                           kur_error *error);

/**
 * Deletes topics with all their records, and returns when the broker that was asked no longer has them. `names` ends
 * with NULL. KUR_ERROR_UNKNOWN_TOPIC when one is not there (the others are deleted), KUR_ERROR_UNSUPPORTED on the
 * embedded broker.
 */
KUR_API kur_status kur_admin_delete_topics(kur_admin *admin, const char *const *names, int timeout_ms,
                                           kur_error *error);

/* ---- Topics: how they are ---- */

/** A partition and where its records are. */
typedef struct kur_partition_view {
    size_t size;
    int32_t partition;
    int32_t leader; /**< id of a broker, -1 while there is none */
    size_t replica_count;
    const int32_t *replicas; /**< ids of brokers */
    size_t in_sync_count;
    const int32_t *in_sync;
    int64_t start_offset; /**< of the first record that is still there; -1 where it was not asked for */
    int64_t end_offset;   /**< of the next record; -1 where it was not asked for */
} kur_partition_view;

/** A setting of a topic. */
typedef struct kur_config_view {
    size_t size;
    const char *name;
    const char *value; /**< NULL for a secret */
    bool is_set;       /**< set for this topic; otherwise it comes from the broker */
    bool is_read_only;
} kur_config_view;

/** A topic as it is. */
typedef struct kur_topic_view {
    size_t size;
    const char *name;
    bool is_internal; /**< Kafka's own, such as __consumer_offsets */
    int32_t replication;
    size_t partition_count;
    const kur_partition_view *const *partitions; /**< by number */

    /* What kur_admin_describe_topic and kur_admin_topic_settings have; zero in lists and on the embedded broker. As in
     * kur_topic_spec. */
    size_t config_count;
    const kur_config_view *const *configs;
    kur_cleanup cleanup;
    int32_t min_insync_replicas;
    int64_t retention_ms;
    int64_t retention_bytes;
    int64_t max_message_bytes;
} kur_topic_view;

/** Topics. */
typedef struct kur_topic_list {
    size_t count;
    const kur_topic_view *const *items; /**< by name */
} kur_topic_list;

/** All topics that this client may see, without offsets and settings. KUR_OK and what every call may return. */
KUR_API kur_status kur_admin_list_topics(kur_admin *admin, int timeout_ms, kur_arena *arena, kur_topic_list *topics,
                                         kur_error *error);

/** One topic with offsets and settings. KUR_ERROR_UNKNOWN_TOPIC. */
KUR_API kur_status kur_admin_describe_topic(kur_admin *admin, const char *name, int timeout_ms, kur_arena *arena,
                                            const kur_topic_view **topic, kur_error *error);

/**
 * The settings of many topics, `names` up to NULL, at once: as many items as names, in their order, without partitions.
 * Of one that is not there, or whose settings this client may not see, `config_count` is 0. KUR_OK and what every call
 * may return.
 */
KUR_API kur_status kur_admin_topic_settings(kur_admin *admin, const char *const *names, int timeout_ms,
                                            kur_arena *arena, kur_topic_list *topics, kur_error *error);

/**
 * Deletes the records before each position's offset; an offset of -1 deletes all that are there. KUR_ERROR_GAP when an
 * offset is behind the partition's end, KUR_ERROR_UNKNOWN_TOPIC, KUR_ERROR_UNSUPPORTED on the embedded broker.
 */
KUR_API kur_status kur_admin_delete_records(kur_admin *admin, const kur_position *before, size_t count, int timeout_ms,
                                            kur_error *error);

/* ---- Groups ---- */

/** Where a group stands between two rebalances. */
typedef enum kur_group_state {
    KUR_GROUP_UNKNOWN = 0, /**< one that this version does not know */
    KUR_GROUP_PREPARING_REBALANCE,
    KUR_GROUP_COMPLETING_REBALANCE,
    KUR_GROUP_STABLE,
    KUR_GROUP_DEAD, /**< there is no such group */
    KUR_GROUP_EMPTY /**< no members; committed offsets only */
} kur_group_state;

/** "stable"; "unknown" for a number that is not in the list. Static; any thread. */
KUR_API const char *kur_group_state_name(kur_group_state state);

/** A member of a group, and what it has. */
typedef struct kur_member_view {
    size_t size;
    const char *id;
    const char *client_id;
    const char *instance_id; /**< of a static member, or NULL */
    const char *host;
    size_t partition_count;
    const kur_position *const *partitions; /**< assigned ones; their offsets are -1 */
} kur_member_view;

/** A group. */
typedef struct kur_group_view {
    size_t size;
    const char *name;
    kur_group_state state;

    /* What kur_admin_describe_group adds. */
    int32_t coordinator;    /**< id of a broker; -1 in lists */
    const char *assignment; /**< "range", …; "" while there is none */
    size_t member_count;
    const kur_member_view *const *members;
} kur_group_view;

/** Groups. */
typedef struct kur_group_list {
    size_t count;
    const kur_group_view *const *items; /**< by name */
} kur_group_list;

/** All consumer groups that this client may see. KUR_ERROR_UNSUPPORTED on the embedded broker. */
KUR_API kur_status kur_admin_list_groups(kur_admin *admin, int timeout_ms, kur_arena *arena, kur_group_list *groups,
                                         kur_error *error);

/**
 * One group with its members. Of a group by the new protocol (KIP-848) a librdkafka before 2.10 tells the state alone.
 * KUR_ERROR_UNSUPPORTED on the embedded broker.
 */
KUR_API kur_status kur_admin_describe_group(kur_admin *admin, const char *group, int timeout_ms, kur_arena *arena,
                                            const kur_group_view **view, kur_error *error);

/** Positions. */
typedef struct kur_position_list {
    size_t count;
    const kur_position *const *items; /**< by topic and partition */
} kur_position_list;

/**
 * What a group has committed, with metadata; nothing for a group that is not there. KUR_ERROR_TIMEOUT and what every
 * call may return.
 */
KUR_API kur_status kur_admin_group_offsets(kur_admin *admin, const char *group, int timeout_ms, kur_arena *arena,
                                           kur_position_list *offsets, kur_error *error);

/**
 * Commits positions on behalf of a group without members; metadata is text of at most 4,096 bytes.
 * KUR_ERROR_INVALID_STATE while the group has members, KUR_ERROR_UNKNOWN_TOPIC.
 */
KUR_API kur_status kur_admin_set_group_offsets(kur_admin *admin, const char *group, const kur_position *positions,
                                               size_t count, int timeout_ms, kur_error *error);

/** How far a group is behind in one partition. */
typedef struct kur_partition_lag {
    size_t size;
    const char *topic;
    int32_t partition;
    int64_t start_offset; /**< of the first record that is still there */
    int64_t end_offset;   /**< of the next record */
    int64_t committed; /**< -1: nothing; records before `start_offset` were lost to the group when it is below that */
    int64_t lag;       /**< records that wait: from `committed`, or `start_offset` where that is higher */
    const char *client_id; /**< of the member that has it, or NULL */
    const char *metadata;  /**< committed beside `committed`, or NULL; of a listener's tells kur_ledger_read */
} kur_partition_lag;

/** How far a group is behind, in all and by partition. */
typedef struct kur_group_lag {
    size_t size;
    const char *group;
    kur_group_state state; /**< KUR_GROUP_UNKNOWN on the embedded broker */
    int64_t lag;           /**< of all partitions */
    size_t partition_count;
    const kur_partition_lag *const *partitions; /**< by topic and partition */
} kur_group_lag;

/**
 * How far a group is behind, on all partitions of every topic that it has committed or been assigned something of. A
 * transaction's end counts as a record, as it does in offsets. Where nothing is committed all that is there waits.
 * KUR_ERROR_UNKNOWN_TOPIC when nothing is known of the group: neither offsets nor assignments.
 */
KUR_API kur_status kur_admin_group_lag(kur_admin *admin, const char *group, int timeout_ms, kur_arena *arena,
                                       const kur_group_lag **lag, kur_error *error);

/* ---- Resetting a group: first what would happen, then that ---- */

/** Where a reset moves a group. */
typedef enum kur_reset_to {
    KUR_RESET_TO_START = 1, /**< the first record that is there */
    KUR_RESET_TO_END,       /**< the next record to come */
    KUR_RESET_TO_OFFSET,    /**< .offset, moved to where there are records */
    KUR_RESET_TO_TIME       /**< the first record of .time_us or later, else the end */
} kur_reset_to;

/** What a reset moves, and where to. */
typedef struct kur_reset_options {
    size_t size;
    kur_reset_to to;
    int32_t partition; /**< KUR_PARTITION(n); default: all. With a topic only */
    const char *topic; /**< default: every topic that the group has committed something of */
    int64_t offset;
    int64_t
        time_us; /**< microseconds since 1970; Kafka keeps milliseconds. KUR_ERROR_UNSUPPORTED on the embedded broker */
} kur_reset_options;

#define KUR_RESET_OPTIONS(...) KUR__OPTIONS(kur_reset_options, __VA_ARGS__)

/** What a reset would do to one partition. */
typedef struct kur_partition_reset {
    size_t size;
    const char *topic;
    int32_t partition;
    int64_t from;         /**< committed now; -1: nothing */
    int64_t to;           /**< what is to be committed */
    const char *metadata; /**< committed beside `from`, or NULL; a reset drops it */
    int64_t start_offset;
    int64_t end_offset;
} kur_partition_reset;

/** What a reset would do. */
typedef struct kur_reset_plan {
    size_t size;
    const char *group;
    int64_t skipped;  /**< records that would not be read, over all partitions */
    int64_t repeated; /**< records that would be read again */
    size_t partition_count;
    const kur_partition_reset *const *partitions;
} kur_reset_plan;

/**
 * What a reset would do; changes nothing. KUR_ERROR_INVALID_STATE while the group has members: they would commit over
 * it. KUR_ERROR_UNKNOWN_TOPIC for a topic or partition that is not there, or a group that has committed nothing when no
 * topic is named.
 */
KUR_API kur_status kur_admin_plan_reset(kur_admin *admin, const char *group, const kur_reset_options *options,
                                        int timeout_ms, kur_arena *arena, const kur_reset_plan **plan,
                                        kur_error *error);

/**
 * Does exactly what the plan shows. KUR_ERROR_STALE when the group has committed something else since the plan was
 * made, KUR_ERROR_INVALID_STATE while it has members. Undone by kur_admin_set_group_offsets with `from` and `metadata`.
 */
KUR_API kur_status kur_admin_apply_reset(kur_admin *admin, const kur_reset_plan *plan, int timeout_ms,
                                         kur_error *error);

KUR_END_DECLS

#endif
