/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes
 *
 * librdkafka tells of brokers that do not answer again and again, once a connection attempt. That goes to the log as
 * debug; what a person needs is one warning every 10 s, and the last reason beside whatever took too long.
 *
 * A log-in that is refused is tried again by librdkafka for ever, for the broker may learn the password yet. Whoever
 * waits for it is told after two seconds of it; what is queued stays queued.
 */
#include "kafka/connection.h"

#include <kurier/sys/clock.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "kafka/certificate.h"

enum {
    WARNING_INTERVAL_US = 10 * 1000 * 1000,
    REFUSED_US = 2 * 1000 * 1000,        /* one broker of several may be wrong, or not know of a new password yet */
    REFUSAL_KEEPS_US = 15 * 1000 * 1000, /* librdkafka tries again after 10 s at the latest */
    TELL_INTERVAL_US = 5 * 1000 * 1000
};

bool kur__connection_enter(kur__connection *connection)
{
    atomic_fetch_add(&connection->calls, 1);
    if (!atomic_load(&connection->is_abandoned))
        return true;
    kur__connection_leave(connection);
    return false;
}

void kur__connection_leave(kur__connection *connection)
{
    atomic_fetch_sub(&connection->calls, 1);
}

void kur__connection_abandon(kur__connection *connection)
{
    atomic_store(&connection->is_abandoned, true);
    while (atomic_load(&connection->calls) > 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    kur__connection *connection = rd_kafka_opaque(rk);
    if (connection == NULL || !kur__connection_enter(connection))
        return;
    kur_log_level mapped = level <= 3 ? KUR_LOG_ERROR : level == 4 ? KUR_LOG_WARNING : KUR_LOG_DEBUG;
    /* Failing connections come to on_error as well; properties of the other role are the client's, not mistakes; that
     * a broker makes topics when it is asked about them is known of the embedded one. */
    if (strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 || strcmp(facility, "CONFWARN") == 0 ||
        strcmp(facility, "SSLCERTVRFY") == 0 || strcmp(facility, "AUTOCREATE") == 0)
        mapped = KUR_LOG_DEBUG;
    kur__log_print(connection->log, mapped, "librdkafka: %s: %s", facility, text);
    kur__connection_leave(connection);
}

/* Returns whether it is another reason than before. */
static bool remember(kur__connection *connection, kur_status failure, const char *reason)
{
    int64_t now = kur_clock_monotonic_us();
    pthread_mutex_lock(&connection->lock);
    bool is_new = false;
    if (failure == KUR_ERROR_AUTHENTICATION) {
        if (connection->refused_since_us == 0 || now - connection->refused_last_us > REFUSAL_KEEPS_US)
            connection->refused_since_us = now;
        connection->refused_last_us = now;
    }
    /* To be refused often ends in a connection that is merely lost: the refusal is the reason. */
    if (failure != KUR_ERROR_UNREACHABLE || connection->failure != KUR_ERROR_AUTHENTICATION ||
        now - connection->refused_last_us > REFUSAL_KEEPS_US) {
        is_new = strcmp(connection->reason, reason) != 0;
        connection->failure = failure;
        if (is_new && failure == KUR_ERROR_AUTHENTICATION)
            connection->next_warning_us = now + WARNING_INTERVAL_US; /* it is warned of right now */
        snprintf(connection->reason, sizeof connection->reason, "%s", reason);
    }
    pthread_mutex_unlock(&connection->lock);
    return is_new;
}

static void on_fatal(kur__connection *connection, rd_kafka_t *rk)
{
    char why[256] = "", text[480];
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(rk, why, sizeof why);
    kur_status status = kur__status_of_kafka(code);
    const char *missing = kur__refusal_of_right(code);
    snprintf(text, sizeof text, "%s%s%s", why, missing != NULL ? ": " : "", missing != NULL ? missing : "");
    remember(connection, kur_status_is_fatal(status) ? status : KUR_ERROR_FATAL, text);
    kur__log_print(connection->log, KUR_LOG_ERROR, "fatal: %s", text);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    kur__connection *connection = opaque;
    char text[480];
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        on_fatal(connection, rk);
        return;
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        pthread_mutex_lock(&connection->lock);
        bool answered = connection->answered;
        pthread_mutex_unlock(&connection->lock);
        atomic_store(&connection->is_down, true);
        kur__log_print(connection->log, answered ? KUR_LOG_WARNING : KUR_LOG_DEBUG, "%s", reason);
        return; /* the reason of each broker has come before */
    }
    pthread_mutex_lock(&connection->lock);
    kur__verification verification = connection->verification;
    pthread_mutex_unlock(&connection->lock);
    kur_status status =
        kur__refusal_explain((rd_kafka_resp_err_t)code, reason, &connection->login, &verification, text, sizeof text);
    kur__secrets_hide(connection->log->secrets, text);
    bool is_new = true;
    if (status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_AUTHENTICATION || status == KUR_ERROR_TIMEOUT)
        is_new = remember(connection, status == KUR_ERROR_TIMEOUT ? KUR_ERROR_UNREACHABLE : status, text);
    kur__log_print(connection->log, status == KUR_ERROR_UNREACHABLE || !is_new ? KUR_LOG_DEBUG : KUR_LOG_WARNING, "%s",
                   text);
}

/* OpenSSL's verdict stays what it is: this only keeps it, for librdkafka's messages leave it out. */
static int on_certificate(rd_kafka_t *rk, const char *broker, int32_t id, int *code, int depth, const char *der,
                          size_t size, char *why, size_t why_size, void *opaque)
{
    kur__connection *connection = opaque;
    (void)rk;
    (void)broker;
    (void)id;
    if (*code == 0)
        return 1;
    kur__verification found = {.code = *code, .depth = depth};
    if (der != NULL)
        kur__certificate_end(kur_bytes_of(der, size), &found.end_us);
    pthread_mutex_lock(&connection->lock);
    connection->verification = found;
    pthread_mutex_unlock(&connection->lock);
    snprintf(why, why_size, "OpenSSL's error %d at depth %d", *code, depth);
    return connection->verifies ? 0 : 1;
}

static void prepare(kur__connection *connection, const kur__log *log, kur__security *security, rd_kafka_conf_t *conf)
{
    char verifies[8];
    memset(connection, 0, sizeof *connection);
    connection->log = log;
    connection->security = security;
    pthread_mutex_init(&connection->lock, NULL);
    atomic_init(&connection->is_down, false);
    kur__conf_get(conf, "enable.ssl.certificate.verification", verifies, sizeof verifies);
    connection->verifies = strcmp(verifies, "true") == 0;
    kur__login_of(conf, &connection->login);
    rd_kafka_conf_set_opaque(conf, connection);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    /* Refused by a librdkafka without TLS, which then has no certificates to look at. */
    if (connection->verifies)
        (void)rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate);
    if (security != NULL)
        kur__security_prepare(security, conf);
}

rd_kafka_t *kur__connection_open(kur__connection *connection, const kur__log *log, kur__security *security,
                                 rd_kafka_type_t type, rd_kafka_conf_t *conf, kur_error *error)
{
    char why[400];
    prepare(connection, log, security, conf);
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        kur__secrets_hide(connection->log->secrets, why);
        kur_error_set(error, KUR_ERROR_CONFIG, "%s", why);
    } else if (security == NULL || kur__security_start(security, rk, error) == KUR_OK) {
        return rk;
    } else {
        rd_kafka_destroy(rk);
    }
    kur__connection_done(connection);
    return NULL;
}

void kur__connection_done(kur__connection *connection)
{
    pthread_mutex_destroy(&connection->lock);
}

/* The cluster's id comes with the first metadata, so that a broker has answered when it is there. */
static bool has_answered(rd_kafka_t *rk)
{
    char *id = rd_kafka_clusterid(rk, 0);
    if (id == NULL)
        return false;
    rd_kafka_mem_free(rk, id);
    return true;
}

void kur__connection_serve(kur__connection *connection, rd_kafka_t *rk)
{
    char reason[sizeof connection->reason] = "";
    int64_t now = kur_clock_monotonic_us();
    pthread_mutex_lock(&connection->lock);
    bool answered = connection->answered, refused = connection->failure == KUR_ERROR_AUTHENTICATION;
    pthread_mutex_unlock(&connection->lock);
    if (answered)
        return;

    answered = has_answered(rk);
    pthread_mutex_lock(&connection->lock);
    connection->answered = answered;
    if (answered) {
        connection->reason[0] = '\0';
        connection->failure = KUR_OK;
        connection->refused_since_us = 0;
    } else if (connection->failure != KUR_OK && now >= connection->next_warning_us) {
        connection->next_warning_us = now + WARNING_INTERVAL_US;
        memcpy(reason, connection->reason, sizeof reason);
    }
    pthread_mutex_unlock(&connection->lock);
    if (answered)
        atomic_store(&connection->is_down, false);
    if (reason[0] != '\0')
        kur__log_print(connection->log, KUR_LOG_WARNING, "%s: %s",
                       refused ? "log-ins are still refused" : "no broker has answered yet", reason);
}

kur_status kur__connection_timeout(kur__connection *connection, kur_error *error, const char *what)
{
    char reason[sizeof connection->reason] = "";
    kur_status status = KUR_ERROR_TIMEOUT;
    pthread_mutex_lock(&connection->lock);
    if (!connection->answered || atomic_load(&connection->is_down)) {
        memcpy(reason, connection->reason, sizeof reason);
        if (connection->failure == KUR_ERROR_AUTHENTICATION)
            status = KUR_ERROR_AUTHENTICATION;
    }
    pthread_mutex_unlock(&connection->lock);
    if (reason[0] == '\0')
        return kur_error_set(error, status, "%s", what);
    return kur_error_set(error, status, "%s: %s%s", what, status == KUR_ERROR_TIMEOUT ? "no broker answered: " : "",
                         reason);
}

/* ---- Log-ins that are refused ---- */

/* With the lock held. */
static bool is_refused(const kur__connection *connection, int64_t now)
{
    return (!connection->answered || atomic_load(&connection->is_down)) &&
           connection->failure == KUR_ERROR_AUTHENTICATION && connection->refused_since_us != 0 &&
           now - connection->refused_since_us >= REFUSED_US && now - connection->refused_last_us < REFUSAL_KEEPS_US;
}

bool kur__connection_is_refused(kur__connection *connection, int64_t since_us)
{
    int64_t now = kur_clock_monotonic_us();
    pthread_mutex_lock(&connection->lock);
    bool refused = now - since_us >= REFUSED_US && is_refused(connection, now);
    pthread_mutex_unlock(&connection->lock);
    return refused;
}

bool kur__connection_tell_refusal(kur__connection *connection, const char *what, kur_error *error)
{
    int64_t now = kur_clock_monotonic_us();
    pthread_mutex_lock(&connection->lock);
    bool tells = is_refused(connection, now) && connection->refused_last_us > connection->told_us &&
                 (connection->told_us == 0 || now - connection->told_us >= TELL_INTERVAL_US);
    if (tells)
        connection->told_us = now;
    pthread_mutex_unlock(&connection->lock);
    if (tells)
        kur__connection_timeout(connection, error, what);
    return tells;
}
