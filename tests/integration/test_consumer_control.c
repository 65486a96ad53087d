/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Steering a consumer: assignment by hand, seek, pause and resume, the descriptor, asynchronous commits.
 */
#include <kurier/librdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../consuming.h"

struct told {
    int assigned, revoked, lost;
    int64_t offset; /* of the last told partition 0 */
    bool is_committed;
    char metadata[64];
    int64_t seek_to; /* in KUR_ASSIGNED, -1: nowhere */
    bool pause;      /* there too */
};

static void on_rebalance(kur_consumer *consumer, kur_rebalance what, const kur_position *partitions, size_t count,
                         void *user)
{
    struct told *told = user;
    kur_error error = {0};
    told->assigned += what == KUR_ASSIGNED;
    told->revoked += what == KUR_REVOKED;
    told->lost += what == KUR_LOST;
    for (size_t i = 0; i < count; i++) {
        if (what == KUR_ASSIGNED && told->seek_to != -1)
            ck_ok(kur_consumer_seek(consumer, partitions[i].topic, partitions[i].partition, told->seek_to, &error),
                  error);
        if (what == KUR_ASSIGNED && told->pause)
            ck_ok(kur_consumer_pause(consumer, partitions[i].topic, partitions[i].partition, &error), error);
        if (partitions[i].partition != 0)
            continue;
        told->offset = partitions[i].offset;
        told->is_committed = partitions[i].is_committed;
        snprintf(told->metadata, sizeof told->metadata, "%s",
                 partitions[i].metadata != NULL ? partitions[i].metadata : "");
    }
}

static bool has_queues; /* one for each partition */

static size_t much_room(kur_consumer *consumer, const char *topic, int32_t partition, void *user)
{
    (void)consumer, (void)topic, (void)partition, (void)user;
    return 1000;
}

/* A consumer of partitions that are assigned by hand. */
static kur_consumer *by_hand(const char *group, struct told *told)
{
    return consumer_of(NULL, &KUR_CONSUMER_OPTIONS(.group = group, .on_rebalance = told != NULL ? on_rebalance : NULL,
                                                   .user = told, .room = has_queues ? much_room : NULL));
}

/* A test that holds with one queue for all partitions, and with one for each. */
#define IN_BOTH_WAYS(name)                                                                                             \
    static void name(void);                                                                                            \
    START_TEST(test_consumer_control__##name)                                                                          \
    {                                                                                                                  \
        has_queues = false;                                                                                            \
        name();                                                                                                        \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    START_TEST(test_consumer_control__##name##_with_queues)                                                            \
    {                                                                                                                  \
        has_queues = true;                                                                                             \
        name();                                                                                                        \
        has_queues = false;                                                                                            \
    }                                                                                                                  \
    END_TEST                                                                                                           \
    static void name(void)

static size_t room_now; /* what the next one says */

static size_t changing_room(kur_consumer *consumer, const char *topic, int32_t partition, void *user)
{
    (void)consumer, (void)topic, (void)partition, (void)user;
    return room_now;
}

static void assign_one(kur_consumer *consumer, const char *topic, int64_t offset)
{
    kur_error error = {0};
    kur_position position = KUR_POSITION(.topic = topic, .offset = offset);
    ck_ok(kur_consumer_assign(consumer, &position, 1, &error), error);
}

START_TEST(test_consumer_control__assigns_by_hand)
{
    kur_error error = {0};
    const char *topic = support_topic(2), *group = support_name("g");
    struct told told = {.seek_to = -1};
    produce(topic, 0, 0, 10);
    produce(topic, 1, 100, 10);
    kur_consumer *consumer = by_hand(group, &told);
    assign_one(consumer, topic, 4);
    expect(consumer, 4);
    expect(consumer, 5);
    ck_assert_int_eq(told.assigned, 1);
    ck_assert_int_eq(told.offset, 4);
    ck_assert(!told.is_committed);
    ck_status(kur_consumer_subscribe(consumer, (const char *const[]){topic, NULL}, &error), KUR_ERROR_INVALID_STATE,
              error);

    /* The one that is read already goes on where it is, the other one begins. */
    kur_position both[] = {KUR_POSITION(.topic = topic, .offset = 6),
                           KUR_POSITION(.topic = topic, .partition = 1, .offset = KUR_OFFSET_BEGINNING)};
    ck_ok(kur_consumer_assign(consumer, both, 2, &error), error);
    int expected[] = {6, 100};
    for (int i = 0; i < 14; i++) {
        kur_record *record = next(consumer);
        ck_assert_int_eq(number(record), expected[kur_record_partition(record)]++);
        drop(consumer, record);
    }
    ck_assert_int_eq(told.assigned, 2);

    /* What the group has committed, text and all; then the end. */
    kur_position commit = KUR_POSITION(.topic = topic, .offset = 7, .metadata = "seven");
    ck_ok(kur_consumer_commit(consumer, &commit, 1, 30000, &error), error);
    assign_one(consumer, topic, KUR_OFFSET_COMMITTED);
    expect(consumer, 7);
    ck_assert_int_eq(told.offset, 7);
    ck_assert(told.is_committed);
    ck_assert_str_eq(told.metadata, "seven");
    assign_one(consumer, topic, KUR_OFFSET_END);
    poll_until(consumer, told.assigned == 4);
    produce(topic, 0, 10, 1);
    expect(consumer, 10);

    ck_ok(kur_consumer_assign(consumer, NULL, 0, &error), error);
    int64_t offset;
    ck_status(kur_consumer_position(consumer, topic, 0, &offset, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    ck_assert_int_eq(told.revoked + told.lost, 0);
    kur_consumer_free(consumer);
}
END_TEST

IN_BOTH_WAYS(seeks)
{
    kur_error error = {0};
    const char *topic = support_topic(1);
    produce(topic, 0, 0, 20);
    kur_consumer *consumer = by_hand(support_name("g"), NULL);
    assign_one(consumer, topic, KUR_OFFSET_BEGINNING);
    expect(consumer, 0);
    int64_t offset = -1;
    ck_ok(kur_consumer_seek(consumer, topic, 0, 15, &error), error);
    expect(consumer, 15);
    ck_ok(kur_consumer_position(consumer, topic, 0, &offset, &error), error);
    ck_assert_int_eq(offset, 16);
    ck_ok(kur_consumer_seek(consumer, topic, 0, 3, &error), error);
    expect(consumer, 3);
    expect(consumer, 4);
    ck_ok(kur_consumer_seek(consumer, topic, 0, KUR_OFFSET_BEGINNING, &error), error);
    expect(consumer, 0);
    ck_ok(kur_consumer_seek(consumer, topic, 0, KUR_OFFSET_END, &error), error);
    do
        ck_ok(kur_consumer_position(consumer, topic, 0, &offset, &error), error);
    while (offset != 20 && kur_consumer_poll(consumer, 20, &(kur_record *){NULL}, &error) == KUR_OK);
    ck_assert_int_eq(offset, 20);
    produce(topic, 0, 20, 1);
    expect(consumer, 20);
    /* Of two seeks before a poll the later one counts. */
    ck_ok(kur_consumer_seek(consumer, topic, 0, 2, &error), error);
    ck_ok(kur_consumer_seek(consumer, topic, 0, 8, &error), error);
    expect(consumer, 8);
    ck_status(kur_consumer_seek(consumer, topic, 1, 0, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    ck_status(kur_consumer_seek(consumer, topic, 0, -3, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    kur_consumer_free(consumer);
}

START_TEST(test_consumer_control__seeks_to_a_time)
{
    kur_error error = {0};
    const char *topic = support_topic(1);
    const int64_t start_us = support_hour_ago_us();
    for (int i = 0; i < 5; i++) {
        char value[4];
        snprintf(value, sizeof value, "%d", i);
        ck_ok(kur_producer_send_wait(kur_client_producer(consuming_client(), &error),
                                     &KUR_MESSAGE(.topic = topic, .value = kur_bytes_text(value),
                                                  .timestamp_us = start_us + i * INT64_C(1000000)),
                                     30000, NULL, &error),
              error);
    }
    kur_consumer *consumer = by_hand(support_name("g"), NULL);
    assign_one(consumer, topic, KUR_OFFSET_BEGINNING);
    expect(consumer, 0);
    int64_t offset = -1;
    if (support_is_real()) {
        ck_ok(kur_consumer_seek_time(consumer, topic, 0, start_us + 2000001, &error), error);
        expect(consumer, 3);
        ck_ok(kur_consumer_seek_time(consumer, topic, 0, start_us + 1000000, &error), error);
        expect(consumer, 1);
    }
    /* No record is so late: the end. */
    ck_ok(kur_consumer_seek_time(consumer, topic, 0, start_us + INT64_C(100000000), &error), error);
    do
        ck_ok(kur_consumer_position(consumer, topic, 0, &offset, &error), error);
    while (offset != 5 && kur_consumer_poll(consumer, 20, &(kur_record *){NULL}, &error) == KUR_OK);
    ck_assert_int_eq(offset, 5);
    ck_status(kur_consumer_seek_time(consumer, topic, 0, -1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    kur_consumer_free(consumer);
}
END_TEST

/* Whether nothing comes of a paused partition while something comes of another. */
static void expect_only(kur_consumer *consumer, const char *topic, int paused, int other, int *to)
{
    int expected = *to;
    produce(topic, other, expected, 5);
    for (int i = 0; i < 5; i++) {
        kur_record *record = next(consumer);
        ck_assert_int_ne(kur_record_partition(record), paused);
        ck_assert_int_eq(number(record), expected++);
        drop(consumer, record);
    }
    *to = expected;
}

IN_BOTH_WAYS(pauses)
{
    kur_error error = {0};
    const char *topic = support_topic(2);
    int other = 1000;
    produce(topic, 0, 0, 100);
    kur_consumer *consumer = by_hand(support_name("g"), NULL);
    kur_position both[] = {KUR_POSITION(.topic = topic), KUR_POSITION(.topic = topic, .partition = 1)};
    ck_ok(kur_consumer_assign(consumer, both, 2, &error), error);
    expect(consumer, 0);
    expect(consumer, 1);
    ck_ok(kur_consumer_pause(consumer, topic, 0, &error), error);
    ck_ok(kur_consumer_pause(consumer, topic, 0, &error), error);
    expect_only(consumer, topic, 0, 1, &other);
    ck_ok(kur_consumer_resume(consumer, topic, 0, &error), error);
    expect(consumer, 2);
    /* What is not paused does not rewind. */
    ck_ok(kur_consumer_resume(consumer, topic, 0, &error), error);
    expect(consumer, 3);
    /* A seek while it is paused, and a pause right after a seek. */
    ck_ok(kur_consumer_pause(consumer, topic, 0, &error), error);
    expect_only(consumer, topic, 0, 1, &other);
    ck_ok(kur_consumer_seek(consumer, topic, 0, 50, &error), error);
    expect_only(consumer, topic, 0, 1, &other);
    ck_ok(kur_consumer_resume(consumer, topic, 0, &error), error);
    expect(consumer, 50);
    ck_ok(kur_consumer_seek(consumer, topic, 0, 70, &error), error);
    ck_ok(kur_consumer_pause(consumer, topic, 0, &error), error);
    expect_only(consumer, topic, 0, 1, &other);
    ck_ok(kur_consumer_resume(consumer, topic, 0, &error), error);
    expect(consumer, 70);
    ck_status(kur_consumer_pause(consumer, topic, 2, &error), KUR_ERROR_UNKNOWN_TOPIC, error);
    kur_consumer_free(consumer);
}

/* Paused before anything was fetched, or once it was: nothing is lost between the start and the first record. */
IN_BOTH_WAYS(a_pause_keeps_the_start)
{
    kur_error error = {0};
    const char *topic = support_topic(2);
    int other = 1000;
    produce(topic, 0, 0, 100);
    for (int polls = 0; polls < 4; polls++) {
        struct told told = {.seek_to = -1, .pause = polls == 0};
        kur_consumer *consumer = by_hand(support_name("g"), &told);
        kur_position both[] = {KUR_POSITION(.topic = topic, .offset = 10),
                               KUR_POSITION(.topic = topic, .partition = 1, .offset = KUR_OFFSET_END)};
        ck_ok(kur_consumer_assign(consumer, both, 2, &error), error);
        size_t count = 0; /* records that came at once */
        if (polls > 0) {
            /* Long enough to be fetched into librdkafka's queue, of which nothing is taken. */
            kur_record *first[1];
            while (told.assigned == 0 && count == 0)
                ck_ok(kur_consumer_poll_batch(consumer, 0, first, 1, &count, &error), error);
            kur_consumer_free_records(consumer, first, count);
            poll(NULL, 0, polls * 100);
            ck_ok(kur_consumer_pause(consumer, topic, 0, &error), error);
        } else {
            poll_until(consumer, told.assigned == 1);
            ck_ok(kur_consumer_resume(consumer, topic, 1, &error), error);
        }
        expect_only(consumer, topic, 0, 1, &other);
        ck_ok(kur_consumer_resume(consumer, topic, 0, &error), error);
        expect(consumer, 10 + (int)count);
        kur_consumer_free(consumer);
    }
}

struct toggler {
    kur_consumer *consumer;
    const char *topic;
    atomic_bool stop;
    int toggles;
};

static void *toggle(void *user)
{
    struct toggler *toggler = user;
    while (!atomic_load(&toggler->stop)) {
        kur_error error = {0};
        int partition = toggler->toggles % 2;
        kur_consumer_pause(toggler->consumer, toggler->topic, partition, &error);
        poll(NULL, 0, 1);
        kur_consumer_resume(toggler->consumer, toggler->topic, partition, &error);
        toggler->toggles++;
        poll(NULL, 0, 5); /* each throws away what was fetched ahead: some has to get through */
    }
    return NULL;
}

/* Before librdkafka 2.1 a batch poll loses records when another thread pauses meanwhile: here it never does. For 2 s,
 * or those of KURIER_TOGGLE_S. */
IN_BOTH_WAYS(no_gap_while_another_thread_toggles)
{
    enum {
        RECORDS = 20000,
        BATCH = 500
    };
    kur_error error = {0};
    const char *topic = support_topic(2);
    const char *asked = getenv("KURIER_TOGGLE_S");
    const int64_t least_us = (asked != NULL ? strtoll(asked, NULL, 10) : 2) * 1000 * 1000;
    produce(topic, 0, 0, RECORDS);
    produce(topic, 1, 0, RECORDS);
    kur_consumer *consumer = by_hand(support_name("g"), NULL);
    kur_position both[] = {KUR_POSITION(.topic = topic), KUR_POSITION(.topic = topic, .partition = 1)};
    ck_ok(kur_consumer_assign(consumer, both, 2, &error), error);
    struct toggler toggler = {.consumer = consumer, .topic = topic};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, toggle, &toggler), 0);
    int64_t started = kur_clock_monotonic_us(), deadline = started + least_us + 3 * PATIENCE_US;
    int expected[2] = {0, 0}, rounds = 0, gaps = 0;
    /* No assertion before the other thread has ended. */
    while (gaps == 0 && kur_clock_monotonic_us() < deadline) {
        kur_record *records[BATCH];
        size_t count = 0;
        if (kur_consumer_poll_batch(consumer, 100, records, BATCH, &count, &error) != KUR_OK)
            break;
        for (size_t i = 0; i < count; i++)
            gaps += kur_record_offset(records[i]) != expected[kur_record_partition(records[i])]++;
        kur_consumer_free_records(consumer, records, count);
        if (expected[0] < RECORDS || expected[1] < RECORDS)
            continue;
        rounds++;
        if (kur_clock_monotonic_us() > started + least_us)
            break;
        /* Again from the start, by seeks between the other thread's pauses. */
        for (int i = 0; i < 2; i++) {
            kur_consumer_seek(consumer, topic, i, 0, &error);
            expected[i] = 0;
        }
    }
    atomic_store(&toggler.stop, true);
    pthread_join(thread, NULL);
    ck_assert_msg(error.code == KUR_OK, "%s", error.message);
    ck_assert_msg(gaps == 0, "%d gaps, near %d and %d", gaps, expected[0], expected[1]);
    ck_assert_msg(rounds > 0, "%d and %d of %d records", expected[0], expected[1], RECORDS);
    ck_assert_int_gt(toggler.toggles, 50);
    printf("# toggled %d times in %lld s, %d rounds of %d records: no gap\n", toggler.toggles,
           (long long)((kur_clock_monotonic_us() - started) / 1000000), rounds, 2 * RECORDS);
    kur_consumer_free(consumer);
}

/* A loop that waits for the descriptor alone, and polls once each time. */
IN_BOTH_WAYS(wakes_by_its_descriptor)
{
    kur_error error = {0};
    const char *topic = support_topic(1);
    produce(topic, 0, 0, 1000);
    struct told told = {.seek_to = -1};
    kur_consumer *consumer = by_hand(support_name("g"), &told);
    int fd = kur_consumer_fd(consumer, &error);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(kur_consumer_fd(consumer, &error), fd);
    assign_one(consumer, topic, KUR_OFFSET_BEGINNING); /* asked on another thread */
    int expected = 0, wakes = 0;
    int64_t deadline = kur_clock_monotonic_us() + 4 * PATIENCE_US;
    while (expected < 1030 && kur_clock_monotonic_us() < deadline) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        ck_assert_msg(poll(&waiting, 1, 20000) == 1, "nothing woke it at %d", expected);
        wakes++;
        kur_record *records[7];
        size_t count = 0;
        ck_ok(kur_consumer_poll_batch(consumer, 0, records, 7, &count, &error), error);
        for (size_t i = 0; i < count; i++)
            ck_assert_int_eq(number(records[i]), expected++);
        kur_consumer_free_records(consumer, records, count);
        if (count > 0 && expected >= 1000 && expected < 1030) /* one by one, from idle */
            produce(topic, 0, expected, 1);
    }
    ck_assert_int_eq(expected, 1030);
    ck_assert_int_lt(wakes, 3000);
    /* It rests when there is nothing to do. */
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    for (int i = 0; i < 50 && poll(&waiting, 1, 100) == 1; i++)
        ck_ok(kur_consumer_poll(consumer, 0, &(kur_record *){NULL}, &error), error);
    ck_assert_int_eq(poll(&waiting, 1, 0), 0);
    /* Another thread's request wakes it. */
    ck_ok(kur_consumer_pause(consumer, topic, 0, &error), error);
    ck_assert_int_eq(poll(&waiting, 1, 20000), 1);
    kur_consumer_free(consumer);
}

struct answer {
    int calls;
    kur_status status;
    kur_status statuses[4];
    int64_t offsets[4];
    size_t count;
};

static void on_commit(kur_consumer *consumer, const kur_error *error, const kur_position *positions, size_t count,
                      void *user)
{
    struct answer *answer = user;
    ck_assert_ptr_nonnull(consumer);
    answer->calls++;
    answer->status = error != NULL ? error->code : KUR_OK;
    answer->count = count;
    for (size_t i = 0; i < count && i < 4; i++) {
        answer->statuses[i] = positions[i].status;
        answer->offsets[i] = positions[i].offset;
    }
}

START_TEST(test_consumer_control__commits_without_waiting)
{
    kur_error error = {0};
    const char *topic = support_topic(2), *group = support_name("g");
    produce(topic, 0, 0, 50);
    produce(topic, 1, 0, 50);
    struct answer answers[4] = {0};
    kur_consumer *consumer = consumer_of(topic, &KUR_CONSUMER_OPTIONS(.group = group));
    drop(consumer, next(consumer));
    kur_position two[] = {KUR_POSITION(.topic = topic, .offset = 5, .metadata = "five"),
                          KUR_POSITION(.topic = topic, .partition = 1, .offset = 7)};
    ck_ok(kur_consumer_commit_async(consumer, two, 2, on_commit, &answers[0], &error), error);
    ck_assert_int_eq(answers[0].calls, 0);
    /* Not behind what is under way. */
    two[0].offset = 4;
    ck_status(kur_consumer_commit_async(consumer, two, 1, on_commit, &answers[1], &error), KUR_ERROR_INVALID_ARGUMENT,
              error);
    ck_says(error, "behind 5");
    poll_until(consumer, answers[0].calls > 0);
    ck_assert_int_eq(answers[0].status, KUR_OK);
    ck_assert_uint_eq(answers[0].count, 2);
    ck_assert_int_eq(answers[0].statuses[1], KUR_OK);
    ck_assert_int_eq(answers[0].offsets[1], 7);
    kur_arena *arena = kur_arena_new();
    kur_position committed = KUR_POSITION(.topic = topic);
    ck_ok(kur_consumer_committed(consumer, &committed, arena, 30000, &error), error);
    ck_assert_int_eq(committed.offset, 5);
    ck_assert_str_eq(committed.metadata, "five");

    /* A seek behind the commit lets it go back; the last commit is answered by close. */
    ck_ok(kur_consumer_seek(consumer, topic, 0, 2, &error), error);
    kur_record *record = next(consumer);
    while (kur_record_partition(record) != 0 || number(record) != 2) {
        drop(consumer, record);
        record = next(consumer);
    }
    drop(consumer, record);
    two[0].offset = 2;
    ck_ok(kur_consumer_commit_async(consumer, two, 1, on_commit, &answers[2], &error), error);
    ck_ok(kur_consumer_commit_async(consumer, two, 1, NULL, NULL, &error), error);
    kur_consumer_close(consumer, &error);
    ck_assert_int_eq(answers[2].calls, 1);
    ck_assert_int_eq(answers[2].status, KUR_OK);
    ck_assert_int_eq(answers[0].calls, 1);
    ck_assert_int_eq(answers[1].calls, 0);
    ck_status(kur_consumer_committed(consumer, &committed, arena, 30000, &error), KUR_ERROR_CLOSED, error);
    kur_consumer_free(consumer);
    consumer = by_hand(group, NULL);
    ck_ok(kur_consumer_committed(consumer, &committed, arena, 30000, &error), error);
    ck_assert_int_eq(committed.offset, 2);
    kur_arena_free(arena);
    kur_consumer_free(consumer);
}
END_TEST

/* More metadata than a broker takes in one request. */
START_TEST(test_consumer_control__commits_much_metadata)
{
    enum {
        PARTITIONS = 300
    };
    kur_error error = {0};
    const char *topic = support_topic(PARTITIONS);
    static char metadata[4097];
    static kur_position positions[PARTITIONS];
    memset(metadata, 'm', sizeof metadata - 1);
    for (int i = 0; i < PARTITIONS; i++)
        positions[i] = KUR_POSITION(.topic = topic, .partition = i, .offset = 0);
    struct told told = {.seek_to = -1};
    struct answer answer = {0};
    kur_consumer *consumer = by_hand(support_name("g"), &told);
    ck_ok(kur_consumer_assign(consumer, positions, PARTITIONS, &error), error);
    poll_until(consumer, told.assigned == 1);
    for (int i = 0; i < PARTITIONS; i++)
        positions[i].metadata = metadata;
    ck_ok(kur_consumer_commit_async(consumer, positions, PARTITIONS, on_commit, &answer, &error), error);
    poll_until(consumer, answer.calls == 1);
    ck_assert_int_eq(answer.status, KUR_OK);
    ck_ok(kur_consumer_commit(consumer, positions, PARTITIONS, 30000, &error), error);
    kur_arena *arena = kur_arena_new();
    positions[PARTITIONS - 1].metadata = NULL;
    ck_ok(kur_consumer_committed(consumer, &positions[PARTITIONS - 1], arena, 30000, &error), error);
    ck_assert_str_eq(positions[PARTITIONS - 1].metadata, metadata);
    kur_arena_free(arena);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer_control__gives_back_what_will_have_no_room_soon)
{
    kur_error error = {0};
    const char *topic = support_topic(2);
    produce(topic, 0, 0, 2000);
    produce(topic, 1, 5000, 10);
    kur_consumer *consumer =
        consumer_of(NULL, &KUR_CONSUMER_OPTIONS(.group = support_name("g"), .room = changing_room));
    kur_position both[] = {KUR_POSITION(.topic = topic), KUR_POSITION(.topic = topic, .partition = 1)};
    rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(kur_consumer_librdkafka(consumer), topic, 0);
    room_now = 10;
    ck_ok(kur_consumer_assign(consumer, both, 1, &error), error);
    int come = 0;
    for (int turn = 0; turn < 4; turn++) {
        for (int i = 0; i < 100; i++)
            expect(consumer, come++);
        room_now = 0;
        poll_until(consumer, rd_kafka_queue_length(queue) > 100);
        room_now = KUR_ROOM_NOT_SOON;
        poll_until(consumer, rd_kafka_queue_length(queue) == 0);
        /* A seek counts, and so does a new assignment. */
        if (turn == 1)
            ck_ok(kur_consumer_seek(consumer, topic, 0, come = 1000, &error), error);
        if (turn == 2)
            ck_ok(kur_consumer_assign(consumer, both, 1, &error), error);
        come = turn == 2 ? 0 : come;
        room_now = 1000;
    }
    while (come < 2000)
        expect(consumer, come++);
    rd_kafka_queue_destroy(queue);
    kur_consumer_free(consumer);
}
END_TEST

START_TEST(test_consumer_control__refuses_with_a_name)
{
    kur_error error = {0};
    kur_consumer *consumer = by_hand("g", NULL);
    kur_position position = KUR_POSITION(.topic = "t", .offset = -7);
    ck_status(kur_consumer_assign(consumer, &position, 1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "positions[0]");
    position = KUR_POSITION(.topic = "not a topic");
    ck_status(kur_consumer_assign(consumer, &position, 1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    position = (kur_position){.topic = "t"};
    ck_status(kur_consumer_assign(consumer, &position, 1, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "size");
    ck_status(kur_consumer_pause(consumer, "\xff", 0, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_status(kur_consumer_commit_async(consumer, &position, 0, NULL, NULL, &error), KUR_ERROR_INVALID_ARGUMENT, error);
    ck_says(error, "count");
#define NULL_IS_NAMED(call, name)                                                                                      \
    error = (kur_error){0};                                                                                            \
    ck_status(call, KUR_ERROR_INVALID_ARGUMENT, error);                                                                \
    ck_says(error, name)
    NULL_IS_NAMED(kur_consumer_assign(NULL, &position, 1, &error), "consumer");
    NULL_IS_NAMED(kur_consumer_assign(consumer, NULL, 1, &error), "positions");
    NULL_IS_NAMED(kur_consumer_unsubscribe(NULL, &error), "consumer");
    NULL_IS_NAMED(kur_consumer_seek(NULL, "t", 0, 0, &error), "consumer");
    NULL_IS_NAMED(kur_consumer_seek(consumer, NULL, 0, 0, &error), "topic");
    NULL_IS_NAMED(kur_consumer_seek_time(consumer, NULL, 0, 0, &error), "topic");
    NULL_IS_NAMED(kur_consumer_pause(consumer, NULL, 0, &error), "topic");
    NULL_IS_NAMED(kur_consumer_resume(NULL, "t", 0, &error), "consumer");
    NULL_IS_NAMED(kur_consumer_commit_async(consumer, NULL, 1, NULL, NULL, &error), "positions");
    NULL_IS_NAMED(kur_consumer_lag(consumer, "t", 0, NULL, &error), "lag");
    NULL_IS_NAMED(kur_consumer_watermarks(consumer, "t", 0, 0, NULL, NULL, &error), "low");
    error = (kur_error){0};
    ck_assert_int_eq(kur_consumer_fd(NULL, &error), -1);
    ck_says(error, "consumer");
    ck_assert_uint_eq(kur_consumer_generation(NULL), 0);
    kur_consumer_close(consumer, NULL);
    position = KUR_POSITION(.topic = "t");
    ck_status(kur_consumer_assign(consumer, &position, 1, &error), KUR_ERROR_CLOSED, error);
    kur_consumer_free(consumer);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_consumer_control__assigns_by_hand,
                                  test_consumer_control__seeks,
                                  test_consumer_control__seeks_with_queues,
                                  test_consumer_control__seeks_to_a_time,
                                  test_consumer_control__pauses,
                                  test_consumer_control__pauses_with_queues,
                                  test_consumer_control__a_pause_keeps_the_start,
                                  test_consumer_control__a_pause_keeps_the_start_with_queues,
                                  test_consumer_control__no_gap_while_another_thread_toggles,
                                  test_consumer_control__no_gap_while_another_thread_toggles_with_queues,
                                  test_consumer_control__wakes_by_its_descriptor,
                                  test_consumer_control__wakes_by_its_descriptor_with_queues,
                                  test_consumer_control__commits_without_waiting,
                                  test_consumer_control__commits_much_metadata,
                                  test_consumer_control__gives_back_what_will_have_no_room_soon,
                                  test_consumer_control__refuses_with_a_name,
                                  NULL};
    const TTest *const toggles[] = {test_consumer_control__no_gap_while_another_thread_toggles, NULL};
    int status = check_main("consumer_control", getenv("KURIER_TOGGLE_S") != NULL ? toggles : tests);
    consuming_stop();
    return status;
}
