/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The listener under faults: its process killed, handlers that are slow, a log that is cut, a topic that is made anew,
 * a broker that is silent. With arguments this program is the consumer that is killed: see consume().
 */
#include <fcntl.h>
#include <kurier/admin.h>
#include <kurier/kurier.h>
#include <kurier/listener.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check_main.h"
#include "../listening.h"
#include "../proxy.h"
#include "../support.h"

/* ---- Killed ---- */

/* What a consumer has handled; one write each, so that the file has the order of all processes. */
struct entry {
    int32_t process, key, sequence;
    int64_t at_ms;
};

enum {
    KILL_KEYS = 30,
    KILL_PARTITIONS = 3,
    KILL_CHUNK = 400,
    KILL_CONCURRENCY = 8,
    COMMIT_MS = 100,
    SLACK_MS = 1000 /* for a commit that is due to be done */
};

static kur_outcome note(kur_delivery *delivery, void *user)
{
    struct entry entry = {.process = (int32_t)getpid(), .at_ms = now_ms()};
    char text[32] = "";
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    memcpy(text, value.data, value.size < sizeof text ? value.size : sizeof text - 1);
    sscanf(text, "%d %d", &entry.key, &entry.sequence);
    nap(1 + entry.sequence % 3);
    return write(*(const int *)user, &entry, sizeof entry) == sizeof entry ? KUR_DONE : KUR_RETRY;
}

/* The other process: bootstrap topic group ledger. */
static int consume(char **arguments)
{
    kur_error error = {0};
    int ledger = open(arguments[4], O_WRONLY | O_APPEND | O_CLOEXEC);
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = arguments[1]), &error);
    const char *topics[] = {arguments[2], NULL};
    kur_listener *listener =
        kur_listener_new(client,
                         &KUR_LISTENER_OPTIONS(.group = arguments[3], .topics = topics, .concurrency = KILL_CONCURRENCY,
                                               .session_timeout_ms = 1000, .commit_interval_ms = COMMIT_MS),
                         &error);
    kur_listener_on_record(listener, note, &ledger);
    kur_status status = kur_listener_run(listener, &error);
    if (status != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_listener_free(listener);
    kur_client_unref(client);
    return status != KUR_OK;
}

static pid_t spawn(const char *topic, const char *group, const char *ledger)
{
    const char *bootstrap = support_bootstrap();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigset_t held; /* until the listener runs, which takes it then: on a slow day it does not run yet */
        sigemptyset(&held);
        sigaddset(&held, SIGTERM);
        sigprocmask(SIG_BLOCK, &held, NULL);
        char name[4096] = "";
        ssize_t size = readlink("/proc/self/exe", name, sizeof name - 1);
        char *arguments[] = {name, strdup(bootstrap), strdup(topic), strdup(group), strdup(ledger), NULL};
        if (size > 0)
            execv(name, arguments);
        _exit(127);
    }
    ck_assert_int_gt(child, 0);
    return child;
}

static struct entry *read_ledger(const char *path, size_t *count)
{
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    *count = (size_t)ftell(file) / sizeof(struct entry);
    rewind(file);
    struct entry *entries = calloc(*count + 1, sizeof *entries);
    *count = fread(entries, sizeof *entries, *count, file);
    fclose(file);
    return entries;
}

static void send_chunk(kur_client *client, const char *topic, int chunk)
{
    for (int i = chunk * KILL_CHUNK; i < (chunk + 1) * KILL_CHUNK; i++) {
        char key[16], value[32];
        snprintf(key, sizeof key, "k%d", i % KILL_KEYS);
        snprintf(value, sizeof value, "%d %d", i % KILL_KEYS, i / KILL_KEYS);
        send_text(client, topic, i % KILL_KEYS % KILL_PARTITIONS, key, value);
    }
    flush(client);
}

/* The ledger's last word on a chunk that has been sent: how many different records are in it. */
static int count_first(const struct entry *entries, size_t count, int *out_of_order)
{
    int next[KILL_KEYS] = {0}, first = 0;
    *out_of_order = 0;
    for (size_t i = 0; i < count; i++) {
        int *at = &next[entries[i].key];
        if (entries[i].sequence < *at)
            continue;
        *out_of_order += entries[i].sequence > *at;
        *at = entries[i].sequence + 1;
        first++;
    }
    return first;
}

static int wait_ledger(const char *path, pid_t process, int wanted)
{
    int first = 0, out_of_order;
    for (int64_t until_ms = now_ms() + WAIT_MS; first < wanted && now_ms() < until_ms; nap(10)) {
        size_t count;
        struct entry *entries = read_ledger(path, &count);
        first = process == 0 ? count_first(entries, count, &out_of_order) : 0;
        for (size_t i = 0; i < count && process != 0; i++)
            first += entries[i].process == process;
        free(entries);
    }
    return first;
}

START_TEST(test_listener_faults__a_killed_process_loses_nothing)
{
    skip_unless(support_is_real(), "the embedded broker does not miss a member that was killed");
    const char *asked = getenv("KURIER_KILLS");
    int kills = asked != NULL ? atoi(asked) : 5, bound = 0, out_of_order;
    kur_client *client = support_client();
    const char *topic = support_topic(KILL_PARTITIONS), *group = support_name("kill");
    char path[] = "/tmp/kurier-ledger-XXXXXX";
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    srand((unsigned)getpid());
    send_chunk(client, topic, 0);
    for (int i = 0; i < kills; i++) {
        pid_t child = spawn(topic, group, path);
        send_chunk(client, topic, i + 1);
        ck_assert_msg(wait_ledger(path, child, 1) > 0, "process %d handled nothing", i);
        nap(rand() % 300);
        kill(child, SIGKILL);
        int64_t at_ms = now_ms();
        waitpid(child, NULL, 0);
        size_t count;
        struct entry *entries = read_ledger(path, &count);
        bound += KILL_CONCURRENCY;
        for (size_t k = 0; k < count; k++)
            bound += entries[k].process == child && entries[k].at_ms >= at_ms - COMMIT_MS - SLACK_MS;
        free(entries);
        if (asked != NULL)
            fprintf(stderr, "kill: %d of %d, %zu handled\n", i + 1, kills, count);
    }
    pid_t last = spawn(topic, group, path);
    int sent = (kills + 1) * KILL_CHUNK, first = wait_ledger(path, 0, sent), status = -1;
    kill(last, SIGTERM);
    waitpid(last, &status, 0);
    size_t count;
    struct entry *entries = read_ledger(path, &count);
    first = count_first(entries, count, &out_of_order);
    int repeats = (int)count - first;
    printf("# %d kills: %d records, %d lost, %d repeated (at most %d), %d out of order\n", kills, sent, sent - first,
           repeats, bound, out_of_order);
    ck_assert_int_eq(first, sent);
    ck_assert_int_eq(out_of_order, 0);
    ck_assert_int_le(repeats, bound);
    ck_assert_int_eq(status, 0);
    free(entries);
    close(file);
    unlink(path);
    kur_client_unref(client);
}
END_TEST

/* ---- Slow ---- */

struct slow {
    atomic_int handled, is_blocked, others;
    _Atomic int64_t sent_ms, latest_ms;
    int block_ms;
};

static kur_outcome block_or_not(kur_delivery *delivery, void *user)
{
    struct slow *slow = user;
    kur_bytes value = kur_record_value(kur_delivery_record(delivery));
    if (value.size == 4 && memcmp(value.data, "slow", 4) == 0) {
        slow->is_blocked = 1;
        nap(slow->block_ms);
        slow->is_blocked = kur_delivery_is_current(delivery) ? 2 : 3;
    } else {
        int64_t late_ms = now_ms() - slow->sent_ms;
        if (late_ms > slow->latest_ms)
            slow->latest_ms = late_ms;
        slow->others++;
    }
    slow->handled++;
    return KUR_DONE;
}

START_TEST(test_listener_faults__a_slow_handler_holds_up_no_other_key)
{
    static struct slow slow;
    kur_error error = {0};
    slow = (struct slow){.block_ms = 2000};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.concurrency = 64);
    kur_listener *busy = listen(client, &options, topic, support_name("slow"), block_or_not, &slow);
    ck_assert(wait_for(busy, is_assigned, 1));
    send_text(client, topic, 0, "slow", "slow");
    ck_assert(support_wait(&slow.is_blocked, 1));
    for (int i = 0; slow.is_blocked == 1; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        slow.sent_ms = now_ms();
        send_text(client, topic, 0, key, "fast");
        flush(client);
        ck_assert(support_wait(&slow.others, i + 1));
        nap(20);
    }
    printf("# %d others, the latest %d ms after it was sent\n", slow.others, (int)slow.latest_ms);
    ck_assert_int_eq(slow.is_blocked, 2);
    ck_assert_int_ge(slow.others, 3);
    ck_assert_int_le(slow.latest_ms, 1500);
    ck_ok(kur_listener_stop(busy, WAIT_MS, &error), error);
    ck_assert_int_eq(slow.handled, slow.others + 1);
    kur_listener_free(busy);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_faults__a_stop_that_was_too_short_can_be_waited_on)
{
    static struct slow slow;
    kur_error error = {0};
    slow = (struct slow){.block_ms = 2500};
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    send_text(client, topic, 0, "slow", "slow");
    flush(client);
    kur_listener *listener =
        listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2), topic, support_name("again"), block_or_not, &slow);
    ck_assert(support_wait(&slow.is_blocked, 1));
    nap(50);
    kur_listener_health health = health_of(listener);
    ck_assert_int_ge(health.oldest_ms, 40);
    ck_assert_int_eq(health.running, 1);
    ck_status(kur_listener_stop(listener, 200, &error), KUR_ERROR_TIMEOUT, error);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(slow.handled, 1);
    health = health_of(listener);
    ck_assert_int_eq(health.running, 0);
    ck_assert_int_eq(health.oldest_ms, 0);
    ck_assert_int_eq(health.held, 0);
    kur_listener_free(listener);
    kur_client_unref(client);
}
END_TEST

/* ---- What becomes of logs and brokers ---- */

struct gaps {
    atomic_int count, told;
    int64_t offset, low, high;
};

static kur_outcome count_gaps(kur_delivery *delivery, void *user)
{
    return count_one(delivery, &((struct gaps *)user)->count);
}

static void take_gap(const kur_gap *gap, void *user)
{
    struct gaps *gaps = user;
    gaps->offset = gap->offset;
    gaps->low = gap->low;
    gaps->high = gap->high;
    gaps->told++;
}

START_TEST(test_listener_faults__a_log_that_is_cut_is_told)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    static struct gaps gaps;
    kur_error error = {0};
    memset(&gaps, 0, sizeof gaps);
    kur_client *client = support_client();
    const char *topic = support_topic(1), *group = support_name("gap");
    for (int i = 0; i < 100; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener_options options = KUR_LISTENER_OPTIONS(.concurrency = 2, .on_gap = take_gap);
    kur_listener *listener = listen(client, &options, topic, group, count_gaps, &gaps);
    ck_assert(wait_for(listener, has_finished, 100));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    kur_listener_free(listener);
    for (int i = 0; i < 100; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_admin *admin = kur_admin_new(client, &error);
    kur_position before = KUR_POSITION(.topic = topic, .partition = 0, .offset = 150);
    ck_ok(kur_admin_delete_records(admin, &before, 1, WAIT_MS, &error), error);
    listener = listen(client, &options, topic, group, count_gaps, &gaps);
    ck_assert(wait_for(listener, has_finished, 50));
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(gaps.told, 1);
    ck_assert_int_eq(gaps.offset, 100);
    ck_assert_int_eq(gaps.low, 150);
    ck_assert_int_eq(gaps.high, 200);
    ck_assert_int_eq(gaps.count, 150);
    ck_assert_int_eq(health_of(listener).gaps, 1);
    kur_listener_free(listener);
    kur_admin_free(admin);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_faults__a_topic_made_anew_is_read_from_its_beginning)
{
    skip_unless(support_is_real(), "the embedded broker cannot administer topics");
    static struct gaps gaps;
    kur_error error = {0};
    memset(&gaps, 0, sizeof gaps);
    kur_client *client = support_client();
    const char *topic = support_topic(1), *names[] = {topic, NULL};
    for (int i = 0; i < 100; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .on_gap = take_gap), topic,
                                    support_name("anew"), count_gaps, &gaps);
    ck_assert(wait_for(listener, has_finished, 100));
    kur_admin *admin = kur_admin_new(client, &error);
    ck_ok(kur_admin_delete_topics(admin, names, WAIT_MS, &error), error);
    support_create(topic, 1);
    /* A producer of its own: the other one still knows the old topic. */
    kur_client *other = support_client();
    for (int i = 0; i < 30; i++)
        send_text(other, topic, 0, NULL, "x");
    flush(other);
    ck_assert_msg(wait_for(listener, has_finished, 130), "%d handled, %d gaps told", gaps.count, gaps.told);
    ck_ok(kur_listener_stop(listener, WAIT_MS, &error), error);
    ck_assert_int_eq(gaps.count, 130);
    kur_listener_free(listener);
    kur_admin_free(admin);
    kur_client_unref(other);
    kur_client_unref(client);
}
END_TEST

START_TEST(test_listener_faults__stops_by_its_deadline_when_the_broker_is_silent)
{
    atomic_int count = 0;
    kur_error error = {0};
    struct proxy *proxy = proxy_new(support_bootstrap());
    kur_client *client = support_client();
    const char *topic = support_topic(1);
    for (int i = 0; i < 100; i++)
        send_text(client, topic, 0, NULL, "x");
    flush(client);
    kur_listener *listener = listen(client, &KUR_LISTENER_OPTIONS(.concurrency = 2, .commit_interval_ms = 60000), topic,
                                    support_name("silent"), count_one, &count);
    ck_assert(wait_for(listener, has_finished, 100));
    proxy_set(proxy, PROXY_HOLD);
    int64_t begin_ms = now_ms();
    kur_listener_stop(listener, 2000, &error);
    int64_t stopped_ms = now_ms();
    ck_assert_int_le(stopped_ms - begin_ms, 2500);
    proxy_set(proxy, PROXY_PASS);
    kur_listener_free(listener);
    proxy_free(proxy);
    kur_client_unref(client);
}
END_TEST

int main(int count, char **arguments)
{
    const TTest *const tests[] = {
        test_listener_faults__a_killed_process_loses_nothing,
        test_listener_faults__a_slow_handler_holds_up_no_other_key,
        test_listener_faults__a_stop_that_was_too_short_can_be_waited_on,
        test_listener_faults__a_log_that_is_cut_is_told,
        test_listener_faults__a_topic_made_anew_is_read_from_its_beginning,
        test_listener_faults__stops_by_its_deadline_when_the_broker_is_silent,
        NULL,
    };
    const TTest *const kills[] = {tests[0], NULL};
    if (count == 5)
        return consume(arguments);
    return check_main("listener_faults", getenv("KURIER_KILLS") != NULL ? kills : tests);
}
