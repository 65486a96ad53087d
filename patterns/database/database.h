/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * What an outbox, a relay and an inbox need of their database.
 */
#ifndef KURIER_DATABASE_DATABASE_H
#define KURIER_DATABASE_DATABASE_H

#include <kurier/driver.h>

/*
 * What the tables are, on a connection of the caller's or, where that is NULL, one of its own: into how many shards the
 * outbox is divided, and the id that the database was given with them. `shards` and `id` may be NULL. KUR_ERROR_SCHEMA
 * when they are missing, older or newer, with what to do about it; others as the driver's.
 */
kur_status kur__database_read(kur_database *database, void *connection, int32_t *shards, kur_uuid *id,
                              kur_error *error);

#endif
