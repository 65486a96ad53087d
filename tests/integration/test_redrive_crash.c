/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Whoever sends dead letters again is killed, at each step five times and more, while new letters arrive: the next one
 * goes on, each letter of the plan is handled, none outside of it is, and the counts are exact in the end.
 *
 * Design notes: a row for each point at which a process of this test's own is killed (tests/crashing.h). Rows run one
 * beside the other, each with a service and letters of its own. A row that has been killed often enough has one more
 * run, which is left alone. Values are numbers: the service counts how often it has seen each.
 */
#include <kurier/sys/clock.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../consuming.h"
#include "../crashing.h"
#include "../redriving.h"

enum {
    PLANNED = 8000,
    PARTITIONS = 2,
    KILLS = 5,
    LEASE_MS = 1500,
    RATE = 1500
};

/* ---- The process that is killed ---- */

/* Its arguments: bootstrap, then "plan" and the topic of dead letters, or "run", the plan, and how many at most. */
static int act(char **arguments)
{
    kur_error error = {0};
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = arguments[1], .source = "/tests"), &error);
    kur_status status;
    if (strcmp(arguments[2], "plan") == 0) {
        const char *topics[] = {arguments[3], NULL};
        const kur_redrive_view *plan;
        kur_arena *arena = kur_arena_new();
        status = kur_redrive_plan(client, &KUR_REDRIVE_PLAN_OPTIONS(.topics = topics, .who = "killed"), arena, &plan,
                                  &error);
        kur_arena_free(arena);
    } else {
        status = kur_redrive_run(
            client, arguments[3],
            &KUR_REDRIVE_RUN_OPTIONS(.who = "killed", .max = atoi(arguments[4]), .rate = RATE, .lease_ms = LEASE_MS),
            NULL, &error);
    }
    if (status != KUR_OK)
        fprintf(stderr, "%s\n", error.message);
    kur_client_unref(client);
    return status != KUR_OK;
}

/* ---- Rows ---- */

struct row {
    const char *point;
    int most_passes; /* the kill is at one of them */
    const char *max; /* of each run */
    struct service service;
    char id[40];
    int kills, next; /* the next number that is sent to the dead letters */
    pid_t child;
};

static struct row rows[] = {
    {.point = "redrive-planned", .most_passes = 1, .max = "0"},
    {.point = "redrive-sent", .most_passes = 400, .max = "0"},
    {.point = "redrive-acknowledged", .most_passes = 400, .max = "0"},
    {.point = "redrive-progress", .most_passes = 2, .max = "0"},
    {.point = "redrive-audited", .most_passes = 1, .max = "100"},
};

#define ROWS_END (rows + sizeof rows / sizeof *rows)

static void start(struct row *row, bool is_to_die)
{
    bool plans = row->id[0] == '\0';
    char at[64] = "";
    const char *bootstrap = support_bootstrap();
    if (is_to_die)
        snprintf(at, sizeof at, "%s:%d", row->point, 1 + rand() % row->most_passes);
    row->child = fork();
    if (row->child == 0) {
        char name[4096] = "";
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("KURIER_CRASH_AT", at, 1);
        ssize_t size = readlink("/proc/self/exe", name, sizeof name - 1);
        char *arguments[] = {name,
                             strdup(bootstrap),
                             strdup(plans ? "plan" : "run"),
                             plans ? row->service.letters : row->id,
                             strdup(is_to_die ? row->max : "0"),
                             NULL};
        if (size > 0)
            execv(name, arguments);
        _exit(127);
    }
    ck_assert_int_gt(row->child, 0);
}

static void send_more(struct row *row, int count)
{
    for (int until = row->next + count; row->next < until; row->next++)
        send_letter(consuming_client(), &row->service, row->next % PARTITIONS, row->next, NULL);
}

static void make_row(struct row *row)
{
    kur_client *client = consuming_client();
    name_service(&row->service, support_topic(PARTITIONS), support_name("g"));
    start_service(client, &row->service, &KUR_LISTENER_OPTIONS(.concurrency = 2));
    ck_assert(wait_for(row->service.listener, is_assigned, 4 * PARTITIONS));
    send_numbers(client, row->service.topic, PARTITIONS, REDRIVING_MAX - PARTITIONS, PARTITIONS);
    ck_assert(wait_until(&row->service.handled, PARTITIONS));
    send_more(row, PLANNED);
    flush(client);
}

/* The last plan that was made of the row's letters. */
static void find_plan(struct row *row)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    kur_redrive_list list;
    ck_ok(kur_redrive_look(consuming_client(), NULL, WAIT_MS, arena, &list, &error), error);
    for (size_t i = 0; i < list.count && row->id[0] == '\0'; i++)
        if (strcmp(list.items[i]->routes[0]->letters, row->service.letters) == 0) {
            ck_assert_int_eq(list.items[i]->count, PLANNED);
            snprintf(row->id, sizeof row->id, "%s", list.items[i]->id);
        }
    ck_assert_str_ne(row->id, "");
    kur_arena_free(arena);
}

static void make_plan(struct row *row)
{
    kur_error error = {0};
    kur_arena *arena = kur_arena_new();
    const char *topics[] = {row->service.letters, NULL};
    const kur_redrive_view *plan;
    ck_ok(kur_redrive_plan(consuming_client(), &KUR_REDRIVE_PLAN_OPTIONS(.topics = topics, .who = "ann"), arena, &plan,
                           &error),
          error);
    ck_assert_int_eq(plan->count, PLANNED);
    snprintf(row->id, sizeof row->id, "%s", plan->id);
    kur_arena_free(arena);
}

/* Waits for all that are to die, while letters arrive that are in no plan. */
static void wait_for_deaths(void)
{
    int left = (int)(ROWS_END - rows);
    for (int64_t until_ms = now_ms() + 2 * WAIT_MS; left > 0; nap(10))
        for (struct row *row = rows; row < ROWS_END; row++) {
            int status;
            if (row->child == 0)
                continue;
            ck_assert_msg(now_ms() < until_ms, "%s: nothing has killed the process", row->point);
            if (row->id[0] != '\0')
                send_more(row, 1);
            if (waitpid(row->child, &status, WNOHANG) == 0)
                continue;
            ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: it ended by itself: %d", row->point,
                          status);
            row->child = 0;
            row->kills++;
            left--;
        }
}

static void check_row(struct row *row)
{
    kur_error error = {0};
    struct service *service = &row->service;
    int status;
    ck_assert_int_eq(waitpid(row->child, &status, 0), row->child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: the last run: %d", row->point, status);
    kur_redrive_outcomes outcomes = outcomes_of(consuming_client(), row->id);
    ck_assert_int_eq(outcomes.state, KUR_REDRIVE_DONE);
    ck_assert_int_eq(outcomes.count, PLANNED);
    ck_assert_int_eq(outcomes.acknowledged, PLANNED);
    ck_assert_int_eq(outcomes.succeeded, PLANNED);
    ck_assert_int_eq(outcomes.failed, 0);
    int repeated = 0;
    for (int i = 0; i < row->next; i++) {
        int times = service->times[i];
        ck_assert_msg(i < PLANNED ? times >= 1 : times == 0, "%s: number %d was handled %d times", row->point, i,
                      times);
        repeated += times > 1 ? times - 1 : 0;
    }
    printf("# %s: %d kills, %d of %d sent twice, %d came meanwhile\n", row->point, row->kills, repeated, PLANNED,
           row->next - PLANNED);
    ck_ok(kur_listener_stop(service->listener, WAIT_MS, &error), error);
    kur_listener_free(service->listener);
}

START_TEST(test_redrive_crash__goes_on)
{
    skip_unless(support_is_real(), "the embedded broker's groups take most of a session for each topic that is made");
    srand((unsigned)kur_clock_now_us());
    for (struct row *row = rows; row < ROWS_END; row++) {
        make_row(row);
        if (strcmp(row->point, "redrive-planned") != 0)
            make_plan(row);
    }
    for (int i = 0; i < KILLS; i++) {
        for (struct row *row = rows; row < ROWS_END; row++) {
            if (strcmp(row->point, "redrive-planned") == 0)
                row->id[0] = '\0'; /* a plan each time, of the same letters */
            start(row, true);
        }
        wait_for_deaths();
        flush(consuming_client());
        find_plan(&rows[0]);
    }
    for (struct row *row = rows; row < ROWS_END; row++)
        start(row, false);
    for (struct row *row = rows; row < ROWS_END; row++)
        check_row(row);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 2)
        return act(argv);
    const TTest *const tests[] = {test_redrive_crash__goes_on, NULL};
    int status = check_main("redrive_crash", tests);
    consuming_stop();
    return status;
}
