/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A listener's own topics where rights are checked: on a broker with an authorizer (script/kafka run --secure).
 */
#include <kurier/access.h>
#include <kurier/retry.h>
#include <kurier/sys/clock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../kept_log.h"
#include "../listening.h"

#define NEEDS_BROKER() skip_unless(getenv("KURIER_SECURE") != NULL, "no broker with log-ins: script/kafka run --secure")

/* By the client's certificate, which every version of librdkafka can. */
static kur_client *log_in_as(const char *certificate, const char *key, const char *refresh_ms)
{
    kur_error error = {0};
    const kur_property properties[] = {{"security.protocol", "SSL"},
                                       {"ssl.ca.location", getenv("KURIER_SECURE_CA")},
                                       {"ssl.certificate.location", getenv(certificate)},
                                       {"ssl.key.location", getenv(key)},
                                       {"topic.metadata.refresh.interval.ms", refresh_ms},
                                       {NULL, NULL}};
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = getenv("KURIER_SECURE_MTLS"), .properties = properties,
                                           .source = "/tests", .log = keep_log, .log_level = KUR_LOG_WARNING),
                       &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    return client;
}

static kur_client *log_in(const char *certificate, const char *key)
{
    return log_in_as(certificate, key, "10000");
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

/* What somebody else may write to; what it is taken back by. */
static kur_acl forbid_to_write(kur_admin *admin, const char *topic)
{
    static char principal[200];
    kur_error error = {0};
    snprintf(principal, sizeof principal, "User:%s", getenv("KURIER_SECURE_USER"));
    kur_acl denial = KUR_ACL(.resource = KUR_ACL_TOPIC, .name = topic, .principal = principal,
                             .operation = KUR_ACL_WRITE, .permission = KUR_ACL_DENY);
    ck_ok(kur_admin_create_acls(admin, &denial, 1, WAIT_MS, &error), error);
    return denial;
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

START_TEST(test_retry_topics_secure__that_somebody_else_has_made_are_read_at_once)
{
    NEEDS_BROKER();
    kur_error error = {0};
    atomic_int handled = 0;
    char begin[200];
    log_text[0] = '\0';
    kur_client *super = log_in("KURIER_SECURE_ADMIN_CERTIFICATE", "KURIER_SECURE_ADMIN_KEY");
    /* Its consumers look for topics when they are told to, and hardly ever by themselves. */
    kur_client *client = log_in_as("KURIER_SECURE_CERTIFICATE", "KURIER_SECURE_KEY", "600000");
    kur_admin *admin = kur_admin_new(super, &error);
    const char *topic = support_name("t"), *group = support_name("g");
    snprintf(begin, sizeof begin, "%s.%s.", topic, group);
    ck_ok(kur_admin_create_topics(admin, &KUR_TOPIC_SPEC(.name = topic, .partitions = 1), 1, WAIT_MS, &error), error);
    ALLOW(admin, KUR_ACL_GROUP, KUR_ACL_LITERAL, group, KUR_ACL_READ);
    ALLOW(admin, KUR_ACL_TOPIC, KUR_ACL_LITERAL, topic, KUR_ACL_READ, KUR_ACL_DESCRIBE_CONFIGS);
    ALLOW(admin, KUR_ACL_TOPIC, KUR_ACL_PREFIXED, begin, KUR_ACL_READ, KUR_ACL_WRITE, KUR_ACL_DESCRIBE_CONFIGS);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL});
    kur_listener *listener = kur_listener_new(client, &options, &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    ck_ok(kur_listener_on_record(listener, count_one, &handled), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert_msg(wait_for_log("needed are the rights Create"), "%s", log_text);
    ck_assert(wait_for(listener, is_assigned, 1));
    static const char *const endings[] = {"retry-short", "retry-medium", "retry-long", "dlq"};
    for (int i = 0; i < 4; i++) {
        char name[220];
        snprintf(name, sizeof name, "%s%s", begin, endings[i]);
        ck_ok(kur_admin_create_topics(admin, &KUR_TOPIC_SPEC(.name = name, .partitions = 1), 1, WAIT_MS, &error),
              error);
    }
    ck_assert_msg(wait_for(listener, is_assigned, 4), "%s", log_text);
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

enum {
    LETTERS = 200,
    ALERT_MS = 10000
};

static atomic_int done;

/* Every second record is rejected, all others fail once. */
static kur_outcome reject_some(kur_delivery *delivery, void *user)
{
    (void)user;
    if (atoi(kur_record_value(kur_delivery_record(delivery)).data) % 2 == 0)
        return kur_reject(delivery, "test.never", "never");
    if (kur_delivery_attempt(delivery) == 1)
        return kur_retry(delivery, "test.fails", "once");
    ++done;
    return KUR_DONE;
}

static const kur_retry_health *retries_of(kur_listener *listener, kur_arena *arena)
{
    kur_error error = {0};
    const kur_retry_health *health = NULL;
    kur_arena_reset(arena);
    ck_ok(kur_listener_retries(listener, arena, &health, &error), error);
    return health;
}

/* They tell when they failed, not when that could be written. */
static int count_letters(kur_client *client, const char *topic, int64_t before_us)
{
    kur_error error = {0};
    const char *topics[] = {topic, NULL};
    unsigned char is_there[LETTERS] = {0};
    kur_arena *arena = kur_arena_new();
    int count = 0;
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    for (int64_t until_ms = now_ms() + WAIT_MS; count < LETTERS / 2 && now_ms() < until_ms;) {
        kur_record *record = NULL;
        kur_consumer_poll(consumer, 100, &record, NULL);
        if (record == NULL)
            continue;
        int number = atoi(kur_record_value(record).data);
        ck_assert(number >= 0 && number < LETTERS && number % 2 == 0 && !is_there[number]);
        is_there[number] = 1;
        count++;
        kur_retry_view view = KUR_RETRY_VIEW();
        ck_ok(kur_retry_read(record, KUR_HEADERS_KURIER, kur_clock_now_us(), arena, &view, &error), error);
        ck_assert_int_lt(view.failed_us, before_us);
        ck_assert_int_le(view.first_failed_us, view.failed_us);
        kur_consumer_free_records(consumer, &record, 1);
    }
    kur_consumer_free(consumer);
    kur_arena_free(arena);
    return count;
}

/* Nothing is lost meanwhile, all others go on, somebody is told soon; and all of it drains when it is allowed. */
START_TEST(test_retry_topics_secure__dead_letters_wait_until_they_are_allowed)
{
    NEEDS_BROKER();
    kur_error error = {0};
    char begin[200], dead[220];
    log_text[0] = '\0';
    done = 0;
    kur_client *super = log_in("KURIER_SECURE_ADMIN_CERTIFICATE", "KURIER_SECURE_ADMIN_KEY");
    kur_client *client = log_in("KURIER_SECURE_CERTIFICATE", "KURIER_SECURE_KEY");
    kur_admin *admin = kur_admin_new(super, &error);
    kur_arena *arena = kur_arena_new();
    const char *topic = support_name("t"), *group = support_name("g");
    ck_ok(kur_admin_create_topics(admin, &KUR_TOPIC_SPEC(.name = topic, .partitions = 2), 1, WAIT_MS, &error), error);
    snprintf(begin, sizeof begin, "%s.%s.", topic, group);
    snprintf(dead, sizeof dead, "%sdlq", begin);
    ALLOW(admin, KUR_ACL_GROUP, KUR_ACL_LITERAL, group, KUR_ACL_READ);
    ALLOW(admin, KUR_ACL_TOPIC, KUR_ACL_LITERAL, topic, KUR_ACL_READ, KUR_ACL_DESCRIBE_CONFIGS);
    ALLOW(admin, KUR_ACL_TOPIC, KUR_ACL_PREFIXED, begin, KUR_ACL_CREATE, KUR_ACL_DESCRIBE_CONFIGS, KUR_ACL_READ,
          KUR_ACL_WRITE);
    kur_acl denial = forbid_to_write(admin, dead);
    kur_producer *producer = kur_client_producer(super, &error);
    for (int i = 0; i < LETTERS; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        ck_ok(kur_producer_send(
                  producer,
                  &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(i % 4 / 2), .value = kur_bytes_text(value)),
                  &error),
              error);
    }
    ck_ok(kur_producer_flush(producer, WAIT_MS, &error), error);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.retry = &KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .delay_ms = 100), .concurrency = 4,
                             .retry_topics = &KUR_RETRY_TOPICS());
    kur_listener *listener = listen(client, &options, topic, group, reject_some, NULL);
    /* The first was rejected when it was handled first. */
    for (int64_t until_ms = now_ms() + WAIT_MS; health_of(listener).handled == 0 && now_ms() < until_ms;)
        nap(5);
    int64_t begun_ms = now_ms();
    ck_assert_msg(wait_for_log("a record cannot be forwarded to the dlq topic"), "%s", log_text);
    int64_t alert_ms = now_ms() - begun_ms;
    ck_assert_int_le(alert_ms, ALERT_MS);
    ck_assert(support_wait(&done, LETTERS / 2));
    ck_assert(wait_for(listener, has_finished, LETTERS / 2 * 2));
    int64_t until_ms = now_ms() + WAIT_MS;
    while (
        (retries_of(listener, arena)->forward_failures < LETTERS / 2 || retries_of(listener, arena)->failing_ms == 0) &&
        now_ms() < until_ms)
        nap(20);
    const kur_retry_health *retries = retries_of(listener, arena);
    printf("# dead letters that may not be written: told after %d ms; %d failures to forward in health, for %d ms\n",
           (int)alert_ms, (int)retries->forward_failures, (int)retries->failing_ms);
    ck_assert_int_ge(retries->forward_failures, LETTERS / 2);
    ck_assert_int_eq(health_of(listener).rejected, 0);
    ck_assert_int_eq(health_of(listener).held, LETTERS / 2);
    ck_assert_int_eq(health_of(listener).status, KUR_OK);

    int64_t allowed_us = kur_clock_now_us();
    ck_ok(kur_admin_delete_acls(admin, &denial, WAIT_MS, NULL, NULL, &error), error);
    begun_ms = now_ms();
    ck_assert(wait_for(listener, has_finished, LETTERS / 2 * 3));
    printf("# and when they may: %d are there after %d ms\n", LETTERS / 2, (int)(now_ms() - begun_ms));
    ck_assert_int_eq(health_of(listener).rejected, LETTERS / 2);
    ck_assert_int_eq(health_of(listener).held, 0);
    ck_assert_int_eq(count_letters(super, dead, allowed_us), LETTERS / 2);
    kur_listener_free(listener);
    forbid_all(admin);
    kur_arena_free(arena);
    kur_admin_free(admin);
    kur_client_unref(client);
    kur_client_unref(super);
}
END_TEST

/* Asked for: it ends instead, the record unfinished. */
START_TEST(test_retry_topics_secure__dead_letters_that_cannot_be_written_may_end_it)
{
    NEEDS_BROKER();
    kur_error error = {0};
    atomic_int handled = 0;
    char begin[200], dead[220];
    kur_client *super = log_in("KURIER_SECURE_ADMIN_CERTIFICATE", "KURIER_SECURE_ADMIN_KEY");
    kur_client *client = log_in("KURIER_SECURE_CERTIFICATE", "KURIER_SECURE_KEY");
    kur_admin *admin = kur_admin_new(super, &error);
    kur_arena *arena = kur_arena_new();
    const char *topic = support_name("t"), *group = support_name("g");
    ck_ok(kur_admin_create_topics(admin, &KUR_TOPIC_SPEC(.name = topic, .partitions = 1), 1, WAIT_MS, &error), error);
    snprintf(begin, sizeof begin, "%s.%s.", topic, group);
    snprintf(dead, sizeof dead, "%sdlq", begin);
    ALLOW(admin, KUR_ACL_GROUP, KUR_ACL_LITERAL, group, KUR_ACL_READ);
    ALLOW(admin, KUR_ACL_TOPIC, KUR_ACL_LITERAL, topic, KUR_ACL_READ, KUR_ACL_DESCRIBE_CONFIGS);
    ALLOW(admin, KUR_ACL_TOPIC, KUR_ACL_PREFIXED, begin, KUR_ACL_CREATE, KUR_ACL_DESCRIBE_CONFIGS, KUR_ACL_READ,
          KUR_ACL_WRITE);
    forbid_to_write(admin, dead);
    send_text(super, topic, 0, NULL, "reject");
    flush(super);
    kur_listener *listener =
        make(client, &KUR_LISTENER_OPTIONS(.retry_topics = &KUR_RETRY_TOPICS(.failure = KUR_DEAD_LETTER_STOP)), topic,
             group, count_one, &handled);
    ck_status(kur_listener_run(listener, &error), KUR_ERROR_AUTHORIZATION, error);
    ck_says(error, dead);
    ck_assert_int_eq(health_of(listener).finished, 0);
    kur_listener_free(listener);
    kur_position_list offsets;
    ck_ok(kur_admin_group_offsets(admin, group, WAIT_MS, arena, &offsets, &error), error);
    for (size_t i = 0; i < offsets.count; i++)
        ck_assert_int_eq(offsets.items[i]->offset, 0);
    forbid_all(admin);
    kur_arena_free(arena);
    kur_admin_free(admin);
    kur_client_unref(client);
    kur_client_unref(super);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_retry_topics_secure__the_rights_that_are_needed_are_told,
                                  test_retry_topics_secure__that_somebody_else_has_made_are_read_at_once,
                                  test_retry_topics_secure__a_check_ends_without_them,
                                  test_retry_topics_secure__dead_letters_wait_until_they_are_allowed,
                                  test_retry_topics_secure__dead_letters_that_cannot_be_written_may_end_it,
                                  NULL};
    return check_main("retry_topics_secure", tests);
}
