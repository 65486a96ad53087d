/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/delivery.h>: a record in a handler's hands: what it is, what to say of it, and how to say it later.
 */
#ifndef KURIER_DELIVERY_H
#define KURIER_DELIVERY_H

#include <kurier/consumer.h>
#include <kurier/outcome.h>

KUR_BEGIN_DECLS

/** Valid until the handler returns, on its thread. */
typedef struct kur_delivery kur_delivery;

/** Handles a record as it is. On a worker's thread; it may wait. */
typedef kur_outcome kur_record_handler(kur_delivery *delivery, void *user);

/**
 * Handles `count` records together, 1 or more: rows of one INSERT. What it returns is the outcome of all but those for
 * which it has set `outcomes[i]`, which is KUR_NO_OUTCOME for each when it is called:
 *
 *     outcomes[17] = kur_reject(deliveries[17], "rows.no_town", "parcel %s goes nowhere", id);
 *     return KUR_DONE; // of all the others
 *
 * Each record has an outcome of its own: one that is rejected or comes again costs no other. Those of a key (or of a
 * partition, as .order says) stand in their order. When one of them comes again, those behind it in its order come
 * again after it whatever was said of them, for them that was no attempt.
 *
 * A record that comes again comes alone, so that a bad one is found where the whole batch has failed for it; but after
 * kur_retry_after, which is said of a service that is away, in company.
 *
 * On a worker's thread; it may wait.
 */
typedef kur_outcome kur_batch_handler(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user);

/** The event at hand, borrowed from the delivery; NULL when the record is not a valid event, or for NULL. */
KUR_API const kur_event_view *kur_delivery_event(kur_delivery *delivery);

/**
 * The record at hand; borrowed. One that comes from a retry topic is as it was first: topic, partition, offset and
 * timestamp are those of its first topic; its headers have what kur_retry_read reads besides. NULL for NULL.
 */
KUR_API const kur_record *kur_delivery_record(const kur_delivery *delivery);

/** What .worker_start has made for this worker; NULL without it. */
KUR_API void *kur_delivery_worker(const kur_delivery *delivery);

/** Which attempt this is, counting from 1; 0 for NULL. */
KUR_API int kur_delivery_attempt(const kur_delivery *delivery);

/**
 * Whether the partition is still this member's. When it is not, another may have begun the same record, and this
 * outcome will be ignored, unless the partition comes back in the group's next generation: a long handler can ask, and
 * give up by kur_retry. False after kur_delivery_defer.
 */
KUR_API bool kur_delivery_is_current(const kur_delivery *delivery);

/**
 * What a handler returns to get its record again later, or never. `cause` is a short stable name ("smtp.timeout") of at
 * most 63 characters by which failures are grouped; the text is for a person, cut at 500 bytes.
 */
KUR_API kur_outcome kur_retry(kur_delivery *delivery, const char *cause, const char *format, ...)
    KUR_PRINTF(3, 4) KUR_WARN_UNUSED_RESULT;
/** Likewise after `delay_ms`, and not after the policy's delay: a server's Retry-After. 30 days at most. */
KUR_API kur_outcome kur_retry_after(kur_delivery *delivery, int64_t delay_ms, const char *cause, const char *format,
                                    ...) KUR_PRINTF(4, 5) KUR_WARN_UNUSED_RESULT;
/** Likewise at a time, in microseconds since 1970; one that has passed is now. 30 days ahead at most. */
KUR_API kur_outcome kur_retry_at(kur_delivery *delivery, int64_t time_us, const char *cause, const char *format, ...)
    KUR_PRINTF(4, 5) KUR_WARN_UNUSED_RESULT;
/** Never again: to the dead letters, or to on_rejected. */
KUR_API kur_outcome kur_reject(kur_delivery *delivery, const char *cause, const char *format, ...)
    KUR_PRINTF(3, 4) KUR_WARN_UNUSED_RESULT;

/**
 * What a batch handler returns when all has failed together: kur_retry for each of the deliveries that has no outcome
 * yet. Always KUR_RETRY.
 */
KUR_API kur_outcome kur_retry_all(kur_delivery *const *deliveries, size_t count, const char *cause, const char *format,
                                  ...) KUR_PRINTF(4, 5) KUR_WARN_UNUSED_RESULT;

/**
 * Notes where in the program the next thing is said of a delivery, which it returns: what kur_retry… and kur_reject do
 * by themselves in C, so that dead letters tell it ("mail.c:88"). `file` is static text. On its thread; NULL gives
 * NULL.
 */
KUR_API kur_delivery *kur_delivery_here(kur_delivery *delivery, const char *file, int line);

/* A macro is not expanded within itself: these call the functions above. */

/** The function of that name, which is told where it is called. */
#define kur_retry(delivery, ...) kur_retry(kur_delivery_here(delivery, __FILE__, __LINE__), __VA_ARGS__)
/** The function of that name, which is told where it is called. */
#define kur_retry_after(delivery, ...) kur_retry_after(kur_delivery_here(delivery, __FILE__, __LINE__), __VA_ARGS__)
/** The function of that name, which is told where it is called. */
#define kur_retry_at(delivery, ...) kur_retry_at(kur_delivery_here(delivery, __FILE__, __LINE__), __VA_ARGS__)
/** The function of that name, which is told where it is called. */
#define kur_reject(delivery, ...) kur_reject(kur_delivery_here(delivery, __FILE__, __LINE__), __VA_ARGS__)

/* ---- Later ---- */

/** A record whose outcome is said later. A value: copy it freely. */
typedef struct kur_ticket {
    uint64_t slot;
    uint64_t generation; /**< never 0 in a ticket that was given */
} kur_ticket;

/**
 * Takes the record out of the handler, which returns at once; what it returns then counts for nothing. The record is
 * copied, keeps its place in its order, and waits for one of the calls below. KUR_ERROR_INVALID_STATE when it was
 * deferred before, or the listener has a batch handler, KUR_ERROR_NO_MEMORY: then the handler's outcome counts as ever.
 */
KUR_API kur_status kur_delivery_defer(kur_delivery *delivery, kur_ticket *ticket, kur_error *error);

/**
 * Says the outcome. Any thread, also in the handler that deferred, also after the listener has gone. KUR_ERROR_STALE
 * when it was said before, or nobody waits for it any more.
 */
KUR_API kur_status kur_ticket_done(kur_ticket ticket, kur_error *error);
/** As kur_ticket_done, on any thread: again later, as the policy says. Both texts are copied, and may be NULL. */
KUR_API kur_status kur_ticket_retry(kur_ticket ticket, const char *cause, const char *reason, kur_error *error);
/** As kur_ticket_retry, on any thread: never again. */
KUR_API kur_status kur_ticket_reject(kur_ticket ticket, const char *cause, const char *reason, kur_error *error);

KUR_END_DECLS

#endif
