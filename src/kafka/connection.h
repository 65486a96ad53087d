/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What one librdkafka handle says of its brokers: its log, why none answers, and a warning every 10 s while none has.
 */
#ifndef KURIER_KAFKA_CONNECTION_H
#define KURIER_KAFKA_CONNECTION_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "base/log.h"
#include <kurier/error.h>

typedef struct kur__connection {
    const kur__log *log;
    pthread_mutex_t lock; /* guards what stands below */
    char reason[256];     /* host and reason of the last failure; empty while there was none */
    kur_status
        failure;   /* KUR_ERROR_UNREACHABLE, KUR_ERROR_AUTHENTICATION, or the fatal error's status; KUR_OK while none */
    bool answered; /* some broker has answered since the start */
    int64_t next_warning_us;
} kur__connection;

/*
 * Sets the log and error callbacks of a configuration that is about to be used. The configuration's opaque becomes the
 * connection, which must outlive the handle and not move.
 */
void kur__connection_init(kur__connection *connection, const kur__log *log, rd_kafka_conf_t *conf);
void kur__connection_done(kur__connection *connection);

/* From the loop that serves the handle, at least every second or so: finds out whether a broker has answered, and
 * warns. */
void kur__connection_serve(kur__connection *connection, rd_kafka_t *rk);

/*
 * Something took too long: sets KUR_ERROR_TIMEOUT with `what` ("flush: 3 records left after 500 ms") and, when no
 * broker has answered, the host and reason of the last failure behind it (": 127.0.0.1:1: Connection refused").
 */
kur_status kur__connection_timeout(kur__connection *connection, kur_error *error, const char *what);

/* librdkafka's and Kafka's codes as ours; sets kafka_code; the message is "what: text of the code". */
kur_status kur__status_of_kafka(rd_kafka_resp_err_t code);
kur_status kur__error_of_kafka(kur_error *error, rd_kafka_resp_err_t code, const char *what, ...) KUR_PRINTF(3, 4);

#endif
