/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Boxes go from one account to another, in one transaction of PostgreSQL's, and each account tells of it. Events of an
 * account are in the order of its changes, since its row is locked before its event is added.
 */
#include <kurier/kurier.h>
#include <kurier/postgres.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOXES_MOVED(F, S) F(S, STRING, account, .flags = KUR_KEY) F(S, INT32, by) F(S, INT32, now)
KUR_EVENT(boxes_moved, "stores.boxes.moved", 1, BOXES_MOVED);
KUR_EVENT_DEFINE(boxes_moved, BOXES_MOVED, .topic = "boxes");

static const char tables[] = "CREATE TABLE IF NOT EXISTS boxes (account text PRIMARY KEY, now int CHECK (now >= 0));"
                             "INSERT INTO boxes SELECT name, 100 FROM unnest(ARRAY['north', 'south']) name "
                             "ON CONFLICT DO NOTHING";

/* What a single row says, or 0. */
static int run(PGconn *db, const char *sql, kur_error *error)
{
    PGresult *result = PQexec(db, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        kur_error_set(error, KUR_ERROR_DATABASE, "%.*s", (int)strcspn(PQerrorMessage(db), "\n"), PQerrorMessage(db));
    int value = PQntuples(result) > 0 ? atoi(PQgetvalue(result, 0, 0)) : 0;
    PQclear(result);
    return value;
}

/* First the row that the event's key stands for, then its event. */
static void change(PGconn *db, kur_outbox *outbox, const char *account, int by, kur_error *error)
{
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE boxes SET now = now + %d WHERE account = '%s' RETURNING now", by, account);
    int now = error->code == KUR_OK ? run(db, sql, error) : 0;
    if (error->code == KUR_OK)
        boxes_moved_outbox(outbox, db, &(struct boxes_moved){.account = account, .by = by, .now = now}, NULL, error);
}

static void move(const char *conninfo, kur_outbox *outbox, int boxes, kur_error *error)
{
    PGconn *db = PQconnectdb(conninfo);
    run(db, tables, error);
    if (error->code == KUR_OK)
        run(db, "BEGIN", error);
    change(db, outbox, "north", -boxes, error); /* in the same order everywhere: no two wait for each other */
    change(db, outbox, "south", boxes, error);
    if (PQtransactionStatus(db) != PQTRANS_IDLE)
        run(db, error->code == KUR_OK ? "COMMIT" : "ROLLBACK", error->code == KUR_OK ? error : NULL);
    kur_outbox_committed(outbox); /* for a relay in this process; others find out by themselves */
    PQfinish(db);
}

int main(int argc, char **argv)
{
    int boxes = argc == 3 ? atoi(argv[2]) : 0;
    if (argc < 2 || argc > 3 || argv[1][0] == '-' || (argc == 3 && boxes < 1)) {
        printf("usage: %s CONNINFO [BOXES]\n\nMoves boxes, or sends events. Broker: KAFKA_BOOTSTRAP_SERVERS.\n",
               argv[0]);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    kur_error error = {0};
    kur_client *client = kur_client_new(&KUR_CLIENT_OPTIONS(.source = "/examples", .log = kur_log_stderr), &error);
    kur_database *database = kur_postgres_new(&KUR_POSTGRES_OPTIONS(.conninfo = argv[1]), &error);
    kur_database_migrate(database, 0, &error); /* or, once: kurier outbox migrate */
    kur_outbox *outbox = kur_outbox_new(client, database, NULL, &error);
    kur_relay *relay = boxes > 0 ? NULL : kur_relay_new(outbox, NULL, &error);
    outbox != NULL &&boxes > 0 ? move(argv[1], outbox, boxes, &error) : (void)kur_relay_run(relay, &error);
    fprintf(stderr, "%s%s", error.message, error.code != KUR_OK ? "\n" : "");
    kur_relay_free(relay);
    kur_outbox_free(outbox);
    kur_database_free(database);
    kur_client_unref(client);
    return error.code == KUR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
