/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the administration's parts share: a call with its deadline, a request with its answer, metadata, views.
 */
#ifndef KURIER_KAFKA_ADMIN_H
#define KURIER_KAFKA_ADMIN_H

#include <kurier/admin.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <time.h>

#include "kafka/connection.h"

enum {
    KUR__ADMIN_COUNT_MAX = 10000 /* of topics, positions, … in one call */
};

typedef struct kur__admin_handle {
    kur__connection connection;
    rd_kafka_t *rk; /* a consumer that joins nothing: it makes no topics by asking, and sees uncommitted offsets */
    int users;      /* calls, and the admin while it is the one for new calls */
} kur__admin_handle;

struct kur_admin {
    kur_client *client;
    pthread_mutex_t lock;      /* guards which handle is the one, and the users of all */
    kur__admin_handle *handle; /* for new calls; NULL: the next one makes it */
};

/* ---- A call ---- */

typedef struct kur__admin_call {
    kur_admin *admin;
    kur__admin_handle *handle;
    kur_arena *arena; /* the caller's, or one that ends with the call */
    bool owns_arena;
    struct timespec deadline;
    struct timespec settled; /* until then brokers may tell of what was before */
    int64_t since_us;        /* when it began, by the monotonic clock */
    int timeout_ms;
    bool is_embedded;
    kur_error error; /* of what failed last */
} kur__admin_call;

/*
 * Begins a call: checks the time-out and waits for a broker. `arena` NULL gives the call one of its own. Must be
 * ended, whatever it returns.
 */
kur_status kur__admin_begin(kur__admin_call *call, kur_admin *admin, int timeout_ms, kur_arena *arena);

/* Ends it; hands the call's error out unless `status` is KUR_OK. Returns `status`. */
kur_status kur__admin_end(kur__admin_call *call, kur_status status, kur_error *error);

/* KUR_ERROR_UNSUPPORTED on the embedded broker: "the embedded broker cannot delete topics: …". */
kur_status kur__admin_needs_kafka(kur__admin_call *call, const char *what);

/* What failed will pass by itself, and there is time: waits a little and returns true, to try again. */
bool kur__admin_again(kur__admin_call *call);

/* The same whatever failed. */
bool kur__admin_pause(kur__admin_call *call);

/*
 * The same while what was changed, by this call or just before it, may not have come to every broker: some seconds.
 * kur__admin_changed begins them anew.
 */
bool kur__admin_settles(kur__admin_call *call);
void kur__admin_changed(kur__admin_call *call);

/* As kur__admin_again, for a topic that some broker knows: that another does not yet passes by itself too. */
bool kur__admin_again_known(kur__admin_call *call);

/* Sets the call's error, and returns its status. The first: in the broker's words, where it has any. */
kur_status kur__admin_failed(kur__admin_call *call, rd_kafka_resp_err_t code, const char *text, const char *what, ...)
    KUR_PRINTF(4, 5);
kur_status kur__admin_no_memory(kur__admin_call *call);

/* ---- A request ---- */

typedef struct kur__admin_request {
    rd_kafka_AdminOptions_t *options;
    rd_kafka_queue_t *queue;
} kur__admin_request;

/* Options with what is left of the call's time, and a queue, for one of librdkafka's admin functions. */
void kur__admin_request_init(kur__admin_call *call, kur__admin_request *request);

/* Waits for the answer and ends the request. NULL with the call's error set; else the caller destroys it. What was
 * asked is still with the handle when the call's time is over, which is then for no further call. */
rd_kafka_event_t *kur__admin_request_wait(kur__admin_call *call, kur__admin_request *request, const char *what);

/* ---- Metadata ---- */

/* Of one topic, or of all; destroyed by the caller. On the embedded broker always of all: it makes topics it is asked
 * about. */
kur_status kur__admin_metadata(kur__admin_call *call, const char *topic, const struct rd_kafka_metadata **metadata);

/* The topic in it, NULL when the broker does not know it. */
const struct rd_kafka_metadata_topic *kur__metadata_find(const struct rd_kafka_metadata *metadata, const char *topic);

/* Waits until a topic has that many partitions, all with leaders that know of it; 0 partitions: until it is gone. */
kur_status kur__admin_wait_topic(kur__admin_call *call, const char *topic, int partitions);

/*
 * Start and end of partitions: the offsets of `starts` and `ends`, which name the same. What cannot be had is an error,
 * never 0.
 */
kur_status kur__admin_offsets(kur__admin_call *call, rd_kafka_topic_partition_list_t *starts,
                              rd_kafka_topic_partition_list_t *ends);

/* ---- Topics, groups ---- */

/* A topic's settings, by name. */
kur_status kur__admin_read_configs(kur__admin_call *call, const char *topic, const kur_config_view *const **configs,
                                   size_t *count);

/* The settings of these, which have their names; of one whose are refused, none. */
kur_status kur__admin_read_settings(kur__admin_call *call, kur_topic_view *const *views, size_t count);

/* Sets these and leaves the others. */
kur_status kur__admin_write_configs(kur__admin_call *call, const char *topic, const kur_property *configs,
                                    size_t count);

/* The value of one, NULL when it is not there. */
const char *kur__config_value(const kur_config_view *const *configs, size_t count, const char *name);

kur_cleanup kur__cleanup_of_text(const char *text);

/* What a topic spec sets, as Kafka writes it; in the call's arena. */
typedef struct kur__topic_wanted {
    kur_topic_spec spec;
    size_t config_count;
    kur_property *configs;
    bool is_made; /* by this call */
} kur__topic_wanted;

/* Makes topics; those that are there already count as made when `may_exist`. Returns when they are usable. */
kur_status kur__admin_make_topics(kur__admin_call *call, const kur__topic_wanted *wanted, size_t count, bool may_exist);

/* Checks specs and writes their settings out. */
kur_status kur__topics_want(const kur_topic_spec *specs, size_t count, kur_arena *arena, kur__topic_wanted **wanted,
                            kur_error *error);

kur_status kur__admin_read_group(kur__admin_call *call, const char *group, const kur_group_view **view);
kur_status kur__admin_read_group_offsets(kur__admin_call *call, const char *group, kur_position_list *offsets);
kur_status kur__admin_write_group_offsets(kur__admin_call *call, const char *group,
                                          const rd_kafka_topic_partition_list_t *offsets);

/*
 * Checks positions, the array named `name` in errors, whose offsets are at least `least`, and makes a list of them that
 * the caller destroys.
 */
kur_status kur__positions_take(const kur_position *positions, size_t count, int64_t least, const char *name,
                               rd_kafka_topic_partition_list_t **list, kur_error *error);

/* KUR_ERROR_INVALID_STATE when the group has members; on the embedded broker it is found out by writing. */
kur_status kur__admin_needs_idle_group(kur__admin_call *call, const char *group);

kur_status kur__group_check(const char *group, kur_error *error);

/* ---- Views ---- */

/* An array of `count` pointers to zeroed views whose `size` is set; NULL when there is no memory. */
void *kur__views_new(kur_arena *arena, size_t count, size_t size);

/* Copies of a text, and of NULL as NULL; `*ok` becomes false when there is no memory. */
const char *kur__arena_text(kur_arena *arena, const char *text, bool *ok);

#endif
