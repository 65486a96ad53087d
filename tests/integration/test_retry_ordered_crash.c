/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the order of keys through a retry topic, over the death of its listener. The listener runs in a process
 * of its own (this program again), which is killed at a moment that is drawn, or ends itself at a named point: when a
 * forward has been sent, when it is acknowledged, and around a commit. The next one goes on. What was handled stands in
 * memory that all of them share. No record may be handled before all earlier ones of its key are done, and in the end
 * all are; repeats are what a crash may cost.
 *
 * The embedded broker forms a group 3 s after its first member has come, and misses who is silent for its session
 * time-out, also while it waits for that: there the time-out is longer, and fewer die.
 */
#include <kurier/retry.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../listening.h"

enum {
    KEYS = 40,
    PARTITIONS = 4, /* as many as a topic of the embedded broker has */
    RECORDS = 1200,
    DEATHS = 9,
    DEATHS_EMBEDDED = 3,
    NEXT = 60 /* records done, before one dies */
};

struct book {
    atomic_int done, out_of_order, handled;
    atomic_int attempts[RECORDS];
    atomic_bool is_done[RECORDS];
};

static struct book *book;

static int failures_of(int number)
{
    return number * 7 % 13 < 4 ? number * 7 % 13 : 0;
}

static kur_outcome handle(kur_delivery *delivery, void *user)
{
    (void)user;
    int number = atoi(kur_record_value(kur_delivery_record(delivery)).data), attempt = ++book->attempts[number];
    book->handled++;
    for (int before = number - KEYS; before >= 0; before -= KEYS)
        if (!book->is_done[before]) {
            book->out_of_order++;
            break;
        }
    if (attempt <= failures_of(number))
        return kur_retry(delivery, "test.fails", "attempt %d", attempt);
    if (!atomic_exchange(&book->is_done[number], true))
        book->done++;
    return KUR_DONE;
}

/* ---- The process that dies ---- */

static struct book *map(int fd)
{
    void *made = mmap(NULL, sizeof(struct book), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return made != MAP_FAILED ? made : NULL;
}

static int run_child(char **arguments)
{
    kur_error error = {0};
    const char *topics[] = {arguments[2], NULL};
    book = map(atoi(arguments[4]));
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = arguments[1]), &error);
    kur_retry_policy policy = KUR_RETRY_POLICY(.mode = KUR_RETRY_BY_TOPIC, .keep_order = true, .attempts = KUR_NONE,
                                               .delay_ms = 20, .multiplier = 1);
    kur_listener_options options =
        KUR_LISTENER_OPTIONS(.topics = topics, .group = arguments[3], .retry = &policy, .concurrency = 4,
                             .session_timeout_ms = support_is_real() ? 1000 : 4500, .commit_interval_ms = 100);
    kur_listener *listener = client != NULL && book != NULL ? kur_listener_new(client, &options, &error) : NULL;
    if (listener == NULL || kur_listener_on_record(listener, handle, NULL) != KUR_OK ||
        kur_listener_start(listener, &error) != KUR_OK) {
        fprintf(stderr, "the child: %s\n", error.message);
        return 1;
    }
    for (;;)
        pause();
}

static pid_t start(const char *topic, const char *group, int fd, const char *crash_at)
{
    const char *bootstrap = support_bootstrap();
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("KURIER_CRASH_AT", crash_at, 1);
        char name[4096] = "", number[16];
        snprintf(number, sizeof number, "%d", fd);
        ssize_t size = readlink("/proc/self/exe", name, sizeof name - 1);
        char *arguments[] = {name, strdup(bootstrap), strdup(topic), strdup(group), number, NULL};
        if (size > 0)
            execv(name, arguments);
        _exit(127);
    }
    ck_assert_int_gt(child, 0);
    return child;
}

/* ---- The test ---- */

static void send_all(kur_client *client, const char *topic)
{
    for (int i = 0; i < RECORDS; i++) {
        char key[16], value[32];
        snprintf(key, sizeof key, "k%d", i % KEYS);
        snprintf(value, sizeof value, "%d", i);
        send_text(client, topic, i % KEYS % PARTITIONS, key, value);
    }
    flush(client);
}

/* Until so many are done, or the child has died by itself. */
static bool wait_or_death(int done, pid_t child, bool *has_died)
{
    *has_died = false;
    for (int64_t until_ms = now_ms() + WAIT_MS; now_ms() < until_ms; nap(1)) {
        if (waitpid(child, NULL, WNOHANG) == child) {
            *has_died = true;
            return true;
        }
        if (book->done >= done)
            return true;
    }
    return false;
}

START_TEST(test_retry_ordered_crash__the_order_outlives_the_listener)
{
    static const char *const points[] = {"", "forwarded", "forward-answered", "", "commit-sent", "commit-answered"};
    char path[] = "/tmp/kurier-book-XXXXXX";
    int fd = mkstemp(path);
    ck_assert(fd >= 0 && unlink(path) == 0 && ftruncate(fd, sizeof(struct book)) == 0);
    book = map(fd);
    ck_assert_ptr_nonnull(book);
    kur_client *client = support_client();
    const char *topic = support_topic(PARTITIONS), *group = support_name("ordered");
    send_all(client, topic);
    srand(7);
    bool has_died;
    for (int i = 0; i < (support_is_real() ? DEATHS : DEATHS_EMBEDDED); i++) {
        char at[64] = "";
        const char *point = points[i % (int)(sizeof points / sizeof *points)];
        if (point[0] != '\0')
            snprintf(at, sizeof at, "%s:%d", point, 5 + rand() % 40);
        pid_t child = start(topic, group, fd, at);
        int wanted = book->done + NEXT + rand() % NEXT;
        ck_assert(wait_or_death(point[0] != '\0' ? RECORDS : wanted < RECORDS ? wanted : RECORDS, child, &has_died));
        if (!has_died) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
        }
        ck_assert_int_eq(book->out_of_order, 0);
    }
    pid_t child = start(topic, group, fd, "");
    ck_assert(wait_or_death(RECORDS, child, &has_died) && !has_died);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ck_assert_int_eq(book->out_of_order, 0);
    printf("# %d records, %d times handled\n", RECORDS, book->handled);
    kur_client_unref(client);
    munmap(book, sizeof *book);
    close(fd);
}
END_TEST

int main(int count, char **arguments)
{
    const TTest *const tests[] = {test_retry_ordered_crash__the_order_outlives_the_listener, NULL};
    return count > 1 ? run_child(arguments) : check_main("retry_ordered_crash", tests);
}
