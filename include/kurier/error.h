/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/error.h>: one list of statuses, and the error that tells the caller more.
 *
 * A function that can fail returns a kur_status (KUR_OK is 0), or a pointer that is NULL on failure, and takes as
 * its last parameter a kur_error of the caller's, which may be NULL. On failure it fills the error and leaves all
 * other results untouched. One exception: where the object handed in is NULL, an error that is already set stays,
 * so that a chain of calls can be checked once at its end:
 *
 *     kur_error error = {0};
 *     kur_client *client = kur_client_new(&options, &error);
 *     kur_producer *producer = kur_client_producer(client, &error);      // client NULL: keeps the first error
 *     if (producer == NULL)
 *         fprintf(stderr, "%s\n", error.message);
 */
#ifndef KURIER_ERROR_H
#define KURIER_ERROR_H

#include <kurier/api.h>

KUR_BEGIN_DECLS

/** X(name, number, retriable, fatal, text). Numbers never change and are never given out again. */
#define KUR_STATUS_LIST(X)                                                                                             \
    X(OK, 0, 0, 0, "success")                                                                                          \
    X(ERROR_INVALID_ARGUMENT, 1, 0, 0, "an argument is not valid")                                                     \
    X(ERROR_NO_MEMORY, 2, 1, 0, "out of memory")                                                                       \
    X(ERROR_INVALID_STATE, 3, 0, 0, "not possible in this state")                                                      \
    X(ERROR_UNSUPPORTED, 4, 0, 0, "not supported here")                                                                \
    X(ERROR_CONFIG, 5, 0, 0, "the configuration is not valid")                                                         \
    X(ERROR_SYSTEM, 6, 0, 0, "the operating system refused")                                                           \
    X(ERROR_TIMEOUT, 7, 1, 0, "the time allowed is over")                                                              \
    X(ERROR_QUEUE_FULL, 8, 1, 0, "the queue is full")                                                                  \
    X(ERROR_CLOSED, 9, 0, 0, "closed")                                                                                 \
    X(ERROR_STALE, 10, 0, 0, "already finished or no longer there")                                                    \
    X(ERROR_UNREACHABLE, 11, 1, 0, "no broker answered")                                                               \
    X(ERROR_AUTHENTICATION, 12, 0, 0, "the broker refused the log-in")                                                 \
    X(ERROR_AUTHORIZATION, 13, 0, 0, "not allowed by the broker")                                                      \
    X(ERROR_UNKNOWN_TOPIC, 14, 0, 0, "no such topic or partition")                                                     \
    X(ERROR_TOO_LARGE, 15, 0, 0, "too large")                                                                          \
    X(ERROR_UNKNOWN_OUTCOME, 16, 0, 0, "may or may not have happened")                                                 \
    X(ERROR_FENCED, 17, 0, 1, "another instance has taken over")                                                       \
    X(ERROR_NOT_COMMITTED, 18, 1, 0, "not committed: the group is rebalancing")                                        \
    X(ERROR_GAP, 19, 0, 0, "the position is no longer in the log")                                                     \
    X(ERROR_SYNTAX, 20, 0, 0, "not well-formed")                                                                       \
    X(ERROR_MISMATCH, 21, 0, 0, "does not fit the type")                                                               \
    X(ERROR_CONSTRAINT, 22, 0, 0, "breaks a constraint of the type")                                                   \
    X(ERROR_NOT_AN_EVENT, 23, 0, 0, "not a valid event")                                                               \
    X(ERROR_BROKER, 24, 0, 0, "the broker reported an error")                                                          \
    X(ERROR_FATAL, 25, 0, 1, "the client cannot go on")                                                                \
    X(ERROR_CANCELLED, 26, 0, 0, "given up before it was sent")                                                        \
    X(ERROR_MUST_ABORT, 27, 0, 0, "the transaction has failed and must be aborted")                                    \
    X(ERROR_REJECTED, 28, 0, 1, "a record was rejected and nobody takes it")                                           \
    X(ERROR_DATABASE, 29, 0, 0, "the database reported an error")                                                      \
    X(ERROR_SCHEMA, 30, 0, 0, "the tables are missing or of another version")                                          \
    X(ERROR_UNKNOWN_SCHEMA, 31, 0, 0, "no such schema")

/** Every way in which a call can end. KUR_OK is 0, all others are above. */
typedef enum kur_status {
#define KUR__STATUS(name, number, retriable, fatal, text) KUR_##name = number,
    KUR_STATUS_LIST(KUR__STATUS)
#undef KUR__STATUS
} kur_status;

/**
 * What went wrong, for the program (code, retriable, fatal) and for a person (message).
 * 512 bytes, owns nothing, and stays so: set it to {0} and let it go. The message is one line of UTF-8 that names
 * the argument, field, host or file at fault; it never holds a secret.
 */
typedef struct kur_error {
    kur_status code;    /**< KUR_OK when nothing failed */
    int32_t kafka_code; /**< Kafka's or librdkafka's own error code, 0 where there is none */
    bool retriable;     /**< the same call may succeed later */
    bool fatal;         /**< the object is of no more use */
    char message[502];
} kur_error;

/** The constant's name, "KUR_ERROR_TIMEOUT"; for a number that is not in the list "KUR_ERROR_?". Static; any thread. */
KUR_API const char *kur_status_name(kur_status status);

/** One line of English for a status, "the time allowed is over". Static; any thread. */
KUR_API const char *kur_status_text(kur_status status);

/** Whether the status by itself says that the same call may succeed later. Any thread. */
KUR_API bool kur_status_is_retriable(kur_status status);

/** Whether the status says that the object is of no more use. Any thread. */
KUR_API bool kur_status_is_fatal(kur_status status);

/** The status that stands for one of Kafka's or librdkafka's error codes, such as kur_error.kafka_code. Any thread. */
KUR_API kur_status kur_status_of_kafka(int32_t kafka_code);

/**
 * Sets `error` (may be NULL) from a status of the list and a message, cut at a character's boundary when it is too
 * long. Returns `status`, so that a function can end with it. Any thread.
 */
KUR_API kur_status kur_error_set(kur_error *error, kur_status status, const char *format, ...) KUR_PRINTF(3, 4);

KUR_END_DECLS

#endif
