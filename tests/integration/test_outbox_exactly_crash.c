/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Relays that are killed, and relays that are frozen until others have their shards and then wake up: who reads
 * committed sees each event that was committed once, in its key's order, and none that was rolled back.
 *
 * Design notes: a row for each point at which relays of this program's own (tests/crashing.h) are killed or frozen,
 * with an outbox in SQLite, a topic and a control topic of its own. Rows run one beside the other, for most of their
 * time is a group's session. Events are added all the while.
 */
#include <signal.h>
#include <sqlite3.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kurier/sqlite.h>

#include "../seeing.h"
#include "../transactions.h"

enum {
    LEASE_MS = 6000,
    TRANSACTION_MS = 9000, /* longer than a session: a frozen relay's may still be open when others have its shards */
    KILLS = 2,             /* of each row, unless KURIER_KILLS says how many */
    CHUNK = 20,
    ROLLED_BACK = NUMBERS_MAX / 2, /* numbers from there on are never committed */
    ROWS_MOST = 3000               /* that wait at a time */
};

/* ---- The process that is killed ---- */

/* Its arguments: bootstrap, the database's file, the control topic, its name. */
static int relay(char **arguments)
{
    kur_error error = {0};
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = arguments[1], .source = "/tests"), &error);
    kur_database *database = kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = arguments[2]), &error);
    kur_outbox *outbox = kur_outbox_new(client, database, NULL, &error);
    /* Whoever is frozen must not have SQLite's lock: his backlog is none, for which a second thread would write. */
    int rows = getenv("KURIER_FREEZE_AT") != NULL ? 4 * ROWS_MOST : 200;
    kur_relay *made =
        kur_relay_new(outbox,
                      &KUR_RELAY_OPTIONS(.guarantee = KUR_EXACTLY_ONCE, .name = arguments[4], .control = arguments[3],
                                         .lease_ms = LEASE_MS, .transaction_ms = TRANSACTION_MS, .batch_rows = rows),
                      &error);
    kur_status status = made != NULL ? kur_relay_run(made, &error) : error.code;
    if (status != KUR_OK)
        fprintf(stderr, "%s: %s\n", arguments[4], error.message);
    kur_relay_free(made);
    kur_outbox_free(outbox);
    kur_database_free(database);
    kur_client_unref(client);
    return status != KUR_OK;
}

/* ---- Rows ---- */

struct row {
    const char *point; /* NULL: at random */
    int most_passes;   /* it is at one of them */
    char path[64];
    const char *topic, *control;
    sqlite3 *db;
    kur_database *database;
    kur_outbox *outbox;
    struct seen *seen;
    int added, kills, relays;
    pid_t child, other; /* the one that is killed or frozen, and one that takes over */
    int64_t at_ms;      /* to be killed, or woken, then */
    bool is_frozen, is_over;
};

static kur_client *client;

static void execute(struct row *row, const char *sql)
{
    char *message = NULL;
    ck_assert_msg(sqlite3_exec(row->db, sql, NULL, NULL, &message) == SQLITE_OK, "%s: %s", sql, message);
}

static void open_row(struct row *row)
{
    static int opened;
    kur_error error = {0};
    snprintf(row->path, sizeof row->path, "/tmp/kurier-outbox-%d-%d.db", (int)getpid(), opened++);
    unlink(row->path);
    row->topic = support_topic(PARTITIONS);
    row->control = strdup(support_name("control"));
    row->database = kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = row->path), &error);
    ck_assert_msg(row->database != NULL, "%s", error.message);
    ck_ok(kur_database_migrate(row->database, 4, &error), error);
    row->outbox = kur_outbox_new(client, row->database, NULL, &error);
    ck_assert_msg(row->outbox != NULL, "%s", error.message);
    ck_assert_int_eq(sqlite3_open(row->path, &row->db), SQLITE_OK);
    sqlite3_busy_timeout(row->db, 10000);
    execute(row, "PRAGMA synchronous = FULL");
    row->seen = start_reading(client, row->topic);
}

static void add(struct row *row, bool commits)
{
    kur_error error = {0};
    execute(row, "BEGIN IMMEDIATE");
    for (int i = 0; i < CHUNK; i++) {
        char text[32];
        kur_message message = message_of(row->topic, row->added + i + (commits ? 0 : ROLLED_BACK), text);
        ck_ok(kur_outbox_add(row->outbox, row->db, &message, &error), error);
    }
    execute(row, commits ? "COMMIT" : "ROLLBACK");
    row->added += commits ? CHUNK : 0;
    ck_assert_int_lt(row->added, ROLLED_BACK);
}

static int waiting(struct row *row)
{
    sqlite3_stmt *statement = NULL;
    ck_assert_int_eq(sqlite3_prepare_v2(row->db, "SELECT count(*) FROM kurier_outbox", -1, &statement, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    int count = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

/* A relay, which is killed or frozen at the row's point when `variable` names what does so. */
static pid_t spawn(struct row *row, const char *variable)
{
    char at[64], name[32];
    const char *bootstrap = support_bootstrap();
    snprintf(at, sizeof at, "%s:%d", row->point != NULL ? row->point : "", 1 + rand() % row->most_passes);
    snprintf(name, sizeof name, "relay-%d", row->relays++);
    pid_t child = fork();
    if (child == 0) {
        if (variable != NULL && row->point != NULL)
            setenv(variable, at, 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char self[4096] = "";
        ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
        char *arguments[] = {self, strdup(bootstrap), row->path, strdup(row->control), name, NULL};
        if (size > 0)
            execv(self, arguments);
        _exit(127);
    }
    ck_assert_int_gt(child, 0);
    return child;
}

static void stop(pid_t child)
{
    int status = -1;
    if (child == 0)
        return;
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a relay has ended with %d", status);
}

static void close_row(struct row *row)
{
    for (int64_t until_ms = now_ms() + PATIENCE_MS; waiting(row) > 0 && now_ms() < until_ms;)
        nap(20);
    ck_assert_msg(waiting(row) == 0, "%s: %d events were not sent", row->point != NULL ? row->point : "at random",
                  waiting(row));
    stop(row->child);
    stop(row->other);
    ck_each_once(client, row->seen, row->topic, row->added);
    printf("# %-20s %3d times, %6d events, each once\n", row->point != NULL ? row->point : "at random", row->kills,
           row->added);
    kur_outbox_free(row->outbox);
    kur_database_free(row->database);
    sqlite3_close(row->db); /* the last: it removes what SQLite has put beside the file */
    unlink(row->path);
}

static void add_to_all(struct row *rows, size_t count, int round)
{
    for (size_t i = 0; i < count; i++)
        if (round % 3 == 0 || waiting(&rows[i]) < 500)
            add(&rows[i], round % 4 != 0);
    nap(20);
}

/* ---- Killed ---- */

/* Has it been killed often enough, a last relay is left alone. */
static void watch_killed(struct row *row, int kills)
{
    int status = 0;
    if (row->child == 0) {
        row->child = spawn(row, row->kills < kills ? "KURIER_CRASH_AT" : NULL);
        row->at_ms = now_ms() + 8000 + rand() % 3000; /* when it has had its shards for a while */
    }
    if (row->kills == kills) {
        row->is_over = true;
        return;
    }
    if (row->point == NULL && now_ms() >= row->at_ms)
        kill(row->child, SIGKILL);
    if (waitpid(row->child, &status, WNOHANG) != row->child)
        return;
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: it ended by itself: %d", row->point, status);
    row->kills++;
    row->child = 0;
}

START_TEST(test_outbox_exactly_crash__killed)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    static struct row rows[] = {{.point = NULL, .most_passes = 1},
                                {.point = "outbox-begun", .most_passes = 3},
                                {.point = "outbox-produced", .most_passes = 3},
                                {.point = "outbox-offsets-sent", .most_passes = 3},
                                {.point = "outbox-in-commit", .most_passes = 3},
                                {.point = "outbox-committed", .most_passes = 3},
                                {.point = "outbox-deleted", .most_passes = 3},
                                {.point = "outbox-cleared", .most_passes = 4}};
    enum {
        COUNT = sizeof rows / sizeof *rows
    };
    const char *asked = getenv("KURIER_KILLS");
    int kills = asked != NULL ? atoi(asked) : KILLS, round = 0;
    size_t over = 0;
    client = support_client();
    srand((unsigned)getpid());
    for (int i = 0; i < COUNT; i++)
        open_row(&rows[i]);
    for (int64_t until_ms = now_ms() + (kills + 2) * INT64_C(60000); over < COUNT && now_ms() < until_ms; round++) {
        over = 0;
        for (int i = 0; i < COUNT; i++) {
            watch_killed(&rows[i], kills);
            over += rows[i].is_over;
        }
        add_to_all(rows, COUNT, round);
    }
    ck_assert_uint_eq(over, COUNT);
    for (int i = 0; i < COUNT; i++)
        close_row(&rows[i]);
    kur_client_unref(client);
}
END_TEST

/* ---- Frozen ---- */

/*
 * It freezes at its point; then another one is started, which has its shards when the session is over. It wakes when
 * the other has sent all there was, or, `early`, as soon as it has lost its session: its transaction is open then.
 */
static void watch_frozen(struct row *row, bool early)
{
    int status = 0;
    if (row->child == 0)
        row->child = spawn(row, "KURIER_FREEZE_AT");
    if (!row->is_frozen && row->kills == 0 && waitpid(row->child, &status, WNOHANG | WUNTRACED) == row->child) {
        ck_assert_msg(WIFSTOPPED(status), "%s: it ended by itself: %d", row->point, status);
        row->is_frozen = true;
        row->other = spawn(row, NULL);
        row->at_ms = now_ms() + LEASE_MS + 1000;
    }
    if (row->is_frozen && (early ? now_ms() >= row->at_ms : waiting(row) == 0)) {
        kill(row->child, SIGCONT);
        row->is_frozen = false;
        row->kills = 1;
        row->at_ms = now_ms() + 5000; /* goes on for so long */
    }
    row->is_over = row->kills == 1 && now_ms() >= row->at_ms;
}

static void freeze(bool early)
{
    struct row rows[] = {
        {.point = "outbox-read", .most_passes = 3},      {.point = "outbox-begun", .most_passes = 3},
        {.point = "outbox-produced", .most_passes = 3},  {.point = "outbox-offsets-sent", .most_passes = 3},
        {.point = "outbox-committed", .most_passes = 3}, {.point = "outbox-deleted", .most_passes = 3}};
    enum {
        COUNT = sizeof rows / sizeof *rows
    };
    int round = 0;
    size_t over = 0;
    client = support_client();
    srand((unsigned)getpid());
    for (int i = 0; i < COUNT; i++)
        open_row(&rows[i]);
    for (int64_t until_ms = now_ms() + INT64_C(120000); over < COUNT && now_ms() < until_ms; round++) {
        over = 0;
        for (int i = 0; i < COUNT; i++) {
            watch_frozen(&rows[i], early);
            over += rows[i].is_over;
            /* While it is frozen, what there is comes to an end. */
            if ((!rows[i].is_frozen || early) && waiting(&rows[i]) < ROWS_MOST)
                add(&rows[i], round % 4 != 0);
        }
        nap(100);
    }
    for (int i = 0; i < COUNT; i++)
        ck_assert_msg(rows[i].is_over, "%s: it is %s, and %d of %d events are left", rows[i].point,
                      rows[i].other == 0 ? "not frozen" : "frozen", waiting(&rows[i]), rows[i].added);
    for (int i = 0; i < COUNT; i++)
        close_row(&rows[i]);
    kur_client_unref(client);
}

START_TEST(test_outbox_exactly_crash__frozen_until_others_have_sent_all)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    freeze(false);
}
END_TEST

START_TEST(test_outbox_exactly_crash__frozen_with_a_transaction_that_is_still_open)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    freeze(true);
}
END_TEST

int main(int count, char **arguments)
{
    const TTest *const tests[] = {test_outbox_exactly_crash__killed,
                                  test_outbox_exactly_crash__frozen_until_others_have_sent_all,
                                  test_outbox_exactly_crash__frozen_with_a_transaction_that_is_still_open, NULL};
    if (count == 5)
        return relay(arguments);
    int status = check_main("outbox_exactly_crash", tests);
    support_stop();
    return status;
}
