/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "shop.h"

KUR_ENUM_DEFINE(order_status, ORDER_STATUS, .unknown = "other");
KUR_RECORD_DEFINE(order_line, ORDER_LINE);
KUR_EVENT_DEFINE(order_placed, ORDER_PLACED, .topic = "orders", .names = KUR_CAMEL_CASE);
