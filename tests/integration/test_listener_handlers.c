/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What handlers may do: defer by the thousand, emit, run in the caller's loop, pause and go on elsewhere, fail to
 * start.
 */
#include <kurier/admin.h>
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../check_main.h"
#include "../listening.h"
#include "../shop.h"
#include "../support.h"

#define PACKED(F, S) F(S, STRING, order_id, .flags = KUR_KEY)
KUR_EVENT(order_packed, "shop.order.packed", 1, PACKED);
static char packed_topic[128]; /* known when the test runs */
KUR_EVENT_DEFINE(order_packed, PACKED, .topic = packed_topic);

/* ---- Deferred ---- */

enum {
    DEFERRED = 1000,
    FINISHERS = 4
};

struct deferred {
    pthread_mutex_t lock;
    kur_ticket tickets[DEFERRED];
    int opened, taken, finished, most_open;
    int retries;
};

static kur_outcome defer(kur_delivery *delivery, void *user)
{
    struct deferred *all = user;
    kur_error error = {0};
    kur_ticket ticket;
    ck_ok(kur_delivery_defer(delivery, &ticket, &error), error);
    pthread_mutex_lock(&all->lock);
    ck_assert_int_lt(all->opened, DEFERRED);
    all->tickets[all->opened++] = ticket;
    if (all->opened - all->finished > all->most_open)
        all->most_open = all->opened - all->finished;
    pthread_mutex_unlock(&all->lock);
    /* It may be finished by now, and can be read all the same. */
    ck_assert_int_gt(kur_record_value(kur_delivery_record(delivery)).size, 0);
    return KUR_REJECT; /* counts for nothing */
}

static void *finish_deferred(void *user)
{
    struct deferred *all = user;
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms;) {
        kur_error error = {0};
        pthread_mutex_lock(&all->lock);
        bool is_over = all->finished == DEFERRED, has_one = all->taken < all->opened;
        kur_ticket ticket = has_one ? all->tickets[all->taken++] : (kur_ticket){0};
        pthread_mutex_unlock(&all->lock);
        if (is_over)
            break;
        if (!has_one) {
            nap(1);
            continue;
        }
        ck_ok(kur_ticket_done(ticket, &error), error);
        pthread_mutex_lock(&all->lock);
        all->finished++;
        pthread_mutex_unlock(&all->lock);
    }
    return NULL;
}

static void finish_a_thousand(int bound, bool at_once)
{
    static struct deferred all;
    kur_error error = {0};
    memset(&all, 0, sizeof all);
    pthread_mutex_init(&all.lock, NULL);
    kur_client *client = support_client();
    const char *topic = support_topic(2), *group = support_name("thousand");
    for (int i = 0; i < DEFERRED; i++)
        send_text(client, topic, i % 2, NULL, "x");
    flush(client);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 4, .deferred = bound), topic, group, defer, &all);
    for (int64_t until_ms = now_ms() + WAIT_MS; at_once && now_ms() < until_ms; nap(5)) {
        pthread_mutex_lock(&all.lock);
        bool all_open = all.opened == DEFERRED;
        pthread_mutex_unlock(&all.lock);
        if (all_open)
            break;
    }
    pthread_t threads[FINISHERS];
    for (int i = 0; i < FINISHERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, finish_deferred, &all), 0);
    for (int i = 0; i < FINISHERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(all.finished, DEFERRED);
    /* Who has finished one counts it a moment later, when another may have begun. */
    ck_assert_int_le(all.most_open, bound + 4 + FINISHERS);
    if (at_once)
        ck_assert_int_eq(all.most_open, DEFERRED);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(health_of(listener).finished, DEFERRED);
    kur_listener_free(listener);
    kur_client_unref(client);
}

START_TEST(test_listener_handlers__a_thousand_are_deferred_at_once)
{
    finish_a_thousand(DEFERRED, true);
}
END_TEST

START_TEST(test_listener_handlers__no_more_are_deferred_than_asked_for)
{
    finish_a_thousand(64, false);
}
END_TEST

/* ---- Typed ---- */

struct shop {
    atomic_int orders, tombstones, rejected, undecodable, unknown;
};

static kur_outcome pack(kur_delivery *delivery, const struct order_created *order, void *user)
{
    struct shop *shop = user;
    kur_error error = {0};
    shop->orders++;
    struct order_packed packed = {.order_id = order->order_id};
    ck_ok(order_packed_emit(delivery, &packed, &error), error);
    if (kur_delivery_attempt(delivery) == 1 && order->placed_at % 3 == 0)
        return kur_retry(delivery, "test.once", "again"); /* and what was emitted is forgotten */
    return KUR_DONE;
}

static kur_outcome bury(kur_delivery *delivery, void *user)
{
    (void)delivery;
    ((struct shop *)user)->tombstones++;
    return KUR_DONE;
}

static kur_status take_rejected(kur_delivery *delivery, const char *cause, const char *reason, void *user)
{
    struct shop *shop = user;
    (void)delivery;
    ck_assert_str_ne(reason, "");
    shop->undecodable += strcmp(cause, "kurier.undecodable") == 0;
    shop->unknown += strcmp(cause, "kurier.unknown_type") == 0;
    shop->rejected++;
    return KUR_OK;
}

static void publish_raw(kur_client *client, const char *topic, const char *type, const char *data)
{
    kur_error error = {0};
    kur_bytes bytes = data != NULL ? kur_bytes_text(data) : (kur_bytes){NULL, 0};
    ck_ok(kur_producer_publish_raw(kur_client_producer(client, &error), type, bytes,
                                   &KUR_PUBLISH_OPTIONS(.topic = topic, .key = kur_bytes_text("raw")), &error),
          error);
}

static kur_outcome count_packed(kur_delivery *delivery, const struct order_packed *packed, void *user)
{
    int *seen = user, number = -1;
    ck_assert_int_eq(sscanf(packed->order_id, "o-%d", &number), 1);
    ck_assert(number >= 0 && number < 300);
    const kur_event_view *event = kur_delivery_event(delivery);
    ck_assert_ptr_nonnull(event->causation_id);
    __atomic_fetch_add(&seen[number], 1, __ATOMIC_RELAXED);
    return KUR_DONE;
}

START_TEST(test_listener_handlers__what_is_emitted_arrives_once_and_nothing_else_does)
{
    static struct shop shop;
    static int seen[300];
    kur_error error = {0};
    memset(&shop, 0, sizeof shop);
    memset(seen, 0, sizeof seen);
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    snprintf(packed_topic, sizeof packed_topic, "%s", support_topic(2));
    for (int i = 0; i < 300; i++) {
        char id[16];
        KUR_ITEM(order_created, lines) lines[] = {{.sku = "tea", .quantity = 2, .price = 150}};
        snprintf(id, sizeof id, "o-%d", i);
        struct order_created order = {.order_id = id, .placed_at = i * INT64_C(1), .lines = {lines, 1}};
        ck_ok(order_created_publish(kur_client_producer(client, &error), &order, &KUR_PUBLISH_OPTIONS(.topic = topic),
                                    &error),
              error);
    }
    publish_raw(client, topic, "shop.order.created.v1", "{\"order_id\":");
    publish_raw(client, topic, "shop.order.created.v1", NULL);
    publish_raw(client, topic, "shop.nobody.knows.v1", "{}");
    flush(client);
    kur_listener *listener =
        make(client,
             &KUR_LISTENER_OPTIONS(.concurrency = 8, .on_rejected = take_rejected, .unknown = KUR_UNKNOWN_REJECT,
                                   .retry = &KUR_RETRY_POLICY(.delay_ms = 10)),
             topic, support_name("pack"), NULL, &shop);
    ck_ok(order_created_on(listener, pack, &shop), error);
    ck_ok(kur_listener_on_tombstone(listener, bury, &shop), error);
    ck_ok(kur_listener_start(listener, &error), error);
    kur_listener *packed =
        make(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), packed_topic, support_name("packed"), NULL, seen);
    ck_ok(order_packed_on(packed, count_packed, seen), error);
    ck_ok(kur_listener_start(packed, &error), error);
    ck_assert(wait_for(listener, has_finished, 303));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert(wait_for(packed, has_finished, 300));
    ck_ok(kur_listener_stop(packed, WAIT_MS, &error), error);
    ck_assert_int_eq(health_of(packed).handled, 300);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(seen[i], 1);
    ck_assert_int_eq(shop.orders, 400);
    ck_assert_int_eq(shop.tombstones, 1);
    ck_assert_int_eq(shop.rejected, 2);
    ck_assert_int_eq(shop.undecodable, 1);
    ck_assert_int_eq(shop.unknown, 1);
    ck_assert_int_eq(health_of(listener).rejected, 2);
    kur_listener_free(listener);
    kur_listener_free(packed);
    kur_client_unref(client);
}
END_TEST

/* What cannot be decoded and has no handler does no harm: it is filtered by its type, in the envelope. */
START_TEST(test_listener_handlers__what_nobody_handles_is_not_decoded)
{
    static struct shop shop;
    kur_error error = {0};
    memset(&shop, 0, sizeof shop);
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    snprintf(packed_topic, sizeof packed_topic, "%s", support_topic(1));
    publish_raw(client, topic, "shop.nobody.knows.v1", "{\"order_id\":");
    publish_raw(client, topic, "shop.order.created.v2", "no JSON");
    publish_raw(client, topic, "shop.order.created.v1",
                "{\"order_id\":\"o-1\",\"placed_at\":\"2026-01-31T12:00:00.000001Z\",\"lines\":[{\"sku\":\"tea\","
                "\"quantity\":2,\"price\":\"1.50\"}]}");
    flush(client);
    kur_listener *listener =
        make(client, &KUR_LISTENER_OPTIONS(.on_rejected = take_rejected), topic, support_name("filter"), NULL, &shop);
    ck_ok(order_created_on(listener, pack, &shop), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(wait_for(listener, has_finished, 3));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(shop.rejected, 0);
    ck_assert_int_eq(shop.orders, 1);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

/* ---- Refused ---- */

static kur_outcome only_pack(kur_delivery *delivery, const struct order_created *order, void *user)
{
    kur_error error = {0};
    struct order_packed packed = {.order_id = order->order_id};
    (void)user;
    ck_ok(order_packed_emit(delivery, &packed, &error), error);
    return KUR_DONE;
}

static void hear_refusal(kur_log_level level, const char *message, void *user)
{
    kur_log_stderr(level, message, NULL);
    if (level == KUR_LOG_WARNING && strstr(message, "emitted") != NULL && strstr(message, packed_topic) != NULL)
        ++*(atomic_int *)user;
}

START_TEST(test_listener_handlers__what_a_broker_refuses_of_what_is_emitted_is_told_and_sent_again)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    static atomic_int heard;
    kur_error error = {0};
    heard = 0;
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = support_bootstrap(), .source = "/tests",
                                           .log = hear_refusal, .log_user = &heard),
                       &error);
    kur_admin *admin = kur_admin_new(client, &error);
    const char *topic = support_topic(1);
    snprintf(packed_topic, sizeof packed_topic, "%s", support_name("small"));
    kur_topic_spec small = KUR_TOPIC_SPEC(.name = packed_topic, .partitions = 1, .max_message_bytes = 100);
    ck_ok(kur_admin_create_topics(admin, &small, 1, WAIT_MS, &error), error);
    for (int i = 0; i < 50; i++) {
        char id[16];
        KUR_ITEM(order_created, lines) lines[] = {{.sku = "tea", .quantity = 2, .price = 150}};
        snprintf(id, sizeof id, "o-%d", i);
        struct order_created order = {.order_id = id, .placed_at = 1, .lines = {lines, 1}};
        ck_ok(order_created_publish(kur_client_producer(client, &error), &order, &KUR_PUBLISH_OPTIONS(.topic = topic),
                                    &error),
              error);
    }
    flush(client);
    kur_listener *listener =
        make(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, support_name("pack"), NULL, NULL);
    ck_ok(order_created_on(listener, only_pack, NULL), error);
    ck_ok(kur_listener_start(listener, &error), error);
    ck_assert(support_wait(&heard, 1));
    ck_assert_int_eq(health_of(listener).finished, 0);
    /* Once in a while, not for each of them. */
    ck_assert_int_lt(heard, 20);
    small.max_message_bytes = 1000000;
    ck_ok(kur_admin_apply_topics(admin, &small, 1, WAIT_MS, NULL, NULL, &error), error);
    ck_assert(wait_for(listener, has_finished, 50));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    kur_admin_free(admin);
    kur_client_unref(client);
}
END_TEST

/* ---- In the caller's loop, and its own pace ---- */

static kur_status refuse_rejected(kur_delivery *delivery, const char *cause, const char *reason, void *user)
{
    (void)delivery, (void)cause, (void)reason, (void)user;
    return KUR_ERROR_TIMEOUT;
}

START_TEST(test_listener_handlers__handlers_run_in_the_callers_loop)
{
    atomic_int count = 0;
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2), *group = support_name("loop");
    for (int i = 0; i < 2000; i++)
        send_text(client, topic, i % 2, i == 1500 ? "bad" : "k", i == 1500 ? "reject" : "x");
    flush(client);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER, .on_rejected = refuse_rejected), topic,
               group, count_one, &count);
    struct pollfd descriptor = {.fd = kur_listener_fd(listener), .events = POLLIN};
    ck_assert_int_ge(descriptor.fd, 0);
    for (int64_t until_ms = now_ms() + WAIT_MS; count < 1999 && now_ms() < until_ms;) {
        int ran = -1;
        if (poll(&descriptor, 1, 5000) == 1)
            ck_ok(kur_listener_dispatch(listener, 100, &ran, &error), error);
        ck_assert_int_le(ran, 100);
    }
    ck_assert_int_eq(count, 1999);
    /* Nobody dispatches any more, and the rejected one is never safe: neither keeps the end from coming. */
    ck_status(kur_listener_stop(listener, 6000, &error), KUR_OK, error);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_handlers__pauses_and_goes_on_elsewhere)
{
    atomic_int count = 0;
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(2);
    for (int i = 0; i < 100; i++)
        send_text(client, topic, i % 2, "k", "x");
    flush(client);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, support_name("pace"), count_one, &count);
    ck_assert(wait_for(listener, has_finished, 100));
    /* All of one again; the other goes on. */
    ck_ok(kur_listener_seek(listener, topic, 0, 20, &error), error);
    ck_assert(wait_for(listener, has_finished, 130));
    /* A place that is sought while it is paused is read when it goes on, and not before. */
    ck_ok(kur_listener_pause(listener, &error), error);
    nap(200);
    ck_ok(kur_listener_seek(listener, topic, 0, 40, &error), error);
    ck_ok(kur_listener_seek(listener, topic, 1, KUR_OFFSET_BEGINNING, &error), error);
    send_text(client, topic, 0, "k", "x");
    flush(client);
    nap(800);
    ck_assert_int_eq(count, 130);
    ck_ok(kur_listener_resume(listener, &error), error);
    ck_assert_msg(wait_for(listener, has_finished, 130 + 11 + 50), "%d", count);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(count, 130 + 11 + 50);
    ck_assert_int_eq(health_of(listener).gaps, 0);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

/* ---- Workers ---- */

static atomic_int started, stopped;

static kur_status start_some(void *user, void **state, kur_error *error)
{
    const int *fails_from = user;
    if (++started > *fails_from)
        return kur_error_set(error, KUR_ERROR_SYSTEM, "no database today");
    *state = &started;
    return KUR_OK;
}

static void stop_some(void *state)
{
    ck_assert_ptr_eq(state, &started);
    stopped++;
}

static kur_outcome never(kur_delivery *delivery, void *user)
{
    (void)delivery, (void)user;
    return KUR_DONE;
}

START_TEST(test_listener_handlers__a_worker_that_cannot_start_ends_the_listener)
{
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    for (int fails_from = 0; fails_from < 3; fails_from++) {
        kur_error error = {0};
        bool in_loop = fails_from == 0;
        started = stopped = 0;
        kur_listener *listener =
            make(client,
                 &KUR_LISTENER_OPTIONS(.concurrency = 4, .worker_start = start_some, .worker_stop = stop_some,
                                       .dispatch = in_loop ? KUR_DISPATCH_CALLER : KUR_DISPATCH_THREAD),
                 topic, support_name("start"), never, &fails_from);
        if (in_loop)
            ck_status(kur_listener_start(listener, &error), KUR_ERROR_SYSTEM, error);
        else
            ck_status(kur_listener_run(listener, &error), KUR_ERROR_SYSTEM, error);
        ck_says(error, "no database today");
        kur_listener_free(listener);
        ck_assert_int_eq(stopped, fails_from);
    }
    kur_client_unref(client);
}
END_TEST

enum {
    WORKERS = 4
};

/* What a worker keeps, made on its thread. */
struct desk {
    pthread_t thread;
    atomic_int handled;
    bool is_closed;
};
static struct desk desks[WORKERS];
static atomic_int desk_count, at_desk;

static kur_status open_desk(void *user, void **state, kur_error *error)
{
    (void)user, (void)error;
    int number = desk_count++;
    ck_assert_int_lt(number, WORKERS);
    desks[number].thread = pthread_self();
    *state = &desks[number];
    return KUR_OK;
}

static void close_desk(void *state)
{
    ck_assert(pthread_equal(((struct desk *)state)->thread, pthread_self()));
    ((struct desk *)state)->is_closed = true;
}

/* Until all of them are in it. */
static kur_outcome work_at_desk(kur_delivery *delivery, void *user)
{
    struct desk *desk = kur_delivery_worker(delivery);
    (void)user;
    ck_assert_ptr_nonnull(desk);
    ck_assert(pthread_equal(desk->thread, pthread_self()));
    desk->handled++;
    at_desk++;
    for (int64_t until_ms = now_ms() + WAIT_MS; at_desk < WORKERS && now_ms() < until_ms;)
        nap(1);
    return KUR_DONE;
}

START_TEST(test_listener_handlers__each_worker_has_what_it_has_made)
{
    kur_error error = {0};
    memset(desks, 0, sizeof desks);
    desk_count = at_desk = 0;
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    for (int i = 0; i < 10 * WORKERS; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener *listener = listen(
        client, &KUR_LISTENER_OPTIONS(.concurrency = WORKERS, .worker_start = open_desk, .worker_stop = close_desk),
        topic, support_name("desk"), work_at_desk, NULL);
    ck_assert(wait_for(listener, has_finished, 10 * WORKERS));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    ck_assert_int_eq(desk_count, WORKERS);
    for (int i = 0; i < WORKERS; i++) {
        ck_assert_int_ge(desks[i].handled, 1);
        ck_assert(desks[i].is_closed);
    }
    kur_client_unref(client);
}
END_TEST

static bool has_ended(const kur_listener_health *health, int64_t wanted)
{
    (void)wanted;
    return !health->is_running;
}

START_TEST(test_listener_handlers__a_session_timeout_that_the_broker_refuses_ends_the_listener)
{
    skip_unless(support_is_real(), "the embedded broker takes any session timeout");
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.session_timeout_ms = 1900000, .max_poll_interval_ms = 2000000), topic,
               support_name("session"), never, NULL);
    ck_assert(wait_for(listener, has_ended, 0));
    ck_status(kur_listener_stop(listener, WAIT_MS, &error), KUR_ERROR_CONFIG, error);
    ck_says(error, ".session_timeout_ms");
    ck_says(error, "group.max.session.timeout.ms");
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

/* ---- Rejected, then the next ---- */

static atomic_int behind, beside, taken_over, may_take_over;

static kur_outcome count_behind(kur_delivery *delivery, void *user)
{
    (void)user;
    kur_bytes key = kur_record_key(kur_delivery_record(delivery));
    bool is_first = kur_record_offset(kur_delivery_record(delivery)) == 0;
    if (is_first)
        return kur_reject(delivery, "test.first", "the first of its key");
    if (key.size == 1 && memcmp(key.data, "a", 1) == 0) {
        ck_assert_int_eq(taken_over, 1);
        behind++;
    } else {
        beside++;
    }
    return KUR_DONE;
}

static kur_status take_over_slowly(kur_delivery *delivery, const char *cause, const char *reason, void *user)
{
    (void)delivery, (void)cause, (void)reason, (void)user;
    for (int64_t until_ms = now_ms() + WAIT_MS; !may_take_over && now_ms() < until_ms;)
        nap(2);
    taken_over++;
    return KUR_OK;
}

START_TEST(test_listener_handlers__what_is_rejected_is_taken_over_before_the_next_of_its_key_runs)
{
    kur_error error = {0};
    behind = beside = taken_over = may_take_over = 0;
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    for (int i = 0; i < 100; i++)
        send_text(client, topic, 0, i % 2 == 0 ? "a" : "b", "x");
    flush(client);
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 3, .on_rejected = take_over_slowly),
                                    topic, support_name("taken-over"), count_behind, NULL);
    ck_assert(support_wait(&beside, 50)); /* others go on meanwhile */
    ck_assert_int_eq(behind, 0);
    may_take_over = 1;
    ck_assert(wait_for(listener, has_finished, 100));
    ck_assert_int_eq(behind, 49);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener_handlers__a_thousand_are_deferred_at_once,
        test_listener_handlers__no_more_are_deferred_than_asked_for,
        test_listener_handlers__what_is_emitted_arrives_once_and_nothing_else_does,
        test_listener_handlers__what_nobody_handles_is_not_decoded,
        test_listener_handlers__what_a_broker_refuses_of_what_is_emitted_is_told_and_sent_again,
        test_listener_handlers__handlers_run_in_the_callers_loop,
        test_listener_handlers__pauses_and_goes_on_elsewhere,
        test_listener_handlers__a_worker_that_cannot_start_ends_the_listener,
        test_listener_handlers__each_worker_has_what_it_has_made,
        test_listener_handlers__a_session_timeout_that_the_broker_refuses_ends_the_listener,
        test_listener_handlers__what_is_rejected_is_taken_over_before_the_next_of_its_key_runs,
        NULL,
    };
    return check_main("listener_handlers", tests);
}
