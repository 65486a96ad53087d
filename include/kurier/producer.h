/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/producer.h>: sending records and events. Always idempotent, acks=all, keys placed as Java's clients place
 * them (murmur2). Every record that is accepted has exactly one result: delivered, failed, or unknown.
 */
#ifndef KURIER_PRODUCER_H
#define KURIER_PRODUCER_H

#include <kurier/client.h>
#include <kurier/event.h>
#include <kurier/type.h>

KUR_BEGIN_DECLS

/** Who runs the callbacks of results. */
typedef enum kur_dispatch {
    KUR_DISPATCH_THREAD = 0, /**< results come on a thread of the producer's own */
    KUR_DISPATCH_CALLER = 1  /**< results come in kur_producer_dispatch, on the caller's thread */
} kur_dispatch;

/** What is 0 is the client's property of the name given, else the default. */
/** What kur_producer_new may be told. */
typedef struct kur_producer_options {
    size_t size;
    kur_dispatch dispatch;
    int queue_records;       /**< records not yet decided, at most (queue.buffering.max.messages); default 100,000 */
    int queue_kbytes;        /**< their size in KiB, at most (queue.buffering.max.kbytes); default 65,536 */
    int linger_ms;           /**< waits so long for a batch to fill (linger.ms); default 5; KUR_NONE: not at all */
    int queue_wait_ms;       /**< a full queue is waited for so long; default 1,000; KUR_NONE: not at all */
    int delivery_timeout_ms; /**< a record not acknowledged by then is failed or unknown (message.timeout.ms); default
                                120,000; KUR_NONE: never */
    const char *compression; /**< none, gzip, snappy, lz4, zstd (compression.type); default none */
    const char *transactional_id; /**< makes it send in transactions alone: see <kurier/transaction.h>. 1 to 1,000
                                     bytes, the same for each life of an instance, and of no other instance */
    int transaction_timeout_ms;   /**< the broker aborts a transaction that is open for longer; from 1,000; default
                                     60,000. delivery_timeout_ms may not be longer, and is so long by default */
    int64_t record_bytes;         /**< a larger record is refused without asking the broker (message.max.bytes), up to
                                     1,000,000,000; default 1,000,000. What a topic takes is the topic's max.message.bytes */
    int batch_bytes; /**< records sent together to a partition are no more than that, but for one that is larger by
                          itself (batch.size); default 1,000,000 */
    bool gapless;    /**< a record that is refused for good ends the producer (KUR_ERROR_FATAL), so that none behind it
                          in its partition gets into the log (enable.gapless.guarantee); but where that was the first
                          of this producer in the partition, one that was on its way may */
} kur_producer_options;

#define KUR_PRODUCER_OPTIONS(...) KUR__OPTIONS(kur_producer_options, __VA_ARGS__)

/** A record to send. All pointers are borrowed for the call only. */
typedef struct kur_message {
    size_t size;
    const char *topic;
    int32_t partition; /**< KUR_PARTITION(n); default: chosen by the key */
    bool tombstone;    /**< asks for a null value; `value` is then not given */
    kur_bytes key;     /**< data NULL: no key */
    kur_bytes value;
    const kur_header *headers;
    size_t header_count;
    int64_t timestamp_us;           /**< default: now; Kafka keeps milliseconds */
    kur_result_callback *on_result; /**< default: nobody; what fails is logged */
    void *user;                     /**< handed to on_result */
    bool verbatim; /**< the headers are those of another record, and taken however many they are and whatever their
                      names; default: at most 1,000, with names in UTF-8 that are not empty */
} kur_message;

#define KUR_MESSAGE(...) KUR__OPTIONS(kur_message, __VA_ARGS__)

/**
 * A producer of its own, with a queue and results of its own; most services need only kur_client_producer. Does not
 * wait for a broker. `options` may be NULL. NULL with KUR_ERROR_CONFIG, KUR_ERROR_INVALID_ARGUMENT, KUR_ERROR_SYSTEM
 * (no thread), KUR_ERROR_NO_MEMORY.
 */
KUR_API kur_producer *kur_producer_new(kur_client *client, const kur_producer_options *options, kur_error *error);

/**
 * Sends what it still holds, for 5 s at most, gives the rest up, and frees the producer. Callbacks run for all; what
 * they send once the rest is given up is refused with KUR_ERROR_CLOSED. Returns how many records were not delivered.
 * NULL gives 0. Not from callbacks, not while other threads use the producer.
 */
KUR_API size_t kur_producer_free(kur_producer *producer);

/**
 * Takes a record over to be sent; the bytes are copied. With a full queue it waits up to .queue_wait_ms (never with
 * KUR_DISPATCH_CALLER, never on the producer's own thread), else returns at once. No allocation but librdkafka's. Any
 * thread. KUR_ERROR_QUEUE_FULL, KUR_ERROR_TOO_LARGE, KUR_ERROR_UNKNOWN_TOPIC, KUR_ERROR_INVALID_ARGUMENT,
 * KUR_ERROR_NO_MEMORY, KUR_ERROR_FATAL, KUR_ERROR_FENCED, KUR_ERROR_AUTHORIZATION of a user who may write to no topic
 * at all: then there is no callback. The last three have .fatal set: the producer is of no more use. With
 * .transactional_id also KUR_ERROR_MUST_ABORT of a transaction that has failed, and KUR_ERROR_INVALID_STATE outside
 * one.
 */
KUR_API kur_status kur_producer_send(kur_producer *producer, const kur_message *message, kur_error *error);

/**
 * Sends a record and waits for its result, which is filled in when it is not NULL (set its .size; topic is NULL).
 * `message->on_result` must be NULL. Returns the result's status; KUR_ERROR_UNKNOWN_OUTCOME when the time is over first
 * or the answer was lost: the record may still be delivered, and the message says why, with the broker's host and
 * reason when none answered. A log-in that is refused ends the wait within five seconds, with the reason and a
 * kafka_code of RD_KAFKA_RESP_ERR__AUTHENTICATION (-169). Not from callbacks (KUR_ERROR_INVALID_STATE). With
 * KUR_DISPATCH_CALLER it dispatches meanwhile.
 */
KUR_API kur_status kur_producer_send_wait(kur_producer *producer, const kur_message *message, int timeout_ms,
                                          kur_result *result, kur_error *error);

/**
 * Encodes an event and sends it; the struct stays the caller's. See kur_producer_send; besides what kur_json_write
 * returns, KUR_ERROR_CONFIG when there is no source or no topic. In Avro, the first event of a type for a topic may
 * have to ask where its schema is kept, which waits up to the client's .schema_wait_ms and returns what kur_schemas'
 * .place does; KUR_ERROR_CONFIG when the client has no .schemas, and what kur_avro_write returns. Nothing was sent
 * then. Any thread.
 */
KUR_API kur_status kur_producer_publish(kur_producer *producer, const kur_type *type, const void *event,
                                        const kur_publish_options *options, kur_error *error);

/** Likewise, and waits for the result, as kur_producer_send_wait. `options->on_result` must be NULL. */
KUR_API kur_status kur_producer_publish_wait(kur_producer *producer, const kur_type *type, const void *event,
                                             const kur_publish_options *options, int timeout_ms, kur_result *result,
                                             kur_error *error);

/**
 * Sends an event whose data are already encoded, with its full type ("shop.order.created.v1"). `data.data` NULL asks
 * for an event without data, a tombstone. The statuses are those of kur_producer_send and KUR_ERROR_CONFIG, as above.
 */
KUR_API kur_status kur_producer_publish_raw(kur_producer *producer, const char *event_type, kur_bytes data,
                                            const kur_publish_options *options, kur_error *error);

/** Likewise, and waits for the result, as kur_producer_send_wait. */
KUR_API kur_status kur_producer_publish_raw_wait(kur_producer *producer, const char *event_type, kur_bytes data,
                                                 const kur_publish_options *options, int timeout_ms, kur_result *result,
                                                 kur_error *error);

/**
 * Sends without lingering and waits until everything taken over has its result and the callbacks have run; what other
 * threads go on sending is waited for as well. KUR_ERROR_TIMEOUT says how many are left, and names host and reason when
 * no broker answered. KUR_ERROR_AUTHENTICATION comes within five seconds when the log-in is refused; the records stay
 * queued. Not from callbacks.
 */
KUR_API kur_status kur_producer_flush(kur_producer *producer, int timeout_ms, kur_error *error);

/** Records taken over whose result has not come. Any thread. */
KUR_API size_t kur_producer_pending(const kur_producer *producer);

/**
 * With KUR_DISPATCH_CALLER: a descriptor that becomes readable when results wait. Owned by the producer. -1 otherwise.
 */
KUR_API int kur_producer_fd(const kur_producer *producer);

/**
 * With KUR_DISPATCH_CALLER: waits up to `timeout_ms` (0: not at all) for results and runs their callbacks; returns how
 * many in `count` when it is not NULL. KUR_ERROR_INVALID_STATE with KUR_DISPATCH_THREAD. One thread at a time.
 */
KUR_API kur_status kur_producer_dispatch(kur_producer *producer, int timeout_ms, size_t *count, kur_error *error);

KUR_END_DECLS

#endif
