/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What one librdkafka handle says of its brokers: its log, why none answers, a warning every 10 s while none has, and
 * an early end of what would wait for brokers that refuse the log-in.
 */
#ifndef KURIER_KAFKA_CONNECTION_H
#define KURIER_KAFKA_CONNECTION_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "kafka/refusal.h"
#include "kafka/security.h"

enum {
    KUR__REQUEST_MS_MAX = 3600 * 1000 /* the longest time-out that librdkafka has for an admin request */
};

typedef struct kur__connection {
    const kur__log *log;
    kur__security *security; /* NULL: nobody logs in */
    kur__login login;
    bool verifies; /* brokers' certificates */
    atomic_bool is_abandoned;
    atomic_int calls;     /* of the log and of the token callback, under way */
    atomic_bool is_down;  /* all brokers have gone, and none is known to have come back */
    pthread_mutex_t lock; /* guards what stands below */
    char reason[480];     /* host and reason of the last failure; empty while there was none */
    kur_status
        failure;   /* KUR_ERROR_UNREACHABLE, KUR_ERROR_AUTHENTICATION, or the fatal error's status; KUR_OK while none */
    bool answered; /* some broker has answered since the start */
    int64_t next_warning_us;
    kur__verification verification; /* of the last broker's certificate that was found wrong */
    int64_t refused_since_us;       /* the first of the refusals in a row; 0: none */
    int64_t refused_last_us;
    int64_t told_us; /* the last refusal that a poll has told */
} kur__connection;

/*
 * Makes a handle that logs and logs in as its client says (kur__client_log, kur__client_security). Takes `conf` over in
 * any case; its opaque becomes the connection, which must outlive the handle and not move. On failure
 * (KUR_ERROR_CONFIG, KUR_ERROR_SYSTEM) there is nothing to be undone.
 */
rd_kafka_t *kur__connection_open(kur__connection *connection, const kur__log *log, kur__security *security,
                                 rd_kafka_type_t type, rd_kafka_conf_t *conf, kur_error *error);

/*
 * The client may go before the handle does: from now on nothing of the client's is called, and nothing is being called.
 */
void kur__connection_abandon(kur__connection *connection);
/* Around what is called of the client's on librdkafka's threads; not to be called when the first says false. */
bool kur__connection_enter(kur__connection *connection);
void kur__connection_leave(kur__connection *connection);

/* After the handle has been destroyed. */
void kur__connection_done(kur__connection *connection);

/* From the loop that serves the handle, at least every second or so: finds out whether a broker has answered, and
 * warns. */
void kur__connection_serve(kur__connection *connection, rd_kafka_t *rk);

/* A broker has answered just now: a record was delivered or fetched. */
static inline void kur__connection_heard(kur__connection *connection)
{
    if (atomic_load_explicit(&connection->is_down, memory_order_relaxed))
        atomic_store(&connection->is_down, false);
}

/*
 * Something took too long: sets KUR_ERROR_TIMEOUT with `what` ("flush: 3 records left after 500 ms") and, when no
 * broker answers, the host and reason of the last failure behind it (": 127.0.0.1:1: Connection refused");
 * KUR_ERROR_AUTHENTICATION when the log-in was refused.
 */
kur_status kur__connection_timeout(kur__connection *connection, kur_error *error, const char *what);

/*
 * Whether to wait on makes no sense, for no broker answers and log-ins have been refused for two seconds, both before
 * now and since `since_us`, by the monotonic clock, when the wait began.
 */
bool kur__connection_is_refused(kur__connection *connection, int64_t since_us);

/* For polls, which go on afterwards: likewise, but true only once for refusals within five seconds; sets `error`. */
bool kur__connection_tell_refusal(kur__connection *connection, const char *what, kur_error *error);

/* librdkafka's and Kafka's codes as ours; sets kafka_code; the message is "what: text of the code". */
kur_status kur__status_of_kafka(rd_kafka_resp_err_t code);
kur_status kur__error_of_kafka(kur_error *error, rd_kafka_resp_err_t code, const char *what, ...) KUR_PRINTF(3, 4);

#endif
