/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "kafka/security.h"

#include <kurier/sys/clock.h>
#include <kurier/sys/memory.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "kafka/connection.h"
#include <kurier/sys/options.h>

enum {
    VALUE_SIZE = 512,
    TOKEN_SIZE_MAX = 64 * 1024,
    EXTENSIONS_MAX = 32
};

void kur__security_init(kur__security *security, const kur_security_options *options)
{
    *security = (kur__security){
        .token = options->token, .token_user = options->token_user, .allows_clear_text = options->allow_clear_text};
    kur__secrets_init(&security->secrets);
}

void kur__security_done(kur__security *security)
{
    kur__secrets_done(&security->secrets);
}

/* ---- Checks ---- */

void kur__conf_get(const rd_kafka_conf_t *conf, const char *name, char *value, size_t size)
{
    value[0] = '\0';
    if (rd_kafka_conf_get(conf, name, value, &size) != RD_KAFKA_CONF_OK)
        value[0] = '\0';
}

/* Usernames and the like are masked where they stand, but may be words of any text. */
static bool is_to_be_hidden(const char *name)
{
    static const char *const parts[] = {"password", "secret", "key.pem"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcasestr(name, parts[i]) != NULL)
            return true;
    return false;
}

static kur_status keep_secrets(kur__security *security, const kur__config *config, kur_error *error)
{
    const char *name, *value, *origin;
    kur_status status = KUR_OK;
    for (const kur__setting *s = kur__config_next(config, NULL, &name, &value, &origin); s != NULL && status == KUR_OK;
         s = kur__config_next(config, s, &name, &value, &origin))
        if (is_to_be_hidden(name))
            status = kur__secrets_add(&security->secrets, value, true, error);
    return status;
}

static bool has_feature(const char *features, const char *feature)
{
    size_t size = strlen(feature);
    for (const char *at = features; (at = strstr(at, feature)) != NULL; at += size)
        if ((at == features || at[-1] == ',' || at[-1] == ' ') && (at[size] == ',' || at[size] == '\0'))
            return true;
    return false;
}

kur_status kur__security_is_built_in(const char *features, const char *protocol, const char *mechanism,
                                     const char *method, kur_error *error)
{
    bool uses_sasl = strncasecmp(protocol, "sasl", 4) == 0;
    const struct {
        const char *feature, *what;
        bool is_needed;
    } needs[] = {
        {"ssl", "TLS", strcasestr(protocol, "ssl") != NULL},
        {"sasl_plain", "SASL PLAIN", uses_sasl && strcasecmp(mechanism, "PLAIN") == 0},
        {"sasl_scram", "SASL SCRAM", uses_sasl && strncasecmp(mechanism, "SCRAM", 5) == 0},
        {"sasl_gssapi", "SASL GSSAPI (Kerberos)", uses_sasl && strcasecmp(mechanism, "GSSAPI") == 0},
        {"sasl_oauthbearer", "SASL OAUTHBEARER", uses_sasl && strcasecmp(mechanism, "OAUTHBEARER") == 0},
        {"oidc", "sasl.oauthbearer.method=oidc", uses_sasl && strcasecmp(method, "oidc") == 0},
    };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (needs[i].is_needed && !has_feature(features, needs[i].feature))
            return kur_error_set(error, KUR_ERROR_UNSUPPORTED,
                                 "this librdkafka (%s) was built without %s, which the configuration asks for",
                                 rd_kafka_version_str(), needs[i].what);
    return KUR_OK;
}

static kur_status check_sasl(kur__security *security, const rd_kafka_conf_t *conf, const char *mechanism, bool is_clear,
                             const char *method, kur_error *error)
{
    char unsecured[8], user[VALUE_SIZE];
    bool is_plain = strcasecmp(mechanism, "PLAIN") == 0, is_token = strcasecmp(mechanism, "OAUTHBEARER") == 0;
    kur__conf_get(conf, "enable.sasl.oauthbearer.unsecure.jwt", unsecured, sizeof unsecured);
    kur__conf_get(conf, "sasl.username", user, sizeof user);
    if (is_clear && (is_plain || is_token) && !security->allows_clear_text)
        return kur_error_set(error, KUR_ERROR_CONFIG,
                             "sasl.mechanism=%s over security.protocol=SASL_PLAINTEXT shows %s to everyone on the "
                             "network: use SASL_SSL, or allow it by .security with .allow_clear_text",
                             mechanism, is_plain ? "the password" : "the token");
    if ((is_plain || strncasecmp(mechanism, "SCRAM", 5) == 0) && user[0] == '\0')
        return kur_error_set(error, KUR_ERROR_CONFIG, "sasl.mechanism=%s needs sasl.username and sasl.password",
                             mechanism);
    bool is_builtin = strcasecmp(method, "oidc") == 0 || strcmp(unsecured, "true") == 0;
    if (is_token && security->token == NULL && !is_builtin)
        return kur_error_set(error, KUR_ERROR_CONFIG,
                             "sasl.mechanism=OAUTHBEARER needs tokens: .security with .token, or "
                             "sasl.oauthbearer.method=oidc");
    security->asks_for_tokens = is_token && (security->token != NULL || strcmp(unsecured, "true") == 0);
    return KUR_OK;
}

kur_status kur__security_check(kur__security *security, const kur__config *config, const rd_kafka_conf_t *conf,
                               const kur__log *log, kur_error *error)
{
    char protocol[32], mechanism[64], method[32], features[VALUE_SIZE];
    kur__conf_get(conf, "security.protocol", protocol, sizeof protocol);
    kur__conf_get(conf, "sasl.mechanisms", mechanism, sizeof mechanism);
    kur__conf_get(conf, "sasl.oauthbearer.method", method, sizeof method);
    kur__conf_get(conf, "builtin.features", features, sizeof features);
    bool uses_sasl = strncasecmp(protocol, "sasl", 4) == 0, uses_tls = strcasestr(protocol, "ssl") != NULL;
    kur_status status = keep_secrets(security, config, error);
    if (status == KUR_OK)
        status = kur__security_is_built_in(features, protocol, mechanism, method, error);
    if (status == KUR_OK && uses_sasl)
        status = check_sasl(security, conf, mechanism, !uses_tls, method, error);
    if (status == KUR_OK && !uses_sasl &&
        (kur__config_get(config, "sasl.password") != NULL || kur__config_get(config, "sasl.username") != NULL))
        kur__log_print(log, KUR_LOG_WARNING,
                       "sasl.username or sasl.password is set, but security.protocol=%s does not log in by them; "
                       "SASL_SSL does",
                       protocol);
    return status;
}

/* ---- Tokens ---- */

struct kur_token_request {
    rd_kafka_t *rk;
    kur__secrets *secrets;
    bool is_given;
};

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < 0x21 || *text > 0x7e)
            return false;
    return true;
}

static kur_status check_token(const kur_token *token, kur_error *error)
{
    if (token->value == NULL || token->value[0] == '\0' || strlen(token->value) > TOKEN_SIZE_MAX ||
        !is_ascii(token->value))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT,
                             ".value is missing, longer than %d bytes, or not ASCII without spaces", TOKEN_SIZE_MAX);
    if (token->expires_us <= kur_clock_now_us())
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".expires_us is not ahead: the token has expired");
    if (token->extension_count > EXTENSIONS_MAX || (token->extensions == NULL && token->extension_count > 0))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".extensions is NULL or has more than %d",
                             EXTENSIONS_MAX);
    for (size_t i = 0; i < token->extension_count; i++)
        if (token->extensions[i].name == NULL || token->extensions[i].value == NULL)
            return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".extensions[%zu] has no name or no value", i);
    if (token->principal != NULL && !kur_bytes_is_utf8(kur_bytes_text(token->principal)))
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, ".principal is not UTF-8");
    return KUR_OK;
}

kur_status kur_token_give(kur_token_request *request, const kur_token *given, kur_error *error)
{
    kur_token token;
    if (request == NULL || given == NULL)
        return kur_error_null(error, request == NULL ? "request" : "token");
    kur_status status = kur_options_take(&token, sizeof token, given, "kur_token", error);
    if (status == KUR_OK)
        status = check_token(&token, error);
    if (status == KUR_OK)
        status = kur__secrets_add(request->secrets, token.value, false, error);
    if (status != KUR_OK)
        return status;
    const char *extensions[2 * EXTENSIONS_MAX];
    for (size_t i = 0; i < token.extension_count; i++) {
        extensions[2 * i] = token.extensions[i].name;
        extensions[2 * i + 1] = token.extensions[i].value;
    }
    char why[256] = "";
    if (rd_kafka_oauthbearer_set_token(request->rk, token.value, token.expires_us / 1000,
                                       token.principal != NULL ? token.principal : "", extensions,
                                       2 * token.extension_count, why, sizeof why) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kur__secrets_hide(request->secrets, why);
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "the token was not taken: %s", why);
    }
    request->is_given = true;
    return KUR_OK;
}

static void ask_for_token(rd_kafka_t *rk, kur__security *security)
{
    kur_token_request request = {rk, &security->secrets, false};
    kur_error error = {0};
    kur_status status = security->token(&request, security->token_user, &error);
    if (status == KUR_OK && request.is_given)
        return;
    if (status != KUR_OK && error.message[0] == '\0')
        kur_error_set(&error, status, "the token callback returned %s", kur_status_name(status));
    /* Comes back as an error of the connection, which is logged and remembered. */
    rd_kafka_oauthbearer_set_token_failure(rk, status == KUR_OK ? "the token callback gave no token" : error.message);
}

static void on_token_needed(rd_kafka_t *rk, const char *config, void *opaque)
{
    kur__connection *connection = opaque;
    (void)config;
    if (!kur__connection_enter(connection))
        return;
    ask_for_token(rk, connection->security);
    kur__connection_leave(connection);
}

void kur__security_prepare(const kur__security *security, rd_kafka_conf_t *conf)
{
    if (!security->asks_for_tokens)
        return;
    /* Apart from the other callbacks: it may take its time, and come when nobody polls. */
    rd_kafka_conf_enable_sasl_queue(conf, 1);
    if (security->token != NULL)
        rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, on_token_needed);
}

kur_status kur__security_start(const kur__security *security, rd_kafka_t *rk, kur_error *error)
{
    if (!security->asks_for_tokens)
        return KUR_OK;
    rd_kafka_error_t *failed = rd_kafka_sasl_background_callbacks_enable(rk);
    if (failed == NULL)
        return KUR_OK;
    kur_status status =
        kur_error_set(error, KUR_ERROR_SYSTEM, "no thread for tokens: %s", rd_kafka_error_string(failed));
    rd_kafka_error_destroy(failed);
    return status;
}
