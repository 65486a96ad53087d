/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include <stdio.h>

KUR_RECORD_DEFINE(order_line, ORDER_LINE);
KUR_EVENT_DEFINE(order_created, ORDER_CREATED);

const struct order_created *orders(void)
{
    static struct order_created made[ORDERS];
    static struct order_line lines[ORDERS][ORDER_LINES];
    static char ids[ORDERS][32], customers[ORDERS][32];
    static const char *const skus[ORDER_LINES] = {"KEYBOARD-DE-105", "MOUSE-2B", "CABLE-USB-C-2M"};
    for (int i = 0; i < ORDERS; i++) {
        snprintf(ids[i], sizeof ids[i], "order-2026-%06d", i);
        snprintf(customers[i], sizeof customers[i], "customer-%d", 1000 + i);
        for (int j = 0; j < ORDER_LINES; j++)
            lines[i][j] = (struct order_line){.sku = skus[j], .quantity = i + j + 1, .price = 1995 + 100 * j};
        made[i] = (struct order_created){.order_id = ids[i],
                                         .customer_id = customers[i],
                                         .placed_at = INT64_C(1780000000123456) + i,
                                         .lines = {lines[i], ORDER_LINES}};
    }
    return made;
}
