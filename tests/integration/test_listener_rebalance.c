/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener in a group whose members come and go: what comes back goes on as if nothing had been, what goes is let
 * go of, and who has nothing to do, or is slow, stays a member.
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

/* The embedded broker takes a second less for a rebalance, and three for the first one. */
static int session_ms(void)
{
    return support_is_real() ? 6000 : 3000;
}

static void end(kur_listener *listener)
{
    kur_error error = {0};
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
}

static bool has_nothing(const kur_listener_health *health, int64_t wanted)
{
    return health->held == wanted && health->running == 0;
}

/* ---- The way back ---- */

enum {
    PARTITIONS = 2,
    BEHIND = 30, /* records behind each blocked one */
    FREE = 40,   /* and others */
    SENT = 2 + 2 * BEHIND + FREE
};

/* What became of each record; keys are "a", "b" and none. */
struct way {
    atomic_int handled[PARTITIONS][SENT + 1];
    atomic_int last[PARTITIONS][2]; /* offset of each key */
    atomic_int out_of_order[PARTITIONS];
    atomic_int blocked, go;
    atomic_int current[PARTITIONS]; /* of the one that waited for `go`: 1 yes, 2 no */
};

struct member {
    struct way *way;
    bool blocks;
    atomic_int handled[PARTITIONS];
};

/* "go" waits until it is told to, "away" until its partition goes as well. */
static void block(struct way *way, kur_delivery *delivery, int partition, kur_bytes value)
{
    bool is_go = kur_bytes_equal(value, kur_bytes_text("go"));
    if (!is_go && !kur_bytes_equal(value, kur_bytes_text("away")))
        return;
    way->blocked++;
    while (!way->go && (is_go || kur_delivery_is_current(delivery)))
        nap(1);
    if (is_go)
        way->current[partition] = kur_delivery_is_current(delivery) ? 1 : 2;
}

static kur_outcome on_way(kur_delivery *delivery, void *user)
{
    struct member *member = user;
    struct way *way = member->way;
    const kur_record *record = kur_delivery_record(delivery);
    int partition = kur_record_partition(record), offset = (int)kur_record_offset(record);
    kur_bytes key = kur_record_key(record);
    if (member->blocks)
        block(way, delivery, partition, kur_record_value(record));
    if (key.data != NULL) {
        atomic_int *last = &way->last[partition][*(const char *)key.data == 'b'];
        way->out_of_order[partition] += offset < *last;
        *last = offset;
    }
    way->handled[partition][offset]++;
    member->handled[partition]++;
    return KUR_DONE;
}

static void send_way(kur_client *client, const char *topic)
{
    for (int p = 0; p < PARTITIONS; p++) {
        send_text(client, topic, p, "a", "go");
        send_text(client, topic, p, "b", "away");
        for (int i = 0; i < 2 * BEHIND; i++)
            send_text(client, topic, p, i % 2 == 0 ? "a" : "b", "behind");
        for (int i = 0; i < FREE; i++)
            send_text(client, topic, p, NULL, "free");
    }
    flush(client);
}

static int count_handled(const struct way *way, int partition)
{
    int count = 0;
    for (int i = 0; i <= SENT; i++)
        count += way->handled[partition][i] > 0;
    return count;
}

static void wait_handled(const struct way *way, int partition, int wanted)
{
    for (int64_t until_ms = now_ms() + WAIT_MS; count_handled(way, partition) < wanted && now_ms() < until_ms;)
        nap(5);
    ck_assert_int_eq(count_handled(way, partition), wanted);
}

/*
 * Two members share two partitions, so that one of the first one's stays: with all that it holds, what runs and where
 * it was read to, although all were revoked; and back pressure, which has paused it, goes on too.
 */
START_TEST(test_listener_rebalance__what_comes_back_goes_on)
{
    static struct way way;
    static struct member members[2];
    memset(&way, 0, sizeof way);
    for (int i = 0; i < 2; i++)
        members[i] = (struct member){.way = &way, .blocks = i == 0};
    kur_client *client = support_client();
    const char *topic = support_topic(PARTITIONS), *group = support_name("back");
    send_way(client, topic);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.concurrency = 8, .drain_ms = 100, .hold_records = 200, .session_timeout_ms = 6000);
    kur_listener *first = listen(client, &options, topic, group, on_way, &members[0]);
    ck_assert(support_wait(&way.blocked, 2 * PARTITIONS));
    kur_listener *second = listen(client, &options, topic, group, on_way, &members[1]);
    ck_assert(wait_for(second, is_assigned, 1));
    ck_assert(wait_for(first, is_assigned, 1));
    int64_t until_ms = now_ms() + WAIT_MS;
    while (members[1].handled[0] + members[1].handled[1] == 0 && now_ms() < until_ms)
        nap(5);
    int gone = members[1].handled[0] > 0 ? 0 : 1, kept = 1 - gone;
    wait_handled(&way, gone, SENT);
    ck_assert_int_eq(members[1].handled[kept], 0);
    ck_assert_int_eq(way.handled[kept][0], 0);
    way.go = 1;
    wait_handled(&way, kept, SENT);
    ck_assert(support_wait(&way.current[gone], 1));
    ck_assert_int_eq(way.current[kept], 1);
    ck_assert_int_eq(way.current[gone], 2);
    send_text(client, topic, kept, "a", "later");
    flush(client);
    wait_handled(&way, kept, SENT + 1);
    ck_assert(wait_for(first, has_nothing, 0));
    for (int i = 0; i <= SENT; i++)
        ck_assert_msg(way.handled[kept][i] == 1, "%d was handled %d times", i, way.handled[kept][i]);
    ck_assert_int_eq(way.out_of_order[kept], 0);
    kur_listener_health health = health_of(first);
    ck_assert_int_eq(health.gaps, 0);
    ck_assert_int_eq(health.lost, 0);
    ck_assert_int_ge(health.rebalances, 1);
    ck_assert_int_ge(health.stale, 1);
    end(second);
    end(first);
    kur_client_unref(client);
}
END_TEST

/* ---- Lost ---- */

static bool has_lost(const kur_listener_health *health, int64_t wanted)
{
    return health->lost >= wanted;
}

/*
 * A member that is cut off for longer than its session: nothing more is committed, what still runs counts no more, and
 * its key waits for it all the same when the partition is read again from where the group was.
 */
START_TEST(test_listener_rebalance__what_is_lost_begins_anew)
{
    static struct way way;
    static struct member member;
    memset(&way, 0, sizeof way);
    member = (struct member){.way = &way, .blocks = true};
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_client *client = support_client();
    const char *topic = support_topic(1), *group = support_name("lost");
    send_text(client, topic, 0, "a", "go");
    for (int i = 0; i < FREE; i++)
        send_text(client, topic, 0, NULL, "free");
    flush(client);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.concurrency = 2, .commit_interval_ms = 600000, .session_timeout_ms = 3000);
    kur_listener *listener = listen(client, &options, topic, group, on_way, &member);
    ck_assert(wait_for(listener, has_finished, FREE));
    ck_assert(support_wait(&way.blocked, 1));
    proxy_set(proxy, PROXY_HOLD);
    ck_assert(wait_for(listener, has_lost, 1));
    ck_assert_int_eq(health_of(listener).assigned, 0);
    proxy_set(proxy, PROXY_PASS);
    ck_assert(wait_for(listener, has_finished, 2 * FREE));
    ck_assert_int_eq(way.blocked, 1);
    way.go = 1;
    ck_assert(wait_for(listener, has_finished, 2 * FREE + 1));
    ck_assert_int_eq(way.current[0], 1); /* of the second one, which does not wait; the first one's was 2 */
    for (int i = 0; i <= FREE; i++)
        ck_assert_int_eq(way.handled[0][i], 2);
    kur_listener_health health = health_of(listener);
    ck_assert_int_eq(health.stale, 1);
    ck_assert_int_eq(health.rebalances, 1);
    end(listener);
    proxy_free(proxy);
    kur_client_unref(client);
}
END_TEST

/* ---- Joins and leaves ---- */

enum {
    JOIN_PARTITIONS = 6,
    JOIN_KEYS = 30,
    JOIN_CONCURRENCY = 4,
    JOIN_SECONDS = 7, /* in the suite */
    JOIN_EVERY_MS = 2000,
    JOIN_COMMIT_MS = 100,
    JOIN_RECORDS_MAX = 1 << 20
};

struct entry {
    int key, sequence;
    int64_t at_ms;
};

/* What all members have handled, in this order. */
struct joins {
    pthread_mutex_t lock;
    struct entry *entries;
    size_t count, capacity;
    kur_client *client;
    const char *topic;
    atomic_bool ends;
    int sent; /* of each key; by the producing thread */
    int produce_ms;
};

static kur_outcome on_join(kur_delivery *delivery, void *user)
{
    struct joins *joins = user;
    struct entry entry = {.at_ms = now_ms()};
    char text[32] = "";
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    memcpy(text, value.data, value.size < sizeof text ? value.size : sizeof text - 1);
    sscanf(text, "%d %d", &entry.key, &entry.sequence);
    nap(1 + entry.sequence % 3);
    pthread_mutex_lock(&joins->lock);
    bool has_room = joins->count < joins->capacity;
    if (has_room)
        joins->entries[joins->count++] = entry;
    pthread_mutex_unlock(&joins->lock);
    return has_room ? KUR_DONE : KUR_RETRY;
}

static void *produce_on(void *user)
{
    struct joins *joins = user;
    while (!joins->ends) {
        for (int key = 0; key < JOIN_KEYS; key++) {
            char name[16], value[32];
            snprintf(name, sizeof name, "k%d", key);
            snprintf(value, sizeof value, "%d %d", key, joins->sent);
            send_text(joins->client, joins->topic, key % JOIN_PARTITIONS, name, value);
        }
        joins->sent++;
        flush(joins->client);
        nap(joins->produce_ms);
    }
    return NULL;
}

/* How many different records were handled, each key's in their order but for repetitions. */
static int count_first(const struct joins *joins, int *out_of_order)
{
    int next[JOIN_KEYS] = {0}, first = 0;
    *out_of_order = 0;
    for (size_t i = 0; i < joins->count; i++) {
        int *at = &next[joins->entries[i].key];
        if (joins->entries[i].sequence < *at)
            continue;
        *out_of_order += joins->entries[i].sequence > *at;
        *at = joins->entries[i].sequence + 1;
        first++;
    }
    return first;
}

static int wait_first(struct joins *joins, int wanted, int *out_of_order)
{
    int first = 0;
    for (int64_t until_ms = now_ms() + WAIT_MS; first < wanted && now_ms() < until_ms; nap(20)) {
        pthread_mutex_lock(&joins->lock);
        first = count_first(joins, out_of_order);
        pthread_mutex_unlock(&joins->lock);
    }
    return first;
}

/*
 * What may be repeated of a change at `at_ms`: what ran, and what had finished since the last commit. The embedded
 * broker takes no commit from when it knows of a change until all have rejoined, of which they learn by a heartbeat.
 */
static int may_repeat(struct joins *joins, int64_t at_ms)
{
    int64_t from_ms = at_ms - JOIN_COMMIT_MS, to_ms = at_ms + (support_is_real() ? 0 : session_ms());
    int count = 2 * JOIN_CONCURRENCY;
    pthread_mutex_lock(&joins->lock);
    for (size_t i = joins->count; i > 0 && joins->entries[i - 1].at_ms >= from_ms; i--)
        count += joins->entries[i - 1].at_ms <= to_ms;
    pthread_mutex_unlock(&joins->lock);
    return count;
}

static void come_and_go(int seconds, int hold_records, int produce_ms)
{
    static struct joins joins;
    const char *asked = getenv("KURIER_JOINS");
    int changes = 0, bound = 0, out_of_order = 0;
    int64_t lost = 0;
    joins =
        (struct joins){.client = support_client(), .topic = support_topic(JOIN_PARTITIONS), .produce_ms = produce_ms};
    pthread_mutex_init(&joins.lock, NULL);
    joins.capacity = JOIN_RECORDS_MAX;
    joins.entries = calloc(joins.capacity, sizeof *joins.entries);
    const char *group = support_name("joins");
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.concurrency = JOIN_CONCURRENCY, .commit_interval_ms = JOIN_COMMIT_MS,
                             .hold_records = hold_records, .protocol = support_group_protocol());
    if (options.protocol == KUR_GROUP_CLASSIC)
        options.session_timeout_ms = session_ms();
    kur_listener *stays = listen(joins.client, &options, joins.topic, group, on_join, &joins), *comes = NULL;
    ck_assert(wait_for(stays, is_assigned, JOIN_PARTITIONS));
    pthread_t producer;
    ck_assert_int_eq(pthread_create(&producer, NULL, produce_on, &joins), 0);
    int64_t begin_ms = now_ms(), changed_ms = 0;
    for (int64_t next_ms = begin_ms; now_ms() < begin_ms + seconds * INT64_C(1000);) {
        if (now_ms() < next_ms) {
            nap(10);
            continue;
        }
        bound += changes > 0 ? may_repeat(&joins, changed_ms) : 0;
        changed_ms = now_ms();
        next_ms += JOIN_EVERY_MS;
        changes++;
        if (comes == NULL) {
            comes = listen(joins.client, &options, joins.topic, group, on_join, &joins);
        } else {
            lost += health_of(comes).lost;
            end(comes);
            comes = NULL;
        }
        if (asked != NULL)
            fprintf(stderr, "joins: %d s of %d, %zu handled\n", (int)(now_ms() - begin_ms) / 1000, seconds,
                    joins.count);
    }
    joins.ends = true;
    pthread_join(producer, NULL);
    int sent = joins.sent * JOIN_KEYS, first = wait_first(&joins, sent, &out_of_order);
    bound += may_repeat(&joins, changed_ms);
    if (comes != NULL) {
        lost += health_of(comes).lost;
        end(comes);
    }
    lost += health_of(stays).lost;
    end(stays);
    int repeats = (int)joins.count - first;
    printf(
        "# %d joins and leaves: %d records, %d lost, %d repeated (at most %d), %d out of order, %d assignments lost\n",
        changes, sent, sent - first, repeats, bound, out_of_order, (int)lost);
    ck_assert_int_eq(first, sent);
    ck_assert_int_eq(out_of_order, 0);
    ck_assert_int_eq(lost, 0);
    ck_assert_int_le(repeats, bound);
    free(joins.entries);
    pthread_mutex_destroy(&joins.lock);
    kur_client_unref(joins.client);
}

START_TEST(test_listener_rebalance__members_come_and_go_every_two_seconds)
{
    const char *asked = getenv("KURIER_JOINS");
    come_and_go(asked != NULL ? atoi(asked) : JOIN_SECONDS, 0, 100);
}
END_TEST

/* Each partition comes and goes while there is room for no other's record. */
START_TEST(test_listener_rebalance__members_that_hold_one_record_come_and_go)
{
    come_and_go(JOIN_SECONDS, 1, 500);
}
END_TEST

/* ---- Idle and slow ---- */

struct slow {
    atomic_int blocked, go, is_current;
};

static kur_outcome wait_for_go(kur_delivery *delivery, void *user)
{
    struct slow *slow = user;
    slow->blocked++;
    while (!slow->go)
        nap(10);
    slow->is_current = kur_delivery_is_current(delivery) ? 1 : 2;
    return KUR_DONE;
}

static kur_client *client_named(const char *name)
{
    kur_error error = {0};
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests", .client_id = name), &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    return client;
}

static kur_consumer *join_as(kur_client *client, const char *topic, const char *group)
{
    kur_error error = {0};
    const char *topics[] = {topic, NULL};
    kur_consumer *consumer =
        kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = group, .session_timeout_ms = 30000), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    return consumer;
}

static void poll_once(kur_consumer *consumer)
{
    kur_error error = {0};
    kur_record *record = NULL;
    ck_ok(kur_consumer_poll(consumer, 20, &record, &error), error);
    ck_assert_ptr_null(record);
}

/*
 * All partitions are taken away while a handler runs, and it finishes before the next generation is there, which a
 * member holds up that does not poll. Members are sorted by names that begin with their client's: the first partition
 * is always the first one's.
 */
START_TEST(test_listener_rebalance__what_finishes_in_a_rebalance_is_committed_by_a_stop)
{
    static struct slow slow;
    skip_unless(support_is_real(), "what it is about is Kafka's: script/kafka run");
    memset(&slow, 0, sizeof slow);
    kur_error error = {0};
    kur_client *clients[] = {client_named("a"), client_named("b"), client_named("c")};
    const char *topic = support_topic(3), *group = support_name("finishes");
    send_text(clients[0], topic, 0, NULL, "0");
    flush(clients[0]);
    kur_listener *listener = listen(clients[0], &KUR_LISTENER_OPTIONS(.drain_ms = 1, .session_timeout_ms = 30000),
                                    topic, group, wait_for_go, &slow);
    ck_assert(support_wait(&slow.blocked, 1));
    kur_consumer *holds_up = join_as(clients[1], topic, group);
    for (int64_t until_ms = now_ms() + WAIT_MS; health_of(listener).assigned != 2 && now_ms() < until_ms;)
        poll_once(holds_up);
    ck_assert_int_eq(health_of(listener).assigned, 2);
    int64_t rebalances = health_of(listener).rebalances;
    kur_consumer *comes = join_as(clients[2], topic, group);
    for (int64_t until_ms = now_ms() + WAIT_MS; health_of(listener).rebalances == rebalances && now_ms() < until_ms;)
        poll_once(comes);
    ck_assert(wait_for(listener, is_assigned, 0));
    slow.go = 1;
    ck_assert(wait_for(listener, has_finished, 1));
    ck_assert_int_eq(slow.is_current, 2);
    kur_listener_request_stop(listener);
    for (int64_t until_ms = now_ms() + WAIT_MS; health_of(listener).is_running && now_ms() < until_ms;) {
        poll_once(holds_up);
        poll_once(comes);
    }
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_arena *arena = kur_arena_new();
    ck_assert_int_eq(group_position(clients[0], group, topic, 0, arena).offset, 1);
    kur_arena_free(arena);
    kur_listener_free(listener);
    kur_consumer_free(holds_up);
    kur_consumer_free(comes);
    for (int i = 0; i < 3; i++)
        kur_client_unref(clients[i]);
}
END_TEST

START_TEST(test_listener_rebalance__neither_idleness_nor_a_long_handler_costs_the_membership)
{
    static struct slow slow, idle;
    const char *asked = getenv("KURIER_IDLE");
    int idle_ms = asked != NULL ? atoi(asked) * 1000 : 9000, interval_ms = asked != NULL ? 7000 : 6000;
    memset(&slow, 0, sizeof slow);
    memset(&idle, 0, sizeof idle);
    kur_client *client = support_client();
    const char *topics[2] = {support_topic(1), support_topic(1)};
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.session_timeout_ms = 6000, .max_poll_interval_ms = interval_ms);
    kur_listener *listeners[2] = {listen(client, &options, topics[0], support_name("slow"), wait_for_go, &slow),
                                  listen(client, &options, topics[1], support_name("idle"), wait_for_go, &idle)};
    for (int i = 0; i < 2; i++)
        ck_assert(wait_for(listeners[i], is_assigned, 1));
    send_text(client, topics[0], 0, "slow", "slow");
    flush(client);
    ck_assert(support_wait(&slow.blocked, 1));
    for (int64_t begin_ms = now_ms(); now_ms() - begin_ms < idle_ms; nap(50)) /* which is what is tested */
        for (int i = 0; i < 2; i++) {
            kur_listener_health health = health_of(listeners[i]);
            ck_assert_int_eq(health.rebalances, 0);
            ck_assert_int_eq(health.assigned, 1);
        }
    slow.go = idle.go = 1;
    ck_assert(wait_for(listeners[0], has_finished, 1));
    ck_assert_int_eq(slow.is_current, 1);
    /* They are not only members: what comes is handled. */
    send_text(client, topics[1], 0, "late", "late");
    flush(client);
    ck_assert(wait_for(listeners[1], has_finished, 1));
    printf("# %d ms without a record and in a handler, with max.poll.interval.ms=%d: %d rebalances\n", idle_ms,
           interval_ms, (int)(health_of(listeners[0]).rebalances + health_of(listeners[1]).rebalances));
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(health_of(listeners[i]).rebalances, 0);
        end(listeners[i]);
    }
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_rebalance__what_comes_back_goes_on,
        test_listener_rebalance__what_is_lost_begins_anew,
        test_listener_rebalance__members_come_and_go_every_two_seconds,
        test_listener_rebalance__members_that_hold_one_record_come_and_go,
        test_listener_rebalance__what_finishes_in_a_rebalance_is_committed_by_a_stop,
        test_listener_rebalance__neither_idleness_nor_a_long_handler_costs_the_membership,
        NULL,
    };
    const TTest *const joins[] = {test_listener_rebalance__members_come_and_go_every_two_seconds, NULL};
    const TTest *const idle[] = {test_listener_rebalance__neither_idleness_nor_a_long_handler_costs_the_membership,
                                 NULL};
    return check_main("listener_rebalance", getenv("KURIER_JOINS") != NULL  ? joins
                                            : getenv("KURIER_IDLE") != NULL ? idle
                                                                            : tests);
}
