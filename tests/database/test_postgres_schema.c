/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * From one schema of PostgreSQL's to the next, with rows in it, and whose rights its function has.
 */
#include <kurier/arena.h>
#include <kurier/postgres.h>
#include <kurier/sys/thread.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "driving.h"
#include "open_postgres.h"

enum {
    SHARDS = 2,
    AT_ONCE = 4
};

static kur_database *database;
static const kur_driver *of;
static void *state;
static PGconn *line; /* of the driver's */
static PGconn *eye;  /* of a service's own */
static kur_error error;

static void set_up(void)
{
    database = opening_new();
    of = kur_database_driver(database);
    state = kur_database_state(database);
    error = (kur_error){0};
    line = connect_line(database);
    eye = open_postgres();
}

static void tear_down(void)
{
    PQfinish(eye);
    of->disconnect(line);
    opening_free(database);
}

static const char *text_from(int from, kur_arena *arena)
{
    const char *text = kur_database_schema_text(database, from, SHARDS, arena, &error);
    ck_assert_msg(text != NULL, "%s", error.message);
    return text;
}

/* Schema 1 is what there is to run before that which leads from it to the next. */
static void make_schema_1(void)
{
    kur_arena *arena = kur_arena_new();
    char *all = strdup(text_from(0, arena));
    const char *rest = text_from(1, arena);
    char *at = strstr(all, rest);
    ck_assert_msg(at != NULL && at[strlen(rest)] == '\0', "the way from 1 is not the end of the way from 0");
    *at = '\0';
    PGresult *result = PQexec(eye, all);
    ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(eye));
    PQclear(result);
    free(all);
    kur_arena_free(arena);
    ck_assert_int_eq(sql_number(eye, "SELECT schema FROM @.meta"), 1);
}

static kur_status add_on(PGconn *connection)
{
    const kur_outbox_row row = {
        .size = sizeof row, .topic = "t", .mark = 7, .key = kur_bytes_text("k"), .value = kur_bytes_text("new")};
    return of->outbox_add(state, connection, &row, &error);
}

static kur_status enter_on(PGconn *connection, int64_t offset, kur_inbox_turn *turn)
{
    const kur_inbox_place place = {sizeof place, "c", "t", 0, offset, 1};
    ck_ok(of->begin(connection, &error), error);
    kur_status status = of->inbox_enter(connection, &place, turn, &error);
    of->rollback(connection);
    return status;
}

static void *migrate_too(void *user)
{
    kur_error own = {0};
    kur_status status = of->migrate(user, SHARDS, &own);
    ck_assert_msg(status == KUR_OK, "%s", own.message);
    return NULL;
}

static void migrate_at_once(void)
{
    pthread_t threads[AT_ONCE];
    void *lines[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++) {
        lines[i] = connect_line(database);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, migrate_too, lines[i]), 0);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        pthread_join(threads[i], NULL);
        of->disconnect(lines[i]);
    }
}

static char last_value[16];
static int rows;

static kur_status take(const kur_outbox_row *row, void *user, kur_error *unused)
{
    (void)user;
    (void)unused;
    rows++;
    snprintf(last_value, sizeof last_value, "%.*s", (int)row->value.size, (const char *)row->value.data);
    return KUR_OK;
}

static int read_rows(void)
{
    const int32_t shard = 0;
    rows = 0;
    ck_ok(of->outbox_read(line, &shard, 1, 10, 1 << 20, take, NULL, &error), error);
    return rows;
}

/* Those who wait for the function's row, or find it missing, are told what to run. */
START_TEST(test_postgres_schema__an_old_one_is_refused)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    make_schema_1();
    ck_status(kur_database_check(database, &error), KUR_ERROR_SCHEMA, error);
    ck_says(error, "of schema 1, and 2 is needed: run `kurier outbox migrate`");
    kur_inbox_turn turn;
    ck_status(enter_on(line, 1, &turn), KUR_ERROR_SCHEMA, error);
    ck_says(error, "has `kurier outbox migrate` been run?");
    ck_ok(kur_database_migrate(database, 0, &error), error);
    ck_ok(kur_database_check(database, &error), error);
    tear_down();
}
END_TEST

START_TEST(test_postgres_schema__rows_go_on)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    make_schema_1();
    sql(eye, "INSERT INTO @.outbox (shard, mark, topic, key, value) VALUES (0, 7, 't', 'k', 'old');"
             "INSERT INTO @.outbox_parked (shard, id, mark, topic, created, is_behind, blocks, attempts)"
             " VALUES (1, 900, 7, 't', now(), false, true, 1);"
             "INSERT INTO @.inbox_position (consumer, topic, partition, log_id, first_offset, next_offset)"
             " VALUES ('c', 't', 0, gen_random_uuid(), 10, 20);"
             "INSERT INTO @.inbox_done SELECT id, o, o % 2 = 1 FROM @.inbox_position, generate_series(12, 25) o;"
             "CREATE TABLE @.before AS SELECT id FROM @.meta");
    migrate_at_once();
    ck_ok(kur_database_check(database, &error), error);
    ck_assert_int_eq(sql_number(eye, "SELECT count(*) FROM @.meta JOIN @.before USING (id)"), 1);
    ck_assert_int_eq(read_rows(), 1);
    sql(eye, "BEGIN");
    ck_ok(add_on(eye), error);
    sql(eye, "COMMIT");
    ck_assert_int_eq(read_rows(), 2);
    ck_assert_str_eq(last_value, "new");
    ck_assert_int_eq(sql_number(eye, "SELECT count(*) FROM @.outbox_parked"), 1);
    static const struct {
        int64_t offset;
        kur_inbox_turn turn;
    } records[] = {{9, KUR_INBOX_HANDLE}, {11, KUR_INBOX_DONE},   {12, KUR_INBOX_DONE},  {13, KUR_INBOX_HANDLE},
                   {24, KUR_INBOX_DONE},  {25, KUR_INBOX_HANDLE}, {26, KUR_INBOX_HANDLE}};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        kur_inbox_turn turn;
        ck_ok(enter_on(line, records[i].offset, &turn), error);
        ck_assert_msg(turn == records[i].turn, "offset %d: %d", (int)records[i].offset, (int)turn);
    }
    tear_down();
}
END_TEST

/* What is printed can be run again, and by a tool that runs it beside the migration. */
START_TEST(test_postgres_schema__by_hand_and_again)
{
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    make_schema_1();
    kur_arena *arena = kur_arena_new();
    for (int i = 0; i < 3; i++) {
        PGresult *result = PQexec(eye, text_from(1, arena));
        ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(eye));
        PQclear(result);
        migrate_at_once();
    }
    ck_assert_str_eq(text_from(of->schema, arena), "");
    kur_arena_free(arena);
    ck_ok(kur_database_check(database, &error), error);
    ck_assert_int_eq(sql_number(eye, "SELECT count(*) FROM @.meta"), 1);
    tear_down();
}
END_TEST

/* ---- Rights ---- */

static PGconn *connect_as_role(kur_database **as)
{
    char conninfo[600];
    snprintf(conninfo, sizeof conninfo, "%s user=%s_role password=p", getenv("KURIER_POSTGRES"), open_schema());
    *as = kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = conninfo, .schema = open_schema()), &error);
    ck_assert_ptr_nonnull(*as);
    return connect_line(*as);
}

/* To be allowed a function is not to be allowed what it does, and the other way round. */
START_TEST(test_postgres_schema__the_function_has_its_callers_rights)
{
    kur_database *as;
    kur_inbox_turn turn;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    ck_ok(of->migrate(line, SHARDS, &error), error);
    sql(eye, "INSERT INTO @.inbox_position (consumer, topic, partition, log_id, first_offset, next_offset)"
             " VALUES ('c', 't', 0, gen_random_uuid(), 0, 0);"
             "CREATE ROLE @_role LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA @ TO @_role;"
             "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA @ FROM PUBLIC;"
             "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA @ TO @_role");
    PGconn *role = connect_as_role(&as);
    ck_status(enter_on(role, 1, &turn), KUR_ERROR_DATABASE, error);
    ck_says(error, "permission denied for table inbox_position (42501)");
    sql(eye, "GRANT SELECT, INSERT, UPDATE, DELETE ON @.inbox_position, @.inbox_done TO @_role");
    ck_ok(enter_on(role, 1, &turn), error);
    sql(eye, "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA @ FROM @_role");
    ck_status(enter_on(role, 1, &turn), KUR_ERROR_DATABASE, error);
    ck_says(error, "permission denied for function inbox_enter (42501)");
    of->disconnect(role);
    kur_database_free(as);
    sql(eye, "DROP OWNED BY @_role; DROP ROLE @_role");
    tear_down();
}
END_TEST

/* A service's own tables of the same names, and its search_path, do not stand in for the outbox's. */
START_TEST(test_postgres_schema__the_function_knows_its_tables)
{
    kur_inbox_turn turn;
    skip_unless(opening_missing() == NULL, opening_missing());
    set_up();
    ck_ok(of->migrate(line, SHARDS, &error), error);
    sql(eye, "INSERT INTO @.inbox_position (consumer, topic, partition, log_id, first_offset, next_offset)"
             " VALUES ('c', 't', 0, gen_random_uuid(), 0, 0)");
    PGconn *const callers[] = {eye, line};
    for (int i = 0; i < 2; i++)
        sql(callers[i], "CREATE TEMP TABLE outbox (x int); CREATE TEMP TABLE inbox_position (x int);"
                        " CREATE TEMP TABLE inbox_done (x int); SET search_path = pg_temp");
    for (int i = 0; i < 20; i++) { /* from its fifth call on a plan is kept */
        sql(eye, "BEGIN");
        ck_ok(add_on(eye), error);
        sql(eye, "COMMIT");
        ck_ok(enter_on(line, i, &turn), error);
        ck_assert_int_eq(turn, KUR_INBOX_HANDLE);
    }
    ck_assert_int_eq(read_rows(), 10); /* so many are read at once */
    ck_assert_int_eq(sql_number(eye, "SELECT count(*) FROM @.outbox"), 20);
    tear_down();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_postgres_schema__an_old_one_is_refused,
                                  test_postgres_schema__rows_go_on,
                                  test_postgres_schema__by_hand_and_again,
                                  test_postgres_schema__the_function_has_its_callers_rights,
                                  test_postgres_schema__the_function_knows_its_tables,
                                  NULL};
    return check_main("postgres_schema", tests);
}
