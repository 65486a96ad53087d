/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the only place that touches signals. Its handler reaches who has them by one pointer, which goes before
 * they are given back; a handler that another thread is in by then is waited for. What there was before is kept here,
 * and not with who takes them: there is one at a time.
 */
#include "listener/signals.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

static _Atomic(const struct kur__signals *) taken_by;
static atomic_int seen;
static atomic_int in_hand;
static struct sigaction terminate_before, interrupt_before;
static sigset_t mask_before;

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&in_hand, 1);
    const struct kur__signals *signals = atomic_load(&taken_by);
    if (signals != NULL)
        signals->on_signal(signals->user, atomic_fetch_add(&seen, 1) > 0);
    atomic_fetch_sub(&in_hand, 1);
}

kur_status kur__signals_take(const struct kur__signals *signals, kur_error *error)
{
    const struct kur__signals *none = NULL;
    if (!atomic_compare_exchange_strong(&taken_by, &none, signals))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "another listener or relay of this process runs");
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGINT);
    sigemptyset(&action.sa_mask);
    atomic_store(&seen, 0);
    sigaction(SIGTERM, &action, &terminate_before);
    sigaction(SIGINT, &action, &interrupt_before);
    /* A caller may have held them back until there is somebody who takes them. */
    pthread_sigmask(SIG_UNBLOCK, &both, &mask_before);
    return KUR_OK;
}

int kur__signals_seen(void)
{
    return atomic_load(&seen);
}

void kur__signals_give_back(void)
{
    /* Once the pointer has gone another may take them, and keep what there was before in the same place. */
    struct sigaction terminate = terminate_before, interrupt = interrupt_before;
    pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
    sigaction(SIGTERM, &terminate, NULL);
    sigaction(SIGINT, &interrupt, NULL);
    atomic_store(&taken_by, NULL);
    while (atomic_load(&in_hand) > 0)
        sched_yield();
}
