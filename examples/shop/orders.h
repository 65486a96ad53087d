/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Orders as HTTP sees them: reading one from a request, and answering GET /orders/{id}; and a memory of the last
 * ORDERS_MAX since the service started. Any thread.
 */
#ifndef KURIER_SHOP_ORDERS_H
#define KURIER_SHOP_ORDERS_H

#include "events.h"
#include "http.h"
#include <kurier/kurier.h>

#define ORDERS_MAX 10000

struct orders;

/* The order that a request asks for, with an id of its own. False when the answer already says what is wrong with it.
 */
bool orders_read(const struct http_request *request, struct order_created *order, struct http_answer *answer);

/* Answers an order that was taken: its id, its state, and where to ask for it. */
void orders_receipt(struct http_answer *answer, int status, const char *order_id, enum order_state state);

/* Answers with an order and its state; 404 when `json` is NULL. */
void orders_view(const struct http_request *request, enum order_state state, const char *json,
                 struct http_answer *answer);

/* ---- Remembering them in memory: for who has no database ---- */

/* NULL when there is no memory. Released by orders_free. */
struct orders *orders_new(void);
void orders_free(struct orders *orders);

/* Remembers an order, in the state `unknown`; forgets the oldest one when there are too many. */
kur_status orders_put(struct orders *orders, const struct order_created *order, kur_error *error);

/* Moves an order's state forward, never back; does nothing when the order is not remembered. */
void orders_advance(struct orders *orders, const char *order_id, enum order_state state);

/* Answers GET /orders/{id}. */
void orders_show(struct orders *orders, const struct http_request *request, struct http_answer *answer);

#endif
