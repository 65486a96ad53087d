/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * The other way to do it, for comparison: the order service calls each service by HTTP, one after the other, and the
 * customer waits for all of them.
 */
#ifndef KURIER_SHOP_CHAIN_H
#define KURIER_SHOP_CHAIN_H

#include "events.h"
#include <kurier/kurier.h>

#define CHAIN_MAX 16

struct chain {
    size_t count;
    char urls[CHAIN_MAX][256];
};

/* From "http://127.0.0.1:4001,http://127.0.0.1:4002". KUR_ERROR_INVALID_ARGUMENT for an empty or too long list. */
kur_status chain_init(struct chain *chain, const char *urls, kur_error *error);

/*
 * Posts the order to /work of each, in order, over connections that stay open; each thread has its own. The first that
 * does not say 200 ends it: KUR_ERROR_UNREACHABLE names it.
 */
kur_status chain_call(const struct chain *chain, const struct order_created *order, kur_error *error);

#endif
