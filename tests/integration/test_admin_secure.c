/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Administration where rights are checked: on a broker with an authorizer (script/kafka run --secure).
 */
#include <kurier/kurier.h>
#include <kurier/sys/clock.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../support.h"

enum {
    PATIENCE_MS = 60000
};

#define NEEDS_BROKER() skip_unless(getenv("KURIER_SECURE") != NULL, "no broker with log-ins: script/kafka run --secure")

static kur_error error;

/* By the client's certificate, which every version of librdkafka can. */
static kur_admin *log_in(const char *certificate, const char *key)
{
    const kur_property properties[] = {{"security.protocol", "SSL"},
                                       {"ssl.ca.location", getenv("KURIER_SECURE_CA")},
                                       {"ssl.certificate.location", getenv(certificate)},
                                       {"ssl.key.location", getenv(key)},
                                       {NULL, NULL}};
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = getenv("KURIER_SECURE_MTLS"), .properties = properties,
                                           .source = "/tests", .log = kur_log_stderr, .log_level = KUR_LOG_ERROR),
                       &error);
    kur_admin *admin = kur_admin_new(client, &error);
    kur_client_unref(client);
    ck_assert_msg(admin != NULL, "%s", error.message);
    return admin;
}

static kur_admin *as_admin(void)
{
    return log_in("KURIER_SECURE_ADMIN_CERTIFICATE", "KURIER_SECURE_ADMIN_KEY");
}

static kur_admin *as_user(void)
{
    return log_in("KURIER_SECURE_CERTIFICATE", "KURIER_SECURE_KEY");
}

static const char *principal_of_user(void)
{
    static char principal[200];
    snprintf(principal, sizeof principal, "User:%s", getenv("KURIER_SECURE_USER"));
    return principal;
}

START_TEST(test_admin_secure__acls_are_made_listed_and_deleted)
{
    NEEDS_BROKER();
    error = (kur_error){0};
    kur_arena *arena = kur_arena_new();
    kur_admin *admin = as_admin();
    const char *topic = support_name("t"), *group = support_name("g");
    kur_acl acls[] = {
        KUR_ACL(.resource = KUR_ACL_TOPIC, .name = topic, .principal = "User:carol", .operation = KUR_ACL_READ),
        KUR_ACL(.resource = KUR_ACL_GROUP, .pattern = KUR_ACL_PREFIXED, .name = group, .principal = "User:carol",
                .host = "10.1.2.3", .operation = KUR_ACL_ALL, .permission = KUR_ACL_DENY)};
    ck_ok(kur_admin_create_acls(admin, acls, 2, PATIENCE_MS, &error), error);
    ck_ok(kur_admin_create_acls(admin, acls, 2, PATIENCE_MS, &error), error); /* again: no error, no second one */

    kur_acl_list list;
    ck_ok(kur_admin_list_acls(admin, &KUR_ACL(.principal = "User:carol", .name = topic), PATIENCE_MS, arena, &list,
                              &error),
          error);
    ck_assert_uint_eq(list.count, 1);
    const kur_acl *one = list.items[0];
    ck_assert_uint_eq(one->size, sizeof *one);
    ck_assert_int_eq(one->resource, KUR_ACL_TOPIC);
    ck_assert_int_eq(one->pattern, KUR_ACL_LITERAL);
    ck_assert_str_eq(one->name, topic);
    ck_assert_str_eq(one->principal, "User:carol");
    ck_assert_str_eq(one->host, "*");
    ck_assert_int_eq(one->operation, KUR_ACL_READ);
    ck_assert_int_eq(one->permission, KUR_ACL_ALLOW);
    ck_ok(kur_admin_list_acls(admin, &KUR_ACL(.resource = KUR_ACL_GROUP, .name = group), PATIENCE_MS, arena, &list,
                              &error),
          error);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_int_eq(list.items[0]->pattern, KUR_ACL_PREFIXED);
    ck_assert_str_eq(list.items[0]->host, "10.1.2.3");
    ck_assert_int_eq(list.items[0]->permission, KUR_ACL_DENY);
    ck_ok(kur_admin_list_acls(admin, NULL, PATIENCE_MS, arena, &list, &error), error);
    ck_assert_uint_ge(list.count, 2);

    ck_ok(kur_admin_delete_acls(admin, &KUR_ACL(.name = topic), PATIENCE_MS, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 1);
    ck_assert_str_eq(list.items[0]->name, topic);
    ck_ok(kur_admin_delete_acls(admin, &KUR_ACL(.principal = "User:carol"), PATIENCE_MS, NULL, NULL, &error), error);
    ck_ok(kur_admin_list_acls(admin, &KUR_ACL(.principal = "User:carol"), PATIENCE_MS, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 0);
    kur_admin_free(admin);
    kur_arena_free(arena);
}
END_TEST

START_TEST(test_admin_secure__transactional_ids_need_a_newer_librdkafka)
{
    NEEDS_BROKER();
    error = (kur_error){0};
    kur_admin *admin = as_admin();
    kur_acl acl = KUR_ACL(.resource = KUR_ACL_TRANSACTIONAL_ID, .name = support_name("x"), .principal = "User:carol",
                          .operation = KUR_ACL_WRITE);
    kur_status status = kur_admin_create_acls(admin, &acl, 1, PATIENCE_MS, &error);
    if (rd_kafka_version() >= 0x020600ff) {
        ck_ok(status, error);
        ck_ok(kur_admin_delete_acls(admin, &acl, PATIENCE_MS, NULL, NULL, &error), error);
    } else {
        ck_status(status, KUR_ERROR_UNSUPPORTED, error);
        ck_says(error, rd_kafka_version_str());
    }
    kur_admin_free(admin);
}
END_TEST

START_TEST(test_admin_secure__who_may_not_is_told_until_an_acl_allows_it)
{
    NEEDS_BROKER();
    error = (kur_error){0};
    kur_arena *arena = kur_arena_new();
    kur_admin *admin = as_admin(), *user = as_user();
    const char *topic = support_name("t"), *group = support_name("g");
    kur_topic_spec spec = KUR_TOPIC_SPEC(.name = topic, .partitions = 1);
    const kur_topic_view *view = NULL;
    const kur_group_view *members = NULL;
    kur_acl_list list;
    int64_t start_us = kur_clock_monotonic_us();
    ck_status(kur_admin_create_topics(user, &spec, 1, PATIENCE_MS, &error), KUR_ERROR_AUTHORIZATION, error);
    ck_says(error, topic);
    ck_status(kur_admin_create_acls(user,
                                    &KUR_ACL(.resource = KUR_ACL_TOPIC, .name = topic, .principal = "User:carol",
                                             .operation = KUR_ACL_READ),
                                    1, PATIENCE_MS, &error),
              KUR_ERROR_AUTHORIZATION, error);
    ck_ok(kur_admin_list_acls(user, NULL, PATIENCE_MS, arena, &list, &error), error);
    ck_assert_uint_eq(list.count, 0);
    ck_status(kur_admin_describe_group(user, group, PATIENCE_MS, arena, &members, &error), KUR_ERROR_AUTHORIZATION,
              error);
    ck_ok(kur_admin_create_topics(admin, &spec, 1, PATIENCE_MS, &error), error);
    kur_status status = kur_admin_describe_topic(user, topic, PATIENCE_MS, arena, &view, &error);
    ck_assert_msg(status == KUR_ERROR_AUTHORIZATION, "%s: %s", kur_status_name(status), error.message);
    ck_says(error, topic);
    ck_assert_int_lt(kur_clock_monotonic_us() - start_us,
                     PATIENCE_MS / 2 * INT64_C(1000)); /* it does not wait in vain */

    kur_acl acls[] = {KUR_ACL(.resource = KUR_ACL_TOPIC, .name = topic, .principal = principal_of_user(),
                              .operation = KUR_ACL_DESCRIBE),
                      KUR_ACL(.resource = KUR_ACL_TOPIC, .name = topic, .principal = principal_of_user(),
                              .operation = KUR_ACL_DESCRIBE_CONFIGS),
                      KUR_ACL(.resource = KUR_ACL_GROUP, .name = group, .principal = principal_of_user(),
                              .operation = KUR_ACL_DESCRIBE)};
    ck_ok(kur_admin_create_acls(admin, acls, 3, PATIENCE_MS, &error), error);
    /* The broker may take a moment to hear of it. */
    int64_t deadline = kur_clock_monotonic_us() + PATIENCE_MS * INT64_C(1000);
    do
        status = kur_admin_describe_topic(user, topic, PATIENCE_MS, arena, &view, &error);
    while (status == KUR_ERROR_AUTHORIZATION && kur_clock_monotonic_us() < deadline);
    ck_ok(status, error);
    ck_assert_uint_eq(view->partition_count, 1);
    ck_ok(kur_admin_describe_group(user, group, PATIENCE_MS, arena, &members, &error), error);
    /* Seeing is not changing. */
    ck_status(kur_admin_delete_topics(user, (const char *const[]){topic, NULL}, PATIENCE_MS, &error),
              KUR_ERROR_AUTHORIZATION, error);
    ck_ok(kur_admin_delete_acls(admin, &KUR_ACL(.principal = principal_of_user()), PATIENCE_MS, NULL, NULL, &error),
          error);
    ck_ok(kur_admin_delete_topics(admin, (const char *const[]){topic, NULL}, PATIENCE_MS, &error), error);
    kur_admin_free(user);
    kur_admin_free(admin);
    kur_arena_free(arena);
}
END_TEST

START_TEST(test_admin_secure__a_refused_log_in_is_told_soon)
{
    NEEDS_BROKER();
    error = (kur_error){0};
    const kur_property properties[] = {{"security.protocol", "SASL_SSL"},
                                       {"sasl.mechanism", "PLAIN"},
                                       {"ssl.ca.location", getenv("KURIER_SECURE_CA")},
                                       {"sasl.username", getenv("KURIER_SECURE_USER")},
                                       {"sasl.password", "canary-wrong-51c2"},
                                       {NULL, NULL}};
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = getenv("KURIER_SECURE_PLAIN"), .properties = properties), &error);
    kur_admin *admin = kur_admin_new(client, &error);
    kur_client_unref(client);
    ck_assert_msg(admin != NULL, "%s", error.message);
    kur_arena *arena = kur_arena_new();
    const kur_cluster_view *cluster = NULL;
    int64_t start_us = kur_clock_monotonic_us();
    ck_status(kur_admin_cluster(admin, 60000, arena, &cluster, &error), KUR_ERROR_AUTHENTICATION, error);
    ck_assert_int_lt(kur_clock_monotonic_us() - start_us, 30 * 1000000); /* and not the minute that it may take */
    ck_says(error, getenv("KURIER_SECURE_PLAIN"));
    ck_assert_ptr_null(strstr(error.message, "canary"));
    kur_admin_free(admin);
    kur_arena_free(arena);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_admin_secure__acls_are_made_listed_and_deleted,
                                  test_admin_secure__transactional_ids_need_a_newer_librdkafka,
                                  test_admin_secure__who_may_not_is_told_until_an_acl_allows_it,
                                  test_admin_secure__a_refused_log_in_is_told_soon, NULL};
    return check_main("admin_secure", tests);
}
