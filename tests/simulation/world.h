/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A broker, a group and up to three processes with a listener's decisions in each, on a virtual clock. One seed is one
 * run: the same seed, settings and binary give the same run, step by step.
 */
#ifndef KURIER_TESTS_SIMULATION_WORLD_H
#define KURIER_TESTS_SIMULATION_WORLD_H

#include "checker.h"
#include "listener/machine.h"

enum {
    INSTANCES_MAX = 3,
    ITEMS_MAX = 65536,
    EVENTS_MAX = 4096
};

/* What can go wrong or change; a run can do without some of it, to find out which it takes for a failure. */
enum fault {
    FAULT_CRASH = 0,
    FAULT_REBALANCE,   /* members come and go: everybody gives everything back */
    FAULT_COOPERATIVE, /* only what moves is given back */
    FAULT_LOST,        /* an assignment is lost without a word */
    FAULT_BOUNCE,      /* a rebalance in which everybody gets the same again */
    FAULT_ABSENT,      /* a generation that one of them misses, with another owner meanwhile */
    FAULT_COMMIT_FAILS,
    FAULT_COMMIT_ANSWER_LOST,
    FAULT_EFFECT_FAILS,
    FAULT_EFFECT_UNKNOWN,
    FAULT_RETRY,
    FAULT_REJECT,
    FAULT_RECREATE,
    FAULT_TRUNCATE,
    FAULT_RETENTION,
    FAULT_SEEK,
    FAULT_GROW,
    FAULT_CLOCK,
    FAULT_ABORT,           /* of a transaction */
    FAULT_OUTCOME_UNKNOWN, /* of a transaction: the answer to its commit, or the commit itself, is lost */
    FAULT_REFUSED,         /* what a record has emitted, so that it has to be left out */
    FAULT_COUNT
};

extern const char *const fault_names[FAULT_COUNT];

struct settings {
    uint64_t seed;
    int steps;
    uint32_t without; /* a bit for each fault that is left out */
    bool trace;
};

/* A record that was handed to a listener. */
struct item {
    int partition;
    int64_t offset, version;
    int64_t due_us; /* after a retry */
    int serial;     /* of the process */
    int starts;
    bool is_held, is_running;
    /* What its handler has said, until the listener has made up its mind. */
    kur__work *said;
};

struct member {
    bool alive;
    int serial; /* a new one after each crash */
    kur__machine machine;
    kur__source *sources[PARTITIONS_MAX];
    int64_t positions[PARTITIONS_MAX];
    int incarnations[PARTITIONS_MAX], epochs[PARTITIONS_MAX];
    int64_t last_commits[PARTITIONS_MAX]; /* of the epoch */
    bool is_full[PARTITIONS_MAX];
    bool owns[PARTITIONS_MAX];
    int64_t generation;
    struct transaction *transaction; /* that is open */
    int64_t finished_since_commit;   /* as the checker counts, for the bound of duplicates */
    int held;
};

enum event_kind {
    EVENT_RETURN = 1, /* of a handler */
    EVENT_EFFECT,
    EVENT_COMMIT, /* the broker takes it */
    EVENT_ANSWER,
    EVENT_TRANSACTION /* its next step */
};

struct event {
    int64_t at_us;
    int64_t sequence;
    enum event_kind kind;
    int member, serial;
    kur__work *work;
    struct item *item;
    kur__source *source;
    int partition, incarnation, epoch;
    int64_t offset, generation;
    bool applied, good;
    char *text;
    struct transaction *transaction;
};

struct world {
    struct settings settings;
    struct checker checker;
    uint64_t random;
    int64_t now_us;
    int partitions;
    struct log logs[PARTITIONS_MAX];
    int64_t committed[PARTITIONS_MAX]; /* -1: nothing */
    int committed_epochs[PARTITIONS_MAX];
    char *texts[PARTITIONS_MAX];
    int owners[PARTITIONS_MAX]; /* -1: nobody */
    int64_t generation;
    int next_serial;
    int members_count;
    struct member members[INSTANCES_MAX];
    kur__machine_options options;
    int concurrency, keys, batch;
    int together; /* records in a handler's batch, at most; 0: they are handled one by one */
    int batches;  /* handed to handlers */
    struct item *items;
    int items_count;
    struct event events[EVENTS_MAX]; /* in no order: the next is looked for */
    int events_count;
    int64_t next_event, next_version;
    bool calm;         /* no faults any more, but for */
    int late_failures; /* commits that may fail */
    bool exactly_once;
    struct transaction *transactions; /* all of the run */
    /* What the run held. */
    int records, rebalances, crashes, step;
    int happened[FAULT_COUNT];
    int commands[5]; /* runs, effects, commits, no room, releases */
};

/* Plays a run; the checker says how it ended. */
void world_run(struct world *world, const struct settings *settings);
void world_free(struct world *world);

/* ---- transactions.c: exactly-once ---- */

/* Begins one with what is there. */
void transaction_begin(struct world *world, int index);
void transaction_take_event(struct world *world, const struct event *event);
/* What is open of a member comes to its end, as far as it gets there in time. */
void transaction_finish(struct world *world, int index);
/* Who asks for the committed offset of a partition has to wait until nothing is open there. */
void transactions_settle(struct world *world, int partition);
/* The process is gone; a commit that is on its way is not. */
void transactions_orphan(struct world *world, int index);
/* What lies there may be handled again: by a seek, or since what was told of it does not hold any more. */
void transactions_excuse(struct world *world, int partition, int64_t from);
void transactions_free(struct world *world);

/* ---- What transactions.c has of world.c ---- */

uint64_t world_draw(struct world *world, uint64_t below);
bool world_strikes(struct world *world, enum fault fault, int percent);
void world_say(const struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct event *world_schedule(struct world *world, enum event_kind kind, int64_t after_us);
bool world_is_there(const struct log *log, const struct item *item);
/* The broker takes an offset over, and what stands beside it. */
void world_commit(struct world *world, const struct event *event);
/* Takes the events of a member's transaction that are to come. */
void world_hurry(struct world *world, const struct transaction *transaction);

#endif
