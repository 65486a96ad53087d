/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * A service for tests of the command line: adding (sqlite|postgres) WHERE TOPIC KEY PARTITION FIRST COUNT adds so many
 * events to an outbox in one transaction, with numbers from FIRST on; a PARTITION of -1 lets the key choose.
 * adding (sqlite|postgres) WHERE joins CONSUMER TOPIC PARTITION OFFSET lets an inbox have a place, and lets three
 * records from there on be done, and one more be open.
 */
#include <kurier/driver.h>
#include <kurier/kurier.h>
#ifdef KURIER_WITH_POSTGRES
#include <kurier/postgres.h>
#endif
#ifdef KURIER_WITH_SQLITE
#include <kurier/sqlite.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DONE = 3
};

static kur_error error;

static void need(bool is_well)
{
    if (is_well)
        return;
    fprintf(stderr, "adding: %s\n", error.message);
    exit(1);
}

static kur_database *open_database(const char *driver, const char *where)
{
#ifdef KURIER_WITH_POSTGRES
    if (strcmp(driver, "postgres") == 0)
        return kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = where, .schema = getenv("SCHEMA")), &error);
#endif
#ifdef KURIER_WITH_SQLITE
    if (strcmp(driver, "sqlite") == 0)
        return kur_sqlite_new(&KUR_SQLITE_OPTIONS(.path = where), &error);
#endif
    (void)where;
    kur_error_set(&error, KUR_ERROR_UNSUPPORTED, "there is no driver %s", driver);
    return NULL;
}

static void add(kur_database *database, void *connection, char **arguments)
{
    const kur_driver *driver = kur_database_driver(database);
    const kur_header headers[] = {{"kind", kur_bytes_text("test")}, {"api-key", kur_bytes_text("s3cret")}};
    int partition = atoi(arguments[2]), first = atoi(arguments[3]), count = atoi(arguments[4]);
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.bootstrap_servers = "127.0.0.1:9"), &error);
    kur_outbox *outbox = client != NULL ? kur_outbox_new(client, database, NULL, &error) : NULL;
    need(outbox != NULL);
    need(driver->begin(connection, &error) == KUR_OK);
    for (int i = first; i < first + count; i++) {
        char value[100];
        snprintf(value, sizeof value, "{\"n\":%d,\"password\":\"hunter2\",\"bell\":\"\a\"}", i);
        need(kur_outbox_add(outbox, connection,
                            &KUR_MESSAGE(.topic = arguments[0], .key = kur_bytes_text(arguments[1]),
                                         .partition = partition >= 0 ? KUR_PARTITION(partition) : 0,
                                         .value = kur_bytes_text(value), .headers = headers, .header_count = 2),
                            &error) == KUR_OK);
    }
    need(driver->commit(connection, &error) == KUR_OK);
    kur_outbox_free(outbox);
    kur_client_unref(client);
}

static void join(kur_database *database, void *connection, char **arguments)
{
    const kur_driver *driver = kur_database_driver(database);
    kur_uuid log_id = {{0}};
    kur_inbox_turn turn;
    kur_inbox_place place = {.size = sizeof place,
                             .consumer = arguments[0],
                             .topic = arguments[1],
                             .partition = atoi(arguments[2]),
                             .offset = atoi(arguments[3])};
    need(driver->inbox_join(connection, &place, &log_id, NULL, &place.epoch, &error) == KUR_OK);
    for (int i = 0; i <= DONE; i++, place.offset++) {
        need(driver->begin(connection, &error) == KUR_OK);
        need((i < DONE ? driver->inbox_enter : driver->inbox_leave_open)(connection, &place, &turn, &error) == KUR_OK);
        need(driver->commit(connection, &error) == KUR_OK);
    }
}

int main(int argc, char **argv)
{
    void *connection = NULL;
    if (argc != 8)
        return 2;
    kur_database *database = open_database(argv[1], argv[2]);
    need(database != NULL);
    const kur_driver *driver = kur_database_driver(database);
    need(driver->connect(kur_database_state(database), &connection, &error) == KUR_OK);
    if (strcmp(argv[3], "joins") == 0)
        join(database, connection, argv + 4);
    else
        add(database, connection, argv + 3);
    driver->disconnect(connection);
    kur_database_free(database);
    return 0;
}
