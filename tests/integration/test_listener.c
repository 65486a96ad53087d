/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener: order under concurrency, nothing lost by retries, rejects, rebalances and stops, each on the embedded
 * broker and on a real one alike.
 */
#include <kurier/kurier.h>
#include <kurier/ledger.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../check_main.h"
#include "../shop.h"
#include "../support.h"

enum {
    WAIT_MS = 60000,
    KEYS_MAX = 64,
    RECORDS_MAX = 20000
};

/* What handlers did. Values are "key sequence". */
struct book {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int handled;           /* attempts */
    int done[RECORDS_MAX]; /* by number: finished attempts */
    int next[KEYS_MAX];    /* the sequence that is to come, of each key */
    int running[KEYS_MAX];
    int most_running, now_running;
    int out_of_order, beside;
    int sleep_us;
    int fail_first; /* attempts of every seventh record that fail */
    int reject_every;
    int rejected;
    bool defer;
    kur_ticket tickets[RECORDS_MAX];
    int ticket_numbers[RECORDS_MAX];
    int ticket_count;
};

static void book_init(struct book *book)
{
    memset(book, 0, sizeof *book);
    pthread_mutex_init(&book->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&book->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static bool book_wait(struct book *book, bool (*is_good)(struct book *book, int wanted), int wanted)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&book->lock);
    int failed = 0;
    while (!is_good(book, wanted) && failed == 0)
        failed = pthread_cond_timedwait(&book->changed, &book->lock, &until);
    bool good = is_good(book, wanted);
    pthread_mutex_unlock(&book->lock);
    return good;
}

static int count_done(const struct book *book)
{
    int count = 0;
    for (int i = 0; i < RECORDS_MAX; i++)
        count += book->done[i] > 0;
    return count;
}

static bool all_done(struct book *book, int wanted)
{
    return count_done(book) >= wanted;
}

static kur_outcome handle(kur_delivery *delivery, void *user)
{
    struct book *book = user;
    const kur_record *record = kur_delivery_record(delivery);
    kur_bytes value = kur_record_value(record);
    char text[32] = "";
    int key = 0, sequence = 0, number = 0;
    memcpy(text, value.data, value.size < 31 ? value.size : 31);
    sscanf(text, "%d %d %d", &key, &sequence, &number);
    pthread_mutex_lock(&book->lock);
    book->handled++;
    book->beside += book->running[key]++ > 0;
    if (++book->now_running > book->most_running)
        book->most_running = book->now_running;
    if (sequence > book->next[key])
        book->out_of_order++;
    pthread_mutex_unlock(&book->lock);
    if (book->sleep_us > 0)
        usleep((useconds_t)book->sleep_us);
    bool fails = number % 7 == 3 && kur_delivery_attempt(delivery) <= book->fail_first;
    bool rejects = book->reject_every > 0 && number % book->reject_every == 0;
    kur_outcome outcome = fails     ? kur_retry(delivery, "test.fails", "attempt %d", kur_delivery_attempt(delivery))
                          : rejects ? kur_reject(delivery, "test.rejects", "number %d", number)
                                    : KUR_DONE;
    pthread_mutex_lock(&book->lock);
    book->running[key]--;
    book->now_running--;
    if (outcome != KUR_RETRY) {
        book->done[number]++;
        if (book->next[key] <= sequence)
            book->next[key] = sequence + 1;
    }
    if (book->defer && outcome == KUR_DONE) {
        kur_error error = {0};
        book->ticket_numbers[book->ticket_count] = number;
        ck_ok(kur_delivery_defer(delivery, &book->tickets[book->ticket_count++], &error), error);
    }
    pthread_cond_broadcast(&book->changed);
    pthread_mutex_unlock(&book->lock);
    return outcome;
}

static kur_status take_rejected(kur_delivery *delivery, const char *cause, const char *reason, void *user)
{
    struct book *book = user;
    ck_assert_str_eq(cause, "test.rejects");
    ck_assert_ptr_nonnull(strstr(reason, "number"));
    ck_assert_ptr_nonnull(kur_delivery_record(delivery));
    pthread_mutex_lock(&book->lock);
    book->rejected++;
    pthread_cond_broadcast(&book->changed);
    pthread_mutex_unlock(&book->lock);
    return KUR_OK;
}

/* Sends `count` records in turns over the keys; numbers from `first` on. */
static void send_records(kur_client *client, const char *topic, int first, int count, int keys)
{
    kur_error error = {0};
    kur_producer *producer = kur_client_producer(client, &error);
    for (int i = first; i < first + count; i++) {
        char key[16], value[48];
        snprintf(key, sizeof key, "k%d", i % keys);
        snprintf(value, sizeof value, "%d %d %d", i % keys, i / keys, i);
        kur_message message = KUR_MESSAGE(.topic = topic, .key = kur_bytes_text(key), .value = kur_bytes_text(value));
        ck_ok(kur_producer_send(producer, &message, &error), error);
    }
    ck_ok(kur_producer_flush(producer, WAIT_MS, &error), error);
}

static kur_listener *listen(kur_client *client, kur_listener_options *options, const char *topic, const char *group,
                            struct book *book)
{
    kur_error error = {0};
    const char *topics[] = {topic, NULL};
    options->topics = topics;
    options->group = group;
    options->user = book;
    if (options->on_rejected == NULL)
        options->dead_letters = KUR_REJECTED_STOPS;
    kur_listener *listener = kur_listener_new(client, options, &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    ck_ok(kur_listener_on_record(listener, handle, book), error);
    ck_ok(kur_listener_start(listener, &error), error);
    return listener;
}

static int64_t committed(kur_client *client, const char *topic, const char *group, int partitions)
{
    kur_error error = {0};
    int64_t sum = 0;
    kur_arena *arena = kur_arena_new();
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = group), &error);
    for (int p = 0; p < partitions; p++) {
        kur_position position = KUR_POSITION(.topic = topic, .partition = p);
        ck_ok(kur_consumer_committed(consumer, &position, arena, WAIT_MS, &error), error);
        sum += position.offset > 0 ? position.offset : 0;
    }
    kur_consumer_free(consumer);
    kur_arena_free(arena);
    return sum;
}

START_TEST(test_listener__keeps_the_order_of_keys_under_concurrency)
{
    static struct book book;
    kur_error error = {0};
    book_init(&book);
    kur_client *client = support_client();
    const char *topic = support_topic(3), *group = support_name("order");
    send_records(client, topic, 0, 3000, 40);
    book.sleep_us = 1000;
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 64), topic, group, &book);
    ck_assert_msg(book_wait(&book, all_done, 3000), "%d of 3000", count_done(&book));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(book.out_of_order, 0);
    ck_assert_int_eq(book.beside, 0);
    ck_assert_int_eq(book.handled, 3000);
    ck_assert_int_gt(book.most_running, 10);
    ck_assert_int_le(book.most_running, 64);
    kur_listener_health health = KUR_LISTENER_HEALTH();
    ck_ok(kur_listener_health_get(listener, &health, &error), error);
    ck_assert_int_eq(health.finished, 3000);
    ck_assert_int_eq(health.held, 0);
    kur_listener_free(listener);
    ck_assert_int_eq(committed(client, topic, group, 3), 3000);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener__retries_in_place_and_hands_rejected_ones_over)
{
    static struct book book;
    kur_error error = {0};
    book_init(&book);
    kur_client *client = support_client();
    const char *topic = support_topic(2), *group = support_name("retry");
    send_records(client, topic, 0, 700, 20);
    book.fail_first = 2;
    book.reject_every = 50;
    kur_listener *listener = listen(client,
                                    &KUR_LISTENER_OPTIONS(.concurrency = 8, .on_rejected = take_rejected,
                                                          .retry = &KUR_RETRY_POLICY(.attempts = 4, .delay_ms = 20)),
                                    topic, group, &book);
    ck_assert_msg(book_wait(&book, all_done, 700), "%d of 700", count_done(&book));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(book.out_of_order, 0);
    ck_assert_int_eq(book.beside, 0);
    ck_assert_int_eq(book.handled, 700 + 2 * 100);
    ck_assert_int_eq(book.rejected, 14);
    kur_listener_free(listener);
    ck_assert_int_eq(committed(client, topic, group, 2), 700);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener__ends_when_nobody_takes_a_rejected_record)
{
    static struct book book;
    kur_error error = {0};
    book_init(&book);
    kur_client *client = support_client();
    const char *topic = support_topic(1), *group = support_name("nobody"), *topics[] = {topic, NULL};
    send_records(client, topic, 1, 99, 10);
    book.reject_every = 30;
    kur_listener *listener = kur_listener_new(
        client, &KUR_LISTENER_OPTIONS(.group = group, .topics = topics, .dead_letters = KUR_REJECTED_STOPS), &error);
    ck_assert_msg(listener != NULL, "%s", error.message);
    ck_ok(kur_listener_on_record(listener, handle, &book), error);
    ck_status(kur_listener_run(listener, &error), KUR_ERROR_REJECTED, error);
    ck_says(error, "test.rejects");
    kur_listener_free(listener);
    ck_assert_int_le(committed(client, topic, group, 1), 29);
    kur_client_unref(client);
}
END_TEST

/* What the group has committed of partition 0, and told beside it. */
static int64_t told_finished(kur_client *client, const char *topic, const char *group)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.group = group), &error);
    kur_position position = KUR_POSITION(.topic = topic);
    kur_ledger_view view = KUR_LEDGER_VIEW();
    ck_ok(kur_consumer_committed(consumer, &position, arena, WAIT_MS, &error), error);
    int64_t offset = position.offset > 0 ? position.offset : 0;
    ck_ok(kur_ledger_read(position.metadata, offset, arena, &view, &error), error);
    kur_consumer_free(consumer);
    kur_arena_free(arena);
    return offset + view.finished;
}

static bool has_tickets(struct book *book, int wanted)
{
    return book->ticket_count >= wanted;
}

START_TEST(test_listener__finishes_deferred_records_from_another_thread)
{
    static struct book book;
    kur_error error = {0};
    book_init(&book);
    kur_client *client = support_client();
    const char *topic = support_topic(1), *group = support_name("defer");
    send_records(client, topic, 0, 60, 60);
    book.defer = true;
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .commit_interval_ms = 50), topic, group, &book);
    ck_assert(book_wait(&book, has_tickets, 60));
    ck_assert_int_eq(committed(client, topic, group, 1), 0);
    for (int i = 59; i > 0; i--)
        ck_ok(kur_ticket_done(book.tickets[i], &error), error);
    ck_status(kur_ticket_done(book.tickets[7], &error), KUR_ERROR_STALE, error);
    ck_status(kur_ticket_reject(book.tickets[7], "x", "y", &error), KUR_ERROR_STALE, error);
    ck_status(kur_ticket_done((kur_ticket){.slot = 1u << 30, .generation = 1}, &error), KUR_ERROR_STALE, error);
    for (int i = 0; i < WAIT_MS / 20 && told_finished(client, topic, group) < 59; i++)
        usleep(20000);
    ck_assert_int_eq(told_finished(client, topic, group), 59); /* a stop as short as this may be over before that */
    ck_status(kur_listener_stop(listener, 1500, &error), KUR_ERROR_TIMEOUT, error);
    ck_says(error, "1 handlers");
    kur_listener_free(listener);
    ck_status(kur_ticket_done(book.tickets[0], &error), KUR_ERROR_STALE, error);
    /* One is unfinished; all others are told beside the offset, and are not handled again. */
    static struct book again;
    book_init(&again);
    listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, group, &again);
    send_records(client, topic, 60, 1, 61);
    ck_assert(book_wait(&again, all_done, 2));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(again.handled, 2);
    ck_assert_int_eq(again.done[book.ticket_numbers[0]], 1);
    kur_listener_free(listener);
    ck_assert_int_eq(committed(client, topic, group, 1), 61);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener__shares_the_work_and_loses_nothing_when_members_come_and_go)
{
    static struct book book;
    kur_error error = {0};
    book_init(&book);
    kur_client *client = support_client();
    const char *topic = support_topic(6), *group = support_name("share");
    book.sleep_us = 1000;
    kur_listener_options options = KUR_LISTENER_OPTIONS(.concurrency = 4, .session_timeout_ms = 6000);
    kur_listener *first = listen(client, &options, topic, group, &book), *second = NULL;
    for (int round = 0; round < 4; round++) {
        send_records(client, topic, round * 1000, 1000, 50);
        if (round % 2 == 0)
            second = listen(client, &options, topic, group, &book);
        ck_assert_msg(book_wait(&book, all_done, (round + 1) * 1000), "%d of %d", count_done(&book),
                      (round + 1) * 1000);
        if (round % 2 == 1) {
            ck_ok(kur_listener_stop(second, WAIT_MS, &error), error);
            kur_listener_free(second);
        }
    }
    /* The embedded broker takes no commit while the group rebalances: then the first one repeats what the second did.
     */
    kur_listener_health health = KUR_LISTENER_HEALTH();
    for (int i = 0; i < WAIT_MS / 50 && (health.assigned < 6 || committed(client, topic, group, 6) < 4000); i++) {
        usleep(50000);
        ck_ok(kur_listener_health_get(first, &health, &error), error);
    }
    ck_ok(kur_listener_stop(first, WAIT_MS, &error), error);
    kur_listener_free(first);
    ck_assert_int_eq(committed(client, topic, group, 6), 4000);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener__runs_in_the_callers_loop_and_tells_it_of_its_end)
{
    static struct book book;
    kur_error error = {0};
    book_init(&book);
    kur_client *client = support_client();
    const char *topic = support_topic(1), *group = support_name("loop");
    send_records(client, topic, 1, 99, 10);
    book.reject_every = 60;
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.dispatch = KUR_DISPATCH_CALLER), topic, group, &book);
    struct pollfd waits = {.fd = kur_listener_fd(listener), .events = POLLIN};
    kur_status status = KUR_OK;
    int count, sum = 0;
    while (status == KUR_OK) {
        ck_assert_int_eq(poll(&waits, 1, WAIT_MS), 1); /* also when it ends, for nobody takes the rejected one */
        status = kur_listener_dispatch(listener, 7, &count, &error);
        ck_assert_int_le(count, 7);
        sum += count;
    }
    ck_status(status, KUR_ERROR_REJECTED, error);
    ck_assert_int_ge(sum, 60);
    ck_assert_int_eq(book.handled, sum);
    ck_assert_int_eq(book.beside, 0);
    ck_status(kur_listener_stop(listener, WAIT_MS, &error), KUR_ERROR_REJECTED, error);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener__stops_by_its_deadline_without_a_broker)
{
    static struct book book;
    kur_error error = {0};
    struct timespec begin, end;
    book_init(&book);
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = SUPPORT_NOBODY), &error);
    ck_assert_msg(client != NULL, "%s", error.message);
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), "t", "g", &book);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    kur_listener_stop(listener, 2000, &error);
    clock_gettime(CLOCK_MONOTONIC, &end);
    ck_assert_int_le(end.tv_sec - begin.tv_sec, 15); /* a slow day; without the deadline it would be a minute */
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

static void stop_worker(void *state)
{
    (void)state;
}

START_TEST(test_listener__refuses_what_makes_no_sense)
{
    kur_error error = {0};
    kur_client *client = support_client();
    const char *topics[] = {"t", NULL}, *none[] = {NULL}, *bad[] = {"t", "no good", NULL},
               *twice[] = {"t", "u", "t", NULL};
    const struct {
        kur_listener_options options;
        const char *says;
    } cases[] = {
        {KUR_LISTENER_OPTIONS(.topics = topics), ".group"},
        {KUR_LISTENER_OPTIONS(.group = "g"), ".topics"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .pattern = "^t"), ".pattern"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .concurrency = -1), ".concurrency"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .concurrency = 1000000), ".concurrency"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .order = (kur_order)9), ".order"},
        {KUR_LISTENER_OPTIONS(.group = "", .topics = topics), ".group"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = none), ".topics"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = bad), ".topics[1]"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = twice), ".topics[2]"},
        {KUR_LISTENER_OPTIONS(.group = "g", .pattern = "(t"), ".pattern"},
        {KUR_LISTENER_OPTIONS(.group = "g", .pattern = "t.*", .exclude = "[t"), ".exclude"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .exclude = "t"), ".exclude"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .start = (kur_start)3), ".start"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .unknown = (kur_unknown)2), ".unknown"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .gap = (kur_gap_policy)2), ".gap"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .missing = (kur_missing)2), ".missing"},
        {KUR_LISTENER_OPTIONS(.group = "g", .pattern = "t.*", .missing = KUR_MISSING_STOP), ".missing"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .dispatch = (kur_dispatch)2), ".dispatch"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .assignor = (kur_assignor)9), ".assignor"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .protocol = (kur_group_protocol)9), ".protocol"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .group_instance_id = ""), ".group_instance_id"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .worker_stop = stop_worker), ".worker_stop"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .deferred = -1), ".deferred"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .hold_records = -2), ".hold_records"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .hold_kbytes = -1), ".hold_kbytes"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .commit_interval_ms = -1), ".commit_interval_ms"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .drain_ms = -2), ".drain_ms"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .session_timeout_ms = -1), ".session_timeout_ms"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .max_poll_interval_ms = -1), ".max_poll_interval_ms"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .retry = &KUR_RETRY_POLICY(.delay_ms = -1)), ".delay_ms"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .retry = &KUR_RETRY_POLICY(.multiplier = 0.5)),
         ".multiplier"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics,
                              .retry = &KUR_RETRY_POLICY(.delay_ms = 9, .delay_max_ms = 8)),
         ".delay_max_ms"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .retry = &KUR_RETRY_POLICY(.timeout_ms = -1)),
         ".timeout_ms"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .retry = &KUR_RETRY_POLICY(.jitter = 2)), ".jitter"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .retry = &KUR_RETRY_POLICY(.attempts = -5)), ".attempts"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .dead_letters = (kur_dead_letters)3), ".dead_letters"},
        {KUR_LISTENER_OPTIONS(.group = "g", .topics = topics, .dead_letters = KUR_NO_DEAD_LETTER,
                              .on_rejected = take_rejected),
         ".on_rejected"},
        {{.group = "g"}, "size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        error = (kur_error){0};
        ck_assert_ptr_null(kur_listener_new(client, &cases[i].options, &error));
        ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
        ck_says(error, cases[i].says);
    }
    kur_listener *listener = kur_listener_new(client, &KUR_LISTENER_OPTIONS(.group = "g", .topics = topics), &error);
    ck_assert_ptr_nonnull(listener);
    ck_status(kur_listener_start(listener, &error), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "no handler");
    kur_listener_free(listener);
    kur_listener_free(NULL);
    kur_client_unref(client);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_listener__keeps_the_order_of_keys_under_concurrency,
        test_listener__retries_in_place_and_hands_rejected_ones_over,
        test_listener__ends_when_nobody_takes_a_rejected_record,
        test_listener__finishes_deferred_records_from_another_thread,
        test_listener__shares_the_work_and_loses_nothing_when_members_come_and_go,
        test_listener__runs_in_the_callers_loop_and_tells_it_of_its_end,
        test_listener__stops_by_its_deadline_without_a_broker,
        test_listener__refuses_what_makes_no_sense,
        NULL,
    };
    return check_main("listener", tests);
}
