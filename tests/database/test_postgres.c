/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What is PostgreSQL's own, with several connections that take turns at given points: which orders hold and which do
 * not, what floors may pass by, connections and servers that end at bad moments. Where a plausible form is wrong, the
 * test shows that as well: otherwise it would say nothing of the right one.
 */
#include <kurier/postgres.h>
#include <kurier/sys/clock.h>
#include <kurier/sys/thread.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "../failing.h"
#include "../proxy.h"
#include "../support.h"
#include "driving.h"
#include "open_postgres.h"

enum {
    SHARDS = 2,
    DEADLINE_MS = 30000
};

static kur_database *database;
static const kur_driver *of;
static void *state, *line;
static kur_error error;
static const int32_t all[] = {0, 1};

static void read_id(void)
{
    int32_t schema, shards;
    kur_uuid id;
    ck_ok(of->schema_read(line, &schema, &shards, &id, &error), error);
}

static void set_up(void)
{
    database = opening_new();
    of = kur_database_driver(database);
    state = kur_database_state(database);
    error = (kur_error){0};
    line = connect_line(database);
    ck_ok(of->migrate(line, SHARDS, &error), error);
    read_id();
}

static void tear_down(void)
{
    of->disconnect(line);
    opening_free(database);
}

static kur_status try_add(PGconn *connection, const char *value)
{
    kur_outbox_row row = {.size = sizeof row,
                          .topic = "t",
                          .mark = 7,
                          .key = kur_bytes_text("k"),
                          .headers = kur_bytes_text("h"),
                          .value = kur_bytes_text(value)};
    return of->outbox_add(state, connection, &row, &error);
}

static void add(PGconn *connection, const char *value)
{
    ck_ok(try_add(connection, value), error);
}

/* The values of all rows that a relay finds, such as "v1 v2". */
static char values[256];
static kur_outbox_id ids[64];
static size_t id_count;

static kur_status take(const kur_outbox_row *row, void *user, kur_error *failed)
{
    size_t n = strlen(values);
    (void)user;
    (void)failed;
    if (id_count < sizeof ids / sizeof *ids)
        ids[id_count++] = (kur_outbox_id){row->id, row->shard, row->mark};
    snprintf(values + n, sizeof values - n, "%s%.*s", n > 0 ? " " : "", (int)row->value.size,
             (const char *)row->value.data);
    return KUR_OK;
}

static const char *relayed(void)
{
    values[0] = '\0';
    id_count = 0;
    ck_ok(of->outbox_read(line, all, SHARDS, 64, 1 << 20, take, NULL, &error), error);
    return values;
}

static void raise_floors(void)
{
    for (int i = 0; i < 3; i++)
        ck_ok(of->outbox_raise(line, all, SHARDS, &error), error);
}

/* The same by another order, or another way altogether. */
static const char *ordered(PGconn *connection, const char *order)
{
    char text[200];
    snprintf(text, sizeof text, "SELECT string_agg(convert_from(value, 'UTF8'), ' ' ORDER BY %s) FROM %s.outbox", order,
             open_schema());
    PGresult *result = PQexec(connection, text);
    ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(connection));
    snprintf(values, sizeof values, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return values;
}

/* ---- The order of a key ---- */

/* The aggregate that a key stands for, and another table. */
static void make_service(PGconn *connection)
{
    sql(connection, "CREATE TABLE @.aggregate (name text PRIMARY KEY, version int);"
                    "INSERT INTO @.aggregate VALUES ('x', 0); CREATE TABLE @.elsewhere (n int)");
}

static void change(PGconn *connection)
{
    sql(connection, "UPDATE @.aggregate SET version = version + 1 WHERE name = 'x'");
}

START_TEST(test_postgres__order_is_that_of_commits)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *a = open_postgres(), *b = open_postgres();
    make_service(a);
    sql(a, "BEGIN; INSERT INTO @.elsewhere VALUES (1)"); /* takes its number early */
    sql(b, "BEGIN");
    change(b);
    add(b, "v1");
    sql(b, "COMMIT");
    change(a);
    add(a, "v2");
    sql(a, "COMMIT");
    ck_assert_str_eq(relayed(), "v1 v2");
    /* What is usually recommended turns them round. */
    ck_assert_str_eq(ordered(a, "tx, id"), "v2 v1");
    PQfinish(a);
    PQfinish(b);
    tear_down();
}
END_TEST

/* A lock is as good as a change: who comes second waits, and has the later id. */
START_TEST(test_postgres__order_is_kept_by_a_lock)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *a = open_postgres(), *b = open_postgres();
    make_service(a);
    sql(a, "BEGIN; SELECT version FROM @.aggregate WHERE name = 'x' FOR UPDATE");
    add(a, "v1");
    char text[200];
    snprintf(text, sizeof text, "SELECT version FROM %s.aggregate WHERE name = 'x' FOR UPDATE NOWAIT", open_schema());
    PGresult *waits = PQexec(b, text);
    ck_assert_str_eq(PQresultErrorField(waits, PG_DIAG_SQLSTATE), "55P03"); /* lock_not_available */
    PQclear(waits);
    change(a);
    sql(a, "COMMIT");
    sql(b, "BEGIN; SELECT version FROM @.aggregate WHERE name = 'x' FOR UPDATE");
    add(b, "v2");
    change(b);
    sql(b, "COMMIT");
    ck_assert_str_eq(relayed(), "v1 v2");
    PQfinish(a);
    PQfinish(b);
    tear_down();
}
END_TEST

START_TEST(test_postgres__order_needs_the_lock_first)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *a = open_postgres(), *b = open_postgres();
    make_service(a);
    sql(a, "BEGIN");
    add(a, "v2"); /* before it has the row that the key stands for */
    sql(b, "BEGIN");
    change(b);
    add(b, "v1");
    sql(b, "COMMIT");
    change(a);
    sql(a, "COMMIT");
    ck_assert_str_eq(relayed(), "v2 v1");
    PQfinish(a);
    PQfinish(b);
    tear_down();
}
END_TEST

START_TEST(test_postgres__order_needs_a_sequence_without_cache)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *a = open_postgres(), *b = open_postgres();
    ck_assert_int_eq(sql_number(a, "SELECT seqcache FROM pg_sequence WHERE seqrelid = '@.outbox_id'::regclass"), 1);
    make_service(a);
    for (int cache = 1; cache <= 10; cache += 9) {
        if (cache > 1)
            sql(a, "ALTER SEQUENCE @.outbox_id CACHE 10");
        sql(a, "BEGIN; TRUNCATE @.outbox");
        add(a, "before"); /* ids for the next ones stay in the session */
        sql(a, "COMMIT");
        sql(b, "BEGIN");
        change(b);
        add(b, "v1");
        sql(b, "COMMIT");
        sql(a, "BEGIN");
        change(a);
        add(a, "v2");
        sql(a, "COMMIT");
        ck_assert_str_eq(relayed(), cache == 1 ? "before v1 v2" : "before v2 v1");
    }
    PQfinish(a);
    PQfinish(b);
    tear_down();
}
END_TEST

/* ---- What floors may pass by ---- */

static int64_t floor_of(PGconn *connection)
{
    return sql_number(connection, "SELECT floor FROM @.outbox_shard WHERE shard = 0");
}

START_TEST(test_postgres__floors_know_the_newest_writer)
{
    char text[200];
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *writer = open_postgres(), *eye = open_postgres();
    int64_t deadline_us = kur_clock_monotonic_us() + DEADLINE_MS * INT64_C(1000);
    bool is_fooled = false;
    sql(writer, "BEGIN");
    add(writer, "late");
    /* A number that looks like one for this: the snapshot's upper end is that of what has ended, plus one. Whoever
     * waits until all below it have ended waits for nobody, though the writer is below what comes next. */
    while (!is_fooled && kur_clock_monotonic_us() < deadline_us) { /* unless an autovacuum is at work just now */
        long long x = sql_number(eye, "SELECT pg_snapshot_xmax(pg_current_snapshot())");
        snprintf(text, sizeof text, "SELECT (pg_snapshot_xmin(pg_current_snapshot()) >= '%lld'::xid8)::int", x);
        is_fooled = sql_number(eye, text) == 1;
    }
    ck_assert(is_fooled);
    raise_floors();
    ck_assert_int_eq(floor_of(eye), 0);
    sql(writer, "COMMIT");
    ck_assert_str_eq(relayed(), "late");
    ck_ok(of->outbox_delete(line, ids, id_count, NULL, &error), error);
    raise_floors(); /* and then it goes on */
    ck_assert_int_eq(floor_of(eye), 1);
    PQfinish(writer);
    PQfinish(eye);
    tear_down();
}
END_TEST

struct writing {
    PGconn *connection;
    pthread_t thread;
};

static void *write_row(void *user)
{
    struct writing *writing = user;
    sql(writing->connection, "INSERT INTO @.outbox (shard, mark, topic, value) VALUES (0, 1, 't', 'held')");
    return NULL;
}

static void await_waiter(PGconn *eye, const char *locktype)
{
    char text[120];
    int64_t deadline_us = kur_clock_monotonic_us() + DEADLINE_MS * INT64_C(1000);
    snprintf(text, sizeof text, "SELECT count(*) FROM pg_locks WHERE locktype = '%s' AND NOT granted", locktype);
    while (sql_number(eye, text) == 0) {
        ck_assert_int_lt(kur_clock_monotonic_us(), deadline_us);
        poll(NULL, 0, 2);
    }
}

/* A writer is stopped in the middle of its INSERT, floors are raised, it goes on: what a relay finds. */
static const char *raise_within_insert(PGconn *eye)
{
    struct writing writing = {.connection = open_postgres()};
    sql(eye, "SELECT pg_advisory_lock(4711)");
    ck_assert_int_eq(pthread_create(&writing.thread, NULL, write_row, &writing), 0);
    await_waiter(eye, "advisory");
    raise_floors();
    sql(eye, "SELECT pg_advisory_unlock(4711)");
    pthread_join(writing.thread, NULL);
    PQfinish(writing.connection);
    return relayed();
}

/* Waits for its turn, and gives back what it was given. */
static const char wait_sql[] =
    "CREATE FUNCTION @.wait(value anyelement) RETURNS anyelement LANGUAGE plpgsql VOLATILE AS"
    " $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN value; END $$";

START_TEST(test_postgres__floors_need_the_number_before_the_id)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *eye = open_postgres();
    sql(eye, wait_sql);
    /* Between its number and its id, and behind both. */
    sql(eye, "ALTER TABLE @.outbox ALTER tx SET DEFAULT @.wait(pg_current_xact_id())");
    ck_assert_str_eq(raise_within_insert(eye), "held");
    sql(eye, "ALTER TABLE @.outbox ALTER tx SET DEFAULT pg_current_xact_id();"
             "ALTER TABLE @.outbox ALTER created SET DEFAULT @.wait(clock_timestamp()); TRUNCATE @.outbox");
    ck_assert_str_eq(raise_within_insert(eye), "held");
    ck_assert_int_eq(floor_of(eye), 0);
    raise_floors();
    ck_assert_int_eq(floor_of(eye), 1); /* below the row, which has 2 */
    /* The columns the other way round: it has its id, and no number yet that could be waited for. */
    sql(eye, "DROP TABLE @.outbox; CREATE TABLE @.outbox (id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY"
             " (SEQUENCE NAME @.outbox_id CACHE 1), tx xid8 NOT NULL DEFAULT @.wait(pg_current_xact_id()),"
             " shard smallint NOT NULL, mark integer NOT NULL, topic text NOT NULL, partition integer, key bytea,"
             " headers bytea, value bytea, created timestamptz NOT NULL DEFAULT clock_timestamp(),"
             " PRIMARY KEY (shard, id)); UPDATE @.outbox_shard SET floor = 0, next_m = NULL, next_x = NULL");
    sql(eye, "ALTER TABLE @.outbox ALTER tx SET DEFAULT @.wait(NULL::int)::text::xid8");
    sql(eye, "ALTER TABLE @.outbox ALTER tx DROP NOT NULL");
    /* Now and then a sequence writes to the log, and the writer gets its number with the id all the same. */
    bool is_lost = false;
    for (int i = 0; i < 5 && !is_lost; i++) {
        sql(eye, "DELETE FROM @.outbox");
        is_lost = raise_within_insert(eye)[0] == '\0';
    }
    ck_assert(is_lost);
    ck_assert_int_ge(sql_number(eye, "SELECT count(*) FROM @.outbox"), 1);
    PQfinish(eye);
    tear_down();
}
END_TEST

START_TEST(test_postgres__floors_give_way_to_what_is_put_back)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *eye = open_postgres();
    sql(eye, "BEGIN");
    add(eye, "a");
    add(eye, "b");
    sql(eye, "COMMIT");
    relayed();
    kur_outbox_parked_row parked = {.row = {.size = sizeof parked.row, .id = ids[0].id, .mark = 7}, .attempts = 1};
    ck_ok(of->outbox_park(line, &parked, 1, false, &error), error);
    ck_ok(of->outbox_delete(line, &ids[1], 1, NULL, &error), error);
    /* A note that says where the floor may go: up to 2. Then the row comes back, and the note must not count. */
    ck_ok(of->outbox_raise(line, all, SHARDS, &error), error);
    ck_assert_int_eq(sql_number(eye, "SELECT next_m FROM @.outbox_shard WHERE shard = 0"), 2);
    ck_ok(of->outbox_unpark(line, ids[0].id, &error), error);
    ck_assert_int_eq(sql_number(eye, "SELECT count(next_m) FROM @.outbox_shard WHERE shard = 0"), 0);
    raise_floors();
    ck_assert_str_eq(relayed(), "a");
    ck_assert_int_eq(floor_of(eye), 0);
    /* A note from a database with higher numbers is made anew. */
    ck_ok(of->outbox_delete(line, ids, id_count, NULL, &error), error);
    sql(eye, "UPDATE @.outbox_shard SET next_m = 2, next_x = '9000000000000'");
    raise_floors();
    ck_assert_int_eq(floor_of(eye), 2);
    PQfinish(eye);
    tear_down();
}
END_TEST

static void add_alone(PGconn *connection, const char *value)
{
    sql(connection, "BEGIN");
    add(connection, value);
    sql(connection, "COMMIT");
}

/* A sequence that begins anew (it was reset; a copy was made without it) gives out ids that a floor has passed by. */
START_TEST(test_postgres__floors_give_way_to_ids_that_begin_anew)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *eye = open_postgres();
    for (int i = 0; i < 5; i++)
        add_alone(eye, "old");
    raise_floors();
    relayed();
    ck_ok(of->outbox_delete(line, ids, id_count, NULL, &error), error);
    raise_floors();
    ck_assert_int_eq(floor_of(eye), 5);
    sql(eye, "ALTER SEQUENCE @.outbox_id RESTART");
    add_alone(eye, "a");
    ck_assert_str_eq(relayed(), "");
    raise_floors();
    ck_assert_str_eq(relayed(), "a");
    /* A note counts as little. */
    ck_ok(of->outbox_delete(line, ids, id_count, NULL, &error), error);
    sql(eye, "UPDATE @.outbox_shard SET next_m = 9, next_x = '9'");
    add_alone(eye, "b");
    raise_floors();
    ck_assert_str_eq(relayed(), "b");
    PQfinish(eye);
    tear_down();
}
END_TEST

/* ---- Migrations at once ---- */

static void *migrate_beside(void *user)
{
    kur_error own = {0};
    kur_status status = of->migrate(user, SHARDS, &own);
    ck_assert_msg(status == KUR_OK, "%s", own.message);
    return NULL;
}

/* Who has looked before another one made the tables, and waited for it, must not go by what the server remembers. */
START_TEST(test_postgres__who_waits_for_a_migration_sees_its_tables)
{
    int32_t schema, shards;
    kur_uuid id;
    kur_buffer text = {0};
    pthread_t thread;
    skip_unless(opening_missing() == NULL, opening_missing());
    database = opening_new();
    of = kur_database_driver(database);
    state = kur_database_state(database);
    error = (kur_error){0};
    line = connect_line(database);
    PGconn *eye = open_postgres(), *first = open_postgres();
    ck_ok(of->schema_read(line, &schema, &shards, &id, &error), error);
    ck_assert_int_eq(schema, 0);
    ck_ok(of->schema_text(state, 0, SHARDS, &text, &error), error);
    sql(first, "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('kurier migrate @', 0))");
    ck_assert_int_eq(pthread_create(&thread, NULL, migrate_beside, line), 0);
    await_waiter(eye, "advisory");
    sql(first, text.data);
    sql(first, "COMMIT");
    pthread_join(thread, NULL);
    read_id();
    kur_buffer_done(&text);
    PQfinish(first);
    PQfinish(eye);
    tear_down();
}
END_TEST

/* ---- Parking beside another relay ---- */

/* The first is refused, the others are behind it. */
static void *park_all(void *user)
{
    kur_error failed = {0};
    kur_outbox_parked_row parked[2];
    for (size_t i = 0; i < 2; i++)
        parked[i] = (kur_outbox_parked_row){
            .row = {.size = sizeof parked[i].row, .id = ids[i].id, .shard = ids[i].shard, .mark = ids[i].mark},
            .is_behind = i > 0,
            .attempts = i == 0};
    *(kur_status *)user = of->outbox_park(line, parked, 2, true, &failed);
    return NULL;
}

/* Its lease is over, and the next one has sent what was refused to it: nothing is parked behind a row that goes. */
START_TEST(test_postgres__nothing_is_parked_behind_what_another_deletes)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *eye = open_postgres(), *other = open_postgres();
    pthread_t thread;
    kur_status status = KUR_ERROR_FATAL;
    sql(eye, "BEGIN");
    add(eye, "a");
    add(eye, "b");
    sql(eye, "COMMIT");
    ck_assert_str_eq(relayed(), "a b");
    sql(other, "BEGIN; DELETE FROM @.outbox WHERE id = (SELECT min(id) FROM @.outbox)");
    ck_assert_int_eq(kur_thread_start(&thread, park_all, &status), 0);
    await_waiter(eye, "transactionid");
    sql(other, "COMMIT");
    pthread_join(thread, NULL);
    ck_assert_int_eq(status, KUR_OK);
    ck_assert_str_eq(relayed(), "b");
    ck_assert_int_eq(sql_number(eye, "SELECT count(*) FROM @.outbox_parked"), 0);
    PQfinish(other);
    PQfinish(eye);
    tear_down();
}
END_TEST

/* ---- The cost of a poll ---- */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double poll_ms(void)
{
    double took[7];
    for (int i = 0; i < 7; i++) {
        int64_t began_us = kur_clock_monotonic_us();
        ck_assert_str_eq(relayed(), "");
        took[i] = (double)(kur_clock_monotonic_us() - began_us) / 1000;
    }
    qsort(took, 7, sizeof *took, compare);
    return took[0]; /* whatever else the machine does */
}

START_TEST(test_postgres__polls_pass_by_dead_rows)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *holder = open_postgres(), *service = open_postgres();
    sql(service,
        "INSERT INTO @.outbox (shard, mark, topic, value) SELECT i % 2, 1, 't', decode(repeat('ab', 200), 'hex')"
        " FROM generate_series(1, 400000) i");
    sql(holder, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM @.outbox LIMIT 1");
    sql(service, "DELETE FROM @.outbox");
    double before = poll_ms();
    raise_floors();
    double after = poll_ms();
    printf("# a poll over 400,000 dead rows: %.2f ms, behind a floor %.2f ms\n", before, after);
    ck_assert_msg(after * 10 < before, "%.2f ms, and with floors %.2f ms", before, after);
    PQfinish(holder);
    PQfinish(service);
    tear_down();
}
END_TEST

/* ---- Connections that end ---- */

static struct proxy *proxy;

/* Through a proxy: where the server listens by TCP. */
static kur_database *open_proxied(void)
{
    char bootstrap[300], conninfo[600];
    PGconn *connection = open_postgres();
    const char *host = PQhost(connection)[0] == '/' ? "127.0.0.1" : PQhost(connection);
    snprintf(bootstrap, sizeof bootstrap, "%s:%s", host, PQport(connection));
    snprintf(conninfo, sizeof conninfo, "%s host=%s", getenv("KURIER_POSTGRES"), host);
    PQfinish(connection);
    kur_database *opened =
        kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = conninfo, .schema = open_schema()), &error);
    ck_assert_msg(opened != NULL, "%s", error.message);
    proxy = proxy_new(bootstrap);
    return opened;
}

START_TEST(test_postgres__a_commit_whose_answer_is_lost)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    kur_database *proxied = open_proxied();
    for (int is_done = 0; is_done < 2; is_done++) {
        void *connection = connect_line(proxied);
        ck_ok(of->begin(connection, &error), error);
        add(connection, is_done ? "done" : "lost");
        proxy_cut_text(proxy, "COMMIT", 0, is_done ? PROXY_CUT_ANSWER : PROXY_CUT_REQUEST);
        ck_status(of->commit(connection, &error), KUR_ERROR_UNKNOWN_OUTCOME, error);
        ck_says(error, "may be committed");
        ck_assert(proxy_has_lost(proxy));
        of->rollback(connection);
        ck_status(of->begin(connection, &error), KUR_ERROR_UNREACHABLE, error);
        ck_status(of->outbox_read(connection, all, 1, 1, 1, take, NULL, &error), KUR_ERROR_UNREACHABLE, error);
        ck_status(try_add(connection, "x"), KUR_ERROR_UNREACHABLE, error);
        of->disconnect(connection);
    }
    ck_assert_str_eq(relayed(), "done");
    kur_database_free(proxied);
    proxy_free(proxy);
    tear_down();
}
END_TEST

/* It was done, and only the answer was lost. */
static kur_status unless_stale(kur_status status)
{
    return status == KUR_ERROR_STALE ? KUR_OK : status;
}

/* What a relay does, and who puts back and drops what it has parked, from one connection; each step is one that may be
 * repeated. */
static kur_status relay_all(void *connection)
{
    int32_t shards[KUR_OUTBOX_SHARDS_MAX];
    size_t count;
    kur_outbox_claim claim = {sizeof claim, "r", 0, 10000, true, false};
    kur_outbox_figures figures = {.size = sizeof figures};
    kur_outbox_parked_row parked = {
        .row = {.size = sizeof parked.row, .id = 1, .mark = 7}, .error = "x", .attempts = 1};
    kur_status status = of->outbox_claim(connection, &claim, shards, &count, &error);
    STEP(of->outbox_park(connection, &parked, 1, true, &error));
    STEP(unless_stale(of->outbox_unpark(connection, 1, &error)));
    parked.row.id = 2;
    STEP(of->outbox_park(connection, &parked, 1, true, &error));
    STEP(unless_stale(of->outbox_drop(connection, 2, &error)));
    STEP(of->outbox_figures(connection, &figures, &error));
    values[0] = '\0';
    id_count = 0;
    STEP(of->outbox_read(connection, all, SHARDS, 64, 1 << 20, take, NULL, &error));
    STEP(of->outbox_delete(connection, ids, id_count, NULL, &error));
    STEP(of->outbox_raise(connection, all, SHARDS, &error));
    return status;
}

/* Likewise an inbox's handlers. */
static kur_status handle_all(void *connection)
{
    kur_inbox_place place = {sizeof place, "c", "t", 0, 3, 0};
    kur_uuid log = {{1}};
    kur_inbox_turn turn;
    bool was_there;
    int32_t forgotten;
    kur_status status = of->inbox_join(connection, &place, &log, NULL, &place.epoch, &error);
    STEP(of->inbox_reset(connection, &place, &log, &error));
    STEP(of->inbox_join(connection, &place, &log, NULL, &place.epoch, &error));
    STEP(of->begin(connection, &error));
    STEP(of->inbox_enter(connection, &place, &turn, &error));
    STEP(of->inbox_note(connection, "c", "1", &was_there, &error));
    STEP(of->commit(connection, &error));
    place.offset = 4;
    STEP(of->begin(connection, &error));
    STEP(of->inbox_leave_open(connection, &place, &turn, &error));
    STEP(of->commit(connection, &error));
    STEP(of->inbox_move(connection, &place, &log, &error));
    STEP(of->inbox_forget(connection, "c", 0, 1, &forgotten, &error));
    return status;
}

/* And an operator. */
static kur_status look_at_all(void *connection)
{
    int32_t schema, shards, count;
    kur_uuid id;
    kur_status status = of->schema_read(connection, &schema, &shards, &id, &error);
    STEP(of->migrate(connection, SHARDS, &error));
    STEP(of->outbox_shards(connection, pass_shard, NULL, &error));
    STEP(of->outbox_relays(connection, pass_relay, NULL, &error));
    STEP(of->outbox_parked(connection, NULL, 10, pass_parked, NULL, &error));
    STEP(of->inbox_positions(connection, "c", pass_position, NULL, &error));
    STEP(of->inbox_remove(connection, "another", NULL, -1, &count, &error));
    return status;
}

static kur_status do_all(void *connection)
{
    kur_status status = relay_all(connection);
    STEP(handle_all(connection));
    STEP(look_at_all(connection));
    return status;
}

START_TEST(test_postgres__each_statement_fails_once)
{
    int points = 0;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    kur_database *proxied = open_proxied();
    PGconn *eye = open_postgres();
    for (int cut = 0; cut < 2; cut++) {
        for (int nth = 0;; nth++) {
            sql(eye, "TRUNCATE @.outbox RESTART IDENTITY; TRUNCATE @.outbox_parked, @.inbox_done, @.inbox_message,"
                     " @.inbox_position; UPDATE @.outbox_shard SET floor = 0, next_m = NULL, next_x = NULL; BEGIN");
            add(eye, "a");
            add(eye, "b");
            sql(eye, "COMMIT");
            void *connection = connect_line(proxied);
            proxy_cut_text(proxy, "", nth, cut == 0 ? PROXY_CUT_REQUEST : PROXY_CUT_ANSWER);
            kur_status status = do_all(connection);
            of->disconnect(connection);
            if (status == KUR_OK) /* there are no more; what was cut, if anything, is the farewell */
                break;
            ck_assert(proxy_has_lost(proxy));
            points++;
            ck_assert_msg(status == KUR_ERROR_UNREACHABLE || status == KUR_ERROR_UNKNOWN_OUTCOME, "point %d: %s: %s",
                          nth, kur_status_name(status), error.message);
            /* Again, and nothing is missing or twice. */
            ck_ok(do_all(line), error);
            ck_assert_str_eq(relayed(), "");
            ck_assert_int_eq(sql_number(eye, "SELECT count(*) FROM @.outbox_parked"), 0);
            ck_assert_int_eq(sql_number(eye, "SELECT count(*) FROM @.inbox_message"), 1);
            ck_assert_int_eq(sql_number(eye, "SELECT count(*) FROM @.inbox_done WHERE is_open"), 1);
        }
    }
    printf("# statements that were made to fail: %d\n", points);
    ck_assert_int_gt(points, 50);
    PQfinish(eye);
    kur_database_free(proxied);
    proxy_free(proxy);
    tear_down();
}
END_TEST

START_TEST(test_postgres__a_server_that_ends_a_connection)
{
    char text[100];
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *eye = open_postgres();
    void *connection = connect_line(database);
    ck_ok(of->begin(connection, &error), error);
    add(connection, "a");
    snprintf(text, sizeof text, "SELECT pg_terminate_backend(%d)::int", PQbackendPID(connection));
    sql_number(eye, text);
    ck_status(try_add(connection, "b"), KUR_ERROR_UNREACHABLE, error);
    ck_status(of->commit(connection, &error), KUR_ERROR_UNKNOWN_OUTCOME, error); /* not worth a case of its own */
    of->rollback(connection);
    of->disconnect(connection);
    ck_assert_str_eq(relayed(), "");
    /* A statement that is cancelled may be tried again. */
    connection = connect_line(database);
    ck_ok(of->begin(connection, &error), error);
    PQclear(PQexec(connection, "SET LOCAL statement_timeout = 1"));
    PGresult *result = PQexec(connection, "SELECT pg_sleep(10)");
    ck_assert_int_eq(PQresultStatus(result), PGRES_FATAL_ERROR);
    PQclear(result);
    ck_status(try_add(connection, "c"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "has failed");
    ck_status(of->commit(connection, &error), KUR_ERROR_DATABASE, error);
    ck_ok(of->begin(connection, &error), error);
    of->rollback(connection);
    of->disconnect(connection);
    PQfinish(eye);
    tear_down();
}
END_TEST

START_TEST(test_postgres__a_server_that_is_restarted)
{
    void *connection = NULL;
    skip_unless(opening_missing() == NULL, opening_missing());
    skip_unless(getenv("KURIER_POSTGRES_DIRECTORY") != NULL, "the server is not this test's own to restart");
    set_up();
    void *writer = connect_line(database), *open = connect_line(database);
    ck_ok(of->begin(writer, &error), error);
    add(writer, "a");
    ck_ok(of->commit(writer, &error), error);
    ck_ok(of->begin(open, &error), error);
    add(open, "b");
    support_postgres_node("kill");
    ck_status(of->commit(open, &error), KUR_ERROR_UNKNOWN_OUTCOME, error);
    ck_status(of->outbox_read(line, all, SHARDS, 1, 1, take, NULL, &error), KUR_ERROR_UNREACHABLE, error);
    ck_status(of->connect(state, &connection, &error), KUR_ERROR_UNREACHABLE, error);
    support_postgres_node("start");
    of->disconnect(open);
    of->disconnect(line);
    line = connect_line(database);
    ck_assert_str_eq(relayed(), "a");
    support_postgres_node("restart");
    ck_status(of->outbox_raise(line, all, SHARDS, &error), KUR_ERROR_UNREACHABLE, error);
    ck_status(of->begin(writer, &error), KUR_ERROR_UNREACHABLE, error);
    of->disconnect(writer);
    of->disconnect(line);
    line = connect_line(database);
    ck_assert_str_eq(relayed(), "a");
    tear_down();
}
END_TEST

/* ---- Refusals ---- */

START_TEST(test_postgres__misuse_of_a_connection)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *service = open_postgres();
    ck_status(try_add(NULL, "v"), KUR_ERROR_UNREACHABLE, error);
    ck_status(try_add(service, "v"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "no transaction is open");
    sql(service, "BEGIN");
    PQclear(PQexec(service, "SELECT nonsense"));
    ck_status(try_add(service, "v"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "has failed");
    sql(service, "ROLLBACK; BEGIN");
    ck_assert_int_eq(PQsendQuery(service, "SELECT 1"), 1);
    ck_status(try_add(service, "v"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "busy");
    for (PGresult *result; (result = PQgetResult(service)) != NULL;)
        PQclear(result);
#ifdef LIBPQ_HAS_PIPELINING
    ck_assert_int_eq(PQenterPipelineMode(service), 1);
    ck_status(try_add(service, "v"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "pipeline");
    ck_assert_int_eq(PQexitPipelineMode(service), 1);
#endif
    add(service, "v"); /* nothing of that was held against it */
    sql(service, "COMMIT");
    ck_assert_str_eq(relayed(), "v");
    /* In a savepoint. */
    sql(service, "BEGIN; SAVEPOINT s");
    add(service, "no");
    sql(service, "ROLLBACK TO s");
    add(service, "yes");
    sql(service, "COMMIT");
    ck_assert_str_eq(relayed(), "v yes");
    PQfinish(service);

    kur_inbox_place place = {sizeof place, "c", "t", 0, 0, 0};
    kur_inbox_turn turn;
    bool was_there;
    ck_status(of->inbox_enter(line, &place, &turn, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(of->inbox_leave_open(line, &place, &turn, &error), KUR_ERROR_INVALID_STATE, error);
    ck_status(of->inbox_note(line, "c", "1", &was_there, &error), KUR_ERROR_INVALID_STATE, error);
    tear_down();
}
END_TEST

/* What a handler can leave behind on a connection of the library's. */
START_TEST(test_postgres__a_connection_that_is_left_busy)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    for (int how = 0; how < 3; how++) {
        PGconn *connection = connect_line(database);
        ck_ok(of->begin(connection, &error), error);
        add(connection, "v");
#ifdef LIBPQ_HAS_PIPELINING
        if (how == 1)
            ck_assert_int_eq(PQenterPipelineMode(connection), 1);
#endif
        if (how != 1 || PQtransactionStatus(connection) == PQTRANS_INTRANS)
            ck_assert_int_eq(PQsendQueryParams(connection, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0), 1);
        if (how == 2)
            of->rollback(connection);
        else
            ck_status(of->commit(connection, &error), KUR_ERROR_DATABASE, error);
        ck_status(of->begin(connection, &error), KUR_ERROR_UNREACHABLE, error);
        of->disconnect(connection);
    }
    ck_assert_str_eq(relayed(), "");
    tear_down();
}
END_TEST

START_TEST(test_postgres__another_database)
{
    char text[700];
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *eye = open_postgres();
    sql(eye, "CREATE DATABASE @_other");
    snprintf(text, sizeof text, "%s dbname=%s_other", getenv("KURIER_POSTGRES"), open_schema());
    kur_database *other = kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = text, .schema = open_schema()), &error);
    ck_assert_ptr_nonnull(other);
    PGconn *service = connect_line(other);
    sql(service, "BEGIN");
    ck_status(try_add(service, "v"), KUR_ERROR_SCHEMA, error);
    ck_says(error, "kurier outbox migrate");
    sql(service, "ROLLBACK");
    ck_ok(of->migrate(service, SHARDS, &error), error);
    sql(service, "BEGIN");
    ck_status(try_add(service, "v"), KUR_ERROR_INVALID_STATE, error);
    ck_says(error, "another database");
    ck_assert_int_eq(PQtransactionStatus(service), PQTRANS_INTRANS);
    sql(service, "COMMIT");
    of->disconnect(service);
    kur_database_free(other);
    sql(eye, "DROP DATABASE @_other WITH (FORCE)");
    /* A connection that is known, and is made anew. */
    sql(eye, "BEGIN");
    add(eye, "a");
    sql(eye, "COMMIT");
    PQreset(eye);
    sql(eye, "BEGIN");
    add(eye, "b");
    sql(eye, "COMMIT");
    ck_assert_str_eq(relayed(), "a b");
    PQfinish(eye);
    tear_down();
}
END_TEST

START_TEST(test_postgres__warns_once)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *safe = open_postgres(), *loose = open_postgres(), *more = open_postgres();
    sql(safe, "BEGIN");
    add(safe, "a");
    ck_assert_ptr_null(of->outbox_warn(state, safe));
    sql(safe, "COMMIT");
    sql(loose, "SET synchronous_commit = off; BEGIN");
    add(loose, "b");
    ck_assert_ptr_nonnull(strstr(of->outbox_warn(state, loose), "synchronous_commit"));
    ck_assert_ptr_null(of->outbox_warn(state, loose));
    sql(loose, "COMMIT");
    sql(more, "SET synchronous_commit = off; BEGIN");
    add(more, "c");
    ck_assert_ptr_null(of->outbox_warn(state, more));
    sql(more, "COMMIT");
    PQfinish(safe);
    PQfinish(loose);
    PQfinish(more);
    tear_down();
}
END_TEST

START_TEST(test_postgres__errors_are_told_apart)
{
    char conninfo[600];
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *eye = open_postgres();
    /* A commit that the database refuses. */
    sql(eye, "CREATE TABLE @.late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    ck_ok(of->begin(line, &error), error);
    sql(line, "INSERT INTO @.late VALUES (1), (1)");
    add(line, "a");
    ck_status(of->commit(line, &error), KUR_ERROR_DATABASE, error);
    ck_assert(!error.retriable);
    ck_assert_str_eq(relayed(), "");
    /* A lock that is not had in time. */
    sql(eye, "BEGIN; SELECT FROM @.outbox_shard FOR UPDATE");
    kur_outbox_parked_row parked = {.row = {.size = sizeof parked.row, .id = 1, .mark = 7}, .attempts = 1};
    ck_status(of->outbox_park(line, &parked, 1, true, &error), KUR_ERROR_DATABASE, error);
    ck_assert(error.retriable);
    ck_says(error, "55P03");
    sql(eye, "ROLLBACK");
    ck_ok(of->outbox_park(line, &parked, 1, true, &error), error);
    /* A table that another has made differently. */
    sql(eye, "ALTER TABLE @.outbox RENAME value TO content");
    ck_status(of->outbox_read(line, all, SHARDS, 1, 1, take, NULL, &error), KUR_ERROR_SCHEMA, error);
    sql(eye, "ALTER TABLE @.outbox RENAME content TO value; UPDATE @.meta SET schema = schema + 1");
    ck_status(of->migrate(line, SHARDS, &error), KUR_ERROR_SCHEMA, error);
    ck_says(error, "newer");
    sql(eye, "UPDATE @.meta SET schema = schema - 1");
    /* Rights that are missing. */
    sql(eye, "CREATE ROLE @_role LOGIN PASSWORD 'p'");
    snprintf(conninfo, sizeof conninfo, "%s user=%s_role password=p", getenv("KURIER_POSTGRES"), open_schema());
    kur_database *other =
        kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = conninfo, .schema = open_schema()), &error);
    void *connection = connect_line(other);
    ck_status(of->outbox_read(connection, all, SHARDS, 1, 1, take, NULL, &error), KUR_ERROR_DATABASE, error);
    ck_assert(!error.retriable);
    ck_says(error, "42501");
    of->disconnect(connection);
    kur_database_free(other);
    sql(eye, "DROP ROLE @_role");
    PQfinish(eye);
    tear_down();
}
END_TEST

/* Puts others in the place of words. */
static void replace(char *text, size_t size, const char *word, const char *other)
{
    char copy[1000];
    for (char *at = strstr(text, word); at != NULL; at = strstr(at + strlen(other), word)) {
        snprintf(copy, sizeof copy, "%s%s", other, at + strlen(word));
        snprintf(at, size - (size_t)(at - text), "%s", copy);
    }
}

/* The statements of the guide; how many they were. */
static int grant_as_the_guide_says(PGconn *connection)
{
    char path[600], text[1000];
    const char *source = getenv("SOURCE");
    int count = 0;
    snprintf(path, sizeof path, "%s/docs/guide/drivers.md", source != NULL ? source : ".");
    FILE *guide = fopen(path, "r");
    ck_assert_msg(guide != NULL, "%s", path);
    while (fgets(text, sizeof text, guide) != NULL) {
        if (strncmp(text, "GRANT ", 6) != 0)
            continue;
        replace(text, sizeof text, "kurier", "@");
        replace(text, sizeof text, " shop", " @_shop");
        replace(text, sizeof text, " relay", " @_relay");
        sql(connection, text);
        count++;
    }
    fclose(guide);
    return count;
}

static PGconn *connect_as(const char *role, kur_database **as)
{
    char conninfo[600];
    snprintf(conninfo, sizeof conninfo, "%s user=%s_%s password=p", getenv("KURIER_POSTGRES"), open_schema(), role);
    *as = kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = conninfo, .schema = open_schema()), &error);
    ck_assert_ptr_nonnull(*as);
    PGconn *connection = connect_line(*as);
    ck_ok(kur_database_check(*as, &error), error);
    return connection;
}

START_TEST(test_postgres__rights_are_those_of_the_guide)
{
    kur_database *as_shop, *as_relay;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *eye = open_postgres();
    sql(eye, "CREATE ROLE @_shop LOGIN PASSWORD 'p'; CREATE ROLE @_relay LOGIN PASSWORD 'p'");
    sql(eye, "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA @ FROM PUBLIC"); /* as many have it by default */
    ck_assert_int_eq(grant_as_the_guide_says(eye), 9);
    PGconn *shop = connect_as("shop", &as_shop), *relay = connect_as("relay", &as_relay);
    sql(shop, "BEGIN");
    add(shop, "a");
    sql(shop, "COMMIT");
    ck_ok(relay_all(relay), error);
    ck_ok(handle_all(shop), error);
    ck_assert_str_eq(relayed(), "");
    ck_status(of->outbox_read(shop, all, SHARDS, 1, 1, take, NULL, &error), KUR_ERROR_DATABASE, error);
    ck_says(error, "42501");
    of->disconnect(shop);
    of->disconnect(relay);
    kur_database_free(as_shop);
    kur_database_free(as_relay);
    sql(eye, "DROP OWNED BY @_shop, @_relay; DROP ROLE @_shop, @_relay");
    PQfinish(eye);
    tear_down();
}
END_TEST

/* ---- What must not be told, and what must not stay ---- */

static void refuse(const char *conninfo)
{
    error = (kur_error){0};
    kur_database *made =
        kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = conninfo, .connect_timeout_ms = 2000), &error);
    if (made != NULL) {
        void *connection = NULL;
        kur_status status = kur_database_driver(made)->connect(kur_database_state(made), &connection, &error);
        ck_assert_msg(status == KUR_ERROR_UNREACHABLE, "%s: %s", conninfo, kur_status_name(status));
        kur_database_free(made);
    } else {
        ck_assert_int_eq(error.code, KUR_ERROR_INVALID_ARGUMENT);
    }
    ck_assert_msg(strstr(error.message, "canary") == NULL, "%s", error.message);
    ck_assert_msg(strchr(error.message, '\n') == NULL, "%s", error.message);
    ck_assert_uint_gt(strlen(error.message), 10);
}

START_TEST(test_postgres__passwords_are_not_told)
{
    char text[600];
    skip_unless(opening_missing() == NULL, opening_missing());
    snprintf(text, sizeof text, "%s password=canary", getenv("KURIER_POSTGRES"));
    refuse(text);
    ck_says(error, "password authentication failed");
    ck_says(error, "user \"postgres\"");
    refuse("host=127.0.0.1 port=1 password=canary");
    ck_says(error, "127.0.0.1");
    refuse("host=127.0.0.1 password=a canary");
    refuse("host=127.0.0.1 password=a canary=b");
    refuse("host=127.0.0.1 password='canary");
    refuse("host=127.0.0.1 port=canary");
    refuse("postgresql://user:canary@[::1");
    refuse("postgresql://user:can/canary@localhost/x");
    refuse("postgresql://user:p@canary@127.0.0.1:1/x");
    refuse("postgresql://user:%canary@127.0.0.1:1/x");
    refuse("postgresql://user:x@127.0.0.1:1/x?canary=1");
    refuse("postgresql://user:canary@127.0.0.1:1/x?sslmode=canary");

    kur_postgres_options options = KUR_POSTGRES_OPTIONS(.schema = "a b");
    ck_assert_ptr_null(kur_postgres_new(&options, &error));
    ck_says(error, "schema");
    static const char *const names[] = {"", "1a", "A", "x;y", "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghi"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        options.schema = names[i];
        ck_assert_ptr_null(kur_postgres_new(&options, &error));
    }
    options = KUR_POSTGRES_OPTIONS(.connect_timeout_ms = -2);
    ck_assert_ptr_null(kur_postgres_new(&options, &error));
    ck_says(error, "connect_timeout_ms");
    kur_database *made = kur_postgres_new(NULL, &error);
    ck_assert_ptr_nonnull(made);
    kur_database_free(made);
}
END_TEST

/* A relay that is frozen in the middle of a transaction of several statements is cut off by the server. */
START_TEST(test_postgres__who_is_frozen_holds_no_lock_for_ever)
{
    int32_t shards[SHARDS];
    size_t count;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *eye = open_postgres();
    sql(eye, "CREATE TABLE @.told (bound text);"
             "CREATE FUNCTION @.tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO @.told VALUES"
             " (current_setting('idle_in_transaction_session_timeout')); RETURN NULL; END$$;"
             "CREATE TRIGGER tell AFTER INSERT ON @.outbox_relay EXECUTE FUNCTION @.tell();"
             "CREATE TRIGGER tell AFTER INSERT ON @.outbox_parked EXECUTE FUNCTION @.tell()");
    kur_outbox_claim claim = {.size = sizeof claim, .relay = "r", .lease_ms = 10000};
    ck_ok(of->outbox_claim(line, &claim, shards, &count, &error), error);
    sql(eye, "BEGIN");
    add(eye, "a");
    sql(eye, "COMMIT");
    ck_assert_str_eq(relayed(), "a");
    kur_outbox_parked_row parked = {
        .row = {.size = sizeof parked.row, .id = ids[0].id, .shard = ids[0].shard, .mark = ids[0].mark}, .attempts = 1};
    ck_ok(of->outbox_park(line, &parked, 1, true, &error), error);
    ck_assert_int_eq(sql_number(eye, "SELECT count(*) FROM @.told WHERE bound = '20s'"), 2);
    /* A handler may take its time. */
    ck_ok(of->begin(line, &error), error);
    ck_assert_int_eq(sql_number(line, "SELECT (current_setting('idle_in_transaction_session_timeout') = '0')::int"), 1);
    of->rollback(line);
    PQfinish(eye);
    tear_down();
}
END_TEST

/* As a pooler sees it that gives the server's connection to the next one after each transaction. */
START_TEST(test_postgres__nothing_stays_in_the_session)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    PGconn *service = open_postgres();
    sql(service, "BEGIN");
    add(service, "a");
    sql(service, "COMMIT");
    ck_ok(do_all(line), error);
    PGconn *const connections[] = {line, service};
    for (int i = 0; i < 2; i++) {
        PGconn *c = connections[i];
        ck_assert_int_eq(PQtransactionStatus(c), PQTRANS_IDLE);
        ck_assert_int_eq(sql_number(c, "SELECT count(*) FROM pg_settings WHERE source = 'session'"), 0);
        ck_assert_int_eq(sql_number(c, "SELECT count(*) FROM pg_prepared_statements"), 0);
        ck_assert_int_eq(sql_number(c, "SELECT count(*) FROM pg_cursors"), 0);
        ck_assert_int_eq(sql_number(c, "SELECT count(*) FROM pg_listening_channels()"), 0);
        ck_assert_int_eq(sql_number(c, "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype ="
                                       " 'advisory'"),
                         0);
        ck_assert_int_eq(sql_number(c, "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"), 0);
    }
    PQfinish(service);
    tear_down();
}
END_TEST

/* An outbox whose additions are prepared; from now on try_add adds to it. */
static kur_database *prepare_in(const char *schema)
{
    int32_t version, shards;
    kur_uuid id;
    kur_database *made = kur_postgres_new(
        &KUR_POSTGRES_OPTIONS(.conninfo = getenv("KURIER_POSTGRES"), .schema = schema, .prepares = true), &error);
    ck_assert_ptr_nonnull(made);
    void *own = connect_line(made);
    ck_ok(of->migrate(own, SHARDS, &error), error);
    ck_ok(of->schema_read(own, &version, &shards, &id, &error), error);
    of->disconnect(own);
    state = kur_database_state(made);
    return made;
}

static void add_one(PGconn *connection, const char *value, const char *end)
{
    sql(connection, "BEGIN");
    add(connection, value);
    sql(connection, end);
}

START_TEST(test_postgres__prepares_once_a_connection)
{
    static const char count[] = "SELECT count(*) FROM pg_prepared_statements WHERE name = 'kurier_outbox_add'";
    char other_schema[60];
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    kur_database *prepares = prepare_in(open_schema());
    PGconn *service = open_postgres();
    add_one(service, "x", "ROLLBACK");
    ck_assert_int_eq(sql_number(service, count), 1);
    add_one(service, "a", "COMMIT");
    add_one(service, "b", "COMMIT");
    ck_assert_int_eq(sql_number(service, count), 1);
    PQreset(service);
    add_one(service, "c", "COMMIT");
    /* The statement was put away: this transaction has lost it, the next has it again. */
    sql(service, "DISCARD ALL");
    sql(service, "BEGIN");
    ck_status(try_add(service, "y"), KUR_ERROR_DATABASE, error);
    ck_says(error, "26000");
    ck_assert_int_eq(PQtransactionStatus(service), PQTRANS_INERROR);
    sql(service, "ROLLBACK");
    add_one(service, "d", "COMMIT");
    ck_assert_int_eq(sql_number(service, count), 1);
    /* One connection, two outboxes: the second does without. */
    snprintf(other_schema, sizeof other_schema, "%s_other", open_schema());
    kur_database *other = prepare_in(other_schema);
    add_one(service, "z", "COMMIT");
    state = kur_database_state(prepares);
    add_one(service, "e", "COMMIT");
    ck_assert_int_eq(sql_number(service, count), 1);
    ck_assert_str_eq(relayed(), "a b c d e");
    ck_assert_int_eq(sql_number(service, "SELECT count(*) FROM @_other.outbox"), 1);
    sql(service, "DROP SCHEMA @_other CASCADE");
    PQfinish(service);
    kur_database_free(other);
    kur_database_free(prepares);
    tear_down();
}
END_TEST

START_TEST(test_postgres__without_memory)
{
    long points = 0;
    kur_error failed;
    kur_status status;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    do {
        failing_begin(points + 1, true);
        error = (kur_error){0};
        kur_database *own = kur_postgres_new(
            &KUR_POSTGRES_OPTIONS(.conninfo = getenv("KURIER_POSTGRES"), .schema = open_schema()), &error);
        void *connection = NULL;
        kur_buffer text = {0};
        status = own != NULL ? of->connect(kur_database_state(own), &connection, &error) : error.code;
        if (status == KUR_OK)
            status = of->schema_text(state, 0, 256, &text, &error);
        if (status == KUR_OK)
            status = of->begin(connection, &error);
        if (status == KUR_OK)
            status = try_add(connection, "v");
        of->rollback(connection);
        if (status == KUR_OK) {
            kur_outbox_id many[300] = {{0}};
            status = of->outbox_delete(connection, many, 300, NULL, &error);
        }
        if (status == KUR_OK)
            status = do_all(connection);
        failed = error;
        kur_buffer_done(&text);
        if (connection != NULL)
            of->disconnect(connection);
        kur_database_free(own);
        failing_end();
    } while (failing_again("PostgreSQL's driver", &points, status, &failed));
    tear_down();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_postgres__order_is_that_of_commits,
                                  test_postgres__order_is_kept_by_a_lock,
                                  test_postgres__order_needs_the_lock_first,
                                  test_postgres__order_needs_a_sequence_without_cache,
                                  test_postgres__floors_know_the_newest_writer,
                                  test_postgres__floors_need_the_number_before_the_id,
                                  test_postgres__floors_give_way_to_what_is_put_back,
                                  test_postgres__floors_give_way_to_ids_that_begin_anew,
                                  test_postgres__who_waits_for_a_migration_sees_its_tables,
                                  test_postgres__nothing_is_parked_behind_what_another_deletes,
                                  test_postgres__polls_pass_by_dead_rows,
                                  test_postgres__a_commit_whose_answer_is_lost,
                                  test_postgres__each_statement_fails_once,
                                  test_postgres__a_server_that_ends_a_connection,
                                  test_postgres__a_server_that_is_restarted,
                                  test_postgres__misuse_of_a_connection,
                                  test_postgres__a_connection_that_is_left_busy,
                                  test_postgres__another_database,
                                  test_postgres__warns_once,
                                  test_postgres__errors_are_told_apart,
                                  test_postgres__rights_are_those_of_the_guide,
                                  test_postgres__passwords_are_not_told,
                                  test_postgres__who_is_frozen_holds_no_lock_for_ever,
                                  test_postgres__nothing_stays_in_the_session,
                                  test_postgres__prepares_once_a_connection,
                                  test_postgres__without_memory,
                                  NULL};
    return check_main("postgres", tests);
}
