/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener under faults: handlers that are slow, a log that is cut, a topic that is made anew, a broker that is
 * silent.
 */
#include <kurier/admin.h>
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../check_main.h"
#include "../listening.h"
#include "../proxy.h"
#include "../support.h"

/* How much later than its deadline a stop may come back on a slow day: a broker would be waited for for a minute. */
enum {
    SLOW_DAY_MS = 15000
};

/* ---- Slow ---- */

struct slow {
    atomic_int handled, is_blocked, others;
    int block_ms; /* at most, until: */
    atomic_bool goes_on;
};

static kur_outcome block_or_not(kur_delivery *delivery, void *user)
{
    struct slow *slow = user;
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    if (value.size == 4 && memcmp(value.data, "slow", 4) == 0) {
        slow->is_blocked = 1;
        for (int64_t until_ms = now_ms() + slow->block_ms; !slow->goes_on && now_ms() < until_ms;)
            nap(5);
        slow->is_blocked = kur_delivery_is_current(delivery) ? 2 : 3;
    } else {
        slow->others++;
    }
    slow->handled++;
    return KUR_DONE;
}

START_TEST(test_listener_faults__a_slow_handler_holds_up_no_other_key)
{
    enum {
        OTHERS = 10
    };
    static struct slow slow;
    kur_error error = {0};
    slow = (struct slow){.block_ms = WAIT_MS};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.concurrency = 64);
    kur_listener *busy = listen(client, &options, topic, support_name("slow"), block_or_not, &slow);
    ck_assert(wait_for(busy, is_assigned, 1));
    send_text(client, topic, 0, "slow", "slow");
    ck_assert(support_wait(&slow.is_blocked, 1));
    for (int i = 0; i < OTHERS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        send_text(client, topic, 0, key, "fast");
        flush(client);
        ck_assert(support_wait(&slow.others, i + 1));
    }
    ck_assert_int_eq(slow.is_blocked, 1); /* all the while */
    slow.goes_on = true;
    ck_assert(support_wait(&slow.is_blocked, 2));
    ck_assert_int_eq(slow.is_blocked, 2);
    ck_ok(kur_listener_stop(busy, WAIT_MS, &error), error);
    ck_assert_int_eq(slow.handled, slow.others + 1);
    kur_listener_free(busy);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_faults__a_stop_that_was_too_short_can_be_waited_on)
{
    static struct slow slow;
    kur_error error = {0};
    slow = (struct slow){.block_ms = WAIT_MS};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    send_text(client, topic, 0, "slow", "slow");
    flush(client);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, support_name("again"), block_or_not, &slow);
    ck_assert(support_wait(&slow.is_blocked, 1));
    nap(50);
    kur_listener_health health = health_of(listener);
    ck_assert_int_ge(health.oldest_ms, 40);
    ck_assert_int_eq(health.running, 1);
    ck_status(kur_listener_stop(listener, 200, &error), KUR_ERROR_TIMEOUT, error);
    slow.goes_on = true;
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(slow.handled, 1);
    health = health_of(listener);
    ck_assert_int_eq(health.running, 0);
    ck_assert_int_eq(health.oldest_ms, 0);
    ck_assert_int_eq(health.held, 0);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

/* ---- What becomes of logs and brokers ---- */

struct gaps {
    atomic_int count, told;
    int64_t offset, low, high;
};

static kur_outcome count_gaps(kur_delivery *delivery, void *user)
{
    return count_one(delivery, &((struct gaps *)user)->count);
}

static void take_gap(const kur_gap *gap, void *user)
{
    struct gaps *gaps = user;
    gaps->offset = gap->offset;
    gaps->low = gap->low;
    gaps->high = gap->high;
    gaps->told++;
}

START_TEST(test_listener_faults__a_log_that_is_cut_is_told)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    static struct gaps gaps;
    kur_error error = {0};
    memset(&gaps, 0, sizeof gaps);
    kur_client *client = support_client();
    const char *topic = support_topic(1), *group = support_name("gap");
    for (int i = 0; i < 100; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.concurrency = 2, .on_gap = take_gap);
    kur_listener *listener = listen(client, &options, topic, group, count_gaps, &gaps);
    ck_assert(wait_for(listener, has_finished, 100));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    for (int i = 0; i < 100; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_admin *admin = kur_admin_new(client, &error);
    kur_position before = KUR_POSITION(.topic = topic, .partition = 0, .offset = 150);
    ck_ok(kur_admin_delete_records(admin, &before, 1, WAIT_MS, &error), error);
    listener = listen(client, &options, topic, group, count_gaps, &gaps);
    ck_assert(wait_for(listener, has_finished, 50));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(gaps.told, 1);
    ck_assert_int_eq(gaps.offset, 100);
    ck_assert_int_eq(gaps.low, 150);
    ck_assert_int_eq(gaps.high, 200);
    ck_assert_int_eq(gaps.count, 150);
    ck_assert_int_eq(health_of(listener).gaps, 1);
    kur_listener_free(listener);
    kur_admin_free(admin);
    kur_client_unref(client);
}
END_TEST

static bool has_ended(const kur_listener_health *health, int64_t wanted)
{
    return health->status == (kur_status)wanted && !health->is_running;
}

/* Told as ever; what is there behind the gap is left for whoever decides to go on. */
START_TEST(test_listener_faults__a_gap_may_end_it)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    static struct gaps gaps;
    kur_error error = {0};
    memset(&gaps, 0, sizeof gaps);
    kur_client *client = support_client();
    const char *topic = support_topic(1), *group = support_name("stop");
    kur_listener_options options = KUR_LISTENER_OPTIONS(.gap = KUR_GAP_STOP, .on_gap = take_gap);
    send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener *listener = listen(client, &options, topic, group, count_gaps, &gaps);
    ck_assert(wait_for(listener, has_finished, 1));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    for (int i = 0; i < 9; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_admin *admin = kur_admin_new(client, &error);
    kur_position before = KUR_POSITION(.topic = topic, .partition = 0, .offset = 5);
    ck_ok(kur_admin_delete_records(admin, &before, 1, WAIT_MS, &error), error);
    for (int i = 1; i <= 2; i++) { /* and so does the next start, until somebody has moved the group */
        listener = listen(client, &options, topic, group, count_gaps, &gaps);
        ck_assert(wait_for(listener, has_ended, KUR_ERROR_GAP));
        ck_status(kur_listener_stop(listener, WAIT_MS, &error), KUR_ERROR_GAP, error);
        kur_listener_free(listener);
        ck_assert_int_eq(gaps.told, i);
        ck_assert_int_eq(gaps.offset, 1);
        ck_assert_int_eq(gaps.low, 5);
        ck_assert_int_eq(gaps.count, 1);
    }
    kur_admin_free(admin);
    kur_client_unref(client);
}
END_TEST

static atomic_bool is_held; /* handlers of records with a key wait */

static kur_outcome hold_then_count(kur_delivery *delivery, void *user)
{
    while (is_held && kur_record_key(kur_delivery_record(delivery)).data != NULL)
        nap(1);
    return count_gaps(delivery, user);
}

static bool holds(const kur_listener_health *health, int64_t wanted)
{
    return health->held == wanted;
}

START_TEST(test_listener_faults__what_is_held_outlives_the_log_that_it_came_from)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    enum {
        LARGE = 300000, /* so that forty are not fetched ahead */
        COUNT = 40
    };
    static struct gaps gaps;
    static char large[LARGE];
    kur_error error = {0};
    memset(&gaps, 0, sizeof gaps);
    memset(large, 'x', sizeof large - 1);
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    for (int i = 0; i < 2; i++)
        send_text(client, topic, 0, "k", "x"); /* one that runs, and one behind it */
    flush(client);
    is_held = true;
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .on_gap = take_gap), topic,
                                    support_name("held"), hold_then_count, &gaps);
    ck_assert(wait_for(listener, holds, 2));
    ck_ok(kur_listener_pause(listener, &error), error);
    nap(200);
    for (int i = 0; i < COUNT; i++)
        send_text(client, topic, 0, NULL, large);
    flush(client);
    kur_admin *admin = kur_admin_new(client, &error);
    kur_position before = KUR_POSITION(.topic = topic, .partition = 0, .offset = COUNT);
    ck_ok(kur_admin_delete_records(admin, &before, 1, WAIT_MS, &error), error);
    ck_ok(kur_listener_resume(listener, &error), error);
    ck_assert(support_wait(&gaps.told, 1));
    ck_assert_int_eq(gaps.low, COUNT);
    is_held = false;
    /* The two are nowhere but here; what was fetched ahead is handled too, and what the log still has. */
    int wanted = (int)gaps.offset + 2;
    ck_assert_msg(wait_for(listener, has_finished, wanted), "%d of %d", gaps.count, wanted);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(gaps.count, wanted);
    ck_assert_int_eq(gaps.told, 1);
    ck_assert_int_eq(health_of(listener).stale, 0);
    kur_listener_free(listener);
    kur_admin_free(admin);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_faults__a_topic_made_anew_is_read_from_its_beginning)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    static struct gaps gaps;
    kur_error error = {0};
    memset(&gaps, 0, sizeof gaps);
    kur_client *client = support_client();
    const char *topic = support_topic(1), *names[] = {topic, NULL};
    for (int i = 0; i < 100; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .on_gap = take_gap), topic,
                                    support_name("anew"), count_gaps, &gaps);
    ck_assert(wait_for(listener, has_finished, 100));
    kur_admin *admin = kur_admin_new(client, &error);
    ck_ok(kur_admin_delete_topics(admin, names, WAIT_MS, &error), error);
    support_create(topic, 1);
    /* A producer of its own: the other one still knows the old topic. */
    kur_client *other = support_client();
    for (int i = 0; i < 30; i++)
        send_text(other, topic, 0, NULL, "x");
    flush(other);
    ck_assert_msg(wait_for(listener, has_finished, 130), "%d handled, %d gaps told", gaps.count, gaps.told);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(gaps.count, 130);
    /* What is told is where it was, and what there is now. */
    ck_assert_int_eq(gaps.told, 1);
    ck_assert_int_eq(gaps.offset, 100);
    ck_assert_int_eq(gaps.low, 0);
    ck_assert_int_le(gaps.high, 30);
    printf("# made anew: at %d, now [%d, %d)\n", (int)gaps.offset, (int)gaps.low, (int)gaps.high);
    kur_listener_free(listener);
    kur_admin_free(admin);
    kur_client_unref(other);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_faults__stops_by_its_deadline_when_the_broker_is_silent)
{
    atomic_int count = 0;
    kur_error error = {0};
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    for (int i = 0; i < 100; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .commit_interval_ms = 60000), topic,
                                    support_name("silent"), count_one, &count);
    ck_assert(wait_for(listener, has_finished, 100));
    proxy_set(proxy, PROXY_HOLD);
    int64_t begin_ms = now_ms();
    kur_listener_stop(listener, 2000, &error);
    int64_t stopped_ms = now_ms();
    ck_assert_int_le(stopped_ms - begin_ms, 2000 + SLOW_DAY_MS);
    proxy_set(proxy, PROXY_PASS);
    kur_listener_free(listener);
    proxy_free(proxy);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_faults__counts_the_handlers_that_outlast_a_stop_without_brokers)
{
    static struct slow slow;
    kur_error error = {0};
    slow = (struct slow){.block_ms = WAIT_MS};
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    send_text(client, topic, 0, NULL, "slow");
    flush(client);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, support_name("dead"), block_or_not, &slow);
    ck_assert(support_wait(&slow.is_blocked, 1));
    proxy_set(proxy, PROXY_CUT);
    int64_t begin_ms = now_ms();
    ck_status(kur_listener_stop(listener, 1500, &error), KUR_ERROR_TIMEOUT, error);
    ck_says(error, "1 handlers");
    ck_assert_int_le(now_ms() - begin_ms, 1500 + SLOW_DAY_MS);
    ck_assert_int_eq(slow.handled, 0);
    slow.goes_on = true;
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(slow.handled, 1);
    kur_listener_free(listener);
    proxy_free(proxy);
    kur_client_unref(client);
}
END_TEST

/* ---- A log that is cut below a listener which reads it ---- */

enum {
    CUT_RECORDS = 160,
    CUT_BYTES = 100000
};

struct cut {
    atomic_int begun, goes_on, gaps;
    atomic_char handled[CUT_RECORDS + 1], told[CUT_RECORDS + 1];
    int64_t low;
};

static kur_outcome read_cut(kur_delivery *delivery, void *user)
{
    struct cut *cut = user;
    cut->begun++;
    while (!cut->goes_on)
        nap(1);
    cut->handled[kur_record_offset(kur_delivery_record(delivery))]++;
    return KUR_DONE;
}

static void hear_cut(const kur_gap *gap, void *user)
{
    struct cut *cut = user;
    for (int64_t i = gap->offset; i < gap->low; i++)
        cut->told[i]++;
    cut->low = gap->low;
    cut->gaps++;
}

static int count_explained(const struct cut *cut)
{
    int count = 0;
    for (int i = 0; i <= CUT_RECORDS; i++)
        count += cut->handled[i] + cut->told[i] > 0;
    return count;
}

/* The embedded broker keeps 5 MB of the 16; of a real one most of them are deleted. Every offset is handled or told. */
START_TEST(test_listener_faults__of_a_log_that_is_cut_below_it_each_offset_is_handled_or_told)
{
    static struct cut cut;
    static char much[CUT_BYTES];
    kur_error error = {0};
    memset(&cut, 0, sizeof cut);
    memset(much, 'x', sizeof much);
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.hold_records = 2, .hold_kbytes = 1, .on_gap = hear_cut);
    kur_listener *listener = listen(client, &options, topic, support_name("cut"), read_cut, &cut);
    ck_assert(support_wait(&cut.begun, 1));
    for (int i = 0; i < CUT_RECORDS; i++) {
        kur_message message =
            KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(0), .value = kur_bytes_of(much, sizeof much));
        ck_ok(kur_producer_send(kur_client_producer(client, &error), &message, &error), error);
        if (i % 5 == 0) /* several batches, which go one by one */
            flush(client);
    }
    flush(client);
    if (support_is_real()) {
        kur_admin *admin = kur_admin_new(client, &error);
        kur_position before = KUR_POSITION(.topic = topic, .offset = CUT_RECORDS - 20);
        ck_ok(kur_admin_delete_records(admin, &before, 1, WAIT_MS, &error), error);
        kur_admin_free(admin);
    }
    cut.goes_on = 1;
    for (int64_t until_ms = now_ms() + WAIT_MS; count_explained(&cut) <= CUT_RECORDS && now_ms() < until_ms;)
        nap(10);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    for (int i = 0; i <= CUT_RECORDS; i++)
        ck_assert_msg(cut.handled[i] + cut.told[i] == 1, "%d: handled %d times, told %d times", i, cut.handled[i],
                      cut.told[i]);
    /* The embedded broker's log goes on being cut while the listener is told: it may come to the next gap. */
    ck_assert_int_ge(cut.gaps, 1);
    if (support_is_real()) {
        ck_assert_int_eq(cut.gaps, 1);
        ck_assert_int_eq(cut.low, CUT_RECORDS - 20);
    }
    ck_assert_int_eq(health_of(listener).gaps, cut.gaps);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_faults__a_slow_handler_holds_up_no_other_key,
        test_listener_faults__a_stop_that_was_too_short_can_be_waited_on,
        test_listener_faults__a_log_that_is_cut_is_told,
        test_listener_faults__a_gap_may_end_it,
        test_listener_faults__what_is_held_outlives_the_log_that_it_came_from,
        test_listener_faults__a_topic_made_anew_is_read_from_its_beginning,
        test_listener_faults__stops_by_its_deadline_when_the_broker_is_silent,
        test_listener_faults__counts_the_handlers_that_outlast_a_stop_without_brokers,
        test_listener_faults__of_a_log_that_is_cut_below_it_each_offset_is_handled_or_told,
        NULL,
    };
    return check_main("listener_faults", tests);
}
