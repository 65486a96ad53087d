/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the order of keys through a retry topic, over the death of its listener. The listener runs in a process
 * of its own (this program again), which is killed at a moment that is drawn, or ends itself at a named point: when a
 * forward has been sent, when it is acknowledged, and around a commit. The next one goes on. What was handled stands in
 * memory that all of them share. No record may be handled before all earlier ones of its key are done, and in the end
 * all are; repeats are what a crash may cost.
 *
 * Nothing in that memory takes two steps: a process may die between them, and what it had counted would be wrong for
 * ever. So what is done is marked, and the marks are counted here. Records are sent as they are done, for as long as
 * one is to die: there is always something left to handle, to forward and to commit, and so each point is reached. A
 * listener stands still when it handles nothing for WAIT_MS, however long all of it takes.
 *
 * Who comes next is the same member to the group, with a session that one holds that gets no processor for a while:
 * nobody waits until it misses the dead. The embedded broker knows no such members. It forms a group 3 s after its
 * first member has come, and misses who is silent for its session time-out, also while it waits for that: there the
 * time-out is shorter, and fewer die.
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
    BACKLOG = 1000, /* sent and not done, while one is to die */
    MOST = 20000,   /* records */
    DEATHS = 9,
    DEATHS_EMBEDDED = 3,
    NEXT = 60 /* records done, before one is killed, and as many again at most */
};

struct book {
    atomic_int out_of_order, handled;
    atomic_int attempts[MOST];
    atomic_bool is_done[MOST];
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
    book->is_done[number] = true;
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
                             .commit_interval_ms = 100, .group_instance_id = support_is_real() ? "killed" : NULL,
                             .session_timeout_ms = support_is_real() ? 10000 : 4500);
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

struct run {
    kur_client *client;
    const char *topic;
    int sent, through; /* all before this one are done */
};

static void send_more(struct run *run, int count)
{
    for (int until = run->sent + count; run->sent < until; run->sent++) {
        char key[16], value[32];
        snprintf(key, sizeof key, "k%d", run->sent % KEYS);
        snprintf(value, sizeof value, "%d", run->sent);
        send_text(run->client, run->topic, run->sent % KEYS % PARTITIONS, key, value);
    }
}

static int count_done(struct run *run)
{
    while (run->through < run->sent && book->is_done[run->through])
        run->through++;
    int done = run->through;
    for (int i = run->through; i < run->sent; i++)
        done += book->is_done[i];
    return done;
}

static bool has_died(pid_t child)
{
    int status;
    if (waitpid(child, &status, WNOHANG) != child)
        return false;
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended, with status %#x", status);
    return true;
}

/* Until so many are done, or, with NULL, the child has died by itself; which it does not before. */
static void wait_until(struct run *run, pid_t child, const int *wanted, bool is_to_send)
{
    int handled = -1;
    int64_t until_ms = 0;
    for (;; nap(1)) {
        if (has_died(child)) {
            ck_assert_msg(wanted == NULL, "the child has died, and was not to");
            return;
        }
        int done = count_done(run);
        if (wanted != NULL && done >= *wanted)
            return;
        if (is_to_send && run->sent - done < BACKLOG && run->sent + KEYS <= MOST)
            send_more(run, KEYS);
        if (handled != book->handled) {
            handled = book->handled;
            until_ms = now_ms() + WAIT_MS;
        }
        ck_assert_msg(now_ms() < until_ms, "nothing more is handled: %d of %d are done, %d times handled", done,
                      run->sent, handled);
    }
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

START_TEST(test_retry_ordered_crash__the_order_outlives_the_listener)
{
    static const struct point {
        const char *name; /* NULL: it is killed */
        int most_passes;  /* the death is at one of them */
    } points[] = {{NULL, 0}, {"forwarded", 45},  {"forward-answered", 45},
                  {NULL, 0}, {"commit-sent", 6}, {"commit-answered", 6}};
    char path[] = "/tmp/kurier-book-XXXXXX";
    int fd = mkstemp(path);
    ck_assert(fd >= 0 && unlink(path) == 0 && ftruncate(fd, sizeof(struct book)) == 0);
    book = map(fd);
    ck_assert_ptr_nonnull(book);
    struct run run = {.client = support_client(), .topic = support_topic(PARTITIONS)};
    const char *group = support_name("ordered");
    send_more(&run, BACKLOG);
    srand(7);
    for (int i = 0; i < (support_is_real() ? DEATHS : DEATHS_EMBEDDED); i++) {
        char at[64] = "";
        const struct point *point = &points[i % (int)(sizeof points / sizeof *points)];
        if (point->name != NULL)
            snprintf(at, sizeof at, "%s:%d", point->name, 1 + rand() % point->most_passes);
        int wanted = count_done(&run) + NEXT + rand() % NEXT;
        pid_t child = start(run.topic, group, fd, at);
        wait_until(&run, child, point->name == NULL ? &wanted : NULL, true);
        if (point->name == NULL)
            end(child);
        ck_assert_int_eq(book->out_of_order, 0);
    }
    pid_t child = start(run.topic, group, fd, "");
    wait_until(&run, child, &run.sent, false);
    end(child);
    ck_assert_int_eq(book->out_of_order, 0);
    printf("# %d records, %d times handled\n", run.sent, book->handled);
    kur_client_unref(run.client);
    munmap(book, sizeof *book);
    close(fd);
}
END_TEST

int main(int count, char **arguments)
{
    const TTest *const tests[] = {test_retry_ordered_crash__the_order_outlives_the_listener, NULL};
    return count > 1 ? run_child(arguments) : check_main("retry_ordered_crash", tests);
}
