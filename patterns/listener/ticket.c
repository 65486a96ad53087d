/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: a ticket is a slot of one table of the process and the slot's generation, so that a ticket that was
 * used, or whose listener has gone, is told apart without touching anything that was freed. A work is handed back while
 * the table is locked: a listener that is about to be freed closes its tickets under the same lock, after which nobody
 * reaches it.
 */
#include <kurier/sys/memory.h>

#include "listener/shell.h"

enum {
    SLOTS_MIN = 64
};

struct slot {
    uint64_t generation; /* odd while somebody holds its ticket */
    kur_listener *listener;
    kur__work *work;
    int64_t since_us;
    size_t next_free; /* plus one */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of it */
static struct slot *slots;
static size_t count, first_free; /* plus one */

static bool grow(void)
{
    size_t larger = count == 0 ? SLOTS_MIN : count * 2;
    struct slot *more = kur_realloc(slots, larger * sizeof *more);
    if (more == NULL)
        return false;
    slots = more;
    for (size_t i = larger; i > count; i--) {
        slots[i - 1] = (struct slot){.next_free = first_free};
        first_free = i;
    }
    count = larger;
    return true;
}

kur_status kur__ticket_open(kur_listener *listener, kur__work *work, kur_ticket *ticket, kur_error *error)
{
    kur_status status = KUR_OK;
    pthread_mutex_lock(&lock);
    if (first_free == 0 && !grow()) {
        status = kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory: a ticket");
    } else {
        struct slot *slot = &slots[first_free - 1];
        *ticket = (kur_ticket){.slot = first_free - 1, .generation = ++slot->generation};
        first_free = slot->next_free;
        slot->listener = listener;
        slot->work = work;
        slot->since_us = work->since_us;
        atomic_fetch_add(&listener->deferred, 1);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

static void give_back(struct slot *slot)
{
    slot->generation++;
    slot->work = NULL;
    slot->next_free = first_free;
    first_free = (size_t)(slot - slots) + 1;
}

kur__work *kur__tickets_close(kur_listener *listener)
{
    kur__work *works = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++)
        if (slots[i].work != NULL && slots[i].listener == listener) {
            slots[i].work->next = works;
            works = slots[i].work;
            give_back(&slots[i]);
        }
    pthread_mutex_unlock(&lock);
    return works;
}

int64_t kur__tickets_oldest_us(const kur_listener *listener)
{
    int64_t oldest_us = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++)
        if (slots[i].work != NULL && slots[i].listener == listener && (oldest_us == 0 || slots[i].since_us < oldest_us))
            oldest_us = slots[i].since_us;
    pthread_mutex_unlock(&lock);
    return oldest_us;
}

static kur_status finish(kur_ticket ticket, kur_outcome outcome, const char *cause, const char *reason,
                         kur_error *error)
{
    pthread_mutex_lock(&lock);
    struct slot *slot = ticket.slot < count ? &slots[ticket.slot] : NULL;
    bool is_good = slot != NULL && slot->work != NULL && slot->generation == ticket.generation;
    if (is_good) {
        kur__work *work = slot->work;
        kur_listener *listener = slot->listener;
        struct kur__extra *extra = outcome == KUR_DONE ? work->extra : kur__extra_of(work);
        if (outcome != KUR_DONE && extra != NULL) {
            kur__extra_drop_emits(extra);
            kur__extra_say(extra, cause, reason, "");
        }
        work->verdict = (kur__verdict){.outcome = outcome,
                                       .has_emits = outcome == KUR_DONE && extra != NULL && extra->emits != NULL,
                                       .is_hopeless = outcome == KUR_RETRY && extra != NULL &&
                                                      kur__listener_is_fatal(listener, extra->cause)};
        give_back(slot);
        kur__mailbox_push(listener, work, true);
    }
    pthread_mutex_unlock(&lock);
    return is_good ? KUR_OK
                   : kur_error_set(error, KUR_ERROR_STALE, "the ticket was used before, or nobody waits for it");
}

kur_status kur_ticket_done(kur_ticket ticket, kur_error *error)
{
    return finish(ticket, KUR_DONE, NULL, NULL, error);
}

kur_status kur_ticket_retry(kur_ticket ticket, const char *cause, const char *reason, kur_error *error)
{
    return finish(ticket, KUR_RETRY, cause, reason, error);
}

kur_status kur_ticket_reject(kur_ticket ticket, const char *cause, const char *reason, kur_error *error)
{
    return finish(ticket, KUR_REJECT, cause, reason, error);
}
