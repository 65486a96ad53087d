/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How a client logs in: what is refused before anything is sent, tokens, and the secrets that no message shows.
 */
#ifndef KURIER_KAFKA_SECURITY_H
#define KURIER_KAFKA_SECURITY_H

#include <kurier/security.h>
#include <librdkafka/rdkafka.h>

#include "base/log.h"
#include "base/secrets.h"
#include "kafka/config.h"

typedef struct kur__security {
    kur__secrets secrets;
    kur_token_callback *token;
    void *token_user;
    bool allows_clear_text;
    bool asks_for_tokens; /* by a callback, ours or librdkafka's for tests, that needs a thread */
} kur__security;

void kur__security_init(kur__security *security, const kur_security_options *options);
void kur__security_done(kur__security *security);

/*
 * Takes over the secrets among the settings and checks how they log in: KUR_ERROR_CONFIG for what is not safe or cannot
 * work, KUR_ERROR_UNSUPPORTED for what this librdkafka was built without. `conf` holds all that is in force.
 */
kur_status kur__security_check(kur__security *security, const kur__config *config, const rd_kafka_conf_t *conf,
                               const kur__log *log, kur_error *error);

/*
 * Likewise by names alone: whether a librdkafka whose builtin.features are `features` can do what protocol, mechanism
 * and sasl.oauthbearer.method ask for.
 */
kur_status kur__security_is_built_in(const char *features, const char *protocol, const char *mechanism,
                                     const char *method, kur_error *error);

/* Sets the token callback of a configuration whose opaque is a kur__connection. */
void kur__security_prepare(const kur__security *security, rd_kafka_conf_t *conf);

/* Lets tokens be asked for, on a thread of librdkafka's. */
kur_status kur__security_start(const kur__security *security, rd_kafka_t *rk, kur_error *error);

/* A property's value in `value`, empty when it has none or librdkafka does not know it. */
void kur__conf_get(const rd_kafka_conf_t *conf, const char *name, char *value, size_t size);

#endif
