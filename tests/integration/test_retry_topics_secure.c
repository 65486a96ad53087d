/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A listener's own topics where rights are checked: on a broker with an authorizer (script/kafka run --secure).
 */
#include <kurier/admin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../listening.h"

#define NEEDS_BROKER() skip_unless(getenv("KURIER_SECURE") != NULL, "no broker with log-ins: script/kafka run --secure")

static char log_text[20000];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void keep_log(kur_log_level level, const char *message, void *user)
{
    (void)level;
    (void)user;
    pthread_mutex_lock(&log_lock);
    size_t size = strlen(log_text);
    snprintf(log_text + size, sizeof log_text - size, "%s\n", message);
    pthread_mutex_unlock(&log_lock);
}

static bool wait_for_log(const char *text)
{
    bool is_there = false;
    for (int64_t until_ms = now_ms() + WAIT_MS; !is_there && now_ms() < until_ms; nap(10)) {
        pthread_mutex_lock(&log_lock);
        is_there = strstr(log_text, text) != NULL;
        pthread_mutex_unlock(&log_lock);
    }
    return is_there;
}

/* By the client's certificate, which every version of librdkafka can. */
static kur_client *log_in(const char *certificate, const char *key)
{
    kur_error error = {0};
    const kur_property properties[] = {{"security.protocol", "SSL"},
                                       {"ssl.ca.location", getenv("KURIER_SECURE_CA")},
                                       {"ssl.certificate.location", getenv(certificate)},
                                       {"ssl.key.location", getenv(key)},
                                       {NULL, NULL}};
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = getenv("KURIER_SECURE_MTLS"), .properties = properties,
                                           .source = "/tests", .log = keep_log, .log_level = KUR_LOG_WARNING),
                       &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    return client;
}

static void allow(kur_admin *admin, kur_acl_resource resource, kur_acl_pattern pattern, const char *name,
                  const kur_acl_operation *operations, size_t count)
{
    kur_error error = {0};
    char principal[200];
    snprintf(principal, sizeof principal, "User:%s", getenv("KURIER_SECURE_USER"));
    for (size_t i = 0; i < count; i++) {
        kur_acl acl = KUR_ACL(.resource = resource, .pattern = pattern, .name = name, .principal = principal,
                              .operation = operations[i]);
        ck_ok(kur_admin_create_acls(admin, &acl, 1, WAIT_MS, &error), error);
    }
}
#define ALLOW(admin, resource, pattern, name, ...)                                                                     \
    allow(admin, resource, pattern, name, (const kur_acl_operation[]){__VA_ARGS__},                                    \
          sizeof(const kur_acl_operation[]){__VA_ARGS__} / sizeof(kur_acl_operation))

static void forbid_all(kur_admin *admin)
{
    kur_error error = {0};
    char principal[200];
    snprintf(principal, sizeof principal, "User:%s", getenv("KURIER_SECURE_USER"));
    ck_ok(kur_admin_delete_acls(admin, &KUR_ACL(.principal = principal), WAIT_MS, NULL, NULL, &error), error);
}

START_TEST(test_retry_topics_secure__the_rights_that_are_needed_are_told)
{
    NEEDS_BROKER();
    kur_error error = {0};
    atomic_int handled = 0;
    char says[400], begin[200];
    kur_client *super = log_in("KURIER_SECURE_ADMIN_CERTIFICATE", "KURIER_SECURE_ADMIN_KEY");
    kur_client *client = log_in("KURIER_SECURE_CERTIFICATE", "KURIER_SECURE_KEY");
    kur_admin *admin = kur_admin_new(super, &error);
    const char *topic = support_name("t"), *group = support_name("g");
    ck_ok(kur_admin_create_topics(admin, &KUR_TOPIC_SPEC(.name = topic, .partitions = 1), 1, WAIT_MS, &error), error);
    ALLOW(admin, KUR_ACL_GROUP, KUR_ACL_LITERAL, group, KUR_ACL_READ);
    ALLOW(admin, KUR_ACL_TOPIC, KUR_ACL_LITERAL, topic, KUR_ACL_READ);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL});
    kur_listener *listener = kur_listener_new(client, &options, &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    ck_ok(kur_listener_on_record(listener, count_one, &handled), error);
    ck_ok(kur_listener_start(listener, &error), error);
    snprintf(says, sizeof says, "needed are the rights Describe and DescribeConfigs on topic %s", topic);
    ck_assert_msg(wait_for_log(says), "%s", log_text);
    /* The work does not wait for it. */
    ck_assert(wait_for(listener, is_assigned, 1));

    ALLOW(admin, KUR_ACL_TOPIC, KUR_ACL_LITERAL, topic, KUR_ACL_DESCRIBE_CONFIGS);
    snprintf(begin, sizeof begin, "%s.%s.", topic, group);
    snprintf(says, sizeof says,
             "needed are the rights Create, Describe and DescribeConfigs on topics that begin with %s", begin);
    ck_assert_msg(wait_for_log(says), "%s", log_text);

    ALLOW(admin, KUR_ACL_TOPIC, KUR_ACL_PREFIXED, begin, KUR_ACL_CREATE, KUR_ACL_DESCRIBE_CONFIGS, KUR_ACL_READ,
          KUR_ACL_WRITE);
    ck_assert_msg(wait_for(listener, is_assigned, 4), "%s", log_text);
    ck_assert_int_eq(health_of(listener).status, KUR_OK);
    kur_listener_free(listener);
    forbid_all(admin);
    kur_admin_free(admin);
    kur_client_unref(client);
    kur_client_unref(super);
}
END_TEST

START_TEST(test_retry_topics_secure__a_check_ends_without_them)
{
    NEEDS_BROKER();
    kur_error error = {0};
    atomic_int handled = 0;
    kur_client *super = log_in("KURIER_SECURE_ADMIN_CERTIFICATE", "KURIER_SECURE_ADMIN_KEY");
    kur_client *client = log_in("KURIER_SECURE_CERTIFICATE", "KURIER_SECURE_KEY");
    kur_admin *admin = kur_admin_new(super, &error);
    const char *topic = support_name("t"), *group = support_name("g");
    ck_ok(kur_admin_create_topics(admin, &KUR_TOPIC_SPEC(.name = topic, .partitions = 1), 1, WAIT_MS, &error), error);
    ALLOW(admin, KUR_ACL_GROUP, KUR_ACL_LITERAL, group, KUR_ACL_READ);
    ALLOW(admin, KUR_ACL_TOPIC, KUR_ACL_LITERAL, topic, KUR_ACL_READ, KUR_ACL_DESCRIBE_CONFIGS);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL},
                                                        .retry_topics = &KUR_RETRY_TOPICS(.topics = KUR_TOPICS_CHECK));
    kur_listener *listener = kur_listener_new(client, &options, &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    ck_ok(kur_listener_on_record(listener, count_one, &handled), error);
    ck_status(kur_listener_run(listener, &error), KUR_ERROR_AUTHORIZATION, error);
    ck_says(error, "needed are the rights Describe and DescribeConfigs on topics that begin with");
    kur_listener_free(listener);
    forbid_all(admin);
    kur_admin_free(admin);
    kur_client_unref(client);
    kur_client_unref(super);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_retry_topics_secure__the_rights_that_are_needed_are_told,
                                  test_retry_topics_secure__a_check_ends_without_them, NULL};
    return check_main("retry_topics_secure", tests);
}
