/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * <kurier/listener.h>: competing consumers: records are handled by workers of the listener's, in the order that was
 * asked for, and an offset is committed when, and only when, the effect of its outcome is durable.
 */
#ifndef KURIER_LISTENER_H
#define KURIER_LISTENER_H

#include <kurier/api.h>

KUR_BEGIN_DECLS

/** Which records wait for each other. */
typedef enum kur_order {
    KUR_ORDER_BY_KEY = 0,   /**< those with the same key in the same partition; those without a key run freely */
    KUR_ORDER_BY_PARTITION, /**< those of a partition */
    KUR_UNORDERED
} kur_order;

KUR_END_DECLS

#endif
