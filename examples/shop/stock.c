/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "stock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stock {
    sqlite3 *db;
    int initial;
};

static const char schema[] = "PRAGMA journal_mode = WAL;"
                             "CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, available INTEGER NOT NULL);";

struct stock *stock_open(const char *path, int initial, kur_error *error)
{
    struct stock *stock = calloc(1, sizeof *stock);
    if (stock == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }
    stock->initial = initial;
    int code = sqlite3_open(path, &stock->db);
    if (code == SQLITE_OK)
        sqlite3_busy_timeout(stock->db, 5000);
    if (code == SQLITE_OK)
        code = sqlite3_exec(stock->db, schema, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return stock;
    int why = sqlite3_system_errno(stock->db);
    kur_error_set(error, KUR_ERROR_SYSTEM, "--database %s: %s%s%s", path, sqlite3_errmsg(stock->db),
                  why != 0 ? ": " : "", why != 0 ? strerror(why) : "");
    stock_close(stock);
    return NULL;
}

void stock_close(struct stock *stock)
{
    if (stock == NULL)
        return;
    sqlite3_close(stock->db);
    free(stock);
}

/* Runs a statement with ?1 and ?2. */
static bool run(sqlite3 *db, const char *sql, const char *sku, int64_t number)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, sku, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, number);
        code = sqlite3_step(statement);
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE;
}

static bool execute(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static bool take(struct stock *stock, sqlite3 *db, const struct order_line *line, bool *enough)
{
    if (!run(db, "INSERT OR IGNORE INTO stock VALUES (?1, ?2)", line->sku, stock->initial) ||
        !run(db, "UPDATE stock SET available = available - ?2 WHERE sku = ?1 AND available >= ?2", line->sku,
             line->quantity))
        return false;
    *enough = sqlite3_changes(db) == 1;
    return true;
}

static bool take_all(struct stock *stock, sqlite3 *db, const struct order_created *order, char missing[SKU_SIZE])
{
    missing[0] = '\0';
    if (!execute(db, "SAVEPOINT goods"))
        return false;
    for (size_t i = 0; i < order->lines.count && missing[0] == '\0'; i++) {
        bool enough;
        if (!take(stock, db, &order->lines.items[i], &enough))
            return false;
        if (!enough)
            snprintf(missing, SKU_SIZE, "%s", order->lines.items[i].sku);
    }
    return (missing[0] == '\0' || execute(db, "ROLLBACK TO goods")) && execute(db, "RELEASE goods");
}

kur_status stock_take(struct stock *stock, sqlite3 *transaction, const struct order_created *order,
                      char missing[SKU_SIZE], kur_error *error)
{
    if (take_all(stock, transaction, order, missing))
        return KUR_OK;
    return kur_error_set(error, KUR_ERROR_DATABASE, "%s", sqlite3_errmsg(transaction));
}

kur_status stock_take_alone(struct stock *stock, const struct order_created *order, char missing[SKU_SIZE],
                            kur_error *error)
{
    if (execute(stock->db, "BEGIN IMMEDIATE") && take_all(stock, stock->db, order, missing) &&
        execute(stock->db, "COMMIT"))
        return KUR_OK;
    kur_error_set(error, KUR_ERROR_DATABASE, "%s", sqlite3_errmsg(stock->db));
    execute(stock->db, "ROLLBACK");
    return KUR_ERROR_DATABASE;
}
