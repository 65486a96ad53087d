/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Log-ins, certificates and access rights, on a real broker that has them (script/kafka run --secure). Every message
 * that any of it gives is searched for passwords and tokens at the end.
 */
#include <kurier/kurier.h>
#include <kurier/sys/clock.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../support.h"
#include <kurier/sys/base64.h>

enum {
    LONG_MS = 60000,
    SOON_US = LONG_MS * 1000 / 4 /* five seconds are promised; a slow day takes more, and never the whole time-out */
};

#define WRONG_PASSWORD "canary-wrong-7d1c"

/* ---- The broker ---- */

#define NEEDS_BROKER() skip_unless(getenv("KURIER_SECURE") != NULL, "no broker with log-ins: script/kafka run --secure")

static const char *secure(const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "KURIER_SECURE_%s", name);
    const char *value = getenv(full);
    ck_assert_msg(value != NULL, "%s is not set", full);
    return value;
}

static bool scram_works(void)
{
    return rd_kafka_version() >= 0x020601ff;
}

/* ---- All that was printed ---- */

static struct {
    pthread_mutex_t lock; /* guards the text */
    kur_buffer text;
    size_t lines;
} printed = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void print(kur_log_level level, const char *message, void *user)
{
    (void)user;
    pthread_mutex_lock(&printed.lock);
    kur_buffer_print(&printed.text, "%s %s\n", kur_log_level_name(level), message);
    printed.lines++;
    pthread_mutex_unlock(&printed.lock);
    if (getenv("KURIER_TEST_VERBOSE") != NULL)
        kur_log_stderr(level, message, NULL);
}

static void print_error(const char *where, const kur_error *error)
{
    char line[700];
    snprintf(line, sizeof line, "%s: %s: %s", where, kur_status_name(error->code), error->message);
    print(KUR_LOG_INFO, line, NULL);
}

/* ---- Log-ins ---- */

struct login {
    const char *listener;
    kur_property properties[8];
    kur_security_options security;
};

static kur_client *login_client(const struct login *login, const char *debug, kur_error *error)
{
    kur_property properties[12] = {{"reconnect.backoff.ms", "100"}};
    size_t count = 1;
    if (debug != NULL)
        properties[count++] = (kur_property){"debug", debug};
    for (const kur_property *p = login->properties; p->name != NULL; p++)
        properties[count++] = *p;
    *error = (kur_error){0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = secure(login->listener),
                                                            .properties = properties, .source = "/tests", .log = print,
                                                            .log_level = debug != NULL ? KUR_LOG_DEBUG : KUR_LOG_INFO,
                                                            .security = &login->security),
                                        error);
    if (client == NULL)
        print_error("client", error);
    return client;
}

static struct login by_password(const char *listener, const char *mechanism, const char *user, const char *password)
{
    return (struct login){listener,
                          {{"security.protocol", "SASL_SSL"},
                           {"sasl.mechanism", mechanism},
                           {"sasl.username", user},
                           {"sasl.password", password},
                           {"ssl.ca.location", secure("CA")}},
                          {.size = sizeof(kur_security_options)}};
}

static struct login by_certificate(const char *listener, const char *whose)
{
    char certificate[64], key[64];
    snprintf(certificate, sizeof certificate, "%sCERTIFICATE", whose);
    snprintf(key, sizeof key, "%sKEY", whose);
    return (struct login){listener,
                          {{"security.protocol", "ssl"},
                           {"ssl.ca.location", secure("CA")},
                           {"ssl.certificate.location", secure(certificate)},
                           {"ssl.key.location", secure(key)}},
                          {.size = sizeof(kur_security_options)}};
}

static struct login by_token(kur_token_callback *callback, void *user)
{
    return (struct login){
        "OAUTH",
        {{"security.protocol", "SASL_SSL"}, {"sasl.mechanism", "OAUTHBEARER"}, {"ssl.ca.location", secure("CA")}},
        KUR_SECURITY_OPTIONS(.token = callback, .token_user = user)};
}

/* ---- Tokens ---- */

static char last_token[1024];
static atomic_int tokens_asked;

static void append_base64url(char *to, size_t size, const char *text)
{
    kur_buffer base64 = {0};
    ck_assert_int_eq(kur_base64_write(&base64, kur_bytes_text(text)), KUR_OK);
    base64.data[strcspn(base64.data, "=")] = '\0';
    for (char *c = base64.data; *c != '\0'; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    strncat(to, base64.data, size - strlen(to) - 1);
    kur_buffer_done(&base64);
}

/* An unsecured JWT (RFC 7519, section 6), which only tests' brokers take. */
static kur_status give_token(kur_token_request *request, void *user, kur_error *error)
{
    char claims[200], token[1024] = "";
    int64_t now = kur_clock_now_us() / 1000000;
    snprintf(claims, sizeof claims, "{\"sub\":\"%s\",\"iat\":%lld,\"exp\":%lld}", (const char *)user, (long long)now,
             (long long)now + 600);
    append_base64url(token, sizeof token, "{\"alg\":\"none\"}");
    strcat(token, ".");
    append_base64url(token, sizeof token, claims);
    strcat(token, ".");
    pthread_mutex_lock(&printed.lock);
    strcpy(last_token, token);
    pthread_mutex_unlock(&printed.lock);
    atomic_fetch_add(&tokens_asked, 1);
    return kur_token_give(request, &KUR_TOKEN(.value = token, .expires_us = (now + 600) * 1000000, .principal = user),
                          error);
}

static kur_status give_none(kur_token_request *request, void *user, kur_error *error)
{
    (void)request;
    (void)user;
    (void)error;
    return KUR_OK;
}

static kur_status give_expired(kur_token_request *request, void *user, kur_error *error)
{
    return kur_token_give(request, &KUR_TOKEN(.value = user, .expires_us = 1), error);
}

static kur_status refuse_token(kur_token_request *request, void *user, kur_error *error)
{
    (void)request;
    (void)user;
    return kur_error_set(error, KUR_ERROR_UNREACHABLE, "the identity provider answered 503");
}

/* ---- Access rights ---- */

static void allow(const char *user, kur_acl_resource resource, const char *name, kur_acl_operation operation)
{
    char principal[64];
    struct login login = by_password("PLAIN", "PLAIN", secure("ADMIN"), secure("ADMIN_PASSWORD"));
    kur_error error;
    kur_client *client = login_client(&login, NULL, &error);
    kur_admin *admin = kur_admin_new(client, &error);
    snprintf(principal, sizeof principal, "User:%s", user);
    const kur_acl acl = KUR_ACL(.resource = resource, .name = name, .principal = principal, .operation = operation);
    ck_ok(kur_admin_create_acls(admin, &acl, 1, LONG_MS, &error), error);
    kur_admin_free(admin);
    kur_client_unref(client);
}

/* ---- Tests ---- */

/* The whole way, there and back. */
static void produces_and_consumes(const struct login *login, const char *topic, const char *group)
{
    kur_error error;
    kur_client *client = login_client(login, NULL, &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    ck_assert_msg(kur_client_check(client, LONG_MS, &error) == KUR_OK, "%s: %s", login->listener, error.message);
    kur_result result = {.size = sizeof result};
    kur_status status = kur_producer_send_wait(kur_client_producer(client, &error),
                                               &KUR_MESSAGE(.topic = topic, .value = kur_bytes_text("hello")), LONG_MS,
                                               &result, &error);
    ck_assert_msg(status == KUR_OK, "%s: %s", login->listener, error.message);
    const char *topics[] = {topic, NULL};
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = group), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_assert_int_eq(kur_consumer_subscribe(consumer, topics, &error), KUR_OK);
    kur_record *record = NULL;
    int64_t deadline = kur_clock_monotonic_us() + (int64_t)LONG_MS * 1000;
    while (record == NULL && kur_clock_monotonic_us() < deadline)
        ck_assert_msg(kur_consumer_poll(consumer, 1000, &record, &error) == KUR_OK, "%s: %s", login->listener,
                      error.message);
    ck_assert_msg(record != NULL, "%s: nothing came", login->listener);
    kur_consumer_free_records(consumer, &record, 1);
    kur_consumer_free(consumer);
    kur_client_unref(client);
}

START_TEST(test_security__logs_in)
{
    NEEDS_BROKER();
    const char *admin = secure("ADMIN"), *password = secure("ADMIN_PASSWORD");
    struct login logins[] = {by_password("PLAIN", "PLAIN", admin, password), by_certificate("MTLS", "ADMIN_"),
                             by_token(give_token, (void *)admin),
                             by_password("SCRAM", "SCRAM-SHA-256", admin, password),
                             by_password("SCRAM", "SCRAM-SHA-512", admin, password)};
    atomic_store(&tokens_asked, 0);
    for (size_t i = 0; i < sizeof logins / sizeof *logins; i++)
        if (strcmp(logins[i].listener, "SCRAM") != 0 || scram_works())
            produces_and_consumes(&logins[i], support_name("t"), support_name("g"));
    ck_assert_int_ge(atomic_load(&tokens_asked), 2); /* the producer's and the consumer's */
}
END_TEST

/* ---- What goes wrong ---- */

struct attempt {
    kur_client *client;
    kur_status (*call)(kur_client *client, kur_error *error);
    const char *name;
    pthread_t thread;
    kur_status status;
    kur_error error;
    int64_t took_us;
};

static kur_status try_check(kur_client *client, kur_error *error)
{
    return kur_client_check(client, LONG_MS, error);
}

static kur_status try_send_wait(kur_client *client, kur_error *error)
{
    kur_producer *producer = kur_producer_new(client, NULL, error);
    ck_assert_msg(producer != NULL, "%s", error->message);
    kur_status status = kur_producer_send_wait(producer, &KUR_MESSAGE(.topic = "t", .value = kur_bytes_text("hello")),
                                               LONG_MS, NULL, error);
    kur_producer_free(producer);
    return status;
}

static kur_status try_flush(kur_client *client, kur_error *error)
{
    kur_producer *producer = kur_producer_new(client, NULL, error);
    ck_assert_msg(producer != NULL, "%s", error->message);
    kur_status status =
        kur_producer_send(producer, &KUR_MESSAGE(.topic = "t", .value = kur_bytes_text("hello")), error);
    ck_assert_int_eq(status, KUR_OK);
    status = kur_producer_flush(producer, LONG_MS, error);
    kur_producer_free(producer);
    return status;
}

static kur_status try_poll(kur_client *client, kur_error *error)
{
    static const char *const topics[] = {"t", NULL};
    kur_record *record = NULL;
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = "g"), error);
    ck_assert_msg(consumer != NULL, "%s", error->message);
    ck_assert_int_eq(kur_consumer_subscribe(consumer, topics, error), KUR_OK);
    kur_status status = kur_consumer_poll(consumer, LONG_MS, &record, error);
    kur_consumer_free(consumer);
    return status;
}

static kur_status try_admin(kur_client *client, kur_error *error)
{
    kur_admin *admin = kur_admin_new(client, error);
    kur_arena *arena = kur_arena_new();
    const kur_cluster_view *cluster;
    ck_assert_msg(admin != NULL, "%s", error->message);
    kur_status status = kur_admin_cluster(admin, LONG_MS, arena, &cluster, error);
    kur_arena_free(arena);
    kur_admin_free(admin);
    return status;
}

static void *run_attempt(void *user)
{
    struct attempt *attempt = user;
    int64_t start = kur_clock_monotonic_us();
    attempt->status = attempt->call(attempt->client, &attempt->error);
    attempt->took_us = kur_clock_monotonic_us() - start;
    return NULL;
}

/* Each call that waits for a broker ends within 5 s, and says `says`. */
static void each_call_says(const struct login *login, const char *says)
{
    kur_error error;
    kur_client *client = login_client(login, NULL, &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    struct attempt attempts[] = {{.client = client, .call = try_check, .name = "check"},
                                 {.client = client, .call = try_send_wait, .name = "send_wait"},
                                 {.client = client, .call = try_flush, .name = "flush"},
                                 {.client = client, .call = try_poll, .name = "poll"},
                                 {.client = client, .call = try_admin, .name = "admin"}};
    size_t count = sizeof attempts / sizeof *attempts;
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(pthread_create(&attempts[i].thread, NULL, run_attempt, &attempts[i]), 0);
    for (size_t i = 0; i < count; i++)
        pthread_join(attempts[i].thread, NULL);
    for (size_t i = 0; i < count; i++) {
        const struct attempt *a = &attempts[i];
        print_error(a->name, &a->error);
        ck_assert_msg(strstr(a->error.message, says) != NULL, "%s: %s", a->name, a->error.message);
        ck_assert_msg(a->status == (a->call == try_send_wait ? KUR_ERROR_UNKNOWN_OUTCOME : KUR_ERROR_AUTHENTICATION),
                      "%s: %s", a->name, kur_status_name(a->status));
        if (a->call == try_send_wait)
            ck_assert_int_eq(a->error.kafka_code, RD_KAFKA_RESP_ERR__AUTHENTICATION);
        ck_assert_msg(a->took_us < SOON_US, "%s took %lld ms", a->name, (long long)a->took_us / 1000);
    }
    kur_client_unref(client);
}

START_TEST(test_security__says_why_a_log_in_is_refused)
{
    NEEDS_BROKER();
    const char *user = secure("USER");
    struct login password = by_password("PLAIN", "PLAIN", user, WRONG_PASSWORD),
                 scram =
                     by_password("SCRAM", "SCRAM-SHA-512", user, scram_works() ? WRONG_PASSWORD : secure("PASSWORD")),
                 mechanism = by_password("PLAIN", "SCRAM-SHA-256", user, WRONG_PASSWORD),
                 foreign = by_password("PLAIN", "PLAIN", user, secure("PASSWORD")),
                 nameless = by_certificate("MTLS", "");
    foreign.properties[4].value = secure("FOREIGN_CA");
    nameless.properties[2] = (kur_property){NULL, NULL};
    struct login expired_broker = by_certificate("EXPIRED", ""), expired = by_certificate("MTLS", "EXPIRED_"),
                 stranger = by_certificate("MTLS", "FOREIGN_"), none = by_token(give_none, NULL),
                 old = by_token(give_expired, (void *)"canary-token-7d1c"), refused = by_token(refuse_token, NULL);
    const struct {
        const struct login *login;
        const char *says;
    } cases[] = {
        {&password, "sasl.username or sasl.password is wrong"},
        {&scram, scram_works() ? "sasl.username or sasl.password is wrong" : "it takes 2.6.1 or later"},
        {&mechanism, "the broker does not offer sasl.mechanism=SCRAM-SHA-256"},
        {&foreign, "the broker's certificate is signed by no authority that this client trusts"},
        {&expired_broker, "the broker's certificate has expired on 20"},
        {&expired, "this client's certificate, which has expired on 20"},
        {&stranger, "this client's certificate, which has not expired"},
        {&nameless, "the broker asks for a client's certificate"},
        {&none, "the token callback gave no token"},
        {&old, "the token has expired"},
        {&refused, "the identity provider answered 503"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        each_call_says(cases[i].login, cases[i].says);
}
END_TEST

/* ---- Access rights that are missing ---- */

static const char *admin_topic(void)
{
    const char *name = support_name("t");
    struct login login = by_password("PLAIN", "PLAIN", secure("ADMIN"), secure("ADMIN_PASSWORD"));
    kur_error error;
    kur_client *client = login_client(&login, NULL, &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    ck_ok(kur_producer_send_wait(kur_client_producer(client, &error),
                                 &KUR_MESSAGE(.topic = name, .value = kur_bytes_text("hello")), LONG_MS, NULL, &error),
          error);
    kur_client_unref(client);
    return name;
}

static void is_forbidden(kur_status status, const kur_error *error, const char *name, const char *right, int64_t since)
{
    print_error("forbidden", error);
    ck_assert_msg(status == KUR_ERROR_AUTHORIZATION, "%s %s", kur_status_name(status), error->message);
    ck_assert_msg(strstr(error->message, name) != NULL && strstr(error->message, right) != NULL, "%s", error->message);
    ck_assert_int_lt(kur_clock_monotonic_us() - since, SOON_US);
}

/* In a group, or without one. */
static kur_status poll_once(kur_client *client, const char *topic, const char *group, kur_error *error)
{
    const char *topics[] = {topic, NULL};
    kur_record *record = NULL;
    kur_audience audience = group != NULL ? KUR_AUDIENCE_GROUP : KUR_BROADCAST;
    kur_consumer *consumer =
        kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = group, .audience = audience), error);
    ck_assert_msg(consumer != NULL, "%s", error->message);
    ck_assert_int_eq(kur_consumer_subscribe(consumer, topics, error), KUR_OK);
    kur_status status = kur_consumer_poll(consumer, LONG_MS, &record, error);
    if (record != NULL)
        kur_consumer_free_records(consumer, &record, 1);
    kur_consumer_free(consumer);
    return status;
}

START_TEST(test_security__says_which_right_is_missing)
{
    NEEDS_BROKER();
    const char *user = secure("USER"), *theirs = admin_topic(), *mine = admin_topic(), *group = support_name("g");
    struct login login = by_password("PLAIN", "PLAIN", user, secure("PASSWORD"));
    kur_error error = {0};
    kur_client *client = login_client(&login, NULL, &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    ck_ok(kur_client_check(client, LONG_MS, &error), error);
    int64_t start = kur_clock_monotonic_us();
    kur_status status =
        kur_producer_send_wait(kur_client_producer(client, &error),
                               &KUR_MESSAGE(.topic = theirs, .value = kur_bytes_text("hello")), LONG_MS, NULL, &error);
    is_forbidden(status, &error, theirs, "WRITE on the topic", start);
    kur_client_unref(client);

    allow(user, KUR_ACL_TOPIC, mine, KUR_ACL_WRITE);
    client = login_client(&login, NULL, &error);
    ck_ok(kur_producer_send_wait(kur_client_producer(client, &error),
                                 &KUR_MESSAGE(.topic = mine, .value = kur_bytes_text("hello")), LONG_MS, NULL, &error),
          error);
    start = kur_clock_monotonic_us();
    status =
        kur_producer_send_wait(kur_client_producer(client, &error),
                               &KUR_MESSAGE(.topic = theirs, .value = kur_bytes_text("hello")), LONG_MS, NULL, &error);
    is_forbidden(status, &error, theirs, "WRITE on the topic", start);

    start = kur_clock_monotonic_us();
    status = poll_once(client, mine, group, &error);
    is_forbidden(status, &error, group, "READ on the group", start);
    allow(user, KUR_ACL_GROUP, group, KUR_ACL_READ);
    start = kur_clock_monotonic_us();
    status = poll_once(client, theirs, group, &error);
    is_forbidden(status, &error, theirs, "READ", start);
    /* To see a topic is not to read it. */
    start = kur_clock_monotonic_us();
    status = poll_once(client, mine, group, &error);
    is_forbidden(status, &error, mine, "READ", start);
    allow(user, KUR_ACL_TOPIC, mine, KUR_ACL_READ);
    status = poll_once(client, mine, group, &error);
    ck_assert_msg(status == KUR_OK, "%s", error.message);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_security__a_broadcast_needs_no_right_to_a_group)
{
    NEEDS_BROKER();
    const char *user = secure("USER"), *theirs = admin_topic(), *mine = admin_topic();
    struct login login = by_password("PLAIN", "PLAIN", user, secure("PASSWORD"));
    kur_error error = {0};
    kur_client *client = login_client(&login, NULL, &error);
    int64_t start = kur_clock_monotonic_us();
    kur_status status = poll_once(client, theirs, NULL, &error);
    is_forbidden(status, &error, theirs, "READ", start);
    allow(user, KUR_ACL_TOPIC, mine, KUR_ACL_READ);
    status = poll_once(client, mine, NULL, &error);
    ck_assert_msg(status == KUR_OK, "%s", error.message);
    kur_client_unref(client);
}
END_TEST

/* ---- What is never shown ---- */

static void print_settings(const kur_client *client)
{
    const kur_setting *settings;
    size_t count;
    kur_error error = {0};
    for (kur_role role = KUR_ROLE_PRODUCER; role <= KUR_ROLE_CONSUMER; role++) {
        kur_arena *arena = kur_arena_new();
        ck_ok(kur_client_settings(client, role, arena, &settings, &count, &error), error);
        for (size_t i = 0; i < count; i++) {
            char line[1024];
            snprintf(line, sizeof line, "%s = %s (%s)", settings[i].name, settings[i].value, settings[i].origin);
            print(KUR_LOG_INFO, line, NULL);
        }
        kur_arena_free(arena);
    }
}

static char *read_file(const char *path)
{
    kur_buffer text = {0};
    char part[512];
    size_t got;
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while ((got = fread(part, 1, sizeof part, file)) > 0)
        ck_assert_int_eq(kur_buffer_append(&text, part, got), KUR_OK);
    fclose(file);
    return text.data;
}

static void log_everything(const struct login *login)
{
    kur_error error;
    kur_client *client = login_client(login, "all", &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    print_settings(client);
    if (kur_client_check(client, 3000, &error) != KUR_OK)
        print_error("check", &error);
    error = (kur_error){0};
    const char *const topics[] = {"t", NULL};
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = "g"), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    kur_record *record = NULL;
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    if (kur_consumer_poll(consumer, 3000, &record, &error) != KUR_OK)
        print_error("poll", &error);
    if (record != NULL)
        kur_consumer_free_records(consumer, &record, 1);
    kur_consumer_free(consumer);
    kur_client_unref(client);
}

/* The last of the tests: whatever the others have printed is searched too. */
START_TEST(test_security__secrets_are_never_shown)
{
    NEEDS_BROKER();
    const char *user = secure("USER"), *admin = secure("ADMIN");
    char *key = read_file(secure("ADMIN_KEY")), *certificate = read_file(secure("ADMIN_CERTIFICATE"));
    struct login logins[] = {by_password("PLAIN", "PLAIN", admin, secure("ADMIN_PASSWORD")),
                             by_password("PLAIN", "PLAIN", user, WRONG_PASSWORD),
                             by_password("SCRAM", "SCRAM-SHA-512", user, secure("PASSWORD")),
                             by_token(give_token, (void *)user), by_certificate("MTLS", "ADMIN_")};
    logins[4].properties[2] = (kur_property){"ssl.certificate.pem", certificate};
    logins[4].properties[3] = (kur_property){"ssl.key.pem", key};
    logins[4].properties[4] = (kur_property){"ssl.key.password", "canary-key-7d1c"};
    for (size_t i = 0; i < sizeof logins / sizeof *logins; i++)
        log_everything(&logins[i]);
    struct login wrong = by_password("PLAIN", "PLAIN", user, WRONG_PASSWORD);
    wrong.properties[0].value = "SASL_PLAINTEXT";
    kur_error error;
    ck_assert_ptr_null(login_client(&wrong, "all", &error));

    char *a_line_of_key = strchr(key, '\n') + 1;
    *strchr(a_line_of_key, '\n') = '\0';
    const char *const secrets[] = {WRONG_PASSWORD,    secure("PASSWORD"), secure("ADMIN_PASSWORD"),
                                   "canary-key-7d1c", "canary-token",     last_token,
                                   a_line_of_key};
    pthread_mutex_lock(&printed.lock);
    ck_assert_uint_gt(printed.lines, 1000); /* debug=all was heard */
    ck_assert_ptr_nonnull(strstr(printed.text.data, "sasl.password = [hidden]"));
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        ck_assert_uint_gt(strlen(secrets[i]), 8);
        const char *at = strstr(printed.text.data, secrets[i]);
        ck_assert_msg(at == NULL, "secret %zu is shown: %.200s", i, at);
    }
    pthread_mutex_unlock(&printed.lock);
    free(certificate);
    free(key);
}
END_TEST

START_TEST(test_security__log_ins_in_clear_are_refused)
{
    NEEDS_BROKER();
    struct login login = by_password("PLAINTEXT", "PLAIN", secure("ADMIN"), secure("ADMIN_PASSWORD"));
    login.properties[0].value = "sasl_plaintext";
    kur_error error;
    ck_assert_ptr_null(login_client(&login, NULL, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_CONFIG);
    ck_says(error, "shows the password to everyone on the network");
    login.security.allow_clear_text = true;
    kur_client *client = login_client(&login, NULL, &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    ck_ok(kur_client_check(client, LONG_MS, &error), error);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_security__logs_in,
                                  test_security__says_why_a_log_in_is_refused,
                                  test_security__says_which_right_is_missing,
                                  test_security__a_broadcast_needs_no_right_to_a_group,
                                  test_security__log_ins_in_clear_are_refused,
                                  test_security__secrets_are_never_shown,
                                  NULL};
    int status = check_main("security", tests);
    support_stop();
    kur_buffer_done(&printed.text);
    return status;
}
