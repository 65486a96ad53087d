/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * librdkafka's errors as the classes of <kurier/transaction.h>, which say what comes next.
 */
#include <kurier/sys/clock.h>
#include <stdio.h>

#include "base/error.h"
#include "kafka/producer.h"
#include "kafka/transaction.h"

/* Whether the same records and offsets may pass another time. */
static bool is_worth_repeating(rd_kafka_resp_err_t code)
{
    switch (kur__status_of_kafka(code)) {
    case KUR_ERROR_AUTHENTICATION:
    case KUR_ERROR_AUTHORIZATION:
    case KUR_ERROR_FENCED:
    case KUR_ERROR_INVALID_ARGUMENT:
    case KUR_ERROR_NOT_COMMITTED:
    case KUR_ERROR_TOO_LARGE:
    case KUR_ERROR_UNKNOWN_TOPIC:
        return false;
    default:
        return true;
    }
}

static kur_status must_abort(kur_producer *producer, rd_kafka_resp_err_t code, const char *call, const char *why,
                             kur_error *error)
{
    kur__transaction *transaction = producer->transaction;
    int failure = atomic_load(&transaction->first_failure);
    transaction->state = KUR__TRANSACTION_FAILED;
    if (code == RD_KAFKA_RESP_ERR__INCONSISTENT && failure != 0) {
        code = (rd_kafka_resp_err_t)failure;
        why = rd_kafka_err2str(code);
    }
    kur__transaction_note_failure(transaction, code);
    kur_error_set(
        error, KUR_ERROR_MUST_ABORT, "transaction %.60s: %s: it must be aborted: %s%s", transaction->id, call, why,
        kur__status_of_kafka(code) == KUR_ERROR_NOT_COMMITTED ? " (the group has moved on: take its metadata anew)"
                                                              : "");
    if (error != NULL) {
        error->kafka_code = (int32_t)code;
        error->retriable = is_worth_repeating(code);
    }
    return KUR_ERROR_MUST_ABORT;
}

/* The producer is of no more use. A transaction that was open for too long looks just like another one's take-over. */
static kur_status spent(kur_producer *producer, rd_kafka_resp_err_t code, const char *call, const char *why,
                        kur_error *error)
{
    kur__transaction *transaction = producer->transaction;
    bool is_fenced = kur__status_of_kafka(code) == KUR_ERROR_FENCED;
    bool is_open = transaction->state != KUR__TRANSACTION_NEW && transaction->state != KUR__TRANSACTION_READY;
    bool is_late =
        is_open && kur_clock_monotonic_us() - transaction->begun_us >= (int64_t)transaction->timeout_ms * 1000;
    kur_status status = is_fenced && !is_late ? KUR_ERROR_FENCED : KUR_ERROR_FATAL;
    transaction->state = KUR__TRANSACTION_SPENT;
    transaction->was_fenced = status == KUR_ERROR_FENCED;
    if (is_fenced && is_late)
        kur_error_set(
            error, status,
            "transaction %.60s: %s: the broker has ended it, for it was open for more than %d ms: replace the "
            "producer",
            transaction->id, call, transaction->timeout_ms);
    else if (is_fenced)
        kur_error_set(error, status, "transaction %.60s: %s: another producer with this id has taken over",
                      transaction->id, call);
    else
        kur_error_set(error, status, "transaction %.60s: %s: the producer is of no more use: %s", transaction->id, call,
                      why);
    if (error != NULL)
        error->kafka_code = (int32_t)code;
    return status;
}

kur_status kur__transaction_judge(kur_producer *producer, rd_kafka_error_t *said, const char *call, kur_error *error)
{
    char why[256];
    rd_kafka_resp_err_t code = rd_kafka_error_code(said);
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(producer->rk, why, sizeof why);
    kur_status status;
    if (fatal == RD_KAFKA_RESP_ERR_NO_ERROR)
        snprintf(why, sizeof why, "%s", rd_kafka_error_string(said));
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR || rd_kafka_error_is_fatal(said)) {
        status = spent(producer, fatal != RD_KAFKA_RESP_ERR_NO_ERROR ? fatal : code, call, why, error);
    } else if (rd_kafka_error_txn_requires_abort(said)) {
        status = must_abort(producer, code, call, why, error);
    } else if (rd_kafka_error_is_retriable(said)) {
        char what[400];
        snprintf(what, sizeof what, "transaction %.60s: %s: %s", producer->transaction->id, call, why);
        status = kur__connection_timeout(&producer->connection, error, what);
        if (error != NULL)
            error->kafka_code = (int32_t)code;
    } else {
        status = kur__error_of_kafka(error, code, "transaction %.60s: %s: %s", producer->transaction->id, call, why);
    }
    rd_kafka_error_destroy(said);
    return status;
}

kur_status kur__transaction_refusal(kur_producer *producer, kur_error *error)
{
    char why[256];
    const kur__transaction *transaction = producer->transaction;
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(producer->rk, why, sizeof why);
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kur_error_set(error,
                             kur__status_of_kafka(fatal) == KUR_ERROR_FENCED ? KUR_ERROR_FENCED : KUR_ERROR_FATAL,
                             "transaction %.60s: %s", transaction->id, why);
    int failure = atomic_load(&transaction->first_failure); /* until the next one begins */
    if (transaction->state != KUR__TRANSACTION_OPEN && transaction->state != KUR__TRANSACTION_FAILED)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "transaction %.60s: records are sent between begin and commit or abort", transaction->id);
    /* librdkafka gives a transaction up before it tells what failed, and for what an earlier one had left, too. */
    kur_error_set(error, KUR_ERROR_MUST_ABORT, "transaction %.60s: it must be aborted: %s", transaction->id,
                  failure != 0 ? rd_kafka_err2str((rd_kafka_resp_err_t)failure) : "librdkafka has given it up");
    if (error != NULL) {
        error->kafka_code = (int32_t)failure;
        error->retriable = is_worth_repeating((rd_kafka_resp_err_t)failure);
    }
    return KUR_ERROR_MUST_ABORT;
}
