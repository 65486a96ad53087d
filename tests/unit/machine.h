/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the listener's decisions share: one machine on a clock that they set.
 */
#ifndef KURIER_TESTS_UNIT_MACHINE_H
#define KURIER_TESTS_UNIT_MACHINE_H

#include <string.h>

#include "../check_main.h"
#include "listener/machine.h"

enum {
    MS = 1000,
    SECOND = 1000000,
    MANY = 400
};

static const kur__machine_options usual = {.order = KUR_ORDER_BY_KEY,
                                           .hold_records = 1000,
                                           .hold_bytes = 1000000,
                                           .text_limit = 4096,
                                           .commit_interval_us = SECOND,
                                           .commit_again_us = 60 * (int64_t)SECOND,
                                           .commit_records = 100,
                                           .delay_us = 100 * MS,
                                           .delay_max_us = 10 * SECOND,
                                           .multiplier = 2,
                                           .effect_delay_us = 10 * MS,
                                           .effect_delay_max_us = 40 * MS,
                                           .window_records = 1000,
                                           .window_bytes = 1000000,
                                           .seed = 7};
static const kur__verdict done = {.outcome = KUR_DONE};
static const kur__verdict done_with_emits = {.outcome = KUR_DONE, .has_emits = true};
static const kur__verdict retry = {.outcome = KUR_RETRY};
static const kur__verdict reject = {.outcome = KUR_REJECT};

static kur__machine machine;
static int64_t now_us;
static size_t released; /* what was given back since the beginning */

static inline void begin(const kur__machine_options *options)
{
    kur_error error = {0};
    now_us = 1000 * (int64_t)SECOND;
    released = 0;
    ck_ok(kur__machine_init(&machine, options, &error), error);
}

static inline size_t release(void)
{
    kur__released one;
    size_t count = 0;
    while (kur__machine_next_release(&machine, &one))
        count++;
    released += count;
    return count;
}

static inline void end(void)
{
    release();
    kur__machine_done(&machine);
}

/* A partition of the topic "t", from offset 0 when the group has committed nothing. */
static inline kur__source *assign_at(int32_t partition, int64_t generation, int64_t start, const char *text,
                                     int64_t *position)
{
    kur__assignment assignment = {.topic = "t",
                                  .partition = partition,
                                  .start = start,
                                  .is_committed = start > 0,
                                  .text = text,
                                  .generation = generation};
    kur_error warning = {0}, error = {0};
    kur__source *source = NULL;
    ck_ok(kur__machine_assign(&machine, &assignment, &source, position, now_us, &warning, &error), error);
    ck_assert_int_eq(warning.code, KUR_OK);
    return source;
}

static inline kur__source *assign(int32_t partition)
{
    int64_t position;
    return assign_at(partition, 1, 0, NULL, &position);
}

/* A partition of a retry topic of "t". */
static inline kur__source *assign_retry(int32_t partition, kur_tier tier)
{
    static const char *const topics[] = {"t", "t.g.short", "t.g.medium", "t.g.long", "t.g.ordered"};
    kur__assignment assignment = {
        .topic = topics[tier], .partition = partition, .generation = 1, .tier = tier, .home = "t"};
    kur_error warning = {0}, error = {0};
    kur__source *source = NULL;
    int64_t position;
    ck_ok(kur__machine_assign(&machine, &assignment, &source, &position, now_us, &warning, &error), error);
    return source;
}

static inline kur__admission admit_due(kur__source *source, int64_t offset, const char *key, int64_t due_us)
{
    kur__polled polled = {.offset = offset,
                          .key = key != NULL ? kur_bytes_text(key) : kur_bytes_of(NULL, 0),
                          .bytes = 10,
                          .due_us = due_us};
    return kur__machine_admit(&machine, source, &polled, now_us);
}

static inline void admit(kur__source *source, int64_t offset, const char *key)
{
    ck_assert_int_eq(admit_due(source, offset, key, 0), KUR__ADMITTED);
}

/* The one record that can run now, or NULL. */
static inline kur__work *take_one(void)
{
    kur__work *work = NULL;
    return kur__machine_take(&machine, now_us, &work, 1) == 1 ? work : NULL;
}

static inline kur__work *take_offset(int64_t offset)
{
    kur__work *work = take_one();
    ck_assert_ptr_nonnull(work);
    ck_assert_int_eq(work->offset, offset);
    return work;
}

static inline kur__consequence say(kur__work *work, const kur__verdict *verdict)
{
    return kur__machine_outcome(&machine, work, verdict, now_us);
}

static inline void finish(int64_t offset)
{
    ck_assert_int_eq(say(take_offset(offset), &done), KUR__FINISHED);
}

static inline void expect_full(kur__source *source, bool is_full)
{
    ck_assert_int_eq(source->is_full, is_full);
    ck_assert_int_eq(kur__machine_room(&machine, source) == 0, is_full);
}

#endif
