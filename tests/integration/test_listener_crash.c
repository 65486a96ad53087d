/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener's process is killed, again and again, at random and at each named point (patterns/listener/crash.h):
 * nothing is lost, what is repeated stays within its bound, keys keep their order.
 *
 * Design notes: a row is a topic, a group and a way to be killed; all rows go on side by side, for most of the time is
 * spent waiting for the group to miss the dead. The process of a row is this program with arguments. Each handler
 * writes a line into the row's ledger, a file, in one write, so that it has the order of all processes; every second
 * record has an effect too, an event in another topic. The process also notes when a commit was begun and answered, and
 * when it has lost its partitions: on a slow day the group misses one that lives.
 *
 * What a kill or a loss may repeat is what the last answered commit does not cover. Whatever had come back from its
 * handler when the commit *before* that one was begun is in it, except for what ran (KILL_CONCURRENCY) and for emitted
 * events that were not answered. No clock is in this bound.
 */
#include <fcntl.h>
#include <kurier/kurier.h>
#include <kurier/listener.h>
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

enum {
    KILL_KEYS = 30,
    KILL_PARTITIONS = 3,
    KILL_CONCURRENCY = 8,
    COMMIT_MS = 50,
    AT_ONCE = 60,  /* records sent */
    BACKLOG = 300, /* sent and not handled, about */
    BEGUN = -1,
    ANSWERED = -2,
    LOST = -3
};

/* A record that was handled; or a commit, whose key is BEGUN (with the effects under way) or ANSWERED; or LOST. */
struct entry {
    int32_t process, key, sequence;
};

/* ---- The process that is killed ---- */

#define MADE(F, S) F(S, INT32, key) F(S, INT32, sequence)
KUR_EVENT(kill_made, "test.kill.made", 1, MADE);
static char made_topic[128];
KUR_EVENT_DEFINE(kill_made, MADE, .topic = made_topic);

static int ledger;
static atomic_int emitting; /* records whose events are not known to be in Kafka */

static bool note(int key, int sequence)
{
    struct entry entry = {.process = (int32_t)getpid(), .key = key, .sequence = sequence};
    return write(ledger, &entry, sizeof entry) == sizeof entry;
}

static void on_pass(const char *point)
{
    if (strcmp(point, "emit-answered") == 0)
        --emitting;
    else if (strcmp(point, "commit-begun") == 0)
        note(BEGUN, emitting);
    else if (strcmp(point, "commit-answered") == 0)
        note(ANSWERED, 0);
    else if (strcmp(point, "revoked") == 0 || strcmp(point, "lost") == 0)
        note(LOST, 0);
}

static void read_value(kur_delivery *delivery, int *key, int *sequence)
{
    char text[32] = "";
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    memcpy(text, value.data, value.size < sizeof text ? value.size : sizeof text - 1);
    sscanf(text, "%d %d", key, sequence);
}

static kur_outcome make_one(kur_delivery *delivery, void *user)
{
    struct kill_made made = {0};
    kur_error error = {0};
    (void)user;
    read_value(delivery, &made.key, &made.sequence);
    /* Some are slow, so that much above them is finished and told beside the offset. */
    nap((made.sequence * 7 + made.key) % 40 == 0 ? 200 : 1 + made.sequence % 3);
    if (made.sequence % 2 != 0 && kill_made_emit(delivery, &made, &error) != KUR_OK)
        return kur_retry(delivery, "test.emit", "%s", error.message);
    emitting += made.sequence % 2 != 0; /* from here on: it may wait a while until it is sent */
    return note(made.key, made.sequence) ? KUR_DONE : KUR_RETRY;
}

/* Its arguments: bootstrap topic group ledger topic-of-effects. */
static int consume(char **arguments)
{
    kur_error error = {0};
    ledger = open(arguments[4], O_WRONLY | O_APPEND | O_CLOEXEC);
    snprintf(made_topic, sizeof made_topic, "%s", arguments[5]);
    crashing_on_pass = on_pass;
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = arguments[1], .source = "/tests"), &error);
    const char *topics[] = {arguments[2], NULL};
    kur_listener *listener =
        kur_listener_new(client,
                         &KUR_LISTENER_OPTIONS(.group = arguments[3], .topics = topics, .concurrency = KILL_CONCURRENCY,
                                               .group_instance_id = "killed", .session_timeout_ms = 10000,
                                               .commit_interval_ms = COMMIT_MS, .dead_letters = KUR_REJECTED_STOPS),
                         &error);
    kur_listener_on_record(listener, make_one, NULL);
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
    int wanted, kills;
    const char *topic, *group, *made;
    char path[32];
    pid_t child;
    off_t size; /* of the ledger when the child was started */
    int64_t kill_ms, sent_ms;
    int sent, first; /* records, and those that had been handled by then */
    int repeated, bound, out_of_order, lost;
    unsigned char *is_made; /* by number */
};

static struct row rows[] = {
    {.point = NULL},
    {.point = "assigned", .most_passes = 1},
    {.point = "polled", .most_passes = 600},
    {.point = "handled", .most_passes = 300},
    {.point = "emitted", .most_passes = 100},
    {.point = "emit-answered", .most_passes = 100},
    {.point = "commit-begun", .most_passes = 4},
    {.point = "commit-sent", .most_passes = 4},
    {.point = "commit-answered", .most_passes = 4},
};

#define ROWS_END (rows + sizeof rows / sizeof *rows)

static off_t ledger_size(const struct row *row)
{
    struct stat now;
    ck_assert_int_eq(stat(row->path, &now), 0);
    return now.st_size;
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
            name, strdup(bootstrap), strdup(row->topic), strdup(row->group), row->path, strdup(row->made), NULL};
        if (size > 0)
            execv(name, arguments);
        _exit(127);
    }
    ck_assert_int_gt(row->child, 0);
}

static void send_more(kur_client *client, struct row *row)
{
    row->sent_ms = now_ms();
    for (int until = row->sent + AT_ONCE; row->sent < until; row->sent++) {
        char key[16], value[32];
        snprintf(key, sizeof key, "k%d", row->sent % KILL_KEYS);
        snprintf(value, sizeof value, "%d %d", row->sent % KILL_KEYS, row->sent / KILL_KEYS);
        send_text(client, row->topic, row->sent % KILL_KEYS % KILL_PARTITIONS, key, value);
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

/* How many different records the ledger holds; sets what was repeated and out of order. */
static int count_first(struct row *row)
{
    size_t count;
    struct entry *entries = read_ledger(row, &count);
    int next[KILL_KEYS] = {0}, first = 0;
    row->out_of_order = row->repeated = 0;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].key < 0)
            continue;
        int *at = &next[entries[i].key];
        if (entries[i].sequence < *at) {
            row->repeated++;
            continue;
        }
        row->out_of_order += entries[i].sequence > *at;
        *at = entries[i].sequence + 1;
        first++;
    }
    free(entries);
    return first;
}

/* What the losses of the row's process, and its death, may repeat, as the design notes say. */
static int bound_of(const struct row *row, bool has_died)
{
    size_t count;
    struct entry *entries = read_ledger(row, &count);
    int since_before = 0, since_begun = 0, under_way = 0, uncovered = KILL_CONCURRENCY, lost = 0;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].process != row->child)
            continue;
        if (entries[i].key == BEGUN) {
            since_before = since_begun;
            since_begun = 0;
            under_way = entries[i].sequence;
        } else if (entries[i].key == ANSWERED) {
            uncovered = since_before + since_begun + under_way + KILL_CONCURRENCY;
        } else if (entries[i].key == LOST) {
            lost += uncovered;
            since_before = since_begun = 0;
            uncovered = KILL_CONCURRENCY;
        } else {
            since_begun++;
            uncovered++;
        }
    }
    free(entries);
    return lost + (has_died ? uncovered : 0);
}

/* Whether the process has been killed; kills it when it is time. */
static bool has_died(struct row *row)
{
    int status = 0;
    if (row->point == NULL && row->kill_ms == 0 && ledger_size(row) > row->size)
        row->kill_ms = now_ms() + rand() % 300;
    if (row->kill_ms != 0 && now_ms() >= row->kill_ms)
        kill(row->child, SIGKILL);
    if (waitpid(row->child, &status, WNOHANG) == 0)
        return false;
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: the process ended by itself: %d",
                  row->point != NULL ? row->point : "at random", status);
    row->bound += bound_of(row, true);
    row->first = count_first(row);
    row->kills++;
    row->child = 0;
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
            ck_assert_msg(now_ms() < until_ms, "%s: nothing has killed the process",
                          row->point != NULL ? row->point : "at random");
            off_t handled = (ledger_size(row) - row->size) / (off_t)sizeof(struct entry);
            /* Also when some do not come, which is to be told in the end. */
            if (row->sent - row->first - (int)handled < BACKLOG || now_ms() - row->sent_ms > 100)
                send_more(client, row);
            left -= has_died(row);
        }
}

/* ---- What is left of it ---- */

static kur_outcome see_made(kur_delivery *delivery, const struct kill_made *made, void *user)
{
    struct row *row = user;
    int number = made->sequence * KILL_KEYS + made->key;
    (void)delivery;
    ck_assert(number >= 0 && number < row->sent);
    __atomic_store_n(&row->is_made[number], 1, __ATOMIC_RELAXED);
    return KUR_DONE;
}

static int count_not_made(const struct row *row)
{
    int missing = 0;
    for (int i = 0; i < row->sent; i++)
        missing += i / KILL_KEYS % 2 != 0 && !__atomic_load_n(&row->is_made[i], __ATOMIC_RELAXED);
    return missing;
}

/* A last process, which is not killed, ends the work of each row. */
static void end_all(kur_client *client)
{
    kur_listener *listeners[sizeof rows / sizeof *rows];
    for (struct row *row = rows; row < ROWS_END; row++) {
        kur_error error = {0};
        row->is_made = calloc((size_t)row->sent, 1);
        start(row, false);
        kur_listener *listener = make(client, &KUR_LISTENER_OPTIONS(.commit_interval_ms = 10000), row->made,
                                      support_name("made"), NULL, row);
        ck_ok(kill_made_on(listener, see_made, row), error);
        ck_ok(kur_listener_start(listener, &error), error);
        listeners[row - rows] = listener;
    }
    int64_t until_ms = now_ms() + 2 * WAIT_MS;
    for (struct row *row = rows; row < ROWS_END; row++) {
        int status = -1;
        for (; now_ms() < until_ms; nap(20))
            if (count_first(row) == row->sent && count_not_made(row) == 0)
                break;
        row->bound += bound_of(row, false);
        kill(row->child, SIGTERM);
        waitpid(row->child, &status, 0);
        row->lost = row->sent - count_first(row) + count_not_made(row);
        ck_assert_int_eq(status, 0);
        kur_listener_free(listeners[row - rows]);
        free(row->is_made);
    }
}

static void print_table(int *kills)
{
    struct row all = {0};
    printf("# %-16s %5s %8s %5s %9s %8s %12s\n", "point", "kills", "records", "lost", "repeated", "at most",
           "out of order");
    for (struct row *row = rows; row < ROWS_END; row++) {
        printf("# %-16s %5d %8d %5d %9d %8d %12d\n", row->point != NULL ? row->point : "(at random)", row->kills,
               row->sent, row->lost, row->repeated, row->bound, row->out_of_order);
        all.kills += row->kills;
        all.sent += row->sent;
        all.lost += row->lost;
        all.repeated += row->repeated;
        all.bound += row->bound;
        all.out_of_order += row->out_of_order;
    }
    printf("# %d kills: %d records, %d lost, %d repeated (at most %d), %d out of order\n", all.kills, all.sent,
           all.lost, all.repeated, all.bound, all.out_of_order);
    *kills = all.kills;
}

START_TEST(test_listener_crash__a_killed_process_loses_nothing)
{
    skip_unless(support_is_real(), "the embedded broker does not miss a member that was killed");
    const char *asked = getenv("KURIER_KILLS");
    int rounds = asked != NULL ? atoi(asked) : 5, least = asked != NULL ? 5 : 2, kills;
    kur_client *client = support_client();
    srand((unsigned)getpid());
    for (struct row *row = rows; row < ROWS_END; row++) {
        row->wanted = row->point == NULL ? rounds : rounds / 10 > least ? rounds / 10 : least;
        row->topic = support_topic(KILL_PARTITIONS);
        row->made = support_topic(KILL_PARTITIONS);
        row->group = support_name("kill");
        snprintf(row->path, sizeof row->path, "/tmp/kurier-ledger-XXXXXX");
        int file = mkstemp(row->path);
        ck_assert_int_ge(file, 0);
        close(file);
    }
    for (int i = 0; i < rounds || i < least; i++) {
        kill_once_each(client);
        if (asked != NULL)
            fprintf(stderr, "kill: round %d of %d\n", i + 1, rounds > least ? rounds : least);
    }
    flush(client);
    end_all(client);
    print_table(&kills);
    for (struct row *row = rows; row < ROWS_END; row++) {
        ck_assert_int_eq(row->kills, row->wanted);
        ck_assert_int_eq(row->lost, 0);
        ck_assert_int_eq(row->out_of_order, 0);
        ck_assert_int_le(row->repeated, row->bound);
        unlink(row->path);
    }
    kur_client_unref(client);
}
END_TEST

int main(int count, char **arguments)
{
    const TTest *const tests[] = {test_listener_crash__a_killed_process_loses_nothing, NULL};
    return count == 6 ? consume(arguments) : check_main("listener_crash", tests);
}
