/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A PostgreSQL that dies, and its standby, which lags behind and takes over: what the standby knows is sent, also what
 * gets an id that was another row's before. The servers are this program's own (script/postgres run).
 */
#include <kurier/postgres.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../relaying.h"

enum {
    KEYS = 40,
    PART = 100 /* numbers in each: */
};

/* What becomes of the parts of a test's numbers. */
enum part {
    SETTLED, /* sent and deleted, which the standby knows */
    KNOWN,   /* waits when the standby is cut off, and is sent then */
    LOST,    /* committed and sent later: the standby never hears of it */
    NEW,     /* committed at the standby, by ids that the lost ones had */
    PARTS
};

static long long last_id(const char *conninfo)
{
    PGconn *connection = PQconnectdb(conninfo);
    ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
    PGresult *result = PQexec(connection, "SELECT last_value FROM kurier.outbox_id");
    ck_assert_msg(PQntuples(result) == 1, "%s", PQerrorMessage(connection));
    long long id = atoll(PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(connection);
    return id;
}

static void send_part(struct relaying *bed, const char *topic, enum part part)
{
    relaying_send_many(bed, topic, KEYS, part * PART, PART);
}

/* The relay lives through it, or is stopped before and started after it. */
static void fail_over(kur_guarantee guarantee, bool is_there)
{
    struct relaying bed;
    struct relaying_seen seen;
    kur_error error = {0};
    const kur_relay_options options = KUR_RELAY_OPTIONS(.guarantee = guarantee, .name = "one", .lease_ms = 6000);
    char conninfo[1000];
    snprintf(conninfo, sizeof conninfo, "%s", support_postgres_node("standby"));
    kur_database *database = kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = conninfo), &error);
    ck_assert_msg(database != NULL, "%s", error.message);
    ck_ok(kur_database_migrate(database, 4, &error), error);
    relaying_open(&bed, database);
    const char *topic = support_topic(2);
    kur_relay *relay = relaying_start(&bed, &options);
    send_part(&bed, topic, SETTLED);
    relaying_await_rows(&bed, 0, 0);
    relaying_end(relay);

    send_part(&bed, topic, KNOWN);
    support_postgres_node("cut");
    relay = relaying_start(&bed, &options);
    send_part(&bed, topic, LOST);
    relaying_await_rows(&bed, 0, 0);
    long long id = last_id(conninfo);
    if (!is_there)
        relaying_end(relay);
    support_postgres_node("kill");
    support_postgres_node("promote");
    ck_assert_int_lt(last_id(conninfo), id);
    send_part(&bed, topic, NEW);
    if (!is_there)
        relay = relaying_start(&bed, &options);
    relaying_await_rows(&bed, 0, 0);
    relaying_read_all(topic, PARTS * PART, &seen);
    ck_assert_int_eq(seen.disorder, 0);
    for (int i = 0; i < PARTS * PART; i++) {
        /* That they were sent and deleted is what the standby has not heard of: they are sent again. */
        bool is_known = i / PART == KNOWN;
        ck_assert_int_ge(seen.times[i], 1);
        ck_assert_int_le(seen.times[i], is_known ? 2 : 1);
    }
    relaying_end(relay);
    relaying_close(&bed);
    support_postgres_node("drop");
    support_postgres_node("start");
    PGconn *connection = PQconnectdb(getenv("KURIER_POSTGRES"));
    PQclear(PQexec(connection, "SET client_min_messages = warning; DROP SCHEMA kurier CASCADE"));
    PQfinish(connection);
}

START_TEST(test_failover__at_least_once)
{
    fail_over(KUR_AT_LEAST_ONCE, true);
    fail_over(KUR_AT_LEAST_ONCE, false);
}
END_TEST

START_TEST(test_failover__exactly_once)
{
    skip_unless(support_is_real(), "the embedded broker has no transactions");
    fail_over(KUR_EXACTLY_ONCE, true);
    fail_over(KUR_EXACTLY_ONCE, false);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_failover__at_least_once, test_failover__exactly_once, NULL};
    int status = check_main("failover", tests);
    consuming_stop();
    return status;
}
