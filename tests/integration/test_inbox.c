/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The inbox, over a database in memory whose calls fail at will: each record changes it once, whatever becomes of the
 * record, of the connection, and of the partition; and what is kept goes when it is done.
 *
 * Design notes: the value of a record is its name, "r17", and its effect is one more in the sum of that name, in the
 * handler's transaction. What a handler is to do is told by `plans`, by its number.
 */
#include <kurier/inbox.h>
#include <kurier/kurier.h>
#include <kurier/sys/clock.h>
#include <stdio.h>
#include <stdlib.h>

#include "../failing.h"
#include "../listening.h"
#include "../memory_driver.h"
#include "../shop.h"
#include "inbox/inbox.h"

enum {
    RECORDS_MAX = 1000,
    PARTITIONS = 3,
    COMMIT_MS = 30,
    MOVE_MS = 20
};

static kur_client *client;
static kur_database *database;
static const char *topic, *group;
static int sent;

/* Of a record: how often it is to fail, by what; how often it was tried, and which attempt it was last. */
static struct plan {
    atomic_int retries, rejects, tried, attempt;
} plans[RECORDS_MAX];
static atomic_int refused;

static const kur_retry_policy in_place = {
    .size = sizeof in_place, .attempts = 4, .delay_ms = 20, .multiplier = 1, .jitter = KUR_NONE};
static const kur_retry_policy by_topic = {.size = sizeof by_topic,
                                          .mode = KUR_RETRY_BY_TOPIC,
                                          .attempts = 4,
                                          .delay_ms = 20,
                                          .multiplier = 1,
                                          .jitter = KUR_NONE};

static void begin(int partitions)
{
    memset(plans, 0, sizeof plans);
    refused = 0;
    sent = 0;
    client = support_client();
    database = memory_database(4);
    topic = support_topic(partitions);
    group = support_name("inbox");
}

static void end(void)
{
    ck_assert_uint_eq(memory_count(database).connections, 0);
    kur_database_free(database);
    kur_client_unref(client);
}

static void send_more(int count)
{
    for (int until = sent + count; sent < until; sent++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%d", sent % 37);
        snprintf(value, sizeof value, "r%d", sent);
        send_text(client, topic, sent % PARTITIONS, key, value);
    }
    flush(client);
}

static int number_of(const kur_delivery *delivery)
{
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    return value.size > 1 ? atoi((const char *)value.data + 1) : 0;
}

static kur_outcome change(kur_delivery *delivery, void *transaction, void *user)
{
    (void)user;
    char name[16];
    int number = number_of(delivery);
    struct plan *plan = &plans[number];
    int tried = ++plan->tried;
    plan->attempt = kur_delivery_attempt(delivery);
    snprintf(name, sizeof name, "r%d", number);
    memory_add(transaction, name, 1);
    if (plan->rejects > 0) {
        --plan->rejects;
        return kur_reject(delivery, "test.rejects", "number %d", number);
    }
    if (tried <= plan->retries)
        return kur_retry(delivery, "test.fails", "number %d", number);
    return KUR_DONE;
}

/* A member: a listener with its inbox. */
struct member {
    kur_listener *listener;
    kur_inbox *inbox;
};

static struct member join_as(const char *name, kur_listener_options options, const char *consumer)
{
    kur_error error = {0};
    options.commit_interval_ms = COMMIT_MS;
    struct member member = {.listener = make(client, &options, topic, name, NULL, NULL)};
    member.inbox =
        kur_inbox_new(member.listener, database, &KUR_INBOX_OPTIONS(.consumer = consumer, .move_ms = MOVE_MS), &error);
    ck_assert_msg(member.inbox != NULL, "%s", error.message);
    return member;
}

static struct member start_as(const char *name, const kur_listener_options *options)
{
    kur_error error = {0};
    struct member member = join_as(name, *options, "c");
    ck_ok(kur_inbox_on_record(member.inbox, change, NULL), error);
    ck_ok(kur_listener_start(member.listener, &error), error);
    return member;
}

static kur_inbox_health inbox_health(const struct member *member)
{
    kur_error error = {0};
    kur_inbox_health health = KUR_INBOX_HEALTH();
    ck_ok(kur_inbox_health_read(member->inbox, &health, &error), error);
    return health;
}

static void drop(struct member *member)
{
    kur_listener_free(member->listener);
    kur_inbox_free(member->inbox);
}

static void stop(struct member *member)
{
    kur_error error = {0};
    ck_ok(kur_listener_stop(member->listener, WAIT_MS, &error), error);
    drop(member);
}

static int64_t sum_of(int number)
{
    char name[16];
    snprintf(name, sizeof name, "r%d", number);
    return memory_sum(database, name);
}

static int count_below(int count, int64_t wanted)
{
    int missing = 0;
    for (int i = 0; i < count; i++)
        missing += sum_of(i) < wanted;
    return missing;
}

static void wait_for_sums(int count, int64_t wanted)
{
    int missing = count;
    for (int64_t until_ms = now_ms() + WAIT_MS; missing > 0 && now_ms() < until_ms; nap(10))
        missing = count_below(count, wanted);
    ck_assert_msg(missing == 0, "%d records are below %d", missing, (int)wanted);
}

/* All that were sent, once each. */
static void check_once(void)
{
    wait_for_sums(sent, 1);
    for (int i = 0; i < sent; i++)
        ck_assert_msg(sum_of(i) == 1, "record %d: %d times", i, (int)sum_of(i));
}

/* What the inbox keeps of records; waits until it is so. */
static void wait_for_rows(size_t done, size_t open)
{
    struct memory_counts now = {0};
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(10)) {
        now = memory_count(database);
        if (now.done == done && now.open == open)
            return;
    }
    ck_abort_msg("%zu rows are done and %zu open, and not %zu and %zu", now.done, now.open, done, open);
}

static const char *own_topic(kur_tier tier)
{
    static kur_buffer names[4];
    static int next;
    kur_error error = {0};
    kur_buffer *name = &names[next++ % 4];
    name->size = 0;
    ck_ok(kur_retry_topic(name, NULL, topic, group, tier, NULL, &error), error);
    return name->data;
}

/* The group's own topics are there before it: that they come is a rebalance, and what is in hand then is handled again.
 */
static void make_own_topics(void)
{
    static const kur_tier tiers[] = {KUR_TIER_SHORT, KUR_TIER_MEDIUM, KUR_TIER_LONG, KUR_TIER_DEAD};
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++)
        support_create(own_topic(tiers[i]), PARTITIONS);
}

/* ---- Once ---- */

START_TEST(test_inbox__each_record_once)
{
    begin(PARTITIONS);
    send_more(300);
    struct member member = start_as(group, &KUR_LISTENER_OPTIONS(.concurrency = 4));
    check_once();
    wait_for_rows(0, 0);
    kur_inbox_health health = inbox_health(&member);
    ck_assert_int_eq(health.handled, 300);
    ck_assert_int_eq(health.passed + health.rolled_back + health.unknown + health.failures, 0);
    ck_assert_int_le(health.connections, 5);
    stop(&member);
    end();
}
END_TEST

/* A group whose offsets are gone, and one that starts where the rows of the last one are still there. */
START_TEST(test_inbox__what_was_handled_is_passed_over)
{
    begin(PARTITIONS);
    send_more(200);
    struct member member = start_as(group, &KUR_LISTENER_OPTIONS(.concurrency = 4));
    check_once();
    stop(&member);
    member = start_as(support_name("again"), &KUR_LISTENER_OPTIONS(.concurrency = 4));
    send_more(50);
    check_once();
    ck_assert(wait_for(member.listener, has_finished, 250));
    ck_assert_int_eq(inbox_health(&member).passed, 200);
    ck_assert_int_eq(inbox_health(&member).handled, 50);
    stop(&member);
    wait_for_rows(0, 0);
    end();
}
END_TEST

START_TEST(test_inbox__a_reset_lets_a_part_be_handled_again)
{
    kur_error error = {0};
    begin(PARTITIONS);
    send_more(90);
    struct member member = start_as(group, &KUR_LISTENER_OPTIONS(.concurrency = 2));
    check_once();
    stop(&member);
    ck_ok(kur_inbox_reset(database, "c", topic, 1, 10, &error), error);
    member = start_as(support_name("again"), &KUR_LISTENER_OPTIONS(.concurrency = 2));
    ck_assert(wait_for(member.listener, has_finished, 90));
    for (int i = 0; i < 90; i++)
        ck_assert_int_eq(sum_of(i), i % PARTITIONS == 1 && i / PARTITIONS >= 10 ? 2 : 1);
    stop(&member);
    wait_for_rows(0, 0);
    ck_status(kur_inbox_reset(database, "", topic, 1, 10, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_inbox_reset(database, "c", NULL, 1, 10, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    error = (kur_error){0};
    ck_status(kur_inbox_reset(database, "c", topic, 1, -1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    end();
}
END_TEST

/* ---- Outcomes ---- */

/* On a busy machine a member may be silent for a session: what was in its hands is handled again then, or passed over,
 * and how often it was tried says nothing. */
static bool was_left_alone(const struct member *member)
{
    kur_listener_health health = health_of(member->listener);
    return health.rebalances + health.lost == 0;
}

START_TEST(test_inbox__retries_in_place)
{
    begin(PARTITIONS);
    for (int i = 0; i < 60; i++)
        plans[i].retries = i % 3;
    send_more(60);
    struct member member = start_as(group, &KUR_LISTENER_OPTIONS(.concurrency = 4, .retry = &in_place));
    check_once();
    wait_for_rows(0, 0);
    if (was_left_alone(&member)) {
        ck_assert_int_eq(inbox_health(&member).rolled_back, 60);
        for (int i = 0; i < 60; i++)
            ck_assert_int_eq(plans[i].attempt, i % 3 + 1);
    }
    stop(&member);
    end();
}
END_TEST

START_TEST(test_inbox__retries_by_topic)
{
    begin(PARTITIONS);
    for (int i = 0; i < 60; i++)
        plans[i].retries = i % 3;
    make_own_topics();
    send_more(60);
    struct member member = start_as(
        group, &KUR_LISTENER_OPTIONS(.concurrency = 4, .retry = &by_topic, .retry_topics = &KUR_RETRY_TOPICS(0)));
    check_once();
    /* A copy may be handled before it is noted that the record is not done; finished it is after that. */
    ck_assert(wait_for(member.listener, has_finished, 60 + 60));
    wait_for_rows(0, 0);
    if (was_left_alone(&member)) {
        ck_assert_int_eq(inbox_health(&member).left_open, 60);
        for (int i = 0; i < 60; i++)
            ck_assert_int_eq(plans[i].attempt, i % 3 + 1);
    }
    stop(&member);
    end();
}
END_TEST

START_TEST(test_inbox__retries_in_an_ordered_topic)
{
    static const kur_retry_policy ordered = {.size = sizeof ordered,
                                             .mode = KUR_RETRY_BY_TOPIC,
                                             .attempts = 4,
                                             .delay_ms = 50,
                                             .multiplier = 1,
                                             .jitter = KUR_NONE,
                                             .keep_order = true};
    begin(PARTITIONS);
    for (int i = 0; i < 120; i++)
        plans[i].retries = i < 37 ? i % 3 : 0; /* those behind them follow, and nobody has seen them */
    support_create(own_topic(KUR_TIER_ORDERED), PARTITIONS);
    send_more(120);
    struct member member = start_as(
        group, &KUR_LISTENER_OPTIONS(.concurrency = 4, .retry = &ordered, .retry_topics = &KUR_RETRY_TOPICS(0)));
    check_once();
    ck_assert(wait_for(member.listener, has_finished, 120 + 37));
    wait_for_rows(0, 0);
    ck_assert_int_gt(inbox_health(&member).left_open, 36);
    stop(&member);
    end();
}
END_TEST

START_TEST(test_inbox__what_is_due_later_is_handled_then)
{
    begin(PARTITIONS);
    char due[KUR_TIME_TEXT_SIZE];
    kur_error error = {0};
    make_own_topics();
    struct member member = start_as(
        group, &KUR_LISTENER_OPTIONS(.concurrency = 4, .allow_due = true, .retry_topics = &KUR_RETRY_TOPICS(0)));
    ck_assert(wait_for(member.listener, is_assigned, 4 * PARTITIONS));
    int64_t due_us = kur_clock_now_us() + 6000000; /* all are put off by then, on a slow day too */
    kur_time_format(due_us, due);
    for (; sent < 20; sent++) {
        char value[16];
        snprintf(value, sizeof value, "r%d", sent);
        kur_header header = {KUR_DUE_HEADER, kur_bytes_text(due)};
        ck_ok(kur_producer_send(kur_client_producer(client, &error),
                                &KUR_MESSAGE(.topic = topic, .partition = KUR_PARTITION(sent % PARTITIONS),
                                             .value = kur_bytes_text(value), .headers = &header, .header_count = 1),
                                &error),
              error);
    }
    flush(client);
    wait_for_rows(0, 20); /* passed, and nobody has seen them */
    check_once();
    ck_assert_int_ge(kur_clock_now_us(), due_us);
    wait_for_rows(0, 0);
    stop(&member);
    end();
}
END_TEST

/* The first `count` of a topic, sent to another as they are. */
static void send_again(const char *from, const char *to, int count, int times)
{
    kur_error error = {0};
    kur_consumer *consumer = kur_consumer_new(
        client, &KUR_CONSUMER_OPTIONS(.group = support_name("letters"), .start = KUR_START_EARLIEST), &error);
    const char *topics[] = {from, NULL};
    kur_arena *arena = kur_arena_new();
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    for (int i = 0; i < count;) {
        kur_record *record = NULL;
        ck_ok(kur_consumer_poll(consumer, WAIT_MS, &record, &error), error);
        ck_assert_ptr_nonnull(record);
        kur_retry_view view = KUR_RETRY_VIEW();
        const kur_header *headers;
        size_t header_count;
        ck_ok(kur_retry_read(record, KUR_HEADERS_KURIER, kur_clock_now_us(), arena, &view, &error), error);
        view.attempt = 1;
        ck_ok(kur_retry_write(record, KUR_HEADERS_KURIER, KUR_TIER_SHORT, &view, 0, arena, &headers, &header_count,
                              &error),
              error);
        for (int j = 0; j < times; j++)
            ck_ok(kur_producer_send(kur_client_producer(client, &error),
                                    &KUR_MESSAGE(.topic = to, .key = kur_record_key(record),
                                                 .value = kur_record_value(record),
                                                 .partition = KUR_PARTITION(kur_record_partition(record)),
                                                 .headers = headers, .header_count = header_count, .verbatim = true),
                                    &error),
                  error);
        kur_consumer_free_records(consumer, &record, 1);
        i++;
    }
    flush(client);
    kur_arena_free(arena);
    kur_consumer_free(consumer);
}

START_TEST(test_inbox__dead_letters_are_open_until_they_are_redriven)
{
    begin(PARTITIONS);
    for (int i = 0; i < 10; i++)
        plans[i].rejects = 1;
    make_own_topics();
    send_more(60);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.concurrency = 4, .retry_topics = &KUR_RETRY_TOPICS(0));
    struct member member = start_as(group, &options);
    ck_assert(wait_for(member.listener, has_finished, 60));
    wait_for_rows(0, 10);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(sum_of(i), 0);
    stop(&member);
    member = start_as(group, &options);
    send_again(own_topic(KUR_TIER_DEAD), own_topic(KUR_TIER_SHORT), 10, 3);
    ck_assert(wait_for(member.listener, has_finished, 30));
    check_once();
    wait_for_rows(0, 0);
    ck_assert_int_eq(inbox_health(&member).passed, 20);
    stop(&member);
    end();
}
END_TEST

/* ---- A service gets its inbox later ---- */

/* Waits until the group has committed an offset of a partition, and told beside it that so many above are finished. */
static void wait_committed(int32_t partition, int64_t wanted, int64_t above)
{
    kur_error error = {0};
    int64_t offset = -1, told = -1;
    for (int64_t until_ms = now_ms() + WAIT_MS; (offset != wanted || told != above) && now_ms() < until_ms; nap(10)) {
        kur__ledger ledger;
        kur_arena *arena = kur_arena_new();
        kur_position position = group_position(client, group, topic, partition, arena);
        offset = position.offset;
        if (offset >= 0) {
            ck_ok(kur__ledger_read(&ledger, offset, &(kur__ledger_log){0}, position.metadata, &error), error);
            told = 0;
            for (size_t i = 0; i < ledger.done_count; i++)
                told += ledger.done[i].to - ledger.done[i].from;
            kur__ledger_done(&ledger);
        }
        kur_arena_free(arena);
    }
    ck_assert_int_eq(offset, wanted);
    ck_assert_int_eq(told, above);
}

struct looked_for {
    int32_t partition;
    int64_t first, next;
};

static kur_status take_position(const kur_inbox_position *position, void *user, kur_error *error)
{
    struct looked_for *at = user;
    (void)error;
    if (position->partition == at->partition)
        *at = (struct looked_for){at->partition, position->first, position->next};
    return KUR_OK;
}

static void wait_for_position(int32_t partition, int64_t first, int64_t next)
{
    void *connection = NULL;
    kur_error error = {0};
    struct looked_for at = {partition, -2, -2};
    const kur_driver *driver = kur_database_driver(database);
    ck_ok(driver->connect(kur_database_state(database), &connection, &error), error);
    for (int64_t until_ms = now_ms() + WAIT_MS; at.next != next && now_ms() < until_ms; nap(1))
        ck_ok(driver->inbox_positions(connection, "c", take_position, &at, &error), error);
    driver->disconnect(connection);
    ck_assert_int_eq(at.next, next);
    ck_assert_int_eq(at.first, first);
}

/* What its group has left among the dead letters by then is not done. */
START_TEST(test_inbox__letters_of_before_the_inbox)
{
    kur_error error = {0};
    atomic_int count = 0;
    begin(PARTITIONS);
    make_own_topics();
    for (int i = 0; i < 30; i++)
        send_text(client, topic, i % PARTITIONS, NULL, i < 6 ? "reject" : "before");
    flush(client);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.concurrency = 2, .commit_interval_ms = COMMIT_MS, .retry_topics = &KUR_RETRY_TOPICS(0));
    kur_listener *listener = listen(client, &options, topic, group, count_one, &count);
    ck_assert(wait_for(listener, has_finished, 30));
    for (int32_t i = 0; i < PARTITIONS; i++)
        wait_committed(i, 10, 0); /* the stop may come too late for it */
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);

    struct member member = start_as(group, &options);
    sent = 1; /* what was rejected before is number 0 to the handler: its value is no number */
    send_more(60);
    ck_assert(wait_for(member.listener, has_finished, 60));
    wait_for_rows(0, 0);
    send_again(own_topic(KUR_TIER_DEAD), own_topic(KUR_TIER_SHORT), 6, 2);
    ck_assert(wait_for(member.listener, has_finished, 72));
    wait_for_rows(6, 0); /* below where the inbox began each has its row */
    stop(&member);
    ck_assert_int_eq(sum_of(0), 6);
    end();
}
END_TEST

static kur_outcome defer_0_reject_1(kur_delivery *delivery, void *user)
{
    kur_error error = {0};
    kur_ticket ticket;
    int number = number_of(delivery);
    (void)user;
    if (number == 0)
        ck_ok(kur_delivery_defer(delivery, &ticket, &error), error);
    return number == 1 ? kur_reject(delivery, "test.rejects", "number 1") : KUR_DONE;
}

/* Nor is a letter that lies above what its group had committed, behind a record that was not finished. */
START_TEST(test_inbox__letters_of_before_behind_one_that_was_not_finished)
{
    begin(1);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.concurrency = 2, .commit_interval_ms = COMMIT_MS, .retry_topics = &KUR_RETRY_TOPICS(0));
    for (; sent < 10; sent++)
        send_text(client, topic, 0, NULL, (char[]){'r', (char)('0' + sent), '\0'});
    flush(client);
    kur_listener *listener = listen(client, &options, topic, group, defer_0_reject_1, NULL);
    wait_committed(0, 0, 9);
    kur_listener_free(listener);

    struct member member = start_as(group, &options);
    wait_for_sums(1, 1);
    wait_committed(0, 10, 0);
    wait_for_position(0, 10, 10); /* were it opened anew behind the next one first, that one would keep its row */
    send_text(client, topic, 0, NULL, "r10");
    flush(client);
    wait_committed(0, 11, 0);
    wait_for_rows(1, 0); /* that of the one that was not finished */
    send_again(own_topic(KUR_TIER_DEAD), own_topic(KUR_TIER_SHORT), 1, 2);
    wait_for_rows(2, 0);
    stop(&member);
    for (int i = 0; i <= 10; i++)
        ck_assert_int_eq(sum_of(i), i == 0 || i == 1 || i == 10);
    end();
}
END_TEST

/* ---- What an inbox is told ---- */

static void open_partition(const struct member *member, int32_t partition, int64_t start, int64_t finished_to)
{
    int64_t epoch;
    void *connection = NULL;
    kur_error error = {0};
    ck_assert(kur__inbox_opened(
        member->inbox, &(kur__assignment){.topic = topic, .partition = partition, .start = start, .is_committed = true},
        finished_to));
    const kur_driver *driver = kur_database_driver(database);
    ck_ok(driver->connect(kur_database_state(database), &connection, &error), error);
    ck_ok(kur__inbox_join(member->inbox, kur__inbox_partition(member->inbox, topic, partition), connection, &epoch,
                          &error),
          error);
    driver->disconnect(connection);
}

/* Another partition, which is looked at before, is moved twice: so was all else that was to be. */
static void wait_for_moves(const struct member *member)
{
    open_partition(member, 1, 0, 0);
    for (int64_t offset = 1; offset <= 2; offset++) {
        kur__inbox_committed(member->inbox, topic, 1, offset);
        wait_for_position(1, 0, offset);
    }
}

START_TEST(test_inbox__begins_behind_all_that_was_finished)
{
    begin(PARTITIONS);
    struct member member = join_as(group, KUR_LISTENER_OPTIONS(.concurrency = 1), "c");
    open_partition(&member, 0, 2, 9);
    wait_for_position(0, -1, -1);
    kur__inbox_committed(member.inbox, topic, 0, 5);
    wait_for_moves(&member);
    wait_for_position(0, -1, -1);
    kur__inbox_committed(member.inbox, topic, 0, 12);
    wait_for_position(0, 9, 12);
    drop(&member);
    end();
}
END_TEST

/* Somebody else has found that the topic was made anew, while this member did not have the partition. */
START_TEST(test_inbox__what_was_committed_of_another_log_moves_nothing)
{
    kur_error error = {0};
    begin(PARTITIONS);
    struct member member = join_as(group, KUR_LISTENER_OPTIONS(.concurrency = 1), "c");
    open_partition(&member, 0, 0, 0);
    kur__inbox_committed(member.inbox, topic, 0, 100);
    wait_for_position(0, 0, 100);
    ck_ok(kur_inbox_reset(database, "c", topic, 0, 0, &error), error);
    open_partition(&member, 0, 3, 3);
    kur__inbox_committed(member.inbox, topic, 0, 4);
    wait_for_position(0, 0, 4);
    drop(&member);
    end();
}
END_TEST

static kur_outcome take_order(kur_delivery *delivery, void *transaction, const struct order_created *order, void *user)
{
    kur_error error = {0};
    kur_ticket ticket;
    (void)user;
    ck_status(kur_delivery_defer(delivery, &ticket, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "inbox");
    ck_status(order_created_emit(delivery, order, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "outbox");
    memory_add(transaction, strcmp(order->order_id, "o-1") == 0 ? "o-1" : "others", 1);
    return KUR_DONE;
}

static kur_outcome take_tombstone(kur_delivery *delivery, void *transaction, void *user)
{
    (void)delivery;
    (void)user;
    memory_add(transaction, "tombstones", 1);
    return KUR_DONE;
}

START_TEST(test_inbox__typed_handlers_and_tombstones)
{
    kur_error error = {0};
    begin(1);
    for (int i = 0; i < 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "o-%d", i);
        KUR_ITEM(order_created, lines) lines[] = {{.sku = "tea", .quantity = 2, .price = 150}};
        struct order_created order = {.order_id = id, .placed_at = 1, .lines = {lines, 1}};
        ck_ok(order_created_publish(kur_client_producer(client, &error), &order, &KUR_PUBLISH_OPTIONS(.topic = topic),
                                    &error),
              error);
    }
    ck_ok(kur_producer_send(kur_client_producer(client, &error),
                            &KUR_MESSAGE(.topic = topic, .key = kur_bytes_text("o-1"), .tombstone = true), &error),
          error);
    /* One that claims the type and cannot be decoded: no handler sees it, and its redrive after the repair must not be
     * passed over. */
    ck_ok(kur_producer_publish_raw(kur_client_producer(client, &error), "shop.order.created.v1", kur_bytes_text("{}"),
                                   &KUR_PUBLISH_OPTIONS(.topic = topic), &error),
          error);
    flush(client);
    struct member member = join_as(group, KUR_LISTENER_OPTIONS(.retry_topics = &KUR_RETRY_TOPICS(0)), "c");
    ck_ok(order_created_inbox(member.inbox, take_order, NULL), error);
    ck_ok(kur_inbox_on_tombstone(member.inbox, take_tombstone, NULL), error);
    ck_ok(kur_listener_start(member.listener, &error), error);
    ck_assert(wait_for(member.listener, has_finished, 5));
    ck_assert_int_eq(memory_sum(database, "o-1"), 1);
    ck_assert_int_eq(memory_sum(database, "others"), 2);
    ck_assert_int_eq(memory_sum(database, "tombstones"), 1);
    wait_for_rows(0, 1);
    stop(&member);
    end();
}
END_TEST

/* ---- Notes ---- */

static kur_inbox *noting;

static kur_outcome note_then_change(kur_delivery *delivery, void *transaction, void *user)
{
    kur_error error = {0};
    bool was_there = true;
    (void)user;
    kur_status status = kur_inbox_note(noting, delivery, transaction, &was_there, &error);
    if (status == KUR_ERROR_INVALID_ARGUMENT) {
        ck_says(error, "no event with an id");
        memory_add(transaction, "no id", 1);
        return KUR_DONE;
    }
    ck_ok(status, error);
    memory_add(transaction, was_there ? "again" : "first", 1);
    return KUR_DONE;
}

START_TEST(test_inbox__notes_ids_of_events)
{
    static char long_id[2000];
    kur_error error = {0};
    begin(1);
    memory_forward(database, -8 * INT64_C(86400000000)); /* what is noted now is a week old */
    memset(long_id, 'x', sizeof long_id - 1);
    const char *ids[] = {"a", "b", "a", long_id, "a", long_id};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        ck_ok(kur_producer_publish_raw(kur_client_producer(client, &error), "t.v1", kur_bytes_text("{}"),
                                       &KUR_PUBLISH_OPTIONS(.topic = topic, .id = ids[i]), &error),
              error);
    send_text(client, topic, 0, NULL, "plain");
    flush(client);
    struct member member = join_as(group, KUR_LISTENER_OPTIONS(.group = NULL), "c");
    noting = member.inbox;
    ck_ok(kur_inbox_on_record(member.inbox, note_then_change, NULL), error);
    ck_ok(kur_listener_start(member.listener, &error), error);
    ck_assert(wait_for(member.listener, has_finished, 7));
    ck_assert_int_eq(memory_sum(database, "first"), 3);
    ck_assert_int_eq(memory_sum(database, "again"), 3);
    ck_assert_int_eq(memory_sum(database, "no id"), 1);
    ck_assert_uint_eq(memory_count(database).notes, 3);
    stop(&member);

    /* Whoever starts next forgets them. */
    member = join_as(group, KUR_LISTENER_OPTIONS(.concurrency = 1), "c");
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms && memory_count(database).notes > 0; nap(5))
        continue;
    ck_assert_uint_eq(memory_count(database).notes, 0);
    drop(&member);
    end();
}
END_TEST

/* ---- A database that fails ---- */

START_TEST(test_inbox__the_database_goes_away_and_comes_back)
{
    begin(PARTITIONS);
    send_more(100);
    struct member member = start_as(group, &KUR_LISTENER_OPTIONS(.concurrency = 4, .retry = &in_place));
    for (int i = 0; i < 5; i++) {
        wait_for_sums(sent / 2, 1);
        memory_away(database, true);
        send_more(50);
        int64_t postponed = inbox_health(&member).postponed;
        for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(5))
            if (inbox_health(&member).postponed > postponed + 20)
                break;
        memory_away(database, false);
    }
    check_once();
    wait_for_rows(0, 0);
    for (int i = 0; i < sent; i++)
        ck_assert_int_eq(plans[i].attempt, 1);
    ck_assert_int_eq(inbox_health(&member).handled, sent);
    stop(&member);
    end();
}
END_TEST

static const kur_status fault_statuses[] = {KUR_ERROR_UNREACHABLE, KUR_ERROR_DATABASE, KUR_ERROR_NO_MEMORY};

static void wait_for_fault(const char *what)
{
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms && !memory_has_failed(database); nap(5))
        continue;
    ck_assert_msg(memory_has_failed(database), "%s was not called so often", what);
}

START_TEST(test_inbox__each_call_of_the_driver_fails)
{
    static const char *const calls[] = {"begin", "inbox_enter", "commit", "inbox_move", "inbox_leave_open"};
    begin(PARTITIONS);
    for (int i = 0; i < RECORDS_MAX; i++)
        plans[i].retries = i % 2;
    struct member member = start_as(
        group, &KUR_LISTENER_OPTIONS(.concurrency = 2, .retry = &by_topic, .retry_topics = &KUR_RETRY_TOPICS(0)));
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (size_t j = 0; j < 2 * sizeof fault_statuses / sizeof *fault_statuses; j++) {
            memory_fail(database, &(struct memory_fault){.call = calls[i],
                                                         .nth = 1 + (int)j % 3,
                                                         .times = 2,
                                                         .status = fault_statuses[j / 2],
                                                         .retriable = j % 2 == 0,
                                                         .happens = j == 1}); /* unreachable, and done all the same */
            send_more(20);
            wait_for_fault(calls[i]);
            check_once();
        }
    wait_for_rows(0, 0);
    stop(&member);
    end();
}
END_TEST

START_TEST(test_inbox__the_first_calls_of_the_driver_fail)
{
    static const char *const calls[] = {"connect", "inbox_join", "inbox_forget"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        kur_error error = {0};
        begin(PARTITIONS);
        send_more(10);
        struct member member = join_as(group, KUR_LISTENER_OPTIONS(.concurrency = 2), "c");
        memory_fail(database,
                    &(struct memory_fault){.call = calls[i], .nth = 1, .times = 1, .status = fault_statuses[i]});
        ck_ok(kur_inbox_on_record(member.inbox, change, NULL), error);
        ck_ok(kur_listener_start(member.listener, &error), error);
        check_once();
        wait_for_rows(0, 0);
        stop(&member);
        end();
    }
}
END_TEST

/* What is kept is of another log, so that the partition begins anew, or all would be passed over. */
START_TEST(test_inbox__beginning_anew_fails)
{
    for (size_t i = 0; i < sizeof fault_statuses / sizeof *fault_statuses; i++) {
        kur_error error = {0};
        begin(1);
        const kur_driver *driver = kur_database_driver(database);
        kur_inbox_place place = {sizeof place, "c", topic, 0, 500, 0};
        kur_uuid log = {{0xff, 1, 2, 3}};
        void *connection = NULL;
        ck_ok(driver->connect(kur_database_state(database), &connection, &error), error);
        ck_ok(driver->inbox_join(connection, &place, &log, NULL, &place.epoch, &error), error);
        driver->disconnect(connection);
        memory_fail(database,
                    &(struct memory_fault){.call = "inbox_reset", .nth = 1, .times = 2, .status = fault_statuses[i]});
        for (; sent < 10; sent++)
            send_text(client, topic, 0, NULL, (char[]){'r', (char)('0' + sent), '\0'});
        flush(client);
        struct member member = start_as(group, &KUR_LISTENER_OPTIONS(.concurrency = 2, .retry = &in_place));
        check_once();
        wait_for_rows(0, 0);
        ck_assert(memory_has_failed(database));
        for (int j = 0; j < sent; j++)
            ck_assert_int_eq(plans[j].attempt, 1);
        stop(&member);
        end();
    }
}
END_TEST

static atomic_int note_refused; /* by what */

static kur_outcome note_or_retry(kur_delivery *delivery, void *transaction, void *user)
{
    kur_error error = {0};
    bool was_there = true;
    (void)user;
    kur_status status = kur_inbox_note(noting, delivery, transaction, &was_there, &error);
    if (status != KUR_OK) {
        note_refused = (int)status;
        return kur_retry(delivery, "test.note", "%s", error.message);
    }
    memory_add(transaction, was_there ? "again" : "first", 1);
    return KUR_DONE;
}

START_TEST(test_inbox__notes_fail)
{
    kur_error error = {0};
    begin(1);
    struct member member = join_as(group, KUR_LISTENER_OPTIONS(.retry = &in_place), "c");
    noting = member.inbox;
    ck_ok(kur_inbox_on_record(member.inbox, note_or_retry, NULL), error);
    ck_ok(kur_listener_start(member.listener, &error), error);
    for (int i = 0; i < 4; i++) {
        kur_status status = i < 3 ? fault_statuses[i] : KUR_ERROR_UNREACHABLE;
        note_refused = KUR_OK;
        memory_fail(database,
                    &(struct memory_fault){.call = "inbox_note", .nth = 1, .status = status, .happens = i == 3});
        ck_ok(kur_producer_publish_raw(kur_client_producer(client, &error), "t.v1", kur_bytes_text("{}"),
                                       &KUR_PUBLISH_OPTIONS(.topic = topic), &error),
              error);
        flush(client);
        ck_assert(wait_for(member.listener, has_finished, i + 1));
        ck_assert_int_eq(note_refused, status);
        ck_assert_int_eq(memory_sum(database, "first"), i + 1);
    }
    ck_assert_int_eq(memory_sum(database, "again"), 0);
    stop(&member);
    end();
}
END_TEST

static kur_status make_another(kur_error *error)
{
    const char *topics[] = {topic, NULL};
    kur_listener *listener = kur_listener_new(client, &KUR_LISTENER_OPTIONS(.group = group, .topics = topics), error);
    ck_assert_ptr_nonnull(listener);
    kur_inbox *inbox = kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "c"), error);
    kur_listener_free(listener);
    kur_inbox_free(inbox);
    return inbox != NULL ? KUR_OK : error->code;
}

static kur_status reset_another(kur_error *error)
{
    return kur_inbox_reset(database, "another", topic, 0, 10, error);
}

/* Whoever asks is told of it, and can ask again. */
START_TEST(test_inbox__each_call_on_behalf_of_a_caller_fails)
{
    static const struct {
        kur_status (*step)(kur_error *error);
        const char *call;
        int nth;
    } calls[] = {{make_another, "connect", 1},     {make_another, "schema_read", 1},  {reset_another, "connect", 1},
                 {reset_another, "connect", 2},    {reset_another, "schema_read", 1}, {reset_another, "inbox_join", 1},
                 {reset_another, "inbox_reset", 1}};
    begin(1);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (size_t j = 0; j < sizeof fault_statuses / sizeof *fault_statuses; j++) {
            kur_error error = {0};
            memory_fail(database, &(struct memory_fault){
                                      .call = calls[i].call, .nth = calls[i].nth, .status = fault_statuses[j]});
            ck_status(calls[i].step(&error), fault_statuses[j], error);
            ck_assert_int_eq(error.code, fault_statuses[j]);
            ck_says(error, "was made to fail");
            ck_assert_uint_eq(memory_count(database).connections, 0);
            ck_ok(calls[i].step(&error), error);
        }
    end();
}
END_TEST

START_TEST(test_inbox__commits_whose_answer_is_lost)
{
    for (int happens = 0; happens < 2; happens++) {
        begin(PARTITIONS);
        memory_fail(
            database,
            &(struct memory_fault){
                .call = "commit", .nth = 5, .times = 10, .status = KUR_ERROR_UNKNOWN_OUTCOME, .happens = happens == 1});
        send_more(100);
        struct member member = start_as(group, &KUR_LISTENER_OPTIONS(.concurrency = 4, .retry = &in_place));
        check_once();
        wait_for_rows(0, 0);
        ck_assert_int_eq(inbox_health(&member).unknown, 10);
        int tried = 0;
        for (int i = 0; i < sent; i++)
            tried += plans[i].tried;
        /* What was committed is not handled again; what was not is tried again, as an attempt. */
        ck_assert_int_eq(tried, happens ? 100 : 110);
        ck_assert_int_eq(inbox_health(&member).handled, 100);
        stop(&member);
        end();
    }
}
END_TEST

START_TEST(test_inbox__a_commit_that_is_refused_for_good_is_an_attempt)
{
    begin(PARTITIONS);
    memory_fail(database, &(struct memory_fault){.call = "commit", .nth = 1, .times = 3, .status = KUR_ERROR_DATABASE});
    send_more(1);
    struct member member = start_as(group, &KUR_LISTENER_OPTIONS(.retry = &in_place));
    check_once();
    ck_assert_int_eq(plans[0].attempt, 4);
    stop(&member);
    end();
}
END_TEST

/* ---- Members ---- */

START_TEST(test_inbox__members_come_and_go)
{
    begin(PARTITIONS);
    for (int i = 0; i < RECORDS_MAX; i++)
        plans[i].retries = i % 5 == 0;
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.concurrency = 3, .retry = &by_topic, .retry_topics = &KUR_RETRY_TOPICS(0));
    struct member first = start_as(group, &options);
    for (int i = 0; i < 4; i++) {
        struct member second = start_as(group, &options);
        for (int j = 0; j < 20; j++) {
            send_more(8);
            nap(50);
        }
        stop(i % 2 == 0 ? &second : &first);
        first = i % 2 == 0 ? first : second;
    }
    check_once();
    wait_for_rows(0, 0);
    stop(&first);
    end();
}
END_TEST

/* ---- A topic that is made anew ---- */

START_TEST(test_inbox__a_topic_made_anew_is_handled_from_its_beginning)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    kur_error error = {0};
    begin(1);
    for (; sent < 50; sent++) {
        char value[16];
        snprintf(value, sizeof value, "r%d", sent);
        send_text(client, topic, 0, NULL, value);
    }
    flush(client);
    struct member member = start_as(group, &KUR_LISTENER_OPTIONS(.concurrency = 2));
    check_once();
    wait_for_rows(0, 0);
    kur_admin *admin = kur_admin_new(client, &error);
    const char *names[] = {topic, NULL};
    ck_ok(kur_admin_delete_topics(admin, names, WAIT_MS, &error), error);
    support_create(topic, 1);
    kur_client *other = support_client(); /* a producer that does not know the old one */
    for (; sent < 80; sent++) {
        char value[16];
        snprintf(value, sizeof value, "r%d", sent);
        send_text(other, topic, 0, NULL, value);
    }
    flush(other);
    check_once();
    wait_for_rows(0, 0);
    stop(&member);
    kur_admin_free(admin);
    kur_client_unref(other);
    end();
}
END_TEST

/* ---- Without memory ---- */

static kur_status make_and_free(kur_error *error)
{
    const char *topics[] = {topic, NULL};
    kur_listener *listener =
        kur_listener_new(client, &KUR_LISTENER_OPTIONS(.group = group, .topics = topics, .retry = &in_place), error);
    if (listener == NULL)
        return error->code;
    kur_inbox *inbox = kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "c"), error);
    kur_status status = inbox == NULL ? error->code : kur_inbox_on_record(inbox, change, NULL);
    if (inbox != NULL && status != KUR_OK)
        kur_error_set(error, status, "a handler");
    kur_listener_free(listener);
    kur_inbox_free(inbox);
    return status;
}

START_TEST(test_inbox__is_made_or_not_without_memory)
{
    long points = 0;
    kur_error error;
    kur_status status;
    begin(PARTITIONS);
    do {
        failing_begin(points + 1, true);
        error = (kur_error){0};
        status = make_and_free(&error);
        failing_end();
    } while (failing_again("making an inbox", &points, status, &error));
    end();
}
END_TEST

/* ---- What is refused ---- */

static kur_outcome never_batch(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    (void)deliveries;
    (void)outcomes;
    (void)count;
    (void)user;
    return KUR_DONE;
}

static void check_refused(kur_listener *listener, kur_status status, const char *says)
{
    kur_error error = {0};
    ck_assert_ptr_null(kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "c"), &error));
    ck_assert_int_eq(error.code, status);
    ck_says(error, says);
    kur_listener_free(listener);
}

START_TEST(test_inbox__refuses_what_cannot_be_once)
{
    kur_error error = {0};
    begin(1);
    const char *topics[] = {topic, NULL};
    check_refused(kur_listener_new(client, &KUR_LISTENER_OPTIONS(.topics = topics, .audience = KUR_BROADCAST), &error),
                  KUR_ERROR_UNSUPPORTED, "KUR_BROADCAST");
    kur_listener *batched = make(client, &KUR_LISTENER_OPTIONS(.concurrency = 1), topic, group, NULL, NULL);
    ck_ok(kur_listener_on_batch(batched, never_batch, NULL), error);
    check_refused(batched, KUR_ERROR_UNSUPPORTED, "batches");
    check_refused(make(client, &KUR_LISTENER_OPTIONS(.guarantee = KUR_EXACTLY_ONCE), topic, group, NULL, NULL),
                  KUR_ERROR_UNSUPPORTED, "KUR_EXACTLY_ONCE");

    kur_listener *listener = make(client, &KUR_LISTENER_OPTIONS(.concurrency = 1), topic, group, NULL, NULL);
    ck_assert_ptr_null(kur_inbox_new(listener, database, NULL, &error));
    ck_says(error, "consumer");
    ck_assert_ptr_null(kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "a\nb"), &error));
    ck_assert_ptr_null(
        kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "c", .connections = -1), &error));
    ck_says(error, ".connections");
    error = (kur_error){0};
    ck_assert_ptr_null(kur_inbox_new(NULL, database, &KUR_INBOX_OPTIONS(.consumer = "c"), &error));
    kur_database *empty = memory_database(0);
    error = (kur_error){0};
    ck_assert_ptr_null(kur_inbox_new(listener, empty, &KUR_INBOX_OPTIONS(.consumer = "c"), &error));
    ck_assert_int_eq(error.code, KUR_ERROR_SCHEMA);
    kur_database_free(empty);

    kur_inbox *inbox = kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "c"), &error);
    ck_assert_ptr_nonnull(inbox);
    ck_assert_ptr_null(kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "c"), &error));
    ck_says(error, "has an inbox");
    ck_ok(kur_inbox_on_record(inbox, change, NULL), error);
    ck_status(kur_inbox_on_record(inbox, change, NULL), KUR_ERROR_INVALID_STATE, error);
    ck_ok(kur_listener_on_type_batch(listener, &order_created_type, (kur_batch_invoke *)abort, (kur_function *)abort,
                                     NULL),
          error);
    ck_assert_int_ne(kur_listener_start(listener, &error), KUR_OK);
    kur_inbox_free(inbox); /* too early: nothing is freed */
    kur_listener_free(listener);
    kur_inbox_free(inbox);
    kur_inbox_free(NULL);
    end();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_inbox__each_record_once,
                                  test_inbox__what_was_handled_is_passed_over,
                                  test_inbox__a_reset_lets_a_part_be_handled_again,
                                  test_inbox__retries_in_place,
                                  test_inbox__retries_by_topic,
                                  test_inbox__retries_in_an_ordered_topic,
                                  test_inbox__what_is_due_later_is_handled_then,
                                  test_inbox__dead_letters_are_open_until_they_are_redriven,
                                  test_inbox__letters_of_before_the_inbox,
                                  test_inbox__letters_of_before_behind_one_that_was_not_finished,
                                  test_inbox__begins_behind_all_that_was_finished,
                                  test_inbox__what_was_committed_of_another_log_moves_nothing,
                                  test_inbox__typed_handlers_and_tombstones,
                                  test_inbox__notes_ids_of_events,
                                  test_inbox__the_database_goes_away_and_comes_back,
                                  test_inbox__each_call_of_the_driver_fails,
                                  test_inbox__the_first_calls_of_the_driver_fail,
                                  test_inbox__beginning_anew_fails,
                                  test_inbox__notes_fail,
                                  test_inbox__each_call_on_behalf_of_a_caller_fails,
                                  test_inbox__commits_whose_answer_is_lost,
                                  test_inbox__a_commit_that_is_refused_for_good_is_an_attempt,
                                  test_inbox__members_come_and_go,
                                  test_inbox__a_topic_made_anew_is_handled_from_its_beginning,
                                  test_inbox__is_made_or_not_without_memory,
                                  test_inbox__refuses_what_cannot_be_once,
                                  NULL};
    return check_main("inbox", tests);
}
