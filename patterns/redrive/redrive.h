/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share. plan.c makes plans and run.c runs them; select.c says which letters they are,
 * route.c where those go; text.c is what stands in Kafka, books.c reads it; send.c sends, watch.c follows.
 */
#ifndef KURIER_REDRIVE_INSIDE_H
#define KURIER_REDRIVE_INSIDE_H

#include <kurier/admin.h>
#include <kurier/filter.h>
#include <kurier/redrive.h>
#include <kurier/uuid.h>

#include "deadletter/deadletter.h"

enum {
    KUR__REDRIVE_VERSION = 1, /* of what stands in the topic */
    KUR__REDRIVE_TIMEOUT_MS = 30000,
    KUR__REDRIVE_LEASE_MS = 10000,
    KUR__REDRIVE_LEASE_MAX_MS = 3600 * 1000,
    KUR__REDRIVE_LOOPS = 3,
    KUR__REDRIVE_ROUTES_MAX = 256
};

/* The sum of the hashes of letters, in four lanes: what is left of a plan is the whole less what was sent. */
typedef struct kur__redrive_sum {
    uint64_t lanes[4];
} kur__redrive_sum;

/* A partition of dead letters: what of it is planned, and the latest time of a letter in it. */
typedef struct kur__redrive_range {
    const char *topic;
    int32_t partition;
    int64_t from, to, count, last_us;
} kur__redrive_range;

/* How far a topic of a group went when the plan was made: records of the plan are behind it. */
typedef struct kur__redrive_mark {
    const char *topic;
    int32_t partition;
    int64_t end;
} kur__redrive_mark;

typedef struct kur__redrive_route {
    kur_redrive_route view;
    kur_tier tier;
    int32_t partitions; /* of the target */
} kur__redrive_route;

typedef struct kur__redrive_plan {
    const char *id;
    char digest[65];
    const char *who, *reason;
    int64_t planned_us;
    kur_redrive_target target;
    unsigned force;
    int max_redriven;
    kur_letter_filter filter;
    const char *where;         /* of a plan that was read: the filter's expression, for the reader to make; or NULL */
    const char *const *topics; /* ends with NULL */
    const char *const *strip;  /* likewise */
    const kur_header *set;     /* ends with a name of NULL */
    kur__redrive_range *ranges;
    kur__redrive_mark *marks;
    kur__redrive_route *routes;
    size_t range_count, mark_count, route_count;
    kur_redrive_left_out left_out;
    int64_t count;
    kur__redrive_sum sum;
} kur__redrive_plan;

/* What a runner tells of itself. */
typedef struct kur__redrive_told {
    int64_t term;
    char owner[KUR_UUID_TEXT_SIZE];
    kur_redrive_state state;
    int64_t at_us;
    int64_t acknowledged, refused;
    bool is_canary_done;
    kur__redrive_sum sum; /* of both */
    int64_t *next;        /* of each range: all planned letters before it are acknowledged or refused */
    const char *note;
} kur__redrive_told;

/* What somebody did: claims, wishes, ends. */
typedef struct kur__redrive_event {
    const char *action; /* "start", "pause", "resume", "cancel"; others are for people */
    const char *who, *note;
    int64_t at_us;
    int64_t term; /* of a start */
    char owner[KUR_UUID_TEXT_SIZE];
    int lease_ms;
} kur__redrive_event;

/* ---- text.c writes what stands in the topic; parse.c reads it, and takes no memory but the arena's ---- */

kur_status kur__redrive_write_plan(const kur__redrive_plan *plan, kur_buffer *value);
kur_status kur__redrive_read_plan(kur_bytes value, kur_arena *arena, kur__redrive_plan *plan, kur_error *error);
kur_status kur__redrive_write_told(const kur__redrive_told *told, size_t ranges, kur_buffer *value);
/* `told->next` has room for `ranges`. */
kur_status kur__redrive_read_told(kur_bytes value, size_t ranges, kur_arena *arena, kur__redrive_told *told,
                                  kur_error *error);
kur_status kur__redrive_write_event(const kur__redrive_event *event, kur_buffer *value);
kur_status kur__redrive_read_event(kur_bytes value, kur_arena *arena, kur__redrive_event *event, kur_error *error);
/* The SHA-256 of a plan as it stands, as text. */
void kur__redrive_digest(kur_bytes value, char text[65]);

/* ---- books.c ---- */

/* A plan and all that was told of it. */
typedef struct kur__redrive_entry {
    char id[KUR_UUID_TEXT_SIZE];
    kur_arena *arena; /* the plan's */
    kur_filter *where;
    kur__redrive_plan plan;
    int64_t term; /* 0: never started */
    char owner[KUR_UUID_TEXT_SIZE];
    int lease_ms;
    char *runner;
    int64_t started_us;
    bool is_paused, is_cancelled;
    bool has_told;
    kur__redrive_told told; /* by whoever had the term then */
    char *note;
    uint64_t heard; /* grows with each word of the owner */
} kur__redrive_entry;

typedef struct kur__books {
    kur_consumer *consumer;
    kur__redrive_entry **entries; /* by the order of their plans */
    size_t count, capacity;
    kur_arena *arena; /* of the record at hand */
    int64_t end;      /* of the log when it was opened; -1: not known yet */
    int64_t next;     /* read up to there */
    kur_error failed; /* in a callback */
} kur__books;

/* Opens the topic, which must be there, and reads it to its end. */
kur_status kur__books_open(kur__books *books, kur_client *client, int timeout_ms, kur_error *error);
void kur__books_done(kur__books *books);
/* Takes in what has come, waiting so long at most for a first record. */
kur_status kur__books_read(kur__books *books, int wait_ms, kur_error *error);
/* Reads until what stands at an offset has been read. */
kur_status kur__books_reach(kur__books *books, int64_t offset, int timeout_ms, kur_error *error);
/* Takes one record in, at whatever place; what is none of ours is passed over. False without memory. */
bool kur__books_take(kur__books *books, kur_bytes key, kur_bytes value);
kur__redrive_entry *kur__books_find(const kur__books *books, const char *id);
/* How it stands, in the words of the public header. */
kur_redrive_state kur__redrive_state_of(const kur__redrive_entry *entry);
bool kur__redrive_is_over(kur_redrive_state state);

/* Writes a record and waits until it is there; `offset` may be NULL. */
kur_status kur__books_write(kur_producer *producer, const kur_buffer *key, const kur_buffer *value, int timeout_ms,
                            int64_t *offset, kur_error *error);
/* An event by a key of its own, and that key's offset. */
kur_status kur__books_event(kur_producer *producer, const char *id, const kur__redrive_event *event, int timeout_ms,
                            int64_t *offset, kur_error *error);
/* The public view, in an arena. */
const kur_redrive_view *kur__redrive_view_of(const kur__redrive_entry *entry, kur_arena *arena, kur_error *error);

/* ---- route.c ---- */

/* Topics and groups as they were found, each looked at once. */
typedef struct kur__router {
    kur_admin *admin;
    int timeout_ms;
    kur_arena *arena;
    kur_topic_list topics;
    struct kur__router_group *groups;
} kur__router;

kur_status kur__router_init(kur__router *router, kur_client *client, int timeout_ms, kur_arena *arena,
                            kur_error *error);
void kur__router_done(kur__router *router);
/* NULL when it is not there. */
const kur_topic_view *kur__router_topic(const kur__router *router, const char *name);
/* Adds the letter's route to the plan, refused or not; `*route` stays NULL when the letter tells of none. */
kur_status kur__router_add(kur__router *router, kur__redrive_plan *plan, kur_tier tier, const kur_letter *letter,
                           kur__redrive_route **route, kur_error *error);
/* The plan's route for a letter, refused or not, or NULL. */
kur__redrive_route *kur__redrive_route_of(const kur__redrive_plan *plan, const kur_letter *letter);
/* Whether letters of this topic are called as Spring Kafka calls them. */
bool kur__redrive_is_spring(const char *letters);

/* What a topic is to a route: where its records are followed. */
typedef enum kur__redrive_role {
    KUR__REDRIVE_NONE = 0,
    KUR__REDRIVE_WAITS, /* records wait there for the group */
    KUR__REDRIVE_DEAD
} kur__redrive_role;
kur__redrive_role kur__redrive_role_of(const kur__redrive_route *route, const char *topic);
/*
 * Whether what the plan's records are followed in is among the topics that were seen, or has gone since. A topic that
 * is hidden from this user is KUR_ERROR_AUTHORIZATION: else all that lies in it would count as succeeded.
 */
kur_status kur__redrive_check_seen(kur_admin *admin, const kur__redrive_plan *plan, const kur_topic_list *seen,
                                   int timeout_ms, kur_arena *arena, kur_error *error);

/* ---- select.c ---- */

typedef enum kur__verdict {
    KUR__TAKEN = 0,
    KUR__NOT_MEANT,
    KUR__IS_DISCARDED,
    KUR__IS_SENT,
    KUR__IS_LOOPED,
    KUR__IS_STUB,
    KUR__IS_UNKNOWN,
    KUR__IS_REFUSED
} kur__verdict;

/* What of a plan is read: all of it, or what is behind the places that were told. */
typedef struct kur__selection {
    kur_client *client;
    const kur__redrive_plan *plan;
    const char *self;    /* the plan's id; NULL while it is made */
    const int64_t *next; /* of each range, or NULL */
    const kur__books *books;
    kur__discards discards;
    kur_arena *arena;
    kur__scan *scan;
    kur_letter letter; /* the one at hand */
    size_t range;      /* its range */
    int64_t read;
} kur__selection;

kur_status kur__selection_init(kur__selection *selection, kur_client *client, const kur__redrive_plan *plan,
                               const kur__books *books, int timeout_ms, kur_error *error);
/* Starts, or starts anew from other places. */
kur_status kur__selection_start(kur__selection *selection, const int64_t *next, int timeout_ms, kur_error *error);
void kur__selection_stop(kur__selection *selection);
void kur__selection_done(kur__selection *selection);
/* As kur__scan_next, of letters. */
kur_status kur__selection_next(kur__selection *selection, bool *has_letter, bool *is_over, kur_error *error);
/* Whether the letter at hand is the plan's; a route is needed for that. */
kur__verdict kur__selection_judge(kur__selection *selection, const kur__redrive_route *route);
void kur__redrive_sum_of(const kur_letter *letter, kur__redrive_sum *sum);
void kur__redrive_add(kur__redrive_sum *to, const kur__redrive_sum *sum);
void kur__redrive_subtract(kur__redrive_sum *from, const kur__redrive_sum *sum);
bool kur__redrive_sum_is(const kur__redrive_sum *a, const kur__redrive_sum *b);

/* ---- send.c ---- */

/* A record that is on its way; they are answered in any order and counted in the order in which they were sent. */
typedef struct kur__flight {
    struct kur__sender *sender;
    int state; /* under the lock: 0 on its way, 1 there, 2 refused as too large, 3 failed otherwise */
    size_t range;
    int64_t offset;
    kur__redrive_sum sum;
} kur__flight;

typedef struct kur__sender kur__sender;

kur__sender *kur__sender_new(kur_client *client, const kur__redrive_plan *plan, kur_error *error);
void kur__sender_free(kur__sender *sender);
kur_producer *kur__sender_producer(kur__sender *sender);
/* KUR_ERROR_QUEUE_FULL: later. */
kur_status kur__sender_send(kur__sender *sender, const kur_letter *letter, const kur__redrive_route *route,
                            size_t range, kur_error *error);
size_t kur__sender_open(const kur__sender *sender);
/* How many may be on their way at once; 1 sends each alone. */
void kur__sender_limit(kur__sender *sender, size_t limit);
bool kur__sender_has_room(const kur__sender *sender);
/*
 * Takes the oldest that is answered out: 0 none is, 1 it is there, 2 it is too large, 3 it has failed with `error`.
 * Behind a failure those that follow are taken out as well, and sent again from there by the caller.
 */
int kur__sender_take(kur__sender *sender, kur__flight *flight, kur_error *error);

/* ---- places.c ---- */

/* Places in topics, each once. Starts as {0}; 0 is an empty place. */
typedef struct kur__place_set {
    uint64_t *places; /* freed by kur_free */
    size_t capacity, count;
} kur__place_set;

/* Never 0. */
uint64_t kur__place_hash(const char *topic, int32_t partition, int64_t offset);
bool kur__place_set_has(const kur__place_set *set, uint64_t place);
/* False without memory. */
bool kur__place_set_add(kur__place_set *set, uint64_t place);

#endif
