/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * An order and its event, both or neither, in one transaction of SQLite's. A relay sends what was committed: in this
 * process or another, now or when the broker is back.
 */
#include <kurier/kurier.h>
#include <kurier/sqlite.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORDER_PLACED(F, S) F(S, STRING, order_id, .flags = KUR_KEY) F(S, INT32, boxes)
KUR_EVENT(order_placed, "orders.order.placed", 1, ORDER_PLACED);
KUR_EVENT_DEFINE(order_placed, ORDER_PLACED, .topic = "orders");

static const char tables[] = "CREATE TABLE IF NOT EXISTS orders(id INTEGER PRIMARY KEY, boxes INTEGER NOT NULL);"
                             "CREATE TABLE IF NOT EXISTS stock(boxes INTEGER NOT NULL CHECK (boxes >= 0));"
                             "INSERT INTO stock SELECT 500 WHERE NOT EXISTS (SELECT 1 FROM stock);";

static kur_status run(sqlite3 *db, const char *sql, kur_error *error)
{
    bool is_done = sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    return is_done ? KUR_OK : kur_error_set(error, KUR_ERROR_DATABASE, "%s: %s", sql, sqlite3_errmsg(db));
}

/* IMMEDIATE: a transaction that begins by reading can be refused when it writes. */
static kur_status place_order(sqlite3 *db, kur_outbox *outbox, int boxes, kur_error *error)
{
    char sql[128], id[24];
    snprintf(sql, sizeof sql, "UPDATE stock SET boxes = boxes - %d; INSERT INTO orders VALUES (NULL, %d)", boxes,
             boxes);
    kur_status status = run(db, "BEGIN IMMEDIATE", error);
    status = status == KUR_OK ? run(db, sql, error) : status; /* refused when there are not so many boxes */
    snprintf(id, sizeof id, "%lld", sqlite3_last_insert_rowid(db));
    if (status == KUR_OK)
        status = order_placed_outbox(outbox, db, &(struct order_placed){.order_id = id, .boxes = boxes}, NULL, error);
    if (status == KUR_OK)
        status = run(db, "COMMIT", error);
    if (!sqlite3_get_autocommit(db))
        run(db, "ROLLBACK", NULL); /* neither the order nor its event */
    return status;
}

static void place_orders(const char *file, kur_outbox *outbox, int count, kur_error *error)
{
    sqlite3 *db = NULL;
    int placed = 0;
    sqlite3_open(file, &db); /* what is wrong with it is told by the first statement */
    sqlite3_busy_timeout(db, 5000);
    for (run(db, tables, error); placed < count && error->code == KUR_OK; placed += error->code == KUR_OK)
        place_order(db, outbox, 1 + placed % 9, error);
    kur_outbox_committed(outbox); /* a relay in this process would look at once; others find out by themselves */
    printf("%d orders are placed\n", placed);
    sqlite3_close(db);
}

int main(int argc, char **argv)
{
    int count = argc == 3 ? atoi(argv[2]) : 0;
    if (argc < 2 || argv[1][0] == '-' || (argc > 2 && count < 1)) {
        printf("usage: %s FILE [N]\n\nPlaces N orders, or sends events. Broker: KAFKA_BOOTSTRAP_SERVERS.\n", argv[0]);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.source = "/examples", .log = kur_log_stderr), &error);
    kur_database *database = kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = argv[1]), &error);
    kur_database_migrate(database, 0, &error); /* or, once: kurier outbox migrate */
    kur_outbox *outbox = kur_outbox_new(client, database, NULL, &error);
    kur_relay *relay = count > 0 ? NULL : kur_relay_new(outbox, NULL, &error);
    count > 0 ? place_orders(argv[1], outbox, count, &error) : (void)kur_relay_run(relay, &error);
    fprintf(stderr, "%s%s", error.message, error.code != KUR_OK ? "\n" : "");
    kur_relay_free(relay);
    kur_outbox_free(outbox);
    kur_database_free(database);
    kur_client_unref(client);
    return error.code == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
