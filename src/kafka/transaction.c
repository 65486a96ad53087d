/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * States. The state says which calls make sense, so that misuse is refused here, in words, and librdkafka is never
 * asked what it would answer with a conflict. It is written by the one call that is under way.
 *
 * Commit, in two steps. First all results are waited for, as a flush does it; a time-out there leaves the transaction
 * open, and a record that may be missing has it aborted, for librdkafka does not know of that (result.c). Only then
 * librdkafka is asked to commit, and from there on a lost answer is an unknown outcome. Afterwards the producer is
 * spent even if the commit is confirmed later: without an epoch for each transaction (KIP-890, part 2) a commit request
 * that was held up on its way ends whatever transaction it meets (KAFKA-17754).
 *
 * Abort. Records that are on their way are given a second: as long as the broker finishes the transaction before, it
 * takes no partition into this one, and librdkafka, which counts them anyway, has it abort something that it does not
 * know: a fatal error (INVALID_TXN_STATE; 2.0.2).
 *
 * Threads. librdkafka hands out results inside its commit and abort. So that they come on the producer's own thread as
 * everywhere, those two calls run there, in slices, between which everything else is served: log-in tokens, errors. All
 * others are waited for on the caller's thread.
 */
#include "kafka/transaction.h"

#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/deadline.h"
#include "base/error.h"
#include "kafka/producer.h"

enum {
    ID_SIZE_MAX = 1000,
    TIMEOUT_MS = 60000,
    TIMEOUT_MIN_MS = 1000,
    SLICE_MS = 1000,
    FLUSH_MS = 1000,           /* of an abort */
    SOCKET_MS = 10000,         /* librdkafka waits for the answer to offsets so long, whatever it is told */
    SOCKET_DEFAULT_MS = 60000, /* librdkafka's own */
    BACK_OFF_MS = 20,          /* offsets, while the broker is still about the transaction before; as for records */
    PAUSE_MS = 20
};

/* ---- New and free ---- */

kur_status kur__transaction_new(const kur_producer_options *options, kur__transaction **transaction, kur_error *error)
{
    const char *id = options->transactional_id;
    if (id == NULL)
        return options->transaction_timeout_ms == 0
                   ? KUR_OK
                   : kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                                   ".transaction_timeout_ms is set without .transactional_id");
    if (id[0] == '\0' || strlen(id) > ID_SIZE_MAX || !kur_bytes_is_utf8(kur_bytes_text(id)))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".transactional_id is empty, longer than %d bytes or not UTF-8", ID_SIZE_MAX);
    int timeout_ms = options->transaction_timeout_ms == 0 ? TIMEOUT_MS : options->transaction_timeout_ms;
    if (timeout_ms < TIMEOUT_MIN_MS)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".transaction_timeout_ms is below %d: %d",
                             TIMEOUT_MIN_MS, timeout_ms);
    if (options->delivery_timeout_ms == KUR_NONE || options->delivery_timeout_ms > timeout_ms)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".delivery_timeout_ms is longer than the transaction may be open, %d ms", timeout_ms);
    kur__transaction *made = kur_calloc(1, sizeof *made);
    if (made == NULL)
        return kur__error_no_memory(error);
    atomic_flag_clear(&made->busy);
    made->timeout_ms = timeout_ms;
    made->id = kur_strdup(id);
    made->compression = kur_strdup(options->compression);
    made->options = *options;
    made->options.transactional_id = made->id;
    made->options.compression = made->compression;
    if (made->id == NULL || (options->compression != NULL && made->compression == NULL)) {
        kur__transaction_free(made);
        return kur__error_no_memory(error);
    }
    *transaction = made;
    return KUR_OK;
}

void kur__transaction_free(kur__transaction *transaction)
{
    if (transaction == NULL)
        return;
    kur_free(transaction->id);
    kur_free(transaction->compression);
    kur_free(transaction);
}

/* Lowers a number that is above `limit`, or that is 0 and says "never". */
static kur_status lower(rd_kafka_conf_t *conf, const char *name, int limit, kur_error *error)
{
    char value[16] = "", why[256];
    size_t size = sizeof value;
    rd_kafka_conf_get(conf, name, value, &size);
    if (atoi(value) > 0 && atoi(value) <= limit)
        return KUR_OK;
    snprintf(value, sizeof value, "%d", limit);
    return rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK
               ? KUR_OK
               : kur_error_set(error, KUR_ERROR_CONFIG, "%s: %s", name, why);
}

kur_status kur__transaction_configure(const kur__transaction *transaction, const kur__config *config,
                                      rd_kafka_conf_t *conf, kur_error *error)
{
    char why[256], timeout_ms[16], socket_ms[16] = "";
    size_t size = sizeof socket_ms;
    if (transaction == NULL)
        return KUR_OK;
    snprintf(timeout_ms, sizeof timeout_ms, "%d", transaction->timeout_ms);
    if (rd_kafka_conf_set(conf, "transactional.id", transaction->id, why, sizeof why) != RD_KAFKA_CONF_OK ||
        rd_kafka_conf_set(conf, "transaction.timeout.ms", timeout_ms, why, sizeof why) != RD_KAFKA_CONF_OK)
        return kur_error_set(error, KUR_ERROR_CONFIG, "transactions: %s", why);
    rd_kafka_conf_get(conf, "socket.timeout.ms", socket_ms, &size);
    int socket_max_ms = transaction->timeout_ms - 100;
    if (atoi(socket_ms) == SOCKET_DEFAULT_MS && socket_max_ms > SOCKET_MS)
        socket_max_ms = SOCKET_MS;
    kur_status status = lower(conf, "socket.timeout.ms", socket_max_ms, error);
    if (status == KUR_OK && kur__config_get(config, "retry.backoff.ms") == NULL)
        status = lower(conf, "retry.backoff.ms", BACK_OFF_MS, error);
    return status == KUR_OK ? lower(conf, "message.timeout.ms", transaction->timeout_ms, error) : status;
}

/* ---- What all calls share ---- */

kur_status kur__transaction_enter(kur_producer *producer, const char *call, int timeout_ms, kur_error *error)
{
    if (producer == NULL)
        return kur_error_null(error, "producer");
    kur__transaction *transaction = producer->transaction;
    if (transaction == NULL)
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "%s: the producer was made without .transactional_id",
                             call);
    if (timeout_ms < 0)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "%s: timeout_ms is negative", call);
    if (kur__producer_is_own_thread(producer))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE, "%s: in a callback it would wait for itself", call);
    if (atomic_flag_test_and_set(&transaction->busy))
        return kur_error_set(error, KUR_ERROR_INVALID_STATE,
                             "transaction %.60s: %s: another thread is in a call for this producer", transaction->id,
                             call);
    return KUR_OK;
}

void kur__transaction_leave(kur_producer *producer)
{
    atomic_flag_clear(&producer->transaction->busy);
}

kur_status kur__transaction_wrong_state(const kur_producer *producer, const char *call, kur_error *error)
{
    static const char *const states[] = {
        [KUR__TRANSACTION_NEW] = "kur_transaction_init has not succeeded yet",
        [KUR__TRANSACTION_READY] = "no transaction is open",
        [KUR__TRANSACTION_OPEN] = "a transaction is open",
        [KUR__TRANSACTION_FAILED] = "the transaction has failed: abort it",
        [KUR__TRANSACTION_ABORTING] = "the transaction is being aborted: go on with the abort",
        [KUR__TRANSACTION_COMMITTING] = "the outcome of the commit is not known: replace the producer",
        [KUR__TRANSACTION_SPENT] = "the producer is of no more use: replace it",
    };
    const kur__transaction *transaction = producer->transaction;
    return kur_error_set(error, KUR_ERROR_INVALID_STATE, "transaction %.60s: %s: %s", transaction->id, call,
                         transaction->was_unknown ? states[KUR__TRANSACTION_COMMITTING] : states[transaction->state]);
}

static int slice_ms(const struct timespec *deadline)
{
    int left_ms = kur__deadline_left_ms(deadline);
    return left_ms < SLICE_MS ? left_ms : SLICE_MS;
}

/* ---- Init and begin ---- */

/* The embedded broker answers as if it had transactions, and then shows what was aborted. */
static kur_status check_cluster(kur_producer *producer, const struct timespec *deadline, int timeout_ms,
                                kur_error *error)
{
    char what[100];
    const kur__transaction *transaction = producer->transaction;
    char *id = NULL;
    int64_t since_us = kur_clock_monotonic_us();
    while (id == NULL) {
        id = rd_kafka_clusterid(producer->rk, producer->has_thread ? slice_ms(deadline) : PAUSE_MS);
        if (id != NULL)
            break;
        kur__producer_pause(producer);
        if (!kur__deadline_is_over(deadline) && !kur__connection_is_refused(&producer->connection, since_us))
            continue;
        snprintf(what, sizeof what, "transactions: init: no answer within %d ms", timeout_ms);
        return kur__connection_timeout(&producer->connection, error, what);
    }
    bool is_embedded = strncmp(id, "mockCluster", 11) == 0;
    rd_kafka_mem_free(producer->rk, id);
    if (is_embedded)
        return kur_error_set(error, KUR_ERROR_UNSUPPORTED,
                             "transaction %.60s: the embedded broker has no transactions: use a real Kafka",
                             transaction->id);
    return KUR_OK;
}

/* Nothing is open yet, so that the cause itself is the better answer. */
static kur_status init_refused(kur_producer *producer, rd_kafka_error_t *said, kur_error *error)
{
    kur_error made = {0};
    kur_status status = kur__transaction_judge(producer, said, "init", &made);
    kur_status cause = kur__status_of_kafka((rd_kafka_resp_err_t)made.kafka_code);
    if (made.kafka_code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
        cause = KUR_ERROR_UNSUPPORTED;
    if (status != KUR_ERROR_FENCED && (cause == KUR_ERROR_AUTHORIZATION || cause == KUR_ERROR_UNSUPPORTED))
        made.code = cause;
    if (error != NULL)
        *error = made;
    return made.code;
}

static kur_status init(kur_producer *producer, int timeout_ms, kur_error *error)
{
    struct timespec deadline = kur_deadline_after(timeout_ms);
    kur_status status = check_cluster(producer, &deadline, timeout_ms, error);
    while (status == KUR_OK) {
        rd_kafka_error_t *said = rd_kafka_init_transactions(producer->rk, slice_ms(&deadline));
        if (said == NULL)
            break;
        bool again = rd_kafka_error_is_retriable(said) && !kur__deadline_is_over(&deadline);
        if (!again) {
            status = init_refused(producer, said, error);
            break;
        }
        rd_kafka_error_destroy(said);
        kur__producer_pause(producer);
    }
    if (status == KUR_OK)
        producer->transaction->state = KUR__TRANSACTION_READY;
    return status;
}

kur_status kur_transaction_init(kur_producer *producer, int timeout_ms, kur_error *error)
{
    kur_status status = kur__transaction_enter(producer, "init", timeout_ms, error);
    if (status != KUR_OK)
        return status;
    if (producer->transaction->state == KUR__TRANSACTION_NEW)
        status = init(producer, timeout_ms, error);
    else if (producer->transaction->state == KUR__TRANSACTION_SPENT)
        status = kur__transaction_wrong_state(producer, "init", error);
    kur__transaction_leave(producer);
    return status;
}

kur_status kur_transaction_begin(kur_producer *producer, kur_error *error)
{
    kur_status status = kur__transaction_enter(producer, "begin", 0, error);
    if (status != KUR_OK)
        return status;
    kur__transaction *transaction = producer->transaction;
    if (transaction->state != KUR__TRANSACTION_READY || transaction->was_unknown) {
        status = kur__transaction_wrong_state(producer, "begin", error);
    } else {
        atomic_store(&transaction->first_failure, 0);
        atomic_store(&transaction->is_in_doubt, false);
        transaction->commit_sent = false;
        rd_kafka_error_t *said = rd_kafka_begin_transaction(producer->rk);
        if (said != NULL) {
            status = kur__transaction_judge(producer, said, "begin", error);
        } else {
            transaction->state = KUR__TRANSACTION_OPEN;
            transaction->begun_us = kur_clock_monotonic_us();
        }
    }
    kur__transaction_leave(producer);
    return status;
}

/* ---- Commit and abort ---- */

/* One of librdkafka's two calls that hand out results, where results are served. */
struct ending {
    kur_producer *producer;
    rd_kafka_error_t *(*call)(rd_kafka_t *rk, int timeout_ms);
    struct timespec deadline;
    rd_kafka_error_t *said;
};

/*
 * Whether to call again. Here it is in a state in which the call is right, so that librdkafka's "erroneous state" is
 * its own confusion: an answer that came between two of the steps of a call that is resumed (2.0.2). An abort can fail
 * in a way that asks for an abort: of the records still on their way.
 */
static bool goes_on(const struct ending *ending)
{
    return rd_kafka_error_is_retriable(ending->said) ||
           (rd_kafka_error_code(ending->said) == RD_KAFKA_RESP_ERR__STATE && !rd_kafka_error_is_fatal(ending->said)) ||
           (ending->call == rd_kafka_abort_transaction && rd_kafka_error_txn_requires_abort(ending->said));
}

static void run_ending(void *user)
{
    struct ending *ending = user;
    for (;;) {
        ending->said = ending->call(ending->producer->rk, slice_ms(&ending->deadline));
        if (ending->said == NULL || !goes_on(ending) || kur__deadline_is_over(&ending->deadline))
            return;
        rd_kafka_error_destroy(ending->said);
        kur__producer_serve(ending->producer, PAUSE_MS);
    }
}

/* NULL when it is done; `*may_go_on` else says whether it can be called again. */
static rd_kafka_error_t *end_by(kur_producer *producer, rd_kafka_error_t *(*call)(rd_kafka_t *rk, int timeout_ms),
                                const struct timespec *deadline, bool *may_go_on)
{
    struct ending ending = {.producer = producer, .call = call, .deadline = *deadline};
    kur__producer_run_serving(producer, run_ending, &ending);
    *may_go_on = ending.said != NULL && goes_on(&ending);
    return ending.said;
}

static kur_status unknown(kur_producer *producer, const char *why, int32_t kafka_code, kur_error *error)
{
    kur__transaction *transaction = producer->transaction;
    transaction->was_unknown = true;
    kur_error_set(error, KUR_ERROR_UNKNOWN_OUTCOME,
                  "transaction %.60s: may or may not be committed: replace the producer, then look: %s",
                  transaction->id, why);
    if (error != NULL) {
        error->kafka_code = kafka_code;
        error->fatal = true;
    }
    return KUR_ERROR_UNKNOWN_OUTCOME;
}

static kur_status send_commit(kur_producer *producer, const struct timespec *deadline, kur_error *error)
{
    kur__transaction *transaction = producer->transaction;
    transaction->state = KUR__TRANSACTION_COMMITTING;
    transaction->commit_sent = true;
    bool may_go_on;
    rd_kafka_error_t *said = end_by(producer, rd_kafka_commit_transaction, deadline, &may_go_on);
    if (said == NULL) {
        transaction->state = KUR__TRANSACTION_READY;
        return KUR_OK;
    }
    kur_error made = {0};
    kur_status status = kur__transaction_judge(producer, said, "commit", &made);
    /* Nothing else says that no earlier attempt has arrived. */
    if (status != KUR_ERROR_MUST_ABORT && status != KUR_ERROR_FENCED)
        return unknown(producer, made.message, made.kafka_code, error);
    if (error != NULL)
        *error = made;
    return status;
}

static kur_status commit(kur_producer *producer, int timeout_ms, kur_error *error)
{
    struct timespec deadline = kur_deadline_after(timeout_ms);
    if (producer->transaction->state == KUR__TRANSACTION_OPEN) {
        kur_status status = kur_producer_flush(producer, timeout_ms, error);
        if (status != KUR_OK) {
            kur__error_prefix(error, "transaction %.60s: commit: ", producer->transaction->id);
            return status;
        }
        if (atomic_load(&producer->transaction->is_in_doubt)) {
            producer->transaction->state = KUR__TRANSACTION_FAILED;
            return kur__transaction_refusal(producer, error);
        }
    }
    return send_commit(producer, &deadline, error);
}

kur_status kur_transaction_commit(kur_producer *producer, int timeout_ms, kur_error *error)
{
    kur_status status = kur__transaction_enter(producer, "commit", timeout_ms, error);
    if (status != KUR_OK)
        return status;
    switch (atomic_load(&producer->transaction->state)) {
    case KUR__TRANSACTION_OPEN:
    case KUR__TRANSACTION_COMMITTING:
        status = commit(producer, timeout_ms, error);
        break;
    case KUR__TRANSACTION_FAILED:
        status = kur_error_set(error, KUR_ERROR_MUST_ABORT, "transaction %.60s: it has failed: abort it",
                               producer->transaction->id);
        break;
    default:
        status = kur__transaction_wrong_state(producer, "commit", error);
        break;
    }
    kur__transaction_leave(producer);
    return status;
}

static kur_status abort_open(kur_producer *producer, int timeout_ms, kur_error *error)
{
    kur__transaction *transaction = producer->transaction;
    struct timespec deadline = kur_deadline_after(timeout_ms);
    if (transaction->state == KUR__TRANSACTION_OPEN)
        kur_producer_flush(producer, timeout_ms < FLUSH_MS ? timeout_ms : FLUSH_MS, NULL);
    bool may_go_on;
    rd_kafka_error_t *said = end_by(producer, rd_kafka_abort_transaction, &deadline, &may_go_on);
    if (said == NULL) {
        transaction->state = KUR__TRANSACTION_READY;
        return KUR_OK;
    }
    kur_error made = {0};
    kur_status status = kur__transaction_judge(producer, said, "abort", &made);
    if (!made.fatal && may_go_on) {
        transaction->state = KUR__TRANSACTION_ABORTING;
        status = kur_error_set(error, KUR_ERROR_TIMEOUT, "%s", made.message);
        if (error != NULL)
            error->kafka_code = made.kafka_code;
        return status;
    }
    transaction->state = KUR__TRANSACTION_SPENT;
    if (transaction->commit_sent)
        return unknown(producer, made.message, made.kafka_code, error);
    if (status != KUR_ERROR_FENCED)
        status = kur_error_set(&made, KUR_ERROR_FATAL, "%s", made.message);
    if (error != NULL)
        *error = made;
    return status;
}

kur_status kur_transaction_abort(kur_producer *producer, int timeout_ms, kur_error *error)
{
    kur_status status = kur__transaction_enter(producer, "abort", timeout_ms, error);
    if (status != KUR_OK)
        return status;
    switch (atomic_load(&producer->transaction->state)) {
    case KUR__TRANSACTION_OPEN:
    case KUR__TRANSACTION_FAILED:
    case KUR__TRANSACTION_ABORTING:
        status = abort_open(producer, timeout_ms, error);
        break;
    default:
        status = kur__transaction_wrong_state(producer, "abort", error);
        break;
    }
    kur__transaction_leave(producer);
    return status;
}

int kur__transaction_end(kur_producer *producer, int timeout_ms)
{
    kur__transaction *transaction = producer->transaction;
    if (transaction == NULL)
        return timeout_ms;
    if (transaction->state == KUR__TRANSACTION_OPEN || transaction->state == KUR__TRANSACTION_FAILED ||
        transaction->state == KUR__TRANSACTION_ABORTING)
        abort_open(producer, timeout_ms, NULL);
    return 0; /* what is left belongs to no transaction that could be committed */
}
