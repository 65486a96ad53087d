/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The shop's stand-in for the library's listener, under the names that the listener will have: when it comes, this
 * file and listener.c go, and the services stay as they are.
 *
 * It handles one record at a time and does the least that keeps the promise: an offset is committed when, and only
 * when, the effect of its record is durable. What a handler emits, and what goes to the dead letters, is acknowledged
 * by the broker first.
 *
 * order_created_on(listener, handler, user) and order_created_emit(delivery, &event, &error) come from
 * <kurier/typed.h>.
 */
#ifndef KURIER_SHOP_LISTENER_H
#define KURIER_SHOP_LISTENER_H

#include <kurier/kurier.h>

typedef struct kur_listener_options {
    size_t size;
    const char *group;
    const char *const *topics; /* ends with NULL */
    kur_start start;
    int attempts;     /* of a record, counting the first; default 5, then it goes to the dead letters */
    int delay_ms;     /* before the second attempt, doubled before each further one; default 200 */
    int delay_max_ms; /* default 10,000 */
} kur_listener_options;

#define KUR_LISTENER_OPTIONS(...) KUR__OPTIONS(kur_listener_options, __VA_ARGS__)

/*
 * A member of a group that waits for kur_listener_run. Does not wait for a broker. NULL with
 * KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_CONFIG, KUR_ERROR_NO_MEMORY.
 */
kur_listener *kur_listener_new(kur_client *client, const kur_listener_options *options, kur_error *error);

/*
 * Reads, handles and commits until SIGINT, SIGTERM or kur_listener_request_stop; then finishes the record at hand,
 * leaves the group and returns KUR_OK. A second signal ends the process. Errors: what kur_consumer_poll returns and
 * what a failed registration has left.
 */
kur_status kur_listener_run(kur_listener *listener, kur_error *error);

/* Lets kur_listener_run return soon. Any thread, and signal handlers; before it as well. */
void kur_listener_request_stop(kur_listener *listener);

/* After kur_listener_run has returned. NULL does nothing. */
void kur_listener_free(kur_listener *listener);

/* The event at hand; valid in the handler. NULL for a NULL delivery. */
const kur_event_view *kur_delivery_event(const kur_delivery *delivery);

/*
 * What a handler returns to get its record again later, or never. `cause` is a short stable name such as
 * "smtp.timeout"; the text is for a person. Both stand in the headers of a dead letter. A NULL delivery is allowed and
 * forgets them.
 */
kur_outcome kur_retry(kur_delivery *delivery, const char *cause, const char *format, ...)
    KUR_PRINTF(3, 4) KUR_WARN_UNUSED_RESULT;
kur_outcome kur_reject(kur_delivery *delivery, const char *cause, const char *format, ...)
    KUR_PRINTF(3, 4) KUR_WARN_UNUSED_RESULT;

#endif
