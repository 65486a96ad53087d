/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The names of a listener's own topics, and what is refused of them.
 */
#include <kurier/kurier.h>
#include <string.h>

#include "../check_main.h"
#include "../failing.h"
#include "listener/topics.h"

static kur_client *client_of(void)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:1"), &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    return client;
}

static kur_listener *make(kur_client *client, const kur_listener_options *options)
{
    kur_error error = {0};
    kur_listener *listener = kur_listener_new(client, options, &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    return listener;
}

#define check_name(listener, topic, tier, cause, expected)                                                             \
    do {                                                                                                               \
        const char *name_ = kur__topics_name(listener, topic, tier, cause);                                            \
        ck_assert_ptr_nonnull(name_);                                                                                  \
        ck_assert_str_eq(name_, expected);                                                                             \
    } while (0)

#define check_of(listener, topic, main_topic, tier)                                                                    \
    do {                                                                                                               \
        const char *of_ = NULL;                                                                                        \
        kur_tier tier_ = KUR_TIER_MAIN;                                                                                \
        ck_assert(kur__topics_of(listener, topic, &of_, &tier_));                                                      \
        ck_assert_str_eq(of_, main_topic);                                                                             \
        ck_assert_int_eq(tier_, tier);                                                                                 \
    } while (0)

START_TEST(test_listener_topics__names)
{
    kur_client *client = client_of();
    const char *of = NULL;
    kur_tier tier = KUR_TIER_MAIN;
    const kur_dead_letter_route routes[] = {{"smtp.*", "mail"}, {"smtp.timeout", "never"}, {"db", "db"}, {NULL, NULL}};
    kur_listener *listener =
        make(client, &KUR_LISTENER_OPTIONS(.group = "email", .topics = (const char *[]){"orders", "returns", NULL},
                                           .retry_topics = &KUR_RETRY_TOPICS(.routes = routes)));
    check_name(listener, "orders", KUR_TIER_MAIN, NULL, "orders");
    check_name(listener, "orders", KUR_TIER_SHORT, NULL, "orders.email.retry-short");
    check_name(listener, "returns", KUR_TIER_MEDIUM, NULL, "returns.email.retry-medium");
    check_name(listener, "orders", KUR_TIER_LONG, "db", "orders.email.retry-long");
    check_name(listener, "orders", KUR_TIER_ORDERED, NULL, "orders.email.retry-ordered");
    check_name(listener, "orders", KUR_TIER_DEAD, NULL, "orders.email.dlq");
    check_name(listener, "orders", KUR_TIER_DEAD, "db.closed", "orders.email.dlq");
    check_name(listener, "orders", KUR_TIER_DEAD, "db", "orders.email.dlq-db");
    check_name(listener, "returns", KUR_TIER_DEAD, "smtp.timeout", "returns.email.dlq-mail");
    ck_assert_ptr_null(kur__topics_name(listener, "payments", KUR_TIER_SHORT, NULL));
    check_of(listener, "orders", "orders", KUR_TIER_MAIN);
    check_of(listener, "returns.email.retry-long", "returns", KUR_TIER_LONG);
    check_of(listener, "orders.email.dlq-db", "orders", KUR_TIER_DEAD);
    ck_assert(!kur__topics_of(listener, "orders.sms.retry-long", &of, &tier));
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_topics__prefix_and_spring)
{
    kur_client *client = client_of();
    const char *const *topics = (const char *const[]){"orders", "returns", NULL};
    kur_listener *listener = make(client, &KUR_LISTENER_OPTIONS(.group = "Zoë's mail", .topics = topics,
                                                                .retry_topics = &KUR_RETRY_TOPICS(.prefix = "mail")));
    check_name(listener, "orders", KUR_TIER_SHORT, NULL, "mail.orders.retry-short");
    check_name(listener, "returns", KUR_TIER_DEAD, NULL, "mail.returns.dlq");
    kur_listener_free(listener);
    kur_retry_topics spring = KUR_RETRY_TOPICS(.headers = KUR_HEADERS_SPRING);
    listener = make(client, &KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .retry_topics = &spring));
    check_name(listener, "orders", KUR_TIER_LONG, NULL, "orders-retry");
    check_name(listener, "orders", KUR_TIER_DEAD, NULL, "orders-dlt");
    const struct kur__family *family = atomic_load(&listener->tiers->first);
    ck_assert_str_eq(family->read[0], "returns-retry"); /* once */
    ck_assert_ptr_null(family->read[1]);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_topics__only_where_they_are_in_use)
{
    kur_client *client = client_of();
    const char *const *topics = (const char *const[]){"orders", NULL};
    const char *of = NULL;
    kur_tier tier = KUR_TIER_MAIN;
    const kur_listener_options without[] = {
        KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .dead_letters = KUR_REJECTED_STOPS),
        KUR_LISTENER_OPTIONS(.group = "a group", .topics = topics, .dead_letters = KUR_NO_DEAD_LETTER),
        KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics)};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        kur_listener *listener = make(client, &without[i]);
        ck_assert_ptr_null(kur__topics_name(listener, "orders", KUR_TIER_DEAD, NULL));
        ck_assert(!kur__topics_of(listener, "orders", &of, &tier));
        kur_listener_free(listener);
    }
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_topics__what_is_refused)
{
    kur_client *client = client_of();
    const char *const *topics = (const char *const[]){"orders", NULL};
    char long_group[240];
    memset(long_group, 'g', sizeof long_group - 1);
    long_group[sizeof long_group - 1] = '\0';
    const struct {
        kur_listener_options options;
        const char *says;
    } cases[] = {
        {KUR_LISTENER_OPTIONS(.group = "a group", .topics = topics), ".prefix"},
        {KUR_LISTENER_OPTIONS(.group = long_group, .topics = topics), "249"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = (const char *[]){"orders", "orders.g.retry-long", NULL}),
         "orders.g.retry-long"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = (const char *[]){"orders_g.dlq", "orders", NULL}),
         "orders.g.dlq"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = (const char *[]){"a.b", "a_b", NULL}), "a_b"},
        {KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics,
                              .retry_topics = &KUR_RETRY_TOPICS(.partitions = 1)),
         "KUR_BROADCAST"},
#define WRONG(...) KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .retry_topics = &KUR_RETRY_TOPICS(__VA_ARGS__))
        {WRONG(.topics = (kur_topics)2), ".retry_topics.topics"},
        {WRONG(.headers = (kur_header_style)2), ".retry_topics.headers"},
        {WRONG(.failure = (kur_dead_letter_failure)2), ".retry_topics.failure"},
        {WRONG(.partitions = -1), ".retry_topics.partitions"},
        {WRONG(.replication = 32768), ".retry_topics.replication"},
        {WRONG(.retention_ms = -2), ".retry_topics.retention_ms"},
        {WRONG(.window_records = -1), ".retry_topics.window_records"},
        {WRONG(.window_kbytes = -1), ".retry_topics.window_kbytes"},
        {WRONG(.written_only = true), "KUR_HEADERS_SPRING"},
        {WRONG(.configs = (const kur_property[]){{"cleanup.policy", "compact"}, {0}}), "cleanup.policy"},
        {WRONG(.configs = (const kur_property[]){{"retention.ms", "1"}, {0}}), ".retention_ms is that of dead letters"},
        {WRONG(.configs = (const kur_property[]){{"min.insync.replicas", NULL}, {0}}), ".configs[0]"},
        {WRONG(.routes = (const kur_dead_letter_route[]){{"smtp", NULL}, {0}}), ".routes[0]"},
        {WRONG(.routes = (const kur_dead_letter_route[]){{"smtp", "M"}, {0}}), "suffix"},
        {WRONG(.prefix = ""), ".prefix"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_error error = {0};
        ck_assert_ptr_null(kur_listener_new(client, &cases[i].options, &error));
        ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
        ck_says(error, cases[i].says);
    }
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_topics__are_as_safe_as_the_source)
{
    kur_client *client = client_of();
    const char *const *topics = (const char *const[]){"orders", NULL};
    kur_topic_spec specs[KUR__TIERS];
    kur_topic_view source = {.size = sizeof source,
                             .name = "orders",
                             .replication = 3,
                             .partition_count = 6,
                             .cleanup = KUR_CLEANUP_DELETE,
                             .min_insync_replicas = 2,
                             .retention_ms = INT64_MAX,
                             .max_message_bytes = INT32_MAX};
    kur_listener *listener = make(client, &KUR_LISTENER_OPTIONS(.group = "g", .topics = topics));
    const struct kur__family *family = atomic_load(&listener->tiers->first);
    ck_assert_uint_eq(kur__tiers_specify(listener->tiers, family, &source, specs), 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(specs[i].partitions, 6);
        ck_assert_int_eq(specs[i].replication, 3);
        ck_assert_int_eq(specs[i].min_insync_replicas, 2);
        ck_assert_int_eq(specs[i].max_message_bytes, INT32_MAX);
        ck_assert_int_eq(specs[i].retention_ms, i < 3 ? KUR_NONE : INT64_MAX);
    }
    kur_listener_free(listener);

    /* Never more copies than there are to be, and what the user says is said once. */
    listener = make(client, &KUR_LISTENER_OPTIONS(.group = "g", .topics = topics,
                                                  .retry_topics = &KUR_RETRY_TOPICS(.replication = 1)));
    family = atomic_load(&listener->tiers->first);
    kur__tiers_specify(listener->tiers, family, &source, specs);
    ck_assert_int_eq(specs[0].min_insync_replicas, 1);
    kur_listener_free(listener);
    const kur_property configs[] = {{"min.insync.replicas", "1"}, {NULL, NULL}};
    listener = make(client, &KUR_LISTENER_OPTIONS(.group = "g", .topics = topics,
                                                  .retry_topics = &KUR_RETRY_TOPICS(.configs = configs)));
    family = atomic_load(&listener->tiers->first);
    kur__tiers_specify(listener->tiers, family, &source, specs);
    ck_assert_int_eq(specs[3].min_insync_replicas, 0);
    kur_buffer line = {0};
    ck_assert_int_eq(kur__tiers_print_creation(&specs[3], &line), KUR_OK);
    ck_assert_ptr_nonnull(strstr(line.data, "--topic orders.g.dlq --partitions 6 --replication-factor 3 "));
    ck_assert_ptr_nonnull(strstr(line.data, " --config min.insync.replicas=1"));
    kur_buffer_done(&line);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_topics__more_is_as_good)
{
    static const struct {
        kur_topic_aspect aspect;
        const char *name, *wanted, *actual;
        bool matters;
    } cases[] = {
        {KUR_TOPIC_PARTITIONS, "partitions", "6", "4", true},
        {KUR_TOPIC_PARTITIONS, "partitions", "6", "12", false},
        {KUR_TOPIC_REPLICATION, "replication", "3", "1", true},
        {KUR_TOPIC_REPLICATION, "replication", "1", "3", false},
        {KUR_TOPIC_SETTING, "retention.ms", "3196800000", "3196800001", false},
        {KUR_TOPIC_SETTING, "retention.ms", "3196800000", "-1", false},
        {KUR_TOPIC_SETTING, "retention.ms", "-1", "3196800000", true},
        {KUR_TOPIC_SETTING, "retention.ms", "3196800000", "86400000", true},
        {KUR_TOPIC_SETTING, "retention.bytes", "-1", "1000000", true},
        {KUR_TOPIC_SETTING, "max.message.bytes", "1114124", "1048588", true},
        {KUR_TOPIC_SETTING, "max.message.bytes", "1114124", "5242880", false},
        {KUR_TOPIC_SETTING, "min.insync.replicas", "2", "1", true},
        {KUR_TOPIC_SETTING, "min.insync.replicas", "2", "3", false},
        {KUR_TOPIC_SETTING, "cleanup.policy", "delete", "compact", true},
        {KUR_TOPIC_SETTING, "compression.type", "gzip", "producer", true},
    };
    struct kur__tiers tiers = {.options = {.configs = (const kur_property[]){{"compression.type", "gzip"}, {0}}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_topic_difference difference = {.size = sizeof difference,
                                           .topic = "orders.g.retry-short",
                                           .aspect = cases[i].aspect,
                                           .name = cases[i].name,
                                           .wanted = cases[i].wanted,
                                           .actual = cases[i].actual};
        ck_assert_msg(kur__tiers_matters(&tiers, &difference) == cases[i].matters, "%s is %s, should be %s",
                      cases[i].name, cases[i].actual, cases[i].wanted);
        kur_buffer line = {0};
        difference.can_apply = true;
        ck_assert_int_eq(kur__tiers_print_mending(&difference, &line), KUR_OK);
        ck_assert_ptr_nonnull(strstr(line.data, cases[i].aspect == KUR_TOPIC_SETTING ? "--add-config " : "--alter "));
        kur_buffer_done(&line);
    }
}
END_TEST

static kur_status name_some(kur_client *client, kur_error *error)
{
    const kur_dead_letter_route routes[] = {{"smtp.*", "mail"}, {"db", "db"}, {NULL, NULL}};
    const kur_property configs[] = {{"compression.type", "gzip"}, {NULL, NULL}};
    kur_listener *listener = kur_listener_new(
        client,
        &KUR_LISTENER_OPTIONS(.group = "g", .topics = (const char *[]){"a", "b", "c", "d", "e", "f", NULL},
                              .retry_topics = &KUR_RETRY_TOPICS(.prefix = "p", .routes = routes, .configs = configs)),
        error);
    if (listener == NULL)
        return error->code;
    check_name(listener, "f", KUR_TIER_DEAD, "db", "p.f.dlq-db");
    check_of(listener, "p.a.retry-long", "a", KUR_TIER_LONG);
    kur_listener_free(listener);
    return KUR_OK;
}

START_TEST(test_listener_topics__every_allocation_fails_once)
{
    long points = 0;
    kur_status status;
    kur_error error;
    kur_client *client = client_of();
    do {
        error = (kur_error){0};
        failing_begin(points + 1, true);
        status = name_some(client, &error);
        failing_end();
    } while (failing_again("a listener with topics of its own", &points, status, &error));
    kur_client_unref(client);
}
END_TEST

static void count_warnings(kur_log_level level, const char *message, void *user)
{
    *(int *)user += level == KUR_LOG_WARNING && strstr(message, "in more than 24 h") != NULL;
}

START_TEST(test_listener_topics__delays_that_spring_does_not_keep_are_told)
{
    const int64_t day_ms = 24 * 3600 * 1000;
    const struct {
        kur_header_style style;
        kur_retry_policy policy;
        int warnings;
    } cases[] = {
        {KUR_HEADERS_SPRING, KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .delay_ms = day_ms), 0},
        {KUR_HEADERS_SPRING, KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .delay_ms = day_ms + 1), 1},
        {KUR_HEADERS_KURIER, KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .delay_ms = day_ms + 1), 0},
        {KUR_HEADERS_SPRING, KUR_RETRY_POLICY(.delay_ms = day_ms + 1), 0}, /* in place: nobody reads of it */
        /* By what the attempts come to, the first of them without a delay: 1, 1000, 1000000 s. */
        {KUR_HEADERS_SPRING,
         KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = 3, .multiplier = 1000, .delay_max_ms = 30 * day_ms),
         0},
        {KUR_HEADERS_SPRING,
         KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = 4, .multiplier = 1000, .delay_max_ms = 30 * day_ms),
         1},
        {KUR_HEADERS_SPRING,
         KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = KUR_NONE, .delay_max_ms = 2 * day_ms), 1},
        {KUR_HEADERS_SPRING,
         KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = KUR_NONE, .multiplier = 1,
                          .delay_max_ms = 2 * day_ms),
         0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kur_error error = {0};
        int warnings = 0;
        kur_client *client = kur_client_new(
            &KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:1", .log = count_warnings, .log_user = &warnings),
            &error);
        kur_listener *listener =
            make(client, &KUR_LISTENER_OPTIONS(.group = "g", .topics = (const char *[]){"orders", NULL},
                                               .retry = &cases[i].policy,
                                               .retry_topics = &KUR_RETRY_TOPICS(.headers = cases[i].style)));
        ck_assert_msg(warnings == cases[i].warnings, "case %zu: %d warnings", i, warnings);
        kur_listener_free(listener);
        kur_client_unref(client);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_listener_topics__names,
                                  test_listener_topics__prefix_and_spring,
                                  test_listener_topics__only_where_they_are_in_use,
                                  test_listener_topics__what_is_refused,
                                  test_listener_topics__are_as_safe_as_the_source,
                                  test_listener_topics__more_is_as_good,
                                  test_listener_topics__every_allocation_fails_once,
                                  test_listener_topics__delays_that_spring_does_not_keep_are_told,
                                  NULL};
    return check_main("listener_topics", tests);
}
