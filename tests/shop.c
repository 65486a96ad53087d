/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "shop.h"

KUR_ENUM_DEFINE(colour, COLOUR, .unknown = "other");
KUR_RECORD_DEFINE(order_line, ORDER_LINE);
KUR_EVENT_DEFINE(order_created, ORDER_CREATED, .topic = "orders");
KUR_RECORD_DEFINE(kinds, KINDS);
KUR_RECORD_DEFINE(settings, SETTINGS, .names = KUR_CAMEL_CASE, .unknown_fields = KUR_UNKNOWN_FIELDS_REFUSE,
                  .key_format = KUR_KEY_BE);
KUR_RECORD_DEFINE(tree, TREE);
