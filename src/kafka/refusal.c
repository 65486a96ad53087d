/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the protocol has no codes for most of this. What a log-in was refused for is known from librdkafka's
 * sentence, the number of the TLS alert in it, OpenSSL's verdict on the broker's certificate, and the client's own
 * certificate. Where a sentence is not recognised, it is passed on as it is.
 */
#include "kafka/refusal.h"

#include <kurier/sys/clock.h>
#include <kurier/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kafka/certificate.h"
#include "kafka/connection.h"
#include "kafka/security.h"

enum {
    /* librdkafka's nonce was not what Kafka 4 and later accept. */
    SCRAM_WORKS_SINCE = 0x020601ff,
    WORDS_SIZE = 250,
    HOST_SIZE = 280 /* a DNS name and a port */
};

void kur__login_of(const rd_kafka_conf_t *conf, kur__login *login)
{
    static const char *const others[] = {"ssl.certificate.pem", "ssl.keystore.location"};
    char value[512];
    *login = (kur__login){.librdkafka = rd_kafka_version()};
    kur__conf_get(conf, "sasl.mechanisms", login->mechanism, sizeof login->mechanism);
    kur__conf_get(conf, "ssl.certificate.location", login->certificate, sizeof login->certificate);
    login->has_certificate = login->certificate[0] != '\0';
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        kur__conf_get(conf, others[i], value, sizeof value);
        login->has_certificate = login->has_certificate || value[0] != '\0';
    }
    if (login->certificate[0] != '\0')
        kur__certificate_end_of_file(login->certificate, &login->certificate_end_us);
}

/* ---- librdkafka's sentences ---- */

/* "sasl_ssl://host:9092/bootstrap: words (after 3ms in state AUTH_REQ)" in its parts. */
static void split(const char *reason, char host[HOST_SIZE], char words[WORDS_SIZE])
{
    const char *from = strstr(reason, "://");
    const char *colon = strstr(reason, ": ");
    if (from == NULL || (colon != NULL && from > colon))
        from = reason;
    else
        from += 3;
    /* A sentence that is about no broker has spaces before its colon. */
    if (colon == NULL || colon < from || strcspn(from, " ") < (size_t)(colon - from)) {
        host[0] = '\0';
        snprintf(words, WORDS_SIZE, "%s", reason);
    } else {
        size_t size = strcspn(from, "/");
        if (size > (size_t)(colon - from))
            size = (size_t)(colon - from);
        snprintf(host, HOST_SIZE, "%.*s: ", (int)size, from);
        snprintf(words, WORDS_SIZE, "%s", colon + 2);
    }
    char *after = strstr(words, " (after ");
    if (after != NULL)
        *after = '\0';
}

/* The number of the TLS alert that the other side has sent, or 0. */
static int alert_in(const char *words)
{
    const char *at = strstr(words, "alert number ");
    return at != NULL ? atoi(at + strlen("alert number ")) : 0;
}

static void format_day(int64_t time_us, char text[KUR_TIME_TEXT_SIZE])
{
    kur_time_format(time_us, text);
    text[10] = '\0';
}

static bool has_expired(int64_t end_us)
{
    return end_us != 0 && end_us <= kur_clock_now_us();
}

/* ---- Why ---- */

static void explain_certificate_of_broker(const kur__verification *verification, char *text, size_t size)
{
    char day[KUR_TIME_TEXT_SIZE] = "";
    const char *whose = verification->depth == 0 ? "the broker's certificate"
                                                 : "an authority's certificate above the "
                                                   "broker's";
    switch (verification->code) {
    case 9: /* X509_V_ERR_CERT_NOT_YET_VALID */
        snprintf(text, size, "%s is not valid yet: is this machine's clock right?", whose);
        break;
    case 10: /* X509_V_ERR_CERT_HAS_EXPIRED */
        if (verification->end_us != 0)
            format_day(verification->end_us, day);
        snprintf(text, size, "%s has expired%s%s: it has to be renewed there", whose, day[0] != '\0' ? " on " : "",
                 day);
        break;
    case 62: /* X509_V_ERR_HOSTNAME_MISMATCH */
    case 64: /* X509_V_ERR_IP_ADDRESS_MISMATCH */
        snprintf(text, size, "%s is another host's: it does not name the host of this address", whose);
        break;
    case 23: /* X509_V_ERR_CERT_REVOKED */
        snprintf(text, size, "%s has been revoked", whose);
        break;
    default: /* 2, 18 to 21, and what is left: no trusted authority at the end of the chain */
        snprintf(text, size,
                 "%s is signed by no authority that this client trusts: ssl.ca.location must name the file of the one "
                 "that signed it (OpenSSL's error %d)",
                 whose, verification->code);
    }
}

static void explain_certificate_of_client(int alert, const kur__login *login, char *text, size_t size)
{
    char day[KUR_TIME_TEXT_SIZE];
    if (!login->has_certificate)
        snprintf(text, size,
                 "the broker asks for a client's certificate: set ssl.certificate.location and ssl.key.location (TLS "
                 "alert %d)",
                 alert);
    else if (has_expired(login->certificate_end_us)) {
        format_day(login->certificate_end_us, day);
        snprintf(text, size, "the broker refused this client's certificate, which has expired on %s: renew %.200s", day,
                 login->certificate);
    } else
        snprintf(text, size,
                 "the broker refused this client's certificate, which %s: is it signed by an authority that the broker "
                 "trusts? (TLS alert %d)",
                 login->certificate_end_us != 0 ? "has not expired" : "may have expired", alert);
}

static bool is_about_certificates(int alert)
{
    /* bad_certificate, unsupported, revoked, expired, unknown, unknown_ca, certificate_required (RFC 8446, 6.2) */
    return (alert >= 42 && alert <= 46) || alert == 48 || alert == 116;
}

static void explain_sasl(const char *words, const kur__login *login, char *text, size_t size)
{
    const char *mechanism = login->mechanism;
    if (strncasecmp(mechanism, "SCRAM", 5) == 0 && login->librdkafka < SCRAM_WORKS_SINCE)
        snprintf(
            text, size,
            "the log-in by %s was refused: librdkafka %d.%d.%d is too old to log in by SCRAM to Kafka 4, even with "
            "the right password; it takes 2.6.1 or later (with Kafka 3, check sasl.username and sasl.password)",
            mechanism, login->librdkafka >> 24 & 0xff, login->librdkafka >> 16 & 0xff, login->librdkafka >> 8 & 0xff);
    else if (strcasecmp(mechanism, "PLAIN") == 0 || strncasecmp(mechanism, "SCRAM", 5) == 0)
        snprintf(text, size, "the broker refused the log-in by %s: sasl.username or sasl.password is wrong (%s)",
                 mechanism, words);
    else if (strcasecmp(mechanism, "OAUTHBEARER") == 0)
        snprintf(text, size, "the broker refused the token: %s", words);
    else
        snprintf(text, size, "the broker refused the log-in by %s: %s", mechanism, words);
}

/* Returns false when the sentence is none that is known. */
static bool explain(const char *words, const kur__login *login, const kur__verification *verification, char *text,
                    size_t size)
{
    int alert = alert_in(words);
    if (strstr(words, "mechanism handshake failed") != NULL)
        snprintf(text, size, "the broker does not offer sasl.mechanism=%s: %s", login->mechanism, words);
    else if (strstr(words, "OAUTHBEARER token") != NULL)
        snprintf(text, size, "no token to log in by: %s", words);
    else if (strstr(words, "SASL authentication error") != NULL || strstr(words, "SaslAuthenticate") != NULL)
        explain_sasl(words, login, text, size);
    else if (verification->code != 0 && strstr(words, "certificate verify failed") != NULL)
        explain_certificate_of_broker(verification, text, size);
    else if (is_about_certificates(alert))
        explain_certificate_of_client(alert, login, text, size);
    else
        return false;
    return true;
}

kur_status kur__refusal_explain(rd_kafka_resp_err_t code, const char *reason, const kur__login *login,
                                const kur__verification *verification, char *text, size_t size)
{
    char host[HOST_SIZE], words[WORDS_SIZE], why[480];
    split(reason, host, words);
    if (explain(words, login, verification, why, sizeof why)) {
        snprintf(text, size, "%s%s", host, why);
        return KUR_ERROR_AUTHENTICATION;
    }
    kur_status status = kur__status_of_kafka(code);
    /* Neither side has refused anybody: whatever listens there does not speak TLS, or hung up. */
    if (status == KUR_ERROR_AUTHENTICATION && strstr(words, "SSL handshake failed") != NULL) {
        snprintf(text, size, "%s%s: does this port speak TLS (security.protocol)?", host, words);
        return KUR_ERROR_UNREACHABLE;
    }
    snprintf(text, size, "%s", reason);
    return status;
}

const char *kur__refusal_of_right(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return "an ACL is missing: producing takes WRITE on the topic, consuming READ";
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        return "an ACL is missing: consuming takes READ on the group, looking at it DESCRIBE";
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return "an ACL is missing: producing takes WRITE on the topic, administration ALTER or CREATE on the cluster";
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return "an ACL is missing: transactions take WRITE and DESCRIBE on the transactional id";
    default:
        return NULL;
    }
}
