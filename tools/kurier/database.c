/* Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0 */
#include "database.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef KURIER_WITH_POSTGRES
#include <kurier/postgres.h>
#endif
#ifdef KURIER_WITH_SQLITE
#include <kurier/sqlite.h>
#endif

/* ---- Options ---- */

static const struct option list[] = {
    {"--postgres", "CONNINFO",
     "PostgreSQL, as libpq's \"host=… dbname=…\" or postgresql://…; default KURIER_POSTGRES. Passwords belong into a "
     "file (PGPASSFILE) or the environment: others see the command line",
     OPTION_IN(TEXT, struct stored, postgres)},
    {"--sqlite", "FILE", "SQLite; default KURIER_SQLITE", OPTION_IN(TEXT, struct stored, sqlite), .words = "FILE"},
    {"--schema", "NAME", "PostgreSQL's schema with the tables; default kurier", OPTION_IN(TEXT, struct stored, schema)},
    {.name = NULL}};
const struct options database_options = {"Which database:", list};

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* ---- The drivers ---- */

static kur_database *open_postgres(const struct stored *stored, const char *conninfo, int *status)
{
#ifdef KURIER_WITH_POSTGRES
    kur_error error = {0};
    kur_database *database =
        kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = conninfo, .schema = stored->schema), &error);
    if (database == NULL)
        *status = command_refuse(stored->call.noun, "%s", error.message);
    return database;
#else
    (void)conninfo;
    *status = command_refuse(stored->call.noun, "this kurier was built without PostgreSQL");
    return NULL;
#endif
}

static kur_database *open_sqlite(const struct stored *stored, const char *path, int *status)
{
#ifdef KURIER_WITH_SQLITE
    kur_error error = {0};
    kur_database *database = kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = path), &error);
    if (database == NULL)
        *status = command_refuse(stored->call.noun, "%s", error.message);
    return database;
#else
    (void)path;
    *status = command_refuse(stored->call.noun, "this kurier was built without SQLite");
    return NULL;
#endif
}

kur_database *database_of_driver(const struct stored *stored, const char *driver, int *status)
{
    if (strcmp(driver, "postgres") == 0)
        return open_postgres(stored, NULL, status);
    if (strcmp(driver, "sqlite") == 0)
        return open_sqlite(stored, "outbox.db", status); /* which nobody opens */
    *status = command_refuse(stored->call.noun, "\"%.60s\" is neither postgres nor sqlite", driver);
    return NULL;
}

kur_database *database_open(const struct stored *stored, bool makes_file, int *status)
{
    const char *postgres = stored->postgres, *sqlite = stored->sqlite;
    if (postgres == NULL && sqlite == NULL) {
        postgres = from_environment("KURIER_POSTGRES");
        sqlite = from_environment("KURIER_SQLITE");
    }
    if (postgres != NULL && sqlite != NULL)
        *status = command_refuse(stored->call.noun, "two databases are named: --postgres or --sqlite says which");
    else if (postgres != NULL)
        return open_postgres(stored, postgres, status);
    else if (sqlite == NULL)
        *status = command_refuse(stored->call.noun, "which database? --postgres, --sqlite, KURIER_POSTGRES or "
                                                    "KURIER_SQLITE says it");
    else if (stored->schema != NULL)
        *status = command_refuse(stored->call.noun, "--schema is PostgreSQL's: in SQLite the tables are in the file");
    else if (!makes_file && access(sqlite, F_OK) != 0)
        *status = command_fail(stored->call.noun, "%s: %s", sqlite, strerror(errno));
    else
        return open_sqlite(stored, sqlite, status);
    return NULL;
}

/* ---- Connections ---- */

int database_fail(const struct stored *stored, const kur_error *error)
{
    switch (error->code) {
    case KUR_ERROR_INVALID_ARGUMENT:
    case KUR_ERROR_INVALID_STATE:
        command_note(stored->call.noun, "%s", error->message);
        return EXIT_REFUSED;
    case KUR_ERROR_UNKNOWN_OUTCOME:
        command_note(stored->call.noun, "%s", error->message);
        return EXIT_UNKNOWN;
    default:
        return command_fail(stored->call.noun, "%s", error->message);
    }
}

int database_begin(const struct stored *stored, struct place *place)
{
    int status = EXIT_DONE;
    kur_error error = {0};
    *place = (struct place){.database = database_open(stored, false, &status)};
    if (place->database == NULL)
        return status;
    place->driver = kur_database_driver(place->database);
    if (kur_database_check(place->database, &error) != KUR_OK ||
        place->driver->connect(kur_database_state(place->database), &place->connection, &error) != KUR_OK)
        return database_fail(stored, &error);
    return EXIT_DONE;
}

/* An outbox needs a client for what it logs and for the events' source; it asks no broker. */
static kur_client *silent_client(const struct stored *stored, kur_error *error)
{
    bool is_verbose = stored->call.connection.is_verbose;
    return kur_client_new(
        &KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:9", .log = is_verbose ? kur_log_stderr : NULL), error);
}

int database_begin_outbox(const struct stored *stored, struct place *place)
{
    kur_error error = {0};
    int status = database_begin(stored, place);
    if (status != EXIT_DONE)
        return status;
    place->client = stored->call.client != NULL ? kur_client_ref(stored->call.client) : silent_client(stored, &error);
    if (place->client != NULL)
        place->outbox = kur_outbox_new(place->client, place->database, NULL, &error);
    return place->outbox != NULL ? EXIT_DONE : database_fail(stored, &error);
}

void database_end(struct place *place)
{
    kur_outbox_free(place->outbox);
    kur_client_unref(place->client);
    if (place->connection != NULL)
        place->driver->disconnect(place->connection);
    kur_database_free(place->database);
}
