/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Relays, services and the broker are killed while 16 writers commit and roll back: each event that was committed is
 * seen at least once, or exactly once by who reads committed; none that was rolled back; those of a key in order. With
 * arguments this program is one of the processes that are killed: see relay() and service().
 *
 * Design notes: a world is a database with an outbox, a topic, and those who work on them. Each transaction of a writer
 * raises the version of some keys and adds an event for each: so the events of a key that are committed are numbered
 * without a gap, and whoever reads them sees at once what is lost, out of order or repeated. Versions that were rolled
 * back are given out again; so each event has a number besides that no other has, and table `change` says which numbers
 * are committed. Now and then there is an event that no broker takes, with a key of its own: it is to be parked.
 *
 * A life ends with a kill: of a relay at a named point (patterns/listener/crash.h) or at random, or of the service.
 * Worlds in which two relays fight for shards have one of them in the service's process, and either may die at any
 * point. Then what the database says is compared with what was seen: what is neither in the outbox nor seen is lost.
 * When the events that a dead relay's transaction holds up will be visible depends on others where there are two
 * relays; there that is found out by a gap, or in the end.
 */
#include <kurier/kurier.h>
#include <kurier/relay.h>
#include <kurier/sys/clock.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../books.h"
#include "../check_main.h"
#include "../support.h"

#define NO_TRANSACTIONS "the embedded broker has no transactions"
#define NO_POSTGRES "no PostgreSQL: script/postgres run"

enum {
    PARTITIONS = 3,
    SHARDS = 8,
    KEYS = 48,
    WRITERS = 16,
    BATCH_ROWS = 100,
    ONCE_LEASE_MS = 1000,
    EXACT_LEASE_MS = 2000,
    TRANSACTION_MS = 5000,
    WAIT_MS = 60000,
    NUMBERS = 10000000 /* of a life */
};

static int64_t now_ms(void)
{
    return kur_clock_monotonic_us() / 1000;
}

static void nap(int ms)
{
    poll(NULL, 0, ms);
}

/* ---- The processes that are killed ---- */

enum {
    ARGUMENT_ROLE = 1,
    ARGUMENT_BROKER,
    ARGUMENT_BOOKS,
    ARGUMENT_PLACE,
    ARGUMENT_GUARANTEE,
    ARGUMENT_RELAY, /* its name; "-": none */
    ARGUMENT_TOPIC,
    ARGUMENT_LIFE,
    ARGUMENTS
};

static const struct books *books;
static const char *place, *topic;
static kur_outbox *outbox;
static atomic_bool stops;
static atomic_llong next_number;

static void give_up(const char *what)
{
    fprintf(stderr, "%s\n", what);
    _exit(1);
}

static kur_relay *new_relay(char **arguments)
{
    kur_error error = {0};
    bool is_exact = strcmp(arguments[ARGUMENT_GUARANTEE], "exactly") == 0;
    kur_relay *relay = kur_relay_new(outbox,
                                     &KUR_RELAY_OPTIONS(.guarantee = is_exact ? KUR_EXACTLY_ONCE : KUR_AT_LEAST_ONCE,
                                                        .name = arguments[ARGUMENT_RELAY], .batch_rows = BATCH_ROWS,
                                                        .lease_ms = is_exact ? EXACT_LEASE_MS : ONCE_LEASE_MS,
                                                        .transaction_ms = is_exact ? TRANSACTION_MS : 0),
                                     &error);
    if (relay == NULL)
        give_up(error.message);
    return relay;
}

static int relay(char **arguments)
{
    kur_error error = {0};
    kur_relay *one = new_relay(arguments);
    kur_status status = kur_relay_run(one, &error);
    if (status != KUR_OK)
        fprintf(stderr, "relay %s: %s\n", arguments[ARGUMENT_RELAY], error.message);
    kur_relay_free(one);
    return status != KUR_OK;
}

static void run(void *connection, const char *statement)
{
    if (!books->run(connection, statement, NULL, NULL))
        give_up("a statement failed");
}

static void take_number(const char *const *columns, void *user)
{
    *(long long *)user = columns[0] != NULL ? atoll(columns[0]) : 0;
}

static void add(void *connection, const char *key, int32_t partition, const char *value)
{
    kur_error error = {0};
    kur_message message = KUR_MESSAGE(.topic = topic, .key = kur_bytes_text(key), .value = kur_bytes_text(value));
    if (partition >= 0)
        message.partition = KUR_PARTITION(partition);
    if (kur_outbox_add(outbox, books->transaction(connection), &message, &error) != KUR_OK)
        give_up(error.message);
}

/* The event comes after its key's row is locked, as <kurier/outbox.h> says. */
static void change(void *connection, int key)
{
    char text[160], name[16];
    long long version = 0, number = atomic_fetch_add(&next_number, 1);
    snprintf(text, sizeof text, "UPDATE @account SET version = version + 1 WHERE key = %d RETURNING version", key);
    if (!books->run(connection, text, take_number, &version) || version == 0)
        give_up("an account was not changed");
    snprintf(text, sizeof text, "INSERT INTO @change (number, key, version) VALUES (%lld, %d, %lld)", number, key,
             version);
    run(connection, text);
    snprintf(text, sizeof text, "%d %lld %lld", key, version, number);
    snprintf(name, sizeof name, "k%d", key);
    add(connection, name, -1, text);
}

static void add_poison(void *connection)
{
    char text[160], key[32];
    long long number = atomic_fetch_add(&next_number, 1);
    snprintf(text, sizeof text, "INSERT INTO @poison (number) VALUES (%lld)", number);
    run(connection, text);
    snprintf(text, sizeof text, "%d 0 %lld", KEYS, number);
    snprintf(key, sizeof key, "p%lld", number);
    add(connection, key, PARTITIONS + 50, text);
}

/* Some are large, some are not committed: rolled back, or their connection ends. */
static void *transact(void *connection, unsigned *seed)
{
    bool is_large = rand_r(seed) % 80 == 0;
    run(connection, books->begin);
    for (int key = 0; key < KEYS; key++) /* in this order, so that none waits for another in a ring */
        for (int times = is_large ? 5 : rand_r(seed) % 20 == 0; times > 0; times--)
            change(connection, key);
    if (rand_r(seed) % 60 == 0)
        add_poison(connection);
    int way = rand_r(seed) % 12;
    if (way == 0) {
        books->disconnect(connection);
        return books->connect(place);
    }
    run(connection, way < 4 ? "ROLLBACK" : "COMMIT");
    kur_outbox_committed(outbox);
    return connection;
}

static void *write_on(void *user)
{
    unsigned seed = (unsigned)getpid() * 31 + (unsigned)(uintptr_t)user;
    void *connection = books->connect(place);
    while (!stops && connection != NULL) {
        connection = transact(connection, &seed);
        nap(rand_r(&seed) % 300);
    }
    if (connection == NULL)
        give_up("there is no connection");
    books->disconnect(connection);
    return NULL;
}

static int service(char **arguments)
{
    kur_error error = {0};
    pthread_t writers[WRITERS];
    sigset_t ends;
    int signal = 0;
    kur_relay *one = strcmp(arguments[ARGUMENT_RELAY], "-") != 0 ? new_relay(arguments) : NULL;
    next_number = atoll(arguments[ARGUMENT_LIFE]) * NUMBERS + 1;
    if (one != NULL && kur_relay_start(one, &error) != KUR_OK)
        give_up(error.message);
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&writers[i], NULL, write_on, (void *)(uintptr_t)i);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigwait(&ends, &signal);
    stops = true;
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    if (one != NULL && kur_relay_stop(one, WAIT_MS, &error) != KUR_OK)
        give_up(error.message);
    kur_relay_free(one);
    return 0;
}

static int be_process(char **arguments)
{
    kur_error error = {0};
    books = strcmp(arguments[ARGUMENT_BOOKS], books_sqlite.name) == 0 ? &books_sqlite : &books_postgres;
    place = arguments[ARGUMENT_PLACE];
    topic = arguments[ARGUMENT_TOPIC];
    kur_client *client =
        kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = arguments[ARGUMENT_BROKER], .source = "/tests",
                                           .log = getenv("KURIER_LOG") != NULL ? kur_log_stderr : NULL),
                       &error);
    kur_database *database = books->database(place, &error);
    outbox = client != NULL && database != NULL ? kur_outbox_new(client, database, NULL, &error) : NULL;
    if (outbox == NULL)
        give_up(error.message);
    int status = strcmp(arguments[ARGUMENT_ROLE], "relay") == 0 ? relay(arguments) : service(arguments);
    kur_outbox_free(outbox);
    kur_database_free(database);
    kur_client_unref(client);
    return status;
}

/* ---- Where kills fall ---- */

enum {
    AT_RANDOM,
    THE_SERVICE,
    THE_BROKER,
    NAMED
};

static const struct place {
    const char *name;
    int most_passes;        /* the kill is at one of them */
    bool is_once, is_exact; /* of which guarantee */
} places[] = {
    {"a relay at random", 0, true, true},     {"the service at random", 0, true, true},
    {"the broker", 0, false, false},          {"outbox-claimed", 3, true, false},
    {"outbox-read", 20, true, true},          {"outbox-begun", 20, false, true},
    {"outbox-produced", 20, true, true},      {"outbox-acknowledged", 20, true, false},
    {"outbox-offsets-sent", 20, false, true}, {"outbox-in-commit", 20, false, true},
    {"outbox-committed", 20, false, true},    {"outbox-sent", 20, true, true},
    {"outbox-deleted", 20, true, true},       {"outbox-parked", 2, true, true},
    {"outbox-cleared", SHARDS, false, true},
};

enum {
    PLACES = sizeof places / sizeof *places
};

/* The n-th one that a guarantee has, counted round and round. */
static int nth_place(int n, bool is_exact)
{
    int at = -1;
    for (n++; n > 0; n -= is_exact ? places[at].is_exact : places[at].is_once)
        at = (at + 1) % PLACES;
    return at;
}

/* ---- Worlds ---- */

enum {
    SERVICE,
    ONE,
    TWO,
    PROCESSES
};

struct process {
    pid_t pid;  /* 0: it does not run */
    int armed;  /* the place where it ends by itself, or AT_RANDOM */
    int killed; /* the place that counts when it was killed from here, or -1 */
};

struct key {
    int version; /* the last one that was seen */
    int capacity;
    long long *numbers; /* of each version */
    int committed;      /* as the database says: versions, */
    int waits_from;     /* and the first of those in the outbox, or 0 */
};

struct world {
    const struct books *books;
    bool is_exact, fights;
    bool at_once; /* who is armed ends at its first pass */
    char place[64];
    const char *topic;
    kur_client *client;
    kur_consumer *reader;
    void *connection;
    struct process processes[PROCESSES];
    int lives, next_place;
    struct key keys[KEYS];
    int records, repeated, lost, wrong; /* of those that were seen; lost: or out of order */
    int ended;                          /* partitions whose end has been seen */
    int committed, poisoned;            /* as the database says */
    int rolled_back_seen;
    /* Of a life. */
    int before;
    int64_t kill_ms;
};

struct fell {
    int kills[PLACES];
};

static void tell(struct world *world, const char *statement)
{
    ck_assert_msg(world->books->run(world->connection, statement, NULL, NULL), "%s", statement);
}

static void make_tables(struct world *world)
{
    tell(world, "CREATE TABLE @account (key INTEGER PRIMARY KEY, version INTEGER NOT NULL)");
    tell(world, "CREATE TABLE @change (number BIGINT PRIMARY KEY, key INTEGER NOT NULL, version INTEGER NOT NULL)");
    tell(world, "CREATE TABLE @poison (number BIGINT PRIMARY KEY)");
    for (int key = 0; key < KEYS; key++) {
        char text[80];
        snprintf(text, sizeof text, "INSERT INTO @account (key, version) VALUES (%d, 0)", key);
        tell(world, text);
    }
}

static void make_world(struct world *world, const struct books *of, bool is_exact, bool fights)
{
    static int count;
    kur_error error = {0};
    *world = (struct world){.books = of, .is_exact = is_exact, .fights = fights};
    snprintf(world->place, sizeof world->place, of == &books_sqlite ? "/tmp/kurier-crash-%d-%d.db" : "crash_%d_%d",
             (int)getpid(), ++count);
    of->remove(world->place);
    world->topic = support_topic(PARTITIONS);
    world->client = support_client();
    kur_database *database = of->database(world->place, &error);
    ck_assert_msg(database != NULL, "%s", error.message);
    ck_ok(kur_database_migrate(database, SHARDS, &error), error);
    kur_database_free(database);
    world->connection = of->connect(world->place);
    ck_assert_ptr_nonnull(world->connection);
    make_tables(world);
    world->reader = kur_consumer_new(
        world->client, &KUR_CONSUMER_OPTIONS(.group = support_name("reader"), .isolation = KUR_READ_COMMITTED), &error);
    ck_assert_msg(world->reader != NULL, "%s", error.message);
    kur_position positions[PARTITIONS];
    for (int p = 0; p < PARTITIONS; p++)
        positions[p] = KUR_POSITION(.topic = world->topic, .partition = p, .offset = KUR_OFFSET_BEGINNING);
    ck_ok(kur_consumer_assign(world->reader, positions, PARTITIONS, &error), error);
}

static void free_world(struct world *world)
{
    kur_consumer_free(world->reader);
    kur_client_unref(world->client);
    world->books->disconnect(world->connection);
    world->books->remove(world->place);
    for (int key = 0; key < KEYS; key++)
        free(world->keys[key].numbers);
}

/* ---- Processes ---- */

static const char *const relay_names[] = {"in-service", "one", "two"};

/* `armed`: AT_RANDOM, or the place where it ends by itself, or freezes. */
static void start_at(struct world *world, int which, int armed, bool freezes)
{
    struct process *process = &world->processes[which];
    char at[64] = "", life[16];
    const char *bootstrap = support_bootstrap();
    *process = (struct process){.armed = armed, .killed = -1};
    if (armed >= NAMED)
        snprintf(at, sizeof at, "%s:%d", places[armed].name,
                 world->at_once ? 1 : 1 + rand() % places[armed].most_passes);
    snprintf(life, sizeof life, "%d", ++world->lives);
    sigset_t held, before; /* until it is waited for there: Check's handler would pass it on to all */
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_BLOCK, &held, &before);
    process->pid = fork();
    if (process->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv(freezes ? "KURIER_FREEZE_AT" : "KURIER_CRASH_AT", at, 1);
        char name[4096] = "";
        ssize_t size = readlink("/proc/self/exe", name, sizeof name - 1);
        char *arguments[] = {name,
                             strdup(which == SERVICE ? "service" : "relay"),
                             strdup(bootstrap),
                             strdup(world->books->name),
                             world->place,
                             strdup(world->is_exact ? "exactly" : "once"),
                             strdup(which == SERVICE && !world->fights ? "-" : relay_names[which]),
                             strdup(world->topic),
                             life,
                             NULL};
        if (size > 0)
            execv(name, arguments);
        _exit(127);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    ck_assert_int_gt(process->pid, 0);
}

static void start(struct world *world, int which, int armed)
{
    start_at(world, which, armed, false);
}

static void start_missing(struct world *world, int which)
{
    if (world->processes[which].pid == 0)
        start(world, which, AT_RANDOM);
}

static void read_some(struct world *world, int timeout_ms);

/* As it should end. */
static void end_process(struct world *world, int which)
{
    struct process *process = &world->processes[which];
    int status = 0;
    if (process->pid == 0)
        return;
    kill(process->pid, SIGTERM);
    for (int64_t until_ms = now_ms() + WAIT_MS; waitpid(process->pid, &status, WNOHANG) == 0;) {
        ck_assert_msg(now_ms() < until_ms, "%s: it does not stop", relay_names[which]);
        read_some(world, 10);
    }
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: it has not ended well: %d", relay_names[which],
                  status);
    process->pid = 0;
}

static void kill_process(struct world *world, int which)
{
    struct process *process = &world->processes[which];
    ck_assert_int_gt(process->pid, 0);
    if (process->killed < 0)
        process->killed = which == SERVICE ? THE_SERVICE : AT_RANDOM;
    kill(process->pid, SIGKILL);
}

/* Whether one has died of a kill; which is counted. */
static bool has_died(struct world *world, int which, struct fell *fell)
{
    struct process *process = &world->processes[which];
    int status = 0;
    if (process->pid == 0 || waitpid(process->pid, &status, WNOHANG) == 0)
        return false;
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s, %s: it ended by itself: %d",
                  relay_names[which], places[process->armed].name, status);
    fell->kills[process->killed >= 0 ? process->killed : process->armed]++;
    process->pid = 0;
    return true;
}

/* ---- What is seen ---- */

static void take(struct world *world, const kur_record *record)
{
    char text[64] = "";
    kur_bytes value = kur_record_value(record);
    int key = -1, version = 0;
    long long number = 0;
    memcpy(text, value.data, value.size < sizeof text ? value.size : sizeof text - 1);
    if (strcmp(text, "end") == 0) {
        world->ended++;
        return;
    }
    world->records++;
    if (sscanf(text, "%d %d %lld", &key, &version, &number) != 3 || key < 0 || key >= KEYS || version < 1) {
        world->wrong++;
        return;
    }
    struct key *of = &world->keys[key];
    if (version > of->version + 1) {
        world->lost++;
    } else if (version <= of->version) {
        world->repeated++;
        world->wrong += of->numbers[version - 1] != number;
    } else {
        if (of->version == of->capacity) {
            of->capacity = of->capacity * 2 + 64;
            of->numbers = realloc(of->numbers, (size_t)of->capacity * sizeof *of->numbers);
        }
        of->numbers[of->version++] = number;
    }
}

static void read_some(struct world *world, int timeout_ms)
{
    kur_record *records[500];
    size_t count = 0;
    kur_error error = {0};
    ck_ok(kur_consumer_poll_batch(world->reader, timeout_ms, records, 500, &count, &error), error);
    for (size_t i = 0; i < count; i++)
        take(world, records[i]);
    kur_consumer_free_records(world->reader, records, count);
}

/* ---- What the database says ---- */

static void take_row(const char *const *columns, void *user)
{
    struct world *world = user;
    int kind = atoi(columns[0]), key, version;
    long long number;
    if (kind == 0)
        world->poisoned++;
    if (kind == 0 || sscanf(columns[1], "%d %d %lld", &key, &version, &number) != 3 || key < 0 || key >= KEYS)
        return;
    struct key *of = &world->keys[key];
    if (kind == 2) { /* in the outbox */
        of->waits_from = of->waits_from == 0 || version < of->waits_from ? version : of->waits_from;
        return;
    }
    world->committed++;
    of->committed = version > of->committed ? version : of->committed;
    world->rolled_back_seen += version <= of->version && of->numbers[version - 1] != number;
}

/* In one snapshot. */
static void ask_database(struct world *world)
{
    char text[600];
    world->committed = world->poisoned = 0;
    for (int key = 0; key < KEYS; key++)
        world->keys[key].committed = world->keys[key].waits_from = 0;
    snprintf(text, sizeof text,
             "SELECT 0, CAST(number AS VARCHAR) FROM @poison UNION ALL "
             "SELECT 1, CAST(key AS VARCHAR) || ' ' || CAST(version AS VARCHAR) || ' ' || CAST(number AS VARCHAR) "
             "FROM @change UNION ALL SELECT 2, %s FROM @outbox",
             world->books->value_as_text);
    ck_assert(world->books->run(world->connection, text, take_row, world));
    for (int key = 0; key < KEYS; key++)
        world->rolled_back_seen += world->keys[key].version > world->keys[key].committed;
}

/* Whether all that has left the outbox (`all`: that was committed) has been seen. */
static bool has_come(const struct world *world, bool all)
{
    for (int key = 0; key < KEYS; key++) {
        const struct key *of = &world->keys[key];
        if (of->version < (of->waits_from > 0 && !all ? of->waits_from - 1 : of->committed))
            return false;
    }
    return true;
}

static bool wait_until_come(struct world *world, bool all, int timeout_ms)
{
    for (int64_t until_ms = now_ms() + timeout_ms; !has_come(world, all) && now_ms() < until_ms;)
        read_some(world, 20);
    return has_come(world, all);
}

static void ck_right(const struct world *world)
{
    const char *name = world->books->name;
    ck_assert_msg(world->lost == 0, "%s: %d events came before others of their key", name, world->lost);
    ck_assert_msg(world->wrong + world->rolled_back_seen == 0, "%s: %d events were not committed", name,
                  world->wrong + world->rolled_back_seen);
    ck_assert_msg(!world->is_exact || world->repeated == 0, "%s: %d events were seen twice", name, world->repeated);
}

static void check_life(struct world *world)
{
    ask_database(world);
    ck_right(world);
    if (!world->fights)
        ck_assert_msg(wait_until_come(world, false, WAIT_MS), "%s: events have left the outbox, and are not there",
                      world->books->name);
}

/* ---- A life ---- */

static void begin_life(struct world *world)
{
    int armed = nth_place(world->next_place++, world->is_exact);
    world->before = world->records;
    world->kill_ms = 0;
    if (world->fights) {
        for (int which = SERVICE; which <= ONE; which++)
            if (world->processes[which].pid == 0) {
                int at = nth_place(rand() % PLACES, world->is_exact);
                start(world, which, at >= NAMED ? at : AT_RANDOM);
            }
        return;
    }
    start_missing(world, SERVICE);
    start(world, ONE, armed);
    if (armed == AT_RANDOM && rand() % 4 == 0) /* while it begins */
        world->kill_ms = now_ms() + rand() % 1500;
}

static bool has_life_ended(struct world *world, struct fell *fell)
{
    struct process *one = &world->processes[ONE];
    read_some(world, 0);
    if ((has_died(world, SERVICE, fell) || has_died(world, ONE, fell))) {
        if (!world->fights)
            end_process(world, ONE); /* the service's end is no reason for it to die */
        return true;
    }
    bool is_random = world->fights || one->armed < NAMED;
    if (is_random && world->kill_ms == 0 && world->records > world->before)
        world->kill_ms = now_ms() + rand() % (world->fights ? 4000 : 700);
    if (world->kill_ms == 0 || now_ms() < world->kill_ms)
        return false;
    if (world->fights ? rand() % 2 == 0 : one->armed == THE_SERVICE)
        kill_process(world, SERVICE);
    else
        kill_process(world, ONE);
    world->kill_ms = INT64_MAX;
    return false;
}

static void live_once(struct world *worlds, int count, struct fell *fell)
{
    bool has_ended[8] = {false};
    int left = count;
    for (int i = 0; i < count; i++)
        begin_life(&worlds[i]);
    for (int64_t until_ms = now_ms() + 2 * WAIT_MS; left > 0; nap(5))
        for (int i = 0; i < count; i++) {
            if (has_ended[i])
                continue;
            ck_assert_msg(now_ms() < until_ms, "%s, %s: nothing has killed a process; %d records since",
                          worlds[i].books->name, places[worlds[i].processes[ONE].armed].name,
                          worlds[i].records - worlds[i].before);
            has_ended[i] = has_life_ended(&worlds[i], fell);
            left -= has_ended[i];
        }
    for (int i = 0; i < count; i++)
        check_life(&worlds[i]);
}

static void ck_all_go_on(struct world *worlds, int count)
{
    for (int i = 0; i < count; i++) {
        int before = worlds[i].records;
        for (int64_t until_ms = now_ms() + WAIT_MS; worlds[i].records < before + 100 && now_ms() < until_ms;)
            read_some(&worlds[i], 20);
        ck_assert_msg(worlds[i].records >= before + 100, "%s: nothing comes any more", worlds[i].books->name);
    }
}

static void do_to_broker(int number, const char *what)
{
    char command[512];
    snprintf(command, sizeof command, "%s/script/kafka node %d %s", getenv("SOURCE") != NULL ? getenv("SOURCE") : ".",
             number, what);
    ck_assert_int_eq(system(command), 0);
}

static int count_brokers(void)
{
    int count = 1;
    for (const char *at = support_bootstrap(); (at = strchr(at, ',')) != NULL; at++)
        count++;
    return count;
}

/*
 * One of several. A broker that comes back to partitions without a leader takes them for deleted, and commits a
 * transaction without ending it there (docs/guide/troubleshooting.md): then its events are never seen by who reads
 * committed, and the relay is not to blame.
 */
static void kill_broker(struct world *worlds, int count, struct fell *fell)
{
    int number = 1 + rand() % count_brokers();
    for (int i = 0; i < count; i++) {
        start_missing(&worlds[i], SERVICE);
        start_missing(&worlds[i], ONE);
    }
    ck_all_go_on(worlds, count);
    nap(rand() % 500); /* at random */
    do_to_broker(number, "kill");
    do_to_broker(number, "start");
    ck_all_go_on(worlds, count);
    fell->kills[THE_BROKER]++;
    for (int i = 0; i < count; i++) {
        ask_database(&worlds[i]);
        ck_right(&worlds[i]);
    }
}

/* ---- The end ---- */

static void take_count(const char *const *columns, void *user)
{
    *(int *)user = atoi(columns[0]);
}

static int count_rows(struct world *world, const char *table)
{
    int rows = -1;
    char text[64];
    snprintf(text, sizeof text, "SELECT count(*) FROM @%s", table);
    ck_assert(world->books->run(world->connection, text, take_count, &rows));
    return rows;
}

/* Nothing comes behind this. */
static void read_to_end(struct world *world)
{
    kur_error error = {0};
    for (int p = 0; p < PARTITIONS; p++)
        ck_ok(kur_producer_send_wait(kur_client_producer(world->client, &error),
                                     &KUR_MESSAGE(.topic = world->topic, .partition = KUR_PARTITION(p),
                                                  .key = kur_bytes_text("end"), .value = kur_bytes_text("end")),
                                     WAIT_MS, NULL, &error),
              error);
    for (int64_t until_ms = now_ms() + WAIT_MS; world->ended < PARTITIONS && now_ms() < until_ms;)
        read_some(world, 20);
    ck_assert_int_ge(world->ended, PARTITIONS);
}

/* No process is left that is to end by itself. */
static void disarm(struct world *world, struct fell *fell)
{
    for (int which = SERVICE; which < PROCESSES; which++) {
        struct process *process = &world->processes[which];
        if (process->pid == 0 || process->armed < NAMED)
            continue;
        kill_process(world, which);
        for (int64_t until_ms = now_ms() + WAIT_MS; !has_died(world, which, fell); nap(5))
            ck_assert_int_lt(now_ms(), until_ms);
    }
}

/* As long as something leaves it, it is waited for. */
static void drain(struct world *world)
{
    int before = count_rows(world, "outbox"), rows;
    for (int64_t until_ms = now_ms() + WAIT_MS; (rows = count_rows(world, "outbox")) > 0; read_some(world, 50)) {
        ck_assert_msg(now_ms() < until_ms, "%s: %d rows stay in the outbox", world->books->name, rows);
        if (rows < before)
            until_ms = now_ms() + WAIT_MS;
        before = rows;
    }
}

static void end_world(struct world *world)
{
    end_process(world, SERVICE);
    start_missing(world, ONE);
    drain(world);
    end_process(world, ONE);
    end_process(world, TWO);
    read_to_end(world);
    ask_database(world);
    ck_right(world);
    ck_assert_msg(has_come(world, true), "%s: events were committed, and have not come", world->books->name);
    ck_assert_int_eq(count_rows(world, "outbox_parked"), world->poisoned);
}

static void print_world(const struct world *world)
{
    printf("# %s, %s%s: %d events committed and all seen, %d of them again, %d rolled back and seen, %d out of order, "
           "%d parked\n",
           world->is_exact ? "exactly once" : "at least once", world->books->name, world->fights ? ", two relays" : "",
           world->committed, world->repeated, world->rolled_back_seen, world->lost, world->poisoned);
}

/* Whether each place had its kills. */
static bool print_fell(const struct fell *fell, bool is_exact, int least)
{
    int all = 0;
    bool is_enough = true;
    for (int i = 0; i < PLACES; i++)
        all += fell->kills[i];
    if (all == 0)
        return true;
    printf("# %s: %d kills\n", is_exact ? "exactly once" : "at least once", all);
    for (int i = 0; i < PLACES; i++) {
        bool is_of = is_exact ? places[i].is_exact : places[i].is_once;
        if (is_of || fell->kills[i] > 0)
            printf("#   %-24s %3d\n", places[i].name, fell->kills[i]);
        is_enough &= !is_of || fell->kills[i] >= least;
    }
    return is_enough;
}

/* ---- Killed ---- */

static struct fell fell_once, fell_exactly; /* with both databases */

static void kill_all(const struct books *of, bool is_exact)
{
    /* Of 100 kills each place has five where one relay is alone: two databases have 60 such lives, for 12 places. */
    const char *asked = getenv("KURIER_KILLS"), *of_broker = getenv("KURIER_BROKER_KILLS");
    int rounds = asked != NULL ? (atoi(asked) * 3 + 9) / 10 : 5; /* a tenth of what script/soak does, and more */
    struct fell *fell = is_exact ? &fell_exactly : &fell_once;
    struct world worlds[2];
    srand((unsigned)getpid());
    make_world(&worlds[0], of, is_exact, false);
    make_world(&worlds[1], of, is_exact, true);
    worlds[0].next_place = of == &books_postgres ? rounds : 0; /* goes on where the other has ended */
    for (int i = 0; i < rounds; i++) {
        live_once(worlds, 2, fell);
        if (asked != NULL)
            fprintf(stderr, "outbox, %s, %s: round %d of %d\n", is_exact ? "exactly once" : "at least once", of->name,
                    i + 1, rounds);
    }
    for (int i = 0; i < 2; i++)
        disarm(&worlds[i], fell);
    for (int i = of_broker != NULL ? atoi(of_broker) : 0; i > 0; i--)
        kill_broker(worlds, 2, fell);
    for (int i = 0; i < 2; i++)
        end_world(&worlds[i]);
    for (int i = 0; i < 2; i++) {
        print_world(&worlds[i]);
        free_world(&worlds[i]);
    }
}

START_TEST(test_outbox_crash__at_least_once_in_sqlite)
{
    kill_all(&books_sqlite, false);
}
END_TEST

START_TEST(test_outbox_crash__at_least_once_in_postgres)
{
    skip_unless(getenv("KURIER_POSTGRES") != NULL, NO_POSTGRES);
    kill_all(&books_postgres, false);
}
END_TEST

START_TEST(test_outbox_crash__exactly_once_in_sqlite)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    kill_all(&books_sqlite, true);
}
END_TEST

START_TEST(test_outbox_crash__exactly_once_in_postgres)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    skip_unless(getenv("KURIER_POSTGRES") != NULL, NO_POSTGRES);
    kill_all(&books_postgres, true);
}
END_TEST

/* ---- Frozen ---- */

static int place_named(const char *name)
{
    int at = 0;
    while (strcmp(places[at].name, name) != 0)
        at++;
    return at;
}

static void wait_until_stopped(struct world *world, int which)
{
    int status = 0;
    struct process *process = &world->processes[which];
    for (int64_t until_ms = now_ms() + WAIT_MS; waitpid(process->pid, &status, WNOHANG | WUNTRACED) == 0;) {
        ck_assert_msg(now_ms() < until_ms, "%s: nothing has frozen it", places[process->armed].name);
        read_some(world, 10);
    }
    ck_assert_msg(WIFSTOPPED(status), "%s: it ended by itself: %d", places[process->armed].name, status);
}

/* Each stands still at a point until another has its shards and has sent what there was; then it goes on. */
static void freeze_all(const struct books *of, bool is_exact)
{
    static const char *const once[] = {"outbox-read", "outbox-produced", "outbox-acknowledged"};
    static const char *const exactly[] = {"outbox-begun", "outbox-offsets-sent", "outbox-committed"};
    struct world worlds[3];
    srand((unsigned)getpid());
    for (int i = 0; i < 3; i++) {
        make_world(&worlds[i], of, is_exact, false);
        start(&worlds[i], SERVICE, AT_RANDOM);
        start_at(&worlds[i], ONE, place_named((is_exact ? exactly : once)[i]), true);
    }
    for (int i = 0; i < 3; i++) {
        wait_until_stopped(&worlds[i], ONE);
        start(&worlds[i], TWO, AT_RANDOM);
        ask_database(&worlds[i]);
    }
    for (int i = 0; i < 3; i++) {
        /* Of SQLite it may hold the one lock of all writers; then it stands still for longer than its lease all the
         * same. */
        int timeout_ms = of == &books_sqlite ? 5 * ONCE_LEASE_MS : WAIT_MS;
        ck_assert_msg(wait_until_come(&worlds[i], true, timeout_ms) || of == &books_sqlite, "%s: nobody has taken over",
                      places[worlds[i].processes[ONE].armed].name);
        kill(worlds[i].processes[ONE].pid, SIGCONT);
    }
    ck_all_go_on(worlds, 3);
    for (int i = 0; i < 3; i++) {
        const char *name = places[worlds[i].processes[ONE].armed].name;
        end_process(&worlds[i], ONE);
        end_world(&worlds[i]);
        printf("# frozen at %s\n", name);
        print_world(&worlds[i]);
        free_world(&worlds[i]);
    }
}

START_TEST(test_outbox_crash__frozen_and_woken_at_least_once)
{
    freeze_all(&books_sqlite, false);
    if (getenv("KURIER_POSTGRES") != NULL)
        freeze_all(&books_postgres, false);
}
END_TEST

START_TEST(test_outbox_crash__frozen_and_woken_exactly_once)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    skip_unless(getenv("KURIER_POSTGRES") != NULL, NO_POSTGRES); /* of SQLite there is outbox_exactly_crash */
    freeze_all(&books_postgres, true);
}
END_TEST

/* ---- Restored ---- */

static void write_rows(struct world *world, int rows)
{
    start(world, SERVICE, AT_RANDOM);
    for (int64_t until_ms = now_ms() + WAIT_MS; count_rows(world, "outbox") < rows; nap(20))
        ck_assert_int_lt(now_ms(), until_ms);
    end_process(world, SERVICE);
}

/*
 * The backup is older than what a relay has sent last, and has not deleted: the ids of those rows are given out again.
 */
static void restore(struct world *world, const char *backup)
{
    world->books->disconnect(world->connection);
    ck_assert(world->books->restore(world->place, backup));
    world->connection = world->books->connect(world->place);
    ck_assert_ptr_nonnull(world->connection);
    read_to_end(world);
    world->ended = 0;
    ask_database(world);
    for (int key = 0; key < KEYS; key++) { /* what was sent since is of a past that is no more */
        ck_assert_int_ge(world->keys[key].version, world->keys[key].committed);
        world->keys[key].version = world->keys[key].committed;
    }
    world->rolled_back_seen = 0;
}

static void back_up_and_restore(const struct books *of)
{
    struct world world;
    struct fell fell = {0};
    char backup[96];
    make_world(&world, of, true, false);
    write_rows(&world, 100);
    start(&world, ONE, AT_RANDOM);
    drain(&world);
    end_process(&world, ONE);
    snprintf(backup, sizeof backup, "/tmp/kurier-crash-%d.backup", (int)getpid());
    ck_assert(of->back_up(world.place, backup));

    write_rows(&world, 2 * BATCH_ROWS);
    world.at_once = true;
    start(&world, ONE, place_named("outbox-committed"));
    for (int64_t until_ms = now_ms() + WAIT_MS; !has_died(&world, ONE, &fell); read_some(&world, 5))
        ck_assert_int_lt(now_ms(), until_ms);
    restore(&world, backup);
    write_rows(&world, 2 * BATCH_ROWS);
    end_world(&world);
    free_world(&world);
}

START_TEST(test_outbox_crash__a_restored_database_loses_nothing)
{
    skip_unless(support_is_real(), NO_TRANSACTIONS);
    back_up_and_restore(&books_sqlite);
    if (getenv("KURIER_POSTGRES") != NULL)
        back_up_and_restore(&books_postgres);
}
END_TEST

int main(int count, char **arguments)
{
    if (count == ARGUMENTS)
        return be_process(arguments);
    const TTest *const tests[] = {test_outbox_crash__at_least_once_in_sqlite,
                                  test_outbox_crash__at_least_once_in_postgres,
                                  test_outbox_crash__exactly_once_in_sqlite,
                                  test_outbox_crash__exactly_once_in_postgres,
                                  test_outbox_crash__frozen_and_woken_at_least_once,
                                  test_outbox_crash__frozen_and_woken_exactly_once,
                                  test_outbox_crash__a_restored_database_loses_nothing,
                                  NULL};
    const TTest *const kills[] = {
        test_outbox_crash__at_least_once_in_sqlite, test_outbox_crash__at_least_once_in_postgres,
        test_outbox_crash__exactly_once_in_sqlite, test_outbox_crash__exactly_once_in_postgres, NULL};
    const char *asked = getenv("KURIER_KILLS");
    int status = check_main("outbox_crash", asked != NULL ? kills : tests);
    int least = asked != NULL && status == 0 && getenv("KURIER_TEST") == NULL ? atoi(asked) / 20 : 0;
    if (!print_fell(&fell_once, false, least) || !print_fell(&fell_exactly, true, least)) {
        printf("# not each place had its %d kills\n", least);
        status = 1;
    }
    support_stop();
    return status;
}
