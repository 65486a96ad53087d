/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A listener's own topics: made or checked, and read beside what is listened to.
 */
#include <kurier/admin.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "../kept_log.h"
#include "../listening.h"
#include "../proxy.h"
#include "listener/topics.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static const char needs_kafka[] = "the embedded broker cannot administer topics";

/* ---- What is shared ---- */

struct bench {
    kur_client *client;
    kur_admin *admin;
    kur_arena *arena;
    kur_error error;
    atomic_int handled;
};

static struct bench open_bench(void)
{
    struct bench bench = {.arena = kur_arena_new()};
    log_text[0] = '\0';
    bench.client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests",
                                                      .log = keep_log, .log_level = KUR_LOG_INFO),
                                  &bench.error);
    ck_assert_msg(bench.client != NULL, "%s", bench.error.message);
    bench.admin = kur_admin_new(bench.client, &bench.error);
    ck_assert_msg(bench.admin != NULL && bench.arena != NULL, "%s", bench.error.message);
    return bench;
}

static void close_bench(struct bench *bench)
{
    kur_admin_free(bench->admin);
    kur_arena_free(bench->arena);
    kur_client_unref(bench->client);
}

static kur_listener *start(struct bench *bench, kur_listener_options *options)
{
    if (options->session_timeout_ms == 0)
        options->session_timeout_ms = support_is_real() ? 6000 : 3000;
    kur_listener *listener = kur_listener_new(bench->client, options, &bench->error);
    ck_assert_msg(listener != NULL, "%s", bench->error.message);
    ck_ok(kur_listener_on_record(listener, count_one, &bench->handled), bench->error);
    ck_ok(kur_listener_start(listener, &bench->error), bench->error);
    return listener;
}

static const kur_topic_view *find(struct bench *bench, const char *name)
{
    kur_topic_list list;
    ck_ok(kur_admin_list_topics(bench->admin, WAIT_MS, bench->arena, &list, &bench->error), bench->error);
    for (size_t i = 0; i < list.count; i++)
        if (strcmp(list.items[i]->name, name) == 0)
            return list.items[i];
    return NULL;
}

/* The topic once it is there, with its settings. */
static const kur_topic_view *wait_for_topic(struct bench *bench, const char *name)
{
    const kur_topic_view *view = NULL;
    int64_t until_ms = now_ms() + WAIT_MS;
    while (find(bench, name) == NULL) {
        ck_assert_msg(now_ms() < until_ms, "%s is not there:\n%s", name, log_text);
        nap(20);
    }
    ck_ok(kur_admin_describe_topic(bench->admin, name, WAIT_MS, bench->arena, &view, &bench->error), bench->error);
    return view;
}

/* Static; "orders.g.retry-short". */
static const char *own(const char *topic, const char *group, const char *ending)
{
    static char names[8][700];
    static int last;
    char *name = names[last++ % 8];
    snprintf(name, sizeof names[0], "%s.%s.%s", topic, group, ending);
    return name;
}

static const char *value_of(const kur_topic_view *view, const char *name)
{
    for (size_t i = 0; i < view->config_count; i++)
        if (strcmp(view->configs[i]->name, name) == 0)
            return view->configs[i]->value;
    return "";
}

static const char *const tiers[] = {"retry-short", "retry-medium", "retry-long"};

static void make_topic(struct bench *bench, const kur_topic_spec *spec)
{
    if (support_is_real())
        ck_ok(kur_admin_create_topics(bench->admin, spec, 1, WAIT_MS, &bench->error), bench->error);
    else
        support_create(spec->name, spec->partitions);
}

/* ---- Made ---- */

START_TEST(test_retry_topics__are_made_as_the_source_is)
{
    struct bench bench = open_bench();
    const char *topic = support_name("orders"), *group = support_name("g");
    kur_topic_spec source = KUR_TOPIC_SPEC(.name = topic, .partitions = 3, .retention_ms = 10 * DAY_MS,
                                           .retention_bytes = 1000000000, .max_message_bytes = 2 << 20);
    make_topic(&bench, &source);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL},
                             .retry_topics = &KUR_RETRY_TOPICS(.routes = (const kur_dead_letter_route[]){
                                                                   {"smtp.*", "mail"}, {NULL, NULL}}));
    kur_listener *listener = start(&bench, &options);
    for (int i = 0; i < 3; i++) {
        const kur_topic_view *view = wait_for_topic(&bench, own(topic, group, tiers[i]));
        if (!support_is_real())
            continue;
        ck_assert_uint_eq(view->partition_count, 3);
        ck_assert_int_eq(view->cleanup, KUR_CLEANUP_DELETE);
        ck_assert_int_eq(view->retention_ms, 40 * DAY_MS);
        ck_assert_int_eq(view->retention_bytes, KUR_NONE);
        ck_assert_int_eq(view->max_message_bytes, (2 << 20) + (64 << 10));
    }
    const char *const endings[] = {"dlq", "dlq-mail"};
    for (int i = 0; i < 2; i++) {
        const kur_topic_view *view = wait_for_topic(&bench, own(topic, group, endings[i]));
        if (!support_is_real())
            continue;
        ck_assert_uint_eq(view->partition_count, 3);
        ck_assert_int_eq(view->retention_ms, 10 * DAY_MS);
        ck_assert_int_eq(view->retention_bytes, KUR_NONE);
        ck_assert_int_eq(view->max_message_bytes, (2 << 20) + (64 << 10));
    }
    /* The main topic and what waits for another attempt. */
    ck_assert(wait_for(listener, is_assigned, support_is_real() ? 12 : 3 + 3 * 4));
    kur_listener_free(listener);
    ck_assert(find(&bench, own(topic, group, "retry-ordered")) == NULL);

    /* All there by now: no rebalance is needed to find them. */
    listener = start(&bench, &options);
    ck_assert(wait_for(listener, is_assigned, support_is_real() ? 12 : 3 + 3 * 4));
    ck_assert_int_eq(health_of(listener).rebalances, 0);
    kur_listener_free(listener);
    ck_assert_int_eq(count_in_log("this mends it"), 0);
    close_bench(&bench);
}
END_TEST

START_TEST(test_retry_topics__keep_records_for_long_enough)
{
    skip_unless(support_is_real(), needs_kafka);
    const struct {
        kur_cleanup cleanup;
        int64_t source_ms, retry_ms, dead_ms;
    } cases[] = {{KUR_CLEANUP_DELETE, DAY_MS, 37 * DAY_MS, DAY_MS},
                 {KUR_CLEANUP_DELETE, KUR_NONE, KUR_NONE, KUR_NONE},
                 {KUR_CLEANUP_COMPACT, DAY_MS, KUR_NONE, KUR_NONE},
                 {KUR_CLEANUP_COMPACT_AND_DELETE, 30 * DAY_MS, KUR_NONE, KUR_NONE}};
    struct bench bench = open_bench();
    const char *group = support_name("g");
    const char *topics[5] = {NULL};
    for (int i = 0; i < 4; i++) {
        topics[i] = support_name("t");
        kur_topic_spec source = KUR_TOPIC_SPEC(.name = topics[i], .partitions = 1, .cleanup = cases[i].cleanup,
                                               .retention_ms = cases[i].source_ms);
        make_topic(&bench, &source);
    }
    kur_listener *listener = start(&bench, &KUR_LISTENER_OPTIONS(.group = group, .topics = topics));
    for (int i = 0; i < 4; i++) {
        const kur_topic_view *view = wait_for_topic(&bench, own(topics[i], group, "retry-long"));
        ck_assert_int_eq(view->retention_ms, cases[i].retry_ms);
        ck_assert_int_eq(view->cleanup, KUR_CLEANUP_DELETE);
        view = wait_for_topic(&bench, own(topics[i], group, "dlq"));
        ck_assert_int_eq(view->retention_ms, cases[i].dead_ms);
        ck_assert_int_eq(view->cleanup, KUR_CLEANUP_DELETE);
    }
    kur_listener_free(listener);
    close_bench(&bench);
}
END_TEST

START_TEST(test_retry_topics__options)
{
    skip_unless(support_is_real(), needs_kafka);
    struct bench bench = open_bench();
    const char *topic = support_topic(2), *prefix = support_name("mail");
    kur_listener *listener =
        start(&bench, &KUR_LISTENER_OPTIONS(.group = "no topic's name", .topics = (const char *[]){topic, NULL},
                                            .retry_topics =
                                                &KUR_RETRY_TOPICS(.prefix = prefix, .partitions = 1, .replication = 1,
                                                                  .retention_ms = 90 * DAY_MS,
                                                                  .configs = (const kur_property[]){
                                                                      {"compression.type", "gzip"}, {NULL, NULL}})));
    const kur_topic_view *view = wait_for_topic(&bench, own(prefix, topic, "retry-medium"));
    ck_assert_uint_eq(view->partition_count, 1);
    ck_assert_str_eq(value_of(view, "compression.type"), "gzip");
    view = wait_for_topic(&bench, own(prefix, topic, "dlq"));
    ck_assert_int_eq(view->retention_ms, 90 * DAY_MS);
    ck_assert(wait_for(listener, is_assigned, 5));
    kur_listener_free(listener);

    /* No more partitions than the source has, and without dead letters in a topic none at all. */
    const char *other = support_topic(1), *group = support_name("g"), *alone = support_name("g");
    listener = start(&bench, &KUR_LISTENER_OPTIONS(.group = alone, .topics = (const char *[]){other, NULL},
                                                   .dead_letters = KUR_REJECTED_STOPS));
    kur_listener *more = start(&bench, &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){other, NULL},
                                                             .retry_topics = &KUR_RETRY_TOPICS(.partitions = 5)));
    ck_assert_uint_eq(wait_for_topic(&bench, own(other, group, "dlq"))->partition_count, 1);
    kur_listener_free(more);
    kur_listener_free(listener);
    ck_assert(find(&bench, own(other, alone, "dlq")) == NULL);
    close_bench(&bench);
}
END_TEST

START_TEST(test_retry_topics__a_setting_that_the_broker_refuses)
{
    skip_unless(support_is_real(), needs_kafka);
    struct bench bench = open_bench();
    kur_listener *listener = kur_listener_new(
        bench.client,
        &KUR_LISTENER_OPTIONS(.group = support_name("g"), .topics = (const char *[]){support_topic(1), NULL},
                              .retry_topics =
                                  &KUR_RETRY_TOPICS(.configs = (const kur_property[]){{"no.such.setting", "1"},
                                                                                      {NULL, NULL}})),
        &bench.error);
    ck_assert_msg(listener != NULL, "%s", bench.error.message);
    ck_ok(kur_listener_on_record(listener, count_one, &bench.handled), bench.error);
    ck_status(kur_listener_run(listener, &bench.error), KUR_ERROR_CONFIG, bench.error);
    ck_says(bench.error, "no.such.setting");
    kur_listener_free(listener);
    close_bench(&bench);
}
END_TEST

/* Each record that has no partition of its number there, but the first, finds that known. */
static void forward_to_fewer(kur_guarantee guarantee)
{
    struct bench bench = open_bench();
    const char *topic = support_topic(5), *group = support_name("g");
    kur_listener *listener = start(
        &bench, &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL}, .guarantee = guarantee,
                                      .retry_topics = &KUR_RETRY_TOPICS(.partitions = 1)));
    ck_assert(wait_for(listener, is_assigned, 5 + 3));
    for (int i = 0; i < 20; i++)
        send_text(bench.client, topic, i % 5, NULL, "reject");
    flush(bench.client);
    ck_assert(wait_for(listener, has_finished, 20));
    const kur_retry_health *health = NULL;
    ck_ok(kur_listener_retries(listener, bench.arena, &health, &bench.error), bench.error);
    ck_assert_int_eq(health->forward_failures, 0);
    ck_assert_msg(count_in_log("cannot be forwarded") == 0, "%s", log_text);
    int refused = count_in_log("is refused");
    for (int i = 0; i < 5; i++)
        send_text(bench.client, topic, i, NULL, "reject");
    flush(bench.client);
    ck_assert(wait_for(listener, has_finished, 25));
    ck_assert_int_eq(health_of(listener).rejected, 25);
    ck_assert_msg(refused <= 1 && count_in_log("is refused") == refused, "%s", log_text);
    kur_listener_free(listener);
    close_bench(&bench);
}

START_TEST(test_retry_topics__with_fewer_partitions_take_all_there_is)
{
    skip_unless(support_is_real(), needs_kafka);
    forward_to_fewer(KUR_AT_LEAST_ONCE);
    forward_to_fewer(KUR_EXACTLY_ONCE);
}
END_TEST

START_TEST(test_retry_topics__nobody_else_makes_them)
{
    skip_unless(support_is_real(), needs_kafka);
    struct bench bench = open_bench();
    const char *topic = support_topic(3), *group = support_name("g");
    for (int i = 0; i < 3; i++)
        send_text(bench.client, topic, i, NULL, "reject");
    flush(bench.client);
    /* A broker that is asked where to write makes what it does not know, with one partition and by its own settings. */
    kur_listener *listener =
        start(&bench, &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL}));
    ck_assert(wait_for(listener, has_finished, 3));
    kur_listener_free(listener);
    const kur_topic_view *view = wait_for_topic(&bench, own(topic, group, "dlq"));
    ck_assert_uint_eq(view->partition_count, 3);
    ck_assert_int_eq(view->retention_bytes, KUR_NONE);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(view->partitions[i]->end_offset, 1);
    ck_assert_int_eq(count_in_log("this mends it"), 0);
    ck_assert_int_eq(count_in_log("cannot be forwarded"), 0);
    close_bench(&bench);
}
END_TEST

/* ---- There before ---- */

START_TEST(test_retry_topics__what_differs_is_told_once_with_what_mends_it)
{
    skip_unless(support_is_real(), needs_kafka);
    struct bench bench = open_bench();
    const char *topic = support_topic(2), *group = support_name("g");
    const char *compacted = own(topic, group, "retry-short"), *longer = own(topic, group, "retry-long"),
               *narrow = own(topic, group, "dlq");
    kur_topic_spec there[] = {
        KUR_TOPIC_SPEC(.name = compacted, .partitions = 2, .cleanup = KUR_CLEANUP_COMPACT, .retention_ms = DAY_MS),
        KUR_TOPIC_SPEC(.name = longer, .partitions = 4, .retention_ms = 400 * DAY_MS, .max_message_bytes = 5 << 20),
        KUR_TOPIC_SPEC(.name = narrow, .partitions = 1, .max_message_bytes = 1000)};
    for (int i = 0; i < 3; i++)
        make_topic(&bench, &there[i]);
    kur_listener *listener =
        start(&bench, &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL}));
    wait_for_topic(&bench, own(topic, group, "retry-medium"));
    ck_assert(wait_for(listener, is_assigned, 2 + 2 + 2 + 4));
    char line[1200];
    snprintf(line, sizeof line, "%s: cleanup.policy is compact, and should be delete; this mends it: kafka-configs.sh",
             compacted);
    ck_assert(wait_for_log(line));
    snprintf(line, sizeof line, "--entity-name %s --add-config retention.ms=%lld", compacted, (long long)(37 * DAY_MS));
    ck_assert(wait_for_log(line));
    snprintf(line, sizeof line, "--alter --topic %s --partitions 2", narrow);
    ck_assert(wait_for_log(line));
    snprintf(line, sizeof line, "--entity-name %s --add-config max.message.bytes=", narrow);
    ck_assert(wait_for_log(line));
    kur_listener_free(listener);
    ck_assert_int_eq(count_in_log("this mends it"), 5); /* the first one takes too little as well */
    ck_assert_int_eq(wait_for_topic(&bench, compacted)->cleanup, KUR_CLEANUP_COMPACT); /* it was left as it was */
    close_bench(&bench);
}
END_TEST

START_TEST(test_retry_topics__checked_only)
{
    skip_unless(support_is_real(), needs_kafka);
    struct bench bench = open_bench();
    const char *topic = support_topic(2), *group = support_name("g");
    kur_topic_spec there = KUR_TOPIC_SPEC(.name = own(topic, group, "retry-medium"), .partitions = 2);
    make_topic(&bench, &there);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL},
                                                        .retry_topics = &KUR_RETRY_TOPICS(.topics = KUR_TOPICS_CHECK));
    kur_listener *listener = kur_listener_new(bench.client, &options, &bench.error);
    ck_assert_msg(listener != NULL, "%s", bench.error.message);
    ck_ok(kur_listener_on_record(listener, count_one, &bench.handled), bench.error);
    ck_status(kur_listener_run(listener, &bench.error), KUR_ERROR_UNKNOWN_TOPIC, bench.error);
    kur_listener_free(listener);
    char expected[4000];
    snprintf(
        expected, sizeof expected,
        "missing: %s and 2 more; made by: kafka-topics.sh --bootstrap-server $KAFKA_BOOTSTRAP_SERVERS --create "
        "--topic %s --partitions 2 --replication-factor 1 --config cleanup.policy=delete --config "
        "retention.ms=3196800000 --config retention.bytes=-1 --config max.message.bytes=1114124 (more: see the log)",
        own(topic, group, "retry-short"), own(topic, group, "retry-short"));
    ck_assert_str_eq(bench.error.message, expected);
    snprintf(expected, sizeof expected,
             "--create --topic %s --partitions 2 --replication-factor 1 --config cleanup.policy=delete --config "
             "retention.ms=604800000 --config retention.bytes=-1 --config max.message.bytes=",
             own(topic, group, "dlq"));
    ck_assert_msg(count_in_log(expected) == 1, "%s", log_text);
    ck_assert(find(&bench, own(topic, group, "dlq")) == NULL);

    /* Whoever makes them is content. */
    const char *const endings[] = {"retry-short", "retry-long", "dlq"};
    for (int i = 0; i < 3; i++) {
        kur_topic_spec made = KUR_TOPIC_SPEC(.name = own(topic, group, endings[i]), .partitions = 2);
        make_topic(&bench, &made);
    }
    listener = start(&bench, &options);
    ck_assert(wait_for(listener, is_assigned, 8));
    ck_assert_int_eq(health_of(listener).status, KUR_OK);
    kur_listener_free(listener);
    close_bench(&bench);
}
END_TEST

/* An error holds half a thousand bytes, a command with two names of 200 characters more. */
START_TEST(test_retry_topics__names_what_is_missing_however_long)
{
    skip_unless(support_is_real(), needs_kafka);
    struct bench bench = open_bench();
    char topic[120], group[120], expected[1000];
    snprintf(topic, sizeof topic, "%s-%060d", support_name("t"), 0);
    snprintf(group, sizeof group, "%s-%060d", support_name("g"), 0);
    support_create(topic, 1);
    kur_listener *listener =
        kur_listener_new(bench.client,
                         &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL},
                                               .retry_topics = &KUR_RETRY_TOPICS(.topics = KUR_TOPICS_CHECK)),
                         &bench.error);
    ck_assert_msg(listener != NULL, "%s", bench.error.message);
    ck_ok(kur_listener_on_record(listener, count_one, &bench.handled), bench.error);
    ck_status(kur_listener_run(listener, &bench.error), KUR_ERROR_UNKNOWN_TOPIC, bench.error);
    snprintf(expected, sizeof expected, "missing: %s, %s and 2 more; the log has the commands that make them",
             own(topic, group, "retry-short"), own(topic, group, "retry-medium"));
    ck_assert_str_eq(bench.error.message, expected);
    static const char *const endings[] = {"retry-short", "retry-medium", "retry-long", "dlq"};
    for (int i = 0; i < 4; i++) {
        snprintf(expected, sizeof expected, "--create --topic %s --partitions 1 --replication-factor 1 --config ",
                 own(topic, group, endings[i]));
        ck_assert_msg(count_in_log(expected) == 1, "%s", log_text);
    }
    kur_listener_free(listener);
    close_bench(&bench);
}
END_TEST

/* ---- Read ---- */

/* A record that waits for its second attempt, as a listener before this one has left it. */
static void leave_one(struct bench *bench, const char *topic, const char *group, const char *retry_topic)
{
    const kur_header headers[] = {
        {"kurier-retry-attempt", kur_bytes_text("2")},   {"kurier-retry-topic", kur_bytes_text(topic)},
        {"kurier-retry-partition", kur_bytes_text("0")}, {"kurier-retry-offset", kur_bytes_text("0")},
        {"kurier-retry-group", kur_bytes_text(group)},   {"kurier-retry-cause", kur_bytes_text("test.before")}};
    kur_message message =
        KUR_MESSAGE(.topic = retry_topic, .partition = KUR_PARTITION(0), .headers = headers,
                    .header_count = sizeof headers / sizeof *headers, .value = kur_bytes_text("waits"));
    ck_ok(kur_producer_send(kur_client_producer(bench->client, &bench->error), &message, &bench->error), bench->error);
    flush(bench->client);
}

START_TEST(test_retry_topics__begin_at_the_beginning)
{
    struct bench bench = open_bench();
    const char *topic = support_topic(1), *group = support_name("g"), *waits = own(topic, group, "retry-short");
    support_create(waits, 1);
    send_text(bench.client, topic, 0, NULL, "passed over");
    leave_one(&bench, topic, group, waits);
    kur_listener *listener = start(&bench, &KUR_LISTENER_OPTIONS(.group = group, .start = KUR_START_LATEST,
                                                                 .topics = (const char *[]){topic, NULL}));
    ck_assert(wait_for(listener, has_finished, 1));
    ck_assert_int_eq(bench.handled, 1);
    kur_listener_free(listener);
    close_bench(&bench);
}
END_TEST

START_TEST(test_retry_topics__come_when_the_topic_does)
{
    skip_unless(support_is_real(), needs_kafka);
    struct bench bench = open_bench();
    const char *topic = support_name("later"), *there = support_topic(1), *group = support_name("g");
    kur_listener *listener =
        start(&bench, &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){there, topic, NULL}));
    wait_for_topic(&bench, own(there, group, "dlq"));
    ck_assert(wait_for(listener, is_assigned, 4));
    ck_assert(find(&bench, own(topic, group, "retry-short")) == NULL);
    support_create(topic, 2);
    ck_assert_uint_eq(wait_for_topic(&bench, own(topic, group, "retry-short"))->partition_count, 2);
    ck_assert(wait_for(listener, is_assigned, 4 + 8));
    kur_listener_free(listener);
    close_bench(&bench);
}
END_TEST

START_TEST(test_retry_topics__are_not_missing)
{
    skip_unless(support_is_real(), needs_kafka);
    struct bench bench = open_bench();
    const char *topic = support_topic(1), *group = support_name("g");
    kur_listener *listener = start(&bench, &KUR_LISTENER_OPTIONS(.group = group, .missing = KUR_MISSING_STOP,
                                                                 .topics = (const char *[]){topic, NULL}));
    ck_assert(wait_for(listener, is_assigned, 4));
    ck_assert_int_eq(health_of(listener).status, KUR_OK);
    ck_assert_int_eq(count_in_log("not available"), 0);
    kur_listener_free(listener);
    close_bench(&bench);
}
END_TEST

START_TEST(test_retry_topics__of_what_matches_a_pattern)
{
    struct bench bench = open_bench();
    char base[100], later[120], endless[400], pattern[120];
    const char *group = support_name("g");
    snprintf(base, sizeof base, "%s", support_name("orders"));
    snprintf(later, sizeof later, "%s-later", base);
    snprintf(endless, sizeof endless, "%s-%0180d", base, 1);
    snprintf(pattern, sizeof pattern, "%s.*", base);
    support_create(base, 2);
    support_create(endless, 1);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.group = group, .pattern = pattern);
    kur_listener *one = start(&bench, &options);
    wait_for_topic(&bench, own(base, group, "dlq"));
    int64_t all = support_is_real() ? 8 : 2 + 3 * 4;
    ck_assert(wait_for(one, is_assigned, all));
    snprintf(log_text, sizeof log_text, "%s", ""); /* of the one below */
    kur_listener *two = start(&bench, &options);
    char line[1200];
    snprintf(line, sizeof line, "topic %s matches and is not read", endless);
    ck_assert(wait_for_log(line));
    support_create(later, 2);
    wait_for_topic(&bench, own(later, group, "dlq"));
    /* Both members have found all of it, and nothing else. */
    int64_t until_ms = now_ms() + WAIT_MS;
    while (health_of(one).assigned + health_of(two).assigned != 2 * all || health_of(one).assigned == 0 ||
           health_of(two).assigned == 0) {
        ck_assert_msg(now_ms() < until_ms, "%lld and %lld are assigned", (long long)health_of(one).assigned,
                      (long long)health_of(two).assigned);
        nap(50);
    }
    ck_assert_int_eq(count_in_log(line), 1);
    kur_listener_free(one);
    kur_listener_free(two);
    close_bench(&bench);
}
END_TEST

/* ---- Order ---- */

static kur_listener *start_ordered(struct bench *bench, const char *topic, const char *group)
{
    kur_listener_options options = KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL},
                                                        .session_timeout_ms = support_is_real() ? 6000 : 3000,
                                                        .retry_topics = &KUR_RETRY_TOPICS(.partitions = 1));
    kur_listener *listener = kur_listener_new(bench->client, &options, &bench->error);
    ck_assert_msg(listener != NULL, "%s", bench->error.message);
    kur__tiers_free(listener);
    ck_ok(kur__tiers_new(listener, &options, true, true, &bench->error), bench->error);
    ck_ok(kur_listener_on_record(listener, count_one, &bench->handled), bench->error);
    return listener;
}

START_TEST(test_retry_topics__order_needs_as_many_partitions)
{
    struct bench bench = open_bench();
    const char *topic = support_topic(3), *group = support_name("g"), *other = support_name("g");
    support_create(own(topic, group, "retry-ordered"), 1);
    kur_listener *listener = start_ordered(&bench, topic, group);
    ck_status(kur_listener_run(listener, &bench.error), support_is_real() ? KUR_ERROR_CONFIG : KUR_ERROR_UNSUPPORTED,
              bench.error);
    ck_says(bench.error, own(topic, group, "retry-ordered: partitions is 1, and should be 3"));
    ck_says(bench.error, support_is_real() ? "--partitions 3" : "kur_embedded_broker_topic");
    kur_listener_free(listener);

    if (!support_is_real())
        support_create(own(topic, other, "retry-ordered"), 3);
    listener = start_ordered(&bench, topic, other);
    ck_ok(kur_listener_start(listener, &bench.error), bench.error);
    ck_assert_int_eq(wait_for_topic(&bench, own(topic, other, "dlq"))->partition_count, support_is_real() ? 1 : 4);
    ck_assert(wait_for(listener, is_assigned, 6));
    kur_listener_free(listener);
    ck_assert(find(&bench, own(topic, other, "retry-short")) == NULL);
    close_bench(&bench);
}
END_TEST

START_TEST(test_retry_topics__a_name_that_collides_is_explained)
{
    skip_unless(support_is_real(), needs_kafka);
    struct bench bench = open_bench();
    char topic[100], like[200];
    const char *group = support_name("g");
    snprintf(topic, sizeof topic, "%s.eu", support_name("t"));
    snprintf(like, sizeof like, "%s", own(topic, group, "retry-long"));
    *strchr(like, '.') = '_';
    support_create(topic, 1);
    support_create(like, 1);
    kur_listener *listener = kur_listener_new(
        bench.client, &KUR_LISTENER_OPTIONS(.group = group, .topics = (const char *[]){topic, NULL}), &bench.error);
    ck_ok(kur_listener_on_record(listener, count_one, &bench.handled), bench.error);
    ck_status(kur_listener_run(listener, &bench.error), KUR_ERROR_INVALID_ARGUMENT, bench.error);
    ck_says(bench.error, "Kafka makes no topic a_b beside a.b");
    kur_listener_free(listener);

    /* Which others have made does not end one that reads what matches a pattern. */
    char pattern[120];
    snprintf(pattern, sizeof pattern, "%s", topic);
    listener = start(&bench, &KUR_LISTENER_OPTIONS(.group = group, .pattern = pattern));
    ck_assert_msg(wait_for_log("are not ready yet: "), "%s", log_text);
    ck_assert_msg(count_in_log("Kafka makes no topic a_b beside a.b") > 1, "%s", log_text);
    ck_assert(wait_for(listener, is_assigned, 3)); /* all but that one */
    kur_listener_free(listener);
    close_bench(&bench);
}
END_TEST

/* ---- The end ---- */

enum {
    CREATE_TOPICS = 19, /* as the protocol numbers requests */
    FREE_MS = 20000     /* kur_listener_free says less; a slow day takes more, and never a minute */
};

/* A record is rejected, and there are no dead letters that it could go to, nor will there be. */
START_TEST(test_retry_topics__a_stop_does_not_wait_for_what_is_not_there)
{
    skip_unless(support_is_real(), needs_kafka);
    struct bench bench = open_bench();
    char topic[100], like[200];
    const char *group = support_name("g");
    snprintf(topic, sizeof topic, "%s.eu", support_name("t"));
    snprintf(like, sizeof like, "%s", own(topic, group, "dlq"));
    *strchr(like, '.') = '_';
    support_create(topic, 1);
    support_create(like, 1);
    send_text(bench.client, topic, 0, "k", "reject");
    flush(bench.client);
    kur_listener *listener = start(&bench, &KUR_LISTENER_OPTIONS(.group = group, .pattern = topic));
    ck_assert(wait_for(listener, has_handled, 1));
    ck_assert_msg(wait_for_log("are not ready yet: "), "%s", log_text);
    int64_t begun_ms = now_ms();
    ck_ok(kur_listener_stop(listener, WAIT_MS, &bench.error), bench.error);
    ck_assert_int_lt(now_ms() - begun_ms, WAIT_MS / 2);
    ck_assert_int_eq(health_of(listener).finished, 0);
    kur_listener_free(listener);
    close_bench(&bench);
}
END_TEST

/* Frees a listener whose topics cannot be made. */
static void free_in_time(kur_client *client, struct proxy *proxy, const char *topic)
{
    kur_error error = {0};
    atomic_int handled = 0;
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.group = support_name("g"), .topics = (const char *[]){topic, NULL});
    kur_listener *listener = kur_listener_new(client, &options, &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    ck_ok(kur_listener_on_record(listener, count_one, &handled), error);
    int64_t begun_ms = now_ms();
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert_int_lt(now_ms() - begun_ms, 3500); /* it waits for nobody: a question takes four seconds */
    if (proxy != NULL)
        ck_assert(proxy_wait_lost(proxy));
    else
        nap(200);
    begun_ms = now_ms();
    kur_listener_free(listener);
    printf("# freed in %d ms\n", (int)(now_ms() - begun_ms));
    ck_assert_int_lt(now_ms() - begun_ms, FREE_MS);
    kur_client_unref(client);
}

START_TEST(test_retry_topics__nobody_is_waited_for_at_the_end)
{
    kur_error error = {0};
    free_in_time(kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY), &error), NULL, "orders");
}
END_TEST

START_TEST(test_retry_topics__a_broker_that_falls_silent_is_not_waited_for)
{
    const char *topic = support_topic(1);
    struct proxy *proxy = proxy_new(support_bootstrap());
    proxy_set(proxy, PROXY_HOLD);
    free_in_time(support_client(), NULL, topic);
    if (support_is_real()) {
        proxy_set(proxy, PROXY_PASS);
        proxy_lose(proxy, CREATE_TOPICS, PROXY_LOSE_ANSWER);
        free_in_time(support_client(), proxy, topic);
    }
    proxy_free(proxy);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_retry_topics__are_made_as_the_source_is,
                                  test_retry_topics__keep_records_for_long_enough,
                                  test_retry_topics__options,
                                  test_retry_topics__a_setting_that_the_broker_refuses,
                                  test_retry_topics__with_fewer_partitions_take_all_there_is,
                                  test_retry_topics__nobody_else_makes_them,
                                  test_retry_topics__what_differs_is_told_once_with_what_mends_it,
                                  test_retry_topics__checked_only,
                                  test_retry_topics__names_what_is_missing_however_long,
                                  test_retry_topics__begin_at_the_beginning,
                                  test_retry_topics__come_when_the_topic_does,
                                  test_retry_topics__are_not_missing,
                                  test_retry_topics__of_what_matches_a_pattern,
                                  test_retry_topics__order_needs_as_many_partitions,
                                  test_retry_topics__a_name_that_collides_is_explained,
                                  test_retry_topics__a_stop_does_not_wait_for_what_is_not_there,
                                  test_retry_topics__nobody_is_waited_for_at_the_end,
                                  test_retry_topics__a_broker_that_falls_silent_is_not_waited_for,
                                  NULL};
    int status = check_main("retry_topics", tests);
    support_stop();
    return status;
}
