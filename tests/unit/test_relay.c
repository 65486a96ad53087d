/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A relay over the driver in memory and the embedded broker: what is committed is sent in its keys' order, whatever
 * fails once; what is refused is parked, with what is behind it; relays share and take over.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "../failing.h"
#include "../memory_driver.h"
#include "../proxy.h"
#include "../relaying.h"

/* ---- Order ---- */

START_TEST(test_relay__sends_what_is_committed_in_order)
{
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(4);
    relaying_open(&bed, memory_database(16));
    relaying_send_many(&bed, topic, 20, 0, 3000);
    kur_relay *relay = relaying_start(&bed, NULL);
    relaying_send_many(&bed, topic, 20, 3000, 3000);
    relaying_read_all(topic, 6000, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    ck_assert_int_eq(seen.records, 6000);
    ck_assert(memory_wait(bed.database, 0, 0));
    relaying_await(relay, health.sent == 6000 && health.depth == 0);
    kur_relay_health health = relaying_health(relay);
    ck_assert(health.is_running);
    ck_assert_int_eq(health.shards, 16);
    ck_assert_int_eq(health.takeovers, 16);
    ck_assert_int_eq(health.repeated, 0);
    ck_assert_int_eq(health.failing_ms, 0);
    int64_t latencies = 0;
    for (int i = 0; i < KUR_RELAY_LATENCY_BUCKETS; i++)
        latencies += health.latency[i];
    ck_assert_int_eq(latencies, 6000);
    relaying_end(relay);
    relaying_close(&bed);
}
END_TEST

START_TEST(test_relay__rows_that_commit_late)
{
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(2);
    relaying_open(&bed, memory_database(4));
    kur_relay *relay = relaying_start(&bed, NULL);
    void *late = relaying_connect(&bed), *never = relaying_connect(&bed);
    relaying_begin(&bed, late);
    relaying_begin(&bed, never);
    for (int i = 0; i < 10; i++) /* with the smallest ids, in all shards */
        relaying_add(&bed, late, topic, i, i);
    for (int i = 10; i < 20; i++)
        relaying_add(&bed, never, topic, i, i);
    relaying_send_many(&bed, topic, 40, 20, 20);
    relaying_await(relay, health.sent == 20);
    relaying_await(relay, health.batches > 0 && memory_calls(bed.database, "outbox_raise") > 1);
    relaying_commit(&bed, late);
    kur_database_driver(bed.database)->rollback(never);
    relaying_read_all(topic, 30, &seen);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(seen.times[i], i < 10 || i >= 20);
    ck_assert(memory_wait(bed.database, 0, 0));
    relaying_disconnect(&bed, late);
    relaying_disconnect(&bed, never);
    relaying_end(relay);
    relaying_close(&bed);
}
END_TEST

/* Longer than the test has, when nobody says that something was committed. */
#define RARELY .poll_ms = 60000

/* It waits from 2 ms on, twice as long each time: after ten looks the next one comes in a second. Who is told does not
   wait for it; a machine that is busy may be slow once, and not each time. */
START_TEST(test_relay__is_told_of_commits)
{
    struct relaying bed;
    const char *topic = support_topic(1);
    int64_t took_us = INT64_MAX;
    relaying_open(&bed, memory_database_plain(4));
    kur_relay *relay = relaying_start(&bed, &KUR_RELAY_OPTIONS(RARELY));
    for (int i = 0; i < 10 && took_us >= 500000; i++) {
        int looks = memory_calls(bed.database, "outbox_read");
        relaying_await(relay, memory_calls(bed.database, "outbox_read") >= looks + 10);
        int64_t begin = kur_clock_monotonic_us();
        relaying_send(&bed, topic, 1, i);
        kur_outbox_committed(bed.outbox);
        relaying_await(relay, health.sent == i + 1);
        took_us = kur_clock_monotonic_us() - begin;
        kur_outbox_committed(bed.outbox); /* harmless */
    }
    ck_assert_int_lt(took_us, 500000);
    relaying_end(relay);
    relaying_close(&bed);
}
END_TEST

START_TEST(test_relay__looks_at_changes_alone)
{
    struct relaying bed;
    relaying_open(&bed, memory_database(4));
    kur_relay *relay = relaying_start(&bed, &KUR_RELAY_OPTIONS(.poll_ms = 2));
    relaying_await(relay, memory_calls(bed.database, "changes") > 300);
    ck_assert_int_lt(memory_calls(bed.database, "outbox_read"), 60);
    relaying_end(relay);
    relaying_close(&bed);
}
END_TEST

/* ---- What is refused ---- */

/* A row whose partition is not there. */
static void send_wrong(struct relaying *bed, const char *topic, int key, int number)
{
    kur_error error = {0};
    char key_text[16], text[16];
    snprintf(key_text, sizeof key_text, "k%d", key);
    snprintf(text, sizeof text, "%d", number);
    void *connection = relaying_write(bed);
    ck_ok(kur_outbox_add(bed->outbox, connection,
                         &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(99), .key = kur_bytes_text(key_text),
                                      .value = kur_bytes_text(text)),
                         &error),
          error);
    relaying_written(bed, connection);
}

struct told {
    atomic_int count;
    char error[200];
    int64_t id;
};

static void on_parked(const kur_parked_view *row, void *user)
{
    struct told *told = user;
    ck_assert(!row->is_behind);
    snprintf(told->error, sizeof told->error, "%s", row->error);
    told->id = row->id;
    atomic_fetch_add(&told->count, 1);
}

START_TEST(test_relay__parks_what_is_refused)
{
    struct relaying bed;
    struct relaying_seen seen;
    struct told told = {0};
    kur_error error = {0};
    const char *topic = support_topic(2);
    kur_arena *arena = kur_arena_new();
    relaying_open(&bed, memory_database(4));
    relaying_send(&bed, topic, 1, 0);
    send_wrong(&bed, topic, 1, 1);
    relaying_send(&bed, topic, 1, 2);
    relaying_send(&bed, topic, 2, 3);
    relaying_send(&bed, topic, 1, 4);
    kur_relay *relay = relaying_start(&bed, &KUR_RELAY_OPTIONS(.on_parked = on_parked, .user = &told));
    ck_assert(memory_wait(bed.database, 0, 3));
    ck_assert(support_wait(&told.count, 1));
    ck_assert_ptr_nonnull(strstr(told.error, "has no partition 99: it has 2"));
    /* What comes later is parked behind it too. */
    relaying_send(&bed, topic, 1, 5);
    ck_assert(memory_wait(bed.database, 0, 4));
    kur_parked_list parked = relaying_parked(&bed, arena);
    ck_assert_uint_eq(parked.count, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(parked.items[i]->is_behind, i > 0);
        ck_assert_int_eq(parked.items[i]->attempts, i == 0);
    }
    ck_assert_int_eq(parked.items[0]->id, told.id);
    relaying_read_all(topic, 2, &seen);
    ck_assert_int_eq(seen.records, 2);
    relaying_await(relay, health.refused == 1 && health.sent == 2);
    relaying_await(relay, health.parked == 1 && health.behind == 3 && health.blocked == 1);
    /* It is what it was, and is parked again. */
    ck_status(kur_outbox_unpark(bed.outbox, parked.items[1]->id, &error), KUR_ERROR_INVALID_STATE, error);
    ck_ok(kur_outbox_unpark(bed.outbox, told.id, &error), error);
    ck_assert(support_wait(&told.count, 2));
    ck_assert(memory_wait(bed.database, 0, 4));
    /* Without it the others go on, in order, and before those that come now. */
    relaying_send(&bed, topic, 1, 6);
    ck_assert(memory_wait(bed.database, 0, 5));
    ck_ok(kur_outbox_drop(bed.outbox, told.id, "partition 99", &error), error);
    relaying_send(&bed, topic, 1, 7);
    relaying_read_all(topic, 7, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    ck_assert_int_eq(seen.times[1], 0);
    ck_assert(memory_wait(bed.database, 0, 0));
    ck_assert_int_eq(told.count, 2);
    relaying_end(relay);
    relaying_close(&bed);
    kur_arena_free(arena);
}
END_TEST

START_TEST(test_relay__blocks_nothing)
{
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(2);
    relaying_open(&bed, memory_database(4));
    send_wrong(&bed, topic, 1, 0);
    relaying_send(&bed, topic, 1, 1);
    kur_relay *relay = relaying_start(&bed, &KUR_RELAY_OPTIONS(.blocks_nothing = true));
    ck_assert(memory_wait(bed.database, 0, 1));
    relaying_send(&bed, topic, 1, 2);
    relaying_read_all(topic, 2, &seen);
    ck_assert(memory_wait(bed.database, 0, 1));
    ck_assert_uint_eq(memory_count(bed.database).blocked, 0);
    relaying_end(relay);
    relaying_close(&bed);
}
END_TEST

/* Whoever can write to the tables can write anything. */
START_TEST(test_relay__hostile_rows)
{
    struct relaying bed;
    struct relaying_seen seen;
    kur_error error = {0};
    const char *topic = support_topic(2);
    relaying_open(&bed, memory_database(4));
    const kur_driver *driver = kur_database_driver(bed.database);
    const kur_outbox_row rows[] = {
        {.topic = "../etc/passwd", .headers = kur_bytes_of("\1\0", 2), .value = kur_bytes_text("1")},
        {.topic = "", .headers = kur_bytes_of("\1\0", 2), .value = kur_bytes_text("1")},
        {.topic = topic, .headers = kur_bytes_of("\1\xff\xff\xff\xff\x7f", 6), .value = kur_bytes_text("1")},
        {.topic = topic, .partition = -7, .headers = kur_bytes_of("\1\0", 2), .value = kur_bytes_text("1")},
        {.topic = topic, .partition = INT32_MAX, .headers = kur_bytes_of("\1\0", 2), .value = kur_bytes_text("1")}};
    void *connection = relaying_write(&bed);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        kur_outbox_row row = rows[i];
        row.size = sizeof row;
        row.mark = (uint32_t)i;
        ck_ok(driver->outbox_add(kur_database_state(bed.database), connection, &row, &error), error);
    }
    relaying_written(&bed, connection);
    relaying_send(&bed, topic, 1, 7);
    kur_relay *relay = relaying_start(&bed, NULL);
    ck_assert(memory_wait(bed.database, 0, 5));
    relaying_read_all(topic, 1, &seen);
    ck_assert_int_eq(seen.records, 1);
    relaying_end(relay);
    relaying_close(&bed);
}
END_TEST

/* ---- What a broker says ---- */

enum {
    PRODUCE = 0,
    NOT_LEADER = 6,
    TOO_LARGE = 10,
    NOT_ALLOWED = 29
};

/* The first of a topic goes alone, and is believed; what is refused together is tried again one by one. */
START_TEST(test_relay__a_broker_refuses)
{
    struct relaying bed;
    struct relaying_seen seen;
    skip_unless(!support_is_real(), "the embedded broker is made to refuse");
    const char *topic = support_topic(1);
    relaying_open(&bed, memory_database(1));
    support_refuse(PRODUCE, TOO_LARGE);
    relaying_send(&bed, topic, 40, 0);
    relaying_send(&bed, topic, 40, 1);
    kur_relay *relay = relaying_start(&bed, NULL);
    ck_assert(memory_wait(bed.database, 0, 2));
    relaying_send(&bed, topic, 2, 2);
    relaying_await(relay, health.sent == 1 && health.refused == 1);
    const int codes[] = {NOT_LEADER, NOT_ALLOWED, TOO_LARGE};
    for (int i = 0; i < 3; i++) {
        support_refuse(PRODUCE, codes[i]);
        relaying_send_many(&bed, topic, 20, 10 + i * 200, 200);
        ck_assert(memory_wait(bed.database, 0, 2));
        relaying_read(topic, 1 + 200 * (i + 1), &seen);
        /* The embedded broker takes what is on its way behind a refused batch, which Kafka does not. */
        ck_assert(seen.disorder == 0 || i > 0);
    }
    ck_assert_int_eq(relaying_health(relay).refused, 1);
    relaying_end(relay);
    relaying_close(&bed);
}
END_TEST

/* Reads a topic until its last record is this number; returns how many are below one before, of them the last times. */
static int read_last_disorder(const char *topic, int last)
{
    int at[RELAYING_NUMBERS] = {0}, place = 0, disorder = 0, now = -1;
    kur_error error = {0};
    kur_position position = KUR_POSITION(.topic = topic, .offset = KUR_OFFSET_BEGINNING);
    kur_consumer *consumer = consumer_of(NULL, &KUR_CONSUMER_OPTIONS(.group = support_name("reader")));
    ck_ok(kur_consumer_assign(consumer, &position, 1, &error), error);
    for (int64_t until_us = kur_clock_monotonic_us() + PATIENCE_US;;) {
        kur_record *record = NULL;
        ck_assert_msg(kur_clock_monotonic_us() < until_us, "%d did not come last", last);
        ck_ok(kur_consumer_poll(consumer, 500, &record, &error), error);
        if (record == NULL && now == last)
            break;
        if (record == NULL)
            continue;
        now = number(record);
        ck_assert(now >= 0 && now <= last);
        at[now] = ++place;
        drop(consumer, record);
    }
    kur_consumer_free(consumer);
    for (int i = 0; i < last; i++) {
        ck_assert_msg(at[i] > 0, "%d is missing", i);
        disorder += at[i] > at[i + 1];
    }
    return disorder;
}

/* The first request to a partition is refused, and those behind it are taken: what was in it comes, and they again. */
START_TEST(test_relay__what_may_be_missing_comes_in_order)
{
    struct relaying bed;
    kur_error error = {0};
    const kur_property one_by_one[] = {{"batch.num.messages", "1"}, {NULL, NULL}};
    const char *topic = support_topic(1);
    struct proxy *proxy = proxy_new(support_bootstrap());
    relaying_open(&bed, memory_database(1));
    kur_outbox_free(bed.outbox);
    kur_client_unref(bed.client);
    bed.client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests", .properties = one_by_one),
        &error);
    bed.outbox = kur_outbox_new(bed.client, bed.database, NULL, &error);
    ck_assert_msg(bed.outbox != NULL, "%s", error.message);
    kur_relay *relay = relaying_start(&bed, NULL);
    relaying_send(&bed, topic, 1, 0); /* alone, as the first of a topic */
    relaying_await(relay, health.sent == 1);
    proxy_misdirect(proxy, topic);
    void *connection = relaying_write(&bed);
    for (int i = 1; i < 20; i++)
        relaying_add(&bed, connection, topic, 1, i);
    relaying_written(&bed, connection);
    ck_assert(memory_wait(bed.database, 0, 0));
    ck_assert(proxy_has_lost(proxy));
    ck_assert_int_eq(read_last_disorder(topic, 19), 0);
    relaying_end(relay);
    relaying_close(&bed);
    proxy_free(proxy);
}
END_TEST

/* ---- Several ---- */

START_TEST(test_relay__two_share_and_take_over)
{
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(4);
    relaying_open(&bed, memory_database(16));
    kur_relay *one = relaying_start(&bed, &KUR_RELAY_OPTIONS(.lease_ms = 1000));
    relaying_await(one, health.shards == 16);
    kur_relay *two = relaying_start(&bed, &KUR_RELAY_OPTIONS(.lease_ms = 1000));
    relaying_await(one, health.shards == 8);
    relaying_await(two, health.shards == 8);
    relaying_send_many(&bed, topic, 32, 0, 2000);
    ck_assert(memory_wait(bed.database, 0, 0));
    relaying_await(one, health.sent > 0 && health.sent + relaying_health(two).sent == 2000);
    relaying_end(one);
    relaying_await(two, health.shards == 16);
    relaying_send_many(&bed, topic, 32, 2000, 2000);
    ck_assert(memory_wait(bed.database, 0, 0));
    /* One that is dead has them until its lease is over. */
    for (int i = 0; i < 16; i += 2)
        memory_seize(bed.database, i, "ghost", 5000000);
    relaying_await(two, health.shards == 8);
    relaying_send_many(&bed, topic, 32, 4000, 2000);
    relaying_await(two, health.shards < 16 && memory_count(bed.database).rows > 0);
    memory_forward(bed.database, 6000000);
    relaying_await(two, health.shards == 16);
    ck_assert(memory_wait(bed.database, 0, 0));
    relaying_read_all(topic, 6000, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    relaying_end(two);
    relaying_close(&bed);
}
END_TEST

/* A broker that is silent for longer than a lease: of what was not handed over nothing is, before there is another. */
START_TEST(test_relay__begins_nothing_when_its_lease_ends)
{
    struct relaying bed;
    struct relaying_seen seen;
    skip_unless(!support_is_real(), "the embedded broker is made to refuse");
    const char *topic = support_topic(1);
    struct proxy *proxy = proxy_new(support_bootstrap());
    relaying_open(&bed, memory_database(1));
    relaying_send(&bed, topic, 1, 0);
    kur_relay *relay = relaying_start(&bed, &KUR_RELAY_OPTIONS(.lease_ms = 1000));
    relaying_await(relay, health.sent == 1);
    support_refuse(PRODUCE, TOO_LARGE); /* from now on each row of the topic goes by itself */
    relaying_send_many(&bed, topic, 20, 1, 20);
    relaying_await(relay, health.sent == 21);
    proxy_set(proxy, PROXY_HOLD);
    int64_t batches = relaying_health(relay).batches;
    int reads = memory_calls(bed.database, "outbox_read");
    relaying_send_many(&bed, topic, 20, 21, 20);
    relaying_await(relay, memory_calls(bed.database, "outbox_read") > reads);
    poll(NULL, 0, 1100);
    proxy_set(proxy, PROXY_PASS);
    relaying_await(relay, health.sent == 41 && health.batches >= batches + 2);
    relaying_read_all(topic, 41, &seen);
    ck_assert_int_eq(relaying_health(relay).repeated, 0);
    relaying_end(relay);
    relaying_close(&bed);
    proxy_free(proxy);
}
END_TEST

static void fail_from_now_on(const char *call, void *user)
{
    static const struct memory_fault everything = {
        .nth = 1, .times = 1000000, .status = KUR_ERROR_DATABASE, .retriable = true};
    struct relaying *bed = user;
    if (strcmp(call, "outbox_delete") != 0)
        return;
    memory_on_call(bed->database, NULL, NULL);
    memory_fail(bed->database, &everything);
}

/* The database is away when a batch was sent, and then the shard is another's, who may have sent what was refused. */
START_TEST(test_relay__parks_nothing_in_shards_of_others)
{
    struct relaying bed;
    const char *topic = support_topic(2);
    relaying_open(&bed, memory_database(1));
    relaying_send(&bed, topic, 1, 0);
    send_wrong(&bed, topic, 2, 1);
    memory_on_call(bed.database, fail_from_now_on, &bed);
    kur_relay *relay = relaying_start(&bed, &KUR_RELAY_OPTIONS(.lease_ms = 1000));
    relaying_await(relay, memory_has_failed(bed.database) && health.shards == 0);
    memory_seize(bed.database, 0, "another", INT64_C(3600000000));
    memory_fail(bed.database, NULL);
    ck_assert(memory_wait(bed.database, 1, 0));
    int claims = memory_calls(bed.database, "outbox_claim");
    relaying_await(relay, memory_calls(bed.database, "outbox_claim") > claims + 1);
    ck_assert_uint_eq(memory_count(bed.database).parked, 0);
    relaying_end(relay);
    relaying_close(&bed);
}
END_TEST

/* ---- Failures ---- */

static void with_fault(const struct memory_fault *fault)
{
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(2);
    relaying_open(&bed, memory_database(4));
    send_wrong(&bed, topic, 40, 999);
    relaying_send_many(&bed, topic, 20, 0, 60);
    memory_fail(bed.database, fault);
    kur_relay *relay = relaying_start(&bed, &KUR_RELAY_OPTIONS(.lease_ms = 1000, .batch_rows = 25));
    ck_assert_msg(memory_wait(bed.database, 0, 1), "%s fails at %d with %s%s: %s", fault->call, fault->nth,
                  kur_status_name(fault->status), fault->happens ? " though it happens" : "",
                  relaying_health(relay).failure);
    int64_t until = kur_clock_monotonic_us() + 10000000;
    while (!memory_has_failed(bed.database) && kur_clock_monotonic_us() < until)
        poll(NULL, 0, 5);
    ck_assert_msg(memory_has_failed(bed.database), "%s was not called %d times", fault->call, fault->nth);
    relaying_send_many(&bed, topic, 20, 60, 60);
    ck_assert(memory_wait(bed.database, 0, 1));
    relaying_read(topic, 120, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    relaying_await(relay, health.failing_ms == 0);
    relaying_end(relay);
    relaying_close(&bed);
}

START_TEST(test_relay__every_call_of_the_driver_fails)
{
    static const struct {
        const char *call;
        int most;
    } calls[] = {{"connect", 1},       {"outbox_claim", 2}, {"changes", 2},      {"outbox_read", 3},
                 {"outbox_delete", 3}, {"outbox_park", 1},  {"outbox_raise", 2}, {"outbox_figures", 1}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (int nth = 1; nth <= calls[i].most; nth++)
            for (int way = 0; way < 4; way++) {
                struct memory_fault fault = {.call = calls[i].call, .nth = nth};
                fault.status = way == 0 || way == 3 ? KUR_ERROR_UNREACHABLE
                               : way == 1           ? KUR_ERROR_DATABASE
                                                    : KUR_ERROR_NO_MEMORY;
                fault.happens = way == 3;
                fault.retriable = nth == 2;
                if (strcmp(fault.call, "connect") == 0 && fault.happens)
                    continue;
                with_fault(&fault);
            }
}
END_TEST

START_TEST(test_relay__database_away_and_back)
{
    struct relaying bed;
    struct relaying_seen seen;
    const char *topic = support_topic(2);
    relaying_open(&bed, memory_database(4));
    kur_relay *relay = relaying_start(&bed, NULL);
    for (int i = 0; i < 4; i++) {
        int64_t before = relaying_health(relay).failures;
        relaying_send_many(&bed, topic, 20, i * 100, 100);
        memory_away(bed.database, true);
        relaying_await(relay, health.failures > before && health.failing_ms > 0);
        memory_away(bed.database, false);
    }
    relaying_read_all(topic, 400, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    ck_assert(memory_wait(bed.database, 0, 0));
    relaying_await(relay, health.failing_ms == 0 && health.failures >= 4);
    relaying_end(relay);
    relaying_close(&bed);
}
END_TEST

/* ---- The end ---- */

START_TEST(test_relay__ends_by_what_no_waiting_cures)
{
    const struct {
        struct memory_fault fault;
        kur_status expected;
    } ends[] = {{{.call = "outbox_read", .nth = 1, .status = KUR_ERROR_SCHEMA}, KUR_ERROR_SCHEMA},
                {{.call = "outbox_claim", .nth = 1, .status = KUR_ERROR_INVALID_STATE}, KUR_ERROR_INVALID_STATE}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct relaying bed;
        kur_error error = {0};
        relaying_open(&bed, memory_database(4));
        memory_fail(bed.database, &ends[i].fault);
        kur_relay *relay = kur_relay_new(bed.outbox, NULL, &error);
        ck_status(kur_relay_run(relay, &error), ends[i].expected, error);
        error = (kur_error){0};
        ck_status(kur_relay_stop(relay, 0, &error), ends[i].expected, error);
        ck_assert_int_gt((int)strlen(error.message), 0);
        ck_assert(!relaying_health(relay).is_running);
        ck_status(kur_relay_start(relay, &error), KUR_ERROR_INVALID_STATE, error);
        kur_relay_free(relay);
        relaying_close(&bed);
    }
}
END_TEST

/* Of different guarantees, side by side. */
START_TEST(test_relay__refuses_another_guarantee)
{
    struct relaying bed;
    kur_error error = {0};
    relaying_open(&bed, memory_database(4));
    const kur_driver *driver = kur_database_driver(bed.database);
    void *connection = relaying_connect(&bed);
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    size_t count = 0;
    kur_outbox_claim claim = {.size = sizeof claim, .relay = "other", .guarantee = KUR_EXACTLY_ONCE, .lease_ms = 60000};
    ck_ok(driver->outbox_claim(connection, &claim, shards, &count, &error), error);
    kur_relay *relay = kur_relay_new(bed.outbox, NULL, &error);
    ck_status(kur_relay_run(relay, &error), KUR_ERROR_INVALID_STATE, error);
    kur_relay_free(relay);
    relaying_disconnect(&bed, connection);
    relaying_close(&bed);
}
END_TEST

/* With nobody to send to and nothing to read from. */
START_TEST(test_relay__stops_by_its_deadline)
{
    for (int away = 0; away < 3; away++) {
        kur_error error = {0};
        kur_client *client =
            kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY, .source = "/tests"), &error);
        struct relaying bed = {.client = client, .database = memory_database(4)};
        bed.outbox = kur_outbox_new(client, bed.database, NULL, &error);
        ck_assert_msg(bed.outbox != NULL, "%s", error.message);
        relaying_send_many(&bed, "nowhere", 20, 0, 100);
        kur_relay *relay = relaying_start(&bed, NULL);
        relaying_await(relay, health.failing_ms > 0);
        if (away > 0)
            memory_away(bed.database, true);
        if (away > 1)
            relaying_await(relay, health.failures > 3);
        int64_t begin = kur_clock_monotonic_us();
        kur_status status = kur_relay_stop(relay, 3000, &error);
        ck_assert(status == KUR_OK || status == KUR_ERROR_TIMEOUT);
        ck_assert_int_lt(kur_clock_monotonic_us() - begin, 10000000); /* a busy machine */
        kur_relay_free(relay);
        ck_assert_uint_eq(memory_count(bed.database).rows, 100);
        kur_outbox_free(bed.outbox);
        kur_database_free(bed.database);
        kur_client_unref(client);
    }
}
END_TEST

struct asker {
    kur_relay *relay;
    pthread_t thread;
    bool by_signal;
};

static void *ask(void *user)
{
    struct asker *asker = user;
    relaying_await(asker->relay, health.sent == 1);
    if (asker->by_signal)
        kill(getpid(), SIGTERM);
    else
        kur_relay_request_stop(asker->relay);
    return NULL;
}

START_TEST(test_relay__runs_until_it_is_told)
{
    for (int by_signal = 0; by_signal < 2; by_signal++) {
        struct relaying bed;
        kur_error error = {0};
        relaying_open(&bed, memory_database(4));
        relaying_send(&bed, support_topic(1), 1, 1);
        struct asker asker = {.relay = kur_relay_new(bed.outbox, NULL, &error), .by_signal = by_signal};
        pthread_create(&asker.thread, NULL, ask, &asker);
        ck_ok(kur_relay_run(asker.relay, &error), error);
        pthread_join(asker.thread, NULL);
        ck_assert_uint_eq(memory_count(bed.database).rows, 0);
        ck_assert_uint_eq(memory_count(bed.database).relays, 0);
        kur_relay_free(asker.relay);
        relaying_close(&bed);
    }
}
END_TEST

/* ---- Misuse ---- */

START_TEST(test_relay__refuses_options_by_name)
{
    struct relaying bed;
    relaying_open(&bed, memory_database(4));
    const struct {
        kur_relay_options options;
        const char *says;
    } wrong[] = {{KUR_RELAY_OPTIONS(.guarantee = (kur_guarantee)7), ".guarantee"},
                 {KUR_RELAY_OPTIONS(.name = ""), ".name"},
                 {KUR_RELAY_OPTIONS(.name = "\xff"), ".name"},
                 {KUR_RELAY_OPTIONS(.batch_rows = -1), ".batch_rows"},
                 {KUR_RELAY_OPTIONS(.batch_rows = 100001), ".batch_rows"},
                 {KUR_RELAY_OPTIONS(.batch_kbytes = -1), ".batch_kbytes"},
                 {KUR_RELAY_OPTIONS(.poll_ms = 1), ".poll_ms"},
                 {KUR_RELAY_OPTIONS(.lease_ms = 999), ".lease_ms"},
                 {KUR_RELAY_OPTIONS(.control = "x"), ".control"},
                 {KUR_RELAY_OPTIONS(.replicas = 1), ".replicas"},
                 {KUR_RELAY_OPTIONS(.transaction_ms = 1000), ".transaction_ms"},
                 {KUR_RELAY_OPTIONS(.guarantee = KUR_EXACTLY_ONCE, .control = "a/b"), ".control"},
                 {{0}, "size"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        kur_error error = {0};
        ck_assert_ptr_null(kur_relay_new(bed.outbox, &wrong[i].options, &error));
        ck_status(error.code, KUR_ERROR_INVALID_ARGUMENT, error);
        ck_says(error, wrong[i].says);
    }
    kur_error error = {0};
    ck_assert_ptr_null(kur_relay_new(NULL, NULL, &error));
    ck_status(kur_relay_start(NULL, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_relay_run(NULL, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_relay_stop(NULL, 0, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_relay_health_read(NULL, NULL, NULL), KUR_ERROR_INVALID_ARGUMENT, error);
    kur_relay_free(NULL);
    kur_relay_request_stop(NULL);
    /* One that was never started. */
    kur_relay *relay = kur_relay_new(bed.outbox, NULL, &error);
    ck_ok(kur_relay_stop(relay, 0, &error), error);
    kur_relay_free(relay);
    relaying_close(&bed);
}
END_TEST

/* Whatever allocation fails, all is sent, or the relay was not made. */
START_TEST(test_relay__every_allocation_fails)
{
    const char *topic = support_topic(2);
    bool has_failed = true;
    int points = 0;
    for (; has_failed; points++) {
        struct relaying bed;
        kur_error error = {0};
        ck_assert_int_lt(points, 2000);
        relaying_open(&bed, memory_database(4));
        send_wrong(&bed, topic, 1, 0);
        relaying_send(&bed, topic, 1, 1);
        relaying_send(&bed, topic, 2, 2);
        failing_begin(points + 1, false);
        kur_relay *relay = kur_relay_new(bed.outbox, NULL, &error);
        if (relay != NULL) {
            ck_ok(kur_relay_start(relay, &error), error);
            ck_assert(memory_wait(bed.database, 0, 2));
            kur_relay_free(relay);
        } else {
            ck_status(error.code, KUR_ERROR_NO_MEMORY, error);
        }
        has_failed = failing_has_failed();
        ck_assert_int_eq(failing_live(), 0);
        failing_end();
        relaying_close(&bed);
    }
    printf("# allocations that were made to fail: %d\n", points - 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_relay__sends_what_is_committed_in_order,
                                  test_relay__rows_that_commit_late,
                                  test_relay__is_told_of_commits,
                                  test_relay__looks_at_changes_alone,
                                  test_relay__parks_what_is_refused,
                                  test_relay__blocks_nothing,
                                  test_relay__hostile_rows,
                                  test_relay__a_broker_refuses,
                                  test_relay__what_may_be_missing_comes_in_order,
                                  test_relay__two_share_and_take_over,
                                  test_relay__begins_nothing_when_its_lease_ends,
                                  test_relay__parks_nothing_in_shards_of_others,
                                  test_relay__every_call_of_the_driver_fails,
                                  test_relay__database_away_and_back,
                                  test_relay__ends_by_what_no_waiting_cures,
                                  test_relay__refuses_another_guarantee,
                                  test_relay__stops_by_its_deadline,
                                  test_relay__runs_until_it_is_told,
                                  test_relay__refuses_options_by_name,
                                  test_relay__every_allocation_fails,
                                  NULL};
    int failed = check_main("relay", tests);
    consuming_stop();
    return failed;
}
