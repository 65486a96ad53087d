/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/transaction.h>: records and consumed offsets that become visible together, or not at all, to consumers that
 * read committed (isolation.level=read_committed, librdkafka's and this library's default).
 *
 * A producer made with .transactional_id sends only in transactions. Its records go by kur_producer_send and
 * kur_producer_publish as ever; the calls below say when. Most programs need kur_transaction_run alone, which does all
 * of this in the right order.
 *
 * What a call returns says what comes next, and there are no other cases:
 *
 *     KUR_OK
 *     KUR_ERROR_TIMEOUT          the same call again: it goes on where it was (or give up: kur_transaction_replace)
 *     KUR_ERROR_MUST_ABORT       nothing of it will be seen: kur_transaction_abort, then begin and do all of it again;
 *                                not worth it when error.retriable is false: the same records and offsets fail again
 *     KUR_ERROR_FENCED           another producer with this id has taken over: this one is of no more use. Usually the
 *                                program has been replaced, and ends
 *     KUR_ERROR_FATAL            this producer is of no more use: kur_transaction_replace, then all of it again
 *     KUR_ERROR_UNKNOWN_OUTCOME  of a commit alone: it may or may not have happened, for the answer never came.
 *                                kur_transaction_replace settles it; then the group's committed offsets tell which
 *     others                     a mistake in the call, or no memory: nothing has changed
 *
 * error.fatal is set whenever the producer is of no more use. error.kafka_code holds the cause, and
 * kur_status_of_kafka says it in this library's words: KUR_ERROR_NOT_COMMITTED behind KUR_ERROR_MUST_ABORT means that
 * the group has rebalanced since its metadata were taken.
 *
 * Threads: one of these calls at a time for a producer (KUR_ERROR_INVALID_STATE otherwise), none of them in a callback
 * of the producer; any thread, and best one of their own, for they wait. Records may be sent from any thread meanwhile;
 * those that a commit or abort overtakes are refused. With KUR_DISPATCH_CALLER results come inside commit and abort,
 * on their thread, and nobody else may dispatch meanwhile.
 *
 * A record's own result (on_result) comes as ever: delivered says that it is in the log, and only the commit that it is
 * seen. Where one is failed or unknown, the commit says KUR_ERROR_MUST_ABORT.
 *
 * The embedded broker has no transactions: kur_transaction_init refuses it.
 */
#ifndef KURIER_TRANSACTION_H
#define KURIER_TRANSACTION_H

#include <kurier/consumer.h>
#include <kurier/producer.h>

KUR_BEGIN_DECLS

/**
 * Registers the transactional id with the broker: fences every older producer that has it, and waits until what that
 * left open is committed or aborted. Once, before the first begin; again does nothing. Blocks for `timeout_ms` at most.
 * KUR_ERROR_TIMEOUT (again goes on; with host and reason when no broker answered), KUR_ERROR_AUTHENTICATION,
 * KUR_ERROR_UNSUPPORTED (an embedded broker, or one older than Kafka 0.11), KUR_ERROR_AUTHORIZATION, KUR_ERROR_FENCED,
 * KUR_ERROR_FATAL (the text says why: .transaction_timeout_ms is above the broker's transaction.max.timeout.ms, …);
 * KUR_ERROR_INVALID_STATE without .transactional_id.
 */
KUR_API kur_status kur_transaction_init(kur_producer *producer, int timeout_ms, kur_error *error);

/**
 * Begins a transaction; does not block. It has to end within .transaction_timeout_ms, or the broker aborts it.
 * KUR_ERROR_FENCED, KUR_ERROR_FATAL; KUR_ERROR_INVALID_STATE before kur_transaction_init, inside a transaction, and
 * with a producer whose commit was once unknown.
 */
KUR_API kur_status kur_transaction_begin(kur_producer *producer, kur_error *error);

/** Who a consumer is in its group at one moment. Does not change; any thread. */
typedef struct kur_group_metadata kur_group_metadata;

/**
 * Takes it, on the consumer's thread, for a transaction on any other. Offsets that are sent with it are refused as soon
 * as the group has moved on: so take it when the records are polled, not when the transaction ends. Freed by
 * kur_group_metadata_free, also after the consumer. NULL with KUR_ERROR_INVALID_STATE while the consumer is not a
 * member of its group (the broker would take its offsets unchecked), KUR_ERROR_UNSUPPORTED (an unknown version of
 * librdkafka), KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_group_metadata *kur_consumer_group_metadata(kur_consumer *consumer, kur_error *error);

/** NULL does nothing. Any thread. */
KUR_API void kur_group_metadata_free(kur_group_metadata *metadata);

/**
 * Makes consumed offsets part of the transaction: the group's offsets move when it commits. Each is that of the next
 * record, as in kur_consumer_commit; metadata: text of at most 4,096 bytes, which is committed with it. May be called
 * several times, and then the last offset of a partition counts; in one call each partition is named once, 10,000 at
 * most. While the broker is still at work on the transaction before, it is asked again every 20 ms (retry.backoff.ms,
 * which is 20 for such producers unless set, and 100 for others). Blocks for `timeout_ms` at most, or, when the broker
 * stops answering, until its answer is given up (socket.timeout.ms, which is 10,000 for such producers unless set).
 * `count` 0 does nothing. KUR_ERROR_TIMEOUT, KUR_ERROR_MUST_ABORT, KUR_ERROR_FENCED, KUR_ERROR_FATAL as above;
 * KUR_ERROR_INVALID_ARGUMENT names the position at fault, KUR_ERROR_INVALID_STATE outside a transaction,
 * KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_status kur_transaction_send_offsets(kur_producer *producer, const kur_position *positions, size_t count,
                                                const kur_group_metadata *group, int timeout_ms, kur_error *error);

/**
 * Waits for the results of all records, then commits. Blocks for `timeout_ms` at most. KUR_ERROR_TIMEOUT: records are
 * still on their way, nothing is committed, and it can still be aborted (KUR_ERROR_AUTHENTICATION: likewise, and before
 * the time is over, while log-ins are refused). KUR_ERROR_UNKNOWN_OUTCOME: the commit itself
 * had no answer. It can be asked for again, and KUR_OK then means committed; the producer takes no further transaction,
 * since a request that was held up on its way could end that one. KUR_ERROR_MUST_ABORT; KUR_ERROR_FENCED (then, too,
 * the answer to an earlier attempt may have been lost: the group's offsets tell);
 * KUR_ERROR_INVALID_STATE outside a transaction.
 */
KUR_API kur_status kur_transaction_commit(kur_producer *producer, int timeout_ms,
                                          kur_error *error) KUR_WARN_UNUSED_RESULT;

/**
 * Aborts: what is in the log is never seen, what is still queued after a second is given up (results: failed or
 * unknown). Blocks for `timeout_ms` at most. KUR_ERROR_TIMEOUT, KUR_ERROR_FENCED, KUR_ERROR_FATAL;
 * KUR_ERROR_UNKNOWN_OUTCOME when a commit that was sent before could not be undone; KUR_ERROR_INVALID_STATE outside a
 * transaction, and after a commit whose outcome is unknown.
 */
KUR_API kur_status kur_transaction_abort(kur_producer *producer, int timeout_ms, kur_error *error);

/**
 * Frees the producer, whatever state it is in, puts a new one with the same options in its place, and inits it, which
 * settles what the old one left: open is aborted, a commit that was on its way is finished. Results still to come are
 * handed out before it returns. Blocks for `timeout_ms` at most, beside what kur_producer_free takes to give records
 * up. With KUR_ERROR_TIMEOUT and the others of kur_transaction_init the new producer is in place, and the same call
 * goes on; when it could not be made (the statuses of kur_producer_new), the old one stays.
 */
KUR_API kur_status kur_transaction_replace(kur_producer **producer, int timeout_ms, kur_error *error);

/**
 * What is to be done in one transaction: sends records, sends offsets. Returns KUR_OK to have it committed, anything
 * else to have it aborted. It may be called several times, and does the same each time. `producer` may be another one
 * than the last time: do not keep it. It must not begin, commit, abort, replace or free.
 */
typedef kur_status kur_transaction_function(kur_producer *producer, void *user, kur_error *error);

/**
 * Does `work` in a transaction and commits it, on the calling thread; inits and replaces the producer when it has to.
 * What fails is aborted and done again, after a pause that grows from 50 ms to 1 s, when that may help
 * (error.retriable, or a producer that is of no more use), until `timeout_ms` is over; a call under way is given the
 * rest of that time.
 *
 * KUR_OK: committed, once. KUR_ERROR_UNKNOWN_OUTCOME: may have been committed; the producer has been replaced if time
 * was left, and is in the next call otherwise: then the group's committed offsets say which. KUR_ERROR_FENCED: not
 * done again; see above. Everything else: not committed, with the last error, which is `work`'s own if that failed.
 */
KUR_API kur_status kur_transaction_run(kur_producer **producer, kur_transaction_function *work, void *user,
                                       int timeout_ms, kur_error *error);

KUR_END_DECLS

#endif
