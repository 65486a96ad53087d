/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Broadcast: everyone gets everything, from where they ask for, and is told when the state has been handled.
 */
#include <stdio.h>

#include "../failing.h"
#include "../listening.h"
#include "../proxy.h"
#include "../shop.h"

#define NO_ADMINISTRATION "the embedded broker cannot administer topics"
#define NO_TRANSACTIONS "the embedded broker has no transactions"
#define NO_TIMES "the embedded broker finds no offsets by time"
#define EVERY_TOPIC "the embedded broker makes every topic on first sight"

/* What a listener's handlers did, and what it was told. */
struct seen {
    atomic_int records;
    atomic_int deletions;
    atomic_int told;
    atomic_int records_when_told;
    atomic_int gaps;
    atomic_int failures; /* still to come */
    atomic_bool is_held; /* handlers wait */
};

static kur_outcome see(kur_delivery *delivery, void *user)
{
    struct seen *seen = user;
    while (seen->is_held)
        nap(1);
    if (atomic_fetch_sub(&seen->failures, 1) > 0)
        return kur_retry_after(delivery, 100, "test.fails", "not yet");
    seen->records++;
    return KUR_DONE;
}

static kur_outcome see_deletion(kur_delivery *delivery, void *user)
{
    (void)delivery;
    ((struct seen *)user)->deletions++;
    return KUR_DONE;
}

static kur_outcome see_order(kur_delivery *delivery, const struct order_created *order, void *user)
{
    (void)order;
    return see(delivery, user);
}

static void told(kur_listener *listener, void *user)
{
    struct seen *seen = user;
    (void)listener;
    seen->records_when_told = atomic_load(&seen->records);
    seen->told++;
}

static void see_gap(const kur_gap *gap, void *user)
{
    (void)gap;
    ((struct seen *)user)->gaps++;
}

static kur_listener *new_broadcast(kur_client *client, kur_listener_options *options, const char *const *topics,
                                   struct seen *seen)
{
    kur_error error = {0};
    options->audience = KUR_BROADCAST;
    options->topics = topics;
    options->on_caught_up = told;
    options->on_gap = see_gap;
    options->user = seen;
    kur_listener *listener = kur_listener_new(client, options, &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    return listener;
}

static kur_listener *broadcast(kur_client *client, kur_listener_options *options, const char *topic, struct seen *seen)
{
    kur_error error = {0};
    kur_listener *listener = new_broadcast(client, options, (const char *const[]){topic, NULL}, seen);
    ck_ok(kur_listener_on_record(listener, see, seen), error);
    ck_ok(kur_listener_start(listener, &error), error);
    return listener;
}

static bool holds(const kur_listener_health *health, int64_t wanted)
{
    return health->held == wanted;
}

static void end(kur_listener *listener)
{
    kur_error error = {0};
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
}

static void send_many(kur_client *client, const char *topic, int partition, int count)
{
    for (int i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i % 7);
        send_text(client, topic, partition, key, "x");
    }
    flush(client);
}

/* A client that looks for new topics and partitions often, and connects again soon. */
static kur_client *restless_client(void)
{
    const kur_property properties[] = {
        {"topic.metadata.refresh.interval.ms", "300"}, {"reconnect.backoff.max.ms", "300"}, {NULL, NULL}};
    return support_client_with(properties);
}

START_TEST(test_broadcast__everyone_gets_everything)
{
    struct seen seen[2] = {0};
    kur_listener *listeners[2];
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    send_many(client, topic, 0, 30);
    send_many(client, topic, 1, 20);
    for (int i = 0; i < 2; i++)
        listeners[i] = broadcast(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, &seen[i]);
    for (int i = 0; i < 2; i++) {
        ck_assert(support_wait(&seen[i].told, 1));
        ck_assert_int_eq(seen[i].records_when_told, 50);
        ck_assert(health_of(listeners[i]).is_caught_up);
    }
    send_many(client, topic, 1, 10);
    for (int i = 0; i < 2; i++) {
        ck_assert(support_wait(&seen[i].records, 60));
        ck_assert_int_eq(health_of(listeners[i]).assigned, 2);
        end(listeners[i]);
        ck_assert_int_eq(seen[i].told, 1);
        ck_assert_int_eq(seen[i].records, 60);
    }
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__no_group_appears)
{
    skip_unless(support_is_real(), NO_ADMINISTRATION);
    struct seen seen = {0};
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    send_many(client, topic, 0, 5);
    kur_listener *listener = broadcast(client, &KUR_LISTENER_OPTIONS(.start = KUR_START_LATEST), topic, &seen);
    ck_assert(support_wait(&seen.told, 1));
    kur_admin *admin = kur_admin_new(client, &error);
    kur_arena *arena = kur_arena_new();
    for (int i = 0; i < 2; i++) { /* while it runs, and afterwards */
        kur_group_list groups = {0};
        ck_ok(kur_admin_list_groups(admin, WAIT_MS, arena, &groups, &error), error);
        for (size_t j = 0; j < groups.count; j++)
            ck_assert_msg(strstr(groups.items[j]->name, "broadcast") == NULL, "%s", groups.items[j]->name);
        if (i == 0)
            end(listener);
    }
    kur_arena_free(arena);
    kur_admin_free(admin);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__is_told_when_the_state_is_handled)
{
    struct seen seen = {.is_held = true, .failures = 3};
    kur_client *client = support_client();
    const char *topic = support_topic(3); /* one of them empty */
    send_many(client, topic, 0, 10);
    send_many(client, topic, 2, 10);
    kur_listener *listener = broadcast(client, &KUR_LISTENER_OPTIONS(.concurrency = 3), topic, &seen);
    ck_assert(wait_for(listener, holds, 20));
    nap(100); /* it has all of it, and has handled nothing */
    ck_assert_int_eq(health_of(listener).held, 20);
    ck_assert(!health_of(listener).is_caught_up);
    ck_assert_int_eq(seen.told, 0);
    seen.is_held = false;
    ck_assert(support_wait(&seen.told, 1));
    ck_assert_int_eq(seen.records_when_told, 20);
    ck_assert_int_eq(health_of(listener).retried, 3);
    end(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__goes_on_elsewhere_and_pauses_as_any_listener)
{
    struct seen seen = {0};
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    send_many(client, topic, 0, 30);
    send_many(client, topic, 1, 20);
    kur_listener *listener = broadcast(client, &KUR_LISTENER_OPTIONS(), topic, &seen);
    ck_assert(support_wait(&seen.told, 1));
    ck_ok(kur_listener_seek(listener, topic, 0, 10, &error), error);
    ck_assert(support_wait(&seen.records, 70));
    ck_ok(kur_listener_pause(listener, &error), error);
    ck_ok(kur_listener_seek(listener, topic, 1, KUR_OFFSET_BEGINNING, &error), error);
    ck_ok(kur_listener_resume(listener, &error), error);
    ck_assert(support_wait(&seen.records, 90));
    end(listener);
    ck_assert_int_eq(seen.records, 90);
    ck_assert_int_eq(seen.told, 1);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__from_the_end)
{
    struct seen seen = {0};
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    char pattern[200];
    snprintf(pattern, sizeof pattern, "%.*s[a-z0-9]{4}", (int)strlen(topic) - 4, topic);
    send_many(client, topic, 0, 10);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.start = KUR_START_LATEST, .pattern = pattern);
    kur_listener *listener = new_broadcast(client, &options, NULL, &seen);
    ck_ok(kur_listener_on_record(listener, see, &seen), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(support_wait(&seen.told, 1));
    send_many(client, topic, 0, 3);
    send_many(client, topic, 1, 3);
    ck_assert(support_wait(&seen.records, 6));
    end(listener);
    ck_assert_int_eq(seen.records, 6);
    ck_assert_int_eq(seen.told, 1);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__from_a_time)
{
    skip_unless(support_is_real(), NO_TIMES);
    enum {
        MINUTE_US = 60 * 1000 * 1000
    };
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t now_us = wall.tv_sec * INT64_C(1000000);
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2), *group = support_name("time");
    for (int i = 0; i < 10; i++)
        ck_ok(
            kur_producer_send(kur_client_producer(client, &error),
                              &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(0), .value = kur_bytes_text("x"),
                                           .timestamp_us = now_us - (10 - i) * INT64_C(1) * MINUTE_US),
                              &error),
            error);
    flush(client);
    struct seen seen = {0}, group_seen = {0};
    int64_t since_us = now_us - 4 * INT64_C(1) * MINUTE_US;
    kur_listener_options options = KUR_LISTENER_OPTIONS(.start = KUR_START_TIME, .start_at_us = since_us);
    kur_listener *listener = broadcast(client, &options, topic, &seen);
    ck_assert(support_wait(&seen.told, 1));
    ck_assert_int_eq(seen.records_when_told, 4);
    end(listener);
    /* A group that has committed nothing begins there, too. */
    kur_listener_options of_group = KUR_LISTENER_OPTIONS(.start = KUR_START_TIME, .start_at_us = since_us);
    listener = listen(client, &of_group, topic, group, see, &group_seen);
    ck_assert(support_wait(&group_seen.records, 4));
    end(listener);
    ck_assert_int_eq(group_seen.records, 4);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__an_empty_topic_is_caught_up_with)
{
    struct seen seen = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    kur_listener *listener = broadcast(client, &KUR_LISTENER_OPTIONS(), topic, &seen);
    ck_assert(support_wait(&seen.told, 1));
    ck_assert_int_eq(seen.records_when_told, 0);
    send_many(client, topic, 1, 1);
    ck_assert(support_wait(&seen.records, 1));
    end(listener);
    ck_assert_int_eq(seen.told, 1);
    kur_client_unref(client);
}
END_TEST

static void transact(kur_producer *producer, const char *topic, int partition, bool commits)
{
    kur_error error = {0};
    ck_ok(kur_transaction_begin(producer, &error), error);
    ck_ok(kur_producer_send(
              producer,
              &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(partition), .value = kur_bytes_text("x")),
              &error),
          error);
    ck_ok(commits ? kur_transaction_commit(producer, WAIT_MS, &error)
                  : kur_transaction_abort(producer, WAIT_MS, &error),
          error);
}

START_TEST(test_broadcast__marks_of_transactions_are_passed)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    struct seen seen = {0};
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    kur_producer *producer =
        kur_producer_new(client, &KUR_PRODUCER_OPTIONS(.transactional_id = support_name("marks")), &error);
    ck_ok(kur_transaction_init(producer, WAIT_MS, &error), error);
    transact(producer, topic, 0, true); /* ends in a mark, and then in what was never there */
    transact(producer, topic, 0, false);
    transact(producer, topic, 1, false); /* nothing but that */
    kur_listener *listener = broadcast(client, &KUR_LISTENER_OPTIONS(), topic, &seen);
    ck_assert(support_wait(&seen.told, 1));
    ck_assert_int_eq(seen.records_when_told, 1);
    transact(producer, topic, 1, true);
    ck_assert(support_wait(&seen.records, 2));
    end(listener);
    ck_assert_int_eq(seen.told, 1);
    kur_producer_free(producer);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__what_compaction_has_taken_is_passed)
{
    skip_unless(support_is_real(), NO_ADMINISTRATION);
    kur_error error = {0};
    kur_client *client = support_client();
    kur_admin *admin = kur_admin_new(client, &error);
    const kur_property configs[] = {{"segment.ms", "50"}, {"min.cleanable.dirty.ratio", "0.001"}, {NULL, NULL}};
    kur_topic_spec spec = KUR_TOPIC_SPEC(.name = support_name("compacted"), .partitions = 1, .replication = 1,
                                         .cleanup = KUR_CLEANUP_COMPACT, .configs = configs);
    ck_ok(kur_admin_create_topics(admin, &spec, 1, WAIT_MS, &error), error);
    send_many(client, spec.name, 0, 70); /* of seven keys */
    nap(100);
    send_text(client, spec.name, 0, "one more", "x"); /* before it the segment ends, and can be compacted */
    flush(client);
    int handled = 71;
    for (int64_t until_ms = now_ms() + WAIT_MS; handled == 71 && now_ms() < until_ms; nap(100)) {
        struct seen seen = {0};
        kur_listener *listener = broadcast(client, &KUR_LISTENER_OPTIONS(), spec.name, &seen);
        ck_assert(support_wait(&seen.told, 1));
        handled = seen.records_when_told;
        end(listener);
    }
    ck_assert_int_eq(handled, 8);
    kur_admin_free(admin);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__a_snapshot_hears_of_deletions)
{
    struct seen seen = {0};
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    KUR_ITEM(order_created, lines) lines[] = {{.sku = "tea", .quantity = 2, .price = 150}};
    struct order_created order = {.order_id = "1", .lines = {lines, 1}};
    kur_producer *producer = kur_client_producer(client, &error);
    kur_publish_options to_topic = KUR_PUBLISH_OPTIONS(.topic = topic);
    ck_ok(order_created_publish(producer, &order, &to_topic, &error), error);
    /* As most write it: a key, and nothing else. */
    ck_ok(kur_producer_send(producer, &KUR_MESSAGE(.topic = topic, .key = kur_bytes_text("1"), .tombstone = true),
                            &error),
          error);
    flush(client);
    kur_listener_options options = KUR_LISTENER_OPTIONS();
    kur_listener *listener = new_broadcast(client, &options, (const char *const[]){topic, NULL}, &seen);
    ck_ok(order_created_on(listener, see_order, &seen), error);
    ck_ok(kur_listener_on_tombstone(listener, see_deletion, &seen), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(support_wait(&seen.told, 1));
    ck_assert_int_eq(seen.records, 1);
    ck_assert_int_eq(seen.deletions, 1);
    ck_assert_int_eq(health_of(listener).unknown, 0);
    end(listener);
    kur_client_unref(client);
}
END_TEST

/* ---- What changes meanwhile ---- */

START_TEST(test_broadcast__partitions_that_are_added_are_read_from_their_beginning)
{
    skip_unless(support_is_real(), NO_ADMINISTRATION);
    struct seen seen = {0};
    kur_error error = {0};
    kur_client *client = restless_client();
    const char *topic = support_topic(1);
    send_many(client, topic, 0, 5);
    kur_listener *listener = broadcast(client, &KUR_LISTENER_OPTIONS(.start = KUR_START_LATEST), topic, &seen);
    ck_assert(support_wait(&seen.told, 1));
    kur_client *other = support_client();
    kur_admin *admin = kur_admin_new(other, &error);
    kur_arena *arena = kur_arena_new();
    kur_topic_spec spec = KUR_TOPIC_SPEC(.name = topic, .partitions = 3, .replication = 1);
    kur_topic_differences left = {0};
    ck_ok(kur_admin_apply_topics(admin, &spec, 1, WAIT_MS, arena, &left, &error), error);
    send_many(other, topic, 1, 20);
    send_many(other, topic, 2, 20);
    send_many(other, topic, 0, 1);
    ck_assert(support_wait(&seen.records, 41));
    ck_assert_int_eq(health_of(listener).assigned, 3);
    end(listener);
    ck_assert_int_eq(seen.records, 41);
    ck_assert_int_eq(seen.told, 1);
    kur_arena_free(arena);
    kur_admin_free(admin);
    kur_client_unref(other);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__a_topic_that_is_missing_is_waited_for)
{
    skip_unless(support_is_real(), EVERY_TOPIC);
    struct seen seen = {0};
    kur_error error = {0};
    kur_client *client = restless_client(), *other = support_client();
    const char *topic = support_topic(1), *missing = support_name("later");
    send_many(other, topic, 0, 5);
    kur_listener_options options = KUR_LISTENER_OPTIONS();
    kur_listener *listener = new_broadcast(client, &options, (const char *const[]){topic, missing, NULL}, &seen);
    ck_ok(kur_listener_on_record(listener, see, &seen), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(support_wait(&seen.records, 5));
    nap(700); /* twice as long as until the next look */
    ck_assert_int_eq(seen.told, 0);
    support_create(missing, 2);
    send_many(other, missing, 1, 5);
    ck_assert(support_wait(&seen.told, 1));
    ck_assert(support_wait(&seen.records, 10));
    end(listener);
    ck_assert_int_eq(seen.records, 10);
    kur_client_unref(other);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__a_gap_is_told)
{
    skip_unless(support_is_real(), NO_ADMINISTRATION);
    struct seen seen = {0};
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    send_many(client, topic, 0, 10);
    send_many(client, topic, 1, 10);
    kur_listener_options options = KUR_LISTENER_OPTIONS();
    kur_listener *listener = new_broadcast(client, &options, (const char *const[]){topic, NULL}, &seen);
    ck_ok(kur_listener_on_record(listener, see, &seen), error);
    ck_ok(kur_listener_pause(listener, &error), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(wait_for(listener, is_assigned, 2));
    ck_assert_int_eq(seen.told, 0);
    kur_admin *admin = kur_admin_new(client, &error);
    const kur_position before[] = {KUR_POSITION(.topic = topic, .partition = 0, .offset = 5),
                                   KUR_POSITION(.topic = topic, .partition = 1, .offset = 10)};
    ck_ok(kur_admin_delete_records(admin, before, 2, WAIT_MS, &error), error);
    ck_ok(kur_listener_resume(listener, &error), error);
    /* What is not there any more is not waited for. */
    ck_assert(support_wait(&seen.told, 1));
    ck_assert_int_eq(seen.gaps, 2);
    ck_assert_int_eq(seen.records_when_told, 5);
    end(listener);
    kur_admin_free(admin);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__what_a_log_made_anew_has_not_is_not_waited_for)
{
    skip_unless(support_is_real(), NO_ADMINISTRATION);
    struct seen seen = {.is_held = true};
    kur_error error = {0};
    kur_client *client = support_client(), *other = support_client();
    const char *topic = support_topic(1), *names[] = {topic, NULL};
    send_many(client, topic, 0, 10);
    kur_listener *listener = broadcast(client, &KUR_LISTENER_OPTIONS(), topic, &seen);
    ck_assert(wait_for(listener, holds, 10));
    kur_admin *admin = kur_admin_new(client, &error);
    ck_ok(kur_admin_delete_topics(admin, names, WAIT_MS, &error), error);
    support_create(topic, 1);
    send_many(other, topic, 0, 3); /* by a producer that has not known the old topic */
    ck_assert(support_wait(&seen.gaps, 1));
    seen.is_held = false;
    ck_assert(support_wait(&seen.told, 1));
    end(listener);
    ck_assert_int_eq(seen.told, 1);
    kur_admin_free(admin);
    kur_client_unref(other);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__a_broker_that_is_down_is_waited_out)
{
    struct seen seen = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    send_many(client, topic, 0, 10);
    struct proxy *proxy = proxy_new(support_bootstrap());
    proxy_set(proxy, PROXY_CUT);
    kur_client *cut_off = restless_client();
    kur_listener *listener = broadcast(cut_off, &KUR_LISTENER_OPTIONS(), topic, &seen);
    nap(500);
    ck_assert_int_eq(seen.told, 0);
    ck_assert(health_of(listener).is_running);
    proxy_set(proxy, PROXY_PASS);
    ck_assert(support_wait(&seen.told, 1));
    ck_assert_int_eq(seen.records_when_told, 10);
    end(listener);
    kur_client_unref(cut_off);
    kur_client_unref(client);
    proxy_free(proxy);
}
END_TEST

/* ---- The consumer beneath ---- */

struct assignment {
    int partitions, all;
    int64_t starts, ends;
};

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *positions, size_t count,
                         void *user)
{
    struct assignment *assignment = user;
    (void)consumer;
    ck_assert(what == KUR_ASSIGNED || (what == KUR_ALL_ASSIGNED && count == 0 && positions == NULL));
    assignment->all += what == KUR_ALL_ASSIGNED;
    ck_assert(what == KUR_ALL_ASSIGNED || assignment->all == 0);
    for (size_t i = 0; i < count; i++) {
        assignment->partitions++;
        assignment->starts += positions[i].offset;
        assignment->ends += positions[i].end;
    }
}

static void poll_until_all(kur_consumer *consumer, const struct assignment *assignment, int wanted)
{
    kur_error error = {0};
    kur_record *record = NULL;
    for (int64_t until_ms = now_ms() + WAIT_MS; assignment->all < wanted && now_ms() < until_ms;) {
        ck_ok(kur_consumer_poll(consumer, 50, &record, &error), error);
        kur_consumer_free_records(consumer, &record, 1);
    }
    ck_assert_int_eq(assignment->all, wanted);
}

START_TEST(test_broadcast__a_consumer_without_a_group)
{
    struct assignment assignment = {0};
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    const char *const topics[] = {topic, topic, NULL};
    send_many(client, topic, 0, 7);
    send_many(client, topic, 1, 5);
    kur_consumer *consumer = kur_consumer_new(
        client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST, .on_rebalance = on_rebalance, .user = &assignment),
        &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    ck_status(kur_consumer_subscribe(consumer, topics, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "kur_consumer_unsubscribe");
    ck_status(kur_consumer_subscribe_pattern(consumer, "x", NULL, &error), KUR_ERROR_INVALID_STATE, error);
    poll_until_all(consumer, &assignment, 1);
    ck_assert_int_eq(assignment.partitions, 2);
    ck_assert_int_eq(assignment.starts, 0);
    ck_assert_int_eq(assignment.ends, 12);
    /* Nothing is committed. */
    kur_position position = KUR_POSITION(.topic = topic, .partition = 0, .offset = 1);
    ck_status(kur_consumer_commit(consumer, &position, 1, WAIT_MS, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "KUR_BROADCAST");
    ck_status(kur_consumer_commit_async(consumer, &position, 1, NULL, NULL, &error), KUR_ERROR_INVALID_STATE, error);
    kur_arena *arena = kur_arena_new();
    ck_status(kur_consumer_committed(consumer, &position, arena, WAIT_MS, &error), KUR_ERROR_INVALID_STATE, error);
    kur_arena_free(arena);
    /* And all from the beginning, as another subscription. */
    ck_ok(kur_consumer_unsubscribe(consumer, &error), error);
    assignment.all = assignment.partitions = 0;
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    poll_until_all(consumer, &assignment, 1);
    ck_assert_int_eq(assignment.partitions, 2);
    kur_consumer_free(consumer);
    kur_client_unref(client);
}
END_TEST

static kur_status follow(kur_client *client, const char *const *topics, kur_error *error)
{
    struct assignment assignment = {0};
    kur_record *record = NULL;
    kur_consumer *consumer = kur_consumer_new(
        client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST, .on_rebalance = on_rebalance, .user = &assignment),
        error);
    kur_status status = kur_consumer_subscribe(consumer, topics, error);
    for (int64_t until_ms = now_ms() + WAIT_MS; status == KUR_OK && assignment.all == 0 && now_ms() < until_ms;) {
        status = kur_consumer_poll(consumer, 50, &record, error);
        kur_consumer_free_records(consumer, &record, 1);
    }
    ck_assert(status != KUR_OK || (assignment.all == 1 && assignment.partitions == 4));
    failing_rest();
    kur_consumer_free(consumer);
    return status;
}

START_TEST(test_broadcast__every_allocation_fails_once)
{
    long points = 0;
    kur_status status;
    kur_error error;
    kur_client *client = support_client();
    const char *const topics[] = {support_topic(2), support_topic(2), NULL};
    do {
        error = (kur_error){0};
        failing_begin(points + 1, true);
        status = follow(client, topics, &error);
        failing_end();
    } while (failing_again("a consumer without a group", &points, status, &error));
    kur_client_unref(client);
}
END_TEST

START_TEST(test_broadcast__wrong_options_are_named)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY), &error);
    const char *topics[] = {"t", NULL}, *none[] = {NULL};
    const struct {
        kur_listener_options options;
        const char *says;
    } wrong[] = {
        {KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST), ".topics"},
        {KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = none), ".topics"},
        {KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics, .group = "g"), ".group"},
        {KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics, .commit_interval_ms = 5),
         ".commit_interval_ms"},
        {KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics, .group_instance_id = "i"),
         ".group_instance_id"},
        {KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics, .assignor = KUR_ASSIGNOR_RANGE),
         ".assignor"},
        {KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics, .protocol = KUR_GROUP_CONSUMER),
         ".protocol"},
        {KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics, .session_timeout_ms = 6000),
         ".session_timeout_ms"},
        {KUR_LISTENER_OPTIONS(.audience = (kur_audience)7, .topics = topics), ".audience"},
        {KUR_LISTENER_OPTIONS(.topics = topics, .group = "g", .on_caught_up = told), ".on_caught_up"},
        {KUR_LISTENER_OPTIONS(.topics = topics, .group = "g", .start_at_us = 1), ".start_at_us"},
        {KUR_LISTENER_OPTIONS(.topics = topics, .group = "g", .start = KUR_START_TIME, .start_at_us = -1),
         ".start_at_us"},
        {KUR_LISTENER_OPTIONS(.topics = topics, .group = "g", .start = (kur_start)3), ".start"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        error = (kur_error){0};
        ck_assert_ptr_null(kur_listener_new(client, &wrong[i].options, &error));
        ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
        ck_says(error, wrong[i].says);
    }
    error = (kur_error){0};
    ck_assert_ptr_null(
        kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST, .group = "g"), &error));
    ck_says(error, ".group");
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_broadcast__everyone_gets_everything,
        test_broadcast__no_group_appears,
        test_broadcast__is_told_when_the_state_is_handled,
        test_broadcast__goes_on_elsewhere_and_pauses_as_any_listener,
        test_broadcast__from_the_end,
        test_broadcast__from_a_time,
        test_broadcast__an_empty_topic_is_caught_up_with,
        test_broadcast__marks_of_transactions_are_passed,
        test_broadcast__what_compaction_has_taken_is_passed,
        test_broadcast__a_snapshot_hears_of_deletions,
        test_broadcast__partitions_that_are_added_are_read_from_their_beginning,
        test_broadcast__a_topic_that_is_missing_is_waited_for,
        test_broadcast__a_gap_is_told,
        test_broadcast__what_a_log_made_anew_has_not_is_not_waited_for,
        test_broadcast__a_broker_that_is_down_is_waited_out,
        test_broadcast__a_consumer_without_a_group,
        test_broadcast__every_allocation_fails_once,
        test_broadcast__wrong_options_are_named,
        NULL,
    };
    int status = check_main("broadcast", tests);
    support_stop();
    return status;
}
