/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A producer that is of no more use is replaced, and work is done in a transaction until it is committed.
 */
#include "base/deadline.h"
#include "base/error.h"
#include "kafka/client.h"
#include "kafka/producer.h"
#include "kafka/transaction.h"

enum {
    FIRST_PAUSE_MS = 50,
    LONGEST_PAUSE_MS = 1000
};

static kur_status check_handle(kur_producer **producer, int timeout_ms, kur_error *error)
{
    if (producer == NULL || *producer == NULL)
        return kur_error_null(error, producer == NULL ? "producer" : "*producer");
    kur_status status = kur__transaction_enter(*producer, "replace or run", timeout_ms, error);
    if (status == KUR_OK)
        kur__transaction_leave(*producer);
    return status;
}

kur_status kur_transaction_replace(kur_producer **producer, int timeout_ms, kur_error *error)
{
    kur_status status = check_handle(producer, timeout_ms, error);
    if (status != KUR_OK)
        return status;
    kur_producer *old = *producer;
    if (old->transaction->state != KUR__TRANSACTION_NEW) {
        struct timespec deadline = kur_deadline_after(timeout_ms);
        kur_error why = {0};
        kur_producer *made = kur_producer_new(kur__producer_client(old), &old->transaction->options, &why);
        if (made == NULL)
            return kur_error_set(error, why.code, "%s", why.message);
        /* No abort: what is open is aborted by the new one's init, at once and for certain. */
        old->transaction->state = KUR__TRANSACTION_SPENT;
        kur_producer_free(old);
        *producer = made;
        timeout_ms = kur__deadline_left_ms(&deadline);
    }
    return kur_transaction_init(*producer, timeout_ms, error);
}

/* ---- Run ---- */

/* To where a transaction can begin. */
static kur_status prepare(kur_producer **producer, const struct timespec *deadline, kur_error *error)
{
    int left_ms = kur__deadline_left_ms(deadline);
    const kur__transaction *transaction = (*producer)->transaction;
    if (transaction->was_fenced) /* to take over in turn, again and again, would be no one's wish */
        return kur_error_set(error, KUR_ERROR_FENCED,
                             "transaction %.60s: another producer with this id has taken over: kur_transaction_replace "
                             "takes it back",
                             transaction->id);
    if (transaction->was_unknown)
        return kur_transaction_replace(producer, left_ms, error);
    switch (atomic_load(&transaction->state)) {
    case KUR__TRANSACTION_NEW:
        return kur_transaction_init(*producer, left_ms, error);
    case KUR__TRANSACTION_READY:
        return KUR_OK;
    case KUR__TRANSACTION_FAILED:
    case KUR__TRANSACTION_ABORTING:
        return kur_transaction_abort(*producer, left_ms, error);
    case KUR__TRANSACTION_OPEN: /* the caller's own */
        return kur__transaction_wrong_state(*producer, "run", error);
    default:
        return kur_transaction_replace(producer, left_ms, error);
    }
}

static kur_status attempt(kur_producer *producer, kur_transaction_function *work, void *user,
                          const struct timespec *deadline, kur_error *error)
{
    kur_status status = kur_transaction_begin(producer, error);
    if (status != KUR_OK)
        return status;
    status = work(producer, user, error);
    if (status != KUR_OK && error->code != status)
        kur_error_set(error, status, "the work in the transaction gave no reason");
    if (status == KUR_OK)
        status = kur_transaction_commit(producer, kur__deadline_left_ms(deadline), error);
    return status;
}

/*
 * Leaves nothing open behind, as far as time allows. `error` stays that of the attempt, unless a commit had been sent
 * and cannot be undone, or it is not known yet whether it can.
 */
static void clean_up(kur_producer **producer, const struct timespec *deadline, kur_error *error)
{
    kur__transaction *transaction = (*producer)->transaction;
    kur_error why = {0};
    if (transaction->was_unknown) {
        kur_transaction_replace(producer, kur__deadline_left_ms(deadline), NULL);
        return;
    }
    if (transaction->state != KUR__TRANSACTION_OPEN && transaction->state != KUR__TRANSACTION_FAILED &&
        transaction->state != KUR__TRANSACTION_ABORTING)
        return;
    kur_status status = kur_transaction_abort(*producer, kur__deadline_left_ms(deadline), &why);
    if (status == KUR_OK || !transaction->commit_sent)
        return;
    kur_error_set(error, KUR_ERROR_UNKNOWN_OUTCOME, "transaction %.60s: may or may not be committed: %s",
                  transaction->id, why.message);
    error->retriable = false;
    if (transaction->was_unknown)
        kur_transaction_replace(producer, kur__deadline_left_ms(deadline), NULL);
}

static bool is_to_be_repeated(const kur_error *error)
{
    if (error->code == KUR_ERROR_UNKNOWN_OUTCOME || error->code == KUR_ERROR_FENCED)
        return false;
    return error->retriable || error->code == KUR_ERROR_FATAL;
}

/* Within the deadline; false when it is over. */
static bool wait_before_next(kur_producer *producer, int *pause_ms, const struct timespec *deadline)
{
    struct timespec until = kur_deadline_after(*pause_ms);
    if (!kur__deadline_is_before(&until, deadline))
        return false;
    while (!kur__deadline_is_over(&until))
        kur__producer_pause(producer);
    *pause_ms = *pause_ms * 2 < LONGEST_PAUSE_MS ? *pause_ms * 2 : LONGEST_PAUSE_MS;
    return true;
}

kur_status kur_transaction_run(kur_producer **producer, kur_transaction_function *work, void *user, int timeout_ms,
                               kur_error *error)
{
    if (work == NULL)
        return kur_error_null(error, "work");
    kur_status status = check_handle(producer, timeout_ms, error);
    if (status != KUR_OK)
        return status;
    struct timespec deadline = kur_deadline_after(timeout_ms);
    int pause_ms = FIRST_PAUSE_MS;
    kur_error last;
    do {
        last = (kur_error){0};
        status = prepare(producer, &deadline, &last);
        if (status == KUR_OK) {
            status = attempt(*producer, work, user, &deadline, &last);
            if (status == KUR_OK)
                return KUR_OK;
            clean_up(producer, &deadline, &last);
        }
    } while (is_to_be_repeated(&last) && wait_before_next(*producer, &pause_ms, &deadline));
    if (error != NULL)
        *error = last;
    return last.code;
}
