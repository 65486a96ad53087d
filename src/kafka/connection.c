/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: librdkafka tells of brokers that do not answer again and again, once a connection attempt. That goes to
 * the log as debug; what a person needs is one warning every 10 s, and the last reason beside whatever took too long.
 */
#include "kafka/connection.h"

#include <kurier/sys/clock.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum {
    WARNING_INTERVAL_US = 10 * 1000 * 1000
};

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    kur__connection *connection = rd_kafka_opaque(rk);
    if (connection == NULL)
        return;
    kur_log_level mapped = level <= 3 ? KUR_LOG_ERROR : level == 4 ? KUR_LOG_WARNING : KUR_LOG_DEBUG;
    /* Failing connections come to on_error as well; properties of the other role are the client's, not mistakes. */
    if (strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 || strcmp(facility, "CONFWARN") == 0)
        mapped = KUR_LOG_DEBUG;
    kur__log_print(connection->log, mapped, "librdkafka: %s: %s", facility, text);
}

static void remember(kur__connection *connection, kur_status failure, const char *reason)
{
    pthread_mutex_lock(&connection->lock);
    connection->failure = failure;
    snprintf(connection->reason, sizeof connection->reason, "%s", reason);
    pthread_mutex_unlock(&connection->lock);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    kur__connection *connection = opaque;
    kur_status status = kur__status_of_kafka((rd_kafka_resp_err_t)code);
    char text[256];
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(rk, text, sizeof text);
        status = kur__status_of_kafka(fatal);
        remember(connection, kur_status_is_fatal(status) ? status : KUR_ERROR_FATAL, text);
        kur__log_print(connection->log, KUR_LOG_ERROR, "fatal: %s", text);
        return;
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        pthread_mutex_lock(&connection->lock);
        bool answered = connection->answered;
        pthread_mutex_unlock(&connection->lock);
        kur__log_print(connection->log, answered ? KUR_LOG_WARNING : KUR_LOG_DEBUG, "%s", reason);
        return; /* the reason of each broker has come before */
    }
    if (status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_AUTHENTICATION || status == KUR_ERROR_TIMEOUT)
        remember(connection, status == KUR_ERROR_TIMEOUT ? KUR_ERROR_UNREACHABLE : status, reason);
    kur__log_print(connection->log, status == KUR_ERROR_UNREACHABLE ? KUR_LOG_DEBUG : KUR_LOG_WARNING, "%s", reason);
}

void kur__connection_init(kur__connection *connection, const kur__log *log, rd_kafka_conf_t *conf)
{
    memset(connection, 0, sizeof *connection);
    connection->log = log;
    pthread_mutex_init(&connection->lock, NULL);
    rd_kafka_conf_set_opaque(conf, connection);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
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
    bool answered = connection->answered;
    pthread_mutex_unlock(&connection->lock);
    if (answered)
        return;

    answered = has_answered(rk);
    pthread_mutex_lock(&connection->lock);
    connection->answered = answered;
    if (!answered && connection->failure != KUR_OK && now >= connection->next_warning_us) {
        connection->next_warning_us = now + WARNING_INTERVAL_US;
        memcpy(reason, connection->reason, sizeof reason);
    }
    pthread_mutex_unlock(&connection->lock);
    if (reason[0] != '\0')
        kur__log_print(connection->log, KUR_LOG_WARNING, "no broker has answered yet: %s", reason);
}

kur_status kur__connection_timeout(kur__connection *connection, kur_error *error, const char *what)
{
    char reason[sizeof connection->reason] = "";
    pthread_mutex_lock(&connection->lock);
    if (!connection->answered)
        memcpy(reason, connection->reason, sizeof reason);
    pthread_mutex_unlock(&connection->lock);
    if (reason[0] == '\0')
        return kur_error_set(error, KUR_ERROR_TIMEOUT, "%s", what);
    return kur_error_set(error, KUR_ERROR_TIMEOUT, "%s: no broker answered: %s", what, reason);
}
