/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Exactly-once relays over the driver in memory and a real Kafka: who reads committed sees each event that was added in
 * a transaction once, in its key's order, whatever happens to transactions, groups and the database.
 */
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include "../failing.h"
#include "../memory_driver.h"
#include "../proxy.h"
#include "../seeing.h"
#include "../transactions.h"

enum {
    SHARDS = 8,
    LEASE_MS = 10000,
    SWEEP_STEP = 20
};

static struct bench {
    kur_client *client;
    kur_database *database;
    kur_outbox *outbox;
    const char *topic, *control;
    struct seen *seen;
    int added;
} bench;

static void set_up(void)
{
    kur_error error = {0};
    memset(&bench, 0, sizeof bench);
    bench.client = support_client();
    bench.database = memory_database(SHARDS);
    bench.topic = support_topic(PARTITIONS);
    bench.control = support_name("control");
    bench.outbox = kur_outbox_new(bench.client, bench.database, NULL, &error);
    ck_assert_msg(bench.outbox != NULL, "%s", error.message);
    bench.seen = start_reading(bench.client, bench.topic);
}

/* In transactions of `size`. */
static void add_in(int count, int size)
{
    kur_error error = {0};
    for (int to = bench.added + count; bench.added < to;) {
        void *transaction = memory_begin(bench.database);
        for (int i = 0; i < size && bench.added < to; i++, bench.added++) {
            char text[32];
            kur_message message = message_of(bench.topic, bench.added, text);
            ck_ok(kur_outbox_add(bench.outbox, transaction, &message, &error), error);
        }
        memory_commit(transaction);
    }
    kur_outbox_committed(bench.outbox);
}

static void add(int count)
{
    add_in(count, 5);
}

static kur_relay *make_relay(const char *name, kur_relay_options options)
{
    kur_error error = {0};
    options.guarantee = KUR_EXACTLY_ONCE;
    options.name = name;
    options.control = bench.control;
    if (options.lease_ms == 0)
        options.lease_ms = LEASE_MS;
    kur_relay *relay = kur_relay_new(bench.outbox, &options, &error);
    ck_assert_msg(relay != NULL, "%s", error.message);
    return relay;
}

static kur_relay *start_relay(const char *name, kur_relay_options options)
{
    kur_error error = {0};
    kur_relay *relay = make_relay(name, options);
    ck_ok(kur_relay_start(relay, &error), error);
    return relay;
}

static void stop_relay(kur_relay *relay)
{
    kur_error error = {0};
    ck_ok(kur_relay_stop(relay, PATIENCE_MS, &error), error);
    kur_relay_free(relay);
}

/* It ends by itself, with this. */
static void ck_ends(kur_relay *relay, kur_status status, const char *says)
{
    kur_error error = {0};
    ck_status(kur_relay_run(relay, &error), status, error);
    ck_says(error, says);
    kur_relay_free(relay);
}

static void tear_down(void)
{
    ck_assert(memory_wait(bench.database, 0, 0));
    ck_each_once(bench.client, bench.seen, bench.topic, bench.added);
    kur_outbox_free(bench.outbox);
    kur_database_free(bench.database);
    kur_client_unref(bench.client);
}

static void leave(void)
{
    kur_consumer_free(bench.seen->reader);
    free(bench.seen);
    kur_outbox_free(bench.outbox);
    kur_database_free(bench.database);
    kur_client_unref(bench.client);
}

/* ---- Start ---- */

START_TEST(test_outbox_exactly__not_where_there_are_no_transactions)
{
    if (support_is_real())
        return;
    set_up();
    ck_ends(make_relay("one", KUR_RELAY_OPTIONS(0)), KUR_ERROR_UNSUPPORTED, "no transactions");
    leave();
}
END_TEST

static void make_control(const kur_topic_spec *spec)
{
    kur_error error = {0};
    kur_admin *admin = kur_admin_new(bench.client, &error);
    ck_ok(kur_admin_create_topics(admin, spec, 1, PATIENCE_MS, &error), error);
    kur_admin_free(admin);
}

START_TEST(test_outbox_exactly__a_control_topic_that_would_not_do)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    make_control(&KUR_TOPIC_SPEC(.name = bench.control, .partitions = SHARDS + 1, .cleanup = KUR_CLEANUP_COMPACT));
    ck_ends(make_relay("one", KUR_RELAY_OPTIONS(0)), KUR_ERROR_CONFIG, "partitions is 9, and must be 8");
    bench.control = support_name("control");
    make_control(&KUR_TOPIC_SPEC(.name = bench.control, .partitions = SHARDS));
    ck_ends(make_relay("one", KUR_RELAY_OPTIONS(0)), KUR_ERROR_CONFIG, "cleanup.policy is delete, and must be compact");
    bench.control = support_name("control");
    make_control(
        &KUR_TOPIC_SPEC(.name = bench.control, .partitions = SHARDS, .cleanup = KUR_CLEANUP_COMPACT_AND_DELETE));
    ck_ends(make_relay("one", KUR_RELAY_OPTIONS(0)), KUR_ERROR_CONFIG, "cleanup.policy is compact,delete");
    leave();
}
END_TEST

START_TEST(test_outbox_exactly__not_beside_the_other_guarantee)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    set_up();
    kur_relay *other = kur_relay_new(bench.outbox, &KUR_RELAY_OPTIONS(.name = "other"), &error);
    ck_ok(kur_relay_start(other, &error), error);
    while (relay_health(other).shards == 0)
        nap(5);
    ck_ends(make_relay("one", KUR_RELAY_OPTIONS(0)), KUR_ERROR_INVALID_STATE, "");
    stop_relay(other);
    leave();
}
END_TEST

/* ---- In peace ---- */

START_TEST(test_outbox_exactly__each_event_is_seen_once)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    add(2000);
    kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(.batch_rows = 300));
    ck_assert(read_seen(bench.seen, 500, PATIENCE_MS));
    for (int i = 0; i < 50; i++) {
        add(10);
        nap(5);
    }
    ck_assert(read_seen(bench.seen, bench.added, PATIENCE_MS));
    ck_assert(memory_wait(bench.database, 0, 0));
    kur_relay_health health = relay_health(relay);
    ck_assert_int_eq(health.sent, bench.added);
    ck_assert_int_eq(health.repeated, 0);
    ck_assert_int_eq(health.shards, SHARDS);
    ck_assert_int_gt(health.transaction_us, 0);
    stop_relay(relay);
    tear_down();
}
END_TEST

/* ---- Who has what ---- */

START_TEST(test_outbox_exactly__two_relays_share_and_take_over)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    kur_relay *first = start_relay("first", KUR_RELAY_OPTIONS(.batch_rows = 100));
    add(1000);
    ck_assert(read_seen(bench.seen, 100, PATIENCE_MS));
    kur_relay *second = start_relay("second", KUR_RELAY_OPTIONS(.batch_rows = 100));
    /* Between two generations of their group neither has any. */
    for (int64_t until_ms = now_ms() + PATIENCE_MS;
         (relay_health(second).sent < 100 || relay_health(first).shards != SHARDS / 2) && now_ms() < until_ms;) {
        add(20);
        nap(5);
    }
    ck_assert_int_eq(relay_health(first).shards, SHARDS / 2);
    ck_assert_int_eq(relay_health(second).shards, SHARDS / 2);
    stop_relay(first);
    for (int64_t until_ms = now_ms() + PATIENCE_MS; relay_health(second).shards < SHARDS && now_ms() < until_ms;) {
        add(20);
        nap(5);
    }
    ck_assert(read_seen(bench.seen, bench.added, PATIENCE_MS));
    stop_relay(second);
    tear_down();
}
END_TEST

/* ---- The control topic's records ---- */

static void send_control(int shard, kur_bytes value)
{
    char key[12];
    kur_error error = {0};
    snprintf(key, sizeof key, "%d", shard);
    kur_message message = KUR_MESSAGE(.topic = bench.control, .partition = KUR_PARTITION(shard),
                                      .key = kur_bytes_text(key), .value = value, .tombstone = value.data == NULL);
    ck_ok(kur_producer_send_wait(kur_client_producer(bench.client, &error), &message, PATIENCE_MS, NULL, &error),
          error);
}

/* As after a week without members, or when somebody has done it. */
static void forget_group(void)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", support_bootstrap(), why, sizeof why);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteGroup_t *group = rd_kafka_DeleteGroup_new(bench.control);
    rd_kafka_DeleteGroups(rk, &group, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    ck_assert_ptr_nonnull(event);
    size_t count = 0;
    const rd_kafka_group_result_t **results =
        rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_null(rd_kafka_group_result_error(results[0]));
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteGroup_destroy(group);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

/* Ends a relay; its last rows stay behind, which it has sent and cannot delete. */
static void leave_behind(kur_relay *relay, int count)
{
    kur_error error = {0};
    memory_fail(
        bench.database,
        &(struct memory_fault){
            .call = "outbox_delete", .nth = 1, .times = 1000000, .status = KUR_ERROR_DATABASE, .retriable = true});
    add_in(count, count);
    ck_assert(read_seen(bench.seen, bench.added, PATIENCE_MS));
    kur_relay_stop(relay, 1000, &error);
    kur_relay_free(relay);
    ck_assert_uint_eq(memory_count(bench.database).rows, (size_t)count);
    memory_fail(bench.database, NULL);
}

static void leave_rows(int count)
{
    kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(0));
    add(10);
    ck_assert(memory_wait(bench.database, 0, 0));
    leave_behind(relay, count);
}

START_TEST(test_outbox_exactly__without_the_groups_offsets_the_last_record_counts)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    leave_rows(300);
    forget_group();
    kur_relay *relay = start_relay("two", KUR_RELAY_OPTIONS(0));
    add(100);
    ck_assert(memory_wait(bench.database, 0, 0));
    stop_relay(relay);
    tear_down();
}
END_TEST

/* Whose, is all the same: what reads committed gets nothing of these partitions as long as it is open. */
static kur_producer *open_transaction(void)
{
    kur_error error = {0};
    kur_producer *producer = transactional(bench.client, support_name("foreign"));
    ck_ok(kur_transaction_begin(producer, &error), error);
    for (int shard = 0; shard < SHARDS; shard++)
        ck_ok(kur_producer_send(producer,
                                &KUR_MESSAGE(.topic = bench.control, .partition = KUR_PARTITION(shard),
                                             .key = kur_bytes_text("foreign"), .value = kur_bytes_text("foreign")),
                                &error),
              error);
    ck_ok(kur_producer_flush(producer, PATIENCE_MS, &error), error);
    return producer;
}

START_TEST(test_outbox_exactly__a_transaction_that_never_ends_holds_nobody_up)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    set_up();
    kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(0));
    add(10);
    ck_assert(memory_wait(bench.database, 0, 0));
    kur_producer *foreign = open_transaction();
    leave_behind(relay, 300);
    relay = start_relay("two", KUR_RELAY_OPTIONS(0));
    add(100);
    ck_assert(memory_wait(bench.database, 0, 0));
    stop_relay(relay);
    ck_ok(kur_transaction_abort(foreign, PATIENCE_MS, &error), error);
    kur_producer_free(foreign);
    tear_down();
}
END_TEST

START_TEST(test_outbox_exactly__what_cannot_be_read_sends_nothing)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    leave_rows(300);
    forget_group();
    for (int shard = 0; shard < SHARDS; shard++)
        send_control(shard, kur_bytes_text("anything"));
    add(100);
    ck_ends(make_relay("two", KUR_RELAY_OPTIONS(0)), KUR_ERROR_CONFIG, "no record of an outbox's relay");
    ck_assert_uint_eq(memory_count(bench.database).rows, 400);
    /* An operator says that nothing is left to be deleted. Here that is wrong, and shows. */
    for (int shard = 0; shard < SHARDS; shard++)
        send_control(shard, (kur_bytes){0});
    kur_relay *relay = start_relay("three", KUR_RELAY_OPTIONS(0));
    ck_assert(memory_wait(bench.database, 0, 0));
    stop_relay(relay);
    ck_assert(read_seen(bench.seen, bench.added + 300, PATIENCE_MS));
    leave();
}
END_TEST

START_TEST(test_outbox_exactly__a_control_topic_of_another_database)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(0));
    add(200);
    ck_assert(memory_wait(bench.database, 0, 0));
    stop_relay(relay);
    const char *control = bench.control;
    leave();
    set_up();
    bench.control = control;
    ck_ends(make_relay("two", KUR_RELAY_OPTIONS(0)), KUR_ERROR_CONFIG, "of another database");
    leave();
}
END_TEST

/* ---- Rows that are refused ---- */

static int64_t parked(int64_t *behind)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_parked_list list = {0};
    int64_t count = 0;
    *behind = 0;
    ck_ok(kur_outbox_parked(bench.outbox, 0, 0, 10000, arena, &list, &error), error);
    for (size_t i = 0; i < list.count; i++) {
        count += !list.items[i]->is_behind;
        *behind += list.items[i]->is_behind;
    }
    kur_arena_free(arena);
    return count;
}

static void add_row(void *transaction, const char *topic, int number, size_t size)
{
    char text[32], *value = calloc(1, size + 32);
    kur_error error = {0};
    kur_message message = message_of(topic, number, text);
    strcpy(value, text + 3);
    memset(value + strlen(value), ' ', size);
    message.value = kur_bytes_of(value, strlen(value));
    ck_ok(kur_outbox_add(bench.outbox, transaction, &message, &error), error);
    free(value);
}

/* Of every key one row in ten is larger than the topic takes; all of its rows behind that wait. */
START_TEST(test_outbox_exactly__rows_that_are_too_large)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kur_error error = {0};
    int64_t behind;
    set_up();
    const char *small = support_name("small");
    kur_admin *admin = kur_admin_new(bench.client, &error);
    kur_topic_spec spec = KUR_TOPIC_SPEC(.name = small, .partitions = PARTITIONS, .max_message_bytes = 10000);
    ck_ok(kur_admin_create_topics(admin, &spec, 1, PATIENCE_MS, &error), error);
    kur_admin_free(admin);
    void *transaction = memory_begin(bench.database);
    for (int i = 0; i < 10 * KEYS; i++) /* the first five of each key pass */
        add_row(transaction, small, i, i / KEYS == 5 ? 20000 : 1000);
    memory_commit(transaction);
    kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(0));
    add(200); /* to another topic, by the same keys */
    ck_assert(memory_wait(bench.database, 0, 5 * KEYS + 200));
    ck_assert_int_eq(parked(&behind), KEYS);
    ck_assert_int_eq(behind, 4 * KEYS + 200);
    struct seen *seen = start_reading(bench.client, small);
    ck_each_once(bench.client, seen, small, 5 * KEYS);
    stop_relay(relay);
    kur_consumer_free(bench.seen->reader);
    free(bench.seen);
    kur_outbox_free(bench.outbox);
    kur_database_free(bench.database);
    kur_client_unref(bench.client);
}
END_TEST

START_TEST(test_outbox_exactly__topics_that_are_not_there)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    int64_t behind;
    set_up();
    kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(0));
    add(200);
    void *transaction = memory_begin(bench.database);
    for (int i = 0; i < 4; i++) {
        char text[32];
        kur_error error = {0};
        kur_message message = message_of(bench.topic, 100000 + i % 2, text);
        if (i < 2)
            message.partition = KUR_PARTITION(PARTITIONS + 7);
        ck_ok(kur_outbox_add(bench.outbox, transaction, &message, &error), error);
    }
    memory_commit(transaction);
    add_in(200, 200); /* two keys of which wait behind those */
    ck_assert(memory_wait(bench.database, 0, 4 + 200 / KEYS * 2));
    ck_assert_int_eq(parked(&behind), 2);
    ck_assert_int_eq(behind, 2 + 200 / KEYS * 2);
    ck_assert(read_seen(bench.seen, 400 - 200 / KEYS * 2, PATIENCE_MS));
    stop_relay(relay);
    leave();
}
END_TEST

/* ---- Outcomes ---- */

static void ck_a_lost_commit_is_settled(proxy_loss loss)
{
    set_up();
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(.transaction_ms = 3000, .lease_ms = 30000));
    add(300);
    ck_assert(memory_wait(bench.database, 0, 0));
    proxy_lose(proxy, PROXY_API_END_TXN, loss);
    add(50);
    ck_assert(proxy_wait_lost(proxy));
    /* It no longer asks for the answer; the group has not moved on meanwhile. */
    for (int64_t until_ms = now_ms() + PATIENCE_MS; relay_health(relay).shards == SHARDS; nap(20))
        ck_assert_int_lt(now_ms(), until_ms);
    proxy_set(proxy, PROXY_CUT);
    proxy_set(proxy, PROXY_PASS);
    add(300);
    ck_assert(memory_wait(bench.database, 0, 0));
    ck_assert_int_eq(relay_health(relay).shards, SHARDS);
    stop_relay(relay);
    tear_down();
    proxy_free(proxy);
}

START_TEST(test_outbox_exactly__a_commit_that_is_lost_is_done_again)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    ck_a_lost_commit_is_settled(PROXY_LOSE_REQUEST);
}
END_TEST

START_TEST(test_outbox_exactly__a_commit_whose_answer_is_lost_is_not_done_again)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    ck_a_lost_commit_is_settled(PROXY_LOSE_ANSWER);
}
END_TEST

static void ck_each_commit_is_known(proxy_loss loss)
{
    set_up();
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(0));
    for (int i = 0; i < 3; i++) {
        proxy_lose(proxy, PROXY_API_END_TXN, loss);
        add(50);
        ck_assert(proxy_wait_lost(proxy));
        ck_assert(memory_wait(bench.database, 0, 0));
    }
    stop_relay(relay);
    tear_down();
    proxy_free(proxy);
}

/* The connection breaks, and the answer is had by another. */
START_TEST(test_outbox_exactly__a_commit_whose_answer_is_cut_off)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    ck_each_commit_is_known(PROXY_CUT_ANSWER);
}
END_TEST

/* It is to be aborted, and has been committed. */
START_TEST(test_outbox_exactly__a_commit_that_is_said_to_have_failed)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    ck_each_commit_is_known(PROXY_SPOIL_ANSWER);
}
END_TEST

/* ---- The database ---- */

/* What was committed in Kafka is deleted before anything else is sent, however often that fails. */
START_TEST(test_outbox_exactly__what_cannot_be_deleted_is_not_sent_again)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(0));
    add(100);
    ck_assert(memory_wait(bench.database, 0, 0));
    static const struct memory_fault faults[] = {
        {.call = "outbox_delete", .nth = 1, .times = 4, .status = KUR_ERROR_UNREACHABLE},
        {.call = "outbox_delete", .nth = 1, .times = 4, .status = KUR_ERROR_DATABASE, .retriable = true},
        {.call = "outbox_delete", .nth = 1, .times = 2, .status = KUR_ERROR_UNREACHABLE, .happens = true},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        memory_fail(bench.database, &faults[i]);
        add(100);
        ck_assert(memory_wait(bench.database, 0, 0));
        ck_assert(memory_has_failed(bench.database));
    }
    memory_fail(bench.database, NULL);
    stop_relay(relay);
    tear_down();
}
END_TEST

/* It dies with rows that it could not delete: whoever comes next does it. */
START_TEST(test_outbox_exactly__who_comes_next_deletes_what_was_sent)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    for (int life = 0; life < 3; life++) {
        kur_error error = {0};
        kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(0));
        add(100);
        ck_assert(memory_wait(bench.database, 0, 0));
        memory_fail(
            bench.database,
            &(struct memory_fault){
                .call = "outbox_delete", .nth = 1, .times = 1000000, .status = KUR_ERROR_DATABASE, .retriable = true});
        add_in(100, 100); /* at once, for all of it is one batch then */
        ck_assert(read_seen(bench.seen, bench.added, PATIENCE_MS));
        kur_relay_stop(relay, 1000, &error);
        kur_relay_free(relay);
        ck_assert_uint_eq(memory_count(bench.database).rows, 100);
        memory_fail(bench.database, NULL);
    }
    kur_relay *relay = start_relay("another", KUR_RELAY_OPTIONS(0));
    ck_assert(memory_wait(bench.database, 0, 0));
    stop_relay(relay);
    tear_down();
}
END_TEST

/* After a backup was restored ids are given out again: the rows are others, by their marks. */
START_TEST(test_outbox_exactly__ids_that_are_given_out_again_lose_nothing)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    set_up();
    for (int restore = 0; restore < 3; restore++) {
        memory_next_id(bench.database, 1);
        add(200);
        kur_relay *relay = start_relay("one", KUR_RELAY_OPTIONS(0)); /* which reads what the last one has sent */
        ck_assert(memory_wait(bench.database, 0, 0));
        stop_relay(relay);
    }
    tear_down();
}
END_TEST

/* ---- Memory ---- */

/* A relay's whole life, in which the nth allocation fails; whether there was one. */
static bool relay_once(long nth)
{
    kur_error error = {0};
    add(5);
    failing_begin(nth, false);
    kur_relay *relay = kur_relay_new(
        bench.outbox, &KUR_RELAY_OPTIONS(.guarantee = KUR_EXACTLY_ONCE, .name = "one", .control = bench.control),
        &error);
    if (relay != NULL) {
        ck_ok(kur_relay_start(relay, &error), error);
        ck_assert_msg(memory_wait(bench.database, 0, 0), "rows are left when the %ldth fails", nth);
    } else {
        ck_status(error.code, KUR_ERROR_NO_MEMORY, error);
    }
    kur_relay_free(relay);
    bool has_failed = failing_has_failed();
    failing_end();
    ck_assert_msg(failing_live() == 0, "%ld allocations are left when the %ldth fails", failing_live(), nth);
    return has_failed;
}

/* All is sent once, or the relay was not made. A life takes a while: some are tried, others each time, or all with
 * KURIER_SWEEP=1, every tenth with 10. */
START_TEST(test_outbox_exactly__every_allocation_fails_once)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    const char *asked = getenv("KURIER_SWEEP");
    int step = asked != NULL ? atoi(asked) : SWEEP_STEP, lives = 0;
    ck_assert_int_gt(step, 0);
    srand((unsigned)getpid());
    set_up();
    long nth = 1 + rand() % step;
    for (; relay_once(nth); nth += step)
        lives++;
    printf("# allocations that were made to fail: %d, of less than %ld\n", lives, nth);
    ck_assert_int_gt(lives, 0);
    tear_down();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_outbox_exactly__not_where_there_are_no_transactions,
                                  test_outbox_exactly__a_control_topic_that_would_not_do,
                                  test_outbox_exactly__not_beside_the_other_guarantee,
                                  test_outbox_exactly__each_event_is_seen_once,
                                  test_outbox_exactly__two_relays_share_and_take_over,
                                  test_outbox_exactly__without_the_groups_offsets_the_last_record_counts,
                                  test_outbox_exactly__a_transaction_that_never_ends_holds_nobody_up,
                                  test_outbox_exactly__what_cannot_be_read_sends_nothing,
                                  test_outbox_exactly__a_control_topic_of_another_database,
                                  test_outbox_exactly__rows_that_are_too_large,
                                  test_outbox_exactly__topics_that_are_not_there,
                                  test_outbox_exactly__a_commit_that_is_lost_is_done_again,
                                  test_outbox_exactly__a_commit_whose_answer_is_lost_is_not_done_again,
                                  test_outbox_exactly__a_commit_whose_answer_is_cut_off,
                                  test_outbox_exactly__a_commit_that_is_said_to_have_failed,
                                  test_outbox_exactly__what_cannot_be_deleted_is_not_sent_again,
                                  test_outbox_exactly__who_comes_next_deletes_what_was_sent,
                                  test_outbox_exactly__ids_that_are_given_out_again_lose_nothing,
                                  test_outbox_exactly__every_allocation_fails_once,
                                  NULL};
    int status = check_main("outbox_exactly", tests);
    support_stop();
    return status;
}
