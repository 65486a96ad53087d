/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "stock.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stock {
    sqlite3 *db;
    int initial;
};

static const char schema[] = "PRAGMA journal_mode = WAL;"
                             "CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, available INTEGER NOT NULL);"
                             "CREATE TABLE IF NOT EXISTS handled (event TEXT PRIMARY KEY, missing TEXT NOT NULL);";

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

/* Runs one statement with ?1 as text and ?2 as number or, where `two` is given, as text; copies what it selects. */
static int run(struct stock *stock, const char *sql, const char *one, const char *two, int64_t number, char *selected)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(stock->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, one, -1, SQLITE_STATIC);
        if (two != NULL)
            sqlite3_bind_text(statement, 2, two, -1, SQLITE_STATIC);
        else
            sqlite3_bind_int64(statement, 2, number);
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW && selected != NULL)
            snprintf(selected, SKU_SIZE, "%s", (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    return code;
}

static bool execute(struct stock *stock, const char *sql)
{
    return sqlite3_exec(stock->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static bool take(struct stock *stock, const struct order_line *line, bool *enough)
{
    if (run(stock, "INSERT OR IGNORE INTO stock VALUES (?1, ?2)", line->sku, NULL, stock->initial, NULL) !=
            SQLITE_DONE ||
        run(stock, "UPDATE stock SET available = available - ?2 WHERE sku = ?1 AND available >= ?2", line->sku, NULL,
            line->quantity, NULL) != SQLITE_DONE)
        return false;
    *enough = sqlite3_changes(stock->db) == 1;
    return true;
}

/* Inside a transaction. */
static bool reserve(struct stock *stock, const char *event_id, const struct order_created *order,
                    char missing[SKU_SIZE])
{
    int code = run(stock, "SELECT missing FROM handled WHERE event = ?1", event_id, NULL, 0, missing);
    if (code != SQLITE_DONE)
        return code == SQLITE_ROW;
    missing[0] = '\0';
    if (!execute(stock, "SAVEPOINT goods"))
        return false;
    for (size_t i = 0; i < order->lines.count && missing[0] == '\0'; i++) {
        bool enough;
        if (!take(stock, &order->lines.items[i], &enough))
            return false;
        if (!enough)
            snprintf(missing, SKU_SIZE, "%s", order->lines.items[i].sku);
    }
    if (missing[0] != '\0' && !execute(stock, "ROLLBACK TO goods"))
        return false;
    return run(stock, "INSERT INTO handled VALUES (?1, ?2)", event_id, missing, 0, NULL) == SQLITE_DONE;
}

kur_status stock_reserve(struct stock *stock, const char *event_id, const struct order_created *order,
                         char missing[SKU_SIZE], kur_error *error)
{
    if (execute(stock, "BEGIN IMMEDIATE") && reserve(stock, event_id, order, missing) && execute(stock, "COMMIT"))
        return KUR_OK;
    kur_error_set(error, KUR_ERROR_SYSTEM, "%s", sqlite3_errmsg(stock->db));
    execute(stock, "ROLLBACK");
    return KUR_ERROR_SYSTEM;
}
