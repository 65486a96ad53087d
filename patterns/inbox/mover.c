/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the inbox's own thread, with a connection of its own. It does, in this order:
 *
 *     keeps forwards   those that are there together in one transaction, each as a row that is open; then the listener
 *                      finishes them. What fails goes back to the listener, which asks again after a while.
 *     moves            every .move_ms, partitions of which the group has committed more; and once more a little
 *                      later: a copy that was being handled while its row was passed, still open, leaves it there
 *     forgets          old ids of kur_inbox_note, now and then
 *
 * A work that was forwarded belongs to the thread from kur__inbox_forwarded to kur__forward_kept, as to a producer.
 * When the listener is freed it waits until the thread has none.
 *
 * What is moved and forgotten can wait: an error there is told, and it is tried again the next time.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/thread.h>

#include "inbox/inbox.h"
#include "listener/crash.h"

enum {
    TOGETHER = 500,
    FORGET_US = 60 * 1000 * 1000,
    FORGET_ROWS = 1000,
    LATER_US = 1000 * 1000, /* after an error */
    TIDY_US = 2000 * 1000
};

/* ---- The listener's side ---- */

void kur__inbox_forwarded(void *user, kur_listener *listener, kur__work *work)
{
    kur_inbox *inbox = user;
    (void)listener;
    work->next = NULL;
    pthread_mutex_lock(&inbox->lock);
    if (inbox->last_forward != NULL)
        inbox->last_forward->next = work;
    else
        inbox->forwards = work;
    inbox->last_forward = work;
    pthread_cond_signal(&inbox->wake);
    pthread_mutex_unlock(&inbox->lock);
}

void kur__inbox_ended(void *user)
{
    kur_inbox *inbox = user;
    pthread_mutex_lock(&inbox->lock);
    kur_listener *listener = inbox->listener;
    kur__work *work = inbox->forwards, *next;
    inbox->forwards = inbox->last_forward = NULL;
    inbox->has_ended = true;
    for (; work != NULL; work = next) {
        next = work->next;
        kur__forward_kept(listener, work, false);
    }
    while (inbox->is_keeping)
        pthread_cond_wait(&inbox->kept, &inbox->lock);
    inbox->listener = NULL;
    pthread_mutex_unlock(&inbox->lock);
}

/* ---- The thread's connection ---- */

static kur_status connect_if_needed(kur_inbox *inbox, kur_error *error)
{
    void *connection = NULL;
    if (inbox->connection != NULL)
        return KUR_OK;
    kur_status status = inbox->driver->connect(kur_database_state(inbox->database), &connection, error);
    if (status != KUR_OK)
        return status;
    pthread_mutex_lock(&inbox->lock);
    inbox->connection = connection;
    pthread_mutex_unlock(&inbox->lock);
    return KUR_OK;
}

static void disconnect(kur_inbox *inbox)
{
    void *connection = inbox->connection;
    pthread_mutex_lock(&inbox->lock);
    inbox->connection = NULL;
    pthread_mutex_unlock(&inbox->lock);
    if (connection != NULL)
        inbox->driver->disconnect(connection);
}

/* After an error: a connection is kept only when it can be used. */
static void clean_up(kur_inbox *inbox, kur_status status, const kur_error *error)
{
    kur__inbox_failed(inbox, error);
    if (status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_UNKNOWN_OUTCOME)
        disconnect(inbox);
    else if (inbox->connection != NULL)
        inbox->driver->rollback(inbox->connection);
}

/* ---- Forwards ---- */

static struct kur__inbox_partition *partition_of(kur_inbox *inbox, const kur__work *work, kur_error *error)
{
    const kur_record *record = work->item;
    struct kur__inbox_partition *partition =
        kur__inbox_partition(inbox, kur_record_topic(record), kur_record_partition(record));
    if (partition == NULL)
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a partition of an inbox");
    return partition;
}

static kur_status join_all(kur_inbox *inbox, const kur__work *works, kur_error *error)
{
    int64_t epoch;
    for (const kur__work *work = works; work != NULL; work = work->next) {
        struct kur__inbox_partition *partition = partition_of(inbox, work, error);
        kur_status status = partition == NULL ? KUR_ERROR_NO_MEMORY
                                              : kur__inbox_join(inbox, partition, inbox->connection, &epoch, error);
        if (status != KUR_OK)
            return status;
    }
    return KUR_OK;
}

static kur_status leave_open(kur_inbox *inbox, const kur__work *work, kur_error *error)
{
    kur_inbox_turn turn = KUR_INBOX_DONE;
    struct kur__inbox_partition *partition = partition_of(inbox, work, error);
    if (partition == NULL)
        return KUR_ERROR_NO_MEMORY;
    pthread_mutex_lock(&inbox->lock);
    int64_t epoch = partition->epoch;
    pthread_mutex_unlock(&inbox->lock);
    kur_inbox_place place = kur__inbox_place(inbox, partition, kur_record_offset(work->item), epoch);
    kur_status status = inbox->driver->inbox_leave_open(inbox->connection, &place, &turn, error);
    if (status != KUR_OK || turn != KUR_INBOX_LOST)
        return status;
    kur__inbox_forget_epoch(inbox, partition, epoch);
    return kur_error_set(error, KUR_ERROR_FENCED, "%s [%d] has begun anew", partition->topic, (int)partition->number);
}

static kur_status keep(kur_inbox *inbox, const kur__work *works, kur_error *error)
{
    kur_status status = connect_if_needed(inbox, error);
    if (status == KUR_OK)
        status = join_all(inbox, works, error);
    if (status == KUR_OK)
        status = inbox->driver->begin(inbox->connection, error);
    for (const kur__work *work = works; work != NULL && status == KUR_OK; work = work->next)
        status = leave_open(inbox, work, error);
    KUR__CRASH_POINT("inbox-forwarded");
    if (status == KUR_OK)
        status = inbox->driver->commit(inbox->connection, error);
    KUR__CRASH_POINT("inbox-left-open");
    return status;
}

/* Takes so many as go together. */
static kur__work *take_forwards(kur_inbox *inbox)
{
    kur__work *first = inbox->forwards, *last = first;
    for (int count = 1; last != NULL && last->next != NULL && count < TOGETHER; count++)
        last = last->next;
    inbox->forwards = last != NULL ? last->next : NULL;
    if (inbox->forwards == NULL)
        inbox->last_forward = NULL;
    if (last != NULL)
        last->next = NULL;
    return first;
}

/* One that is in the way of others, or whose partition has begun anew, keeps nobody else back. */
static bool may_be_one(const kur__work *works, kur_status status)
{
    return works->next != NULL && (status == KUR_ERROR_DATABASE || status == KUR_ERROR_FENCED);
}

static bool keep_alone(kur_inbox *inbox, kur__work *work, bool *goes_on)
{
    kur_error error = {0};
    pthread_mutex_lock(&inbox->lock);
    *goes_on = *goes_on && !inbox->has_ended;
    pthread_mutex_unlock(&inbox->lock);
    kur_status status = *goes_on ? keep(inbox, work, &error) : KUR_ERROR_CANCELLED;
    if (*goes_on && status != KUR_OK)
        clean_up(inbox, status, &error);
    *goes_on = *goes_on && status != KUR_ERROR_UNREACHABLE;
    return status == KUR_OK;
}

static void keep_forwards(kur_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    kur__work *works = take_forwards(inbox), *next;
    kur_listener *listener = inbox->listener;
    inbox->is_keeping = works != NULL;
    pthread_mutex_unlock(&inbox->lock);
    if (works == NULL)
        return;
    kur_error error = {0};
    kur_status status = keep(inbox, works, &error);
    bool goes_on = may_be_one(works, status);
    if (status != KUR_OK)
        clean_up(inbox, status, &error);
    for (kur__work *work = works; work != NULL; work = next) {
        next = work->next;
        work->next = NULL;
        bool is_kept = status == KUR_OK || keep_alone(inbox, work, &goes_on);
        atomic_fetch_add(&inbox->kept_open, is_kept);
        kur__forward_kept(listener, work, is_kept);
    }
    pthread_mutex_lock(&inbox->lock);
    inbox->is_keeping = false;
    pthread_cond_broadcast(&inbox->kept);
    pthread_mutex_unlock(&inbox->lock);
}

/* ---- Moves ---- */

/*
 * With the lock: whether the group has committed more, or rows may have been left behind. Where nobody has said yet
 * where the inbox begins, it is said when all has been committed that was finished before.
 */
static bool is_to_move(const struct kur__inbox_partition *partition, int64_t now_us)
{
    bool is_tidied = partition->tidy_us != 0 && now_us >= partition->tidy_us;
    bool has_begun = partition->moved >= 0 || (partition->start >= 0 && partition->committed >= partition->start);
    return partition->is_used && partition->committed >= 0 && has_begun &&
           (partition->committed > partition->moved || is_tidied);
}

static kur_status move(kur_inbox *inbox, struct kur__inbox_partition *partition, int64_t now_us, kur_error *error)
{
    int64_t epoch = 0;
    kur_status status = connect_if_needed(inbox, error);
    if (status == KUR_OK)
        status = kur__inbox_join(inbox, partition, inbox->connection, &epoch, error);
    pthread_mutex_lock(&inbox->lock);
    bool is_to_do = status == KUR_OK && epoch == partition->epoch && is_to_move(partition, now_us);
    int64_t to = partition->committed, from = partition->moved < 0 ? partition->start : to;
    kur_uuid log = partition->kept;
    pthread_mutex_unlock(&inbox->lock);
    if (!is_to_do)
        return status;
    kur_inbox_place place = kur__inbox_place(inbox, partition, from, epoch);
    if (from < to) /* the first move says where it begins */
        status = inbox->driver->inbox_move(inbox->connection, &place, &log, error);
    place.offset = to;
    if (status == KUR_OK)
        status = inbox->driver->inbox_move(inbox->connection, &place, &log, error);
    KUR__CRASH_POINT("inbox-moved");
    pthread_mutex_lock(&inbox->lock);
    if (status == KUR_OK && epoch == partition->epoch) {
        partition->tidy_us = to > partition->moved ? now_us + TIDY_US : 0;
        partition->moved = to > partition->moved ? to : partition->moved;
    }
    if (status == KUR_ERROR_FENCED && epoch == partition->epoch) {
        partition->epoch = 0;
        partition->committed = -1; /* of before: what it has begun anew for may lie below */
    }
    pthread_mutex_unlock(&inbox->lock);
    return status == KUR_ERROR_FENCED ? KUR_OK : status;
}

static kur_status move_all(kur_inbox *inbox, kur_error *error)
{
    kur_status status = KUR_OK;
    int64_t now_us = kur_clock_monotonic_us();
    pthread_mutex_lock(&inbox->lock);
    struct kur__inbox_partition *partition = inbox->newest;
    inbox->has_moves = false;
    pthread_mutex_unlock(&inbox->lock);
    /* Whatever is behind one in this list stays there. */
    for (; partition != NULL && status == KUR_OK; partition = partition->older) {
        pthread_mutex_lock(&inbox->lock);
        bool is_to_do = is_to_move(partition, now_us);
        pthread_mutex_unlock(&inbox->lock);
        if (is_to_do)
            status = move(inbox, partition, now_us, error);
        pthread_mutex_lock(&inbox->lock);
        inbox->has_moves |= status != KUR_OK || partition->tidy_us != 0;
        pthread_mutex_unlock(&inbox->lock);
    }
    if (status != KUR_OK)
        clean_up(inbox, status, error);
    return status;
}

/* ---- Old ids ---- */

/* How long until the next time. */
static int64_t forget(kur_inbox *inbox)
{
    kur_error error = {0};
    int32_t count = 0;
    int64_t before_us = kur_clock_now_us() - inbox->note_us;
    kur_status status = connect_if_needed(inbox, &error);
    if (status == KUR_OK)
        status =
            inbox->driver->inbox_forget(inbox->connection, inbox->consumer, before_us, FORGET_ROWS, &count, &error);
    if (status != KUR_OK)
        clean_up(inbox, status, &error);
    return status == KUR_OK && count == FORGET_ROWS ? 0 : FORGET_US;
}

/* ---- The thread ---- */

/* Sleeps until there is something to do: until a time, or for a forward or the end. */
static void wait_until(kur_inbox *inbox, int64_t move_at_us, int64_t forget_at_us)
{
    int64_t now_us = kur_clock_monotonic_us();
    int64_t wait_us = forget_at_us - now_us;
    if (inbox->has_moves && move_at_us - now_us < wait_us)
        wait_us = move_at_us - now_us;
    if (wait_us > 0 && wait_us > inbox->move_us)
        wait_us = inbox->move_us; /* a commit does not wake it */
    if (wait_us <= 0 || inbox->forwards != NULL || inbox->ends)
        return;
    struct timespec until = kur_deadline_after((int)((wait_us + 999) / 1000));
    pthread_cond_timedwait(&inbox->wake, &inbox->lock, &until);
}

void *kur__inbox_thread(void *user)
{
    kur_inbox *inbox = user;
    int64_t move_at_us = 0, forget_at_us = 0;
    for (bool ends = false; !ends;) {
        kur_error error = {0};
        keep_forwards(inbox);
        int64_t now_us = kur_clock_monotonic_us();
        pthread_mutex_lock(&inbox->lock);
        bool moves = inbox->has_moves && now_us >= move_at_us;
        pthread_mutex_unlock(&inbox->lock);
        if (moves)
            move_at_us = now_us + (move_all(inbox, &error) == KUR_OK ? inbox->move_us : LATER_US);
        if (now_us >= forget_at_us)
            forget_at_us = now_us + forget(inbox);
        pthread_mutex_lock(&inbox->lock);
        wait_until(inbox, move_at_us, forget_at_us);
        ends = inbox->ends;
        pthread_mutex_unlock(&inbox->lock);
    }
    kur_error error = {0};
    move_all(inbox, &error); /* what the group has committed at the end */
    disconnect(inbox);
    return NULL;
}
