/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The books of the simulation: what handlers and the model broker did, and the rules that must hold. Links nothing of
 * the listener; the text of a commit is read by a decoder of its own.
 *
 * - lost: at the end each record that a log holds has had its effect, and what was copied from it has too
 * - commit: what lies below a committed offset, or is called finished by its text, has had its effect
 * - order: a record does not start before those in front of it in its lane have returned for good, or were started in
 *   the same batch; and what is said of it does not count before. Where keys keep their order through a retry topic,
 * not before all earlier ones of its key have come to their ends, whatever copies there are of them (ordering.c)
 * - twice: of a lane one record runs at a time in a process, whichever topic it comes from
 * - zombie: a record starts, and a commit is made, only where the partition is owned
 * - early: no record starts before it is due, by the clock that its time was given in
 * - duplicate: no more records start again than crashes and rebalances explain, and none is sent on twice but for a
 *   failure that was told
 * - memory: what is held stays within the bounds
 * - backwards: the commits of an epoch only go up
 * - liveness: when faults stop, everything is finished and committed; nothing is moved for ever,
 *   and what has been moved rests before it is moved again
 * - attempts: no record is tried more often than the policy says, and each is counted, through whatever topics
 * - release: each record that was taken in is given back once, and not while it is in use
 * - exactly: exactly-once, the outcome of a record is in one committed transaction
 * - fate: what becomes of a record follows from what its handler said, and from the policy
 * - due: a record that goes to a retry topic has its own time there, and goes to the topic for that
 * - idle: nothing that may run is left lying while there is a worker for it, and nobody sleeps past the next due time
 */
#ifndef KURIER_TESTS_SIMULATION_CHECKER_H
#define KURIER_TESTS_SIMULATION_CHECKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OFFSETS_MAX = 8192,
    PARTITIONS_MAX = 8,
    TIERS_MAX = 5,
    SLOTS_MAX = PARTITIONS_MAX * TIERS_MAX, /* partition n of tier t is slot 8 t + n; tier 0 is the main topic */
    EPOCHS_MAX = 256
};

/* What a handler says of a record in the end, when it has failed as often as it will. */
enum ending {
    ENDS_DONE = 0,
    ENDS_REJECTED,
    ENDS_HOPELESS /* a cause that is not tried again */
};

/* A record of the world, whatever topics it goes through, and how many copies there are of it. */
struct story {
    int number, key;
    int failures; /* that its handler has for it */
    enum ending ending;
    int done, dead;
    int excused;             /* how many more ends than one are explained, exactly-once */
    bool is_elsewhere;       /* somebody who is not watched has handled it */
    int64_t offset, version; /* its place in the main topic; version 0: it has none */
    int ended;               /* how often it was said how it ends */
    int copies;              /* that have arrived in the ordered retry topic */
    int running, batch;      /* handlers that have it now; the batch in which it was started last */
};

/* One offset of a log. */
struct entry {
    bool exists;
    bool is_foreign; /* another group's */
    bool was_sent;   /* on to another topic, whether it is there or not */
    int key;         /* -1: none */
    int story;
    int attempt;        /* the one that comes next, as its header says */
    int64_t due_us;     /* by the world's clock; 0: at once */
    int64_t first_us;   /* when it first failed, by that clock; 0: it has not yet */
    int64_t written_us; /* likewise */
    int64_t waits_us;   /* since when it has waited for this attempt, likewise */
    int written_jumps;  /* of that clock, until it was written */
    int moves;          /* to the end of its topic, since it came to it */
    int64_t moved_from_us;
    int moved_from_epochs;
    int starts;
    bool returned;         /* done or rejected, at least once */
    bool durable;          /* its effect is */
    int effects;           /* committed transactions that hold its outcome */
    int excused;           /* how many more than one of them are explained: a seek, a log that was cut */
    int batch;             /* in which it was started last */
    int64_t version;       /* no two records have the same, also at one offset after each other */
    int64_t origin, stamp; /* its place in the main topic, and its version there; origin < 0: it came from outside */
    bool is_outside;       /* no listener has written it */
    int dropped_in;        /* which source of the partition has finished it unread */
    bool was_dropped;      /* finished without anything being done for it, since another copy counts */
    int from_slot;         /* what it is a copy of; version 0: of nothing */
    int64_t from_offset, from_version;
};

/* What is in a partition now. A log that is made anew starts from nothing. */
struct log {
    struct entry *entries;
    int64_t start, end, capacity;
    bool is_retry; /* one of a retry topic */
    int incarnation;
    int epoch;                /* of its leader */
    int64_t cuts[EPOCHS_MAX]; /* where the log was cut when an epoch began */
};

enum rule {
    RULE_LOST = 0,
    RULE_COMMIT,
    RULE_ORDER,
    RULE_TWICE,
    RULE_ZOMBIE,
    RULE_EARLY,
    RULE_DUPLICATE,
    RULE_MEMORY,
    RULE_BACKWARDS,
    RULE_LIVENESS,
    RULE_ATTEMPTS,
    RULE_RELEASE,
    RULE_EXACTLY,
    RULE_FATE,
    RULE_DUE,
    RULE_IDLE,
    RULE_COUNT
};

extern const char *const rule_names[RULE_COUNT];

struct checker {
    int order;        /* 0: by key, 1: by partition, 2: none */
    bool keeps_order; /* through the retry topic: ordering.c checks it */
    struct story *stories;
    int stories_count, stories_capacity;
    bool failed;
    enum rule broken;
    char why[256];
    int64_t duplicates, allowed; /* starts of what was durable before, and how many are explained */
    int64_t looked[RULE_COUNT];  /* how often a rule was applied to something */
};

void checker_fail(struct checker *checker, enum rule rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A place for one more; what lies there is all zero. */
struct entry *log_append(struct log *log);

int checker_new_story(struct checker *checker, const struct story *story);

/* Whether two records of partitions of the same number are in the same lane. */
bool checker_same_lane(const struct checker *checker, const struct entry *a, const struct entry *b);

/*
 * A handler begins (for the first time in its epoch, or again), `early_us` before it is due; 0: it is due. `batch` is
 * the number of its batch; 0: it has none.
 */
void checker_start(struct checker *checker, struct log *log, int partition, int64_t offset, int batch, bool is_owner,
                   bool is_first, int64_t early_us);

/* What was said of a record counts for good. */
void checker_return(struct checker *checker, struct log *log, int partition, int64_t offset);

/*
 * The broker has taken a commit over. What is at or above `known_to` has been cut off and written anew since the member
 * read it: that such a commit holds no more is found out by whoever begins there. `before` is what the same epoch
 * committed last, -1: nothing.
 */
void checker_commit(struct checker *checker, const struct log *log, int partition, int64_t offset, const char *text,
                    int64_t known_to, int64_t before);

/* Whether what stands beside a committed offset calls another one finished. */
bool checker_is_told(const char *text, int64_t committed, int64_t offset);

/* A transaction that holds the outcome of a record is committed. */
void checker_effect(struct checker *checker, struct entry *entry, int partition, int64_t offset);

/* Everything is over: what the log holds must have had its effect, down to the last copy. */
void checker_end(struct checker *checker, const struct log *log, int partition, int64_t committed);

/*
 * Likewise: each record has ended as it had to, by a policy of `attempts` (0: no bound), or, -1, by one that cannot be
 * told.
 */
void checker_end_stories(struct checker *checker, int attempts, bool exactly_once);

#endif
