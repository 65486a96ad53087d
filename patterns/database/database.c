/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A database is a driver and what that calls one. What is judged here, once for all drivers, is whether the tables are
 * those that this library knows.
 */
#include "database/database.h"

#include <kurier/sys/error.h>
#include <kurier/sys/memory.h>
#include <kurier/sys/options.h>

enum {
    SHARDS_BY_DEFAULT = 16
};

struct kur_database {
    kur_driver driver; /* as this library knows it */
    void *state;
};

/* The first function that is missing, or NULL. */
static const char *missing_function(const kur_driver *driver)
{
#define MISSING(function)                                                                                              \
    if (driver->function == NULL)                                                                                      \
    return #function
    MISSING(connect);
    MISSING(disconnect);
    MISSING(free);
    MISSING(begin);
    MISSING(commit);
    MISSING(rollback);
    MISSING(schema_text);
    MISSING(migrate);
    MISSING(schema_read);
    MISSING(outbox_add);
    MISSING(outbox_claim);
    MISSING(outbox_read);
    MISSING(outbox_delete);
    MISSING(outbox_park);
    MISSING(outbox_raise);
    MISSING(outbox_figures);
    MISSING(outbox_shards);
    MISSING(outbox_relays);
    MISSING(outbox_parked);
    MISSING(outbox_unpark);
    MISSING(outbox_drop);
    MISSING(inbox_join);
    MISSING(inbox_enter);
    MISSING(inbox_leave_open);
    MISSING(inbox_move);
    MISSING(inbox_reset);
    MISSING(inbox_note);
    MISSING(inbox_forget);
    MISSING(inbox_positions);
    MISSING(inbox_remove);
#undef MISSING
    return NULL;
}

kur_database *kur_database_new(const kur_driver *given, void *state, kur_error *error)
{
    kur_driver driver;
    if (given == NULL) {
        kur_error_null(error, "driver");
        return NULL;
    }
    if (kur_options_take(&driver, sizeof driver, given, "kur_driver", error) != KUR_OK)
        return NULL;
    const char *missing = driver.name == NULL ? "name" : missing_function(&driver);
    if (missing != NULL || driver.schema < 1) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "kur_driver.%s is not set",
                      missing != NULL ? missing : "schema");
        return NULL;
    }
    kur_database *database = kur_calloc(1, sizeof *database);
    if (database == NULL) {
        kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }
    database->driver = driver;
    database->driver.size = sizeof driver;
    database->state = state;
    return database;
}

void kur_database_free(kur_database *database)
{
    if (database == NULL)
        return;
    database->driver.free(database->state);
    kur_free(database);
}

const kur_driver *kur_database_driver(const kur_database *database)
{
    return database != NULL ? &database->driver : NULL;
}

void *kur_database_state(const kur_database *database)
{
    return database != NULL ? database->state : NULL;
}

/* ---- The schema ---- */

static kur_status judge(const kur_driver *driver, int32_t schema, kur_error *error)
{
    if (schema == 0)
        return kur_error_set(error, KUR_ERROR_SCHEMA,
                             "%s: the tables of outbox and inbox are missing: run `kurier outbox migrate`",
                             driver->name);
    if (schema < driver->schema)
        return kur_error_set(error, KUR_ERROR_SCHEMA,
                             "%s: the tables of outbox and inbox are of schema %d, and %d is needed: run `kurier "
                             "outbox migrate`",
                             driver->name, (int)schema, (int)driver->schema);
    if (schema > driver->schema)
        return kur_error_set(error, KUR_ERROR_SCHEMA,
                             "%s: the tables of outbox and inbox are of schema %d, newer than this library, which "
                             "knows %d: update it; `kurier outbox migrate` does not go back",
                             driver->name, (int)schema, (int)driver->schema);
    return KUR_OK;
}

static kur_status read_schema(const kur_database *database, void *connection, int32_t *shards, kur_uuid *id,
                              kur_error *error)
{
    int32_t schema = 0, found_shards = 0;
    kur_uuid found_id = {{0}};
    kur_status status = database->driver.schema_read(connection, &schema, &found_shards, &found_id, error);
    if (status == KUR_OK)
        status = judge(&database->driver, schema, error);
    if (status == KUR_OK && (found_shards < 1 || found_shards > KUR_OUTBOX_SHARDS_MAX))
        status = kur_error_set(error, KUR_ERROR_SCHEMA, "%s: the outbox has %d shards, and not 1 to %d",
                               database->driver.name, (int)found_shards, KUR_OUTBOX_SHARDS_MAX);
    if (status != KUR_OK)
        return status;
    if (shards != NULL)
        *shards = found_shards;
    if (id != NULL)
        *id = found_id;
    return KUR_OK;
}

kur_status kur__database_read(kur_database *database, void *connection, int32_t *shards, kur_uuid *id, kur_error *error)
{
    void *own = NULL;
    if (connection == NULL) {
        kur_status status = database->driver.connect(database->state, &own, error);
        if (status != KUR_OK)
            return status;
    }
    kur_status status = read_schema(database, connection != NULL ? connection : own, shards, id, error);
    if (own != NULL)
        database->driver.disconnect(own);
    return status;
}

kur_status kur_database_check(kur_database *database, kur_error *error)
{
    if (database == NULL)
        return kur_error_null(error, "database");
    return kur__database_read(database, NULL, NULL, NULL, error);
}

static kur_status take_shards(int *shards, kur_error *error)
{
    if (*shards == 0)
        *shards = SHARDS_BY_DEFAULT;
    if (*shards < 1 || *shards > KUR_OUTBOX_SHARDS_MAX)
        return kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "an outbox has 1 to %d shards, and not %d",
                             KUR_OUTBOX_SHARDS_MAX, *shards);
    return KUR_OK;
}

const char *kur_database_schema_text(kur_database *database, int from, int shards, kur_arena *arena, kur_error *error)
{
    if (database == NULL || arena == NULL) {
        kur_error_null(error, database == NULL ? "database" : "arena");
        return NULL;
    }
    const kur_driver *driver = &database->driver;
    if (take_shards(&shards, error) != KUR_OK)
        return NULL;
    if (from < 0 || from > driver->schema) {
        kur_error_set(error, KUR_ERROR_INVALID_ARGUMENT, "schemas of %s go from 0 to %d, and %d is none of them",
                      driver->name, (int)driver->schema, from);
        return NULL;
    }
    kur_buffer text = {0};
    const char *copy = NULL;
    if (driver->schema_text(database->state, from, shards, &text, error) == KUR_OK) {
        copy = kur_arena_copy(arena, text.data, text.size);
        if (copy == NULL)
            kur_error_set(error, KUR_ERROR_NO_MEMORY, "out of memory");
    }
    kur_buffer_done(&text);
    return copy;
}

static kur_status migrate(const kur_database *database, void *connection, int shards, kur_error *error)
{
    const kur_driver *driver = &database->driver;
    int32_t schema = 0, found = 0;
    kur_uuid id;
    kur_status status = driver->schema_read(connection, &schema, &found, &id, error);
    if (status == KUR_OK && schema > driver->schema)
        status = judge(driver, schema, error);
    return status == KUR_OK ? driver->migrate(connection, shards, error) : status;
}

kur_status kur_database_migrate(kur_database *database, int shards, kur_error *error)
{
    if (database == NULL)
        return kur_error_null(error, "database");
    void *connection = NULL;
    kur_status status = take_shards(&shards, error);
    if (status == KUR_OK)
        status = database->driver.connect(database->state, &connection, error);
    if (status != KUR_OK)
        return status;
    status = migrate(database, connection, shards, error);
    database->driver.disconnect(connection);
    return status;
}
