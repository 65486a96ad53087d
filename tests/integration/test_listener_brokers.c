/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What brokers do to a listener: topics that do not exist, connections that are cut, silence, and what ends it for
 * good.
 */
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <stdio.h>
#include <string.h>

#include "../check_main.h"
#include "../listening.h"
#include "../proxy.h"
#include "../support.h"

enum {
    STOP_MS = 2000,
    /* What is promised is less; a slow day takes more, and never the minute for which an answer is waited. */
    FREE_MS = 30000,
    SLACK_MS = 15000
};

/* ---- Topics that do not exist ---- */

struct log {
    const char *topic;
    atomic_int warned;
};

static void look_for_topic(kur_log_level level, const char *message, void *user)
{
    struct log *log = user;
    if (level <= KUR_LOG_WARNING && strstr(message, log->topic) != NULL && strstr(message, "waits") != NULL)
        log->warned++;
}

static kur_client *impatient_client(struct log *log)
{
    kur_error error = {0};
    const kur_property properties[] = {{"topic.metadata.refresh.interval.ms", "500"}, {NULL, NULL}};
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .properties = properties,
                                           .log = look_for_topic, .log_user = log),
                       &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    return client;
}

START_TEST(test_listener_brokers__a_missing_topic_is_waited_for_or_ends_it)
{
    skip_unless(support_is_real(), "the embedded broker makes every topic on first sight");
    atomic_int count = 0;
    kur_error error = {0};
    struct log log = {.topic = support_name("missing")};
    kur_client *client = impatient_client(&log);
    kur_listener_options stops = KUR_LISTENER_OPTIONS(.missing = KUR_MISSING_STOP), waits = KUR_LISTENER_OPTIONS();
    kur_listener *listener = make(client, &stops, log.topic, support_name("stops"), count_one, &count);
    ck_status(kur_listener_run(listener, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    ck_says(error, log.topic);
    ck_assert_int_eq(health_of(listener).status, KUR_ERROR_UNKNOWN_TOPIC);
    kur_listener_free(listener);

    log.warned = 0;
    listener = listen(client, &waits, log.topic, support_name("waits"), count_one, &count);
    ck_assert(support_wait(&log.warned, 2));
    ck_assert_int_eq(health_of(listener).status, KUR_OK);
    support_create(log.topic, 1);
    send_text(client, log.topic, 0, NULL, "x");
    flush(client);
    ck_assert(wait_for(listener, has_finished, 1));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

/* ---- What passes, and what does not ---- */

START_TEST(test_listener_brokers__brokers_that_go_are_waited_for)
{
    atomic_int count = 0;
    kur_error error = {0};
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    for (int i = 0; i < 50; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, support_name("waits"), count_one, &count);
    ck_assert(wait_for(listener, has_finished, 50));
    proxy_set(proxy, PROXY_CUT);
    nap(1500);
    ck_assert(health_of(listener).is_running);
    ck_assert_int_eq(health_of(listener).status, KUR_OK);
    proxy_set(proxy, PROXY_PASS);
    for (int i = 0; i < 50; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    ck_assert(wait_for(listener, has_finished, 100));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    proxy_free(proxy);
    kur_client_unref(client);
}
END_TEST

static bool has_ended(const kur_listener_health *health, int64_t wanted)
{
    (void)wanted;
    return !health->is_running;
}

START_TEST(test_listener_brokers__a_fenced_member_ends)
{
    skip_unless(support_is_real(), "the embedded broker knows no static members");
    atomic_int count = 0;
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(1), *group = support_name("fenced");
    kur_listener_options options = KUR_LISTENER_OPTIONS(.group_instance_id = "one");
    kur_listener *first = listen(client, &options, topic, group, count_one, &count);
    ck_assert(wait_for(first, is_assigned, 1));
    kur_listener *second = listen(client, &options, topic, group, count_one, &count);
    ck_assert(wait_for(first, has_ended, 0));
    ck_assert_int_eq(health_of(first).status, KUR_ERROR_FENCED);
    ck_status(kur_listener_stop(first, WAIT_MS, &error), KUR_ERROR_FENCED, error);
    send_text(client, topic, 0, NULL, "x");
    flush(client);
    ck_assert(wait_for(second, has_finished, 1));
    ck_ok(kur_listener_stop(second, WAIT_MS, &error), error);
    kur_listener_free(first);
    kur_listener_free(second);
    kur_client_unref(client);
}
END_TEST

/* ---- Silence ---- */

/* What the listener is doing when its broker falls silent. */
enum moment {
    IDLE,
    WITH_A_COMMIT_UNDER_WAY,
    JOINING,
    MOMENTS
};

static void end_in_silence(enum moment moment, bool stops)
{
    atomic_int count = 0;
    kur_error error = {0};
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    for (int i = 0; i < 100; i++)
        send_text(client, topic, i % 2, NULL, "x");
    flush(client);
    if (moment == JOINING)
        proxy_set(proxy, PROXY_HOLD);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .commit_interval_ms = moment == IDLE ? 60000 : 50),
               topic, support_name("silent"), count_one, &count);
    if (moment != JOINING)
        ck_assert(wait_for(listener, has_finished, 100));
    if (moment == WITH_A_COMMIT_UNDER_WAY)
        proxy_lose(proxy, PROXY_API_OFFSET_COMMIT, PROXY_LOSE_ANSWER);
    if (moment == WITH_A_COMMIT_UNDER_WAY) {
        send_text(client, topic, 0, NULL, "x");
        ck_assert(proxy_wait_lost(proxy));
    } else {
        nap(moment == JOINING ? 500 : 0);
        proxy_set(proxy, PROXY_HOLD);
    }
    int64_t begin_ms = now_ms();
    if (stops) {
        kur_listener_stop(listener, STOP_MS, &error);
        ck_assert_int_le(now_ms() - begin_ms, STOP_MS + SLACK_MS);
    }
    begin_ms = now_ms();
    kur_listener_free(listener);
    int64_t took_ms = now_ms() - begin_ms;
    printf("# silent %s%s: freed in %d ms\n",
           moment == IDLE      ? "while idle"
           : moment == JOINING ? "while it joins"
                               : "during a commit",
           stops ? ", stopped before" : "", (int)took_ms);
    ck_assert_int_le(took_ms, FREE_MS);
    proxy_free(proxy);
    kur_client_unref(client);
}

START_TEST(test_listener_brokers__a_silent_one_does_not_keep_it_from_ending)
{
    for (int moment = 0; moment < MOMENTS; moment++)
        for (int stops = 0; stops < 2; stops++)
            end_in_silence((enum moment)moment, stops);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_brokers__a_missing_topic_is_waited_for_or_ends_it,
        test_listener_brokers__brokers_that_go_are_waited_for,
        test_listener_brokers__a_fenced_member_ends,
        test_listener_brokers__a_silent_one_does_not_keep_it_from_ending,
        NULL,
    };
    return check_main("listener_brokers", tests);
}
