/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * SIGTERM and SIGINT while something of the library runs until it is told to end: listeners, a relay.
 */
#ifndef KURIER_LISTENER_SIGNALS_H
#define KURIER_LISTENER_SIGNALS_H

#include <kurier/error.h>

/* Who is told of signals, in the signal handler: it may do what one may do there, and nothing else. */
struct kur__signals {
    void (*on_signal)(void *user, bool is_second); /* is_second: also at the third and all after it */
    void *user;
};

/* Takes the signals. KUR_ERROR_INVALID_STATE while another has them in this process. */
kur_status kur__signals_take(const struct kur__signals *signals, kur_error *error);

/* How many have come since they were taken. */
int kur__signals_seen(void);

/* Gives them back as they were; who had them is told of none any more when it returns. On the thread that took them. */
void kur__signals_give_back(void);

#endif
