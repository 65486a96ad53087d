/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the order service remembers for GET /orders/{id}: the last ORDERS_MAX orders since it started. Any thread.
 */
#ifndef KURIER_SHOP_ORDERS_H
#define KURIER_SHOP_ORDERS_H

#include "events.h"
#include <kurier/kurier.h>

#define ORDERS_MAX 10000

typedef struct orders orders;

/* The order that a request asks for, with an id of its own, in `arena`. */
kur_status order_make(const struct order_request *request, kur_arena *arena, struct order_created *order,
                      kur_error *error);

/* NULL when there is no memory. Released by orders_free. */
orders *orders_new(void);
void orders_free(orders *orders);

/* Remembers an order, in the state `unknown`; forgets the oldest one when there are too many. */
kur_status orders_put(orders *orders, const struct order_created *order, kur_error *error);

/* Moves an order's state forward, never back; does nothing when the order is not remembered. */
void orders_advance(orders *orders, const char *order_id, enum order_state state);

/* Forgets an order, which was not taken after all. */
void orders_forget(orders *orders, const char *order_id);

/* The order, in `arena`; KUR_ERROR_STALE when it is not remembered, KUR_ERROR_NO_MEMORY. */
kur_status orders_get(orders *orders, const char *order_id, kur_arena *arena, struct order_view *view,
                      kur_error *error);

#endif
