/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Events change a database exactly once, whatever is delivered twice: boxes are counted out of a store in SQLite, and
 * what was packed goes out again by an outbox, in the same transaction. Kill it whenever you like.
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

KUR_EVENT(order_packed, "store.order.packed", 1, ORDER_PLACED);
KUR_EVENT_DEFINE(order_packed, ORDER_PLACED, .topic = "packed");

/* `transaction` is open: what is done there and that the order was handled are committed together, or not at all. */
static kur_outcome on_order(kur_delivery *delivery, void *transaction, const struct order_placed *order, void *user)
{
    char sql[80];
    kur_error error = {0};
    struct order_packed packed = {.order_id = order->order_id, .boxes = order->boxes};
    snprintf(sql, sizeof sql, "UPDATE packed SET orders = orders + 1, boxes = boxes + %d", order->boxes);
    if (sqlite3_exec(transaction, sql, NULL, NULL, NULL) != SQLITE_OK)
        return kur_retry(delivery, "store.database", "%s", sqlite3_errmsg(transaction));
    if (order_packed_outbox(user, transaction, &packed, NULL, &error) != KUR_OK)
        return kur_retry(delivery, "store.outbox", "%s", error.message);
    return KUR_DONE;
}

static void print_totals(const char *file)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    sqlite3_open(file, &db);
    sqlite3_busy_timeout(db, 5000);
    sqlite3_exec(db,
                 "CREATE TABLE IF NOT EXISTS packed(orders INTEGER NOT NULL, boxes INTEGER NOT NULL);"
                 "INSERT INTO packed SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM packed)",
                 NULL, NULL, NULL);
    sqlite3_prepare_v2(db, "SELECT orders, boxes FROM packed", -1, &statement, NULL);
    if (sqlite3_step(statement) == SQLITE_ROW)
        printf("%d orders are packed, %d boxes\n", sqlite3_column_int(statement, 0), sqlite3_column_int(statement, 1));
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

int main(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-') {
        printf("usage: %s FILE\n\nPacks orders until Ctrl-C. KAFKA_BOOTSTRAP_SERVERS names the broker.\n", argv[0]);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.source = "/examples", .log = kur_log_stderr), &error);
    kur_database *database = kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = argv[1]), &error);
    kur_database_migrate(database, 0, &error); /* or, once: kurier outbox migrate */
    kur_outbox *outbox = kur_outbox_new(client, database, NULL, &error);
    kur_listener *listener = kur_listener_new(
        client, &KUR_LISTENER_OPTIONS(.group = "store", .topics = (const char *[]){"orders", NULL}), &error);
    kur_inbox *inbox = kur_inbox_new(listener, database, &KUR_INBOX_OPTIONS(.consumer = "store"), &error);
    order_placed_inbox(inbox, on_order, outbox);
    print_totals(argv[1]);
    kur_listener_run(listener, &error); /* `kurier outbox relay`, or a thread here, sends what is in the outbox */
    print_totals(argv[1]);
    fprintf(stderr, "%s%s", error.message, error.code != KUR_OK ? "\n" : "");
    kur_listener_free(listener);
    kur_inbox_free(inbox);
    kur_outbox_free(outbox);
    kur_database_free(database);
    kur_client_unref(client);
    return error.code == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
