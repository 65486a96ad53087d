/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What of log-ins needs no broker: what is refused beforehand, how refusals are explained, what is hidden.
 */
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../check_main.h"
#include "base/log.h"
#include "kafka/certificate.h"
#include "kafka/refusal.h"
#include "kafka/security.h"
#include <kurier/sys/base64.h>

/* Self-signed, of nobody: valid until 2036 (a UTCTime) and until 2081 (a GeneralizedTime). */
static const char until_2036[] = "-----BEGIN CERTIFICATE-----\n"
                                 "MIIBbjCCAROgAwIBAgIUAwIpJgO+JKIzdksG4foFBPO868EwCgYIKoZIzj0EAwIw\n"
                                 "DDEKMAgGA1UEAwwBdDAeFw0yNjExMjQyMjAwMTZaFw0zNjExMjEyMjAwMTZaMAwx\n"
                                 "CjAIBgNVBAMMAXQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATZ9S75LG1ab4D+\n"
                                 "1mnIcNblUKBemLPfj0dfQy6JqFs+yrT0Te9t/TkYjdoMkkTmmu7ZFfjWDcod42oZ\n"
                                 "04inRlpto1MwUTAdBgNVHQ4EFgQUqyY5Wo1rioCmwWDm/sYIzUnX9qswHwYDVR0j\n"
                                 "BBgwFoAUqyY5Wo1rioCmwWDm/sYIzUnX9qswDwYDVR0TAQH/BAUwAwEB/zAKBggq\n"
                                 "hkjOPQQDAgNJADBGAiEAxcQloRSoKk2S+w+7ucNNPI0tZLC4Bj3pR1iVP7jEniQC\n"
                                 "IQDdmTv9tFQEjZmzEDlxMD9ZWkdovKQuObOVJLkTY6CWYA==\n"
                                 "-----END CERTIFICATE-----\n";
static const char until_2081[] = "-----BEGIN CERTIFICATE-----\n"
                                 "MIIBbjCCARWgAwIBAgIUWk8eJTweq6gZVkFqKXCaaKignVAwCgYIKoZIzj0EAwIw\n"
                                 "DDEKMAgGA1UEAwwBdDAgFw0yNjExMjQyMjAwMTdaGA8yMDgxMDgyNzIyMDAxN1ow\n"
                                 "DDEKMAgGA1UEAwwBdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABP8v6D8I2tuz\n"
                                 "jQjlWl2FsVpyLJX4lBYDFd4GIbOWBz4ExJzUTRFpCOH+6l9DtmpVsJumdZ1uQ5PF\n"
                                 "ggfSjKTOxmGjUzBRMB0GA1UdDgQWBBRQcQaccHx9xHL/+0ntsRRoF71AkTAfBgNV\n"
                                 "HSMEGDAWgBRQcQaccHx9xHL/+0ntsRRoF71AkTAPBgNVHRMBAf8EBTADAQH/MAoG\n"
                                 "CCqGSM49BAMCA0cAMEQCIE5w6MepFRf2AGH1BiMHgtlYX42Uc+DSFVEbQ1z7F4nE\n"
                                 "AiBhGt6lZjHh0NcSaq2I5ton40C0CT78t3kSpZ5LDqt8Fw==\n"
                                 "-----END CERTIFICATE-----\n";

/* ---- Certificates ---- */

START_TEST(test_log_in__certificates_say_when_they_end)
{
    int64_t end = 0;
    ck_assert(kur__certificate_end_of_pem(kur_bytes_text(until_2036), &end));
    ck_assert_int_eq(end, INT64_C(2110917616) * 1000000);
    ck_assert(kur__certificate_end_of_pem(kur_bytes_text(until_2081), &end));
    ck_assert_int_eq(end, INT64_C(3523557617) * 1000000);
    char path[] = "/tmp/kurier-log-in.XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "key\n", 4), 4);
    ck_assert_int_eq(write(fd, until_2036, sizeof until_2036 - 1), (ssize_t)sizeof until_2036 - 1);
    close(fd);
    ck_assert(kur__certificate_end_of_file(path, &end));
    ck_assert_int_eq(end, INT64_C(2110917616) * 1000000);
    unlink(path);
    ck_assert(!kur__certificate_end_of_file(path, &end));
}
END_TEST

/* Whatever is cut or changed, it is refused or read within its bytes: the sanitizers look on. */
START_TEST(test_log_in__broken_certificates_are_refused)
{
    uint8_t der[1024];
    char text[1024];
    size_t size, kept = 0;
    int64_t end;
    const char *from = strchr(until_2036, '\n');
    for (size_t i = 0; from[i] != '-'; i++)
        if (from[i] != '\n')
            text[kept++] = from[i];
    ck_assert(kur_base64_read(text, kept, der, &size));
    ck_assert(kur__certificate_end(kur_bytes_of(der, size), &end));
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, der, cut);
        ck_assert(!kur__certificate_end(kur_bytes_of(copy, cut), &end));
        free(copy);
    }
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit++) {
            der[i] ^= (uint8_t)(1 << bit);
            kur__certificate_end(kur_bytes_of(der, size), &end);
            der[i] ^= (uint8_t)(1 << bit);
        }
    for (size_t cut = 0; cut < sizeof until_2036 - 2; cut++)
        ck_assert(!kur__certificate_end_of_pem(kur_bytes_of(until_2036, cut), &end));
}
END_TEST

/* ---- Why ---- */

#define AT "sasl_ssl://kafka.example:9093/bootstrap: "
#define LATER " (after 302ms in state AUTH_REQ)"

START_TEST(test_log_in__refusals_are_explained)
{
    const kur__login plain = {.mechanism = "PLAIN", .librdkafka = 0x020002ff},
                     old = {.mechanism = "SCRAM-SHA-512", .librdkafka = 0x020002ff},
                     nearly = {.mechanism = "SCRAM-SHA-256", .librdkafka = 0x020600ff},
                     fixed = {.mechanism = "SCRAM-SHA-512", .librdkafka = 0x020601ff},
                     token = {.mechanism = "OAUTHBEARER", .librdkafka = 0x021000ff},
                     expired = {.certificate = "c.pem", .has_certificate = true, .certificate_end_us = 1000000},
                     valid = {.certificate = "c.pem", .has_certificate = true, .certificate_end_us = INT64_MAX / 2},
                     unread = {.has_certificate = true};
    const kur__verification ok = {0}, late = {.code = 10, .end_us = 1000000}, above = {.code = 10, .depth = 1},
                            early = {.code = 9}, unknown = {.code = 20}, other_host = {.code = 62},
                            revoked = {.code = 23};
    const rd_kafka_resp_err_t auth = RD_KAFKA_RESP_ERR__AUTHENTICATION, ssl = RD_KAFKA_RESP_ERR__SSL,
                              lost = RD_KAFKA_RESP_ERR__TRANSPORT;
    const char *const invalid = AT "SASL authentication error: Authentication failed during authentication due to "
                                   "invalid credentials with SASL mechanism SCRAM-SHA-512" LATER;
    const char *const verify =
        AT "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker "
           "certificate could not be verified" LATER;
    const struct {
        rd_kafka_resp_err_t code;
        const char *reason;
        const kur__login *login;
        const kur__verification *verification;
        kur_status status;
        const char *text;
    } cases[] = {
        {auth, AT "SASL authentication error: Authentication failed: Invalid username or password" LATER, &plain, &ok,
         KUR_ERROR_AUTHENTICATION,
         "kafka.example:9093: the broker refused the log-in by PLAIN: sasl.username or sasl.password is wrong (SASL "
         "authentication error: Authentication failed: Invalid username or password)"},
        {auth, invalid, &old, &ok, KUR_ERROR_AUTHENTICATION,
         "kafka.example:9093: the log-in by SCRAM-SHA-512 was refused: librdkafka 2.0.2 is too old to log in by SCRAM "
         "to "
         "Kafka 4, even with the right password; it takes 2.6.1 or later (with Kafka 3, check sasl.username and "
         "sasl.password)"},
        {auth, invalid, &nearly, &ok, KUR_ERROR_AUTHENTICATION, "librdkafka 2.6.0 is too old"},
        {auth, invalid, &fixed, &ok, KUR_ERROR_AUTHENTICATION, "sasl.username or sasl.password is wrong"},
        {auth, AT "SASL authentication error: {\"status\":\"invalid_token\"}" LATER, &token, &ok,
         KUR_ERROR_AUTHENTICATION, "the broker refused the token"},
        {auth, "Failed to acquire SASL OAUTHBEARER token: 503", &token, &ok, KUR_ERROR_AUTHENTICATION,
         "no token to log in by: Failed to acquire SASL OAUTHBEARER token: 503"},
        {auth, AT "SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism" LATER, &plain, &ok,
         KUR_ERROR_AUTHENTICATION, "the broker does not offer sasl.mechanism=PLAIN"},
        {ssl, verify, &plain, &late, KUR_ERROR_AUTHENTICATION,
         "kafka.example:9093: the broker's certificate has expired on 1970-01-01"},
        {ssl, verify, &plain, &above, KUR_ERROR_AUTHENTICATION,
         "an authority's certificate above the broker's has expired"},
        {ssl, verify, &plain, &early, KUR_ERROR_AUTHENTICATION, "is not valid yet"},
        {ssl, verify, &plain, &unknown, KUR_ERROR_AUTHENTICATION, "ssl.ca.location must name"},
        {ssl, verify, &plain, &other_host, KUR_ERROR_AUTHENTICATION, "is another host's"},
        {ssl, verify, &plain, &revoked, KUR_ERROR_AUTHENTICATION, "has been revoked"},
        {lost, AT "Receive failed: error: SSL routines::sslv3 alert certificate unknown: SSL alert number 46" LATER,
         &expired, &ok, KUR_ERROR_AUTHENTICATION, "this client's certificate, which has expired on 1970-01-01: renew"},
        {lost, AT "Receive failed: error: SSL alert number 46" LATER, &valid, &ok, KUR_ERROR_AUTHENTICATION,
         "this client's certificate, which has not expired"},
        {lost, AT "Receive failed: error: SSL alert number 48" LATER, &unread, &ok, KUR_ERROR_AUTHENTICATION,
         "this client's certificate, which may have expired"},
        {lost, AT "Receive failed: error: SSL alert number 116" LATER, &plain, &ok, KUR_ERROR_AUTHENTICATION,
         "the broker asks for a client's certificate"},
        /* None of these is a refusal. */
        {lost, AT "Receive failed: error: SSL alert number 80" LATER, &valid, &ok, KUR_ERROR_UNREACHABLE, AT},
        {ssl, AT "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?" LATER, &plain, &ok,
         KUR_ERROR_UNREACHABLE, "does this port speak TLS"},
        {lost,
         "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state "
         "CONNECT)",
         &plain, &ok, KUR_ERROR_UNREACHABLE, "Connection refused (after 0ms"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[480] = "";
        kur_status status = kur__refusal_explain(cases[i].code, cases[i].reason, cases[i].login, cases[i].verification,
                                                 text, sizeof text);
        ck_assert_msg(status == cases[i].status, "%zu: %s %s", i, kur_status_name(status), text);
        ck_assert_msg(strstr(text, cases[i].text) != NULL, "%zu: %s", i, text);
    }
}
END_TEST

START_TEST(test_log_in__what_librdkafka_was_built_without)
{
    const char all[] = "gzip,snappy,ssl,sasl,regex,lz4,sasl_plain,sasl_scram,plugins,zstd,sasl_oauthbearer,oidc";
    const struct {
        const char *features, *protocol, *mechanism, *method, *says;
    } cases[] = {
        {all, "sasl_ssl", "PLAIN", "default", NULL},
        {all, "SASL_SSL", "scram-sha-512", "default", NULL},
        {all, "sasl_ssl", "OAUTHBEARER", "oidc", NULL},
        {all, "sasl_ssl", "GSSAPI", "default", "SASL GSSAPI (Kerberos)"},
        {all, "ssl", "GSSAPI", "default", NULL}, /* which then does not count */
        {"gzip,sasl,sasl_plain", "ssl", "GSSAPI", "default", "built without TLS"},
        {"gzip,sasl_plain", "sasl_ssl", "PLAIN", "default", "built without TLS"},
        {"ssl,sasl,sasl_plain", "sasl_ssl", "SCRAM-SHA-256", "default", "SASL SCRAM"},
        {"ssl,sasl,sasl_scram", "sasl_ssl", "PLAIN", "default", "SASL PLAIN"},
        {"ssl,sasl_scram", "sasl_ssl", "OAUTHBEARER", "default", "SASL OAUTHBEARER"},
        {"ssl,sasl_oauthbearer", "sasl_ssl", "OAUTHBEARER", "oidc", "sasl.oauthbearer.method=oidc"},
        {"ssl,sasl_oauthbearer", "sasl_ssl", "OAUTHBEARER", "default", NULL},
        {"", "plaintext", "GSSAPI", "default", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_error error = {0};
        kur_status status = kur__security_is_built_in(cases[i].features, cases[i].protocol, cases[i].mechanism,
                                                      cases[i].method, &error);
        ck_assert_msg(status == (cases[i].says != NULL ? KUR_ERROR_UNSUPPORTED : KUR_OK), "%zu: %s", i, error.message);
        if (cases[i].says != NULL)
            ck_says(error, cases[i].says);
    }
}
END_TEST

/* ---- What is refused beforehand ---- */

static kur_status give_nothing(kur_token_request *request, void *user, kur_error *error)
{
    (void)request;
    (void)user;
    (void)error;
    return KUR_OK;
}

START_TEST(test_log_in__unsafe_configurations_are_refused)
{
    const struct {
        kur_property properties[5];
        kur_security_options security;
        const char *says; /* NULL: it is taken */
    } cases[] = {
        {{{"security.protocol", "SASL_PLAINTEXT"},
          {"sasl.mechanism", "PLAIN"},
          {"sasl.username", "u"},
          {"sasl.password", "canary-p"}},
         {0},
         "shows the password"},
        {{{"security.protocol", "sasl_plaintext"},
          {"sasl.mechanisms", "PLAIN"},
          {"sasl.username", "u"},
          {"sasl.password", "canary-p"}},
         {.allow_clear_text = true},
         NULL},
        {{{"security.protocol", "SASL_PLAINTEXT"}, {"sasl.mechanism", "OAUTHBEARER"}},
         {.token = give_nothing},
         "shows the token"},
        {{{"security.protocol", "SASL_PLAINTEXT"}, {"sasl.mechanism", "OAUTHBEARER"}},
         {.token = give_nothing, .allow_clear_text = true},
         NULL},
        {{{"security.protocol", "SASL_PLAINTEXT"},
          {"sasl.mechanism", "SCRAM-SHA-256"},
          {"sasl.username", "u"},
          {"sasl.password", "canary-p"}},
         {0},
         NULL}, /* which does not send it */
        {{{"security.protocol", "SASL_SSL"}, {"sasl.mechanism", "PLAIN"}}, {0}, "needs sasl.username"},
        {{{"security.protocol", "SASL_SSL"}, {"sasl.mechanism", "SCRAM-SHA-512"}}, {0}, "needs sasl.username"},
        {{{"security.protocol", "SASL_SSL"}, {"sasl.mechanism", "OAUTHBEARER"}}, {0}, "needs tokens"},
        {{{"security.protocol", "SASL_SSL"},
          {"sasl.mechanism", "OAUTHBEARER"},
          {"enable.sasl.oauthbearer.unsecure.jwt", "true"}},
         {0},
         NULL},
        {{{"sasl.username", "u"}, {"sasl.password", "canary-p"}}, {0}, NULL}, /* warned of */
        {{{"sasl.kerberos.kinit.cmd", "true"}}, {0}, "runs a command"},
        {{{"sasl.kerberos.kinit.cmd", "true"}}, {.allow_code = true}, NULL},
        {{{"plugin.library.paths", ""}}, {0}, "loads code"},
        {{{"ssl.providers", "default"}}, {0}, "loads code"},
        {{{"sasl.jaas.config", "canary-p"}}, {0}, "set sasl.username and sasl.password"},
        {{{"ssl.truststore.location", "x.jks"}}, {0}, "set ssl.ca.location"},
        {{{"ssl.ca.locaton", "x"}}, {0}, "did you mean ssl.ca.location?"},
        {{{"sasl.oauthbearer.metod", "oidc"}}, {0}, "did you mean sasl.oauthbearer.method?"},
        {{{"security.protocoll", "ssl"}}, {0}, "did you mean security.protocol?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_error error = {0};
        kur_security_options security = cases[i].security;
        security.size = sizeof security;
        kur_client *client = kur_client_new(
            &KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties = cases[i].properties, .security = &security),
            &error);
        ck_assert_msg((client != NULL) == (cases[i].says == NULL), "%zu: %s", i, error.message);
        if (cases[i].says != NULL)
            ck_says(error, cases[i].says);
        ck_assert_ptr_null(strstr(error.message, "canary"));
        kur_client_unref(client);
    }
    kur_error error = {0};
    kur_security_options unsized = {.allow_code = true};
    ck_assert_ptr_null(kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .security = &unsized), &error));
    ck_says(error, "kur_security_options.size");
}
END_TEST

START_TEST(test_log_in__functions_name_the_argument)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    const kur_setting *settings = NULL;
    size_t count = 7;
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1"), &error);
    ck_status(kur_token_give(NULL, &KUR_TOKEN(.value = "x"), &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "request");
    error = (kur_error){0};
    ck_status(kur_client_check(NULL, 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_client_check(client, -1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "timeout_ms");
    ck_status(kur_client_settings(client, (kur_role)3, arena, &settings, &count, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_says(error, "role");
    ck_status(kur_client_settings(client, KUR_ROLE_PRODUCER, NULL, &settings, &count, &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_client_settings(client, KUR_ROLE_PRODUCER, arena, NULL, &count, &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_status(kur_client_settings(client, KUR_ROLE_PRODUCER, arena, &settings, NULL, &error),
              KUR_ERROR_INVALID_ARGUMENT, error);
    ck_assert_ptr_null(settings);
    ck_assert_uint_eq(count, 7);
    kur_client_unref(client);
    kur_arena_free(arena);
}
END_TEST

/* ---- Settings ---- */

static const kur_setting *find(const kur_setting *settings, size_t count, const char *name)
{
    const kur_setting *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(settings[i].name, name) == 0) {
            ck_assert_msg(found == NULL, "%s is there twice", name);
            found = &settings[i];
        }
    return found;
}

START_TEST(test_log_in__settings_have_origins_and_no_secrets)
{
    const kur_property properties[] = {
        {"sasl.password", "canary-p"}, {"sasl.username", "canary-u"}, {"linger.ms", "7"}, {"ssl.key.location", "/k"},
        {"ssl.key.pem", "canary-k"},   {"client.id", "me"},           {NULL, NULL}};
    const struct {
        const char *name, *value, *origin;
    } expected[] = {
        {"queue.buffering.max.ms", "7", ".properties"}, /* librdkafka's name for linger.ms */
        {"client.id", "me", ".properties"},
        {"metadata.broker.list", "a:1", ".bootstrap_servers"},
        {"sasl.password", "[hidden]", ".properties"},
        {"sasl.username", "[hidden]", ".properties"},
        {"ssl.key.pem", "[hidden]", ".properties"},
        {"ssl.key.location", "/k", ".properties"},
        {"enable.idempotence", "true", "kurier"},
        {"partitioner", "murmur2_random", "kurier"},
        {"security.protocol", "plaintext", "librdkafka"},
    };
    kur_error error = {0};
    const kur_setting *settings;
    size_t count;
    kur_arena *arena = kur_arena_new();
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "a:1", .properties = properties), &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    ck_ok(kur_client_settings(client, KUR_ROLE_PRODUCER, arena, &settings, &count, &error), error);
    ck_assert_uint_gt(count, 100);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const kur_setting *one = find(settings, count, expected[i].name);
        ck_assert_msg(one != NULL, "%s is not listed", expected[i].name);
        ck_assert_str_eq(one->value, expected[i].value);
        ck_assert_str_eq(one->origin, expected[i].origin);
    }
    for (size_t i = 0; i < count; i++) {
        ck_assert_ptr_null(strstr(settings[i].value, "canary"));
        ck_assert_uint_eq(settings[i].size, sizeof *settings);
        ck_assert(i == 0 || strcmp(settings[i - 1].name, settings[i].name) < 0);
    }
    ck_ok(kur_client_settings(client, KUR_ROLE_CONSUMER, arena, &settings, &count, &error), error);
    ck_assert_str_eq(find(settings, count, "enable.auto.commit")->origin, "kurier");
    kur_client_unref(client);
    kur_arena_free(arena);
}
END_TEST

/* ---- Secrets ---- */

static void keep(kur_log_level level, const char *message, void *user)
{
    (void)level;
    snprintf(user, 1200, "%s", message);
}

START_TEST(test_log_in__secrets_are_hidden_in_logs)
{
    char last[1200], long_text[1100];
    kur__secrets secrets;
    kur_error error = {0};
    kur__secrets_init(&secrets);
    kur__log log = {keep, last, KUR_LOG_DEBUG, &secrets};
    ck_ok(kur__secrets_add(&secrets, "canary-1", true, &error), error);
    ck_ok(kur__secrets_add(&secrets, "canary-1", true, &error), error);
    ck_ok(kur__secrets_add(&secrets, "abc", true, &error), error); /* too short to be one */
    for (int i = 0; i < 100; i++) {
        char token[32];
        snprintf(token, sizeof token, "token-%d.", i);
        ck_ok(kur__secrets_add(&secrets, token, false, &error), error);
    }
    kur__log_print(&log, KUR_LOG_DEBUG, "a canary-1 b canary-1canary-1, abc, token-99. token-98.");
    ck_assert_str_eq(last, "a ******** b ****************, abc, ********* *********");
    /* Cut where the log cuts it. */
    memset(long_text, 'x', sizeof long_text);
    strcpy(long_text + 1023 - 6, "canary-1");
    kur__log_print(&log, KUR_LOG_DEBUG, "%s", long_text);
    ck_assert_uint_eq(strlen(last), 1023);
    ck_assert_str_eq(last + 1023 - 8, "xx******");
    kur__secrets_done(&secrets);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_log_in__certificates_say_when_they_end,
                                  test_log_in__broken_certificates_are_refused,
                                  test_log_in__refusals_are_explained,
                                  test_log_in__what_librdkafka_was_built_without,
                                  test_log_in__unsafe_configurations_are_refused,
                                  test_log_in__functions_name_the_argument,
                                  test_log_in__settings_have_origins_and_no_secrets,
                                  test_log_in__secrets_are_hidden_in_logs,
                                  NULL};
    return check_main("log_in", tests);
}
