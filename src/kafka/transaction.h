/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The transactional side of a producer, shared by its calls (transaction.c), offsets (transaction_offsets.c), and what
 * replaces and repeats (transaction_run.c).
 */
#ifndef KURIER_KAFKA_TRANSACTION_H
#define KURIER_KAFKA_TRANSACTION_H

#include <kurier/transaction.h>
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#include "kafka/config.h"

typedef enum kur__transaction_state {
    KUR__TRANSACTION_NEW = 0,
    KUR__TRANSACTION_READY,
    KUR__TRANSACTION_OPEN,
    KUR__TRANSACTION_FAILED,     /* has to be aborted */
    KUR__TRANSACTION_ABORTING,   /* the abort has to be gone on with */
    KUR__TRANSACTION_COMMITTING, /* the commit may have been sent: nothing but its answer can end it */
    KUR__TRANSACTION_SPENT       /* of no more use */
} kur__transaction_state;

/* Of a producer with .transactional_id. All but what failed is written by the call that holds `busy`. */
typedef struct kur__transaction {
    kur_producer_options options; /* for the next producer; the texts are this struct's own */
    char *id;
    char *compression;
    int timeout_ms;
    atomic_flag busy; /* a call is under way */
    _Atomic kur__transaction_state state;
    bool was_fenced;
    bool was_unknown; /* a commit once had no answer: a late one could end another transaction */
    bool commit_sent; /* of this transaction */
    int64_t begun_us;
    atomic_int first_failure; /* Kafka's code of what failed first in this transaction */
    atomic_bool is_in_doubt;  /* a record of it may be missing, and librdkafka does not know */
} kur__transaction;

/*
 * The transactional side of a producer with these options; `*transaction` stays NULL when they have no id.
 */
kur_status kur__transaction_new(const kur_producer_options *options, kur__transaction **transaction, kur_error *error);
void kur__transaction_free(kur__transaction *transaction);

/*
 * librdkafka's properties, after all others: two time-outs have to fit into the transaction's, and what is not among
 * the client's settings is as transactions need it.
 */
kur_status kur__transaction_configure(const kur__transaction *transaction, const kur__config *config,
                                      rd_kafka_conf_t *conf, kur_error *error);

/* Before the producer ends: aborts what is open. Returns how long the end may wait for records to be delivered. */
int kur__transaction_end(kur_producer *producer, int timeout_ms);

/* A record was not delivered, or something else has failed. NULL does nothing. */
static inline void kur__transaction_note_failure(kur__transaction *transaction, rd_kafka_resp_err_t code)
{
    int none = 0;
    if (transaction != NULL)
        atomic_compare_exchange_strong(&transaction->first_failure, &none, (int)code);
}

/* A record may be missing that librdkafka takes for delivered (result.c). NULL does nothing. */
static inline void kur__transaction_note_doubt(kur__transaction *transaction)
{
    kur__transaction_note_failure(transaction, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    if (transaction != NULL)
        atomic_store(&transaction->is_in_doubt, true);
}

/* Why a record cannot be sent now: KUR_ERROR_MUST_ABORT, KUR_ERROR_FENCED, KUR_ERROR_FATAL, KUR_ERROR_INVALID_STATE. */
kur_status kur__transaction_refusal(kur_producer *producer, kur_error *error);

/* ---- Calls ---- */

/*
 * Begins a call: checks the arguments that all have, and that no other is under way. With KUR_OK kur__transaction_leave
 * follows.
 */
kur_status kur__transaction_enter(kur_producer *producer, const char *call, int timeout_ms, kur_error *error);
void kur__transaction_leave(kur_producer *producer);

/*
 * What librdkafka says, which is freed, as one of the classes of <kurier/transaction.h>; the state follows. What it
 * gives no class comes back as the status of its code, and the state stays.
 */
kur_status kur__transaction_judge(kur_producer *producer, rd_kafka_error_t *said, const char *call, kur_error *error);

/* KUR_ERROR_INVALID_STATE: `call` is not possible now, and why. */
kur_status kur__transaction_wrong_state(const kur_producer *producer, const char *call, kur_error *error);

#endif
