/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * `kurier schema check` and `register`: schemas held against what is registered, then registered. All are judged before
 * the first one is registered.
 */
#include <inttypes.h>
#include <stdio.h>

#include "schema.h"
#include "table.h"
#include "text.h"

/* A file, and what became of it. */
struct checked {
    const struct schema_file *file;
    kur_schema *schema;
    struct schema_verdict verdict;
    int status; /* EXIT_DONE: it was judged */
    /* of register */
    bool is_registered;
    uint32_t id;
    int version;
};

struct checking {
    struct invocation *call;
    kur_registry *registry;
    bool registers;
    struct checked *all;
    size_t count;
};

/* ---- Judging ---- */

static void judge(struct checking *checking, struct checked *checked)
{
    struct invocation *call = checking->call;
    const struct schema_file *file = checked->file;
    checked->status = schema_file_read(call, &checking->registry, file->path, &checked->schema);
    if (checked->status == EXIT_DONE)
        checked->status = schema_judge(call, checking->registry, file->subject, checked->schema, &checked->verdict);
    if (checked->status == EXIT_DONE && checked->verdict.is_there) {
        checked->id = checked->verdict.known.id;
        checked->version = checked->verdict.known.version;
    }
}

/* ---- Registering ---- */

static int fail(const struct checking *checking, const struct checked *checked, const kur_error *error)
{
    int status = command_fail(checking->call->noun, "%.200s: %s", checked->file->subject, error->message);
    return error->code == KUR_ERROR_TIMEOUT || error->code == KUR_ERROR_UNREACHABLE ? EXIT_UNKNOWN : status;
}

/* Registers it, and sees which version it has become. */
static int add(struct checking *checking, struct checked *checked)
{
    const struct invocation *call = checking->call;
    kur_subject_references references = schema_references();
    kur_error error = {0};
    kur_subject_version version = KUR_SUBJECT_VERSION();
    const char *subject = checked->file->subject;
    int timeout_ms = call->connection.timeout_ms;
    if (kur_registry_register(checking->registry, subject, checked->schema, &references, timeout_ms, &checked->id,
                              &error) != KUR_OK)
        return fail(checking, checked, &error);
    checked->is_registered = true;
    if (kur_registry_look_up(checking->registry, subject, checked->schema, &references, timeout_ms, call->arena,
                             &version, &error) == KUR_OK)
        checked->version = version.version;
    kur_schema_unref(version.schema);
    return EXIT_DONE;
}

static int add_all(struct checking *checking)
{
    int status = EXIT_DONE;
    size_t done = 0;
    for (size_t i = 0; i < checking->count && status == EXIT_DONE; i++)
        if (!checking->all[i].verdict.is_there) {
            status = add(checking, &checking->all[i]);
            done += status == EXIT_DONE;
        }
    return status == EXIT_FAILED && done > 0 ? EXIT_PARTIAL : status;
}

/* ---- Telling ---- */

static const char *state_of(const struct checking *checking, const struct checked *checked)
{
    const struct schema_verdict *verdict = &checked->verdict;
    if (checked->status != EXIT_DONE)
        return "unknown";
    if (checked->is_registered)
        return "registered";
    if (verdict->is_there)
        return "there already";
    if (!verdict->is_compatible)
        return "NOT compatible";
    if (checking->registers && checking->call->execute)
        return "not registered";
    return verdict->is_new ? "new" : "compatible";
}

static void put_row(struct table *table, const struct checking *checking, const struct checked *checked)
{
    table_text(table, checked->file->subject);
    table_text(table, state_of(checking, checked));
    table_text(table, checked->verdict.level != NULL ? checked->verdict.level : "-");
    if (checked->version > 0)
        table_cell(table, "%d", checked->version);
    else
        table_cell(table, "-");
    if (checked->id > 0)
        table_cell(table, "%" PRIu32, checked->id);
    else
        table_cell(table, "-");
}

static void print_reasons(const struct checked *checked)
{
    kur_buffer safe = {0};
    if (checked->verdict.reasons == NULL || checked->verdict.reasons[0] == '\0')
        return;
    text_safe(&safe, kur_bytes_text(checked->file->subject), false);
    printf("\n%s\n", safe.data);
    for (const char *line = checked->verdict.reasons; *line != '\0'; line += strcspn(line, "\n") + 1) {
        safe.size = 0;
        text_safe(&safe, kur_bytes_of(line, strcspn(line, "\n")), false);
        printf("  %s\n", safe.data);
    }
    kur_buffer_done(&safe);
}

static void put_json(kur_buffer *json, const struct checking *checking, const struct checked *checked)
{
    const struct schema_verdict *verdict = &checked->verdict;
    bool is_judged = checked->status == EXIT_DONE;
    json_open(json, NULL, '{');
    json_text(json, "subject", checked->file->subject);
    json_text(json, "file", checked->file->path);
    json_text(json, "state", state_of(checking, checked));
    is_judged ? json_bool(json, "compatible", verdict->is_compatible) : json_null(json, "compatible");
    json_text(json, "level", verdict->level);
    checked->version > 0 ? json_number(json, "version", checked->version) : json_null(json, "version");
    checked->id > 0 ? json_number(json, "id", checked->id) : json_null(json, "id");
    json_open(json, "reasons", '[');
    for (const char *line = verdict->reasons != NULL ? verdict->reasons : ""; *line != '\0';
         line += strcspn(line, "\n") + 1)
        json_bytes(json, NULL, kur_bytes_of(line, strcspn(line, "\n")));
    json_close(json, ']');
    json_close(json, '}');
}

static void tell(const struct checking *checking)
{
    static const char *const headings[] = {"SUBJECT", "STATE", "LEVEL", ">VERSION", ">ID", NULL};
    struct objects objects = {.output = checking->call->output};
    struct table table = {.headings = headings};
    for (size_t i = 0; i < checking->count; i++) {
        kur_buffer json = {0};
        if (objects.output == OUTPUT_TABLE) {
            put_row(&table, checking, &checking->all[i]);
            continue;
        }
        put_json(&json, checking, &checking->all[i]);
        json_print(&objects, &json);
        kur_buffer_done(&json);
    }
    table_print(&table);
    for (size_t i = 0; i < checking->count && objects.output == OUTPUT_TABLE; i++)
        print_reasons(&checking->all[i]);
    json_end(&objects);
}

/* ---- The verbs ---- */

static bool any_unchecked(const struct checking *checking)
{
    for (size_t i = 0; i < checking->count; i++)
        if (checking->all[i].verdict.level != NULL && strcmp(checking->all[i].verdict.level, "NONE") == 0)
            return true;
    return false;
}

static int work(struct checking *checking)
{
    struct invocation *call = checking->call;
    int status = EXIT_DONE;
    size_t missing = 0;
    for (size_t i = 0; i < checking->count; i++) {
        struct checked *checked = &checking->all[i];
        judge(checking, checked);
        if (checked->status != EXIT_DONE || !checked->verdict.is_compatible)
            status = EXIT_FAILED;
        else
            missing += !checked->verdict.is_there;
    }
    if (checking->registers && call->execute && status == EXIT_DONE)
        status = add_all(checking);
    tell(checking);
    if (any_unchecked(checking))
        command_note(call->noun, "where the level is NONE, what the registry takes is all that counts");
    if (checking->registers && call->execute && status == EXIT_FAILED)
        command_note(call->noun, "not all was registered");
    if (checking->registers && !call->execute && status == EXIT_DONE && missing > 0)
        command_note(call->noun, "%zu would be registered; --execute does it", missing);
    return status;
}

static int run(struct invocation *call, bool registers)
{
    struct checking checking = {.call = call, .registers = registers};
    const struct schema_file *files;
    int status = schema_files(call, &files, &checking.count);
    if (status != EXIT_DONE)
        return status;
    checking.registry = registry_open(call, schema_state.normalizes, &status);
    if (checking.registry == NULL)
        return status;
    checking.all = kur_arena_alloc(call->arena, checking.count * sizeof *checking.all);
    text_need(checking.all != NULL ? KUR_OK : KUR_ERROR_NO_MEMORY);
    for (size_t i = 0; i < checking.count; i++)
        checking.all[i] = (struct checked){.file = &files[i]};
    status = work(&checking);
    for (size_t i = 0; i < checking.count; i++) {
        schema_verdict_done(&checking.all[i].verdict);
        kur_schema_unref(checking.all[i].schema);
    }
    kur_registry_free(checking.registry);
    return status;
}

static int run_check(struct invocation *call)
{
    return run(call, false);
}

static int run_register(struct invocation *call)
{
    return run(call, true);
}

const struct verb schema_check = {
    .name = "check",
    .arguments = "[SUBJECT FILE]",
    .summary = "whether a subject would take a schema",
    .about =
        "Whether schemas could be registered, by the level of each subject, with the path and the rule where not. The "
        "exit status is 1 when one is not compatible, or could not be looked at: for builds that are to fail then. "
        "Both the registry and Kurier's own rules have to agree, which also look at what a number means: a decimal's "
        "scale, a time's unit. A subject that is not there yet takes any schema.\n\n"
        "FILE is a schema, or - for standard input. order_created_schema() is that of a field list: let the program "
        "write its schemas into a directory, and check that.",
    .options = {&schema_files_options, &output_options, &registry_options, &registry_call_options},
    .state = &schema_state.call,
    .run = run_check};

const struct verb schema_register = {
    .name = "register",
    .arguments = "[SUBJECT FILE]",
    .summary = "registers a schema under a subject",
    .about = "Registers schemas, and prints the version and the id of each; one that is there already has them. All "
             "are checked first, as kurier schema check does it, and when one is not compatible none is registered. "
             "Without --execute it is that check.\n\n"
             "FILE is a schema, or - for standard input.",
    .options = {&schema_files_options, &execute_options, &output_options, &registry_options, &registry_call_options},
    .state = &schema_state.call,
    .run = run_register};
