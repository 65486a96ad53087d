/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Connections for handlers: as many as are allowed, made when they are needed, kept until the end. One that has broken
 * takes those with it that nobody has: most often the server has gone, and each of them would be tried in vain.
 */
#include <kurier/sys/clock.h>
#include <kurier/sys/log.h>

#include "inbox/inbox.h"

enum {
    WARN_US = 10 * 1000 * 1000
};

kur_status kur__inbox_take(kur_inbox *inbox, void **connection, bool *is_fresh, kur_error *error)
{
    pthread_mutex_lock(&inbox->lock);
    while (inbox->idle_count == 0 && inbox->open_count == inbox->connections)
        pthread_cond_wait(&inbox->returned, &inbox->lock);
    *is_fresh = inbox->idle_count == 0;
    if (*is_fresh)
        inbox->open_count++;
    else
        *connection = inbox->idle[--inbox->idle_count];
    pthread_mutex_unlock(&inbox->lock);
    if (!*is_fresh)
        return KUR_OK;
    kur_status status = inbox->driver->connect(kur_database_state(inbox->database), connection, error);
    if (status == KUR_OK)
        return KUR_OK;
    pthread_mutex_lock(&inbox->lock);
    inbox->open_count--;
    pthread_cond_signal(&inbox->returned);
    pthread_mutex_unlock(&inbox->lock);
    return status;
}

void kur__inbox_close_idle(kur_inbox *inbox)
{
    for (;;) {
        pthread_mutex_lock(&inbox->lock);
        void *connection = inbox->idle_count > 0 ? inbox->idle[--inbox->idle_count] : NULL;
        pthread_mutex_unlock(&inbox->lock);
        if (connection == NULL)
            return;
        kur__inbox_return(inbox, connection, false);
    }
}

void kur__inbox_return(kur_inbox *inbox, void *connection, bool is_good)
{
    if (!is_good)
        inbox->driver->disconnect(connection);
    pthread_mutex_lock(&inbox->lock);
    if (is_good)
        inbox->idle[inbox->idle_count++] = connection;
    else
        inbox->open_count--;
    pthread_cond_signal(&inbox->returned);
    pthread_mutex_unlock(&inbox->lock);
}

void kur__inbox_failed(kur_inbox *inbox, const kur_error *error)
{
    int64_t now_us = kur_clock_monotonic_us(), next_us = atomic_load(&inbox->next_warning_us);
    atomic_fetch_add(&inbox->failures, 1);
    if (now_us >= next_us && atomic_compare_exchange_strong(&inbox->next_warning_us, &next_us, now_us + WARN_US))
        kur_client_log(inbox->client, KUR_LOG_WARNING, "inbox %s: %s: it will be tried again", inbox->consumer,
                       error->message);
}
