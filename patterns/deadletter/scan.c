/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: topics are read by a consumer without a group, from their beginnings to the ends that they had when it
 * was told of them. A partition's part is over when a record at its end or behind it comes, or when the consumer's
 * position has passed the end, as it does where only marks of transactions are; the position is asked for when a poll
 * gave nothing, for a poll may give records that are still in the batch at hand. What is over is paused, so that
 * letters that arrive meanwhile are not fetched.
 *
 * Partitions that are added while it reads have no end of then and are left out. The log may lose its beginning
 * meanwhile: what went is counted, and the partition goes on where the log begins. Bytes that cannot be read are
 * counted and passed, one offset after the other.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>
#include <string.h>

#include "deadletter/deadletter.h"

enum {
    BATCH = 1000,
    POLL_MS = 200,
    AT_ONCE = 4,              /* partitions */
    EDGE = 10,                /* offsets before the end that are looked at for the last record */
    FETCH_AHEAD_KBYTES = 4096 /* of each; librdkafka counts values, not headers */
};

struct goal {
    bool is_told, is_over, waits;
    int64_t first, next, end; /* of what is to be read; `next` is where it stands */
    bool has_jumped;          /* to the last records, with .edges */
};

struct topic {
    const char *name;
    int32_t count; /* of goals */
    struct goal *goals;
};

struct kur__scan {
    kur_consumer *consumer;
    kur__scan_range range;
    int timeout_ms;
    int64_t idle_since_us;            /* nothing has come since then; 0: something has */
    size_t topic_count, open, active; /* goals that are not over; those of them that do not wait */
    struct topic *topics;
    struct topic *last; /* that a record was of */
    bool has_all;       /* all partitions have been told */
    kur_error failed;   /* in a callback */
    kur_record *batch[BATCH];
    size_t batch_count, batch_at;
    int64_t total, passed, lost, unreadable;
};

static struct topic *find_topic(kur__scan *scan, const char *name)
{
    if (scan->last != NULL && strcmp(scan->last->name, name) == 0)
        return scan->last;
    for (size_t i = 0; i < scan->topic_count; i++)
        if (strcmp(scan->topics[i].name, name) == 0)
            return scan->last = &scan->topics[i];
    return NULL;
}

static struct goal *find(kur__scan *scan, const char *name, int32_t partition)
{
    struct topic *topic = find_topic(scan, name);
    return topic != NULL && partition >= 0 && partition < topic->count && topic->goals[partition].is_told
               ? &topic->goals[partition]
               : NULL;
}

/* ---- Partitions as they come ---- */

static struct goal *make_goal(kur__scan *scan, const char *name, int32_t partition)
{
    struct topic *topic = find_topic(scan, name);
    if (topic == NULL || partition < 0)
        return NULL;
    if (partition >= topic->count) {
        struct goal *goals = kur_realloc(topic->goals, ((size_t)partition + 1) * sizeof *goals);
        if (goals == NULL) {
            kur_error_set(&scan->failed, KUR_ERROR_NO_MEMORY, "out of memory: a partition");
            return NULL;
        }
        memset(goals + topic->count, 0, (size_t)(partition + 1 - topic->count) * sizeof *goals);
        topic->goals = goals;
        topic->count = partition + 1;
    }
    return &topic->goals[partition];
}

/* What of a partition is to be read; it begins nowhere when that is nothing. */
static void aim(kur__scan *scan, const kur_position *position)
{
    const kur__scan_range *range = &scan->range;
    struct goal *goal = make_goal(scan, position->topic, position->partition);
    if (goal == NULL || goal->is_told)
        return;
    goal->is_told = true;
    int64_t from = range->from, to = range->to > 0 ? range->to : INT64_MAX;
    bool is_wanted = range->partition < 0 || range->partition == position->partition;
    if (is_wanted && range->bound != NULL)
        is_wanted = range->bound(range->user, position->topic, position->partition, &from, &to);
    goal->first = from > position->offset ? from : position->offset;
    goal->end = to < position->end ? to : position->end;
    goal->next = goal->first;
    goal->is_over = !is_wanted || goal->first >= goal->end;
    if (goal->is_over) {
        goal->first = goal->next = goal->end;
        kur_consumer_pause(scan->consumer, position->topic, position->partition, NULL);
        return;
    }
    scan->open++;
    goal->waits = scan->active == AT_ONCE;
    scan->active += !goal->waits;
    if (goal->waits)
        kur_consumer_pause(scan->consumer, position->topic, position->partition, NULL);
    scan->total += goal->end - goal->first;
    if (goal->first > position->offset)
        kur_consumer_seek(scan->consumer, position->topic, position->partition, goal->first, NULL);
}

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *positions, size_t count,
                         void *user)
{
    kur__scan *scan = user;
    (void)consumer;
    if (what == KUR_ALL_ASSIGNED)
        scan->has_all = true;
    for (size_t i = 0; i < count && what == KUR_ASSIGNED && !scan->has_all; i++)
        aim(scan, kur_options_at(positions, i));
}

static void pass(kur__scan *scan, struct goal *goal, int64_t to)
{
    if (to > goal->end)
        to = goal->end;
    if (to > goal->next) {
        scan->passed += to - goal->next;
        goal->next = to;
        scan->idle_since_us = 0;
    }
}

/* The next one that waits has its turn. */
static void begin_next(kur__scan *scan)
{
    for (size_t i = 0; i < scan->topic_count; i++)
        for (int32_t n = 0; n < scan->topics[i].count; n++) {
            struct goal *goal = &scan->topics[i].goals[n];
            if (!goal->is_told || goal->is_over || !goal->waits)
                continue;
            goal->waits = false;
            scan->active++;
            kur_consumer_resume(scan->consumer, scan->topics[i].name, n, NULL);
            return;
        }
}

static void finish(kur__scan *scan, struct goal *goal, const char *topic, int32_t partition)
{
    pass(scan, goal, goal->end);
    if (goal->is_over)
        return;
    goal->is_over = true;
    scan->open--;
    scan->active -= !goal->waits;
    kur_consumer_pause(scan->consumer, topic, partition, NULL);
    if (scan->active < AT_ONCE)
        begin_next(scan);
}

/* Each queue is short; what is in it is taken at once. */
static size_t room_of(kur_consumer *consumer, const char *topic, int32_t partition, void *user)
{
    (void)consumer, (void)topic, (void)partition, (void)user;
    return BATCH;
}

static void on_gap(kur_consumer *consumer, const kur_gap *gap, void *user)
{
    kur__scan *scan = user;
    struct goal *goal = find(scan, gap->topic, gap->partition);
    int64_t to = gap->code == KUR_ERROR_SYNTAX ? gap->offset + 1 : gap->low;
    if (goal == NULL || goal->is_over)
        return;
    if (to < 0) {
        kur_error_set(&scan->failed, gap->code, "%s", gap->message);
        return;
    }
    /* Below the log's beginning it goes on there; behind its end, in a log made anew, there is nothing of then left. */
    if (gap->code != KUR_ERROR_SYNTAX && to <= goal->next)
        to = goal->end;
    int64_t gone = (to < goal->end ? to : goal->end) - goal->next;
    *(gap->code == KUR_ERROR_SYNTAX ? &scan->unreadable : &scan->lost) += gone > 0 ? gone : 0;
    pass(scan, goal, to);
    if (to >= goal->end)
        finish(scan, goal, gap->topic, gap->partition);
    else
        kur_consumer_seek(consumer, gap->topic, gap->partition, to, NULL);
}

/* ---- Making ---- */

kur_status kur__scan_new(kur__scan **made, kur_client *client, const char *const *topics, const kur__scan_range *range,
                         int timeout_ms, kur_error *error)
{
    size_t count = 0;
    kur_error why = {0};
    while (topics[count] != NULL)
        count++;
    kur__scan *scan = kur_calloc(1, sizeof *scan);
    if (scan != NULL)
        scan->topics = kur_calloc(count, sizeof *scan->topics);
    if (scan == NULL || scan->topics == NULL) {
        kur_free(scan);
        return kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a scan");
    }
    scan->range = *range;
    scan->timeout_ms = timeout_ms;
    for (; scan->topic_count < count; scan->topic_count++)
        scan->topics[scan->topic_count].name = topics[scan->topic_count];
    scan->consumer = kur_consumer_new(client,
                                      &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST, .on_rebalance = on_rebalance,
                                                            .on_gap = on_gap, .user = scan, .room = room_of,
                                                            .fetch_ahead_kbytes = FETCH_AHEAD_KBYTES),
                                      &why);
    if (scan->consumer == NULL || kur_consumer_subscribe(scan->consumer, topics, &why) != KUR_OK) {
        kur__scan_free(scan);
        if (error != NULL)
            *error = why;
        return why.code;
    }
    *made = scan;
    return KUR_OK;
}

static void drop_batch(kur__scan *scan)
{
    kur_consumer_free_records(scan->consumer, scan->batch, scan->batch_count);
    scan->batch_count = scan->batch_at = 0;
}

void kur__scan_free(kur__scan *scan)
{
    if (scan == NULL)
        return;
    if (scan->consumer != NULL)
        drop_batch(scan);
    kur_consumer_free(scan->consumer);
    for (size_t i = 0; i < scan->topic_count; i++)
        kur_free(scan->topics[i].goals);
    kur_free(scan->topics);
    kur_free(scan);
}

/* ---- Reading ---- */

/* Whether a record is one that is asked for; the place of its partition moves behind it. */
static bool admit(kur__scan *scan, const kur_record *record)
{
    const char *topic = kur_record_topic(record);
    int32_t partition = kur_record_partition(record);
    int64_t offset = kur_record_offset(record);
    struct goal *goal = find(scan, topic, partition);
    if (goal == NULL || goal->is_over || offset < goal->next)
        return false;
    if (offset >= goal->end) {
        finish(scan, goal, topic, partition);
        return false;
    }
    pass(scan, goal, offset + 1);
    if (goal->next >= goal->end)
        finish(scan, goal, topic, partition);
    else if (scan->range.edges && !goal->has_jumped) {
        goal->has_jumped = true;
        if (goal->end - EDGE > goal->next) {
            pass(scan, goal, goal->end - EDGE);
            kur_consumer_seek(scan->consumer, topic, partition, goal->next, NULL);
        }
    }
    return true;
}

/* Nothing came: partitions whose position has passed their end hold nothing more. */
static void look(kur__scan *scan)
{
    for (size_t i = 0; i < scan->topic_count; i++)
        for (int32_t n = 0; n < scan->topics[i].count; n++) {
            struct goal *goal = &scan->topics[i].goals[n];
            int64_t position = -1;
            if (!goal->is_told || goal->is_over ||
                kur_consumer_position(scan->consumer, scan->topics[i].name, n, &position, NULL) != KUR_OK)
                continue;
            pass(scan, goal, position);
            if (position >= goal->end)
                finish(scan, goal, scan->topics[i].name, n);
        }
}

static kur_status poll_more(kur__scan *scan, kur_error *error)
{
    drop_batch(scan);
    kur_status status = kur_consumer_poll_batch(scan->consumer, POLL_MS, scan->batch, BATCH, &scan->batch_count, error);
    if (status == KUR_OK && scan->failed.code != KUR_OK) {
        if (error != NULL)
            *error = scan->failed;
        return scan->failed.code;
    }
    if (status != KUR_OK || scan->batch_count > 0)
        return status;
    look(scan);
    int64_t now_us = kur_clock_monotonic_us();
    if (scan->idle_since_us == 0)
        scan->idle_since_us = now_us;
    if ((scan->open > 0 || !scan->has_all) && now_us - scan->idle_since_us > (int64_t)scan->timeout_ms * 1000)
        return kur_error_set(error, KUR_ERROR_TIMEOUT, "topic %s: nothing came for %d ms", scan->topics[0].name,
                             scan->timeout_ms);
    return status;
}

kur_status kur__scan_next(kur__scan *scan, const kur_record **record, bool *is_over, kur_error *error)
{
    *record = NULL;
    *is_over = false;
    for (bool has_polled = false;;) {
        while (scan->batch_at < scan->batch_count) {
            const kur_record *one = scan->batch[scan->batch_at++];
            if (admit(scan, one)) {
                *record = one;
                return KUR_OK;
            }
        }
        if (scan->has_all && scan->open == 0) {
            *is_over = true;
            return KUR_OK;
        }
        if (has_polled)
            return KUR_OK;
        has_polled = true;
        kur_status status = poll_more(scan, error);
        if (status != KUR_OK)
            return status;
    }
}

void kur__scan_progress(const kur__scan *scan, kur_letter_progress *progress)
{
    progress->passed = scan->passed;
    progress->total = scan->total;
    progress->lost = scan->lost;
    progress->unreadable = scan->unreadable;
}

int64_t kur__scan_offsets(kur__scan *scan, const char *topic)
{
    const struct topic *one = find_topic(scan, topic);
    int64_t sum = 0;
    for (int32_t i = 0; one != NULL && i < one->count; i++)
        if (one->goals[i].is_told)
            sum += one->goals[i].end - one->goals[i].first;
    return sum;
}

bool kur__scan_has(kur__scan *scan, const char *topic, int32_t partition, int64_t offset)
{
    const struct goal *goal = find(scan, topic, partition);
    return goal != NULL && offset >= goal->first && offset < goal->end;
}

bool kur__scan_bounds(kur__scan *scan, const char *topic, int32_t partition, int64_t *from, int64_t *to)
{
    const struct goal *goal = find(scan, topic, partition);
    if (goal == NULL || goal->first >= goal->end)
        return false;
    *from = goal->first;
    *to = goal->end;
    return true;
}
