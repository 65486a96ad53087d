/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's process is killed under the load of retries: each record is handled as often as it was to fail and
 * once more, or ends among the dead letters; none is early, none begins to count anew, and what is repeated stays
 * within its bound. And what waits outlives the process that holds it, 50,000 records at once.
 *
 * Design notes: rows and ledgers as in test_listener_crash.c. Each attempt writes a line into the row's ledger when it
 * begins; which of the records in a retry topic it was is told by its due time, which no two of them have in common. A
 * repeat is a second attempt at one and the same record. A record that was forwarded, and not finished before its
 * process died, is forwarded again, and both go their ways: those are copies, and are counted apart; exactly-once there
 * are none.
 *
 * The bound is that of test_listener_crash.c: what the last answered commit does not cover, with attempts that have
 * failed, and whose forward was not answered, in the place of events; a transaction's set is closed where a commit is
 * begun, for much may happen until its offsets are sent, and what cannot be forwarded yet is not in it. Who comes next
 * is the same member to the group, so that nobody has to wait until it misses the dead.
 */
#include <fcntl.h>
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <kurier/retry.h>
#include <kurier/sys/clock.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check_main.h"
#include "../crashing.h"
#include "../listening.h"
#include "../support.h"

/* All of them have to wait before the first is due: under ThreadSanitizer, on a slow day, that holds for fewer. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define WAITING_RECORDS 10000
#endif
#endif
#ifndef WAITING_RECORDS
#define WAITING_RECORDS 50000
#endif

enum {
    KEYS = 60,
    PARTITIONS = 3,
    CONCURRENCY = 8,
    COMMIT_MS = 50,
    DELAY_MS = 150,
    ATTEMPTS = 4,
    FAILURES = 6,  /* a record fails 0 to 5 times */
    AT_ONCE = 60,  /* records sent */
    BACKLOG = 300, /* sent and not handled, about */
    WAITING = WAITING_RECORDS,
    WAITING_MS = 30000,
    BEGUN = -1,
    ANSWERED = -2,
    LOST = -3,
    PARKED = -4
};

/* An attempt, or a mark: a commit that was BEGUN (with what has failed, and is not forwarded) or ANSWERED; LOST; so
 * many are PARKED.
 */
struct entry {
    int32_t process, number, attempt;
    int32_t is_wrong; /* its attempt is not what the headers tell */
    int64_t due_us, at_us;
};

static int failures_of(int number)
{
    return (int)((int64_t)number * 7919 % FAILURES);
}

static int attempts_of(int number, bool waits)
{
    int attempts = (waits ? 1 : failures_of(number)) + 1;
    return attempts < ATTEMPTS ? attempts : ATTEMPTS;
}

static bool is_dead(int number, bool waits)
{
    return !waits && failures_of(number) >= ATTEMPTS;
}

/* ---- The process that is killed ---- */

static int ledger;
static bool waits;        /* each record fails once, and then waits for long */
static atomic_int failed; /* and not forwarded, as far as the process knows */
static atomic_int polled, parked_at;

static bool note(struct entry entry)
{
    entry.process = (int32_t)getpid();
    return write(ledger, &entry, sizeof entry) == sizeof entry;
}

static void on_pass(const char *point)
{
    if (strcmp(point, "forward-answered") == 0 || strcmp(point, "forward-committed") == 0)
        --failed;
    else if (strcmp(point, "commit-begun") == 0 || strcmp(point, "set-closed") == 0)
        note((struct entry){.number = BEGUN, .attempt = failed});
    else if (strcmp(point, "commit-answered") == 0 || strcmp(point, "committed") == 0)
        note((struct entry){.number = ANSWERED});
    else if (strcmp(point, "revoked") == 0 || strcmp(point, "lost") == 0)
        note((struct entry){.number = LOST});
    else if (strcmp(point, "polled") == 0 && ++polled == parked_at)
        note((struct entry){.number = PARKED});
}

/* Of a header that is not there: ""; cut at 39 bytes. */
static void read_header(const kur_record *record, const char *name, char text[40])
{
    kur_bytes value = {0};
    text[0] = '\0';
    if (!kur_record_header_last(record, name, &value) || value.data == NULL)
        return;
    snprintf(text, 40, "%.*s", value.size < 39 ? (int)value.size : 39, (const char *)value.data);
}

static kur_outcome fail_some_times(kur_delivery *delivery, void *user)
{
    const kur_record *record = kur_delivery_record(delivery);
    kur_bytes value = kur_record_value(record);
    char attempt[40], due[40];
    struct entry entry = {.number = -100, .attempt = kur_delivery_attempt(delivery), .at_us = kur_clock_now_us()};
    (void)user;
    sscanf(value.data, "%d", &entry.number);
    read_header(record, "kurier-retry-attempt", attempt);
    read_header(record, "kurier-retry-due", due);
    kur_time_parse(due, strlen(due), &entry.due_us, NULL);
    entry.is_wrong = attempt[0] != '\0' ? atoi(attempt) != entry.attempt || entry.attempt == 1 : entry.attempt != 1;
    if (!note(entry))
        return KUR_RETRY;
    if (!waits) /* some are slow, so that much above them is finished and told beside the offset */
        nap(entry.number % 40 == 0 ? 200 : 1 + entry.number % 3);
    if (entry.attempt <= (waits ? 1 : failures_of(entry.number))) {
        ++failed;
        return kur_retry(delivery, "test.fails", "attempt %d", entry.attempt);
    }
    return KUR_DONE;
}

/* Its arguments: bootstrap topic group ledger way; the way is "once" (at least), "exactly", or when so many are parked.
 */
static int consume(char **arguments)
{
    kur_error error = {0};
    bool is_exact = strcmp(arguments[5], "exactly") == 0;
    ledger = open(arguments[4], O_WRONLY | O_APPEND | O_CLOEXEC);
    parked_at = atoi(arguments[5]);
    waits = parked_at > 0;
    crashing_on_pass = on_pass;
    kur_client *client = kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = arguments[1], .source = "/tests", .log = kur_log_stderr), &error);
    const char *topics[] = {arguments[2], NULL};
    kur_listener *listener = kur_listener_new(
        client,
        &KUR_LISTENER_OPTIONS(.group = arguments[3], .topics = topics, .concurrency = CONCURRENCY,
                              .session_timeout_ms = 10000, .commit_interval_ms = COMMIT_MS,
                              .guarantee = is_exact ? KUR_EXACTLY_ONCE : KUR_AT_LEAST_ONCE,
                              .group_instance_id = "killed",
                              .retry = &KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .attempts = ATTEMPTS,
                                                         .delay_ms = waits ? WAITING_MS : DELAY_MS, .jitter = KUR_NONE),
                              .retry_topics =
                                  &KUR_RETRY_TOPICS(.window_records = parked_at >= 2 * WAITING ? WAITING * 7 / 5
                                                                      : waits                  ? WAITING
                                                                                               : 0,
                                                    .window_kbytes = parked_at >= 2 * WAITING ? WAITING * 5 / 2
                                                                     : waits                  ? WAITING * 2 / 3
                                                                                              : 0)),
        &error);
    kur_listener_on_record(listener, fail_some_times, NULL);
    kur_status status = kur_listener_run(listener, &error);
    if (status != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_listener_free(listener);
    kur_client_unref(client);
    return status != KUR_OK;
}

/* ---- Rows ---- */

struct row {
    const char *point; /* NULL: at random */
    int most_passes;   /* the kill is at one of them */
    const char *way;
    int wanted, kills;
    const char *topic, *group;
    char path[32];
    pid_t child;
    off_t size; /* of the ledger when the child was started */
    int64_t kill_ms, sent_ms;
    int sent, first; /* records, and those attempts that had been made by then */
    int repeated, bound, copies, early, wrong, lost, letters, extra_letters;
};

static struct row rows[] = {
    {.way = "once"},
    {.point = "forwarded", .most_passes = 100, .way = "once"},
    {.point = "forward-answered", .most_passes = 100, .way = "once"},
    {.point = "commit-sent", .most_passes = 6, .way = "once"},
    {.point = "commit-answered", .most_passes = 6, .way = "once"},
    {.point = "offsets-sent", .most_passes = 6, .way = "exactly"},
    {.point = "committed", .most_passes = 6, .way = "exactly"},
};

#define ROWS_END (rows + sizeof rows / sizeof *rows)

static bool is_exact(const struct row *row)
{
    return strcmp(row->way, "exactly") == 0;
}

static off_t ledger_size(const struct row *row)
{
    struct stat now;
    ck_assert_int_eq(stat(row->path, &now), 0);
    return now.st_size;
}

static void make_row(struct row *row)
{
    row->topic = support_topic(PARTITIONS);
    row->group = support_name("kill");
    snprintf(row->path, sizeof row->path, "/tmp/kurier-ledger-XXXXXX");
    int file = mkstemp(row->path);
    ck_assert_int_ge(file, 0);
    close(file);
}

static void start(struct row *row, bool is_to_die)
{
    const char *bootstrap = support_bootstrap();
    char at[64] = "";
    if (is_to_die && row->point != NULL)
        snprintf(at, sizeof at, "%s:%d", row->point, 1 + rand() % row->most_passes);
    row->size = ledger_size(row);
    row->kill_ms = 0;
    row->child = fork();
    if (row->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigset_t held; /* until the listener runs, which takes it then: on a slow day it does not run yet */
        sigemptyset(&held);
        sigaddset(&held, SIGTERM);
        sigprocmask(SIG_BLOCK, &held, NULL);
        setenv("KURIER_CRASH_AT", at, 1);
        char name[4096] = "";
        ssize_t size = readlink("/proc/self/exe", name, sizeof name - 1);
        char *arguments[] = {
            name, strdup(bootstrap), strdup(row->topic), strdup(row->group), row->path, strdup(row->way), NULL};
        if (size > 0)
            execv(name, arguments);
        _exit(127);
    }
    ck_assert_int_gt(row->child, 0);
}

static void send_more(kur_client *client, struct row *row, int count)
{
    row->sent_ms = now_ms();
    for (int until = row->sent + count; row->sent < until; row->sent++) {
        char key[16], value[32];
        snprintf(key, sizeof key, "k%d", row->sent % KEYS);
        snprintf(value, sizeof value, "%d", row->sent);
        send_text(client, row->topic, row->sent % PARTITIONS, count > AT_ONCE ? NULL : key, value);
    }
}

static struct entry *read_ledger(const struct row *row, size_t *count)
{
    FILE *file = fopen(row->path, "r");
    ck_assert_ptr_nonnull(file);
    *count = (size_t)ledger_size(row) / sizeof(struct entry);
    struct entry *entries = calloc(*count + 1, sizeof *entries);
    *count = fread(entries, sizeof *entries, *count, file);
    fclose(file);
    return entries;
}

static int compare(const void *a, const void *b)
{
    const struct entry *one = a, *other = b;
    if (one->number != other->number)
        return one->number < other->number ? -1 : 1;
    if (one->attempt != other->attempt)
        return one->attempt < other->attempt ? -1 : 1;
    if (one->due_us != other->due_us)
        return one->due_us < other->due_us ? -1 : 1;
    return (one->at_us > other->at_us) - (one->at_us < other->at_us);
}

/*
 * How many different attempts of records the ledger holds, those that were to be made; sets what was repeated, copied,
 * early and wrong.
 */
static int count_first(struct row *row)
{
    size_t count;
    bool row_waits = atoi(row->way) > 0;
    struct entry *entries = read_ledger(row, &count);
    int64_t delay_us = row_waits ? WAITING_MS * INT64_C(1000) : DELAY_MS * INT64_C(1000);
    int first = 0;
    row->repeated = row->copies = row->early = row->wrong = 0;
    qsort(entries, count, sizeof *entries, compare);
    int64_t first_us = 0, before_us = 0; /* of this attempt and of the one before, when it was begun first */
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &entries[i], *last = i > 0 ? &entries[i - 1] : NULL;
        if (entry->number < 0)
            continue;
        bool is_record = last != NULL && last->number == entry->number;
        bool is_attempt = is_record && last->attempt == entry->attempt;
        int next = is_record ? last->attempt + 1 : 1;
        row->wrong += entry->is_wrong || entry->number >= row->sent || (!is_attempt && entry->attempt != next) ||
                      entry->attempt > attempts_of(entry->number, row_waits);
        row->early += entry->at_us < entry->due_us;
        if (is_attempt && last->due_us == entry->due_us) {
            row->repeated++;
            continue;
        }
        if (is_attempt) {
            row->copies++;
            first_us = entry->at_us < first_us ? entry->at_us : first_us;
        } else {
            before_us = is_record ? first_us : 0;
            first_us = entry->at_us;
            first++;
        }
        if (before_us != 0)
            row->early += entry->at_us < before_us + (delay_us << (entry->attempt - 2));
    }
    free(entries);
    return first;
}

/* What the losses of the row's process, and its death, may repeat, as the design notes say. */
static int bound_of(const struct row *row, bool has_died)
{
    size_t count;
    struct entry *entries = read_ledger(row, &count);
    int since_before = 0, since_begun = 0, under_way = 0, uncovered = CONCURRENCY, lost = 0;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].process != row->child)
            continue;
        if (entries[i].number == BEGUN) {
            since_before = since_begun;
            since_begun = 0;
            under_way = entries[i].attempt;
        } else if (entries[i].number == ANSWERED) {
            uncovered = since_before + since_begun + under_way + CONCURRENCY;
        } else if (entries[i].number == LOST) {
            lost += uncovered;
            since_before = since_begun = 0;
            uncovered = CONCURRENCY;
        } else if (entries[i].number >= 0) {
            since_begun++;
            uncovered++;
        }
    }
    free(entries);
    return lost + (has_died ? uncovered : 0);
}

static const char *name_of(const struct row *row)
{
    return row->point != NULL ? row->point : "at random";
}

static void end_as_killed(struct row *row, int status)
{
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: the process ended by itself: %d",
                  name_of(row), status);
    row->bound += bound_of(row, true);
    row->first = count_first(row);
    row->kills++;
    row->child = 0;
}

/* Whether the process has been killed; kills it when it is time. */
static bool has_died(struct row *row)
{
    int status = 0;
    if (row->point == NULL && row->kill_ms == 0 && ledger_size(row) > row->size)
        row->kill_ms = now_ms() + rand() % 500;
    if (row->kill_ms != 0 && now_ms() >= row->kill_ms)
        kill(row->child, SIGKILL);
    if (waitpid(row->child, &status, WNOHANG) == 0)
        return false;
    end_as_killed(row, status);
    return true;
}

static void kill_once_each(kur_client *client)
{
    int left = 0;
    for (struct row *row = rows; row < ROWS_END; row++)
        if (row->kills < row->wanted) {
            start(row, true);
            left++;
        }
    for (int64_t until_ms = now_ms() + 2 * WAIT_MS; left > 0; nap(10))
        for (struct row *row = rows; row < ROWS_END; row++) {
            if (row->child == 0)
                continue;
            ck_assert_msg(now_ms() < until_ms, "%s: nothing has killed the process", name_of(row));
            /* There are about three attempts of each. Also when some do not come, which is to be told in the end. */
            int handled = row->first + (int)((ledger_size(row) - row->size) / (off_t)sizeof(struct entry));
            if (row->sent - handled / 3 < BACKLOG || now_ms() - row->sent_ms > 1000)
                send_more(client, row, AT_ONCE);
            left -= has_died(row);
        }
}

static bool has_retried(const struct row *row)
{
    size_t count;
    bool is_so = false;
    struct entry *entries = read_ledger(row, &count);
    for (size_t i = 0; i < count && !is_so; i++)
        is_so = entries[i].number >= 0 && entries[i].attempt > 1;
    free(entries);
    return is_so;
}

static void end_child(struct row *row)
{
    int status = -1;
    row->bound += bound_of(row, false);
    kill(row->child, SIGTERM);
    waitpid(row->child, &status, 0);
    ck_assert_int_eq(status, 0);
    row->first = count_first(row);
    row->child = 0;
}

/* A first process makes the topics, and has its part of all of them. */
static void begin_all(kur_client *client)
{
    for (struct row *row = rows; row < ROWS_END; row++) {
        make_row(row);
        send_more(client, row, AT_ONCE);
        start(row, false);
    }
    int64_t until_ms = now_ms() + WAIT_MS;
    for (struct row *row = rows; row < ROWS_END; row++) {
        while (!has_retried(row) && now_ms() < until_ms)
            nap(20);
        end_child(row);
    }
}

/* ---- What is left of it ---- */

static int wanted_of(const struct row *row)
{
    int wanted = 0;
    for (int i = 0; i < row->sent; i++)
        wanted += attempts_of(i, atoi(row->way) > 0);
    return wanted;
}

/* Reads the dead letters to their end; whether each that is to be there is. Which are there more than once is counted.
 */
static int count_missing_letters(kur_client *client, struct row *row)
{
    kur_error error = {0};
    kur_buffer name = {0};
    ck_ok(kur_retry_topic(&name, NULL, row->topic, row->group, KUR_TIER_DEAD, NULL, &error), error);
    const char *topics[] = {name.data, NULL};
    kur_consumer *consumer = kur_consumer_new(client, &KUR_CONSUMER_OPTIONS(.audience = KUR_BROADCAST), &error);
    ck_assert_msg(consumer != NULL, "%s", error.message);
    ck_ok(kur_consumer_subscribe(consumer, topics, &error), error);
    int wanted = 0;
    unsigned char *is_there = calloc((size_t)row->sent + 1, 1);
    for (int i = 0; i < row->sent; i++)
        wanted += is_dead(i, false);
    row->letters = row->extra_letters = 0;
    int64_t until_ms = now_ms() + WAIT_MS;
    for (int idle = 0; now_ms() < until_ms && (row->letters < wanted || idle < 5);) {
        kur_record *records[100];
        size_t count = 0;
        kur_consumer_poll_batch(consumer, 100, records, 100, &count, NULL);
        idle = count > 0 ? 0 : idle + 1;
        for (size_t i = 0; i < count; i++) {
            int number = -1;
            sscanf(kur_record_value(records[i]).data, "%d", &number);
            ck_assert(number >= 0 && number < row->sent && is_dead(number, false));
            row->letters += !is_there[number];
            row->extra_letters += is_there[number];
            is_there[number] = 1;
        }
        kur_consumer_free_records(consumer, records, count);
    }
    free(is_there);
    kur_consumer_free(consumer);
    kur_buffer_done(&name);
    return wanted - row->letters;
}

/* A last process, which is not killed, ends the work of each row. */
static void end_all(kur_client *client)
{
    for (struct row *row = rows; row < ROWS_END; row++)
        start(row, false);
    int64_t until_ms = now_ms() + 2 * WAIT_MS;
    for (struct row *row = rows; row < ROWS_END; row++) {
        int wanted = wanted_of(row);
        for (; now_ms() < until_ms && count_first(row) != wanted; nap(20))
            ;
        row->lost = wanted - count_first(row) + count_missing_letters(client, row);
        end_child(row);
    }
}

static void print_table(int *kills)
{
    struct row all = {0};
    int attempts = 0;
    printf("# %-16s %5s %7s %8s %4s %8s %8s %7s %7s %6s %5s\n", "point", "kills", "records", "attempts", "lost",
           "repeated", "at most", "copies", "letters", "early", "reset");
    for (struct row *row = rows; row < ROWS_END; row++) {
        printf("# %-16s %5d %7d %8d %4d %8d %8d %7d %7d %6d %5d%s\n", name_of(row), row->kills, row->sent,
               wanted_of(row), row->lost, row->repeated, row->bound, row->copies, row->letters + row->extra_letters,
               row->early, row->wrong, is_exact(row) ? "  exactly once" : "");
        attempts += wanted_of(row);
        all.kills += row->kills;
        all.sent += row->sent;
        all.lost += row->lost;
        all.repeated += row->repeated;
        all.bound += row->bound;
        all.early += row->early;
        all.wrong += row->wrong;
    }
    printf(
        "# %d kills under retry load: %d records, %d attempts, %d lost, %d repeated (at most %d), %d early, %d counted "
        "wrongly\n",
        all.kills, all.sent, attempts, all.lost, all.repeated, all.bound, all.early, all.wrong);
    *kills = all.kills;
}

START_TEST(test_retry_crash__a_killed_process_loses_nothing)
{
    skip_unless(support_is_real(), "the embedded broker does not miss a member that was killed");
    const char *asked = getenv("KURIER_KILLS");
    int kills, rounds = 0, each = asked != NULL ? 5 : 1, random = asked != NULL ? atoi(asked) - 4 * each : each;
    kur_client *client = support_client();
    srand((unsigned)getpid());
    for (struct row *row = rows; row < ROWS_END; row++) {
        row->wanted = row->point != NULL ? each : random > 1 ? random : 1;
        rounds = row->wanted > rounds ? row->wanted : rounds;
    }
    begin_all(client);
    for (int i = 0; i < rounds; i++) {
        kill_once_each(client);
        if (asked != NULL)
            fprintf(stderr, "retry: round %d of %d\n", i + 1, rounds);
    }
    flush(client);
    end_all(client);
    print_table(&kills);
    for (struct row *row = rows; row < ROWS_END; row++) {
        ck_assert_int_eq(row->kills, row->wanted);
        ck_assert_int_eq(row->lost, 0);
        ck_assert_int_eq(row->early, 0);
        ck_assert_int_eq(row->wrong, 0);
        ck_assert_int_le(row->repeated, row->bound);
        if (is_exact(row))
            ck_assert_int_eq(row->copies + row->extra_letters, 0);
        unlink(row->path);
    }
    kur_client_unref(client);
}
END_TEST

/* ---- What waits ---- */

static bool is_parked(const struct row *row)
{
    size_t count;
    bool is_so = false;
    struct entry *entries = read_ledger(row, &count);
    for (size_t i = count; i > 0 && !is_so; i--)
        is_so = entries[i - 1].number == PARKED;
    free(entries);
    return is_so;
}

/*
 * Records that all wait in their retry topic when the process ends, as it should or not; the last row's do not fit the
 * window, so that some are on their way to the tail.
 */
START_TEST(test_retry_crash__what_waits_outlives_its_process)
{
    skip_unless(support_is_real(), "the embedded broker does not miss a member that was killed");
    char wide[16], narrow[16];
    snprintf(wide, sizeof wide, "%d", 2 * WAITING);
    snprintf(narrow, sizeof narrow, "%d", WAITING + WAITING / 2);
    struct row all[] = {{.way = wide, .wanted = 0}, {.way = wide, .wanted = 1}, {.way = narrow, .wanted = 0}};
    kur_client *client = support_client();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct row *row = &all[i];
        int status = -1;
        make_row(row);
        send_more(client, row, WAITING);
        flush(client);
        start(row, false);
        int64_t until_ms = now_ms() + WAIT_MS, same_ms = now_ms();
        off_t size = 0;
        /* When nothing is written any more, all that was handled is committed. */
        for (; (!is_parked(row) || now_ms() < same_ms + 60 * COMMIT_MS) && now_ms() < until_ms; nap(50))
            if (ledger_size(row) != size) {
                size = ledger_size(row);
                same_ms = now_ms();
            }
        ck_assert(is_parked(row));
        ck_assert_int_eq(count_first(row), WAITING);
        kill(row->child, row->wanted > 0 ? SIGKILL : SIGTERM);
        waitpid(row->child, &status, 0);
        if (row->wanted > 0)
            end_as_killed(row, status);
        else
            ck_assert_int_eq(status, 0);
        row->bound = 0; /* nothing was in flight */
        start(row, false);
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct row *row = &all[i];
        int status = -1, first = 0;
        for (int64_t until_ms = now_ms() + 2 * WAIT_MS; first < 2 * WAITING && now_ms() < until_ms; nap(100))
            first = count_first(row);
        kill(row->child, SIGTERM);
        waitpid(row->child, &status, 0);
        ck_assert_int_eq(status, 0);
        first = count_first(row);
        printf("# %d records that wait, their process %s: %d lost, %d repeated (at most %d), %d copies, %d early, %d "
               "counted wrongly\n",
               WAITING, row->wanted > 0 ? "is killed" : "ends", 2 * WAITING - first, row->repeated, row->bound,
               row->copies, row->early, row->wrong);
        ck_assert_int_eq(first, 2 * WAITING);
        ck_assert_int_eq(row->early, 0);
        ck_assert_int_eq(row->wrong, 0);
        ck_assert_int_le(row->repeated, row->bound);
        ck_assert_int_eq(row->copies, 0);
        unlink(row->path);
    }
    kur_client_unref(client);
}
END_TEST

int main(int count, char **arguments)
{
    const TTest *const tests[] = {test_retry_crash__a_killed_process_loses_nothing,
                                  test_retry_crash__what_waits_outlives_its_process, NULL};
    const TTest *const kills[] = {test_retry_crash__a_killed_process_loses_nothing, NULL};
    return count == 6 ? consume(arguments) : check_main("retry_crash", getenv("KURIER_KILLS") != NULL ? kills : tests);
}
