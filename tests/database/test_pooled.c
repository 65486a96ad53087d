/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL behind a pooler (script/postgres run --pooled). That all the rest works there, the driver's suite and the
 * outbox's show, which run there as well; here is what they rely on, and what a pooler that will not do is told.
 */
#include <kurier/postgres.h>
#include <kurier/sys/clock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../check_main.h"
#include "open_postgres.h"

#define NEEDS_POOLER() skip_unless(getenv("KURIER_POSTGRES_POOLED") != NULL, "no pooler: script/postgres run --pooled")

enum {
    DEADLINE_MS = 30000
};

/* Otherwise the suites that run here would say nothing. */
START_TEST(test_pooled__a_transaction_has_another_session)
{
    NEEDS_POOLER();
    PGconn *connection = open_postgres();
    int64_t deadline_us = kur_clock_monotonic_us() + DEADLINE_MS * INT64_C(1000);
    long long first = sql_number(connection, "SELECT pg_backend_pid()");
    while (sql_number(connection, "SELECT pg_backend_pid()") == first) {
        ck_assert_int_lt(kur_clock_monotonic_us(), deadline_us);
        poll(NULL, 0, 10); /* until the pool has a second one */
    }
    sql(connection, "SET work_mem = '77MB'");
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(sql_number(connection, "SELECT count(*) FROM pg_settings WHERE source = 'session' AND name ="
                                                " 'work_mem'"),
                         0);
    PQfinish(connection);
}
END_TEST

/* Whoever starts is told, and not a relay in the middle of its work. */
START_TEST(test_pooled__a_pooler_without_transactions_is_refused)
{
    NEEDS_POOLER();
    kur_error error = {0};
    char conninfo[600];
    kur_database *database = opening_new();
    ck_ok(kur_database_migrate(database, 0, &error), error);
    snprintf(conninfo, sizeof conninfo, "%s dbname=statements", getenv("KURIER_POSTGRES"));
    kur_database *by_statement =
        kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = conninfo, .schema = open_schema()), &error);
    ck_assert_msg(by_statement != NULL, "%s", error.message);
    for (int i = 0; i < 2; i++) {
        ck_status(i == 0 ? kur_database_check(by_statement, &error) : kur_database_migrate(by_statement, 0, &error),
                  KUR_ERROR_UNSUPPORTED, error);
        ck_says(error, "pool_mode = transaction");
    }
    kur_database_free(by_statement);
    opening_free(database);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_pooled__a_transaction_has_another_session,
                                  test_pooled__a_pooler_without_transactions_is_refused, NULL};
    return check_main("pooled", tests);
}
