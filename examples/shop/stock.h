/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * How many there are of each article, in SQLite. One thread at a time; several processes may share the file.
 */
#ifndef KURIER_SHOP_STOCK_H
#define KURIER_SHOP_STOCK_H

#include "events.h"
#include <kurier/kurier.h>
#include <sqlite3.h>

/* Room for an article's name of 64 characters of UTF-8. */
#define SKU_SIZE (4 * 64 + 1)

struct stock;

/* `initial`: how many there are of an article that is asked for the first time. NULL with an error. */
struct stock *stock_open(const char *path, int initial, kur_error *error);
void stock_close(struct stock *stock);

/*
 * Takes an order's goods, all or none, in the transaction that is open on a connection to the same file; `missing` gets
 * the first article of which there are not enough, or "".
 */
kur_status stock_take(struct stock *stock, sqlite3 *transaction, const struct order_created *order,
                      char missing[SKU_SIZE], kur_error *error);

/* The same in a transaction and on a connection of its own. */
kur_status stock_take_alone(struct stock *stock, const struct order_created *order, char missing[SKU_SIZE],
                            kur_error *error);

#endif
