/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Static members that come back and want to read something else than before: the broker gives them what they had,
 * and asks nobody to divide anew.
 */
#include <kurier/admin.h>
#include <stdio.h>

#include "../kept_log.h"

enum {
    TOPICS = 2,
    SESSION_MS = 20000 /* nobody is missed before the time is over in which all of this has to happen */
};

static const char no_static_members[] = "the embedded broker knows no static members";
static const char given[] = "everything that is read has been given to somebody";

/* What a test has; made anew for each. */
static struct {
    kur_client *client;
    const char *topics[TOPICS];
    const char *group;
} bench;

struct member {
    const char *instance;
    kur_consumer *consumer;
    int held[TOPICS], taken; /* partitions of each topic; how often some were taken back */
    bool was_told_what_it_does_not_read;
    const char *topics[TOPICS + 1];
};

static void begin(void)
{
    kur_error error = {0};
    log_text[0] = '\0';
    /* New partitions and topics are to be seen soon, and that the group divides, where that is not the broker's. */
    kur_property properties[] = {
        {"topic.metadata.refresh.interval.ms", "500"}, {"heartbeat.interval.ms", "200"}, {NULL, NULL}};
    if (support_group_protocol() == KUR_GROUP_CONSUMER)
        properties[1] = properties[2];
    bench.client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests",
                                           .log = keep_log, .log_level = KUR_LOG_DEBUG, .properties = properties),
                       &error);
    ck_assert_msg(bench.client != NULL, "%s", error.message);
    bench.group = support_name("static");
}

static void end(void)
{
    kur_client_unref(bench.client);
}

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *partitions, size_t count,
                         void *user)
{
    struct member *member = user;
    (void)consumer;
    member->taken += what != KUR_ASSIGNED;
    for (size_t i = 0; i < count; i++) {
        bool reads_it = false;
        for (int t = 0; t < TOPICS; t++) {
            bool is_it = bench.topics[t] != NULL && strcmp(partitions[i].topic, bench.topics[t]) == 0;
            member->held[t] += is_it ? (what == KUR_ASSIGNED ? 1 : -1) : 0;
            reads_it = reads_it || (member->topics[t] != NULL && strcmp(partitions[i].topic, member->topics[t]) == 0);
        }
        member->was_told_what_it_does_not_read |= what == KUR_ASSIGNED && !reads_it;
    }
}

/* The member begins, with the first `count` topics. */
static void come(struct member *member, int count)
{
    kur_error error = {0};
    memset(member->held, 0, sizeof member->held);
    member->taken = 0;
    for (int t = 0; t <= TOPICS; t++)
        member->topics[t] = t < count ? bench.topics[t] : NULL;
    kur_consumer_options options =
        KUR_CONSUMER_OPTIONS(.group = bench.group, .group_instance_id = member->instance, .user = member,
                             .on_rebalance = on_rebalance, .protocol = support_group_protocol());
    if (options.protocol == KUR_GROUP_CLASSIC)
        options.session_timeout_ms = support_is_real() ? SESSION_MS : 3000;
    member->consumer = kur_consumer_new(bench.client, &options, &error);
    ck_assert_msg(member->consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(member->consumer, member->topics, &error), error);
}

static void go(struct member *member)
{
    kur_consumer_free(member->consumer);
    member->consumer = NULL;
}

static void poll_once(struct member *member)
{
    kur_error error = {0};
    kur_record *record = NULL;
    if (member->consumer == NULL)
        return;
    ck_ok(kur_consumer_poll(member->consumer, 10, &record, &error), error);
    kur_consumer_free_records(member->consumer, &record, 1);
}

/* Polls all members until a condition holds. */
#define poll_both(one, two, condition)                                                                                 \
    do {                                                                                                               \
        int64_t until_ms_ = now_ms() + WAIT_MS;                                                                        \
        while (!(condition)) {                                                                                         \
            ck_assert_msg(now_ms() < until_ms_, "not in time: %s; %d and %d, %d and %d\n%s", #condition,               \
                          (one)->held[0], (one)->held[1], (two)->held[0], (two)->held[1], log_text);                   \
            poll_once(one);                                                                                            \
            poll_once(two);                                                                                            \
        }                                                                                                              \
    } while (0)

static bool holds(const struct member *member, int first, int second)
{
    return member->held[0] == first && member->held[1] == second;
}

/* What range gives to two members. The broker divides in other ways: then all of it is held, and each has something. */
static bool hold(const struct member *one, int first, int second, const struct member *other, int third, int fourth)
{
    if (support_group_protocol() == KUR_GROUP_CONSUMER)
        return one->held[0] + other->held[0] == first + third && one->held[1] + other->held[1] == second + fourth &&
               one->held[0] + one->held[1] > 0 && other->held[0] + other->held[1] > 0;
    return holds(one, first, second) && holds(other, third, fourth);
}

START_TEST(test_static_members__what_one_reads_anew_is_divided)
{
    skip_unless(support_is_real(), no_static_members);

    struct member first = {.instance = "a"}, second = {.instance = "b"};
    begin();
    for (int t = 0; t < TOPICS; t++)
        bench.topics[t] = support_topic(2);
    come(&first, 1);
    poll_both(&first, &second, holds(&first, 2, 0));
    come(&second, 1);
    poll_both(&first, &second, hold(&first, 1, 0, &second, 1, 0));
    /* The second is nobody's leader, then the first is everybody's. */
    go(&second);
    come(&second, 2);
    poll_both(&first, &second, hold(&first, 1, 0, &second, 1, 2));
    go(&first);
    come(&first, 2);
    poll_both(&first, &second, hold(&first, 1, 1, &second, 1, 1));
    go(&second);
    go(&first);
    end();
}
END_TEST

START_TEST(test_static_members__what_one_reads_no_more_is_the_others)
{
    skip_unless(support_is_real(), no_static_members);

    struct member first = {.instance = "a"}, second = {.instance = "b"};
    begin();
    for (int t = 0; t < TOPICS; t++)
        bench.topics[t] = support_topic(2);
    come(&first, 2);
    come(&second, 2);
    poll_both(&first, &second, hold(&first, 1, 1, &second, 1, 1));
    go(&second);
    come(&second, 1);
    poll_both(&first, &second, hold(&first, 1, 2, &second, 1, 0));
    ck_assert(!second.was_told_what_it_does_not_read);
    go(&second);
    go(&first);
    end();
}
END_TEST

START_TEST(test_static_members__partitions_that_came_while_one_was_away)
{
    skip_unless(support_is_real(), no_static_members);

    struct member first = {.instance = "a"}, second = {.instance = "b"};
    kur_error error = {0};
    begin();
    bench.topics[0] = support_topic(1);
    bench.topics[1] = NULL;
    come(&first, 1);
    poll_both(&first, &second, holds(&first, 1, 0));
    go(&first);
    kur_admin *admin = kur_admin_new(bench.client, &error);
    ck_assert_msg(admin != NULL, "%s", error.message);
    kur_topic_spec wider = KUR_TOPIC_SPEC(.name = bench.topics[0], .partitions = 2);
    ck_ok(kur_admin_apply_topics(admin, &wider, 1, WAIT_MS, NULL, NULL, &error), error);
    kur_admin_free(admin);
    come(&first, 1);
    poll_both(&first, &second, holds(&first, 2, 0));
    go(&first);
    end();
}
END_TEST

START_TEST(test_static_members__one_that_reads_the_same_disturbs_nobody)
{
    skip_unless(support_is_real(), no_static_members);

    struct member first = {.instance = "a"}, second = {.instance = "b"};
    begin();
    for (int t = 0; t < TOPICS; t++)
        bench.topics[t] = support_topic(2);
    come(&first, 2);
    come(&second, 2);
    poll_both(&first, &second, hold(&first, 1, 1, &second, 1, 1));
    int before = first.taken;
    go(&second);
    log_text[0] = '\0';
    come(&second, 2);
    poll_both(&first, &second, hold(&first, 1, 1, &second, 1, 1));
    if (support_group_protocol() == KUR_GROUP_CLASSIC) /* it has looked, and has seen that there is nothing to do */
        poll_both(&first, &second, count_in_log(given) > 0);
    ck_assert_int_eq(first.taken, before);
    ck_assert_int_eq(second.taken, 0);
    ck_assert_int_eq(count_in_log("divide anew"), 0);
    go(&second);
    go(&first);
    end();
}
END_TEST

START_TEST(test_static_members__one_that_comes_first)
{
    struct member one = {.instance = "a"}, none = {.instance = "b"};
    begin();
    for (int t = 0; t < TOPICS; t++)
        bench.topics[t] = support_topic(2);
    come(&one, 2);
    poll_both(&one, &none, holds(&one, 2, 2));
    if (support_group_protocol() == KUR_GROUP_CLASSIC)
        poll_both(&one, &none, count_in_log(support_is_real() ? given : "knows no static members") > 0);
    ck_assert_int_eq(one.taken, 0);
    go(&one);
    end();
}
END_TEST

/* ---- Listeners ---- */

/* What fails once. */
static kur_outcome fail_once(kur_delivery *delivery, void *user)
{
    atomic_int *done = user;
    if (kur_delivery_attempt(delivery) == 1)
        return kur_retry(delivery, "test.once", "once");
    ++*done;
    return KUR_DONE;
}

/* Runs without topics of its own, then with them: what is parked there is read. */
static void come_back_with_retry_topics(bool are_there)
{
    static atomic_int done;
    done = 0;
    begin();
    const char *topic = support_topic(2);
    kur_listener_options without =
        KUR_LISTENER_OPTIONS(.group_instance_id = "a", .dead_letters = KUR_REJECTED_STOPS,
                             .session_timeout_ms = SESSION_MS, .retry = &KUR_RETRY_POLICY(.delay_ms = 10));
    kur_listener_options with =
        KUR_LISTENER_OPTIONS(.group_instance_id = "a", .session_timeout_ms = SESSION_MS,
                             .retry_topics = &KUR_RETRY_TOPICS(.replication = 1),
                             .retry = &KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .delay_ms = 10));
    without.protocol = with.protocol = support_group_protocol();
    if (with.protocol == KUR_GROUP_CONSUMER)
        without.session_timeout_ms = with.session_timeout_ms = 0;
    const char *const own[] = {"retry-short", "retry-medium", "retry-long", "dlq"};
    for (int i = 0; i < 4 && are_there; i++) {
        char name[200];
        snprintf(name, sizeof name, "%s.%s.%s", topic, bench.group, own[i]);
        support_create(name, 2);
    }
    kur_listener *listener = listen(bench.client, &without, topic, bench.group, fail_once, &done);
    for (int p = 0; p < 2; p++)
        send_text(bench.client, topic, p, NULL, "x");
    flush(bench.client);
    ck_assert(support_wait(&done, 2));
    ck_assert(wait_for(listener, is_assigned, 2));
    kur_listener_free(listener);

    listener = listen(bench.client, &with, topic, bench.group, fail_once, &done);
    for (int p = 0; p < 2; p++)
        send_text(bench.client, topic, p, NULL, "x");
    flush(bench.client);
    ck_assert_msg(support_wait(&done, 4), "%d\n%s", done, log_text);
    ck_assert(wait_for(listener, is_assigned, 2 + 3 * 2));
    kur_listener_free(listener);
    end();
}

START_TEST(test_static_members__a_listeners_retry_topics_that_are_there)
{
    skip_unless(support_is_real(), no_static_members);

    come_back_with_retry_topics(true);
}
END_TEST

START_TEST(test_static_members__a_listeners_retry_topics_that_come_later)
{
    skip_unless(support_is_real(), no_static_members);

    come_back_with_retry_topics(false);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_static_members__what_one_reads_anew_is_divided,
        test_static_members__what_one_reads_no_more_is_the_others,
        test_static_members__partitions_that_came_while_one_was_away,
        test_static_members__one_that_reads_the_same_disturbs_nobody,
        test_static_members__one_that_comes_first,
        test_static_members__a_listeners_retry_topics_that_are_there,
        test_static_members__a_listeners_retry_topics_that_come_later,
        NULL,
    };
    return check_main("static_members", tests);
}
