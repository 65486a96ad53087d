/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: what is known of partitions. The control thread says where they begin and of which log they are;
 * whoever needs a partition's epoch asks the database for it, once after each of these. A record may also be of a
 * partition that this member does not have: one that has come from a retry topic.
 *
 * A log is known by hashes of the ids of its cluster and its topic, four bytes of a UUID each; zero: not known. Two are
 * different when one of these is known of both and differs. Where the database knows another log than the listener, the
 * partition begins anew in the database: that raises its epoch, and who knew the old log cannot enter any more.
 *
 * The inbox begins (`first`) behind all that the group had finished by then, not where it had committed: above that
 * there may be dead letters too. As long as something below is not finished, the database is told of no beginning.
 */
#include <inttypes.h>
#include <kurier/sys/log.h>
#include <kurier/sys/memory.h>
#include <string.h>

#include "inbox/inbox.h"

enum {
    JOINS = 8 /* so often others may be faster */
};

static uint32_t bucket_of(const char *topic, int32_t number)
{
    return (kur__ledger_hash(topic, strlen(topic)) + (uint32_t)number) % KUR__INBOX_BUCKETS;
}

static struct kur__inbox_partition *find(kur_inbox *inbox, const char *topic, int32_t number)
{
    struct kur__inbox_partition **bucket = &inbox->partitions[bucket_of(topic, number)];
    for (struct kur__inbox_partition *one = *bucket; one != NULL; one = one->next)
        if (one->number == number && strcmp(one->topic, topic) == 0)
            return one;
    size_t size = strlen(topic) + 1;
    struct kur__inbox_partition *made = kur_calloc(1, sizeof *made + size);
    if (made == NULL)
        return NULL;
    made->start = made->committed = made->moved = -1;
    made->number = number;
    memcpy(made->topic, topic, size);
    made->next = *bucket;
    *bucket = made;
    made->older = inbox->newest;
    inbox->newest = made;
    return made;
}

struct kur__inbox_partition *kur__inbox_partition(kur_inbox *inbox, const char *topic, int32_t number)
{
    pthread_mutex_lock(&inbox->lock);
    struct kur__inbox_partition *partition = find(inbox, topic, number);
    pthread_mutex_unlock(&inbox->lock);
    return partition;
}

/* ---- What the listener says ---- */

bool kur__inbox_opened(void *user, const kur__assignment *assignment, int64_t finished_to)
{
    kur_inbox *inbox = user;
    const kur__ledger_log *log = &assignment->log;
    pthread_mutex_lock(&inbox->lock);
    struct kur__inbox_partition *partition = find(inbox, assignment->topic, assignment->partition);
    if (partition != NULL) {
        partition->has_holes = finished_to > assignment->start;
        partition->start = partition->has_holes ? finished_to : assignment->start;
        if (assignment->start < partition->committed)
            partition->committed = -1; /* that was of another log, or somebody has gone back */
        partition->is_committed = assignment->is_committed;
        partition->is_between = false;
        memcpy(partition->log.bytes, &log->cluster, sizeof log->cluster);
        memcpy(partition->log.bytes + sizeof log->cluster, &log->topic, sizeof log->topic);
        partition->changes++;
        partition->epoch = 0;
    }
    pthread_mutex_unlock(&inbox->lock);
    return partition != NULL;
}

bool kur__inbox_anew(void *user, const char *topic, int32_t number)
{
    kur_inbox *inbox = user;
    pthread_mutex_lock(&inbox->lock);
    struct kur__inbox_partition *partition = find(inbox, topic, number);
    if (partition != NULL) {
        partition->is_anew = partition->is_between = true;
        partition->committed = -1;
        memset(partition->log.bytes + sizeof(uint32_t), 0, sizeof(uint32_t));
        partition->changes++;
        partition->epoch = 0;
    }
    pthread_mutex_unlock(&inbox->lock);
    return partition != NULL;
}

void kur__inbox_committed(void *user, const char *topic, int32_t number, int64_t offset)
{
    kur_inbox *inbox = user;
    pthread_mutex_lock(&inbox->lock);
    struct kur__inbox_partition *partition = find(inbox, topic, number);
    if (partition != NULL && !partition->is_between && offset > partition->committed) {
        partition->committed = offset;
        inbox->has_moves |= partition->is_used;
    }
    pthread_mutex_unlock(&inbox->lock);
}

/* ---- Epochs ---- */

kur_inbox_place kur__inbox_place(const kur_inbox *inbox, const struct kur__inbox_partition *partition, int64_t offset,
                                 int64_t epoch)
{
    return (kur_inbox_place){.size = sizeof(kur_inbox_place),
                             .consumer = inbox->consumer,
                             .topic = partition->topic,
                             .partition = partition->number,
                             .offset = offset,
                             .epoch = epoch};
}

/* Whether these are two logs; if not, what is not known of `to` becomes that of `from`. */
static bool differs(const kur_uuid *from, kur_uuid *to)
{
    kur_uuid both = *to;
    for (size_t at = 0; at < 2 * sizeof(uint32_t); at += sizeof(uint32_t)) {
        uint32_t a, b;
        memcpy(&a, from->bytes + at, sizeof a);
        memcpy(&b, to->bytes + at, sizeof b);
        if (a != 0 && b != 0 && a != b)
            return true;
        if (b == 0)
            memcpy(both.bytes + at, &a, sizeof a);
    }
    *to = both;
    return false;
}

static bool is_topic_known(const kur_uuid *log)
{
    uint32_t topic;
    memcpy(&topic, log->bytes + sizeof topic, sizeof topic);
    return topic != 0;
}

static kur_status begin_anew(kur_inbox *inbox, const struct kur__inbox_partition *partition, void *connection,
                             int64_t epoch, const kur_uuid *log, kur_error *error)
{
    kur_inbox_place place = kur__inbox_place(inbox, partition, 0, epoch);
    kur_status status = inbox->driver->inbox_reset(connection, &place, log, error);
    if (status == KUR_OK)
        kur_client_log(inbox->client, KUR_LOG_WARNING,
                       "inbox %s: %s [%" PRId32 "] is another log than before: what is kept of it begins anew",
                       inbox->consumer, partition->topic, partition->number);
    return status;
}

/* Without an id nobody can tell a topic that was made anew from a group whose offsets are gone. */
static void warn_of_start(const kur_inbox *inbox, const struct kur__inbox_partition *partition, int64_t next)
{
    kur_client_log(inbox->client, KUR_LOG_WARNING,
                   "inbox %s: the group has committed nothing of %s [%" PRId32 "], and what is below offset %" PRId64
                   " was handled before and is passed over; if the topic was made anew, reset the inbox's place",
                   inbox->consumer, partition->topic, partition->number, next);
}

kur_status kur__inbox_join(kur_inbox *inbox, struct kur__inbox_partition *partition, void *connection, int64_t *epoch,
                           kur_error *error)
{
    for (int i = 0; i < JOINS; i++) {
        int64_t next = -1, given = 0;
        pthread_mutex_lock(&inbox->lock);
        unsigned changes = partition->changes;
        bool is_anew = partition->is_anew, is_committed = partition->is_committed;
        kur_inbox_place place = kur__inbox_place(inbox, partition, partition->has_holes ? -1 : partition->start, 0);
        kur_uuid log = partition->log, kept = log;
        *epoch = partition->epoch;
        pthread_mutex_unlock(&inbox->lock);
        if (*epoch != 0)
            return KUR_OK;
        kur_status status = inbox->driver->inbox_join(connection, &place, &kept, &next, &given, error);
        if (status != KUR_OK)
            return status;
        bool is_other = is_anew || differs(&kept, &log);
        if (is_other) {
            status = begin_anew(inbox, partition, connection, given, &log, error);
            if (status != KUR_OK && status != KUR_ERROR_FENCED) /* fenced: somebody has done it */
                return status;
        }
        pthread_mutex_lock(&inbox->lock);
        bool is_same = changes == partition->changes;
        if (is_same && is_other)
            partition->is_anew = false;
        if (is_same && !is_other) {
            partition->epoch = given;
            partition->kept = log;
            partition->moved = next;
            partition->is_used = true;
            inbox->has_moves |= partition->committed > next;
        }
        pthread_mutex_unlock(&inbox->lock);
        if (is_same && !is_other && !is_committed && !is_topic_known(&log) && place.offset >= 0 && next > place.offset)
            warn_of_start(inbox, partition, next);
    }
    return kur_error_set(error, KUR_ERROR_STALE, "%s [%" PRId32 "] has begun anew again and again", partition->topic,
                         partition->number);
}

void kur__inbox_forget_epoch(kur_inbox *inbox, struct kur__inbox_partition *partition, int64_t epoch)
{
    pthread_mutex_lock(&inbox->lock);
    if (partition->epoch == epoch)
        partition->epoch = 0;
    pthread_mutex_unlock(&inbox->lock);
}
