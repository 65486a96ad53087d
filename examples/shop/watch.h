/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of work that failed, as a line whenever that changes: how many records wait in each tier of retry
 * topics, and how many are dead letters.
 */
#ifndef KURIER_SHOP_WATCH_H
#define KURIER_SHOP_WATCH_H

#include "service.h"
#include <kurier/kurier.h>

struct watch;

/* Looks twice a second, on a thread of its own, until watch_end. NULL, and nothing is watched, when it cannot. */
struct watch *watch_begin(const struct service *service, kur_listener *listener);

/* Before the listener is freed. NULL does nothing. */
void watch_end(struct watch *watch);

#endif
