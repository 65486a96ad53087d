/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Over a real database each allocation of ours fails once in an inbox's life: made with its database and its listener,
 * it handles some records, is stopped and freed. Either memory is said to be out, or the work is done; nothing is left
 * of it, and each record has changed the database once.
 *
 * Design notes: all lives are those of one service, with one topic and one group, and each has records of its own: what
 * one leaves undone the next one does. Which allocation is the nth differs from run to run, for threads take memory
 * beside each other. A life takes some seconds, so that only some are tried, others each time; KURIER_SWEEP=1 tries
 * all, KURIER_SWEEP=10 every tenth.
 */
#include <kurier/inbox.h>
#include <kurier/kurier.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../effects.h"
#include "../failing.h"
#include "../listening.h"

enum {
    EACH = 6, /* records of a life; of them one is retried by topic, and one rejected */
    STEP = 24
};

#define COUNTED(F, S) F(S, STRING, number)
KUR_EVENT(counted, "test.counted", 1, COUNTED);
static char topic[128]; /* known when the test runs */
KUR_EVENT_DEFINE(counted, COUNTED, .topic = topic);

static const char *group;
static char place[64];
static int sent;

static kur_outcome apply(kur_delivery *delivery, void *transaction, const struct counted *event, void *user)
{
    (void)user;
    int number = atoi(event->number);
    bool is_first = kur_delivery_attempt(delivery) == 1; /* of one for which there was no memory this is the second */
    if (!effects_add(transaction, number))
        return kur_retry(delivery, "test.database", "number %d", number);
    if (is_first && number % EACH == 1)
        return kur_retry(delivery, "test.fails", "number %d", number);
    if (number % EACH == 2)
        return kur_reject(delivery, "test.rejects", "number %d", number);
    return KUR_DONE;
}

static void send_more(void)
{
    kur_error error = {0};
    kur_client *client = support_client();
    for (int until = sent + EACH; sent < until; sent++) {
        char number[16];
        snprintf(number, sizeof number, "%d", sent);
        ck_ok(counted_publish(kur_client_producer(client, &error), &(struct counted){.number = number}, NULL, &error),
              error);
    }
    flush(client);
    kur_client_unref(client);
}

/* The group's own topics are there before it: that they come would be a rebalance. */
static void make_own_topics(void)
{
    static const kur_tier tiers[] = {KUR_TIER_SHORT, KUR_TIER_MEDIUM, KUR_TIER_LONG, KUR_TIER_DEAD};
    kur_error error = {0};
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
        kur_buffer name = {0};
        ck_ok(kur_retry_topic(&name, NULL, topic, group, tiers[i], NULL, &error), error);
        support_create(name.data, 1);
        kur_buffer_done(&name);
    }
}

/* All records are done, or dead letters, which the database knows of. */
static bool is_done(const struct effects *now)
{
    return now->rows == sent - sent / EACH && now->open == sent / EACH && now->done == 0;
}

/* Until all is done, or the listener has ended by itself. */
static void wait_for_all(kur_listener *listener)
{
    struct effects now = {0};
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(20)) {
        now = effects_read(place);
        if (is_done(&now) || health_of(listener).status != KUR_OK)
            return;
    }
    ck_abort_msg("of %d records %d have their effect, %d are open and %d kept as done", sent, now.rows, now.open,
                 now.done);
}

static kur_inbox *make_inbox(kur_listener *listener, kur_database *database, kur_error *error)
{
    kur_inbox *inbox = kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "c", .move_ms = 20), error);
    if (inbox != NULL)
        counted_inbox(inbox, apply, NULL); /* what fails here the start tells */
    return inbox;
}

static kur_status handle_all(kur_client *client, kur_database *database, kur_error *error)
{
    const char *topics[] = {topic, NULL};
    kur_listener *listener = kur_listener_new(
        client,
        &KUR_LISTENER_OPTIONS(.group = group, .topics = topics, .concurrency = 2, .commit_interval_ms = 30,
                              .session_timeout_ms = 10000,
                              .retry = &KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = 4, .delay_ms = 20)),
        error);
    kur_inbox *inbox = listener != NULL ? make_inbox(listener, database, error) : NULL;
    kur_status status = inbox != NULL ? kur_listener_start(listener, error) : error->code;
    if (inbox != NULL && status == KUR_OK) {
        wait_for_all(listener);
        status = kur_listener_stop(listener, WAIT_MS, error);
    }
    kur_listener_free(listener);
    kur_inbox_free(inbox);
    return status;
}

/* The nth allocation fails, the client's own excepted; whether one has. */
static bool live(long nth)
{
    kur_error error = {0};
    send_more();
    failing_begin(0, false);
    kur_client *client = support_client();
    failing_next(nth);
    kur_database *database = effects_try(place, &error);
    kur_status status = database != NULL ? handle_all(client, database, &error) : error.code;
    kur_database_free(database);
    kur_client_unref(client);
    bool has_failed = failing_has_failed();
    failing_end();
    ck_assert_msg(failing_live() == 0, "%ld allocations are left when the %ldth fails", failing_live(), nth);
    ck_assert_msg(status == KUR_OK || (has_failed && status == KUR_ERROR_NO_MEMORY && error.code == status),
                  "%s (%s) when allocation %ld fails", kur_status_name(status), error.message, nth);
    struct effects now = effects_read(place);
    ck_assert_msg(now.rows == now.numbers, "%d effects of %d records when allocation %ld fails", now.rows, now.numbers,
                  nth);
    ck_assert_msg(status != KUR_OK || now.rows == sent - sent / EACH,
                  "%d effects of %d records when allocation %ld "
                  "fails",
                  now.rows, sent, nth);
    return has_failed;
}

START_TEST(test_inbox_memory__every_allocation_fails_once)
{
    skip_unless(effects_missing() == NULL, effects_missing());
    const char *asked = getenv("KURIER_SWEEP");
    int step = asked != NULL ? atoi(asked) : STEP, lives = 0;
    ck_assert_int_gt(step, 0);
    srand((unsigned)getpid());
    snprintf(topic, sizeof topic, "%s", support_topic(1));
    group = support_name("inbox");
    make_own_topics();
    effects_make(place);
    long nth = 1 + rand() % step;
    for (; live(nth); nth += step)
        lives++;
    struct effects now = effects_read(place);
    ck_assert_msg(is_done(&now), "of %d records %d have their effect, %d are open and %d kept as done", sent, now.rows,
                  now.open, now.done);
    printf("# over %s %d allocations were made to fail, of less than %ld\n", effects_name, lives, nth);
    ck_assert_int_gt(lives, 0);
    effects_remove(place);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_inbox_memory__every_allocation_fails_once, NULL};
    char name[40];
    snprintf(name, sizeof name, "inbox_memory_%s", effects_name);
    int status = check_main(name, tests);
    support_stop();
    return status;
}
