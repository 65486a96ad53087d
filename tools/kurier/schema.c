/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier schema`: what a schema registry keeps.
 */
#include "schema.h"

#include <inttypes.h>
#include <stdio.h>

#include "table.h"
#include "text.h"

struct schema schema_state;

/* ---- list ---- */

struct listing {
    struct invocation *call;
    kur_registry *registry;
    struct table table;
    struct objects objects;
    size_t count;
};

/* `version` NULL: it was not looked at, or went meanwhile. */
static void put_row(struct listing *listing, const char *subject, const kur_subject_version *version)
{
    struct table *table = &listing->table;
    table_text(table, subject);
    if (schema_state.is_brief)
        return;
    if (version == NULL) {
        for (int i = 0; i < 4; i++)
            table_cell(table, "-");
        return;
    }
    table_cell(table, "%d", version->version);
    table_cell(table, "%" PRIu32, version->id);
    table_text(table, version->kind);
    table_text(table, version->schema != NULL ? kur_schema_name(version->schema) : "-");
}

static void put_json(struct listing *listing, const char *subject, const kur_subject_version *version)
{
    kur_buffer json = {0};
    json_open(&json, NULL, '{');
    json_text(&json, "subject", subject);
    if (version != NULL) {
        json_number(&json, "version", version->version);
        json_number(&json, "id", version->id);
        json_text(&json, "kind", version->kind);
        json_text(&json, "name", version->schema != NULL ? kur_schema_name(version->schema) : NULL);
    }
    json_close(&json, '}');
    json_print(&listing->objects, &json);
    kur_buffer_done(&json);
}

static int list_one(struct listing *listing, const char *subject)
{
    const struct invocation *call = listing->call;
    kur_error error = {0};
    kur_subject_version version = KUR_SUBJECT_VERSION();
    kur_status status = schema_state.is_brief
                            ? KUR_ERROR_UNKNOWN_SCHEMA
                            : kur_registry_version(listing->registry, subject, 0, call->connection.timeout_ms,
                                                   call->arena, &version, &error);
    if (status != KUR_OK && status != KUR_ERROR_UNKNOWN_SCHEMA)
        return command_fail(call->noun, "%.200s: %s", subject, error.message);
    const kur_subject_version *found = status == KUR_OK ? &version : NULL;
    listing->count++;
    if (call->output == OUTPUT_TABLE)
        put_row(listing, subject, found);
    else
        put_json(listing, subject, found);
    kur_schema_unref(version.schema);
    return EXIT_DONE;
}

static int list(struct listing *listing)
{
    struct invocation *call = listing->call;
    kur_error error = {0};
    const char *const *subjects;
    size_t count;
    int status = EXIT_DONE;
    if (kur_registry_subjects(listing->registry, call->connection.timeout_ms, call->arena, &subjects, &count, &error) !=
        KUR_OK)
        return command_error(call->noun, &error);
    for (size_t i = 0; i < count; i++)
        if (command_is_named(call, subjects[i]) && list_one(listing, subjects[i]) != EXIT_DONE)
            status = EXIT_PARTIAL;
    table_print(&listing->table);
    json_end(&listing->objects);
    if (listing->count == 0 && call->output == OUTPUT_TABLE)
        command_note(call->noun, "there are no subjects%s", call->argument_count > 0 ? " of these names" : "");
    return listing->count == 0 && status != EXIT_DONE ? EXIT_FAILED : status;
}

static int run_list(struct invocation *call)
{
    static const char *const headings[] = {"SUBJECT", ">VERSION", ">ID", "KIND", "NAME", NULL};
    static const char *const brief[] = {"SUBJECT", NULL};
    int status;
    struct listing listing = {.call = call,
                              .table = {.headings = schema_state.is_brief ? brief : headings},
                              .objects = {.output = call->output}};
    listing.registry = registry_open(call, false, &status);
    if (listing.registry != NULL)
        status = list(&listing);
    kur_registry_free(listing.registry);
    return status;
}

static const struct option list_options[] = {
    {"--brief", NULL, "names alone, for which the registry is asked once", OPTION_IN(FLAG, struct schema, is_brief)},
    {.name = NULL}};
static const struct options list_own = {.list = list_options};

const struct verb schema_list = {
    .name = "list",
    .arguments = "[SUBJECT…]",
    .summary = "subjects, with the latest version of each",
    .about = "Subjects of the registry, or those named; a name that ends with * is all that begin so. VERSION, ID and "
             "NAME are those of the latest schema.",
    .options = {&list_own, &output_options, &registry_options, &registry_call_options},
    .state = &schema_state.call,
    .run = run_list};

/* ---- The noun ---- */

static const struct verb *const verbs[] = {&schema_list,  &schema_show, &schema_register,
                                           &schema_check, &schema_diff, NULL};

const struct noun schema_noun = {
    .name = "schema",
    .summary = "schemas in a registry: seen, checked, registered and compared",
    .about = "Avro schemas, in a schema registry that speaks Confluent's REST API, and in files. register is a dry run "
             "until --execute.",
    .verbs = verbs};
