/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Inventory: takes the goods of an order from the stock, all or none, and tells what came of it.
 *
 * An event can come twice, so what came of it is kept under the event's id, in the transaction that moves the stock:
 * the second time nothing moves and the same answer goes out.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>

#include "listener.h"
#include "service.h"

enum {
    SKU_SIZE = 4 * 64 + 1
}; /* 64 characters of UTF-8 */

struct inventory {
    const struct service *service;
    sqlite3 *db;
    int stock; /* of an article that is asked for the first time */
};

static const char schema[] = "PRAGMA journal_mode = WAL;"
                             "CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, available INTEGER NOT NULL);"
                             "CREATE TABLE IF NOT EXISTS handled (event TEXT PRIMARY KEY, missing TEXT NOT NULL);";

/* Runs one statement with texts and a number as ?1, ?2, ?3; copies the first column's text when `text` is given. */
static int run(sqlite3 *db, const char *sql, const char *one, const char *two, int64_t number, char text[SKU_SIZE])
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, one, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 2, two, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 3, number);
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW && text != NULL)
            snprintf(text, SKU_SIZE, "%s", (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    return code;
}

/* Inside a transaction: moves the stock, unless the event was here before; `missing` gets the article that ran out, or
 * "". */
static bool reserve(const struct inventory *inventory, const char *event, const struct order_created *order,
                    char missing[SKU_SIZE])
{
    sqlite3 *db = inventory->db;
    int code = run(db, "SELECT missing FROM handled WHERE event = ?1", event, NULL, 0, missing);
    if (code == SQLITE_ROW || code != SQLITE_DONE)
        return code == SQLITE_ROW;
    missing[0] = '\0';
    if (run(db, "SAVEPOINT goods", NULL, NULL, 0, NULL) != SQLITE_DONE)
        return false;
    for (size_t i = 0; i < order->lines.count && missing[0] == '\0'; i++) {
        const struct order_line *line = &order->lines.items[i];
        if (run(db, "INSERT OR IGNORE INTO stock VALUES (?1, ?3)", line->sku, NULL, inventory->stock, NULL) !=
                SQLITE_DONE ||
            run(db, "UPDATE stock SET available = available - ?3 WHERE sku = ?1 AND available >= ?3", line->sku, NULL,
                line->quantity, NULL) != SQLITE_DONE)
            return false;
        if (sqlite3_changes(db) == 0)
            snprintf(missing, SKU_SIZE, "%s", line->sku);
    }
    if (missing[0] != '\0' && run(db, "ROLLBACK TO goods", NULL, NULL, 0, NULL) != SQLITE_DONE)
        return false;
    return run(db, "INSERT INTO handled VALUES (?1, ?2)", event, missing, 0, NULL) == SQLITE_DONE;
}

static kur_outcome tell(const struct inventory *inventory, kur_delivery *delivery, const struct order_created *order,
                        const char *missing)
{
    kur_error error = {0};
    kur_status status = KUR_OK;
    int64_t articles = 0;
    for (size_t i = 0; i < order->lines.count; i++)
        articles += order->lines.items[i].quantity;
    struct inventory_reserved reserved = {.order_id = order->order_id, .articles = articles};
    struct inventory_rejected rejected = {.order_id = order->order_id, .sku = missing};
    if (delivery != NULL) /* on request by HTTP there is nobody to tell but the caller */
        status = missing[0] == '\0' ? inventory_reserved_emit(delivery, &reserved, &error)
                                    : inventory_rejected_emit(delivery, &rejected, &error);
    if (status != KUR_OK)
        return kur_retry(delivery, "inventory.emit", "%s", error.message);
    if (missing[0] == '\0')
        service_say(inventory->service, order->order_id, "%" PRId64 " reserved", articles);
    else
        service_say(inventory->service, order->order_id, "rejected: not enough %s", missing);
    return KUR_DONE;
}

static kur_outcome on_order(kur_delivery *delivery, const struct order_created *order, void *user)
{
    struct inventory *inventory = user;
    const kur_event_view *event = kur_delivery_event(delivery);
    char missing[SKU_SIZE];
    service_take_time(inventory->service);
    if (run(inventory->db, "BEGIN IMMEDIATE", NULL, NULL, 0, NULL) != SQLITE_DONE)
        return kur_retry(delivery, "inventory.database", "%s", sqlite3_errmsg(inventory->db));
    if (reserve(inventory, event != NULL ? event->id : order->order_id, order, missing) &&
        run(inventory->db, "COMMIT", NULL, NULL, 0, NULL) == SQLITE_DONE)
        return tell(inventory, delivery, order, missing);
    kur_outcome outcome = kur_retry(delivery, "inventory.database", "%s", sqlite3_errmsg(inventory->db));
    run(inventory->db, "ROLLBACK", NULL, NULL, 0, NULL);
    return outcome;
}

static int serve(struct service *service, struct inventory *inventory)
{
    if (service->http != NULL)
        return service_answer(service, on_order, inventory);
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = service->bootstrap,
                                                            .properties_file = service->properties_file,
                                                            .source = "/services/inventory", .log = kur_log_stderr),
                                        &error);
    kur_listener *listener = kur_listener_new(
        client, &KUR_LISTENER_OPTIONS(.group = service->group, .topics = (const char *[]){"orders", NULL}), &error);
    order_created_on(listener, on_order, inventory);
    kur_status status = kur_listener_run(listener, &error); /* until SIGTERM */
    kur_listener_free(listener);
    kur_client_unref(client);
    return service_end(service, status, &error);
}

int main(int argc, char **argv)
{
    const char *database = "inventory.db", *stock = "100";
    const struct service_flag flags[] = {
        {"database", "FILE", "where the stock is kept (default: inventory.db)", &database},
        {"stock", "N", "how many there are of an article that is new to it (default: 100)", &stock},
        {0}};
    struct service service = {
        .name = "inventory", .purpose = "Reserves the goods of each order, or rejects it.", .flags = flags};
    struct inventory inventory = {.service = &service};
    if (!service_begin(&service, argc, argv))
        return service.status;
    if (!service_number(&service, "stock", stock, 0, 1000000000, &inventory.stock))
        return 2;
    int code = sqlite3_open(database, &inventory.db);
    if (code == SQLITE_OK)
        sqlite3_busy_timeout(inventory.db, 5000); /* other instances share the file */
    if (code == SQLITE_OK)
        code = sqlite3_exec(inventory.db, schema, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = serve(&service, &inventory);
    else
        fprintf(stderr, "shop-inventory: --database %s: %s\n", database, sqlite3_errmsg(inventory.db));
    sqlite3_close(inventory.db);
    return code == 0 ? 0 : 1;
}
