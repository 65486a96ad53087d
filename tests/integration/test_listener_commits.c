/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's commits: refused, answered late, and with a text that has no more room.
 */
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../listening.h"
#include "../proxy.h"
#include "../support.h"

enum {
    REFUSED = 28,           /* INVALID_COMMIT_OFFSET_SIZE: for good */
    METADATA_TOO_LARGE = 12 /* of a broker that takes less text than by default */
};

/* A client that counts what its log says. */
struct told {
    atomic_int not_committed, warnings, shorter;
};

static void hear(kur_log_level level, const char *message, void *user)
{
    struct told *told = user;
    told->not_committed += strstr(message, "not committed") != NULL;
    told->warnings += level <= KUR_LOG_WARNING;
    told->shorter += strstr(message, "offset.metadata.max.bytes") != NULL;
}

static kur_client *listening_client(struct told *told)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(),
                                                            .source = "/tests", .log = hear, .log_user = told),
                                        &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    return client;
}

/* What a group has committed for partition 0, and how long the text beside it is. */
static int64_t committed(kur_client *client, const char *topic, const char *group, size_t *text_size)
{
    kur_arena *arena = kur_arena_new();
    kur_position position = group_position(client, group, topic, 0, arena);
    if (text_size != NULL)
        *text_size = position.metadata != NULL ? strlen(position.metadata) : 0;
    kur_arena_free(arena);
    return position.offset;
}

static void wait_committed(kur_client *client, const char *topic, const char *group, int64_t wanted, int timeout_ms)
{
    int64_t now = -1;
    for (int64_t until_ms = now_ms() + timeout_ms; now != wanted && now_ms() < until_ms; nap(20))
        now = committed(client, topic, group, NULL);
    ck_assert_int_eq(now, wanted);
}

/* Before the minute is over in which everything is committed once more. */
enum {
    SOON_MS = 30000
};

START_TEST(test_listener_commits__what_was_refused_is_committed_again)
{
    skip_unless(!support_is_real(), "a real Kafka cannot be told to refuse a commit");
    static struct told told;
    atomic_int count = 0;
    kur_error error = {0};
    memset(&told, 0, sizeof told);
    kur_client *client = listening_client(&told);
    const char *topic = support_topic(1), *group = support_name("refused");
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.commit_interval_ms = 50), topic, group, count_one, &count);
    send_text(client, topic, 0, NULL, "x");
    flush(client);
    ck_assert(wait_for(listener, has_finished, 1));
    wait_committed(client, topic, group, 1, SOON_MS);
    support_refuse(PROXY_API_OFFSET_COMMIT, REFUSED);
    send_text(client, topic, 0, NULL, "x");
    flush(client);
    ck_assert(support_wait(&told.not_committed, 1));
    wait_committed(client, topic, group, 2, SOON_MS);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(count, 2);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_commits__a_text_that_is_refused_is_shorter_the_next_time)
{
    skip_unless(!support_is_real(), "a real Kafka cannot be told to refuse a commit");
    static struct told told;
    atomic_int count = 0;
    kur_error error = {0};
    memset(&told, 0, sizeof told);
    kur_client *client = listening_client(&told);
    const char *topic = support_topic(1), *group = support_name("short");
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.commit_interval_ms = 50), topic, group, count_one, &count);
    ck_assert(wait_for(listener, is_assigned, 1));
    for (int i = 1; i <= 3; i++) {
        support_refuse(PROXY_API_OFFSET_COMMIT, METADATA_TOO_LARGE);
        send_text(client, topic, 0, NULL, "x");
        flush(client);
        ck_assert(support_wait(&told.shorter, i)); /* once each */
        wait_committed(client, topic, group, i, SOON_MS);
        ck_assert_int_eq(told.shorter, i);
    }
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(health_of(listener).status, KUR_OK);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_commits__a_late_answer_is_an_answer)
{
    atomic_int count = 0;
    kur_error error = {0};
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_client *client = support_client();
    const char *topic = support_topic(1), *group = support_name("late");
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.commit_interval_ms = 50), topic, group, count_one, &count);
    send_text(client, topic, 0, NULL, "x");
    flush(client);
    ck_assert(wait_for(listener, has_finished, 1));
    wait_committed(client, topic, group, 1, SOON_MS);
    proxy_lose(proxy, PROXY_API_OFFSET_COMMIT, PROXY_LOSE_ANSWER);
    for (int i = 0; i < 50; i++)
        send_text(client, topic, 0, NULL, "x");
    ck_assert(proxy_wait_lost(proxy));
    nap(700); /* longer than many intervals */
    proxy_set(proxy, PROXY_PASS);
    ck_assert(wait_for(listener, has_finished, 51));
    wait_committed(client, topic, group, 51, SOON_MS);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(count, 51);
    kur_listener_free(listener);
    proxy_free(proxy);
    kur_client_unref(client);
}
END_TEST

/* ---- No room in the text ---- */

enum {
    /* When every second offset is unfinished each costs a bit: about 24,500 fit in the text, and 18,400 are three
       quarters of it. */
    MANY = 32768,
    AT_ONCE = 2048,
    STOPPED_FROM = 16384,
    STOPPED_TO = 22528,
    TEXT_MAX = 4096
};

/* Each second record, and the first, is deferred; those of a life that has ended are forgotten. */
struct full {
    atomic_int handled, opened;
    bool defers;
    atomic_char times[MANY];
    kur_ticket tickets[MANY];
};

static kur_outcome half(kur_delivery *delivery, void *user)
{
    struct full *full = user;
    int64_t offset = kur_record_offset(kur_delivery_record(delivery));
    kur_error error = {0};
    ck_assert(offset >= 0 && offset < MANY);
    if (full->defers && offset % 2 == 0)
        ck_ok(kur_delivery_defer(delivery, &full->tickets[full->opened++], &error), error);
    else
        full->times[offset]++;
    full->handled++;
    return KUR_DONE;
}

/* Sends some more until they are not all handled; how many were sent. */
static int send_until_full(kur_client *client, const char *topic, const struct full *full)
{
    int sent = 0, before = -1;
    int64_t still_ms = now_ms(), until_ms = still_ms + WAIT_MS;
    while (sent < MANY && now_ms() < until_ms && (full->handled < STOPPED_FROM || now_ms() - still_ms < 1000)) {
        for (int until = full->handled == sent ? sent + AT_ONCE : 0; sent < until; sent++)
            send_text(client, topic, 0, NULL, "x");
        if (full->handled != before || full->handled == sent)
            still_ms = now_ms();
        before = full->handled;
        nap(1);
    }
    return sent;
}

START_TEST(test_listener_commits__a_text_without_room_stops_reading_and_nothing_else)
{
    static struct told told;
    static struct full full;
    kur_error error = {0};
    size_t text_size = 0;
    memset(&told, 0, sizeof told);
    memset(&full, 0, sizeof full);
    full.defers = true;
    kur_client *client = listening_client(&told);
    const char *topic = support_topic(1), *group = support_name("full");
    kur_listener_options options = KUR_LISTENER_OPTIONS(.concurrency = 2, .order = KUR_UNORDERED, .deferred = MANY,
                                                        .hold_records = MANY, .commit_interval_ms = 100);
    kur_listener *listener = listen(client, &options, topic, group, half, &full);
    int sent = send_until_full(client, topic, &full), handled = full.handled;
    printf("# %d of %d were handled before the text was full\n", handled, sent);
    ck_assert_int_ge(handled, STOPPED_FROM);
    ck_assert_int_lt(handled, STOPPED_TO);
    /* All that is finished is told, and no commit was refused. */
    wait_committed(client, topic, group, 0, SOON_MS);
    for (int64_t until_ms = now_ms() + SOON_MS; text_size < TEXT_MAX / 2 && now_ms() < until_ms; nap(20))
        committed(client, topic, group, &text_size);
    ck_assert_uint_gt(text_size, TEXT_MAX / 2);
    ck_assert_uint_le(text_size, TEXT_MAX);
    ck_assert_int_eq(health_of(listener).untold, 0);
    ck_assert_int_eq(told.not_committed, 0);
    /* Its end leaves the deferred ones unfinished: they come again, and no other does. */
    ck_status(kur_listener_stop(listener, 1000, &error), KUR_ERROR_TIMEOUT, error);
    kur_listener_free(listener);
    full.defers = false;
    listener = listen(client, &options, topic, group, half, &full);
    wait_committed(client, topic, group, sent, SOON_MS);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    for (int i = 0; i < sent; i++)
        ck_assert_int_eq(full.times[i], 1);
    ck_assert_int_eq(told.warnings, 0);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

/* ---- A leader that is elected anew ---- */

enum {
    EACH = 20 /* records of an epoch */
};

struct terms {
    int lives, handled[2][2 * EACH + 1];
    atomic_int count;
    int32_t epochs[2];
};

/* The first record is never finished in the first life. */
static kur_outcome read_terms(kur_delivery *delivery, void *user)
{
    static kur_ticket ticket;
    struct terms *terms = user;
    kur_error error = {0};
    const kur_record *record = kur_delivery_record(delivery);
    int64_t offset = kur_record_offset(record);
    terms->handled[terms->lives][offset]++;
    terms->epochs[offset >= EACH] = kur_record_leader_epoch(record);
    if (offset == 0 && terms->lives == 0)
        kur_delivery_defer(delivery, &ticket, &error);
    terms->count++;
    return KUR_DONE;
}

/* What was finished under the old leader and under the new one is known to the next owner. */
START_TEST(test_listener_commits__the_leader_epoch_rises_under_it)
{
    skip_unless(!support_is_real(), "a real Kafka elects no leader for the sake of a test");
    skip_unless(support_rdkafka_headers() >= 0x020100ff, "leader epochs need librdkafka 2.1");
    static struct terms terms;
    static struct told told;
    kur_error error = {0};
    memset(&terms, 0, sizeof terms);
    memset(&told, 0, sizeof told);
    kur_client *client = listening_client(&told);
    const char *topic = support_topic(1), *group = support_name("terms");
    kur_listener_options options = KUR_LISTENER_OPTIONS(.concurrency = 1, .commit_interval_ms = 20);
    kur_listener *listener = listen(client, &options, topic, group, read_terms, &terms);
    for (int i = 0; i < 2 * EACH; i++) {
        if (i == EACH)
            support_elect(topic, 0);
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        send_text(client, topic, 0, key, "x");
        flush(client);
    }
    ck_assert(wait_for(listener, has_finished, 2 * EACH - 1));
    ck_assert_int_gt(terms.epochs[1], terms.epochs[0]);
    ck_status(kur_listener_stop(listener, 1000, &error), KUR_ERROR_TIMEOUT, error); /* the first one runs on */
    kur_listener_free(listener);
    size_t text_size;
    ck_assert_int_eq(committed(client, topic, group, &text_size), 0);
    ck_assert_uint_gt(text_size, 0);
    terms.lives = 1;
    listener = listen(client, &options, topic, group, read_terms, &terms);
    ck_assert(wait_for(listener, has_finished, 1));
    send_text(client, topic, 0, "last", "x");
    flush(client);
    wait_committed(client, topic, group, 2 * EACH + 1, SOON_MS);
    for (int i = 0; i < 2 * EACH; i++) {
        ck_assert_int_eq(terms.handled[0][i], 1);
        ck_assert_msg(terms.handled[1][i] == (i == 0), "%d: %d times more", i, terms.handled[1][i]);
    }
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_commits__what_was_refused_is_committed_again,
        test_listener_commits__a_text_that_is_refused_is_shorter_the_next_time,
        test_listener_commits__a_late_answer_is_an_answer,
        test_listener_commits__a_text_without_room_stops_reading_and_nothing_else,
        test_listener_commits__the_leader_epoch_rises_under_it,
        NULL,
    };
    int status = check_main("listener_commits", tests);
    support_stop();
    return status;
}
