/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How far groups are behind, by what they have finished and not by the committed offset alone. Of what is not finished
 *
 *     waiting   stands before something that is finished: it was read, and waits for its key or its time, or runs
 *     unread    stands behind everything that is known to be finished
 *     parked    stands on one of the group's own retry topics
 *
 * What is not known is never 0: times are -1 with `is_known` false, and a trend says whether there is one.
 */
#ifndef KURIER_TOOLS_LAG_H
#define KURIER_TOOLS_LAG_H

#include "command.h"

enum {
    EXIT_OVER = 5 /* a group is further behind than --fail-over allows */
};

struct lag_partition {
    const kur_partition_lag *lag;
    kur_tier tier;
    int64_t done;                /* finished above the committed offset */
    int64_t waiting, unread;     /* on a retry topic, too */
    int64_t first, behind;       /* the first offset of either; -1: there is none */
    int64_t first_us, behind_us; /* their times; -1: not known */
    bool is_foreign;             /* what is committed beside the offset is no ledger, so that `waiting` is not known */
};

struct lag_amount {
    int64_t count;
    int64_t oldest_us; /* -1: there is none, or it is not known */
    bool is_known;     /* the time, of all of them */
};

struct lag_group {
    const char *name;
    kur_group_state state;
    int64_t read_us; /* monotonic */
    int64_t lag;     /* what other tools show, over all topics */
    int64_t done;
    bool is_foreign; /* as of a partition */
    struct lag_amount waiting, unread, parked;
    size_t partition_count;
    struct lag_partition *partitions; /* by topic and number */
    bool has_trend;
    double trend; /* of everything unfinished, in records a second */
};

struct lag_list {
    size_t count;
    struct lag_group *groups;
};

/*
 * The groups that are named, or all that have offsets. What of them cannot be read is said; EXIT_PARTIAL when there are
 * others. Lives in `arena`.
 */
int lag_read(struct invocation *call, kur_admin *admin, kur_arena *arena, struct lag_list *list);

/* Finds the times of the first records, and sums up; waits for them a few seconds at most. */
void lag_find_times(struct invocation *call, kur_arena *arena, struct lag_list *list);

/* Sums up what the partitions of a group say. */
void lag_sum_up(struct lag_group *group);

/* The trend, by the same groups as they were before. */
void lag_find_trend(struct lag_list *list, const struct lag_list *before);

/* Adds some that begin at a time; -1: that is not known. */
void lag_add(struct lag_amount *amount, int64_t count, int64_t time_us);

/* Everything that is not finished. */
int64_t lag_backlog(const struct lag_group *group);
/* In seconds; 0: nothing is to be done, -1: never as it goes, -2: not known. */
int64_t lag_catch_up_s(const struct lag_group *group);

#endif
