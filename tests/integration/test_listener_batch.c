/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Handlers of batches: an outcome for each record, order, what fills a batch, several handlers beside each other.
 */
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../failing.h"
#include "../listening.h"
#include "../support.h"

#define ROW(F, S) F(S, STRING, row_id, .flags = KUR_KEY) F(S, INT64, number)
KUR_EVENT(row_written, "rows.row.written", 1, ROW);
static char rows_topic[128]; /* known when the test runs */
KUR_EVENT_DEFINE(row_written, ROW, .topic = rows_topic);

enum {
    RECORDS = 2000
};

/* What handlers have seen, by the number that is a record's value. */
struct book {
    pthread_mutex_t lock;
    int calls, most, least, rejected, alone;
    int seen[RECORDS], done[RECORDS];
    int order[4 * RECORDS], count; /* in which they were done */
    int bad;                       /* this one spoils a batch */
    int fails;                     /* as often */
    char cause[64];
};

static struct book book;

static void open_book(void)
{
    memset(&book, 0, sizeof book);
    pthread_mutex_init(&book.lock, NULL);
    book.bad = -1;
    book.least = RECORDS;
}

static int number_of(const kur_delivery *delivery)
{
    char text[16];
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    ck_assert_uint_lt(value.size, sizeof text);
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    int number = atoi(text);
    ck_assert(number >= 0 && number < RECORDS);
    return number;
}

static void send_numbers(kur_client *client, const char *topic, int partitions, int keys, int count)
{
    for (int i = 0; i < count; i++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%d", keys > 0 ? i % keys : 0);
        snprintf(value, sizeof value, "%d", i);
        send_text(client, topic, i % partitions, keys > 0 ? key : NULL, value);
    }
    flush(client);
}

static void count_call(size_t count)
{
    book.calls++;
    book.most = (int)count > book.most ? (int)count : book.most;
    book.least = (int)count < book.least ? (int)count : book.least;
    book.alone += count == 1;
}

static void count_done(int number)
{
    book.done[number]++;
    book.order[book.count++] = number;
}

static kur_listener *listen_batch(kur_client *client, kur_listener_options *options, const char *topic,
                                  kur_batch_handler *handler)
{
    kur_error error = {0};
    kur_listener *listener = make(client, options, topic, support_name("batch"), NULL, NULL);
    ck_ok(kur_listener_on_batch(listener, handler, &book), error);
    ck_ok(kur_listener_start(listener, &error), error);
    return listener;
}

static void finish_with(kur_client *client, kur_listener *listener, int64_t finished)
{
    kur_error error = {0};
    bool has = wait_for(listener, has_finished, finished);
    ck_assert_msg(has, "%d of %d", (int)health_of(listener).finished, (int)finished);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(health_of(listener).finished, finished);
    ck_assert_int_eq(health_of(listener).running, 0);
    kur_listener_free(listener);
    kur_client_unref(client);
}

static kur_status take_rejected(kur_delivery *delivery, const char *cause, const char *reason, void *user)
{
    (void)delivery, (void)user;
    pthread_mutex_lock(&book.lock);
    book.rejected++;
    snprintf(book.cause, sizeof book.cause, "%s", cause);
    pthread_mutex_unlock(&book.lock);
    ck_assert_str_ne(reason, "");
    return KUR_OK;
}

/* ---- An outcome for each ---- */

/* Every 7th comes again once, every 11th is rejected, every 13th is forgotten the first time. */
static kur_outcome say_each(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    struct book *to = user;
    pthread_mutex_lock(&to->lock);
    count_call(count);
    for (size_t i = 0; i < count; i++) {
        int number = number_of(deliveries[i]);
        bool is_first = to->seen[number]++ == 0;
        ck_assert_int_eq(outcomes[i], KUR_NO_OUTCOME);
        ck_assert_int_eq(kur_delivery_attempt(deliveries[i]), is_first ? 1 : 2);
        ck_assert(kur_delivery_is_current(deliveries[i]));
        if (number % 11 == 0)
            outcomes[i] = kur_reject(deliveries[i], "test.eleven", "number %d", number);
        else if (number % 7 == 0 && is_first)
            outcomes[i] = kur_retry(deliveries[i], "test.seven", "number %d", number);
        else if (number % 13 != 0 || !is_first)
            outcomes[i] = KUR_DONE;
        to->done[number] += outcomes[i] == KUR_DONE;
    }
    pthread_mutex_unlock(&to->lock);
    return KUR_NO_OUTCOME; /* of what was forgotten */
}

START_TEST(test_listener_batch__each_record_has_its_outcome)
{
    open_book();
    kur_client *client = support_client();
    const char *topic = support_topic(3);
    send_numbers(client, topic, 3, 0, RECORDS);
    kur_listener *listener =
        listen_batch(client,
                     &KUR_LISTENER_OPTIONS(.concurrency = 4, .on_rejected = take_rejected, .batch_records = 100,
                                           .retry = &KUR_RETRY_POLICY(.delay_ms = 10)),
                     topic, say_each);
    finish_with(client, listener, RECORDS);
    int rejected = 0;
    for (int i = 0; i < RECORDS; i++) {
        bool is_rejected = i % 11 == 0, comes_again = !is_rejected && (i % 7 == 0 || i % 13 == 0);
        rejected += is_rejected;
        ck_assert_int_eq(book.done[i], !is_rejected);
        ck_assert_int_eq(book.seen[i], comes_again ? 2 : 1);
    }
    ck_assert_int_eq(book.rejected, rejected);
    ck_assert_str_eq(book.cause, "test.eleven");
    ck_assert_int_le(book.most, 100);
    ck_assert_int_gt(book.most, 10);
}
END_TEST

/* As a statement that inserts all rows, or none, and does not say for which it has failed. */
static kur_outcome insert_all(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    struct book *to = user;
    bool is_spoilt = false;
    (void)outcomes;
    pthread_mutex_lock(&to->lock);
    count_call(count);
    for (size_t i = 0; i < count; i++) {
        to->seen[number_of(deliveries[i])]++;
        is_spoilt |= number_of(deliveries[i]) == to->bad;
    }
    for (size_t i = 0; i < count && !is_spoilt; i++)
        count_done(number_of(deliveries[i]));
    pthread_mutex_unlock(&to->lock);
    return is_spoilt ? kur_retry_all(deliveries, count, "test.row", "one of %d rows is bad", (int)count) : KUR_DONE;
}

static void one_bad_of_many(kur_order order, int keys, int attempts)
{
    open_book();
    book.bad = 317;
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    send_numbers(client, topic, 1, keys, 500);
    kur_listener *listener =
        listen_batch(client,
                     &KUR_LISTENER_OPTIONS(.order = order, .on_rejected = take_rejected, .batch_ms = 2000,
                                           .retry = &KUR_RETRY_POLICY(.attempts = attempts, .delay_ms = 1)),
                     topic, insert_all);
    finish_with(client, listener, 500);
    for (int i = 0; i < 500; i++)
        ck_assert_msg(book.done[i] == (i != 317), "%d: %d", i, book.done[i]);
    ck_assert_int_eq(book.rejected, 1);
    ck_assert_str_eq(book.cause, "test.row");
    for (int i = 1; i < book.count && (order == KUR_ORDER_BY_PARTITION || keys == 1); i++)
        ck_assert_int_lt(book.order[i - 1], book.order[i]);
    /* It has failed in company, and the rest of its attempts alone. */
    ck_assert_int_ge(book.alone, attempts - 1);
}

START_TEST(test_listener_batch__one_bad_row_costs_no_other)
{
    one_bad_of_many(KUR_ORDER_BY_KEY, 500, 3);
    one_bad_of_many(KUR_ORDER_BY_KEY, 1, 3);
    one_bad_of_many(KUR_ORDER_BY_PARTITION, 0, 2);
}
END_TEST

/* What was said in part, and the rest together. */
static kur_outcome say_some(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    struct book *to = user;
    kur_outcome rest = KUR_DONE;
    pthread_mutex_lock(&to->lock);
    for (size_t i = 0; i < count; i++) {
        int number = number_of(deliveries[i]);
        if (to->seen[number]++ > 0)
            outcomes[i] = KUR_DONE;
        else if (number % 3 == 0)
            outcomes[i] = KUR_DONE;
        else if (number % 3 == 1)
            outcomes[i] = kur_reject(deliveries[i], "test.part", "number %d", number);
        else
            rest = KUR_RETRY;
    }
    pthread_mutex_unlock(&to->lock);
    return rest == KUR_RETRY ? kur_retry_all(deliveries, count, NULL, NULL) : rest;
}

START_TEST(test_listener_batch__what_was_said_stays_when_the_rest_fails)
{
    open_book();
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    send_numbers(client, topic, 1, 0, 300);
    kur_listener *listener = listen_batch(
        client, &KUR_LISTENER_OPTIONS(.on_rejected = take_rejected, .retry = &KUR_RETRY_POLICY(.delay_ms = 1)), topic,
        say_some);
    finish_with(client, listener, 300);
    ck_assert_int_eq(book.rejected, 100);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(book.seen[i], i % 3 == 2 ? 2 : 1);
}
END_TEST

/* ---- Order ---- */

/* Each number that is divisible by 50 fails twice; none of its lane is done before it. */
static kur_outcome in_order(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    struct book *to = user;
    pthread_mutex_lock(&to->lock);
    count_call(count);
    for (size_t i = 0; i < count; i++) {
        int number = number_of(deliveries[i]);
        if (number % 50 == 0 && to->seen[number]++ < 2)
            outcomes[i] = kur_retry_after(deliveries[i], 5, "test.fifty", "not yet");
    }
    /* Behind one that failed in its lane, what is said of another does not count: the book keeps what counts. */
    for (size_t i = 0; i < count; i++) {
        bool is_behind = false;
        for (size_t j = 0; j <= i; j++)
            is_behind |= outcomes[j] == KUR_RETRY && kur_record_partition(kur_delivery_record(deliveries[j])) ==
                                                         kur_record_partition(kur_delivery_record(deliveries[i]));
        if (!is_behind)
            count_done(number_of(deliveries[i]));
    }
    pthread_mutex_unlock(&to->lock);
    return KUR_DONE;
}

START_TEST(test_listener_batch__a_retry_keeps_the_order_of_its_partition)
{
    open_book();
    kur_client *client = support_client();
    const char *topic = support_topic(4);
    send_numbers(client, topic, 4, 0, RECORDS);
    kur_listener *listener = listen_batch(
        client, &KUR_LISTENER_OPTIONS(.concurrency = 3, .order = KUR_ORDER_BY_PARTITION, .batch_records = 64), topic,
        in_order);
    finish_with(client, listener, RECORDS);
    int last[4] = {-1, -1, -1, -1};
    ck_assert_int_eq(book.count, RECORDS);
    for (int i = 0; i < RECORDS; i++) {
        ck_assert_int_eq(book.done[i], 1);
        ck_assert_int_lt(last[book.order[i] % 4], book.order[i]);
        last[book.order[i] % 4] = book.order[i];
    }
    ck_assert_int_gt(book.most, 8); /* partition order does not mean batches of one */
}
END_TEST

static atomic_int running[8];

static kur_outcome never_beside(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    static int last[8];
    struct book *to = user;
    (void)outcomes;
    for (size_t i = 0; i < count; i++) {
        int key = number_of(deliveries[i]) % 8;
        bool is_first = true;
        for (size_t j = 0; j < i; j++)
            is_first = is_first && number_of(deliveries[j]) % 8 != key;
        if (is_first)
            ck_assert_int_eq(atomic_fetch_add(&running[key], 1), 0);
        if (number_of(deliveries[i]) >= 8) {
            ck_assert_int_eq(number_of(deliveries[i]), last[key] + 8);
        }
        last[key] = number_of(deliveries[i]);
    }
    nap(1);
    pthread_mutex_lock(&to->lock);
    count_call(count);
    pthread_mutex_unlock(&to->lock);
    for (int key = 0; key < 8; key++) {
        bool is_here = false;
        for (size_t i = 0; i < count; i++)
            is_here |= number_of(deliveries[i]) % 8 == key;
        if (is_here)
            atomic_fetch_sub(&running[key], 1);
    }
    return KUR_DONE;
}

START_TEST(test_listener_batch__a_key_is_in_one_batch_at_a_time)
{
    open_book();
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    send_numbers(client, topic, 1, 8, RECORDS);
    kur_listener *listener =
        listen_batch(client, &KUR_LISTENER_OPTIONS(.concurrency = 4, .batch_records = 50), topic, never_beside);
    finish_with(client, listener, RECORDS);
}
END_TEST

/* ---- What fills a batch ---- */

START_TEST(test_listener_batch__waits_to_become_full)
{
    open_book();
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    kur_listener *listener =
        listen_batch(client, &KUR_LISTENER_OPTIONS(.batch_ms = 600000, .batch_records = 50), topic, insert_all);
    ck_assert(wait_for(listener, is_assigned, 1));
    for (int i = 0; i < 100; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        send_text(client, topic, 0, NULL, value);
        flush(client); /* each comes by itself */
    }
    ck_assert(wait_for(listener, has_finished, 100)); /* full: nobody waits ten minutes */
    ck_assert_int_eq(book.calls, 2);
    ck_assert_int_eq(book.least, 50);
    finish_with(client, listener, 100);
}
END_TEST

START_TEST(test_listener_batch__does_not_wait_longer_than_it_may)
{
    enum {
        FULL_MS = 2000 /* twenty records come in that time on a slow day, too */
    };
    open_book();
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    kur_listener *listener = listen_batch(client, &KUR_LISTENER_OPTIONS(.batch_ms = FULL_MS), topic, insert_all);
    ck_assert(wait_for(listener, is_assigned, 1));
    int64_t begin_ms = now_ms();
    send_numbers(client, topic, 1, 0, 20);
    ck_assert(wait_for(listener, has_finished, 20));
    ck_assert_int_ge(now_ms() - begin_ms, FULL_MS);
    ck_assert_int_le(book.calls, 2);
    finish_with(client, listener, 20);
}
END_TEST

/* ---- Typed, and beside others ---- */

static kur_outcome write_rows(kur_delivery *const *deliveries, const struct row_written *rows, kur_outcome *outcomes,
                              size_t count, void *user)
{
    struct book *to = user;
    kur_error error = {0};
    kur_ticket ticket;
    ck_assert_int_eq(outcomes[0], KUR_NO_OUTCOME);
    ck_status(kur_delivery_defer(deliveries[0], &ticket, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "batch");
    pthread_mutex_lock(&to->lock);
    count_call(count);
    for (size_t i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof id, "r-%d", (int)rows[i].number);
        ck_assert_str_eq(rows[i].row_id, id);
        ck_assert_ptr_nonnull(kur_delivery_event(deliveries[i])->type);
        count_done((int)rows[i].number);
    }
    pthread_mutex_unlock(&to->lock);
    return KUR_DONE;
}

static atomic_int others, tombstones;

static kur_outcome take_other(kur_delivery *delivery, void *user)
{
    kur_error error = {0};
    kur_ticket ticket;
    (void)user;
    ck_status(kur_delivery_defer(delivery, &ticket, &error), KUR_ERROR_INVALID_STATE, error);
    others++;
    return KUR_DONE;
}

static kur_outcome take_tombstone(kur_delivery *delivery, void *user)
{
    (void)delivery, (void)user;
    tombstones++;
    return KUR_DONE;
}

static void publish(kur_client *client, const char *topic, const char *type, const char *key, const char *data)
{
    kur_error error = {0};
    kur_bytes bytes = data != NULL ? kur_bytes_text(data) : (kur_bytes){NULL, 0};
    ck_ok(kur_producer_publish_raw(kur_client_producer(client, &error), type, bytes,
                                   &KUR_PUBLISH_OPTIONS(.topic = topic, .key = kur_bytes_text(key)), &error),
          error);
}

START_TEST(test_listener_batch__events_are_decoded_and_poison_is_rejected_by_itself)
{
    open_book();
    others = tombstones = 0;
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    for (int i = 0; i < 400; i++) {
        char data[64], key[16];
        snprintf(key, sizeof key, "r-%d", i);
        snprintf(data, sizeof data, "{\"row_id\":\"r-%d\",\"number\":%d}", i, i);
        publish(client, topic, "rows.row.written.v1", key, i % 40 == 7 ? "{\"row_id\":" : data);
        if (i % 50 == 3)
            publish(client, topic, "rows.nobody.knows.v1", key, "{}");
        if (i % 100 == 5)
            publish(client, topic, "rows.row.written.v1", key, NULL);
    }
    flush(client);
    kur_listener *listener = make(client, &KUR_LISTENER_OPTIONS(.on_rejected = take_rejected, .batch_ms = 1000), topic,
                                  support_name("rows"), NULL, NULL);
    ck_ok(row_written_on_batch(listener, write_rows, &book), error);
    ck_ok(kur_listener_on_record(listener, take_other, NULL), error);
    ck_ok(kur_listener_on_tombstone(listener, take_tombstone, NULL), error);
    ck_ok(kur_listener_start(listener, &error), error);
    finish_with(client, listener, 412);
    for (int i = 0; i < 400; i++)
        ck_assert_int_eq(book.done[i], i % 40 != 7);
    ck_assert_int_eq(book.rejected, 10);
    ck_assert_str_eq(book.cause, "kurier.undecodable");
    ck_assert_int_eq(others, 8);
    ck_assert_int_eq(tombstones, 4);
    ck_assert_int_gt(book.most, 20); /* what comes between does not make small ones of it */
}
END_TEST

/* One key: a row that fails, with records of another type behind it, which nobody may see before. */
static kur_outcome fail_rows(kur_delivery *const *deliveries, const struct row_written *rows, kur_outcome *outcomes,
                             size_t count, void *user)
{
    struct book *to = user;
    (void)deliveries, (void)rows, (void)outcomes, (void)count;
    pthread_mutex_lock(&to->lock);
    bool fails = to->fails-- > 0;
    for (size_t i = 0; i < count && !fails; i++)
        count_done((int)rows[i].number);
    pthread_mutex_unlock(&to->lock);
    return fails ? KUR_RETRY : KUR_DONE;
}

static kur_outcome take_in_order(kur_delivery *delivery, void *user)
{
    struct book *to = user;
    (void)delivery;
    pthread_mutex_lock(&to->lock);
    to->order[to->count++] = -1;
    pthread_mutex_unlock(&to->lock);
    return KUR_DONE;
}

START_TEST(test_listener_batch__another_handler_waits_for_one_of_its_key)
{
    open_book();
    book.fails = 3;
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    for (int i = 0; i < 60; i++) {
        char data[64];
        snprintf(data, sizeof data, "{\"row_id\":\"r\",\"number\":%d}", i);
        publish(client, topic, i % 3 == 2 ? "rows.other.v1" : "rows.row.written.v1", "k", data);
    }
    flush(client);
    kur_listener *listener =
        make(client, &KUR_LISTENER_OPTIONS(.batch_ms = 1000, .retry = &KUR_RETRY_POLICY(.delay_ms = 1)), topic,
             support_name("mixed"), NULL, NULL);
    ck_ok(row_written_on_batch(listener, fail_rows, &book), error);
    ck_ok(kur_listener_on_record(listener, take_in_order, &book), error);
    ck_ok(kur_listener_start(listener, &error), error);
    finish_with(client, listener, 60);
    ck_assert_int_eq(book.count, 60);
    for (int i = 0; i < 60; i++)
        ck_assert_int_eq(book.order[i], i % 3 == 2 ? -1 : i);
}
END_TEST

/* ---- Emits, the caller's loop, the end of a partition ---- */

static kur_outcome emit_rows(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    struct book *to = user;
    kur_error error = {0};
    for (size_t i = 0; i < count; i++) {
        char id[16];
        int number = number_of(deliveries[i]);
        snprintf(id, sizeof id, "r-%d", number);
        struct row_written row = {.row_id = id, .number = number};
        ck_ok(row_written_emit(deliveries[i], &row, &error), error);
        pthread_mutex_lock(&to->lock);
        if (to->seen[number]++ == 0 && number % 5 == 0)
            outcomes[i] = KUR_RETRY;
        pthread_mutex_unlock(&to->lock);
    }
    return KUR_DONE;
}

static kur_outcome count_rows(kur_delivery *const *deliveries, const struct row_written *rows, kur_outcome *outcomes,
                              size_t count, void *user)
{
    struct book *to = user;
    (void)deliveries, (void)outcomes;
    pthread_mutex_lock(&to->lock);
    for (size_t i = 0; i < count; i++)
        count_done((int)rows[i].number);
    pthread_mutex_unlock(&to->lock);
    return KUR_DONE;
}

START_TEST(test_listener_batch__what_is_emitted_goes_with_its_own_record)
{
    open_book();
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    snprintf(rows_topic, sizeof rows_topic, "%s", support_topic(1));
    send_numbers(client, topic, 1, 7, 300); /* so that behind those that come again there are others */
    kur_listener *listener =
        listen_batch(client, &KUR_LISTENER_OPTIONS(.retry = &KUR_RETRY_POLICY(.delay_ms = 1)), topic, emit_rows);
    kur_listener *rows =
        make(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), rows_topic, support_name("rows"), NULL, NULL);
    ck_ok(row_written_on_batch(rows, count_rows, &book), error);
    ck_ok(kur_listener_start(rows, &error), error);
    ck_assert(wait_for(listener, has_finished, 300));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    finish_with(client, rows, 300);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(book.done[i], 1); /* also of those that came again, and of those behind them */
}
END_TEST

START_TEST(test_listener_batch__runs_in_the_callers_loop)
{
    open_book();
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    send_numbers(client, topic, 2, 0, RECORDS);
    kur_listener *listener = listen_batch(
        client, &KUR_LISTENER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .batch_records = 200), topic, insert_all);
    struct pollfd descriptor = {.fd = kur_listener_fd(listener), .events = POLLIN};
    for (int64_t until_ms = now_ms() + WAIT_MS; book.count < RECORDS && now_ms() < until_ms;) {
        int ran = -1;
        if (poll(&descriptor, 1, 5000) == 1)
            ck_ok(kur_listener_dispatch(listener, 1, &ran, &error), error);
        ck_assert_int_le(ran, 1);
    }
    ck_assert_int_le(book.most, 200);
    finish_with(client, listener, RECORDS);
}
END_TEST

static atomic_int is_held, may_go;

static kur_outcome hold(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    struct book *to = user;
    (void)outcomes;
    pthread_mutex_lock(&to->lock);
    for (size_t i = 0; i < count; i++)
        to->seen[number_of(deliveries[i])]++;
    pthread_mutex_unlock(&to->lock);
    is_held++;
    for (int64_t until_ms = now_ms() + WAIT_MS; !may_go && now_ms() < until_ms;)
        nap(2);
    return KUR_DONE;
}

START_TEST(test_listener_batch__of_a_place_that_was_left_is_ignored)
{
    open_book();
    is_held = may_go = 0;
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    send_numbers(client, topic, 2, 0, 40);
    kur_listener *listener =
        listen_batch(client, &KUR_LISTENER_OPTIONS(.batch_ms = 3000), topic, hold); /* both partitions are in it */
    ck_assert(support_wait(&is_held, 1));
    /* One of two partitions begins anew while its records are in a handler's hands. */
    ck_ok(kur_listener_seek(listener, topic, 0, 0, &error), error);
    for (int64_t until_ms = now_ms() + WAIT_MS; health_of(listener).held < 60 && now_ms() < until_ms;)
        nap(5);
    may_go = 1;
    finish_with(client, listener, 40);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(book.seen[i], i % 2 == 0 ? 2 : 1);
}
END_TEST

/* ---- Memory ---- */

enum {
    ROWS = 20
};

static kur_status read_rows(kur_client *client, const char *const *topics, kur_error *error)
{
    open_book();
    kur_listener *listener = kur_listener_new(
        client,
        &KUR_LISTENER_OPTIONS(.audience = KUR_BROADCAST, .topics = topics, .start = KUR_START_EARLIEST,
                              .dispatch = KUR_DISPATCH_CALLER, .retry = &KUR_RETRY_POLICY(.delay_ms = 1)),
        error);
    if (listener == NULL)
        return error->code;
    ck_assert_int_eq(row_written_on_batch(listener, count_rows, &book), KUR_OK);
    kur_status status = kur_listener_start(listener, error);
    struct pollfd descriptor = {.fd = kur_listener_fd(listener), .events = POLLIN};
    for (int64_t until_ms = now_ms() + WAIT_MS; status == KUR_OK && book.count < ROWS && now_ms() < until_ms;)
        if (poll(&descriptor, 1, 5000) == 1)
            status = kur_listener_dispatch(listener, 10, NULL, error);
    failing_rest();
    for (int i = 0; i < ROWS && status == KUR_OK; i++)
        ck_assert_int_eq(book.done[i], 1);
    kur_listener_free(listener);
    return status;
}

START_TEST(test_listener_batch__every_allocation_fails_once)
{
    kur_error error = {0};
    kur_client *client = support_client();
    const char *const topics[] = {support_topic(1), NULL};
    int refused = 0, got_over = 0;
    bool fails;
    for (int i = 0; i < ROWS; i++) {
        char data[64];
        snprintf(data, sizeof data, "{\"row_id\":\"r-%d\",\"number\":%d}", i, i);
        publish(client, topics[0], "rows.row.written.v1", "k", data);
    }
    flush(client);
    do {
        error = (kur_error){0};
        failing_begin(refused + got_over + 1, true);
        kur_status status = read_rows(client, topics, &error);
        fails = failing_has_failed();
        failing_end();
        ck_assert(status == KUR_OK || (fails && status == KUR_ERROR_NO_MEMORY));
        refused += fails && status != KUR_OK;
        got_over += fails && status == KUR_OK;
    } while (fails);
    ck_assert_int_gt(refused, 5);  /* to start */
    ck_assert_int_gt(got_over, 0); /* for a batch, which comes again */
    kur_client_unref(client);
}
END_TEST

/* ---- Options, and misuse ---- */

static kur_outcome never(kur_delivery *const *deliveries, kur_outcome *outcomes, size_t count, void *user)
{
    (void)deliveries, (void)outcomes, (void)count, (void)user;
    return KUR_DONE;
}

static kur_outcome never_single(kur_delivery *delivery, void *user)
{
    (void)delivery, (void)user;
    return KUR_DONE;
}

START_TEST(test_listener_batch__misuse_is_told)
{
    kur_error error = {0};
    kur_client *client = support_client();
    const char *const topics[] = {"t", NULL};
    const int wrong[][2] = {{-1, 0}, {10001, 0}, {0, -1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_ptr_null(
            kur_listener_new(client,
                             &KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .batch_records = wrong[i][0],
                                                   .batch_ms = wrong[i][1]),
                             &error));
        ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
        ck_says(error, "batch_");
    }
    kur_listener *listener = kur_listener_new(client, &KUR_LISTENER_OPTIONS(.group = "g", .topics = topics), &error);
    ck_assert_int_eq(kur_listener_on_batch(NULL, never, NULL), KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(row_written_on_batch(NULL, count_rows, NULL), KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(row_written_on_batch(listener, count_rows, NULL), KUR_OK);
    ck_assert_int_eq(kur_listener_on_batch(listener, never, NULL), KUR_OK);
    ck_assert_int_eq(kur_listener_on_record(listener, never_single, NULL), KUR_ERROR_INVALID_STATE);
    ck_assert_int_eq(row_written_on_batch(listener, count_rows, NULL), KUR_ERROR_INVALID_STATE);
    ck_assert_int_eq(kur_listener_on_batch(listener, NULL, NULL), KUR_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(row_written_on_batch(listener, NULL, NULL), KUR_ERROR_INVALID_ARGUMENT);
    ck_status(kur_listener_start(listener, &error), KUR_ERROR_INVALID_STATE, error); /* the first one is kept */
    kur_listener_free(listener);
    ck_assert_int_eq(kur_retry_all(NULL, 5, "test", "nothing"), KUR_RETRY);
    ck_assert_int_eq(kur_retry_all((kur_delivery *const[]){NULL}, 1, "test", "nothing"), KUR_RETRY);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_batch__each_record_has_its_outcome,
        test_listener_batch__one_bad_row_costs_no_other,
        test_listener_batch__what_was_said_stays_when_the_rest_fails,
        test_listener_batch__a_retry_keeps_the_order_of_its_partition,
        test_listener_batch__a_key_is_in_one_batch_at_a_time,
        test_listener_batch__waits_to_become_full,
        test_listener_batch__does_not_wait_longer_than_it_may,
        test_listener_batch__events_are_decoded_and_poison_is_rejected_by_itself,
        test_listener_batch__another_handler_waits_for_one_of_its_key,
        test_listener_batch__what_is_emitted_goes_with_its_own_record,
        test_listener_batch__runs_in_the_callers_loop,
        test_listener_batch__of_a_place_that_was_left_is_ignored,
        test_listener_batch__every_allocation_fails_once,
        test_listener_batch__misuse_is_told,
        NULL,
    };
    return check_main("listener_batch", tests);
}
