/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Why a connection was refused, in words that say what to change.
 */
#ifndef KURIER_KAFKA_REFUSAL_H
#define KURIER_KAFKA_REFUSAL_H

#include <kurier/error.h>
#include <librdkafka/rdkafka.h>

/* What OpenSSL found wrong with a broker's certificate. */
typedef struct kur__verification {
    int code;       /* X509_V_ERR_…, 0: nothing */
    int depth;      /* 0: the broker's own, above: who has signed it */
    int64_t end_us; /* of its validity; 0: not known */
} kur__verification;

/* What a configuration says of the log-in; all may be empty. */
typedef struct kur__login {
    char mechanism[64];
    char certificate[512]; /* path of the client's own */
    bool has_certificate;
    int64_t certificate_end_us; /* of its validity; 0: not known */
    int librdkafka;             /* rd_kafka_version() */
} kur__login;

void kur__login_of(const rd_kafka_conf_t *conf, kur__login *login);

/*
 * Explains what librdkafka says of a broker that could not be reached or has refused: `reason`, with `code`. The text
 * is one line that begins with the broker's host and port. Returns KUR_ERROR_AUTHENTICATION, KUR_ERROR_UNREACHABLE, or
 * what else the code stands for.
 */
kur_status kur__refusal_explain(rd_kafka_resp_err_t code, const char *reason, const kur__login *login,
                                const kur__verification *verification, char *text, size_t size);

/* What is to be done about a missing access right, "Topic authorization failed", or NULL when the code is none. */
const char *kur__refusal_of_right(rd_kafka_resp_err_t code);

#endif
