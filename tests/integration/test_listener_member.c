/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener as a member of its kind: cooperative, by the broker's protocol, static, of a pattern; and for which log
 * it believes what was committed.
 */
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <stdio.h>
#include <string.h>

#include "../check_main.h"
#include "../listening.h"
#include "../support.h"
#include "listener/ledger.h"

static void end(kur_listener *listener)
{
    kur_error error = {0};
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
}

/* ---- One by one ---- */

enum {
    PARTITIONS = 4,
    FREE = 60,
    FREE_MS = 20,
    SENT = 1 + FREE,
    DRAIN_MS = 2000
};

struct pieces {
    atomic_int handled[PARTITIONS][SENT];
    atomic_int blocked, go;
    atomic_int interrupted[PARTITIONS]; /* one that runs was told that its partition has gone */
};

struct owner {
    struct pieces *pieces;
    bool blocks;
    atomic_int handled[PARTITIONS];
    _Atomic int64_t last_ms, longest_ms; /* between two records that did not block */
};

static void block(struct pieces *pieces, kur_delivery *delivery, int partition)
{
    pieces->blocked++;
    for (; !pieces->go; nap(2))
        if (!kur_delivery_is_current(delivery))
            pieces->interrupted[partition] = 1;
}

static kur_outcome on_piece(kur_delivery *delivery, void *user)
{
    struct owner *owner = user;
    const kur_record *record = kur_delivery_record(delivery);
    int partition = kur_record_partition(record);
    if (kur_record_key(record).data == NULL) {
        nap(FREE_MS);
        int64_t at_ms = now_ms(), last_ms = atomic_exchange(&owner->last_ms, at_ms);
        if (last_ms > 0 && at_ms - last_ms > owner->longest_ms)
            owner->longest_ms = at_ms - last_ms;
    } else if (owner->blocks) {
        block(owner->pieces, delivery, partition);
    }
    owner->pieces->handled[partition][kur_record_offset(record)]++;
    owner->handled[partition]++;
    return KUR_DONE;
}

static void wait_pieces(const struct pieces *pieces, int partition, int wanted)
{
    int count = 0;
    for (int64_t until_ms = now_ms() + WAIT_MS; count < wanted && now_ms() < until_ms; nap(5)) {
        count = 0;
        for (int i = 0; i < SENT; i++)
            count += pieces->handled[partition][i] > 0;
    }
    ck_assert_int_ge(count, wanted);
}

/* What stays is never interrupted, not even while what goes is waited for. */
static void divide_one_by_one(kur_assignor assignor, kur_group_protocol protocol)
{
    static struct pieces pieces;
    static struct owner owners[2];
    memset(&pieces, 0, sizeof pieces);
    for (int i = 0; i < 2; i++)
        owners[i] = (struct owner){.pieces = &pieces, .blocks = i == 0};
    kur_client *client = support_client();
    const char *topic = support_topic(PARTITIONS), *group = support_name("pieces");
    for (int p = 0; p < PARTITIONS; p++)
        send_text(client, topic, p, "a", "go");
    for (int i = 0; i < PARTITIONS * FREE; i++)
        send_text(client, topic, i % PARTITIONS, NULL, "free");
    flush(client);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.concurrency = PARTITIONS + 1, .drain_ms = DRAIN_MS,
                                                        .assignor = assignor, .protocol = protocol);
    if (protocol == KUR_GROUP_CLASSIC)
        options.session_timeout_ms = support_is_real() ? 6000 : 3000;
    kur_listener *first = listen(client, &options, topic, group, on_piece, &owners[0]);
    ck_assert(support_wait(&pieces.blocked, PARTITIONS));
    kur_listener *second = listen(client, &options, topic, group, on_piece, &owners[1]);
    ck_assert(wait_for(second, is_assigned, PARTITIONS / 2));
    ck_assert(wait_for(first, is_assigned, PARTITIONS / 2));
    int gone = 0;
    for (int64_t until_ms = now_ms() + WAIT_MS; gone < PARTITIONS / 2 && now_ms() < until_ms; nap(5)) {
        gone = 0;
        for (int p = 0; p < PARTITIONS; p++)
            gone += owners[1].handled[p] > 0;
    }
    ck_assert_int_eq(gone, PARTITIONS / 2);
    for (int p = 0; p < PARTITIONS; p++)
        wait_pieces(&pieces, p, owners[1].handled[p] > 0 ? SENT : FREE);
    printf("# the longest time without a record of what stayed: %d ms, while %d ms were waited for what went\n",
           (int)owners[0].longest_ms, DRAIN_MS);
    ck_assert_int_lt(owners[0].longest_ms, DRAIN_MS * 2 / 3);
    pieces.go = 1;
    for (int p = 0; p < PARTITIONS; p++) {
        bool stays = owners[1].handled[p] == 0;
        wait_pieces(&pieces, p, SENT);
        ck_assert_int_eq(pieces.interrupted[p], !stays);
        for (int i = 0; i < SENT && stays; i++)
            ck_assert_int_eq(pieces.handled[p][i], 1);
    }
    kur_listener_health health = health_of(first);
    ck_assert_int_eq(health.lost, 0);
    ck_assert_int_eq(health.gaps, 0);
    end(second);
    ck_assert(wait_for(first, is_assigned, PARTITIONS));
    end(first);
    kur_client_unref(client);
}

START_TEST(test_listener_member__cooperative)
{
    kur_error error = {0};
    if (support_rdkafka_version() >= 0x020a0000) {
        divide_one_by_one(KUR_ASSIGNOR_COOPERATIVE_STICKY, KUR_GROUP_CLASSIC);
        return;
    }
    kur_client *client = support_client();
    kur_listener_options options = KUR_LISTENER_OPTIONS(.group = "g", .topics = (const char *[]){"t", NULL},
                                                        .concurrency = 2, .assignor = KUR_ASSIGNOR_COOPERATIVE_STICKY);
    ck_assert_ptr_null(kur_listener_new(client, &options, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_UNSUPPORTED);
    ck_says(error, ".assignor");
    ck_says(error, "2.10");
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_member__divided_by_the_broker)
{
    kur_error error = {0};
    if (support_rdkafka_version() >= 0x020c0000) {
        skip_unless(support_is_real(), "the new group protocol needs a real Kafka and librdkafka 2.12");
        divide_one_by_one(KUR_ASSIGNOR_DEFAULT, KUR_GROUP_CONSUMER);
        return;
    }
    kur_client *client = support_client();
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.group = "g", .topics = (const char *[]){"t", NULL}, .protocol = KUR_GROUP_CONSUMER);
    ck_assert_ptr_null(kur_listener_new(client, &options, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_UNSUPPORTED);
    ck_says(error, ".protocol");
    ck_says(error, "2.12");
    kur_client_unref(client);
}
END_TEST

/* ---- Static ---- */

static bool has_ended(const kur_listener_health *health, int64_t wanted)
{
    return health->status == (kur_status)wanted && !health->is_running;
}

START_TEST(test_listener_member__a_static_one_comes_back_unnoticed_and_is_alone)
{
    skip_unless(support_is_real(), "the embedded broker knows no static members");
    static atomic_int count;
    kur_error error = {0};
    count = 0;
    kur_client *client = support_client();
    const char *topic = support_topic(2), *group = support_name("static");
    kur_listener_options options[] = {
        KUR_LISTENER_OPTIONS(.group_instance_id = "a", .protocol = support_group_protocol()),
        KUR_LISTENER_OPTIONS(.group_instance_id = "b", .protocol = support_group_protocol())};
    kur_listener *first = listen(client, &options[0], topic, group, count_one, &count);
    kur_listener *second = listen(client, &options[1], topic, group, count_one, &count);
    ck_assert(wait_for(first, is_assigned, 1));
    ck_assert(wait_for(second, is_assigned, 1));
    int64_t before = health_of(first).rebalances;
    end(second);
    second = listen(client, &options[1], topic, group, count_one, &count);
    ck_assert(wait_for(second, is_assigned, 1));
    for (int p = 0; p < 2; p++)
        send_text(client, topic, p, NULL, "x");
    flush(client);
    ck_assert(support_wait(&count, 2));
    ck_assert_int_eq(health_of(first).rebalances, before);
    ck_assert_int_eq(health_of(first).assigned, 1);

    /* Where the members divide, the newcomer is the one; where the broker does, the one that is there. */
    kur_listener *third = listen(client, &options[1], topic, group, count_one, &count);
    kur_listener *ends = support_group_protocol() == KUR_GROUP_CONSUMER ? third : second;
    ck_assert(wait_for(ends, has_ended, KUR_ERROR_FENCED));
    ck_status(kur_listener_stop(ends, WAIT_MS, &error), KUR_ERROR_FENCED, error);
    kur_listener_free(ends);
    ck_assert(wait_for(ends == third ? second : third, is_assigned, 1));
    ck_assert_int_eq(health_of(first).rebalances, before);
    end(ends == third ? second : third);
    end(first);
    kur_client_unref(client);
}
END_TEST

/* ---- Patterns ---- */

/* Values are the number of their topic. */
static kur_outcome see(kur_delivery *delivery, void *user)
{
    atomic_int *seen = user;
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    ck_assert_uint_eq(value.size, 1);
    seen[*(const char *)value.data - '0']++;
    return KUR_DONE;
}

START_TEST(test_listener_member__a_pattern_leaves_out_what_is_put_aside)
{
    static atomic_int seen[7];
    kur_error error = {0};
    const char *const endings[] = {"", ".eu", ".email.retry-short", ".email.dlq", ".old", ".later", ".later.dlq"};
    char base[80], names[7][120], pattern[100];
    memset(seen, 0, sizeof seen);
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests",
                            .properties =
                                (const kur_property[]){{"topic.metadata.refresh.interval.ms", "500"}, {NULL, NULL}}),
        &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    snprintf(base, sizeof base, "%s", support_name("orders"));
    snprintf(pattern, sizeof pattern, "%s.*", base);
    for (int i = 0; i < 7; i++)
        snprintf(names[i], sizeof names[i], "%s%s", base, endings[i]);
    for (int i = 0; i < 5; i++) {
        char value[2] = {(char)('0' + i), '\0'};
        support_create(names[i], 1);
        send_text(client, names[i], 0, NULL, value);
    }
    flush(client);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.group = support_name("pattern"), .pattern = pattern, .exclude = ".*[.]old",
                             .dead_letters = KUR_REJECTED_STOPS, .session_timeout_ms = support_is_real() ? 6000 : 3000);
    kur_listener *listener = kur_listener_new(client, &options, &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    ck_ok(kur_listener_on_record(listener, see, seen), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(wait_for(listener, has_finished, 2));
    ck_assert(wait_for(listener, is_assigned, 2));
    for (int i = 6; i >= 5; i--) { /* who would take the first has taken it when the other one is found */
        char value[2] = {(char)('0' + i), '\0'};
        support_create(names[i], 1);
        send_text(client, names[i], 0, NULL, value);
    }
    flush(client);
    ck_assert(wait_for(listener, is_assigned, 3));
    ck_assert(wait_for(listener, has_finished, 3));
    end(listener);
    const int expected[7] = {1, 1, 0, 0, 0, 1, 0};
    for (int i = 0; i < 7; i++)
        ck_assert_msg(seen[i] == expected[i], "%s: %d", names[i], seen[i]);

    options.pattern = "(";
    ck_assert_ptr_null(kur_listener_new(client, &options, &error));
    ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
    ck_says(error, "pattern");
    kur_client_unref(client);
}
END_TEST

/* ---- Which log ---- */

enum {
    TOLD = 10 /* records, of which the first two are unfinished; another one comes behind them */
};

/* A consumer that has one partition; with its cluster and topic in `log`. */
static kur_consumer *take_partition(kur_client *client, const char *topic, const char *group, kur__ledger_log *log)
{
    kur_error error = {0};
    kur_uuid id;
    kur_record *record = NULL;
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = group), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    kur_position start = KUR_POSITION(.topic = topic, .offset = KUR_OFFSET_COMMITTED);
    ck_ok(kur_consumer_assign(consumer, &start, 1, &error), error);
    for (int64_t until_ms = now_ms() + WAIT_MS; record == NULL && now_ms() < until_ms;)
        ck_ok(kur_consumer_poll(consumer, 100, &record, &error), error);
    ck_assert_ptr_nonnull(record);
    kur_consumer_free_records(consumer, &record, 1);
    const char *cluster = kur_consumer_cluster_id(consumer);
    ck_assert_ptr_nonnull(cluster);
    *log = (kur__ledger_log){.cluster = kur__ledger_hash(cluster, strlen(cluster))};
    if (kur_consumer_topic_id(consumer, topic, 0, &id))
        log->topic = kur__ledger_hash(id.bytes, sizeof id.bytes);
    ck_assert(!kur_consumer_topic_id(consumer, topic, 1, &id));
    return consumer;
}

/* Commits that only the first two records are unfinished, for a log that differs in so far from the one that it is. */
static void commit_told(kur_client *client, const char *topic, const char *group, const kur__ledger_log *differs,
                        kur__ledger_log *log)
{
    kur_error error = {0};
    char text[KUR__LEDGER_TEXT_MAX + 1];
    kur__ledger ledger;
    kur_consumer *consumer = take_partition(client, topic, group, log);
    kur__ledger_log told = {
        .cluster = log->cluster + differs->cluster, .topic = log->topic + differs->topic, .epoch = log->epoch};
    kur__ledger_init(&ledger, 0);
    for (int i = 0; i < TOLD; i++)
        ck_assert_int_eq(kur__ledger_admit(&ledger, i), KUR__ADMITTED);
    for (int i = 2; i < TOLD; i++)
        ck_assert(kur__ledger_finish(&ledger, i));
    ck_assert_int_eq(kur__ledger_write(&ledger, &told, KUR__LEDGER_TEXT_MAX, text), TOLD);
    kur__ledger_done(&ledger);
    kur_position position = KUR_POSITION(.topic = topic, .metadata = text);
    ck_ok(kur_consumer_commit(consumer, &position, 1, WAIT_MS, &error), error);
    kur_consumer_free(consumer);
}

/* The first record is never finished. */
static kur_outcome all_but_the_first(kur_delivery *delivery, void *user)
{
    atomic_int *handled = user;
    if (kur_record_offset(kur_delivery_record(delivery)) == 0)
        return kur_retry_after(delivery, 3600 * 1000, "test.never", "never");
    ++*handled;
    return KUR_DONE;
}

static atomic_int warnings;
static void count_warnings(kur_log_level level, const char *message, void *user)
{
    if (level == KUR_LOG_WARNING && strstr(message, user) != NULL)
        warnings++;
}

/* How many records are handled besides the first. */
static int handled_with(const char *topic, const kur__ledger_log *differs, const char *says)
{
    static atomic_int handled;
    kur_error error = {0};
    kur__ledger_log log;
    kur__ledger ledger;
    handled = warnings = 0;
    const char *group = support_name("log");
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests",
                                           .log = count_warnings, .log_user = (void *)(uintptr_t)says),
                       &error);
    commit_told(client, topic, group, differs, &log);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.session_timeout_ms = support_is_real() ? 6000 : 3000);
    kur_listener *listener = listen(client, &options, topic, group, all_but_the_first, &handled);
    ck_assert(wait_for(listener, has_finished, differs->cluster + differs->topic == 0 ? 2 : TOLD));
    ck_assert(wait_for(listener, is_assigned, 1));
    end(listener);

    /* What it has written itself says for which log it is. */
    kur_arena *arena = kur_arena_new();
    kur_position position = group_position(client, group, topic, 0, arena);
    ck_assert_int_eq(position.offset, 0);
    ck_ok(kur__ledger_read(&ledger, 0, &log, position.metadata, &error), error);
    ck_assert_int_eq(kur__ledger_end(&ledger), TOLD + 1);
    kur__ledger_done(&ledger);
    for (int i = 0; i < (log.topic != 0 ? 2 : 1); i++) {
        kur__ledger_log other = {.cluster = log.cluster + (i == 0), .topic = log.topic + (i == 1)};
        ck_status(kur__ledger_read(&ledger, 0, &other, position.metadata, &error), KUR_ERROR_MISMATCH, error);
    }
    kur_arena_free(arena);
    kur_client_unref(client);
    return handled;
}

START_TEST(test_listener_member__believes_what_was_told_of_this_log_only)
{
    kur_uuid id;
    kur__ledger_log log;
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    for (int i = 0; i <= TOLD; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    ck_assert_int_eq(handled_with(topic, &(kur__ledger_log){0}, "another"), 2);
    ck_assert_int_eq(warnings, 0);
    ck_assert_int_eq(handled_with(topic, &(kur__ledger_log){.cluster = 1}, "another cluster"), TOLD);
    ck_assert_int_eq(warnings, 1);
    kur_consumer *consumer = take_partition(client, topic, support_name("id"), &log);
    bool has_id = kur_consumer_topic_id(consumer, topic, 0, &id);
    kur_consumer_free(consumer);
    ck_assert(has_id == (support_rdkafka_headers() >= 0x02030000) || !support_is_real());
    if (has_id) {
        ck_assert_int_eq(handled_with(topic, &(kur__ledger_log){.topic = 1}, "another topic"), TOLD);
        ck_assert_int_eq(warnings, 1);
    }
    ck_assert_ptr_null(kur_consumer_cluster_id(NULL));
    ck_assert(!kur_consumer_topic_id(NULL, topic, 0, &id));
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_member__cooperative,
        test_listener_member__divided_by_the_broker,
        test_listener_member__a_static_one_comes_back_unnoticed_and_is_alone,
        test_listener_member__a_pattern_leaves_out_what_is_put_aside,
        test_listener_member__believes_what_was_told_of_this_log_only,
        NULL,
    };
    return check_main("listener_member", tests);
}
