/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Two members with an inbox over a real database. One is killed at random and at named points, the other leaves and
 * comes back all the while, and some records fail, are rejected, and redriven in the end: the effect of each, and its
 * event in the outbox, is there once, and nothing is kept of what is done.
 *
 * Design notes: the value of a record is its number. One of six fails at its first attempt, and goes through a retry
 * topic; another one is rejected, and its letter is sent to the retry topic twice in the end. What is to be seen is
 * counted in the database. Members are static, so that who comes next is the same to the group; the other one is
 * not, so that each time it comes or goes the partitions are divided anew.
 */
#include <kurier/inbox.h>
#include <kurier/kurier.h>
#include <kurier/outbox.h>
#include <kurier/sys/clock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../crashing.h"
#include "../effects.h"
#include "../listening.h"

enum {
    KEYS = 40,
    PARTITIONS = 4,
    CONCURRENCY = 4,
    AT_ONCE = 30,
    BACKLOG = 150,
    OTHER_MS = 2000
};

static bool is_retried(int number)
{
    return number % 6 == 1;
}

static bool is_rejected(int number)
{
    return number % 6 == 2;
}

static int number_of(const kur_record *record)
{
    int number = 0;
    kur_bytes value = kur_record_value(record);
    for (size_t i = 0; i < value.size && number < 1000000; i++)
        number = number * 10 + ((const char *)value.data)[i] - '0';
    return number;
}

/* ---- A member ---- */

static kur_outbox *outbox;

static kur_outcome apply(kur_delivery *delivery, void *transaction, void *user)
{
    (void)user;
    kur_error error = {0};
    char key[16];
    int number = number_of(kur_delivery_record(delivery));
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    if (!effects_add(transaction, number))
        return kur_retry_after(delivery, 50, "test.database", "the database is away");
    snprintf(key, sizeof key, "k%d", number % KEYS);
    if (kur_outbox_add(outbox, transaction,
                       &KUR_MESSAGE(.topic = "effects", .key = kur_bytes_text(key), .value = value), &error) != KUR_OK)
        return kur_retry_after(delivery, 50, "test.database", "%s", error.message);
    if (is_retried(number) && kur_delivery_attempt(delivery) == 1)
        return kur_retry(delivery, "test.fails", "number %d", number);
    if (is_rejected(number) && kur_delivery_attempt(delivery) == 1)
        return kur_reject(delivery, "test.rejects", "number %d", number);
    return KUR_DONE;
}

/* It may be away just now: who starts a service would start it again. */
static bool is_tried_again(const void *made, const kur_error *error, int64_t until_ms)
{
    bool is_away = error->code == KUR_ERROR_UNREACHABLE || (error->code == KUR_ERROR_DATABASE && error->retriable);
    bool is_again = made == NULL && is_away && now_ms() < until_ms;
    if (is_again)
        nap(100);
    return is_again;
}

/* Its arguments: bootstrap topic group place instance, "-" for none. */
static int consume(char **arguments)
{
    kur_error error = {0};
    const char *instance = strcmp(arguments[5], "-") == 0 ? NULL : arguments[5];
    const char *topics[] = {arguments[2], NULL};
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = arguments[1], .source = "/tests", .log = kur_log_stderr), &error);
    kur_database *database = effects_open(arguments[4]);
    kur_listener *listener = kur_listener_new(
        client,
        &KUR_LISTENER_OPTIONS(.group = arguments[3], .topics = topics, .concurrency = CONCURRENCY,
                              .session_timeout_ms = 6000, .commit_interval_ms = 50, .group_instance_id = instance,
                              .retry = &KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = KUR_NONE,
                                                         .delay_ms = 100, .multiplier = 1)),
        &error);
    kur_inbox *inbox = NULL;
    int64_t until_ms = now_ms() + WAIT_MS;
    do
        outbox = kur_outbox_new(client, database, NULL, &error);
    while (is_tried_again(outbox, &error, until_ms));
    do
        inbox = kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = arguments[3], .move_ms = 20), &error);
    while (is_tried_again(inbox, &error, until_ms));
    kur_inbox_on_record(inbox, apply, NULL);
    kur_status status = inbox != NULL && outbox != NULL ? kur_listener_run(listener, &error) : error.code;
    if (status != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_listener_free(listener);
    kur_inbox_free(inbox);
    kur_outbox_free(outbox);
    kur_database_free(database);
    kur_client_unref(client);
    return status != KUR_OK;
}

/* ---- Rows ---- */

struct row {
    const char *point; /* NULL: at random */
    int most_passes;   /* the kill is at one of them */
    int wanted, kills;
    const char *topic, *group;
    char place[64];
    pid_t child, other;
    bool other_ends; /* it has been told to, and is not awaited */
    int64_t kill_ms, other_ms, sent_ms;
    int sent, before, other_before; /* records; effects when the child was started, and when the other came */
};

static struct row rows[] = {
    {.point = NULL},
    {.point = "inbox-entered", .most_passes = 100},
    {.point = "inbox-handled", .most_passes = 60},
    {.point = "inbox-committed", .most_passes = 60},
    {.point = "inbox-forwarded", .most_passes = 10},
    {.point = "inbox-left-open", .most_passes = 10},
    {.point = "inbox-moved", .most_passes = 10},
    {.point = "commit-answered", .most_passes = 6},
};

#define ROWS_END (rows + sizeof rows / sizeof *rows)

static pid_t start_process(const struct row *row, const char *instance, const char *at)
{
    const char *bootstrap = support_bootstrap();
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t held; /* until the listener runs, which takes it then: on a slow day it does not run yet */
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_BLOCK, &held, NULL);
    setenv("KURIER_CRASH_AT", at, 1);
    char name[4096] = "";
    ssize_t size = readlink("/proc/self/exe", name, sizeof name - 1);
    char *arguments[] = {
        name, strdup(bootstrap), strdup(row->topic), strdup(row->group), strdup(row->place), strdup(instance), NULL};
    if (size > 0)
        execv(name, arguments);
    _exit(127);
}

static void end_process(pid_t *child)
{
    int status = -1;
    if (*child == 0)
        return;
    kill(*child, SIGTERM);
    waitpid(*child, &status, 0);
    ck_assert_int_eq(status, 0);
    *child = 0;
}

/* Whether there is none, or it has gone; a second signal would hurry it. */
static bool other_has_ended(struct row *row, bool waits)
{
    int status = -1;
    if (row->other == 0)
        return true;
    if (!row->other_ends)
        kill(row->other, SIGTERM);
    row->other_ends = true;
    if (waitpid(row->other, &status, waits ? 0 : WNOHANG) == 0)
        return false;
    ck_assert_int_eq(status, 0);
    row->other = 0;
    row->other_ends = false;
    return true;
}

static void start_other(struct row *row)
{
    row->other_before = effects_read(row->place).rows;
    row->other = start_process(row, "-", "");
}

static void start(struct row *row)
{
    char at[64] = "";
    if (row->most_passes > 0)
        snprintf(at, sizeof at, "%s:%d", row->point, 1 + rand() % row->most_passes);
    row->before = effects_read(row->place).rows;
    row->kill_ms = 0;
    row->child = start_process(row, "killed", at);
}

/*
 * The other member comes, and goes after a while, once something has been done: on a slow day a group would do nothing
 * but divide its partitions.
 */
static void turn_other(struct row *row, int rows_now)
{
    bool is_due = now_ms() >= row->other_ms && (row->other == 0 || rows_now > row->other_before);
    if (row->other_ends ? !other_has_ended(row, false) : !is_due)
        return;
    row->other_ms = now_ms() + OTHER_MS;
    if (is_due && row->other == 0)
        start_other(row);
    else if (is_due)
        other_has_ended(row, false);
}

static void send_more(kur_client *client, struct row *row, int count)
{
    row->sent_ms = now_ms();
    for (int until = row->sent + count; row->sent < until; row->sent++) {
        char key[16], value[32];
        snprintf(key, sizeof key, "k%d", row->sent % KEYS);
        snprintf(value, sizeof value, "%d", row->sent);
        send_text(client, row->topic, row->sent % PARTITIONS, key, value);
    }
}

static const char *name_of(const struct row *row)
{
    return row->point != NULL ? row->point : "at random";
}

/* Whether the process has been killed; kills it when it is time. */
static bool has_died(struct row *row, int rows_now)
{
    int status = 0;
    if (row->point == NULL && row->kill_ms == 0 && rows_now > row->before)
        row->kill_ms = now_ms() + rand() % 1000;
    if (row->kill_ms != 0 && now_ms() >= row->kill_ms)
        kill(row->child, SIGKILL);
    if (waitpid(row->child, &status, WNOHANG) == 0)
        return false;
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: the process ended by itself: %d",
                  name_of(row), status);
    row->kills++;
    row->child = 0;
    return true;
}

static void kill_once_each(kur_client *client)
{
    int left = 0;
    for (struct row *row = rows; row < ROWS_END; row++)
        if (row->kills < row->wanted) {
            start(row);
            left++;
        }
    for (int64_t until_ms = now_ms() + 2 * WAIT_MS; left > 0; nap(20))
        for (struct row *row = rows; row < ROWS_END; row++) {
            if (row->child == 0)
                continue;
            ck_assert_msg(now_ms() < until_ms, "%s: nothing has killed the process", name_of(row));
            int rows_now = effects_read(row->place).rows;
            turn_other(row, rows_now);
            if (row->sent - rows_now * 6 / 5 < BACKLOG || now_ms() - row->sent_ms > 1000)
                send_more(client, row, AT_ONCE);
            left -= has_died(row, rows_now);
        }
}

static void make_row(kur_client *client, struct row *row)
{
    row->topic = support_topic(PARTITIONS);
    row->group = support_name("inbox");
    effects_make(row->place);
    send_more(client, row, AT_ONCE);
}

/* ---- What is left of it ---- */

static int rejected_of(const struct row *row)
{
    int count = 0;
    for (int i = 0; i < row->sent; i++)
        count += is_rejected(i);
    return count;
}

/* Of each that was rejected, one letter goes to the retry topic twice, with a second attempt as its next. */
static void redrive(kur_client *client, struct row *row)
{
    kur_error error = {0};
    bool *is_seen = calloc((size_t)row->sent, sizeof *is_seen);
    int left = rejected_of(row);
    kur_buffer letters = {0}, retries = {0};
    kur_arena *arena = kur_arena_new();
    ck_ok(kur_retry_topic(&letters, NULL, row->topic, row->group, KUR_TIER_DEAD, NULL, &error), error);
    ck_ok(kur_retry_topic(&retries, NULL, row->topic, row->group, KUR_TIER_SHORT, NULL, &error), error);
    const char *topics[] = {letters.data, NULL};
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    for (int64_t until_ms = now_ms() + 2 * WAIT_MS; left > 0;) {
        kur_record *record = NULL;
        kur_consumer_poll(consumer, 100, &record, &error);
        ck_assert_msg(now_ms() < until_ms, "%s: %d letters are missing", name_of(row), left);
        if (record == NULL)
            continue;
        int number = number_of(record);
        ck_assert(number >= 0 && number < row->sent);
        bool is_again = is_seen[number]; /* it was sent, and its offset not committed */
        is_seen[number] = true;
        left -= !is_again;
        kur_retry_view view = KUR_RETRY_VIEW();
        const kur_header *headers;
        size_t count;
        ck_ok(kur_retry_read(record, KUR_HEADERS_KURIER, kur_clock_now_us(), arena, &view, &error), error);
        view.attempt = 2;
        ck_ok(kur_retry_write(record, KUR_HEADERS_KURIER, KUR_TIER_SHORT, &view, 0, arena, &headers, &count, &error),
              error);
        for (int i = 0; i < 2 && !is_again; i++)
            ck_ok(kur_producer_send(
                      kur_client_producer(client, &error),
                      &KUR_MESSAGE(.topic = retries.data, .key = kur_record_key(record),
                                   .value = kur_record_value(record), .headers = headers, .header_count = count,
                                   .partition = KUR_PARTITION(kur_record_partition(record)), .verbatim = true),
                      &error),
                  error);
        kur_consumer_free_records(consumer, &record, 1);
        kur_arena_reset(arena);
    }
    flush(client);
    free(is_seen);
    kur_consumer_free(consumer);
    kur_arena_free(arena);
    kur_buffer_done(&letters);
    kur_buffer_done(&retries);
}

/* Until so many effects are there, and nothing is kept of them but so many open ones. */
static struct effects wait_for_effects(struct row *row, int rows_wanted, int open)
{
    struct effects now = {0};
    for (int64_t until_ms = now_ms() + 2 * WAIT_MS; now_ms() < until_ms; nap(50)) {
        now = effects_read(row->place);
        if (now.rows >= rows_wanted && now.done == 0 && now.open == open)
            break;
    }
    return now;
}

static void check_row(const struct row *row, const struct effects *now, int wanted, int open)
{
    ck_assert_msg(now->numbers == wanted, "%s: %d of %d records", name_of(row), now->numbers, wanted);
    ck_assert_msg(now->rows == wanted, "%s: %d effects of %d records", name_of(row), now->rows, wanted);
    ck_assert_msg(now->outbox_rows == wanted, "%s: %d events of %d records", name_of(row), now->outbox_rows, wanted);
    ck_assert_msg(now->done == 0 && now->open == open, "%s: %d rows done and %d open are kept, not 0 and %d",
                  name_of(row), now->done, now->open, open);
}

/*
 * One more in each partition. Who is killed between the commit and the inbox's move leaves rows there, which go with
 * the partition's next commit.
 */
static void send_last(kur_client *client, struct row *row)
{
    send_more(client, row, PARTITIONS);
    flush(client);
}

static void end_all(kur_client *client)
{
    for (struct row *row = rows; row < ROWS_END; row++) {
        other_has_ended(row, true);
        row->child = start_process(row, "killed", "");
        send_last(client, row);
    }
    for (struct row *row = rows; row < ROWS_END; row++) {
        int dead = rejected_of(row), wanted = row->sent - dead;
        struct effects now = wait_for_effects(row, wanted, dead);
        check_row(row, &now, wanted, dead);
        redrive(client, row);
        now = wait_for_effects(row, row->sent, 0);
        end_process(&row->child);
        check_row(row, &now, row->sent, 0);
        printf("# %-16s %5d kills %6d records %6d effects %6d events\n", name_of(row), row->kills, row->sent, now.rows,
               now.outbox_rows);
        effects_remove(row->place);
    }
}

START_TEST(test_inbox_crash__each_record_has_its_effect_once)
{
    skip_unless(support_is_real(), "the embedded broker does not miss a member that was killed");
    skip_unless(effects_missing() == NULL, effects_missing());
    const char *asked = getenv("KURIER_KILLS");
    int each = asked != NULL ? atoi(asked) : 1;
    kur_client *client = support_client();
    srand((unsigned)getpid());
    for (struct row *row = rows; row < ROWS_END; row++) {
        row->wanted = each;
        make_row(client, row);
    }
    for (int i = 0; i < each; i++) {
        kill_once_each(client);
        if (asked != NULL)
            fprintf(stderr, "inbox over %s: round %d of %d\n", effects_name, i + 1, each);
    }
    flush(client);
    end_all(client);
    for (struct row *row = rows; row < ROWS_END; row++)
        ck_assert_int_eq(row->kills, each);
    kur_client_unref(client);
}
END_TEST

/* ---- Without dying ---- */

/* Sends, and lets the other member come and go, while `trouble` is made a few times. */
static void trouble_row(void (*trouble)(struct row *row), int times)
{
    struct row row = {.point = "nothing"};
    skip_unless(support_is_real(), "the embedded broker does not miss a member that was frozen");
    skip_unless(effects_missing() == NULL, effects_missing());
    kur_client *client = support_client();
    srand((unsigned)getpid());
    make_row(client, &row);
    start(&row);
    for (int i = 0; i < times; i++) {
        int before = effects_read(row.place).rows, rows_now = before;
        for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms && rows_now <= before + AT_ONCE; nap(20)) {
            if (now_ms() - row.sent_ms > 300)
                send_more(client, &row, AT_ONCE);
            turn_other(&row, rows_now);
            rows_now = effects_read(row.place).rows;
        }
        nap(rand() % 100);
        trouble(&row);
    }
    other_has_ended(&row, true);
    send_last(client, &row);
    struct effects now = wait_for_effects(&row, row.sent - rejected_of(&row), rejected_of(&row));
    check_row(&row, &now, row.sent - rejected_of(&row), rejected_of(&row));
    redrive(client, &row);
    now = wait_for_effects(&row, row.sent, 0);
    end_process(&row.child);
    check_row(&row, &now, row.sent, 0);
    printf("# %d records, %d effects, %d events\n", row.sent, now.rows, now.outbox_rows);
    effects_remove(row.place);
    kur_client_unref(client);
}

/* Beyond its session, in the middle of whatever it did; others take its partitions, and then it goes on. */
static void freeze(struct row *row)
{
    if (row->other == 0 || (row->other_ends && other_has_ended(row, true)))
        start_other(row);
    row->other_ms = now_ms() + 20000;
    kill(row->child, SIGSTOP);
    nap(8000);
    kill(row->child, SIGCONT);
}

START_TEST(test_inbox_crash__a_frozen_member_changes_nothing_twice)
{
    trouble_row(freeze, 3);
}
END_TEST

static void take_away(struct row *row)
{
    effects_away(row->place, true);
    nap(500 + rand() % 3000);
    effects_away(row->place, false);
}

START_TEST(test_inbox_crash__the_database_goes_away_and_comes_back)
{
    trouble_row(take_away, 6);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 5)
        return consume(argv);
    char name[40];
    const TTest *const tests[] = {test_inbox_crash__each_record_has_its_effect_once,
                                  test_inbox_crash__a_frozen_member_changes_nothing_twice,
                                  test_inbox_crash__the_database_goes_away_and_comes_back, NULL};
    snprintf(name, sizeof name, "inbox_crash_%s", effects_name);
    return check_main(name, tests);
}
