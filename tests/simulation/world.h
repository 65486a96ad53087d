/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A broker, a group and up to three processes with a listener's decisions in each, on a virtual clock. One seed is one
 * run: the same seed, settings and binary give the same run, step by step.
 */
#ifndef KURIER_TESTS_SIMULATION_WORLD_H
#define KURIER_TESTS_SIMULATION_WORLD_H

#include "checker.h"
#include "listener/ordered.h"

enum {
    INSTANCES_MAX = 3,
    ITEMS_MAX = 262144,
    HELD_MAX = 4096,
    RECORD_BYTES = 100,
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
    FAULT_SKEW,            /* the clock of the world jumps against that of the machines */
    FAULT_LATE,    /* an effect takes seconds: what it does comes after a rebalance, or after the end of who began it */
    FAULT_FAR,     /* times that are far away */
    FAULT_DELAYED, /* records of a main topic that ask to come later */
    FAULT_OUTSIDE, /* records come into a retry topic from outside, as when dead letters are sent again */
    FAULT_ALIEN,   /* records of another group in a retry topic */
    FAULT_POLICY,  /* a process that begins has another policy */
    FAULT_APART,   /* where keys keep their order: partitions of one number go to several members */
    FAULT_NARROW,  /* the broker takes less text beside an offset than it is thought to */
    FAULT_COUNT
};

extern const char *const fault_names[FAULT_COUNT];

/* What was asked of a process, or came of it. */
enum command {
    COMMAND_RUN = 0,
    COMMAND_EFFECT,
    COMMAND_COMMIT,
    COMMAND_NO_ROOM,
    COMMAND_RELEASE,
    COMMAND_FORWARD,
    COMMAND_DELAY, /* unseen */
    COMMAND_MOVE,
    COMMAND_DEAD,
    COMMAND_FOLLOW, /* unseen, behind one of its key that is under retry */
    COMMAND_DROP,   /* another copy counts */
    COMMANDS_MAX
};

struct settings {
    uint64_t seed;
    int steps;
    uint64_t without; /* a bit for each fault that is left out */
    bool trace;
};

/* What is to become of a record, by what was said of it. */
enum fate {
    FATE_OPEN = 0,
    FATE_DONE,
    FATE_REJECTED, /* somebody takes it over */
    FATE_FORWARD,  /* goes to a retry topic */
    FATE_DEAD,     /* goes to the dead letters */
    FATE_DELAYED,  /* goes to a retry topic unseen */
    FATE_MOVED,    /* goes to the end of its own one */
    FATE_FOLLOWS,  /* goes to the ordered retry topic unseen */
    FATE_NOTHING   /* is another group's */
};

/* A record that was handed to a listener. */
struct item {
    int partition; /* the slot */
    int64_t offset, version;
    int story;
    int epoch;                    /* of its source */
    int serial;                   /* of the process */
    kur__work *work;              /* as long as it is held and its epoch lasts */
    int64_t due_us;               /* by the world's clock; 0: at once */
    int64_t peak_us;              /* the latest time that this clock has shown since it was read, before it went back */
    int64_t again_us;             /* when it is due again, after a retry in place */
    int64_t first_us;             /* when it first failed, by the machine's clock */
    int came, starts;             /* attempts: made before it was read, and all */
    int jumps;                    /* of the world's clock, when it was read */
    int64_t written_us, waits_us; /* as its entry */
    int written_jumps;
    int64_t origin, stamp;
    enum fate fate;
    int fate_tier;
    int64_t fate_due_us;      /* by the machine's clock */
    bool is_sent, is_settled; /* its effect is on its way; was told to be durable */
    bool is_held, is_running;
    int place; /* among those that its process holds */
    /* What its handler has said, until the listener has made up its mind. */
    kur__work *said;
};

/* A record on its way to another topic. */
struct forward {
    int tier;           /* 0: none */
    int slot;           /* from */
    struct entry entry; /* as it will stand there */
    int retry_epoch;    /* where keys keep their order: the epoch of the retry source that it is for; 0: of none */
};

struct member {
    bool alive;
    int serial;                          /* a new one after each crash */
    int64_t pumped_us, pumped_before_us; /* when it was served last, and before that */
    kur__machine machine;
    kur__machine_options policy; /* with which it has begun */
    int64_t skew_us;             /* of the world's clock, when it was looked at last */
    kur__source *sources[SLOTS_MAX];
    int source_epochs[SLOTS_MAX]; /* how often a source began */
    int64_t positions[SLOTS_MAX];
    int incarnations[SLOTS_MAX], epochs[SLOTS_MAX];
    int64_t last_commits[SLOTS_MAX]; /* of the epoch */
    int64_t given[SLOTS_MAX];        /* where its epoch began */
    int64_t ends[SLOTS_MAX];         /* that were told of the epoch, where keys keep their order; -1: not yet */
    bool is_full[SLOTS_MAX];
    bool owns[SLOTS_MAX];
    int64_t generation;
    struct transaction *transaction; /* that is open */
    int64_t finished_since_commit;   /* as the checker counts, for the bound of duplicates */
    struct item *held[HELD_MAX];
    int held_count;
};

enum event_kind {
    EVENT_RETURN = 1, /* of a handler */
    EVENT_EFFECT,
    EVENT_COMMIT, /* the broker takes it */
    EVENT_ANSWER,
    EVENT_TRANSACTION, /* its next step */
    EVENT_ARRIVE,      /* of a forward, whose answer comes later */
    EVENT_END,         /* the broker is asked how far a partition goes */
    EVENT_END_TOLD
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
    bool is_too_long; /* the text, for the broker */
    size_t text_limit;
    char *text;
    struct transaction *transaction;
    struct forward forward;
    int64_t awaits; /* the sequence of what it is the answer to */
    int64_t landed; /* where it has arrived; -1: nobody knows */
};

struct world {
    struct settings settings;
    struct checker checker;
    uint64_t random;
    int64_t now_us;
    int64_t skew_us; /* how far the clock of the world is ahead of that of the machines */
    int jumps;       /* of it */
    int partitions;
    unsigned tiers; /* a bit for each kind of topic that there is */
    struct log logs[SLOTS_MAX];
    int64_t committed[SLOTS_MAX]; /* -1: nothing */
    int committed_epochs[SLOTS_MAX];
    int begun[SLOTS_MAX];       /* sources, in all processes */
    int64_t near_us[SLOTS_MAX]; /* when one was read last that was due soon */
    char *texts[SLOTS_MAX];
    int owners[SLOTS_MAX]; /* -1: nobody */
    int64_t generation;
    int next_serial;
    int members_count;
    struct member members[INSTANCES_MAX];
    kur__machine_options options;
    size_t metadata_max; /* what the broker takes beside an offset */
    int attempts;        /* of all policies in the run; -1: not the same in all */
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
    bool keeps_order;                 /* with an ordered retry topic */
    bool is_mixed;                    /* some processes do without it */
    struct transaction *transactions; /* all of the run */
    /* What the run held. */
    int records, rebalances, crashes, step;
    int happened[FAULT_COUNT];
    int commands[COMMANDS_MAX];
};

/* Plays a run; the checker says how it ended. */
void world_run(struct world *world, const struct settings *settings);
void world_free(struct world *world);

/* Whether the broker refuses a text. */
bool world_is_too_long(struct world *world, const char *text);

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
/* Its topic is made anew. */
void transactions_forget(struct world *world, int partition);
void transactions_free(struct world *world);

/* ---- topics.c: retry topics and dead letters ---- */

/* The number of a slot's partition, and of which kind of topic it is. */
static inline int slot_number(int slot)
{
    return slot % PARTITIONS_MAX;
}

static inline int slot_tier(int slot)
{
    return slot / PARTITIONS_MAX;
}

static inline bool world_has(const struct world *world, int slot)
{
    return slot_number(slot) < world->partitions && (world->tiers >> slot_tier(slot) & 1) != 0;
}

/* Which topics there are in this run, and the policy that it begins with. */
void topics_set_up(struct world *world);
/* That of a process that begins. */
void topics_draw_policy(struct world *world, kur__machine_options *policy);
const char *topics_name(int tier);

/* The world's clock. */
static inline int64_t world_wall_us(const struct world *world)
{
    return world->now_us + world->skew_us;
}
void topics_jump(struct world *world);
void topics_look_at_clock(struct world *world, struct member *member);

/* Something new in a main topic, which may ask to come later; and in retry topics. */
void topics_produce(struct world *world, struct entry *entry, int number);
void topics_outside(struct world *world);

/* What a listener learns of a record that it reads. */
void topics_read(struct world *world, const struct member *member, const struct entry *entry, struct item *item,
                 kur__polled *polled);
void topics_admitted(struct world *world, struct item *item);
/* What its handler says, by its attempt. */
kur__verdict topics_verdict(struct world *world, const struct item *item);
/* How much of a delay that was asked for counts. */
int64_t topics_delay(const kur__machine_options *policy, int64_t delay_us);
/* Whether what becomes of it is right. */
void topics_judge(struct world *world, const struct member *member, struct item *item, const kur__work *work,
                  kur__consequence what);

/* A record is sent to another topic (or, exactly-once, goes there with a transaction), and is there. */
struct forward topics_forward(struct world *world, const struct member *member, const kur__work *work);
/* The offset there; -1: it has none. */
int64_t topics_arrive(struct world *world, const struct forward *forward);

/* A process has taken all that it may run: nothing else may be left that could. */
void topics_check_idle(struct world *world, struct member *member);
/* There is no room for a source: something must be held. */
void topics_check_shut_out(struct world *world, const struct member *member, int slot);
void topics_check_bounds(struct world *world, const struct member *member);

/* ---- ordering.c: keys that keep their order through a retry topic ---- */

/* Whether keys do in this run. */
void ordered_set_up(struct world *world);
/* That of a process that begins. */
void ordered_draw_policy(struct world *world, kur__machine_options *policy);

/* A source begins, whose end is not known: asks for it. */
void ordered_begin(struct world *world, int index, int slot);
void ordered_take_event(struct world *world, const struct event *event);
/* Of a source what there was has been read. */
void ordered_read(struct world *world, struct member *member, int slot);

/* A record starts. */
void ordered_start(struct world *world, const struct member *member, const struct item *item, int batch);
/* Or what was said of it counts: those before it of its key must have come to their ends. */
void ordered_check(struct world *world, const struct item *item, int batch, const char *what);
/* It was said how a record ends. */
void ordered_end(struct world *world, const struct item *item);
/* What is there from this offset on may be handled again, for a source begins with it. */
void ordered_explain(struct world *world, int slot, int64_t from, bool is_reset);
/* A record that nobody has said anything of is given back and finished. */
void ordered_drop(struct world *world, const struct member *member, struct item *item);
/* Whether its forward finishes a record, now that it is acknowledged. */
bool ordered_counts(const struct member *member, const struct item *item, const struct forward *forward);
/* Whether a forward arrives when its source has ended: then it has finished nothing. */
bool ordered_is_late(const struct member *member, const struct event *event);
/* Whether a record waits for its order, perhaps. */
bool ordered_is_held_up(const struct world *world, const struct member *member, const struct item *item);

/* ---- What transactions.c and ordering.c have of world.c ---- */

uint64_t world_draw(struct world *world, uint64_t below);
bool world_strikes(struct world *world, enum fault fault, int percent);
void world_say(const struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct event *world_schedule(struct world *world, enum event_kind kind, int64_t after_us);
/* Below this, what was read in an epoch is what the log still holds. */
int64_t world_lowest_cut(const struct log *log, int epoch);
/* More was read, or moved and read again, than is simulated: then nothing is known of the end. */
bool world_is_spent(const struct world *world);
bool world_is_there(const struct log *log, const struct item *item);
/* The broker takes an offset over, and what stands beside it. */
void world_commit(struct world *world, const struct event *event);
/* Takes the events of a member's transaction that are to come. */
void world_hurry(struct world *world, const struct transaction *transaction);

#endif
