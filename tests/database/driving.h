/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What the suites over drivers share: a connection; calls one after another, of which one may fail; what an operator's
 * lists are given to.
 */
#ifndef KURIER_TESTS_DRIVING_H
#define KURIER_TESTS_DRIVING_H

#include <kurier/driver.h>

#include "../check_main.h"

/* A connection of the driver's; it must come. */
static inline void *connect_line(kur_database *database)
{
    void *connection = NULL;
    kur_error error = {0};
    ck_ok(kur_database_driver(database)->connect(kur_database_state(database), &connection, &error), error);
    return connection;
}

/* The next call, unless one before it has failed; `status` is the caller's. */
#define STEP(call) status = status == KUR_OK ? (call) : status

static inline kur_status pass_shard(const kur_outbox_shard *shard, void *user, kur_error *error)
{
    (void)shard, (void)user, (void)error;
    return KUR_OK;
}

static inline kur_status pass_relay(const kur_outbox_relay *relay, void *user, kur_error *error)
{
    (void)relay, (void)user, (void)error;
    return KUR_OK;
}

static inline kur_status pass_parked(const kur_outbox_parked_row *row, void *user, kur_error *error)
{
    (void)row, (void)user, (void)error;
    return KUR_OK;
}

static inline kur_status pass_position(const kur_inbox_position *position, void *user, kur_error *error)
{
    (void)position, (void)user, (void)error;
    return KUR_OK;
}

#endif
