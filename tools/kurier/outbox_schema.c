/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier outbox schema` and `kurier outbox migrate`: the tables of outbox and inbox.
 */
#include <stdio.h>

#include "outbox.h"
#include "text.h"

static const struct option shards_list[] = {
    {"--shards", "N", "into how many parts relays can share an outbox that is made now; default 16",
     OPTION_IN(NUMBER, struct outbox, shards), .least = 1, .most = KUR_OUTBOX_SHARDS_MAX},
    {.name = NULL}};
static const struct options shards_options = {.list = shards_list};

/* ---- schema ---- */

static int run_schema(struct invocation *call)
{
    struct outbox *outbox = outbox_of(call);
    int status = EXIT_DONE;
    kur_error error = {0};
    if (call->argument_count > 1)
        return command_refuse(call->noun, "one of postgres and sqlite");
    kur_database *database = call->argument_count == 1
                                 ? database_of_driver(&outbox->stored, call->arguments[0], &status)
                                 : database_open(&outbox->stored, true, &status);
    if (database == NULL)
        return status;
    kur_arena *arena = kur_arena_new();
    text_need(arena != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    const char *text = kur_database_schema_text(database, (int)outbox->from, (int)outbox->shards, arena, &error);
    if (text == NULL)
        status = database_fail(&outbox->stored, &error);
    else if (text[0] == '\0')
        command_note(call->noun, "nothing is to be done: schema %d is the one that this kurier knows",
                     (int)outbox->from);
    else
        fputs(text, stdout);
    kur_arena_free(arena);
    kur_database_free(database);
    return status;
}

static const struct option schema_list[] = {{"--from", "N",
                                             "what leads from schema N to this kurier's; default 0: nothing is there",
                                             OPTION_IN(NUMBER, struct outbox, from), .most = 1000000},
                                            {.name = NULL}};
static const struct options schema_options = {.list = schema_list};

const struct verb outbox_schema = {
    .name = "schema",
    .arguments = "[postgres|sqlite]",
    .summary = "prints the statements that make the tables",
    .about = "Prints the statements that make the tables of outbox and inbox, for whatever applies migrations where "
             "you are; does not connect. kurier outbox migrate applies the same.",
    .options = {&schema_options, &shards_options, &database_options},
    .state = &outbox_state.stored.call,
    .run = run_schema};

/* ---- migrate ---- */

static kur_status read_schema(kur_database *database, int32_t *schema, int32_t *shards, kur_error *error)
{
    void *connection = NULL;
    kur_uuid id;
    const kur_driver *driver = kur_database_driver(database);
    kur_status status = driver->connect(kur_database_state(database), &connection, error);
    if (status != KUR_OK)
        return status;
    status = driver->schema_read(connection, schema, shards, &id, error);
    driver->disconnect(connection);
    return status;
}

static void tell(const struct outbox *outbox, int32_t before, int32_t schema, int32_t shards)
{
    const char *noun = outbox->stored.call.noun;
    if (before == schema)
        command_note(noun, "nothing was to be done: the tables are of schema %d, with %d shards", (int)schema,
                     (int)shards);
    else if (before == 0)
        command_note(noun, "the tables were made: schema %d, with %d shards", (int)schema, (int)shards);
    else
        command_note(noun, "the tables were brought from schema %d to %d", (int)before, (int)schema);
    if (outbox->shards > 0 && outbox->shards != shards)
        command_note(noun, "there are %d shards, and stay so: their number is settled when the tables are made",
                     (int)shards);
}

static int run_migrate(struct invocation *call)
{
    struct outbox *outbox = outbox_of(call);
    int status = EXIT_DONE;
    int32_t before = 0, after = 0, shards = 0;
    kur_error error = {0};
    kur_database *database = database_open(&outbox->stored, true, &status);
    if (database == NULL)
        return status;
    if (read_schema(database, &before, &shards, &error) == KUR_OK &&
        kur_database_migrate(database, (int)outbox->shards, &error) == KUR_OK &&
        read_schema(database, &after, &shards, &error) == KUR_OK)
        tell(outbox, before, after, shards);
    else
        status = database_fail(&outbox->stored, &error);
    kur_database_free(database);
    return status;
}

const struct verb outbox_migrate = {
    .name = "migrate",
    .summary = "makes the tables, or brings them up to date",
    .about = "Makes the tables of outbox and inbox, or brings them up to date, in one transaction, and says what it "
             "did. Safe to be done twice, and by several at once. It never goes back. A file of SQLite's is made when "
             "it is not there.",
    .options = {&shards_options, &database_options},
    .state = &outbox_state.stored.call,
    .run = run_migrate};
