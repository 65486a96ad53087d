/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

KUR_RECORD_DEFINE(order_line, ORDER_LINE);
KUR_RECORD_DEFINE(order_request, ORDER_REQUEST);
KUR_EVENT_DEFINE(order_created, ORDER_CREATED, .topic = "orders");
KUR_EVENT_DEFINE(inventory_reserved, INVENTORY_RESERVED, .topic = "inventory");
KUR_EVENT_DEFINE(inventory_rejected, INVENTORY_REJECTED, .topic = "inventory");
KUR_ENUM_DEFINE(order_state, ORDER_STATE);
KUR_RECORD_DEFINE(order_view, ORDER_VIEW);
KUR_RECORD_DEFINE(order_receipt, ORDER_RECEIPT);
